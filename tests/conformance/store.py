"""What every Store adapter must hold. An adapter's test module subclasses :class:`StoreConformance`.

The subclass gives one method, ``new_store(path)``: a store that keeps its state under ``path`` and finds it again.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest

from node.store.interface import Store
from node.store.operations import (
    AcceptSubmission,
    AcceptTransfer,
    Applied,
    DeferOutbound,
    Done,
    EraseEntries,
    Failed,
    FoundLog,
    Incoming,
    MarkReceiptsSent,
    Operation,
    Outcome,
    PurgeDelivered,
    RecordCosigned,
    RecordDirectory,
    RecordExpired,
    RecordPeerCheckpoint,
    RecordRefused,
    RecordRejection,
    RecordRelayed,
    RecordStatement,
    RecordUnclaimed,
    StoreForeignReceipts,
)
from node.store.reads import MessageOrigin, OutboundKind, Portion
from protocol.address import Address
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.directory_seen import DirectorySeen, decode_entry
from protocol.encoding.ids import new_message_id
from protocol.errors import (
    IdConflictError,
    LogConflictError,
    LogForkError,
    LogUnavailableError,
    NotFoundError,
    OldSizeError,
    PeerFailedError,
    StoreInUseError,
)
from protocol.event import Event, EventName, LeafReference, encode_event
from protocol.log.checkpoint import Checkpoint, SoftLogSigner, open_checkpoint, sign_checkpoint
from protocol.log.merkle import leaf_hash, verify_consistency, verify_inclusion
from protocol.log.tiles import TileTree
from protocol.receipt import Receipt, ReceiptVerifier, VerifiedReceipt
from protocol.statement import DeskStatement, VerifiedStatement, parse_statement, sign_statement, verify_statement

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=400)
ORIGIN = "jp.example/log"
JP = SoftLogSigner(ORIGIN, bytes([1]) * 32, bytes([2]) * 32)
FR = SoftLogSigner("fr.example/log", bytes([3]) * 32, bytes([4]) * 32)
VERIFIERS = {signer.origin: signer.verifier for signer in (JP, FR)}
TOKYO = Address.parse("24-7@jp")
OSAKA = Address.parse("osaka@jp")
PARIS = Address.parse("24-7@fr")
ATHENS = Address.parse("24-7@gr")
DESK = Ed25519Signer(bytes([9]) * 32)

_random = random.Random(7)


def incoming(
    sender: Address = PARIS,
    recipients: tuple[Address, ...] = (TOKYO,),
    *,
    message_id: UUID | None = None,
    raw: bytes | None = None,
    expires: datetime = NOW + timedelta(days=30),
    priority: int = 0,
) -> Incoming:
    """An accepted envelope; its bytes are random, which a store must not care about."""
    raw = raw if raw is not None else _random.randbytes(300)
    message_id = message_id or new_message_id(NOW, _random.randbytes(10))
    return Incoming(
        raw, sha256(raw).digest(), message_id, sender, recipients, NOW, expires, priority, sha256(b"c" + raw).digest()
    )


def transfer(message: Incoming, *local: Address) -> AcceptTransfer:
    """``message`` as node fr hands it over."""
    return AcceptTransfer(message, "fr", local or (TOKYO,), NOW)


def relayed(message: Incoming, *onward: Address, local: Address | None = None) -> AcceptTransfer:
    """``message`` as node fr hands it over, for ``onward`` to be reached through node gr."""
    return AcceptTransfer(message, "fr", (local,) if local else (), NOW, {"gr": onward})


def submission(message: Incoming, *, local: tuple[Address, ...] = (), partners: Sequence[str] = ()) -> AcceptSubmission:
    """``message`` as a desk of jp submits it."""
    return AcceptSubmission(message, local, dict.fromkeys(partners, (PARIS,)), NOW)


def stated(
    message: Incoming, event: EventName = EventName.ContentHandover, recipient: Address = TOKYO, seconds: int = 0
) -> RecordStatement:
    """The recipient's desk states ``event``."""
    reasons = ("unreadable",) if event.negative else ()
    at = NOW + timedelta(seconds=seconds)
    raw = sign_statement(DeskStatement(event, message.message_id, message.digest, recipient, at, reasons), DESK)
    statement: VerifiedStatement = verify_statement(parse_statement(raw), Ed25519Verifier(DESK.public_key))
    return RecordStatement(statement, at)


class ForeignLog:
    """Another node's log, in memory."""

    def __init__(self, signer: SoftLogSigner = FR) -> None:
        self.signer = signer
        self.leaves: list[bytes] = []

    def receipts(self, message: Incoming, *names: EventName, salt: int = 0) -> tuple[VerifiedReceipt, ...]:
        """Log these events and return their verified receipts, under one checkpoint."""
        start = len(self.leaves)
        for name in names:
            peer = "jp" if name is EventName.RelayAcceptance else None
            recipient = PARIS if name is EventName.ContentConsignment else None
            event = Event(
                name=name,
                at=NOW,
                message_id=message.message_id,
                digest=message.digest,
                recipient=recipient,
                peer=peer,
                reasons=(),
                statement=None,
                reference=None,
                salt=bytes([salt]) * 16,
            )
            self.leaves.append(encode_event(event))
        tree = TileTree(0, lambda level, index: b"")
        for leaf in self.leaves:
            tree.append(leaf_hash(leaf))
        note = sign_checkpoint(Checkpoint(self.signer.origin, tree.size, tree.root()), self.signer, NOW)
        verifier = ReceiptVerifier(VERIFIERS.__getitem__)
        return tuple(
            verifier.verify(Receipt(self.leaves[index], index, tuple(tree.inclusion_path(index)), note))
            for index in range(start, tree.size)
        )


def reference(receipt: VerifiedReceipt) -> LeafReference:
    """What the own log says of a partner's leaf."""
    return LeafReference(receipt.origin, receipt.index, receipt.leaf_hash)


def sign(checkpoint: Checkpoint, at: datetime) -> bytes:
    """Sign as jp's log."""
    return sign_checkpoint(checkpoint, JP, at)


def verified(receipt: Receipt) -> VerifiedReceipt:
    """The receipt, proved against the logs' keys."""
    return ReceiptVerifier(VERIFIERS.__getitem__).verify(receipt)


def _of(message: Incoming) -> tuple[UUID, bytes]:
    """What a rejection says of a message."""
    return message.message_id, message.digest


def names(receipts: Sequence[Receipt]) -> list[EventName]:
    """The events proved by ``receipts``."""
    return [verified(receipt).event.name for receipt in receipts]


def apply(store: Store, *operations: Operation) -> Applied:
    """Apply a batch and release it."""
    applied = store.apply(operations, sign)
    store.release()
    return applied


def _told(outcome: Outcome) -> tuple[object, ...]:
    """An outcome, but for what is drawn at random or depends on the checkpoint."""
    if isinstance(outcome, Failed):
        return type(outcome.error), outcome.error.detail
    indexes = [receipt.index for receipt in outcome.receipts]
    refused = [(at, type(error)) for at, error in outcome.refused]
    return indexes, names(outcome.receipts), outcome.duplicate, refused, outcome.count


def done(store: Store, operation: Operation) -> Done:
    """The outcome of an operation that must stand."""
    outcome = apply(store, operation).outcomes[0]
    assert isinstance(outcome, Done), outcome
    return outcome


def failed(store: Store, operation: Operation) -> Exception:
    """The error of an operation that must be refused."""
    outcome = apply(store, operation).outcomes[0]
    assert isinstance(outcome, Failed), outcome
    return outcome.error


async def inbox(store: Store, desk: Address = TOKYO, after: int = 0) -> list[tuple[bytes | None, list[EventName]]]:
    """What the desk would fetch: envelopes and the events of the receipts."""
    entries = await store.reads.mailbox(desk, after, 1000, 1 << 30)
    return [(entry.envelope, names(entry.receipts)) for entry in entries]


async def queue(store: Store, partner: str = "fr", kind: OutboundKind = OutboundKind.ENVELOPE) -> list[int]:
    """The ids of the outbound rows that are due."""
    return [row.outbound_id for row in await store.reads.due_outbound(partner, kind, NOW, Portion(1000, 1 << 30))]


class StoreConformance:
    """The suite."""

    def new_store(self, path: Path) -> Store:
        """A store over the state in ``path``."""
        raise NotImplementedError

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        store = self.new_store(tmp_path)
        await store.open()
        apply(store, FoundLog(NOW))
        yield store
        await store.close()

    async def test_operations_have_one_outcome_whether_they_share_a_batch_or_not(
        self, store: Store, tmp_path: Path
    ) -> None:
        (tmp_path / "other").mkdir()
        other = self.new_store(tmp_path / "other")
        await other.open()
        apply(other, FoundLog(NOW))
        operations = await self._life(store)
        together = store.apply(operations, sign).outcomes
        store.release()
        alone = [apply(other, operation).outcomes[0] for operation in operations]
        assert [_told(outcome) for outcome in together] == [_told(outcome) for outcome in alone]
        assert sum(isinstance(outcome, Failed) for outcome in together) == 8
        for desk in (TOKYO, OSAKA):
            assert await inbox(store, desk) == await inbox(other, desk)
        for partner in ("fr", "gr"):
            for kind in OutboundKind:
                assert await queue(store, partner, kind) == await queue(other, partner, kind)
        assert replace(await store.reads.stats(), database_bytes=0, wal_bytes=0) == replace(
            await other.reads.stats(), database_bytes=0, wal_bytes=0
        )
        await other.close()

    async def _life(self, store: Store) -> list[Operation]:
        """Operations that need, repeat and contradict each other. The first outbound row is number 1, and so on."""
        sent, refused, late, over, came, both = (
            incoming(TOKYO, (PARIS,)),
            incoming(TOKYO, (PARIS,)),
            incoming(TOKYO, (PARIS,)),
            incoming(TOKYO, (PARIS,)),
            incoming(),
            incoming(PARIS, (TOKYO, OSAKA)),
        )
        log = ForeignLog()
        theirs = log.receipts(sent, EventName.RelayAcceptance, EventName.ContentConsignment)
        handed = log.receipts(sent, EventName.ContentConsignment)
        lie = ForeignLog().receipts(sent, *[EventName.ContentConsignment] * 4, salt=2)[2:3]
        return [
            *(submission(message, partners=("fr",)) for message in (sent, refused, late, over)),  # rows 1 to 4
            RecordRelayed(1, theirs, reference(theirs[0]), NOW),
            RecordRelayed(1, theirs, reference(theirs[0]), NOW),  # gone
            RecordRefused(1, "fr", ("no-route",), NOW),  # gone
            RecordRefused(2, "fr", ("no-route",), NOW),
            RecordExpired(3, NOW),
            DeferOutbound(3, 1, LATER, "timeout"),
            DeferOutbound(4, 1, LATER, "timeout"),
            StoreForeignReceipts("fr", (*theirs, *handed), NOW),
            StoreForeignReceipts("fr", handed, NOW),  # the same
            StoreForeignReceipts("fr", lie, NOW),  # another entry at one place
            transfer(came),
            stated(came),
            stated(came, seconds=5),  # the same
            transfer(came),  # the same
            RecordUnclaimed(came.message_id, came.digest, TOKYO, NOW),  # handed over
            stated(incoming()),  # not here
            transfer(both),
            transfer(both, TOKYO, OSAKA),  # one more
            stated(both, EventName.ContentAccessTracking),
            stated(both, recipient=OSAKA),
            RecordUnclaimed(both.message_id, both.digest, TOKYO, NOW),
            RecordUnclaimed(both.message_id, both.digest, TOKYO, NOW),  # over
            relayed(incoming(), ATHENS),
            RecordRelayed(99, theirs, reference(theirs[0]), NOW),  # never there
            PurgeDelivered(LATER),
            transfer(came),  # forgotten: taken anew
            MarkReceiptsSent((5, 6, 7, 8, 9, 10, 11, 12)),
            stated(sent),  # not consigned here
        ]

    # --- Accepting -------------------------------------------------------------------------------------------

    async def test_transfer_gives_acceptance_and_one_consignment_per_recipient(self, store: Store) -> None:
        outcome = done(store, transfer(incoming(), TOKYO, OSAKA))

        acceptance, first, second = [verified(receipt).event for receipt in outcome.receipts]
        assert (acceptance.name, acceptance.peer, acceptance.recipient) == (EventName.RelayAcceptance, "fr", None)
        assert (first.name, first.recipient) == (EventName.ContentConsignment, TOKYO)
        assert (second.name, second.recipient) == (EventName.ContentConsignment, OSAKA)
        assert not outcome.duplicate

    async def test_recipient_finds_the_envelope_with_its_receipts_and_no_one_else_does(self, store: Store) -> None:
        message = incoming()
        done(store, transfer(message))

        assert await inbox(store) == [(message.raw, [EventName.RelayAcceptance, EventName.ContentConsignment])]
        assert await inbox(store, OSAKA) == []

    async def test_submission_queues_one_envelope_per_partner(self, store: Store) -> None:
        message = incoming(TOKYO, (PARIS, OSAKA))
        applied = apply(store, submission(message, local=(OSAKA,), partners=("fr", "gr")))

        (outcome,) = applied.outcomes
        assert isinstance(outcome, Done)
        assert names(outcome.receipts) == [EventName.SubmissionAcceptance, EventName.ContentConsignment]
        assert applied.desks == frozenset({"osaka@jp"})
        assert applied.partners == frozenset({"fr", "gr"})
        (row,) = await store.reads.due_outbound("fr", OutboundKind.ENVELOPE, NOW, Portion(10, 1 << 20))
        assert (row.raw, row.digest, row.expires, row.attempts) == (message.raw, message.digest, message.expires, 0)
        assert len(await queue(store, "gr")) == 1

    async def test_repeat_gets_the_same_receipts_and_changes_nothing(self, store: Store) -> None:
        message = incoming()
        first = done(store, transfer(message))
        done(store, transfer(incoming()))
        size = await store.reads.log_size()

        again = done(store, transfer(message))

        assert again.receipts == first.receipts
        assert again.duplicate
        assert await store.reads.log_size() == size
        assert len(await inbox(store)) == 2

    async def test_repeat_after_restart_gets_the_same_receipts(self, store: Store, tmp_path: Path) -> None:
        message = incoming()
        first = done(store, transfer(message))
        apply(store, *(transfer(incoming()) for _ in range(700)))
        await store.close()
        await store.open()

        assert done(store, transfer(message)).receipts == first.receipts

    async def test_same_envelope_twice_in_one_batch_is_accepted_once(self, store: Store) -> None:
        message = incoming()
        first, second = apply(store, transfer(message), transfer(message)).outcomes

        assert isinstance(first, Done)
        assert isinstance(second, Done)
        assert first.receipts == second.receipts
        assert (first.duplicate, second.duplicate) == (False, True)
        assert len(await inbox(store)) == 1

    async def test_recipient_served_only_since_the_first_time_is_consigned_to_on_the_repeat(self, store: Store) -> None:
        message = incoming(recipients=(TOKYO, OSAKA))
        first = done(store, transfer(message, TOKYO))
        done(store, stated(message))

        again = done(store, transfer(message, TOKYO, OSAKA))

        assert again.receipts[:2] == first.receipts
        assert not again.duplicate
        assert [envelope for envelope, _ in await inbox(store, OSAKA)] == [message.raw]
        assert await inbox(store, TOKYO) == []

    async def test_other_content_under_the_same_id_is_refused_and_changes_nothing(self, store: Store) -> None:
        message = incoming()
        done(store, transfer(message))
        size = await store.reads.log_size()

        assert isinstance(failed(store, transfer(incoming(message_id=message.message_id))), IdConflictError)

        assert await store.reads.log_size() == size
        assert len(await inbox(store)) == 1

    async def test_same_id_from_another_sender_is_another_message(self, store: Store) -> None:
        message = incoming()
        done(store, transfer(message))

        done(store, transfer(incoming(OSAKA, message_id=message.message_id)))

        assert len(await inbox(store)) == 2

    async def test_refused_operation_leaves_the_others_of_its_batch(self, store: Store) -> None:
        message = incoming()
        done(store, transfer(message))
        conflict = incoming(message_id=message.message_id)

        outcomes = apply(store, transfer(incoming()), transfer(conflict), transfer(incoming())).outcomes

        assert [type(outcome) for outcome in outcomes] == [Done, Failed, Done]
        assert len(await inbox(store)) == 3

    async def test_the_directory_in_use_is_logged_when_it_changes(self, store: Store) -> None:
        """See :class:`RecordDirectory`."""
        first, again, other = (
            done(store, RecordDirectory(version, bytes([version]) * 32, NOW)) for version in (7, 7, 8)
        )

        assert first.receipts == again.receipts
        assert again.duplicate
        assert other.receipts[0].index == first.receipts[0].index + 1
        assert decode_entry(other.receipts[0].leaf) == DirectorySeen(NOW, 8, bytes([8]) * 32)

    async def test_repeated_rejection_gets_the_same_receipt(self, store: Store) -> None:
        message = incoming()
        rejection = RecordRejection(
            message.message_id, message.digest, EventName.RelayRejection, "fr", None, ("no-route",), NOW
        )
        first = done(store, rejection)
        again = done(store, rejection)
        other = done(
            store,
            RecordRejection(
                message.message_id, message.digest, EventName.RelayRejection, "fr", None, ("expired",), NOW
            ),
        )

        assert (first.receipts, again.duplicate) == (again.receipts, True)
        assert verified(first.receipts[0]).event.reasons == ("no-route",)
        assert other.receipts[0].index == first.receipts[0].index + 1

    # --- Statements ------------------------------------------------------------------------------------------

    async def test_handover_takes_the_message_out_of_the_mailbox_and_drops_its_payload(self, store: Store) -> None:
        message = incoming()
        done(store, transfer(message))

        outcome = done(store, stated(message))

        event = verified(outcome.receipts[0]).event
        assert (event.name, event.recipient) == (EventName.ContentHandover, TOKYO)
        assert await inbox(store) == []
        assert (await store.reads.stats()).payload_count == 0

    async def test_payload_stays_until_the_last_recipient_has_it(self, store: Store) -> None:
        message = incoming(recipients=(TOKYO, OSAKA))
        done(store, transfer(message, TOKYO, OSAKA))
        done(store, stated(message))

        assert [envelope for envelope, _ in await inbox(store, OSAKA)] == [message.raw]
        done(store, stated(message, recipient=OSAKA))
        assert (await store.reads.stats()).payload_count == 0

    async def test_opening_and_failed_opening_leave_the_message_in_the_mailbox(self, store: Store) -> None:
        message = incoming()
        done(store, transfer(message))
        done(store, stated(message, EventName.ContentHandoverFailure))
        done(store, stated(message, EventName.ContentAccessTracking))

        assert len(await inbox(store)) == 1

    async def test_repeated_statement_gets_the_first_receipt_also_with_another_signature(self, store: Store) -> None:
        message = incoming()
        done(store, transfer(message))
        first = done(store, stated(message))

        again = done(store, stated(message, seconds=60))

        assert (again.receipts, again.duplicate) == (first.receipts, True)
        assert len(await queue(store, kind=OutboundKind.RECEIPTS)) == 1

    async def test_receipt_of_a_statement_is_queued_for_the_senders_node_until_it_was_sent(self, store: Store) -> None:
        message = incoming()
        done(store, transfer(message))
        outcome = done(store, stated(message))

        (row,) = await store.reads.due_outbound("fr", OutboundKind.RECEIPTS, NOW, Portion(10, 1 << 20))
        envelopes = await store.reads.due_outbound("fr", OutboundKind.ENVELOPE, NOW, Portion(10, 1 << 20))
        assert await store.reads.due("fr", NOW, Portion(10, 1 << 20), Portion(10, 1 << 20)) == (envelopes, [row])
        assert (await store.reads.due("fr", NOW, Portion(10, 1 << 20), Portion(0, 1)))[1] == []
        assert (row.receipts, row.raw, row.digest, row.expires) == (outcome.receipts, None, message.digest, None)
        assert done(store, MarkReceiptsSent((row.outbound_id,))).count == 1
        assert await queue(store, kind=OutboundKind.RECEIPTS) == []

    async def test_receipt_of_a_statement_reaches_a_sender_of_this_node_by_its_mailbox(self, store: Store) -> None:
        message = incoming(OSAKA, (TOKYO,))
        done(store, submission(message, local=(TOKYO,)))
        done(store, stated(message))

        assert await inbox(store, OSAKA) == [(None, [EventName.ContentHandover])]

    async def test_statement_about_an_unknown_message_or_by_no_recipient_is_refused(self, store: Store) -> None:
        message = incoming()
        assert isinstance(failed(store, stated(message)), NotFoundError)
        done(store, transfer(message, TOKYO))
        assert isinstance(failed(store, stated(message, recipient=OSAKA)), NotFoundError)

    async def test_handed_over_message_is_not_delivered_again_by_a_repeat(self, store: Store) -> None:
        message = incoming()
        first = done(store, transfer(message))
        done(store, stated(message))

        assert done(store, transfer(message)).receipts == first.receipts
        assert await inbox(store) == []

    # --- The outbound queue ----------------------------------------------------------------------------------

    async def test_relayed_envelope_leaves_the_queue_and_its_receipts_reach_the_sender(self, store: Store) -> None:
        message = incoming(TOKYO, (PARIS,))
        done(store, submission(message, partners=("fr",)))
        (row,) = await queue(store)
        theirs = ForeignLog().receipts(message, EventName.RelayAcceptance, EventName.ContentConsignment)

        outcome = done(store, RecordRelayed(row, theirs, reference(theirs[0]), NOW))

        own = verified(outcome.receipts[0]).event
        assert (own.name, own.peer, own.reference) == (EventName.RelayAcceptance, "fr", reference(theirs[0]))
        (entry,) = await store.reads.mailbox(TOKYO, 0, 10, 1 << 20)
        assert entry.receipts == (*outcome.receipts, *(receipt.receipt for receipt in theirs))
        assert await queue(store) == []
        assert (await store.reads.stats()).payload_count == 0
        assert isinstance(failed(store, RecordRelayed(row, theirs, reference(theirs[0]), NOW)), NotFoundError)

    async def test_receipts_about_another_message_do_not_end_a_relay(self, store: Store) -> None:
        message = incoming(TOKYO, (PARIS,))
        done(store, submission(message, partners=("fr",)))
        (row,) = await queue(store)
        theirs = ForeignLog().receipts(incoming(), EventName.RelayAcceptance)

        assert isinstance(failed(store, RecordRelayed(row, theirs, reference(theirs[0]), NOW)), PeerFailedError)
        assert await queue(store) == [row]

    @pytest.mark.parametrize("how", ["refused", "expired"])
    async def test_sender_learns_that_a_partner_refused_or_that_time_ran_out(self, store: Store, how: str) -> None:
        message = incoming(TOKYO, (PARIS,))
        done(store, submission(message, partners=("fr",)))
        (row,) = await queue(store)

        done(store, RecordRefused(row, "fr", ("no-route",), NOW) if how == "refused" else RecordExpired(row, NOW))

        expected = EventName.RelayRejection if how == "refused" else EventName.RelayFailure
        assert await inbox(store) == [(None, [expected])]
        assert await queue(store) == []
        assert (await store.reads.stats()).payload_count == 0

    async def test_deferred_row_is_not_due_before_its_time(self, store: Store) -> None:
        done(store, submission(incoming(TOKYO), partners=("fr",)))
        (row,) = await queue(store)
        next_at = NOW + timedelta(minutes=5)

        assert done(store, DeferOutbound(row, 3, next_at, "peer-failed")).count == 1

        assert await queue(store) == []
        assert await store.reads.partners_with_due(NOW) == [("fr", next_at)]
        (item,) = await store.reads.due_outbound("fr", OutboundKind.ENVELOPE, next_at, Portion(10, 1 << 20))
        assert (item.outbound_id, item.attempts) == (row, 3)

    async def test_emergency_goes_before_routine(self, store: Store) -> None:
        messages = [incoming(TOKYO, priority=priority) for priority in (0, 2, 1, 2)]
        apply(store, *(submission(message, partners=("fr",)) for message in messages))

        due = await store.reads.due_outbound("fr", OutboundKind.ENVELOPE, NOW, Portion(10, 1 << 20))

        assert [item.raw for item in due] == [messages[at].raw for at in (1, 3, 2, 0)]

    async def test_answers_are_bounded_in_number_and_bytes_but_never_empty(self, store: Store) -> None:
        apply(store, *(submission(incoming(TOKYO, (OSAKA,)), local=(OSAKA,), partners=("fr",)) for _ in range(5)))

        assert len(await store.reads.due_outbound("fr", OutboundKind.ENVELOPE, NOW, Portion(3, 1 << 20))) == 3
        assert len(await store.reads.due_outbound("fr", OutboundKind.ENVELOPE, NOW, Portion(5, 700))) == 2
        assert len(await store.reads.due_outbound("fr", OutboundKind.ENVELOPE, NOW, Portion(5, 1))) == 1
        assert len(await store.reads.mailbox(OSAKA, 0, 3, 1 << 20)) == 3
        assert len(await store.reads.mailbox(OSAKA, 0, 5, 1)) == 1

    async def test_what_is_under_way_is_left_out_and_takes_no_place(self, store: Store) -> None:
        for _ in range(5):
            done(store, submission(incoming(TOKYO), partners=("fr",)))
        rows = await queue(store)
        due = await store.reads.due_outbound("fr", OutboundKind.ENVELOPE, NOW, Portion(2, 1 << 20, tuple(rows[:2])))
        assert [row.outbound_id for row in due] == rows[2:4]

    async def test_partners_are_listed_with_their_earliest_row(self, store: Store) -> None:
        apply(store, *(submission(incoming(TOKYO), partners=(partner,)) for partner in ("fr", "gr", "fr", "de")))

        assert await store.reads.partners_with_due(NOW) == [("de", NOW), ("fr", NOW), ("gr", NOW)]

    # --- Expiry and upkeep -----------------------------------------------------------------------------------

    async def test_what_expired_becomes_a_failure_that_the_sender_sees(self, store: Store) -> None:
        waiting = incoming(TOKYO, (PARIS, OSAKA), expires=NOW - timedelta(seconds=1))
        done(store, submission(waiting, local=(OSAKA,), partners=("fr",)))
        done(store, transfer(incoming()))

        operations = await store.reads.expired(NOW, 100)

        assert {type(operation) for operation in operations} == {RecordExpired, RecordUnclaimed}
        assert all(isinstance(outcome, Done) for outcome in apply(store, *operations).outcomes)
        told = {name for envelope, found in await inbox(store) if envelope is None for name in found}
        assert told == {EventName.ContentConsignmentFailure, EventName.RelayFailure}
        assert await inbox(store, OSAKA) == []
        assert await store.reads.expired(NOW, 100) == []

    async def test_handed_over_message_cannot_be_unclaimed(self, store: Store) -> None:
        message = incoming()
        done(store, transfer(message))
        done(store, stated(message))

        assert isinstance(failed(store, RecordUnclaimed(message.message_id, message.digest, TOKYO, NOW)), NotFoundError)

    async def test_purge_forgets_what_is_done_and_keeps_the_log_and_what_waits(self, store: Store) -> None:
        finished, waits = incoming(), incoming()
        apply(store, transfer(finished), transfer(waits))
        done(store, stated(finished))
        sent = incoming(TOKYO)
        done(store, submission(sent, partners=("fr",)))
        (row,) = await queue(store)
        theirs = ForeignLog().receipts(sent, EventName.RelayAcceptance)
        done(store, RecordRelayed(row, theirs, reference(theirs[0]), NOW))
        size = await store.reads.log_size()

        assert done(store, PurgeDelivered(NOW)).count == 0
        assert done(store, PurgeDelivered(LATER)).count == 2
        assert done(store, PurgeDelivered(LATER)).count == 0

        assert [envelope for envelope, _ in await inbox(store)] == [waits.raw]
        assert len(await queue(store, kind=OutboundKind.RECEIPTS)) == 1
        assert await store.reads.log_size() == size
        assert len(await store.reads.entries(0)) == size

    async def test_entries_keep_from_and_to_which_nations_their_message_went_until_they_are_erased(
        self, store: Store
    ) -> None:
        message, refused = incoming(), incoming()
        done(store, transfer(message))
        done(store, stated(message))
        done(store, RecordRejection(*_of(refused), EventName.RelayRejection, "gr", None, ("expired",), NOW))
        done(store, RecordRejection(*_of(refused), EventName.SubmissionRejection, None, None, ("expired",), NOW))
        done(store, RecordDirectory(1, bytes(32), NOW))
        both = frozenset({message.sender.node, *(recipient.node for recipient in message.recipients)})
        known = [both, both, both, frozenset({"gr"}), frozenset(), frozenset()]

        assert await store.reads.entry_nations(0) == known
        assert await store.reads.message_nations(message.message_id, message.digest) == both
        assert await store.reads.message_origin(message.message_id, message.digest) == MessageOrigin(
            message.sender, NOW
        )
        assert await store.reads.message_origin(message.message_id, bytes(32)) is None
        assert await store.reads.message_nations(message.message_id, bytes(32)) == frozenset()
        done(store, PurgeDelivered(LATER))
        assert await store.reads.entry_nations(0) == known
        assert await store.reads.message_nations(message.message_id, message.digest) == frozenset()
        # The third waits for the sender's node: it stays, and says still whose it is.
        assert done(store, EraseEntries(0, 3)).count == 2
        assert await store.reads.entry_nations(0) == [frozenset(), frozenset(), *known[2:]]

    async def test_sequence_numbers_are_not_used_again_after_a_purge(self, store: Store) -> None:
        message = incoming()
        done(store, transfer(message))
        head = await store.reads.mailbox_head(TOKYO)
        done(store, stated(message))
        done(store, PurgeDelivered(LATER))
        await store.close()
        await store.open()

        done(store, transfer(incoming()))

        (entry,) = await store.reads.mailbox(TOKYO, head, 10, 1 << 20)
        assert entry.seq == await store.reads.mailbox_head(TOKYO) > head
        assert await store.reads.mailbox_page(TOKYO, head, 10, 1 << 20) == ([entry], entry.seq)

    # --- Receipts from other logs ----------------------------------------------------------------------------

    async def test_foreign_receipts_reach_the_sender_once(self, store: Store) -> None:
        message = incoming(TOKYO, (PARIS,))
        done(store, submission(message, partners=("fr",)))
        theirs = ForeignLog().receipts(message, EventName.RelayAcceptance, EventName.ContentConsignment)

        first = done(store, StoreForeignReceipts("fr", theirs, NOW))
        again = done(store, StoreForeignReceipts("fr", theirs, NOW))

        assert (first.count, first.duplicate, again.count, again.duplicate) == (2, False, 0, True)
        (entry,) = await store.reads.mailbox(TOKYO, 0, 10, 1 << 20)
        assert entry.receipts == tuple(receipt.receipt for receipt in theirs)

    async def test_a_relay_takes_custody_of_each_recipient_and_queues_the_envelope_once(self, store: Store) -> None:
        message = incoming(PARIS, (OSAKA, TOKYO, ATHENS))
        operation = relayed(message, ATHENS, OSAKA, local=TOKYO)

        first = done(store, operation)
        again = done(store, operation)

        events = [verified(receipt).event for receipt in first.receipts]
        assert [(event.name, event.peer, event.recipient) for event in events] == [
            (EventName.RelayAcceptance, "fr", None),
            (EventName.ContentConsignment, None, TOKYO),
            (EventName.RelayAcceptance, "fr", ATHENS),
            (EventName.RelayAcceptance, "fr", OSAKA),
        ]
        assert again.receipts == first.receipts
        assert (first.duplicate, again.duplicate) == (False, True)
        (item,) = await store.reads.outbound("gr", OutboundKind.ENVELOPE, 0, 10, 1 << 20)
        assert (item.raw, item.recipients) == (message.raw, (ATHENS, OSAKA))
        assert await store.reads.outbound_items("gr", [item.outbound_id, 999]) == {item.outbound_id: item}
        assert await store.reads.outbound_items("fr", [item.outbound_id]) == {}

    async def test_a_recipient_that_the_relay_did_not_know_at_first_is_taken_care_of_with_the_repeat(
        self, store: Store
    ) -> None:
        message = incoming(PARIS, (OSAKA, ATHENS))
        done(store, relayed(message, ATHENS))

        outcome = done(store, relayed(message, ATHENS, OSAKA))

        assert not outcome.duplicate
        items = await store.reads.outbound("gr", OutboundKind.ENVELOPE, 0, 10, 1 << 20)
        assert [item.recipients for item in items] == [(ATHENS,), (OSAKA,)]
        for item in items:
            done(store, RecordRefused(item.outbound_id, "gr", ("forbidden",), NOW))
        assert (await store.reads.stats()).payload_count == 0

    async def test_the_counts_say_of_each_partner_how_many_emergencies_wait_and_when_the_first_message_is_late(
        self, store: Store
    ) -> None:
        soon, late = NOW + timedelta(hours=8), NOW + timedelta(days=3)
        done(store, relayed(replace(incoming(PARIS, (ATHENS,), expires=late), ack_by=soon), ATHENS))
        done(store, relayed(incoming(PARIS, (ATHENS,), expires=late, priority=2), ATHENS))
        stats = await store.reads.stats()
        assert (stats.emergencies, stats.deadlines) == ({"gr": 1}, {"gr": soon})
        for item in await store.reads.outbound("gr", OutboundKind.ENVELOPE, 0, 10, 1 << 20):
            done(store, RecordRefused(item.outbound_id, "gr", ("forbidden",), NOW))
        after = await store.reads.stats()
        assert (dict(after.emergencies), dict(after.deadlines)) == ({}, {})

    async def test_receipts_of_what_a_relay_handed_on_go_back_the_way_the_message_came(self, store: Store) -> None:
        message = incoming(PARIS, (ATHENS,))
        done(store, relayed(message, ATHENS))
        (item,) = await store.reads.outbound("gr", OutboundKind.ENVELOPE, 0, 10, 1 << 20)
        log = ForeignLog()
        theirs = log.receipts(message, EventName.RelayAcceptance)
        done(store, RecordRelayed(item.outbound_id, theirs, reference(theirs[0]), NOW))
        later = log.receipts(message, EventName.ContentConsignment)
        first = done(store, StoreForeignReceipts("gr", later, NOW))
        again = done(store, StoreForeignReceipts("gr", later, NOW))

        rows = await store.reads.outbound("fr", OutboundKind.RECEIPTS, 0, 10, 1 << 20)

        assert (first.count, again.count, again.duplicate) == (1, 0, True)
        own, foreign, last = [row.receipts for row in rows]
        assert names(own) == [EventName.RelayAcceptance]
        assert foreign == tuple(receipt.receipt for receipt in theirs)
        assert last == tuple(receipt.receipt for receipt in later)
        assert [
            row.receipts
            for row in await store.reads.due_outbound("fr", OutboundKind.RECEIPTS, NOW, Portion(10, 1 << 20))
        ] == [
            own,
            foreign,
            last,
        ]
        assert done(store, MarkReceiptsSent(tuple(row.outbound_id for row in rows))).count == 3
        assert await store.reads.outbound("fr", OutboundKind.RECEIPTS, 0, 10, 1 << 20) == []

    async def test_receipts_that_wait_for_a_partner_outlive_their_message(self, store: Store) -> None:
        message = incoming(PARIS, (ATHENS,))
        done(store, relayed(message, ATHENS))
        (item,) = await store.reads.outbound("gr", OutboundKind.ENVELOPE, 0, 10, 1 << 20)
        theirs = ForeignLog().receipts(message, EventName.RelayAcceptance)
        done(store, RecordRelayed(item.outbound_id, theirs, reference(theirs[0]), NOW))
        while done(store, PurgeDelivered(LATER)).count:
            pass

        rows = await store.reads.outbound("fr", OutboundKind.RECEIPTS, 0, 10, 1 << 20)

        assert [receipt for row in rows for receipt in row.receipts][1:] == [receipt.receipt for receipt in theirs]

    async def test_foreign_receipt_about_a_message_not_submitted_here_is_refused_alone(self, store: Store) -> None:
        ours, passing, unknown = incoming(TOKYO, (PARIS,)), incoming(), incoming()
        done(store, submission(ours, partners=("fr",)))
        done(store, transfer(passing))
        log = ForeignLog()
        theirs = tuple(
            receipt for about in (unknown, ours, passing) for receipt in log.receipts(about, EventName.RelayAcceptance)
        )

        outcome = done(store, StoreForeignReceipts("fr", theirs, NOW))

        assert [(position, type(problem)) for position, problem in outcome.refused] == [
            (0, NotFoundError),
            (2, NotFoundError),
        ]
        assert outcome.count == 1

    async def test_newest_checkpoint_of_another_log_is_remembered(self, store: Store) -> None:
        message = incoming(TOKYO, (PARIS,))
        done(store, submission(message, partners=("fr",)))
        log = ForeignLog()
        older = log.receipts(message, EventName.RelayAcceptance)
        newer = log.receipts(message, EventName.ContentConsignment)
        assert await store.reads.foreign_checkpoint(FR.origin) is None

        done(store, StoreForeignReceipts("fr", newer, NOW))
        done(store, StoreForeignReceipts("fr", older, NOW))

        seen = await store.reads.foreign_checkpoint(FR.origin)
        assert seen is not None
        assert (seen.size, seen.root, seen.note) == (2, newer[0].root, newer[0].receipt.checkpoint)

    async def test_two_trees_of_one_size_are_a_fork_and_nothing_is_stored(self, store: Store) -> None:
        message = incoming(TOKYO, (PARIS,))
        done(store, submission(message, partners=("fr",)))
        one = ForeignLog().receipts(message, EventName.RelayAcceptance, salt=1)
        other = ForeignLog().receipts(message, EventName.RelayAcceptance, salt=2)
        done(store, StoreForeignReceipts("fr", one, NOW))

        assert isinstance(failed(store, StoreForeignReceipts("fr", other, NOW)), LogForkError)
        assert isinstance(
            failed(store, RecordPeerCheckpoint(FR.origin, 1, other[0].root, other[0].receipt.checkpoint, NOW)),
            LogForkError,
        )
        (row,) = await queue(store)
        assert isinstance(failed(store, RecordRelayed(row, other, reference(other[0]), NOW)), LogForkError)

    # --- What was cosigned -----------------------------------------------------------------------------------

    async def test_what_was_cosigned_only_moves_on_from_where_it_stands(self, store: Store) -> None:
        roots = [sha256(bytes([size])).digest() for size in range(10)]
        assert await store.reads.cosigned(FR.origin) is None
        for wrong in (1, 3):
            refused = failed(store, RecordCosigned(FR.origin, wrong, 3, roots[3], b"note 3"))
            assert isinstance(refused, OldSizeError)
            assert refused.size == 0

        done(store, RecordCosigned(FR.origin, 0, 3, roots[3], b"note 3"))
        done(store, RecordCosigned(FR.origin, 3, 3, roots[3], b"note 3 again"))
        done(store, RecordCosigned(FR.origin, 3, 7, roots[7], b"note 7"))
        late = failed(store, RecordCosigned(FR.origin, 3, 5, roots[5], b"note 5"))

        assert isinstance(late, OldSizeError)
        assert late.size == 7
        kept = await store.reads.cosigned(FR.origin)
        assert kept is not None
        assert (kept.size, kept.root, kept.note) == (7, roots[7], b"note 7")
        assert await store.reads.cosigned("another.example/log") is None
        assert await store.reads.foreign_checkpoint(FR.origin) is None

    async def test_of_two_cosignings_in_one_batch_the_second_must_follow_the_first(self, store: Store) -> None:
        root = bytes(32)
        applied = apply(
            store,
            RecordCosigned(FR.origin, 0, 2, root, b"first"),
            RecordCosigned(FR.origin, 0, 4, root, b"raced"),
            RecordCosigned(FR.origin, 2, 4, root, b"second"),
        )
        assert [isinstance(outcome, Done) for outcome in applied.outcomes] == [True, False, True]
        assert await store.reads.log_size() == 0  # nothing of this is an event

    async def test_what_was_cosigned_is_found_again(self, tmp_path: Path) -> None:
        store = self.new_store(tmp_path)
        await store.open()
        done(store, FoundLog(NOW))
        done(store, RecordCosigned(FR.origin, 0, 7, bytes(32), b"note"))
        await store.close()
        again = self.new_store(tmp_path)
        await again.open()
        kept, heads = await again.reads.cosigned(FR.origin), await again.reads.cosigned_heads()
        await again.close()
        assert kept is not None
        assert heads == [kept]
        assert kept.size == 7

    async def test_two_entries_at_one_index_are_a_conflict_and_nothing_is_stored(self, store: Store) -> None:
        message = incoming(TOKYO, (PARIS,))
        done(store, submission(message, partners=("fr",)))
        (kept,) = ForeignLog().receipts(message, EventName.RelayAcceptance, salt=1)
        done(store, StoreForeignReceipts("fr", (kept,), NOW))
        two = ForeignLog().receipts(message, EventName.RelayAcceptance, EventName.ContentConsignment, salt=2)

        conflict = failed(store, StoreForeignReceipts("fr", two, NOW))

        assert isinstance(conflict, LogConflictError)
        assert (conflict.kept, conflict.shown) == (kept.receipt, two[0].receipt)
        (row,) = await queue(store)
        assert isinstance(failed(store, RecordRelayed(row, two, reference(two[0]), NOW)), LogConflictError)

    async def test_checkpoints_with_receipts_are_found_by_log_and_number_and_the_receipts_by_them(
        self, store: Store
    ) -> None:
        message = incoming(TOKYO, (PARIS,))
        done(store, submission(message, partners=("fr",)))
        log = ForeignLog()
        first = log.receipts(message, EventName.RelayAcceptance)
        second = log.receipts(message, EventName.ContentConsignment)
        done(store, StoreForeignReceipts("fr", first, NOW))
        done(store, StoreForeignReceipts("fr", second, NOW))

        found = await store.reads.foreign_notes(FR.origin, 0, 10)

        notes = [first[0].receipt.checkpoint, second[0].receipt.checkpoint]
        assert [note for _, note in found] == notes
        assert await store.reads.foreign_notes(FR.origin, found[0][0], 10) == found[1:]
        assert await store.reads.foreign_notes(FR.origin, 0, 1) == found[:1]
        assert await store.reads.foreign_notes("test-federation/f", 0, 10) == []
        assert await store.reads.foreign_receipt(notes[1]) == second[0].receipt
        assert await store.reads.foreign_receipt(b"another") is None
        assert [head.note for head in await store.reads.foreign_heads()] == notes[1:]

    # --- The log ---------------------------------------------------------------------------------------------

    async def test_log_is_founded_once(self, store: Store) -> None:
        assert open_checkpoint(await store.reads.checkpoint(), JP.verifier).size == 0
        assert isinstance(failed(store, FoundLog(NOW)), LogForkError)

    async def test_each_checkpoint_extends_the_one_before_and_every_leaf_is_under_it(self, store: Store) -> None:
        checkpoints = [open_checkpoint(await store.reads.checkpoint(), JP.verifier)]
        for count in (1, 120, 3, 300, 64):
            apply(store, *(transfer(incoming()) for _ in range(count)))
            checkpoints.append(open_checkpoint(await store.reads.checkpoint(), JP.verifier))

        last = checkpoints[-1]
        for old in checkpoints[1:]:
            proof = await store.reads.consistency_path(old.size)
            verify_consistency(old.size, old.root, last.size, last.root, proof)
            assert store.root_at(old.size) == old.root
        for index in range(0, last.size, 37):
            leaf = await store.reads.leaf(index)
            verify_inclusion(leaf_hash(leaf), index, last.size, await store.reads.inclusion_path(index), last.root)
            assert verified(await store.reads.receipt(index)).index == index

    async def test_tiles_and_bundles_hold_the_whole_log(self, store: Store) -> None:
        apply(store, *(transfer(incoming()) for _ in range(300)))
        leaves = [leaf for bundle in range(3) for leaf in await store.reads.entries(bundle)]

        assert len(leaves) == 600
        assert b"".join([await store.reads.tile(0, index) for index in range(3)]) == b"".join(map(leaf_hash, leaves))
        assert len(await store.reads.tile(1, 0)) == 2 * 32
        for missing in (
            store.reads.tile(0, 3),
            store.reads.tile(2, 0),
            store.reads.entries(3),
            store.reads.leaf(600),
            store.reads.receipt(600),
        ):
            with pytest.raises(LogUnavailableError):
                await missing

    async def test_batch_without_events_signs_no_checkpoint(self, store: Store) -> None:
        before = await store.reads.checkpoint()
        applied = apply(store, DeferOutbound(77, 1, NOW, "peer-failed"), MarkReceiptsSent((1, 2)))

        assert applied.note == before == await store.reads.checkpoint()

    async def test_readers_see_nothing_of_a_batch_before_its_release(self, store: Store) -> None:
        before = await store.reads.checkpoint()
        message = incoming(OSAKA, (TOKYO, PARIS))
        store.apply((submission(message, local=(TOKYO,), partners=("fr",)),), sign)

        assert await inbox(store) == []
        assert await store.reads.mailbox_head(TOKYO) == 0
        assert await queue(store) == []
        assert await store.reads.partners_with_due(NOW) == []
        assert (await store.reads.checkpoint(), await store.reads.log_size()) == (before, 0)
        with pytest.raises(LogUnavailableError):
            await store.reads.receipt(0)
        with pytest.raises(LogUnavailableError):
            await store.reads.tile(0, 0)

        store.release()
        assert len(await inbox(store)) == 1
        assert await store.reads.log_size() == 2

    async def test_second_process_cannot_open_the_store(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(StoreInUseError):
            await self.new_store(tmp_path).open()

    async def test_failing_signer_leaves_everything_as_it_was(self, store: Store) -> None:
        apply(store, *(transfer(incoming()) for _ in range(130)))
        size, root = store.size(), store.root_at(store.size())
        message = incoming()

        def broken(checkpoint: Checkpoint, at: datetime) -> bytes:
            raise RuntimeError("the signer is gone")

        with pytest.raises(RuntimeError):
            store.apply([transfer(message), *(transfer(incoming()) for _ in range(5))], broken)

        assert (store.size(), store.root_at(store.size())) == (size, root)
        outcome = done(store, transfer(message))
        assert verified(outcome.receipts[0]).index == size
        assert not outcome.duplicate

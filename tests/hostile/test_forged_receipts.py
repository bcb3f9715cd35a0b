"""Logs that sign what they may not: each entry is in the log, rightly signed, and breaks one rule. None counts."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from keys.directory.cards import CardStatus, Hosting
from keys.members.federation import with_revoked_key, with_status
from node.log.sequencer import Sequencer
from node.log.wakeups import Wakeups
from node.relay.context import RelayContext
from node.relay.receipt_intake import take_receipts
from node.store.file_operations import RecordFilesTaken
from node.store.operations import DeferOutbound, Done, Failed, MarkReceiptsSent, Operation, Outcome, RecordRelayed
from node.store.reads import OutboundItem, OutboundKind
from protocol.address import Address
from protocol.crypto.signing import Signer
from protocol.envelope import Envelope
from protocol.errors import (
    ComityError,
    ForbiddenError,
    LogForkError,
    NotFoundError,
    NotRecordedError,
    PeerFailedError,
    RevokedError,
    SignatureInvalidError,
    UnknownContactPointError,
    UnknownKeyError,
)
from protocol.event import DESK_EVENTS, Event, EventName, encode_event
from protocol.files.logged import LoggedFiles
from protocol.http.wire import EnvelopeAnswer
from protocol.log.checkpoint import SoftLogSigner
from protocol.receipt import Receipt, VerifiedReceipt
from protocol.statement import DeskStatement, sign_statement
from tests.worlds.forged_log import receipt as receipt_of
from tests.worlds.nodes import World

PARIS = Address.parse("24-7@fr")
AT_RECIPIENT = (*sorted(DESK_EVENTS), EventName.ContentConsignment, EventName.ContentConsignmentFailure)


@dataclass
class Log:
    """A log that enters whatever it is told to, under the true keys of a member."""

    signer: SoftLogSigner
    leaves: list[bytes] = field(default_factory=list)

    def receipt(self, event: Event) -> Receipt:
        """The receipt of a new entry."""
        self.leaves.append(encode_event(event))
        return receipt_of(list(self.leaves), len(self.leaves) - 1, event.at, self.signer)


class Forger:
    """Signs with one key under the id of another."""

    def __init__(self, named: Signer, own: Signer) -> None:
        self.public_key, self.kid = named.public_key, named.kid
        self._own = own

    def sign(self, message: bytes) -> bytes:
        """A signature that does not verify under the key that it names."""
        return self._own.sign(message)


@dataclass
class Stage:
    """The node jp, which sent a message to Paris, and the log of every node."""

    world: World
    relay: RelayContext
    envelope: Envelope
    logs: dict[str, Log]

    @property
    def now(self) -> datetime:
        return self.world.clock()

    def event(self, name: EventName, **fields: Any) -> Event:
        """An event about the message; negative ones have their reason."""
        reasons = ("unknown-key",) if name.negative else ()
        said = {"at": self.now, "message_id": self.envelope.routing.id, "digest": self.envelope.digest}
        files = LoggedFiles(bytes(32), None, 1, bytes(32)) if name.of_files else None
        return Event(name, salt=os.urandom(16), **{"reasons": reasons, "files": files, **said, **fields})

    def stated(self, name: EventName, signer: Signer, recipient: Address = PARIS, **fields: Any) -> Event:
        """An event of the desk ``recipient`` with its statement."""
        event = self.event(name, recipient=recipient, **{"statement": b"-", **fields})
        said = DeskStatement(name, event.message_id, event.digest, recipient, event.at, event.reasons, event.files)
        return replace(event, statement=sign_statement(said, signer))

    def at_recipient(self, name: EventName, **fields: Any) -> Event:
        """An honest event of the recipient's node."""
        if name in DESK_EVENTS:
            return self.stated(name, self.world.desks["24-7@fr"].signer(), **fields)
        return self.event(name, recipient=PARIS, **fields)

    def refused(self, receipt: Receipt, problem: type[ComityError]) -> None:
        """The judge refuses it for that reason and no other."""
        with pytest.raises(problem) as caught:
            self.relay.judge.prove(receipt)
        assert type(caught.value) is problem


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    world = World.of(tmp_path, "jp", "fr", "us")
    node = await world.start("jp", offline=True)
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    envelope = world.seal(tokyo, [paris])
    assert (await world.submit(tokyo, envelope))[0].code is None
    logs = {
        name: Log(SoftLogSigner(f"test-federation/{name}", keys.log_ed25519_seed, keys.log_mldsa_seed))
        for name, keys in world.node_keys.items()
    }
    yield Stage(world, node.relay, envelope, logs)
    await world.close()


async def test_what_a_recipients_node_and_desk_truly_say_counts(stage: Stage) -> None:
    for name in AT_RECIPIENT:
        assert stage.relay.judge.prove(stage.logs["fr"].receipt(stage.at_recipient(name))).event.name is name


async def test_a_statement_that_the_desk_did_not_sign_does_not_count(stage: Stage) -> None:
    paris, tokyo = stage.world.desks["24-7@fr"].signer(), stage.world.desks["24-7@jp"].signer()
    for name in DESK_EVENTS:
        forged = stage.stated(name, Forger(paris, tokyo))
        stage.refused(stage.logs["fr"].receipt(forged), SignatureInvalidError)


async def test_a_statement_under_a_key_of_somebody_else_does_not_count(stage: Stage) -> None:
    for name in DESK_EVENTS:
        for signer in (stage.world.desks["24-7@jp"].signer(), stage.world.node_keys["fr"].signer()):
            stage.refused(stage.logs["fr"].receipt(stage.stated(name, signer)), UnknownKeyError)


async def test_a_statement_of_another_desk_does_not_count(stage: Stage) -> None:
    """The event says Paris, the statement in it Tokyo: rightly signed by Tokyo."""
    tokyo = stage.world.desks["24-7@jp"]
    own = stage.stated(EventName.ContentHandover, tokyo.signer(), tokyo.address)
    with pytest.raises(ComityError) as caught:
        stage.relay.judge.prove(stage.logs["fr"].receipt(replace(own, recipient=PARIS)))
    assert caught.value.code == "malformed"


async def test_a_statement_under_a_key_that_was_revoked_before_does_not_count(stage: Stage) -> None:
    world, paris = stage.world, stage.world.desks["24-7@fr"]
    world.publish("fr", with_revoked_key(paris.card, paris.signer().kid, stage.now))
    await stage.relay.node.directory.refresh()
    for name in DESK_EVENTS:
        event = stage.stated(name, paris.signer(), at=stage.now + timedelta(minutes=1))
        stage.refused(stage.logs["fr"].receipt(event), RevokedError)


async def test_a_statement_of_a_desk_that_was_revoked_before_does_not_count(stage: Stage) -> None:
    world, paris = stage.world, stage.world.desks["24-7@fr"]
    world.publish("fr", with_status(paris.card, CardStatus.REVOKED, stage.now))
    await stage.relay.node.directory.refresh()
    event = stage.stated(EventName.ContentHandover, paris.signer(), at=stage.now + timedelta(minutes=1))
    stage.refused(stage.logs["fr"].receipt(event), RevokedError)


async def test_a_node_that_does_not_serve_the_recipient_cannot_say_what_happened_there(stage: Stage) -> None:
    for host in ("us", "jp"):
        for name in AT_RECIPIENT:
            stage.refused(stage.logs[host].receipt(stage.at_recipient(name)), ForbiddenError)


async def test_nothing_counts_about_a_recipient_whom_the_directory_does_not_know(stage: Stage) -> None:
    nobody = Address.parse("nobody@fr")
    stage.refused(
        stage.logs["fr"].receipt(stage.event(EventName.ContentConsignment, recipient=nobody)), UnknownContactPointError
    )


async def test_a_receipt_of_another_members_log_is_not_the_partners_word(stage: Stage) -> None:
    foreign = stage.logs["us"].receipt(stage.event(EventName.RelayAcceptance, peer="jp"))
    assert stage.relay.judge.judge(foreign, "us").event.peer == "jp"
    with pytest.raises(PeerFailedError):
        stage.relay.judge.judge(foreign, "fr")


class Distrusting:
    """Takes the place of the witness: some nodes are not trusted, or some entries are dated falsely."""

    def __init__(self, problem: ComityError, trusts: Callable[[str], bool], dated: bool = True) -> None:
        self._problem, self._trusts, self._dated = problem, trusts, dated

    def require_trusted(self, node: str) -> None:
        """See :class:`~node.monitor.monitor.Monitor`."""
        if not self._trusts(node):
            raise self._problem

    def require_dated(self, node: str, receipt: VerifiedReceipt) -> None:
        """See :class:`~node.monitor.monitor.Monitor`."""
        if not self._dated:
            raise self._problem


async def test_what_a_log_says_that_contradicted_itself_or_dates_falsely_does_not_count(stage: Stage) -> None:
    judge, fork = stage.relay.judge, LogForkError("two trees of one size")
    consigned = stage.logs["fr"].receipt(stage.at_recipient(EventName.ContentConsignment))
    foreign = stage.logs["us"].receipt(stage.event(EventName.RelayAcceptance, peer="jp"))
    for witness in (Distrusting(fork, lambda node: node != "fr"), Distrusting(fork, lambda node: True, dated=False)):
        judge._monitor = witness  # type: ignore[assignment]
        with pytest.raises(LogForkError):
            judge.prove(consigned)
    judge._monitor = Distrusting(fork, lambda node: node != "fr")  # type: ignore[assignment]
    with pytest.raises(LogForkError):
        judge.judge(foreign, "fr")


async def test_a_node_on_the_way_may_name_a_recipient_and_a_recipients_node_need_not(stage: Stage) -> None:
    for node, event in (
        ("us", stage.event(EventName.RelayAcceptance, peer="jp", recipient=PARIS)),
        ("fr", stage.event(EventName.ContentConsignment)),
    ):
        assert stage.relay.judge.prove(stage.logs[node].receipt(event)).event.recipient == event.recipient


# --- Receipts that a partner brings --------------------------------------------------------------------------------


async def test_of_the_receipts_that_a_partner_brings_only_true_ones_are_kept(stage: Stage) -> None:
    world = stage.world
    paris, tokyo = world.desks["24-7@fr"].signer(), world.desks["24-7@jp"].signer()
    outcomes = EventName.ContentHandover
    brought = [
        (stage.logs["fr"].receipt(stage.stated(outcomes, Forger(paris, tokyo))), "signature-invalid"),
        (stage.logs["fr"].receipt(stage.stated(outcomes, tokyo)), "unknown-key"),
        (stage.logs["us"].receipt(stage.stated(outcomes, paris)), "forbidden"),
        (stage.logs["us"].receipt(stage.at_recipient(EventName.ContentConsignment)), "forbidden"),
        (stage.logs["jp"].receipt(stage.event(EventName.SubmissionAcceptance)), "forbidden"),
        (stage.logs["fr"].receipt(stage.at_recipient(outcomes, digest=bytes(32))), "not-found"),
        (stage.logs["fr"].receipt(stage.at_recipient(EventName.ContentConsignment)), None),
        (stage.logs["fr"].receipt(stage.stated(outcomes, paris)), None),
    ]
    verdicts = await take_receipts(stage.relay, "fr", [receipt for receipt, _ in brought])
    assert [None if verdict is None else verdict.code for verdict in verdicts] == [code for _, code in brought]
    own = verdicts[4]
    assert own is not None
    assert "own log" in own.detail
    entries, _ = await world.mailbox(world.desks["24-7@jp"])
    kept = [receipt.leaf for entry in entries for receipt in entry.receipts if receipt.leaf in stage.logs["fr"].leaves]
    assert sorted(kept) == sorted(receipt.leaf for receipt, code in brought if code is None)


async def hosted_in_turn(stage: Stage) -> None:
    """Paris is served by us for ten minutes from now on, then by fr again. Ten minutes later a message is made."""
    world, paris = stage.world, stage.world.desks["24-7@fr"]
    hosting: tuple[Hosting, ...] = ()
    for host in ("us", "fr"):
        hosting = (*hosting, Hosting(node=host, since=stage.now))
        world.publish("fr", paris.card.model_copy(update={"hosting": hosting, "updated_at": stage.now}))
        world.clock.shift += timedelta(minutes=10)
    await stage.relay.node.directory.refresh()
    stage.envelope = world.seal(world.desks["24-7@jp"], [paris])
    assert (await world.submit(world.desks["24-7@jp"], stage.envelope))[0].code is None


async def test_a_node_that_served_the_recipient_until_the_message_was_made_cannot_say_what_happened_there(
    stage: Stage,
) -> None:
    before = stage.at_recipient(EventName.ContentConsignment, at=stage.now + timedelta(minutes=5))
    await hosted_in_turn(stage)
    since = stage.at_recipient(EventName.ContentConsignment)
    brought = [
        (stage.logs["us"].receipt(since), "forbidden"),
        (stage.logs["us"].receipt(before), None),
        (stage.logs["fr"].receipt(since), None),
    ]
    verdicts = await take_receipts(stage.relay, "us", [receipt for receipt, _ in brought])
    assert [None if verdict is None else verdict.code for verdict in verdicts] == [code for _, code in brought]
    accepted = stage.event(EventName.RelayAcceptance, peer="jp")
    for node, counts in (("us", False), ("fr", True)):
        log = stage.logs[node]
        operation = await outcome(stage, [log.receipt(accepted), log.receipt(since)], partner=node)
        assert isinstance(operation, RecordRelayed) is counts


async def test_of_a_message_that_is_known_here_no_other_node_can_say_that_it_was_submitted_there(stage: Stage) -> None:
    submitted = stage.logs["us"].receipt(stage.event(EventName.SubmissionAcceptance))
    (verdict,) = await take_receipts(stage.relay, "us", [submitted])
    assert verdict is not None
    assert verdict.code == "forbidden"


async def test_only_a_log_that_took_all_files_from_this_node_ends_their_sending(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file, another event, another giver: each is a true entry, and none says that the log's node has them all."""
    submitted: list[Operation] = []
    sequencer = stage.relay.node.sequencer
    submit_many = sequencer.submit_many

    async def noted(operations: Sequence[Operation]) -> list[Outcome]:
        submitted.extend(operations)
        return await submit_many(operations)

    monkeypatch.setattr(sequencer, "submit_many", noted)
    taken, one_file = EventName.FileRelayAcceptance, LoggedFiles(bytes(32), bytes(32), 1, bytes(32))
    for event, ends in (
        (stage.event(taken, peer="jp", files=one_file), False),
        (stage.event(EventName.FileDeletion, peer="jp"), False),
        (stage.event(EventName.RelayAcceptance, peer="jp"), False),
        (stage.event(taken, peer="us"), False),
        (stage.event(taken), False),
        (stage.event(taken, peer="jp"), True),
    ):
        submitted.clear()
        verdicts = await take_receipts(stage.relay, "fr", [stage.logs["fr"].receipt(event)])
        assert verdicts == [None]
        ended = [one for one in submitted if isinstance(one, RecordFilesTaken)]
        told = [(one.message_id, one.digest, one.partner, one.files) for one in ended]
        assert told == ([(event.message_id, event.digest, "fr", event.files)] if ends else [])


# --- Answers to an envelope ----------------------------------------------------------------------------------------


def queued(stage: Stage, number: int = 1, recipients: tuple[Address, ...] = (PARIS,)) -> OutboundItem:
    """The message to the node fr, as it stands in the queue."""
    envelope = stage.envelope
    return OutboundItem(number, OutboundKind.ENVELOPE, envelope.raw, (), 0, stage.now, envelope.digest, recipients)


class Recorded:
    """Takes the place of the sequencer: keeps what was to be written, and answers what it was told to."""

    def __init__(self, stage: Stage, *outcomes: Done | Failed) -> None:
        self.operations: list[Any] = []
        self.wakeups = Wakeups()
        self._outcomes = outcomes
        stage.relay.outcomes._node = replace(stage.relay.node, sequencer=cast(Sequencer, self))

    async def submit_many(self, operations: Sequence[Any]) -> Sequence[Any]:
        """See :class:`~node.log.sequencer.Sequencer`."""
        self.operations.extend(operations)
        return self._outcomes or [Done()] * len(operations)


async def outcome(
    stage: Stage, receipts: Sequence[Receipt], recipients: tuple[Address, ...] = (PARIS,), partner: str = "fr"
) -> Any:
    """What the node would record of such an answer of a partner."""
    recorded = Recorded(stage)
    item = queued(stage, recipients=recipients)
    problem = await stage.relay.outcomes.answered(partner, [item], [EnvelopeAnswer(tuple(receipts))])
    (operation,) = recorded.operations
    assert (problem is None) == isinstance(operation, RecordRelayed)
    return operation


async def test_an_envelope_leaves_the_queue_only_for_the_partners_own_word_about_all_its_recipients(
    stage: Stage,
) -> None:
    fr, us = stage.logs["fr"], stage.logs["us"]
    accepted = stage.event(EventName.RelayAcceptance, peer="jp")
    consigned = stage.at_recipient(EventName.ContentConsignment)
    other = {"digest": b"\x01" * 32}
    assert isinstance(await outcome(stage, [fr.receipt(accepted), fr.receipt(consigned)]), RecordRelayed)
    onward = stage.event(EventName.RelayAcceptance, peer="jp", recipient=PARIS)
    assert isinstance(await outcome(stage, [fr.receipt(accepted), fr.receipt(onward)]), RecordRelayed)
    refused = {
        "no acceptance": [fr.receipt(consigned)],
        "no recipient": [fr.receipt(accepted)],
        "refused": [fr.receipt(stage.event(EventName.RelayRejection, peer="jp")), fr.receipt(consigned)],
        "none at all": [],
        "accepted from another node": [
            fr.receipt(stage.event(EventName.RelayAcceptance, peer="us")),
            fr.receipt(consigned),
        ],
        "accepted by another log": [us.receipt(accepted), fr.receipt(consigned)],
        "passed on for another node": [
            fr.receipt(accepted),
            fr.receipt(stage.event(EventName.RelayAcceptance, peer="us", recipient=PARIS)),
        ],
        "another message accepted": [
            fr.receipt(stage.event(EventName.RelayAcceptance, peer="jp", **other)),
            fr.receipt(consigned),
        ],
        "another message consigned": [
            fr.receipt(accepted),
            fr.receipt(stage.at_recipient(EventName.ContentConsignment, **other)),
        ],
        "not consigned": [fr.receipt(accepted), fr.receipt(stage.at_recipient(EventName.ContentConsignmentFailure))],
    }
    for what, receipts in refused.items():
        assert isinstance(await outcome(stage, receipts), DeferOutbound), what
    assert isinstance(await outcome(stage, [fr.receipt(accepted)], ()), DeferOutbound)
    both = (PARIS, Address.parse("24-7@us"))
    one_of_two = [fr.receipt(accepted), fr.receipt(consigned)]
    assert isinstance(await outcome(stage, one_of_two, both), DeferOutbound)


def honest_answer(stage: Stage) -> EnvelopeAnswer:
    """What the node fr truly answers to the message."""
    accepted = stage.event(EventName.RelayAcceptance, peer="jp")
    consigned = stage.at_recipient(EventName.ContentConsignment)
    return EnvelopeAnswer(tuple(stage.logs["fr"].receipt(event) for event in (accepted, consigned)))


async def test_one_answer_that_does_not_hold_is_told_wherever_it_stands_among_good_ones(stage: Stage) -> None:
    good, empty = honest_answer(stage), EnvelopeAnswer(())
    for answers in ([empty, good], [good, empty]):
        recorded = Recorded(stage)
        problem = await stage.relay.outcomes.answered("fr", [queued(stage, 1), queued(stage, 2)], answers)
        assert type(problem) is PeerFailedError
        kinds = [RecordRelayed if answer is good else DeferOutbound for answer in answers]
        assert [type(operation) for operation in recorded.operations] == kinds


async def test_an_answer_that_contradicts_the_partners_log_keeps_the_message_and_is_told_as_such(stage: Stage) -> None:
    """The log of fr shows another tree of a size that it had signed before."""
    outcomes, judge = stage.relay.outcomes, stage.relay.judge
    fork = LogForkError("two trees of one size")

    class Witness:
        def require_trusted(self, partner: str) -> None:
            raise fork

    judge._monitor = Witness()  # type: ignore[assignment]
    recorded = Recorded(stage)
    assert await outcomes.answered("fr", [queued(stage)], [honest_answer(stage)]) is fork
    (operation,) = recorded.operations
    assert (type(operation), operation.error_code) == (DeferOutbound, fork.code)


async def test_only_a_contradiction_in_what_a_partner_proved_accuses_it(stage: Stage) -> None:
    outcomes, fork = stage.relay.outcomes, LogForkError("two trees of one size")
    accused: list[tuple[str, ComityError]] = []

    class Witness:
        def contradicted(self, partner: str, problem: LogForkError, *notes: bytes) -> None:
            assert notes
            accused.append((partner, problem))

    outcomes._monitor = Witness()  # type: ignore[assignment]
    relayed = await outcome(stage, honest_answer(stage).receipts)
    deferred = outcomes.defer(queued(stage), PeerFailedError("no"))
    written: list[tuple[Any, Any, type[ComityError] | None]] = [
        (relayed, Done(), None),
        (relayed, Failed(NotFoundError("recorded before")), None),
        (relayed, Failed(ForbiddenError("no")), NotRecordedError),
        (deferred, Failed(fork), NotRecordedError),
    ]
    for operation, said, problem in written:
        Recorded(stage, said)
        told = await outcomes.write("fr", [operation])
        assert (None if told is None else type(told)) is problem
    assert not accused
    Recorded(stage, Failed(fork))
    assert await outcomes.write("fr", [relayed]) is fork
    assert accused == [("fr", fork)]


async def test_an_answer_that_could_not_be_recorded_is_told(stage: Stage) -> None:
    Recorded(stage, Failed(ForbiddenError("no")))
    problem = await stage.relay.outcomes.answered("fr", [queued(stage)], [honest_answer(stage)])
    assert type(problem) is NotRecordedError


async def test_a_receipt_leaves_the_queue_when_it_stands_or_is_refused_for_good(stage: Stage) -> None:
    outcomes = stage.relay.outcomes
    cases: list[tuple[list[ComityError | None], type[Any]]] = [
        ([None], MarkReceiptsSent),
        ([None, ForbiddenError("no")], MarkReceiptsSent),
        ([None, PeerFailedError("later")], DeferOutbound),
        ([ForbiddenError("no"), PeerFailedError("later")], DeferOutbound),
    ]
    for verdicts, kind in cases:
        recorded = Recorded(stage)
        assert await outcomes.judged("fr", [queued(stage)], [verdicts]) is None
        assert [type(operation) for operation in recorded.operations] == [kind]
    recorded = Recorded(stage)
    await outcomes.judged("fr", [queued(stage, 1), queued(stage, 2)], [[None], [PeerFailedError("later")]])
    sent = [operation for operation in recorded.operations if isinstance(operation, MarkReceiptsSent)]
    assert sent == [MarkReceiptsSent((1,))]


# --- Statements that a desk submits ----------------------------------------------------------------------------------


async def test_a_node_logs_no_statement_that_is_not_the_callers_own_true_and_timely_word(stage: Stage) -> None:
    world = stage.world
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    note = world.seal(tokyo, [tokyo])
    await world.submit(tokyo, note)
    said = DeskStatement(EventName.ContentHandover, note.routing.id, note.digest, tokyo.address, stage.now)
    own, late = tokyo.signer(), replace(said, at=stage.now + timedelta(minutes=6))
    before = await stage.relay.node.store.reads.log_size()
    cases = {
        "signature-invalid": sign_statement(said, Forger(own, paris.signer())),
        "unknown-key": sign_statement(said, paris.signer()),
        "forbidden": sign_statement(replace(said, recipient=PARIS), own),
        "not-yet-valid": sign_statement(late, own),
        "not-found": sign_statement(replace(said, digest=bytes(32)), own),
    }
    for code, statement in cases.items():
        (answer,) = await stage.relay.intake.state([statement], tokyo.address)
        assert answer.refusal is not None
        assert answer.refusal.code == code
    assert await stage.relay.node.store.reads.log_size() == before
    (true,) = await stage.relay.intake.state([sign_statement(said, own)], tokyo.address)
    assert true.refusal is None


async def test_a_desk_submits_no_envelope_of_another_sender(stage: Stage) -> None:
    world = stage.world
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    foreign = world.seal(paris, [tokyo])
    (answer,) = await stage.relay.intake.submit([foreign.raw], tokyo.address)
    assert answer.refusal is not None
    assert answer.refusal.code == "sender-mismatch"


async def test_a_node_takes_envelopes_and_statements_by_its_own_clock(stage: Stage) -> None:
    world, intake = stage.world, stage.relay.intake
    tokyo = world.desks["24-7@jp"]
    note = world.seal(tokyo, [tokyo])
    now = note.routing.created
    intake._clock = lambda: note.routing.expires
    (answer,) = await intake.submit([note.raw], tokyo.address)
    assert answer.refusal is not None
    assert answer.refusal.code == "expired"
    intake._clock = lambda: now
    await intake.submit([note.raw], tokyo.address)
    edge = now + timedelta(minutes=5)
    for at, code in ((edge + timedelta(milliseconds=1), "not-yet-valid"), (edge, None)):
        said = DeskStatement(EventName.ContentHandover, note.routing.id, note.digest, tokyo.address, at)
        (answer,) = await intake.state([sign_statement(said, tokyo.signer())], tokyo.address)
        assert (answer.refusal.code if answer.refusal else None) == code


async def test_a_refusal_is_logged_when_it_is_final_and_of_an_envelope(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake, store = stage.relay.intake, stage.relay.node.store
    tokyo = stage.world.desks["24-7@jp"]
    note = stage.world.seal(tokyo, [tokyo])
    before = await store.reads.log_size()
    (answer,) = await intake.submit([b"no envelope"], tokyo.address)
    assert answer.refusal is not None
    assert await store.reads.log_size() == before
    for problem, logged in ((PeerFailedError("later"), 0), (ForbiddenError("no"), 1)):

        def refuse(*_: object, problem: ComityError = problem) -> None:
            raise problem

        monkeypatch.setattr(intake, "_admit", refuse)
        (answer,) = await intake.submit([note.raw], tokyo.address)
        assert answer.refusal is problem
        assert await store.reads.log_size() == before + logged

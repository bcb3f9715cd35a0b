"""Receiving: every check that a message must pass before anything of it is shown, and what is stated of it.

Rules, in this order; the first that fails names the code under which the message is kept in quarantine:
1. The envelope is well formed, and no other message of its id is kept.
2. It is signed by a key that the directory lists for its sender, valid when our node logged it.
3. It is addressed to this desk and sealed to a key that this desk holds, and its time has not passed.
4. The opened content is what the sender committed to.
5. The content is a message, and its id, sender and recipients are those of the routing header.
6. If an officer signed it, the signature is that of the key it names over this content.
7. The message that it passes on may be passed on, to this desk, under these labels
   (:mod:`protocol.messages.passing_on`).
8. If content was offered, it gives exactly that (:mod:`protocol.messages.types.consent`).

A page is stored as a whole with the cursor behind it, together with the statements still to be made; only then are they
made. Blocking; runs in the desk's thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID

from exchange.cases.calls import phone_card
from exchange.cases.listing import inbox_rows, quarantine_row
from exchange.context.desk_context import DeskContext
from exchange.files.book import FileBook
from exchange.messaging.receipts import JudgedReceipt, ReceiptJudge, readable
from exchange.office.processing_log import ProcessingLog
from exchange.store.rows import (
    CardSeen,
    Head,
    MessageRef,
    PendingStatement,
    Place,
    Quarantined,
    RecipientDelivery,
    Refusal,
    StoredMessage,
    StoredReceipt,
)
from exchange.views import Direction, SyncResult
from protocol.address import node_of
from protocol.crypto.hpke import Opener
from protocol.encoding.instants import truncate
from protocol.encoding.phrase import phrase
from protocol.envelope import Envelope, open_envelope, parse_envelope, verify_envelope
from protocol.errors import (
    ComityError,
    IdConflictError,
    RoutingMismatchError,
    SenderMismatchError,
    UnknownContactPointError,
    UnknownKeyError,
    UnknownNodeError,
)
from protocol.event import MAX_REASON_CHARS, Event, EventName
from protocol.files.logged import LoggedFiles
from protocol.http.wire import EnvelopeAnswer, MailboxEntry, MailboxPage
from protocol.processing_log import Operation
from protocol.receipt import Receipt
from protocol.statement import DeskStatement, parse_statement, sign_statement

if TYPE_CHECKING:
    from protocol.messages.schema.base import Message


# Receipts that no message of this desk can be found for are kept under this digest.
UNATTRIBUTED = bytes(32)
_MAY_BE_NEW = (UnknownKeyError, UnknownContactPointError, UnknownNodeError)
_LOGGED_HERE = frozenset(
    {EventName.SubmissionAcceptance, EventName.RelayAcceptance, EventName.ContentConsignment},
)


# The types whose rules look at what they carry: only they are asked for it.
_CARRYING = frozenset({"forward", "answer", "information.spontaneous"})


@dataclass(frozen=True, slots=True)
class TakenPage:
    """A page that was stored: what it brought, and the statements to make now."""

    result: SyncResult
    statements: tuple[PendingStatement, ...]


@dataclass(frozen=True, slots=True)
class _Arrived:
    """An envelope of the page; ``envelope`` is None, with the ``problem``, when it is not well formed."""

    raw: bytes
    digest: bytes
    envelope: Envelope | None
    problem: ComityError | None
    receipts: tuple[Receipt, ...]

    @classmethod
    def of(cls, entry: MailboxEntry) -> _Arrived:
        raw = entry.envelope or b""
        try:
            envelope = parse_envelope(raw)
        except ComityError as problem:
            return cls(raw, sha256(raw).digest(), None, problem, entry.receipts)
        return cls(raw, envelope.digest, envelope, None, entry.receipts)


@dataclass(slots=True)
class _Page:
    """What is gathered while a page is judged."""

    now: datetime
    known: set[bytes]  # digests of envelopes that were accepted or refused
    ids: set[UUID]  # ids of messages that are kept
    behind: bool = False  # whether a newer directory could change a verdict
    messages: list[StoredMessage] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    statements: list[PendingStatement] = field(default_factory=list)
    receipts: list[StoredReceipt] = field(default_factory=list)
    duplicates: int = 0
    own_nodes: frozenset[str] | None = None  # that serve or served this desk, once they were looked up


class Inbox:
    """Judges and stores what the own node delivers, and makes the desk's statements."""

    def __init__(self, context: DeskContext, judge: ReceiptJudge, book: ProcessingLog) -> None:
        self._book = book
        self._store = context.store
        self._judge = judge
        self._parsed = context.parsed
        self._directory = context.current
        self._address = context.address
        self._openers: Mapping[bytes, Opener] = context.keys
        self._signer = context.signer
        self._clock = context.clock
        self._files = FileBook(context)

    def take(self, page: MailboxPage, *, final: bool, node: str | None = None, after: int = 0) -> TakenPage | None:
        """Judge and store one page: what is ``after`` that in the mailbox at ``node`` (None: whichever is read now).

        Entries at or before the cursor are passed over: another program may have taken them since they were asked for,
        or while they were judged. Unless ``final``: None, with nothing stored, when a newer directory could change a
        verdict.
        """
        while True:
            place = self._store.mailbox.place()
            if node not in {None, place.node} or after > place.cursor:
                return TakenPage(SyncResult(cursor=place.cursor), ())  # this mailbox is not read any more, or anew
            entries = [entry for entry in page.entries if entry.sequence > place.cursor]
            if not entries:
                return TakenPage(SyncResult(cursor=place.cursor), ())
            gathered = self._judged(entries, final)
            if gathered.behind and not final:
                return None
            kept = self._keep(gathered, entries[-1].sequence, place)
            if kept is not None:
                return kept

    def _judged(self, entries: Sequence[MailboxEntry], final: bool) -> _Page:
        """What is to be stored of ``entries``."""
        arrived = [_Arrived.of(entry) for entry in entries if entry.envelope is not None]
        known = self._store.known([item.digest for item in arrived])
        ids = self._store.messages.known_ids(
            [item.envelope.routing.id for item in arrived if item.envelope is not None]
        )
        if not final:
            self._look_up_senders(arrived)
        gathered = _Page(truncate(self._clock()), known, ids)
        for item in arrived:
            self._take_envelope(item, gathered)
        self._take_receipts([receipt for e in entries if e.envelope is None for receipt in e.receipts], gathered)
        return gathered

    def statement(
        self, event: EventName, about: MessageRef, reasons: tuple[str, ...] = (), files: LoggedFiles | None = None
    ) -> PendingStatement:
        """This desk's signed statement about a message, or about these files of it."""
        return self._statement(event, about, reasons, truncate(self._clock()), files)

    def record_stated(
        self, statements: Sequence[PendingStatement], answers: Sequence[EnvelopeAnswer], *, final: bool
    ) -> tuple[int, int] | None:
        """Verify and record the node's answers: how many were logged, how many receipts did not verify.

        Unless ``final``: None, with nothing recorded, when a newer directory could change a verdict.
        """
        done: list[PendingStatement] = []
        refused: list[tuple[PendingStatement, Refusal]] = []
        receipts: list[StoredReceipt] = []
        for pending, answer in zip(statements, answers, strict=True):
            stated = parse_statement(pending.raw).statement
            about = self._subject(stated)
            proved = [self._judge.prove(receipt) for receipt in answer.receipts]
            if not final and any(receipt.may_be_ahead for receipt in proved):
                return None
            judged = [self._judge.relate(receipt, about, pending.raw) for receipt in proved]
            receipts += [receipt.stored(about.digest) for receipt in judged]
            if any(receipt.proved is not None and _logs(receipt.proved.event, stated) for receipt in judged):
                done.append(pending)
            elif answer.refusal is not None and not answer.refusal.retryable:
                refused.append((pending, Refusal(answer.refusal.code, answer.refusal.detail, self._clock())))
        self._store.record_stated(done, refused, receipts)
        return len(done), sum(stored.error is not None for stored in receipts)

    # --- Inside ---

    def _look_up_senders(self, arrived: Iterable[_Arrived]) -> None:
        """Look up all senders before any is judged, so that one refresh brings every nation that was not read yet."""
        for item in arrived:
            if item.envelope is not None:
                with suppress(UnknownContactPointError, UnknownNodeError):
                    self._directory().contact_point(item.envelope.routing.sender)

    def _take_receipts(self, receipts: Sequence[Receipt], page: _Page) -> None:
        """Receipts about messages that this desk sent: each is filed under the message that it names."""
        proved = self._proved(receipts, page)
        events = [judged.proved.event if judged.proved else readable(judged.receipt) for judged in proved]
        heads = self._store.messages.heads_of(event.digest for event in events if event is not None)
        about = {digest: head.ref for digest, head in heads.items()}
        for judged, event in zip(proved, events, strict=True):
            ref = about.get(event.digest) if event is not None else None
            if ref is None:
                page.receipts.append(StoredReceipt(UNATTRIBUTED, judged.receipt, "not-found"))
                continue
            related = self._judge.relate(judged, ref)
            page.behind |= related.may_be_ahead
            page.receipts.append(related.stored(ref.digest))

    def _take_envelope(self, item: _Arrived, page: _Page) -> None:
        digest, envelope = item.digest, item.envelope
        if envelope is None:
            if digest not in page.known and item.problem is not None:
                page.known.add(digest)
                page.quarantined.append(Quarantined(item.raw, digest, item.problem.code, item.problem.detail, page.now))
            return
        about = MessageRef.of(envelope)
        judged = [self._judge.relate(receipt, about) for receipt in self._proved(item.receipts, page)]
        page.receipts += [receipt.stored(digest) for receipt in judged]
        if digest in page.known:
            page.duplicates += 1
            return
        page.known.add(digest)
        try:
            if page.own_nodes is None:
                page.own_nodes = self._own_nodes(page.now)
            message = self._accept(envelope, _logged_at(judged, page.own_nodes, page.now), page)
        except ComityError as problem:
            page.behind |= isinstance(problem, _MAY_BE_NEW)
            self._refuse(envelope, problem, page)
        else:
            page.messages.append(message)
            page.ids.add(message.head.id)
            page.statements.append(
                self._statement(EventName.ContentHandover, about, (), page.now),
            )

    def _accept(self, envelope: Envelope, logged_at: datetime, page: _Page) -> StoredMessage:
        from protocol.messages.officer_signature import verify_officer
        from protocol.messages.parse import parse_message

        routing = envelope.routing
        if routing.id in page.ids:
            raise IdConflictError(phrase("another message of this id is kept here"))
        verifier = self._directory().signing_key(str(routing.sender), envelope.kid, logged_at)
        opened = open_envelope(verify_envelope(envelope, verifier), self._address, self._openers, page.now)
        message = parse_message(opened.content)
        check_inner(message, envelope)
        verify_officer(message, opened.content)
        if message.type in _CARRYING:
            self._check_carried(message, opened.content)
        self._parsed.keep(envelope.digest, message)
        head = Head(
            id=message.id,
            thread=message.thread,
            in_reply_to=message.in_reply_to,
            direction=Direction.RECEIVED,
            type=message.type,
            urgency=message.urgency,
            sender=routing.sender,
            recipients=routing.recipients,
            own_reference=message.own_reference,
            sent_at=routing.created,
            stored_at=page.now,
            expires_at=routing.expires,
            digest=envelope.digest,
            file_set=routing.file_set,
        )
        return StoredMessage(head, envelope.raw, opened.content, opened.salt)

    def _check_carried(self, message: Message, content: bytes) -> None:
        """Return if the message may carry what it passes on (rule 7), and gives what was offered (rule 8)."""
        from protocol.messages.passing_on import check_passed_on
        from protocol.messages.types.answer import Answer as AnswerMessage
        from protocol.messages.types.consent import check_opening
        from protocol.messages.types.forward import Forward
        from protocol.messages.types.information import InformationSpontaneous

        if isinstance(message, Forward):
            check_passed_on(message)
        elif isinstance(message, AnswerMessage | InformationSpontaneous):
            rows = self._store.messages.thread(message.thread)
            check_opening(message, content, [self._parsed.of(row) for _, row, _ in rows if not row.erased])

    def _own_nodes(self, now: datetime) -> frozenset[str]:
        """The nodes that serve or served this desk."""
        try:
            return self._directory().contact_point(self._address).served_between(None, now)
        except (UnknownContactPointError, UnknownNodeError):
            return frozenset((self._address.node,))

    def _refuse(self, envelope: Envelope, problem: ComityError, page: _Page) -> None:
        about = MessageRef.of(envelope)
        page.quarantined.append(
            Quarantined(envelope.raw, about.digest, problem.code, problem.detail, page.now, about.id, about.sender)
        )
        reason = problem.code[:MAX_REASON_CHARS]
        page.statements.append(self._statement(EventName.ContentHandoverFailure, about, (reason,), page.now))

    def _proved(self, receipts: Sequence[Receipt], page: _Page) -> list[JudgedReceipt]:
        proved = [self._judge.prove(receipt) for receipt in receipts]
        page.behind |= any(receipt.may_be_ahead for receipt in proved)
        return proved

    def _keep(self, page: _Page, cursor: int, place: Place) -> TakenPage | None:
        records = [self._book.record(Operation.COLLECTION, "receive", message.head) for message in page.messages]
        delivery = RecipientDelivery(
            page.messages, page.quarantined, page.statements, page.receipts, cursor, records, place, self._cards(page)
        )
        with self._store.database.transaction():
            rows = self._store.take(delivery)
            if rows is None:
                return None
            for message in page.messages:
                self._files.receive(self._parsed.of(message), message.head)
        unverified = sum(stored.error is not None for stored in page.receipts)
        result = SyncResult(
            received=tuple(
                inbox_rows(
                    self._store,
                    [(seq, message.head, None) for seq, message in zip(rows.messages, page.messages, strict=True)],
                )
            ),
            quarantined=tuple(
                quarantine_row(seq, refused) for seq, refused in zip(rows.quarantined, page.quarantined, strict=True)
            ),
            receipts=len(page.receipts) - unverified,
            unverified_receipts=unverified,
            duplicates=page.duplicates,
            cursor=cursor,
        )
        return TakenPage(result, tuple(page.statements))

    def _cards(self, page: _Page) -> list[CardSeen]:
        """How the senders of requests are called, by the directory of now: later it may say something else."""
        directory, found = self._directory(), list[CardSeen]()
        for head in (message.head for message in page.messages):
            if head.thread == head.id or head.urgency == "emergency":
                reach = phone_card(directory, head.sender)
                found += [CardSeen(head.id, reach.to_bytes(), reach.version)] if reach is not None else []
        return found

    def _statement(
        self,
        event: EventName,
        about: MessageRef,
        reasons: tuple[str, ...],
        at: datetime,
        files: LoggedFiles | None = None,
    ) -> PendingStatement:
        stated = DeskStatement(event, about.id, about.digest, self._address, at, reasons, files)
        # One of each about a message; about files, one for each set of files that was told of.
        key = about.digest + event.value.encode() + (b"" if files is None else files.root)
        return PendingStatement(key, sign_statement(stated, self._signer))

    def _subject(self, stated: DeskStatement) -> MessageRef:
        """What a log may say in answer to a statement of this desk: something of this desk, whoever the sender is."""
        files = None if stated.files is None else stated.files.file_set
        own = self._address
        return MessageRef(stated.message_id, stated.digest, own, (own,), stated.at, stated.at, files)


def _logs(event: Event, stated: DeskStatement) -> bool:
    return event.name is stated.event and event.files == stated.files


def check_inner(message: Message, envelope: Envelope) -> None:
    """Return if the content is the routing header's: same sender, id, recipients and files.

    Raises :class:`SenderMismatchError`, :class:`RoutingMismatchError` or :class:`FileSetMismatchError`.
    """
    routing = envelope.routing
    if message.sender != str(routing.sender):
        raise SenderMismatchError(phrase("the sender inside is not the one in the routing header"))
    if message.id != routing.id:
        raise RoutingMismatchError(phrase("the id inside is not the one in the routing header"))
    if set(message.to) != {str(recipient) for recipient in routing.recipients}:
        raise RoutingMismatchError(phrase("the recipients inside are not those in the routing header"))
    if message.attachments or routing.file_set is not None:
        from protocol.messages.attached import check_file_set

        check_file_set(message, routing.file_set)


def _logged_at(judged: Sequence[JudgedReceipt], nodes: frozenset[str], now: datetime) -> datetime:
    """When the own node (one of ``nodes``) logged that it has the message; now, when it did not say so."""
    times = [
        receipt.proved.event.at
        for receipt in judged
        if receipt.proved is not None
        and receipt.proved.event.name in _LOGGED_HERE
        and node_of(receipt.proved.origin) in nodes
    ]
    return min((*times, now))

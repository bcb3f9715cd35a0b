"""Sending: from a draft to a durable envelope, and from the node's answer to a proved submission.

1. Every draft is completed and checked; nothing is stored as long as one of them is not valid.
2. Envelope, content and salt are stored, with a row in the outbox, before the network sees them.
3. The row leaves the outbox when the own node's SubmissionAcceptance is verified, or when the node refuses for good.
   Submission is idempotent: after a crash the same envelope is submitted again and gets the same receipt.

Blocking; runs in the desk's thread.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from exchange.cases.calls import goes_by_glass, needs_glass, use_glass
from exchange.cases.delivery import REPLACES, require_lost, settled_value
from exchange.cases.standing import standing_of
from exchange.cases.threads import check_next_step, send_status
from exchange.context.desk_context import DeskContext
from exchange.files.attaching import Attaching
from exchange.files.book import FileBook
from exchange.link.client import MAX_SUBMIT_BYTES
from exchange.messaging._referring import TOLD, accompanied
from exchange.messaging.drafting.closing import LAPSE, losses, require_nothing_lost
from exchange.messaging.drafting.fanning import Fanning, TimedDraft, family_of, nations_of, numbered
from exchange.messaging.handling import PassingOn
from exchange.messaging.once import Claim, Once
from exchange.messaging.receipts import JudgedReceipt, ReceiptJudge
from exchange.office.hash_only import HashOnly
from exchange.office.officers import Acting, check_line
from exchange.office.processing_log import Giving, ProcessingLog
from exchange.store.rows import CALLED_OFF, Head, OnceResult, Refusal, StoredMessage, StoredReceipt
from exchange.views import Caution, Direction, ReceiptRow, SendStatus
from protocol.address import Address
from protocol.encoding.ids import RANDOM_BYTES, new_message_id
from protocol.encoding.instants import to_ms, truncate
from protocol.encoding.padme import SALT_BYTES
from protocol.encoding.phrase import phrase
from protocol.envelope import seal
from protocol.errors import (
    AlreadySentError,
    ComityError,
    ForbiddenError,
    InvalidMessageError,
    NoEffectError,
    NothingOpenError,
    OlderReaderError,
    PeerFailedError,
    RetractedError,
    UnknownContactPointError,
    UnknownNodeError,
)
from protocol.event import EventName
from protocol.http.wire import MAX_ENVELOPES, EnvelopeAnswer
from protocol.processing_log import Operation
from protocol.routing import COMMITMENT_BYTES, MAX_CLOCK_SKEW, Priority, Routing

if TYPE_CHECKING:
    from exchange.cases.law.checks import Known
    from keys.directory.view import Directory
    from protocol.files.file_list import FileList
    from protocol.messages.parse import ComposedMessage
    from protocol.messages.schema.base import Message


_PRIORITIES = {"routine": Priority.ROUTINE, "urgent": Priority.URGENT, "emergency": Priority.EMERGENCY}
_FORMAT_RULE = "message format"
_NO_PROOF = PeerFailedError(phrase("the node gave no proof that it took the message"))
_SAME_WORDS = Caution("caution", "same_words", "to")
# Said by a draft to this desk alone.
_OF_THIS_DESK = frozenset({REPLACES, TOLD, LAPSE})
Keeping: TypeAlias = "Callable[[Message], None]"
"""What is done with a message in the transaction that keeps it, before it is kept; it may raise."""

# Contents of the messages that are sealed and kept in one transaction, unless one alone has more.
MAX_SEALED_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the first hop said to one message."""

    status: SendStatus
    error: str | None = None
    receipts: tuple[ReceiptRow, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Composed:
    """A message that is complete and allowed in its thread as that ended with row ``after`` (None: it begins one)."""

    complete: ComposedMessage
    after: int | None
    draft: Mapping[str, Any] = field(default_factory=dict, repr=False)
    replaces: UUID | None = None  # a message of this desk that did not arrive, and never will
    cautions: tuple[Caution, ...] = ()
    judged_by: Directory | None = field(default=None, repr=False)  # by which directory the law was asked

    @property
    def message(self) -> Message:
        """The message."""
        return self.complete.message


@dataclass(frozen=True, slots=True)
class Submission:
    """The answers to one batch, recorded: the outcome of each message, and which left the outbox by this."""

    outcomes: Mapping[UUID, Outcome]
    taken: frozenset[UUID] = frozenset()
    receipts: int = 0
    unverified: int = 0


@dataclass(slots=True)
class _Recording:
    done: list[UUID] = field(default_factory=list)
    refused: list[tuple[UUID, Refusal]] = field(default_factory=list)
    receipts: list[StoredReceipt] = field(default_factory=list)
    outcomes: dict[UUID, Outcome] = field(default_factory=dict)


class Outbox:
    """Composes, seals and stores what a desk sends, and records what becomes of it."""

    def __init__(
        self,
        context: DeskContext,
        judge: ReceiptJudge,
        acting: Acting,
        book: ProcessingLog,
        passing_on: PassingOn,
        once: Once,
        fanning: Fanning,
    ) -> None:
        self._fanning = fanning
        self._passing_on = passing_on
        self._once = once
        self._acting = acting
        self._book = book
        self._store = context.store
        self._judge = judge
        self._parsed = context.parsed
        self._directory = context.current
        self._address = context.address
        self._signer = context.signer
        self._settings = context.settings
        self._clock = context.clock
        self._files = FileBook(context)
        self._hash_only = HashOnly(context, acting, book)
        self.attaching = Attaching(context, self._files, book)
        self._last_id = (0, 0)
        self._own: tuple[Directory, Mapping[str, Any]] | None = None

    def compose(self, drafts: Sequence[Mapping[str, Any]]) -> list[Composed]:
        """The messages of the drafts; raises :class:`InvalidMessageError` or :class:`TransitionError`.

        The rules of conditions and of passing on hold for every draft, whoever wrote it: raises as
        :meth:`PassingOn.check_outgoing`.
        The problems of several drafts are told apart by the draft's number before the field.
        """
        with self._store.database.snapshot():
            return self._compose(drafts)

    def fanned(self, drafts: Sequence[Mapping[str, Any]], *, at_once: bool) -> list[Mapping[str, Any]]:
        """The drafts as they are sent: a child for each nation in place of one to several."""
        return [one for child in self._fanning.expand(drafts, at_once=at_once) for one in accompanied(child)]

    def rest_of(self, drafts: Sequence[Mapping[str, Any]], done: int) -> list[Mapping[str, Any]]:
        """The drafts of which nothing was sent yet, where ``done`` messages were: those of one draft go together."""
        left = list(drafts)
        while left and done > 0:
            draft = left.pop(0)
            done -= max(1, len(nations_of(draft))) * len(accompanied(draft))
        return left

    def _compose(self, drafts: Sequence[Mapping[str, Any]]) -> list[Composed]:
        from exchange.cases.law.checks import check_law
        from exchange.messaging.checks import cautions_of_cards, check_composed

        flat: list[Mapping[str, Any]] = []
        messages: list[ComposedMessage] = []
        said: list[Message] = []
        problems: list[tuple[str, str, str]] = []
        refusals: list[InvalidMessageError] = []
        numbers = numbered(drafts)
        replaced: list[UUID | None] = []
        for number, draft in zip(numbers, drafts, strict=True):
            try:
                instead_of = self._replaced(draft)
                for child in self._fanning.expand([draft]):
                    for one in accompanied(child):
                        written = self._passing_on.as_it_was(one, said)
                        messages.append(self.complete(self._with_glass(written)))
                        said.append(messages[-1].message)
                        flat.append(one)
                        replaced.append(instead_of)
            except InvalidMessageError as problem:
                if numbers[-1] == 0:
                    raise
                problems += [(f"{number}.{where}", rule, text) for where, rule, text in problem.problems]
                refusals.append(problem)
        if problems and all(isinstance(refusal, OlderReaderError) for refusal in refusals):
            raise OlderReaderError(refusals[0].detail, (*dict.fromkeys(problems),))
        if problems:
            raise InvalidMessageError(
                phrase("problems of the drafts: {count}", count=len(problems)), (*dict.fromkeys(problems),)
            )
        cautions: list[tuple[Caution, ...]] = []
        self._check_closing(messages, flat)  # before the case: it says what is lost
        if not messages:
            return []
        directory = self._directory()
        law: Known = {}
        families = [family_of(draft) for draft in flat]
        for number, (composed, instead_of, family) in enumerate(zip(messages, replaced, families, strict=True)):
            # First what names the field that is wrong; the case would only say that such a step does not count.
            found = check_composed(self._store, self._parsed, composed.message, directory)
            earlier = islice(said, number)
            check_next_step(self._store, self._parsed, composed.message, without=instead_of, together_with=earlier)
            told = [Caution("caution", "left_out", name) for name in composed.left_out]
            told += [_SAME_WORDS] if family is not None and families.count(family) > 1 else []
            cautions.append((*found, *cautions_of_cards(composed.message, directory), *told))
            check_law(directory, composed.message, law)
            self._check_files(composed.message, known_only=True)
            self._hash_only.check_outgoing(composed.message, self._parsed)
            self._fanning.require_alone(composed.message)
            self._passing_on.check_outgoing(composed)
            self._needs_glass(composed.message)
        return [
            Composed(composed, self._end_before(composed.message), draft, instead_of, found, directory)
            for composed, draft, instead_of, found in zip(messages, flat, replaced, cautions, strict=True)
        ]

    def _call_off(self, messages: Sequence[Message]) -> None:
        """What is taken back while it still waits here for its instant never leaves this desk. In a transaction."""
        from protocol.messages.schema.kinds import is_retraction

        for message in messages:
            if not (is_retraction(message) and self._store.outbox.is_held(message.retracts)):
                continue
            head = self._store.messages.head(message.retracts).head
            detail = phrase("it was taken back before its instant came, with the message {message}", message=message.id)
            self._keep_back(head, Refusal(RetractedError.code, detail, self._clock()))

    def call_off(self, message_id: UUID, reason: str | None = None) -> Head:
        """Keep a message back that waits for its instant: nobody learns of it. Durable, and recorded.

        Raises :class:`NotFoundError`, :class:`ForbiddenError` for one that this desk did not send,
        :class:`AlreadySentError` for one that left, or whose instant has come, :class:`NothingOpenError` for one that
        does not leave anyhow, :class:`UsageError` for a reason that is none.
        """
        text = check_line(reason, "a reason") if reason is not None else ""
        with self._store.database.transaction():
            head = self._store.messages.head(message_id).head
            if head.direction is not Direction.SENT:
                raise ForbiddenError(phrase("this desk did not send that message"))
            match send_status(self._store, head.id):
                case SendStatus.SCHEDULED:
                    self._keep_back(head, Refusal(CALLED_OFF, text, self._clock()), silent=True)
                case SendStatus.QUEUED:
                    raise AlreadySentError(phrase("its time has come, and the node may have it already"))
                case SendStatus.SUBMITTED:
                    raise AlreadySentError(phrase("the node has taken it"))
                case SendStatus.CALLED_OFF:
                    raise NothingOpenError(phrase("that message was called off before"))
                case _:
                    raise NothingOpenError(phrase("the own node refused that message: it never left"))
        return head

    def _keep_back(self, head: Head, why: Refusal, *, silent: bool = False) -> None:
        """A message never leaves this desk, and nor do its files; ``silent``: nothing in its thread says so."""
        record = self._book.record(Operation.ALTERATION, "send.call_off", head)
        if silent and why.detail:
            record = replace(record, reason=why.detail)
        self._store.record_submission((), [(head.id, why)], (), {head.id: record})
        says_nothing = silent and head.id != head.thread
        value = settled_value(None, why.detail, self._acting.name, why.at, says_nothing=says_nothing)
        self._store.settle(head.id, value)
        self._files.call_off(head.id)

    def _check_closing(self, messages: Sequence[ComposedMessage], drafts: Sequence[Mapping[str, Any]]) -> None:
        """Return if closing loses nothing, or the draft says that it may; raises :class:`ClosingLosesError`."""
        for composed, draft in zip(messages, drafts, strict=True):
            if draft.get(LAPSE) is not True:
                own = str(self._address)
                require_nothing_lost(losses(self._store, self._parsed, composed.message, own, self._clock()))

    def _with_glass(self, draft: Mapping[str, Any]) -> Mapping[str, Any]:
        """The draft of an answer that goes without a call: it tells the asking office so, if its desk can read it."""
        if draft.get("type") != "answer" or self._settings.office.emergency_call_back != "required":
            return draft
        try:
            thread = UUID(str(draft.get("thread")))
        except ValueError:
            return draft  # the check of the draft says what is wrong with it
        if not goes_by_glass(self._store, thread):
            return draft
        left_out = draft.get("leave_out") or ()
        return {**draft, "without_call_back": True, "leave_out": [*left_out, "without_call_back"]}

    def _check_files(self, message: Message, *, known_only: bool = False) -> None:
        """Return if the files of the message can go to all its recipients; raises :class:`FileNotSupportedError`.

        ``known_only`` passes over recipients that the directory does not have: sealing says so, after it was asked for.
        """
        files = _files_of(message)
        if files is None:
            return
        from keys.directory.routes import require_files

        recipients = [Address.parse(text) for text in message.to]
        try:
            require_files(self._directory(), self._address, recipients, files.file_set, self._clock())
        except (UnknownContactPointError, UnknownNodeError):
            if not known_only:
                raise

    def _needs_glass(self, message: Message) -> bool:
        """As :func:`needs_glass`, where the office asks for a call before it discloses in an emergency."""
        return self._settings.office.emergency_call_back == "required" and needs_glass(self._store, message)

    def _replaced(self, draft: Mapping[str, Any]) -> UUID | None:
        """The message in whose place the draft is sent; raises as :func:`require_lost`."""
        named = draft.get(REPLACES)
        if named is None:
            return None
        replaced = UUID(str(named))
        require_lost(self._store, replaced, self._clock())
        found = standing_of(self._store, self._parsed, self._store.messages.head(replaced).head)
        if found is not None and found.state == "retracted":
            raise NoEffectError(
                phrase("this office took that message back, with the message {message}: put it aside", message=found.by)
            )
        return replaced

    def _end_before(self, message: Message) -> int | None:
        return None if message.thread == message.id else self._store.messages.thread_end(message.thread)

    def seal(
        self,
        messages: Sequence[Composed],
        expires_in: timedelta | None,
        keeping: Keeping | None = None,
        claim: Claim | None = None,
        total: int = 0,
    ) -> list[StoredMessage] | None:
        """Seal messages and keep them, in the outbox.

        ``keeping`` is given each in the transaction that keeps them, before the first is kept: between the two no other
        program keeps one. Its writings are kept with them, and when it raises, none of all this is. So is what is noted
        under the key of ``claim``, whose act has ``total`` messages: :class:`OvertakenError`.
        None, with nothing kept, when a thread got another message since one for it was composed: that one is to be
        composed again. Raises what the directory says against a recipient.
        """
        from exchange.cases.law.checks import check_law

        directory = self._directory()
        for message in messages:
            if message.judged_by is not directory:
                check_law(directory, message.message)  # again: a newer one may know more of both nations
            self._check_files(message.message)
        sealed = [self._seal(message.complete, expires_in) for message in messages]
        heads = [message.head for message in sealed]
        records = [
            self._book.record(Operation.DISCLOSURE, "send", head, given=Giving(head.recipients, evident=True))
            for head in heads
        ]
        with self._store.database.transaction():
            if any(message.after != self._end_before(message.message) for message in messages):
                return None
            if claim is not None:
                self._once.note(claim, [OnceResult(head.id, head.thread) for head in heads], total)
            for message in messages:
                if message.replaces is not None:
                    require_lost(self._store, message.replaces, self._clock())  # another program may have sent it anew
                    value = settled_value(message.message.id, "", self._acting.name, self._clock())
                    self._store.settle(message.replaces, value)
                if self._needs_glass(message.message):  # as it is now: another program may have recorded a call
                    use_glass(self._store, message.message, self._acting.name, truncate(self._clock()))
                if keeping is not None:
                    keeping(message.message)
            self._call_off([message.message for message in messages])
            self._store.add_sent(sealed, records)
            for message, head in zip(messages, heads, strict=True):
                self._files.take(message.message, head)
            self._fanning.keep([message.draft for message in messages], heads)
            for message, head in zip(messages, heads, strict=True):
                if message.replaces is not None and family_of(message.draft) is None:
                    self._store.parents.replace(message.replaces, head)
        return sealed

    def record(
        self, messages: Sequence[StoredMessage], answers: Sequence[EnvelopeAnswer], *, final: bool
    ) -> Submission | None:
        """Verify the node's answers and record them.

        Unless ``final``: None, with nothing recorded, when a newer directory could change a verdict.
        """
        recording = _Recording()
        unverified = 0
        for message, answer in zip(messages, answers, strict=True):
            judged = [self._judge.judge(receipt, message.head.ref) for receipt in answer.receipts]
            if not final and any(receipt.may_be_ahead for receipt in judged):
                return None
            unverified += sum(receipt.error is not None for receipt in judged)
            self._record_one(message.head, answer.refusal, judged, recording)
        # The envelope that was recorded as sent was not: the node refused it for good.
        gone = {key for key, _ in recording.refused}
        heads = [message.head for message in messages if message.head.id in gone]
        records = {head.id: self._book.record(Operation.ALTERATION, "send.refused", head) for head in heads}
        taken = self._store.record_submission(recording.done, recording.refused, recording.receipts, records)
        self._store.note_waiting(
            {key: one.error for key, one in recording.outcomes.items() if one.status is SendStatus.QUEUED and one.error}
        )
        return Submission(recording.outcomes, frozenset(taken), len(recording.receipts), unverified)

    def _record_one(
        self, head: Head, refusal: ComityError | None, judged: Sequence[JudgedReceipt], recording: _Recording
    ) -> None:
        recording.receipts += [receipt.stored(head.digest) for receipt in judged]
        if refusal is not None:
            if refusal.retryable:
                recording.outcomes[head.id] = Outcome(SendStatus.QUEUED, refusal.code, reason=refusal.detail)
                return
            recording.refused.append((head.id, Refusal(refusal.code, refusal.detail, self._clock())))
            recording.outcomes[head.id] = Outcome(SendStatus.REFUSED, refusal.code, reason=refusal.detail)
            return
        proved = [receipt.proved for receipt in judged if receipt.proved is not None]
        rows = tuple(self._judge.proved_row(receipt) for receipt in proved)
        if any(receipt.event.name is EventName.SubmissionAcceptance for receipt in proved):
            recording.done.append(head.id)
            recording.outcomes[head.id] = Outcome(SendStatus.SUBMITTED, None, rows)
            return
        # The node's word without its proof counts for nothing: it is submitted again.
        wrong = next((receipt.error for receipt in judged if receipt.error is not None), _NO_PROOF)
        recording.outcomes[head.id] = Outcome(SendStatus.QUEUED, wrong.code, rows, wrong.detail)

    def complete(self, draft: Mapping[str, Any]) -> ComposedMessage:
        """The message of one draft, checked by itself and signed by who acts; raises :class:`InvalidMessageError`."""
        from exchange.messaging.checks import readers_of
        from exchange.messaging.drafting.own_block import filled
        from protocol.messages.versions import compose_for

        now = self._time_of(draft)  # before it is filled: a timed draft knows its own instant
        draft = filled(draft, self._own_fields())
        claimed = draft.get("from")
        if claimed is not None and claimed != str(self._address):
            raise _one_problem("from", phrase("this desk sends as {address}", address=self._address))
        composed = compose_for(
            self._named(self._files.with_keys({name: draft[name] for name in draft if name not in _OF_THIS_DESK})),
            readers_of(draft.get("to"), self._directory()),
            message_id=self._new_id(now),
            sender=str(self._address),
            sent_at=now,
        )
        if str(self._address) in composed.message.to:
            raise _one_problem("to", phrase("a message is not sent to its own sender"))
        if self._acting.signer is None:
            return composed
        from protocol.messages.officer_signature import sign_as_officer

        return sign_as_officer(composed, self._acting.signer)

    def filled(self, draft: Mapping[str, Any]) -> dict[str, Any]:
        """The draft with the desk's own block where it leaves that out."""
        from exchange.messaging.drafting.own_block import filled

        return filled(draft, deepcopy(self._own_fields()))  # whoever fills in may write on

    def _own_fields(self) -> Mapping[str, Any]:
        """The desk's own block, made once for each directory."""
        card, country = None, None
        directory: Directory | None = None
        try:
            directory = self._directory()
            if self._own is not None and self._own[0] is directory:
                return self._own[1]
            card = directory.contact_point(self._address)
            country = directory.node(self._address.node).country
        except ComityError:
            directory = None  # without one the desk fills in what its settings say
        from exchange.messaging.drafting.own_block import own_fields

        own = own_fields(self._settings, card, country)
        if directory is not None:
            self._own = (directory, own)
        return own

    def _named(self, draft: Mapping[str, Any]) -> Mapping[str, Any]:
        """The draft with the officer who releases it, where officers sign."""
        officer = self._acting.officer
        if officer is None:
            return draft
        from protocol.messages.officer_signature import PLACEHOLDER, key_text

        named = {"name": officer.name, "role": officer.job_title, "key": key_text(officer.public_key)}
        return {**draft, "officer": {**named, "signature": PLACEHOLDER}}

    def _time_of(self, draft: Mapping[str, Any]) -> datetime:
        """When the message is sent: now, but after all that this desk has seen of its thread.

        The thread's order is by time: a clock that is a little behind the other side's must not put what we say before
        what we had read. Further behind than nodes put up with, a clock is wrong, and the time stays what it says.
        """
        now = truncate(self._clock())
        if isinstance(draft, TimedDraft):
            now = max(now, draft.at)
        thread = draft.get("thread")
        try:
            seen = self._store.messages.last_sent_at(UUID(str(thread))) if thread else None
        except ValueError:
            seen = None  # the check of the draft says what is wrong with it
        if seen is None or not timedelta(0) <= seen - now < MAX_CLOCK_SKEW:
            return now
        return seen + timedelta(milliseconds=1)

    def _new_id(self, now: datetime) -> UUID:
        """A fresh id, greater than the one before also within one millisecond (RFC 9562 §6.2, method 1).

        The order of a thread is by time, then by id: what this desk says later must not sort before what it said.
        """
        ms, (last_ms, last) = to_ms(now), self._last_id
        counter = last + 1 if ms == last_ms and last < 0xFFF else secrets.randbits(11)
        self._last_id = (ms, counter)
        return new_message_id(now, counter.to_bytes(2, "big") + os.urandom(RANDOM_BYTES - 2))

    def _seal(self, composed: ComposedMessage, expires_in: timedelta | None) -> StoredMessage:
        message, content = composed.message, composed.content
        files = _files_of(message)
        recipients = tuple(sorted(Address.parse(text) for text in message.to))
        lifetime = expires_in or timedelta(seconds=self._settings.lifetimes.of(message.urgency))
        created = truncate(message.sent_at)
        expires = truncate(created + lifetime)
        ack_by = None
        if message.thread == message.id:
            from protocol.lifecycle.profiles import acknowledgement_period

            ack_by = min(created + acknowledgement_period(message.urgency), expires)
        routing = Routing(
            id=message.id,
            sender=self._address,
            recipients=recipients,
            created=created,
            expires=expires,
            priority=_PRIORITIES.get(message.urgency, Priority.URGENT),
            ack_by=ack_by,
            commitment=bytes(COMMITMENT_BYTES),  # replaced by the one that seal makes
            file_set=None if files is None else files.file_set,
        )
        directory = self._directory()
        keys = {recipient: directory.sealing_key(recipient, created) for recipient in recipients}
        salt = os.urandom(SALT_BYTES)
        # The first draw of seal is the salt: kept, it is what a disclosure is later checked with.
        envelope = seal(content, routing, self._signer, keys, _starting_with(salt))
        head = Head(
            id=message.id,
            thread=message.thread,
            in_reply_to=message.in_reply_to,
            direction=Direction.SENT,
            type=message.type,
            urgency=message.urgency,
            sender=self._address,
            recipients=recipients,
            own_reference=message.own_reference,
            sent_at=created,
            stored_at=created,
            expires_at=expires,
            digest=sha256(envelope).digest(),
            file_set=routing.file_set,
        )
        return StoredMessage(head, envelope, content, salt)


def _files_of(message: Message) -> FileList | None:
    if not message.attachments:
        return None
    from protocol.messages.attached import file_list_of

    return file_list_of(message)


def _starting_with(first: bytes) -> Callable[[int], bytes]:
    draws = [first]
    return lambda size: draws.pop() if draws else os.urandom(size)


def sealable(messages: Sequence[Composed]) -> Iterator[slice]:
    """The messages in parts that are sealed and kept together: what that takes of memory does not grow with them.

    Those of one family are in one part.
    """
    start = size = 0
    for at, message in enumerate(messages):
        length = len(message.complete.content)
        family = family_of(message.draft)
        begins = family is None or family != family_of(messages[at - 1].draft)
        if at > start and begins and (at - start == MAX_ENVELOPES or size + length > MAX_SEALED_BYTES):
            yield slice(start, at)
            start, size = at, 0
        size += length
    if messages:
        yield slice(start, len(messages))


def batches(messages: Sequence[StoredMessage]) -> Iterator[list[StoredMessage]]:
    """The messages in parts that one request may carry."""
    part: list[StoredMessage] = []
    size = 0
    for message in messages:
        if part and (len(part) == MAX_ENVELOPES or size + len(message.envelope) > MAX_SUBMIT_BYTES):
            yield part
            part, size = [], 0
        part.append(message)
        size += len(message.envelope)
    if part:
        yield part


def _one_problem(where: str, text: str) -> InvalidMessageError:
    return InvalidMessageError(phrase("problems of the message: {count}", count=1), ((where, _FORMAT_RULE, text),))

"""Passing on what another office gave: only as far as its labels, its conditions and its originator's consent allow."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from exchange.cases.standing import standing_of, withheld_by
from exchange.context.desk_context import DeskContext
from exchange.files.book import attachments_of
from exchange.messaging._referring import TOLD, as_it_was, check_recipients
from exchange.messaging.receipts import ReceiptJudge
from exchange.store.rows import MessageRef, StoredMessage
from exchange.views import Dating, Direction
from keys.directory.view import Directory
from keys.local.translation import translator
from protocol.address import Address
from protocol.codes import load_codes
from protocol.encoding.phrase import phrase
from protocol.envelope import MAX_CONTENT_BYTES, parse_envelope
from protocol.errors import (
    ConditionsOpenError,
    ErasedError,
    ForwardTooLargeError,
    HandlingError,
    InvalidAddressError,
    NotFoundError,
    ProofInvalidError,
    RetractedError,
)
from protocol.messages.handling_rules import Action
from protocol.receipt import Receipt, encode_receipts

if TYPE_CHECKING:
    from protocol.messages.handling_rules import Barrier, Objection
    from protocol.messages.parse import ComposedMessage
    from protocol.messages.schema.base import LegalBasis, Message
    from protocol.messages.schema.parts import Condition
    from protocol.messages.types.forward import Forward, Original


MAX_CARRIED_NOTE_BYTES = 32_768  # a tree that nine nations cosigned
_USES = {Action.FORWARD: "onward_transfer", Action.PROCEEDINGS: "proceedings"}


class PassingOn:
    """What one desk may do with what it holds. Blocking; runs in the desk's thread."""

    def __init__(self, context: DeskContext) -> None:
        self._directory = context.current
        self._store = context.store
        self._parsed = context.parsed
        self._address = context.address
        self._clock = context.clock
        self._settings = context.settings

    @property
    def address(self) -> Address:
        """Whose desk this is."""
        return self._address

    def objections(self, message_id: UUID, action: Action, recipient: Address | None = None) -> tuple[Objection, ...]:
        """What forbids the action on a message now; raises :class:`NotFoundError`, :class:`ErasedError`."""
        from protocol.messages.corrections import versions_of
        from protocol.messages.handling_rules import items_of, objections

        stored = self._stored(message_id)
        message, thread = self._parsed.of(stored), self._thread(stored)
        found = list(objections(message, action, self._address, recipient, thread, self._clock()))
        # An item that a correction added is not in the message as it was sent: its terms bind the correction alone.
        own = {*items_of(message), None}
        for one in versions_of(message, thread)[1:]:
            more = objections(one, action, self._address, recipient, thread, self._clock())
            found += [objection for objection in more if objection.item in own]
        return tuple(dict.fromkeys(found))

    def kept_from_all(self, message_id: UUID) -> tuple[Objection, ...]:
        """What forbids passing a message on to anybody; empty once consent lets it go to somebody named.

        Raises as :meth:`objections`.
        """
        from protocol.messages.schema.use import ConsentRequest

        found = self.objections(message_id, Action.FORWARD)
        if not found:
            return ()
        thread = self._thread(self._stored(message_id))
        asked = [one for one in thread if isinstance(one, ConsentRequest) and one.sender == str(self._address)]
        for name in dict.fromkeys(name for one in asked for name in one.recipients):
            try:
                recipient = Address.parse(name)
            except InvalidAddressError:
                continue  # a recipient may be named in words
            if not self.objections(message_id, Action.FORWARD, recipient):
                return ()
        return found

    def require(self, message_id: UUID, action: Action, recipient: Address | None = None) -> None:
        """Return if nothing forbids the action; raises :class:`HandlingError` with all that does."""
        found = self.objections(message_id, action, recipient)
        if found:
            raise HandlingError("; ".join(text_of(objection) for objection in found))

    def check_outgoing(self, composed: ComposedMessage) -> None:
        """Return if this desk may send a message, whoever wrote its draft: the rules of conditions and passing on.

        Raises :class:`HandlingError`, :class:`ConditionsOpenError`, :class:`ErasedError`, and what
        :func:`check_given` and :func:`check_passed_on` raise.
        """
        message = composed.message
        if _gives(message):
            from protocol.messages.types.consent import check_given

            check_given(message, composed.content, self._messages_of(message.thread))
        if message.thread != message.id:
            self._require_labels_of_case(message)
        if message.type == "forward":  # the type alone is asked first: an import for each message takes its time
            from protocol.messages.types.forward import Forward

            if isinstance(message, Forward):
                self._check_passing_on(message)

    def _check_passing_on(self, message: Forward) -> None:
        from protocol.messages.passing_on import check_passed_on
        from protocol.messages.types.forward import original_envelope

        original = message.original
        try:
            stored = self._stored(original.message)
        except NotFoundError:
            raise HandlingError(phrase("what is passed on is not a message that this desk holds")) from None
        if original_envelope(original).digest != stored.head.digest:
            raise HandlingError(phrase("what is passed on is not the message of that id that this desk holds"))
        self._require_accepted(stored)
        for recipient in message.to:
            self.require(original.message, Action.FORWARD, Address.parse(recipient))
        check_passed_on(message)

    def forward_draft(
        self, message_id: UUID, recipients: Sequence[Address], reason: str, purpose: str | None, *, files: bool = True
    ) -> dict[str, Any]:
        """The draft that passes a message on to ``recipients``, with its ``files``: they keep their names and keys.

        Raises as :meth:`require`, and :class:`ForwardTooLargeError` before anybody writes more.
        """
        from protocol.messages.types.forward import Forward
        from protocol.messages.types.reply import REPLY_REASON

        stored = self._stored(message_id)
        message = self._parsed.of(stored)
        self._require_accepted(stored)
        for recipient in recipients:
            self.require(message_id, Action.FORWARD, recipient)
        draft: dict[str, Any] = {
            "type": Forward.TYPE,
            "to": [str(recipient) for recipient in recipients],
            "language": self._settings.language,
            "urgency": message.urgency,
            "handling": message.handling.model_dump(mode="json", exclude_none=True),
            "reason": reason,
            "original": self._original_of(message, stored),
        }
        if message.urgency != "routine":
            draft["urgency_reason"] = translator(self._settings.language).gettext(REPLY_REASON)
        if purpose is not None:
            draft["purpose"] = purpose
        if files and (attachments := attachments_of(message)):
            draft["attachments"] = attachments
        consents = self._consents_that_lift(stored, recipients)
        whole = {**draft, "consents": consents} if consents else draft
        _require_room(stored, len(json.dumps(whole, ensure_ascii=False).encode()))
        return whole

    def pass_on_draft(
        self, request_id: UUID, recipients: Sequence[Address], reason: str, told: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The draft that passes a request on to desks of one State, and tells who made it.

        ``told`` are fields of the ``misdirected`` that goes with it. Raises as :meth:`forward_draft`, and
        :class:`UsageError` for what is no request to this desk, or for desks of several States.
        """
        request = self._parsed.of(self._stored(request_id))
        check_recipients(request, self._address, recipients)
        everybody = [*recipients, Address.parse(request.sender)]
        draft = self.forward_draft(request_id, everybody, reason, None)
        return {**draft, "thread": str(request.thread), "in_reply_to": str(request.id), TOLD: dict(told)}

    def as_it_was(self, draft: Mapping[str, Any], batch: Sequence[Message]) -> Mapping[str, Any]:
        """The draft, where it says that a request was passed on, with when; ``batch`` is sealed together with it.

        Raises :class:`HandlingError` for one that says so and was not.
        """
        if draft.get("type") != "misdirected" or draft.get("forwarded") is not True:
            return draft
        try:
            thread = self._messages_of(UUID(str(draft.get("thread"))))
        except ValueError:
            thread = []  # the check of the draft says what is wrong with it
        return as_it_was(draft, str(self._address), (*thread, *batch))

    def consent_fields(
        self, message_id: UUID, action: Action, recipients: Sequence[Address], purpose: str
    ) -> dict[str, Any]:
        """The fields of a request for consent to the action, addressed to those who set what forbids it.

        Where nothing forbids it the sender is asked, for all items of the message.
        """
        from protocol.messages.handling_rules import items_of
        from protocol.messages.types.forward import original_bytes

        stored = self._stored(message_id)
        if action is Action.FORWARD:  # nobody is asked for what could not be done with the consent
            _require_room(stored, original_bytes(stored.content, len(stored.envelope)))
        message = self._parsed.of(stored)
        found = self._open_barriers(stored, action, recipients)
        asked = dict.fromkeys((barrier.message, barrier.objection.item) for barrier in found)
        about = asked or {(message.id, item): None for item in items_of(message)}
        refs = [{"message": str(which), **({"item": item} if item else {})} for which, item in about]
        basis = _legal_basis(message)
        return {
            "to": list(dict.fromkeys(barrier.originator for barrier in found)) or [message.sender],
            "items": refs,
            "use": _USES[action],
            "purpose": purpose,
            "recipients": [str(recipient) for recipient in recipients],
            **({"legal_basis": basis.model_dump(mode="json", exclude_none=True)} if basis is not None else {}),
        }

    def consent_reply_fields(self, request_id: UUID, consent: str, terms: dict[str, Any]) -> dict[str, Any]:
        """The fields of a reply that says the same of all items of a consent request; raises :class:`HandlingError`."""
        from protocol.messages.schema.use import ConsentRequest

        request = self._parsed.of(self._stored(request_id))
        if not isinstance(request, ConsentRequest):
            raise HandlingError(phrase("that message does not ask for consent"))
        items = [
            {"item": item.model_dump(mode="json", exclude_none=True), "consent": consent, **terms}
            for item in request.items
        ]
        return {"items": items}

    def closed_by(self, stored: StoredMessage) -> tuple[Condition, ...]:
        """The conditions that keep a message closed here; empty for what is open, was erased, or this desk sent."""
        from protocol.messages.types.consent import content_conditions, open_conditions

        if stored.erased or stored.head.direction is not Direction.RECEIVED:
            return ()
        message = self._parsed.of(stored)
        if not any(content_conditions(message)):
            return ()
        return open_conditions(message, self._thread(stored), str(self._address))

    def received_forward(self, message_id: UUID) -> Forward | None:
        """The message, if another office passed it on to this desk; raises :class:`NotFoundError`."""
        from protocol.messages.types.forward import Forward

        head = self._store.messages.head(message_id).head  # most are no forwards: their content need not be opened
        if head.type != Forward.TYPE or head.direction is not Direction.RECEIVED:
            return None
        stored = self._store.messages.get(message_id)
        if stored.erased:
            return None
        message = self._parsed.of(stored)
        return message if isinstance(message, Forward) else None

    # --- Inside ---

    def _require_labels_of_case(self, message: Message) -> None:
        """Return if a reply is not weaker in its labels than what others said and it answers."""
        from protocol.lifecycle.projection import opening_in
        from protocol.messages.corrections import versions_of
        from protocol.messages.handling_rules import weaker_than_case

        thread = self._messages_of(message.thread)
        answered = [said for said in thread if said.id == message.in_reply_to]
        bound = [said for said in (opening_in(thread), *answered) if said is not None and said.sender != message.sender]
        labels = [one.handling for said in bound for one in versions_of(said, thread)]
        weaker = weaker_than_case(message.handling, *labels) if labels else ()
        if weaker:
            raise HandlingError(
                phrase("the labels of a reply are not weaker than those of its case: {names}", names=", ".join(weaker))
            )

    def _require_accepted(self, stored: StoredMessage) -> None:
        from protocol.messages.types.consent import open_conditions

        if open_conditions(self._parsed.of(stored), self._thread(stored), str(self._address)):
            raise ConditionsOpenError
        if withheld_by(self._store, self._parsed, stored) is not None:
            raise RetractedError
        self._require_not_taken_back(stored)

    def _require_not_taken_back(self, stored: StoredMessage) -> None:
        """Return unless its sender took the message back, also after it was opened here: it is not passed on."""
        from protocol.lifecycle.folding import StandingState

        found = standing_of(self._store, self._parsed, stored.head)
        if found is not None and found.state is StandingState.RETRACTED:
            raise RetractedError(phrase("its sender took it back, with the message {message}", message=found.by))

    def _open_barriers(
        self, stored: StoredMessage, action: Action, recipients: Iterable[Address]
    ) -> tuple[Barrier, ...]:
        from protocol.messages.corrections import versions_of
        from protocol.messages.handling_rules import items_of, open_barriers

        message, thread, now = self._parsed.of(stored), self._thread(stored), self._clock()
        asked: Iterable[Address | None] = tuple(recipients) or (None,)
        own: set[str | None] = {*items_of(message), None}
        found: list[Barrier] = []
        for who in asked:
            found += open_barriers(message, action, self._address, who, thread, now)
            for one in versions_of(message, thread)[1:]:
                more = open_barriers(one, action, self._address, who, thread, now)
                found += [barrier for barrier in more if barrier.objection.item in own]
        return tuple(dict.fromkeys(found))

    def _consents_that_lift(self, stored: StoredMessage, recipients: Sequence[Address]) -> list[dict[str, Any]]:
        """The consent without which a recipient could not have the message, with its proofs."""
        from protocol.messages.handling_rules import objections
        from protocol.messages.schema.use import ConsentReply

        rows = {row.head.id: row for _, row, _ in self._store.messages.thread(stored.head.thread) if not row.erased}
        message, now = self._parsed.of(stored), self._clock()
        thread = {key: self._parsed.of(row) for key, row in rows.items()}
        pairs = [
            (reply.id, reply.in_reply_to)
            for reply in sorted(thread.values(), key=lambda other: (other.sent_at, other.id))
            if isinstance(reply, ConsentReply) and reply.in_reply_to in thread
        ]
        # The oldest goes first where another says the same: what is left is the last word.
        for pair in tuple(pairs):
            others = [thread[key] for left in pairs if left != pair for key in left]
            if not any(objections(message, Action.FORWARD, self._address, to, others, now) for to in recipients):
                pairs.remove(pair)
        return [
            {
                name: self._original_of(thread[key], rows[key])
                for name, key in zip(("request", "reply"), pair, strict=True)
            }
            for pair in pairs
        ]

    def _acceptance(self, stored: StoredMessage) -> list[Receipt]:
        """What shows when the originator's signature was there: an acceptance, and a small tree that is witnessed."""
        from exchange.messaging.contradictions import judge_whole
        from exchange.messaging.dating import acceptances, witnessed_since
        from protocol.misbehaviour.verify import own_lines

        directory, routing = self._directory(), parse_envelope(stored.envelope).routing
        receipts = [entry.receipt for entry in self._store.receipts.of(stored.head.digest)]
        judged = judge_whole(ReceiptJudge(self._directory), receipts, stored.head.ref, self._clock()).judged
        now = self._clock()
        carried = [
            replace(
                proved.receipt, checkpoint=own_lines(proved.receipt.checkpoint, directory.log_verifier(proved.origin))
            )
            for proved in acceptances(judged, routing, directory)[:1]
        ]
        for proved in (entry.proved for entry in judged if entry.proved is not None):
            if len(proved.receipt.checkpoint) <= MAX_CARRIED_NOTE_BYTES and witnessed_since(proved, directory, now):
                return [*carried, proved.receipt]
        return carried

    def _original_of(self, message: Message, stored: StoredMessage) -> dict[str, str]:
        """A stored message as it is carried, with what dates it."""
        carried = {
            "message": str(message.id),
            "type": message.type,
            "originator": message.sender,
            "sent_at": message.sent_at.isoformat(),
            "content": stored.content.decode(),
            "salt": stored.salt.hex(),
            "envelope": b64encode(stored.envelope).decode(),
        }
        acceptance = self._acceptance(stored)
        if acceptance:  # else it is passed on as undated, and its reader is told so
            carried["acceptance"] = b64encode(encode_receipts(acceptance)).decode()
        return carried

    def _stored(self, message_id: UUID) -> StoredMessage:
        stored = self._store.messages.get(message_id)
        if stored.erased:
            raise ErasedError
        return stored

    def _thread(self, stored: StoredMessage) -> list[Message]:
        return self._messages_of(stored.head.thread)

    def _messages_of(self, thread: UUID) -> list[Message]:
        rows = self._store.messages.thread(thread)
        return [self._parsed.of(other) for _, other, _ in rows if not other.erased]


def _require_room(stored: StoredMessage, size: int) -> None:
    """Return if what is to be passed on leaves room for the rest of a forward; ``size`` is in bytes, as JSON."""
    from protocol.messages.types.forward import FORWARD_ROOM_BYTES

    room = MAX_CONTENT_BYTES - FORWARD_ROOM_BYTES
    if size > room:
        raise ForwardTooLargeError(
            phrase(
                "passed on with its envelope, which proves it, this message is too large (bytes: {count}, "
                "then {size}; at most: {most}): messages of up to some 400,000 bytes can be passed "
                "on",
                count=len(stored.content),
                size=size,
                most=room,
            )
        )


def _gives(message: Message) -> bool:
    """Whether the rules of conditions and offers have something to say of the message."""
    from protocol.messages.types.consent import content_conditions, opening_in

    in_a_thread = message.type == "information.spontaneous" and message.thread != message.id
    return in_a_thread or opening_in(message) is not None or any(content_conditions(message))


def _legal_basis(message: Message) -> LegalBasis | None:
    """That of the message, else of what it passes on."""
    from protocol.messages.handling_rules import read_original
    from protocol.messages.types.forward import Forward

    while message.legal_basis is None and isinstance(message, Forward):
        message = read_original(message.original)
    return message.legal_basis


def verify_original(original: Original, directory: Directory, now: datetime) -> Dating:
    """What dates the originator's signature on what was passed on, by the receipts that came with it.

    Raises what does not hold. The directory then wants the nations that the dating looks up and that it has not read
    yet.
    """
    from exchange.messaging.contradictions import judge_whole
    from exchange.messaging.dating import dated_signature
    from protocol.messages.types.forward import original_envelope, original_receipts

    envelope = original_envelope(original)
    receipts = original_receipts(original)
    whole = judge_whole(ReceiptJudge(lambda: directory), receipts, MessageRef.of(envelope), now)
    if whole.found:
        raise ProofInvalidError(whole.check().detail)
    return dated_signature(envelope, whole.judged, directory, now)


def verify_originals(forward: Forward, directory: Directory, now: datetime) -> list[Dating]:
    """What dates each message that is passed on, the outermost first; raises what does not hold."""
    from protocol.messages.passing_on import originals_of

    return [verify_original(original, directory, now) for original in originals_of(forward)]


def verify_consents(forward: Forward, directory: Directory, now: datetime) -> list[Dating]:
    """What dates each request and reply of the consent that is carried; raises what does not hold.

    Consent that nothing dates does not count: who stole a key that was revoked since writes any time.
    """
    from protocol.messages.passing_on import consents_of

    return [verify_original(original, directory, now) for original in consents_of(forward)]


def text_of(objection: Objection) -> str:
    """An objection in words, English."""
    label = load_codes("handling_objection").label(objection.code)
    where = f" [{objection.item}]" if objection.item else ""
    return f"{label}{where}" + (f": {objection.terms}" if objection.terms else "")

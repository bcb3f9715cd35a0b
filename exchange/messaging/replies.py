"""Drafts of replies to what a desk holds: addressed, in their thread, under its labels, with the officer who acts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from exchange.cases.threads import received_at, thread_messages
from exchange.context.desk_context import DeskContext
from exchange.messaging.handling import PassingOn
from exchange.office.officers import Acting
from exchange.store.rows import Head, StoredMessage
from exchange.text.labels import reason_label
from exchange.views import Direction
from keys.local.translation import translator
from protocol.address import Address
from protocol.encoding.phrase import phrase
from protocol.errors import ForbiddenError, NothingOpenError, UsageError
from protocol.messages.handling_rules import labels_of_case

if TYPE_CHECKING:
    from protocol.messages.handling_rules import Action
    from protocol.messages.schema.base import Handling, Message
    from protocol.messages.schema.parts import Condition


class Replies:
    """Writes drafts for one desk. Blocking; runs in the desk's thread.

    Every method raises :class:`NotFoundError` for a message that the desk does not have, and those that answer somebody
    :class:`ForbiddenError` for one that it sent itself.
    """

    def __init__(self, context: DeskContext, passing_on: PassingOn, acting: Acting) -> None:
        self._store = context.store
        self._parsed = context.parsed
        self._passing_on = passing_on
        self._address = context.address
        self._settings = context.settings
        self._acting = acting

    def officer(self) -> dict[str, str] | None:
        """Who a draft names: the officer who acts, else that of the settings."""
        if self._acting.officer is not None:
            return {"name": self._acting.officer.name, "role": self._acting.officer.job_title}
        default = self._settings.officer
        return {"name": default.name, "role": default.role} if default else None

    def reply(self, message_id: UUID, reply_type: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A reply of any type, in this desk's language, under the labels and references of the case.

        Where all parties may know of each other it goes to all of them. To a request that was passed on to this desk
        it goes to who made it. ``fields`` win over all that.
        """
        from protocol.messages.types.reply import REPLY_REASON, reply_draft

        message = self._answered(self._parsed.of(self._store.messages.get(message_id)))
        thread = self._messages_of(message.thread)
        signed = self.officer()
        language = str(fields.get("language") or self._settings.language)
        given: dict[str, Any] = {"officer": signed} if signed else {}
        given |= self._references(message, thread)
        given |= self._addressed(thread)
        given["handling"] = labels_of_case(*self._case_labels(message, thread))
        if message.urgency != "routine":
            given["urgency_reason"] = translator(language).gettext(REPLY_REASON)
        return reply_draft(message, reply_type, by=str(self._address), **{**given, "language": language, **fields})

    def acknowledgement(self, request_id: UUID, fields: Mapping[str, Any]) -> dict[str, Any]:
        """An acknowledgement; without ``handler`` in the fields, of the officer who acts."""
        from protocol.messages.types.acknowledgement import Acknowledgement

        times = {"received_at": received_at(self._store, self._received(request_id), self._address)}
        handler = fields.get("handler") or self._handler()
        given = {**times, **fields, **({"handler": handler} if handler is not None else {})}
        return self.reply(request_id, Acknowledgement.TYPE, given)

    def answer(self, request_id: UUID, fields: Mapping[str, Any]) -> dict[str, Any]:
        """An answer to a preservation request."""
        from protocol.messages.types.preservation import PreservationAnswer

        self._received(request_id)
        return self.reply(request_id, PreservationAnswer.TYPE, fields)

    def supplement(self, message_id: UUID, text: str | None) -> dict[str, Any]:
        """The files that follow a message of this desk, without the files: under its labels, conditions and authority.

        Raises :class:`UsageError` for a message that files do not follow.
        """
        from protocol.messages.attached import SUPPLEMENTED
        from protocol.messages.types.consent import content_conditions
        from protocol.messages.types.files import FilesSupplement

        stored = self._store.messages.get(message_id)
        if stored.head.direction is not Direction.SENT or stored.head.type not in SUPPLEMENTED:
            raise UsageError(
                phrase("files follow what this desk itself gave: an answer, information, or a partial disclosure")
            )
        message = self._parsed.of(stored)
        said = message.model_dump(mode="json", exclude_none=True)
        fields: dict[str, Any] = {"supplements": str(message_id), "handling": said["handling"]}
        fields |= {name: said[name] for name in ("authorisation", "transfer", "legal_basis") if name in said}
        conditions: dict[str, Any] = {}
        for condition in content_conditions(message):
            conditions.setdefault(condition.condition, condition.model_dump(mode="json", exclude_none=True))
        fields |= {"conditions": list(conditions.values())} if conditions else {}
        fields |= {"text": text} if text is not None else {}
        return self.reply(message_id, FilesSupplement.TYPE, fields)

    def acceptance(self, message_id: UUID) -> dict[str, Any]:
        """The acceptance of all conditions that a message sets or offers; :class:`NothingOpenError`."""
        from protocol.messages.schema.conditions import ConditionAccept
        from protocol.messages.types.consent import conditions_to_accept

        self._received(message_id)
        conditions = self.conditions(conditions_to_accept, self._store.messages.get(message_id))
        if not conditions:
            raise NothingOpenError(phrase("no condition of that message waits to be accepted"))
        names = sorted({condition.condition for condition in conditions})
        return self.reply(message_id, ConditionAccept.TYPE, {"conditions": names})

    def explanation(self, message_id: UUID, remark: str | None) -> dict[str, Any]:
        """Why a message is out of order, in its own language; :class:`UsageError` when it is not."""
        from protocol.lifecycle.projection import own_cases
        from protocol.messages.out_of_order import OutOfOrderNotice

        head = self._store.messages.head(message_id).head
        cases = own_cases(thread_messages(self._store, self._parsed, head.thread), str(self._address)).values()
        against = [entry for case in cases for entry in case.out_of_order if entry.fact.message_id == message_id]
        if not against:
            raise UsageError(phrase("this message is in order"))
        language = self._parsed.of(self._store.messages.get(message_id)).language
        reasons = dict.fromkeys(reason_label(entry.reason, translator(language)) for entry in against)
        fields: dict[str, Any] = {"language": language, "reason": "; ".join(reasons)}
        fields |= {"targets": targets} if (targets := [entry.target for entry in against if entry.target]) else {}
        fields |= {"remark": remark} if remark is not None else {}
        return self.reply(message_id, OutOfOrderNotice.TYPE, fields)

    def consent_request(
        self, message_id: UUID, action: Action, recipients: Sequence[Address], purpose: str, more: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A request for the originator's consent to what the labels of a message forbid."""
        from protocol.messages.schema.use import ConsentRequest

        self._received(message_id)
        fields = self._passing_on.consent_fields(message_id, action, recipients, purpose)
        return self.reply(message_id, ConsentRequest.TYPE, {**fields, **more})

    def consent_reply(self, request_id: UUID, consent: str, terms: Mapping[str, Any]) -> dict[str, Any]:
        """The same word on all items of a consent request."""
        from protocol.messages.schema.use import ConsentReply

        self._received(request_id)
        fields = self._passing_on.consent_reply_fields(request_id, consent, dict(terms))
        return self.reply(request_id, ConsentReply.TYPE, fields)

    def contact_reply(self, test_id: UUID, remark: str | None) -> dict[str, Any]:
        """The reply to a contact test."""
        from protocol.messages.types.contact import ContactTest, ContactTestReply

        head = self._received(test_id)
        if head.type != ContactTest.TYPE:
            raise ForbiddenError(phrase("that message is not a contact test"))
        fields: dict[str, Any] = {"received_at": received_at(self._store, head, self._address)}
        fields |= {"remark": remark} if remark is not None else {}
        return self.reply(test_id, ContactTestReply.TYPE, fields)

    def conditions(
        self, which: Callable[[Message, Iterable[Message], str], tuple[Condition, ...]], stored: StoredMessage
    ) -> tuple[Condition, ...]:
        """What ``which`` finds of conditions on a message, given its thread."""
        rows = self._store.messages.thread(stored.head.thread)
        thread = [self._parsed.of(other) for _, other, _ in rows if not other.erased]
        return which(self._parsed.of(stored), thread, str(self._address))

    # --- Inside ---

    def _answered(self, message: Message) -> Message:
        """What a reply to ``message`` is about: the request itself, where that was passed on in its own thread."""
        from protocol.messages.handling_rules import REQUESTS, read_original
        from protocol.messages.types.forward import Forward

        if not isinstance(message, Forward) or message.original.message != message.thread:
            return message
        own = str(self._address)
        return read_original(message.original) if message.original.type in REQUESTS and own in message.to else message

    def _messages_of(self, thread: UUID) -> list[Message]:
        rows = self._store.messages.thread(thread)
        return [self._parsed.of(row) for _, row, _ in rows if not row.erased]

    def _references(self, message: Message, thread: Sequence[Message]) -> dict[str, str]:
        """This desk's own reference in the case, and the last one that the other side gave."""
        own, names = str(self._address), {}
        peers = set(message.to) if message.sender == own else {message.sender}
        for said in sorted((message, *thread), key=lambda said: (said.sent_at, said.id)):
            if said.own_reference is not None and said.sender in {own, *peers}:
                names["own_reference" if said.sender == own else "peer_reference"] = said.own_reference
        return names

    def _addressed(self, thread: Sequence[Message]) -> dict[str, list[str]]:
        """All other parties, where all may know of each other."""
        from protocol.lifecycle.projection import opening_in
        from protocol.messages.types.assistance import is_joint

        opening = opening_in(thread)
        if opening is None or not is_joint(opening):
            return {}
        own = str(self._address)
        return {"to": [party for party in dict.fromkeys((opening.sender, *opening.to)) if party != own]}

    def _case_labels(self, message: Message, thread: Sequence[Message]) -> list[Handling]:
        """The labels that a reply to ``message`` is not weaker than."""
        from protocol.lifecycle.projection import opening_in
        from protocol.messages.corrections import versions_of

        bound = [said for said in (message, opening_in(thread)) if said is not None]
        return [one.handling for said in bound for one in versions_of(said, thread)]

    def _handler(self) -> dict[str, str] | None:
        """Who handles what this desk received: the officer who acts, reached as the settings say."""
        named, reached = self.officer(), self._settings.officer
        if named is None:
            return None
        fields = {"name": named["name"], "job_title": named["role"]}
        contacts = (("telephone", reached.telephone), ("email", reached.email)) if reached is not None else ()
        return {**fields, **{name: value for name, value in contacts if value is not None}}

    def _received(self, message_id: UUID) -> Head:
        head = self._store.messages.head(message_id).head
        if head.direction is not Direction.RECEIVED:
            raise ForbiddenError(phrase("this desk sent that message itself"))
        return head

"""``desk.replies``: answering what came, in its thread, under its labels, in the name of the officer who acts.

::

    await desk.replies.acknowledge(request.id, will_answer="yes", form="message", eta=tomorrow)
    await desk.replies.answer(request.id, [{"target": "t1", "result": "preserved", ...}])

Each act sends one message and raises as :meth:`DeskMessages.send`, :class:`NotFoundError` for a message that the desk
does not have, and :class:`ForbiddenError` for one that it sent itself. The ``..._draft`` acts only write: an officer
may still change a draft, and several go together by :meth:`DeskMessages.send_many`. Where no officer acts, a message
names the one of the settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Required, TypedDict, Unpack
from uuid import UUID

from exchange.context.worker import in_desk_thread
from exchange.desk._once import sends_once
from exchange.desk._works import Draft, Works
from exchange.desk.messages import DeskMessages
from exchange.office.officers import READERS
from exchange.views import SentMessage
from protocol.address import Address

if TYPE_CHECKING:
    from exchange.messaging.act_drafts import ActDrafts
    from protocol.messages.handling_rules import Action


class Acknowledging(TypedDict, total=False):
    """What an acknowledgement says; None as if it were left out.

    ``will_answer`` and ``form`` are codes of the lists of these names. ``handler`` is who works on it: the officer who
    acts, reached as the settings say, if it is not given. ``language`` is that of the text, else that of the settings.
    """

    will_answer: Required[str]
    form: Required[str]
    eta: datetime | None
    next_update_by: datetime | None
    handler: Mapping[str, Any] | None
    remark: str | None
    language: str | None


class DeskReplies:
    """The replies of one desk."""

    def __init__(self, works: Works, messages: DeskMessages) -> None:
        self._works = works
        self._messages = messages
        self._in_thread = works.context.in_thread

    @sends_once
    async def acknowledge(self, request_id: UUID, **said: Unpack[Acknowledging]) -> SentMessage:
        """Acknowledge a received request; see :meth:`acknowledgement_draft`."""
        return await self._messages.send(await self.acknowledgement_draft(request_id, **said))

    @in_desk_thread
    def acknowledgement_draft(self, request_id: UUID, **said: Unpack[Acknowledging]) -> dict[str, Any]:
        """An acknowledgement: whether this office will answer, in which form, and when."""
        present = {name: value for name, value in said.items() if value is not None}
        return self._works.replies.acknowledgement(request_id, present)

    @sends_once
    async def answer(
        self,
        request_id: UUID,
        targets: Sequence[Mapping[str, Any]],
        *,
        own_reference: str | None = None,
        language: str | None = None,
    ) -> SentMessage:
        """Answer a received preservation request for the targets named; the others stay open.

        ``language`` is that of the text, else that of the settings.
        """
        fields: dict[str, Any] = {"targets": [dict(target) for target in targets]}
        said = {"own_reference": own_reference, "language": language}
        fields |= {name: value for name, value in said.items() if value is not None}
        replies = self._works.replies
        return await self._messages.send(await self._in_thread(lambda: replies.answer(request_id, fields)))

    @sends_once
    async def supplement(self, message_id: UUID, *, text: str | None = None) -> SentMessage:
        """Send the files of this block (:func:`exchange.files.given.attaching`) after a message that could not wait.

        They go under its labels, conditions and authority. Raises :class:`UsageError` for a message that gave nothing.
        """
        return await self._messages.send(await self.supplement_draft(message_id, text=text))

    @in_desk_thread
    def supplement_draft(self, message_id: UUID, *, text: str | None = None) -> dict[str, Any]:
        """The same as a draft, to which files are still to be attached; raises as :meth:`supplement`."""
        return self._works.replies.supplement(message_id, text)

    @sends_once
    async def accept_conditions(self, message_id: UUID) -> SentMessage:
        """Accept all conditions that a received message sets or offers; what was given under them then opens.

        Raises :class:`NothingOpenError` when none is open.
        """

        def draft() -> list[Draft]:
            return [self._works.replies.acceptance(message_id)]

        (first,) = await self._in_thread(draft)
        office = self._works.office
        if await self._in_thread(lambda: office.needs_release(str(first["type"]))):
            return await self._messages.propose(first)
        # Written again where another program accepts them at the same time: then nothing is open any more.
        return (await self._works.node_sync.send(draft, None))[0]

    @sends_once
    async def explain(self, message_id: UUID, *, remark: str | None = None) -> SentMessage:
        """Tell the sender of a message that no rule allows that it changed nothing, and why, in the message's language.

        Raises :class:`UsageError` when the message is in order.
        """
        replies = self._works.replies
        return await self._messages.send(await self._in_thread(lambda: replies.explanation(message_id, remark)))

    @sends_once
    async def ask_consent(
        self, message_id: UUID, action: Action, recipients: Sequence[Address], purpose: str, **more: Any
    ) -> SentMessage:
        """Ask the originator of a received message for consent to what its labels forbid.

        ``purpose`` says in words what it is wanted for; ``more`` are further fields of the message consent_request.
        """
        replies = self._works.replies
        return await self._messages.send(
            await self._in_thread(lambda: replies.consent_request(message_id, action, recipients, purpose, more))
        )

    @sends_once
    async def answer_consent(self, request_id: UUID, consent: str, **terms: Any) -> SentMessage:
        """Say the same of all items of a received consent request: a code of the list consent, with its terms."""
        replies = self._works.replies
        return await self._messages.send(
            await self._in_thread(lambda: replies.consent_reply(request_id, consent, terms))
        )

    @sends_once
    async def answer_contact_test(self, test_id: UUID, *, remark: str | None = None) -> SentMessage:
        """Reply to a received contact test."""
        replies = self._works.replies
        return await self._messages.send(await self._in_thread(lambda: replies.contact_reply(test_id, remark)))

    # --- One's own words, and the case beside its course ---

    @property
    def _acts(self) -> ActDrafts:
        from exchange.messaging.act_drafts import ActDrafts

        context = self._works.context
        return ActDrafts(context.store, context.parsed, self._works.replies, context.address)

    @sends_once
    async def correct(self, message_id: UUID, changes: Mapping[str, Any], *, reason: str) -> SentMessage:
        """Correct an own message: its content with ``changes``, where None takes a field out."""
        acts = self._acts
        return await self._messages.send(await self._in_thread(lambda: acts.correction(message_id, changes, reason)))

    @sends_once
    async def retract(self, message_id: UUID, *, why: str, reason: str) -> SentMessage:
        """Take an own message back; ``why`` is a code of the list retraction_reason."""
        acts = self._acts
        return await self._messages.send(await self._in_thread(lambda: acts.retraction(message_id, why, reason)))

    @sends_once
    async def note(self, message_id: UUID, text: str, *, asks: bool = False) -> SentMessage:
        """Send a note in the case of a message, under the strictest labels of the case."""
        acts = self._acts
        return await self._messages.send(await self._in_thread(lambda: acts.note(message_id, text, asks=asks)))

    @in_desk_thread
    def formal_type(self, message_id: UUID, text: str, *, asks: bool = False) -> str | None:
        """The message type that would say with effect what a note would say in passing; a guess."""
        return self._acts.formal_type(message_id, text, asks=asks)

    @sends_once
    async def service_note(
        self, recipient: Address, matter: str, text: str, *, asks: bool = False, language: str = "en"
    ) -> SentMessage:
        """Send a note without a case; ``matter`` is a code of the list service_matter."""
        acts = self._acts
        return await self._messages.send(
            await self._in_thread(lambda: acts.service_note(recipient, matter, text, asks=asks, language=language))
        )

    @sends_once
    async def confirm_follow_up(self, follow_up_id: UUID, **said: Any) -> SentMessage:
        """Confirm that an announced request arrived: ``authority``, ``file_number``, ``received_at``, ``targets``."""
        acts = self._acts
        return await self._messages.send(await self._in_thread(lambda: acts.confirmation(follow_up_id, said)))

    @sends_once
    async def notify_data_protection(self, message_id: UUID, **said: Any) -> SentMessage:
        """Say what became of the data of a received correction or retraction: ``action``, ``at``, ``because``."""
        acts, now = self._acts, self._works.context.clock()
        return await self._messages.send(
            await self._in_thread(lambda: acts.data_protection_notice(message_id, {"at": now, **said}))
        )

    @sends_once
    async def reply(self, message_id: UUID, reply_type: str, /, **fields: Any) -> SentMessage:
        """Send a reply of any type to a stored message."""
        return await self._messages.send(await self.draft(message_id, reply_type, **fields))

    async def draft(self, message_id: UUID, reply_type: str, /, **fields: Any) -> dict[str, Any]:
        """A draft of a reply of any type to a stored message: addressed, in its thread, under its labels."""
        works = self._works

        def written() -> dict[str, Any]:
            works.acting.require_of_officer(*READERS)
            return works.replies.reply(message_id, reply_type, fields)

        return await self._in_thread(written)

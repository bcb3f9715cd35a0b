"""Drafts of what concerns one's own words, or the case beside its course: correct, take back, note, consult, confirm.

Each takes from the case what follows from it: ids, targets, and labels that are strict enough. Blocking; runs in the
desk's thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from exchange.context.parsed import Parsed
from exchange.messaging.replies import Replies
from exchange.store.desk_store import DeskStore
from exchange.views import Direction
from protocol.address import Address
from protocol.encoding.phrase import phrase
from protocol.errors import ForbiddenError, UsageError

if TYPE_CHECKING:
    from protocol.messages.schema.base import Handling, Message


class ActDrafts:
    """Writes drafts for one desk. Raises :class:`NotFoundError` for a message that the desk does not have."""

    def __init__(self, store: DeskStore, parsed: Parsed, replies: Replies, address: Address) -> None:
        self._store = store
        self._parsed = parsed
        self._replies = replies
        self._address = str(address)

    def correction(self, message_id: UUID, changes: Mapping[str, Any], reason: str) -> dict[str, Any]:
        """The correction of an own message: its content with ``changes``; None takes a field out."""
        from protocol.messages.corrections import original_of, own_fields
        from protocol.messages.notes import all_labels
        from protocol.messages.types.correcting import Correction

        message = self._own(message_id)
        thread = self._thread(message.thread)
        original, content = message, own_fields(message)
        if isinstance(message, Correction):
            # The last words are corrected again.
            original = original_of(message, {other.id: other for other in thread}) or message
            content = dict(message.message)
        fields = {name: value for name, value in {**content, **changes}.items() if value is not None}
        labels = all_labels([original.handling, *_labels_in(fields)])
        said = {"corrects": str(message_id), "reason": reason, "message": fields}
        return {**self._replies.reply(message_id, Correction.TYPE, said), **_labels(labels, fields)}

    def retraction(self, message_id: UUID, why: str, reason: str) -> dict[str, Any]:
        """The retraction of an own message."""
        from protocol.messages.types.correcting import Retract

        self._own(message_id)
        said = {"retracts": str(message_id), "why": why, "reason": reason}
        return self._replies.reply(message_id, Retract.TYPE, said)

    def note(self, message_id: UUID, text: str, *, asks: bool) -> dict[str, Any]:
        """A note in the case of a message, to the other side, under the strictest labels of the case."""
        from protocol.messages.notes import all_labels
        from protocol.messages.types.note import NoteMessage

        thread = self._thread(self._store.messages.head(message_id).head.thread)
        draft = self._replies.reply(message_id, NoteMessage.TYPE, {"text": text, "asks": asks})
        return {**draft, **_labels(all_labels([other.handling for other in thread]))}

    def formal_type(self, message_id: UUID, text: str, *, asks: bool) -> str | None:
        """The message type that would say with effect what a note in this case would say in passing."""
        from protocol.messages.notes import formal_type

        thread = self._store.messages.head(message_id).head.thread
        opening = self._store.messages.thread(thread)[0][1].head
        return formal_type(text, asks=asks, requester=opening.direction is Direction.SENT)

    def service_note(self, recipient: Address, matter: str, text: str, *, asks: bool, language: str) -> dict[str, Any]:
        """A note without a case."""
        from protocol.messages.types.note import NoteMessage

        signed = self._replies.officer()
        return {
            "type": NoteMessage.TYPE,
            "to": [str(recipient)],
            "language": language,
            "handling": {"tlp": "AMBER"},
            "service": matter,
            "text": text,
            "asks": asks,
            **({"officer": signed} if signed else {}),
        }

    def confirmation(self, follow_up_id: UUID, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The confirmation that a follow-up arrived; without ``targets``, of all that it named."""
        from protocol.messages.types.preservation_course import FollowUpConfirmed, PreservationFollowUp

        filed = self._received(follow_up_id)
        if not isinstance(filed, PreservationFollowUp):
            raise UsageError(
                phrase("that message is not a preservation.follow-up: confirm the one that announced the request")
            )
        given = {"targets": list(filed.targets), **fields}
        return self._replies.reply(follow_up_id, FollowUpConfirmed.TYPE, given)

    def data_protection_notice(self, message_id: UUID, fields: Mapping[str, Any]) -> dict[str, Any]:
        """What became of the data that a received correction or retraction is about."""
        from protocol.messages.corrections import original_of
        from protocol.messages.types.correcting import Correction, Retract
        from protocol.messages.types.data_protection import DataProtectionNotice

        said = self._received(message_id)
        if not isinstance(said, Correction | Retract):
            raise UsageError(phrase("that message is neither a correction nor a retraction"))
        original = original_of(said, {other.id: other for other in self._thread(said.thread)})
        named = said.corrects if isinstance(said, Correction) else said.retracts
        about = original.id if original is not None else named
        return self._replies.reply(message_id, DataProtectionNotice.TYPE, {"about": str(about), **fields})

    def _thread(self, thread: UUID) -> list[Message]:
        return [self._parsed.of(row) for _, row, _ in self._store.messages.thread(thread) if not row.erased]

    def _own(self, message_id: UUID) -> Message:
        message = self._parsed.of(self._store.messages.get(message_id))
        if message.sender != self._address:
            raise ForbiddenError(phrase("only the sender of a message corrects it or takes it back"))
        return message

    def _received(self, message_id: UUID) -> Message:
        message = self._parsed.of(self._store.messages.get(message_id))
        if message.sender == self._address:
            raise ForbiddenError(phrase("this desk sent that message itself"))
        return message


def _labels_in(fields: Mapping[str, Any]) -> list[Handling]:
    """The labels inside a correction; none where they are wrong: the check of the draft says so."""
    from pydantic import ValidationError

    from protocol.messages.schema.base import Handling

    try:
        return [Handling.model_validate(fields.get("handling"), strict=False)]
    except ValidationError:
        return []


def _labels(labels: Handling | None, fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The labels as a draft has them, with the grade of what is inside: corrected intelligence is graded, too."""
    if labels is None:
        return {}
    given = labels.model_dump(mode="json", exclude_none=True)
    inside = (fields or {}).get("handling")
    grade = inside.get("grade") if isinstance(inside, dict) else None
    return {"handling": {**given, **({"grade": grade} if grade is not None else {})}}

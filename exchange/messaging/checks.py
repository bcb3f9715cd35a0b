"""What a desk checks of a message beyond its type, in the one place where every message is composed.

Corrections and retractions by their original, notes by their case, times by what they can be. What would harm the other
side is refused, with each field; the rest is warned of. The same checks say what is implausible in what came.

Blocking; runs in the desk's thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from exchange.context.parsed import Parsed
from exchange.store.desk_store import DeskStore
from protocol.codes import load_codes
from protocol.errors import InvalidMessageError, NotFoundError
from protocol.lifecycle.profiles import minimum_days

if TYPE_CHECKING:
    from protocol.messages.schema.base import Message

_RULE = "plausibility"


@dataclass(frozen=True, slots=True)
class Caution:
    """Something to look at again: ``code`` is of the list ``codes``, ``field`` where it stands in the message.

    ``refused``: a desk does not send it.
    """

    codes: str
    code: str
    field: str
    refused: bool = False

    @property
    def text(self) -> str:
        """What it is, in English."""
        return load_codes(self.codes).label(self.code)


def check_composed(store: DeskStore, parsed: Parsed, message: Message) -> None:
    """Return if a composed message may be sent as far as its thread and its times go.

    Raises :class:`InvalidMessageError` with every field that is amiss.
    """
    thread = _thread(store, parsed, message)
    _check_acts(message, thread)
    wrong = [caution for caution in cautions(message, message.sent_at, thread) if caution.refused]
    if wrong:
        problems = tuple((caution.field, _RULE, caution.text) for caution in wrong)
        raise InvalidMessageError("what the message says cannot be", problems)


def cautions_of(store: DeskStore, parsed: Parsed, message: Message) -> list[Caution]:
    """What to look at again in a message of this desk's, sent or received."""
    return list(cautions(message, message.sent_at, _thread(store, parsed, message)))


def cautions(message: Message, at: datetime, thread: Sequence[Message]) -> Iterator[Caution]:
    """What to look at again in a message, given its thread."""
    from protocol.messages.plausibility import implausibilities
    from protocol.messages.types.answer import Answer

    for found in implausibilities(message, at, thread, _minimum_days(message, thread)):
        yield Caution("implausibility", found.code, found.field, found.refused)
    if isinstance(message, Answer) and "H1" in message.handling.codes:
        for number, item in enumerate(message.items):
            if item.evidential_status == "evidence":
                yield Caution("caution", "evidence_under_h1", f"items.{number}.evidential_status")
    yield from _of_unauthorised_words(message, thread)


def _of_unauthorised_words(message: Message, thread: Sequence[Message]) -> Iterator[Caution]:
    """Words that answer a request for data, without an item and so without an authorisation."""
    from protocol.messages.types.answer import Answer

    if not isinstance(message, Answer) or message.text is None or message.items:
        return
    opening = next((other for other in thread if other.id == message.thread), None)
    if opening is not None and getattr(opening, "targets", ()) and not message.not_answered:
        yield Caution("caution", "words_without_authorisation", "text")


def _check_acts(message: Message, thread: Sequence[Message]) -> None:
    from protocol.messages.corrections import check_correction, check_retraction, original_of
    from protocol.messages.notes import check_note
    from protocol.messages.types.correcting import Correction, Retract
    from protocol.messages.types.note import NoteMessage

    if isinstance(message, NoteMessage):
        check_note(message, thread)
    if not isinstance(message, Correction | Retract):
        return
    original = original_of(message, {other.id: other for other in thread})
    if original is None:
        named: UUID = message.corrects if isinstance(message, Correction) else message.retracts
        raise NotFoundError(f"the case has no message {named}")
    if isinstance(message, Correction):
        check_correction(original, message)
    else:
        check_retraction(original, message)


def _minimum_days(message: Message, thread: Sequence[Message]) -> int:
    """The least period under the basis of the request that a message is, or answers."""
    opening = next((other for other in thread if other.id == message.thread), message)
    basis = opening.legal_basis
    return minimum_days(basis.instrument) if basis is not None else 0


def _thread(store: DeskStore, parsed: Parsed, message: Message) -> list[Message]:
    if message.thread == message.id:
        return []
    rows = store.messages.thread(message.thread)
    return [parsed.of(stored) for _, stored, _ in rows if not stored.erased and stored.head.id != message.id]

"""The sealed files that a message names: the list that its routing header must commit to, and what may come later."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from protocol.errors import FileSetMismatchError, InvalidMessageError, NotFoundError
from protocol.files.file_list import FileList, FileSet
from protocol.messages.handling_rules import weakened
from protocol.messages.schema.base import Attachment, Message
from protocol.messages.types.consent import content_conditions

if TYPE_CHECKING:
    from protocol.messages.types.files import FilesSupplement

SUPPLEMENTED = frozenset({"answer", "information.spontaneous", "traffic.partial-disclosure"})
"""The types whose files may come later, with a message of type ``files``."""

_RULE = "files"


def sealed_attachments(message: Message) -> tuple[Attachment, ...]:
    """The attachments whose files follow the message."""
    return tuple(attachment for attachment in message.attachments if attachment.sealed is not None)


def file_list_of(message: Message) -> FileList | None:
    """The list of the files that follow the message; None without any. Raises :class:`TooLargeError`."""
    files = [attachment.sealed.file for attachment in message.attachments if attachment.sealed is not None]
    return FileList.of(files) if files else None


def check_file_set(message: Message, file_set: FileSet | None) -> None:
    """Return if the header says exactly what the message holds; raises :class:`FileSetMismatchError`.

    So no file can be put beside a message, left out of it, or exchanged, without its recipients refusing it.
    """
    files = file_list_of(message)
    if (None if files is None else files.file_set) != file_set:
        raise FileSetMismatchError("the files named inside are not those that the routing header commits to")


def check_supplement(message: FilesSupplement, thread: Iterable[Message]) -> None:
    """Return if the files may follow the message that they supplement, in its thread.

    They are of the same sender, for nobody who does not have it, and under all of its conditions and no weaker labels.
    Raises :class:`NotFoundError` or :class:`InvalidMessageError`.
    """
    original = next((other for other in thread if other.id == message.supplements), None)
    if original is None:
        raise NotFoundError(f"the case has no message {message.supplements}")
    problems: list[tuple[str, str, str]] = []
    if original.sender != message.sender or original.type not in SUPPLEMENTED:
        problems.append(("supplements", _RULE, "files follow only what this office itself gave"))
    if not set(message.to) <= set(original.to):
        problems.append(("to", _RULE, "send it only to those who have the message that it is about"))
    own = {(condition.kind, condition.text) for condition in message.conditions}
    if any((condition.kind, condition.text) not in own for condition in content_conditions(original)):
        problems.append(("conditions", _RULE, "repeat the conditions under which the message was given"))
    text = "the labels are not weaker than those of the message"
    weaker = set(weakened(message.handling, original.handling)) - {"grade"}
    problems += [(f"handling.{name}", _RULE, text) for name in sorted(weaker)]
    if problems:
        raise InvalidMessageError("these files may not follow that message", tuple(problems))

"""Which version of a message type is written for whom.

The card of a contact point, which its nation signs, says which types a desk reads, and in which versions
(``reads``). A card without it is of a desk from before there were versions: it reads version 1 of
:data:`FOUNDING_TYPES`. Rules:

1. A message is written in the newest version that its sender writes and *all* its recipients read.
2. Nothing that this version cannot say is left out in silence: the sender is told which fields, and whose desk is too
   old. It is left out where the draft names it in ``leave_out``, or where the fields beside it say the same.
3. A message of a type that a recipient does not read at all is not sent to it.

Only the card counts: nothing that a node or a desk says of itself can bring a sender to write an older version.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from protocol.encoding.phrase import phrase
from protocol.errors import InvalidMessageError, OlderReaderError
from protocol.messages.parse import ComposedMessage, compose_message
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.fields import Legal
from protocol.messages.schema.since import Since

Reads = Mapping[str, Collection[int]]

# Every desk whose card says nothing of it reads version 1 of these.
FOUNDING_TYPES = frozenset(
    {
        *("preservation.request", "preservation.answer", "preservation.risk", "preservation.risk-reply"),
        *("preservation.extend", "preservation.follow-up", "preservation.release", "traffic.partial-disclosure"),
        *("assistance.request", "emergency.request", "emergency.supplement", "information.spontaneous"),
        *("acknowledgement", "clarification.ask", "clarification.reply", "status.query", "status.report"),
        *("decision", "condition.propose", "condition.accept", "condition.decline", "answer"),
        *("use.query", "use.report", "consent.request", "consent.reply", "misdirected", "withdrawal", "closure"),
        *("contact.test", "contact.test-reply", "incident", "forward", "out-of-order"),
    }
)
LEAVE_OUT_ALL = "all"
_RULE = "schema version"


def versions_read() -> dict[str, tuple[int, ...]]:
    """The types that this program reads, and the versions of each: what its desk's card says."""
    return {name: tuple(range(1, model.SCHEMA_VERSION + 1)) for name, model in sorted(MESSAGE_TYPES.items())}


def newest_for(message_type: str, upto: int, reads: Reads | None) -> int:
    """The newest version of a type, at most ``upto``, that a desk reads; 0 when it reads none of them."""
    versions = ((1,) if message_type in FOUNDING_TYPES else ()) if reads is None else reads.get(message_type, ())
    return max((version for version in versions if 1 <= version <= upto), default=0)


@dataclass(frozen=True, slots=True)
class NewerField:
    """A field of a message that an older version of its type lacks; ``path`` as in the message's JSON."""

    path: tuple[str | int, ...]
    rule: str
    implied: bool

    @property
    def name(self) -> str:
        """The path as problems write it."""
        return ".".join(map(str, self.path))

    def is_named_in(self, leave_out: Collection[str]) -> bool:
        """Whether the field, by its path or by its name alone, or all of them may be left out."""
        return any(name in leave_out for name in (self.name, str(self.path[-1]), LEAVE_OUT_ALL))


def newer_fields(part: BaseModel, version: int, path: tuple[str | int, ...] = ()) -> Iterator[NewerField]:
    """The outermost fields of a message, or of a part of it, that came later than ``version``."""
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if value is None:
            continue
        place = (*path, field.alias or name)
        since = _since(field)
        if since is not None and since.version > version:
            rule = next((entry.rule for entry in field.metadata if isinstance(entry, Legal) and entry.rule), _RULE)
            yield NewerField(place, rule, since.implied)
        elif isinstance(value, BaseModel):
            yield from newer_fields(value, version, place)
        elif isinstance(value, tuple):
            for number, item in enumerate(value):
                if isinstance(item, BaseModel):
                    yield from newer_fields(item, version, (*place, number))


def compose_for(
    draft: Mapping[str, Any],
    readers: Mapping[str, Reads | None],
    *,
    message_id: UUID | None = None,
    sender: str | None = None,
    sent_at: datetime | None = None,
) -> ComposedMessage:
    """The message of a draft in the newest version that all ``readers`` (address: what its card says) read.

    A ``schema_version`` that the draft states is the newest that is written. Raises :class:`InvalidMessageError` for a
    draft that is not complete, and :class:`OlderReaderError`, which lists what cannot be said to whom.
    """
    given = draft
    if "schema_version" in draft:
        given = {name: value for name, value in draft.items() if name != "schema_version"}
    composed = compose_message(given, message_id=message_id, sender=sender, sent_at=sent_at)
    message = composed.message
    stated = draft.get("schema_version", message.schema_version)
    if type(stated) is not int or not 1 <= stated <= message.schema_version:
        return compose_message(draft, message_id=message_id, sender=sender, sent_at=sent_at)  # which refuses it
    version = _common(message.type, stated, readers.values())
    if version == message.schema_version:
        return composed
    each = {reader: newest_for(message.type, stated, reads) for reader, reads in sorted(readers.items())}
    behind = [reader for reader, newest in each.items() if newest < message.schema_version] or sorted(readers)
    if version == 0:
        behind = [reader for reader, newest in each.items() if newest == 0] or sorted(readers)
        raise _unreadable([("type", _RULE, phrase("messages of this type are not read there"))], behind)
    return _in_version(composed, version, _leave_out(draft), behind)


def require_readable(message_type: str, version: int, readers: Mapping[str, Reads | None], where: str) -> None:
    """Return if every reader reads what a message holds at ``where``: another one, written in that version.

    Raises :class:`OlderReaderError`.
    """
    behind = [name for name, reads in sorted(readers.items()) if newest_for(message_type, version, reads) != version]
    if behind:
        raise _unreadable([(where, _RULE, phrase("this version of the message type is not read there"))], behind)


def _common(message_type: str, upto: int, readers: Iterable[Reads | None]) -> int:
    """The newest version that all of them read; 0 when there is none."""
    every = list(readers)
    while upto and every and (newest := min(newest_for(message_type, upto, reads) for reads in every)) != upto:
        upto = newest
    return upto


def _in_version(
    composed: ComposedMessage, version: int, leave_out: Collection[str], behind: list[str]
) -> ComposedMessage:
    newer = list(newer_fields(composed.message, version))
    kept = [field for field in newer if not field.implied and not field.is_named_in(leave_out)]
    if kept:
        text = phrase("this field exists only in a newer version of the message type")
        raise _unreadable([(field.name, field.rule, text) for field in kept], behind)
    fields = json.loads(composed.content)
    for field in newer:
        _remove(fields, field.path)
    message = composed.message
    fields["schema_version"] = version
    try:
        older = compose_message(fields, message_id=message.id, sender=message.sender, sent_at=message.sent_at)
    except InvalidMessageError as problem:
        # A field that may be missing only now, or a code that the older lists lack.
        raise _unreadable(problem.problems, behind) from None
    return replace(older, left_out=tuple(field.name for field in newer if not field.implied))


def _unreadable(problems: Iterable[tuple[str, str, str]], behind: list[str]) -> OlderReaderError:
    detail = phrase("older desks that cannot be told all of this: {addresses}", addresses=", ".join(behind))
    return OlderReaderError(detail, tuple(problems))


def _leave_out(draft: Mapping[str, Any]) -> Collection[str]:
    named = draft.get("leave_out") or ()
    return frozenset(map(str, named)) if isinstance(named, list | tuple) else frozenset({str(named)})


def _remove(fields: Any, path: tuple[str | int, ...]) -> None:
    for step in path[:-1]:
        fields = fields[step]
    del fields[path[-1]]


def _since(field: FieldInfo) -> Since | None:
    return next((entry for entry in field.metadata if isinstance(entry, Since)), None)

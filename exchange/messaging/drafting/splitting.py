"""How many targets one message holds, by their number and its bytes, and a request with more of them as several."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from protocol.encoding.phrase import phrase
from protocol.envelope import MAX_CONTENT_BYTES
from protocol.errors import UsageError
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.parts import MAX_TARGETS

REQUEST = "preservation.request"
# For what the desk fills in: ids, addresses, time, the officer and the signature, and what is still to be written.
_ROOM_BYTES = 16 * 1024
# A target that was read has the identifier as it was typed beside it, with the names of a few fields.
_BESIDE_BYTES = 256


@dataclass(frozen=True, slots=True)
class TargetRoom:
    """How many targets a draft has, and how many of them, from the first on, one message holds."""

    count: int
    fit: int

    @property
    def is_enough(self) -> bool:
        """Whether one message holds them all."""
        return self.fit == self.count

    @property
    def told(self) -> str:
        """That they are too many, and what to do, in words for the officer."""
        return phrase(
            "one message holds the first {fit} of these targets, and they are {count}: split the list over several"
            " requests",
            fit=self.fit,
            count=self.count,
        )


def target_room(draft: Mapping[str, Any]) -> TargetRoom:
    """How many of its targets, or of the identifiers that it reports, one message of a draft holds.

    A draft takes more room once all that it lacks is written: then it is asked again.
    """
    found = _named_in(draft)
    if found is None:
        return TargetRoom(0, 0)
    named, parts, model = found
    return TargetRoom(len(parts), len(next(_cut(parts, _room_bytes(draft, named), model))))


def split_request(draft: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``draft`` as the fewest requests in a row that hold its targets in their order; all else stands in each.

    A draft that fits into one message comes back as it is, and so does one whose targets are no list. Raises
    :class:`UsageError` for a draft of another type.
    """
    if draft.get("type") != REQUEST:
        raise UsageError(
            phrase("only a draft of type {type} can be split: it has targets that stand for themselves", type=REQUEST)
        )
    found = _named_in(draft)
    if found is None:
        return [dict(draft)]
    named, targets, model = found
    return [{**draft, named: part} for part in _cut(targets, _room_bytes(draft, named), model)]


def _cut(parts: Sequence[Any], room: int, model: type[BaseModel]) -> Iterator[list[Any]]:
    """The parts of a list as several, in their order: each is as long as a message holds, and has one at least."""
    if _surely_fit(parts, room):
        yield list(parts)
        return
    some: list[Any] = []
    size = 0
    for part in parts:
        length = _part_bytes(part, model) + 1
        if some and (len(some) == MAX_TARGETS or size + length > room):
            yield some
            some, size = [], 0
        some.append(part)
        size += length
    yield some


def _named_in(draft: Mapping[str, Any]) -> tuple[str, list[Any], type[BaseModel]] | None:
    """The list in which a message names what it is about, with the model of its parts; None where it has none."""
    found = _list_of(str(draft.get("type")))
    parts = draft.get(found[0]) if found is not None else None
    return (found[0], parts, found[1]) if found is not None and isinstance(parts, list) and parts else None


@cache
def _list_of(message_type: str) -> tuple[str, type[BaseModel]] | None:
    model = MESSAGE_TYPES.get(message_type)
    fields = model.model_fields if model is not None else {}
    for name in ("targets", "identifiers"):
        field = fields.get(name)
        part = next(iter(get_args(field.annotation)), None) if field is not None else None
        if isinstance(part, type) and issubclass(part, BaseModel) and "identifier" in part.model_fields:
            return name, part
    return None


def _room_bytes(draft: Mapping[str, Any], named: str) -> int:
    """How many bytes the parts of a list may take beside all else."""
    return MAX_CONTENT_BYTES - _ROOM_BYTES - _json_bytes({**draft, named: []})


def _surely_fit(parts: Sequence[Any], room: int) -> bool:
    """Whether they fit however each is read, so that none need be read to know it."""
    return len(parts) <= MAX_TARGETS and 2 * _json_bytes(parts) + _BESIDE_BYTES * len(parts) <= room


def _part_bytes(target: Any, model: type[BaseModel]) -> int:
    """As it will stand in the message, with what was typed beside it. One that is not valid is refused later."""
    written = _json_bytes(target)
    try:
        read = model.model_validate_json(json.dumps(target, ensure_ascii=False))
    except (ValidationError, TypeError, ValueError):
        return written
    return max(written, len(read.model_dump_json(by_alias=True, exclude_none=True).encode()))


def _json_bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace"))

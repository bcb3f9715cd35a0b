"""One request with more targets than a message holds, as several: each within the number of targets and the bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from protocol.encoding.phrase import phrase
from protocol.envelope import MAX_CONTENT_BYTES
from protocol.errors import UsageError
from protocol.messages.schema.parts import MAX_TARGETS
from protocol.messages.types.preservation import Target

REQUEST = "preservation.request"
# For what the desk fills in: ids, addresses, time, the officer and the signature, and what is still to be written.
_ROOM_BYTES = 16 * 1024


def split_request(draft: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``draft`` as the fewest requests in a row that hold its targets in their order; all else stands in each.

    A draft that fits into one message comes back as it is, and so does one whose targets are no list. Raises
    :class:`UsageError` for a draft of another type.
    """
    if draft.get("type") != REQUEST:
        raise UsageError(
            phrase("only a draft of type {type} can be split: it has targets that stand for themselves", type=REQUEST)
        )
    targets = draft.get("targets")
    if not isinstance(targets, list) or not targets:
        return [dict(draft)]
    room = MAX_CONTENT_BYTES - _ROOM_BYTES - _json_bytes({**draft, "targets": []})
    parts: list[list[Any]] = [[]]
    size = 0
    for target in targets:
        length = _target_bytes(target) + 1
        if parts[-1] and (len(parts[-1]) == MAX_TARGETS or size + length > room):
            parts.append([])
            size = 0
        parts[-1].append(target)
        size += length
    return [{**draft, "targets": part} for part in parts]


def _target_bytes(target: Any) -> int:
    """As it will stand in the message, with what was typed beside it. One that is not valid is refused later."""
    written = _json_bytes(target)
    try:
        read = Target.model_validate_json(json.dumps(target, ensure_ascii=False))
    except (ValidationError, TypeError, ValueError):
        return written
    return max(written, len(read.model_dump_json(by_alias=True, exclude_none=True).encode()))


def _json_bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace"))

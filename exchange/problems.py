"""From a problem on the wire (RFC 9457) back to the typed error that it came from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from protocol.errors import ComityError, PeerFailedError

_MAX_DETAIL_CHARS = 300
_PREFIX = "urn:comity:error:"


def error_of(problem: bytes | str, source: str) -> ComityError:
    """The error of a problem document that ``source`` sent; :class:`PeerFailedError` when it is not one of ours.

    The text is shortened and freed from control characters: it comes from outside.
    """
    try:
        members: Any = json.loads(problem)
    except (ValueError, RecursionError):
        return PeerFailedError(f"{source} answered with something that is not a problem document")
    if not isinstance(members, dict) or not isinstance(members.get("type"), str):
        return PeerFailedError(f"{source} answered with something that is not a problem document")
    kind = _by_code().get(members["type"].removeprefix(_PREFIX))
    detail = members.get("detail")
    text = "".join(c for c in detail if c.isprintable())[:_MAX_DETAIL_CHARS] if isinstance(detail, str) else ""
    if kind is None:
        return PeerFailedError(f"{source} refused with a code that this program does not know")
    return kind(text)


@cache
def _by_code() -> dict[str, type[ComityError]]:
    return {kind.code: kind for kind in _subclasses(ComityError)}


def _subclasses(kind: type[ComityError]) -> Iterator[type[ComityError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _subclasses(child)

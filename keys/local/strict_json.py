"""JSON that has one reading: an object with a member twice is refused, because readers differ in which they take."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from protocol.errors import MalformedError


def require_unique_members(encoded: bytes) -> None:
    """Return if no object in the JSON names a member twice; raises :class:`MalformedError`.

    What is no JSON at all is left to whoever reads it as what it should be.
    """
    try:
        json.loads(encoded, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return


def _unique(members: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise MalformedError("a member stands twice in one object of the JSON")
    return found

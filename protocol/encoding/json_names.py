"""JSON that has one reading: each name once in an object.

Where a name stands twice, readers differ in which value they take. So whoever parses JSON that others wrote gives
:func:`each_name_once` to the parser.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class RepeatedNameError(ValueError):
    """A name stands twice in one object of the JSON."""

    def __init__(self) -> None:
        super().__init__("a name stands twice in one object")


def each_name_once(members: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The object, for the parser's ``object_pairs_hook``; raises :class:`RepeatedNameError`."""
    found = dict(members)
    if len(found) != len(members):
        raise RepeatedNameError
    return found

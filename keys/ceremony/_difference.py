"""The structural difference of two JSON values: every leaf by its path, nothing left out.

A value is turned into its leaves, and two sets of leaves are compared. So a member that nobody thought of is in the
difference all the same, and what is not in the difference is equal.

Members of a list are found by what they are (a key id, a name, the text itself) where that is unique, else by their
place. The order of such a list is a leaf of its own; it is told where the other lines do not say it already.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

Path = tuple[str, ...]
Leaves = dict[Path, str]

ORDER = "(order)"
_IDENTITIES = ("kid", "name")
# A text that could be taken for a JSON value of another kind, or for nothing at all.
_AMBIGUOUS = re.compile(
    r'(|-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?|true|false|null|NaN|-?Infinity|[\[{"].*)\Z', re.DOTALL
)
_SEPARATOR = "\n"
# Longer texts (certificates, say) are told apart by their place.
_MAX_NAME_CHARS = 100


def leaves(value: Any, path: Path = ()) -> Leaves:
    """Every leaf of a JSON value by its path; an empty list or object is a leaf."""
    if isinstance(value, Mapping) and value:
        found: Leaves = {}
        for name in sorted(value):
            found |= leaves(value[name], (*path, _member(name)))
        return found
    if isinstance(value, list) and value:
        return _list_leaves(value, path)
    return {path: _text(value)}


def differing(before: Leaves, after: Leaves) -> list[tuple[Path, str, str]]:
    """(path, before, after) of every leaf that differs, sorted by path; empty for a leaf that is not there."""
    return [
        (path, before.get(path, ""), after.get(path, ""))
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path) and not (path[-1:] == (ORDER,) and _is_said(path, before, after))
    ]


def _list_leaves(items: list[Any], path: Path) -> Leaves:
    names = _identities(items)
    found: Leaves = {}
    if names is None:
        for place, item in enumerate(items):
            found |= leaves(item, (*path, f"[{place}]"))
        return found
    for name, item in zip(names, items, strict=True):
        found |= {(*path, name): "listed"} if isinstance(item, str) else leaves(item, (*path, name))
    return {**found, (*path, ORDER): _SEPARATOR.join(names)}


def _identities(items: list[Any]) -> list[str] | None:
    """What each item is called, when all have a name of their own that can stand in a path."""
    if all(isinstance(item, str) for item in items):
        names = list(items)
    else:
        member = next((name for name in _IDENTITIES if all(_has(item, name) for item in items)), None)
        if member is None:
            return None
        names = [item[member] for item in items]
    return names if len(set(names)) == len(names) and all(map(_can_name, names)) else None


def _can_name(name: str) -> bool:
    return 0 < len(name) <= _MAX_NAME_CHARS and name != ORDER and _SEPARATOR not in name


def _member(name: str) -> str:
    """The name of an object's member, never taken for a place or the order of a list."""
    return json.dumps(name, ensure_ascii=False) if not name or name[0] in '(["' else name


def _has(item: Any, member: str) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get(member), str)


def _is_said(path: Path, before: Leaves, after: Leaves) -> bool:
    """Whether the new order follows from what was removed and the one item that was added at the end."""
    old, new = (side[path].split(_SEPARATOR) if path in side else [] for side in (before, after))
    kept = [name for name in old if name in new]
    added = [name for name in new if name not in old]
    return len(added) <= 1 and new == [*kept, *added]


def _text(value: Any) -> str:
    if isinstance(value, str) and not _AMBIGUOUS.match(value):
        return value
    return json.dumps(value, ensure_ascii=False)

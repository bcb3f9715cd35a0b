"""Marks that cannot be seen, taken out of the identifiers of a draft when somebody asks for it; never by itself.

They come along when a number is copied from a chat, a PDF or a spreadsheet. Each one that was removed is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from protocol.messages.schema.fields import named
from protocol.messages.schema.identifiers import Identifier
from protocol.messages.schema.written import without_hidden

IDENTIFIER_KINDS = frozenset(
    get_args(model.model_fields["kind"].annotation)[0] for model in get_args(get_args(Identifier)[0])
)
# Of an identifier what is prose: there such marks belong to the text.
_PROSE = frozenset({"clock_note"})


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed from one field: the names of the characters."""

    field: str
    characters: tuple[str, ...]


def cleaned(draft: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Removed, ...]]:
    """``draft`` with its identifiers cleaned, and what was removed where. All other texts stay as they are."""
    removed: list[Removed] = []
    value = _walk(draft, "", removed, inside=False)
    return value, tuple(removed)


def _walk(value: Any, path: str, removed: list[Removed], *, inside: bool) -> Any:
    if isinstance(value, str):
        kept = without_hidden(value) if inside else value
        if kept != value:
            gone = Counter(value) - Counter(kept)
            removed.append(Removed(path, tuple(named(one) for one in dict.fromkeys(value) if one in gone)))
        return kept
    if isinstance(value, Mapping):
        return dict(_fields(value, path, removed, inside=inside or value.get("kind") in IDENTIFIER_KINDS))
    if isinstance(value, list):
        return [_walk(part, _joined(path, str(at)), removed, inside=inside) for at, part in enumerate(value)]
    return value


def _fields(value: Mapping[str, Any], path: str, removed: list[Removed], *, inside: bool) -> Iterator[tuple[str, Any]]:
    for name, part in value.items():
        here = (inside and name not in _PROSE) or name == "identifier"
        yield name, _walk(part, _joined(path, name), removed, inside=here)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name

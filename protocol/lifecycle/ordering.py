"""One order of the facts of a thread, the same on every machine that holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from itertools import groupby
from uuid import UUID

from protocol.lifecycle.facts import CaseFact, Delivered

# A message's place: its time, but not before what it replies to, and how many replies deep it is.
_Place = tuple[datetime, int]
# Looked up once per kind: reflection is what a fold would spend most of its time on.
_FIELD_NAMES: dict[type[CaseFact], tuple[str, ...]] = {}


def in_order(facts: Iterable[CaseFact]) -> list[CaseFact]:
    """The facts, each once, sorted: never before what they reply to, then by time, then by id and content."""
    unique = list(set(facts))
    if _differ_in_place(unique):
        # Of two messages with one id the same one is taken everywhere: the first by its content.
        unique.sort(key=_content)
    places = _places(unique)

    def key(fact: CaseFact) -> tuple[datetime, int, int]:
        at, depth = places.get(fact.message_id.int, (fact.at, 0))
        if isinstance(fact, Delivered):
            at, depth = max(at, fact.at), depth + 1
        return at, depth, fact.message_id.int

    # By content where all else is the same: seldom, and it is what an order of many facts would spend its time on.
    keyed = sorted(((key(fact), number) for number, fact in enumerate(unique)))
    ordered: list[CaseFact] = []
    for _, same in groupby(keyed, key=_key_of):
        alike = [unique[number] for _, number in same]
        ordered += sorted(alike, key=_content) if len(alike) > 1 else alike
    return ordered


def _key_of(entry: tuple[tuple[datetime, int, int], int]) -> tuple[datetime, int, int]:
    return entry[0]


def _differ_in_place(facts: Iterable[CaseFact]) -> bool:
    """Whether two facts of one message say different times, or reply to different messages."""
    said: dict[int, tuple[datetime, int | None]] = {}
    for fact in facts:
        place = (fact.at, fact.about.int if fact.about is not None else None)
        if not isinstance(fact, Delivered) and said.setdefault(fact.message_id.int, place) != place:
            return True
    return False


def _content(fact: CaseFact) -> tuple[str, ...]:
    """All that a fact says, as comparable text: instants in UTC, so that their offsets do not matter."""
    return (fact.NAME, *(_text(getattr(fact, name)) for name in _field_names(type(fact))))


def _field_names(kind: type[CaseFact]) -> tuple[str, ...]:
    names = _FIELD_NAMES.get(kind)
    if names is None:
        names = _FIELD_NAMES[kind] = tuple(field.name for field in fields(kind))
    return names


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.hex if isinstance(value, UUID) else repr(value)


def _places(facts: Iterable[CaseFact]) -> Mapping[int, _Place]:
    """The place of each message, by its id as a number: the order of the numbers is that of the ids."""
    own: dict[int, datetime] = {}
    parents: dict[int, int | None] = {}
    for fact in facts:
        key = fact.message_id.int
        if not isinstance(fact, Delivered) and key not in own:
            own[key] = fact.at
            parents[key] = fact.about.int if fact.about is not None else None
    _cut_rings(parents)
    places: dict[int, _Place] = {}
    for message_id in own:
        chain: list[int] = []
        current: int | None = message_id
        while current is not None and current in own and current not in places:
            chain.append(current)
            current = parents[current]
        place = places.get(current) if current is not None else None
        for name in reversed(chain):
            place = (max(place[0], own[name]), place[1] + 1) if place else (own[name], 0)
            places[name] = place
    return places


def _cut_rings(parents: dict[int, int | None]) -> None:
    """Messages that reply to each other in a ring: the one with the smallest id is taken as replying to nothing."""
    settled: set[int] = set()
    for start in sorted(parents):
        walk: dict[int, None] = {}
        current: int | None = start
        while current is not None and current in parents and current not in settled and current not in walk:
            walk[current] = None
            current = parents[current]
        if current is not None and current in walk:
            visited = list(walk)
            parents[min(visited[visited.index(current) :])] = None
        settled.update(walk)

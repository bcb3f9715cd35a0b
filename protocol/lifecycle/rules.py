"""What a lifecycle's table is made of: a row says which fact moves which state, caused by whom, and by which rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from protocol.lifecycle import facts as f
from protocol.lifecycle.reasons import Reason

S = TypeVar("S", bound=StrEnum)


class Side(StrEnum):
    """Who may cause a transition. The requester is who opened the thread."""

    REQUESTER = "requester"
    REQUESTED = "requested"


# Looks at the target, the fact and the opening; returns the reason of its refusal, if it has one.
Guard = Callable[[Any, f.CaseFact, f.Submitted], Reason | None]


@dataclass(frozen=True, slots=True)
class Rule(Generic[S]):
    """One row. ``side`` is None where either may do it, ``after`` where the state stays as it is."""

    before: tuple[S, ...]
    fact: type[f.CaseFact]
    side: Side | None
    after: S | None
    source: str
    guard: Guard | None = None


def by_state_and_fact(rules: Iterable[Rule[S]]) -> Mapping[tuple[S, type[f.CaseFact]], Rule[S]]:
    """The rows by what they are looked up with; a table has one row for each state and fact."""
    index: dict[tuple[S, type[f.CaseFact]], Rule[S]] = {}
    for rule in rules:
        for before in rule.before:
            if (before, rule.fact) in index:
                raise ValueError(f"two rules for {rule.fact.NAME} in {before}")
            index[before, rule.fact] = rule
    return MappingProxyType(index)

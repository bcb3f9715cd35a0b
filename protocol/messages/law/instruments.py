"""Which instruments are in force at all, and since when: data with a source, to be looked up again.

Whether one binds two nations is another question: see the legal profiles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from protocol.codes import Confidence


class InstrumentKind(StrEnum):
    """How an instrument comes to bind: by ratification, as law of the Union, between two, or by one's own law."""

    TREATY = "treaty"
    UNION_LAW = "union_law"
    BETWEEN_TWO = "between_two"
    NATIONAL = "national"


@dataclass(frozen=True, slots=True)
class InstrumentStatus:
    """An instrument of the list ``legal_basis``. ``in_force_since`` is None for a treaty that is not in force.

    ``members`` are the States (codes in lower case) that law of the Union binds, whatever they say.
    """

    code: str
    kind: InstrumentKind
    in_force_since: date | None
    source: str
    confidence: Confidence
    members: frozenset[str] = frozenset()

    def is_in_force(self, day: date) -> bool:
        """Whether it is in force at all on ``day``; what binds two nations or one alone always may be."""
        if self.kind in {InstrumentKind.BETWEEN_TWO, InstrumentKind.NATIONAL}:
            return True
        return self.in_force_since is not None and self.in_force_since <= day


@cache
def instruments() -> Mapping[str, InstrumentStatus]:
    """All instruments by code."""
    raw = json.loads(resources.files(__package__).joinpath("instruments.json").read_text("utf-8"))
    union = frozenset(raw["members_of_the_union"])
    return MappingProxyType({row["code"]: _read(row, union) for row in raw["instruments"]})


def _read(row: Mapping[str, Any], union: frozenset[str]) -> InstrumentStatus:
    since, kind = row["in_force_since"], InstrumentKind(row["kind"])
    return InstrumentStatus(
        code=row["code"],
        kind=kind,
        in_force_since=date.fromisoformat(since) if since else None,
        source=row["source"],
        confidence=row["confidence"],
        members=union - frozenset(row.get("except", ())) if kind is InstrumentKind.UNION_LAW else frozenset(),
    )

"""Which legal bases are in force between two nations, on a territory, on a day: a pure function of what both signed.

A treaty is a basis between two nations when it is in force at all, and each side's profile says that it binds it, on
that day and territory. A profile that says nothing of it leaves the question open: that is told, and refuses nothing.
For a basis that is not in force there are ways out, and they are named.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from exchange.cases.legal_comparison import KnownProfile
from keys.directory.legal_profile import TreatyRule
from protocol.codes import Confidence
from protocol.encoding.phrase import phrase
from protocol.messages.law.instruments import InstrumentKind, InstrumentStatus, instruments

# The ways that remain where a treaty is not in force, in the order in which to look: codes of the list way_out.
_WAYS = ("budapest_27_9", "bilateral", "reciprocity")


class BasisStanding(StrEnum):
    """Whether an instrument is a basis between two nations; codes of the list basis_standing."""

    IN_FORCE = "in_force"
    NOT_IN_FORCE = "not_in_force"
    NOT_BOUND = "not_bound"
    NOT_STATED = "not_stated"
    OWN_LAW = "own_law"


@dataclass(frozen=True, slots=True)
class NationLaw:
    """One of the two: its code of the list ``country``, or its node's name, in lower case, and what it says."""

    nation: str
    known: KnownProfile | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """What one nation says of an instrument, or what is said of the instrument itself (``nation`` None).

    ``since`` is the first day; ``signed`` whether the nation itself signed it into the directory.
    """

    nation: str | None
    since: date | None
    source: str
    confidence: Confidence
    signed: bool
    reservations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Basis:
    """One instrument between two nations, and what that rests on. ``against`` names the nation that is not bound."""

    instrument: str
    standing: BasisStanding
    statements: tuple[Statement, ...]
    against: str | None = None

    @property
    def since(self) -> date | None:
        """Since when it is in force between the two."""
        days = [said.since for said in self.statements if said.since is not None]
        return max(days) if self.standing is BasisStanding.IN_FORCE and days else None

    @property
    def verified(self) -> bool:
        """Whether all that it rests on is verified and each nation signed its own part."""
        return bool(self.statements) and all(
            said.confidence == "verified" and (said.signed or said.nation is None) for said in self.statements
        )


def bases(first: NationLaw, second: NationLaw, day: date, territory: str | None = None) -> tuple[Basis, ...]:
    """Every instrument of the list ``legal_basis`` between two nations on a day.

    ``territory`` is a country code of the list ``country`` for a part of one of them that treaties may leave out.
    """
    return tuple(basis_between(code, first, second, day, territory) for code in instruments())


def basis_between(
    instrument: str,
    first: NationLaw,
    second: NationLaw,
    day: date,
    territory: str | None = None,
) -> Basis:
    """One instrument between two nations on a day."""
    status = instruments()[instrument]
    itself = Statement(None, status.in_force_since, status.source, status.confidence, signed=False)
    if not status.is_in_force(day):
        return Basis(instrument, BasisStanding.NOT_IN_FORCE, (itself,))
    if status.kind is InstrumentKind.NATIONAL:
        return Basis(instrument, BasisStanding.OWN_LAW, ())
    said = [_said(status, first, second), _said(status, second, first)]
    stated = tuple(one for one, _ in said if one is not None)
    statements = stated if status.kind is InstrumentKind.BETWEEN_TWO else (itself, *stated)
    against = next(
        (one.nation for one, rule in said if one is not None and not _binds(one, rule, day, territory)), None
    )
    if against is not None:
        return Basis(instrument, BasisStanding.NOT_BOUND, statements, against)
    # Either side may name a treaty of the two; what binds many, each says for itself.
    enough = 1 if status.kind is InstrumentKind.BETWEEN_TWO else 2
    standing = BasisStanding.IN_FORCE if len(stated) >= enough else BasisStanding.NOT_STATED
    return Basis(instrument, standing, statements)


def ways_out(first: NationLaw, second: NationLaw, day: date, territory: str | None = None) -> tuple[str, ...]:
    """What remains where a basis is not in force: codes of the list way_out, in the order in which to look."""
    budapest = basis_between("budapest", first, second, day, territory)
    open_ = budapest.standing in {BasisStanding.IN_FORCE, BasisStanding.NOT_STATED}
    return _WAYS if open_ else _WAYS[1:]


_UNION = "Treaty on European Union Art. 52"


def _said(status: InstrumentStatus, side: NationLaw, other: NationLaw) -> tuple[Statement | None, TreatyRule | None]:
    """What is known of one side and the instrument, and the rule of its profile; None where nothing is."""
    known = side.known
    rule = _rule(known, status, other) if known is not None else None
    if known is not None and rule is not None:
        terms = tuple(f"{one.article}: {one.text}" for one in rule.reservations)
        return Statement(side.nation, rule.since, rule.source, rule.confidence, known.signed, terms), rule
    if status.kind is InstrumentKind.UNION_LAW and len(side.nation) == 2:
        member = side.nation in status.members
        source = _UNION if member else phrase("no member State that the instrument binds")
        since = status.in_force_since if member else None
        return Statement(side.nation, since, source, "second-hand", signed=False), None
    return None, None


def _rule(known: KnownProfile, status: InstrumentStatus, other: NationLaw) -> TreatyRule | None:
    for rule in known.profile.treaties:
        if rule.instrument != status.code:
            continue
        if status.kind is not InstrumentKind.BETWEEN_TWO:
            return rule
        if other.nation in {partner.lower() for partner in rule.partners}:
            return rule
    return None


def _binds(said: Statement, rule: TreatyRule | None, day: date, territory: str | None) -> bool:
    if said.since is None or day < said.since:
        return False
    if rule is None:
        return True
    return (rule.until is None or day <= rule.until) and territory not in rule.excluded_territories

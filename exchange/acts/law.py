"""What the laws of two nations say, as programs get it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, TypedDict

from exchange.cases.law.bases import Basis
from exchange.cases.legal_comparison import Hint, KnownProfile
from exchange.desk.desk import Desk
from exchange.i18n import _
from protocol.encoding.phrase import phrase
from protocol.errors import NotFoundError, UsageError


class HintsShown(TypedDict):
    """What the comparison of both nations' laws found of a draft."""

    hints: list[Hint]


class ProfileShown(TypedDict):
    """A nation's legal profile, and whether the nation itself signed it."""

    signed_by_the_nation: bool
    profile: dict[str, Any]


class StatementShown(TypedDict):
    """What a nation, or a source, says of an instrument."""

    nation: str | None
    since: str | None
    source: str
    confidence: str
    signed: bool
    reservations: Sequence[str]


class BasisShown(TypedDict):
    """One instrument between two nations."""

    instrument: str
    standing: str
    since: str | None
    against: str | None
    statements: list[StatementShown]
    verified: bool


class BasesShown(TypedDict):
    """The legal bases between two nations, and what remains where one is missing."""

    between: list[str]
    bases: list[BasisShown]
    ways_out: Sequence[str]


async def compare(desk: Desk, draft: Mapping[str, Any]) -> HintsShown:
    """What both nations' laws say of a draft."""
    return {"hints": await desk.cases.compare_laws(draft)}


async def known_profile(desk: Desk, node: str) -> KnownProfile:
    """A nation's profile; raises :class:`NotFoundError`."""
    known = await desk.cases.legal_profile(node)
    if known is None:
        raise NotFoundError(phrase("{node} has published no legal profile: ask its contact point", node=node))
    return known


def profile_object(known: KnownProfile) -> ProfileShown:
    """A profile as programs get it."""
    shown = known.profile.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {"signed_by_the_nation": known.signed, "profile": shown}


async def profile(desk: Desk, node: str) -> ProfileShown:
    """As :func:`known_profile`, as programs get it."""
    return profile_object(await known_profile(desk, node))


async def laws(
    desk: Desk, node: str, *, other: str | None = None, territory: str | None = None, on: str | None = None
) -> BasesShown:
    """The legal bases between two nations (``other``: else this desk's own) on a day; raises :class:`UsageError`."""
    first, second = between(desk, node, other)
    found, ways = await desk.cases.legal_bases(first, second, day=day_of(on), territory=territory)
    return bases_object(first, second, found, ways)


def between(desk: Desk, node: str, other: str | None) -> tuple[str, str]:
    """The two nations that are meant."""
    return (node, other) if other is not None else (desk.address.node, node)


def bases_object(first: str, second: str, found: Sequence[Basis], ways: Sequence[str]) -> BasesShown:
    """Legal bases as programs get them."""
    return {"between": [first, second], "bases": [_basis_object(basis) for basis in found], "ways_out": ways}


def day_of(text: str | None) -> date | None:
    """The day that was written; raises :class:`UsageError`."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(_("write the day as year, month and day, such as 2026-11-23")) from None


def _basis_object(basis: Basis) -> BasisShown:
    return {
        "instrument": basis.instrument,
        "standing": basis.standing,
        "since": basis.since.isoformat() if basis.since else None,
        "against": basis.against,
        "statements": [
            {
                "nation": said.nation,
                "since": said.since.isoformat() if said.since else None,
                "source": said.source,
                "confidence": said.confidence,
                "signed": said.signed,
                "reservations": said.reservations,
            }
            for said in basis.statements
        ],
        "verified": basis.verified,
    }

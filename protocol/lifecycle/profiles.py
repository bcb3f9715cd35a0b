"""Periods and deadlines as data with a source. An unverified number never becomes a minimum that binds.

Each has a kind, which says how it binds. An instrument's clock is law only between nations that it binds both; between
others the same hours are a target of one's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

from protocol.codes import Confidence


class DueKind(StrEnum):
    """How a due date binds. Only who misses one of the first three is late; a missed target has passed."""

    LAW = "law"  # an instrument that binds both nations
    DECLARED = "declared"  # the law or practice that the nation that owes it signed into the directory, or an expiry
    PROMISED = "promised"  # the word of the side that owes it
    TARGET = "target"  # what one side wishes for, or the network's practice

    @property
    def may_be_late(self) -> bool:
        """Whether to miss it is to be late."""
        return self is not DueKind.TARGET


@dataclass(frozen=True, slots=True)
class PreservationProfile:
    """How long data are preserved under an instrument, or in the nations named; days are None where none is set.

    ``renewal``: the law wants a renewal also when a request has followed, so that the expiry keeps running.
    """

    id: str
    legal_basis: tuple[str, ...]
    minimum_days: int | None
    maximum_days: int | None
    extension_days: int | None
    then: str | None
    source: str
    confidence: Confidence
    nations: tuple[str, ...] = ()
    renewal: bool = False


@dataclass(frozen=True, slots=True)
class AcknowledgementProfile:
    """Within how many hours of receipt a request of this urgency is acknowledged.

    ``binds`` are the nations (codes in lower case) between which a clock of the kind *law* is law.
    """

    id: str
    urgency: str
    hours: int
    source: str
    confidence: Confidence
    kind: DueKind = DueKind.DECLARED
    binds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AnswerProfile:
    """Within how many hours of ``starts`` (receipt or decision) a request is decided on or answered (``what``).

    ``urgency`` is empty for any; ``legal_basis`` is empty for instruments that have no profile of their own;
    ``pauses``: an open clarification that says so stops the clock. ``binds`` as for an acknowledgement. ``access`` is
    *direct* or *indirect* where it counts only for what the requested side has at hand, or has to get from others.
    """

    id: str
    what: str
    kinds: tuple[str, ...]
    legal_basis: tuple[str, ...]
    urgency: tuple[str, ...]
    hours: int
    starts: str
    pauses: bool
    source: str
    confidence: Confidence
    kind: DueKind = DueKind.DECLARED
    binds: frozenset[str] = frozenset()
    access: str = ""


@dataclass(frozen=True, slots=True)
class NationalClocks:
    """What the requested nation says of its own clocks: by the message types that each is for (empty: all).

    ``nations`` are the two nations' country codes in lower case as the directory has them; empty: as their addresses
    say. ``renewal``: the nation's law asks for a renewal also of what a request has followed.
    """

    acknowledgement: tuple[tuple[tuple[str, ...], AcknowledgementProfile], ...] = ()
    answer: tuple[AnswerProfile, ...] = ()
    nations: frozenset[str] = frozenset()
    renewal: bool = False


NO_NATIONAL_CLOCKS = NationalClocks()


@cache
def _file() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(resources.files(__package__).joinpath("profiles.json").read_text("utf-8"))
    return loaded


@cache
def preservation_profiles() -> tuple[PreservationProfile, ...]:
    """All preservation profiles."""
    return tuple(
        PreservationProfile(
            id=row["id"],
            legal_basis=tuple(row["legal_basis"]),
            minimum_days=row["minimum_days"],
            maximum_days=row.get("maximum_days"),
            extension_days=row["extension_days"],
            then=row["then"],
            source=row["source"],
            confidence=row["confidence"],
            nations=tuple(row.get("nations", ())),
            renewal=row.get("renewal", False),
        )
        for row in _file()["preservation"]
    )


@cache
def renewing_nations() -> frozenset[str]:
    """The nations whose law wants a preservation renewed also when a request has followed.

    An unverified one counts too: an expiry that is shown and does not run is warned of in vain, the other is lost data.
    """
    return frozenset(nation for profile in preservation_profiles() if profile.renewal for nation in profile.nations)


@cache
def consulting_instruments() -> frozenset[str]:
    """The instruments under which the other side is consulted before a refusal or postponement."""
    return frozenset(basis for row in _file()["consultation"] for basis in row["legal_basis"])


@dataclass(frozen=True, slots=True)
class OwedProfile:
    """By which time after it was asked something is to be answered where nobody named a date: by urgency, in hours."""

    what: str
    hours: Mapping[str, int]
    source: str
    confidence: Confidence

    def period(self, urgency: str) -> timedelta:
        """The period for an urgency; one that the list does not know is held to be urgent."""
        return timedelta(hours=self.hours.get(urgency, self.hours["urgent"]))


@cache
def owed_profile(what: str) -> OwedProfile:
    """The target for what is owed in reply."""
    rows = {row["what"]: row for row in _file()["owed"]}
    return OwedProfile(**rows[what])


@cache
def acknowledgement_profiles() -> tuple[AcknowledgementProfile, ...]:
    """The acknowledgement clock of each urgency."""
    return tuple(
        AcknowledgementProfile(
            id=row["id"],
            urgency=row["urgency"],
            hours=row["hours"],
            source=row["source"],
            confidence=row["confidence"],
            kind=DueKind(row["kind"]),
            binds=_bound(row),
        )
        for row in _file()["acknowledgement"]
    )


def _bound(row: Mapping[str, Any]) -> frozenset[str]:
    """The nations that the instrument of a row binds."""
    groups = _file()["nations"]
    codes = {code for name in row.get("binds", ()) for code in groups[name]["codes"]}
    return frozenset(codes - set(row.get("except", ())))


def kind_between(profile: AcknowledgementProfile | AnswerProfile, nations: frozenset[str]) -> DueKind:
    """How the profile's clock binds between these nations: its law is law only where it binds them all."""
    if profile.kind is DueKind.LAW and not (nations and nations <= profile.binds):
        return DueKind.TARGET
    return profile.kind


@cache
def acknowledgement_profile(urgency: str) -> AcknowledgementProfile:
    """The acknowledgement clock of an urgency; one that this list does not know is held to be urgent."""
    profiles = {profile.urgency: profile for profile in acknowledgement_profiles()}
    return profiles.get(urgency, profiles["urgent"])


def acknowledgement_clock(kind: str, urgency: str, national: NationalClocks) -> AcknowledgementProfile:
    """The acknowledgement clock of a request of type ``kind``, its kind as it is between ``national.nations``.

    A nation may bind itself to answer sooner than the law between the two asks. Later than that counts only where no
    law sets the clock.
    """
    general = acknowledgement_profile(urgency)
    general = replace(general, kind=kind_between(general, national.nations))
    own = [p for kinds, p in national.acknowledgement if p.urgency == urgency and (not kinds or kind in kinds)]
    if general.kind is DueKind.LAW:
        own = [profile for profile in own if profile.hours < general.hours]
    return min(own, key=lambda profile: profile.hours, default=general)


@cache
def answer_profiles() -> tuple[AnswerProfile, ...]:
    """The clocks of decisions and answers."""
    return tuple(
        AnswerProfile(
            id=row["id"],
            what=row["what"],
            kinds=tuple(row["kinds"]),
            legal_basis=tuple(row["legal_basis"]),
            urgency=tuple(row["urgency"]),
            hours=row["hours"],
            starts=row["starts"],
            pauses=row["pauses"],
            source=row["source"],
            confidence=row["confidence"],
            kind=DueKind(row["kind"]),
            binds=_bound(row),
            access=row.get("access", ""),
        )
        for row in _file()["answer"]
    )


@cache
def minimum_days(instrument: str) -> int:
    """The days a preservation under ``instrument`` lasts at least: its verified profile, else the default's.

    It depends on the request alone, so that both sides hold an answer to the same minimum.
    """
    default = 0
    for profile in preservation_profiles():
        if profile.id == _file()["default_preservation"]:
            default = profile.minimum_days or 0
        if instrument in profile.legal_basis and profile.confidence == "verified" and profile.minimum_days:
            return profile.minimum_days
    return default


@cache
def acknowledgement_period(urgency: str) -> timedelta:
    """How long after receipt an acknowledgement is due; an urgency this list does not know is held to be urgent."""
    return timedelta(hours=acknowledgement_profile(urgency).hours)


@cache
def warning_steps(what: str) -> tuple[timedelta, ...]:
    """How long before a deadline of this kind both sides are told, furthest first."""
    hours = _file()["warnings"]["hours"]
    return tuple(timedelta(hours=step) for step in sorted(hours.get(what, hours["other"]), reverse=True))


@cache
def handover_period(urgency: str) -> timedelta:
    """How long after it was sent a message should be with its recipient's desk; an unknown urgency is urgent.

    It is the sender's own target: no law says when a message arrives.
    """
    minutes = {row["urgency"]: row["minutes"] for row in _file()["handover"]}
    return timedelta(minutes=minutes.get(urgency, minutes["urgent"]))


@cache
def opening_period(urgency: str) -> timedelta:
    """How long after its handover somebody should have opened a message; an unknown urgency is urgent.

    It is the sender's own target, as for the handover: after that one calls.
    """
    minutes = {row["urgency"]: row["minutes"] for row in _file()["opening"]}
    return timedelta(minutes=minutes.get(urgency, minutes["urgent"]))


def escalation_after() -> timedelta:
    """How long after the deputy the other side's escalation contact is to be called."""
    return timedelta(hours=_file()["warnings"]["escalation_after_hours"])


@cache
def expiry_warning_days() -> tuple[int, ...]:
    """How many days before an expiry both sides are warned, furthest first."""
    return tuple(step.days for step in warning_steps("expiry"))

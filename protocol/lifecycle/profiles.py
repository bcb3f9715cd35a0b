"""Periods and deadlines as data with a source. An unverified number never becomes a minimum that binds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib import resources
from typing import Any

from protocol.codes import Confidence


@dataclass(frozen=True, slots=True)
class PreservationProfile:
    """How long data are preserved under an instrument; days are None where none is set."""

    id: str
    legal_basis: tuple[str, ...]
    minimum_days: int | None
    maximum_days: int | None
    extension_days: int | None
    then: str | None
    source: str
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class AcknowledgementProfile:
    """Within how many hours of receipt a request of this urgency is acknowledged."""

    id: str
    urgency: str
    hours: int
    source: str
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class AnswerProfile:
    """Within how many hours of ``starts`` (receipt or decision) a request is decided on or answered (``what``).

    ``urgency`` is empty for any; ``legal_basis`` is empty for instruments that have no profile of their own;
    ``pauses``: an open clarification that says so stops the clock.
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


@dataclass(frozen=True, slots=True)
class NationalClocks:
    """What the requested nation says of its own clocks: by the message types that each is for (empty: all)."""

    acknowledgement: tuple[tuple[tuple[str, ...], AcknowledgementProfile], ...] = ()
    answer: tuple[AnswerProfile, ...] = ()


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
        )
        for row in _file()["preservation"]
    )


@cache
def acknowledgement_profiles() -> tuple[AcknowledgementProfile, ...]:
    """The acknowledgement clock of each urgency."""
    return tuple(AcknowledgementProfile(**row) for row in _file()["acknowledgement"])


@cache
def acknowledgement_profile(urgency: str) -> AcknowledgementProfile:
    """The acknowledgement clock of an urgency; one that this list does not know is held to be urgent."""
    profiles = {profile.urgency: profile for profile in acknowledgement_profiles()}
    return profiles.get(urgency, profiles["urgent"])


def acknowledgement_clock(kind: str, urgency: str, national: NationalClocks) -> AcknowledgementProfile:
    """The acknowledgement clock of a request of type ``kind``.

    A nation may bind itself to answer sooner than the network asks. Later than that counts only where no law sets the
    network's own clock.
    """
    general = acknowledgement_profile(urgency)
    own = [p for kinds, p in national.acknowledgement if p.urgency == urgency and (not kinds or kind in kinds)]
    if general.confidence == "verified":
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


def escalation_after() -> timedelta:
    """How long after the deputy the other side's escalation contact is to be called."""
    return timedelta(hours=_file()["warnings"]["escalation_after_hours"])


@cache
def expiry_warning_days() -> tuple[int, ...]:
    """How many days before an expiry both sides are warned, furthest first."""
    return tuple(step.days for step in warning_steps("expiry"))

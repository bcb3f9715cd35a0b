"""What happened in a thread, as small frozen facts: the input of every fold.

A fact comes from one message, or from a verified receipt about one. ``targets`` names the targets it touches; empty
means all of the request. ``at`` is the sender's time of sending, or the time of the receipt: both sides hold the same
bytes and so the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFact:
    """Base: ``message_id`` of the message, ``by`` the contact point that did it, ``about`` the message replied to."""

    # What this fact needs to be sorted after others of the same message; also its name in the table and diagrams.
    NAME: ClassVar[str] = ""

    message_id: UUID
    at: datetime
    by: str
    about: UUID | None = None
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted(CaseFact):
    """A request opens its thread: ``requested`` may act on it, each expiry is at least ``minimum_days`` away."""

    NAME: ClassVar[str] = "submitted"

    thread: UUID
    requested: tuple[str, ...]
    minimum_days: int
    urgency: str = "routine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered(CaseFact):
    """A verified ContentHandover receipt: the desk of ``by`` has the message ``message_id``."""

    NAME: ClassVar[str] = "delivered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged(CaseFact):
    """A person has it, and says whether and when it will be answered."""

    NAME: ClassVar[str] = "acknowledged"

    will_answer: str = "unknown"
    eta: datetime | None = None
    next_update_by: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewStarted(CaseFact):
    """The requested side reports that it examines the request."""

    NAME: ClassVar[str] = "review started"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClarificationAsked(CaseFact):
    """The requested side needs to know more."""

    NAME: ClassVar[str] = "clarification asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClarificationReplied(CaseFact):
    """The requester answered the questions."""

    NAME: ClassVar[str] = "clarification replied"


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskRaised(CaseFact):
    """Preservation may not ensure availability, or may harm confidentiality or the investigation (Art. 29.6)."""

    NAME: ClassVar[str] = "risk raised"


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskAccepted(CaseFact):
    """The requester wants it executed all the same (Art. 29.6). To decline is to withdraw."""

    NAME: ClassVar[str] = "risk accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preserved(CaseFact):
    """The requested side preserved the target, in whole or (``partly``) in part, until ``expires_at``."""

    NAME: ClassVar[str] = "preserved"

    preserved_at: datetime
    expires_at: datetime
    partly: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NotHeld(CaseFact):
    """The data are not held."""

    NAME: ClassVar[str] = "not held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(CaseFact):
    """The requested side refuses on the coded ``ground``."""

    NAME: ClassVar[str] = "refused"

    ground: str = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionAsked(CaseFact):
    """The requester asks for preservation until ``until``; the expiry moves only when the requested side says so."""

    NAME: ClassVar[str] = "extension asked"

    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedUp(CaseFact):
    """The request for mutual assistance (or a production order) was submitted. Suspends expiry once received."""

    NAME: ClassVar[str] = "followed up"


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUpRefused(CaseFact):
    """The request that followed was refused."""

    NAME: ClassVar[str] = "follow-up refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Produced(CaseFact):
    """The data were handed over in execution of the request that followed."""

    NAME: ClassVar[str] = "produced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Released(CaseFact):
    """The requester no longer needs the preservation."""

    NAME: ClassVar[str] = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn(CaseFact):
    """The requester takes the request back."""

    NAME: ClassVar[str] = "withdrawn"

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
    """Base: ``message_id`` of the message, ``by`` the contact point that did it, ``about`` the message replied to.

    ``central``: the directory names ``by`` as the central authority of its nation. ``doubt`` is a code of the list
    ``order_rule`` where the message says something that cannot count, in whatever state the case is; empty otherwise.
    """

    # The name in the table and diagrams. A fact that needs one is sorted after others of the same message by it.
    NAME: ClassVar[str] = ""
    # Whether a table says what it does; all else is in order whenever it comes, and moves no state, by this rule.
    MOVES: ClassVar[bool] = True
    SOURCE: ClassVar[str] = "Comity"

    message_id: UUID
    at: datetime
    by: str
    about: UUID | None = None
    targets: tuple[str, ...] = ()
    central: bool = False
    doubt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted(CaseFact):
    """A message opens its thread: ``requested`` may act on it. ``kind`` is its message type.

    Each expiry is at least ``minimum_days`` away. ``instrument`` and ``urgency`` choose the clocks; ``wanted_by`` is
    until when the requester can use the answer, ``supplement_by`` when the requester owes the rest. ``offers``:
    something is offered, and given when its conditions are accepted. ``silent_until`` is the end of the request not to
    notify the user. ``renewal``: the law of a requested nation wants a preservation renewed also when a request has
    followed, so that its expiry keeps running. ``consults``: under its instrument the other side is consulted before
    a refusal or postponement.
    """

    NAME: ClassVar[str] = "submitted"

    thread: UUID
    requested: tuple[str, ...]
    minimum_days: int = 0
    urgency: str = "routine"
    kind: str = "preservation.request"
    instrument: str | None = None
    wanted_by: datetime | None = None
    supplement_by: datetime | None = None
    offers: bool = False
    silent_until: datetime | None = None
    renewal: bool = False
    consults: bool = False


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
class Explained(CaseFact):
    """The sender of the message ``about`` was told that it was out of order, and why. It moves nothing."""

    NAME: ClassVar[str] = "explained"
    MOVES: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewStarted(CaseFact):
    """The requested side reports that it examines the request."""

    NAME: ClassVar[str] = "review started"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClarificationAsked(CaseFact):
    """The requested side needs to know more; ``pauses``: until it does, its clock stands still."""

    NAME: ClassVar[str] = "clarification asked"

    pauses: bool = False
    answer_by: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClarificationReplied(CaseFact):
    """The requester answered the questions."""

    NAME: ClassVar[str] = "clarification replied"


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskRaised(CaseFact):
    """Preservation may not ensure availability, or may harm confidentiality or the investigation (Art. 29.6)."""

    NAME: ClassVar[str] = "risk raised"

    answer_by: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskAccepted(CaseFact):
    """The requester wants it executed all the same (Art. 29.6). To decline is to withdraw."""

    NAME: ClassVar[str] = "risk accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preserved(CaseFact):
    """The requested side preserved the target, in whole or (``partly``) in part, until ``expires_at``.

    ``final``: it said that it will not keep them longer, so that nothing is left of an extension that was asked for.
    """

    NAME: ClassVar[str] = "preserved"

    preserved_at: datetime
    expires_at: datetime
    partly: bool = False
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NotHeld(CaseFact):
    """The data are not held."""

    NAME: ClassVar[str] = "not held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(CaseFact):
    """The requested side refuses on the coded ``ground``; ``misdirected``: another authority is the right one."""

    NAME: ClassVar[str] = "refused"

    ground: str = "other"
    misdirected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionAsked(CaseFact):
    """The requester asks for preservation until ``until``; the expiry moves only when the requested side says so."""

    NAME: ClassVar[str] = "extension asked"

    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedUp(CaseFact):
    """The requester filed the request that the preservation is for: by which channel, when, under which reference.

    The expiry stands until the requested side confirms that it arrived.
    """

    NAME: ClassVar[str] = "followed up"

    channel: str | None = None
    filed_at: datetime | None = None
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUpArrived(CaseFact):
    """The requested side: its ``authority`` received the request on ``received_at``, under ``file_number``."""

    NAME: ClassVar[str] = "follow-up confirmed"

    authority: str
    file_number: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUpRefused(CaseFact):
    """The request that followed was refused: what a refusal is that replies to it."""

    NAME: ClassVar[str] = "follow-up refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported(CaseFact):
    """The requested side says how it stands, when to expect the answer or the next word, and why it takes longer."""

    NAME: ClassVar[str] = "reported"

    delay: str = ""
    eta: datetime | None = None
    next_update_by: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorisationAwaited(CaseFact):
    """The requested side waits for an authorisation of its own authorities (Directive (EU) 2023/977 Art. 5.2).

    ``reason`` is a code of ``delay_reason``, ``until`` how long that takes as far as it knows.
    """

    NAME: ClassVar[str] = "authorisation awaited"

    reason: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed(CaseFact):
    """The requested side postpones its action (Budapest Convention Art. 27.5)."""

    NAME: ClassVar[str] = "postponed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(CaseFact):
    """The requested side will execute the request."""

    NAME: ClassVar[str] = "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionStarted(CaseFact):
    """The requested side executes the request."""

    NAME: ClassVar[str] = "execution started"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionsProposed(CaseFact):
    """Something will be given under the ``conditions`` named (Budapest Convention Art. 27.6, 28.2)."""

    NAME: ClassVar[str] = "conditions proposed"

    conditions: tuple[str, ...] = ()
    answer_by: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionsAccepted(CaseFact):
    """The ``conditions`` named bind who says so (Art. 28.3)."""

    NAME: ClassVar[str] = "conditions accepted"

    conditions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionsDeclined(CaseFact):
    """The conditions cannot be met, and no others are proposed (Art. 28.3)."""

    NAME: ClassVar[str] = "conditions declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredInPart(CaseFact):
    """Something was handed over and more is to come."""

    NAME: ClassVar[str] = "answered in part"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(CaseFact):
    """The data, or the last of them, were handed over."""

    NAME: ClassVar[str] = "answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Impossible(CaseFact):
    """The request cannot be executed, on the coded ``ground``."""

    NAME: ClassVar[str] = "impossible"

    ground: str = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded(CaseFact):
    """The request came to the wrong authority and was passed on to the right one (Art. 27.9)."""

    NAME: ClassVar[str] = "forwarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplemented(CaseFact):
    """The requester sent what it left out in the emergency."""

    NAME: ClassVar[str] = "supplemented"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed(CaseFact):
    """Nothing more is expected from either side."""

    NAME: ClassVar[str] = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Released(CaseFact):
    """The requester no longer needs the preservation."""

    NAME: ClassVar[str] = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn(CaseFact):
    """The requester takes the request back."""

    NAME: ClassVar[str] = "withdrawn"


# --- Facts that move no state: they put something on somebody's list or take it off ---


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingMoved(CaseFact):
    """Base of facts that are in order whenever a party states them."""

    MOVES: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(NothingMoved):
    """A party asks something that the other owes a reply to; ``answer_by`` is until when it would like to have it."""

    answer_by: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionAsked(Asked):
    """The requester asks the requested side something about its answer."""

    NAME: ClassVar[str] = "question asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionAnswered(NothingMoved):
    """The requested side answers a question of the requester."""

    NAME: ClassVar[str] = "question answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusAsked(Asked):
    """A party asks how it stands."""

    NAME: ClassVar[str] = "status asked"
    SOURCE: ClassVar[str] = "UN Convention Art. 40"


@dataclass(frozen=True, slots=True, kw_only=True)
class UseAsked(Asked):
    """The provider asks what use was made of what it gave (Art. 28.4)."""

    NAME: ClassVar[str] = "use asked"
    SOURCE: ClassVar[str] = "Art. 28.4"


@dataclass(frozen=True, slots=True, kw_only=True)
class UseReported(NothingMoved):
    """Who got something says what use was made of it."""

    NAME: ClassVar[str] = "use reported"
    SOURCE: ClassVar[str] = "Art. 28.4"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentAsked(Asked):
    """Who got something asks to use it or pass it on beyond its conditions."""

    NAME: ClassVar[str] = "consent asked"
    SOURCE: ClassVar[str] = "Second Additional Protocol Art. 14"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentDecided(NothingMoved):
    """Who gave something consents, or does not."""

    NAME: ClassVar[str] = "consent decided"
    SOURCE: ClassVar[str] = "Second Additional Protocol Art. 14"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsultationOpened(Asked):
    """A side asks the other before it decides; ``intends`` is a code of ``consultation_intent`` (Art. 27.6)."""

    NAME: ClassVar[str] = "consultation opened"
    SOURCE: ClassVar[str] = "Art. 27.6"

    intends: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsultationClosed(NothingMoved):
    """What a consultation came to: a code of ``consultation_outcome``. The decision follows."""

    NAME: ClassVar[str] = "consultation closed"
    SOURCE: ClassVar[str] = "Art. 27.6"

    outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceRenewed(NothingMoved):
    """The requester asks that the user is not notified before ``until`` (UN Convention Art. 42)."""

    NAME: ClassVar[str] = "silence renewed"
    SOURCE: ClassVar[str] = "UN Convention Art. 42 (g)"

    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PathDisclosed(NothingMoved):
    """The requested side named another State's provider and the path of a communication (Art. 30)."""

    NAME: ClassVar[str] = "path disclosed"
    SOURCE: ClassVar[str] = "Art. 30"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteWritten(NothingMoved):
    """A note: words that are part of the file."""

    NAME: ClassVar[str] = "note written"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesFollowed(NothingMoved):
    """Files were named that follow what was given before: it was given then, and nothing moves by them."""

    NAME: ClassVar[str] = "files named"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed(NothingMoved):
    """A sender changed what it had said in the message ``original``.

    ``relied`` are the targets for which the other side had acted on it: for these the former version stands.
    """

    original: UUID
    relied: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected(Changed):
    """The sender corrected a message of its own."""

    NAME: ClassVar[str] = "corrected"
    SOURCE: ClassVar[str] = "Directive (EU) 2016/680 Art. 7.3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retracted(Changed):
    """The sender took back a message of its own."""

    NAME: ClassVar[str] = "retracted"
    SOURCE: ClassVar[str] = "Directive (EU) 2016/680 Art. 7.3"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataProtectionNoted(NothingMoved):
    """The recipient says what it did with the data of the message ``concerned``: a code of its list in ``action``."""

    NAME: ClassVar[str] = "data protection noted"
    SOURCE: ClassVar[str] = "Directive (EU) 2016/680 Art. 16"

    concerned: UUID
    action: str = ""

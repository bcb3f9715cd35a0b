"""What a desk shows: frozen values, made from what was verified and stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from exchange.i18n import _
from protocol.address import Address
from protocol.encoding.instants import to_text
from protocol.encoding.phrase import phrase

if TYPE_CHECKING:
    from protocol.event import Event
    from protocol.lifecycle.case import AnyCase
    from protocol.lifecycle.clocks import ExpiryWarning
    from protocol.lifecycle.deadlines import Deadline
    from protocol.lifecycle.folding import MessageStanding
    from protocol.lifecycle.preservation import CentralLeg
    from protocol.lifecycle.waiting import AuthorityWait
    from protocol.messages.schema.base import Message


class Direction(StrEnum):
    """Whether this desk received or sent a message."""

    RECEIVED = "received"
    SENT = "sent"


class SendStatus(StrEnum):
    """Where a message that this desk sent stands at the first hop; later hops are proved by receipts."""

    QUEUED = "queued"  # durable in the outbox, not yet accepted by the own node
    SUBMITTED = "submitted"  # the own node accepted it, and its receipt was verified
    REFUSED = "refused"  # the own node refused it for good; ``error`` says why
    SCHEDULED = "scheduled"  # durable in the outbox, and goes at an instant of its own
    CALLED_OFF = "called_off"  # it waited for its instant, and was called off before it left
    PROPOSED = "proposed"  # a draft that another officer is to release; ``id`` is the draft's


class FileState(StrEnum):
    """Where a file stands at this desk."""

    BY_HASH = "by hash only"  # the message names its hash, and no file follows
    LISTED = "listed"  # the message names it, and not all of it is here
    RECEIVED = "received"
    OPENED = "opened"
    QUARANTINED = "quarantined"
    GONE = "gone"  # it was here, and its key is destroyed


NOT_TAKEN_YET = frozenset({"storage-full", "erased"})
"""Reasons for which a desk did not take files, and which say nothing any more when it has them."""


@dataclass(frozen=True, slots=True)
class FilesShareAt:
    """How much of a message's files a node or a desk has, as it says itself; None for what is not known.

    ``behind`` is the node before it on the way. ``bytes`` of ``of`` were there at ``at``, coming at ``rate`` a second;
    ``left_s`` seconds are left at that rate. ``end`` is a code: why it keeps them no more.
    """

    party: str
    behind: str | None
    bytes: int | None
    of: int
    percent: int | None
    files: int | None
    at: datetime | None
    rate: int | None
    left_s: float | None
    end: str | None


@dataclass(frozen=True, slots=True)
class FilesTold:
    """The files that an event is about: of the set with this digest, so many, or the one with this name (both hex)."""

    file_set: str
    name: str | None
    count: int

    @classmethod
    def of(cls, event: Event) -> FilesTold | None:
        """What the event says of files; None of one that is about none."""
        if event.files is None:
            return None
        name = None if event.files.name is None else event.files.name.hex()
        return cls(event.files.file_set.hex(), name, event.files.count)

    @property
    def words(self) -> str:
        """How many files, or which one, by the beginning of its sealed name."""
        if self.name is not None:
            return _("file {name}").format(name=self.name[:8])
        return _("files: {count}").format(count=self.count)


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """One receipt about one message. Only a ``verified`` one counts as proof; ``error`` is why another does not.

    ``node`` is the node whose log holds the entry (empty when that is not known), ``recipient`` the one it is about
    (None: all), ``reference`` the partner log's origin and index that the entry points to, ``files`` the files that it
    is about.
    """

    event: str
    node: str
    origin: str
    index: int
    size: int
    at: datetime
    recipient: Address | None
    peer: str | None
    reasons: tuple[str, ...]
    reference: tuple[str, int] | None
    verified: bool
    error: str | None = None
    files: FilesTold | None = None


@dataclass(frozen=True, slots=True)
class Caution:
    """Something to look at again: ``code`` is of the list ``codes``, ``field`` where it stands in the message.

    ``refused``: a desk does not send it. ``valid`` are the codes that could stand there, where that is the question.
    """

    codes: str
    code: str
    field: str
    refused: bool = False
    valid: str = ""


@dataclass(frozen=True, slots=True)
class SentMessage:
    """The outcome of sending one message. ``error`` is the code of the refusal, or of why it is still queued, and
    ``reason`` says that in words.

    A request to several nations has one outcome: ``id`` is the parent's, which this desk alone knows, ``children``
    are the messages, one to each nation, and ``status`` is that of the child that is least far.

    A draft that waits for another officer is not sealed yet: its ``digest`` is empty.
    """

    id: UUID
    thread: UUID
    digest: bytes
    status: SendStatus
    receipts: tuple[ReceiptRow, ...] = ()
    error: str | None = None
    reason: str | None = None
    cautions: tuple[Caution, ...] = ()
    children: tuple[SentMessage, ...] = ()
    nation: str = ""  # of a child
    goes_at: datetime | None = None  # of a child, or one that is scheduled: its own instant


@dataclass(frozen=True, slots=True)
class InboxRow:
    """One message in a list. ``opened_at`` is when this desk first showed it (None: not yet; always None if sent)."""

    id: UUID
    thread: UUID
    in_reply_to: UUID | None
    direction: Direction
    type: str
    urgency: str
    sender: Address
    recipients: tuple[Address, ...]
    own_reference: str | None
    sent_at: datetime
    stored_at: datetime
    expires_at: datetime
    opened_at: datetime | None
    status: SendStatus | None  # of sent messages
    sequence: int = field(compare=False)
    suspected: bool = False  # the office that it names said that the case is not theirs


@dataclass(frozen=True, slots=True)
class FoundParent:
    """What was asked of several nations, as a search shows it: by the reference that this office gave it."""

    id: UUID
    type: str
    own_reference: str | None
    nations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found, the newest first. ``parents`` are those that the messages belong to, or whose own reference
    fits.

    ``not_searched`` messages were not looked into, because they are not indexed yet; ``more``: there are more that fit.
    """

    messages: tuple[InboxRow, ...]
    not_searched: int = 0
    more: bool = False
    parents: tuple[FoundParent, ...] = ()


@dataclass(frozen=True, slots=True)
class InboxPage:
    """The first messages of a list; ``more``: there are others behind them."""

    messages: list[InboxRow]
    more: bool


@dataclass(frozen=True, slots=True)
class AgendaPage:
    """What is due, the first of each lane; ``more``: the lanes that have others behind them."""

    items: list[AgendaItem]
    more: tuple[Lane, ...]


@dataclass(frozen=True, slots=True)
class CasePage:
    """The first cases of a list, and how many ``more`` fit."""

    cases: list[CaseRow]
    more: int


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """A message that was refused: kept with the code, never shown as content. Sender and id are claims, not facts."""

    digest: bytes
    code: str
    detail: str
    at: datetime
    claimed_id: UUID | None
    claimed_sender: Address | None
    sequence: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A message with all that is known of it. ``content`` is the JSON as the sender committed to it."""

    row: InboxRow
    message: Message
    content: bytes = field(repr=False)
    notes: tuple[str, ...]
    receipts: tuple[ReceiptRow, ...]
    digest: bytes
    cautions: tuple[Caution, ...] = ()
    readers: tuple[tuple[str, datetime], ...] = ()  # officers who read it, and when first
    original: Message | None = None  # what a correction corrects, where it is here
    standing: MessageStanding | None = None  # None: nothing in its thread corrects or takes back anything
    files: Mapping[str, FileState] = field(default_factory=dict, hash=False)  # by name in the message


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What one synchronisation brought."""

    received: tuple[InboxRow, ...] = ()
    quarantined: tuple[QuarantineRow, ...] = ()
    submitted: tuple[UUID, ...] = ()
    refused: tuple[UUID, ...] = ()
    receipts: int = 0
    unverified_receipts: int = 0
    statements: int = 0
    duplicates: int = 0
    cursor: int = 0

    def __add__(self, other: SyncResult) -> SyncResult:
        return SyncResult(
            self.received + other.received,
            self.quarantined + other.quarantined,
            self.submitted + other.submitted,
            self.refused + other.refused,
            self.receipts + other.receipts,
            self.unverified_receipts + other.unverified_receipts,
            self.statements + other.statements,
            self.duplicates + other.duplicates,
            max(self.cursor, other.cursor),
        )


@dataclass(frozen=True, slots=True)
class RecipientTracking:
    """What is proved for one recipient, oldest first. ``reached`` is the name of the furthest proved event."""

    recipient: Address
    receipts: tuple[ReceiptRow, ...]
    reached: str | None
    failed: tuple[str, ...]  # reason codes of verified negative events


@dataclass(frozen=True, slots=True)
class HowFar:
    """How far a message of this desk is proved to have come, and since when.

    ``step`` is the name of the furthest proved event, or of the one by which it failed; before any, a
    :class:`SendStatus`. ``recipient`` is None where it is so for all of several.
    """

    step: str
    at: datetime | None = None
    recipient: Address | None = None

    @property
    def unopened(self) -> bool:
        """Whether the other desk has it, and nobody is proved to have opened it."""
        return self.step == "ContentHandover"


@dataclass(frozen=True, slots=True)
class TargetRow:
    """The state of one target of the request, at the time of tracking.

    ``follow_up`` is how far the request that followed a preservation is; ``waiting`` for what the requested side waits
    at its own authorities.
    """

    target: str
    state: str
    expires_at: datetime | None
    expiry_suspended: bool
    refusal_ground: str | None
    nation: str = ""  # whose case it is of, where several nations are asked in one thread
    follow_up: CentralLeg | None = None
    waiting: AuthorityWait | None = None
    partly: bool = False  # what is preserved is a part of what was asked for


@dataclass(frozen=True, slots=True)
class Clocks:
    """What is due: None where the clock does not run."""

    acknowledgement_due: datetime | None
    acknowledgement_overdue: bool
    answer_eta: datetime | None
    next_update_by: datetime | None
    expires_at: datetime | None
    warnings: tuple[ExpiryWarning, ...]
    deadlines: tuple[Deadline, ...] = ()


class Lane(StrEnum):
    """Where an item of the agenda stands; the order of these is the order of the agenda."""

    EMERGENCIES = "emergencies"
    OURS = "ours"
    THEIRS = "theirs"
    NOT_DELIVERED = "not_delivered"
    OWN_AUTHORITIES = "own_authorities"


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A message of this desk that is not proved to be with all of its recipients.

    ``state`` is queued, refused (by the own node), failed (a node or the other desk said so) or under_way; ``reasons``
    are codes; ``reached`` is the furthest proved event. ``hangs`` is what is lost when it does not arrive in time, and
    ``hangs_at`` when: ``expiry`` of a preservation, or ``needed_by``.
    """

    message: UUID
    type: str
    state: str
    reasons: tuple[str, ...]
    reached: str | None
    sent_at: datetime
    expires_at: datetime
    hangs: str | None
    hangs_at: datetime | None


@dataclass(frozen=True, slots=True)
class Unopened:
    """A message of this desk that the other desk has, ``since`` then, and that nobody there is proved to have opened.

    ``others`` are how many further messages of the thread wait there for so long.
    """

    message: UUID
    type: str
    since: datetime
    others: int


@dataclass(frozen=True, slots=True)
class AgendaItem:
    """One thing that is due in a thread. ``ours``: this desk must act; ``due`` is None while its clock stands still.

    ``level`` is how pressing it is (:mod:`protocol.lifecycle.warnings`), ``changes_at`` when that changes next.
    ``kind`` is whose date it is: law, declared, promised or target; only of the first three may be said that it is
    late. ``needed_by`` is until when an emergency's answer is of use, ``harm_at`` that or the network's clock.
    ``owes`` is who must act, ``next`` the command that comes next, ``since`` from when on one waits.
    """

    thread: UUID
    type: str
    urgency: str
    peers: tuple[Address, ...]
    what: str
    target: str
    ours: bool
    due: datetime | None
    overdue: bool
    level: str | None
    changes_at: datetime | None
    source: str
    confidence: str
    kind: str = "target"
    lane: Lane = Lane.OURS
    owes: str = ""
    next: str = ""
    needed_by: datetime | None = None
    harm_at: datetime | None = None
    since: datetime | None = None
    reference: str | None = None
    suspected: bool = False
    delivery: Undelivered | None = None
    proved: bool = True
    unopened: Unopened | None = None

    @property
    def without_words(self) -> AgendaItem:
        """The same for who may not read: what somebody wrote of it is left out, as a sender or an authority's name."""
        written = not self.proved or self.lane is Lane.OWN_AUTHORITIES
        return replace(self, target="") if written and self.target else self

    @property
    def late(self) -> bool:
        """Whether somebody is late: an own target that has passed makes nobody so."""
        return self.overdue and self.kind != "target"


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One case in a list: ``nation`` is the other side's, ``owner`` who works on it here, ``due`` what is due next.

    ``suspected``: the office that it names said that it is not theirs. ``proved`` is False for what came by another
    way than Comity.
    """

    thread: UUID
    type: str
    urgency: str
    state: str
    ours: bool  # whether this desk asked
    peers: tuple[Address, ...]
    nation: str
    own_reference: str | None
    peer_reference: str | None
    offence: str | None
    opened_at: datetime
    owner: str | None
    due: datetime | None
    due_what: str | None
    harm_at: datetime | None
    suspected: bool = False
    proved: bool = True
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tracking:
    """Where a message and its case stand.

    Where several nations are asked in one thread, ``nations`` has the case with each: ``state`` is the one that they
    share, or by_nation, ``targets`` are those of each nation, and ``case`` and ``clocks`` are of the first.
    """

    row: InboxRow
    recipients: tuple[RecipientTracking, ...]
    case: AnyCase
    state: str
    targets: tuple[TargetRow, ...]
    clocks: Clocks
    nations: tuple[NationCase, ...] = ()
    how_far: tuple[HowFar, ...] = ()  # of a message that this desk sent


@dataclass(frozen=True, slots=True)
class NationCase:
    """The case with one of several nations."""

    nation: str
    state: str
    case: AnyCase


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a verification: ``ok`` is None when it could not be made (then ``error`` says why)."""

    name: str
    ok: bool | None
    error: str | None = None
    detail: str = ""


class DatingGrade(StrEnum):
    """Who says when a signature was there."""

    WITNESSED = "witnessed"
    LOG = "log"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Dating:
    """By when a message was signed, and by whose word: ``by`` is nodes, or a timestamp authority.

    ``served`` is the recipient whom the node of a log served, None where it served the sender.
    """

    grade: DatingGrade
    at: datetime | None = None
    by: tuple[str, ...] = ()
    served: str | None = None

    @property
    def dated(self) -> bool:
        """Whether anybody but the sender says when."""
        return self.grade is not DatingGrade.NONE

    @property
    def text(self) -> str:
        """The grade in words, for this reader."""
        return _(self.said)

    @property
    def said(self) -> str:
        """The grade in words, to be put into the language of whoever reads them."""
        if self.at is None:
            return phrase("not dated: nothing but the sender's own word says when it was signed")
        names, at = ", ".join(self.by), to_text(self.at)
        if self.grade is DatingGrade.WITNESSED:
            return phrase("dated (witnessed): by {names}, at {time}", names=names, time=at)
        if self.served is None:
            return phrase("dated (log of {node}, which served the sender): at {time}", node=names, time=at)
        return phrase(
            "dated (log of {node}, which served the recipient {recipient}): at {time}",
            node=names,
            recipient=self.served,
            time=at,
        )

    def check(self) -> Check:
        """The grade as a check: what is not dated is not failed, and no success."""
        return Check("dated", True if self.dated else None, None if self.dated else "not-dated", self.text)


NOT_DATED = Dating(DatingGrade.NONE)


@dataclass(frozen=True, slots=True)
class ReceiptCheck:
    """One stored receipt, verified again from its bytes, and its log's consistency with the log's present head.

    ``witnesses`` is whether enough partners cosigned its checkpoint; its ``ok`` is None while they did not.
    """

    receipt: ReceiptRow
    inclusion: Check
    consistency: Check
    witnesses: Check


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """Whether what is stored of a message still holds, from its bytes alone (and the logs as they are now)."""

    id: UUID
    digest: bytes
    checks: tuple[Check, ...]  # "whole", "signature", "dated", "commitment", "content"
    receipts: tuple[ReceiptCheck, ...]
    sentence: str = ""  # who signed, for whom, when, dated by what
    dating: Dating = NOT_DATED

    @property
    def ok(self) -> bool:
        """Whether nothing failed. A check that could not be made is not a failure; see :attr:`complete`."""
        witnesses = (receipt.witnesses for receipt in self.receipts)
        return all(check.ok is not False for check in (*self._all(), *witnesses))

    @property
    def complete(self) -> bool:
        """Whether every check was made but that of the witnesses, who come later: see :attr:`witnessed`."""
        return all(check.ok is not None for check in self._all())

    @property
    def unchecked(self) -> tuple[str, ...]:
        """What could not be checked, by name: it is no success."""
        receipts = [check.name for check in self._all() if check.ok is None]
        return tuple(dict.fromkeys(receipts))

    @property
    def witnessed(self) -> bool:
        """Whether every receipt is under a checkpoint that enough witnesses cosigned."""
        return all(receipt.witnesses.ok for receipt in self.receipts)

    def _all(self) -> tuple[Check, ...]:
        return (
            *self.checks,
            *(check for receipt in self.receipts for check in (receipt.inclusion, receipt.consistency)),
        )

"""What a node's store promises, in values.

A handler verifies everything first and then describes what shall happen as an *operation*. Operations are applied in
batches by one writer: a batch is one transaction that holds the message rows, the events' leaves, the changed tiles and
one signed checkpoint. So there is no accepted message without its log entry, and no log entry without its message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Protocol
from uuid import UUID

from protocol.address import Address
from protocol.errors import (
    ComityError,
)
from protocol.event import EventName, LeafReference
from protocol.log.checkpoint import Checkpoint
from protocol.log.scoped import BundleItem
from protocol.receipt import Receipt, VerifiedReceipt
from protocol.statement import VerifiedStatement

REASON_EXPIRED = "expired"
REASON_UNCLAIMED = "expired-unclaimed"

SignCheckpoint = Callable[[Checkpoint, datetime], bytes]


# --- Operations --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Incoming:
    """One envelope whose sender, signature, time and size the handler verified. ``digest`` is SHA-256 of ``raw``."""

    raw: bytes
    digest: bytes
    message_id: UUID
    sender: Address
    recipients: tuple[Address, ...]
    expires: datetime
    priority: int
    commitment: bytes


@dataclass(frozen=True, slots=True)
class FoundLog:
    """Sign the checkpoint of the empty log. Refused with ``LogForkError`` if the log has a checkpoint."""

    at: datetime


@dataclass(frozen=True, slots=True)
class RenewCheckpoint:
    """Sign the newest checkpoint again, with the keys of now. Refused with ``LogForkError`` if there is none."""

    at: datetime


@dataclass(frozen=True, slots=True)
class AcceptSubmission:
    """A desk of this node submitted ``message``.

    Logs SubmissionAcceptance, then ContentConsignment for each of ``local`` (in this order: so are the receipts).
    Queues one outbound envelope per partner in ``onward``, which names the recipients reached through it.
    A repeat gets the first's receipts; another digest under the same sender and id is ``IdConflictError``.
    """

    message: Incoming
    local: tuple[Address, ...]
    onward: Mapping[str, tuple[Address, ...]]
    at: datetime


@dataclass(frozen=True, slots=True)
class AcceptTransfer:
    """Node ``peer`` handed over ``message``: logs RelayAcceptance(peer), then ContentConsignment per ``local``.

    For each recipient in ``onward`` (by the next node on the way) it then logs RelayAcceptance(peer, recipient): from
    then on this node has custody, and the envelope is queued for that node.
    """

    message: Incoming
    peer: str
    local: tuple[Address, ...]
    at: datetime
    onward: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordRejection:
    """An envelope was refused: logs ``event`` (SubmissionRejection or RelayRejection) and stores nothing else.

    A repeat with equal fields (but ``at``) gets the first's receipt, so that retries do not fill the log.
    """

    message_id: UUID
    digest: bytes
    event: EventName
    peer: str | None
    recipient: Address | None
    reasons: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordDirectory:
    """The node works with another directory from now on: logs DirectorySeen, unless the newest one says the same."""

    version: int
    digest: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordStatement:
    """A recipient's desk stated an event; idempotent by (digest, recipient, event name).

    ContentHandover closes the recipient's mailbox entry and lets go of the payload. The receipt is queued for the
    sender's node, or put into the sender's mailbox if the message was submitted here. ``NotFoundError`` if no message
    of this digest and id was consigned to this recipient here.
    """

    statement: VerifiedStatement
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordRelayed:
    """The partner of ``outbound_id`` accepted the envelope.

    Logs RelayAcceptance(peer, reference). Own and foreign receipts go into the sender's mailbox, or are queued for the
    node that the message came from. The outbound row goes: a repeat is ``NotFoundError``, which a delivery may take as
    "already recorded". ``receipts`` are about this message and verified, also against the last checkpoint seen of their
    log.
    """

    outbound_id: int
    receipts: tuple[VerifiedReceipt, ...]
    reference: LeafReference
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordRefused:
    """The partner refused the envelope for good: logs RelayRejection(peer); the receipt goes to the sender."""

    outbound_id: int
    peer: str
    reasons: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordExpired:
    """The envelope expired before its partner took it: logs RelayFailure(peer) with reason ``expired``."""

    outbound_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordUnclaimed:
    """The message expired in the recipient's mailbox: logs ContentConsignmentFailure, reason ``expired-unclaimed``.

    ``NotFoundError`` if the mailbox entry is not open (it was handed over meanwhile).
    """

    message_id: UUID
    digest: bytes
    recipient: Address
    at: datetime


@dataclass(frozen=True, slots=True)
class StoreForeignReceipts:
    """Receipts from ``peer`` about messages that passed here; idempotent by (log origin, index).

    Each goes into the mailbox of its message's sender, or on to the node that the message came from. One whose message
    is not known here is listed in ``Done.refused``; the others stand.
    """

    peer: str
    receipts: tuple[VerifiedReceipt, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordPeerCheckpoint:
    """A partner's checkpoint was seen and is consistent with the one before. A smaller one changes nothing."""

    origin: str
    size: int
    root: bytes
    note: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordCosigned:
    """This node's witness cosigns a tree of the log ``origin`` that extends the tree of ``old_size`` leaves.

    ``note`` has the witness's lines; they leave the node when this is done. ``OldSizeError`` if ``old_size`` is not the
    size of the tree that was recorded last (0 when none was): then another request came first.
    """

    origin: str
    old_size: int
    size: int
    root: bytes
    note: bytes


@dataclass(frozen=True, slots=True)
class DeferOutbound:
    """Try this row again at ``next_at``; a row that is gone is left alone."""

    outbound_id: int
    attempts: int
    next_at: datetime
    error_code: str


@dataclass(frozen=True, slots=True)
class MarkReceiptsSent:
    """The partner has these receipts (or refused them for good): their outbound rows go."""

    outbound_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PurgeDelivered:
    """Forget at most ``limit`` messages that expired before ``before`` and wait for nobody.

    Rows of messages, mailboxes and foreign receipts go; the log stays whole. ``Done.count`` says how many: repeat
    until it is 0. ``before`` must lie in the past, so that a repeat of a purged message is refused as expired.
    """

    before: datetime
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class EraseEntries:
    """Replace the data of entries ``first`` to before ``end`` by their leaf hashes; ``Done.count`` says how many.

    Left as they are: entries of messages that this node still keeps rows of, entries whose receipt waits for a partner,
    and those that are about no message. The tree does not change, and what is erased stays erased on disk.
    """

    first: int
    end: int


@dataclass(frozen=True, slots=True)
class SkipNumbers:
    """Give no mailbox entry and no outbound row a number that a later state of this database may have given before.

    For a database that may have been put back to an earlier state: desks and partners remember the numbers they saw.
    ``beyond`` is the last number of an earlier database, if this one is to go on from there.
    """

    beyond: int = 0


@dataclass(frozen=True, slots=True)
class ImportEntries:
    """Append entries that this log had signed and that the database lost, from index ``first`` on, in order.

    An entry of which only the leaf hash is known is :class:`Withheld`. What they say of messages that are still here is
    done again: mailbox entries close, queued envelopes that a partner took go, senders get their receipts (again).
    Refused with ``LogForkError`` if ``first`` is not the size of the log. ``Done.count`` says how many were appended.
    Nothing is signed anew: apply it with a ``sign`` that returns the checkpoint over exactly these entries.
    """

    first: int
    entries: Iterable[BundleItem]
    at: datetime


Operation = (
    FoundLog
    | RenewCheckpoint
    | AcceptSubmission
    | AcceptTransfer
    | RecordRejection
    | RecordDirectory
    | RecordStatement
    | RecordRelayed
    | RecordRefused
    | RecordExpired
    | RecordUnclaimed
    | StoreForeignReceipts
    | RecordPeerCheckpoint
    | RecordCosigned
    | DeferOutbound
    | MarkReceiptsSent
    | PurgeDelivered
    | EraseEntries
    | SkipNumbers
    | ImportEntries
)


@dataclass(frozen=True, slots=True)
class Done:
    """The operation stands and is durable.

    ``receipts`` are of its events, in the order named at the operation. ``duplicate``: it was applied before, nothing
    changed. ``refused``: (position, error) of the parts of a :class:`StoreForeignReceipts` that do not stand.
    """

    receipts: tuple[Receipt, ...] = ()
    duplicate: bool = False
    refused: tuple[tuple[int, ComityError], ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """The operation was refused and changed nothing."""

    error: ComityError


Outcome = Done | Failed


@dataclass(frozen=True, slots=True)
class Applied:
    """What a batch came to: an outcome per operation, and who has something new to fetch.

    ``note`` is the log's newest signed checkpoint (of this batch, if it logged anything).
    """

    outcomes: list[Outcome]
    note: bytes | None
    desks: frozenset[str] = frozenset()
    partners: frozenset[str] = frozenset()


# --- What readers get --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredMailboxEntry:
    """A message (``envelope`` set, with this node's receipts for it) or receipts about a message the desk sent.

    ``seq`` grows within a mailbox and is never reused; there are gaps.
    """

    seq: int
    envelope: bytes | None
    receipts: tuple[Receipt, ...]


class OutboundKind(IntEnum):
    """What an outbound row carries: POST /v1/transfer or POST /v1/receipts."""

    ENVELOPE = 0
    RECEIPTS = 1


@dataclass(frozen=True, slots=True)
class OutboundItem:
    """A row of the outbound queue. ``raw`` is set for an envelope, ``receipts`` for receipts.

    ``expires`` is None for receipts: they are never given up for age. ``recipients`` are whom the partner is to reach
    with the envelope.
    """

    outbound_id: int
    kind: OutboundKind
    raw: bytes | None
    receipts: tuple[Receipt, ...]
    attempts: int
    expires: datetime | None
    digest: bytes
    recipients: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class PeerCheckpoint:
    """A checkpoint of another log, verified."""

    origin: str
    size: int
    root: bytes
    note: bytes


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Counts for the metrics: rows that wait, and sizes in bytes."""

    log_size: int
    mailbox_open: int
    outbound: Mapping[str, int] = field(default_factory=dict)
    payload_count: int = 0
    database_bytes: int = 0
    wal_bytes: int = 0


class Store(Protocol):
    """A node's durable state. Only ``apply`` and ``release`` write; they are called from one thread.

    Readers see what was *released*: a batch is shown to no one before its checkpoint is also kept outside the database,
    else a restored backup could fork the log unnoticed.
    """

    async def open(self) -> None:
        """Take the store for this process, migrate it and check its tail.

        Raises :class:`StoreInUseError`, :class:`MigrationError`, :class:`StoreDamagedError`, ``StorageFullError``.
        Everything committed counts as unreleased until the first :meth:`release`.
        """

    async def close(self) -> None:
        """Let the store go; idempotent."""

    def head(self) -> bytes | None:
        """The newest signed checkpoint committed, released or not; None before :class:`FoundLog`. Writer thread."""

    def size(self) -> int:
        """How many leaves are committed. Writer thread."""

    def root_at(self, size: int) -> bytes:
        """The root that the committed log had at ``size``. Writer thread. Raises ``LogUnavailableError``."""

    def apply(self, batch: Sequence[Operation], sign: SignCheckpoint) -> Applied:
        """Apply a batch in one transaction; durable on return. Blocking: call it from the writer thread.

        An operation that breaks a rule is refused alone. If the transaction cannot be written, nothing of the batch
        stands, in the database and in memory: raises ``StorageFullError`` or ``UnavailableError``. If what was
        committed cannot be known any more, raises :class:`StoreDamagedError`: stop and restart.
        """

    def require_still_there(self) -> None:
        """Return if what was opened is still what lies under its name. Any thread. Raises ``StoreReplacedError``."""

    def release(self) -> None:
        """Show readers what is committed: the newest checkpoint is now kept outside the database."""

    async def mailbox(self, desk: Address, after: int, limit: int, max_bytes: int) -> list[StoredMailboxEntry]:
        """Open entries with ``seq > after`` in order: at most ``limit``, about ``max_bytes``, but at least one."""

    async def mailbox_head(self, desk: Address) -> int:
        """The highest seq of the mailbox, 0 if it never had an entry."""

    async def due_outbound(
        self, partner: str, kind: OutboundKind, now: datetime, limit: int, max_bytes: int
    ) -> list[OutboundItem]:
        """Rows of ``kind`` to send to ``partner`` now: higher priority first, then the older."""

    async def outbound(
        self, partner: str, kind: OutboundKind, after: int, limit: int, max_bytes: int
    ) -> list[OutboundItem]:
        """Rows of ``kind`` for ``partner`` with ``outbound_id > after``, oldest first, due or not."""

    async def outbound_items(self, partner: str, outbound_ids: Sequence[int]) -> dict[int, OutboundItem]:
        """The rows of these ids that are queued for ``partner``, by id; those that are gone are left out."""

    async def partners_with_due(self, now: datetime) -> list[tuple[str, datetime]]:
        """Every partner with outbound rows, and when its earliest is due (``now`` if it is)."""

    async def expired(self, now: datetime, limit: int) -> list[RecordExpired | RecordUnclaimed]:
        """The operations that what expired before ``now`` calls for, ready to be submitted."""

    async def checkpoint(self) -> bytes:
        """The newest released checkpoint. Raises ``LogUnavailableError`` before the log was founded."""

    async def log_size(self) -> int:
        """The size of the newest released checkpoint."""

    async def tile(self, level: int, index: int) -> bytes:
        """The hashes of a tile as far as they go, 32 bytes each. Raises ``LogUnavailableError``."""

    async def entries(self, index: int) -> list[BundleItem]:
        """The leaves of entry bundle ``index``, as far as they are released; of erased ones the hash.

        Raises ``LogUnavailableError``.
        """

    async def entry_nations(self, index: int) -> list[frozenset[str]]:
        """From and to which nations the messages of the leaves of bundle ``index`` go; empty where it is not known."""

    async def message_nations(self, message_id: UUID, digest: bytes) -> frozenset[str]:
        """From and to which nations a message goes of which this node still keeps rows; empty for another."""

    async def leaf(self, index: int) -> bytes:
        """One leaf. Raises ``LogUnavailableError``, ``EntriesErasedError``."""

    async def receipt(self, index: int) -> Receipt:
        """The receipt of a leaf, under the checkpoint that released it. Raises as :meth:`leaf`."""

    async def inclusion_path(self, index: int, size: int | None = None) -> list[bytes]:
        """The audit path of a leaf in the tree of ``size`` leaves. Raises ``LogUnavailableError``."""

    async def consistency_path(self, old_size: int, size: int | None = None) -> list[bytes]:
        """The proof that the tree of ``size`` extends that of ``old_size``. Raises ``LogUnavailableError``."""

    async def foreign_checkpoint(self, origin: str) -> PeerCheckpoint | None:
        """The newest checkpoint seen of another log."""

    async def cosigned(self, origin: str) -> PeerCheckpoint | None:
        """The largest tree of another log that this node's witness cosigned, its note with the cosignatures."""

    async def foreign_heads(self) -> list[PeerCheckpoint]:
        """The newest checkpoint seen of every other log, by origin."""

    async def foreign_notes(self, origin: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Checkpoints of the log ``origin`` with receipts under them, by number, those above ``after``."""

    async def foreign_receipt(self, note: bytes) -> Receipt | None:
        """One receipt that is kept under this checkpoint of another log, None if there is none."""

    async def foreign_receipts(self, origin: str, first: int, limit: int) -> list[Receipt]:
        """Receipts of another log that are kept here, those of its entries from ``first`` on, in their order."""

    async def size_at(self, at: datetime) -> int:
        """How many released entries were signed at ``at`` or before, by this log's own checkpoints."""

    async def stats(self) -> StoreStats:
        """Counts for the metrics."""

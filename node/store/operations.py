"""What shall happen to a node's store, in values.

A handler verifies everything first and then describes what shall happen as an *operation*. Operations are applied in
batches by one writer: a batch is one transaction that holds the message rows, the events' leaves, the changed tiles and
one signed checkpoint. So there is no accepted message without its log entry, and no log entry without its message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from node.store.file_operations import FileOperation
from protocol.address import Address
from protocol.errors import ComityError
from protocol.event import EventName, LeafReference
from protocol.files.file_list import FileSet
from protocol.log.checkpoint import Checkpoint
from protocol.log.scoped import BundleItem
from protocol.receipt import Receipt, VerifiedReceipt
from protocol.statement import VerifiedStatement

REASON_EXPIRED = "expired"
REASON_UNCLAIMED = "expired-unclaimed"

SignCheckpoint = Callable[[Checkpoint, datetime], bytes]


@dataclass(frozen=True, slots=True)
class Incoming:
    """One envelope whose sender, signature, time and size the handler verified. ``digest`` is SHA-256 of ``raw``."""

    raw: bytes
    digest: bytes
    message_id: UUID
    sender: Address
    recipients: tuple[Address, ...]
    created: datetime
    expires: datetime
    priority: int
    commitment: bytes
    file_set: FileSet | None = None
    ack_by: datetime | None = None

    @property
    def deadline(self) -> datetime:
        """When it is late: when its sender wants an acknowledgement, or when it expires."""
        return self.expires if self.ack_by is None else min(self.ack_by, self.expires)


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

    Rows of messages, mailboxes, files and foreign receipts go; the log stays whole. One whose files still travel stays.
    ``Done.count`` says how many: repeat until it is 0. ``before`` must lie in the past, so that a repeat of a purged
    message is refused as expired.
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

    An entry of which only the leaf hash is known is :class:`Withheld`. The store does again what they say of messages
    that are still here: mailbox entries close, queued envelopes that a partner took go, senders get their receipts
    (again). Refused with ``LogForkError`` if ``first`` is not the size of the log. ``Done.count`` says how many were
    appended. Nothing is signed anew: apply it with a ``sign`` that returns the checkpoint over exactly these entries.
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
    | FileOperation
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

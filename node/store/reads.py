"""What readers get of a node's store: mailboxes, the outbound queue, the log and what was seen of other logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Protocol
from uuid import UUID

from node.store.file_reads import FileReads
from node.store.operations import RecordExpired, RecordUnclaimed
from protocol.address import Address
from protocol.log.scoped import BundleItem
from protocol.receipt import Receipt


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
    """Counts for the metrics: rows that wait, and sizes in bytes.

    By partner: ``outbound`` rows, ``emergencies`` among them, the first instant at which a message of them is late
    (``deadlines``), and the messages whose files wait (``files_waiting``).
    """

    log_size: int
    mailbox_open: int
    outbound: Mapping[str, int] = field(default_factory=dict)
    payload_count: int = 0
    database_bytes: int = 0
    wal_bytes: int = 0
    file_sets: int = 0
    file_bytes: int = 0
    emergencies: Mapping[str, int] = field(default_factory=dict)
    deadlines: Mapping[str, datetime] = field(default_factory=dict)
    files_waiting: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MessageOrigin:
    """Who made a message, and when, as it was signed; ``created`` is None where this node did not keep it."""

    sender: Address
    created: datetime | None


@dataclass(frozen=True, slots=True)
class Portion:
    """How much of a queue is taken at once: so many rows, about so many bytes, but one row at least (of 0 rows: none).

    The rows of these ids, which are under way, are left out.
    """

    rows: int
    size_bytes: int
    without: tuple[int, ...] = ()


class Reads(FileReads, Protocol):
    """All that is read of a store while it is open, from the event loop.

    Readers see what was *released* (:meth:`node.store.interface.Store.release`). Raises typed errors: beside those that
    a method names, :class:`UnavailableError` when the database cannot be read, and :class:`MalformedError` for a number
    that is larger than any kept here.
    """

    async def mailbox(self, desk: Address, after: int, limit: int, max_bytes: int) -> list[StoredMailboxEntry]:
        """Open entries with ``seq > after`` in order: at most ``limit``, about ``max_bytes``, but at least one."""

    async def mailbox_head(self, desk: Address) -> int:
        """The highest seq of the mailbox, 0 if it never had an entry."""

    async def mailbox_page(
        self, desk: Address, after: int, limit: int, max_bytes: int
    ) -> tuple[list[StoredMailboxEntry], int]:
        """What :meth:`mailbox` and :meth:`mailbox_head` say of one moment."""

    async def due(
        self, partner: str, now: datetime, envelopes: Portion, receipts: Portion
    ) -> tuple[list[OutboundItem], list[OutboundItem]]:
        """What :meth:`due_outbound` says of both kinds at one moment."""

    def mailbox_page_here(
        self, desk: Address, after: int, limit: int, max_bytes: int
    ) -> tuple[list[StoredMailboxEntry], int]:
        """As :meth:`mailbox_page`, in the thread that calls; blocking."""

    def due_here(
        self, partner: str, now: datetime, envelopes: Portion, receipts: Portion
    ) -> tuple[list[OutboundItem], list[OutboundItem]]:
        """As :meth:`due`, in the thread that calls; blocking."""

    async def due_outbound(self, partner: str, kind: OutboundKind, now: datetime, most: Portion) -> list[OutboundItem]:
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

    async def message_origin(self, message_id: UUID, digest: bytes) -> MessageOrigin | None:
        """Who made a message of which this node still keeps rows, and when; None for another."""

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

    async def cosigned_heads(self) -> list[PeerCheckpoint]:
        """What :meth:`cosigned` says of every other log, by origin."""

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

"""Looking into a node's database while it runs: where a message is and why, and what waits for each partner.

Read-only, on a connection of its own, off every path that messages take.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import aiosqlite

from node.store.reads import OutboundKind
from node.store.sqlite.connection import storage_error
from protocol.encoding.instants import from_ms
from protocol.errors import NotFoundError, SettingsError, UnavailableError, UsageError
from protocol.event import decode_event
from protocol.log.checkpoint import parse_checkpoint

MIN_ID_CHARS = 4
MAX_FOUND = 50
_ID_CHARS = 32
_HEX = frozenset("0123456789abcdef")
_LAST_ERRORS = (
    "SELECT partner, error FROM (SELECT partner, error,"
    " row_number() OVER (PARTITION BY partner ORDER BY next_ms DESC, id DESC) AS place"
    " FROM outbound WHERE error IS NOT NULL) WHERE place = 1"
)


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One entry of the node's log about the message."""

    index: int
    name: str
    at: datetime
    recipient: str | None
    peer: str | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Queued:
    """An envelope (or a receipt of it) that waits for a partner: tried so often, next then, last refused so."""

    partner: str
    kind: str
    attempts: int
    next_at: datetime
    error: str | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class InMailbox:
    """The message in a desk's mailbox; ``closed_at`` is when the desk stated that it has it, or gave it up."""

    desk: str
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class PartnerReceipt:
    """What a partner's log proves of the message, as this node keeps it for the sender."""

    origin: str
    index: int
    name: str
    at: datetime
    recipient: str | None


@dataclass(frozen=True, slots=True)
class Trace:
    """Where one message is, as this node knows it. ``peer`` is the node that handed it over, None if submitted here."""

    id: UUID
    digest: str
    sender: str
    peer: str | None
    expires_at: datetime
    payload_held: bool
    events: tuple[LoggedEvent, ...]
    queued: tuple[Queued, ...]
    mailboxes: tuple[InMailbox, ...]
    receipts: tuple[PartnerReceipt, ...]

    def where(self, now: datetime) -> str:
        """The one word for it: ``waiting-for-partner``, ``waiting-for-desk``, ``done`` or ``ended``."""
        if any(row.kind == OutboundKind.ENVELOPE.name.lower() for row in self.queued):
            return "waiting-for-partner"
        if any(row.closed_at is None for row in self.mailboxes):
            return "waiting-for-desk" if now < self.expires_at else "ended"
        return "ended" if any(event.reasons for event in self.events) else "done"


@dataclass(frozen=True, slots=True)
class PartnerState:
    """What waits for one partner: since when the oldest of it does, when the first of it expires, and when the first is
    late (``deadline``)."""

    partner: str
    envelopes: int
    receipts: int
    next_at: datetime | None
    most_attempts: int
    last_error: str | None
    oldest_at: datetime | None = None
    expires_at: datetime | None = None
    emergencies: int = 0
    deadline: datetime | None = None


@asynccontextmanager
async def open_inspection(database: Path) -> AsyncIterator[Inspection]:
    """Open the node's database for reading; the node may be running. :class:`SettingsError` when there is none."""
    uri = _read_only(database)
    try:
        async with aiosqlite.connect(uri, uri=True) as connection:
            await connection.execute("PRAGMA query_only = ON")
            yield Inspection(connection)
    except sqlite3.Error as problem:
        raise storage_error(problem) or UnavailableError("the database cannot be read") from problem


def _read_only(database: Path) -> str:
    if not database.is_file():
        raise SettingsError(f"there is no database at {database}: has the node run?")
    return f"{database.absolute().as_uri()}?mode=ro"


class Inspection:
    """Questions to one open database."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def trace(self, wanted: str) -> list[Trace]:
        """The messages of an id, or of its first or last characters (at least 4).

        Raises :class:`UsageError` for what is no part of an id, :class:`NotFoundError`.
        """
        text = wanted.replace("-", "").lower()
        if not MIN_ID_CHARS <= len(text) <= _ID_CHARS or not set(text) <= _HEX:
            raise UsageError(f"a message id, or {MIN_ID_CHARS} or more of its first or last characters, is needed")
        columns = "SELECT id, message_id, sender, digest, peer, expires_ms FROM message"
        if len(text) == _ID_CHARS:
            rows = await self._all(f"{columns} WHERE message_id = ?", (bytes.fromhex(text),))
        else:
            rows = await self._all(
                f"{columns} WHERE lower(hex(message_id)) LIKE ? OR lower(hex(message_id)) LIKE ? LIMIT ?",
                (f"{text}%", f"%{text}", MAX_FOUND),
            )
        if not rows:
            raise NotFoundError("this node's database has no such message; after its expiry only the log keeps it")
        return [await self._trace(*row) for row in rows]

    async def partners(self) -> list[PartnerState]:
        """What waits for each partner with a queue."""
        rows = await self._all(
            "SELECT partner, sum(kind = 0), sum(kind = 1), min(next_ms), max(attempts), min(message), min(expires_ms),"
            " sum(kind = 0 AND rank = 0), min(deadline_ms) FROM outbound GROUP BY partner ORDER BY partner"
        )
        errors = dict(await self._all(_LAST_ERRORS))
        accepted = await self._accepted_at([row[5] for row in rows])
        return [
            PartnerState(
                partner,
                envelopes,
                receipts,
                from_ms(next_ms),
                attempts,
                errors.get(partner),
                accepted.get(oldest),
                _instant(expires_ms),
                emergencies,
                _instant(deadline_ms),
            )
            for partner, envelopes, receipts, next_ms, attempts, oldest, expires_ms, emergencies, deadline_ms in rows
        ]

    async def _accepted_at(self, messages: list[int]) -> dict[int, datetime]:
        """When messages were taken here, by the number of each, which is that of the entry that accepted it."""
        rows = await self._all(
            "SELECT idx, leaf FROM event WHERE idx IN (SELECT value FROM json_each(?))", (json.dumps(messages),)
        )
        return {idx: decode_event(leaf).at for idx, leaf in rows}

    async def file_sets(self) -> list[tuple[Any, ...]]:
        """Of each message with files that are kept here: ids, who brought it, counts, the list, times, who waits."""
        return await self._all(
            "SELECT m.message_id, f.digest, f.payer, f.files, f.bytes, f.list, f.whole_ms, f.expires_ms, f.moved_ms,"
            " (SELECT group_concat(h.party || ' ' || h.state, char(10)) FROM file_hop h WHERE h.message = f.message)"
            " FROM file_set f JOIN message m ON m.id = f.message WHERE f.ended_ms IS NULL ORDER BY f.message"
        )

    async def seen(self) -> dict[str, int]:
        """By origin, the size of the newest checkpoint that was seen of each other log."""
        return dict(await self._all("SELECT origin, size FROM peer_checkpoint ORDER BY origin"))

    async def log(self) -> dict[str, Any]:
        """The log in the database: its newest checkpoint, and how many entries there are of each event."""
        notes = await self._all("SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1")
        if not notes:
            raise NotFoundError("this node has not signed a checkpoint yet")
        checkpoint = parse_checkpoint(notes[0][0])
        counted = await self._all("SELECT name, count(*) FROM event GROUP BY name ORDER BY name")
        return {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": checkpoint.root.hex(),
            "events": dict(counted),
        }

    async def _trace(
        self, row: int, message_id: bytes, sender: str, digest: bytes, peer: str | None, expires_ms: int
    ) -> Trace:
        events = await self._all("SELECT idx, leaf FROM event WHERE message = ? ORDER BY idx", (row,))
        queued = await self._all(
            "SELECT partner, kind, attempts, next_ms, error, expires_ms FROM outbound WHERE message = ? ORDER BY id",
            (row,),
        )
        mailboxes = await self._all("SELECT desk, closed_ms FROM mailbox WHERE message = ? AND kind = 0", (row,))
        foreign = await self._all(
            "SELECT f.origin, f.idx, f.leaf FROM foreign_receipt f JOIN mailbox m ON m.seq = f.seq"
            " WHERE m.message = ? AND m.kind = 1 ORDER BY f.origin, f.idx",
            (row,),
        )
        held = await self._all("SELECT 1 FROM payload WHERE message = ?", (row,))
        return Trace(
            id=UUID(bytes=message_id),
            digest=digest.hex(),
            sender=sender,
            peer=peer,
            expires_at=from_ms(expires_ms),
            payload_held=bool(held),
            events=tuple(_logged(*event) for event in events),
            queued=tuple(_queued(*entry) for entry in queued),
            mailboxes=tuple(InMailbox(desk, _instant(closed)) for desk, closed in mailboxes),
            receipts=tuple(_foreign(*receipt) for receipt in foreign),
        )

    async def _all(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        async with self._connection.execute(sql, values) as cursor:
            return [tuple(row) for row in await cursor.fetchall()]


def _logged(index: int, leaf: bytes) -> LoggedEvent:
    event = decode_event(leaf)
    recipient = str(event.recipient) if event.recipient is not None else None
    return LoggedEvent(index, event.name.value, event.at, recipient, event.peer, event.reasons)


def _queued(partner: str, kind: int, attempts: int, next_ms: int, error: str | None, expires_ms: int | None) -> Queued:
    return Queued(partner, OutboundKind(kind).name.lower(), attempts, from_ms(next_ms), error, _instant(expires_ms))


def _foreign(origin: str, index: int, leaf: bytes) -> PartnerReceipt:
    event = decode_event(leaf)
    recipient = str(event.recipient) if event.recipient is not None else None
    return PartnerReceipt(origin, index, event.name.value, event.at, recipient)


def _instant(ms: int | None) -> datetime | None:
    return from_ms(ms) if ms is not None else None

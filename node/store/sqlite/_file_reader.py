"""What a node reads of the files of messages. One connection, one thread, no further than is released."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from node.store.file_reads import FileHop, HopState, StoredFileSet
from node.store.reads import OutboundKind
from protocol.address import Address
from protocol.encoding.instants import from_ms, to_ms
from protocol.files.file_list import FileSet

# A message's id is the index of its first entry: one that is not released yet is not there for a reader.
_SETS = (
    "SELECT m.message_id, f.digest, m.sender, m.peer, f.set_digest, f.files, f.bytes, f.payer, f.list, f.expires_ms,"
    " f.whole_ms, f.done_ms, f.ended_ms, f.moved_ms, f.end_reason, f.message,"
    " (SELECT group_concat(h.party || ' ' || h.state || ' ' || h.recipients, char(10)) FROM file_hop h"
    " WHERE h.message = f.message)"
    " FROM file_set f JOIN message m ON m.id = f.message WHERE f.message < ?"
)
_WAITING = (
    " FROM file_hop h JOIN file_set f ON f.message = h.message WHERE {who} f.message < ?"
    " AND ((h.state = 0 AND f.list IS NOT NULL AND f.ended_ms IS NULL) OR h.state = 2)"
)
_MESSAGE_GONE_ON = (
    " AND NOT EXISTS (SELECT 1 FROM outbound o WHERE o.partner = h.party AND o.kind = ? AND o.message = h.message)"
)
_WITHOUT = " hex(f.digest) NOT IN (SELECT value FROM json_each(?))"


class FileReader:
    """Reads of one connection; :class:`node.store.file_reads.FileReads` says what each method promises."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def file_set(self, released: int, digest: bytes) -> StoredFileSet | None:
        """See ``FileReads``."""
        found = self._sets(" AND f.digest = ?", (released, digest))
        return found[0] if found else None

    def file_sets(self, released: int, after: bytes, limit: int) -> list[StoredFileSet]:
        """See ``FileReads``."""
        return self._sets(
            " AND f.ended_ms IS NULL AND f.digest > ? ORDER BY f.digest LIMIT ?", (released, after, limit)
        )

    def file_partners(self, released: int) -> list[str]:
        """See ``FileReads``."""
        sql = "SELECT DISTINCT h.party" + _WAITING.format(who="instr(h.party, '@') = 0 AND h.state IN (0, 2) AND")
        return [row[0] for row in self._connection.execute(sql, (released,))]

    def files_for(self, released: int, party: str, limit: int, without: Collection[bytes]) -> list[StoredFileSet]:
        """See ``FileReads``."""
        sql = "SELECT f.message" + _WAITING.format(who="h.party = ? AND h.state IN (0, 2) AND")
        sql += _MESSAGE_GONE_ON + " AND" + _WITHOUT + " ORDER BY f.message LIMIT ?"
        envelope = int(OutboundKind.ENVELOPE)
        rows = self._connection.execute(sql, (party, released, envelope, _digests(without), limit)).fetchall()
        numbers = json.dumps([row[0] for row in rows])
        of_these = " AND f.message IN (SELECT value FROM json_each(?)) ORDER BY f.message"
        return self._sets(of_these, (released, numbers)) if rows else []

    def files_from(self, released: int, peer: str, limit: int, without: Collection[bytes]) -> list[StoredFileSet]:
        """See ``FileReads``."""
        of_these = " AND f.payer = ? AND f.whole_ms IS NULL AND f.ended_ms IS NULL AND" + _WITHOUT
        return self._sets(of_these + " ORDER BY f.message LIMIT ?", (released, peer, _digests(without), limit))

    def files_ending(
        self, released: int, now: datetime, done_before: datetime, page: tuple[int, Collection[bytes]]
    ) -> list[StoredFileSet]:
        """See ``FileReads``; ``page``: how many at the most, and without which."""
        limit, without = page
        over = (
            " AND f.ended_ms IS NULL AND (f.expires_ms < ? OR f.done_ms <= ? OR (f.done_ms IS NOT NULL AND"
            " NOT f.may_rest)) AND" + _WITHOUT + " ORDER BY f.expires_ms LIMIT ?"
        )
        return self._sets(over, (released, to_ms(now), to_ms(done_before), _digests(without), limit))

    def envelope_waits(self, partner: str, now: datetime) -> bool:
        """See ``FileReads``."""
        due = "SELECT 1 FROM outbound WHERE partner = ? AND kind = ? AND next_ms <= ? LIMIT 1"
        row = self._connection.execute(due, (partner, int(OutboundKind.ENVELOPE), to_ms(now))).fetchone()
        return row is not None

    def _sets(self, condition: str, parameters: tuple[object, ...]) -> list[StoredFileSet]:
        return [_stored(row) for row in self._connection.execute(_SETS + condition, parameters)]


def _stored(row: tuple[object, ...]) -> StoredFileSet:
    (
        message_id,
        digest,
        sender,
        peer,
        set_digest,
        files,
        size,
        payer,
        file_list,
        expires,
        whole,
        done,
        ended,
        moved,
        end_reason,
        _,
        hops,
    ) = row
    return StoredFileSet(
        message_id=UUID(bytes=_bytes(message_id)),
        digest=_bytes(digest),
        sender=Address.parse(str(sender)),
        peer=None if peer is None else str(peer),
        file_set=FileSet(_bytes(set_digest), _int(files), _int(size)),
        payer=str(payer),
        file_list=None if file_list is None else _bytes(file_list),
        expires=from_ms(_int(expires)),
        whole_at=None if whole is None else from_ms(_int(whole)),
        done_at=None if done is None else from_ms(_int(done)),
        ended=ended is not None,
        hops=tuple(map(_hop, str(hops or "").splitlines())),
        end_reason=None if end_reason is None else str(end_reason),
        moved_at=None if moved is None else from_ms(_int(moved)),
    )


def _hop(line: str) -> FileHop:
    party, state, *recipients = line.split()
    return FileHop(party, HopState(int(state)), tuple(map(Address.parse, recipients)))


def _digests(digests: Collection[bytes]) -> str:
    return json.dumps([digest.hex().upper() for digest in digests])


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("a byte string was expected in this column")
    return value


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("a number was expected in this column")
    return value

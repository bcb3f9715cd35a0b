"""What was done under which key: see :mod:`exchange.messaging.once`."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from exchange.store._content import ContentSeal
from exchange.store._names import RowNames
from exchange.store.database import SealedDatabase
from exchange.store.rows import OnceRecord, OnceResult
from protocol.encoding import cbor


class OnceTable:
    """The keys of one desk and what they led to. ``name`` is what a key is called, with its officer."""

    def __init__(self, database: SealedDatabase, names: RowNames, content: ContentSeal) -> None:
        self._database = database
        self._cipher = database.cipher
        self._names = names
        self._content = content

    def get(self, name: bytes) -> OnceRecord | None:
        """What is known of a key; None for one that was never used."""
        row = self._row(name)
        with self._database.snapshot():
            rows = self._database.all("SELECT sealed, slot FROM once WHERE id = ?", (row,))
            if not rows:
                return None
            results = self._database.all("SELECT seq, ref, sealed FROM once_result WHERE once = ? ORDER BY seq", (row,))
        sealed, slot = rows[0]
        found = tuple(self._result(row, ref, value) for _, ref, value in results)
        if slot is None:
            return OnceRecord(None, len(found), found)
        asked, total = cbor.decode(self._content.open(b"once.sealed", row, sealed, slot))
        return OnceRecord(asked, total, found)

    def count(self, name: bytes) -> int:
        """How many results a key has."""
        rows = self._database.all("SELECT count(*) FROM once_result WHERE once = ?", (self._row(name),))
        return int(rows[0][0])

    def begin(self, name: bytes, asked: bytes, total: int) -> None:
        """Keep that a key is used, inside a transaction."""
        row = self._row(name)
        slot, sealed = self._content.seal(b"once.sealed", row, cbor.encode([asked, total]))
        self._database.execute("INSERT INTO once (id, sealed, slot) VALUES (?, ?, ?)", (row, sealed, slot))

    def add(self, name: bytes, results: Sequence[OnceResult]) -> None:
        """Keep what a key led to, inside a transaction."""
        row = self._row(name)
        self._database.execute_all(
            "INSERT INTO once_result (once, ref, sealed) VALUES (?, ?, ?)",
            [(row, ref, self._sealed(row, ref, one)) for one in results for ref in [self._names.message(one.id)]],
        )

    def forget(self, message: UUID) -> None:
        """Erase what the draft of a message, or a draft, is told from others by, inside a transaction."""
        ref = self._names.message(message)
        rows = self._database.all(
            "SELECT o.id, o.slot FROM once o JOIN once_result r ON r.once = o.id"
            " WHERE r.ref = ? AND o.slot IS NOT NULL",
            (ref,),
        )
        self._content.doom(slot for _, slot in rows)
        self._database.execute_all(
            "UPDATE once SET sealed = x'', slot = NULL WHERE id = ?", [(row,) for row, _ in rows]
        )

    def _sealed(self, row: bytes, ref: bytes, result: OnceResult) -> bytes:
        value = cbor.encode([result.id.bytes, result.thread.bytes, result.draft])
        return self._cipher.seal(b"once_result.sealed", row + ref, value)

    def _result(self, row: bytes, ref: bytes, sealed: bytes) -> OnceResult:
        id_, thread, draft = cbor.decode(self._cipher.open(b"once_result.sealed", row + ref, sealed))
        return OnceResult(UUID(bytes=id_), UUID(bytes=thread), draft)

    def _row(self, name: bytes) -> bytes:
        return self._cipher.blind(b"once", name)

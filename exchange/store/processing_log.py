"""The table of the processing log: entry, leaf hash and the tree's right edge commit together with the act itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exchange.store.database import SealedDatabase
from protocol.encoding import cbor
from protocol.errors import DatabaseDamagedError, MalformedError
from protocol.log.frontier import Frontier
from protocol.log.merkle import leaf_hash
from protocol.processing_log import ProcessingRecord

_AT_ONCE = 1000
_FRONTIER = b"record-frontier"


class ProcessingLogTable:
    """The processing log of one desk, its records in the order they were made; entry 0 is the first."""

    def __init__(self, database: SealedDatabase) -> None:
        self._database = database
        self._cipher = database.cipher

    def insert(self, records: Sequence[ProcessingRecord]) -> None:
        """Append records, inside a transaction."""
        if not records:
            return
        frontier = self.frontier()
        entries = [record.to_bytes() for record in records]
        leaves = [leaf_hash(entry) for entry in entries]
        rows = [
            (index + 1, leaf, self._cipher.seal(b"record.sealed", _row(index), entry))
            for index, (leaf, entry) in enumerate(zip(leaves, entries, strict=True), frontier.size)
        ]
        self._database.execute_all("INSERT INTO record (seq, leaf, sealed) VALUES (?, ?, ?)", rows)
        self._keep(frontier.extended(leaves))

    def frontier(self) -> Frontier:
        """The right edge of the tree; raises :class:`DatabaseDamagedError`."""
        row = self._cipher.blind(b"state", _FRONTIER)
        rows = self._database.all("SELECT sealed FROM state WHERE id = ?", (row,))
        if not rows:
            return Frontier()
        size, subtrees = cbor.decode(self._cipher.open(b"state.sealed", row, rows[0][0]))
        try:
            return Frontier(size, tuple(subtrees))
        except MalformedError as problem:
            raise DatabaseDamagedError from problem

    def entry(self, index: int) -> bytes:
        """One entry, whose bytes have its leaf hash; raises :class:`DatabaseDamagedError` when it is missing."""
        rows = self._database.all("SELECT leaf, sealed FROM record WHERE seq = ?", (index + 1,))
        entry = self._cipher.open(b"record.sealed", _row(index), rows[0][1]) if rows else b""
        if not rows or leaf_hash(entry) != rows[0][0]:
            raise DatabaseDamagedError(f"processing record {index} is missing or was altered")
        return entry

    def entries(self, first: int = 0, stop: int | None = None) -> Iterator[tuple[int, bytes, bytes]]:
        """(index, leaf hash, entry) of the records from ``first`` up to ``stop``."""
        index = first
        while rows := self._database.all(
            "SELECT seq, leaf, sealed FROM record WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
            (index, (1 << 62) if stop is None else stop, _AT_ONCE),
        ):
            for seq, leaf, sealed in rows:
                yield seq - 1, leaf, self._cipher.open(b"record.sealed", _row(seq - 1), sealed)
            index = rows[-1][0]

    def _keep(self, frontier: Frontier) -> None:
        row = self._cipher.blind(b"state", _FRONTIER)
        value = cbor.encode([frontier.size, list(frontier.subtrees)])
        self._database.execute(
            "INSERT INTO state (id, sealed) VALUES (?, ?) ON CONFLICT DO UPDATE SET sealed = excluded.sealed",
            (row, self._cipher.seal(b"state.sealed", row, value)),
        )


def _row(index: int) -> bytes:
    return index.to_bytes(8, "big")

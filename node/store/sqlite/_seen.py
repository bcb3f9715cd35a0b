"""The newest checkpoint seen of each other log, as a batch reads and changes it: one look and one write per log."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

_UPSERT = (
    "INSERT INTO peer_checkpoint (origin, size, root, note) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root, note = excluded.note"
)


@dataclass(frozen=True, slots=True)
class SeenCheckpoint:
    """A verified checkpoint of another log: size, root (32 bytes) and the signed note."""

    size: int
    root: bytes
    note: bytes


class SeenCheckpoints:
    """What one batch knows of other logs. Nothing is written before :meth:`write`, in the batch's own transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._newest: dict[str, SeenCheckpoint | None] = {}
        self._changed: set[str] = set()

    def of(self, origin: str) -> SeenCheckpoint | None:
        """The newest checkpoint seen of the log ``origin``, this batch's included."""
        if origin not in self._newest:
            row = self._connection.execute(
                "SELECT size, root, note FROM peer_checkpoint WHERE origin = ?", (origin,)
            ).fetchone()
            self._newest[origin] = SeenCheckpoint(*row) if row is not None else None
        return self._newest[origin]

    def add(self, origin: str, checkpoint: SeenCheckpoint) -> None:
        """Keep ``checkpoint`` if it is the newest; that it does not contradict the others was checked."""
        seen = self.of(origin)
        if seen is None or checkpoint.size > seen.size:
            self._newest[origin] = checkpoint
            self._changed.add(origin)

    def write(self) -> None:
        """Write what changed."""
        for origin in sorted(self._changed):
            newest = self._newest[origin]
            if newest is not None:
                self._connection.execute(_UPSERT, (origin, newest.size, newest.root, newest.note))

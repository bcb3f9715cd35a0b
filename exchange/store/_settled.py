"""What became of messages that were not delivered: what was sent in their place, or why nothing is."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from exchange.store._names import RowNames
from exchange.store.database import SealedDatabase
from protocol.encoding import cbor


class SettledTable:
    """The messages of one desk that were not delivered, and need nobody any more."""

    def __init__(self, database: SealedDatabase, names: RowNames) -> None:
        self._database = database
        self._cipher = database.cipher
        self._names = names

    def of(self, message_id: UUID) -> bytes | None:
        """What became of the message."""
        row = self._names.message(message_id)
        rows = self._database.all("SELECT sealed FROM settled WHERE id = ?", (row,))
        return self._cipher.open(b"settled.sealed", row, rows[0][0]) if rows else None

    def replaced(self, ids: Iterable[UUID]) -> set[UUID]:
        """Those of the messages in whose place another one was sent, or that say nothing since they never left."""
        named = {self._names.message(message_id): message_id for message_id in ids}
        rows = self._database.among("SELECT id, sealed FROM settled WHERE id IN", named)
        values = ((row, cbor.decode(self._cipher.open(b"settled.sealed", row, sealed))) for row, sealed in rows)
        return {named[row] for row, (instead, _, _, _, *says_nothing) in values if instead or any(says_nothing)}

    def put(self, message_id: UUID, value: bytes) -> None:
        """Note it, inside a transaction; the last word counts."""
        row = self._names.message(message_id)
        sealed = self._cipher.seal(b"settled.sealed", row, value)
        self._database.execute("INSERT OR REPLACE INTO settled (id, sealed) VALUES (?, ?)", (row, sealed))

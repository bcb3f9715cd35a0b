"""Why the own node refused something for good: a message that was to be sent, or a statement."""

from __future__ import annotations

from uuid import UUID

from exchange.store._names import RowNames
from exchange.store.database import SealedDatabase
from exchange.store.rows import Refusal


class RefusalTable:
    """The refusals that one desk met."""

    def __init__(self, database: SealedDatabase, names: RowNames) -> None:
        self._database = database
        self._cipher = database.cipher
        self._names = names

    def of(self, message_id: UUID) -> Refusal | None:
        """Why the own node refused the message for good."""
        row = self._names.message(message_id)
        rows = self._database.all("SELECT sealed FROM refusal WHERE id = ?", (row,))
        return Refusal.from_bytes(self._cipher.open(b"refusal.sealed", row, rows[0][0])) if rows else None

    def put(self, row: bytes, refusal: Refusal) -> None:
        """Keep why the thing of the name ``row`` was refused, inside a transaction."""
        self._database.execute(
            "INSERT INTO refusal (id, sealed) VALUES (?, ?) ON CONFLICT DO UPDATE SET sealed = excluded.sealed",
            (row, self._cipher.seal(b"refusal.sealed", row, refusal.to_bytes())),
        )

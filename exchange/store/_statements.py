"""What the desk states of messages: signed statements until the own node has logged them, and when each was opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from exchange.store._names import RowNames
from exchange.store.database import SealedDatabase
from exchange.store.rows import PendingStatement
from protocol.encoding import cbor
from protocol.encoding.instants import to_ms


class StatementTable:
    """The statements of one desk that are still to be made."""

    def __init__(self, database: SealedDatabase, names: RowNames) -> None:
        self._database = database
        self._cipher = database.cipher
        self._names = names

    def pending(self, limit: int) -> list[PendingStatement]:
        """The oldest statements that the own node has not logged."""
        rows = self._database.all("SELECT id, sealed FROM statement ORDER BY seq LIMIT ?", (limit,))
        found = (cbor.decode(self._cipher.open(b"statement.sealed", row, sealed)) for row, sealed in rows)
        return [PendingStatement(key, raw) for key, raw in found]

    def count(self) -> int:
        """How many statements the own node has not logged."""
        return int(self._database.all("SELECT count(*) FROM statement")[0][0])

    def insert(self, statements: Sequence[PendingStatement]) -> None:
        """Keep statements to be made, inside a transaction; one that is there already stays as it is."""
        self._database.execute_all(
            "INSERT INTO statement (id, sealed) VALUES (?, ?) ON CONFLICT DO NOTHING",
            [self._sealed(statement) for statement in statements],
        )

    def remove(self, statements: Iterable[PendingStatement]) -> set[bytes]:
        """Take statements off the list, inside a transaction; the keys of those that were on it."""
        named = {self._names.statement(statement.key): statement.key for statement in statements}
        gone = self._database.among("DELETE FROM statement WHERE id IN", named, " RETURNING id")
        return {named[row] for (row,) in gone}

    def note_opening(self, message_id: UUID, at: datetime) -> bool:
        """Note when a message was opened, inside a transaction; False when it had been opened before."""
        row = self._names.message(message_id)
        sealed = self._cipher.seal(b"opening.sealed", row, to_ms(at).to_bytes(8, "big"))
        done = self._database.execute(
            "INSERT INTO opening (id, sealed) VALUES (?, ?) ON CONFLICT DO NOTHING", (row, sealed)
        )
        if done.rowcount:
            self._database.execute(
                "DELETE FROM unopened WHERE (box, seq) IN (SELECT box, seq FROM message WHERE id = ?)", (row,)
            )
        return bool(done.rowcount)

    def _sealed(self, statement: PendingStatement) -> tuple[bytes, bytes]:
        row = self._names.statement(statement.key)
        return row, self._cipher.seal(b"statement.sealed", row, cbor.encode([statement.key, statement.raw]))

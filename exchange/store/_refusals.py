"""Why the own node refused something for good: a message that was to be sent, or a statement."""

from __future__ import annotations

from collections.abc import Iterable
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
        return self.of_those((message_id,)).get(message_id)

    def of_those(self, messages: Iterable[UUID]) -> dict[UUID, Refusal]:
        """Why the own node refused those of the messages that it refused for good."""
        named = {self._names.message(message_id): message_id for message_id in messages}
        rows = self._database.among("SELECT id, sealed FROM refusal WHERE id IN", named)
        opened = ((row, self._cipher.open(b"refusal.sealed", row, sealed)) for row, sealed in rows)
        return {named[row]: Refusal.from_bytes(value) for row, value in opened}

    def put(self, row: bytes, refusal: Refusal) -> None:
        """Keep why the thing of the name ``row`` was refused, inside a transaction."""
        self._database.execute(
            "INSERT INTO refusal (id, sealed) VALUES (?, ?) ON CONFLICT DO UPDATE SET sealed = excluded.sealed",
            (row, self._cipher.seal(b"refusal.sealed", row, refusal.to_bytes())),
        )

"""Single values that a desk keeps under a name, such as how far the mailbox was read."""

from __future__ import annotations

from collections.abc import Callable

from exchange.store.database import SealedDatabase


class StateTable:
    """The single values of one desk."""

    def __init__(self, database: SealedDatabase) -> None:
        self._database = database
        self._cipher = database.cipher

    def get(self, name: bytes) -> bytes | None:
        """The value kept under ``name``."""
        row = self._cipher.blind(b"state", name)
        rows = self._database.all("SELECT sealed FROM state WHERE id = ?", (row,))
        return self._cipher.open(b"state.sealed", row, rows[0][0]) if rows else None

    def set(self, name: bytes, value: bytes) -> None:
        """Keep a value under ``name``."""
        row = self._cipher.blind(b"state", name)
        with self._database.transaction():
            self._database.execute(
                "INSERT INTO state (id, sealed) VALUES (?, ?) ON CONFLICT DO UPDATE SET sealed = excluded.sealed",
                (row, self._cipher.seal(b"state.sealed", row, value)),
            )

    def replace(self, name: bytes, change: Callable[[bytes | None], bytes | None]) -> None:
        """Keep under ``name`` what ``change`` makes of the value there (None: leave it), in one transaction."""
        with self._database.transaction():
            value = change(self.get(name))
            if value is not None:
                self.set(name, value)

"""Files that are kept apart because they are not what was signed, and those that two officers let go by their hash."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from exchange.store._content import ContentSeal
from exchange.store._names import RowNames
from exchange.store.database import SealedDatabase

_QUARANTINE = b"file_quarantine.sealed"
_ALLOWED = b"file_allowed.sealed"


class CustodyTable:
    """What one desk ruled on files. Every method that writes does it inside a transaction of its caller."""

    def __init__(self, database: SealedDatabase, names: RowNames, content: ContentSeal) -> None:
        self._database = database
        self._cipher = database.cipher
        self._names = names
        self._content = content

    # --- Quarantine ---

    def quarantine(self, message: UUID, name: bytes, value: bytes) -> None:
        """Keep a file of a message apart, by its sealed name; what was found first stays."""
        row, file = self._names.message(message), self._name(name)
        if self.quarantined(message, name) is not None:
            return
        slot, sealed = self._content.seal(_QUARANTINE, row + file, value)
        self._database.execute(
            "INSERT INTO file_quarantine (message, name, sealed, slot) VALUES (?, ?, ?, ?)", (row, file, sealed, slot)
        )

    def quarantined(self, message: UUID, name: bytes) -> bytes | None:
        """What was kept of a file; None for one that is not apart."""
        row, file = self._names.message(message), self._name(name)
        rows = self._database.all(
            "SELECT sealed, slot FROM file_quarantine WHERE message = ? AND name = ?", (row, file)
        )
        return self._content.open(_QUARANTINE, row + file, *rows[0]) if rows else None

    def erase(self, messages: Sequence[UUID]) -> None:
        """Forget what was kept of the files of these messages."""
        for message in messages:
            gone = self._database.all(
                "DELETE FROM file_quarantine WHERE message = ? RETURNING slot", (self._names.message(message),)
            )
            self._content.doom(slot for (slot,) in gone)

    # --- By hash only ---

    def allow(self, sha256: bytes, value: bytes) -> None:
        """Keep that a file of this SHA-256 may go; the last decision counts."""
        row = self._cipher.blind(b"file-allowed", sha256)
        self._database.execute(
            "INSERT INTO file_allowed (file, sealed) VALUES (?, ?)"
            " ON CONFLICT (file) DO UPDATE SET sealed = excluded.sealed",
            (row, self._cipher.seal(_ALLOWED, row, value)),
        )

    def allowed(self, sha256: bytes) -> bytes | None:
        """What was decided of a file; None where nothing was."""
        row = self._cipher.blind(b"file-allowed", sha256)
        rows = self._database.all("SELECT sealed FROM file_allowed WHERE file = ?", (row,))
        return self._cipher.open(_ALLOWED, row, rows[0][0]) if rows else None

    def _name(self, name: bytes) -> bytes:
        return self._cipher.blind(b"file-name", name)

"""What an office noted for itself about its cases (:mod:`exchange.office.case_notes` says what an entry holds)."""

from __future__ import annotations

from uuid import UUID

from exchange.store._content import ContentSeal
from exchange.store._names import RowNames
from exchange.store.agenda import AgendaTable
from exchange.store.database import SealedDatabase

_COLUMN = b"casework.sealed"


class CaseNoteTable:
    """The entries of one desk's cases."""

    def __init__(self, database: SealedDatabase, names: RowNames, content: ContentSeal, agenda: AgendaTable) -> None:
        self._database = database
        self._names = names
        self._content = content
        self._agenda = agenda

    def insert(self, thread: UUID, value: bytes) -> None:
        """Add an entry to a case, inside a transaction."""
        row = self._names.thread(thread)
        slot, sealed = self._content.seal(_COLUMN, row, value)
        self._database.execute("INSERT INTO casework (thread, sealed, slot) VALUES (?, ?, ?)", (row, sealed, slot))
        self._agenda.mark_stale([row])

    def of(self, thread: UUID) -> list[bytes]:
        """The entries of a case, the oldest first."""
        return self.of_row(self._names.thread(thread))

    def of_row(self, row: bytes) -> list[bytes]:
        """As :meth:`of`, by the thread's blinded id."""
        rows = self._database.all("SELECT sealed, slot FROM casework WHERE thread = ? ORDER BY seq", (row,))
        return [self._content.open(_COLUMN, row, sealed, slot) for sealed, slot in rows]

    def erase(self, thread: UUID) -> int:
        """Take the entries of a case out, inside a transaction; how many there were."""
        row = self._names.thread(thread)
        rows = self._database.all("SELECT slot FROM casework WHERE thread = ?", (row,))
        self._content.doom(slot for (slot,) in rows)
        self._database.execute("DELETE FROM casework WHERE thread = ?", (row,))
        return len(rows)

"""Entries about cases that only this office has: what it noted (:mod:`exchange.office.case_notes`), and whom it called
(:mod:`exchange.cases.calls`). Those modules say what an entry holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal
from uuid import UUID

from exchange.store._content import ContentSeal
from exchange.store._names import RowNames
from exchange.store.agenda import AgendaTable
from exchange.store.database import SealedDatabase


class CaseEntryTable:
    """The entries of one kind in one desk's cases. Erased with the case."""

    def __init__(
        self,
        table: Literal["casework", "call_back"],
        database: SealedDatabase,
        names: RowNames,
        content: ContentSeal,
        agenda: AgendaTable,
    ) -> None:
        self._table = table
        self._column = f"{table}.sealed".encode()
        self._database = database
        self._names = names
        self._content = content
        self._agenda = agenda

    def insert(self, thread: UUID, value: bytes) -> None:
        """Add an entry to a case, inside a transaction."""
        row = self._names.thread(thread)
        slot, sealed = self._content.seal(self._column, row, value)
        self._database.execute(
            f"INSERT INTO {self._table} (thread, sealed, slot) VALUES (?, ?, ?)",  # noqa: S608 - one of two names
            (row, sealed, slot),
        )
        self._agenda.mark_stale([row])

    def of(self, thread: UUID) -> list[bytes]:
        """The entries of a case, the oldest first."""
        return self.of_row(self._names.thread(thread))

    def of_those(self, threads: Iterable[UUID]) -> dict[UUID, list[bytes]]:
        """As :meth:`of`, of several cases at one look; a case without entries is left out."""
        named = {self._names.thread(thread): thread for thread in threads}
        rows = self._database.among(
            f"SELECT seq, thread, sealed, slot FROM {self._table} WHERE thread IN",  # noqa: S608 - one of two names
            named,
        )
        found: dict[UUID, list[bytes]] = {}
        for _, row, sealed, slot in sorted(rows):
            found.setdefault(named[row], []).append(self._content.open(self._column, row, sealed, slot))
        return found

    def of_row(self, row: bytes) -> list[bytes]:
        """As :meth:`of`, by the thread's blinded id."""
        rows = self._database.all(
            f"SELECT sealed, slot FROM {self._table} WHERE thread = ? ORDER BY seq",  # noqa: S608 - one of two names
            (row,),
        )
        return [self._content.open(self._column, row, sealed, slot) for sealed, slot in rows]

    def threads(self) -> list[bytes]:
        """The blinded ids of the threads that have entries."""
        rows = self._database.all(f"SELECT DISTINCT thread FROM {self._table}")  # noqa: S608 - one of two names
        return [row for (row,) in rows]

    def erase(self, thread: UUID) -> int:
        """Take the entries of a case out, inside a transaction; how many there were."""
        row = self._names.thread(thread)
        rows = self._database.all(
            f"SELECT slot FROM {self._table} WHERE thread = ?",  # noqa: S608 - one of two names
            (row,),
        )
        self._content.doom(slot for (slot,) in rows)
        self._database.execute(f"DELETE FROM {self._table} WHERE thread = ?", (row,))  # noqa: S608 - one of two names
        return len(rows)

"""What came by other ways than Comity: in a table of its own, so that nothing takes it for a message."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from exchange.store._content import ContentSeal
from exchange.store._names import RowNames
from exchange.store.agenda import AgendaTable
from exchange.store.database import SealedDatabase
from exchange.store.rows import UnprovedEntry
from protocol.address import Address
from protocol.errors import NotFoundError

_COLUMN = b"unproved.sealed"


class UnprovedTable:
    """The entries of one desk, each under its blinded id. Their content is sealed under a key of its own."""

    def __init__(self, database: SealedDatabase, names: RowNames, content: ContentSeal, agenda: AgendaTable) -> None:
        self._database = database
        self._names = names
        self._content = content
        self._agenda = agenda
        # Which open entries have which reference, and as of which change of the database: asked for by every case.
        self._open_ones: dict[tuple[Address, str], list[UUID]] = {}
        self._open_as_of: int | None = None

    def all(self) -> list[UnprovedEntry]:
        """All entries, the newest first."""
        rows = self._database.all("SELECT id, sealed, slot FROM unproved ORDER BY seq DESC")
        return [UnprovedEntry.from_bytes(self._content.open(_COLUMN, *row)) for row in rows]

    def get(self, entry: UUID) -> UnprovedEntry:
        """One entry; raises :class:`NotFoundError`."""
        found = self.of_row(self._names.unproved(entry))
        if found is None:
            raise NotFoundError("nothing that is not proved was registered under this id")
        return found

    def confirmed_by(self, thread: UUID) -> list[UnprovedEntry]:
        """The entries that the case in ``thread`` confirmed, the newest first."""
        return [entry for entry in self.all() if entry.thread == thread]

    def with_part(self, wanted: str) -> list[UnprovedEntry]:
        """The entries whose id begins or ends with ``wanted``, in lower case."""
        return [one for one in self.all() if str(one.id).startswith(wanted) or str(one.id).endswith(wanted)]

    def of_row(self, row: bytes) -> UnprovedEntry | None:
        """The entry of a blinded id."""
        rows = self._database.all("SELECT id, sealed, slot FROM unproved WHERE id = ?", (row,))
        return UnprovedEntry.from_bytes(self._content.open(_COLUMN, *rows[0])) if rows else None

    def put(self, entry: UnprovedEntry) -> None:
        """Keep an entry as it is now, inside a transaction; the key of what it was before is destroyed."""
        row, self._open_as_of = self._names.unproved(entry.id), None
        before = self._database.all("SELECT slot FROM unproved WHERE id = ?", (row,))
        self._content.doom(slot for (slot,) in before)
        slot, sealed = self._content.seal(_COLUMN, row, entry.to_bytes())
        if before:
            self._database.execute("UPDATE unproved SET sealed = ?, slot = ? WHERE id = ?", (sealed, slot, row))
        else:
            self._database.execute("INSERT INTO unproved (id, sealed, slot) VALUES (?, ?, ?)", (row, sealed, slot))
        self._agenda.mark_stale([row])

    def erase(self, entry: UUID) -> None:
        """Take an entry out, inside a transaction."""
        row, self._open_as_of = self._names.unproved(entry), None
        self._content.doom(slot for (slot,) in self._database.all("SELECT slot FROM unproved WHERE id = ?", (row,)))
        self._database.execute("DELETE FROM unproved WHERE id = ?", (row,))
        self._agenda.mark_stale([row])

    def confirm(self, contact: Address, reference: str | None, thread: UUID) -> None:
        """Link the entries that a proved message confirms: from the contact point that is named, by its reference."""
        if reference is None or (contact, reference) not in self._open():
            return
        with self._database.transaction():
            for entry in [self.of_row(self._names.unproved(one)) for one in self._open_ones[contact, reference]]:
                if entry is not None and entry.is_open:  # another program may have been faster
                    self.put(replace(entry, thread=thread))

    def _open(self) -> dict[tuple[Address, str], list[UUID]]:
        """The open entries with a reference, by their contact point and it."""
        as_of = self._database.changes_of_others()
        if self._open_as_of != as_of:
            found: dict[tuple[Address, str], list[UUID]] = {}
            for entry in self.all():
                if entry.is_open and entry.reference is not None:
                    found.setdefault((entry.contact, entry.reference), []).append(entry.id)
            # Not of a transaction that may be undone.
            self._open_ones, self._open_as_of = found, None if self._database.in_transaction else as_of
        return self._open_ones

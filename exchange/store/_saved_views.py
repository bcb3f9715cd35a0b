"""Views of the list of cases that officers keep, each officer their own."""

from __future__ import annotations

from exchange.store.database import SealedDatabase
from exchange.store.rows import SavedView
from protocol.encoding import cbor

_COLUMN = b"saved_view.sealed"


class SavedViewTable:
    """The views of one desk. ``officer`` is whose they are; empty at a desk without officers."""

    def __init__(self, database: SealedDatabase) -> None:
        self._database = database
        self._cipher = database.cipher

    def of(self, officer: str) -> list[SavedView]:
        """An officer's views by name."""
        rows = self._database.all("SELECT id, sealed FROM saved_view WHERE officer = ?", (self._officer(officer),))
        found = (cbor.decode(self._cipher.open(_COLUMN, row, sealed)) for row, sealed in rows)
        return sorted((SavedView(name, query) for name, query in found), key=lambda view: view.name.casefold())

    def put(self, officer: str, view: SavedView) -> None:
        """Keep a view, inside a transaction; one of that name is replaced."""
        row = self._row(officer, view.name)
        sealed = self._cipher.seal(_COLUMN, row, cbor.encode([view.name, view.query]))
        self._database.execute(
            "INSERT INTO saved_view (id, officer, sealed) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed",
            (row, self._officer(officer), sealed),
        )

    def remove(self, officer: str, name: str) -> bool:
        """Forget a view, inside a transaction; whether there was one."""
        return self._database.execute("DELETE FROM saved_view WHERE id = ?", (self._row(officer, name),)).rowcount > 0

    def _officer(self, officer: str) -> bytes:
        return self._cipher.blind(b"saved_view.officer", officer.encode())

    def _row(self, officer: str, name: str) -> bytes:
        return self._cipher.blind(b"saved_view", f"{officer}\0{name}".encode())

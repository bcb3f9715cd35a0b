from __future__ import annotations

from pathlib import Path

from node.store.interface import Store
from node.store.sqlite.store import SqliteStore
from tests.conformance.store import ORIGIN, StoreConformance


class TestSqliteStore(StoreConformance):
    def new_store(self, path: Path) -> Store:
        return SqliteStore(path / "node.db", ORIGIN)

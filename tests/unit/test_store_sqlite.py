from __future__ import annotations

from pathlib import Path

from node.store.base import Store
from node.store.sqlite import SqliteStore
from tests.conformance.store import ORIGIN, StoreConformance


class TestSqliteStore(StoreConformance):
    def new_store(self, path: Path) -> Store:
        return SqliteStore(path / "node.db", ORIGIN)

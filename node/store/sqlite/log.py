"""The log as it lies in SQLite: tiles, checkpoints, and receipts put together from them.

Shared by the writer and the readers, each with a connection of its own. Nothing here writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from protocol.errors import EntriesErasedError, LogUnavailableError
from protocol.log.merkle import HASH_BYTES, leaf_hash
from protocol.log.scoped import BundleItem, Withheld
from protocol.log.tiles import TileTree
from protocol.receipt import Receipt

RECENT_RECEIPTS = 4096
_NOTES = 64


def read_tile(connection: sqlite3.Connection, level: int, index: int) -> bytes:
    """The stored hashes of a tile; raises :class:`LogUnavailableError` if there is none."""
    row = connection.execute("SELECT hashes FROM tile WHERE level = ? AND idx = ?", (level, index)).fetchone()
    if row is None:
        raise LogUnavailableError(f"there is no tile {index} on level {level}")
    hashes: bytes = row[0]
    return hashes


def open_tree(connection: sqlite3.Connection, size: int) -> TileTree:
    """The tree of the first ``size`` leaves."""
    return TileTree(size, lambda level, index: read_tile(connection, level, index))


def stored_hash(stored: bytes) -> bytes:
    """The leaf hash of an entry as it is stored: its data, or after erasure the hash itself.

    No entry is as short as a hash: each holds a digest of that size and more.
    """
    return stored if len(stored) == HASH_BYTES else leaf_hash(stored)


def stored_item(stored: bytes) -> BundleItem:
    """An entry as it is stored: its data, or what stands for it after erasure."""
    return Withheld(stored) if len(stored) == HASH_BYTES else stored


def stored_leaf(index: int, stored: bytes) -> bytes:
    """The data of an entry as it is stored; raises :class:`EntriesErasedError`."""
    if len(stored) == HASH_BYTES:
        raise EntriesErasedError(f"the data of entry {index} was erased")
    return stored


class RecentReceipts:
    """The receipts of the newest leaves, so that the mailboxes that show them next need not compute them again.

    One thread adds, in the order of the indexes; any thread gets.
    """

    def __init__(self, capacity: int = RECENT_RECEIPTS) -> None:
        self._capacity = capacity
        self._receipts: dict[int, Receipt] = {}

    def add(self, receipts: Iterable[Receipt]) -> None:
        """Remember these, forget the oldest."""
        known = self._receipts
        for receipt in receipts:
            known[receipt.index] = receipt
        while len(known) > self._capacity:
            del known[next(iter(known))]

    def forget(self, first: int, end: int) -> None:
        """Forget those of leaves ``first`` to before ``end``. By the thread that adds."""
        for index in [index for index in self._receipts if first <= index < end]:
            del self._receipts[index]

    def get(self, index: int) -> Receipt | None:
        """The receipt of leaf ``index``, if remembered."""
        return self._receipts.get(index)


class ReceiptSource:
    """Receipts of stored leaves, each under the checkpoint that released it: the same receipt every time.

    Bound to one connection and one thread.
    """

    def __init__(self, connection: sqlite3.Connection, recent: RecentReceipts) -> None:
        self._connection = connection
        self._recent = recent
        self._tree = TileTree(0, lambda level, index: read_tile(connection, level, index))
        self._notes: dict[int, bytes] = {}

    def receipt(self, index: int) -> Receipt:
        """The receipt of leaf ``index``; raises :class:`LogUnavailableError`, :class:`EntriesErasedError`."""
        known = self._recent.get(index)
        if known is not None:
            return known
        size = self._connection.execute(
            "SELECT size FROM checkpoint WHERE size > ? ORDER BY size LIMIT 1", (index,)
        ).fetchone()
        leaf = self._connection.execute("SELECT leaf FROM event WHERE idx = ?", (index,)).fetchone()
        if size is None or leaf is None:
            raise LogUnavailableError(f"the log has no released entry {index}")
        data = stored_leaf(index, leaf[0])
        path = self.tree(size[0]).inclusion_path(index, size[0])
        return Receipt(leaf=data, index=index, path=tuple(path), checkpoint=self._note(size[0]))

    def tree(self, size: int) -> TileTree:
        """A tree of at least ``size`` leaves; raises :class:`LogUnavailableError` if the log is shorter."""
        if size > self._tree.size:
            self._tree = open_tree(self._connection, size)
        return self._tree

    def _note(self, size: int) -> bytes:
        note = self._notes.get(size)
        if note is None:
            row = self._connection.execute("SELECT note FROM checkpoint WHERE size = ?", (size,)).fetchone()
            if row is None:
                raise LogUnavailableError(f"the log has no checkpoint of size {size}")
            note = row[0]
            if len(self._notes) >= _NOTES:
                del self._notes[next(iter(self._notes))]
            self._notes[size] = note
        return note

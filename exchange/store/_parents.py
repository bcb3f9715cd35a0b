"""Requests to several nations: one parent, and a child for each nation. Only this desk knows that they belong together.

Nothing of a child names its parent in the clear: which rows belong together is not to be seen without the key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from uuid import UUID

from exchange.store._names import RowNames
from exchange.store.database import SealedDatabase
from exchange.store.rows import Child, Head, Parent


class ParentTable:
    """The parents of one desk."""

    def __init__(self, database: SealedDatabase, names: RowNames) -> None:
        self._database = database
        self._cipher = database.cipher
        self._names = names

    def get(self, parent_id: UUID) -> Parent | None:
        """The parent of this id."""
        row = self._names.parent(parent_id)
        rows = self._database.all("SELECT sealed FROM parent WHERE id = ?", (row,))
        return Parent.from_bytes(self._cipher.open(b"parent.sealed", row, rows[0][0])) if rows else None

    def of(self, thread: UUID) -> Parent | None:
        """The parent of the case in ``thread``."""
        row = self._names.thread(thread)
        rows = self._database.all("SELECT sealed FROM parent_of WHERE thread = ?", (row,))
        if not rows:
            return None
        return self.get(UUID(bytes=self._cipher.open(b"parent_of.sealed", row, rows[0][0])))

    def with_parent(self, threads: Iterable[UUID]) -> set[UUID]:
        """Those of the threads that are the case of a parent's child."""
        named = {self._names.thread(thread): thread for thread in threads}
        return {named[row] for (row,) in self._database.among("SELECT thread FROM parent_of WHERE thread IN", named)}

    def all(self) -> Iterator[Parent]:
        """All parents, in no order."""
        for row, sealed in self._database.all("SELECT id, sealed FROM parent"):
            yield Parent.from_bytes(self._cipher.open(b"parent.sealed", row, sealed))

    def put(self, parent: Parent) -> None:
        """Keep a parent with its children, inside a transaction."""
        row = self._names.parent(parent.id)
        sealed = self._cipher.seal(b"parent.sealed", row, parent.to_bytes())
        self._database.execute("INSERT INTO parent (id, sealed) VALUES (?, ?)", (row, sealed))
        for child in parent.children:
            self._name(child.thread, parent.id)

    def replace(self, thread: UUID, head: Head) -> None:
        """Put a case in the place of the one in ``thread``, whose message never arrived. Inside a transaction."""
        parent = self.of(thread)
        if parent is None:
            return
        children = tuple(
            Child(child.nation, head.thread, head.own_reference, head.sent_at) if child.thread == thread else child
            for child in parent.children
        )
        self._update(replace(parent, children=children))
        self._database.execute("DELETE FROM parent_of WHERE thread = ?", (self._names.thread(thread),))
        self._name(head.thread, parent.id)

    def erase(self, thread: UUID) -> None:
        """Take a case that is erased out of its parent; the last one takes the parent with it. In a transaction."""
        parent = self.of(thread)
        if parent is None:
            return
        left = parent.without(thread)
        if left.children:
            self._update(left)
        else:
            self._database.execute("DELETE FROM parent WHERE id = ?", (self._names.parent(parent.id),))
        self._database.execute("DELETE FROM parent_of WHERE thread = ?", (self._names.thread(thread),))

    def _update(self, parent: Parent) -> None:
        row = self._names.parent(parent.id)
        sealed = self._cipher.seal(b"parent.sealed", row, parent.to_bytes())
        self._database.execute("UPDATE parent SET sealed = ? WHERE id = ?", (sealed, row))

    def _name(self, thread: UUID, parent_id: UUID) -> None:
        name = self._names.thread(thread)
        sealed = self._cipher.seal(b"parent_of.sealed", name, parent_id.bytes)
        self._database.execute("INSERT INTO parent_of (thread, sealed) VALUES (?, ?)", (name, sealed))

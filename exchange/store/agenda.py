"""What is due and how each case stands, derived thread by thread and kept until the thread changes; notices given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Literal, NamedTuple

from exchange.store.database import SealedDatabase

Derived = Mapping[bytes, tuple[bytes, bytes]]
"""By the thread's blinded id: what is due in it, and how it stands; empty: nothing."""


# So many threads are remembered as those that this program changed last.
_MOST_CHANGED = 4_096


class DerivedRow(NamedTuple):
    """One derived row: its number (a later one is newer), the thread's blinded id, the value (empty: nothing)."""

    seq: int
    thread: bytes
    value: bytes


class AgendaTable:
    """The agenda of one desk. Threads go by their blinded ids."""

    def __init__(self, database: SealedDatabase) -> None:
        self._database = database
        self._cipher = database.cipher
        self._changed: dict[bytes, None] = {}  # by this program, the newest last: what somebody did now is shown first

    def stale(self, limit: int) -> dict[bytes, bytes]:
        """Blinded ids of threads that changed since their part of the agenda was derived, with the mark of the change.

        Those that this program changed come first, the last one before the others. The mark is read before the thread
        is: a later change has another one.
        """
        found = self.marks_of(self.changed_here(limit))
        if len(found) < limit:
            others = self._database.all("SELECT thread, mark FROM agenda_stale LIMIT ?", (limit,))
            found.update(islice(((row, mark) for row, mark in others if row not in found), limit - len(found)))
        return found

    def changed_here(self, limit: int) -> list[bytes]:
        """The threads that this program changed, and that are not derived since: the last one first."""
        newest = list(islice(reversed(self._changed), limit))
        found = self.marks_of(newest)
        for thread in newest:
            if thread not in found:
                del self._changed[thread]
        return list(found)

    def marks_of(self, threads: Iterable[bytes]) -> dict[bytes, bytes]:
        """Those of the threads that changed since they were derived, in their order, with the mark of the change."""
        wanted = list(threads)
        marks = dict(self._database.among("SELECT thread, mark FROM agenda_stale WHERE thread IN", wanted))
        return {thread: marks[thread] for thread in wanted if thread in marks}

    def all_stale(self) -> list[bytes]:
        """All threads that changed since they were derived, the one with the newest message first."""
        rows = self._database.all(
            "SELECT s.thread FROM agenda_stale s LEFT JOIN message m ON m.thread = s.thread"
            " GROUP BY s.thread ORDER BY max(m.seq) DESC"
        )
        return [thread for (thread,) in rows]

    def stale_count(self) -> int:
        """How many threads are still to be derived again."""
        return int(self._database.all("SELECT count(*) FROM agenda_stale")[0][0])

    def mark_stale(self, threads: Iterable[bytes]) -> None:
        """Note that threads changed, inside a transaction."""
        changed = sorted(set(threads))
        if not changed:
            return
        for thread in changed:
            self._changed.pop(thread, None)
            self._changed[thread] = None
        while len(self._changed) > _MOST_CHANGED:
            del self._changed[next(iter(self._changed))]
        self._database.execute_all(
            "INSERT INTO agenda_stale (thread, mark) VALUES (?, randomblob(8))"
            " ON CONFLICT DO UPDATE SET mark = excluded.mark",
            [(thread,) for thread in changed],
        )

    def put(self, derived: Derived, marks: Mapping[bytes, bytes]) -> None:
        """Keep what was derived of threads, which are stale no more.

        A thread that another program changed since its mark was read stays stale.
        """
        with self._database.transaction(redone=True):
            for row, (due, standing) in derived.items():
                gone = self._database.execute(
                    "DELETE FROM agenda_stale WHERE thread = ? AND mark = ?", (row, marks[row])
                ).rowcount
                if gone:
                    self._put("agenda", row, due)
                    self._put("standing", row, standing)

    def since(self, table: Literal["agenda", "standing"], seq: int, limit: int = -1) -> list[DerivedRow]:
        """The rows of ``table`` that were derived after the row ``seq``, in the order of their numbers; the first
        ``limit`` (-1: all).
        """
        column = f"{table}.sealed".encode()
        rows = self._database.all(
            f"SELECT seq, thread, sealed FROM {table} WHERE seq > ? ORDER BY seq LIMIT ?",  # noqa: S608 - one of two
            (seq, limit),
        )
        return [
            DerivedRow(number, row, self._cipher.open(column, row, sealed) if sealed else b"")
            for number, row, sealed in rows
        ]

    def given_notices(self, names: Sequence[bytes]) -> set[bytes]:
        """Those of the names under which a notice was given."""
        blinded = {self._cipher.blind(b"notice", name): name for name in names}
        return {blinded[row] for (row,) in self._database.among("SELECT id FROM notice WHERE id IN", blinded)}

    def note_given(self, names: Iterable[bytes]) -> None:
        """Note that notices were given."""
        with self._database.transaction():
            for name in names:
                row = self._cipher.blind(b"notice", name)
                self._database.execute("INSERT INTO notice (id) VALUES (?) ON CONFLICT DO NOTHING", (row,))

    def _put(self, table: Literal["agenda", "standing"], row: bytes, value: bytes) -> None:
        known = self._database.all(f"SELECT 1 FROM {table} WHERE thread = ?", (row,))  # noqa: S608 - one of two names
        if not value and not known:
            return
        sealed = self._cipher.seal(f"{table}.sealed".encode(), row, value) if value else b""
        self._database.execute(
            f"INSERT OR REPLACE INTO {table} (thread, sealed) VALUES (?, ?)",  # noqa: S608 - one of two names
            (row, sealed),
        )

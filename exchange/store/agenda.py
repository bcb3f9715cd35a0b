"""What is due, derived thread by thread and kept until the thread changes, and which notices of it were given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from exchange.store.database import SealedDatabase


class AgendaTable:
    """The agenda of one desk. Threads go by their blinded ids."""

    def __init__(self, database: SealedDatabase) -> None:
        self._database = database
        self._cipher = database.cipher

    def stale(self, limit: int) -> dict[bytes, bytes]:
        """Blinded ids of threads that changed since their part of the agenda was derived, with the mark of the change.

        The mark is read before the thread is: a later change has another one.
        """
        return dict(self._database.all("SELECT thread, mark FROM agenda_stale LIMIT ?", (limit,)))

    def mark_stale(self, threads: Iterable[bytes]) -> None:
        """Note that threads changed, inside a transaction."""
        self._database.execute_all(
            "INSERT INTO agenda_stale (thread, mark) VALUES (?, randomblob(8))"
            " ON CONFLICT DO UPDATE SET mark = excluded.mark",
            [(thread,) for thread in sorted(set(threads))],
        )

    def put(self, derived: Mapping[bytes, bytes | None], marks: Mapping[bytes, bytes]) -> None:
        """Keep what is due by the threads' blinded ids (None: nothing), which are stale no more.

        A thread that another program changed since its mark was read stays stale.
        """
        with self._database.transaction(redone=True):
            for row, value in derived.items():
                gone = self._database.execute(
                    "DELETE FROM agenda_stale WHERE thread = ? AND mark = ?", (row, marks[row])
                ).rowcount
                if not gone:
                    continue
                if value is None:
                    self._database.execute("DELETE FROM agenda WHERE thread = ?", (row,))
                else:
                    self._database.execute(
                        "INSERT INTO agenda (thread, sealed) VALUES (?, ?)"
                        " ON CONFLICT DO UPDATE SET sealed = excluded.sealed",
                        (row, self._cipher.seal(b"agenda.sealed", row, value)),
                    )

    def all(self) -> list[bytes]:
        """What is due, thread by thread."""
        rows = self._database.all("SELECT thread, sealed FROM agenda")
        return [self._cipher.open(b"agenda.sealed", row, sealed) for row, sealed in rows]

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

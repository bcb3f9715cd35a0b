"""Which messages wait until the own node has taken them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from uuid import UUID

from exchange.store._names import RowNames
from exchange.store.database import SealedDatabase
from exchange.store.messages import MessageTable
from exchange.store.rows import StoredMessage
from protocol.encoding.instants import from_ms, to_ms


class OutboxTable:
    """The outbox of one desk: rows of :class:`MessageTable` in the order in which they were kept."""

    def __init__(self, database: SealedDatabase, names: RowNames, messages: MessageTable) -> None:
        self._database = database
        self._cipher = database.cipher
        self._names = names
        self._messages = messages

    def pending(self, limit: int, after: int = 0, max_bytes: int | None = None) -> list[tuple[int, StoredMessage]]:
        """The oldest messages of the outbox after row ``after``, with their rows; one at least, whatever its size.

        Not those that are held.
        """
        with self._database.snapshot():
            sizes = self._database.all(
                "SELECT o.seq, length(m.body) FROM outbox o JOIN message m ON m.seq = o.seq"
                " WHERE o.seq > ? AND o.seq NOT IN (SELECT seq FROM held) ORDER BY o.seq LIMIT ?",
                (after, limit),
            )
            last = after
            for (seq, _), size in zip(sizes, accumulate(length for _, length in sizes), strict=True):
                if max_bytes is not None and last > after and size > max_bytes:
                    break
                last = seq
            rows = self._database.all(
                "SELECT o.seq, m.id, m.head, m.body, m.slot FROM outbox o JOIN message m ON m.seq = o.seq"
                " WHERE o.seq > ? AND o.seq <= ? AND o.seq NOT IN (SELECT seq FROM held) ORDER BY o.seq",
                (after, last),
            )
        return [(seq, self._messages.opened(*row)) for seq, *row in rows]

    def count(self) -> int:
        """How many messages wait, those that are held among them."""
        return int(self._database.all("SELECT count(*) FROM outbox")[0][0])

    def pending_count(self) -> int:
        """How many messages wait for the node alone."""
        return self.count() - int(self._database.all("SELECT count(*) FROM held")[0][0])

    def is_held(self, message_id: UUID) -> bool:
        """Whether the message waits for its own instant."""
        return bool(
            self._database.all(
                "SELECT 1 FROM held WHERE seq IN (SELECT seq FROM outbox WHERE id = ?)",
                (self._names.message(message_id),),
            )
        )

    def held_until(self) -> datetime | None:
        """The instant of the message that is held and goes first; None when none is held."""
        return min((at for _, at in self._held()), default=None)

    def release(self, now: datetime) -> int:
        """Hold messages no longer whose instant has come; how many those are."""
        come = [seq for seq, at in self._held() if at <= now]
        if come:
            with self._database.transaction():
                self._database.execute_all("DELETE FROM held WHERE seq = ?", [(seq,) for seq in come])
        return len(come)

    def hold(self, messages: Mapping[UUID, datetime]) -> None:
        """Hold messages of the outbox until the instant given, inside a transaction."""
        for message_id, at in messages.items():
            rows = self._database.all("SELECT seq FROM outbox WHERE id = ?", (self._names.message(message_id),))
            ((seq,),) = rows
            sealed = self._cipher.seal(b"held.sealed", _row(seq), to_ms(at).to_bytes(8, "big"))
            self._database.execute("INSERT INTO held (seq, sealed) VALUES (?, ?)", (seq, sealed))

    def _held(self) -> Iterator[tuple[int, datetime]]:
        for seq, sealed in self._database.all("SELECT seq, sealed FROM held"):
            yield seq, from_ms(int.from_bytes(self._cipher.open(b"held.sealed", _row(seq), sealed), "big"))

    def has(self, message_id: UUID) -> bool:
        """Whether the message waits."""
        return bool(self._database.all("SELECT 1 FROM outbox WHERE id = ?", (self._names.message(message_id),)))

    def waiting(self, messages: Iterable[UUID]) -> dict[UUID, bool]:
        """Those of the messages that wait, each with whether it is held until its own instant."""
        named = {self._names.message(message_id): message_id for message_id in messages}
        rows = self._database.among("SELECT id, seq IN (SELECT seq FROM held) FROM outbox WHERE id IN", named)
        return {named[row]: bool(held) for row, held in rows}

    def reason(self, message_id: UUID) -> str | None:
        """The code of why the message was not taken when it was last offered; None while nobody said."""
        row = self._names.message(message_id)
        rows = self._database.all("SELECT sealed FROM waiting WHERE id = ?", (row,))
        return self._cipher.open(b"waiting.sealed", row, rows[0][0]).decode() if rows else None

    def note_reason(self, reasons: Mapping[UUID, str]) -> list[UUID]:
        """Note why messages of the outbox were not taken, by the code; those of which it is another one than before."""
        with self._database.transaction(redone=True):
            changed = [one for one, code in reasons.items() if self.has(one) and self.reason(one) != code]
            for message_id in changed:
                row = self._names.message(message_id)
                sealed = self._cipher.seal(b"waiting.sealed", row, reasons[message_id].encode())
                self._database.execute("INSERT OR REPLACE INTO waiting (id, sealed) VALUES (?, ?)", (row, sealed))
        return changed

    def insert(self, rows: Sequence[tuple[int, UUID]]) -> None:
        """Put messages into the outbox by row number and id, inside a transaction."""
        named = [(seq, self._names.message(message_id)) for seq, message_id in rows]
        self._database.execute_all("INSERT INTO outbox (seq, id) VALUES (?, ?)", named)

    def remove(self, ids: Iterable[UUID]) -> set[UUID]:
        """Take messages out, inside a transaction; those that were there."""
        named = {self._names.message(message_id): message_id for message_id in ids}
        gone = self._database.among("DELETE FROM outbox WHERE id IN", named, " RETURNING id")
        self._database.among("DELETE FROM waiting WHERE id IN", [row for (row,) in gone])
        self._database.execute("DELETE FROM held WHERE seq NOT IN (SELECT seq FROM outbox)")
        return {named[row] for (row,) in gone}


def _row(seq: int) -> bytes:
    return seq.to_bytes(8, "big")

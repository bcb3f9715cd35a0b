"""What happened at a desk, in one numbered order, for programs that follow it."""

from __future__ import annotations

from collections.abc import Sequence

from exchange.store.database import SealedDatabase
from exchange.store.rows import DeskEvent, EventPage

KEPT = 10_000
"""So many of the latest events are kept; a program that asks for older ones is told of the gap."""
_TRIM_EVERY = 256


class EventTable:
    """The events of one desk. A number is given once, in the order in which what happened was kept."""

    def __init__(self, database: SealedDatabase) -> None:
        self._database = database
        self._cipher = database.cipher

    def add(self, events: Sequence[DeskEvent]) -> None:
        """Keep events, inside the transaction that keeps what they tell of."""
        if not events:
            return
        last = self._database.last_given("event")
        numbers = range(last + 1, last + 1 + len(events))
        values = ((seq.to_bytes(8, "big"), event.to_bytes()) for seq, event in zip(numbers, events, strict=True))
        sealed = self._cipher.seal_all(b"event.sealed", values)
        rows = list(zip(numbers, sealed, strict=True))
        self._database.execute_all("INSERT INTO event (seq, sealed) VALUES (?, ?)", rows)
        now = last + len(events)
        if now // _TRIM_EVERY != last // _TRIM_EVERY:
            self._database.execute("DELETE FROM event WHERE seq <= ?", (now - KEPT,))

    def page(self, after: int, limit: int) -> EventPage:
        """The events behind a number, at most ``limit``."""
        with self._database.snapshot():
            rows = self._database.all(
                "SELECT seq, sealed FROM event WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
            )
            first = self._database.all("SELECT min(seq) FROM event")[0][0]
            last = self._database.last_given("event")
        events = tuple((seq, DeskEvent.from_bytes(self._open(seq, sealed))) for seq, sealed in rows)
        return EventPage(events, int(first or 0), last)

    def last(self) -> int:
        """The last number that was given."""
        return self._database.last_given("event")

    def _open(self, seq: int, sealed: bytes) -> bytes:
        return self._cipher.open(b"event.sealed", seq.to_bytes(8, "big"), sealed)

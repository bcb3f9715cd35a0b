"""Notices on their way to webhooks: numbered once, in order for each receiver, until it took them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from exchange.store.database import SealedDatabase
from exchange.store.rows import WaitingNotice
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms


class WebhookTable:
    """The notices of one desk that receivers have not taken. ``target`` names a receiver."""

    def __init__(self, database: SealedDatabase) -> None:
        self._database = database
        self._cipher = database.cipher

    def add(self, target: bytes, number: int, notice_id: str, body: bytes, made_at: datetime) -> None:
        """Keep a notice, inside the transaction that notes what it tells as told."""
        row = self._database.last_given("webhook") + 1
        self._put(WaitingNotice(row, number, notice_id, body, made_at), target)

    def first(self, target: bytes) -> WaitingNotice | None:
        """The notice that goes next; None when nothing waits."""
        rows = self._database.all(
            "SELECT seq, sealed FROM webhook WHERE target = ? ORDER BY seq LIMIT 1", (self._row(target),)
        )
        return self._opened(*rows[0]) if rows else None

    def count(self) -> int:
        """How many notices wait, for all receivers."""
        return int(self._database.all("SELECT count(*) FROM webhook")[0][0])

    def keep_only(self, targets: Sequence[bytes]) -> None:
        """Forget what waits for other receivers: the settings do not name them any more."""
        named = {self._row(target) for target in targets}
        found = {row for (row,) in self._database.all("SELECT DISTINCT target FROM webhook")}
        if found - named:
            with self._database.transaction():
                gone = [(row,) for row in found - named]
                self._database.execute_all("DELETE FROM webhook WHERE target = ?", gone)

    def tried(self, target: bytes, notice: WaitingNotice, again_at: datetime) -> None:
        """Note a failed try, inside a transaction, and when the next one is."""
        self._database.execute("DELETE FROM webhook WHERE seq = ?", (notice.row,))
        again = (notice.row, notice.number, notice.id, notice.body, notice.made_at, notice.tries + 1, again_at)
        self._put(WaitingNotice(*again), target)

    def remove(self, notice: WaitingNotice) -> None:
        """Forget a notice, inside a transaction: it was taken, or given up."""
        self._database.execute("DELETE FROM webhook WHERE seq = ?", (notice.row,))

    def _put(self, notice: WaitingNotice, target: bytes) -> None:
        value = [notice.number, notice.id, notice.body, to_ms(notice.made_at), notice.tries]
        value.append(to_ms(notice.again_at) if notice.again_at is not None else None)
        sealed = self._cipher.seal(b"webhook.sealed", notice.row.to_bytes(8, "big"), cbor.encode(value))
        self._database.execute(
            "INSERT INTO webhook (seq, target, sealed) VALUES (?, ?, ?)", (notice.row, self._row(target), sealed)
        )

    def _opened(self, row: int, sealed: bytes) -> WaitingNotice:
        number, id_, body, made_at, tries, again_at = cbor.decode(
            self._cipher.open(b"webhook.sealed", row.to_bytes(8, "big"), sealed)
        )
        return WaitingNotice(
            row, number, id_, body, from_ms(made_at), tries, None if again_at is None else from_ms(again_at)
        )

    def _row(self, target: bytes) -> bytes:
        return self._cipher.blind(b"webhook", target)

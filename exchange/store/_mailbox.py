"""How far the mailbox at the own node was read, and what was refused of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from exchange.store._names import RowNames
from exchange.store._state import StateTable
from exchange.store.database import SealedDatabase
from exchange.store.rows import Place, Quarantined
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import NotFoundError

_CURSOR = b"cursor"
_NODE = b"cursor-node"
_CURSOR_BYTES = 8
_FETCHED = b"fetched"
# Each command and each poll asks the node: so often at most is it written that one did.
_NOTED_EVERY = timedelta(seconds=5)


class MailboxPlace:
    """How far one desk has read which mailbox."""

    def __init__(self, database: SealedDatabase, state: StateTable) -> None:
        self._database = database
        self._state = state

    def cursor(self) -> int:
        """The last mailbox entry that was taken in."""
        stored = self._state.get(_CURSOR)
        return int.from_bytes(stored, "big") if stored else 0

    def place(self) -> Place:
        """How far which mailbox was read."""
        with self._database.snapshot():
            node = self._state.get(_NODE)
            return Place(self.cursor(), node.decode() if node is not None else None)

    def begin(self, node: str) -> None:
        """Read the mailbox at ``node`` from now on: another one than before has other numbers, and begins anew."""
        if self.place().node == node:
            return
        with self._database.transaction():
            before = self.place().node
            if before not in {None, node}:
                self.move(0)
            self._state.set(_NODE, node.encode())

    def move(self, cursor: int) -> None:
        """Note how far it was read, inside a transaction."""
        self._state.set(_CURSOR, cursor.to_bytes(_CURSOR_BYTES, "big"))

    def fetched_at(self) -> datetime | None:
        """When all that the mailbox had then was taken; a few seconds early at most. None: never yet."""
        stored = self._state.get(_FETCHED)
        return from_ms(int.from_bytes(stored, "big")) if stored else None

    def note_fetched(self, at: datetime, now: datetime) -> None:
        """Note that all that the mailbox had ``at`` that moment was taken. An older moment takes no newer one back.

        A kept moment that lies ahead of ``now`` is of a clock that was wrong, and counts for nothing.
        """
        kept, at = self.fetched_at(), min(at, now)
        if kept is not None and kept <= now and at - kept < _NOTED_EVERY:
            return
        with self._database.transaction(redone=True):
            self._state.set(_FETCHED, to_ms(at).to_bytes(8, "big"))


class QuarantineTable:
    """The envelopes that one desk refused."""

    def __init__(self, database: SealedDatabase, names: RowNames) -> None:
        self._database = database
        self._cipher = database.cipher
        self._names = names

    def page(self, limit: int, before: int | None) -> list[tuple[int, Quarantined]]:
        """The refused messages, the newest first, without their envelopes; ``before`` is a row number."""
        rows = self._database.all(
            "SELECT seq, digest, head FROM quarantine WHERE seq < ? ORDER BY seq DESC LIMIT ?",
            (before or (1 << 62), limit),
        )
        return [
            (seq, Quarantined.from_head(self._cipher.open(b"quarantine.head", row, head))) for seq, row, head in rows
        ]

    def get(self, digest: bytes) -> Quarantined:
        """One refused message with its envelope; raises :class:`NotFoundError`."""
        row = self._names.digest(digest)
        rows = self._database.all("SELECT head, body FROM quarantine WHERE digest = ?", (row,))
        if not rows:
            raise NotFoundError("no such message is in quarantine")
        head, body = rows[0]
        return Quarantined.from_head(
            self._cipher.open(b"quarantine.head", row, head), self._cipher.open(b"quarantine.body", row, body)
        )

    def known(self, digests: Collection[bytes]) -> set[bytes]:
        """Those of the digests whose envelope was refused."""
        blinded = {self._names.digest(digest): digest for digest in digests}
        rows = self._database.among("SELECT digest FROM quarantine WHERE digest IN", blinded)
        return {blinded[row] for (row,) in rows}

    def insert(self, refused: Sequence[Quarantined]) -> list[int]:
        """Keep refused envelopes, inside a transaction; their row numbers."""
        return [self._insert(one) for one in refused]

    def erase(self, digest: bytes, at: datetime) -> None:
        """Take the bytes of a refused message out, inside a transaction; that it was refused stays known."""
        row = self._names.digest(digest)
        left = Quarantined(b"", digest, "erased", "", at)
        self._database.execute("UPDATE quarantine SET head = ?, body = ? WHERE digest = ?", (*self._sealed(left), row))

    def _insert(self, refused: Quarantined) -> int:
        done = self._database.execute(
            "INSERT INTO quarantine (head, body, digest) VALUES (?, ?, ?)",
            (*self._sealed(refused), self._names.digest(refused.digest)),
        )
        return int(done.lastrowid or 0)

    def _sealed(self, refused: Quarantined) -> tuple[bytes, bytes]:
        row = self._names.digest(refused.digest)
        return (
            self._cipher.seal(b"quarantine.head", row, refused.head()),
            self._cipher.seal(b"quarantine.body", row, refused.envelope),
        )

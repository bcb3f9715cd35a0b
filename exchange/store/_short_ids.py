"""Finding a message by the beginning or the end of its id, over an index that holds no id.

Ids are UUIDs of version 7: they begin with the time in milliseconds and end with chance. The blinded index has every
beginning that tells times apart, and the shortest end that is looked for. A search opens what it finds and compares it
whole, so that an index entry that is wrong shows nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from exchange.store.cipher import RowCipher
from exchange.store.database import SealedDatabase

FEWEST_CHARACTERS = 4
# 4: some 50 days, 8: a minute, 13: the millisecond (with the hyphen).
_BEGINNINGS = (4, 5, 6, 7, 8, 13)
_ENDS = (4, 8)
_PART_BYTES = 8
_AT_ONCE = 1_000

_OpenId = Callable[[bytes, bytes], UUID]


class ShortIds:
    """The index in one desk's database."""

    fewest_characters = FEWEST_CHARACTERS
    """What is looked for has so many."""

    def __init__(self, database: SealedDatabase, cipher: RowCipher, open_id: _OpenId) -> None:
        """``open_id(row, head)`` is the id in a message's sealed head, the row its blinded id."""
        self._database = database
        self._cipher = cipher
        self._open_id = open_id

    def add(self, rows: Sequence[tuple[int, UUID]]) -> None:
        """Index messages by row number, within the caller's transaction."""
        parts = [(part, seq) for seq, message_id in rows for part in _parts(str(message_id))]
        # Ids that were made at one time begin alike.
        blinded = {part: self._part(*part) for part in {part for part, _ in parts}}
        # In the order of the index: pages are touched once.
        named = sorted((blinded[part], seq) for part, seq in parts)
        self._database.execute_all("INSERT OR IGNORE INTO short_id (part, seq) VALUES (?, ?)", named)

    def complete(self) -> None:
        """Index what was stored before there was this index, the newest first; at once where nothing is left.

        Each step is a transaction, so it goes on where it was broken off, also by another program.
        """
        while self._step():
            pass

    def _step(self) -> bool:
        if not self._database.all("SELECT 1 FROM short_id_left LIMIT 1"):
            return False
        with self._database.transaction(redone=True):
            left = self._database.all("SELECT seq FROM short_id_left LIMIT 1")
            rows = self._database.all(
                "SELECT seq, id, head FROM message WHERE seq <= ? ORDER BY seq DESC LIMIT ?",
                (left[0][0] if left else -1, _AT_ONCE),
            )
            self.add([(seq, self._open_id(row, head)) for seq, row, head in rows])
            self._database.execute("DELETE FROM short_id_left")
            if rows:
                self._database.execute("INSERT INTO short_id_left (seq) VALUES (?)", (rows[-1][0] - 1,))
        return bool(rows)

    def find(self, wanted: str, limit: int) -> list[UUID] | None:
        """The messages whose id begins or ends with ``wanted``, which has 4 characters at least and is lower case.

        None when more than ``limit`` are to be compared: some that fit could be among those that were not.
        """
        rows = self._candidates(wanted, limit + 1)
        if len(rows) > limit:
            return None
        opened = [self._open_id(row, head) for row, head in rows]
        return [known for known in opened if str(known).startswith(wanted) or str(known).endswith(wanted)]

    def _candidates(self, wanted: str, limit: int) -> list[tuple[bytes, bytes]]:
        beginning = wanted[: max(length for length in _BEGINNINGS if length <= len(wanted))]
        end = wanted[-max(length for length in _ENDS if length <= len(wanted)) :]
        found: list[tuple[bytes, bytes]] = self._database.all(
            "SELECT m.id, m.head FROM message m WHERE m.seq IN"
            " (SELECT seq FROM short_id WHERE part = ? UNION SELECT seq FROM short_id WHERE part = ?) LIMIT ?",
            (self._part(b"<", beginning), self._part(b">", end), limit),
        )
        return found

    def _part(self, side: bytes, text: str) -> bytes:
        return self._cipher.blind(b"short-id", side + text.encode())[:_PART_BYTES]


def _parts(text: str) -> list[tuple[bytes, str]]:
    """What an id is found by: beginnings and ends."""
    return [(b"<", text[:length]) for length in _BEGINNINGS] + [(b">", text[-length:]) for length in _ENDS]

"""By which words messages are found: an index that holds blinded beginnings of words, and no word."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from exchange.store._state import StateTable
from exchange.store.database import SealedDatabase
from exchange.store.messages import MessageTable
from exchange.store.rows import StoredMessage, ThreadRow

# Two words in one are found out when the message is opened.
_WORD_BYTES = 8
# A search asks for so many of the rarest words; the others are looked for in what is opened.
_MOST_WORDS = 16
# How far messages are indexed. Another name whenever words are folded or cut otherwise: all are then indexed anew.
_INDEXED = b"indexed-2"
_SEQ_BYTES = 8


class WordTable:
    """The index of one desk's messages. Messages go by their row numbers."""

    def __init__(self, database: SealedDatabase, state: StateTable, messages: MessageTable) -> None:
        self._database = database
        self._cipher = database.cipher
        self._state = state
        self._messages = messages

    def unindexed(self) -> int:
        """How many messages came after the last one that was indexed."""
        return int(self._database.all("SELECT count(*) FROM message WHERE seq > ?", (self._indexed(),))[0][0])

    def next_unindexed(self, limit: int) -> list[tuple[int, StoredMessage]]:
        """The oldest messages that are not indexed, with their row numbers."""
        rows = self._database.all(
            "SELECT seq, id, head, body, slot FROM message WHERE seq > ? ORDER BY seq LIMIT ?", (self._indexed(), limit)
        )
        return [(seq, self._messages.opened(*row)) for seq, *row in rows]

    def add(self, words: Sequence[tuple[int, Collection[str]]], closed: Collection[int] = ()) -> None:
        """Index messages, by row number in rising order; those of ``closed`` are to be indexed when they are open."""
        if not words:
            return
        with self._database.transaction(redone=True):
            # A message that another program erased since it was read has no words any more.
            first, last = words[0][0], words[-1][0]
            erased = self._messages.erased_between(first, last)
            self._insert([(seq, found) for seq, found in words if seq not in erased])
            left = [(seq,) for seq in closed if seq not in erased]
            self._database.execute_all("INSERT OR IGNORE INTO closed (seq) VALUES (?)", left)
            self._state.set(_INDEXED, max(last, self._indexed()).to_bytes(_SEQ_BYTES, "big"))

    def closed(self) -> list[tuple[int, StoredMessage]]:
        """The messages that were closed when they were to be indexed, with their row numbers."""
        # In this order (CROSS): few are closed, and else SQLite goes through all messages to have them in order.
        rows = self._database.all(
            "SELECT m.seq, m.id, m.head, m.body, m.slot FROM closed c CROSS JOIN message m ON m.seq = c.seq"
            " ORDER BY c.seq"
        )
        return [(seq, self._messages.opened(*row)) for seq, *row in rows]

    def add_opened(self, words: Sequence[tuple[int, Collection[str]]]) -> None:
        """Index messages that were closed before."""
        with self._database.transaction(redone=True):
            self._insert(words)
            self._database.execute_all("DELETE FROM closed WHERE seq = ?", [(seq,) for seq, _ in words])

    def with_words(self, words: Collection[str], limit: int, before: int | None) -> list[ThreadRow]:
        """Messages indexed with the rarest of the words, the newest first; ``before`` is a row number."""
        blinded = sorted({self._word(word) for word in words}, key=self._how_often)
        first, *others = blinded[:_MOST_WORDS]
        also = " AND EXISTS (SELECT 1 FROM word x WHERE x.word = ? AND x.seq = w.seq)" * len(others)
        rows = self._database.all(
            "SELECT m.seq, m.id, m.head, m.body, m.slot, o.sealed FROM word w JOIN message m ON m.seq = w.seq"  # noqa: S608
            f" LEFT JOIN opening o ON o.id = m.id WHERE w.word = ? AND w.seq < ?{also} ORDER BY w.seq DESC LIMIT ?",
            (first, before or (1 << 62), *others, limit),
        )
        return [self._messages.row(*row) for row in rows]

    def forget(self, seqs: Sequence[int]) -> None:
        """Take all that messages are found by out of the index, inside a transaction, however it was made."""
        self._database.among("DELETE FROM word WHERE seq IN", seqs)

    def forget_closed(self, seq: int) -> None:
        """A message is not to be indexed any more, inside a transaction."""
        self._database.execute("DELETE FROM closed WHERE seq = ?", (seq,))

    def _insert(self, words: Sequence[tuple[int, Collection[str]]]) -> None:
        rows = [(self._word(word), seq) for seq, found in words for word in found]
        # In the order of the index: pages are touched once.
        self._database.execute_all("INSERT OR IGNORE INTO word (word, seq) VALUES (?, ?)", sorted(rows))

    def _how_often(self, word: bytes) -> int:
        """How many messages have the word, counted up to where it makes no difference any more."""
        return int(
            self._database.all("SELECT count(*) FROM (SELECT 1 FROM word WHERE word = ? LIMIT 5000)", (word,))[0][0]
        )

    def _word(self, word: str) -> bytes:
        return self._cipher.blind(b"word", word.encode())[:_WORD_BYTES]

    def _indexed(self) -> int:
        stored = self._state.get(_INDEXED)
        return int.from_bytes(stored, "big") if stored else 0

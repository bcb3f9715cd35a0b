"""Finding messages by the words in them, although everything at rest is sealed.

The desk blinds the words of a message (:mod:`exchange.text.words`) under its index key and keeps them with the
message's number. A search opens what it finds that way and looks at it before it shows it, so that a chance match is
never a result. Messages are indexed in the quiet moments of a watch, and by the next searches: indexing one costs as
much as receiving it, and must not hold a busy desk up. Nothing is left out silently: a search says how many messages it
did not look into yet, and whether there are more than it shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from heapq import merge

from exchange.cases.listing import emergencies_first, inbox_rows
from exchange.store.desk_store import DeskStore
from exchange.store.rows import Head, StoredMessage
from exchange.text.words import Query, keys_of, pieces_of
from exchange.views import SearchResult
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError

MAX_QUERY_WORDS = 16
_AT_ONCE = 256
# So many messages are indexed before a search answers: about as long as a person waits without asking why.
_BEFORE_ANSWER = 1024

# No word has a blank in it.
_MARK = "subject "

Progress = Callable[[int, int], None]
_Candidate = tuple[int, StoredMessage, datetime | None]


def words_of(text: str) -> frozenset[str]:
    """What a text is indexed under."""
    return frozenset(keys_of(pieces_of(text)))


def words_in(message: StoredMessage) -> frozenset[str]:
    """What a message's values, its field names not, are indexed under; nothing for an erased one."""
    return frozenset(keys_of(piece for text in _texts_of(message) for piece in pieces_of(text)))


class Search:
    """The search of one desk. Blocking; runs in the desk's thread.

    ``subjects`` gives the keys of what a message is about: they are indexed like words, and are never words.
    ``is_closed`` says of a message that its content is not to be read here yet: it is not indexed, and never found.
    ``is_withheld`` says it of one that its sender took back before it was opened: it is never found.
    """

    def __init__(
        self,
        store: DeskStore,
        subjects: Callable[[StoredMessage], Iterable[str]],
        is_closed: Callable[[StoredMessage], bool],
        is_withheld: Callable[[StoredMessage], bool] = lambda stored: False,
    ) -> None:
        self._store = store
        self._subjects = subjects
        self._is_closed = is_closed
        self._is_withheld = is_withheld

    def index(self, most: int | None = None, progress: Progress | None = None) -> int:
        """Index what came since the last time, at most so many messages; returns how many were left."""
        self._index_opened()
        total, done = self._store.search.unindexed(), 0
        wanted = total if most is None else min(most, total)
        while done < wanted:
            rows = self._store.search.next_unindexed(min(_AT_ONCE, wanted - done))
            closed = {seq for seq, message in rows if self._is_closed(message)}
            words = [(seq, frozenset() if seq in closed else self._words(message)) for seq, message in rows]
            self._store.search.add(words, closed)
            done += len(rows)
            if progress is not None:
                progress(done, wanted)
            if not rows:
                break
        return self._store.search.unindexed() if done < total else 0

    def find(
        self,
        query: str,
        limit: int,
        progress: Progress | None = None,
        *,
        everything: bool = False,
        subjects: Collection[str] = (),
    ) -> SearchResult:
        """Messages that have every word of ``query``, or are about one of ``subjects``: emergencies first, then the
        newest.

        Raises :class:`UsageError` without a word.
        ``everything``: however many messages are to be indexed before.
        """
        asked = Query.of(query)
        if not asked.pieces:
            raise UsageError(phrase("give at least one word to search for"))
        if len(asked.pieces) > MAX_QUERY_WORDS:
            raise UsageError(phrase("give no more words to search for than {most}", most=MAX_QUERY_WORDS))
        left = self.index(None if everything else _BEFORE_ANSWER, progress)
        found: list[tuple[int, Head, datetime | None]] = []
        about = [self._about(key, limit + 1) for key in subjects]
        last = -1
        for seq, message, opened_at in merge(self._holding(asked, limit + 1), *about, key=_newest_first):
            if seq != last and self._is_open(message):
                found.append((seq, message.head, opened_at))
            last = seq
            if len(found) > limit:
                break
        rows = inbox_rows(self._store, found[:limit])
        return SearchResult(tuple(emergencies_first(rows)), left, len(found) > limit)

    def with_subject(self, key: str, at_once: int | None = None) -> Iterator[StoredMessage]:
        """The messages that are about this subject, the newest first, of those that are indexed and not closed.

        ``at_once``: so many are opened at once, where not all are wanted.
        """
        found = self._candidates({_MARK + key}, min(at_once or _AT_ONCE, _AT_ONCE))
        return (message for _, message, _ in found if self._is_open(message))

    def _is_open(self, message: StoredMessage) -> bool:
        return not self._is_closed(message) and not self._is_withheld(message)

    def _index_opened(self) -> None:
        """Index what was closed when it came and is open now."""
        opened = [(seq, message) for seq, message in self._store.search.closed() if not self._is_closed(message)]
        if opened:
            self._store.search.add_opened([(seq, self._words(message)) for seq, message in opened])

    def _words(self, message: StoredMessage) -> frozenset[str]:
        return words_in(message) | self.subject_words(message)

    def subject_words(self, message: StoredMessage) -> frozenset[str]:
        """What a message is indexed under besides its words; none for an erased one."""
        return frozenset() if message.erased else frozenset(_MARK + key for key in self._subjects(message))

    def _holding(self, asked: Query, at_once: int) -> Iterator[_Candidate]:
        rows = self._candidates(asked.keys(), at_once)
        return (row for row in rows if asked.is_held_by(_texts_of(row[1])))

    def _about(self, key: str, at_once: int) -> Iterator[_Candidate]:
        rows = self._candidates({_MARK + key}, at_once)
        return (row for row in rows if not row[1].erased and key in self._subjects(row[1]))

    def _candidates(self, keys: set[str], at_once: int) -> Iterator[_Candidate]:
        """What is indexed under all of the keys, the newest first."""
        before: int | None = None
        while rows := self._store.search.with_words(keys, at_once, before):
            yield from rows
            before = rows[-1][0]


def _newest_first(candidate: _Candidate) -> int:
    return -candidate[0]


def _texts_of(message: StoredMessage) -> Iterator[str]:
    return iter(()) if message.erased else _texts(json.loads(message.content))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)

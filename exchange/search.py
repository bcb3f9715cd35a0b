"""Finding messages by the words in them, although everything at rest is sealed.

Each word of a message is blinded under the desk's index key, and the blinded words are kept with the message's number.
What a search finds that way is opened and looked at before it is shown, so that a chance match is never a result. Words
are compared without regard to case, width or composition (NFKC, case folded); an identifier such as an address or a
number is also one word as a whole. Messages are indexed in the quiet moments of a watch, at the latest by the next
search: indexing one costs as much as receiving it, and must not hold a busy desk up.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

from exchange.records import StoredMessage
from exchange.rows import inbox_row
from exchange.store import DeskStore
from exchange.views import InboxRow
from protocol.errors import UsageError

MAX_WORDS = 2_000
MAX_QUERY_WORDS = 16
_MAX_LETTERS = 64
_AT_ONCE = 256
_PIECE = re.compile(r"[^\s\"'<>()\[\]{}|]+")
_WORD = re.compile(r"\w+")
_OUTSIDE = ".,;:!?…、。，；：！？-–—_/\\"

# No word has a blank in it.
_MARK = "subject "

Progress = Callable[[int, int], None]


def words_of(text: str) -> frozenset[str]:
    """The words of a text, as they are compared: each piece between blanks as a whole, and the words within it."""
    found: set[str] = set()
    for piece in _PIECE.findall(unicodedata.normalize("NFKC", text).casefold()):
        whole = piece.strip(_OUTSIDE)
        found.update(word[:_MAX_LETTERS] for word in (whole, *_WORD.findall(whole)) if word)
    return frozenset(found)


def words_in(message: StoredMessage) -> frozenset[str]:
    """All words of a message's values, its field names not; at most :data:`MAX_WORDS`, none of an erased one."""
    found: set[str] = set()
    if message.erased:
        return frozenset()
    for text in _texts(json.loads(message.content)):
        found |= words_of(text)
        if len(found) > MAX_WORDS:
            break
    return frozenset(sorted(found)[:MAX_WORDS])


class Search:
    """The search of one desk. Blocking; runs in the desk's thread.

    ``subjects`` gives the keys of what a message is about: they are indexed like words, and are never words.
    ``is_closed`` says of a message that its content is not to be read here yet: it is not indexed, and never found.
    """

    def __init__(
        self,
        store: DeskStore,
        subjects: Callable[[StoredMessage], Iterable[str]],
        is_closed: Callable[[StoredMessage], bool],
    ) -> None:
        self._store = store
        self._subjects = subjects
        self._is_closed = is_closed

    def index(self, most: int | None = None, progress: Progress | None = None) -> int:
        """Index what came since the last time, at most so many messages; returns how many were left."""
        self._index_opened()
        total, done = self._store.unindexed(), 0
        while done < total and (most is None or done < most):
            rows = self._store.next_unindexed(_AT_ONCE if most is None else min(_AT_ONCE, most - done))
            closed = {seq for seq, message in rows if self._is_closed(message)}
            words = [(seq, frozenset() if seq in closed else self._words(message)) for seq, message in rows]
            self._store.add_words(words, closed)
            done += len(rows)
            if progress is not None:
                progress(done, total)
            if not rows:
                break
        return total - done

    def find(self, query: str, limit: int, progress: Progress | None = None) -> list[InboxRow]:
        """Messages that have every word of ``query``, the newest first. Raises :class:`UsageError` without a word."""
        wanted = words_of(query)
        if not wanted:
            raise UsageError("give at least one word to search for")
        if len(wanted) > MAX_QUERY_WORDS:
            raise UsageError(f"give at most {MAX_QUERY_WORDS} words to search for")
        self.index(progress=progress)
        found: list[InboxRow] = []
        before: int | None = None
        while len(found) < limit:
            candidates = self._store.with_words(wanted, limit, before)
            for seq, message, opened_at in candidates:
                if wanted <= words_in(message) and not self._is_closed(message):
                    found.append(inbox_row(self._store, seq, message.head, opened_at))
            if len(candidates) < limit:
                break
            before = candidates[-1][0]
        return found[:limit]

    def with_subject(self, key: str, limit: int) -> list[StoredMessage]:
        """The newest messages that are about this subject."""
        self.index()
        found = self._store.with_words({_MARK + key}, limit, None)
        return [message for _, message, _ in found if not self._is_closed(message)]

    def _index_opened(self) -> None:
        """Index what was closed when it came and is open now."""
        opened = [(seq, message) for seq, message in self._store.closed() if not self._is_closed(message)]
        if opened:
            self._store.add_words_of_opened([(seq, self._words(message)) for seq, message in opened])

    def _words(self, message: StoredMessage) -> frozenset[str]:
        return words_in(message) | self.subject_words(message)

    def subject_words(self, message: StoredMessage) -> frozenset[str]:
        """What a message is indexed under besides its words; none for an erased one."""
        return frozenset() if message.erased else frozenset(_MARK + key for key in self._subjects(message))


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

"""Erasing content: a case at a time, by destroying the keys of its messages.

What stays says that there were messages, between whom and when, with their digests: the logs of the nodes still verify,
and so do the receipts. Of what was in them nothing stays, neither in the index nor in the notes of the office, and the
record of the erasure names messages by id and digest alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from exchange.agenda import Agenda
from exchange.cases import Parsed, thread_messages
from exchange.local_records import RecordBook
from exchange.officers import Acting, Role
from exchange.records import StoredMessage
from exchange.search import Search, words_in
from exchange.settings import RetentionSettings
from exchange.store import DeskStore
from protocol.codes import load_codes
from protocol.errors import ErasureError, NotFoundError, UsageError
from protocol.instant import truncate
from protocol.lifecycle import fold
from protocol.local_record import Operation

# On these grounds a case is erased however it stands: somebody else decided it.
_AT_ONCE = frozenset({"ordered", "condition", "data_subject", "misdirected"})
_ENDED = frozenset(
    {
        "refused",
        "not_held",
        "released",
        "lapsed",
        "produced",
        "withdrawn",
        "closed",
        "impossible",
        "conditions_declined",
        "expired_unanswered",
        "answered",
    }
)
_QUARANTINE_PAGE = 500


@dataclass(frozen=True, slots=True)
class ErasableCase:
    """A case whose retention has ended. ``last_at`` is when its last message was stored."""

    thread: UUID
    messages: int
    last_at: datetime
    state: str


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased of one case, or of the refused messages (``thread`` is None)."""

    thread: UUID | None
    messages: int


class Erasure:
    """Erases for one desk. Blocking; runs in the desk's thread."""

    def __init__(
        self,
        store: DeskStore,
        parsed: Parsed,
        search: Search,
        agenda: Agenda,
        acting: Acting,
        book: RecordBook,
        settings: RetentionSettings,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._parsed = parsed
        self._search = search
        self._agenda = agenda
        self._acting = acting
        self._book = book
        self._settings = settings
        self._clock = clock

    def due(self) -> list[ErasableCase]:
        """The cases that ended, in which nothing is due, and whose last message is older than the retention."""
        if self._settings.cases_days is None:
            return []
        before = self._clock() - timedelta(days=self._settings.cases_days)
        last: dict[UUID, tuple[datetime, int]] = {}
        for head in self._store.all_heads():
            at, count = last.get(head.thread, (head.stored_at, 0))
            last[head.thread] = (max(at, head.stored_at), count + 1)
        busy = {item.thread for item in self._agenda.items()}
        found: list[ErasableCase] = []
        for thread, (at, count) in sorted(last.items(), key=lambda entry: entry[1]):
            if at < before and thread not in busy and self._contents(thread):
                state = self._state(thread)
                if state in _ENDED:
                    found.append(ErasableCase(thread, count, at, state))
        return found

    def erase_case(self, thread: UUID, ground: str) -> Erased:
        """Erase the content of all messages of a case.

        Raises :class:`NotFoundError`, :class:`UsageError` for a ground that is not of the list erasure_ground,
        :class:`ErasureError` while the case has not ended or something in it is due, unless the ground is somebody
        else's decision, and :class:`OfficerRoleError` unless an administrator acts.
        """
        self._acting.require(Role.ADMINISTRATOR)
        if ground not in load_codes("erasure_ground"):
            raise UsageError("the ground is not a code of the list erasure_ground")
        if not self._store.thread(thread):
            raise NotFoundError(f"this desk has no thread {thread}")
        messages = self._contents(thread)
        if not messages:
            raise ErasureError("the case was erased before")
        if any(self._store.is_pending(message.head.id) for message in messages):
            raise ErasureError("a message of the case still waits to be sent")
        if ground not in _AT_ONCE:
            self._require_ended(thread)
        return Erased(thread, self._erase(messages, ground))

    def erase_refused(self) -> Erased:
        """Erase refused messages that are older than their retention."""
        self._acting.require(Role.ADMINISTRATOR)
        if self._settings.refused_days is None:
            return Erased(None, 0)
        now = truncate(self._clock())
        before = now - timedelta(days=self._settings.refused_days)
        done, place = 0, None
        while rows := self._store.quarantine(_QUARANTINE_PAGE, place):
            place = rows[-1][0]
            old = [refused for _, refused in rows if refused.at < before and refused.code != "erased"]
            with self._store.database.transaction():
                for refused in old:
                    self._store.erase_quarantined(refused.digest, now)
                if old:
                    record = self._book.record(Operation.ERASURE, "erase", ground="retention", count=len(old))
                    self._store.records.insert([record])
            done += len(old)
        self._store.database.forget_deleted()
        return Erased(None, done)

    # --- Inside ---

    def _contents(self, thread: UUID) -> list[StoredMessage]:
        return [stored for _, stored, _ in self._store.thread(thread) if not stored.erased]

    def _state(self, thread: UUID) -> str:
        return str(fold(thread_messages(self._store, self._parsed, thread)).state)

    def _require_ended(self, thread: UUID) -> None:
        state = self._state(thread)
        if state not in _ENDED:
            raise ErasureError(f"the case has not ended: it is {state}")
        if any(item.thread == thread for item in self._agenda.items()):
            raise ErasureError("something in the case is still due")

    def _erase(self, messages: list[StoredMessage], ground: str) -> int:
        indexed = [(message, words_in(message) | self._search.subject_words(message)) for message in messages]
        with self._store.database.transaction():
            for message, words in indexed:
                self._store.erase(message, words)
                self._store.records.insert([self._book.record(Operation.ERASURE, "erase", message.head, ground=ground)])
        self._store.destroy_keys()
        self._parsed.forget(message.head.digest for message in messages)
        return len(messages)

"""What a desk knows of its messages and cases, as it is shown. Blocking; runs in the desk's thread.

A query that shows content needs an officer who may read, and records it before it shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from exchange.cases.duplicates import Duplicate, find_duplicates
from exchange.cases.listing import inbox_row
from exchange.cases.search import Search
from exchange.cases.threads import Parsed, thread_messages, tracking, ways_of
from exchange.messaging.handling import PassingOn
from exchange.messaging.inbox import Inbox
from exchange.messaging.receipts import ReceiptJudge
from exchange.office.office import Office
from exchange.office.officers import READERS, Acting
from exchange.office.processing_log import ProcessingLog
from exchange.store.desk_store import DeskStore
from exchange.store.rows import Head, PendingStatement, StoredMessage
from exchange.views import Direction, InboxRow, ReceiptRow, SearchResult, ShownMessage, Tracking
from keys.directory.view import Directory
from protocol.errors import ConditionsOpenError, DuplicateRequestError, ErasedError, NotFoundError
from protocol.event import EventName
from protocol.lifecycle.case import AnyCase, fold
from protocol.lifecycle.profiles import NationalClocks
from protocol.messages.parse import notes_of
from protocol.messages.schema.base import Message
from protocol.processing_log import Operation, ProcessingRecord

# A message that is sent waits for so many others to be indexed, unless it is to be compared with all.
INDEXED_BEFORE_SENDING = 256
# Of an id so short that it fits more, nobody needs to know how many.
_MOST_COMPARED = 1_000


class Queries:
    """Reads one desk's store."""

    def __init__(
        self,
        store: DeskStore,
        parsed: Parsed,
        mailbox: Inbox,
        judge: ReceiptJudge,
        search: Search,
        office: Office,
        passing_on: PassingOn,
        acting: Acting,
        book: ProcessingLog,
        directory: Callable[[], Directory],
        national: Callable[[AnyCase], NationalClocks],
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._parsed = parsed
        self._mailbox = mailbox
        self._judge = judge
        self._search = search
        self._office = office
        self._passing_on = passing_on
        self._acting = acting
        self._book = book
        self._directory = directory
        self._national = national
        self._clock = clock

    # --- Lists ---

    def rows(
        self, direction: Direction, *, unopened: bool = False, limit: int = 100, before: int | None = None
    ) -> list[InboxRow]:
        """The messages of one direction, the newest first."""
        return [
            inbox_row(self._store, *row)
            for row in self._store.messages.heads(direction, limit, before, unopened=unopened)
        ]

    def row(self, message_id: UUID) -> InboxRow:
        """One message; raises :class:`NotFoundError`."""
        return inbox_row(self._store, *self._store.messages.head(message_id))

    def thread(self, thread: UUID) -> list[InboxRow]:
        """The messages of a thread, in the order they were stored."""
        rows = self._store.messages.thread(thread)
        return [inbox_row(self._store, seq, stored.head, opened_at) for seq, stored, opened_at in rows]

    def receipts(self, message_id: UUID) -> list[ReceiptRow]:
        """The receipts about a message, in the order they came; raises :class:`NotFoundError`."""
        return self._receipt_rows(self._store.messages.head(message_id).head)

    def resolve(self, text: str) -> UUID:
        """See :meth:`exchange.desk.desk.Desk.resolve`."""
        wanted = text.strip().lower()
        try:
            message_id = UUID(wanted)
        except ValueError:
            return self._resolve_part(wanted)
        return self._store.messages.head(message_id).head.id

    def _resolve_part(self, wanted: str) -> UUID:
        if len(wanted) < self._store.short_ids.fewest_characters:
            raise NotFoundError(f"too many messages fit {wanted!r}; give more")
        # Among all of them, however old: what is short and not unique must not open another message.
        found = self._store.short_ids.find(wanted, _MOST_COMPARED)
        if found is None:
            raise NotFoundError(f"too many messages fit {wanted!r}; give more")
        if not found:
            raise NotFoundError(f"no message here has an id that begins or ends with {wanted!r}")
        if len(found) > 1:
            raise NotFoundError(f"{len(found)} messages fit {wanted!r}; give more")
        return found[0]

    def search(
        self, query: str, limit: int, progress: Callable[[int, int], None] | None, *, everything: bool = False
    ) -> SearchResult:
        """See :meth:`exchange.desk.desk.Desk.search`."""
        found = self._search.find(query, limit, progress, everything=everything)
        self._keep_record(self._book.record(Operation.CONSULTATION, "search", count=len(found.messages)))
        return found

    def not_searched(self) -> int:
        """See :meth:`exchange.desk.desk.Desk.not_searched`."""
        return self._store.search.unindexed()

    def index_all(self) -> None:
        """Index whatever is not indexed yet."""
        self._search.index()

    def duplicates(self, message: Message, *, everything: bool = False) -> list[Duplicate]:
        """Where other cases are about targets of the request ``message``, the newest first.

        ``everything``: however many messages are to be indexed before.
        """
        self._search.index(None if everything else INDEXED_BEFORE_SENDING)
        found = find_duplicates(self._store, self._parsed, self._search, message)
        if found:
            self._keep_record(self._book.record(Operation.COMBINATION, "duplicates", count=len(found)))
        return found

    def require_no_duplicate(self, message: Message) -> None:
        """Return if no other case is about a target of the request; raises :class:`DuplicateRequestError`."""
        self._search.index()
        named = sorted(
            {str(found.thread) for found in find_duplicates(self._store, self._parsed, self._search, message)}
        )
        if named:
            raise DuplicateRequestError(f"other cases are about the same targets: {', '.join(named)}")

    # --- Opening ---

    def peek(self, message_id: UUID) -> Message:
        """The stored message for the program's own use; raises as :meth:`require_open`."""
        stored = self._store.messages.get(message_id)
        self.require_open(stored)
        return self._parsed.of(stored)

    def read(self, message_id: UUID) -> ShownMessage:
        """The message, and that it was looked at durable in the records before anybody sees it.

        Raises as :meth:`exchange.desk.desk.Desk.show`.
        """
        self._acting.require(*READERS)
        stored = self._store.messages.get(message_id)
        message, head = self._parsed.of(stored), stored.head
        self.require_open(stored)
        record = self._book.record(Operation.CONSULTATION, "show", head)
        with self._store.database.transaction():
            self._store.records.insert([record])
        return ShownMessage(
            row=self.row(message_id),
            message=message,
            content=stored.content,
            notes=notes_of(message),
            receipts=tuple(self._receipt_rows(head)),
            digest=head.digest,
            readers=tuple(self._office.readers_with_who_acts(message_id)),
        )

    def opened(self, message_id: UUID) -> PendingStatement | None:
        """Note that an officer has seen the message: the statement of it, if that is to be made; durable."""
        head, statement = self._store.messages.head(message_id).head, None
        with self._store.database.transaction():
            if head.direction is Direction.RECEIVED:
                tracking_ = self._mailbox.statement(EventName.ContentAccessTracking, head.ref)
                if self._store.open_message(message_id, self._clock(), tracking_):
                    statement = tracking_
            self._office.note_read(message_id)
        return statement

    def require_open(self, stored: StoredMessage) -> None:
        """Return if this desk sent the message, or accepted its conditions; raises :class:`ConditionsOpenError`."""
        conditions = self._passing_on.closed_by(stored)
        if conditions:
            terms = "; ".join(f"{condition.condition} ({condition.kind}): {condition.text}" for condition in conditions)
            raise ConditionsOpenError(f"it was given under conditions that are not accepted here: {terms}")

    # --- Cases ---

    def case(self, thread: UUID) -> AnyCase:
        """The case that a thread makes; raises :class:`NotFoundError`, :class:`ErasedError`."""
        messages = thread_messages(self._store, self._parsed, thread)
        if not messages:
            if self._store.messages.thread(thread):
                raise ErasedError
            raise NotFoundError(f"this desk has no thread {thread}")
        return fold(messages)

    def track(self, message_id: UUID) -> Tracking:
        """See :meth:`exchange.desk.desk.Desk.track`."""
        seq, head, opened_at = self._store.messages.head(message_id)
        messages = thread_messages(self._store, self._parsed, head.thread)
        case = fold(messages)
        row = inbox_row(self._store, seq, head, opened_at)
        ways = ways_of(self._directory(), row)
        tracked = tracking(row, self._receipt_rows(head), case, self._clock(), ways, self._national(case))
        # The state follows from contents alone: where none is left, nobody can say any more what it was.
        return tracked if messages else replace(tracked, state="erased")

    # --- Inside ---

    def _receipt_rows(self, head: Head) -> list[ReceiptRow]:
        stored = self._store.receipts.of(head.digest)
        proved = {entry.receipt.leaf for entry in stored if entry.error is None}
        # A receipt that could not be verified once and was verified later is shown once.
        return [
            self._judge.row(entry.receipt, entry.error)
            for entry in stored
            if entry.error is None or entry.receipt.leaf not in proved
        ]

    def _keep_record(self, record: ProcessingRecord) -> None:
        with self._store.database.transaction():
            self._store.records.insert([record])

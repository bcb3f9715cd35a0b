"""Where figures come from: verified mirrors, and a desk's database. The only part that reads anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from uuid import UUID

from exchange.audit.verify import VerifiedLog
from exchange.cases.threads import send_status, state_shown, thread_messages, unsent_state
from exchange.context.parsed import Parsed
from exchange.report._courses import Course, Due, course_of
from exchange.report.audit_figures import AuditedLog
from exchange.report.office_figures import CountedMessage, OfficeRecords, RefusedMessage
from exchange.store.desk_store import DeskStore
from exchange.store.rows import Head
from exchange.views import Direction, SendStatus
from keys.local.tile_folder import read_items, widths
from protocol.address import Address
from protocol.directory_seen import DirectorySeen, decode_entry
from protocol.errors import ComityError, LogUnavailableError, MalformedError, TooLargeError
from protocol.event import Event, EventName
from protocol.lifecycle.corrections import effective
from protocol.lifecycle.facts import Submitted
from protocol.lifecycle.projection import projections
from protocol.lifecycle.thread import ThreadMessage
from protocol.log.layout import TILE_WIDTH
from protocol.log.scoped import Withheld, item_hash
from protocol.messages.types.consent import is_given

# The head of a message is read so many times as fast as a case.
_HEADS_A_CASE = 32
# So many refused messages are read at once.
_PAGE = 1000

Progress = Callable[[int, int], None]


def audited(log: VerifiedLog, missing_cosignatures: int | None = None) -> AuditedLog:
    """A verified log as the figures want it; see :class:`AuditedLog` for ``missing_cosignatures``."""
    return AuditedLog(
        node=log.node,
        origin=log.origin,
        size=log.checkpoint.size,
        signed_at=log.head.signed_at,
        entries=_events(log),
        findings=tuple((finding.index, finding.code) for finding in log.findings),
        missing_cosignatures=missing_cosignatures,
        withheld=log.withheld,
        unread=log.unread,
    )


def _events(log: VerifiedLog) -> Iterator[tuple[int, Event]]:
    """The events of a mirror that are what the log signed and can be read, one bundle at a time.

    Raises :class:`MirrorChangedError` where the verification saw every entry, and one is not there now.
    """
    for bundle, width in widths(log.tree.size):
        try:
            items = read_items(log.folder, bundle, width)
        except (LogUnavailableError, TooLargeError, MalformedError):
            items = []
        if len(items) < width and not log.unread:
            raise log.changed()
        for index, item in enumerate(items[:width], bundle * TILE_WIDTH):
            if item_hash(item) != log.tree.leaf_hash(index):
                if not log.unread:
                    raise log.changed()
            elif isinstance(item, Withheld):
                if not log.withheld:
                    raise log.changed()
            elif isinstance(entry := _decoded(item), Event):
                yield index, entry


def _decoded(item: bytes) -> Event | DirectorySeen | None:
    try:
        return decode_entry(item)
    except ComityError:
        return None  # a finding says so


def office_records(
    store: DeskStore, parsed: Parsed, own: Address, as_of: datetime, due: Due, progress: Progress | None = None
) -> OfficeRecords:
    """What a desk's database says up to ``as_of``; blocking. ``progress(done, total)`` counts cases.

    Content under conditions that nobody accepted is not counted.
    """
    reading = OfficeReading(store, parsed, own, as_of, due)
    while reading.step(1):
        if progress is not None:
            progress(reading.done, reading.total)
    return reading.records()


class OfficeReading:
    """Reads what a desk's database says up to ``as_of``, some cases at a time, so that others can work between.

    Blocking. ``done`` of ``total`` cases were read.
    """

    def __init__(self, store: DeskStore, parsed: Parsed, own: Address, as_of: datetime, due: Due) -> None:
        self._store, self._parsed, self._own, self._as_of, self._due = store, parsed, own, as_of, due
        self._messages: dict[UUID, CountedMessage] = {}
        self._heads: Iterator[Head] | None = store.messages.all_heads()
        self._found: dict[UUID, None] = {}
        self._threads: list[UUID] = []
        self._courses: list[Course] = []
        self._erased = 0
        self.done = self.total = 0

    def step(self, cases: int) -> bool:
        """Read so many cases more, or find out first which there are; whether there was anything to do."""
        if self._heads is not None:
            heads = list(islice(self._heads, cases * _HEADS_A_CASE))
            self._find(heads)
            if not heads:
                self._heads, self._threads, self._found = None, list(self._found), {}
                self.total = len(self._threads)
            return True
        part = self._threads[self.done : self.done + cases]
        for thread in part:
            self._read(thread)
        self.done += len(part)
        return bool(part)

    def records(self) -> OfficeRecords:
        """What was read, when all was."""
        refused = tuple(_refused(self._store))
        return OfficeRecords(self._own, tuple(self._messages.values()), tuple(self._courses), refused, self._erased)

    def _find(self, heads: Sequence[Head]) -> None:
        for head in heads:
            if head.direction is Direction.SENT and send_status(self._store, head.id) is SendStatus.CALLED_OFF:
                continue  # it never left
            peers = head.recipients if head.direction is Direction.SENT else (head.sender,)
            nations = tuple(dict.fromkeys(peer.node for peer in peers))
            self._messages[head.id] = CountedMessage(head.direction, head.type, head.sent_at, head.thread, nations)
            self._found[head.thread] = None

    def _read(self, thread: UUID) -> None:
        found = thread_messages(self._store, self._parsed, thread)
        contents = [entry.message for entry in found]
        for closed in (message for message in contents if not is_given(message, contents)):
            self._messages.pop(closed.id, None)
        self._erased += not found
        opened = {entry.message.id: _opened_at(entry) for entry in found}
        unsent = unsent_state(self._store, thread)
        for of_case in projections(found, str(self._own)).values():
            facts = effective(of_case).facts
            course = course_of(facts, self._as_of, self._due)
            if course is not None:
                read_at = next((opened.get(fact.message_id) for fact in facts if isinstance(fact, Submitted)), None)
                read_at = read_at if read_at is not None and read_at <= self._as_of else None
                state = state_shown(course.state, unsent)
                self._courses.append(replace(course, thread=thread, read_at=read_at, state=state))


def _opened_at(entry: ThreadMessage) -> datetime | None:
    """When it is proved that an officer of the other side opened a message."""
    opened = EventName.ContentAccessTracking.value
    return min((event.at for event in entry.events if event.name == opened), default=None)


def _refused(store: DeskStore) -> Iterator[RefusedMessage]:
    before: int | None = None
    while rows := store.quarantine.page(_PAGE, before):
        yield from (RefusedMessage(refused.code, refused.at) for _, refused in rows)
        before = rows[-1][0]

"""Where figures come from: verified mirrors, and a desk's database. The only part that reads anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from exchange.audit.verify import VerifiedLog
from exchange.cases.threads import send_status, state_shown, thread_messages, unsent_state
from exchange.context.parsed import Parsed
from exchange.report._courses import Course, Due, course_of
from exchange.report.audit_figures import AuditedLog
from exchange.report.office_figures import CountedMessage, OfficeRecords, RefusedMessage
from exchange.store.desk_store import DeskStore
from exchange.views import Direction, SendStatus
from keys.local.tile_folder import read_items, widths
from protocol.address import Address
from protocol.directory_seen import DirectorySeen, decode_entry
from protocol.errors import ComityError, LogUnavailableError, MalformedError, TooLargeError
from protocol.event import Event
from protocol.lifecycle.corrections import effective
from protocol.lifecycle.projection import projections
from protocol.log.layout import TILE_WIDTH
from protocol.log.scoped import Withheld, item_hash
from protocol.messages.types.consent import is_given

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
    """The events of a mirror that are what the log signed and can be read, one bundle at a time."""
    for bundle, width in widths(log.tree.size):
        try:
            items = read_items(log.folder, bundle, width)
        except (LogUnavailableError, TooLargeError, MalformedError):
            continue  # a finding says so
        for index, item in enumerate(items[:width], bundle * TILE_WIDTH):
            if not isinstance(item, Withheld) and item_hash(item) == log.tree.leaf_hash(index):
                entry = _decoded(item)
                if isinstance(entry, Event):
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
    messages: dict[UUID, CountedMessage] = {}
    threads: dict[UUID, None] = {}
    for head in store.messages.all_heads():
        if head.direction is Direction.SENT and send_status(store, head.id) is SendStatus.CALLED_OFF:
            continue  # it never left
        messages[head.id] = CountedMessage(head.direction, head.type, head.sent_at, head.thread)
        threads[head.thread] = None
    courses: list[Course] = []
    erased = 0
    for done, thread in enumerate(threads, 1):
        found = thread_messages(store, parsed, thread)
        contents = [entry.message for entry in found]
        for closed in (message for message in contents if not is_given(message, contents)):
            messages.pop(closed.id, None)
        erased += not found
        for of_case in projections(found, str(own)).values():
            course = course_of(effective(of_case).facts, as_of, due)
            if course is not None:
                state = state_shown(course.state, unsent_state(store, thread))
                courses.append(replace(course, thread=thread, state=state))
        if progress is not None:
            progress(done, len(threads))
    refused = tuple(_refused(store))
    return OfficeRecords(own, tuple(messages.values()), tuple(courses), refused, erased)


def _refused(store: DeskStore) -> Iterator[RefusedMessage]:
    before: int | None = None
    while rows := store.quarantine.page(_PAGE, before):
        yield from (RefusedMessage(refused.code, refused.at) for _, refused in rows)
        before = rows[-1][0]

"""Tests whether contact points answer at any hour (Budapest Convention Art. 35), and what they showed.

Two times are measured, both between instants that logs state: how long until the other desk had the test (handover),
and how long until somebody there replied. Each contact point gets a test of its own, in a thread of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import Any
from uuid import UUID

from exchange.cases.listing import inbox_rows
from exchange.cases.threads import proved_events
from exchange.store.desk_store import DeskStore
from exchange.store.rows import Head, HeadRow, StoredMessage
from exchange.views import Direction, InboxRow, SentMessage
from protocol.address import Address
from protocol.event import Event, EventName

# How many of the latest tests are looked at for the last reply.
# A test that is further down than so many messages was waited for in vain long ago.
_READ_AT_ONCE = 1_000
# Nobody waits for the reply to an older one: who sent it has tested again since.
TESTS_ANSWERED_WITHIN = timedelta(days=30)
_TESTS_KEPT_IN_VIEW = 24


class Answering(StrEnum):
    """What the tests of a contact point say of it, from good to bad."""

    REPLIES = "replies"  # the latest test was replied to in time
    WAITING = "waiting"  # the latest test may still be replied to in time
    LATE = "late"  # the latest test was replied to, after the time allowed
    STALE = "stale"  # it did reply, but no test was made for too long
    SILENT = "silent"  # the latest test was not replied to in time
    UNTESTED = "untested"  # this desk never tested it


@dataclass(frozen=True, slots=True)
class ContactTestPolicy:
    """Within which time a reply is due, and how old a reply may be before it says nothing any more."""

    reply_within: timedelta
    stale_after: timedelta


@dataclass(frozen=True, slots=True)
class ContactTestResult:
    """One test of one contact point. Times are those that verified log entries state; None: not proved.

    ``handover_s`` and ``reply_s`` are seconds from the submission. ``failed`` are reason codes of a proved failure.
    """

    id: UUID
    recipient: Address
    sent_at: datetime
    submitted_at: datetime | None
    handed_over_at: datetime | None
    opened_at: datetime | None
    replied_at: datetime | None
    reply_id: UUID | None
    failed: tuple[str, ...]

    @property
    def handover_s(self) -> float | None:
        """Seconds until the other desk had the test."""
        return _seconds(self.submitted_at, self.handed_over_at)

    @property
    def reply_s(self) -> float | None:
        """Seconds until the reply was submitted at the other side."""
        return _seconds(self.submitted_at, self.replied_at)


@dataclass(frozen=True, slots=True)
class ContactStanding:
    """What is known of a contact point from tests: the latest one, and the latest that was replied to."""

    contact: Address
    standing: Answering
    latest: ContactTestResult | None
    replied: ContactTestResult | None


@dataclass(frozen=True, slots=True)
class ContactTestSent:
    """One contact point of a round: the test that was sent, or the code of why it cannot be tested."""

    contact: Address
    sent: SentMessage | None
    error: str | None = None


def draft_of_test(contact: Address, officer: Mapping[str, str] | None) -> dict[str, Any]:
    """The draft of a test of one contact point; its language is of no matter, for it has no text."""
    from protocol.messages.types.contact import ContactTest

    draft: dict[str, Any] = {
        "type": ContactTest.TYPE,
        "to": [str(contact)],
        "language": "en",
        "handling": {"tlp": "GREEN"},
    }
    return {**draft, "officer": dict(officer)} if officer else draft


def _is_unanswered_test(store: DeskStore, head: Head) -> bool:
    """Whether the message is a test that this desk received and did not reply to."""
    from protocol.messages.types.contact import ContactTest

    return (
        head.type == ContactTest.TYPE
        and head.direction is Direction.RECEIVED
        and not any(_is_reply(stored, Direction.SENT) for _, stored, _ in store.messages.thread(head.thread))
    )


def unanswered_tests(store: DeskStore, now: datetime) -> list[InboxRow]:
    """The tests that came within :data:`TESTS_ANSWERED_WITHIN` and that nobody here replied to, the newest first."""
    found: list[HeadRow] = []
    before: int | None = None
    while rows := store.messages.heads(Direction.RECEIVED, _READ_AT_ONCE, before, unopened=False):
        recent = [row for row in rows if row[1].stored_at > now - TESTS_ANSWERED_WITHIN]
        found += [row for row in recent if _is_unanswered_test(store, row[1])]
        if len(recent) < len(rows):
            break
        before = rows[-1][0]
    return inbox_rows(store, found)


def contact_standing(store: DeskStore, contact: Address, policy: ContactTestPolicy, now: datetime) -> ContactStanding:
    """What this desk's tests say of ``contact`` at ``now``."""
    results = results_of(store, contact)
    latest = next(results, None)
    # Only as far back as somebody replied: most often that is the latest.
    replied = next((one for one in chain((latest,), results) if one is not None and one.replied_at is not None), None)
    return ContactStanding(contact, _standing(latest, replied, policy, now), latest, replied)


def results_of(store: DeskStore, contact: Address) -> Iterator[ContactTestResult]:
    """The latest tests of ``contact``, the newest first."""
    return (_result(store, message, contact) for message in store.contact_tests.of(contact, _TESTS_KEPT_IN_VIEW))


def _standing(
    latest: ContactTestResult | None, replied: ContactTestResult | None, policy: ContactTestPolicy, now: datetime
) -> Answering:
    if latest is None:
        return Answering.UNTESTED
    if latest.replied_at is None:
        return Answering.WAITING if now <= latest.sent_at + policy.reply_within else Answering.SILENT
    if replied is not None and replied.replied_at is not None and now - replied.replied_at > policy.stale_after:
        return Answering.STALE
    started = latest.submitted_at or latest.sent_at
    return Answering.REPLIES if latest.replied_at - started <= policy.reply_within else Answering.LATE


def _result(store: DeskStore, message_id: UUID, contact: Address) -> ContactTestResult:
    head = store.messages.head(message_id).head
    events = [event for event in proved_events(store, head) if event.recipient is None or event.recipient == contact]
    reply = _reply_of(store, head, contact)
    return ContactTestResult(
        id=message_id,
        recipient=contact,
        sent_at=head.sent_at,
        submitted_at=_first(events, EventName.SubmissionAcceptance),
        handed_over_at=_first(events, EventName.ContentHandover),
        opened_at=_first(events, EventName.ContentAccessTracking),
        replied_at=None if reply is None else _first_logged(store, reply),
        reply_id=None if reply is None else reply.id,
        failed=tuple(dict.fromkeys(reason for event in events for reason in event.reasons)),
    )


def _reply_of(store: DeskStore, test: Head, contact: Address) -> Head | None:
    replies = (
        stored.head for _, stored, _ in store.messages.thread(test.thread) if _is_reply(stored, Direction.RECEIVED)
    )
    return next((head for head in replies if head.sender == contact and head.in_reply_to == test.id), None)


def _is_reply(stored: StoredMessage, direction: Direction) -> bool:
    from protocol.messages.types.contact import ContactTestReply

    return stored.head.type == ContactTestReply.TYPE and stored.head.direction is direction


def _first_logged(store: DeskStore, head: Head) -> datetime:
    """The earliest time that a verified log entry states for a message; without one, when this desk stored it."""
    return min((event.at for event in proved_events(store, head)), default=head.stored_at)


def _first(events: Sequence[Event], name: EventName) -> datetime | None:
    return min((event.at for event in events if event.name is name), default=None)


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()

"""Messages of this desk that are not proved to be where they were sent: what is known of each, and from when it counts.

Derived of what is stored, whenever a thread changes: the outbox, what the own node refused, and the verified receipts.
A message is with its recipient when the recipient's desk said so (ContentHandover), and its node logged that. Until
then, from the end of its clock on, or from a failure on, it is due: with what is lost when it does not arrive in time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from exchange.cases.threads import proved_events
from exchange.store.rows import Head, StoredMessage
from exchange.views import Direction, HowFar, RecipientTracking, SendStatus, Undelivered
from protocol.address import Address
from protocol.encoding import cbor
from protocol.encoding.instants import to_ms
from protocol.encoding.phrase import phrase
from protocol.errors import ForbiddenError, StillUnderWayError
from protocol.event import Event, EventName
from protocol.lifecycle.profiles import handover_period, opening_period, warning_steps

if TYPE_CHECKING:
    from exchange.store.desk_store import DeskStore
    from protocol.lifecycle.case import AnyCase
    from protocol.messages.schema.base import Message


ALWAYS = datetime.min.replace(tzinfo=UTC)
REPLACES = "replaces"
"""The name in a draft under which stands what it is sent in the place of; it never leaves the desk."""

EXPIRES, NEEDED = "expiry", "needed_by"
# The fields that speak of a message's own sending alone.
_OF_ONE_SENDING = frozenset({"schema_version", "id", "from", "sent_at", "officer"})
_ARRIVED = frozenset({EventName.ContentHandover, EventName.ContentAccessTracking})
_FAILURES = frozenset(
    {
        EventName.SubmissionRejection,
        EventName.RelayRejection,
        EventName.RelayFailure,
        EventName.ContentConsignmentFailure,
        EventName.ContentHandoverFailure,
    }
)
# A message stands there before any node has it, or in place of that.
_BEFORE_THE_NODE = frozenset(SendStatus) - {SendStatus.SUBMITTED}
_ON_THE_WAY = (
    EventName.SubmissionAcceptance,
    EventName.RelayAcceptance,
    EventName.ContentConsignment,
    EventName.ConsignmentNotification,
)
# Nobody waits for these to be read: they test, confirm, end, or say something beside the course of a case.
_NOT_AWAITED = frozenset(
    {"acknowledgement", "closure", "contact.test", "contact.test-reply", "note", "out-of-order", "status.report"}
)
# These keep a preservation from lapsing, if they arrive before it does.
_KEEPING = frozenset({"preservation.extend", "preservation.follow-up"})


@dataclass(frozen=True, slots=True)
class NotArrived:
    """A message that is not with ``recipients``, and since when that is due."""

    delivery: Undelivered
    recipients: tuple[str, ...]
    appears_at: datetime

    @property
    def due(self) -> datetime:
        """When it is too late: what hangs on it is lost, or the envelope has expired."""
        ends = (self.delivery.hangs_at, self.delivery.expires_at)
        return min(end for end in ends if end is not None)

    def levels(self) -> Iterator[tuple[datetime, str]]:
        """From when on which level is reached, in order."""
        first = "failed" if self.delivery.state in {"failed", "refused"} else "undelivered"
        yield self.appears_at, first
        for step in warning_steps("handover"):
            if self.due - step > self.appears_at:
                yield self.due - step, _step_name(step)
        if self.due > self.appears_at:
            yield self.due, "overdue" if self.delivery.hangs_at == self.due else "expired"


@dataclass(frozen=True, slots=True)
class NotOpened:
    """A message that the desks of ``recipients`` have ``since`` then, and nobody opened; ``due``: then one calls."""

    message: UUID
    type: str
    recipients: tuple[str, ...]
    since: datetime
    due: datetime


def missing_of(
    store: DeskStore, thread: Sequence[tuple[StoredMessage, Message, Sequence[Event]]], cases: Sequence[AnyCase]
) -> list[NotArrived]:
    """The messages of a thread that are not delivered, given each with the events that verified receipts prove of it.

    ``cases`` are the cases of the thread, one a nation.
    """
    found = []
    for stored, message, events in thread:
        head = stored.head
        if head.direction is not Direction.SENT or store.settled.of(head.id) is not None:
            continue
        left = tuple(str(one) for one in head.recipients if not _has_arrived(events, str(one)))
        if left:
            found.append(_missing(store, head, events, left, _hanging(message, cases)))
    return found


def unopened_of(
    store: DeskStore, thread: Sequence[tuple[StoredMessage, Message, Sequence[Event]]], cases: Sequence[AnyCase]
) -> list[NotOpened]:
    """The messages of a thread that wait at another desk to be opened, the one that waits longest first; as above.

    Not those that need nobody, that were taken back or corrected, or to which who has them replied: they were read.
    """
    gone = {message for case in cases for message in case.standings}
    replied = {(message.in_reply_to, message.sender) for _, message, _ in thread}
    found = []
    for stored, _, events in thread:
        head = stored.head
        if head.direction is not Direction.SENT or head.type in _NOT_AWAITED or head.id in gone:
            continue
        waiting = {
            str(one): since
            for one in head.recipients
            if (head.id, str(one)) not in replied and (since := _with_their_desk(events, one)) is not None
        }
        if waiting and store.settled.of(head.id) is None:
            since = min(waiting.values())
            found.append(NotOpened(head.id, head.type, tuple(waiting), since, since + opening_period(head.urgency)))
    return sorted(found, key=lambda one: (one.due, one.message))


def _with_their_desk(events: Sequence[Event], recipient: Address) -> datetime | None:
    """Since when a message waits at a recipient's desk to be opened; None where it does not: see :func:`how_far`."""
    arrived = [event for event in events if event.name in _ARRIVED and event.recipient == recipient]
    if any(event.name is EventName.ContentAccessTracking for event in arrived):
        return None
    return min((event.at for event in arrived), default=None)


def require_lost(store: DeskStore, message_id: UUID, now: datetime) -> None:
    """Return if a message of this desk did not arrive and never will.

    Raises :class:`NotFoundError`, :class:`ForbiddenError` for one that this desk did not send, and
    :class:`StillUnderWayError` for one that arrived, may arrive, or needs nobody any more.
    """
    head = store.messages.head(message_id).head
    if head.direction is not Direction.SENT:
        raise ForbiddenError(phrase("this desk did not send that message"))
    if store.settled.of(message_id) is not None:
        raise StillUnderWayError(phrase("that message was sent anew, or put aside, before"))
    events = proved_events(store, head)
    left = tuple(str(one) for one in head.recipients if not _has_arrived(events, str(one)))
    if not left:
        raise StillUnderWayError(phrase("every recipient has that message"))
    if len(left) < len(head.recipients):
        raise StillUnderWayError(phrase("some recipients have that message: write to the others alone"))
    state, _, _ = _state_of(store, head, events, left)
    if state not in {"failed", "refused"} and now < head.expires_at:
        raise StillUnderWayError(phrase("that message may still arrive"))


def require_waited_for(store: DeskStore, message_id: UUID, now: datetime) -> None:
    """Return if a message of this desk did not arrive and never will, or nobody opened it in the time for that.

    Raises as :func:`require_lost`.
    """
    head = store.messages.head(message_id).head
    if head.direction is Direction.SENT and store.settled.of(message_id) is None:
        events = proved_events(store, head)
        since = [at for one in head.recipients if (at := _with_their_desk(events, one)) is not None]
        if since and now >= min(since) + opening_period(head.urgency):
            return
    require_lost(store, message_id, now)


def draft_anew(message_id: UUID, content: bytes, officer: Mapping[str, Any] | None) -> dict[str, Any]:
    """The draft of a lost message of this desk, to be sent in its place: all that it said, by who acts now."""
    said: dict[str, Any] = json.loads(content)
    draft = {name: value for name, value in said.items() if name not in _OF_ONE_SENDING}
    if said["thread"] == said["id"]:
        del draft["thread"]  # it begins a thread of its own
    named = {"officer": dict(officer)} if officer is not None else {}
    return {**draft, **named, REPLACES: str(message_id)}


def settled_value(instead: UUID | None, reason: str, by: str, at: datetime, *, says_nothing: bool = False) -> bytes:
    """What is kept of a message that needs nobody any more: ``instead`` was sent, or ``reason`` says why nothing is.

    ``says_nothing``: it counts for nothing in its thread, as if it had not been written.
    """
    kept = [instead.bytes if instead else None, reason, by, to_ms(at)]
    return cbor.encode([*kept, True] if says_nothing else kept)


def _has_arrived(events: Iterable[Event], recipient: str) -> bool:
    return any(event.name in _ARRIVED and str(event.recipient) == recipient for event in events)


def _missing(
    store: DeskStore,
    head: Head,
    events: Sequence[Event],
    left: tuple[str, ...],
    hanging: tuple[str | None, datetime | None],
) -> NotArrived:
    state, reasons, failed_at = _state_of(store, head, events, left)
    hangs, hangs_at = hanging
    delivery = Undelivered(
        message=head.id,
        type=head.type,
        state=state,
        reasons=reasons,
        reached=next((name.value for name in reversed(_ON_THE_WAY) if any(e.name is name for e in events)), None),
        sent_at=head.sent_at,
        expires_at=head.expires_at,
        hangs=hangs,
        hangs_at=hangs_at,
    )
    return NotArrived(delivery, left, failed_at or head.sent_at + _clock(head, hangs_at))


def _clock(head: Head, hangs_at: datetime | None) -> timedelta:
    """How long nobody is told: where something hangs on it, not longer than half of the time that was left."""
    clock = min(handover_period(head.urgency), head.expires_at - head.sent_at)
    return clock if hangs_at is None else max(timedelta(0), min(clock, (hangs_at - head.sent_at) / 2))


def _state_of(
    store: DeskStore, head: Head, events: Sequence[Event], left: tuple[str, ...]
) -> tuple[str, tuple[str, ...], datetime | None]:
    """(state, codes of the reasons, since when it has failed)."""
    if store.outbox.has(head.id):
        reason = store.outbox.reason(head.id)
        return "queued", (reason,) if reason else (), None
    refusal = store.refusals.of(head.id)
    if refusal is not None:
        return "refused", (refusal.code,), refusal.at
    negative = [event for event in events if event.name.negative and str(event.recipient) in {*left, "None"}]
    if negative:
        reasons = tuple(dict.fromkeys(reason for event in negative for reason in event.reasons))
        return "failed", reasons, min(event.at for event in negative)
    return "under_way", (), None


def _hanging(message: Message, cases: Sequence[AnyCase]) -> tuple[str | None, datetime | None]:
    """What is lost, and when, if the message does not arrive."""
    from protocol.lifecycle.preservation import PreservationCase

    if message.type in _KEEPING:
        named = set(getattr(message, "targets", ()))
        ends = [
            target.expires_at
            for case in cases
            if isinstance(case, PreservationCase)
            for target in case.targets
            if target.name in named and target.expires_at is not None
        ]
        if ends:
            return EXPIRES, min(ends)
    wanted = [case.opening.wanted_by for case in cases if case.opening is not None and case.opening.wanted_by]
    return (NEEDED, min(wanted)) if wanted else (None, None)


def _step_name(step: timedelta) -> str:
    from protocol.lifecycle.warnings import step_name

    return step_name(step)


# --- How far each came, for every list, page and command that says so ---


def how_far(status: SendStatus | None, tracked: Sequence[RecipientTracking]) -> tuple[HowFar, ...]:
    """How far a message came that stands at ``status`` and of which ``tracked`` is proved; one where all are the same.

    Empty for a message that this desk did not send (``status`` None).
    """
    if status is None:
        return ()
    if status in _BEFORE_THE_NODE and not any(one.reached for one in tracked):
        return (HowFar(status.value),)
    found = [_one(one) for one in tracked] or [HowFar(status.value)]
    if len({one.step for one in found}) > 1:
        return tuple(found)
    # The last of several: until then not all had it.
    last = max((one.at for one in found if one.at is not None), default=None)
    return (HowFar(found[0].step, last, found[0].recipient if len(found) == 1 else None),)


def _one(tracked: RecipientTracking) -> HowFar:
    failure = failed(tracked)
    step = failure or tracked.reached
    if step is None:
        return HowFar(SendStatus.SUBMITTED.value, None, tracked.recipient)
    times = [row.at for row in tracked.receipts if row.verified and row.event == step]
    return HowFar(step, max(times) if failure else min(times), tracked.recipient)


def failed(tracked: RecipientTracking) -> str | None:
    """The verified event by which a message failed on its way to a recipient; None where it arrived, or may yet."""
    if tracked.reached in _ARRIVED:
        return None
    return next((row.event for row in reversed(tracked.receipts) if row.verified and row.event in _FAILURES), None)

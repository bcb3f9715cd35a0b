"""From stored threads to cases: what the lifecycle folds, and what is due."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

from exchange.context.parsed import Parsed
from exchange.store.desk_store import DeskStore
from exchange.store.rows import Head, StoredMessage
from exchange.text.labels import target_ranges
from exchange.views import (
    Clocks,
    Direction,
    InboxRow,
    NationCase,
    ReceiptRow,
    RecipientTracking,
    SendStatus,
    TargetRow,
    Tracking,
)
from keys.directory.routes import node_path
from keys.directory.view import Directory
from protocol.address import Address
from protocol.encoding.phrase import joined, phrase
from protocol.errors import ComityError, NoEffectError, NotFoundError, TransitionError
from protocol.event import Event, EventName, decode_event
from protocol.lifecycle.profiles import NO_NATIONAL_CLOCKS

if TYPE_CHECKING:
    from protocol.lifecycle.case import AnyCase
    from protocol.lifecycle.folding import OutOfOrder
    from protocol.lifecycle.profiles import NationalClocks
    from protocol.lifecycle.thread import ThreadEvent, ThreadMessage
    from protocol.messages.schema.base import Message


Ways = Mapping[Address, tuple[str, ...]]

# How far each event proves that a message got.
_PROGRESS = (
    EventName.SubmissionAcceptance,
    EventName.RelayAcceptance,
    EventName.ContentConsignment,
    EventName.ConsignmentNotification,
    EventName.ContentHandover,
    EventName.ContentAccessTracking,
)
_RANK = {name.value: rank for rank, name in enumerate(_PROGRESS)}


_FIRST_STATE = "submitted"
_UNSENT = {
    SendStatus.SCHEDULED: "scheduled",
    SendStatus.QUEUED: "queued",
    SendStatus.REFUSED: "not_sent",
    SendStatus.CALLED_OFF: "called_off",
}


def send_status(store: DeskStore, message_id: UUID) -> SendStatus:
    """Where a message of this desk stands at its first hop."""
    return send_statuses(store, (message_id,))[message_id]


def send_statuses(store: DeskStore, messages: Sequence[UUID]) -> dict[UUID, SendStatus]:
    """As :func:`send_status`, of several messages at one look."""
    held = store.outbox.waiting(messages)
    refused = store.refusals.of_those(one for one in messages if one not in held)
    found = dict.fromkeys(messages, SendStatus.SUBMITTED)
    found |= {one: SendStatus.SCHEDULED if waits else SendStatus.QUEUED for one, waits in held.items()}
    return found | {
        one: SendStatus.CALLED_OFF if refusal.called_off else SendStatus.REFUSED for one, refusal in refused.items()
    }


def unsent_state(store: DeskStore, thread: UUID) -> str | None:
    """The state of a case whose first message did not leave this desk; None where it did, or came here.

    A lifecycle begins with a request that was submitted. As long as it is not, that would be said of what nobody has.
    """
    try:
        head = store.messages.head(thread).head
    except NotFoundError:
        return None
    return _UNSENT.get(send_status(store, head.id)) if head.direction is Direction.SENT else None


def state_shown(state: str, unsent: str | None) -> str:
    """The state of a case, or of a target of it, as it is shown: ``unsent`` (:func:`unsent_state`) before its first.

    A case that was called off is that, whatever else was said in it.
    """
    return unsent if unsent is not None and (state == _FIRST_STATE or unsent == "called_off") else state


def thread_messages(store: DeskStore, parsed: Parsed, thread: UUID) -> list[ThreadMessage]:
    """The messages of a thread with the events that verified receipts prove of them.

    A message that never arrived, and in whose place another one was sent, says nothing.
    """
    return _with_events(store, parsed, store.messages.thread(thread))


def thread_messages_of(store: DeskStore, parsed: Parsed, row: bytes) -> list[ThreadMessage]:
    """As :func:`thread_messages`, by the thread's blinded id."""
    return _with_events(store, parsed, store.messages.thread_of_row(row))


def _with_events(
    store: DeskStore, parsed: Parsed, rows: Sequence[tuple[int, StoredMessage, datetime | None]]
) -> list[ThreadMessage]:
    replaced = store.settled.replaced(stored.head.id for _, stored, _ in rows)
    kept = [stored for _, stored, _ in rows if not stored.erased and stored.head.id not in replaced]
    events = events_of(store, (stored.head for stored in kept))
    return [parsed.of_case(stored, told_of(events[stored.head.digest])) for stored in kept]


def check_next_step(
    store: DeskStore,
    parsed: Parsed,
    message: Message,
    without: UUID | None = None,
    together_with: Iterable[Message] = (),
) -> None:
    """Return if the thread's rules allow ``message`` now, in the place of the lost message ``without``.

    ``together_with`` are those that are composed before it and sent with it. Raises :class:`NotFoundError` when this
    desk does not have the thread, :class:`NoEffectError` for one that would do nothing, :class:`TransitionError` with
    the reason.
    """
    if message.thread == message.id:
        return
    from protocol.lifecycle.projection import check_step
    from protocol.lifecycle.without_effect import without_effect

    if unsent_state(store, message.thread) == "called_off":
        raise NoEffectError(phrase("the case was called off before its first message left: nobody has it"))
    whole = thread_messages(store, parsed, message.thread)
    if not whole:
        raise NotFoundError(phrase("this desk has no thread {thread}", thread=message.thread))
    thread = [entry for entry in whole if entry.message.id != without]
    none = without_effect((*thread, *_in_thread(message, together_with)), message)
    if none is not None:
        raise NoEffectError(str(none))
    against = check_step(thread, message)
    if against:
        raise TransitionError(joined(_reasons(against)))


def _in_thread(message: Message, others: Iterable[Message]) -> Iterator[ThreadMessage]:
    from protocol.lifecycle.thread import ThreadMessage

    for other in others:
        if other.thread == message.thread and other.id != message.id:
            yield ThreadMessage(other)


def ways_of(directory: Directory, message: InboxRow) -> Ways:
    """The nodes on the way to each recipient, by the directory as it is now; the addresses' nodes where it has none."""
    ways: dict[Address, tuple[str, ...]] = {}
    for recipient in message.recipients:
        try:
            first, last = (directory.serving_node(end, message.sent_at) for end in (message.sender, recipient))
            ways[recipient] = node_path(directory, first, last)
        except ComityError:
            ways[recipient] = (message.sender.node, recipient.node)
    return ways


def tracking(
    row: InboxRow,
    receipts: Sequence[ReceiptRow],
    case: AnyCase,
    now: datetime,
    ways: Ways | None = None,
    national: NationalClocks = NO_NATIONAL_CLOCKS,
    unsent: str | None = None,
) -> Tracking:
    """Where a message and its case stand at ``now``; ``ways``: the nodes to each recipient (None: the direct ones).

    ``national`` are the requested nation's own clocks, ``unsent`` is as of :func:`unsent_state`: then nothing is due.
    """
    from protocol.lifecycle.clocks import acknowledgement_due, expiry_warnings
    from protocol.lifecycle.deadlines import deadlines, overdue
    from protocol.lifecycle.preservation import PreservationCase

    preservation = case if isinstance(case, PreservationCase) else None
    return Tracking(
        row=row,
        recipients=recipients_tracked(row, receipts, ways),
        case=case,
        state=state_shown(str(case.state_at(now)), unsent),
        targets=tuple(target_rows(case, now, unsent)),
        clocks=Clocks(
            acknowledgement_due=acknowledgement_due(case, national),
            acknowledgement_overdue=unsent is None
            and any(late.what == "acknowledgement" for late in overdue(case, now, national)),
            answer_eta=case.eta,
            next_update_by=case.next_update_by,
            expires_at=preservation.expires_at if preservation else None,
            warnings=expiry_warnings(preservation, now) if preservation else (),
            deadlines=deadlines(case, national) if unsent is None else (),
        ),
    )


def recipients_tracked(
    row: InboxRow, receipts: Sequence[ReceiptRow], ways: Ways | None = None
) -> tuple[RecipientTracking, ...]:
    """What is proved of a message for each recipient; ``ways`` as of :func:`tracking`."""
    direct = {recipient: (row.sender.node, recipient.node) for recipient in row.recipients}
    return tuple(_recipient(recipient, receipts, ways or direct) for recipient in row.recipients)


def of_several(tracked: Tracking, cases: Mapping[str, AnyCase], now: datetime, unsent: str | None = None) -> Tracking:
    """``tracked`` with the case of each nation, where there are several."""
    if len(cases) < 2:
        return tracked
    states = {nation: state_shown(str(case.state_at(now)), unsent) for nation, case in cases.items()}
    nations = tuple(NationCase(nation, states[nation], case) for nation, case in cases.items())
    shared, rows = shared_state(cases, now, unsent), rows_of(cases, now, unsent)
    return replace(tracked, state=shared, targets=tuple(rows), nations=nations)


def shared_state(cases: Mapping[str, AnyCase], now: datetime, unsent: str | None = None) -> str:
    """The state that all of the cases are in; by_nation where they differ. ``unsent``: :func:`unsent_state`."""
    states = {state_shown(str(case.state_at(now)), unsent) for case in cases.values()}
    return states.pop() if len(states) == 1 else "by_nation"


def rows_of(cases: Mapping[str, AnyCase], now: datetime, unsent: str | None = None) -> list[TargetRow]:
    """The targets of all of the cases; each says its nation where there are several."""
    several = len(cases) > 1
    return [
        replace(row, nation=nation) if several else row
        for nation, case in cases.items()
        for row in target_rows(case, now, unsent)
    ]


def targets_of_case(case: AnyCase) -> tuple[Any, ...]:
    """The targets of a request; none of a thread that asks for nothing, which has itself as its only subject."""
    from protocol.lifecycle.conversation import ConversationCase

    return () if isinstance(case, ConversationCase) else tuple(case.targets)


def target_rows(case: AnyCase, now: datetime, unsent: str | None = None) -> list[TargetRow]:
    """The targets of the request at ``now``; none of a thread that asks for nothing."""
    from protocol.lifecycle.assistance import AssistanceCase
    from protocol.lifecycle.preservation import PreservationCase, state_at

    if isinstance(case, PreservationCase):
        return [
            TargetRow(
                target=target.name,
                state=state_shown(str(state_at(target, now)), unsent),
                expires_at=target.expires_at,
                expiry_suspended=target.expiry_suspended,
                refusal_ground=target.refusal_ground,
                follow_up=target.central,
                waiting=target.waiting,
                partly=target.partly,
            )
            for target in case.targets
        ]
    if isinstance(case, AssistanceCase):
        return [
            TargetRow(
                target=target.name,
                state=state_shown(str(case.target_state_at(target, now)), unsent),
                expires_at=None,
                expiry_suspended=False,
                refusal_ground=target.refusal_ground,
                waiting=target.waiting,
            )
            for target in case.targets
        ]
    return []


def received_at(store: DeskStore, head: Head, own: Address) -> datetime:
    """When this desk received a message: the handover that its node logged, else when it was stored."""
    times = [
        event.at
        for event in told_of(proved_events(store, head))
        if event.name == EventName.ContentHandover and event.recipient == str(own)
    ]
    return min(times, default=head.stored_at)


def proved_events(store: DeskStore, head: Head) -> list[Event]:
    """The events that the verified receipts of a message prove."""
    return events_of(store, (head,))[head.digest]


def events_of(store: DeskStore, heads: Iterable[Head]) -> dict[bytes, list[Event]]:
    """As :func:`proved_events`, of several messages at one look, by the digests of their envelopes."""
    entries = store.receipts.entries(head.digest for head in heads)
    return {digest: [decode_event(one.leaf) for one in all_ if one.error is None] for digest, all_ in entries.items()}


def told_of(events: Iterable[Event]) -> tuple[ThreadEvent, ...]:
    """What events say of a message's recipients, as a case is folded from it."""
    from protocol.lifecycle.thread import ThreadEvent

    return tuple(
        ThreadEvent(event.name.value, str(event.recipient), event.at) for event in events if event.recipient is not None
    )


def _recipient(recipient: Address, receipts: Sequence[ReceiptRow], ways: Ways) -> RecipientTracking:
    about = [receipt for receipt in receipts if _concerns(receipt, recipient, ways)]
    about.sort(key=lambda row: (row.at, row.index))
    proved = [row for row in about if row.verified]
    reached = max((row.event for row in proved if row.event in _RANK), key=_RANK.__getitem__, default=None)
    failed = tuple(dict.fromkeys(reason for row in proved for reason in row.reasons))
    return RecipientTracking(recipient, tuple(about), reached, failed)


def _concerns(receipt: ReceiptRow, recipient: Address, ways: Ways) -> bool:
    """Whether the receipt says something about ``recipient``.

    A relay event that names no recipient is about those whose way has that hop. Where nobody's has it, the directory
    said something else then: it may concern everybody.
    """
    if receipt.recipient is not None or receipt.peer is None:
        return receipt.recipient in {None, recipient}
    hop = {receipt.node, receipt.peer}
    concerned = [address for address, way in ways.items() if any(hop == set(step) for step in pairwise(way))]
    return recipient in concerned or not concerned


def _reasons(against: Iterable[OutOfOrder]) -> Iterator[str]:
    """Each reason once, with the targets that it is about."""
    grouped: dict[Any, dict[str, None]] = {}
    for entry in against:
        grouped.setdefault(entry.reason, {})[entry.target] = None
    for reason, targets in grouped.items():
        named = target_ranges([target for target in targets if target])
        yield phrase("{target}: {reason}", target=named, reason=str(reason)) if named else str(reason)

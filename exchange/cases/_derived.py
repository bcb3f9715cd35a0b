"""What is kept of a thread: what is due in it, and how it stands, in a form that needs no message to be shown.

Two values a thread, in CBOR, each a list with a part for each case of it: a thread to several nations is a case for
each. Instants are Unix milliseconds, and None where there is none. So that the order of many threads costs little, what
is due begins with all that this takes, as 64-bit numbers (-1: None)::

    due       index, then [part, ...]
    index     how many numbers follow, then for each item of all parts: lane, appears at, due, harm at, how many levels,
              level reached at, ...
    part      [[thread, type, urgency, reference, needed by, suspected, harm at], [item, ...]]
    item      [what, appears at, lane, ours, [peer, ...], target, due, kind, source, confidence, since, next command,
               [level reached at, ...], [level, ...], {owes, delivery, proved, unopened}]
    standing  [thread, type, urgency, ours, [peer, ...], own reference, peer reference, offence, opened at, owner,
               [state from, ...], [state, ...], harm at, suspected, proved, [label, ...]]

A level or a state is that of the last instant that has come.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from exchange.cases.calls import REVIEW_WITHIN, Calls, changed_at
from exchange.cases.delivery import ALWAYS, NotArrived, NotOpened, missing_of, unopened_of
from exchange.cases.standing import withheld_by
from exchange.cases.threads import events_of, proved_events, state_shown, told_of, unsent_state
from exchange.context.desk_context import DeskContext
from exchange.store.files import FileTransfer, TransferState
from exchange.text.labels import target_ranges
from exchange.views import NOT_TAKEN_YET, Direction, Lane
from protocol.address import Address
from protocol.encoding import cbor
from protocol.encoding.instants import to_ms
from protocol.errors import FileCancelledError
from protocol.event import EventName

if TYPE_CHECKING:
    from uuid import UUID

    from exchange.store.desk_store import DeskStore
    from exchange.store.rows import Head, StoredMessage, UnprovedEntry
    from protocol.event import Event
    from protocol.lifecycle.case import AnyCase
    from protocol.lifecycle.deadlines import Deadline
    from protocol.messages.schema.base import Message
    from protocol.messages.schema.parts import Offence


SHORT_ID = 8
# From so many targets on, the same due date of each is one line.
_TOGETHER = 4
# So many names and ranges of them are said there; how many others there are stands behind.
_RANGES = 6
_EMERGENCY = "emergency"
_LANE = {lane: number for number, lane in enumerate(Lane)}
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_HOUR = timedelta(hours=1)
_TICK = timedelta(milliseconds=1)
_FILES_FOLLOW = timedelta(minutes=10)
# The message by which this desk does what is due; comity new writes its draft.
_BY_MESSAGE = {
    "answer": "answer",
    "clarification": "clarification.reply",
    "confirm_follow_up": "follow-up.confirmed",
    "consent": "consent.reply",
    "consultation": "note",
    "consultation_outcome": "consultation.close",
    "data_protection": "data-protection.notice",
    "decision": "decision",
    "expiry": "preservation.extend",
    "extension": "preservation.answer",
    "needed_by": "answer",
    "next_update": "status.report",
    "redirect": "closure",
    "risk": "preservation.risk-reply",
    "status": "status.report",
    "supplement": "emergency.supplement",
    "use": "use.report",
}
# The commands of their own.
_BY_COMMAND = {
    "acknowledgement": "comity acknowledge {id}",
    "authorisation": "comity case authority {id} --done",
    "conditions": "comity accept-conditions {id}",
    "disclosure": "comity give {id}",
    "explanation": "comity explain {id}",
}


class NotedWait(Protocol):
    """That one of our own authorities is waited for: ``text`` names it, ``until`` is when it should decide."""

    @property
    def at(self) -> datetime: ...
    @property
    def text(self) -> str: ...
    @property
    def until(self) -> datetime | None: ...


class Noted(Protocol):
    """What an office noted for itself about a case, as far as it is due: who works on it, whom it waits for."""

    @property
    def assigned_to(self) -> str | None: ...
    @property
    def authority(self) -> NotedWait | None: ...


ReadNotes = Callable[[Sequence[bytes]], Noted]


class ThreadDerivation:
    """Derives what is due in a thread of one desk. ``read_notes`` reads what the office noted of a case."""

    def __init__(self, context: DeskContext, read_notes: ReadNotes) -> None:
        self._read_notes = read_notes
        self._store = context.store
        self._parsed = context.parsed
        self._directory = context.current
        self._address = str(context.address)
        self._calls_back = context.settings.office.emergency_call_back == "required"

    def of(self, row: bytes) -> tuple[bytes, bytes]:
        """What is due in the thread of this blinded id, and how it stands; empty: nothing.

        All of it is read as it was at one moment.
        """
        with self._store.database.snapshot():
            derived, openings = self._derived(row)
        for message in openings:
            # It proves an entry that came by another way before, of the same office under the same reference.
            self._store.unproved.confirm(Address.parse(message.sender), message.own_reference, message.thread)
        return derived

    def _derived(self, row: bytes) -> tuple[tuple[bytes, bytes], list[Message]]:
        """What :meth:`of` says, and the messages that begin the thread."""
        from protocol.lifecycle.projection import own_cases

        rows = self._store.messages.thread_of_row(row)
        if not rows:
            entry = self._store.unproved.of_row(row)
            if entry is None or not entry.is_open:
                return (b"", b""), []
            return _of_unproved(entry, self._address), []
        replaced = self._store.settled.replaced(stored.head.id for _, stored, _ in rows)
        kept = [stored for _, stored, _ in rows if not stored.erased and stored.head.id not in replaced]
        proved = events_of(self._store, (stored.head for stored in kept))
        thread = [(stored, self._parsed.of(stored), proved[stored.head.digest]) for stored in kept]
        messages = [self._parsed.of_case(stored, told_of(events)) for stored, _, events in thread]
        # A thread to several nations is a case for each.
        cases = [case for case in own_cases(messages, self._address).values() if case.opening is not None]
        calls = Calls.of(self._store.calls.of_row(row), changed_at(rows))
        noted = self._read_notes(self._store.case_notes.of_row(row))
        parts = [_Case(self, case, thread, calls, noted) for case in cases]
        missing = missing_of(self._store, thread, cases) if cases else []
        files = [] if not cases else list(self._files(rows))
        not_taken = [] if not cases else list(_not_taken(rows, self._store))
        beside = _Beside(missing, files, not_taken, unopened_of(self._store, thread, cases) if cases else ())
        due = [part.due(beside) if part is parts[0] else part.due() for part in parts]
        derived = _with_index([part for part in due if part is not None]), _encoded([part.standing() for part in parts])
        return derived, [message for _, message, _ in thread if message.thread == message.id]

    def _files(self, rows: Sequence[tuple[int, StoredMessage, Any]]) -> Iterator[tuple[Head, FileTransfer]]:
        """The files of the thread's messages that are not where they go."""
        for _, stored, _ in rows:
            transfer = self._store.files.transfer(stored.head.id) if stored.head.file_set is not None else None
            if transfer is not None and (transfer.open or _is_given_up(transfer)):
                yield stored.head, transfer

    def _is_withheld(self, thread: Sequence[tuple[StoredMessage, Message, Sequence[Event]]], message: UUID) -> bool:
        """Whether a message of the thread is shown to nobody here (:func:`exchange.cases.standing.withheld_by`)."""
        stored = next((one for one, _, _ in thread if one.head.id == message), None)
        return stored is not None and withheld_by(self._store, self._parsed, stored) is not None


def _not_taken(rows: Sequence[tuple[int, StoredMessage, Any]], store: DeskStore) -> Iterator[tuple[Head, datetime]]:
    """The messages with files of which a desk states that it cannot take them, and since when.

    Not where it took them after all, and not any more when files were sent after that: they are the answer to it.
    """
    heads = [stored.head for _, stored, _ in rows if stored.head.direction is Direction.SENT]
    sent = [(head, head.file_set.count) for head in heads if head.file_set is not None]
    for head, count in sent:
        events = [event for event in proved_events(store, head) if event.files is not None]
        taken = [event for event in events if event.name is EventName.FileHandover]
        whole = {event.recipient for event in taken if event.files is not None and event.files.count == count}
        failed = [
            event.at
            for event in events
            if event.name is EventName.FileHandoverFailure
            and (event.recipient not in whole or not NOT_TAKEN_YET.issuperset(event.reasons))
        ]
        if failed and not any(later.sent_at > min(failed) for later, _ in sent):
            yield head, min(failed)


def _is_given_up(transfer: FileTransfer) -> bool:
    """Whether somebody has to look at it: files that their sender took back nobody owes any more."""
    return transfer.state is TransferState.FAILED and transfer.error != FileCancelledError.code


@dataclass(frozen=True, slots=True)
class _Beside:
    """What a thread waits for whatever its cases owe: messages that did not arrive, files on their way, those that a
    desk could not take, and what nobody opened at the other desk.
    """

    missing: Sequence[NotArrived] = ()
    files: Sequence[tuple[Head, FileTransfer]] = ()
    not_taken: Sequence[tuple[Head, datetime]] = ()
    unopened: Sequence[NotOpened] = ()


NOTHING_BESIDE = _Beside()


class _Case:
    """One case of a thread while it is derived."""

    def __init__(
        self,
        derivation: ThreadDerivation,
        case: AnyCase,
        thread: Sequence[tuple[StoredMessage, Message, Sequence[Event]]],
        calls: Calls,
        noted: Noted,
    ) -> None:
        from exchange.cases.legal_comparison import clocks_of
        from protocol.lifecycle.rules import Side

        assert case.opening is not None  # noqa: S101 - the caller has looked
        self._store = derivation._store
        self._own = derivation._address
        self._calls_back, self._calls = derivation._calls_back, calls
        self._noted = noted
        self._case, self._thread, self._opening = case, thread, case.opening
        self._side = Side.REQUESTER if self._opening.by == self._own else Side.REQUESTED
        self._peers = list(self._opening.requested) if self._side is Side.REQUESTER else [self._opening.by]
        self._national = clocks_of(derivation._directory(), case)
        self._message = next((m for _, m, _ in thread if m.id == self._opening.message_id), None)
        # Lists do not show the words of a request that nobody here may see: it was taken back before anybody opened it.
        self._withheld = derivation._is_withheld(thread, self._opening.message_id)
        self._unsent = unsent_state(self._store, self._opening.thread)

    def due(self, beside: _Beside = NOTHING_BESIDE) -> list[Any] | None:
        """What is due, with what the thread as a whole waits for; None where nothing is."""
        from protocol.lifecycle.deadlines import deadlines

        if self._unsent == "called_off":
            return None
        # Nobody owes anything of what nobody has.
        owed = deadlines(self._case, self._national) if self._unsent is None else ()
        items = [self._deadline(deadline) for deadline in _together(owed, self._case)]
        items += [self._missing(one) for one in beside.missing]
        items += self._unopened(beside.unopened, items)
        items += [self._files_due(head, transfer) for head, transfer in beside.files]
        items += [self._files_not_taken(head, at) for head, at in beside.not_taken]
        items += self._calls_due()
        items += self._own_authority(told=any(item[2] == _LANE[Lane.OWN_AUTHORITIES] for item in items))
        if not items:
            return None
        head = [
            self._opening.thread.bytes,
            self._opening.kind,
            self._opening.urgency,
            self._message.own_reference if self._message is not None else None,
            _ms(self._opening.wanted_by),
            self._calls.suspected,
            _ms(self._harm_at()),
        ]
        return [head, items]

    def standing(self) -> list[Any]:
        """How the case stands."""
        opening, message = self._opening, self._message
        own, peer = _references(message, mine=message is not None and message.sender == self._own)
        times, states = self._states()
        return [
            opening.thread.bytes,
            opening.kind,
            opening.urgency,
            opening.by == self._own,
            self._peers,
            own or self._said_reference(mine=True),
            peer or self._said_reference(mine=False),
            None if self._withheld else _offence(message),
            _ms(opening.at),
            self._noted.assigned_to,
            times,
            states,
            _ms(self._harm_at()),
            self._calls.suspected,
            True,
            _labels(message),
        ]

    # --- Inside ---

    def _said_reference(self, *, mine: bool) -> str | None:
        """The reference that one side gave the case in a later message."""
        for _, message, _ in reversed(self._thread):
            if (message.sender == self._own) is mine and message.own_reference is not None:
                return message.own_reference
        return None

    def _harm_at(self) -> datetime | None:
        """Until when an emergency's answer is of use; without such a word the network's clock."""
        from protocol.lifecycle.profiles import acknowledgement_period

        if self._opening.urgency != _EMERGENCY:
            return None
        begun = self._case.delivered_at or self._opening.at
        return self._opening.wanted_by or begun + acknowledgement_period(_EMERGENCY)

    def _is_pressing(self) -> bool:
        """Whether it is an emergency on which the last word was not said."""
        from protocol.lifecycle.conversation import ConversationCase
        from protocol.lifecycle.deadlines import is_open

        if self._opening.urgency != _EMERGENCY:
            return False
        return isinstance(self._case, ConversationCase) or is_open(self._case)

    def _deadline(self, deadline: Deadline) -> list[Any]:
        ours = deadline.side is self._side
        lane = Lane.EMERGENCIES if self._is_pressing() else Lane.OURS if ours else Lane.THEIRS
        target, waits = deadline.target, self._noted.authority
        if deadline.what == "authorisation" and ours:
            lane = Lane.OWN_AUTHORITIES
            target = waits.text if waits is not None else target
        levels = list(_levels(deadline, self._opening.urgency))
        return [
            deadline.what,
            None,
            _LANE[lane],
            ours,
            self._peers,
            target,
            _ms(deadline.due),
            deadline.kind.value,
            deadline.source,
            deadline.confidence,
            _ms(deadline.since),
            self._next(deadline, ours=ours),
            [_ms(at) for at, _ in levels],
            [level for _, level in levels],
            {"owes": self._own if ours else ", ".join(self._peers)},
        ]

    def _own_authority(self, *, told: bool) -> Iterator[list[Any]]:
        """One of our own authorities is waited for, as the office noted; ``told``: the case says so already."""
        waits = self._noted.authority
        if waits is None or told:
            return
        command = f"comity case authority {str(self._opening.thread)[-SHORT_ID:]} --done"
        levels = [(waits.until, "target_passed")] if waits.until is not None else []
        item = self._ours("own_authority", Lane.OWN_AUTHORITIES, waits.until, waits.at, command, levels)
        item[5] = waits.text
        yield item

    def _calls_due(self) -> Iterator[list[Any]]:
        """The asking office is called before anything is disclosed; what passed without is looked at by another."""
        short = str(self._opening.thread)[-SHORT_ID:]
        harm_at, asked = self._harm_at(), self._side.value == "requested" and self._opening.kind.endswith(".request")
        wanted = self._calls_back and asked and self._is_pressing()
        if wanted and harm_at is not None and self._calls.outcome is None:
            levels = [(self._opening.at, "call"), (harm_at - _LAST_HOUR, "1h"), (harm_at, "target_passed")]
            at = Lane.EMERGENCIES
            yield self._ours("call_back", at, harm_at, self._opening.at, f"comity call show {short}", sorted(levels))
        broken = self._calls.to_review
        if broken is not None:
            due = broken.at + REVIEW_WITHIN
            levels = [(broken.at, "review"), (due, "target_passed")]
            yield self._ours("glass_review", Lane.OURS, due, broken.at, f"comity call review {short}", levels)

    def _files_due(self, head: Head, transfer: FileTransfer) -> list[Any]:
        """Files that are listed and not received, or not with our node: until their message expires they can be had."""
        sent, failed = transfer.direction is Direction.SENT, transfer.state is TransferState.FAILED
        due, short = head.expires_at, str(head.id)[-SHORT_ID:]
        levels = [(due - timedelta(days=2), "2d"), (due - timedelta(hours=4), "4h"), (due, "target_passed")]
        lane = Lane.NOT_DELIVERED if sent else Lane.OURS if failed else Lane.THEIRS
        item = self._ours(
            "files_sent" if sent else "files", lane, due, transfer.since, f"comity files resume {short}", levels
        )
        # Files follow at their own pace: at first nobody needs to look.
        item[1] = _ms(transfer.since + _FILES_FOLLOW) if not failed else None
        if lane is Lane.THEIRS:
            item[3], item[14] = False, {"owes": str(head.sender)}
        return item

    def _files_not_taken(self, head: Head, at: datetime) -> list[Any]:
        """A desk states that it cannot take files of ours: somebody looks why, and sends them again or another way."""
        due = head.expires_at
        levels = [(at, "review")]
        return self._ours(
            "files_not_taken", Lane.NOT_DELIVERED, due, at, f"comity track {str(head.id)[-SHORT_ID:]}", levels
        )

    def _ours(
        self,
        what: str,
        lane: Lane,
        due: datetime | None,
        since: datetime,
        command: str,
        levels: Sequence[tuple[datetime, str]],
    ) -> list[Any]:
        """What this desk asks of itself."""
        return [
            what,
            None,
            _LANE[lane],
            True,
            self._peers,
            "",
            _ms(due),
            "target",
            "Comity",
            "verified",
            _ms(since),
            command,
            [_ms(at) for at, _ in levels],
            [level for _, level in levels],
            {"owes": self._own},
        ]

    def _missing(self, missing: NotArrived) -> list[Any]:
        delivery = missing.delivery
        lane = Lane.EMERGENCIES if self._is_pressing() else Lane.NOT_DELIVERED
        levels = list(missing.levels())
        by_expiry = delivery.hangs == "expiry" and delivery.hangs_at == missing.due
        short = str(delivery.message)[-SHORT_ID:]
        over = delivery.state in {"failed", "refused"}
        return [
            "handover",
            _ms(missing.appears_at),
            _LANE[lane],
            True,
            list(missing.recipients),
            "",
            _ms(missing.due),
            "declared" if by_expiry else "target",
            "Comity",
            "verified",
            _ms(delivery.sent_at),
            f"comity resend {short}" if over else f"comity call show {short}",
            [_ms(at) for at, _ in levels],
            [level for _, level in levels],
            {
                "owes": self._own,
                "delivery": [
                    delivery.message.bytes,
                    delivery.type,
                    delivery.state,
                    list(delivery.reasons),
                    delivery.reached,
                    _ms(delivery.sent_at),
                    _ms(delivery.expires_at),
                    delivery.hangs,
                    _ms(delivery.hangs_at),
                ],
            },
        ]

    def _unopened(self, waiting: Sequence[NotOpened], owed: Sequence[list[Any]]) -> list[list[Any]]:
        """A line for what waits there to be opened. Of a request whose acknowledgement is owed that line says it."""
        acknowledgement = next((item for item in owed if item[0] == "acknowledgement" and not item[3]), None)
        opening = next((one for one in waiting if one.message == self._opening.message_id), None)
        if acknowledgement is not None and opening is not None and self._opening.urgency != _EMERGENCY:
            acknowledgement[14]["unopened"] = [opening.message.bytes, opening.type, _ms(opening.since), 0]
            waiting = [one for one in waiting if one is not opening]
        return [self._not_opened(waiting)] if waiting else []

    def _not_opened(self, waiting: Sequence[NotOpened]) -> list[Any]:
        """What waits longest at the other desk to be opened; one calls once for all that waits."""
        first = waiting[0]
        lane = Lane.EMERGENCIES if self._is_pressing() else Lane.THEIRS
        command = f"comity call show {str(first.message)[-SHORT_ID:]}"
        item = self._ours("unopened", lane, first.due, first.since, command, [(first.due, "target_passed")])
        item[1] = _ms(first.due)  # until then nobody has to look at it
        item[3], item[4] = False, list(first.recipients)
        item[14] = {
            "owes": ", ".join(first.recipients),
            "unopened": [first.message.bytes, first.type, _ms(first.since), len(waiting) - 1],
        }
        return item

    def _next(self, deadline: Deadline, *, ours: bool) -> str:
        """The command that comes next; of what a message asked, in reply to that message."""
        short = str(deadline.message or self._opening.thread)[-SHORT_ID:]
        if self._calls.suspected and ours:
            return "comity new incident"
        if not ours:
            case = str(self._opening.thread)[-SHORT_ID:]
            asks = self._side.value == "requester"
            return f"comity new status.query --reply-to {case}" if asks else f"comity case show {case}"
        if deadline.what == "answer" and self._opening.kind == "preservation.request":
            return f"comity answer {short} answer.json"
        if deadline.what in _BY_COMMAND:
            return _BY_COMMAND[deadline.what].format(id=short)
        wanted = _BY_MESSAGE.get(deadline.what)
        return f"comity new {wanted} --reply-to {short}" if wanted else f"comity case show {short}"

    def _states(self) -> tuple[list[int], list[str]]:
        """From when on the case is in which state: those changes that the time alone brings are known beforehand."""
        turns = {_FIRST, self._opening.at, *self._known_turns()}
        times, states = [], list[str]()
        for at in sorted(turns):
            state = state_shown(str(self._case.state_at(at)), self._unsent_at(at))
            if not states or states[-1] != state:
                times.append(to_ms(at))
                states.append(state)
        return times, states

    def _unsent_at(self, at: datetime) -> str | None:
        """As long as the first message waits for its instant, it does; then it waits for the node."""
        return "queued" if self._unsent == "scheduled" and at >= self._opening.at else self._unsent

    def _known_turns(self) -> Iterator[datetime]:
        if self._opening.wanted_by is not None:
            yield self._opening.wanted_by
        for target in self._case.targets:
            expires_at = getattr(target, "expires_at", None)
            if expires_at is not None:
                yield expires_at
                yield expires_at + _TICK


def _of_unproved(entry: UnprovedEntry, own: str) -> tuple[bytes, bytes]:
    """What is due of what is not proved: a call, and the proved message."""
    short, pressing = str(entry.id)[-SHORT_ID:], entry.urgency == _EMERGENCY
    harm_at = (entry.needed_by or entry.confirm_by) if pressing else None
    suspected, lane = entry.outcome == "not_theirs", Lane.EMERGENCIES if pressing else Lane.OURS

    def item(what: str, where: Lane, due: datetime, since: datetime, command: str, *, ours: bool) -> list[Any]:
        levels = [(since, "call")] if what == "call_back" else []
        levels.append((max(due, since + _TICK), "target_passed"))
        times, names = [_ms(at) for at, _ in levels], [name for _, name in levels]
        extra = {"owes": own if ours else str(entry.contact), "proved": False}
        head = [
            what,
            None,
            _LANE[where],
            ours,
            [str(entry.contact)],
            entry.sender,
            _ms(due),
            "target",
            "Comity",
            "verified",
        ]
        return [*head, _ms(since), command, times, names, extra]

    items = []
    if entry.outcome is None:
        command = f"comity unproved show {short}"
        due = entry.needed_by or entry.confirm_by
        items.append(item("call_back", lane, due, entry.registered_at, command, ours=True))
    where = Lane.EMERGENCIES if pressing else Lane.THEIRS
    command = "comity new incident" if suspected else f"comity unproved show {short}"
    items.append(item("confirmation", where, entry.confirm_by, entry.received_at, command, ours=False))
    head = [entry.id.bytes, entry.type, entry.urgency, entry.reference, _ms(entry.needed_by), suspected, _ms(harm_at)]
    standing = [
        entry.id.bytes,
        entry.type,
        entry.urgency,
        False,
        [str(entry.contact)],
        None,
        entry.reference,
        None,
        _ms(entry.received_at),
        entry.registered_by,
        [0],
        ["not_proved"],
        _ms(harm_at),
        suspected,
        False,
        [],
    ]
    return _with_index([[head, items]]), _encoded([standing])


def _with_index(parts: Sequence[Any]) -> bytes:
    """What is due with its index; empty where nothing is."""
    if not parts:
        return b""
    numbers: list[int] = []
    for head, items in parts:
        for fields in items:
            lane, appears, due, times, harm_at = fields[2], fields[1], fields[6], fields[12], head[6]
            numbers += [lane, *(-1 if one is None else one for one in (appears, due, harm_at)), len(times), *times]
    return struct.pack(f"<q{len(numbers)}q", len(numbers), *numbers) + cbor.encode(list(parts))


def split_index(value: bytes) -> tuple[tuple[int, ...], bytes]:
    """(the numbers of the index, the encoded parts) of what :class:`ThreadDerivation` says is due."""
    (count,) = struct.unpack_from("<q", value)
    return struct.unpack_from(f"<{count}q", value, 8), value[8 * (count + 1) :]


def _encoded(parts: Sequence[Any]) -> bytes:
    return cbor.encode(list(parts)) if parts else b""


def _together(owed: Sequence[Deadline], case: AnyCase) -> Iterator[Deadline]:
    """What is owed; where it is the same of many targets of a request, it is one thing about all of them."""
    grouped: dict[Deadline, list[str]] = {}
    for deadline in owed:
        grouped.setdefault(replace(deadline, target=""), []).append(deadline.target)
    for deadline, targets in grouped.items():
        if len(targets) < _TOGETHER:
            yield from (replace(deadline, target=target) for target in targets)
        else:
            wanted = set(targets)
            in_order = [target.name for target in case.targets if target.name in wanted]
            yield replace(deadline, target=target_ranges(in_order, _RANGES))


def _levels(deadline: Deadline, urgency: str) -> Iterator[tuple[datetime, str]]:
    """From when on which level is reached, in order."""
    from protocol.lifecycle.warnings import level_at, next_change

    at = next_change(deadline, urgency, ALWAYS)
    while at is not None:
        level = level_at(deadline, urgency, at)
        if level is not None:
            yield at, level
        at = next_change(deadline, urgency, at)


def _references(message: Message | None, *, mine: bool) -> tuple[str | None, str | None]:
    """(this desk's own, the other side's) reference in a message that one of them wrote."""
    if message is None:
        return None, None
    said = (message.own_reference, message.peer_reference)
    return said if mine else (said[1], said[0])


def _offence(message: Message | None) -> str | None:
    offences: Sequence[Offence] = getattr(message, "offences", None) or ()
    # Information may name none; its subject says without content what it is about.
    return offences[0].title if offences else getattr(message, "subject", None)


def _labels(message: Message | None) -> list[str]:
    """The labels of a request as officers write them: TLP:AMBER, PAP:RED, H1."""
    if message is None:
        return []
    handling = message.handling
    pap = [f"PAP:{handling.pap}"] if handling.pap is not None else []
    return [f"TLP:{handling.tlp}", *pap, *handling.codes]


def _ms(at: datetime | None) -> int | None:
    return None if at is None else to_ms(at)

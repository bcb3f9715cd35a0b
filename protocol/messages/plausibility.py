"""Which times of a message cannot be, or contradict each other, given what its thread says.

A message that is proved is never refused for them: somebody said so, and that is on record. They are refused or warned
of when a message is composed, shown with it when it is read, and keep it from moving a case. Where ``at`` is the time
of sending, both sides judge alike, whenever a message came and in whatever order.

Every instant in any message is of one of these kinds; a test holds that each field has its own:

* of the past (:data:`PAST`): it happened, so it is not after the time of sending;
* promised (:data:`PROMISED`): who writes it will keep to it, so it lies ahead;
* wished for (:data:`WISHED`): it should lie ahead, and an officer in a hurry is not held up for it;
* free (:data:`FREE`): windows of data, and what is judged by other rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel

from protocol.errors import InvalidMessageError
from protocol.messages.corrections import corrected, original_of
from protocol.messages.schema.authorisation import Authorisation
from protocol.messages.schema.base import Message
from protocol.messages.schema.kinds import (
    is_assistance_request,
    is_correction,
    is_follow_up,
    is_follow_up_confirmed,
    is_forward,
    is_preservation_answer,
    is_preservation_request,
    is_request,
)
from protocol.routing import MAX_CLOCK_SKEW

if TYPE_CHECKING:
    from protocol.messages.schema.parts import TimeWindow, WantedData
    from protocol.messages.types.preservation import Target
    from protocol.messages.types.preservation_course import FollowUpConfirmed

PAST = frozenset(
    {
        *("at", "received_at", "forwarded_at", "issued_at", "submitted_at", "preserved_at", "seen_at", "occurred_at"),
        *("discovered_at", "validated_at", "period_begins_at", "period_ends_at", "instant", "sent_at"),
        *("asked_at", "agreed_at", "as_of"),
    }
)
PROMISED = frozenset({"eta", "next_update_by", "expected_until", "expires_at", "until", "supplement_by", "valid_until"})
WISHED = frozenset(
    {
        "answer_by",
        "do_not_notify_until",
        "needed_by",
        "wanted_by",
        "expected_at",
        "follow_up_expected_at",
        "deadline_at",
    }
)
FREE = frozenset({"begins_at", "ends_at"})
# Things that befall a request befall it after it was made.
_AFTER_REQUEST = {"preservation.answer": ("preserved_at",), "acknowledgement": ("received_at",)}
# These kinds of assistance collect data that come into being later (Budapest Convention Art. 33, 34).
_LIVE = frozenset({"real_time_traffic", "interception"})
_TIMELESS = frozenset({str, int, bool, float, bytes, UUID, NoneType, ...})
_LONG_AGO = timedelta(days=20 * 366)
_FAR_AHEAD = timedelta(days=10 * 366)
# A day on a paper may be a day ahead of ours, anywhere on Earth.
_EASTERNMOST = timedelta(hours=14)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Implausible:
    """One time that cannot be right.

    ``code`` is of the list ``implausibility``, ``field`` the path to it in the message, ``targets`` what it is about
    (empty: the message). ``refused``: a desk does not send it; else it warns. ``holds_back``: what the message says of
    these targets moves no case.
    """

    code: str
    field: str
    targets: tuple[str, ...] = ()
    refused: bool = True
    holds_back: bool = True


@dataclass(frozen=True, slots=True)
class HeldBack:
    """What of a message moves no case: ``whole`` of it, or what it says of ``targets``."""

    whole: bool = False
    targets: frozenset[str] = frozenset()

    def covers(self, targets: Iterable[str]) -> bool:
        """Whether a fact about these targets (none: about all of the request) does not count."""
        named = frozenset(targets)
        return self.whole or (bool(named) and named <= self.targets)


_Bounds = tuple[timedelta, timedelta, timedelta, timedelta]


@dataclass(frozen=True, slots=True)
class _Judged:
    """What a message is judged by: happened is what was before ``latest``, promised what is after ``earliest``."""

    latest: datetime
    earliest: datetime
    known: Mapping[UUID, Message]
    minimum_days: int

    def bounds(self) -> _Bounds:
        """The instants that times are held against, each as the time since the epoch."""
        latest, earliest = self.latest - _EPOCH, self.earliest - _EPOCH
        return latest + MAX_CLOCK_SKEW, earliest, earliest - _LONG_AGO, latest + _FAR_AHEAD


def implausibilities(
    message: Message, at: datetime, thread: Iterable[Message] = (), minimum_days: int = 0
) -> tuple[Implausible, ...]:
    """What is implausible of ``message`` at ``at``: now when it is composed, its time of sending when it came.

    ``thread`` are the messages of its thread, in any order; ``minimum_days`` the least period of preservation that its
    legal basis gives. Of a correction: what is implausible in the corrected message, once ``thread`` has the original.
    """
    known = {other.id: other for other in thread if other.id != message.id}
    if not is_correction(message):
        return tuple(_all(message, _Judged(at, at, known, minimum_days)))
    original = original_of(message, known)
    if original is None:
        return ()
    try:
        content = corrected(original, message)
    except InvalidMessageError:
        return ()  # it changes nothing
    # A promise of then may have passed since; what it says now may have happened since.
    judged = _Judged(at, min(at, original.sent_at), known, minimum_days)
    return tuple(replace(one, field=f"message.{one.field}") for one in _all(content, judged))


def held_back(
    message: Message,
    thread: Iterable[Message] | Mapping[UUID, Message],
    minimum_days: int = 0,
    said_at: datetime | None = None,
) -> HeldBack:
    """What of a message moves no case, the same on both sides; ``thread`` by its ids is not read through.

    ``said_at`` is when its content was said, where that is later than its time of sending: in a correction.
    """
    known = thread if isinstance(thread, Mapping) else {other.id: other for other in thread}
    judged = _Judged(said_at or message.sent_at, message.sent_at, known, minimum_days)
    found = [one for one in _all(message, judged) if one.holds_back]
    named = frozenset(target for one in found for target in one.targets)
    return HeldBack(any(not one.targets for one in found), named)


def _all(message: Message, judged: _Judged) -> Iterator[Implausible]:
    if is_forward(message):
        return  # it holds what others said at another time
    times = times_in(message)
    if times:
        yield from _of_times(times, judged.bounds())
    opening = judged.known.get(message.thread)
    if opening is not None and opening.id != message.id:
        yield from _before(message, opening)
    if is_follow_up_confirmed(message):
        yield from _before_filing(message, judged.known)
    yield from _windows(message, judged.latest)
    yield from _periods(message, judged.minimum_days)


_Time = tuple[str, tuple[str, ...], Any]


def times_in(message: BaseModel) -> list[_Time]:
    """Every time in a message: its path, the targets that it is about, and its value."""
    found: list[_Time] = []
    _add_times(found, message, "", ())
    return found


def _add_times(found: list[_Time], part: BaseModel, path: str, targets: tuple[str, ...]) -> None:
    values = part.__dict__  # a case is folded often: this is what that spends its time on
    named = values.get("target")
    if path:
        targets = (named,) if isinstance(named, str) else (values.get("targets") or targets)
    for name, written in _timed_fields(type(part)):
        value = values[name]
        if value is None:
            continue
        if isinstance(value, datetime):
            if path or name != "sent_at":
                found.append((f"{path}{written}", targets, value))
        elif isinstance(value, BaseModel):
            if _timed_fields(type(value)):
                _add_times(found, value, f"{path}{written}.", targets)
        elif isinstance(value, tuple):
            for number, item in enumerate(value):
                if isinstance(item, BaseModel) and _timed_fields(type(item)):
                    _add_times(found, item, f"{path}{written}.{number}.", targets)
        elif name == "date" and isinstance(part, Authorisation):
            found.append((f"{path}{written}", targets, date.fromisoformat(value)))


@cache
def _timed_fields(model: type[BaseModel]) -> tuple[tuple[str, str], ...]:
    """The fields of a model that may hold a time, or a part that has one, and as what each is written."""
    return tuple(
        (name, field.alias or name)
        for name, field in model.model_fields.items()
        if _may_hold_time(field.annotation, frozenset({model})) or (name == "date" and issubclass(model, Authorisation))
    )


def _may_hold_time(annotation: Any, within: frozenset[Any]) -> bool:
    """Whether a value of this type may be or hold a time: all do that are not known to be without.

    ``within`` are the models that the annotation stands in: what they hold themselves is looked at there.
    """
    if annotation in _TIMELESS or annotation in within:
        return False
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return False
    if origin is Annotated:
        return _may_hold_time(inner[0], within)
    if origin in {Union, UnionType, tuple}:
        return any(_may_hold_time(one, within) for one in inner)
    if not isinstance(annotation, type):
        return True
    if issubclass(annotation, BaseModel):
        fields = annotation.model_fields.values()
        within |= {annotation}
        return issubclass(annotation, Authorisation) or any(_may_hold_time(one.annotation, within) for one in fields)
    return not issubclass(annotation, Enum)


_CANNOT_BE = frozenset({"ahead", "passed"})


def _of_times(times: Iterable[_Time], bounds: _Bounds) -> Iterator[Implausible]:
    for field, targets, value in times:
        code = _code_of(_name_of(field), value, bounds)
        if code is not None:
            cannot_be = code in _CANNOT_BE and _name_of(field) not in WISHED
            yield Implausible(code, field, targets, refused=cannot_be, holds_back=cannot_be)


def _name_of(field: str) -> str:
    return field.rpartition(".")[2]


def _code_of(name: str, value: datetime | date, bounds: _Bounds) -> str | None:
    """What is wrong with one time, by the name of its field; None for nothing."""
    happened, now, long_ago, far_ahead = bounds
    if not isinstance(value, datetime):
        latest = _EPOCH + (happened - MAX_CLOCK_SKEW)
        return "ahead" if value > (latest + _EASTERNMOST).date() else None
    since = value - _EPOCH  # once: instants of two time zones take ten times as long to compare
    if name in PAST and since > happened:
        return "ahead"
    if since <= now and (name in PROMISED or name in WISHED):
        return "passed"
    if since < long_ago:
        return "long_ago"
    return "far_ahead" if since > far_ahead else None


def _before(message: Message, opening: Message) -> Iterator[Implausible]:
    for name in _AFTER_REQUEST.get(type(message).TYPE, ()):
        for field, targets, value in times_in(message):
            if field.rpartition(".")[2] == name and value < opening.sent_at - MAX_CLOCK_SKEW:
                yield Implausible("before_request", field, targets)


def _before_filing(message: FollowUpConfirmed, known: Mapping[UUID, Message]) -> Iterator[Implausible]:
    filed = known.get(message.in_reply_to)
    # The day of issue is often written without its hour.
    if is_follow_up(filed) and message.received_at < filed.issued_at - timedelta(days=1):
        yield Implausible("before_filing", "received_at", message.targets)


def _windows(message: Message, at: datetime) -> Iterator[Implausible]:
    if not is_request(message):
        return  # targets with windows are those of a request
    stored = is_preservation_request(message)
    live = is_assistance_request(message) and not _LIVE.isdisjoint(message.kinds)
    targets: tuple[Target | WantedData, ...] = message.targets
    for number, target in enumerate(targets):
        place = f"targets.{number}"
        for field, window in _windows_of(target, place):
            if window.ends_at > at + MAX_CLOCK_SKEW and not live:
                yield Implausible("window_open", f"{field}.ends_at", (target.target,), stored, holds_back=False)
        # Only the main identifier may be an address: the further ones name an account.
        windows, instant = target.windows(), getattr(target.identifier, "instant", None)
        if windows and instant is not None and not any(w.begins_at <= instant <= w.ends_at for w in windows):
            yield Implausible("outside_window", f"{place}.identifier.instant", (target.target,), holds_back=False)


def _windows_of(target: Target | WantedData, place: str) -> Iterator[tuple[str, TimeWindow]]:
    """The time windows of a target, each with the path to it."""
    if target.time_window is not None:
        yield f"{place}.time_window", target.time_window
    for number, window in enumerate(target.further_windows or ()):
        yield f"{place}.further_windows.{number}", window


def _periods(message: Message, minimum_days: int) -> Iterator[Implausible]:
    if is_preservation_request(message) and message.period_wanted_days < minimum_days:
        yield Implausible("period_short", "period_wanted_days", (), refused=False, holds_back=False)
    if is_preservation_answer(message):
        for number, target in enumerate(message.targets):
            if target.preserved_at is None or target.expires_at is None:
                continue
            if target.expires_at < target.preserved_at + timedelta(days=minimum_days):
                yield Implausible("period_short", f"targets.{number}.expires_at", (target.target,))

"""Where a case stands: each target with its state, how long it is kept, and who owes what by which kind of date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from exchange.acts.cases import CaseParts
from exchange.cases.threads import state_shown
from exchange.text.due import instant_text, span_text
from exchange.text.labels import (
    code_label,
    deadline_label,
    due_kind_label,
    nation_label,
    source_label,
    target_state_label,
    targets_text,
)
from keys.local.translation import _
from protocol.lifecycle.assistance import AssistanceCase, WantedCase
from protocol.lifecycle.assistance_rules import TERMINAL as ASSISTANCE_OVER
from protocol.lifecycle.case import AnyCase
from protocol.lifecycle.deadlines import Deadline
from protocol.lifecycle.preservation import CentralLeg, PreservationCase, TargetCase, state_at
from protocol.lifecycle.preservation_rules import TERMINAL as PRESERVATION_OVER
from protocol.lifecycle.rules import Side

_GOOD = frozenset({"preserved", "extended", "produced", "answered", "accepted", "conditions_agreed"})
_HARM = frozenset({"refused", "lapsed", "impossible", "expired_unanswered", "follow_up_refused"})
_OVER = frozenset(map(str, (*PRESERVATION_OVER, *ASSISTANCE_OVER, "answered")))
_SOON_DAYS = 7


@dataclass(frozen=True, slots=True)
class TimeBar:
    """How much of a span has passed: ``done`` of ``whole`` seconds; ``soon``: little is left."""

    done: int
    whole: int
    soon: bool


@dataclass(frozen=True, slots=True)
class DueLine:
    """One thing that is owed: by ``ours`` or the other side. ``tone`` is late, soon or empty; ``kind`` whose date."""

    what: str
    code: str
    target: str
    ours: bool
    at: datetime | None
    text: str
    tone: str
    kind: str
    source: str


@dataclass(frozen=True, slots=True)
class TargetLine:
    """One target in one nation. ``same_as`` is the target shown above of which the very same is owed, else empty."""

    name: str
    about: tuple[str, str]
    nation: str
    state: str
    tone: str
    details: Sequence[str]
    until: datetime | None
    left: str
    bar: TimeBar | None
    suspended: bool
    due: Sequence[DueLine]
    open: bool = True
    same_as: str = ""


def is_ours(case: AnyCase, own: str) -> bool:
    """Whether this desk asked."""
    return case.opening is not None and case.opening.by == own


@dataclass(frozen=True, slots=True)
class ShownTargets:
    """Some of the targets of a case: ``lines`` from the place ``start`` on, of ``found`` that fit, of ``total``.

    ``summary`` says of all of them how many are in which state, where they are too many for one page.
    """

    lines: Sequence[TargetLine]
    total: int
    found: int
    start: int
    summary: Sequence[str]

    @property
    def older(self) -> int | None:
        """Where the page before begins."""
        return max(0, self.start - SHOWN_TARGETS) if self.start else None

    @property
    def newer(self) -> int | None:
        """Where the next page begins."""
        after = self.start + SHOWN_TARGETS
        return after if after < self.found else None


SHOWN_TARGETS = 25


def target_table(
    parts: CaseParts, own: str, now: datetime, about: Mapping[str, tuple[str, str]], *, find: str = "", start: int = 0
) -> ShownTargets:
    """The targets of all nations; ``about`` are their identifiers by name, where the request may be shown.

    ``find``: those whose name, identifier or state has that text.
    """
    rows = [
        (nation, case, target, state_shown(state, parts.unsent))
        for nation, case in parts.cases.items()
        for target, state in _targets_of(case, now)
    ]
    wanted = find.strip().casefold()
    fits = [row for row in rows if not wanted or wanted in _searched(row[2], row[3], about)]
    start = start if 0 <= start < len(fits) else 0
    due = {nation: _by_target(due_lines(case, parts.due, own, now)) for nation, case in parts.cases.items()}
    lines = [
        _target_line(
            target, state, nation_label(nation or _asked(case)), now, about.get(target.name, ("", "")),
            due[nation].get(target.name, ()),
        )
        for nation, case, target, state in fits[start : start + SHOWN_TARGETS]
    ]  # fmt: skip
    return ShownTargets(
        told_once(lines), len(rows), len(fits), start, _summary(rows) if len(rows) > SHOWN_TARGETS else ()
    )


def _searched(target: TargetCase | WantedCase, state: str, about: Mapping[str, tuple[str, str]]) -> str:
    return " ".join((target.name, *about.get(target.name, ()), _state_text(target, state))).casefold()


def _state_text(target: TargetCase | WantedCase, state: str) -> str:
    return target_state_label(state, isinstance(target, TargetCase) and target.partly)


def _by_target(due: Iterable[DueLine]) -> dict[str, list[DueLine]]:
    found: dict[str, list[DueLine]] = {}
    for line in due:
        found.setdefault(line.target, []).append(line)
    return found


def _summary(rows: Iterable[tuple[str, AnyCase, TargetCase | WantedCase, str]]) -> list[str]:
    """How many targets are in which state until when, with their names."""
    grouped: dict[tuple[str, str, datetime | None], list[str]] = {}
    for nation, case, target, state in rows:
        until = target.expires_at if isinstance(target, TargetCase) else None
        grouped.setdefault((nation_label(nation or _asked(case)), _state_text(target, state), until), []).append(
            target.name
        )
    told = []
    for (nation, state, until), names in grouped.items():
        text = _("{nation}, {state}: {n} ({targets})")
        if until is not None:
            text = _("{nation}, {state}, until {at}: {n} ({targets})")
        at = instant_text(until) if until is not None else ""
        told.append(text.format(nation=nation, state=state, at=at, n=len(names), targets=targets_text(names)))
    return told


def _targets_of(case: AnyCase, now: datetime) -> list[tuple[TargetCase | WantedCase, str]]:
    """The targets of a case with their states; a conversation has none."""
    match case:
        case PreservationCase():
            return [(target, str(state_at(target, now))) for target in case.targets]
        case AssistanceCase():
            return [(target, str(case.target_state_at(target, now))) for target in case.targets]
        case _:
            return []


def due_lines(case: AnyCase, due: Sequence[Deadline], own: str, now: datetime) -> list[DueLine]:
    """What is owed in a case, as this desk sees it."""
    ours = is_ours(case, own)
    return [_due_line(item, (item.side is Side.REQUESTER) is ours, now) for item in due]


def _asked(case: AnyCase) -> str:
    return case.opening.requested[0].partition("@")[2] if case.opening is not None and case.opening.requested else ""


def _target_line(
    target: TargetCase | WantedCase,
    state: str,
    where: str,
    now: datetime,
    about: tuple[str, str],
    due: Sequence[DueLine],
) -> TargetLine:
    kept = target if isinstance(target, TargetCase) else None
    until = None if kept is None else kept.expires_at
    suspended = kept is not None and kept.expiry_suspended
    partly_kept = kept is not None and kept.partly
    living = until is not None and state not in {"released", "withdrawn", "produced", "refused", "not_held"}
    left = ""
    if living and until is not None and not suspended:
        span = span_text(abs(until - now))
        left = _("{span} left").format(span=span) if until > now else _("ended {span} ago").format(span=span)
    partly = partly_kept and state == "preserved"
    tone = "good" if state in _GOOD and not partly else "harm" if state in _HARM else ""
    return TargetLine(
        name=target.name,
        about=about,
        nation=where,
        state=target_state_label(state, partly_kept),
        tone=tone,
        details=_details(target),
        until=until if living else None,
        left=left,
        bar=_bar(kept, now) if kept is not None and living and not suspended else None,
        suspended=suspended,
        due=due,
        open=state not in _OVER,
    )


def told_once(lines: Sequence[TargetLine]) -> list[TargetLine]:
    """The lines with ``same_as`` the first target in the same nation of which the very same is owed."""
    first: dict[tuple[str, tuple[DueLine, ...]], str] = {}
    told = []
    for line in lines:
        owed = tuple(replace(one, target="") for one in line.due)
        name = first.setdefault((line.nation, owed), line.name)
        told.append(replace(line, same_as=name) if owed and name != line.name else line)
    return told


def _bar(target: TargetCase, now: datetime) -> TimeBar | None:
    begins, ends = target.preserved_at, target.expires_at
    if begins is None or ends is None or ends <= begins:
        return None
    whole = int((ends - begins).total_seconds())
    done = max(0, min(whole, int((now - begins).total_seconds())))
    return TimeBar(done, whole, (ends - now).days < _SOON_DAYS)


def _details(target: TargetCase | WantedCase) -> list[str]:
    kept = target if isinstance(target, TargetCase) else None
    found = []
    if kept is not None and kept.partly and str(kept.state) != "preserved":
        found.append(target_state_label("preserved", partly=True))
    if kept is not None and kept.preserved_at is not None:
        found.append(_("kept since {at}").format(at=instant_text(kept.preserved_at)))
    if kept is not None and kept.wanted_until is not None:
        found.append(_("asked to be kept until {at}").format(at=instant_text(kept.wanted_until)))
    if target.refusal_ground is not None:
        found.append(code_label("refusal_ground", target.refusal_ground))
    if kept is not None and kept.central is not None:
        found.append(_follow_up(kept.central))
    if target.waiting is not None:
        found.append(
            _("waits for an authority of the requested State since {at}").format(at=instant_text(target.waiting.since))
        )
    return found


def _follow_up(leg: CentralLeg) -> str:
    if leg.confirmed_at is None:
        return _("a request followed; its receipt is not confirmed: the expiry stands")
    text = _("the request that followed was received by {authority}, file {number}")
    return text.format(authority=leg.authority, number=leg.file_number)


def _due_line(item: Deadline, ours: bool, now: datetime) -> DueLine:
    if item.due is None:
        text, tone = _("paused"), ""
    else:
        span, at = span_text(abs(item.due - now)), instant_text(item.due)
        if item.is_late(now):
            text, tone = _("late since {at} ({span})").format(at=at, span=span), "late"
        elif item.has_passed(now):
            text, tone = (
                _("our target passed {at}").format(at=at) if ours else _("target passed {at}").format(at=at),
                "",
            )
        else:
            text = _("by {at} ({span} left)").format(at=at, span=span)
            tone = "soon" if (item.due - now).days < 2 else ""
    return DueLine(
        what=deadline_label(item.what),
        code=item.what,
        target=item.target,
        ours=ours,
        at=item.due,
        text=text,
        tone=tone,
        kind=due_kind_label(item.kind),
        source=source_label(item.source),
    )

"""How a case went, beside its states: what followed, who is waited for, what was corrected, what the history says."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from exchange.cli.output import safe
from exchange.text.labels import code_label, fact_label, target_ranges
from keys.local.translation import _

if TYPE_CHECKING:
    from exchange.views import TargetRow
    from protocol.lifecycle.case import AnyCase
    from protocol.lifecycle.preservation import CentralLeg
    from protocol.lifecycle.waiting import AuthorityWait

_Shared = TypeVar("_Shared", bound=Hashable)


def course_lines(cases: Sequence[AnyCase], targets: Sequence[TargetRow]) -> Iterator[str]:
    """The same, and how far requests that followed are, in lines to be read."""
    for leg, names in _by_value((row.follow_up, _name(row)) for row in targets):
        yield _("Request that followed ({targets}): {course}").format(targets=_joined(names), course=_leg_text(leg))
    for wait, names in _by_value((row.waiting, _name(row)) for row in targets):
        yield _("Waits for an authority of the requested State ({targets}): {course}").format(
            targets=_joined(names), course=_wait_text(wait)
        )
    for case in cases:
        for (what, note), names in _by_value(
            ((type(step.fact), note), step.target) for step in case.history for note in step.notes
        ):
            text = _("{what} {target}: {note}")
            label = code_label("step_note", note)
            yield text.format(what=fact_label(what), target=_joined(names), note=label)


def _by_value(pairs: Iterable[tuple[_Shared | None, str]]) -> Iterator[tuple[_Shared, list[str]]]:
    """The targets that share a value, so that a request with many is told in few lines."""
    shared: dict[_Shared, list[str]] = {}
    for value, name in pairs:
        if value is not None:
            shared.setdefault(value, []).append(name)
    yield from shared.items()


def _name(row: TargetRow) -> str:
    return f"{row.nation} {row.target}".strip()


def _joined(names: Sequence[str]) -> str:
    return safe(target_ranges([name for name in names if name]) or "-")


def _leg_text(leg: CentralLeg) -> str:
    parts = []
    if leg.announced_at is not None:
        channel = code_label("request_channel", leg.channel) if leg.channel else "-"
        text = _("filed {at}, {channel}, {reference}")
        parts.append(text.format(at=safe(leg.filed_at), channel=channel, reference=safe(leg.reference)))
    if leg.confirmed_at is None:
        parts.append(_("not confirmed: the expiry stands"))
    else:
        text = _("received {at} by {authority}, file {number}")
        parts.append(text.format(at=safe(leg.received_at), authority=safe(leg.authority), number=safe(leg.file_number)))
    if leg.decision is not None:
        parts.append(_("decided {at}: {decision}").format(at=safe(leg.decided_at), decision=_decision(leg.decision)))
    return "; ".join(parts)


def _decision(decision: str) -> str:
    return {
        "accepted": _("accepted"),
        "postponed": _("postponed"),
        "refused": _("refused"),
        "produced": _("produced"),
    }[decision]


def _wait_text(wait: AuthorityWait) -> str:
    parts = [_("since {at}").format(at=safe(wait.since))]
    if wait.reason:
        parts.append(code_label("delay_reason", wait.reason))
    if wait.until is not None:
        parts.append(_("expected until {at}").format(at=safe(wait.until)))
    return "; ".join(parts)

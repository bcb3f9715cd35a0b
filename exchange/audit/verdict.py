"""How far verified logs are verified, as one sentence: the same for the command, the auditor's pages and the report.

Pure. "No findings" is never said of more than was seen. Where the logs are not known whole, or not as they are now, the
first sentence says that already, and each limit follows in a sentence of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from exchange.audit.period import ALWAYS, Period
from exchange.audit.verify import VerifiedLog
from exchange.audit.witnessing import Witnessed
from exchange.text.due import span_text
from exchange.text.zones import in_both_zones
from keys.local.translation import _ as spoken_text
from protocol.errors import ComityError
from protocol.log.freshness import FRESH_WITHIN


class Limit(StrEnum):
    """Why a verification says less than that all is well. The order is that in which they are told."""

    REFUSED = "refused"
    CHANGED = "changed"
    PARTIAL = "partial"
    PERIOD = "period"
    OLD = "old"
    NOT_WITNESSED = "not-witnessed"
    ALONE = "alone"


@dataclass(frozen=True, slots=True)
class LogStand:
    """One verified log: ``unknown`` of its ``size`` entries are not known here (size None: not to be told).

    ``signed_at`` is the time of its checkpoint (None: it says none). ``unwitnessed``: too few cosigned it. ``changed``:
    its mirror has another checkpoint by now, and that one is not verified.
    """

    node: str
    size: int | None
    unknown: int
    findings: int
    signed_at: datetime | None
    unwitnessed: bool = False
    changed: bool = False

    @classmethod
    def of(cls, log: VerifiedLog, seen: Witnessed, *, more_findings: int = 0, changed: bool = False) -> LogStand:
        """Of a verified log and who cosigned it; ``more_findings`` are of what was checked against it."""
        return cls(
            log.node,
            log.checkpoint.size,
            log.withheld + log.unread,
            len(log.findings) + more_findings,
            log.head.signed_at,
            unwitnessed=seen.quorum.required and not seen.quorum.met,
            changed=changed,
        )


@dataclass(frozen=True, slots=True)
class LogsVerdict:
    """How far ``logs`` are verified at ``now``, of events in ``period``; ``refused``: the last try, which failed."""

    logs: tuple[LogStand, ...]
    now: datetime
    period: Period = ALWAYS
    refused: ComityError | None = None

    @property
    def findings(self) -> int:
        """How many there are in all logs."""
        return sum(log.findings for log in self.logs)

    @property
    def limits(self) -> tuple[tuple[Limit, LogStand | None], ...]:
        """Each limit with the log that it is of; None where it is of all."""
        found: list[tuple[Limit, LogStand | None]] = []
        if self.refused is not None:
            found.append((Limit.REFUSED, None))
        found += [(Limit.CHANGED, log) for log in self.logs if log.changed]
        found += [(Limit.PARTIAL, log) for log in self.logs if log.unknown]
        if self.period != ALWAYS:
            found.append((Limit.PERIOD, None))
        found += [(Limit.OLD, log) for log in self.logs if self._is_old(log)]
        found += [(Limit.NOT_WITNESSED, log) for log in self.logs if log.unwitnessed]
        if len(self.logs) == 1:
            found.append((Limit.ALONE, self.logs[0]))
        return tuple(found)

    @property
    def kind(self) -> str:
        """``harm``: something is wrong; ``soon``: less was verified than all; ``good``."""
        if self.findings or self.refused is not None:
            return "harm"
        return "soon" if self.limits else "good"

    def _is_old(self, log: LogStand) -> bool:
        return log.signed_at is None or self.now - log.signed_at > FRESH_WITHIN


@dataclass(frozen=True, slots=True)
class Teller:
    """How a reader is told: texts of the program, instants, and spans of time (ms) in their language."""

    text: Callable[[str], str]
    instant: Callable[[datetime], str]
    span: Callable[[int], str]

    @classmethod
    def spoken(cls) -> Teller:
        """In the language that is spoken now, and the reader's own zone."""
        return cls(spoken_text, in_both_zones, lambda ms: span_text(timedelta(milliseconds=ms)))


def headline(verdict: LogsVerdict, teller: Teller) -> str:
    """The first sentence: true by itself, whatever else is shown."""
    _ = teller.text
    if verdict.refused is not None:
        return _("Not verified as the mirrors are now.")
    limits = verdict.limits
    if verdict.findings:
        nodes = ", ".join(log.node for log in verdict.logs if log.findings)
        if any(limit in {Limit.CHANGED, Limit.PARTIAL, Limit.PERIOD} for limit, _log in limits):
            text = _("Findings: {count}, in the logs of: {nodes}. There may be more: not everything was seen.")
        else:
            text = _("Findings: {count}, in the logs of: {nodes}.")
        return text.format(count=verdict.findings, nodes=nodes)
    if not limits:
        return _("Verified, no findings.")
    if any(log.size is None for log in verdict.logs):
        return _("Verified as far as the mirrors go; no findings there.")
    known = ", ".join(f"{log.node}: {(log.size or 0) - log.unknown}/{log.size}" for log in verdict.logs)
    text = _("Verified as far as the mirrors go (entries known here, of all: {known}); no findings there.")
    return text.format(known=known)


def reasons(verdict: LogsVerdict, teller: Teller, said: Collection[Limit] = ()) -> tuple[str, ...]:
    """Why no more can be said, a sentence each, but for the limits that are ``said`` elsewhere."""
    return tuple(_reason(limit, log, verdict, teller) for limit, log in verdict.limits if limit not in said)


def verdict_values(verdict: LogsVerdict) -> dict[str, object]:
    """For a program."""
    limits = [{"limit": limit, "node": None if log is None else log.node} for limit, log in verdict.limits]
    return {"headline": headline(verdict, Teller.spoken()), "kind": verdict.kind, "limits": limits}


# --- Inside -----------------------------------------------------------------------------------------------------------


def _reason(limit: Limit, log: LogStand | None, verdict: LogsVerdict, teller: Teller) -> str:
    _ = teller.text
    node = "" if log is None else log.node
    match limit:
        case Limit.REFUSED:
            detail = "" if verdict.refused is None else _(verdict.refused.detail)
            return _("The last verification was refused: {why}. What is shown was verified before it.").format(
                why=detail.rstrip(".")
            )
        case Limit.CHANGED:
            return _("The mirror of {node} changed since it was verified: verify it again.").format(node=node)
        case Limit.PARTIAL:
            return _partial(log, teller)
        case Limit.PERIOD:
            return _("Of events, only those of the period that was named were judged.")
        case Limit.OLD:
            return _old(log, verdict.now, teller)
        case Limit.NOT_WITNESSED:
            text = _("Too few partners cosigned the log of {node}: nobody else vouches that all see this history.")
            return text.format(node=node)
        case Limit.ALONE:
            text = _("Only the log of {node} is here: whether the other side's log tells the same is not known.")
            return text.format(node=node)


def _partial(log: LogStand | None, teller: Teller) -> str:
    _ = teller.text
    if log is None or log.size is None:
        return _("The mirror of {node} is partial: not every entry could be seen.").format(
            node="" if log is None else log.node
        )
    text = _("The mirror of {node} is partial: entries that could not be seen: {count} of {size}.")
    return text.format(node=log.node, count=log.unknown, size=log.size)


def _old(log: LogStand | None, now: datetime, teller: Teller) -> str:
    _ = teller.text
    if log is None or log.signed_at is None:
        text = _("The log of {node} does not say when it was signed: it may be old.")
        return text.format(node="" if log is None else log.node)
    text = _("The log of {node} is as of {at} ({span} ago): what came after is not here.")
    age_ms = int((now - log.signed_at).total_seconds() * 1000)
    return text.format(node=log.node, at=teller.instant(log.signed_at), span=teller.span(age_ms))

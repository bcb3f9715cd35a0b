"""How far a mirrored log is witnessed: the newest checkpoint of the mirror that enough nodes cosigned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from exchange.audit._finding import Finding
from exchange.audit.period import Period
from exchange.audit.verify import VerifiedLog
from keys.directory.view import Directory
from keys.directory.witnesses import Quorum, judge_quorum
from protocol.encoding.instants import to_ms
from protocol.errors import CheckpointInvalidError
from protocol.log.freshness import FRESH_WITHIN

CODE = "not-witnessed"


@dataclass(frozen=True, slots=True)
class Witnessed:
    """Who cosigned the tree of ``size`` entries. It is the newest that is witnessed; if none is, the mirror's head."""

    size: int
    quorum: Quorum

    @property
    def missing(self) -> int:
        """How many witnesses did not cosign while there are not enough; 0 when there are."""
        return 0 if self.quorum.met else len(self.quorum.witnesses) - len(self.quorum.cosigned)


def witnessed(log: VerifiedLog, directory: Directory, now: datetime) -> Witnessed:
    """Judge all checkpoints of the mirror; raises as :func:`judge_quorum` does, unless another one is witnessed.

    A wrong line on one of many heads must not make all the others useless for ever.
    """
    judged: list[Witnessed] = []
    wrong: CheckpointInvalidError | None = None
    for one in log.checkpoints:
        try:
            judged.append(Witnessed(one.checkpoint.size, judge_quorum(directory, one, now)))
        except CheckpointInvalidError as problem:
            wrong = problem
    met = [one for one in judged if one.quorum.met]
    if wrong is not None and not met:
        raise wrong
    return max(met or judged, key=lambda one: one.size)


def demand_witnessed(log: VerifiedLog, seen: Witnessed, period: Period) -> VerifiedLog:
    """The log, with a finding unless enough partners cosigned all that it says of the period.

    Cosignatures are asked for when entries are signed, and come later: what was logged in the ten minutes before the
    head was signed may still be without.
    """
    text = _unvouched(log, seen, period)
    if text is None:
        return log
    return replace(log, findings=(Finding(log.origin, None, CODE, text), *log.findings))


def _unvouched(log: VerifiedLog, seen: Witnessed, period: Period) -> str | None:
    quorum = seen.quorum
    if not quorum.required:
        return "the directory does not say whose cosignatures are enough: nobody vouches for this history"
    if not quorum.met:
        return f"{len(quorum.cosigned)} of {len(quorum.witnesses)} witnesses cosigned a head of this mirror: not enough"
    beyond = log.index.first_from(seen.size)
    if beyond is None:
        return None
    _first, last = period.bounds_ms()
    signed = log.head.signed_at
    settled = log.reaches_ms if signed is None else to_ms(signed) - FRESH_WITHIN // timedelta(milliseconds=1)
    if log.logged_ms(beyond) > min(last, settled):
        return None
    return f"enough witnesses cosigned the first {seen.size} entries, and none of those after them"

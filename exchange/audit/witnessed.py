"""How far a mirrored log is witnessed: the newest checkpoint of the mirror that enough nodes cosigned."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from exchange.audit.verify import VerifiedLog
from keys.directory.view import Directory
from keys.directory.witnesses import Quorum, judge_quorum


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
    """Judge the mirror's checkpoints; raises as :func:`judge_quorum` does."""
    judged = [Witnessed(one.checkpoint.size, judge_quorum(directory, one, now)) for one in log.checkpoints]
    met = [one for one in judged if one.quorum.met]
    return max(met or judged, key=lambda one: one.size)

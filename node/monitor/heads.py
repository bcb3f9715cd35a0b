"""The newest heads of others' logs, as this node knows them: one answer for whoever asks, and for what is listed.

A head is known from three places: a checkpoint under a receipt or at a check (*seen*), one that this node's witness
cosigned, and one that was proved to extend the last. The largest tree is the newest. Of that tree two checkpoints may
be known: a log signs its newest tree anew when it is asked (:mod:`protocol.log.freshness`). The first one shows best
what a smaller tree contradicts that was signed after it; the latest one says before which time the log must date
nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from node.monitor.monitor import Monitor
from node.store.reads import PeerCheckpoint, Reads
from protocol.log.checkpoint import Checkpoint, claimed_time, parse_checkpoint

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class KnownHead:
    """The largest tree known of a log, and its checkpoints: that signed first, and the latest if it is another."""

    tree: Checkpoint
    notes: tuple[bytes, ...]


async def known_heads(reads: Reads, monitor: Monitor) -> list[KnownHead]:
    """The head of every other log, by origin."""
    kept = _trees([*await reads.foreign_heads(), *await reads.cosigned_heads()])
    known = [*kept, *_proved(monitor.proved_notes())]
    origins = sorted({tree.origin for tree, _ in known})
    return [_newest([one for one in known if one[0].origin == origin]) for origin in origins]


async def known_head(reads: Reads, monitor: Monitor, origin: str) -> KnownHead | None:
    """The head of one log, None if nothing is known of it."""
    kept = _trees([await reads.foreign_checkpoint(origin), await reads.cosigned(origin)])
    proved = monitor.proved(origin)
    known = [*kept, *_proved([proved] if proved is not None else [])]
    return _newest(known) if known else None


_Known = tuple[Checkpoint, bytes]


def _trees(kept: Iterable[PeerCheckpoint | None]) -> list[_Known]:
    return [(Checkpoint(one.origin, one.size, one.root), one.note) for one in kept if one is not None]


def _proved(notes: Iterable[bytes]) -> list[_Known]:
    return [(parse_checkpoint(note), note) for note in notes]


def _newest(known: list[_Known]) -> KnownHead:
    """Of two trees of one size, which is a lie that the monitor tells of, the one that was seen."""
    tree = max((tree for tree, _ in known), key=lambda tree: tree.size)
    notes = sorted((note for one, note in known if one == tree), key=lambda note: claimed_time(note) or _NEVER)
    return KnownHead(tree, tuple(dict.fromkeys((notes[0], notes[-1]))))

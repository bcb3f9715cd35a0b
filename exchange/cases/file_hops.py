"""How far the files of a message are, hop by hop: what each log proves, and what the desk's own node has of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from exchange.store.files import FileTransfer
from protocol.event import Event, EventName


@dataclass(frozen=True, slots=True)
class FileHop:
    """What one log proves of a message's files: at ``node``, for ``recipient`` if it is about one.

    ``files`` of ``of`` are meant. ``reasons`` are codes, of what went wrong.
    """

    node: str
    event: str
    recipient: str | None
    files: int
    of: int
    at: datetime
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileTracking:
    """The files of one message: between this desk and its node, and at each hop that is proved, in order of time."""

    transfer: FileTransfer
    hops: tuple[FileHop, ...] = ()


def file_tracking(transfer: FileTransfer | None, proved: Iterable[tuple[str, Event]]) -> FileTracking | None:
    """How far the files are, by what is ``proved``: (node, event). None for a message without files.

    Of one hop the furthest is told: the set, when all of it is there.
    """
    if transfer is None:
        return None
    found: dict[tuple[str, EventName, str | None], FileHop] = {}
    for node, event in proved:
        if event.files is None:
            continue
        recipient = str(event.recipient) if event.recipient is not None else None
        key = node, event.name, recipient
        before = found.get(key)
        alone = event.files.name is not None
        count = (before.files + 1 if before is not None else 1) if alone else event.files.count
        if before is None or count > before.files:
            files = min(count, transfer.files)
            found[key] = FileHop(node, event.name.value, recipient, files, transfer.files, event.at, event.reasons)
    return FileTracking(transfer, tuple(sorted(found.values(), key=lambda hop: hop.at)))

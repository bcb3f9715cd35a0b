"""What a desk shows of evidence files: those of a message, and how far they are at each hop, as the logs prove it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from exchange.content.verdicts import ScanResult
from exchange.store.files import FileTransfer
from exchange.views import NOT_TAKEN_YET, Direction, FilesShareAt, FileState
from protocol.event import Event, EventName
from protocol.files.file_list import FileList
from protocol.files.logged import agrees


@dataclass(frozen=True, slots=True)
class CancelledFiles:
    """That files are moved no more. ``let_go``: how many the own node let go; None of files that came, and while that
    node could not be asked: then ``not_asked`` is the code of why, and it is told as soon as it can be.
    """

    let_go: int | None
    not_asked: str | None = None


_HANDED_OVER = EventName.FileHandover.value


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file of a message as a list shows it; ``here``: the sealed file lies on this desk's shelf, whole."""

    number: int
    name: str
    size_bytes: int
    media_type: str
    sha256: str
    sealed: str
    here: bool
    opened: bool
    label: str | None = None
    state: FileState = FileState.LISTED


@dataclass(frozen=True, slots=True)
class MessageFiles:
    """The files of one message, and how far they are. ``files`` is empty where the content was erased.

    ``shares`` is what the nodes say of themselves, as far as they were asked; ``not_asked`` is the code of the error
    that kept the own node from being asked.
    """

    message: UUID
    thread: UUID
    direction: Direction
    transfer: FileTransfer
    files: tuple[FileRow, ...] = ()
    shares: tuple[FilesShareAt, ...] = ()
    not_asked: str | None = None


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that an officer opened: where it lies, as what its message names it, and what the scanners said."""

    path: Path
    attachment: Mapping[str, Any] = field(repr=False)
    message: UUID
    case: UUID
    scan: ScanResult | None = None


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """What a check of one file on the shelf found: None and no ``code`` where it holds."""

    number: int
    name: str
    ok: bool
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class ProvedFileHop:
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
class FilesNotTaken:
    """That the desk of a recipient states that it cannot take files, ``files`` of ``of``: the codes of why."""

    recipient: str
    reasons: tuple[str, ...]
    files: int
    of: int
    at: datetime


@dataclass(frozen=True, slots=True)
class FileTracking:
    """The files of one message: between this desk and its node, and at each hop that is proved, in order of time.

    ``shares`` and ``not_asked`` are as those of :class:`MessageFiles`: nothing of them is proved.
    """

    transfer: FileTransfer
    hops: tuple[ProvedFileHop, ...] = ()
    shares: tuple[FilesShareAt, ...] = ()
    not_asked: str | None = None

    @property
    def not_taken(self) -> tuple[FilesNotTaken, ...]:
        """What desks state that they cannot take, and did not take after all."""
        taken = {hop.recipient for hop in self.hops if hop.event == _HANDED_OVER and hop.files == hop.of}
        return tuple(
            FilesNotTaken(hop.recipient, hop.reasons, hop.files, hop.of, hop.at)
            for hop in self.hops
            if hop.event == EventName.FileHandoverFailure.value
            and hop.recipient is not None
            and (hop.recipient not in taken or not NOT_TAKEN_YET.issuperset(hop.reasons))
        )

    def handed_over(self, recipients: int) -> bool:
        """Whether it is proved that so many recipients have all of the files."""
        whole = {hop.recipient for hop in self.hops if hop.event == _HANDED_OVER and hop.files == hop.of}
        return len(whole) >= recipients


def file_tracking(
    transfer: FileTransfer | None, proved: Iterable[tuple[str, Event]], listed: FileList | None = None
) -> FileTracking | None:
    """How far the files are, by what is ``proved``: (node, event). None for a message without files.

    Of one hop the furthest is told: the set, when all of it is there. With the list, what no file of it can be is
    passed over: a log that tells of all files under another root than theirs committed itself to none of them.
    """
    if transfer is None:
        return None
    found: dict[tuple[str, EventName, str | None], ProvedFileHop] = {}
    alone: dict[tuple[str, EventName, str | None], set[bytes]] = {}
    for node, event in proved:
        if event.files is None or (listed is not None and not agrees(event.files, listed)):
            continue
        recipient = str(event.recipient) if event.recipient is not None else None
        key = node, event.name, recipient
        count = event.files.count
        if event.files.name is not None:  # told of alone, and counted once however often it is
            names = alone.setdefault(key, set())
            names.add(event.files.name)
            count = len(names)
        if key not in found or count > found[key].files:
            files = min(count, transfer.files)
            found[key] = ProvedFileHop(
                node, event.name.value, recipient, files, transfer.files, event.at, event.reasons
            )
    return FileTracking(transfer, tuple(sorted(found.values(), key=lambda hop: hop.at)))

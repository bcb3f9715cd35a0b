"""The logs that an auditor looks at: each verified, with who cosigned it, and how to verify them again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from uuid import UUID

from exchange.audit.trace import TraceRow, trace
from exchange.audit.verdict import LogStand, LogsVerdict
from exchange.audit.verify import VerifiedLog
from exchange.audit.witnessing import Witnessed
from exchange.views import FilesTold
from keys.local.tile_folder import file_marks
from protocol.directory_seen import DirectorySeen, decode_entry
from protocol.errors import ComityError, LogUnavailableError, MirrorChangedError, NotFoundError
from protocol.event import Event, EventName

# So many entries of a log are looked through for one page.
LOOKED_THROUGH = 20_000
PAGE = 100


@dataclass(frozen=True, slots=True)
class SeenLog:
    """A log as it was verified at ``verified_at``; ``files``: :func:`seen_files` of its mirror, just before."""

    log: VerifiedLog
    witnessed: Witnessed
    verified_at: datetime
    files: bytes

    def stand(self) -> LogStand:
        """How it stands now: its mirror may have other files by now, which are not verified."""
        changed = seen_files(self.log.folder) != self.files
        return LogStand.of(self.log, self.witnessed, changed=changed)


def seen_files(folder: Path) -> bytes:
    """By what a mirror is known to be the one that was seen: nobody reads its files for that."""
    return sha256(repr(file_marks(folder)).encode("ascii", "backslashreplace")).digest()


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry of a page: what it says, None of one of which only the hash is known here."""

    index: int
    event: Event | DirectorySeen | None

    @property
    def files(self) -> FilesTold | None:
        """The files that it is about."""
        return FilesTold.of(self.event) if isinstance(self.event, Event) else None


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Entries in the order of the log. ``next_index``: where the rest begins, None at the end of the log."""

    rows: tuple[EntryRow, ...]
    next_index: int | None


Verify = Callable[[], Awaitable[tuple[SeenLog, ...]]]


@dataclass(slots=True)
class AuditedLogs:
    """All logs of one auditor's view; ``again`` verifies them anew, with what their mirrors have by then.

    ``refused`` is why the last verification failed, None when it did not: ``seen`` is of before it then.
    """

    seen: tuple[SeenLog, ...]
    again: Verify = field(repr=False)
    refused: ComityError | None = None

    def verdict(self, now: datetime) -> LogsVerdict:
        """How far they are verified."""
        return LogsVerdict(tuple(one.stand() for one in self.seen), now, refused=self.refused)

    def of(self, node: str) -> SeenLog:
        """The log of a node; raises :class:`NotFoundError`."""
        for one in self.seen:
            if one.log.node == node:
                return one
        raise NotFoundError(f"no mirror of the node {node[:64]!r} is open here")

    def trace(self, message_id: UUID) -> list[TraceRow]:
        """A message's way through all of them, by time."""
        return trace(message_id, [one.log for one in self.seen])

    async def verify_again(self) -> None:
        """Verify all; raises as :func:`exchange.audit.verify.verify_mirror`, and the earlier ones stay then."""
        try:
            verified = await self.again()
        except ComityError as problem:
            self.refused = problem
            raise
        # Somebody else may have verified meanwhile: what is replaced now is closed, and nothing else.
        before, self.seen, self.refused = self.seen, verified, None
        for one in before:
            one.log.index.close()


def entries(log: VerifiedLog, first: int, event: str | None) -> EntryPage:
    """Entries of a log from ``first`` on, of one kind where one is named; at most :data:`PAGE` of them."""
    rows: list[EntryRow] = []
    end = min(log.tree.size, first + LOOKED_THROUGH)
    for index in _candidates(log, first, end, event):
        rows.append(EntryRow(index, read(log, index)))
        if len(rows) == PAGE:
            end = index + 1
            break
    return EntryPage(tuple(rows), end if end < log.tree.size else None)


def read(log: VerifiedLog, index: int) -> Event | DirectorySeen | None:
    """What an entry says; None where the mirror has only its hash. Raises as the entry's reader."""
    try:
        return decode_entry(log.entry(index))
    except MirrorChangedError:
        raise
    except LogUnavailableError:
        return None


def _candidates(log: VerifiedLog, first: int, end: int, event: str | None) -> Iterator[int]:
    if event is None:
        yield from range(first, end)
        return
    number = tuple(EventName).index(EventName(event))
    for row in islice(log.index.from_index(first), LOOKED_THROUGH):
        if row.number >= end:
            return
        if row.name == number:
            yield row.number

"""What this node holds of the files of each message, in memory: made of the store of segments, which alone knows.

A holding may leave memory and be made again: what is on disk counts, also after a kill. A task that works with one
keeps it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

from node.context import NodeContext
from node.files._at_hand import SegmentsAtHand
from node.files._marks import SegmentMarks
from node.files._speed import Speed
from node.files.store import FileStore
from node.operations.logging import log_defect
from node.store.file_reads import StoredFileSet
from protocol.errors import ComityError, StorageFullError, UnavailableError
from protocol.files.file_list import FileList, decode_list
from protocol.files.logged import LARGE_FILE_BYTES, LoggedFiles, some_files
from protocol.http.files import FilesShare

# Holdings that stay in memory although nobody works with them.
MAX_IDLE = 64
_PAGE = 100


class Holding:
    """The files of one message: what was announced of them, and which segments are here."""

    def __init__(self, stored: StoredFileSet, files: FileList, marks: SegmentMarks) -> None:
        self.stored = stored
        self.files = files
        self.names = files.names
        self.marks = marks
        self.logged: set[int | None] = set()  # of which whole files (None: the set) an entry stands in the log
        self.ended = False
        self.speed = Speed()
        self._changed = asyncio.Event()

    @property
    def digest(self) -> bytes:
        """Of the message's envelope."""
        return self.stored.digest

    def note_change(self) -> None:
        """Wake who waits for more segments."""
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def next_change(self) -> asyncio.Event:
        """Set when more segments came, or this ended. It is of the next change only."""
        return self._changed

    def to_log(self) -> list[int | None]:
        """Large files that are whole, and the set (None) if it is, of which nothing was logged by this process."""
        large = [
            number
            for number in self.marks.whole_numbers()
            if self.files.files[number].length >= LARGE_FILE_BYTES and number not in self.logged
        ]
        return [*large, None] if self.marks.absent == 0 and None not in self.logged else list(large)

    @property
    def share(self) -> FilesShare:
        """How much of them is here."""
        return FilesShare(self.bytes_here, len(self.marks.whole_numbers()))

    @property
    def bytes_here(self) -> int:
        """Of all of them."""
        return self.stored.file_set.total_bytes - self.marks.absent_bytes

    def whole(self) -> LoggedFiles:
        """What is said of the files that are whole here, when they end: none of them, some or all."""
        return some_files(self.files, [self.names[number] for number in self.marks.whole_numbers()])


async def alone(node: NodeContext, work: Awaitable[object]) -> bool:
    """Do the work for one message; whether it was done. An error in it is logged, and keeps no other."""
    try:
        await work
    except ComityError as problem:
        node.log.warning("files-interrupted", code=problem.code)
    except Exception as problem:  # noqa: BLE001 - a defect in the files of one message
        node.metrics.internal_errors.inc()
        log_defect(node.log, problem)
    else:
        return True
    return False


@dataclass(frozen=True, slots=True)
class _Reserved:
    """So many bytes that ``payer`` announced are not here; ``since``: it announced them then, or some of them came."""

    payer: str
    absent_bytes: int
    since: datetime


class Holdings:
    """The holdings of one node, and how much room announced files still need."""

    def __init__(self, node: NodeContext, store: FileStore) -> None:
        self._node = node
        self._store = store
        self._known: WeakValueDictionary[bytes, Holding] = WeakValueDictionary()
        self._idle: OrderedDict[bytes, Holding] = OrderedDict()
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        # Of each message of which something is still to come.
        self._reserved: dict[bytes, _Reserved] = {}
        self._moved: set[bytes] = set()
        self._ending: set[bytes] = set()
        self._reserving = asyncio.Lock()
        self._counted = False
        self.at_hand = SegmentsAtHand()
        self.gone = 0
        """Of how many messages the files were whole by the log, and are not here."""

    async def count(self) -> None:
        """Look at everything that the store holds of announced files: from now on room can be reserved.

        A message that cannot be looked at keeps no other from being counted: all of its room is reserved.
        """
        after = b""
        while page := await self._node.store.reads.file_sets(after, _PAGE):
            for stored in page:
                if not await alone(self._node, self.of(stored)):
                    reserved = _Reserved(stored.payer, stored.file_set.total_bytes, self._node.clock())
                    self._reserved.setdefault(stored.digest, reserved)
            after = page[-1].digest
        self._counted = True

    async def find(self, digest: bytes) -> Holding | None:
        """That of the message whose envelope has this digest; None if its files were not announced, or have ended."""
        if (known := self._known.get(digest)) is not None:
            self._stay(known)
            return known
        stored = await self._node.store.reads.file_set(digest)
        return None if stored is None else await self.of(stored)

    async def of(self, stored: StoredFileSet) -> Holding | None:
        """As :meth:`find`, of what was read of it."""
        if stored.file_list is None or stored.ended or stored.digest in self._ending:
            return None
        lock = self._locks.setdefault(stored.digest, asyncio.Lock())
        async with lock:
            holding = self._known.get(stored.digest)
            if holding is None:
                files = decode_list(stored.file_list)
                held = await self._store.held(stored.digest)
                marks = await asyncio.to_thread(SegmentMarks.of_held, files, held)
                holding = self._known[stored.digest] = Holding(stored, files, marks)
                self._expect(holding)
                if stored.whole_at is not None and holding.marks.absent:
                    self.gone += 1
            holding.stored = stored
            self._stay(holding)
            return holding

    def _stay(self, holding: Holding) -> None:
        self._idle[holding.digest] = holding
        self._idle.move_to_end(holding.digest)
        while len(self._idle) > MAX_IDLE:
            self._idle.popitem(last=False)

    def _expect(self, holding: Holding) -> None:
        """The holding was taken up (again): that alone gives it no more time, and a restart neither."""
        known = self._reserved.get(holding.digest)
        now = self._node.clock()
        self._reserve(holding, min(holding.stored.moved_at or now, now) if known is None else known.since)

    def note(self, holding: Holding) -> None:
        """Something of the holding came, or was lost: so much room it still needs, for some time from now."""
        now = self._node.clock()
        self._moved.add(holding.digest)
        holding.speed.note(now, holding.bytes_here)
        self._reserve(holding, now)

    def _reserve(self, holding: Holding, since: datetime) -> None:
        if holding.marks.absent:
            absent = holding.marks.absent_bytes
            self._reserved[holding.digest] = _Reserved(holding.stored.payer, absent, since)
        else:
            self._reserved.pop(holding.digest, None)

    def _counts(self, reserved: _Reserved) -> bool:
        return self._node.clock() < reserved.since + timedelta(hours=self._node.settings.files.reserved_h)

    def lapsed(self, digest: bytes) -> bool:
        """Whether nothing of these files came for so long that their room, and their quota, may be others'."""
        reserved = self._reserved.get(digest)
        return reserved is not None and not self._counts(reserved)

    def unclaimed_bytes(self, payer: str) -> int:
        """How many bytes of what ``payer`` announced are not here, and not reserved any more."""
        own = (one for one in self._reserved.values() if one.payer == payer)
        return sum(one.absent_bytes for one in own if not self._counts(one))

    def take_moved(self) -> tuple[bytes, ...]:
        """The messages of which something came since this was asked last."""
        moved, self._moved = self._moved, set()
        return tuple(moved)

    def moved_again(self, digests: Iterable[bytes]) -> None:
        """That these moved could not be written down: they are among the next."""
        self._moved.update(digests)

    @contextmanager
    def ending(self, digest: bytes) -> Iterator[None]:
        """While these files are let go, and it is written down, nobody finds them any more."""
        self._ending.add(digest)
        self._idle.pop(digest, None)
        self._reserved.pop(digest, None)
        self._moved.discard(digest)
        self.at_hand.drop(digest)
        ended = self._known.pop(digest, None)
        if ended is not None:
            ended.ended = True
            ended.note_change()
        try:
            yield
        finally:
            self._ending.discard(digest)

    @property
    def expected_bytes(self) -> int:
        """How many bytes were announced and are not here yet, where they may still be counted on."""
        return sum(one.absent_bytes for one in self._reserved.values() if self._counts(one))

    @property
    def reserving(self) -> asyncio.Lock:
        """Held while room is looked for and taken: two at once do not get the same room."""
        return self._reserving

    async def require_room(self, size_bytes: int) -> None:
        """Return if the disk has room for so many bytes beside all that was announced before.

        Raises :class:`StorageFullError`, and ``UnavailableError`` until :meth:`count` has looked.
        """
        room = await self._store.room()  # first: a disk that fails is the reason for whatever else is not so
        if not self._counted:
            raise UnavailableError("this node is still looking at the files that it holds")
        reserve = self._node.settings.files.reserve_bytes
        if room is not None and room - reserve - self.expected_bytes < size_bytes:
            raise StorageFullError("this node has no room for these files now")

"""Taking files in: announced by whom the message came from, room reserved first, each segment verified and durable.

A segment proves itself against the list, and the list against the message's signed header. So their order is free,
repeats do nothing, and the node keeps not a byte more than was announced.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from keys.transport.as_they_come import AsTheyCome
from keys.transport.segments import BUFFERS
from keys.transport.tls_io import in_segment_thread
from node.files._endings import gone
from node.files._passage import may_rest_at
from node.files.context import FilesContext
from node.files.holdings import Holding
from node.files.store import SegmentObject
from node.log.wakeups import ANY_FILES
from node.store.file_operations import (
    AnnounceFiles,
    CancelFiles,
    FilesQuota,
    RecordFiles,
    RecordFilesDeleted,
    ReserveFilesAgain,
)
from node.store.file_reads import StoredFileSet
from node.store.operations import Done
from protocol.errors import (
    ComityError,
    ExpiredError,
    FileGoneError,
    FileNotReservedError,
    FileNotSupportedError,
    FileUnknownError,
)
from protocol.files.file_list import FileList, check_list, decode_list
from protocol.files.logged import CANCELLED, FORGOTTEN, LoggedFiles, one_file, whole_set
from protocol.files.sealed_file import verify_segment
from protocol.http.files import FilesAnnounced, Ranges, SegmentSent
from protocol.log.merkle import EMPTY_ROOT

# So many bytes of one request wait in memory while those before them are written.
_WAITING_BYTES = 2 * 1024 * 1024
_UNKNOWN = "no message of this digest with files is here"


class FileIntake:
    """Files that desks and partners bring. ``caller`` is a desk's address or a node's name, authenticated."""

    def __init__(self, context: FilesContext) -> None:
        self._context = context
        self._node = context.node

    async def announce(self, announced: FilesAnnounced, caller: str) -> list[Ranges]:
        """Keep the list and reserve the room that the files take; the segments that are missing, of each file.

        A repeat says how far it is, and reserves again what is missing where the reservation ended. Raises
        :class:`FileUnknownError`, ``FileSetMismatchError``, ``FileQuotaError``, :class:`FileNotSupportedError`,
        ``StorageFullError``, :class:`FileGoneError`, :class:`ExpiredError`.
        """
        stored = await self._brought_by(announced.digest, caller)
        files = check_list(announced.file_list, stored.file_set)
        if stored.file_list is None:
            await self._reserve(stored, announced, caller)
        holding = await self._context.holdings.find(announced.digest)
        if holding is None:
            raise gone(await self._brought_by(announced.digest, caller))
        await self._reserve_again(holding)
        await self._context.hands.keep(announced.digest, announced.hands)
        await self.settle(holding)
        self._node.metrics.files_announced.inc(stored.file_list is None)
        return holding.marks.absent_ranges() if files == holding.files else []

    async def take(self, digest: bytes, segments: Sequence[SegmentSent], caller: str) -> list[ComityError | None]:
        """Verify the segments and keep them, durable on return; None for each that is here now, else its refusal.

        Raises as :meth:`taking`, as :meth:`announce` where nothing came for so long that the room went to others and
        there is none now, and what the store raises: then none of them counts as taken.
        """
        return await self._take(await self._announced(digest, caller), segments)

    @asynccontextmanager
    async def taking(self, digest: bytes, caller: str) -> AsyncIterator[SegmentTaking]:
        """Segments of one request, kept as they come: those that came whole are kept also when the rest never does.

        Raises :class:`FileUnknownError`, :class:`FileNotReservedError`, :class:`FileGoneError`, :class:`ExpiredError`.
        """
        holding = await self._announced(digest, caller)
        taking = SegmentTaking(lambda segments: self._take(holding, segments))
        try:
            yield taking
        finally:
            await taking.leave()

    async def _announced(self, digest: bytes, caller: str) -> Holding:
        holding = await self._context.holdings.find(digest)
        if holding is None or holding.stored.payer != caller:
            if (brought := await self._brought_by(digest, caller)).ended:
                raise gone(brought)
            raise FileNotReservedError("the files of this message were not announced here")
        if holding.stored.expires <= self._node.clock():
            raise ExpiredError("the message's expiry has passed")
        return holding

    async def _take(self, holding: Holding, segments: Sequence[SegmentSent]) -> list[ComityError | None]:
        answers: list[ComityError | None] = [None] * len(segments)
        fresh: list[tuple[int, SegmentSent]] = []
        for position, sent in enumerate(segments):
            if sent.file >= len(holding.files.files) or sent.segment.index >= holding.files.files[sent.file].segments:
                answers[position] = FileUnknownError("the announced files have no such segment")
            elif not holding.marks.has(sent.file, sent.segment.index):
                fresh.append((position, sent))
        if fresh:
            await self._reserve_again(holding)
        for position, problem in await self._verified(holding.files, fresh):
            answers[position] = problem
        proved = [sent for position, sent in fresh if answers[position] is None]
        await self._keep(holding, proved)
        return answers

    async def _verified(
        self, files: FileList, fresh: Sequence[tuple[int, SegmentSent]]
    ) -> list[tuple[int, ComityError | None]]:
        """What is wrong with each, by its position; hashing takes its time, what was hashed on its way does not."""
        if all(sent.segment.leaf is not None for _, sent in fresh):
            return _verify(files, fresh)
        return await in_segment_thread(lambda: _verify(files, fresh))

    async def _keep(self, holding: Holding, proved: Sequence[SegmentSent]) -> None:
        names = holding.names
        objects = [
            SegmentObject(names[sent.file], sent.segment.index, sent.segment.data, b"".join(sent.segment.path))
            for sent in proved
        ]
        await self._context.store.put(holding.digest, objects)
        if holding.ended:  # it was let go meanwhile
            await self._context.store.delete(holding.digest)
            raise FileGoneError("these files were let go here")
        size = 0
        for sent in proved:
            if holding.marks.add(sent.file, sent.segment.index):
                size += memoryview(sent.segment.data).nbytes
                self._context.holdings.at_hand.keep(holding.digest, sent.file, sent.segment)
        if size:
            self._node.metrics.file_bytes.labels("taken").inc(size)
            self._context.holdings.note(holding)
            holding.note_change()
        await self.settle(holding)

    async def settle(self, holding: Holding) -> None:
        """Log what became whole. If it cannot be written now, it is logged later: the segments are durable already."""
        due = holding.to_log()
        if not due:
            return
        now, files = self._node.clock(), holding.files
        told = [whole_set(files) if number is None else one_file(files, files.files[number]) for number in due]
        outcomes = await self._node.sequencer.submit_many([RecordFiles(holding.digest, one, now) for one in told])
        for number, outcome in zip(due, outcomes, strict=True):
            if isinstance(outcome, Done) or isinstance(outcome.error, FileGoneError):
                holding.logged.add(number)
            if isinstance(outcome, Done) and number is None and not outcome.duplicate:
                self._node.metrics.files_whole.inc()
                self._node.log.info("files-whole", count=len(files.files), size=holding.stored.file_set.total_bytes)

    async def cancel(self, digest: bytes, caller: str, reason: str = CANCELLED) -> int:
        """Let the files go that nobody got yet; how many. Raises :class:`FileUnknownError`.

        A desk takes its own files back; a node passes on why it let them go, the ``reason``.
        """
        stored = await self._brought_by(digest, caller)
        return await self._cancel(stored, CANCELLED if "@" in caller else reason)

    async def forget(self, digest: bytes) -> int:
        """The operator lets the files go, also those that everyone has: how many. Raises :class:`FileUnknownError`."""
        stored = await self._node.store.reads.file_set(digest)
        if stored is None:
            raise FileUnknownError(_UNKNOWN)
        whole = whole_of(stored, await self._context.holdings.find(digest))
        if stored.done_at is None or stored.ended or not whole.count:
            return await self._cancel(stored, FORGOTTEN)
        # Nobody waits for them any more: they go before the retention has passed.
        with self._context.holdings.ending(digest):
            await self._context.store.delete(digest)
            await self._node.sequencer.perform(RecordFilesDeleted(digest, whole, self._node.clock()))
        return stored.file_set.count

    async def _cancel(self, stored: StoredFileSet, reason: str) -> int:
        digest, caller = stored.digest, stored.payer
        holding = await self._context.holdings.find(digest)
        whole = whole_of(stored, holding)
        done = await self._node.sequencer.perform(CancelFiles(digest, caller, reason, whole, self._node.clock()))
        if not done.count:
            return 0
        self._node.log.info("files-cancelled", count=stored.file_set.count, code=reason)
        with self._context.holdings.ending(digest):
            await self._context.store.delete(digest)
        self._node.sequencer.wakeups.notify((ANY_FILES,))
        return stored.file_set.count

    async def _reserve(self, stored: StoredFileSet, announced: FilesAnnounced, caller: str) -> None:
        settings, holdings = self._node.settings.files, self._context.holdings
        total = stored.file_set.total_bytes
        if total > settings.max_set_bytes:
            raise FileNotSupportedError(f"this node takes at most {settings.max_set_bytes} bytes of files of a message")
        async with holdings.reserving:
            await holdings.require_room(total)
            may_rest = may_rest_at(self._node.name, stored.sender, self._node.directory.current)
            operation = AnnounceFiles(
                announced.digest, caller, announced.file_list, self._quota(caller), may_rest, self._node.clock()
            )
            await self._node.sequencer.perform(operation)
            await holdings.find(announced.digest)  # from now on its bytes are expected
        self._node.sequencer.wakeups.notify((ANY_FILES,))

    async def _reserve_again(self, holding: Holding) -> None:
        """Reserve the room of what is missing where nothing came for so long that it was given to others."""
        holdings, payer = self._context.holdings, holding.stored.payer
        if not holdings.lapsed(holding.digest):
            return
        async with holdings.reserving:
            if not holdings.lapsed(holding.digest):  # another request did
                return
            absent = holding.marks.absent_bytes
            await holdings.require_room(absent)
            operation = ReserveFilesAgain(holding.digest, payer, absent, self._quota(payer), self._node.clock())
            await self._node.sequencer.perform(operation)
            holdings.note(holding)

    def _quota(self, payer: str) -> FilesQuota:
        """What the desk, or the partner, may have in transit here."""
        settings = self._node.settings.files
        limit = settings.desk_quota_bytes if "@" in payer else settings.partner_quota_bytes
        return FilesQuota(limit, self._context.holdings.unclaimed_bytes(payer))

    async def _brought_by(self, digest: bytes, caller: str) -> StoredFileSet:
        stored = await self._node.store.reads.file_set(digest)
        if stored is None or stored.payer != caller:
            raise FileUnknownError(_UNKNOWN)
        return stored


class SegmentTaking:
    """Segments of one request that come one after the other: verified and kept together with those that wait."""

    def __init__(self, take: Callable[[Sequence[SegmentSent]], Awaitable[list[ComityError | None]]]) -> None:
        self._take = take
        self._answers: list[ComityError | None] = []
        self._coming = AsTheyCome[SegmentSent](self._some, _data_bytes, _WAITING_BYTES)

    async def add(self, segments: Sequence[SegmentSent]) -> None:
        """Some more; waits while many do. Raises what the store raises."""
        await self._coming.add(segments)

    async def answers(self) -> list[ComityError | None]:
        """When all of them are durable: None for each that is here now, else its refusal, in order.

        Raises what the store raises.
        """
        await self._coming.end()
        return self._answers

    async def leave(self) -> None:
        """Return when nothing of them is being written any more."""
        await self._coming.leave()

    async def _some(self, segments: list[SegmentSent]) -> None:
        self._answers += await self._take(segments)
        BUFFERS.give_back(segments)


def _data_bytes(sent: SegmentSent) -> int:
    return memoryview(sent.segment.data).nbytes


def whole_of(stored: StoredFileSet, holding: Holding | None) -> LoggedFiles:
    """What is said of a message's files that are (or were) whole here, at their end."""
    if stored.whole_at is not None and stored.file_list is not None:
        return whole_set(decode_list(stored.file_list))
    return LoggedFiles(stored.file_set.digest, None, 0, EMPTY_ROOT) if holding is None else holding.whole()


def _verify(files: FileList, sent: Sequence[tuple[int, SegmentSent]]) -> list[tuple[int, ComityError | None]]:
    """What is wrong with each, by its position."""
    found: list[tuple[int, ComityError | None]] = []
    for position, one in sent:
        try:
            verify_segment(files.files[one.file], one.segment)
        except ComityError as problem:
            found.append((position, problem))
        else:
            found.append((position, None))
    return found

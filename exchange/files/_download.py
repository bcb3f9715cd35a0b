"""Files are fetched from the own node as they arrive there, each segment verified, and stated when they are whole.

Nothing is opened here. A node that holds only a part of them is asked again: they follow at their own pace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import UUID

from exchange.context.desk_context import DeskContext
from exchange.files._arriving import ArrivingFile, wanted_of
from exchange.files._moving import AtOnce, TransferBook, alone
from exchange.files._segments import REQUEST_BYTES, REQUEST_SEGMENTS, count_bytes
from exchange.files._stating import Stating
from exchange.files.book import FileBook, attachments_of
from exchange.files.progress import Meter, Told, nobody
from exchange.files.sealing import sealed_file_of
from exchange.files.shelf import fetched_place
from exchange.link.link import NodeLink
from exchange.office.hash_only import require_allowed
from exchange.store.files import FileTransfer, TransferState
from exchange.store.rows import MessageRef, PendingStatement
from keys.transport.as_they_come import AsTheyCome
from keys.transport.segments import BUFFERS, Took, nobody_takes
from keys.transport.tls_io import in_segment_thread
from protocol.errors import (
    ComityError,
    DirectoryUnavailableError,
    ErasedError,
    FileByHashOnlyError,
    FileNotHereError,
    PeerFailedError,
    StorageFullError,
)
from protocol.event import EventName
from protocol.files.file_list import FileList, encode_list
from protocol.files.logged import LARGE_FILE_BYTES, one_file, whole_set
from protocol.http.files import FilesHeld, FilesShare, FilesWanted, Ranges, SegmentSent, SegmentsWanted

_SETTLED_AT_ONCE = 256
# These are this desk's own: the node has the files, and the sender is told why they are not taken.
_DESK_CANNOT = (StorageFullError, FileByHashOnlyError)
# While files come to the node, it is asked again after so long, and given up for a while when nothing comes.
_PAUSE_FIRST_S, _PAUSE_MOST_S, _FOLLOWED_S = 0.05, 0.5, 3.0
# So many bytes of one request wait in memory while those before them are written.
_WAITING_BYTES = 2 << 20
_NOT_THERE_YET = FileNotHereError("the sender's files have not arrived at the node yet")


@dataclass(slots=True)
class _Coming:
    """The files of one message that are fetched."""

    about: MessageRef
    files: FileList
    arriving: list[ArrivingFile]
    held: tuple[Ranges, ...] | None = None
    """What the node said last that it holds, as long as that was not used up."""
    hands: tuple[bytes, ...] = ()
    has: FilesShare | None = None

    def note(self, meter: Meter) -> None:
        """So much is here: the node is told with each request, for it cannot ask, and the sender wants to know."""
        self.has = FilesShare(meter.done, sum(one.whole for one in self.arriving))

    @property
    def missing(self) -> list[Ranges]:
        """What is missing of each."""
        return [one.missing() for one in self.arriving]


class Downloading:
    """Fetches the files of messages that came. Event loop; the disk has threads of its own.

    ``follows``: whether the node may get more of them meanwhile.
    """

    def __init__(
        self, context: DeskContext, link: NodeLink, book: FileBook, stating: Stating, *, follows: bool = True
    ) -> None:
        self._followed_s = _FOLLOWED_S if follows else 0.0
        self._context = context
        self._link = link
        self._book = book
        self._stating = stating
        self._at_once = context.settings.files.requests_at_once
        self._told = set[tuple[UUID, str]]()  # what this program stated of its own troubles

    async def run(self, transfer: FileTransfer, told: Told = nobody) -> FileTransfer:
        """Fetch what the node has and this desk lacks; how it then stands. A refusal is in it, and not raised.

        Raises :class:`DeskBusyError` while another program fetches them.
        """
        with alone(self._context, transfer):
            noted = TransferBook(self._context, transfer)
            if not await noted.still_open():
                return transfer
            coming: _Coming | None = None
            try:
                coming = await self._context.in_thread(lambda: self._coming(transfer.message))
                return await self._fetch(coming, noted, told)
            except ErasedError as problem:
                return await noted.note(TransferState.GONE, problem)
            except ComityError as problem:
                state = TransferState.HELD_UP if problem.retryable else TransferState.FAILED
                after = await noted.note(state, problem)
                await self._tell_sender(transfer, problem)
                return after
            finally:
                if coming is not None:
                    for one in coming.arriving:
                        one.close()
                    await self._clear_if_erased(coming)

    async def _tell_sender(self, before: FileTransfer, problem: ComityError) -> None:
        """State that this desk cannot take the files, where it is this desk that cannot.

        A disk that is full now may have room the next time: that is stated when it is so again. A node logs no reason
        of one message twice.
        """
        lasts = not problem.retryable or before.error == problem.code
        if not isinstance(problem, _DESK_CANNOT) or not lasts or (before.message, problem.code) in self._told:
            return

        def about() -> PendingStatement:
            stored = self._context.store.messages.get(before.message)
            files = FileList.of(map(sealed_file_of, attachments_of(self._context.parsed.of(stored))))
            failure, ref = EventName.FileHandoverFailure, stored.head.ref
            return self._stating.signed(failure, ref, whole_set(files), (problem.code,))

        with suppress(ErasedError):
            await self._stating.state(await self._context.in_thread(about))
            self._told.add((before.message, problem.code))

    async def _clear_if_erased(self, coming: _Coming) -> None:
        """Leave nothing of files whose case was erased while they came."""

        def clear() -> None:
            transfer = self._context.store.files.transfer(coming.about.id)
            if transfer is not None and transfer.state is TransferState.GONE:
                self._book.clear(self._book.shelf.fetched(coming.about.digest))

        await self._context.in_thread(clear)

    async def _fetch(self, coming: _Coming, noted: TransferBook, told: Told) -> FileTransfer:
        missing = await asyncio.to_thread(lambda: coming.missing)
        left = sum(count_bytes(one.file, own) for one, own in zip(coming.arriving, missing, strict=True))
        total = sum(file.length for file in coming.files.files)
        meter = Meter("downloading", total, told, done=total - left, files=len(missing))
        if any(missing):
            self._book.shelf.require_room(left)
            await self._follow(coming, missing, (meter, noted))
        whole = sum(one.whole for one in coming.arriving)
        noted.transfer = replace(noted.transfer, hands=self._hands(coming, noted.transfer))
        if whole == len(coming.arriving):
            stated = [self._stating.signed(EventName.FileHandover, coming.about, whole_set(coming.files))]
            done = await noted.note(TransferState.DONE, None, stated, bytes_moved=total, files_moved=whole, rate=0)
            await self._stating.make(stated)
            return done
        return await noted.note(TransferState.HELD_UP, _NOT_THERE_YET, bytes_moved=meter.done, files_moved=whole)

    def _hands(self, coming: _Coming, transfer: FileTransfer) -> tuple[bytes, ...]:
        """Who carried the files on a disk, as far as their signatures hold: for their custody, and for nothing else."""
        if not set(coming.hands) - set(transfer.hands):
            return transfer.hands
        from keys.directory.carried_signatures import hands_that_hold  # only what was carried needs it

        now, given = self._context.clock(), (*transfer.hands, *coming.hands)
        try:
            directory = self._context.directory
        except DirectoryUnavailableError:  # a desk that is new, and by files: nobody's key is known yet
            return transfer.hands
        return hands_that_hold(given, coming.about.digest, directory, now) or transfer.hands

    async def _follow(self, coming: _Coming, missing: Sequence[Ranges], telling: tuple[Meter, TransferBook]) -> None:
        """Fetch what the node holds, and what comes there meanwhile: files that are still on their way are followed."""
        pause, waited = _PAUSE_FIRST_S, 0.0
        while any(missing) and waited <= self._followed_s:
            if await self._fetch_held(coming, missing, telling):
                pause, waited = _PAUSE_FIRST_S, 0.0
            else:
                await asyncio.sleep(pause)
                pause, waited = min(_PAUSE_MOST_S, 2 * pause), waited + pause
            missing = await asyncio.to_thread(lambda: coming.missing)

    async def _fetch_held(
        self, coming: _Coming, missing: Sequence[Ranges], telling: tuple[Meter, TransferBook]
    ) -> bool:
        """Fetch all that the node holds and this desk lacks, and settle what is whole by it; whether anything came.

        A node that says what it holds, and never gives it, is not asked for ever.
        """
        meter, noted = telling
        before = meter.done
        wanted = await self._wanted(coming, missing)
        if not any(wanted):
            return False
        if noted.transfer.state is not TransferState.MOVING:
            whole = sum(one.whole for one in coming.arriving)
            await noted.note(TransferState.MOVING, bytes_moved=meter.done, files_moved=whole)
        waiting: list[int] = []

        async def fetch(part: tuple[SegmentsWanted, ...]) -> None:
            await self._fetch_part(coming, part, meter)
            await noted.progress(meter, sum(one.whole for one in coming.arriving))
            waiting.extend(dict.fromkeys(one.file for one in part))
            if len(waiting) >= _SETTLED_AT_ONCE:
                await self._settle(coming, waiting)

        await AtOnce[tuple[SegmentsWanted, ...]](self._at_once).run(_parts(coming.files, wanted), fetch)
        await self._settle(coming, list(range(len(coming.arriving))))
        meter.tell()
        return meter.done > before

    async def _wanted(self, coming: _Coming, missing: Sequence[Ranges]) -> list[Ranges]:
        """What is missing here and held there: by the last answer, which says so too, and else by a new one."""
        told, coming.held = coming.held, None
        if told is not None:
            wanted = [wanted_of(own, theirs) for own, theirs in zip(missing, told, strict=True)]
            if any(wanted):
                return wanted
        try:
            state = await self._held(coming, ())
        except FileNotHereError:
            return []  # they were not announced there yet
        held, coming.hands = state.held, state.hands or coming.hands
        if len(held) != len(missing):
            raise PeerFailedError("the node counts the files of the message otherwise")
        return [wanted_of(own, theirs) for own, theirs in zip(missing, held, strict=True)]

    async def _fetch_part(self, coming: _Coming, part: tuple[SegmentsWanted, ...], meter: Meter) -> None:
        """Fetch what one request brings, each segment verified and written as it comes."""
        left = set(part)
        while left:
            done = set[tuple[int, int]]()

            async def take(came: list[SegmentSent], done: set[tuple[int, int]] = done) -> None:
                meter.add(await in_segment_thread(lambda: _take(coming, came)))
                coming.note(meter)
                done |= {(one.file, one.segment.index) for one in came}
                BUFFERS.give_back(came)

            taking = AsTheyCome[SegmentSent](take, _data_bytes, _WAITING_BYTES)
            wanted = tuple(sorted(left, key=lambda one: (one.file, one.first)))
            try:
                said = await self._held(coming, wanted, taking.add)
            except BaseException:
                await taking.leave()
                raise
            await taking.end()
            if not done:
                return  # it let them go, or has others for now
            coming.held = said.held if len(said.held) == len(coming.arriving) else None
            left = _without(left, done)

    async def _held(self, coming: _Coming, wanted: tuple[SegmentsWanted, ...], took: Took = nobody_takes) -> FilesHeld:
        asked = FilesWanted(coming.about.digest, wanted, coming.has)
        held = await self._link.ask(lambda node: node.fetch_files(asked, took))
        if held.file_list != encode_list(coming.files):
            raise PeerFailedError("the node has another list of files than the message")
        return held

    async def _settle(self, coming: _Coming, numbers: list[int]) -> None:
        """Give the files that are whole their places; a long one is stated at once."""
        looked, numbers[:] = list(numbers), []

        def settle() -> list[ArrivingFile]:
            done, parts = list[ArrivingFile](), []
            for number in looked:
                one = coming.arriving[number]
                part = one.complete()
                if part is not None:
                    parts.append((part, fetched_place(coming.about.digest, one.file.name)))
                    done.append(one)
            if parts:
                self._book.shelf.settle(parts)
            for one in done:
                one.settled()
            return done

        for one in await asyncio.to_thread(settle):
            if one.file.length >= LARGE_FILE_BYTES and len(coming.arriving) > 1:
                of_it = one_file(coming.files, one.file)
                await self._stating.state(self._stating.signed(EventName.FileHandover, coming.about, of_it))

    def _coming(self, message_id: UUID) -> _Coming:
        stored = self._context.store.messages.get(message_id)
        message = self._context.parsed.of(stored)
        attachments = attachments_of(message)
        require_allowed(self._context, attachments)  # what is exchanged by its hash alone does not even come here
        files = FileList.of(map(sealed_file_of, attachments))
        shelf, digest = self._book.shelf, stored.head.digest
        arriving = [ArrivingFile(shelf, fetched_place(digest, file.name), file) for file in files.files]
        return _Coming(stored.head.ref, files, arriving)


def _data_bytes(sent: SegmentSent) -> int:
    return memoryview(sent.segment.data).nbytes


def _take(coming: _Coming, came: Sequence[SegmentSent]) -> int:
    """Keep segments, each verified; how many bytes are new. Raises :class:`FileAlteredError`."""
    new = 0
    for one in came:
        if one.file >= len(coming.arriving):
            raise PeerFailedError("the node gave a segment of a file that the message does not have")
        new += coming.arriving[one.file].take(one.segment)
    return new


def _parts(files: FileList, wanted: Sequence[Ranges]) -> Iterator[tuple[SegmentsWanted, ...]]:
    """What is wanted in parts that one request brings."""
    part, size = list[SegmentsWanted](), 0
    for number, ranges in enumerate(wanted):
        file = files.files[number]
        for first, count in ranges:
            for index in range(first, first + count):
                length = file.extent(index)[1]
                if part and (size + length > REQUEST_BYTES or len(part) == REQUEST_SEGMENTS):
                    yield tuple(part)
                    part, size = [], 0
                part.append(SegmentsWanted(number, index, 1))
                size += length
    if part:
        yield tuple(part)


def _without(left: set[SegmentsWanted], came: set[tuple[int, int]]) -> set[SegmentsWanted]:
    kept = {one for one in left if (one.file, one.first) not in came}
    return kept if len(kept) < len(left) else set()

"""Evidence files of a desk that reaches its node by hand: onto a carried disk, and from it.

The folder answers a download as a node would: each segment is verified, and a whole set is stated. An export writes the
files of each message until the node's log proves that it has them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

from exchange.context.desk_context import DeskContext
from exchange.files._download import Downloading
from exchange.files._moving import TransferBook, alone
from exchange.files._segments import ShelfReader
from exchange.files._stating import Stating
from exchange.files.book import FileBook
from exchange.files.sealing import sealed_file_of
from exchange.link.link import NodeLink
from exchange.store.files import FileTransfer, TransferState
from exchange.views import Direction
from keys.local.carried.folder import BLOCK, CarriedFolder, Pack
from keys.transport.segments import Took, nobody_takes
from protocol.bundle_sizes import MAX_HANDS
from protocol.encoding.instants import truncate
from protocol.errors import BundleTruncatedError, ComityError, FileNotHereError
from protocol.event import EventName, decode_event
from protocol.files.file_list import FileList, decode_list, encode_list
from protocol.files.logged import whole_set
from protocol.files.sealed_file import verify_segment
from protocol.http.files import MAX_DATA_BYTES, MAX_SEGMENTS, FilesHeld, FilesWanted, SegmentSent, ranges_of

T = TypeVar("T")

_PACKS_KEPT = 4


@dataclass(frozen=True, slots=True)
class CarriedFiles:
    """What an export or import moved, and how the transfers of the messages then stand.

    ``already`` counts segments that an earlier export left in the folder and that are not written again.
    """

    messages: int
    segments: int
    size_bytes: int
    transfers: tuple[FileTransfer, ...]
    already: int = 0


class FileCarrying:
    """Carries the files of one desk. Event loop; the disk is read and written in threads."""

    def __init__(self, context: DeskContext, link: NodeLink, book: FileBook, stating: Stating) -> None:
        self._context = context
        self._link = link
        self._book = book
        self._stating = stating

    async def export(self, path: Path) -> CarriedFiles:
        """Write what the node is not proved to have, without what lies in the folder already.

        Raises ``StorageFullError``, ``UsageError`` and ``BundleAlteredError``; repeated, it goes on.
        """
        folder = CarriedFolder(path)
        await asyncio.to_thread(folder.create)
        moved, transfers, already = [0, 0], [], 0
        for transfer in await self._unfinished(Direction.SENT):
            with alone(self._context, transfer):
                going = await self._context.in_thread(partial(self._going, transfer.message))
                if going is None:  # the node's log proves that it has them
                    done = TransferBook(self._context, transfer)
                    await done.note(TransferState.DONE, bytes_moved=transfer.total_bytes, rate=0)
                    continue
                before = moved[0]
                for step in going.steps(folder, self._book):
                    count, size = await asyncio.to_thread(step)
                    moved = [moved[0] + count, moved[1] + size]
                already += going.already
                transfers.append(await self._handed(transfer, going.hand) if moved[0] > before else transfer)
        return CarriedFiles(len(transfers), moved[0], moved[1], tuple(transfers), already)

    async def take(self, path: Path) -> CarriedFiles:
        """Take what the folder has of files of messages that came, each segment verified; harmless to repeat.

        Raises ``StorageFullError``, ``UsageError`` and ``BundleAlteredError``.
        """
        folder = CarriedFolder(path)
        await asyncio.to_thread(folder.messages)
        node = _FolderNode(folder)
        fetching = Downloading(
            self._context, cast(NodeLink, _FolderLink(node)), self._book, self._stating, follows=False
        )
        before = await self._unfinished(Direction.RECEIVED)
        after = [await fetching.run(transfer) for transfer in before]
        return CarriedFiles(len(after), node.segments, node.size_bytes, tuple(after))

    async def _unfinished(self, direction: Direction) -> list[FileTransfer]:
        store = self._context.store

        def look() -> list[FileTransfer]:
            found = [one for one in store.files.transfers(unfinished=True) if one.direction is direction]
            # The files of a message that the node refused go nowhere.
            return [one for one in found if store.refusals.of(one.message) is None]

        return await self._context.in_thread(look)

    async def _handed(self, transfer: FileTransfer, hand: bytes) -> FileTransfer:
        """Keep that this desk wrote these files to a disk: their custody shows it."""
        files = self._context.store.files

        def keep() -> FileTransfer:
            with self._context.store.database.transaction(redone=True):
                now = files.transfer(transfer.message) or transfer
                kept = replace(now, hands=tuple(dict.fromkeys((*now.hands, hand)))[-MAX_HANDS:])
                files.progress(kept)
                return kept

        return await self._context.in_thread(keep)

    def _going(self, message: UUID) -> _CarriedOut | None:
        """The message's files on their way out; None when the own node has them all."""
        head = self._context.store.messages.head(message).head
        node = self._link.own_node
        kept = self._book.of_sent(message)
        places = {file.name: file.place for file in kept}
        files = FileList.of(sealed_file_of(file.attachment) for file in kept)
        for row in self._context.store.receipts.of(head.digest):
            event = None if row.error is not None else decode_event(row.receipt.leaf)
            if event is not None and event.name is EventName.FileAcceptance and event.files == whole_set(files):
                return None
        now = truncate(self._context.clock())
        from protocol.bundle import write_hand  # only what is carried needs it

        hand = write_hand(head.digest, str(self._context.address), node, now, self._context.signer)
        return _CarriedOut(head.digest, files, tuple(places[file.name] for file in files.files), hand)


@dataclass(slots=True)
class _CarriedOut:
    """Files on their way out; ``already`` of their segments were in the folder."""

    digest: bytes
    files: FileList
    places: tuple[str, ...]
    hand: bytes
    already: int = 0

    def steps(self, folder: CarriedFolder, book: FileBook) -> Iterator[Callable[[], tuple[int, int]]]:
        """The work of writing them, pack by pack: each says how many segments and bytes it wrote."""
        reader = ShelfReader(book.shelf, self.files, self.places)

        def begin() -> tuple[int, int]:
            folder.begin(self.digest, encode_list(self.files), self.hand)
            return 0, 0

        def write(number: int, run: Sequence[int]) -> tuple[int, int]:
            segments = reader.read([(number, index) for index in run])
            folder.write_packs(self.digest, number, [segments])
            return len(segments), sum(len(memoryview(one.segment.data)) for one in segments)

        yield begin
        for number, file in enumerate(self.files.files):
            most = min(MAX_SEGMENTS, MAX_DATA_BYTES // file.segment_bytes)
            for block in range(-(-file.segments // BLOCK)):
                for run in self._lacking(folder, number, block, most):
                    yield partial(write, number, run)

    def _lacking(self, folder: CarriedFolder, number: int, block: int, most: int) -> Iterator[list[int]]:
        folder.tidy(self.digest, number, block)
        file, covered = self.files.files[number], set[int]()
        for pack in folder.packs(self.digest, number, block):
            end = pack.first + pack.count
            if end <= file.segments and pack.size_bytes >= sum(file.extent(end - 1)) - file.extent(pack.first)[0]:
                covered.update(range(pack.first, end))
        self.already += len(covered)
        end = min(file.segments, (block + 1) * BLOCK)
        lacking = [index for index in range(block * BLOCK, end) if index not in covered]
        for first, count in ranges_of(lacking):
            for at in range(first, first + count, most):
                yield list(range(at, min(at + most, first + count)))


class _FolderLink:
    """Where a download asks its node: here the folder answers."""

    def __init__(self, node: _FolderNode) -> None:
        self._node = node

    async def ask(self, ask: Callable[[Any], Awaitable[T]]) -> T:
        return await ask(self._node)


class _FolderNode:
    """The folder, answering as a node that has what is in it. A damaged pack counts as not there, and is removed."""

    def __init__(self, folder: CarriedFolder) -> None:
        self._folder = folder
        self._packs: dict[tuple[bytes, int], list[Pack]] = {}
        self._read: OrderedDict[tuple[bytes, int, int], dict[int, SegmentSent]] = OrderedDict()
        self._lock = asyncio.Lock()
        self.segments = 0
        self.size_bytes = 0

    async def fetch_files(self, wanted: FilesWanted, took: Took = nobody_takes) -> FilesHeld:
        """As a node's; raises :class:`FileNotHereError` where the folder has nothing of the message."""
        async with self._lock:
            held = await asyncio.to_thread(self._fetch, wanted)
        await took(held.segments)
        return held

    def _fetch(self, wanted: FilesWanted) -> FilesHeld:
        try:
            raw = self._folder.file_list(wanted.digest)
        except BundleTruncatedError as problem:
            raise FileNotHereError("the folder has no files of this message") from problem
        files = decode_list(raw)
        if not wanted.wanted:
            held = tuple(ranges_of(self._look(wanted.digest, number)) for number in range(len(files.files)))
            return FilesHeld(raw, held, (), self._folder.hands(wanted.digest))
        segments: list[SegmentSent] = []
        for one in wanted.wanted:
            for index in range(one.first, one.first + one.count):
                sent = self._segment(wanted.digest, files, one.file, index)
                segments += [] if sent is None else [sent]
        self.segments += len(segments)
        self.size_bytes += sum(len(memoryview(sent.segment.data)) for sent in segments)
        return FilesHeld(raw, (), tuple(segments))

    def _look(self, digest: bytes, number: int) -> list[int]:
        packs = [
            pack
            for block in self._folder.blocks(digest, number)
            for pack in self._folder.packs(digest, number, block)
            if pack.count <= MAX_SEGMENTS
        ]
        self._packs[digest, number] = packs
        return sorted({index for pack in packs for index in range(pack.first, pack.first + pack.count)})

    def _segment(self, digest: bytes, files: FileList, number: int, index: int) -> SegmentSent | None:
        for pack in self._packs.get((digest, number), ()):
            if pack.first <= index < pack.first + pack.count:
                found = self._contents(digest, files, number, pack).get(index)
                if found is not None:
                    return found
        return None

    def _contents(self, digest: bytes, files: FileList, number: int, pack: Pack) -> dict[int, SegmentSent]:
        key = digest, number, pack.first
        if key not in self._read:
            self._read[key] = self._verified(digest, files, number, pack)
            while len(self._read) > _PACKS_KEPT:
                self._read.popitem(last=False)
        self._read.move_to_end(key)
        return self._read[key]

    def _verified(self, digest: bytes, files: FileList, number: int, pack: Pack) -> dict[int, SegmentSent]:
        try:
            found = {
                one.segment.index: one for one in self._folder.read_pack(digest, number, pack) if one.file == number
            }
            for one in found.values():
                verify_segment(files.files[number], one.segment)
        except ComityError:
            self._folder.drop(digest, number, pack)
            return {}
        return found

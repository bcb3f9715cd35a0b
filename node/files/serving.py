"""Handing files out: to a desk that is served here, or to the next node on the way of a recipient. To nobody else.

The node writes down who is to get a message's files when it accepts the message. Anyone else is told what is told of an
unknown message: a digest or a name that was seen in a log opens nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from keys.transport.precedence import Precedence
from keys.transport.tls_io import in_segment_thread
from node.files._endings import gone
from node.files._outgoing import Place, SegmentsOut
from node.files._progress import FileProgress
from node.files.context import FilesContext
from node.files.holdings import Holding
from node.store.file_operations import RecordCancelTold
from node.store.file_reads import HopState, StoredFileSet
from protocol.errors import FileAlteredError, FileNotHereError, NotFoundError
from protocol.files.sealed_file import Segment, path_hashes, split_segment_path, verify_segment
from protocol.http.file_progress import FilesAt, ProgressAsked
from protocol.http.files import MAX_DATA_BYTES, MAX_SEGMENTS, FilesHeld, FilesWanted, SegmentSent, SegmentsWanted
from protocol.http.segment_streams import Buffer, held_head
from protocol.log.merkle import HASH_BYTES

# It is remembered of so many segments to whom they were given.
_MOST_GIVEN = 50_000


@dataclass(frozen=True, slots=True)
class Answerable:
    """What a party may have now: the list, and which of the wanted segments, by file and index."""

    file_list: bytes
    holding: Holding
    places: tuple[Place, ...]

    @property
    def size_bytes(self) -> int:
        """Of these segments."""
        return sum(self.holding.files.files[number].extent(index)[1] for number, index in self.places)


class FileServing:
    """What one node hands out. ``party`` is a desk's address or a node's name, authenticated."""

    def __init__(self, context: FilesContext) -> None:
        self._context = context
        self._node = context.node
        self._progress = FileProgress(context)
        self._given = _Given()

    @property
    def first(self) -> Precedence:
        """What messages of this node go before."""
        return self._context.first

    async def fetch(self, wanted: FilesWanted, party: str) -> FilesHeld:
        """The list, which segments are here, and as many of those wanted as fit; raises as :meth:`look`."""
        return await self.answer(await self.look(wanted, party), party)

    async def look(self, wanted: FilesWanted, party: str) -> Answerable:
        """What can be answered, before any of it is read.

        Raises :class:`NotFoundError`, :class:`FileNotHereError` before they were announced, and as :func:`gone` says.
        """
        stored = await self._for(wanted.digest, party)
        if wanted.has is not None:  # nobody can ask it, so it says so itself
            self._context.shares.note(wanted.digest, party, wanted.has, self._node.clock())
        if stored.file_list is None:
            raise FileNotHereError("the files of this message were not announced here yet")
        holding = await self._context.holdings.of(stored)
        if holding is None:
            raise gone(stored)
        return Answerable(stored.file_list, holding, tuple(chosen(holding, wanted.wanted)))

    async def answer(self, found: Answerable, party: str) -> FilesHeld:
        """The answer, with its segments in memory."""
        holding = found.holding
        await self._pace(found, party)
        found = await self._looked_at(found, party)
        segments = await self.read(holding, found.places)
        self._note(sum(len(sent.segment.data) for sent in segments))
        # Their hands are told with the state alone, and not with each part.
        hands = () if found.places else await self._context.hands.of(holding.digest)
        return FilesHeld(found.file_list, tuple(holding.marks.present_ranges()), tuple(segments), hands)

    async def parts(self, found: Answerable, party: str) -> tuple[int, AsyncGenerator[Buffer]]:
        """The answer with the segments as they are read, and how long it is.

        The parts raise :class:`NotFoundError` when a segment turns out to be lost: it is missing from then on.
        """
        await self._pace(found, party)
        found = await self._looked_at(found, party)
        head = held_head(found.file_list, found.holding.marks.present_ranges(), len(found.places))
        out = SegmentsOut(self._context, found.holding)
        self._note(found.size_bytes)
        return len(head) + sum(map(out.length, found.places)), self._sent(head, out, found)

    async def _sent(self, head: bytes, out: SegmentsOut, found: Answerable) -> AsyncGenerator[Buffer]:
        yield head
        try:
            async with aclosing(out.parts(found.places)) as parts:
                async for part in parts:
                    yield part
        except NotFoundError:
            for number, index in out.lost:
                lose(self._context, found.holding, number, index)
            raise

    async def _looked_at(self, found: Answerable, party: str) -> Answerable:
        """What the party may have, without what this node's disk damaged.

        A party that asks for a segment again may have refused the one that it was given. It does not say so: this node
        looks at the segment itself before it gives it once more.
        """
        digest = found.holding.digest
        again = [place for place in found.places if self._given.has(digest, party, place)]
        for place in again:
            await look_at(self._context, found.holding, *place)
        if again:
            has = found.holding.marks.has
            found = replace(found, places=tuple(place for place in found.places if has(*place)))
        self._given.note(digest, party, found.places)
        return found

    async def _pace(self, found: Answerable, party: str) -> None:
        if "@" not in party:
            await self._context.pace.take(party, found.size_bytes)

    def _note(self, size: int) -> None:
        self._node.metrics.file_bytes.labels("handed-out").inc(size)

    async def read(self, holding: Holding, places: Sequence[tuple[int, int]]) -> list[SegmentSent]:
        """These segments of the holding with their paths, as far as they are still there."""
        segments = []
        for number, index in places:
            try:
                segments.append(await read_segment(self._context, holding, number, index))
            except NotFoundError:  # the store lost it: from now on it is missing
                lose(self._context, holding, number, index)
        return segments

    async def _for(self, digest: bytes, party: str) -> StoredFileSet:
        stored = await self._node.store.reads.file_set(digest)
        state = None if stored is None else stored.state_of(party)
        if stored is None or state is None:
            raise NotFoundError
        if state is HopState.TO_BE_TOLD:  # it is told by this
            await self._node.sequencer.submit(RecordCancelTold(digest, party))
        if stored.ended or state in (HopState.TO_BE_TOLD, HopState.GETS_NONE) or stored.expires <= self._node.clock():
            raise gone(stored)
        return stored

    async def progress(self, asked: ProgressAsked, party: str) -> list[FilesAt]:
        """How far files are; raises as :meth:`FileProgress.tell`."""
        return await self._progress.tell(asked, party)


async def read_segment(context: FilesContext, holding: Holding, number: int, index: int) -> SegmentSent:
    """One segment out of the store; raises :class:`NotFoundError`."""
    file = holding.files.files[number]
    content = await context.store.get(holding.digest, holding.names[number], index)
    _, length = file.extent(index)
    path = path_hashes(index, file.segments) * HASH_BYTES
    if len(content) != path + length:  # it was cut, or something was added
        raise NotFoundError("this segment is not here")
    return SegmentSent(number, Segment(index, split_segment_path(bytes(content[:path])), memoryview(content)[path:]))


async def look_at(context: FilesContext, holding: Holding, number: int, index: int) -> None:
    """Compare a segment with the list: if it is another one here, it goes, and may be brought again."""
    file = holding.files.files[number]
    try:
        sent = await read_segment(context, holding, number, index)
        await in_segment_thread(lambda: verify_segment(file, sent.segment))
    except FileAlteredError:
        await context.store.drop(holding.digest, file.name, index)
        lose(context, holding, number, index)
    except NotFoundError:
        lose(context, holding, number, index)


def lose(context: FilesContext, holding: Holding, number: int, index: int) -> None:
    """The segment turned out not to be here; who brought it may bring it again."""
    if holding.marks.remove(number, index):
        context.node.metrics.file_segments_lost.inc()
        context.node.log.error("file-segment-lost", count=1)
        context.holdings.note(holding)


class _Given:
    """Which segments were given to whom: of the messages and parties that asked last, :data:`_MOST_GIVEN` in all."""

    def __init__(self) -> None:
        self._places: OrderedDict[tuple[bytes, str], set[Place]] = OrderedDict()
        self._count = 0

    def has(self, digest: bytes, party: str, place: Place) -> bool:
        return place in self._places.get((digest, party), ())

    def note(self, digest: bytes, party: str, places: Iterable[Place]) -> None:
        given = self._places.setdefault((digest, party), set())
        self._places.move_to_end((digest, party))
        self._count -= len(given)
        given.update(places)
        self._count += len(given)
        while self._count > _MOST_GIVEN:
            self._count -= len(self._places.popitem(last=False)[1])


def chosen(holding: Holding, wanted: tuple[SegmentsWanted, ...]) -> list[tuple[int, int]]:
    """Of what is wanted that which is here and fits into one answer, by file and index."""
    places: list[tuple[int, int]] = []
    room = MAX_DATA_BYTES
    for number, index in _present(holding, wanted):
        room -= holding.files.files[number].extent(index)[1]
        if room < 0 or len(places) == MAX_SEGMENTS:
            break
        places.append((number, index))
    return places


def _present(holding: Holding, wanted: tuple[SegmentsWanted, ...]) -> Iterator[tuple[int, int]]:
    for one in wanted:
        if one.file >= len(holding.files.files):
            continue
        index = holding.marks.present_from(one.file, one.first)
        while index is not None and index < one.first + one.count:
            yield one.file, index
            index = holding.marks.present_from(one.file, index + 1)

"""Segments on their way out of the store: read while those before them are sent, and never many in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, suppress

from keys.transport.segments import BUFFERS
from node.files.context import FilesContext
from node.files.holdings import Holding
from protocol.errors import ComityError, NotFoundError
from protocol.files.sealed_file import path_hashes
from protocol.http.segment_streams import Buffer, array_head, segment_bytes, segment_head
from protocol.log.merkle import HASH_BYTES

Place = tuple[int, int]
"""A segment: the number of its file, and its index."""
_Found = tuple[Buffer, memoryview]

# So much is read at a time: a segment, or many small ones.
_RUN_BYTES = 1 << 20
# A longer segment is sent in pieces: each is encrypted by itself, and other requests have their turn in between.
_PIECE_BYTES = 2 << 20
# A shorter one is sent together with what stands before it.
_JOINED_BYTES = 1 << 20


class SegmentsOut:
    """The segments of one message's files, as bodies carry them."""

    def __init__(self, context: FilesContext, holding: Holding) -> None:
        self._context = context
        self._holding = holding
        self.lost: list[Place] = []
        """Of those that were to be read, which turned out not to be here."""
        self.problem: ComityError | None = None
        """Why this node's own store did not give what was to be read."""

    def length(self, place: Place) -> int:
        """How long a segment is in a body."""
        file = self._holding.files.files[place[0]]
        return segment_bytes(*place, path_hashes(place[1], file.segments), file.extent(place[1])[1])

    def body_length(self, places: Sequence[Place]) -> int:
        """How long a body with these segments is."""
        return len(array_head(len(places))) + sum(map(self.length, places))

    async def body(self, places: Sequence[Place]) -> AsyncGenerator[Buffer]:
        """A body with these segments, in parts; raises :class:`NotFoundError` when one of them is lost."""
        yield array_head(len(places))
        async with aclosing(self.parts(places)) as parts:
            async for part in parts:
                yield part

    async def parts(self, places: Sequence[Place]) -> AsyncGenerator[Buffer]:
        """The segments as in a body; raises :class:`NotFoundError` when one of them is lost."""
        ahead: asyncio.Task[list[Buffer]] | None = None
        try:
            for run in [*self._runs(places), None]:
                coming, ahead = ahead, None if run is None else asyncio.create_task(self.read(run))
                if coming is not None:
                    parts = await coming
                    for part in parts:
                        await self._context.first.messages_first()
                        yield part
                    BUFFERS.put_back(parts)
        finally:
            if ahead is not None:
                ahead.cancel()
                with suppress(asyncio.CancelledError, ComityError):
                    await ahead

    async def read(self, places: Sequence[Place]) -> list[Buffer]:
        """These segments as in a body, small ones joined; raises :class:`NotFoundError` when one of them is lost."""
        try:
            return await self._read(places)
        except ComityError as problem:
            self.problem = problem
            raise

    async def _read(self, places: Sequence[Place]) -> list[Buffer]:
        parts, small = list[Buffer](), bytearray()
        for place, found in zip(places, await self._found(places), strict=True):
            if found is None:
                self.lost.append(place)
                continue
            path, data = found
            small += segment_head(*place, path, len(data))
            if len(data) < _JOINED_BYTES:
                small += data
                continue
            parts.append(bytes(small))
            small.clear()
            parts += [data[at : at + _PIECE_BYTES] for at in range(0, len(data), _PIECE_BYTES)]
        if self.lost:
            raise NotFoundError("this segment is not here")
        return [*parts, bytes(small)] if small else parts

    async def _found(self, places: Sequence[Place]) -> list[_Found | None]:
        """Path and data of each, out of memory where they still are there; None for one that is lost."""
        holding, at_hand = self._holding, self._context.holdings.at_hand
        found: dict[Place, _Found | None] = {}
        for place in places:
            if (segment := at_hand.take(holding.digest, *place)) is not None:
                found[place] = b"".join(segment.path), memoryview(segment.data)
        kept = [place for place in places if place not in found]
        if kept:
            wanted = [(holding.names[number], index) for number, index in kept]
            contents = await self._context.store.get_some(holding.digest, wanted)
            found |= {place: self._split(place, content) for place, content in zip(kept, contents, strict=True)}
        return [found[place] for place in places]

    def _split(self, place: Place, content: Buffer | None) -> _Found | None:
        """Path and data of what the store has; None where that is not as long as both are."""
        file = self._holding.files.files[place[0]]
        length, path = file.extent(place[1])[1], path_hashes(place[1], file.segments) * HASH_BYTES
        if content is None or len(content) != path + length:
            return None
        view = memoryview(content)
        return view[:path], view[path:]

    def _runs(self, places: Sequence[Place]) -> Iterator[list[Place]]:
        run, size = list[Place](), 0
        for place in places:
            length = self._holding.files.files[place[0]].extent(place[1])[1]
            if run and size + length > _RUN_BYTES:
                yield run
                run, size = [], 0
            run.append(place)
            size += length
        if run:
            yield run

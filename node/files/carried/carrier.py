"""Evidence files carried by hand, in a folder beside a bundle: to a node or desk that cannot be reached, and from it.

The work goes in steps, each of so many bytes and durable at its end; a step says where the next one begins. So it can
be broken off at any moment, and the folder's size does not matter. A segment that comes in is judged like one that a
request brings: it proves itself against the list, and the list against the message's header. The carrier decides
nothing, and is written down.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from keys.directory.carried_signatures import carried_key
from keys.local.carried.folder import BLOCK, CarriedFolder, Pack
from node.files._endings import gone
from node.files._marks import SegmentMarks
from node.files._passage import may_pass_on
from node.files.carried.hands import CarriedHand, note_hand
from node.files.context import FilesContext
from node.files.holdings import Holding
from node.files.intake import FileIntake
from node.files.serving import lose, read_segment
from node.store.file_reads import HopState, StoredFileSet
from protocol.bundle import Hand, parse_hand, verify_hand, write_hand
from protocol.crypto.signing import Signer
from protocol.encoding.instants import to_text, truncate
from protocol.errors import (
    BundleAlteredError,
    ComityError,
    FileAlteredError,
    FileGoneError,
    FileQuotaError,
    FileUnknownError,
    MalformedError,
    NotFoundError,
    StorageFullError,
    UnavailableError,
    UsageError,
)
from protocol.event import DIGEST_BYTES
from protocol.http.files import MAX_DATA_BYTES, MAX_SEGMENTS, FilesAnnounced, Ranges, SegmentSent

Told = Callable[[str], Awaitable[Mapping[bytes, Sequence[Ranges]]]]
"""Which segments a counterpart has, by message; raises what speaks against giving it anything."""

STEP_BYTES = 64 * 1024 * 1024
_PAGE = 100
_PLACE = re.compile(r"([0-9a-f]{64})\.([0-9]{1,4})\.([0-9]{1,16})")
# Written with one wait for the folder's disk.
_PACKS_AT_ONCE = 4


@dataclass(frozen=True, slots=True, order=True)
class CarriedPlace:
    """Where a step begins: a message's digest, the number of a file, a segment of it."""

    digest: bytes = b""
    file: int = 0
    segment: int = 0

    @classmethod
    def parse(cls, text: str) -> CarriedPlace:
        """What an earlier step said; empty: at the beginning. Raises :class:`MalformedError`."""
        if not text:
            return cls()
        match = _PLACE.fullmatch(text)
        if match is None:
            raise MalformedError("this is not where a step ended")
        return cls(bytes.fromhex(match[1]), int(match[2]), int(match[3]))

    def __str__(self) -> str:
        return f"{self.digest.hex()}.{self.file}.{self.segment}"


@dataclass(slots=True)
class CarriedStep:
    """What a step did. ``next`` is where the next one begins, None after the last.

    ``already`` counts segments that an earlier export left in the folder and that are not written again. ``refused``
    has a message's digest and a problem's code for each kind of thing that was not taken.
    """

    next: str | None = None
    messages: int = 0
    segments: int = 0
    size_bytes: int = 0
    already: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)

    def refuse(self, digest: bytes, problem: ComityError) -> None:
        """Something of this message was not taken."""
        row = (digest.hex(), problem.code)
        if row not in self.refused:
            self.refused.append(row)

    def values(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


class FileCarrier:
    """Writes and reads carried files of one node, one step at a time; ``hands`` is where it is noted who carried."""

    def __init__(self, context: FilesContext, intake: FileIntake, signer: Signer, hands: Path, told: Told) -> None:
        self._context = context
        self._node = context.node
        self._intake = intake
        self._signer = signer
        self._hands = hands
        self._told = told
        self._one_at_a_time = asyncio.Lock()

    # --- Writing ------------------------------------------------------------------------------------------------------

    async def write(self, to: str, path: str, begin: str) -> CarriedStep:
        """Write some of what ``to`` (a node, or a contact point served here) lacks into the folder.

        It leaves out the segments that ``to`` told of in its newest bundle, and those in the folder already. Raises
        what the directory says against ``to``, ``StorageFullError``, ``UsageError`` and ``BundleAlteredError``.
        """
        step, at, folder = CarriedStep(), CarriedPlace.parse(begin), CarriedFolder(_path(path))
        async with self._one_at_a_time:
            told = await self._told(to)
            if "@" not in to:
                self._context.monitor.require_trusted(to)
            await asyncio.to_thread(folder.create)
            async for stored in self._waiting(to, at.digest):
                holding = await self._context.holdings.of(stored)
                if holding is None or not holding.marks.present:
                    continue
                if stored.digest != at.digest:
                    at = CarriedPlace(stored.digest)
                has = SegmentMarks.of_ranges(holding.files, told.get(stored.digest, ()))
                writing = _Writing(folder, holding, has, step)
                following = await self._write_some(writing, to, at)
                if following is not None:
                    step.next = str(following)
                    break
        self._log("files-exported", to, step)
        return step

    async def _write_some(self, writing: _Writing, to: str, at: CarriedPlace) -> CarriedPlace | None:
        """As much as the step has room for; where to go on, None when nothing is left of this message."""
        digest, before = writing.holding.digest, (writing.step.segments, writing.step.size_bytes)
        now = truncate(self._node.clock())
        if at.file == 0 and at.segment == 0:
            hand = write_hand(digest, self._node.name, to, now, self._signer)
            file_list = writing.holding.stored.file_list or b""
            earlier = await self._context.hands.of(digest)
            await asyncio.to_thread(writing.folder.begin, digest, file_list, hand, earlier)
            writing.step.messages += 1
        following: CarriedPlace | None = None
        for place in writing.blocks(at):
            if writing.step.size_bytes >= STEP_BYTES:
                following = place
                break
            following = await self._write_block(writing, place)
            if following is not None:
                break
        segments, size = writing.step.segments - before[0], writing.step.size_bytes - before[1]
        if segments:
            row = CarriedHand("exported", to_text(now), self._node.name, to, None, segments, size)
            await asyncio.to_thread(note_hand, self._hands, digest, row)
        return following

    async def _write_block(self, writing: _Writing, place: CarriedPlace) -> CarriedPlace | None:
        """The packs of one block from ``place`` on; where to go on, None at its end."""
        holding, step, number = writing.holding, writing.step, place.file
        packs: list[list[SegmentSent]] = []
        runs, there = await asyncio.to_thread(writing.lacking, place)
        for run in runs:
            segments = await self._read(holding, number, run)
            packs += [own for own in _apart(segments) if own]
            step.segments += len(segments)
            step.size_bytes += sum(len(sent.segment.data) for sent in segments)
            if len(packs) >= _PACKS_AT_ONCE:
                await asyncio.to_thread(writing.folder.write_packs, holding.digest, number, packs)
                packs = []
                if step.size_bytes >= STEP_BYTES:
                    step.already += sum(index < run[-1] for index in there)
                    return CarriedPlace(holding.digest, number, run[-1] + 1)
        await asyncio.to_thread(writing.folder.write_packs, holding.digest, number, packs)
        step.already += len(there)
        return None

    async def _read(self, holding: Holding, number: int, run: list[int]) -> list[SegmentSent]:
        segments = []
        for index in run:
            try:
                segments.append(await read_segment(self._context, holding, number, index))
            except NotFoundError:  # the store lost it: who brought it may bring it again
                lose(self._context, holding, number, index)
        return segments

    async def _waiting(self, to: str, after: bytes) -> AsyncIterator[StoredFileSet]:
        """What is to go to ``to``, by digest, from the message ``after`` on."""
        now, directory = self._node.clock(), self._node.directory.current
        if after:
            after = (int.from_bytes(after, "big") - 1).to_bytes(DIGEST_BYTES, "big") if any(after) else b""
        while page := await self._node.store.reads.file_sets(after, _PAGE):
            for stored in page:
                hop = next((hop for hop in stored.hops if hop.party == to), None)
                if hop is None or hop.state is not HopState.WAITS or stored.expires <= now:
                    continue
                if "@" in to or may_pass_on(hop, stored.sender, directory, now):
                    yield stored
            after = page[-1].digest

    # --- Taking -------------------------------------------------------------------------------------------------------

    async def take(self, path: str, begin: str) -> CarriedStep:
        """Take some of what the folder has and is missing here, each segment verified and durable on return.

        Harmless to repeat. It tells of each message whose files it cannot take, and takes the others. Raises
        ``StorageFullError`` and its kin when nothing can be taken now, ``UsageError`` and ``BundleAlteredError``.
        """
        step, at, folder = CarriedStep(), CarriedPlace.parse(begin), CarriedFolder(_path(path))
        async with self._one_at_a_time:
            for digest in await asyncio.to_thread(folder.messages):
                if digest < at.digest:
                    continue
                if digest != at.digest:
                    at = CarriedPlace(digest)
                if step.size_bytes >= STEP_BYTES:
                    step.next = str(at)
                    break
                try:
                    following = await self._take_some(_Taking(folder, step), at)
                except UnavailableError:
                    raise
                except ComityError as problem:
                    step.refuse(digest, problem)
                    continue
                if following is not None:
                    step.next = str(following)
                    break
        self._log("files-imported", self._node.name, step)
        return step

    async def _take_some(self, taking: _Taking, at: CarriedPlace) -> CarriedPlace | None:
        """As much as the step has room for; where to go on, None at the end of this message's files."""
        stored = await self._node.store.reads.file_set(at.digest)
        if stored is None:
            raise FileUnknownError("no message of this digest with files is here")
        if stored.ended:
            raise gone(stored)
        file_list = await asyncio.to_thread(taking.folder.file_list, at.digest)
        announced = FilesAnnounced(at.digest, file_list)
        try:
            await self._intake.announce(announced, stored.payer)
        except (FileQuotaError, StorageFullError) as problem:  # there may be room for those of another message
            taking.step.refuse(at.digest, problem)
            return None
        holding = await self._context.holdings.find(at.digest)
        if holding is None:
            raise FileGoneError("these files were let go here")
        if holding.marks.absent:  # before the files are whole: who fetches them then gets this with them
            await self._context.hands.keep(at.digest, await asyncio.to_thread(taking.folder.hands, at.digest))
        before = taking.step.segments, taking.step.size_bytes
        taking.step.messages += at.file == 0 and at.segment == 0
        try:
            return await self._take_packs(taking, holding, at)
        finally:
            segments, size = taking.step.segments - before[0], taking.step.size_bytes - before[1]
            if segments:
                hand = await asyncio.to_thread(self._hand, taking.folder, at.digest)
                await asyncio.to_thread(note_hand, self._hands, at.digest, self._imported(hand, segments, size))

    async def _take_packs(self, taking: _Taking, holding: Holding, at: CarriedPlace) -> CarriedPlace | None:
        for number in range(at.file, len(holding.files.files)):
            first = at.segment if number == at.file else 0
            blocks = [] if holding.marks.whole(number) else await self._blocks(taking, holding, number)
            for block in blocks:
                if block < first // BLOCK:
                    continue
                for pack in await asyncio.to_thread(taking.folder.packs, holding.digest, number, block):
                    if pack.first < first or pack.first // BLOCK != block or not _lacks(holding, number, pack):
                        continue
                    if taking.step.size_bytes >= STEP_BYTES:
                        return CarriedPlace(holding.digest, number, pack.first)
                    await self._take_pack(taking, holding, number, pack)
        return None

    async def _blocks(self, taking: _Taking, holding: Holding, number: int) -> list[int]:
        blocks = await asyncio.to_thread(taking.folder.blocks, holding.digest, number)
        return [block for block in blocks if block * BLOCK < holding.files.files[number].segments]

    async def _take_pack(self, taking: _Taking, holding: Holding, number: int, pack: Pack) -> None:
        """One pack; a damaged one goes, so that the next export to this folder writes it anew."""
        payer = holding.stored.payer
        try:
            segments = await asyncio.to_thread(taking.folder.read_pack, holding.digest, number, pack)
            fresh = [one for one in segments if not _has(holding, one)]
            answers = await self._intake.take(holding.digest, segments, payer)
        except (MalformedError, BundleAlteredError) as problem:
            await self._damaged(taking, holding, (number, pack), problem)
            return
        taken = [one for one in fresh if _has(holding, one)]
        taking.step.segments += len(taken)
        taking.step.size_bytes += sum(len(one.segment.data) for one in taken)
        refusal = next((answer for answer in answers if answer is not None), None)
        if refusal is not None or _lacks(holding, number, pack):
            await self._damaged(taking, holding, (number, pack), refusal)

    async def _damaged(
        self, taking: _Taking, holding: Holding, place: tuple[int, Pack], problem: ComityError | None
    ) -> None:
        told = problem if isinstance(problem, FileUnknownError) else FileAlteredError("a pack is damaged")
        taking.step.refuse(holding.digest, told)
        await asyncio.to_thread(taking.folder.drop, holding.digest, *place)

    def _hand(self, folder: CarriedFolder, digest: bytes) -> Hand | None:
        """Who exported these files, by the exporter's own signature; None where it cannot be verified."""
        try:
            data = folder.hand(digest)
            hand = None if data is None else parse_hand(data)
            if hand is None or hand.digest != digest or hand.recipient != self._node.name:
                return None
            directory, now = self._node.directory.current, self._node.clock()
            verify_hand(hand, carried_key(directory, hand.sender, hand.signed.kid, hand.created, now))
        except ComityError:
            return None
        else:
            return hand

    def _imported(self, hand: Hand | None, segments: int, size: int) -> CarriedHand:
        at = to_text(truncate(self._node.clock()))
        if hand is None:
            return CarriedHand("imported", at, None, None, None, segments, size)
        return CarriedHand("imported", at, hand.sender, hand.recipient, to_text(hand.created), segments, size)

    def _log(self, event: str, to: str, step: CarriedStep) -> None:
        self._node.log.info(event, partner=to, count=step.segments, size=step.size_bytes)


@dataclass(frozen=True, slots=True)
class _Taking:
    folder: CarriedFolder
    step: CarriedStep


@dataclass(frozen=True, slots=True)
class _Writing:
    """The files of one message on their way into the folder; ``has`` is what the other side told that it has."""

    folder: CarriedFolder
    holding: Holding
    has: SegmentMarks
    step: CarriedStep

    def blocks(self, at: CarriedPlace) -> Iterator[CarriedPlace]:
        """The places at which blocks begin, from ``at`` on, of files of which anything is to be written."""
        for number in range(at.file, len(self.holding.files.files)):
            first = at.segment if number == at.file else 0
            index = self.holding.marks.present_only_here(self.has, number, first)
            while index is not None:
                yield CarriedPlace(self.holding.digest, number, index)
                index = self.holding.marks.present_only_here(self.has, number, (index // BLOCK + 1) * BLOCK)

    def lacking(self, place: CarriedPlace) -> tuple[list[list[int]], list[int]]:
        """Runs of segments of one block that are here, and neither there nor in the folder; each fits into a pack.

        And those that are here, not there, and in the folder already.
        """
        digest, number, block = self.holding.digest, place.file, place.segment // BLOCK
        self.folder.tidy(digest, number, block)
        covered: set[int] = set()
        for pack in self.folder.packs(digest, number, block):
            if self._looks_whole(number, pack):
                covered.update(range(pack.first, pack.first + pack.count))
        runs: list[list[int]] = []
        there: list[int] = []
        room, most = 0, (block + 1) * BLOCK
        index = self.holding.marks.present_only_here(self.has, number, place.segment)
        while index is not None and index < most:
            if index in covered:
                there.append(index)
            else:
                length = self.holding.files.files[number].extent(index)[1]
                if not runs or runs[-1][-1] != index - 1 or room < length or len(runs[-1]) == MAX_SEGMENTS:
                    runs.append([])
                    room = MAX_DATA_BYTES
                runs[-1].append(index)
                room -= length
            index = self.holding.marks.present_only_here(self.has, number, index + 1)
        return runs, there

    def _looks_whole(self, number: int, pack: Pack) -> bool:
        file = self.holding.files.files[number]
        if pack.first + pack.count > file.segments or pack.count > MAX_SEGMENTS:
            return False
        last = file.extent(pack.first + pack.count - 1)
        return pack.size_bytes >= sum(last) - file.extent(pack.first)[0]


def _path(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute() or "\0" in text:
        raise UsageError("the folder is named by its whole path")
    return path


def _has(holding: Holding, one: SegmentSent) -> bool:
    files = holding.files.files
    known = one.file < len(files) and one.segment.index < files[one.file].segments
    return known and holding.marks.has(one.file, one.segment.index)


def _lacks(holding: Holding, number: int, pack: Pack) -> bool:
    """Whether a segment that the pack's name promises is missing here."""
    end = min(pack.first + pack.count, holding.files.files[number].segments)
    return any(not holding.marks.has(number, index) for index in range(pack.first, end))


def _apart(segments: list[SegmentSent]) -> Iterator[list[SegmentSent]]:
    """Runs of segments that follow each other: one that was lost parts two."""
    run: list[SegmentSent] = []
    for sent in segments:
        if run and run[-1].segment.index + 1 != sent.segment.index:
            yield run
            run = []
        run.append(sent)
    yield run

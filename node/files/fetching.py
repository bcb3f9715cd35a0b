"""A node that nobody can reach fetches the files of its messages at its relay, by requests of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from keys.transport.as_they_come import AsTheyCome
from node.files._marks import SegmentMarks
from node.files.context import FilesContext
from node.files.delivery import BATCH_BYTES, BATCH_SEGMENTS
from node.files.holdings import Holding
from node.files.intake import FileIntake, whole_of
from node.log.wakeups import ANY_FILES
from node.operations.logging import log_defect
from node.peers.routes import relay_to_ask
from node.store.file_operations import RecordFilesExpired
from node.store.file_reads import StoredFileSet
from protocol.errors import ComityError, FileCancelledError, FileGoneError, FileNotHereError, NotFoundError
from protocol.files.file_list import check_list
from protocol.files.logged import CANCELLED, GONE_BEFORE
from protocol.http.file_progress import ProgressAsked
from protocol.http.files import MAX_DATA_BYTES, FilesAnnounced, FilesShare, FilesWanted, SegmentSent, SegmentsWanted

T = TypeVar("T")

# How often it looks for files while some are missing, and while none is.
_LOOK_S = 1.0
_IDLE_S = 5.0
_MESSAGES = 8
# Files of which nothing new came rest so long at most; of so many messages it is known how often nothing came.
_REST_S = 30.0
_MOST_KNOWN = 10_000
# So long the sender's own node is asked why files are gone.
_ASK_S = 5.0


class FileFetcher:
    """Fetches from the relay that this node's card names, as long as the card has no address of its own."""

    def __init__(self, context: FilesContext, intake: FileIntake) -> None:
        self._context = context
        self._node = context.node
        self._intake = intake
        self._failures = 0
        self._resting: dict[bytes, float] = {}  # until when, by the loop's clock
        self._rests_s: dict[bytes, float] = {}
        self._at_relay: dict[bytes, SegmentMarks] = {}  # segments that are to be fetched there, by message

    async def run(self) -> None:
        """Fetch for ever; returns only by cancellation."""
        with self._node.sequencer.wakeups.watch(ANY_FILES) as news:
            while True:
                await news.wait(max(await self._round(), 0.001))

    async def _round(self) -> float:
        """Fetch some of each message's files; how long to wait before the next round."""
        relay = relay_to_ask(self._node.directory.current, self._node.name)
        pause_s = _IDLE_S
        try:
            if relay is not None:
                pause_s = await self._some(relay)
                self._failures = 0
        except ComityError as problem:
            self._failures += 1
            self._node.metrics.delivery_failures.labels(relay or "", problem.code).inc()
            self._node.log.warning("files-delayed", partner=relay, code=problem.code, attempts=self._failures)
            pause_s = self._node.settings.delivery.pause_s(self._failures)
        except Exception as problem:  # noqa: BLE001 - a defect in one round must not end the fetching for good
            self._node.metrics.internal_errors.inc()
            log_defect(self._node.log, problem, partner=relay or "")
            pause_s = _IDLE_S
        return pause_s

    async def _some(self, relay: str) -> float:
        """Go round the messages whose files do not rest; how long to wait before the next round."""
        now = asyncio.get_running_loop().time()
        self._resting = {digest: until for digest, until in self._resting.items() if until > now}
        waiting = await self._node.store.reads.files_from(relay, _MESSAGES, self._resting)
        came = False
        for stored in waiting:
            if await self._one(relay, stored):
                came = True
                self._rests_s.pop(stored.digest, None)
            else:  # nothing new there: others come first, and this one less and less often
                rest_s = min(2 * self._rests_s.get(stored.digest, _LOOK_S / 2), _REST_S)
                self._rests_s[stored.digest], self._resting[stored.digest] = rest_s, now + rest_s
        if len(self._rests_s) > _MOST_KNOWN:
            self._rests_s.clear()
        return 0.0 if came else _LOOK_S if waiting or self._resting else _IDLE_S

    async def _one(self, relay: str, stored: StoredFileSet) -> bool:
        """Fetch some of what is missing of one message's files; whether anything came."""
        self._context.monitor.require_trusted(relay)
        client = self._node.partners.get(relay)
        try:
            if stored.file_list is None:
                held = await client.fetch_files(FilesWanted(stored.digest, has=FilesShare(0, 0)), 0)
                check_list(held.file_list, stored.file_set)
                announced = FilesAnnounced(stored.digest, held.file_list, held.hands)
                return await self._here(self._intake.announce(announced, relay)) is not None
            holding = await self._context.holdings.of(stored)
            if holding is None:
                return False
            if not holding.marks.absent:
                self._at_relay.pop(stored.digest, None)
                await self._intake.settle(holding)
                return False
            wanted = await self._wanted(relay, holding)
            came = await asyncio.gather(*(self._fetch(relay, holding, batch) for batch in wanted))
        except (FileNotHereError, NotFoundError):
            return False
        except FileGoneError as problem:
            await self._gone(relay, stored, problem)
            return False
        return any(came)

    async def _wanted(self, relay: str, holding: Holding) -> list[list[SegmentsWanted]]:
        """What to ask for now: missing here, and at the relay as far as it told."""
        most = self._node.settings.files.requests_at_once
        told = self._at_relay.pop(holding.digest, None)
        batches = [] if told is None else _batches(holding, told, most)
        if not batches:
            held = await self._node.partners.get(relay).fetch_files(FilesWanted(holding.digest, has=holding.share), 0)
            await self._context.hands.keep(holding.digest, held.hands)
            told = SegmentMarks.of_ranges(holding.files, held.held)
            batches = _batches(holding, told, most)
        if told is not None and batches and len(self._at_relay) < _MESSAGES:
            self._at_relay[holding.digest] = told
        return batches

    async def _fetch(self, relay: str, holding: Holding, wanted: Sequence[SegmentsWanted]) -> bool:
        """One request; whether anything came."""
        slowest = self._node.settings.files.slowest_bytes_per_s
        client = self._node.partners.get(relay)
        taken = 0

        async def took(segments: Sequence[SegmentSent]) -> None:
            nonlocal taken
            answers = await self._here(self._intake.take(holding.digest, segments, relay))
            taken += 0 if answers is None else answers.count(None)

        coming = AsTheyCome[SegmentSent](took, lambda sent: memoryview(sent.segment.data).nbytes, BATCH_BYTES // 2)
        try:
            asked = FilesWanted(holding.digest, tuple(wanted), holding.share)
            await client.fetch_files(asked, MAX_DATA_BYTES / slowest, coming.add)
        finally:
            await coming.leave()
        return taken > 0

    async def _here(self, taken: Awaitable[T]) -> T | None:
        """What this node made of it; None where it could not take it now, which is no fault of the relay."""
        try:
            return await taken
        except ComityError as problem:
            self._node.log.warning("files-not-taken", code=problem.code)
            self._node.metrics.refusals.labels("files-fetching", problem.code).inc()
            return None

    async def _gone(self, relay: str, stored: StoredFileSet, problem: FileGoneError) -> None:
        """The relay let them go before they were here: they end here too, for the reason that is true."""
        self._at_relay.pop(stored.digest, None)
        reason = await self._why(relay, stored, problem)
        whole = whole_of(stored, await self._context.holdings.of(stored))
        with self._context.holdings.ending(stored.digest):
            await self._context.store.delete(stored.digest)
            operation = RecordFilesExpired(stored.digest, reason, whole, self._node.clock())
            await self._node.sequencer.perform(operation)
        self._node.log.info("files-gone", count=stored.file_set.count, code=reason)
        self._node.sequencer.wakeups.notify((ANY_FILES,))

    async def _why(self, relay: str, stored: StoredFileSet, problem: FileGoneError) -> str:
        """Whether their sender took them back: by the word of its own node, or of the relay if that cannot be asked.

        A relay that lost them, or let them go too early, is not to say that their sender did.
        """
        cancelled = isinstance(problem, FileCancelledError)
        try:
            origin = self._node.directory.current.serving_node(stored.sender, self._node.clock())
            if origin != relay and self._node.partners.can_reach(origin):
                async with asyncio.timeout(_ASK_S):
                    told = await self._node.partners.get(origin).file_progress(ProgressAsked(stored.digest))
                cancelled = told[0].end == CANCELLED
        except (ComityError, TimeoutError) as unanswered:
            self._node.log.info("files-origin-not-asked", code=getattr(unanswered, "code", "unavailable"))
        return CANCELLED if cancelled else GONE_BEFORE


def _batches(holding: Holding, told: SegmentMarks, most: int) -> list[list[SegmentsWanted]]:
    """What ``told`` has and is missing here, for so many requests of some bytes; taken out of ``told``."""
    batches: list[list[SegmentsWanted]] = []
    size = 0
    for number, file in enumerate(holding.files.files):
        index = told.present_only_here(holding.marks, number, 0)
        while index is not None:
            length = file.extent(index)[1]
            if not batches or size + length > BATCH_BYTES or len(batches[-1]) == BATCH_SEGMENTS:
                if len(batches) == most:
                    return batches
                batches.append([])
                size = 0
            batches[-1].append(SegmentsWanted(number, index, 1))
            size += length
            told.remove(number, index)
            index = told.present_only_here(holding.marks, number, index + 1)
    return batches

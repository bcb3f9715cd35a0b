"""Pushing files to the next node: announced there, then what it lacks, as soon as that is here.

A task for each partner with files, as for messages; so a partner that is down or slow delays nobody else. It goes round
its messages and takes a batch of segments from each, so that a large file does not keep a small one waiting. A segment
goes on as soon as it is here: its path lies beside it. A message for the partner that is due goes first.

A partner has the files when its own log says so (:mod:`node.relay.receipt_intake`); until then they stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from keys.transport.client import StreamedBody
from node.files._marks import SegmentMarks
from node.files._outgoing import SegmentsOut
from node.files._passage import may_pass_on
from node.files.context import FilesContext
from node.files.holdings import Holding
from node.files.serving import look_at, lose
from node.log.wakeups import ANY_FILES, Watch, calling
from node.operations.logging import log_defect
from node.store.file_operations import RecordCancelTold
from node.store.file_reads import HopState, StoredFileSet
from protocol.errors import (
    ComityError,
    ExpiredError,
    FileAlteredError,
    FileGoneError,
    FileNotReservedError,
    FileNotSupportedError,
    FileQuotaError,
    FileSetMismatchError,
    FileUnknownError,
    StorageFullError,
)
from protocol.files.logged import CANCELLED
from protocol.http import wire
from protocol.http.files import FilesAnnounced, FilesTakenBack
from protocol.http.problem import is_final

# One request carries so much, in many small files; or else a single segment, so that after a kill no more than that is
# sent again for each request that was under way.
BATCH_BYTES = 1024 * 1024
BATCH_SEGMENTS = 256
# So many messages' files go to one partner in turn.
_MESSAGES_AT_ONCE = 8
_LOOK_AGAIN_S = 5.0
_MAX_SLEEP_S = 60.0
# A batch of segments waits so long at most for messages that are due.
_YIELD_S = 0.25
_YIELD_STEP_S = 0.02
# That no message was due is known for so long; and which messages' files wait, unless there is news of them.
_CLEAR_S = 0.2
_LOOKED_S = 0.5
# Refusals of one message's files alone: those of others may go on.
OF_ONE_MESSAGE = (
    ExpiredError,
    FileGoneError,
    FileNotSupportedError,
    FileQuotaError,
    FileSetMismatchError,
    FileUnknownError,
    StorageFullError,
)
# A partner that has everything is asked again whether it lost something only after so long.
_CONFIRM_S = 15.0


@dataclass(slots=True)
class _Push:
    """The files of one message on their way to one partner."""

    holding: Holding
    lacks: SegmentMarks | None = None  # segments that the partner lacks, as far as it told; None: to be asked
    under_way: int = 0
    again_at: float = 0.0  # not before then, by the loop's clock
    confirmed: bool = False  # it said once that it lacks nothing
    has_bytes: int = -1  # what it said that it has
    repeats: int = 0  # so often it acknowledged all, and then had no more than before
    cursor: tuple[int, int] = (0, 0)


class FileDelivery:
    """All files that wait for partners of one node."""

    def __init__(self, context: FilesContext) -> None:
        self._context = context
        self._node = context.node
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Keep one task per partner that waits for files; returns only by cancellation, its tasks with it."""
        try:
            with self._node.sequencer.wakeups.watch(ANY_FILES) as watch:
                while True:
                    await self._begin()
                    await watch.wait(_LOOK_AGAIN_S)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks.clear()

    async def _begin(self) -> None:
        try:
            waiting = await self._node.store.reads.file_partners()
        except ComityError as problem:
            self._node.log.warning("files-interrupted", code=problem.code)
            return
        for partner in waiting:
            task = self._tasks.get(partner)
            if (task is None or task.done()) and self._node.partners.can_reach(partner):
                queue = PartnerFiles(self._context, partner)
                self._tasks[partner] = asyncio.create_task(queue.run(), name=f"files-{partner}")


class PartnerFiles:
    """The files that wait for one partner; ends when none does any more."""

    def __init__(self, context: FilesContext, partner: str) -> None:
        self._context = context
        self._node = context.node
        self._partner = partner
        self._settings = context.node.settings.files
        self._pushes: dict[bytes, _Push] = {}
        self._order: list[bytes] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._resting: dict[bytes, float] = {}  # until when, by the loop's clock
        self._refusals: dict[bytes, int] = {}
        self._clear_until = self._looked_until = 0.0  # by the loop's clock

    async def run(self) -> None:
        """Send until nothing waits; what is under way is given up with it."""
        try:
            wakeups = self._node.sequencer.wakeups
            with wakeups.watch(calling(self._partner)) as calls, wakeups.watch(ANY_FILES) as news:
                while await self._look():
                    if self._failures:
                        pause_s = self._node.settings.delivery.pause_s(self._failures - 1)
                        await calls.wait(max(pause_s, 0.001))
                    await self._turn(news)
        finally:
            for request in self._under_way:
                request.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    # --- Work to do -------------------------------------------------------------------------------------------------

    async def _look(self) -> bool:
        """Take up what waits for the partner; False when that is nothing."""
        if not self._node.partners.can_reach(self._partner):
            return False
        now = asyncio.get_running_loop().time()
        if self._under_way and not self._failures and now < self._looked_until:
            return True
        self._looked_until = now + _LOOKED_S
        try:
            waiting = await self._node.store.reads.files_for(self._partner, _MESSAGES_AT_ONCE, self._rested())
            for stored in waiting:
                if stored.state_of(self._partner) is HopState.TO_BE_TOLD:
                    await self._tell_cancelled(stored)
                elif stored.digest not in self._pushes:
                    await self._take_up(stored)
        except ComityError as problem:
            self._failed(problem)
            return True
        kept = {stored.digest for stored in waiting if stored.state_of(self._partner) is HopState.WAITS}
        kept -= self._resting.keys()
        for digest in [digest for digest in self._pushes if digest not in kept]:
            del self._pushes[digest]
        self._order = [digest for digest in self._order if digest in self._pushes]
        return bool(waiting) or bool(self._under_way) or bool(self._resting)

    async def _take_up(self, stored: StoredFileSet) -> None:
        holding = await self._context.holdings.of(stored) if self._may_go(stored) else None
        if holding is None:
            self._rest(stored.digest)
        else:
            self._pushes[stored.digest] = _Push(holding)
            self._order.append(stored.digest)

    def _rested(self) -> list[bytes]:
        """Messages whose files the partner does not take now; meanwhile others have their place."""
        now = asyncio.get_running_loop().time()
        for digest in [digest for digest, until in self._resting.items() if until <= now]:
            del self._resting[digest]
        return list(self._resting)

    def _may_go(self, stored: StoredFileSet) -> bool:
        """Whether anything may be sent: within its time, on a way that the sender's nation allows."""
        now = self._node.clock()
        hop = next(hop for hop in stored.hops if hop.party == self._partner)
        return stored.expires > now and may_pass_on(hop, stored.sender, self._node.directory.current, now)

    async def _tell_cancelled(self, stored: StoredFileSet) -> None:
        with suppress(FileUnknownError, FileGoneError):  # it has nothing of them
            await self._node.partners.get(self._partner).cancel_files(
                FilesTakenBack(stored.digest, stored.end_reason or CANCELLED)
            )
        await self._node.sequencer.perform(RecordCancelTold(stored.digest, self._partner))

    # --- Sending ------------------------------------------------------------------------------------------------------

    async def _turn(self, news: Watch) -> None:
        """Begin as many requests as may be under way, then wait for one to end, or for something to send.

        ``news`` are of files of other messages: they do not wait until those that are taken up have an end.
        """
        while len(self._under_way) < self._settings.requests_at_once:
            push = self._next()
            if push is None:
                break
            push.under_way += 1
            if push.lacks is None:
                request = asyncio.create_task(self._ask(push))
            else:
                batch = self._batch(push)
                request = asyncio.create_task(self._send(push, batch))
            self._under_way.add(request)
        changes = [push.holding.next_change for push in self._pushes.values()]
        waits: list[asyncio.Task[object]] = [asyncio.create_task(change.wait()) for change in changes]
        waits.append(asyncio.create_task(news.wait(self._rest_s())))
        try:
            await asyncio.wait([*self._under_way, *waits], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if waits[-1].done():
                self._looked_until = 0.0
            for wait in waits:
                wait.cancel()
        for request in [request for request in self._under_way if request.done()]:
            self._under_way.discard(request)
            self._ended(request)

    def _rest_s(self) -> float:
        """Until a push that rests may go on."""
        now = asyncio.get_running_loop().time()
        later = [push.again_at - now for push in self._pushes.values() if push.again_at > now]
        return min([*later, *(until - now for until in self._resting.values() if until > now), _LOOK_AGAIN_S])

    def _next(self) -> _Push | None:
        """The next message in turn that there is something to do for."""
        now = asyncio.get_running_loop().time()
        for _ in range(len(self._order)):
            digest = self._order.pop(0)
            self._order.append(digest)
            push = self._pushes[digest]
            if push.again_at > now or push.holding.ended:
                continue
            if push.lacks is None:
                if not push.under_way:
                    return push
            elif push.under_way < self._settings.requests_at_once and self._first(push) is not None:
                return push
            elif not push.lacks.present and not push.under_way:
                # All was sent: whether the partner has it all, it says itself, and soon its log does.
                push.lacks, push.again_at = None, now + (_CONFIRM_S if push.confirmed else 0.0)
                push.confirmed = True
                if push.again_at <= now:
                    return push
        return None

    def _first(self, push: _Push) -> tuple[int, int] | None:
        """The first segment from the cursor on that the partner lacks and that is here."""
        lacks, marks = push.lacks, push.holding.marks
        if lacks is None or not lacks.present:
            return None
        files = len(push.holding.files.files)
        number, index = push.cursor
        for step in range(files + 1):
            at = (number + step) % files
            found = lacks.present_in_both(marks, at, index if step == 0 else 0)
            if found is not None:
                return at, found
        return None

    def _batch(self, push: _Push) -> list[tuple[int, int]]:
        """Segments for one request; they count as sent until the partner says otherwise."""
        places: list[tuple[int, int]] = []
        size = 0
        while len(places) < BATCH_SEGMENTS and (place := self._first(push)) is not None:
            size += push.holding.files.files[place[0]].extent(place[1])[1]
            if places and size > BATCH_BYTES:
                break
            places.append(place)
            if push.lacks is not None:
                push.lacks.remove(*place)
            push.cursor = place
        return places

    async def _ask(self, push: _Push) -> None:
        """Announce the files, again too; the partner says what it lacks."""
        try:
            self._context.monitor.require_trusted(self._partner)
            stored, files = push.holding.stored, push.holding.files
            hands = await self._context.hands.of(stored.digest)
            announced = FilesAnnounced(stored.digest, stored.file_list or b"", hands)
            missing = await self._node.partners.get(self._partner).announce_files(announced, len(files.files))
            push.lacks = SegmentMarks.of_ranges(files, missing)
            if push.lacks.present:
                self._note_lacks(push, push.lacks)
            self._worked()
        except OF_ONE_MESSAGE as problem:
            # It let them go, or its message is not there yet: its log will say, or the message's time ends.
            self._refused(push, problem)
        finally:
            push.under_way -= 1

    def _note_lacks(self, push: _Push, lacks: SegmentMarks) -> None:
        """It lacks something. Segments that it acknowledged go again, the later the more often that helped nothing."""
        if push.confirmed and lacks.absent_bytes <= push.has_bytes:
            push.repeats += 1
            pause_s = self._node.settings.delivery.pause_s(push.repeats)
            push.again_at = asyncio.get_running_loop().time() + pause_s
        push.has_bytes, push.confirmed = lacks.absent_bytes, False

    async def _send(self, push: _Push, places: Sequence[tuple[int, int]]) -> None:
        """Send a batch; what the partner does not take it is asked about again."""
        try:
            size = sum(push.holding.files.files[number].extent(index)[1] for number, index in places)
            await self._messages_first()
            await self._context.pace.take(self._partner, size)
            out = SegmentsOut(self._context, push.holding)
            async with self._context.in_memory:
                verdicts = await self._sent(push, out, places)
            if verdicts is None:
                return
            self._node.metrics.file_bytes.labels("sent").inc(size)
            self._node.history.sent(self._partner, size)
            self._worked()
            for place, verdict in zip(places, verdicts, strict=True):
                if isinstance(verdict, FileAlteredError):
                    await look_at(self._context, push.holding, *place)
            refusal = next((verdict for verdict in verdicts if verdict is not None), None)
            if refusal is not None:  # it is asked again what it lacks, and less often the more it refuses
                self._refused(push, refusal)
            else:
                self._refusals.pop(push.holding.digest, None)
        except (FileNotReservedError, *OF_ONE_MESSAGE) as problem:
            self._refused(push, problem)
        except BaseException:
            push.lacks = None  # nobody knows what arrived
            raise
        finally:
            push.under_way -= 1

    async def _sent(
        self, push: _Push, out: SegmentsOut, places: Sequence[tuple[int, int]]
    ) -> list[ComityError | None] | None:
        """The partner's verdicts; None where this node's own store cannot give them, which is no fault of the partner.

        The request breaks off then: what the partner has of it, it is asked.
        """
        length = out.body_length(places)
        body = StreamedBody(length, wire.CONTENT_TYPE, lambda: out.body(places))
        client, extra_s = self._node.partners.get(self._partner), length / self._settings.slowest_bytes_per_s
        try:
            return await client.send_segments(push.holding.digest, body, len(places), extra_s)
        except ComityError:
            if out.problem is None:
                raise
        push.lacks = None
        for number, index in out.lost:
            lose(self._context, push.holding, number, index)
        if not out.lost:
            self._node.log.warning("files-not-read", code=out.problem.code)
            self._rest(push.holding.digest)
        return None

    async def _messages_first(self) -> None:
        """Let the messages go that are due for the partner, if that does not take long."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._clear_until:
            return
        until = loop.time() + _YIELD_S
        while await self._node.store.reads.envelope_waits(self._partner, self._node.clock()):
            if loop.time() >= until:
                return
            await asyncio.sleep(_YIELD_STEP_S)
        self._clear_until = loop.time() + _CLEAR_S

    # --- How it went --------------------------------------------------------------------------------------------------

    def _refused(self, push: _Push, problem: ComityError) -> None:
        """The partner does not take this message's files now."""
        push.lacks = None
        self._node.metrics.refusals.labels("files", problem.code).inc()
        self._rest(push.holding.digest)

    def _rest(self, digest: bytes) -> None:
        self._looked_until = 0.0
        refusals = self._refusals[digest] = self._refusals.get(digest, 0) + 1
        pause_s = self._node.settings.delivery.pause_s(refusals)
        self._resting[digest] = asyncio.get_running_loop().time() + max(pause_s, 0.01)

    def _worked(self) -> None:
        if self._failures:
            self._node.log.info("files-resumed", partner=self._partner)
            self._node.history.resumed(self._partner)
        self._failures = 0

    def _ended(self, request: asyncio.Task[None]) -> None:
        if request.cancelled():
            return
        problem = request.exception()
        if problem is None:
            return
        if isinstance(problem, ComityError):
            self._failed(problem)
        else:
            self._node.metrics.internal_errors.inc()
            log_defect(self._node.log, problem, partner=self._partner)
            self._failures += 1

    def _failed(self, problem: ComityError) -> None:
        """The partner, or this node, cannot do it now: everything to this partner rests for a while."""
        self._failures += 1
        self._node.metrics.delivery_failures.labels(self._partner, problem.code).inc()
        self._node.history.failed(self._partner, problem)
        if not is_final(problem):
            self._node.log.warning("files-delayed", partner=self._partner, code=problem.code, attempts=self._failures)
        else:
            self._node.log.error("files-refused", partner=self._partner, code=problem.code, attempts=self._failures)

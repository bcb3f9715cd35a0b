"""Keeping watch: what arrives and what becomes due, as soon as it does, for as long as the program runs.

A watch ends only when it is closed. A part that refuses (the node, the directory, the disk) may work again: the watch
says once what stands in its way, tells meanwhile what it can see, and tries again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ParamSpec, TypeVar

from exchange.cases.agenda import Notice
from exchange.context.desk_context import Clock
from exchange.desk.desk import Desk
from exchange.desk.notify import CHANNEL, Channel
from exchange.views import InboxRow, SyncResult
from protocol.encoding.phrase import phrase
from protocol.errors import CheckpointStaleError, ComityError, UnavailableError

DESK_CHANNEL = "desk"
FILES = "files"
# The agenda is looked at so often at least: a machine may sleep, and clocks are set.
TURN_S = 30.0
# So often the log of the desk's own node is compared with what was seen of it.
LOG_EVERY = timedelta(minutes=10)
# So often a watch looks whether another program of this desk took something.
OTHERS_EVERY_S = 0.5
# After an error the node is listened to again: after a random time up to the first, doubled up to the second.
RETRY_FIRST_S = 0.2
RETRY_MOST_S = 30.0

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TryFailed:
    """Notices could not be told over a channel: they are told again at the next turn."""

    channel: str
    error: ComityError


@dataclass(frozen=True, slots=True)
class LogContradicted:
    """The log of the desk's own node contradicts what it showed before; ``detail`` says where the proof lies."""

    detail: str


@dataclass(frozen=True, slots=True)
class LogStale:
    """The log of the desk's own node shows this desk no state of now, as ``detail`` says."""

    detail: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Something keeps this watch from seeing everything. It goes on and tries again; each cause is told once."""

    error: ComityError


Seen = SyncResult | Notice | TryFailed | LogContradicted | LogStale | Interrupted


async def watch(
    desk: Desk, channels: Sequence[Channel], clock: Clock, turn_s: float = TURN_S, *, here: bool = True
) -> AsyncGenerator[Seen, None]:
    """What arrives, and each notice once, in the order in which it happens; ends only when closed.

    Without ``here``, notices go over the channels alone: those for a person at the desk wait for one who watches.

    A notice counts as given when it was yielded and the next one is asked for: one that a crash cut off is given again.
    """
    arrivals = _Arrivals(desk)
    turn = _LogTurn(clock)
    trying = _Trying()
    await trying.do("begin", arrivals.begin)
    delivery, moving = _delivery(desk, clock, turn_s), _moving(desk, turn_s)
    try:
        while True:
            if desk.settings.transport != "file":
                found = await trying.do("log", turn.look, desk)
                if found is not None:
                    yield found
            async with aclosing(_due(desk, channels, trying, here=here)) as due:
                async for told in due:
                    yield told
            for failure in (*delivery.turn(), *moving.turn()):
                yield failure
            until = await trying.do("agenda", _until_next, desk, clock, turn_s)
            if isinstance(until, Interrupted):
                yield until
            wait = until if isinstance(until, float) else turn_s
            result = await trying.do("arrivals", arrivals.next, wait)
            if result is not None and result != SyncResult(cursor=getattr(result, "cursor", 0)):
                yield result
    finally:
        await moving.close()
        await delivery.close()
        await arrivals.close()


async def _due(desk: Desk, channels: Sequence[Channel], trying: _Trying, *, here: bool) -> AsyncGenerator[Seen, None]:
    """The notices of the desk, one by one, and what keeps them or a channel's from being told."""
    async with aclosing(told_here(desk)) as notices:
        while here and (notice := await trying.do("notices", anext, notices, None)) is not None:
            yield notice
            if isinstance(notice, Interrupted):
                break
    for channel in channels:
        failure = await trying.do(f"channel {channel.name}", tell, desk, channel)
        if failure is not None:
            yield failure
    for what, work in (("webhook", desk.webhooks.queue), ("events", desk.events.record_due)):
        done = await trying.do(what, work)
        if isinstance(done, Interrupted):
            yield done


class _Trying:
    """Does what may fail for a while, and says once why it did."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    async def do(
        self, what: str, work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T | Interrupted | None:
        """What ``work`` gives; :class:`Interrupted` when it failed, None when that was told already."""
        try:
            result = await work(*args, **kwargs)
        except (ComityError, OSError) as problem:
            error = (
                problem
                if isinstance(problem, ComityError)
                else UnavailableError(phrase("this machine: {why}", why=problem))
            )
            if self._told.get(what) == error.code:
                return None
            self._told[what] = error.code
            return Interrupted(error)
        self._told.pop(what, None)
        return result


class _Arrivals:
    """Listens at the node, and looks at what other programs of the desk took: each message is told once, whoever was
    first to take it. When listening ends by an error, it begins anew, after a random pause that grows.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._listens = desk.settings.transport != "file"
        self._listening: AsyncGenerator[SyncResult, None] | None = None
        self._next: asyncio.Task[SyncResult] | None = None
        self._failures = 0
        self._again_at = 0.0  # monotonic
        self._told: int | None = None  # the sequence of the last message that was told, or was here before
        self._as_of = -1

    async def next(self, timeout_s: float) -> SyncResult | None:
        """What arrived, None after ``timeout_s``; raises what ended the listening."""
        if self._told is None:
            await self.begin()
        until = time.monotonic() + timeout_s
        while (left := until - time.monotonic()) > 0:
            self._listen()
            wait = min(left, OTHERS_EVERY_S)
            if self._next is None:
                await asyncio.sleep(wait)
            else:
                done, _ = await asyncio.wait({self._next}, timeout=wait)
                if done:
                    return replace(self._brought_by(done.pop()), received=await self._arrived())
            if received := await self._taken_by_others():
                return SyncResult(received=received)
        return None

    def _listen(self) -> None:
        if self._listens and self._next is None and time.monotonic() >= self._again_at:
            if self._listening is None:
                self._listening = self._desk.messages.listen()
            self._next = asyncio.ensure_future(anext(self._listening))

    def _brought_by(self, ended: asyncio.Task[SyncResult]) -> SyncResult:
        """What the listening brought; raises what ended it."""
        self._next = None
        try:
            result = ended.result()
        except (ComityError, OSError):
            self._failures += 1
            self._listening = None  # a generator that raised is over
            longest = min(RETRY_MOST_S, RETRY_FIRST_S * 2**self._failures)
            self._again_at = time.monotonic() + random.uniform(0, longest)  # noqa: S311 - jitter, not a secret
            raise
        self._failures = 0
        return result

    async def begin(self) -> None:
        """Tell from now on."""
        self._as_of = await self._desk.messages.changes_of_others()
        self._told = max((row.sequence for row in await self._desk.messages.arrived_after(None)), default=0)

    async def _arrived(self) -> tuple[InboxRow, ...]:
        rows = await self._desk.messages.arrived_after(self._told)
        self._told = max((row.sequence for row in rows), default=self._told)
        return tuple(rows)

    async def _taken_by_others(self) -> tuple[InboxRow, ...]:
        as_of = await self._desk.messages.changes_of_others()
        if as_of == self._as_of:
            return ()
        self._as_of = as_of
        return await self._arrived()

    async def close(self) -> None:
        """Stop listening."""
        if self._next is not None:
            self._next.cancel()
            with suppress(asyncio.CancelledError, ComityError, OSError, StopAsyncIteration):
                await self._next
        if self._listening is not None:
            await self._listening.aclose()


class _Beside:
    """Work beside the watch, which keeps nothing else: ``work`` is begun again at each turn, or after what it returns.

    ``work(self)`` notes what failed and returns in how many seconds it is to be begun again, None for the next turn.
    """

    def __init__(self, channel: str, turn_s: float, work: Callable[[_Beside], Awaitable[float | None]] | None) -> None:
        self._channel = channel
        self._turn_s = turn_s
        self._wake = asyncio.Event()
        self._failed: list[TryFailed] = []
        self._told: str | None = None
        self._task = asyncio.create_task(self._run(work)) if work is not None else None

    def turn(self) -> list[TryFailed]:
        """Begin again now; what failed since, each cause once."""
        self._wake.set()
        failed, self._failed = self._failed, []
        return failed

    async def close(self) -> None:
        """Stop. The work goes on where it was when somebody begins it again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def note(self, error: ComityError) -> None:
        """Something failed: it is told unless it was told last."""
        if self._told != error.detail:
            self._told = error.detail
            self._failed.append(TryFailed(self._channel, error))

    def well(self) -> None:
        """All went well: what failed before is told again when it fails again."""
        self._told = None

    async def _run(self, work: Callable[[_Beside], Awaitable[float | None]]) -> None:
        while True:
            self._wake.clear()
            wait_s = None
            try:
                wait_s = await work(self)
            except (ComityError, OSError) as problem:  # the disk, or another program; it is tried again
                self.note(problem if isinstance(problem, ComityError) else UnavailableError(str(problem)))
            with suppress(TimeoutError):
                # wait_for may swallow that it is cancelled
                async with asyncio.timeout(self._turn_s if wait_s is None else min(wait_s, self._turn_s)):
                    await self._wake.wait()


def _delivery(desk: Desk, clock: Clock, turn_s: float) -> _Beside:
    """Gives webhooks what waits for them. A notice that is on its way at the end is given again later."""

    async def deliver(beside: _Beside) -> float | None:
        done = await desk.webhooks.deliver()
        for failure in done.failed:
            beside.note(failure)
        if done.again_at is not None:
            return max(0.05, (done.again_at - clock()).total_seconds())
        if not done.failed:
            beside.well()
        return None

    return _Beside(CHANNEL, turn_s, deliver if desk.webhooks.urls else None)


def _moving(desk: Desk, turn_s: float) -> _Beside:
    """Moves evidence files, which may take long. A transfer goes on where it was when somebody begins again."""

    async def move(beside: _Beside) -> float | None:
        wait_s = await desk.files.turn()
        beside.well()
        return wait_s

    return _Beside(FILES, turn_s, move if desk.settings.transport != "file" else None)


class _LogTurn:
    """When the log is to be compared: every :data:`LOG_EVERY`, until it contradicted itself. Each is told once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: datetime | None = clock()
        self._stale = False

    async def look(self, desk: Desk) -> LogContradicted | LogStale | None:
        """What is to be told, if it is time to look."""
        if self._due is None or self._clock() < self._due:
            return None
        found = await compare_log(desk)
        self._due = None if isinstance(found, LogContradicted) else self._clock() + LOG_EVERY
        was_stale, self._stale = self._stale, isinstance(found, LogStale)
        return None if was_stale and self._stale else found


async def compare_log(desk: Desk) -> LogContradicted | LogStale | None:
    """Compare the log of the desk's own node with what was seen of it before; None if nothing is known against it."""
    check = await desk.evidence.check_own_log()
    if check.ok is False:
        return LogContradicted(check.detail)
    return LogStale(check.detail) if check.error == CheckpointStaleError.code else None


async def told_here(desk: Desk) -> AsyncGenerator[Notice, None]:
    """What was not told at this desk yet; each counts as told when the next one is asked for.

    Nothing while another program of this desk tells: what that one does not finish is told at the next turn.
    """
    async with desk.cases.telling(DESK_CHANNEL) as alone:
        for notice in await desk.cases.notices(DESK_CHANNEL) if alone else ():
            yield notice
            await desk.cases.note_given([notice])


async def tell(desk: Desk, channel: Channel) -> TryFailed | None:
    """Tell over a channel what was not told there yet; nothing while another program of this desk does so."""
    async with desk.cases.telling(channel.name) as alone:
        notices = await desk.cases.notices(channel.name) if alone else []
        if not notices:
            return None
        try:
            await asyncio.to_thread(channel.tell, desk.address, notices)
        except ComityError as problem:
            return TryFailed(channel.name, problem)
        await desk.cases.note_given(notices)
    return None


async def _until_next(desk: Desk, clock: Clock, turn_s: float) -> float:
    change = await desk.cases.next_change()
    if change is None:
        return turn_s
    return min(turn_s, max(0.05, (change - clock()).total_seconds()))

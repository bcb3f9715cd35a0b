"""What moving files up and down have in common: one program moves a message's files at a time, and how far it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

from exchange.context.desk_context import DeskContext
from exchange.files.progress import Meter
from exchange.files.shelf import on_this_disk
from exchange.store.files import FileTransfer, TransferState
from exchange.store.rows import PendingStatement
from keys.local.files import acquire_lock, release_lock
from protocol.encoding.instants import truncate
from protocol.errors import ComityError, DeskBusyError, NothingOpenError

T = TypeVar("T")

_NOTE_EVERY_S = 2.0


class TransferBook:
    """Notes how far the files of one message are. Event loop; what is noted is written in the desk's thread."""

    def __init__(self, context: DeskContext, transfer: FileTransfer) -> None:
        self._context = context
        self.transfer = transfer
        self._next = 0.0

    async def note(
        self,
        state: TransferState,
        problem: ComityError | None = None,
        statements: Sequence[PendingStatement] = (),
        **changes: Any,
    ) -> FileTransfer:
        """Note another state, durably, with what is to be stated of it."""
        why = {} if problem is None else {"error": problem.code, "why": problem.detail}
        transfer = self.transfer = self.transfer.at_state(state, truncate(self._context.clock()), **why, **changes)
        store = self._context.store

        def write() -> None:
            with store.database.transaction():
                now = store.files.transfer(transfer.message)
                if now is None or now.open:  # else it was cancelled or erased meanwhile
                    store.files.note(transfer)
                    store.statements.insert(statements)

        await self._context.in_thread(write)
        return transfer

    async def progress(self, meter: Meter, files_moved: int) -> None:
        """Note how far it is, from time to time; raises :class:`NothingOpenError` when it is not to go on any more."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _NOTE_EVERY_S
        now = truncate(self._context.clock())
        transfer = self.transfer = self.transfer.at_state(
            TransferState.MOVING, now, bytes_moved=meter.done, files_moved=files_moved, rate=meter.rate
        )
        store = self._context.store

        def write() -> bool:
            with store.database.transaction(redone=True):
                now_kept = store.files.transfer(transfer.message)
                if now_kept is None or not now_kept.open:
                    return False
                store.files.progress(transfer)
                return True

        if not await self._context.in_thread(write):
            raise NothingOpenError("the files were cancelled or erased meanwhile")

    async def still_open(self) -> bool:
        """Whether nobody cancelled or erased it meanwhile."""
        now = await self._context.in_thread(lambda: self._context.store.files.transfer(self.transfer.message))
        return now is not None and now.open


@contextmanager
def alone(context: DeskContext, transfer: FileTransfer) -> Iterator[None]:
    """Move these files in this program alone; raises :class:`DeskBusyError` while another one does."""
    folder = context.home.files
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
    with on_this_disk():
        lock = acquire_lock(folder / f".{transfer.message}.moving", _another)
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / f".{transfer.message}.moving").unlink()
        release_lock(lock)


def _another() -> ComityError:
    return DeskBusyError("another program of this desk moves these files: they go on there")


class AtOnce(Generic[T]):
    """Does the parts of some work, a few at a time, in order of their beginning; the first error ends it."""

    def __init__(self, most: int) -> None:
        self._most = most

    async def run(self, parts: Iterator[T], work: Callable[[T], Awaitable[None]]) -> None:
        """Do ``work`` for each part; raises the first error when all that was begun has ended."""
        running = set[asyncio.Task[None]]()
        problems = list[BaseException]()

        async def settle(*, all_of_them: bool) -> None:
            nonlocal running
            when = asyncio.ALL_COMPLETED if all_of_them else asyncio.FIRST_COMPLETED
            done, running = await asyncio.wait(running, return_when=when)
            problems.extend(problem for one in done if (problem := one.exception()) is not None)

        try:
            for part in parts:
                running.add(asyncio.ensure_future(work(part)))
                if len(running) >= self._most:
                    await settle(all_of_them=False)
                if problems:
                    break
            if running and not problems:
                await settle(all_of_them=True)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        if problems:
            raise problems[0]

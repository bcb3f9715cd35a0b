"""What a node does with files by the clock: let go what is over, log what became whole, compare disk and database."""

from __future__ import annotations

import asyncio
from collections.abc import Set
from datetime import datetime, timedelta

from node.files.context import FilesContext
from node.files.holdings import alone
from node.files.intake import FileIntake, whole_of
from node.store.file_operations import NoteFilesMoved, RecordFilesDeleted, RecordFilesExpired
from node.store.file_reads import StoredFileSet
from protocol.errors import ComityError
from protocol.files.logged import EXPIRED_UNFETCHED, NEVER_COMPLETE

_PAGE = 100
# After so many messages whose files cannot be let go in one round, the round ends.
_MOST_STUCK = 1_000


class FileHousekeeping:
    """The files of one node, looked after for ever."""

    def __init__(self, context: FilesContext, intake: FileIntake) -> None:
        self._context = context
        self._node = context.node
        self._intake = intake
        self._stuck: set[bytes] = set()  # messages whose files could not be let go when that was tried last

    async def run(self) -> None:
        """Look at what is on the disk, then keep looking at what is over; returns only by cancellation."""
        await self.begin()
        while True:
            try:
                await self.look(self._node.clock())
            except ComityError as problem:
                self._node.log.warning("files-interrupted", code=problem.code)
            await asyncio.sleep(self._node.settings.housekeeping_s)

    async def begin(self) -> None:
        """Count what is here, let go what no message has any more, and log what became whole before a kill."""
        await self._context.store.open()
        await self._context.holdings.count()
        gone = self._context.holdings.gone
        if gone:  # the folder was lost, or the database is an older one
            self._node.log.error("files-missing", count=gone)
        for digest in await self._context.store.messages():
            stored = await self._node.store.reads.file_set(digest)
            if stored is None or stored.ended:
                await alone(self._node, self._context.store.delete(digest))
        await self._settle_all()
        await self._sweep_hands()

    async def look(self, now: datetime) -> None:
        """Let go whose time is over, or whom nobody waits for since the retention passed.

        Each message by itself: one whose files cannot be let go keeps no other, and is tried after the others.
        """
        before = now - timedelta(hours=self._node.settings.files.retention_h)
        earlier, self._stuck = self._stuck, set()
        await self._end_all(now, before, earlier)
        await self._end_all(now, before, frozenset())
        await self._note_moved(now)
        await self._settle_all()

    async def _end_all(self, now: datetime, before: datetime, without: Set[bytes]) -> None:
        reads = self._node.store.reads
        while over := await reads.files_ending(now, before, _PAGE, self._stuck | without):
            for stored in over:
                if not await alone(self._node, self._end(stored, now)):
                    self._stuck.add(stored.digest)
            if len(self._stuck) >= _MOST_STUCK:  # it is not for one message: the next round tries again
                return

    async def _note_moved(self, now: datetime) -> None:
        """Write down of which messages something came: what was reserved for the rest of them outlives a restart."""
        moved = self._context.holdings.take_moved()
        if moved and not await alone(self._node, self._node.sequencer.perform(NoteFilesMoved(moved, now))):
            self._context.holdings.moved_again(moved)

    async def _end(self, stored: StoredFileSet, now: datetime) -> None:
        holding = await self._context.holdings.of(stored)
        whole = whole_of(stored, holding)
        # Files that nobody waits for any more may never have come: of none there is nothing to say but that they ended.
        if stored.done_at is not None and whole.count:
            operation: RecordFilesDeleted | RecordFilesExpired = RecordFilesDeleted(stored.digest, whole, now)
        else:
            # By what the entry says of them: a kill may have come between letting them go and writing that down.
            complete = whole.count == stored.file_set.count
            reason = EXPIRED_UNFETCHED if complete else NEVER_COMPLETE
            operation = RecordFilesExpired(stored.digest, reason, whole, now)
        with self._context.holdings.ending(stored.digest):
            await self._context.store.delete(stored.digest)
            await self._node.sequencer.perform(operation)
        self._node.metrics.files_ended.labels(type(operation).__name__.removeprefix("RecordFiles").lower()).inc()

    async def _sweep_hands(self) -> None:
        """Forget who carried files of messages that are not here any more."""
        kept, after = set[bytes](), b""
        while page := await self._node.store.reads.file_sets(after, _PAGE):
            kept.update(stored.digest for stored in page)
            after = page[-1].digest
        await asyncio.to_thread(self._context.hands.sweep, kept)

    async def _settle_all(self) -> None:
        """Log what is whole and was not logged, because the log could not be written or the node was killed."""
        after = b""
        while page := await self._node.store.reads.file_sets(after, _PAGE):
            for stored in page:
                if stored.whole_at is None and stored.file_list is not None:
                    await alone(self._node, self._settle(stored))
            after = page[-1].digest

    async def _settle(self, stored: StoredFileSet) -> None:
        holding = await self._context.holdings.of(stored)
        if holding is not None:
            holding.logged.discard(None)
            await self._intake.settle(holding)

"""All files of a desk that are on their way: which are moved by themselves, and when one is tried again."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import UUID

from exchange.context.desk_context import DeskContext
from exchange.files._download import Downloading
from exchange.files._stating import MakeStatements, Stating
from exchange.files._upload import Uploading
from exchange.files.book import FileBook
from exchange.files.progress import Told, nobody
from exchange.link.link import NodeLink
from exchange.store.files import FileTransfer, TransferState
from exchange.store.rows import Head
from exchange.views import Direction
from keys.transport.segments import give_freed_memory_back
from protocol.encoding.instants import truncate
from protocol.errors import ComityError, DeskBusyError, FileUnknownError

if TYPE_CHECKING:
    from exchange.files._beyond import Beyond

AGAIN_FIRST_S = 1.0
AGAIN_MOST_S = 30.0
_MB = 1_000_000


class FileMover:
    """Moves the files of one desk's messages. Event loop."""

    def __init__(self, context: DeskContext, link: NodeLink, book: FileBook, make: MakeStatements) -> None:
        self.stating = Stating(context, make)
        self._link = link
        self._context = context
        self._up = Uploading(context, link, book)
        self._down = Downloading(context, link, book, self.stating)
        self._settings = context.settings.files
        self._again: dict[UUID, tuple[float, float, int]] = {}  # when next (monotonic), the pause then, bytes moved

    @cached_property
    def beyond(self) -> Beyond:
        """How far files are behind the own node; made, and imported, by who asks for it."""
        from exchange.files._beyond import Beyond

        return Beyond(self._context, self._link)

    async def move(self, transfer: FileTransfer, told: Told = nobody) -> FileTransfer:
        """Move the files of one message as far as that goes now; raises :class:`DeskBusyError`."""
        give_freed_memory_back()
        way = self._up if transfer.direction is Direction.SENT else self._down
        return await way.run(transfer, told)

    async def turn(self) -> float | None:
        """Move what is to be moved by itself, the oldest first; seconds until something is tried again."""
        if self._context.settings.transport == "file":
            return None
        await self.take_back_pending()
        found = await self._context.in_thread(lambda: self._context.store.files.transfers(unfinished=True))
        now, waits = time.monotonic(), list[float]()
        for known in self._again.keys() - {transfer.message for transfer in found}:
            del self._again[known]
        for transfer in filter(self._by_itself, found):
            due, pause, moved = self._again.get(transfer.message, (0.0, AGAIN_FIRST_S, -1))
            if due > now:
                waits.append(due - now)
                continue
            after = transfer
            with suppress(DeskBusyError):
                after = await self.move(transfer)
            if not after.open:
                continue
            pause = AGAIN_FIRST_S if after.bytes_moved != moved else min(AGAIN_MOST_S, 2 * pause)
            self._again[transfer.message] = (time.monotonic() + pause, pause, after.bytes_moved)
            waits.append(pause)
        return min(waits, default=None)

    async def take_back(self, transfer: FileTransfer, head: Head) -> int:
        """Have the node let the files of a message go: how many it did; raises what keeps it from that.

        Where nothing was ever announced there, there is nothing to let go.
        """
        try:
            count = await self._link.ask(lambda node: node.cancel_files(head.digest))
        except FileUnknownError:
            count = 0
        await self._note(transfer.at_state(TransferState.CANCELLED, truncate(self._context.clock())))
        return count

    async def take_back_pending(self) -> None:
        """Tell the node what was cancelled while it could not be asked; what fails again stays to be done."""
        store = self._context.store

        def pending() -> list[tuple[FileTransfer, Head]]:
            return [(one, store.messages.head(one.message).head) for one in store.files.to_take_back()]

        for transfer, head in await self._context.in_thread(pending):
            try:
                await self.take_back(transfer, head)
            except ComityError as problem:
                if not problem.retryable:  # the node says that it may not be: nobody is to ask it for ever
                    why = {"error": problem.code, "why": problem.detail}
                    await self._note(transfer.at_state(TransferState.FAILED, truncate(self._context.clock()), **why))

    async def _note(self, transfer: FileTransfer) -> None:
        """Note what became of files that were cancelled, unless somebody resumed or erased them meanwhile."""
        store = self._context.store

        def write() -> None:
            with store.database.transaction():
                now = store.files.transfer(transfer.message)
                if now is not None and now.state is TransferState.CANCELLING:
                    store.files.note(transfer)

        await self._context.in_thread(write)

    def _by_itself(self, transfer: FileTransfer) -> bool:
        if transfer.direction is Direction.SENT:
            return True
        most = self._settings.fetch_up_to_mb
        small = most is None or transfer.total_bytes <= most * _MB
        # A transfer that somebody asked for goes on, whatever its size.
        return (self._settings.fetch == "all" and small) or transfer.state is not TransferState.WAITING

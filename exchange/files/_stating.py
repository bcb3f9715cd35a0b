"""What this desk states of files: fetched whole, opened, or not what their message says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from exchange.context.desk_context import DeskContext
from exchange.store.rows import MessageRef, PendingStatement
from protocol.encoding.instants import truncate
from protocol.event import MAX_REASON_CHARS, EventName
from protocol.files.logged import LoggedFiles
from protocol.statement import DeskStatement, sign_statement

MakeStatements = Callable[[Sequence[PendingStatement]], Awaitable[int]]


def signed_of_files(
    context: DeskContext, event: EventName, about: MessageRef, files: LoggedFiles, reasons: tuple[str, ...] = ()
) -> PendingStatement:
    """A statement of this desk about files of a message, not kept yet."""
    codes = tuple(reason[:MAX_REASON_CHARS] for reason in reasons)
    at = truncate(context.clock())
    stated = DeskStatement(event, about.id, about.digest, context.address, at, codes, files)
    key = about.digest + event.value.encode() + files.root
    return PendingStatement(key, sign_statement(stated, context.signer))


class Stating:
    """Makes statements of files. ``make`` tells the node; what cannot be told now is told by the next sync."""

    def __init__(self, context: DeskContext, make: MakeStatements) -> None:
        self._context = context
        self._make = make

    def signed(
        self, event: EventName, about: MessageRef, files: LoggedFiles, reasons: tuple[str, ...] = ()
    ) -> PendingStatement:
        """A statement that is not kept yet."""
        return signed_of_files(self._context, event, about, files, reasons)

    async def state(self, statement: PendingStatement) -> None:
        """Keep a statement durably, and make it."""
        store = self._context.store

        def keep() -> None:
            with store.database.transaction():
                store.statements.insert([statement])

        await self._context.in_thread(keep)
        await self.make([statement])

    async def make(self, kept: Sequence[PendingStatement]) -> None:
        """Make statements that are kept."""
        await self._make(kept)

"""How far files are at the nodes, by their own words: for who sent them all the way, for who gets them at the own node.

Nothing of it is proved, and nothing waits for it long: a node that does not answer is not known about, and said so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from exchange.context.desk_context import DeskContext
from exchange.files._segments import count_bytes
from exchange.link.link import NodeLink
from exchange.store.files import FileTransfer, TransferState
from exchange.store.rows import Head
from exchange.views import Direction, FilesShareAt
from protocol.errors import ComityError, FileGoneError, FileNotHereError, FileUnknownError, PeerFailedError
from protocol.files.file_list import check_list
from protocol.http.file_progress import FilesAt, ProgressAsked
from protocol.http.files import FilesShare, FilesWanted

# So long the node may ask the next ones, and so long it is waited for.
_WAIT_MS = 2_400
_PATIENCE_S = 4.0


@dataclass(frozen=True, slots=True)
class SharesHeard:
    """What the nodes say, the own node first; ``error`` is the code of what kept it from being asked."""

    shares: tuple[FilesShareAt, ...] = ()
    error: str | None = None


class Beyond:
    """Asks for the files of one desk. Event loop."""

    def __init__(self, context: DeskContext, link: NodeLink) -> None:
        self._context = context
        self._link = link

    async def ask(self, transfer: FileTransfer, head: Head) -> SharesHeard:
        """How far the files of a message are; nothing where nobody can say more than this desk knows."""
        if not await self._context.in_thread(lambda: self._is_to_ask(transfer)):
            return SharesHeard()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                if transfer.direction is Direction.SENT:
                    return SharesHeard(tuple(await self._all_the_way(transfer, head)))
                return SharesHeard((await self._at_own_node(transfer, head),))
        except TimeoutError:
            return SharesHeard(error="unavailable")
        except FileUnknownError:  # nothing of it is kept there any more, or it was not announced by this desk
            return SharesHeard()
        except ComityError as problem:
            return SharesHeard(error=problem.code)

    def _is_to_ask(self, transfer: FileTransfer) -> bool:
        store = self._context.store
        if self._context.settings.transport == "file" or transfer.state is TransferState.GONE:
            return False
        if transfer.direction is Direction.RECEIVED:
            return transfer.state is not TransferState.DONE
        return not store.outbox.has(transfer.message) and store.refusals.of(transfer.message) is None

    async def _all_the_way(self, transfer: FileTransfer, head: Head) -> Sequence[FilesShareAt]:
        rows = await self._link.ask(lambda node: node.file_progress(ProgressAsked(head.digest, _WAIT_MS)))
        return [_share(row, transfer) for row in rows]

    async def _at_own_node(self, transfer: FileTransfer, head: Head) -> FilesShareAt:
        own, now = self._link.own_node, self._context.clock()
        has = FilesShare(min(transfer.bytes_moved, transfer.total_bytes), transfer.files_moved)
        try:
            held = await self._link.ask(lambda node: node.fetch_files(FilesWanted(head.digest, (), has)))
        except FileNotHereError:
            return _share(FilesAt(own, None, 0, 0, now), transfer)
        except FileGoneError as problem:
            return _share(FilesAt(own, at=now, end=problem.code), transfer)
        if head.file_set is None:
            raise PeerFailedError("the node has files of a message without any")
        files = check_list(held.file_list, head.file_set).files
        if len(held.held) != len(files):
            raise PeerFailedError("the node counts the files of the message otherwise")
        there = [count_bytes(file, own_ranges) for file, own_ranges in zip(files, held.held, strict=True)]
        whole = sum(size == file.length for size, file in zip(there, files, strict=True))
        return _share(FilesAt(own, None, min(sum(there), transfer.total_bytes), whole, now), transfer)


def _share(row: FilesAt, transfer: FileTransfer) -> FilesShareAt:
    size, total = row.size_bytes, transfer.total_bytes
    if size is None:
        return FilesShareAt(row.party, row.behind, None, total, None, None, row.at, None, None, row.end)
    size = min(size, total)
    left = (total - size) / row.rate if row.rate else None
    percent = 100 if size >= total else size * 100 // max(total, 1)
    return FilesShareAt(row.party, row.behind, size, total, percent, row.files, row.at, row.rate, left, row.end)

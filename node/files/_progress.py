"""How far the files of a message are here and beyond, told to who brought them; to others only why they ended.

The next nodes are asked for as long as the caller allows, and not oftener than every few seconds. Of one that does not
answer what it said last is told, with the time. Nothing of this waits for a partner longer than that, or fails by one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from weakref import WeakValueDictionary

from node.files._shares import ToldShares
from node.files.context import FilesContext
from node.store.file_reads import FileHop, HopState, StoredFileSet
from protocol.errors import ComityError, FileUnknownError, PeerFailedError
from protocol.http.file_progress import MAX_ROWS, FilesAt, ProgressAsked

# A partner's answer is told again for so long before it is asked anew.
_FRESH_S = 4.0
# Of the time that a caller allows, so much is for the way between two nodes.
_HOP_MS = 600
_MOST_KNOWN = 2_000
_DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class _Heard:
    """What a partner said last (nothing, if it never did), and when it was asked last, by the loop's clock."""

    rows: tuple[FilesAt, ...]
    asked_at: float


class FileProgress:
    """What one node tells of how far files are."""

    def __init__(self, context: FilesContext) -> None:
        self._context = context
        self._node = context.node
        self._shares: ToldShares = context.shares
        self._heard: OrderedDict[tuple[bytes, str], _Heard] = OrderedDict()
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def tell(self, asked: ProgressAsked, caller: str) -> list[FilesAt]:
        """How far the files are; raises :class:`FileUnknownError` for who may not know of them.

        All of it is told to the party that brought them; why they ended here to one that is to get them, or serves one.
        """
        stored = await self._node.store.reads.file_set(asked.digest)
        if stored is not None and stored.payer == caller:
            await self._ask_next(stored, asked.wait_ms)
            return (await self._rows(stored))[:MAX_ROWS]
        if stored is not None and self._is_to_get(stored, caller):
            return [FilesAt(self._node.name, at=self._node.clock(), end=_end_of(stored))]
        raise FileUnknownError("no message of this digest with files is here")

    def _is_to_get(self, stored: StoredFileSet, caller: str) -> bool:
        if stored.state_of(caller) is not None:
            return True
        directory, now = self._node.directory.current, self._node.clock()
        for recipient in (recipient for hop in stored.hops for recipient in hop.recipients):
            try:
                if directory.serving_node(recipient, now) == caller:
                    return True
            except ComityError:  # that one left, or is not known any more
                continue
        return False

    # --- As far as it is known --------------------------------------------------------------------------------------

    async def _rows(self, stored: StoredFileSet) -> list[FilesAt]:
        rows = [await self._here(stored)]
        for hop in stored.hops:
            for row in self._at_hop(stored, hop):
                if all(row.party != known.party for known in rows):
                    rows.append(row)
        return rows

    async def _here(self, stored: StoredFileSet) -> FilesAt:
        now, total = self._node.clock(), stored.file_set
        own = FilesAt(self._node.name, at=now, end=_end_of(stored))
        if stored.ended:
            return own if stored.whole_at is None else replace(own, size_bytes=total.total_bytes, files=total.count)
        holding = await self._context.holdings.of(stored)
        if holding is None:
            return replace(own, size_bytes=0, files=0)
        share = holding.share
        rate = holding.speed.rate(now) if holding.marks.absent else None
        return replace(own, size_bytes=share.size_bytes, files=share.files, rate=rate)

    def _at_hop(self, stored: StoredFileSet, hop: FileHop) -> list[FilesAt]:
        """The next party, and whom it told of."""
        unknown = FilesAt(hop.party, self._node.name)
        if hop.state in {HopState.TO_BE_TOLD, HopState.GETS_NONE}:
            return []
        told = self._shares.of(stored.digest, hop.party)
        if told is not None:
            rate = told.speed.rate(self._node.clock())
            unknown = replace(unknown, size_bytes=told.share.size_bytes, files=told.share.files, at=told.at, rate=rate)
        heard = self._heard.get((stored.digest, hop.party))
        rows = [unknown] if heard is None or not heard.rows else list(heard.rows)
        total = stored.file_set
        if hop.state is HopState.HAS:  # by its log, or its desk's own statement
            rows[0] = replace(rows[0], size_bytes=total.total_bytes, files=total.count, rate=None)
        return [_within(row, total.total_bytes, total.count) for row in rows]

    # --- Asking -------------------------------------------------------------------------------------------------------

    async def _ask_next(self, stored: StoredFileSet, wait_ms: int) -> None:
        left_ms = wait_ms - _HOP_MS
        parties = [hop.party for hop in stored.hops if self._may_ask(hop)]
        if left_ms <= 0 or not parties:
            return
        lock = self._locks.setdefault(stored.digest, asyncio.Lock())
        try:
            async with asyncio.timeout(left_ms / 1_000), lock:
                due = [party for party in parties if self._is_due(stored.digest, party)]
                await asyncio.gather(*(self._ask(stored.digest, party, left_ms) for party in due))
        except TimeoutError:
            pass  # others were being asked all the time: what is known is told

    def _may_ask(self, hop: FileHop) -> bool:
        waits = hop.state in {HopState.WAITS, HopState.HAS}
        return waits and "@" not in hop.party and self._node.partners.can_reach(hop.party)

    def _is_due(self, digest: bytes, party: str) -> bool:
        heard = self._heard.get((digest, party))
        return heard is None or asyncio.get_running_loop().time() - heard.asked_at >= _FRESH_S

    async def _ask(self, digest: bytes, party: str, left_ms: int) -> None:
        """Ask one partner; what goes wrong is no fault of who wants to know."""
        before = self._heard.get((digest, party))
        self._hear(digest, party, before.rows if before is not None else ())
        try:
            self._context.monitor.require_trusted(party)
            async with asyncio.timeout(left_ms / 1_000):
                rows = await self._node.partners.get(party).file_progress(ProgressAsked(digest, left_ms))
            if rows[0].party != party:
                raise PeerFailedError(f"{party} answered for another node")
        except TimeoutError:
            self._node.metrics.refusals.labels("files-progress", "unavailable").inc()
        except ComityError as problem:
            self._node.metrics.refusals.labels("files-progress", problem.code).inc()
        else:
            self._hear(digest, party, tuple(self._placed(rows)))

    def _hear(self, digest: bytes, party: str, rows: tuple[FilesAt, ...]) -> None:
        self._heard[digest, party] = _Heard(rows, asyncio.get_running_loop().time())
        self._heard.move_to_end((digest, party))
        if len(self._heard) > _MOST_KNOWN:
            self._heard.popitem(last=False)

    def _placed(self, rows: Iterable[FilesAt]) -> Iterable[FilesAt]:
        """As they stand behind this node: the partner's own word is of now, and nobody's of later."""
        now = self._node.clock()
        for row in rows:
            if row.behind is None:
                yield replace(row, behind=self._node.name, at=now)
            else:
                yield replace(row, at=_not_after(row.at, now))


def _not_after(at: datetime | None, now: datetime) -> datetime | None:
    return None if at is None else min(at, now)


def _within(row: FilesAt, size_bytes: int, files: int) -> FilesAt:
    """Nobody has more than there is, whatever it says."""
    return replace(
        row,
        size_bytes=None if row.size_bytes is None else min(row.size_bytes, size_bytes),
        files=None if row.files is None else min(row.files, files),
    )


def _end_of(stored: StoredFileSet) -> str | None:
    """Why the files are not kept here any more; None while they are."""
    return (stored.end_reason or _DELETED) if stored.ended else None

"""How a running node is, gathered at one moment: what the console's pages and ``comity-node status`` show.

It reads the database on a connection of its own, off every path that messages take, and holds no content.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from keys.directory.metadata.expiry import Expiry, expiries
from keys.directory.witnesses import witness_policy
from node.console.attention import attentions, partners_away
from node.console.partner_rows import PartnerRow, partner_rows
from node.console.words import Told, headline, told, told_away
from node.files.inspection import FilesInTransit, files_in_transit
from node.http.context import HttpContext
from node.operations.disk import DiskRoom
from node.operations.history import NOBODY, RefusalRow
from node.operations.inspection import Inspection, open_inspection
from node.operations.machine import Memory, memory
from node.recovery.backup_record import BackupRecord
from node.settings import NodeHome
from node.store.reads import StoreStats
from protocol.address import node_of
from protocol.errors import ComityError
from protocol.log.checkpoint import claimed_time, parse_checkpoint
from protocol.log.policy import NONE, Policy


@dataclass(frozen=True, slots=True)
class KeptLie:
    """A proof that is held against a log. ``settled``: the operator settled the matter."""

    node: str
    kind: str
    file: str
    settled: bool


@dataclass(frozen=True, slots=True)
class LogStatus:
    """This node's log. ``needed`` is None where the federation's rule is more than a number of witnesses;
    ``witnesses`` are who can contribute, ``cosigned_by`` who cosigned the newest checkpoint that was sent round."""

    origin: str
    size: int
    signed_at: datetime | None
    pending: int
    witnesses: tuple[str, ...]
    cosigned_by: tuple[str, ...]
    needed: int | None
    witnessed_size: int | None
    proofs: tuple[KeptLie, ...]
    distrusted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DirectoryStatus:
    """The directory that the node works with; ``expiring`` is all that can end, with its level where that is near."""

    version: int
    federation: str
    expires_at: datetime | None
    nations: int
    expiring: tuple[tuple[Expiry, int | None], ...]
    left_out: Mapping[str, str]
    disagreeing: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MachineStatus:
    """Disks with their ``folders`` (by device), memory, and how far partners' clocks are from this one (seconds; None:
    nobody said a time lately)."""

    rooms: tuple[DiskRoom, ...]
    folders: Mapping[int, tuple[Path, ...]]
    memory: Memory
    clock_agrees: int
    clock_asked: int
    clock_worst_s: float | None


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """All of it. ``told`` needs the operator; ``away`` are partners that take nothing, and do not yet.

    ``unread`` says why the database could not be read: then ``partners`` and ``files`` are not known.
    """

    node: str
    now: datetime
    told: tuple[Told, ...]
    away: tuple[Told, ...]
    partners: tuple[PartnerRow, ...]
    files: tuple[FilesInTransit, ...]
    log: LogStatus
    directory: DirectoryStatus
    machine: MachineStatus
    refusals: tuple[RefusalRow, ...]
    backups: BackupRecord
    stats: StoreStats | None
    unread: ComityError | None = None

    @property
    def headline(self) -> str:
        """How things are, in a line."""
        return headline(self.told, len(self.away))

    @property
    def state(self) -> str:
        """``failing``, ``attention`` or ``ok``, as ``/health`` says it."""
        return "failing" if any(one.failing for one in self.told) else "attention" if self.told else "ok"

    @property
    def refused_today(self) -> int:
        """How often something was refused today."""
        return sum(row.today for row in self.refusals)

    @property
    def refused_strangers(self) -> int:
        """How often it was one who did not say who it is."""
        return sum(row.today for row in self.refusals if row.peer == NOBODY)

    def well(self) -> int:
        """How many partners need no look."""
        return sum(row.is_well(self.now) for row in self.partners)


class NodeWatch:
    """Looks at one running node."""

    def __init__(self, context: HttpContext, home: NodeHome) -> None:
        self.context = context
        self.home = home

    @property
    def home_typed(self) -> str:
        """The home folder as somebody types it in a shell, in whatever folder they are."""
        return shlex.quote(str(self.home.path.absolute()))

    @asynccontextmanager
    async def inspection(self) -> AsyncIterator[Inspection]:
        """The node's database, for reading; raises :class:`SettingsError`, ``UnavailableError``."""
        async with open_inspection(self.home.path / self.context.node.settings.database) as opened:
            yield opened

    async def stats(self) -> StoreStats | None:
        """Counts of the store; None when it cannot be read."""
        try:
            return await self.context.node.store.reads.stats()
        except (ComityError, OSError):  # its file may be gone, too
            return None

    async def backups(self) -> BackupRecord:
        """What this home knows of its backups."""
        return await asyncio.to_thread(BackupRecord.load, self.home.backups)

    async def status(self) -> NodeStatus:
        """How the node is now. A database that cannot be read leaves out what it holds."""
        context, node = self.context, self.context.node
        stats, backups = await self.stats(), await self.backups()
        files: list[FilesInTransit] = []
        rows: tuple[PartnerRow, ...] = ()
        unread: ComityError | None = None
        try:
            async with self.inspection() as inspection:
                files = await files_in_transit(inspection, node.settings, self.home)
                rows = await partner_rows(context, inspection, files)
        except ComityError as problem:
            node.log.warning("status-not-complete", code=problem.code)
            unread = problem
        now = node.clock()
        found = attentions(context, stats, backups)
        away = partners_away(context, stats) if stats is not None else []
        return NodeStatus(
            node=node.name,
            now=now,
            told=tuple(told(one, rows, self.home_typed, now, node.name, backups) for one in found),
            away=tuple(told_away(one, rows, now) for one in away if not one.needs(now)),
            partners=rows,
            files=tuple(files),
            log=await self._log(stats),
            directory=self._directory(now),
            machine=self._machine(),
            refusals=tuple(node.history.refusals()),
            backups=backups,
            stats=stats,
            unread=unread,
        )

    async def _log(self, stats: StoreStats | None) -> LogStatus:
        context, node = self.context, self.context.node
        note: bytes | None
        try:
            note = await node.store.reads.checkpoint()
        except ComityError:
            note = None
        checkpoint = None if note is None else parse_checkpoint(note)
        policy = self._policy()
        kept = context.cosignatures.kept
        monitor = context.relay.monitor
        open_now = {one.digest for one in monitor.proofs.open()}
        return LogStatus(
            origin="" if checkpoint is None else checkpoint.origin,
            size=stats.log_size if stats is not None else 0 if checkpoint is None else checkpoint.size,
            signed_at=None if note is None else claimed_time(note),
            pending=node.sequencer.pending,
            witnesses=() if policy is None else tuple(sorted(policy.decisive)),
            cosigned_by=context.gateway.cosigned_by,
            needed=None if policy is None else _needed(policy),
            witnessed_size=None if kept is None else parse_checkpoint(kept).size,
            proofs=tuple(
                KeptLie(node_of(one.proof.origin), one.proof.kind.value, str(one.path), one.digest not in open_now)
                for one in monitor.proofs.all()
            ),
            distrusted=monitor.distrusted,
        )

    def _policy(self) -> Policy | None:
        node = self.context.node
        try:
            policy = witness_policy(node.directory.current, node.directory.current.origin(node.name), node.clock())
        except ComityError:
            return None
        return None if policy.quorum == NONE else policy

    def _directory(self, now: datetime) -> DirectoryStatus:
        service = self.context.node.directory
        disagreeing = {name: str(how) for name, how in service.disagreeing.items()}
        try:
            current = service.current
        except ComityError:
            return DirectoryStatus(0, "", None, 0, (), {}, disagreeing)
        ending = tuple((one, one.level(now)) for one in expiries(current, self.context.node.name))
        return DirectoryStatus(
            current.version,
            current.federation or "",
            current.expires_at,
            len(current.nodes()),
            ending,
            current.problems,
            disagreeing,
        )

    def _machine(self) -> MachineStatus:
        offsets = list(self.context.clock_watch.offsets().values())
        differing = len(self.context.clock_watch.differing())
        worst = max(offsets, key=abs) if offsets else None
        disk = self.context.node.disk
        folders: dict[int, tuple[Path, ...]] = {}
        for room in disk.rooms:
            folders[room.device] = (*folders.get(room.device, ()), room.folder)
        return MachineStatus(tuple(disk.disks), folders, memory(), len(offsets) - differing, len(offsets), worst)


def _needed(policy: Policy) -> int | None:
    """How many witnesses are enough, where the rule is just that."""
    group = next((one for one in policy.groups if one.name == policy.quorum), None)
    if group is None:
        return 1  # the quorum is one witness
    names = {one.name for one in policy.groups}
    return None if names & set(group.members) else group.threshold


def status_values(status: NodeStatus) -> dict[str, Any]:
    """The status for a program, and for ``comity-node status``; instants stay instants."""
    return {
        "node": status.node,
        "status": status.state,
        "headline": status.headline,
        "needs_you": [
            {
                "code": one.code,
                "failing": one.failing,
                "title": one.title,
                "text": one.text,
                "do": one.do,
                "command": one.command,
            }
            for one in status.told
        ],
        "away": [
            {"partner": one.subject, "code": one.code, "title": one.title, "text": one.text, "do": one.do}
            for one in status.away
        ],
        "unread": None if status.unread is None else {"code": status.unread.code, "detail": status.unread.detail},
        "partners": [_partner_values(row, status.now) for row in status.partners],
        "log": {
            "origin": status.log.origin,
            "size": status.log.size,
            "signed_at": status.log.signed_at,
            "cosigned_by": list(status.log.cosigned_by),
            "witnesses": len(status.log.witnesses),
            "needed": status.log.needed,
            "witnessed_size": status.log.witnessed_size,
        },
        "refused_today": status.refused_today,
        "refused_strangers_today": status.refused_strangers,
        "directory": {"version": status.directory.version, "expires_at": status.directory.expires_at},
        "disks": [
            {"folder": str(room.folder), "free_bytes": room.free_bytes, "size_bytes": room.size_bytes}
            for room in status.machine.rooms
        ],
        "backup_at": None if status.backups.made is None else status.backups.made.at,
        "backup_checked_at": None if status.backups.checked is None else status.backups.checked.at,
        "backup_drilled_at": None if status.backups.drilled is None else status.backups.drilled.at,
    }


def _partner_values(row: PartnerRow, now: datetime) -> dict[str, Any]:
    return {
        "node": row.node,
        "name": row.name,
        "well": row.is_well(now),
        "reachable": row.reachable,
        "messages": row.envelopes,
        "receipts": row.receipts,
        "files": row.file_sets,
        "emergencies": row.emergencies,
        "waiting_since": row.waiting_since,
        "deadline": row.deadline,
        "taken_at": row.past.taken_at,
        "error": row.past.code or None,
        "log_size": None if row.log is None else row.log.size,
        "cosigned_at": row.past.cosigned_at,
    }

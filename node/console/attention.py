"""What needs the operator now, as codes: ``/health`` lists them, and :mod:`node.console.words` puts them into words.

Every kind stands in :class:`Kind`; deploy/prometheus/comity-node.rules.yml has an alert for each.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from node.console.away import Away, Waits, away_of, waits_of
from node.http.context import HttpContext
from node.operations.expiry_watch import URGENT_DAYS
from node.recovery.backup_record import BackupRecord
from node.store.reads import StoreStats
from protocol.address import node_of
from protocol.errors import ComityError, NotAdmittedError

# Back up at least once a day: after two something is wrong. A copy is a backup when somebody has looked: each month
# whether one is whole, each quarter whether it can be restored.
BACKUP_WITHIN = timedelta(days=2)
CHECKED_WITHIN = timedelta(days=31)
DRILLED_WITHIN = timedelta(days=92)
# So long the newest entries may be without enough cosignatures.
WITNESSED_WITHIN = timedelta(minutes=15)


class Kind(StrEnum):
    """What an attention is about. Those that make the node take nothing come first."""

    HALTED = "halted"  # its code in health is that of the error
    DISK = "disk"
    STOPPING = "stopping"
    NO_DIRECTORY = "no-directory"  # likewise
    CLOCK_DIFFERS = "clock-differs"
    DISTRUSTED = "partner-log-distrusted"
    NOT_RENEWED = "checkpoint-not-renewed"
    BEHIND_WITNESS = "log-behind-witness"
    LIED = "proved-to-lie"
    TOO_FEW_WITNESSES = "too-few-witnesses"
    DIRECTORY_EXPIRED = "directory-expired"
    EXPIRES = "expires"
    SOURCE = "directory-source"
    NOT_ADMITTED = "not-admitted"
    LEFT_OUT = "nation-left-out"
    TAKES_NOTHING = "partner-takes-nothing"
    NEARLY_FULL = "disk-nearly-full"
    NO_BACKUP = "backup-missing"
    NOT_CHECKED = "backup-not-checked"
    NOT_DRILLED = "backup-not-drilled"


FAILING = frozenset({Kind.HALTED, Kind.DISK, Kind.STOPPING, Kind.NO_DIRECTORY})


@dataclass(frozen=True, slots=True)
class Attention:
    """One thing. ``subject`` is whom or what it concerns, ``cause`` how; ``problem`` is the error behind it, if any.

    ``at`` is when it ends, or since when it is so. ``of_files``: it stops evidence files, and no message.
    """

    kind: Kind
    subject: str = ""
    cause: str = ""
    problem: ComityError | None = None
    at: datetime | None = None
    of_files: bool = False

    @property
    def failing(self) -> bool:
        """Whether the node takes nothing because of it."""
        return self.kind in FAILING and not self.of_files

    @property
    def code(self) -> str:
        """As ``/health`` lists it."""
        if self.problem is not None and self.kind in {Kind.HALTED, Kind.NO_DIRECTORY, Kind.NOT_ADMITTED}:
            return self.problem.code
        match self.kind:
            case Kind.SOURCE:
                return f"{self.kind}-{self.cause}:{self.subject}"
            case Kind.DISK | Kind.EXPIRES:
                return f"{self.kind}:{self.cause}"
            case _:
                return ":".join(filter(None, (self.kind, self.subject)))


def attentions(context: HttpContext, stats: StoreStats | None, backups: BackupRecord) -> list[Attention]:
    """All that there is now: what fails first, then the rest in the order of :class:`Kind`."""
    now = context.node.clock()
    found = [*_failing(context), *_of_logs(context), *_of_directory(context), *_of_witnesses(context, now)]
    if stats is not None:
        away = [one for one in partners_away(context, stats) if one.needs(now)]
        found += [Attention(Kind.TAKES_NOTHING, one.node, one.because(now)) for one in away]
    disk = context.node.disk
    found += [
        Attention(Kind.NEARLY_FULL, room.folder.name, of_files=disk.of_files_alone(room))
        for room in disk.disks
        if room.is_nearly_full
    ]
    found += [Attention(kind) for kind in backups_wanted(backups, now)]
    order = list(Kind)
    return sorted(found, key=lambda one: (not one.failing, order.index(one.kind)))


def partners_away(context: HttpContext, stats: StoreStats) -> list[Away]:
    """The partners that take nothing, whatever waits for them, those that need the operator first."""
    now, waits = context.node.clock(), waits_of(stats)
    past = context.node.history.past
    names = {*waits, *_partners(context)} - {context.node.name}
    found = [away_of(name, past(name), waits.get(name, Waits())) for name in names]
    return sorted((one for one in found if one is not None), key=lambda one: (not one.needs(now), one.since, one.node))


def _partners(context: HttpContext) -> Collection[str]:
    try:
        return context.node.directory.current.nodes()
    except ComityError:
        return ()


def _failing(context: HttpContext) -> list[Attention]:
    sequencer = context.node.sequencer
    found = []
    problem, misdated = sequencer.problem, sequencer.clock_problem
    if problem is not None:
        found.append(Attention(Kind.HALTED, problem=problem))
    if misdated is not None and (problem is None or misdated.code != problem.code):
        found.append(Attention(Kind.HALTED, problem=misdated))
    for one in context.node.disk.problems:
        where = f"{one.file}:{one.use}:{one.cause}"
        found.append(Attention(Kind.DISK, one.file, where, of_files=one.of_files))
    if context.polls.stopping:
        found.append(Attention(Kind.STOPPING))
    return found


def _of_logs(context: HttpContext) -> list[Attention]:
    monitor = context.relay.monitor
    found = [Attention(Kind.CLOCK_DIFFERS, partner) for partner in context.clock_watch.differing()]
    found += [Attention(Kind.DISTRUSTED, partner) for partner in monitor.distrusted]
    unsigned = context.node.sequencer.renewal_problem
    if unsigned is not None:
        found.append(Attention(Kind.NOT_RENEWED, unsigned.code, problem=unsigned))
    found += [Attention(Kind.BEHIND_WITNESS, partner) for partner in sorted(context.gateway.ahead)]
    lied = sorted({node_of(kept.proof.origin) for kept in monitor.proofs.open()})
    return found + [Attention(Kind.LIED, partner) for partner in lied]


def _of_witnesses(context: HttpContext, now: datetime) -> list[Attention]:
    since = context.gateway.lacking_since
    if since is None or now - since <= WITNESSED_WITHIN:
        return []
    return [Attention(Kind.TOO_FEW_WITNESSES, cause=", ".join(context.gateway.lacking()), at=since)]


def _of_directory(context: HttpContext) -> list[Attention]:
    service = context.node.directory
    try:
        directory = service.current
        expiring = context.expiry_watch.near()
    except ComityError as missing:
        return [Attention(Kind.NO_DIRECTORY, problem=missing)]
    found = [Attention(Kind.DIRECTORY_EXPIRED)] if directory.is_stale(context.node.clock()) else []
    urgent = [expiry for expiry, level in expiring if level <= URGENT_DAYS]
    found += [Attention(Kind.EXPIRES, one.subject, f"{one.what}:{one.subject}", at=one.at) for one in urgent]
    found += [Attention(Kind.SOURCE, name, str(how)) for name, how in service.disagreeing.items()]
    if not directory.has_node(context.node.name):
        found.append(Attention(Kind.NOT_ADMITTED, problem=NotAdmittedError()))
    return found + [Attention(Kind.LEFT_OUT, node) for node in directory.problems]


def backups_wanted(backups: BackupRecord, now: datetime) -> list[Kind]:
    """What is to be done about backups; one that was never made is neither checked nor tried out."""
    if backups.made is None or now - backups.made.at > BACKUP_WITHIN:
        return [Kind.NO_BACKUP]
    if backups.checked is None or now - backups.checked.at > CHECKED_WITHIN:
        return [Kind.NOT_CHECKED]
    return [Kind.NOT_DRILLED] if backups.drilled is None or now - backups.drilled.at > DRILLED_WITHIN else []

"""Each partner as the operator sees it: what waits for it, what happened with it lately, its log, its witness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from keys.directory.cards import NodeCard
from keys.directory.view import Directory
from keys.directory.witnesses import witness_policy
from node.console.away import Away, Waits, away_of
from node.files.inspection import FilesInTransit
from node.http.context import HttpContext
from node.operations.history import PartnerPast
from node.operations.inspection import Inspection, PartnerState
from protocol.errors import ComityError
from protocol.log.checkpoint import claimed_time, parse_checkpoint


@dataclass(frozen=True, slots=True)
class PartnerLog:
    """How far a partner's log is proved here, and of when that checkpoint is (None: it does not say)."""

    size: int
    signed_at: datetime | None


@dataclass(frozen=True, slots=True)
class PartnerRow:
    """One partner. ``waiting_since`` is when the oldest that waits was taken here, ``expires_at`` when the first of it
    ends, ``deadline`` when the first is late; ``witnesses`` says whether its cosignature counts for this node's log."""

    node: str
    name: str
    address: str = ""
    relay: str = ""
    phones: tuple[str, ...] = ()
    envelopes: int = 0
    receipts: int = 0
    file_sets: int = 0
    emergencies: int = 0
    deadline: datetime | None = None
    waiting_since: datetime | None = None
    expires_at: datetime | None = None
    next_at: datetime | None = None
    attempts: int = 0
    past: PartnerPast = field(default_factory=PartnerPast)
    log: PartnerLog | None = None
    witnesses: bool = False
    distrusted: bool = False
    clock_offset_s: float | None = None
    bytes_per_s: int = 0
    resumes: int = 0
    known: bool = True

    @property
    def title(self) -> str:
        """Its name with its code, so that two that call themselves the same are told apart."""
        return f"{self.name} ({self.node})" if self.name and self.name != self.node else self.node

    @property
    def waits(self) -> int:
        """How many rows wait for it."""
        return self.envelopes + self.receipts + self.file_sets

    @property
    def reachable(self) -> bool | None:
        """Whether it answered last; None while nothing was asked of it, and for one that calls by itself."""
        if self.past.silent_since is not None:
            return False
        return True if self.past.answered_at is not None else None

    def is_well(self, now: datetime) -> bool:
        """Whether the operator need not look at it."""
        away = self.away()
        return (away is None or not away.needs(now)) and not self.distrusted and self.reachable is not False

    def away(self) -> Away | None:
        """It as a partner that takes nothing; None for one that does, or of which nothing was asked."""
        rows = self.envelopes + self.receipts
        return away_of(self.node, self.past, Waits(rows, self.file_sets, self.emergencies, self.deadline))


async def partner_rows(
    context: HttpContext, inspection: Inspection, files: list[FilesInTransit]
) -> tuple[PartnerRow, ...]:
    """All nodes of the directory but this one, and any other that something waits for; those that need a look first."""
    now = context.node.clock()
    directory = _directory(context)
    waiting = {state.partner: state for state in await inspection.partners()}
    file_sets = Counter(party for one in files for party in one.waiting if "@" not in party)
    offsets = context.clock_watch.offsets()
    decisive = _decisive(context, directory)
    names = {*(directory.nodes() if directory is not None else ()), *waiting, *file_sets} - {context.node.name}
    phones = _phones(directory)
    rows = [
        _row(
            context,
            name,
            directory,
            waiting.get(name),
            _Known(file_sets[name], offsets.get(name), name in decisive, phones.get(name, ())),
        )
        for name in names
    ]
    return tuple(sorted(rows, key=lambda row: (row.is_well(now), -row.waits, row.name.casefold(), row.node)))


@dataclass(frozen=True, slots=True)
class _Known:
    file_sets: int
    offset_s: float | None
    witnesses: bool
    phones: tuple[str, ...]


def _row(
    context: HttpContext, name: str, directory: Directory | None, state: PartnerState | None, known: _Known
) -> PartnerRow:
    card = _card(directory, name)
    note = context.relay.monitor.proved_note(name)
    history = context.node.history
    return PartnerRow(
        node=name,
        name=card.name if card is not None else name,
        address=card.urls[0] if card is not None and card.urls else "",
        relay=(card.relay or "") if card is not None else "",
        phones=known.phones,
        envelopes=state.envelopes if state is not None else 0,
        receipts=state.receipts if state is not None else 0,
        file_sets=known.file_sets,
        emergencies=state.emergencies if state is not None else 0,
        deadline=state.deadline if state is not None else None,
        waiting_since=state.oldest_at if state is not None else None,
        expires_at=state.expires_at if state is not None else None,
        next_at=state.next_at if state is not None else None,
        attempts=state.most_attempts if state is not None else 0,
        past=history.past(name),
        log=None if note is None else PartnerLog(parse_checkpoint(note).size, claimed_time(note)),
        witnesses=known.witnesses,
        distrusted=name in context.relay.monitor.distrusted,
        clock_offset_s=known.offset_s,
        bytes_per_s=history.bytes_per_s(name),
        resumes=history.resumes(name),
        known=card is not None,
    )


def _directory(context: HttpContext) -> Directory | None:
    try:
        return context.node.directory.current
    except ComityError:
        return None


def _card(directory: Directory | None, name: str) -> NodeCard | None:
    try:
        return None if directory is None else directory.node(name)
    except ComityError:
        return None


def _phones(directory: Directory | None) -> Mapping[str, tuple[str, ...]]:
    """By node, the numbers of the first of its offices that has some."""
    found: dict[str, tuple[str, ...]] = {}
    for office in directory.contact_points() if directory is not None else ():
        if office.phones:
            found.setdefault(office.address.node, tuple(str(phone) for phone in office.phones))
    return found


def _decisive(context: HttpContext, directory: Directory | None) -> frozenset[str]:
    if directory is None:
        return frozenset()
    try:
        policy = witness_policy(directory, directory.origin(context.node.name), context.node.clock())
    except ComityError:
        return frozenset()
    return frozenset(policy.decisive)

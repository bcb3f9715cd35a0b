"""Verifying a mirror from its entries up: nothing that the node computed is taken over.

Rules:
1. The checkpoint is the log's: its origin, and both signatures under keys of the directory.
2. The hashes of the leaves lead to the signed root. The entries are those that have these hashes.
3. Every entry can be read, its event is in its order and for this node to state, and a desk's statement is signed by a
   key of that desk that counted when the node logged it.
4. No entry says a time that the log's checkpoints, or the entries around it, show to be false.

A mirror that breaks rule 1, or has no leaves that lead to the root, is refused; everything else is a finding.
Memory grows by some 50 bytes an entry; what is more stands in temporary files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from exchange.audit._altered import altered_entries
from exchange.audit._entry_reader import EntryReading, Row
from exchange.audit._finding import Finding, Findings
from exchange.audit._heads import other_heads
from exchange.audit._index import EntryIndex
from exchange.audit._rules import EventRules
from exchange.audit._times import EntryTimes
from exchange.audit._tree import AuthenticTree, authentic_tree, strange_files
from exchange.audit._workers import Job, read_all
from exchange.audit.period import ALWAYS, Period
from keys.directory.view import Directory
from keys.local.tile_folder import CHECKPOINT, read_items, read_resource, read_whole
from protocol.directory_seen import DirectorySeen
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import (
    CheckpointStaleError,
    ComityError,
    LogUnavailableError,
    NoMirrorError,
    WrongOriginError,
)
from protocol.log.checkpoint import Checkpoint, LogVerifier, VerifiedCheckpoint, parse_checkpoint, verify_checkpoint
from protocol.log.freshness import require_fresh
from protocol.log.layout import TILE_WIDTH, tile_width
from protocol.log.proof import encode_tlog_proof
from protocol.log.scoped import Withheld, item_hash

_REFUTED = frozenset({"post-dated", "back-dated"})

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class LogMirror:
    """A mirror: the folder, the node whose log lies in it, and the keys that this log signs with."""

    folder: Path
    node: str
    verifier: LogVerifier


@dataclass(frozen=True, slots=True)
class VerifyPlan:
    """What of a mirror is judged, and by how many processes.

    Events and statements are judged that were logged in ``period``; the tree and the entries are verified whole.
    ``before`` is a tree whose statements were verified: if the mirror begins with it, their signatures are not
    verified again. ``jobs`` is the number of processes that read entries.
    """

    period: Period = ALWAYS
    jobs: int = 1
    before: Checkpoint | None = None


EVERYTHING = VerifyPlan()
"""Events and statements of all times, every signature, in this process."""


@dataclass(frozen=True, slots=True)
class LoggedView:
    """The entry that says with which directory the node works from then on."""

    index: int
    seen: DirectorySeen


@dataclass(frozen=True, slots=True)
class VerifiedLog:
    """A log whose leaves lead to the root that its node signed.

    ``findings`` are what is wrong all the same. ``withheld`` counts the entries of which this auditor may know only the
    hash, ``unread`` those that are missing, altered or no entries. ``index`` holds the events that could be read.
    ``checkpoints`` are the head, and every other of this history that the mirror keeps; the lines of witnesses on
    them are not looked at here (see :func:`exchange.audit.witnessing.witnessed`). ``false_times`` has for each entry of
    a false time when it was logged about, as others show it (Unix ms). ``unseen_from`` is the first entry that could
    not be read here.
    """

    node: str
    folder: Path
    head: VerifiedCheckpoint
    checkpoints: tuple[VerifiedCheckpoint, ...]
    tree: AuthenticTree
    index: EntryIndex
    findings: tuple[Finding, ...]
    views: tuple[LoggedView, ...]
    withheld: int
    unread: int
    false_times: Mapping[int, int] = field(default_factory=dict)
    unseen_from: int | None = None

    @property
    def checkpoint(self) -> Checkpoint:
        """The log's head."""
        return self.head.checkpoint

    @property
    def origin(self) -> str:
        """The log's origin."""
        return self.checkpoint.origin

    @property
    def ok(self) -> bool:
        """Whether there is no finding."""
        return not self.findings

    @property
    def partial(self) -> bool:
        """Whether something of the log is not known here: withheld from this auditor, missing or unreadable."""
        return bool(self.withheld or self.unread)

    @property
    def reaches_ms(self) -> int:
        """Up to when the log tells what happened, Unix ms: its checkpoint's time, or its last event if later."""
        signed = 0 if self.head.signed_at is None else to_ms(self.head.signed_at)
        last = self.index.last()
        return signed if last is None else max(signed, self.logged_ms(last))

    def logged_ms(self, row: Row) -> int:
        """When an event was logged, Unix ms: as it says, but for a false time as others show it."""
        return self.false_times.get(row.number, row.at_ms)

    def shown_at(self, asked_at: datetime) -> VerifiedLog:
        """The same, with a finding if the log, asked then for its newest checkpoint, showed one of long before."""
        try:
            require_fresh(self.head, asked_at)
        except CheckpointStaleError as problem:
            stale = Finding(self.origin, None, problem.code, problem.detail)
            return replace(self, findings=(stale, *self.findings))
        return self

    def entry(self, index: int) -> bytes:
        """The entry at ``index``; raises :class:`LogUnavailableError` when the mirror has it not, or only its hash."""
        bundle, place = divmod(index, TILE_WIDTH)
        items = read_items(self.folder, bundle, tile_width(0, bundle, self.tree.size))
        item = items[place] if place < len(items) else None
        if item is None or isinstance(item, Withheld) or item_hash(item) != self.tree.leaf_hash(index):
            raise LogUnavailableError(f"the mirror of {self.node} does not hold entry {index}")
        return item

    def proof(self, index: int) -> bytes:
        """The C2SP tlog-proof of an entry under the mirror's checkpoint; raises :class:`LogUnavailableError`."""
        return encode_tlog_proof(index, self.tree.inclusion_path(index), self.head.note)


def verify_mirror(
    mirror: LogMirror, directory: Directory, plan: VerifyPlan = EVERYTHING, progress: Progress | None = None
) -> VerifiedLog:
    """Verify a whole mirror as ``plan`` says.

    Raises :class:`CheckpointInvalidError`, :class:`ProofInvalidError` (neither entries nor tiles lead to the root),
    :class:`NoMirrorError` (there is no checkpoint), :class:`LogUnavailableError` (both tile and entries of some stretch
    are missing) or :class:`FolderBusyError` (it is being written).
    """
    if not (mirror.folder / CHECKPOINT).exists():
        raise NoMirrorError(f"there is no mirror in {mirror.folder}")
    with read_whole(mirror.folder):
        return _verify(mirror, directory, plan, progress)


def _verify(mirror: LogMirror, directory: Directory, plan: VerifyPlan, progress: Progress | None) -> VerifiedLog:
    folder = mirror.folder
    head = _head(mirror)
    findings = Findings(head.checkpoint.origin)
    tree = authentic_tree(folder, head.checkpoint, findings)
    checkpoints = (head, *other_heads(folder, head, mirror.verifier, tree, findings))
    strange_files(folder, tree, findings)
    bounds = plan.period.bounds_ms()
    work = _Verification(folder, directory, tree, findings)
    job = Job(folder, _desk_keys(directory), bounds, _known(tree, plan.before))
    for bundle, result in read_all(job, tree.size, plan.jobs):
        work.take(bundle, result)
        if progress is not None:
            progress(min(tree.size, (bundle + 1) * TILE_WIDTH), tree.size)
    false_times = work.times.false(checkpoints)
    for bad in false_times:
        # Every audit finds an entry that a checkpoint refutes: by its own word it would be of no period, or of another.
        if bad.code in _REFUTED or any(bounds[0] <= ms <= bounds[1] for ms in (bad.at_ms, bad.logged_ms)):
            findings.add(bad.index, bad.code, bad.text)
    rules = EventRules(mirror.node, directory, tree.leaf_hash, bounds, work.unseen_from)
    for index, code, text in rules.breaches(work.index.by_message()):
        findings.add(index, code, text)
    return VerifiedLog(
        node=mirror.node,
        folder=folder,
        head=head,
        checkpoints=checkpoints,
        tree=tree,
        index=work.index,
        findings=findings.in_order(),
        views=tuple(work.views),
        withheld=work.withheld,
        unread=work.unread,
        false_times={bad.index: bad.logged_ms for bad in false_times},
        unseen_from=work.unseen_from,
    )


def _head(mirror: LogMirror) -> VerifiedCheckpoint:
    note = read_resource(mirror.folder, CHECKPOINT)
    origin, wanted = parse_checkpoint(note).origin, mirror.verifier.origin
    if origin != wanted:
        raise WrongOriginError(f"the mirror {mirror.folder} is of the log {origin}, not of {wanted}")
    return verify_checkpoint(note, mirror.verifier)


def _known(tree: AuthenticTree, before: Checkpoint | None) -> int:
    """How many first entries are those of the tree ``before``."""
    begins = before is not None and 0 < before.size <= tree.size and tree.root(before.size) == before.root
    return before.size if before is not None and begins else 0


def _desk_keys(directory: Directory) -> dict[tuple[str, bytes], bytes]:
    return {
        (card.holder, entry.kid): entry.public for card in directory.contact_points() for entry in card.signing_keys
    }


class _Verification:
    """The entries of a mirror as they are taken, bundle by bundle."""

    def __init__(
        self,
        folder: Path,
        directory: Directory,
        tree: AuthenticTree,
        findings: Findings,
    ) -> None:
        self.index = EntryIndex()
        self.views: list[LoggedView] = []
        self.withheld = 0
        self.unread = 0
        self.times = EntryTimes(tree.size)
        self.unseen_from: int | None = None
        self._folder = folder
        self._directory = directory
        self._tree = tree
        self._findings = findings

    def take(self, bundle: int, result: EntryReading | ComityError) -> None:
        """Take what was read of a bundle, as far as it is what the log signed."""
        first = bundle * TILE_WIDTH
        hashes = self._tree.bundle_hashes(bundle)
        if isinstance(result, ComityError):
            width = tile_width(0, bundle, self._tree.size)
            text = f"the entries from here to {first + width - 1} cannot be had: {result.detail}"
            self._findings.add(first, "missing-entries", text)
            self._unseen(first, width)
        elif result.hashes == hashes:
            self._accept(result)
        else:
            self._accept(self._genuine_part(bundle, result))

    def _genuine_part(self, bundle: int, result: EntryReading) -> EntryReading:
        """What of an altered bundle is as the log signed it; the rest becomes findings."""
        first, width = bundle * TILE_WIDTH, tile_width(0, bundle, self._tree.size)
        items = read_items(self._folder, bundle, width)
        genuine = {
            index for index, item in enumerate(items[:width], first) if item_hash(item) == self._tree.leaf_hash(index)
        }
        for index, code, text in altered_entries(first, items, self._tree.bundle_hashes(bundle)):
            self._findings.add(index, code, text)
        return EntryReading(
            b"",
            [row for row in result.rows if row.number in genuine],
            [view for view in result.views if view[0] in genuine],
            [row for row in result.signed if row.number in genuine],
            [problem for problem in result.problems if problem[0] in genuine],
            [index for index in result.withheld if index in genuine],
            [index for index in range(first, first + width) if index not in genuine or index in result.unread],
        )

    def _accept(self, reading: EntryReading) -> None:
        self.index.add(reading.rows)
        self.views += [LoggedView(index, seen) for index, seen in reading.views]
        for index, code, text in reading.problems:
            self._findings.add(index, code, text)
        for index in reading.unread:
            self._unseen(index, 1)
        if reading.withheld:
            self.withheld += len(reading.withheld)
            self._not_seen_from(reading.withheld[0])
        for row in reading.rows:
            self.times.add(row.number, row.at_ms)
        for index, seen in reading.views:
            self.times.add(index, to_ms(seen.at))
        for signed in reading.signed:
            try:
                # Judged when it was logged: who holds a key that was revoked can write any time into a statement.
                self._directory.signing_key(signed.holder, signed.kid, from_ms(signed.at_ms))
            except ComityError as problem:
                text = f"the desk's statement does not hold: {problem.detail}"
                self._findings.add(signed.number, problem.code, text)

    def _unseen(self, first: int, count: int) -> None:
        self.unread += count
        self._not_seen_from(first)

    def _not_seen_from(self, index: int) -> None:
        self.unseen_from = index if self.unseen_from is None else min(self.unseen_from, index)

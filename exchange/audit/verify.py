"""Verifying a mirror from its entries up: nothing that the node computed is taken over.

Rules:
1. The checkpoint is the log's: its origin, and both signatures under keys of the directory.
2. The hashes of the leaves lead to the signed root. The entries are those that have these hashes.
3. Every entry can be read, its event is in its order and for this node to state, and a desk's statement is signed by a
   key of that desk that counted when the node logged it.
4. No entry says a time that the log's checkpoints, or the entries around it, show to be false.

A mirror that breaks rule 1, or has no leaves that lead to the root, is refused; everything else is a finding.
Memory does not grow with a log, but by some 40 bytes for 256 entries; what is more stands in files. An auditor keeps
what was verified and goes on from there: see :mod:`exchange.audit._ledger`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from exchange.audit._altered import altered_entries
from exchange.audit._entry_reader import EntryReading
from exchange.audit._finding import Findings
from exchange.audit._heads import other_heads
from exchange.audit._index import EntryIndex
from exchange.audit._judge import REFUTED, desk_keys, key_problems, times_of
from exchange.audit._kept import NotKeptError, verify_kept
from exchange.audit._log import EVERYTHING, LoggedView, LogMirror, VerifiedLog, VerifyPlan
from exchange.audit._rules import EventRules
from exchange.audit._times import EntryTimes
from exchange.audit._tree import authentic_tree, compare_above, strange_files
from exchange.audit._workers import Job, read_all
from keys.directory.view import Directory
from keys.local.tile_folder import CHECKPOINT, file_names, read_items, read_resource, read_whole
from protocol.errors import ComityError, NoMirrorError, WrongOriginError
from protocol.log.checkpoint import VerifiedCheckpoint, parse_checkpoint, verify_checkpoint
from protocol.log.layout import TILE_WIDTH, tile_width
from protocol.log.scoped import item_hash

__all__ = ["EVERYTHING", "LogMirror", "LoggedView", "Progress", "VerifiedLog", "VerifyPlan", "verify_mirror"]

Progress = Callable[[int, int], None]


def verify_mirror(
    mirror: LogMirror, directory: Directory, plan: VerifyPlan = EVERYTHING, progress: Progress | None = None
) -> VerifiedLog:
    """Verify a whole mirror as ``plan`` says.

    Raises :class:`CheckpointInvalidError`, :class:`ProofInvalidError` (neither entries nor tiles lead to the root),
    :class:`NoMirrorError` (there is no checkpoint), :class:`LogUnavailableError` (both tile and entries of some stretch
    are missing) or :class:`FolderBusyError` (it is being written). With a keeper also :class:`KeptAuditAlteredError`,
    and :class:`FolderBusyError` while another program keeps what it finds in this log.
    """
    if not (mirror.folder / CHECKPOINT).exists():
        raise NoMirrorError(f"there is no mirror in {mirror.folder}")
    with read_whole(mirror.folder):
        head = _head(mirror)
        if plan.keeper is not None:
            try:
                return verify_kept(mirror, head, directory, plan, plan.keeper, progress)
            except NotKeptError:
                pass  # something is wrong with the mirror's files: what, is found from the beginning
        return _verify(mirror, head, directory, plan, progress)


def _head(mirror: LogMirror) -> VerifiedCheckpoint:
    note = read_resource(mirror.folder, CHECKPOINT)
    origin, wanted = parse_checkpoint(note).origin, mirror.verifier.origin
    if origin != wanted:
        raise WrongOriginError(f"the mirror {mirror.folder} is of the log {origin}, not of {wanted}")
    return verify_checkpoint(note, mirror.verifier)


def _verify(
    mirror: LogMirror, head: VerifiedCheckpoint, directory: Directory, plan: VerifyPlan, progress: Progress | None
) -> VerifiedLog:
    """Verify from the first entry on, and keep nothing."""
    folder = mirror.folder
    findings = Findings(head.checkpoint.origin)
    tree = authentic_tree(folder, head.checkpoint, findings)
    compare_above(folder, tree, findings)
    checkpoints = (
        head,
        *other_heads(folder, head, partial(verify_checkpoint, verifier=mirror.verifier), tree, findings),
    )
    strange_files(folder, file_names(folder), tree, findings)
    bounds = plan.period.bounds_ms()
    work = _Verification(mirror, directory, head, findings)
    for bundle, result in read_all(Job(folder, desk_keys(directory), bounds), 0, tree.size, plan.jobs):
        work.take(tree.bundle_hashes(bundle), bundle, result)
        if progress is not None:
            progress(min(tree.size, (bundle + 1) * TILE_WIDTH), tree.size)
    false_times = work.times.false(checkpoints)
    for bad in false_times:
        # Every audit finds an entry that a checkpoint refutes: by its own word it would be of no period, or of another.
        if bad.code in REFUTED or any(bounds[0] <= ms <= bounds[1] for ms in (bad.at_ms, bad.logged_ms)):
            findings.add(bad.index, bad.code, bad.text)
    rules = EventRules(mirror.node, directory, tree.leaf_hash, bounds, work.unseen_from)
    for index, _at_ms, code, text in rules.breaches(work.index.by_message()):
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


class _Verification:
    """The entries of a mirror as they are taken, bundle by bundle."""

    def __init__(self, mirror: LogMirror, directory: Directory, head: VerifiedCheckpoint, findings: Findings) -> None:
        self.index = EntryIndex()
        self.views: list[LoggedView] = []
        self.withheld = 0
        self.unread = 0
        self.unseen_from: int | None = None
        self._size = head.checkpoint.size
        self.times = EntryTimes(self._size, TILE_WIDTH, lambda first, end: times_of(self.index, self.views, first, end))
        self._folder = mirror.folder
        self._directory = directory
        self._findings = findings

    def take(self, hashes: bytes, bundle: int, result: EntryReading | ComityError) -> None:
        """Take what was read of a bundle, as far as it is what the log signed: the entries with these hashes."""
        first = bundle * TILE_WIDTH
        if isinstance(result, ComityError):
            width = tile_width(0, bundle, self._size)
            text = f"the entries from here to {first + width - 1} cannot be had: {result.detail}"
            self._findings.add(first, "missing-entries", text)
            self._unseen(first, width)
            self.times.add(None)
        elif result.hashes == hashes:
            self._accept(result)
        else:
            self._accept(self._genuine_part(hashes, bundle, result))

    def _genuine_part(self, hashes: bytes, bundle: int, result: EntryReading) -> EntryReading:
        """What of an altered bundle is as the log signed it; the rest becomes findings."""
        first, width = bundle * TILE_WIDTH, tile_width(0, bundle, self._size)
        items = read_items(self._folder, bundle, width)
        wanted = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
        genuine = {
            index
            for index, (item, hash_) in enumerate(zip(items, wanted, strict=False), first)
            if item_hash(item) == hash_
        }
        for index, code, text in altered_entries(first, items, hashes):
            self._findings.add(index, code, text)
        return EntryReading(
            b"",
            [row for row in result.rows if row.number in genuine],
            [view for view in result.views if view[0] in genuine],
            [problem for problem in result.problems if problem.number in genuine],
            [],
            [index for index in result.withheld if index in genuine],
            [index for index in range(first, first + width) if index not in genuine or index in result.unread],
        )

    def _accept(self, reading: EntryReading) -> None:
        self.index.add(reading.rows)
        self.views += [LoggedView(index, seen) for index, seen in reading.views]
        self.times.add(reading.span())
        for problem in (*reading.problems, *key_problems(reading.rows, self._directory)):
            self._findings.add(problem.number, problem.code, problem.text)
        for index in reading.unread:
            self._unseen(index, 1)
        if reading.withheld:
            self.withheld += len(reading.withheld)
            self._not_seen_from(reading.withheld[0])

    def _unseen(self, first: int, count: int) -> None:
        self.unread += count
        self._not_seen_from(first)

    def _not_seen_from(self, index: int) -> None:
        self.unseen_from = index if self.unseen_from is None else min(self.unseen_from, index)

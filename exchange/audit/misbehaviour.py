"""Proving that a node lied, from what an auditor holds of its log: checkpoints, receipts, and a mirror's entries.

Statements grow with time, so none is compared with every other: what leads to one large tree is of one history, and
only what does not is looked at more closely. Every signature is verified once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from pathlib import Path

from exchange.audit._times import TimeBounds
from exchange.evidence.misbehaviour import contradiction
from keys.local.tile_folder import read_items, read_resource, widths
from protocol.encoding.instants import to_ms
from protocol.errors import (
    ComityError,
    LogUnavailableError,
    PeerFailedError,
    ProofInvalidError,
    TooLargeError,
    UnavailableError,
)
from protocol.log.checkpoint import LogVerifier, VerifiedCheckpoint, verify_checkpoint
from protocol.log.layout import TILE_WIDTH, tile_path, tile_width
from protocol.log.merkle import leaf_hash, verify_inclusion
from protocol.log.remote import Fetch, RemoteTree
from protocol.log.scoped import Withheld
from protocol.log.tiles import TileTree
from protocol.misbehaviour.proof import MisbehaviourKind, Proof
from protocol.misbehaviour.search import between_checkpoints, between_receipts, misdated
from protocol.misbehaviour.verify import entry_time, is_early, is_late
from protocol.receipt import Receipt

Progress = Callable[[int, int], None]

# These keep one source from answering; the next may.
_SILENT = (ProofInvalidError, LogUnavailableError, TooLargeError, PeerFailedError, UnavailableError)
# So many trees are tried, the largest first, until one can be had that the others are held against.
_REFERENCES = 8
_OF_RECEIPTS = frozenset({MisbehaviourKind.REWRITTEN, MisbehaviourKind.DROPPED})


@dataclass(frozen=True, slots=True)
class Held:
    """Statements of one log, verified or not: what another log said is passed over."""

    notes: tuple[bytes, ...]
    receipts: tuple[Receipt, ...] = ()


@dataclass(frozen=True, slots=True)
class Proven:
    """A proof of each kind that was found, and why statements that may contradict each other could not be compared."""

    proofs: tuple[Proof, ...]
    undecided: tuple[ComityError, ...]


async def prove(
    held: Held, verifier: LogVerifier, sources: Sequence[Fetch], progress: Progress | None = None
) -> Proven:
    """Hold all statements against each other; ``sources`` are where the log's tiles are, asked in turn.

    Raises typed errors for a checkpoint that is none of this log.
    """
    work = _Search(held, verifier, sources, progress)
    work.by_themselves()
    await work.against_trees()
    return Proven(tuple(work.found.values()), tuple(work.undecided))


def misdated_entries(
    folder: Path,
    note: bytes,
    known: Iterable[bytes],
    verifier: LogVerifier,
    unseen: Callable[[int], None] | None = None,
) -> Iterator[tuple[MisbehaviourKind, Receipt]]:
    """The entries of a mirror under ``note`` whose time is false by it or by a ``known`` checkpoint, as receipts.

    A checkpoint of another history dates nothing here. ``unseen`` is told the index of each entry of which the mirror
    has only the hash. Raises :class:`LogUnavailableError` when the mirror has not all entries and tiles, and as
    :func:`read_resource` and :func:`entry_time` do.
    """
    head = verify_checkpoint(note, verifier)
    size = head.checkpoint.size
    tree = TileTree(
        size, lambda level, index: read_resource(folder, tile_path(level, index, tile_width(level, index, size)))
    )
    others = [verify_checkpoint(one, verifier) for one in dict.fromkeys(known)]
    heads = {seen.note: seen for seen in (head, *others) if _is_of(tree, seen)}
    bounds = TimeBounds([*heads.values()])
    for bundle, width in widths(size):
        for index, entry in enumerate(read_items(folder, bundle, width), bundle * TILE_WIDTH):
            if isinstance(entry, Withheld):
                if unseen is not None:
                    unseen(index)
                continue
            refuted = bounds.refuted_by(index, to_ms(entry_time(entry)))
            if refuted is None:
                continue
            # Where the entry stands under that checkpoint, it is proved to; else under the head.
            there = refuted.checkpoint.size > index
            under = refuted if there else head
            path = tree.inclusion_path(index, under.checkpoint.size)
            yield (
                MisbehaviourKind.POST_DATED if there else MisbehaviourKind.BACK_DATED,
                Receipt(entry, index, tuple(path), under.note),
            )


def folder_source(folder: Path) -> Fetch:
    """The tiles of a mirror in a folder."""

    async def fetch(path: str) -> bytes:
        return read_resource(folder, path)

    return fetch


def _is_of(tree: TileTree, seen: VerifiedCheckpoint) -> bool:
    size = seen.checkpoint.size
    return size <= tree.size and tree.root(size) == seen.checkpoint.root


class _Search:
    """One search. ``found`` is a proof of each kind, ``undecided`` why something could not be compared."""

    def __init__(self, held: Held, verifier: LogVerifier, sources: Sequence[Fetch], progress: Progress | None) -> None:
        self.found: dict[MisbehaviourKind, Proof] = {}
        self.undecided: list[ComityError] = []
        self._verifier = verifier
        self._sources = sources
        self._progress = progress
        notes = dict.fromkeys((*held.notes, *(receipt.checkpoint for receipt in held.receipts)))
        self._seen = {note: verify_checkpoint(note, verifier) for note in notes}
        self._receipts = [receipt for receipt in held.receipts if self._is_sound(receipt)]

    def by_themselves(self) -> None:
        """What contradicts without any hash of the tree."""
        at_index: dict[int, Receipt] = {}
        for receipt in self._receipts:
            other = at_index.setdefault(receipt.index, receipt)
            if other.leaf != receipt.leaf:
                self._add(between_receipts(other, receipt, self._verifier))
        bounds = TimeBounds([*self._seen.values()])
        for receipt in self._receipts:
            under, absent = self._seen[receipt.checkpoint], bounds.last_without(receipt.index)
            at = entry_time(receipt.leaf)
            if is_late(at, under.signed_at) or (absent is not None and is_early(at, receipt.index, absent)):
                self._add(misdated(receipt, [] if absent is None else [absent.note], self._verifier))
        timed = [seen for seen in self._seen.values() if seen.signed_at is not None]
        for before, after in pairwise(sorted(timed, key=attrgetter("signed_at", "checkpoint.size"))):
            if after.checkpoint.size < before.checkpoint.size:
                self._compare_here(before, after)
        for small, large in pairwise(sorted(self._seen.values(), key=attrgetter("checkpoint.size"))):
            if small.checkpoint.size == large.checkpoint.size and small.checkpoint.root != large.checkpoint.root:
                self._compare_here(small, large)

    async def against_trees(self) -> None:
        """Hold every checkpoint against the largest tree that can be had, and receipts under those that differ."""
        pending = self._one_of_each_tree()
        total, done = len(pending), 0
        why: dict[bytes, ComityError] = {}
        for _ in range(_REFERENCES):
            if len(pending) < 2:
                break
            largest = pending.pop()
            self.undecided += [why[note] for note in (largest.note,) if note in why]
            reference = _Reference(largest, self._verifier, self._sources)
            strange, left = [], []
            for seen in pending:
                try:
                    proof = await reference.contradicts(seen.note)
                except _SILENT as problem:
                    why[seen.note] = problem
                    left.append(seen)
                    continue
                done += 1
                if self._progress is not None:
                    self._progress(done, total)
                if proof is not None:
                    self._add(proof)
                    strange.append(seen)
            await self._about_receipts(reference, strange)
            pending = left
        self.undecided += [why[seen.note] for seen in pending if seen.note in why]
        if self._progress is not None:
            self._progress(total, total)

    async def _about_receipts(self, reference: _Reference, strange: Sequence[VerifiedCheckpoint]) -> None:
        """What became of receipted entries whose trees are not the reference's."""
        roots = {(seen.checkpoint.size, seen.checkpoint.root) for seen in strange}
        for receipt in self._receipts:
            under = self._seen[receipt.checkpoint].checkpoint
            if (under.size, under.root) not in roots or self.found.keys() >= _OF_RECEIPTS:
                continue
            try:
                self._add(await reference.contradicts(receipt))
            except _SILENT as problem:
                self.undecided.append(problem)

    def _one_of_each_tree(self) -> list[VerifiedCheckpoint]:
        """The checkpoint of each tree that was signed last, the smallest tree first."""
        trees: dict[tuple[int, bytes], VerifiedCheckpoint] = {}
        for seen in sorted(self._seen.values(), key=lambda seen: to_ms(seen.signed_at) if seen.signed_at else 0):
            trees[seen.checkpoint.size, seen.checkpoint.root] = seen
        return [trees[key] for key in sorted(trees)]

    def _compare_here(self, one: VerifiedCheckpoint, other: VerifiedCheckpoint) -> None:
        self._add(between_checkpoints(one.note, other.note, self._verifier, _no_tree))

    def _is_sound(self, receipt: Receipt) -> bool:
        tree = self._seen[receipt.checkpoint].checkpoint
        try:
            verify_inclusion(leaf_hash(receipt.leaf), receipt.index, tree.size, receipt.path, tree.root)
        except ProofInvalidError as problem:
            self.undecided.append(problem)
            return False
        return True

    def _add(self, proof: Proof | None) -> None:
        if proof is not None:
            self.found.setdefault(proof.kind, proof)


class _Reference:
    """A checkpoint that others are held against, and what was fetched of its tree from each source."""

    def __init__(self, seen: VerifiedCheckpoint, verifier: LogVerifier, sources: Sequence[Fetch]) -> None:
        self._note = seen.note
        self._verifier = verifier
        self._trees = [(fetch, RemoteTree(seen.checkpoint.size)) for fetch in sources]

    async def contradicts(self, statement: Receipt | bytes) -> Proof | None:
        """The proof that the statement contradicts this checkpoint; None if it does not. Raises what is in _SILENT."""
        problem: ComityError = LogUnavailableError("there is nowhere to read the log's tiles from")
        for fetch, tree in self._trees:
            try:
                return await contradiction(statement, self._note, self._verifier, fetch, tree)
            except _SILENT as silent:
                problem = silent
        raise problem


def _no_tree() -> TileTree:
    raise LogUnavailableError("these two are compared without a tree")

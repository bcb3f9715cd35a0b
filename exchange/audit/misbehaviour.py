"""Proving that a node lied, from what an auditor holds of its log: checkpoints, receipts, and a mirror's entries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from exchange.accusation import Fetch, contradiction
from keys.tilefolder import read_resource, widths
from protocol.errors import (
    ComityError,
    LogUnavailableError,
    PeerFailedError,
    ProofInvalidError,
    TooLargeError,
    UnavailableError,
)
from protocol.log import (
    TILE_WIDTH,
    LogVerifier,
    TileTree,
    decode_bundle,
    entries_path,
    tile_path,
    tile_width,
    verify_checkpoint,
)
from protocol.misbehaviour import Kind, Proof, between_receipts, entry_time, is_early, is_late, misdated
from protocol.receipt import Receipt

Progress = Callable[[int, int], None]

# What keeps one source from answering; the next may.
_SILENT = (ProofInvalidError, LogUnavailableError, TooLargeError, PeerFailedError, UnavailableError)


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
    """Compare every two statements; ``sources`` are where the log's tiles are, asked in turn. Raises typed errors."""
    found: dict[Kind, Proof] = {}
    undecided: list[ComityError] = []
    for one, other in combinations(held.receipts, 2):
        _add(found, between_receipts(one, other, verifier))
    for receipt in held.receipts:
        _add(found, misdated(receipt, held.notes, verifier))
    pairs: list[tuple[Receipt | bytes, bytes]] = [(receipt, note) for receipt in held.receipts for note in held.notes]
    pairs += combinations(held.notes, 2)
    for count, (statement, note) in enumerate(pairs, 1):
        try:
            _add(found, await _compare(statement, note, verifier, sources))
        except _SILENT as problem:
            undecided.append(problem)
        if progress is not None:
            progress(count, len(pairs))
    return Proven(tuple(found.values()), tuple(undecided))


def misdated_entries(folder: Path, note: bytes, known: Iterable[bytes], verifier: LogVerifier) -> Iterator[Receipt]:
    """The receipts, from a mirror under ``note``, of entries whose time is false by it or by a ``known`` checkpoint.

    Raises :class:`LogUnavailableError` when the mirror has not all entries and tiles, and as
    :func:`read_resource` and :func:`entry_time` do.
    """
    head = verify_checkpoint(note, verifier)
    size = head.checkpoint.size
    earlier = [verify_checkpoint(one, verifier) for one in known]
    tree = TileTree(
        size, lambda level, index: read_resource(folder, tile_path(level, index, tile_width(level, index, size)))
    )
    for bundle, width in widths(size):
        entries = decode_bundle(read_resource(folder, entries_path(bundle, width)))
        for index, entry in enumerate(entries, bundle * TILE_WIDTH):
            at = entry_time(entry)
            if is_late(at, head.signed_at) or any(is_early(at, index, seen) for seen in earlier):
                yield Receipt(entry, index, tuple(tree.inclusion_path(index)), note)


def folder_source(folder: Path) -> Fetch:
    """The tiles of a mirror in a folder."""

    async def fetch(path: str) -> bytes:
        return read_resource(folder, path)

    return fetch


async def _compare(
    statement: Receipt | bytes, note: bytes, verifier: LogVerifier, sources: Sequence[Fetch]
) -> Proof | None:
    problem: ComityError = LogUnavailableError("there is nowhere to read the log's tiles from")
    for fetch in sources:
        try:
            return await contradiction(statement, note, verifier, fetch)
        except _SILENT as silent:
            problem = silent
    raise problem


def _add(found: dict[Kind, Proof], proof: Proof | None) -> None:
    if proof is not None:
        found.setdefault(proof.kind, proof)

"""Finding out how far a node's log went, when its database may be an older state of it.

Asked are the checkpoint file, the memory of this boot, and every partner. If the database leads to all that they know,
the log goes on from it. If not, nothing is signed; what is known is kept in the checkpoint file, so that it cannot be
forgotten again, and the report says what is missing and who holds receipts of it.

A checkpoint file that is damaged knows nothing: it is put aside, and made anew from the database and the others' word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from node.log.files import LogFiles
from node.log.sequencer import Sequencer
from node.operations.logging import Log
from node.peers.client import Partners
from node.recovery.confirmation import WitnessedSize, ask_partners, remembered_of
from node.store.disk_errors import storage_errors
from node.store.operations import SkipNumbers
from protocol.errors import (
    CheckpointFileDamagedError,
    CheckpointInvalidError,
    ComityError,
    LogUnconfirmedError,
)
from protocol.log.checkpoint import LogVerifier, VerifiedCheckpoint, parse_checkpoint, verify_checkpoint
from protocol.receipt import ReceiptVerifier

ASK_S = 10.0
CHECKPOINT_FILE, BOOT_MEMORY = "checkpoint file", "memory of this boot"
_MAX_PAGES = 64


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What is known of the log. ``size`` is that of the database, ``known`` the size that each source knows of.

    ``damaged`` is where a damaged checkpoint file was put.

    ``missing`` entries are not in the database, ``held`` says of which of them a partner holds receipts (ranges, both
    ends included). ``contradicts`` names the sources whose tree is another one than the database's.
    """

    origin: str
    size: int
    known: dict[str, int]
    silent: tuple[str, ...]
    missing: int
    held: dict[str, tuple[tuple[int, int], ...]]
    contradicts: tuple[str, ...]
    damaged: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the log may go on from this database."""
        return not self.missing and not self.contradicts


async def reconcile(
    sequencer: Sequencer, files: LogFiles, partners: Partners, nodes: Sequence[str], log: Log, *, alone: bool
) -> Reconciled:
    """Ask everyone, and let the log go on if nothing speaks against it. ``sequencer`` is open and was not resumed.

    Raises :class:`LogUnconfirmedError` when partners were asked, none answered, and not ``alone``.
    """
    verifier = files.signer.verifier
    witnessed = await ask_partners(nodes, partners, verifier, log, ASK_S)
    if nodes and not witnessed.seen and not alone:
        raise LogUnconfirmedError("none of the partners could be asked how far this node's log went")
    damaged = _put_aside_if_damaged(files, verifier)
    sources = {**_own_memory(files, verifier), **_seen(witnessed)}
    committed = await sequencer.committed()
    size = committed.size if committed is not None else 0
    contradicts = [
        name
        for name, known in sources.items()
        if known.checkpoint.size <= size and await sequencer.root_at(known.checkpoint.size) != known.checkpoint.root
    ]
    newest = max((known.checkpoint.size for known in sources.values()), default=0)
    report = Reconciled(
        verifier.origin,
        size,
        {name: known.checkpoint.size for name, known in sources.items()},
        witnessed.silent,
        max(0, newest - size),
        await _held(witnessed.seen, partners, verifier, size) if newest > size else {},
        tuple(contradicts),
        damaged,
    )
    if report.ok:
        await _go_on(sequencer, files, list(sources.values()))
    else:
        _keep_newest(files, sources, witnessed)
    return report


def _put_aside_if_damaged(files: LogFiles, verifier: LogVerifier) -> str | None:
    """Put the checkpoint file aside if it is no checkpoint of this log; where it lies then.

    Raises :class:`CheckpointFileError` when it cannot be read: what it holds is not known then.
    """
    try:
        note = files.checkpoint.read()
        if note is not None:
            verify_checkpoint(note, verifier)
    except (CheckpointFileDamagedError, CheckpointInvalidError):
        with storage_errors(lambda _: "the damaged checkpoint file cannot be put aside"):
            return str(files.checkpoint.put_aside())
    return None


def _own_memory(files: LogFiles, verifier: LogVerifier) -> dict[str, VerifiedCheckpoint]:
    found: dict[str, VerifiedCheckpoint] = {}
    note = files.checkpoint.read()
    if note is not None:
        found[CHECKPOINT_FILE] = verify_checkpoint(note, verifier)
    for remembered in remembered_of(files):
        found[BOOT_MEMORY] = remembered
    return found


def _seen(witnessed: WitnessedSize) -> dict[str, VerifiedCheckpoint]:
    return {node: seen for node, seen in witnessed.seen.items() if seen is not None}


async def _go_on(sequencer: Sequencer, files: LogFiles, known: list[VerifiedCheckpoint]) -> None:
    note, kept = await sequencer.committed_note(), files.checkpoint.read()
    # One of the same tree is not older: it may have been signed again.
    if note is not None and (kept is None or parse_checkpoint(kept) != parse_checkpoint(note)):
        await asyncio.to_thread(files.checkpoint.write, note)
    await sequencer.resume(known)
    await sequencer.perform(SkipNumbers())
    # Last: a process killed before this asks again.
    files.marks.restored.clear()


def _keep_newest(files: LogFiles, sources: dict[str, VerifiedCheckpoint], witnessed: WitnessedSize) -> None:
    seen = [each for each in witnessed.seen.values() if each is not None]
    newest = max(seen, key=lambda each: each.checkpoint.size, default=None)
    kept = sources.get(CHECKPOINT_FILE)
    if newest is not None and (kept is None or newest.checkpoint.size > kept.checkpoint.size):
        files.checkpoint.write(newest.note)


async def _held(
    nodes: Iterable[str], partners: Partners, verifier: LogVerifier, first: int
) -> dict[str, tuple[tuple[int, int], ...]]:
    """By partner, the indexes from ``first`` on of which it holds receipts that verify."""
    held = {}
    for node in nodes:
        indexes = await _indexes(node, partners, ReceiptVerifier(lambda _: verifier), first)
        if indexes:
            held[node] = ranges(indexes)
    return held


async def _indexes(node: str, partners: Partners, receipts: ReceiptVerifier, first: int) -> list[int]:
    found: list[int] = []
    try:
        for _ in range(_MAX_PAGES):
            page = await partners.get(node).own_receipts(first)
            if not page:
                break
            found += [receipts.verify(receipt).index for receipt in page]
            first = max(receipt.index for receipt in page) + 1
    except ComityError:
        return found  # what it showed until then counts
    return found


def ranges(indexes: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Indexes as ranges with both ends included."""
    ordered = sorted(set(indexes))
    if not ordered:
        return ()
    breaks = [(left, right) for left, right in pairwise(ordered) if right != left + 1]
    starts = [ordered[0], *(right for _, right in breaks)]
    ends = [*(left for left, _ in breaks), ordered[-1]]
    return tuple(zip(starts, ends, strict=True))

"""A mirror of a log: a folder in the layout of C2SP tlog-tiles, which tools of others read as well.

Mirroring is incremental and can be broken off at any point: entries and tiles come first, the checkpoint last, so a
folder always holds all that its checkpoint speaks of, and the next run goes on with the bundles that are there. A
checkpoint that does not extend the mirrored one is evidence: both are kept.

Beside the head lies the newest checkpoint that partners cosigned, as the node serves it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from exchange.client import NodeClient
from keys.files import write_file
from protocol.errors import (
    ComityError,
    LogForkError,
    LogUnavailableError,
    MalformedError,
    NotFoundError,
    ProofInvalidError,
    QuorumNotMetError,
)
from protocol.log import (
    TILE_WIDTH,
    Checkpoint,
    LogVerifier,
    TileTree,
    VerifiedCheckpoint,
    decode_bundle,
    entries_path,
    leaf_hash,
    open_checkpoint,
    tile_path,
    verify_checkpoint,
)

CHECKPOINT = "checkpoint"
COSIGNED = "cosigned/checkpoint"
CONFLICT = "checkpoint.conflict"
MAX_BUNDLE_BYTES = 4 * 1024 * 1024
_HASH_BYTES = 32

Progress = Callable[[int, int], None]


class LogSource(Protocol):
    """Where a log is read from. Nothing that comes from it is trusted."""

    async def read(self, path: str) -> bytes:
        """The resource ``path`` such as ``checkpoint`` or ``tile/0/000``; raises typed errors."""


class NodeSource:
    """A node's log over HTTP."""

    def __init__(self, client: NodeClient) -> None:
        self._client = client

    async def read(self, path: str) -> bytes:
        """See :class:`LogSource`."""
        return await self._client.get(f"/log/{path}", max_bytes=MAX_BUNDLE_BYTES)


class FolderSource:
    """A mirror in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def read(self, path: str) -> bytes:
        """See :class:`LogSource`."""
        return read_resource(self._folder, path)


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What a mirror now holds: the log's head, and how many entries are new."""

    checkpoint: Checkpoint
    new_entries: int


def read_resource(folder: Path, path: str) -> bytes:
    """A resource of a mirror; raises :class:`LogUnavailableError`."""
    try:
        return (folder / path).read_bytes()
    except OSError as problem:
        raise LogUnavailableError(f"the mirror {folder} has no {path}") from problem


def mirrored_checkpoint(folder: Path, verifier: LogVerifier) -> Checkpoint | None:
    """The verified head of a mirror, None if it is new; raises :class:`CheckpointInvalidError`."""
    path = folder / CHECKPOINT
    return open_checkpoint(path.read_bytes(), verifier) if path.exists() else None


async def mirror(source: LogSource, folder: Path, verifier: LogVerifier, progress: Progress | None = None) -> Mirrored:
    """Bring the mirror in ``folder`` up to the source's head.

    Raises :class:`CheckpointInvalidError` for a head that the log did not sign, :class:`LogForkError` for one that does
    not extend the mirror's, :class:`ProofInvalidError` for entries or tiles that do not lead to it.
    """
    cosigned = await _cosigned(source, verifier)  # before the head, which is never behind it then
    note = await source.read(CHECKPOINT)
    head = open_checkpoint(note, verifier)
    before = mirrored_checkpoint(folder, verifier)
    old_size = before.size if before is not None else 0
    if before is not None and (head.size < old_size or (head.size == old_size and head.root != before.root)):
        _keep_conflict(folder, note)
        raise LogForkError(f"the log {head.origin} had {old_size} entries and now shows another tree of {head.size}")

    try:
        tree = await _grow(source, folder, old_size, head, progress)
    except (MalformedError, ProofInvalidError):
        # Either what was served is wrong, or the log signed two histories: only the second proves misbehaviour.
        if before is None or not await _leads_to(source, head):
            raise
        _keep_conflict(folder, note)
        raise LogForkError(
            f"the log {head.origin} signed a history that changes entries it had signed before"
        ) from None
    if before is not None and tree.root(old_size) != before.root:
        raise ProofInvalidError(f"the tiles of the mirror {folder} do not lead to its checkpoint: it was altered here")
    for level, index, hashes in tree.take_changed_tiles():
        path = tile_path(level, index, len(hashes) // _HASH_BYTES)
        if await source.read(path) != hashes:
            raise ProofInvalidError(f"the tile {path} of {head.origin} does not hold the hashes of its entries")
        _write(folder, path, hashes)
    if cosigned is not None:
        if tree.root(cosigned.checkpoint.size) != cosigned.checkpoint.root:
            _keep_conflict(folder, cosigned.note)
            raise LogForkError(f"the log {head.origin} had another history cosigned than the one that it serves")
        _write(folder, COSIGNED, cosigned.note)
    _write(folder, CHECKPOINT, note)
    return Mirrored(head, head.size - old_size)


async def _cosigned(source: LogSource, verifier: LogVerifier) -> VerifiedCheckpoint | None:
    """The newest checkpoint that partners cosigned, the log's own lines verified; None if there is none."""
    try:
        return verify_checkpoint(await source.read(COSIGNED), verifier)
    except (LogUnavailableError, NotFoundError, QuorumNotMetError):
        return None


async def _grow(
    source: LogSource, folder: Path, old_size: int, head: Checkpoint, progress: Progress | None
) -> TileTree:
    """The mirror's tree extended to ``head`` by the source's entries, their bundles written.

    Raises :class:`ProofInvalidError` or :class:`MalformedError`.
    """
    try:
        return await _extend(source, folder, old_size, head, progress, reuse=True)
    except (MalformedError, ProofInvalidError):
        # A bundle that a run left behind when it was broken off was never proved: take everything from the source.
        return await _extend(source, folder, old_size, head, progress, reuse=False)


async def _extend(
    source: LogSource, folder: Path, old_size: int, head: Checkpoint, progress: Progress | None, *, reuse: bool
) -> TileTree:
    tree = TileTree(old_size, lambda level, index: _full_tile(folder, level, index))
    for index in range(old_size // TILE_WIDTH, -(-head.size // TILE_WIDTH)):
        width = min(TILE_WIDTH, head.size - index * TILE_WIDTH)
        path = entries_path(index, width)
        kept = reuse and width == TILE_WIDTH and (folder / path).exists()
        bundle = (folder / path).read_bytes() if kept else await source.read(path)
        known = max(0, old_size - index * TILE_WIDTH)
        for hash_ in _bundle_hashes(folder, index, bundle, width, known)[known:]:
            tree.append(hash_)
        _write(folder, path, bundle)
        if progress is not None:
            progress(tree.size - old_size, head.size - old_size)
    if tree.root() != head.root:
        raise ProofInvalidError(f"the entries of {head.origin} do not lead to the root that it signed")
    return tree


def _bundle_hashes(folder: Path, index: int, bundle: bytes, width: int, known: int) -> list[bytes]:
    """The leaf hashes of a bundle whose first ``known`` entries are the mirrored ones; raises if they are not."""
    hashes = [leaf_hash(entry) for entry in decode_bundle(bundle)]
    if len(hashes) != width:
        raise MalformedError(f"the bundle {entries_path(index, width)} does not hold {width} entries")
    if known and not _full_tile(folder, 0, index).startswith(b"".join(hashes[:known])):
        raise ProofInvalidError(f"the bundle {entries_path(index, width)} does not hold the entries that are mirrored")
    return hashes


async def _leads_to(source: LogSource, head: Checkpoint) -> bool:
    """Whether the source's own entries, from the first, lead to ``head``."""
    tree = TileTree(0, _no_tile)
    try:
        for index in range(-(-head.size // TILE_WIDTH)):
            width = min(TILE_WIDTH, head.size - index * TILE_WIDTH)
            for entry in decode_bundle(await source.read(entries_path(index, width))):
                tree.append(leaf_hash(entry))
    except ComityError:
        return False
    return tree.size == head.size and tree.root() == head.root


def _no_tile(level: int, index: int) -> bytes:
    raise LogUnavailableError(f"tile {index} of level {level} was never stored")


def _full_tile(folder: Path, level: int, index: int) -> bytes:
    """A tile as far as the mirror has it: the full one, else the widest part."""
    full = folder / tile_path(level, index)
    if full.exists():
        return full.read_bytes()
    parts = sorted(full.parent.glob(f"{full.name}.p/*"), key=lambda path: int(path.name))
    if not parts:
        raise LogUnavailableError(f"the mirror {folder} lacks a tile")
    return parts[-1].read_bytes()


def _keep_conflict(folder: Path, note: bytes) -> None:
    _write(folder, CONFLICT, note)


def _write(folder: Path, path: str, content: bytes) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists() or target.read_bytes() != content:
        write_file(target, content)

"""A mirror of a log: a folder in the layout of C2SP tlog-tiles, which tools of others read as well.

Mirroring is incremental and can be broken off at any point: entries and tiles come first, the checkpoint last, so a
folder always holds all that its checkpoint speaks of, and the next run goes on with the bundles that are there. A
checkpoint that does not extend the mirrored one is evidence: both are kept.

Beside the head lies the newest checkpoint that partners cosigned, as the node serves it, and every head that the log
ever signed for this mirror, also one that contradicts the others: each dates entries, and each can prove a lie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Protocol

from exchange.link.client import NodeClient
from keys.local.files import drop_left_behind, make_durable, sync_folder, write_file
from keys.local.tile_folder import (
    CHECKPOINT,
    CONFLICT,
    COSIGNED,
    MAX_BUNDLE_BYTES,
    PLAIN,
    SCOPED,
    BundleForm,
    drop_outgrown_parts,
    head_path,
    read_items,
    read_resource,
    widths,
    written_alone,
)
from protocol.errors import (
    ComityError,
    EntriesErasedError,
    LogForkError,
    LogUnavailableError,
    LogWentBackError,
    MalformedError,
    NotFoundError,
    ProofInvalidError,
    QuorumNotMetError,
    WrongOriginError,
)
from protocol.log.checkpoint import (
    Checkpoint,
    LogVerifier,
    VerifiedCheckpoint,
    open_checkpoint,
    parse_checkpoint,
    verify_checkpoint,
)
from protocol.log.layout import TILE_HEIGHT, TILE_WIDTH, encode_bundle, tile_path, tile_width
from protocol.log.merkle import HASH_BYTES
from protocol.log.scoped import Withheld, encode_scoped_bundle, item_hash
from protocol.log.tiles import TileTree

Progress = Callable[[int, int], None]
_TILES_AT_ONCE = 256


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


class TileFolderSource:
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


def mirrored_checkpoint(folder: Path, verifier: LogVerifier) -> Checkpoint | None:
    """The verified head of a mirror, None if it is new; raises :class:`CheckpointInvalidError`."""
    path = folder / CHECKPOINT
    return open_checkpoint(path.read_bytes(), verifier) if path.exists() else None


async def mirror(
    source: LogSource,
    folder: Path,
    verifier: LogVerifier,
    progress: Progress | None = None,
    *,
    form: BundleForm = PLAIN,
) -> Mirrored:
    """Bring the mirror in ``folder`` up to the source's head; ``form`` is that of the bundles which the source gives.

    Raises :class:`WrongOriginError` or :class:`CheckpointInvalidError` for a head that the log did not sign,
    :class:`LogWentBackError` for one that is older than the mirror's, :class:`LogForkError` for one that does not
    extend it, and :class:`ProofInvalidError` for entries or tiles that do not lead to it. :class:`FolderBusyError`
    while another program works in the folder; nothing is asked of the source then.
    """
    with written_alone(folder):
        drop_left_behind(folder)
        return await _mirror(source, folder, verifier, progress, form)


async def _mirror(
    source: LogSource, folder: Path, verifier: LogVerifier, progress: Progress | None, form: BundleForm
) -> Mirrored:
    cosigned = await _cosigned(source, verifier)  # before the head, which is never behind it then
    note = await source.read(CHECKPOINT)
    head = _head(note, verifier)
    _keep_heads(folder, note, *(() if cosigned is None else (cosigned.note,)))
    before = mirrored_checkpoint(folder, verifier)
    old_size = before.size if before is not None else 0
    if before is not None and (head.size < old_size or (head.size == old_size and head.root != before.root)):
        _write(folder, CONFLICT, note)
        raise _refusal(folder, before, head)
    work = _Mirroring(source, folder, form, head, old_size, progress)
    try:
        tree = await work.grow()
    except (MalformedError, ProofInvalidError):
        # Either what was served is wrong, or the log signed two histories: only the second proves misbehaviour.
        if before is None or not await work.source_leads_to_head():
            raise
        _write(folder, CONFLICT, note)
        raise LogForkError(
            f"the log {head.origin} signed a history that changes entries it had signed before"
        ) from None
    if before is not None and tree.root(old_size) != before.root:
        raise ProofInvalidError(f"the tiles of the mirror {folder} do not lead to its checkpoint: it was altered here")
    await work.compare_tiles()
    if cosigned is not None:
        if tree.root(cosigned.checkpoint.size) != cosigned.checkpoint.root:
            _write(folder, CONFLICT, cosigned.note)
            raise LogForkError(f"the log {head.origin} had another history cosigned than the one that it serves")
        _write(folder, COSIGNED, cosigned.note)
    _write(folder, CHECKPOINT, note)
    drop_outgrown_parts(folder, head.size)
    return Mirrored(head, head.size - old_size)


def _keep_heads(folder: Path, *notes: bytes) -> None:
    """Keep what the log signed, before anything is judged by it."""
    for note in notes:
        _write(folder, head_path(parse_checkpoint(note).size, note), note)


async def _cosigned(source: LogSource, verifier: LogVerifier) -> VerifiedCheckpoint | None:
    """The newest checkpoint that partners cosigned, the log's own lines verified; None if there is none."""
    try:
        return verify_checkpoint(await source.read(COSIGNED), verifier)
    except (LogUnavailableError, NotFoundError, QuorumNotMetError):
        return None


def _head(note: bytes, verifier: LogVerifier) -> Checkpoint:
    origin = parse_checkpoint(note).origin
    if origin != verifier.origin:
        raise WrongOriginError(f"the checkpoint is of the log {origin}, not of {verifier.origin}")
    return open_checkpoint(note, verifier)


def _refusal(folder: Path, before: Checkpoint, head: Checkpoint) -> LogForkError:
    """What a head means that is not above the mirror's: the log went back, or it has two histories."""
    tree = TileTree(before.size, _tiles_of(folder, before.size))
    if head.size < before.size and tree.root(head.size) == head.root:
        return LogWentBackError(f"the log {head.origin} had {before.size} entries and now shows its first {head.size}")
    return LogForkError(f"the log {head.origin} had {before.size} entries and now shows another tree of {head.size}")


class _Mirroring:
    """One run: the mirror's tree of ``old_size`` entries, extended to ``head`` by what the source serves."""

    def __init__(
        self,
        source: LogSource,
        folder: Path,
        form: BundleForm,
        head: Checkpoint,
        old_size: int,
        progress: Progress | None,
    ) -> None:
        self._source = source
        self._folder = folder
        self._form = form
        self._head = head
        self._old_size = old_size
        self._progress = progress
        self._volatile: list[Path] = []
        self._edge: dict[str, bytes] = {}  # the tiles that are not full, as they are at the head

    async def grow(self) -> TileTree:
        """The tree at the head, all new bundles written; raises :class:`ProofInvalidError`, :class:`MalformedError`."""
        try:
            return await self._extend(reuse=True)
        except (MalformedError, ProofInvalidError):
            # A bundle that a run left behind when it was broken off was never proved: take all from the source.
            return await self._extend(reuse=False)

    async def _extend(self, *, reuse: bool) -> TileTree:
        size, old_size = self._head.size, self._old_size
        tree = TileTree(old_size, _tiles_of(self._folder, old_size))
        for index in range(old_size // TILE_WIDTH, -(-size // TILE_WIDTH)):
            width = tile_width(0, index, size)
            known = max(0, old_size - index * TILE_WIDTH)
            form, bundle = await self._bundle(index, width, known, reuse=reuse)
            for hash_ in self._bundle_hashes(form, index, bundle, width, known)[known:]:
                tree.append(hash_)
            self._write(form.path(index, width), bundle)
            if (index + 1) % _TILES_AT_ONCE == 0:
                self._keep_tiles(tree)
                self._make_durable()
            if self._progress is not None:
                self._progress(tree.size - old_size, size - old_size)
        if tree.root() != self._head.root:
            raise ProofInvalidError(f"the entries of {self._head.origin} do not lead to the root that it signed")
        self._keep_tiles(tree)
        return tree

    def _keep_tiles(self, tree: TileTree) -> None:
        """Write the tiles that are full by now: of a long log, they have no place in memory.

        They lie beyond what the mirror's checkpoint speaks of, as the bundles do, until all is proved.
        """
        for level, index, hashes in tree.take_changed_tiles():
            width = len(hashes) // HASH_BYTES
            path = tile_path(level, index, width)
            if width == TILE_WIDTH:
                self._write(path, hashes)
            elif width == tile_width(level, index, self._head.size):
                self._edge[path] = hashes

    async def compare_tiles(self) -> None:
        """Return if the source's tiles are those of its entries, with all of them durable, and the bundles too.

        Raises :class:`ProofInvalidError`.
        """
        for level, index, width in _new_tiles(self._old_size, self._head.size):
            path = tile_path(level, index, width)
            hashes = read_resource(self._folder, path) if width == TILE_WIDTH else self._edge[path]
            if await self._source.read(path) != hashes:
                raise ProofInvalidError(
                    f"the tile {path} of {self._head.origin} does not hold the hashes of its entries"
                )
        for path, hashes in self._edge.items():
            self._write(path, hashes)
        self._make_durable()

    def _write(self, path: str, content: bytes) -> None:
        """Write a file that is durable with the others of its time, and before the checkpoint that speaks of it.

        So is one that a run left which was killed: it may never have come to the disk.
        """
        _write(self._folder, path, content, durable=False)
        self._volatile.append(self._folder / path)

    def _make_durable(self) -> None:
        make_durable(self._volatile)
        self._volatile.clear()

    async def _bundle(self, index: int, width: int, known: int, *, reuse: bool) -> tuple[BundleForm, bytes]:
        """A bundle from an earlier run, which was whole, or from the source; with what only the mirror still has."""
        for form in (self._form, SCOPED):
            path = form.path(index, width)
            if reuse and width == TILE_WIDTH and (self._folder / path).exists():
                return form, read_resource(self._folder, path)
        form, bundle = await self._from_source(index, width)
        return (form, bundle) if form is self._form or not known else self._completed(index, bundle, known)

    def _completed(self, index: int, bundle: bytes, known: int) -> tuple[BundleForm, bytes]:
        """A scoped bundle with the entries that were mirrored before they were erased at the source."""
        items = SCOPED.decode(bundle)
        mirrored = read_items(self._folder, index, known)
        items = [
            mine if isinstance(item, Withheld) and item_hash(mine) == item.leaf_hash else item
            for item, mine in zip_longest(items, mirrored[: len(items)], fillvalue=b"")
        ]
        entries = [item for item in items if not isinstance(item, Withheld)]
        if len(entries) == len(items):
            return PLAIN, encode_bundle(entries)
        return SCOPED, encode_scoped_bundle(items)

    async def _from_source(self, index: int, width: int) -> tuple[BundleForm, bytes]:
        """A bundle in the form of the source; of one with erased entries, what is kept of it."""
        try:
            return self._form, await self._source.read(self._form.path(index, width))
        except EntriesErasedError:
            return SCOPED, await self._source.read(SCOPED.path(index, width))

    def _bundle_hashes(self, form: BundleForm, index: int, bundle: bytes, width: int, known: int) -> list[bytes]:
        """The leaf hashes of a bundle whose first ``known`` entries are the mirrored ones; raises if they are not."""
        path = form.path(index, width)
        hashes = [item_hash(item) for item in form.decode(bundle)]
        if len(hashes) != width:
            raise MalformedError(f"the bundle {path} does not hold {width} entries")
        if known and not _tiles_of(self._folder, self._old_size)(0, index).startswith(b"".join(hashes[:known])):
            raise ProofInvalidError(f"the bundle {path} does not hold the entries that are mirrored")
        return hashes

    async def source_leads_to_head(self) -> bool:
        """Whether the source's own entries, from the first, lead to the head."""
        tree = TileTree(0, _no_tile)
        try:
            for index, width in widths(self._head.size):
                form, bundle = await self._from_source(index, width)
                for item in form.decode(bundle):
                    tree.append(item_hash(item))
                tree.take_changed_tiles()
        except ComityError:
            return False
        return tree.size == self._head.size and tree.root() == self._head.root


def _no_tile(level: int, index: int) -> bytes:
    raise LogUnavailableError(f"tile {index} of level {level} was never stored")


def _new_tiles(old_size: int, size: int) -> Iterator[tuple[int, int, int]]:
    """The tiles of a log of ``size`` entries that it had not, or not as wide, at ``old_size``: level, index, width."""
    level = 0
    while size >> TILE_HEIGHT * level:
        before, now = (one >> TILE_HEIGHT * level for one in (old_size, size))
        if before != now:
            for index in range(before // TILE_WIDTH, -(-now // TILE_WIDTH)):
                yield level, index, tile_width(level, index, size)
        level += 1


def _tiles_of(folder: Path, size: int) -> Callable[[int, int], bytes]:
    """The mirror's tiles as they were at ``size``: a part that was proved comes before what a broken-off run left."""

    def read(level: int, index: int) -> bytes:
        part = folder / tile_path(level, index, tile_width(level, index, size))
        return part.read_bytes() if part.exists() else _full_tile(folder, level, index)

    return read


def _full_tile(folder: Path, level: int, index: int) -> bytes:
    """A tile as far as the mirror has it: the full one, else the widest part."""
    full = folder / tile_path(level, index)
    if full.exists():
        return full.read_bytes()
    parts = sorted(full.parent.glob(f"{full.name}.p/*"), key=lambda path: int(path.name))
    if not parts:
        raise LogUnavailableError(f"the mirror {folder} lacks a tile")
    return parts[-1].read_bytes()


def _write(folder: Path, path: str, content: bytes, *, durable: bool = True) -> None:
    """Write a file unless it is there, with its folders."""
    target = folder / path
    for missing in [one for one in reversed(target.parents) if not one.exists()]:
        missing.mkdir(exist_ok=True)
        sync_folder(missing.parent)
    if not target.exists() or target.read_bytes() != content:
        write_file(target, content, durable=durable)

"""Getting back entries that a log had signed and its database lost, from a mirror that somebody kept.

Nothing of the mirror is believed: its entries must lead from the database's own tree to the checkpoint that this log
signed, whose note is then the database's newest again. No new signature is made, so nothing can be forked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

from keys.local.tile_folder import CHECKPOINT, read_resource
from node.log.files import LogFiles
from node.log.tile_export import read_bundle
from node.store.operations import Done, ImportEntries, SkipNumbers
from node.store.sqlite.connection import open_reader
from node.store.sqlite.log import open_tree
from protocol.directory_seen import decode_entry
from protocol.errors import LogForkError, LogUnavailableError, ProofInvalidError, UsageError
from protocol.event import Event, EventName
from protocol.log.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from protocol.log.layout import TILE_WIDTH, tile_width
from protocol.log.scoped import BundleItem, Withheld, item_hash

Progress = Callable[[int, int], None]

_ENDED = frozenset(
    {
        EventName.ContentHandover,
        EventName.ContentConsignmentFailure,
        EventName.RelayRejection,
        EventName.RelayFailure,
    }
)


@dataclass(frozen=True, slots=True)
class ImportedEntries:
    """What was appended. ``withheld`` entries are known by their hash only.

    ``unfinished`` are messages that were accepted in the lost time and whose end the entries do not show: their
    envelopes are lost here, and their senders are to send them again.
    """

    entries: int
    size: int
    withheld: int
    unfinished: tuple[UUID, ...]


@dataclass(slots=True)
class _Told:
    """What the entries say of messages."""

    withheld: int = 0
    begun: dict[UUID, set[str]] = field(default_factory=dict)
    ended: dict[UUID, set[str]] = field(default_factory=dict)

    def add(self, item: BundleItem) -> None:
        if isinstance(item, Withheld):
            self.withheld += 1
            return
        event = decode_entry(item)
        if not isinstance(event, Event) or event.name.of_files:
            return
        who = str(event.recipient) if event.recipient is not None else event.peer or ""
        if event.name in _ENDED or event.reference is not None:
            self.ended.setdefault(event.message_id, set()).add(who)
        elif event.name is EventName.ContentConsignment:
            self.begun.setdefault(event.message_id, set()).add(who)
        elif event.name in (EventName.SubmissionAcceptance, EventName.RelayAcceptance):
            self.begun.setdefault(event.message_id, set())

    def unfinished(self) -> tuple[UUID, ...]:
        return tuple(
            message_id
            for message_id, waiting in self.begun.items()
            if not self.ended.get(message_id) or waiting - self.ended[message_id]
        )


async def import_mirror(files: LogFiles, mirror: Path, now: datetime, progress: Progress) -> ImportedEntries:
    """Append what ``mirror`` (a folder of tiles) has beyond the database, in one transaction; durable on return.

    The node is stopped. Raises :class:`UsageError` when there is nothing to append, :class:`CheckpointInvalidError`,
    :class:`ProofInvalidError` when the entries are not those that were signed, :class:`LogUnavailableError` when one
    is missing, and what the store refuses with.
    """
    try:
        note = read_resource(mirror, CHECKPOINT)
    except LogUnavailableError as problem:
        raise UsageError(f"{mirror} is no mirror of a log: it has no checkpoint") from problem
    head = open_checkpoint(note, files.signer.verifier)
    store = files.store()
    await store.open()
    try:
        size = store.size()
        if head.size <= size:
            raise UsageError(f"the mirror has {head.size} entries and the database {size}: there is nothing to import")
        told = _proved(files, mirror, size, head)

        def sign(checkpoint: Checkpoint, at: datetime) -> bytes:
            if checkpoint != head:
                raise LogForkError("the entries do not lead to the checkpoint that was signed")
            return note

        items = _items(mirror, size, head.size, progress)
        outcomes = store.apply((SkipNumbers(), ImportEntries(size, items, now)), sign).outcomes
    finally:
        await store.close()
    for outcome in outcomes:
        if not isinstance(outcome, Done):
            raise outcome.error
    kept = files.checkpoint.read()
    if kept is None or parse_checkpoint(kept).size < head.size:
        files.checkpoint.write(note)
    return ImportedEntries(head.size - size, head.size, told.withheld, told.unfinished())


def _proved(files: LogFiles, mirror: Path, size: int, head: Checkpoint) -> _Told:
    """What the mirror's entries say, proved to lead from the database's tree to ``head``."""
    told = _Told()
    with closing(open_reader(files.database)) as connection:
        tree = open_tree(connection, size)
        for item in _items(mirror, size, head.size, lambda done, total: None):
            tree.append(item_hash(item))
            told.add(item)
        if tree.root() != head.root:
            raise ProofInvalidError("the mirror's entries do not lead from this database to the signed checkpoint")
    return told


def _items(mirror: Path, first: int, end: int, progress: Progress) -> Iterator[BundleItem]:
    for index in range(first // TILE_WIDTH, -(-end // TILE_WIDTH)):
        items = read_bundle(mirror, index, tile_width(0, index, end))
        if items is None:
            raise LogUnavailableError(f"the mirror {mirror} lacks the entries of bundle {index}")
        yield from items[max(0, first - index * TILE_WIDTH) :]
        progress(min((index + 1) * TILE_WIDTH, end) - first, end - first)

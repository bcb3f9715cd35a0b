"""The files of a desk: to which message or draft each belongs, where it lies on the shelf, and how far it was moved.

A file's own key stands in the sealed value of its row alone, under a content key: what is erased opens no more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from exchange.store._content import ContentSeal
from exchange.store._names import RowNames
from exchange.store.agenda import AgendaTable
from exchange.store.database import SealedDatabase
from exchange.views import Direction
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import ErasedError

_FILE = b"file.sealed"
_TRANSFER = b"file_transfer.sealed"


@dataclass(frozen=True, slots=True)
class SourceSeen:
    """A file of the officer's as it was when it was sealed: by these it is known again, or as another one."""

    path: str
    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class ShelfFile:
    """One sealed file on the shelf.

    ``owner`` is the message whose file it is, or the draft as long as it is not ``sent``. ``attachment`` is as in the
    message, with the key. ``place`` is where it lies, relative to the shelf; ``source`` what it was sealed from.
    ``called`` is what it was called where it came from, None where that is not known.
    """

    owner: UUID
    sent: bool
    attachment: Mapping[str, Any] = field(repr=False)
    place: str
    kept_at: datetime
    source: SourceSeen | None = None
    called: str | None = None

    @property
    def name(self) -> bytes:
        """The name of the sealed file, 32 bytes."""
        return bytes.fromhex(self.attachment["sealed"]["name"])

    def to_bytes(self) -> bytes:
        """As it is sealed."""
        source = self.source
        seen = (
            None
            if source is None
            else [source.path, source.device, source.inode, source.size, source.modified_ns, source.changed_ns]
        )
        attachment = json.dumps(self.attachment, ensure_ascii=True)
        return cbor.encode(
            [self.owner.bytes, self.sent, attachment, self.place, to_ms(self.kept_at), seen, self.called]
        )

    @classmethod
    def from_bytes(cls, value: bytes) -> ShelfFile:
        """What :meth:`to_bytes` made."""
        # An earlier program sealed nothing of the name.
        owner, sent, attachment, place, kept_at, seen, *called = cbor.decode(value)
        source = None if seen is None else SourceSeen(*seen)
        return cls(UUID(bytes=owner), sent, json.loads(attachment), place, from_ms(kept_at), source, *called)


class TransferState(StrEnum):
    """How far the files of a message are."""

    WAITING = "waiting"  # nothing was moved yet
    MOVING = "moving"
    HELD_UP = "held_up"  # it was tried, and goes on by itself
    DONE = "done"
    FAILED = "failed"  # it does not go on by itself
    CANCELLING = "cancelling"  # nothing is sent any more; the node is still to be told
    CANCELLED = "cancelled"
    GONE = "gone"  # the files were erased here


_OPEN = frozenset({TransferState.WAITING, TransferState.MOVING, TransferState.HELD_UP})


@dataclass(frozen=True, slots=True)
class FileTransfer:
    """The files of one message between this desk and its node, as it was last noted.

    Counts are of the sealed files. ``error`` is the code of what holds it up or ended it, ``why`` says that in words.
    """

    message: UUID
    thread: UUID
    direction: Direction
    files: int
    total_bytes: int
    state: TransferState
    at: datetime
    since: datetime
    bytes_moved: int = 0
    files_moved: int = 0
    error: str | None = None
    why: str | None = None
    rate: int = 0  # bytes a second, of late
    opened: tuple[int, ...] = ()  # numbers of the files that an officer opened
    hands: tuple[bytes, ...] = ()  # who carried them on a disk, as each signed it, verified; the oldest first

    @property
    def open(self) -> bool:
        """Whether it goes on by itself."""
        return self.state in _OPEN

    def at_state(self, state: TransferState, at: datetime, **changes: Any) -> FileTransfer:
        """The same in another state; what held it up before is not said any more."""
        return replace(self, **{"error": None, "why": None, **changes, "state": state, "at": at})

    def to_bytes(self) -> bytes:
        """As it is sealed."""
        return cbor.encode(
            [
                *(self.message.bytes, self.thread.bytes, self.direction.value, self.files, self.total_bytes),
                *(self.state.value, to_ms(self.at), to_ms(self.since), self.bytes_moved, self.files_moved),
                *(self.error, self.why, self.rate, list(self.opened), list(self.hands)),
            ]
        )

    @classmethod
    def from_bytes(cls, value: bytes) -> FileTransfer:
        """What :meth:`to_bytes` made."""
        message, thread, direction, files, size, state, at, since, *more = cbor.decode(value)
        moved, files_moved, error, why, rate, opened, *later = more
        return cls(
            UUID(bytes=message),
            UUID(bytes=thread),
            Direction(direction),
            files,
            size,
            TransferState(state),
            from_ms(at),
            from_ms(since),
            moved,
            files_moved,
            error,
            why,
            rate,
            tuple(opened),
            *map(tuple, later),
        )


class FileTable:
    """The files of one desk. Every method that writes does it inside a transaction of its caller."""

    def __init__(self, database: SealedDatabase, names: RowNames, content: ContentSeal, agenda: AgendaTable) -> None:
        self._database = database
        self._cipher = database.cipher
        self._names = names
        self._content = content
        self._agenda = agenda

    # --- Files ---

    def put(self, file: ShelfFile) -> None:
        """Keep a file, in the place of one with this owner and name."""
        owner, name = self._owner(file.owner), self._name(file.name)
        old = self._database.all("SELECT slot FROM file WHERE owner = ? AND name = ?", (owner, name))
        self._content.doom(slot for (slot,) in old)
        slot, sealed = self._content.seal(_FILE, owner + name, file.to_bytes())
        ((seq,),) = self._database.all(
            "INSERT INTO file (owner, name, place, sealed, slot) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (owner, name) DO UPDATE SET place = excluded.place, sealed = excluded.sealed,"
            " slot = excluded.slot RETURNING seq",
            (owner, name, self._place(file.place), sealed, slot),
        )
        if not file.sent:
            self._database.execute("INSERT INTO file_unsent (seq) VALUES (?) ON CONFLICT DO NOTHING", (seq,))
        else:
            self._database.execute("DELETE FROM file_unsent WHERE seq = ?", (seq,))

    def of(self, owner: UUID) -> list[ShelfFile]:
        """The files of a message or draft, in the order in which they were kept."""
        return self._read("WHERE owner = ? ORDER BY seq", (self._owner(owner),))

    def named(self, name: bytes) -> list[ShelfFile]:
        """The files of this name: that of the message, and those of messages that pass it on."""
        return self._read("WHERE name = ? ORDER BY seq", (self._name(name),))

    def of_message(self, message: UUID, name: bytes) -> ShelfFile | None:
        """The file of a message by its name."""
        return next(iter(self._read("WHERE owner = ? AND name = ?", (self._owner(message), self._name(name)))), None)

    def unsent(self) -> list[ShelfFile]:
        """The files that no message has yet."""
        return self._read("WHERE seq IN (SELECT seq FROM file_unsent) ORDER BY seq", ())

    def belongs(self, place: str) -> bool:
        """Whether a message or draft has a file in this place of the shelf."""
        return bool(self._database.all("SELECT 1 FROM file WHERE place = ? LIMIT 1", (self._place(place),)))

    def take(self, file: ShelfFile, message: UUID) -> None:
        """Make a file that no message had a message's."""
        self.remove(file)
        self.put(replace(file, owner=message, sent=True))

    def remove(self, file: ShelfFile) -> None:
        """Forget a file; its key is destroyed. :meth:`belongs` says if its place is another one's too."""
        owner, name = self._owner(file.owner), self._name(file.name)
        gone = self._database.all("DELETE FROM file WHERE owner = ? AND name = ? RETURNING seq, slot", (owner, name))
        self._content.doom(slot for _, slot in gone)
        for seq, _ in gone:
            self._database.execute("DELETE FROM file_unsent WHERE seq = ?", (seq,))

    # --- Transfers ---

    def note(self, transfer: FileTransfer) -> None:
        """Keep how far the files of a message are; the last word counts."""
        row = self._names.message(transfer.message)
        ((seq,),) = self._database.all(
            "INSERT INTO file_transfer (message, sealed) VALUES (?, ?)"
            " ON CONFLICT (message) DO UPDATE SET sealed = excluded.sealed RETURNING seq",
            (row, self._cipher.seal(_TRANSFER, row, transfer.to_bytes())),
        )
        if transfer.open or transfer.state is TransferState.CANCELLING:
            self._database.execute("INSERT INTO file_transfer_open (seq) VALUES (?) ON CONFLICT DO NOTHING", (seq,))
        else:
            self._database.execute("DELETE FROM file_transfer_open WHERE seq = ?", (seq,))
        self._agenda.mark_stale([self._names.thread(transfer.thread)])

    def progress(self, transfer: FileTransfer) -> None:
        """As :meth:`note`, of one that is open now and stays it, where nothing that is due changes by it."""
        row = self._names.message(transfer.message)
        sealed = self._cipher.seal(_TRANSFER, row, transfer.to_bytes())
        self._database.execute(
            "UPDATE file_transfer SET sealed = ? WHERE message = ? AND seq IN (SELECT seq FROM file_transfer_open)",
            (sealed, row),
        )

    def transfer(self, message: UUID) -> FileTransfer | None:
        """How far the files of a message are; None for one without files."""
        row = self._names.message(message)
        rows = self._database.all("SELECT sealed FROM file_transfer WHERE message = ?", (row,))
        return FileTransfer.from_bytes(self._cipher.open(_TRANSFER, row, rows[0][0])) if rows else None

    def transfers(self, *, unfinished: bool = False, most: int = 10_000) -> list[FileTransfer]:
        """The transfers of this desk, the oldest first; ``unfinished``: those alone that go on by themselves."""
        found = self._transfers(unfinished, most)
        return [transfer for transfer in found if transfer.open] if unfinished else found

    def to_take_back(self) -> list[FileTransfer]:
        """The transfers that somebody cancelled while the node could not be asked."""
        return [transfer for transfer in self._transfers(True) if transfer.state is TransferState.CANCELLING]

    def _transfers(self, unfinished: bool, most: int = 10_000) -> list[FileTransfer]:
        rows = self._database.all(
            "SELECT message, sealed FROM file_transfer WHERE NOT ? OR seq IN (SELECT seq FROM file_transfer_open)"
            " ORDER BY seq DESC LIMIT ?",
            (int(unfinished), most),
        )
        rows.reverse()
        return [FileTransfer.from_bytes(self._cipher.open(_TRANSFER, row, sealed)) for row, sealed in rows]

    # --- Inside ---

    def _read(self, where: str, values: tuple[object, ...]) -> list[ShelfFile]:
        rows = self._database.all("SELECT owner, name, sealed, slot FROM file " + where, values)  # noqa: S608 - ours
        return list(self._opened(rows))

    def _opened(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[ShelfFile]:
        for owner, name, sealed, slot in rows:
            try:
                yield ShelfFile.from_bytes(self._content.open(_FILE, owner + name, sealed, slot))
            except ErasedError:  # another program destroyed its key at this moment
                continue

    def _owner(self, owner: UUID) -> bytes:
        return self._names.message(owner)

    def _name(self, name: bytes) -> bytes:
        return self._cipher.blind(b"file-name", name)

    def _place(self, place: str) -> bytes:
        return self._cipher.blind(b"file-place", place.encode())

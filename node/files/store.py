"""What a node's store of segments promises. A segment's object is opaque bytes here: its path and its data.

Objects are kept by message and name: who asks for a name under another message finds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Buffer = bytes | bytearray | memoryview
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class SegmentObject:
    """The object of the segment ``index`` (from 0) of the file of this name: ``head``, then ``content``."""

    name: bytes
    index: int
    content: Buffer
    head: bytes = b""

    @property
    def size_bytes(self) -> int:
        """How long the object is."""
        return len(self.head) + memoryview(self.content).nbytes


class FileStore(Protocol):
    """Segments of the files of messages. ``message`` is the SHA-256 of an envelope, ``name`` a file's: 32 bytes each.

    Every method raises ``StorageFullError`` when there is no room and ``UnavailableError`` when the store cannot be
    used now; both pass.
    """

    async def open(self) -> None:
        """Take the store for this process, if it was not; raises ``StoreInUseError`` when another has it.

        Also ``SettingsError``. After an error that passes it may be opened again.
        """

    async def close(self) -> None:
        """Let it go; idempotent."""

    async def put(self, message: bytes, segments: Sequence[SegmentObject]) -> None:
        """Keep the objects; all are durable on return. A repeat takes the place of what was there.

        When it raises, each object is there whole or not at all. Several may put the same object at once.
        """

    async def get(self, message: bytes, name: bytes, index: int) -> Buffer:
        """One object; raises ``NotFoundError``."""

    async def get_some(self, message: bytes, segments: Sequence[tuple[bytes, int]]) -> Sequence[Buffer | None]:
        """The objects of these names and indexes, in order; None for one that is not here.

        The caller may give the memory of each back (:data:`keys.transport.segments.BUFFERS`).
        """

    async def held(self, message: bytes) -> Mapping[bytes, Sequence[int]]:
        """The indexes that are kept whole, by name, in no order; empty for an unknown message."""

    async def drop(self, message: bytes, name: bytes, index: int) -> None:
        """Let one object go, such as a damaged one; idempotent."""

    async def delete(self, message: bytes) -> None:
        """Let all objects of a message go; idempotent."""

    async def messages(self) -> Sequence[bytes]:
        """The messages of which anything is kept, in no order."""

    async def usage(self, message: bytes) -> int:
        """How many bytes the objects of a message take; 0 for an unknown message."""

    async def room(self) -> int | None:
        """How many bytes may still be written; None where nobody can know."""

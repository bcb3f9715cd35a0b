"""By which blinded names rows are found: one purpose a kind of thing, so that no two kinds share a name."""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID

from exchange.store.cipher import RowCipher
from exchange.views import Direction
from protocol.address import Address

_REMEMBERED = 8192


class RowNames:
    """The names of rows in one desk's database, 32 bytes each."""

    def __init__(self, cipher: RowCipher) -> None:
        # A message of a batch is looked up several times in a row: when it is kept, submitted, and proved.
        self._blind = lru_cache(maxsize=_REMEMBERED)(cipher.blind)

    def message(self, message_id: UUID) -> bytes:
        """A message, its row in the outbox, its opening and its refusal."""
        return self._blind(b"message", message_id.bytes)

    def digest(self, digest: bytes) -> bytes:
        """An envelope, by its digest."""
        return self._blind(b"digest", digest)

    def thread(self, thread: UUID) -> bytes:
        """A thread."""
        return self._blind(b"thread", thread.bytes)

    def parent(self, parent_id: UUID) -> bytes:
        """What was asked of several nations."""
        return self._blind(b"parent", parent_id.bytes)

    def box(self, direction: Direction) -> bytes:
        """What was received, or what was sent."""
        return self._blind(b"box", direction.value.encode())

    def contact(self, contact: Address) -> bytes:
        """A contact point that was tested."""
        return self._blind(b"contact-test", str(contact).encode())

    def unproved(self, entry: UUID) -> bytes:
        """What came by another way, and is not proved."""
        return self._blind(b"unproved", entry.bytes)

    def statement(self, key: bytes) -> bytes:
        """A statement and its refusal, by the statement's key."""
        return self._blind(b"statement", key)

"""By which blinded names rows are found: one purpose a kind of thing, so that no two kinds share a name."""

from __future__ import annotations

from uuid import UUID

from exchange.store.cipher import RowCipher
from exchange.views import Direction
from protocol.address import Address


class RowNames:
    """The names of rows in one desk's database, 32 bytes each."""

    def __init__(self, cipher: RowCipher) -> None:
        self._cipher = cipher

    def message(self, message_id: UUID) -> bytes:
        """A message, its row in the outbox, its opening and its refusal."""
        return self._cipher.blind(b"message", message_id.bytes)

    def digest(self, digest: bytes) -> bytes:
        """An envelope, by its digest."""
        return self._cipher.blind(b"digest", digest)

    def thread(self, thread: UUID) -> bytes:
        """A thread."""
        return self._cipher.blind(b"thread", thread.bytes)

    def box(self, direction: Direction) -> bytes:
        """What was received, or what was sent."""
        return self._cipher.blind(b"box", direction.value.encode())

    def contact(self, contact: Address) -> bytes:
        """A contact point that was tested."""
        return self._cipher.blind(b"contact-test", str(contact).encode())

    def statement(self, key: bytes) -> bytes:
        """A statement and its refusal, by the statement's key."""
        return self._cipher.blind(b"statement", key)

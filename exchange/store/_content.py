"""What is erased for good one day: each value has a key of its own (:mod:`exchange.store._content_keys`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from exchange.store._content_keys import ContentKeys
from exchange.store._state import StateTable
from exchange.store.cipher import ValueCipher
from exchange.store.database import SealedDatabase

_SLOT_BYTES = 8
_NEXT_SLOT = b"content-slot"
_DOOMED = b"content-doomed"


class ContentSeal:
    """Seals contents, opens them, and destroys their keys. A slot (8 bytes) is the place of a content's key."""

    def __init__(self, database: SealedDatabase, state: StateTable, keys: ContentKeys) -> None:
        self._database = database
        self._cipher = database.cipher
        self._state = state
        self._keys = keys

    def take_slots(self, count: int) -> list[bytes]:
        """The places of so many new keys, inside a transaction."""
        stored = self._state.get(_NEXT_SLOT)
        first = int.from_bytes(stored, "big") if stored else 0
        slots = range(first, first + count)
        for slot in slots:
            self._keys.provide(slot)
        if count:
            self._state.set(_NEXT_SLOT, slots.stop.to_bytes(_SLOT_BYTES, "big"))
        return [slot.to_bytes(_SLOT_BYTES, "big") for slot in slots]

    def cipher(self, slot: bytes) -> ValueCipher:
        """The cipher of the content whose key lies at ``slot``; raises :class:`ErasedError`."""
        return self._cipher.for_content(self._keys.secret(int.from_bytes(slot, "big")))

    def seal(self, name: bytes, row: bytes, value: bytes) -> tuple[bytes, bytes]:
        """(the place of its key, the sealed value) of something that is erased for good, inside a transaction."""
        (slot,) = self.take_slots(1)
        return slot, self.cipher(slot).seal(name, row, value)

    def open(self, name: bytes, row: bytes, sealed: bytes, slot: bytes | None) -> bytes:
        """What :meth:`seal` sealed; raises :class:`ErasedError`.

        Without a slot it was kept before contents had keys of their own: it is under the database's key.
        """
        cipher = self._cipher if slot is None else self.cipher(slot)
        return cipher.open(name, row, sealed)

    def doom(self, slots: Iterable[bytes | None]) -> None:
        """Note keys to be destroyed, inside a transaction: :meth:`destroy_doomed` does it, or the next start."""
        doomed = b"".join(slot for slot in slots if slot is not None)
        if doomed:
            self._state.set(_DOOMED, (self._state.get(_DOOMED) or b"") + doomed)

    def destroy_doomed(self) -> None:
        """Destroy the keys of what was erased, and what the write-ahead log still holds of it."""
        doomed = self._state.get(_DOOMED)
        if not doomed:
            return
        slots = _slots(doomed)
        self._keys.destroy(int.from_bytes(slot, "big") for slot in slots)
        self._database.forget_deleted()
        self._note_destroyed(frozenset(slots))

    def close(self) -> None:
        """Close the file of keys."""
        self._keys.close()

    def _note_destroyed(self, slots: Collection[bytes]) -> None:
        with self._database.transaction():
            # A key that another program erased meanwhile is not destroyed yet.
            left = [slot for slot in _slots(self._state.get(_DOOMED) or b"") if slot not in slots]
            self._state.set(_DOOMED, b"".join(left))


def _slots(doomed: bytes) -> list[bytes]:
    return [doomed[at : at + _SLOT_BYTES] for at in range(0, len(doomed), _SLOT_BYTES)]

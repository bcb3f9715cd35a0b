"""Message ids: UUID version 7 (RFC 9562 §5.7), so that ids sort by the time they were made."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from protocol.encoding.instants import to_ms
from protocol.errors import MalformedError

RANDOM_BYTES = 10

_VERSION_AND_VARIANT = 0xF << 76 | 0x3 << 62
_VERSION_7 = 0x7 << 76 | 0x2 << 62


def new_message_id(now: datetime, random: bytes) -> UUID:
    """A UUIDv7 from the instant ``now`` and 10 random bytes."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a message id takes {RANDOM_BYTES} random bytes")
    value = to_ms(now) << 80 | int.from_bytes(random, "big")
    return UUID(int=value & ~_VERSION_AND_VARIANT | _VERSION_7)


def parse_message_id(raw: object) -> UUID:
    """The UUIDv7 in 16 bytes; raises :class:`MalformedError` for another version or length."""
    if type(raw) is not bytes or len(raw) != 16:
        raise MalformedError("a message id is 16 bytes")
    parsed = UUID(int=int.from_bytes(raw, "big"))
    if not is_message_id(parsed):
        raise MalformedError("a message id is a UUID of version 7")
    return parsed


def is_message_id(id_: UUID) -> bool:
    """Whether ``id_`` is of version 7 in the variant of RFC 9562 (§4.1, §4.2)."""
    return id_.int & _VERSION_AND_VARIANT == _VERSION_7

"""Message ids: UUID version 7 (RFC 9562 §5.7), so that ids sort by the time they were made."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from protocol.errors import MalformedError
from protocol.instant import to_ms

RANDOM_BYTES = 10


def new_message_id(now: datetime, random: bytes) -> UUID:
    """A UUIDv7 from the instant ``now`` and 10 random bytes."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a message id takes {RANDOM_BYTES} random bytes")
    value = to_ms(now) << 80 | int.from_bytes(random, "big")
    value = value & ~(0xF << 76) | 0x7 << 76  # version
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    return UUID(int=value)


def parse_message_id(raw: object) -> UUID:
    """The UUIDv7 in 16 bytes; raises :class:`MalformedError` for another version or length."""
    if type(raw) is not bytes or len(raw) != 16:
        raise MalformedError("a message id is 16 bytes")
    parsed = UUID(bytes=raw)
    if parsed.version != 7:
        raise MalformedError("a message id is a UUID of version 7")
    return parsed

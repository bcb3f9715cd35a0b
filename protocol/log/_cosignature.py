"""What a cosignature signs: C2SP tlog-cosignature.

The ML-DSA-44 type (0x06) is that of v1.1.0-rc.1, as the specification's newest text (June 2026) still has it:
``cosigned_message`` with the label ``"subtree/v1\\n\\0"`` and both names as plain text. v1.0.1 does not have this type
yet, and the first draft encoded names that begin with ``oid/`` in another way.
"""

from __future__ import annotations

from datetime import UTC, datetime

from protocol.errors import MalformedError
from protocol.log.note import MAX_NAME_BYTES, check_key_name

TIMESTAMP_BYTES = 8
MAX_TIMESTAMP = (1 << 63) - 1

_SUBTREE_LABEL = b"subtree/v1\n\x00"


def to_timestamp(at: datetime) -> int:
    """POSIX seconds of an aware datetime, rounded down; :class:`MalformedError` if naive or not after 1970."""
    if at.tzinfo is None:
        raise MalformedError("an instant needs its offset from UTC")
    seconds = int(at.timestamp() // 1)
    if seconds <= 0:
        raise MalformedError("a cosignature is made after 1970")
    return seconds


def from_timestamp(seconds: int) -> datetime | None:
    """The UTC instant of POSIX seconds; raises :class:`MalformedError` beyond the year 9999.

    None for 0, by which a cosigner makes no statement about the time nor that this was its largest tree then.
    """
    if seconds == 0:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as problem:
        raise MalformedError("the cosignature's time is out of range") from problem


def split_timestamped(signature: bytes, signature_bytes: int) -> tuple[int, bytes]:
    """The POSIX seconds and the bare signature of a ``timestamped_signature``; raises :class:`MalformedError`."""
    if len(signature) != TIMESTAMP_BYTES + signature_bytes:
        raise MalformedError(f"a cosignature of this type has {TIMESTAMP_BYTES + signature_bytes} bytes")
    seconds = int.from_bytes(signature[:TIMESTAMP_BYTES], "big")
    if seconds > MAX_TIMESTAMP:
        raise MalformedError("the cosignature's time is out of range")
    return seconds, signature[TIMESTAMP_BYTES:]


def ed25519_message(note_text: str, seconds: int) -> bytes:
    """What an Ed25519 cosignature (0x04) signs: header, time, and the checkpoint's whole text."""
    return f"cosignature/v1\ntime {seconds}\n{note_text}".encode()


def mldsa_message(cosigner: str, seconds: int, origin: str, size: int, root: bytes) -> bytes:
    """What an ML-DSA-44 cosignature (0x06) of a checkpoint signs: the ``cosigned_message`` structure, with start 0.

    It is signed with FIPS 204 ML-DSA.Sign and an empty context. Extension lines are not part of it.
    """
    return b"".join(
        (
            _SUBTREE_LABEL,
            _opaque8(cosigner),
            seconds.to_bytes(8, "big"),
            _opaque8(origin),
            (0).to_bytes(8, "big"),
            size.to_bytes(8, "big"),
            root,
        )
    )


def _opaque8(name: str) -> bytes:
    """``opaque name<1..2^8-1>`` of RFC 8446 §3.4."""
    check_key_name(name)
    encoded = name.encode()
    if len(encoded) > MAX_NAME_BYTES:
        raise MalformedError(f"a name has at most {MAX_NAME_BYTES} bytes")
    return bytes([len(encoded)]) + encoded

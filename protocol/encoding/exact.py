"""Canonical CBOR of a fixed shape, read and written byte by byte.

An object that every message has is of one shape and has one encoding. Its reader looks for exactly those bytes, in one
pass and without general values in between: what it finds is canonical by construction, with nothing left over and each
length in its shortest form. It judges nothing: whatever it does not find (:data:`NOT_EXACT`) is read again by
:mod:`protocol.encoding.cbor`, which says what is wrong with it. So it may find
less than what is valid, never more.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from protocol.encoding.instants import MAX_MS
from protocol.errors import ComityError

# An instant before this one, of 1970, fits in fewer than eight bytes.
LEAST_MS = 1 << 32


class InexactError(ValueError):
    """The bytes are not of the shape."""


# A reader of a fixed shape ends with these when the bytes are of another: a length beyond the end among them.
NOT_EXACT = (ValueError, IndexError, ComityError, struct.error)


def byte_string(data: bytes, at: int) -> tuple[bytes, int]:
    """The byte string that begins at ``at``, and where it ends; raises one of :data:`NOT_EXACT`.

    A string that the data is too short for is cut: whoever reads on compares the end of the last part with the data's.
    """
    start, end = _span(data, at, 0x40)
    return data[start:end], end


def byte_span(data: bytes, at: int) -> tuple[int, int]:
    """Where the byte string that begins at ``at`` has its bytes: for a long one that is not to be copied."""
    return _span(data, at, 0x40)


def text(data: bytes, at: int) -> tuple[bytes, int]:
    """The UTF-8 bytes of the text string that begins at ``at``, and where it ends; as :func:`byte_string`."""
    start, end = _span(data, at, 0x60)
    return data[start:end], end


def _span(data: bytes, at: int, kind: int) -> tuple[int, int]:
    size = data[at] - kind
    at += 1
    if 0 <= size < 24:
        return at, at + size
    if size == 24:
        size, at, least = data[at], at + 1, 24
    elif size == 25:
        size, at, least = int.from_bytes(data[at : at + 2], "big"), at + 2, 1 << 8
    elif size == 26:
        size, at, least = int.from_bytes(data[at : at + 4], "big"), at + 4, 1 << 16
    else:
        raise InexactError
    if size < least:
        raise InexactError
    return at, at + size


def count(data: bytes, at: int) -> tuple[int, int]:
    """How many items the array that begins at ``at`` has, and where the first begins; as :func:`byte_string`."""
    start, end = _span(data, at, 0x80)
    return end - start, start


def unsigned(data: bytes, at: int) -> tuple[int, int]:
    """The integer, 0 to 2^64 - 1, that begins at ``at``, and where it ends; as :func:`byte_string`."""
    size = data[at]
    if size < 24:
        return size, at + 1
    if size > 27:
        raise InexactError
    width = 1 << (size - 24)
    least = 24 if width == 1 else 1 << 4 * width
    value = int.from_bytes(data[at + 1 : at + 1 + width], "big")
    if value < least:
        raise InexactError
    return value, at + 1 + width


def unsigneds(data: bytes, at: int, most: int) -> tuple[list[int], int]:
    """The array of at most ``most`` integers that begins at ``at``, and where it ends; as :func:`byte_string`."""
    items, at = count(data, at)
    if items > most:
        raise InexactError
    values = []
    for _ in range(items):
        value = data[at]
        if value < 24:
            at += 1
        else:
            value, at = unsigned(data, at)
        values.append(value)
    return values, at


def milliseconds(data: bytes, at: int) -> int:
    """The instant in the eight bytes from ``at`` on; one that fits in fewer is before 1971, and not found here."""
    ms = int.from_bytes(data[at : at + 8], "big")
    if not LEAST_MS <= ms <= MAX_MS:
        raise InexactError
    return ms


def put_bytes(value: bytes) -> bytes:
    """The byte string."""
    size = len(value)
    return (_HEADS_OF_BYTES[size] if size < 256 else head(0x40, size)) + value


@lru_cache(maxsize=1024)  # names of events, addresses, nodes and origins: the same ones in every object
def put_text(value: str) -> bytes:
    """The text string; raises :class:`UnicodeEncodeError` for what has no place in UTF-8."""
    encoded = value.encode()
    return head(0x60, len(encoded)) + encoded


def put_unsigned(value: int) -> bytes:
    """The integer, 0 to 2^64 - 1."""
    if value < 24:
        return bytes((value,))
    if value < 1 << 8:
        return bytes((0x18, value))
    if value < 1 << 16:
        return b"\x19" + value.to_bytes(2, "big")
    if value < 1 << 32:
        return b"\x1a" + value.to_bytes(4, "big")
    return b"\x1b" + value.to_bytes(8, "big")


def head(kind: int, size: int) -> bytes:
    """What stands before ``size`` bytes (``kind`` 0x40), bytes of text (0x60), items (0x80) or pairs (0xA0)."""
    if size < 24:
        return bytes((kind + size,))
    if size < 1 << 8:
        return bytes((kind + 24, size))
    if size < 1 << 16:
        return bytes((kind + 25,)) + size.to_bytes(2, "big")
    return bytes((kind + 26,)) + size.to_bytes(4, "big")


# Before a byte string of so many bytes, as most are.
_HEADS_OF_BYTES = tuple(head(0x40, size) for size in range(256))

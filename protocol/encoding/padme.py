"""Padding that hides the length of the content but for its order of magnitude (Padmé, PURBs, PETS 2019, §4).

Overhead is at most 12 % (and a floor of 512 bytes); what leaks of a length of L bits is about log2(log2 L) bits.
"""

from __future__ import annotations

from protocol.errors import OpenFailedError

SALT_BYTES = 32
_LENGTH_BYTES = 4
_PREFIX_BYTES = SALT_BYTES + _LENGTH_BYTES
MIN_BYTES = 512


def padded_size(size: int) -> int:
    """The Padmé size for ``size`` bytes, at least 512."""
    size = max(size, MIN_BYTES)
    exponent = size.bit_length() - 1
    mask = (1 << exponent - exponent.bit_length()) - 1
    return (size + mask) & ~mask


def pad(salt: bytes, content: bytes) -> bytes:
    """``salt || length || content || zeros`` of the Padmé size. The salt has 32 bytes."""
    body = salt + len(content).to_bytes(_LENGTH_BYTES, "big") + content
    return body + bytes(padded_size(len(body)) - len(body))


def unpad(plaintext: bytes) -> tuple[bytes, bytes]:
    """Salt and content; raises :class:`OpenFailedError` unless the padding is exactly what :func:`pad` makes."""
    if len(plaintext) < _PREFIX_BYTES:
        raise OpenFailedError("the sealed content is too short")
    end = _PREFIX_BYTES + int.from_bytes(plaintext[SALT_BYTES:_PREFIX_BYTES], "big")
    # An end behind the plaintext has a larger size than the plaintext.
    if padded_size(end) != len(plaintext) or any(plaintext[end:]):
        raise OpenFailedError("the sealed content is not padded as this version pads")
    return plaintext[:SALT_BYTES], plaintext[_PREFIX_BYTES:end]

"""The short fingerprint of a message: both sides have it, and read it to each other over the telephone.

It is the beginning of the SHA-256 of the message's envelope, which both desks verified, 100 bits in Crockford's Base32
(without I, L, O and U, which people take for other signs): whoever can make another message with the same one can make
2^100 of them. It is for people who compare; the log and the receipts have the whole.
"""

from __future__ import annotations

_SIGNS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LETTERS, _BITS, _GROUP = 20, 5, 4


def fingerprint_of(digest: bytes) -> str:
    """The fingerprint of the message whose envelope has this digest (32 bytes): five groups of four signs."""
    number = int.from_bytes(digest, "big") >> (len(digest) * 8 - _LETTERS * _BITS)
    signs = [_SIGNS[(number >> (_BITS * place)) & 31] for place in reversed(range(_LETTERS))]
    return "-".join("".join(signs[at : at + _GROUP]) for at in range(0, _LETTERS, _GROUP))

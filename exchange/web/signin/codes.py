"""One-time codes that an officer makes at the terminal and types into a browser: good once, for ten minutes.

A code is typed and never a link: nothing of it stands in an address, a history or a log. The service keeps its hash,
and the officer's key sealed under it.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol.errors import SignInError

GOOD_FOR_S = 600.0
MAX_CODES = 64
# Crockford's alphabet: no letter is taken for a digit. Ten of them are 50 bits.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHARS = 10
_TAKEN_FOR = str.maketrans({"O": "0", "I": "1", "L": "1", "U": "V"})
_NONCE = bytes(12)  # each key seals once


@dataclass(slots=True)
class _Code:
    salt: bytes
    digest: bytes = field(repr=False)
    sealed: bytes = field(repr=False)
    until: float


class OneTimeCodes:
    """The codes of one desk that were made and not used; an officer has one at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._codes: dict[str, _Code] = {}

    def make(self, officer: str | None, seed: bytes) -> str:
        """A code for an officer whose key this is (none at a desk without officers), as it is typed."""
        self._tidy()
        while len(self._codes) >= MAX_CODES:
            del self._codes[next(iter(self._codes))]
        plain = "".join(_ALPHABET[one & 31] for one in os.urandom(_CHARS))
        salt = os.urandom(16)
        sealed = AESGCM(_derived(plain, salt, b"seal")).encrypt(_NONCE, seed, None)
        self._codes[officer or ""] = _Code(salt, _derived(plain, salt, b"know"), sealed, self._clock() + GOOD_FOR_S)
        return f"{plain[:5]}-{plain[5:]}"

    def use(self, officer: str | None, typed: str) -> bytes:
        """The officer's key, for the right code, which is used up by it; raises :class:`SignInError`.

        Wrong tries take no code away, else anybody could keep an officer out: a million of them while it is good find
        one of its 50 bits once in a thousand million times.
        """
        self._tidy()
        code = self._codes.get(officer or "")
        if code is None:
            raise SignInError
        plain = read_code(typed)
        if not hmac.compare_digest(_derived(plain, code.salt, b"know"), code.digest):
            raise SignInError
        del self._codes[officer or ""]
        try:
            return AESGCM(_derived(plain, code.salt, b"seal")).decrypt(_NONCE, code.sealed, None)
        except InvalidTag:
            raise SignInError from None

    def _tidy(self) -> None:
        now = self._clock()
        for officer in [one for one, code in self._codes.items() if code.until <= now]:
            del self._codes[officer]


def read_code(typed: str) -> str:
    """A code as it was meant: small letters, blanks and hyphens count for nothing, nor does O for 0."""
    return "".join(typed.split()).replace("-", "").upper().translate(_TAKEN_FOR)[:64]


def _derived(plain: str, salt: bytes, purpose: bytes) -> bytes:
    return blake2b(plain.encode("utf-8", "surrogateescape"), salt=salt, person=purpose, digest_size=32).digest()

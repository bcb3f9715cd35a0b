"""Codes that a program prints at a terminal and a person types into a page: good once, and for minutes.

A code has 60 random bits, so that guessing it is hopeless for as long as it is good, however many guess at once
(a million guesses in its time find it once in a million million tries). So no number of wrong guesses takes the code
of the right person away, and nobody can keep that person out by guessing.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

# Crockford's base 32: no letter that is read as a digit.
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1"})
_GROUPS, _GROUP_CHARS = 3, 4
MAX_TYPED_CHARS = 64
GOOD_S = 600.0
MAX_CODES = 8


@dataclass(slots=True)
class _Code:
    digest: bytes = field(repr=False)
    until: float
    subject: str


class TypedCodes:
    """The codes of one program, in memory. ``clock`` is monotonic. Event loop only."""

    def __init__(self, good_s: float = GOOD_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._good_s = good_s
        self._clock = clock
        self._codes: list[_Code] = []
        self.wrong = 0

    @property
    def good_s(self) -> float:
        """How long a code is good."""
        return self._good_s

    def make(self, subject: str = "") -> str:
        """A new code for ``subject``, such as an officer; the oldest one ends when there are too many."""
        letters = "".join(secrets.choice(_LETTERS) for _ in range(_GROUPS * _GROUP_CHARS))
        self._tidy()
        self._codes = [*self._codes, _Code(_digest(letters), self._clock() + self._good_s, subject)][-MAX_CODES:]
        return "-".join(letters[at : at + _GROUP_CHARS] for at in range(0, len(letters), _GROUP_CHARS))

    def take(self, typed: str) -> str | None:
        """The subject of a code that is good, which ends with this; None for any other text, which is counted."""
        self._tidy()
        given = _digest(_plain(typed))
        found = None
        for code in self._codes:  # all of them: how long it takes says nothing
            if hmac.compare_digest(code.digest, given):
                found = code
        if found is None:
            self.wrong += 1
            return None
        self._codes.remove(found)
        return found.subject

    def _tidy(self) -> None:
        now = self._clock()
        self._codes = [code for code in self._codes if code.until > now]


def _plain(typed: str) -> str:
    """What was typed, without the marks between groups and however the letters were read."""
    kept = "".join(one for one in typed[:MAX_TYPED_CHARS].upper() if one.isascii() and one.isalnum())
    return kept.translate(_READ_AS)


def _digest(letters: str) -> bytes:
    return sha256(letters.encode("ascii")).digest()

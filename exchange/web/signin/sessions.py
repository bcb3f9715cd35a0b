"""Who is signed in, in which browser. A session lies in this process's memory alone, and ends with it.

The browser keeps a random value in a cookie; the service keeps its hash. A session is locked when nothing was done in
it for a while (its officer's key is overwritten, and what was typed comes back when the officer unlocks it), and ends
some hours after it began, whatever was done in it.
"""

from __future__ import annotations

import os
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from protocol.crypto.signing import Ed25519Signer
from protocol.errors import SignInNeededError

MAX_SESSIONS = 256
LONGEST_S = 12 * 3600.0
_SECRET_BYTES = 32


@dataclass(slots=True)
class WebSession:
    """One officer in one browser (``officer`` None: the one person of a desk without officers).

    ``began`` and ``used`` are monotonic; ``browser`` is what the browser calls itself; ``form_key`` makes the tokens of
    its forms.
    """

    name: str
    officer: str | None
    began: float
    used: float
    browser: str
    form_key: bytes = field(repr=False)
    _seed: bytearray = field(repr=False)
    locked: bool = False

    @property
    def signer(self) -> Ed25519Signer | None:
        """The officer's key; raises :class:`SignInNeededError` when the session is locked or has ended."""
        if self.locked:
            raise SignInNeededError("the session is locked")
        return Ed25519Signer(bytes(self._seed)) if self._seed else None

    def wipe(self) -> None:
        """Overwrite the key."""
        self._seed[:] = bytes(len(self._seed))
        self.locked = True

    def unlock(self, seed: bytes) -> None:
        """Put the key back, of the officer who gave it again."""
        self._seed[:] = seed
        self.locked = False


class WebSessions:
    """The sessions of one desk. ``idle_s``: how long one stays open in which nothing is done."""

    def __init__(self, idle_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._idle_s = idle_s
        self._clock = clock
        self._sessions: dict[bytes, WebSession] = {}

    def begin(self, officer: str | None, seed: bytes, browser: str) -> str:
        """Begin a session; the value for the browser's cookie, which is new each time."""
        self.tidy()
        while len(self._sessions) >= MAX_SESSIONS:
            self._end(min(self._sessions, key=lambda one: self._sessions[one].used))
        secret = urlsafe_b64encode(os.urandom(_SECRET_BYTES)).decode()
        now = self._clock()
        name = os.urandom(6).hex()
        made = WebSession(name, officer, now, now, browser[:200], os.urandom(_SECRET_BYTES), bytearray(seed))
        self._sessions[_key(secret)] = made
        return secret

    def find(self, secret: str | None, *, used: bool = True) -> WebSession:
        """The session of a cookie; ``used``: somebody does something, so that it stays open.

        A locked one is found too. Raises :class:`SignInNeededError`.
        """
        self.tidy()
        found = self._sessions.get(_key(secret)) if secret else None
        if found is None:
            raise SignInNeededError
        if used and not found.locked:
            found.used = self._clock()
        return found

    def of(self, officer: str | None) -> list[WebSession]:
        """The sessions of an officer, the newest first."""
        self.tidy()
        return sorted(
            (one for one in self._sessions.values() if one.officer == officer), key=lambda one: one.began, reverse=True
        )

    def end(self, session: WebSession) -> None:
        """End a session; again is harmless."""
        for key, one in list(self._sessions.items()):
            if one is session:
                self._end(key)

    def end_all(self) -> None:
        """End all sessions."""
        for key in list(self._sessions):
            self._end(key)

    def tidy(self) -> None:
        """Lock those that were idle; end those that are too old."""
        now = self._clock()
        for key, one in list(self._sessions.items()):
            if now - one.began > LONGEST_S:
                self._end(key)
            elif not one.locked and now - one.used > self._idle_s:
                one.wipe()

    def _end(self, key: bytes) -> None:
        self._sessions.pop(key).wipe()


def _key(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogateescape")).digest()

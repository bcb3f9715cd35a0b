"""Who is signed in, in which browser: the browser keeps a random value in a cookie, the program its hash, in memory.

A session ends when nothing was done in it for a while, some hours after it began whatever was done in it, and with the
process.
"""

from __future__ import annotations

import os
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

MAX_SESSIONS = 16
_SECRET_BYTES = 32
_MAX_BROWSER_CHARS = 200


@dataclass(slots=True, eq=False)
class BrowserSession:
    """One browser. ``began`` and ``used`` are monotonic; ``form_key`` makes the tokens of its forms.

    ``name`` says in a log which session did something; ``browser`` is what the browser calls itself.
    """

    name: str
    began: float
    used: float
    browser: str
    form_key: bytes = field(repr=False)


class BrowserSessions:
    """The sessions of one program. Event loop only."""

    def __init__(self, idle_s: float, longest_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.longest_s = longest_s
        self._idle_s = idle_s
        self._clock = clock
        self._sessions: dict[bytes, BrowserSession] = {}

    def begin(self, browser: str) -> str:
        """Begin a session; the value for the browser's cookie, new each time. The one used longest ago may end."""
        self._tidy()
        while len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[min(self._sessions, key=lambda one: self._sessions[one].used)]
        secret = urlsafe_b64encode(os.urandom(_SECRET_BYTES)).decode()
        now = self._clock()
        made = BrowserSession(os.urandom(4).hex(), now, now, browser[:_MAX_BROWSER_CHARS], os.urandom(_SECRET_BYTES))
        self._sessions[_key(secret)] = made
        return secret

    def find(self, secret: str | None, *, used: bool) -> BrowserSession | None:
        """The session of a cookie; ``used``: a person does something, so that it goes on. None when there is none."""
        self._tidy()
        found = self._sessions.get(_key(secret)) if secret else None
        if found is not None and used:
            found.used = self._clock()
        return found

    def end(self, session: BrowserSession) -> None:
        """End a session; again is harmless."""
        self._sessions = {key: one for key, one in self._sessions.items() if one is not session}

    def end_all(self) -> None:
        """End all sessions."""
        self._sessions.clear()

    def __len__(self) -> int:
        self._tidy()
        return len(self._sessions)

    def _tidy(self) -> None:
        now = self._clock()
        self._sessions = {
            key: one
            for key, one in self._sessions.items()
            if now - one.began <= self.longest_s and now - one.used <= self._idle_s
        }


def _key(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogateescape")).digest()

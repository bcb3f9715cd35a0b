"""Officers who are signed in at a running desk, each in the terminal session where the passphrase was typed.

A session is in this process's memory and nowhere else. It holds the officer's signing key, which is overwritten when
the session ends: by ``comity logout``, when nothing was done for a while, when the officer's key file changed, or with
the service. (Python may keep copies of what a command used; they end with that command's own process.)
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from exchange.office.officers import key_file
from exchange.service.peers import Peer, TerminalSession, is_alive
from protocol.crypto.signing import Ed25519Signer
from protocol.errors import SessionError

MAX_SESSIONS = 256


@dataclass(slots=True)
class OfficerSession:
    """One officer, signed in. ``proof`` is a keyed hash of the passphrase; ``began`` and ``used`` are monotonic.

    ``stays``: the officer signed in, for commands that follow. Otherwise a program gave the passphrase with its
    command, and gives it with the next one too: the key is only not derived again.
    """

    officer: str
    place: TerminalSession
    stamp: tuple[int, int, int]
    began: float
    used: float
    stays: bool
    _seed: bytearray = field(repr=False)
    proof: bytes = field(repr=False)

    @property
    def signer(self) -> Ed25519Signer:
        """The officer's key; raises :class:`SessionError` when the session has ended."""
        return Ed25519Signer(self.seed())

    def seed(self) -> bytes:
        """The officer's key as 32 bytes; raises :class:`SessionError` when the session has ended."""
        if not any(self._seed):
            raise SessionError("the session has ended")
        return bytes(self._seed)

    def wipe(self) -> None:
        """Overwrite the key."""
        self._seed[:] = bytes(len(self._seed))


class Sessions:
    """Who is signed in. ``idle_s``: how long a session lives in which nothing is done; ``folder``: the key files."""

    def __init__(self, folder: Path, idle_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._idle_s = idle_s
        self._clock = clock
        self._sessions: dict[tuple[TerminalSession, str], OfficerSession] = {}
        # Called with the officer, and whether a session began, in the event loop; it must not wait.
        self.on_change: list[Callable[[str, bool], None]] = []

    def begin(self, peer: Peer, officer: str, seed: bytes, proof: bytes, *, stays: bool = True) -> OfficerSession:
        """Sign an officer in, where the caller is; raises :class:`SessionError`.

        The caller has shown that it has the key; who the officer is and may do is asked at each command.
        """
        if peer.session is None:
            raise SessionError("the first process of this terminal session has ended")
        self.expire()
        before = self._sessions.get((peer.session, officer))
        stays = stays or (before is not None and before.stays)
        self._end((peer.session, officer))
        if len(self._sessions) >= MAX_SESSIONS:
            raise SessionError(f"{MAX_SESSIONS} officers are signed in")
        stamp = self._stamp(officer)
        if stamp is None:
            raise SessionError(f"{officer} has no key file")
        now = self._clock()
        begun = OfficerSession(officer, peer.session, stamp, now, now, stays, bytearray(seed), proof)
        self._sessions[peer.session, officer] = begun
        self._tell(officer, True)
        return begun

    def find(
        self, peer: Peer, officer: str | None, proof: bytes | None = None, *, used: bool = True
    ) -> OfficerSession | None:
        """The session of ``officer`` where the caller is, and that it is used now; of whoever signed in first there,
        where no officer is named. With a ``proof``, only if the passphrase was that one. ``used`` is whether
        somebody does something: a program that only listens keeps nobody signed in.
        """
        self.expire()
        for (place, name), session in self._sessions.items():
            if place != peer.session or officer not in (None, name):
                continue
            if proof is None and not session.stays:
                continue
            if proof is not None and not hmac.compare_digest(proof, session.proof):
                return None
            if used:
                session.used = self._clock()
            return session
        return None

    def of(self, peer: Peer) -> list[OfficerSession]:
        """All sessions of the caller's user, the oldest first."""
        self.expire()
        return [session for (place, _), session in self._sessions.items() if place.uid == peer.uid]

    def end(self, peer: Peer, officer: str | None = None) -> list[str]:
        """Sign out ``officer``, or everybody, where the caller is; who was signed out."""
        gone = [key for key in self._sessions if key[0] == peer.session and officer in (None, key[1])]
        for key in gone:
            self._end(key)
        return [name for _, name in gone]

    def expire(self) -> None:
        """End the sessions that were idle for too long, whose terminal was closed, or whose key file changed."""
        now = self._clock()
        for key, session in list(self._sessions.items()):
            idle = now - session.used >= self._idle_s
            if idle or not is_alive(session.place) or self._stamp(session.officer) != session.stamp:
                self._end(key)

    def idle_s(self, session: OfficerSession) -> float:
        """How long nothing was done in it."""
        return self._clock() - session.used

    def end_all(self) -> None:
        """Sign everybody out."""
        for key in list(self._sessions):
            self._end(key)

    def _end(self, key: tuple[TerminalSession, str]) -> None:
        ended = self._sessions.pop(key, None)
        if ended is not None:
            ended.wipe()
            self._tell(ended.officer, False)

    def _tell(self, officer: str, began: bool) -> None:
        for hear in self.on_change:
            hear(officer, began)

    def _stamp(self, officer: str) -> tuple[int, int, int] | None:
        try:
            status = os.stat(key_file(self._folder, officer))
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

"""Who calls the local API: the terminal session of the connection, and the officer who is signed in there.

A program that acts for several officers names one with each request (``Comity-Officer``). A session lies in the memory
of the service alone. It is bound to the caller's terminal session, as that of commands is, or to the one connection on
which the officer signed in (``"scope": "connection"``): then it ends with the connection, and no other program of that
terminal session has it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from aiohttp import web

from exchange.acts.office import change_passphrase
from exchange.desk.desk import Desk
from exchange.office.officers import Login, OfficerRegister, check_officer_id, key_file, officer_signer
from exchange.service.peers import Peer, TerminalSession, peer_of
from exchange.service.service import DeskService
from exchange.service.sessions import OfficerSession, Sessions
from exchange.settings import Home
from protocol.crypto.signing import Ed25519Signer
from protocol.errors import (
    KeystoreError,
    KeystoreLockedError,
    NotFoundError,
    RateLimitedError,
    SessionError,
    UnavailableError,
)

# Wrong passphrases of one connection, and a pause after each; how many are tried at once in the whole service.
MAX_WRONG = 5
WRONG_PAUSE_S = 1.0
MAX_DERIVING = 2


@dataclass(slots=True)
class ApiCaller:
    """One connection to the socket."""

    service: DeskService
    peer: Peer
    own: Sessions
    transport: Any
    wrong: int = 0

    async def desk(self, request: web.Request, *, used: bool = True) -> Desk:
        """The desk as the officer of the request acts on it; ``used``: somebody does something by it.

        Raises :class:`SessionError` for an officer who is not signed in here, and as :meth:`DeskService.desk_of`.
        """
        officer = request.headers.get("Comity-Officer")
        purpose, reason = request.headers.get("Comity-Purpose"), request.headers.get("Comity-Reason")
        session = self.session(officer, used=used)
        if session is not None:
            return await self.service.desk_of(session, purpose=purpose, reason=reason)
        if officer is not None:
            raise SessionError(f"{check_officer_id(officer)} is not signed in here")
        return await self.service.desk(Login(purpose=purpose, reason=reason))

    def session(self, officer: str | None, *, used: bool = True) -> OfficerSession | None:
        """The session of an officer, or of whoever signed in first: on this connection, else in this terminal."""
        if self.peer.session is None:
            return None
        own = self.own.find(self.peer, officer, used=used)
        return own or self.service.sessions.find(self.peer, officer, used=used)

    def sessions(self) -> list[tuple[OfficerSession, str]]:
        """All sessions of the caller's user that this connection may know of, each with its scope."""
        own = [(one, "connection") for one in self.own.of(self.peer)]
        return own + [(one, "terminal") for one in self.service.sessions.of(self.peer)]


@dataclass(slots=True)
class ApiCallers:
    """The connections of one service, and how officers sign in on them."""

    service: DeskService
    _secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    _known: dict[Any, ApiCaller] = field(default_factory=dict)
    _turns: dict[TerminalSession | None, asyncio.Lock] = field(default_factory=dict)
    _deriving: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_DERIVING))

    def of(self, request: web.Request) -> ApiCaller:
        """Who sent a request; raises :class:`SessionError` for a process that has ended, or is another user's."""
        protocol, transport = request.protocol, request.transport
        found = self._known.get(protocol)
        if found is not None:
            return found
        self.tidy()
        if transport is None:
            raise SessionError("the process that connected has ended")
        home, settings = Home(self.service.home), self._settings()
        own = Sessions(home.officers, settings.service.idle_min * 60.0)
        own.on_change += self.service.sessions.on_change
        made = ApiCaller(self.service, peer_of(transport.get_extra_info("socket")), own, transport)
        self._known[protocol] = made
        return made

    def tidy(self) -> None:
        """End the sessions of connections that ended, and those that were idle."""
        for connection, caller in list(self._known.items()):
            if caller.transport.is_closing():
                caller.own.end_all()
                del self._known[connection]
            else:
                caller.own.expire()

    def is_signed_in(self, connection: Any) -> bool:
        """Whether an officer signed in on this connection alone: the session would end with it."""
        caller = self._known.get(connection)
        return caller is not None and bool(caller.own.of(caller.peer))

    def end_all(self) -> None:
        """End the sessions of all connections."""
        for caller in list(self._known.values()):
            caller.own.end_all()

    async def sign_in(
        self, caller: ApiCaller, officer: str, passphrase: str, *, for_connection: bool
    ) -> OfficerSession:
        """Sign an officer in; raises :class:`KeystoreLockedError` for a wrong passphrase or an unknown officer.

        One at a time in a terminal session, and few at once: guessing costs whoever guesses, and no more of this
        machine. Raises :class:`RateLimitedError` for a connection that was wrong too often, and as
        :meth:`DeskService.desk` for an officer who left.
        """
        check_officer_id(officer)
        secret = passphrase.encode()
        async with self._trying(caller):
            signer = await self._unlocked(officer, secret)
            await self.service.desk(Login(officer, None, None, None, None, signer))
        proof = blake2b(secret, key=self._secret, digest_size=32).digest()
        sessions = caller.own if for_connection else self.service.sessions
        return sessions.begin(caller.peer, officer, signer.seed(), proof, stays=True)

    async def change_passphrase(self, caller: ApiCaller, officer: str, old: str, new: str) -> dict[str, Any]:
        """Put an officer's key under another passphrase; guessing the present one costs as at :meth:`sign_in`."""
        folder = Home(self.service.home).officers
        file = key_file(folder, check_officer_id(officer))
        async with self._trying(caller):
            await asyncio.to_thread(change_passphrase, file, old.encode(), new.encode())
        return {"officer": officer, "changed": True}

    @asynccontextmanager
    async def _trying(self, caller: ApiCaller) -> AsyncIterator[None]:
        """Try a passphrase, one at a time where the caller is: whoever guesses waits, and nobody elsewhere does."""
        if caller.wrong >= MAX_WRONG:
            raise RateLimitedError("too many wrong passphrases came on this connection")
        try:
            async with self._turn_of(caller.peer.session), self._deriving:
                yield
        except (KeystoreLockedError, KeystoreError, NotFoundError):
            caller.wrong += 1
            await asyncio.sleep(WRONG_PAUSE_S)
            raise KeystoreLockedError("the officer or the passphrase is wrong") from None

    def _turn_of(self, place: TerminalSession | None) -> asyncio.Lock:
        """The lock of a terminal session; those that nobody holds are forgotten."""
        self._turns = {one: lock for one, lock in self._turns.items() if lock.locked() or one == place}
        return self._turns.setdefault(place, asyncio.Lock())

    async def _unlocked(self, officer: str, passphrase: bytes) -> Ed25519Signer:
        """The officer's key. It is derived beside the desk's thread, so that nobody waits for it."""
        if self.service.opened is None:
            raise UnavailableError("the desk is not open")
        context = self.service.opened.context
        found = await context.in_thread(lambda: OfficerRegister(context.store.database).get(officer))
        signer = await asyncio.to_thread(officer_signer, context.home.officers, found, passphrase)
        if not isinstance(signer, Ed25519Signer):
            raise KeystoreError("that officer's key is not in a file")
        return signer

    def _settings(self) -> Any:
        if self.service.opened is None:
            raise UnavailableError("the desk is not open")
        return self.service.opened.context.settings

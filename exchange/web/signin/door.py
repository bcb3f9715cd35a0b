"""Who may sign in at a desk's pages: by a passphrase with a second factor, a passkey, or a code of the terminal.

The agency can say who somebody is (:mod:`exchange.web.agency`): that opens nothing, and the settings say whether it is
asked for, or counts as a second factor.

Each way ends with the officer's key, or is refused with one and the same error, whichever part of it was wrong.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field

from exchange.desk.desk import OpenedDesk
from exchange.office.officers import AgencyIdentity, DeskOfficer, OfficerRegister, check_officer_id, officer_signer
from exchange.web.agency.flow import AgencySignIn
from exchange.web.signin.access import WebAccess, WebProfile, public_key_of, unwrap_seed
from exchange.web.signin.codes import OneTimeCodes
from exchange.web.signin.limits import Guesses
from exchange.web.signin.passkeys import Challenges, RelyingParty, credential_of, used
from exchange.web.signin.sessions import WebSession, same
from exchange.web.signin.totp import step_of
from keys.secrets.keystore import Keystore
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding.phrase import phrase
from protocol.errors import (
    AgencyNeededError,
    ForbiddenError,
    KeystoreError,
    KeystoreLockedError,
    NotFoundError,
    PasskeyError,
    ServiceBusyError,
    SignInError,
    UsageError,
)

# Deriving a key takes a second and much memory: so many at once, the others wait so long.
DERIVED_AT_ONCE = 2
DERIVED_WITHIN_S = 15.0
HALF_S = 300.0
MAX_HALVES = 64
_MAX_PASSPHRASE = 4_096
_WRONG = (KeystoreLockedError, KeystoreError, NotFoundError, UsageError, ForbiddenError)


@dataclass(frozen=True, slots=True)
class Entered:
    """Who signed in: the officer (None: the one person of a desk without officers), the key, and how.

    ``identity`` is the account by which the agency said who that is.
    """

    officer: str | None
    seed: bytes = field(repr=False)
    factor: str
    identity: AgencyIdentity | None = None


@dataclass(frozen=True, slots=True)
class HalfEntered:
    """A passkey that cannot keep the officer's key says who it is; the passphrase opens it. ``token`` goes along."""

    officer: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Offered:
    """What was typed to sign in with a passphrase. ``known``: the officer signed in in this browser before; ``agency``
    is the browser's sign that the agency said who its officer is.
    """

    officer: str | None
    passphrase: bytes = field(repr=False)
    code: str = field(default="", repr=False)
    half: str = field(default="", repr=False)
    known: bool = False
    agency: str | None = field(default=None, repr=False)


class Door:
    """The ways in of one desk. Event loop only."""

    def __init__(self, opened: OpenedDesk, party: RelyingParty, clock: Callable[[], float] = time.monotonic) -> None:
        self._context = opened.context
        self._clock = clock
        self.party = party
        oidc = opened.context.settings.web.oidc
        self.agency = AgencySignIn(opened.context, oidc, party.origin, clock) if oidc is not None else None
        self.guesses = Guesses(clock)
        self.codes = OneTimeCodes(clock)
        self.challenges = Challenges(clock)
        self._access = WebAccess(opened.context.store.database)
        self._deriving = asyncio.Semaphore(DERIVED_AT_ONCE)
        self._halves: dict[str, tuple[str, float]] = {}
        self._known = opened.context.store.database.cipher.blind(b"web-known", b"browsers")

    async def by_passphrase(self, offered: Offered, *, second: bool = True) -> Entered:
        """Sign in with the passphrase of an officer's key, and a second factor where the officer has one.

        Without ``second`` the passphrase is enough: a session is unlocked with it. Raises :class:`SignInError`,
        :class:`SignInLaterError`, :class:`ServiceBusyError`, and :class:`AgencyNeededError` before anything is tried.
        """
        who = offered.officer or ""
        identity = await self._said(offered.officer, offered.agency) if second else None
        self.guesses.check(who, offered.known)
        try:
            seed = await self._seed(offered.officer, offered.passphrase)
            factor = await self._factor(offered, identity) if second and offered.officer is not None else "passphrase"
        except _WRONG:
            self.guesses.failed(who, offered.known)
            raise SignInError from None
        except SignInError:
            self.guesses.failed(who, offered.known)
            raise
        self.guesses.succeeded(who, offered.known)
        return Entered(offered.officer, seed, factor, identity)

    async def by_code(self, officer: str | None, code: str) -> Entered:
        """Sign in with a code that was made at the terminal; raises :class:`SignInError`.

        It was made with the officer's key there: it is good where the agency is away, too.
        """
        seed = self.codes.use(officer, code)
        if officer is not None:
            await self._require(officer, seed)
        elif await self._context.in_thread(lambda: _has_officers(OfficerRegister(self._context.store.database))):
            raise SignInError  # it was made before the desk had officers
        return Entered(officer, seed, "code")

    async def by_passkey(
        self, answer: dict[str, object], output: bytes | None, agency: str | None = None, *, second: bool = True
    ) -> Entered | HalfEntered:
        """Sign in with a passkey, or unlock a session with it (no ``second``); raises :class:`PasskeyError`.

        Raises :class:`AgencyNeededError` where the settings want the agency's word and it says nothing of the officer.
        """
        challenge = self.challenges.answered("sign-in", answer)
        credential, context = credential_of(answer), self._context
        try:
            passkey = await context.in_thread(lambda: self._access.passkey(credential))
            officer = await self._officer(passkey.officer)
        except _WRONG:
            raise PasskeyError(phrase("this desk knows no such passkey")) from None
        counted = used(self.party, challenge, answer, passkey, context.clock())
        self.challenges.spend(challenge)
        identity = await self._said(officer.id, agency) if second else None

        def keep() -> None:
            with context.store.database.transaction():
                self._access.put_passkey(counted)

        await context.in_thread(keep)
        if passkey.wrapped is None or output is None:
            return HalfEntered(officer.id, self._half(officer.id))
        seed = unwrap_seed(passkey.wrapped, output, credential, self.party.desk)
        if public_key_of(seed) != officer.public_key:
            raise PasskeyError(
                phrase("the officer has another key by now: sign in otherwise, and add the passkey again")
            )
        return Entered(officer.id, seed, "passkey", identity)

    async def profile(self, officer: str | None) -> WebProfile:
        """What an officer set."""
        return await self._context.in_thread(lambda: self._access.profile(officer or ""))

    async def has_factor(self, officer: str) -> bool:
        """Whether an officer has a second factor."""
        return await self._context.in_thread(
            lambda: bool(self._access.profile(officer).totp or self._access.passkeys(officer))
        )

    async def is_still(self, session: WebSession) -> bool:
        """Whether a session's officer is one of this desk, with the key and the agency's account of then.

        Of nobody's session: whether the desk has no officers.
        """
        context = self._context
        if session.officer is None:
            return not await context.in_thread(lambda: _has_officers(OfficerRegister(context.store.database)))
        try:
            officer = await self._officer(session.officer)
        except _WRONG:
            return False
        bound = session.identity is None or session.identity == officer.identity
        return bound and session.box.is_of(officer.public_key)

    def known_as(self, officer: str | None) -> str:
        """The mark of a browser in which an officer signed in."""
        made = hmac.digest(self._known, (officer or "").encode(), "sha256")
        return urlsafe_b64encode(made[:18]).decode()

    def is_known(self, officer: str | None, marks: str) -> bool:
        """Whether one of a browser's marks is the officer's."""
        wanted = self.known_as(officer)
        return any(same(wanted, one) for one in marks.split(".")[:8])

    def _half(self, officer: str) -> str:
        now = self._clock()
        self._halves = {token: half for token, half in self._halves.items() if half[1] > now}
        while len(self._halves) >= MAX_HALVES:
            del self._halves[next(iter(self._halves))]
        token = urlsafe_b64encode(os.urandom(24)).decode()
        self._halves[token] = (officer, now + HALF_S)
        return token

    async def _said(self, officer: str | None, agency: str | None) -> AgencyIdentity | None:
        """By which account the agency said in this browser that it is the officer; None where it did not.

        Raises :class:`AgencyNeededError` where the settings want it. A desk without officers has no accounts.
        """
        if self.agency is None or officer is None:
            return None
        known = await self.agency.who(agency)
        if known is not None and known.officer == officer:
            return known.identity
        if self.agency.settings.required:
            raise AgencyNeededError
        return None

    async def _factor(self, offered: Offered, identity: AgencyIdentity | None) -> str:
        """By what else the officer proved to be there; raises :class:`SignInError`."""
        officer = offered.officer or ""
        profile, now = await self.profile(officer), self._context.clock()
        if profile.totp and offered.code:
            step = step_of(profile.totp, offered.code, now)
            if step is not None and await self._context.in_thread(lambda: self._access.take_step(officer, step)):
                return "passphrase+totp"
        half, until = self._halves.pop(offered.half, ("", 0.0))
        if half == officer and until > self._clock():
            return "passphrase+passkey"
        if identity is not None and await self._counts_as_code(officer, profile):
            return "passphrase+agency"
        if await self.has_factor(officer) or self._context.settings.web.require_factor:
            raise SignInError
        return "passphrase"

    async def _counts_as_code(self, officer: str, profile: WebProfile) -> bool:
        """Whether the agency's word counts where a code of an app would: not in place of a passkey that is wanted."""
        if self.agency is None or not self.agency.settings.in_place_of_codes:
            return False
        return bool(profile.totp) or not await self.has_factor(officer)

    async def _seed(self, officer: str | None, passphrase: bytes) -> bytes:
        context = self._context
        if len(passphrase) > _MAX_PASSPHRASE:
            raise KeystoreLockedError
        if officer is None:
            if await context.in_thread(lambda: _has_officers(OfficerRegister(context.store.database))):
                raise UsageError(phrase("it was not said who signs in"))
            await self._derived(Keystore.open, context.home.keystore, passphrase)
            return b""
        try:
            found = await self._officer(officer)
        except (NotFoundError, UsageError, ForbiddenError):
            # It takes as long as for an officer that there is.
            await self._derived(Keystore.open, context.home.keystore, os.urandom(16).hex().encode())
            raise
        signer = await self._derived(officer_signer, context.home.officers, found, passphrase)
        if not isinstance(signer, Ed25519Signer):
            raise KeystoreError(phrase("that officer's key is not in a file"))
        if signer.public_key != found.public_key:
            raise ForbiddenError(phrase("the key file of {id} does not hold the key that is registered", id=officer))
        return signer.seed()

    async def _derived(self, derive: Callable[..., object], *given: object) -> object:
        try:
            async with asyncio.timeout(DERIVED_WITHIN_S):
                await self._deriving.acquire()
        except TimeoutError:
            raise ServiceBusyError(phrase("many sign in at this moment")) from None
        try:
            return await asyncio.to_thread(derive, *given)
        finally:
            self._deriving.release()

    async def _officer(self, officer: str) -> DeskOfficer:
        context = self._context
        check_officer_id(officer)
        found = await context.in_thread(lambda: OfficerRegister(context.store.database).get(officer))
        if found.withdrawn_at is not None:
            raise ForbiddenError(phrase("{id} is no longer an officer of this desk", id=officer))
        return found

    async def _require(self, officer: str, seed: bytes) -> None:
        try:
            found = await self._officer(officer)
        except _WRONG:
            raise SignInError from None
        if found.public_key != public_key_of(seed):
            raise SignInError


def _has_officers(register: OfficerRegister) -> bool:
    return any(one.withdrawn_at is None for one in register.all())

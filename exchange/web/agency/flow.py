"""One sign-in by way of the agency: the authorisation code flow with PKCE (RFC 6749, RFC 7636, RFC 9207, RFC 9700).

A browser that begins gets a cookie, in which all that its answer is held to is sealed under a key of this process:
nothing is kept of one that never answers. An answer counts once, in the browser that began, within
:data:`GOOD_FOR_S`. Afterwards that browser is known to be an officer's for as long again, and nothing is open: the
passphrase, or a passkey, opens the officer's key.
"""

from __future__ import annotations

import hmac
import os
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from urllib.parse import urlencode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exchange.context.desk_context import DeskContext
from exchange.office.officers import AgencyIdentity, DeskOfficer, OfficerRegister, check_recorded
from exchange.settings import OidcSettings
from exchange.web.agency.provider import AgencyProvider, Redeemed
from exchange.web.agency.tokens import Expected, key_id, person_of
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.encoding.phrase import phrase
from protocol.errors import AgencyRefusedError, AgencyUnboundError, ComityError

ANSWER_PATH = "/sign-in/agency/answer"
GOOD_FOR_S = 600.0
MAX_IDENTIFIED = 256
MAX_SPENT = 4_096
_MAX_CODE = 2_048
_NONCE_BYTES = 12
_SEALED_FOR = b"comity/v1/agency-sign-in"


@dataclass(frozen=True, slots=True)
class Begun:
    """Where a browser is sent, and the value of the cookie that it brings back."""

    url: str = field(repr=False)
    cookie: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identified:
    """The agency said in a browser who an officer is. Monotonic ``until``."""

    officer: str
    identity: AgencyIdentity
    until: float


@dataclass(frozen=True, slots=True)
class AgencyRefusal:
    """The latest way by the agency that ended with a refusal: when, the code, and why. It has nothing of a token."""

    at: datetime
    code: str
    why: str


class AgencySignIn:
    """Identifying officers of one desk by the agency. Event loop only. ``origin`` is that of the desk's pages."""

    def __init__(
        self,
        context: DeskContext,
        settings: OidcSettings,
        origin: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.redirect_uri = origin + ANSWER_PATH
        self.provider = AgencyProvider(settings, clock)
        self.refused: AgencyRefusal | None = None
        self._context = context
        self._clock = clock
        self._key = AESGCM(os.urandom(32))
        self._spent: dict[str, float] = {}
        self._identified: dict[str, Identified] = {}

    async def begin(self, language: str) -> Begun:
        """Begin in a browser; raises :class:`AgencyAwayError`, :class:`ServiceBusyError`."""
        async with self.provider.place():
            about = await self.provider.about()
        state, nonce, verifier = (_random() for _ in range(3))
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(("openid", *self.settings.scopes)),
            "state": state,
            "nonce": nonce,
            "code_challenge": urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("="),
            "code_challenge_method": "S256",
            "ui_locales": language,
        }
        sealed = self._seal([state, nonce, verifier, to_ms(self._context.clock()), int(self._clock() + GOOD_FOR_S)])
        return Begun(f"{about.authorization}{'&' if '?' in about.authorization else '?'}{urlencode(asked)}", sealed)

    async def answered(self, cookie: str | None, answer: Mapping[str, Sequence[str]]) -> tuple[str, Identified]:
        """Who the agency says the browser's officer is, and a new value by which the browser shows it.

        ``answer`` has the parameters that came back. Raises :class:`AgencyRefusedError`, :class:`AgencyUnboundError`,
        :class:`AgencyAwayError`, :class:`ServiceBusyError`; the latest refusal is kept for the administrator.
        """
        try:
            return await self._answered(cookie, answer)
        except ComityError as problem:
            self.refused = AgencyRefusal(self._context.clock(), problem.code, problem.detail)
            raise

    async def _answered(self, cookie: str | None, answer: Mapping[str, Sequence[str]]) -> tuple[str, Identified]:
        state, nonce, verifier, begun_ms, until = self._open(cookie)
        if not hmac.compare_digest(_one(answer, "state").encode("utf-8", "surrogatepass"), str(state).encode()):
            raise AgencyRefusedError(phrase("the answer is not to this browser's sign-in"))
        if until <= self._clock() or state in self._spent:
            raise AgencyRefusedError(phrase("the answer was used, or came too late"))
        self._spend(state, until)
        async with self.provider.place():
            about = await self.provider.about()
            said = _one(answer, "iss")
            if said != self.settings.issuer and (said or about.names_itself):  # RFC 9207, 2.4
                raise AgencyRefusedError(phrase("the answer is another issuer's"))
            code = _one(answer, "code")
            if not 0 < len(code) <= _MAX_CODE or _one(answer, "error"):
                raise AgencyRefusedError(phrase("nobody was signed in there"))
            token = await self.provider.redeem(Redeemed(code, verifier, self.redirect_uri))
            keys = await self.provider.keys(key_id(token))
        settings = self.settings
        expected = Expected(settings.issuer, settings.client_id, settings.claim, nonce, from_ms(begun_ms))
        person = person_of(token, keys, expected, self._context.clock())
        return await self._known(AgencyIdentity(settings.issuer, settings.claim, person))

    async def who(self, shown: str | None) -> Identified | None:
        """Who a browser was identified as, and still is: the account is bound to that officer now."""
        found = self._identified.get(_hidden(shown)) if shown else None
        if found is None or found.until <= self._clock():
            return None
        officer = await self._holder(found.identity)
        return found if officer is not None and officer.id == found.officer else None

    def forget(self, shown: str | None) -> None:
        """Take back what was said in a browser; again is harmless."""
        if shown:
            self._identified.pop(_hidden(shown), None)

    async def _known(self, identity: AgencyIdentity) -> tuple[str, Identified]:
        officer = await self._holder(identity)
        if officer is None:
            raise AgencyUnboundError
        now, shown = self._clock(), _random()
        self._identified = {one: known for one, known in self._identified.items() if known.until > now}
        while len(self._identified) >= MAX_IDENTIFIED:
            del self._identified[next(iter(self._identified))]
        made = self._identified[_hidden(shown)] = Identified(officer.id, identity, now + GOOD_FOR_S)
        return shown, made

    async def _holder(self, identity: AgencyIdentity) -> DeskOfficer | None:
        """The officer to whom an account is bound, as it was recorded; raises :class:`DatabaseDamagedError`."""
        store = self._context.store

        def look() -> DeskOfficer | None:
            officer = OfficerRegister(store.database).of_identity(identity)
            if officer is not None:
                check_recorded(officer, store.records)
            return officer

        return await self._context.in_thread(look)

    def _spend(self, state: str, until: float) -> None:
        now = self._clock()
        self._spent = {one: end for one, end in self._spent.items() if end > now}
        while len(self._spent) >= MAX_SPENT:
            del self._spent[next(iter(self._spent))]
        self._spent[state] = until

    def _seal(self, said: list[str | int]) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        return urlsafe_b64encode(nonce + self._key.encrypt(nonce, cbor.encode(said), _SEALED_FOR)).decode()

    def _open(self, cookie: str | None) -> tuple[str, str, str, int, int]:
        try:
            sealed = urlsafe_b64decode((cookie or "")[:_MAX_CODE])
            said = cbor.decode(self._key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _SEALED_FOR))
        except (InvalidTag, ValueError):
            raise AgencyRefusedError(phrase("this browser did not begin to sign in, or began long ago")) from None
        state, nonce, verifier, begun_ms, until = said
        return state, nonce, verifier, begun_ms, until


def _one(answer: Mapping[str, Sequence[str]], name: str) -> str:
    """A parameter; empty where there is none. Raises :class:`AgencyRefusedError` where it stands twice."""
    found = answer.get(name, ())
    if len(found) > 1:
        raise AgencyRefusedError(phrase("the answer says something twice"))
    return found[0] if found else ""


def _random() -> str:
    """43 characters that nobody guesses, as RFC 7636 wants them."""
    return urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")


def _hidden(shown: str) -> str:
    return sha256(shown.encode("utf-8", "surrogatepass")).hexdigest()

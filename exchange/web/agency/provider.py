"""What is asked of the agency's identity provider over HTTP: what it says of itself, its keys, and a token for a code.

It is reached by https, or without TLS on this machine alone. No redirect is followed, no cookie kept, no proxy of the
environment used; an answer is short, not compressed, and comes within :data:`WITHIN_S`. No token is written anywhere.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlsplit

from exchange.settings import OidcSettings
from exchange.web.agency.tokens import MAX_JSON_BYTES, MAX_TOKEN_CHARS, AgencyKey, read_json, read_keys
from keys.transport.tls import public_context
from protocol.encoding.phrase import phrase
from protocol.errors import AgencyAwayError, AgencyRefusedError, ServiceBusyError, SettingsError

WITHIN_S = 5.0
# The provider is asked anew after so long what it is and which keys it has; sooner where a key is not known.
KEPT_S = 600.0
ASKED_AGAIN_S = 10.0
ASKED_AT_ONCE = 4
_MAX_URL = 2_000
_MAX_SECRET = 4_096
_PLACE_WITHIN_S = 5.0
_URL = re.compile(r"https?://[!-~]+")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Discovered:
    """What a provider says of itself (OpenID Connect Discovery 1.0), as far as it is used."""

    authorization: str
    token: str
    keys: str
    by_post: bool
    names_itself: bool


@dataclass(frozen=True, slots=True)
class Redeemed:
    """A code that came back, and what shows that it is of a sign-in of this desk (RFC 7636)."""

    code: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_uri: str


class AgencyProvider:
    """The provider of one desk. Event loop only; ``clock`` is monotonic."""

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self._secret = _secret_of(settings)
        self._tls = _tls_of(settings)
        self._clock = clock
        self._about: tuple[float, Discovered] | None = None
        self._keys: tuple[float, tuple[AgencyKey, ...]] | None = None
        self._places = asyncio.Semaphore(ASKED_AT_ONCE)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """One of few places in which the provider is asked; raises :class:`ServiceBusyError`."""
        try:
            async with asyncio.timeout(_PLACE_WITHIN_S):
                await self._places.acquire()
        except TimeoutError:
            raise ServiceBusyError(phrase("many sign in at this moment")) from None
        try:
            yield
        finally:
            self._places.release()

    async def about(self) -> Discovered:
        """What the provider says of itself; raises :class:`AgencyAwayError`."""
        now = self._clock()
        if self._about is None or now - self._about[0] > KEPT_S:
            said = read_json(await self._ask(self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"))
            self._about = now, self._read(said)
        return self._about[1]

    async def keys(self, kid: str | None) -> tuple[AgencyKey, ...]:
        """The provider's keys; asked for anew where none has that ``kid``, as after a change of keys.

        Raises :class:`AgencyAwayError`.
        """
        now = self._clock()
        known = self._keys
        if known is not None and now - known[0] <= KEPT_S:
            there = kid is None or any(one.kid == kid for one in known[1])
            # Names of keys can be made up: this desk does not ask without end.
            if there or now - known[0] < ASKED_AGAIN_S:
                return known[1]
        self._keys = now, read_keys(await self._ask((await self.about()).keys))
        return self._keys[1]

    async def redeem(self, one: Redeemed) -> str:
        """The ID token for a code; raises :class:`AgencyRefusedError` for one that is refused, and as :meth:`about`."""
        about = await self.about()
        form = {
            "grant_type": "authorization_code",
            "code": one.code,
            "redirect_uri": one.redirect_uri,
            "client_id": self.settings.client_id,
            "code_verifier": one.verifier,
        }
        headers: dict[str, str] = {}
        if self._secret and about.by_post:
            form["client_secret"] = self._secret
        elif self._secret:  # RFC 6749, 2.3.1: both are encoded as in a form
            pair = f"{quote_plus(self.settings.client_id)}:{quote_plus(self._secret)}"
            headers["Authorization"] = "Basic " + b64encode(pair.encode()).decode()
        token = read_json(await self._ask(about.token, form, headers)).get("id_token")
        if not isinstance(token, str) or len(token) > MAX_TOKEN_CHARS:
            raise AgencyRefusedError(phrase("it gave no token that says who signed in"))
        return token

    def _read(self, said: Mapping[str, Any]) -> Discovered:
        if said.get("issuer") != self.settings.issuer:  # Discovery, 4.3: exactly
            raise AgencyAwayError(phrase("it calls itself by another name than the issuer of the settings"))
        methods = said.get("code_challenge_methods_supported")
        if isinstance(methods, list) and "S256" not in methods:
            raise AgencyAwayError(phrase("it does not know PKCE with S256"))
        ways = said.get("token_endpoint_auth_methods_supported")
        return Discovered(
            self._url(said, "authorization_endpoint"),
            self._url(said, "token_endpoint"),
            self._url(said, "jwks_uri"),
            isinstance(ways, list) and "client_secret_basic" not in ways and "client_secret_post" in ways,
            said.get("authorization_response_iss_parameter_supported") is True,
        )

    def _url(self, said: Mapping[str, Any], name: str) -> str:
        """An address that the provider names: by https, or on this machine where the issuer is."""
        url = said.get(name)
        try:
            plain = isinstance(url, str) and len(url) <= _MAX_URL and _URL.fullmatch(url) is not None
            parts = urlsplit(url if plain else "")
            port = parts.port  # reading it tells whether it is one
            here = self.settings.issuer.startswith("http://") and parts.hostname in _LOOPBACK
        except ValueError:
            plain = False
        if not plain or not parts.hostname or "@" in parts.netloc or parts.fragment or port == 0:
            raise AgencyAwayError(phrase("its {name} is not an address", name=name))
        if parts.scheme != "https" and not here:
            raise AgencyAwayError(phrase("its {name} is not reached by https", name=name))
        return str(url)

    async def _ask(
        self, url: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The JSON at an address; the answer to ``form`` where one is sent. Raises :class:`AgencyAwayError`."""
        import aiohttp

        given = {"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})}
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=WITHIN_S),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    auto_decompress=False,
                    trust_env=False,
                ) as session,
                session.request(
                    "GET" if form is None else "POST",
                    url,
                    data=form,
                    headers=given,
                    ssl=self._tls,
                    allow_redirects=False,
                ) as answer,
            ):
                status, content = answer.status, await _read(answer)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
            # The library's own texts quote addresses and more.
            raise AgencyAwayError(phrase("it cannot be reached ({error})", error=type(problem).__name__)) from None
        if form is not None and 400 <= status < 500:
            # RFC 6749, 5.2: the code was used, is too old, or is another desk's; or the client's secret is wrong.
            raise AgencyRefusedError(phrase("it does not take the code, or the secret of this desk ({n})", n=status))
        if status != 200:
            raise AgencyAwayError(phrase("it answered {number}", number=status))
        return content


async def _read(answer: Any) -> bytes:
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise AgencyAwayError(phrase("its answer is compressed"))
    content = bytearray()
    async for part in answer.content.iter_any():
        content += part
        if len(content) > MAX_JSON_BYTES:
            raise AgencyAwayError(phrase("its answer is too long; bytes at most: {most}", most=MAX_JSON_BYTES))
    return bytes(content)


def _secret_of(settings: OidcSettings) -> str:
    """The client's secret, from a file that is this user's alone; empty for a public client."""
    if settings.client_secret_file is None:
        return ""
    path = Path(settings.client_secret_file)
    try:
        if path.stat().st_mode & 0o077:
            raise SettingsError(phrase("{file} can be read by others: run chmod 600 on it", file=str(path)))
        with path.open("rb") as file:
            secret = file.read(_MAX_SECRET + 1).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        why = getattr(problem, "strerror", "") or ""
        raise SettingsError(phrase("the client's secret of the agency cannot be read: {why}", why=why)) from None
    if not 0 < len(secret) <= _MAX_SECRET or not secret.isprintable():
        raise SettingsError(phrase("{file} holds no secret of one line", file=str(path)))
    return secret


def _tls_of(settings: OidcSettings) -> ssl.SSLContext:
    context = public_context()
    if settings.ca is not None:
        try:
            context.load_verify_locations(cafile=settings.ca)
        except (OSError, ssl.SSLError) as problem:
            why = problem.strerror or ""
            raise SettingsError(phrase("the authority of the agency's certificate: {why}", why=why)) from None
    return context

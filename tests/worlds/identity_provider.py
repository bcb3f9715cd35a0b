"""An identity provider of an agency, as a program of its own: real HTTP on loopback, real keys, and lies on request.

::

    with identity_provider() as agency:
        await agency.set(subject="8f3c21d0", claims={"aud": "another"})

It is written from the specifications with nothing of the program under test, so that both can be wrong in different
ways only. ``python -m tests.worlds.identity_provider`` serves at a free port, which it prints.
"""

from __future__ import annotations

import hmac
import json
import subprocess
import sys
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import aiohttp
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

CLIENT = "comity-desk"
SECRET = "a secret of the desk: 50% + more"  # with characters that a form encodes


def encoded(content: bytes) -> str:
    """Base64url without padding (RFC 7515)."""
    return urlsafe_b64encode(content).decode().rstrip("=")


def _number(value: int) -> str:
    return encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@dataclass
class SigningKey:
    """A key pair of a provider under a name."""

    kid: str
    algorithm: str
    private: Any

    @classmethod
    def make(cls, kid: str, algorithm: str, bits: int = 2048) -> SigningKey:
        """RS256 or ES256."""
        if algorithm == "ES256":
            return cls(kid, algorithm, ec.generate_private_key(ec.SECP256R1()))
        return cls(kid, algorithm, rsa.generate_private_key(65537, bits))

    def public(self) -> dict[str, Any]:
        """As a JWK (RFC 7517)."""
        numbers = self.private.public_key().public_numbers()
        said = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        if self.algorithm == "ES256":
            x, y = (encoded(one.to_bytes(32, "big")) for one in (numbers.x, numbers.y))
            return {**said, "kty": "EC", "crv": "P-256", "x": x, "y": y}
        return {**said, "kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}

    def public_pem(self) -> bytes:
        """As PEM: what a naive reader takes for a shared secret."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return bytes(self.private.public_key().public_bytes(serialization.Encoding.PEM, form))

    def sign(self, content: bytes) -> bytes:
        """The signature (RFC 7518)."""
        if self.algorithm == "ES256":
            r, s = decode_dss_signature(self.private.sign(content, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return bytes(self.private.sign(content, padding.PKCS1v15(), hashes.SHA256()))


def token_of(
    header: dict[str, Any], claims: dict[str, Any], key: SigningKey | None = None, shared: bytes | None = None
) -> str:
    """A token in the compact form; unsigned with neither ``key`` nor a ``shared`` secret."""
    said = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"
    signature = b""
    if shared is not None:
        signature = hmac.digest(shared, said.encode(), "sha256")
    elif key is not None:
        signature = key.sign(said.encode())
    return f"{said}.{encoded(signature)}"


@dataclass
class Provider:
    """What the provider knows, and how it lies."""

    issuer: str = ""
    keys: list[SigningKey] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    last: dict[str, str] = field(default_factory=dict)
    lies: dict[str, Any] = field(default_factory=dict)
    other: SigningKey = field(default_factory=lambda: SigningKey.make("r1", "RS256"))

    def rotate(self) -> None:
        """New keys under new names, in place of those before."""
        turn = int(self.keys[0].kid[1:]) + 1 if self.keys else 1
        self.keys = [SigningKey.make(f"r{turn}", "RS256"), SigningKey.make(f"e{turn}", "ES256")]

    def discovery(self) -> dict[str, Any]:
        """OpenID Connect Discovery 1.0."""
        said = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            **self.lies.get("discovery", {}),
        }
        return {name: value for name, value in said.items() if value is not None}

    def jwks(self) -> dict[str, Any]:
        """The keys; with as much padding as is wanted."""
        made = self.lies.get("jwks", [one.public() for one in self.keys])
        return {"keys": made, "pad": "x" * self.lies.get("jwks_pad", 0)}

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser goes: the person is signed in here already."""
        self.last = query
        code = encoded(sha256(json.dumps(query).encode() + str(time.monotonic_ns()).encode()).digest())
        self.codes[code] = query
        answer = {"code": code, "state": query.get("state"), "iss": self.issuer, **self.lies.get("answer", {})}
        given = {name: value for name, value in answer.items() if value is not None}
        return f"{query['redirect_uri']}?{urlencode(given)}"

    def redeem(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """A token for a code, which is good once (RFC 6749, 4.1.3; RFC 7636, 4.6)."""
        asked = self.codes.pop(form.get("code", ""), None)
        if "secret" in self.lies:
            user, _colon, password = b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
            if (unquote_plus(user), unquote_plus(password)) != (CLIENT, self.lies["secret"]):
                return 401, {"error": "invalid_client"}
        challenge = encoded(sha256(form.get("code_verifier", "").encode()).digest())
        right = asked is not None and asked["code_challenge"] == challenge and asked["code_challenge_method"] == "S256"
        if asked is None or not right or asked["redirect_uri"] != form.get("redirect_uri"):
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "of no use", "token_type": "Bearer", "id_token": self.token(asked)}

    def token(self, asked: dict[str, str]) -> str:
        """The ID token, signed as the lies say."""
        now = self.lies.get("now", time.time())
        claims = {
            "iss": self.issuer,
            "sub": self.lies.get("subject", "nobody"),
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked.get("nonce"),
            **self.lies.get("claims", {}),
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        way = self.lies.get("sign", "RS256")
        key = self.keys[1] if way == "ES256" else self.keys[0]
        header = {"alg": key.algorithm, "kid": key.kid, "typ": "JWT"}
        if way == "none":
            return token_of({**header, "alg": "none"}, claims)
        if way == "HS256":
            return token_of({**header, "alg": "HS256"}, claims, shared=key.public_pem())
        if way == "other key":
            return token_of(header, claims, self.other)
        return token_of({**header, **self.lies.get("header", {})}, claims, key)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider: Provider

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        provider = self.provider
        self._note(url.path)
        match url.path:
            case "/.well-known/openid-configuration":
                if "redirect" in provider.lies:
                    self._answer(302, b"", Location=provider.lies["redirect"])
                else:
                    self._say(provider.discovery())
            case "/keys":
                self._say(provider.jwks())
            case "/authorize" if provider.lies.get("page"):
                # As a provider asks: a page of its own, whose form leads back.
                page = f"<!doctype html><title>Agency</title><form method=post action='/enter?{url.query}'>"
                body = page.replace("&", "&amp;") + "<button>Sign in at the agency</button></form>"
                self._answer(200, body.encode(), **{"Content-Type": "text/html"})
            case "/authorize":
                self._answer(302, b"", Location=provider.authorize(query))
            case _:
                self._say({"error": "not found"}, 404)

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        provider = self.provider
        if url.path == "/control":
            asked = json.loads(body)
            if asked.pop("rotate", False):
                provider.rotate()
            provider.lies = asked
            self._say({"asked": provider.asked, "last": provider.last})
            return
        self._note(url.path)
        if url.path == "/enter":
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            self._answer(303, b"", Location=provider.authorize(query))
            return
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        status, said = provider.redeem(form, self.headers.get("Authorization", ""))
        self._say(said, status)

    def _note(self, path: str) -> None:
        self.provider.asked[path] = self.provider.asked.get(path, 0) + 1
        held = self.provider.lies.get("silent")
        if held == path:
            # Until whoever asked goes away: nothing comes.
            self.connection.settimeout(60)
            self.connection.recv(1)

    def _say(self, said: dict[str, Any], status: int = 200) -> None:
        self._answer(status, json.dumps(said).encode(), **{"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def main() -> None:
    """Serve until the standard input ends."""
    provider = Provider()
    provider.rotate()
    handler = type("Handler", (_Handler,), {"provider": provider})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    provider.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(provider.issuer, flush=True)
    sys.stdin.read()


@dataclass
class Agency:
    """A running provider as a test sees it."""

    issuer: str

    async def set(self, **lies: Any) -> dict[str, Any]:
        """Lie like this from now on, and in no other way; what it was asked so far."""
        async with aiohttp.ClientSession() as session, session.post(f"{self.issuer}/control", json=lies) as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def visit(self, url: str) -> str:
        """Where the provider sends a browser that was sent to ``url``."""
        async with aiohttp.ClientSession() as session, session.get(url, allow_redirects=False) as answer:
            return answer.headers["Location"]


@contextmanager
def identity_provider() -> Iterator[Agency]:
    """A provider that runs for the length of the block, for tests of any event loop."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.worlds.identity_provider"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield Agency(process.stdout.readline().strip())
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    main()

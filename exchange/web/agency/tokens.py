"""ID tokens and the keys that sign them: everything that must be right before one says who somebody is. No I/O.

The rules, each of them a refusal (OpenID Connect Core 1.0, 3.1.3.7; RFC 8725):

1. The token is a signature in the compact form, no longer than :data:`MAX_TOKEN_CHARS`; each name stands once in it.
2. Its algorithm is one of :data:`ALGORITHMS`, and one that the key itself is for: none, and no shared secret.
3. The key is one of the provider's, by its ``kid``; without one there is a single key. Nothing in the token names keys.
4. ``iss`` is the issuer, ``aud`` this client alone, ``azp`` this client where it stands there.
5. ``nonce`` is the one of this very sign-in; ``iat`` is not before it began; ``exp`` and ``nbf`` hold now. Clocks may
   differ by :data:`SKEW_S`.
6. ``sub``, and the claim that names the person, are texts.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from protocol.encoding.json_bounds import require_few_items
from protocol.encoding.json_names import each_name_once
from protocol.encoding.phrase import phrase
from protocol.errors import AgencyAwayError, AgencyRefusedError, TooLargeError

if TYPE_CHECKING:
    from joserfc.jwk import Key

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
SKEW_S = 60
MAX_TOKEN_CHARS = 16_384
MAX_JSON_BYTES = 65_536
MAX_KEYS = 32
MIN_RSA_BITS = 2_048
_MAX_RSA_BITS = 8_192
_MAX_ITEMS = 2_000
_MAX_VALUE = 255
_CURVES = {"P-256": ("ES256",), "P-384": ("ES384",), "Ed25519": ("EdDSA",)}


@dataclass(frozen=True, slots=True)
class AgencyKey:
    """A key of the provider, and the algorithms for which it may be used."""

    kid: str | None
    algorithms: tuple[str, ...]
    key: Key = field(repr=False)


@dataclass(frozen=True, slots=True)
class Expected:
    """What the token of one sign-in says: ``begun_at`` is when that began, ``claim`` what names a person."""

    issuer: str
    client_id: str
    claim: str
    nonce: str = field(repr=False)
    begun_at: datetime


def read_json(content: bytes) -> Mapping[str, Any]:
    """An object that a provider sent; raises :class:`AgencyAwayError`: it is the provider who failed."""
    try:
        require_few_items(content, _MAX_ITEMS)
        made = json.loads(content, object_pairs_hook=each_name_once, parse_constant=_no_constant)
    except (ValueError, RecursionError, TooLargeError):
        made = None
    if not isinstance(made, dict):
        raise AgencyAwayError(phrase("what it sent is not a JSON object with each name once"))
    return made


def read_keys(content: bytes) -> tuple[AgencyKey, ...]:
    """The keys of a JWK set (RFC 7517) that can sign ID tokens; raises :class:`AgencyAwayError`.

    Keys of other kinds are passed over. Two of one ``kid`` are refused: which is meant could not be known.
    """
    listed = read_json(content).get("keys")
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise AgencyAwayError(phrase("its keys are no list of at most {most}", most=MAX_KEYS))
    made = [key for one in listed if (key := _key_of(one)) is not None]
    named = [one.kid for one in made if one.kid is not None]
    if len({*named}) != len(named):
        raise AgencyAwayError(phrase("two of its keys have one name"))
    return tuple(made)


def key_id(token: str) -> str | None:
    """The ``kid`` that a token names, which is not verified yet; raises :class:`AgencyRefusedError`."""
    kid = _header(token).get("kid")
    return kid if isinstance(kid, str) else None


def person_of(token: str, keys: tuple[AgencyKey, ...], expected: Expected, now: datetime) -> str:
    """What the claim says of the person, of a token that is right in all (the rules above).

    Raises :class:`AgencyRefusedError`, with what is wrong and nothing of the token.
    """
    claims = _signed(token, keys)
    _require(claims.get("iss") == expected.issuer, phrase("its token is another issuer's"))
    audience = claims.get("aud")
    _require(audience in (expected.client_id, [expected.client_id]), phrase("its token is for another program"))
    party = claims.get("azp", expected.client_id)
    _require(party == expected.client_id, phrase("its token was given to another program"))
    _require(_same(claims.get("nonce"), expected.nonce), phrase("its token is of another sign-in"))
    _require_times(claims, expected, now.timestamp())
    _text(claims, "sub")
    return _text(claims, expected.claim)


def _require_times(claims: Mapping[str, Any], expected: Expected, now: float) -> None:
    expires, issued, begins = _seconds(claims, "exp"), _seconds(claims, "iat"), claims.get("nbf", 0)
    _require(now < expires + SKEW_S, phrase("its token has ended"))
    _require(issued <= now + SKEW_S, phrase("its token is of a later time: one of the clocks is wrong"))
    _require(issued >= expected.begun_at.timestamp() - SKEW_S, phrase("its token is of before this sign-in"))
    _require(_is_number(begins) and begins <= now + SKEW_S, phrase("its token does not count yet"))


def _signed(token: str, keys: tuple[AgencyKey, ...]) -> Mapping[str, Any]:
    from joserfc import jws
    from joserfc.errors import JoseError

    header = _header(token)
    algorithm, kid = header.get("alg"), header.get("kid")
    _require(isinstance(algorithm, str) and algorithm in ALGORITHMS, phrase("its token is signed in no allowed way"))
    _require(str(header.get("typ", "JWT")).upper() == "JWT", phrase("its token is of another kind"))
    found = [one for one in keys if one.kid == kid] if kid is not None else list(keys)
    _require(len(found) == 1, phrase("its token is signed with a key that the provider does not name"))
    _require(algorithm in found[0].algorithms, phrase("its token is signed in a way that its key is not for"))
    registry = jws.JWSRegistry(algorithms=[str(algorithm)], strict_check_header=False)
    try:
        content = jws.deserialize_compact(token, found[0].key, registry=registry).payload
    except (JoseError, ValueError, TypeError, KeyError):
        raise AgencyRefusedError(phrase("the signature of its token is not right")) from None
    return _object(content)


def _header(token: str) -> Mapping[str, Any]:
    first, *rest = token.split(".")
    plain = len(token) <= MAX_TOKEN_CHARS and token.isascii() and len(rest) == 2
    try:
        content = urlsafe_b64decode(first + "=" * (-len(first) % 4)) if plain else b""
    except ValueError:
        content = b""
    return _object(content)


def _object(content: bytes | None) -> Mapping[str, Any]:
    try:
        return read_json(content or b"")
    except AgencyAwayError:
        raise AgencyRefusedError(phrase("its token cannot be read")) from None


def _key_of(one: object) -> AgencyKey | None:
    from joserfc.errors import JoseError
    from joserfc.jwk import import_key

    # Of a shared secret anybody who knows it signs.
    if not isinstance(one, dict) or one.get("kty") not in {"RSA", "EC", "OKP"} or one.get("use", "sig") != "sig":
        return None
    public = {name: value for name, value in one.items() if name in {"kty", "n", "e", "crv", "x", "y"}}
    kid, wanted = one.get("kid"), one.get("alg")
    try:
        algorithms = _algorithms(public)
        if not algorithms or not isinstance(kid, str | None):
            return None
        key = import_key(public)
        key.public_key  # noqa: B018 - only reading it tells whether its numbers are one
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    allowed = tuple(algorithm for algorithm in algorithms if wanted in (None, algorithm))
    return AgencyKey(kid, allowed, key) if allowed else None


def _algorithms(public: Mapping[str, Any]) -> tuple[str, ...]:
    """For which algorithms a public key may be used; none for one that is too short or too costly."""
    if public["kty"] != "RSA":
        return _CURVES.get(public.get("crv", ""), ())
    modulus = urlsafe_b64decode(public["n"] + "=" * (-len(public["n"]) % 4))
    bits = int.from_bytes(modulus, "big").bit_length()
    return ("RS256", "PS256") if MIN_RSA_BITS <= bits <= _MAX_RSA_BITS else ()


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_VALUE:
        raise AgencyRefusedError(phrase("its token does not say {claim}", claim=name))
    return value


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if not _is_number(value):
        raise AgencyRefusedError(phrase("its token does not say {claim}", claim=name))
    return float(value)  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53


def _same(value: object, wanted: str) -> bool:
    return isinstance(value, str) and hmac.compare_digest(value.encode("utf-8", "surrogatepass"), wanted.encode())


def _require(holds: bool, why: str) -> None:
    if not holds:
        raise AgencyRefusedError(why)


def _no_constant(_name: str) -> None:
    raise ValueError("not a JSON number")

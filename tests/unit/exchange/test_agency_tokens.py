"""ID tokens of an agency: one that is right says who somebody is, and each one that is forged or stale says nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from exchange.web.agency.tokens import (
    MAX_KEYS,
    MAX_TOKEN_CHARS,
    SKEW_S,
    AgencyKey,
    Expected,
    key_id,
    person_of,
    read_keys,
)
from protocol.errors import AgencyAwayError, AgencyRefusedError
from tests.worlds.altered import one_bit_off
from tests.worlds.desks import NOW
from tests.worlds.identity_provider import SigningKey, encoded, token_of

ISSUER, CLIENT = "https://login.agency.example", "comity-desk"
EXPECTED = Expected(ISSUER, CLIENT, "sub", "the nonce", NOW)
AT = NOW.timestamp()
CLAIMS = {
    "iss": ISSUER,
    "aud": CLIENT,
    "sub": "8f3c21d0",
    "iat": AT + 1,
    "exp": AT + 300,
    "nonce": "the nonce",
}


@cache
def rsa() -> SigningKey:
    return SigningKey.make("r1", "RS256")


@cache
def curve() -> SigningKey:
    return SigningKey.make("e1", "ES256")


@cache
def keys() -> tuple[AgencyKey, ...]:
    return read_keys(json.dumps({"keys": [rsa().public(), curve().public()]}).encode())


def header(key: SigningKey, **changes: Any) -> dict[str, Any]:
    return {"alg": key.algorithm, "kid": key.kid, **changes}


def said(**changes: Any) -> dict[str, Any]:
    """The claims, but for ``changes``; None leaves one out."""
    return {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}


def refused(token: str, of: tuple[AgencyKey, ...] | None = None, later_s: float = 2) -> str:
    """Why a token says nothing."""
    with pytest.raises(AgencyRefusedError) as problem:
        person_of(token, keys() if of is None else of, EXPECTED, NOW + timedelta(seconds=later_s))
    # A refusal quotes nothing of a token.
    assert not any(part in problem.value.detail for part in token.split(".") if len(part) > 8)
    return problem.value.detail


@pytest.mark.parametrize("key", [rsa, curve])
def test_a_token_that_is_right_in_all_says_who_somebody_is(key: Any) -> None:
    token = token_of(header(key()), said(), key())
    assert key_id(token) == key().kid
    assert person_of(token, keys(), EXPECTED, NOW) == "8f3c21d0"
    listed = token_of(header(key(), typ="JWT"), said(aud=[CLIENT], azp=CLIENT, nbf=AT), key())
    assert person_of(listed, keys(), EXPECTED, NOW) == "8f3c21d0"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://login.other.example"},
        {"iss": ISSUER + "/"},
        {"iss": None},
        {"aud": "another-client"},
        {"aud": ["another-client"]},
        {"aud": [CLIENT, "another-client"]},
        {"aud": [CLIENT, "another-client"], "azp": CLIENT},
        {"aud": []},
        {"aud": None},
        {"aud": {CLIENT: 1}},
        {"azp": "another-client"},
        {"azp": [CLIENT]},
        {"nonce": "of another sign-in"},
        {"nonce": None},
        {"nonce": 7},
        {"nonce": "the nonce\ud800"},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": 1e300},
        {"exp": -1},
        {"iat": None},
        {"nbf": AT + SKEW_S + 10},
        {"nbf": "now"},
    ],
)
def test_a_claim_that_is_wrong_or_missing_is_a_refusal(changes: dict[str, Any]) -> None:
    refused(token_of(header(rsa()), said(**changes), rsa()))


def test_times_hold_to_the_second_with_the_skew_and_no_further() -> None:
    token = token_of(header(rsa()), said(), rsa())
    last = 300 + SKEW_S
    assert person_of(token, keys(), EXPECTED, NOW + timedelta(seconds=last - 1)) == "8f3c21d0"
    assert "ended" in refused(token, later_s=last)
    early = token_of(header(rsa()), said(iat=AT + SKEW_S), rsa())
    assert person_of(early, keys(), EXPECTED, NOW) == "8f3c21d0"
    refused(token_of(header(rsa()), said(iat=AT + SKEW_S + 1), rsa()), later_s=0)
    # One that was issued before this sign-in began is another's, whatever its end.
    assert person_of(token_of(header(rsa()), said(iat=AT - SKEW_S), rsa()), keys(), EXPECTED, NOW) == "8f3c21d0"
    refused(token_of(header(rsa()), said(iat=AT - SKEW_S - 1, exp=AT + 9_999), rsa()))


def test_no_signature_and_no_shared_secret_is_taken_for_the_providers() -> None:
    claims = said()
    for algorithm in ("none", "None", "NONE", "", None, 7, ["RS256"]):
        refused(token_of(header(rsa(), alg=algorithm), claims))
    for secret in (rsa().public_pem(), b"", json.dumps(rsa().public()).encode(), CLIENT.encode()):
        refused(token_of(header(rsa(), alg="HS256"), claims, shared=secret))
        refused(token_of(header(rsa()), claims, shared=secret))
    refused(token_of(header(rsa()), claims))
    # The key of one algorithm under the name of another.
    refused(token_of(header(rsa(), alg="ES256"), claims, rsa()))
    refused(token_of(header(curve(), alg="RS256"), claims, curve()))
    refused(token_of(header(rsa(), alg="PS256"), claims, rsa()))
    refused(token_of(header(rsa(), alg="RS512"), claims, rsa()))


def test_a_key_is_the_providers_and_nothing_in_the_token_names_another() -> None:
    stranger = SigningKey.make("r1", "RS256")
    refused(token_of(header(rsa()), said(), stranger))
    refused(token_of(header(rsa(), kid="r2"), said(), rsa()))
    refused(token_of(header(rsa(), kid="e1"), said(), rsa()))
    refused(token_of(header(rsa(), kid=["r1"]), said(), rsa()))
    refused(token_of(header(stranger, jwk=stranger.public()), said(), stranger))
    refused(token_of(header(stranger, kid="r9", jwk=stranger.public()), said(), stranger))
    refused(token_of(header(stranger, jku="https://login.other.example/keys"), said(), stranger))
    refused(token_of(header(rsa(), crit=["exp"]), said(), rsa()))
    refused(token_of(header(rsa(), crit=["b64"], b64=False), said(), rsa()))
    # Without a name there is one key, or nothing is known.
    unnamed = token_of({"alg": "RS256"}, said(), rsa())
    refused(unnamed)
    alone = read_keys(json.dumps({"keys": [rsa().public()]}).encode())
    assert person_of(unnamed, alone, EXPECTED, NOW) == "8f3c21d0"
    refused(token_of(header(rsa()), said(), rsa()), of=())


def test_a_token_of_another_kind_or_in_another_form_is_refused() -> None:
    right = token_of(header(rsa()), said(), rsa())
    first, claims, signature = right.split(".")
    refused(token_of(header(rsa(), typ="at+jwt"), said(), rsa()))
    refused(token_of(header(rsa(), typ="logout+jwt"), said(), rsa()))
    for broken in (
        "",
        ".",
        "..",
        "...",
        first,
        f"{first}.{claims}",
        f"{right}.",
        f"{right}.{signature}",
        f"{first}.{claims}.",
        f"{first}.{claims}.{signature[:-4]}",
        f"{first}.{encoded(one_bit_off(json.dumps(said()).encode()))}.{signature}",
        f"{encoded(b'[]')}.{claims}.{signature}",
        f"{encoded(b'{')}.{claims}.{signature}",
        f"\u00e9{right}",
        "x" * (MAX_TOKEN_CHARS + 1) + right,
    ):
        refused(broken)


def test_a_name_that_stands_twice_in_a_token_has_no_reading() -> None:
    once = json.dumps(said()).encode()
    twice = once[:-1] + b', "sub": "another"}'
    content = f"{encoded(json.dumps(header(rsa())).encode())}.{encoded(twice)}"
    refused(f"{content}.{encoded(rsa().sign(content.encode()))}")
    heads = b'{"alg": "RS256", "kid": "r1", "alg": "none"}'
    content = f"{encoded(heads)}.{encoded(once)}"
    refused(f"{content}.{encoded(rsa().sign(content.encode()))}")


def test_the_claim_of_the_settings_names_the_person_and_no_other() -> None:
    by_number = Expected(ISSUER, CLIENT, "employee_number", "the nonce", NOW)
    token = token_of(header(rsa()), said(employee_number="4711", email="a-tanaka@agency.example"), rsa())
    assert person_of(token, keys(), by_number, NOW) == "4711"
    with pytest.raises(AgencyRefusedError):
        person_of(token_of(header(rsa()), said(), rsa()), keys(), by_number, NOW)


def test_keys_that_cannot_sign_are_passed_over_and_two_of_one_name_are_none() -> None:
    weak = SigningKey.make("weak", "RS256", 1024).public()
    right = rsa().public()
    others: list[Any] = [
        weak,
        {"kty": "oct", "kid": "shared", "k": encoded(b"x" * 32)},
        {**right, "kid": "for-encryption", "use": "enc"},
        {**right, "kid": "other-algorithm", "alg": "RSA-OAEP"},
        {**right, "kid": "no-modulus", "n": None},
        {**right, "kid": 7},
        {"kty": "EC", "kid": "no-curve", "crv": "P-256K", "x": "AA", "y": "AA"},
        {"kty": "EC", "kid": "no-point", "crv": "P-256", "x": encoded(b"\1" * 32), "y": encoded(b"\1" * 32)},
        "a text",
        None,
        {},
    ]
    found = read_keys(json.dumps({"keys": [*others, right]}).encode())
    assert [(one.kid, one.algorithms) for one in found] == [("r1", ("RS256",))]
    refused(token_of(header(rsa(), kid="for-encryption"), said(), rsa()), of=found)
    with pytest.raises(AgencyAwayError):
        read_keys(json.dumps({"keys": [right, {**curve().public(), "kid": "r1"}]}).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": [], "keys": []}',
        b'{"keys": NaN}',
        b"\xff",
        b"[" * 50_000,
        b'{"keys": [' + b",".join([b"{}"] * (MAX_KEYS + 1)) + b"]}",
    ],
)
def test_what_is_no_set_of_keys_is_the_providers_failure(content: bytes) -> None:
    with pytest.raises(AgencyAwayError):
        read_keys(content)

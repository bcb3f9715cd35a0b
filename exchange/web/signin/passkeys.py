"""Passkeys (WebAuthn Level 3 with its extension ``prf``): what a browser is asked, and whether its answer is right.

The relying party is the desk's own name: a passkey of one desk says nothing to another program of the machine. The
authenticator must verify its holder. Its output for ``prf`` opens the officer's key, and is kept nowhere.
"""

from __future__ import annotations

import hmac
import json
import os
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from exchange.web.signin.access import Passkey, prf_input, public_key_of, wrap_seed
from protocol.encoding.json_bounds import require_few_items
from protocol.encoding.json_names import each_name_once
from protocol.encoding.phrase import phrase
from protocol.errors import MalformedError, PasskeyError

GOOD_FOR_S = 300.0
MAX_ANSWER_CHARS = 32_768
_MAX_ITEMS = 200
_NONCE_BYTES = 16


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """The desk as authenticators know it: ``id`` is its name without the port, ``desk`` its address."""

    id: str
    origin: str
    desk: str


class Challenges:
    """What browsers are asked. A challenge says itself until when it is good and for what, under a key of this process:
    nothing is kept of one that was not answered, so that nobody who asks for many takes away another's.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._key = os.urandom(32)
        self._spent: dict[bytes, float] = {}

    def ask(self, purpose: str) -> bytes:
        """A new challenge."""
        said = os.urandom(_NONCE_BYTES) + int(self._clock() + GOOD_FOR_S).to_bytes(8, "big")
        return said + self._mark(purpose, said)

    def answered(self, purpose: str, answer: dict[str, Any]) -> bytes:
        """The challenge that an answer is to; raises :class:`PasskeyError` where it was not asked, or is used up."""
        try:
            said = _decoded(answer["response"]["clientDataJSON"])
            require_few_items(said, _MAX_ITEMS)
            client = json.loads(said, object_pairs_hook=each_name_once)
            challenge = _decoded(client["challenge"])
        except (KeyError, TypeError, ValueError, RecursionError, MalformedError):
            raise PasskeyError(phrase("the browser's answer cannot be read")) from None
        said, mark = challenge[: _NONCE_BYTES + 8], challenge[_NONCE_BYTES + 8 :]
        asked = hmac.compare_digest(mark, self._mark(purpose, said))
        if not asked or int.from_bytes(said[_NONCE_BYTES:], "big") <= self._clock() or challenge in self._spent:
            raise PasskeyError(phrase("the browser's answer is to nothing that was asked"))
        return challenge

    def spend(self, challenge: bytes) -> None:
        """Use up a challenge whose answer was right: it is good once."""
        now = self._clock()
        self._spent = {one: until for one, until in self._spent.items() if until > now}
        self._spent[challenge] = now + GOOD_FOR_S

    def _mark(self, purpose: str, said: bytes) -> bytes:
        return hmac.digest(self._key, purpose.encode() + b"\0" + said, "sha256")


def read_answer(typed: str) -> dict[str, Any]:
    """The answer of a browser; raises :class:`PasskeyError`."""
    try:
        if len(typed) > MAX_ANSWER_CHARS:
            raise PasskeyError(phrase("the browser's answer is too long"))
        require_few_items(typed.encode(), _MAX_ITEMS)
        answer = json.loads(typed, object_pairs_hook=each_name_once)
        if not isinstance(answer, dict) or not isinstance(answer.get("response"), dict):
            raise PasskeyError(phrase("the browser's answer cannot be read"))
    except (ValueError, RecursionError, MalformedError):
        raise PasskeyError(phrase("the browser's answer cannot be read")) from None
    return answer


def read_output(typed: str) -> bytes | None:
    """What the authenticator computed (base64url); None where it computes nothing."""
    try:
        return _decoded(typed) if typed else None
    except ValueError:
        raise PasskeyError(phrase("the browser's answer cannot be read")) from None


def asked_to_add(party: RelyingParty, challenge: bytes, officer: str, user: bytes, known: list[Passkey]) -> str:
    """What a browser is asked so that it makes a passkey (JSON). ``user`` names the officer to the authenticator."""
    from webauthn import generate_registration_options
    from webauthn.helpers import options_to_json_dict
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        PublicKeyCredentialDescriptor,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    options = generate_registration_options(
        rp_id=party.id,
        rp_name=f"Comity {party.desk}",
        user_name=officer,
        user_id=user,
        challenge=challenge,
        exclude_credentials=[PublicKeyCredentialDescriptor(id=one.credential) for one in known],
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
    )
    return _with_prf(options_to_json_dict(options), party.desk)


def added(
    party: RelyingParty, challenge: bytes, answer: dict[str, Any], output: bytes | None, seed: bytes, at: datetime
) -> Passkey:
    """The passkey that a browser made, with the officer's key wrapped; raises :class:`PasskeyError`."""
    from webauthn import verify_registration_response
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        made = verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError):
        raise PasskeyError(phrase("the browser's answer is not right")) from None
    wrapped = wrap_seed(seed, output, made.credential_id, party.desk) if output is not None else None
    return Passkey(
        credential=made.credential_id,
        officer="",
        name="",
        added_at=at,
        key=made.credential_public_key,
        count=made.sign_count,
        wrapped=wrapped,
        signs_as=public_key_of(seed),
    )


def asked_to_sign_in(party: RelyingParty, challenge: bytes) -> str:
    """What a browser is asked so that a passkey signs in (JSON): whose it is, it says itself."""
    from webauthn import generate_authentication_options
    from webauthn.helpers import options_to_json_dict
    from webauthn.helpers.structs import UserVerificationRequirement

    options = generate_authentication_options(
        rp_id=party.id, challenge=challenge, user_verification=UserVerificationRequirement.REQUIRED
    )
    return _with_prf(options_to_json_dict(options), party.desk)


def credential_of(answer: dict[str, Any]) -> bytes:
    """The id of the passkey that answered; raises :class:`PasskeyError`."""
    try:
        return _decoded(answer["rawId"])
    except (KeyError, TypeError, ValueError):
        raise PasskeyError(phrase("the browser's answer cannot be read")) from None


def used(party: RelyingParty, challenge: bytes, answer: dict[str, Any], passkey: Passkey, at: datetime) -> Passkey:
    """The passkey as it counts after it signed in; raises :class:`PasskeyError`, also for one that was copied."""
    from webauthn import verify_authentication_response
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        verified = verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=passkey.key,
            credential_current_sign_count=passkey.count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError):
        raise PasskeyError(phrase("the browser's answer is not right")) from None
    return replace(passkey, count=verified.new_sign_count, used_at=at)


def _with_prf(options: Mapping[str, Any], desk: str) -> str:
    said = dict(options)
    said["extensions"] = {"prf": {"eval": {"first": _encoded(prf_input(desk))}}}
    return json.dumps(said)


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    """The bytes of a text in base64url; raises :class:`ValueError`, :class:`TypeError`."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))

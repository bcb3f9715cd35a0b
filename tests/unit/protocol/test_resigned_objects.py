"""Every rule of a signed object, reached by its true signer: the signature holds, so the rule alone refuses.

An altered byte breaks the signature first and shows nothing of the rules behind it. Here each object is signed anew by
the key it names, breaks exactly one rule, and is refused with that rule's error and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
import pytest

from protocol.address import Address
from protocol.bundle import (
    BUNDLE_CONTEXT,
    BUNDLE_TYPE,
    LENGTH_BYTES,
    MAGIC,
    Contents,
    parse_part,
    verify_part,
    write_bundle,
)
from protocol.bundle_sizes import DEFAULT_PART_BYTES
from protocol.crypto import cose
from protocol.crypto.hpke import HybridOpener, SealingKey
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.encoding import cbor
from protocol.encoding.ids import new_message_id
from protocol.encoding.instants import MAX_MS, to_ms
from protocol.envelope import ENVELOPE_CONTEXT, SEALED_TYPE, parse_envelope, seal, verify_envelope
from protocol.errors import (
    BundleAlteredError,
    BundleElsewhereError,
    ComityError,
    ExpiredError,
    InvalidAddressError,
    MalformedError,
    NonCanonicalError,
    NotYetValidError,
    SignatureInvalidError,
    TooLargeError,
    UnsupportedVersionError,
)
from protocol.event import EventName
from protocol.routing import Priority, Routing, check_time
from protocol.statement import (
    STATEMENT_CONTEXT,
    STATEMENT_TYPE,
    DeskStatement,
    parse_statement,
    sign_statement,
    verify_statement,
)

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
MS = to_ms(NOW)
ATHENS, PARIS, ACCRA = (Address.parse(text) for text in ("24-7@gr", "24-7@fr", "24-7@gh"))
SIGNER = Ed25519Signer(bytes([1]) * 32)
KEY = Ed25519Verifier(SIGNER.public_key)
SEALING = {PARIS: SealingKey(HybridOpener(bytes([2]) * 32).public_key)}
SEALING[ACCRA] = SealingKey(HybridOpener(bytes([3]) * 32).public_key)
ABSENT = object()


def _sealed(*recipients: Address) -> bytes:
    routing = Routing(
        id=new_message_id(NOW, bytes(10)),
        sender=ATHENS,
        recipients=recipients,
        created=NOW,
        expires=NOW + timedelta(days=7),
        priority=Priority.URGENT,
        ack_by=NOW + timedelta(hours=8),
        commitment=bytes(32),
    )
    return seal(b"{}", routing, SIGNER, {address: SEALING[address] for address in recipients}, lambda n: bytes([n]) * n)


@dataclass(frozen=True)
class Kind:
    """A signed object: a valid one, and the way in that every reader takes."""

    valid: bytes
    content_type: str
    context: bytes
    take: Callable[[bytes], object]
    tidy: Callable[[type[ComityError]], type[ComityError]] = lambda error: error


def _take_envelope(raw: bytes) -> object:
    return verify_envelope(parse_envelope(raw), KEY)


def _take_statement(raw: bytes) -> object:
    return verify_statement(parse_statement(raw), KEY)


def _in_part(signed: bytes) -> bytes:
    return MAGIC + len(signed).to_bytes(LENGTH_BYTES, "big") + signed


def _take_part(signed: bytes) -> object:
    return parse_part(_in_part(signed), "fr")


def _of_a_bundle(error: type[ComityError]) -> type[ComityError]:
    # A bundle that does not read as it was written is an altered bundle, whatever the reason.
    return error if error in (UnsupportedVersionError, TooLargeError) else BundleAlteredError


STATEMENT = sign_statement(
    DeskStatement(EventName.ContentHandover, new_message_id(NOW, bytes(10)), bytes(32), PARIS, NOW), SIGNER
)
ENVELOPE = _sealed(PARIS)
TWO = _sealed(PARIS, ACCRA)
PART = write_bundle("gr", "fr", NOW, Contents(envelopes=(ENVELOPE,), after=4), SIGNER, DEFAULT_PART_BYTES)[0]
KINDS = {
    "statement": Kind(STATEMENT, STATEMENT_TYPE, STATEMENT_CONTEXT, _take_statement),
    "envelope": Kind(ENVELOPE, SEALED_TYPE, ENVELOPE_CONTEXT, _take_envelope),
    "bundle part": Kind(PART[len(MAGIC) + LENGTH_BYTES :], BUNDLE_TYPE, BUNDLE_CONTEXT, _take_part, _of_a_bundle),
}


def dumps(value: Any) -> bytes:
    """CBOR as it is given: what is out of order stays out of order."""
    return cbor2.dumps(value, canonical=False)


def sign1(
    kind: Kind,
    *,
    payload: Any = None,
    header: Mapping[Any, Any] | None = None,
    protected: Any = None,
    unprotected: Any = None,
    signature: Callable[[bytes], Any] = lambda made: made,
    items: Callable[[list[Any]], Any] = lambda parts: parts,
    tag: bytes = bytes([0xC0 | 18]),
) -> bytes:
    """A COSE_Sign1 of which one part is as the caller says, signed over exactly what it carries."""
    if payload is None:
        payload = cbor.decode_tagged(18, kind.valid)[2]
    if protected is None:
        own = {1: cose.ALG_ED25519, 3: kind.content_type, 4: SIGNER.kid}
        changed = {**own, **(header or {})}
        protected = cbor.encode({key: value for key, value in changed.items() if value is not ABSENT})
    made = SIGNER.sign(cbor2.dumps(["Signature1", protected, kind.context, payload]))
    return tag + dumps(items([protected, {} if unprotected is None else unprotected, payload, signature(made)]))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_object_signed_anew_as_it_was_is_taken(kind: Kind) -> None:
    assert sign1(kind) == kind.valid
    kind.take(kind.valid)


OUT_OF_ORDER = dumps({4: SIGNER.kid, 1: -19, 3: STATEMENT_TYPE})
SIGN1_RULES: dict[str, tuple[dict[str, Any], type[ComityError]]] = {
    "tag": ({"tag": bytes([0xC0 | 17])}, MalformedError),
    "tag in two bytes": ({"tag": bytes([0xD8, 18])}, MalformedError),
    "no tag": ({"tag": b""}, MalformedError),
    "an array of three": ({"items": lambda parts: parts[:3]}, MalformedError),
    "an array of five": ({"items": lambda parts: [*parts, b""]}, MalformedError),
    "a number": ({"items": lambda parts: 1}, MalformedError),
    "not an array": ({"items": lambda parts: dict(enumerate(parts))}, MalformedError),
    "unprotected header": ({"unprotected": {4: SIGNER.kid}}, MalformedError),
    "unprotected algorithm": ({"unprotected": {1: -19}}, MalformedError),
    "unprotected is no map": ({"unprotected": []}, MalformedError),
    "another algorithm": ({"header": {1: -7}}, UnsupportedVersionError),
    "the older number of EdDSA": ({"header": {1: -8}}, UnsupportedVersionError),
    "algorithm as text": ({"header": {1: "Ed25519"}}, UnsupportedVersionError),
    "no algorithm": ({"header": {1: ABSENT}}, MalformedError),
    "content type of another kind": ({"header": {3: "application/vnd.comity.other+cose"}}, MalformedError),
    "content type as a number": ({"header": {3: 60}}, MalformedError),
    "no content type": ({"header": {3: ABSENT}}, MalformedError),
    "short key id": ({"header": {4: bytes(15)}}, MalformedError),
    "long key id": ({"header": {4: bytes(17)}}, MalformedError),
    "key id as text": ({"header": {4: "0123456789abcdef"}}, MalformedError),
    "no key id": ({"header": {4: ABSENT}}, MalformedError),
    "critical header": ({"header": {2: [-70001]}}, MalformedError),
    "one header more": ({"header": {99: 1}}, MalformedError),
    "protected header as a map": ({"protected": {1: -19}}, MalformedError),
    "empty protected header": ({"protected": b""}, MalformedError),
    "protected header that is no map": ({"protected": cbor.encode([1, -19])}, MalformedError),
    "protected header out of order": ({"protected": OUT_OF_ORDER}, NonCanonicalError),
    "payload as text": ({"payload": "text"}, MalformedError),
    "detached payload": ({"items": lambda parts: [*parts[:2], None, parts[3]]}, MalformedError),
    "short signature": ({"signature": lambda made: made[:-1]}, MalformedError),
    "long signature": ({"signature": lambda made: made + b"\0"}, MalformedError),
    "signature as text": ({"signature": lambda made: "x" * 64}, MalformedError),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("changes", "error"), SIGN1_RULES.values(), ids=SIGN1_RULES)
def test_each_rule_of_a_signed_object_refuses_by_itself(
    kind: Kind, changes: dict[str, Any], error: type[ComityError]
) -> None:
    with pytest.raises(ComityError) as refusal:
        kind.take(sign1(kind, **changes))
    assert refusal.type is kind.tidy(error)


@pytest.mark.parametrize("kind", [KINDS["statement"], KINDS["envelope"]], ids=["statement", "envelope"])
def test_bytes_behind_a_signed_object_are_refused(kind: Kind) -> None:
    with pytest.raises(ComityError) as refusal:
        kind.take(kind.valid + b"\0")
    assert refusal.type is NonCanonicalError


def test_a_good_signature_under_the_name_of_another_key_is_refused() -> None:
    other = Ed25519Signer(bytes([9]) * 32)
    named = {4: other.kid}
    with pytest.raises(SignatureInvalidError):
        verify_envelope(parse_envelope(sign1(KINDS["envelope"], header=named)), KEY)
    with pytest.raises(SignatureInvalidError):
        verify_statement(parse_statement(sign1(KINDS["statement"], header=named)), KEY)
    with pytest.raises(BundleAlteredError):
        verify_part(parse_part(_in_part(sign1(KINDS["bundle part"], header=named)), "fr"), KEY)


# --- The sealed object inside an envelope ----------------------------------------------------------------------------


def sealed(
    raw: bytes = ENVELOPE,
    *,
    header: Mapping[Any, Any] | None = None,
    unprotected: Any = None,
    ciphertext: Any = None,
    recipients: Callable[[list[Any]], Any] = lambda rows: rows,
    items: Callable[[list[Any]], Any] = lambda parts: parts,
    tag: int = cose.TAG_ENCRYPT,
) -> bytes:
    """The envelope with another COSE_Encrypt inside, signed by its sender."""
    own = cbor.decode_tagged(cose.TAG_ENCRYPT, cbor.decode_tagged(18, raw)[2])
    changed = {**cbor.decode(own[0]), **(header or {})}
    own[0] = cbor.encode({key: value for key, value in changed.items() if value is not ABSENT})
    own[1] = {} if unprotected is None else unprotected
    own[2] = own[2] if ciphertext is None else ciphertext
    own[3] = recipients(own[3])
    payload = (bytes([0xC0 | tag]) if tag < 24 else bytes([0xD8, tag])) + cbor.encode(items(own))
    return sign1(KINDS["envelope"], payload=payload)


def _row(place: int, value: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda rows: [[*rows[0][:place], value, *rows[0][place + 1 :]]]


def _protected(**changes: Any) -> Callable[[list[Any]], list[Any]]:
    header = {1: cose.ALG_HPKE_MLKEM768_X25519, 4: SEALING[PARIS].kid}
    labels = {"alg": 1, "kid": 4, "more": 99}
    header |= {labels[name]: value for name, value in changes.items()}
    return _row(0, cbor.encode({key: value for key, value in header.items() if value is not ABSENT}))


SEALED_RULES: dict[str, tuple[dict[str, Any], type[ComityError]]] = {
    "tag of a COSE_Encrypt0": ({"tag": 16}, MalformedError),
    "an array of three": ({"items": lambda parts: parts[:3]}, MalformedError),
    "an array of five": ({"items": lambda parts: [*parts, b""]}, MalformedError),
    "unprotected header": ({"unprotected": {5: bytes(12)}}, MalformedError),
    "unprotected is no map": ({"unprotected": []}, MalformedError),
    "a number": ({"items": lambda parts: 1}, MalformedError),
    "recipients as a number": ({"recipients": lambda rows: 1}, MalformedError),
    "recipients as null": ({"recipients": lambda rows: None}, MalformedError),
    "a recipient as a number": ({"recipients": lambda rows: [1]}, MalformedError),
    "recipient's unprotected is a number": ({"recipients": lambda rows: [[rows[0][0], 1, rows[0][2]]]}, MalformedError),
    "another content cipher": ({"header": {1: 1}}, UnsupportedVersionError),
    "no algorithm": ({"header": {1: ABSENT}}, MalformedError),
    "no critical headers": ({"header": {2: ABSENT}}, MalformedError),
    "empty critical headers": ({"header": {2: []}}, MalformedError),
    "an unknown critical header": ({"header": {2: [cose.HEADER_ROUTING, 99]}}, MalformedError),
    "another critical header": ({"header": {2: [cose.HEADER_IV]}}, MalformedError),
    "short nonce": ({"header": {5: bytes(11)}}, MalformedError),
    "long nonce": ({"header": {5: bytes(13)}}, MalformedError),
    "nonce as text": ({"header": {5: "x" * 12}}, MalformedError),
    "no nonce": ({"header": {5: ABSENT}}, MalformedError),
    "routing header as a map": ({"header": {cose.HEADER_ROUTING: {1: 1}}}, MalformedError),
    "no routing header": ({"header": {cose.HEADER_ROUTING: ABSENT}}, MalformedError),
    "one header more": ({"header": {99: 0}}, MalformedError),
    "ciphertext as text": ({"ciphertext": "text"}, MalformedError),
    "recipients as a map": ({"recipients": lambda rows: {0: rows[0]}}, MalformedError),
    "no recipient": ({"recipients": lambda rows: []}, MalformedError),
    "one sealed key more": ({"recipients": lambda rows: [*rows, *rows]}, MalformedError),
    "a recipient of two parts": ({"recipients": lambda rows: [rows[0][:2]]}, MalformedError),
    "a recipient of four parts": ({"recipients": lambda rows: [[*rows[0], []]]}, MalformedError),
    "a recipient that is no array": ({"recipients": lambda rows: [dict(enumerate(rows[0]))]}, MalformedError),
    "another key encapsulation": ({"recipients": _protected(alg=35)}, UnsupportedVersionError),
    "no key encapsulation": ({"recipients": _protected(alg=ABSENT)}, MalformedError),
    "short recipient key id": ({"recipients": _protected(kid=bytes(15))}, MalformedError),
    "no recipient key id": ({"recipients": _protected(kid=ABSENT)}, MalformedError),
    "one recipient header more": ({"recipients": _protected(more=1)}, MalformedError),
    "no encapsulated key": ({"recipients": _row(1, {})}, MalformedError),
    "recipient's unprotected is no map": ({"recipients": _row(1, [bytes(1120)])}, MalformedError),
    "short encapsulated key": ({"recipients": _row(1, {-4: bytes(1119)})}, MalformedError),
    "long encapsulated key": ({"recipients": _row(1, {-4: bytes(1121)})}, MalformedError),
    "encapsulated key as text": ({"recipients": _row(1, {-4: "x" * 1120})}, MalformedError),
    "one unprotected header more": ({"recipients": _row(1, {-4: bytes(1120), 4: bytes(16)})}, MalformedError),
    "short sealed key": ({"recipients": _row(2, bytes(47))}, MalformedError),
    "long sealed key": ({"recipients": _row(2, bytes(49))}, MalformedError),
    "sealed key as text": ({"recipients": _row(2, "x" * 48)}, MalformedError),
    "two sealed keys for one key": ({"raw": TWO, "recipients": lambda rows: [rows[0], rows[0]]}, MalformedError),
    "one sealed key too few": ({"raw": TWO, "recipients": lambda rows: rows[:1]}, MalformedError),
}


@pytest.mark.parametrize(("changes", "error"), SEALED_RULES.values(), ids=SEALED_RULES)
def test_each_rule_of_the_sealed_object_refuses_by_itself(changes: dict[str, Any], error: type[ComityError]) -> None:
    with pytest.raises(ComityError) as refusal:
        _take_envelope(sealed(**changes))
    assert refusal.type is error


# --- The routing header ----------------------------------------------------------------------------------------------

DAY = 86_400_000
FILES = [bytes(32), 2, 1168]
MANY = [f"24-7@n{number:03}" for number in range(33)]
ROUTING_RULES: dict[str, tuple[dict[Any, Any], type[ComityError]]] = {
    "version 3": ({1: 3}, UnsupportedVersionError),
    "version 2 without files": ({1: 2}, MalformedError),
    "version 1 with files": ({10: FILES}, MalformedError),
    "files as a map": ({1: 2, 10: {1: bytes(32)}}, MalformedError),
    "files without their bytes": ({1: 2, 10: FILES[:2]}, MalformedError),
    "files with more": ({1: 2, 10: [*FILES, 0]}, MalformedError),
    "short digest of files": ({1: 2, 10: [bytes(31), *FILES[1:]]}, MalformedError),
    "digest of files as text": ({1: 2, 10: ["0" * 32, *FILES[1:]]}, MalformedError),
    "no file": ({1: 2, 10: [bytes(32), 0, 4096]}, MalformedError),
    "too many files": ({1: 2, 10: [bytes(32), 1001, 1 << 40]}, MalformedError),
    "count true": ({1: 2, 10: [bytes(32), True, 4096]}, MalformedError),
    "fewer bytes than files can have": ({1: 2, 10: [bytes(32), 2, 1167]}, MalformedError),
    "more bytes than numbers can tell": ({1: 2, 10: [bytes(32), 1, 1 << 53]}, MalformedError),
    "version true": ({1: True}, UnsupportedVersionError),
    "no version": ({1: ABSENT}, UnsupportedVersionError),
    "id of another version of UUID": ({2: bytes.fromhex("12345678123442348234123456789abc")}, MalformedError),
    "id of another variant": ({2: bytes.fromhex("12345678123472340234123456789abc")}, MalformedError),
    "short id": ({2: bytes(15)}, MalformedError),
    "long id": ({2: bytes(17)}, MalformedError),
    "id as text": ({2: "01935f3e-6a00-7000-8000-000000000000"}, MalformedError),
    "sender without a node": ({3: "24-7"}, InvalidAddressError),
    "sender in upper case": ({3: "24-7@GR"}, InvalidAddressError),
    "sender as bytes": ({3: b"24-7@gr"}, MalformedError),
    "recipients as text": ({4: "24-7@fr"}, MalformedError),
    "no recipients": ({4: []}, MalformedError),
    "33 recipients": ({4: MANY}, MalformedError),
    "recipients out of order": ({4: ["24-7@gh", "24-7@fr"]}, MalformedError),
    "a recipient twice": ({4: ["24-7@fr", "24-7@fr"]}, MalformedError),
    "a recipient that is no address": ({4: ["24-7"]}, InvalidAddressError),
    "a recipient that is a number": ({4: [1]}, MalformedError),
    "created before 1970": ({5: -1}, MalformedError),
    "created in a year above 9999": ({5: MAX_MS + 1, 6: MAX_MS + 2}, MalformedError),
    "created as text": ({5: "2026-11-23T03:00:00Z"}, MalformedError),
    "created true": ({5: True}, MalformedError),
    "expires when it was created": ({6: MS, 8: ABSENT}, MalformedError),
    "expires before it was created": ({6: MS - 1, 8: ABSENT}, MalformedError),
    "expires after more than 366 days": ({6: MS + 366 * DAY + 1}, MalformedError),
    "priority 3": ({7: 3}, MalformedError),
    "priority below 0": ({7: -1}, MalformedError),
    "priority true": ({7: True}, MalformedError),
    "priority as text": ({7: "urgent"}, MalformedError),
    "acknowledged when it was created": ({8: MS}, MalformedError),
    "acknowledged after expiry": ({8: MS + 7 * DAY + 1}, MalformedError),
    "acknowledged as null": ({8: None}, MalformedError),
    "short commitment": ({9: bytes(31)}, MalformedError),
    "long commitment": ({9: bytes(33)}, MalformedError),
    "commitment as text": ({9: "x" * 32}, MalformedError),
    "one field more": ({10: 0}, MalformedError),
    **{f"no field {key}": ({key: ABSENT}, MalformedError) for key in (2, 3, 4, 5, 6, 7, 9)},
}


def rerouted(changes: Mapping[Any, Any], raw: bytes = ENVELOPE) -> bytes:
    """The envelope with another routing header, signed by its sender, with as many sealed keys as recipients."""
    own = cbor.decode_tagged(cose.TAG_ENCRYPT, cbor.decode_tagged(18, raw)[2])
    header = cbor.decode(cbor.decode(own[0])[cose.HEADER_ROUTING]) | changes
    routing = cbor.encode({key: value for key, value in header.items() if value is not ABSENT})
    wanted = len(header[4]) if type(header[4]) is list else 1

    def rows(had: list[Any]) -> list[Any]:
        protected = [cose.recipient_protected(number.to_bytes(16, "big")) for number in range(wanted)]
        return [[own, *had[0][1:]] for own in protected]

    return sealed(raw, header={cose.HEADER_ROUTING: routing}, recipients=rows)


@pytest.mark.parametrize(("changes", "error"), ROUTING_RULES.values(), ids=ROUTING_RULES)
def test_each_rule_of_the_routing_header_refuses_by_itself(changes: dict[Any, Any], error: type[ComityError]) -> None:
    with pytest.raises(ComityError) as refusal:
        _take_envelope(rerouted(changes))
    assert refusal.type is error


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {8: ABSENT},
        {8: MS + 1},
        {8: MS + 7 * DAY},
        {6: MS + 1, 8: ABSENT},
        {6: MS + 366 * DAY},
        {4: MANY[:32]},
        {5: 0, 6: 1, 8: ABSENT},
        {5: MAX_MS - 1, 6: MAX_MS, 8: ABSENT},
        {7: 0},
        {7: 2},
    ],
)
def test_a_routing_header_at_the_edge_of_its_rules_is_taken(changes: dict[Any, Any]) -> None:
    _take_envelope(rerouted(changes))


def test_a_message_lives_from_five_minutes_before_its_creation_to_the_millisecond_before_its_expiry() -> None:
    routing = parse_envelope(ENVELOPE).routing
    step = timedelta(milliseconds=1)
    for now in (routing.created - timedelta(minutes=5), routing.expires - step):
        check_time(routing, now)
    with pytest.raises(NotYetValidError):
        check_time(routing, routing.created - timedelta(minutes=5) - step)
    with pytest.raises(ExpiredError):
        check_time(routing, routing.expires)


# --- Statements ------------------------------------------------------------------------------------------------------

FAILED = {2: "ContentHandoverFailure", 7: ["open-failed"]}
STATEMENT_RULES: dict[str, tuple[dict[Any, Any], type[ComityError]]] = {
    "version 2": ({1: 2}, UnsupportedVersionError),
    "version true": ({1: True}, UnsupportedVersionError),
    "no version": ({1: ABSENT}, UnsupportedVersionError),
    "an event of a node": ({2: "RelayAcceptance"}, MalformedError),
    "an unknown event": ({2: "ContentForgotten"}, MalformedError),
    "event as a number": ({2: 1}, MalformedError),
    "time below 0": ({3: -1}, MalformedError),
    "time true": ({3: True}, MalformedError),
    "time as text": ({3: "now"}, MalformedError),
    "short message id": ({4: bytes(15)}, MalformedError),
    "message id of another version of UUID": ({4: bytes.fromhex("12345678123442348234123456789abc")}, MalformedError),
    "short digest": ({5: bytes(31)}, MalformedError),
    "long digest": ({5: bytes(33)}, MalformedError),
    "digest as text": ({5: "x" * 32}, MalformedError),
    "recipient that is no address": ({6: "24-7"}, InvalidAddressError),
    "recipient as bytes": ({6: b"24-7@fr"}, MalformedError),
    "reasons of what went well": ({7: ["late"]}, MalformedError),
    "a failure without a reason": ({2: "ContentHandoverFailure"}, MalformedError),
    "an empty list of reasons": ({7: []}, MalformedError),
    "reasons as text": ({**FAILED, 7: "open-failed"}, MalformedError),
    "reasons as null": ({**FAILED, 7: None}, MalformedError),
    "nine reasons": ({**FAILED, 7: ["late"] * 9}, MalformedError),
    "an empty reason": ({**FAILED, 7: [""]}, MalformedError),
    "a reason of 65 characters": ({**FAILED, 7: ["x" * 65]}, MalformedError),
    "a reason that is a number": ({**FAILED, 7: [1]}, MalformedError),
    "one field more": ({8: 0}, MalformedError),
    **{f"no field {key}": ({key: ABSENT}, MalformedError) for key in (2, 3, 4, 5, 6)},
}


def restated(changes: Mapping[Any, Any]) -> bytes:
    value = cbor.decode(cbor.decode_tagged(18, STATEMENT)[2]) | changes
    payload = cbor.encode({key: item for key, item in value.items() if item is not ABSENT})
    return sign1(KINDS["statement"], payload=payload)


@pytest.mark.parametrize(("changes", "error"), STATEMENT_RULES.values(), ids=STATEMENT_RULES)
def test_each_rule_of_a_statement_refuses_by_itself(changes: dict[Any, Any], error: type[ComityError]) -> None:
    with pytest.raises(ComityError) as refusal:
        _take_statement(restated(changes))
    assert refusal.type is error


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {2: "ContentAccessTracking"},
        FAILED,
        {**FAILED, 7: ["late"] * 8},
        {**FAILED, 7: ["x" * 64]},
        {**FAILED, 7: ["x"]},
        {3: 0},
    ],
)
def test_a_statement_at_the_edge_of_its_rules_is_taken(changes: dict[Any, Any]) -> None:
    _take_statement(restated(changes))


@pytest.mark.parametrize("payload", [cbor.encode([1]), cbor.encode(1), b"", b"\xff", dumps({2: 1, 1: 1})])
def test_a_statement_of_no_map_is_refused_with_a_typed_error(payload: bytes) -> None:
    with pytest.raises(MalformedError):
        _take_statement(sign1(KINDS["statement"], payload=payload))


# --- Parts of transfer bundles ---------------------------------------------------------------------------------------

ROW_OF_MAILBOX = [1, b"envelope", []]
PART_RULES: dict[str, tuple[dict[Any, Any], type[ComityError]]] = {
    "version 2": ({1: 2}, UnsupportedVersionError),
    "version true": ({1: True}, UnsupportedVersionError),
    "no version": ({1: ABSENT}, UnsupportedVersionError),
    "sender as bytes": ({2: b"gr"}, BundleAlteredError),
    "sender that is no holder": ({2: "GR"}, BundleAlteredError),
    "another recipient": ({3: "gh"}, BundleElsewhereError),
    "time true": ({4: True}, BundleAlteredError),
    "short id": ({5: bytes(15)}, BundleAlteredError),
    "part 0": ({6: 0}, BundleAlteredError),
    "part 2 of 1": ({6: 2}, BundleAlteredError),
    "part true": ({6: True}, BundleAlteredError),
    "10,001 parts": ({7: 10_001}, BundleAlteredError),
    "count true": ({7: True}, BundleAlteredError),
    "contents as an array": ({8: []}, BundleAlteredError),
    "one field more": ({9: 0}, BundleAlteredError),
    **{f"no field {key}": ({key: ABSENT}, BundleAlteredError) for key in (2, 3, 4, 5, 6, 7, 8)},
    "an unknown section": ({8: {10: [b""]}}, BundleAlteredError),
    "section 0": ({8: {0: [b""]}}, BundleAlteredError),
    "an empty section": ({8: {2: []}}, BundleAlteredError),
    "an empty directory": ({8: {1: {}}}, BundleAlteredError),
    "a directory of texts": ({8: {1: {"1.root.json": "text"}}}, BundleAlteredError),
    "a directory by numbers": ({8: {1: {1: b"x"}}}, BundleAlteredError),
    "envelopes as a map": ({8: {2: {1: b"x"}}}, BundleAlteredError),
    "an envelope as text": ({8: {2: ["x"]}}, BundleAlteredError),
    "a receipt that is not there": ({8: {3: [0]}}, BundleAlteredError),
    "a receipt by the number true": ({8: {3: [True]}}, BundleAlteredError),
    "a receipt by a number below 0": ({8: {3: [-1]}}, BundleAlteredError),
    "a statement as text": ({8: {4: ["x"]}}, BundleAlteredError),
    "a mailbox row of two": ({8: {5: [ROW_OF_MAILBOX[:2]]}}, BundleAlteredError),
    "a mailbox sequence of 0": ({8: {5: [[0, *ROW_OF_MAILBOX[1:]]]}}, BundleAlteredError),
    "a mailbox sequence of true": ({8: {5: [[True, *ROW_OF_MAILBOX[1:]]]}}, BundleAlteredError),
    "a mailbox envelope as text": ({8: {5: [[1, "x", []]]}}, BundleAlteredError),
    "an answer without its key": ({8: {6: [[bytes(31), "problem"]]}}, BundleAlteredError),
    "an answer that is a number": ({8: {6: [[bytes(32), 1]]}}, BundleAlteredError),
    "a verdict that is a number": ({8: {7: [[bytes(32), 1]]}}, BundleAlteredError),
    "a verdict without its key": ({8: {7: [[bytes(31), None]]}}, BundleAlteredError),
    "after as text": ({8: {8: "1"}}, BundleAlteredError),
    "after below 0": ({8: {8: -1}}, BundleAlteredError),
    "after null": ({8: {8: None}}, BundleAlteredError),
    "after true": ({8: {8: True}}, BundleAlteredError),
    "after of 2^63": ({8: {8: 1 << 63}}, BundleAlteredError),
}


def rebundled(changes: Mapping[Any, Any]) -> bytes:
    kind = KINDS["bundle part"]
    value = cbor.decode(cbor.decode_tagged(18, kind.valid)[2]) | changes
    return sign1(kind, payload=cbor.encode({key: item for key, item in value.items() if item is not ABSENT}))


@pytest.mark.parametrize(("changes", "error"), PART_RULES.values(), ids=PART_RULES)
def test_each_rule_of_a_bundle_part_refuses_by_itself(changes: dict[Any, Any], error: type[ComityError]) -> None:
    with pytest.raises(ComityError) as refusal:
        _take_part(rebundled(changes))
    assert refusal.type is error


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {6: 10_000, 7: 10_000},
        {8: {}},
        {8: {8: (1 << 63) - 1}},
        {8: {8: 0}},
        {8: {5: [ROW_OF_MAILBOX, [2, None, []]]}},
        {8: {6: [[bytes(32), "problem"], [bytes(32), []]], 7: [[bytes(32), None], [bytes(32), "problem"]]}},
    ],
)
def test_a_bundle_part_at_the_edge_of_its_rules_is_taken(changes: dict[Any, Any]) -> None:
    _take_part(rebundled(changes))

"""Every rule of a maker's statement, reached by its true signer: the signature holds, so the rule alone refuses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from protocol.address import Address
from protocol.bag_statement import (
    BAG_CONTEXT,
    BAG_TYPE,
    BagStatement,
    SignedBagStatement,
    parse_bag_statement,
    sign_bag_statement,
)
from protocol.crypto import cose
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.encoding import cbor
from protocol.encoding.ids import new_message_id
from protocol.errors import (
    ComityError,
    InvalidAddressError,
    MalformedError,
    SignatureInvalidError,
    UnsupportedVersionError,
)
from protocol.event import LeafReference
from protocol.log.merkle import MAX_SIZE

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
SIGNER = Ed25519Signer(bytes([1]) * 32)
KEY = Ed25519Verifier(SIGNER.public_key)
LOG = "node.example/log/fr"
BAG = BagStatement(
    message_id=new_message_id(NOW, bytes(10)),
    digest=bytes(32),
    office=Address.parse("24-7@fr"),
    made_at=NOW,
    files={"data/envelope.cose": bytes([7]) * 32},
    receipts=(LeafReference(LOG, 3, bytes([8]) * 32),),
    searched={LOG: 4},
    left_out=1,
    officer="Aya Sato",
)
RAW = sign_bag_statement(BAG, SIGNER)
PAYLOAD = cbor.decode(cbor.decode_tagged(18, RAW)[2])
ABSENT = object()


def resigned(changes: Mapping[int, Any]) -> bytes:
    """The statement with other fields, signed by its maker."""
    fields = {key: value for key, value in (PAYLOAD | changes).items() if value is not ABSENT}
    return cose.sign1(cbor.encode(fields), BAG_TYPE, BAG_CONTEXT, SIGNER)


def take(raw: bytes) -> SignedBagStatement:
    """The way in that every reader takes."""
    signed = parse_bag_statement(raw)
    signed.verify(KEY)
    return signed


ROW = [LOG, 3, bytes([8]) * 32]
RULES: dict[str, tuple[dict[int, Any], type[ComityError]]] = {
    "version 2": ({1: 2}, UnsupportedVersionError),
    "version true": ({1: True}, UnsupportedVersionError),
    "no version": ({1: ABSENT}, UnsupportedVersionError),
    "short message id": ({2: bytes(15)}, MalformedError),
    "short digest": ({3: bytes(31)}, MalformedError),
    "long digest": ({3: bytes(33)}, MalformedError),
    "digest as text": ({3: "x" * 32}, MalformedError),
    "office without a node": ({4: "24-7"}, InvalidAddressError),
    "office as bytes": ({4: b"24-7@fr"}, MalformedError),
    "time below 0": ({5: -1}, MalformedError),
    "time as text": ({5: "now"}, MalformedError),
    "files as an array": ({6: [bytes(32)]}, MalformedError),
    "files as an array of names": ({6: ["data/envelope.cose"]}, MalformedError),
    "logs as an array of names": ({8: [LOG]}, MalformedError),
    "no file": ({6: {}}, MalformedError),
    "files by number": ({6: {1: bytes(32)}}, MalformedError),
    "a file with a short digest": ({6: {"data/envelope.cose": bytes(31)}}, MalformedError),
    "receipts as a map": ({7: {}}, MalformedError),
    "a receipt that is no array": ({7: [1]}, MalformedError),
    "a receipt that is a text of three": ({7: ["abc"]}, MalformedError),
    "a receipt of two": ({7: [ROW[:2]]}, MalformedError),
    "a receipt of four": ({7: [[*ROW, 1]]}, MalformedError),
    "a receipt with a short hash": ({7: [[*ROW[:2], bytes(31)]]}, MalformedError),
    "a receipt below index 0": ({7: [[LOG, -1, ROW[2]]]}, MalformedError),
    "a receipt of a log without a name": ({7: [["", *ROW[1:]]]}, MalformedError),
    "logs as an array": ({8: []}, MalformedError),
    "logs by number": ({8: {1: 1}}, MalformedError),
    "a log whose name has a space": ({8: {"a log": 1}}, MalformedError),
    "a log below size 0": ({8: {LOG: -1}}, MalformedError),
    "a log of more than 2^63 - 1": ({8: {LOG: MAX_SIZE + 1}}, MalformedError),
    "a log of size true": ({8: {LOG: True}}, MalformedError),
    "left out below 0": ({9: -1}, MalformedError),
    "left out true": ({9: True}, MalformedError),
    "left out as text": ({9: "1"}, MalformedError),
    "an officer without a name": ({10: ""}, MalformedError),
    "an officer of 201 characters": ({10: "x" * 201}, MalformedError),
    "an officer in two lines": ({10: "Aya\nSato"}, MalformedError),
    "an officer as bytes": ({10: b"Aya Sato"}, MalformedError),
    "an officer as null": ({10: None}, MalformedError),
    "one field more": ({11: 0}, MalformedError),
    **{f"no field {key}": ({key: ABSENT}, MalformedError) for key in range(2, 10)},
}


@pytest.mark.parametrize(("changes", "error"), RULES.values(), ids=RULES)
def test_each_rule_of_a_makers_statement_refuses_by_itself(changes: dict[int, Any], error: type[ComityError]) -> None:
    with pytest.raises(ComityError) as refusal:
        take(resigned(changes))
    assert refusal.type is error


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {7: []},
        {8: {}},
        {8: {LOG: 0}},
        {8: {LOG: MAX_SIZE}},
        {9: 0},
        {9: MAX_SIZE},
        {10: "x"},
        {10: "x" * 200},
        {10: ABSENT},
    ],
)
def test_a_makers_statement_at_the_edge_of_its_rules_is_taken(changes: dict[int, Any]) -> None:
    take(resigned(changes))


def test_a_makers_statement_is_read_as_it_was_written() -> None:
    assert take(RAW).statement == BAG


@pytest.mark.parametrize("value", [[1], 1, "text"])
def test_a_makers_statement_of_no_map_is_refused_with_a_typed_error(value: Any) -> None:
    with pytest.raises(MalformedError):
        take(cose.sign1(cbor.encode(value), BAG_TYPE, BAG_CONTEXT, SIGNER))


def test_a_makers_statement_counts_only_under_the_key_that_it_names_and_in_its_own_context() -> None:
    other = Ed25519Signer(bytes([2]) * 32)
    with pytest.raises(SignatureInvalidError, match="not the one that the maker's statement names"):
        parse_bag_statement(RAW).verify(Ed25519Verifier(other.public_key))
    elsewhere = cose.sign1(cbor.encode(PAYLOAD), BAG_TYPE, b"comity/v1/statement", SIGNER)
    with pytest.raises(SignatureInvalidError):
        take(elsewhere)

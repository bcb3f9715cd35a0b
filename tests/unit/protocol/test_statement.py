"""Desk statements: what a desk attests is signed by it, of its own kind, and complete."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.address import Address
from protocol.crypto import cose
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.encoding import cbor
from protocol.encoding.ids import new_message_id
from protocol.errors import ComityError, MalformedError, SignatureInvalidError
from protocol.event import EventName
from protocol.files.logged import LoggedFiles
from protocol.log.merkle import EMPTY_ROOT
from protocol.statement import (
    MAX_STATEMENT_BYTES,
    STATEMENT_CONTEXT,
    STATEMENT_TYPE,
    DeskStatement,
    parse_statement,
    sign_statement,
    verify_statement,
)

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
SIGNER = Ed25519Signer(bytes([1]) * 32)
HANDOVER = DeskStatement(
    EventName.ContentHandover, new_message_id(NOW, bytes(10)), bytes(32), Address.parse("24-7@fr"), NOW
)
FILES = LoggedFiles(bytes(32), None, 3, bytes([1]) * 32)
ONE = LoggedFiles(bytes(32), bytes([2]) * 32, 1, bytes([3]) * 32)


def test_a_statement_survives_signing_parsing_and_verifying() -> None:
    for statement in (
        HANDOVER,
        replace(HANDOVER, event=EventName.ContentAccessTracking),
        replace(HANDOVER, event=EventName.ContentHandoverFailure, reasons=("open-failed", "expired")),
        replace(HANDOVER, event=EventName.FileHandover, files=FILES),
        replace(HANDOVER, event=EventName.FileAccessTracking, files=ONE),
        replace(HANDOVER, event=EventName.FileHandoverFailure, files=ONE, reasons=("file-altered",)),
    ):
        signed = parse_statement(sign_statement(statement, SIGNER))
        assert verify_statement(signed, Ed25519Verifier(SIGNER.public_key)).statement == statement


@given(st.data())
def test_any_altered_byte_is_refused(data: st.DataObject) -> None:
    raw = bytearray(sign_statement(HANDOVER, SIGNER))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ComityError):
        verify_statement(parse_statement(bytes(raw)), Ed25519Verifier(SIGNER.public_key))


@given(st.binary(max_size=MAX_STATEMENT_BYTES + 10))
def test_arbitrary_bytes_are_refused_with_a_typed_error(data: bytes) -> None:
    with pytest.raises(ComityError):
        parse_statement(data)


@pytest.mark.parametrize(
    "broken",
    [
        replace(HANDOVER, event=EventName.RelayAcceptance),
        replace(HANDOVER, reasons=("expired",)),
        replace(HANDOVER, event=EventName.ContentHandoverFailure),
        replace(HANDOVER, digest=bytes(31)),
        replace(HANDOVER, files=FILES),
        replace(HANDOVER, event=EventName.FileHandover),
        replace(HANDOVER, event=EventName.FileHandover, files=LoggedFiles(bytes(32), None, 0, EMPTY_ROOT)),
        replace(HANDOVER, event=EventName.FileConsignment, files=FILES),
        replace(HANDOVER, event=EventName.FileDeletion, files=FILES),
    ],
)
def test_a_statement_that_breaks_a_rule_cannot_be_made(broken: DeskStatement) -> None:
    with pytest.raises(MalformedError):
        sign_statement(broken, SIGNER)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (1, 2),
        (2, "RelayAcceptance"),
        (2, "Nonsense"),
        (2, 5),
        (2, [1]),
        (5, bytes(5)),
        (6, 1),
        (7, []),
        (7, [""]),
        (8, 0),
        (8, FILES.to_value()),
        (9, 0),
    ],
)
def test_a_received_statement_that_breaks_a_rule_is_refused(key: int, value: object) -> None:
    payload = cbor.decode(parse_statement(sign_statement(HANDOVER, SIGNER)).signed.payload)
    payload[key] = value
    with pytest.raises(ComityError):
        parse_statement(cose.sign1(cbor.encode(payload), STATEMENT_TYPE, STATEMENT_CONTEXT, SIGNER))


def test_a_statement_signed_by_another_desk_or_in_another_context_is_refused() -> None:
    signed = parse_statement(sign_statement(HANDOVER, SIGNER))
    with pytest.raises(SignatureInvalidError):
        verify_statement(signed, Ed25519Verifier(Ed25519Signer(bytes([2]) * 32).public_key))
    elsewhere = parse_statement(cose.sign1(signed.signed.payload, STATEMENT_TYPE, b"comity/v1/envelope", SIGNER))
    with pytest.raises(SignatureInvalidError):
        verify_statement(elsewhere, Ed25519Verifier(SIGNER.public_key))

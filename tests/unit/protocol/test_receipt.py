"""Receipts: proved against the log's own signatures, and refused whatever is altered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.address import Address
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding import cbor
from protocol.encoding.ids import new_message_id
from protocol.errors import (
    CheckpointInvalidError,
    ComityError,
    MalformedError,
    ProofInvalidError,
    TooLargeError,
    UnknownNodeError,
)
from protocol.event import MAX_EVENT_BYTES, Event, EventName, encode_event
from protocol.log.checkpoint import Checkpoint, LogVerifier, SoftLogSigner, VerifiedCheckpoint, sign_checkpoint
from protocol.log.merkle import MAX_PATH_HASHES, MAX_SIZE, leaf_hash, verify_inclusion
from protocol.log.note import MAX_NOTE_BYTES
from protocol.log.proof import decode_tlog_proof
from protocol.log.tiles import TileTree
from protocol.receipt import (
    MAX_CHECKPOINTS,
    MAX_RECEIPTS,
    Receipt,
    ReceiptVerifier,
    decode_receipts,
    encode_receipts,
    receipts_from_value,
    receipts_to_value,
    statement_of,
    to_tlog_proof,
)
from protocol.statement import DeskStatement, sign_statement

AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
ID = new_message_id(AT, b"\x07" * 10)
DIGEST = b"\x01" * 32
RECIPIENT = Address.parse("24-7@fr")
DESK = Ed25519Signer(b"\x44" * 32)
SIGNER = SoftLogSigner("node.example/log/fr", b"\x11" * 32, b"\x22" * 32)
OTHER = SoftLogSigner("node.example/log/jp", b"\x33" * 32, b"\x44" * 32)


def event(number: int) -> Event:
    return Event(EventName.RelayAcceptance, AT, ID, DIGEST, number.to_bytes(16, "big"), peer="jp")


def handover(**changes: object) -> Event:
    statement = replace(DeskStatement(EventName.ContentHandover, ID, DIGEST, RECIPIENT, AT), **changes)
    signed = sign_statement(statement, DESK)
    return Event(EventName.ContentHandover, AT, ID, DIGEST, b"\x02" * 16, recipient=RECIPIENT, statement=signed)


def log(leaves: list[bytes], signer: SoftLogSigner = SIGNER) -> list[Receipt]:
    tree = TileTree(0, lambda level, index: b"")
    for leaf in leaves:
        tree.append(leaf_hash(leaf))
    note = sign_checkpoint(Checkpoint(signer.origin, tree.size, tree.root()), signer, AT)
    return [Receipt(leaf, index, tuple(tree.inclusion_path(index)), note) for index, leaf in enumerate(leaves)]


RECEIPTS = log([encode_event(event(number)) for number in range(9)])


class Directory:
    """Knows logs by origin and counts how often their keys verified."""

    def __init__(self, *signers: SoftLogSigner) -> None:
        self.verifiers = {signer.origin: signer.verifier for signer in signers}

    def log_verifier(self, origin: str) -> LogVerifier:
        if origin not in self.verifiers:
            raise UnknownNodeError(f"no node keeps the log {origin}")
        return self.verifiers[origin]


@pytest.fixture
def verifier() -> ReceiptVerifier:
    return ReceiptVerifier(Directory(SIGNER, OTHER).log_verifier)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The notes whose signatures were really verified."""
    import protocol.receipt

    notes: list[bytes] = []
    real: Callable[[bytes, LogVerifier], VerifiedCheckpoint] = protocol.receipt.verify_checkpoint

    def counting(note: bytes, keys: LogVerifier) -> VerifiedCheckpoint:
        notes.append(note)
        return real(note, keys)

    monkeypatch.setattr(protocol.receipt, "verify_checkpoint", counting)
    return notes


def test_receipt_proves_its_event(verifier: ReceiptVerifier) -> None:
    verified = verifier.verify(RECEIPTS[4])

    assert verified.event == event(4)
    assert (verified.origin, verified.index, verified.size) == (SIGNER.origin, 4, 9)
    assert verified.leaf_hash == leaf_hash(encode_event(event(4)))
    assert verified.receipt is RECEIPTS[4]
    assert verified.statement is None


@given(st.sampled_from(RECEIPTS), st.data())
@settings(deadline=None)
def test_receipt_with_any_altered_bit_refuses(receipt: Receipt, data: st.DataObject) -> None:
    verifier = ReceiptVerifier(Directory(SIGNER).log_verifier)
    verifier.verify(receipt)
    field = data.draw(st.sampled_from(["leaf", "checkpoint", "path"]))
    old = b"".join(receipt.path) if field == "path" else getattr(receipt, field)
    bit = data.draw(st.integers(0, len(old) * 8 - 1))
    new = bytearray(old)
    new[bit // 8] ^= 1 << bit % 8
    value = bytes(new)
    altered = tuple(value[at : at + 32] for at in range(0, len(value), 32)) if field == "path" else value

    with pytest.raises(ComityError):
        verifier.verify(replace(receipt, **{field: altered}))


def test_receipt_at_another_index_refuses(verifier: ReceiptVerifier) -> None:
    with pytest.raises(ProofInvalidError):
        verifier.verify(replace(RECEIPTS[4], index=5))


def test_receipt_of_another_receipts_entry_refuses(verifier: ReceiptVerifier) -> None:
    with pytest.raises(ProofInvalidError):
        verifier.verify(replace(RECEIPTS[4], leaf=RECEIPTS[3].leaf))


def test_inner_node_shown_as_an_entry_refuses(verifier: ReceiptVerifier) -> None:
    # The classic second preimage: the two children of a node as "leaf", with the rest of the path.
    children = leaf_hash(RECEIPTS[0].leaf) + leaf_hash(RECEIPTS[1].leaf)

    with pytest.raises(ProofInvalidError):
        verifier.verify(Receipt(children, 0, RECEIPTS[0].path[1:], RECEIPTS[0].checkpoint))


def test_logged_entry_that_is_no_event_refuses(verifier: ReceiptVerifier) -> None:
    with pytest.raises(MalformedError):
        verifier.verify(log([b"anything"])[0])


def test_receipt_of_an_unknown_log_refuses() -> None:
    with pytest.raises(UnknownNodeError):
        ReceiptVerifier(Directory(OTHER).log_verifier).verify(RECEIPTS[0])


def test_receipt_with_no_checkpoint_refuses(verifier: ReceiptVerifier) -> None:
    with pytest.raises(CheckpointInvalidError):
        verifier.verify(replace(RECEIPTS[0], checkpoint=b"nothing"))


def test_checkpoint_of_an_impostor_under_the_same_origin_refuses(verifier: ReceiptVerifier) -> None:
    impostor = SoftLogSigner(SIGNER.origin, b"\x55" * 32, b"\x55" * 32)

    with pytest.raises(CheckpointInvalidError):
        verifier.verify(log([encode_event(event(0))], impostor)[0])


def test_shared_checkpoint_is_verified_once(verifier: ReceiptVerifier, opened: list[bytes]) -> None:
    for receipt in decode_receipts(encode_receipts(RECEIPTS)):
        verifier.verify(receipt)

    assert opened == [RECEIPTS[0].checkpoint]


def test_refused_checkpoint_is_not_remembered(verifier: ReceiptVerifier, opened: list[bytes]) -> None:
    forged = RECEIPTS[0].checkpoint.replace(b"\n9\n", b"\n8\n")
    for _ in range(2):
        with pytest.raises(CheckpointInvalidError):
            verifier.verify(replace(RECEIPTS[0], checkpoint=forged))

    assert len(opened) == 2


def test_keys_withdrawn_from_the_directory_no_longer_prove() -> None:
    directory = Directory(SIGNER)
    verifier = ReceiptVerifier(directory.log_verifier)
    verifier.verify(RECEIPTS[0])

    directory.verifiers[SIGNER.origin] = SoftLogSigner(SIGNER.origin, b"\x55" * 32, b"\x55" * 32).verifier
    with pytest.raises(CheckpointInvalidError):
        verifier.verify(RECEIPTS[0])
    directory.verifiers.clear()
    with pytest.raises(UnknownNodeError):
        verifier.verify(RECEIPTS[0])


def test_memory_of_checkpoints_is_bounded(opened: list[bytes]) -> None:
    verifier = ReceiptVerifier(Directory(SIGNER).log_verifier, cached_checkpoints=2)
    singles = [log([encode_event(event(number))])[0] for number in range(3)]
    for receipt in [*singles, singles[2], singles[1], singles[0]]:
        verifier.verify(receipt)

    assert len(opened) == 4


# --- Desk statements ---


def test_desk_event_comes_with_its_statement(verifier: ReceiptVerifier) -> None:
    verified = verifier.verify(log([encode_event(handover())])[0])

    assert verified.statement is not None
    assert verified.statement.kid == DESK.kid
    assert verified.statement.statement.recipient == RECIPIENT


@pytest.mark.parametrize(
    "changes",
    [
        {"event": EventName.ContentAccessTracking},
        {"event": EventName.ContentHandoverFailure, "reasons": ("open-failed",)},
        {"message_id": new_message_id(AT, b"\x08" * 10)},
        {"digest": b"\x09" * 32},
        {"recipient": Address.parse("24-7@de")},
    ],
)
def test_desk_event_that_says_other_than_its_statement_refuses(
    verifier: ReceiptVerifier, changes: dict[str, object]
) -> None:
    with pytest.raises(MalformedError):
        verifier.verify(log([encode_event(handover(**changes))])[0])


def test_statement_may_have_another_time_than_the_event() -> None:
    signed = statement_of(handover(at=datetime(2026, 11, 23, 2, 59, tzinfo=UTC)))

    assert signed is not None
    assert statement_of(event(0)) is None


# --- On the wire ---


@settings(deadline=None)
@given(st.lists(st.sampled_from(RECEIPTS + log([encode_event(event(7))], OTHER)), max_size=12))
def test_receipts_round_trip_in_order(receipts: list[Receipt]) -> None:
    assert decode_receipts(encode_receipts(receipts)) == receipts
    assert receipts_from_value(receipts_to_value(receipts)) == receipts


def test_receipts_carry_each_checkpoint_once() -> None:
    notes, rows = receipts_to_value(RECEIPTS)

    assert notes == [RECEIPTS[0].checkpoint]
    assert rows[4] == [RECEIPTS[4].leaf, 4, b"".join(RECEIPTS[4].path), 0]


NOTE = RECEIPTS[0].checkpoint
ROW = [b"leaf", 0, b"", 0]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        [[NOTE]],
        [[NOTE], [ROW], []],
        {0: [NOTE], 1: [ROW]},
        [NOTE, [ROW]],
        [[NOTE], ROW],
        [[NOTE], 1],
        [1, [ROW]],
        [["text"], [ROW]],
        [[b"x" * (MAX_NOTE_BYTES + 1)], [ROW]],
        [[NOTE], []],
        [[], [ROW]],
        [[NOTE, NOTE], [ROW, [b"leaf", 0, b"", 1]]],
        [[NOTE], [[b"leaf", 0, b"", 1]]],
        [[NOTE], [[b"leaf", 0, b"", -1]]],
        [[NOTE], [[b"leaf", 0, b"", False]]],
        [[NOTE], [[b"leaf", True, b"", 0]]],
        [[NOTE], [[b"leaf", -1, b"", 0]]],
        [[NOTE], [[b"leaf", MAX_SIZE + 1, b"", 0]]],
        [[NOTE], [["leaf", 0, b"", 0]]],
        [[NOTE], [[b"x" * 8193, 0, b"", 0]]],
        [[NOTE], [[b"leaf", 0, b"x" * 33, 0]]],
        [[NOTE], [[b"leaf", 0, b"x" * 32 * 65, 0]]],
        [[NOTE], [[b"leaf", 0, [], 0]]],
        [[NOTE], [[b"leaf", 0, b""]]],
        [[NOTE], [b"leaf"]],
        [[NOTE], [7]],
        [[NOTE], [None]],
        [[NOTE], [dict(enumerate(ROW))]],
    ],
)
def test_malformed_receipts_are_refused(value: object) -> None:
    with pytest.raises(MalformedError):
        receipts_from_value(value)


def test_too_many_receipts_are_refused() -> None:
    with pytest.raises(TooLargeError):
        receipts_from_value([[NOTE], [ROW] * (MAX_RECEIPTS + 1)])
    with pytest.raises(TooLargeError):
        receipts_from_value(
            [
                [number.to_bytes(2, "big") for number in range(MAX_CHECKPOINTS + 1)],
                [[b"leaf", 0, b"", number] for number in range(MAX_CHECKPOINTS + 1)],
            ]
        )
    with pytest.raises(TooLargeError):
        receipts_to_value([RECEIPTS[0]] * (MAX_RECEIPTS + 1))
    with pytest.raises(TooLargeError):
        receipts_to_value([Receipt(b"", 0, (), number.to_bytes(2, "big")) for number in range(1025)])


def test_as_many_receipts_as_travel_together_are_taken() -> None:
    assert len(receipts_from_value([[NOTE], [ROW] * MAX_RECEIPTS])) == MAX_RECEIPTS
    assert len(receipts_to_value([RECEIPTS[0]] * MAX_RECEIPTS)[1]) == MAX_RECEIPTS
    notes = [number.to_bytes(2, "big") for number in range(MAX_CHECKPOINTS)]
    value = receipts_to_value([Receipt(b"", 0, (), note) for note in notes])
    assert [receipt.checkpoint for receipt in receipts_from_value(value)] == notes


@pytest.mark.parametrize(
    ("note", "row"),
    [
        (bytes(MAX_NOTE_BYTES), ROW),
        (NOTE, [bytes(MAX_EVENT_BYTES), 0, b"", 0]),
        (NOTE, [b"", 0, b"", 0]),
        (NOTE, [b"leaf", MAX_SIZE, b"", 0]),
        (NOTE, [b"leaf", 0, bytes(32 * MAX_PATH_HASHES), 0]),
    ],
)
def test_a_receipt_at_the_edge_of_its_rules_is_read(note: bytes, row: list[object]) -> None:
    (read,) = receipts_from_value([[note], [row]])
    assert [read.leaf, read.index, b"".join(read.path), 0] == row


@given(st.binary(max_size=100))
def test_any_bytes_give_receipts_or_a_typed_error(data: bytes) -> None:
    try:
        decode_receipts(data)
    except ComityError:
        return


def test_receipts_are_canonical_cbor() -> None:
    encoded = encode_receipts(RECEIPTS)

    assert cbor.encode(cbor.decode(encoded)) == encoded
    with pytest.raises(MalformedError):
        decode_receipts(encoded + b"\x00")


def test_receipt_as_a_tlog_proof_verifies_beside_its_entry() -> None:
    proof = decode_tlog_proof(to_tlog_proof(RECEIPTS[6]))

    root = ReceiptVerifier(Directory(SIGNER).log_verifier).verify(RECEIPTS[6]).root
    verify_inclusion(leaf_hash(RECEIPTS[6].leaf), proof.index, 9, proof.path, root)
    assert proof.checkpoint == RECEIPTS[6].checkpoint

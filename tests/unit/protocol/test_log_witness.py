"""Cosignatures of witnesses and the bodies of add-checkpoint, as C2SP specifies them, and nothing beside."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import CheckpointInvalidError, ComityError, MalformedError, TooLargeError, WeakKeyError
from protocol.http.add_checkpoint import (
    MAX_ANSWER_BYTES,
    MAX_REQUEST_BYTES,
    decode_add_checkpoint,
    decode_cosignatures,
    decode_old_size,
    encode_add_checkpoint,
    encode_cosignatures,
    encode_old_size,
)
from protocol.log.checkpoint import Checkpoint, SoftLogSigner, sign_checkpoint, verify_checkpoint
from protocol.log.merkle import leaf_hash
from protocol.log.note import NoteSignature, parse_note, parse_vkey
from protocol.log.witness import SoftWitnessSigner, WitnessVerifier, cosign, with_lines, without_cosignatures

AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
LOG = SoftLogSigner("node.example/log/jp", b"\x11" * 32, b"\x22" * 32)
WITNESS = SoftWitnessSigner("node.example/witness/fr", b"\x33" * 32, b"\x44" * 32)
OTHER = SoftWitnessSigner("node.example/witness/de", b"\x55" * 32, b"\x66" * 32)
CHECKPOINT = Checkpoint(LOG.origin, 3, leaf_hash(b"root"))
NOTE = sign_checkpoint(CHECKPOINT, LOG, AT)
LINES = cosign(CHECKPOINT, WITNESS, AT)

# The examples of the tlog-witness specification.
SPEC_REQUEST = """old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
""".encode()  # noqa: E501 - a signature line is one line
SPEC_ANSWER = """— witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==
— witness.example/w1 I7rEps0pvK2UqkS2gSpVUDhrhVtQV9lgF6pRrWAvjJHjyWpW7VcE3SiOlVlbQNt64vWhO+DlkL0+UfzuOBMh9ChdMkP1vi/lCAsmlw==
— witness.example/w2 AWui8Sk55XjYLOijihBjhqEH6nS1ndDymE0a+6idX7pLcnoB+dhnz0854aLZgrrKbYKA7nC3HNJhm/kWl7oJlqU3rXXvpysAdyP3wQ==
""".encode()  # noqa: E501 - a signature line is one line


# --- Cosignatures ---


def test_another_implementation_verifies_both_cosignatures() -> None:
    """The signed bytes are written out here from the specification, and checked with another library."""
    ed25519, mldsa = LINES
    seconds = int(AT.timestamp())
    text = f"cosignature/v1\ntime {seconds}\n{CHECKPOINT.text}".encode()
    name, origin = b"node.example/witness/fr", b"node.example/log/jp"
    structure = (
        b"subtree/v1\n\0"
        + bytes([len(name)])
        + name
        + seconds.to_bytes(8, "big")
        + bytes([len(origin)])
        + origin
        + bytes(8)
        + (3).to_bytes(8, "big")
        + CHECKPOINT.root
    )

    public = WITNESS.verifier
    Ed25519PublicKey.from_public_bytes(public.ed25519_public).verify(ed25519.signature[8:], text)
    MLDSA44PublicKey.from_public_bytes(public.mldsa_public).verify(mldsa.signature[8:], structure)
    assert ed25519.signature[:8] == mldsa.signature[:8] == seconds.to_bytes(8, "big")
    assert [parse_vkey(key).key_id for key in public.vkeys] == [ed25519.key_id, mldsa.key_id]
    assert [parse_vkey(key).type for key in public.vkeys] == [0x04, 0x06]


@given(
    st.integers(0, (1 << 63) - 1),
    st.binary(min_size=32, max_size=32),
    st.integers(1, 253_402_300_799),
    st.booleans(),
)
def test_what_a_witness_cosigns_verifies_with_its_time(size: int, root: bytes, seconds: int, swapped: bool) -> None:
    at = datetime.fromtimestamp(seconds, UTC)
    checkpoint = Checkpoint(LOG.origin, size or 1, root)
    lines = cosign(checkpoint, WITNESS, at)
    told = WITNESS.verifier.cosigned_at(checkpoint, reversed(lines) if swapped else lines)
    assert told == (at, at)


def test_a_cosigned_checkpoint_is_still_the_logs_and_carries_the_lines() -> None:
    verified = verify_checkpoint(with_lines(NOTE, [*LINES, *cosign(CHECKPOINT, OTHER, AT)]), LOG.verifier)

    assert verified.checkpoint == CHECKPOINT
    assert WITNESS.verifier.cosigned_at(CHECKPOINT, verified.others) == (AT, AT)
    assert OTHER.verifier.cosigned_at(CHECKPOINT, verified.others) == (AT, AT)
    assert with_lines(verified.note, LINES) == verified.note
    assert without_cosignatures(verified) == NOTE


def test_one_cosignature_of_two_is_none() -> None:
    assert WITNESS.verifier.cosigned_at(CHECKPOINT, LINES[:1]) is None
    assert WITNESS.verifier.cosigned_at(CHECKPOINT, LINES[1:]) is None
    assert WITNESS.verifier.cosigned_at(CHECKPOINT, ()) is None


def test_lines_of_unknown_keys_are_ignored() -> None:
    strangers = [NoteSignature(WITNESS.verifier.name, b"\x00" * 4, b"?"), *cosign(CHECKPOINT, OTHER, AT)]
    assert WITNESS.verifier.cosigned_at(CHECKPOINT, strangers) is None
    assert WITNESS.verifier.cosigned_at(CHECKPOINT, [*strangers, *LINES]) == (AT, AT)


def _altered(line: NoteSignature, at: int) -> NoteSignature:
    changed = bytearray(line.signature)
    changed[at] ^= 1
    return NoteSignature(line.name, line.key_id, bytes(changed))


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("byte", [7, 8, -1])
def test_an_altered_cosignature_is_refused(which: int, byte: int) -> None:
    lines = list(LINES)
    lines[which] = _altered(lines[which], byte)
    with pytest.raises(CheckpointInvalidError):
        WITNESS.verifier.cosigned_at(CHECKPOINT, lines)


@pytest.mark.parametrize("which", [0, 1])
def test_a_cosignature_that_is_there_twice_or_too_short_is_refused(which: int) -> None:
    line = LINES[which]
    with pytest.raises(CheckpointInvalidError):
        WITNESS.verifier.cosigned_at(CHECKPOINT, [*LINES, line])
    with pytest.raises(CheckpointInvalidError):
        WITNESS.verifier.cosigned_at(CHECKPOINT, [NoteSignature(line.name, line.key_id, line.signature[:-1])])


def test_a_cosignature_of_another_tree_log_or_time_is_refused() -> None:
    for other in (
        Checkpoint(LOG.origin, 4, CHECKPOINT.root),
        Checkpoint(LOG.origin, 3, leaf_hash(b"another root")),
        Checkpoint("node.example/log/de", 3, CHECKPOINT.root),
    ):
        for line in LINES:
            with pytest.raises(CheckpointInvalidError):
                WITNESS.verifier.cosigned_at(other, [line])


def test_a_cosignature_without_a_time_is_refused() -> None:
    from protocol.log._cosignature import mldsa_message

    message = mldsa_message(WITNESS.verifier.name, 0, LOG.origin, 3, CHECKPOINT.root)
    line = NoteSignature(WITNESS.verifier.name, LINES[1].key_id, bytes(8) + WITNESS.sign_mldsa(message))
    with pytest.raises(CheckpointInvalidError, match="when"):
        WITNESS.verifier.cosigned_at(CHECKPOINT, [LINES[0], line])


def test_another_name_on_the_same_keys_passes_no_cosignature_off() -> None:
    thief = WitnessVerifier("node.example/witness/xx", WITNESS.verifier.ed25519_public, WITNESS.verifier.mldsa_public)
    ed25519_id, mldsa_id = thief.key_ids
    relabelled = [
        NoteSignature(thief.name, ed25519_id, LINES[0].signature),
        NoteSignature(thief.name, mldsa_id, LINES[1].signature),
    ]
    assert thief.cosigned_at(CHECKPOINT, relabelled[:1]) is None  # the Ed25519 line alone does verify
    with pytest.raises(CheckpointInvalidError):
        thief.cosigned_at(CHECKPOINT, relabelled)


def test_unusable_witness_keys_are_refused() -> None:
    good = WITNESS.verifier
    with pytest.raises(WeakKeyError):
        WitnessVerifier(good.name, good.ed25519_public, b"\0" * 10)
    with pytest.raises(WeakKeyError):
        WitnessVerifier(good.name, b"\0" * 31, good.mldsa_public)
    with pytest.raises(WeakKeyError):
        SoftWitnessSigner(good.name, b"\x33" * 32, b"\x44" * 31)
    with pytest.raises(MalformedError):
        WitnessVerifier("two words", good.ed25519_public, good.mldsa_public)


def test_the_signer_shows_no_secret() -> None:
    assert repr(WITNESS) == "SoftWitnessSigner('node.example/witness/fr')"


# --- Bodies of add-checkpoint ---


def test_examples_of_the_witness_specification_are_read_and_written() -> None:
    request = decode_add_checkpoint(SPEC_REQUEST)
    assert (request.old_size, len(request.path)) == (20852014, 4)
    assert [line.name for line in parse_note(request.checkpoint).signatures] == ["example.com/behind-the-sofa"] * 2
    assert encode_add_checkpoint(request.old_size, request.path, request.checkpoint) == SPEC_REQUEST
    lines = decode_cosignatures(SPEC_ANSWER)
    assert [line.name for line in lines] == ["witness.example/w1", "witness.example/w1", "witness.example/w2"]
    assert encode_cosignatures(lines) == SPEC_ANSWER


@given(st.integers(0, (1 << 63) - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_requests_round_trip(old_size: int, path: list[bytes]) -> None:
    request = decode_add_checkpoint(encode_add_checkpoint(old_size, path, NOTE))
    assert (request.old_size, list(request.path), request.checkpoint) == (old_size, path, NOTE)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_request_an_answer_or_a_typed_error(body: bytes) -> None:
    for encoded in (body, b"old " + body, b"old 1\n" + body + b"\n\n" + NOTE):
        try:
            request = decode_add_checkpoint(encoded)
        except ComityError:
            continue
        assert encode_add_checkpoint(request.old_size, request.path, request.checkpoint) == encoded
    with suppress(ComityError):
        assert encode_cosignatures(decode_cosignatures(body)) == body


@given(st.integers(0, (1 << 63) - 1))
def test_the_size_of_a_conflict_round_trips(size: int) -> None:
    assert decode_old_size(encode_old_size(size)) == size


HASH = b"PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        NOTE,
        b"old 3\n" + NOTE,
        b"old 3\n\n",
        b"Old 3\n\n" + NOTE,
        b"old  3\n\n" + NOTE,
        b"old 03\n\n" + NOTE,
        b"old -3\n\n" + NOTE,
        b"old 3 \n\n" + NOTE,
        b"old\n\n" + NOTE,
        b"old " + str(1 << 64).encode() + b"\n\n" + NOTE,
        "old ３\n\n".encode() + NOTE,
        b"old 3\n" + HASH[:-2] + b"\n\n" + NOTE,
        b"old 3\n" + b"AAAA\n" + b"\n" + NOTE,
        b"old 3\n" + b" " + HASH + b"\n" + NOTE,
        b"old 3\n" + HASH * 64 + b"\n" + NOTE,
        b"old 3\n\nno note",
    ],
)
def test_malformed_requests_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_add_checkpoint(body)


@pytest.mark.parametrize("body", [b"", b"3", b"03\n", b"-1\n", b"3\n\n", b"x\n", "３\n".encode()])
def test_malformed_sizes_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_old_size(body)


def test_what_is_too_large_or_no_answer_is_refused() -> None:
    with pytest.raises(TooLargeError):
        decode_add_checkpoint(b"x" * (MAX_REQUEST_BYTES + 1))
    with pytest.raises(TooLargeError):
        decode_cosignatures(b"x" * (MAX_ANSWER_BYTES + 1))
    for body in (b"", b"\n", b"\xff\n", SPEC_ANSWER[:-1], b"two words\n"):
        with pytest.raises(MalformedError):
            decode_cosignatures(body)
    with pytest.raises(MalformedError):
        encode_cosignatures(())

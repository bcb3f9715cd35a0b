"""Signed notes, verifier keys, checkpoints and tlog-proofs as C2SP specifies them, and nothing beside."""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.errors import CheckpointInvalidError, ComityError, MalformedError, TooLargeError, WeakKeyError
from protocol.log._cosignature import ed25519_message
from protocol.log.checkpoint import (
    Checkpoint,
    LogVerifier,
    SoftLogSigner,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
    verify_checkpoint,
)
from protocol.log.merkle import EMPTY_ROOT, leaf_hash
from protocol.log.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    NoteSignature,
    SignatureType,
    VerifierKey,
    format_vkey,
    note_key_id,
    parse_note,
    parse_vkey,
    serialize_note,
)
from protocol.log.proof import MAX_PROOF_BYTES, decode_tlog_proof, encode_tlog_proof

ORIGIN = "node.example/log/jp"
AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
SIGNER = SoftLogSigner(ORIGIN, b"\x11" * 32, b"\x22" * 32)
CHECKPOINT = Checkpoint(ORIGIN, 3, leaf_hash(b"root"))
NOTE = sign_checkpoint(CHECKPOINT, SIGNER, AT)

# The example of the signed-note specification.
SPEC_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()


# --- Notes ---


def test_example_of_the_note_specification_verifies() -> None:
    key, note = parse_vkey(SPEC_VKEY), parse_note(SPEC_NOTE)

    assert (note.signatures[0].name, note.signatures[0].key_id) == (key.name, key.key_id)
    Ed25519Verifier(key.public_key).verify(note.text.encode(), note.signatures[0].signature)
    assert format_vkey(key) == SPEC_VKEY
    assert serialize_note(note.text, note.signatures) == SPEC_NOTE


def test_text_of_a_note_ends_at_its_last_empty_line() -> None:
    signatures = (NoteSignature("a", b"0123", b"x"), NoteSignature("b\u00e9", b"0123", b"y"))

    note = parse_note(serialize_note("one\n\ntwo\n", signatures))

    assert (note.text, note.signatures) == ("one\n\ntwo\n", signatures)


LINE = b"\xe2\x80\x94 a MDEyMzQ=\n"


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n" + LINE,
        b"text\n\n" + LINE[:-1],
        b"text\n\n" + LINE + b"\n",
        b"text\n\n" + LINE + b"more\n",
        b"te\rxt\n\n" + LINE,
        b"te\x00xt\n\n" + LINE,
        b"te\txt\n\n" + LINE,
        b"te\xffxt\n\n" + LINE,
        b"te\xed\xa0\x80xt\n\n" + LINE,
        b"text\n\n- a MDEyMzQ=\n",
        b"text\n\n\xe2\x80\x94 a  MDEyMzQ=\n",
        b"text\n\n\xe2\x80\x94  MDEyMzQ=\n",
        b"text\n\n\xe2\x80\x94 a+b MDEyMzQ=\n",
        "text\n\n— a\u00a0b MDEyMzQ=\n".encode(),
        "text\n\n— a\u2028b MDEyMzQ=\n".encode(),
        b"text\n\n\xe2\x80\x94 a\n",
        b"text\n\n\xe2\x80\x94 a MDEyMw==\n",  # a key ID without a signature
        b"text\n\n\xe2\x80\x94 a MDEyMzQ\n",  # without padding
        b"text\n\n\xe2\x80\x94 a MDEyMzR=\n",  # unused bits set
        b"text\n\n\xe2\x80\x94 a MDEy MzQ=\n",
        b"text\n\n\xe2\x80\x94 a MDEyMzQ_\n",
        "text\n\n— a MDEyMzQé\n".encode(),
        b"text\n\n\xe2\x80\x94 " + b"a" * 256 + b" MDEyMzQ=\n",
    ],
)
def test_malformed_notes_are_refused(note: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_note(note)


def test_notes_beyond_the_limits_are_refused() -> None:
    with pytest.raises(TooLargeError):
        parse_note(b"text\n\n" + LINE * (MAX_SIGNATURES + 1))
    with pytest.raises(TooLargeError):
        parse_note(b"t" * MAX_NOTE_BYTES + b"\n\n" + LINE)
    assert len(parse_note(b"text\n\n" + LINE * MAX_SIGNATURES).signatures) == MAX_SIGNATURES


@given(st.binary(max_size=120))
def test_any_bytes_give_a_note_or_a_typed_error(data: bytes) -> None:
    for note in (data, b"text\n\n" + data, b"text\n\n\xe2\x80\x94 " + data + b"\n"):
        try:
            parsed = parse_note(note)
        except ComityError:
            continue
        assert serialize_note(parsed.text, parsed.signatures) == note


# --- Verifier keys ---


@pytest.mark.parametrize("key_type", SignatureType)
def test_vkey_round_trip(key_type: SignatureType) -> None:
    length = 1312 if key_type is SignatureType.ML_DSA_44_COSIGNATURE else 32
    key = VerifierKey(
        "witness.example/w1", key_type, bytes(range(256)) * 5 + b"x" * 32 if length > 32 else b"\xff" * 32
    )

    assert parse_vkey(format_vkey(key)) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a+b",
        SPEC_VKEY.replace("530d903a", "530d903b"),
        SPEC_VKEY.replace("530d903a", "530D903A"),
        SPEC_VKEY.replace("foo", "fo o"),
        SPEC_VKEY.removeprefix("example.com/foo"),
        SPEC_VKEY + "=",
        SPEC_VKEY + "\n",
        "a+00000000+" + b64encode(b"\x02" + b"x" * 32).decode(),
        "a+00000000+" + b64encode(b"\x01" + b"x" * 31).decode(),
    ],
)
def test_malformed_vkeys_are_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_vkey(text)


# --- Checkpoints ---


def test_checkpoint_has_the_lines_of_the_specification() -> None:
    text, _, signatures = NOTE.decode().partition("\n\n")

    assert text.split("\n") == [ORIGIN, "3", b64encode(CHECKPOINT.root).decode()]
    assert [line.split(" ")[:2] for line in signatures.splitlines()] == [["—", ORIGIN], ["—", ORIGIN]]


def test_both_signatures_are_over_exactly_what_c2sp_says() -> None:
    note = parse_note(NOTE)
    ed25519_line, mldsa_line = note.signatures
    ed25519_key, mldsa_key = (parse_vkey(vkey) for vkey in SIGNER.verifier.vkeys)
    assert [ed25519_line.key_id, mldsa_line.key_id] == [ed25519_key.key_id, mldsa_key.key_id]
    assert [ed25519_key.type, mldsa_key.type] == [0x01, 0x06]

    timestamp = int(AT.timestamp()).to_bytes(8, "big")
    name = bytes([len(ORIGIN)]) + ORIGIN.encode()
    cosigned = b"subtree/v1\n\0" + name + timestamp + name + bytes(8) + (3).to_bytes(8, "big") + CHECKPOINT.root
    Ed25519Verifier(ed25519_key.public_key).verify(note.text.encode(), ed25519_line.signature)
    assert mldsa_line.signature[:8] == timestamp
    MLDSA44PublicKey.from_public_bytes(mldsa_key.public_key).verify(mldsa_line.signature[8:], cosigned)


def test_ed25519_cosigned_message_is_that_of_the_specification() -> None:
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

    assert ed25519_message(text, 1679315147) == f"cosignature/v1\ntime 1679315147\n{text}".encode()


def test_signed_checkpoint_opens_with_its_time() -> None:
    verified = verify_checkpoint(NOTE, SIGNER.verifier)

    assert open_checkpoint(NOTE, SIGNER.verifier) == parse_checkpoint(NOTE) == verified.checkpoint == CHECKPOINT
    assert verified.signed_at == AT
    assert (verified.note, verified.others) == (NOTE, ())


@given(st.integers(0, (1 << 63) - 1), st.binary(min_size=32, max_size=32))
@settings(max_examples=20, deadline=None)
def test_checkpoint_round_trip(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(ORIGIN, size, root if size else EMPTY_ROOT)

    assert open_checkpoint(sign_checkpoint(checkpoint, SIGNER, AT), SIGNER.verifier) == checkpoint


@given(st.integers(0, len(NOTE) * 8 - 1))
@settings(max_examples=300, deadline=None)
def test_any_altered_bit_of_a_checkpoint_refuses(bit: int) -> None:
    altered = bytearray(NOTE)
    altered[bit // 8] ^= 1 << bit % 8

    with pytest.raises(CheckpointInvalidError):
        open_checkpoint(bytes(altered), SIGNER.verifier)


def test_every_altered_byte_of_the_text_refuses() -> None:
    for at in range(NOTE.index(b"\n\n") + 2):
        with pytest.raises(CheckpointInvalidError):
            open_checkpoint(NOTE[:at] + bytes([NOTE[at] ^ 1]) + NOTE[at + 1 :], SIGNER.verifier)


@pytest.mark.parametrize("kept", [[0], [1], [0, 0], [1, 1], [0, 0, 1], [0, 1, 1]])
def test_checkpoint_without_exactly_one_line_of_each_key_refuses(kept: list[int]) -> None:
    note = parse_note(NOTE)
    altered = serialize_note(note.text, tuple(note.signatures[line] for line in kept))

    with pytest.raises(CheckpointInvalidError, match="exactly one line"):
        open_checkpoint(altered, SIGNER.verifier)


def test_lines_of_witnesses_are_kept_and_ignored() -> None:
    witness = NoteSignature("witness.example/w1", b"\x01\x02\x03\x04", b"\x00" * 72)
    same_name = NoteSignature(ORIGIN, b"\x01\x02\x03\x04", b"\x00" * 64)
    note = parse_note(NOTE)
    witnessed = serialize_note(note.text, (witness, *note.signatures, same_name))

    verified = verify_checkpoint(witnessed, SIGNER.verifier)

    assert verified.checkpoint == CHECKPOINT
    assert verified.others == (witness, same_name)


@pytest.mark.parametrize(
    "other",
    [
        SoftLogSigner(ORIGIN, b"\x33" * 32, b"\x22" * 32),
        SoftLogSigner(ORIGIN, b"\x11" * 32, b"\x33" * 32),
        SoftLogSigner("node.example/log/fr", b"\x11" * 32, b"\x22" * 32),
    ],
)
def test_checkpoint_under_another_logs_keys_refuses(other: SoftLogSigner) -> None:
    with pytest.raises(CheckpointInvalidError):
        open_checkpoint(NOTE, other.verifier)


def test_line_of_another_key_under_our_key_id_refuses() -> None:
    other = SoftLogSigner(ORIGIN, b"\x33" * 32, b"\x33" * 32)
    forged = parse_note(sign_checkpoint(CHECKPOINT, other, AT))
    renamed = tuple(
        NoteSignature(ORIGIN, key_id, line.signature)
        for key_id, line in zip(SIGNER.verifier.key_ids, forged.signatures, strict=True)
    )

    with pytest.raises(CheckpointInvalidError, match="wrong"):
        open_checkpoint(serialize_note(forged.text, renamed), SIGNER.verifier)


def resigned(text: str, *, seconds: int = 1_795_402_800, mldsa_text: str | None = None) -> bytes:
    """A note whose Ed25519 line is right for ``text``, whatever it says."""
    checkpoint = Checkpoint(ORIGIN, 3, CHECKPOINT.root)
    name = bytes([len(ORIGIN)]) + ORIGIN.encode()
    time = seconds.to_bytes(8, "big")
    message = b"subtree/v1\n\0" + name + time + name + bytes(8) + (3).to_bytes(8, "big") + checkpoint.root
    ed25519_id, mldsa_id = SIGNER.verifier.key_ids
    return serialize_note(
        text,
        (
            NoteSignature(ORIGIN, ed25519_id, SIGNER.sign_ed25519(text.encode())),
            NoteSignature(ORIGIN, mldsa_id, time + SIGNER.sign_mldsa(message)),
        ),
    )


ROOT_LINE = b64encode(CHECKPOINT.root).decode()


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n3\n",
        f"{ORIGIN}\n3\n{ROOT_LINE}\nextension\n",
        f"{ORIGIN}\n03\n{ROOT_LINE}\n",
        f"{ORIGIN}\n+3\n{ROOT_LINE}\n",
        f"{ORIGIN}\n-3\n{ROOT_LINE}\n",
        f"{ORIGIN}\n٣\n{ROOT_LINE}\n",
        f"{ORIGIN}\n18446744073709551616\n{ROOT_LINE}\n",
        f"{ORIGIN}\n{'9' * 400}\n{ROOT_LINE}\n",
        f"{ORIGIN}\n\n{ROOT_LINE}\n",
        f"{ORIGIN}\n0\n{ROOT_LINE}\n",
        f"{ORIGIN}\n3\n{ROOT_LINE[:-1]}\n",
        f"{ORIGIN}\n3\n{b64encode(b'short').decode()}\n",
        f"{ORIGIN} \n3\n{ROOT_LINE}\n",
        f"\n3\n{ROOT_LINE}\n",
        "one line\n",
    ],
)
def test_malformed_text_refuses_even_when_signed(text: str) -> None:
    with pytest.raises(CheckpointInvalidError):
        open_checkpoint(resigned(text), SIGNER.verifier)
    with pytest.raises(CheckpointInvalidError):
        parse_checkpoint(resigned(text))


def test_checkpoint_may_leave_its_time_open() -> None:
    assert verify_checkpoint(resigned(CHECKPOINT.text, seconds=0), SIGNER.verifier).signed_at is None


@pytest.mark.parametrize("seconds", [1 << 62, 1 << 63])
def test_impossible_time_refuses_even_when_signed(seconds: int) -> None:
    with pytest.raises(CheckpointInvalidError, match="time"):
        open_checkpoint(resigned(CHECKPOINT.text, seconds=seconds), SIGNER.verifier)


def test_ml_dsa_line_with_another_time_refuses() -> None:
    note = parse_note(NOTE)
    later = int((AT + timedelta(seconds=1)).timestamp()).to_bytes(8, "big")
    mldsa = note.signatures[1]
    altered = NoteSignature(mldsa.name, mldsa.key_id, later + mldsa.signature[8:])

    with pytest.raises(CheckpointInvalidError):
        open_checkpoint(serialize_note(note.text, (note.signatures[0], altered)), SIGNER.verifier)


def test_ml_dsa_signature_made_with_a_context_refuses() -> None:
    note = parse_note(NOTE)
    mldsa = note.signatures[1]
    name = bytes([len(ORIGIN)]) + ORIGIN.encode()
    message = (
        b"subtree/v1\n\0" + name + mldsa.signature[:8] + name + bytes(8) + (3).to_bytes(8, "big") + CHECKPOINT.root
    )
    signature = MLDSA44PrivateKey.from_seed_bytes(b"\x22" * 32).sign(message, b"context")
    altered = NoteSignature(mldsa.name, mldsa.key_id, mldsa.signature[:8] + signature)

    with pytest.raises(CheckpointInvalidError):
        open_checkpoint(serialize_note(note.text, (note.signatures[0], altered)), SIGNER.verifier)


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb", "a\u2003b", "é" * 128, "\ud800"])
def test_origin_that_cannot_name_a_key_is_refused(origin: str) -> None:
    with pytest.raises(MalformedError):
        Checkpoint(origin, 0, EMPTY_ROOT)


def test_signer_signs_for_its_own_origin_only() -> None:
    with pytest.raises(MalformedError):
        sign_checkpoint(Checkpoint("node.example/log/fr", 0, EMPTY_ROOT), SIGNER, AT)


@pytest.mark.parametrize("at", [datetime(2026, 11, 23), datetime(1970, 1, 1, tzinfo=UTC)])  # noqa: DTZ001 - refused
def test_checkpoint_needs_an_aware_time_after_1970(at: datetime) -> None:
    with pytest.raises(MalformedError):
        sign_checkpoint(CHECKPOINT, SIGNER, at)


def test_keys_of_the_wrong_length_are_refused() -> None:
    verifier = SIGNER.verifier
    with pytest.raises(WeakKeyError):
        LogVerifier(ORIGIN, verifier.ed25519_public, verifier.mldsa_public[:-1])
    with pytest.raises(ComityError):
        LogVerifier(ORIGIN, verifier.ed25519_public[:-1], verifier.mldsa_public)
    with pytest.raises(WeakKeyError):
        SoftLogSigner(ORIGIN, b"\x11" * 32, b"\x22" * 31)


def test_signer_shows_no_key() -> None:
    assert repr(SIGNER) == f"SoftLogSigner({ORIGIN!r})"
    assert LogVerifier(ORIGIN, SIGNER.verifier.ed25519_public, SIGNER.verifier.mldsa_public) == SIGNER.verifier


def test_key_ids_differ_by_name_and_by_type() -> None:
    public = Ed25519Signer(b"\x11" * 32).public_key
    ids = {
        note_key_id(name, key_type, public) for name in ("a", "b") for key_type in (SignatureType(1), SignatureType(4))
    }

    assert len(ids) == 4


# --- tlog-proof ---


def test_proof_has_the_lines_of_the_specification() -> None:
    proof = encode_tlog_proof(7, [b"\x01" * 32, b"\x02" * 32], NOTE, b"extra data")

    head, _, rest = proof.partition(b"\n\n")
    lines = head.decode().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra ZXh0cmEgZGF0YQ==", "index 7"]
    assert [b64decode(line) for line in lines[3:]] == [b"\x01" * 32, b"\x02" * 32]
    assert rest == NOTE


@given(
    st.integers(0, (1 << 63) - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=64),
    st.none() | st.binary(max_size=100),
)
def test_proof_round_trip(index: int, path: list[bytes], extra: bytes | None) -> None:
    proof = decode_tlog_proof(encode_tlog_proof(index, path, NOTE, extra))

    assert (proof.index, proof.path, proof.checkpoint, proof.extra) == (index, tuple(path), NOTE, extra)


HASH_LINE = b64encode(b"\x01" * 32)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"c2sp.org/tlog-proof@v1",
        b"c2sp.org/tlog-proof@v2\nindex 0",
        b"c2sp.org/tlog-proof@v1\nindex 00",
        b"c2sp.org/tlog-proof@v1\nindex -1",
        b"c2sp.org/tlog-proof@v1\nindex 18446744073709551616",
        b"c2sp.org/tlog-proof@v1\nindex 0 ",
        b"c2sp.org/tlog-proof@v1\r\nindex 0",
        b"c2sp.org/tlog-proof@v1\nindex 0\nextra eA==",
        b"c2sp.org/tlog-proof@v1\nextra eB==\nindex 0",
        b"c2sp.org/tlog-proof@v1\nextra\nindex 0",
        b"c2sp.org/tlog-proof@v1\nindex 0\n" + HASH_LINE[:-1],
        b"c2sp.org/tlog-proof@v1\nindex 0\neA==",
        b"c2sp.org/tlog-proof@v1\nindex 0" + (b"\n" + HASH_LINE) * 65,
        b"c2sp.org/tlog-proof@v1\nindex \xd9\xa3",
    ],
)
def test_malformed_proofs_are_refused(head: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_tlog_proof(head + b"\n\n" + NOTE)


def test_proof_without_a_checkpoint_is_refused() -> None:
    with pytest.raises(MalformedError):
        decode_tlog_proof(b"c2sp.org/tlog-proof@v1\nindex 0\n")
    with pytest.raises(MalformedError):
        encode_tlog_proof(0, [], b"not a note")
    with pytest.raises(MalformedError):
        encode_tlog_proof(-1, [], NOTE)


def test_proof_beyond_the_limits_is_refused() -> None:
    with pytest.raises(TooLargeError):
        decode_tlog_proof(b"x" * (MAX_PROOF_BYTES + 1))
    with pytest.raises(TooLargeError):
        encode_tlog_proof(0, [], NOTE, b"x" * 65_537)

"""The formats of a log at the edge of each rule: what is exactly at a limit is taken, and the next step is refused."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from protocol.crypto.mldsa import ML_DSA_44_SIGNATURE_BYTES
from protocol.errors import (
    CheckpointInvalidError,
    CheckpointStaleError,
    LogUnavailableError,
    MalformedError,
    ProofInvalidError,
    TooLargeError,
)
from protocol.http.add_checkpoint import (
    MAX_ANSWER_BYTES,
    MAX_PROOF_HASHES,
    MAX_REQUEST_BYTES,
    decode_add_checkpoint,
    decode_cosignatures,
    decode_old_size,
)
from protocol.log._cosignature import MAX_TIMESTAMP, TIMESTAMP_BYTES, mldsa_message, split_timestamped
from protocol.log.checkpoint import (
    Checkpoint,
    FormerLogKeys,
    LogVerifier,
    SoftLogSigner,
    claimed_time,
    parse_checkpoint_text,
    sign_checkpoint,
    verify_checkpoint,
)
from protocol.log.freshness import FRESH_WITHIN, RENEWED_AFTER, is_due, require_fresh
from protocol.log.frontier import Frontier
from protocol.log.layout import (
    MAX_ENTRY_BYTES,
    TILE_WIDTH,
    TileName,
    decode_bundle,
    encode_bundle,
    parse_tile_path,
)
from protocol.log.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    MAX_PATH_HASHES,
    MAX_SIZE,
    leaf_hash,
    node_hash,
    prefix_root,
    verify_consistency,
    verify_inclusion,
)
from protocol.log.note import (
    MAX_NOTE_BYTES,
    NoteSignature,
    SignatureType,
    VerifierKey,
    format_signatures,
    parse_note,
    serialize_note,
)
from protocol.log.policy import MAX_LINES, MAX_POLICY_BYTES, parse_policy
from protocol.log.proof import MAX_EXTRA_BYTES, MAX_PROOF_BYTES, decode_tlog_proof, encode_tlog_proof
from protocol.log.remote import RemoteTree, TileNeededError
from protocol.log.scoped import Withheld, decode_scoped_bundle, encode_scoped_bundle, parse_scoped_path
from protocol.log.tiles import TileTree
from protocol.log.witness import SoftWitnessSigner, cosign, stated_time

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
STEP = timedelta(microseconds=1)
ROOT = leaf_hash(b"root")
SIGNER = SoftLogSigner("node.example/log/fr", b"\x11" * 32, b"\x22" * 32)
OLD = SoftLogSigner("node.example/log/fr", b"\x55" * 32, b"\x66" * 32)
HEAD = Checkpoint(SIGNER.origin, 3, ROOT)
NOTE = sign_checkpoint(HEAD, SIGNER, NOW)
NOW_SECONDS = int(NOW.timestamp()).to_bytes(TIMESTAMP_BYTES, "big")
HASH_LINE = b64encode(ROOT)


# --- What a log asks of a witness ------------------------------------------------------------------------------------


def asked(first: bytes = b"old 3", hashes: int = 0, checkpoint: bytes = NOTE) -> bytes:
    return b"\n".join([first, *[HASH_LINE] * hashes, b"", b""]) + checkpoint


def test_a_request_to_a_witness_carries_as_many_hashes_as_a_tree_is_high() -> None:
    assert len(decode_add_checkpoint(asked(hashes=MAX_PROOF_HASHES)).path) == MAX_PROOF_HASHES
    with pytest.raises(MalformedError, match="at most 63 hashes"):
        decode_add_checkpoint(asked(hashes=MAX_PROOF_HASHES + 1))


@pytest.mark.parametrize(
    "first", [b"new 3", b"3", b"old", b"old 03", b"old -1", b"", b"old 3 ", b"old 9223372036854775808"]
)
def test_a_request_to_a_witness_begins_with_the_old_size(first: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_add_checkpoint(asked(first))


def test_a_request_to_a_witness_names_the_largest_size_there_is() -> None:
    assert decode_add_checkpoint(asked(b"old 9223372036854775807")).old_size == MAX_SIZE


def test_a_request_without_an_empty_line_is_no_request_whatever_it_begins_with() -> None:
    for body in (b"old 3", b"old 3\n" + HASH_LINE, b""):
        with pytest.raises(MalformedError, match="an empty line and a checkpoint"):
            decode_add_checkpoint(body)


def test_a_request_and_an_answer_of_exactly_the_limit_are_judged_by_what_they_say() -> None:
    # Too large is one error, malformed another: at the limit it is read.
    for limit, decode in ((MAX_REQUEST_BYTES, decode_add_checkpoint), (MAX_ANSWER_BYTES, decode_cosignatures)):
        with pytest.raises(MalformedError):
            decode(b"x" * limit)
        with pytest.raises(TooLargeError):
            decode(b"x" * (limit + 1))


@pytest.mark.parametrize("body", [b"3", b"3 ", b"33", b"\n", b"03\n", "³\n".encode(), b"3\n\n"])
def test_a_witness_says_its_size_as_a_number_and_a_newline(body: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_old_size(body)


def test_a_witness_says_any_size() -> None:
    assert [decode_old_size(f"{size}\n".encode()) for size in (0, 3, MAX_SIZE)] == [0, 3, MAX_SIZE]


# --- Checkpoints -----------------------------------------------------------------------------------------------------


def test_former_keys_of_a_log_sign_smaller_trees_and_the_last_one_and_nothing_else() -> None:
    former = FormerLogKeys(OLD.verifier, HEAD)
    verifier = LogVerifier(SIGNER.origin, SIGNER.verifier.ed25519_public, SIGNER.verifier.mldsa_public, (former,))

    def taken(size: int, root: bytes = ROOT) -> bool:
        try:
            verify_checkpoint(sign_checkpoint(Checkpoint(OLD.origin, size, root), OLD, NOW), verifier)
        except CheckpointInvalidError:
            return False
        return True

    assert taken(3)
    assert taken(2, leaf_hash(b"smaller"))
    assert not taken(3, leaf_hash(b"another of this size"))
    assert not taken(4)
    assert verify_checkpoint(NOTE, verifier).checkpoint == HEAD


def test_the_checkpoint_of_another_log_under_the_same_keys_is_refused_as_that() -> None:
    other = SoftLogSigner("node.example/log/jp", b"\x11" * 32, b"\x22" * 32)
    with pytest.raises(CheckpointInvalidError, match="is of another log"):
        verify_checkpoint(sign_checkpoint(replace(HEAD, origin=other.origin), other, NOW), SIGNER.verifier)


def test_the_time_that_is_claimed_is_in_the_logs_own_line_of_ml_dsa() -> None:
    parsed = parse_note(NOTE)
    assert claimed_time(NOTE) == NOW
    ed25519, mldsa = parsed.signatures
    foreign = NoteSignature("witness.example", mldsa.key_id, (1).to_bytes(8, "big") + mldsa.signature[8:])
    assert claimed_time(serialize_note(parsed.text, (foreign, ed25519, mldsa))) == NOW
    assert claimed_time(serialize_note(parsed.text, (foreign, ed25519))) is None


@pytest.mark.parametrize("text", ["a\n1\n", "a\n1\nroot", "a\n1\nroot\nmore\n", "a\n1\nroot\nmore"])
def test_a_checkpoint_is_three_lines(text: str) -> None:
    with pytest.raises(MalformedError, match="three lines"):
        parse_checkpoint_text(text.replace("root", b64encode(ROOT).decode()))


# --- Cosignatures and times ------------------------------------------------------------------------------------------


def test_a_timestamped_signature_has_its_length_and_a_time_in_63_bits() -> None:
    def signed(seconds: int, size: int = ML_DSA_44_SIGNATURE_BYTES) -> bytes:
        return seconds.to_bytes(TIMESTAMP_BYTES, "big") + bytes(size)

    for seconds in (0, 1, MAX_TIMESTAMP):
        assert split_timestamped(signed(seconds), ML_DSA_44_SIGNATURE_BYTES)[0] == seconds
    for wrong in (
        signed(MAX_TIMESTAMP + 1),
        signed(1, ML_DSA_44_SIGNATURE_BYTES - 1),
        signed(1, ML_DSA_44_SIGNATURE_BYTES + 1),
    ):
        with pytest.raises(MalformedError):
            split_timestamped(wrong, ML_DSA_44_SIGNATURE_BYTES)


def test_a_checkpoint_is_signed_anew_after_two_minutes_and_fresh_within_ten() -> None:
    assert is_due(NOW, NOW + RENEWED_AFTER)
    assert not is_due(NOW, NOW + RENEWED_AFTER - STEP)
    shown = verify_checkpoint(NOTE, SIGNER.verifier)
    for away in (FRESH_WITHIN, -FRESH_WITHIN):
        require_fresh(shown, NOW + away)
    for away in (FRESH_WITHIN + STEP, -FRESH_WITHIN - STEP):
        with pytest.raises(CheckpointStaleError):
            require_fresh(shown, NOW + away)
    with pytest.raises(CheckpointStaleError, match="no time"):
        require_fresh(replace(shown, signed_at=None), NOW)


# --- Trees -----------------------------------------------------------------------------------------------------------


def test_a_frontier_has_one_subtree_of_32_bytes_for_each_bit_of_its_size() -> None:
    assert Frontier().root() == EMPTY_ROOT
    Frontier(5, (ROOT, ROOT))
    for size, subtrees in (
        (-1, (ROOT,)),
        (1, ()),
        (0, (ROOT,)),
        (5, (ROOT,)),
        (5, (ROOT, ROOT, ROOT)),
        (1, (bytes(HASH_BYTES - 1),)),
        (1, (bytes(HASH_BYTES + 1),)),
    ):
        with pytest.raises(MalformedError):
            Frontier(size, subtrees)


# --- Files -----------------------------------------------------------------------------------------------------------


def test_a_path_names_any_tile_up_to_the_last_one() -> None:
    last = "tile/0/x072/x057/x594/x037/x927/935"
    assert parse_tile_path(last) == TileName(0, (1 << 56) - 1)
    assert parse_tile_path("tile/63/000") == TileName(63, 0)
    assert parse_tile_path("tile/entries/000.p/255") == TileName(None, 0, 255)
    for wrong in (
        "tile/0/x072/x057/x594/x037/x927/936",
        "tile/64/000",
        "tile/0/000.p/256",
        "tile/0/000.p/999",
        "tile/entries/000.p/256",
        "tile/0/x000/001",
        "tile/entries/" + "x000/" * 20 + "001",
    ):
        with pytest.raises(MalformedError):
            parse_tile_path(wrong)


def test_a_bundle_has_1_to_256_entries_of_at_most_65535_bytes() -> None:
    for entries in ([b""], [b"x"] * TILE_WIDTH, [bytes(MAX_ENTRY_BYTES)]):
        assert decode_bundle(encode_bundle(entries)) == entries
    for entries in ([], [b"x"] * (TILE_WIDTH + 1), [bytes(MAX_ENTRY_BYTES + 1)]):
        with pytest.raises(MalformedError):
            encode_bundle(entries)
    one = encode_bundle([b"x"])
    for data in (b"", one * (TILE_WIDTH + 1), one + b"\0", one + b"\0\1", b"\0"):
        with pytest.raises(MalformedError):
            decode_bundle(data)


def test_signature_lines_of_an_answer_are_taken_up_to_their_limit() -> None:
    line = NoteSignature("witness.example", b"\1\2\3\4", b"x" * 64)
    assert decode_cosignatures(format_signatures([line]).encode()) == (line,)


def test_a_proof_at_the_size_that_no_tree_exceeds_is_judged_by_its_hashes() -> None:
    with pytest.raises(ProofInvalidError, match="shorter than the tree is high"):
        verify_inclusion(ROOT, 0, MAX_SIZE, [], ROOT)
    with pytest.raises(ProofInvalidError, match="not inside the tree"):
        verify_inclusion(ROOT, 0, MAX_SIZE + 1, [], ROOT)
    verify_consistency(MAX_SIZE, ROOT, MAX_SIZE, ROOT, [])
    with pytest.raises(ProofInvalidError, match="larger than the new one"):
        verify_consistency(MAX_SIZE + 1, ROOT, MAX_SIZE + 1, ROOT, [])


def test_a_prefix_has_fewer_leaves_than_its_tree_and_at_least_one() -> None:
    for old, new in ((0, 3), (3, 3), (4, 3), (1, MAX_SIZE + 1)):
        with pytest.raises(ProofInvalidError, match="fewer leaves than the tree"):
            prefix_root(old, new, ROOT, [ROOT])
    with pytest.raises(ProofInvalidError, match="shorter than the tree is high"):
        prefix_root(1, MAX_SIZE, ROOT, [ROOT])


@pytest.mark.parametrize("wrong", [b"", bytes(HASH_BYTES - 1), bytes(HASH_BYTES + 1), "x" * HASH_BYTES])
def test_a_hash_of_another_size_or_kind_is_refused_as_that_wherever_it_stands(wrong: bytes) -> None:
    for use in (
        lambda: verify_inclusion(wrong, 0, 2, [ROOT], ROOT),
        lambda: verify_inclusion(ROOT, 0, 2, [wrong], ROOT),
        lambda: verify_inclusion(ROOT, 0, 2, [ROOT], wrong),
        lambda: verify_consistency(1, wrong, 2, ROOT, [ROOT]),
        lambda: verify_consistency(1, ROOT, 2, wrong, [ROOT]),
        lambda: verify_consistency(1, ROOT, 2, ROOT, [wrong]),
        lambda: verify_consistency(2, wrong, 2, wrong, []),
        lambda: prefix_root(1, 2, ROOT, [ROOT, wrong]),
        lambda: prefix_root(1, 2, wrong, [ROOT, ROOT]),
    ):
        with pytest.raises(ProofInvalidError, match="a hash of the tree has 32 bytes"):
            use()
    with pytest.raises(ProofInvalidError, match="at most 64 hashes"):
        verify_inclusion(ROOT, 0, MAX_SIZE, [ROOT] * 65, ROOT)


def test_a_path_ends_where_the_tree_does() -> None:
    two = node_hash(ROOT, ROOT)
    verify_inclusion(ROOT, 0, 2, [ROOT], two)
    with pytest.raises(ProofInvalidError, match="longer than the tree"):
        verify_inclusion(ROOT, 0, 2, [ROOT, ROOT], node_hash(two, ROOT))
    with pytest.raises(ProofInvalidError, match="longer than the tree"):
        verify_inclusion(ROOT, 1, 2, [ROOT, ROOT], node_hash(ROOT, two))
    with pytest.raises(ProofInvalidError, match="shorter than the tree"):
        verify_inclusion(ROOT, 0, 4, [ROOT], two)
    with pytest.raises(ProofInvalidError, match="shorter than the tree"):
        prefix_root(1, 4, two, [ROOT, ROOT])
    assert prefix_root(1, 2, two, [ROOT, ROOT]) == ROOT
    with pytest.raises(ProofInvalidError, match="to the new root"):
        prefix_root(1, 2, ROOT, [ROOT, ROOT])
    with pytest.raises(ProofInvalidError, match="to the old root"):
        verify_consistency(3, two, 4, node_hash(node_hash(ROOT, ROOT), two), [ROOT, ROOT, two])


def test_a_log_answers_for_the_leaves_and_prefixes_that_it_has() -> None:
    tree = TileTree(0, lambda level, index: b"")
    for number in range(3):
        tree.append(leaf_hash(bytes([number])))
    assert (tree.leaf(0), tree.leaf(2)) == (leaf_hash(b"\0"), leaf_hash(b"\2"))
    assert tree.root(0) == EMPTY_ROOT
    assert tree.root(3) == tree.root()
    assert prefix_root(2, 3, tree.root(), tree.prefix_nodes(2)) == tree.root(2)
    for ask in (
        lambda: tree.leaf(-1),
        lambda: tree.leaf(3),
        lambda: tree.root(-1),
        lambda: tree.root(4),
        lambda: tree.prefix_nodes(0),
        lambda: tree.prefix_nodes(3),
    ):
        with pytest.raises(LogUnavailableError):
            ask()


def test_a_remote_tree_asks_for_each_tile_by_its_path_and_takes_it_in_its_width_only() -> None:
    for level, path in ((0, "tile/0/001.p/3"), (1, "tile/1/001.p/3")):
        assert TileNeededError(TileName(level, 1, 3)).path == path
    tree = RemoteTree(2)
    with pytest.raises(TileNeededError) as needed:
        tree.tree().root()
    name = needed.value.name
    assert name == TileName(0, 0, 2)
    for wrong in (bytes(HASH_BYTES), bytes(3 * HASH_BYTES), b""):
        with pytest.raises(LogUnavailableError):
            tree.add(name, wrong)
    with pytest.raises(LogUnavailableError):
        tree.add(TileName(None, 0, 2), ROOT + ROOT)
    tree.add(name, ROOT + ROOT)
    assert tree.tree().root() == node_hash(ROOT, ROOT)


def test_a_scoped_bundle_has_a_path_of_its_own_and_the_limits_of_a_bundle() -> None:
    assert parse_scoped_path("scoped/000") == TileName(None, 0)
    for wrong in ("000", "tile/entries/000", "scoped", ""):
        with pytest.raises(MalformedError):
            parse_scoped_path(wrong)
    for items in ([b"x"] * TILE_WIDTH, [Withheld(ROOT)] * TILE_WIDTH, [bytes(MAX_ENTRY_BYTES)]):
        assert decode_scoped_bundle(encode_scoped_bundle(items)) == items


def test_a_policy_of_exactly_its_limits_is_taken() -> None:
    rule = b"quorum none\n"
    parse_policy(rule + b"#\n" * (MAX_LINES - 1))
    with pytest.raises(TooLargeError):
        parse_policy(rule + b"#\n" * MAX_LINES)
    parse_policy(rule + b"#" * (MAX_POLICY_BYTES - len(rule) - 1) + b"\n")
    with pytest.raises(TooLargeError):
        parse_policy(rule + b"#" * (MAX_POLICY_BYTES - len(rule)) + b"\n")


def test_a_proof_as_text_is_taken_up_to_its_limits() -> None:
    most = encode_tlog_proof(MAX_SIZE, [ROOT] * MAX_PATH_HASHES, NOTE, bytes(MAX_EXTRA_BYTES))
    read = decode_tlog_proof(most)
    assert (read.index, len(read.path), len(read.extra or b"")) == (MAX_SIZE, MAX_PATH_HASHES, MAX_EXTRA_BYTES)
    with pytest.raises(MalformedError, match="at most 64 hashes"):
        encode_tlog_proof(0, [ROOT] * (MAX_PATH_HASHES + 1), NOTE)
    with pytest.raises(TooLargeError, match="extra data"):
        encode_tlog_proof(0, [], NOTE, bytes(MAX_EXTRA_BYTES + 1))
    with pytest.raises(MalformedError):
        decode_tlog_proof(b"x" * MAX_PROOF_BYTES)
    with pytest.raises(TooLargeError):
        decode_tlog_proof(b"x" * (MAX_PROOF_BYTES + 1))
    for cut in (b"", most.partition(b"\n\n")[0]):
        with pytest.raises(MalformedError, match="an empty line and a checkpoint"):
            decode_tlog_proof(cut)


def test_a_line_under_another_name_is_not_the_witnesses_whatever_its_key_id() -> None:
    witness = SoftWitnessSigner("node.example/witness/fr", b"\x33" * 32, b"\x44" * 32)
    lines = cosign(HEAD, witness, NOW)
    foreign = [replace(line, name="node.example/witness/de") for line in lines]
    assert witness.verifier.lines_of([*foreign, *lines]) == tuple(lines)
    assert witness.verifier.cosigned_at(HEAD, foreign) is None


def test_a_cosignature_without_a_time_states_none() -> None:
    line = NoteSignature("node.example/witness/fr", b"\1\2\3\4", NOW_SECONDS + bytes(64))
    assert stated_time(line) == NOW
    with pytest.raises(CheckpointInvalidError, match="does not say when"):
        stated_time(replace(line, signature=bytes(72)))


def test_a_head_has_a_size_below_2_to_63_and_a_root_in_bytes() -> None:
    assert Checkpoint(HEAD.origin, MAX_SIZE, ROOT).size == MAX_SIZE
    for size, root in ((MAX_SIZE + 1, ROOT), (-1, ROOT), (3, "x" * HASH_BYTES), (3, ROOT[1:]), (0, ROOT)):
        with pytest.raises(MalformedError):
            Checkpoint(HEAD.origin, size, root)


@pytest.mark.parametrize("name", ["", "a name", "a+name", "x" * 256])
def test_nothing_is_cosigned_under_a_name_that_no_key_can_have(name: str) -> None:
    for cosigner, origin in ((name, HEAD.origin), (HEAD.origin, name)):
        with pytest.raises(MalformedError):
            mldsa_message(cosigner, 1, origin, 3, ROOT)
    assert b"\xff" + b"x" * 255 in mldsa_message("x" * 255, 1, HEAD.origin, 3, ROOT)


# --- Notes and hashes ------------------------------------------------------------------------------------------------

PLAIN_LINE = format_signatures((NoteSignature("node.example", b"\1\2\3\4", b"signature"),))


@pytest.mark.parametrize(
    ("note", "cause"),
    [
        (PLAIN_LINE, "text, an empty line and signature lines"),
        ("", "text, an empty line and signature lines"),
        ("text\n\n" + PLAIN_LINE.removeprefix("— "), "a dash, a key name and a signature"),
        ("text\n\n-" + PLAIN_LINE.removeprefix("—"), "a dash, a key name and a signature"),
        ("text\n\n— node.example\n", "a dash, a key name and a signature"),
        ("text\n\n— node.example \n", "a key ID and a signature"),
        ("text\n\n—  AAAA\n", "a key name has no spaces"),
    ],
)
def test_a_note_and_each_of_its_lines_have_one_form(note: str, cause: str) -> None:
    with pytest.raises(MalformedError, match=cause):
        parse_note(note.encode())


def test_a_note_of_exactly_the_limit_is_read() -> None:
    body = b"\n\n" + PLAIN_LINE.encode()
    assert len(parse_note(b"t" * (MAX_NOTE_BYTES - len(body)) + body).signatures) == 1
    with pytest.raises(TooLargeError):
        parse_note(b"t" * (MAX_NOTE_BYTES - len(body) + 1) + body)


@pytest.mark.parametrize("kind", list(SignatureType))
@pytest.mark.parametrize("more", [-1, 1])
def test_a_verifier_key_has_the_size_of_its_type(kind: SignatureType, more: int) -> None:
    size = 1312 if kind is SignatureType.ML_DSA_44_COSIGNATURE else 32
    assert VerifierKey("node.example", kind, bytes(size)).public_key == bytes(size)
    with pytest.raises(MalformedError, match=f"has {size} bytes"):
        VerifierKey("node.example", kind, bytes(size + more))


def test_a_proof_of_more_hashes_than_the_tree_is_high_is_refused_as_that() -> None:
    hashes = [leaf_hash(bytes([number])) for number in range(4)]
    left, right = node_hash(hashes[0], hashes[1]), node_hash(hashes[2], hashes[3])
    verify_consistency(2, left, 4, node_hash(left, right), [right])
    with pytest.raises(ProofInvalidError, match="longer than the tree is high"):
        verify_consistency(2, left, 4, node_hash(left, right), [right, right])
    with pytest.raises(ProofInvalidError, match="longer than the tree is high"):
        prefix_root(2, 4, node_hash(left, right), [left, right, right])
    # As many hashes as any path has are counted against this tree, one more against every tree.
    with pytest.raises(ProofInvalidError, match="longer than the tree is high"):
        verify_inclusion(hashes[0], 0, 2, [hashes[1], *[right] * (MAX_PATH_HASHES - 1)], left)
    with pytest.raises(ProofInvalidError, match="a path has at most"):
        verify_inclusion(hashes[0], 0, 2, [hashes[1], *[right] * MAX_PATH_HASHES], left)


@pytest.mark.parametrize("wrong", [bytes(31), bytes(33), bytearray(32), "h" * 32, [0] * 32, None])
def test_what_is_withheld_is_named_by_one_hash(wrong: object) -> None:
    assert Withheld(ROOT).leaf_hash == ROOT
    with pytest.raises(MalformedError, match="a leaf hash has 32 bytes"):
        Withheld(wrong)  # type: ignore[arg-type]


def test_a_tree_has_no_negative_size() -> None:
    with pytest.raises(LogUnavailableError, match="no negative size"):
        TileTree(-1, lambda level, index: b"")

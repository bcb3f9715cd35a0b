"""Proofs of misbehaviour: each lie is proved by its file alone, and of an honest log nothing can be proved."""

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.encoding import cbor
from protocol.errors import (
    CheckpointInvalidError,
    ComityError,
    LogUnavailableError,
    MalformedError,
    NotProvedError,
    ProofInvalidError,
    TooLargeError,
    UnsupportedVersionError,
)
from protocol.event import MAX_EVENT_BYTES
from protocol.log._cosignature import mldsa_message
from protocol.log.checkpoint import (
    Checkpoint,
    FormerLogKeys,
    LogVerifier,
    SoftLogSigner,
    parse_checkpoint,
    verify_checkpoint,
)
from protocol.log.merkle import leaf_hash
from protocol.log.note import NoteSignature, parse_note, serialize_note
from protocol.log.remote import RemoteTree, TileNeededError
from protocol.log.tiles import TileTree
from protocol.misbehaviour.proof import (
    MAX_PROOF_BYTES,
    BackDated,
    Dropped,
    Fork,
    IndexTwice,
    MisbehaviourKind,
    PostDated,
    Proof,
    Rewritten,
    Shrunk,
    TwoTrees,
    decode_proof,
    encode_proof,
    file_name,
    notes_of,
    proof_digest,
    without_entry,
)
from protocol.misbehaviour.prove import (
    prove_back_dated,
    prove_dropped,
    prove_fork,
    prove_index_twice,
    prove_post_dated,
    prove_rewritten,
    prove_shrunk,
    prove_two_trees,
)
from protocol.misbehaviour.search import about_receipt, between_checkpoints, between_receipts, misdated
from protocol.misbehaviour.verify import ALLOWED_SKEW, entry_time, is_early, is_late, own_lines, verify_proof
from tests.worlds.forged_log import ORIGIN, SIGNER, VERIFIER, entries, entry, later, receipt, signed, tree_of

TRUE = entries(7)
FORKED = [*TRUE[:3], entry(99), *TRUE[4:]]
SKEW_S = ALLOWED_SKEW.total_seconds()
OLD = entry(50, later(-3600))


def lies() -> dict[MisbehaviourKind, Proof]:
    """A proof of each kind."""
    held = receipt(TRUE[:5], 3, later(0))
    longer = [*FORKED, *entries(3)]
    tree = tree_of(longer)
    return {
        MisbehaviourKind.TWO_TREES: prove_two_trees(signed(TRUE), signed(FORKED), VERIFIER),
        MisbehaviourKind.FORK: prove_fork(signed(TRUE[:5]), signed(longer), tree.prefix_nodes(5), VERIFIER),
        MisbehaviourKind.INDEX_TWICE: prove_index_twice(held, receipt(longer, 3), VERIFIER),
        MisbehaviourKind.REWRITTEN: prove_rewritten(
            held, leaf_hash(longer[3]), tree.inclusion_path(3), signed(longer, later(1)), VERIFIER
        ),
        MisbehaviourKind.DROPPED: prove_dropped(
            receipt(TRUE[:5], 1), signed(longer, later(1)), tree.prefix_nodes(5), VERIFIER
        ),
        MisbehaviourKind.SHRUNK: prove_shrunk(signed(TRUE), signed(TRUE[:5], later(1)), VERIFIER),
        MisbehaviourKind.BACK_DATED: prove_back_dated(receipt([*TRUE, OLD], 7, later(1)), signed(TRUE), VERIFIER),
        MisbehaviourKind.POST_DATED: prove_post_dated(receipt([*TRUE, entry(1, later(3600))], 7), VERIFIER),
    }


LIES = lies()


@pytest.mark.parametrize("kind", list(MisbehaviourKind))
def test_a_lie_of_each_kind_is_proved_by_its_file_alone(kind: MisbehaviourKind) -> None:
    written = encode_proof(LIES[kind])
    assert len(written) <= 2 * 4096 + 4096
    proved = verify_proof(decode_proof(written), VERIFIER)
    assert (proved.kind, proved.origin, proved.former_keys) == (kind, ORIGIN, False)
    assert proved.first_signed_at == later(0)
    assert (proved.at is not None) == (kind in {MisbehaviourKind.BACK_DATED, MisbehaviourKind.POST_DATED})


@pytest.mark.parametrize("kind", list(MisbehaviourKind))
def test_a_proof_does_not_count_against_another_log_or_under_other_keys(kind: MisbehaviourKind) -> None:
    other_log = SoftLogSigner("test-federation/jp", bytes(32), bytes(32)).verifier
    with pytest.raises(NotProvedError):
        verify_proof(LIES[kind], other_log)
    other_keys = SoftLogSigner(ORIGIN, b"\1" * 32, b"\1" * 32).verifier
    with pytest.raises(CheckpointInvalidError):
        verify_proof(LIES[kind], other_keys)


@pytest.mark.parametrize("kind", list(MisbehaviourKind))
def test_any_altered_byte_of_a_proof_is_refused(kind: MisbehaviourKind) -> None:
    written = encode_proof(LIES[kind])
    for at in range(0, len(written), 61):
        altered = written[:at] + bytes([written[at] ^ 1]) + written[at + 1 :]
        with pytest.raises(ComityError):
            verify_proof(decode_proof(altered), VERIFIER)


@pytest.mark.parametrize("kind", list(MisbehaviourKind))
def test_a_proof_shows_no_more_than_its_kind_needs(kind: MisbehaviourKind) -> None:
    proof = LIES[kind]
    for note in notes_of(proof):
        assert len(parse_note(note).signatures) == 2
    shared = without_entry(proof)
    if kind in {MisbehaviourKind.BACK_DATED, MisbehaviourKind.POST_DATED}:
        assert shared is None
        return
    assert shared is not None
    verify_proof(shared, VERIFIER)
    assert not hasattr(shared, "entry")


def test_lines_of_witnesses_do_not_enter_a_proof() -> None:
    first, second = notes_of(LIES[MisbehaviourKind.TWO_TREES])
    note = parse_note(first)
    cosigned = serialize_note(note.text, (NoteSignature("witness.example/w", b"\0" * 4, b"\0" * 72), *note.signatures))
    assert prove_two_trees(cosigned, second, VERIFIER) == LIES[MisbehaviourKind.TWO_TREES]


# --- What proves nothing ---------------------------------------------------------------------------------------------


def test_equal_trees_are_not_two() -> None:
    with pytest.raises(NotProvedError):
        prove_two_trees(signed(TRUE), signed(TRUE, later(9)), VERIFIER)
    with pytest.raises(NotProvedError):
        prove_two_trees(signed(TRUE[:3]), signed(FORKED), VERIFIER)


def test_a_tree_that_grew_is_no_fork_and_hashes_that_lead_nowhere_prove_none() -> None:
    small, large = signed(TRUE[:5]), signed(TRUE)
    nodes = tree_of(TRUE).prefix_nodes(5)
    with pytest.raises(NotProvedError):
        prove_fork(small, large, nodes, VERIFIER)
    for wrong in (nodes[:-1], [*nodes, bytes(32)], [bytes(32), *nodes[1:]], [], tree_of(FORKED).prefix_nodes(5)):
        with pytest.raises(ProofInvalidError):
            prove_fork(small, large, wrong, VERIFIER)
    with pytest.raises(ProofInvalidError):
        prove_fork(large, small, nodes, VERIFIER)


def test_one_leaf_under_two_checkpoints_is_not_two_and_a_path_that_leads_nowhere_shows_no_leaf() -> None:
    held, again = receipt(TRUE[:5], 3), receipt(TRUE, 3)
    with pytest.raises(NotProvedError):
        prove_index_twice(held, again, VERIFIER)
    with pytest.raises(ProofInvalidError):
        prove_index_twice(held, replace(again, leaf=entry(99)), VERIFIER)
    with pytest.raises(ProofInvalidError):
        prove_index_twice(held, receipt(TRUE, 4), VERIFIER)


def test_what_stood_there_before_the_receipt_does_not_show_that_it_was_rewritten() -> None:
    tree = tree_of(FORKED)
    before = signed(FORKED, later(-1))
    held = receipt(TRUE[:5], 3)
    with pytest.raises(NotProvedError):
        prove_rewritten(held, leaf_hash(FORKED[3]), tree.inclusion_path(3), before, VERIFIER)
    with pytest.raises(NotProvedError):
        prove_dropped(held, before, tree.prefix_nodes(5), VERIFIER)


def test_a_receipt_that_does_not_hold_shows_nothing_dropped() -> None:
    longer = signed(FORKED, later(1))
    nodes = tree_of(FORKED).prefix_nodes(5)
    with pytest.raises(ProofInvalidError):
        prove_dropped(replace(receipt(TRUE[:5], 3), leaf=entry(98)), longer, nodes, VERIFIER)
    with pytest.raises(NotProvedError):
        prove_dropped(receipt(FORKED[:5], 3), longer, nodes, VERIFIER)


def test_only_later_and_smaller_is_shrunk() -> None:
    for second in (
        signed(TRUE, later(1)),
        signed(TRUE[:5]),
        signed(TRUE[:5], later(-1)),
        signed([*TRUE, OLD], later(1)),
    ):
        with pytest.raises(NotProvedError):
            prove_shrunk(signed(TRUE), second, VERIFIER)


def test_an_entry_within_the_allowed_skew_is_neither_back_dated_nor_post_dated() -> None:
    on_the_edge = [*TRUE, entry(9, later(-SKEW_S))]
    with pytest.raises(NotProvedError):
        prove_back_dated(receipt(on_the_edge, 7, later(1)), signed(TRUE), VERIFIER)
    with pytest.raises(NotProvedError):
        prove_post_dated(receipt([*TRUE, entry(9, later(SKEW_S))], 7), VERIFIER)
    beyond = [*TRUE, entry(9, later(-SKEW_S) - timedelta(milliseconds=1))]
    prove_back_dated(receipt(beyond, 7, later(1)), signed(TRUE), VERIFIER)


def test_an_entry_that_was_there_already_is_not_back_dated() -> None:
    with pytest.raises(NotProvedError):
        prove_back_dated(receipt([*TRUE, OLD], 7, later(2)), signed([*TRUE, OLD], later(1)), VERIFIER)


# --- The file --------------------------------------------------------------------------------------------------------


_hashes = st.binary(min_size=32, max_size=32)
_paths = st.lists(_hashes, max_size=64).map(tuple)
_notes = st.binary(max_size=300)
_entries = st.binary(max_size=300)
_index = st.integers(0, (1 << 63) - 1)
_o = st.just(ORIGIN)
_proofs = st.one_of(
    st.builds(TwoTrees, _o, _notes, _notes),
    st.builds(Fork, _o, _notes, _notes, _paths),
    st.builds(IndexTwice, _o, _notes, _notes, _index, _hashes, _paths, _hashes, _paths),
    st.builds(Rewritten, _o, _notes, _notes, _index, _entries, _paths, _hashes, _paths),
    st.builds(Dropped, _o, _notes, _notes, _paths, _index, _entries, _paths),
    st.builds(Shrunk, _o, _notes, _notes),
    st.builds(BackDated, _o, _notes, _notes, _index, _entries, _paths),
    st.builds(PostDated, _o, _notes, _index, _entries, _paths),
)


@given(_proofs)
def test_a_proof_survives_its_file(proof: Proof) -> None:
    written = encode_proof(proof)
    assert decode_proof(written) == proof
    assert file_name(ORIGIN, proof.kind, proof_digest(written)).endswith(".proof")


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_proof(data: bytes) -> None:
    with pytest.raises(ComityError):
        decode_proof(data)


def test_a_file_of_another_shape_is_refused() -> None:
    value = cbor.decode(encode_proof(LIES[MisbehaviourKind.INDEX_TWICE]))
    shapes: list[tuple[object, type[ComityError]]] = [
        ([], MalformedError),
        ({**value, 1: 7}, MalformedError),
        ({key: part for key, part in value.items() if key != 1}, MalformedError),
        ({**value, 1: "comity/evidence/1"}, MalformedError),
        ({**value, 1: "comity/misbehaviour/2"}, UnsupportedVersionError),
        ({**value, 2: "boredom"}, UnsupportedVersionError),
        ({**value, 2: 7}, UnsupportedVersionError),
        ({**value, 3: 7}, MalformedError),
        ({**value, 3: "a name with spaces"}, MalformedError),
        ({**value, 4: []}, MalformedError),
        ({**value, 5: 0}, MalformedError),
        ({**value, 4: {**value[4], 3: b""}}, MalformedError),
        ({**value, 4: {key: part for key, part in value[4].items() if key != 9}}, MalformedError),
        ({**value, 4: {**value[4], 4: -1}}, MalformedError),
        ({**value, 4: {**value[4], 4: b"3"}}, MalformedError),
        ({**value, 4: {**value[4], 4: True}}, MalformedError),
        ({**value, 4: {**value[4], 4: 1 << 63}}, MalformedError),
        ({**value, 4: {**value[4], 8: bytes(31)}}, MalformedError),
        ({**value, 4: {**value[4], 8: bytes(33)}}, MalformedError),
        ({**value, 4: {**value[4], 6: bytes(31)}}, MalformedError),
        ({**value, 4: {**value[4], 7: bytes(33)}}, MalformedError),
        ({**value, 4: {**value[4], 7: bytes(65 * 32)}}, MalformedError),
        ({**value, 4: {**value[4], 1: "note"}}, MalformedError),
        ({**value, 4: {**value[4], 1: bytes(8193)}}, MalformedError),
    ]
    for shape, refusal in shapes:
        with pytest.raises(refusal):
            decode_proof(cbor.encode(shape))
    with pytest.raises(TooLargeError):
        decode_proof(bytes(MAX_PROOF_BYTES + 1))


def test_a_file_at_the_edge_of_its_shape_is_read() -> None:
    for kind, part, edge in (
        (MisbehaviourKind.INDEX_TWICE, 4, 0),
        (MisbehaviourKind.INDEX_TWICE, 4, (1 << 63) - 1),
        (MisbehaviourKind.INDEX_TWICE, 7, b""),
        (MisbehaviourKind.INDEX_TWICE, 7, bytes(64 * 32)),
        (MisbehaviourKind.INDEX_TWICE, 1, bytes(8192)),
        (MisbehaviourKind.POST_DATED, 5, bytes(MAX_EVENT_BYTES)),
    ):
        value = cbor.decode(encode_proof(LIES[kind]))
        written = cbor.encode({**value, 4: {**value[4], part: edge}})
        assert encode_proof(decode_proof(written)) == written
    value = cbor.decode(encode_proof(LIES[MisbehaviourKind.POST_DATED]))
    with pytest.raises(MalformedError):
        decode_proof(cbor.encode({**value, 4: {**value[4], 5: bytes(MAX_EVENT_BYTES + 1)}}))
    with pytest.raises(MalformedError):
        decode_proof(cbor.encode(bytes(MAX_PROOF_BYTES - 3)))


def test_an_entry_of_another_version_or_shape_says_no_time() -> None:
    value = cbor.decode(entry(1))
    assert entry_time(entry(1)) == later(0)
    for shape in ([1], 1, {**value, 1: 2}, {**value, 1: True}, {**value, 1: "1"}, {2: "x"}, {**value, 3: "now"}):
        with pytest.raises(MalformedError):
            entry_time(cbor.encode(shape))


def test_times_are_late_and_early_only_beyond_the_allowed_skew() -> None:
    step = timedelta(milliseconds=1)
    seen = verify_checkpoint(signed(TRUE), VERIFIER)
    assert seen.signed_at is not None
    size, at = seen.checkpoint.size, seen.signed_at
    assert not is_late(at + ALLOWED_SKEW, at)
    assert is_late(at + ALLOWED_SKEW + step, at)
    assert not is_late(at + ALLOWED_SKEW + step, None)
    assert not is_early(at - ALLOWED_SKEW, size, seen)
    assert is_early(at - ALLOWED_SKEW - step, size, seen)
    assert not is_early(at - ALLOWED_SKEW - step, size - 1, seen)
    assert not is_early(at - ALLOWED_SKEW - step, size, replace(seen, signed_at=None))


# --- Finding ---------------------------------------------------------------------------------------------------------


def test_a_fork_is_found_whichever_checkpoint_is_the_larger_and_for_every_size() -> None:
    for size in range(1, 7):
        longer = [entry(99), *TRUE[1:]]
        small, large = signed(TRUE[:size]), signed(longer)
        found = between_checkpoints(small, large, VERIFIER, partial(tree_of, longer))
        assert isinstance(found, Fork)
        assert found == between_checkpoints(large, small, VERIFIER, partial(tree_of, longer))


def test_a_tree_that_is_not_the_signed_one_decides_nothing() -> None:
    with pytest.raises(ProofInvalidError):
        between_checkpoints(signed(TRUE[:5]), signed(TRUE), VERIFIER, lambda: tree_of(FORKED))


def test_a_receipt_is_proved_rewritten_where_another_leaf_stands_there_and_dropped_where_its_tree_is_gone() -> None:
    head = signed(FORKED, later(1))
    rewritten = about_receipt(receipt(TRUE[:5], 3), head, VERIFIER, lambda: tree_of(FORKED))
    assert isinstance(rewritten, Rewritten)
    assert isinstance(about_receipt(receipt(TRUE[:5], 1), head, VERIFIER, lambda: tree_of(FORKED)), Dropped)
    assert about_receipt(receipt(TRUE[:5], 3), signed(TRUE), VERIFIER, lambda: tree_of(TRUE)) is None
    cut = about_receipt(receipt(TRUE[:5], 3), signed(TRUE[:3], later(1)), VERIFIER, lambda: tree_of(TRUE[:3]))
    assert isinstance(cut, Shrunk)


def test_receipts_that_two_parties_hold_contradict_each_other_without_the_log() -> None:
    assert isinstance(between_receipts(receipt(TRUE[:5], 3), receipt(FORKED, 3), VERIFIER), IndexTwice)
    assert isinstance(between_receipts(receipt(TRUE, 1), receipt(FORKED, 2), VERIFIER), TwoTrees)
    assert between_receipts(receipt(TRUE[:5], 1), receipt(FORKED, 1), VERIFIER) is None


def test_a_false_time_is_found_by_the_checkpoints_that_are_known() -> None:
    back = receipt([*TRUE, OLD], 7, later(2))
    assert misdated(back, [], VERIFIER) is None
    assert misdated(back, [signed([*TRUE, OLD], later(2))], VERIFIER) is None
    assert isinstance(misdated(back, [signed(TRUE[:2], later(-3600)), signed(TRUE, later(1))], VERIFIER), BackDated)
    assert isinstance(misdated(receipt([entry(1, later(3600))], 0), [], VERIFIER), PostDated)


def test_a_tree_elsewhere_is_asked_for_the_tiles_that_the_answer_needs_and_no_others() -> None:
    leaves = entries(700)
    whole = tree_of(leaves)
    tiles = {(level, index): hashes for level, index, hashes in whole.take_changed_tiles()}
    remote, fetched = RemoteTree(700), []
    while True:
        try:
            assert remote.tree().prefix_nodes(600) == whole.prefix_nodes(600)
            break
        except TileNeededError as needed:
            name = needed.name
            assert name.level is not None
            fetched.append(needed.path)
            remote.add(name, tiles[name.level, name.index][: name.width * 32])
    assert sorted(fetched) == ["tile/0/002.p/188", "tile/1/000.p/2"]
    with pytest.raises(LogUnavailableError):
        remote.add(name, b"")


# --- Honest logs -----------------------------------------------------------------------------------------------------


class HonestLog:
    """A log that keeps the rules: it only grows, and neither its signing times nor its entries' go back further."""

    def __init__(self, steps: list[tuple[int, int, int]]) -> None:
        self.leaves: list[bytes] = []
        self.notes: list[tuple[int, bytes]] = [(0, signed([], later(0)))]
        newest = 0
        for count, forward_s, early_s in steps:
            at = max(newest + forward_s - min(early_s, SKEW_S), newest - SKEW_S)
            self.leaves += [entry(len(self.leaves) + number, later(at)) for number in range(count)]
            newest = max(newest, int(at)) + (at > newest)
            self.notes.append((len(self.leaves), signed(self.leaves, later(newest))))

    def tree(self, size: int) -> TileTree:
        return tree_of(self.leaves[:size])


_steps = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 1000), st.integers(0, 1000)), min_size=2, max_size=5)


@settings(max_examples=25, deadline=None)
@given(_steps, st.data())
def test_of_an_honest_log_nothing_can_be_proved_however_its_parts_are_put_together(
    steps: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    log = HonestLog(steps)
    (one_size, one), (other_size, other) = (data.draw(st.sampled_from(log.notes)) for _ in range(2))
    large = max(one_size, other_size)
    assert between_checkpoints(one, other, VERIFIER, lambda: log.tree(large)) is None
    held_size, held_note = data.draw(st.sampled_from(log.notes[1:]))
    index = data.draw(st.integers(0, held_size - 1))
    path = tuple(log.tree(held_size).inclusion_path(index))
    held = replace(receipt(log.leaves[:held_size], index), checkpoint=held_note)
    assert misdated(held, [note for _, note in log.notes], VERIFIER) is None
    assert about_receipt(held, log.notes[-1][1], VERIFIER, lambda: log.tree(log.notes[-1][0])) is None

    leaf = leaf_hash(held.leaf)
    nodes: tuple[bytes, ...] = ()
    if 0 < one_size < other_size:
        nodes = tuple(log.tree(other_size).prefix_nodes(one_size))
    any_leaf = data.draw(st.sampled_from([leaf_hash(entry_) for entry_ in log.leaves]))
    other_path = tuple(log.tree(other_size).inclusion_path(index)) if index < other_size else path
    forgeries: list[Proof] = [
        TwoTrees(ORIGIN, one, other),
        Fork(ORIGIN, one, other, nodes),
        Fork(ORIGIN, one, other, path),
        IndexTwice(ORIGIN, held_note, other, index, leaf, path, any_leaf, other_path),
        Rewritten(ORIGIN, held_note, other, index, held.leaf, path, any_leaf, other_path),
        Dropped(ORIGIN, held_note, other, nodes, index, held.leaf, path),
        Shrunk(ORIGIN, one, other),
        BackDated(ORIGIN, held_note, other, index, held.leaf, path),
        PostDated(ORIGIN, held_note, index, held.leaf, path),
    ]
    for forgery in forgeries:
        with pytest.raises(ProofInvalidError):
            verify_proof(forgery, VERIFIER)


def test_keys_that_a_log_replaced_are_named_and_do_not_reach_beyond_its_final_head() -> None:
    new = SoftLogSigner(ORIGIN, b"\2" * 32, b"\2" * 32)
    final = signed(TRUE, later(2), new)
    keys = LogVerifier(
        ORIGIN,
        new.verifier.ed25519_public,
        new.verifier.mldsa_public,
        (FormerLogKeys(VERIFIER, parse_checkpoint(signed(TRUE))),),
    )
    stolen = prove_fork(signed([entry(99)], later(0)), final, tree_of(TRUE).prefix_nodes(1), keys)
    assert verify_proof(stolen, keys).former_keys
    with pytest.raises(CheckpointInvalidError):
        prove_two_trees(final, signed(FORKED, later(3)), keys)


@pytest.mark.parametrize("kind", list(MisbehaviourKind))
def test_a_proof_has_one_form_and_so_one_digest(kind: MisbehaviourKind) -> None:
    """Whatever is as good a checkpoint with other lines would be the same proof under another name."""
    proof = LIES[kind]
    note = parse_note(proof.first)
    ed25519, mldsa = note.signatures
    stranger = replace(ed25519, name="someone.example")
    for lines in ((mldsa, ed25519), (ed25519, mldsa, stranger), (stranger, ed25519, mldsa)):
        other = serialize_note(note.text, lines)
        verify_checkpoint(other, VERIFIER)
        with pytest.raises(MalformedError):
            verify_proof(decode_proof(encode_proof(replace(proof, first=other))), VERIFIER)
        assert own_lines(other, VERIFIER) == proof.first


# --- Checkpoints without a time, and trees that say half the truth ---------------------------------------------------


def timeless(leaves: list[bytes]) -> bytes:
    """The checkpoint of these entries, in which the log does not say when it signed."""
    tree = tree_of(leaves)
    checkpoint = Checkpoint(ORIGIN, tree.size, tree.root())
    ed25519_id, mldsa_id = VERIFIER.key_ids
    message = mldsa_message(ORIGIN, 0, ORIGIN, tree.size, tree.root())
    own = (
        NoteSignature(ORIGIN, ed25519_id, SIGNER.sign_ed25519(checkpoint.text.encode())),
        NoteSignature(ORIGIN, mldsa_id, bytes(8) + SIGNER.sign_mldsa(message)),
    )
    return serialize_note(checkpoint.text, own)


def test_a_checkpoint_that_says_no_time_proves_nothing_that_needs_one() -> None:
    longer = [*FORKED, *entries(3)]
    for first, second in ((timeless(TRUE), signed(TRUE[:5], later(1))), (signed(TRUE), timeless(TRUE[:5]))):
        with pytest.raises(NotProvedError, match="does not say when"):
            prove_shrunk(first, second, VERIFIER)
    held = receipt(TRUE[:5], 3)
    for under, head in (
        (replace(held, checkpoint=timeless(TRUE[:5])), signed(longer, later(1))),
        (held, timeless(longer)),
    ):
        with pytest.raises(NotProvedError, match="does not say when"):
            about_receipt(under, head, VERIFIER, lambda: tree_of(longer))
    late = receipt([*TRUE, entry(1, later(3600))], 7)
    assert misdated(replace(late, checkpoint=timeless([*TRUE, entry(1, later(3600))])), [], VERIFIER) is None


def test_two_receipts_of_one_tree_contradict_nothing() -> None:
    assert between_receipts(receipt(TRUE, 1), receipt(TRUE, 2), VERIFIER) is None


def test_a_smaller_tree_that_was_signed_after_a_larger_one_is_shrunk_whoever_asks() -> None:
    held = receipt(TRUE[:5], 3, later(2))
    found = about_receipt(held, signed(TRUE, later(1)), VERIFIER, lambda: tree_of(TRUE))
    assert isinstance(found, Shrunk)


def test_a_tree_that_names_another_leaf_than_its_path_proves_decides_nothing() -> None:
    longer = [*FORKED, *entries(3)]
    held = receipt(TRUE[:5], 3)

    class Half(TileTree):
        def leaf(self, index: int) -> bytes:
            return leaf_hash(held.leaf)

    tree = Half(0, lambda level, index: b"")
    for each in longer:
        tree.append(leaf_hash(each))
    with pytest.raises(ProofInvalidError):
        about_receipt(held, signed(longer, later(1)), VERIFIER, lambda: tree)


def test_what_is_signed_in_the_same_second_can_show_that_an_entry_was_rewritten() -> None:
    longer = [*FORKED, *entries(3)]
    tree = tree_of(longer)
    other, path = leaf_hash(longer[3]), tree.inclusion_path(3)
    assert prove_rewritten(receipt(TRUE[:5], 3), other, path, signed(longer), VERIFIER).index == 3


def test_a_line_under_the_logs_name_of_a_key_that_is_not_its_own_does_not_enter_a_proof() -> None:
    written = signed(TRUE)
    note, foreign = parse_note(written), NoteSignature(ORIGIN, b"\1\2\3\4", bytes(64))
    assert own_lines(serialize_note(note.text, (*note.signatures, foreign)), VERIFIER) == written

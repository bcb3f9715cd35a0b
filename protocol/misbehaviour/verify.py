"""Whether a proof file proves what it says: from its bytes and the accused log's public keys, and nothing else.

A log that signs a checkpoint of size *n* at time *T* states this: these are its first *n* leaves, for ever; and at *T*
it had no more than these. Each kind shows two statements that cannot both be true, or one that is false by itself:

1. ``two-trees``: one size, two roots.
2. ``fork``, ``dropped``: the prefix of the larger tree has another root than the one that was signed for it.
3. ``index-twice``, ``rewritten``: two leaves at one index.
4. ``shrunk``: later, and smaller.
5. ``back-dated``: an entry that was not there at *T* says that it was made more than the allowed skew before *T*.
6. ``post-dated``: an entry that was there at *T* says that it was made more than the allowed skew after *T*.

An honest node never gives rise to any of them (docs/protocol.md, "What a log may never do").
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from protocol.encoding import cbor
from protocol.encoding.instants import from_ms
from protocol.errors import MalformedError, NotProvedError
from protocol.event import MAX_EVENT_BYTES, MAX_EVENT_ITEMS, VERSION
from protocol.log.checkpoint import LogVerifier, VerifiedCheckpoint, verify_checkpoint
from protocol.log.merkle import leaf_hash, prefix_root, verify_inclusion
from protocol.log.note import parse_note, serialize_note
from protocol.misbehaviour.proof import (
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
    notes_of,
)

ALLOWED_SKEW = timedelta(minutes=5)
"""How far an entry's time may lie on the wrong side of a checkpoint's: more than any wait for a batch."""


@dataclass(frozen=True, slots=True)
class Proved:
    """A proof that holds. ``index`` is the entry's, where there is one; ``at`` its time, where that is the lie.

    ``former_keys``: a checkpoint is signed with keys that the log has replaced. A thief of those could have made it,
    so ask when they were replaced and whether they were ever lost.
    """

    kind: MisbehaviourKind
    origin: str
    checkpoints: tuple[VerifiedCheckpoint, ...]
    index: int | None = None
    at: datetime | None = None
    former_keys: bool = False

    @property
    def first_signed_at(self) -> datetime | None:
        """When the earlier of the checkpoints was signed, by the log's own word; None when one does not say."""
        times = [checkpoint.signed_at for checkpoint in self.checkpoints]
        return min(time for time in times if time is not None) if None not in times else None


def verify_proof(proof: Proof, verifier: LogVerifier) -> Proved:
    """What the proof proves of the log whose keys ``verifier`` holds. Raises

    :class:`CheckpointInvalidError`: a checkpoint is not this log's. :class:`ProofInvalidError`: a path leads nowhere;
    :class:`NotProvedError` among them: all parts are genuine and contradict nothing. :class:`MalformedError`: the entry
    is not one, or a checkpoint is not in the one form that proofs have.
    """
    if proof.origin != verifier.origin:
        raise NotProvedError("the proof is about another log")
    opened = tuple(verify_checkpoint(note, verifier) for note in notes_of(proof))
    if any(own_lines(note, verifier) != note for note in notes_of(proof)):
        # One lie, one file: else anyone makes a new digest of it with a line of nobody's, or two lines exchanged.
        raise MalformedError("a checkpoint in a proof has the two lines of its log, in their order, and no others")
    at = _judge(proof, opened)
    index = None if isinstance(proof, TwoTrees | Fork | Shrunk) else proof.index
    former = any(verifier.keys_of(parse_note(note))[1] is not None for note in notes_of(proof))
    return Proved(proof.kind, proof.origin, opened, index, at, former)


def own_lines(note: bytes, verifier: LogVerifier) -> bytes:
    """The note with the log's own two signature lines alone, Ed25519 first: the form of a checkpoint in a proof.

    Raises :class:`MalformedError` and its kin.
    """
    parsed = parse_note(note)
    key_ids = verifier.keys_of(parsed)[0].key_ids
    own = [line for line in parsed.signatures if line.name == verifier.origin and line.key_id in key_ids]
    return serialize_note(parsed.text, tuple(sorted(own, key=lambda line: key_ids.index(line.key_id))))


def entry_time(entry: bytes) -> datetime:
    """When an entry says that it was logged, whatever else it says; raises :class:`MalformedError` and its kin."""
    value = cbor.decode(entry, max_bytes=MAX_EVENT_BYTES, max_depth=3, max_items=MAX_EVENT_ITEMS)
    if type(value) is not dict or type(value.get(1)) is not int or value[1] != VERSION:
        raise MalformedError("the entry is not of a version that says when it was logged")
    return from_ms(value.get(3))


def is_late(at: datetime, signed_at: datetime | None) -> bool:
    """Whether an entry says a time after its own checkpoint's, by more than the allowed skew (``post-dated``)."""
    # A difference, not a sum: near the year 9999 a sum has no value.
    return signed_at is not None and at - signed_at > ALLOWED_SKEW


def is_early(at: datetime, index: int, seen: VerifiedCheckpoint) -> bool:
    """Whether an entry that was not there at ``seen`` says a time before it, by more than that (``back-dated``)."""
    return seen.signed_at is not None and index >= seen.checkpoint.size and seen.signed_at - at > ALLOWED_SKEW


def _judge(proof: Proof, opened: tuple[VerifiedCheckpoint, ...]) -> datetime | None:
    """Return if the proof holds, with the entry's time where that is what is wrong."""
    match proof:
        case TwoTrees():
            _two_trees(*opened)
        case Fork():
            _other_prefix(proof.nodes, *opened)
        case Shrunk():
            _shrunk(*opened)
        case IndexTwice():
            _two_leaves(proof, proof.leaf, *opened)
        case Rewritten():
            _not_before(*opened)
            _two_leaves(proof, leaf_hash(proof.entry), *opened)
        case Dropped():
            _not_before(*opened)
            _included(proof, opened[0])
            _other_prefix(proof.nodes, *opened)
        case BackDated():
            return _back_dated(proof, *opened)
        case PostDated():
            return _post_dated(proof, *opened)
    return None


def _two_trees(first: VerifiedCheckpoint, second: VerifiedCheckpoint) -> None:
    if first.checkpoint.size != second.checkpoint.size:
        raise NotProvedError("the checkpoints are of different sizes")
    if first.checkpoint.root == second.checkpoint.root:
        raise NotProvedError("the checkpoints have the same root")


def _other_prefix(nodes: tuple[bytes, ...], first: VerifiedCheckpoint, second: VerifiedCheckpoint) -> None:
    old, new = first.checkpoint, second.checkpoint
    if prefix_root(old.size, new.size, new.root, nodes) == old.root:
        raise NotProvedError("the second checkpoint extends the first")


def _shrunk(first: VerifiedCheckpoint, second: VerifiedCheckpoint) -> None:
    if _time(second) <= _time(first):
        raise NotProvedError("the second checkpoint was not signed later")
    if second.checkpoint.size >= first.checkpoint.size:
        raise NotProvedError("the second checkpoint is not smaller")


def _two_leaves(
    proof: IndexTwice | Rewritten, leaf: bytes, first: VerifiedCheckpoint, second: VerifiedCheckpoint
) -> None:
    one, other = first.checkpoint, second.checkpoint
    verify_inclusion(leaf, proof.index, one.size, proof.path, one.root)
    verify_inclusion(proof.other, proof.index, other.size, proof.other_path, other.root)
    if leaf == proof.other:
        raise NotProvedError("the same leaf stands at that index under both checkpoints")


def _back_dated(proof: BackDated, first: VerifiedCheckpoint, second: VerifiedCheckpoint) -> datetime:
    _included(proof, first)
    if proof.index < second.checkpoint.size:
        raise NotProvedError("the entry may have been there when the second checkpoint was signed")
    at = entry_time(proof.entry)
    if at >= _time(second) - ALLOWED_SKEW:
        raise NotProvedError("the entry's time is not before the second checkpoint's by more than the allowed skew")
    return at


def _post_dated(proof: PostDated, first: VerifiedCheckpoint) -> datetime:
    _included(proof, first)
    at = entry_time(proof.entry)
    if at <= _time(first) + ALLOWED_SKEW:
        raise NotProvedError("the entry's time is not after the checkpoint's by more than the allowed skew")
    return at


def _included(proof: Dropped | BackDated | PostDated, under: VerifiedCheckpoint) -> None:
    tree = under.checkpoint
    verify_inclusion(leaf_hash(proof.entry), proof.index, tree.size, proof.path, tree.root)


def _not_before(first: VerifiedCheckpoint, second: VerifiedCheckpoint) -> None:
    if _time(second) < _time(first):
        raise NotProvedError("the second checkpoint was signed before the first")


def _time(checkpoint: VerifiedCheckpoint) -> datetime:
    if checkpoint.signed_at is None:
        raise NotProvedError("a checkpoint does not say when it was signed")
    return checkpoint.signed_at

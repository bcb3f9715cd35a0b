"""The proof file: what a node signed, laid side by side so that anyone sees that it lied (docs/misbehaviour.md).

A file is canonical CBOR::

    { 1: "comity/misbehaviour/1", 2: kind, 3: origin of the accused log, 4: { part number: part } }

It holds everything but the public keys of the accused log, and nothing that its kind does not need. A proof taken apart
proves nothing yet: see :func:`protocol.misbehaviour.verify.verify_proof`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from hashlib import sha256
from typing import Any, ClassVar

from protocol.encoding import cbor
from protocol.errors import MalformedError, UnsupportedVersionError
from protocol.event import MAX_EVENT_BYTES
from protocol.log.merkle import HASH_BYTES, MAX_PATH_HASHES, MAX_SIZE, leaf_hash
from protocol.log.note import check_key_name

SCHEMA = "comity/misbehaviour/1"
SUFFIX = ".proof"
MAX_PROOF_BYTES = 65_536
# Two signature lines, one of them ML-DSA-44, and a name of 255 bytes three times.
MAX_NOTE_BYTES = 8_192

_SCHEMA_FAMILY = "comity/misbehaviour/"


class MisbehaviourKind(StrEnum):
    """What is proved of a log. A code never changes its meaning."""

    TWO_TREES = "two-trees"
    FORK = "fork"
    INDEX_TWICE = "index-twice"
    REWRITTEN = "rewritten"
    DROPPED = "dropped"
    SHRUNK = "shrunk"
    BACK_DATED = "back-dated"
    POST_DATED = "post-dated"


@dataclass(frozen=True, slots=True)
class TwoTrees:
    """Two checkpoints of one size have different roots."""

    kind: ClassVar[MisbehaviourKind] = MisbehaviourKind.TWO_TREES
    origin: str
    first: bytes
    second: bytes


@dataclass(frozen=True, slots=True)
class Fork:
    """The leaves that the first checkpoint signs are not the first leaves of the second.

    ``nodes`` lead to the second's root, and to another root than the first's for as many leaves.
    """

    kind: ClassVar[MisbehaviourKind] = MisbehaviourKind.FORK
    origin: str
    first: bytes
    second: bytes
    nodes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class IndexTwice:
    """Two different leaf hashes stand at one index, each under a checkpoint of its own. No entry is shown."""

    kind: ClassVar[MisbehaviourKind] = MisbehaviourKind.INDEX_TWICE
    origin: str
    first: bytes
    second: bytes
    index: int
    leaf: bytes
    path: tuple[bytes, ...]
    other: bytes
    other_path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """An entry that was receipted: under a checkpoint not signed before, something else stands at its index."""

    kind: ClassVar[MisbehaviourKind] = MisbehaviourKind.REWRITTEN
    origin: str
    first: bytes
    second: bytes
    index: int
    entry: bytes
    path: tuple[bytes, ...]
    other: bytes
    other_path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """An entry that was receipted: the log as signed later does not begin with the tree that held it."""

    kind: ClassVar[MisbehaviourKind] = MisbehaviourKind.DROPPED
    origin: str
    first: bytes
    second: bytes
    nodes: tuple[bytes, ...]
    index: int
    entry: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The second checkpoint was signed later than the first, and is smaller."""

    kind: ClassVar[MisbehaviourKind] = MisbehaviourKind.SHRUNK
    origin: str
    first: bytes
    second: bytes


@dataclass(frozen=True, slots=True)
class BackDated:
    """An entry under the first checkpoint says a time before the second, which was signed without it."""

    kind: ClassVar[MisbehaviourKind] = MisbehaviourKind.BACK_DATED
    origin: str
    first: bytes
    second: bytes
    index: int
    entry: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class PostDated:
    """An entry says a time after the checkpoint that it stands under."""

    kind: ClassVar[MisbehaviourKind] = MisbehaviourKind.POST_DATED
    origin: str
    first: bytes
    index: int
    entry: bytes
    path: tuple[bytes, ...]


Proof = TwoTrees | Fork | IndexTwice | Rewritten | Dropped | Shrunk | BackDated | PostDated

_CLASSES: dict[str, type[Any]] = {
    kind.kind.value: kind for kind in (TwoTrees, Fork, IndexTwice, Rewritten, Dropped, Shrunk, BackDated, PostDated)
}
_PARTS = {
    "first": 1,
    "second": 2,
    "nodes": 3,
    "index": 4,
    "entry": 5,
    "leaf": 6,
    "path": 7,
    "other": 8,
    "other_path": 9,
}
_HASH_LISTS = frozenset({"nodes", "path", "other_path"})
_MAX_BYTES = {"first": MAX_NOTE_BYTES, "second": MAX_NOTE_BYTES, "entry": MAX_EVENT_BYTES}


def encode_proof(proof: Proof) -> bytes:
    """The proof file."""
    parts = {number: _to_part(name, getattr(proof, name)) for name, number in _parts_of(type(proof)).items()}
    return cbor.encode({1: SCHEMA, 2: proof.kind.value, 3: proof.origin, 4: parts})


def decode_proof(data: bytes) -> Proof:
    """The proof in a file, **not verified**; raises :class:`MalformedError` and its kin."""
    value = cbor.decode(data, max_bytes=MAX_PROOF_BYTES, max_depth=3)
    if type(value) is not dict or type(value.get(1)) is not str or not value[1].startswith(_SCHEMA_FAMILY):
        raise MalformedError("the file is not a proof of misbehaviour")
    if value[1] != SCHEMA:
        raise UnsupportedVersionError("the proof is of a version that this program does not know")
    if value.keys() != {1, 2, 3, 4} or type(value[4]) is not dict or type(value[3]) is not str:
        raise MalformedError("a proof is a map of its schema, kind, origin and parts")
    kind = _CLASSES.get(value[2]) if type(value[2]) is str else None
    if kind is None:
        raise UnsupportedVersionError("the proof is of a kind that this program does not know")
    check_key_name(value[3])
    numbers = _parts_of(kind)
    if value[4].keys() != set(numbers.values()):
        raise MalformedError("the proof does not hold exactly the parts of its kind")
    found: Proof = kind(
        origin=value[3], **{name: _from_part(name, value[4][number]) for name, number in numbers.items()}
    )
    return found


def proof_digest(data: bytes) -> bytes:
    """What names a proof file: the SHA-256 of its bytes."""
    return sha256(data).digest()


def file_name(origin: str, kind: MisbehaviourKind, digest: bytes) -> str:
    """What a proof file is called: it names neither the node nor a message."""
    return f"{sha256(origin.encode()).hexdigest()[:16]}-{kind.value}-{digest.hex()[:16]}{SUFFIX}"


def without_entry(proof: Proof) -> Proof | None:
    """A proof of the same lie that shows hashes only; None where only the entry itself shows it.

    Entries are for the parties of a message and for auditors; anyone may see hashes.
    """
    match proof:
        case Rewritten():
            return IndexTwice(
                proof.origin,
                proof.first,
                proof.second,
                proof.index,
                leaf_hash(proof.entry),
                proof.path,
                proof.other,
                proof.other_path,
            )
        case Dropped():
            return Fork(proof.origin, proof.first, proof.second, proof.nodes)
        case BackDated() | PostDated():
            return None
        case _:
            return proof


def entry_of(proof: Proof) -> bytes | None:
    """The entry that stands in a proof; None where it shows hashes only."""
    return None if isinstance(proof, TwoTrees | Fork | IndexTwice | Shrunk) else proof.entry


def shows_entry(proof: Proof) -> bool:
    """Whether an entry stands in the proof: then it is not for everyone."""
    return entry_of(proof) is not None


def notes_of(proof: Proof) -> tuple[bytes, ...]:
    """The checkpoints in a proof."""
    return (proof.first,) if isinstance(proof, PostDated) else (proof.first, proof.second)


def _parts_of(kind: type[Any]) -> dict[str, int]:
    return {field.name: _PARTS[field.name] for field in fields(kind) if field.name != "origin"}


def _to_part(name: str, value: Any) -> Any:
    return b"".join(value) if name in _HASH_LISTS else value


def _from_part(name: str, value: Any) -> Any:
    if name == "index":
        if type(value) is not int or not 0 <= value <= MAX_SIZE:
            raise MalformedError("an index is an unsigned integer of 64 bits")
        return value
    if type(value) is not bytes:
        raise MalformedError("the parts of a proof are byte strings, and its index a number")
    if name in _HASH_LISTS:
        if len(value) % HASH_BYTES or len(value) > MAX_PATH_HASHES * HASH_BYTES:
            raise MalformedError(f"a path is at most {MAX_PATH_HASHES} hashes of {HASH_BYTES} bytes")
        return tuple(value[at : at + HASH_BYTES] for at in range(0, len(value), HASH_BYTES))
    if name in {"leaf", "other"} and len(value) != HASH_BYTES:
        raise MalformedError(f"a leaf hash has {HASH_BYTES} bytes")
    if len(value) > _MAX_BYTES.get(name, HASH_BYTES):
        raise MalformedError("a part of the proof is larger than its kind can be")
    return value

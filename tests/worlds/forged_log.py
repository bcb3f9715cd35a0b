"""A log in memory that signs whatever it is told to: for proofs of lies, and for honest logs that have none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from protocol.errors import LogUnavailableError
from protocol.event import Event, EventName, encode_event
from protocol.log.checkpoint import Checkpoint, SoftLogSigner, sign_checkpoint
from protocol.log.merkle import leaf_hash
from protocol.log.tiles import TileTree
from protocol.receipt import Receipt

ORIGIN = "test-federation/fr"
SIGNER = SoftLogSigner(ORIGIN, bytes(32), bytes(32))
VERIFIER = SIGNER.verifier
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def entry(number: int, at: datetime = NOON) -> bytes:
    """The ``number``-th event about some message, logged at ``at``."""
    message_id = UUID(int=(0x7 << 76) | (0x8 << 60) | number)
    return encode_event(Event(EventName.RelayAcceptance, at, message_id, bytes(32), bytes(16), peer="jp"))


def entries(count: int, at: datetime = NOON) -> list[bytes]:
    """Some entries."""
    return [entry(number, at) for number in range(count)]


def tree_of(leaves: Sequence[bytes]) -> TileTree:
    """The tree of these entries."""
    tree = TileTree(0, _no_tile)
    for leaf in leaves:
        tree.append(leaf_hash(leaf))
    return tree


def signed(leaves: Sequence[bytes], at: datetime = NOON, signer: SoftLogSigner = SIGNER) -> bytes:
    """The checkpoint of the tree of these entries."""
    tree = tree_of(leaves)
    return sign_checkpoint(Checkpoint(signer.origin, tree.size, tree.root()), signer, at)


def receipt(leaves: Sequence[bytes], index: int, at: datetime = NOON, signer: SoftLogSigner = SIGNER) -> Receipt:
    """The receipt of one of the entries, under the checkpoint of all."""
    path = tuple(tree_of(leaves).inclusion_path(index))
    return Receipt(leaves[index], index, path, signed(leaves, at, signer))


def later(seconds: float) -> datetime:
    """So long after noon."""
    return NOON + timedelta(seconds=seconds)


def _no_tile(level: int, index: int) -> bytes:
    raise LogUnavailableError("this tree was not stored")

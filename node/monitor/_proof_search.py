"""Making proof of what a partner's log contradicts: from what is held, and from hashes that the log itself must show.

The hashes come as tiles from the accused log. They are not trusted: they prove something when they lead to a root that
the log signed. A log that shows none, or other ones, keeps its lie from being proved here, not from being seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from node.peers.client import PartnerClient
from node.store.reads import Reads
from protocol.errors import LogUnavailableError
from protocol.log.checkpoint import Checkpoint, LogVerifier, parse_checkpoint
from protocol.log.merkle import prefix_root
from protocol.log.remote import Fetch, RemoteTree, answer
from protocol.log.tiles import TileTree
from protocol.misbehaviour.proof import Proof
from protocol.misbehaviour.search import about_receipt, between_checkpoints, between_receipts
from protocol.receipt import Receipt

NOTES_AT_ONCE = 256
_TURN = 32


async def extends(head: Checkpoint, old_size: int, old_root: bytes, tree: RemoteTree, fetch: Fetch) -> bool:
    """Whether the tree of ``old_size`` leaves under ``old_root`` is the beginning of the head's.

    Raises what ``fetch`` raises, and :class:`ProofInvalidError` when the hashes do not lead to the head.
    """
    if old_size == head.size:
        return old_root == head.root
    if old_size == 0:
        return True
    nodes = await answer(tree, fetch, lambda: tree.tree().prefix_nodes(old_size))
    return prefix_root(old_size, head.size, head.root, nodes) == old_root


def held(kept: Receipt | bytes, shown: Receipt | bytes, verifier: LogVerifier) -> Proof | None:
    """What two receipts or two checkpoints prove without the log being asked."""
    if isinstance(kept, Receipt) and isinstance(shown, Receipt):
        return between_receipts(kept, shown, verifier)
    one, other = (held.checkpoint if isinstance(held, Receipt) else held for held in (kept, shown))
    try:
        return between_checkpoints(one, other, verifier, _no_tree)
    except LogUnavailableError:
        return None


class ProofSearch:
    """Looks for proofs. Raises whatever keeps it from finding out, as typed errors."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def notes(self, client: PartnerClient, one: bytes, other: bytes, verifier: LogVerifier) -> Proof | None:
        """What two checkpoints prove with the log's own tiles; with the entry where a receipt under one is kept."""
        sizes = {parse_checkpoint(note).size: note for note in (one, other)}
        tree, head = RemoteTree(max(sizes)), sizes[max(sizes)]
        for note in (one, other):
            receipt = await self._reads.foreign_receipt(note)
            if receipt is not None and note != head:
                return await answer(tree, client.tile, lambda: about_receipt(receipt, head, verifier, tree.tree))  # noqa: B023 - awaited here
        return await answer(tree, client.tile, lambda: between_checkpoints(one, other, verifier, tree.tree))

    async def unlike(
        self, client: PartnerClient, head: bytes, notes: Sequence[tuple[int, bytes]]
    ) -> tuple[int | None, bytes | None]:
        """Compares numbered checkpoints of receipts with the log's verified ``head``.

        Returns the number of the last one that the head extends, and the first note that it does not (None: all).
        Checkpoints beyond the head end the comparison: they are for the next head.
        """
        present = parse_checkpoint(head)
        tree, last = RemoteTree(present.size), None
        for position, (number, note) in enumerate(notes):
            if position % _TURN == _TURN - 1:
                await asyncio.sleep(0)
            seen = parse_checkpoint(note)
            if seen.size > present.size:
                return last, None
            if not await extends(present, seen.size, seen.root, tree, client.tile):
                return last, note
            last = number
        return last, None


def _no_tree() -> TileTree:
    raise LogUnavailableError("the log was not asked")

"""Which log entries an auditor is shown: the one place that every answer with an entry in it asks.

Entries leave a node in bundles (``/log/tile/entries``, ``/log/scoped``), in proofs of misbehaviour
(``/v1/misbehaviour``) and in exported tiles. Receipts go to the parties of a message alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from keys.directory.audit_rights import AuditRight, audit_right
from keys.directory.view import Directory
from node.store.reads import Reads
from protocol.address import Address
from protocol.directory_seen import decode_entry
from protocol.errors import ComityError, ForbiddenError
from protocol.event import Event
from protocol.log.merkle import leaf_hash
from protocol.log.scoped import BundleItem, Withheld
from protocol.misbehaviour.proof import Proof, entry_of


def right_of(desk: Address | None, directory: Directory, log_of: str) -> AuditRight:
    """What a desk may read of the log of the node ``log_of``; raises :class:`ForbiddenError` when it is nothing."""
    if desk is None:
        raise ForbiddenError("log entries are for auditors")
    return audit_right(directory.node(log_of), directory.contact_point(desk))


def seen_by(right: AuditRight, items: Sequence[BundleItem], nations: Sequence[frozenset[str]]) -> list[BundleItem]:
    """The items, those that are not for this auditor as their hashes; ``nations`` as the store knows them."""
    if right.everything:
        return list(items)
    return [_seen(right, item, known) for item, known in zip(items, nations, strict=True)]


async def shows_proof(desk: Address | None, directory: Directory, reads: Reads, proof: Proof) -> bool:
    """Whether a desk, an auditor's, may see the entry in a proof, of whichever log; True when none is in it."""
    entry = entry_of(proof)
    if entry is None:
        return True
    try:
        right = right_of(desk, directory, directory.node_of_origin(proof.origin))
        return right.everything or not isinstance(_seen(right, entry, await _nations(reads, entry)), Withheld)
    except ComityError:
        return False  # the log is of nobody any more, or the entry is none: then it is for nobody else


def _seen(right: AuditRight, item: BundleItem, nations: frozenset[str]) -> BundleItem:
    """The entry if it is for this auditor. An entry about no message names nobody, and is for every auditor."""
    if isinstance(item, Withheld):
        return item
    event = decode_entry(item)
    if not isinstance(event, Event):
        return item
    if event.recipient is not None:
        nations |= {event.recipient.node}
    return item if right.covers(event.at, event.message_id, nations) else Withheld(leaf_hash(item))


async def _nations(reads: Reads, entry: bytes) -> frozenset[str]:
    event = decode_entry(entry)
    return await reads.message_nations(event.message_id, event.digest) if isinstance(event, Event) else frozenset()

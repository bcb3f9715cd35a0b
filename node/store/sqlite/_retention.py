"""Erasing entries whose time is over: their data goes, their hashes stay, and so does the tree."""

from __future__ import annotations

from node.store.operations import EraseEntries
from node.store.sqlite._rows import Result, Rows
from protocol.directory_seen import NAME
from protocol.log.merkle import HASH_BYTES, leaf_hash

# A message's rows go when it expired and everyone has it, and some time after (PurgeDelivered): until then its entries
# are needed for repeats, mailboxes and partners.
_ERASABLE = (
    "SELECT e.idx, e.leaf FROM event e WHERE e.idx >= ? AND e.idx < ? AND length(e.leaf) > ? AND e.name <> ?"
    " AND NOT EXISTS (SELECT 1 FROM message m WHERE m.id = e.message) ORDER BY e.idx"
)
_WAITING = "SELECT event FROM outbound WHERE event >= ? AND event < ?"
_ERASE = "UPDATE event SET leaf = ?, recipient = NULL, rejection = NULL, nations = NULL WHERE idx = ?"


def erase_entries(rows: Rows, operation: EraseEntries) -> Result:
    """See :class:`~node.store.operations.EraseEntries`."""
    end = min(operation.end, rows.tree.size)
    waiting = {row[0] for row in rows.execute(_WAITING, (operation.first, end))}
    found = rows.execute(_ERASABLE, (operation.first, end, HASH_BYTES, NAME)).fetchall()
    erased = [(leaf_hash(leaf), index) for index, leaf in found if index not in waiting]
    if not erased:
        return Result()
    # SQLite overwrites what it lets go of; this costs writes, so it is on for these rows only.
    rows.execute("PRAGMA secure_delete = ON").fetchone()
    try:
        rows.executemany(_ERASE, erased)
    finally:
        rows.execute("PRAGMA secure_delete = OFF").fetchone()
    rows.erased.append((operation.first, end))
    return Result(count=len(erased))

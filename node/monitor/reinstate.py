"""Trusting a partner's log again, by the operator's decision: what it signed until then is settled.

Settled is not forgotten: the proofs stay as files. But nothing that the log signed up to now is compared any more, or
the next checkpoint would contradict the old ones again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path

from node.monitor.monitor import MonitorState
from node.monitor.proof_files import ProofFiles
from node.settings import NodeHome
from node.store.sqlite.connection import database_errors
from protocol.address import node_of
from protocol.errors import CheckpointInvalidError, NotFoundError
from protocol.log.checkpoint import parse_checkpoint


def reinstate_trust(files: NodeHome, database: Path, node: str, at: datetime) -> None:
    """Settle what is held against the log of ``node``; the caller holds the database's lock.

    Raises :class:`NotFoundError` when nothing is, and typed errors of storage: then the same can be done again.
    """
    state, proofs = MonitorState.load(files.monitor), ProofFiles(files.misbehaviour)
    notes = state.evidence.pop(node, None)
    origins = {kept.proof.origin for kept in proofs.open() if node_of(kept.proof.origin) == node}
    if notes is None and not origins:
        raise NotFoundError(f"nothing is held against the log of {node}")
    origins |= _origins(notes or ())
    for origin in sorted(origins):
        proofs.settle(origin, at)
    if database.exists():
        state.compared[node] = _forget(database, origins)
    state.proved.pop(node, None)
    state.save(files.monitor)


def _origins(notes: Iterable[bytes]) -> set[str]:
    found = set()
    for note in notes:
        try:
            found.add(parse_checkpoint(note).origin)
        except CheckpointInvalidError:  # kept by an earlier version, or damaged: it names no log
            continue
    return found


def _forget(database: Path, origins: Iterable[str]) -> int:
    """Forget the newest checkpoints seen of these logs; the number of the last checkpoint with receipts."""
    with (
        database_errors("the database cannot be written"),
        closing(sqlite3.connect(database)) as connection,
        connection,
    ):
        connection.executemany("DELETE FROM peer_checkpoint WHERE origin = ?", [(origin,) for origin in origins])
        last = connection.execute("SELECT max(id) FROM foreign_checkpoint").fetchone()[0]
    return int(last or 0)

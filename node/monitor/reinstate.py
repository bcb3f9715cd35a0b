"""Trusting a partner's log again, by the operator's decision: what it signed until then is settled.

Settled is not forgotten: the proofs stay as files. But nothing that the log signed up to now is compared any more, or
the next checkpoint would contradict the old ones again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from keys.local.files import sync_folder
from node.monitor.distrust import FOLDER, Distrust
from node.monitor.monitor import MonitorState
from node.monitor.proof_files import ProofFiles
from node.settings import NodeHome
from node.store.disk_errors import storage_errors
from node.store.sqlite.connection import database_errors
from protocol.address import node_of
from protocol.errors import CheckpointInvalidError, MonitorDamagedError, NotFoundError, UsageError
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
    # Last: if this is broken off, the partner is still distrusted, and the same can be done again.
    Distrust(files.monitor.with_name(FOLDER)).drop(node)


def rebuild_monitor(files: NodeHome, database: Path, named: Sequence[str], *, nobody: bool) -> list[str]:
    """Make a damaged witness file anew; who is distrusted then. The caller holds the database's lock.

    The trees that this witness cosigned and saw stand in the database and are not touched: it signs nothing that it
    would not have signed before. ``named`` are distrusted beside those that :mod:`node.monitor.distrust` has; with
    ``nobody`` the operator says that there are none. Raises :class:`MonitorDamagedError` when nobody knows who is
    distrusted or what was cosigned, and :class:`UsageError` when the file is not damaged.
    """
    try:
        MonitorState.load(files.monitor)
    except MonitorDamagedError:
        pass
    else:
        raise UsageError(f"{files.monitor} is not damaged: nothing is to be done")
    if not database.exists():
        raise MonitorDamagedError(
            "the database is missing too: nobody knows which trees were cosigned here, and the witness could sign a"
            " fork. Restore the newest backup, or take new witness keys (comity-node rotate begin --witness)"
        )
    kept = Distrust(files.monitor.with_name(FOLDER)).read()
    if kept is None and not named and not nobody:
        raise MonitorDamagedError(
            "the folder distrusted is missing too: nobody knows whose logs contradicted themselves. Restore both from"
            " the newest backup; without one, name each partner that the journal calls partner-log-distrusted with"
            " --distrusted, or say --nobody-distrusted"
        )
    evidence = {**{node: list[bytes]() for node in named}, **(kept or {})}
    with storage_errors(lambda _: "the witness file cannot be written"):
        if files.monitor.exists():
            _put_aside(files.monitor)
        MonitorState(evidence=evidence).save(files.monitor)
    return sorted(evidence)


def _put_aside(path: Path) -> None:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    sync_folder(path.parent)


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

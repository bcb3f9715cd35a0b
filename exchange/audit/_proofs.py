"""Writing the proofs that a reconciliation or a trace rests on: files that any C2SP tool can check, without us."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from exchange.audit.reconcile import Cited
from exchange.audit.trace import TraceRow
from exchange.audit.verify import VerifiedLog
from keys.local.files import write_file
from protocol.errors import UnavailableError


def proof_name(cited: Cited | TraceRow) -> str:
    """The file name of an entry's proof."""
    return f"{cited.node}-{cited.index}.tlog-proof"


def write_proofs(folder: Path, entries: Iterable[Cited | TraceRow], logs: Mapping[str, VerifiedLog]) -> int:
    """Write each entry, ``<node>-<index>.entry``, with its C2SP tlog-proof beside it; returns how many entries.

    Raises :class:`UnavailableError` when the folder cannot be written, and as :meth:`VerifiedLog.entry` does.
    """
    cited = {(entry.node, entry.index): entry for entry in entries}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for entry in cited.values():
            log = logs[entry.node]
            write_file(folder / proof_name(entry), log.proof(entry.index), durable=False)
            write_file(folder / f"{entry.node}-{entry.index}.entry", log.entry(entry.index), durable=False)
    except OSError as problem:
        raise UnavailableError(f"cannot write into {folder}: {problem.strerror}") from problem
    return len(cited)

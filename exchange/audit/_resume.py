"""How far the statements in a log were verified before, so that the next run goes on from there.

Remembered is the size and root of a tree all of whose entries were read and whose statements held. A mirror that leads
to that root at that size has these very entries, whatever folder it lies in. The tree itself is recomputed from the
entries every time, and which keys count is asked of the directory every time: what is spared is the signatures.
"""

from __future__ import annotations

from enum import IntEnum
from hashlib import sha256
from pathlib import Path

from exchange.audit.verify import VerifiedLog
from keys.local.files import PRIVATE_MODE, write_file
from protocol.encoding import cbor
from protocol.errors import ComityError, UnavailableError
from protocol.log.checkpoint import Checkpoint

_MAX_BYTES = 1024


class _Key(IntEnum):
    """The members of the file."""

    ORIGIN = 1
    SIZE = 2
    ROOT = 3


def verified_before(folder: Path, origin: str) -> Checkpoint | None:
    """The tree up to which the log was verified; None if it never was, or if what is kept of it cannot be read."""
    try:
        value = cbor.decode(_path(folder, origin).read_bytes(), max_bytes=_MAX_BYTES)
        kept = Checkpoint(value[_Key.ORIGIN], value[_Key.SIZE], value[_Key.ROOT])
    except (OSError, ComityError, LookupError, TypeError):
        return None  # then everything is verified
    return kept if kept.origin == origin else None


def keep_verified(folder: Path, log: VerifiedLog) -> None:
    """Remember how far this log was verified, of all times; raises :class:`UnavailableError`."""
    size = _verified_size(log)
    before = verified_before(folder, log.origin)
    if not size or (before is not None and before.size >= size):
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        written = cbor.encode(
            {_Key.ORIGIN.value: log.origin, _Key.SIZE.value: size, _Key.ROOT.value: log.tree.root(size)}
        )
        write_file(_path(folder, log.origin), written, mode=PRIVATE_MODE)
    except OSError as problem:
        raise UnavailableError(f"cannot write into {folder}: {problem.strerror}") from problem


def _verified_size(log: VerifiedLog) -> int:
    """How many first entries could all be read and have no finding; 0 when findings were too many to be listed."""
    if any(finding.code == "more-findings" for finding in log.findings):
        return 0
    bad = [finding.index for finding in log.findings if finding.index is not None]
    unseen = [] if log.unseen_from is None else [log.unseen_from]
    return min([log.tree.size, *bad, *unseen])


def _path(folder: Path, origin: str) -> Path:
    return folder / f"{sha256(origin.encode()).hexdigest()[:16]}.cbor"

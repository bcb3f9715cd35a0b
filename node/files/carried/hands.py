"""Through whose hands the files of a message went: what this node exported and imported, one small file a message."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from pathlib import Path

from keys.local.files import PRIVATE_MODE, write_file
from protocol.encoding import cbor
from protocol.errors import ComityError, StorageFullError

_MOST = 64
_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class CarriedHand:
    """``act`` is ``exported`` or ``imported``, last at the instant ``at``; the segments and bytes of that act.

    ``sender``, ``recipient`` and ``exported_at`` are those of the export; None where no signature of it verified.
    """

    act: str
    at: str
    sender: str | None
    recipient: str | None
    exported_at: str | None
    segments: int
    size_bytes: int

    def is_more_of(self, other: CarriedHand) -> bool:
        """Whether both are steps of one act."""
        return astuple(replace(self, at="", segments=0, size_bytes=0)) == astuple(
            replace(other, at="", segments=0, size_bytes=0)
        )


def read_hands(folder: Path, digest: bytes) -> tuple[CarriedHand, ...]:
    """What is kept of the message whose envelope has this digest, the oldest first; nothing where none can be read."""
    try:
        rows = cbor.decode((folder / f"{digest.hex()}.cbor").read_bytes(), max_bytes=_MAX_BYTES)
        return tuple(CarriedHand(*row) for row in rows)
    except (OSError, ComityError, TypeError):
        return ()


def note_hand(folder: Path, digest: bytes, hand: CarriedHand) -> None:
    """Add an act, durable on return; the steps of one act are one row. Raises :class:`StorageFullError`."""
    rows = list(read_hands(folder, digest))
    if rows and hand.is_more_of(rows[-1]):
        before = rows.pop()
        hand = replace(hand, segments=before.segments + hand.segments, size_bytes=before.size_bytes + hand.size_bytes)
    value = [list(astuple(row)) for row in [*rows, hand][-_MOST:]]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(folder / f"{digest.hex()}.cbor", cbor.encode(value), mode=PRIVATE_MODE)
    except OSError as problem:
        raise StorageFullError(f"cannot write below {folder}: {problem.strerror}") from problem

"""Through whose hands the files of a message went: what this node exported and imported, one small file a message."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import datetime
from pathlib import Path

from keys.directory.carried_signatures import hands_that_hold
from keys.directory.view import Directory
from keys.local.files import PRIVATE_MODE, write_file
from node.context import NodeContext
from protocol.bundle import decode_hands, encode_hands
from protocol.encoding import cbor
from protocol.errors import ComityError, StorageFullError

_MOST = 64
_SIGNED = ".signed"
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
    _write(folder, f"{digest.hex()}.cbor", cbor.encode(value))


class SignedHands:
    """Who carried the files of each message before they were here, as each signed it.

    They go on with the files, by whatever way: so the recipient's desk can show them. They decide nothing.
    """

    def __init__(self, folder: Path, node: NodeContext) -> None:
        self._folder = folder
        self._node = node

    async def of(self, digest: bytes) -> tuple[bytes, ...]:
        """What is known of the message whose envelope has this digest, the oldest first."""
        return await asyncio.to_thread(self._read, digest)

    async def keep(self, digest: bytes, given: Sequence[bytes]) -> None:
        """Keep what verifies of more of it, durable on return; where that cannot be, the files come all the same."""
        if given:
            try:
                directory, now = self._node.directory.current, self._node.clock()
                await asyncio.to_thread(self._keep, digest, given, directory, now)
            except ComityError as problem:
                self._node.log.warning("hands-not-kept", code=problem.code)

    def sweep(self, kept: Iterable[bytes]) -> None:
        """Forget those of messages that are not ``kept``."""
        names = {digest.hex() for digest in kept}
        for path in self._folder.glob(f"*{_SIGNED}"):
            if path.stem not in names:
                path.unlink(missing_ok=True)

    def _read(self, digest: bytes) -> tuple[bytes, ...]:
        try:
            return decode_hands((self._folder / f"{digest.hex()}{_SIGNED}").read_bytes())
        except (OSError, ComityError):
            return ()

    def _keep(self, digest: bytes, given: Sequence[bytes], directory: Directory, now: datetime) -> None:
        before = self._read(digest)
        fresh = [raw for raw in given if raw not in before]
        hands = hands_that_hold([*before, *fresh], digest, directory, now) if fresh else before
        if hands != before:
            _write(self._folder, f"{digest.hex()}{_SIGNED}", encode_hands(hands))


def _write(folder: Path, name: str, content: bytes) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(folder / name, content, mode=PRIVATE_MODE)
    except OSError as problem:
        raise StorageFullError(f"cannot write below {folder}: {problem.strerror}") from problem

"""Files in transit as an operator looks at them, in the database and the folder: the node may be running, or not."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from node.files.carried.hands import CarriedHand, read_hands
from node.operations.inspection import Inspection
from node.settings import NodeHome, NodeSettings
from node.store.file_reads import HopState
from protocol.encoding.instants import from_ms
from protocol.errors import NotFoundError, UsageError
from protocol.files.file_list import decode_list

MIN_ID_CHARS = 4


@dataclass(frozen=True, slots=True)
class FilesInTransit:
    """The files of one message. ``payer`` is who brought them; ``segments_here`` is None where nobody can look.

    ``segments`` is None before they were announced. ``waiting`` are the nodes and desks that are still to get them;
    ``hands`` is who exported and imported them where they were carried by hand, the oldest first. The room of what is
    missing, and its part of the quota, is reserved until ``reserved_until``, or later where some of it came since the
    node wrote that down last; None where nothing is missing, or was announced.
    """

    message_id: UUID
    digest: str
    payer: str
    files: int
    size_bytes: int
    segments: int | None
    segments_here: int | None
    whole_at: datetime | None
    expires_at: datetime
    waiting: tuple[str, ...]
    hands: tuple[CarriedHand, ...]
    reserved_until: datetime | None = None

    def lapsed(self, now: datetime) -> bool:
        """Whether nothing came for so long that the room of the rest may be others'."""
        return self.reserved_until is not None and self.reserved_until <= now


async def files_in_transit(
    inspection: Inspection, settings: NodeSettings, home: NodeHome, wanted: str = ""
) -> list[FilesInTransit]:
    """All that is kept here, or (``wanted``) that of messages whose id begins or ends so; the oldest first.

    Raises :class:`UsageError` for what is no part of an id, :class:`NotFoundError` when none is so.
    """
    text = wanted.replace("-", "").lower()
    if wanted and (len(text) < MIN_ID_CHARS or not all(sign in "0123456789abcdef" for sign in text)):
        raise UsageError(f"a message id, or {MIN_ID_CHARS} or more of its first or last characters, is needed")
    found = []
    for row in await inspection.file_sets():
        message_id, digest, payer, files, size, file_list, whole_ms, expires_ms, moved_ms, hops = row
        if wanted and not (message_id.hex().startswith(text) or message_id.hex().endswith(text)):
            continue
        parties = [line.rpartition(" ") for line in (hops or "").splitlines()]
        announced = None if file_list is None else decode_list(file_list)
        here = None
        if settings.files.store == "folder":
            here = await asyncio.to_thread(_segments_in, home.path / settings.files.folder / digest.hex())
        found.append(
            FilesInTransit(
                message_id=UUID(bytes=message_id),
                digest=digest.hex(),
                payer=payer,
                files=files,
                size_bytes=size,
                segments=None if announced is None else sum(file.segments for file in announced.files),
                segments_here=here,
                whole_at=None if whole_ms is None else from_ms(whole_ms),
                expires_at=from_ms(expires_ms),
                waiting=tuple(party for party, _, state in parties if int(state) == HopState.WAITS),
                hands=read_hands(home.hands, digest),
                reserved_until=None
                if announced is None or whole_ms is not None or moved_ms is None
                else from_ms(moved_ms) + timedelta(hours=settings.files.reserved_h),
            )
        )
    if wanted and not found:
        raise NotFoundError("this node keeps no files of such a message")
    return found


def _segments_in(folder: Path) -> int:
    try:
        return sum(not entry.name.startswith(".") for entry in os.scandir(folder))
    except FileNotFoundError:
        return 0

"""How much others have of the files that they fetch here, by what they say themselves. In memory, and bounded."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

from node.files._speed import Speed
from protocol.http.files import FilesShare

_MOST = 2_000


@dataclass(slots=True)
class ToldShare:
    """What one party said last of the files of one message, and when."""

    share: FilesShare
    at: datetime
    speed: Speed = field(default_factory=Speed)


class ToldShares:
    """Of each message (by the digest of its envelope) and party; those that said nothing for longest are forgotten."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[bytes, str], ToldShare] = OrderedDict()

    def note(self, digest: bytes, party: str, share: FilesShare, at: datetime) -> None:
        """The party says how much it has."""
        told = self._told.setdefault((digest, party), ToldShare(share, at))
        told.share, told.at = share, at
        told.speed.note(at, share.size_bytes)
        self._told.move_to_end((digest, party))
        if len(self._told) > _MOST:
            self._told.popitem(last=False)

    def of(self, digest: bytes, party: str) -> ToldShare | None:
        """What the party said last."""
        return self._told.get((digest, party))

"""What readers get of the files of messages: what is known of each set, and who waits for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol
from uuid import UUID

from protocol.address import Address
from protocol.files.file_list import FileSet


class HopState(IntEnum):
    """Where one of those stands who are to get a message's files from here."""

    WAITS = 0
    HAS = 1
    TO_BE_TOLD = 2  # that they were taken back
    GETS_NONE = 3


@dataclass(frozen=True, slots=True)
class FileHop:
    """A partner's node with the recipients behind it, or a desk that is served here (its address has an @)."""

    party: str
    state: HopState
    recipients: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class StoredFileSet:
    """The files of one message. ``peer`` brought it, None: it was submitted here; ``payer`` is whose room they take.

    ``file_list`` is None until they were announced; ``ended`` says that nothing is kept any more; ``moved_at`` is when
    they were announced, or some of them came last, as far as that was noted. ``end_reason`` is why they were let go
    before everyone had them, if that is so.
    """

    message_id: UUID
    digest: bytes
    sender: Address
    peer: str | None
    file_set: FileSet
    payer: str
    file_list: bytes | None
    expires: datetime
    whole_at: datetime | None
    done_at: datetime | None
    ended: bool
    hops: tuple[FileHop, ...]
    moved_at: datetime | None = None
    end_reason: str | None = None

    def state_of(self, party: str) -> HopState | None:
        """Where the party stands; None for one that is not to get them from here."""
        return next((hop.state for hop in self.hops if hop.party == party), None)


class FileReads(Protocol):
    """All that is read of the files of messages. They leave out everything that is not released yet; raise as
    ``Reads``."""

    async def file_set(self, digest: bytes) -> StoredFileSet | None:
        """The files of the message whose envelope has this digest; None for an unknown one, and one without files."""

    async def file_sets(self, after: bytes, limit: int) -> Sequence[StoredFileSet]:
        """Sets that are not ended, by digest, those above ``after``."""

    async def file_partners(self) -> Sequence[str]:
        """Nodes that wait for announced files, or are to be told that some were taken back."""

    async def files_for(self, party: str, limit: int, without: Collection[bytes] = ()) -> Sequence[StoredFileSet]:
        """What waits for ``party`` and was announced, or is to be told to it; the oldest first.

        Left out are those whose message the partner has not taken yet, and those of the digests ``without``.
        """

    async def files_from(self, peer: str, limit: int, without: Collection[bytes] = ()) -> Sequence[StoredFileSet]:
        """Sets of messages that ``peer`` brought, not whole and not ended; the oldest first, but for ``without``."""

    async def files_ending(
        self, now: datetime, done_before: datetime, limit: int, without: Collection[bytes] = ()
    ) -> Sequence[StoredFileSet]:
        """Sets that are not ended and whose message expired before ``now``, or for which nobody waited any more
        before ``done_before``, or at all where they may not rest; but for those of the digests ``without``."""

    async def envelope_waits(self, partner: str, now: datetime) -> bool:
        """Whether a message for the partner is due."""

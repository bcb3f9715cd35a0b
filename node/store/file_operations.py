"""What shall happen to the files of messages, in values. Their segments lie outside the database.

``digest`` is that of a message's envelope, ``caller`` a desk's address or a node's name. Every operation is refused
with ``FileUnknownError`` when no message of this digest with files is kept here that the caller may speak of.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from protocol.files.logged import LoggedFiles


@dataclass(frozen=True, slots=True)
class AnnounceFiles:
    """``caller``, from whom the message came, announced its files: keeps the list, and so the room that they take.

    A repeat changes nothing. Refused with ``FileQuotaError`` when the caller's files in transit would be more than
    ``quota_bytes`` together, ``FileGoneError`` when these were let go, ``ExpiredError``. Files that may not rest are
    over as soon as nobody waits for them.
    """

    digest: bytes
    caller: str
    file_list: bytes
    quota_bytes: int
    may_rest: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordFiles:
    """A large file, or the whole set, is here: logs FileAcceptance or FileRelayAcceptance(peer), by whence it came.

    Then FileConsignment for each desk here that waits for them. The receipts go to the sender. Logged once.
    """

    digest: bytes
    whole: LoggedFiles
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordFilesTaken:
    """The log of node ``partner`` proves that it has these files, which it got from here: it needs them no more.

    Refused with ``FileUnknownError`` when these are not all of the message's files.
    """

    message_id: UUID
    digest: bytes
    partner: str
    files: LoggedFiles
    at: datetime


@dataclass(frozen=True, slots=True)
class CancelFiles:
    """``caller``, from whom the message came, takes its files back: logs FileExpiry, unless nobody waited for them.

    ``Done.count`` is 1 when something was let go. Partners that wait for them are to be told.
    """

    digest: bytes
    caller: str
    whole: LoggedFiles
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordCancelTold:
    """``partner`` knows that the files were taken back, or has nothing of them."""

    digest: bytes
    partner: str


@dataclass(frozen=True, slots=True)
class RecordFilesExpired:
    """The message's time passed before everyone had its files: logs FileExpiry with the reason; nothing is kept."""

    digest: bytes
    reason: str
    whole: LoggedFiles
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordFilesDeleted:
    """Nobody waits for them here, and they were let go: logs FileDeletion."""

    digest: bytes
    whole: LoggedFiles
    at: datetime


FileOperation = (
    AnnounceFiles
    | RecordFiles
    | RecordFilesTaken
    | CancelFiles
    | RecordCancelTold
    | RecordFilesExpired
    | RecordFilesDeleted
)

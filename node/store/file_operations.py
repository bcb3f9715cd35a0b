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
class FilesQuota:
    """So many bytes of files in transit one caller may have.

    ``unclaimed_bytes`` of what it announced are neither here nor reserved any more, and do not count.
    """

    limit_bytes: int
    unclaimed_bytes: int


@dataclass(frozen=True, slots=True)
class AnnounceFiles:
    """``caller``, from whom the message came, announced its files: keeps the list, and so the room that they take.

    A repeat changes nothing. Refused with ``FileQuotaError`` when the caller's files in transit would be more than the
    quota together, ``FileGoneError`` when these were let go, ``ExpiredError``. Files that may not rest are over as soon
    as nobody waits for them.
    """

    digest: bytes
    caller: str
    file_list: bytes
    quota: FilesQuota
    may_rest: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class ReserveFilesAgain:
    """``caller`` goes on with files whose reservation ended: reserves the ``absent_bytes`` that are still to come.

    They are among the unclaimed ones of the quota. Refused as :class:`AnnounceFiles`.
    """

    digest: bytes
    caller: str
    absent_bytes: int
    quota: FilesQuota
    at: datetime


@dataclass(frozen=True, slots=True)
class NoteFilesMoved:
    """Something of the files of these messages came since this was noted last; unknown ones are passed over."""

    digests: tuple[bytes, ...]
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
    """The files are let go before their time: logs FileExpiry with the ``reason``, unless nobody waited for them.

    ``caller`` is from whom the message came. ``Done.count`` is 1 when something was let go. Partners that wait for them
    are to be told.
    """

    digest: bytes
    caller: str
    reason: str
    whole: LoggedFiles
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordCancelTold:
    """``partner`` knows that the files were taken back, or has nothing of them."""

    digest: bytes
    partner: str


@dataclass(frozen=True, slots=True)
class RecordFilesExpired:
    """The files end before everyone had them: logs FileExpiry with the ``reason``; nothing is kept.

    Partners that wait for them are to be told where that is before their time.
    """

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
    | ReserveFilesAgain
    | NoteFilesMoved
    | RecordFiles
    | RecordFilesTaken
    | CancelFiles
    | RecordCancelTold
    | RecordFilesExpired
    | RecordFilesDeleted
)

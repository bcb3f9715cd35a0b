"""The files of messages, as rows. Each function checks everything before its first write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from node.store._leaves import EventSubject
from node.store.file_operations import (
    AnnounceFiles,
    CancelFiles,
    FilesQuota,
    NoteFilesMoved,
    RecordCancelTold,
    RecordFiles,
    RecordFilesDeleted,
    RecordFilesExpired,
    RecordFilesTaken,
    ReserveFilesAgain,
)
from node.store.file_reads import HopState
from node.store.operations import Incoming, RecordStatement
from node.store.sqlite._rows import MessageRow, Result, Rows
from protocol.address import Address
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import (
    ExpiredError,
    FileGoneError,
    FileQuotaError,
    FileUnknownError,
    ForbiddenError,
    NotFoundError,
)
from protocol.event import Event, EventName
from protocol.files.file_list import decode_list
from protocol.files.logged import BEFORE_THEIR_TIME, LoggedFiles, check_logged, whole_set

_INSERT_SET = (
    "INSERT INTO file_set (message, digest, set_digest, files, bytes, payer, expires_ms) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_HOP = (
    "INSERT INTO file_hop (message, party, state, recipients) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (message, party) DO UPDATE SET state = excluded.state, recipients = excluded.recipients"
)
_FIND_HOP = "SELECT state, recipients FROM file_hop WHERE message = ? AND party = ?"
_INSERT_EVENT = "INSERT INTO file_event (message, event, party, file, idx) VALUES (?, ?, ?, ?, ?)"
_COUNT_EVENTS = "SELECT count(*) FROM file_event WHERE message = ? AND event = ? AND party = ?"
# A desk states something of each file alone and, at the most, as often of some of them together. The log is for ever.
_STATED_FOR_EACH_FILE = 2
_SET_HOP = "UPDATE file_hop SET state = ? WHERE message = ? AND party = ? AND state = ?"
# Those who wait get none; partners come into the state that is given.
_CLOSE = "UPDATE file_hop SET state = CASE WHEN instr(party, '@') > 0 THEN 3 ELSE ? END WHERE message = ? AND state = 0"
_MOVED = "UPDATE file_set SET moved_ms = ? WHERE digest = ?"
_BEGIN = frozenset({EventName.FileAcceptance, EventName.FileRelayAcceptance})
_ENDS = frozenset({EventName.FileDeletion, EventName.FileExpiry})
_END = "UPDATE file_set SET ended_ms = ?, end_reason = ? WHERE message = ?"
# Nobody waits any more: from then on the time runs after which they are let go.
_DONE = (
    "UPDATE file_set SET done_ms = ?1 WHERE message = ?2 AND done_ms IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM file_hop WHERE message = ?2 AND state = 0)"
)


FileParty = tuple[str, Iterable[Address]]
"""Who gets the files from here, a node or a desk, and the recipients whose they are."""


@dataclass(frozen=True, slots=True)
class _FileEvent:
    """An event of files: at which desk, or with which other node."""

    name: EventName
    desk: str | None = None
    peer: str | None = None


@dataclass(frozen=True, slots=True)
class _Ending:
    """Files end by this event, for the reason if it is a negative one."""

    event: EventName
    whole: LoggedFiles
    at: datetime
    reason: str | None = None


class _SetRow:
    """A message with files."""

    def __init__(self, rows: Rows, digest: bytes) -> None:
        found = rows.execute(
            "SELECT m.id, m.message_id, m.digest, m.sender, m.peer, m.expires_ms, f.set_digest, f.files, f.bytes,"
            " f.payer, f.list, f.ended_ms FROM file_set f JOIN message m ON m.id = f.message"
            " WHERE f.digest = ?",
            (digest,),
        ).fetchone()
        if found is None:
            raise FileUnknownError("no message of this digest with files is here")
        self.message = MessageRow(found[0], UUID(bytes=found[1]), *found[2:6])
        self.set_digest: bytes = found[6]
        self.files: int = found[7]
        self.bytes: int = found[8]
        self.payer: str = found[9]
        self.file_list: bytes | None = found[10]
        self.ended = found[11] is not None

    def about(self, recipient: str | None = None, peer: str | None = None) -> EventSubject:
        desk = None if recipient is None else Address.parse(recipient)
        return EventSubject(self.message.message_id, self.message.digest, desk, peer)

    def require_from(self, caller: str) -> None:
        if self.payer != caller:
            raise FileUnknownError("no message of this digest with files is here")


# --- With the message ------------------------------------------------------------------------------------------------


def keep_files(rows: Rows, message: int, incoming: Incoming, payer: str, parties: Iterable[FileParty]) -> None:
    """The message that was just accepted has files, for these parties (again: for these too)."""
    if incoming.file_set is None:
        return
    files = incoming.file_set
    if rows.execute("SELECT 1 FROM file_set WHERE message = ?", (message,)).fetchone() is None:
        expires_ms = to_ms(incoming.expires)
        row = (message, incoming.digest, files.digest, files.count, files.total_bytes, payer, expires_ms)
        rows.execute(_INSERT_SET, row)
    waits = [_wait_for(rows, message, party, recipients) for party, recipients in parties]
    if any(waits):
        # Somebody waits (again), also for the entry that says that the files are here.
        rows.execute("UPDATE file_set SET whole_ms = NULL, done_ms = NULL WHERE message = ?", (message,))


def _wait_for(rows: Rows, message: int, party: str, recipients: Iterable[Address]) -> bool:
    """The party is to get the files for these recipients too; whether it did not wait for any before.

    One that has them needs no more of them: it hands them on to its further recipients itself.
    """
    further = [str(recipient) for recipient in recipients]
    known = rows.execute(_FIND_HOP, (message, party)).fetchone()
    if known is None or known[0] == HopState.GETS_NONE:  # none of those before get the message from there
        rows.execute(_INSERT_HOP, (message, party, HopState.WAITS, " ".join(further)))
        return True
    together = " ".join(dict.fromkeys((*known[1].split(), *further)))
    if together != known[1]:
        rows.execute(_INSERT_HOP, (message, party, known[0], together))
    return False


def no_files_for(rows: Rows, message: int, party: str, refused: Sequence[str], at: datetime) -> None:
    """The party does not get the message for the ``refused`` recipients, and so none of its files for them."""
    known = rows.execute(_FIND_HOP, (message, party)).fetchone()
    if known is None or known[0] != HopState.WAITS:
        return
    left = " ".join(recipient for recipient in known[1].split() if recipient not in refused)
    if left and refused:
        rows.execute(_INSERT_HOP, (message, party, HopState.WAITS, left))
        return
    rows.execute(_SET_HOP, (HopState.GETS_NONE, message, party, HopState.WAITS))
    rows.execute(_DONE, (to_ms(at), message))


def forget_files(rows: Rows, messages: list[tuple[int]]) -> None:
    """Forget the rows of these messages, whose files are kept no more."""
    for table in ("file_set", "file_hop", "file_event"):
        rows.executemany(f"DELETE FROM {table} WHERE message = ?", messages)  # noqa: S608 - our own names


# --- On their way ----------------------------------------------------------------------------------------------------


def announce_files(rows: Rows, operation: AnnounceFiles) -> Result:
    """See :class:`~node.store.file_operations.AnnounceFiles`."""
    row = _SetRow(rows, operation.digest)
    row.require_from(operation.caller)
    if row.ended:
        raise FileGoneError("these files were let go here")
    if row.file_list is not None:
        return Result(duplicate=True)
    if from_ms(row.message.expires_ms) <= operation.at:
        raise ExpiredError("the message's expiry has passed")
    _require_quota(rows, operation.caller, row.bytes, operation.quota)
    kept = (operation.file_list, operation.may_rest, to_ms(operation.at), row.message.id)
    rows.execute("UPDATE file_set SET list = ?, may_rest = ?, moved_ms = ? WHERE message = ?", kept)
    return Result(count=1)


def reserve_files_again(rows: Rows, operation: ReserveFilesAgain) -> Result:
    """See :class:`~node.store.file_operations.ReserveFilesAgain`."""
    row = _SetRow(rows, operation.digest)
    row.require_from(operation.caller)
    if row.ended:
        raise FileGoneError("these files were let go here")
    if from_ms(row.message.expires_ms) <= operation.at:
        raise ExpiredError("the message's expiry has passed")
    _require_quota(rows, operation.caller, operation.absent_bytes, operation.quota)
    rows.execute(_MOVED, (to_ms(operation.at), operation.digest))
    return Result(count=1)


def note_files_moved(rows: Rows, operation: NoteFilesMoved) -> Result:
    """See :class:`~node.store.file_operations.NoteFilesMoved`."""
    changed = rows.executemany(_MOVED, [(to_ms(operation.at), digest) for digest in operation.digests])
    return Result(count=changed.rowcount)


def _require_quota(rows: Rows, caller: str, wanted: int, quota: FilesQuota) -> None:
    (announced,) = rows.execute(
        "SELECT COALESCE(sum(bytes), 0) FROM file_set WHERE payer = ? AND list IS NOT NULL AND ended_ms IS NULL",
        (caller,),
    ).fetchone()
    taken = announced - quota.unclaimed_bytes
    if taken + wanted > quota.limit_bytes:
        raise FileQuotaError(
            f"{caller} has {taken} bytes of files in transit here, and may have {quota.limit_bytes}: {wanted} more do"
            " not fit"
        )


def record_files(rows: Rows, operation: RecordFiles) -> Result:
    """See :class:`~node.store.file_operations.RecordFiles`."""
    row, whole, at = _SetRow(rows, operation.digest), operation.whole, operation.at
    if row.ended:
        raise FileGoneError("these files were let go here")
    message, peer = row.message, row.message.peer
    name = EventName.FileAcceptance if peer is None else EventName.FileRelayAcceptance
    desks = rows.execute(
        "SELECT party FROM file_hop WHERE message = ? AND state = 0 AND instr(party, '@') > 0 ORDER BY party",
        (message.id,),
    ).fetchall()
    wanted = [_FileEvent(name, peer=peer), *(_FileEvent(EventName.FileConsignment, desk) for (desk,) in desks)]
    indexes, fresh = [], False
    for event in wanted:
        known = _logged(rows, message.id, event.name, event.desk or "", whole.name or b"")
        if known is None:
            known, fresh = _log(rows, row, event, whole, at), True
        indexes.append(known)
    if whole.name is None:
        changed = "UPDATE file_set SET whole_ms = ? WHERE message = ? AND whole_ms IS NULL"
        rows.execute(changed, (to_ms(at), message.id))
    return Result(tuple(indexes), duplicate=not fresh)


def record_files_taken(rows: Rows, operation: RecordFilesTaken) -> Result:
    """See :class:`~node.store.file_operations.RecordFilesTaken`."""
    row = _SetRow(rows, operation.digest)
    if row.message.message_id != operation.message_id or row.file_list is None:
        raise FileUnknownError("the message has other files")
    if operation.files != whole_set(decode_list(row.file_list)):
        raise FileUnknownError("these are not all files of the message")
    return _hop_has(rows, row, operation.partner, operation.at)


def cancel_files(rows: Rows, operation: CancelFiles) -> Result:
    """See :class:`~node.store.file_operations.CancelFiles`."""
    row = _SetRow(rows, operation.digest)
    row.require_from(operation.caller)
    waiting = rows.execute("SELECT 1 FROM file_hop WHERE message = ? AND state = 0", (row.message.id,)).fetchone()
    if row.ended or waiting is None:
        return Result(duplicate=True)
    return _end(rows, row, _Ending(EventName.FileExpiry, operation.whole, operation.at, operation.reason))


def record_cancel_told(rows: Rows, operation: RecordCancelTold) -> Result:
    """See :class:`~node.store.file_operations.RecordCancelTold`."""
    row = _SetRow(rows, operation.digest)
    told = (HopState.GETS_NONE, row.message.id, operation.partner, HopState.TO_BE_TOLD)
    return Result(count=rows.execute(_SET_HOP, told).rowcount)


def record_files_expired(rows: Rows, operation: RecordFilesExpired) -> Result:
    """See :class:`~node.store.file_operations.RecordFilesExpired`."""
    ending = _Ending(EventName.FileExpiry, operation.whole, operation.at, operation.reason)
    return _end(rows, _SetRow(rows, operation.digest), ending)


def record_files_deleted(rows: Rows, operation: RecordFilesDeleted) -> Result:
    """See :class:`~node.store.file_operations.RecordFilesDeleted`."""
    ending = _Ending(EventName.FileDeletion, operation.whole, operation.at)
    return _end(rows, _SetRow(rows, operation.digest), ending)


def _end(rows: Rows, row: _SetRow, ending: _Ending) -> Result:
    if row.ended:
        return Result(duplicate=True)
    reasons = () if ending.reason is None else (ending.reason,)
    index = _log(rows, row, _FileEvent(ending.event), ending.whole, ending.at, reasons)
    rows.execute(_CLOSE, (_partners_when(ending.reason), row.message.id))
    told = rows.execute("SELECT party FROM file_hop WHERE message = ? AND state = 2", (row.message.id,))
    rows.partners.update(party for (party,) in told)
    rows.execute(_END, (to_ms(ending.at), ending.reason, row.message.id))
    return Result((index,), count=1)


def _partners_when(reason: str | None) -> HopState:
    """Where partners come that wait for files which end: they hold a part of them, and count on the rest."""
    return HopState.TO_BE_TOLD if reason in BEFORE_THEIR_TIME else HopState.GETS_NONE


# --- At a desk -------------------------------------------------------------------------------------------------------


def state_files(rows: Rows, operation: RecordStatement) -> Result:
    """What a desk states of files that were consigned to it; logged once for each file, and for the set."""
    stated, raw, at = operation.statement.statement, operation.statement.raw, operation.at
    row, desk = _SetRow(rows, stated.digest), str(stated.recipient)
    told = stated.files
    if told is None or row.file_list is None or row.message.message_id != stated.message_id:
        raise NotFoundError("no files of this message were consigned to this contact point here")
    check_logged(told, decode_list(row.file_list))
    known = _logged(rows, row.message.id, stated.event, desk, _key(told, row.files))
    if known is not None:
        return Result((known,), duplicate=True)
    before = EventName.FileHandover if stated.event is EventName.FileAccessTracking else EventName.FileConsignment
    if all(_logged(rows, row.message.id, before, desk, key) is None for key in (told.name or b"", b"")):
        raise NotFoundError("these files were not consigned to this contact point here, or not handed over before")
    (before_it,) = rows.execute(_COUNT_EVENTS, (row.message.id, stated.event.value, desk)).fetchone()
    if before_it >= _STATED_FOR_EACH_FILE * row.files:
        raise ForbiddenError("this contact point stated as much of these files as can be true")
    leaf = rows.leaf(stated.event, at, row.about(desk), reasons=stated.reasons, statement=raw, files=told)
    index = rows.append(leaf, at, stated.event, row.message.id, desk)
    rows.execute(_INSERT_EVENT, (row.message.id, stated.event.value, desk, _key(told, row.files), index))
    if stated.event is EventName.FileHandover and told.name is None and told.count == row.files:
        _hop_has(rows, row, desk, at)
    rows.to_sender(row.message, index, at)
    return Result((index,))


# --- After a loss ----------------------------------------------------------------------------------------------------


def import_file_event(rows: Rows, message: MessageRow, index: int, event: Event) -> None:
    """Do again what an entry says of files that the database lost: each is logged once, and the sender gets it."""
    told, at = event.files, to_ms(event.at)
    if told is None or rows.execute("SELECT 1 FROM file_set WHERE message = ?", (message.id,)).fetchone() is None:
        return
    party = str(event.recipient) if event.recipient is not None else ""
    (files,) = rows.execute("SELECT files FROM file_set WHERE message = ?", (message.id,)).fetchone()
    key = told.name or b"" if event.statement is None else _key(told, files)
    row = (message.id, event.name.value, party, key, index)
    rows.execute(_INSERT_EVENT.replace("INSERT", "INSERT OR IGNORE", 1), row)
    rows.to_sender(message, index, event.at)
    if event.name in _BEGIN and told.name is None:
        rows.execute("UPDATE file_set SET whole_ms = ? WHERE message = ?", (at, message.id))
    elif event.name is EventName.FileHandover and told.name is None:
        rows.execute(_SET_HOP, (HopState.HAS, message.id, party, HopState.WAITS))
        rows.execute(_DONE, (at, message.id))
    elif event.name in _ENDS:
        reason = next(iter(event.reasons), None)
        rows.execute(_END, (at, reason, message.id))
        rows.execute(_CLOSE, (_partners_when(reason), message.id))


# --- Inside ----------------------------------------------------------------------------------------------------------


def _hop_has(rows: Rows, row: _SetRow, party: str, at: datetime) -> Result:
    changed = rows.execute(_SET_HOP, (HopState.HAS, row.message.id, party, HopState.WAITS)).rowcount
    if changed:
        rows.execute(_DONE, (to_ms(at), row.message.id))
    return Result(duplicate=not changed, count=changed)


def _key(told: LoggedFiles, files: int) -> bytes:
    """Under what it is kept that an event was logged: a file's name, nothing for the set, a root for some of it."""
    return told.name or (b"" if told.count == files else told.root)


def _logged(rows: Rows, message: int, event: EventName, party: str, key: bytes) -> int | None:
    found = rows.execute(
        "SELECT idx FROM file_event WHERE message = ? AND event = ? AND party = ? AND file = ?",
        (message, event.value, party, key),
    ).fetchone()
    return None if found is None else int(found[0])


def _log(
    rows: Rows, row: _SetRow, event: _FileEvent, whole: LoggedFiles, at: datetime, reasons: tuple[str, ...] = ()
) -> int:
    """Log an event of the files, and bring its receipt to the sender."""
    about = row.about(event.desk, event.peer)
    leaf = rows.leaf(event.name, at, about, reasons=reasons, files=whole)
    index = rows.append(leaf, at, event.name, row.message.id, event.desk)
    rows.execute(_INSERT_EVENT, (row.message.id, event.name.value, event.desk or "", whole.name or b"", index))
    rows.to_sender(row.message, index, at)
    return index

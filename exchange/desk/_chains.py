"""The files of a stored message: where each stands here, and the custody of each. Blocking, in the desk's thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from exchange.custody.chain import FILE_ACTS, Custody, Known, attachments_named, custody_of, file_of, same_file
from exchange.desk._works import Works
from exchange.files.sealing import sealed_file_of
from exchange.store.files import TransferState
from exchange.store.rows import Head, StoredMessage
from exchange.views import Direction, FileState
from protocol.encoding.phrase import phrase
from protocol.errors import NotFoundError
from protocol.event import decode_event
from protocol.files.file_list import FileList
from protocol.processing_log import ProcessingRecord


def content_of(works: Works, stored: StoredMessage) -> dict[str, Any]:
    """The message as JSON, in the form of its type."""
    message = works.context.parsed.of(stored)
    return message.model_dump(mode="json", by_alias=True, exclude_none=True)


def states_of(works: Works, head: Head, content: Mapping[str, Any]) -> dict[str, FileState]:
    """Where each file of a message stands, by its name."""
    attachments = content.get("attachments", ())
    # Numbers of files are those of the list, which is sorted by the sealed names.
    sealed = sorted(one["sealed"]["name"] for one in attachments if one.get("sealed"))
    transfer = works.context.store.files.transfer(head.id)
    opened = {sealed[number] for number in transfer.opened} if transfer is not None else set()
    gone = transfer is None or transfer.state is TransferState.GONE
    return {one["name"]: _state(works, head, one, opened, gone=gone) for one in attachments}


def _state(works: Works, head: Head, attachment: Mapping[str, Any], opened: set[str], *, gone: bool) -> FileState:
    if not attachment.get("sealed"):
        return FileState.BY_HASH
    text = attachment["sealed"]["name"]
    name = bytes.fromhex(text)
    if works.context.store.custody.quarantined(head.id, name) is not None:
        return FileState.QUARANTINED
    if gone:
        return FileState.GONE
    if text in opened:
        return FileState.OPENED
    return FileState.RECEIVED if works.files.place_of(head, name) is not None else FileState.LISTED


def chains_of(works: Works, stored: StoredMessage, names: Sequence[str] = ()) -> list[Custody]:
    """The custody of the files of a message, or of those that are named; raises :class:`NotFoundError`."""
    content = content_of(works, stored)
    known = _known(works, stored, content)
    wanted = [one for name in names for one in _fitting(content, name)] or content.get("attachments", ())
    attachments = {one["name"]: one for one in wanted}.values()
    states = states_of(works, stored.head, content)
    return [custody_of(file_of(one, known, states[one["name"]]), known) for one in attachments]


def named(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The attachment of that name; raises :class:`NotFoundError`."""
    return _fitting(content, name)[0]


def _fitting(content: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    """The attachments of one file, which may be attached more than once; raises :class:`NotFoundError`."""
    found = attachments_named(content, name)
    if not same_file(found):
        raise NotFoundError(phrase("no file of that message, or several, fit {name}", name=repr(name)))
    return found


def _known(works: Works, stored: StoredMessage, content: Mapping[str, Any]) -> Known:
    store = works.context.store
    receipts = [entry.receipt for entry in store.receipts.of(stored.head.digest) if entry.error is None]
    sealed = [one for one in content.get("attachments", ()) if one.get("sealed")]
    transfer = store.files.transfer(stored.head.id)
    return Known(
        content=content,
        case=stored.head.thread,
        sent=stored.head.direction is Direction.SENT,
        receipts=[(works.judge.row(one, None), decode_event(one.leaf)) for one in receipts],
        records=list(_records(works, stored.head.id)),
        files=FileList.of(map(sealed_file_of, sealed)) if sealed else None,
        hands=transfer.hands if transfer is not None else (),
        called=works.files.called(content.get("attachments", ())),
    )


def _records(works: Works, message_id: UUID) -> Iterator[tuple[int, ProcessingRecord]]:
    for index, _leaf, entry in works.context.store.records.entries():
        record = ProcessingRecord.from_bytes(entry)
        if record.message == message_id or (record.message is None and record.act.startswith(FILE_ACTS)):
            yield index, record

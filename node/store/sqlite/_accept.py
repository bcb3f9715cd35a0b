"""Accepting envelopes and recording what desks state of them, as rows.

Each function checks everything before its first write: one that raises has changed nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256

from node.store._leaves import EventSubject
from node.store.operations import (
    REASON_UNCLAIMED,
    AcceptSubmission,
    AcceptTransfer,
    Incoming,
    RecordRejection,
    RecordStatement,
    RecordUnclaimed,
)
from node.store.sqlite._files import FileParty, keep_files, state_files
from node.store.sqlite._rows import INSERT_MAILBOX, MESSAGE, QueuedEnvelope, Result, Rows, nations_text
from protocol.address import Address
from protocol.encoding import cbor
from protocol.encoding.instants import to_ms
from protocol.errors import IdConflictError, MalformedError, NotFoundError
from protocol.event import EventName

_INSERT_MESSAGE = (
    "INSERT INTO message (id, message_id, sender, digest, peer, created_ms, expires_ms, holds)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_PAYLOAD = "INSERT INTO payload (message, raw) VALUES (?, ?)"


def accept_submission(rows: Rows, operation: AcceptSubmission) -> Result:
    """See :class:`~node.store.operations.AcceptSubmission`."""
    return _accept(rows, operation.message, None, operation.local, operation.onward, operation.at)


def accept_transfer(rows: Rows, operation: AcceptTransfer) -> Result:
    """See :class:`~node.store.operations.AcceptTransfer`."""
    return _accept(rows, operation.message, operation.peer, operation.local, operation.onward, operation.at)


def _accept(
    rows: Rows,
    incoming: Incoming,
    peer: str | None,
    local: tuple[Address, ...],
    onward: Mapping[str, tuple[Address, ...]],
    at: datetime,
) -> Result:
    sender = str(incoming.sender)
    known = rows.run(
        "SELECT id, digest FROM message WHERE message_id = ? AND sender = ?", (incoming.message_id.bytes, sender)
    ).fetchone()
    if known is not None:
        if known[1] != incoming.digest:
            raise IdConflictError
        return _accept_again(rows, known[0], incoming, peer, local, onward, at)
    name = EventName.SubmissionAcceptance if peer is None else EventName.RelayAcceptance
    local = tuple(dict.fromkeys(local))
    expires_ms = to_ms(incoming.expires)
    acceptance = rows.leaf(name, at, EventSubject(incoming.message_id, incoming.digest, peer=peer))
    consignments = [_consignment(rows, incoming, desk, at) for desk in local]

    # An accepting event is the first of its message: its index is the message's id.
    nations = nations_text((incoming.sender.node, *(recipient.node for recipient in incoming.recipients)))
    message = rows.append(acceptance, at, name, rows.tree.size, nations=nations)
    holds = len(local) + len(onward)
    rows.run(
        _INSERT_MESSAGE,
        (message, incoming.message_id.bytes, sender, incoming.digest, peer, to_ms(incoming.created), expires_ms, holds),
    )
    if holds:
        rows.later(_INSERT_PAYLOAD, (message, incoming.raw))
    indexes = [message]
    for desk, leaf in zip(local, consignments, strict=True):
        indexes.append(_consign(rows, message, str(desk), leaf, at))
    for partner, reached in onward.items():
        if peer is not None:
            indexes += [_take_custody(rows, message, incoming, peer, desk, at) for desk in reached]
        _hand_on(rows, message, incoming, partner, reached, at)
    keep_files(rows, message, incoming, peer or sender, (*_desks(local), *onward.items()))
    return Result(tuple(indexes))


def _take_custody(rows: Rows, message: int, incoming: Incoming, peer: str, recipient: Address, at: datetime) -> int:
    about = EventSubject(incoming.message_id, incoming.digest, recipient, peer)
    leaf = rows.leaf(EventName.RelayAcceptance, at, about)
    return rows.append(leaf, at, EventName.RelayAcceptance, message, str(recipient))


def _hand_on(
    rows: Rows, message: int, incoming: Incoming, partner: str, reached: tuple[Address, ...], at: datetime
) -> None:
    recipients = " ".join(map(str, reached))
    expires_ms, deadline_ms = to_ms(incoming.expires), to_ms(incoming.deadline)
    envelope = QueuedEnvelope(message, incoming.digest, expires_ms, 2 - incoming.priority, recipients, deadline_ms)
    rows.queue(partner, envelope, at)


def _accept_again(
    rows: Rows,
    message: int,
    incoming: Incoming,
    peer: str | None,
    local: tuple[Address, ...],
    onward: Mapping[str, tuple[Address, ...]],
    at: datetime,
) -> Result:
    """The receipts of the first time. A recipient whom this node could not reach then is taken care of now."""
    earlier = rows.execute(
        "SELECT recipient, idx FROM event WHERE message = ? AND name = ?",
        (message, EventName.ContentConsignment.value),
    )
    consigned: dict[str, int] = dict(earlier.fetchall())
    missing = [desk for desk in dict.fromkeys(local) if str(desk) not in consigned]
    leaves = [_consignment(rows, incoming, desk, at) for desk in missing]
    for desk, leaf in zip(missing, leaves, strict=True):
        rows.execute("UPDATE message SET holds = holds + 1 WHERE id = ?", (message,))
        rows.execute("INSERT OR IGNORE INTO payload (message, raw) VALUES (?, ?)", (message, incoming.raw))
        consigned[str(desk)] = _consign(rows, message, str(desk), leaf, at)
    keep_files(rows, message, incoming, peer or str(incoming.sender), _desks(missing))
    indexes = [message, *(consigned[str(desk)] for desk in dict.fromkeys(local))]
    if peer is None or not onward:
        return Result(tuple(indexes), duplicate=not missing)
    custody = dict(
        rows.execute(
            "SELECT recipient, idx FROM event WHERE message = ? AND name = ? AND recipient IS NOT NULL",
            (message, EventName.RelayAcceptance.value),
        ).fetchall()
    )
    for partner, reached in onward.items():
        fresh = tuple(desk for desk in reached if str(desk) not in custody)
        for desk in fresh:
            custody[str(desk)] = _take_custody(rows, message, incoming, peer, desk, at)
        if fresh:
            missing += fresh
            rows.execute("UPDATE message SET holds = holds + 1 WHERE id = ?", (message,))
            rows.execute("INSERT OR IGNORE INTO payload (message, raw) VALUES (?, ?)", (message, incoming.raw))
            _hand_on(rows, message, incoming, partner, fresh, at)
            keep_files(rows, message, incoming, peer, ((partner, fresh),))
        indexes += [custody[str(desk)] for desk in reached]
    return Result(tuple(indexes), duplicate=not missing)


def _desks(desks: Sequence[Address]) -> list[FileParty]:
    return [(str(desk), (desk,)) for desk in desks]


def _consignment(rows: Rows, incoming: Incoming, desk: Address, at: datetime) -> bytes:
    return rows.leaf(EventName.ContentConsignment, at, EventSubject(incoming.message_id, incoming.digest, desk))


def _consign(rows: Rows, message: int, desk: str, leaf: bytes, at: datetime) -> int:
    index = rows.append(leaf, at, EventName.ContentConsignment, message, desk)
    rows.put(desk, MESSAGE, message, index)
    return index


def record_rejection(rows: Rows, operation: RecordRejection) -> Result:
    """See :class:`~node.store.operations.RecordRejection`."""
    recipient = str(operation.recipient) if operation.recipient is not None else None
    if operation.event not in (EventName.SubmissionRejection, EventName.RelayRejection):
        raise MalformedError("a rejection is a SubmissionRejection or a RelayRejection")
    same = sha256(
        cbor.encode(
            [
                operation.message_id.bytes,
                operation.digest,
                operation.event.value,
                operation.peer,
                recipient,
                list(operation.reasons),
            ]
        )
    ).digest()
    known = rows.execute("SELECT idx FROM event WHERE rejection = ?", (same,)).fetchone()
    if known is not None:
        return Result((known[0],), duplicate=True)
    about = EventSubject(operation.message_id, operation.digest, operation.recipient, operation.peer)
    leaf = rows.leaf(operation.event, operation.at, about, reasons=operation.reasons)
    # The sender is not proved. The node that brought it has this entry's receipt, and logged the same.
    told = (operation.peer, None if operation.recipient is None else operation.recipient.node)
    nations = nations_text(node for node in told if node is not None)
    return Result((rows.append(leaf, operation.at, operation.event, None, recipient, same, nations),))


def record_statement(rows: Rows, operation: RecordStatement) -> Result:
    """See :class:`~node.store.operations.RecordStatement`."""
    stated = operation.statement.statement
    if stated.event.of_files:
        return state_files(rows, operation)
    desk = str(stated.recipient)
    message = rows.find(stated.message_id, stated.digest)
    logged = dict(rows.run("SELECT name, idx FROM event WHERE message = ? AND recipient = ?", (message.id, desk)))
    logged |= rows.logged.get((message.id, desk), {})
    if stated.event.value in logged:
        return Result((logged[stated.event.value],), duplicate=True)
    if EventName.ContentConsignment.value not in logged:
        raise NotFoundError("this message was not consigned to this contact point here")
    about = EventSubject(stated.message_id, stated.digest, stated.recipient)
    raw = operation.statement.raw
    leaf = rows.leaf(stated.event, operation.at, about, reasons=stated.reasons, statement=raw)
    index = rows.append(leaf, operation.at, stated.event, message.id, desk)
    if stated.event is EventName.ContentHandover:
        _close(rows, message.id, desk, operation.at)
    rows.to_sender(message, index, operation.at)
    return Result((index,))


def _close(rows: Rows, message: int, desk: str, at: datetime) -> None:
    closed = rows.run(
        "UPDATE mailbox SET closed_ms = ? WHERE message = ? AND desk = ? AND kind = 0 AND closed_ms IS NULL",
        (to_ms(at), message, desk),
        INSERT_MAILBOX,
    )
    if closed.rowcount:
        rows.let_go(message)


def record_unclaimed(rows: Rows, operation: RecordUnclaimed) -> Result:
    """See :class:`~node.store.operations.RecordUnclaimed`."""
    desk = str(operation.recipient)
    message = rows.find(operation.message_id, operation.digest)
    still_open = rows.execute(
        "SELECT 1 FROM mailbox WHERE message = ? AND desk = ? AND kind = 0 AND closed_ms IS NULL",
        (message.id, desk),
    ).fetchone()
    if still_open is None:
        raise NotFoundError("the mailbox does not hold this message any more")
    about = EventSubject(operation.message_id, operation.digest, operation.recipient)
    leaf = rows.leaf(EventName.ContentConsignmentFailure, operation.at, about, reasons=(REASON_UNCLAIMED,))
    index = rows.append(leaf, operation.at, EventName.ContentConsignmentFailure, message.id, desk)
    _close(rows, message.id, desk, operation.at)
    rows.to_sender(message, index, operation.at)
    return Result((index,))

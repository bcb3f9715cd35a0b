"""Values as programs get them: the same objects from commands with ``--json`` and from the local API."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from protocol.address import Address
from protocol.encoding.instants import to_text

if TYPE_CHECKING:
    from exchange.views import ReceiptRow, SentMessage, Tracking


def plain(value: Any) -> Any:
    """``value`` in terms of JSON: instants as RFC 3339 with zone, bytes as hexadecimal, dataclasses as objects."""
    match value:
        case None | bool() | int() | float():
            return value
        case Enum():
            return value.value
        case str():
            return value
        case datetime():
            return to_text(value)
        case UUID() | Address():
            return str(value)
        case bytes():
            return value.hex() if len(value) <= 64 else b64encode(value).decode("ascii")
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        case Iterable():
            return [plain(item) for item in value]
        case _:
            return str(value)


def receipt_object(row: ReceiptRow) -> dict[str, Any]:
    """A receipt."""
    return {
        "event": row.event,
        "node": row.node,
        "index": row.index,
        "at": row.at,
        "recipient": row.recipient,
        "peer": row.peer,
        "reasons": row.reasons,
        "verified": row.verified,
        "error": row.error,
        **({"files": row.files} if row.files else {}),
    }


def sent_object(sent: SentMessage) -> dict[str, Any]:
    """What became of one message that was sent."""
    return {
        "id": sent.id,
        "thread": sent.thread,
        "digest": sent.digest,
        "status": sent.status,
        "queued": sent.status == "queued",
        "error": sent.error,
        "reason": sent.reason,
        "cautions": sent.cautions,
        "receipts": [receipt_object(row) for row in sent.receipts],
        **({"nation": sent.nation} if sent.nation else {}),
        **({"goes_at": sent.goes_at} if sent.nation or sent.goes_at else {}),
        **({"children": [sent_object(child) for child in sent.children]} if sent.children else {}),
    }


def draft_object(draft: Any) -> dict[str, Any]:
    """A draft that the desk keeps (``exchange.office.release.KeptDraft``); of what it says only how it decides."""
    from exchange.text.labels import decision_codes  # few commands that print objects print drafts

    names = ("id", "type", "drafted_by", "drafted_at", "state", "decided_by", "decided_at", "remark", "message")
    said = {name: getattr(draft, name) for name in (*names, "offered", "revision")}
    return {**said, "decides": [code for _codes, code, _count in decision_codes(draft.type, draft.draft)]}


def transfer_object(transfer: Any) -> dict[str, Any]:
    """How far the files of a message are (``exchange.store.files.FileTransfer``)."""
    return {
        "message": transfer.message,
        "thread": transfer.thread,
        "direction": transfer.direction,
        "state": transfer.state,
        "files": transfer.files,
        "bytes": transfer.total_bytes,
        "files_moved": transfer.files_moved,
        "bytes_moved": transfer.bytes_moved,
        "rate": transfer.rate,
        "at": transfer.at,
        "error": transfer.error,
        "why": transfer.why,
    }


def files_object(found: Any) -> dict[str, Any]:
    """The files of a message (``exchange.desk._files.MessageFiles``), without their keys."""
    return {**transfer_object(found.transfer), "listed": [plain(row) for row in found.files], **_shares(found)}


def tracking_object(tracking: Tracking, files: Any = None) -> dict[str, Any]:
    """What is proved of a message and of its files (``exchange.files.shown.FileTracking``), and where its case
    stands.
    """
    return {
        "id": tracking.row.id,
        "thread": tracking.row.thread,
        "type": tracking.row.type,
        "from": tracking.row.sender,
        "to": tracking.row.recipients,
        "state": tracking.state,
        **({"goes_at": tracking.row.sent_at} if tracking.row.status == "scheduled" else {}),
        "how_far": tracking.how_far,
        "recipients": [
            {
                "recipient": item.recipient,
                "reached": item.reached,
                "failed": item.failed,
                "receipts": [receipt_object(row) for row in item.receipts],
            }
            for item in tracking.recipients
        ],
        "targets": tracking.targets,
        "clocks": tracking.clocks,
        **({"files": _tracked_files(files)} if files is not None else {}),
    }


def _tracked_files(files: Any) -> dict[str, Any]:
    from exchange.text.sizes import after_not_taken, not_taken_text

    not_taken = [
        {
            **plain(one),
            "cause": [not_taken_text(code) for code in one.reasons],
            "next": [after_not_taken(code) for code in one.reasons],
        }
        for one in files.not_taken
    ]
    return {**transfer_object(files.transfer), "hops": files.hops, **_shares(files), "not_taken": not_taken}


def _shares(found: Any) -> dict[str, Any]:
    """What the nodes say of how far files are, and why the own node was not asked."""
    return {"shares": [plain(share) for share in found.shares], "not_asked": found.not_asked}

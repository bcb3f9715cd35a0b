"""Messages as programs get them: lists, one that is read, what is proved of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict
from uuid import UUID

from exchange.cases.duplicates import Duplicate
from exchange.desk.desk import Desk
from exchange.letters.fingerprint import fingerprint_of
from exchange.text.objects import tracking_object
from exchange.text.rendering import ReadLine, read_message
from exchange.views import Caution, Direction, HowFar, InboxRow, QuarantineRow, ReceiptRow, ShownMessage


class MessagesListed(TypedDict):
    """The first messages of a list, the newest first; ``more``: there are others behind them.

    ``how_far``: by the id of each message that this desk sent, how far it is proved to have come.
    """

    messages: list[InboxRow]
    more: bool
    how_far: dict[str, Sequence[HowFar]]


class RefusedListed(TypedDict):
    """Messages that came and do not hold, and why."""

    refused: list[QuarantineRow]
    more: bool


class ReaderShown(TypedDict):
    """An officer who read a message, and when first."""

    officer: str
    at: datetime


class MessageShown(TypedDict):
    """A message that is read."""

    message: dict[str, Any]
    direction: Direction
    stored_at: datetime
    notes: Sequence[str]
    fingerprint: str
    cautions: Sequence[Caution]
    receipts: Sequence[ReceiptRow]
    readers: list[ReaderShown]
    duplicates: list[Duplicate]
    not_searched: int
    reading: list[ReadLine]


class MessageOpened(TypedDict):
    """That an officer has a message before their eyes."""

    opened: bool


async def list_messages(
    desk: Desk,
    *,
    box: Literal["received", "sent"] = "received",
    unopened: bool = False,
    unread: bool = False,
    limit: int = 50,
    before: int | None = None,
) -> MessagesListed:
    """As :meth:`DeskMessages.inbox_page`; ``before`` is the sequence of the last row that was shown."""
    page = await desk.messages.inbox_page(sent=box == "sent", unopened=unopened, limit=limit, before=before)
    rows = page.messages
    if unread:
        left = await desk.messages.unread([row.id for row in rows])
        rows = [row for row in rows if row.id in left]
    return {"messages": rows, "more": page.more, "how_far": await desk.cases.how_far_sent(rows)}


async def list_refused(desk: Desk, *, limit: int = 50, before: int | None = None) -> RefusedListed:
    """Messages that came and do not hold; raises as :meth:`DeskMessages.quarantine`."""
    kept = await desk.messages.quarantine(limit=limit + 1, before=before)
    return {"refused": kept[:limit], "more": len(kept) > limit}


async def read(desk: Desk, message_id: UUID) -> MessageShown:
    """A message; its sender is told nothing yet. Raises as :meth:`DeskMessages.read`."""
    shown = await desk.messages.read(message_id)
    duplicates = await desk.cases.duplicates(shown.message)
    return message_object(shown, duplicates, await desk.cases.not_searched())


def message_object(shown: ShownMessage, duplicates: list[Duplicate], not_searched: int) -> MessageShown:
    """A message that is read as programs get it."""
    return {
        "message": json.loads(shown.content),
        "direction": shown.row.direction,
        "stored_at": shown.row.stored_at,
        "notes": shown.notes,
        "fingerprint": fingerprint_of(shown.digest),
        "cautions": shown.cautions,
        "receipts": shown.receipts,
        "readers": [{"officer": officer, "at": at} for officer, at in shown.readers],
        "duplicates": duplicates,
        "not_searched": not_searched,
        "reading": list(read_message(shown.message, shown.original)),
    }


async def opened(desk: Desk, message_id: UUID) -> MessageOpened:
    """Say that an officer has the message before their eyes; raises as :meth:`DeskMessages.opened`."""
    await desk.messages.opened(message_id)
    return {"opened": True}


async def track(desk: Desk, message_id: UUID) -> dict[str, Any]:
    """What is proved of a message; raises as :meth:`DeskMessages.track`."""
    return tracking_object(await desk.messages.track(message_id), await desk.files.tracking(message_id))

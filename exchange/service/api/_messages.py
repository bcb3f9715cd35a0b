"""Resources of messages and drafts."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from aiohttp import web
from pydantic import Field

from exchange.evidence.bag_writer import write_bag
from exchange.service.api.declared import KNOWN, LIMIT, MAX_LISTED, Body, Call, Declared, NoBody, Parameter, known_as_of
from exchange.text.objects import draft_object, plain, sent_object, tracking_object
from exchange.text.rendering import ReadLine, read_message
from exchange.views import Caution, Clocks, Direction, FoundParent, InboxRow, ReceiptRow, SendStatus, TargetRow
from protocol.address import Address
from protocol.errors import UsageError

RECEIPT = {
    "event": str,
    "node": str,
    "index": int,
    "at": datetime,
    "recipient": Address | None,
    "peer": str | None,
    "reasons": [str],
    "verified": bool,
    "error": str | None,
}
SENT = {
    "id": UUID,
    "thread": UUID,
    "digest": str,
    "status": SendStatus,
    "queued": bool,
    "error": str | None,
    "reason": str | None,
    "cautions": [Caution],
    "receipts": [RECEIPT],
    "nation?": str,
    "goes_at?": datetime | None,
    "children?": [dict[str, Any]],
}
DRAFT = {
    "id": UUID,
    "type": str,
    "drafted_by": str,
    "drafted_at": datetime,
    "state": str,
    "decided_by": str | None,
    "decided_at": datetime | None,
    "remark": str | None,
    "message": UUID | None,
    "offered": bool,
    "revision": int,
}
TRACKING = {
    "id": UUID,
    "thread": UUID,
    "type": str,
    "from": Address,
    "to": [Address],
    "state": str,
    "recipients": [{"recipient": Address, "reached": str | None, "failed": [str], "receipts": [RECEIPT]}],
    "targets": [TargetRow],
    "clocks": Clocks,
}
Draft = Annotated[dict[str, Any], Field(description="A draft, as docs/messages.md says; its draft_id is its key.")]


class Sending(Body):
    """Drafts, in order: one message each. They go under one key, or under their common ``draft_id``."""

    drafts: Annotated[list[Draft], Field(min_length=1, max_length=256)]
    unless_duplicate: bool = False


class Replying(Body):
    """A reply of any type: its own fields. Recipient, thread, labels and references are the desk's."""

    type: Annotated[str, Field(max_length=64)]
    fields: dict[str, Any] = Field(default_factory=dict)


class AcknowledgingBody(Body):
    """An acknowledgement: codes of the lists will_answer and form, and when the answer or an update comes."""

    will_answer: Annotated[str, Field(max_length=64)]
    form: Annotated[str, Field(max_length=64)] = "message"
    eta: datetime | None = None
    next_update_by: datetime | None = None
    remark: Annotated[str, Field(max_length=10_000)] | None = None


class Saving(Body):
    """A draft that is being written, the one that it replaces, and the revision of that which was read."""

    draft: Draft
    draft_id: UUID | None = None
    revision: Annotated[int, Field(ge=1)] | None = None


class Returning(Body):
    """Why a draft goes back to its drafter."""

    remark: Annotated[str, Field(min_length=1, max_length=10_000)]


class Bagging(Body):
    """Who gets the evidence bag, what for (a code of the list record_purpose), and whether the content is in it."""

    to: Annotated[str, Field(min_length=1, max_length=200)]
    purpose: Annotated[str, Field(max_length=64)]
    disclose: bool = False


async def _list(call: Call) -> Any:
    box = call.text("box") or "received"
    if box not in set(Direction):
        raise UsageError("box is received or sent")
    before = call.number("before", 0, 1 << 40) if call.text("before") else None
    desk = await call.acting()
    page = await desk.messages.inbox_page(
        sent=box == "sent", unopened=call.flag("unopened"), limit=call.number("limit", 100, MAX_LISTED), before=before
    )
    return {"messages": page.messages, "more": page.more, **await known_as_of(desk)}


async def _send(call: Call) -> Any:
    desk = await call.acting()
    drafts, unless = call.body.drafts, call.body.unless_duplicate
    if unless and await desk.messages.sent_before(drafts):
        unless = False
    sent = await desk.messages.send_many(drafts, unless_duplicate=unless)
    return {"messages": [sent_object(one) for one in sent]}


async def _read(call: Call) -> Any:
    desk = await call.acting()
    shown = await desk.messages.read(await call.message())
    return {
        "message": json.loads(shown.content),
        "direction": shown.row.direction,
        "stored_at": shown.row.stored_at,
        "notes": shown.notes,
        "cautions": shown.cautions,
        "receipts": shown.receipts,
        "readers": [{"officer": officer, "at": at} for officer, at in shown.readers],
        "reading": read_message(shown.message, shown.original),
        **await known_as_of(desk),
    }


async def _opened(call: Call) -> Any:
    await (await call.acting()).messages.opened(await call.message())
    return {"opened": True}


async def _track(call: Call) -> Any:
    desk = await call.acting()
    return {**tracking_object(await desk.messages.track(await call.message())), **await known_as_of(desk)}


async def _reply(call: Call) -> Any:
    replies = (await call.acting()).replies
    return sent_object(await replies.reply(await call.message(), call.body.type, **call.body.fields))


async def _acknowledge(call: Call) -> Any:
    said = call.body.model_dump(exclude_none=True)
    return sent_object(await (await call.acting()).replies.acknowledge(await call.message(), **said))


async def _bag(call: Call) -> Any:
    desk, body, message = await call.acting(), call.body, await call.message()
    contents = await desk.evidence.gather(message, disclose=body.disclose, to=body.to, purpose=body.purpose)
    encoded = write_bag(contents, [])
    act = "bag" if body.disclose else "bag.sealed"
    await desk.evidence.note_given(message, act, encoded, to=body.to, purpose=body.purpose)
    return web.Response(body=encoded, content_type="application/zip")


async def _search(call: Call) -> Any:
    query = call.text("q")
    if not query:
        raise UsageError("q is what is looked for")
    desk = await call.acting()
    found = await desk.cases.search(query, limit=call.number("limit", 50, MAX_LISTED))
    return {**plain(found), **await known_as_of(desk)}


async def _drafts(call: Call) -> Any:
    return {"drafts": [draft_object(one) for one in await (await call.acting()).messages.saved_drafts()]}


async def _save(call: Call) -> Any:
    body = call.body
    saved = await (await call.acting()).messages.save_draft(body.draft, draft_id=body.draft_id, revision=body.revision)
    return draft_object(saved)


async def _draft(call: Call) -> Any:
    kept = await (await call.acting()).messages.saved_draft(call.part("draft"))
    return {**draft_object(kept), "draft": kept.draft}


async def _drop(call: Call) -> Any:
    return draft_object(await (await call.acting()).office.drop_draft(call.part("draft")))


async def _send_draft(call: Call) -> Any:
    messages = (await call.acting()).messages
    sent = await messages.sent_as(call.part("draft"))
    if not sent:
        sent = [await messages.send(await messages.export_draft(call.part("draft")))]
    return {"messages": [sent_object(one) for one in sent]}


async def _release(call: Call) -> Any:
    return sent_object(await (await call.acting()).office.release(call.part("draft")))


async def _return(call: Call) -> Any:
    return draft_object(await (await call.acting()).office.return_draft(call.part("draft"), call.body.remark))


ENDPOINTS = (
    Declared(
        "GET",
        "/v1/messages",
        "Messages, the newest first.",
        _list,
        {"messages": [InboxRow], "more": bool, **KNOWN},
        query=(
            Parameter("box", "received (if it is left out) or sent."),
            Parameter("unopened", "Only those that nobody here opened.", "boolean"),
            LIMIT,
            Parameter("before", "The sequence of the last row that was shown.", "integer"),
        ),
    ),
    Declared("POST", "/v1/messages", "Send.", _send, {"messages": [SENT]}, Sending, keyed=True),
    Declared(
        "GET",
        "/v1/messages/{message}",
        "Read a message; its sender is told nothing yet.",
        _read,
        {
            "message": dict[str, Any],
            "direction": Direction,
            "stored_at": datetime,
            "notes": [str],
            "cautions": [Caution],
            "receipts": [ReceiptRow],
            "readers": [{"officer": str, "at": datetime}],
            "reading": [ReadLine],
            **KNOWN,
        },
    ),
    Declared(
        "POST",
        "/v1/messages/{message}/opened",
        "Say that an officer has the message before their eyes; its sender is told.",
        _opened,
        {"opened": bool},
        NoBody,
    ),
    Declared("GET", "/v1/messages/{message}/tracking", "What is proved of a message.", _track, {**TRACKING, **KNOWN}),
    Declared("POST", "/v1/messages/{message}/replies", "Reply.", _reply, SENT, Replying, keyed=True),
    Declared(
        "POST",
        "/v1/messages/{message}/acknowledgement",
        "Acknowledge.",
        _acknowledge,
        SENT,
        AcknowledgingBody,
        keyed=True,
    ),
    Declared(
        "POST",
        "/v1/messages/{message}/evidence",
        "An evidence bag; that it was given out is in the processing log.",
        _bag,
        None,
        Bagging,
        media_type="application/zip",
    ),
    Declared(
        "GET",
        "/v1/search",
        "Messages that have every word, the newest first.",
        _search,
        {"messages": [InboxRow], "not_searched": int, "more": bool, "parents": [FoundParent], **KNOWN},
        query=(Parameter("q", "Words."), LIMIT),
    ),
    Declared("GET", "/v1/drafts", "Drafts that are being written, wait or came back.", _drafts, {"drafts": [DRAFT]}),
    Declared("POST", "/v1/drafts", "Save a draft.", _save, DRAFT, Saving),
    Declared("GET", "/v1/drafts/{draft}", "A draft with its content.", _draft, {**DRAFT, "draft": dict[str, Any]}),
    Declared("DELETE", "/v1/drafts/{draft}", "Delete a draft; its content is erased.", _drop, DRAFT),
    Declared(
        "POST",
        "/v1/drafts/{draft}/send",
        "Send a saved draft, once: its id is its key.",
        _send_draft,
        {"messages": [SENT]},
        NoBody,
    ),
    Declared("POST", "/v1/drafts/{draft}/release", "Send another officer's draft.", _release, SENT, NoBody, keyed=True),
    Declared("POST", "/v1/drafts/{draft}/return", "Give a draft back.", _return, DRAFT, Returning),
)

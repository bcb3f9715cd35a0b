"""Resources of messages and drafts."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from exchange.acts import messages, replies
from exchange.acts.sending import SendingChecks, answered, answered_all, check_draft, send_drafts
from exchange.messaging.drafting.cleaning import Removed
from exchange.service.api._derived import act
from exchange.service.api._objects import DRAFT, SENT_MANY, SENT_ONE, TRACKING
from exchange.service.api.declared import KNOWN, LIMIT, MAX_LISTED, Body, Call, Declared, NoBody, Parameter, known_as_of
from exchange.text.objects import draft_object, plain
from exchange.text.typed import ReadOtherwise, read_otherwise
from exchange.views import FoundParent, InboxRow
from protocol.errors import UsageError

Draft = Annotated[dict[str, Any], Field(description="A draft, as docs/messages.md says; its draft_id is its key.")]


FieldName = Annotated[str, Field(max_length=200)]


class Sending(Body):
    """Drafts, in order: one message each. They go under one key, or under their common ``draft_id``."""

    drafts: Annotated[list[Draft], Field(min_length=1, max_length=256)]
    unless_duplicate: bool = False
    unless_warned: bool = False
    split: bool = False
    clean: bool = False
    at_once: bool = False
    leave_out: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=256)] = Field(
        default_factory=list
    )


class Replying(Body):
    """A reply of any type: its own fields. Recipient, thread, labels and references are the desk's."""

    type: Annotated[str, Field(max_length=64)]
    fields: dict[str, Any] = Field(default_factory=dict)


class Saving(Body):
    """A draft that is being written, the one that it replaces, and the revision of that which was read."""

    draft: Draft
    draft_id: UUID | None = None
    revision: Annotated[int, Field(ge=1)] | None = None


class Returning(Body):
    """Why a draft goes back to its drafter."""

    remark: Annotated[str, Field(min_length=1, max_length=10_000)]


async def _send(call: Call) -> Any:
    body = call.body
    checks = SendingChecks(body.unless_duplicate, body.unless_warned, body.at_once)
    return await send_drafts(
        await call.acting(), body.drafts, checks=checks, split=body.split, clean=body.clean, leave_out=body.leave_out
    )


async def _reply(call: Call) -> Any:
    desk = await call.acting()
    return answered(await desk.replies.reply(await call.message(), call.body.type, **call.body.fields))


async def _search(call: Call) -> Any:
    query = call.text("q")
    if not query:
        raise UsageError("q is what is looked for")
    desk, limit = await call.acting(), call.number("limit", 50, MAX_LISTED)
    found = await desk.cases.search(query, limit=limit, everything=call.flag("all"))
    told = [plain(one) for one in read_otherwise(query)]
    return {**plain(found), "read_otherwise": told, **await known_as_of(desk)}


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
    return answered_all(sent)


async def _release(call: Call) -> Any:
    return answered(await (await call.acting()).office.release(call.part("draft")))


async def _return(call: Call) -> Any:
    return draft_object(await (await call.acting()).office.return_draft(call.part("draft"), call.body.remark))


_SENT = {**SENT_MANY, "removed?": [Removed]}
ENDPOINTS = (
    act(
        "GET",
        "/v1/messages",
        "Messages, the newest first.",
        messages.list_messages,
        "inbox",
        texts={"box": "received (if it is left out) or sent."},
        known=True,
    ),
    act(
        "GET", "/v1/refused", "Messages that came and do not hold, and why.", messages.list_refused, "inbox", known=True
    ),
    Declared("POST", "/v1/messages", "Send.", _send, _SENT, Sending, keyed=True, commands=("send",)),
    act(
        "POST",
        "/v1/drafts/check",
        "Check a draft; nothing is sent.",
        check_draft,
        "send",
        answer={"ok": bool, "messages?": int, "can_be_passed_on": bool, "removed?": [Removed]},
    ),
    act(
        "GET",
        "/v1/messages/{message}",
        "Read a message; its sender is told nothing yet.",
        messages.read,
        "show",
        known=True,
    ),
    act(
        "POST",
        "/v1/messages/{message}/opened",
        "Say that an officer has the message before their eyes; its sender is told.",
        messages.opened,
        "show",
    ),
    act(
        "GET",
        "/v1/messages/{message}/tracking",
        "What is proved of a message.",
        messages.track,
        "track",
        answer=TRACKING,
        known=True,
    ),
    Declared("POST", "/v1/messages/{message}/replies", "Reply.", _reply, SENT_ONE, Replying, keyed=True),
    act(
        "POST",
        "/v1/messages/{message}/acknowledgement",
        "Acknowledge.",
        replies.acknowledge,
        "acknowledge",
        texts={"form": "A code of the list answer_form."},
    ),
    Declared(
        "GET",
        "/v1/search",
        "Messages that have every word, the newest first.",
        _search,
        {
            "messages": [InboxRow],
            "not_searched": int,
            "more": bool,
            "parents": [FoundParent],
            "read_otherwise": [ReadOtherwise],
            **KNOWN,
        },
        query=(Parameter("q", "Words."), LIMIT, Parameter("all", "Look into all messages.", "boolean")),
        commands=("search",),
    ),
    Declared(
        "GET",
        "/v1/drafts",
        "Drafts that are being written, wait or came back.",
        _drafts,
        {"drafts": [DRAFT]},
        commands=("draft list",),
    ),
    Declared("POST", "/v1/drafts", "Save a draft.", _save, DRAFT, Saving, commands=("draft save",)),
    Declared(
        "GET",
        "/v1/drafts/{draft}",
        "A draft with its content.",
        _draft,
        {**DRAFT, "draft": dict[str, Any]},
        commands=("draft show", "draft export"),
    ),
    Declared(
        "DELETE", "/v1/drafts/{draft}", "Delete a draft; its content is erased.", _drop, DRAFT, commands=("draft drop",)
    ),
    Declared(
        "POST",
        "/v1/drafts/{draft}/send",
        "Send a saved draft, once: its id is its key.",
        _send_draft,
        SENT_MANY,
        NoBody,
        commands=("send",),
    ),
    Declared(
        "POST",
        "/v1/drafts/{draft}/release",
        "Send another officer's draft.",
        _release,
        SENT_ONE,
        NoBody,
        keyed=True,
        commands=("draft release",),
    ),
    Declared(
        "POST", "/v1/drafts/{draft}/return", "Give a draft back.", _return, DRAFT, Returning, commands=("draft return",)
    ),
)

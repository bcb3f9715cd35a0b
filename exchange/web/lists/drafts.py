"""Drafts: those that are being written, and those that wait for another officer's release."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from exchange.desk.desk import Desk
from exchange.messaging.once import under_key
from exchange.office.release import DraftState, KeptDraft
from exchange.text.rendering import ReadLine, read_message
from exchange.web.calls import Page, PageCall
from exchange.web.lists._query import once_value, uuid_of
from exchange.web.lists._showing import refuse, show
from keys.directory.cards import ContactPointCard
from keys.local.translation import languages, speaking
from protocol.address import Address
from protocol.encoding.instants import truncate
from protocol.errors import ComityError, InvalidMessageError, NothingOpenError

if TYPE_CHECKING:
    from protocol.messages.schema.base import Message

_TEMPLATE = "lists/release-one.html"
# So many other cases are shown for each way to find a target.
_SAME_SHOWN = 20
_GIVEN_WHEN_RELEASED = frozenset({("id",), ("thread",), ("sent_at",)})


async def list_drafts(call: PageCall) -> web.StreamResponse:
    """All open drafts, the oldest first."""
    desk = await call.desk()
    found = await desk.messages.saved_drafts()
    return show(
        call,
        "lists/drafts.html",
        desk,
        written=[draft for draft in found if draft.is_written],
        waiting=[draft for draft in found if draft.state is DraftState.WAITING],
        only_waiting=False,
    )


async def list_waiting(call: PageCall) -> web.StreamResponse:
    """The drafts that wait for another officer."""
    desk = await call.desk()
    found = await desk.office.proposals()
    waiting = [draft for draft in found if draft.state is DraftState.WAITING]
    return show(call, "lists/drafts.html", desk, written=[], waiting=waiting, only_waiting=True)


# --- Release: the whole finished message, what changed since it was given back, and the decision ---


@dataclass(frozen=True, slots=True)
class ReadAs:
    """A finished message as the other side reads it, in ``language``; ``changed`` are the places that say another thing
    than when it was given back, ``gone`` what it said then and says no more.
    """

    language: str
    lines: Sequence[ReadLine]
    changed: frozenset[tuple[str, ...]]
    gone: Sequence[ReadLine]


async def show_waiting(call: PageCall) -> web.StreamResponse:
    """One draft that waits, whole."""
    return await _shown(call, await call.desk())


async def _shown(call: PageCall, desk: Desk, problem: ComityError | None = None) -> web.Response:
    draft = await desk.office.proposal(str(uuid_of(call.part("draft"))))
    if draft.state is not DraftState.WAITING and problem is None:
        problem = NothingOpenError(draft.why_closed)
    values: dict[str, Any] = {"draft": draft, "read": None, "cards": [], "cautions": (), "problems": ()}
    values |= {"barred": await desk.office.barred_from(draft) if draft.state is DraftState.WAITING else None}
    values |= {"once": call.form.get("once") or once_value(), "languages_read": ["en", *languages()], "duplicates": []}
    if draft.draft:
        try:
            values |= await _read(call, desk, draft)
        except InvalidMessageError as invalid:
            values["problems"] = invalid.problems
    if problem is not None:
        return refuse(call, _TEMPLATE, desk, problem, **values)
    return show(call, _TEMPLATE, desk, **values)


async def _read(call: PageCall, desk: Desk, draft: KeptDraft) -> dict[str, Any]:
    from protocol.messages.parse import complete_message

    def complete(content: Mapping[str, Any]) -> Message:
        return complete_message(content, sender=str(desk.address), sent_at=truncate(call.now))

    # A draft may have thousands of targets: what is made of it keeps no other officer waiting.
    whole = await desk.messages.signed_by(await desk.messages.filled(draft.draft))
    message = await asyncio.to_thread(complete, whole)
    cards = [card for card in map(_card_of(desk), message.to) if card is not None]
    asked = call.query("as")
    language = asked if asked in {"en", *languages()} else _language_of(cards)
    before = None
    if draft.before is not None:
        try:
            whole = await desk.messages.signed_by(await desk.messages.filled(draft.before))
            before = await asyncio.to_thread(complete, whole)
        except InvalidMessageError:
            before = None  # what was given back was not complete: nothing can be set beside it

    def read_out() -> ReadAs:
        with speaking(language):
            return _compared(language, _read_whole(message), _read_whole(before) if before is not None else None)

    read = await asyncio.to_thread(read_out)
    return {
        "read": read,
        "message": message,
        "cards": cards,
        "cautions": tuple(
            {(one.codes, one.code): one for one in await desk.cases.cautions_of_draft(draft.draft)}.values()
        ),
        "duplicates": await desk.cases.duplicates_of_draft(draft.draft, most=_SAME_SHOWN),
    }


def _read_whole(message: Message) -> list[ReadLine]:
    """All values but those that the desk gives a message when it is released."""
    return [line for line in read_message(message) if line.path not in _GIVEN_WHEN_RELEASED]


def _compared(language: str, now: Sequence[ReadLine], before: Sequence[ReadLine] | None) -> ReadAs:
    if before is None:
        return ReadAs(language, now, frozenset(), ())
    then, here = {line.path: line for line in before}, {line.path: line for line in now}
    changed = {path for path, line in here.items() if path not in then or then[path].text != line.text}
    gone = [line for line in before if line.path not in here or here[line.path].text != line.text]
    return ReadAs(language, now, frozenset(changed), [line for line in gone if line.text is not None])


def _card_of(desk: Desk) -> Any:
    def card(address: str) -> ContactPointCard | None:
        try:
            return desk.directory.contact_point(Address.parse(address))
        except ComityError:
            return None

    return card


def _language_of(cards: Sequence[ContactPointCard]) -> str:
    """The first language of the other side that these pages are in."""
    known = ["en", *languages()]
    wanted = (tag.partition("-")[0] for card in cards for tag in card.languages)
    return next((tag for tag in wanted if tag in known), "en")


async def release(call: PageCall) -> web.StreamResponse:
    """Send the draft that was looked at, under the acting officer's name; once, whoever else decides meanwhile."""
    desk = await call.desk()
    try:
        with under_key(call.text("once") or None):
            await desk.office.release(str(uuid_of(call.part("draft"))), seen=call.text("seen"))
    except ComityError as problem:
        return await _shown(call, desk, problem)
    return call.go("/release?done=draft-released")


async def give_back(call: PageCall) -> web.StreamResponse:
    """Give the draft that was looked at back to its drafter, with a reason."""
    desk = await call.desk()
    try:
        draft = str(uuid_of(call.part("draft")))
        await desk.office.return_draft(draft, call.text("remark"), seen=call.text("seen"))
    except ComityError as problem:
        return await _shown(call, desk, problem)
    return call.go("/release?done=draft-returned")


PAGES = (
    Page("GET", "/drafts", list_drafts),
    Page("GET", "/release", list_waiting),
    Page("GET", "/release/{draft}", show_waiting),
    Page("POST", "/release/{draft}", release),
    Page("POST", "/release/{draft}/return", give_back),
)

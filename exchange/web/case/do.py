"""Doing an act on a case or a message: its form, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from aiohttp import web

from exchange.desk.desk import Desk
from exchange.messaging.once import under_key
from exchange.text.labels import code_label
from exchange.views import Direction, InboxRow, SentMessage
from exchange.web.calls import PageCall
from exchange.web.case.acts import ACTS, CaseAct
from exchange.web.case.done import done_code
from exchange.web.case.forms import once_of, targets_of, typed_in, with_typed
from exchange.web.case.show import thread_of
from exchange.web.case.signature_form import SignatureForm
from keys.local.translation import _
from protocol.errors import ComityError, FormError, NotFoundError, NothingOpenError

TEMPLATE = "case/act.html"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an act is done: on a case, or on one message of it. ``path`` is its page, ``back`` the page before."""

    thread: UUID
    subject: InboxRow | None
    path: str

    @property
    def back(self) -> str:
        """The case's page."""
        return f"/cases/{self.thread}"


async def place_on_case(desk: Desk, text: str, name: str, on: tuple[str, ...] = ()) -> Place:
    """The place of an act on a case: the last message of the types ``on``, else the request."""
    thread = await thread_of(desk, text)
    rows = await desk.cases.thread(thread)
    found = [row for row in rows if row.type in on]
    if on and any(row.direction is Direction.RECEIVED for row in found):
        found = [row for row in found if row.direction is Direction.RECEIVED]
    request = next((row for row in rows if row.id == thread), rows[0] if rows else None)
    subject = found[-1] if found else None if on else request
    return Place(thread, subject, f"/cases/{thread}/{name}")


async def place_on_message(desk: Desk, text: str, name: str) -> Place:
    """The place of an act on one message."""
    row = await desk.messages.row(await desk.messages.resolve(text))
    return Place(row.thread, row, f"/messages/{row.id}/{name}")


async def show_act(call: PageCall) -> web.StreamResponse:
    """The form of an act on a case."""
    act, desk = _act_of(call), await call.desk()
    return await _form(call, desk, act, await place_on_case(desk, call.part("thread"), f"do/{act.name}", act.on))


async def do_act(call: PageCall) -> web.StreamResponse:
    """Do an act on a case."""
    act, desk = _act_of(call), await call.desk()
    return await _do(call, desk, act, await place_on_case(desk, call.part("thread"), f"do/{act.name}", act.on))


async def show_message_act(call: PageCall) -> web.StreamResponse:
    """The form of an act on one message."""
    act, desk = _act_of(call), await call.desk()
    return await _form(call, desk, act, await place_on_message(desk, call.part("message"), f"do/{act.name}"))


async def do_message_act(call: PageCall) -> web.StreamResponse:
    """Do an act on one message."""
    act, desk = _act_of(call), await call.desk()
    return await _do(call, desk, act, await place_on_message(desk, call.part("message"), f"do/{act.name}"))


def _act_of(call: PageCall) -> CaseAct:
    found = ACTS.get(call.part("act"))
    if found is None:
        raise NotFoundError("there is no such page")
    return found


async def _form(call: PageCall, desk: Desk, act: CaseAct, place: Place) -> web.Response:
    form = SignatureForm(act, await targets_of(desk, place.thread))
    given = {name: text for name in form.taking.given if (text := call.query(name))}
    values = _values(call, act, place, form.fields(given))
    if act.on and place.subject is None:
        return call.refused(TEMPLATE, NothingOpenError(), **values)
    return call.page(TEMPLATE, **values)


def _values(call: PageCall, act: CaseAct, place: Place, fields: Any) -> dict[str, Any]:
    subject = place.subject
    return {
        "act": act,
        "place": place,
        "fields": fields,
        "once": once_of(call),
        "what": code_label("message_type", subject.type) if subject is not None else "",
    }


async def _do(call: PageCall, desk: Desk, act: CaseAct, place: Place) -> web.StreamResponse:
    form, typed = SignatureForm(act, await targets_of(desk, place.thread)), typed_in(call, desk.address)
    if act.on and place.subject is None:
        return call.refused(TEMPLATE, NothingOpenError(), **_values(call, act, place, form.fields()))
    body = form.read(typed)
    if typed.errors:
        problem = FormError(_("Look at what is marked, and send it again."))
        return call.refused(TEMPLATE, problem, **_values(call, act, place, with_typed(form.fields(), typed)))
    named = form.named(place.thread, place.subject.id if place.subject is not None else None)
    try:
        with under_key(call.text("once") or None):
            done = await form.taking.run_with(desk, named, body)
    except ComityError as problem:
        return call.refused(TEMPLATE, problem, **_values(call, act, place, with_typed(form.fields(), typed)))
    return call.go(f"{place.back}?done={said_of(done, act.done)}")


def said_of(done: Any, code: str) -> str:
    """The code of what came of an act."""
    if isinstance(done, SentMessage):
        return done_code(done)
    if isinstance(done, Mapping) and isinstance(done.get("sent"), list) and done["sent"]:
        return done_code(done["sent"][-1])
    return code or "recorded"

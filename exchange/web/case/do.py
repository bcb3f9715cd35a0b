"""Doing an act on a case or a message: its form, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from aiohttp import web

from exchange.desk.desk import Desk
from exchange.messaging.once import under_key
from exchange.office.release import KeptDraft
from exchange.text.labels import code_label
from exchange.views import Direction, InboxRow, SendStatus, SentMessage
from exchange.web.calls import PageCall
from exchange.web.case._content import gone_out, read_beside
from exchange.web.case._targets import with_identifiers
from exchange.web.case.show import thread_of
from exchange.web.case.words import PAGES
from exchange.web.forms.acts import ACTS, CaseAct
from exchange.web.forms.fields import choice_of, once_of, typed_in, with_typed
from exchange.web.forms.signature_form import SignatureForm
from keys.local.translation import _
from protocol.encoding.phrase import phrase
from protocol.errors import (
    ComityError,
    NotFoundError,
    NothingOpenError,
    UsageError,
)

TEMPLATE = "case/act.html"
# A page that sends what another page is named for.
_ALSO = {"do/refuse-consent": "consent.reply"}


@dataclass(frozen=True, slots=True)
class ActPlace:
    """Where an act is done: on a case, or on one message of it. ``path`` is its page, ``back`` the page before.

    ``said_at`` is when this office last said the same about the same message.
    """

    thread: UUID
    subject: InboxRow | None
    path: str
    said_at: datetime | None = None

    @property
    def back(self) -> str:
        """The case's page."""
        return f"/cases/{self.thread}"

    @property
    def message(self) -> InboxRow:
        """The message that the act is about; raises :class:`NothingOpenError` where there is none."""
        if self.subject is None:
            raise NothingOpenError
        return self.subject

    @property
    def theirs(self) -> InboxRow | None:
        """The message that the act is about, where the other side sent it: nobody judges what is not shown."""
        return self.subject if self.subject is not None and self.subject.direction is Direction.RECEIVED else None


async def place_on_case(
    desk: Desk, text: str, name: str, on: tuple[str, ...] = (), *, own: bool | None = False
) -> ActPlace:
    """The place of an act on a case: the last message of the types ``on`` that was received, or is this desk's ``own``
    (None: of either side); without types the request.
    """
    thread = await thread_of(desk, text)
    rows = await desk.cases.thread(thread)
    wanted = {True: {Direction.SENT}, False: {Direction.RECEIVED}, None: {*Direction}}[own]
    found = [row for row in rows if row.type in on and row.direction in wanted]
    request = next((row for row in rows if row.id == thread), rows[0] if rows else None)
    subject = found[-1] if found else None if on else request
    return ActPlace(thread, subject, f"/cases/{thread}/{name}", _said_at(rows, subject, name))


async def place_on_message(desk: Desk, text: str, name: str) -> ActPlace:
    """The place of an act on one message."""
    row = await desk.messages.row(await desk.messages.resolve(text))
    said_at = _said_at(await desk.cases.thread(row.thread), row, name)
    return ActPlace(row.thread, row, f"/messages/{row.id}/{name}", said_at)


def _said_at(rows: Sequence[InboxRow], subject: InboxRow | None, name: str) -> datetime | None:
    """When what the page ``name`` sends was last sent in reply to the message; None: never."""
    if subject is None:
        return None
    kind = _ALSO.get(name) or next((kind for kind, page in PAGES.items() if page == name), name.removeprefix("reply/"))
    said = [
        row.sent_at
        for row in rows
        if row.direction is Direction.SENT and row.type == kind and row.in_reply_to == subject.id
    ]
    return max(said, default=None)


async def show_act(call: PageCall) -> web.StreamResponse:
    """The form of an act on a case."""
    act, desk = _act_of(call), await call.desk()
    return await _form(
        call, desk, act, await place_on_case(desk, call.part("thread"), f"do/{act.name}", act.on, own=act.own)
    )


async def do_act(call: PageCall) -> web.StreamResponse:
    """Do an act on a case."""
    act, desk = _act_of(call), await call.desk()
    return await _do(
        call, desk, act, await place_on_case(desk, call.part("thread"), f"do/{act.name}", act.on, own=act.own)
    )


async def show_message_act(call: PageCall) -> web.StreamResponse:
    """The form of an act on one message."""
    act, desk = _act_of(call), await call.desk()
    return await _form(call, desk, act, await place_on_message(desk, call.part("message"), f"do/{act.name}"))


async def do_message_act(call: PageCall) -> web.StreamResponse:
    """Do an act on one message."""
    act, desk = _act_of(call), await call.desk()
    return await _do(call, desk, act, await place_on_message(desk, call.part("message"), f"do/{act.name}"))


async def judged_in(desk: Desk, place: ActPlace, on: Sequence[str]) -> Mapping[str, Any] | None:
    """What is judged, to be shown again with a form that was refused; ``on``: the types that the act is about."""
    return await read_beside(desk, place.theirs) if on and place.theirs is not None else None


def _act_of(call: PageCall) -> CaseAct:
    found = ACTS.get(call.part("act"))
    if found is None:
        raise NotFoundError(phrase("there is no such page"))
    return found


async def _form(call: PageCall, desk: Desk, act: CaseAct, place: ActPlace) -> web.StreamResponse:
    form = await _form_of(call, desk, act, place)
    given = {name: text for name in form.taking.given if (text := call.query(name))}
    values = _values(call, act, place, form.fields(given))
    if act.on and place.subject is None:
        return call.refused(TEMPLATE, NothingOpenError(), **values)
    return await judging(call, desk, TEMPLATE, place.theirs if act.on else None, **values)


async def judging(
    call: PageCall, desk: Desk, template: str, judged: InboxRow | None, **values: Any
) -> web.StreamResponse:
    """A form, with what the message says that it judges: who is shown that has opened it."""
    if judged is None:
        return call.page(template, **values)
    read = await read_beside(desk, judged)
    page = call.page(template, **{**values, "read": read})
    return await gone_out(call, desk, page, judged) if read["shown"] is not None else page


async def _form_of(call: PageCall, desk: Desk, act: CaseAct, place: ActPlace) -> SignatureForm:
    """The form of an act; where it names targets, with those of which it can say something now."""
    if not act.sends:
        return SignatureForm(act)
    about = place.subject.id if place.subject is not None else None
    choice = await choice_of(desk, place.thread, act.sends, call.now, about)
    if "targets" in SignatureForm(act).taking.given:
        choice = await with_identifiers(desk, place.thread, choice)
    return SignatureForm(act, choice)


def _values(call: PageCall, act: CaseAct, place: ActPlace, fields: Any) -> dict[str, Any]:
    subject = place.subject
    return {
        "act": act,
        "place": place,
        "fields": fields,
        "once": once_of(call),
        "rest": [],
        "read": None,
        "what": code_label("message_type", subject.type) if subject is not None else "",
    }


async def _do(call: PageCall, desk: Desk, act: CaseAct, place: ActPlace) -> web.StreamResponse:
    form, typed = await _form_of(call, desk, act, place), typed_in(call, desk.address)
    if act.on and place.subject is None:
        return call.refused(TEMPLATE, NothingOpenError(), **_values(call, act, place, form.fields()))
    body = form.read(typed)
    if typed.errors:
        problem = UsageError(_("Look at what is marked, and send it again."))
        values = _values(call, act, place, with_typed(form.fields(), typed))
        return call.refused(TEMPLATE, problem, **{**values, "read": await judged_in(desk, place, act.on)})
    named = form.named(place.thread, place.subject.id if place.subject is not None else None)
    try:
        with under_key(call.text("once") or None):
            done = await form.taking.run_with(desk, named, body)
    except ComityError as problem:
        beside_fields, rest = form.beside(problem)
        typed.errors |= beside_fields
        values = _values(call, act, place, with_typed(form.fields(), typed))
        return call.refused(TEMPLATE, problem, **{**values, "rest": rest, "read": await judged_in(desk, place, act.on)})
    if isinstance(done, KeptDraft):  # its files are attached there, and it is sent from there
        return call.go(f"/drafts/{done.id}/files")
    return call.go(f"{place.back}?done={said_of(done, act.done)}")


def done_code(sent: SentMessage) -> str:
    """What the next page says of a message that was sent (:mod:`exchange.web.done`)."""
    return {
        SendStatus.PROPOSED: "case-proposed",
        SendStatus.QUEUED: "case-queued",
        SendStatus.SCHEDULED: "case-scheduled",
        SendStatus.REFUSED: "case-refused",
        SendStatus.SUBMITTED: "case-sent",
    }[sent.status]


def said_of(done: Any, code: str) -> str:
    """The code of what came of an act."""
    if isinstance(done, SentMessage):
        return done_code(done)
    if isinstance(done, Mapping) and isinstance(done.get("sent"), list) and done["sent"]:
        return done_code(done["sent"][-1])
    return f"case-{code or 'recorded'}"

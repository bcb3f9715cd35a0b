"""Calling an office: the directory's numbers, what the message names instead, and what came of the call."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from exchange.cases.calls import CallAbout, CallSheet
from exchange.desk.desk import Desk
from exchange.text.labels import code_label, field_label, nation_label
from exchange.web.calls import PageCall
from exchange.web.case.beside import people
from exchange.web.case.do import ActPlace, place_on_case, place_on_message
from keys.local.translation import _
from protocol.errors import ComityError, NotFoundError, UsageError

TEMPLATE = "board/call.html"
_OUTCOMES = ("verified", "nobody_answered", "not_theirs")


async def show(call: PageCall) -> web.StreamResponse:
    """Whom to call about a message."""
    desk = await call.desk()
    place = await place_on_message(desk, call.part("message"), "call")
    return call.page(TEMPLATE, **await _values(call, desk, place))


async def show_on_case(call: PageCall) -> web.StreamResponse:
    """Whom to call about the request of a case."""
    desk = await call.desk()
    place = await place_on_case(desk, call.part("thread"), "call")
    if place.subject is None:
        raise NotFoundError
    return call.go(f"/messages/{place.subject.id}/call")


async def record(call: PageCall) -> web.StreamResponse:
    """Record what came of a call."""
    desk = await call.desk()
    place = await place_on_message(desk, call.part("message"), "call")
    outcome = call.text("outcome")
    try:
        if outcome not in _OUTCOMES or place.subject is None:
            raise UsageError(_("Say what came of the call.")).at("outcome")
        await desk.cases.record_call(
            place.subject.id,
            outcome,
            number=call.text("number") or None,
            spoke_to=call.text("spoke_to") or None,
            remark=call.text("remark"),
        )
    except ComityError as problem:
        return call.refused(TEMPLATE, problem, **await _values(call, desk, place))
    if outcome == "nobody_answered":
        return call.go(f"{place.path}?done=case-recorded&nobody=1")
    return call.go(f"{place.back}?done=case-recorded")


async def _values(call: PageCall, desk: Desk, place: ActPlace) -> dict[str, Any]:
    if place.subject is None:
        raise NotFoundError
    sheet = await desk.cases.call_sheet(place.subject.id)
    reach = sheet.reach
    return {
        "place": place,
        "sheet": sheet,
        "reach": people([reach], call.now)[0] if reach is not None else None,
        "card": reach,
        "nation": nation_label(sheet.contact.node),
        "what": code_label("message_type", place.subject.type),
        "numbers": [(number, number) for number in reach.numbers] if reach is not None else [],
        "called": [entry.number for entry in sheet.calls.entries if entry.number is not None],
        "outcomes": _outcomes(sheet),
        "written": [(one, " · ".join(map(_part, one.where.split(".")))) for one in sheet.written],
        "nobody": call.query("nobody") == "1" or any(e.outcome == "nobody_answered" for e in sheet.calls.entries),
        "call_label": lambda code: code_label("call_outcome", code),
    }


def _part(name: str) -> str:
    return str(int(name) + 1) if name.isdigit() else field_label(name)


def _outcomes(sheet: CallSheet) -> list[tuple[str, str]]:
    if sheet.about is CallAbout.OWN:
        return [
            ("verified", _("They have it")),
            ("nobody_answered", _("Nobody answered")),
            ("not_theirs", _("It is not there")),
        ]
    theirs = _("They said that it is theirs")
    return [
        ("verified", theirs),
        ("nobody_answered", _("Nobody answered")),
        ("not_theirs", _("They said that it is NOT theirs: mark it as a suspected forgery")),
    ]

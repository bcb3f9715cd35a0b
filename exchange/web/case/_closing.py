"""Closing a case: what closing loses is said before anything is asked."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from exchange.acts.cases import close_case
from exchange.desk.desk import Desk
from exchange.messaging.drafting.closing import together
from exchange.messaging.once import under_key
from exchange.text.labels import with_rule
from exchange.web.calls import PageCall
from exchange.web.case.do import ActPlace, place_on_case, said_of
from exchange.web.forms.fields import code_options, once_of
from keys.local.translation import _
from protocol.errors import ClosingLosesError, ComityError, InvalidMessageError, UsageError

TEMPLATE = "case/close.html"
_FIELDS = frozenset({"reason", "text"})


async def show(call: PageCall) -> web.StreamResponse:
    """What it loses, and the form."""
    desk = await call.desk()
    place = await place_on_case(desk, call.part("thread"), "do/close")
    return call.page(TEMPLATE, **await _values(call, desk, place))


async def close(call: PageCall) -> web.StreamResponse:
    """Close it; what is lost must have been agreed to, as it is now and not as it was when the page was shown."""
    desk = await call.desk()
    place = await place_on_case(desk, call.part("thread"), "do/close")
    reason = call.text("reason")
    try:
        if not reason:
            raise UsageError(_("Say why the case is closed.")).at("reason")
        with under_key(call.text("once") or None):
            done = await close_case(
                desk, place.thread, reason, text=call.text("text") or None, lapse=call.text("lapse") == "yes"
            )
    except ClosingLosesError:
        # The page lists the losses already, in the reader's own time.
        problem = UsageError(_("Closing it loses what stands here. Tick that you close it all the same, or go back."))
        return call.refused(TEMPLATE, problem.at("lapse"), **await _values(call, desk, place))
    except ComityError as problem:
        beside, rest = _told_of(problem)
        return call.refused(TEMPLATE, problem, beside=beside, **{**await _values(call, desk, place), "rest": rest})
    return call.go(f"{place.back}?done={said_of(done, 'recorded')}")


def _told_of(problem: ComityError) -> tuple[dict[str, str], list[str]]:
    """What a refusal says of the form's fields, and the rest of it."""
    beside: dict[str, str] = {}
    rest: list[str] = []
    for name, rule, text in problem.problems if isinstance(problem, InvalidMessageError) else ():
        if name in _FIELDS:
            beside.setdefault(name, with_rule(text, rule))
        else:
            rest.append(with_rule(text, rule))
    return beside, rest


async def _values(call: PageCall, desk: Desk, place: ActPlace) -> dict[str, Any]:
    return {
        "place": place,
        "lost": [
            one.said() if one.thread == place.thread else str(one)
            for one in together(await desk.cases.closing_loses(place.thread))
        ],
        "reasons": code_options("closure_reason", empty=True),
        "once": once_of(call),
        "rest": [],
    }

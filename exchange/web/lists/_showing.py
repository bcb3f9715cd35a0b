"""Pages of this room: with the words that its templates use, and what was done just now."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from exchange.desk.desk import Desk
from exchange.office.officers import Acting
from exchange.web.calls import PageCall
from exchange.web.lists._words import WORDS
from keys.local.translation import _
from protocol.errors import ComityError


def done_text(code: str) -> str:
    """What was done, by its code in the URL: a fixed table, nothing of the URL is shown."""
    return {
        "view-kept": _("The view is kept."),
        "view-removed": _("The view was removed."),
        "released": _("Released: the message is on its way."),
        "returned": _("Sent back to its drafter."),
        "dropped": _("Dropped. Its content is gone."),
        "registered": _("Registered. It is not proved: call the office that can confirm it."),
        "called": _("The call is recorded."),
        "linked": _("Linked to the case that proves it."),
        "settled": _("Put aside."),
        "erased": _("Erased. What it said is gone for good."),
        "tested": _("The test is sent. The reply time stands here when the reply is proved."),
        "replied": _("Replied."),
        "refreshed": _("The directory was asked for news."),
        "shift-added": _("The shift is on the rota."),
        "shift-removed": _("The shift is off the rota."),
        "handed-over": _("Handed over. It stays yours until the other officer takes it."),
        "taken": _("Taken over: the cases are yours."),
        "calendar-ended": _("The calendar was ended: its address leads nowhere from now on."),
        "said": _("Sent to each of them."),
        "put-aside": _("Put aside: nothing more is waited for."),
        "sent-again": _("Sent again."),
        "head-kept": _("The head is signed: keep it somewhere else."),
    }.get(code, "")


def show(call: PageCall, template: str, desk: Desk, **values: Any) -> web.Response:
    """A page of this room."""
    return call.page(template, **_common(call, desk.office.acting), **values)


def refuse(call: PageCall, template: str, desk: Desk, problem: ComityError, **values: Any) -> web.Response:
    """The same page again, with why something was refused."""
    return call.refused(template, problem, **_common(call, desk.office.acting), **values)


def _common(call: PageCall, acting: Acting) -> dict[str, Any]:
    return {"say": WORDS, "done": done_text(call.query("done")), "acting": acting, "roles": _roles(acting)}


def _roles(acting: Acting) -> frozenset[str]:
    """What whoever acts may do; the one person of a desk without officers may do all."""
    if acting.officer is None:
        return frozenset() if acting.has_officers else frozenset({"reader", "drafter", "releaser", "administrator"})
    return frozenset(role.value for role in acting.officer.roles)

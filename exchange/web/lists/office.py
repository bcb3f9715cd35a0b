"""The officers of the desk and what each may do; and erasing what is kept no longer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from exchange.acts.office import (
    add_officer,
    bind_officer,
    change_roles,
    confirm_officer,
    unbind_officer,
    withdraw_officer,
)
from exchange.desk.desk import Desk
from exchange.office.erasure import Erased
from exchange.office.officers import Role
from exchange.web.calls import Page, PageCall, read_from
from exchange.web.lists._counting import erasable, forget_erasable
from exchange.web.lists._query import uuid_of
from exchange.web.lists._showing import refuse, show
from keys.local.translation import _
from protocol.codes import load_codes
from protocol.errors import ComityError, UsageError

_OFFICERS, _ERASURE = "lists/officers.html", "lists/erasure.html"
_AT_ONCE = 200


async def list_officers(call: PageCall) -> web.StreamResponse:
    """All officers, those who left too."""
    return await _officers(call, await call.desk())


async def _officers(call: PageCall, desk: Desk, problem: ComityError | None = None) -> web.Response:
    officers = await desk.office.officers()
    values = {
        "here": [one for one in officers if one.withdrawn_at is None],
        "left": [one for one in officers if one.withdrawn_at is not None],
        "all_roles": [role.value for role in Role],
        "chosen": call.texts("role"),
        "oidc": desk.settings.web.oidc,
    }
    if problem is not None:
        return refuse(call, _OFFICERS, desk, problem, **values)
    return show(call, _OFFICERS, desk, **values)


async def _after(call: PageCall, done: str, act: Callable[[Desk], Awaitable[object]]) -> web.StreamResponse:
    """Do an act, and show the officers with what was ``done``, or with what refused it."""
    desk = await call.desk()
    try:
        await act(desk)
    except ComityError as problem:
        return await _officers(call, desk, problem)
    return call.go(f"/officers?done={done}")


async def register(call: PageCall) -> web.StreamResponse:
    """Register an officer with a first key, which its holder replaces."""

    async def act(desk: Desk) -> None:
        first, again = call.form.get("passphrase", ""), call.form.get("passphrase_again", "")
        if not first or first != again:
            raise UsageError(_("type the same passphrase twice")).at("passphrase_again")
        given = (call.text("officer"), call.text("name"), call.text("job_title"), call.texts("role"))
        await add_officer(desk, desk.home.officers, *given, first.encode())

    return await _after(call, "officer-added", act)


async def give_roles(call: PageCall) -> web.StreamResponse:
    """Give an officer other roles."""
    return await _after(
        call, "officer-roles", lambda desk: change_roles(desk, call.text("officer"), call.texts("role"))
    )


async def let_leave(call: PageCall) -> web.StreamResponse:
    """Let an officer leave."""

    async def act(desk: Desk) -> None:
        _require_agreed(call)
        await withdraw_officer(desk, call.text("officer"))

    return await _after(call, "officer-left", act)


async def confirm(call: PageCall) -> web.StreamResponse:
    """Confirm that an id is its holder's own."""
    return await _after(call, "officer-confirmed", lambda desk: confirm_officer(desk, call.text("officer")))


async def bind(call: PageCall) -> web.StreamResponse:
    """Bind an account at the agency to an officer."""
    return await _after(
        call, "officer-bound", lambda desk: bind_officer(desk, call.text("officer"), call.text("account"))
    )


async def unbind(call: PageCall) -> web.StreamResponse:
    """Take the agency's account from an officer."""
    return await _after(call, "officer-unbound", lambda desk: unbind_officer(desk, call.text("officer")))


# --- Erasing ---


async def show_erasure(call: PageCall) -> web.StreamResponse:
    """What is kept longer than the settings say, when it is asked for; and the form for one case."""
    return await _erasure(call, await call.desk())


async def _erasure(
    call: PageCall, desk: Desk, problem: ComityError | None = None, *, erased: list[Erased] | None = None
) -> web.Response:
    look = call.query("look") == "1"
    counting = await erasable(call.site, desk, call.now) if look and erased is None else None
    if counting is not None and counting.problem is not None:
        problem = problem or counting.problem
    found = counting.found or [] if counting is not None else []
    retention = desk.settings.retention
    values: dict[str, Any] = {
        "look": look,
        "counting": counting if counting is not None and counting.found is None else None,
        "due": found[:_AT_ONCE],
        "more": max(0, len(found) - _AT_ONCE),
        "cases_days": retention.cases_days,
        "refused_days": retention.refused_days,
        "grounds": [one.code for one in load_codes("erasure_ground").entries],
        "erased": erased,
    }
    if problem is not None:
        return refuse(call, _ERASURE, desk, problem, **values)
    return show(call, _ERASURE, desk, **values)


async def erase_what_is_due(call: PageCall) -> web.StreamResponse:
    """Erase the cases that are marked, and refused messages that are older than their retention."""
    desk = await call.desk()
    try:
        _require_agreed(call)
        chosen = [uuid_of(one) for one in call.texts("case")]
        if len(chosen) > _AT_ONCE:
            raise UsageError(_("no more cases at once than {most}").format(most=_AT_ONCE))
        forget_erasable(call.site)
        done = [await desk.office.erase_case(one, "retention") for one in chosen]
        if call.text("refused") == "1":
            done.append(await desk.office.erase_refused())
    except ComityError as problem:
        return await _erasure(call, desk, problem)
    return await _erasure(call, desk, erased=done)


async def erase_one(call: PageCall) -> web.StreamResponse:
    """Erase one case on a ground."""
    desk = await call.desk()
    try:
        _require_agreed(call)
        with read_from("case"):
            thread = (await desk.messages.row(await desk.messages.resolve(call.text("case")))).thread
        forget_erasable(call.site)
        done = await desk.office.erase_case(thread, call.text("ground"))
    except ComityError as problem:
        return await _erasure(call, desk, problem)
    return await _erasure(call, desk, erased=[done])


def _require_agreed(call: PageCall) -> None:
    """Nothing irreversible is done by one click."""
    if call.text("agree") != "1":
        raise UsageError(_("mark that you mean it: this cannot be undone")).at("agree")


PAGES = (
    Page("GET", "/officers", list_officers),
    Page("POST", "/officers", register),
    Page("POST", "/officers/roles", give_roles),
    Page("POST", "/officers/leave", let_leave),
    Page("POST", "/officers/confirm", confirm),
    Page("POST", "/officers/bind", bind),
    Page("POST", "/officers/unbind", unbind),
    Page("GET", "/erasure", show_erasure),
    Page("POST", "/erasure/due", erase_what_is_due),
    Page("POST", "/erasure/case", erase_one),
)

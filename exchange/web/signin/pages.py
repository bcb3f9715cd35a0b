"""Signing in, unlocking and signing out: pages and acts that are there for who is not signed in."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from exchange.web.calls import Page, PageCall
from exchange.web.signin.cookies import (
    SAID,
    agency_cookie,
    give,
    known_marks,
    secret_of,
    take_agency,
    take_back,
    values_of,
)
from exchange.web.signin.door import Entered, HalfEntered, Offered
from exchange.web.signin.kept import KeptForm
from exchange.web.signin.passkeys import asked_to_sign_in, read_answer, read_output
from exchange.web.signin.sessions import WebSession
from keys.pages.form_tokens import NAME as TOKEN
from keys.pages.form_tokens import check_token
from keys.pages.languages import FIELD, keep_choice, offered
from keys.pages.rendering import own_path
from protocol.errors import (
    AgencyAwayError,
    AgencyRefusedError,
    AgencyUnboundError,
    ComityError,
    DatabaseDamagedError,
    FormError,
    ServiceBusyError,
    SignInError,
    SignInNeededError,
)

_TEMPLATE = "signin/sign-in.html"
# How the way by the agency ended, as the address of the page says it: fixed codes, and texts of our own.
_AGENCY_SAID: dict[str, type[ComityError]] = {
    one.code: one
    for one in (AgencyAwayError, AgencyRefusedError, AgencyUnboundError, DatabaseDamagedError, ServiceBusyError)
}
# The agency's word was taken in place of an app's code: no other factor is offered first.
_TWO = frozenset({"passphrase+agency"})


async def show(call: PageCall) -> web.StreamResponse:
    """The form; with the refusal that the way by the agency ended with, by its code."""
    if call.session is not None and not call.session.locked:
        return call.go("/")
    problem = _AGENCY_SAID.get(call.query("agency"))
    if problem is not None:
        return call.refused(_TEMPLATE, problem(), **await _shown(call))
    return call.page(_TEMPLATE, **await _shown(call))


async def sign_in(call: PageCall) -> web.StreamResponse:
    """Sign in with a passphrase, and a code of an app."""
    try:
        entered = await call.site.door.by_passphrase(_offered(call, call.text("officer") or None))
    except ComityError as problem:
        return call.refused(_TEMPLATE, problem, **await _shown(call))
    return await _enter(call, entered)


async def sign_in_by_code(call: PageCall) -> web.StreamResponse:
    """Sign in with a code that was made at the terminal."""
    try:
        entered = await call.site.door.by_code(call.text("officer") or None, call.text("code"))
    except ComityError as problem:
        return call.refused(_TEMPLATE, problem, **await _shown(call))
    return await _enter(call, entered)


async def ask_passkey(call: PageCall) -> web.StreamResponse:
    """What a browser asks a passkey (JSON)."""
    door = call.site.door
    asked = asked_to_sign_in(door.party, door.challenges.ask("sign-in"))
    return web.Response(text=asked, content_type="application/json")


async def sign_in_by_passkey(call: PageCall) -> web.StreamResponse:
    """Sign in with what a passkey answered; a script of the page goes on to the address in the answer (JSON)."""
    answer, output = read_answer(call.text("answer")), read_output(call.text("output"))
    unlocks = call.session is not None and call.session.locked
    shown = agency_cookie(call.request, call.site, SAID)
    entered = await call.site.door.by_passkey(answer, output, shown, second=not unlocks)
    if isinstance(entered, HalfEntered):
        return web.json_response({"officer": entered.officer, "half": entered.token})
    if call.session is not None and call.session.locked:
        response = await _unlocked(call, call.session, entered)
    else:
        response = await _enter(call, entered)
    made = web.json_response({"go": response.headers["Location"]})
    made.cookies.update(response.cookies)
    return made


async def show_lock(call: PageCall) -> web.StreamResponse:
    """The page of a session that is locked."""
    if call.session is None:
        return call.go("/sign-in")
    if not call.session.locked:
        return call.go(await _place(call, call.session, call.query("at")) or own_page(call.query("back")))
    return call.page("signin/unlock.html", unlock_back=own_page(call.query("back")), unlock_at=call.query("at"))


async def unlock(call: PageCall) -> web.StreamResponse:
    """Open a locked session for its officer, and go back to where it was locked."""
    if call.session is None:
        raise SignInNeededError
    if not call.session.locked:
        return call.go(await _place(call, call.session, call.text("at")) or own_page(call.text("back")))
    try:
        known = Offered(call.session.officer, call.form.get("passphrase", "").encode(), known=True)
        entered = await call.site.door.by_passphrase(known, second=False)
        return await _unlocked(call, call.session, entered)
    except SignInNeededError:
        raise
    except ComityError as problem:
        return call.refused(
            "signin/unlock.html", problem, unlock_back=own_page(call.text("back")), unlock_at=call.text("at")
        )


async def lock(call: PageCall) -> web.StreamResponse:
    """Lock the session now; what was typed is kept, also of one that has just ended."""
    session = call.session
    if session is None:
        session = call.site.sessions.ended(secret_of(call.request, call.site))
        if session is None:
            return _led(call, "/sign-in", known=False)
        check_token(session.form_key, call.request.path, call.text(TOKEN))
    at = keep_form(call, session)
    session.wipe()
    return _led(call, f"/unlock?{urlencode({'at': at})}")


def _led(call: PageCall, path: str, *, known: bool = True) -> web.Response:
    """On to a page; a script is told where it goes on to (JSON), and whether anybody knows its session."""
    if call.request.headers.get("Accept") == "application/json":
        return web.json_response({"go": path, "known": known})
    return call.go(path)


def keep_form(call: PageCall, session: WebSession, *, was_sent: bool = True) -> str:
    """Keep the form that a page gives, as ``_action`` and ``_back`` name it, or the page alone; where it is kept."""
    action, back, fields = call.text("_action"), own_page(call.text("_back")), call.fields
    if fields is None or not action or own_page(action) != action:
        return session.keep(KeptForm("", back))
    if call.text("_kept"):
        session.kept.drop(call.text("_kept"))  # it goes on in what comes now
    form = KeptForm.of(action, back, fields.items())
    return session.keep(form, call.text("_tab"), was_sent=was_sent) or session.keep(KeptForm("", back))


async def sign_out(call: PageCall) -> web.StreamResponse:
    """End the session."""
    if call.session is not None:
        call.site.sessions.end(call.session)
    response = call.go("/sign-in")
    take_back(response, call.site)
    return response


async def choose_language(call: PageCall) -> web.StreamResponse:
    """Show pages in another language from now on, in this browser."""
    chosen = call.text(FIELD)
    if chosen not in offered():
        raise FormError
    response = call.go(own_page(call.text("back")))
    keep_choice(response, chosen, secure=call.site.secure, cookie=call.site.language_cookie)
    return response


async def _shown(call: PageCall) -> dict[str, Any]:
    """What the page of signing in shows: that something typed waits, and whom the agency said that this browser is."""
    ended = call.site.sessions.ended(secret_of(call.request, call.site))
    agency = call.site.door.agency
    who = await agency.who(agency_cookie(call.request, call.site, SAID)) if agency is not None else None
    return {
        "waits": ended is not None and len(ended.kept) > 0,
        "agency": agency.settings if agency is not None else None,
        "who": who,
    }


def _offered(call: PageCall, officer: str | None) -> Offered:
    known = call.site.door.is_known(officer, known_marks(call.request, call.site))
    passphrase = call.form.get("passphrase", "").encode("utf-8", "surrogateescape")
    agency = agency_cookie(call.request, call.site, SAID)
    return Offered(officer, passphrase, call.text("totp"), call.text("half"), known, agency)


async def _enter(call: PageCall, entered: Entered) -> web.Response:
    """Begin a session, and go on: first to what a session needs, then to what was typed, then to the board."""
    site = call.site
    # Signing in ends the sessions that the browser had before, also one that another page put beside it.
    before = tuple(values_of(call.request, site.cookie))
    secret = site.sessions.begin(
        entered.officer, entered.seed, call.request.headers.get("User-Agent", ""), entered.factor, before
    )
    profile = await site.door.profile(entered.officer)
    path = "/"
    if site.sessions.find(secret).kept.unsent:
        path = "/kept"
    elif entered.officer is not None and entered.factor not in _TWO and not await site.door.has_factor(entered.officer):
        path = "/settings/first"
    begun = site.sessions.find(secret)
    begun.identity = entered.identity
    begun.zone, begun.sound = profile.zone, profile.sound
    response = call.go(path)
    give(call.request, response, site, secret, entered.officer)
    if site.door.agency is not None:
        site.door.agency.forget(agency_cookie(call.request, site, SAID))  # it was good for one session
        take_agency(response, site, SAID)
    if profile.language:
        keep_choice(response, profile.language, secure=site.secure, cookie=site.language_cookie)
    return response


async def _unlocked(call: PageCall, session: WebSession, entered: Entered) -> web.Response:
    if entered.officer != session.officer:
        raise SignInError
    before = secret_of(call.request, call.site) or ""
    secret = call.site.sessions.unlock(before, session, entered.seed, entered.factor)
    response = call.go(await _place(call, session, call.text("at")) or own_page(call.text("back")))
    give(call.request, response, call.site, secret, session.officer)
    return response


async def shown_at(call: PageCall, form: KeptForm) -> str:
    """The page that a form stands on; empty where there is no such page to be opened."""
    path = own_page(form.back)
    match = await call.request.app.router.resolve(call.request.clone(method="GET", rel_url=path))
    return path if match.http_exception is None else ""


async def _place(call: PageCall, session: WebSession, at: str) -> str:
    """The page on which an officer was locked out: with what was typed there, where it stands on a page."""
    if not at:
        return ""
    found = session.kept_as(at)
    path = await shown_at(call, found) if found is not None else ""
    if found is not None and len(session.typed_at(path)) > 1:
        return kept_path(path, at)
    return path or "/kept"


def kept_path(path: str, kept: str) -> str:
    """The page at ``path`` with this one of the forms that are kept filled in."""
    return f"{path}{'&' if '?' in path else '?'}{urlencode({'kept': kept})}"


def own_page(path: str) -> str:
    """Where a page was, which is one of ours; else the board."""
    try:
        made = own_path(path) if path.startswith("/") else "/"
    except ComityError:
        return "/"
    return "/" if made.partition("?")[0] in {"/unlock", "/sign-in", "/sign-out", "/lock"} else made


PAGES = (
    Page("GET", "/sign-in", show, public=True),
    Page("POST", "/sign-in", sign_in, public=True),
    Page("POST", "/sign-in/code", sign_in_by_code, public=True),
    Page("POST", "/sign-in/passkey/ask", ask_passkey, public=True),
    Page("POST", "/sign-in/passkey", sign_in_by_passkey, public=True),
    Page("GET", "/unlock", show_lock, public=True),
    Page("POST", "/unlock", unlock, public=True),
    Page("POST", "/lock", lock, public=True, quiet=True),
    Page("POST", "/sign-out", sign_out, public=True),
    Page("POST", "/language", choose_language, public=True),
)

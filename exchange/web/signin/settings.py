"""What an officer sets: language and time zone, ways to sign in, and the sessions that are open."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import Any
from zoneinfo import available_timezones

from aiohttp import web

from exchange.web.calls import Page, PageCall
from exchange.web.field_names import field_name
from exchange.web.signin.access import MAX_NAME
from exchange.web.signin.pages import keep_form, kept_path, own_page, shown_at
from exchange.web.signin.passkeys import added, asked_to_add, read_answer, read_output
from exchange.web.signin.totp import new_offer, step_of
from keys.local.translation import _
from keys.pages.languages import keep_choice, offered
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, FormError, NotFoundError, SignInAgainError, SignInError, UsageError

_SETTINGS, _PASSKEY, _TOTP = "signin/settings.html", "signin/passkey.html", "signin/totp.html"
_SECRET_CHARS = 32
_BASE32 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")


async def show(call: PageCall) -> web.StreamResponse:
    """All settings."""
    return call.page(_SETTINGS, **await _shown(call))


async def prefer(call: PageCall) -> web.StreamResponse:
    """Set language, zone and sound."""
    own = await call.own_access()
    language, zone = call.text("language"), call.text("zone")
    try:
        if (language and language not in offered()) or (zone and zone not in _zones()):
            wrong = "zone" if zone and zone not in _zones() else "language"
            raise UsageError(phrase("There is no such language or time zone here.")).at(wrong)
        await own.prefer(language=language, zone=zone, sound=bool(call.text("sound")))
    except ComityError as problem:
        return call.refused(_SETTINGS, problem, **await _shown(call))
    call.signed_in().zone = zone
    call.signed_in().sound = bool(call.text("sound"))
    response = call.go("/settings?done=settings-kept")
    if language:
        keep_choice(response, language, secure=call.site.secure, cookie=call.site.language_cookie)
    return response


async def show_first(call: PageCall) -> web.StreamResponse:
    """The first thing after the first sign-in: a second way to prove who one is."""
    return call.page("signin/first.html")


async def show_passkey(call: PageCall) -> web.StreamResponse:
    """The page on which a passkey is added."""
    return call.page(_PASSKEY, fresh=_is_fresh(call))


async def ask_passkey(call: PageCall) -> web.StreamResponse:
    """What a browser is asked so that it makes a passkey (JSON)."""
    officer, door = _fresh_officer(call), call.site.door
    known = await (await call.own_access()).passkeys()
    user = sha256(b"comity/v1/web-user\0" + f"{door.party.desk}\0{officer}".encode()).digest()
    asked = asked_to_add(door.party, door.challenges.ask(f"add {officer}"), officer, user, list(known))
    return web.Response(text=asked, content_type="application/json")


async def add_passkey(call: PageCall) -> web.StreamResponse:
    """Add the passkey that the browser made; a script of the page goes on to the address in the answer (JSON)."""
    officer, door = _fresh_officer(call), call.site.door
    answer, output = read_answer(call.text("answer")), read_output(call.text("output"))
    challenge = door.challenges.answered(f"add {officer}", answer)
    made = added(door.party, challenge, answer, output, call.signed_in().seed(), call.now)
    door.challenges.spend(challenge)
    name = " ".join(call.text("name").split())[:MAX_NAME] or _("Passkey")
    await (await call.own_access()).add_passkey(replace(made, name=name))
    done = "passkey-added" if made.wrapped is not None else "passkey-added-half"
    return web.json_response({"go": f"/settings?done={done}"})


async def remove_passkey(call: PageCall) -> web.StreamResponse:
    """Forget a passkey, such as one that was lost."""
    _fresh_officer(call)
    own = await call.own_access()
    for one in await own.passkeys():
        if one.credential.hex()[:32] == call.part("passkey"):
            await own.remove_passkey(one.credential)
            return call.go("/settings?done=passkey-removed")
    raise NotFoundError(phrase("There is no such passkey of yours."))


async def show_totp(call: PageCall) -> web.StreamResponse:
    """A new secret for an app, and the field for its first code."""
    officer = call.signed_in().officer or ""
    offer = new_offer(officer, call.site.door.party.desk) if officer and _is_fresh(call) else None
    return call.page(_TOTP, offer=offer, fresh=_is_fresh(call))


async def set_totp(call: PageCall) -> web.StreamResponse:
    """Ask for codes from now on, when the first one is right."""
    officer = _fresh_officer(call)
    secret = call.text("secret")
    if len(secret) != _SECRET_CHARS or not _BASE32.issuperset(secret):
        raise FormError
    step = step_of(secret, call.text("totp"), call.now)
    if step is None:
        offer = new_offer(officer, call.site.door.party.desk, secret)
        problem = SignInError(phrase("That is not the code that the app shows now. Is its clock right?")).at("totp")
        return call.refused(_TOTP, problem, offer=offer, fresh=True)
    await (await call.own_access()).set_totp(secret, step)
    return call.go("/settings?done=totp-added")


async def remove_totp(call: PageCall) -> web.StreamResponse:
    """Ask for no more codes."""
    _fresh_officer(call)
    await (await call.own_access()).set_totp("", 0)
    return call.go("/settings?done=totp-removed")


async def end_session(call: PageCall) -> web.StreamResponse:
    """End one of the officer's sessions."""
    own = call.signed_in()
    for one in call.site.sessions.of(own.officer):
        if one.name == call.part("session"):
            call.site.sessions.end(one)
            return call.go("/sign-in" if one is own else "/settings?done=session-ended")
    raise NotFoundError(phrase("There is no such session of yours."))


async def end_others(call: PageCall) -> web.StreamResponse:
    """End all of the officer's sessions but this one."""
    own = call.signed_in()
    for one in call.site.sessions.of(own.officer):
        if one is not own:
            call.site.sessions.end(one)
    return call.go("/settings?done=sessions-ended")


async def show_kept(call: PageCall) -> web.StreamResponse:
    """All that was typed and not sent."""
    session = call.signed_in()
    forms = []
    for kept, form in session.typed():
        path = await shown_at(call, form)
        forms.append(
            {
                "id": kept,
                "title": form.back.partition("?")[0],
                "path": kept_path(path, kept) if path else "",
                "typed": [(field_name(name), value) for name, value in form.typed],
            }
        )
    return call.page("signin/kept.html", forms=forms, lost=session.kept.lost)


async def keep_typed(call: PageCall) -> web.StreamResponse:
    """Keep what is typed on a page that is left: it comes back where the page is opened again."""
    keep_form(call, call.signed_in(), was_sent=False)
    return web.Response(status=204)


async def open_kept(call: PageCall) -> web.StreamResponse:
    """To the page of one form, which is filled in there."""
    session, kept = call.signed_in(), call.part("kept")
    form = session.kept_as(kept)
    path = await shown_at(call, form) if form is not None else ""
    if not path:
        return call.go("/kept")
    return call.go(kept_path(path, kept))


async def forget_kept(call: PageCall) -> web.StreamResponse:
    """Forget one thing that was typed and not sent."""
    session = call.signed_in()
    session.kept.drop(call.text("kept"))
    return call.go(own_page(call.text("back")) if call.text("back") else "/kept" if len(session.kept) else "/")


async def still_here(call: PageCall) -> web.StreamResponse:
    """Somebody types or points: the session stays open."""
    call.signed_in()
    return web.Response(status=204)


async def show_keys(call: PageCall) -> web.StreamResponse:
    """The keys by which pages are reached."""
    keys = [
        ("/", _("Search")), ("n", _("New request")), ("g b", _("Duty board")), ("g c", _("Cases")),
        ("g m", _("Messages")), ("g f", _("Drafts")), ("g l", _("To release")),
        ("g n", _("Asked of several nations")), ("g u", _("What came by another way")),
        ("g t", _("Contact tests")), ("g a", _("Statistics")),
        ("g k", _("Calendar")), ("g d", _("Directory")), ("g h", _("Hand-over")), ("g r", _("Records")),
        ("g s", _("Settings")), ("?", _("This list")),
    ]  # fmt: skip
    return call.page("signin/keys.html", keys=keys)


async def _shown(call: PageCall) -> dict[str, Any]:
    session, own = call.signed_in(), await call.own_access()
    sessions = [
        (one, *(round(age / 60) for age in call.site.sessions.age_s(one)))
        for one in call.site.sessions.of(session.officer)
    ]
    return {
        "profile": await own.profile(),
        "passkeys": await own.passkeys() if session.officer else [],
        "sessions": sessions,
        "zones": _zones(),
        "fresh": _is_fresh(call),
    }


@cache
def _zones() -> tuple[str, ...]:
    """The time zones that this machine knows; its files are read once."""
    return tuple(sorted(available_timezones()))


def _is_fresh(call: PageCall) -> bool:
    return call.site.sessions.is_fresh(call.signed_in())


def _fresh_officer(call: PageCall) -> str:
    """The officer, who proved to be there lately; raises :class:`SignInAgainError`, :class:`FormError` for nobody."""
    officer = call.signed_in().officer
    if officer is None:
        raise FormError(phrase("A desk without officers has no second factors."))
    if not _is_fresh(call):
        raise SignInAgainError
    return officer


PAGES = (
    Page("GET", "/settings", show),
    Page("POST", "/settings", prefer),
    Page("GET", "/settings/first", show_first),
    Page("GET", "/settings/passkeys/new", show_passkey),
    Page("POST", "/settings/passkeys/ask", ask_passkey),
    Page("POST", "/settings/passkeys", add_passkey),
    Page("POST", "/settings/passkeys/{passkey}/remove", remove_passkey),
    Page("GET", "/settings/totp", show_totp),
    Page("POST", "/settings/totp", set_totp),
    Page("POST", "/settings/totp/remove", remove_totp),
    Page("POST", "/settings/sessions/end-others", end_others),
    Page("POST", "/settings/sessions/{session}/end", end_session),
    Page("GET", "/kept", show_kept),
    Page("POST", "/kept", keep_typed, quiet=True),
    Page("GET", "/kept/{kept}", open_kept),
    Page("POST", "/kept/forget", forget_kept),
    Page("POST", "/here", still_here),
    Page("GET", "/keys", show_keys),
)

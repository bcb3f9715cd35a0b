"""The directory: nations and their offices, and of each office a card to call from, with how it answers tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from aiohttp import web

from exchange.acts.contacts import reply_to_tests, send_tests
from exchange.cases.law.saying import parts_said, rule_text
from exchange.cases.legal_comparison import KnownProfile, known_profile
from exchange.desk.desk import Desk
from exchange.messaging.once import under_key
from exchange.text.labels import answering_label
from exchange.text.zones import shown_zone
from exchange.web.calls import Page, PageCall
from exchange.web.lists._query import PER_PAGE, given, link, once_value, page_of, uuid_of
from exchange.web.lists._showing import refuse, show
from exchange.web.lists._words import nation_label
from keys.directory.cards import CardStatus, ContactPointCard, Performance
from keys.directory.duty_hours import on_duty, opening_at, openings_from, zone_of
from keys.local.translation import _
from protocol.address import Address
from protocol.codes import load_codes
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, InvalidAddressError, NotFoundError, UsageError

if TYPE_CHECKING:
    from exchange.cases.law.bases import Basis
    from keys.directory.view import Directory

_LIST, _CARD, _TESTS = "lists/directory.html", "lists/card.html", "lists/tests.html"
_NAMES = ("q", "nation", "language", "duty", "function")
_DAYS = 7


@dataclass(frozen=True, slots=True)
class NationRow:
    """A nation of the directory: its node's name, what it is called, how many offices; None: not read yet."""

    node: str
    name: str
    offices: int | None


@dataclass(frozen=True, slots=True)
class OpenNow:
    """Whether an office is open (None: its zone is not known here), and when that changes next."""

    now: bool | None
    changes_at: datetime | None
    opens: bool


async def list_directory(call: PageCall) -> web.StreamResponse:
    """Nations first; with words or a nation, their offices."""
    return await _listed(call, await call.desk())


async def _listed(call: PageCall, desk: Desk, problem: ComityError | None = None) -> web.Response:
    known, wanted = desk.directory, given(call, *_NAMES)
    looks, nations = any(wanted.values()), _nations(known)
    values: dict[str, Any] = {
        "directory": known,
        "wanted": wanted,
        "stale": known.is_stale(call.now),
        "nations": [] if looks else nations,
        "choices": [(one.node, one.name) for one in nations],
        "functions": [one.code for one in load_codes("contact_function").entries],
        "cards": [],
        "found": 0,
        "first": 0,
        "before": "",
        "after": "",
        "profile": None,
    }
    if looks:
        try:
            values |= await _offices(call, desk, wanted)
        except ComityError as refused:
            problem = problem or refused
    if problem is not None:
        return refuse(call, _LIST, desk, problem, **values)
    return show(call, _LIST, desk, **values)


async def _offices(call: PageCall, desk: Desk, wanted: dict[str, str]) -> dict[str, Any]:
    known, page = desk.directory, page_of(call)
    nation = wanted["nation"].lower()
    if nation and nation in known.unread:
        known = await desk.judged(lambda read: (read.node(nation), read)[1])
    cards = known.contact_points()
    names = {node: nation_label(node) for node in {card.address.node for card in cards}}
    fitting = [card for card in cards if _fits(card, names[card.address.node], wanted, call.now)]
    first = (page - 1) * PER_PAGE
    cards = fitting[first : first + PER_PAGE]
    standings = await desk.cases.contact_standings([card.address for card in cards])
    return {
        "cards": [(card, _open_now(card, call.now)) for card in cards],
        "answers": {one.contact: answering_label(one.standing.value) for one in standings},
        "found": len(fitting),
        "first": first,
        "before": link("/directory", {**wanted, "page": page - 1}) if page > 1 else "",
        "after": link("/directory", {**wanted, "page": page + 1}) if len(fitting) > first + len(cards) else "",
        "profile": _profile(known, nation) if nation else None,
    }


def _fits(card: ContactPointCard, nation: str, wanted: dict[str, str], now: datetime) -> bool:
    words, language = wanted["q"].casefold(), wanted["language"].lower()
    own = (str(card.address), card.office, card.agency, nation, *card.competences)
    done = {limb.value for limb, how in (card.performs or {}).items() if how is not Performance.CANNOT}
    return (
        wanted["nation"].lower() in {"", card.address.node}
        and (not words or any(words in text.casefold() for text in own))
        and (not language or any(tag.lower().split("-")[0] == language for tag in card.languages))
        and (not wanted["function"] or wanted["function"] in done)
        # An office whose zone is unknown here may be on duty: an officer in need is not kept from trying.
        and (not wanted["duty"] or on_duty(card, now) is not False)
    )


def _nations(known: Directory) -> list[NationRow]:
    """All nations by name; of those that were not read, the name alone."""
    counted: dict[str, int | None] = dict.fromkeys({*known.members_read(), *known.unread}, None)
    for card in known.contact_points():
        counted[card.address.node] = (counted.get(card.address.node) or 0) + 1
    rows = [NationRow(node, nation_label(node), number) for node, number in counted.items()]
    return sorted(rows, key=lambda row: row.name.casefold())


def _open_now(card: ContactPointCard, now: datetime) -> OpenNow:
    opening = opening_at(card, now)
    is_open = on_duty(card, now)
    if opening is None:
        return OpenNow(is_open, None, opens=False)
    return OpenNow(is_open, opening[1] if is_open else opening[0], opens=not is_open)


def _profile(known: Directory, node: str) -> dict[str, Any] | None:
    """What is known of a nation's law, part by part, each rule with its source."""
    found: KnownProfile | None = known_profile(known, node) if node in known.nodes() else None
    if found is None:
        return None
    parts = [(name, [(rule_text(rule), rule) for rule in rules]) for name, rules in parts_said(found.profile)]
    return {"signed": found.signed, "at": found.profile.updated_at, "parts": parts}


async def refresh(call: PageCall) -> web.StreamResponse:
    """Ask the node for news of the whole directory."""
    desk = await call.desk()
    try:
        await desk.refresh_directory(everything=True)
    except ComityError as problem:
        return await _listed(call, desk, problem)
    return call.go("/directory?done=directory-refreshed")


# --- One office ---


async def show_card(call: PageCall) -> web.StreamResponse:
    """The card to call from."""
    return await _card(call, await call.desk())


async def _card(call: PageCall, desk: Desk, problem: ComityError | None = None) -> web.Response:
    address = _address(call)
    card = await desk.judged(lambda known: known.contact_point(address))
    known = desk.directory
    (standing,) = await desk.cases.contact_standings([address])
    bases: Sequence[Basis] = ()
    ways: Sequence[str] = ()
    if address.node != desk.address.node and {address.node, desk.address.node} <= set(known.nodes()):
        bases, ways = await desk.cases.legal_bases(desk.address.node, address.node)
    phone = (await desk.cases.phone_cards({address})).get(address)
    values: dict[str, Any] = {
        "card": card,
        "phone": phone,
        "open": _open_now(card, call.now),
        "week": _week(card, call.now),
        "here": shown_zone(),
        "own": address == desk.address,
        "active": card.status is CardStatus.ACTIVE,
        "standing": answering_label(standing.standing.value),
        "results": await desk.cases.contact_results(address),
        "bases": [one for one in bases if str(one.standing) != "not_stated"],
        "ways": ways,
        "profile": _profile(known, address.node),
        "version": known.version,
        "stale": known.is_stale(call.now),
        "once": call.form.get("once") or once_value(),
    }
    if problem is not None:
        return refuse(call, _CARD, desk, problem, **values)
    return show(call, _CARD, desk, **values)


def _week(card: ContactPointCard, now: datetime) -> list[tuple[str, str, str]]:
    """The openings of the next seven days: (day there, hours there, hours here)."""
    zone, here = zone_of(card), shown_zone()
    if zone is None:
        return []
    rows = []
    for begins, ends in islice(openings_from(card, now, _DAYS), 2 * _DAYS):
        there, ours = begins.astimezone(zone), begins.astimezone(here)
        hours = _hours(ours, ends.astimezone(here))
        rows.append((f"{there:%Y-%m-%d}", _hours(there, ends.astimezone(zone)), f"{ours:%m-%d} {hours}"))
    return rows


def _hours(begins: datetime, ends: datetime) -> str:
    later = f" (+{(ends.date() - begins.date()).days})" if ends.date() != begins.date() else ""
    return f"{begins:%H:%M}–{ends:%H:%M}{later}"


async def test_now(call: PageCall) -> web.StreamResponse:
    """Send the office a test; whether somebody replies, and how soon, is proved and shown."""
    desk, address = await call.desk(), _address(call)
    try:
        with under_key(call.text("once") or None):
            (sent,) = await send_tests(desk, contacts=[address])
        if sent.error is not None:
            raise UsageError(_("no test can be sent to it now: {code}").format(code=sent.error))
    except ComityError as problem:
        return await _card(call, desk, problem)
    return call.go(f"/directory/{address}?done=test-sent")


def _address(call: PageCall) -> Address:
    try:
        return Address.parse(call.part("address"))
    except InvalidAddressError:
        raise NotFoundError(phrase("there is no such page")) from None


# --- Tests that others sent ---


async def list_tests(call: PageCall) -> web.StreamResponse:
    """The tests that nobody here replied to."""
    return await _tests(call, await call.desk())


async def _tests(call: PageCall, desk: Desk, problem: ComityError | None = None) -> web.Response:
    waiting = await desk.cases.unanswered_contact_tests()
    values = {
        "tests": waiting[:PER_PAGE],
        "more": max(0, len(waiting) - PER_PAGE),
        "once": call.form.get("once") or once_value(),
        "nations": [(one.node.upper(), one.name) for one in _nations(desk.directory) if len(one.node) == 2],
    }
    if problem is not None:
        return refuse(call, _TESTS, desk, problem, **values)
    return show(call, _TESTS, desk, **values)


async def reply(call: PageCall) -> web.StreamResponse:
    """Reply to the tests that are marked."""
    desk = await call.desk()
    try:
        chosen: Sequence[str] = call.texts("test")
        if not chosen:
            raise UsageError(_("choose at least one test")).at("test")
        with under_key(call.text("once") or None):
            await reply_to_tests(desk, tests=[uuid_of(one) for one in chosen], remark=call.text("remark") or None)
    except ComityError as problem:
        return await _tests(call, desk, problem)
    return call.go("/directory/tests?done=tests-replied")


async def test_nation(call: PageCall) -> web.StreamResponse:
    """Send a test to each office of a nation."""
    desk = await call.desk()
    try:
        with under_key(call.text("once") or None):
            await send_tests(desk, country=call.text("country"))
    except ComityError as problem:
        return await _tests(call, desk, problem)
    return call.go("/directory/tests?done=test-sent")


PAGES = (
    Page("GET", "/directory", list_directory),
    Page("POST", "/directory/refresh", refresh),
    Page("GET", "/directory/tests", list_tests),
    Page("POST", "/directory/tests/reply", reply),
    Page("POST", "/directory/tests", test_nation),
    Page("GET", "/directory/{address}", show_card),
    Page("POST", "/directory/{address}/test", test_now),
)

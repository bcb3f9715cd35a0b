"""The calendar of a desk's pages, and the feed that needs no session: what it says, and who gets it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import icalendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.desk.desk import Desk
from exchange.office.officers import Login, Role, new_officer_key
from exchange.web.lists._ical import calendar_file
from exchange.web.lists.calendar import paces_of
from keys.pages.pace import AskingPace
from keys.secrets.keystore import FAST
from protocol.errors import NotFoundError, TooLargeError
from tests.worlds.desks import FR, JP, NOW, World, in_thread, request
from tests.worlds.samples import agenda_item
from tests.worlds.web_desk import Pages, Visitor, web_serving

outside = pytest.mark.outside


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


@pytest.fixture
async def jp(world: World) -> AsyncIterator[Pages]:
    async with web_serving(world, JP) as made:
        yield made


async def desk_of(pages: Pages) -> Desk:
    return await pages.service.desk(Login())


async def taken(world: World, desk: Desk) -> None:
    """The other desk has what was sent, and this desk knows: its clocks run."""
    async with world.open(FR) as fr:
        await fr.messages.sync()
    await desk.messages.sync()


async def address_of(visitor: Visitor) -> str:
    """The path of a new feed, as the page shows it once."""
    made = await visitor.send(await visitor.get("/calendar"), "/calendar/tokens", name="My calendar")
    assert "It is shown this once" in made.text
    address = made.text.partition('value="http://')[2].partition('"')[0]
    return "/" + address.partition("/")[2]


def events(content: bytes | str) -> list[Any]:
    return list(icalendar.Calendar.from_ical(content).walk("VEVENT"))


@outside
async def test_the_feed_tells_references_and_clocks_and_nothing_of_what_a_case_is_about(
    world: World, jp: Pages
) -> None:
    desk = await desk_of(jp)
    draft = request(own_reference="NPA-2026-17")
    await desk.messages.send(draft)
    await taken(world, desk)
    async with jp.visitor() as visitor, jp.visitor() as program:
        await visitor.sign_in()
        path = await address_of(visitor)
        shown = await program.get(path)  # without a session
        assert shown.status == 200
        assert shown.headers["Content-Type"].startswith("text/calendar")
        assert shown.headers["Cache-Control"] == "no-store"
        (event,) = events(shown.text)
        assert str(event["SUMMARY"]).startswith("NPA-2026-17: ")
        allowed = {"UID", "DTSTAMP", "DTSTART", "SUMMARY", "CLASS", "TRANSP", "STATUS"}
        assert set(event) <= allowed
        thread = (await desk.cases.listing()).cases[0].thread
        said = [draft["offences"][0]["title"], draft["facts"][:20], "24-7@fr", "France", "203.0.113", str(thread)]
        assert not [text for text in said if text in shown.text]


@outside
async def test_a_token_is_shown_once_kept_as_a_hash_and_in_no_log(
    jp: Pages, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with jp.visitor() as visitor:
        await visitor.sign_in()
        path = await address_of(visitor)
        token = path.removeprefix("/calendar/").removesuffix(".ics")
        assert len(token) == 43  # 256 bits
        assert token not in (await visitor.get("/calendar")).text
        assert (await visitor.get(path)).status == 200
        await visitor.get(path + "x")
    logged = "".join(record.getMessage() for record in caplog.records)
    assert token not in logged
    desk = await desk_of(jp)
    await in_thread(desk, desk._works.context.store.database.tidy)
    for file in world.home(JP).rglob("*"):
        if file.is_file():
            assert token.encode() not in file.read_bytes(), file


@outside
async def test_a_wrong_an_ended_and_a_revoked_token_get_the_same_answer_after_the_same_look(
    jp: Pages, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[bytes] = []
    desk = await desk_of(jp)
    table = desk._works.context.store.calendar_tokens
    look = table.with_hash
    monkeypatch.setattr(table, "with_hash", lambda hashed: (looks.append(hashed), look(hashed))[1])
    async with jp.visitor() as visitor, jp.visitor() as program:
        await visitor.sign_in()
        revoked, ended = await address_of(visitor), await address_of(visitor)
        page = await visitor.get("/calendar")
        assert "leads nowhere" in (await visitor.send(page, "/calendar/tokens/end")).text
        world.clock.advance(days=366)
        wrong = ["/calendar/" + name + ".ics" for name in ("x", "A" * 43, "%00", "..%2f", "\u202e", "x" * 2_000)]
        answers = [await program.get(path) for path in (revoked, ended, *wrong)]
    assert {(one.status, one.text) for one in answers} == {(404, "not-found\n")}
    assert len({frozenset(one.headers) for one in answers}) == 1
    assert len(looks) == len(answers)
    assert {len(one) for one in looks} == {32}


@outside
async def test_the_feed_is_only_read_and_only_so_often(jp: Pages) -> None:
    paces = paces_of(jp.desk)
    now = [0.0]
    paces.looks, paces.fetches = AskingPace(6, 1.0, lambda: now[0]), AskingPace(2, 60.0, lambda: now[0])
    async with jp.visitor() as visitor, jp.visitor() as program:
        await visitor.sign_in()
        path = await address_of(visitor)
        assert (await program.post(path, {})).status == 405
        assert (await program.get(path, Host="evil.example")).status == 421
        statuses = [(await program.get(path)).status for _ in range(3)]
        assert statuses == [200, 200, 429]
        guesses = [(await program.get(f"/calendar/{n}.ics")).status for n in range(4)]
        assert guesses == [404, 404, 404, 429]
        now[0] += 61
        assert (await program.get(path)).status == 200


@outside
async def test_a_token_of_an_officer_who_left_or_may_not_read_leads_nowhere(world: World) -> None:
    folder = world.home(JP) / "officers"

    def key(officer: str) -> bytes:
        return new_officer_key(folder, officer, b"own words", FAST, world.clock())

    boss = Login("boss", b"own words")
    async with world.open(JP) as jp:
        await jp.office.add_officer("boss", "Boss", "Chief", frozenset({Role.ADMINISTRATOR}), key("boss"))
    async with world.open(JP, boss) as jp:
        for officer in ("kim", "lee"):
            await jp.office.add_officer(officer, officer, "Inspector", frozenset({Role.READER}), key(officer))
    made = {}
    for officer in ("kim", "lee"):
        async with world.open(JP, Login(officer, b"own words")) as jp:
            made[officer] = await jp.office.new_calendar("Mine", own=officer == "lee")
            assert [token.officer for token in await jp.office.calendar_tokens()] == [officer]
            with pytest.raises(NotFoundError):
                await jp.office.end_calendar(99)
    async with world.open(JP, boss) as jp:
        assert [token.officer for token in await jp.office.calendar_tokens()] == ["kim", "lee"]
        assert await jp.office.calendar(made["kim"].secret) == []
        await jp.office.withdraw_officer("kim")
        await jp.office.change_roles("lee", frozenset({Role.ADMINISTRATOR}))
        for officer in ("kim", "lee"):
            with pytest.raises(NotFoundError):
                await jp.office.calendar(made[officer].secret)
        acts = [record.act for _, record in await jp.office.records()]
        assert acts.count("calendar.add") == 2


async def test_an_officer_has_few_calendars_and_own_ones_show_own_cases_alone(world: World) -> None:
    async with world.open(JP) as jp:
        everything = (await jp.office.new_calendar("All")).secret
        own = (await jp.office.new_calendar("Own", own=True)).secret
        sent = await jp.messages.send(request())
        await taken(world, jp)
        assert len(await jp.office.calendar(everything)) == 1
        assert await jp.office.calendar(own) == []
        for number in range(14):
            await jp.office.new_calendar(f"Calendar {number}")
        with pytest.raises(TooLargeError):
            await jp.office.new_calendar("One more")
        found = await jp.cases.due_between(NOW, NOW + timedelta(days=40))
        assert [item.thread for item in found.items] == [sent.thread]
        assert (await jp.cases.due_between(NOW - timedelta(days=40), NOW)).items == []


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=120), st.text(max_size=12))
def test_any_reference_gives_a_file_that_reads_back_line_by_line(reference: str, target: str) -> None:
    item = agenda_item(reference=reference, target=target, due=NOW)
    content = calendar_file([item], JP, "token", NOW)
    assert all(len(line) <= 75 for line in content.split(b"\r\n"))
    assert b"\n" not in content.replace(b"\r\n", b"")
    (event,) = events(content)
    assert event["DTSTART"].dt == NOW
    again = events(calendar_file([item], JP, "token", NOW + timedelta(days=1)))[0]
    other = events(calendar_file([item], JP, "another", NOW))[0]
    assert again["UID"] == event["UID"] != other["UID"]


def test_so_many_pass_at_once_and_more_as_time_goes_by() -> None:
    now = [0.0]
    pace = AskingPace(2, 10.0, lambda: now[0])
    assert [pace.passes("a") for _ in range(3)] == [True, True, False]
    assert pace.passes("b")
    now[0] = 9.9
    assert not pace.passes("a")
    now[0] = 20.1
    assert pace.passes("a")

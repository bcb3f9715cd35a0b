"""The duty board: its lanes, what a wall and a locked page show of them, and the stream that keeps them current."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from exchange.views import Lane
from exchange.web import following, frame
from tests.unit.exchange.test_web_answer import NUMBER, emergency, with_number
from tests.unit.exchange.test_web_case import Two, two
from tests.worlds.desks import JP, request
from tests.worlds.patience import WITHIN_S

pytestmark = pytest.mark.outside


@pytest.fixture
async def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Two]:
    async with two(tmp_path, monkeypatch, with_number) as made:
        yield made


async def events(two_: Two, count: int, **headers: str) -> list[dict[str, object]]:
    """The first events that the board's stream tells; an empty list where it is refused."""
    origin = two_.visitor.origin
    url = f"http://127.0.0.1:{urlsplit(origin).port}/board/events"
    sent = {"Host": urlsplit(origin).netloc, "Sec-Fetch-Site": "same-origin", "Accept": "text/event-stream", **headers}
    found: list[dict[str, object]] = []
    async with two_.visitor.session.get(url, headers=sent, allow_redirects=False) as answer:
        if answer.status != 200:
            return []
        async for line in answer.content:
            if line.startswith(b"event: ended"):
                found.append({"ended": True})
            elif line.startswith(b'data: {"em'):
                found.append(json.loads(line[6:]))
            if len(found) >= count:
                return found
    return found


async def test_the_board_shows_one_card_for_an_emergency_with_its_acts(both: Two) -> None:
    await emergency(both)
    board = (await both.visitor.get("/")).text
    assert 'id="lane-emergencies">Emergencies <span class="count">1</span>' in board
    assert "30 min left" in board
    for act in ("call", "do/acknowledge", "answer"):
        assert f'href="/cases/{both.asked}/{act}"' in board
    # It is read before it is answered, and each thing that is owed says by whom.
    assert board.index(f'href="/cases/{both.asked}">Open') < board.index(f'href="/cases/{both.asked}/answer"')
    assert "we: Acknowledge the request" in board


async def test_a_board_that_follows_gets_the_line_that_says_how_things_are_with_its_lanes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame, "FACTS_FOR_S", 0.0)  # looked up for each page
    async with two(tmp_path, monkeypatch) as both:
        await both.fr.messages.send(request(to=[str(JP)]))
        await both.exchange()
        for path in ("/", "/board/lanes"):
            shown = (await both.visitor.get(path)).text
            assert '<section class="status"' in shown
            assert "Messages that nobody opened here: 1" in shown
            assert "Last received:" in shown


async def test_a_long_lane_says_how_many_more_there_are_and_leads_to_them(both: Two) -> None:
    for number in range(7):
        await both.fr.messages.send(request(to=[str(JP)], own_reference=f"P-{number}"))
    await both.exchange()
    board = await both.visitor.get("/")
    assert '<a href="/?lane=ours">2 more</a>' in board.text
    whole = await both.visitor.get("/?lane=ours")
    assert whole.text.count("P-") == 7
    assert (await both.visitor.get("/?lane=mine")).status != 200  # no lane: never shown as an empty one


async def test_a_wall_and_a_locked_page_show_references_and_clocks_alone(both: Two) -> None:
    await emergency(both)
    wall = (await both.visitor.get("/?wall=1")).text
    session = both.pages.desk.sessions.of(None)[0]
    session.wipe()
    locked_wall = await both.visitor.get("/?wall=1")
    lanes = await both.visitor.get("/board/lanes")
    for text in (wall, locked_wall.text, lanes.text):
        assert "P-9" in text
        assert "30 min left" in text
        assert all(one not in text for one in ("France", NUMBER, "Emergency request", f"/cases/{both.asked}"))
    assert (await both.visitor.get("/")).path.startswith("/unlock")
    assert (await both.visitor.get(f"/cases/{both.asked}")).path.startswith("/unlock")


async def test_the_board_is_for_who_is_signed_in(both: Two) -> None:
    await emergency(both)
    async with both.pages.visitor() as stranger:
        for path in ("/", "/?wall=1", "/board/lanes", "/board/lanes?wall=1"):
            shown = await stranger.get(path)
            assert shown.path == "/sign-in" or shown.status in {401, 403}
            assert "P-9" not in shown.text
        assert await events(Two(both.world, both.pages, stranger, both.fr, both.jp), 1) == []


async def test_the_stream_tells_of_a_new_emergency_and_of_nothing_that_it_says(both: Two) -> None:
    listening = asyncio.create_task(events(both, 2))
    await both.pages.desk.following.next(0, 20)
    asked = await emergency(both)
    first, second = await asyncio.wait_for(listening, WITHIN_S)
    assert first == {"emergencies": []}
    assert second == {"emergencies": [str(asked)[-8:]]}


async def test_the_stream_goes_on_while_locked_and_ends_with_its_session(both: Two) -> None:
    sessions = both.pages.desk.sessions
    session = sessions.of(None)[0]
    session.wipe()
    listening = asyncio.create_task(events(both, 2))
    await both.pages.desk.following.next(0, 20)
    sessions.end(session)
    assert await asyncio.wait_for(listening, WITHIN_S) == [{"emergencies": []}, {"ended": True}]


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil.localhost"}]
)
async def test_no_other_page_listens(both: Two, headers: dict[str, str]) -> None:
    assert await events(both, 1, **headers) == []


async def test_who_follows_is_not_kept_signed_in_and_too_many_are_refused(
    both: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = both.pages.desk.sessions.of(None)[0]
    used = session.used
    await both.visitor.get("/board/lanes")
    assert (await events(both, 1)) == [{"emergencies": []}]
    assert session.used == used
    monkeypatch.setattr(following, "MAX_OF_ONE", 0)
    assert await events(both, 1) == []


async def test_the_counts_of_the_lanes_are_those_of_the_agenda(both: Two) -> None:
    await emergency(both)
    await both.fr.messages.send(request(to=[str(JP)]))
    await both.jp.messages.send(request())
    await both.exchange()
    counts = await both.jp.cases.lane_counts()
    items = await both.jp.cases.agenda()
    for lane in Lane:
        found = [item for item in items if item.lane is lane]
        assert counts[lane] == (len({item.thread for item in found}) if lane is Lane.EMERGENCIES else len(found))

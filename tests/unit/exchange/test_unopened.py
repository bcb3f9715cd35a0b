"""What another desk has and nobody there opened is said by the board, the agenda and the case, until it is read."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from typer.testing import CliRunner

from exchange.acts.cases import agenda
from exchange.cli.main import app
from exchange.desk.desk import Desk
from exchange.office.officers import Login
from exchange.views import AgendaItem, Lane
from protocol.encoding.instants import to_text
from protocol.errors import StillUnderWayError
from protocol.lifecycle.profiles import opening_period
from tests.worlds.desks import FR, JP, PASSPHRASE, World, in_thread, request
from tests.worlds.web_desk import web_serving
from tests.worlds.web_full import example

pytestmark = pytest.mark.outside
URGENT = {"urgency": "urgent", "urgency_reason": "Soon overwritten."}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


async def exchange(first: Desk, second: Desk) -> None:
    for desk in (first, second, first):
        await desk.messages.sync()


async def waiting(desk: Desk) -> list[AgendaItem]:
    """What waits there to be opened; what the agenda says of it is what is said of each message by itself."""
    found = [item for item in await desk.cases.agenda() if item.unopened is not None]
    for item in found:
        assert item.unopened is not None
        far = (await desk.cases.how_far([item.unopened.message]))[item.unopened.message]
        assert any(one.unopened and one.at == item.unopened.since for one in far)
    return found


async def answered(world: World, jp: Desk, fr: Desk) -> UUID:
    """Japan asked, France answered; Japan has the answer and nobody opened it."""
    asked = await jp.messages.send(request(**URGENT))
    await exchange(fr, jp)
    await fr.messages.show(asked.id)
    until = {"preserved_at": to_text(world.clock()), "expires_at": "2027-03-01T00:00:00Z"}
    answer = await fr.replies.answer(asked.id, [{"target": "t1", "result": "preserved", **until}])
    await exchange(jp, fr)
    return answer.id


async def test_an_answer_that_nobody_opens_is_due_by_its_clock_and_gone_when_it_is_opened(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        answer = await answered(world, jp, fr)
        assert await waiting(fr) == []
        with pytest.raises(StillUnderWayError):
            await fr.cases.put_aside(answer, "They know.")
        world.clock.advance(seconds=opening_period("urgent").total_seconds())
        (item,) = await waiting(fr)
        assert (item.what, item.lane, item.ours, item.peers, item.level) == (
            "unopened", Lane.THEIRS, False, (JP,), "target_passed",
        )  # fmt: skip
        assert item.unopened is not None
        assert (item.unopened.message, item.next) == (answer, f"comity call show {str(answer)[-8:]}")
        (shown,) = [one for one in (await agenda(fr))["items"] if one["what"] == "unopened"]
        assert shown["call"][0]["contact"] == JP
        await jp.messages.show(answer)
        await exchange(jp, fr)
        assert await waiting(fr) == []


async def test_a_reply_shows_that_it_was_read_and_what_was_taken_back_waits_for_nobody(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        answer = await answered(world, jp, fr)
        world.clock.advance(hours=9)
        assert len(await waiting(fr)) == 1
        asks = [{"question": "q1", "text": "Which provider?"}]
        await jp.messages.send(await jp.replies.draft(answer, "clarification.ask", questions=asks, pauses_clock=False))
        await exchange(jp, fr)
        assert await waiting(fr) == []


async def test_what_waits_in_one_case_is_one_line_and_an_officer_may_put_it_aside(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        asked = await jp.messages.send(request(**URGENT))
        await exchange(fr, jp)
        world.clock.advance(minutes=5)
        await jp.messages.send(await jp.replies.draft(asked.id, "withdrawal", reason="Found."))
        await exchange(fr, jp)
        world.clock.advance(hours=9)
        (item,) = await waiting(jp)
        assert item.unopened is not None
        assert (item.unopened.message, item.unopened.others) == (asked.id, 1)
        await jp.cases.put_aside(asked.id, "They were told by telephone.")
        (item,) = await waiting(jp)
        assert item.unopened is not None
        assert item.unopened.others == 0


async def test_an_emergency_that_nobody_opens_stands_first_on_the_board_with_whom_to_call(world: World) -> None:
    async with world.open(FR) as fr, web_serving(world, JP) as pages, pages.visitor() as visitor:
        jp = await pages.service.desk(Login())
        times = {"needed_by": world.clock() + timedelta(hours=3), "supplement_by": world.clock() + timedelta(days=3)}
        sent = await jp.messages.send(example("emergency.request", to=[str(FR)], **times))
        await exchange(fr, jp)
        await visitor.sign_in()
        before = await visitor.get("/")
        assert "not opened" not in before.text
        world.clock.advance(minutes=31)
        (item,) = await waiting(jp)
        assert item.lane is Lane.EMERGENCIES
        shown = await visitor.get("/")
        assert "not opened" in shown.text
        assert f'href="/messages/{sent.id}/call"' in shown.text
        case = await visitor.get(f"/cases/{sent.id}")
        assert "not opened" in case.text
        wall = await visitor.get("/?wall=1")
        assert "24-7@fr" not in wall.text


def test_the_command_says_the_same(world: World, tmp_path: Path) -> None:
    async def meet() -> UUID:
        async with world.open(JP) as jp, world.open(FR) as fr:
            answer = await answered(world, jp, fr)
        world.clock.advance(hours=9)
        return answer

    answer = asyncio.run(meet())
    secret = tmp_path / "secret"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    args = ["--home", str(world.home(FR)), "--passphrase-file", str(secret)]
    run = CliRunner().invoke(app, ["agenda", "--no-sync", *args, "--json"])
    (found,) = [one for one in json.loads(run.stdout)["items"] if one["what"] == "unopened"]
    assert found["unopened"]["message"] == str(answer)
    told = CliRunner().invoke(app, ["agenda", "--no-sync", *args])
    assert f"> comity call show {str(answer)[-8:]}" in told.stdout


async def test_the_unopened_are_found_by_their_index_and_are_those_that_nobody_opened(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = [(await jp.messages.send(request(own_reference=f"R-{number}"))).id for number in range(6)]
        await exchange(fr, jp)
        for message in (sent[0], sent[3]):
            await fr.messages.show(message)
        page = await fr.messages.inbox_page(unopened=True, limit=3)
        assert ([row.id for row in page.messages], page.more) == ([sent[5], sent[4], sent[2]], True)
        rest = await fr.messages.inbox_page(unopened=True, limit=3, before=page.messages[-1].sequence)
        assert ([row.id for row in rest.messages], rest.more) == ([sent[1]], False)
        store = fr._works.context.store
        looked = "SELECT seq FROM unopened WHERE box = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
        plan = await in_thread(fr, store.database.all, f"EXPLAIN QUERY PLAN {looked}", (b"", 9, 9))
        assert all("SCAN" not in str(row) and "TEMP" not in str(row) for row in plan)

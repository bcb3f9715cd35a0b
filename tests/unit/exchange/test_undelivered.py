"""Nothing that did not arrive is overlooked: it is due, with what hangs on it, until its handover is proved."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from exchange.desk.desk import Desk
from exchange.views import AgendaItem, Lane, SendStatus, Undelivered
from protocol.errors import NotFoundError, StillUnderWayError, UnavailableError, UsageError
from tests.worlds.desks import FR, JP, World, in_thread, request

HOUR = timedelta(hours=1)
ROUTINE = {"urgency": "routine", "urgency_reason": None}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def outcome(target: str, at: datetime, days: int) -> dict[str, Any]:
    expires = (at + timedelta(days=days)).isoformat()
    return {"target": target, "result": "preserved", "preserved_at": at.isoformat(), "expires_at": expires}


def extension(world: World, days: int) -> dict[str, Any]:
    until = (world.clock() + timedelta(days=days)).isoformat()
    return {"targets": ["t1"], "until": until, "reason": "MLA is written.", "previous_reference": "DCPJ-1"}


async def missing(desk: Desk) -> list[AgendaItem]:
    return [item for item in await desk.cases.agenda() if item.what == "handover"]


def told(item: AgendaItem) -> Undelivered:
    assert item.delivery is not None
    return item.delivery


async def preserved(world: World, jp: Desk, fr: Desk, days: int = 90) -> UUID:
    """A preservation that both sides know of."""
    sent = await jp.messages.send(request(**ROUTINE))
    await fr.messages.sync()
    await fr.replies.answer(sent.id, [outcome("t1", world.clock(), days)])
    await jp.messages.sync()
    await fr.messages.sync()
    return sent.id


# --- From when on, and until when ---


async def test_a_message_is_due_when_its_clock_has_passed_and_goes_when_its_handover_is_proved(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        await jp.messages.send(request(urgency="urgent", urgency_reason="Soon overwritten."))
        world.clock.advance(minutes=59)
        assert await missing(jp) == []
        assert await jp.cases.next_change() == world.clock() + timedelta(minutes=1)
        world.clock.advance(minutes=1)
        (item,) = await missing(jp)
        assert (item.lane, item.level, item.ours, item.peers) == (Lane.NOT_DELIVERED, "undelivered", True, (FR,))
        assert (told(item).state, told(item).reached) == ("under_way", "SubmissionAcceptance")
        assert item.next.startswith("comity call show ")
        await fr.messages.sync()  # France has it; Japan is not told yet
        assert len(await missing(jp)) == 1
        await jp.messages.sync()
        assert await missing(jp) == []


@pytest.mark.parametrize(("urgency", "minutes"), [("emergency", 10), ("urgent", 60), ("routine", 1440)])
async def test_the_clock_is_that_of_the_urgency_and_never_makes_anybody_late(
    world: World, urgency: str, minutes: int
) -> None:
    async with world.open(JP) as jp:
        await jp.messages.send(request(urgency=urgency, urgency_reason="A child is missing."))
        world.clock.advance(minutes=minutes, seconds=-1)
        assert await missing(jp) == []
        world.clock.advance(seconds=1)
        (item,) = await missing(jp)
        assert (item.kind, item.late) == ("target", False)


async def test_a_queued_message_is_due_with_the_reason_and_stays_so_over_restarts(world: World) -> None:
    async with world.open(JP) as jp:
        world.nodes["jp"].down = True
        sent = await jp.messages.send(request(**ROUTINE))
        assert sent.status is SendStatus.QUEUED
    world.clock.advance(days=1)
    for _ in range(2):
        async with world.open(JP) as jp:
            (item,) = await missing(jp)
            assert (told(item).state, told(item).reasons) == ("queued", (UnavailableError.code,))
    world.nodes["jp"].down = False
    async with world.open(JP) as jp, world.open(FR) as fr:
        await jp.messages.sync()
        assert told((await missing(jp))[0]).state == "under_way"
        await fr.messages.sync()
        await jp.messages.sync()
        assert await missing(jp) == []


async def test_what_the_own_node_refused_for_good_is_due_at_once_with_its_code(world: World) -> None:
    async with world.open(JP) as jp:
        world.nodes["jp"].refuse = NotFoundError("no such mailbox")
        sent = await jp.messages.send(request(**ROUTINE))
        assert sent.status is SendStatus.REFUSED
        (item,) = await missing(jp)
        assert (item.level, told(item).state, told(item).reasons) == ("failed", "refused", ("not-found",))
        assert item.next == f"comity resend {str(sent.id)[-8:]}"


async def test_an_expiry_warns_before_and_tells_after(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request(**ROUTINE))  # it expires after fourteen days
        levels = []
        for days in (1, 6, 5, 1):
            world.clock.advance(days=days)
            levels += [item.level for item in await missing(jp)]
        world.clock.advance(days=1)
        (item,) = await missing(jp)
        assert [*levels, item.level] == ["undelivered", "7d", "2d", "1d", "expired"]
        assert (item.overdue, item.late) == (True, False)
        assert item.next == f"comity resend {str(sent.id)[-8:]}"


# --- What hangs on it ---


async def test_an_extension_that_does_not_arrive_is_as_pressing_as_the_expiry_that_it_was_to_move(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        case = await preserved(world, jp, fr)
        world.clock.advance(days=89, hours=20)  # four hours are left
        draft = await jp.replies.draft(case, "preservation.extend", **extension(world, 60))
        await jp.messages.send(draft)
        assert await missing(jp) == []
        world.clock.advance(hours=2)  # half of what was left, though the clock of a routine message is a day
        (item,) = await missing(jp)
        assert (told(item).hangs, told(item).hangs_at) == ("expiry", item.due)
        assert (item.kind, item.level) == ("declared", "undelivered")
        world.clock.advance(hours=1)
        assert [item.level for item in await missing(jp)] == ["1h"]
        world.clock.advance(hours=1)
        (item,) = await missing(jp)
        assert (item.level, item.late) == ("overdue", True)


async def test_notices_of_what_is_not_delivered_are_given_once_a_level(world: World) -> None:
    async with world.open(JP) as jp:
        await jp.messages.send(request(**ROUTINE))
        world.clock.advance(days=1)
        first = await jp.cases.notices("desk")
        assert [notice.item.level for notice in first] == ["undelivered"]
        await jp.cases.note_given(first)
        assert await jp.cases.notices("desk") == []
        world.clock.advance(days=6)
        assert [notice.item.level for notice in await jp.cases.notices("desk")] == ["7d"]


# --- Sent anew, or put aside ---


async def test_a_request_that_expired_unfetched_is_sent_anew_by_one_act(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        lost = await jp.messages.send(request(**ROUTINE), expires_in=2 * HOUR)
        with pytest.raises(StillUnderWayError):
            await jp.cases.resend(lost.id)
        world.clock.advance(hours=2, seconds=1)
        again = await jp.cases.resend(lost.id)
        assert again.thread == again.id != lost.id
        assert await missing(jp) == []
        await fr.messages.sync()
        (row,) = await fr.messages.inbox()
        assert (row.id, row.own_reference) == (again.id, request()["own_reference"])
        with pytest.raises(StillUnderWayError):
            await jp.cases.resend(lost.id)


async def test_an_answer_that_expired_is_sent_anew_and_both_sides_agree(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request(**ROUTINE))
        await fr.messages.sync()
        await jp.messages.sync()
        answer = await fr.replies.draft(sent.id, "preservation.answer", targets=[outcome("t1", world.clock(), 90)])
        lost = await fr.messages.send(answer, expires_in=2 * HOUR)
        world.clock.advance(hours=2, seconds=1)
        again = await fr.cases.resend(lost.id)
        await jp.messages.sync()
        assert [row.id for row in await jp.messages.inbox()] == [again.id]
        cases = [await desk.cases.case(sent.thread) for desk in (jp, fr)]
        assert [case.targets[0].expires_at for case in cases] == [cases[0].targets[0].expires_at] * 2
        assert cases[1].out_of_order == ()


async def test_what_another_program_sent_anew_meanwhile_is_not_sent_twice(world: World) -> None:
    async with world.open(JP) as jp, world.open(JP) as other:
        lost = await jp.messages.send(request(**ROUTINE), expires_in=2 * HOUR)
        world.clock.advance(hours=3)
        draft = await jp.cases.resend_draft(lost.id)
        await other.cases.resend(lost.id)
        with pytest.raises(StillUnderWayError):
            await jp.messages.send(draft)
        assert len(await jp.messages.inbox(sent=True)) == 2


async def test_what_is_needed_no_more_is_put_aside_with_a_reason_that_is_recorded(world: World) -> None:
    async with world.open(JP) as jp:
        lost = await jp.messages.send(request(**ROUTINE), expires_in=2 * HOUR)
        world.clock.advance(hours=3)
        with pytest.raises(UsageError):
            await jp.cases.put_aside(lost.id, " ")
        await jp.cases.put_aside(lost.id, "Paris was told by telephone.")
        assert await missing(jp) == []
        size = await in_thread(jp, lambda: jp._works.context.store.records.frontier().size)
        entry = await in_thread(jp, jp._works.context.store.records.entry, size - 1)
        assert b"delivery.put-aside" in entry
        assert b"telephone" not in entry

"""No way into a desk sends what would do nothing; what comes all the same is shown so, with the reason."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest

from exchange.desk.desk import Desk
from exchange.views import SendStatus
from protocol.encoding.phrase import Phrase
from protocol.errors import NoEffectError, RetractedError
from tests.unit.exchange.test_acts import asked as assistance
from tests.unit.exchange.test_agenda import asked, outcome
from tests.unit.exchange.test_officers import KIM, LEE, staffed
from tests.unit.exchange.test_parents import GH, to_both
from tests.worlds.desks import FR, JP, NOW, World

Act = Callable[[Desk, UUID], Awaitable[Any]]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


async def acknowledged(desk: Desk, request: UUID) -> Any:
    return await desk.replies.acknowledge(request, will_answer="yes", form="message", eta=NOW + timedelta(days=1))


async def to_a_draft_file(desk: Desk, message: UUID) -> Any:
    return await desk.messages.send(await _retraction(desk, message))


async def in_one_batch(desk: Desk, message: UUID) -> Any:
    draft = await _retraction(desk, message)
    return await desk.messages.send_many([draft, {**draft, "reason": "Once more."}])


async def by_the_act(desk: Desk, message: UUID) -> Any:
    return await desk.replies.retract(message, why="other", reason="Once more.")


async def by_any_reply(desk: Desk, message: UUID) -> Any:
    return await desk.replies.reply(message, "retract", retracts=str(message), why="other", reason="Once more.")


async def by_a_proposal(desk: Desk, message: UUID) -> Any:
    return await desk.messages.propose(await _retraction(desk, message))


async def _retraction(desk: Desk, message: UUID) -> dict[str, Any]:
    return await desk.replies.draft(message, "retract", retracts=str(message), why="other", reason="Mine.")


@pytest.mark.parametrize("way", [to_a_draft_file, in_one_batch, by_the_act, by_any_reply, by_a_proposal])
async def test_no_way_in_takes_a_message_back_twice(world: World, way: Act) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await asked(jp, fr)
        await jp.messages.show(sent)
        if way is not in_one_batch:
            first = await jp.replies.retract(sent, why="wrong_content", reason="Another case.")
        with pytest.raises(NoEffectError) as void:
            await way(jp, sent)
        if way is not in_one_batch:
            assert str(first.id) in void.value.detail
            assert isinstance(void.value.detail, Phrase)  # for the reader's language
        assert [row.type for row in await jp.messages.inbox(sent=True)].count("retract") == (way is not in_one_batch)


async def test_what_was_released_by_a_second_officer_is_judged_when_it_is_released(world: World) -> None:
    await staffed(world)
    async with world.open(JP, KIM) as kim, world.open(JP, LEE) as lee, world.open(FR) as fr:
        sent = await asked(kim, fr)
        drafts = [await kim.messages.propose(await _retraction(kim, sent)) for _ in range(2)]
        await lee.office.release(str(drafts[0].id))
        with pytest.raises(NoEffectError):
            await lee.office.release(str(drafts[1].id))


async def test_a_message_that_was_taken_back_is_not_answered_and_not_passed_on(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await asked(jp, fr, handling={"tlp": "GREEN"})
        await fr.messages.show(sent)
        await fr.replies.answer(sent, [outcome("t1", world.clock(), 90)])
        world.clock.advance(minutes=1)
        await jp.messages.sync()
        until = (world.clock() + timedelta(days=150)).isoformat()
        wanted = {"until": until, "targets": ["t1"], "reason": "It takes longer.", "previous_reference": "FR-7"}
        wish = await jp.replies.reply(sent, "preservation.extend", **wanted)
        await fr.messages.sync()
        await fr.messages.show(wish.id)
        world.clock.advance(minutes=1)
        taken = await jp.replies.retract(wish.id, why="other", reason="Not needed.")
        await fr.messages.sync()
        with pytest.raises(NoEffectError, match=str(taken.id)):
            await acknowledged(fr, wish.id)
        with pytest.raises(NoEffectError, match=str(taken.id)):
            await fr.replies.answer(wish.id, [outcome("t1", world.clock(), 200)])
        with pytest.raises(RetractedError):
            await fr.messages.forward(wish.id, [JP], "Yours.")
        await fr.replies.notify_data_protection(taken.id, action="erased", at=world.clock().isoformat())
        await fr.replies.note(wish.id, "We had begun.")


async def test_a_consultation_is_closed_once_whatever_it_came_to(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(assistance())
        await fr.messages.sync()
        opened = await fr.replies.reply(
            sent.id,
            "consultation.open",
            intends="refuse",
            answer_by=(NOW + timedelta(days=2)).isoformat(),
            question="Would a part do?",
        )
        await fr.replies.reply(opened.id, "consultation.close", outcome="in_part", text="The headers.")
        for outcome_ in ("in_part", "in_full"):
            with pytest.raises(NoEffectError, match="no consultation"):
                await fr.replies.reply(opened.id, "consultation.close", outcome=outcome_, text="Again.")


async def test_what_comes_and_does_nothing_is_shown_so_with_the_reason(world: World) -> None:
    """The other desk is older, or lies: it sent the same retraction twice, and closed what was closed."""
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(assistance())
        await fr.messages.sync()
        word = await fr.replies.note(sent.id, "We look into it.")
        await jp.messages.sync()
        await jp.messages.show(word.id)
        world.clock.advance(minutes=1)
        await fr.replies.retract(word.id, why="other", reason="Not yet.")
        world.clock.advance(minutes=1)
        with patch("protocol.lifecycle.without_effect.without_effect", lambda *_: None):
            second = await fr.replies.retract(word.id, why="other", reason="Not yet, again.")
        await jp.messages.sync()
        shown = await jp.messages.show(second.id)
        (note,) = [one for one in shown.notes if "no effect" in one]
        assert "taken back already" in note
        (idle,) = await jp.cases.without_effect(sent.thread)
        assert (idle["message"], idle["rule"], idle["counts"]) == (second.id, "taken_back_before", False)
        assert await fr.cases.without_effect(sent.thread) == [idle]


async def test_what_is_taken_back_before_its_instant_never_leaves_the_desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch, "gh")
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        await jp.messages.send(to_both(urgency="routine", urgency_reason=None))
        (parent,) = await jp.parents.all()
        child = next(one for one in (await jp.parents.view(parent.id)).children if one.nation == "gh")
        await jp.replies.retract(child.thread, why="wrong_recipient", reason="Not them.")
        world.clock.advance(hours=1)
        await jp.messages.sync()
        assert (await jp.messages.row(child.thread)).status is SendStatus.CALLED_OFF
        received = [row.id for desk in (fr, gh) for row in (await desk.messages.sync()).received]
        assert child.thread not in received
        assert received

"""A message that no rule allows is kept, shown with the reason, and answered: nobody is left waiting for its effect."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.desk.desk import Desk
from exchange.views import AgendaItem
from keys.local import translation
from protocol.errors import UsageError
from protocol.lifecycle.case import AnyCase
from tests.worlds.desks import FR, JP, World, request


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


async def crossing(world: World, jp: Desk, fr: Desk, **fields: Any) -> Any:
    """A release by jp that crosses the answer of fr: when fr gets it, nothing is preserved."""
    sent = await jp.messages.send(request(**fields))
    await fr.messages.sync()
    await jp.messages.sync()
    released = await jp.messages.send(
        await jp.replies.draft(sent.id, "withdrawal", reason="Not needed any more."),
    )
    world.clock.advance(minutes=1)
    held = [{"target": name["target"], "result": "not_held"} for name in request()["targets"]]
    answered = await fr.replies.answer(sent.id, held)
    await fr.messages.sync()
    await jp.messages.sync()
    return sent, released, answered


def due(items: list[AgendaItem]) -> list[tuple[str, bool]]:
    return [(item.what, item.ours) for item in items if item.what == "explanation"]


def reasons(case: AnyCase) -> list[str]:
    return [entry.reason.code for entry in case.out_of_order]


async def test_who_sent_it_is_told_and_nothing_is_due_then(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent, _released, answered = await crossing(world, jp, fr)
        for desk in (jp, fr):
            assert set(reasons(await desk.cases.case(sent.thread))) == {"target_state"}
        assert due(await jp.cases.agenda()) == [("explanation", True)]
        assert due(await fr.cases.agenda()) == [("explanation", False)]
        notice = await jp.replies.explain(answered.id, remark="It crossed our withdrawal.")
        await fr.messages.sync()
        assert due(await jp.cases.agenda()) == due(await fr.cases.agenda()) == []
        read = await fr.messages.show(notice.id)
        assert read.message.in_reply_to == answered.id
        assert "not possible while the state of the target is: " in read.content.decode()
        for desk in (jp, fr):
            assert (await desk.cases.case(sent.thread)).explained == {answered.id}


async def test_the_reason_is_in_the_language_of_the_message(world: World) -> None:
    world.change_settings(FR, language="fr")
    async with world.open(JP) as jp, world.open(FR) as fr:
        _sent, _released, answered = await crossing(world, jp, fr, language="fr")
        notice = await jp.replies.explain(answered.id)
        await fr.messages.sync()
        content = (await fr.messages.show(notice.id)).message
    (reason,) = {content.reason}
    english = "not possible while the state of the target is: {state}"
    label = translation.translator("fr").pgettext("order_rule", english)
    assert label != english
    assert reason.startswith(label.partition("{")[0])


async def test_what_is_in_order_is_not_explained(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await fr.messages.sync()
        with pytest.raises(UsageError, match="in order"):
            await fr.replies.explain(sent.id)


async def test_an_explanation_is_due_as_soon_as_an_acknowledgement_would_be(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        await crossing(world, jp, fr, urgency="urgent")
        (item,) = [item for item in await jp.cases.agenda() if item.what == "explanation"]
        assert item.due is not None
        assert timedelta(hours=7) < item.due - world.clock() <= timedelta(hours=8)

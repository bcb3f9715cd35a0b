"""A message that was taken back: not shown where nobody had opened it, kept all the same, and said where it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.encoding.instants import to_text
from protocol.errors import RetractedError
from tests.unit.exchange.test_agenda import asked, outcome
from tests.worlds.desks import FR, JP, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


async def test_a_retracted_message_is_withheld_where_nobody_had_opened_it_and_is_kept(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await asked(jp, fr, handling={"tlp": "AMBER"})
        unseen = await fr.replies.answer(sent, [{**outcome("t1", world.clock(), 90), "remark": "Xylophone"}])
        await jp.messages.sync()
        assert [row.id for row in (await jp.cases.search("Xylophone")).messages] == [unseen.id]
        world.clock.advance(hours=1)
        await fr.replies.retract(unseen.id, why="wrong_content", reason="Another case.")
        (retraction,) = (await jp.messages.sync()).received
        for look in (jp.messages.show, jp.messages.read, jp.messages.peek):
            with pytest.raises(RetractedError, match=str(retraction.id)):
                await look(unseen.id)
        assert (await jp.cases.search("Xylophone")).messages == ()
        with pytest.raises(RetractedError):
            await jp.messages.forward(unseen.id, [FR], "Yours.")
        # It is kept, with its receipts; its sender may read it.
        assert (await jp.messages.receipts(unseen.id)) != []
        assert "took this message back" in (await fr.messages.show(unseen.id)).notes[-1]


async def test_a_correction_is_withheld_with_the_message_that_was_taken_back_after_it(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await asked(jp, fr)
        unseen = await fr.replies.answer(sent, [{**outcome("t1", world.clock(), 90), "remark": "Xylophone"}])
        better = {"targets": [{**outcome("t1", world.clock(), 90), "remark": "Zither"}]}
        world.clock.advance(minutes=1)
        mended = await fr.replies.correct(unseen.id, better, reason="Another instrument.")
        await jp.messages.sync()
        assert len((await jp.cases.search("Zither")).messages) == 1
        world.clock.advance(minutes=1)
        await fr.replies.retract(unseen.id, why="wrong_recipient", reason="Meant for somebody else.")
        (retraction,) = (await jp.messages.sync()).received
        for look in (jp.messages.show, jp.messages.read, jp.messages.peek):
            with pytest.raises(RetractedError, match=str(retraction.id)):
                await look(mended.id)
        assert (await jp.cases.search("Zither")).messages == ()
        await jp.messages.show(retraction.id)
        await fr.messages.show(mended.id)
        await jp.replies.notify_data_protection(retraction.id, action="erased", at=to_text(world.clock()))


async def test_what_was_read_before_it_was_taken_back_or_corrected_says_so(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await asked(jp, fr)
        await fr.messages.show(sent)
        answer = await fr.replies.answer(sent, [outcome("t1", world.clock(), 90)])
        await jp.messages.sync()
        await jp.messages.show(answer.id)
        world.clock.advance(hours=1)
        await fr.replies.retract(answer.id, why="wrong_content", reason="Another case.")
        await jp.messages.sync()
        shown = await jp.messages.show(answer.id)
        assert "took this message back" in shown.notes[-1]
        assert shown.standing is not None
        assert shown.standing.state == "retracted"

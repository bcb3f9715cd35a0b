"""A message that was taken back: not shown where nobody had opened it, kept all the same, and said where it was."""

from __future__ import annotations

import asyncio
import json
from io import BytesIO
from pathlib import Path
from uuid import UUID

import pytest
from pypdf import PdfReader
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.letters.composing import Parties, Printing, compose_letter
from protocol.encoding.instants import to_text
from protocol.encoding.phrase import Phrase
from protocol.errors import RetractedError
from tests.unit.exchange.test_agenda import asked, outcome
from tests.worlds.desks import FR, JP, PASSPHRASE, World


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


def test_a_case_with_a_withheld_message_is_printed_and_says_so_in_the_language_of_the_letter(world: World) -> None:
    """One message that was taken back unopened must not keep a whole case from paper, nor be missing on it."""

    async def play() -> tuple[UUID, UUID]:
        async with world.open(JP) as jp, world.open(FR) as fr:
            sent = await asked(jp, fr, handling={"tlp": "AMBER"})
            unseen = await fr.replies.answer(sent, [{**outcome("t1", world.clock(), 90), "remark": "Xylophone"}])
            await jp.messages.sync()
            world.clock.advance(hours=1)
            await fr.replies.retract(unseen.id, why="wrong_content", reason="Another case.")
            await jp.messages.sync()
            return sent, unseen.id

    sent, unseen = asyncio.run(play())
    secret, out = world.home(JP) / "secret", world.home(JP) / "case.pdf"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    environment = {"COMITY_PASSPHRASE_FILE": str(secret), "LANGUAGE": "en"}
    command = ["print", str(sent), "--out", str(out), "--home", str(world.home(JP)), "--json"]
    done = CliRunner().invoke(app, [*command, "--case", "--language", "fr"], env=environment)
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert made["withheld"] == {str(unseen): "retracted"}
    assert len(made["messages"]) == 3
    assert len(made["records"]) == 2  # of the one that is withheld nothing was given
    text = "\n".join(page.extract_text() for page in PdfReader(BytesIO(out.read_bytes())).pages)
    assert str(unseen) in text
    assert "Xylophone" not in text
    alone = CliRunner().invoke(app, ["print", str(unseen), *command[2:]], env=environment)
    assert (alone.exit_code, json.loads(alone.stdout)["error"]["code"]) == (1, "retracted")


async def test_what_is_said_of_a_message_that_was_taken_back_is_a_phrase_for_any_reader(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await asked(jp, fr)
        await fr.messages.show(sent)
        await jp.replies.correct(sent, {"facts": "Better."}, reason="Clearer.")
        await fr.messages.sync()
        shown = await fr.messages.show(sent)
        assert [type(note) for note in shown.notes] == [Phrase]
        printed = await fr.evidence.printed(sent)
    parties = Parties(sender=JP, recipient=FR, nodes=frozenset())
    made = compose_letter([printed], parties, Printing(language="fr", as_of=world.clock()))
    assert shown.standing is not None
    said = [fact.name for fact in made.messages[0].facts if str(shown.standing.by) in fact.value]
    assert len(said) == 1, "said once, not as a fact and as a note"


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

"""Nobody closes a case without knowing what lapses by it, or what is still owed in it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.views import SendStatus
from protocol.errors import ClosingLosesError
from tests.unit.exchange.test_undelivered import preserved
from tests.worlds.desks import FR, JP, PASSPHRASE, ROOT, World

REFERENCE = "NPA-CY-2026-004417"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def example(name: str, **changes: Any) -> dict[str, Any]:
    return {**json.loads((ROOT / f"examples/messages/{name}.json").read_text("utf-8")), **changes}


async def test_closing_an_open_preservation_names_what_lapses_and_when_and_releases_it_when_that_is_said(
    world: World,
) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        thread = await preserved(world, jp, fr)
        expires = world.clock() + timedelta(days=90)
        lost = await jp.cases.closing_loses(thread)
        assert [(loss.kind, loss.name, loss.at, loss.ours) for loss in lost if loss.kind == "lapses"] == [
            ("lapses", "t1", expires, True)
        ]
        before = len(await jp.messages.inbox(sent=True))
        closure = await jp.replies.draft(thread, "closure", reason="answered")
        for way in (jp.messages.send(closure), jp.cases.close(thread, "answered")):
            with pytest.raises(ClosingLosesError, match="preserved until 2027-02-21 03:00Z, and lapses: t1"):
                await way
        assert len(await jp.messages.inbox(sent=True)) == before  # nothing was released either
        sent = await jp.cases.close(thread, "released", text="The suspect was found.", lapse=True)
        assert [one.status for one in sent] == [SendStatus.SUBMITTED] * len(sent)
        await fr.messages.sync()
        assert [item.what for item in await fr.cases.agenda() if item.what == "expiry"] == []


async def test_closing_one_case_warns_of_what_is_preserved_in_another_of_the_same_reference(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        kept = await preserved(world, jp, fr)
        draft = example("assistance.request", own_reference=REFERENCE, wanted_by=None, wanted_by_reason=None)
        asked = await jp.messages.send(draft)
        lost = await jp.cases.closing_loses(asked.thread)
        assert {loss.thread for loss in lost if loss.kind == "lapses"} == {kept}


async def test_what_is_still_owed_is_named_before_a_case_is_closed(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        draft = example("assistance.request", own_reference="OTHER-1", wanted_by=None, wanted_by_reason=None)
        asked = await jp.messages.send(draft)
        await fr.messages.sync()
        await jp.messages.sync()
        lost = await jp.cases.closing_loses(asked.thread)
        assert ("owed", "acknowledgement", False) in {(loss.kind, loss.name, loss.ours) for loss in lost}
        with pytest.raises(ClosingLosesError, match="they still owe: Acknowledge the request"):
            await jp.cases.close(asked.thread, "other", text="No longer needed.")
        (sent,) = await jp.cases.close(asked.thread, "other", text="No longer needed.", lapse=True)
        assert sent.status is SendStatus.SUBMITTED


async def test_the_command_asks_nobody_who_cannot_answer_and_says_what_would_lapse(world: World) -> None:
    import asyncio

    async with world.open(JP) as jp, world.open(FR) as fr:
        thread = str(await preserved(world, jp, fr))
    secret = world.path / "passphrase"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)

    def comity(*arguments: str) -> tuple[int, str]:
        given = {"COMITY_PASSPHRASE_FILE": str(secret)}
        ran = CliRunner().invoke(app, [*arguments, "--home", str(world.home(JP))], env=given)
        return ran.exit_code, ran.output

    code, out = await asyncio.to_thread(comity, "case", "close", thread, "--reason", "released")
    assert code != 0
    assert f"{thread[-8:]}: preserved until 2027-02-21 03:00Z, and lapses: t1" in out
    assert "the case stays open, and nothing was sent" in out
    assert thread not in out
    assert "2027-02-21T" not in out
    code, out = await asyncio.to_thread(comity, "case", "close", thread, "--reason", "released", "--lapse")
    assert code == 0

"""A draft of a reply is addressed, in its thread and under the labels of what it answers."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from tests.worlds.desks import FR, JP, PASSPHRASE, ROOT, World, request


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def comity(world: World, *arguments: str) -> tuple[int, Any]:
    secret = world.path / "passphrase"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    home = ["--home", str(world.home(FR))]
    given = {"COMITY_PASSPHRASE_FILE": str(secret)}
    ran = CliRunner().invoke(app, [*arguments, *home, "--json"], env=given)
    return ran.exit_code, json.loads(ran.stdout)


async def exchange(world: World) -> str:
    async with world.open(JP) as tokyo, world.open(FR) as paris:
        sent = await tokyo.messages.send(request())
        await paris.messages.sync()
        return str(sent.id)


def test_a_reply_is_addressed_and_only_its_own_fields_are_left(world: World) -> None:
    asked = asyncio.run(exchange(world))
    file = world.path / "decision.json"
    code, told = comity(world, "new", "clarification.ask", "--reply-to", asked, "--out", str(file))
    assert code == 0
    draft = json.loads(file.read_text("utf-8"))
    assert (draft["to"], draft["in_reply_to"], draft["thread"]) == ([str(JP)], asked, asked)
    assert {entry["field"].split(".")[0] for entry in told["fields"]}.isdisjoint({"to", "thread", "in_reply_to"})
    assert told["fields"]


def test_a_reply_to_what_is_not_here_is_refused_and_writes_nothing(world: World) -> None:
    asyncio.run(exchange(world))
    file = world.path / "decision.json"
    code, told = comity(world, "new", "decision", "--reply-to", "00000000", "--out", str(file))
    assert code == 1
    assert told["error"]["type"] == "urn:comity:error:not-found"
    assert not file.exists()


def test_codes_that_a_nation_adds_are_shown_with_the_published_ones(world: World) -> None:
    example = re.search(r"```json\n(.*?)```", (ROOT / "docs/messages.md").read_text("utf-8"), re.DOTALL)
    assert example is not None
    folder = world.home(FR) / "codes"
    folder.mkdir()
    (folder / "delays.json").write_text(example.group(1), "utf-8")
    code, told = comity(world, "codes", "delay_reason")
    assert code == 0
    assert told["codes"][-1]["code"] == "x-jp-holiday"
    assert len(told["codes"]) > 1
    (folder / "broken.json").write_text("{}", "utf-8")
    code, told = comity(world, "codes")
    assert code == 1
    assert told["error"]["type"] == "urn:comity:error:invalid-code-list"


async def test_a_reply_to_the_own_request_goes_where_the_request_went(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request())
        draft = await jp.replies.draft(sent.id, "status.query")
        assert (draft["to"], draft["thread"], draft.get("own_reference")) == (
            [str(FR)],
            str(sent.id),
            request().get("own_reference"),
        )
        assert (await jp.messages.send(draft)).error is None


async def test_what_is_said_is_dated_after_all_that_was_seen_although_the_clock_is_behind(world: World) -> None:
    world.clock.advance(hours=1)
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await fr.messages.sync()
        world.clock.advance(seconds=90)
        asked = await fr.messages.send(
            await fr.replies.draft(sent.id, "clarification.ask", questions=[QUESTION], pauses_clock=True)
        )
        world.clock.advance(seconds=-90)
        await jp.messages.sync()
        # It replies to the request, not to the question: only its time says that it came after.
        withdrawn = await jp.messages.send(await jp.replies.draft(sent.id, "withdrawal", reason="No longer needed."))
        assert (await jp.messages.peek(withdrawn.id)).sent_at > (await jp.messages.peek(asked.id)).sent_at
        world.clock.advance(minutes=-10)
        reported = await jp.messages.send(await jp.replies.draft(sent.id, "status.query"))
        assert (await jp.messages.peek(reported.id)).sent_at == world.clock()


QUESTION = {"question": "q1", "text": "Which account?"}

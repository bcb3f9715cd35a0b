"""An operator asks a running node where a message is, and gets the reason."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from node.cli.main import app
from tests.worlds.processes import World, desk, request_draft, sync, world


async def ask(*arguments: str, expect: int = 0) -> Any:
    """What the command says, run here: the node that it asks about is another process."""
    ran = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--json"])
    assert ran.exit_code == expect, ran.output
    return json.loads(ran.stdout)


def home(made: World, node: str) -> str:
    return str(made.federation.node_home(node))


async def test_a_trace_says_why_a_message_is_where_it_is(tmp_path: Path) -> None:
    async with world(tmp_path) as made, desk(made, "jp") as jp, desk(made, "fr") as fr:
        await made.kill("fr")
        sent = await jp.messages.send(request_draft())
        while not (waiting := (await ask("partners", home(made, "jp")))["waiting"]) or not waiting[0]["last_error"]:
            pass  # each question reads the node's files: that is pause enough
        (held,) = (await ask("trace", home(made, "jp"), str(sent.id)))["messages"]

        await made.start("fr")
        while not (await sync(made, fr)).received:
            pass
        while len(await jp.messages.receipts(sent.id)) < 5:
            await sync(made, jp)
        (there,) = (await ask("trace", home(made, "fr"), str(sent.id)[-8:]))["messages"]
        (here,) = (await ask("trace", home(made, "jp"), str(sent.id)))["messages"]
        log = await ask("log", "count", home(made, "fr"))
        seen = (await ask("partners", home(made, "jp")))["logs_seen"]

    assert waiting[0]["partner"] == "fr"
    assert waiting[0]["envelopes"] == 1
    assert held["where"] == "waiting-for-partner"
    assert held["queued"][0]["error"] == "unavailable"
    assert held["payload_held"]
    assert there["where"] == "done"
    assert there["peer"] == "jp"
    assert [event["name"] for event in there["events"]] == ["RelayAcceptance", "ContentConsignment", "ContentHandover"]
    assert here["where"] == "done"
    assert not here["payload_held"]
    assert {receipt["name"] for receipt in here["receipts"]} == {
        "RelayAcceptance",
        "ContentConsignment",
        "ContentHandover",
    }
    assert log["size"] == sum(log["events"].values())
    assert log["events"]["ContentHandover"] == 1
    assert seen[log["origin"]] == log["size"]


async def test_what_is_no_message_and_no_node_is_refused_with_its_code(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        unknown = await ask("trace", home(made, "jp"), "00000000", expect=1)
        no_id = await ask("trace", home(made, "jp"), "xyz'--", expect=2)
        wildcard = await ask("trace", home(made, "jp"), "%%%%", expect=2)
    (tmp_path / "node-jp" / "node.sqlite").unlink()
    no_database = await ask("partners", home(made, "jp"), expect=1)
    (tmp_path / "node-fr" / "node.sqlite").write_bytes(b"not a database" * 1000)
    damaged = await ask("partners", home(made, "fr"), expect=1)

    codes = [answer["error"]["code"] for answer in (unknown, no_id, wildcard, no_database, damaged)]
    assert codes[:4] == ["not-found", "usage", "usage", "settings"]
    assert "damaged" in codes[4]

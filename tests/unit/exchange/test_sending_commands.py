"""Every command that sends says in the same way what was only kept, and takes a key; drafts are saved, sealed."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import stat
from contextlib import chdir
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from typer.testing import CliRunner

from exchange.cli._commands import ROWS
from exchange.cli.main import app
from exchange.desk.cases import DeskCases
from exchange.desk.messages import DeskMessages
from exchange.desk.office import DeskOffice
from exchange.desk.replies import DeskReplies
from keys.commands import functions
from keys.local import translation
from keys.local.files import write_file
from keys.local.terminal import QUEUED
from protocol.errors import DraftChangedError, NothingOpenError, OfficerRoleError, TooLargeError
from tests.unit.exchange.test_officers import HAN, KIM, LEE, staffed
from tests.worlds.desks import FR, JP, NOW, PASSPHRASE, World, request

# How a command is known to send: what its function calls.
_SENDS = ("report_sent", "send_tests", "reply_to_tests", "send_checked", "SentMessage")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def typed(world: World, address: Any, *arguments: str) -> tuple[int, str]:
    """Type a command at a desk; its exit code and what it printed."""
    secret = world.path / "passphrase"
    if not secret.exists():
        write_file(secret, PASSPHRASE, mode=0o600)
    given = {"LANGUAGE": "en", "COMITY_HOME": str(world.home(address)), "COMITY_PASSPHRASE_FILE": str(secret)}
    with patch.dict(os.environ, given), chdir(world.path):
        translation._current.cache_clear()
        done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    translation._current.cache_clear()
    return done.exit_code, done.output


def written(world: World, name: str, content: dict[str, Any]) -> str:
    (world.path / name).write_text(json.dumps(content), "utf-8")
    return name


def test_every_command_that_sends_reports_what_it_sent_in_one_way() -> None:
    # Each of these gives the exit code and the line of a message that waits.
    ways = ("report_sent(", "report_sent_many(", "code_of(", "_report_drafts(")
    found = {
        name: any(way in inspect.getsource(function) for way in ways)
        for name, function in functions(ROWS)
        if any(call in inspect.getsource(function) for call in _SENDS)
    }
    assert {"send", "answer", "forward", "explain", "give", "draft release", "contact-test send", "note"} <= {*found}
    assert [name for name, alike in found.items() if not alike] == []


def test_every_act_of_a_desk_that_sends_one_message_is_done_once_under_a_key() -> None:
    # These make their claim themselves: by what the draft says.
    by_draft = {DeskMessages.send, DeskMessages.offer, DeskMessages.propose}
    acts = [
        act
        for part in (DeskMessages, DeskReplies, DeskCases, DeskOffice)
        for _, act in inspect.getmembers(part, inspect.isfunction)
        if act.__annotations__.get("return") == "SentMessage" and not act.__name__.startswith("_")
    ]
    assert len(acts) > 15
    assert [act.__qualname__ for act in acts if act not in by_draft and not hasattr(act, "__wrapped__")] == []


async def prepared(world: World) -> dict[str, tuple[Any, tuple[str, ...]]]:
    """For each command that sends, the desk at which it is typed and how."""
    async with world.open(JP) as jp, world.open(FR) as fr:
        asked = await jp.messages.send(request(own_reference="asked"))
        for_consent = await jp.messages.send(request(handling={"tlp": "AMBER"}))
        await jp.cases.test_contacts([FR])
        await fr.messages.sync()
        test = next(row for row in await fr.messages.inbox() if row.type == "contact.test")
    end = (NOW + timedelta(days=1)).isoformat()
    answer = {"targets": [{"target": "t1", "result": "not_held"}]}
    return {
        "send": (JP, ("send", written(world, "new.json", request()))),
        "acknowledge": (FR, ("acknowledge", str(asked.id), "--eta", end)),
        "answer": (FR, ("answer", str(asked.id), written(world, "answer.json", answer))),
        "contact-test reply": (FR, ("contact-test", "reply", str(test.id))),
        "note": (JP, ("note", str(asked.id), "Our clock was five minutes ahead.")),
        "retract": (JP, ("retract", str(for_consent.id), "--why", "sent_twice", "--reason", "Twice.")),
        "contact-test send": (JP, ("contact-test", "send", "24-7@fr")),
        "consent ask": (
            FR,
            ("consent", "ask", str(for_consent.id), "--for", "proceedings", "--purpose", "The trial 12/26"),
        ),
    }


async def test_a_message_that_was_only_kept_ends_with_a_code_of_its_own_and_says_why_in_the_first_line(
    world: World,
) -> None:
    commands = await prepared(world)
    for node in world.nodes.values():
        node.down = True
    for name, (address, arguments) in commands.items():
        code, output = await asyncio.to_thread(typed, world, address, *arguments)
        assert code == QUEUED, f"{name}: {output}"
        first = output.splitlines()[0]
        assert "NOT SENT YET" in first, f"{name}: {output}"
        assert "the node is down (unavailable)" in first, f"{name}: {output}"
    code, output = await asyncio.to_thread(typed, world, JP, "send", "new.json", "--json")
    said = json.loads(output)
    assert (code, said["queued"], said["reason"], said["error"]) == (QUEUED, True, "the node is down", "unavailable")


async def test_a_command_typed_again_with_its_key_sends_nothing_and_says_the_same(world: World) -> None:
    for name, (address, arguments) in (await prepared(world)).items():
        keyed = (*arguments, "--idempotency-key", name.replace(" ", "."), "--json")
        before = await counted(world, address)
        first, again = [await asyncio.to_thread(typed, world, address, *keyed) for _ in range(2)]
        assert first[0] == again[0] == 0, first[1] + again[1]
        assert await counted(world, address) == before + 1, arguments
        assert ids(json.loads(first[1])) == ids(json.loads(again[1]))


def ids(said: dict[str, Any]) -> Any:
    if "tests" in said:
        return [test["sent"]["id"] for test in said["tests"]]
    return [reply["id"] for reply in said["replies"]] if "replies" in said else said["id"]


async def counted(world: World, address: Any) -> int:
    async with world.open(address) as desk:
        return len(await desk.messages.inbox(sent=True))


# --- Drafts that are being written ------------------------------------------------------------------------------------


async def test_a_draft_keeps_its_id_from_when_it_is_saved_until_it_is_sent(world: World) -> None:
    async with world.open(JP) as jp:
        saved = await jp.messages.save_draft({"type": "preservation.request", "facts": "half"})
        again = await jp.messages.save_draft(request(own_reference="half"), draft_id=saved.id, revision=1)
        assert (again.id, again.revision, again.state) == (saved.id, 2, "saved")
        assert (await jp.messages.save_draft(request(own_reference="half"), draft_id=saved.id)).revision == 2
        draft = await jp.messages.export_draft(str(saved.id)[-8:])
        assert draft["draft_id"] == str(saved.id)
        sent = await jp.messages.send(draft)
        assert [one.id for one in await jp.messages.sent_as(str(saved.id))] == [sent.id]
        assert await jp.messages.saved_drafts() == []
        with pytest.raises(NothingOpenError, match=str(sent.id)):
            await jp.messages.export_draft(str(saved.id))
        acts = [record.act for _, record in await jp.office.records()]
        assert acts.count("draft.save") == 2
        assert acts.count("draft.export") == 2
        await jp.office.check_records()


async def test_no_word_of_a_saved_draft_stands_on_the_disk_and_a_dropped_one_is_gone(world: World) -> None:
    async with world.open(JP) as jp:
        saved = await jp.messages.save_draft({"facts": "Roubaix-4711"})
        await jp.office.drop_draft(str(saved.id))
        assert await jp.messages.saved_drafts() == []
        kept = await jp.messages.save_draft({"facts": "Roubaix-4711"})
    assert [file for file in world.home(JP).rglob("*") if file.is_file() and b"Roubaix-4711" in file.read_bytes()] == []
    async with world.open(JP) as jp:
        assert (await jp.messages.saved_draft(str(kept.id))).draft == {"facts": "Roubaix-4711"}


async def test_a_colleague_goes_on_with_a_draft_and_nobody_saves_over_what_they_did_not_read(world: World) -> None:
    await staffed(world)
    async with world.open(JP, KIM) as kim, world.open(JP, LEE) as lee, world.open(JP, HAN) as han:
        saved = await kim.messages.save_draft(request(own_reference="1"))
        with pytest.raises(DraftChangedError):
            await lee.messages.save_draft(request(own_reference="2"), draft_id=saved.id)
        taken = await lee.messages.save_draft(request(own_reference="2"), draft_id=saved.id, revision=saved.revision)
        assert (taken.drafted_by, taken.revision) == ("lee", 2)
        with pytest.raises(DraftChangedError, match="lee saved revision 2; you read 1"):
            await kim.messages.save_draft(request(own_reference="3"), draft_id=saved.id, revision=1)
        assert [one.id for one in await han.messages.saved_drafts()] == [saved.id]
        with pytest.raises(OfficerRoleError):
            await han.messages.save_draft(request())


async def test_a_draft_that_is_too_large_to_be_sent_is_not_saved(world: World) -> None:
    async with world.open(JP) as jp:
        with pytest.raises(TooLargeError):
            await jp.messages.save_draft({"facts": "x" * (4 * 1024 * 1024)})


async def test_a_case_that_is_erased_takes_the_drafts_in_it_along(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request())
        saved = await jp.messages.save_draft({"type": "withdrawal", "thread": str(sent.thread), "reason": "Roubaix"})
        assert (await jp.office.erase_case(sent.thread, "data_subject")).drafts == 1
        assert [one.id for one in await jp.messages.saved_drafts()] == []
        assert not (await jp.messages.saved_draft(str(saved.id))).draft


async def test_drafts_are_saved_listed_written_out_and_sent_by_commands(world: World) -> None:
    file = written(world, "request.json", request())
    code, output = await asyncio.to_thread(typed, world, JP, "draft", "save", file, "--json")
    saved = json.loads(output)
    assert (code, saved["state"], saved["revision"]) == (0, "saved", 1)
    _, output = await asyncio.to_thread(typed, world, JP, "draft", "list", "--json")
    assert [one["id"] for one in json.loads(output)["drafts"]] == [saved["id"]]
    short = saved["id"][-8:]
    code, output = await asyncio.to_thread(typed, world, JP, "draft", "export", short, "--out", "out.json")
    assert (code, stat.S_IMODE((world.path / "out.json").stat().st_mode)) == (0, 0o600)
    assert json.loads((world.path / "out.json").read_text("utf-8"))["draft_id"] == saved["id"]
    assert (await asyncio.to_thread(typed, world, JP, "draft", "export", short, "--out", "out.json"))[0] == 2
    sent = [await asyncio.to_thread(typed, world, JP, "send", "--draft", short, "--json") for _ in range(2)]
    by_file = await asyncio.to_thread(typed, world, JP, "send", "out.json", "--json")
    assert len({json.loads(output)["id"] for _, output in (*sent, by_file)}) == 1
    assert (await asyncio.to_thread(typed, world, JP, "draft", "save", "out.json"))[0] == 1


async def test_a_draft_that_new_writes_has_an_id_and_is_sent_once(world: World) -> None:
    code, _ = await asyncio.to_thread(
        typed, world, JP, "new", "--from", written(world, "case.json", request()), "--out", "r.json"
    )
    draft = json.loads((world.path / "r.json").read_text("utf-8"))
    assert (code, UUID(draft["draft_id"]).version) == (0, 4)
    first, again = [
        await asyncio.to_thread(typed, world, JP, "send", "r.json", "--unless-duplicate", "--json") for _ in "12"
    ]
    assert (first[0], again[0]) == (0, 0), again[1]
    assert json.loads(first[1])["id"] == json.loads(again[1])["id"]
    written(world, "copy.json", {**draft, "own_reference": "another"})
    code, output = await asyncio.to_thread(typed, world, JP, "send", "copy.json")
    assert (code, "idempotency-key-used" in output) == (1, True)

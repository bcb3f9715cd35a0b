"""Evidence files by commands: attached to a draft, sent, listed, opened, verified, taken back."""

from __future__ import annotations

import asyncio
import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from exchange.content.scanning import Scanning
from exchange.content.verdicts import ScanFinding, ScanResult, ScanVerdict
from protocol.http.file_progress import FilesAt
from tests.unit.exchange.test_sending_commands import typed, written
from tests.worlds.desks import FR, JP, ROOT, World, request

MIB = 1 << 20


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


async def type_(world: World, address: Any, *arguments: str) -> tuple[int, str]:
    return await asyncio.to_thread(typed, world, address, *arguments)


async def test_a_file_goes_from_the_command_line_of_one_desk_to_that_of_the_other(world: World) -> None:
    content = os.urandom(2 * MIB + 5)
    (world.path / "mail.pst").write_bytes(content)
    case = written(world, "case.json", request())
    code, output = await type_(
        world, JP, "new", "--from", case, "--attach", "mail.pst", "--hash", "md5", "--out", "d.json"
    )
    assert code == 0, output
    draft = json.loads((world.path / "d.json").read_text())
    assert draft["attachments"][0]["md5"]
    assert "key" not in draft["attachments"][0]["sealed"]
    assert (await type_(world, JP, "send", "d.json", "--check"))[0] == 0
    code, output = await type_(world, JP, "send", "d.json", "--json")
    assert code == 0, output
    message = json.JSONDecoder().raw_decode(output)[0]["id"]  # how far its files are is said on standard error
    code, output = await type_(world, JP, "files", "list", message, "--json")
    assert (code, json.loads(output)["messages"][0]["state"]) == (0, "done"), output
    world.files.beyond = (FilesAt("fr", "jp", 1_300_000, 0, world.clock(), 100_000),)
    for shown in (("track", message), ("files", "list", message), ("files", "list")):
        code, output = await type_(world, JP, *shown)
        assert code == 0, output
        assert "60 %, 100.0 kB a second" in " ".join(output.split()), output
    code, output = await type_(world, JP, "track", message, "--json")
    assert [(one["party"], one["percent"]) for one in json.loads(output)["files"]["shares"]] == [
        ("jp", 100),
        ("fr", 60),
    ]
    assert (await type_(world, FR, "inbox"))[0] == 0
    code, output = await type_(world, FR, "files", "list", message, "--json")
    (listed,) = json.loads(output)["messages"]
    assert (listed["state"], listed["listed"][0]["here"]) == ("waiting", False)
    code, output = await type_(world, FR, "files", "get", message, "--to", "case", "--json")
    assert code == 0, output
    assert Path(json.loads(output)["files"][0]["path"]).name == "mail.pst"
    assert (world.path / "case" / "mail.pst").read_bytes() == content
    code, output = await type_(world, FR, "files", "verify", message)
    assert (code, "mail.pst: holds" in output) == (0, True)
    code, output = await type_(world, FR, "files", "list")
    assert "all files are here" in output


async def test_attach_at_send_seals_sends_and_moves_the_file_by_one_command(world: World) -> None:
    for name in ("order.pdf", "or\u202eder.pdf"):
        (world.path / name).write_bytes(b"%PDF-1.7 order")
    case = written(world, "case.json", request())
    code, output = await type_(world, JP, "send", case, "--attach", "order.pdf", "--attach", "or\u202eder.pdf")
    assert (code, "all files are with the node" in output) == (0, True), output
    assert "or_der.pdf: this desk changed its name; the file was called or" in " ".join(output.split())
    assert "\u202e" not in output
    assert output.count("changed its name") == 1
    world.files.break_after = 0
    code, output = await type_(world, JP, "send", case, "--attach", "order.pdf")
    assert (code, "held up: the connection broke (unavailable)" in output) == (7, True), output


async def test_the_files_of_a_saved_draft_go_with_the_command_that_sends_it(world: World) -> None:
    (world.path / "order.pdf").write_bytes(b"%PDF-1.7 order")
    case = written(world, "case.json", request())
    code, output = await type_(world, JP, "draft", "save", case, "--attach", "order.pdf", "--json")
    assert code == 0, output
    draft, world.files.break_after = json.loads(output)["id"], 0
    code, output = await type_(world, JP, "send", "--draft", draft)
    assert (code, "held up: the connection broke (unavailable)" in output) == (7, True), output
    world.files.break_after = None
    for told in ("all files are with the node", "submitted"):  # again: what broke off goes on
        code, output = await type_(world, JP, "send", "--draft", draft)
        assert (code, told in output) == (0, True), output
    assert "all files" not in output


async def test_a_check_says_what_is_wrong_with_the_files_too(world: World) -> None:
    case = written(world, "case.json", request())
    (world.path / "order.pdf").write_bytes(b"%PDF-1.7 order")
    (world.path / "link.pdf").symlink_to("order.pdf")
    for name, error in (("none.pdf", "usage"), ("link.pdf", "wrong-file")):
        code, output = await type_(world, JP, "send", case, "--attach", name, "--check")
        assert (code != 0, error in output) == (True, True), output
    assert (await type_(world, JP, "send", case, "--attach", "order.pdf", "--check"))[0] == 0
    for command in ("custody", "scan"):
        code, output = await type_(world, JP, "files", command, "link.pdf")
        assert (code, "wrong-file" in output) == (1, True), output


async def test_a_name_that_is_too_long_for_a_message_keeps_its_ending(world: World) -> None:
    name = "x" * 251 + ".pdf"
    (world.path / name).write_bytes(b"%PDF-1.7 order")
    code, output = await type_(world, JP, "new", "preservation.request", "--attach", name)
    assert code == 0, output
    told, begins, draft = output.partition("{")
    assert name in told  # what it was called is told beside the draft, on standard error
    (attachment,) = json.loads(begins + draft)["attachments"]
    assert attachment["name"] == "x" * 196 + ".pdf"
    assert attachment["media_type"] == "application/pdf"


async def test_files_of_messages_that_go_later_are_no_failure_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch, "gh")
    (world.path / "order.pdf").write_bytes(b"%PDF-1.7 order")
    case = written(world, "case.json", request(to=["24-7@fr", "24-7@gh"]))
    code, output = await type_(world, JP, "send", case, "--attach", "order.pdf")
    assert (code, "(scheduled)" in output) == (0, True), output


async def test_a_command_that_sends_nothing_does_not_take_files_in_silence(world: World) -> None:
    assert (await type_(world, JP, "send", "missing.json", "--attach", "nowhere"))[0] == 2
    (world.path / "a.txt").write_bytes(b"a")
    code, output = await type_(world, JP, "send", written(world, "c.json", request()), "--attach", "a.txt", "--check")
    assert code == 0
    code, output = await type_(world, JP, "send", "c.json", "--attach", "a.txt", "--hash", "crc32")
    assert (code, "sha512, sha1, md5" in output) == (2, True), output


async def test_an_answer_whose_items_name_the_files_of_the_command_is_checked_and_sent_with_their_hashes(
    world: World,
) -> None:
    example = json.loads((ROOT / "examples/messages/assistance.request.json").read_text("utf-8"))
    code, output = await type_(world, JP, "send", written(world, "ask.json", example), "--json")
    assert code == 0, output
    asked = json.loads(output)["id"]
    assert (await type_(world, FR, "inbox"))[0] == 0
    code, output = await type_(world, FR, "new", "answer", "--reply-to", asked, "--empty", "--out", "given.json")
    assert code == 0, output
    said = json.loads((ROOT / "examples/messages/answer.json").read_text("utf-8"))
    item = {name: value for name, value in said["items"][0].items() if name not in {"hash", "size_bytes", "conditions"}}
    draft = json.loads((world.path / "given.json").read_text())
    draft |= {"completeness": "final", "authorisation": said["authorisation"]}
    draft["items"] = [{**item, "attachment": "server.dd", "files": ["order.pdf"]}]
    written(world, "given.json", draft)
    (world.path / "server.dd").write_bytes(b"an image")
    (world.path / "order.pdf").write_bytes(b"%PDF-1.7 order")
    both = ("--attach", "server.dd", "--attach", "order.pdf")
    for more, told in ((both[:2], "that is not attached"), ((), "add the hash of the item")):
        code, output = await type_(world, FR, "send", "given.json", *more, "--check")
        assert (code, told in output) == (1, True), output
    assert (await type_(world, FR, "send", "given.json", *both, "--check"))[0] == 0
    code, output = await type_(world, FR, "send", "given.json", *both, "--json")
    assert code == 0, output
    answer = json.JSONDecoder().raw_decode(output)[0]["id"]
    async with world.open(FR) as desk:
        (sent,) = (await desk.messages.peek(UUID(answer))).items
    assert (sent.hash.value, sent.size_bytes) == (sha256(b"an image").hexdigest(), 8)


@pytest.mark.parametrize("verdict", [ScanVerdict.CLEAN, ScanVerdict.INFECTED, ScanVerdict.NOT_SCANNED])
async def test_an_officer_who_opens_a_file_is_told_what_the_scanner_says_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch, verdict: ScanVerdict
) -> None:
    reason = "unreachable" if verdict is ScanVerdict.NOT_SCANNED else None
    result = ScanResult(ScanFinding(verdict, "A scanner", reason, "Own.Test"), 14)
    told = {"clean": "clean, says A scanner", "infected": "INFECTED: A scanner found Own.Test"}
    monkeypatch.setattr(Scanning, "scan", lambda self, path: result)  # and no policy blocks
    (world.path / "order.pdf").write_bytes(b"%PDF-1.7 order")
    code, output = await type_(
        world, JP, "send", written(world, "c.json", request()), "--attach", "order.pdf", "--json"
    )
    assert code == 0, output
    message = json.JSONDecoder().raw_decode(output)[0]["id"]
    assert (await type_(world, FR, "inbox"))[0] == 0
    code, output = await type_(world, FR, "files", "get", message, "--to", "case")
    assert (code, told.get(verdict, "not scanned: the scanner cannot be reached") in output) == (0, True), output
    code, output = await type_(world, FR, "files", "get", message, "--to", "case-2", "--json")
    assert json.loads(output)["files"][0]["scan"]["verdict"] == verdict

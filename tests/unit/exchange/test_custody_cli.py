"""Commands on files: custody in 80 columns, a bag, a scan, evidence with files; each with its exit code."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import bagit
import pytest
from typer.testing import CliRunner, Result

from exchange.cli.main import app
from exchange.settings import ScanningSettings
from keys.local.terminal import UNCHECKED, UNVERIFIED
from tests.unit.exchange.test_custody import fetched, sent_with, source
from tests.worlds.altered import one_bit_off
from tests.worlds.desks import FR, JP, PASSPHRASE, World, request
from tests.worlds.patience import WITHIN_S
from tests.worlds.scanners import SIGNATURE, clamd_that, finds_the_trial, served, unix_listener

TWICE = (("first.img", 3_000), ("second.img", 3_000), ("third.img", 9_000))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        yield World(tmp_path_factory.mktemp("custody"), patch)


@pytest.fixture(scope="module")
def message(world: World) -> str:
    """A message with a file that both desks have."""

    async def play() -> str:
        async with world.open(JP) as jp, world.open(FR) as fr:
            sent = await sent_with(jp, source(world, size=20_000))
            await fetched(fr, sent.id)
            return str(sent.id)

    return asyncio.run(play())


def call(world: World, *args: str, **more: Any) -> Result:
    secret = world.path / "secret"
    secret.write_bytes(PASSPHRASE + b"\n")
    secret.chmod(0o600)
    options = ["--home", str(world.home(FR)), "--passphrase-file", str(secret)]
    return CliRunner().invoke(app, [*args, *options], **more)


def test_custody_by_name_by_file_and_by_hash_is_the_same(world: World, message: str) -> None:
    by_name = call(world, "files", "custody", "server.img", "--json")
    by_file = call(world, "files", "custody", str(world.path / "server.img"), "--json")
    assert by_name.exit_code == by_file.exit_code == 0, by_name.output
    found, same = (json.loads(one.stdout)["files"] for one in (by_name, by_file))
    assert found[0]["file"] == same[0]["file"]
    assert found[0]["file"]["message"] == message
    assert {step["shown"] for step in found[0]["steps"]} >= {"signed", "proved", "recorded"}
    told = call(world, "files", "custody", "server.img", "--message", message)
    assert told.exit_code == 0
    assert max(map(len, told.stdout.splitlines())) <= 80
    assert call(world, "files", "custody", "none.img").exit_code == 1


def test_a_copy_that_was_altered_is_told_from_a_file_that_no_message_names(world: World, message: str) -> None:
    folder = world.path / "altered"
    folder.mkdir()
    copy = folder / "server.img"
    copy.write_bytes(one_bit_off((world.path / "server.img").read_bytes()))
    for more in ((), ("--message", message)):
        refused = call(world, "files", "custody", str(copy), *more)
        assert refused.exit_code != 0
        said = " ".join(refused.output.split())
        assert "[file-copy-altered]" in said or "file-copy-altered" in said
        assert sha256(copy.read_bytes()).hexdigest() in said
        assert sha256((world.path / "server.img").read_bytes()).hexdigest() in said
    other = folder / "other.img"
    other.write_bytes(b"of no message")
    refused = call(world, "files", "custody", str(other))
    assert "no message here names that file" in " ".join(refused.output.split())


def test_the_custody_of_a_file_that_is_attached_twice_is_shown_for_each(world: World) -> None:
    async def play() -> str:
        async with world.open(JP) as jp, world.open(FR) as fr:
            sent = await sent_with(jp, *(source(world, name, size=size) for name, size in TWICE))
            await fetched(fr, sent.id)
            return str(sent.id)

    message, digest = asyncio.run(play()), sha256((world.path / "first.img").read_bytes()).hexdigest()
    for wanted in (str(world.path / "second.img"), digest[:8], digest.upper()):
        shown = call(world, "files", "custody", wanted, "--json")
        assert shown.exit_code == 0, shown.output
        found = json.loads(shown.stdout)["files"]
        assert sorted(one["file"]["original"] for one in found) == ["first.img", "second.img"]
        assert {one["file"]["message"] for one in found} == {message}
    out = world.path / "bag-of-two"
    to = ("--to", "The court", "--purpose", "case_work", "--offline")
    bag = call(world, "files", "export", message, "--out", str(out), "--file", digest, "--file", "first.img", *to)
    assert bag.exit_code == 0, bag.output
    assert sorted(one.name for one in (out / "data").rglob("*.img")) == ["first.img", "second.img"]


def test_a_message_without_files_has_none_to_export_and_nobody_is_told_to_wait(world: World) -> None:
    async def play() -> str:
        async with world.open(JP) as jp, world.open(FR) as fr:
            sent = await jp.messages.send(request())
            await fr.messages.sync()
            return str(sent.id)

    out = str(world.path / "none")
    refused = call(
        world, "files", "export", asyncio.run(play()), "--out", out, "--to", "The court", "--purpose", "case_work"
    )
    assert refused.exit_code == 1
    assert "not-found" in refused.output


def test_an_export_by_command_is_a_bag_and_says_where_its_custody_goes_on(world: World, message: str) -> None:
    out = world.path / "bag"
    made = call(world, "files", "export", message, "--out", str(out), "--to", "The court", "--purpose", "case_work")
    assert made.exit_code == 0, made.output
    assert "of the processing log" in made.stdout
    bagit.Bag(str(out)).validate()
    again = call(world, "files", "export", message, "--out", str(out), "--to", "The court", "--purpose", "case_work")
    assert again.exit_code == 2
    assert "is there already" in again.output


@pytest.mark.outside
def test_a_scan_has_an_exit_code_for_each_verdict(world: World) -> None:
    socket = Path("/tmp") / f"comity-scan-{world.path.name}"
    file = world.path / "scanned"
    world.change_settings(FR, scanning=ScanningSettings(policy="block", clamd=str(socket), timeout_s=WITHIN_S))
    try:
        with served(unix_listener(socket), clamd_that(finds_the_trial)):
            for content, code, verdict in ((b"x", 0, "clean"), (SIGNATURE, UNVERIFIED, "infected")):
                file.write_bytes(content)
                said = call(world, "files", "scan", str(file), "--json")
                assert (said.exit_code, json.loads(said.stdout)["verdict"]) == (code, verdict)
        said = call(world, "files", "scan", str(file))
        assert said.exit_code == UNCHECKED
        assert "not scanned: the scanner cannot be reached" in said.stdout
    finally:
        socket.unlink(missing_ok=True)
        world.change_settings(FR, scanning=ScanningSettings())


def test_evidence_with_whole_files_verifies_by_command_and_warns_what_it_gives_away(world: World, message: str) -> None:
    out = world.path / "evidence.zip"
    wish = ["--out", str(out), "--to", "The court", "--purpose", "case_work", "--offline"]
    made = call(world, "evidence", "bag", message, *wish, "--disclose", "--files", "whole")
    assert made.exit_code == 0, made.output
    assert "CAN OPEN THE FILES" in made.stdout
    verified = CliRunner().invoke(app, ["evidence", "verify", str(out), "--home", str(world.home(FR)), "--json"])
    checks = {check["name"]: check["ok"] for check in json.loads(verified.stdout)["checks"]}
    assert [ok for name, ok in checks.items() if name.startswith("file")] == [True, True]
    assert call(world, "evidence", "bag", message, *wish, "--files", "some").exit_code == 2


def test_a_file_goes_by_hash_only_until_two_officers_say_otherwise(world: World) -> None:
    second = ["--second-officer", "lee", "--second-passphrase-file", str(world.path / "secret")]
    assert call(world, "files", "allow", "ab" * 32, "For an expert.", *second).exit_code == 1
    assert call(world, "files", "allow", "no hash", "For an expert.", *second).exit_code == 2

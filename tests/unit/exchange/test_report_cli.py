"""``comity report`` and ``comity audit report`` on a real desk and real mirrors."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.desk.desk import Desk
from protocol.address import Address
from protocol.event import EventName, decode_event
from protocol.log.merkle import leaf_hash
from protocol.log.tiles import TileTree
from tests.interop.go_log import write_log
from tests.unit.exchange.test_report_files import FONTS
from tests.unit.exchange.test_report_sign import p12, validated
from tests.worlds.desks import FR, JP, PASSPHRASE, Node, World, request


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path, monkeypatch)
    # A command's desk has the clock of the machine.
    monkeypatch.setattr("exchange.desk.desk.utc_now", made.clock)
    monkeypatch.setattr("exchange.desk.desk.Desk.open", partial(Desk.open, clock=made.clock))
    return made


def mirrored(node: Node, folder: Path) -> str:
    """The node's log as a mirror, as the command line names it."""
    tiles: dict[tuple[int, int], bytes] = {}
    tree = TileTree(0, lambda level, index: tiles[level, index])
    for leaf in node.log.leaves:
        tree.append(leaf_hash(leaf))
    tiles.update({(level, index): hashes for level, index, hashes in tree.take_changed_tiles()})
    write_log(folder / node.name, node.log.checkpoint(), tree, tiles, node.log.leaves)
    return f"{node.name}={folder / node.name}"


async def comity(world: World, address: Address, *arguments: str) -> Result:
    secret = world.path / "secret"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    options = [*arguments, "--home", str(world.home(address)), "--passphrase-file", str(secret)]
    # A thread of its own: the command runs an event loop.
    return await asyncio.to_thread(CliRunner().invoke, app, options)


async def exchanged(world: World) -> list[str]:
    """One request that Paris opened and acknowledged; the mirrors of both logs."""
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        world.clock.advance(minutes=5)
        await fr.messages.sync()
        await fr.messages.show(sent.id)
        await fr.messages.sync()
        world.clock.advance(hours=2)
        await fr.replies.acknowledge(sent.id, will_answer="yes", form="message", eta=world.clock() + timedelta(hours=1))
        await jp.messages.sync()
    return [mirrored(world.nodes[name], world.path / "mirrors") for name in ("jp", "fr")]


def figures(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)["figures"]
    return found


async def test_an_auditor_reads_the_figures_of_verified_mirrors(world: World) -> None:
    mirrors = await exchanged(world)
    found = figures(await comity(world, JP, "audit", "report", *mirrors, "--json"))
    assert found["messages"] == 2
    assert [(log["node"], log["findings"]) for log in found["logs"]] == [("fr", 0), ("jp", 0)]
    to_paris = {row["step"]: row["spread"]["median_ms"] for row in found["times"] if row["recipient"] == "fr"}
    assert to_paris == {"ContentConsignment": 0, "ContentHandover": 300_000, "ContentAccessTracking": 300_000}
    # The report stands where the mirrors stand, not where the clock does.
    assert found["as_of"] == "2026-11-23T05:05:00.000Z"


@pytest.mark.long
async def test_an_office_reads_the_figures_of_its_cases(world: World) -> None:
    await exchanged(world)
    found = figures(await comity(world, FR, "report", "--json"))
    assert (found["office"], found["received"], found["sent"]) == ("24-7@fr", 1, 1)
    kept = [row for row in found["deadlines"] if row["what"] == "acknowledgement"]
    assert [(row["ours"], row["in_time"], row["late"]) for row in kept] == [(True, 1, 0)]
    refused = await comity(world, FR, "report", "--json", "--suppress-below", "5")
    assert refused.exit_code == 2, refused.output  # what may be published is of one month that is over
    month = ("--from", "2026-11-01T00:00:00Z", "--to", "2026-12-01T00:00:00Z")
    assert (await comity(world, FR, "report", "--json", "--suppress-below", "5", *month)).exit_code == 2
    world.clock.advance(days=10)
    suppressed = figures(await comity(world, FR, "report", "--json", "--suppress-below", "5", *month))
    assert (suppressed["received"], suppressed["sent"]) == (0, 0)


@pytest.mark.long
@FONTS
async def test_the_report_is_written_in_the_language_that_is_asked_for_and_twice_the_same(world: World) -> None:
    mirrors = await exchanged(world)
    for name in ("report.html", "report.pdf", "again.html", "again.pdf"):
        done = await comity(world, JP, "audit", "report", *mirrors, "--out", str(world.path / name), "--language", "fr")
        assert done.exit_code == 0, done.output
        assert str(world.path / name) in done.stdout
    assert b'<html lang="fr" dir="ltr">' in (world.path / "report.html").read_bytes()
    for ending in ("html", "pdf"):
        assert (world.path / f"report.{ending}").read_bytes() == (world.path / f"again.{ending}").read_bytes()


async def test_a_log_that_is_named_twice_is_not_counted_twice(world: World) -> None:
    mirrors = await exchanged(world)
    done = await comity(world, JP, "audit", "report", mirrors[0], mirrors[0], "--json")
    assert (done.exit_code, json.loads(done.stdout)["error"]["type"]) == (2, "urn:comity:error:usage")


@FONTS
async def test_a_signed_report_verifies(world: World) -> None:
    out, secret = world.path / "report.pdf", world.path / "key-secret"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    signing = ["--sign-with", str(p12(world.path / "audit.p12")), "--sign-passphrase-file", str(secret)]
    done = await comity(world, JP, "report", "--out", str(out), *signing, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["signed"] is True
    assert (await validated(out.read_bytes())).bottom_line


@pytest.mark.long
async def test_a_log_with_findings_is_reported_with_its_own_exit_code(world: World) -> None:
    mirrors = await exchanged(world)
    node = world.nodes["jp"]
    accepted = next(
        event for event in map(decode_event, node.log.leaves) if event.name is EventName.SubmissionAcceptance
    )
    node.log.add(replace(accepted, salt=bytes(16), at=world.clock()))
    mirrors[0] = mirrored(node, world.path / "later")
    done = await comity(world, JP, "audit", "report", *mirrors, "--json")
    assert done.exit_code == 3
    assert json.loads(done.stdout)["figures"]["findings"] == [{"node": "jp", "code": "repeated", "count": 1}]


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        ([], "usage", 2),
        (["--out", "report.docx"], "usage", 2),
        (["--out", "report.html", "--sign-with", "audit.p12"], "usage", 2),
        (["--out", "report.pdf", "--sign-passphrase-file", "secret"], "usage", 2),
        (["--out", "report.pdf", "--sign-with", "missing.p12"], "signing-identity", 1),
        (["--out", "/nowhere/report.html"], "usage", 2),
        (["--out", "report.html", "--language", "tlh"], "usage", 2),
        (["--out", "report.html", "--from", "2026-11-23T00:00:00"], "usage", 2),
        (["--out", "report.html", "--from", "2026-11-23T00:00:00Z", "--to", "2026-11-22T00:00:00Z"], "usage", 2),
    ],
)
async def test_what_cannot_be_written_is_refused_before_anything_is_read(
    world: World, arguments: list[str], code: str, exit_code: int
) -> None:
    done = await comity(world, JP, "report", *arguments)
    assert done.exit_code == exit_code
    assert done.stderr.startswith(f"refused ({code}): ")
    assert "Traceback" not in done.output

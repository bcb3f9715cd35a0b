"""What leaves a desk as a file: recipient, purpose and labels, and records of what happened and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.desk.desk import Desk
from exchange.office.officers import Login
from protocol.errors import ForbiddenError, HandlingError, RecipientNeededError, UsageError
from protocol.processing_log import Operation, ProcessingRecord
from tests.worlds.desks import FR, JP, PASSPHRASE, World, request


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch, "gh")


async def received(world: World, tlp: str = "AMBER") -> UUID:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request(handling={"tlp": tlp}))
        await fr.messages.sync()
        return sent.id


async def records(desk: Desk) -> list[ProcessingRecord]:
    return [record for _, record in await desk.office.records()]


def ways_out(desk: Desk, message: UUID, **given: Any) -> list[Callable[[], Awaitable[object]]]:
    prove = desk.evidence
    return [
        lambda: prove.disclose(message, **given),
        lambda: prove.gather(message, disclose=True, **given),
        lambda: prove.note_given(message, "bag", b"file", **given),
    ]


async def test_nothing_is_given_out_before_it_is_said_to_whom_and_what_for(world: World) -> None:
    message = await received(world)
    for login in (Login(), Login(purpose="proceedings"), Login(recipient="The court")):
        async with Desk.open(world.home(FR), PASSPHRASE, clock=world.clock, login=login) as fr:
            for way_out in ways_out(fr, message):
                with pytest.raises(RecipientNeededError):
                    await way_out()
            for way_out in ways_out(fr, message, to="The court", purpose="because"):
                with pytest.raises(UsageError):
                    await way_out()
            assert [record.act for record in await records(fr)] == ["receive"]


async def test_giving_a_file_to_a_contact_point_is_passing_the_message_on(world: World) -> None:
    message = await received(world)
    async with world.open(FR) as fr:
        for way_out in ways_out(fr, message, to="24-7@gh")[:2]:
            with pytest.raises(HandlingError):
                await way_out()
        for to in ("24-7@jp", "24-7@fr", "cyber@fr", "Tribunal judiciaire de Lille", "Greffe, greffe@justice.example"):
            await fr.evidence.disclose(message, to=to)


@pytest.mark.parametrize("to", ["24-7@GH", " 24-7@gh", "Accra (24-7@gh)", "24-7@fr, 24-7@gh.", "<24-7@gh>"])
async def test_a_contact_point_is_known_however_it_is_written(world: World, to: str) -> None:
    message = await received(world)
    async with world.open(FR) as fr:
        for way_out in ways_out(fr, message, to=to)[:2]:
            with pytest.raises(HandlingError):
                await way_out()


def comity(world: World, *arguments: str) -> tuple[int, Any]:
    secret = world.path / "secret"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    options = ["--home", str(world.home(FR)), "--json"]
    ran = CliRunner().invoke(app, [*arguments, *options], env={"COMITY_PASSPHRASE_FILE": str(secret)})
    return ran.exit_code, json.loads(ran.stdout)


def test_only_what_was_given_is_recorded_as_given_with_the_digest_of_the_file(world: World, tmp_path: Path) -> None:
    message = str(asyncio.run(received(world)))
    given = ("--to", "Tribunal judiciaire de Lille", "--purpose", "case_work")
    nowhere, out = str(tmp_path / "no" / "such" / "folder"), tmp_path / "out"
    commands = {
        "disclose": ("evidence", "disclose", message, "--out", "{}"),
        "bag": ("evidence", "bag", message, "--disclose", "--out", "{}"),
        "bag.sealed": ("evidence", "bag", message, "--out", "{}"),
    }
    for words in commands.values():
        code, refused = comity(world, *(word.format(out) for word in words))
        assert (code, refused["error"]["type"]) == (1, "urn:comity:error:recipient-needed")
        assert comity(world, *(word.format(nowhere) for word in words), *given)[0] == 2
    listed = comity(world, "records", "list", "--operation", Operation.DISCLOSURE.value)[1]["records"]
    assert listed == []
    for act, words in commands.items():
        assert comity(world, *(word.format(out) for word in words), *given)[0] == 0
        *_, last = comity(world, "records", "list", "--operation", Operation.DISCLOSURE.value)[1]["records"]
        told = (last["act"], last["recipients"], last["purpose"], last["message"], last["file"])
        digest = sha256(out.read_bytes()).hexdigest()
        assert told == (act, ["Tribunal judiciaire de Lille"], "case_work", message, digest)


async def test_a_message_that_the_node_refused_is_recorded_as_not_sent(world: World) -> None:
    async with world.open(JP) as jp:
        world.nodes["jp"].refuse = ForbiddenError("not today")
        sent = await jp.messages.send(request())
        told = [(record.operation.value, record.act, record.message) for record in await records(jp)]
        assert told == [("disclosure", "send", sent.id), ("alteration", "send.refused", sent.id)]

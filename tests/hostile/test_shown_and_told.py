"""A sender is told that its message was opened when an officer had it before their eyes, and in no other case."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.main import app
from keys.local.terminal import run_program
from protocol.errors import ClockSkewError, ComityError, NotEnrolledError, RateLimitedError, StorageFullError
from tests.worlds.desks import FR, JP, PASSPHRASE, World, request

Comity = Callable[..., tuple[int, str, str]]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


@pytest.fixture
def comity(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Comity:
    """Runs a command of the desk in Paris as its own program would: exit code, output, errors."""
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE + b"\n")
    secret.chmod(0o600)
    monkeypatch.setenv("LANGUAGE", "en")

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["comity", *words])
        monkeypatch.setenv("COMITY_HOME", str(world.home(FR)))
        monkeypatch.setenv("COMITY_PASSPHRASE_FILE", str(secret))
        with pytest.raises(SystemExit) as end:
            run_program("comity", app)
        told = capsys.readouterr()
        code = end.value.code
        return (code if isinstance(code, int) else 0), told.out, told.err

    return run


def received(world: World) -> str:
    """A request from Tokyo that has arrived in Paris; its id."""

    async def exchange() -> str:
        async with world.open(JP) as jp, world.open(FR) as fr:
            sent = await jp.messages.send(request())
            await fr.messages.sync()
            return str(sent.id)

    return asyncio.run(exchange())


def stated(world: World) -> list[str]:
    """The events that the desk in Paris stated."""
    return [event for _, _, event in world.nodes["fr"].stated]


def looked_at(world: World) -> int:
    """How many times the desk in Paris recorded that a message was looked at."""

    async def count() -> int:
        async with world.open(FR) as fr:
            return len(await fr.office.records(lambda record: record.act == "show"))

    return asyncio.run(count())


def test_a_message_that_could_not_be_written_out_was_looked_at_and_not_opened(
    world: World, comity: Comity, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = received(world)
    with Path("/dev/full").open("w", encoding="utf-8") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        patch.setattr("keys.local.terminal._silence", lambda: None)
        code, _, said = comity("show", message)
    assert (code, "refused (output)" in said) == (1, True)
    assert "ContentAccessTracking" not in stated(world)
    assert looked_at(world) == 1
    assert json.loads(comity("inbox", "--unopened", "--json")[1])["messages"]
    assert comity("show", message)[0] == 0
    assert looked_at(world) == 2
    assert "ContentAccessTracking" in stated(world)
    assert not json.loads(comity("inbox", "--unopened", "--json")[1])["messages"]


def test_a_message_that_cannot_be_rendered_is_shown_in_no_part_and_not_opened(
    world: World, comity: Comity, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = received(world)

    def defect(lines: object) -> None:
        raise ValueError

    with monkeypatch.context() as patch:
        patch.setattr("exchange.cli.messages.reading.print_reading", defect)
        code, shown, said = comity("show", message)
    assert (code, shown, said) == (1, "", "comity: internal error (ValueError)\n")
    assert "ContentAccessTracking" not in stated(world)


def test_a_node_that_is_away_does_not_keep_an_officer_from_what_is_here(world: World, comity: Comity) -> None:
    message = received(world)
    world.nodes["fr"].down = True
    code, shown, said = comity("show", message)
    assert code == 0
    assert "203.0.113.77" in shown
    assert "unavailable" in said
    world.nodes["fr"].down = False
    comity("inbox")
    assert "ContentAccessTracking" in stated(world)


@pytest.mark.parametrize("problem", [ClockSkewError(), NotEnrolledError(), StorageFullError(), RateLimitedError()])
def test_whatever_keeps_the_desk_from_its_node_is_named_and_what_is_here_is_shown(
    world: World, comity: Comity, monkeypatch: pytest.MonkeyPatch, problem: ComityError
) -> None:
    message = received(world)

    async def sync(self: Any, wait: float = 0) -> None:
        raise problem

    monkeypatch.setattr("exchange.desk.messages.DeskMessages.sync", sync)
    for words in (("inbox",), ("track", message), ("agenda",), ("show", message)):
        code, shown, said = comity(*words)
        assert code == 0, words
        assert shown
        assert f"({problem.code})" in said
        assert problem.advice in said
    listed = json.loads(comity("inbox", "--json")[1])
    assert len(listed["messages"]) == 1
    assert (listed["synchronised"], listed["not_synchronised"]["code"]) == (False, problem.code)

"""A desk that stops at any step: nothing that was accepted is lost, and nothing happens twice."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from exchange.link.directory import DeskDirectory
from exchange.messaging.sync import NodeSync
from exchange.store._outbox import OutboxTable
from exchange.store._state import StateTable
from exchange.store.desk_store import DeskStore
from exchange.store.messages import MessageTable
from exchange.views import SendStatus
from keys.directory.metadata import client
from protocol.errors import DirectoryUnavailableError, NotFoundError, StorageFullError
from protocol.event import EventName, decode_event
from tests.faults.desk_victim import CIPHER, numbered
from tests.worlds.desks import FR, JP, Client, World, request

ROOT = Path(__file__).resolve().parents[2]
STORE_STEPS = ("add_sent", "record_submission", "take", "open_message", "record_stated")
NETWORK_STEPS = ("submit", "state", "mailbox")


class CrashError(Exception):
    """The machine stops here."""


class Crash:
    """Counts the boundaries before and after each step; stops at number ``at``, and everything after it too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.at = at
        self.passed = 0
        self.armed = True
        for name in STORE_STEPS:
            monkeypatch.setattr(DeskStore, name, self._around(getattr(DeskStore, name)))
        monkeypatch.setattr(StateTable, "set", self._around(StateTable.set))
        for name in NETWORK_STEPS:
            monkeypatch.setattr(Client, name, self._around_async(getattr(Client, name)))

    @property
    def happened(self) -> bool:
        return self.passed > self.at

    def _boundary(self) -> None:
        if self.armed:
            self.passed += 1
            if self.passed > self.at:
                raise CrashError

    def _around(self, step: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(step)
        def run(*args: Any, **kwargs: Any) -> Any:
            self._boundary()
            result = step(*args, **kwargs)
            self._boundary()
            return result

        return run

    def _around_async(self, step: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(step)
        async def run(*args: Any, **kwargs: Any) -> Any:
            self._boundary()
            result = await step(*args, **kwargs)
            self._boundary()
            return result

        return run


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def events(world: World, node: str) -> Counter[tuple[EventName, bytes]]:
    decoded = (decode_event(leaf) for leaf in world.nodes[node].log.leaves)
    return Counter((event.name, event.digest) for event in decoded)


async def the_whole_story(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request())
    async with world.open(FR) as fr:
        await fr.messages.sync()
        await fr.messages.show(sent.id)
        await fr.messages.sync()
    async with world.open(JP) as jp:
        await jp.messages.sync()


async def settle(world: World) -> None:
    """Start again after the crash and let everything that is under way end."""
    for _ in range(2):
        for address in (JP, FR):
            async with world.open(address) as desk:
                await desk.messages.sync()


async def test_a_crash_at_any_step_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = 0
    while True:
        with monkeypatch.context() as patched:
            (tmp_path / str(at)).mkdir()
            world = World(tmp_path / str(at), patched)
            crash = Crash(patched, at)
            with contextlib.suppress(CrashError):
                await the_whole_story(world)
            crash.armed = False
            await settle(world)
            await check_invariants(world)
            if not crash.happened:
                break
        at += 1
    print("AT", at)
    assert at > 15


async def check_invariants(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent, received = await jp.messages.inbox(sent=True), await fr.messages.inbox()
        assert len(sent) <= 1
        assert [row.id for row in received] == [row.id for row in sent]
        assert await fr.messages.quarantine() == []
        for row in sent:
            assert row.status is SendStatus.SUBMITTED
            tracking = await jp.messages.track(row.id)
            opened = received[0].opened_at is not None
            assert tracking.recipients[0].reached == ("ContentAccessTracking" if opened else "ContentHandover")
            proved = [(r.event, r.node) for r in tracking.recipients[0].receipts]
            assert len(proved) == len(set(proved))
            assert all(r.verified for r in tracking.recipients[0].receipts)
            assert (await fr.evidence.verify(row.id)).ok
    for node in ("jp", "fr"):
        assert set(events(world, node).values()) <= {1}


async def test_lost_answers_are_asked_for_again_and_mean_nothing_happened_twice(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        world.nodes["jp"].lose_answers = 2
        sent = await jp.messages.send(request())
        assert sent.status is SendStatus.QUEUED
        await jp.messages.sync()
        assert (await jp.messages.sync()).submitted == (sent.id,)
        world.nodes["fr"].lose_answers = 1
        first = await fr.messages.sync()
        assert (len(first.received), first.statements) == (1, 0)
        assert (await fr.messages.sync()).statements == 1

    assert set(events(world, "jp").values()) == {1}
    assert set(events(world, "fr").values()) == {1}


async def test_a_full_disk_accepts_nothing_and_the_message_comes_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise StorageFullError

    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await fr.refresh_directory()
        with monkeypatch.context() as patched:
            patched.setattr(MessageTable, "insert", full)
            with pytest.raises(StorageFullError):
                await fr.messages.sync()
        assert await fr.messages.inbox() == []
        assert EventName.ContentHandover not in {name for name, _ in events(world, "fr")}

        result = await fr.messages.sync()

    assert [row.id for row in result.received] == [sent.id]


async def test_an_opening_is_stated_after_a_crash_before_the_statement_left(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await fr.messages.sync()
        world.nodes["fr"].down = True
        await fr.messages.show(sent.id)
    world.nodes["fr"].down = False
    async with world.open(FR) as fr:
        assert (await fr.messages.sync()).statements == 1

    assert EventName.ContentAccessTracking in {name for name, _ in events(world, "fr")}


async def test_two_programs_use_one_desk_at_once_and_a_message_of_either_is_durable_for_both(world: World) -> None:
    world.nodes["jp"].down = True
    async with world.open(JP) as first, world.open(JP) as second:
        sent = [await first.messages.send(request()), await second.messages.send(request())]
        assert {message.status for message in sent} == {SendStatus.QUEUED}
    world.nodes["jp"].down = False
    async with world.open(JP) as third:
        assert set((await third.messages.sync()).submitted) == {message.id for message in sent}


def test_what_a_killed_desk_called_durable_is_there(tmp_path: Path) -> None:
    path = tmp_path / "desk.sqlite"
    stored = 0
    for _ in range(3):
        command = [sys.executable, "-m", "tests.faults.desk_victim", str(path), str(stored)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as victim:
            assert victim.stdout is not None
            said = [victim.stdout.readline() for _ in range(20)]
            victim.kill()
            said += victim.stdout.readlines()
        promised = int(said[-1]) if said[-1].endswith("\n") else int(said[-2])
        store = DeskStore(path, CIPHER)
        kept = store.outbox.count()
        assert kept >= promised
        assert kept % 5 == 0
        assert all(
            store.messages.get(numbered(number).head.id) == numbered(number) for number in range(kept - 10, kept)
        )
        store.close()
        stored = kept


async def test_a_desk_that_is_cancelled_while_it_sends_finds_the_message_in_its_outbox(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(traffic: NodeSync, batch: Any) -> Any:
        raise CrashError

    async with world.open(JP) as jp:
        with monkeypatch.context() as patched:
            patched.setattr(NodeSync, "_submit", never)
            with pytest.raises(CrashError):
                await jp.messages.send(request())
    async with world.open(JP) as jp:
        assert len((await jp.messages.sync()).submitted) == 1


async def test_a_desk_closes_its_database_only_when_what_was_cancelled_has_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, done = threading.Event(), threading.Event()

    def slow(_: OutboxTable) -> int:
        started.set()
        time.sleep(0.2)
        done.set()
        return 0

    ended_first: list[bool] = []
    close = DeskStore.close
    monkeypatch.setattr(OutboxTable, "count", slow)
    monkeypatch.setattr(DeskStore, "close", lambda store: (ended_first.append(done.is_set()), close(store)))

    async with world.open(JP) as jp:
        syncing = asyncio.create_task(jp.messages.sync())
        await asyncio.to_thread(started.wait)
        syncing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await syncing

    assert ended_first == [True]


@pytest.mark.parametrize("written", ["folder", "file"])
async def test_a_full_disk_keeps_nobody_from_the_directory_that_is_here_and_is_called_one(
    world: World, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    async with world.open(JP) as jp:
        await jp.messages.send(request())
    real, full = client.TemporaryDirectory, OSError(errno.ENOSPC, "No space left on device")

    def made(*, prefix: str, dir: Path | None = None) -> Any:
        if dir is not None and written == "folder":
            raise full
        return real(prefix=prefix, dir=dir)

    def run(self: client.DirectoryClient, fetcher: Any, now: Any, folder: Path, **more: Any) -> Any:
        if written == "file" and folder.is_relative_to(world.home(JP)):
            raise DirectoryUnavailableError("the directory cannot be stored") from full
        return kept(self, fetcher, now, folder, **more)

    kept = client.DirectoryClient._run
    monkeypatch.setattr(client, "TemporaryDirectory", made)
    monkeypatch.setattr(client.DirectoryClient, "_run", run)
    async with world.open(JP) as jp:
        assert len(await jp.messages.inbox(sent=True)) == 1


def test_a_directory_that_cannot_be_kept_is_not_called_one_that_the_node_does_not_have() -> None:
    reached: Any = DeskDirectory.__new__(DeskDirectory)
    reached._clock = lambda: None
    reached._client = SimpleNamespace(refresh=lambda _now, **_more: _asked(reached))
    with pytest.raises(StorageFullError, match="cannot be stored"):
        reached.refresh()


def _asked(reached: Any) -> Any:
    # The last of the roots is found by asking for the one after it.
    reached._last_failure = NotFoundError("the directory has no metadata/2.root.json")
    raise DirectoryUnavailableError("the directory cannot be stored: full") from OSError(errno.ENOSPC, "full")

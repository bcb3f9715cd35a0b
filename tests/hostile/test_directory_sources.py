"""A source with an old but valid directory keeps no news from a node, and every source that disagrees is named."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from io import StringIO
from pathlib import Path

import aiohttp
import pytest

from keys.directory.metadata.repository import TIMESTAMP_NAME, MetadataRepository
from keys.members.federation import publish_cards
from node.operations.logging import make_log
from node.operations.metrics import Metrics
from node.peers import directory
from node.peers.directory import DirectoryHome, DirectoryService, Source
from protocol.errors import NotAdmittedError, UnavailableError
from tests.worlds.nodes import World
from tests.worlds.patience import WITHIN_S


class Folder:
    """A copy of the federation's folder as a source; ``change`` alters what it answers."""

    def __init__(self, name: str, path: Path, change: Callable[[str, bytes], bytes] = lambda _, content: content):
        self.name = name
        self.repository = MetadataRepository(path)
        self.change = change

    def fetch(self, name: str) -> bytes:
        return self.change(name, self.repository.read(name))


class Silent:
    """A source that never answers, until the test is over."""

    def __init__(self) -> None:
        self.name = "silent"
        self.over = threading.Event()

    def fetch(self, name: str) -> bytes:
        self.over.wait()
        raise UnavailableError("silent")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp")
    yield world
    await world.close()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def copied(world: World, name: str) -> Path:
    return Path(shutil.copytree(world.folder, world.path / name))


def publish(world: World) -> int:
    card = world.desks["24-7@jp"].card
    return publish_cards(world.found(), [card], world.nations["jp"], world.registry, world.clock()).version


def service(world: World, metrics: Metrics, sources: list[Source], log: StringIO | None = None) -> DirectoryService:
    root = MetadataRepository(world.folder).root_bytes(1)
    number = len(list(world.path.glob("service-*")))
    home = world.path / f"service-{number}"
    return DirectoryService(
        DirectoryHome(home / "directory", root, MetadataRepository(home / "served")),
        lambda _: sources,
        world.clock,
        metrics,
        make_log("xx", "info", log or StringIO()),
    )


@pytest.fixture(autouse=True)
def _each_source_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a source of these tests has to say is heard, however busy the machine is."""
    monkeypatch.setattr(directory, "GRACE_S", WITHIN_S)


async def test_the_newest_directory_is_taken_whoever_is_asked_first(
    world: World, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "BEHIND_AFTER_S", -1.0)
    old = Folder("old", copied(world, "old"))
    version = publish(world)
    new = Folder("new", copied(world, "new"))
    log = StringIO()
    for sources in ([new, old], [old, new]):
        made = service(world, metrics, list(sources), log := StringIO())
        await made.start()
        assert made.current.version == version
    assert made.disagreeing == {"old": "behind"}
    await made.refresh()
    told = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["source"] for line in told if line["event"] == "directory-source-disagrees"] == ["old"]
    old.repository.install({name: new.repository.read(name) for name in await made.files()})
    await made.refresh()
    assert made.disagreeing == {}
    made.close()


@pytest.mark.parametrize("turns", range(6))
async def test_who_asks_in_the_very_turn_in_which_a_refresh_ends_is_answered(
    world: World, metrics: Metrics, turns: int
) -> None:
    source = Folder("one", copied(world, "one"))
    sources: list[Source] = [source]
    made = service(world, metrics, sources)
    await made.start()
    sources.clear()  # a refresh without a source ends in its first turn

    async def later(ask: Callable[[], Awaitable[object]]) -> object:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await ask()

    files = await asyncio.gather(made.refresh(), later(made.files))
    assert files == [False, await made.files()]
    again = await asyncio.gather(made.refresh(), later(lambda: made.refresh_from(source)))
    assert again == [False, True]
    made.close()


async def test_two_directories_of_one_version_are_an_alarm(world: World, metrics: Metrics) -> None:
    version = publish(world)
    honest = Folder("honest", copied(world, "honest"))

    def resigned(name: str, content: bytes) -> bytes:
        if name != TIMESTAMP_NAME:
            return content
        values = json.loads(content)
        values["signed"]["expires"] = values["signed"]["expires"].replace("202", "203", 1)
        return json.dumps(values).encode()

    made = service(world, metrics, [honest, Folder("fork", world.folder, resigned)])
    await made.start()
    assert (made.current.version, made.disagreeing) == (version, {"fork": "contradicts"})
    made.close()


async def test_a_claim_that_does_not_verify_is_named_and_takes_nothing_away(world: World, metrics: Metrics) -> None:
    version = publish(world)

    def boasting(name: str, content: bytes) -> bytes:
        if name != TIMESTAMP_NAME:
            return content
        values = json.loads(content)
        values["signed"]["version"] = 999
        return json.dumps(values).encode()

    made = service(world, metrics, [Folder("boast", world.folder, boasting), Folder("honest", copied(world, "honest"))])
    await made.start()
    assert (made.current.version, made.disagreeing) == (version, {"boast": "untrusted"})
    made.close()


async def test_a_source_that_is_silent_delays_nobody(
    world: World, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "GRACE_S", 0.05)
    silent = Silent()
    made = service(world, metrics, [silent, Folder("honest", world.folder)])
    await made.start()
    for _ in range(3):
        assert await made.refresh()
    silent.over.set()
    made.close()


async def test_a_running_node_takes_the_news_that_one_of_its_sources_does_not_have(world: World) -> None:
    for nation in ("fr", "de"):
        world.add_nation(nation)
        await world.start(nation)
    await world.start("jp")
    await world.stop("jp")
    jp = await world.start("jp", folder=False, directory={"upstream": ["fr", "de"]})
    # fr does not refresh any more: what it has is valid for days.
    world.nodes["fr"].context.directory._sources = lambda _: []
    version = publish(world)
    await world.nodes["de"].context.directory.refresh()
    await jp.context.directory.refresh()
    assert jp.context.directory.current.version == version


async def test_a_node_that_is_not_admitted_yet_is_told_so(world: World) -> None:
    await world.start("jp")
    world.add_nation("gr")
    await world.nodes["jp"].context.directory.refresh()
    strangers = World(world.path / "strangers")
    (world.path / "strangers").mkdir()
    strangers.add_nation("gr")
    # Its keys are those of no card: it made them anew, or its nation has not published them.
    shutil.copyfile(strangers.home("gr").keystore, world.home("gr").keystore)
    with pytest.raises(NotAdmittedError) as refused:
        await world.start("gr", folder=False)
    assert "connection" not in refused.value.advice
    assert "card.json" in refused.value.advice


async def test_health_names_a_node_that_no_directory_has(world: World) -> None:
    jp = await world.start("jp")
    object.__setattr__(jp.context, "name", "xx")
    async with aiohttp.ClientSession() as session, session.get(f"{jp.admin_url}/health") as answer:
        assert "not-admitted" in (await answer.json())["problems"]

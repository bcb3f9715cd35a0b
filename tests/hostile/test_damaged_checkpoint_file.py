"""A damaged checkpoint file beside a whole database is no dead end, and no way to sign behind what partners saw."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keys.secrets.keystore import Keystore
from node.log.files import LogFiles
from node.recovery.reconcile import Reconciled, reconcile
from node.server import Node
from node.settings import NodeSettings
from protocol.errors import ComityError, LogRolledBackError
from tests.worlds.nodes import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp", "fr")
    for nation in ("jp", "fr"):
        await world.start(nation)
    yield world
    await world.close()


async def exchange(world: World) -> None:
    """A message from jp to fr: fr saw a checkpoint of jp's log then."""
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    envelope = world.seal(tokyo, [paris])
    (answer,) = await world.submit(tokyo, envelope)
    assert answer.code is None
    await world.events(tokyo, 2, envelope)
    await world.nodes["fr"].relay.monitor.check("jp")


async def reconciled(world: World) -> Reconciled:
    home = world.home("jp")
    values = {"node": "jp", "admin": "", "allow_networks": ["127.0.0.0/8"], "log": {"boot_folder": world.path}}
    settings = NodeSettings.of({**values, "directory": {"folder": world.folder}})
    node = Node(home, settings, Keystore.open(home.keystore, b"test"), clock=world.clock)
    await node.open_unsigned()
    try:
        return await reconcile(
            node.context.sequencer, node.files, node.context.partners, node.askable(), node.log, alone=False
        )
    finally:
        await node.stop()


def emptied(note: bytes) -> bytes:
    return b""


def cut(note: bytes) -> bytes:
    return note[: len(note) // 2]


def zeroed(note: bytes) -> bytes:
    return bytes(len(note))


def changed(note: bytes) -> bytes:
    at = note.index(b"\n") + 1  # another size than the one that was signed
    return note[:at] + b"1" + note[at:]


async def test_it_is_made_anew_from_the_database_and_the_partners(world: World) -> None:
    path = world.home("jp").path / "log-checkpoint"
    await exchange(world)
    for damage in (emptied, cut, zeroed, changed):
        size = await world.nodes["jp"].context.store.reads.log_size()
        await world.stop("jp")
        whole = path.read_bytes()
        path.write_bytes(damage(whole))
        with pytest.raises(ComityError) as refused:
            await world.start("jp")
        assert "log reconcile" in f"{refused.value.detail} {refused.value.advice}"
        report = await reconciled(world)
        assert report.ok
        assert report.damaged is not None
        assert (path.parent / report.damaged).read_bytes() == damage(whole)
        await world.start("jp")
        await world.submit(world.desks["24-7@jp"], world.seal(world.desks["24-7@jp"], [world.desks["24-7@jp"]]))
        assert await world.nodes["jp"].context.store.reads.log_size() > size


async def test_a_database_that_was_put_back_too_is_still_found_out(world: World) -> None:
    await exchange(world)
    await world.stop("jp")
    home = world.home("jp").path
    shutil.copyfile(home / "node.sqlite", home / "old")
    await world.start("jp")
    await exchange(world)
    await world.stop("jp")
    shutil.copyfile(home / "old", home / "node.sqlite")
    (home / "log-checkpoint").write_bytes(b"")
    settings = NodeSettings.of({"node": "jp", "log": {"boot_folder": world.path}})
    LogFiles.of(world.home("jp"), settings, Keystore.open(world.home("jp").keystore, b"test")).memory.path.unlink()
    report = await reconciled(world)
    assert not report.ok
    assert report.missing > 0
    with pytest.raises(LogRolledBackError):
        await world.start("jp")

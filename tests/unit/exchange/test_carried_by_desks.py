"""A desk's evidence files on a carried disk: written whole, taken as from a stranger, over broken trips."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from exchange.cli.setup.offline import _telling
from exchange.files.given import attaching
from exchange.files.sealing import WantedFile
from exchange.store.files import TransferState
from exchange.store.receipts import ReceiptTable
from keys.local.carried.folder import CarriedFolder
from protocol.errors import UsageError
from protocol.event import Event, EventName, encode_event
from protocol.files.file_list import decode_list
from protocol.files.logged import LoggedFiles, whole_set
from tests.worlds.altered import one_bit_off
from tests.worlds.desks import FR, JP, NOW, World, request

MIB = 1 << 20


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


async def sent_and_here(world: World, jp: Any, fr: Any) -> Any:
    """A message with a file of some packs and a small one; it is at both desks, and its files at none but the first."""
    files = []
    for number, size in enumerate((9 * MIB, 1000)):
        path = world.path / f"file-{number}"
        path.write_bytes(Random(number).randbytes(size))
        files.append(WantedFile(path))
    with attaching(files):
        sent = await jp.messages.send(request())
    await fr.messages.sync()
    return sent


async def test_files_on_a_disk_come_whole_and_a_damaged_piece_comes_with_the_next_trip(
    world: World, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_and_here(world, jp, fr)
        out = await jp.files.export_carried(disk)
        assert out.messages == 1
        assert (await jp.files.export_carried(disk)).segments == 0
        packs = sorted(path for path in disk.rglob("*-*") if path.is_file())
        packs[0].write_bytes(one_bit_off(packs[0].read_bytes()))
        packs[1].unlink()
        packs[1].symlink_to(tmp_path / "elsewhere")
        taken = await fr.files.import_carried(disk)
        assert 0 < taken.segments < out.segments
        assert (await fr.files.progress(sent.id)).state is TransferState.HELD_UP
        world.clock.advance(minutes=1)
        again = await jp.files.export_carried(disk)
        assert again.segments == out.segments - taken.segments
        assert (await fr.files.import_carried(disk)).segments == again.segments
        assert (await fr.files.progress(sent.id)).state is TransferState.DONE
        assert (await fr.files.import_carried(disk)).messages == 0
        for desk in (jp, fr):  # both trips, as the sender signed them
            steps = [step for step in (await desk.custody.chains(sent.id))[0].steps if step.what == "carried"]
            assert [(step.by, step.detail) for step in steps] == [("24-7@jp", "to jp, on a disk")] * 2
        (tmp_path / "got").mkdir()
        await fr.messages.read(sent.id)
        got = await fr.files.get(sent.id, tmp_path / "got")
        assert {one.path.read_bytes() for one in got} == {
            (world.path / f"file-{number}").read_bytes() for number in range(2)
        }


async def test_a_hand_that_does_not_verify_says_nothing_and_the_files_come_all_the_same(
    world: World, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_and_here(world, jp, fr)
        await jp.files.export_carried(disk)
        (hand,) = disk.rglob("hand.cose")
        raw = hand.read_bytes()
        hand.write_bytes(one_bit_off(raw))
        await fr.files.import_carried(disk)
        assert (await fr.files.progress(sent.id)).state is TransferState.DONE
        assert "carried" not in {step.what for step in (await fr.custody.chains(sent.id))[0].steps}


async def test_a_disk_without_the_files_of_a_message_takes_nothing_from_it(world: World, tmp_path: Path) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_and_here(world, jp, fr)
        (tmp_path / "empty").mkdir()
        assert (await fr.files.import_carried(tmp_path / "empty")).segments == 0
        assert (await fr.files.progress(sent.id)).open
        with pytest.raises(UsageError):
            await fr.files.import_carried(tmp_path / "nowhere")


async def test_files_stay_on_their_way_until_the_node_says_of_all_of_them_that_it_has_them(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither some files, nor all of them under a root that is not theirs, are what the message's list commits to."""
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_and_here(world, jp, fr)
        out = await jp.files.export_carried(tmp_path / "disk")
        listed = decode_list(next((tmp_path / "disk").rglob("list.cbor")).read_bytes())
        digest = listed.file_set.digest
        for said, exported in (
            (LoggedFiles(digest, None, 1, bytes(32)), 1),
            (LoggedFiles(digest, None, 2, bytes(32)), 1),
            (whole_set(listed), 0),
        ):
            event = Event(EventName.FileAcceptance, NOW, sent.id, bytes(32), bytes(16), files=said)
            row = SimpleNamespace(error=None, receipt=SimpleNamespace(leaf=encode_event(event)))
            with monkeypatch.context() as patch:
                patch.setattr(ReceiptTable, "of", lambda *_, row=row: [row])
                assert (await jp.files.export_carried(tmp_path / "disk")).messages == exported
        assert out.messages == 1


async def test_an_export_that_is_broken_off_says_that_the_same_command_goes_on_and_counts_what_is_there(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        await sent_and_here(world, jp, fr)
        written = asyncio.Event()
        loop = asyncio.get_running_loop()
        real = CarriedFolder.write_packs

        def slow(folder: CarriedFolder, *given: Any) -> None:
            real(folder, *given)
            loop.call_soon_threadsafe(written.set)

        monkeypatch.setattr(CarriedFolder, "write_packs", slow)
        exporting = asyncio.ensure_future(_telling(jp.files.export_carried(tmp_path / "disk")))
        await written.wait()
        exporting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exporting
        assert "The same command goes on where this one ended." in capsys.readouterr().err
        left = [path for path in (tmp_path / "disk").rglob("*-*") if path.is_file()]
        again = await jp.files.export_carried(tmp_path / "disk")
        assert again.already >= len(left) > 0
        assert again.already + again.segments == 9 + 1 + 1
        assert [path for path in (tmp_path / "disk").rglob(".*") if path.is_file()] == []

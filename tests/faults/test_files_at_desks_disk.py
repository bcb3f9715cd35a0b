"""Real disks of desks, and carried ones, that are full or read-only: told, nothing is half there, and it goes on."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from exchange.files.given import attaching
from exchange.files.sealing import WantedFile
from exchange.files.shelf import Shelf
from keys.local.carried.folder import CarriedFolder
from node.files.folder import FolderStore
from protocol.errors import ComityError, StorageFullError
from tests.faults.small_disk import mounted_disk, mounted_ext4, read_only
from tests.worlds.altered import one_bit_off
from tests.worlds.desks import FR, JP, World, request

pytestmark = pytest.mark.outside

MIB = 1 << 20
SIZE = 3 * MIB + 17


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("exchange.files._download._FOLLOWED_S", 0.05)
    monkeypatch.setattr("exchange.files.shelf.RESERVE_BYTES", 0)
    return World(tmp_path, monkeypatch)


@pytest.fixture
def source(world: World) -> Iterator[Path]:
    path = world.path / "image.dd"
    path.write_bytes(os.urandom(SIZE))
    return path


def bytes_of(path: Path) -> bytes:
    return path.read_bytes()


def files_below(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and path.name != "other"]


async def test_a_senders_disk_that_is_full_or_read_only_seals_nothing_and_what_is_sealed_goes_out_all_the_same(
    world: World, source: Path
) -> None:
    with mounted_disk(world.home(JP) / "files", "6m") as disk:
        async with world.open(JP) as jp:
            with attaching([WantedFile(source)]):
                (disk / "other").write_bytes(bytes(4 * MIB))
                with pytest.raises(StorageFullError):
                    await jp.messages.send(request())
                (disk / "other").unlink()
                with read_only(disk), pytest.raises(StorageFullError):
                    await jp.messages.send(request())
                assert files_below(disk) == []
                assert await jp.messages.inbox(sent=True) == []
                sent = await jp.messages.send(request())
            assert (await jp.files.resume(sent.id)).state == "done"


async def test_a_disk_that_is_full_while_segments_go_past_the_cache_keeps_no_part_of_a_file(
    world: World, source: Path
) -> None:
    out = world.path / "out"
    out.mkdir()
    with mounted_ext4(world.home(JP) / "files", 16) as disk:
        async with world.open(JP) as jp, world.open(FR) as fr:
            (disk / "other").write_bytes(bytes(10 * MIB))
            with attaching([WantedFile(source)]):
                with pytest.MonkeyPatch.context() as patched:  # another program takes the room after it was looked at
                    patched.setattr(Shelf, "require_room", lambda *_: (disk / "more").write_bytes(bytes(3 * MIB)))
                    with pytest.raises(StorageFullError):
                        await jp.messages.send(request())
                (disk / "more").unlink()
                assert files_below(disk) == []
                sent = await jp.messages.send(request())
            await jp.files.resume(sent.id)
            await fr.messages.sync()
            await fr.files.resume(sent.id)
            (opened,) = await fr.files.get(sent.id, out)
            assert bytes_of(opened.path) == bytes_of(source)


async def test_a_recipients_disk_that_is_full_or_read_only_midway_holds_the_files_up_and_they_go_on(
    world: World, source: Path
) -> None:
    out = world.path / "out"
    out.mkdir()
    async with world.open(JP) as jp, world.open(FR) as fr:
        with attaching([WantedFile(source)]):
            sent = await jp.messages.send(request())
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        with mounted_disk(world.home(FR) / "files", "6m") as disk:
            world.files.hidden = {(0, 1), (0, 2), (0, 3)}  # only the first segment is at the node
            assert (await fr.files.resume(sent.id)).error == "file-not-here"
            world.files.hidden = set()
            (disk / "other").write_bytes(bytes(5 * MIB - 200_000))
            held_up = await fr.files.resume(sent.id)
            assert (held_up.state, held_up.error) == ("held_up", "storage-full")
            (disk / "other").unlink()
            world.files.requests.clear()
            assert (await fr.files.resume(sent.id)).state == "done"
            with read_only(disk):  # what is here is read all the same
                (opened,) = await fr.files.get(sent.id, out)
            assert bytes_of(opened.path) == bytes_of(source)


async def test_a_folder_that_is_full_or_read_only_gets_no_part_of_an_opened_file(world: World, source: Path) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        with attaching([WantedFile(source)]):
            sent = await jp.messages.send(request())
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        await fr.files.resume(sent.id)
        with mounted_disk(world.path / "out", "2m") as disk:
            with pytest.raises(StorageFullError):
                await fr.files.get(sent.id, disk)
            assert files_below(disk) == []
            with read_only(disk), pytest.raises(StorageFullError):
                await fr.files.get(sent.id, disk)
            assert files_below(disk) == []


async def test_a_carried_disk_that_is_too_small_goes_twice_and_one_that_cannot_be_written_is_read(
    world: World, source: Path
) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        with attaching([WantedFile(source)]):
            sent = await jp.messages.send(request())
        await fr.messages.sync()
        with mounted_disk(world.path / "usb", "3m") as disk:
            with pytest.raises(StorageFullError):
                await jp.files.export_carried(disk)
            assert [name for name in files_below(disk) if name.startswith(".")] == []
            with read_only(disk), pytest.raises(StorageFullError):
                await jp.files.export_carried(disk)
        with mounted_disk(world.path / "disk", "6m") as disk:
            await jp.files.export_carried(disk)
            pack = next(path for path in disk.rglob("0-*") if path.is_file())
            whole = pack.read_bytes()
            pack.write_bytes(one_bit_off(whole))
            with read_only(disk):  # a damaged pack stays where nothing can be removed
                assert (await fr.files.import_carried(disk)).segments == 0
                assert pack.exists()
            pack.write_bytes(whole)
            with read_only(disk):
                assert (await fr.files.import_carried(disk)).segments == 4
        assert (await fr.files.progress(sent.id)).state == "done"


def _as_nobody(told: Connection, folder: Path) -> None:
    """What each store says of a folder that its user may not write."""
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    carried, shelf = CarriedFolder(folder), Shelf(folder / "files")

    async def put() -> None:
        store = FolderStore(folder / "segments")
        await store.open()

    def write() -> None:
        with shelf.batch():
            raise AssertionError("it was written")

    for work in (lambda: carried.begin(bytes(32), b"list", b"hand"), write, lambda: asyncio.run(put())):
        try:
            work()
        except ComityError as problem:
            told.send((problem.code, problem.retryable))
        except BaseException as problem:  # noqa: BLE001 - told to who asks
            told.send((repr(problem), False))


def test_a_folder_that_the_user_may_not_write_is_a_typed_refusal_wherever_files_lie() -> None:
    """The same without the right to mount: another user's folder, and who tries is not root."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        hears, tells = multiprocessing.get_context("fork").Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(target=_as_nobody, args=(tells, Path(name)))
        process.start()
        tells.close()
        heard = []
        with suppress(EOFError):
            while True:
                heard.append(hears.recv())
        process.join()
        assert [code for code, _ in heard] == ["usage", "storage-full", "unavailable"]
        assert os.listdir(name) == []
        Path(name).chmod(0o755)

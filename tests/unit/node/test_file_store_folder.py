"""The folder adapter holds what every store of segments must hold, and what a disk asks of it."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from keys.transport.segments import BUFFERS
from node.files import folder as module
from node.files.folder import FolderStore
from node.files.store import FileStore, SegmentObject
from protocol.errors import StorageFullError, StoreInUseError, UnavailableError
from tests.conformance.file_store import MESSAGE, NAME, FileStoreConformance, opened, segment, sorted_held
from tests.faults.small_disk import mounted_disk, mounted_ext4


class TestFolderStore(FileStoreConformance):
    def new_store(self, path: Path) -> FileStore:
        return FolderStore(path / "files")


async def test_files_and_folders_are_their_owners_alone(tmp_path: Path) -> None:
    async with opened(FolderStore(tmp_path / "files")) as store:
        await store.put(MESSAGE, [segment(0)])
    kept = tmp_path / "files" / MESSAGE.hex()
    assert [path.stat().st_mode & 0o777 for path in (kept.parent, kept, *kept.iterdir())] == [0o700, 0o700, 0o600]


@pytest.mark.parametrize("length", [300_000, 3 << 20])
async def test_a_segment_is_read_whole_where_the_system_gives_less_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    content = os.urandom(length)
    whole, into = os.pread, os.preadv
    async with opened(FolderStore(tmp_path / "files")) as store:
        await store.put(MESSAGE, [segment(0, content)])
        monkeypatch.setattr(os, "pread", lambda file, size, at: whole(file, min(size, 65_537), at))
        monkeypatch.setattr(os, "preadv", lambda file, views, at: into(file, [views[0][:65_537]], at))
        assert bytes(await store.get(MESSAGE, NAME, 0)) == content


async def test_a_segment_has_its_name_only_after_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, order = tmp_path / "files" / MESSAGE.hex(), []
    durable, replace, sync = module.make_durable, os.replace, module.sync_folder
    monkeypatch.setattr(module, "make_durable", lambda paths, **how: (order.append("durable"), durable(paths, **how)))
    monkeypatch.setattr(module.os, "replace", lambda old, new: (order.append("named"), replace(old, new)))
    monkeypatch.setattr(
        module, "sync_folder", lambda path: (order.append("name durable") if path == kept else None, sync(path))
    )
    async with opened(FolderStore(tmp_path / "files")) as store:
        await store.put(MESSAGE, [segment(0), segment(1)])
    assert order == ["durable", "named", "named", "name durable"]


async def test_what_a_killed_run_left_unfinished_is_no_segment_and_goes(tmp_path: Path) -> None:
    async with opened(FolderStore(tmp_path / "files")) as store:
        await store.put(MESSAGE, [segment(0)])
    unfinished = tmp_path / "files" / MESSAGE.hex() / ".0badcafe.1234"
    unfinished.write_bytes(b"half a segm")
    async with opened(FolderStore(tmp_path / "files")) as store:
        assert sorted_held(await store.held(MESSAGE)) == {NAME: [0]}
    assert not unfinished.exists()


@pytest.mark.parametrize(
    ("number", "refusal"),
    [
        (errno.EIO, UnavailableError),
        (errno.EROFS, StorageFullError),
        (errno.ENOSPC, StorageFullError),
        (errno.EDQUOT, StorageFullError),
    ],
)
async def test_a_disk_that_fails_midway_leaves_no_part_of_a_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, refusal: type[UnavailableError]
) -> None:
    reported: list[str] = []

    def fails(paths: object, **how: object) -> None:
        raise OSError(number, os.strerror(number))

    store = FolderStore(tmp_path / "files", report=lambda file, problem, use: reported.append(use) if problem else None)
    async with opened(store):
        monkeypatch.setattr(module, "make_durable", fails)
        with pytest.raises(refusal, match=f"cannot be written here: {os.strerror(number)}"):
            await store.put(MESSAGE, [segment(0)])
        assert list((tmp_path / "files" / MESSAGE.hex()).iterdir()) == []
        assert await store.held(MESSAGE) == {}
    assert reported == ["writing"]


@pytest.mark.outside
async def test_a_full_disk_is_told_as_full_and_keeps_what_was_there(tmp_path: Path) -> None:
    with mounted_disk(tmp_path / "small", "1m") as disk:
        async with opened(FolderStore(disk / "files")) as store:
            await store.put(MESSAGE, [segment(0)])
            with pytest.raises(StorageFullError):
                await store.put(MESSAGE, [segment(1), segment(2, b"x" * 2_000_000)])
            assert sorted_held(await store.held(MESSAGE)) == {NAME: [0]}
            room = await store.room()
            assert room is not None
            assert 0 < room < 1_048_576
            await store.put(MESSAGE, [segment(1)])
            assert sorted_held(await store.held(MESSAGE)) == {NAME: [0, 1]}


LONG, HEAD = os.urandom(1_100_000), os.urandom(96)


def long_segment(index: int, content: bytes = LONG, head: bytes = HEAD) -> SegmentObject:
    """One in memory as segments have it, which may go past the system's cache."""
    memory = BUFFERS.take_for(len(content))
    memory[:] = content
    return SegmentObject(NAME, index, memory, head)


def kept_before(folder: Path, index: int, content: bytes) -> Path:
    """A long segment as a node kept it before its content stood first."""
    path = folder / MESSAGE.hex() / f"{NAME.hex()}.{index}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", [LONG, LONG[: 1 << 20]], ids=["long", "just long"])
@pytest.mark.parametrize("head", [b"", HEAD, bytes(2048)], ids=["none", "short", "longest"])
async def test_a_long_segment_is_read_behind_its_head_as_a_short_one_is(
    tmp_path: Path, content: bytes, head: bytes
) -> None:
    async with opened(FolderStore(tmp_path / "files")) as store:
        await store.put(MESSAGE, [long_segment(0, content, head), SegmentObject(NAME, 1, b"short", b"head ")])
        assert bytes(await store.get(MESSAGE, NAME, 0)) == head + content
        assert await store.get(MESSAGE, NAME, 1) == b"head short"
        assert await store.usage(MESSAGE) == len(head + content) + 10


async def test_long_segments_that_were_kept_in_the_old_way_are_read_counted_and_removed(tmp_path: Path) -> None:
    async with opened(FolderStore(tmp_path / "files")) as store:
        old = [kept_before(tmp_path / "files", index, HEAD + LONG) for index in range(3)]
        await store.put(MESSAGE, [long_segment(3)])
        found = await store.get_some(MESSAGE, [(NAME, index) for index in range(5)])
        assert [one if one is None else bytes(one) for one in found] == [HEAD + LONG] * 4 + [None]
        assert sorted_held(await store.held(MESSAGE)) == {NAME: [0, 1, 2, 3]}
        assert await store.usage(MESSAGE) == 4 * len(HEAD + LONG)
        await store.drop(MESSAGE, NAME, 0)
        await store.drop(MESSAGE, NAME, 3)
        assert sorted_held(await store.held(MESSAGE)) == {NAME: [1, 2]}
        await store.put(MESSAGE, [long_segment(1, LONG[::-1])])
        assert not old[1].exists(), "a repeat takes the place of what was there"
        assert bytes(await store.get(MESSAGE, NAME, 1)) == HEAD + LONG[::-1]
        await store.put(MESSAGE, [segment(1, b"short")])
        assert await store.get(MESSAGE, NAME, 1) == b"short"
        await store.delete(MESSAGE)
        assert await store.messages() == []


async def test_of_two_that_a_power_cut_left_the_one_that_came_last_counts_and_it_is_one_segment(tmp_path: Path) -> None:
    async with opened(FolderStore(tmp_path / "files")) as store:
        await store.put(MESSAGE, [long_segment(0)])
        kept_before(tmp_path / "files", 0, b"damaged" + LONG)
        assert await store.held(MESSAGE) == {NAME: [0]}
        assert bytes(await store.get(MESSAGE, NAME, 0)) == HEAD + LONG
        await store.drop(MESSAGE, NAME, 0)
        assert await store.held(MESSAGE) == {}


@pytest.mark.parametrize("left", [0, 3, 4, 5_000, 1 << 20])
async def test_a_long_segment_that_was_cut_is_never_taken_for_a_whole_one(tmp_path: Path, left: int) -> None:
    async with opened(FolderStore(tmp_path / "files")) as store:
        await store.put(MESSAGE, [long_segment(0, LONG)])
        (path,) = (tmp_path / "files" / MESSAGE.hex()).iterdir()
        with path.open("r+b") as file:
            file.truncate(left)
        (found,) = await store.get_some(MESSAGE, [(NAME, 0)])
        assert found is None or len(found) < len(HEAD + LONG)


@pytest.mark.outside
async def test_a_disk_that_is_full_in_the_middle_of_what_goes_past_the_cache_keeps_no_part_of_it(
    tmp_path: Path,
) -> None:
    with mounted_ext4(tmp_path / "small", 8) as disk:
        async with opened(FolderStore(disk / "files")) as store:
            await store.put(MESSAGE, [long_segment(0)])
            room = await store.room()
            assert room is not None
            with pytest.raises(StorageFullError):
                await store.put(MESSAGE, [long_segment(1), long_segment(2, bytes(room))])
            assert sorted_held(await store.held(MESSAGE)) == {NAME: [0]}
            await store.put(MESSAGE, [long_segment(1)])
            assert bytes(await store.get(MESSAGE, NAME, 1)) == HEAD + LONG


async def test_files_that_are_let_go_while_some_come_are_no_failure_of_the_disk(tmp_path: Path) -> None:
    told = list[OSError | None]()
    async with opened(FolderStore(tmp_path / "files", report=lambda path, problem, act: told.append(problem))) as store:
        for number in range(30):
            puts = [store.put(MESSAGE, [segment(4 * number + more)]) for more in range(4)]
            await asyncio.gather(*puts[:2], store.delete(MESSAGE), *puts[2:], store.delete(MESSAGE))
        await store.delete(MESSAGE)
        assert (await store.held(MESSAGE), await store.messages()) == ({}, [])
    assert [problem for problem in told if problem is not None] == []


async def test_what_goes_while_it_is_counted_hides_nothing_of_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned = os.scandir

    def scan_and_end(path: Path) -> Any:
        entries = list(scanned(path))
        (path / ".of-another-put").unlink()
        return entries

    async with opened(FolderStore(tmp_path / "files")) as store:
        await store.put(MESSAGE, [segment(0, b"one"), segment(1, b"three")])
        usage = await store.usage(MESSAGE)
        (tmp_path / "files" / MESSAGE.hex() / ".of-another-put").write_bytes(b"half")
        monkeypatch.setattr(module.os, "scandir", scan_and_end)
        assert await store.usage(MESSAGE) == usage > 0


async def test_two_processes_do_not_work_on_one_folder(tmp_path: Path) -> None:
    async with opened(FolderStore(tmp_path / "files")):
        with pytest.raises(StoreInUseError):
            async with opened(FolderStore(tmp_path / "files")):
                pass

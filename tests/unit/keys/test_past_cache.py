"""Long pieces of files go past the system's cache where the disk takes that, and else through it: the same bytes."""

from __future__ import annotations

import errno
import fcntl
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from keys.local.long_files import past_cache
from keys.local.long_files.cache import CACHED_BYTES, RUN_BYTES
from keys.local.long_files.past_cache import LONG_BYTES, PAGE_BYTES, GrowingFile, behind_page, read_at, write_at
from keys.transport.segments import KEPT_BYTES, SegmentBuffers

MIB = 1 << 20


def memory(content: bytes, behind: int = 0) -> memoryview:
    """These bytes in memory, so many behind the beginning of a page."""
    whole = bytearray(len(content) + 2 * PAGE_BYTES)
    start = behind_page(whole) + behind
    view = memoryview(whole)[start : start + len(content)]
    view[:] = content
    return view


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        yield descriptor
        assert fcntl.fcntl(descriptor, fcntl.F_GETFL) == flags, "whoever has it next finds it as it was"
    finally:
        os.close(descriptor)


def goes_past(folder: Path) -> bool:
    """Whether the disk of this folder takes what goes past the cache."""
    with opened(folder / "asked") as descriptor:
        return write_at(descriptor, memory(bytes(LONG_BYTES)), 0) == 0


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder on the disk of this machine, and one of a file system in memory."""
    if request.param == "disk":
        yield tmp_path
        return
    made = Path("/dev/shm") / f"comity-{os.getpid()}-{tmp_path.name}"
    if not made.parent.is_dir():
        # The disk's half of these tests runs all the same.
        pytest.skip("this system has no file system in memory")
    made.mkdir()
    try:
        yield made
    finally:
        for path in made.iterdir():
            path.unlink()
        made.rmdir()


def test_any_piece_at_any_place_is_written_and_read_whole(folder: Path) -> None:
    chosen = random.Random(11)
    expected = bytearray()
    with opened(folder / "file") as descriptor:
        for _ in range(60):
            length = chosen.choice((1, PAGE_BYTES, LONG_BYTES - 1, LONG_BYTES, LONG_BYTES + 5_000, 3 * LONG_BYTES))
            offset = chosen.choice((0, PAGE_BYTES, LONG_BYTES, 4 * LONG_BYTES, chosen.randrange(len(expected) + 1)))
            content, behind = chosen.randbytes(length), chosen.choice((0, 0, 512, 1))
            piece = chosen.choice((content, memory(content, behind)))
            write_at(descriptor, piece, offset)
            expected.extend(bytes(max(0, offset + length - len(expected))))
            expected[offset : offset + length] = content
            found = memory(bytes(length + PAGE_BYTES), behind)
            count = read_at(descriptor, found, offset)
            assert bytes(found[:count]) == bytes(expected[offset : offset + length + PAGE_BYTES])
    assert (folder / "file").read_bytes() == bytes(expected)


def test_whole_pages_leave_nothing_in_the_cache_and_the_end_is_all_that_does(tmp_path: Path) -> None:
    if not goes_past(tmp_path):
        # There is nothing to see then; that the bytes are right is tested on each disk.
        pytest.skip("this disk takes nothing past the cache")
    with opened(tmp_path / "file") as descriptor:
        assert write_at(descriptor, memory(bytes(3 * MIB)), 0) == 0
        assert write_at(descriptor, memory(bytes(2 * MIB + 5)), 3 * MIB) == 5
        assert write_at(descriptor, bytes(MIB), 5 * MIB) == MIB, "of memory that nobody may write, the place is unknown"
        assert write_at(descriptor, memory(bytes(MIB), 1), 5 * MIB) == MIB
        assert write_at(descriptor, memory(bytes(MIB)), 5 * MIB + 1) == MIB
        assert write_at(descriptor, memory(bytes(MIB - 1)), 8 * MIB) == MIB - 1


def refusing(name: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the disk refuse what goes past the cache: the flag itself, or the write or read that has it."""
    setting, real = fcntl.fcntl, {"pwrite": os.pwrite, "preadv": os.preadv}

    def flagged(descriptor: int, command: int, flags: int = 0) -> int:
        if command == fcntl.F_SETFL and flags & os.O_DIRECT:
            raise OSError(number, os.strerror(number))
        return setting(descriptor, command, flags)

    def moved(move: Callable[..., int]) -> Callable[..., int]:
        def moving(descriptor: int, part: Any, at: int) -> int:
            if setting(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
                raise OSError(number, os.strerror(number))
            return move(descriptor, part, at)

        return moving

    if name == "flag":
        monkeypatch.setattr(past_cache.fcntl, "fcntl", flagged)
        return
    for call, move in real.items():
        monkeypatch.setattr(past_cache.os, call, moved(move))


@pytest.mark.parametrize("refused", ["flag", "move", "name"])
def test_a_disk_that_takes_nothing_past_the_cache_takes_the_same_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    if refused == "name":  # a system that does not even have a name for it
        monkeypatch.setattr(past_cache, "_DIRECT", 0)
    else:
        refusing(refused, errno.EINVAL, monkeypatch)
    content = os.urandom(2 * MIB + 300)
    with opened(tmp_path / "file") as descriptor:
        assert write_at(descriptor, memory(content), PAGE_BYTES) == len(content)
        found = memory(bytes(3 * MIB))
        assert read_at(descriptor, found, PAGE_BYTES) == len(content)
    assert bytes(found[: len(content)]) == content


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_what_the_disk_does_not_take_is_told_and_not_tried_another_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refusing("move", number, monkeypatch)
    with opened(tmp_path / "file") as descriptor:
        with pytest.raises(OSError, match=os.strerror(number)):
            write_at(descriptor, memory(bytes(MIB)), 0)
        with pytest.raises(OSError, match=os.strerror(number)):
            read_at(descriptor, memory(bytes(MIB)), 0)
    assert (tmp_path / "file").stat().st_size == 0


@pytest.mark.parametrize("most", [65_536, 65_537])
def test_what_moves_only_in_part_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    written, read = os.pwrite, os.preadv
    monkeypatch.setattr(past_cache.os, "pwrite", lambda file, part, at: written(file, part[:most], at))
    monkeypatch.setattr(past_cache.os, "preadv", lambda file, parts, at: read(file, [parts[0][:most]], at))
    content = os.urandom(2 * MIB + 300)
    with opened(tmp_path / "file") as descriptor:
        write_at(descriptor, memory(content), 0)
        found = memory(bytes(len(content)))
        assert read_at(descriptor, found, 0) == len(content)
    assert bytes(found) == content == (tmp_path / "file").read_bytes()


def test_a_file_grows_piece_by_piece_whichever_way_each_piece_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out: list[tuple[int, int]] = []
    monkeypatch.setattr(past_cache, "write_out", lambda _, at, length, wait=False: out.append((at, length)))
    content = random.Random(2).randbytes(4 * MIB)
    with opened(tmp_path / "file") as descriptor:
        file = GrowingFile(descriptor, CACHED_BYTES + 1)
        for _ in range(6):
            file.write(memory(content))
        assert not (out and goes_past(tmp_path)), "there is nothing to write out"
        monkeypatch.setattr(past_cache, "_DIRECT", 0)  # from now on the disk refuses
        for _ in range(6):
            file.write(memory(content))
        assert {at for at, _ in out} >= {24 * MIB, 32 * MIB, 40 * MIB}
        assert {length for _, length in out} == {RUN_BYTES}
        file.write(content[:777])
        assert file.written == 48 * MIB + 777
    assert (tmp_path / "file").read_bytes() == 12 * content + content[:777]


def test_memory_that_is_lent_begins_with_a_page_and_may_have_a_path_before_that() -> None:
    buffers = SegmentBuffers(KEPT_BYTES)
    lent = [buffers.take(400), buffers.take(MIB), buffers.take_for(70_000), buffers.take_for(70_000, before=96)[96:]]
    lent.append(buffers.take_for(MIB + PAGE_BYTES, before=PAGE_BYTES)[PAGE_BYTES:])
    assert [len(view) for view in lent] == [400, MIB, 70_000, 70_000 - 96, MIB]
    assert [past_cache._address(view) % PAGE_BYTES for view in lent] == [0] * len(lent)
    buffers.put_back(lent)
    assert buffers.lent_bytes == 0

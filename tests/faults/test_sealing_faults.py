"""Sealing that fails in the middle of any thread's work, or beside another program: nothing stays, and it says why."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange.cli import _interrupts
from exchange.files import _segments, sealing
from exchange.files.given import attaching
from exchange.files.progress import Meter
from exchange.files.sealing import FileSealing, StoppedError, UploadedFile, WantedFile
from exchange.files.shelf import Shelf
from exchange.files.stoppable import stoppable
from keys.local.long_files import past_cache
from keys.transport.segments import BUFFERS
from protocol.errors import FileUnreadableError, StorageFullError, UsageError
from tests.worlds.desks import FR, JP, World, request
from tests.worlds.patience import WITHIN_S

MIB = 1 << 20
_SIZE = 12 * MIB + 5


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("exchange.files._download._FOLLOWED_S", 0.05)  # nothing comes while a test waits
    return World(tmp_path, monkeypatch)


def _source(world: World, name: str, size: int) -> Path:
    path = world.path / name
    path.write_bytes(os.urandom(size))
    return path


async def _sent_with(desk: Any, *paths: Path) -> Any:
    with attaching([WantedFile(path) for path in paths]):
        return await desk.messages.send(request())


class _StopsAfter:
    """Somebody who stops it after so many looks."""

    def __init__(self, looks: int) -> None:
        self._looks = looks

    def is_set(self) -> bool:
        self._looks -= 1
        return self._looks < 0


def _failing(real: Callable[..., Any], after: int, problem: Callable[[], BaseException]) -> Callable[..., Any]:
    """The function, which raises from its call number ``after`` on."""
    calls = iter(range(after))

    def called(*args: Any) -> Any:
        if next(calls, None) is None:
            raise problem()
        return real(*args)

    return called


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Nothing is freed by the collector of cycles: it comes when it likes."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _seal(shelf: Shelf, source: Path | UploadedFile, stop: Any) -> None:
    with shelf.batch() as batch:
        done, meter = FileSealing(shelf, batch, stop), Meter("sealing", _SIZE)
        if isinstance(source, UploadedFile):
            done.seal_arriving(source, meter)
        else:
            done.seal(WantedFile(source), meter)


def _broken_off() -> Iterator[bytes]:
    yield from (bytes(MIB) for _ in range(5))
    raise StoppedError


@pytest.mark.parametrize("after", [0, 3, 7])
@pytest.mark.parametrize("work", ["read", "hash", "leaf", "full", "broken", "stopped", "broken off"])
def test_sealing_that_fails_anywhere_tells_its_cause_and_keeps_no_file_memory_thread_or_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_collector: None, work: str, after: int
) -> None:
    shelf, source, stop = Shelf(tmp_path / "files"), tmp_path / "image.bin", threading.Event()
    source.write_bytes(os.urandom(_SIZE))
    before = (BUFFERS.lent_bytes, threading.active_count(), len(os.listdir("/proc/self/fd")))
    number = errno.ENOSPC if work == "full" else errno.EIO
    expected: type[BaseException] = StorageFullError
    with monkeypatch.context() as patch:
        match work:
            case "read":
                expected = UsageError
                patch.setattr(
                    sealing, "read_into", _failing(sealing.read_into, after, lambda: UsageError("unreadable"))
                )
            case "hash":
                expected = MemoryError
                patch.setattr(sealing, "_update", _failing(sealing._update, after, MemoryError))
            case "leaf":
                expected = MemoryError
                patch.setattr(sealing, "segment_hash", _failing(sealing.segment_hash, after, MemoryError))
            case "full" | "broken":
                write = _failing(past_cache.write_at, after, lambda: OSError(number, os.strerror(number)))
                patch.setattr(past_cache, "write_at", write)
            case "stopped":
                expected, stop = StoppedError, _StopsAfter(after)
            case _:
                expected = StoppedError
        with pytest.raises(expected) as told:
            _seal(shelf, UploadedFile("image.bin", _broken_off(), _SIZE) if work == "broken off" else source, stop)
    if work in {"full", "broken"}:
        assert isinstance(told.value.__cause__, OSError)
        assert told.value.__cause__.errno == number
    del told
    assert (BUFFERS.lent_bytes, threading.active_count(), len(os.listdir("/proc/self/fd"))) == before
    assert list((tmp_path / "files" / "out").iterdir()) == []


async def test_files_that_are_sealed_already_outlast_another_program_that_sweeps_before_they_have_their_places(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [_source(world, f"{number}.bin", 1000) for number in range(3)]
    real, out, swept = FileSealing.seal, world.home(JP) / "files" / "out", list[int]()
    left = out / f"{'ab' * 16}.{'cd' * 16}.part"

    def seal(self: FileSealing, wanted: WantedFile, meter: Meter) -> Any:
        made = real(self, wanted, meter)
        left.write_bytes(b"half")  # of a program that was killed: its lock is gone
        swept.append(Shelf(world.home(JP) / "files").sweep(lambda place: False))
        return made

    monkeypatch.setattr(FileSealing, "seal", seal)
    async with world.open(JP) as jp:
        sent = await _sent_with(jp, *paths)
        assert swept == [1, 1, 1], "that one's alone"
        assert (await jp.files.resume(sent.id)).state == "done"
    assert len(list(out.iterdir())) == 3


def test_a_file_that_waited_long_for_those_sealed_with_it_is_no_stray_when_it_has_its_place(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "files")
    with shelf.batch() as batch:
        with shelf.writing(batch) as part:
            os.write(part.descriptor, b"sealed")
        os.utime(part.path, (1, 1))
        shelf.settle([(part.path, "out/ab")])
    assert (shelf.sweep(lambda place: False), shelf.has("out/ab")) == (0, True)


def test_a_batch_whose_lock_is_swept_before_it_is_held_is_locked_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, other, real, swept = Shelf(tmp_path / "files"), Shelf(tmp_path / "files"), fcntl.flock, list[int]()

    def flock(descriptor: int, how: int) -> None:
        if how == fcntl.LOCK_EX and not swept:
            swept.append(0)
            swept.append(other.sweep(lambda place: False))
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with shelf.batch() as batch, shelf.writing(batch) as part:
        assert swept == [0, 1]
        assert other.sweep(lambda place: False) == 0
        assert part.path.exists()


async def test_a_shelf_that_cannot_be_read_is_told_as_that_and_not_as_a_node_that_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable() -> OSError:
        return OSError(errno.EIO, os.strerror(errno.EIO))

    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await _sent_with(jp, _source(world, "image.bin", 3 * MIB))
        with monkeypatch.context() as patch:
            patch.setattr(_segments, "read_at", _failing(_segments.read_at, 0, unreadable))
            held_up = await jp.files.resume(sent.id)
        assert (held_up.state, held_up.error) == ("held_up", "file-unreadable")
        assert "Input/output error" in (held_up.why or "")
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        assert (await fr.files.resume(sent.id)).state == "done"
        out = world.path / "out"
        out.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(os, "preadv", _failing(os.preadv, 0, unreadable))
            (verified,) = await fr.files.verify(sent.id)
            with pytest.raises(FileUnreadableError, match="Input/output error"):
                await fr.files.get(sent.id, out)
        assert (verified.ok, verified.code) == (False, "file-unreadable")
        assert list(out.iterdir()) == []


async def test_a_part_that_cannot_be_read_any_more_is_fetched_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await _sent_with(jp, _source(world, "image.bin", 6 * MIB))
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        world.files.break_after = 4
        assert (await fr.files.resume(sent.id)).state == "held_up"
        world.files.break_after = None
        real = os.pread

        def pread(descriptor: int, length: int, offset: int) -> bytes:
            if length >= MIB:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(descriptor, length, offset)

        monkeypatch.setattr(os, "pread", pread)
        assert (await fr.files.resume(sent.id)).state == "done"
        monkeypatch.undo()
        await fr.files.verify(sent.id)


def test_an_interrupt_stops_what_works_in_a_thread_although_nothing_else_wakes_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_interrupts, "quiet_end", lambda: None)  # it is for the rest of a program
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored for what it starts
    sleeps, stopped = threading.Event(), list[bool]()

    def work(stop: Any) -> None:
        sleeps.wait(WITHIN_S)
        os.kill(os.getpid(), signal.SIGINT)
        stopped.append(stop.wait(WITHIN_S))

    async def command() -> None:
        selector = asyncio.get_running_loop()._selector
        real = selector.select

        def select(timeout: float | None = None) -> Any:
            if timeout is None:
                sleeps.set()
            return real(timeout)

        monkeypatch.setattr(selector, "select", select)
        await stoppable(work)

    try:
        with pytest.raises(KeyboardInterrupt):
            _interrupts.run_interruptible(command)
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped == [True]

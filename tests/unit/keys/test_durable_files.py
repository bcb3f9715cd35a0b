"""Many files at once: each whole, all of them durable together, and a disk that refuses is heard."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

import pytest

from keys.local import files
from keys.local.files import make_durable, write_files


def written(folder: Path, count: int) -> dict[Path, bytes]:
    return {folder / str(number % 3) / str(number): b"%d" % number for number in range(count)}


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of the disk, in order."""
    asked: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        asked.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(files, "_sync_file_system", lambda _: asked.append("file system"))
    return asked


def test_a_few_files_are_made_durable_each_with_its_folder(tmp_path: Path, synced: list[str]) -> None:
    (tmp_path / "0").mkdir()
    write_files({tmp_path / "0" / "a": b"a"})
    assert synced == ["a", "0"]
    assert (tmp_path / "0" / "a").read_bytes() == b"a"


def test_many_files_wait_for_the_disk_once(tmp_path: Path, synced: list[str]) -> None:
    many = written(tmp_path, files._MANY_FILES + 1)
    for number in range(3):
        (tmp_path / str(number)).mkdir()
    write_files(many)
    assert synced == ["file system"]
    assert all(path.read_bytes() == content for path, content in many.items())


def test_what_does_not_outlive_the_program_is_not_waited_for(tmp_path: Path, synced: list[str]) -> None:
    write_files(written(tmp_path, files._MANY_FILES + 1), durable=False)
    make_durable([])
    assert synced == []


def test_a_disk_that_refuses_is_heard_where_the_system_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(_: int) -> int:
        ctypes.set_errno(errno.EIO)
        return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: type("Library", (), {"syncfs": staticmethod(refusing)})())
    with pytest.raises(OSError, match="Input/output error") as caught:
        write_files(written(tmp_path, files._MANY_FILES + 1))
    assert caught.value.errno == errno.EIO


def test_where_one_file_system_cannot_be_asked_all_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    monkeypatch.setattr(os, "sync", lambda: asked.append(True))
    write_files(written(tmp_path, files._MANY_FILES + 1))
    assert asked == [True]

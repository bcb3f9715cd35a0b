"""The checkpoint file: the last note that was flushed counts, whatever a crash cut off; damage passes for none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.log import checkpoint_file
from node.log.checkpoint_file import CheckpointFile, KeptCheckpoint
from protocol.errors import CheckpointFileDamagedError, UnavailableError
from protocol.log.checkpoint import Checkpoint, SoftLogSigner, sign_checkpoint
from tests.conformance.store import NOW

SIGNER = SoftLogSigner("jp.example/log", bytes([1]) * 32, bytes([2]) * 32)
NOTES = [sign_checkpoint(Checkpoint(SIGNER.origin, size, bytes([size]) * 32), SIGNER, NOW) for size in range(1, 5)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log-checkpoint"


def written(path: Path, *notes: bytes) -> CheckpointFile:
    file = CheckpointFile(path)
    for note in notes:
        file.write(note)
    return file


def test_the_last_note_counts_also_for_others_while_the_file_is_written(path: Path) -> None:
    file = CheckpointFile(path)
    for note in NOTES:
        file.write(note)
        assert CheckpointFile(path).read() == file.read() == note
    file.close()


def test_a_file_of_one_note_is_the_note_itself_and_so_is_one_that_was_let_go(path: Path) -> None:
    written(path, NOTES[0])
    assert path.read_bytes() == NOTES[0]
    kept = KeptCheckpoint(CheckpointFile(path))
    for note in NOTES:
        kept.keep(note)
    kept.close()
    assert path.read_bytes() == NOTES[-1]


def test_whatever_a_crash_cut_off_the_note_before_counts(path: Path) -> None:
    written(path, *NOTES[:2]).close()
    whole = path.read_bytes()
    for end in range(len(NOTES[0]), len(whole)):
        path.write_bytes(whole[:end])
        assert CheckpointFile(path).read() == NOTES[0]
    path.write_bytes(whole)
    assert CheckpointFile(path).read() == NOTES[1]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The file with one note, with two, and so on."""
    path = tmp_path_factory.mktemp("files") / "log-checkpoint"
    file, found = CheckpointFile(path), []
    for note in NOTES:
        file.write(note)
        found.append(path.read_bytes())
    file.close()
    return found


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_whichever_sectors_a_power_failure_left_unwritten_the_note_before_counts(
    data: st.DataObject, path: Path, files: list[bytes]
) -> None:
    count = data.draw(st.integers(2, len(NOTES)))
    begin, whole = len(files[count - 2]), files[count - 1]
    edges = [begin, *range((begin // 512 + 1) * 512, len(whole), 512), len(whole)]
    lost = data.draw(st.sets(st.sampled_from(range(len(edges) - 1)), min_size=1))
    torn = bytearray(whole)
    for number in lost:
        torn[edges[number] : edges[number + 1]] = bytes(edges[number + 1] - edges[number])
    path.write_bytes(torn)
    assert CheckpointFile(path).read() == NOTES[count - 2 if torn != whole else count - 1]


def test_a_sector_that_a_disk_lost_before_the_last_note_is_damage(path: Path) -> None:
    written(path, *NOTES[:3]).close()
    whole = path.read_bytes()
    at = (len(NOTES[0]) // 512 + 2) * 512
    path.write_bytes(whole[:at] + bytes(512) + whole[at + 512 :])
    with pytest.raises(CheckpointFileDamagedError):
        CheckpointFile(path).read()


def test_a_note_that_is_not_as_it_was_written_is_damage_and_not_an_older_note(path: Path) -> None:
    written(path, *NOTES[:3]).close()
    whole = path.read_bytes()
    for at in range(len(NOTES[0]) + 5, len(whole), 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(CheckpointFileDamagedError):
            CheckpointFile(path).read()


@pytest.mark.parametrize("what", ["replaced", "removed", "longer"])
def test_a_file_that_somebody_else_touched_is_written_as_a_whole(path: Path, what: str) -> None:
    file = written(path, *NOTES[:2])
    if what == "longer":
        path.write_bytes(path.read_bytes() + b"\0")
    else:
        path.rename(path.with_name("elsewhere"))
        if what == "replaced":
            path.write_bytes(NOTES[0])
    file.write(NOTES[2])
    file.close()
    assert path.read_bytes() == NOTES[2]


def test_a_long_file_is_begun_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_file, "MAX_FILE_BYTES", 3 * len(NOTES[0]))
    file = CheckpointFile(path)
    for note in NOTES * 5:
        file.write(note)
        assert CheckpointFile(path).read() == note
        assert path.stat().st_size <= 3 * len(NOTES[0])
    file.close()


def test_a_note_is_flushed_before_it_counts_as_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, flushed = written(path, NOTES[0]), []
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: flushed.append(os.fstat(descriptor).st_size))
    file.write(NOTES[1])
    assert flushed == [path.stat().st_size]
    file.close()


def test_after_a_flush_that_failed_the_next_note_comes_in_a_new_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(path, *NOTES[:2])
    before = path.stat().st_ino

    def fails(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as failing:
        failing.setattr(os, "fdatasync", fails)
        with pytest.raises(UnavailableError):
            file.write(NOTES[2])
    file.write(NOTES[3])
    assert path.read_bytes() == NOTES[3]
    assert path.stat().st_ino != before
    file.close()

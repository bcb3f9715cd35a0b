"""Files exported as a bag: whole and right, or not there; whatever the source, the disk or the machine does."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

import bagit
import pytest

from exchange.custody.bagit import BagFile, BagLabels, WrittenFile, export_bag, pieces_of
from protocol.errors import (
    ExportUnfinishedError,
    FileHashMismatchError,
    FileInfectedError,
    FileLengthMismatchError,
    FolderBusyError,
    UsageError,
)

LABELS = BagLabels("24-7@fr", datetime(2026, 11, 30, tzinfo=UTC), "case", "Claire Martin", "Files of one message")
CONTENTS = {
    "server.img": b"x" * 3_000_000,
    "../../order.pdf": b"%PDF",
    "ORDER.pdf": b"other",
    "100%\r\n.txt": b"",
    "": b"n",
}


def tags(written: Sequence[WrittenFile]) -> Mapping[str, bytes]:
    return {"custody/custody.txt": "\n".join(one.original for one in written).encode()}


def sources(folder: Path, contents: Mapping[str, bytes] = CONTENTS) -> list[BagFile]:
    found = []
    for number, (name, content) in enumerate(contents.items()):
        source = folder / f"source-{number}"
        source.write_bytes(content)
        found.append(BagFile(partial(pieces_of, source), name, len(content), sha256(content).hexdigest()))
    return found


def hashes_of(bag: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in (bag / "data").iterdir()}


def test_a_bag_is_one_to_an_independent_validator(tmp_path: Path) -> None:
    files = sources(tmp_path)
    seen: list[int] = []
    written = export_bag(tmp_path / "bag", files, tags, LABELS, told=seen.append)
    bag = bagit.Bag(str(tmp_path / "bag"))
    bag.validate()
    assert sum(seen) == sum(file.size_bytes for file in files)
    assert {one.sha256 for one in written} == {file.sha256 for file in files}
    assert set(hashes_of(tmp_path / "bag")) == {"server.img", "order.pdf", "ORDER (2).pdf", "100_ .txt", "file"}
    assert bag.info["Payload-Oxum"] == "3000010.5"
    assert (tmp_path / "bag" / "custody" / "custody.txt").exists()
    for path in (tmp_path / "bag").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0


def test_a_flipped_bit_in_a_bag_is_found_by_the_validator(tmp_path: Path) -> None:
    export_bag(tmp_path / "bag", sources(tmp_path), tags, LABELS)
    (tmp_path / "bag" / "data" / "ORDER (2).pdf").write_bytes(b"Other")
    with pytest.raises(bagit.BagValidationError):
        bagit.Bag(str(tmp_path / "bag")).validate()


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (b"another", FileLengthMismatchError),
        (b"%PDf", FileHashMismatchError),
        (b"", FileLengthMismatchError),
        (b"%PDF" * 2_000_000, FileLengthMismatchError),
    ],
)
def test_a_file_that_is_not_the_one_of_its_message_makes_no_bag(
    tmp_path: Path, content: bytes, refused: type[Exception]
) -> None:
    files = sources(tmp_path)
    (tmp_path / "source-1").write_bytes(content)
    with pytest.raises(refused):
        export_bag(tmp_path / "bag", files, tags, LABELS)
    assert not (tmp_path / "bag").exists()
    assert not list((tmp_path / "bag.unfinished").glob("bagit.txt"))
    assert "order.pdf" not in hashes_of(tmp_path / "bag.unfinished")


def test_an_export_goes_on_where_it_stopped_and_believes_nothing_that_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sources(tmp_path)

    def full(_written: Sequence[WrittenFile]) -> Mapping[str, bytes]:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ExportUnfinishedError, match="No space left"):
        export_bag(tmp_path / "bag", files, full, LABELS)
    work = tmp_path / "bag.unfinished"
    kept = (work / "data" / "server.img").stat().st_ino
    (work / "data" / "order.pdf").write_bytes(b"%pdf")
    (work / "data" / "planted.exe").write_bytes(b"x")
    (work / "bagit.txt").write_bytes(b"planted")
    (work / "data" / "ORDER (2).pdf").unlink()
    (work / "data" / "ORDER (2).pdf").symlink_to(tmp_path / "source-2")
    export_bag(tmp_path / "bag", files, tags, LABELS)
    bagit.Bag(str(tmp_path / "bag")).validate()
    assert (tmp_path / "bag" / "data" / "server.img").stat().st_ino == kept
    assert set(hashes_of(tmp_path / "bag").values()) == {file.sha256 for file in files}
    assert not work.exists()
    assert not (tmp_path / "bag" / "data" / "ORDER (2).pdf").is_symlink()


def test_what_is_there_is_not_written_over_and_two_do_not_write_one_bag(tmp_path: Path) -> None:
    files = sources(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("there", "link"):
        with pytest.raises(UsageError):
            export_bag(tmp_path / name, files, tags, LABELS)

    def meanwhile(written: Sequence[WrittenFile]) -> Mapping[str, bytes]:
        with pytest.raises(FolderBusyError):
            export_bag(tmp_path / "bag", files, tags, LABELS)
        return tags(written)

    export_bag(tmp_path / "bag", files, meanwhile, LABELS)
    (tmp_path / "other.unfinished").symlink_to(tmp_path / "there")
    with pytest.raises(UsageError):
        export_bag(tmp_path / "other", files, tags, LABELS)
    assert not list((tmp_path / "there").iterdir())


def test_links_and_pipes_are_not_exported(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(UsageError):
            export_bag(tmp_path / "bag", [BagFile(partial(pieces_of, tmp_path / name), "x", 1, "00")], tags, LABELS)
    assert not (tmp_path / "bag").exists()


def _killed_at(folder: Path, step: int) -> None:
    """Export, and die without a word at the ``step``-th change of the file system."""
    done = 0

    def counted(event: str, _arguments: object) -> None:
        nonlocal done
        if event in {"open", "os.rename", "os.remove", "os.mkdir"}:
            done += 1
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)

    import sys

    files = sources(folder, {"a": b"1" * 100, "b": b"22"})
    sys.addaudithook(counted)
    export_bag(folder / "bag", files, tags, LABELS)


def test_a_file_that_must_not_leave_makes_no_bag(tmp_path: Path) -> None:
    def checked(path: Path) -> None:
        if path.name == "order.pdf":
            raise FileInfectedError

    with pytest.raises(FileInfectedError):
        export_bag(tmp_path / "bag", sources(tmp_path), tags, LABELS, checked=checked)
    assert not (tmp_path / "bag").exists()
    assert "order.pdf" not in hashes_of(tmp_path / "bag.unfinished")


@pytest.mark.outside
def test_killed_at_any_step_an_export_leaves_no_bag_or_a_whole_one(tmp_path: Path) -> None:
    context, step, ended = multiprocessing.get_context("fork"), 0, False
    while not ended:
        step += 1
        folder = tmp_path / str(step)
        folder.mkdir()
        process = context.Process(target=_killed_at, args=(folder, step))
        process.start()
        process.join(30)
        ended = process.exitcode == 0
        assert ended or process.exitcode == -signal.SIGKILL
        if (folder / "bag").exists():
            bagit.Bag(str(folder / "bag")).validate()
            continue
        work = folder / "bag.unfinished"
        if (work / "bagit.txt").exists():
            bagit.Bag(str(work)).validate()  # nothing was missing but its name
        export_bag(folder / "bag", sources(folder, {"a": b"1" * 100, "b": b"22"}), tags, LABELS)
        bagit.Bag(str(folder / "bag")).validate()
        assert not work.exists()
    assert step > 20

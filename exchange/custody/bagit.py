"""Files exported as a bag of BagIt 1.0 (RFC 8493): a folder of any size, streamed, whole or not there.

Each file is hashed as it is copied, and must be the one that its message names. The work is done in a folder beside the
target, called ``<target>.unfinished``, that is no bag: ``bagit.txt`` is written last, then the folder gets its name. So
whatever is interrupted, there is no half bag that looks whole. The same call goes on where it stopped: files that are
there and right stay, others are copied anew.

Blocking: for a thread of its own.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256, sha512
from pathlib import Path
from shutil import rmtree
from typing import BinaryIO, NamedTuple

from exchange.content.names import distinct_names
from exchange.content.scanning import open_regular
from keys.local.files import PRIVATE_MODE, locked, make_durable, sync_folder, write_file
from protocol.errors import (
    ComityError,
    ExportUnfinishedError,
    FileHashMismatchError,
    FileLengthMismatchError,
    FolderBusyError,
    UsageError,
)

UNFINISHED = ".unfinished"
DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_BAGIT, _INFO, _DATA = "bagit.txt", "bag-info.txt", "data"
_KINDS = ("sha256", "sha512")
_PIECE_BYTES = 1 << 20
_FOLDER_MODE = 0o700

Told = Callable[[int], None]
Checked = Callable[[Path], None]
"""Looks at a file that was written, before there is a bag; raises where it must not leave."""


def _nothing(_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class BagFile:
    """A file for the bag: its bytes in pieces, and what it is by its message; ``original`` is the name there."""

    pieces: Callable[[], Iterable[bytes | bytearray | memoryview]]
    original: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file as it stands in a bag: its path in it, and the hashes of the bytes that were written."""

    path: str
    original: str
    size_bytes: int
    sha256: str
    sha512: str


@dataclass(frozen=True, slots=True)
class BagLabels:
    """What ``bag-info.txt`` says: whose bag, when made, of which case, by whom."""

    organization: str
    made_at: datetime
    group: str
    contact: str
    description: str


class _Hashes(NamedTuple):
    size: int
    sha256: str
    sha512: str


def export_bag(
    target: Path,
    files: Sequence[BagFile],
    tags: Callable[[Sequence[WrittenFile]], Mapping[str, bytes]],
    labels: BagLabels,
    *,
    told: Told = _nothing,
    checked: Checked = _nothing,
) -> tuple[WrittenFile, ...]:
    """Write the bag ``target``; ``tags`` gives the further tag files, by name, when all files are written.

    ``told`` is given how long each piece is. Raises what ``checked`` raises, :class:`UsageError` where ``target`` is
    there, :class:`FolderBusyError` while another program writes it, :class:`FileHashMismatchError` or
    :class:`FileLengthMismatchError` for a file that is not the one of its message, and :class:`ExportUnfinishedError`
    for what the disk refuses. After each of them there is no bag.
    """
    with _disk(target), locked(target.with_name(f".{target.name}.lock"), FolderBusyError):
        if os.path.lexists(target):
            raise UsageError(f"{target} is there already: name a folder that is not")
        work = target.with_name(target.name + UNFINISHED)
        _begin(work, files)
        written = tuple(
            _written(work, file, name, told, checked) for file, name in zip(files, _names(files), strict=True)
        )
        _write_tags(work, written, tags(written), labels)
        os.rename(work, target)
        sync_folder(target.parent)
    with suppress(OSError):
        target.with_name(f".{target.name}.lock").unlink()
    return written


def _names(files: Sequence[BagFile]) -> tuple[str, ...]:
    # RFC 8493 §2.1.3 escapes a percent sign in manifests, and not every reader does: no name in a bag has one.
    return distinct_names([file.original.replace("%", "_") for file in files])


def _begin(work: Path, files: Sequence[BagFile]) -> None:
    """A folder for the work that is no bag, with nothing in it but files of an earlier try."""
    if os.path.lexists(work):
        _require_folder(work)
        with suppress(FileNotFoundError):
            (work / _BAGIT).unlink()  # from here on it is no bag
        sync_folder(work)
        for one in work.iterdir():
            if one.name != _DATA:
                _remove(one)
    else:
        work.mkdir(mode=_FOLDER_MODE)
    data = work / _DATA
    if not os.path.lexists(data):
        data.mkdir(mode=_FOLDER_MODE)
    _require_folder(data)
    wanted = set(_names(files))
    for one in data.iterdir():
        if one.name not in wanted:
            _remove(one)
    sync_folder(work)


def _require_folder(path: Path) -> None:
    if not stat.S_ISDIR(path.lstat().st_mode):
        raise UsageError(f"{path} is no folder: remove it, or name another folder for the bag")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        rmtree(path)
    else:
        path.unlink()


def _written(work: Path, file: BagFile, name: str, told: Told, checked: Checked) -> WrittenFile:
    target = work / _DATA / name
    there = _there(target, file, told)
    if there is None:
        with suppress(FileNotFoundError):
            _remove(target)
        there = _copied(file, target, told)
    try:
        checked(target)
    except BaseException:
        target.unlink()
        raise
    return WrittenFile(f"{_DATA}/{name}", file.original, there.size, there.sha256, there.sha512)


def _there(target: Path, file: BagFile, told: Told) -> _Hashes | None:
    """The hashes of a file that an earlier try wrote, if it is the right one."""
    try:
        status = target.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode) or status.st_size != file.size_bytes or status.st_nlink != 1:
        return None
    with open_regular(target) as found:
        hashes = _hashed(_pieces(found), None, file.size_bytes, told)
    return hashes if hashes.sha256 == file.sha256 else None


def _copied(file: BagFile, target: Path, told: Told) -> _Hashes:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(target, flags, PRIVATE_MODE), "wb") as out:
            hashes = _hashed(file.pieces(), out, file.size_bytes, told)
            out.flush()
            os.fsync(out.fileno())
    except ComityError:
        target.unlink()
        raise
    if hashes.size != file.size_bytes or hashes.sha256 != file.sha256:
        target.unlink()
        if hashes.size != file.size_bytes:
            raise FileLengthMismatchError("a file for the bag is not as long as its message says")
        raise FileHashMismatchError("a file for the bag is not the one that its message names")
    return hashes


def copy_whole(source: Path, target: Path) -> Path:
    """Copy a file, whole or not at all, in the place of one that is there; where it lies then.

    Raises :class:`ExportUnfinishedError`.
    """
    with _disk(target):
        target.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as out:
                for piece in pieces_of(source):
                    out.write(piece)
                out.flush()
                os.fsync(out.fileno())
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        sync_folder(target.parent)
    return target


def pieces_of(path: Path) -> Iterator[bytes]:
    """A file that lies on the disk, in pieces; raises :class:`UsageError` for what is no regular file."""
    with open_regular(path) as file:
        yield from _pieces(file)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    size = 0
    while piece := file.read(_PIECE_BYTES):
        size += len(piece)
        yield piece
        with suppress(OSError):  # a long file pushes nothing else out of memory
            os.posix_fadvise(file.fileno(), 0, size, os.POSIX_FADV_DONTNEED)


def _hashed(pieces: Iterable[bytes | bytearray | memoryview], out: BinaryIO | None, most: int, told: Told) -> _Hashes:
    """Hash what comes, and write it where it goes; of what is longer than it should be, no more is taken."""
    short, long, size = sha256(), sha512(), 0
    for piece in pieces:
        short.update(piece)
        long.update(piece)
        size += len(piece)
        if out is not None:
            out.write(piece)
        told(len(piece))
        if size > most:
            break
    return _Hashes(size, short.hexdigest(), long.hexdigest())


def _write_tags(work: Path, written: Sequence[WrittenFile], more: Mapping[str, bytes], labels: BagLabels) -> None:
    tags = {**more, _INFO: _info(written, labels), _BAGIT: DECLARATION}
    tags |= {f"manifest-{kind}.txt": _manifest((getattr(one, kind), one.path) for one in written) for kind in _KINDS}
    hashed = {name: {"sha256": sha256(content), "sha512": sha512(content)} for name, content in tags.items()}
    manifests = {
        f"tagmanifest-{kind}.txt": _manifest((found[kind].hexdigest(), name) for name, found in hashed.items())
        for kind in _KINDS
    }
    last = tags.pop(_BAGIT)
    for name, content in (tags | manifests).items():
        place = work / name
        place.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        write_file(place, content, mode=PRIVATE_MODE, durable=False)
    make_durable([work / name for name in (*tags, *manifests)])
    sync_folder(work / _DATA)
    write_file(work / _BAGIT, last, mode=PRIVATE_MODE)


def _manifest(rows: Iterable[tuple[str, str]]) -> bytes:
    ordered = sorted(rows, key=lambda row: row[1])
    return "".join(f"{digest}  {name}\n" for digest, name in ordered).encode()


def _info(written: Sequence[WrittenFile], labels: BagLabels) -> bytes:
    lines = {
        "Source-Organization": labels.organization,
        "Contact-Name": labels.contact,
        "External-Description": labels.description,
        "Bag-Group-Identifier": labels.group,
        "Bagging-Date": labels.made_at.date().isoformat(),
        "Bag-Software-Agent": "Comity",
        "Payload-Oxum": f"{sum(one.size_bytes for one in written)}.{len(written)}",
    }
    return "".join(f"{name}: {' '.join(value.split())}\n" for name, value in lines.items()).encode()


@contextmanager
def _disk(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise ExportUnfinishedError(f"cannot write {target}: {problem.strerror}") from problem

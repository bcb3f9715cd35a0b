"""A folder with evidence files, beside the parts of a bundle: sealed segments by message, file and place.

::

    FOLDER/MESSAGE/list.cbor                       the file list
    FOLDER/MESSAGE/hand.cose                       who exported it, to whom and when, signed
    FOLDER/MESSAGE/hands.cbor                      by whose hands it came there before, each signed
    FOLDER/MESSAGE/NUMBER/BLOCK/FIRST-COUNT        segments, encoded as a request that sends them

MESSAGE is the digest of the envelope in hexadecimal, NUMBER the file's place in the list, BLOCK the first segment's
number divided by 4096: so a folder stays small on every kind of disk. A reader follows no link and opens no device.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from keys.local.files import PRIVATE_MODE
from protocol.bundle_sizes import MAX_HAND_BYTES
from protocol.errors import BundleAlteredError, BundleTruncatedError, ComityError, StorageFullError, UsageError
from protocol.files.file_list import DIGEST_BYTES, MAX_LIST_BYTES
from protocol.http.files import MAX_SEGMENTS_BYTES, SegmentSent, decode_segments, encode_segments

BLOCK = 4096
# No export writes more names into one folder.
MAX_NAMES = 20_000

_LIST, _HAND, _HANDS = "list.cbor", "hand.cose", "hands.cbor"
_TEMPORARY = "."
_MESSAGE = re.compile(rf"[0-9a-f]{{{2 * DIGEST_BYTES}}}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,10}")
_PACK = re.compile(r"(0|[1-9][0-9]{0,15})-([1-9][0-9]{0,2})")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
_NO_FOLDER = (errno.ELOOP, errno.ENOTDIR)
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, order=True)
class Pack:
    """``count`` segments of one file from ``first`` on, in one file of ``size_bytes``."""

    first: int
    count: int
    size_bytes: int = 0

    @property
    def name(self) -> str:
        """How it is named in its block's folder."""
        return f"{self.first}-{self.count}"


class CarriedFolder:
    """The folder at ``path``. Blocking.

    Every method raises :class:`StorageFullError` for a disk without room, :class:`UsageError` for one that cannot be
    used, and :class:`BundleAlteredError` for what no export writes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self) -> None:
        """Make the folder, if it is not there."""
        with self._telling():
            self._path.mkdir(mode=0o700, exist_ok=True)
            with self._at():
                pass

    # --- Reading ---

    def messages(self) -> list[bytes]:
        """The messages of which files may lie here, sorted."""
        return sorted(bytes.fromhex(name) for name in self._names((), _MESSAGE.fullmatch))

    def file_list(self, message: bytes) -> bytes:
        """The message's file list, not compared with anything; raises :class:`BundleTruncatedError` without one."""
        data = self._read((message.hex(),), _LIST, MAX_LIST_BYTES)
        if data is None:
            raise BundleTruncatedError("the folder has no list of this message's files")
        return data

    def hand(self, message: bytes) -> bytes | None:
        """What is said of who exported the message's files, not verified."""
        return self._read((message.hex(),), _HAND, MAX_HAND_BYTES)

    def hands(self, message: bytes) -> tuple[bytes, ...]:
        """All that is said of who carried the message's files, not verified; what cannot be read says nothing."""
        from protocol.bundle import MAX_HANDS_BYTES, decode_hands  # a desk's start does not need it

        found: list[bytes] = []
        with suppress(ComityError):
            before = self._read((message.hex(),), _HANDS, MAX_HANDS_BYTES)
            found += () if before is None else decode_hands(before)
        with suppress(ComityError):
            last = self.hand(message)
            found += () if last is None else (last,)
        return tuple(found)

    def blocks(self, message: bytes, number: int) -> list[int]:
        """The blocks of a file of which segments may lie here, sorted."""
        return sorted(int(name) for name in self._names((message.hex(), str(number)), _NUMBER.fullmatch))

    def packs(self, message: bytes, number: int, block: int) -> list[Pack]:
        """The packs of one block, sorted; their contents are not looked at."""
        place = (message.hex(), str(number), str(block))
        found: list[Pack] = []
        for name, size in self._sizes(place).items():
            if (match := _PACK.fullmatch(name)) is not None:
                found.append(Pack(int(match[1]), int(match[2]), size))
        return sorted(found)

    def read_pack(self, message: bytes, number: int, pack: Pack) -> list[SegmentSent]:
        """The segments in a pack, not verified; raises what :func:`decode_segments` raises."""
        data = self._read(_place(message, number, pack.first), pack.name, MAX_SEGMENTS_BYTES)
        if data is None:
            raise BundleTruncatedError("segments that the folder names are not there")
        return decode_segments(data)

    # --- Writing ---

    def begin(self, message: bytes, file_list: bytes, hand: bytes, before: Sequence[bytes] = ()) -> None:
        """Write the list, who exported it and by whose hands it came there, durable on return; segments here stay."""
        from protocol.bundle import encode_hands

        hands = {_HANDS: encode_hands(before)} if before else {}
        self._write((message.hex(),), {_LIST: file_list, _HAND: hand, **hands})

    def write_packs(self, message: bytes, number: int, packs: Sequence[Sequence[SegmentSent]]) -> None:
        """Write packs of one block of a file, durable on return; each holds segments one after the other."""
        if packs:
            contents = {Pack(own[0].segment.index, len(own)).name: encode_segments(own) for own in packs}
            self._write(_place(message, number, packs[0][0].segment.index), contents)

    def tidy(self, message: bytes, number: int, block: int) -> None:
        """Take away what an export left unfinished. Nobody may be writing there."""
        place = (message.hex(), str(number), str(block))
        with self._telling(), suppress(FileNotFoundError), self._at(*place) as folder:
            for name in self._listed(folder):
                if name.startswith(_TEMPORARY):
                    os.unlink(name, dir_fd=folder)

    def drop(self, message: bytes, number: int, pack: Pack) -> None:
        """Take a damaged pack away, where the disk can be written: so the next export writes it anew."""
        with suppress(OSError, ComityError), self._at(*_place(message, number, pack.first)) as folder:
            os.unlink(pack.name, dir_fd=folder)

    # --- Inside ---

    @contextmanager
    def _at(self, *names: str, create: bool = False) -> Iterator[int]:
        """The descriptor of a folder below; no link is followed. Raises :class:`FileNotFoundError`."""
        descriptor = os.open(self._path, _FOLDER_FLAGS)
        try:
            for name in names:
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=descriptor)
                        os.fsync(descriptor)
                inner = os.open(name, _FOLDER_FLAGS, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    def _names(self, place: tuple[str, ...], named: Callable[[str], object]) -> list[str]:
        with self._telling():
            try:
                with self._at(*place) as folder:
                    return [name for name in self._listed(folder) if named(name)]
            except FileNotFoundError:
                if not place:
                    raise
        return []

    def _sizes(self, place: tuple[str, ...]) -> dict[str, int]:
        with self._telling(), suppress(FileNotFoundError), self._at(*place) as folder:
            sizes = {}
            for name in self._listed(folder):
                about = os.stat(name, dir_fd=folder, follow_symlinks=False)
                sizes[name] = about.st_size if stat.S_ISREG(about.st_mode) else -1
            return sizes
        return {}

    def _listed(self, folder: int) -> list[str]:
        names: list[str] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) > MAX_NAMES:
                    raise BundleAlteredError("a folder holds more names than any export writes")
        return names

    def _read(self, place: tuple[str, ...], name: str, most: int) -> bytes | None:
        with self._telling(), suppress(FileNotFoundError), self._at(*place) as folder:
            # Looked at before it is opened: to open a device can be an act of its own.
            if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise BundleAlteredError("the folder holds something other than files")
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with os.fdopen(os.open(name, flags, dir_fd=folder), "rb", buffering=0) as file:
                about = os.fstat(file.fileno())
                if not stat.S_ISREG(about.st_mode) or about.st_size > most:
                    raise BundleAlteredError("the folder holds a file that no export writes")
                return _whole(file.fileno(), about.st_size)
        return None

    def _write(self, place: tuple[str, ...], contents: dict[str, bytes]) -> None:
        with self._telling(), self._at(*place, create=True) as folder:
            written: dict[str, str] = {}
            try:
                for name, content in contents.items():
                    temporary = f"{_TEMPORARY}{secrets.token_hex(8)}"
                    written[temporary] = name
                    _write_new(folder, temporary, content)
                for temporary, name in written.items():
                    os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
            except BaseException:
                for temporary in written:
                    with suppress(OSError):
                        os.unlink(temporary, dir_fd=folder)
                raise

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            if problem.errno in _NO_FOLDER:
                raise BundleAlteredError("a link or a file stands where the export has a folder") from problem
            if problem.errno in _FULL:
                raise StorageFullError(f"{self._path} has no room: {problem.strerror}") from problem
            raise UsageError(f"{self._path} cannot be used: {problem.strerror}") from problem


def _place(message: bytes, number: int, first: int) -> tuple[str, str, str]:
    return message.hex(), str(number), str(first // BLOCK)


def _whole(descriptor: int, size: int) -> bytes:
    parts, left = [], size
    while left and (part := os.read(descriptor, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _write_new(folder: int, name: str, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, PRIVATE_MODE, dir_fd=folder)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The files of one message: the list that travels beside it, and the set in its header that commits to the list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any

from protocol.encoding import cbor
from protocol.errors import FileSetMismatchError, MalformedError, TooLargeError
from protocol.files.sealed_file import MAX_FILE_BYTES, MIN_LENGTH, SealedFile

MAX_FILES = 1_000
MAX_LIST_BYTES = 64 * 1024
DIGEST_BYTES = 32

_DOMAIN = b"comity/v1/file-set\0"
_FIELDS = 4


@dataclass(frozen=True, slots=True)
class FileSet:
    """What the routing header says of a message's files: the list's digest, how many, and their ciphertexts' bytes."""

    digest: bytes
    count: int
    total_bytes: int

    def __post_init__(self) -> None:
        if type(self.digest) is not bytes or len(self.digest) != DIGEST_BYTES:
            raise MalformedError(f"the digest of a file list has {DIGEST_BYTES} bytes")
        if type(self.count) is not int or not 1 <= self.count <= MAX_FILES:
            raise MalformedError(f"a message has 1 to {MAX_FILES} files, or no file set")
        if type(self.total_bytes) is not int or not self.count * MIN_LENGTH <= self.total_bytes <= MAX_FILE_BYTES:
            raise MalformedError(
                "the files of a message have together at most 2^53 - 1 bytes, and no fewer than they can"
            )


@dataclass(frozen=True, slots=True)
class FileList:
    """The sealed files of one message, sorted by name, none twice; raises :class:`MalformedError` and its kin."""

    files: tuple[SealedFile, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.files) <= MAX_FILES:
            raise TooLargeError(f"a file list has 1 to {MAX_FILES} files")
        names = [file.name for file in self.files]
        if any(later <= earlier for earlier, later in pairwise(names)):
            raise MalformedError("the files of a list are not sorted by name, or one is named twice")
        if sum(file.length for file in self.files) > MAX_FILE_BYTES:
            raise TooLargeError("the files of a message have together at most 2^53 - 1 bytes")

    @classmethod
    def of(cls, files: Iterable[SealedFile]) -> FileList:
        """The list of these files, in whatever order they come; raises as the class."""
        return cls(tuple(sorted(files, key=lambda file: file.name)))

    @property
    def names(self) -> tuple[bytes, ...]:
        """The names, in order: a file's number is its place here."""
        return tuple(file.name for file in self.files)

    @property
    def file_set(self) -> FileSet:
        """What a routing header says of this list."""
        return FileSet(_digest(encode_list(self)), len(self.files), sum(file.length for file in self.files))


def encode_list(files: FileList) -> bytes:
    """The canonical CBOR of a list: ``[[suite, segment bytes, length, root], ...]``."""
    return cbor.encode_ordered([[file.suite, file.segment_bytes, file.length, file.root] for file in files.files])


def decode_list(data: bytes) -> FileList:
    """The list in canonical ``data``; raises :class:`MalformedError` and its kin."""
    value = cbor.decode(data, max_bytes=MAX_LIST_BYTES, max_depth=2, max_items=1 + MAX_FILES * (1 + _FIELDS))
    if type(value) is not list:
        raise MalformedError("a file list is an array")
    return FileList(tuple(_file(row) for row in value))


def check_list(data: bytes, file_set: FileSet | None) -> FileList:
    """The list in ``data``, which is the one that the routing header commits to.

    Raises :class:`FileSetMismatchError`, or :class:`MalformedError` and its kin. The digest is compared before
    anything is read.
    """
    if file_set is None or _digest(data) != file_set.digest:
        raise FileSetMismatchError("the file list is not the one that the message's routing header commits to")
    files = decode_list(data)
    if files.file_set != file_set:
        raise FileSetMismatchError("the routing header counts other files than its list has")
    return files


def _digest(data: bytes) -> bytes:
    return sha256(_DOMAIN + data).digest()


def _file(row: Any) -> SealedFile:
    if type(row) is not list or len(row) != _FIELDS:
        raise MalformedError("a file of a list is its suite, its segments' size, its length and its root")
    return SealedFile(*row)

"""What an entry of a log says of files: which set they are of, which of it, and the root that commits to them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from protocol.errors import FileSetMismatchError, FileUnknownError, MalformedError
from protocol.files.file_list import DIGEST_BYTES, MAX_FILES, FileList
from protocol.files.sealed_file import NAME_BYTES, SealedFile
from protocol.log.frontier import Frontier
from protocol.log.merkle import EMPTY_ROOT, HASH_BYTES, leaf_hash

LARGE_FILE_BYTES = 64 * 1024 * 1024
"""From this length of its ciphertext on a file has events of its own; the set's events tell of it too."""

EXPIRED_UNFETCHED = "expired-unfetched"
NEVER_COMPLETE = "never-complete"
CANCELLED = "cancelled"
FORGOTTEN = "forgotten"
GONE_BEFORE = "gone-before"
"""Why a node let files go that it did not hand over: their time passed, with all or not all of them here; the sender
took them back; the operator let them go; the node that was to bring them does not keep them any more."""
BEFORE_THEIR_TIME = frozenset({CANCELLED, FORGOTTEN, GONE_BEFORE})
"""Of these those that the next nodes are told."""


@dataclass(frozen=True, slots=True)
class LoggedFiles:
    """The files that an event is about, of the set with this digest.

    One file: its ``name``, a ``count`` of 1 and its own ``root``. Several: no name, and the RFC 6962 root over their
    names, sorted, as leaves. None at all, where a node ends what never became whole: 0, and the root of the empty
    tree. Raises :class:`MalformedError`.
    """

    file_set: bytes
    name: bytes | None
    count: int
    root: bytes

    def __post_init__(self) -> None:
        if type(self.file_set) is not bytes or len(self.file_set) != DIGEST_BYTES:
            raise MalformedError(f"the digest of a file list has {DIGEST_BYTES} bytes")
        if self.name is not None and (type(self.name) is not bytes or len(self.name) != NAME_BYTES):
            raise MalformedError(f"the name of a sealed file has {NAME_BYTES} bytes")
        least, most = (0, MAX_FILES) if self.name is None else (1, 1)
        if type(self.count) is not int or not least <= self.count <= most:
            raise MalformedError("an event tells of the one file that it names, or of as many as a list has")
        if type(self.root) is not bytes or len(self.root) != HASH_BYTES:
            raise MalformedError(f"the root of files has {HASH_BYTES} bytes")
        if (self.count == 0) != (self.root == EMPTY_ROOT):
            raise MalformedError("the root over no files is that of the empty tree, and no other is")

    def to_value(self) -> list[Any]:
        """As it stands in an event and in a statement: ``[file-set digest, name or null, count, root]``."""
        return [self.file_set, self.name, self.count, self.root]

    @classmethod
    def from_value(cls, value: Any) -> LoggedFiles:
        """What a CBOR value says; raises :class:`MalformedError`."""
        if type(value) is not list or len(value) != 4:
            raise MalformedError("what is said of files is a set's digest, a name or null, a count and a root")
        return cls(*value)


def one_file(files: FileList, file: SealedFile) -> LoggedFiles:
    """What an event about ``file`` alone says."""
    return LoggedFiles(files.file_set.digest, file.name, 1, file.root)


def some_files(files: FileList, names: Iterable[bytes]) -> LoggedFiles:
    """What an event about these files of the list says; raises :class:`FileUnknownError` for others."""
    named = sorted(set(names))
    if not set(named) <= set(files.names):
        raise FileUnknownError("an event tells of files that are in the list of its message")
    return LoggedFiles(files.file_set.digest, None, len(named), names_root(named))


def whole_set(files: FileList) -> LoggedFiles:
    """What an event about all files of the list says."""
    return some_files(files, files.names)


def names_root(names: Collection[bytes]) -> bytes:
    """The RFC 6962 root over sorted names as leaves."""
    return Frontier().extended(map(leaf_hash, names)).root()


def check_logged(logged: LoggedFiles, files: FileList) -> tuple[SealedFile, ...] | None:
    """The files of the list that an event is about; None where it is about some, and does not say which.

    Raises :class:`FileSetMismatchError` where it speaks of another set, or of what the list does not hold.
    """
    whole = whole_set(files)
    if logged.file_set != whole.file_set:
        raise FileSetMismatchError("the entry is about the files of another list")
    if logged.name is not None:
        named = next((file for file in files.files if file.name == logged.name), None)
        if named is None or named.root != logged.root:
            raise FileSetMismatchError("the entry names a file that the list does not hold")
        return (named,)
    if logged == whole:
        return files.files
    if logged.count >= whole.count:
        raise FileSetMismatchError("the entry counts all files, and its root is not theirs")
    return None


def agrees(logged: LoggedFiles, files: FileList) -> bool:
    """Whether an event can be about files of this list. One about some of them, which it does not name, can."""
    try:
        check_logged(logged, files)
    except FileSetMismatchError:
        return False
    return True

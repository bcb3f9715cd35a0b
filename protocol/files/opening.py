"""Opening a sealed file with the key that its message gives."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from hashlib import sha256
from hmac import compare_digest

from protocol.errors import (
    ComityError,
    FileAlteredError,
    FileHashMismatchError,
    FileKeyMismatchError,
    FileLengthMismatchError,
)
from protocol.files import chunked
from protocol.files.chunked import Buffer
from protocol.files.sealed_file import SealedFile, sealed_length, segment_hash
from protocol.log.frontier import Frontier

_ZEROS = bytes(1 << 20)


class FileOpener:
    """Opens one file of ``file_bytes`` bytes from its ciphertext, in order, in pieces of any size.

    It hashes nothing: :func:`open_file` does all in one. Raises :class:`FileLengthMismatchError` when a file of this
    length is never sealed to the length that its name commits to.
    """

    __slots__ = ("_file", "_missing", "_opener", "_taken")

    def __init__(self, file: SealedFile, key: bytes, file_bytes: int) -> None:
        if sealed_length(file_bytes) != file.length:
            raise FileLengthMismatchError("the length of the file is not the one that its sealed form was padded for")
        self._file = file
        self._opener = chunked.ChunkOpener(key)
        self._missing = file_bytes
        self._taken = 0

    def update(self, ciphertext: Buffer) -> memoryview:
        """More of the ciphertext: what it holds of the file, the padding taken off.

        Raises :class:`FileKeyMismatchError` (before anything is opened), :class:`FileAlteredError` or
        :class:`FileLengthMismatchError`.
        """
        self._taken += memoryview(ciphertext).nbytes
        if self._taken > self._file.length:
            raise FileAlteredError("the sealed file is longer than its name says")
        return self._unpadded(self._opener.update(ciphertext))

    def finish(self) -> memoryview:
        """The last of the file; raises as :meth:`update`. Before it returned, the file may be cut."""
        if self._taken != self._file.length:
            raise FileAlteredError("the end of the sealed file is missing")
        return self._unpadded(self._opener.finish())

    def _unpadded(self, plaintext: memoryview) -> memoryview:
        own, padding = plaintext[: self._missing], plaintext[self._missing :]
        self._missing -= len(own)
        while len(padding):
            if bytes(padding[: len(_ZEROS)]) != _ZEROS[: len(padding)]:  # many times as fast as views are compared
                raise FileLengthMismatchError("something other than zeros stands behind the end of the file")
            padding = padding[len(_ZEROS) :]
        return own


def open_file(
    file: SealedFile, key: bytes, file_bytes: int, segments: Iterable[Buffer], *, digest: bytes | None = None
) -> Generator[memoryview]:
    """The file in pieces, from its segments in order: nothing may be used before the last piece came.

    ``digest`` is the SHA-256 that the message states of the file. Raises :class:`FileAlteredError` where these are not
    the segments that the name stands for. Where they are, who sealed them is wrong: :class:`FileKeyMismatchError`,
    :class:`FileLengthMismatchError` or :class:`FileHashMismatchError`.
    """
    opener, edge, hash_ = FileOpener(file, key, file_bytes), Frontier(), sha256()
    wrong: ComityError | None = None
    for segment in segments:
        _, length = file.extent(edge.size)
        if memoryview(segment).nbytes != length:
            raise FileAlteredError(f"segment {edge.size} does not have the length of its place")
        edge = edge.append(segment_hash(segment))
        if wrong is None:
            try:
                piece = opener.update(segment)
            except (FileKeyMismatchError, FileAlteredError) as problem:
                wrong = problem  # whose fault it is the root says, when all segments were seen
            else:
                hash_.update(piece)
                yield piece
    if edge.size != file.segments or not compare_digest(edge.root(), file.root):
        raise FileAlteredError("the sealed file is not the one that its name stands for")
    try:
        last = memoryview(b"") if wrong is not None else opener.finish()
    except FileAlteredError as problem:
        wrong = problem
    if isinstance(wrong, FileAlteredError):
        raise FileKeyMismatchError("a part of the file was not sealed under the key that the message gives") from wrong
    if wrong is not None:
        raise wrong
    hash_.update(last)
    if digest is not None and not compare_digest(hash_.digest(), digest):
        raise FileHashMismatchError
    yield last

"""Sealing a file: its bytes in, its segments out, padded so that the length says little more than the magnitude."""

from __future__ import annotations

from collections.abc import Iterator

from protocol.encoding.padme import padded_size
from protocol.errors import MalformedError
from protocol.files import chunked
from protocol.files.chunked import Buffer, MakeMemory
from protocol.files.sealed_file import DEFAULT_SEGMENT_BYTES, SEGMENT_SIZES, SUITE, SealedFile, sealed_length

_ZEROS = bytes(1 << 20)


class FileSealer:
    """Seals one file under a key of its own (32 random bytes) and a salt (24): never two files under one key.

    ``expected_bytes`` is how long the file seems to be: a short one takes little memory, which ``make`` makes. It
    hashes nothing, so that the caller can hash in a thread of its own while this one encrypts::

        sealer = FileSealer(key, salt)
        for piece in pieces:                 # big ones: a MiB or more
            for segment in sealer.update(piece):
                tree.append(segment_hash(segment))
        for segment in sealer.finish(): ...
        file = sealer.sealed_file(tree.root)
    """

    __slots__ = ("_sealer", "_segment_bytes", "file_bytes")

    def __init__(
        self,
        key: bytes,
        salt: bytes,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        *,
        expected_bytes: int | None = None,
        make: MakeMemory = bytearray,
    ) -> None:
        if segment_bytes not in SEGMENT_SIZES:
            raise MalformedError("the segments of a file have 1, 2 or 4 MiB")
        first = None if expected_bytes is None else sealed_length(expected_bytes)
        self._sealer = chunked.ChunkSealer(key, salt, segment_bytes, first_bytes=first, make=make)
        self._segment_bytes = segment_bytes
        self.file_bytes = 0
        """How many bytes of the file came in so far."""

    def update(self, piece: Buffer) -> list[memoryview]:
        """More of the file: the segments that became whole; raises :class:`TooLargeError`."""
        self.file_bytes += memoryview(piece).nbytes
        return self._sealer.update(piece)

    def finish(self) -> Iterator[memoryview]:
        """The end of the file: the segments that remain, one after the other (the padding may be many)."""
        missing = padded_size(self.file_bytes) - self.file_bytes
        while missing:
            piece = memoryview(_ZEROS)[:missing]
            yield from self._sealer.update(piece)
            missing -= len(piece)
        yield from self._sealer.finish()

    def sealed_file(self, root: bytes) -> SealedFile:
        """The file whose segments have this root."""
        length = chunked.ciphertext_length(padded_size(self.file_bytes))
        return SealedFile(SUITE, self._segment_bytes, length, root)

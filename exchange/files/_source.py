"""A file of the officer's that is to be sealed: opened once, read from beginning to end, and the same all the while.

A file that changes while it is read is refused: nobody could say what was sealed. So is what has no end, or is another
file by the time it is opened (:func:`keys.local.given_files.open_whole`).
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from mimetypes import guess_type
from pathlib import Path

from exchange.store.files import SourceSeen
from keys.local.given_files import open_whole
from protocol.codes import load_codes
from protocol.errors import FileSourceChangedError, TooLargeError, UsageError

MAX_SOURCE_BYTES = 2**53 - 1
_OTHER = "application/octet-stream"
_MAX_NAME_CHARS = 200
_MAX_ENDING_CHARS = 20
# The schema of messages takes none of these in the name of a file.
_RESERVED = re.compile(r'[/\\:*?"<>|]')
# mimetypes knows neither, and says another type for the third on some machines.
_BY_ENDING = {".pcap": "application/vnd.tcpdump.pcap", ".eml": "message/rfc822", ".csv": "text/csv"}


@dataclass(frozen=True, slots=True)
class OpenSource:
    """An opened source: its descriptor, and what it was when it was opened."""

    path: Path
    descriptor: int
    seen: SourceSeen

    def require_unchanged(self, bytes_read: int) -> None:
        """Return if it is still the file that was opened, whole; raises :class:`FileSourceChangedError`."""
        if bytes_read != self.seen.size or seen_of(self.path, self.descriptor) != self.seen or not self._in_place():
            raise FileSourceChangedError(f"{self.path} changed while it was read")

    def _in_place(self) -> bool:
        try:
            now = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == (self.seen.device, self.seen.inode)


@contextmanager
def opened_source(path: Path) -> Iterator[OpenSource]:
    """The source for the length of the block; raises as :func:`open_whole`, and :class:`TooLargeError`."""
    descriptor = open_whole(path)
    try:
        seen = seen_of(path, descriptor)
        if seen.size > MAX_SOURCE_BYTES:
            raise TooLargeError(f"{path} is longer than any reader of JSON can say")
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        yield OpenSource(path, descriptor, seen)
    finally:
        os.close(descriptor)


def seen_of(path: Path, descriptor: int) -> SourceSeen:
    """What an opened file is at this moment."""
    status = os.fstat(descriptor)
    where = os.path.abspath(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return SourceSeen(where, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def read_into(descriptor: int, block: memoryview) -> int:
    """Fill a block from a descriptor as far as there is something; how many bytes. Raises :class:`UsageError`."""
    filled = 0
    try:
        while filled < len(block):
            count = os.readv(descriptor, [block[filled:]])
            if count == 0:
                break
            filled += count
    except OSError as problem:
        raise UsageError(f"the file cannot be read to its end: {problem.strerror}") from problem
    return filled


def name_given(text: str) -> str:
    """As :func:`name_in_message`, of a name that another program sent, perhaps with a path of its own system."""
    return _cleaned(re.split(r"[/\\]", as_text(text))[-1])


def name_in_message(path: Path) -> str:
    """The name that a message gives a file: without what the schema of messages refuses in one."""
    return _cleaned(as_text(path.name))


def as_text(name: str) -> str:
    """A name in one form of Unicode, with a question mark for all in it that is no text."""
    return unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode("utf-8"))


def _cleaned(raw: str) -> str:
    kept = "".join("_" if unicodedata.category(one)[0] == "C" or one == "\ufffd" else one for one in raw)
    name = _RESERVED.sub("_", unicodedata.normalize("NFC", kept))
    name = " ".join(name.split()).strip(" .")
    if len(name) > _MAX_NAME_CHARS:  # its ending says what it is
        stem, ending = os.path.splitext(name)
        ending = ending if len(ending) <= _MAX_ENDING_CHARS else ""
        name = stem[: _MAX_NAME_CHARS - len(ending)].rstrip(" .") + ending
    return name[:_MAX_NAME_CHARS].strip(" .") or "file"


def media_type_of(name: str) -> str:
    """The media type that a name stands for, as far as the code list has it."""
    ending = os.path.splitext(name)[1].lower()
    guessed = _BY_ENDING.get(ending) or guess_type(name, strict=True)[0] or _OTHER
    return guessed if guessed in load_codes("attachment_media") else _OTHER

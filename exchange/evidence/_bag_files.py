"""The evidence files of a message in its bag: by reference, whole, or beside it.

The list of files is in every bag of a message that has some: the envelope commits to it, so without the content too it
is known which sealed files belong to the message. A sealed file that is there is compared with its name, then opened
by the key in the content: it is the file of the SHA-256 that the sender signed, or it is shown that the sender sealed
another. A file that is not there was not checked, and that is said.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from exchange.content.scanning import open_regular
from exchange.evidence._bag_content import read_content, sealed_files
from exchange.evidence.disclosure import Disclosure
from exchange.views import Check
from protocol.envelope import Envelope
from protocol.errors import (
    ComityError,
    FileAlteredError,
    FileSetMismatchError,
    MalformedError,
)
from protocol.files.file_list import FileList, check_list, encode_list
from protocol.files.opening import open_file
from protocol.files.sealed_file import SealedFile, segment_hash
from protocol.log.frontier import Frontier

FILES = "data/files/"
LIST = "data/files/list.cbor"
SEALED = ".sealed"
MAX_WHOLE_BYTES = 64 * 2**20
"""How many bytes of sealed files one bag holds; longer ones lie beside it."""
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Stated:
    """What the content says of one sealed file."""

    key: Any = field(repr=False)
    size_bytes: int
    sha256: str


def whole_name(name: bytes) -> str:
    """Where a sealed file lies in a bag."""
    return f"{FILES}{name.hex()}{SEALED}"


def payload_of(files: FileList | None, whole: Mapping[bytes, bytes]) -> dict[str, bytes]:
    """The files of a message as they stand in its bag: their list, and those that are whole."""
    if files is None:
        return {}
    return {LIST: encode_list(files), **{whole_name(name): content for name, content in whole.items()}}


def files_in(content: bytes) -> FileList | None:
    """The list of the files that follow a message with this content; raises :class:`MalformedError` and its kin."""
    return sealed_files(read_content(content))


def listed_in(bag: Mapping[str, bytes], envelope: Envelope) -> FileList | None:
    """The list in the bag, if it is the one that the envelope commits to."""
    try:
        return check_list(bag.get(LIST, b""), envelope.routing.file_set)
    except ComityError:
        return None


def check_files(
    bag: Mapping[str, bytes], envelope: Envelope, opened: Disclosure | None, beside: Sequence[Path]
) -> Iterator[Check]:
    """Every file of the message: that the list is the envelope's, and what is known of each.

    ``beside`` are files that were given with the bag, sealed or opened.
    """
    inside = [name for name in bag if name.startswith(FILES)]
    if envelope.routing.file_set is None and not inside:
        return
    try:
        files = check_list(bag.get(LIST, b""), envelope.routing.file_set)
        strangers = set(inside) - {LIST, *(whole_name(file.name) for file in files.files)}
        if strangers:
            raise FileSetMismatchError("the bag holds a file that is not in the list")
        stated = _stated(opened, files)
    except ComityError as problem:
        yield Check("files", False, problem.code, problem.detail)
        return
    whole = len(inside) - 1
    text = f"{len(files.files)} files are those that the envelope commits to; {whole} are whole in here"
    yield Check("files", True, None, text)
    for file in files.files:
        yield _check_file(file, stated.get(file.name), bag.get(whole_name(file.name)), beside)


def _stated(opened: Disclosure | None, files: FileList) -> dict[bytes, _Stated]:
    if opened is None:
        return {}
    content = read_content(opened.content)
    if sealed_files(content) != files:
        raise FileSetMismatchError("the files named inside are not those of the list")
    found = {}
    for one in content["attachments"]:
        if one.get("sealed") is not None:
            if type(one.get("size_bytes")) is not int or type(one.get("sha256")) is not str:
                raise MalformedError("what is said inside of a sealed file is not complete")
            found[bytes.fromhex(one["sealed"]["name"])] = _Stated(
                one["sealed"].get("key"), one["size_bytes"], one["sha256"]
            )
    if found.keys() != set(files.names):
        raise FileSetMismatchError("a sealed file has another name inside than its parts make")
    return found


def _key(text: Any) -> bytes:
    """The 32 bytes, in their one form of base64url without padding; raises :class:`MalformedError`."""
    try:
        key = urlsafe_b64decode(f"{text}=")
    except (Base64Error, ValueError):
        key = b""
    if len(key) != 32 or urlsafe_b64encode(key).decode() != f"{text}=":
        raise MalformedError("the key of the sealed file is not 32 bytes in base64url")
    return key


def _check_file(file: SealedFile, stated: _Stated | None, whole: bytes | None, beside: Sequence[Path]) -> Check:
    name = f"file {file.name.hex()[:16]}"
    try:
        if whole is not None:
            return _check_sealed(name, file, stated, BytesIO(whole))
        for path in beside:
            with open_regular(path) as source:
                if path.stat().st_size == file.length and _is_named(file, source):
                    return _check_sealed(name, file, stated, source)
        for path in beside if stated is not None else ():
            with open_regular(path) as source:
                if stated is not None and path.stat().st_size == stated.size_bytes and _hash(source) == stated.sha256:
                    text = f"{path.name} has the {stated.size_bytes} bytes and the SHA-256 that the message states"
                    return Check(name, True, None, text)
    except ComityError as problem:
        return Check(name, False, problem.code, problem.detail)
    undisclosed = "" if stated is not None else ", sealed; the hash of the opened one is in the content, not disclosed"
    text = f"by reference alone, {file.length} bytes sealed: give it with --files{undisclosed}"
    return Check(name, None, "not-here", text)


def _check_sealed(name: str, file: SealedFile, stated: _Stated | None, source: BinaryIO) -> Check:
    if not _is_named(file, source):
        raise FileAlteredError("it is not the sealed file that its name stands for")
    if stated is None:
        text = "it is the sealed file of its name; without the content nothing opens it"
        return Check(name, None, "not-disclosed", text)
    source.seek(0)
    pieces = open_file(
        file, _key(stated.key), stated.size_bytes, _segments(file, source), digest=bytes.fromhex(stated.sha256)
    )
    try:
        deque(pieces, maxlen=0)
    except ComityError as problem:
        # The sealed file is the one that the sender signed: what is wrong in it the sender did.
        text = f"THE SENDER SEALED SOMETHING ELSE than the message states: {problem.detail}"
        return Check(name, False, problem.code, text)
    text = f"whole, and it opens to the {stated.size_bytes} bytes whose SHA-256 the message states"
    return Check(name, True, None, text)


def _is_named(file: SealedFile, source: BinaryIO) -> bool:
    source.seek(0)
    edge, length = Frontier(), 0
    for segment in _segments(file, source):
        length += len(segment)
        if length > file.length:
            return False
        edge = edge.append(segment_hash(segment))
    return length == file.length and edge.root() == file.root


def _segments(file: SealedFile, source: BinaryIO) -> Iterator[bytes]:
    while segment := _read(source, file.segment_bytes):
        yield segment


def _read(source: BinaryIO, count: int) -> bytes:
    """As many bytes, fewer at the end alone; an unbuffered file gives fewer in between."""
    read = source.read(count) or b""
    while len(read) < count and (more := source.read(count - len(read))):
        read += more
    return read


def _hash(source: BinaryIO) -> str:
    source.seek(0)
    hashed = sha256()
    while piece := source.read(_PIECE_BYTES):
        hashed.update(piece)
    return hashed.hexdigest()

"""The bodies of ``add-checkpoint``, by which a log asks a witness to cosign (C2SP tlog-witness).

::

    old <size of the tree that the witness cosigned last>
    <base64 of a hash of the consistency proof>          zero to 63 lines
    <empty line>
    <checkpoint>

The answer is signature lines; or, when the old size is another, that size and a newline.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from protocol.errors import MalformedError, TooLargeError
from protocol.log.merkle import HASH_BYTES, MAX_SIZE
from protocol.log.note import (
    MAX_NOTE_BYTES,
    NoteSignature,
    decode_base64,
    format_signatures,
    parse_note,
    parse_signatures,
)

MAX_PROOF_HASHES = 63
# Each hash is 44 characters and a newline; the line before them names a size of at most 20 digits.
MAX_REQUEST_BYTES = MAX_NOTE_BYTES + MAX_PROOF_HASHES * 45 + 32
MAX_ANSWER_BYTES = 16_384
SIZE_TYPE = "text/x.tlog.size"

_SIZE = re.compile(r"(0|[1-9][0-9]{0,19})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request taken apart: nothing is verified, and that ``checkpoint`` is a note is all that is known of it."""

    old_size: int
    path: tuple[bytes, ...]
    checkpoint: bytes


def encode_add_checkpoint(old_size: int, path: Sequence[bytes], checkpoint: bytes) -> bytes:
    """The request's body; raises :class:`MalformedError` or :class:`TooLargeError` for parts that have no place."""
    lines = [f"old {old_size}", *(b64encode(hash_).decode() for hash_ in path)]
    body = "\n".join([*lines, "", ""]).encode() + checkpoint
    decode_add_checkpoint(body)
    return body


def decode_add_checkpoint(body: bytes) -> AddCheckpoint:
    """The parts of a request; raises :class:`MalformedError` or :class:`TooLargeError`."""
    if len(body) > MAX_REQUEST_BYTES:
        raise TooLargeError(f"a request to a witness has at most {MAX_REQUEST_BYTES} bytes")
    head, separator, checkpoint = body.partition(b"\n\n")
    if not separator or not head.isascii():
        raise MalformedError("a request to a witness is an old size, a proof, an empty line and a checkpoint")
    first, *hashes = head.decode("ascii").split("\n")
    if not first.startswith("old "):
        raise MalformedError("a request to a witness begins with the old size")
    if len(hashes) > MAX_PROOF_HASHES:
        raise MalformedError(f"a consistency proof has at most {MAX_PROOF_HASHES} hashes here")
    path = tuple(decode_base64(line) for line in hashes)
    if any(len(hash_) != HASH_BYTES for hash_ in path):
        raise MalformedError(f"a hash of the tree has {HASH_BYTES} bytes")
    parse_note(checkpoint)
    return AddCheckpoint(_size(first.removeprefix("old ")), path, checkpoint)


def encode_cosignatures(lines: Sequence[NoteSignature]) -> bytes:
    """The answer of a witness that cosigned; raises :class:`MalformedError` when there is no line."""
    if not lines:
        raise MalformedError("a witness answers with one signature line or more")
    return format_signatures(lines).encode()


def decode_cosignatures(body: bytes) -> tuple[NoteSignature, ...]:
    """The lines of such an answer, not verified; raises :class:`MalformedError` or :class:`TooLargeError`."""
    if len(body) > MAX_ANSWER_BYTES:
        raise TooLargeError(f"a witness answers with at most {MAX_ANSWER_BYTES} bytes")
    try:
        return parse_signatures(body.decode())
    except UnicodeDecodeError as problem:
        raise MalformedError("the signature lines are not UTF-8") from problem


def encode_old_size(size: int) -> bytes:
    """The answer of a witness that cosigned a tree of another size last."""
    return f"{size}\n".encode()


def decode_old_size(body: bytes) -> int:
    """The size in such an answer; raises :class:`MalformedError`."""
    if not body.isascii() or not body.endswith(b"\n"):
        raise MalformedError("the size that a witness cosigned last is a decimal number and a newline")
    return _size(body[:-1].decode("ascii"))


def _size(text: str) -> int:
    if not _SIZE.match(text) or int(text) > MAX_SIZE:
        raise MalformedError("a size is a decimal number of 64 bits without leading zeros")
    return int(text)

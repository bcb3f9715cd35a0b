"""Offline-verifiable proofs of inclusion as text: C2SP tlog-proof@v1, files with the suffix ``.tlog-proof``."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from protocol.errors import MalformedError, TooLargeError
from protocol.log.merkle import HASH_BYTES, MAX_PATH_HASHES, MAX_SIZE
from protocol.log.note import MAX_NOTE_BYTES, decode_base64, parse_note

MAX_EXTRA_BYTES = 65_536
MAX_PROOF_BYTES = MAX_NOTE_BYTES + 2 * MAX_EXTRA_BYTES

_HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,19})\Z", re.ASCII)
_EXTRA = "extra "


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A proof taken apart: parsed, not verified. ``extra`` is authenticated by nothing."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None


def encode_tlog_proof(index: int, path: Sequence[bytes], checkpoint: bytes, extra: bytes | None = None) -> bytes:
    """The proof's text; raises :class:`MalformedError` or :class:`TooLargeError` for parts that have no place in it."""
    lines = [_HEADER]
    if extra is not None:
        lines.append(_EXTRA + b64encode(extra).decode())
    lines.append(f"index {index}")
    lines += [b64encode(hash_).decode() for hash_ in path]
    proof = "\n".join([*lines, "", ""]).encode() + checkpoint
    decode_tlog_proof(proof)
    return proof


def decode_tlog_proof(data: bytes) -> TlogProof:
    """The parts of a proof; raises :class:`MalformedError` or :class:`TooLargeError`."""
    if len(data) > MAX_PROOF_BYTES:
        raise TooLargeError(f"a proof of {len(data)} bytes; the limit is {MAX_PROOF_BYTES}")
    head, separator, checkpoint = data.partition(b"\n\n")
    if not separator or not head.isascii():
        raise MalformedError("a proof is lines, an empty line and a checkpoint")
    lines = head.decode("ascii").split("\n")
    if lines.pop(0) != _HEADER:
        raise MalformedError(f"a proof begins with {_HEADER}")
    extra = None
    if lines and lines[0].startswith(_EXTRA):
        extra = decode_base64(lines.pop(0).removeprefix(_EXTRA))
        if len(extra) > MAX_EXTRA_BYTES:
            raise TooLargeError(f"extra data of a proof has at most {MAX_EXTRA_BYTES} bytes")
    index = _INDEX.match(lines.pop(0)) if lines else None
    if index is None or int(index[1]) > MAX_SIZE:
        raise MalformedError("the proof does not say its index")
    if len(lines) > MAX_PATH_HASHES:
        raise MalformedError(f"a path has at most {MAX_PATH_HASHES} hashes")
    path = tuple(decode_base64(line) for line in lines)
    if any(len(hash_) != HASH_BYTES for hash_ in path):
        raise MalformedError(f"a hash of the tree has {HASH_BYTES} bytes")
    parse_note(checkpoint)
    return TlogProof(int(index[1]), path, checkpoint, extra)

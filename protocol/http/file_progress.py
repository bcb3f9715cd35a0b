"""How far the files of a message are beyond a node, as who brought them may ask (docs/http-api.md).

Every number is the word of the node that it is about, and proves nothing: what is proved stands in the logs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from protocol.address import Address, parse_node
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import ComityError, MalformedError, PeerFailedError
from protocol.files.file_list import MAX_FILES
from protocol.files.sealed_file import MAX_FILE_BYTES

MAX_ASKED_BYTES = 64
MAX_ROWS = 64
MAX_ROWS_BYTES = 64 * 1024
# So long a node may ask the next ones at most before it answers with what it knows.
MAX_WAIT_MS = 3_000
_DIGEST_BYTES = 32
_ROW_ITEMS = 7
_END = re.compile(r"[a-z][a-z-]{0,39}")


@dataclass(frozen=True, slots=True)
class ProgressAsked:
    """The message by the digest of its envelope; ``wait_ms``: so long the next nodes may be asked, 0: not at all."""

    digest: bytes
    wait_ms: int = 0


@dataclass(frozen=True, slots=True)
class FilesAt:
    """What ``party``, a node or a desk, has of the files of a message; None for what nobody knows.

    ``behind`` is the node before it on the way, None for the one that answers. ``at`` is when this was so, ``rate`` in
    bytes a second of late, ``end`` why the party does not keep the files any more, if that is so.
    """

    party: str
    behind: str | None = None
    size_bytes: int | None = None
    files: int | None = None
    at: datetime | None = None
    rate: int | None = None
    end: str | None = None


def encode_asked(asked: ProgressAsked) -> bytes:
    """The body that asks: ``{1: message digest, 2: milliseconds}``."""
    return cbor.encode_ordered({1: asked.digest, 2: asked.wait_ms})


def decode_asked(body: bytes) -> ProgressAsked:
    """What a request asks; raises :class:`MalformedError` and its kin."""
    value = cbor.decode(body, max_bytes=MAX_ASKED_BYTES, max_depth=2)
    if type(value) is not dict or set(value) != {1, 2}:
        raise MalformedError("how far files are is asked by the digest of their message and a time")
    digest, wait_ms = value[1], value[2]
    if type(digest) is not bytes or len(digest) != _DIGEST_BYTES:
        raise MalformedError(f"the digest of a message has {_DIGEST_BYTES} bytes")
    if type(wait_ms) is not int or not 0 <= wait_ms <= MAX_WAIT_MS:
        raise MalformedError(f"the next nodes are asked for 0 to {MAX_WAIT_MS} ms")
    return ProgressAsked(digest, wait_ms)


def encode_progress(rows: Sequence[FilesAt]) -> bytes:
    """The answer to it: ``{1: [[party, behind, bytes, files, at, rate, end], ...]}``, the answering node first."""
    return cbor.encode_ordered(
        {
            1: [
                [
                    *(row.party, row.behind, row.size_bytes, row.files),
                    *(None if row.at is None else to_ms(row.at), row.rate, row.end),
                ]
                for row in rows[:MAX_ROWS]
            ]
        }
    )


def decode_progress(body: bytes, source: str) -> tuple[FilesAt, ...]:
    """What a node says: itself first, each other behind one before it; raises :class:`PeerFailedError` else."""
    try:
        value = cbor.decode(body, max_bytes=MAX_ROWS_BYTES, max_depth=4)
        if type(value) is not dict or set(value) != {1} or type(value[1]) is not list:
            raise MalformedError("how far files are is an array of rows")
        if not 1 <= len(value[1]) <= MAX_ROWS:
            raise MalformedError(f"there are 1 to {MAX_ROWS} rows")
        rows = tuple(map(_row, value[1]))
        _check_tree(rows)
    except ComityError as problem:
        raise PeerFailedError(f"{source} answered with something that does not say how far files are") from problem
    return rows


def _row(value: Any) -> FilesAt:
    if type(value) is not list or len(value) != _ROW_ITEMS:
        raise MalformedError("a row has seven items")
    party, behind, size, files, at, rate, end = value
    if type(party) is not str or not (behind is None or type(behind) is str):
        raise MalformedError("a row names its party, and the one before it")
    (Address.parse if "@" in party else parse_node)(party)
    if end is not None and (type(end) is not str or not _END.fullmatch(end)):
        raise MalformedError("why files ended is a code")
    return FilesAt(
        party,
        behind,
        _number(size, MAX_FILE_BYTES),
        _number(files, MAX_FILES),
        None if at is None else from_ms(at),
        _number(rate, MAX_FILE_BYTES),
        end,
    )


def _number(value: Any, most: int) -> int | None:
    if value is not None and (type(value) is not int or not 0 <= value <= most):
        raise MalformedError("a number of a row is not one")
    return value if isinstance(value, int) else None


def _check_tree(rows: Sequence[FilesAt]) -> None:
    known = set[str]()
    for row in rows:
        if row.party in known or (row.behind not in known if known else row.behind is not None):
            raise MalformedError("the answering node is first, and each other party once, behind one before it")
        known.add(row.party)

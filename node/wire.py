"""The bodies of the HTTP interface as values: canonical CBOR in, canonical CBOR out (docs/http-api.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from node.store.base import MailboxEntry
from protocol import cbor
from protocol.errors import ComityError, MalformedError, PeerFailedError, TooLargeError
from protocol.problem import problem_of, problem_text
from protocol.receipt import Receipt, receipts_from_value, receipts_to_value

CONTENT_TYPE = "application/cbor"
MAX_ENVELOPES = 64
MAX_STATEMENTS = 256
MAX_RECEIPTS = 256
MAX_BATCH_BYTES = 4 * 1024 * 1024
MAX_STATEMENTS_BYTES = 1024 * 1024
# 64 envelopes of 32 recipients each, with a checkpoint for every receipt that is a repeat.
MAX_ANSWER_BYTES = 24 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node said of one envelope: its receipts, not verified, or its refusal."""

    receipts: tuple[Receipt, ...] = ()
    refusal: ComityError | None = None


def decode_items(body: bytes, max_items: int, max_bytes: int) -> list[bytes]:
    """An array of 1 to ``max_items`` byte strings; raises :class:`MalformedError` and its kin."""
    value = cbor.decode(body, max_bytes=max_bytes, max_depth=2)
    if type(value) is not list or any(type(item) is not bytes for item in value):
        raise MalformedError("the body is not an array of byte strings")
    if not 1 <= len(value) <= max_items:
        raise TooLargeError(f"a request carries 1 to {max_items} items")
    return value


def encode_items(items: Sequence[bytes]) -> bytes:
    """The body of a request: an array of byte strings."""
    return cbor.encode(list(items))


def encode_answers(answers: Sequence[Answer]) -> bytes:
    """The answer to a batch: ``{1: [{1: [receipt number]} or {2: problem}], 2: receipts}``."""
    receipts: list[Receipt] = []
    rows: list[dict[int, Any]] = []
    for answer in answers:
        if answer.refusal is not None:
            rows.append({2: problem_text(answer.refusal)})
            continue
        rows.append({1: list(range(len(receipts), len(receipts) + len(answer.receipts)))})
        receipts += answer.receipts
    return cbor.encode({1: rows, 2: receipts_to_value(receipts)})


def decode_answers(body: bytes, count: int, source: str) -> list[Answer]:
    """The ``count`` answers in a partner's response; raises :class:`PeerFailedError` for anything else."""
    value = _decode(body, source)
    if type(value) is not dict or set(value) != {1, 2} or type(value[1]) is not list or len(value[1]) != count:
        raise _nonsense(source)
    try:
        receipts = receipts_from_value(value[2])
    except (MalformedError, TooLargeError) as problem:
        raise _nonsense(source) from problem
    return [_answer(row, receipts, source) for row in value[1]]


def _answer(row: Any, receipts: list[Receipt], source: str) -> Answer:
    if type(row) is not dict or len(row) != 1:
        raise _nonsense(source)
    if type(row.get(2)) is str:
        return Answer(refusal=problem_of(row[2], source))
    numbers = row.get(1)
    if type(numbers) is not list or any(type(n) is not int or not 0 <= n < len(receipts) for n in numbers):
        raise _nonsense(source)
    return Answer(tuple(receipts[n] for n in numbers))


def encode_verdicts(verdicts: Sequence[ComityError | None]) -> bytes:
    """The answer to a batch of receipts: null where it stands, else the problem."""
    return cbor.encode([None if verdict is None else problem_text(verdict) for verdict in verdicts])


def decode_verdicts(body: bytes, count: int, source: str) -> list[ComityError | None]:
    """The ``count`` verdicts in a partner's response; raises :class:`PeerFailedError` for anything else."""
    value = _decode(body, source)
    if (
        type(value) is not list
        or len(value) != count
        or any(item is not None and type(item) is not str for item in value)
    ):
        raise _nonsense(source)
    return [None if item is None else problem_of(item, source) for item in value]


def encode_mailbox(entries: Sequence[MailboxEntry], head: int) -> bytes:
    """A page of a mailbox: ``{1: [[seq, envelope or null, [receipt number]]], 2: receipts, 3: highest seq}``."""
    receipts: list[Receipt] = []
    rows: list[list[Any]] = []
    for entry in entries:
        rows.append([entry.seq, entry.envelope, list(range(len(receipts), len(receipts) + len(entry.receipts)))])
        receipts += entry.receipts
    return cbor.encode({1: rows, 2: receipts_to_value(receipts), 3: head})


def decode_hashes(body: bytes, source: str) -> list[bytes]:
    """A consistency proof; raises :class:`PeerFailedError` for anything else."""
    value = _decode(body, source)
    if type(value) is not list or any(type(item) is not bytes or len(item) != 32 for item in value):
        raise _nonsense(source)
    return value


def _decode(body: bytes, source: str) -> Any:
    try:
        return cbor.decode(body, max_bytes=MAX_ANSWER_BYTES)
    except (MalformedError, TooLargeError) as problem:
        raise _nonsense(source) from problem


def _nonsense(source: str) -> PeerFailedError:
    return PeerFailedError(f"{source} answered with something that is not an answer of this protocol")

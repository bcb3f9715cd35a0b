"""The bodies of the HTTP interface as values: canonical CBOR in, canonical CBOR out (docs/http-api.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from protocol.encoding import cbor, exact
from protocol.errors import ComityError, MalformedError, PeerFailedError, TooLargeError
from protocol.http.problem import problem_of, problem_text
from protocol.log.merkle import HASH_BYTES, MAX_SIZE
from protocol.log.note import MAX_NOTE_BYTES
from protocol.receipt import Receipt, exact_receipts, receipts_from_value, receipts_to_value
from protocol.routing import MAX_RECIPIENTS

T = TypeVar("T")

CONTENT_TYPE = "application/cbor"
MAX_ENVELOPES = 64
MAX_STATEMENTS = 256
MAX_RECEIPTS = 256
MAX_BATCH_BYTES = 4 * 1024 * 1024
MAX_STATEMENTS_BYTES = 1024 * 1024
# 64 envelopes of 32 recipients each, with a checkpoint for every receipt that is a repeat, and room for half as much.
MAX_ANSWER_BYTES = 12 * 1024 * 1024
# Of one envelope: relayed, and for every recipient relayed on or consigned.
MAX_ANSWER_RECEIPTS = 1 + 2 * MAX_RECIPIENTS
# Of all receipts that one body judges.
MAX_VERDICTS = 4_096
# It tells of one log's head: the checkpoint that was signed first, and the latest of the same tree.
MAX_HEAD_NOTES = 2
MAX_HEAD_BYTES = MAX_HEAD_NOTES * (MAX_NOTE_BYTES + 16)

# The first bytes of a page of a mailbox, and of the answers to a batch.
_PAGE_START, _ANSWERS_START = bytes.fromhex("a301"), bytes.fromhex("a201")
_RECEIVED = bytes.fromhex("a101")  # an answer that is receipts
_NULL = 0xF6


@dataclass(frozen=True, slots=True)
class EnvelopeAnswer:
    """What a node said of one envelope: its receipts, not verified, or its refusal."""

    receipts: tuple[Receipt, ...] = ()
    refusal: ComityError | None = None


def decode_items(body: bytes, max_items: int, max_bytes: int) -> list[bytes]:
    """An array of 1 to ``max_items`` byte strings; raises :class:`MalformedError` and its kin."""
    if len(body) <= max_bytes:
        try:
            return _exact_items(body, max_items)
        except exact.NOT_EXACT:
            pass  # read again below, which says what is wrong
    value = cbor.decode(body, max_bytes=max_bytes, max_depth=2)
    if type(value) is not list or any(type(item) is not bytes for item in value):
        raise MalformedError("the body is not an array of byte strings")
    if not 1 <= len(value) <= max_items:
        raise TooLargeError(f"a request carries 1 to {max_items} items")
    return value


def _exact_items(body: bytes, max_items: int) -> list[bytes]:
    """An array with nothing wrong in it; raises one of :data:`exact.NOT_EXACT` for any other bytes."""
    count, at = exact.count(body, 0)
    if not 1 <= count <= max_items:
        raise exact.InexactError
    items = []
    for _ in range(count):
        item, at = exact.byte_string(body, at)
        items.append(item)
    if at != len(body):
        raise exact.InexactError
    return items


def encode_items(items: Sequence[bytes]) -> bytes:
    """The body of a request: an array of byte strings."""
    return cbor.encode_ordered(list(items))


def encode_answers(answers: Sequence[EnvelopeAnswer]) -> bytes:
    """The answer to a batch: ``{1: [{1: [receipt number]} or {2: problem}], 2: receipts}``."""
    receipts: list[Receipt] = []
    rows = [answer_to_value(answer, receipts) for answer in answers]
    return cbor.encode_ordered({1: rows, 2: receipts_to_value(receipts)})


def decode_answers(body: bytes, count: int, source: str) -> list[EnvelopeAnswer]:
    """The ``count`` answers in a partner's response; raises :class:`PeerFailedError` for anything else."""
    if len(body) <= MAX_ANSWER_BYTES:
        try:
            return _exact_answers(body, count)
        except exact.NOT_EXACT:
            pass  # read again below, which says what is wrong
    value = _decode(body, source)
    if type(value) is not dict or set(value) != {1, 2} or type(value[1]) is not list or len(value[1]) != count:
        raise _nonsense(source)
    try:
        receipts = receipts_from_value(value[2])
        return [answer_from_value(row, receipts, source) for row in value[1]]
    except (MalformedError, TooLargeError) as problem:
        raise _nonsense(source) from problem


def _exact_answers(body: bytes, count: int) -> list[EnvelopeAnswer]:
    """Answers with nothing wrong and no refusal in them; raises one of :data:`exact.NOT_EXACT` for any other bytes."""
    if not body.startswith(_ANSWERS_START):
        raise exact.InexactError
    rows, at = exact.count(body, len(_ANSWERS_START))
    if rows != count:
        raise exact.InexactError
    room = cbor.MAX_ITEMS - 4  # the answers themselves, their keys and the array
    named = []
    for _ in range(rows):
        if not body.startswith(_RECEIVED, at):
            raise exact.InexactError
        numbers, at = exact.unsigneds(body, at + len(_RECEIVED), MAX_ANSWER_RECEIPTS)
        room -= 3 + len(numbers)
        named.append(numbers)
    if body[at] != 2:
        raise exact.InexactError
    receipts, at = exact_receipts(body, at + 1, room)
    if at != len(body):
        raise exact.InexactError
    return [EnvelopeAnswer(tuple([receipts[number] for number in numbers])) for numbers in named]


def encode_verdicts(verdicts: Sequence[ComityError | None]) -> bytes:
    """The answer to a batch of receipts: null where it stands, else the problem."""
    return cbor.encode_ordered([_verdict(verdict) for verdict in verdicts])


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


@dataclass(frozen=True, slots=True)
class MailboxEntry:
    """One entry: a message with the node's receipts, or (``envelope`` None) receipts about a message sent before."""

    sequence: int
    envelope: bytes | None
    receipts: tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class MailboxPage:
    """Entries in order, and the highest sequence that the mailbox holds."""

    entries: tuple[MailboxEntry, ...]
    head: int


def encode_mailbox(entries: Sequence[tuple[int, bytes | None, Sequence[Receipt]]], head: int) -> bytes:
    """A page of a mailbox: ``{1: [[seq, envelope or null, [receipt number]]], 2: receipts, 3: highest seq}``."""
    receipts: list[Receipt] = []
    rows: list[list[Any]] = []
    for sequence, envelope, own in entries:
        rows.append([sequence, envelope, list(range(len(receipts), len(receipts) + len(own)))])
        receipts += own
    return cbor.encode_ordered({1: rows, 2: receipts_to_value(receipts), 3: head})


def decode_mailbox(body: bytes, after: int, source: str) -> MailboxPage:
    """The page after the sequence ``after`` in a node's response; raises :class:`PeerFailedError` for anything else."""
    if len(body) <= MAX_ANSWER_BYTES:
        try:
            return _exact_mailbox(body, after)
        except exact.NOT_EXACT:
            pass  # read again below, which says what is wrong
    value = _decode(body, source)
    if type(value) is not dict or set(value) != {1, 2, 3} or type(value[1]) is not list or not _is_sequence(value[3]):
        raise _nonsense(source)
    try:
        receipts = receipts_from_value(value[2])
        entries = tuple(_entry(row, receipts) for row in value[1])
    except (MalformedError, TooLargeError) as problem:
        raise _nonsense(source) from problem
    sequences = [after, *(entry.sequence for entry in entries)]
    if sequences != sorted(set(sequences)):
        raise _nonsense(source)
    return MailboxPage(entries, value[3])


def _exact_mailbox(body: bytes, after: int) -> MailboxPage:
    """A page with nothing wrong in it; raises one of :data:`exact.NOT_EXACT` for any other bytes."""
    if not body.startswith(_PAGE_START):
        raise exact.InexactError
    count, at = exact.count(body, len(_PAGE_START))
    room = cbor.MAX_ITEMS - 6  # the page itself, its keys, the array and the head
    rows = []
    for _ in range(count):
        if body[at] != 0x83:
            raise exact.InexactError
        sequence, at = exact.unsigned(body, at + 1)
        if not after < sequence <= MAX_SIZE:
            raise exact.InexactError
        after = sequence
        envelope = None
        if body[at] == _NULL:
            at += 1
        else:
            envelope, at = exact.byte_string(body, at)
        numbers, at = exact.unsigneds(body, at, room)
        room -= 4 + len(numbers)
        rows.append((sequence, envelope, numbers))
    if body[at] != 2:
        raise exact.InexactError
    receipts, at = exact_receipts(body, at + 1, room)
    if body[at] != 3:
        raise exact.InexactError
    head, at = exact.unsigned(body, at + 1)
    if at != len(body) or head > MAX_SIZE:
        raise exact.InexactError
    entries = [MailboxEntry(sequence, raw, tuple([receipts[n] for n in own])) for sequence, raw, own in rows]
    return MailboxPage(tuple(entries), head)


def _entry(row: Any, receipts: Sequence[Receipt]) -> MailboxEntry:
    if type(row) is not list or len(row) != 3 or type(row[1]) not in {bytes, type(None)} or not _is_sequence(row[0]):
        raise MalformedError("an entry is its sequence, an envelope or null, and its receipts")
    return MailboxEntry(row[0], row[1], picked(row[2], receipts))


def _is_sequence(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_SIZE


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a partner that pulls: envelopes and groups of receipts, each by its number in the queue."""

    envelopes: tuple[tuple[int, bytes], ...] = ()
    receipts: tuple[tuple[int, tuple[Receipt, ...]], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.envelopes or self.receipts)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a partner did with what it pulled: an answer per envelope, verdicts per group of receipts, by number."""

    answers: tuple[tuple[int, EnvelopeAnswer], ...] = ()
    verdicts: tuple[tuple[int, tuple[ComityError | None, ...]], ...] = ()


def encode_waiting(waiting: Waiting) -> bytes:
    """The answer to a pull: ``{1: [[number, envelope]], 2: [[number, [receipt number]]], 3: receipts}``."""
    receipts: list[Receipt] = []
    groups: list[list[Any]] = []
    for number, own in waiting.receipts:
        groups.append([number, list(range(len(receipts), len(receipts) + len(own)))])
        receipts += own
    return cbor.encode_ordered({1: [list(row) for row in waiting.envelopes], 2: groups, 3: receipts_to_value(receipts)})


def decode_waiting(body: bytes, source: str) -> Waiting:
    """What a relay says that waits; raises :class:`PeerFailedError` for anything else."""
    value = _decode(body, source)
    try:
        rows, groups, receipts = _three(value)
        return Waiting(
            tuple(_numbered(row, bytes) for row in rows),
            tuple((n, picked(numbers, receipts)) for n, numbers in (_numbered(row, list) for row in groups)),
        )
    except (MalformedError, TooLargeError) as problem:
        raise _nonsense(source) from problem


def encode_taken(taken: Taken) -> bytes:
    """The body of a pull: ``{1: [[number, answer]], 2: [[number, [null or problem]]], 3: receipts}``."""
    receipts: list[Receipt] = []
    answers: list[list[Any]] = []
    for number, answer in taken.answers:
        answers.append([number, answer_to_value(answer, receipts)])
    verdicts = [[number, [_verdict(verdict) for verdict in own]] for number, own in taken.verdicts]
    return cbor.encode_ordered({1: answers, 2: verdicts, 3: receipts_to_value(receipts)})


def decode_taken(body: bytes, source: str) -> Taken:
    """What a partner says that it took; raises :class:`MalformedError` and its kin."""
    answers, verdicts, receipts = _three(cbor.decode(body, max_bytes=MAX_ANSWER_BYTES))
    groups = [_numbered(row, list) for row in verdicts]
    if sum(len(own) for _, own in groups) > MAX_VERDICTS:
        raise TooLargeError(f"a body judges at most {MAX_VERDICTS} receipts")
    return Taken(
        tuple((n, answer_from_value(row, receipts, source)) for n, row in (_numbered(row, dict) for row in answers)),
        tuple((n, tuple(verdict_from_value(item, source) for item in own)) for n, own in groups),
    )


def answer_to_value(answer: EnvelopeAnswer, receipts: list[Receipt]) -> dict[int, Any]:
    """``{1: [receipt number]}`` or ``{2: problem}``; the answer's receipts are appended to ``receipts``."""
    if answer.refusal is not None:
        return {2: problem_text(answer.refusal)}
    first = len(receipts)
    receipts += answer.receipts
    return {1: list(range(first, len(receipts)))}


def answer_from_value(row: Any, receipts: Sequence[Receipt], source: str) -> EnvelopeAnswer:
    """The answer in a CBOR value; raises :class:`MalformedError`."""
    if type(row) is not dict or len(row) != 1:
        raise MalformedError("an answer is its receipts or a problem")
    if 2 in row:
        if type(row[2]) is not str:
            raise MalformedError("a problem is a text")
        return EnvelopeAnswer(refusal=problem_of(row[2], source))
    numbers = row.get(1)
    if type(numbers) is list and len(numbers) > MAX_ANSWER_RECEIPTS:
        # One receipt may be named again and again, and is verified each time.
        raise TooLargeError(f"an answer names at most {MAX_ANSWER_RECEIPTS} receipts")
    return EnvelopeAnswer(picked(numbers, receipts))


def verdict_from_value(item: Any, source: str) -> ComityError | None:
    """A verdict on a receipt: null or a problem; raises :class:`MalformedError`."""
    if item is None:
        return None
    if type(item) is not str:
        raise MalformedError("a verdict is null or a problem")
    return problem_of(item, source)


def _verdict(verdict: ComityError | None) -> str | None:
    return None if verdict is None else problem_text(verdict)


def _three(value: Any) -> tuple[list[Any], list[Any], list[Receipt]]:
    if type(value) is not dict or set(value) != {1, 2, 3} or type(value[1]) is not list or type(value[2]) is not list:
        raise MalformedError("the body is a map of two arrays and the receipts that they name")
    if len(value[1]) > MAX_ENVELOPES or len(value[2]) > MAX_RECEIPTS:
        raise TooLargeError(f"at most {MAX_ENVELOPES} envelopes and {MAX_RECEIPTS} groups of receipts travel together")
    return value[1], value[2], receipts_from_value(value[3])


def _numbered(row: Any, kind: type[T]) -> tuple[int, T]:
    if type(row) is not list or len(row) != 2 or type(row[0]) is not int or type(row[1]) is not kind:
        raise MalformedError("each row begins with its number in the queue")
    if not 0 <= row[0] <= MAX_SIZE:
        raise MalformedError("each row begins with its number in the queue")
    return row[0], row[1]


def picked(numbers: Any, receipts: Sequence[Receipt]) -> tuple[Receipt, ...]:
    """The receipts that a body names by their numbers in it; raises :class:`MalformedError`."""
    if type(numbers) is not list or any(type(n) is not int or not 0 <= n < len(receipts) for n in numbers):
        raise MalformedError("a receipt is named by its number")
    return tuple(receipts[n] for n in numbers)


@dataclass(frozen=True, slots=True)
class Heads:
    """What a node saw of the logs: the newest (origin, size, root) of each; and the proofs of misbehaviour that it
    holds: (origin, digest)."""

    seen: tuple[tuple[str, int, bytes], ...] = ()
    proofs: tuple[tuple[str, bytes], ...] = ()


def encode_heads(heads: Heads) -> bytes:
    """``{1: [[origin, size, root]], 2: [[origin, digest]]}``."""
    return cbor.encode_ordered({1: [list(row) for row in heads.seen], 2: [list(row) for row in heads.proofs]})


def decode_heads(body: bytes, source: str) -> Heads:
    """What a partner says that it saw; raises :class:`PeerFailedError` for anything else."""
    value = _decode(body, source)
    if type(value) is not dict or value.keys() != {1, 2}:
        raise _nonsense(source)
    seen, proofs = _rows(value[1], (str, int, bytes), source), _rows(value[2], (str, bytes), source)
    if any(len(row[-1]) != HASH_BYTES for row in (*seen, *proofs)) or any(not 0 <= row[1] <= MAX_SIZE for row in seen):
        raise _nonsense(source)
    return Heads(seen, proofs)


def encode_head(notes: Sequence[bytes]) -> bytes:
    """``[signed note, ...]``: what is known of one log's newest tree, in the order of their times; one or two."""
    return cbor.encode(list(notes))


def decode_head(body: bytes, source: str) -> tuple[bytes, ...]:
    """The notes, not verified; raises :class:`PeerFailedError` for anything else."""
    value = _decode(body, source)
    if type(value) is not list or not 1 <= len(value) <= MAX_HEAD_NOTES:
        raise _nonsense(source)
    if any(type(note) is not bytes for note in value):
        raise _nonsense(source)
    return tuple(value)


def _rows(value: Any, kinds: tuple[type, ...], source: str) -> tuple[Any, ...]:
    if type(value) is not list or any(type(row) is not list or tuple(map(type, row)) != kinds for row in value):
        raise _nonsense(source)
    return tuple(tuple(row) for row in value)


def decode_hashes(body: bytes, source: str) -> list[bytes]:
    """A consistency proof; raises :class:`PeerFailedError` for anything else."""
    value = _decode(body, source)
    if type(value) is not list or any(type(item) is not bytes or len(item) != HASH_BYTES for item in value):
        raise _nonsense(source)
    return value


def _decode(body: bytes, source: str) -> Any:
    try:
        return cbor.decode(body, max_bytes=MAX_ANSWER_BYTES)
    except (MalformedError, TooLargeError) as problem:
        raise _nonsense(source) from problem


def _nonsense(source: str) -> PeerFailedError:
    return PeerFailedError(f"{source} answered with something that is not an answer of this protocol")

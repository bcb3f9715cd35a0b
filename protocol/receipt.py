"""Receipts: proof that a node logged an event about a message.

A receipt is the log entry, its place, the path to a root, and the checkpoint that signs that root. Receipts that travel
together share their checkpoints.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from struct import Struct
from typing import Any

from protocol.encoding import cbor, exact
from protocol.errors import MalformedError, TooLargeError
from protocol.event import MAX_EVENT_BYTES, Event, decode_event
from protocol.log.checkpoint import Checkpoint, LogVerifier, parse_checkpoint, verify_checkpoint
from protocol.log.merkle import HASH_BYTES, MAX_PATH_HASHES, MAX_SIZE, InclusionVerifier, leaf_hash
from protocol.log.note import MAX_NOTE_BYTES
from protocol.log.proof import encode_tlog_proof
from protocol.statement import SignedStatement, parse_statement

MAX_RECEIPTS = 8192
MAX_CHECKPOINTS = 1024
DEFAULT_CACHED_CHECKPOINTS = 4096  # some 500 bytes each
# By the number of hashes in it: a path cut into them.
_HASHES = tuple(Struct(f"{HASH_BYTES}s" * count) for count in range(MAX_PATH_HASHES + 1))
_REMEMBERED_TREES = 16  # the receipts of one batch, or of a few that cross, are under one tree


@dataclass(frozen=True, slots=True)
class Receipt:
    """A log entry ``leaf`` at ``index``, the ``path`` (32-byte hashes) to the root, and the ``checkpoint`` note.

    Holding one proves nothing: see :class:`ReceiptVerifier`.
    """

    leaf: bytes
    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """A receipt that the log ``origin`` cannot deny.

    The caller has still to check that the event is about the message at hand (id, digest, recipient), and for a desk's
    event the signature on ``statement`` under a key of the event's recipient. ``signed_at`` is the log's own word for
    when it signed the checkpoint, None if it gave none.
    """

    event: Event
    origin: str
    index: int
    size: int
    root: bytes
    leaf_hash: bytes
    receipt: Receipt
    statement: SignedStatement | None
    signed_at: datetime | None


class ReceiptVerifier:
    """Verifies receipts; each checkpoint's signatures once, as long as its log's keys stay the same.

    ``verifier_for(origin)`` returns the keys of a log from the directory, or raises. Not thread-safe.
    """

    def __init__(
        self, verifier_for: Callable[[str], LogVerifier], *, cached_checkpoints: int = DEFAULT_CACHED_CHECKPOINTS
    ) -> None:
        self._verifier_for = verifier_for
        self._max_cached = cached_checkpoints
        # By the digest of the note: who verified it, what it says, and when it was signed.
        self._verified: OrderedDict[bytes, tuple[LogVerifier, Checkpoint, datetime | None]] = OrderedDict()
        self._last: tuple[bytes, LogVerifier, tuple[Checkpoint, datetime | None, InclusionVerifier]] | None = None
        # Of the last few trees: what is already proved to be in them. By size and root, whoever signed them.
        self._trees: OrderedDict[tuple[int, bytes], InclusionVerifier] = OrderedDict()

    def verify(self, receipt: Receipt) -> VerifiedReceipt:
        """The receipt, proved; raises what ``verifier_for`` raises, and

        :class:`CheckpointInvalidError`: the checkpoint is not the log's. :class:`ProofInvalidError`: the entry is not
        under it. :class:`MalformedError` and its kin: the entry is not an event, or a desk's event does not say what
        its statement says.
        """
        checkpoint, signed_at, tree = self._under(receipt.checkpoint)
        hash_ = leaf_hash(receipt.leaf)
        tree.verify(hash_, receipt.index, receipt.path)
        event = decode_event(receipt.leaf)
        return VerifiedReceipt(
            event=event,
            origin=checkpoint.origin,
            index=receipt.index,
            size=checkpoint.size,
            root=checkpoint.root,
            leaf_hash=hash_,
            receipt=receipt,
            statement=statement_of(event),
            signed_at=signed_at,
        )

    def _under(self, note: bytes) -> tuple[Checkpoint, datetime | None, InclusionVerifier]:
        """What the note says, verified, and its tree. Receipts that came together share the very object ``note``."""
        last = self._last
        # The keys are asked for every time: the directory may have withdrawn them since.
        if last is not None and last[0] is note and self._verifier_for(last[2][0].origin) is last[1]:
            return last[2]
        verifier, checkpoint, signed_at = self._checkpoint(note)
        found = checkpoint, signed_at, self._tree(checkpoint)
        self._last = note, verifier, found
        return found

    def _tree(self, checkpoint: Checkpoint) -> InclusionVerifier:
        key = (checkpoint.size, checkpoint.root)
        tree = self._trees.get(key)
        if tree is None:
            tree = self._trees[key] = InclusionVerifier(checkpoint.size, checkpoint.root)
            if len(self._trees) > _REMEMBERED_TREES:
                self._trees.popitem(last=False)
        return tree

    def _checkpoint(self, note: bytes) -> tuple[LogVerifier, Checkpoint, datetime | None]:
        key = sha256(note).digest()
        known = self._verified.get(key)
        verifier = self._verifier_for(known[1].origin if known else parse_checkpoint(note).origin)
        if known is not None and known[0] == verifier:
            self._verified.move_to_end(key)
            return verifier, known[1], known[2]
        verified = verify_checkpoint(note, verifier)
        self._verified[key] = (verifier, verified.checkpoint, verified.signed_at)
        while len(self._verified) > self._max_cached:
            self._verified.popitem(last=False)
        return verifier, verified.checkpoint, verified.signed_at


def statement_of(event: Event) -> SignedStatement | None:
    """The statement inside a desk's event, None for other events; its signature is **not** verified.

    Raises :class:`MalformedError` and its kin when it is no statement or says anything else than the event. The times
    may differ: one is the desk's clock, the other the node's.
    """
    if event.statement is None:
        return None
    signed = parse_statement(event.statement)
    said = signed.statement
    if (said.event, said.message_id, said.digest, said.recipient, said.reasons, said.files) != (
        event.name,
        event.message_id,
        event.digest,
        event.recipient,
        event.reasons,
        event.files,
    ):
        raise MalformedError("the event does not say what the desk's statement says")
    return signed


def split_path(path: bytes) -> tuple[bytes, ...]:
    """The hashes of a path that stand one behind the other, as it is kept and as it travels."""
    return _HASHES[len(path) // HASH_BYTES].unpack(path)


def receipts_to_value(receipts: Sequence[Receipt]) -> list[Any]:
    """The receipts as a CBOR value: ``[[checkpoint, ...], [[leaf, index, path, checkpoint number], ...]]``."""
    if len(receipts) > MAX_RECEIPTS:
        raise TooLargeError(f"at most {MAX_RECEIPTS} receipts travel together")
    numbers: dict[bytes, int] = {}
    rows = [
        [receipt.leaf, receipt.index, b"".join(receipt.path), numbers.setdefault(receipt.checkpoint, len(numbers))]
        for receipt in receipts
    ]
    if len(numbers) > MAX_CHECKPOINTS:
        raise TooLargeError(f"at most {MAX_CHECKPOINTS} checkpoints travel together")
    return [list(numbers), rows]


def receipts_from_value(value: object) -> list[Receipt]:
    """The receipts in a CBOR value, in their order, not verified; raises :class:`MalformedError` and its kin."""
    notes, rows = _pair_of_arrays(value)
    if len(rows) > MAX_RECEIPTS or len(notes) > MAX_CHECKPOINTS:
        raise TooLargeError(f"at most {MAX_RECEIPTS} receipts and {MAX_CHECKPOINTS} checkpoints travel together")
    for note in notes:
        if type(note) is not bytes or len(note) > MAX_NOTE_BYTES:
            raise MalformedError(f"a checkpoint is a byte string of at most {MAX_NOTE_BYTES} bytes")
    receipts = [_receipt(row, notes) for row in rows]
    # One encoding: every checkpoint once, and none that nothing refers to.
    if len(set(notes)) != len(notes) or {row[3] for row in rows} != set(range(len(notes))):
        raise MalformedError("the checkpoints are not exactly those that the receipts need, each once")
    return receipts


def encode_receipts(receipts: Sequence[Receipt]) -> bytes:
    """The receipts as canonical CBOR."""
    return cbor.encode_ordered(receipts_to_value(receipts))


def decode_receipts(data: bytes) -> list[Receipt]:
    """The receipts in canonical CBOR, not verified; raises :class:`MalformedError` and its kin."""
    if len(data) <= cbor.MAX_BYTES:
        try:
            return _exact_whole(data)
        except exact.NOT_EXACT:
            pass  # read again below, which says what is wrong
    return receipts_from_value(cbor.decode(data, max_depth=4))


def _exact_whole(data: bytes) -> list[Receipt]:
    receipts, end = exact_receipts(data, 0, cbor.MAX_ITEMS)
    if end != len(data):
        raise exact.InexactError
    return receipts


def exact_receipts(data: bytes, at: int, room: int) -> tuple[list[Receipt], int]:
    """Receipts with nothing wrong in them, and where they end; raises one of :data:`exact.NOT_EXACT` for other bytes.

    They are at most ``room`` items of CBOR. As with every reader there, what the data is too short for is cut: the
    caller compares the end.
    """
    if data[at] != 0x82:
        raise exact.InexactError
    count, at = exact.count(data, at + 1)
    room -= 3 + count
    if count > MAX_CHECKPOINTS:
        raise exact.InexactError
    notes: list[bytes] = []
    for _ in range(count):
        note, at = exact.byte_string(data, at)
        if len(note) > MAX_NOTE_BYTES:
            raise exact.InexactError
        notes.append(note)
    count, at = exact.count(data, at)
    if 5 * count > room:
        raise exact.InexactError
    used = set()
    receipts = []
    for _ in range(count):
        if data[at] != 0x84:
            raise exact.InexactError
        leaf, at = exact.byte_string(data, at + 1)
        index, at = exact.unsigned(data, at)
        path, at = exact.byte_string(data, at)
        number, at = exact.unsigned(data, at)
        if len(leaf) > MAX_EVENT_BYTES or index > MAX_SIZE:
            raise exact.InexactError
        hashes, cut = divmod(len(path), HASH_BYTES)
        if cut:
            raise exact.InexactError
        used.add(number)
        receipts.append(Receipt(leaf, index, _HASHES[hashes].unpack(path), notes[number]))
    if len(used) != len(notes) or len(set(notes)) != len(notes):
        raise exact.InexactError
    return receipts, at


def to_tlog_proof(receipt: Receipt) -> bytes:
    """The receipt without its entry as a C2SP tlog-proof: kept beside the entry, other tools can verify it."""
    return encode_tlog_proof(receipt.index, receipt.path, receipt.checkpoint)


def _pair_of_arrays(value: object) -> tuple[list[Any], list[Any]]:
    if type(value) is not list or len(value) != 2 or type(value[0]) is not list or type(value[1]) is not list:
        raise MalformedError("receipts are an array of checkpoints and an array of entries")
    return value[0], value[1]


def _receipt(row: object, notes: list[Any]) -> Receipt:
    if type(row) is not list or len(row) != 4:
        raise MalformedError("a receipt is an array of leaf, index, path and checkpoint number")
    leaf, index, path, number = row
    if type(leaf) is not bytes or len(leaf) > MAX_EVENT_BYTES:
        raise MalformedError(f"a log entry is a byte string of at most {MAX_EVENT_BYTES} bytes")
    if type(index) is not int or not 0 <= index <= MAX_SIZE:
        raise MalformedError("an index is an unsigned integer below 2^63")
    if type(path) is not bytes or len(path) % HASH_BYTES or len(path) > MAX_PATH_HASHES * HASH_BYTES:
        raise MalformedError(f"a path is at most {MAX_PATH_HASHES} hashes of {HASH_BYTES} bytes")
    if type(number) is not int or not 0 <= number < len(notes):
        raise MalformedError("a receipt names one of the checkpoints by its number")
    return Receipt(leaf, index, split_path(path), notes[number])

"""Bundles: what travels by hand between nodes, or between a desk and its node, when there is no network.

A bundle is one or more *parts*, each a file of its own::

    part    = "comity-bundle/1" LF || length of the object (8, big-endian) || object
    object  = COSE_Sign1 { Ed25519, content type, key id } ( payload ), domain comity/v1/bundle
    payload = { 1: version, 2: from, 3: to, 4: created, 5: bundle id, 6: part number, 7: parts, 8: sections }

Every part stands for itself: it is taken alone, in any order unless its mailbox pages say otherwise, and again without
harm. The same contents, holders and time give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from protocol.address import Address, parse_node
from protocol.bundle_sizes import MAX_HAND_BYTES, MAX_HANDS, MAX_PART_BYTES, MIN_PART_BYTES
from protocol.crypto import cose
from protocol.crypto.signing import Ed25519Verifier, Signer
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import (
    BundleAlteredError,
    BundleElsewhereError,
    BundleTruncatedError,
    MalformedError,
    NonCanonicalError,
    SignatureInvalidError,
    TooLargeError,
    UnsupportedVersionError,
)
from protocol.http.files import Ranges, hands_from_value, held_from_value, held_to_value
from protocol.http.wire import MailboxEntry, picked
from protocol.receipt import Receipt, receipts_from_value, receipts_to_value

VERSION = 1
MAGIC = b"comity-bundle/1\n"
BUNDLE_TYPE = "application/vnd.comity.bundle+cose"
BUNDLE_CONTEXT = b"comity/v1/bundle"
LENGTH_BYTES = 8
ID_BYTES = 16
DIGEST_BYTES = 32
HAND_TYPE = "application/vnd.comity.hand+cose"
HAND_CONTEXT = b"comity/v1/hand"
MAX_HANDS_BYTES = MAX_HANDS * (MAX_HAND_BYTES + 3) + 1
MAX_PARTS = 10_000
# Receipts of one part: below what may travel together.
_PART_RECEIPTS = 1_000
# Messages, files and ranges together that are told of evidence files in one bundle.
MAX_FILES_TOLD = 4_000
# Rows of one part, and all keys and values of one: its rows, receipts and the directory's files come to fewer.
_PART_ROWS = 4_000
MAX_PART_ITEMS = 60_000

_DIRECTORY, _ENVELOPES, _PASSED_ON, _STATEMENTS, _MAILBOX, _ANSWERS, _VERDICTS, _AFTER, _RECEIPTS, _FILES = range(1, 11)
_LISTS = (_ENVELOPES, _PASSED_ON, _STATEMENTS, _MAILBOX, _ANSWERS, _VERDICTS, _FILES)


@dataclass(frozen=True, slots=True)
class BundleAnswer:
    """What became of an envelope or statement (``key`` is its SHA-256): its receipts, or a problem document."""

    key: bytes
    receipts: tuple[Receipt, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class BundleVerdict:
    """What became of a receipt (``key`` is its leaf hash): it stands (None), or a problem document."""

    key: bytes
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class FilesHad:
    """Which segments of each file the exporter has, of the message whose envelope has this digest."""

    digest: bytes
    held: tuple[Ranges, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a part carries. ``after`` is the mailbox sequence that ``mailbox`` begins after, or that a desk has."""

    directory: Mapping[str, bytes] = field(default_factory=dict)
    answers: tuple[BundleAnswer, ...] = ()
    verdicts: tuple[BundleVerdict, ...] = ()
    passed_on: tuple[Receipt, ...] = ()
    envelopes: tuple[bytes, ...] = ()
    statements: tuple[bytes, ...] = ()
    mailbox: tuple[MailboxEntry, ...] = ()
    after: int | None = None
    files: tuple[FilesHad, ...] = ()


@dataclass(frozen=True, slots=True)
class BundlePart:
    """A well-formed part; ``signed`` is verified by :func:`verify_part`, not before."""

    sender: str
    recipient: str
    created: datetime
    bundle_id: bytes
    number: int
    count: int
    contents: Contents
    digest: bytes
    signed: cose.Sign1

    @property
    def kid(self) -> bytes:
        """The id of the key that claims to have signed."""
        return self.signed.kid


def write_bundle(
    sender: str, recipient: str, created: datetime, contents: Contents, signer: Signer, max_part_bytes: int
) -> list[bytes]:
    """The parts of a bundle of ``contents``, each of about ``max_part_bytes`` at most unless one item is larger.

    The directory stands whole in the first part. Raises :class:`TooLargeError` or :class:`MalformedError`.
    """
    if not MIN_PART_BYTES <= max_part_bytes <= MAX_PART_BYTES:
        raise TooLargeError(f"a part has {MIN_PART_BYTES} to {MAX_PART_BYTES} bytes")
    sections = [_to_value(part) for part in _split(contents, max_part_bytes)]
    if len(sections) > MAX_PARTS:
        raise TooLargeError(f"a bundle has at most {MAX_PARTS} parts")
    digests = [sha256(cbor.encode(section)).digest() for section in sections]
    head = [_holder(sender), _holder(recipient), to_ms(created)]
    bundle_id = sha256(b"comity/v1/bundle-id\0" + cbor.encode([*head, digests])).digest()[:ID_BYTES]
    parts = []
    for number, section in enumerate(sections, 1):
        payload = cbor.encode(
            {1: VERSION, 2: sender, 3: recipient, 4: head[2], 5: bundle_id, 6: number, 7: len(sections), 8: section}
        )
        signed = cose.sign1(payload, BUNDLE_TYPE, BUNDLE_CONTEXT, signer)
        part = MAGIC + len(signed).to_bytes(LENGTH_BYTES, "big") + signed
        if len(part) > MAX_PART_BYTES:
            raise TooLargeError(f"a part would have more than {MAX_PART_BYTES} bytes")
        parts.append(part)
    return parts


def parse_part(data: bytes, holder: str | None) -> BundlePart:
    """The part in ``data``, addressed to ``holder`` (None: to anyone), checked for all that needs no key.

    Raises :class:`MalformedError` (no bundle at all), :class:`BundleTruncatedError`, :class:`BundleAlteredError`,
    :class:`BundleElsewhereError`, :class:`TooLargeError` or :class:`UnsupportedVersionError`.
    """
    if len(data) > MAX_PART_BYTES:
        raise TooLargeError(f"a part of a bundle has at most {MAX_PART_BYTES} bytes")
    start = len(MAGIC) + LENGTH_BYTES
    if not data.startswith(MAGIC[: len(data)]) or not data:
        raise MalformedError("the file is not a Comity bundle")
    said = int.from_bytes(data[len(MAGIC) : start], "big")
    if len(data) < start or len(data) - start < said:
        raise BundleTruncatedError(f"the file has {len(data)} bytes; the bundle's part has {start + said}")
    if len(data) - start > said:
        raise BundleAlteredError("something was appended to the bundle")
    try:
        return _part(data, data[start:], holder)
    except NonCanonicalError as problem:
        raise BundleAlteredError(f"the bundle does not read as it was written: {problem.detail}") from problem
    except (UnsupportedVersionError, TooLargeError):
        raise
    except MalformedError as problem:
        raise BundleAlteredError(f"the bundle does not read as it was written: {problem.detail}") from problem


def verify_part(part: BundlePart, verifier: Ed25519Verifier) -> Contents:
    """The contents, signed by ``verifier``, the sender's key by the directory; raises :class:`BundleAlteredError`."""
    if verifier.kid != part.kid:
        raise BundleAlteredError("the key is not the one that the bundle names")
    try:
        cose.verify_sign1(part.signed, BUNDLE_CONTEXT, verifier)
    except SignatureInvalidError as problem:
        raise BundleAlteredError(f"the bundle is not what {part.sender} signed") from problem
    return part.contents


@dataclass(frozen=True, slots=True)
class Hand:
    """Who exported the files of a message (the digest of its envelope) for whom; ``signed`` is not verified."""

    digest: bytes
    sender: str
    recipient: str
    created: datetime
    signed: cose.Sign1


def write_hand(digest: bytes, sender: str, recipient: str, created: datetime, signer: Signer) -> bytes:
    """What lies beside the carried files of a message: ``{1: version, 2: from, 3: to, 4: created, 5: digest}``."""
    value = {1: VERSION, 2: _holder(sender), 3: _holder(recipient), 4: to_ms(created), 5: digest}
    return cose.sign1(cbor.encode(value), HAND_TYPE, HAND_CONTEXT, signer)


def parse_hand(data: bytes) -> Hand:
    """What is said there; raises :class:`MalformedError` and its kin."""
    signed = cose.parse_sign1(data, HAND_TYPE, max_bytes=MAX_HAND_BYTES)
    value = cbor.decode(signed.payload)
    if type(value) is not dict or set(value) != set(range(1, 6)) or type(value[1]) is not int or value[1] != VERSION:
        raise MalformedError("who exported files is told in five fields")
    sender, recipient = _holder(value[2]), _holder(value[3])
    return Hand(_bytes(value[5], DIGEST_BYTES), sender, recipient, from_ms(value[4]), signed)


def verify_hand(hand: Hand, verifier: Ed25519Verifier) -> None:
    """Return if its sender's key signed it; raises :class:`BundleAlteredError`."""
    if verifier.kid != hand.signed.kid:
        raise BundleAlteredError("the key is not the one that is named")
    try:
        cose.verify_sign1(hand.signed, HAND_CONTEXT, verifier)
    except SignatureInvalidError as problem:
        raise BundleAlteredError(f"this is not what {hand.sender} signed") from problem


def encode_hands(hands: Sequence[bytes]) -> bytes:
    """What lies beside :func:`write_hand`'s: by whose hands the files came to the exporter, each signed by its own."""
    return cbor.encode(list(hands[-MAX_HANDS:]))


def decode_hands(data: bytes) -> tuple[bytes, ...]:
    """The same, read and not verified; raises :class:`MalformedError` and its kin."""
    return hands_from_value(cbor.decode(data, max_bytes=MAX_HANDS_BYTES, max_depth=2))


# --- Writing ---------------------------------------------------------------------------------------------------


def _split(contents: Contents, max_bytes: int) -> Iterator[Contents]:
    """The contents in parts, in the order in which they are taken."""
    part = _Gathering(contents.after)
    part.add("directory", contents.directory, sum(map(len, contents.directory.values())), ())
    for name, item, size, receipts in _items(contents):
        if not part.fits(size, receipts, max_bytes):
            yield part.contents()
            after = part.mailbox[-1].sequence if part.mailbox else part.after
            part = _Gathering(after)
        part.add(name, item, size, receipts)
    yield part.contents()


def _items(contents: Contents) -> Iterator[tuple[str, Any, int, tuple[Receipt, ...]]]:
    for answer in contents.answers:
        yield "answers", answer, 64 + len(answer.problem or ""), answer.receipts
    for verdict in contents.verdicts:
        yield "verdicts", verdict, 64 + len(verdict.problem or ""), ()
    for had in contents.files:
        yield "files", had, 64 + 4 * len(had.held) + 16 * sum(map(len, had.held)), ()
    for receipt in contents.passed_on:
        yield "passed_on", receipt, 16, (receipt,)
    for envelope in contents.envelopes:
        yield "envelopes", envelope, len(envelope) + 8, ()
    for statement in contents.statements:
        yield "statements", statement, len(statement) + 8, ()
    for entry in contents.mailbox:
        yield "mailbox", entry, 32 + len(entry.envelope or b""), entry.receipts


class _Gathering:
    """A part that is being filled."""

    def __init__(self, after: int | None) -> None:
        self.after = after
        self.mailbox: list[MailboxEntry] = []
        self._lists: dict[str, list[Any]] = {"mailbox": self.mailbox}
        self._directory: Mapping[str, bytes] = {}
        self._notes: set[bytes] = set()
        self._receipts = 0
        self._size = 1024  # heads and signature

    def fits(self, size: int, receipts: Sequence[Receipt], max_bytes: int) -> bool:
        """Whether another item goes in; the first one always does."""
        if not any(self._lists.values()):
            return True
        size += sum(_size(receipt) for receipt in receipts)
        size += sum(len(note) + 8 for note in {receipt.checkpoint for receipt in receipts} - self._notes)
        rows = sum(map(len, self._lists.values()))
        if rows >= _PART_ROWS or self._receipts + len(receipts) > _PART_RECEIPTS:
            return False
        return self._size + size <= max_bytes

    def add(self, name: str, item: Any, size: int, receipts: Sequence[Receipt]) -> None:
        if name == "directory":
            self._directory = item
        else:
            self._lists.setdefault(name, []).append(item)
        fresh = {receipt.checkpoint for receipt in receipts} - self._notes
        self._notes |= fresh
        self._receipts += len(receipts)
        self._size += size + sum(_size(r) for r in receipts) + sum(len(note) + 8 for note in fresh)

    def contents(self) -> Contents:
        lists = {name: tuple(items) for name, items in self._lists.items()}
        return Contents(directory=self._directory, after=self.after, **lists)


def _size(receipt: Receipt) -> int:
    return len(receipt.leaf) + 32 * len(receipt.path) + 32


def _to_value(contents: Contents) -> dict[int, Any]:
    receipts: list[Receipt] = []

    def numbers(own: Sequence[Receipt]) -> list[int]:
        receipts.extend(own)
        return list(range(len(receipts) - len(own), len(receipts)))

    value: dict[int, Any] = {
        _DIRECTORY: dict(contents.directory),
        _ENVELOPES: list(contents.envelopes),
        _PASSED_ON: numbers(contents.passed_on),
        _STATEMENTS: list(contents.statements),
        _MAILBOX: [[entry.sequence, entry.envelope, numbers(entry.receipts)] for entry in contents.mailbox],
        _ANSWERS: [
            [answer.key, numbers(answer.receipts) if answer.problem is None else answer.problem]
            for answer in contents.answers
        ],
        _VERDICTS: [[verdict.key, verdict.problem] for verdict in contents.verdicts],
        _FILES: [[had.digest, held_to_value(had.held)] for had in contents.files],
    }
    value = {section: held for section, held in value.items() if held}
    if contents.after is not None:
        value[_AFTER] = contents.after
    if receipts:
        value[_RECEIPTS] = receipts_to_value(receipts)
    return value


# --- Reading ---------------------------------------------------------------------------------------------------


def _part(data: bytes, signed_object: bytes, holder: str | None) -> BundlePart:
    signed = cose.parse_sign1(signed_object, BUNDLE_TYPE, max_bytes=MAX_PART_BYTES)
    value = cbor.decode(signed.payload, max_bytes=MAX_PART_BYTES, max_items=MAX_PART_ITEMS)
    if type(value) is not dict:
        raise MalformedError("a bundle is a map")
    if type(value.get(1)) is not int or value[1] != VERSION:
        raise UnsupportedVersionError(f"the bundle's version is not {VERSION}")
    if set(value) != set(range(1, 9)):
        raise MalformedError("a bundle does not hold exactly the fields of this version")
    sender, recipient = _holder(value[2]), _holder(value[3])
    if holder is not None and recipient != holder:
        raise BundleElsewhereError(f"the bundle is for {recipient}, not for {holder}")
    number, count = value[6], value[7]
    if type(number) is not int or type(count) is not int or not 1 <= number <= count <= MAX_PARTS:
        raise MalformedError("a part has a number among the parts")
    return BundlePart(
        sender=sender,
        recipient=recipient,
        created=from_ms(value[4]),
        bundle_id=_bytes(value[5], ID_BYTES),
        number=number,
        count=count,
        contents=_contents(value[8]),
        digest=sha256(data).digest(),
        signed=signed,
    )


def _contents(value: Any) -> Contents:
    if type(value) is not dict or not set(value) <= set(range(1, 11)):
        raise MalformedError("the sections are not those of this version")
    if any(value.get(section) in ([], {}) for section in (_DIRECTORY, *_LISTS)):
        raise MalformedError("an empty section is left out")
    directory = value.get(_DIRECTORY, {})
    if type(directory) is not dict or any(type(k) is not str or type(v) is not bytes for k, v in directory.items()):
        raise MalformedError("the directory's files are byte strings by name")
    lists = {section: value.get(section, []) for section in _LISTS}
    if any(type(rows) is not list for rows in lists.values()):
        raise MalformedError("a section is an array")
    receipts = receipts_from_value(value[_RECEIPTS]) if _RECEIPTS in value else []
    return Contents(
        directory=directory,
        answers=tuple(_answer(row, receipts) for row in lists[_ANSWERS]),
        verdicts=tuple(_verdict(row) for row in lists[_VERDICTS]),
        passed_on=picked(lists[_PASSED_ON], receipts),
        envelopes=tuple(_bytes(item) for item in lists[_ENVELOPES]),
        statements=tuple(_bytes(item) for item in lists[_STATEMENTS]),
        mailbox=tuple(_entry(row, receipts) for row in lists[_MAILBOX]),
        after=_position(value[_AFTER]) if _AFTER in value else None,
        files=tuple(_had(row) for row in lists[_FILES]),
    )


def _position(value: Any) -> int:
    # Where there is no position the section is left out: null would be a second way to say so.
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise MalformedError("a mailbox sequence is an unsigned integer")
    return value


def _answer(row: Any, receipts: Sequence[Receipt]) -> BundleAnswer:
    key, outcome = _row(row, 2)
    if type(outcome) is str:
        return BundleAnswer(_bytes(key, DIGEST_BYTES), (), outcome)
    return BundleAnswer(_bytes(key, DIGEST_BYTES), picked(outcome, receipts))


def _verdict(row: Any) -> BundleVerdict:
    key, problem = _row(row, 2)
    if problem is not None and type(problem) is not str:
        raise MalformedError("a verdict is null or a problem")
    return BundleVerdict(_bytes(key, DIGEST_BYTES), problem)


def _had(row: Any) -> FilesHad:
    digest, held = _row(row, 2)
    return FilesHad(_bytes(digest, DIGEST_BYTES), held_from_value(held))


def _entry(row: Any, receipts: Sequence[Receipt]) -> MailboxEntry:
    sequence, envelope, numbers = _row(row, 3)
    if type(sequence) is not int or not 1 <= sequence < 1 << 63:
        raise MalformedError("a mailbox sequence is a positive integer below 2^63")
    return MailboxEntry(sequence, None if envelope is None else _bytes(envelope), picked(numbers, receipts))


def _row(row: Any, length: int) -> list[Any]:
    if type(row) is not list or len(row) != length:
        raise MalformedError(f"a row has {length} fields")
    return row


def _bytes(value: Any, length: int | None = None) -> bytes:
    if type(value) is not bytes or (length is not None and len(value) != length):
        raise MalformedError("a byte string was expected")
    return value


def _holder(value: Any) -> str:
    """A node's name or an address."""
    if type(value) is not str:
        raise MalformedError("a holder is a text")
    return str(Address.parse(value)) if "@" in value else parse_node(value)

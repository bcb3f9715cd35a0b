"""Reading one bundle of a log: from bytes to compact rows, with the statements of desks verified.

Pure: it may run in another process. The holder of the directory judges what a key's *time* is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from exchange.audit._times import TimeSpan, span_of
from protocol.crypto.signing import Ed25519Verifier
from protocol.directory_seen import DirectorySeen, decode_entry
from protocol.encoding import cbor
from protocol.encoding.instants import to_ms
from protocol.errors import ComityError
from protocol.event import DESK_EVENTS, Event, EventName, LeafReference
from protocol.log.merkle import HASH_BYTES
from protocol.log.scoped import BundleItem, Withheld, item_hash
from protocol.receipt import statement_of
from protocol.statement import verify_statement

NAMES = tuple(EventName)
_NUMBERS = {name: number for number, name in enumerate(NAMES)}
ACCEPTED = frozenset({EventName.SubmissionAcceptance, EventName.RelayAcceptance})
"""A node has the message; which of the two says from whom."""
_INDEX_BYTES = 8
NOT_HELD = "the desk's statement does not hold"

Keys = Mapping[tuple[str, bytes], bytes]
"""Public keys of contact points, by (address, key id)."""


class Row(NamedTuple):
    """An event as the index keeps it: entry ``number`` of its log, ``at_ms`` in Unix ms, ``name`` a place in ``NAMES``.

    The rest is as in the event, but ``reference``: index (8 bytes), leaf hash (32 bytes) and origin of that entry; and
    ``files``: the digest of what the event says of files, so that two can be told apart. The signature of a desk's
    statement is under ``kid``, if its recipient has such a key; None without one to be judged.
    """

    number: int
    at_ms: int
    name: int
    digest: bytes
    message_id: bytes
    recipient: str | None
    peer: str | None
    reference: bytes | None
    kid: bytes | None
    files: bytes | None


class Problem(NamedTuple):
    """What is wrong with entry ``number``; ``at_ms`` is when it says that it was logged, None if it cannot be read."""

    number: int
    at_ms: int | None
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class EntryReading:
    """What a bundle says. ``hashes`` are those of its items; ``unread`` are the entries that are no rows or views.

    ``unproved`` are the entries with a statement whose key is not known, so that its signature was not verified.
    """

    hashes: bytes
    rows: list[Row] = field(default_factory=list)
    views: list[tuple[int, DirectorySeen]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unproved: list[int] = field(default_factory=list)
    withheld: list[int] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)

    def span(self) -> TimeSpan | None:
        """The times that its entries say."""
        if not self.views:
            return span_of(row.at_ms for row in self.rows)
        times = [(row.number, row.at_ms) for row in self.rows] + [(index, to_ms(one.at)) for index, one in self.views]
        return span_of(at for _, at in sorted(times))


def read_bundle(first: int, items: Sequence[BundleItem], keys: Keys, bounds_ms: tuple[int, int]) -> EntryReading:
    """Read a bundle whose first entry is ``first``; statements are verified that were logged within ``bounds_ms``."""
    reading = EntryReading(b"".join(map(item_hash, items)))
    for index, item in enumerate(items, first):
        if isinstance(item, Withheld):
            reading.withheld.append(index)
            continue
        try:
            entry = decode_entry(item)
        except ComityError as problem:
            text = f"the entry cannot be read: {problem.detail}"
            reading.problems.append(Problem(index, None, problem.code, text))
            reading.unread.append(index)
            continue
        if isinstance(entry, DirectorySeen):
            reading.views.append((index, entry))
            continue
        row = _row(index, entry)
        if entry.name in DESK_EVENTS and bounds_ms[0] <= row.at_ms <= bounds_ms[1]:
            row = _with_statement(reading, row, entry, keys)
        reading.rows.append(row)
    return reading


def unpack_reference(packed: bytes) -> LeafReference:
    """The reference of a row."""
    origin = packed[_INDEX_BYTES + HASH_BYTES :].decode()
    return LeafReference(
        origin, int.from_bytes(packed[:_INDEX_BYTES], "big"), packed[_INDEX_BYTES : _INDEX_BYTES + HASH_BYTES]
    )


def _row(index: int, event: Event) -> Row:
    reference = event.reference
    return Row(
        index,
        to_ms(event.at),
        _NUMBERS[event.name],
        event.digest,
        event.message_id.bytes,
        None if event.recipient is None else str(event.recipient),
        event.peer,
        None
        if reference is None
        else reference.index.to_bytes(_INDEX_BYTES, "big") + reference.leaf_hash + reference.origin.encode(),
        None,
        None if event.files is None else sha256(cbor.encode(event.files.to_value())).digest(),
    )


def _with_statement(reading: EntryReading, row: Row, event: Event, keys: Keys) -> Row:
    """The row with the key of its statement, whose signature was verified if that key is known."""
    try:
        signed = statement_of(event)
        if signed is None:
            return row
        row = row._replace(kid=signed.kid)
        public = keys.get((str(signed.statement.recipient), signed.kid))
        if public is None:
            reading.unproved.append(row.number)
        else:
            verify_statement(signed, _verifier(public))
    except ComityError as problem:
        text = f"{NOT_HELD}: {problem.detail}"
        reading.problems.append(Problem(row.number, row.at_ms, problem.code, text))
    return row


@lru_cache(maxsize=4096)
def _verifier(public: bytes) -> Ed25519Verifier:
    return Ed25519Verifier(public)

"""Reading one bundle of a log: from bytes to compact rows, with the statements of desks verified.

Pure: it may run in another process. The holder of the directory judges what a key's *time* is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from protocol.crypto.signing import Ed25519Verifier
from protocol.directory_seen import DirectorySeen, decode_entry
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

Keys = Mapping[tuple[str, bytes], bytes]
"""Public keys of contact points, by (address, key id)."""


class Row(NamedTuple):
    """An event as the index keeps it: entry ``number`` of its log, ``at_ms`` in Unix ms, ``name`` a place in ``NAMES``.

    The rest is as in the event, but ``reference``: index (8 bytes), leaf hash (32 bytes) and origin of that entry.
    """

    number: int
    at_ms: int
    name: int
    digest: bytes
    message_id: bytes
    recipient: str | None
    peer: str | None
    reference: bytes | None


class SignedRow(NamedTuple):
    """Entry ``number``, with a statement whose signature is under ``kid``, if the holder has such a key."""

    number: int
    at_ms: int
    holder: str
    kid: bytes


@dataclass(frozen=True, slots=True)
class EntryReading:
    """What a bundle says. ``hashes`` are those of its items; ``unread`` are the entries that are no rows or views."""

    hashes: bytes
    rows: list[Row] = field(default_factory=list)
    views: list[tuple[int, DirectorySeen]] = field(default_factory=list)
    signed: list[SignedRow] = field(default_factory=list)
    problems: list[tuple[int, str, str]] = field(default_factory=list)
    withheld: list[int] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)


def read_bundle(
    first: int, items: Sequence[BundleItem], keys: Keys, bounds_ms: tuple[int, int], known: int = 0
) -> EntryReading:
    """Read a bundle whose first entry is ``first``; statements are verified that were logged within ``bounds_ms``.

    The signatures of those below ``known`` were verified before, of these very entries.
    """
    reading = EntryReading(b"".join(map(item_hash, items)))
    for index, item in enumerate(items, first):
        if isinstance(item, Withheld):
            reading.withheld.append(index)
            continue
        try:
            entry = decode_entry(item)
        except ComityError as problem:
            reading.problems.append((index, problem.code, f"the entry cannot be read: {problem.detail}"))
            reading.unread.append(index)
            continue
        if isinstance(entry, DirectorySeen):
            reading.views.append((index, entry))
            continue
        row = _row(index, entry)
        reading.rows.append(row)
        if entry.name in DESK_EVENTS and bounds_ms[0] <= row.at_ms <= bounds_ms[1]:
            _verify_statement(reading, row, entry, keys if index >= known else {})
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
    )


def _verify_statement(reading: EntryReading, row: Row, event: Event, keys: Keys) -> None:
    try:
        signed = statement_of(event)
        if signed is None:
            return
        holder = str(signed.statement.recipient)
        reading.signed.append(SignedRow(row.number, row.at_ms, holder, signed.kid))
        public = keys.get((holder, signed.kid))
        if public is not None:
            verify_statement(signed, _verifier(public))
    except ComityError as problem:
        text = f"the desk's statement does not hold: {problem.detail}"
        reading.problems.append((row.number, problem.code, text))


@lru_cache(maxsize=4096)
def _verifier(public: bytes) -> Ed25519Verifier:
    return Ed25519Verifier(public)

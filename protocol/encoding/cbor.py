"""Strict canonical CBOR: exactly one encoding for each value (RFC 8949 §4.2.1), and nothing else is accepted.

Rules, all on decoding:
1. The bytes decode as one item, within the limits of size, of depth, and of how many items there are. Items are counted
   before any is made: a few megabytes of empty arrays would hold a program for most of a minute, and its other threads
   with it.
2. Only integers of up to 64 bits, byte and text strings, arrays, maps, booleans and null occur. No floats, no other
   simple values, no tags but the one that the caller asks for around the whole item.
3. The keys of a map are in order, and they are all text or all integers; where they differ in sign the positive ones
   are below 24. Then length-first order (RFC 7049 §3.9, what cbor2 writes) and bytewise order (RFC 8949 §4.2.1) are the
   same order.
4. Encoding the value again, keys in the order they came, gives the same bytes: this refuses trailing bytes, integers
   and lengths that are not shortest, and indefinite lengths in one comparison. (cbor2's own strict flags let trailing
   bytes and longer integers pass, so they are not enough.)
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import cbor2

from protocol.errors import MalformedError, NonCanonicalError, TooLargeError

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 16
# Of a whole body: all keys, values and containers. More than the fullest honest one has.
MAX_ITEMS = 20_000
# Of a file that this program itself wrote, and that grows with what it did.
MAX_FILE_ITEMS = 4_000_000

_LEAVES = frozenset({int, bytes, str, bool, type(None)})
_CONTAINERS = frozenset({list, dict})
_KINDS = _LEAVES | _CONTAINERS
_INTEGERS = frozenset({int})
# Negative keys come after all positive ones, in the order of their absolute values.
_NEGATIVE_RANK = 1 << 64
# How far it is from one item to the next, by the first byte of the item: 0 where a string's length says more, a
# negative number where no item of the protocol begins (indefinite lengths, unassigned values).
_STRINGS = frozenset({2, 3})
_STEPS = tuple(
    -1
    if (head & 31) > 27
    else 0
    if head >> 5 in _STRINGS
    else 1 + ((1 << ((head & 31) - 24)) if (head & 31) >= 24 else 0)
    for head in range(256)
)
_FOREIGN_VALUE = "the CBOR holds a kind of value that the protocol does not use"


def _refuse_tag(*_: Any) -> Any:
    raise ValueError("a tag with a meaning of its own")


# Every tag that cbor2 would turn into a Python object. None is part of the protocol, and some (big floats, regular
# expressions) let a few bytes cost a lot.
_SEMANTIC_TAGS = (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 43, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)
_REFUSED_TAGS = dict.fromkeys(_SEMANTIC_TAGS, _refuse_tag)


def encode(value: Any) -> bytes:
    """The core deterministic encoding of ``value`` (RFC 8949 §4.2.1)."""
    # Only maps have an order to be put right, and only they make cbor2 look for one.
    if type(value) is dict and _INTEGERS.issuperset(map(type, value)):
        keys = list(value)
        ordered = keys == sorted(keys) and (not keys or keys[0] >= 0)
        items: Collection[Any] = value.values()
    else:
        ordered, items = type(value) is list, value
    return cbor2.dumps(value, canonical=not (ordered and _CONTAINERS.isdisjoint(map(type, items))))


def encode_ordered(value: Any) -> bytes:
    """As :func:`encode`, for a value whose maps all have their keys in that order already: it is not looked for."""
    return cbor2.dumps(value)


def encode_tagged(tag: int, value: Any) -> bytes:
    """The deterministic encoding of ``value`` inside ``tag`` (0 to 255)."""
    return _tag_head(tag) + encode(value)


def decode_tagged(
    tag: int, data: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH, max_items: int = MAX_ITEMS
) -> Any:
    """The value inside ``tag``; raises as :func:`decode` does."""
    head = _tag_head(tag)
    if len(data) > max_bytes:
        raise TooLargeError(f"CBOR of {len(data)} bytes; the limit here is {max_bytes}")
    if not data.startswith(head):
        raise MalformedError(f"the object does not begin with tag {tag} in its shortest form")
    return decode(data[len(head) :], max_bytes=max_bytes, max_depth=max_depth, max_items=max_items)


def decode(data: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH, max_items: int = MAX_ITEMS) -> Any:
    """The value of canonical ``data``; arrays come back as lists, maps as dicts.

    Raises :class:`TooLargeError`, :class:`MalformedError` or :class:`NonCanonicalError`.
    """
    if len(data) > max_bytes:
        raise TooLargeError(f"CBOR of {len(data)} bytes; the limit here is {max_bytes}")
    if len(data) > max_items:  # an item takes a byte at least
        require_few_items(data, max_items)
    try:
        value = cbor2.loads(
            data,
            semantic_decoders=_REFUSED_TAGS,
            max_depth=max_depth,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, RecursionError) as problem:
        raise MalformedError("the bytes are not one CBOR item of the kinds the protocol uses") from problem
    if type(value) in _CONTAINERS:
        _check(value)
    elif type(value) not in _LEAVES:
        raise MalformedError(_FOREIGN_VALUE)
    if cbor2.dumps(value) != data:
        raise NonCanonicalError("the CBOR is not in its canonical encoding")
    return value


def require_few_items(data: bytes, max_items: int) -> None:
    """Return if ``data`` holds at most ``max_items`` items; raises :class:`TooLargeError`, or :class:`MalformedError`.

    Makes nothing, passes over strings without looking into them, and stops at the limit: some 0.1 microseconds an item.
    """
    steps, at, end = _STEPS, 0, len(data)
    for _ in range(max_items):
        if at >= end:
            return
        head = data[at]
        step = steps[head]
        if step > 0:
            at += step
            continue
        if step < 0:
            raise MalformedError("the bytes are not one CBOR item of the kinds the protocol uses")
        size = head & 31
        at += 1
        if size >= 24:
            width = 1 << (size - 24)
            size = int.from_bytes(data[at : at + width], "big")
            at += width
        at += size
    if at < end:
        raise TooLargeError(f"CBOR of more than {max_items} items, which is the limit here")


def _tag_head(tag: int) -> bytes:
    return bytes([0xC0 | tag]) if tag < 24 else bytes([0xD8, tag])


def _check(container: Any) -> None:
    if type(container) is dict:
        _check_keys(container)
        items: Collection[Any] = container.values()
    else:
        items = container
    kinds = set(map(type, items))
    if kinds <= _LEAVES:
        return  # as most maps and arrays are
    if not kinds <= _KINDS:
        raise MalformedError(_FOREIGN_VALUE)
    for item in items:
        if type(item) in _CONTAINERS:
            _check(item)


def _check_keys(value: dict[Any, Any]) -> None:
    ranks: list[Any]
    keys = list(value)
    if _INTEGERS.issuperset(map(type, keys)):
        if not keys or (keys[0] >= 0 and keys == sorted(keys)):
            return  # as most maps are: without negative keys, in their order
        ranks = [key if key >= 0 else _NEGATIVE_RANK - key for key in value]
        if ranks and ranks[-1] >= _NEGATIVE_RANK and any(23 < rank < _NEGATIVE_RANK for rank in ranks):
            raise MalformedError("a map with negative keys has no positive ones above 23")
    elif all(type(key) is str for key in value):
        ranks = [(len(encoded), encoded) for encoded in (key.encode() for key in value)]
    else:
        raise MalformedError("the keys of a map are all text or all integers")
    if ranks != sorted(ranks):
        raise NonCanonicalError("the keys of a map are out of order")

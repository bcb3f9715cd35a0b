"""Strict CBOR: one encoding for each value, and a typed refusal for everything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.encoding import cbor
from protocol.errors import ComityError, MalformedError, NonCanonicalError, TooLargeError

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=64)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=32)
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4)
        | st.dictionaries(st.integers(0, 2**40), inner, max_size=4)
        | st.dictionaries(st.integers(-(2**40), 23), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(values)
def test_every_value_survives_encoding_and_decoding(value: object) -> None:
    assert cbor.decode(cbor.encode(value)) == value


@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_a_typed_refusal_or_their_own_canonical_value(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except ComityError:
        return
    assert cbor.encode(value) == data


@given(values, st.binary(min_size=1, max_size=4))
def test_trailing_bytes_are_refused(value: object, trailing: bytes) -> None:
    with pytest.raises(MalformedError):
        cbor.decode(cbor.encode(value) + trailing)


@given(values, st.data())
def test_truncated_bytes_are_refused(value: object, data: st.DataObject) -> None:
    encoded = cbor.encode(value)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(MalformedError):
        cbor.decode(encoded[:cut])


@pytest.mark.parametrize(
    ("encoded", "what"),
    [
        ("1801", "integer not in its shortest form"),
        ("190001", "integer in two bytes more than needed"),
        ("5801ff", "length not in its shortest form"),
        ("a202010102", "keys out of order"),
        ("a2616201616102", "text keys out of order"),
        ("a221002000", "negative keys in numerical order"),
        ("a201000000", "0 after another key"),
        ("a2181e000500", "positive keys above 23 out of order"),
        ("a220000100", "a negative key before a positive one"),
        ("81a202010102", "keys out of order inside an array"),
        ("a100a202010102", "keys out of order inside a map"),
    ],
)
def test_other_encodings_of_a_value_are_refused_as_non_canonical(encoded: str, what: str) -> None:
    with pytest.raises(NonCanonicalError):
        cbor.decode(bytes.fromhex(encoded))


@pytest.mark.parametrize(
    ("encoded", "what"),
    [
        ("a201010101", "duplicate key"),
        ("9f01ff", "indefinite-length array"),
        ("5f4101ff", "indefinite-length string"),
        ("f93c00", "float"),
        ("f7", "undefined"),
        ("8181f93c00", "float inside arrays"),
        ("a10081f7", "undefined inside an array"),
        ("e0", "simple value"),
        ("c11a514b67b0", "tagged time"),
        ("c249010000000000000000", "big number"),
        ("d8234161", "regular expression"),
        ("c5821b7fffffffffffffff01", "big float that would fill memory"),
        ("a1810100", "array as a key"),
        ("a1f500", "boolean as a key"),
        ("a2181801" + "2002", "a key whose place depends on the ordering rule"),
        ("a2010161610 2".replace(" ", ""), "keys of two kinds"),
        ("61ff", "text that is not UTF-8"),
        ("9bffffffffffffffff", "array that claims more items than memory holds"),
    ],
)
def test_values_outside_the_protocol_are_refused(encoded: str, what: str) -> None:
    with pytest.raises(MalformedError):
        cbor.decode(bytes.fromhex(encoded))


def test_nesting_beyond_the_limit_is_refused() -> None:
    with pytest.raises(MalformedError):
        cbor.decode(b"\x81" * 200 + b"\x01")
    with pytest.raises(TooLargeError):
        cbor.decode(b"\x81" * 1_000_000 + b"\x01")


def test_bytes_beyond_the_limit_are_refused_before_they_are_read() -> None:
    with pytest.raises(TooLargeError):
        cbor.decode(cbor.encode(bytes(100)), max_bytes=100)


def test_negative_keys_stand_beside_positive_ones_up_to_23() -> None:
    for encoded in ("a217002000", "a200002000"):
        assert cbor.encode(cbor.decode(bytes.fromhex(encoded))).hex() == encoded
    with pytest.raises(MalformedError, match="above 23"):
        cbor.decode(bytes.fromhex("a21818002000"))


def test_bytes_and_items_at_the_limit_are_read() -> None:
    encoded = cbor.encode(bytes(100))
    assert cbor.decode(encoded, max_bytes=len(encoded)) == bytes(100)
    assert cbor.decode(encoded, max_bytes=len(encoded), max_items=1) == bytes(100)
    tagged = cbor.encode_tagged(18, bytes(100))
    assert cbor.decode_tagged(18, tagged, max_bytes=len(tagged)) == bytes(100)
    with pytest.raises(TooLargeError):
        cbor.decode_tagged(18, tagged, max_bytes=len(tagged) - 1)


@pytest.mark.parametrize("head", [0x1C, 0x1F, 0x5F, 0x7C, 0x9F, 0xBF, 0xDF, 0xFF])
def test_what_begins_no_item_of_the_protocol_is_refused_when_items_are_counted(head: int) -> None:
    with pytest.raises(MalformedError):
        cbor.require_few_items(bytes([head, 0xFF]), 10)


def test_a_tag_is_written_in_its_shortest_form() -> None:
    heads = {0: "c0", 18: "d2", 23: "d7", 24: "d818", 96: "d860", 255: "d8ff"}
    for tag, head in heads.items():
        assert cbor.encode_tagged(tag, 1).hex() == head + "01"


def test_a_tag_is_accepted_only_where_it_is_asked_for() -> None:
    tagged = cbor.encode_tagged(96, [1, 2])
    assert cbor.decode_tagged(96, tagged) == [1, 2]
    with pytest.raises(MalformedError):
        cbor.decode_tagged(18, tagged)
    with pytest.raises(MalformedError):
        cbor.decode(tagged)


def count(value: object) -> int:
    """The keys, values and containers in it."""
    if isinstance(value, list):
        return 1 + sum(map(count, value))
    if isinstance(value, dict):
        return 1 + sum(1 + count(item) for item in value.values())
    return 1


@given(values)
def test_items_are_counted_exactly_before_any_is_made(value: object) -> None:
    encoded, items = cbor.encode(value), count(value)
    cbor.require_few_items(encoded, items)
    if items > 1:
        with pytest.raises(TooLargeError):
            cbor.require_few_items(encoded, items - 1)


@given(st.binary(max_size=200), st.integers(1, 50))
def test_arbitrary_bytes_are_counted_with_a_typed_refusal_at_most(data: bytes, limit: int) -> None:
    try:
        cbor.require_few_items(data, limit)
    except ComityError:
        return


@pytest.mark.parametrize(
    "item", [b"\x00", b"\x40", b"\x60", b"\x80", b"\xa0", b"\xf6", b"\x41a", b"\xa1\x01\x80", b"\xc0"]
)
def test_many_small_items_are_refused_before_the_decoder_sees_them(
    item: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cbor2.loads", lambda *_, **__: pytest.fail("the decoder was asked"))
    bomb = b"\x9a" + (1_000_000).to_bytes(4, "big") + item * 1_000_000
    with pytest.raises(TooLargeError):
        cbor.decode(bomb)
    with pytest.raises(TooLargeError):
        cbor.decode_tagged(18, b"\xd2" + bomb)


def test_long_strings_count_once_each() -> None:
    value = [bytes(1_000_000), "x" * 1_000_000]
    assert cbor.decode(cbor.encode(value), max_items=3) == value
    with pytest.raises(TooLargeError):
        cbor.decode(cbor.encode(value), max_items=2)

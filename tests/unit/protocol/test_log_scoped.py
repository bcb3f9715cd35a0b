"""Scoped bundles: what is withheld is there as its leaf hash, and there is one way to write each bundle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError
from protocol.log.layout import TILE_WIDTH, entries_path, parse_tile_path
from protocol.log.merkle import leaf_hash
from protocol.log.scoped import (
    BundleItem,
    Withheld,
    decode_scoped_bundle,
    encode_scoped_bundle,
    item_hash,
    parse_scoped_path,
    scoped_path,
)

ITEMS = st.lists(
    st.binary(max_size=200) | st.binary(min_size=32, max_size=32).map(Withheld), min_size=1, max_size=TILE_WIDTH
)


@given(ITEMS)
def test_every_bundle_is_read_as_it_was_written(items: list[BundleItem]) -> None:
    assert decode_scoped_bundle(encode_scoped_bundle(items)) == items


@given(st.binary(max_size=400))
def test_what_is_read_has_one_encoding(data: bytes) -> None:
    try:
        items = decode_scoped_bundle(data)
    except MalformedError:
        return
    assert encode_scoped_bundle(items) == data


@given(ITEMS, st.data())
def test_a_bundle_that_was_cut_short_is_refused_or_has_fewer_items(
    items: list[BundleItem], data: st.DataObject
) -> None:
    encoded = encode_scoped_bundle(items)
    cut = encoded[: data.draw(st.integers(0, len(encoded) - 1))]
    try:
        assert decode_scoped_bundle(cut) == items[: len(decode_scoped_bundle(cut))]
    except MalformedError:
        return
    assert len(decode_scoped_bundle(cut)) < len(items)


def test_what_is_withheld_counts_for_the_entry_it_stands_for() -> None:
    assert item_hash(Withheld(leaf_hash(b"entry"))) == item_hash(b"entry")


@pytest.mark.parametrize(
    "data",
    [b"", b"\x02" + bytes(32), b"\x00" + bytes(31), b"\x01\x00", b"\x01\x00\x02x", (b"\x00" + bytes(32)) * 257],
)
def test_what_is_no_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_scoped_bundle(data)


@pytest.mark.parametrize("items", [[], [Withheld(bytes(32))] * 257, [bytes(65_536)]])
def test_a_bundle_that_cannot_be_is_not_written(items: list[BundleItem]) -> None:
    with pytest.raises(MalformedError):
        encode_scoped_bundle(items)


def test_a_leaf_hash_of_another_length_stands_for_nothing() -> None:
    with pytest.raises(MalformedError):
        Withheld(bytes(31))


@given(st.integers(0, 1 << 55), st.integers(1, TILE_WIDTH))
def test_a_path_names_the_bundle_that_the_plain_path_names(index: int, width: int) -> None:
    assert parse_scoped_path(scoped_path(index, width)) == parse_tile_path(entries_path(index, width))


@pytest.mark.parametrize("path", ["scoped/00", "scoped/000.p/256", "tile/entries/000", "scoped/../000", "scoped/"])
def test_another_path_is_refused(path: str) -> None:
    with pytest.raises(MalformedError):
        parse_scoped_path(path)

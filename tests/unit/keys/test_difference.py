"""The difference of two JSON values: which leaves a value has, and where the order of a list is told."""

from __future__ import annotations

from typing import Any

import pytest

from keys.ceremony._difference import ORDER, differing, leaves


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({}, {(): "{}"}),
        ([], {(): "[]"}),
        ({"a": {}, "b": []}, {("a",): "{}", ("b",): "[]"}),
        ("text", {(): "text"}),
        ("", {(): '""'}),
        ("1", {(): '"1"'}),
        (1, {(): "1"}),
        ("true", {(): '"true"'}),
        (True, {(): "true"}),
        ("null", {(): '"null"'}),
        (None, {(): "null"}),
        ({"": 1}, {('""',): "1"}),
        ({"[0]": 1}, {('"[0]"',): "1"}),
        ({"(order)": 1}, {('"(order)"',): "1"}),
        ({'"': 1}, {('"\\""',): "1"}),
        (["a", "b"], {("a",): "listed", ("b",): "listed", (ORDER,): "a\nb"}),
        (["a", "a"], {("[0]",): "a", ("[1]",): "a"}),
        (["a", ""], {("[0]",): "a", ("[1]",): '""'}),
        (["a", "b\nc"], {("[0]",): "a", ("[1]",): "b\nc"}),
        ([ORDER], {("[0]",): ORDER}),
        (["n" * 100], {("n" * 100,): "listed", (ORDER,): "n" * 100}),
        (["n" * 101], {("[0]",): "n" * 101}),
        ([{"kid": "a", "x": 1}], {("a", "kid"): "a", ("a", "x"): "1", (ORDER,): "a"}),
        ([{"name": "a"}, {"name": "a"}], {("[0]", "name"): "a", ("[1]", "name"): "a"}),
        ([{"kid": "a"}, 1], {("[0]", "kid"): "a", ("[1]",): "1"}),
        ([{"kid": 1}], {("[0]", "kid"): "1"}),
        ([1, 2], {("[0]",): "1", ("[1]",): "2"}),
    ],
)
def test_every_leaf_has_its_path(value: Any, found: dict[tuple[str, ...], str]) -> None:
    assert leaves(value) == found


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (["a", "b"], ["a", "b"], []),
        (["a"], ["a", "b"], ["b"]),
        (["a", "b"], ["b"], ["a"]),
        (["a", "b"], ["b", "c"], ["a", "c"]),
        (["a"], ["b", "a"], [ORDER, "b"]),
        (["a"], ["a", "b", "c"], [ORDER, "b", "c"]),
        (["a", "b"], ["b", "a"], [ORDER]),
        ([], ["a"], [None, "a"]),
    ],
)
def test_the_order_of_a_list_is_told_where_the_other_lines_do_not_say_it(
    before: list[str], after: list[str], told: list[str | None]
) -> None:
    found = [path[0] if path else None for path, _, _ in differing(leaves(before), leaves(after))]
    assert found == told

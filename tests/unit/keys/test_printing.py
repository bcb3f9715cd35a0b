"""Text of others at a terminal: seen, and never obeyed."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.local.printing import printable, printable_json, printable_text

HARMFUL = [
    "\x1b[2J",
    "\x9b2J",
    "\x07",
    "\r",
    "\x08",
    "\x7f",
    "\u202e",
    "\u2066",
    "\u200e",
    "\ufeff",
    "\u2028",
    "\ud800",
]


@given(st.text(st.characters()))
def test_no_character_of_a_line_is_obeyed_or_invisible(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert {unicodedata.category(character)[0] for character in shown} & {"C"} == set()


@given(st.text(st.characters()), st.text(st.characters()))
def test_two_texts_never_look_the_same_because_of_what_cannot_be_seen(one: str, other: str) -> None:
    assert (printable(one) == printable(other)) == (one == other)


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6))
def test_json_says_the_same_and_holds_nothing_that_a_terminal_obeys(value: Any) -> None:
    shown = printable_json(value)
    assert json.loads(shown) == value
    assert shown.isprintable()


@pytest.mark.parametrize("harmful", HARMFUL)
def test_what_a_terminal_would_obey_is_shown_by_its_number(harmful: str) -> None:
    for shown in (printable(f"a{harmful}b"), printable_text(f"a{harmful}b")):
        assert harmful[0] not in shown
        assert f"\\u{{{ord(harmful[0]):x}}}" in shown


def test_letters_of_every_script_stay_as_they_are() -> None:
    for text in ("Größe", "경찰청", "النيابة العامة", "הפרקליטות", "検察庁", "अभियोजन", "👮"):
        assert printable(text) == text


def test_prose_keeps_its_lines_and_what_its_language_needs() -> None:
    prose = "می\u200cخواهم\nBonjour\u00a0!\n\tC:\\x"
    assert printable_text(prose) == prose
    assert printable("C:\\x") == "C:\\\\x"

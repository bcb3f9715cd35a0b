"""A text with values in it is put into the reader's language whole: the text, and each value that is a text of ours."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest

from exchange.messaging.drafting.imports import Export
from exchange.messaging.drafting.targets import with_export
from keys.local import translation
from keys.local.terminal import refusal_lines
from protocol.encoding.phrase import Phrase, phrase
from protocol.errors import InvalidMessageError
from protocol.messages.parse import check_outgoing
from tests.generators.source_texts import CALLS
from tests.generators.source_texts import texts_in as source_texts

PACKAGES = Path(__file__).resolve().parents[3]
ADDRESS = {"kind": "ipv4", "address": "10.0.0.1", "instant": "2026-11-21T03:12:45Z"}


@pytest.fixture
def french(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation, "_current", lambda: translation.translator("fr"))


def _of_an_address(problems: tuple[tuple[str, str, str], ...]) -> str:
    return next(text for field, _, text in problems if field.endswith("address"))


def test_a_check_text_that_carries_a_value_is_told_in_the_readers_language(french: None) -> None:
    draft = {"type": "preservation.request", "to": ["24-7@fr"], "targets": [{"target": "t1", "identifier": ADDRESS}]}
    text = _of_an_address(check_outgoing(draft))
    assert text == "this address is private (RFC 1918): many networks use it at once, and nobody can be found by it"
    told = translation._(text)
    french_value = translation.translator("fr").gettext("is private (RFC 1918)")
    assert french_value in told
    assert "this address" not in told


def test_the_place_of_a_problem_in_a_table_is_told_in_the_readers_language(french: None) -> None:
    export = Export("line")
    for number in (2, 3, 7):
        export.refuse(number, "instant", phrase("the time is missing: an address alone leads to nobody"))
    with pytest.raises(InvalidMessageError) as refused:
        with_export({"type": "preservation.request", "targets": []}, export)
    assert refused.value.problems[0][0] == "lines 2-3, 7, column instant"
    told = "\n".join(refusal_lines(refused.value))
    assert "2-3, 7" in told
    assert not {"lines", "column", "missing"} & set(told.replace(",", " ").replace(":", " ").split())


def test_a_phrase_is_its_english_text_and_survives_the_way_between_processes() -> None:
    made = phrase("a {one} and {other}", one=phrase("big {size}", size=7), other="b")
    assert (made, phrase("no value")) == ("a big 7 and b", "no value")
    again = pickle.loads(pickle.dumps(made))  # noqa: S301 - what this test wrote itself
    assert isinstance(again, Phrase)
    assert (again, again.template, again.values) == (made, "a {one} and {other}", {"one": "big 7", "other": "b"})


def test_no_text_of_a_check_is_put_together_where_no_catalogue_finds_it() -> None:
    """A text that an f-string makes stands in no catalogue: it would stay English for everybody."""
    found = []
    for package in ("protocol", "keys", "node", "exchange"):
        for file in (PACKAGES / package).rglob("*.py"):
            for call in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in CALLS:
                    given = [call.args[place] for place in CALLS[call.func.id] if place < len(call.args)]
                    found += [f"{file}:{call.lineno}" for one in given if isinstance(one, ast.JoinedStr)]
    assert found == []


def test_the_catalogues_list_every_phrase() -> None:
    assert "{unit} {numbers}, column {column}" in {
        one.text for one in source_texts(PACKAGES / "exchange/messaging/drafting/targets.py")
    }

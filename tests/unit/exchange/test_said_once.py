"""What is composed of a text and its source says each once, and a tab is no code to read."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.text.labels import basis_label, under_rule, with_rule
from exchange.views import FileState
from exchange.web.case.beside import _file_state
from keys.local.isolates import bare
from keys.local.translation import speaking
from keys.pages.rendering import environment
from protocol.codes import load_codes
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.fields import Legal


def rules_and_advice() -> list[tuple[str, str]]:
    """Each rule of a field with its advice, over all types of message."""
    found: dict[tuple[str, str], None] = {}

    def look(model: Any, seen: set[Any]) -> None:
        if model in seen or not hasattr(model, "model_fields"):
            return
        seen.add(model)
        for field in model.model_fields.values():
            found.update(
                {(one.rule, one.missing): None for one in field.metadata if isinstance(one, Legal) and one.rule}
            )
            for part in _parts(field.annotation):
                look(part, seen)

    seen: set[Any] = set()
    for model in MESSAGE_TYPES.values():
        look(model, seen)
    return list(found)


def _parts(annotation: Any) -> list[Any]:
    inner = getattr(annotation, "__args__", ())
    return [annotation, *(part for one in inner for part in _parts(one))]


@pytest.mark.parametrize("language", ["ar", "en", "es", "fr", "ru", "zh"])
def test_no_article_is_said_twice_in_any_language(language: str) -> None:
    rules = rules_and_advice()
    assert any(rule in advice for rule, advice in rules)  # such as RFC 6302
    with speaking(language):
        from keys.local.translation import _

        for rule, advice in rules:
            for said in (with_rule(advice, rule), under_rule(advice, rule)):
                source = bare(_(rule))
                assert bare(said).count(source) == max(1, bare(_(advice)).count(source)), said


def test_a_basis_is_said_with_its_day_as_a_sentence_has_it() -> None:
    assert basis_label("budapest 2012-11-01") == "Budapest Convention on Cybercrime (ETS 185), since 2012-11-01"
    assert basis_label("something else") is None


def test_no_hint_ends_in_a_word_that_waits_for_another() -> None:
    for entry in load_codes("comparison").entries:
        assert entry.label.split()[-1] not in {"since", "of", "by", "to", "from", "until", "at", "for"}, entry.code


def test_a_tab_is_shown_as_a_blank() -> None:
    template = environment().from_string("{{ value | plain }}|{{ value | prose }}")
    shown = template.render(value="203.0.113.9\t51544\nNext")
    assert "\\u{9}" not in shown


@pytest.mark.parametrize("state", list(FileState))
def test_nobody_received_the_files_that_this_office_sends(state: FileState) -> None:
    """A file lies here because this office sent it: of another's, that it was received is the point."""
    sent, received = (_file_state(state.value, sent=direction) for direction in (True, False))
    assert sent
    assert "received" not in sent
    assert ("received" in received) is (state in {FileState.RECEIVED})

"""Messages are read in the reader's language: names of fields and codes are translated, what people wrote is not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Message as Entry
from babel.messages.pofile import read_po

from exchange.text.labels import code_label, field_label, state_label
from exchange.text.rendering import ReadLine, read_message
from keys.local import translation
from keys.local.translation import FOLDER
from protocol.codes import load_codes
from protocol.codes.loader import list_names
from protocol.messages.parse import complete_message, compose_message, parse_message
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.base import Message

LANGUAGES = ("ar", "es", "fr", "ru", "zh")
REQUEST = json.loads(Path("examples/preservation-request.json").read_text("utf-8"))
EXAMPLES = sorted(Path("examples/messages").glob("*.json"))


@pytest.fixture
def read_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def choose(language: str) -> None:
        monkeypatch.setenv("LANGUAGE", language)
        translation._current.cache_clear()

    yield choose
    translation._current.cache_clear()


def message(**changes: Any) -> Message:
    return complete_message({**REQUEST, **changes}, sender="24-7@jp")


def line_of(lines: list[ReadLine], *path: str) -> ReadLine:
    (found,) = [line for line in lines if line.path == path]
    return found


def key_of(entry: Entry) -> tuple[str | None, str | tuple[str, ...]]:
    """A text with its context; one and several are two forms of one text."""
    return entry.context, entry.id if isinstance(entry.id, str) else tuple(entry.id)


def is_whole(translation: str | tuple[str, ...] | list[str] | None) -> bool:
    """Whether there is a translation, in every form that the language has."""
    return bool(translation) and (isinstance(translation, str) or all(translation))  # type: ignore[arg-type]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_catalogue_has_every_text(language: str) -> None:
    with (FOLDER / language / "LC_MESSAGES" / "comity.po").open("rb") as file:
        texts = {key_of(entry): entry.string for entry in read_po(file, abort_invalid=True) if entry.id}
    with (FOLDER / "comity.pot").open("rb") as file:
        wanted = [key_of(entry) for entry in read_po(file) if entry.id]
    assert [text for text in wanted if not is_whole(texts.get(text))] == []


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_every_code_has_a_name_in_every_language(language: str, read_in: Callable[[str], None]) -> None:
    read_in(language)
    for name in list_names():
        for entry in load_codes(name).entries:
            assert code_label(name, entry.code).strip()


def test_countries_and_languages_are_named_as_the_reader_names_them(read_in: Callable[[str], None]) -> None:
    read_in("fr")
    assert (code_label("country", "DE"), code_label("language", "ru")) == ("Allemagne", "russe")


@pytest.mark.parametrize("language", LANGUAGES)
def test_states_and_fields_are_named_in_the_readers_language(language: str, read_in: Callable[[str], None]) -> None:
    read_in("en")
    english = (state_label("preserved"), field_label("necessity"))
    read_in(language)
    assert all(
        own != other for own, other in zip((state_label("preserved"), field_label("necessity")), english, strict=True)
    )


def test_a_code_stands_beside_its_name(read_in: Callable[[str], None]) -> None:
    read_in("fr")
    text = line_of(read_message(message()), "urgency").text
    assert text is not None
    assert text.endswith(f"[{REQUEST['urgency']}]")


def test_what_people_wrote_stays_and_is_marked_with_its_language(read_in: Callable[[str], None]) -> None:
    read_in("fr")
    facts = line_of(read_message(message()), "facts")
    assert (facts.text, facts.written_in) == (REQUEST["facts"], REQUEST["language"])
    read_in(REQUEST["language"])
    assert line_of(read_message(message()), "facts").written_in is None


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_nothing_of_a_message_is_left_out(file: Path, read_in: Callable[[str], None]) -> None:
    read_in("es")
    shown = json.loads(file.read_text("utf-8"))
    lines = read_message(parse_example(shown))
    words = " ".join(line.text or "" for line in lines)
    for text in _texts(
        {key: value for key, value in shown.items() if key not in {"signature", "original", "schema_version"}}
    ):
        assert text in words or any(text[:16] in word for word in words.split()), text


def parse_example(content: dict[str, Any]) -> Message:
    return complete_message(content, sender=content.get("from", "24-7@jp"))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str) and len(value) > 30 and " " in value:
        yield value


def test_a_message_of_a_newer_type_shows_what_it_has(read_in: Callable[[str], None]) -> None:
    read_in("ru")
    content = message().model_dump(mode="json", by_alias=True, exclude_none=True)
    newer = {**content, "type": "preservation.telepathy", "schema_version": 7, "thought": "a new field"}
    lines = read_message(parse_message(json.dumps(newer).encode()))
    assert line_of(lines, "thought").text == "a new field"


def test_every_type_is_named() -> None:
    assert {entry.code for entry in load_codes("message_type").entries} >= set(MESSAGE_TYPES)


def test_what_is_passed_on_is_read_like_any_other_message_or_shown_as_it_is_written(
    read_in: Callable[[str], None],
) -> None:
    read_in("en")
    example = json.loads(Path("examples/messages/forward.json").read_text("utf-8"))
    whole = compose_message(REQUEST, sender="24-7@jp").content
    for passed_on, readable in ((whole, True), (b'{"type": 1}', False), (b"no JSON", False)):
        original = {**example["original"], "type": "preservation.request", "content": passed_on.decode()}
        lines = read_message(complete_message({**example, "original": original}, sender="24-7@jp"))
        shown = line_of(lines, "original", "content")
        assert line_of(lines, "original", "type").text == "Preservation request [preservation.request]"
        assert shown.text == (None if readable else passed_on.decode())
        facts = [line for line in lines if line.path == ("original", "content", "facts")]
        assert [line.depth for line in facts] == ([2] if readable else [])


def test_all_of_a_correction_is_shown_with_the_names_of_its_fields() -> None:
    draft = json.loads(Path("examples/messages/correction.json").read_text("utf-8"))
    message = compose_message(draft, sender="24-7@jp").message
    lines = {line.path: line for line in read_message(message)}

    def leaves(value: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if isinstance(value, dict):
            for name, part in value.items():
                yield from leaves(part, (*path, name))
        elif isinstance(value, list):
            for number, part in enumerate(value):
                yield from leaves(part, (*path, str(number)))
        else:
            yield path

    assert {*leaves(draft["message"], ("message",))} <= lines.keys()
    assert lines["message", "facts"].text == draft["message"]["facts"]
    assert lines["message", "facts"].label == field_label("facts")

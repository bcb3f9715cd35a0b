"""Codes are typed as people call them; what is not a code is refused with the allowed values and the likely one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.cli.messages.files import read_document
from exchange.text.code_words import code_label_bare, code_of, find_code, refusal
from exchange.text.draft_codes import with_codes
from keys.local import translation
from keys.local.isolates import bare
from keys.local.translation import _
from protocol.codes import load_codes
from protocol.codes.likely import MOST_LISTED
from protocol.codes.loader import list_names
from protocol.errors import UsageError
from protocol.messages.parse import check_outgoing
from tests.worlds.desks import JP, PASSPHRASE, World

REQUEST = json.loads(Path("examples/preservation-request.json").read_text("utf-8"))


@pytest.fixture
def read_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def choose(language: str) -> None:
        monkeypatch.setenv("LANGUAGE", language)
        translation._current.cache_clear()

    yield choose
    translation._current.cache_clear()


@pytest.mark.parametrize(
    ("codes", "words", "code"),
    [
        ("country", "France", "FR"),
        ("country", "fr", "FR"),
        ("country", "niger", "NE"),
        ("tlp", "TLP:AMBER", "AMBER"),
        ("tlp", "tlp:amber+strict", "AMBER+STRICT"),
        ("urgency", "Urgent", "urgent"),
        ("legal_basis", "Budapest Convention", "budapest"),
        ("offence_budapest", "illegal access", "2"),
        ("data_category", "Subscriber data", "subscriber"),
        ("threatened_good", "x-jp-water", "x-jp-water"),
    ],
)
def test_a_code_is_known_by_what_it_is_called(codes: str, words: str, code: str) -> None:
    assert code_of(codes, words) == code


@pytest.mark.parametrize("language", ["ar", "en", "es", "fr", "ru", "zh"])
def test_every_label_stands_for_its_own_code_in_the_readers_language_and_in_english(
    language: str, read_in: Callable[[str], None]
) -> None:
    read_in(language)
    for name in list_names():
        if name.endswith("field"):
            continue  # fields are no codes that anybody types
        for entry in load_codes(name).entries:
            for label in (entry.label, code_label_bare(name, entry.code)):
                found = find_code(name, label)
                # A label that two codes share stands for neither of them.
                assert found == entry.code or (found is None and _shared(name, label))


def _shared(name: str, label: str) -> bool:
    every = [
        {entry.label.casefold(), code_label_bare(name, entry.code).casefold()} for entry in load_codes(name).entries
    ]
    return sum(label.casefold() in names for names in every) > 1


@pytest.mark.parametrize(
    ("codes", "words", "meant"),
    [("country", "UK", "GB"), ("country", "Frnace", "FR"), ("urgency", "urgnt", "urgent"), ("tlp", "AMBRE", "AMBER")],
)
def test_what_is_no_code_is_refused_with_the_likely_one(codes: str, words: str, meant: str) -> None:
    with pytest.raises(UsageError, match=rf"did you mean {meant}\?"):
        code_of(codes, words)


@pytest.mark.parametrize("name", [name for name in list_names() if len(load_codes(name).entries) <= MOST_LISTED])
def test_a_refusal_names_every_allowed_value_of_a_list_that_one_can_read(name: str) -> None:
    said = refusal(name, "\N{SNOWMAN}")
    assert all(entry.code in said for entry in load_codes(name).entries)


@given(st.text(max_size=200), st.sampled_from(["country", "urgency", "tlp", "legal_basis", "language"]))
def test_a_refusal_never_repeats_what_was_refused(text: str, name: str) -> None:
    marked = f"{text}\N{PILE OF POO}"
    assert "\N{PILE OF POO}" not in refusal(name, marked)
    assert find_code(name, marked) is None


def test_a_part_of_a_word_stands_for_nothing() -> None:
    assert [find_code("tlp", "AMB"), find_code("country", "Fr an"), find_code("urgency", "")] == [None] * 3


def test_a_draft_is_written_in_words(tmp_path: Path) -> None:
    words = {
        **REQUEST,
        "type": "Preservation request",
        "urgency": "Urgent",
        "handling": {"tlp": "TLP:AMBER"},
        "legal_basis": {"instrument": "Budapest Convention"},
        "offences": [{"list": "budapest", "code": "Illegal access", "title": "Hacking"}],
        "authority": {**REQUEST["authority"], "country": "Japan"},
    }
    words["targets"] = [{**words["targets"][0], "data_categories": ["Traffic data"]}]
    file = tmp_path / "draft.json"
    file.write_text(json.dumps(words), "utf-8")
    draft = read_document(file)
    assert check_outgoing(draft) == []
    assert (draft["urgency"], draft["handling"]["tlp"], draft["authority"]["country"]) == ("urgent", "AMBER", "JP")
    assert (draft["offences"][0]["code"], draft["targets"][0]["data_categories"]) == ("2", ["traffic"])


def test_codes_and_texts_of_a_draft_stay_as_they_are() -> None:
    assert with_codes(REQUEST) == REQUEST
    assert with_codes({**REQUEST, "facts": "Urgent", "own_reference": "France"})["facts"] == "Urgent"


@pytest.mark.parametrize("language", ["ar", "es", "fr", "ru", "zh"])
def test_a_refusal_is_put_together_in_the_readers_language(language: str, read_in: Callable[[str], None]) -> None:
    """Template and values stay apart, so that a catalogue can say it; the codes stay what they are."""
    read_in(language)
    said = bare(_(refusal("urgency", "urgnt")))
    assert "urgent" in said
    assert "{" not in said


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        (["--purpose", "Judicial proceedings", "codes", "tlp"], 0, "TLP:RED"),
        (["new", "Preservation request"], 0, '"preservation.request"'),
        (["new", "preservation.reqest"], 2, "preservation.request"),
    ],
)
def test_options_take_words(line: list[str], code: int, says: str) -> None:
    done = CliRunner().invoke(app, line)
    assert (done.exit_code, says in done.output) == (code, True), done.output


@pytest.mark.parametrize(
    ("words", "option", "typed", "code"),
    [
        ("register", "--channel", "Telephone", "phone"),
        ("register", "--type", "Preservation request", "preservation.request"),
        ("register", "--urgency", "Emergency", "emergency"),
        ("unproved call", "--outcome", "Nobody answered", "nobody_answered"),
        ("case close", "--reason", "Answered in full", "answered"),
        ("retract", "--why", "It was sent twice", "sent_twice"),
        ("note", "--service", "Training and exercises", "training"),
        ("consult open", "--intends", "Refuse", "refuse"),
        ("consult close", "--outcome", "To be granted in part", "in_part"),
        ("dp-notice", "--action", "Erased", "erased"),
    ],
)
def test_an_option_of_a_code_takes_what_the_code_is_called(words: str, option: str, typed: str, code: str) -> None:
    command: Any = typer.main.get_command(app)
    for word in words.split():
        command = command.commands[word]
    (parameter,) = [one for one in command.params if option in one.opts]
    assert parameter.process_value(command.make_context(words, [], resilient_parsing=True), typed) == code


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["directory", "--no-refresh", "--country", "UK"], "did you mean GB?"),
        (["directory", "--no-refresh", "--country", "Frnace"], "did you mean FR?"),
        (["case", "list", "--with", "Frnace"], "did you mean FR?"),
        (["records", "list", "--operation", "disclosre"], "did you mean disclosure?"),
        (["--purpose", "procedings", "records", "list"], "did you mean proceedings?"),
        (["case", "close", "7f3a", "--reason", "answred"], "did you mean answered?"),
        (
            ["register", "A child.", "--channel", "interpl", "--contact", "24-7@fr", "--sender", "NCB"],
            "did you mean interpol?",
        ),
    ],
)
def test_an_option_that_is_no_code_is_refused_with_the_likely_one(
    arguments: list[str], says: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path_factory.mktemp("desk")
    world = World(root, monkeypatch)
    (root / "secret").write_bytes(PASSPHRASE)
    (root / "secret").chmod(0o600)
    environment = {"COMITY_PASSPHRASE_FILE": str(root / "secret")}
    done = CliRunner().invoke(app, [*arguments, "--home", str(world.home(JP))], env=environment)
    assert (done.exit_code, says in done.output) == (2, True), done.output

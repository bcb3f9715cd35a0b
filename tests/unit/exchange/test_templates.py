"""Templates and files of fields become drafts, whole and strictly read; what is missing is named."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.messaging.drafting.templates import (
    all_templates,
    fill,
    find_template,
    keep_template,
    merge,
    parse_template,
    to_bytes,
)
from exchange.settings import DeskSettings, Home
from exchange.text.documents import read_object
from protocol.errors import MalformedError, NotFoundError, UsageError
from protocol.messages.parse import check_outgoing

IP = {
    "to": "24-7@fr",
    "reference": "JP-7",
    "organisation": "National Police Agency of Japan",
    "country": "JP",
    "person_in_charge": "Sato Yui",
    "telephone": "+81350000247",
    "time_zone": "Asia/Tokyo",
    "offence": "2",
    "offence_title": "Illegal access",
    "provision": "Network Act, Art. 48 (1)",
    "facts": "Somebody entered the payment system of a hospital.",
    "necessity": "The logs are overwritten within days.",
    "manner": "by the Ministry of Justice",
    "from": "2026-11-20T00:00:00+09:00",
    "until": "2026-11-22T00:00:00+09:00",
    "provider": "Example Hosting SAS",
    "relation": "The intruder came from this address.",
    "address": "203.0.113.77",
    "port": 51544,
    "instant": "2026-11-21T03:12:45+09:00",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "desk"
    folder.mkdir()
    DeskSettings(address="24-7@jp").save(Home(folder).settings)
    return folder


def comity(home: Path, *arguments: str) -> tuple[int, Any]:
    ran = CliRunner().invoke(app, [*arguments, "--home", str(home), "--json"])
    return ran.exit_code, json.loads(ran.stdout) if ran.stdout.startswith("{") else ran.stdout


@pytest.mark.parametrize(
    "name", ["emergency", "information-offer", "preservation-account", "preservation-ip", "status-query"]
)
def test_each_shipped_template_asks_for_nothing_but_its_placeholders_and_what_people_declare(
    tmp_path: Path, name: str
) -> None:
    template = find_template(tmp_path, name)
    special = {
        "port": 443,
        "country": "JP",
        "offence": "2",
        "source": "B",
        "information": "2",
        "time_zone": "Asia/Tokyo",
        "handle": "supplier77",
    }
    instants = {"from": "2026-11-20T00:00:00+09:00", "until": "2026-11-22T00:00:00+09:00"}
    instants |= {"instant": "2026-11-21T00:00:00+09:00", "supplement_by": "2126-11-21T00:00:00+09:00"}
    numbers = dict.fromkeys(("telephone", "call_back_number"), "+81350000247")
    values = {key: f"some {key}" for key in template.placeholders} | {"to": "24-7@fr", "address": "203.0.113.77"}
    given = {**values, **special, **instants, **numbers}
    filled = fill(template, {key: value for key, value in given.items() if key in template.placeholders})
    assert filled.missing == {}
    # A reply is put into its thread by --reply-to, which brings labels and recipients with it.
    draft = {"officer": {"name": "Kim", "role": "Duty officer"}, **filled.draft}
    if name == "status-query":
        reply = {"to": ["24-7@fr"], "in_reply_to": "0192c2de-7a10-7c4e-9b2f-5d1e8a3c6f01", "language": "en"}
        draft = {**reply, "handling": {"tlp": "AMBER"}, **draft}
    left = {field for field, _, _ in check_outgoing(draft)}
    # The program makes the commitment of an offer: `comity offer`.
    assert left <= {"mutual_assistance.declared", "commitment"}


def test_a_template_with_its_values_and_declaration_is_a_complete_draft(tmp_path: Path) -> None:
    filled = fill(find_template(tmp_path, "preservation-ip"), IP, {"mutual_assistance": {"declared": True}})
    assert filled.missing == {}
    assert filled.draft["targets"][0]["identifier"]["port"] == 51544
    assert filled.draft["mutual_assistance"] == {"manner": "by the Ministry of Justice", "declared": True}
    assert check_outgoing({"officer": {"name": "Kim", "role": "Duty officer"}, **filled.draft}) == []


def test_a_placeholder_without_a_value_is_named_and_leaves_its_field_out(tmp_path: Path) -> None:
    template = find_template(tmp_path, "preservation-ip")
    filled = fill(template, {"reference": "JP-7"})
    assert filled.draft["own_reference"] == "JP-7"
    assert "facts" not in filled.draft
    assert filled.missing.keys() == template.placeholders.keys() - {"reference"}
    with pytest.raises(UsageError, match="has no placeholder colour"):
        fill(template, {"colour": "red"})


def test_a_kept_template_wins_over_the_shipped_one_and_is_not_replaced_by_an_older(home: Path) -> None:
    folder = Home(home).templates
    shipped = find_template(folder, "status-query")
    keep_template(folder, shipped.model_copy(update={"version": 3, "title": "Ours"}))
    assert find_template(folder, "status-query").title == "Ours"
    assert {t.template: o for o, t in all_templates(folder)}["status-query"] == "own"
    with pytest.raises(UsageError, match="version 3"):
        keep_template(folder, shipped)
    with pytest.raises(NotFoundError, match="preservation-ip"):
        find_template(folder, "nothing")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": "letter"}, "no message type letter"),
        ({"fields": {"colour": 1}}, "has no field colour"),
        ({"fields": {"question": "{{what}}"}, "placeholders": {}}, "what is not explained"),
        ({"fields": {"question": "x"}}, "question is used nowhere"),
        ({"version": 0}, "version"),
        ({"template": "../x"}, "template"),
        ({"more": 1}, "more"),
        ({"title": "a\u202eb"}, "title"),
    ],
)
def test_a_template_that_does_not_hold_together_is_refused_with_the_reason(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    fields = {**find_template(tmp_path, "status-query").model_dump(), **change}
    with pytest.raises(MalformedError, match=reason):
        parse_template(json.dumps(fields).encode(), "t.json")


@pytest.mark.long
def test_the_commands_list_show_export_import_and_fill(home: Path, tmp_path: Path) -> None:
    code, listed = comity(home, "template", "list")
    assert (code, {row["origin"] for row in listed["templates"]}) == (0, {"shipped"})
    file = tmp_path / "mine.json"
    assert comity(home, "template", "export", "preservation-ip", str(file))[0] == 0
    assert comity(home, "template", "export", "preservation-ip", str(file))[0] == 2
    fields = json.loads(file.read_text())
    file.write_text(json.dumps({**fields, "template": "ours"}))
    assert comity(home, "template", "import", str(file)) == (0, {"template": "ours", "version": 1})
    assert comity(home, "template", "show", "ours")[1]["type"] == "preservation.request"
    case = tmp_path / "case.yaml"
    case.write_text("facts: Somebody entered a hospital's payment system.\nmutual_assistance:\n  declared: true\n")
    draft = tmp_path / "draft.json"
    told = comity(
        home,
        "new",
        "--template",
        "ours",
        "--from",
        str(case),
        "--set",
        "port=51544",
        "--set",
        "to=24-7@fr",
        "--out",
        str(draft),
    )
    assert told[0] == 0
    assert "address" in told[1]["placeholders"]
    assert "port" not in told[1]["placeholders"]
    written = json.loads(draft.read_text())
    assert (written["type"], written["to"], written["facts"][:8]) == ("preservation.request", ["24-7@fr"], "Somebody")
    for wrong in (["--set", "port"], ["--set", "port=1", "--set", "port=2"], ["--set", "colour=red"]):
        assert comity(home, "new", "--template", "ours", *wrong)[0] == 2
    assert comity(home, "new", "--set", "port=1")[0] == 2
    assert comity(home, "new", "answer", "--template", "ours")[0] == 2


def test_a_case_file_alone_begins_a_draft_and_is_not_lost_under_the_empty_one(home: Path, tmp_path: Path) -> None:
    case = tmp_path / "case.json"
    case.write_text(json.dumps({"facts": "What happened.", "authority": {"organisation": "Police"}}))
    draft = tmp_path / "draft.json"
    assert comity(home, "new", "preservation.request", "--from", str(case), "--out", str(draft))[0] == 0
    written = json.loads(draft.read_text())
    assert written["facts"] == "What happened."
    assert written["authority"]["organisation"] == "Police"
    assert "person_in_charge" in written["authority"]


# --- Reading --------------------------------------------------------------------------------------------------------


def test_yaml_is_read_without_guessing() -> None:
    text = (
        "at: 2026-11-21\ntime: 12:30\nno: no\nport: 443\nhex: 0x10\noctal: 017\nyes: true\nnothing: null\nhalf: 0.5\n"
    )
    assert read_object(text.encode(), "x.yaml") == {
        "at": "2026-11-21",
        "time": "12:30",
        "no": "no",
        "port": 443,
        "hex": "0x10",
        "octal": "017",
        "yes": True,
        "nothing": None,
        "half": 0.5,
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.yaml", "a: &x 1\nb: *x\n"),
        ("x.yaml", "a: 1\na: 2\n"),
        ("x.yaml", "a: !!python/object/apply:os.system [id]\n"),
        ("x.yaml", "- a\n"),
        ("x.yaml", "1: a\n"),
        ("x.yaml", "a: [\n"),
        ("x.yaml", "a: 1\n---\nb: 2\n"),
        ("x.json", '{"a": 1, "a": 2}'),
        ("x.json", "[1]"),
        ("x.json", "{"),
        ("x.json", "\udcff"),
        ("x.yaml", "[" * 5000),
        ("x.json", "[" * 50000),
    ],
)
def test_what_could_be_read_in_two_ways_or_grow_is_refused(name: str, text: str) -> None:
    with pytest.raises(MalformedError, match=name):
        read_object(text.encode("utf-8", "surrogateescape"), name)


JSON_VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists)


@pytest.mark.long
@given(st.dictionaries(st.text(max_size=5), JSON_VALUES))
def test_json_read_as_json_is_what_was_written(value: dict[str, Any]) -> None:
    assert read_object(json.dumps(value).encode(), "x.json") == value


@given(st.binary(max_size=60), st.sampled_from(["x.json", "x.yaml"]))
def test_any_bytes_are_an_object_or_refused(content: bytes, name: str) -> None:
    with suppress(MalformedError):
        assert isinstance(read_object(content, name), dict)


def test_laying_fields_over_others_keeps_what_is_not_named() -> None:
    assert merge({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"c": 3}, "d": [2]}) == {"a": {"b": 1, "c": 3}, "d": [2]}


def test_an_exported_template_is_the_template(tmp_path: Path) -> None:
    for _, template in all_templates(tmp_path):
        assert parse_template(to_bytes(template), "x.json") == template

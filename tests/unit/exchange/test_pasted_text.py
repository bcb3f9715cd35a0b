"""Text as people paste it: line ends, marks that nobody sees, files in another encoding, numbers that begin with -."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.messaging.drafting.cleaning import cleaned
from exchange.messaging.drafting.targets import KINDS, read_targets
from exchange.text.documents import read_object
from protocol.encoding.ids import new_message_id
from protocol.errors import InvalidMessageError, MalformedError
from protocol.messages.parse import check_outgoing, compose_message
from tests.worlds.desks import request

NOW = datetime(2026, 11, 23, tzinfo=UTC)
MARKS = ["\u200e", "\u200b", "\u202d", "\u2060", "\u00ad", "\ufeff", "\u2066"]
ACCOUNT: dict[str, Any] = {"kind": "account", "service": "telegram", "handle": "kim"}


def composed(draft: dict[str, Any]) -> Any:
    return json.loads(
        compose_message(draft, message_id=new_message_id(NOW, bytes(10)), sender="24-7@jp", sent_at=NOW).content
    )


def with_identifier(**identifier: Any) -> dict[str, Any]:
    return request(targets=[{**request()["targets"][0], "identifier": identifier}])


def comity(*arguments: str) -> tuple[int, Any]:
    ran = CliRunner().invoke(app, [*arguments, "--json"])
    return ran.exit_code, json.loads(ran.stdout)


# --- Line ends -------------------------------------------------------------------------------------------------


def test_line_ends_of_every_editor_make_the_same_message() -> None:
    target = {**request()["targets"][0], "description": "One\ntwo\n\nthree"}
    draft = request(targets=[target], facts="One\ntwo")
    pasted = json.loads(json.dumps(draft).replace("\\n", "\\r\\n"))
    assert pasted != draft
    assert composed(pasted) == composed(draft)
    assert composed(pasted)["targets"][0]["description"] == "One\ntwo\n\nthree"


def test_composing_changes_nothing_in_the_draft_that_it_is_given() -> None:
    draft = request(targets=[{**request()["targets"][0], "description": "One\r\ntwo"}])
    before = copy.deepcopy(draft)
    composed(draft)
    assert draft == before


def test_what_others_committed_to_keeps_its_bytes_when_it_is_passed_on() -> None:
    original = {
        "message": str(new_message_id(NOW, bytes(10))),
        "type": "incident",
        "originator": "24-7@fr",
        "sent_at": "2026-11-23T00:00:00Z",
        "content": '{\r\n"a": 1}',
        "salt": "00" * 32,
        "envelope": "AAAA",
    }
    draft = {
        **{
            name: request()[name]
            for name in ("to", "urgency", "urgency_reason", "handling", "officer", "language")
            if name in request()
        },
        "type": "forward",
        "reason": "One\r\ntwo",
        "original": original,
    }
    assert check_outgoing(draft) == []
    message = composed(draft)
    assert (message["original"]["content"], message["reason"]) == ('{\r\n"a": 1}', "One\ntwo")


# --- Marks that nobody sees ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_in_a_number_is_refused_by_its_name_and_never_removed_by_itself(mark: str) -> None:
    draft = with_identifier(kind="phone", number=f"+33 1 23{mark}45 67 89")
    ((where, _, text),) = check_outgoing(draft)
    assert where.endswith("identifier.number")
    assert f"U+{ord(mark):04X}" in text
    assert "--clean" in text
    assert "23" not in text.replace(f"{ord(mark):04X}", "")


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_is_removed_when_that_is_asked_for_and_said(mark: str) -> None:
    draft = with_identifier(kind="phone", number=f"{mark}+33 1 23{mark}45 67 89")
    clean, removed = cleaned(draft)
    assert check_outgoing(clean) == []
    assert clean["targets"][0]["identifier"]["number"] == "+33 1 2345 67 89"
    assert [(one.field, one.characters[0].split()[0]) for one in removed] == [
        ("targets.0.identifier.number", f"U+{ord(mark):04X}")
    ]


def test_cleaning_leaves_prose_conditions_and_the_joiners_of_spelling_alone() -> None:
    handle = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    draft = with_identifier(**{**ACCOUNT, "handle": handle})
    draft["targets"][0]["relation"] = "a\u200eb"
    draft["conditions"] = [{"kind": "use", "text": "a\u200eb"}]
    assert cleaned(draft) == (draft, ())


@given(st.text(st.sampled_from("ab1\u200e\u200b\u200c\u0645\n\t "), max_size=12))
def test_what_was_cleaned_has_nothing_left_to_clean_and_keeps_all_that_is_seen(text: str) -> None:
    once, removed = cleaned({"identifier": {"kind": "account", "handle": text}})
    assert cleaned(once) == (once, ())
    kept = once["identifier"]["handle"]
    assert [one for one in kept if one in "ab1\u0645 "] == [one for one in text if one in "ab1\u0645 "]
    assert bool(removed) == (kept != text)


def test_a_table_is_cleaned_by_row_and_column_when_that_is_asked_for(tmp_path: Path) -> None:
    draft, table = tmp_path / "request.json", tmp_path / "targets.csv"
    draft.write_text(json.dumps(request(targets=[])), "utf-8")
    header = "kind,number,data_categories,begins_at,ends_at,relation,location"
    row = "phone,+33\u200e123456789,subscriber,2026-11-01T00:00:00Z,2026-11-02T00:00:00Z,His,Paris"
    table.write_text(f"{header}\n{row}\n", "utf-8")
    with pytest.raises(InvalidMessageError):
        read_targets(table.read_bytes())
    code, refused = comity("targets", "import", str(draft), str(table))
    assert (code, refused["error"]["problems"][0]["field"]) == (1, "row 2, column number")
    code, told = comity("targets", "import", str(draft), str(table), "--clean")
    assert code == 0
    assert [(one["field"], one["characters"]) for one in told["removed"]] == [
        ("row 2, column number", ["U+200E LEFT-TO-RIGHT MARK"])
    ]
    assert json.loads(draft.read_text("utf-8"))["targets"][0]["identifier"]["number"] == "+33123456789"


@pytest.mark.long
def test_checking_a_draft_cleans_it_only_when_asked_and_says_what_it_took(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(with_identifier(kind="phone", number="+33\u200e123456789")), "utf-8")
    before = file.read_bytes()
    code, _ = comity("send", str(file), "--check")
    assert code == 1
    code, told = comity("send", str(file), "--check", "--clean")
    assert (code, told["removed"][0]["field"]) == (0, "targets.0.identifier.number")
    assert file.read_bytes() == before


# --- Encodings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["draft.json", "draft.yaml"])
@pytest.mark.parametrize(
    ("encoding", "named"),
    [
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("cp1252", "cp1252"),
    ],
)
def test_a_draft_in_another_encoding_is_told_so_with_the_mend(name: str, encoding: str, named: str) -> None:
    content = json.dumps({"type": "preservation.request", "reason": "Besançon"}, ensure_ascii=False).encode(encoding)
    with pytest.raises(MalformedError) as caught:
        read_object(content, name)
    assert named in caught.value.detail
    assert "save it again as UTF-8" in caught.value.detail


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_utf_8_is_read_with_and_without_its_mark_and_whatever_its_line_ends(mark: bytes) -> None:
    assert read_object(mark + '{"a":\r\n"é\\u0000"}'.encode(), "draft.json") == {"a": "é\0"}


@given(st.binary(max_size=200))
def test_a_draft_of_any_bytes_is_an_object_or_refused(content: bytes) -> None:
    for name in ("a.json", "a.yaml"):
        with suppress(MalformedError):
            assert isinstance(read_object(content, name), dict)


# --- Values that begin with a hyphen or an at sign -------------------------------------------------------------


@pytest.mark.parametrize("handle", ["-1001234567890", "@durov", "0012345", "12345", "1e5", "-0", "true"])
def test_an_account_may_be_called_like_a_number_or_an_option_on_the_command_line(tmp_path: Path, handle: str) -> None:
    out = tmp_path / "draft.json"
    code, _ = comity("new", "--template", "preservation-account", "--set", f"handle={handle}", "--out", str(out))
    assert code == 0
    identifier = json.loads(out.read_text("utf-8"))["targets"][0]["identifier"]
    assert (identifier["kind"], identifier["handle"]) == ("account", handle)
    assert "account" in KINDS


def test_a_number_stays_one_where_a_number_is_wanted(tmp_path: Path) -> None:
    out = tmp_path / "draft.json"
    assert comity("new", "--template", "preservation-ip", "--set", "port=51544", "--out", str(out))[0] == 0
    assert json.loads(out.read_text("utf-8"))["targets"][0]["identifier"]["port"] == 51544


def test_a_group_that_is_called_by_a_number_below_zero_can_be_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr("exchange.cli.messages.reading.with_desk", lambda home, secret, work: work)
    monkeypatch.setattr(
        "exchange.cli.messages.reading.run",
        lambda work, *, as_json: asked.append((work.__closure__ and _words(work)) or []),
    )
    ran = CliRunner().invoke(app, ["search", "-1001234567890", "@durov", "--limit", "7"])
    assert (ran.exit_code, asked) == (0, [["@durov", "-1001234567890"]])
    assert CliRunner().invoke(app, ["search", "--ofline", "x"]).exit_code == 2


def _words(work: Any) -> list[str]:
    return next(cell.cell_contents for cell in work.__closure__ if isinstance(cell.cell_contents, list))

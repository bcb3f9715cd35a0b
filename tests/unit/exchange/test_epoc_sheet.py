"""A European Production Order is prepared from a draft and read back; what the form asks and lacks is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.messaging.drafting.epoc_sheet import TITLES, imported, prepared
from protocol.errors import MalformedError, UsageError
from protocol.messages.parse import check_outgoing

ROOT = Path(__file__).resolve().parents[3]
DRAFT: dict[str, Any] = json.loads((ROOT / "examples/forms/assistance-order-behind-it.json").read_text("utf-8"))


def test_the_sheet_has_every_section_in_the_forms_codes_and_names_what_is_missing() -> None:
    sheet = prepared(DRAFT)
    assert list(sheet["sections"]) == list(TITLES) == list("ABCDEFGHIJKLM")
    sections = sheet["sections"]
    assert sections["A"]["issuing_authority"]["role"] == "OTHER_COMPETENT_AUTHORITY"
    assert sections["A"]["validating_authority"]["role"] == "PUBLIC_PROSECUTOR"
    assert sections["A"]["validating_authority"]["case_number"] == "26-330-771"
    assert sections["E"]["identifiers"][0]["type"] == "USER_ID"
    assert sections["F"]["data"][0]["categories"] == ["Subscriber"]
    assert sheet["missing"] == ["order.deadline"] or sections["C"]["deadline_at"]
    bare = prepared({"type": "assistance.request"})
    assert bare["missing"] == [
        "order.issuing_authority",
        "order.addressee",
        "order.deadline",
        "targets",
        "targets.data_categories",
        "offences",
        "authority",
    ]
    with pytest.raises(UsageError):
        prepared({"type": "answer"})


def test_a_sheet_is_read_back_as_the_draft_that_it_was_made_of() -> None:
    full = copy.deepcopy(DRAFT)
    full["order"]["deadline"] = "imminent_threat_to_life"
    full["targets"][0] |= {
        "further_identifiers": [{"kind": "email", "address": "a@example.org"}],
        "data_details": ["registration_information"],
    }
    back = imported(json.loads(json.dumps(prepared(full))))
    assert back["urgency"] == "emergency"
    for name in ("offences", "facts", "description", "purpose", "own_reference", "authority", "confidential"):
        assert back[name] == full[name]
    target = back["targets"][0]
    for name in ("identifier", "further_identifiers", "data_categories", "data_details", "time_window", "relation"):
        assert target[name] == full["targets"][0][name]
    # Why it comes this way is asked of who sends it on, never taken from the sheet (Art. 19.5).
    whole = {**full, **back}
    assert "order.other_means" in {field for field, _, _ in check_outgoing(whole)}
    order = {**back["order"], "other_means": full["order"]["other_means"]}
    lacking = {field for field, _, _ in check_outgoing({**whole, "order": order})}
    assert lacking <= {"order.deadline_at", "urgency_reason"}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"schema": "comity/epoc-sheet/2", "sections": {}},
        {"schema": "comity/epoc-sheet/1"},
        {"schema": "comity/epoc-sheet/1", "sections": []},
    ],
)
def test_what_is_no_sheet_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        imported(wrong)


def test_a_sheet_with_anything_in_its_places_is_read_or_refused_by_the_check_of_the_draft() -> None:
    for value in (7, "x", [1], {"a": 1}, None):
        for letter in TITLES:
            sheet = prepared(DRAFT)
            sheet["sections"][letter] = value
            assert imported(sheet)["type"] == "assistance.request"
    for place, value in (("E", {"identifiers": [7, {"target": 1}]}), ("F", {"data": ["x", {"categories": [7]}]})):
        sheet = prepared(DRAFT)
        sheet["sections"][place] = value
        assert check_outgoing(imported(sheet))


def test_the_commands_prepare_and_import(tmp_path: Path) -> None:
    file, sheet, draft = tmp_path / "d.json", tmp_path / "s.json", tmp_path / "r.json"
    file.write_text(json.dumps(DRAFT), "utf-8")

    def comity(*arguments: str) -> tuple[int, str]:
        ran = CliRunner().invoke(app, [*arguments], env={"COLUMNS": "200"})
        return ran.exit_code, ran.output

    home = ("--home", str(tmp_path / "none"))
    code, shown = comity("epoc", "prepare", str(file), "--out", str(sheet), *home)
    assert code == 0
    assert "decentralised IT system" in shown
    assert comity("epoc", "prepare", str(file), "--out", str(sheet), *home)[0] != 0  # it is there already
    assert comity("epoc", "import", str(sheet), "--out", str(draft))[0] == 0
    assert json.loads(draft.read_text("utf-8"))["order"]["order_kind"] == "epoc"
    assert json.loads(comity("epoc", "prepare", str(file), "--json", *home)[1]) == json.loads(sheet.read_text("utf-8"))

"""Forms that are made of models and signatures: what a form shows it reads back, for every message type and act."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from exchange.web.forms.acts import ACTS
from exchange.web.forms.fields import PageField, PageGroup, PageRows, Typed
from exchange.web.forms.model_form import ModelForm, merged
from exchange.web.forms.signature_form import SignatureForm
from exchange.wizard.legal_replies import TargetChoice
from exchange.wizard.question import Situation
from protocol.codes import list_names
from protocol.messages.corrections import own_fields
from protocol.messages.parse import check_outgoing, parse_message
from protocol.messages.registry import MESSAGE_TYPES
from tests.worlds.desks import ROOT

EXAMPLES = sorted((ROOT / "examples/messages").glob("*.json"))
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def situation() -> Situation:
    return Situation(address="24-7@jp", now=NOW, zone=UTC, language="en")


def written(path: Path) -> tuple[type[BaseModel], dict[str, Any]]:
    """The model of an example, and what its sender wrote."""
    draft = json.loads(path.read_text("utf-8"))
    filled = {"id": "01a20658-9b80-7000-8000-000000000000", "from": "24-7@jp", "sent_at": "2026-11-23T03:00:00Z"}
    thread = {"thread": "01a20658-9b80-7000-8000-000000000000"}
    message = parse_message(json.dumps({**filled, **thread, **draft, "schema_version": 1_000}).encode())
    return MESSAGE_TYPES[draft["type"]], own_fields(message)


def leaves(part: PageField | PageGroup | PageRows) -> list[PageField]:
    if isinstance(part, PageField):
        return [part]
    inner: Any = part.rows if isinstance(part, PageRows) else [*part.fields, *part.more]
    return [one for each in inner for one in leaves(each)]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_what_a_form_shows_of_a_message_it_reads_back(path: Path) -> None:
    draft = json.loads(path.read_text("utf-8"))
    model = MESSAGE_TYPES[draft["type"]]
    names = [one["target"] for one in draft.get("targets", []) if isinstance(one, dict)]
    form = ModelForm(model, TargetChoice(tuple(names)))
    typed = Typed(form.flat(draft), situation())
    read = form.read(typed)
    assert typed.errors == {}
    shown = {one.name: tuple(one.values) for one in leaves(form.shown(draft)) if any(one.values)}
    assert shown == {name: tuple(form.flat(draft)[name]) for name in shown}
    # What no form asks for stays as it was; what it read is the same message again.
    again = {**draft, **{name: merged(draft.get(name), read.get(name), value) for name, value in read.items()}}
    assert check_outgoing(again) == check_outgoing(draft)
    form_of_read = ModelForm(model, TargetChoice(tuple(names)))
    assert form_of_read.read(Typed(form_of_read.flat(read), situation())) == read


def test_merging_changes_what_was_changed_and_keeps_what_no_form_shows() -> None:
    original = {"a": 1, "hidden": {"x": 1}, "rows": [{"n": 1, "hidden": 2}, {"n": 2, "hidden": 3}], "gone": 4}
    before = {"a": 1, "rows": [{"n": 1}, {"n": 2}], "gone": 4}
    now = {"a": 5, "rows": [{"n": 1}, {"n": 7}]}
    assert merged(original, before, now) == {
        "a": 5, "hidden": {"x": 1}, "rows": [{"n": 1, "hidden": 2}, {"n": 7, "hidden": 3}],
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(ACTS))
def test_each_act_has_a_label_for_every_field_and_codes_that_exist(name: str) -> None:
    form = SignatureForm(ACTS[name], TargetChoice(("t1",)))
    fields = form.fields()
    assert all(field.label for field in fields)
    assert set(ACTS[name].codes.values()) <= set(list_names())
    assert set(ACTS[name].codes) <= {field.name for field in fields}
    assert not [field.name for field in fields if "passphrase" in field.name and field.kind != "secret"]


@pytest.mark.parametrize("text", ["2026-11-23", "23.11.2026", "23 November 2026", "23/11/2026", "2026/11/23"])
def test_the_day_of_an_authorisation_is_read_in_every_layout_of_dates(text: str) -> None:
    form = ModelForm(MESSAGE_TYPES["answer"], TargetChoice(("t1",)))
    read = form.read(Typed({"f.authorisation.date": [text]}, situation()))
    assert read["authorisation"]["date"] == "2026-11-23"


@pytest.mark.parametrize("text", ["yesterday", "03/04/2026", "31/02/2026"])
def test_a_day_that_is_none_or_may_be_two_stays_as_it_was_typed(text: str) -> None:
    form = ModelForm(MESSAGE_TYPES["answer"], TargetChoice(("t1",)))
    read = form.read(Typed({"f.authorisation.date": [text]}, situation()))
    assert read["authorisation"]["date"] == text


@pytest.mark.parametrize("text", ["yesterday", "31/02/2026 99:99", "2026-11-23", "<script>", "+9999999999d"])
def test_a_date_that_is_none_is_told_beside_its_field_and_never_guessed(text: str) -> None:
    typed = Typed({"until": [text]}, situation())
    typed.instant("until")
    assert typed.errors or text == "2026-11-23"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_no_field_that_is_filled_is_told_to_be_filled(path: Path) -> None:
    model, content = written(path)
    shown = ModelForm(model, TargetChoice(("thread", "id"))).shown(content)

    def look(part: PageField | PageGroup | PageRows) -> None:
        if isinstance(part, PageField):
            filled = any(part.values) and part.kind not in {"instant", "lines"}
            assert not (filled and part.hint), (part.name, part.hint)
            return
        for inner in part.rows if isinstance(part, PageRows) else (*part.fields, *part.more):
            look(inner)

    look(shown)

"""What is typed into pages of a draft is taken, or stays in it as it was typed; nothing is lost and nothing guessed."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.wizard.flow import WIZARD_TYPES, Wizard
from exchange.wizard.forms import TypedForm, left_lines
from exchange.wizard.paste import Ask
from exchange.wizard.question import AS_TYPED, AnswerProblem, value_at
from exchange.wizard.sections import pages_of, section_of, text_of, text_of_target
from protocol.errors import InvalidMessageError
from protocol.messages.parse import check_outgoing
from tests.unit.exchange.test_wizard_flow import ANSWERS, OWN, SITUATION, answered

PRESERVATION = "preservation.request"
LINES = """203.0.113.9:51544 2026-11-21 12:12:45
j.doe@example.fr
nonsense
2001:db8:85a3::8a2e:370:7334 2026-11-21T03:15:02.1234567Z"""


def begun(kind: str = PRESERVATION) -> TypedForm:
    return TypedForm(Wizard.begin(kind, SITUATION), {})


def again(form: TypedForm) -> TypedForm:
    """As it comes out of the office: saved, and opened."""
    saved = json.loads(json.dumps(form.to_draft()))
    return TypedForm.of(Wizard.begin(form.wizard.message_type, SITUATION, saved))


@pytest.mark.parametrize("kind", WIZARD_TYPES)
def test_an_answer_that_is_shown_and_sent_back_says_the_same(kind: str) -> None:
    wizard = answered(Wizard.begin(kind, SITUATION))
    for step in wizard.all_steps():
        shown = text_of(step, wizard.draft, SITUATION)
        if shown:
            said = step.read(shown, wizard.draft, SITUATION)
            assert {name: value_at(wizard.draft, name) for name in said} == said, step.name
    form = TypedForm(wizard, {})
    every = {step.name: form.shown(step) for step in wizard.all_steps()}
    for target in wizard.draft.get("targets") or ():
        for step in wizard.all_steps():
            if step.name.startswith("each.") and step.name != "each.more_targets":
                every[f"{target['target']}.{step.name.removeprefix('each.')}"] = form.shown_of(step, target)
    assert form.filled(every).to_draft() == form.to_draft()


@pytest.mark.parametrize("kind", WIZARD_TYPES)
def test_every_question_of_a_type_stands_on_one_of_its_pages(kind: str) -> None:
    wizard = answered(Wizard.begin(kind, SITUATION))
    sections = [section for page in pages_of(kind) for section in page.sections]
    assert len(sections) == len(set(sections))
    assert {section_of(step) for step in wizard.all_steps()} <= set(sections)


def test_what_is_no_answer_stays_as_it_was_typed_and_keeps_the_draft_from_being_sent() -> None:
    form = TypedForm(answered(Wizard.begin(PRESERVATION, SITUATION)), {})
    assert form.problems() == []
    spoiled = again(form.filled({"period_wanted_days": "ninety", "t1.time_window": "soon"}))
    days = spoiled.wizard.step_named("period_wanted_days")
    window = spoiled.wizard.step_named("each.time_window")
    assert days is not None
    assert window is not None
    assert spoiled.shown(days) == "ninety"
    assert spoiled.shown_of(window, spoiled.wizard.draft["targets"][0]) == "soon"
    why = spoiled.problem(days)
    assert why is not None
    assert "whole number" in why.text
    assert {field for field, _rule, _text in spoiled.problems()} >= {"period_wanted_days", "t1.time_window"}
    # What the draft said before is not sent behind the back of who sees the other text.
    assert "period_wanted_days" not in spoiled.wizard.message_draft()
    mended = again(spoiled.filled({"period_wanted_days": "90", "t1.time_window": "60"}))
    assert mended.problems() == []
    assert check_outgoing(mended.to_draft()) == []


def test_a_draft_with_something_that_was_not_understood_is_refused_by_every_way_that_sends() -> None:
    form = begun().filled({"period_wanted_days": "ninety"})
    assert "as_typed" in {field for field, _rule, _text in check_outgoing(form.to_draft())}


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from([*ANSWERS, "t1.relation", "t1.nothing", "x.y"]), st.text(max_size=40)))
def test_no_text_is_lost_and_none_breaks_the_form(texts: dict[str, str]) -> None:
    form = again(TypedForm(Wizard.begin(PRESERVATION, SITUATION), {}).filled(texts))
    for name, text in texts.items():
        step = form.wizard.step_named(name)
        if step is None or name.startswith(("each.", "targets", "identifiers")) or not text.strip():
            continue
        kept = form.shown(step)
        assert kept
        if form.problem(step) is not None:
            assert kept == text


def test_lines_that_are_understood_become_targets_and_the_others_stay() -> None:
    form = again(begun().pasted(LINES))
    assert form.paste == "203.0.113.9:51544 2026-11-21 12:12:45\nnonsense"
    assert [one["identifier"]["kind"] for one in form.wizard.draft["targets"]] == ["email", "ipv6"]
    assert [one.asks for one in left_lines(form)] == [Ask.ZONE, None]
    form = again(form.said(1, Ask.ZONE, "Asia/Tokyo"))
    assert [one.asks for one in left_lines(form)] == [Ask.PROTOCOL, None]
    form = again(form.said(1, Ask.PROTOCOL, "tcp"))
    assert form.paste == "nonsense"
    assert form.wizard.draft["targets"][2]["identifier"]["instant"] == "2026-11-21T12:12:45+09:00"
    assert any(field == "lines" for field, _rule, _text in form.problems())
    assert again(form.without_line(1)).paste == ""


def test_what_is_said_of_one_line_stands_for_no_other_one() -> None:
    form = begun().pasted("203.0.113.9:1 2026-11-21 12:00 tcp\n203.0.113.10:2 2026-11-21 12:00 tcp")
    form = form.said(2, Ask.ZONE, "UTC")
    assert [one["identifier"]["instant"] for one in form.wizard.draft["targets"]] == ["2026-11-21T12:00:00Z"]
    assert form.paste == "203.0.113.9:1 2026-11-21 12:00 tcp"
    form = form.said_for_all(Ask.ZONE, "Asia/Tokyo")
    instants = [one["identifier"]["instant"] for one in form.wizard.draft["targets"]]
    assert instants == ["2026-11-21T12:00:00Z", "2026-11-21T12:00:00+09:00"]


def test_lines_that_are_pasted_again_are_no_more_targets_also_when_their_window_grew() -> None:
    line = "supplier@example.com 2026-11-21 12:00 +09:00"
    form = begun().pasted(line).filled({"each.time_window": "60"}).pasted(line)
    assert len(form.wizard.draft["targets"]) == 1
    assert len(form.pasted("supplier@example.com 2026-11-23 12:00 +09:00").wizard.draft["targets"]) == 2


@pytest.mark.parametrize(
    ("ask", "text"), [(Ask.ZONE, "Mars"), (Ask.YEAR, "soon"), (Ask.PROTOCOL, "pigeon"), (Ask.CHAIN, "gold")]
)
def test_what_is_said_of_a_line_and_is_nothing_is_refused(ask: Ask, text: str) -> None:
    with pytest.raises(AnswerProblem):
        begun().pasted(LINES).said(1, ask, text)


def test_a_table_with_the_columns_of_targets_says_all_of_them() -> None:
    table = (
        "kind,address,data_categories,begins_at,ends_at,relation,custodian_name\n"
        "email,a@example.com,subscriber,2026-11-20T00:00:00Z,2026-11-21T00:00:00Z,It was used.,Example SAS\n"
    )
    try:
        form = begun().pasted(table)
    except InvalidMessageError as problem:
        pytest.fail(str(problem.problems))
    (target,) = form.wizard.draft["targets"]
    assert target["identifier"]["address"] == "a@example.com"
    assert target["data_categories"] == ["subscriber"]


def test_an_export_is_read_as_a_whole_and_asked_line_by_line() -> None:
    export = "ip,port,timestamp\n203.0.113.9,51544,2026-11-21 12:12:45\n203.0.113.10,51545,2026-11-21T03:12:45Z\n"
    form = begun().pasted(export)
    left: list[Any] = list(left_lines(form))
    for _ in range(6):
        if not left:
            break
        answer = {Ask.ZONE: "UTC", Ask.PROTOCOL: "tcp"}[left[0].asks]
        form = again(form.said(left[0].line, left[0].asks, answer))
        left = list(left_lines(form))
    instants = [one["identifier"]["instant"] for one in form.wizard.draft["targets"]]
    assert sorted(instants) == ["2026-11-21T03:12:45Z", "2026-11-21T12:12:45Z"]
    assert form.paste == ""


def test_one_target_is_changed_alone_and_what_all_lack_is_filled_in_once() -> None:
    form = begun().pasted("a@example.com\nb@example.com").filled({"each.relation": "Both wrote."})
    form = form.filled({"t2.relation": "This one paid.", "t2.custodian": "Example Hosting SAS, France, Mail"})
    first, second = form.wizard.draft["targets"]
    assert (first["relation"], second["relation"]) == ("Both wrote.", "This one paid.")
    assert "custodian" not in first
    custodian = form.wizard.step_named("each.custodian")
    assert custodian is not None
    assert text_of_target(custodian, second, SITUATION) == "Example Hosting SAS, FR, Mail"
    assert [one["target"] for one in form.wizard.without_target("t1").draft["targets"]] == ["t2"]


def test_the_desks_own_block_is_filled_in_and_not_asked() -> None:
    names = {step.name for step in begun().wizard.all_steps()}
    assert not {name for name in names if name.partition(".")[0] in OWN and name != "call_back.telephone"}


def test_a_text_that_is_an_answer_by_now_is_taken_and_never_missing_in_what_is_sent() -> None:
    form = begun()
    saved = {**form.to_draft(), AS_TYPED: {"texts": {"facts": "Money was diverted."}}}
    taken = TypedForm.of(Wizard.begin(PRESERVATION, SITUATION, saved))
    assert (taken.texts, taken.wizard.draft["facts"]) == ({}, "Money was diverted.")


def test_lines_that_are_understood_by_now_keep_a_draft_from_being_sent_until_they_are_targets() -> None:
    form = begun()
    saved = {**form.to_draft(), AS_TYPED: {"paste": "j.doe@example.fr", "lines": {}}}
    left = TypedForm.of(Wizard.begin(PRESERVATION, SITUATION, saved))
    assert not left.read().not_understood
    assert "lines" in {name for name, _rule, _text in left.problems()}


def test_the_work_of_a_page_grows_with_its_targets_and_not_with_their_square() -> None:
    few, many = calls_of_a_page(20), calls_of_a_page(80)
    assert many < 5 * few, (few, many)
    assert many < 2_000 * 80


def calls_of_a_page(targets: int) -> int:
    """How many functions are called to take in the rows of a page, and to say what each of its targets lacks."""
    form = begun().pasted("\n".join(f"203.0.113.{one}:51544 2026-11-21 12:12:45Z tcp" for one in range(targets)))
    shown = {f"t{one}.{name}": "" for one in range(1, 11) for name in ("data_categories", "relation", "custodian")}
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        filled = form.filled(shown)
        found = [filled.wizard.step_named(field) or filled.wizard.step_of(one) for one in filled.problems()
                 for field in one[:1]]  # fmt: skip
    finally:
        sys.setprofile(None)
    assert len(found) > targets
    return calls

"""The wizard asks only what a type needs, checks as it goes, and forgets nothing that the model wants."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.wizard.flow import WIZARD_TYPES, Wizard
from exchange.wizard.legal_replies import legal_replies as legal_replies_at
from exchange.wizard.paste import Said, read_paste
from exchange.wizard.question import (
    AnswerKind,
    AnswerProblem,
    KnownBasis,
    Partner,
    Situation,
    WizardStep,
    value_at,
    with_fields,
)
from protocol.lifecycle.facts import Submitted
from protocol.lifecycle.preservation import PreservationCase, TargetCase, fold_facts
from protocol.lifecycle.preservation_rules import State
from protocol.messages.parse import check_outgoing
from protocol.messages.registry import MESSAGE_TYPES

TOKYO = ZoneInfo("Asia/Tokyo")
REACHED = {"name": "Sato Yui", "telephone": "+81350000247"}
OWN = {
    "officer": {"name": "Sato Yui", "role": "Duty officer"},
    "authority": {
        "organisation": "National Police Agency of Japan",
        "country": "JP",
        "person_in_charge": "Sato Yui",
        "telephone": "+81350000247",
        "office_hours": "24/7",
        "time_zone": "Asia/Tokyo",
    },
    "confirmation_contact": REACHED,
    "call_back": REACHED,
}
SITUATION = Situation(
    address="24-7@jp",
    now=datetime(2026, 11, 23, 3, tzinfo=UTC),
    zone=TOKYO,
    language="en",
    partners=(
        Partner("24-7@fr", "FR", "OFAC", ("fr", "en")),
        Partner("24-7@gh", "GH", "Cyber Unit", ("en",)),
        Partner("lab@gh", "GH", "Laboratory", ("en",)),
    ),
    own=OWN,
    case_targets=("t1", "t2"),
    bases_with=lambda _address: {"budapest": KnownBasis("in_force")},
)
PASTE = "203.0.113.9:51544 2026-11-21 12:12:45\nsupplier@example.com 2026-11-21 12:00\n"
ANSWERS = {
    "to": "France",
    "own_reference": "NPA-2026-17",
    "offences": "Illegal access; 8; Breach of seals",
    "facts": "Somebody entered the payment system.\n\nThree payments went elsewhere.",
    "each.data_categories": "Subscriber data, traffic",
    "each.time_window": "60",
    "each.relation": "The session came from there.",
    "each.custodian": "Example Hosting SAS, France, Mail",
    "each.held_there": "It is their address.",
    "necessity": "The logs are kept for days.",
    "mutual_assistance.declared": "yes",
    "do_not_notify": "y",
    "do_not_notify_reason": "The suspect would flee.",
    "urgency": "Urgent",
    "urgency_reason": "The logs go tomorrow.",
    "threatened_good": "1",
    "relation": "It shows where the child is.",
    "kinds": "subscriber",
    "description": "Name the customer.",
    "purpose": "To find the intruder.",
    "confidential": "no",
    "subject": "Accounts of a group",
    "usefulness": "The servers stand there.",
    "evidential_status": "intelligence",
    "identifiers.relation": "Seen in the logs.",
    "service": "technical",
    "text": "The node is served on Monday.",
    "incident_kind": "disclosure",
    "items": "0192c2e1-0b44-7d0a-8c11-2f6b7e9a1d02: i1",
    "discovered_at": "2026-11-22 08:30",
    "consequences": "One person knows a name.",
    "measures": "The file was deleted.",
    "ongoing": "no",
    "contact.telephone": "+81350000247",
    "handling.grade.source": "A",
    "handling.grade.information": "1",
    "field authorisation.basis": "Budapest Convention",
    "field authorisation.authority": "Tokyo District Court",
    "field authorisation.provision": "Code of Criminal Procedure Art. 218",
    "field authorisation.date": "2026-11-22",
    "field authorisation.file_number": "2026-W-118",
    "field authorisation.person": "Judge Mori Aoi",
}


def answered(wizard: Wizard, answers: dict[str, str] | None = None) -> Wizard:
    """The wizard with every question answered; each is asked once."""
    asked: list[str] = []
    while (step := wizard.current()) is not None:
        assert step.name not in asked, asked
        asked.append(step.name)
        if step.answered is AnswerKind.PASTE:
            wizard = wizard.pasted(step, read_paste(PASTE, Said(TOKYO, protocol="tcp")).found)
        else:
            wizard = wizard.answer(step, (answers or ANSWERS).get(step.name, ""))
    return wizard


def at(message_type: str, name: str, draft: dict[str, Any] | None = None) -> tuple[Wizard, WizardStep]:
    wizard = Wizard.begin(message_type, SITUATION, draft)
    return wizard, next(step for step in wizard.steps() if step.name == name)


@pytest.mark.parametrize("message_type", WIZARD_TYPES)
def test_the_answers_of_one_officer_make_a_complete_message(message_type: str) -> None:
    wizard = answered(Wizard.begin(message_type, SITUATION))
    assert check_outgoing(wizard.message_draft()) == []
    assert len(wizard.steps()) <= 28


def test_a_request_says_what_was_answered() -> None:
    draft = answered(Wizard.begin("preservation.request", SITUATION)).message_draft()
    assert (draft["to"], draft["urgency"], draft["handling"]) == (["24-7@fr"], "urgent", {"tlp": "AMBER"})
    assert draft["offences"] == [
        {"list": "budapest", "code": "2", "title": "Illegal access"},
        {"list": "budapest", "code": "8", "title": "Computer-related fraud"},
        {"list": "national", "title": "Breach of seals"},
    ]
    assert draft["legal_basis"] == {"instrument": "budapest", "articles": ["29"]}
    assert [one["time_window"]["begins_at"] for one in draft["targets"]] == [
        "2026-11-21T11:12:45+09:00",
        "2026-11-21T11:00:00+09:00",
    ]
    assert draft["targets"][1]["custodian"] == {"name": "Example Hosting SAS", "country": "FR", "service": "Mail"}
    assert draft["authority"] == OWN["authority"]


@pytest.mark.parametrize("message_type", sorted(MESSAGE_TYPES))
def test_every_type_has_a_wizard_that_asks_for_whatever_its_model_wants(message_type: str) -> None:
    """Also a field that a type gets one day, and of which no step is: it is asked by the rule that asks for it."""
    path = Path(f"examples/messages/{message_type}.json")
    path = path if path.exists() else Path(f"examples/{message_type.replace('.', '-')}.json")
    example = json.loads(path.read_text("utf-8"))
    whole = Wizard.begin(message_type, SITUATION, example)
    assert whole.problems() == []
    for name in example:
        lacking = {field: value for field, value in example.items() if field != name or name == "type"}
        wizard = Wizard.begin(message_type, SITUATION, lacking)
        if wizard.problems():
            assert wizard.current() is not None, name


def test_only_what_the_draft_as_it_stands_needs_is_asked() -> None:
    names = {step.name for step in Wizard.begin("preservation.request", SITUATION).steps()}
    assert not {"urgency_reason", "do_not_notify_reason", "each.relation", "authority"} & names
    urgent = Wizard.begin("preservation.request", SITUATION, {"urgency": "urgent"})
    assert "urgency_reason" in {step.name for step in urgent.steps()}


@pytest.mark.parametrize(
    ("name", "answer", "rule", "says"),
    [
        ("to", "UK", "", "did you mean GB"),
        ("to", "Ghana", "", "24-7@gh, lab@gh"),
        ("facts", "", "Art. 29.2 (b)", "summarise the related facts"),
        ("mutual_assistance.declared", "no", "Art. 29.2 (f)", "mutual assistance"),
        ("mutual_assistance.declared", "perhaps", "", "yes or no"),
        ("period_wanted_days", "-5", "", "whole number"),
        ("period_wanted_days", "99999", "Art. 29.7", "too large"),
        ("handling.tlp", "AMBR", "", "did you mean AMBER"),
        ("own_reference", "\u202ereversed", "T-CY(2018)11 item 2", "RIGHT-TO-LEFT OVERRIDE"),
    ],
)
def test_an_answer_that_will_not_do_is_refused_at_once_by_the_rule_that_asks(
    name: str, answer: str, rule: str, says: str
) -> None:
    wizard, step = at("preservation.request", name)
    with pytest.raises(AnswerProblem) as refused:
        wizard.answer(step, answer)
    assert (refused.value.rule, says in refused.value.text) == (rule, True), refused.value.text


def test_a_paste_of_which_nothing_is_understood_changes_nothing() -> None:
    wizard, step = at("preservation.request", "targets")
    with pytest.raises(AnswerProblem, match="no line"):
        wizard.pasted(step, ())


def test_a_second_paste_has_answers_of_its_own() -> None:
    wizard = Wizard.begin("preservation.request", SITUATION)
    for answers in (ANSWERS, {**ANSWERS, "each.relation": "The second server.", "each.custodian": ""}):
        while (step := wizard.current()) is not None and step.name != "more_targets":
            if step.answered is AnswerKind.PASTE:
                wizard = wizard.pasted(step, read_paste(PASTE, Said(TOKYO, protocol="udp")).found)
            else:
                wizard = wizard.answer(step, answers.get(step.name, ""))
        assert step is not None
        wizard = wizard.answer(step, "yes" if answers is ANSWERS else "no")
    targets = wizard.draft["targets"]
    assert [one["relation"] for one in targets] == [ANSWERS["each.relation"]] * 2 + ["The second server."] * 2
    assert [one["target"] for one in targets] == ["t1", "t2", "t3", "t4"]
    # What no answer gave is asked for by the rule, until the type does without it.
    assert [one.get("custodian") is None for one in targets] == [False, False, True, True]
    assert any("t3, t4" in caution for caution in wizard.cautions())


def test_a_saved_draft_is_gone_on_with_where_it_stands() -> None:
    wizard = Wizard.begin("preservation.request", SITUATION)
    for _ in range(6):
        step = wizard.current()
        assert step is not None
        wizard = wizard.answer(step, ANSWERS.get(step.name, ""))
    stored = json.loads(json.dumps(wizard.draft))
    again = Wizard.begin("preservation.request", SITUATION, stored)
    here, there = wizard.current(), again.current()
    assert here is not None
    assert there is not None
    assert here.name == there.name


def test_an_answer_is_changed_without_the_others() -> None:
    wizard = answered(Wizard.begin("preservation.request", SITUATION))
    step = next(step for step in wizard.steps() if step.name == "each.relation")
    changed = wizard.without(step)
    assert (current := changed.current()) is not None
    assert current.name == "each.relation"
    done = changed.answer(step, "Another reason.").message_draft()
    assert [one["relation"] for one in done["targets"]] == ["Another reason."] * 2
    assert done["facts"] == ANSWERS["facts"]


def test_an_answer_to_each_target_of_a_case_makes_a_complete_reply() -> None:
    reply = {
        name: value
        for name, value in json.loads(Path("examples/messages/preservation.answer.json").read_text("utf-8")).items()
        if name != "targets"
    }
    results = {
        "targets.0.result": "Preserved",
        "targets.0.preserved_at": "2026-11-23 11:00",
        "targets.1.result": "refused",
        "targets.1.ground.code": "1",
        "targets.1.ground.text": "It would prejudice essential interests.",
    }
    draft = answered(Wizard.begin("preservation.answer", SITUATION, reply), results).message_draft()
    assert draft["targets"][0]["preserved_at"] == "2026-11-23T11:00:00+09:00"
    assert draft["targets"][0]["expires_at"] == "2027-02-21T12:00:00+09:00"
    assert check_outgoing(draft) == []


def test_times_are_those_of_the_officers_zone() -> None:
    wizard, step = at("emergency.request", "needed_by")
    assert wizard.answer(step, "2026-12-01 09:00").draft["needed_by"] == "2026-12-01T09:00:00+09:00"
    assert wizard.answer(step, "+8h").draft["needed_by"] == "2026-11-23T20:00:00+09:00"
    with pytest.raises(AnswerProblem, match="write the date"):
        wizard.answer(step, "tomorrow")


def test_what_is_merely_useful_cautions_and_is_never_in_the_way() -> None:
    draft = {**answered(Wizard.begin("preservation.request", SITUATION)).message_draft(), "language": "ja"}
    draft = with_fields(draft, {"period_wanted_days": 30})
    wizard = Wizard.begin("preservation.request", SITUATION, draft)
    assert len(wizard.cautions()) == 2
    assert check_outgoing(wizard.message_draft()) == []


@settings(max_examples=40)
@given(st.sampled_from(WIZARD_TYPES), st.lists(st.text(max_size=30), max_size=12))
def test_no_answer_breaks_the_wizard_or_makes_a_field_that_the_model_refuses(kind: str, answers: list[str]) -> None:
    wizard = Wizard.begin(kind, SITUATION, {"to": ["24-7@fr"]})
    for text in answers:
        step = wizard.current()
        if step is None or step.answered is AnswerKind.PASTE:
            break
        try:
            wizard = wizard.answer(step, text)
        except AnswerProblem:
            continue
        wrong = {field for field, _, _ in check_outgoing(wizard.message_draft())}
        given_here = [field for field in step.fields if value_at(wizard.draft, field) is not None]
        assert not [field for field in given_here if field in wrong and field != "targets"]


def test_only_what_the_rules_of_the_case_allow_this_side_is_offered() -> None:
    now = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
    thread = UUID(int=1)
    opening = Submitted(message_id=thread, at=now, by="24-7@jp", thread=thread, requested=("24-7@fr",), targets=("t1",))

    def case(state: State) -> PreservationCase:
        return replace(fold_facts([opening]), targets=(TargetCase("t1", state=state),))

    def legal_replies(case: PreservationCase, *, ours: bool) -> tuple[str, ...]:
        return legal_replies_at(case, ours=ours, now=now)

    asked = case(State.DELIVERED)
    assert {"acknowledgement", "preservation.answer", "decision"} <= set(legal_replies(asked, ours=False))
    assert not {"preservation.extend", "preservation.answer"} & set(legal_replies(asked, ours=True))
    kept = legal_replies(case(State.PRESERVED), ours=True)
    assert {"preservation.extend", "preservation.follow-up", "preservation.release"} <= set(kept)
    over = legal_replies(case(State.RELEASED), ours=True)
    assert not {"preservation.extend", "preservation.release", "withdrawal"} & set(over)

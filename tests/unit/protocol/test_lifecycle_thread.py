"""What each message states in its thread: the facts of it, and no others."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from protocol.lifecycle import facts as f
from protocol.lifecycle.profiles import minimum_days
from protocol.lifecycle.thread import facts_of
from protocol.messages.parse import compose_message
from protocol.messages.schema.base import Message
from protocol.messages.schema.parts import Ground
from protocol.messages.types.answer import NotAnswered
from protocol.messages.types.decision import TargetDecision
from protocol.messages.types.preservation import TargetAnswer
from protocol.messages.types.status import TargetStatus

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
LATER = datetime(2026, 12, 24, 18, 0, tzinfo=UTC)
GROUND = Ground(code="not_competent_authority", text="Not here.")


@cache
def example(name: str) -> Message:
    path = EXAMPLES / ("preservation-request.json" if name == "preservation.request" else f"messages/{name}.json")
    return compose_message(json.loads(path.read_text("utf-8")), sender="24-7@fr").message


def opened(name: str, **fields: Any) -> f.Submitted:
    """The opening that the example with these fields is."""
    message = example(name).model_copy(update=fields)
    (fact,) = facts_of(message.model_copy(update={"thread": message.id}))
    assert isinstance(fact, f.Submitted)
    return fact


def stated(name: str, **fields: Any) -> list[tuple[str, tuple[str, ...]]]:
    """The facts of the example, as a reply with these fields."""
    message = example(name).model_copy(update={"thread": UUID(int=1), **fields})
    return [(fact.NAME, fact.targets) for fact in facts_of(message)]


def test_a_date_of_use_is_that_of_a_request_whatever_its_name():
    assert opened("assistance.request").wanted_by == example("assistance.request").wanted_by  # type: ignore[attr-defined]
    assert opened("emergency.request").wanted_by == example("emergency.request").needed_by  # type: ignore[attr-defined]
    assert opened("assistance.request", wanted_by=None).wanted_by is None


def test_a_minimum_binds_only_a_preservation_with_an_instrument():
    assert opened("preservation.request").minimum_days == minimum_days("budapest") > 0
    assert opened("preservation.request", legal_basis=None).minimum_days == 0
    assert opened("assistance.request").minimum_days == 0
    assert opened("assistance.request").instrument == "budapest"


def test_only_an_offer_offers():
    assert opened("information.spontaneous").offers
    assert not opened("information.spontaneous", stage="given").offers
    assert not opened("preservation.request").offers


@pytest.mark.parametrize(
    ("state", "of_target", "facts"),
    [
        ("under_review", "under_review", [("review started", ())]),
        ("under_review", "postponed", [("review started", ()), ("postponed", ("t1",))]),
        ("under_review", "delivered", [("review started", ())]),
        ("delivered", "under_review", [("review started", ("t1",))]),
        ("delivered", "delivered", []),
    ],
)
def test_a_report_moves_what_it_says_and_each_target_once(state: str, of_target: str, facts: list[Any]):
    targets = (TargetStatus.model_construct(target="t1", state=of_target),)
    assert stated("status.report", state=state, targets=targets) == [("reported", ()), *facts]


@pytest.mark.parametrize(
    ("eta", "update", "reports"), [(None, None, False), (LATER, None, True), (None, LATER, True), (LATER, LATER, True)]
)
def test_a_decision_reports_what_it_promises(eta: datetime | None, update: datetime | None, reports: bool):
    decision = TargetDecision.model_construct(target="t1", decision="postpone", ground=GROUND, next_update_by=update)
    expected = [("reported", ())] if reports else []
    assert stated("decision", decisions=(decision,), eta=eta) == [*expected, ("postponed", ("t1",))]


@pytest.mark.parametrize(
    ("completeness", "named", "remaining", "missing", "facts"),
    [
        ("partial", ["t1"], ["t1"], [], [("answered in part", ("t1",))]),
        ("partial", ["t1", "t2"], ["t2"], [], [("answered in part", ("t2",)), ("answered", ("t1",))]),
        ("partial", [], [], [], [("answered in part", ())]),
        ("partial", ["t1"], [], [], [("answered", ("t1",))]),
        ("partial", ["t1"], [], ["t1"], [("impossible", ("t1",))]),
        ("final", [], [], [], [("answered", ())]),
        ("final", ["t1"], [], [], [("answered", ("t1",))]),
        ("final", ["t1"], ["t1"], [], [("answered in part", ("t1",))]),
        ("final", [], [], ["t1"], [("impossible", ("t1",))]),
        ("final", ["t1"], [], ["t1"], [("impossible", ("t1",))]),
        ("final", ["t1", "t2"], [], ["t2"], [("impossible", ("t2",)), ("answered", ("t1",))]),
    ],
)
def test_an_answer_says_of_each_target_what_became_of_it(
    completeness: str, named: list[str], remaining: list[str], missing: list[str], facts: list[Any]
):
    item = example("answer").items[0]  # type: ignore[attr-defined]
    fields = {
        "completeness": completeness,
        "items": tuple(item.model_copy(update={"targets": (target,)}) for target in named),
        "remaining": tuple(remaining),
        "not_answered": tuple(NotAnswered.model_construct(target=target, ground=GROUND) for target in missing),
    }
    assert stated("answer", next_update_by=None, **fields) == facts
    assert stated("answer", next_update_by=LATER, **fields) == [("reported", ()), *facts]


@pytest.mark.parametrize(
    "times", [{"preserved_at": None}, {"expires_at": None}, {"preserved_at": None, "expires_at": None}]
)
@pytest.mark.parametrize(("ground", "name"), [(GROUND, "refused"), (None, "not held")])
def test_only_what_has_both_its_times_is_preserved(times: dict[str, None], ground: Ground | None, name: str):
    whole = {"target": "t1", "result": "preserved", "preserved_at": LATER, "expires_at": LATER, "ground": None}
    answer = TargetAnswer.model_construct(**whole)
    assert stated("preservation.answer", targets=(answer,)) == [("preserved", ("t1",))]
    answer = TargetAnswer.model_construct(**{**whole, **times, "ground": ground})
    assert stated("preservation.answer", targets=(answer,)) == [(name, ("t1",))]


def test_what_moves_no_case_states_nothing():
    assert stated("contact.test") == []

"""A row of drafts says which way a message decides: a consent that is given never looks like one that is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from exchange.text.labels import DECIDES, decision_codes, decision_label
from protocol.codes import load_codes
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.fields import CodeOf

# Of these the type says all: there is no other way in which they decide, or none at all.
SAYS_ALL = {
    *("assistance.request", "clarification.ask", "clarification.reply", "condition.accept", "condition.decline"),
    *("condition.propose", "confidentiality.renew", "contact.test", "contact.test-reply", "correction"),
    *("emergency.request", "emergency.supplement", "files", "follow-up.confirmed", "forward", "misdirected", "note"),
    *("out-of-order", "preservation.extend", "preservation.release", "preservation.request", "status.query"),
    *("use.query", "withdrawal"),
}
# A code list that is no decision, though a reply has one of its codes in a field of its own.
NO_DECISION = {
    *("answer_form", "condition_kind", "country", "evidential_status", "hash_algorithm", "language", "record_purpose"),
    *("request_status", "threatened_good", "urgency"),
}


def draft(path: str, *values: Any) -> dict[str, Any]:
    """A draft with these values at a path, each in a part of its own where the path has several steps."""
    first, _dot, rest = path.partition(".")
    return {first: values[0]} if not rest else {first: [nested(rest, value) for value in values]}


def nested(path: str, value: Any) -> dict[str, Any]:
    first, _dot, rest = path.partition(".")
    return {first: nested(rest, value) if rest else value}


def test_each_type_either_decides_by_a_field_that_its_rows_show_or_says_all_by_its_name() -> None:
    assert set(DECIDES) | SAYS_ALL == set(MESSAGE_TYPES)
    assert set(DECIDES) & SAYS_ALL == set()


def _own_codes(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        yield from ((name, one.name) for one in field.metadata if isinstance(one, CodeOf))


@pytest.mark.parametrize("kind", sorted(MESSAGE_TYPES))
def test_no_code_of_a_reply_that_a_row_could_say_is_left_out(kind: str) -> None:
    model = MESSAGE_TYPES[kind]
    if "in_reply_to" in model.model_fields:
        own = {(name, codes) for name, codes in _own_codes(model) if codes not in NO_DECISION}
        assert own <= set(DECIDES.get(kind, ()))


@pytest.mark.parametrize(("kind", "path", "codes"), [(k, *one) for k in DECIDES for one in DECIDES[k] if one[1]])
def test_two_messages_that_decide_otherwise_have_other_rows(kind: str, path: str, codes: str) -> None:
    entries = [entry.code for entry in load_codes(codes).entries]
    rows = [decision_label(kind, draft(path, code)) for code in entries]
    assert "" not in rows
    assert len(set(rows)) == len(rows) or codes == "refusal_ground"


def test_a_decision_that_is_not_the_same_for_all_says_how_often_each() -> None:
    said = draft("items.consent", "granted", "granted", "refused")
    assert decision_codes("consent.reply", said) == [("consent", "granted", 2), ("consent", "refused", 1)]
    assert decision_label("consent.reply", said).count("(") == 2


def test_whether_a_risk_is_taken_and_what_a_correction_decides_is_said() -> None:
    assert decision_label("preservation.risk-reply", {"proceed": True}) != decision_label(
        "preservation.risk-reply", {"proceed": False}
    )
    corrected = {"message": draft("items.consent", "refused")}
    assert decision_label("correction", corrected) == decision_label("consent.reply", draft("items.consent", "refused"))
    assert decision_label("correction", {"message": {"reason": "prose that is no code"}}) == ""


@pytest.mark.parametrize(
    "broken", [{}, {"items": None}, {"items": [None, 7, {"consent": 5}]}, {"items": {"consent": {}}}]
)
def test_a_draft_that_is_not_finished_says_nothing_and_breaks_nothing(broken: dict[str, Any]) -> None:
    assert decision_label("consent.reply", broken) == ""

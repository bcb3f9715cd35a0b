"""A ground refuses only under the basis and for the act that it is a ground for; what postpones does not refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from protocol.codes import load_codes
from protocol.messages.law.grounds import (
    Act,
    Effect,
    WrongGround,
    ground_rules,
    rules_under,
    valid_grounds,
    wrong_grounds,
)
from protocol.messages.parse import compose_message
from protocol.messages.schema.base import LegalBasis, Message

ROOT = Path(__file__).resolve().parents[3] / "examples"
THREAD, REPLY, FOLLOW_UP = (UUID(f"0192c2de-7a10-7c4e-9b2f-5d1e8a3c6f0{n}") for n in (1, 2, 3))
TOKYO, PARIS = "24-7@jp", "24-7@fr"


def made(name: str, key: UUID, sender: str, **changes: Any) -> Message:
    file = ROOT / "preservation-request.json" if name == "preservation.request" else ROOT / f"messages/{name}.json"
    fields = {**json.loads(file.read_text("utf-8")), "thread": str(THREAD), **changes}
    return compose_message(
        {field: value for field, value in fields.items() if value is not None}, message_id=key, sender=sender
    ).message


def asked(name: str = "preservation.request", basis: str = "budapest", **changes: Any) -> Message:
    request = made(name, THREAD, TOKYO, to=[PARIS], legal_basis={"instrument": "budapest"}, **changes)
    return request.model_copy(update={"legal_basis": LegalBasis(instrument=basis)})


def preserving(code: str, result: str = "refused") -> Message:
    ground = {"code": code, "text": "So it is."}
    target: dict[str, Any] = {"target": "t1", "result": result, "ground": ground}
    return made(
        "preservation.answer", REPLY, PARIS, targets=[target], attachments=None, acknowledgements=None, to=[TOKYO]
    )


def decided(decision: str, code: str, about: UUID = THREAD) -> Message:
    one = {"decision": decision, "ground": {"code": code, "text": "So it is."}}
    one |= {"next_update_by": "2027-01-01T00:00:00Z"} if decision == "postpone" else {}
    return made("decision", REPLY, PARIS, decisions=[one], in_reply_to=str(about), to=[TOKYO], consultation=None)


def found(message: Message, opening: Message, *more: Message, reserved: bool | None = False) -> list[tuple[str, bool]]:
    return [(wrong.code, wrong.refused) for wrong in wrong_grounds(message, [opening, *more], reserved)]


NOT, NONE, RESERVED = "ground_not_under_basis", "ground_is_no_refusal", "ground_not_reserved"


def test_table_is_of_published_codes_and_every_row_has_a_source() -> None:
    grounds = {entry.code for entry in load_codes("refusal_ground").entries}
    bases = {entry.code for entry in load_codes("legal_basis").entries}
    assert {rule.ground for rule in ground_rules()} == grounds
    assert {basis for rule in ground_rules() for basis in rule.bases} == bases
    assert all(rule.source and rule.confidence and set(rule.acts) <= set(Act) for rule in ground_rules())
    keys = [(r.ground, r.effect, basis, act) for r in ground_rules() for basis in r.bases for act in r.acts]
    assert len(set(keys)) == len(keys)


def test_under_article_29_only_its_own_grounds_refuse_and_own_investigations_postpone() -> None:
    refuse = valid_grounds("budapest", Act.PRESERVATION, Effect.REFUSES)
    assert set(refuse) == {"political_offence", "essential_interests", "dual_criminality_reserved"}
    assert valid_grounds("budapest", Act.PRESERVATION, Effect.REFUSES, reserved=False) == refuse[:2]
    assert valid_grounds("budapest", Act.PRESERVATION, Effect.POSTPONES) == ("own_investigation",)
    assert "own_investigation" in valid_grounds("eu_police_exchange", Act.ASSISTANCE, Effect.REFUSES)


@pytest.mark.parametrize("act", [Act.PRESERVATION, Act.PARTIAL_DISCLOSURE])
def test_grounds_of_the_union_are_none_under_the_convention(act: Act) -> None:
    here = {rule.ground for rule in rules_under("budapest", act) if rule.effect is Effect.REFUSES}
    assert not here & {"minor_offence", "business_interests", "offence_unknown", "person_at_risk", "domestic_law"}


CASES: list[tuple[Message, Message, bool | None, list[tuple[str, bool]]]] = [
    (preserving("political_offence"), asked(), False, []),
    (preserving("minor_offence"), asked(), False, [(NOT, True)]),
    (preserving("domestic_law"), asked(), False, [(NOT, True)]),
    (preserving("protected_data"), asked(), False, [(NOT, True)]),
    (preserving("protected_data"), asked(basis="eu_e_evidence"), False, []),
    (preserving("protected_data"), asked(basis="reciprocity"), False, []),
    (preserving("other"), asked(), False, [(NOT, True)]),
    (preserving("other"), asked(basis="bilateral"), False, []),
    (preserving("own_investigation"), asked(), False, [(NONE, True)]),
    (preserving("de_facto_impossible"), asked(), False, [(NONE, True)]),
    (preserving("incomplete"), asked(), False, [(NONE, True)]),
    (preserving("dual_criminality_reserved"), asked(), True, []),
    (preserving("dual_criminality_reserved"), asked(), False, [(RESERVED, True)]),
    (preserving("dual_criminality_reserved"), asked(), None, [(RESERVED, False)]),
    (preserving("x-fr-secret"), asked(), False, []),
    (decided("postpone", "own_investigation"), asked(), False, []),
    (decided("refuse", "own_investigation"), asked(), False, [(NONE, True)]),
    (decided("postpone", "political_offence"), asked(), False, [(NONE, True)]),
    (decided("impossible", "de_facto_impossible"), asked("assistance.request"), False, []),
    (decided("impossible", "political_offence"), asked("assistance.request"), False, [(NONE, True)]),
    (decided("refuse", "domestic_law"), asked("assistance.request"), False, []),
    (decided("refuse", "persecution"), asked("assistance.request"), False, [(NOT, True)]),
    (decided("refuse", "persecution"), asked("assistance.request", "un_cybercrime"), False, []),
]


@pytest.mark.parametrize(("message", "opening", "reserved", "expected"), CASES)
def test_a_ground_is_judged_by_basis_act_and_outcome(
    message: Message, opening: Message, reserved: bool | None, expected: list[tuple[str, bool]]
) -> None:
    assert found(message, opening, reserved=reserved) == expected


def test_the_refusal_names_the_ground_its_place_and_those_that_would_be_valid() -> None:
    (wrong,) = wrong_grounds(preserving("minor_offence"), [asked()], False)
    assert wrong == WrongGround(
        NOT, "targets.0.ground.code", "minor_offence", ("political_offence", "essential_interests")
    )


def test_a_fiscal_offence_refuses_no_convention_offence_and_may_refuse_others() -> None:
    listed = {"list": "budapest", "code": "2", "title": "Illegal access"}
    tax = {"list": "national", "title": "Tax evasion"}
    refusal = decided("refuse", "fiscal_offence")
    assert found(refusal, asked("assistance.request", offences=[listed])) == [("fiscal_forbidden", False)]
    assert found(refusal, asked("assistance.request", offences=[listed, tax])) == []


def test_decision_on_the_request_that_followed_is_judged_as_one_on_assistance() -> None:
    filed = made("preservation.follow-up", FOLLOW_UP, TOKYO, to=[PARIS])
    assert found(decided("refuse", "domestic_law", FOLLOW_UP), asked(), filed) == []
    assert found(decided("refuse", "domestic_law"), asked(), filed) == [(NOT, True)]
    longer = made("preservation.extend", FOLLOW_UP, TOKYO, to=[PARIS], until="2027-05-22T10:00:00+01:00")
    assert found(decided("refuse", "minor_offence", FOLLOW_UP), asked(), longer) == []


def test_without_the_request_or_its_basis_nothing_is_judged() -> None:
    assert wrong_grounds(preserving("minor_offence"), [], False) == ()
    assert found(preserving("minor_offence"), made("information.spontaneous", THREAD, TOKYO, to=[PARIS])) == []
    left_out = {"target": "t1", "ground": {"code": "minor_offence", "text": "x"}}
    advice = {"items": None, "attachments": None, "authorisation": None, "remaining": None, "next_update_by": None}
    partly = made("answer", REPLY, PARIS, not_answered=[left_out], completeness="final", to=[TOKYO], **advice)
    assert found(partly, asked("assistance.request")) == [(NOT, True)]
    left_out["ground"]["code"] = "not_available"  # type: ignore[index]
    partly = made("answer", REPLY, PARIS, not_answered=[left_out], completeness="final", to=[TOKYO], **advice)
    assert found(partly, asked("assistance.request")) == []

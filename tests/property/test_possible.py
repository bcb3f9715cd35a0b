"""What is offered is what is taken: the targets that a form offers against what composing the message says of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from exchange.wizard.legal_replies import TargetChoice, reply_standings, target_choice
from protocol.errors import ComityError
from protocol.lifecycle.case import check_step
from protocol.lifecycle.possible import STATED
from tests.worlds.threads import DAY, HOUR, PARIS, T0, TOKYO, Thread, preserved, text

_EXPIRES = T0 + 70 * DAY
_LATE = T0 + 500 * DAY
_FAR = T0 + 5000 * DAY
Act = Callable[[Thread], Any]


def _said(kind: str, by: str, **fields: Any) -> Act:
    return lambda thread: thread.add(kind, by, **fields)


def _result(target: str, result: str) -> dict[str, Any]:
    ground = {"ground": {"code": "essential_interests", "text": "No."}} if result == "refused" else {}
    return {"target": target, "result": result, **ground}


def _decided(target: str, decision: str, now: datetime = T0) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if decision in {"refuse", "impossible"}:
        more["ground"] = {"code": "essential_interests", "text": "No."}
    if decision == "postpone":
        more["ground"] = {"code": "own_investigation", "text": "Later."}
        more["next_update_by"] = text(now + 40 * DAY)
    if decision == "conditional":
        more["conditions"] = [{"condition": "c1", "kind": "confidential", "text": "To be kept confidential."}]
    return {"target": target, "decision": decision, **more}


def _decision(target: str, decision: str) -> Act:
    return _said("decision", PARIS, decisions=[_decided(target, decision)])


def _given(target: str) -> dict[str, Any]:
    """A whole answer for one target, of something that is held elsewhere than in this message."""
    item = {
        "item": "i1",
        "targets": [target],
        "description": "Records.",
        "data_category": "subscriber",
        "evidential_status": "evidence",
        "hash": {"algorithm": "sha256", "value": "a3f1" * 16},
        "size_bytes": 48211,
        "available_at": "On a sealed disk, by diplomatic bag.",
        "custody": [{"action": "acquired", "at": text(T0), "organisation": "OFAC"}],
        "onward_use": "as_labelled",
    }
    return {"items": [item], "completeness": "final", "remaining": None, "next_update_by": None, "attachments": None}


def _filed(now: datetime) -> dict[str, Any]:
    return {"issued_at": text(now), "submitted_at": text(now)}


_T1 = {"targets": ["t1"]}
# Each begins a case and leads it through states; what is open is looked at after every message.
PATHS: dict[str, tuple[str, tuple[Act, ...]]] = {
    "kept, extended, released": (
        "preservation.request",
        (
            _said("acknowledgement", PARIS, received_at=text(T0), eta=text(T0 + DAY)),
            _said("preservation.answer", PARIS, targets=[preserved("t1", _EXPIRES), _result("t2", "refused")]),
            _said("preservation.extend", TOKYO, **_T1, until=text(_EXPIRES + 60 * DAY)),
            _said("preservation.answer", PARIS, targets=[preserved("t1", _EXPIRES + 60 * DAY)]),
            _said("preservation.release", TOKYO, **_T1),
        ),
    ),
    "kept, followed up, produced": (
        "preservation.request",
        (
            _said("preservation.answer", PARIS, targets=[preserved("t1", _EXPIRES), _result("t2", "not_held")]),
            _said("preservation.follow-up", TOKYO, **_T1, **_filed(T0)),
            _said("follow-up.confirmed", PARIS, **_T1, received_at=text(T0 + 2 * HOUR)),
            _decision("t1", "accept"),
            _said("answer", PARIS, **_given("t1")),
        ),
    ),
    "asked back, put at risk, withdrawn": (
        "preservation.request",
        (
            _said("clarification.ask", PARIS, **_T1),
            _said("clarification.reply", TOKYO, **_T1),
            _said("preservation.risk", PARIS, targets=["t2"]),
            _said("preservation.risk-reply", TOKYO, targets=["t2"], proceed=True),
            _said("withdrawal", TOKYO, targets=["t2"]),
        ),
    ),
    "assistance under conditions": (
        "assistance.request",
        (
            _said("acknowledgement", PARIS, received_at=text(T0), eta=text(T0 + DAY)),
            _decision("t1", "conditional"),
            _said("condition.accept", TOKYO, **_T1, conditions=["c1"]),
            _said("answer", PARIS, **_given("t1")),
            _said("closure", TOKYO),
        ),
    ),
    "assistance refused and postponed": (
        "assistance.request",
        (_decision("t1", "postpone"), _decision("t1", "refuse")),
    ),
    "an emergency": (
        "emergency.request",
        (
            _said("acknowledgement", PARIS, received_at=text(T0), eta=text(T0 + DAY)),
            _said("answer", PARIS, **_given("t1")),
            _said("emergency.supplement", TOKYO, **_T1, validated_at=text(T0)),
        ),
    ),
}


def _messages(kind: str, target: str, now: datetime) -> Iterator[dict[str, Any]]:  # noqa: PLR0912 - a row each
    """The most favourable messages of a type about one target."""
    match kind:
        case "preservation.answer":
            yield {"targets": [preserved(target, _FAR, at=now)]}
            yield {"targets": [_result(target, "refused")]}
            yield {"targets": [_result(target, "not_held")]}
        case "answer":
            yield _given(target)
            yield {**_given(target), "completeness": "partial", "remaining": [target], "next_update_by": text(_FAR)}
            missing = [{"target": target, "ground": {"code": "essential_interests", "text": "No."}}]
            yield {**_given(target), "items": None, "not_answered": missing}
        case "decision":
            for decision in ("accept", "refuse", "postpone", "conditional", "impossible"):
                yield {"decisions": [_decided(target, decision, now)], "eta": None}
        case "preservation.extend":
            yield {"targets": [target], "until": text(_FAR)}
        case "follow-up.confirmed":
            for at in (now, min(now, _EXPIRES), min(now, _EXPIRES + 60 * DAY)):
                yield {"targets": [target], "received_at": text(at)}
        case "preservation.risk-reply":
            yield {"targets": [target], "proceed": True}
        case "misdirected":
            yield {"targets": [target], "forwarded": False, "forwarded_at": None}
        case "condition.decline":
            yield {"targets": [target], "proposal": None, "reason": "No."}
            other = {"condition": "c9", "kind": "confidential", "text": "To be kept confidential."}
            yield {"targets": [target], "proposal": [other], "reason": "No."}
        case "clarification.ask":
            yield {"targets": [target], "questions": [{"question": "q1", "text": "Which?"}], "pauses_clock": False}
        case "acknowledgement":
            yield {"received_at": text(now), "eta": text(now + DAY)}
        case "closure":
            yield {}
        case "preservation.follow-up":
            yield {"targets": [target], **_filed(now)}
        case "emergency.supplement":
            yield {"targets": [target], "validated_at": text(now)}
        case _:
            yield {"targets": [target]}


def _is_the_others(choice: TargetChoice) -> bool:
    return not choice.possible and all(reason.code.endswith("_only") for reason in choice.barred.values())


def _is_taken(thread: Thread, kind: str, by: str, target: str, now: datetime) -> bool | None:
    """Whether composing says yes to one of them; None where none can be written at all."""
    written = False
    for fields in _messages(kind, target, now):
        try:
            message = thread.add(kind, by, sent_at=now, **fields)
        except ComityError:
            continue
        entry = thread.entries.pop()
        assert entry.message == message
        written = True
        if not check_step(thread.entries, message):
            return True
    return False if written else None


@pytest.mark.parametrize("path", PATHS)
def test_forms_offer_exactly_the_targets_that_composing_takes_in_every_state_before_and_after_each_date(
    path: str,
) -> None:
    opening, acts = PATHS[path]
    thread = Thread(opening)
    looked_at = 0
    for step in range(len(acts) + 1):
        if step:
            acts[step - 1](thread)
            assert not check_step(thread.entries[:-1], thread.entries[-1].message), path
        last = thread.entries[-1].message.sent_at
        for now in (last + timedelta(minutes=1), _LATE):
            case = thread.case
            for by in (TOKYO, PARIS):
                for kind in STATED:
                    choice = target_choice([case], kind, own=by, now=now)
                    assert set(choice.possible) | set(choice.barred) == {target.name for target in case.targets}
                    if (
                        step
                        and all(reason.code.endswith("_only") for reason in choice.barred.values())
                        and choice.barred
                    ):
                        continue  # whose act it is was looked at before the first step
                    whole = kind in {"acknowledgement", "closure"}
                    for name in list(choice.possible[:1] or choice.barred) if whole else [t.name for t in case.targets]:
                        taken = _is_taken(thread, kind, by, name, now)
                        if taken is not None:
                            looked_at += 1
                            offered = bool(choice.possible) if whole else name in choice.possible
                            assert offered is taken, (path, step, now, by, kind, name, choice.barred.get(name))
                for standing in reply_standings(case, ours=by == TOKYO, now=now):
                    own = target_choice([case], standing.type, own=by, now=now)
                    expected = () if standing.idle is not None else own.possible or standing.targets[:0]
                    assert standing.targets == expected
    assert looked_at > 60

"""A case is told beside its states: the request that followed, waits, corrections, missing consultation."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from exchange.acts.cases import history_notes, standings
from exchange.cases.threads import target_rows
from exchange.cli.cases._course import course_lines
from exchange.cli.cases.case_notes import _when
from protocol.lifecycle.deadlines import Deadline, DueKind
from protocol.lifecycle.rules import Side
from tests.worlds.threads import DAY, HOUR, PARIS, T0, TOKYO, Thread, preserved, text

EXPIRY = T0 + 90 * DAY


def told(thread: Thread) -> list[str]:
    case = thread.case
    return list(course_lines([case], target_rows(case, T0)))


def test_the_way_of_a_request_that_followed_is_told_once_for_all_targets_that_share_it() -> None:
    thread = Thread()
    names = ["t1", "t2"]
    answer = thread.add("preservation.answer", PARIS, targets=[preserved(name, EXPIRY) for name in names])
    followed = thread.add(
        "preservation.follow-up",
        TOKYO,
        reply_to=answer,
        targets=names,
        request=None,
        reference="MLA-7",
        issued_at=text(T0 - HOUR),
        submitted_at=text(T0 - HOUR),
    )
    (line,) = told(thread)
    assert line.startswith("Request that followed (t1, t2): filed")
    assert "MLA-7" in line
    assert "not confirmed: the expiry stands" in line
    thread.add(
        "follow-up.confirmed",
        PARIS,
        reply_to=followed,
        targets=["t1"],
        file_number="BEPI-1",
        received_at=text(T0 + HOUR),
    )
    first, second = told(thread)
    assert "(t1)" in first
    assert "file BEPI-1" in first
    assert "(t2)" in second
    assert "not confirmed" in second


def test_a_wait_for_an_authority_says_since_when_why_and_until_when() -> None:
    thread = Thread()
    delay = {"code": "judicial_authorisation", "text": "The judge decides.", "expected_until": text(T0 + 3 * DAY)}
    thread.add(
        "status.report",
        PARIS,
        state="awaiting_authorisation",
        targets=[],
        eta=text(T0 + 5 * DAY),
        delay=delay,
        next_update_by=None,
    )
    (line,) = told(thread)
    assert line.startswith("Waits for an authority of the requested State (t1, t2): since")
    assert "judicial authorisation" in line
    assert "expected until" in line


def test_corrections_and_refusals_without_consultation_are_in_what_is_told_and_in_the_json() -> None:
    thread = Thread()
    answer = thread.add("preservation.answer", PARIS, targets=[preserved("t1", EXPIRY)])
    thread.add(
        "preservation.extend",
        TOKYO,
        reply_to=answer,
        sent_at=EXPIRY - HOUR,
        targets=["t1"],
        until=text(EXPIRY + 60 * DAY),
    )
    correction = thread.correct(answer, sent_at=EXPIRY - timedelta(minutes=30), targets=[preserved("t1", EXPIRY - DAY)])
    refused = Thread("assistance.request", wanted_by=None)
    ground = {"code": "political_offence", "text": "A political offence."}
    decisions = [{"decision": "refuse", "ground": ground}]
    refused.add("decision", PARIS, decisions=decisions, consultation=None, eta=None)
    assert any("acted on the former version" in line for line in told(thread))
    assert any("not consulted" in line for line in told(refused))
    cases = [thread.case, refused.case]
    members: dict[str, Any] = {"history_notes": history_notes(cases), "standings": standings(cases)}
    assert {note["note"] for note in members["history_notes"]} == {"relied_on", "without_consultation"}
    (stands,) = members["standings"]
    assert (stands["message"], stands["state"], stands["by"], stands["relied_on"]) == (
        answer.id,
        "corrected",
        correction.id,
        ["t1"],
    )
    assert json.dumps(members, default=str)


def test_late_is_said_of_law_declarations_and_promises_only() -> None:
    def when(kind: DueKind, due: datetime | None = T0) -> str:
        return _when(Deadline("answer", Side.REQUESTED, due, "", "verified", kind=kind), T0 + HOUR)

    assert [when(kind).split()[0] for kind in DueKind] == ["late", "late", "late", "target"]
    assert when(DueKind.LAW, T0 + DAY).startswith("2026")
    assert when(DueKind.LAW, None) == "paused"

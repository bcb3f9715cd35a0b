"""Times that cannot be are named, with the same word on both sides; what is merely odd is not refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import pytest
from pydantic import BaseModel

from protocol.codes import load_codes
from protocol.messages.corrections import own_fields
from protocol.messages.parse import compose_message
from protocol.messages.plausibility import (
    FREE,
    PAST,
    PROMISED,
    WISHED,
    HeldBack,
    Implausible,
    _timed_fields,
    held_back,
    implausibilities,
    times_in,
)
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.base import Message

ROOT = Path(__file__).resolve().parents[3] / "examples"
SENT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
THREAD, REPLY, ANOTHER = (UUID(f"0192c2de-7a10-7c4e-9b2f-5d1e8a3c6f0{n}") for n in (1, 2, 3))
TOKYO, PARIS = "24-7@jp", "24-7@fr"


def after(**span: float) -> str:
    """The instant so long after SENT, as messages write it."""
    return (SENT + timedelta(**span)).isoformat()


def draft(name: str) -> dict[str, Any]:
    file = ROOT / "preservation-request.json" if name == "preservation.request" else ROOT / f"messages/{name}.json"
    return json.loads(file.read_text("utf-8"))  # type: ignore[no-any-return]


def made(name: str, key: UUID = REPLY, sent_at: datetime = SENT, sender: str = PARIS, **changes: Any) -> Message:
    fields = {**draft(name), "thread": str(THREAD), **changes}
    fields = {field: value for field, value in fields.items() if value is not None}
    return compose_message(fields, message_id=key, sender=sender, sent_at=sent_at).message


def request(**changes: Any) -> Message:
    targets = draft("preservation.request")["targets"]
    targets = [{**target, **changes.pop("target", {})} for target in targets[:1]]
    return made(
        "preservation.request", THREAD, SENT - timedelta(hours=5), TOKYO, to=[PARIS], targets=targets, **changes
    )


def found(message: Message, *thread: Message, minimum_days: int = 0) -> dict[str, str]:
    return {one.field: one.code for one in implausibilities(message, message.sent_at, thread, minimum_days)}


def instants(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[str]:
    def models(annotation: object) -> Iterator[type[BaseModel]]:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        for inner in get_args(annotation):
            yield from models(inner)

    def holds(annotation: object) -> bool:
        return annotation is datetime or any(map(holds, get_args(annotation)))

    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        if holds(field.annotation):
            yield field.alias or name
        for inner in models(field.annotation):
            yield from instants(inner, seen)


def test_every_instant_of_every_message_type_is_of_one_kind() -> None:
    seen: set[type[BaseModel]] = set()
    names = {name for model in MESSAGE_TYPES.values() for name in instants(model, seen)}
    kinds = [PAST, PROMISED, WISHED, FREE]
    assert {name for name in names if sum(name in kind for kind in kinds) != 1} == set()


def test_every_code_has_a_label() -> None:
    codes = load_codes("implausibility")
    named = ("ahead", "passed", "before_request", "before_filing", "window_open", "outside_window", "period_short")
    assert {entry.code for entry in codes.entries} == {*named, "long_ago", "far_ahead"}


def targets(**changes: Any) -> list[dict[str, Any]]:
    done = {"target": "t1", "result": "preserved", "preserved_at": after(hours=-1), "expires_at": after(days=90)}
    return [{**done, **changes}, {"target": "t2", "result": "not_held"}]


PLACE = "targets.0"
PRESERVED: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {}),
    # Clocks may differ by five minutes.
    ({"preserved_at": after(minutes=5)}, {}),
    ({"preserved_at": after(minutes=5, seconds=1)}, {f"{PLACE}.preserved_at": "ahead"}),
    ({"preserved_at": after(hours=-5, minutes=-5)}, {}),
    ({"preserved_at": after(hours=-5, minutes=-5, seconds=-1)}, {f"{PLACE}.preserved_at": "before_request"}),
    ({"expires_at": after(seconds=0)}, {f"{PLACE}.expires_at": "passed"}),
    ({"expires_at": after(days=11 * 365)}, {f"{PLACE}.expires_at": "far_ahead"}),
]


@pytest.mark.parametrize(("changes", "expected"), PRESERVED)
def test_preservation_is_between_its_request_and_its_answer_and_lasts(
    changes: dict[str, Any], expected: dict[str, str]
) -> None:
    answer = made("preservation.answer", targets=targets(**changes), attachments=None, acknowledgements=None)
    assert found(answer, request()) == expected
    held = {"t1"} if expected and "far_ahead" not in expected.values() else set()
    assert held_back(answer, [request()]) == HeldBack(False, frozenset(held))
    assert not held_back(answer, [request()]).covers(["t2"])
    assert not held_back(answer, [request()]).covers([])


def test_what_is_implausible_depends_on_the_thread_and_not_on_the_order_of_arrival() -> None:
    early = made(
        "preservation.answer",
        targets=targets(preserved_at=after(days=-3)),
        attachments=None,
        acknowledgements=None,
    )
    assert not held_back(early, [early]).targets
    assert held_back(early, [early, request()]) == held_back(early, [request(), early])
    assert held_back(early, [request()]).covers(["t1"])


def test_period_below_the_minimum_is_named_in_the_request_and_holds_back_the_answer() -> None:
    assert found(request(period_wanted_days=59), minimum_days=60) == {"period_wanted_days": "period_short"}
    assert not implausibilities(request(period_wanted_days=59), SENT, (), 60)[0].refused
    assert found(request(period_wanted_days=60), minimum_days=60) == {}
    short = targets(expires_at=(SENT + timedelta(days=59)).isoformat())
    answer = made("preservation.answer", targets=short, attachments=None, acknowledgements=None)
    assert found(answer, request(), minimum_days=60) == {f"{PLACE}.expires_at": "period_short"}
    assert held_back(answer, [request()], 60).covers(["t1"])


def window(begins: str, ends: str) -> dict[str, Any]:
    return {"time_window": {"begins_at": begins, "ends_at": ends}}


ADDRESS = {"kind": "ipv4", "address": "203.0.113.9", "port": 51544, "protocol": "tcp", "precision": "second"}


def test_preservation_is_asked_only_for_data_that_exist_and_the_case_opens_all_the_same() -> None:
    begun = window(after(days=-3), after(days=-2))
    assert found(request(target=begun)) == {}
    open_ = request(target=window(after(days=-3), after(days=3)))
    assert found(open_) == {f"{PLACE}.time_window.ends_at": "window_open"}
    assert implausibilities(open_, open_.sent_at)[0].refused
    assert held_back(open_, []) == HeldBack()


def test_time_of_an_address_lies_within_the_window_of_its_target() -> None:
    within = {**window(after(days=-3), after(days=-2)), "identifier": {**ADDRESS, "instant": after(days=-2.5)}}
    assert found(request(target=within)) == {}
    outside = {**within, "identifier": {**ADDRESS, "instant": after(days=-1.5)}}
    assert found(request(target=outside)) == {f"{PLACE}.identifier.instant": "outside_window"}
    ahead = {**window(after(days=-3), after(days=3)), "identifier": {**ADDRESS, "instant": after(days=2)}}
    assert found(request(target=ahead))[f"{PLACE}.identifier.instant"] == "ahead"


def test_further_windows_of_a_target_are_judged_as_the_first() -> None:
    first = {**window(after(days=-3), after(days=-2)), "identifier": {**ADDRESS, "instant": after(days=-5.5)}}
    assert found(request(target=first)) == {f"{PLACE}.identifier.instant": "outside_window"}
    more = {"further_windows": [window(after(days=-6), after(days=-5))["time_window"]]}
    assert found(request(target={**first, **more})) == {}
    more = {"further_windows": [window(after(days=-1), after(days=5))["time_window"]]}
    assert found(request(target={**first, **more}))[f"{PLACE}.further_windows.0.ends_at"] == "window_open"


def test_real_time_collection_may_be_asked_for_a_window_that_is_not_over() -> None:
    wanted = {**draft("assistance.request")["targets"][0], **window(after(days=-1), after(days=30))}
    told = made("assistance.request", THREAD, sender=TOKYO, targets=[wanted], kinds=["content"])
    assert found(told) == {f"{PLACE}.time_window.ends_at": "window_open"}
    assert not implausibilities(told, SENT)[0].refused
    collection = {
        **{
            "warrant_expected": "The Tokyo District Court decides on Monday.",
            "delivery": {"means": "https", "address": "cyber@jp"},
        },
        **{"begins_at": after(days=-1), "ends_at": after(days=30)},
    }
    asked = {"kinds": ["real_time_traffic"], "real_time": collection}
    live = made("assistance.request", THREAD, sender=TOKYO, targets=[wanted], **asked)
    assert found(live) == {}


CASES: list[tuple[str, dict[str, Any], dict[str, str], bool]] = [
    ("acknowledgement", {"eta": after(hours=-1), "received_at": after(hours=-1)}, {"eta": "passed"}, True),
    ("acknowledgement", {"eta": after(hours=1), "received_at": after(hours=1)}, {"received_at": "ahead"}, True),
    (
        "acknowledgement",
        {"eta": after(hours=1), "received_at": after(hours=-9)},
        {"received_at": "before_request"},
        True,
    ),
    ("misdirected", {"forwarded_at": after(hours=1)}, {"forwarded_at": "ahead"}, True),
    (
        "preservation.follow-up",
        {"issued_at": after(days=-1), "submitted_at": after(days=1)},
        {"submitted_at": "ahead"},
        True,
    ),
    ("clarification.ask", {"answer_by": after(days=-1)}, {"answer_by": "passed"}, False),
    ("data-protection.notice", {"at": after(days=1)}, {"at": "ahead"}, True),
    ("use.query", {"answer_by": after(days=4000)}, {"answer_by": "far_ahead"}, False),
    ("data-protection.notice", {"at": "1996-11-23T00:00:00Z"}, {"at": "long_ago"}, False),
]


@pytest.mark.parametrize(("name", "changes", "expected", "refused"), CASES)
def test_what_happened_is_over_and_what_is_promised_lies_ahead(
    name: str, changes: dict[str, Any], expected: dict[str, str], refused: bool
) -> None:
    message = made(name, **changes)
    assert found(message, request()) == expected
    (one,) = implausibilities(message, SENT, [request()])
    assert (one.refused, one.holds_back) == (refused, refused)
    assert held_back(message, [request()]).whole is refused


def test_authorisation_is_given_before_the_disclosure_wherever_it_is_dated() -> None:
    at_noon = datetime(2026, 11, 23, 9, 59, tzinfo=UTC)
    authorised = draft("answer")["authorisation"]
    advice = {"items": None, "attachments": None, "text": "None.", "next_update_by": None, "remaining": None}
    for day, expected in (("2026-11-23", {}), ("2026-11-24", {"authorisation.date": "ahead"})):
        fields = {**advice, "completeness": "final", "authorisation": {**authorised, "date": day}}
        assert found(made("answer", sent_at=at_noon, **fields), request()) == expected
    # Already the 24th in Kiritimati.
    assert found(made("answer", sent_at=at_noon + timedelta(minutes=1), **fields), request()) == {}


def test_follow_up_arrives_after_it_was_issued() -> None:
    filed = made("preservation.follow-up", ANOTHER, sender=TOKYO, issued_at=after(days=-2), submitted_at=None)
    confirmed = {"in_reply_to": str(ANOTHER)}
    assert found(made("follow-up.confirmed", **confirmed, received_at=after(days=-2.9)), filed) == {}
    early = made("follow-up.confirmed", **confirmed, received_at=after(days=-3.1))
    assert found(early, filed) == {"received_at": "before_filing"}
    assert held_back(early, [filed]).covers(["t1"])


def test_a_correction_is_as_implausible_as_what_it_says() -> None:
    wrong = made("acknowledgement", eta=after(hours=3), received_at=after(hours=-1))
    fields = {**own_fields(wrong), "received_at": after(days=9)}
    of = {"corrects": str(REPLY), "in_reply_to": str(REPLY), "message": json.loads(json.dumps(fields))}
    labels = wrong.handling.model_dump(mode="json", exclude_none=True)
    later = SENT + timedelta(days=1)
    again = made("correction", ANOTHER, later, to=list(wrong.to), handling=labels, **of)
    assert found(again, wrong) == {"message.received_at": "ahead"}
    assert found(again) == {}
    # A promise of then, which has passed since, is no fault of the correction.
    fields["received_at"] = after(hours=-2)
    of["message"] = json.loads(json.dumps(fields))
    assert found(made("correction", ANOTHER, later, to=list(wrong.to), handling=labels, **of), wrong) == {}


def test_what_was_passed_on_is_judged_where_it_was_said() -> None:
    assert found(made("forward", sent_at=datetime(2000, 1, 1, tzinfo=UTC))) == {}


@pytest.mark.parametrize("name", sorted(MESSAGE_TYPES))
def test_the_example_of_each_type_is_plausible_when_its_story_is_told(name: str) -> None:
    told = {"assistance.request": "2026-11-22T18:00:00Z", "preservation.request": "2026-11-23T00:00:00Z"}
    days = {
        "answer": "2026-12-02T09:00:00Z",
        "emergency.request": "2026-12-01T09:00:00Z",
        "use.report": "2027-02-20T09:00:00Z",
    }
    days |= {"emergency.supplement": "2026-12-03T09:00:00Z", "incident": "2027-01-05T09:00:00Z"}
    days |= {"preservation.follow-up": "2027-02-11T09:00:00Z", "follow-up.confirmed": "2027-02-12T12:00:00Z"}
    days |= {"data-protection.notice": "2026-11-24T12:00:00Z", "acknowledgement": "2026-11-23T03:15:00Z"}
    at = datetime.fromisoformat({**told, **days}.get(name, "2026-11-23T11:00:00Z"))
    assert implausibilities(made(name, sent_at=at), at) == ()


def test_held_back_as_a_whole_covers_every_fact() -> None:
    assert HeldBack(True).covers([])
    assert HeldBack(True).covers(["t1"])
    assert Implausible("ahead", "at").holds_back


# --- Where times are looked for ------------------------------------------------------------------------------------


def every_time(part: BaseModel, path: str = "") -> Iterator[str]:
    """The paths of all instants in a part of a message, found by looking at every field of it."""
    for name, field in type(part).model_fields.items():
        value, written = getattr(part, name), f"{path}{field.alias or name}"
        if isinstance(value, datetime) and written != "sent_at":
            yield written
        elif isinstance(value, BaseModel):
            yield from every_time(value, f"{written}.")
        elif isinstance(value, tuple):
            for number, item in enumerate(value):
                if isinstance(item, BaseModel):
                    yield from every_time(item, f"{written}.{number}.")


@pytest.mark.parametrize("name", sorted(MESSAGE_TYPES))
def test_only_fields_that_cannot_hold_a_time_are_passed_over(name: str) -> None:
    message = made(name)
    found = [path for path, _, _ in times_in(message)]
    # The day of an authorisation is written as a date.
    assert [path for path in found if not path.endswith("authorisation.date")] == list(every_time(message))


def test_a_field_of_a_new_kind_of_type_is_looked_at() -> None:
    class Held(BaseModel):
        times: dict[str, datetime]
        word: str | None

    assert _timed_fields(Held) == (("times", "times"),)

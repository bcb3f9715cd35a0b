"""Messages of a preservation: what must be there, by its legal name, and what is read back."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from protocol.errors import InvalidMessageError
from protocol.lifecycle.case import check_step, fold
from protocol.lifecycle.preservation_rules import State
from protocol.lifecycle.thread import ThreadEvent, ThreadMessage
from protocol.messages.cautions import form_cautions
from protocol.messages.parse import check_outgoing, complete_message, message_to_bytes, notes_of, parse_message
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.base import Message, UnknownMessage
from protocol.messages.types.acknowledgement import Acknowledgement
from protocol.messages.types.preservation import PreservationRequest
from protocol.messages.types.reply import reply_draft
from tests.generators import load_script

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
OFFICER = {"name": "Claire Martin", "role": "Duty officer"}


@pytest.fixture
def draft() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "examples/preservation-request.json").read_text("utf-8"))
    return loaded


def complete(draft: dict[str, Any], number: int = 1, sender: str = "24-7@jp") -> Message:
    """The message of a draft; an answer is sent when the data are preserved, any other at NOW."""
    at = datetime(2026, 11, 23, 9, 30, tzinfo=UTC) if draft["type"] == "preservation.answer" else NOW
    return complete_message(draft, message_id=UUID(int=number), sender=sender, sent_at=at)


def acknowledgement(request: Message, **changes: Any) -> dict[str, Any]:
    fields = {
        "officer": OFFICER,
        "received_at": NOW,
        "handler": {"name": "Claire Martin", "telephone": "+33140000247"},
        "will_answer": "yes",
        "form": "message",
        "eta": "2026-11-23T09:00:00+01:00",
    }
    return reply_draft(request, "acknowledgement", **{**fields, **changes})


def answer(request: Message, *targets: dict[str, Any]) -> dict[str, Any]:
    return reply_draft(request, "preservation.answer", officer=OFFICER, targets=list(targets))


PRESERVED = {
    "target": "t1",
    "result": "preserved",
    "preserved_at": "2026-11-23T04:00:00+01:00",
    "expires_at": "2027-02-21T10:00:00+01:00",
    "provider_reference": "LE-2026-1187",
}


# --- What a request must specify --------------------------------------------------------------------------------


def test_the_example_may_be_sent(draft: dict[str, Any]) -> None:
    assert check_outgoing(draft) == []


def test_empty_request_lists_every_element_of_article_29_2_in_the_order_of_its_letters() -> None:
    problems = check_outgoing({"type": "preservation.request"})
    letters = [(field, rule) for field, rule, _ in problems if rule.startswith("Art. 29.2")]
    assert letters == [
        ("authority", "Art. 29.2 (a)"),
        ("offences", "Art. 29.2 (b)"),
        ("facts", "Art. 29.2 (b)"),
        ("targets", "Art. 29.2 (c)"),
        ("targets.0.location", "Art. 29.2 (d)"),
        ("necessity", "Art. 29.2 (e)"),
        ("mutual_assistance", "Art. 29.2 (f)"),
    ]
    assert problems[: len(letters)] == [problem for problem in problems if problem[1].startswith("Art. 29.2")]
    assert problems[0] == ("authority", "Art. 29.2 (a)", "add the authority that seeks the preservation")
    assert {"own_reference", "confirmation_contact", "do_not_notify", "legal_basis", "to", "handling"} <= {
        field for field, _, _ in problems
    }


@pytest.mark.parametrize("nothing", [None, "", " ", [], {}, False])
@pytest.mark.parametrize(
    ("field", "rule"),
    [
        ("authority", "Art. 29.2 (a)"),
        ("offences", "Art. 29.2 (b)"),
        ("facts", "Art. 29.2 (b)"),
        ("targets", "Art. 29.2 (c)"),
        ("necessity", "Art. 29.2 (e)"),
        ("mutual_assistance", "Art. 29.2 (f)"),
    ],
)
def test_element_left_empty_in_any_way_is_named(draft: dict[str, Any], field: str, rule: str, nothing: object) -> None:
    problems = check_outgoing({**draft, field: nothing})
    assert problems[0][0].split(".")[0] == field
    assert problems[0][1] == rule


@pytest.mark.parametrize(
    ("field", "rule"),
    [
        ("identifier", "Art. 29.2 (c)"),
        ("data_categories", "Art. 29.2 (c)"),
        ("time_window", "Art. 29.2 (c)"),
        ("relation", "Art. 29.2 (c)"),
    ],
)
def test_each_target_specifies_its_data_and_their_relation(draft: dict[str, Any], field: str, rule: str) -> None:
    del draft["targets"][1][field]
    assert [(path, name) for path, name, _ in check_outgoing(draft)] == [(f"targets.1.{field}", rule)]


def test_a_request_without_custodian_and_location_is_sent_and_cautioned(draft: dict[str, Any]) -> None:
    custodian = draft["targets"][1].pop("custodian")
    assert check_outgoing(draft) == []
    assert form_cautions(complete(draft)) == (("targets.1.location", "no_custodian"),)
    # Desks that read version 1 alone refuse it: to them it cannot be said.
    older = {**draft, "schema_version": 1}
    assert [(path, rule) for path, rule, _ in check_outgoing(older)] == [("targets.1.location", "Art. 29.2 (d)")]
    for known in ({"location": "Roubaix"}, {"custodian": custodian}):
        draft["targets"][1] = {**draft["targets"][1], **known}
        assert check_outgoing({**draft, "schema_version": 1}) == []
        assert form_cautions(complete(draft)) == ()
        del draft["targets"][1][next(iter(known))]


def test_intention_to_request_mutual_assistance_cannot_be_denied(draft: dict[str, Any]) -> None:
    draft["mutual_assistance"]["declared"] = False
    assert check_outgoing(draft) == [
        (
            "mutual_assistance.declared",
            "Art. 29.2 (f)",
            "state that a request for mutual assistance will be submitted",
        )
    ]


def test_ipv4_without_port_and_instant_is_refused_with_the_reason(draft: dict[str, Any]) -> None:
    draft["targets"][0]["identifier"] = {
        "kind": "ipv4",
        "address": "203.0.113.77",
        "protocol": "tcp",
        "precision": "second",
    }
    problems = check_outgoing(draft)
    assert [path for path, _, _ in problems] == ["targets.0.identifier.port", "targets.0.identifier.instant"]
    why = "nobody can tell who used an IPv4 address that many share"
    assert all(rule == "RFC 6302" and why in text for _, rule, text in problems)


def test_everything_wrong_is_listed_at_once(draft: dict[str, Any]) -> None:
    draft |= {"necessity": "", "period_wanted_days": 0, "own_reference": None, "urgency_reason": "", "to": ["Tokyo"]}
    draft["authority"]["time_zone"] = "KST+9"
    draft["targets"][0]["relation"] = "a\u202eb"
    fields = [field for field, _, _ in check_outgoing(draft)]
    assert fields[:2] == ["targets.0.relation", "necessity"]
    assert set(fields[2:]) == {"period_wanted_days", "own_reference", "urgency_reason", "to.0", "authority.time_zone"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"request_status": "extension"}, "previous_reference"),
        ({"do_not_notify_reason": None}, "do_not_notify_reason"),
        ({"urgency_reason": None}, "urgency_reason"),
        ({"handling": {"tlp": "AMBER", "codes": ["H3"]}}, "handling.text"),
        ({"handling": {"tlp": "amber"}}, "handling.tlp"),
        ({"confirmation_contact": {"name": "Suzuki Ren"}}, "confirmation_contact.email"),
        ({"offences": [{"list": "budapest", "code": "99", "title": "x"}]}, "offences.0.code"),
        ({"offences": [{"list": "budapest", "title": "x"}]}, "offences.0.code"),
        ({"to": ["24-7@fr", "24-7@fr"]}, "to"),
        ({"language": "xx"}, "language"),
        ({"schema_version": 4}, "schema_version"),
        ({"schema_version": "1"}, "schema_version"),
        (
            {"attachments": [{"name": "../x", "size_bytes": 1, "media_type": "text/plain", "sha256": "0" * 64}]},
            "attachments.0.name",
        ),
        ({"unheard_of": 1}, "unheard_of"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_one_thing_wrong_is_the_one_thing_listed(draft: dict[str, Any], changes: dict[str, Any], field: str) -> None:
    assert [path for path, _, _ in check_outgoing({**draft, **changes})] == [field]


def test_offence_that_is_not_a_cybercrime_is_accepted(draft: dict[str, Any]) -> None:
    draft["offences"] = [{"list": "national", "title": "Murder", "national_provision": "Criminal Act, Art. 250"}]
    assert check_outgoing(draft) == []


def test_time_window_that_ends_before_it_begins_is_refused(draft: dict[str, Any]) -> None:
    window = draft["targets"][0]["time_window"]
    window["begins_at"], window["ends_at"] = window["ends_at"], window["begins_at"]
    assert [path for path, _, _ in check_outgoing(draft)] == ["targets.0.time_window.ends_at"]


def test_targets_have_distinct_names_and_at_most_a_thousand(draft: dict[str, Any]) -> None:
    target = draft["targets"][0]
    assert check_outgoing({**draft, "targets": [target, target]})[0][0] == "targets"
    many = [{**target, "target": f"t{n}"} for n in range(1001)]
    (field, rule, text), *_more = check_outgoing({**draft, "targets": many})
    assert (field, rule) == ("targets", "Art. 29.2 (c)")
    assert "one message holds 1000" in text


def test_message_too_large_to_be_sealed_is_refused_before_it_is_sent(draft: dict[str, Any]) -> None:
    target = {**draft["targets"][0], "description": "x" * 1500}
    many = [{**target, "target": f"t{n}"} for n in range(900)]
    ((where, _, text),) = check_outgoing({**draft, "targets": many})
    assert where == "message"
    assert "split its targets over several requests" in text


def test_no_refusal_repeats_what_was_refused(draft: dict[str, Any]) -> None:
    secret = "Kim-Seo-yeon-secret"
    draft |= {"language": secret, "urgency": secret, "to": [secret], "request_status": secret, secret + "\u202e": 1}
    draft["targets"][0]["identifier"] = {"kind": secret}
    with pytest.raises(InvalidMessageError) as raised:
        complete(draft)
    assert secret not in str(raised.value)
    assert secret not in json.dumps(raised.value.to_problem())
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    "draft_with", [{"facts": object()}, {"facts": {1, 2}}, {"facts": float("nan")}, {"facts": "\ud800"}]
)
def test_draft_that_json_cannot_carry_is_a_typed_refusal(draft: dict[str, Any], draft_with: dict[str, Any]) -> None:
    assert check_outgoing({**draft, **draft_with})


@pytest.mark.parametrize("message_type", [None, "", "preservation.requests", 7, ["acknowledgement"]])
def test_draft_of_no_known_type_is_refused(message_type: object) -> None:
    assert [field for field, _, _ in check_outgoing({"type": message_type})] == ["type"]


# --- Answers and acknowledgements -------------------------------------------------------------------------------


def test_reply_is_addressed_labelled_and_referenced_by_what_it_answers(draft: dict[str, Any]) -> None:
    request = complete(draft)
    reply = complete(acknowledgement(request), 2, "24-7@fr")
    assert isinstance(reply, Acknowledgement)
    assert (reply.to, reply.thread, reply.in_reply_to) == (("24-7@jp",), request.id, request.id)
    assert (reply.peer_reference, reply.own_reference) == (request.own_reference, None)
    labels = (request.handling.tlp, request.handling.pap)
    assert (reply.handling.tlp, reply.handling.pap, reply.handling.use_conditions) == (*labels, ())
    assert (reply.language, reply.urgency) == ("en", request.urgency)
    assert reply.urgency_reason != request.urgency_reason


def test_acknowledgement_says_when_by_one_of_two_ways(draft: dict[str, Any]) -> None:
    request = complete(draft)
    assert check_outgoing(acknowledgement(request, eta=None, next_update_by="2026-11-23T09:00:00Z")) == []
    assert [field for field, _, _ in check_outgoing(acknowledgement(request, eta=None))] == ["next_update_by"]


def test_acknowledgement_without_anything_lists_what_the_directive_asks(draft: dict[str, Any]) -> None:
    problems = check_outgoing(reply_draft(complete(draft), "acknowledgement", officer=OFFICER))
    assert [field for field, _, _ in problems] == ["received_at", "handler", "will_answer", "form", "next_update_by"]
    assert {rule for _, rule, _ in problems} == {"Directive 2013/40/EU Art. 13"}


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        (PRESERVED, []),
        ({**PRESERVED, "result": "partly_preserved"}, ["scope"]),
        ({**PRESERVED, "expires_at": None}, ["expires_at"]),
        ({**PRESERVED, "expires_at": PRESERVED["preserved_at"]}, ["expires_at"]),
        ({"target": "t1", "result": "not_held"}, []),
        ({"target": "t1", "result": "not_held", "expires_at": PRESERVED["expires_at"]}, ["expires_at"]),
        ({"target": "t1", "result": "refused"}, ["ground"]),
        ({"target": "t1", "result": "refused", "ground": {"code": "essential_interests"}}, ["ground.text"]),
        ({"target": "t1", "result": "refused", "ground": {"code": "essential_interests", "text": "Reasons."}}, []),
        ({"target": "T 1", "result": "not_held"}, ["target"]),
    ],
)
def test_each_result_carries_what_it_needs(draft: dict[str, Any], target: dict[str, Any], fields: list[str]) -> None:
    problems = check_outgoing(answer(complete(draft), target))
    assert [field for field, _, _ in problems] == [f"targets.0.{field}" for field in fields]


def test_target_answered_twice_in_one_message_is_refused(draft: dict[str, Any]) -> None:
    assert [field for field, _, _ in check_outgoing(answer(complete(draft), PRESERVED, PRESERVED))] == ["targets"]


# --- Bytes --------------------------------------------------------------------------------------------------------


def test_message_is_written_the_same_every_time_and_read_back_equal(draft: dict[str, Any]) -> None:
    message = complete(draft)
    content = message_to_bytes(message)
    assert parse_message(content) == message
    assert message_to_bytes(parse_message(content)) == content
    assert b"null" not in content
    assert json.loads(content)["from"] == "24-7@jp"
    assert json.loads(content)["targets"][0]["identifier"]["instant"].endswith("+09:00")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"{}",
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b'{"type": "acknowledgement", "type": "x"}',
        b'{"type": NaN}',
        b"[" * 100_000,
        b'{"a":' * 20_000,
        b'{"type": ' + b"9" * 10_000 + b"}",
        b'{"type": "\\ud800"}',
        b" " * 300_000,
        b'{"type": "preservation.request", "targets": [' + b"{}," * 1000 + b"{}]}",
    ],
    ids=lambda content: str(content[:20]),
)
def test_bytes_that_are_no_message_are_a_typed_refusal(content: bytes) -> None:
    with pytest.raises(InvalidMessageError) as raised:
        parse_message(content)
    assert raised.value.problems


def test_repeated_name_deep_inside_is_refused(draft: dict[str, Any]) -> None:
    content = message_to_bytes(complete(draft)).replace(b'"country":"JP"', b'"country":"JP","country":"FR"', 1)
    with pytest.raises(InvalidMessageError):
        parse_message(content)


def test_unknown_field_of_a_known_version_is_refused(draft: dict[str, Any]) -> None:
    raw = json.loads(message_to_bytes(complete(draft)))
    raw["targets"][0]["shoe_size"] = 46
    with pytest.raises(InvalidMessageError) as raised:
        parse_message(json.dumps(raw).encode())
    assert [field for field, _, _ in raised.value.problems] == ["targets.0.shoe_size"]


def test_newer_version_is_read_with_a_note_on_what_was_passed_over(draft: dict[str, Any]) -> None:
    raw = json.loads(message_to_bytes(complete(draft)))
    raw |= {"schema_version": 4, "colour": "blue", "urgency": "whenever"}
    raw["targets"][0]["shoe_size"] = 46
    message = parse_message(json.dumps(raw).encode())
    assert isinstance(message, PreservationRequest)
    assert notes_of(message)[0].endswith("fields not shown: colour, targets.0.shoe_size")
    with pytest.raises(InvalidMessageError):
        message_to_bytes(message)


def test_newer_version_that_cannot_be_read_and_unknown_type_keep_everything(draft: dict[str, Any]) -> None:
    raw = json.loads(message_to_bytes(complete(draft)))
    changed = copy.deepcopy(raw)
    changed |= {"schema_version": 4, "targets": {"t1": {}}}
    for other in (changed, {**raw, "type": "library.offer"}):
        message = parse_message(json.dumps(other).encode())
        assert isinstance(message, UnknownMessage)
        assert message.sender == "24-7@jp"
        assert message.other_fields["targets"] == other["targets"]
        assert notes_of(message)


def test_unknown_type_with_a_broken_common_field_is_refused(draft: dict[str, Any]) -> None:
    raw = {**json.loads(message_to_bytes(complete(draft))), "type": "library.offer", "from": "nobody"}
    with pytest.raises(InvalidMessageError) as raised:
        parse_message(json.dumps(raw).encode())
    assert [field for field, _, _ in raised.value.problems] == ["from"]


def test_message_cannot_be_changed(draft: dict[str, Any]) -> None:
    message = complete(draft)
    with pytest.raises(Exception, match="frozen"):
        message.language = "fr"


def test_message_in_a_log_line_shows_its_type_and_id_only(draft: dict[str, Any]) -> None:
    message = complete(draft)
    assert repr(message) == f"PreservationRequest(type='preservation.request', id={message.id!r})"
    assert "Tokyo" not in str(message)


# --- From messages to the case ------------------------------------------------------------------------------------


def test_case_of_a_thread_is_the_same_in_any_order(draft: dict[str, Any]) -> None:
    request = complete(draft)
    refused = {"target": "t2", "result": "refused", "ground": {"code": "protected_data", "text": "A lawyer's mailbox."}}
    thread = [
        ThreadMessage(
            request, (ThreadEvent("ContentHandover", "24-7@fr", NOW), ThreadEvent("RelayAcceptance", "24-7@fr", NOW))
        ),
        ThreadMessage(complete(acknowledgement(request), 2, "24-7@fr")),
        ThreadMessage(complete(answer(request, PRESERVED, refused), 3, "24-7@fr")),
    ]
    case = fold(thread)
    assert [(target.name, target.state) for target in case.targets] == [("t1", State.PRESERVED), ("t2", State.REFUSED)]
    assert (case.will_answer, case.delivered_at, case.out_of_order) == ("yes", NOW, ())
    assert case.targets[1].refusal_ground == "protected_data"
    assert fold(reversed(thread)) == case


def test_step_that_the_table_refuses_is_known_before_it_is_sent(draft: dict[str, Any]) -> None:
    request = complete(draft)
    short = {**PRESERVED, "expires_at": "2026-12-23T10:00:00+01:00"}
    thread = [ThreadMessage(request)]
    assert check_step(thread, complete(answer(request, PRESERVED), 3, "24-7@fr")) == ()
    refusal = check_step(thread, complete(answer(request, short), 3, "24-7@fr"))
    assert [(entry.target, str(entry.reason)) for entry in refusal] == [
        ("t1", "the expiry is too early: it must follow the preservation by at least this many days: 60")
    ]


def test_message_of_an_unknown_type_is_shown_in_the_case(draft: dict[str, Any]) -> None:
    request = complete(draft)
    raw = {**json.loads(message_to_bytes(complete(acknowledgement(request), 5, "24-7@fr"))), "type": "library.offer"}
    case = fold([ThreadMessage(request), ThreadMessage(parse_message(json.dumps(raw).encode()))])
    assert case.unread == (UUID(int=5),)


# --- What is generated ---------------------------------------------------------------------------------------------


def test_published_schemas_are_current() -> None:
    schemas: dict[str, str] = load_script("tests/generators/schemas.py").schemas()
    assert schemas.keys() == {f"{name}.json" for name in MESSAGE_TYPES}
    for name, text in schemas.items():
        assert (ROOT / "docs/schemas" / name).read_text("utf-8") == text


def test_lifecycle_page_is_current() -> None:
    script = load_script("tests/generators/lifecycle_table.py")
    text = (ROOT / "docs/lifecycle.md").read_text("utf-8")
    assert script.page(text) == text

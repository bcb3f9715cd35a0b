"""Reading and writing at the edge of each limit, and what a reader is told: each cause by its own words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from protocol.codes import load_codes
from protocol.envelope import MAX_CONTENT_BYTES
from protocol.errors import InvalidMessageError
from protocol.messages.parse import (
    MAX_ITEMS,
    MAX_LIST,
    check_outgoing,
    compose_message,
    json_schema,
    message_to_bytes,
    notes_of,
    parse_message,
)
from protocol.messages.schema import fields as field_kinds
from protocol.messages.schema.base import UnknownMessage
from protocol.messages.schema.fields import CodeOf, Country, Instant, ZoneName
from protocol.messages.schema.identifiers import Identifier
from protocol.messages.schema.parts import Offence
from protocol.messages.schema.problems import MAX_PROBLEMS
from tests.unit.protocol.test_messages_rules import MISSING, fits
from tests.worlds.samples import AUTHORISATION

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
NUMBER = UUID("0192c2de-7a10-7c4e-9b2f-000000000001")
NOT_JSON = "this is not JSON"


def example(name: str, **changes: Any) -> dict[str, Any]:
    path = "preservation-request" if name == "preservation.request" else f"messages/{name}"
    fields = {**json.loads((EXAMPLES / f"{path}.json").read_text("utf-8")), **changes}
    return {field: value for field, value in fields.items() if value is not None}


def sent(name: str = "preservation.request", **changes: Any) -> dict[str, Any]:
    """The fields of a message as they travel."""
    composed = compose_message(example(name), message_id=NUMBER, sender="24-7@jp")
    found: dict[str, Any] = json.loads(composed.content)
    return {**found, **changes}


def told(fields: dict[str, Any] | bytes) -> dict[str, str]:
    """What is wrong with a message that came in, by field; empty when it is read."""
    try:
        parse_message(fields if isinstance(fields, bytes) else json.dumps(fields, ensure_ascii=False).encode())
    except InvalidMessageError as error:
        return {field: text for field, _rule, text in error.problems}
    return {}


# --- How much is read -------------------------------------------------------------------------------------------


def test_a_message_is_read_to_its_longest_and_no_further() -> None:
    for size, text in ((MAX_CONTENT_BYTES, NOT_JSON), (MAX_CONTENT_BYTES + 1, "the message is too large")):
        assert told(b" " * size)["message"].startswith(text)


def test_a_message_has_few_names_and_values() -> None:
    for count, text in ((MAX_ITEMS, NOT_JSON), (MAX_ITEMS + 1, "the message has too many values")):
        assert told(b"[" + b"1," * (count - 2) + b"1]")["message"].startswith(
            text if count > MAX_ITEMS else "a message is"
        )


def test_a_list_is_read_to_its_longest_and_no_further() -> None:
    unknown = {"type": "library.offer"}
    assert told(sent("contact.test", **unknown, found=[1] * MAX_LIST)) == {}
    assert told(sent("contact.test", **unknown, found=[1] * (MAX_LIST + 1)))["message"].startswith(NOT_JSON)
    # With no other comma than those of the list.
    assert told(b'{"a":[' + b"1," * MAX_LIST + b"1]}")["message"].startswith(NOT_JSON)
    assert "message" not in told(b'{"a":[' + b"1," * (MAX_LIST - 1) + b"1]}")
    # A text is no list, however long; a short list stands beside it.
    assert told(sent(facts="a, " * 1500)) == {}


def test_a_message_is_written_to_its_longest_and_no_further() -> None:
    target = example("preservation.request")["targets"][0]
    targets = [{**target, "target": f"t{n}", "description": "x" * 700} for n in range(900)]
    draft = example("preservation.request", targets=targets)

    def with_rest(rest: int) -> dict[str, Any]:
        for part in targets:
            part["description"] = "x" * min(2000, 1 + rest)
            rest -= len(part["description"]) - 1
        return draft

    start = len(compose_message(with_rest(0)).content)
    draft = with_rest(MAX_CONTENT_BYTES - start)
    assert len(compose_message(draft).content) == MAX_CONTENT_BYTES
    ((where, _, text),) = check_outgoing(with_rest(MAX_CONTENT_BYTES - start + 1))
    assert where == "message"
    assert f"bytes of the message: {MAX_CONTENT_BYTES + 1};" in text
    assert "split its targets over several requests" in text


def test_what_is_too_large_is_told_how_it_becomes_smaller() -> None:
    answers = [{"target": f"t{n}", "result": "not_held", "remark": "x" * 1200} for n in range(1000)]
    seen = {"identifier": {"kind": "domain", "domain": "example.org"}, "relation": "x" * 1200}
    disclosure = {"stage": "disclosure", "facts": "So.", "commitment": None, "conditions": None, "thread": None}
    disclosure["authorisation"] = AUTHORISATION
    original = {**example("forward")["original"], "content": "x" * MAX_CONTENT_BYTES}
    cases = {
        "a reply": (example("preservation.answer", targets=answers), "shorten its texts"),
        "no targets": (
            example("information.spontaneous", **disclosure, identifiers=[seen] * 1000),
            "shorten its texts",
        ),
        "passed on": (example("forward", original=original), "too long to be passed on"),
    }
    for name, (draft, part) in cases.items():
        ((where, _, text),) = check_outgoing(draft)
        assert (name, where) == (name, "message")
        assert part in text, name


# --- Types and versions ------------------------------------------------------------------------------------------


def test_a_version_is_a_number_and_one_that_cannot_be_written_is_refused() -> None:
    for version in ("2", 2.5, None, [2], 0):
        assert "schema_version" in told(sent(schema_version=version))
    assert check_outgoing(example("contact.test", schema_version=2))[0][2] == (
        "this version of the message type cannot be written"
    )
    for wrong in ("unheard", ""):
        with pytest.raises(InvalidMessageError) as raised:
            json_schema(wrong)
        assert raised.value.problems[0][0] == "type"


def test_what_is_unknown_is_kept_and_not_written_again() -> None:
    message = parse_message(json.dumps(sent("contact.test", type="library.offer")).encode())
    assert isinstance(message, UnknownMessage)
    assert message.schema_version == 1
    assert message.other_fields == {}
    assert len(notes_of(message)) == 1
    with pytest.raises(InvalidMessageError):
        message_to_bytes(message)
    known = parse_message(json.dumps(sent("contact.test")).encode())
    assert notes_of(known) == ()
    newer = parse_message(json.dumps(sent("contact.test", schema_version=2)).encode())
    assert notes_of(newer) == ("this message is of a newer version than this program knows",)


def test_a_type_has_the_form_of_a_name_also_where_it_is_unknown() -> None:
    for name in ("library.offer", "a", "a" * 64, "a-b_c.9"):
        assert told(sent("contact.test", type=name)) == {}
    for name in ("", "a" * 65, "Library.offer", "9", "library offer", "library.offer\n", ".offer"):
        assert told(sent("contact.test", type=name)).keys() == {"type"}


def test_codes_are_those_of_the_list_except_in_a_newer_version() -> None:
    for name, (changes, newer) in {
        "urgency": ({"urgency": "whenever"}, True),
        "form": ({"urgency": "a b"}, False),
        "offence": ({"offences": [{"list": "budapest", "code": "99", "title": "x"}]}, True),
    }.items():
        field = {"form": "urgency", "offence": "offences.0.code"}.get(name, name)
        assert field in told(sent(**changes))
        assert (told(sent(**changes, schema_version=4)) == {}) is newer
        if newer:
            kept = parse_message(json.dumps(sent(**changes, schema_version=4)).encode())
            assert not isinstance(kept, UnknownMessage)


def test_a_code_of_ones_own_is_taken_where_the_list_can_be_added_to() -> None:
    assert told(sent("closure", reason="x-jp-archived")) == {}
    assert told(sent("closure", reason="archived")).keys() == {"reason"}
    assert told(sent("closure", urgency="x-jp-archived")).keys() == {"urgency"}
    assert told(sent("closure", reason="x-jp")).keys() == {"reason"}


def test_a_registry_that_grows_is_asked_of_what_is_made_here() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(Identifier)
    text = json.dumps({"kind": "phone", "number": "+9991234567"})
    for context in ({"received": True}, {"newer": True}):
        assert adapter.validate_json(text, context=context).number == "+9991234567"
    for asked in (None, {}, {"received": False}, {"other": True}):
        with pytest.raises(ValidationError, match="no country has this country code"):
            adapter.validate_json(text, context=asked)


# --- Single values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "part"),
    [
        (Instant, "", "fill in this field: it is empty"),
        (Instant, None, "fill in this field: it is empty"),
        (Instant, 5, "write the date and time as text"),
        (Instant, "2026-11-23T04:05:06", "such as 2026-11-23T04:05:06+09:00"),
        (Instant, "2026-11-23T04:05:06+09:00", ""),
        (ZoneName, "", "fill in this field: it is empty"),
        (ZoneName, "KST+9", "IANA name"),
        (ZoneName, "Asia/Tokyo", ""),
        (ZoneName, "America/Argentina/Buenos_Aires", ""),
        (Country, "", "fill in this field: it is empty"),
        (Country, "JP", ""),
        (Country, "zz", "not a code of the list country"),
        (Country, "uk", "did you mean GB"),
        (Country, "jp", "upper case"),
        (Country, "xyz", ""),
        (Country, "france", "in place of its name"),
        (Country, "europol", ""),
    ],
    # Not str: the name of an annotated type holds addresses in memory.
    ids=lambda given: given if isinstance(given, str) else None,
)
def test_a_single_value_is_refused_with_the_cause(kind: Any, value: object, part: str) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    causes = ""
    try:
        adapter.validate_json(json.dumps(value))
    except ValidationError as error:
        causes = str(error)
    assert part in causes
    assert bool(causes) is bool(part)


def test_an_offence_of_a_published_list_is_told_to_have_a_code() -> None:
    with pytest.raises(ValidationError, match="add the code that the offence has in the published list"):
        TypeAdapter(Offence).validate_json('{"list": "budapest", "title": "Illegal access"}')


def test_a_list_of_codes_is_spelled_out_in_a_schema_up_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = load_codes("profile_field").entries
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[str, CodeOf("profile_field")])
    for limit, spelled in ((len(entries), True), (len(entries) - 1, False)):
        monkeypatch.setattr(field_kinds, "_MAX_ENUM", limit)
        assert ("enum" in adapter.json_schema()) is spelled


# --- What is said of each problem ---------------------------------------------------------------------------------


def test_problems_are_listed_to_a_limit() -> None:
    many = [
        {"target": f"t{n}", "relation": 5, "description": 5, "identifier": 5, "time_window": 5} for n in range(1000)
    ]
    problems = check_outgoing(example("preservation.request", targets=many))
    assert len(problems) == MAX_PROBLEMS


SAID: list[tuple[str, dict[str, Any], dict[str, str | re.Pattern[str]]]] = [
    ("preservation.request", {"facts": False}, {"facts": "write text"}),
    ("preservation.request", {"authority": ""}, {"authority": MISSING}),
    ("preservation.request", {"authority": 5}, {"authority": "write an object"}),
    (
        "preservation.request",
        {"mutual_assistance": {"declared": "yes"}},
        {"mutual_assistance.declared": "not allowed here"},
    ),
    ("preservation.request", {"mutual_assistance": {"declared": False}}, {"mutual_assistance.declared": MISSING}),
    ("preservation.request", {"mutual_assistance": []}, {"mutual_assistance": MISSING}),
    ("preservation.request", {"do_not_notify": 1}, {"do_not_notify": "write true or false"}),
    (
        "condition.decline",
        {"proposal": [{"kind": "other", "text": "So."}]},
        {"proposal.0.condition": "add the short name of the condition, such as c1"},
    ),
    ("answer", {"items": [{"hash": {"file_hash": 1}}]}, {"items.0.hash.file_hash": "not known in this version"}),
    ("forward", {"consents": [{}]}, {"consents.0.request": MISSING, "consents.0.reply": MISSING}),
    ("contact.test", {"a\nb": 1}, {"(unreadable name)": "not known"}),
]


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    SAID,
    ids=[f"{name} {next(iter(changes))} {number}" for number, (name, changes, _) in enumerate(SAID)],
)
def test_a_problem_has_the_name_of_its_field_and_the_words_of_its_cause(
    name: str, changes: dict[str, Any], expected: dict[str, str | re.Pattern[str]]
) -> None:
    found = {field: text for field, _rule, text in check_outgoing(example(name, **changes))}
    assert expected.keys() <= found.keys()
    assert {field: found[field] for field, part in expected.items() if not fits(part, found[field])} == {}


def test_nothing_that_came_in_is_taken_for_a_field_that_is_there() -> None:
    assert told(sent(facts=None)) == {"facts": "summarise the related facts"}
    assert told(sent(do_not_notify=None)).keys() == {"do_not_notify"}
    assert MISSING.match(told(sent(do_not_notify=None))["do_not_notify"])
    assert told(b'{"type": "\\ud800"}') == {"message": "this is not JSON"}
    assert told(sent(**{"from": ""})).keys() == {"from"}


def test_the_words_for_an_identifier_are_those_of_its_kind() -> None:
    targets = sent()["targets"]
    for kind, part in (("ipv6", "prefixes change hands"), ("ipv4", "share (RFC 6302)")):
        address = {"kind": kind, "address": "2001:db8::7" if kind == "ipv6" else "203.0.113.7", "precision": "second"}
        more = {} if kind == "ipv6" else {"port": 1, "protocol": "tcp"}
        changed = [{**targets[0], "identifier": {**address, **more}}]
        assert part in told(sent(targets=changed))["targets.0.identifier.instant"]
    changed = [{**targets[0], "identifier": {"kind": "url", "url": "example.org"}}]
    assert told(sent(targets=changed)).keys() == {"targets.0.identifier.url"}


def test_lines_of_a_draft_end_as_all_lines_do_however_deep_they_stand() -> None:
    def asked(question: str) -> MappingProxyType[str, Any]:
        return MappingProxyType(
            example("clarification.ask", questions=[MappingProxyType({"question": "q1", "text": question})])
        )

    by_editor, by_hand = compose_message(asked("first\r\nsecond")), compose_message(asked("first\nsecond"))
    assert by_editor.content == by_hand.content


def test_a_backslash_that_stands_before_an_r_is_kept() -> None:
    content = compose_message(
        example("clarification.ask", questions=[{"question": "q1", "text": r"C:\reports\new"}])
    ).content
    assert json.loads(content)["questions"][0]["text"] == r"C:\reports\new"

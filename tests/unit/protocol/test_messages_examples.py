"""Each message type has a complete example that round-trips, and each required field is missed by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import InvalidMessageError
from protocol.messages.parse import check_outgoing, compose_message, message_to_bytes, parse_message
from protocol.messages.registry import MESSAGE_TYPES

ROOT = Path(__file__).resolve().parents[3]
_FILES = {path.name.removesuffix(".json"): path for path in (ROOT / "examples/messages").glob("*.json")} | {
    "preservation.request": ROOT / "examples/preservation-request.json"
}
EXAMPLES: dict[str, dict[str, Any]] = {name: json.loads(path.read_text("utf-8")) for name, path in _FILES.items()}

_BY_DESK = {"id", "thread", "from", "sent_at", "schema_version"}
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just("24-7@jp"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def test_every_type_has_an_example() -> None:
    assert EXAMPLES.keys() == MESSAGE_TYPES.keys()


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_example_of_each_type_is_complete_and_written_as_it_was_read(name: str) -> None:
    assert check_outgoing(EXAMPLES[name]) == []
    message = compose_message(EXAMPLES[name], sender="24-7@jp").message
    content = message_to_bytes(message)
    again = parse_message(content)
    assert again == message
    assert type(again) is MESSAGE_TYPES[name]
    assert message_to_bytes(again) == content


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_each_missing_field_of_each_type_is_named_with_its_rule(name: str) -> None:
    required = {field.alias or key for key, field in MESSAGE_TYPES[name].model_fields.items() if field.is_required()}
    for field in required - _BY_DESK - {"type"}:
        draft = {key: value for key, value in EXAMPLES[name].items() if key != field}
        problems = [problem for problem in check_outgoing(draft) if problem[0].split(".")[0] == field]
        assert problems, f"{field} of {name} may be left out unseen"
        assert all(rule and text for _, rule, text in problems)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@given(data=st.data())
def test_any_value_in_any_field_is_taken_or_refused_with_the_name_of_the_field(name: str, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(MESSAGE_TYPES[name].model_fields)))
    field = MESSAGE_TYPES[name].model_fields[field].alias or field
    draft = {**EXAMPLES[name], field: data.draw(_JSON)}
    refusal = None
    try:
        compose_message(draft, sender="24-7@jp")
    except InvalidMessageError as error:
        refusal = error
    if refusal is not None:
        assert refusal.problems
        assert all(where and rule and text for where, rule, text in refusal.problems)

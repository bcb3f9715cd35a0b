"""Whatever JSON or bytes arrive, the answer is a message or a typed refusal with its problems."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import InvalidMessageError
from protocol.messages.parse import check_outgoing, complete_message, message_to_bytes, notes_of, parse_message
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.base import UnknownMessage

EXAMPLE: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[2] / "examples/preservation-request.json").read_text("utf-8")
)
COMPLETE: dict[str, Any] = json.loads(message_to_bytes(complete_message(EXAMPLE)))

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["2026-11-21T03:12:45+09:00", "24-7@fr", "ipv4", "", " ", "extension", "refused", "H3"])
)
_json = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inner for found in paths_of(item, (*path, key)))]


PATHS = paths_of(COMPLETE)[1:]


def replaced(tree: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(tree)
    place: Any = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


def assert_read_or_refused(content: bytes) -> None:
    try:
        message = parse_message(content)
    except InvalidMessageError as error:
        refusal = error
    else:
        assert bool(notes_of(message)) or parse_message(message_to_bytes(message)) == message
        return
    assert refusal.problems
    assert all(field and rule and text for field, rule, text in refusal.problems)
    assert json.dumps(refusal.to_problem(), ensure_ascii=False).isprintable()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    assert_read_or_refused(content)


@given(
    st.dictionaries(st.sampled_from(["id", "from", "to", "targets"]) | st.text(max_size=6), _json, max_size=6),
    st.sampled_from([*MESSAGE_TYPES, "x"]),
)
def test_any_object_of_any_type_is_read_or_refused(fields: dict[str, Any], message_type: str) -> None:
    assert_read_or_refused(json.dumps({**fields, "type": message_type}).encode())


@given(st.sampled_from(PATHS), _json, st.sampled_from([1, 2]))
def test_any_one_value_replaced_is_read_or_refused(path: tuple[str | int, ...], value: Any, version: int) -> None:
    changed = replaced({**COMPLETE, "schema_version": version}, path, value)
    assert_read_or_refused(json.dumps(changed).encode())


@given(st.sampled_from(PATHS), _json)
def test_draft_without_problems_is_one_that_a_recipient_reads(path: tuple[str | int, ...], value: Any) -> None:
    draft = replaced(COMPLETE, path, value)
    if not check_outgoing(draft):
        message = complete_message(draft)
        assert not isinstance(message, UnknownMessage)
        assert parse_message(message_to_bytes(message)) == message


@given(_json)
def test_any_draft_is_checked_without_an_exception(value: Any) -> None:
    draft = value if isinstance(value, dict) else {"type": "preservation.answer", "targets": value}
    assert check_outgoing(draft)

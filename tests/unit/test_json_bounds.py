"""JSON from outside is counted before it is parsed, and nothing parses it uncounted."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.verifiers import verify_bag
from protocol.encoding.json_bounds import require_few_items
from protocol.encoding.json_names import RepeatedNameError, each_name_once
from protocol.errors import TooLargeError
from protocol.messages.parse import MAX_ITEMS

ROOT = Path(__file__).parents[2]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(['"', "\\", '\\",[{:', "[[[["]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=6), inner, max_size=5),
    max_leaves=20,
)
# They read what this program wrote or ships, the operator's own words, or what was parsed by the rules before.
OWN_WORDS = {
    "exchange/acts/messages.py",
    "exchange/cli/messages/writing.py",
    "exchange/demo/processes.py",
    "exchange/demo/_cast.py",
    "exchange/cli/setup/programs.py",  # of the desk's own service
    "exchange/service/_command.py",
    "exchange/service/client.py",
    "exchange/service/run_folder.py",
    "exchange/service/served.py",
    "exchange/text/documents.py",
    "exchange/cases/calls.py",
    "exchange/cases/delivery.py",
    "exchange/cases/offers.py",
    "exchange/store/files.py",
    "exchange/wizard/_names.py",
    "protocol/messages/law/grounds.py",
    "protocol/messages/law/instruments.py",
    "protocol/messages/versions.py",
    "exchange/messaging/drafting/splitting.py",
    "exchange/office/release.py",
    "exchange/cases/search.py",
    "exchange/verifiers/verify_bag.py",
    "exchange/verifiers/verify_misbehaviour.py",
    "exchange/messaging/drafting/targets.py",
    "keys/ceremony/holder.py",
    "keys/local/strict_json.py",  # what its callers counted before
    "node/recovery/backup.py",
    "node/cli/_bundle.py",
    "node/cli/_console.py",
    "node/cli/_files.py",
    "node/cli/_federation.py",
    "node/cli/_keys.py",
    "node/cli/_loglife.py",
    "node/cli/_operation.py",
    "node/cli/_setup.py",
    "node/log/marks.py",
    "protocol/codes/loader.py",
    "protocol/lifecycle/profiles.py",
    "protocol/messages/types/offer.py",  # content that parse_message read before
}


def count(value: Any) -> int:
    """The names and values in it, itself counted."""
    if isinstance(value, list):
        return 1 + sum(map(count, value))
    if isinstance(value, dict):
        return 1 + sum(1 + count(item) for item in value.values())
    return 1


@given(values, st.booleans(), st.integers(0, 3))
def test_what_has_more_names_and_values_than_allowed_is_refused_and_nothing_smaller_is(
    value: Any, escaped: bool, short: int
) -> None:
    text = json.dumps(value, ensure_ascii=escaped)
    # An empty container has a mark and nothing after it: it may count twice, no more.
    empty = text.count("[]") + text.count("{}")
    require_few_items(text, count(value) + empty)
    limit = count(value) - 1 - short
    if limit >= 0:
        with pytest.raises(TooLargeError):
            require_few_items(text.encode("utf-8", "surrogatepass"), limit)


def test_marks_inside_a_text_are_part_of_that_one_value() -> None:
    require_few_items('",:[{,"', 1)
    require_few_items('[",:[{,"]', 2)
    with pytest.raises(TooLargeError):
        require_few_items('[",:[{,"]', 1)


@given(st.text('"\\,[{:a', max_size=60), st.integers(1, 10))
def test_texts_that_are_no_json_are_counted_without_a_defect(text: str, limit: int) -> None:
    try:
        require_few_items(text, limit)
    except TooLargeError:
        return


@pytest.mark.parametrize("bomb", [b"[],", b'"",', b'{"":', b'"\\"",', b'\\"', b'"\\'])
def test_a_megabyte_of_any_small_thing_is_counted_in_one_pass(bomb: bytes) -> None:
    # Whatever goes back over what it has read would not end within this test.
    try:
        require_few_items(b"[" + bomb * 400_000, 10_000)
    except TooLargeError:
        return


@given(values, st.integers(1, 30), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_the_stand_alone_verifier_counts_as_the_program_does(value: object, most: int, signs: tuple[str, str]) -> None:
    try:
        require_few_items(json.dumps(value, separators=signs), most)
    except TooLargeError:
        assert verify_bag.marks(value) >= most
    else:
        assert verify_bag.marks(value) < most or len(json.dumps(value, separators=signs)) <= most


def test_the_stand_alone_verifier_has_the_limit_of_the_program() -> None:
    assert verify_bag.MAX_ITEMS == MAX_ITEMS


def test_nothing_parses_json_from_outside_before_it_is_counted() -> None:
    uncounted = set()
    for folder in ("protocol", "keys", "node", "exchange"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text("utf-8")
            if "json.load" not in text and "validate_json" not in text:
                continue
            for function in ast.walk(ast.parse(text)):
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    called = {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
                    names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
                    source = ast.unparse(function)
                    parses = "json.load" in source or called & {"model_validate_json", "validate_json"}
                    if parses and "require_few_items" not in names:
                        uncounted.add(path.relative_to(ROOT).as_posix())
    # A message's models are given only what was read strictly, and so counted, before.
    assert uncounted - {"protocol/messages/parse.py"} <= OWN_WORDS


def test_a_name_that_stands_twice_is_refused_wherever_it_stands() -> None:
    read = {"a": {"b": 1}, "c": [{"b": 2}]}
    assert json.loads(json.dumps(read), object_pairs_hook=each_name_once) == read
    for twice in ('{"a":1,"a":1}', '{"a":{"b":1,"b":2}}', '[{"c":[{"d":0,"d":0}]}]', '{"a":1,"\\u0061":2}'):
        with pytest.raises(RepeatedNameError):
            json.loads(twice, object_pairs_hook=each_name_once)


def test_that_each_name_stands_once_is_written_in_one_place() -> None:
    """The programs that verify without Comity have their own, and a message also bounds its lists."""
    hooks: dict[str, list[str]] = {}
    for folder in ("protocol", "keys", "node", "exchange"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for found in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(found, ast.keyword) and found.arg == "object_pairs_hook":
                    hooks.setdefault(ast.unparse(found.value), []).append(str(path.relative_to(ROOT)))
    assert set(hooks) == {"each_name_once", "hook", "unique"}
    assert hooks["hook"] == ["protocol/messages/parse.py"]
    assert hooks["unique"] == ["exchange/verifiers/verify_bag.py"]


def test_a_url_is_read_in_one_place() -> None:
    reading = [
        str(path.relative_to(ROOT))
        for folder in ("protocol", "keys", "node", "exchange")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for found in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(found, ast.Expr) and isinstance(found.value, ast.Attribute) and found.value.attr == "port"
    ]
    assert reading == ["keys/transport/urls.py"]

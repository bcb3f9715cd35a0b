"""Message types by their codes: what rules ask says what the classes say, and no model is written down as text."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from protocol.messages.parse import compose_message, parse_message
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema import kinds
from protocol.messages.schema.base import Message, UnknownMessage
from protocol.messages.schema.kinds import OfType, is_request
from protocol.messages.types.assistance import AssistanceRequest
from protocol.messages.types.emergency import EmergencyRequest
from protocol.messages.types.preservation import PreservationRequest

ROOT = Path(__file__).resolve().parents[3]
KINDS = {name: kind for name, kind in vars(kinds).items() if isinstance(kind, OfType)}
EXAMPLES = {path.stem: path for path in (ROOT / "examples" / "messages").glob("*.json")} | {
    "preservation.request": ROOT / "examples" / "preservation-request.json"
}
# Modules whose models are read when they are imported: annotations that are texts would be compiled one by one then.
MODELS = [
    *(ROOT / "protocol" / "messages" / "types").glob("*.py"),
    *(ROOT / "protocol" / "messages" / "schema").rglob("*.py"),
    *(ROOT / "keys" / "directory").glob("*.py"),
    *(ROOT / place for place in ("exchange/settings.py", "node/settings.py", "keys/members/bootstrap.py")),
]


def content_of(code: str) -> bytes:
    """The example of a type, as it is sent."""
    return compose_message(json.loads(EXAMPLES[code].read_text("utf-8"))).content


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_kind_is_that_of_the_class_in_its_brackets(name: str) -> None:
    assert kinds.__annotations__[name] == f"OfType[{MESSAGE_TYPES[KINDS[name].code].__name__}]"


@pytest.mark.parametrize("code", sorted(MESSAGE_TYPES))
def test_a_message_is_of_the_kinds_that_it_is_an_instance_of(code: str) -> None:
    message = parse_message(content_of(code))
    for kind in KINDS.values():
        assert kind(message) is isinstance(message, MESSAGE_TYPES[kind.code])
    assert is_request(message) is isinstance(message, PreservationRequest | AssistanceRequest | EmergencyRequest)


@pytest.mark.parametrize("code", sorted(kind.code for kind in KINDS.values()))
def test_a_message_that_is_not_read_in_full_is_of_no_kind(code: str) -> None:
    newer = parse_message(json.dumps({**json.loads(content_of(code)), "schema_version": 900_000}).encode())
    unknown = UnknownMessage.model_validate_json(content_of(code), context={"newer": True})
    assert not any(kind(unknown) for kind in KINDS.values())
    assert not any(kind(nothing) for kind in KINDS.values() for nothing in (None, code, Message))
    assert [kind.code for kind in KINDS.values() if kind(newer)] == [code]  # all of its fields are known


def test_every_type_has_its_own_code_and_no_type_is_a_kind_of_another_one() -> None:
    for code, model in MESSAGE_TYPES.items():
        assert code == model.TYPE
        assert not any(issubclass(model, other) for other in MESSAGE_TYPES.values() if other is not model)
    assert "no.such-type" not in MESSAGE_TYPES
    assert MESSAGE_TYPES.get("no.such-type") is None


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_annotations_of_models_are_no_texts(path: Path) -> None:
    tree = ast.parse(path.read_bytes())
    models = {"BaseModel", "Part", "Message", "Reply", "_Frozen", "_Strict", "_Section"}
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    if not any(isinstance(base, ast.Name) and base.id in models for node in classes for base in node.bases):
        return
    imports = [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert "__future__" not in imports

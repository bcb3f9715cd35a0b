"""Empty drafts: every field that a type must carry, ready to be filled in."""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache
from typing import Any

from protocol.encoding.phrase import phrase
from protocol.errors import UsageError
from protocol.messages.parse import json_schema
from protocol.messages.registry import MESSAGE_TYPES

# The desk fills these when it sends.
_OWN = frozenset({"id", "from", "sent_at", "schema_version", "thread"})


def empty_draft(message_type: str) -> dict[str, Any]:
    """A draft of ``message_type`` with every required field empty; raises :class:`UsageError` for another type."""
    schema = _schema(message_type)
    draft = _empty(schema, schema, depth=0)
    draft["type"] = message_type
    return {"type": draft.pop("type"), **{name: value for name, value in draft.items() if name not in _OWN}}


def empty_field(message_type: str, field: str) -> Any:
    """What an empty draft has in a dotted field of the type, also in an optional one; None where there is no such one.

    Raises :class:`UsageError` for an unknown type.
    """
    schema = root = _schema(message_type)
    for part in field.split("."):
        schema = _objects_first(schema, root)
        inner = schema.get("items") if part.isdigit() else schema.get("properties", {}).get(part)
        if inner is None:
            return None
        schema = inner
    return _empty(_objects_first(schema, root), root, depth=0)


def _objects_first(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """What a schema refers to; of several choices the first."""
    while "$ref" in schema or "anyOf" in schema or "oneOf" in schema or "allOf" in schema:
        if "$ref" in schema:
            schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
        else:
            schema = next(schema[choice] for choice in ("anyOf", "oneOf", "allOf") if choice in schema)[0]
    return schema


def _schema(message_type: str) -> dict[str, Any]:
    """The schema of a type, which nobody changes."""
    if message_type not in MESSAGE_TYPES:
        raise UsageError(
            phrase(
                "there is no message type {type}; known: {names}",
                type=message_type,
                names=", ".join(sorted(MESSAGE_TYPES)),
            )
        )
    return _made_schema(message_type)


# It takes tens of ms to be made, and a form asks for a field of it many times.
_made_schema = lru_cache(maxsize=8)(json_schema)


def _empty(schema: dict[str, Any], root: dict[str, Any], depth: int) -> Any:
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if "const" in schema:
        # A declaration is made by a person, never by an empty form.
        return False if schema["const"] is True else schema["const"]
    if "default" in schema and schema["default"] is not None:
        return deepcopy(schema["default"])
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return _empty(schema[choice][0], root, depth)
    kind = schema.get("type")
    if kind == "object":
        return {
            name: _empty(part, root, depth + 1)
            for name, part in schema.get("properties", {}).items()
            if name in schema.get("required", ()) or part.get("x-asked-for")
        }
    if kind == "array":
        return [_empty(schema["items"], root, depth + 1)] if schema.get("minItems", 0) and "items" in schema else []
    return {"boolean": False, "integer": 0, "number": 0}.get(str(kind), "")

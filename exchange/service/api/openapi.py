"""The OpenAPI 3.1 document of the local API, made from what the handlers declare.

``docs/desk-api.json`` is that document: ``comity desk api --out docs/desk-api.json``.
"""

from __future__ import annotations

import re
from typing import Any

from exchange.service.api import _cases, _drafting, _events, _evidence, _messages, _office, _replies
from exchange.service.api.declared import Declared
from exchange.service.api.shapes import Shapes
from protocol.codes import load_codes

VERSION = "1.0.0"
ENDPOINTS: tuple[Declared, ...] = (
    *_office.ENDPOINTS,
    *_messages.ENDPOINTS,
    *_replies.ENDPOINTS,
    *_evidence.ENDPOINTS,
    *_drafting.ENDPOINTS,
    *_cases.ENDPOINTS,
    *_events.ENDPOINTS,
)
_PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "a stable code of docs/protocol.md"},
        "field": {"type": "string", "description": "what was given that the refusal is about, where it is one thing"},
        "problems": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("field", "rule", "text")},
                "required": ["field", "rule", "text"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["type", "title", "status", "detail", "code"],
}
_ID = {"minLength": 4, "maxLength": 64}
_NAME = {"minLength": 1, "maxLength": 200}
# All that a schema of a parameter says besides its words. How long one is, the line of a request bounds.
_OF_VALUES = frozenset({"type", "format", "pattern", "enum", "const", "minimum", "maximum", "minLength", "items"})
_LENGTHS = dict.fromkeys(("message", "draft", "entry", "shift"), _ID)
_HEADERS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "Comity-Officer",
        "The officer who acts, of those who are signed in here; else whoever signed in first.",
        {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,31}$"},
    ),
    (
        "Comity-Purpose",
        "Why: a code of the list record_purpose; it stands in the processing log.",
        {"type": "string", "enum": [one.code for one in load_codes("record_purpose").entries]},
    ),
    (
        "Comity-Reason",
        "Why, in one line of words; it stands in the processing log.",
        {"type": "string", "minLength": 1, "maxLength": 200},
    ),
)
_KEYED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("Comity-Attach", "Files of this machine that go with it: a JSON list of absolute paths.", {"type": "string"}),
    (
        "Idempotency-Key",
        "The caller's own name for this act: asked for again, it is done once.",
        {"type": "string", "pattern": "^[!-~]{1,128}$"},
    ),
)
_STREAMED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("Last-Event-ID", "The number of the last event that was seen.", {"type": "string"}),
)


def document() -> dict[str, Any]:
    """The document."""
    shapes = Shapes()
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, shapes)
    paths["/v1/openapi.json"] = {
        "get": {
            "operationId": "getOpenapi",
            "summary": "This document.",
            "responses": {"200": _answer("The document.", "application/json", {"type": "object"}), **_REFUSED},
        }
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Comity: the desk's local API",
            "version": VERSION,
            "description": "HTTP over the Unix socket of a running desk. docs/desk-api.md says who may call it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://desk", "description": "the host is of no matter on a Unix socket"}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "parameters": _headers(),
            "schemas": {"Problem": _PROBLEM, **dict(sorted(shapes.named.items()))},
        },
        "security": [{}],
    }


def schema_of(endpoint: Declared) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The schema of what an endpoint gives, and the named schemas that it refers to."""
    if endpoint.answer is None:
        return None
    shapes = Shapes()
    return shapes.of(endpoint.answer), shapes.named


def _operation(endpoint: Declared, shapes: Shapes) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _name(endpoint),
        "summary": endpoint.about,
        "parameters": [*_parameters(endpoint)],
        "responses": {"200": _of_answer(endpoint, shapes), **_REFUSED},
    }
    if endpoint.commands:
        operation["x-comity-commands"] = list(endpoint.commands)
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": bool(endpoint.body.model_fields),
            "content": {"application/json": {"schema": shapes.body(endpoint.body)}},
        }
    return operation


def _parameters(endpoint: Declared) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", **_LENGTHS.get(name, _NAME)}}
        for name in re.findall(r"{(\w+)}", endpoint.path)
    ]
    read = endpoint.read_query.model_json_schema() if endpoint.read_query is not None else {}
    for query in endpoint.query:
        schema: dict[str, Any] = {"type": query.kind}
        if query.kind == "integer":
            schema["minimum"] = 0 if query.most is None else 1
            if query.most is not None:
                schema["maximum"] = query.most
        if query.kind == "array":
            schema["items"] = {"type": "string"}
        schema |= _as_read(read.get("properties", {}).get(query.name, {}))
        one = {"name": query.name, "in": "query", "description": query.about, "schema": schema}
        found.append({**one, "required": True} if query.needed else one)
    headers = [*_HEADERS]
    if endpoint.keyed:
        headers += _KEYED
    if endpoint.media_type == "text/event-stream":
        headers += _STREAMED
    return found + [{"$ref": f"#/components/parameters/{name}"} for name, _about, _schema in headers]


def _headers() -> dict[str, Any]:
    """Each header once, by its name."""
    return {
        name: {"name": name, "in": "header", "description": about, "schema": dict(schema)}
        for name, about, schema in (*_HEADERS, *_KEYED, *_STREAMED)
    }


def _as_read(member: dict[str, Any]) -> dict[str, Any]:
    """What the model that reads a parameter says of its values: a parameter that is left out is no value of it."""
    values = [one for one in member.get("anyOf", [member]) if one.get("type") != "null"]
    found = values[0] if len(values) == 1 else {}
    return {name: value for name, value in found.items() if name in _OF_VALUES and "$ref" not in str(value)}


def _of_answer(endpoint: Declared, shapes: Shapes) -> dict[str, Any]:
    schema = {"type": "string"} if endpoint.answer is None else shapes.of(endpoint.answer)
    if endpoint.answer is None and not endpoint.media_type.startswith("text/"):
        schema = {}
    return _answer("Done.", endpoint.media_type, schema)


def _answer(about: str, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": about, "content": {media_type: {"schema": schema}}}


def _name(endpoint: Declared) -> str:
    parts = [part.strip("{}") for part in endpoint.path.split("/")[2:]]
    return endpoint.method.lower() + "".join(part.capitalize() for part in parts)


_REFUSED = {
    "default": _answer(
        "Refused: a problem document (RFC 9457) with the desk's code.",
        "application/problem+json",
        {"$ref": "#/components/schemas/Problem"},
    )
}

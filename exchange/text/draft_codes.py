"""Codes in the place of words, in a draft: every field that a code list belongs to may hold what a code is called.

Words that are not understood stay as they are, and the check of the draft refuses them with the values that the list
has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from exchange.text.code_words import find_code
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.fields import CodeOf
from protocol.messages.schema.parts import Offence

_TYPES = "message_type"


def with_codes(draft: Mapping[str, Any], message_type: str | None = None) -> dict[str, Any]:
    """``draft`` with codes in the place of words, in every field that a code list belongs to."""
    written = dict(draft)
    if isinstance(kind := written.get("type"), str) and kind not in MESSAGE_TYPES:
        written["type"] = find_code(_TYPES, kind) or kind
    model = MESSAGE_TYPES.get(message_type or str(written.get("type")))
    return written if model is None else _of_part(model, written)


def codes_of_field(model: type[BaseModel], name: str, part: Mapping[str, Any]) -> str | None:
    """The code list of the field ``name`` of a part, where one belongs to it."""
    if issubclass(model, Offence) and name == "code":
        published = part.get("list")
        return f"offence_{published}" if published in ("budapest", "un", "iccs") else None
    return _list_of(model, name)


# --- Inside ---


# A draft has thousands of parts of the same few models: what a model says of its fields is looked up once.
@cache
def _list_of(model: type[BaseModel], name: str) -> str | None:
    field = model.model_fields[name]
    return next((item.name for item in field.metadata if isinstance(item, CodeOf)), None) or _code_in(field.annotation)


@cache
def _shown_names(model: type[BaseModel]) -> tuple[tuple[str, str], ...]:
    """(the name in a draft, the name of the field), in the order of the model."""
    return tuple((field.alias or name, name) for name, field in model.model_fields.items())


@cache
def _models_of(model: type[BaseModel], name: str) -> tuple[type[BaseModel], ...]:
    return tuple(_models(model.model_fields[name].annotation))


@cache
def _by_kind(model: type[BaseModel], name: str) -> Mapping[str, type[BaseModel]]:
    """The models of a field by what ``kind`` is in each."""
    models = reversed(_models_of(model, name))
    return {kind: one for one in models for kind in get_args(one.model_fields["kind"].annotation)}


def _of_part(model: type[BaseModel], part: Mapping[str, Any]) -> dict[str, Any]:
    # In the order of the model: which list a code is of may hang on a field before it.
    written = dict(part)
    for shown, name in _shown_names(model):
        if shown in written:
            codes = codes_of_field(model, name, written)
            written[shown] = _of_value(model, name, codes, written[shown])
    return written


def _of_value(model: type[BaseModel], name: str, codes: str | None, value: Any) -> Any:
    if isinstance(value, str):
        return (find_code(codes, value) or value) if codes is not None else value
    if isinstance(value, list):
        return [_of_value(model, name, codes, item) for item in value]
    if isinstance(value, Mapping):
        inner = _model_for(model, name, value)
        return value if inner is None else _of_part(inner, value)
    return value


def _model_for(model: type[BaseModel], name: str, value: Mapping[str, Any]) -> type[BaseModel] | None:
    """The model of a part: the one there is, or of several kinds the one that ``kind`` names."""
    models = _models_of(model, name)
    if len(models) < 2:
        return models[0] if models else None
    kind = value.get("kind")
    kind = find_code("identifier_type", kind) or kind if isinstance(kind, str) else None
    return _by_kind(model, name).get(kind) if isinstance(kind, str) else None


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for inner in get_args(annotation):
        yield from _models(inner)


def _code_in(annotation: Any) -> str | None:
    for inner in get_args(annotation):
        found = inner.name if isinstance(inner, CodeOf) else _code_in(inner)
        if found is not None:
            return found
    return None

"""Turns validation errors into problems: (field path, rule by its legal name, text), the treaty's letters first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from protocol.encoding.phrase import phrase
from protocol.messages.schema.fields import Legal, text_of

Problem = tuple[str, str, str]

MAX_PROBLEMS = 2000
_DEFAULT_RULE = "message format"
_EMPTY = frozenset({"missing", "blank"})
# Problems that a field which was left out has with what stands in others.
_ABOUT_OTHERS = frozenset({"disclosure", "attachment"})
_READABLE = re.compile(r"[A-Za-z0-9_.-]{1,64}")

# Our words for pydantic's error types: they never repeat the refused value.
_TEXTS = {
    "extra_forbidden": "this field is not known in this version of the message type",
    "union_tag_invalid": "this is not a kind of identifier",
    "union_tag_not_found": "add the kind of the identifier",
    "uuid_parsing": "write the identifier as a UUID",
    "uuid_type": "write the identifier as a UUID",
    "json_invalid": "this is not JSON",
    "literal_error": "this value is not allowed here",
    "bool_type": "write true or false",
    "int_type": "write a whole number",
    "string_type": "write text",
    "model_type": "write an object with named fields",
    "tuple_type": "write a list",
    "string_too_long": "the text is too long",
    "too_short": "the list is too short",
    "greater_than_equal": "the number is too small",
    "less_than_equal": "the number is too large",
    "string_pattern_mismatch": "the text does not have the form it needs",
    "is_instance_of": "the value is not of the kind it needs",
    "recursion_loop": "the object contains itself",
}


def problems_of(error: ValidationError, model: type[BaseModel]) -> tuple[Problem, ...]:
    """All problems of ``error``, raised while reading a ``model``: enumerated elements first, in their order."""
    ranked: list[tuple[int, Problem]] = []
    for detail in error.errors(include_url=False):
        if len(ranked) >= MAX_PROBLEMS:
            break
        ranked.extend(_problems_of_one(detail, model))
    # A stable sort: within a rank the order of the fields in the model remains.
    ranked.sort(key=lambda entry: entry[0] or len(ranked) + 100)
    return tuple(dict.fromkeys(entry for _, entry in ranked))


def _problems_of_one(detail: ErrorDetails, model: type[BaseModel]) -> Iterator[tuple[int, Problem]]:
    if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
        # pydantic counts only the items that were valid; what is wrong with the others is reported for each.
        return
    path, legal, annotation = _walk(detail["loc"], model)
    rule = legal.rule if legal else _DEFAULT_RULE
    rank = legal.rank if legal else 0
    if _is_empty(detail):
        yield rank, (path, rule, legal.missing if legal else Legal("").missing)
        yield from _implied(path, annotation, rule)
    else:
        yield rank, (path, rule, _text(detail))


def _text(detail: ErrorDetails) -> str:
    most = detail.get("ctx", {}).get("max_length")
    if detail["type"] == "too_long" and most is not None:
        if len(detail["loc"]) == 1:
            return phrase("the list is too long: one message holds {most}; split it over several messages", most=most)
        return phrase("the list is too long: it has no more here than {most}", most=most)
    return _TEXTS.get(detail["type"], text_of(detail))


def _is_empty(detail: ErrorDetails) -> bool:
    """Whether nothing was given: no field, null, an empty text, an empty list, or false where only true declares."""
    if detail["type"] in _EMPTY:
        return True
    if detail["type"] in _ABOUT_OTHERS:
        return False
    value = detail["input"]
    return value is None or value in ("", []) or (detail["type"] == "literal_error" and value is False)


def _implied(path: str, annotation: Any, rule: str) -> Iterator[tuple[int, Problem]]:
    """The other enumerated elements that live inside a field that is missing as a whole."""
    many = _is_sequence(annotation)
    for nested in _models_in(annotation):
        for name, field in nested.model_fields.items():
            legal = _legal_of(field)
            if legal and legal.rank and legal.rule != rule:
                inside = f"{path}.0" if many else path
                yield legal.rank, (f"{inside}.{name}", legal.rule, legal.missing)


def _walk(loc: Sequence[int | str], model: type[BaseModel]) -> tuple[str, Legal | None, Any]:
    """Follow an error's location: its readable path, the nearest legal name on the way, and the last annotation."""
    names: list[str] = []
    legal: Legal | None = None
    annotation: Any = model
    for step in loc:
        if isinstance(step, int):
            names.append(str(step))
            annotation = _item_of(annotation)
            continue
        # A union is followed by the tag of one of its kinds, whatever the fields of the others are called.
        if len(list(_models_in(annotation))) > 1 and (tagged := _tagged(annotation, step)) is not None:
            annotation = tagged
        elif (found := _field(annotation, step)) is not None:
            field, annotation = found
            own = _legal_of(field)
            legal = _named_within(legal, own)
            names.append(step)
        else:
            legal = Legal(legal.rule) if legal else None
            names.append(step if _READABLE.fullmatch(step) else "(unreadable name)")
            annotation = None
    return ".".join(names) or "message", legal, annotation


def _named_within(around: Legal | None, own: Legal | None) -> Legal | None:
    """The legal name of a field: its own, or, for a part of what is asked for, that of the field around it."""
    if own is not None and (own.rule or around is None):
        return own if own.rule else Legal(_DEFAULT_RULE, own.missing)
    if around is None:
        return None
    return Legal(around.rule, own.missing if own else Legal("").missing, around.rank)


def _field(annotation: Any, step: str) -> tuple[FieldInfo, Any] | None:
    for nested in _models_in(annotation):
        for name, field in nested.model_fields.items():
            if (field.alias or name) == step:
                return field, field.annotation
    return None


def _tagged(annotation: Any, tag: str) -> type[BaseModel] | None:
    """The model of a union whose ``kind`` is ``tag``: unions of messages have no other tag."""
    return next(
        (nested for nested in _models_in(annotation) if tag in get_args(nested.model_fields["kind"].annotation)), None
    )


def _legal_of(field: FieldInfo) -> Legal | None:
    return next((entry for entry in field.metadata if isinstance(entry, Legal)), None)


def _strip(annotation: Any) -> Any:
    """The annotation without what is annotated, and without the None of an optional field."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, UnionType):
            given = [part for part in get_args(annotation) if part is not NoneType]
            if len(given) != 1:
                return annotation
            annotation = given[0]
        else:
            return annotation


def _is_sequence(annotation: Any) -> bool:
    return get_origin(_strip(annotation)) is tuple


def _item_of(annotation: Any) -> Any:
    inner = _strip(annotation)
    return get_args(inner)[0] if get_origin(inner) is tuple else None


def _models_in(annotation: Any) -> Iterable[type[BaseModel]]:
    inner = _strip(annotation)
    if isinstance(inner, type) and issubclass(inner, BaseModel):
        yield inner
    elif get_origin(inner) in (Union, UnionType, tuple):
        for part in get_args(inner):
            if part not in (NoneType, Ellipsis):
                yield from _models_in(part)

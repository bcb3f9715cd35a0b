"""Templates: requests that are written often, kept once, with placeholders for what changes.

A template is a JSON or YAML object: ``template`` (its name), ``version``, ``type`` (of the message), ``title``,
``fields`` (as in a draft) and ``placeholders`` (each name with what it means). ``{{name}}`` in a text of the fields
stands for the placeholder's value; a text that is nothing else becomes the value as it is, a number or a list too.
Templates that the office imported are kept in the home's ``templates`` folder and win over shipped ones of the name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from exchange.text.documents import read_object
from keys.directory.cards import Line
from keys.local.files import write_file
from protocol.encoding.phrase import joined, phrase
from protocol.errors import MalformedError, NotFoundError, UsageError
from protocol.messages.registry import MESSAGE_TYPES

_NAME = r"^[a-z][a-z0-9-]{0,63}$"
_PLACEHOLDER = re.compile(r"\{\{\s*([a-z][a-z0-9_]{0,63})\s*\}\}")
SHIPPED, OWN = "shipped", "own"
_FOLDER = "exchange.messaging.drafting.shipped_templates"


class Template(BaseModel):
    """One template."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    template: Annotated[str, Field(pattern=_NAME)]
    version: Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
    type: Annotated[str, Field(max_length=64)]
    title: Line
    fields: dict[str, Any]
    placeholders: Annotated[dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")], Line], Field(max_length=100)]

    @model_validator(mode="after")
    def _fits(self) -> Template:
        if self.type not in MESSAGE_TYPES:
            raise ValueError(phrase("there is no message type {type}", type=self.type))
        unknown = sorted(set(self.fields) - _field_names(self.type))
        if unknown:
            raise ValueError(phrase("{type} has no field {fields}", type=self.type, fields=", ".join(unknown)))
        used = {name for text in _texts(self.fields) for name in _PLACEHOLDER.findall(text)}
        for name in sorted(used ^ self.placeholders.keys()):
            if name in used:
                raise ValueError(phrase("the placeholder {name} is not explained", name=name))
            raise ValueError(phrase("the placeholder {name} is used nowhere", name=name))
        return self


@dataclass(frozen=True, slots=True)
class Filled:
    """A draft made from a template, and the placeholders that still have no value, with what they mean."""

    draft: dict[str, Any]
    missing: Mapping[str, str]


def parse_template(content: bytes, name: str) -> Template:
    """The template in a file's ``content``; raises :class:`MalformedError` with all that is wrong."""
    try:
        return Template.model_validate(read_object(content, name))
    except ValidationError as problem:
        wrong = joined(_told(error) for error in problem.errors(include_input=False))
        raise MalformedError(phrase("{name} is not a template: {why}", name=name, why=wrong)) from None


def _told(error: Any) -> str:
    """What is wrong, behind the field: the words of a check of ours as it said them, else pydantic's."""
    own = error.get("ctx", {}).get("error")
    why = own.args[0] if isinstance(own, ValueError) and own.args else error["msg"]
    return phrase("{field}: {why}", field=".".join(map(str, error["loc"])) or "template", why=why)


def all_templates(folder: Path) -> list[tuple[str, Template]]:
    """Every template by name, each with where it is from: ``shipped`` or ``own``."""
    found = {template.template: (SHIPPED, template) for template in _shipped()}
    found |= {template.template: (OWN, template) for template in _own(folder)}
    return [found[name] for name in sorted(found)]


def find_template(folder: Path, name: str) -> Template:
    """The template of this name; raises :class:`NotFoundError`."""
    templates = {template.template: template for _, template in all_templates(folder)}
    if name not in templates:
        raise NotFoundError(
            phrase("there is no template {name}; known: {names}", name=name, names=", ".join(templates))
        )
    return templates[name]


def keep_template(folder: Path, template: Template) -> Path:
    """Keep a template in the home; raises :class:`UsageError` when a newer version of it is kept there."""
    path = folder / f"{template.template}.json"
    for kept in _own(folder):
        if kept.template == template.template and kept.version > template.version:
            raise UsageError(
                phrase(
                    "version {version} of {name} is kept here, and this is {new}",
                    version=kept.version,
                    name=template.template,
                    new=template.version,
                )
            )
    folder.mkdir(mode=0o700, exist_ok=True)
    write_file(path, to_bytes(template))
    return path


def to_bytes(template: Template) -> bytes:
    """The template as JSON."""
    return (json.dumps(template.model_dump(), ensure_ascii=False, indent=2) + "\n").encode()


def fill(template: Template, values: Mapping[str, Any], case: Mapping[str, Any] | None = None) -> Filled:
    """The draft: the template's fields with ``values`` in their places, under the fields of ``case``.

    A field whose placeholder has no value is left out, so that the check of the draft names it. Raises
    :class:`UsageError` for a value that the template has no placeholder for.
    """
    unknown = sorted(values.keys() - template.placeholders.keys())
    if unknown:
        raise UsageError(
            phrase("the template {name} has no placeholder {names}", name=template.template, names=", ".join(unknown))
        )
    draft: dict[str, Any] = {"type": template.type, **(_filled(template.fields, values) or {})}
    merged = merge(draft, case or {})
    missing = {name: text for name, text in template.placeholders.items() if name not in values}
    return Filled(merged, missing)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``below`` with ``above`` laid over it: objects field by field, anything else as a whole."""
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        both = isinstance(under, Mapping) and isinstance(value, Mapping)
        merged[name] = merge(under, value) if both else value  # type: ignore[arg-type]
    return merged


# --- Inside ---


def _shipped() -> Iterator[Template]:
    for file in resources.files(_FOLDER).iterdir():
        if file.name.endswith(".json"):
            yield parse_template(file.read_bytes(), file.name)


def _own(folder: Path) -> Iterator[Template]:
    for path in sorted(folder.glob("*.json")):
        yield parse_template(path.read_bytes(), path.name)


def _field_names(message_type: str) -> set[str]:
    model = MESSAGE_TYPES[message_type]
    return {field.alias or name for name, field in model.model_fields.items()}


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    """The value with its placeholders replaced; None where one of a text has no value."""
    if isinstance(value, str):
        whole = _PLACEHOLDER.fullmatch(value)
        if whole:
            return values.get(whole[1])
        if any(name not in values for name in _PLACEHOLDER.findall(value)):
            return None
        return _PLACEHOLDER.sub(lambda match: str(values[match[1]]), value)
    if isinstance(value, Mapping):
        filled = {name: _filled(part, values) for name, part in value.items()}
        return {name: part for name, part in filled.items() if part is not None}
    if isinstance(value, list):
        return [part for part in (_filled(part, values) for part in value) if part is not None]
    return value

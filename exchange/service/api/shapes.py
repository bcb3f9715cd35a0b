"""JSON Schema (2020-12) of what the API takes and gives, made from the types that the handlers declare.

A shape is a Python type as :func:`exchange.text.objects.plain` turns it into JSON, a mapping of names to shapes (an
object with exactly these names, those that end with ``?`` perhaps), or a list with one shape (an array of it).
"""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict
from uuid import UUID

from pydantic import BaseModel

from protocol.address import Address

Shape = Any
_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    bytes: {"type": "string", "description": "hexadecimal"},
    datetime: {"type": "string", "format": "date-time"},
    UUID: {"type": "string", "format": "uuid"},
    Address: {"type": "string", "description": "a contact point, such as 24-7@fr"},
    type(None): {"type": "null"},
    Any: {},
}


class NamedShape(dict[str, Any]):
    """An object's shape that the document names, as several resources give it."""

    def __init__(self, name: str, members: Mapping[str, Shape]) -> None:
        super().__init__(members)
        self.name = name


class Shapes:
    """Makes schemas; dataclasses and enumerations are named once, in ``named``, under ``#/components/schemas``."""

    def __init__(self) -> None:
        self.named: dict[str, dict[str, Any]] = {}

    def of(self, shape: Shape) -> dict[str, Any]:
        """The schema of a shape."""
        if isinstance(shape, NamedShape):
            if shape.name not in self.named:
                self.named[shape.name] = {}
                self.named[shape.name] = self._object({name: self.of(part) for name, part in shape.items()})
            return {"$ref": f"#/components/schemas/{shape.name}"}
        if isinstance(shape, Mapping):
            return self._object({name: self.of(part) for name, part in shape.items()})
        if isinstance(shape, list):
            return {"type": "array", "items": self.of(shape[0])}
        if shape in _PLAIN:
            return dict(_PLAIN[shape])
        origin = get_origin(shape)
        if origin is not None:
            return self._generic(origin, get_args(shape))
        if isinstance(shape, type):
            return self._class(shape)
        return {}

    def body(self, model: type[BaseModel]) -> dict[str, Any]:
        """The schema of a request's body."""
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        self.named.update(schema.pop("$defs", {}))
        return schema

    def _generic(self, origin: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        if origin in (Annotated, NotRequired):
            return self.of(arguments[0])
        if origin in (Union, types.UnionType):
            return {"anyOf": [self.of(one) for one in arguments]}
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
            return {"type": "array", "prefixItems": [self.of(one) for one in arguments], "items": False}
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(arguments[1])}
        if isinstance(origin, type) and issubclass(origin, Iterable):
            return {"type": "array", "items": self.of(arguments[0])}
        return {}

    def _class(self, kind: type) -> dict[str, Any]:
        name = kind.__name__
        if issubclass(kind, Enum):
            self.named.setdefault(name, {"type": "string", "enum": [str(one.value) for one in kind]})
        elif is_dataclass(kind):
            if name not in self.named:
                self.named[name] = {}  # it may name itself
                hints = hints_of(kind)
                self.named[name] = self._object({one.name: self.of(hints[one.name]) for one in fields(kind)})
        elif is_typeddict(kind):
            if name not in self.named:
                self.named[name] = {}
                whole = get_type_hints(kind, localns=_for_type_checkers(kind.__module__), include_extras=True)
                left_out = {key for key, hint in whole.items() if get_origin(hint) is NotRequired}
                parts = {f"{key}?" if key in left_out else key: self.of(hint) for key, hint in whole.items()}
                self.named[name] = self._object(parts)
        elif issubclass(kind, Sequence | Mapping):
            return {}
        else:
            return {}
        return {"$ref": f"#/components/schemas/{name}"}

    @staticmethod
    def _object(properties: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {name.removesuffix("?"): schema for name, schema in properties.items()},
            "required": [name for name in properties if not name.endswith("?")],
            "additionalProperties": False,
        }


def hints_of(declared: Any) -> dict[str, Any]:
    """The types that a class or function declares, those too that its module imports for type checkers alone."""
    whole = inspect.unwrap(declared) if inspect.isfunction(declared) else declared
    return get_type_hints(whole, localns=_for_type_checkers(whole.__module__))


@cache
def _for_type_checkers(module: str) -> dict[str, Any]:
    """What a module imports for type checkers alone, by name: its dataclasses have fields of these."""
    found: dict[str, Any] = {}
    for block in ast.parse(inspect.getsource(import_module(module))).body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for one in (node for node in block.body if isinstance(node, ast.ImportFrom) and node.module):
                names = {alias.asname or alias.name: alias.name for alias in one.names}
                given = import_module(str(one.module))
                found |= {name: getattr(given, there) for name, there in names.items()}
    return found

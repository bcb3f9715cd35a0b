"""Reading what a person writes as JSON or YAML into the same plain values, strictly.

YAML is read by its JSON-compatible core: no anchors or aliases (a small file cannot grow), no name twice, and nothing
guessed: dates and times stay text, ``no`` and ``12:30`` are text too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from pathlib import PurePath
from typing import Any

import yaml

from exchange.text.text_files import decoded
from protocol.encoding.json_names import each_name_once
from protocol.encoding.phrase import phrase
from protocol.errors import MalformedError

YAML_SUFFIXES = frozenset({".yaml", ".yml"})


class _Loader(yaml.SafeLoader):
    """The safe loader with the scalars of YAML 1.2's JSON schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's way

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.constructor.ConstructorError(
                None, None, phrase("anchors and aliases are not used"), event.start_mark
            )
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [key.value for key, _ in node.value]
        if len(set(map(str, names))) != len(names):
            raise yaml.constructor.ConstructorError(None, None, phrase("a name stands twice"), node.start_mark)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^-?(?:0|[1-9][0-9]*)\.[0-9]+$"), list("-0123456789")
)


def read_object(content: bytes, name: str) -> dict[str, Any]:
    """The object in ``content``; ``name`` is its file's name, whose ending says whether it is YAML.

    Raises :class:`MalformedError` with the place of what is wrong.
    """
    is_yaml = PurePath(name).suffix.lower() in YAML_SUFFIXES
    try:
        text = decoded(content, name)
        value = yaml.load(text, _Loader) if is_yaml else json.loads(text, object_pairs_hook=each_name_once)  # noqa: S506
    except MalformedError:
        raise
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        why = getattr(problem, "problem", None) or phrase("it cannot be read")
        text = (
            phrase("{name} is not YAML: {why}", name=name, why=why)
            if mark is None
            else phrase("{name} is not YAML in line {line}: {why}", name=name, line=mark.line + 1, why=why)
        )
        raise MalformedError(text) from None
    except (ValueError, RecursionError) as problem:
        raise MalformedError(
            phrase("{name} is not {value}: {why}", name=name, value="YAML" if is_yaml else "JSON", why=problem)
        ) from None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise MalformedError(phrase("{name} does not hold one object with names", name=name))
    return value

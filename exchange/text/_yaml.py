"""YAML as documents are written in it: what JSON can say, each name once, nothing that stands for something else."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from protocol.encoding.phrase import phrase
from protocol.errors import MalformedError


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


def load_yaml(text: str, name: str) -> Any:
    """The value of a text; ``name`` is its file's. Raises :class:`MalformedError` with the place of what is wrong."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a safe one
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        why = getattr(problem, "problem", None) or phrase("it cannot be read")
        text = (
            phrase("{name} is not YAML: {why}", name=name, why=why)
            if mark is None
            else phrase("{name} is not YAML in line {line}: {why}", name=name, line=mark.line + 1, why=why)
        )
        raise MalformedError(text) from None

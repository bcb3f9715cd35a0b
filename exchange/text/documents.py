"""Reading what a person writes as JSON or YAML into the same plain values, strictly.

YAML is read by its JSON-compatible core: no anchors or aliases (a small file cannot grow), no name twice, and nothing
guessed: dates and times stay text, ``no`` and ``12:30`` are text too.
"""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

from exchange.text.text_files import decoded
from protocol.encoding.json_names import each_name_once
from protocol.encoding.phrase import phrase
from protocol.errors import MalformedError

YAML_SUFFIXES = frozenset({".yaml", ".yml"})


def read_object(content: bytes, name: str) -> dict[str, Any]:
    """The object in ``content``; ``name`` is its file's name, whose ending says whether it is YAML.

    Raises :class:`MalformedError` with the place of what is wrong.
    """
    is_yaml = PurePath(name).suffix.lower() in YAML_SUFFIXES
    try:
        text = decoded(content, name)
        if is_yaml:
            from exchange.text._yaml import load_yaml  # most drafts are JSON, and start a program without it

            value = load_yaml(text, name)
        else:
            value = json.loads(text, object_pairs_hook=each_name_once)
    except MalformedError:
        raise
    except (ValueError, RecursionError) as problem:
        raise MalformedError(
            phrase("{name} is not {value}: {why}", name=name, value="YAML" if is_yaml else "JSON", why=problem)
        ) from None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise MalformedError(phrase("{name} does not hold one object with names", name=name))
    return value

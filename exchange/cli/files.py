"""Files that a person gives to a command: drafts, answers, bootstrap bundles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from protocol.errors import MalformedError, TooLargeError, UsageError

MAX_FILE_BYTES = 4 * 1024 * 1024


def read_file(path: Path) -> bytes:
    """The file's bytes; raises :class:`UsageError` or :class:`TooLargeError`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as problem:
        raise UsageError(f"cannot read {path}: {problem.strerror}") from problem
    if len(content) > MAX_FILE_BYTES:
        raise TooLargeError(f"{path} has more than {MAX_FILE_BYTES} bytes")
    return content


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in the file; raises :class:`MalformedError` and relatives."""
    try:
        value = json.loads(read_file(path))
    except (ValueError, RecursionError) as problem:
        raise MalformedError(f"{path} is not JSON: {problem}") from None
    if not isinstance(value, dict):
        raise MalformedError(f"{path} does not hold a JSON object")
    return value

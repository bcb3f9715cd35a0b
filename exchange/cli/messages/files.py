"""Files that a person gives to a command: drafts, answers, bootstrap bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from exchange.i18n import _
from keys.local.files import PUBLIC_MODE, write_file
from protocol.errors import TooLargeError, UsageError

MAX_FILE_BYTES = 4 * 1024 * 1024


def read_file(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """The file's bytes, at most ``max_bytes``; raises :class:`UsageError` or :class:`TooLargeError`."""
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as problem:
        raise UsageError(_("cannot read {path}: {why}").format(path=path, why=problem.strerror)) from problem
    if len(content) > max_bytes:
        raise TooLargeError(f"{path} has more than {max_bytes} bytes")
    return content


def write_out(path: Path, content: bytes, mode: int = PUBLIC_MODE) -> None:
    """Write a file that a person asked for, durably, in the place of one that is there; raises :class:`UsageError`."""
    try:
        write_file(path, content, mode=mode)
    except OSError as problem:
        raise UsageError(f"cannot write {path}: {problem.strerror}") from problem


def read_document(path: Path) -> dict[str, Any]:
    """The object in a file of JSON, or of YAML if its name says so; raises :class:`MalformedError` and relatives."""
    from exchange.text.documents import read_object

    return read_object(read_file(path), path.name)

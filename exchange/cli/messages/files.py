"""Documents that a person gives to a command, and files that a command writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keys.local.files import PUBLIC_MODE, write_file
from keys.local.given_files import FileKind, take
from protocol.errors import UsageError


def write_out(path: Path, content: bytes, mode: int = PUBLIC_MODE) -> None:
    """Write a file that a person asked for, durably, in the place of one that is there; raises :class:`UsageError`."""
    try:
        write_file(path, content, mode=mode)
    except OSError as problem:
        raise UsageError(f"cannot write {path}: {problem.strerror}") from problem


def read_document(path: Path, wanted: FileKind = FileKind.DRAFT) -> dict[str, Any]:
    """The object in a file of JSON, or of YAML if its name says so; raises :class:`WrongFileError` and relatives."""
    from exchange.text.documents import read_object

    return take(path, wanted, lambda content: read_object(content, path.name))

"""Bundles as files: one for each part, written whole or not at all, read back in the order in which they are taken."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keys.local.files import PRIVATE_MODE, write_file
from keys.local.given_files import FileKind, read_given, reading_as
from protocol.bundle import BundlePart, parse_part
from protocol.bundle_sizes import MAX_PART_BYTES
from protocol.errors import UsageError


def write_parts(file: Path, parts: Sequence[bytes]) -> list[Path]:
    """The paths written: ``file``, then ``file.2`` and so on; raises :class:`UsageError`, also when one exists."""
    paths = [file, *(file.with_name(f"{file.name}.{number}") for number in range(2, len(parts) + 1))]
    taken = next((path for path in paths if path.exists()), None)
    if taken is not None:
        raise UsageError(f"{taken} exists; choose another name")
    for path, part in zip(paths, parts, strict=True):
        try:
            write_file(path, part, mode=PRIVATE_MODE)
        except OSError as problem:
            raise UsageError(f"cannot write {path}: {problem.strerror}") from problem
    return paths


def read_parts(paths: Sequence[Path], holder: str | None) -> list[tuple[BundlePart, bytes]]:
    """The parts for ``holder`` (None: for anyone) in ``paths``, parsed and not verified, with their bytes.

    Raises :class:`UsageError`, :class:`WrongFileError` and what :func:`parse_part` raises, for the first that is wrong.
    """
    parts: list[tuple[BundlePart, bytes]] = []
    for path in paths:
        data = read_given(path, FileKind.TRANSFER, max_bytes=MAX_PART_BYTES)
        with reading_as(path, data, FileKind.TRANSFER):
            parts.append((parse_part(data, holder), data))
    return sorted(parts, key=lambda part: (part[0].created, part[0].bundle_id, part[0].number))

"""What a desk shows of evidence files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from exchange.content.verdicts import ScanResult
from exchange.store.files import FileTransfer
from exchange.views import Direction, FileState


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file of a message as a list shows it; ``here``: the sealed file lies on this desk's shelf, whole."""

    number: int
    name: str
    size_bytes: int
    media_type: str
    sha256: str
    sealed: str
    here: bool
    opened: bool
    label: str | None = None
    state: FileState = FileState.LISTED


@dataclass(frozen=True, slots=True)
class MessageFiles:
    """The files of one message, and how far they are. ``files`` is empty where the content was erased."""

    message: UUID
    thread: UUID
    direction: Direction
    transfer: FileTransfer
    files: tuple[FileRow, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that an officer opened: where it lies, as what its message names it, and what the scanners said."""

    path: Path
    attachment: Mapping[str, Any] = field(repr=False)
    message: UUID
    case: UUID
    scan: ScanResult | None = None


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """What a check of one file on the shelf found: None and no ``code`` where it holds."""

    number: int
    name: str
    ok: bool
    code: str | None = None
    detail: str | None = None

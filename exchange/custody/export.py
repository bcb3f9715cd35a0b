"""What an export of files is to hold, and what was exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exchange.content.verdicts import ScanResult
from exchange.custody.bagit import WrittenFile


@dataclass(frozen=True, slots=True)
class ExportWish:
    """What an export is to hold: the files named (none: all that are here), for whom, and what for.

    ``disclose``: the evidence of the message that goes with it holds the content. ``online``: the logs are asked for
    better proofs first.
    """

    to: str | None = None
    purpose: str | None = None
    names: tuple[str, ...] = ()
    disclose: bool = False
    online: bool = True


@dataclass(frozen=True, slots=True)
class ExportedFiles:
    """A bag that was written: its files, what the scanners said of each by its name there, and the entries of the
    processing log in which their custody goes on.
    """

    folder: Path
    files: tuple[WrittenFile, ...]
    scans: Mapping[str, ScanResult] = field(hash=False)
    records: tuple[int, ...] = ()

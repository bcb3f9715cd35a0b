"""What a scanner says of a file: clean, infected, or not scanned. No doubt is taken for clean."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ScanVerdict(StrEnum):
    """What is known of a file after it was given to a scanner."""

    CLEAN = "clean"
    INFECTED = "infected"
    NOT_SCANNED = "not scanned"


@dataclass(frozen=True, slots=True)
class ScanFinding:
    """What one scanner says. ``scanner`` is its name and version by its own word, in printable ASCII.

    ``reason`` is why there is no verdict: ``too-large`` (more than the settings give to a scanner), ``scanner-limit``
    (the scanner looked at a part, or cannot look inside), ``preview-only`` (it looked at the beginning alone),
    ``unreachable``, ``timeout``, ``protocol`` (its answer is none), ``modified`` (it gave back something else and did
    not say why), ``blind`` (it did not find the harmless trial file), ``file-changed``, ``off``.
    ``signature`` is the scanner's name for what it found.
    """

    verdict: ScanVerdict
    scanner: str
    reason: str | None = None
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What all scanners say of a file of that length; the worst finding counts.

    ``sha256`` is of the bytes that every scanner was given, None where none was given all of them.
    """

    finding: ScanFinding
    size_bytes: int
    sha256: bytes | None = None

    @property
    def verdict(self) -> ScanVerdict:
        """The verdict of the finding."""
        return self.finding.verdict

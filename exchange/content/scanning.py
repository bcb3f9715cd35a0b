"""The scanner hook: every file is given to the office's scanners before it is opened or exported.

A scanner sees the plaintext: clamd runs on this machine, behind a Unix socket; an ICAP server runs on this machine, or
is reached by TLS. The verdict is ``clean``, ``infected`` or ``not scanned``, and the office's policy says what follows:
``block`` lets only clean files out, ``warn`` says what was found, ``off`` asks nobody.

A scanner that finds nothing proves little: it may have no signatures at all. So each is shown a harmless trial file
first, which every product knows (EICAR), and one that does not find it says nothing.

Blocking: for a thread of its own.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

from exchange.content._stream import Hashed
from exchange.content.clamd import Clamd
from exchange.content.icap import Icap
from exchange.content.verdicts import ScanFinding, ScanResult, ScanVerdict
from exchange.settings import ScanningSettings
from protocol.errors import FileInfectedError, FileNotScannedError, UsageError

# In two halves: written in one, it would make a scanner find this very file.
TRIAL = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
_NOBODY = "none"  # no scanner was asked
_WORST_FIRST = (ScanVerdict.INFECTED, ScanVerdict.NOT_SCANNED, ScanVerdict.CLEAN)


class Scanner(Protocol):
    """One scanner; its answer is a finding, whatever it does."""

    def scan(self, content: Hashed) -> ScanFinding:
        """What it says of a file that is read as it is given."""
        ...


class Scanning:
    """The scanners of one office, and what it makes of their findings."""

    def __init__(self, settings: ScanningSettings, scanners: Sequence[Scanner] | None = None) -> None:
        self._settings = settings
        self._scanners = tuple(_scanners_of(settings)) if scanners is None else tuple(scanners)

    @property
    def is_on(self) -> bool:
        """Whether files are given to a scanner at all."""
        return self._settings.policy != "off"

    def scan(self, path: Path) -> ScanResult:
        """What the scanners say of a file; raises :class:`UsageError` for what is no regular file."""
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if not self.is_on:
                return ScanResult(ScanFinding(ScanVerdict.NOT_SCANNED, "none", "off"), size)
            if size > self._settings.max_bytes:
                return ScanResult(ScanFinding(ScanVerdict.NOT_SCANNED, _NOBODY, "too-large"), size)
            return self._asked(file, size)

    def require(self, result: ScanResult, name: str = "") -> None:
        """Return if the policy lets a file with that result out, which the refusal calls by ``name``.

        Raises :class:`FileInfectedError`, :class:`FileNotScannedError`.
        """
        if self._settings.policy != "block":
            return
        finding, of_it = result.finding, f"{name}: " if name else ""
        if result.verdict is ScanVerdict.INFECTED:
            raise FileInfectedError(f"{of_it}{finding.scanner} found {finding.signature}")
        if result.verdict is ScanVerdict.NOT_SCANNED and finding.scanner == _NOBODY:
            raise FileNotScannedError(f"{of_it}longer than what the settings give to a scanner ({finding.reason})")
        if result.verdict is ScanVerdict.NOT_SCANNED:
            raise FileNotScannedError(f"{of_it}{finding.scanner} gave no verdict on the whole file ({finding.reason})")

    def _asked(self, file: BinaryIO, size: int) -> ScanResult:
        findings, digests = [], set()
        for scanner in self._scanners:
            file.seek(0)
            content = Hashed(file, size)
            found = _on_trial(scanner) or scanner.scan(content)
            if found.verdict is ScanVerdict.CLEAN and file.read(1):
                found = ScanFinding(ScanVerdict.NOT_SCANNED, found.scanner, "file-changed")
            findings.append(found)
            digests.add(content.digest() if content.is_whole else None)
        worst = min(findings, key=lambda one: _WORST_FIRST.index(one.verdict))
        if len(digests) > 1 and worst.verdict is ScanVerdict.CLEAN:
            worst = ScanFinding(ScanVerdict.NOT_SCANNED, worst.scanner, "file-changed")
        return ScanResult(worst, size, digests.pop() if len(digests) == 1 else None)


def open_regular(path: Path) -> BinaryIO:
    """A regular file opened to be read, and no link, device, pipe or folder; raises :class:`UsageError`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        raise UsageError(f"cannot read {path}: {problem.strerror}") from problem
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UsageError(f"{path} is no regular file")
    return os.fdopen(descriptor, "rb", buffering=0)


def _on_trial(scanner: Scanner) -> ScanFinding | None:
    """Why the scanner says nothing of any file, if it does not find the trial file."""
    found = scanner.scan(Hashed(BytesIO(TRIAL), len(TRIAL)))
    if found.verdict is ScanVerdict.INFECTED:
        return None
    return found if found.reason else ScanFinding(ScanVerdict.NOT_SCANNED, found.scanner, "blind")


def _scanners_of(settings: ScanningSettings) -> list[Scanner]:
    made: list[tuple[str | None, Callable[[str], Scanner]]] = [
        (settings.clamd, lambda path: Clamd(Path(path), settings.timeout_s)),
        (settings.icap, lambda url: Icap(url, settings.timeout_s, settings.icap_ca)),
    ]
    return [make(where) for where, make in made if where is not None]

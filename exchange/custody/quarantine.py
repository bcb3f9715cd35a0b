"""Files that are not what their sender signed: kept apart, never handed out, and proved.

The sender's officer signed a name, a key, a length and a SHA-256 of one file. When the sealed file that came is the one
of that name, and opens to something else or not at all, then nobody but the sender can have done it: the name commits
to the ciphertext, and the content to the name. The proof is an evidence bag with the content and the sealed file
(``comity evidence bag --disclose --files whole``): both verifiers say what the sender sealed. With it anybody can open
the file and read the message, so that giving it is a disclosure like any other.

A sealed file that is not the one of its name accuses nobody: it was damaged on the way, or on this desk's disk, and is
fetched again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import (
    ComityError,
    FileAlteredError,
    FileHashMismatchError,
    FileKeyMismatchError,
    FileLengthMismatchError,
)

SENDERS_FAULT = (FileKeyMismatchError, FileAlteredError, FileLengthMismatchError, FileHashMismatchError)
"""What is wrong with a file by its sender's doing, once the sealed file is known to be the one of its name."""
ACT = "files.quarantine"


@dataclass(frozen=True, slots=True)
class QuarantinedFile:
    """What was found of a file: the code of what is wrong, in words, when, and by whom."""

    code: str
    detail: str
    at: datetime
    by: str

    def to_bytes(self) -> bytes:
        """As it is sealed."""
        return cbor.encode([self.code, self.detail, to_ms(self.at), self.by])

    @classmethod
    def from_bytes(cls, value: bytes) -> QuarantinedFile:
        """What :meth:`to_bytes` made."""
        code, detail, at, by = cbor.decode(value)
        return cls(code, detail, from_ms(at), by)

    @classmethod
    def of(cls, problem: ComityError, at: datetime, by: str) -> QuarantinedFile:
        """What is kept of a sender's fault."""
        return cls(problem.code, problem.detail, at, by)

    def refusal(self) -> FileHashMismatchError:
        """Why the file is not handed out any more."""
        return FileHashMismatchError(f"it is kept apart since {self.at.date()}: {self.detail} ({self.code})")

"""What an office notes for itself about a case, and never sends: notes, who works on it, until when it waits.

Entries are only added. The last entry of a kind says who works on a case, or until when it waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError

MAX_TEXT = 4_000


class EntryKind(StrEnum):
    """What an entry says."""

    NOTE = "note"
    ASSIGNED = "assigned"  # ``text`` is the officer; empty: nobody
    WAITING = "waiting"  # until ``until``, for what ``text`` says; None: no longer
    AUTHORITY = "authority"  # our own authority ``text`` decides, not later than ``until``; empty: no longer


@dataclass(frozen=True, slots=True)
class CaseEntry:
    """One entry: ``by`` is the officer who made it."""

    kind: EntryKind
    at: datetime
    by: str
    text: str = ""
    until: datetime | None = None

    def to_bytes(self) -> bytes:
        """As it is sealed."""
        until = to_ms(self.until) if self.until is not None else None
        return cbor.encode([self.kind.value, to_ms(self.at), self.by, self.text, until])

    @classmethod
    def from_bytes(cls, value: bytes) -> CaseEntry:
        """What :meth:`to_bytes` made."""
        kind, at, by, text, until = cbor.decode(value)
        return cls(EntryKind(kind), from_ms(at), by, text, from_ms(until) if until is not None else None)


@dataclass(frozen=True, slots=True)
class Casework:
    """All entries of a case, the oldest first."""

    entries: tuple[CaseEntry, ...] = ()

    @property
    def assigned_to(self) -> str | None:
        """Who works on the case."""
        return next((e.text or None for e in reversed(self.entries) if e.kind is EntryKind.ASSIGNED), None)

    @property
    def authority(self) -> CaseEntry | None:
        """Which of our own authorities is waited for, since when, and until when it should decide."""
        last = next((e for e in reversed(self.entries) if e.kind is EntryKind.AUTHORITY), None)
        if last is None or not last.text:
            return None
        ended = [n for n, e in enumerate(self.entries) if e.kind is EntryKind.AUTHORITY and not e.text]
        waits = self.entries[ended[-1] + 1 if ended else 0 :]
        first = next(e for e in waits if e.kind is EntryKind.AUTHORITY)
        return replace(last, at=first.at)  # waited for since the first word of it

    def waiting_until(self, now: datetime) -> datetime | None:
        """Until when the case waits, as long as that is ahead."""
        until = next((e.until for e in reversed(self.entries) if e.kind is EntryKind.WAITING), None)
        return until if until is not None and until > now else None


def check_text(text: str, field: str = "") -> str:
    """The text of an entry; raises :class:`UsageError` when it is too long or has control characters, about ``field``
    where the text was given as one.
    """
    if len(text) > MAX_TEXT:
        raise UsageError(phrase("a note has no more characters than {most}", most=MAX_TEXT)).at(field)
    if not all(character.isprintable() or character == "\n" for character in text):
        raise UsageError(phrase("a note has no control or reordering characters")).at(field)
    return text


def casework_of(values: Sequence[bytes]) -> Casework:
    """The casework of stored entries."""
    return Casework(tuple(CaseEntry.from_bytes(value) for value in values))

"""A letter as a value: every text in its reader's language already, and none of it markup."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LetterFact:
    """One line of the head of a letter or of a message. ``code``: it runs from left to right in any language."""

    name: str
    value: str
    code: bool = False


@dataclass(frozen=True, slots=True)
class LetterLine:
    """One value of a message. ``text`` is None for a heading; ``removed`` is the number of its row in the log of
    redactions, ``note`` the language that the text is written in.
    """

    label: str
    text: str | None
    depth: int
    note: str = ""
    removed: int | None = None


@dataclass(frozen=True, slots=True)
class LetterMessage:
    """One message of a letter: its head, what it says, what is proved of it, and its fingerprint."""

    heading: str
    facts: tuple[LetterFact, ...]
    lines: tuple[LetterLine, ...]
    receipts_caption: str
    receipts: tuple[tuple[str, ...], ...]
    receipt_headings: tuple[str, ...]
    no_receipts: str


@dataclass(frozen=True, slots=True)
class LetterTable:
    """A table at the end of a letter: the log of redactions."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Letter:
    """A whole letter. ``as_of`` is its date; ``page`` has the places ``{page}`` and ``{pages}``."""

    language: str
    direction: str
    title: str
    as_of: datetime
    letterhead: tuple[str, ...]
    facts: tuple[LetterFact, ...]
    messages: tuple[LetterMessage, ...]
    notes: tuple[str, ...]
    redactions: LetterTable | None
    page: str

"""Removals from a copy for a court: fields by their names, texts by their words; never only painted over.

The text is taken out before the letter is made, so that no file ever holds it. A log says of each removal what kind of
thing it was, why, and by whom, and nothing of its content or length. A removed text that still stands elsewhere in the
letter refuses the letter: a name that is blacked out in one place and read in another is not removed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from exchange.text.rendering import ReadLine
from protocol.encoding.phrase import phrase
from protocol.errors import RedactionError, UsageError

# A shorter text stands in others by chance.
_TELLING = 4
_WORDS = "words"
# Belongs to the sign before it: accents, and signs that nobody sees.
_JOINED = frozenset({"Mn", "Me", "Cf"})
_FIELD = re.compile(r"[a-z_*][a-z0-9_*]*(?:\.[a-z0-9_*-]+)*")


@dataclass(frozen=True, slots=True)
class Redaction:
    """One wish: the ``field`` (``authority.telephone``, ``targets.*.identifier``) or ``words`` to remove, and why."""

    reason: str
    field: str = ""
    words: str = ""

    @classmethod
    def of_field(cls, given: str) -> Redaction:
        """``FIELD=REASON``; raises :class:`UsageError`."""
        name, _equals, reason = given.partition("=")
        if not reason.strip() or not _FIELD.fullmatch(name.strip()):
            raise UsageError(phrase("write FIELD=REASON, such as authority.telephone='protected number'")).at("redact")
        return cls(reason.strip(), field=name.strip())

    @classmethod
    def of_words(cls, given: str) -> Redaction:
        """``WORDS=REASON``; raises :class:`UsageError`."""
        words, _equals, reason = given.rpartition("=")
        if not reason.strip() or len(words.strip()) < 2:
            raise UsageError(phrase("write WORDS=REASON, such as 'Suzuki Ren=protected witness'")).at("redact_words")
        return cls(reason.strip(), words=words.strip())

    def takes(self, line: ReadLine) -> bool:
        """Whether a whole line is removed: its field is named, or one that it is part of."""
        if not self.field:
            return False
        parts = line.path
        return any(fnmatchcase(".".join(parts[:end]), self.field) for end in range(1, len(parts) + 1))


@dataclass(frozen=True, slots=True)
class RedactedLine:
    """A line of a message after removal; ``removed`` is the number of the removal that took its text."""

    line: ReadLine
    removed: int | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """One row of the log: its number, the kind of thing that was removed, why, by whom, and in how many places."""

    number: int
    kind: str
    reason: str
    by: str
    places: int


@dataclass(slots=True)
class Redactor:
    """Removes what is wished from messages, one after the other, and keeps the log. ``mark`` stands in a text for what
    was taken out of it, with the number in ``{number}``.
    """

    wishes: Sequence[Redaction]
    by: str
    mark: str
    words_label: str = _WORDS
    _gone: set[str] = field(default_factory=set, repr=False)
    _kinds: dict[int, set[str]] = field(default_factory=dict)
    _places: dict[int, int] = field(default_factory=dict)

    def lines(self, lines: Sequence[ReadLine]) -> list[RedactedLine]:
        """The lines of a message without what is wished to be removed."""
        return [self._line(line) for line in lines]

    def takes(self, name: str) -> bool:
        """Whether the field ``name`` of a message is removed as a whole."""
        return any(wish.takes(ReadLine((name,), "", None, 0)) for wish in self.wishes)

    def text(self, text: str) -> str:
        """A text of the letter that is no field of the message, without the words that are removed."""
        for number, wish in enumerate(self.wishes, 1):
            if wish.words:
                text = self._without(text, wish, number)
        return text

    def log(self) -> tuple[Removal, ...]:
        """What was removed; raises :class:`RedactionError` for a wish that nothing fits."""
        unused = [number for number in range(1, len(self.wishes) + 1) if number not in self._places]
        if unused:
            raise RedactionError(phrase("nothing fits redaction {numbers}: check its field or words", numbers=unused))
        return tuple(
            Removal(
                number,
                self.words_label if wish.words else ", ".join(sorted(self._kinds[number])),
                wish.reason,
                self.by,
                self._places[number],
            )
            for number, wish in enumerate(self.wishes, 1)
        )

    def require_gone(self, texts: Sequence[str]) -> None:
        """Return if no removed text stands anywhere in ``texts``; raises :class:`RedactionError`."""
        folded = [_folded(text) for text in texts]
        for gone in self._gone:
            if any(gone in text for text in folded):
                raise RedactionError(
                    phrase(
                        "a text that was removed from one field still stands in another: remove it there too, by "
                        "its words"
                    )
                )

    def _line(self, line: ReadLine) -> RedactedLine:
        for number, wish in enumerate(self.wishes, 1):
            if wish.takes(line):
                if line.text is not None:
                    self._note(number, line.label, line.text)
                return RedactedLine(_emptied(line), number if line.text is not None else None)
        if line.text is None:
            return RedactedLine(line)
        kept = self.text(line.text)
        return RedactedLine(line if kept == line.text else _with_text(line, kept))

    def _without(self, text: str, wish: Redaction, number: int) -> str:
        kept, end = "", 0
        for start, stop in _places_of(wish.words, text):
            kept, end = kept + text[end:start] + self.mark.format(number=number), stop
            self._note(number, self.words_label, wish.words)
        return kept + text[end:]

    def _note(self, number: int, kind: str, gone: str) -> None:
        self._places[number] = self._places.get(number, 0) + 1
        self._kinds.setdefault(number, set()).add(kind)
        if len(gone.strip()) >= _TELLING:
            self._gone.add(_folded(gone).strip())


def _emptied(line: ReadLine) -> ReadLine:
    return ReadLine(line.path, line.label, None if line.text is None else "", line.depth)


def _with_text(line: ReadLine, text: str) -> ReadLine:
    return ReadLine(line.path, line.label, text, line.depth, line.written_in)


def _places_of(words: str, text: str) -> Iterator[tuple[int, int]]:
    """Where ``words`` stand in ``text``, however they are written there: the spans, in order, none in another."""
    wanted, signs = _folded(words).strip(), list(_signs(text))
    folded = "".join(sign for sign, _, _ in signs)
    spans = [(start, stop) for sign, start, stop in signs for _ in sign]
    at = folded.find(wanted) if wanted else -1
    end = 0
    while at >= 0:
        start, stop = spans[at][0], spans[at + len(wanted) - 1][1]
        if start >= end:
            yield start, stop
            end = stop
        at = folded.find(wanted, at + 1)


def _folded(text: str) -> str:
    """``text`` as one compares it: a name is the same in capitals, in full width, with an accent as a sign of its own,
    over two lines, or with a sign in it that nobody sees.
    """
    return "".join(sign for sign, _, _ in _signs(text))


def _signs(text: str) -> Iterator[tuple[str, int, int]]:
    """The signs of a text, folded, each with its span in the text. Spaces count as one; unseen signs as none."""
    at, spaced = 0, False
    while at < len(text):
        start, at = at, at + 1
        while at < len(text) and unicodedata.category(text[at]) in _JOINED:
            at += 1
        seen = "".join(one for one in text[start:at] if not _is_unseen(one))
        sign = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())
        if not seen:
            continue
        if sign.isspace():
            sign, spaced = ("" if spaced else " "), True
        else:
            spaced = False
        yield sign, start, at


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f"

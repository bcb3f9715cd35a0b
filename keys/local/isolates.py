"""Keeps what runs from left to right in order inside a language that runs the other way (UAX #9, isolates).

In Arabic a terminal shows ``24-7@fr`` as ``fr@7-24`` and ``--out`` as ``out--``. Every place for a value, and every
command, option, address, number, time and path that a translation holds, is therefore put between marks. The marks are
characters that this process drew at random: no text from outside can hold them, so none can end an isolate of ours or
begin one. They become FIRST STRONG ISOLATE and POP DIRECTIONAL ISOLATE where a text is shown to a person
(:func:`shown`), and vanish where a program reads it (:func:`bare`). :mod:`keys.local.printing` lets them pass, and
escapes the isolates of others like everything else that turns the direction.
"""

from __future__ import annotations

import os
import re
import unicodedata
from functools import lru_cache

_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"
# Plane 15 is for private use: nothing that is assigned is mistaken for a mark. Each character holds nearly 16 bits.
_PRIVATE_FIRST, _PRIVATE_COUNT = 0xF0000, 0xFFFE
_MARK_CHARS = 8


def _drawn() -> str:
    places = (int.from_bytes(os.urandom(4), "big") % _PRIVATE_COUNT for _character in range(_MARK_CHARS))
    return "".join(chr(_PRIVATE_FIRST + place) for place in places)


OPEN, CLOSE = _drawn(), _drawn()
# Splits a text into its marks and what stands between them.
MARKS = re.compile(f"({OPEN}|{CLOSE})")

# Those of Arabic count as letters of its direction, and stand behind words of both.
_MARKS_OF_SENTENCES = ".,;:!?\u060c\u061b\u061f"
_PLACE = re.compile(r"\{[^{}]*\}")
# The brackets before a row of words, the row, and the punctuation behind it.
_ROW = re.compile(rf"([(\[«]*)(.*?)([)\]»{_MARKS_OF_SENTENCES}]*)", re.DOTALL)
_ASCII = re.compile(r"[!-~]+")
_PAIRS = (("(", ")"), ("[", "]"))
_COMMAND = re.compile(r"comity(?:-node)?\b")


def isolated(text: str) -> str:
    """A translation with marks around its places for values and around what runs from left to right."""
    return text if OPEN in text else _isolated(text)


def shown(text: str) -> str:
    """``text`` as a person sees it."""
    return text.replace(OPEN, _FIRST_STRONG_ISOLATE).replace(CLOSE, _POP_ISOLATE)


def bare(text: str) -> str:
    """``text`` as a program reads it."""
    return text.replace(OPEN, "").replace(CLOSE, "")


@lru_cache(maxsize=4096)
def _isolated(text: str) -> str:
    return "\n".join(_line(line) for line in text.split("\n"))


def _line(line: str) -> str:
    """A line of a translation: the words that run from left to right, each row of them between marks."""
    made: list[str] = []
    row: list[str] = []

    def end_row() -> None:
        if row:
            made.append(_row(" ".join(row)))
            row.clear()

    for word in line.split(" "):
        if _runs_left_to_right(word) or (row and _is_place(word)):
            row.append(word)
        else:
            end_row()
            made.append(_ASCII.sub(lambda found: _part(found[0]), word))
            continue
        # A command goes on behind its commas; in prose what stands behind one is another row.
        if not _COMMAND.match(row[0]) and _cut(word)[2].strip(")]»"):
            end_row()
    end_row()
    return " ".join(made)


def _row(row: str) -> str:
    """A row of words between marks; the punctuation around it belongs to the sentence."""
    if _COMMAND.match(row):
        kept = row if row.endswith("...") else row.rstrip(_MARKS_OF_SENTENCES)
        return f"{OPEN}{_places(kept)}{CLOSE}{row[len(kept) :]}"
    before, inside, behind = _cut(row)
    for left, right in _PAIRS:
        # One of a pair stays with the other.
        if before.endswith(left) and inside.count(right) > inside.count(left):
            before, inside = before[:-1], left + inside
        if behind.startswith(right) and inside.count(left) > inside.count(right):
            inside, behind = inside + right, behind[1:]
    return f"{before}{OPEN}{_places(inside)}{CLOSE}{behind}" if inside else row


def _cut(row: str) -> tuple[str, str, str]:
    found = _ROW.fullmatch(row)
    return (found[1], found[2], found[3]) if found else ("", row, "")


def _part(part: str) -> str:
    """The part in ASCII of a word that also has letters of the other direction."""
    return _row(part) if _runs_left_to_right(part) else _places(part)


def _places(text: str) -> str:
    return _PLACE.sub(rf"{OPEN}\g<0>{CLOSE}", text)


def _is_place(word: str) -> bool:
    return bool(_PLACE.search(word)) and not _of_right_to_left(word)


def _runs_left_to_right(word: str) -> bool:
    """Whether a word has letters or digits of ASCII outside its places for values, and none of the other direction."""
    own = _PLACE.sub("", word)
    return any(character.isascii() and character.isalnum() for character in own) and not _of_right_to_left(own)


def _of_right_to_left(text: str) -> bool:
    letters = (character for character in text if character not in _MARKS_OF_SENTENCES)
    return any(unicodedata.bidirectional(letter) in {"R", "AL"} for letter in letters)

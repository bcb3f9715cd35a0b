"""Lines no wider than the terminal, counted in the columns that characters take there."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from functools import lru_cache

from keys.local.isolates import CLOSE, MARKS, OPEN, bare

NARROWEST = 40
USUAL = 80
UNLIMITED = 10_000  # whatever reads a pipe wants a row in a line


def columns() -> int:
    """How many columns the terminal has, 80 where nobody can tell; a pipe has no end of them."""
    if not sys.stdout.isatty():
        return UNLIMITED
    try:
        return max(NARROWEST, os.get_terminal_size(sys.stdout.fileno()).columns or USUAL)
    except (OSError, ValueError):
        return USUAL


def width(text: str) -> int:
    """How many columns ``text`` takes: marks of direction none, wide letters two (UAX #11)."""
    return sum(map(_cells, text.replace(OPEN, "").replace(CLOSE, "")))


@lru_cache(maxsize=4_096)
def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def wrapped(text: str, most: int, indent: int = 0) -> list[str]:
    """``text`` in lines of at most ``most`` columns, those after the first ``indent`` further in.

    Lines break at spaces and between wide letters; a word that is longer than a line is cut. A date, an id and all that
    stands between marks of direction stays in one piece, as far as it fits into a line; what does not is marked in
    each of its lines.
    """
    lines = [""]
    for piece in _pieces(text):
        room = most - (indent if len(lines) > 1 else 0)
        if width(lines[-1]) + width(piece.rstrip(" ")) <= room:
            lines[-1] += piece
        elif width(piece.rstrip(" ")) <= most - indent:
            lines.append(piece.lstrip(" "))
        else:
            first, *others = _filled(bare(piece), room - width(lines[-1]), most - indent)
            marks = (OPEN, CLOSE) if OPEN in piece else ("", "")
            lines[-1] += _marked(first, marks)
            lines.extend(_marked(one, marks) for one in others)
    ended = [line.rstrip(" ") for line in lines]
    return [ended[0], *(f"{' ' * indent}{one}" for one in ended[1:])]


def _marked(text: str, marks: tuple[str, str]) -> str:
    return f"{marks[0]}{text}{marks[1]}" if text else ""


def _filled(text: str, first: int, most: int) -> list[str]:
    """A text without marks in parts, the first of at most ``first`` columns, the others of ``most``."""
    parts = [""]
    for word in _words(text):
        left = word
        room = first if len(parts) == 1 else most
        if width(parts[-1]) + width(left.rstrip(" ")) > room and (parts[-1].strip() or len(parts) == 1):
            parts.append("")
            left = left.lstrip(" ")
        while width(left.rstrip(" ")) > most:
            head, left = _cut(left, most)
            parts[-1] += head
            parts.append("")
        parts[-1] += left
    return parts


def _pieces(text: str) -> list[str]:
    """What a line may break between: words with the space behind them, marked parts, single wide letters."""
    pieces: list[str] = [""]
    depth = 0
    for part in MARKS.split(text):
        if part == OPEN:
            if depth == 0:
                pieces.append("")
            depth += 1
        if depth or part == CLOSE:
            pieces[-1] += part
        else:
            # Punctuation right behind a marked part belongs to it.
            first, *others = _words(part) or [""]
            pieces[-1] += first
            pieces.extend(others)
        if part == CLOSE:
            depth = max(0, depth - 1)
    return [piece for piece in pieces if piece]


# A date with its time, as tables show it, is one word.
_DATED = re.compile(r"(?<=\d{4}-\d\d-\d\d) (?=\d\d:\d\d)")
_JOINED = "\uf8ff"  # for private use; turned back before anything is shown


def _words(text: str) -> list[str]:
    return [word.replace(_JOINED, " ") for word in _split(_DATED.sub(_JOINED, text))]


def _split(text: str) -> list[str]:
    words: list[str] = []
    word = ""
    for character in text:
        if _cells(character) == 2:
            if word:
                words.append(word)
            word = ""
            words.append(character)
        elif character == " ":
            words.append(word + character)
            word = ""
        else:
            word += character
    return [*words, word] if word else words


def _cut(piece: str, room: int) -> tuple[str, str]:
    """As much of ``piece`` as fits into ``room``, and the rest; at least one character."""
    taken = 0
    for place, character in enumerate(piece):
        taken += _cells(character)
        if taken > room and place:
            return piece[:place], piece[place:]
    return piece, ""


def unbroken(text: str) -> int:
    """How many columns the longest part of ``text`` takes that stays in one piece."""
    return max((width(piece.rstrip(" ")) for piece in _pieces(text)), default=0)

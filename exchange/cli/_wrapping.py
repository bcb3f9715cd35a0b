"""Lines no wider than the terminal, counted in the columns that characters take there."""

from __future__ import annotations

import shutil
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
    return max(NARROWEST, shutil.get_terminal_size((USUAL, 24)).columns)


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
    stands between marks of direction stays in one piece, as far as it fits into a line.
    """
    lines: list[str] = []
    line = ""
    room = most
    for piece in _pieces(text):
        if width(line) + width(piece.rstrip(" ")) > room and line.strip():
            lines.append(line.rstrip(" "))
            line = ""
            room = most - indent
            piece = piece.lstrip(" ")  # noqa: PLW2901
        while width(piece) > room:
            head, piece = _cut(bare(piece), room - width(line))  # noqa: PLW2901
            lines.append((line + head).rstrip(" "))
            line, room = "", most - indent
        line += piece
    lines.append(line.rstrip(" "))
    return [lines[0], *(f"{' ' * indent}{one}" for one in lines[1:])]


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


def _words(text: str) -> list[str]:
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

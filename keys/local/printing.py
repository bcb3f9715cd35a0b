"""Text that others wrote, made safe to show at a terminal.

A terminal obeys control characters: text that is printed as it came can move the cursor, hide what stands beside it,
or turn the order of letters. An escaped character is shown as ``\\u{1b}``, so that it is seen and never obeyed. The
marks of :mod:`keys.local.isolates`, which only this process can write, pass; in JSON they vanish.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from keys.local.isolates import CLOSE, MARKS, OPEN, bare

# Prose in some languages needs these: joiners of letters (Persian, Hindi), spaces that do not break (French).
_PROSE = frozenset("\n\t\u00a0\u200c\u200d\u202f\u3000")


def printable(text: str) -> str:
    """``text`` in one line in which every character is seen: for names, paths, values, errors.

    Controls, invisible and direction-turning characters, line ends, lone surrogates and unassigned characters are
    escaped, and so is the backslash: two texts that differ never look the same because of what cannot be seen.
    """
    return _between_marks(text, lambda one: _escaped(one) if one == "\\" else _visible(one))


def printable_text(text: str) -> str:
    """``text`` of several lines as prose: line ends, tabs, joiners and no-break spaces stay, the rest as above."""
    return _between_marks(text, lambda one: one if one in _PROSE else _visible(one))


def printable_line(text: str) -> str:
    """``text`` as one line of prose: as :func:`printable_text`, and a line end or tab is seen instead of obeyed."""
    return _between_marks(text, lambda one: _visible(one) if one in "\n\t" or one not in _PROSE else one)


def printable_json(value: Any, *, indent: int | None = None) -> str:
    """``value`` as JSON, letters of every script as they are, everything else by its number.

    In one line unless ``indent`` is given. A program reads the same from it; a terminal obeys nothing in it.
    """
    encoded = bare(json.dumps(value, ensure_ascii=False, indent=indent))
    # Line by line, as nearly every line can be shown as it is: a message may have a megabyte.
    return "\n".join(
        line if line.isprintable() else "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in line)
        for line in encoded.split("\n")
    )


def _between_marks(text: str, told: Callable[[str], str]) -> str:
    """``text`` with each character as ``told`` makes it; our own marks as they are."""
    if CLOSE not in text:
        return "".join(map(told, text))
    return "".join(part if part in {OPEN, CLOSE} else "".join(map(told, part)) for part in MARKS.split(text))


def _visible(character: str) -> str:
    # ``isprintable`` is false for every control, format, surrogate, private-use and unassigned character, and for all
    # separators but the space.
    return character if character.isprintable() else _escaped(character)


def _escaped(character: str) -> str:
    return "\\\\" if character == "\\" else f"\\u{{{ord(character):x}}}"

"""Text that others wrote, made safe to show at a terminal.

A terminal obeys control characters: text that is printed as it came can move the cursor, hide what stands beside it,
or turn the order of letters. What is escaped here is shown as ``\\u{1b}``, so that it is seen and never obeyed.
"""

from __future__ import annotations

import json
from typing import Any

# What prose in some languages needs: joiners of letters (Persian, Hindi), spaces that do not break (French).
_PROSE = frozenset("\n\t\u00a0\u200c\u200d\u202f\u3000")


def printable(text: str) -> str:
    """``text`` in one line in which every character is seen: for names, paths, values, errors.

    Controls, invisible and direction-turning characters, line ends, lone surrogates and unassigned characters are
    escaped, and so is the backslash: two texts that differ never look the same because of what cannot be seen.
    """
    return "".join(_escaped(character) if character == "\\" else _visible(character) for character in text)


def printable_text(text: str) -> str:
    """``text`` of several lines as prose: line ends, tabs, joiners and no-break spaces stay, the rest as above."""
    return "".join(character if character in _PROSE else _visible(character) for character in text)


def printable_line(text: str) -> str:
    """``text`` as one line of prose: as :func:`printable_text`, and a line end or tab is seen instead of obeyed."""
    return "".join(_visible(c) if c in "\n\t" or c not in _PROSE else c for c in text)


def printable_json(value: Any, *, indent: int | None = None) -> str:
    """``value`` as JSON, letters of every script as they are, everything else by its number.

    In one line unless ``indent`` is given. A program reads the same from it; a terminal obeys nothing in it.
    """
    encoded = json.dumps(value, ensure_ascii=False, indent=indent)
    # Line by line, as nearly every line can be shown as it is: a message may have a megabyte.
    return "\n".join(
        line if line.isprintable() else "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in line)
        for line in encoded.split("\n")
    )


def _visible(character: str) -> str:
    # ``isprintable`` is false for every control, format, surrogate, private-use and unassigned character, and for all
    # separators but the space.
    return character if character.isprintable() else _escaped(character)


def _escaped(character: str) -> str:
    return "\\\\" if character == "\\" else f"\\u{{{ord(character):x}}}"

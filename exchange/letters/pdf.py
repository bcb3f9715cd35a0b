"""A letter as PDF: archivable and accessible, the same bytes every time for the same letter.

The fonts have the letters of the six languages. A sign that they lack, in a text that somebody wrote, is shown by its
number, as U+1F600, and the letter says so: a letter that cannot be made helps nobody, and a missing sign deceives.
"""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from exchange.letters.letter import Letter
from exchange.report.pdf import FONT_FOLDERS, typeset
from keys.local.isolates import shown
from keys.local.translation import _, speaking
from protocol.errors import FontsMissingError

_TEMPLATE = "templates/letter.typ"
# The blocks that Debian's Noto Sans, its Arabic and its CJK have whole or nearly so.
_COVERED = (
    (0x20, 0x24F),
    (0x300, 0x36F),
    (0x370, 0x3FF),
    (0x400, 0x52F),
    (0x1E00, 0x1EFF),
    (0x2010, 0x2027),
    (0x202F, 0x205E),
    (0x20A0, 0x20BF),
    (0x2066, 0x2069),
)
_COVERED_BY = {
    "ar": ((0x600, 0x61B), (0x61E, 0x6FF)),
    "zh": ((0x3000, 0x303F), (0x3041, 0x3096), (0x30A1, 0x30FA), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xFF01, 0xFF5E)),
}


def render_letter(letter: Letter, folders: tuple[Path, ...] = FONT_FOLDERS) -> bytes:
    """The letter as PDF; equal letters give equal bytes. Raises :class:`FontsMissingError`."""
    template = resources.files("exchange.letters").joinpath(_TEMPLATE).read_bytes()
    values, own = asdict(letter), letter.language.partition("-")[0]
    with speaking(letter.language.replace("-", "_")):
        note = shown(_("Signs that the fonts here lack stand by their Unicode numbers, such as U+1F600."))
    # First as it is; then without what no font has; then without what only the fonts of other languages have.
    tries = [values]
    for scripts in (frozenset(_COVERED_BY), frozenset({own})):
        numbered = _numbered(values, scripts)
        tries.append({**numbered, "notes": [*numbered["notes"], note]})
    for one in tries[:-1]:
        with suppress(FontsMissingError):
            return typeset(template, one, letter.language, letter.as_of, folders)
    return typeset(template, tries[-1], letter.language, letter.as_of, folders)


def _numbered(value: Any, scripts: frozenset[str]) -> Any:
    if isinstance(value, str):
        return "".join(one if _is_covered(one, scripts) else f"U+{ord(one):04X}" for one in value)
    if isinstance(value, dict):
        return {name: _numbered(part, scripts) for name, part in value.items()}
    return [_numbered(part, scripts) for part in value] if isinstance(value, list | tuple) else value


def _is_covered(character: str, scripts: frozenset[str]) -> bool:
    if character == "\n":
        return True
    if unicodedata.category(character) in ("Cn", "Co", "Cs", "Cc"):
        return False
    blocks = (*_COVERED, *(block for name, more in _COVERED_BY.items() if name in scripts for block in more))
    return any(first <= ord(character) <= last for first, last in blocks)

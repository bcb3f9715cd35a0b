"""What people type on the keyboards of six languages, in the one form that a program reads.

Digits of any script, signs of full width, Arabic punctuation, spaces that do not break, dashes, marks of direction: all
of them mean what their ASCII forms mean where an answer is a number, a date, a list or a code. Free text and names stay
as they were typed; nobody puts those through here.
"""

from __future__ import annotations

import unicodedata

from exchange.text._folding import fold

# Full-width ! to ~ lie in the order of ASCII (Unicode, Halfwidth and Fullwidth Forms).
_WIDE_FIRST, _WIDE_LAST, _WIDE_TO_ASCII = 0xFF01, 0xFF5E, 0xFEE0
_SAME = {
    "\u060c": ",", "\u3001": ",", "\ufe50": ",", "\ufe51": ",", "\uff64": ",", "\u066b": ".", "\u066c": ",",
    "\u061b": ";", "\ufe54": ";", "\ufe55": ":", "\ua789": ":", "\u2236": ":", "\u061f": "?", "\u3002": ".",
    "\ufe52": ".", "\u06d4": ".", "\u066a": "%", "\u2044": "/", "\u2215": "/", "\u301c": "~",
    "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2039": "<", "\u203a": ">",
}  # fmt: skip
_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\ufe58\ufe63")
# Marks that only turn the direction, and such as stand there for nobody to see.
_UNSEEN = frozenset("\u200b\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\u00ad\u0640")


def in_ascii(text: str) -> str:
    """``text`` with the digits, punctuation and spaces of all scripts in their ASCII forms; letters stay."""
    return text if text.isascii() else "".join(map(_one, text))


def plain_word(text: str) -> str:
    """A word as it is compared: whatever its case, accents, vowel points and the full stop of an abbreviation."""
    return " ".join(fold(in_ascii(text)).split()).strip(" .")


def _one(character: str) -> str:
    if character.isascii():
        return character
    if character in _UNSEEN:
        return ""
    if character in _DASHES:
        return "-"
    if (same := _SAME.get(character)) is not None:
        return same
    code = ord(character)
    if _WIDE_FIRST <= code <= _WIDE_LAST:
        return chr(code - _WIDE_TO_ASCII)
    if character.isspace():
        return " "
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)

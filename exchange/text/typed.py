"""What people type on the keyboards of six languages, in the one form that a program reads.

Digits of any script, signs of full width, Arabic punctuation, spaces that do not break, dashes, marks of direction: all
of them mean what their ASCII forms mean where an answer is a number, a date, a list or a code. Free text and names stay
as they were typed; nobody puts those through here.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

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


_OPENS, _CLOSES = r"\s{0,2}[\[({<]\s{0,2}", r"\s{0,2}[\])}>]\s{0,2}"
# A sign made harmless: in brackets, also when one of them is missing, or as its name.
_DEFANGED = (
    (re.compile(rf"{_OPENS}:\s*//{_CLOSES}"), "://"),
    (re.compile(rf"{_OPENS}(?:\.|dot|point|punkt){_CLOSES}", re.IGNORECASE), "."),
    (re.compile(rf"{_OPENS}(?:@|at){_CLOSES}", re.IGNORECASE), "@"),
    (re.compile(rf"{_OPENS}:{_CLOSES}"), ":"),
    (re.compile(rf"{_OPENS}/{_CLOSES}"), "/"),
    (re.compile(r"(?<=\w)\[\.|(?<=\w)\.\](?=\w)|(?<=\w)\\\.(?=\w)"), "."),
)
_SCHEME = re.compile(r"(?<!\w)(?P<first>[hf])(?:xx|x|\*\*)(?P<rest>tps?|ps?)(?=:)", re.IGNORECASE)
# In words: "kim at example dot com". One "at" without a "dot" is language.
_SAID = re.compile(r"(?<![\w.+-])(?P<name>[\w.+-]{1,64}) at (?P<host>[\w-]{1,63}(?: dot [\w-]{1,63})+)", re.IGNORECASE)
_DOT_SAID = re.compile(r"(?<=\w) dot (?=\w)", re.IGNORECASE)


def refanged(text: str) -> str:
    """``text`` with the signs back that analysts take out of addresses, so that nobody follows one by accident.

    Such as ``hxxp``, ``[.]``, ``(dot)``, ``[at]``; signs of full width become those of ASCII first.
    """
    return with_signs_back(in_ascii(text))


def with_signs_back(text: str) -> str:
    """As :func:`refanged`, of a text whose signs are those of ASCII; of another one all else stays as it was typed."""
    for defanged, meant in _DEFANGED:
        text = defanged.sub(meant, text)
    text = _SCHEME.sub(_with_scheme, text)
    return _SAID.sub(lambda found: f"{found['name']}@{_DOT_SAID.sub('.', found['host'])}", text)


@dataclass(frozen=True, slots=True)
class ReadOtherwise:
    """A line that is not read as it was typed: ``typed`` with what cannot be seen made visible, ``read`` as it is read.

    ``removed`` are the code points of characters that were left out, such as U+200B.
    """

    typed: str
    read: str
    removed: tuple[str, ...]


def read_otherwise(text: str) -> list[ReadOtherwise]:
    """The lines of a text of which a page reads something else than what was typed: unseen characters are left out, and
    the signs are put back that make an address harmless. Blanks, dashes and digits of other scripts say the same.
    """
    found = []
    for line in text.splitlines():
        removed = tuple(f"U+{ord(one):04X}" for one in dict.fromkeys(line) if one in _UNSEEN)
        plain = in_ascii(line)
        read = with_signs_back(plain)
        if removed or read != plain:
            shown = "".join(f"<U+{ord(one):04X}>" if one in _UNSEEN else one for one in line)
            found.append(ReadOtherwise(shown.strip(), read.strip(), removed))
    return found


def _with_scheme(found: re.Match[str]) -> str:
    end = "s" if found["rest"].lower().endswith("s") else ""
    return ("http" if found["first"].lower() == "h" else "ftp") + end


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

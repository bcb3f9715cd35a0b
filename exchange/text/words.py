"""Words: what a text is indexed under, and whether it holds what was asked for.

A text is cut into pieces at blanks, quotes and brackets, and a piece into words at everything that is no letter, mark
or digit. So an address or a number is a piece of several words, which are found together, in this order, or one by one.

Chinese, Japanese, Korean, Thai, Lao, Khmer, Burmese and Tibetan do not part words by blanks, or write more than a word
between two: there every run of letters is indexed under all its neighbouring letters, and a word is found anywhere
within it. A dictionary would cut a name by its neighbours, so that the same name alone is cut otherwise and missed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import pairwise
from typing import NamedTuple

from exchange.text._folding import fold, without_article, without_particle

MAX_KEY_LETTERS = 64
_HASH_LETTERS = 32
# Between the words of a pair; in no text that was folded and cut.
_AND = "\0"
_PLAIN = re.compile("[a-z0-9]+")
_PIECE = re.compile(r"[^\s\"'<>()\[\]{}|]+")

# Han, kana and bopomofo, with what is written among them as a letter.
_IDEOGRAPHIC = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303b\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff"
)
_IDEOGRAPHIC += "\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HANGUL = "\u1100-\u11ff\ua960-\ua97f\uac00-\ud7fb"
# Thai, Lao, Tibetan, Burmese, Khmer, Tai Le to New Tai Lue, Tai Tham.
_UNSPACED = "\u0e00-\u0e7f\u0e80-\u0eff\u0f00-\u0f03\u0f18-\u0fbc\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aad"
_LAST_MARK = 0x20000


class Word(NamedTuple):
    """One word; of ``grams`` letters at most it is indexed under its parts, 0: as a whole."""

    text: str
    grams: int = 0

    def fits(self, stored: Word) -> bool:
        """Whether this word, asked for, is the ``stored`` one, or within it where words are not parted."""
        if self.grams:
            return stored.grams == self.grams and self.text in stored.text
        return self == stored


Piece = tuple[Word, ...]


def pieces_of(text: str) -> list[Piece]:
    """The pieces of a text that have words."""
    return _cut(fold(text))


def _cut(folded: str) -> list[Piece]:
    pieces = (_words(piece) for piece in _PIECE.findall(folded))
    return [piece for piece in pieces if piece]


def keys_of(pieces: Iterable[Piece]) -> set[str]:
    """What a text of these pieces is indexed under."""
    keys: set[str] = set()
    for piece in pieces:
        for word in piece:
            if word.grams:
                keys.update(part for size in range(1, word.grams + 1) for part in _parts(word.text, size))
            else:
                keys.add(_bounded(word.text))
        keys.update(_pairs(piece))
    return keys


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for: each piece is to be found, its words next to each other."""

    pieces: tuple[Piece, ...]

    @classmethod
    def of(cls, text: str) -> Query:
        """The query that a person wrote."""
        return cls(tuple(tuple(_asked(word) for word in piece) for piece in pieces_of(text)))

    def keys(self) -> set[str]:
        """What a text that holds all pieces is indexed under at least."""
        keys: set[str] = set()
        for piece in self.pieces:
            for word in piece:
                if word.grams:
                    keys.update(_parts(word.text, min(word.grams, len(word.text))))
                else:
                    keys.add(_bounded(word.text))
            keys.update(_pairs(piece))
        return keys

    def is_held_by(self, texts: Iterable[str]) -> bool:
        """Whether all that is asked for stands in these texts."""
        folded = [fold(text) for text in texts]
        return all(any(_holds(text, piece) for text in folded) for piece in self.pieces)


def _asked(word: Word) -> Word:
    return Word(without_particle(word.text), word.grams) if _is_hangul(word.text) else word


def _holds(folded: str, asked: Piece) -> bool:
    # A word is a part of the text that it was cut from: most texts need not be cut.
    return all(word.text in folded for word in asked) and any(_within(asked, piece) for piece in _cut(folded))


def _within(asked: Piece, stored: Piece) -> bool:
    starts = range(len(stored) - len(asked) + 1)
    return any(all(word.fits(stored[start + n]) for n, word in enumerate(asked)) for start in starts)


def _words(piece: str) -> Piece:
    if piece.isascii():
        return tuple(map(Word, _PLAIN.findall(piece)))
    if not _unparted().search(piece):
        return tuple(Word(without_article(word)) for word in _spaced_pattern().findall(piece))
    return tuple(
        Word(without_article(plain))
        if plain
        else Word(syllables or ideographs, 2)
        if not unspaced
        else Word(unspaced, 3)
        for plain, syllables, ideographs, unspaced in _mixed_pattern().findall(piece)
    )


def _pairs(piece: Piece) -> Iterable[str]:
    """Neighbours in a piece: so an address is looked up by its own parts and not by each number in it."""
    return (
        _bounded(first.text + _AND + second.text)
        for first, second in pairwise(piece)
        if not first.grams and not second.grams
    )


def _parts(text: str, size: int) -> Iterable[str]:
    return (text[start : start + size] for start in range(len(text) - size + 1))


def _bounded(key: str) -> str:
    if len(key) <= MAX_KEY_LETTERS:
        return key
    digest = sha256(key.encode()).hexdigest()[:_HASH_LETTERS]
    return key[: MAX_KEY_LETTERS - _HASH_LETTERS] + digest


def _is_hangul(text: str) -> bool:
    return "\uac00" <= text[:1] <= "\ud7a3"


@cache
def _letters() -> str:
    """Letters and digits, and the marks that stand on them, as an alternative of two character classes."""
    marks = (chr(code) for code in range(0x300, _LAST_MARK) if unicodedata.category(chr(code)) in {"Mn", "Mc"})
    return rf"(?:[^\W_]|[{''.join(marks)}])"


@cache
def _unparted() -> re.Pattern[str]:
    return re.compile(f"[{_HANGUL}{_IDEOGRAPHIC}{_UNSPACED}]")


@cache
def _spaced_pattern() -> re.Pattern[str]:
    return re.compile(f"{_letters()}+")


@cache
def _mixed_pattern() -> re.Pattern[str]:
    """Runs in scripts with blanks, of Hangul, of ideographs, in scripts without blanks."""
    spaced = f"(?:(?![{_HANGUL}{_IDEOGRAPHIC}{_UNSPACED}]){_letters()})+"
    return re.compile(f"({spaced})|([{_HANGUL}]+)|([{_IDEOGRAPHIC}]+)|([{_UNSPACED}]+)")

"""Folding: which letters count as the same when messages are searched.

Both sides are folded, what is stored and what is asked for, so that a word is found however it was written: in
capitals, full width or presentation forms, with or without accents, vowel points, tatweel or nukta, in any digits.
Folding never looks at a language: it goes letter by letter, by the table here on top of Unicode's own decomposition and
case folding. Two words that fold to the same are told apart by whoever reads the result; none is left out.

A change here changes what stands in the index: the store's index then gets another name (see ``docs/decisions/0035``).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_NUKTA = 7  # canonical combining class (Unicode Character Database, DerivedCombiningClass.txt)


def _ranges(*bounds: tuple[int, int]) -> frozenset[int]:
    return frozenset(code for first, last in bounds for code in range(first, last + 1))


# Marks that people write or leave out at will.
_DROPPED = _ranges(
    (0x0300, 0x036F),  # accents of Latin, Greek and Cyrillic letters; the dot that is left of a Turkish İ
    (0x0591, 0x05BD),  # Hebrew accents and vowel points
    (0x05BF, 0x05BF),
    (0x05C1, 0x05C2),
    (0x05C4, 0x05C5),
    (0x05C7, 0x05C7),
    (0x0610, 0x061A),  # Arabic signs over words
    (0x0640, 0x0640),  # tatweel
    (0x064B, 0x065F),  # Arabic vowels; hamza and madda over a letter
    (0x0670, 0x0670),
    (0x06D6, 0x06DC),  # Quranic marks
    (0x06DF, 0x06E4),
    (0x06E7, 0x06E8),
    (0x06EA, 0x06ED),
    (0x08D3, 0x08E1),
    (0x08E3, 0x08FF),
    (0x0711, 0x0711),  # Syriac
    (0x0730, 0x074A),
    (0x180B, 0x180F),  # Mongolian variation selectors
    (0xFE00, 0xFE0F),  # variation selectors
    (0xE0100, 0xE01EF),
)

_SAME: dict[str, str] = {
    # Latin letters that Unicode does not decompose. The dotless ı is what Turkish has for the small of I.
    "ı": "i",
    "ȷ": "j",
    "ł": "l",
    "ø": "o",
    "đ": "d",
    "ð": "d",
    "ħ": "h",
    "ŧ": "t",
    "þ": "th",
    "æ": "ae",
    "œ": "oe",
    # Arabic: alef wasla; alef maqsura and the Persian and Urdu forms of yeh; teh marbuta and the forms of heh; kaf.
    "ٱ": "ا",
    "ى": "ي",
    "ی": "ي",
    "ے": "ي",
    "ې": "ي",
    "ة": "ه",
    "ہ": "ه",
    "ھ": "ه",
    "ە": "ه",
    "ۃ": "ه",
    "ک": "ك",
    "ڪ": "ك",
    # Devanagari: the moon over a vowel is often written as the dot.
    "ँ": "ं",
    # Hebrew marks of abbreviation, and the hyphen.
    "׳": "'",
    "״": '"',
    "־": "-",
    # Quotation marks and apostrophes.
    **dict.fromkeys("’‘‛ʼʻ′´`", "'"),
    **dict.fromkeys("“”„‟«»″", '"'),
}


class _Table(dict[int, str | None]):
    """For :meth:`str.translate`: each character is looked at once."""

    def __missing__(self, code: int) -> str | None:
        folded = self[code] = _folded(chr(code))
        return folded


def _folded(character: str) -> str | None:
    if ord(character) in _DROPPED or unicodedata.category(character) == "Cf":
        return None  # Cf: joiners, direction marks, soft hyphens
    if unicodedata.combining(character) == _NUKTA:
        return None
    decimal = unicodedata.decimal(character, None)
    return str(decimal) if decimal is not None else _SAME.get(character, character)


_TABLE = _Table()


def fold(text: str) -> str:
    """The text as it is compared."""
    if text.isascii():
        return text.lower().replace("`", "'")
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    # Composed again: syllables of Hangul, voiced kana.
    return unicodedata.normalize("NFC", decomposed.translate(_TABLE))


# --- Words without what their sentence adds ---

_ARTICLES = ("وال", "فال", "بال", "كال", "ولل", "فلل", "ال", "لل")
_ARABIC = ("؀", "ۿ")
_LEFT_OF_ARABIC = 2

_PARTICLE_LIST = """
은 는 이 가 을 를 에 의 로 와 과 도 만 께 야 아 여 나 랑
에서 에게 으로 부터 까지 하고 이나 이랑 한테 께서 보다 처럼 마다 조차 밖에 이라 라고 이라고 라는 이라는
에는 에도 에서는 에서도 으로는 으로도 으로부터 로부터 에게서 에게는 한테서 까지는 까지도 부터는
이며 이고 인데 입니다 이다 이었다 였다
"""
_PARTICLES = tuple(sorted(_PARTICLE_LIST.split(), key=len, reverse=True))
_LEFT_OF_KOREAN = 2


def without_article(word: str) -> str:
    """A folded Arabic word without the article and what is written together with it; any other word as it is.

    Taken off until there is none: a word that begins like an article loses it on both sides.
    """
    if not _ARABIC[0] <= word[:1] <= _ARABIC[1]:
        return word
    while (shorter := _shortened(word, _ARTICLES)) != word:
        word = shorter
    return word


def _shortened(word: str, articles: Iterable[str]) -> str:
    for article in articles:
        if word.startswith(article) and len(word) - len(article) >= _LEFT_OF_ARABIC:
            return word.removeprefix(article)
    return word


def without_particle(word: str) -> str:
    """A Korean word without the particle at its end, if two syllables are left: what is looked for within words."""
    for particle in _PARTICLES:
        if word.endswith(particle) and len(word) - len(particle) >= _LEFT_OF_KOREAN:
            return word.removesuffix(particle)
    return word

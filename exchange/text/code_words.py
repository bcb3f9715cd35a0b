"""Codes out of the words that people write for them: ``France``, ``TLP:AMBER``, ``Urgent``, ``Illegal access``.

A word counts if one code of the list, and no other, is called so in the reader's language or in English. Nothing is
guessed from a part of a word: a code has legal effect.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from exchange.text._folding import fold
from exchange.text.labels import code_label
from keys.local.isolates import bare
from keys.local.translation import _, language
from protocol.address import MISTAKEN_COUNTRIES, parse_node
from protocol.codes import is_local_code, load_codes
from protocol.codes.likely import likely, names_of, refusal_of
from protocol.errors import InvalidAddressError, UsageError


def find_code(name: str, words: str) -> str | None:
    """The code of the list ``name`` that ``words`` stand for; None where none does, or more than one."""
    written, codes = words.strip(), load_codes(name)
    if written in codes or (codes.extensible and is_local_code(written)):
        return written
    asked = _folded(written)
    if not asked or (name == "country" and written.upper() in MISTAKEN_COUNTRIES):
        return None
    # A whole label counts before what is only its beginning: "Preserved" is not "Preserved, and followed up".
    ways: tuple[set[str], ...] = (set(), set(), set(), set())
    for code, way, called in _called(name, language()):
        if called == asked:
            ways[way].add(code)
        elif called.startswith(f"{asked} "):
            ways[-1].add(code)
    found = next((way for way in ways if way), set())
    return found.pop() if len(found) == 1 else None


def code_of(name: str, words: str, field: str = "") -> str:
    """As :func:`find_code`; raises :class:`UsageError` with the allowed values, and the likely one, about ``field``."""
    found = find_code(name, words)
    if found is None and name == "country" and _is_organisation(words):
        return words
    if found is None:
        raise UsageError(refusal(name, words)).at(field)
    return found


def refusal(name: str, words: str) -> str:
    """Why ``words`` are no code of the list: what is allowed, and the likely one by its names in both languages."""
    codes = load_codes(name)
    own = {code_label_bare(name, entry.code): entry.code for entry in codes.entries} if language() != "en" else {}
    own |= MISTAKEN_COUNTRIES if name == "country" else {}
    return refusal_of(codes, likely(codes, words, own))


def code_label_bare(name: str, code: str) -> str:
    """The label of a code in the reader's language as a program compares it, without marks of direction."""
    return bare(code_label(name, code))


# --- Inside ---


@lru_cache(maxsize=256)
def _called(name: str, _language: str) -> tuple[tuple[str, int, str], ...]:
    """Each code of a list with what it is called in one language and in English, folded."""
    entries = load_codes(name).entries
    return tuple((entry.code, way, _folded(form)) for entry in entries for way, form in _forms(name, entry.code))


def _forms(name: str, code: str) -> Iterator[tuple[int, str]]:
    """All that a code is called, the nearest as 0: itself, its label in both languages, a label's beginning (2)."""
    yield 0, code
    if code in ("yes", "no"):
        yield 0, bare(_(code))
    for label in dict.fromkeys((load_codes(name).label(code), code_label_bare(name, code))):
        for shorter, form in enumerate(names_of(label)):
            yield 1 + shorter, form


def _is_organisation(words: str) -> bool:
    """Whether it is the registered name of a member that is no country, and not a country's name with a slip in it."""
    try:
        return len(parse_node(words)) > 2 and likely(load_codes("country"), words) is None
    except InvalidAddressError:
        return False


def _folded(text: str) -> str:
    return " ".join(re.sub(r"[_\s]+", " ", fold(text)).split())

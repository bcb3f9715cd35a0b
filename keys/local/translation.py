"""Texts that people read, in the language of the environment: one gettext catalogue for both programs.

Catalogues lie beside this file, ``locale/<language>/LC_MESSAGES/comity.po`` (or compiled, ``comity.mo``). The texts in
the source are English and are the message ids; ``locale/comity.pot`` lists them all.
"""

from __future__ import annotations

import gettext
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

from keys.local.isolates import CLOSE, OPEN, isolated
from protocol.encoding.phrase import Label, Phrase

DOMAIN = "comity"
FOLDER = Path(__file__).parents[1] / "locale"
# The names of facts of a lifecycle have this context.
FACT = "fact"
_NAMING_FIELDS = frozenset({"field", "profile_field"})
# CLDR, characterOrder: not asked of Babel, as nothing that starts fast imports it.
_RIGHT_TO_LEFT = frozenset({"ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"})
_SOURCE = frozenset({"C", "POSIX", "en"})
# The catalogue for another reader than the user, where a text is made for one.
_spoken: ContextVar[gettext.NullTranslations | None] = ContextVar("spoken", default=None)
# Texts in the place of others, where they are shown elsewhere than at a terminal.
_instead: ContextVar[Mapping[str, str]] = ContextVar("instead", default=MappingProxyType({}))
# GNU gettext manual, "Locale Environment Variables": the first of these that is set decides.
_VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


def _(text: str) -> str:
    """``text`` in the user's language, or itself; of a phrase the text and each of its values; of a label its own."""
    if isinstance(text, Label):
        return pgettext(label_context(text.codes, text.code), text.entry)
    if isinstance(text, Phrase):
        return _(text.template).format(**{name: value and _(value) for name, value in text.values.items()})
    return _directed(current().gettext(_instead.get().get(text, text)))


def pgettext(context: str, text: str) -> str:
    """As :func:`_`, for a text that needs saying what it names: the same English can be two texts elsewhere."""
    return _directed(current().pgettext(context, text))


def ngettext(one: str, many: str, number: int) -> str:
    """The form for ``number`` things, in the user's language; ``one`` and ``many`` are the English ones."""
    return _directed(current().ngettext(one, many, number))


def labelled(name: str, value: object) -> str:
    """A value behind its name, with the mark between that the user's language has there."""
    return _("{name}: {value}").format(name=name, value=value)


def label_context(codes: str, code: str) -> str:
    """What the label of ``code`` in the list ``codes`` has as its context: the list's name; in a list that names
    fields, the field too, as those are single words that mean another thing in each place.
    """
    return f"{codes}.{code}" if codes in _NAMING_FIELDS else codes


def language() -> str:
    """The language of the texts, such as ``fr``: that of the catalogue in use, else English."""
    return str(current().info().get("language") or "en")


def current() -> gettext.NullTranslations:
    """The catalogue of the user's language, or of the reader's inside of :func:`speaking`."""
    return _spoken.get() or _current()


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Put all texts of the block into ``language``, for another reader than the user; English where there is none."""
    token = _spoken.set(translator(language))
    try:
        yield
    finally:
        _spoken.reset(token)


@contextmanager
def shown_instead(texts: Mapping[str, str]) -> Iterator[None]:
    """Inside, each text that is a key of ``texts`` says what stands there: a page has other ways than a terminal."""
    token = _instead.set(texts)
    try:
        yield
    finally:
        _instead.reset(token)


def translator(language: str) -> gettext.NullTranslations:
    """What puts texts into ``language``, such as ``fr``, whatever the user's own is; read once in a process."""
    return _translator(FOLDER, language)


@lru_cache(maxsize=16)
def _translator(folder: Path, language: str) -> gettext.NullTranslations:
    return catalogue(folder, {"LANGUAGE": language})


def languages() -> list[str]:
    """The languages that there are catalogues of, beside English."""
    return sorted(folder.parent.name for folder in FOLDER.glob("*/LC_MESSAGES"))


def in_language(name: str) -> gettext.NullTranslations | None:
    """The catalogue of the language ``name`` whatever the environment says; None where there is none."""
    found = catalogue(FOLDER, {"LANGUAGE": name})
    known = str(found.info().get("language") or "en")
    return found if known == name else None


def catalogue(folder: Path, environment: Mapping[str, str]) -> gettext.NullTranslations:
    """The catalogue of the first wanted language that ``folder`` has; of English, or without any, the texts as they
    are. A file that cannot be read counts as missing: no language is worth a command that does not run.
    """
    for language in _wanted(environment):
        if language in _SOURCE:
            break
        # Only names of languages: the value comes from outside and must not lead elsewhere.
        if language.replace("_", "").replace("@", "").isalnum():
            found = _load(folder / language / "LC_MESSAGES" / DOMAIN)
            if found is not None:
                return found
    return gettext.NullTranslations()


def _wanted(environment: Mapping[str, str]) -> Iterator[str]:
    """The languages asked for, best first: ``ko_KR.UTF-8`` asks for ``ko_KR``, then ``ko``."""
    value = next((environment[name] for name in _VARIABLES if environment.get(name)), "")
    for name in value.split(":"):
        base, _at, modifier = name.partition("@")
        full = base.partition(".")[0]
        if modifier:
            yield f"{full}@{modifier}"
        yield full
        yield full.partition("_")[0]


def _load(path: Path) -> gettext.NullTranslations | None:
    written, made = path.with_suffix(".po"), path.with_suffix(".mo")
    try:
        # One that is older than its text is of an earlier version.
        if not written.exists() or made.stat().st_mtime_ns >= written.stat().st_mtime_ns:
            with made.open("rb") as compiled:
                return gettext.GNUTranslations(compiled)
    except (OSError, ValueError, struct.error):
        pass
    try:
        content = written.read_bytes()
    except OSError:
        return None
    # Only here: who reads English does not wait for Babel.
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import PoFileError, read_po

    compiled_now = BytesIO()
    try:
        write_mo(compiled_now, read_po(BytesIO(content), domain=DOMAIN, abort_invalid=True))
        compiled_now.seek(0)
        return gettext.GNUTranslations(compiled_now)
    except (PoFileError, ValueError):
        return None


def is_right_to_left() -> bool:
    """Whether the user's language runs from right to left."""
    return language().partition("_")[0].partition("@")[0] in _RIGHT_TO_LEFT


def isolated_value(value: str) -> str:
    """A value that stands beside others in a line, such as a cell of a table, so that it does not turn around them."""
    return f"{OPEN}{value}{CLOSE}" if value and is_right_to_left() else value


def _directed(text: str) -> str:
    return isolated(text) if is_right_to_left() else text


def take_language_anew() -> None:
    """Speak the language that the environment names now, in a process whose environment became another one."""
    _current.cache_clear()


@cache
def _current() -> gettext.NullTranslations:
    return catalogue(FOLDER, os.environ)

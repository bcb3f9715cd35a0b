"""Every catalogue keeps to the terms that docs/translating.md lists for its language."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from keys.local.translation import FOLDER

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "translating.md"
CATALOGUES = sorted(FOLDER.glob("*/LC_MESSAGES/comity.po"))
LANGUAGES = [file.parents[1].name for file in CATALOGUES]
LEAST_TERMS = 40

TABLE = re.compile(r"^## Terms: (\S+)$(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
ROW = re.compile(r"^\|([^|\n]+)\|([^|\n]+)\|([^|\n]*)\|$", re.MULTILINE)
RULE = re.compile(r"[-: ]+")
# What programs read: examples, quoted commands, commands in a sentence, placeholders.
NOT_WORDS = re.compile(r"Example: .*?(?=\n\n|\Z)|``.*?``|\bcomity(?:-node)?(?: [a-z-]+){1,2}|\{[^{}]*\}", re.DOTALL)


@dataclass(frozen=True)
class Term:
    """An English term, and the forms of which a translation has one."""

    english: str
    forms: tuple[str, ...]

    def is_in(self, text: str) -> bool:
        """The English text has the term as a whole word, singular or plural; not in an option, a code or a path."""
        one = self.english
        several = (
            f"{one[:-1]}ies"
            if re.search("[^aeiou]y$", one)
            else f"{one}es"
            if re.search("(s|x|ch|sh)$", one)
            else f"{one}s"
        )
        words = "|".join(map(re.escape, (one, several)))
        return (
            re.search(rf"(?<![\w./=-])(?:{words})(?![\w=-]|[./]\w)", NOT_WORDS.sub("", text), re.IGNORECASE) is not None
        )

    def is_kept_by(self, translation: str) -> bool:
        return any(form in translation.casefold() for form in self.forms)


def forms(*cells: str) -> tuple[str, ...]:
    """The forms in the cells of a row, separated by a slash between spaces."""
    return tuple(form.strip().casefold() for cell in cells for form in cell.split(" / ") if form.strip())


@cache
def tables() -> dict[str, tuple[Term, ...]]:
    """The terms of each language, as the guide lists them."""
    found = {}
    for language, section in TABLE.findall(GUIDE.read_text("utf-8")):
        assert language not in found, f"{language} has two tables"
        body = [row for row in ROW.findall(section) if not RULE.fullmatch(row[0])][1:]
        found[language] = tuple(Term(english.strip(), forms(first, also)) for english, first, also in body)
    return found


def texts(file: Path) -> list[tuple[str, str]]:
    """Each English text of the catalogue with its translation; each form where there are several."""
    found = []
    for message in read_po(file.open("rb"), abort_invalid=True):
        if not message.id:
            continue
        english = message.id if isinstance(message.id, str) else message.id[-1]
        given = (message.string,) if isinstance(message.string, str) else message.string or ()
        found += [(english, text) for text in given if text]
    return found


def faults(file: Path, terms: tuple[Term, ...]) -> list[str]:
    """What the catalogue says in other words than the terms', each with its text and what was expected."""
    return [
        f"{term.english!r} is one of {' / '.join(term.forms)} in\n  {english!r}\n  {given!r}"
        for english, given in texts(file)
        for term in terms
        if term.is_in(english) and not term.is_kept_by(given)
    ]


@pytest.mark.parametrize(("language", "file"), list(zip(LANGUAGES, CATALOGUES, strict=True)), ids=LANGUAGES)
def test_a_catalogue_says_each_term_as_the_guide_lists_it(language: str, file: Path) -> None:
    found = faults(file, tables().get(language, ()))
    assert not found, f"{file}: {len(found)} texts\n" + "\n".join(found)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_guide_lists_the_terms_of_every_catalogue(language: str) -> None:
    terms = tables().get(language, ())
    english = [term.english.casefold() for term in terms]
    assert len(terms) >= LEAST_TERMS, f"docs/translating.md lists {len(terms)} terms under '## Terms: {language}'"
    assert len(english) == len(set(english)), f"'## Terms: {language}' lists a term twice"
    assert all(term.forms for term in terms)


def test_the_guide_lists_terms_of_catalogues_only() -> None:
    assert set(tables()) <= set(LANGUAGES)


@pytest.mark.parametrize("file", CATALOGUES, ids=LANGUAGES)
def test_no_english_text_has_two_translations_in_one_catalogue(file: Path) -> None:
    """A reader of catalogues keeps the last of two entries and says nothing, so the file itself is counted."""
    entries = re.findall(r'^(?:msgctxt (?:".*"\n)+)?msgid (?:".*"\n)+', file.read_text("utf-8"), re.MULTILINE)
    assert len(entries) == len(set(entries)) > LEAST_TERMS


@pytest.mark.parametrize(
    ("english", "given", "kept"),
    [
        ("The log has {count} entries.", "Записей в журнале: {count}.", True),
        ("The log has {count} entries.", "Строк в журнале: {count}.", False),
        ("Re-entry, entry.json and --entry are no words.", "", True),
        ("Show it.\n\nExample: comity entry show 7f3a", "", True),
        ("Run comity entry show, then look.", "", True),
        ("ENTRY", "Запись", True),
    ],
)
def test_a_term_is_looked_for_as_a_whole_word_of_the_text(english: str, given: str, kept: bool) -> None:
    term = Term("entry", ("запис",))
    assert kept == (not term.is_in(english) or term.is_kept_by(given))

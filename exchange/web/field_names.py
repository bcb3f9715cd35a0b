"""The fields of all forms in words, by their names: for what was typed into a form that is not there to be shown.

The words are those of the forms themselves: of the templates, of the acts, of the questions of a draft, and of the
message types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from exchange.text.labels import field_label
from exchange.web.forms.acts import LABELS
from exchange.wizard.flow import all_questions
from keys.local.translation import _
from protocol.codes import load_codes

_TEMPLATES = Path(__file__).parent / "templates"
_WORDS = r"""_\("((?:[^"\\]|\\.)*)"\)"""
# How templates name a field: by a part of pages, by a label before it, or as a box with its words behind it.
_FORMS = (
    re.compile(r'parts\.(?:field|area|choice)\("(?P<name>\w+)",\s*' + _WORDS),
    re.compile(r'<label[^>]*for="(?P<name>[\w-]+)"[^>]*>\s*\{\{ ' + _WORDS),
    re.compile(r'<input[^>]*name="(?P<name>\w+)"[^>]*>\s*(?:<span>)?\s*\{\{ ' + _WORDS),
)
# Of one part of many, such as t1.result or f.items.0.text: what the last part of it says.
_PART = re.compile(r"[.]")
_TEXTS = {
    "to": "Which nations?",
    "paste": "Paste lines as you have them, one target a line",
    "own": "Our reference",
    "say": "Say it",
}


def field_name(name: str) -> str:
    """The field of that name in the reader's words; the name itself where no form has it."""
    parts = [one for one in _PART.split(name.removesuffix(".other")) if one and not one.isdigit()]
    for one in (name, ".".join(parts[1:]), parts[-1] if parts else "", parts[0] if parts else ""):
        if one and (told := _told(one)):
            return told
    return name


def _told(name: str) -> str:
    if name in _known():
        return _(_known()[name])
    if name in load_codes("field"):
        return field_label(name)
    return ""


@cache
def _known() -> Mapping[str, str]:
    """By the name of a field, its words in English: what several forms name otherwise has the words of the first."""
    found: dict[str, str] = {}
    for name, text in (*_of_templates(), *_of_questions(), *((name, told[0]) for name, told in LABELS.items())):
        found.setdefault(name, text)
    return found


def _of_templates() -> Iterator[tuple[str, str]]:
    for file in sorted(_TEMPLATES.rglob("*.html")):
        text = file.read_text("utf-8")
        for form in _FORMS:
            for match in form.finditer(text):
                yield match["name"], match[2].replace('\\"', '"')


def _of_questions() -> Iterator[tuple[str, str]]:
    for step in all_questions():
        yield step.name.removeprefix("each."), step.prompt
        yield step.name, step.prompt

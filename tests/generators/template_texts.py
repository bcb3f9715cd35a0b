"""Finds the texts that people read in templates of pages, and those that bypass the catalogues, by Jinja's parser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, nodes

from tests.generators.source_texts import SourceText

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("exchange", "keys", "node", "protocol")
# Which arguments of these calls are the text, its plural, and its context.
_CALLS = {"_": (0, None, None), "ngettext": (0, 1, None), "pgettext": (1, None, 0)}
# Attributes that a person reads or hears.
_READ = frozenset({"alt", "aria-label", "aria-description", "aria-roledescription", "label", "placeholder", "title"})
_WORD = re.compile(r"[A-Za-z]{2,}")
# A macro may be a row of attributes.
_ATTRIBUTE = re.compile(r'[a-z-]+="[^"]*"')
_SENTENCE = re.compile(r"[A-Za-z]{2,}[,;:.]? [A-Za-z]{2,}|^[A-Z][a-z]+")
# The name of the program, and what is the same in every language.
NAMES = frozenset({"Comity", "UTC", "SHA", "STIX", "MISP", "PDF", "JSON", "CSV", "TLP"})
_ENVIRONMENT = Environment(autoescape=True)


class TemplateText(NamedTuple):
    """Something in a template: the line, and what stands there."""

    line: int
    text: str


def templates() -> list[Path]:
    """All templates, of every program."""
    return sorted(
        file for package in PACKAGES for file in (ROOT / package).rglob("*.html") if "templates" in file.parts
    )


def texts_in_template(source: str) -> Iterator[SourceText]:
    """Every text that a template puts through the catalogues."""
    for call in _ENVIRONMENT.parse(source).find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name in _CALLS:
            places = _CALLS[call.node.name]
            text, plural, context = (None if place is None else _constant(call, place) for place in places)
            if text is not None:
                yield SourceText(text, plural, context)


def bare_texts(source: str) -> Iterator[TemplateText]:
    """What people would read in English whatever their language: in the page, in attributes, and in expressions."""
    yield from _Page.read(source)
    tree = _ENVIRONMENT.parse(source)
    taken = {
        id(one)
        for call in tree.find_all(nodes.Call)
        if isinstance(call.node, nodes.Name) and call.node.name in _CALLS
        for one in call.args
    }
    # A test compares, and a filter's argument is a format.
    taken |= {id(one) for kind in (nodes.Compare, nodes.Filter, nodes.Test) for at in tree.find_all(kind)
              for one in at.find_all(nodes.Const) if not any(id(one) == id(arg) for arg in _shown(at))}  # fmt: skip
    for constant in tree.find_all(nodes.Const):
        read = isinstance(constant.value, str) and _SENTENCE.search(constant.value) is not None
        if read and id(constant) not in taken and not set(_WORD.findall(constant.value)) <= NAMES:
            yield TemplateText(constant.lineno, constant.value)


def dangers(source: str) -> Iterator[TemplateText]:
    """Ways past the escaping and past the policy of the pages."""
    for pattern, why in _DANGERS:
        for found in pattern.finditer(source):
            yield TemplateText(source.count("\n", 0, found.start()) + 1, f"{why}: {found[0][:60]!r}")


_DANGERS = tuple(
    (re.compile(pattern, re.IGNORECASE), why)
    for pattern, why in (
        (r"\|\s*safe\b|\bMarkup\b|\{%-?\s*(?:autoescape|filter)\b", "escaping is turned off"),
        (r"<script\b(?![^>]*\bsrc=)", "a script in the page"),
        (r"<style\b|\sstyle\s*=", "a style in the page"),
        (r"\s(?:on[a-z]+|hx-on[:\w-]*|srcdoc|formaction)\s*=(?!=)", "a handler in the page"),
        (r"=\s*[\"']?\s*(?:javascript|vbscript|data):", "an address that is a program"),
        (r"\bhx-(?:vals|vars|headers|request)\s*=\s*[\"']\s*js:", "an attribute that is a program"),
        (r"=\s*[\"']?\s*(?:https?:)?//", "an address elsewhere"),
        (r"\s[\w:-]+=\{\{", "an attribute without quotation marks"),
        (
            r"\s(?:href|src|action|hx-(?:get|post|put|delete))\s*=\s*[\"']\s*\{\{(?!\s*asset\()(?![^}]*\|\s*own_path\s*\}\})",
            "an address that may be of any kind: | own_path",
        ),
        (r"\}\}\\[\"']", "a backslash behind a value: HTML has no such escape, it goes into the address"),
        (r"<(?:iframe|object|embed|base|applet)\b", "an element that holds other pages"),
    )
)


def _constant(call: nodes.Call, place: int) -> str | None:
    found = call.args[place] if place < len(call.args) else None
    return found.value if isinstance(found, nodes.Const) and isinstance(found.value, str) else None


def _shown(at: nodes.Node) -> Iterator[nodes.Node]:
    """What a filter shows: the value before it, where it is a constant."""
    if isinstance(at, nodes.Filter) and isinstance(at.node, nodes.Const):
        yield at.node


class _Page(HTMLParser):
    """The page as it stands in the template, with nothing where a value or a statement is."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[TemplateText] = []

    @classmethod
    def read(cls, source: str) -> list[TemplateText]:
        parser = cls()
        kept: list[str] = []
        for _line, kind, value in _ENVIRONMENT.lex(source):
            kept.append(value if kind == "data" else "\n" * value.count("\n") + " " * (kind == "block_end"))
        parser.feed("".join(kept))
        parser.close()
        return parser.found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in _READ or (tag == "input" and name == "value" and ("type", "submit") in attrs):
                self._look(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:
            self._look(data)

    def _look(self, text: str) -> None:
        text = _ATTRIBUTE.sub("", text)
        if not set(_WORD.findall(text)) <= NAMES:
            self.found.append(TemplateText(self.getpos()[0], " ".join(text.split())))

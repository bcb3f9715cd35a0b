"""Writes keys/locale/comity.pot, every text that people read: run it from the root of the checkout.

It holds what stands in ``_( )`` and ``phrase( )`` in all four packages and their templates of pages, the help of
``comity-node``'s commands, what each typed error says and advises, what the check of a draft says of each field, and
the labels of the code lists (countries and languages are named by CLDR instead). A label has its list as context, a
field's name the field too: the same English word may be another word elsewhere.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po

import exchange
import node
from keys.commands import documented
from keys.local.translation import FACT, label_context
from node.cli._commands import ROWS
from protocol.codes.loader import list_names, load_codes
from protocol.errors import ComityError
from protocol.lifecycle._owed import _DUTIES
from protocol.lifecycle.facts import CaseFact
from protocol.messages.schema.fields import Legal
from tests.generators.source_texts import SourceText, texts_in
from tests.generators.template_texts import templates, texts_in_template

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "keys" / "locale" / "comity.pot"
NAMED_BY_CLDR = frozenset({"country", "language"})


def texts() -> Iterator[tuple[SourceText, str]]:
    """(text, file that it stands in)."""
    for folder in ("exchange", "keys", "node", "protocol"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            for text in texts_in(file):
                yield text, file.relative_to(ROOT).as_posix()
    for file in templates():
        for text in texts_in_template(file.read_text("utf-8")):
            yield text, file.relative_to(ROOT).as_posix()
    yield SourceText(Legal("").missing), "protocol/messages/schema/fields.py"
    for help_text in documented(ROWS):
        yield SourceText(help_text), "node/cli"
    for kind in sorted(_errors(), key=lambda kind: (kind.__module__, kind.code)):
        file = kind.__module__.replace(".", "/") + ".py"
        yield SourceText(kind().detail), file
        yield SourceText(kind.advice), file
    for fact in _facts(CaseFact):
        yield SourceText(fact.NAME, context=FACT), "protocol/lifecycle/facts.py"
    for source in sorted(_sources()):
        yield SourceText(source), "protocol/lifecycle/profiles.json"
    for name in list_names():
        if name not in NAMED_BY_CLDR:
            for entry in load_codes(name).entries:
                label = SourceText(entry.label, context=label_context(name, entry.code))
                yield label, f"protocol/codes/{name}.json"


def template() -> str:
    """The catalogue template, without dates and line numbers, so that it changes only when a text does."""
    places: dict[SourceText, set[str]] = {}
    for text, file in texts():
        if text.text:
            places.setdefault(text, set()).add(file)
    made = Catalog(
        domain="comity",
        project="Comity",
        version="1",
        header_comment="# Texts of Comity, for translators. Apache-2.0.",
        fuzzy=False,
    )
    for text in sorted(places, key=lambda text: (min(places[text]), text.text, text.context or "")):
        made.add(
            text.text if text.plural is None else (text.text, text.plural),
            locations=[(file, 0) for file in sorted(places[text])],
            flags=["python-brace-format"] if "{" in text.text else [],
            context=text.context,
        )
    written = BytesIO()
    write_po(written, made, width=100, omit_header=False, include_lineno=False, sort_output=False)
    lines = written.getvalue().decode("utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(_VARYING))


_VARYING = ('"POT-Creation-Date', '"PO-Revision-Date', '"Generated-By', '"Last-Translator', '"Report-Msgid')


def _facts(base: type[CaseFact]) -> Iterator[type[CaseFact]]:
    """The facts that have a name, with those under a base of their own."""
    for kind in base.__subclasses__():
        if kind.NAME:
            yield kind
        yield from _facts(kind)


def _sources() -> set[str]:
    """What due dates rest on, part by part, as a case shows them."""
    profiles = json.loads((ROOT / "protocol/lifecycle/profiles.json").read_text("utf-8"))
    rows = [row for part in profiles.values() if isinstance(part, list) for row in part if isinstance(row, dict)]
    named = [str(row["source"]) for row in rows if row.get("source")]
    duties = [one for duty in _DUTIES for one in (duty, duty.then) if one is not None]
    return {part for source in (*named, *(duty.source for duty in duties)) for part in source.split("; ")}


def _errors() -> set[type[ComityError]]:
    for package in (exchange, node):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    found: set[type[ComityError]] = set()
    waiting: list[type[ComityError]] = [ComityError]
    while waiting:
        kind = waiting.pop()
        if kind.__module__.partition(".")[0] in {"protocol", "keys", "node", "exchange"}:
            found.add(kind)
        waiting += kind.__subclasses__()
    return found


if __name__ == "__main__":
    TEMPLATE.write_text(template(), encoding="utf-8")

"""Texts come in the language of the environment, and the template lists all of them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from gettext import c2py
from io import BytesIO
from pathlib import Path

import pytest
from babel import Locale
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from typer.testing import CliRunner

from exchange.text.labels import code_label
from keys.local import translation
from keys.local.translation import FOLDER, catalogue, label_context, ngettext, pgettext
from protocol.codes import load_codes
from protocol.codes.loader import list_names
from tests.generators import load_script

PLACEHOLDER = re.compile(r"\{[^{}]*\}")


def written(folder: Path, language: str, *, compiled: bool = False, **texts: str) -> Path:
    made = Catalog(locale=language.partition("@")[0], domain="comity")
    for number, (name, text) in enumerate(texts.items()):
        made.add(name.replace("_", " "), text, lineno=number)
    out = BytesIO()
    (write_mo if compiled else write_po)(out, made)
    path = folder / language / "LC_MESSAGES" / f"comity.{'mo' if compiled else 'po'}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out.getvalue())
    return folder


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    "environment",
    [
        {"LANGUAGE": "fr"},
        {"LANG": "fr_FR.UTF-8"},
        {"LANGUAGE": "ko:fr", "LANG": "C"},
        {"LANGUAGE": "", "LC_ALL": "fr_CA"},
        {"LC_MESSAGES": "fr_BE.UTF-8@euro", "LANG": "en_GB.UTF-8"},
    ],
)
def test_the_first_language_that_there_is_counts(tmp_path: Path, environment: dict[str, str], compiled: bool) -> None:
    folder = written(tmp_path, "fr", compiled=compiled, refused="refusé")
    assert catalogue(folder, environment).gettext("refused") == "refusé"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LANG": "C.UTF-8"},
        {"LANG": "en_US.UTF-8"},
        {"LANGUAGE": "en:fr"},
        {"LANG": "ko_JP.UTF-8"},
        {"LANG": "../fr"},
    ],
)
def test_without_a_catalogue_the_text_stays_english(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = written(tmp_path, "fr", refused="refusé")
    assert catalogue(folder / "fr", environment).gettext("refused") == "refused"
    assert catalogue(folder, environment).gettext("refused") == "refused"


def test_what_a_catalogue_lacks_stays_english(tmp_path: Path) -> None:
    made = catalogue(written(tmp_path, "fr", refused=""), {"LANG": "fr"})
    assert (made.gettext("refused"), made.gettext("holds")) == ("refused", "holds")


def test_a_compiled_catalogue_counts_only_while_it_is_not_older_than_its_text(tmp_path: Path) -> None:
    made = written(tmp_path, "fr", compiled=True, refused="ancien") / "fr" / "LC_MESSAGES"
    written(tmp_path, "fr", refused="refusé")
    for age_s, text in ((0, "ancien"), (1, "refusé"), (-1, "ancien")):
        os.utime(made / "comity.po", (2_000_000, 2_000_000))
        os.utime(made / "comity.mo", (2_000_000 - age_s, 2_000_000 - age_s))
        assert catalogue(tmp_path, {"LANG": "fr"}).gettext("refused") == text


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b'msgid "a"\nmsgstr "b'])
@pytest.mark.parametrize("ending", ["po", "mo"])
def test_a_damaged_catalogue_stops_nobody(tmp_path: Path, ending: str, content: bytes) -> None:
    path = written(tmp_path, "fr", refused="refusé") / "fr" / "LC_MESSAGES" / "comity.po"
    path.unlink()
    path.with_suffix(f".{ending}").write_bytes(content)
    assert catalogue(tmp_path, {"LANG": "fr"}).gettext("refused") == "refused"


@pytest.mark.long
def test_a_refusal_and_its_advice_are_told_in_the_users_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from exchange.cli.main import app

    advice = "See_the_command's_--help_for_an_example."
    refusal = "refused_({code}):_{detail}"
    folder = written(tmp_path, "fr", **{refusal: "refusé ({code}) : {detail}", advice: "Voir --help."})
    monkeypatch.setattr(translation, "FOLDER", folder)
    monkeypatch.setenv("LANGUAGE", "fr")
    translation._current.cache_clear()
    try:
        result = CliRunner().invoke(app, ["new", "no-such-type"])
    finally:
        translation._current.cache_clear()
    assert result.exit_code == 2
    assert result.stderr.startswith("refusé (usage) : ")
    assert result.stderr.endswith("Voir --help.\n")


@pytest.mark.long
def test_the_template_lists_every_text_of_the_programs() -> None:
    script = load_script("tests/generators/message_template.py")
    assert script.TEMPLATE.read_text("utf-8") == script.template(), "run python tests/generators/message_template.py"


def test_every_translation_keeps_the_placeholders_of_its_text_in_every_form() -> None:
    for file in FOLDER.rglob("*.po"):
        for message in read_po(file.open("rb"), abort_invalid=True):
            if not message.id:
                continue
            many = forms(message.id)[-1]
            for string in filter(None, forms(message.string)):
                wanted, given = (sorted(PLACEHOLDER.findall(text)) for text in (many, string))
                assert wanted == given, f"{file}: {message.id}"


def forms(text: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)


# --- One and several ---------------------------------------------------------------------------------------------

# What stands for how many, or for a place in a row; every other placeholder stands for words.
NUMBERS = frozenset(
    {
        "added",
        "agree",
        "all",
        "already",
        "asked",
        "attempts",
        "beside",
        "bundles",
        "bytes",
        "cells",
        "columns",
        "cosigned",
        "count",
        "days",
        "drafts",
        "entry",
        "envelopes",
        "few",
        "files",
        "final_size",
        "first",
        "fit",
        "hours",
        "index",
        "last",
        "left_out",
        "limit",
        "members",
        "messages",
        "minutes",
        "most",
        "n",
        "needed",
        "new",
        "nobody",
        "notes",
        "number",
        "ours",
        "overdue",
        "page",
        "pages",
        "part",
        "parts",
        "receipts",
        "received",
        "seconds",
        "segments",
        "share",
        "size",
        "size_bytes",
        "statements",
        "submitted",
        "timestamps",
        "total",
        "version",
        "well",
        "whole",
        "withheld",
        "witnesses",
    }
)
WORDS = frozenset(
    {
        "actions",
        "address",
        "addresses",
        "advice",
        "agency",
        "allowed",
        "articles",
        "asker",
        "at",
        "authority",
        "basis",
        "begins",
        "by",
        "card",
        "case",
        "cases",
        "category",
        "cause",
        "chains",
        "channel",
        "checks",
        "claim",
        "client",
        "clock",
        "code",
        "codes",
        "column",
        "contact",
        "content",
        "country",
        "course",
        "dating",
        "day",
        "decision",
        "desk",
        "detail",
        "digest",
        "done",
        "draft",
        "due",
        "end",
        "ends",
        "error",
        "event",
        "example",
        "expires",
        "far",
        "federation",
        "field",
        "fields",
        "family",
        "file",
        "folder",
        "format",
        "formats",
        "found",
        "free",
        "giver",
        "hash",
        "hashes",
        "here",
        "holders",
        "home",
        "id",
        "instrument",
        "issuer",
        "key",
        "kid",
        "kind",
        "known",
        "language",
        "languages",
        "left",
        "level",
        "levels",
        "likely",
        "limbs",
        "line",
        "log",
        "mark",
        "marks",
        "meaning",
        "message",
        "more",
        "name",
        "named",
        "names",
        "nation",
        "nations",
        "needed_by",
        "network",
        "no",
        "node",
        "nodes",
        "note",
        "numbers",
        "office",
        "officer",
        "ok",
        "one",
        "option",
        "origin",
        "other",
        "outcome",
        "parent",
        "partner",
        "party",
        "path",
        "payer",
        "peers",
        "person",
        "pid",
        "port",
        "prefix",
        "problem",
        "program",
        "proof",
        "ranges",
        "rate",
        "read",
        "reason",
        "recipient",
        "recipients",
        "reference",
        "role",
        "root",
        "rule",
        "rules",
        "scanner",
        "second",
        "sections",
        "sender",
        "short",
        "signature",
        "signed",
        "source",
        "span",
        "standing",
        "start",
        "state",
        "states",
        "status",
        "step",
        "subject",
        "taker",
        "target",
        "targets",
        "telephone",
        "terms",
        "text",
        "there",
        "thing",
        "thread",
        "time",
        "type",
        "typed",
        "types",
        "unit",
        "urgency",
        "url",
        "valid",
        "value",
        "waiting",
        "wanted",
        "ways",
        "what",
        "who",
        "whom",
        "why",
        "wrong",
        "yes",
        "zone",
    }
)
# Behind a number these are no things that it counts. Symbols of units have one form.
NOT_COUNTED = frozenset({"a", "by", "d", "from", "h", "in", "is", "min", "ms", "of", "s", "to", "well"})
COUNTING = re.compile(r"\{(\w+)\}\s+([A-Za-z]+)")


def test_a_text_that_counts_things_has_a_form_for_each_count() -> None:
    for message in template_texts():
        for text in forms(message.id):
            assert {name.strip("{}") for name in PLACEHOLDER.findall(text)} <= NUMBERS | WORDS, (
                f"number or word? {text}"
            )
        if isinstance(message.id, str):
            counted = [thing for name, thing in COUNTING.findall(message.id) if name in NUMBERS - {"index", "entry"}]
            assert set(counted) <= NOT_COUNTED, f'write it with ngettext, or as "things: {{n}}": {message.id}'


def template_texts() -> list[Message]:
    with (FOLDER / "comity.pot").open("rb") as file:
        return [message for message in read_po(file) if message.id]


LANGUAGES = sorted(path.parent.parent.name for path in FOLDER.glob("*/LC_MESSAGES/comity.po"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_plural_forms_of_a_language_are_those_of_cldr_in_their_order(language: str) -> None:
    category = Locale.parse(language).plural_form
    with (FOLDER / language / "LC_MESSAGES" / "comity.po").open("rb") as file:
        plural = read_po(file, abort_invalid=True)
    used = [name for name in ("zero", "one", "two", "few", "many", "other") if name in map(category, range(1_000))]
    assert plural.num_plurals == len(used)
    index = c2py(plural.plural_expr)
    assert [used[index(number)] for number in range(1_000)] == [category(number) for number in range(1_000)]


@pytest.mark.parametrize(("number", "said"), [(1, "1 запись"), (2, "2 записи"), (5, "5 записей"), (21, "21 запись")])
def test_a_count_gets_the_form_of_the_users_language(
    tmp_path: Path, use: Callable[[str, Path], None], number: int, said: str
) -> None:
    made = Catalog(locale="ru", domain="comity")
    made.add(("{n} entry", "{n} entries"), ("{n} запись", "{n} записи", "{n} записей"))
    use("ru", saved(tmp_path, "ru", made))
    assert ngettext("{n} entry", "{n} entries", number).format(n=number) == said


# --- The same English, two texts ----------------------------------------------------------------------------------


def test_labels_of_two_lists_and_names_of_two_fields_are_translated_apart(
    tmp_path: Path, use: Callable[[str, Path], None]
) -> None:
    made = Catalog(locale="es", domain="comity")
    made.add("Misuse of devices", "Abuso de los dispositivos", context="offence_budapest")
    made.add("Misuse of devices", "Uso indebido de dispositivos", context="offence_un")
    made.add("Text", "Texto", context="field.text")
    made.add("Text", "Documento de texto", context="attachment_media")
    use("es", saved(tmp_path, "es", made))
    texts = [("offence_budapest", "misuse_of_devices"), ("offence_un", "misuse_of_devices")]
    assert [pgettext(label_context(*label), "Misuse of devices") for label in texts] == [
        "Abuso de los dispositivos",
        "Uso indebido de dispositivos",
    ]
    assert (code_label("field", "text"), code_label("attachment_media", "text/plain")) == (
        "Texto",
        "Documento de texto",
    )


def test_every_label_and_field_name_of_the_template_has_its_context() -> None:
    template = {(message.context, message.id) for message in template_texts()}
    for name in list_names():
        if name not in {"country", "language"}:
            for entry in load_codes(name).entries:
                assert (label_context(name, entry.code), entry.label) in template
    contexts = {label_context("field", entry.code) for entry in load_codes("field").entries}
    assert len(contexts) == len(load_codes("field").entries)


def saved(folder: Path, language: str, made: Catalog) -> Path:
    path = folder / language / "LC_MESSAGES" / "comity.po"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        write_po(file, made)
    return folder


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, Path], None]]:
    def choose(language: str, folder: Path) -> None:
        monkeypatch.setattr(translation, "FOLDER", folder)
        monkeypatch.setenv("LANGUAGE", language)
        translation._current.cache_clear()

    yield choose
    translation._current.cache_clear()

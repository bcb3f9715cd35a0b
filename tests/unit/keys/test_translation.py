"""Texts come in the language of the environment, and the template lists all of them."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from typer.testing import CliRunner

from keys.local import translation
from keys.local.translation import FOLDER, catalogue
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
        {"LANG": "ko_KR.UTF-8"},
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
    folder = written(tmp_path, "fr", **{"refused": "refusé", advice: "Voir --help."})
    monkeypatch.setattr(translation, "FOLDER", folder)
    monkeypatch.setenv("LANGUAGE", "fr")
    translation._current.cache_clear()
    try:
        result = CliRunner().invoke(app, ["new", "no-such-type"])
    finally:
        translation._current.cache_clear()
    assert result.exit_code == 2
    assert result.stderr.startswith("refusé (usage): ")
    assert result.stderr.endswith("Voir --help.\n")


@pytest.mark.long
def test_the_template_lists_every_text_of_the_programs() -> None:
    script = load_script("tests/generators/message_template.py")
    assert script.TEMPLATE.read_text("utf-8") == script.template(), "run python tests/generators/message_template.py"


def test_every_translation_keeps_the_placeholders_of_its_text() -> None:
    for file in FOLDER.rglob("*.po"):
        for message in read_po(file.open("rb"), abort_invalid=True):
            if message.string and message.id:
                wanted, given = (sorted(PLACEHOLDER.findall(text)) for text in (message.id, message.string))
                assert wanted == given, f"{file}: {message.id}"

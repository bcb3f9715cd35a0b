"""In a language from right to left what runs the other way comes out in order, and nobody else turns a line around."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal
from uuid import UUID

import pytest
from babel.messages.pofile import read_po
from bidi import get_display
from hypothesis import given
from hypothesis import strategies as st

from exchange.cli.output import line, table
from exchange.desk.notify import summary
from exchange.evidence._bag_readme import _counted, _in, readme, readmes
from keys.local import translation
from keys.local.isolates import CLOSE, OPEN, bare, isolated, shown
from keys.local.printing import printable, printable_json, printable_line, printable_text
from keys.local.terminal import refuse
from keys.local.translation import FOLDER, _, labelled
from protocol.errors import UsageError

ARABIC = "\u0627\u0644\u0631\u0633\u0627\u0644\u0629"  # "the message"
ORDERED = (
    "24-7@fr",
    "--out",
    "+81350000247",
    "2026-11-23T09:00",
    "2026-11-23 09:00:00Z",
    "/media/usb/for-node.2",
    "203.0.113.7:51544",
    "018f3c1e-7c1a-7f3a-9c01-2b7d5e0a4f10",
    "comity duty add kim --from 2026-11-23T20:00:00+09:00 --to 2026-11-24T08:00:00+09:00",
    "comity case note 7f3a 'Called Paris at 4:10.'",
)
ISOLATES = "\u2066\u2067\u2068\u2069"
TURNING = ISOLATES + "\u202a\u202b\u202c\u202d\u202e"
# What must come out as it stands: an option, an address, a telephone number, a time, a path or command.
IN_ORDER = re.compile(
    r"(?<![\w-])--[a-z][a-z-]*[a-z]|[a-z0-9-]+@[a-z]{2}(?![a-z])|\+[0-9]{7,}|\d{4}-\d\d-\d\dT[0-9:]+(?:Z|[+]\d\d:\d\d)?"
    r"|comity(?:-node)?(?: [a-z0-9.:/@+-]*[a-z0-9/])+"
)


def seen(text: str, base: Literal["R"] | None = "R") -> str:
    """``text`` as a terminal shows it from left to right, without what cannot be seen; None: by its first letter."""
    return "".join(c for c in get_display(text, base_dir=base) if c not in TURNING)


@pytest.fixture
def arabic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LANGUAGE", "ar")
    translation._current.cache_clear()
    yield
    translation._current.cache_clear()


@pytest.mark.parametrize("value", ORDERED)
def test_a_value_in_a_text_comes_out_in_order(value: str) -> None:
    text = f"{ARABIC} {{value}}: {ARABIC}"
    assert value in seen(shown(isolated(text).format(value=value)))
    assert value in ("+81350000247", *ORDERED[4:]) or value not in seen(text.format(value=value))


@pytest.mark.parametrize("value", ORDERED)
@pytest.mark.parametrize(
    "around", ["{} " + ARABIC, ARABIC + ": {}", ARABIC + " ({}) " + ARABIC, ARABIC + " {}. " + ARABIC]
)
def test_what_stands_in_a_translation_comes_out_in_order(value: str, around: str) -> None:
    assert value in seen(shown(isolated(around.format(value))))


def test_every_option_address_time_and_command_of_the_arabic_texts_comes_out_in_order() -> None:
    with (FOLDER / "ar" / "LC_MESSAGES" / "comity.po").open("rb") as file:
        texts = [text for entry in read_po(file) for text in forms(entry.string)]
    lines = [line for text in texts for line in text.split("\n") if IN_ORDER.search(line)]
    assert len(lines) > 80
    for text in lines:
        made = seen(shown(isolated(text)).format_map(Braces()))
        assert [found for found in IN_ORDER.findall(text) if found not in made] == [], text
    assert any(found not in seen(text) for text in lines for found in IN_ORDER.findall(text))


class Braces(dict[str, str]):
    """Leaves the places for values as they are."""

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"


def forms(text: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)


@given(st.text(alphabet=ARABIC + "ab1-@.:,()'\" {x}\n", max_size=60))
def test_marks_are_in_pairs_and_leave_the_text_as_it_is(text: str) -> None:
    marked = isolated(text)
    assert bare(marked) == text
    assert isolated(marked) == marked
    depth = 0
    for mark in re.findall(f"{OPEN}|{CLOSE}|\n", marked):
        depth += {OPEN: 1, CLOSE: -1}.get(mark, 0)
        assert depth >= 0
        assert mark != "\n" or depth == 0
    assert depth == 0


@pytest.mark.parametrize("how", [printable, printable_line, printable_text])
@pytest.mark.parametrize("turn", TURNING)
def test_nobody_else_begins_or_ends_an_isolate(how: Callable[[str], str], turn: str) -> None:
    told = shown(how(f"{OPEN}{how(f'a{turn}b')}{CLOSE}"))
    assert told.startswith("\u2068")
    assert told.endswith("\u2069")
    assert not set(told[1:-1]) & set(TURNING)
    assert f"u{{{ord(turn):x}}}" in told


def test_every_character_for_private_use_together_is_no_mark() -> None:
    every = "".join(map(chr, (*range(0xE000, 0xF900), *range(0xF0000, 0xFFFFE), *range(0x100000, 0x10FFFE))))
    assert not set(shown(printable_text(every))) & set(TURNING)
    assert json.loads(printable_json(every)) == every


def test_a_value_with_isolates_of_its_own_does_not_turn_the_line(
    arabic: None, capsys: pytest.CaptureFixture[str]
) -> None:
    line(labelled("24-7@fr", "a\u2069 \u202eb\u2068"))
    told = capsys.readouterr().out
    assert [c for c in told if c in TURNING] == ["\u2068", "\u2069"] * 2
    assert "24-7@fr" in seen(told)


def test_cells_of_a_table_stay_in_their_columns(arabic: None, capsys: pytest.CaptureFixture[str]) -> None:
    table(ARABIC, [ARABIC, "id"], [(ARABIC, "24-7@fr"), ("+81350000247", ARABIC), (None, "a\u2069")])
    rows = capsys.readouterr().out.splitlines()
    assert "24-7@fr" in seen("".join(rows))
    for row in rows:
        assert row.count("\u2068") == row.count("\u2069")
    widths = {len(bare_of(row)) for row in rows if "│" in row}
    assert len(widths) == 1


def bare_of(row: str) -> str:
    return "".join(c for c in row if c not in ISOLATES)


def test_programs_read_no_isolates_and_no_marks(arabic: None, capsys: pytest.CaptureFixture[str]) -> None:
    said = labelled(_("Written"), "24-7@fr")
    assert OPEN in said
    assert json.loads(printable_json({"said": said})) == {"said": bare(said)}
    refuse(UsageError(said), as_json=True)
    read = json.loads(capsys.readouterr().out)
    assert read["error"]["detail"] == bare(said)


def test_a_refusal_shows_its_values_in_order(arabic: None, capsys: pytest.CaptureFixture[str]) -> None:
    refuse(UsageError("there is no folder /media/usb/for-node"), as_json=False)
    told = capsys.readouterr().err
    assert OPEN not in told
    assert "(usage)" in seen(told).replace(")usage(", "(usage)")
    assert "/media/usb/for-node" in seen(told)


def test_a_file_and_a_mail_hold_no_marks(arabic: None) -> None:
    told = readme(UUID(int=7), disclosed=True)
    assert OPEN not in told
    assert not set(told) & set(TURNING)
    assert told in set(readmes(UUID(int=7), disclosed=True))
    assert OPEN not in shown(_("Comity: deadlines want attention at {desk}").format(desk="24-7@fr"))
    assert summary([])["overdue"] == 0


@pytest.mark.parametrize("files", [False, True])
def test_a_bag_says_no_number_of_lines_and_the_text_of_bags_that_did_is_known(files: bool) -> None:
    known = set(readmes(UUID(int=7), disclosed=False, files=files))
    for language in ("ar", "en", "es", "fr", "ru", "zh"):
        told = readme(UUID(int=7), disclosed=False, files=files, _=_in(language))
        counted = _counted(UUID(int=7), disclosed=False, files=files, _=_in(language))
        assert ("900" in told, "900" in counted) == (False, True)
        assert len(told.splitlines()) == len(counted.splitlines())
        assert {told, counted} <= known


@pytest.mark.parametrize("language", ["en", "es", "fr", "ru", "zh"])
def test_a_language_from_left_to_right_gets_no_marks(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", language)
    translation._current.cache_clear()
    try:
        assert OPEN not in labelled(_("Written"), "24-7@fr")
    finally:
        translation._current.cache_clear()


@pytest.mark.outside
@pytest.mark.parametrize(
    ("module", "arguments", "holds"),
    [
        ("exchange.cli.main", ("duty", "add", "--help"), ("--from 2026-11-23T20:00:00+09:00", "--to")),
        ("node.cli.main", ("join", "--help"), ("comity-node join jp bootstrap.json", "--help")),
    ],
)
def test_the_help_of_both_programs_shows_options_and_examples_in_order(
    module: str, arguments: tuple[str, ...], holds: tuple[str, ...]
) -> None:
    code = f"from {module} import main; main()"
    environment = {**os.environ, "LANGUAGE": "ar", "COLUMNS": "200", "PYTHONIOENCODING": "utf-8"}
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, check=False, cwd=Path.cwd()
    )
    told = run.stdout.decode("utf-8")
    assert run.returncode == 0, run.stderr
    assert "\u2068" in told
    assert not re.search("[\U000f0000-\U000ffffd]", told)
    # A row begins from the left or from the right, as the terminal takes it: the names of options hold in both.
    for base in (None, "R"):
        made = "\n".join(seen(row, base=base) for row in told.splitlines())
        for wanted in (*holds, "--json", "--help"):
            assert wanted in made
    assert "Show this message" not in told

"""Names of files of others: whatever they are, the name that is written is one harmless part of a path."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.content.names import MAX_NAME_BYTES, clean_name, distinct_names, folded
from keys.local.printing import printable

# Text that names are attacked with, beside any text at all.
_PARTS = "..|/|\\|C:|\u202e|\u2066|\0|\x1b[2J|\ud800|CON|nul|.| |-rf|~|\u3164|e\u0301|é|ﬁ|ß|İ"
_PARTS += "|\u200d|\U000e0041|.exe|%0a|*|?|\r\n"
PIECES = st.sampled_from([*_PARTS.split("|"), "|", "x" * 300, "漢" * 100])
ANY_TEXT = st.text(st.characters(codec=None), max_size=40)
NAMES = st.lists(st.one_of(PIECES, ANY_TEXT), max_size=8).map("".join)

WINDOWS = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


@given(NAMES)
def test_every_cleaned_name_is_one_harmless_part_of_a_path(original: str) -> None:
    name = clean_name(original)
    assert 1 <= len(name.encode()) <= MAX_NAME_BYTES
    assert not set(name) & set('/\\<>:"|?*\0')
    assert name[0] not in ".-~ "
    assert name[-1] not in ". "
    assert name.partition(".")[0].rstrip().lower() not in WINDOWS
    assert all(unicodedata.category(one) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for one in name)
    assert unicodedata.is_normalized("NFC", name)
    assert "  " not in name
    assert name.isprintable()


@given(NAMES)
def test_a_cleaned_name_stays_as_it_is(original: str) -> None:
    assert clean_name(clean_name(original)) == clean_name(original)


@given(st.lists(NAMES, max_size=12), st.lists(NAMES, max_size=4))
def test_no_two_names_of_one_folder_are_one_file_anywhere(originals: list[str], there: list[str]) -> None:
    taken = [clean_name(name) for name in there]
    names = distinct_names(originals, taken)
    assert len(names) == len(originals)
    assert len({folded(name) for name in names}) == len(names)
    assert not {folded(name) for name in names} & {folded(name) for name in taken}
    assert all(len(name.encode()) <= MAX_NAME_BYTES and clean_name(name) == name for name in names)


@pytest.mark.parametrize(
    ("original", "cleaned"),
    [
        ("server image.E01", "server image.E01"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\system32\\cmd.exe", "cmd.exe"),
        ("..", "file"),
        ("", "file"),
        (" . ", "file"),
        ("\x00", "file"),
        (".bashrc", "_bashrc"),
        ("-rf *", "_rf _"),
        ("~root", "_root"),
        ("CON", "_CON"),
        ("nul.tar.gz", "_nul.tar.gz"),
        ("aux .txt", "_aux .txt"),
        ("COM\u00b9.txt", "_COM\u00b9.txt"),
        ("context.txt", "context.txt"),
        ("photo\u202egpj.exe", "photo_gpj.exe"),
        ("invoice.pdf" + " " * 100 + ".exe", "invoice.pdf .exe"),
        ("two\nlines", "two lines"),
        ("report.", "report"),
        ("تقرير.pdf", "تقرير.pdf"),
        ("re\u0301sume\u0301.pdf", "résumé.pdf"),
        ("a\ud800b", "a_b"),
    ],
)
def test_a_name_is_cleaned_as_the_rules_say(original: str, cleaned: str) -> None:
    assert clean_name(original) == cleaned


def test_a_long_name_keeps_its_extension_and_stays_another_than_its_neighbour() -> None:
    first, second = (clean_name("漢" * 200 + letter + ".tar") for letter in "ab")
    assert first != second
    assert first.endswith(".tar")
    assert len(first.encode()) <= MAX_NAME_BYTES


def test_names_that_differ_in_case_or_form_alone_get_numbers() -> None:
    assert distinct_names(["Log.txt", "log.TXT", "re\u0301.txt", "r\u00e9.txt", "ﬁle", "FILE"], ["LOG.txt"]) == (
        "Log (2).txt",
        "log (3).TXT",
        "ré.txt",
        "ré (2).txt",
        "ﬁle",
        "FILE (2)",
    )


def test_cleaned_names_can_be_written(tmp_path: Path) -> None:
    hostile = ["\u202e" * 300, "x" * 5_000, "a/b/../..", "NUL", "\udcff", ".", "con.", "\U0001f600" * 90]
    for name in distinct_names(hostile):
        (tmp_path / name).write_bytes(b"")
    assert len(os.listdir(tmp_path)) == len(hostile)


def test_the_original_is_shown_escaped() -> None:
    assert printable("photo\u202egpj.exe\x1b") == "photo\\u{202e}gpj.exe\\u{1b}"

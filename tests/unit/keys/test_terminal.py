"""One contract of both command lines: what strangers wrote is seen and never obeyed, and every end has its code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.local.printing import printable, printable_line, printable_text
from keys.local.terminal import error_object, exit_code, refusal_lines
from protocol.errors import (
    ComityError,
    DirectoryUntrustedError,
    InvalidMessageError,
    OutputError,
    ProofInvalidError,
    RateLimitedError,
    StorageFullError,
    UsageError,
)

ROOT = Path(__file__).resolve().parents[3]
HOSTILE = "\x1b[2J\x1b]0;owned\x07\u202egnp.exe\u2066\x9b31m\r\x00"
PROGRAMS = {"comity": "exchange.cli.main", "comity-node": "node.cli.main"}


def program(name: str, *words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", PROGRAMS[name], *words]
    environment = {**os.environ, "LANGUAGE": "en", **options.pop("env", {})}
    return subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False, **options)


def is_obeyed(character: str) -> bool:
    """Whether a terminal does something with it other than showing it."""
    return unicodedata.category(character) in {"Cc", "Cs"} or character in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067"


@given(st.text())
def test_no_text_reaches_a_terminal_with_a_character_that_it_obeys(text: str) -> None:
    assert not any(is_obeyed(character) for character in printable(text) + printable_line(text))
    assert not any(is_obeyed(character) for character in printable_text(text).replace("\n", "").replace("\t", ""))


@given(st.text(alphabet=st.characters(codec="ascii", exclude_categories=["Cc"])))
def test_plain_text_is_printed_as_it_is(text: str) -> None:
    assert printable_line(text) == printable_text(text) == text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ComityError(), 1),
        (InvalidMessageError(""), 1),
        (UsageError(), 2),
        (ProofInvalidError(), 3),
        (DirectoryUntrustedError(), 3),
        (StorageFullError(), 4),
        (RateLimitedError(), 4),
    ],
)
def test_each_kind_of_refusal_has_its_exit_code(error: ComityError, code: int) -> None:
    assert exit_code(error) == code


def test_a_refusal_is_printed_without_what_a_terminal_obeys_to_people_and_to_programs() -> None:
    error = InvalidMessageError("", ((HOSTILE, HOSTILE, HOSTILE),))
    error.detail = HOSTILE
    assert not any(is_obeyed(character) for line in refusal_lines(error) for character in line)
    shown = error_object(error)["error"]
    assert (shown["code"], shown["type"]) == (error.code, f"urn:comity:error:{error.code}")


@pytest.mark.outside
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(
    "words", [("no-such-command",), ("trace", HOSTILE.replace("\0", "")), ("show",), ("inbox", "--no-such-option")]
)
def test_a_wrong_command_line_ends_with_2_and_one_json_object(name: str, words: tuple[str, ...]) -> None:
    told = program(name, *words, "--json", capture_output=True)
    assert told.returncode == 2
    assert json.loads(told.stdout)["error"]["code"] == "usage"
    shown = program(name, *words, capture_output=True)
    assert shown.returncode == 2
    assert shown.stdout == b""
    assert not any(is_obeyed(character) for character in shown.stderr.decode().replace("\n", ""))


@pytest.mark.outside
@pytest.mark.parametrize("name", PROGRAMS)
def test_output_that_cannot_take_a_character_gets_an_escape_instead(name: str) -> None:
    words = ("codes", "country") if name == "comity" else ("--help",)
    shown = program(name, *words, capture_output=True, env={"PYTHONIOENCODING": "cp1252", "LANGUAGE": "ru"})
    assert shown.returncode == 0, shown.stderr
    assert b"\\u04" in shown.stdout
    assert b"Traceback" not in shown.stderr


@pytest.mark.outside
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_full_disk_under_the_output_is_told_and_is_no_success(name: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    words = ("codes", "country") if name == "comity" else ("--help",)
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        told = program(name, *words, stdout=full, stderr=subprocess.PIPE)
    assert told.returncode == exit_code(OutputError())
    assert "refused (output)" in told.stderr.decode()
    assert "No space left" in told.stderr.decode()
    assert b"Traceback" not in told.stderr


@pytest.mark.outside
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_reader_that_goes_away_ends_the_command_without_a_word(name: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    words = ("codes", "country") if name == "comity" else ("log", "status", "nowhere", "--json")
    told = program(name, *words, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (told.returncode, told.stderr) == (141, b"")

"""The commands of a program: loaded when they are named, and help that fits a terminal in every script."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from keys.commands import CommandRow, columns, program, wrapped

CHINESE = "密封并发送草稿，请求的每个目标都须填写；否则不会发送任何内容。"


def said(
    path: Path,
    number: Annotated[int, typer.Option(min=1, max=7)] = 3,
    share: Annotated[float, typer.Option(min=0)] = 0,
    name: Annotated[list[str] | None, typer.Option("--name", help=CHINESE * 3)] = None,
    plain: Annotated[bool, typer.Option("--plain")] = False,
) -> None:
    """Say what was given."""
    values = (path, number, share, name, plain)
    print(values, [type(value).__name__ for value in values])


def broken() -> None:
    """Stands in a row only."""


ROWS = (
    CommandRow("said", f"{__name__}:said", f"{CHINESE * 4}\n\nExample: said"),
    CommandRow("nowhere", "tests.no_such_module:command", "This one cannot be imported. " * 6 + "END"),
)


@pytest.fixture
def app() -> typer.Typer:
    made = program("many", ROWS, "Many commands.")
    made.callback()(broken)
    return made


def test_the_list_of_commands_names_all_of_them_whole_and_imports_none(app: typer.Typer) -> None:
    told = CliRunner().invoke(app, ["--help"])
    assert told.exit_code == 0, told.output
    words = " ".join(told.output.split())
    assert "nowhere This one cannot be imported." in words
    assert "END" in words
    assert CHINESE * 4 in "".join(told.output.split())


def test_a_command_that_is_not_there_is_asked_for_by_its_nearest_name(app: typer.Typer) -> None:
    told = CliRunner().invoke(app, ["sayd"])
    assert told.exit_code == 2
    assert "Did you mean" in told.output


def test_no_line_of_a_help_is_wider_than_a_terminal(app: typer.Typer) -> None:
    for words in (["--help"], ["said", "--help"]):
        told = CliRunner().invoke(app, words)
        assert max(map(columns, told.output.splitlines())) <= 80


def test_values_are_read_as_the_framework_reads_them(app: typer.Typer, tmp_path: Path) -> None:
    alone = typer.Typer()
    alone.command("said")(said)
    alone.command("other")(broken)
    (tmp_path / "file").touch()
    tries = [
        ["x"],
        [str(tmp_path / "file"), "--number", "7", "--share", "2", "--name", "a", "--name", "b", "--plain"],
        [str(tmp_path), "--share", "1.5", "--number", "+2"],
        ["x", "--number", "8"],
        ["x", "--number", "0"],
        ["x", "--number", "٣"],
        ["x", "--number", "x"],
        ["x", "--share", "-1"],
        ["x", "--share", "nan"],
        ["x", "--share", "9" * 400],
        ["", "--name", ""],
    ]
    for words in tries:
        ours, theirs = (CliRunner().invoke(each, ["said", *words]) for each in (app, alone))
        assert ours.exit_code == theirs.exit_code, (words, ours.output, theirs.output)
        if ours.exit_code == 0:
            assert ours.output == theirs.output, words


@given(st.text(st.sampled_from("ab -;，。密封發送한글é\u0301\u2068\u2069"), max_size=200), st.integers(2, 30))
def test_wrapped_text_loses_nothing_and_fits(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(columns(line) <= width for line in lines)
    assert not any(line != line.strip() for line in lines)


def test_a_wide_line_breaks_between_characters_and_no_line_begins_with_a_mark_that_closes() -> None:
    lines = wrapped(CHINESE * 3, 40)
    assert all(columns(line) >= 36 for line in lines[:-1])
    assert not any(unicodedata.category(line[0]) == "Po" for line in lines)


def test_each_help_shows_what_the_command_takes(app: typer.Typer) -> None:
    told: Any = CliRunner().invoke(app, ["said", "--help"])
    assert all(word in told.output for word in ("--number", "--share", "--name", "--plain", "--help", "path"))

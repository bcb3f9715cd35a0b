"""The documentation names commands, files and tests that exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from exchange.cli.main import app as desk_app
from node.cli.main import app as node_app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "deploy" / "README.md", *(ROOT / "docs").rglob("*.md")])
COMMANDS = {"comity": typer.main.get_command(desk_app), "comity-node": typer.main.get_command(node_app)}


def leaves(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below ``command`` that does something, with the words that name it."""
    for name, found in command.commands.items():
        if hasattr(found, "commands"):
            yield from leaves(found, (*words, name))
        else:
            yield (*words, name), found


LEAVES = [(program, words, found) for program, top in COMMANDS.items() for words, found in leaves(top)]


def check(line: str) -> None:
    """The command line names a command, and only options that it has."""
    words = shlex.split(line, comments=True)
    command: Any = COMMANDS[words.pop(0)]
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    assert words == ["--help"] or not hasattr(command, "commands"), f"{line}: no such command"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert given <= known | {"--help"}, f"{line}: {given - known}"


def commands(page: Path) -> list[str]:
    """The command lines in a page's fenced blocks."""
    blocks = re.findall(r"```(?:sh|console)?\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip().split(" ")[0] in COMMANDS]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_in_the_documentation_exists_with_its_options(page: Path) -> None:
    for line in commands(page):
        check(line)


@pytest.mark.parametrize(
    ("program", "words", "command"), LEAVES, ids=lambda item: "-".join(item) if type(item) is tuple else ""
)
def test_every_command_explains_itself_with_an_example_that_is_right(
    program: str, words: tuple[str, ...], command: Any
) -> None:
    _help, _sign, example = (command.help or "").partition("Example:")
    line = " ".join(example.split())
    assert line.startswith(" ".join((program, *words)))
    check(line)


@pytest.mark.parametrize(
    ("program", "words", "command"), LEAVES, ids=lambda item: "-".join(item) if type(item) is tuple else ""
)
def test_every_command_answers_programs_with_json(program: str, words: tuple[str, ...], command: Any) -> None:
    assert "--json" in {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_in_the_documentation_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"`[^`\n]*`", "", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "threat-model.md").read_text("utf-8")))
    written = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", file.read_text("utf-8"))
    }
    assert named
    assert named <= written, named - written


def test_the_glossary_defines_each_word_once() -> None:
    lines = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    words = re.findall(r"^- \*\*([^*]+\*\*(?: \([^)]*\))?):", lines, re.MULTILINE)
    assert len(words) > 40
    assert len(words) == len(set(words)), sorted(word for word in words if words.count(word) > 1)

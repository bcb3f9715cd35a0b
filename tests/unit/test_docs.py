"""The documentation names commands, files and tests that exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from exchange.cli._acting import SHARED
from exchange.cli.main import app as desk_app
from exchange.text.labels import deadline_label
from keys.directory.cards import ContactPointCard, NodeCard
from node.cli.main import app as node_app
from node.operations.metrics import Metrics

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
    shared = SHARED if words[0] == "comity" else frozenset()
    command: Any = COMMANDS[words.pop(0)]
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    assert words == ["--help"] or not hasattr(command, "commands"), f"{line}: no such command"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert given <= known | shared | {"--help"}, f"{line}: {given - known}"


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


# --- The page of the rooms -------------------------------------------------------------------------------------------

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
NAMED = [name for name in re.findall(r"`([^`\n]+)`", ARCHITECTURE) if " " not in name]


def test_every_path_on_the_page_of_the_rooms_exists() -> None:
    paths = [name for name in NAMED if not name.startswith("/") and ("/" in name or name.endswith((".py", ".toml")))]
    assert len(paths) > 100
    assert [path for path in paths if not (ROOT / path).exists() and path != "__init__.py"] == []


def test_every_room_stands_on_its_page_with_modules_that_it_has() -> None:
    rooms = {
        f"{folder.relative_to(ROOT).as_posix()}/"
        for package in ("protocol", "keys", "node", "exchange")
        for folder in (ROOT / package).rglob("*")
        if (folder / "__init__.py").exists() and any(re.match(r"(?!__init__).*\.py$", f.name) for f in folder.iterdir())
    }
    assert rooms <= set(NAMED), rooms - set(NAMED)
    house = ARCHITECTURE.partition("\n## protocol")[2].partition("\n## tests")[0]
    entries = re.findall(r"^- `([\w/]+)/`: (.*(?:\n  .*)*)", house, re.MULTILINE)
    assert len(entries) > 30
    for room, said in entries:
        missing = [name for name in re.findall(r"`(\w+)`", said) if not (ROOT / room / f"{name}.py").exists()]
        assert not missing, f"{room}: {missing}"


def test_every_test_on_the_page_of_the_rooms_exists() -> None:
    written = "\n".join(file.read_text("utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    tests = [name for name in NAMED if re.fullmatch(r"test_\w+", name)]
    assert len(tests) > 10
    assert [name for name in tests if f"def {name}(" not in written] == []


def test_every_metric_stands_in_the_operator_guide() -> None:
    guide = (ROOT / "docs" / "operator-guide.md").read_text("utf-8")
    names = set(re.findall(r"^# TYPE (\w+)", Metrics().render(None, 0, halted=False).decode(), re.MULTILINE))
    assert names
    assert {name for name in names if f"`{name}" not in guide and not name.endswith("_created")} == set()


@pytest.mark.parametrize("card", [NodeCard, ContactPointCard])
def test_every_member_of_a_card_stands_on_the_page_of_the_directory(card: type[NodeCard | ContactPointCard]) -> None:
    page = (ROOT / "docs" / "directory.md").read_text("utf-8")
    members = {field.alias or name for name, field in card.model_fields.items()}
    assert {member for member in members if f"`{member}`" not in page} == set()


def test_every_kind_of_deadline_is_named_for_officers_and_stands_on_the_page() -> None:
    source = (ROOT / "protocol" / "lifecycle" / "deadlines.py").read_text("utf-8")
    profiles = (ROOT / "protocol" / "lifecycle" / "profiles.json").read_text("utf-8")
    kinds = {*re.findall(r"\bDeadline\(\s*\"(\w+)\"", source), *re.findall(r'"what": "(\w+)"', profiles)}
    assert {"acknowledgement", "answer", "expiry"} <= kinds
    page = (ROOT / "docs" / "lifecycle.md").read_text("utf-8")
    for kind in kinds:
        assert deadline_label(kind)
        assert f"\n| {kind} | " in page, kind

"""How pages and the code's own prose read: the doer first, and lines that fit beside the code."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("protocol", "keys", "node", "exchange")
FOLDERS = (*PACKAGES, "docs", "benchmarks", "deploy", "examples", "tests")
WIDTH = 120

# The subject of such a sentence is a clause: its reader learns last what it is about.
CLAUSE = re.compile(r"(?:What|Who|Whom|Whose|Whoever|Whatever|Whichever)\b")
# Ends of sentences, also before the closing mark of bold text; not those of abbreviations such as "Art." and "e.g.".
END = re.compile(r"(?<=[.!?])(?:\*\*|\"|\))?\s+|(?<=:\*\*)\s+|(?<=\.\*\*)\s+")
ONE_CODE = re.compile(r"^`[^`]*`[.,;:]?$")
ITEM = re.compile(r"(?:[-*]|\d+\.)\s+")


def pages() -> Iterator[Path]:
    """Every page of the project: at its top, and in each folder that the project has written."""
    yield from ROOT.glob("*.md")
    for folder in FOLDERS:
        yield from (page for page in (ROOT / folder).rglob("*.md") if "node_modules" not in page.parts)


def begins_with_a_clause(text: str) -> list[str]:
    """The sentences of ``text`` whose subject is a clause; a question may begin so."""
    sentences = END.split(re.sub(r"\s+", " ", text).strip())
    return [one for one in sentences if CLAUSE.match(one.lstrip('*("')) and not one.rstrip('*)"').endswith("?")]


def prose_lines(page: Path) -> Iterator[tuple[int, str]]:
    """The lines of a page outside of code and tables; a heading ends what stands before it."""
    in_code = False
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
            yield number, ""
        elif not in_code:
            yield number, "" if line.startswith("#") or line.lstrip().startswith("|") else line


def paragraphs(page: Path) -> Iterator[str]:
    lines: list[str] = []
    for _number, line in prose_lines(page):
        if not line.strip() or ITEM.match(line.strip()):
            yield " ".join(lines)
            lines = []
        lines.append(ITEM.sub("", line.strip(), count=1))
    yield " ".join(lines)


def docstrings(tree: ast.Module) -> Iterator[str]:
    """Of each docstring all but its first sentence: that one names a thing, and need not be a sentence."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first, *others = re.split(r"\n\s*\n|\n\s*(?=[-*] |\d+\. )", ast.get_docstring(node) or "")
            yield " ".join(END.split(re.sub(r"\s+", " ", first))[1:])
            yield from (ITEM.sub("", other.strip(), count=1) for other in others)


def comments(source: str) -> Iterator[str]:
    """The comments, those of lines that follow each other as one."""
    text, last = "", -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line = token.string.lstrip("#:- ")
            if token.start[0] == last + 1:
                text = f"{text} {line}"
            else:
                yield text
                text = line
            last = token.start[0]
    yield text


PAGES = sorted(pages())


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_a_page_wraps_and_its_sentences_begin_with_their_subject(page: Path) -> None:
    # A row of code, such as a command in a sentence, is one word: it cannot be wrapped.
    lines = [(number, ONE_CODE.sub("", line.strip())) for number, line in prose_lines(page)]
    wide = [number for number, line in lines if len(line) > WIDTH and " " in line]
    assert wide == []
    assert [found for text in paragraphs(page) for found in begins_with_a_clause(text)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_sentences_of_the_codes_prose_begin_with_their_subject(package: str) -> None:
    found = {}
    for module in sorted((ROOT / package).rglob("*.py")):
        source = module.read_text("utf-8")
        texts = (*docstrings(ast.parse(source)), *comments(source))
        if wrong := [one for text in texts for one in begins_with_a_clause(text)]:
            found[str(module.relative_to(ROOT))] = wrong
    assert found == {}


def test_every_attack_of_the_threat_model_stands_in_it_once_and_begins_with_who_attacks() -> None:
    rows = [line for line in (ROOT / "docs/threat-model.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    attacks = [row.split(" | ")[0].removeprefix("| ") for row in rows if not row.startswith("| attack |")]
    assert len(attacks) > 100
    assert [attack for attack in attacks if not attack[0].isupper()] == []
    assert len(set(attacks)) == len(attacks)


def test_every_room_says_what_it_holds_and_what_it_never_does() -> None:
    silent = []
    for package in PACKAGES:
        for room in sorted((ROOT / package).rglob("__init__.py")):
            told = ast.get_docstring(ast.parse(room.read_text("utf-8"))) or ""
            if not re.search(r"\b(?:never|no|none|nobody|nothing|not)\b", told, re.IGNORECASE):
                silent.append(str(room.relative_to(ROOT)))
    assert silent == []


def test_the_scan_sees_a_clause_and_not_a_question() -> None:
    told = (
        "All is well. What was sealed stays closed. **In short.** Whoever asks is told. What is it? It says what it is."
    )
    assert begins_with_a_clause(told) == ["What was sealed stays closed.", "Whoever asks is told."]
    assert list(comments("x = 1  # Who asks\n# waits.\n")) == ["", "Who asks waits."]
    assert [one for one in docstrings(ast.parse('"""What it is. Who asks waits.\n\nWhat else."""')) if one] == [
        "Who asks waits.",
        "What else.",
    ]

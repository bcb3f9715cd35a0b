"""What a refusal advises where it is shown: a page's own way on a page, a command at a terminal."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from exchange.office.officers import Login, Role
from exchange.web.advice import ON_PAGES, path_of, shown_on_page, ways_of
from exchange.web.lists.commands import NO_PAGE, PAGE_OF
from keys.local.translation import _
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, ConditionsOpenError, OtherKindOfIdError, registry
from tests.generators.template_texts import texts_in_template
from tests.worlds.desks import FR, JP, ROOT, World, request
from tests.worlds.web_desk import add_officer, with_officers

NAMES_COMMAND = re.compile(r"\bcomity(?:-node)? [a-z]|(?<![-\w])--[a-z]")
_COMMAND = re.compile(r"\bcomity ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)?)")
# Where no page of a desk comes from: commands, the demonstration, ceremonies, programs that verify alone.
_NO_PAGES = ("exchange/cli/", "exchange/demo/", "exchange/verifiers/", "exchange/audit", "keys/ceremony/")
_FILES = frozenset(
    {
        "exchange/cases/_derived.py",  # commands of the agenda, in a field of their own that no page shows
        "exchange/cases/agenda.py",
        "exchange/service/client.py",  # at the terminal
        "exchange/evidence/_bag_readme.py",  # a file of the bag, for who has it
        "exchange/evidence/_bag_files.py",
        "exchange/evidence/bag_reader.py",
        "exchange/desk/notify.py",  # a mail
        "exchange/web/advice.py",
        "exchange/web/lists/commands.py",
        "keys/local/passphrase.py",
        "keys/local/terminal.py",
        "keys/directory/metadata/rules.py",  # ceremonies
        "protocol/errors/_machine.py",  # usage has advice of its own on pages; the demonstration has no page
    }
)
# Errors that are raised before a desk's pages are served, or by programs that have none.
_BEFORE = frozenset(
    {
        *("desk-running", "run-folder", "session", "root-unknown", "pages-not-served"),
        *("console-code", "audit-code", "kept-audit-altered"),
    }
)
# Said of a file that was given in place of another: what made it, and no advice.
_DESCRIBES = "keys/local/given_files.py"


def texts() -> Iterator[tuple[str, str]]:
    """(file, text) of each text in which a command is named, apart from docstrings."""
    for folder in ("exchange", "keys", "protocol"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            name = file.relative_to(ROOT).as_posix()
            if not name.startswith(_NO_PAGES) and name not in _FILES:
                yield from ((name, one) for one in _named_in(file))


def _named_in(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_text("utf-8"))
    said = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr)}
    parts = {id(part) for one in ast.walk(tree) if isinstance(one, ast.JoinedStr) for part in one.values}
    for one in ast.walk(tree):
        is_text = isinstance(one, ast.Constant) and isinstance(one.value, str) and id(one) not in said | parts
        if is_text and " " in one.value and NAMES_COMMAND.search(one.value):
            yield one.value


def _decided() -> set[str]:
    """What is said of a draft that is decided, some of which leads somewhere on a page."""
    tree = ast.parse((ROOT / "exchange" / "office" / "release.py").read_text("utf-8"))
    return {one.value for one in ast.walk(tree) if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def has_page(text: str) -> list[str]:
    """The commands that a text names and that a page does."""
    named = [found.group(1) for found in _COMMAND.finditer(text)]
    return [one for one in named if one in PAGE_OF or one.partition(" ")[0] in PAGE_OF]


def test_every_text_that_names_a_command_says_something_else_on_a_page() -> None:
    never = {registry()[code].advice for code in _BEFORE}
    forgotten = [
        (file, text)
        for file, text in texts()
        if text not in ON_PAGES and text not in never and (file != _DESCRIBES or has_page(text))
    ]
    assert forgotten == []
    # An error that is raised without words says its docstring.
    own = {(kind.__doc__ or "").strip().partition("\n")[0] for kind in registry().values()}
    written = {text for _file, text in texts()} | {kind.advice for kind in registry().values()} | own | _decided()
    assert {*ON_PAGES} - written == set(), "no such text is written anywhere any more"


def test_no_text_of_a_page_names_a_command_that_a_page_does_and_of_others_it_says_whom_to_ask() -> None:
    for told in ON_PAGES.values():
        assert has_page(told.text) == [], told.text
        assert not re.search(r"(?<![-\w])--[a-z]", told.text)
        for found in _COMMAND.finditer(told.text):
            assert any(found.group(1) in {one, one.partition(" ")[0]} for one in NO_PAGE), told.text
        if NAMES_COMMAND.search(told.text):
            assert re.search(r"administrator|operator", told.text), told.text


def test_no_template_of_a_page_names_a_command_that_a_page_does() -> None:
    folders = (ROOT / "exchange" / "web" / "templates", ROOT / "keys" / "pages" / "templates")
    named = {
        (file.name, text.text): has_page(text.text)
        for folder in folders
        for file in folder.rglob("*.html")
        for text in texts_in_template(file.read_text("utf-8"))
    }
    assert {one: commands for one, commands in named.items() if commands} == {}


def test_the_same_error_names_the_command_at_a_terminal_and_the_page_on_a_page() -> None:
    problem = ConditionsOpenError()
    assert "comity accept-conditions" in _(problem.advice)
    with shown_on_page({"message": "0198"}):
        assert _(problem.advice) == "Accept them, or decline them; then it opens or stays closed."
        assert ways_of(problem) == [
            ("/messages/0198/do/accept-conditions", "Accept the conditions"),
            ("/messages/0198/reply/condition.decline", "Decline the conditions"),
        ]
    assert "comity accept-conditions" in _(problem.advice)


def test_a_text_within_a_text_says_the_pages_way_too_and_a_value_never_leads_elsewhere() -> None:
    inner = phrase("{short} is a message, and proved: comity show {short}", short="../../x?y#z")
    problem = OtherKindOfIdError(phrase("{why}; nothing was done", why=inner))
    with shown_on_page(MappingProxyType({})):
        assert "comity" not in _(problem.detail)
        assert ways_of(problem)[0] == ("/messages/..%2F..%2Fx%3Fy%23z", "Open it")
    assert ways_of(ComityError("nothing of the table")) == []


@pytest.mark.outside
async def test_every_page_that_a_refusal_leads_to_is_served_and_open_to_the_officer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch)
    async with world.open(FR) as fr:
        asked = (await fr.messages.send(request(to=["24-7@jp"]))).id
        async with with_officers(world, JP) as pages, pages.visitor() as visitor:
            desk = await pages.service.desk(Login("a-tanaka", b"a blue bicycle at dawn"))
            await desk.messages.sync()
            await add_officer(pages, "b-sato", b"a red kettle at noon", frozenset({Role.DRAFTER}))
            await visitor.sign_in("b-sato", "a red kettle at noon")
            draft = await new_draft(visitor)
            ways = [way for told in ON_PAGES.values() for way in told.ways]
            paths = {path_of(way, known) for way in ways for known in known_parts(str(asked), draft)}
            closed = {}
            for path in sorted(one for one in paths if one is not None):
                shown = await visitor.get(path)
                if shown.status not in {200, 409}:  # 409: nothing of the kind is open in this very case
                    closed[path] = shown.status
            # What is of another kind than the text says is not there under its name.
            assert {path for path in closed if not path.startswith(("/unproved/", "/parents/"))} == set()


async def new_draft(visitor: Any) -> str:
    form = (await visitor.get("/new")).form("/new")
    shown = await visitor.post("/new", {**form.fields, "kind": "preservation.request"})
    found = re.search(r"/drafts/([0-9a-f-]{36})", shown.path)
    assert found is not None
    return found.group(1)


def known_parts(message: str, draft: str) -> Iterator[dict[str, str]]:
    """What a page may know: nothing, its message, its case, its draft, or what a text names."""
    yield {}
    yield {"message": message}
    yield {"thread": message}
    yield {"draft": draft}
    yield {"id": message, "short": message[-8:], "case": message[-8:]}

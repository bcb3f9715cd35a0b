"""Each command of an officer has a page, or a reason why not."""

from __future__ import annotations

from exchange.cli._commands import ROWS
from exchange.web.case.pages import PAGES as CASE
from exchange.web.lists.commands import NO_PAGE, PAGE_OF
from exchange.web.pages import PAGES
from exchange.web.request.pages import PAGES as REQUEST
from keys.commands import functions


def test_each_command_has_a_page_or_a_reason_why_not() -> None:
    commands = {name for name, _ in functions(ROWS)}
    assert commands - {*PAGE_OF} - {*NO_PAGE} == set(), "name the page that does the same, or say why there is none"
    assert {*PAGE_OF} & {*NO_PAGE} == set()
    assert ({*PAGE_OF} | {*NO_PAGE}) - commands == set(), "there is no such command"
    assert all(NO_PAGE.values())


def test_each_page_that_is_named_is_there() -> None:
    there = {page.path for page in PAGES}
    rooms = [(CASE, ("/cases/{thread}", "/messages/{message}", "/board/")), (REQUEST, ("/new", "/drafts/{draft}"))]
    not_yet = tuple(path for pages, paths in rooms if not pages for path in paths)
    assert {path for path in PAGE_OF.values() if not path.startswith(not_yet or ("-",))} - there == set()

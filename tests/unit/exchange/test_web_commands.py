"""Each command of an officer has a page, or a reason why not."""

from __future__ import annotations

from collections import Counter

from exchange.cli._commands import ROWS
from exchange.web.lists.commands import NO_PAGE, PAGE_OF
from exchange.web.pages import PAGES
from keys.commands import functions


def test_each_command_has_a_page_or_a_reason_why_not() -> None:
    commands = {name for name, _ in functions(ROWS)}
    assert commands - {*PAGE_OF} - {*NO_PAGE} == set(), "name the page that does the same, or say why there is none"
    assert {*PAGE_OF} & {*NO_PAGE} == set()
    assert ({*PAGE_OF} | {*NO_PAGE}) - commands == set(), "there is no such command"
    assert all(NO_PAGE.values())


def test_each_page_that_is_named_is_there_and_no_two_rooms_have_one_page() -> None:
    assert {*PAGE_OF.values()} - {page.path for page in PAGES} == set()
    assert [page for page, times in Counter((one.method, one.path) for one in PAGES).items() if times > 1] == []

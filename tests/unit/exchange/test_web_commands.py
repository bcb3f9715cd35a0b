"""Each command of an officer has a page, or a reason why not."""

from __future__ import annotations

import re
from collections import Counter

from exchange.cli._commands import ROWS
from exchange.web.forms.acts import ACTS
from exchange.web.lists.commands import NO_PAGE, PAGE_OF
from exchange.web.pages import PAGES
from keys.commands import functions
from tests.worlds.desks import ROOT


def test_each_command_has_a_page_or_a_reason_why_not() -> None:
    commands = {name for name, _ in functions(ROWS)}
    assert commands - {*PAGE_OF} - {*NO_PAGE} == set(), "name the page that does the same, or say why there is none"
    assert {*PAGE_OF} & {*NO_PAGE} == set()
    assert ({*PAGE_OF} | {*NO_PAGE}) - commands == set(), "there is no such command"
    assert all(NO_PAGE.values())


def test_each_page_that_is_named_is_there_and_no_two_rooms_have_one_page() -> None:
    named = {
        re.sub(r"/do/(.+)$", lambda act: "/do/{act}" if act[1] in ACTS else act[0], page) for page in PAGE_OF.values()
    }
    assert named - {page.path for page in PAGES} == set()
    assert [page for page, times in Counter((one.method, one.path) for one in PAGES).items() if times > 1] == []


def test_each_act_with_a_form_is_led_to_by_a_page() -> None:
    """Of a case, of one message, of the board or of a call: a form that nothing leads to is none for an officer."""
    texts = [file.read_text("utf-8") for file in (ROOT / "exchange/web").rglob("*") if file.suffix in {".py", ".html"}]
    led_to = {act for text in texts for act in ACTS if re.search(rf"do/{act}[\"'`]|base}}/{act}\"", text)}
    assert {*ACTS} - led_to == set()

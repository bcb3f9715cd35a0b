"""Every page of the desk, filled with the longest texts, in every language and in one that nobody speaks: axe-core finds
nothing in light and dark, no script fails, no policy is violated, and nobody moves a page to the side to read it.

``make test`` looks at each page in one language, another for each; ``make web-long`` at all in each.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from keys.local import translation
from keys.pages import languages
from keys.pages.languages import offered
from tests.e2e.web_looks import PSEUDO, WIDE, PseudoTranslations, forgotten, looked_at, too_wide
from tests.worlds.browser import LONG, browser, picture, window
from tests.worlds.desks import ROOT, World, request
from tests.worlds.web_desk import OFFICER, OFFICER_PASSPHRASE
from tests.worlds.web_full import ROWS, Full, Refused, full_desk, long_text, refused_forms, shown_pages

pytestmark = [pytest.mark.outside, pytest.mark.asyncio(loop_scope="module")]

LANGUAGES = (*sorted(offered()), PSEUDO)
# They are looked at zoomed, whichever language.
MAIN = ("/", "/new", "/cases", "/directory", "/statistics")
# As many tabs load pages at once.
TABS = 2


@dataclass
class Matrix:
    """All that there is to look at."""

    full: Full
    paths: list[str]
    refused: list[Refused]


@pytest.fixture(scope="module")
def patched() -> Iterator[pytest.MonkeyPatch]:
    real = translation.translator
    with pytest.MonkeyPatch.context() as made:
        made.setenv("TZ", "Asia/Tokyo")
        made.setattr(translation, "translator", lambda name: PseudoTranslations() if name == PSEUDO else real(name))
        made.setattr(languages, "languages", lambda: [*translation.languages(), PSEUDO])
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chrome() -> AsyncIterator[Browser]:
    async with browser() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def matrix(tmp_path_factory: pytest.TempPathFactory, patched: pytest.MonkeyPatch) -> AsyncIterator[Matrix]:
    world = World(Path(tmp_path_factory.mktemp("matrix")), patched, "gh")
    async with full_desk(world, ROWS if LONG else 60) as full, full.pages.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        shown = await shown_pages(full, visitor)
        yield Matrix(full, list(shown), await refused_forms(shown, visitor))


async def sign_in(page: Page, full: Full) -> None:
    """Sign in, whatever language the page is in."""
    await page.goto(f"{full.pages.origin}/sign-in")
    form = page.locator('form[action="/sign-in"]')
    await form.locator("[name=officer]").fill(OFFICER)
    await form.locator("[name=passphrase]").fill(OFFICER_PASSPHRASE.decode())
    await form.locator("button").first.click()
    await page.wait_for_url("**/settings/first*")


async def _refused(page: Page, full: Full, form: Refused) -> int:
    """Send a form as it is refused, past what a browser would keep from being sent; the status of the answer."""
    await page.goto(full.pages.origin + form.path)
    async with page.expect_navigation() as coming:
        await page.evaluate(_SEND, [form.action, dict(form.typed)])
    answer = await coming.value
    assert answer is not None
    return answer.status


_SEND = """
([action, typed]) => {
  const form = [...document.forms].find((one) => one.getAttribute("action") === action);
  for (const [name, text] of Object.entries(typed)) {
    for (const one of [...form.elements].filter((field) => field.name === name)) one.disabled = true;
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name, value: text });
    form.append(field);
  }
  HTMLFormElement.prototype.submit.call(form);
}
"""


async def _walked(matrix: Matrix, chrome: Browser, language: str, paths: Sequence[str], forms: Sequence[Refused]) -> list[str]:
    """What is wrong on these pages, and on these forms when they are refused, in one window with several tabs."""
    found: list[str] = []
    work: list[str | Refused] = [*paths, *forms]
    known = await asyncio.to_thread(_written)

    async def walk(page: Page) -> None:
        while work:
            one = work.pop()
            if isinstance(one, Refused):
                where = f"{one.path} -> {one.action}, refused"
                if await _refused(page, matrix.full, one) < 400:
                    found.append(f"{where}: it was not")
                found.extend(await looked_at(page, where))
            else:
                answer = await page.goto(matrix.full.pages.origin + one)
                if answer is None or answer.status >= 500:
                    found.append(f"{one}: {answer and answer.status}")
                if one == "/statistics":
                    await page.locator("svg.chart").first.wait_for()
                found.extend(await looked_at(page, one))
            if language == PSEUDO:
                found.extend(f"{one}: not translated: {text[:100]}" for text in await forgotten(page, known))

    async with window(chrome, language, width=WIDE) as opened:
        await sign_in(await opened.new_page(), matrix.full)
        tabs = [*opened.pages, *[await opened.new_page() for _ in range(TABS - 1)]]
        await asyncio.gather(*(walk(tab) for tab in tabs))
    return sorted(found)


def _written() -> list[str]:
    """What somebody wrote: no text of ours."""

    def texts(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, (dict, list)):
            for one in value.values() if isinstance(value, dict) else value:
                yield from texts(one)

    messages = [json.loads(file.read_text("utf-8")) for file in (ROOT / "examples" / "messages").glob("*.json")]
    return [long_text(20_000), *texts(request()), *texts(messages)]


def _language_of(path: str) -> str:
    return LANGUAGES[zlib.crc32(path.encode()) % len(LANGUAGES)]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_of_the_desk_is_read_by_everybody(chrome: Browser, matrix: Matrix, language: str) -> None:
    began = time.perf_counter()
    paths = [path for path in matrix.paths if LONG or _language_of(_shape(path)) == language]
    forms = [form for form in matrix.refused if LONG or _language_of(_shape(form.action)) == language]
    assert await _walked(matrix, chrome, language, paths, forms) == []
    if LONG:
        took = time.perf_counter() - began
        print(f"desk, {language}: {len(paths)} pages, {len(forms)} refused forms, {took:.0f} s")


def _shape(path: str) -> str:
    """A path without what another run calls otherwise."""
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "", path)

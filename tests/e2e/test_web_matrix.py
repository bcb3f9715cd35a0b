"""Every page of the desk, of the operator's console and of the auditor's view, filled with the longest texts, in each
language and in one that nobody speaks: axe-core finds nothing in light and dark, no script fails, no policy is
violated, and nobody moves a page to the side to read it.

``make test`` looks at one of each page in one language, another for each; ``make web-long`` at all of them in each, and
at the forms that are refused.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from babel import Locale
from playwright.async_api import Browser, Page

from keys.local import translation
from keys.pages.languages import COOKIE, offered
from tests.e2e.web_looks import PSEUDO, WIDE, forgotten, looked_at, speak_pseudo, too_wide
from tests.worlds.audit_view import audit_view, lose_entries, mirror
from tests.worlds.browser import LONG, axe, browser, only_long, window
from tests.worlds.console import full_console
from tests.worlds.desks import ROOT, World, request
from tests.worlds.web_desk import OFFICER, OFFICER_PASSPHRASE
from tests.worlds.web_full import ROWS, Full, Refused, full_desk, long_text, refused_forms, shown_pages

pytestmark = [pytest.mark.outside, pytest.mark.asyncio(loop_scope="module")]

LANGUAGES = (*sorted(offered()), PSEUDO)
# They are looked at zoomed, whatever the language.
MAIN = ("/", "/new", "/cases", "/directory", "/statistics")
# As many tabs load pages at once.
TABS = 2


@dataclass(eq=False)
class Site:
    """The pages of one program: who is to sign in how, all addresses there are to look at, and forms to be refused.

    ``public`` are looked at by somebody who is not signed in.
    """

    name: str
    origin: str
    sign_in: Callable[[Page], Awaitable[None]]
    paths: list[str]
    refused: list[Refused] = field(default_factory=list)
    public: tuple[str, ...] = ("/sign-in",)
    language_cookie: str = COOKIE

    def where(self, what: str | Refused) -> str:
        """What a page or form is called in a list of what is wrong."""
        return f"{self.name} {what.path} -> {what.action}" if isinstance(what, Refused) else f"{self.name} {what}"


@pytest.fixture(scope="module")
def patched() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as made:
        made.setenv("TZ", "Asia/Tokyo")
        speak_pseudo(made)
        yield made
    translation._translator.cache_clear()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chrome() -> AsyncIterator[Browser]:
    async with browser() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites(tmp_path_factory: pytest.TempPathFactory, patched: pytest.MonkeyPatch) -> AsyncIterator[list[Site]]:
    folder = Path(tmp_path_factory.mktemp("matrix"))
    async with AsyncExitStack() as stack:
        world = World(folder, patched, "gh")
        full = await stack.enter_async_context(full_desk(world, ROWS if LONG else 60))
        console = await stack.enter_async_context(_console(folder))
        yield [await _desk(full), console, await stack.enter_async_context(_audit(full, folder / "mirrors"))]


async def _desk(full: Full) -> Site:
    async with full.pages.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        shown = await shown_pages(full, visitor, every=LONG)
        refused = await refused_forms(shown, visitor) if LONG else []
    return Site(
        "desk",
        full.pages.origin,
        _with_passphrase(full.pages.origin),
        list(shown),
        refused,
        language_cookie=full.pages.desk.language_cookie,
    )


@asynccontextmanager
async def _console(folder: Path) -> AsyncIterator[Site]:
    async with full_console(folder / "console", ROWS if LONG else 13) as (node, paths):
        address, codes = node.console.address, node.console.codes
        yield Site("console", address, _with_code(address, codes.make), paths)


@asynccontextmanager
async def _audit(full: Full, folder: Path) -> AsyncIterator[Site]:
    """The view of both logs, one of which is partial."""
    await asyncio.to_thread(mirror, full.world, folder)
    async with audit_view(full.world, folder, full.jp.directory) as site:
        message = full.names["message"][0]
        await asyncio.to_thread(lose_entries, site, folder, "fr")
        await site.logs.verify_again()
        paths = [
            *("/", "/logs/jp", "/logs/fr", "/logs/jp/0", "/logs/fr/0", "/logs/jp?event=SubmissionAcceptance"),
            *("/message", f"/message?id={message}", "/message?id=nonsense", "/findings", "/reconcile"),
            *("/reconcile?pair=jp:fr", "/reconcile?pair=jp:fr&since=yesterday", "/logs/zz"),
        ]
        yield Site("audit", site.origin, _with_code(site.origin, site.codes.make), paths)


def _with_passphrase(origin: str) -> Callable[[Page], Awaitable[None]]:
    async def sign_in(page: Page) -> None:
        await page.goto(f"{origin}/sign-in")
        form = page.locator('form[action="/sign-in"]')
        await form.locator("[name=officer]").fill(OFFICER)
        await form.locator("[name=passphrase]").fill(OFFICER_PASSPHRASE.decode())
        await form.locator("button").first.click()
        await page.wait_for_url("**/settings/first*")

    return sign_in


def _with_code(origin: str, make: Callable[[], str]) -> Callable[[Page], Awaitable[None]]:
    async def sign_in(page: Page) -> None:
        await page.goto(f"{origin}/sign-in")
        await page.locator("[name=code]").fill(make())
        await page.locator("main form button").first.click()
        await page.wait_for_url(f"{origin}/")

    return sign_in


async def _send_refused(page: Page, site: Site, form: Refused) -> int:
    """Send a form as it is refused, past what a browser would keep from being sent; the status of the answer."""
    await page.goto(site.origin + form.path)
    async with page.expect_navigation() as coming:
        await page.evaluate(_SEND, [form.action, dict(form.typed)])
    answer = await coming.value
    assert answer is not None
    return answer.status


_SEND = """
([action, typed]) => {
  const form = [...document.forms].find((one) => one.method === "post" && one.getAttribute("action") === action);
  for (const [name, text] of Object.entries(typed)) {
    for (const one of [...form.elements].filter((field) => field.name === name)) one.disabled = true;
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name, value: text });
    form.append(field);
  }
  HTMLFormElement.prototype.submit.call(form);
}
"""


async def _opened(page: Page, site: Site, what: str | Refused) -> list[str]:
    """Open a page, or have a form refused; what is wrong with the answer."""
    if isinstance(what, Refused):
        status = await _send_refused(page, site, what)
        return [] if 400 <= status < 500 else [f"it was answered with {status}"]
    answer = await page.goto(site.origin + what)
    if what.partition("?")[0] == "/statistics" and answer is not None and answer.status == 200:
        await page.locator("svg.chart").first.wait_for()
    return [] if answer is not None and answer.status < 500 else ["no page"]


async def _walked(chrome: Browser, language: str, sites: Sequence[Site]) -> list[str]:
    """What is wrong on all pages, and with all forms when they are refused: in one window with several tabs."""
    found: list[str] = []
    known = await asyncio.to_thread(_written)

    async def walk(page: Page, site: Site, work: list[str | Refused]) -> None:
        while work:
            one = work.pop()
            found.extend(f"{site.where(one)}: {wrong}" for wrong in await _opened(page, site, one))
            found.extend(await looked_at(page, site.where(one)))
            if language == PSEUDO:
                found.extend(await _forgotten(page, site.where(one), known))

    async with window(chrome, language, width=WIDE) as opened:
        tabs = [await opened.new_page() for _ in range(TABS)]
        for site in sites:
            began = time.perf_counter()
            await walk(tabs[0], site, list(site.public))
            await site.sign_in(tabs[0])
            work = [*reversed(site.refused), *reversed(site.paths)]
            await asyncio.gather(*(walk(tab, site, work) for tab in tabs))
            if site.name == "desk":
                # A page that is locked, last, as nothing else is shown then.
                await tabs[0].locator('form[action="/lock"] button').click()
                await tabs[0].wait_for_url("**/unlock*")
                found.extend(await looked_at(tabs[0], "desk, locked"))
            took = time.perf_counter() - began
            counts = f"pages {len(site.paths)}, refused forms {len(site.refused)}, wrong {len(found)}"
            print(f"\n{language}, {site.name}: {counts}, {took:.0f} s", end="")
    return sorted(found)


async def _walked_in_turn(chrome: Browser, sites: Sequence[Site]) -> list[str]:
    """What is wrong on each page in one language, another for each: in one tab."""
    found: list[str] = []
    known = await asyncio.to_thread(_written)
    async with window(chrome, width=WIDE) as opened:
        page = await opened.new_page()
        for site in sites:
            await site.sign_in(page)
            for path in site.paths:
                language = _language_of(path)
                await opened.add_cookies([{"name": site.language_cookie, "value": language, "url": site.origin}])
                where = f"{site.where(path)} in {language}"
                found.extend(f"{where}: {wrong}" for wrong in await _opened(page, site, path))
                found.extend(f"{where}: {one}" for one in await axe(page))
                found.extend(await too_wide(page, where, "on a telephone"))
                if language == PSEUDO:
                    found.extend(await _forgotten(page, where, known))
    return found


async def _forgotten(page: Page, where: str, known: Sequence[str]) -> list[str]:
    return [f"{where}: not translated: {text[:100]}" for text in await forgotten(page, known)]


def _written() -> list[str]:
    """What somebody wrote, and how CLDR names languages and countries: no texts of ours."""

    def texts(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, (dict, list)):
            for one in value.values() if isinstance(value, dict) else value:
                yield from texts(one)

    messages = [json.loads(file.read_text("utf-8")) for file in (ROOT / "examples" / "messages").glob("*.json")]
    named = Locale.parse(PSEUDO)
    names = (*named.languages.values(), *named.territories.values())
    return [long_text(20_000), *texts(request()), *texts(messages), *names]


def _language_of(path: str) -> str:
    """In which language ``make test`` looks at a page: the same each time."""
    shape = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "", path)
    return LANGUAGES[zlib.crc32(shape.encode()) % len(LANGUAGES)]


@only_long
@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_is_read_by_everybody_in_each_language(
    chrome: Browser, sites: list[Site], language: str
) -> None:
    found = await _walked(chrome, language, sites)
    assert not found, "\n".join(found)


@pytest.mark.skipif(LONG, reason="each page is looked at in each language")
async def test_each_page_is_read_by_everybody_in_one_language(chrome: Browser, sites: list[Site]) -> None:
    found = await _walked_in_turn(chrome, sites)
    assert not found, "\n".join(found)


async def test_the_main_pages_are_read_zoomed(chrome: Browser, sites: list[Site]) -> None:
    async with window(chrome, "fr", width=WIDE) as opened:
        page = await opened.new_page()
        await sites[0].sign_in(page)
        for path in MAIN:
            await page.goto(sites[0].origin + path)
            assert await too_wide(page, path) == []

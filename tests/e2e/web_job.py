"""The main job as two officers do it in two browsers: asked, delivered, acknowledged, answered, proved, kept on paper.

Everything is found by names of fields, addresses of forms and links, and ids: whatever language the pages are read in.
"""

from __future__ import annotations

import asyncio
import zipfile
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Download, FilePayload, Locator, Page, expect

from tests.e2e.web_looks import out_of_panels
from tests.worlds.browser import pictured, whole
from tests.worlds.patience import WITHIN_S

# The last line says no zone of its own: the pages ask.
PASTE = "j.doe@example.fr\n2001:db8::7334 2026-11-21T03:15:02.1234567Z\n203.0.113.9:51544 2026-11-21 12:12:45"
SCAN = FilePayload(name="scan.png", mimeType="image/png", buffer=bytes(range(256)) * 4_096)


@dataclass
class Hands:
    """Who works at a page, with a mouse; with :class:`Keys`, with the keyboard alone."""

    page: Page

    async def press(self, what: str) -> None:
        """Press a button, or follow a link."""
        await self.page.locator(what).first.click()

    async def write(self, where: str, text: str) -> None:
        """Write into a field."""
        await self.page.locator(where).first.fill(text)

    async def tick(self, name: str, value: str) -> None:
        """Choose one of several."""
        await self.page.locator(f'[name="{name}"][value="{value}"]').check()

    async def choose(self, where: str, value: str) -> None:
        """Choose from a list."""
        await self.page.locator(where).first.select_option(value)

    async def attach(self, where: str, file: FilePayload) -> None:
        """Choose a file."""
        await self.page.locator(where).set_input_files([file])


class Keys(Hands):
    """Who has a keyboard and nothing else: each thing is reached with the Tab key, as the focus goes."""

    async def press(self, what: str) -> None:
        wanted = self.page.locator(what).first
        await self._reach(wanted)
        # Its focus is there already: this way the page that follows is waited for.
        await wanted.press("Enter")

    async def write(self, where: str, text: str) -> None:
        await self._reach(self.page.locator(where).first)
        await self.page.keyboard.press("Control+A")
        await self.page.keyboard.insert_text(text)

    async def tick(self, name: str, value: str) -> None:
        wanted = self.page.locator(f'[name="{name}"][value="{value}"]')
        if await wanted.get_attribute("type") == "radio":
            # The Tab key stops at a group once; arrows go on inside it.
            await self._reach(wanted, inside=f'[type="radio"][name="{name}"]')
            for _ in range(await self.page.locator(f'[name="{name}"]').count()):
                if await _focused(wanted):
                    break
                await self.page.keyboard.press("ArrowDown")
        else:
            await self._reach(wanted)
        if not await wanted.is_checked():
            await self.page.keyboard.press("Space")
        assert await wanted.is_checked()

    async def choose(self, where: str, value: str) -> None:
        wanted = self.page.locator(where).first
        await self._reach(wanted)
        for _ in range(await wanted.locator("option").count()):
            if await wanted.input_value() == value:
                return
            await self.page.keyboard.press("ArrowDown")
        assert await wanted.input_value() == value

    async def attach(self, where: str, file: FilePayload) -> None:
        await self._reach(self.page.locator(where))
        # The dialog in which a file is chosen is the system's, and no part of a page.
        await self.page.locator(where).set_input_files([file])

    async def _reach(self, wanted: Locator, inside: str = "") -> None:
        await wanted.wait_for(state="attached")
        for _ in range(400):
            if await _focused(wanted, inside):
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"{wanted} cannot be reached with the Tab key")


# How long somebody takes who types with two fingers and reads each page, in seconds.
A_KEY_S, A_CLICK_S, A_PAGE_S = 0.3, 1.0, 2.0


class Newcomer(Hands):
    """Who does it for the first time: each key, click and page is counted, and takes its time if it ``pauses``."""

    def __init__(self, page: Page, *, pauses: bool = False) -> None:
        super().__init__(page)
        self.keys = self.fields = self.clicks = self.pages = 0
        self._pauses = pauses
        page.on("framenavigated", lambda _frame: self._turned())

    @property
    def takes_s(self) -> float:
        """How long all of it takes such a person, beside what the pages take."""
        return self.keys * A_KEY_S + self.clicks * A_CLICK_S + self.pages * A_PAGE_S

    async def press(self, what: str) -> None:
        self.clicks += 1
        await self._pause(A_CLICK_S)
        before = self.pages
        await super().press(what)
        await self._pause(A_PAGE_S * (self.pages - before))

    async def write(self, where: str, text: str) -> None:
        self.fields += 1
        self.clicks += 1
        self.keys += len(text)
        await self._pause(A_CLICK_S)
        await self.page.locator(where).first.press_sequentially(text, delay=A_KEY_S * 1_000 if self._pauses else 0)

    async def tick(self, name: str, value: str) -> None:
        self.clicks += 1
        await self._pause(A_CLICK_S)
        await super().tick(name, value)

    def _turned(self) -> None:
        self.pages += 1

    async def _pause(self, seconds: float) -> None:
        if self._pauses:
            await self.page.wait_for_timeout(seconds * 1_000)


async def _focused(wanted: Locator, inside: str = "") -> bool:
    looked = "(one, inside) => one === document.activeElement || (inside && document.activeElement.matches(inside))"
    return bool(await wanted.evaluate(looked, inside))


@dataclass
class Officer:
    """An officer in a window of their own; without a ``name`` at a desk that has no officers yet. ``reloads`` where no
    script keeps the page current.
    """

    hands: Hands
    address: str
    name: str
    reloads: bool = False

    @property
    def page(self) -> Page:
        """The page that is shown."""
        return self.hands.page

    async def sign_in(self, code: str, *, to_board: bool = True) -> None:
        """Sign in with a one-time code; the duty board is shown, or what one who is new is asked first."""
        await self.page.goto(self.address)
        form = 'form[action="/sign-in/code"]'
        await self.hands.press(f"details:has({form}) > summary")
        if self.name:
            await self.hands.write(f"{form} [name=officer]", self.name)
        await self.hands.write(f"{form} [name=code]", code)
        await self.hands.press(f"{form} button")
        await expect(self.page.locator(".bar [href='/new']")).to_be_visible()
        if to_board:
            await self.to_board()

    async def to_board(self) -> None:
        """Back to the duty board."""
        await self.hands.press(".bar a.mark")
        await expect(self.page.locator("[data-board]")).to_be_visible()

    async def until(self, shown: Locator, count: int = 1) -> None:
        """Wait until it is there: by itself, or, without script, looked at again and again."""
        if not self.reloads:
            await expect(shown).to_have_count(count)
            return
        await self.looked_again(shown, count)

    async def looked_again(self, shown: Locator, count: int = 1) -> None:
        """Load the page anew until it is there."""
        async with asyncio.timeout(WITHIN_S):
            while await shown.count() != count:
                await self.page.reload()

    async def kept(self, press: str) -> Path:
        """What the browser keeps as a file when a button is pressed."""
        async with self.page.expect_download() as coming:
            await self.hands.press(press)
        made: Download = await coming.value
        return Path(await made.path())


async def write_request(tokyo: Officer, reference: str) -> str:
    """Write, check and send a request for preservation with three targets and a file; the thread of its case."""
    hands, page = tokyo.hands, tokyo.page
    await hands.press(".bar [href='/new']")
    await hands.press('button[value="preservation.request"]')
    await hands.tick("to", "24-7@fr")
    await hands.write("[name=own_reference]", reference)
    await hands.press("aside button.primary")
    await hands.tick("offences", "8")
    await hands.write("[name=facts]", "Somebody entered the payment system of a hospital and diverted 4,200,000 yen.")
    await hands.write("[name=necessity]", "The provider keeps its logs for seven days.")
    await hands.tick("mutual_assistance.declared", "yes")
    await hands.tick("do_not_notify", "no")
    await hands.press("aside button.primary")
    await hands.write("#paste", PASTE)
    await hands.press('button[value="read"].primary')
    # A line without a zone is asked about, and nothing is assumed.
    await hands.press('button[value^="zone:"][value$=":Asia/Tokyo"]')
    await hands.press('button[value^="protocol:"][value$=":tcp"]')
    await hands.tick("each.data_categories", "subscriber")
    await hands.write('[name="each.time_window"]', "2026-11-20 to 2026-11-22")
    await hands.write('[name="each.relation"]', "The session came from there.")
    await hands.write('[name="each.custodian"]', "Example Hosting SAS, France")
    await hands.press('button[value="read"]:not(.primary)')
    await expect(page.locator("#targets tr.more")).to_have_count(3)
    await pictured(page, "new-request")
    await hands.press('nav.parts button[value="go:files"]')
    await hands.attach("#upload", SCAN)
    await hands.press("form[data-upload] button.primary")
    await expect(page.locator("#files article")).to_have_count(1)
    await hands.press('aside a.primary[href$="/check"]')
    await expect(page.locator("main p.done")).to_be_visible()
    await hands.press('form[action$="/send"] button')
    await page.wait_for_url("**/sent")
    path = await page.locator('main table a[href^="/cases/"]').get_attribute("href")
    assert path is not None
    return path.removeprefix("/cases/")


async def first_request(newcomer: Officer, code: str) -> None:
    """All that a new officer does from the address and the code that were named to them to a request that is sent."""
    hands, page = newcomer.hands, newcomer.page
    await newcomer.sign_in(code, to_board=False)
    await hands.press(".bar [href='/new']")
    await hands.press('button[value="preservation.request"]')
    await hands.tick("to", "24-7@fr")
    await hands.write("[name=own_reference]", "NPA-17")
    await hands.press("aside button.primary")
    await hands.tick("offences", "8")
    await hands.write("[name=facts]", "Yen 4,200,000 were diverted from a hospital by e-mail.")
    await hands.write("[name=necessity]", "The logs are kept for seven days.")
    await hands.tick("mutual_assistance.declared", "yes")
    await hands.tick("do_not_notify", "no")
    await hands.press("aside button.primary")
    await hands.write("#paste", "j.doe@example.fr")
    await hands.press('button[value="read"].primary')
    await hands.tick("each.data_categories", "subscriber")
    await hands.write('[name="each.time_window"]', "2026-11-20 to 2026-11-22")
    await hands.write('[name="each.relation"]', "The mails came from it.")
    await hands.write('[name="each.custodian"]', "Example Hosting, France")
    await hands.press("aside button.primary")
    await page.wait_for_url("**/check")
    await expect(page.locator("main p.done")).to_be_visible()
    await hands.press('form[action$="/send"] button')
    await page.wait_for_url("**/sent")


async def answer_request(paris: Officer, thread: str) -> str:
    """It appears on the board; its file is opened, it is acknowledged, and answered on the grid. The answer's id."""
    hands, page = paris.hands, paris.page
    await paris.until(page.locator(f'[data-board] p > a[href="/cases/{thread}"]'))
    await hands.press(f'[data-board] a[href="/cases/{thread}"]')
    await expect(page.locator("#happened")).to_be_visible()
    await _opened(paris, thread)
    await hands.press(f'main a[href$="/cases/{thread}/do/acknowledge"]')
    await hands.choose("[name=will_answer]", "yes")
    await hands.write("[name=eta]", "+8h")
    await hands.press('form[action$="/do/acknowledge"] .acts button')
    await expect(page.locator("#done")).to_be_visible()
    before = await _messages(page)
    await hands.press(f'main a[href$="/cases/{thread}/answer"]')
    await hands.choose('[name="all.result"]', "preserved")
    await hands.press("button[name=_fill]")
    await expect(page.locator("select[name$='.result']")).to_have_count(4)
    await hands.write("[name=own_reference]", "PARIS-2026-0471")
    await pictured(page, "answer-grid")
    await hands.press("form .acts button.primary")
    await expect(page.locator("#done")).to_be_visible()
    (answer,) = await _messages(page) - before
    await pictured(page, "case")
    return answer


async def _opened(paris: Officer, thread: str) -> None:
    """The file that came with the request is opened, and is the one that went."""
    page = paris.page
    opened = page.locator('form[action$="/files/open"]')
    await paris.hands.press(f'a[href="/messages/{thread}"]')
    await paris.hands.press(f'main a[href="/messages/{thread}/files"]')
    await page.wait_for_url("**/files")
    await paris.looked_again(opened)
    got = await paris.kept('form[action$="/files/open"] button')
    assert await asyncio.to_thread(got.read_bytes) == SCAN["buffer"]
    await paris.hands.press(f'.crumbs a[href="/cases/{thread}"]')


async def look_at_answer(tokyo: Officer, thread: str, answer: str) -> None:
    """Tokyo sees the answer, its proofs hold, and the letter and the custody of the file are kept."""
    hands, page = tokyo.hands, tokyo.page
    await hands.press('.bar a[href="/cases"]')
    await hands.press(f'main a[href="/cases/{thread}"]')
    await page.wait_for_url(f"**/cases/{thread}")
    await tokyo.looked_again(page.locator(f"#m-{answer}"))
    await expect(page.locator("table.stands tbody tr")).to_have_count(3)
    assert await out_of_panels(page) == []
    await hands.press(f'#m-{answer} a[href="/messages/{answer}"]')
    await expect(page.locator("dl.facts")).to_be_visible()
    await hands.press(f'main a[href="/messages/{answer}/proofs"]')
    await expect(page.locator("#verdict")).to_be_visible()
    await whole(page)
    assert await page.locator(".panel.harm, .badge.harm").count() == 0
    await hands.press(f'.crumbs a[href="/messages/{answer}"]')
    await hands.press(f'main a[href="/messages/{answer}/letter"]')
    letter = await tokyo.kept('form[action$="/letter"] button.primary')
    assert (await asyncio.to_thread(letter.read_bytes)).startswith(b"%PDF-")
    await hands.press(f'.crumbs a[href="/cases/{thread}"]')
    await hands.press(f'#files ~ article a[href="/messages/{thread}/files"]')
    export = 'form[action$="/files/export"]'
    await hands.write(f"{export} [name=to]", "Tokyo District Court")
    await hands.choose(f"{export} [name=purpose]", "proceedings")
    bag = await tokyo.kept(f"{export} button")
    names = await asyncio.to_thread(lambda: zipfile.ZipFile(bag).namelist())
    assert any(name.endswith(SCAN["name"]) for name in names), names
    assert any("custody" in name for name in names), names


async def main_job(tokyo: Officer, paris: Officer, reference: str) -> str:
    """The whole of it, by officers who are signed in; the thread of the case."""
    thread = await write_request(tokyo, reference)
    answer = await answer_request(paris, thread)
    await look_at_answer(tokyo, thread, answer)
    return thread


async def _messages(page: Page) -> set[str]:
    """The identifiers of the messages that a case's page shows."""
    await whole(page)
    found = await page.locator("article.happening").evaluate_all("all => all.map((one) => one.id)")
    return {one.removeprefix("m-") for one in found}

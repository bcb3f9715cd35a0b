"""Debian's Chromium, driven by Playwright, as officers use it: each with a window of their own.

A window in which a script failed, or in which the policy of a page kept something from being loaded, fails the test.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

from tests.conftest import require, require_program
from tests.interop.node_program import SCRIPTS
from tests.worlds.patience import WITHIN_MS

# Whatever takes long is done too: `make web-long`. This alone reads the variable.
LONG = os.environ.get("COMITY_WEB") == "long"
only_long = pytest.mark.skipif(not LONG, reason="takes long: `make web-long` does it")
AXE = SCRIPTS / "node_modules" / "axe-core" / "axe.min.js"
# Each look at a page waits as long as any wait of a test.
expect.set_options(timeout=WITHIN_MS)
_QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# A refusal is a page like any other, and its status no failure of a script. Who leaves a page while it saves itself
# breaks a request off: what was typed goes with what they pressed. A request that failed says its own event as well.
_NO_FAILURE = (
    "Failed to load resource: the server responded with a status of 4",
    "htmx:sendAbort",
    "htmx:afterRequest",
)


def chromium() -> str | None:
    """The path of the browser; None where it is not installed."""
    return shutil.which("chromium")


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """A browser without a screen; the test is skipped where there is none."""
    program = require_program("chromium")
    async with async_playwright() as playwright:
        # Chromium's sandbox does not start for root, as whom tests run in a container.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        made = await playwright.chromium.launch(executable_path=program, args=[*_QUIET, *sandbox])
        try:
            yield made
        finally:
            await made.close()


def is_known(text: str, expected: Sequence[str] = ()) -> bool:
    """Whether what a console says is of no failure, or is what a test makes."""
    return any(one in text for one in (*_NO_FAILURE, *expected))


@asynccontextmanager
async def window(
    of: Browser,
    language: str = "en",
    *,
    script: bool = True,
    width: int = 1440,
    dark: bool = False,
    expected: Sequence[str] = (),
) -> AsyncIterator[BrowserContext]:
    """A window with cookies of its own, of somebody who reads ``language``; fails where a page's script fails, or its
    policy is violated. ``expected``: a failure that has such words is what the test makes.
    """
    context = await of.new_context(
        locale=language,
        java_script_enabled=script,
        viewport={"width": width, "height": 900},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(WITHIN_MS)
    failures: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not is_known(message.text, expected):
            failures.append(message.text)

    context.on("console", note)
    context.on("weberror", lambda failed: failures.append(str(failed.error)))
    try:
        yield context
    finally:
        await context.close()
    assert not failures, failures


async def whole(page: Page) -> None:
    """Return when all of a page is there: what comes first of a page is shown before the rest of it is read."""
    await page.wait_for_load_state()


async def axe(page: Page, *rules: str) -> list[str]:
    """What axe-core finds on a page as it is shown now, by all rules or these: the rule, and where."""
    await whole(page)
    if not await page.evaluate("'axe' in window"):
        # By the debugger, past the policy of the page: the page itself could not load it.
        await page.evaluate(_axe())
    how = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found: dict[str, Any] = await page.evaluate("how => axe.run(document, how)", how)
    rows = [(one["id"], node["target"], node["failureSummary"]) for one in found["violations"] for node in one["nodes"]]
    return [f"{rule}: {target} ({why})" for rule, target, why in rows]


@cache
def _axe() -> str:
    require(AXE.is_file(), "axe-core of tests/interop/node")
    return AXE.read_text("utf-8")


async def overflows(page: Page) -> bool:
    """Whether a page is wider than its window: somebody would have to move it to the side to read."""
    await whole(page)
    return bool(await page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1"))


async def hides_values(page: Page) -> bool:
    """Whether a value of a table whose rows stand one under another on a telephone ends outside of what is shown."""
    await whole(page)
    return bool(
        await page.evaluate(
            "[...document.querySelectorAll('table.labelled td > *')].some("
            "one => one.getBoundingClientRect().right > window.innerWidth || one.getBoundingClientRect().left < 0)"
        )
    )


async def authenticator(page: Page, *, prf: bool = True, verified: bool = True) -> None:
    """A virtual security key in the window of ``page`` that verifies its holder."""
    session = await page.context.new_cdp_session(page)
    await session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "ctap2Version": "ctap2_1",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "hasPrf": prf,
        "isUserVerified": verified,
        "automaticPresenceSimulation": True,
    }
    await session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def picture(name: str) -> Path:
    """Where a screenshot of the tests is put to be looked at; those of the guides are under docs/images."""
    folder = Path(os.environ.get("COMITY_PICTURES", "/tmp/comity-pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.png"


async def pictured(page: Page, name: str, height: int = 0) -> None:
    """A picture for the guides, where ``COMITY_PICTURES`` names a folder for them: of the window, or so high."""
    if "COMITY_PICTURES" not in os.environ:
        return
    size = page.viewport_size
    assert size is not None
    if height:
        await page.set_viewport_size({"width": size["width"], "height": height})
    await page.screenshot(path=picture(name))
    await page.set_viewport_size(size)

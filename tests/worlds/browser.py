"""Debian's Chromium, driven by Playwright, as officers use it: each with a window of their own."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, BrowserContext, async_playwright

_QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str | None:
    """The path of the browser; None where it is not installed."""
    return shutil.which("chromium")


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """A browser without a screen."""
    async with async_playwright() as playwright:
        # Chromium's sandbox does not start for root, as whom tests run in a container.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        made = await playwright.chromium.launch(executable_path=chromium(), args=[*_QUIET, *sandbox])
        try:
            yield made
        finally:
            await made.close()


@asynccontextmanager
async def window(
    of: Browser, language: str = "en", *, script: bool = True, width: int = 1440, dark: bool = False
) -> AsyncIterator[BrowserContext]:
    """A window with cookies of its own, of somebody who reads ``language``."""
    context = await of.new_context(
        locale=language,
        java_script_enabled=script,
        viewport={"width": width, "height": 900},
        color_scheme="dark" if dark else "light",
    )
    try:
        yield context
    finally:
        await context.close()

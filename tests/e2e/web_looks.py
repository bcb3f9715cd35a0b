"""How a page is looked at: axe-core in light and dark, and whether anybody must move it to the side to read it, on a
telephone, when zoomed to 200 %, and with letters twice as large.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from gettext import NullTranslations
from pathlib import Path

import pytest
from playwright.async_api import Page

from keys.local import translation
from keys.pages import languages
from tests.worlds.browser import axe, overflows

WIDE, PHONE = 1280, 360
_HEIGHT = 900


async def looked_at(page: Page, where: str) -> list[str]:
    """What is wrong with the page that is shown: nothing, or each thing with where it is."""
    found = [f"{where}: {one}" for one in await axe(page)]
    # Colours alone are others in the dark.
    await page.emulate_media(color_scheme="dark")
    found += [f"{where}, dark: {one}" for one in await axe(page, "color-contrast", "link-in-text-block")]
    await page.emulate_media(color_scheme="light")
    found += await too_wide(page, where)
    if await page.locator("h1").count() != 1:
        found.append(f"{where}: not one heading of the first level")
    return found


# The width of the window, and how large letters are.
_SIZES = {
    "wide": (WIDE, ""),
    "beside another window": (1120, ""),
    "on a telephone": (PHONE, ""),
    # A window of 1,280 px at 200 % has room for 640 of its pixels.
    "zoomed to 200 %": (WIDE // 2, ""),
    "with letters twice as large": (WIDE, "200%"),
}


async def too_wide(page: Page, where: str, *sizes: str) -> list[str]:
    """At which width or zoom, of all or these, the page that is shown is wider than its window."""
    found = []
    for name in sizes or _SIZES:
        width, letters = _SIZES[name]
        await page.set_viewport_size({"width": width, "height": _HEIGHT if width == WIDE else _HEIGHT // 2})
        await page.evaluate("size => { document.documentElement.style.fontSize = size; }", letters)
        if await overflows(page):
            found.append(f"{where}, {name}: {await page.evaluate(_WIDEST)}")
        found += [f"{where}, {name}, out of its panel: {one}" for one in await out_of_panels(page)]
    await page.evaluate("document.documentElement.style.fontSize = ''")
    await page.set_viewport_size({"width": WIDE, "height": _HEIGHT})
    return found


async def out_of_panels(page: Page) -> list[str]:
    """The tables of which a part lies beside their panel."""
    found: list[str] = await page.evaluate(_OUT_OF_PANELS)
    return found


# The tables of which a part lies beside their panel: under the next one, where nobody reads it.
_OUT_OF_PANELS = """
[...document.querySelectorAll(".panel table")].filter((one) => {
  if (one.closest(".skip, .wide-scroll, details:not([open]) > :not(summary)")) return false;
  const box = one.getBoundingClientRect(), panel = one.closest(".panel").getBoundingClientRect();
  return box.width > 0 && (box.right > panel.right + 1 || box.left < panel.left - 1);
}).slice(0, 3).map((one) => one.outerHTML.slice(0, 160))
"""

# The innermost elements that reach out of the window, for who mends it.
_WIDEST = """
(() => {
  const out = [...document.querySelectorAll("body *")].filter((one) => {
    const box = one.getBoundingClientRect();
    if (one.closest(".skip, .wide-scroll, details:not([open]) > :not(summary)")) return false;
    return box.width > 0 && (box.right > window.innerWidth + 1 || box.left < -1);
  });
  const inner = out.filter((one) => !out.some((other) => other !== one && one.contains(other)));
  return inner.slice(0, 3).map((one) => one.outerHTML.slice(0, 160)).join(" | ");
})()
"""

# --- A language that nobody speaks -----------------------------------------------------------------------------------

# Esperanto has no catalogue: what is shown in it is made of the English text, letter by letter, and longer.
PSEUDO = "eo"
_LETTERS = str.maketrans("abcdefghijklmnopqrstuvwxyzACEINOSU", "åbçdéfĝħîĵķĺɱñöþqŕšţûvŵxýžÅÇÉÎÑÖŠÛ")
_VALUE = re.compile(r"(\{[^{}]*\})")


class PseudoTranslations(NullTranslations):
    """Texts that look like no language and are longer than any."""

    def info(self) -> dict[str, str]:
        return {"language": PSEUDO}

    def gettext(self, message: str) -> str:
        return pseudo(message)

    def pgettext(self, context: str, message: str) -> str:
        return pseudo(message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return pseudo(msgid1 if n == 1 else msgid2)


def speak_pseudo(patched: pytest.MonkeyPatch) -> None:
    """Offer the language that nobody speaks beside the others, in this process."""
    real = translation.catalogue

    def catalogue(folder: Path, environment: Mapping[str, str]) -> NullTranslations:
        return PseudoTranslations() if environment.get("LANGUAGE") == PSEUDO else real(folder, environment)

    patched.setattr(translation, "catalogue", catalogue)
    patched.setattr(languages, "languages", lambda: [*translation.languages(), PSEUDO])


def pseudo(text: str) -> str:
    """A text in no language, two fifths longer; its values are what they were."""
    parts = _VALUE.split(text)
    said = "".join(part if place % 2 else part.translate(_LETTERS) for place, part in enumerate(parts))
    return f"⟦{said} {'ö' * (len(text) * 2 // 5)}⟧"


async def forgotten(page: Page, known: Collection[str]) -> list[str]:
    """English sentences that the page shows in the language that nobody speaks: ``known`` are what somebody wrote."""
    texts = [_TRANSLATED.sub("", one) for one in await page.evaluate(_TEXTS)]
    return [one for one in texts if _ENGLISH.search(one) and not any(one in other for other in known)]


# What stands in a translated text is of it, or is a value.
_TRANSLATED = re.compile(r"⟦.*⟧", re.DOTALL)
_ENGLISH = re.compile(r"\b[A-Za-z][a-z]{2,} [a-z]{2,}\b")
# What is written in a code, an address or a name is no text.
_TEXTS = """
(() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const text = node.textContent.trim();
    const within = node.parentElement.closest("code, bdi, kbd, pre, textarea, script, time, [lang]:not(html)");
    if (text && !within) found.push(text);
  }
  return found;
})()
"""

"""The design of the pages, as far as it can be measured: contrast, and what the stylesheet leaves out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHEET = (ROOT / "keys/pages/static/comity.css").read_text("utf-8")
LEAST = 7.0
GROUNDS = {
    "text": ("page", "panel", "soon-soft", "harm-soft", "good-soft"),
    "quiet": ("page", "panel"),
    "link": ("page", "panel"),
    "accent-text": ("accent",),
    "harm": ("page", "panel", "harm-soft"),
    "soon": ("page", "panel", "soon-soft"),
    "good": ("page", "panel", "good-soft"),
}


def palettes() -> list[dict[str, str]]:
    """The colours of the light, and those of the dark."""
    light, dark = re.findall(r":root \{(.*?)\}", SHEET, re.S)[:2]
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in (light, dark)]


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", palettes(), ids=["light", "dark"])
def test_every_text_stands_out_from_every_ground_that_it_stands_on(palette: dict[str, str]) -> None:
    low = {
        f"{text} on {ground}": round(contrast(palette[text], palette[ground]), 2)
        for text, grounds in GROUNDS.items()
        for ground in grounds
        if contrast(palette[text], palette[ground]) < LEAST
    }
    assert low == {}
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_no_colour_stands_in_the_stylesheet_but_by_its_name() -> None:
    rules = re.sub(r":root \{.*?\}", "", SHEET, flags=re.S)
    allowed = {"#fff", "#000", "#76828f"}  # print, and the edge of a field: no text
    assert set(re.findall(r"#[0-9a-f]{3,8}\b", rules)) <= allowed


def test_the_stylesheet_fetches_nothing_moves_nothing_and_mirrors_by_itself() -> None:
    assert "url(" not in SHEET
    assert "@import" not in SHEET
    assert not re.search(r"(?<!reduced-motion)[\s{;]animation\s*:(?!\s*none)", SHEET)
    sides = (r"(?:margin|padding|border)-(?:left|right)", r"[\s;{](?:left|right)\s*:", r"text-align:\s*(?:left|right)")
    assert [found for side in sides for found in re.findall(side, SHEET)] == []

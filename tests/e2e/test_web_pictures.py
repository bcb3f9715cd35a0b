"""The pictures of the README and the guides, made of what runs, where ``COMITY_PICTURES`` says: ``make pictures``."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from exchange.demo.processes import RunningNode, variables
from exchange.settings import Home
from tests.e2e.web_job import answer_request, look_at_answer, write_request
from tests.e2e.web_offices import PARIS, TOKYO, Office, Offices, at_work, by_officer, home_of, running_offices
from tests.worlds.browser import browser, pictured, window
from tests.worlds.desks import ROOT
from tests.worlds.processes import request_draft

pytestmark = [
    pytest.mark.outside,
    pytest.mark.skipif("COMITY_PICTURES" not in os.environ, reason="makes pictures where COMITY_PICTURES says"),
]

EMERGENCY = ROOT / "examples" / "messages" / "emergency.request.json"


async def _send(offices: Offices, office: Office, draft: dict[str, Any]) -> None:
    file = offices.world.root / f"draft-{office.node}.json"
    await asyncio.to_thread(file.write_text, json.dumps(draft))
    home = home_of(offices.world.root, office)
    await offices.world.commands.comity(home, "send", str(file), *by_officer(offices.world, office))


def _emergency() -> dict[str, Any]:
    """Half an hour is left, and the telephone number is not that of the directory."""
    now = datetime.now(UTC)
    draft = json.loads(EMERGENCY.read_text("utf-8"))
    times = {
        "needed_by": (now + timedelta(minutes=30)).isoformat(),
        "supplement_by": (now + timedelta(days=3)).isoformat(),
    }
    call = {"name": "Marc Petit", "telephone": "+442079460958"}
    return {**draft, **times, "to": ["24-7@jp"], "call_back": call, "own_reference": "PARIS-2026-0482"}


async def _board(page: Page, name: str, height: int = 0) -> None:
    await expect(page.locator("section:has(#lane-emergencies) article")).to_have_count(1)
    await expect(page.locator("section:has(#lane-theirs) article")).to_have_count(1)
    await pictured(page, name, height)


@asynccontextmanager
async def _auditors_view(offices: Offices) -> AsyncIterator[dict[str, Any]]:
    """The view of an auditor of Japan, who mirrored both logs: its address, and a code."""
    world = offices.world
    home = world.root / "auditor"
    who = ("audit@jp", "--auditor", "--bootstrap", str(world.federation.bootstrap("jp")))
    await world.typed.comity(home, "init", *who, "--office", "Inspectorate", "--agency", "Board of Audit")
    world.federation.enrol(Home(home).enrolment, datetime.now(UTC))
    for node in ("jp", "fr"):
        await world.restart(node)  # it reads the directory when it starts
        await world.commands.comity(home, "audit", "mirror", node, codes=(0, 3))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "exchange.cli.main", "audit", "serve", "jp", "fr", "--home", str(home), "--json"),
        stdin=DEVNULL,
        stdout=PIPE,
        env={**os.environ, **variables(world.commands.passphrase_file)},
    )
    serving = RunningNode(process, {})
    try:
        assert process.stdout is not None
        yield json.loads(await process.stdout.readline())
    finally:
        await serving.stop()


async def _sign_in_with_code(page: Page, address: str, code: str) -> None:
    await page.goto(address)
    await page.locator("[name=code]").fill(code)
    await page.locator("main form button").first.click()
    await expect(page.locator("[name=code]")).to_have_count(0)


async def test_pictures_of_an_officers_work(tmp_path: Path) -> None:
    async with browser() as chrome, running_offices(tmp_path) as offices:
        async with at_work(chrome, offices, width=1120) as (tokyo, paris):
            thread = await write_request(tokyo, "NPA-2026-0117")
            answer = await answer_request(paris, thread)
            await look_at_answer(tokyo, thread, answer)
            await _send(offices, TOKYO, {**request_draft(), "to": ["24-7@fr"], "own_reference": "NPA-2026-0118"})
            await _send(offices, PARIS, {**request_draft(), "to": ["24-7@jp"], "own_reference": "PARIS-2026-0480"})
            await _send(offices, PARIS, _emergency())
            await tokyo.to_board()
            await _board(tokyo.page, "board", 680)
            await tokyo.page.set_viewport_size({"width": 390, "height": 800})
            await pictured(tokyo.page, "board-phone")
        async with at_work(chrome, offices, "ar", width=1120) as (tokyo, _paris):
            await _board(tokyo.page, "board-ar", 680)
        async with window(chrome, width=1120) as opened:
            page = await opened.new_page()
            home = offices.world.federation.node_home("jp")
            console = await offices.world.commands.node("console", "code", str(home))
            await _sign_in_with_code(page, console["address"], console["code"])
            await pictured(page, "console", 600)
        async with _auditors_view(offices) as view, window(chrome, width=1120) as opened:
            page = await opened.new_page()
            await _sign_in_with_code(page, view["address"], view["code"])
            await page.goto(f"{view['address']}/message?id={thread}")
            await pictured(page, "auditor", 680)

"""The desks of the demonstration in a browser: their addresses, one-time codes, and the desks kept running meanwhile.

Only for a person at a terminal, who is asked: nothing waits where nobody can answer.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from exchange.cli.output import line
from exchange.demo._stage import Stage
from exchange.demo.processes import Commands
from exchange.i18n import _


class DeskPages(NamedTuple):
    """Where a desk's pages are, and a code by which one signs in there, good once."""

    address: str
    code: str


@asynccontextmanager
async def desk_pages(commands: Commands, home: Path) -> AsyncIterator[DeskPages]:
    """Run the desk in ``home`` as a service for the length of the block."""
    desk = await commands.start_desk(home)
    try:
        made = await commands.comity(home, "web", "code")
        yield DeskPages(made["address"], made["code"])
    finally:
        await desk.stop()


async def show_pages(stage: Stage) -> None:
    """Ask whether the desks are to be looked at in a browser; run them until the person has seen enough."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    line("")
    if (await _typed(_("Look at the desks in a browser? y and Enter; Enter alone ends: "))).lower() != "y":
        return
    async with AsyncExitStack() as stack:
        for node in stage.nations:
            shown = await stack.enter_async_context(desk_pages(stage.commands, stage.desk(node)))
            line(_("24-7@{node}: {address}").format(node=node, address=shown.address))
            line(_("   One-time code, for ten minutes: {code}").format(code=shown.code))
        line(_("Choose there: with a one-time code. The field for the officer stays empty."))
        await _typed(_("Press Enter here to end. "))


async def _typed(question: str) -> str:
    """What a person types; nothing at the end of the input."""
    sys.stdout.write(question)
    sys.stdout.flush()
    typed: str = await asyncio.to_thread(sys.stdin.readline)
    return typed.strip()

"""How soon the board is told of a message after the node has it: two real nodes, and the desk's service with its pages.

A browser follows the board of a desk with a long past. A partner sends emergencies, one at a time. The time begins with
the instant at which the desk's own node consigned the message, as its log has it, and ends when the browser was told,
and when the lanes that it then asks for show the message.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlsplit

import aiohttp

from benchmarks._figures import Report
from benchmarks.desk import fill
from exchange.demo.processes import Commands
from exchange.desk.desk import Desk
from exchange.desk.enrolment import NewDesk, create_desk
from exchange.settings import Home, OfficerSettings
from keys.local.files import write_file
from keys.members.bootstrap import BootstrapFile
from keys.secrets.keystore import FAST
from protocol.address import Address
from protocol.event import EventName
from tests.worlds.desks import FR, JP, PASSPHRASE, request
from tests.worlds.processes import NodeHomes, make_homes
from tests.worlds.web_desk import Visitor

_IDLE_S = 1.0
_WITHIN_S = 60.0
_SHORT_ID = 8


async def measure_board(report: Report, messages: int, cases: int, rounds: int) -> None:
    """Print and keep the figures."""
    with tempfile.TemporaryDirectory(prefix="comity-board-") as folder:
        root = Path(folder)
        secret = root / "passphrase"
        write_file(secret, PASSPHRASE, mode=0o600)
        commands, federation = Commands(secret), make_homes(root, PASSPHRASE, secret)
        homes = {address: _desk(root, federation, address) for address in (JP, FR)}
        fill(homes[JP], messages, cases)
        running = [await commands.start_node(federation.node_home(name)) for name in ("jp", "fr")]
        try:
            async with Desk.open(homes[JP], PASSPHRASE) as desk:  # as it is at a desk that has its past
                await desk.cases.agenda()
                await desk.events.record_due()
                await desk.cases.search("nothing-has-this-word", everything=True)
            running.append(await commands.start_desk(homes[JP]))
            told, shown = await _follow(homes, running[-1].ready["pages"][0], rounds)
        finally:
            for one in reversed(running):
                await one.stop()
    for name, took in (("the board is told", told), ("the board shows it", shown)):
        p95 = quantiles(took, n=20, method="inclusive")[-1]
        print(f"from the node's having a message until {name}: p50 {quantiles(took, n=2)[0]:.0f} ms, p95 {p95:.0f} ms")
        report.add(f"node has a message until {name}, p95", p95, "ms")


def _desk(root: Path, federation: NodeHomes, address: Address) -> Path:
    home = root / f"desk-{address.node}"
    bundle = BootstrapFile.from_bytes(federation.bootstrap(address.node).read_bytes())
    officer = OfficerSettings(name="Bench", role="duty officer", telephone="+33123456789")
    new = NewDesk(address, office="bench", agency="bench", officer=officer)
    create_desk(home, new, PASSPHRASE, bundle, datetime.now(UTC), derivation=FAST)
    federation.enrol(Home(home).enrolment, datetime.now(UTC))
    return home


async def _follow(homes: dict[Address, Path], origin: str, rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds until the browser was told, and until the lanes show the message."""
    told: list[float] = []
    shown: list[float] = []
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session, Desk.open(homes[FR], PASSPHRASE) as fr:
        visitor = Visitor(session, origin, "en")
        await visitor.sign_in()
        board = _Board(visitor)
        listening = asyncio.create_task(board.listen())
        await board.told("")  # what is there at the beginning
        for number in range(rounds):
            await asyncio.sleep(_IDLE_S)
            message, consigned = await _send(fr, f"BOARD-{number}")
            while f"BOARD-{number}" not in (await visitor.get("/board/lanes?lane=emergencies")).text:
                assert time.time() - consigned < _WITHIN_S
            shown.append((time.time() - consigned) * 1e3)
            told.append((await board.told(message[-_SHORT_ID:]) - consigned) * 1e3)
        listening.cancel()
    return told, shown


async def _send(fr: Desk, reference: str) -> tuple[str, float]:
    """Send an emergency: its id, and when the recipient's node consigned it (seconds since 1970)."""
    sent = await fr.messages.send(request(to=[str(JP)], urgency="emergency", own_reference=reference))
    while True:
        for row in (await fr.messages.show(sent.id)).receipts:
            if row.event == EventName.ContentConsignment.value:
                return str(sent.id), row.at.timestamp()
        await fr.messages.sync(wait=1)


class _Board:
    """What the board is told, and when, as a browser hears it."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._heard: list[tuple[float, str]] = []
        self._changed = asyncio.Event()

    async def listen(self) -> None:
        """Follow the board until it is ended."""
        parts = urlsplit(self._visitor.origin)
        named = {"Host": parts.netloc, "Accept": "text/event-stream", "Sec-Fetch-Site": "same-origin"}
        url = f"http://127.0.0.1:{parts.port}/board/events"
        async with self._visitor.session.get(url, headers=named, timeout=aiohttp.ClientTimeout(total=None)) as answer:
            async for line in answer.content:
                if line.startswith(b"data: "):
                    self._heard.append((time.time(), line.decode()))
                    self._changed.set()

    async def told(self, text: str) -> float:
        """When it was told of something first, since 1970."""
        async with asyncio.timeout(_WITHIN_S):
            while True:
                for at, said in self._heard:
                    if text in said:
                        return at
                self._changed.clear()
                await self._changed.wait()

"""What the pages of a desk with a long past cost: each page's time, the first load, and fifty officers at once.

    python -m benchmarks.web [--messages 100000] [--cases 20000] [--officers 50] [--rounds 20] [--json]
                             [--folder FOLDER] [--only TEXT] [--part pages|officers|start|board]

The desk is made once in ``--folder`` and used again (without one: in a folder of this run). It is served by a process
of its own (:mod:`benchmarks._web_desk`); this one is the browsers, so that their work is not counted. Of each page the
time is told that a browser waits until it has the whole answer, and beside it the processor time of the desk's process,
which does not depend on what else the machine does. The floor, in the same run: a listener of the same library that
answers as many bytes, and does nothing else.

A page may take 150 ms (p95), the first load 150 KB, a page 300 ms (p95) while all officers work, and the board is told
of a message within a second after the node has it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any

import aiohttp

from benchmarks._figures import Report, add_json_option
from benchmarks._web_board import measure_board
from benchmarks._web_desk import FIRST_OFFICER, Made, kept, underived, with_retention
from exchange.web.calls import Page
from exchange.web.pages import PAGES
from tests.worlds.desks import PASSPHRASE
from tests.worlds.web_desk import Shown, Visitor

REPORT = Report("web")
PARTS = ("pages", "officers", "start", "board")
# Lists as they are asked for besides: with filters, other pages, words.
_ASKED = (
    "/?lane=ours",
    "/?wall=1",
    "/calendar?month=2026-01",
    "/cases?nation=fr",
    "/cases?nation=fr&state=submitted&page=3",
    "/cases?reference=REF-50",
    "/cases?offence=fraud",
    "/cases?owner=nobody-of-this-name",
    "/cases?page=100",
    "/erasure?look=1",
    "/messages?box=sent",
    "/messages?unopened=1",
    "/search?q=REF-50",
    "/search?q=mailbox",
    "/search?q=nothing-has-this-word",
    "/statistics?since=2026-01-01&until=2026-02-01",
)
# Made for a person who waits for a file.
_FILES = re.compile(r"\.(?:pdf|ics)$")
_RETENTION_DAYS = 30


@dataclass(frozen=True, slots=True)
class Served:
    """A desk's process: where its pages are, where the bare listener is."""

    pid: int
    origin: str
    floor: int
    start_ms: float

    def cpu_ms(self) -> float:
        """Processor time that the process has used, of all its threads."""
        return time.clock_gettime(~self.pid << 3 | 2) * 1e3  # clock_getcpuclockid(3)

    def memory_mb(self) -> float:
        """The most memory it has had."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    @asynccontextmanager
    async def visitor(self, officer: str = FIRST_OFFICER) -> AsyncIterator[Visitor]:
        """An officer with a browser of their own, who is signed in."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            visitor = Visitor(session, self.origin, "en")
            await visitor.sign_in(officer, PASSPHRASE.decode())
            yield visitor


@contextmanager
def serving(home: Path) -> Iterator[Served]:
    """The desk in ``home``, served by a process of its own."""
    command = [sys.executable, "-m", "benchmarks._web_desk", str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Served(**json.loads(process.stdout.readline()))
        finally:
            process.stdin.close()
            process.wait(60)


def main() -> None:
    """Make or find the desk, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--officers", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where the desk is made, and found again by the next run")
    parser.add_argument("--only", default="", help="only pages whose path has this text")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part; may be given several times")
    add_json_option(parser)
    given = parser.parse_args()
    parts = given.part or PARTS
    with REPORT.shown(given.json), tempfile.TemporaryDirectory() as folder:
        if "board" in parts:  # first: the other parts stand in the place of this process's clients of a node
            asyncio.run(measure_board(REPORT, given.messages, given.cases, given.rounds))
        if set(parts) - {"board"}:
            _measure_pages(given, parts, Path(folder))


def _measure_pages(given: argparse.Namespace, parts: tuple[str, ...], folder: Path) -> None:
    """All that is measured at the desk that is kept."""
    began = time.perf_counter()
    place = given.folder or folder / "kept"
    made = kept(place, given.messages, given.cases, given.officers)
    print(f"the desk is there after {time.perf_counter() - began:.1f} s")
    with_retention(made.home(place), _RETENTION_DAYS)
    if "pages" in parts:
        with serving(made.home(place)) as served:
            asyncio.run(measure(served, made, given))
            REPORT.slopes["memory MB, pages of a desk with this past"] = served.memory_mb()
    if "officers" in parts:  # of a service of its own: after a look at the figures one goes on counting for a while
        with serving(made.home(place)) as served:
            asyncio.run(_together(served, made.officers, given.rounds))
    if "start" in parts:
        with serving(underived(place, folder / "underived")) as served:
            asyncio.run(measure_start(served))


async def measure(served: Served, made: Made, given: argparse.Namespace) -> None:
    """The pages, one after the other."""
    print(f"start of the process until its pages are served: {served.start_ms:.0f} ms")
    async with served.visitor() as visitor:
        began = time.perf_counter()
        board = await visitor.get("/")
        print(f"first board after the start: {(time.perf_counter() - began) * 1e3:.0f} ms")
        REPORT.add("first board after a start", (time.perf_counter() - began) * 1e3, "ms")
        await _first_load(visitor, board.text)
        await _pages(served, visitor, made, given)


# --- One page after the other -------------------------------------------------------------------------------------


async def _pages(served: Served, visitor: Visitor, made: Made, given: argparse.Namespace) -> None:
    print(f"{'':44} {'wall p50':>9} {'p95':>7} {'CPU p50':>8} {'p95':>7} {'KB':>6} {'floor':>6}   ms")
    paths = sorted({_path(page, made) for page in PAGES if _is_shown(page)} | set(_ASKED))
    worst: dict[str, tuple[float, str]] = {}
    for path in paths:
        if given.only not in path:
            continue
        if (taken := await _taken(served, partial(visitor.get, path), given.rounds)) is None:
            continue
        _tell(path, taken, made, await _floor(served, taken.bytes, given.rounds))
        for name, value in (("wall", taken.wall95), ("CPU", taken.cpu95)):
            worst[name] = max(worst.get(name, (0.0, "")), (value, path))
    if given.only in "/hand-over (sent)":
        await _hand_over(served, visitor, made, given.rounds)
    for name, (value, path) in worst.items():
        print(f"the slowest page by {name}: p95 {value:.1f} ms of 150, {path}")


async def _hand_over(served: Served, visitor: Visitor, made: Made, rounds: int) -> None:
    """Hand over, and again: each takes the place of the one before."""
    page = await visitor.get("/hand-over")
    taken = await _taken(
        served, lambda: visitor.send(page, "/hand-over", taker="officer-1", note="All quiet"), rounds, changes=True
    )
    if taken is not None:
        _tell("/hand-over (sent)", taken, made, await _floor(served, taken.bytes, rounds))


@dataclass(frozen=True, slots=True)
class Taken:
    """Milliseconds of a page."""

    wall50: float
    wall95: float
    cpu50: float
    cpu95: float
    bytes: int


async def _taken(served: Served, ask: Callable[[], Any], rounds: int, *, changes: bool = False) -> Taken | None:
    """What a page takes; the first asking, which fills caches, is told beside it and not counted."""
    wall: list[float] = []
    cpu: list[float] = []
    shown: Shown | None = None
    for number in range(rounds + 1):
        before, began = served.cpu_ms(), time.perf_counter()
        shown = await ask()
        wall.append((time.perf_counter() - began) * 1e3)
        cpu.append(served.cpu_ms() - before)
        if shown.status != 200:
            print(f"{shown.path:44} answers {shown.status}: not measured")
            return None
        if number == 0 and wall[0] > 300:
            print(f"{shown.path:44} the first time {wall[0]:.0f} ms, CPU {cpu[0]:.0f} ms")
    assert shown is not None
    return Taken(_p(wall[1:], 50), _p(wall[1:], 95), _p(cpu[1:], 50), _p(cpu[1:], 95), len(shown.text.encode()))


async def _floor(served: Served, size: int, rounds: int) -> float:
    """Milliseconds (p95) of as many bytes from a listener that does nothing else."""
    wall = []
    async with aiohttp.ClientSession() as session:
        for _ in range(rounds + 1):
            began = time.perf_counter()
            async with session.get(f"http://127.0.0.1:{served.floor}/?bytes={size}") as answer:
                await answer.read()
            wall.append((time.perf_counter() - began) * 1e3)
    return _p(wall[1:], 95)


def _tell(path: str, taken: Taken, made: Made, floor: float) -> None:
    name = path
    for word, value in made.names.items():
        name = name.replace(value, f"{{{word}}}")
    print(
        f"{name:44} {taken.wall50:9.1f} {taken.wall95:7.1f} {taken.cpu50:8.1f} {taken.cpu95:7.1f}"
        f" {taken.bytes / 1e3:6.1f} {floor:6.1f}",
        flush=True,
    )
    REPORT.add(f"page {name}, p95", taken.wall95, "ms", floor)
    REPORT.add(f"page {name}, processor, p95", taken.cpu95, "ms CPU")


async def _first_load(visitor: Visitor, page: str) -> None:
    assets = set(re.findall(r'(?:href|src)="(/assets/[^"]+)"', page))
    loaded = len(page.encode()) + sum([len((await visitor.get(path)).text.encode()) for path in sorted(assets)])
    print(f"first load: {loaded / 1e3:.1f} KB of 150, in {1 + len(assets)} requests")
    REPORT.add("first load", loaded / 1e3, "KB")


def _is_shown(page: Page) -> bool:
    if page.method != "GET" or page.listens or _FILES.search(page.path):
        return False
    return "{kept" not in page.path  # a form that came back stands in the page it was typed in


def _path(page: Page, made: Made) -> str:
    """The page's path with something in the place of each name."""
    case, waits = made.names["case"], page.path.startswith("/release/")
    names = {
        "thread": made.names["parent"] if "/say/" in page.path else case,
        "message": made.names["sent"] if page.path.endswith("/correct") else case,
        "address": "24-7@fr",
        "draft": made.names["waiting" if waits else "draft"],
        "entry": made.names["entry"],
        "act": "note",
        "type": "status.query" if "/say/" in page.path else "status.report",
        "page": "what",
        "parent": made.names["parent"],
    }
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: names[found[1]], page.path)


# --- All officers at once -----------------------------------------------------------------------------------------


async def _together(served: Served, officers: int, rounds: int) -> None:
    """Each officer opens the board, the cases and a case, again and again, all at once, and reads each for a second."""

    async def work(visitor: Visitor, number: int) -> list[float]:
        await asyncio.sleep(number / officers)  # nobody reads in step with the others
        found: list[float] = []
        for _ in range(max(1, rounds // 4)):
            for path in ("/", "/cases", "/messages", "/calendar"):
                began = time.perf_counter()
                await visitor.get(path)
                found.append((time.perf_counter() - began) * 1e3)
                await asyncio.sleep(1.0)  # somebody reads
        return found

    async with AsyncExitStack() as stack:
        visitors = [await stack.enter_async_context(served.visitor(f"officer-{n}")) for n in range(officers)]
        before = served.cpu_ms(), time.perf_counter()
        read = await asyncio.gather(*(work(visitor, number) for number, visitor in enumerate(visitors)))
        spent, passed = served.cpu_ms() - before[0], (time.perf_counter() - before[1]) * 1e3
    took = [one for found in read for one in found]
    print(
        f"{officers} officers, one page a second each: p50 {_p(took, 50):.1f} ms, p95 {_p(took, 95):.1f} ms of 300, "
        f"CPU {spent / len(took):.1f} ms a page, {spent / passed:.2f} cores busy, "
        f"{len(took) / passed * 1e3:.0f} pages a second"
    )
    REPORT.add(f"page, {officers} officers at once, p95", _p(took, 95), "ms")
    REPORT.add(f"page, {officers} officers at once, processor", spent / len(took), "ms CPU")


# --- The start of a desk of which nothing is derived --------------------------------------------------------------


async def measure_start(served: Served) -> None:
    """From the start of the process until the first board is there; pages meanwhile; until all is derived."""
    began = time.perf_counter()
    async with served.visitor() as visitor:
        await visitor.get("/")
        first = served.start_ms + (time.perf_counter() - began) * 1e3
        print(f"nothing derived: start to the first board, signed in: {first:.0f} ms")
        REPORT.add("start to the first board, nothing derived", first, "ms")
        took: list[float] = []
        while time.perf_counter() - began < 10:
            for path in ("/", "/cases", "/calendar"):
                asked = time.perf_counter()
                await visitor.get(path)
                took.append((time.perf_counter() - asked) * 1e3)
        print(f"pages meanwhile: p50 {_p(took, 50):.0f} ms, p95 {_p(took, 95):.0f} ms")
        REPORT.add("page while all cases are derived, p95", _p(took, 95), "ms")


def _p(times: list[float], share: int) -> float:
    return quantiles(times, n=100, method="inclusive")[share - 1] if len(times) > 1 else times[0]


if __name__ == "__main__":
    main()

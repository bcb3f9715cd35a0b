"""What the pages of a desk with a long past cost: each page's server time, the first load, and fifty officers at once.

    python -m benchmarks.web [--messages 100000] [--cases 20000] [--officers 50] [--rounds 20] [--json]

The desk's database is that of ``benchmarks.desk``. Pages are asked for over a real connection, by a visitor who is
signed in; the time is that until the whole answer is read. The floor, in the same run: the page of the keys, which has
the frame and nothing of the desk. A page may take 150 ms (p95), the first load 150 KB, and 300 ms with all officers.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import tempfile
import time
from pathlib import Path
from statistics import quantiles
from uuid import UUID

from benchmarks._figures import Report, add_json_option, peak_mb
from benchmarks.desk import _Patch, fill
from exchange.web.calls import Page
from exchange.web.pages import PAGES
from tests.worlds.desks import JP, World
from tests.worlds.web_desk import Pages, Visitor, web_serving

REPORT = Report("web")
FLOOR = "/keys"
# Asked for by a person who waits for a file, or goes on for long.
_LEFT_OUT = re.compile(r"\.(?:pdf|ics)$|^/(?:sign-in|unlock|kept)")


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--officers", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=20)
    add_json_option(parser)
    given = parser.parse_args()
    with REPORT.shown(given.json), tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), _Patch())  # type: ignore[arg-type]
        large = fill(world.home(JP), given.messages, given.cases)
        asyncio.run(measure(world, large, given.rounds, given.officers))
        REPORT.slopes["memory MB, pages of a desk with this past"] = peak_mb()


async def measure(world: World, large: UUID, rounds: int, officers: int) -> None:
    """All figures."""
    async with web_serving(world, JP) as pages, pages.visitor() as visitor:
        began = time.perf_counter()
        board = await visitor.sign_in()
        print(f"first page after the sign-in: {(time.perf_counter() - began) * 1e3:.0f} ms")
        await _first_load(visitor, board.text)
        floor = _p95(await _times(visitor, FLOOR, rounds))
        worst = 0.0
        for path in sorted({_path(page, large) for page in PAGES if _is_measured(page)}):
            p95 = _p95(await _times(visitor, path, rounds))
            shown = path.replace(str(large), "{thread}")
            print(f"{shown:32} p95 {p95:7.1f} ms")
            REPORT.add(f"page {shown}, p95", p95, "ms", floor)
            worst = max(worst, p95)
        print(f"the slowest page: p95 {worst:.1f} ms of 150")
        await _together(pages, officers, rounds)


async def _first_load(visitor: Visitor, page: str) -> None:
    assets = set(re.findall(r'(?:href|src)="(/assets/[^"]+)"', page))
    loaded = len(page.encode()) + sum([len((await visitor.get(path)).text.encode()) for path in sorted(assets)])
    print(f"first load: {loaded / 1e3:.1f} KB of 150, in {1 + len(assets)} requests")
    REPORT.add("first load", loaded / 1e3, "KB")


async def _together(pages: Pages, officers: int, rounds: int) -> None:
    """Each officer opens the board, the cases and the keys, again and again, all at once."""

    async def work() -> list[float]:
        async with pages.visitor() as visitor:
            await visitor.sign_in()
            found: list[float] = []
            for _ in range(max(1, rounds // 4)):
                for path in ("/", "/cases", FLOOR):
                    found += await _times(visitor, path, 1)
                    await asyncio.sleep(1.0)  # somebody reads
            return found

    took = [one for found in await asyncio.gather(*(work() for _ in range(officers))) for one in found]
    print(f"{officers} officers, one page a second each: p95 {_p95(took):.1f} ms of 300")
    REPORT.add(f"page, {officers} officers at once, p95", _p95(took), "ms")


async def _times(visitor: Visitor, path: str, rounds: int) -> list[float]:
    """Milliseconds of each asking; the first, which fills caches, is not among several."""
    found = []
    for _ in range(rounds + (rounds > 1)):
        began = time.perf_counter()
        await visitor.get(path)
        found.append((time.perf_counter() - began) * 1e3)
    return found[1:] if rounds > 1 else found


def _p95(times: list[float]) -> float:
    return quantiles(times, n=20, method="inclusive")[-1] if len(times) > 1 else times[0]


def _is_measured(page: Page) -> bool:
    named = page.path.replace("{thread}", "")
    return page.method == "GET" and not page.listens and "{" not in named and not _LEFT_OUT.search(page.path)


def _path(page: Page, large: UUID) -> str:
    return page.path.replace("{thread}", str(large))


if __name__ == "__main__":
    main()

"""The desk that ``benchmarks.web`` measures: made once in a folder and used again, and served by a process of its own.

    python -m benchmarks._web_desk FOLDER

serves it until its standard input ends, and says in one line of JSON where: the pages, and beside them a bare listener
whose one page has as many bytes as it is asked for, and nothing else. That is the floor of a page.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from aiohttp import web

from benchmarks.desk import LARGE, _Patch, fill
from exchange.cases.listing import read_ahead
from exchange.desk.desk import Desk, OpenedDesk, cipher_of, open_desk
from exchange.office.officers import Login, Role, new_officer_key
from exchange.service.service import DeskService
from exchange.service.sessions import Sessions
from exchange.settings import DeskSettings, Home, RetentionSettings
from exchange.store.desk_store import DeskStore
from exchange.web.server import web_desk
from keys.local.terminal import OBJECTS_BETWEEN_LOOKS
from keys.secrets.keystore import FAST, Keystore
from protocol.errors import UnavailableError
from tests.worlds.desks import FR, JP, NOW, PASSPHRASE, World, request

_MADE, _HOME = "made.json", "24-7-jp"
# A message of each kind of time: something is shown on every lane of the board.
_OWN, _PRESSING, _REGISTERED = 20, 5, 200
FIRST_OFFICER = "officer-0"


@dataclass(frozen=True, slots=True)
class Made:
    """What lies in a folder: how much, and the names of what pages are opened with."""

    messages: int
    cases: int
    officers: int
    names: dict[str, str]

    def home(self, folder: Path) -> Path:
        """The home of the desk."""
        return folder / _HOME


def kept(folder: Path, messages: int, cases: int, officers: int) -> Made:
    """The desk in ``folder``; made there, with all that it derives, where it is not there yet in this size."""
    note = folder / _MADE
    made = Made(**json.loads(note.read_text("utf-8"))) if note.exists() else None
    if made is None or (made.messages, made.cases, made.officers) != (messages, cases, officers):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        world = World(folder, _Patch(), "gh")  # type: ignore[arg-type]
        names = asyncio.run(_furnish(world, officers))
        fill(world.home(JP), messages, cases)
        made = Made(messages, cases, officers, names)
        note.write_text(json.dumps(asdict(made)), "utf-8")
    asyncio.run(_derive(made.home(folder)))
    return made


async def _furnish(world: World, officers: int) -> dict[str, str]:
    """Officers, what they sent, drafted and registered, what partners sent; the names of one of each."""
    for number in range(officers):
        login, name = Login(FIRST_OFFICER, PASSPHRASE) if number else Login(), f"officer-{number}"
        key = new_officer_key(Home(world.home(JP)).officers, name, PASSPHRASE, FAST, NOW)
        async with world.open(JP, login) as desk:
            await desk.office.add_officer(name, name.title(), "Inspector", frozenset(Role), key)
    async with world.open(FR) as fr, world.open(JP, Login(FIRST_OFFICER, PASSPHRASE)) as desk:
        for number in range(_OWN):
            await fr.messages.send(request(to=[str(JP)], urgency="emergency" if number < _PRESSING else "urgent"))
        received = await _long_case(fr, desk)
        parent = await desk.messages.send(request(to=[str(FR), "24-7@gh"], own_reference="SEVERAL-1"), at_once=True)
        sent = [await desk.messages.send(request(own_reference=f"OWN-{number}")) for number in range(_OWN)]
        draft = await desk.messages.save_draft(request())
        waiting = await desk.messages.propose(request(own_reference="FOUR-EYES"))
        entries = [await _registered(desk, number) for number in range(_REGISTERED)]
        await desk.messages.sync()
    names = {"case": received, "sent": sent[0].id, "parent": parent.id, "draft": draft.id, "waiting": waiting.id}
    return {name: str(value) for name, value in {**names, "entry": entries[-1]}.items()}


async def _long_case(fr: Desk, desk: Desk) -> UUID:
    """A case of fifty messages, half of them from each side, with all receipts; its first message."""
    opening = await fr.messages.send(request(to=[str(JP)], own_reference="LONG-1"))
    await desk.messages.sync()
    for number in range(LARGE // 2 - 1):
        asked = await fr.replies.draft(opening.id, "status.query", question=f"Step {number}?")
        await fr.messages.send(asked)
        await desk.messages.sync()
        soon = {"state": "in_execution", "next_update_by": (NOW + timedelta(hours=1)).isoformat(), "remark": "Step"}
        told = await desk.replies.draft(opening.id, "status.report", **soon)
        await desk.messages.send(told)
        await fr.messages.sync()
    await desk.messages.show(opening.id)
    return opening.id


async def _registered(desk: Desk, number: int) -> str:
    given = "interpol", "preservation.request", FR, "An office elsewhere", f"Letter {number}"
    return str((await desk.cases.register(*given, reference=f"LETTER-{number}")).id)


async def _derive(home: Path) -> None:
    """Derive and index all there is; what was derived before stays."""
    began = time.perf_counter()
    async with _opened(home) as opened:
        desk = opened.desk(await opened.acting(Login(FIRST_OFFICER, PASSPHRASE)))
        due = await desk.cases.agenda()
        print(f"all cases derived in {time.perf_counter() - began:.1f} s: {len(due)} things are due", file=sys.stderr)
        await desk.cases.search("nothing-has-this-word", everything=True)


def underived(folder: Path, target: Path) -> Path:
    """A copy of the desk of which nothing is derived, as after an upgrade that shows more; its home."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder / _HOME, target)
    connection = sqlite3.connect(target / "desk.sqlite", isolation_level=None)
    try:
        connection.execute("BEGIN")
        connection.execute("DELETE FROM agenda")
        connection.execute("DELETE FROM standing")
        connection.execute(
            "INSERT INTO agenda_stale (thread, mark) SELECT DISTINCT thread, randomblob(8) FROM message WHERE true"
            " ON CONFLICT DO UPDATE SET mark = excluded.mark"
        )
        connection.execute("COMMIT")
    finally:
        connection.close()
    return target


# --- The process that serves it -----------------------------------------------------------------------------------


class _NoNode:
    """Stands where the desk's HTTP client stands: the node of this desk is away."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.server = None

    async def close(self) -> None:
        """Nothing is open."""

    def __getattr__(self, name: str) -> Any:
        async def away(*_: Any, **__: Any) -> Any:
            raise UnavailableError("the node of a benchmark is away")

        return away


def _away(_path: str) -> bytes:
    raise UnavailableError("the node of a benchmark is away")


@asynccontextmanager
async def _opened(home: Path, derived: dict[str, Any] | None = None) -> AsyncIterator[OpenedDesk]:
    """The desk of a home whose node is away."""
    patch = _Patch()
    patch.setattr("exchange.link.directory.DeskDirectory._get", lambda _self, path: _away(path))
    patch.setattr("exchange.link.client.NodeClient", _NoNode)
    async with open_desk(home, PASSPHRASE, clock=cast("Any", _Clock()), derived=derived) as opened:
        yield opened


async def serve(home: Path, began: float) -> None:
    """Serve the pages until standard input ends."""
    async with AsyncExitStack() as stack:
        sessions = Sessions(Home(home).officers, 900.0)
        service = DeskService(home, cast("Any", None), cast("Any", None), sessions, derived=_read_ahead(home))
        service.opened = await stack.enter_async_context(_opened(home, service.derived))
        deriving = asyncio.create_task(service.keep_derived())
        pages = await stack.enter_async_context(web_desk(service))
        floor = await stack.enter_async_context(_floor())
        origin = next(iter(pages.origins.origins))
        ready = {"origin": origin, "floor": floor, "pid": os.getpid(), "start_ms": (time.perf_counter() - began) * 1e3}
        print(json.dumps(ready), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        deriving.cancel()


def _read_ahead(home: Path) -> dict[str, Any]:
    """What the service reads before it begins (:meth:`DeskService.prepare`)."""
    store = DeskStore(Home(home).database, cipher_of(Keystore.open(Home(home).keystore, PASSPHRASE)))
    try:
        return read_ahead(store, NOW)
    finally:
        store.close()


class _Clock:
    """The desk's clock: it goes on from the day that the world was made, whose directory expires three days later."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self) -> Any:
        return NOW + timedelta(seconds=time.monotonic() - self._began)


@asynccontextmanager
async def _floor() -> AsyncIterator[int]:
    """A listener whose page has as many bytes as are asked for; its port."""
    text = "a" * (1 << 20)

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=text[: int(request.query["bytes"])], content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        assert runner.addresses
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def with_retention(home: Path, days: int | None) -> None:
    """Set after how many days this desk erases its cases."""
    settings = DeskSettings.load(Home(home).settings)
    settings.model_copy(update={"retention": RetentionSettings(cases_days=days)}).save(Home(home).settings)


def main() -> None:
    """Serve."""
    import uvloop

    began = time.perf_counter()
    gc.set_threshold(OBJECTS_BETWEEN_LOOKS)  # as the program sets it
    uvloop.run(serve(Path(sys.argv[1]), began))


if __name__ == "__main__":
    main()

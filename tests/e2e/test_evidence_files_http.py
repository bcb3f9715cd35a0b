"""Evidence files from an officer's disk to another one's, over two nodes with real TLS on loopback."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from exchange.desk.desk import Desk
from exchange.desk.watch import watch
from exchange.files.given import attaching
from exchange.files.sealing import WantedFile
from tests.e2e.test_desk_http import Federation, has_message, reached, running
from tests.worlds.desks import request
from tests.worlds.patience import WITHIN_S

pytestmark = pytest.mark.outside
MIB = 1 << 20
PROVED = {
    ("FileAcceptance", "jp"),
    ("FileRelayAcceptance", "fr"),
    ("FileConsignment", "fr"),
    ("FileHandover", "fr"),
    ("FileAccessTracking", "fr"),
}


@pytest.fixture
async def federation(tmp_path: Path) -> AsyncIterator[Federation]:
    async with running(tmp_path) as made:
        yield made


@asynccontextmanager
async def watching(desk: Desk) -> AsyncIterator[None]:
    """A desk that keeps watch for the length of the block: it moves files by itself."""

    async def keep() -> None:
        async with aclosing(watch(desk, (), lambda: datetime.now(UTC), turn_s=0.2, here=False)) as seen:
            async for _ in seen:
                pass

    task = asyncio.create_task(keep())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def is_done(desk: Desk, message: UUID) -> bool:
    return any(one.message == message and one.transfer.state == "done" for one in await desk.files.listed())


async def until(condition: Any) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.05)


async def test_files_follow_their_message_by_themselves_and_every_hop_is_proved(
    federation: Federation, tmp_path: Path
) -> None:
    contents = {"image.dd": os.urandom(20 * MIB + 3), "order.pdf": b"%PDF-1.7", "empty": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    out = tmp_path / "out"
    out.mkdir()
    async with federation.desk("24-7@jp") as jp, federation.desk("24-7@fr") as fr:
        async with watching(jp), watching(fr):
            with attaching([WantedFile(tmp_path / name, ("md5",)) for name in contents]):
                sent = await jp.messages.send(request())
            await until(lambda: is_done(jp, sent.id))
            await until(lambda: is_done(fr, sent.id))
        opened = await fr.files.get(sent.id, out)
        assert {one.path.name: one.path.read_bytes() for one in opened} == contents
        await fr.messages.sync()
        await jp.wait_for(lambda desk: reached(desk, sent.id, PROVED))
        assert all(one.ok for one in await fr.files.verify(sent.id))
        report = await jp.evidence.verify(sent.id)
        assert report.ok


async def test_a_desk_that_ends_in_the_middle_goes_on_where_it_was(federation: Federation, tmp_path: Path) -> None:
    content = os.urandom(20 * MIB)
    (tmp_path / "image.dd").write_bytes(content)
    async with federation.desk("24-7@jp") as jp:
        with attaching([WantedFile(tmp_path / "image.dd")]):
            sent = await jp.messages.send(request())
        begun = asyncio.Event()
        moving = asyncio.create_task(jp.files.resume(sent.id, lambda progress: begun.set()))
        await begun.wait()
        moving.cancel()
        await asyncio.gather(moving, return_exceptions=True)
    await federation.stop("jp")
    await federation.start("jp")
    async with federation.desk("24-7@jp") as jp, federation.desk("24-7@fr") as fr:
        assert (await jp.files.resume(sent.id)).state == "done"
        tracked = await jp.files.tracking(sent.id)
        assert tracked is not None
        assert [(one.party, one.behind) for one in tracked.shares] == [("jp", None), ("fr", "jp"), ("24-7@fr", "fr")]
        assert tracked.shares[0].percent == 100
        await fr.wait_for(lambda desk: has_message(desk, sent.id))
        async with watching(fr):
            await until(lambda: is_done(fr, sent.id))
        (opened,) = await fr.files.get(sent.id, tmp_path, target=tmp_path / "of-jp.dd")
        assert opened.path.read_bytes() == content

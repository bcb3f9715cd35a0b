"""A desk of the benchmark in a process of its own: it keeps watch, and so fetches files, until its input ends."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from exchange.desk.desk import Desk
from exchange.desk.watch import watch
from exchange.views import SyncResult
from protocol.errors import NotFoundError


async def keep_watch(home: Path, passphrase: bytes) -> None:
    """Say when the desk is open, then each message whose files are all here; end when the input does."""
    loop = asyncio.get_running_loop()
    ended = loop.run_in_executor(None, sys.stdin.read)
    coming: set[UUID] = set()
    async with Desk.open(home, passphrase) as desk:
        coming |= {transfer.message for transfer in await desk.files.unfinished()}
        print("ready", flush=True)

        async def moved() -> None:
            async with aclosing(watch(desk, (), lambda: datetime.now(UTC), turn_s=0.2, here=False)) as seen:
                async for one in seen:
                    if isinstance(one, SyncResult):
                        coming.update(row.id for row in one.received)

        async def tell() -> None:
            while True:
                for message in list(coming):
                    with suppress(NotFoundError):
                        if (await desk.files.progress(message)).state == "done":
                            coming.discard(message)
                            print(message, flush=True)
                await asyncio.sleep(0.02)

        tasks = [asyncio.create_task(moved()), asyncio.create_task(tell())]
        await ended
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(keep_watch(Path(sys.argv[1]), sys.argv[2].encode()))

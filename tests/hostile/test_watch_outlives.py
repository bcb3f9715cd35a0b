"""A watch tells what arrives for as long as it runs, whatever node, directory or disk answered meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

import exchange.desk.watch
from exchange.desk.notify import WebhookTurn
from exchange.desk.watch import Interrupted, watch
from exchange.views import SyncResult
from protocol.errors import ComityError, ReplayedError, StorageFullError
from tests.worlds.patience import WITHIN_S


def every_error() -> Iterator[BaseException]:
    kinds = [ComityError]
    for kind in kinds:
        kinds += kind.__subclasses__()
        if kind.__init__ is ComityError.__init__:
            yield kind("refused")
    yield OSError(24, "Too many open files")


class RefusingDesk:
    """Each of its parts fails once with each of ``errors``; between two failures a message arrives."""

    def __init__(self, errors: list[BaseException]) -> None:
        self.settings = SimpleNamespace(transport="https")
        self.address = "24-7@jp"
        parts = ("listen", "notices", "next_change", "check", "queue", "deliver", "record_due")
        self._left = {name: list(errors) for name in parts}
        self.messages = SimpleNamespace(
            listen=self._listen, changes_of_others=self._nothing_changed, arrived_after=self._none_arrived
        )
        self.webhooks = SimpleNamespace(urls=("https://hook.example/",), queue=self._queue, deliver=self._deliver)
        self.events = SimpleNamespace(record_due=self._record_due)
        self.cases = SimpleNamespace(telling=self._telling, notices=self._notices, next_change=self._next_change)
        self.evidence = SimpleNamespace(check_own_log=self._check)
        self.arrived = 0

    def _fail(self, part: str) -> None:
        if self._left[part]:
            raise self._left[part].pop(0)

    def all_failed(self) -> bool:
        return not any(self._left.values())

    async def _listen(self) -> AsyncGenerator[SyncResult, None]:
        while True:
            self._fail("listen")
            self.arrived += 1
            yield SyncResult(cursor=self.arrived, receipts=1)

    @asynccontextmanager
    async def _telling(self, channel: str) -> AsyncIterator[bool]:
        yield True

    async def _notices(self, channel: str) -> list[Any]:
        self._fail("notices")
        return []

    async def _next_change(self) -> datetime | None:
        self._fail("next_change")
        return None

    async def _nothing_changed(self) -> int:
        return 0

    async def _none_arrived(self, _after: int | None) -> list[Any]:
        return []

    async def _queue(self) -> int:
        self._fail("queue")
        return 0

    async def _record_due(self) -> int:
        self._fail("record_due")
        return 0

    async def _deliver(self) -> WebhookTurn:
        self._fail("deliver")
        return WebhookTurn(None, ())

    async def _check(self) -> Any:
        self._fail("check")
        return SimpleNamespace(ok=True, detail="", error=None)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange.desk.watch, "RETRY_MOST_S", 0.0)


async def test_no_refusal_ends_a_watch(no_pauses: None) -> None:
    errors = list(every_error())
    assert len(errors) > 40
    desk = RefusingDesk(errors)
    minutes = iter(range(10**6))

    def clock() -> datetime:  # the log is compared at each turn
        return datetime.fromtimestamp(1e9 + 700 * next(minutes), UTC)

    seen: list[object] = []
    async with asyncio.timeout(WITHIN_S), aclosing(watch(desk, [], clock, 0.001)) as watching:  # type: ignore[arg-type]
        async for item in watching:
            seen.append(item)
            if desk.all_failed() and isinstance(item, SyncResult):
                break
    assert desk.arrived >= 1
    told = {item.error.code for item in seen if isinstance(item, Interrupted)}
    assert {ReplayedError.code, StorageFullError.code} <= told


async def test_a_cause_that_lasts_is_told_once(no_pauses: None) -> None:
    desk = RefusingDesk([])
    desk._left["notices"] = [StorageFullError("full") for _ in range(50)]
    seen: list[object] = []
    async with asyncio.timeout(WITHIN_S), aclosing(watch(desk, [], lambda: datetime.now(UTC), 0.001)) as watching:  # type: ignore[arg-type]
        async for item in watching:
            seen.append(item)
            if desk.all_failed():
                break
    assert [item.error.code for item in seen if isinstance(item, Interrupted)] == ["storage-full"]

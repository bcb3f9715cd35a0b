"""Work on things as they come: those that wait go together, in order, and whoever brings too many waits."""

from __future__ import annotations

import asyncio

import pytest

from keys.transport.as_they_come import AsTheyCome
from protocol.errors import StorageFullError


class Slow:
    """Work that goes on when it is let."""

    def __init__(self) -> None:
        self.lots: list[list[int]] = []
        self.may = asyncio.Semaphore(0)
        self.problem: Exception | None = None

    async def __call__(self, lot: list[int]) -> None:
        self.lots.append(lot)
        await self.may.acquire()
        if self.problem is not None:
            raise self.problem


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_came_meanwhile_is_one_lot_in_its_order() -> None:
    work = Slow()
    coming = AsTheyCome[int](work, lambda number: 1, 10)
    await coming.add([1])
    await settled()
    for number in (2, 3, 4):
        await coming.add([number])
    work.may.release()
    work.may.release()
    await coming.end()
    assert work.lots == [[1], [2, 3, 4]]
    await coming.end()


async def test_who_brings_more_than_may_wait_waits() -> None:
    work = Slow()
    coming = AsTheyCome[int](work, lambda number: number, 10)
    await coming.add([10])
    await settled()
    adding = asyncio.create_task(coming.add([6, 6]))
    await settled()
    assert not adding.done()
    work.may.release()
    await adding
    work.may.release()
    await coming.end()
    assert work.lots == [[10], [6, 6]]


async def test_an_error_is_told_to_who_brings_more_and_to_who_asks_at_the_end() -> None:
    work = Slow()
    work.problem = StorageFullError("full")
    coming = AsTheyCome[int](work, lambda number: 1, 1)
    adding = asyncio.create_task(coming.add([1, 2]))
    await settled()
    adding_more = asyncio.create_task(coming.add([3]))
    await settled()
    work.may.release()
    with pytest.raises(StorageFullError):
        await adding_more
    with pytest.raises(StorageFullError):
        await coming.add([4])
    with pytest.raises(StorageFullError):
        await coming.end()
    await coming.leave()
    await adding
    assert work.lots == [[1, 2]], "after an error nothing is begun"


async def test_nothing_added_is_nothing_done() -> None:
    coming = AsTheyCome[int](Slow(), lambda number: 1, 1)
    await coming.end()
    await coming.leave()

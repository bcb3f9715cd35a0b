"""Parts of moving files: so many at once, and what ends may bring more."""

from __future__ import annotations

import asyncio

import pytest

from exchange.files._moving import AtOnce, each_of
from protocol.errors import UnavailableError


async def test_no_more_than_allowed_is_under_way_and_all_parts_are_done() -> None:
    under_way, most, done, three = 0, 0, list[int](), asyncio.Event()

    async def work(part: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way == 3:
            three.set()
        await three.wait()
        under_way -= 1
        done.append(part)

    await AtOnce[int](3).run(each_of(range(20)), work)
    assert (sorted(done), most) == (list(range(20)), 3)


async def test_what_work_brings_is_begun_while_slower_work_goes_on() -> None:
    waiting, begun, slow = [0, 1], list[int](), asyncio.Event()

    async def part() -> int | None:
        return waiting.pop(0) if waiting else None

    async def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            await slow.wait()
        elif number < 5:
            waiting.append(number + 1)
        else:
            slow.set()  # the slow one ends only when all that the quick ones brought was done

    await AtOnce[int](2).run(part, work)
    assert begun == [0, 1, 2, 3, 4, 5]


async def test_the_first_error_ends_what_is_under_way_and_begins_nothing_more() -> None:
    ended = list[int]()

    async def work(number: int) -> None:
        if number == 1:
            raise UnavailableError("the node")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    with pytest.raises(UnavailableError):
        await AtOnce[int](2).run(each_of(range(9)), work)
    assert ended == [0]

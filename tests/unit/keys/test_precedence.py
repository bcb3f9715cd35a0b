"""Messages go before files, and keep them from nothing."""

from __future__ import annotations

import asyncio

from keys.transport.precedence import Precedence


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_part_of_a_file_waits_until_no_message_is_under_way() -> None:
    precedence = Precedence(3_600)
    await precedence.messages_first()
    with precedence.message():
        with precedence.message():
            part = asyncio.create_task(precedence.messages_first())
            await settled()
        await settled()
        assert not part.done()
    await part


async def test_messages_without_end_hold_files_up_and_stop_them_never() -> None:
    precedence = Precedence(0)
    with precedence.message():
        await precedence.messages_first()

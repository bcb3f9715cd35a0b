"""How long tests wait for what must come.

A wait ends when what it waits for is there. Its limit is reached by a fault alone: it is far longer than the slowest
machine takes, since whoever runs the tests cannot know how many others use the same processors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

WITHIN_S = 120
WITHIN_MS = WITHIN_S * 1_000
# For what many commands, or nodes that are killed meanwhile, bring about together.
LONG_S = 5 * WITHIN_S


async def until(holds: Callable[[], object]) -> None:
    """Let the loop run until something holds; for what has no event to wait for."""
    async with asyncio.timeout(WITHIN_S):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)

"""Segments of files as a node hands them out: each is given on as soon as all of it came."""

from __future__ import annotations

import ctypes
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from keys.transport.client import HttpRequest, SignedClient
from protocol.http.files import FilesHeld, SegmentSent
from protocol.http.segment_streams import HeldStream

Took = Callable[[Sequence[SegmentSent]], Awaitable[None]]
"""Is given segments that came, not verified; the next ones wait until it returns."""


# Of glibc's mallopt(3): its numbers of the two, and what is freed and not given back to the system.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 16 << 20


def keep_freed_memory() -> None:
    """Keep some memory that was freed for what comes next: for a program that moves segments one after the other.

    Else each buffer of a MiB is fetched from the system page by page, and given back: a tenth of all the work.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # another library decides by itself
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, _KEPT_BYTES)


async def nobody_takes(segments: Sequence[SegmentSent]) -> None:
    """Where none are asked for."""


async def fetch_held(client: SignedClient, request: HttpRequest, took: Took) -> FilesHeld:
    """What the node answers that it holds, without the segments, which ``took`` is given.

    Raises as :meth:`SignedClient.call`, and what ``took`` raises.
    """
    stream = HeldStream(client.server.title)

    async def take(part: bytes) -> None:
        segments = stream.feed(part)
        if segments:
            await took(segments)

    await client.call_in_parts(request, take)
    held = stream.finish()
    if held.segments:
        await took(held.segments)
    return replace(held, segments=())

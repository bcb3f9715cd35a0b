"""Requests that wait on purpose: how many one caller may keep open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from node.http.context import HttpContext
from protocol.errors import RateLimitedError

MAX_WAIT_S = 30


@contextmanager
def waiting(context: HttpContext, holder: str) -> Iterator[None]:
    """Count one waiting request of ``holder``; raises :class:`RateLimitedError` when there are too many."""
    if context.polls.of[holder] >= context.node.settings.limits.polls_per_desk:
        raise RateLimitedError("too many requests of this caller wait already")
    context.polls.of[holder] += 1
    context.node.metrics.waiting.inc()
    try:
        yield
    finally:
        context.node.metrics.waiting.dec()
        context.polls.of[holder] -= 1
        if not context.polls.of[holder]:
            del context.polls.of[holder]

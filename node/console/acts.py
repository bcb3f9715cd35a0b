"""What an operator does to a running node: the same whether the console asks, or a command through the control socket.

Each act is logged as the operator's, with the way it came (``source``: ``console``, ``command``).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from node.http.context import HttpContext
from node.log.wakeups import ANY_FILES, ANY_PARTNER, calling
from protocol.errors import ComityError, NotFoundError, UsageError
from protocol.log.checkpoint import claimed_time, verify_checkpoint

MAX_TESTS = 1_000


@dataclass(frozen=True, slots=True)
class WayTest:
    """How a test of the way to a partner went. ``problem`` is None when it answered, and its log with it.

    ``size`` and ``signed_at`` are of its log's newest checkpoint, verified; ``offset_s`` is how far its clock is ahead.
    """

    node: str
    at: datetime
    took_ms: int
    address: str
    problem: ComityError | None = None
    size: int | None = None
    signed_at: datetime | None = None
    offset_s: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the way is open."""
        return self.problem is None


class Acts:
    """The acts of one node's operator."""

    def __init__(self, context: HttpContext) -> None:
        self._context = context
        self._node = context.node
        self._testing: set[str] = set()
        self._tests: dict[str, WayTest] = {}

    def last_test(self, partner: str) -> WayTest | None:
        """The last test of the way there since the node began."""
        return self._tests.get(partner)

    async def retry(self, partner: str, source: str) -> int:
        """Try what waits for a partner now instead of at the end of the pause; how many rows wait.

        Raises :class:`NotFoundError`, :class:`UsageError` for a partner that has no address: it calls by itself.
        """
        self._require_partner(partner)
        if not self._node.partners.can_reach(partner):
            raise UsageError(f"{partner} has no address on its card: it asks for what waits, or gets bundles")
        waiting = (await self._node.store.reads.stats()).outbound.get(partner, 0)
        self._node.sequencer.wakeups.notify((calling(partner), ANY_PARTNER, ANY_FILES))
        self._log("retry", source, partner)
        return waiting

    async def test_way(self, partner: str, source: str) -> WayTest:
        """Ask a partner for its log's newest checkpoint over the pinned connection, and verify it.

        Raises :class:`NotFoundError`, :class:`UsageError` while another test of that way goes on.
        """
        self._require_partner(partner)
        if partner in self._testing:
            raise UsageError(f"the way to {partner} is being tested already")
        self._testing.add(partner)
        self._log("test-way", source, partner)
        try:
            made = await self._tested(partner)
        finally:
            self._testing.discard(partner)
        self._tests.pop(partner, None)
        self._tests[partner] = made
        while len(self._tests) > MAX_TESTS:
            del self._tests[next(iter(self._tests))]
        return made

    async def refresh_directory(self, source: str) -> bool:
        """Fetch the directory now; True if a source gave one that verifies."""
        self._log("refresh-directory", source)
        return await self._node.directory.refresh()

    async def forget_files(self, digest: bytes, source: str) -> int:
        """Let the files of a message go; how many."""
        self._log("forget-files", source)
        return await self._context.files.forget(digest)

    # --- Inside ---------------------------------------------------------------------------------------------------

    async def _tested(self, partner: str) -> WayTest:
        began, at, address = time.monotonic(), self._node.clock(), ""
        try:
            client = self._node.partners.get(partner)
            address = client.server.url
            note = await client.checkpoint()
            verified = verify_checkpoint(note, self._node.directory.current.log_verifier(partner))
        except ComityError as problem:
            self._node.history.failed(partner, problem, offered=False)
            return WayTest(partner, at, _since_ms(began), address, problem)
        offset_s = self._context.clock_watch.offsets().get(partner)
        size, signed_at = verified.checkpoint.size, claimed_time(note)
        return WayTest(partner, at, _since_ms(began), address, None, size, signed_at, offset_s)

    def _require_partner(self, partner: str) -> None:
        if partner == self._node.name or not self._node.directory.current.has_node(partner):
            raise NotFoundError("the directory has no other node of that name")

    def _log(self, act: str, source: str, partner: str | None = None) -> None:
        named = {} if partner is None else {"partner": partner}
        self._node.log.info("operator-act", use=act, source=source, **named)


def _since_ms(began: float) -> int:
    return round(1000 * (time.monotonic() - began))

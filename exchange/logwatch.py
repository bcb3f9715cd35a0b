"""Whether a log still holds what it once signed: the checkpoint of a receipt against the log's present head.

The head seen last is remembered for each log, so that a log which was rolled back or forked since is found out even
when it can prove the rest to itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from exchange.client import NodeClient
from exchange.views import Check
from keys.directory.view import Directory
from protocol.errors import ComityError, LogForkError, ProofInvalidError
from protocol.log.checkpoint import Checkpoint, open_checkpoint
from protocol.log.merkle import verify_consistency

_NAME = "consistency"


class LogWatch:
    """Asks the logs; each log's head once per watch. ``last_seen`` and ``remember`` keep checkpoints per origin."""

    def __init__(
        self,
        directory: Directory,
        client_of: Callable[[str], NodeClient],
        last_seen: Callable[[str], Awaitable[bytes | None]],
        remember: Callable[[str, bytes], Awaitable[None]],
    ) -> None:
        self._directory = directory
        self._client_of = client_of
        self._last_seen = last_seen
        self._remember = remember
        self._heads: dict[str, Checkpoint | ComityError] = {}
        self._proved: dict[Checkpoint, Check] = {}

    async def check(self, signed: Checkpoint) -> Check:
        """Whether the log's present head extends the verified checkpoint ``signed``."""
        if signed not in self._proved:
            self._proved[signed] = await self._check(signed)
        return self._proved[signed]

    async def _check(self, signed: Checkpoint) -> Check:
        try:
            head = await self._head(signed.origin)
            await self._require_extends(signed, head)
        except (LogForkError, ProofInvalidError) as problem:
            return Check(_NAME, False, LogForkError.code, problem.detail)
        except ComityError as problem:
            # The log could not be asked: nothing is known against it.
            return Check(_NAME, None, problem.code, problem.detail)
        return Check(_NAME, True, None, f"within the log's present {head.size} entries")

    async def _head(self, origin: str) -> Checkpoint:
        known = self._heads.get(origin)
        if known is None:
            try:
                known = await self._ask_head(origin)
            except ComityError as problem:
                known = problem
            self._heads[origin] = known
        if isinstance(known, ComityError):
            raise known
        return known

    async def _ask_head(self, origin: str) -> Checkpoint:
        verifier = self._directory.log_verifier(origin)
        note = await self._client_of(self._directory.node_of_origin(origin)).checkpoint()
        head = open_checkpoint(note, verifier)
        seen = await self._last_seen(origin)
        if seen is not None:
            await self._require_extends(open_checkpoint(seen, verifier), head)
        await self._remember(origin, note)
        return head

    async def _require_extends(self, old: Checkpoint, head: Checkpoint) -> None:
        if head.size < old.size:
            raise LogForkError(f"the log has {head.size} entries and once had {old.size}")
        client = self._client_of(self._directory.node_of_origin(old.origin))
        path = await client.consistency(old.size, head.size) if 0 < old.size < head.size else []
        verify_consistency(old.size, old.root, head.size, head.root, path)

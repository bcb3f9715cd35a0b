"""Whether a log still holds what it once signed: the checkpoint of a receipt against the log's present head.

The head seen last is remembered for each log, so that a log which was rolled back or forked since is found out even
when it can prove the rest to itself. The desk keeps a contradiction as a proof for others where it can be proved.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from exchange.evidence.misbehaviour import contradiction, keep_proof
from exchange.link.client import NodeClient
from exchange.views import Check
from keys.directory.view import Directory
from protocol.encoding.phrase import joined, phrase
from protocol.errors import ComityError, LogForkError, ProofInvalidError
from protocol.log.checkpoint import Checkpoint, VerifiedCheckpoint, open_checkpoint, verify_checkpoint
from protocol.log.freshness import require_fresh
from protocol.log.merkle import verify_consistency
from protocol.misbehaviour.verify import is_late
from protocol.receipt import Receipt, VerifiedReceipt

_NAME = "consistency"


class LogWatch:
    """Asks the logs; each log's head once per watch. ``last_seen`` and ``remember`` keep checkpoints per origin.

    Proofs that a log lied are written into ``proofs``.
    """

    def __init__(
        self,
        directory: Directory,
        client_of: Callable[[str], NodeClient],
        last_seen: Callable[[str], Awaitable[bytes | None]],
        remember: Callable[[str, bytes], Awaitable[None]],
        proofs: Path,
        clock: Callable[[], datetime],
    ) -> None:
        self._directory = directory
        self._client_of = client_of
        self._last_seen = last_seen
        self._remember = remember
        self._proofs = proofs
        self._clock = clock
        self._asked_at: dict[str, datetime] = {}
        self._heads: dict[str, VerifiedCheckpoint | ComityError] = {}
        self._notes: dict[str, bytes] = {}
        self._proved: dict[Checkpoint, Check] = {}

    async def check(self, proved: VerifiedReceipt) -> Check:
        """Whether the log's present head extends the receipt's checkpoint, and the entry's time can be true."""
        signed = Checkpoint(proved.origin, proved.size, proved.root)
        if signed not in self._proved:
            self._proved[signed] = await self._check(signed, proved.receipt)
        if is_late(proved.event.at, proved.signed_at):
            told = await self._prove(proved.origin, proved.receipt, proved.receipt.checkpoint)
            return Check(
                _NAME,
                False,
                LogForkError.code,
                joined((phrase("the entry says a time after its checkpoint's"), told), ""),
            )
        return self._proved[signed]

    async def check_head(self, node: str) -> Check:
        """Whether the present head of the node's log extends the one seen last."""
        try:
            shown = await self._head(self._directory.origin(node))
            require_fresh(shown, self._asked_at[shown.checkpoint.origin])
        except (LogForkError, ProofInvalidError) as problem:
            return Check(_NAME, False, LogForkError.code, problem.detail)
        except ComityError as problem:
            return Check(_NAME, None, problem.code, problem.detail)
        return _within(shown)

    async def _check(self, signed: Checkpoint, receipt: Receipt) -> Check:
        try:
            shown = await self._head(signed.origin)
            await self._require_extends(signed, shown.checkpoint)
            require_fresh(shown, self._asked_at[signed.origin])
        except (LogForkError, ProofInvalidError) as problem:
            note = self._notes.get(signed.origin)
            told = await self._prove(signed.origin, receipt, note) if note is not None else ""
            return Check(_NAME, False, LogForkError.code, problem.detail + told)
        except ComityError as problem:
            # The log could not be asked: nothing is known against it.
            return Check(_NAME, None, problem.code, problem.detail)
        return _within(shown)

    async def _head(self, origin: str) -> VerifiedCheckpoint:
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

    async def _ask_head(self, origin: str) -> VerifiedCheckpoint:
        verifier = self._directory.log_verifier(origin)
        self._asked_at[origin] = self._clock()
        note = await self._client_of(self._directory.node_of_origin(origin)).checkpoint()
        shown = verify_checkpoint(note, verifier)
        self._notes[origin] = note
        seen = await self._last_seen(origin)
        if seen is not None:
            try:
                await self._require_extends(open_checkpoint(seen, verifier), shown.checkpoint)
            except (LogForkError, ProofInvalidError) as problem:
                raise LogForkError(problem.detail + await self._prove(origin, seen, note)) from problem
        await self._remember(origin, note)
        return shown

    async def _prove(self, origin: str, held: Receipt | bytes, note: bytes) -> str:
        """Keep the proof that the head contradicts what is held; where it lies, as words. Empty if there is none."""
        client = self._client_of(self._directory.node_of_origin(origin))
        try:
            verifier = self._directory.log_verifier(origin)
            proof = await contradiction(held, note, verifier, lambda path: client.get(f"/log/{path}"))
            return f"; proof: {keep_proof(self._proofs, proof)}" if proof is not None else ""
        except ComityError as problem:
            # The log does not show what would prove it: the finding stands without.
            return f"; not proved to others ({problem.code})"

    async def _require_extends(self, old: Checkpoint, head: Checkpoint) -> None:
        if head.size < old.size:
            raise LogForkError(f"the log has {head.size} entries and once had {old.size}")
        client = self._client_of(self._directory.node_of_origin(old.origin))
        path = await client.consistency(old.size, head.size) if 0 < old.size < head.size else []
        verify_consistency(old.size, old.root, head.size, head.root, path)


def _within(shown: VerifiedCheckpoint) -> Check:
    return Check(
        _NAME, True, None, phrase("within the entries that the log has at present: {size}", size=shown.checkpoint.size)
    )

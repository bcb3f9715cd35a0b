"""Having this node's own checkpoints cosigned by the partners that the federation's rule names.

At most once a second the newest checkpoint becomes the *target*, and every witness that is not being asked already is
asked to cosign it, each by a task of its own: one that is dead or slow delays neither the others nor the log, which
knows nothing of all this. A new target is taken when the present one has enough cosignatures, when all who were asked
have answered or failed, or after ten seconds; so witnesses of different speed come together on the same checkpoints.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

from keys.directory.witnesses import cosigned_by, judge_quorum, witness_policy
from node.context import NodeContext
from node.operations.logging import log_defect
from node.peers.client import PartnerClient
from node.witness.cosignatures import Cosignatures
from protocol.errors import ComityError, OldSizeError, PeerFailedError, UnknownNodeError
from protocol.log.checkpoint import Checkpoint, parse_checkpoint, verify_checkpoint
from protocol.log.merkle import verify_consistency
from protocol.log.note import NoteSignature
from protocol.log.policy import NONE, Policy
from protocol.log.witness import without_cosignatures

ROUND_S = 10.0
# Told the size once, the next request fits; a third is for a witness that another process of this log asked meanwhile.
_TRIES = 3


class WitnessGateway:
    """Asks the witnesses of one log. Event loop only."""

    def __init__(self, node: NodeContext, origin: str, cosignatures: Cosignatures) -> None:
        self._node = node
        self._origin = origin
        self._cosignatures = cosignatures
        self._target: tuple[bytes, Checkpoint] | None = None
        self._target_since = 0.0
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._old_sizes: dict[str, int] = {}  # what each witness cosigned last, as far as is known here
        self._failures: dict[str, tuple[int, float]] = {}  # how often in a row, and when to ask again (monotonic)
        self.ahead: set[str] = set()
        # Since when the log has entries that too few cosigned, while no further ones are; None: all are.
        self.lacking_since: datetime | None = None
        self._seen_kept: bytes | None = None

    @property
    def cosigned_by(self) -> tuple[str, ...]:
        """Who cosigned the checkpoint that is being sent round, or was last."""
        return () if self._target is None else self._cosignatures.by(self._target[1])

    async def run(self, interval_s: float) -> None:
        """Ask around for ever, ``interval_s`` seconds apart; what is asked for when this is cancelled is dropped."""
        await self._resume()
        try:
            while True:
                await asyncio.sleep(interval_s)
                policy = self._policy()
                if policy is not None:
                    await self._keep(policy)
                    await self._aim(policy)
                    self._ask_around(policy)
                self._note_lack(policy)
        finally:
            for task in self._asking.values():
                task.cancel()
            await asyncio.gather(*self._asking.values(), return_exceptions=True)

    def _policy(self) -> Policy | None:
        """Whom to ask; None while nobody has to be, or while this node's own log is not in the directory."""
        try:
            policy = witness_policy(self._node.directory.current, self._origin, self._node.clock())
        except UnknownNodeError:
            return None
        return None if policy.quorum == NONE else policy

    def _note_lack(self, policy: Policy | None) -> None:
        kept, moved = self._cosignatures.kept, self._cosignatures.kept != self._seen_kept
        self._seen_kept = kept
        size = 0 if self._target is None else self._target[1].size
        if policy is None or size <= (0 if kept is None else parse_checkpoint(kept).size):
            self.lacking_since = None
        elif moved or self.lacking_since is None:
            self.lacking_since = self._node.clock()

    def lacking(self) -> tuple[str, ...]:
        """Who did not cosign the checkpoint that is being sent round, of those whom the rule names."""
        policy = self._policy()
        return () if policy is None else tuple(sorted(policy.decisive - set(self.cosigned_by)))

    # --- Asking ---

    async def _aim(self, policy: Policy) -> None:
        """Take the newest checkpoint as the target, if it is time for a new one."""
        target, now = self._target, time.monotonic()
        under_way = bool(self._asking) and now - self._target_since < ROUND_S
        if target is not None and under_way and not self._cosignatures.is_enough(policy, target[1]):
            return
        note = await self._node.store.reads.checkpoint()
        if target is None or note != target[0]:
            self._target, self._target_since = (note, parse_checkpoint(note)), now

    def _ask_around(self, policy: Policy) -> None:
        if self._target is None or self._target[1].size == 0:
            return
        note, checkpoint = self._target
        now = time.monotonic()
        for node in sorted(policy.decisive - self._asking.keys()):
            due = self._failures.get(node, (0, 0.0))[1]
            if now < due or self._cosignatures.has(checkpoint, node) or not self._node.partners.can_reach(node):
                continue
            task = asyncio.create_task(self._ask(node, note, checkpoint), name=f"witness-{node}")
            task.add_done_callback(self._ended)
            self._asking[node] = task

    async def _ask(self, node: str, note: bytes, checkpoint: Checkpoint) -> None:
        """Ask one witness; never raises for what it does."""
        try:
            lines = await self._lines_of(node, self._node.partners.get(node), note, checkpoint)
            self._cosignatures.add(note, checkpoint, node, lines)
            self._failures.pop(node, None)
            self._node.history.cosigned(node)
        except ComityError as problem:
            self._node.metrics.cosignature_failures.labels(node, problem.code).inc()
            self._node.log.info("cosignature-not-given", partner=node, code=problem.code)
            self._put_off(node)
        finally:
            del self._asking[node]

    def _ended(self, task: asyncio.Task[None]) -> None:
        problem = None if task.cancelled() else task.exception()
        if problem is not None:
            self._node.metrics.internal_errors.inc()
            log_defect(self._node.log, problem, route=task.get_name())

    def _put_off(self, node: str) -> None:
        failures = self._failures.get(node, (0, 0.0))[0] + 1
        self._failures[node] = (failures, time.monotonic() + self._node.settings.delivery.pause_s(failures))

    async def _lines_of(
        self, node: str, client: PartnerClient, note: bytes, checkpoint: Checkpoint
    ) -> tuple[NoteSignature, ...]:
        """The witness's verified lines; raises typed errors."""
        for _ in range(_TRIES):
            old = self._old_sizes.get(node, 0)
            path = (
                await self._node.store.reads.consistency_path(old, checkpoint.size) if 0 < old < checkpoint.size else []
            )
            try:
                answered = await client.add_checkpoint(old, path, note)
            except OldSizeError as conflict:
                await self._compare(node, conflict.size, checkpoint)
                continue
            self._old_sizes[node] = checkpoint.size
            lines = cosigned_by(self._node.directory.current, node, checkpoint, answered, self._node.clock())
            if not lines:
                raise PeerFailedError(f"{node} answered without the cosignatures of its card's keys")
            return lines
        raise PeerFailedError(f"{node} does not stay with the size that it names")

    async def _compare(self, node: str, size: int, checkpoint: Checkpoint) -> None:
        """Take over the size that the witness names; raises :class:`OldSizeError` when the checkpoint is behind it."""
        self._old_sizes[node] = size
        if size > await self._node.store.reads.log_size():
            # It cosigned what this log does not have: the database was rolled back and the log must not go on.
            self.ahead.add(node)
            self._node.log.error("witness-ahead-of-own-log", partner=node, size=size)
        if size > checkpoint.size:
            raise OldSizeError(f"{node} cosigned a larger tree of this log", size)

    # --- Keeping ---

    async def _keep(self, policy: Policy) -> None:
        """Keep the newest witnessed checkpoint, again when more witnesses join; it is served when it is on disk."""
        witnessed = self._cosignatures.newest_enough(policy)
        if witnessed is None or witnessed == self._cosignatures.kept:
            return
        try:
            await asyncio.to_thread(self._cosignatures.write, witnessed)
        except OSError as problem:
            self._node.disk(self._cosignatures.path, problem, "writing")
            return
        self._node.disk(self._cosignatures.path, None, "writing")
        self._cosignatures.keep(witnessed)
        self._node.metrics.witnessed_size.set(parse_checkpoint(witnessed).size)

    async def _resume(self) -> None:
        """Serve what an earlier process kept, if it is of this log's history."""
        reads = self._node.store.reads
        try:
            note = self._cosignatures.read()
            if note is None:
                return
            verified = verify_checkpoint(note, self._node.directory.current.log_verifier(self._origin))
            kept, newest = verified.checkpoint, parse_checkpoint(await reads.checkpoint())
            path = (
                await self._node.store.reads.consistency_path(kept.size, newest.size) if kept.size < newest.size else []
            )
            verify_consistency(kept.size, kept.root, newest.size, newest.root, path)
            quorum = judge_quorum(self._node.directory.current, verified, self._node.clock())
            quorum.require()
        except ComityError as problem:
            self._node.log.error("cosigned-checkpoint-not-usable", code=problem.code)
            return
        bare = without_cosignatures(verified)
        for node in quorum.cosigned:
            lines = cosigned_by(self._node.directory.current, node, kept, verified.others, self._node.clock())
            self._cosignatures.add(bare, kept, node, lines)
        self._cosignatures.keep(note)
        self._node.metrics.witnessed_size.set(kept.size)

"""Before a node signs: what do its partners know of its log?

Every receipt that a partner holds shows a checkpoint of this log, so the partners together remember how far it went,
whatever happened to this machine's disks. They are asked all together, for at most a few seconds. Nobody can make this
node stop by a lie: what a partner shows counts only with this log's own signatures on it.

Nobody need be asked when nothing was ever signed with these keys, when the memory of this boot shows that nothing was
put back since (:mod:`node.log._volatile_checkpoint`), or when there is no partner that could be asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from keys.directory.view import Directory
from node.log.clock import ClockWatch
from node.log.files import LogFiles
from node.log.sequencer import Sequencer
from node.operations.logging import Log
from node.peers.client import Partners
from node.store.operations import SkipNumbers
from protocol.errors import (
    CheckpointInvalidError,
    ComityError,
    LogRolledBackError,
    LogUnconfirmedError,
    NotFoundError,
    UnavailableError,
)
from protocol.log.checkpoint import (
    LogVerifier,
    VerifiedCheckpoint,
    parse_checkpoint,
    verify_checkpoint,
)

_NEVER = datetime.min.replace(tzinfo=UTC)

ASK_S = 3.0
ASK_AGAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class WitnessedSize:
    """What partners know of this log: the newest checkpoint that each showed (None: it never saw one).

    ``silent`` are those that gave no answer that counts.
    """

    seen: dict[str, VerifiedCheckpoint | None]
    silent: tuple[str, ...] = ()

    @property
    def checkpoints(self) -> list[VerifiedCheckpoint]:
        """The checkpoints, which this log signed."""
        return [seen for seen in self.seen.values() if seen is not None]


async def ask_partners(
    nodes: Sequence[str], partners: Partners, verifier: LogVerifier, log: Log, timeout_s: float = ASK_S
) -> WitnessedSize:
    """Ask all ``nodes`` at once for the newest checkpoint that they saw of the log; at most ``timeout_s`` seconds."""

    async def ask(node: str) -> VerifiedCheckpoint | None:
        try:
            async with asyncio.timeout(timeout_s):
                notes = await partners.get(node).head(verifier.origin)
        except NotFoundError:
            return None
        except TimeoutError:
            raise UnavailableError(f"{node} did not answer in time") from None
        shown = [verify_checkpoint(note, verifier) for note in notes]
        return max(shown, key=lambda one: (one.checkpoint.size, one.signed_at or _NEVER))

    answers = await asyncio.gather(*(ask(node) for node in nodes), return_exceptions=True)
    seen: dict[str, VerifiedCheckpoint | None] = {}
    silent = []
    for node, answer in zip(nodes, answers, strict=True):
        if isinstance(answer, ComityError):
            log.info("witness-not-asked", partner=node, code=answer.code)
            silent.append(node)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            seen[node] = answer
    return WitnessedSize(seen, tuple(silent))


def askable(directory: Directory | None, own: str, first: str | None) -> list[str]:
    """The nodes that can be asked: those with an address; ``first`` when there is no directory yet."""
    if directory is None:
        return [first] if first is not None else []
    return [node for node in directory.nodes() if node != own and directory.node(node).urls]


def remembered_of(files: LogFiles) -> list[VerifiedCheckpoint]:
    """What the memory of this boot knows of the log; empty if nothing, or a log of other keys or another origin."""
    note = files.memory.read()
    if note is None:
        return []
    try:
        return [verify_checkpoint(note, files.signer.verifier)]
    except CheckpointInvalidError:  # of keys or an origin that this home had before
        return []


class LogConfirmation:
    """Lets a sequencer that was only opened sign, once nothing speaks against it."""

    def __init__(
        self,
        sequencer: Sequencer,
        files: LogFiles,
        partners: Partners,
        nodes: Callable[[], Sequence[str]],
        log: Log,
        clock_watch: ClockWatch,
    ) -> None:
        self._clock_watch = clock_watch
        self._sequencer = sequencer
        self._verifier = files.signer.verifier
        self._files = files
        self._partners = partners
        self._nodes = nodes
        self._log = log

    async def begin(self, *, ask: bool) -> None:
        """Resume the sequencer, or leave it held when partners were to be asked and none answered.

        Raises :class:`LogRolledBackError` when the database is behind or was restored, and what ``resume`` raises.
        """
        restored = self._files.marks.restored.read()
        if restored is not None:
            raise LogRolledBackError(
                f"this database was restored from a backup of {restored.get('made_at', '?')} with"
                f" {restored.get('size', '?')} entries, and no partner was asked yet what came after"
            )
        remembered = remembered_of(self._files)
        new = (
            self._files.marks.is_not_founded(self._verifier.ed25519_public)
            and await self._sequencer.committed() is None
        )
        nodes = [] if new or not ask or self._vouches(remembered) else self._nodes()
        await self._sequencer.require_leads_to(remembered)
        if not await self._believes_clock(self._nodes() if ask else ()):
            return
        if nodes and not await self._ask(nodes, remembered):
            self._log.warning("log-unconfirmed", count=len(nodes))
            return
        if not nodes:
            await self._resume(remembered, put_back=not new and not remembered)

    async def run(self) -> None:
        """Ask until one partner answered, then resume the sequencer. Raises as :meth:`begin`."""
        while True:
            nodes = self._nodes()
            if await self._believes_clock(nodes) and await self._ask(nodes, remembered_of(self._files)):
                return
            await asyncio.sleep(ASK_AGAIN_S)

    async def _believes_clock(self, nodes: Sequence[str]) -> bool:
        """Whether the clock may be believed; else the log is held, and the reason said."""
        problem = await self._clock_watch.settle(nodes, self.ask_time)
        self._sequencer.hold(problem or LogUnconfirmedError())
        return problem is None

    async def ask_time(self, node: str) -> None:
        """Ask ``node`` something small: its answer, a refusal too, says its time."""
        await self._partners.get(node).checkpoint()

    async def _ask(self, nodes: Sequence[str], remembered: Sequence[VerifiedCheckpoint]) -> bool:
        """Ask; True if one partner answered and nothing speaks against signing, and the sequencer was resumed."""
        witnessed = await ask_partners(nodes, self._partners, self._verifier, self._log)
        await self._sequencer.require_leads_to([*remembered, *witnessed.checkpoints])
        if not witnessed.seen:
            return False
        await self._resume([*remembered, *witnessed.checkpoints], put_back=True)
        return True

    async def _resume(self, known: Sequence[VerifiedCheckpoint], *, put_back: bool) -> None:
        # A log that begins to exist from here on must not be taken for unsigned again.
        self._files.marks.not_founded.clear()
        await self._sequencer.resume(known)
        if put_back:
            # A database that was put back may have given numbers before that it does not know of.
            await self._sequencer.perform(SkipNumbers())

    def _vouches(self, remembered: Sequence[VerifiedCheckpoint]) -> bool:
        """Whether the memory of this boot knows at least what the checkpoint file knows."""
        note = self._files.checkpoint.read()
        if note is None or not remembered:
            return False
        return remembered[0].checkpoint.size >= parse_checkpoint(note).size

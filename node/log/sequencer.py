"""The one writer of a node: collects operations, applies them in batches, releases all waiters at once.

Handlers add operations to the open batch and await its outcome. One thread applies a batch as one transaction, keeps
the signed checkpoint in a file outside the database, and only then may anyone see the batch: its waiters, mailboxes,
partners. When idle a batch is one operation; under load it is what arrived while the last batch was being written.
When it is one message, the same thread goes on to read what those read next who wait for that message: then they need
not wait for a thread of their own, nor for the event loop, which has the answer to the sender to write meanwhile.

These hold when something fails:

- The transaction cannot be written: nothing of the batch stands, every waiter gets the error, the next one tries anew.
- It was committed, but the checkpoint file cannot be written: the batch stands and stays invisible. Its waiters get
  ``ReceiptPendingError`` (a repeat gets the same receipts), and no batch is taken until the file is written. Releasing
  without the file would open a gap: after a restore from backup the log could be forked unnoticed.
- The sequencer cannot know any more what was committed: it halts, and the node must be restarted.
- The clock is ahead of the partners' (:mod:`node.log.clock`): nothing is dated until it is right again.
- The clock goes back: checkpoints keep the latest time signed, and what would be dated before it by more than the
  allowed skew is refused until the clock is right. Either would be proof against this node (docs/misbehaviour.md).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from node.log.checkpoint_file import KeptCheckpoint
from node.log.wakeups import ANY_PARTNER, Look, Wakeups
from node.store.file_operations import (
    AnnounceFiles,
    NoteFilesMoved,
    RecordCancelTold,
    RecordFilesTaken,
    ReserveFilesAgain,
)
from node.store.interface import Store
from node.store.operations import (
    AcceptSubmission,
    AcceptTransfer,
    Applied,
    DeferOutbound,
    Done,
    EraseEntries,
    Failed,
    FoundLog,
    MarkReceiptsSent,
    Operation,
    Outcome,
    PurgeDelivered,
    RecordCosigned,
    RenewCheckpoint,
    SkipNumbers,
)
from protocol.encoding.instants import to_text
from protocol.errors import (
    CheckpointInvalidError,
    ClockBehindError,
    ComityError,
    LogRolledBackError,
    LogUnconfirmedError,
    ReceiptPendingError,
    StoreDamagedError,
    UnavailableError,
)
from protocol.log.checkpoint import (
    Checkpoint,
    LogSigner,
    VerifiedCheckpoint,
    claimed_time,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
    verify_checkpoint,
)
from protocol.log.freshness import is_due
from protocol.misbehaviour.verify import ALLOWED_SKEW

RETRY_FILE_S = 1.0
# After so many batches the store does what it puts off, as soon as nothing waits.
TIDY_AFTER = 32
# A reader of the newest checkpoint waits so long for it to be signed anew.
RENEWAL_S = 2.0

# These date no entry of the log.
_UNDATED = (
    AnnounceFiles
    | DeferOutbound
    | EraseEntries
    | MarkReceiptsSent
    | NoteFilesMoved
    | PurgeDelivered
    | RecordCancelTold
    | RecordCosigned
    | RecordFilesTaken
    | ReserveFilesAgain
    | SkipNumbers
)

T = TypeVar("T")


def _envelope_bytes(operation: Operation) -> int:
    return len(operation.message.raw) if isinstance(operation, AcceptSubmission | AcceptTransfer) else 0


def _told_of(operations: Sequence[Operation]) -> Set[str]:
    """Whom a single message is for, by their keys; nobody for what is more, or something else."""
    if len(operations) != 1 or not isinstance(operations[0], AcceptSubmission | AcceptTransfer):
        return frozenset()
    return {*map(str, operations[0].local), *operations[0].onward}


def utc_now() -> datetime:
    """The system clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How many operations one batch takes and how many may wait, and how many bytes of envelopes they may bring.

    One caller's operations stay together: what it brought may be more bytes than ``batch_bytes``.
    """

    batch: int = 512
    pending: int = 16_384
    batch_bytes: int = 16 * 1024 * 1024
    pending_bytes: int = 128 * 1024 * 1024


@dataclass(slots=True)
class _Group:
    """Operations that one caller waits for together."""

    operations: Sequence[Operation]
    waiter: asyncio.Future[list[Outcome]]
    size_bytes: int

    def settle(self, outcomes: list[Outcome]) -> None:
        if not self.waiter.done():  # a caller that went away does not undo what it asked for
            self.waiter.set_result(outcomes)

    def fail(self, error: ComityError) -> None:
        self.settle([Failed(error)] * len(self.operations))


@dataclass(frozen=True, slots=True)
class _Written:
    """What the writer thread brought back: ``withheld`` says why a committed batch stays invisible.

    ``found`` is what it read for those who wait.
    """

    applied: Applied
    withheld: ComityError | None
    found: Sequence[tuple[Look[Any], object]] = ()


class Sequencer:
    """Runs the batches of one store. All methods belong to the event loop that called :meth:`start`."""

    def __init__(
        self,
        store: Store,
        log_signer: LogSigner,
        kept: KeptCheckpoint,
        clock: Callable[[], datetime] = utc_now,
        *,
        problem_with: Callable[[datetime], ComityError | None] = lambda at: None,
        limits: BatchLimits = BatchLimits(),
    ) -> None:
        self.wakeups = Wakeups()
        self._store = store
        self._signer = log_signer
        self._kept = kept
        self._problem_with = problem_with
        self._clock = clock
        self._limits = limits
        self._pending: deque[_Group] = deque()
        self._pending_count = 0
        self._pending_bytes = 0
        self._untidied = 0  # batches since the store could do what it puts off
        self._wake = asyncio.Event()
        self._stopping = False
        self._held: ComityError | None = LogUnconfirmedError()
        self._halted: ComityError | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._runner: asyncio.Task[None] | None = None
        self._renewal: asyncio.Task[None] | None = None  # who asks at the same time waits for the same one
        self.renewal_problem: ComityError | None = None
        self._renew_from = 0.0  # monotonic
        self._renewed: bytes | None = None  # the newest tree, signed again; set by the writer thread
        self._withheld: set[str] = set()  # whom to wake once the withheld batch is released
        self._published: bytes | None = None  # writer thread only: the head that was kept and released
        self._signed_at: datetime | None = None  # writer thread only: the latest time that a checkpoint says

    # --- Life ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """:meth:`open` and :meth:`resume`, for a log whose past nobody else need confirm. Raises what they raise."""
        await self.open()
        try:
            await self.resume()
        except BaseException:
            await self.stop()
            raise

    async def open(self) -> None:
        """Open the store. Until :meth:`resume` nothing is signed, taken or shown. Raises what :meth:`Store.open` does.

        Readers may see an older state of the log meanwhile (:meth:`committed`) than was signed once.
        """
        await self._store.open()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log-writer")

    async def committed(self) -> Checkpoint | None:
        """The newest checkpoint in the database, None before the log was founded. For what was only opened.

        Raises ``CheckpointInvalidError`` when it is another log's, ``StoreDamagedError``.
        """
        verified = await self._calling(lambda: self._opened(self._store.head(), "database"))
        return verified.checkpoint if verified is not None else None

    async def committed_note(self) -> bytes | None:
        """The signed note of :meth:`committed`."""
        return await self._calling(self._store.head)

    async def root_at(self, size: int) -> bytes:
        """The root that the database's log had at ``size``. For what was only opened; ``LogUnavailableError``."""
        return await self._calling(lambda: self._store.root_at(size))

    async def require_leads_to(self, known: Sequence[VerifiedCheckpoint]) -> None:
        """Return if the database leads to the checkpoint file and to all of ``known``, which this node signed once.

        Raises ``LogRolledBackError``, ``CheckpointInvalidError``, ``StoreDamagedError``.
        """
        await self._calling(lambda: self._check(known))

    async def resume(self, known: Sequence[VerifiedCheckpoint] = ()) -> None:
        """Check the store against the checkpoint file and ``known``, found the log if it is new, take operations.

        ``known`` are verified checkpoints of this log from elsewhere. Raises what :meth:`require_leads_to` raises.
        """
        await self._calling(lambda: self._recover(known))
        self._runner = asyncio.create_task(self._run(), name="sequencer")
        self._held = None

    async def stop(self) -> None:
        """Refuse new operations, finish the pending ones, close the store."""
        self._stopping = True
        self._wake.set()
        if self._runner is not None:
            await self._runner
            self._runner = None
        if self._renewal is not None:
            await asyncio.wait((self._renewal,))
        if self._thread is not None:
            await self._calling(self._kept.close)
            self._thread.shutdown()
            self._thread = None
            await self._store.close()

    @property
    def held(self) -> ComityError | None:
        """Why nothing is signed yet; None once the log was resumed."""
        return self._held

    @property
    def problem(self) -> ComityError | None:
        """Why the node takes nothing at the moment; None when all is well."""
        return self._held or self._halted

    def require_store(self) -> None:
        """Take nothing more if what the store writes to was removed or replaced. Any thread."""
        try:
            self._store.require_still_there()
        except StoreDamagedError as problem:
            self._halted = problem

    @property
    def clock_problem(self) -> ComityError | None:
        """Why nothing can be dated now, by the clock and what the log signed; None when all is well."""
        return self._time_problem(self._clock()) if self._held is None else None

    def require_clock(self, at: datetime) -> None:
        """Return if ``at`` may be signed; raises what speaks against it."""
        problem = self._time_problem(at)
        if problem is not None:
            raise problem

    def hold(self, problem: ComityError) -> None:
        """Say why nothing is signed yet; for what was only opened."""
        if self._held is not None:
            self._held = problem

    @property
    def pending(self) -> int:
        """Operations that wait for their batch."""
        return self._pending_count

    # --- Operations --------------------------------------------------------------------------------------------

    async def submit(self, operation: Operation) -> Outcome:
        """Apply one operation; returns when it is durable, or refused. Raises nothing: see :class:`Failed`."""
        return (await self._enqueue((operation,)))[0]

    async def perform(self, operation: Operation) -> Done:
        """As :meth:`submit`; raises the refusal."""
        outcome = await self.submit(operation)
        if isinstance(outcome, Failed):
            raise outcome.error
        return outcome

    async def submit_many(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Apply operations in order, in as few batches as possible; an outcome for each."""
        parts = [operations[at : at + self._limits.batch] for at in range(0, len(operations), self._limits.batch)]
        results = await asyncio.gather(*(self._enqueue(part) for part in parts))
        return [outcome for part in results for outcome in part]

    async def _enqueue(self, operations: Sequence[Operation]) -> list[Outcome]:
        if self._stopping or self._thread is None:
            return [Failed(UnavailableError("the node is not running"))] * len(operations)
        if self._held is not None:
            return [Failed(self._held)] * len(operations)
        if self._pending_count + len(operations) > self._limits.pending:
            return [Failed(UnavailableError("too many operations wait to be written"))] * len(operations)
        size_bytes = sum(map(_envelope_bytes, operations))
        if self._pending and self._pending_bytes + size_bytes > self._limits.pending_bytes:
            return [Failed(UnavailableError("too many bytes wait to be written"))] * len(operations)
        group = _Group(operations, asyncio.get_running_loop().create_future(), size_bytes)
        self._pending.append(group)
        self._pending_count += len(operations)
        self._pending_bytes += size_bytes
        self._wake.set()
        return await group.waiter

    # --- The newest checkpoint -----------------------------------------------------------------------------------

    async def newest(self) -> bytes:
        """The newest checkpoint that may be seen, signed anew when that is due (:mod:`protocol.log.freshness`).

        It has the time of now then, in the checkpoint file too; what the store keeps and receipts show is the one that
        was signed first. A fault that keeps the log from being written keeps it from being signed anew: then it is
        shown as it is, and its age tells. :attr:`renewal_problem` says why.
        """
        note = await self._newest_now()
        at = claimed_time(note)
        if at is None or not is_due(at, self._clock()) or self.problem is not None or self._stopping:
            return note
        if self._renewal is None or self._renewal.done():
            if time.monotonic() < self._renew_from:
                return note
            self._renewal = asyncio.create_task(self._renew(), name="renewal")
        await asyncio.wait((self._renewal,), timeout=RENEWAL_S)
        return await self._newest_now()

    async def _newest_now(self) -> bytes:
        released, renewed = await self._store.reads.checkpoint(), self._renewed
        if renewed is None or parse_checkpoint(renewed) != parse_checkpoint(released):
            return released
        return renewed

    async def _renew(self) -> None:
        _, problem = await self._in_thread(self._sign_anew)
        self.renewal_problem = None
        if problem is not None:
            unknown = ComityError(f"signing failed ({type(problem).__name__})")
            self.renewal_problem = problem if isinstance(problem, ComityError) else unknown
            self._renew_from = time.monotonic() + RETRY_FILE_S

    # --- Event loop side -----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            if not self._pending:
                if self._stopping:
                    return
                if self._untidied >= TIDY_AFTER:
                    self._untidied = 0
                    await self._in_thread(self._store.tidy)
                else:
                    await self._idle()
                continue
            groups = self._take()
            if self._halted is not None:
                await self._catch_up()
            if self._halted is not None:
                for group in groups:
                    group.fail(self._halted)
                continue
            await self._write(groups)

    async def _idle(self) -> None:
        """Wait for operations; meanwhile try now and then to write what is withheld."""
        try:
            async with asyncio.timeout(RETRY_FILE_S if self._halted is not None else None):
                await self._wake.wait()
        except TimeoutError:
            await self._catch_up()
        self._wake.clear()

    def _take(self) -> list[_Group]:
        groups = [self._pending.popleft()]
        count, size_bytes = len(groups[0].operations), groups[0].size_bytes
        while (
            self._pending
            and count + len(self._pending[0].operations) <= self._limits.batch
            and size_bytes + self._pending[0].size_bytes <= self._limits.batch_bytes
        ):
            groups.append(self._pending.popleft())
            count += len(groups[-1].operations)
            size_bytes += groups[-1].size_bytes
        self._pending_count -= count
        self._pending_bytes -= size_bytes
        return groups

    async def _catch_up(self) -> None:
        """Try to release the withheld batch."""
        if isinstance(self._halted, StoreDamagedError):
            return
        _, problem = await self._in_thread(self._publish)
        if isinstance(problem, ComityError):
            self._halted = problem
        elif problem is None:
            self._halted = None
            self._notify(self._withheld)
            self._withheld = set()

    async def _write(self, groups: list[_Group]) -> None:
        self._untidied += 1
        operations = [operation for group in groups for operation in group.operations]
        looks = self.wakeups.looks(_told_of(operations))
        written, problem = await self._in_thread(lambda: self._apply(operations, looks))
        if written is not None:
            self._settle(groups, written)
        elif isinstance(problem, ComityError):
            if isinstance(problem, StoreDamagedError):
                self._halted = problem
            for group in groups:
                group.fail(problem)
        elif len(groups) > 1:
            # A defect in one operation must not refuse what others sent: find it by applying each group alone.
            for group in groups:
                await self._write([group])
        else:
            groups[0].fail(ComityError(f"the operation failed ({type(problem).__name__})"))

    def _settle(self, groups: list[_Group], written: _Written) -> None:
        outcomes = written.applied.outcomes
        if written.withheld is not None:
            self._halted = written.withheld
            pending = Failed(ReceiptPendingError())
            outcomes = [pending if isinstance(outcome, Done) else outcome for outcome in outcomes]
        keys = written.applied.desks | written.applied.partners
        if written.withheld is None:
            self._notify(keys)  # first: what goes on towards its recipient goes before the answer to its sender
            for look, found in written.found:
                look.found = found
        else:
            self._withheld |= keys
        at = 0
        for group in groups:
            group.settle(outcomes[at : at + len(group.operations)])
            at += len(group.operations)

    def _notify(self, keys: Set[str]) -> None:
        watched = self.wakeups.notify(keys)
        if any("@" not in key for key in keys - watched):
            self.wakeups.notify((ANY_PARTNER,))

    async def _in_thread(self, work: Callable[[], T]) -> tuple[T | None, BaseException | None]:
        """What ``work`` returns in the writer thread, or the exception it ends with, whatever that is."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        await asyncio.wait((future,))
        problem = future.exception()
        return (None, problem) if problem is not None else (future.result(), None)

    async def _calling(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # --- Writer thread ---------------------------------------------------------------------------------------------

    def _sign(self, checkpoint: Checkpoint, at: datetime) -> bytes:
        if self._signed_at is None or at > self._signed_at:
            self._signed_at = at
        return sign_checkpoint(checkpoint, self._signer, self._signed_at)

    def _apply(self, operations: Sequence[Operation], looks: Sequence[Look[Any]] = ()) -> _Written:
        applied = self._apply_dated(operations)
        try:
            self._publish()
        except ComityError as problem:
            return _Written(applied, problem)
        found = list[tuple[Look[Any], object]]()
        for look in looks:
            with suppress(ComityError):  # whoever waits reads it, and is told
                found.append((look, look.read()))
        return _Written(applied, None, found)

    def _apply_dated(self, operations: Sequence[Operation]) -> Applied:
        """Apply all but those whose time must not be signed."""
        refusals = [self._misdated(operation) for operation in operations]
        if not any(refusals):
            return self._store.apply(operations, self._sign)
        applied = self._store.apply([op for op, no in zip(operations, refusals, strict=True) if no is None], self._sign)
        rest = iter(applied.outcomes)
        return replace(applied, outcomes=[next(rest) if no is None else Failed(no) for no in refusals])

    def _misdated(self, operation: Operation) -> ComityError | None:
        return None if isinstance(operation, _UNDATED) else self._time_problem(operation.at)

    def _time_problem(self, at: datetime) -> ComityError | None:
        """Why the log may not date anything ``at``; None if it may."""
        if self._signed_at is not None and at < self._signed_at - ALLOWED_SKEW:
            return ClockBehindError(f"the log signed at {to_text(self._signed_at)}, but the clock says {to_text(at)}")
        return self._problem_with(at)

    def _publish(self) -> None:
        """Keep the newest checkpoint outside the database, then show readers what is committed."""
        note = self._store.head()
        if note is None or note == self._published:
            self._store.release()
            return
        renewed = self._latest_of(note) if self._published is None else None
        self._kept.keep(renewed or note)
        self._store.release()  # before what was signed anew is forgotten: until then the tree before this one is shown
        self._renewed, self._published = renewed, note

    def _sign_anew(self) -> None:
        """Sign the tree of the newest batch again, unless that batch is withheld: it waits for the same file."""
        head = self._store.head()
        if head is not None and head == self._published:
            note = self._sign(parse_checkpoint(head), self._present())
            self._kept.keep(note)
            self._renewed = note

    def _latest_of(self, head: bytes) -> bytes | None:
        """The head's tree with the latest time that the log is known to have signed, if the head says an earlier one.

        That time must outlast this process, wherever it was known from: nothing may be dated before it.
        """
        first, latest = claimed_time(head), self._signed_at
        if first is None or latest is None or latest.replace(microsecond=0) <= first:
            return None
        tree, kept = parse_checkpoint(head), self._kept.note
        if kept is None or (claimed_time(kept), parse_checkpoint(kept)) != (latest, tree):
            return self._sign(tree, latest)
        return kept if self._is_of_present_keys(kept) else self._sign(tree, latest)

    def _recover(self, known: Sequence[VerifiedCheckpoint]) -> None:
        """Check what the database holds, found the log if there is none, renew its head if the keys were changed."""
        stored = self._check(known)
        self._kept.load()
        if stored is None:
            self._store.apply((FoundLog(self._present()),), self._sign)
        elif not self._is_of_present_keys(self._store.head() or b""):
            self._store.apply((RenewCheckpoint(self._present()),), self._sign)
        self._publish()

    def _present(self) -> datetime:
        """The time of now, if it may be signed; raises what speaks against it."""
        now = self._clock()
        problem = self._problem_with(now)
        if problem is not None:
            raise problem
        return now

    def _check(self, known: Sequence[VerifiedCheckpoint]) -> Checkpoint | None:
        """The database's own head, if it leads to everything that was signed as far as this node can know."""
        verified = self._opened(self._store.head(), "database")
        outside = self._opened(self._kept.read(), "checkpoint file")
        # A checkpoint that others show counts as a time only under the present keys: a thief of former ones could stop
        # the log.
        counting = [verified, outside, *(seen for seen in known if self._is_of_present_keys(seen.note))]
        signed = [seen.signed_at for seen in counting if seen is not None]
        self._signed_at = max((at for at in signed if at is not None), default=None)
        stored = verified.checkpoint if verified is not None else None
        kept = outside.checkpoint if outside is not None else None
        if stored is not None and (stored.size, stored.root) != (self._store.size(), self._store.root_at(stored.size)):
            raise StoreDamagedError("the stored leaves do not lead to the last signed checkpoint")
        if kept is None and stored is not None and stored.size > 0:
            raise LogRolledBackError(
                f"the database holds a log of {stored.size} entries but there is no checkpoint file"
            )
        for checkpoint in (kept, *(seen.checkpoint for seen in known)):
            if checkpoint is not None:
                self._require_extends(stored, checkpoint)
        return stored

    def _require_extends(self, stored: Checkpoint | None, earlier: Checkpoint) -> None:
        size = stored.size if stored is not None else 0
        if earlier.size > size:
            raise LogRolledBackError(f"the log had {earlier.size} entries, but the database holds only {size}")
        if self._store.root_at(earlier.size) != earlier.root:
            raise LogRolledBackError(f"the first {earlier.size} entries of the database are not those that were signed")

    def _is_of_present_keys(self, note: bytes) -> bool:
        try:
            open_checkpoint(note, self._signer.verifier.present())
        except CheckpointInvalidError:
            return False
        return True

    def _opened(self, note: bytes | None, place: str) -> VerifiedCheckpoint | None:
        if note is None:
            return None
        try:
            return verify_checkpoint(note, self._signer.verifier)
        except CheckpointInvalidError as problem:
            raise CheckpointInvalidError(
                f"the checkpoint in the {place} is not signed by this node's log keys for {self._signer.origin};"
                " comity-node log reconcile finds out what is"
            ) from problem

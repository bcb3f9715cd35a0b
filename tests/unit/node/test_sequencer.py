from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from node.log.checkpoint_file import CheckpointFile, KeptCheckpoint
from node.log.sequencer import BatchLimits, Sequencer
from node.log.wakeups import ANY_PARTNER, Look
from node.store.operations import Applied, Done, Failed, Operation, Outcome, SignCheckpoint
from node.store.reads import Portion, StoredMailboxEntry
from node.store.sqlite.store import SqliteStore
from protocol.errors import (
    CheckpointFileError,
    CheckpointInvalidError,
    ComityError,
    IdConflictError,
    LogForkError,
    LogRolledBackError,
    ReceiptPendingError,
    StorageFullError,
    StoreDamagedError,
    UnavailableError,
)
from protocol.log.checkpoint import (
    Checkpoint,
    FormerLogKeys,
    SoftLogSigner,
    VerifiedCheckpoint,
    open_checkpoint,
    sign_checkpoint,
    verify_checkpoint,
)
from protocol.log.freshness import RENEWED_AFTER
from protocol.misbehaviour.verify import ALLOWED_SKEW
from tests.conformance.store import (
    FR,
    JP,
    NOW,
    ORIGIN,
    OSAKA,
    TOKYO,
    inbox,
    incoming,
    submission,
    transfer,
    verified,
)
from tests.worlds.patience import WITHIN_S


def clock() -> datetime:
    return NOW


LIMITS = BatchLimits(pending=10_000)


class RecordingStore(SqliteStore):
    """Remembers the sizes of batches, can hold a batch back, and can fail as told."""

    def __init__(self, path: Path, origin: str = ORIGIN) -> None:
        super().__init__(path, origin)
        self.batches: list[int] = []
        self.problems: list[BaseException] = []

    def apply(self, batch: Sequence[Operation], sign: SignCheckpoint) -> Applied:
        self.batches.append(len(batch))
        if self.problems:
            raise self.problems.pop(0)
        return super().apply(batch, sign)


class FailingFile(CheckpointFile):
    """A checkpoint file whose disk can be full."""

    full = False

    def write(self, note: bytes) -> None:
        if self.full:
            raise StorageFullError("the checkpoint file cannot be written (ENOSPC)")
        super().write(note)


def new_sequencer(
    folder: Path,
    signer: SoftLogSigner = JP,
    *,
    now: Callable[[], datetime] = clock,
    limits: BatchLimits = LIMITS,
) -> tuple[Sequencer, RecordingStore, FailingFile]:
    store = RecordingStore(folder / "node.db", signer.origin)
    file = FailingFile(folder / "last-checkpoint")
    return Sequencer(store, signer, KeptCheckpoint(file), now, limits=limits), store, file


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[Sequencer, RecordingStore, FailingFile]]:
    sequencer, store, file = new_sequencer(tmp_path)
    await sequencer.start()
    yield sequencer, store, file
    file.full = False
    await sequencer.stop()


Running = tuple[Sequencer, RecordingStore, FailingFile]


def accepted(outcome: Outcome) -> Done:
    assert isinstance(outcome, Done), outcome
    return outcome


def error(outcome: Outcome) -> ComityError:
    assert isinstance(outcome, Failed), outcome
    return outcome.error


async def test_outcome_proves_that_the_operation_is_in_the_log(running: Running) -> None:
    sequencer, store, file = running
    outcome = accepted(await sequencer.submit(transfer(incoming())))

    assert [verified(receipt).index for receipt in outcome.receipts] == [0, 1]
    assert file.read() == await store.reads.checkpoint() == outcome.receipts[0].checkpoint


async def test_operations_that_arrive_together_share_one_batch_and_one_checkpoint(running: Running) -> None:
    sequencer, store, _ = running
    store.batches.clear()

    outcomes = await asyncio.gather(*(sequencer.submit(transfer(incoming())) for _ in range(50)))

    assert store.batches == [50]
    assert len({receipt.checkpoint for outcome in outcomes for receipt in accepted(outcome).receipts}) == 1


async def test_many_operations_keep_their_order_and_each_batch_its_bound(tmp_path: Path) -> None:
    sequencer, store, _ = new_sequencer(tmp_path, limits=BatchLimits(batch=16, pending=10_000))
    await sequencer.start()
    store.batches.clear()

    outcomes = await sequencer.submit_many([transfer(incoming()) for _ in range(50)])
    await sequencer.stop()

    assert store.batches == [16, 16, 16, 2]
    assert [accepted(outcome).receipts[0].index for outcome in outcomes] == list(range(0, 100, 2))


async def test_refused_operation_does_not_touch_the_others(running: Running) -> None:
    sequencer, _, _ = running
    message = incoming()
    await sequencer.submit(transfer(message))

    outcomes = await sequencer.submit_many(
        [transfer(incoming()), transfer(incoming(message_id=message.message_id)), transfer(incoming())]
    )

    assert [type(outcome) for outcome in outcomes] == [Done, Failed, Done]
    assert isinstance(error(outcomes[1]), IdConflictError)


async def test_full_disk_refuses_the_batch_and_the_next_one_stands(running: Running) -> None:
    sequencer, store, _ = running
    store.problems = [StorageFullError()]
    message = incoming()

    assert isinstance(error(await sequencer.submit(transfer(message))), StorageFullError)
    assert not accepted(await sequencer.submit(transfer(message))).duplicate


async def test_defect_in_one_operation_does_not_refuse_what_others_sent(running: Running) -> None:
    sequencer, store, _ = running
    # The batch fails, then the first group alone does.
    store.problems = [OverflowError("defect"), OverflowError("defect")]

    outcomes = await asyncio.gather(*(sequencer.submit(transfer(incoming())) for _ in range(3)))

    assert [type(outcome) for outcome in outcomes] == [Failed, Done, Done]
    assert error(outcomes[0]).code == "internal"


async def test_damaged_store_halts_the_sequencer(running: Running) -> None:
    sequencer, store, _ = running
    store.problems = [StoreDamagedError()]

    assert isinstance(error(await sequencer.submit(transfer(incoming()))), StoreDamagedError)
    assert isinstance(error(await sequencer.submit(transfer(incoming()))), StoreDamagedError)
    assert isinstance(sequencer.problem, StoreDamagedError)


async def test_batch_whose_checkpoint_is_not_kept_outside_is_shown_to_nobody(running: Running) -> None:
    sequencer, store, file = running
    file.full = True
    message = incoming()

    assert isinstance(error(await sequencer.submit(transfer(message))), ReceiptPendingError)

    assert await inbox(store) == []
    assert open_checkpoint(await store.reads.checkpoint(), JP.verifier).size == 0
    assert isinstance(sequencer.problem, StorageFullError)


async def test_nothing_is_accepted_while_the_checkpoint_file_cannot_be_written(running: Running) -> None:
    sequencer, store, file = running
    file.full = True
    await sequencer.submit(transfer(incoming()))
    other = incoming()
    store.batches.clear()

    assert isinstance(error(await sequencer.submit(transfer(other))), StorageFullError)

    assert store.batches == []
    file.full = False
    assert not accepted(await sequencer.submit(transfer(other))).duplicate


async def test_repeat_gets_the_withheld_receipt_once_the_file_is_written(running: Running) -> None:
    sequencer, store, file = running
    file.full = True
    message = incoming()
    await sequencer.submit(transfer(message))
    file.full = False

    outcome = accepted(await sequencer.submit(transfer(message)))

    assert outcome.duplicate
    assert verified(outcome.receipts[0]).index == 0
    assert sequencer.problem is None
    assert len(await inbox(store)) == 1


async def test_withheld_batch_is_released_without_a_new_operation(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.log.sequencer.RETRY_FILE_S", 0.01)
    sequencer, store, file = running
    file.full = True
    with sequencer.wakeups.watch(str(TOKYO)) as watch:
        await sequencer.submit(transfer(incoming()))
        file.full = False
        assert await watch.wait(WITHIN_S)

    assert len(await inbox(store)) == 1
    assert sequencer.problem is None


async def test_refusals_of_a_withheld_batch_are_told_at_once(running: Running) -> None:
    sequencer, _, file = running
    message = incoming()
    await sequencer.submit(transfer(message))
    file.full = True

    outcomes = await sequencer.submit_many([transfer(incoming()), transfer(incoming(message_id=message.message_id))])

    assert [type(error(outcome)) for outcome in outcomes] == [ReceiptPendingError, IdConflictError]


@pytest.mark.parametrize(("partner", "woken"), [("fr", [True, True, False, False]), ("de", [True, False, False, True])])
async def test_commit_wakes_the_mailbox_and_the_partner_it_is_for_or_who_watches_for_partners_that_nobody_watches(
    running: Running, partner: str, woken: list[bool]
) -> None:
    sequencer, _, _ = running
    watches = [sequencer.wakeups.watch(key) for key in ("24-7@jp", "fr", "gr", ANY_PARTNER)]
    with ExitStack() as stack:
        for watch in watches:
            stack.enter_context(watch)
        await sequencer.submit(submission(incoming(OSAKA), local=(TOKYO,), partners=(partner,)))
        assert [await watch.wait(0) for watch in watches] == woken


def inbox_look(store: RecordingStore) -> Look[tuple[list[StoredMailboxEntry], int]]:
    return Look(lambda: store.reads.mailbox_page_here(TOKYO, 0, 10, 1_000_000))


async def test_commit_of_a_single_message_finds_what_those_read_who_wait_for_it(running: Running) -> None:
    sequencer, store, _ = running
    mail, queue = inbox_look(store), Look(lambda: store.reads.due_here("fr", NOW, Portion(9, 9_999), Portion(9, 9_999)))
    message = incoming(OSAKA)
    with sequencer.wakeups.watch(str(TOKYO)) as at_desk, sequencer.wakeups.watch("fr") as at_queue:
        waiting = [
            asyncio.create_task(at_desk.wait(WITHIN_S, mail)),
            asyncio.create_task(at_queue.wait(WITHIN_S, queue)),
        ]
        await asyncio.sleep(0)
        receipts = accepted(await sequencer.submit(submission(message, local=(TOKYO,), partners=("fr",)))).receipts
        assert await asyncio.gather(*waiting) == [True, True]

    assert mail.found is not None
    assert queue.found is not None
    assert mail.found == await store.reads.mailbox_page(TOKYO, 0, 10, 1_000_000)
    assert [(entry.envelope, entry.receipts) for entry in mail.found[0]] == [(message.raw, receipts)]
    assert [item.raw for item in queue.found[0]] == [message.raw]


async def test_nothing_is_found_of_a_batch_that_is_withheld(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.log.sequencer.RETRY_FILE_S", 0.01)
    sequencer, store, file = running
    file.full = True
    look = inbox_look(store)
    with sequencer.wakeups.watch(str(TOKYO)) as watch:
        waiting = asyncio.create_task(watch.wait(WITHIN_S, look))
        await asyncio.sleep(0)
        assert isinstance(error(await sequencer.submit(transfer(incoming()))), ReceiptPendingError)
        assert not waiting.done()
        assert look.found is None
        file.full = False
        assert await waiting

    assert look.found is None
    assert len(await inbox(store)) == 1


async def test_what_was_found_before_another_change_does_not_count(running: Running) -> None:
    sequencer, store, _ = running
    look = inbox_look(store)
    with sequencer.wakeups.watch(str(TOKYO)) as watch:
        waiting = asyncio.create_task(watch.wait(WITHIN_S, look))
        await asyncio.sleep(0)
        sequencer.wakeups.notify([str(TOKYO)])
        look.found = ([], 0)
        sequencer.wakeups.notify([str(TOKYO)])
        assert await waiting

    assert look.found is None


async def test_reader_that_fails_for_who_waits_refuses_nothing_and_who_waits_is_woken(running: Running) -> None:
    sequencer, store, _ = running

    def fail() -> None:
        raise UnavailableError("the database cannot be read")

    look = Look(fail)
    with sequencer.wakeups.watch(str(TOKYO)) as watch:
        waiting = asyncio.create_task(watch.wait(WITHIN_S, look))
        await asyncio.sleep(0)
        accepted(await sequencer.submit(transfer(incoming())))
        assert await waiting

    assert look.found is None
    assert len(await inbox(store)) == 1


async def test_what_a_store_puts_off_it_does_when_nothing_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.log.sequencer.TIDY_AFTER", 3)
    sequencer, store, _ = new_sequencer(tmp_path)
    await sequencer.start()
    waiting: list[int] = []
    tidied = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tidy() -> None:
        RecordingStore.tidy(store)
        waiting.append(sequencer.pending)
        loop.call_soon_threadsafe(tidied.set)

    monkeypatch.setattr(store, "tidy", tidy)
    for _ in range(3):
        assert waiting == []
        await sequencer.submit(transfer(incoming()))
    await tidied.wait()
    assert waiting == [0]
    # The database file alone has all that was written.
    shutil.copyfile(tmp_path / "node.db", tmp_path / "alone.db")
    with closing(sqlite3.connect(tmp_path / "alone.db")) as alone:
        assert alone.execute("SELECT count(*) FROM message").fetchone() == (3,)
    accepted(await sequencer.submit(transfer(incoming())))
    await sequencer.stop()


async def test_change_between_reading_and_waiting_is_not_missed(running: Running) -> None:
    sequencer, _, _ = running
    with sequencer.wakeups.watch(str(TOKYO)) as watch:
        await sequencer.submit(transfer(incoming()))
        assert await watch.wait(0)
        assert not await watch.wait(0)


async def test_caller_that_goes_away_does_not_undo_its_operation(running: Running) -> None:
    sequencer, store, _ = running
    task = asyncio.create_task(sequencer.submit(transfer(incoming())))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await sequencer.submit(transfer(incoming()))

    assert len(await inbox(store)) == 2


async def test_stop_finishes_what_waits_and_refuses_what_comes(tmp_path: Path) -> None:
    sequencer, _, _ = new_sequencer(tmp_path, limits=BatchLimits(batch=4, pending=10_000))
    await sequencer.start()
    waiting = [asyncio.create_task(sequencer.submit(transfer(incoming()))) for _ in range(30)]
    await asyncio.sleep(0)

    await sequencer.stop()

    assert all(isinstance(outcome, Done) for outcome in await asyncio.gather(*waiting))
    assert isinstance(error(await sequencer.submit(transfer(incoming()))), UnavailableError)


async def test_more_than_the_bound_of_waiting_operations_is_refused(tmp_path: Path) -> None:
    sequencer, _, _ = new_sequencer(tmp_path, limits=BatchLimits(pending=10))
    await sequencer.start()

    outcomes = await sequencer.submit_many([transfer(incoming()) for _ in range(11)])

    assert {type(error(outcome)) for outcome in outcomes} == {UnavailableError}
    await sequencer.stop()


async def test_a_batch_and_what_waits_for_it_are_bounded_by_their_bytes_too(tmp_path: Path) -> None:
    sequencer, store, _ = new_sequencer(tmp_path, limits=BatchLimits(batch_bytes=3_000, pending_bytes=9_000))
    await sequencer.start()

    large = [transfer(incoming(raw=bytes([n]) * 1_200)) for n in range(10)]
    outcomes = await asyncio.gather(*(sequencer.submit(operation) for operation in large))

    refused = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    assert len(refused) == 3
    assert {type(error(outcome)) for outcome in refused} == {UnavailableError}
    assert store.batches[1:] == [2, 2, 2, 1]  # after that of the start
    assert isinstance(await sequencer.submit(large[-1]), Done)  # what was written makes room
    await sequencer.stop()


async def test_one_operation_is_taken_whatever_its_size(tmp_path: Path) -> None:
    sequencer, _, _ = new_sequencer(tmp_path, limits=BatchLimits(batch_bytes=100, pending_bytes=100))
    await sequencer.start()

    assert isinstance(await sequencer.submit(transfer(incoming(raw=bytes(1_000)))), Done)
    await sequencer.stop()


# --- Starting ------------------------------------------------------------------------------------------------


async def run_once(folder: Path, count: int, signer: SoftLogSigner = JP) -> None:
    sequencer, _, _ = new_sequencer(folder, signer)
    await sequencer.start()
    await sequencer.submit_many([transfer(incoming()) for _ in range(count)])
    await sequencer.stop()


async def test_restart_goes_on_where_the_log_ended(tmp_path: Path) -> None:
    await run_once(tmp_path, 3)
    sequencer, store, _ = new_sequencer(tmp_path)
    await sequencer.start()

    assert await store.reads.log_size() == 6
    assert accepted(await sequencer.submit(transfer(incoming()))).receipts[0].index == 6
    await sequencer.stop()


async def test_database_restored_from_a_backup_is_refused(tmp_path: Path) -> None:
    await run_once(tmp_path, 3)
    shutil.copy(tmp_path / "node.db", tmp_path / "backup")
    await run_once(tmp_path, 3)
    for name in ("node.db", "node.db-wal", "node.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup", tmp_path / "node.db")

    with pytest.raises(LogRolledBackError, match="had 12 entries, but the database holds only 6"):
        await run_once(tmp_path, 1)


async def test_database_of_another_history_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    await run_once(tmp_path / "one", 3)
    await run_once(tmp_path / "two", 4)
    shutil.copy(tmp_path / "one" / "last-checkpoint", tmp_path / "two" / "last-checkpoint")

    with pytest.raises(LogForkError):
        await run_once(tmp_path / "two", 1)


async def test_lost_database_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    await run_once(tmp_path, 1)
    (tmp_path / "node.db").unlink()

    with pytest.raises(LogRolledBackError):
        await run_once(tmp_path, 1)


async def test_lost_checkpoint_file_is_refused(tmp_path: Path) -> None:
    await run_once(tmp_path, 1)
    (tmp_path / "last-checkpoint").unlink()

    with pytest.raises(LogRolledBackError):
        await run_once(tmp_path, 1)


async def test_torn_checkpoint_file_is_refused(tmp_path: Path) -> None:
    await run_once(tmp_path, 1)
    (tmp_path / "last-checkpoint").write_bytes(b"")

    with pytest.raises(CheckpointFileError):
        await run_once(tmp_path, 1)


@pytest.mark.parametrize("other", [FR, SoftLogSigner(ORIGIN, bytes([8]) * 32, bytes([8]) * 32)])
async def test_log_of_another_origin_or_other_keys_is_refused(tmp_path: Path, other: SoftLogSigner) -> None:
    await run_once(tmp_path, 1)

    with pytest.raises(CheckpointInvalidError):
        await run_once(tmp_path, 1, other)


async def test_database_that_was_ahead_of_the_file_when_the_node_died_is_taken_over(tmp_path: Path) -> None:
    await run_once(tmp_path, 1)
    older = (tmp_path / "last-checkpoint").read_bytes()
    await run_once(tmp_path, 2)
    (tmp_path / "last-checkpoint").write_bytes(older)

    sequencer, store, file = new_sequencer(tmp_path)
    await sequencer.start()

    assert await store.reads.log_size() == 6
    assert file.read() == await store.reads.checkpoint()
    await sequencer.stop()


async def test_leftovers_of_a_killed_write_are_swept(tmp_path: Path) -> None:
    leftover = tmp_path / ".last-checkpoint.abc.tmp"
    leftover.write_bytes(b"torn")
    await run_once(tmp_path, 1)

    assert not leftover.exists()


# --- The clock -----------------------------------------------------------------------------------------------


async def test_checkpoint_never_says_an_earlier_time_than_one_before(tmp_path: Path) -> None:
    sequencer, store, _ = new_sequencer(tmp_path)
    await sequencer.start()
    earlier = NOW - timedelta(seconds=90)
    accepted(await sequencer.submit(replace(transfer(incoming()), at=earlier)))
    assert verify_checkpoint(await store.reads.checkpoint(), JP.verifier).signed_at == NOW
    await sequencer.stop()

    sequencer, store, _ = new_sequencer(tmp_path)
    await sequencer.start()
    accepted(await sequencer.submit(replace(transfer(incoming()), at=earlier)))
    assert verify_checkpoint(await store.reads.checkpoint(), JP.verifier).signed_at == NOW
    await sequencer.stop()


class Resting:
    """A log that was written once, and a clock that goes on."""

    def __init__(self, folder: Path, signer: SoftLogSigner = JP) -> None:
        self.now = NOW
        self.sequencer, self.store, self.file = new_sequencer(folder, signer, now=lambda: self.now)

    async def newest(self, signer: SoftLogSigner = JP) -> VerifiedCheckpoint:
        return verify_checkpoint(await self.sequencer.newest(), signer.verifier)


@pytest.fixture
async def resting(tmp_path: Path) -> AsyncIterator[Resting]:
    log = Resting(tmp_path)
    await log.sequencer.start()
    accepted(await log.sequencer.submit(transfer(incoming())))
    yield log
    await log.sequencer.stop()


async def test_a_log_at_rest_signs_its_tree_anew_for_who_asks_when_that_is_due(resting: Resting) -> None:
    first = await resting.store.reads.checkpoint()
    resting.now += RENEWED_AFTER - timedelta(seconds=1)
    assert await resting.sequencer.newest() == first

    resting.now += timedelta(seconds=1)
    shown = await asyncio.gather(*(resting.newest() for _ in range(5)))

    assert {note.signed_at for note in shown} == {resting.now}
    assert shown[0].checkpoint == open_checkpoint(first, JP.verifier)
    assert resting.file.read() == shown[0].note
    # Receipts and the age of entries go by what was signed first.
    assert await resting.store.reads.checkpoint() == first
    assert await resting.store.reads.size_at(resting.now - timedelta(seconds=1)) == 2


async def test_a_tree_that_was_signed_anew_keeps_its_time_through_a_restart(resting: Resting, tmp_path: Path) -> None:
    resting.now += RENEWED_AFTER
    renewed = await resting.newest()
    await resting.sequencer.stop()

    later = Resting(tmp_path)  # its clock was put back
    await later.sequencer.start()
    assert (await later.newest()).note == renewed.note
    later.now += timedelta(seconds=30)
    accepted(await later.sequencer.submit(replace(transfer(incoming()), at=later.now)))
    assert (await later.newest()).signed_at == renewed.signed_at
    await later.sequencer.stop()


async def test_a_log_whose_partners_know_a_later_time_of_its_tree_signs_none_before_that(tmp_path: Path) -> None:
    log = Resting(tmp_path)
    await log.sequencer.start()
    known = verify_checkpoint(sign_checkpoint(tree_of(log), JP, NOW + timedelta(minutes=4)), JP.verifier)
    await log.sequencer.stop()

    later = Resting(tmp_path)
    await later.sequencer.open()
    await later.sequencer.resume([known])
    await later.sequencer.stop()

    last = Resting(tmp_path)  # nobody tells it again
    await last.sequencer.start()
    assert (await last.newest()).signed_at == known.signed_at
    accepted(await last.sequencer.submit(transfer(incoming())))
    assert (await last.newest()).signed_at == known.signed_at
    await last.sequencer.stop()


async def test_a_time_under_keys_that_were_replaced_does_not_stop_the_log(tmp_path: Path) -> None:
    log = Resting(tmp_path)
    await log.sequencer.start()
    accepted(await log.sequencer.submit(transfer(incoming())))
    tree = tree_of(log)
    await log.sequencer.stop()

    present = SoftLogSigner(JP.origin, b"\x41" * 32, b"\x42" * 32, (FormerLogKeys(JP.verifier, tree),))
    stolen = sign_checkpoint(tree, JP, NOW + timedelta(days=365))
    later = Resting(tmp_path, present)
    await later.sequencer.open()
    await later.sequencer.resume([verify_checkpoint(stolen, present.verifier)])
    accepted(await later.sequencer.submit(transfer(incoming())))
    assert (await later.newest(present)).signed_at == NOW
    await later.sequencer.stop()


def tree_of(log: Resting) -> Checkpoint:
    note = log.file.read()
    assert note is not None
    return open_checkpoint(note, JP.verifier)


async def test_a_log_that_cannot_be_written_shows_what_it_signed_and_its_age(
    resting: Resting, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await resting.store.reads.checkpoint()
    resting.now += RENEWED_AFTER
    resting.file.full = True
    assert await resting.sequencer.newest() == first
    assert resting.sequencer.renewal_problem is not None
    resting.file.full = False

    monkeypatch.setattr(resting.sequencer, "_renew_from", 0.0)
    monkeypatch.setattr("node.log.sequencer.RENEWAL_S", 0.05)
    slow = threading.Event()
    held = asyncio.create_task(resting.sequencer._in_thread(slow.wait))
    assert await resting.sequencer.newest() == first
    monkeypatch.setattr("node.log.sequencer.RENEWAL_S", WITHIN_S)
    slow.set()
    await held
    assert (await resting.newest()).signed_at == resting.now
    assert resting.sequencer.renewal_problem is None


async def test_what_would_be_dated_before_what_is_signed_is_refused_alone(running: Running) -> None:
    sequencer, store, _ = running
    behind = replace(transfer(incoming()), at=NOW - ALLOWED_SKEW - timedelta(milliseconds=1))
    on_the_edge = replace(transfer(incoming()), at=NOW - ALLOWED_SKEW)
    outcomes = await sequencer.submit_many([transfer(incoming()), behind, on_the_edge])
    assert [type(outcome) for outcome in outcomes] == [Done, Failed, Done]
    assert error(outcomes[1]).code == "clock-behind"
    assert await store.reads.log_size() == 4
    accepted(await sequencer.submit(replace(behind, at=NOW)))

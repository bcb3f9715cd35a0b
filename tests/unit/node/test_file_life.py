"""Files leave a node: handed over, kept a while, let go, told of; and a message is not forgotten before its files."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from node.store.file_operations import RecordCancelTold, RecordFilesTaken
from node.store.file_reads import HopState
from node.store.operations import (
    AcceptTransfer,
    Done,
    EraseEntries,
    Failed,
    FoundLog,
    ImportEntries,
    PurgeDelivered,
    RecordRefused,
    RecordStatement,
)
from node.store.reads import OutboundKind, Portion
from node.store.sqlite.store import SqliteStore
from protocol.address import Address
from protocol.crypto.signing import Ed25519Verifier
from protocol.errors import UnavailableError
from protocol.event import EventName
from protocol.files.logged import LoggedFiles, one_file, some_files, whole_set
from protocol.log.checkpoint import Checkpoint
from protocol.statement import DeskStatement, parse_statement, sign_statement, verify_statement
from tests.conformance.store import DESK, NOW, ORIGIN, OSAKA, PARIS, TOKYO, apply, sign, submission
from tests.worlds.file_node import SENDER, FileNode, Files, file_node
from tests.worlds.parcels import MIB


def stated(files: Files, event: EventName, said: LoggedFiles | None = None, desk: Address = OSAKA) -> RecordStatement:
    """A desk states of the files; of all, if no others are given."""
    reasons = ("file-altered",) if event.negative else ()
    statement = DeskStatement(
        event, files.message.message_id, files.digest, desk, NOW, reasons, said or whole_set(files.list)
    )
    raw = sign_statement(statement, DESK)
    return RecordStatement(verify_statement(parse_statement(raw), Ed25519Verifier(DESK.public_key)), NOW)


def taken(files: Files, partner: str = "fr", said: LoggedFiles | None = None) -> RecordFilesTaken:
    return RecordFilesTaken(
        files.message.message_id, files.digest, partner, said or whole_set(files.list), NOW + timedelta(hours=1)
    )


async def code(node: FileNode, operation: object) -> str:
    outcome = await node.sequencer.submit(operation)  # type: ignore[arg-type]
    return outcome.error.code if isinstance(outcome, Failed) else ""


async def test_files_stay_until_everyone_has_them_and_the_retention_passed(tmp_path: Path) -> None:
    files = Files.of(2 * MIB, 0)
    async with file_node(tmp_path, retention_h=2) as node:
        await node.accept(files, local=(OSAKA,))
        await node.bring_all(files)
        await node.perform(taken(files))
        node.clock.pass_(hours=20)
        await node.housekeeping.look(node.clock())
        assert await node.store.messages() == [files.digest], "a desk still waits"
        node.clock.pass_(hours=-20)
        await node.perform(stated(files, EventName.FileHandover))
        node.clock.pass_(hours=1)
        await node.housekeeping.look(node.clock())
        assert await node.store.messages() == [files.digest], "it may still fetch them again"
        node.clock.pass_(hours=2)
        await node.housekeeping.look(node.clock())
        assert await node.store.messages() == []
        names = ["FileAcceptance", "FileConsignment", "FileHandover", "FileDeletion"]
        assert await node.names() == names
        assert all(event.files == whole_set(files.list) for event in await node.events())


async def test_an_operator_lets_files_go_that_everyone_has_before_the_retention_passed(tmp_path: Path) -> None:
    files, other = Files.of(2 * MIB, 0), Files.of(1000, seed=5)
    async with file_node(tmp_path, retention_h=2) as node:
        for each in (files, other):
            await node.accept(each, local=(OSAKA,))
            await node.bring_all(each)
            await node.perform(taken(each))
        assert await node.intake.forget(other.digest) == 1, "a desk still waits: it is told that they were let go"
        await node.perform(stated(files, EventName.FileHandover))
        assert await node.intake.forget(files.digest) == 2
        assert await node.intake.forget(files.digest) == 0
        assert await node.store.messages() == []
        told = [event.name.value for event in await node.events() if event.digest == files.digest]
        assert told == ["FileAcceptance", "FileConsignment", "FileHandover", "FileDeletion"]
        told = [event.name.value for event in await node.events() if event.digest == other.digest]
        assert told == ["FileAcceptance", "FileConsignment", "FileExpiry"]
        node.clock.pass_(hours=3)
        await node.housekeeping.look(node.clock())
        assert (await node.names()).count("FileDeletion") == 1


async def test_whole_files_whose_end_was_cut_off_by_a_kill_are_not_called_incomplete_afterwards(tmp_path: Path) -> None:
    files = Files.of(1000)
    async with file_node(tmp_path) as node:
        await node.accept(files)
        await node.bring_all(files)
        await node.store.delete(files.digest)  # let go on the disk, and killed before it was written down
    async with file_node(tmp_path) as node:
        node.clock.pass_(days=31)
        await node.housekeeping.look(node.clock())
        last = (await node.events())[-1]
        assert (last.name, last.reasons, last.files) == (
            EventName.FileExpiry,
            ("expired-unfetched",),
            whole_set(files.list),
        )


async def test_one_message_let_go_touches_no_file_of_another_with_the_same_names(tmp_path: Path) -> None:
    files, forwarded = Files.of(2 * MIB), Files.of(2 * MIB)
    assert files.list == forwarded.list
    async with file_node(tmp_path, retention_h=0) as node:
        for one in (files, forwarded):
            await node.accept(one)
            await node.bring_all(one)
        await node.perform(taken(files))
        node.clock.pass_(hours=2)
        await node.housekeeping.look(node.clock())
        assert await node.store.messages() == [forwarded.digest]
        assert await node.missing(forwarded) == set()


async def test_a_message_is_not_forgotten_while_its_files_travel_and_not_kept_after(tmp_path: Path) -> None:
    files = Files.of(1000)
    async with file_node(tmp_path, retention_h=0) as node:
        await node.perform(submission(files.message, local=(OSAKA,)))
        await node.bring_all(files)
        handed = DeskStatement(EventName.ContentHandover, files.message.message_id, files.digest, OSAKA, NOW)
        proved = verify_statement(parse_statement(sign_statement(handed, DESK)), Ed25519Verifier(DESK.public_key))
        await node.perform(RecordStatement(proved, NOW))
        late = NOW + timedelta(days=200)
        assert (await node.sequencer.perform(PurgeDelivered(late))).count == 0
        assert (await node.sequencer.perform(EraseEntries(0, 100))).count == 0
        await node.perform(stated(files, EventName.FileHandover))
        node.clock.pass_(hours=1)
        await node.housekeeping.look(node.clock())
        assert (await node.sequencer.perform(PurgeDelivered(late))).count == 1
        assert await node.database.reads.file_set(files.digest) is None
        assert (await node.sequencer.perform(EraseEntries(0, 100))).count == len(await node.database.reads.entries(0))


async def test_only_a_proof_of_all_files_from_the_node_itself_lets_them_go(tmp_path: Path) -> None:
    files, other = Files.of(2 * MIB, 0), Files.of(1000)
    async with file_node(tmp_path) as node:
        await node.accept(files, partners=("fr", "gh"))
        await node.bring_all(files)
        one = one_file(files.list, files.list.files[0])
        assert await code(node, taken(files, said=one)) == "file-unknown"
        assert await code(node, taken(files, said=whole_set(other.list))) == "file-unknown"
        assert await code(node, taken(other)) == "file-unknown"
        assert await code(node, taken(files, "de")) == ""  # a node that is not to get them changes nothing
        assert await code(node, taken(files)) == ""
        stored = await node.database.reads.file_set(files.digest)
        assert stored is not None
        assert {hop.party: hop.state for hop in stored.hops} == {"fr": HopState.HAS, "gh": HopState.WAITS}
        assert stored.done_at is None


@pytest.mark.parametrize("event", [EventName.FileHandover, EventName.FileAccessTracking, EventName.FileHandoverFailure])
async def test_a_desk_states_of_files_that_were_consigned_to_it_and_once(tmp_path: Path, event: EventName) -> None:
    files, other = Files.of(2 * MIB, 0), Files.of(1000)
    async with file_node(tmp_path) as node:
        await node.accept(files, local=(OSAKA,))
        await node.announce(files)
        assert await code(node, stated(files, event)) == "not-found", "they are not here yet"
        await node.bring(files, files.segments)
        if event is EventName.FileAccessTracking:
            assert await code(node, stated(files, event)) == "not-found", "they were not handed over yet"
            await node.perform(stated(files, EventName.FileHandover))
        assert await code(node, stated(files, event, desk=PARIS)) == "not-found"
        assert await code(node, stated(files, event, whole_set(other.list))) == "file-set-mismatch"
        first = await node.sequencer.submit(stated(files, event))
        again = await node.sequencer.submit(stated(files, event))
        assert isinstance(first, Done)
        assert isinstance(again, Done)
        assert [one.index for one in first.receipts] == [one.index for one in again.receipts]
        assert again.duplicate
        assert (await node.names()).count(event.value) == 1


async def test_what_is_stated_of_some_files_is_logged_for_each_choice_of_them_once(tmp_path: Path) -> None:
    files = Files.of(100, 600, 700)
    async with file_node(tmp_path) as node:
        await node.accept(files, local=(OSAKA,), partners=())
        await node.bring_all(files)
        await node.perform(stated(files, EventName.FileHandover))
        chosen = [some_files(files.list, [name]) for name in files.list.names]
        chosen.append(some_files(files.list, files.list.names[:2]))
        for said in (*chosen, *chosen):
            await node.perform(stated(files, EventName.FileAccessTracking, said))
        logged = [event.files for event in await node.events() if event.name is EventName.FileAccessTracking]
        assert logged == chosen
        stored = await node.database.reads.file_set(files.digest)
        assert stored is not None
        assert stored.done_at is not None


async def test_a_desk_fills_no_log_with_choices_of_files_that_nobody_can_recompute(tmp_path: Path) -> None:
    files = Files.of(100, 600)
    async with file_node(tmp_path) as node:
        await node.accept(files, local=(OSAKA,), partners=())
        await node.bring_all(files)
        for event in (EventName.FileHandover, EventName.FileAccessTracking):
            made_up = [LoggedFiles(files.list.file_set.digest, None, 1, bytes([number]) * 32) for number in range(1, 9)]
            answers = [await code(node, stated(files, event, said)) for said in (whole_set(files.list), *made_up)]
            assert answers == [""] * 4 + ["forbidden"] * 5
            assert await code(node, stated(files, event)) == "", "what was logged before is answered as before"
        assert len(await node.events()) == 2 + 2 * 4


async def test_a_statement_about_one_file_of_several_does_not_let_the_others_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.files.holdings.LARGE_FILE_BYTES", MIB)
    files = Files.of(2 * MIB, 3 * MIB)
    async with file_node(tmp_path) as node:
        await node.accept(files, local=(OSAKA,), partners=())
        await node.bring_all(files)
        for file in files.list.files:
            await node.perform(stated(files, EventName.FileHandover, one_file(files.list, file)))
        stored = await node.database.reads.file_set(files.digest)
        assert stored is not None
        assert stored.done_at is None
        await node.perform(stated(files, EventName.FileHandover))
        stored = await node.database.reads.file_set(files.digest)
        assert stored is not None
        assert stored.done_at is not None


async def test_a_partner_that_refused_the_message_gets_none_of_its_files(tmp_path: Path) -> None:
    files = Files.of(1000)
    async with file_node(tmp_path) as node:
        await node.accept(files)
        await node.bring_all(files)
        (queued,) = await node.database.reads.due_outbound("fr", OutboundKind.ENVELOPE, NOW, Portion(9, MIB))
        assert await node.database.reads.files_for("fr", 9) == [], "the message goes ahead"
        await node.perform(RecordRefused(queued.outbound_id, "fr", ("revoked",), NOW))
        assert await node.database.reads.files_for("fr", 9) == []
        stored = await node.database.reads.file_set(files.digest)
        assert stored is not None
        assert stored.state_of("fr") is HopState.GETS_NONE
        assert stored.done_at is not None


async def test_files_that_never_came_of_a_message_that_was_refused_keep_no_others_from_ending(tmp_path: Path) -> None:
    never, other = Files.of(1000), Files.of(2000)
    async with file_node(tmp_path, retention_h=2) as node:
        await node.accept(never)
        await node.accept(other, partners=("gh",))
        (queued,) = await node.database.reads.due_outbound("fr", OutboundKind.ENVELOPE, NOW, Portion(9, MIB))
        await node.perform(RecordRefused(queued.outbound_id, "fr", ("revoked",), NOW))
        await node.bring_all(other)
        await node.perform(taken(other, "gh"))
        node.clock.pass_(hours=9)
        await node.housekeeping.look(node.clock())
        ends = {event.digest: (event.name.value, event.reasons) for event in await node.events()}
        assert ends == {never.digest: ("FileExpiry", ("never-complete",)), other.digest: ("FileDeletion", ())}
        assert await node.store.messages() == []


async def test_cancelling_is_told_to_those_who_wait_until_they_know(tmp_path: Path) -> None:
    files = Files.of(1000)
    async with file_node(tmp_path) as node:
        await node.accept(files, partners=("fr", "gh"))
        await node.bring_all(files)
        await node.perform(taken(files, "gh"))
        await node.intake.cancel(files.digest, SENDER)
        assert await node.database.reads.file_partners() == ["fr"]
        await node.perform(RecordCancelTold(files.digest, "fr"))
        assert await node.database.reads.file_partners() == []


async def test_expired_files_are_told_of_by_how_far_they_came(tmp_path: Path) -> None:
    whole, part = Files.of(MIB), Files.of(2 * MIB, 0)
    async with file_node(tmp_path) as node:
        for files in (whole, part):
            await node.accept(files)
        await node.bring_all(whole)
        await node.announce(part)
        await node.bring(part, [place for place in part.segments if part.list.files[place[0]].segments == 1])
        node.clock.pass_(days=40)
        await node.housekeeping.look(node.clock())
        ended = [event for event in await node.events() if event.name is EventName.FileExpiry]
        told = {event.digest: (event.reasons, event.files.count if event.files else None) for event in ended}
        assert told == {whole.digest: (("expired-unfetched",), 1), part.digest: (("never-complete",), 1)}
        assert await node.store.messages() == []
        assert node.holdings.expected_bytes == 0


async def test_a_database_that_lost_what_was_logged_of_files_takes_it_up_again_and_logs_nothing_twice(
    tmp_path: Path,
) -> None:
    files = Files.of(2 * MIB)
    (tmp_path / "new").mkdir()
    async with file_node(tmp_path / "new") as node:
        await node.accept(files, local=(OSAKA,), partners=())
        before = await node.database.reads.log_size()
        await node.bring_all(files)
        await node.perform(stated(files, EventName.FileHandover))
        lost = (await node.database.reads.entries(0))[before:]
    old = SqliteStore(tmp_path / "old.db", ORIGIN)
    await old.open()
    apply(old, FoundLog(NOW))
    apply(old, submission(files.message, local=(OSAKA,)))
    held: dict[int, bytes] = {}

    def signed(checkpoint: Checkpoint, at: object) -> bytes:
        held[checkpoint.size] = sign(checkpoint, NOW)
        return held[checkpoint.size]

    applied = old.apply([ImportEntries(before, lost, NOW)], signed)
    old.release()
    assert isinstance(applied.outcomes[0], Done)
    assert applied.outcomes[0].count == len(lost) == 3
    stored = await old.reads.file_set(files.digest)
    assert stored is not None
    assert stored.whole_at is not None
    assert stored.state_of(str(OSAKA)) is HopState.HAS
    assert stored.done_at is not None
    (again,) = apply(old, stated(files, EventName.FileAccessTracking)).outcomes
    assert isinstance(again, Failed), "the list was lost too: the sender announces it again"
    assert {str(entry.receipts[0].index) for entry in await old.reads.mailbox(TOKYO, 0, 99, 1 << 20)} >= {
        str(before + number) for number in range(3)
    }
    await old.close()


async def test_a_folder_that_was_lost_is_told_to_the_operator(tmp_path: Path) -> None:
    files = Files.of(1000)
    async with file_node(tmp_path) as node:
        await node.accept(files)
        await node.bring_all(files)
        await node.store.delete(files.digest)
    async with file_node(tmp_path) as node:
        assert "files-missing" in node.log.getvalue()
        assert await node.missing(files) == set(files.segments)


async def test_one_message_whose_files_cannot_be_let_go_keeps_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = [Files.of(1000, seed=seed, expires=NOW + timedelta(days=seed + 1)) for seed in range(4)]
    async with file_node(tmp_path) as node:
        for files in several:
            await node.accept(files)
            await node.bring_all(files)
        unreadable, defect = several[0].digest, several[2].digest
        delete, faults = node.store.delete, {unreadable: UnavailableError("EIO"), defect: RuntimeError("a defect")}

        async def break_off(message: bytes) -> None:
            if message in faults:
                raise faults[message]
            await delete(message)

        monkeypatch.setattr(node.store, "delete", break_off)
        node.clock.pass_(days=40)
        for _ in range(2):
            await node.housekeeping.look(node.clock())
            assert set(await node.store.messages()) == set(faults)
        assert '"code": "unavailable"' in node.log.getvalue()
        assert "a defect" not in node.log.getvalue()
        faults.clear()
        await node.housekeeping.look(node.clock())
        assert await node.store.messages() == []
        assert (await node.names()).count("FileExpiry") == len(several)


async def test_one_message_that_cannot_be_looked_at_keeps_no_other_from_being_counted_or_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = Files.of(1000), Files.of(2 * MIB, seed=1)
    async with file_node(tmp_path) as node:
        for files in (bad, good):
            await node.accept(files)
            await node.announce(files)
    again = FileNode(tmp_path)
    held = again.store.held

    async def break_off(message: bytes) -> object:
        if message == bad.digest:
            raise UnavailableError("EIO")
        return await held(message)

    monkeypatch.setattr(again.store, "held", break_off)
    await again.open()
    try:
        assert again.holdings.expected_bytes == sum(one.list.file_set.total_bytes for one in (bad, good))
        await again.bring(good, good.segments)
        await again.housekeeping.look(again.clock())
        assert await again.names() == ["FileAcceptance"]
    finally:
        await again.close()


async def test_recipients_of_one_partner_that_come_one_after_the_other_all_stand_behind_it(tmp_path: Path) -> None:
    files = Files.of(1000)
    async with file_node(tmp_path) as node:
        for behind in (OSAKA, PARIS, PARIS):
            await node.perform(AcceptTransfer(files.message, "fr", (), NOW, {"gr": (behind,)}))
        stored = await node.database.reads.file_set(files.digest)
        assert stored is not None
        assert [(hop.party, hop.recipients, hop.state) for hop in stored.hops] == [
            ("gr", (OSAKA, PARIS), HopState.WAITS)
        ]


async def test_a_message_refused_for_one_recipient_keeps_its_files_from_no_other_behind_that_partner(
    tmp_path: Path,
) -> None:
    files = Files.of(1000)
    async with file_node(tmp_path) as node:

        async def hop(expected: HopState, *recipients: Address) -> None:
            stored = await node.database.reads.file_set(files.digest)
            assert stored is not None
            assert [(one.state, one.recipients) for one in stored.hops] == [(expected, recipients)]
            assert (stored.done_at is None) == (expected is HopState.WAITS)

        async def refuse_next() -> None:
            queued, *_ = await node.database.reads.due_outbound("gr", OutboundKind.ENVELOPE, NOW, Portion(9, MIB))
            await node.perform(RecordRefused(queued.outbound_id, "gr", ("revoked",), NOW))

        for behind in (OSAKA, PARIS):
            await node.perform(AcceptTransfer(files.message, "fr", (), NOW, {"gr": (behind,)}))
        await refuse_next()
        await hop(HopState.WAITS, PARIS)
        await refuse_next()
        await hop(HopState.GETS_NONE, PARIS)
        await node.perform(AcceptTransfer(files.message, "fr", (), NOW, {"gr": (TOKYO,)}))
        await hop(HopState.WAITS, TOKYO)


async def test_a_partner_that_has_the_files_needs_none_for_a_further_recipient(tmp_path: Path) -> None:
    files = Files.of(1000)
    async with file_node(tmp_path, retention_h=2) as node:
        await node.perform(AcceptTransfer(files.message, "fr", (), NOW, {"gr": (OSAKA,)}))
        await node.announce(files, "fr")
        await node.bring(files, files.segments, "fr")
        await node.perform(taken(files, "gr"))
        await node.perform(AcceptTransfer(files.message, "fr", (), NOW, {"gr": (PARIS,)}))
        stored = await node.database.reads.file_set(files.digest)
        assert stored is not None
        assert [(hop.state, hop.recipients) for hop in stored.hops] == [(HopState.HAS, (OSAKA, PARIS))]
        node.clock.pass_(hours=4)
        await node.housekeeping.look(node.clock())
        assert await node.store.messages() == [], "what nobody waits for does not stay until the message expires"

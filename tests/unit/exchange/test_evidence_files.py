"""Files go with messages: sealed once for each, moved in segments, opened as their sender says, or not at all."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.evidence.files import how_far
from exchange.files._download import Downloading
from exchange.files.book import FileBook
from exchange.files.given import attaching
from exchange.files.sealing import WantedFile
from exchange.files.shown import CancelledFiles
from exchange.messaging.once import under_key
from exchange.store.files import TransferState
from exchange.text.objects import files_object, tracking_object
from exchange.text.sizes import after_not_taken, ended_text, not_taken_text, share_text
from exchange.views import FilesShareAt, FileState
from keys.transport.segments import nobody_takes
from protocol.address import Address
from protocol.errors import (
    ComityError,
    ErasedError,
    FileCancelledError,
    FileGoneError,
    FileHashMismatchError,
    FileNotHereError,
    FileQuotaError,
    FileSourceChangedError,
    ForbiddenError,
    IdempotencyKeyUsedError,
    InvalidMessageError,
    NotFoundError,
    NothingOpenError,
    StorageFullError,
    UnavailableError,
    UsageError,
    WrongFileError,
)
from protocol.http.file_progress import FilesAt
from protocol.http.files import FilesShare
from tests.worlds.desks import FR, JP, NOW, ROOT, World, in_thread, request

MIB = 1 << 20


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("exchange.files._download._FOLLOWED_S", 0.05)  # nothing comes while a test waits
    return World(tmp_path, monkeypatch)


def source(world: World, name: str = "mail.pst", size: int = 3 * MIB + 17) -> Path:
    path = world.path / name
    path.write_bytes(os.urandom(size))
    return path


def example(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / f"examples/messages/{name}.json").read_text("utf-8"))
    return found


async def sent_with(desk: Any, *paths: Path, **changes: Any) -> Any:
    with attaching([WantedFile(path) for path in paths]):
        return await desk.messages.send(request(**changes))


def shelved(world: World, address: Any) -> list[Path]:
    return sorted(path for path in (world.home(address) / "files").rglob("*") if path.is_file())


async def test_a_file_arrives_as_it_was_and_both_sides_see_how_far_it_is(world: World) -> None:
    path = source(world)
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, path)
        assert (await jp.files.progress(sent.id)).state == "waiting"
        done = await jp.files.resume(sent.id)
        assert (done.state, done.bytes_moved, done.files_moved) == ("done", done.total_bytes, 1)
        await fr.messages.sync()
        (listed,) = await fr.files.listed()
        assert (listed.transfer.state, [row.here for row in listed.files]) == ("waiting", [False])
        assert (await fr.files.resume(sent.id)).state == "done"
        (listed,) = await fr.files.listed(sent.id)
        assert (listed.transfer.files_moved, [row.here for row in listed.files]) == (1, [True])


async def test_an_opened_file_is_byte_for_byte_the_senders_and_its_sender_learns_that(world: World) -> None:
    path, out = source(world), world.path / "out"
    out.mkdir()
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, path)
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        assert (await fr.files.resume(sent.id)).state == "done"
        (opened,) = await fr.files.get(sent.id, out)
        assert opened.path.read_bytes() == path.read_bytes()
        assert opened.path.stat().st_mode & 0o777 == 0o600
        assert [one.ok for one in await fr.files.verify(sent.id)] == [True]
        await fr.messages.sync()
        await jp.messages.sync()
        events = {row.event for row in await jp.messages.receipts(sent.id) if row.verified}
        assert {"FileHandover", "FileAccessTracking"} <= events
        assert [one.path for one in await fr.files.get(sent.id, out)] == [opened.path]
        opened.path.write_bytes(b"another")
        with pytest.raises(UsageError, match="already"):
            await fr.files.get(sent.id, out)
        assert opened.path.read_bytes() == b"another"
    assert not [name for name in os.listdir(out) if name.startswith(".")]


async def test_nothing_of_a_key_is_anywhere_on_the_disk_outside_of_the_sealed_database(world: World) -> None:
    path = source(world, size=1000)
    async with world.open(JP) as jp:
        draft = await jp.files.attach(request(draft_id="0192c2e4-6a77-7f31-a5e0-9c3d4b5a6e03"), [WantedFile(path)])
        assert "key" not in draft["attachments"][0]["sealed"]
        (kept,) = await in_thread(jp, jp._works.context.store.files.unsent)
        key = kept.attachment["sealed"]["key"].encode()
        sent = await jp.messages.send(draft)
        stored = await jp.messages.peek(sent.id)
        assert key.decode() in stored.model_dump_json()
        assert key.decode() not in repr(stored.attachments)
    assert not [one for one in world.home(JP).rglob("*") if one.is_file() and key in one.read_bytes()]


async def test_equal_files_of_two_messages_have_nothing_in_common_outside(world: World) -> None:
    path = source(world, size=5000)
    async with world.open(JP) as jp:
        draft = await jp.files.attach(request(), [WantedFile(path)])
        one, two = await jp.messages.send(draft), await jp.messages.send(draft)
        named = [(await jp.messages.peek(sent.id)).attachments[0].sealed for sent in (one, two)]
        assert named[0].name != named[1].name
        assert named[0].key != named[1].key
        assert len(shelved(world, JP)) == 2


async def test_each_nation_that_is_asked_gets_a_sealed_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    world = World(tmp_path, monkeypatch, "gh")
    path = source(world, size=5000)
    async with world.open(JP) as jp:
        with attaching([WantedFile(path)]):
            sent = await jp.messages.send(request(to=["24-7@fr", "24-7@gh"]), at_once=True)
        names = {(await jp.messages.peek(child.id)).attachments[0].sealed.name for child in sent.children}
        assert len(names) == 2


async def test_an_act_under_a_key_seals_and_sends_its_files_once(world: World) -> None:
    path = source(world, size=5000)
    async with world.open(JP) as jp:
        with under_key("k1"):
            first, again = await sent_with(jp, path), await sent_with(jp, path)
            assert first.id == again.id
            assert len(shelved(world, JP)) == 1
            path.write_bytes(b"another")
            with pytest.raises(IdempotencyKeyUsedError):
                await sent_with(jp, path)


async def test_what_was_sealed_before_a_crash_is_used_again_unless_the_source_changed(world: World) -> None:
    path = source(world, size=5000)
    async with world.open(JP) as jp:
        for changed, expected in ((False, 1), (False, 1), (True, 2)):
            if changed:
                path.write_bytes(b"changed")
            with pytest.raises(InvalidMessageError):
                await sent_with(jp, path, facts=None)
            assert len(shelved(world, JP)) == expected
        sent = await sent_with(jp, path)
        assert len(shelved(world, JP)) == 2
        (attachment,) = (await jp.messages.peek(sent.id)).attachments
        assert attachment.sha256 == hashlib.sha256(b"changed").hexdigest()


async def test_a_source_that_changes_while_it_is_sealed_is_refused_and_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = source(world)
    from exchange.files import sealing

    real = sealing.read_into

    def read_and_change(descriptor: int, block: memoryview) -> int:
        count = real(descriptor, block)
        with path.open("ab") as file:
            file.write(b"more")
        return count

    async with world.open(JP) as jp:
        monkeypatch.setattr(sealing, "read_into", read_and_change)
        with pytest.raises(FileSourceChangedError):
            await jp.files.attach(request(), [WantedFile(path)])
        assert shelved(world, JP) == []
        assert await jp.messages.inbox(sent=True) == []


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "device", "missing", "unreadable"])
async def test_what_is_no_file_with_an_end_is_refused_by_its_kind(world: World, kind: str) -> None:
    path = world.path / kind
    match kind:
        case "link":
            path.symlink_to(source(world))
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "device":
            path = Path("/dev/zero")
        case "unreadable":
            path = Path("/proc/self/mem")
    async with world.open(JP) as jp:
        with pytest.raises(WrongFileError if kind in {"link", "folder", "pipe", "device"} else UsageError):
            await sent_with(jp, path)
        assert shelved(world, JP) == []
        assert await jp.messages.inbox(sent=True) == []


async def test_an_empty_file_and_a_sparse_one_arrive(world: World) -> None:
    empty, sparse, out = source(world, "empty", 0), world.path / "sparse.img", world.path / "out"
    out.mkdir()
    with sparse.open("wb") as file:
        file.truncate(5 * MIB)
        file.seek(2 * MIB)
        file.write(b"x")
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, empty, sparse)
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        opened = {one.path.name: one.path.read_bytes() for one in await fr.files.get(sent.id, out)}
    assert opened == {"empty": b"", "sparse.img": sparse.read_bytes()}


async def test_files_that_are_resumed_bring_the_node_their_message_first(world: World) -> None:
    path = source(world)
    async with world.open(JP) as jp:
        world.nodes["jp"].down = True
        sent = await sent_with(jp, path)
        assert (sent.status, (await jp.files.resume(sent.id)).state) == ("queued", "waiting")
        world.nodes["jp"].down = False
        assert (await jp.files.resume(sent.id)).state == "done"
        assert (await jp.messages.sync()).submitted == ()


async def test_an_upload_that_breaks_off_goes_on_where_it_was(world: World) -> None:
    path = source(world, size=6 * MIB)
    async with world.open(JP) as jp:
        sent = await sent_with(jp, path)
        world.files.break_after = 4
        held_up = await jp.files.resume(sent.id)
        assert (held_up.state, held_up.error) == ("held_up", "unavailable")
        world.files.break_after = None
        done = await jp.files.resume(sent.id)
        assert done.state == "done"
    moved = sum(size for call, size in world.files.requests if call == "segments")
    assert moved <= done.total_bytes + 3 * MIB  # a segment for each request that was under way


async def test_a_download_that_breaks_off_goes_on_and_trusts_nothing_that_it_did_not_verify(world: World) -> None:
    path, out = source(world, size=6 * MIB), world.path / "out"
    out.mkdir()
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, path)
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        world.files.break_after = 4
        assert (await fr.files.resume(sent.id)).state == "held_up"
        world.files.break_after = None
        (part,) = [one for one in shelved(world, FR) if one.suffix == ".part"]
        with part.open("r+b") as file:
            file.write(b"damaged by the disk")
        assert (await fr.files.resume(sent.id)).state == "done"
        (opened,) = await fr.files.get(sent.id, out)
        assert opened.path.read_bytes() == path.read_bytes()


async def test_a_node_that_alters_a_segment_brings_nothing_of_it_in(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world))
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        world.files.spoil = True
        refused = await fr.files.resume(sent.id)
        assert (refused.state, refused.error) == ("failed", "file-altered")
        with pytest.raises(FileNotHereError):
            await fr.files.get(sent.id, world.path / "out")
        world.files.spoil = False
        assert (await fr.files.resume(sent.id)).state == "done"


async def test_files_that_have_not_arrived_are_waited_for_and_fetched_as_they_come(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world), source(world, "b.txt", 100))
        await fr.messages.sync()
        assert (await fr.files.resume(sent.id)).state == "held_up"  # the node knows nothing of them yet
        await jp.files.resume(sent.id)
        world.files.hidden = {(0, 0), (1, 0)}
        assert (await fr.files.resume(sent.id)).state == "held_up"
        world.files.hidden = set()
        assert (await fr.files.resume(sent.id)).state == "done"


async def test_a_node_that_says_what_it_holds_and_never_gives_it_is_not_asked_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, asked = Downloading._held, 0

    async def holding_back(self: Downloading, coming: Any, wanted: Any, took: Any = nobody_takes) -> Any:
        nonlocal asked
        asked += 1
        assert asked < 100
        return await honest(self, coming, wanted, nobody_takes)

    monkeypatch.setattr("exchange.files._download._FOLLOWED_S", 0.1)
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world))
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        with monkeypatch.context() as patch:
            patch.setattr(Downloading, "_held", holding_back)
            held_up = await fr.files.resume(sent.id)
        assert (held_up.state, held_up.error) == ("held_up", "file-not-here")
        assert (await fr.files.resume(sent.id)).state == "done"


async def test_a_quota_holds_an_upload_up_and_says_so(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await sent_with(jp, source(world, size=10))
        world.files.refuse = FileQuotaError("too much is in transit")
        held_up = await jp.files.resume(sent.id)
        assert (held_up.state, held_up.error, held_up.why) == ("held_up", "file-quota", "too much is in transit")


async def test_a_message_never_waits_for_its_files(world: World) -> None:
    world.files.refuse = FileQuotaError("full")
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world, size=10))
        assert sent.status == "submitted"
        await fr.messages.sync()
        assert (await fr.messages.read(sent.id)).message.id == sent.id


async def test_erasing_a_case_destroys_the_keys_and_the_sealed_files(world: World) -> None:
    path = source(world, size=2000)
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, path)
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        await fr.files.resume(sent.id)
        for desk, address in ((jp, JP), (fr, FR)):
            assert shelved(world, address)
            await desk.office.erase_case(sent.thread, "ordered")
            assert shelved(world, address) == []
            assert (await desk.files.progress(sent.id)).state == "gone"
            with pytest.raises((ErasedError, NotFoundError)):
                await desk.files.verify(sent.id)


async def test_a_file_that_is_cancelled_is_let_go_and_moves_no_more(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world, size=2000))
        await jp.files.resume(sent.id)
        assert await jp.files.cancel(sent.id) == CancelledFiles(1)
        assert await jp.files.unfinished() == []
        await fr.messages.sync()
        assert await fr.files.cancel(sent.id) == CancelledFiles(None)
        assert await fr.files.turn() is None


async def test_files_cancelled_while_the_node_is_away_are_taken_back_when_it_is_there_again(world: World) -> None:
    async with world.open(JP) as jp:
        several = [await sent_with(jp, source(world, f"{number}.bin", 2000)) for number in range(3)]
        await jp.files.resume(several[0].id)
        world.nodes["jp"].down = True
        for sent in several:
            assert await jp.files.cancel(sent.id) == CancelledFiles(None, "unavailable")
            assert (await jp.files.progress(sent.id)).state == "cancelling"
            with pytest.raises(NothingOpenError):
                await jp.files.cancel(sent.id)
        assert await jp.files.unfinished() == [], "nothing more of it is sent"
        with pytest.raises(UnavailableError):
            await jp.messages.sync()
    world.nodes["jp"].down = False
    async with world.open(JP) as jp:  # another program, later
        assert (await jp.files.resume(several[2].id)).state == "done", "an officer thought better of it"
        await jp.messages.sync()
        states = [(await jp.files.progress(sent.id)).state for sent in several]
        assert states == ["cancelled", "cancelled", "done"]
        assert [call for call, _ in world.files.requests if call == "cancel"] == ["cancel"] * 2
        await jp.messages.sync()
        assert [call for call, _ in world.files.requests if call == "cancel"] == ["cancel"] * 2, "it is told once"


async def test_a_cancel_that_the_node_refuses_for_good_changes_nothing(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await sent_with(jp, source(world, size=2000))
        await jp.files.resume(sent.id)
        world.files.refuse = ForbiddenError("not you")
        with pytest.raises(ForbiddenError):
            await jp.files.cancel(sent.id)
        assert (await jp.files.progress(sent.id)).state == "done"
        world.files.refuse = UnavailableError("away")
        assert (await jp.files.cancel(sent.id)).not_asked == "unavailable"
        world.files.refuse = ForbiddenError("not you")
        assert await jp.files.turn() is None
        refused = await jp.files.progress(sent.id)
        assert (refused.state, refused.error) == ("failed", "forbidden"), "and it is not asked for ever"


async def test_a_transfer_that_is_moved_does_not_forget_that_it_was_cancelled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.files._moving._NOTE_EVERY_S", 0.0)
    async with world.open(JP) as jp, world.open(JP) as other:
        sent = await sent_with(jp, source(world, size=4 * MIB))
        moved = world.files.put

        def cancelled_meanwhile(*of: Any) -> Any:
            kept = in_store(other, lambda files: files.transfer(sent.id))
            in_store(other, lambda files: files.note(kept.at_state(TransferState.CANCELLING, NOW)))
            world.files.put = moved  # type: ignore[method-assign]
            return moved(*of)

        def in_store(desk: Any, work: Any) -> Any:
            store = desk._works.context.store
            with store.database.transaction():
                return work(store.files)

        monkeypatch.setattr(world.files, "put", cancelled_meanwhile)
        await jp.files.resume(sent.id)
        assert (await jp.files.progress(sent.id)).state == "cancelling"


async def test_files_of_a_message_that_never_left_are_cancelled_without_the_node(world: World) -> None:
    world.nodes["jp"].down = True
    async with world.open(JP) as jp:
        sent = await sent_with(jp, source(world, size=2000))
        assert sent.status == "queued"
        assert await jp.files.cancel(sent.id) == CancelledFiles(0)
        assert (await jp.files.progress(sent.id)).state == "cancelled"


async def test_a_full_disk_at_the_desk_is_named_before_anything_is_sealed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.files.shelf.RESERVE_BYTES", 1 << 60)
    async with world.open(JP) as jp:
        with pytest.raises(StorageFullError):
            await sent_with(jp, source(world, size=10))
        assert shelved(world, JP) == []


async def test_a_thousand_files_go_with_one_message(world: World) -> None:
    folder, out = world.path / "many", world.path / "out"
    folder.mkdir(), out.mkdir()
    paths = [folder / f"{number:04}.txt" for number in range(1000)]
    for path in paths:
        path.write_bytes(path.name.encode() * 3)
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, *paths)
        done = await jp.files.resume(sent.id)
        assert (done.state, done.files) == ("done", 1000)
        await fr.messages.sync()
        assert (await fr.files.resume(sent.id)).state == "done"
        opened = await fr.files.get(sent.id, out)
        assert {one.path.name: one.path.read_bytes() for one in opened} == {p.name: p.read_bytes() for p in paths}


async def test_two_programs_move_the_same_files_and_nothing_is_lost(world: World) -> None:
    async with world.open(JP) as jp, world.open(JP) as other:
        sent = await sent_with(jp, source(world, size=4 * MIB))
        outcomes = await asyncio.gather(jp.files.resume(sent.id), other.files.resume(sent.id), return_exceptions=True)
        assert (await jp.files.progress(sent.id)).state == "done"
        assert any(getattr(one, "state", None) == "done" for one in outcomes)


async def test_what_a_killed_program_left_on_the_shelf_goes_when_the_next_seals(world: World) -> None:
    async with world.open(JP) as jp:
        await sent_with(jp, source(world, size=100))
        left = world.home(JP) / "files" / "out" / ("ab" * 16 + ".part")
        left.write_bytes(b"half")
        await sent_with(jp, source(world, "b.txt", size=100))
        assert not left.exists()
        assert len(shelved(world, JP)) == 2


async def test_a_dropped_draft_takes_the_keys_of_its_files_with_it(world: World) -> None:
    async with world.open(JP) as jp:
        draft = await jp.files.attach(
            request(draft_id="0192c2e4-6a77-7f31-a5e0-9c3d4b5a6e03"), [WantedFile(source(world))]
        )
        kept = await jp.messages.save_draft(draft)
        await jp.office.drop_draft(str(kept.id))
        assert await in_thread(jp, jp._works.context.store.files.unsent) == []
        with pytest.raises(FileNotHereError):
            await jp.messages.send({name: value for name, value in draft.items() if name != "draft_id"})


async def test_listed_and_not_received_is_due_until_it_is_here(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world, size=100))
        await fr.messages.sync()
        assert not [item for item in await fr.cases.agenda() if item.what == "files"]
        world.clock.advance(minutes=11)
        (item,) = [item for item in await fr.cases.agenda() if item.what == "files"]
        assert (item.kind, item.owes, item.late) == ("target", "24-7@jp", False)
        assert [item.what for item in await jp.cases.agenda() if item.what == "files_sent"] == ["files_sent"]
        await jp.files.resume(sent.id)
        await fr.files.resume(sent.id)
        for desk in (jp, fr):
            assert not [item for item in await desk.cases.agenda() if item.what.startswith("files")]


async def test_a_file_that_was_opened_before_another_was_refused_counts_as_opened(world: World) -> None:
    out = world.path / "out"
    out.mkdir()
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world, size=100), source(world, "b", 10))
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        await fr.files.resume(sent.id)
        (listed,) = await fr.files.listed(sent.id)
        first, second = (row.name for row in listed.files)
        (out / second).write_bytes(b"another")
        with pytest.raises(UsageError):
            await fr.files.get(sent.id, out)
        assert (out / first).exists()
        (listed,) = await fr.files.listed(sent.id)
        assert [row.opened for row in listed.files] == [True, False]


async def test_tracking_shows_the_files_at_each_hop(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world, size=100), source(world, "b", 10))
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        await fr.files.resume(sent.id)
        await fr.messages.sync()
        await jp.messages.sync()
        tracked = await jp.files.tracking(sent.id)
        assert [(hop.node, hop.event, hop.files, hop.of) for hop in tracked.hops] == [("fr", "FileHandover", 2, 2)]
        assert tracked.transfer.state == "done"


async def test_a_message_is_passed_on_with_its_files_under_their_own_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch, "gh")
    path, out, ghana = source(world, size=5000), world.path / "out", Address.parse("24-7@gh")
    out.mkdir()
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(ghana) as gh:
        information = {**example("information.spontaneous"), "to": ["24-7@fr"], "stage": "disclosure", "facts": "Some."}
        information |= {"authorisation": example("answer")["authorisation"], "conditions": []}
        information["handling"] = {"tlp": "GREEN", "grade": information["handling"]["grade"]}
        del information["commitment"]
        with attaching([WantedFile(path)]):
            sent = await jp.messages.send(information)
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        with pytest.raises(FileNotHereError):
            await fr.messages.forward(sent.id, [ghana], "For your case.")
        await fr.files.resume(sent.id)
        forwarded = await fr.messages.forward(sent.id, [ghana], "For your case.")
        assert (await fr.files.resume(forwarded.id)).state == "done"
        await gh.messages.sync()
        (opened,) = await gh.files.get(forwarded.id, out)
        assert opened.path.read_bytes() == path.read_bytes()
        named = [(await desk.messages.peek(one.id)).attachments[0] for desk, one in ((jp, sent), (gh, forwarded))]
        assert named[0] == named[1]
        await fr.office.erase_case(sent.thread, "ordered")  # what was passed on is another case's
        assert [one.ok for one in await fr.files.verify(forwarded.id)] == [True]


async def test_an_answer_that_could_not_wait_is_followed_by_its_files(world: World) -> None:
    answer = example("answer")
    path, out = source(world, "mailbox.zip", 4000), world.path / "out"
    out.mkdir()
    async with world.open(JP) as jp, world.open(FR) as fr:
        asked = await jp.messages.send(example("assistance.request"))
        await fr.messages.sync()
        left = ("type", "to", "thread", "in_reply_to", "peer_reference")
        told = {name: value for name, value in answer.items() if name not in left}
        (item,) = [one for one in answer["items"] if one["item"] == "i1"]
        told["items"] = [{name: value for name, value in item.items() if name != "conditions"}]
        del told["remaining"]
        answered = await fr.replies.reply(asked.id, "answer", **told)
        with attaching([WantedFile(path)]):
            followed = await fr.replies.supplement(answered.id, text="The mailbox.")
        assert (await fr.files.resume(followed.id)).state == "done"
        await jp.messages.sync()
        supplement = await jp.messages.peek(followed.id)
        original = await jp.messages.peek(answered.id)
        assert (supplement.supplements, supplement.authorisation) == (answered.id, original.authorisation)
        (opened,) = await jp.files.get(followed.id, out)
        assert opened.path.read_bytes() == path.read_bytes()


async def test_a_case_that_is_erased_while_its_files_come_leaves_nothing_of_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.files._moving._NOTE_EVERY_S", 0.0)
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world, size=6 * MIB))
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        begun = asyncio.Event()
        fetching = asyncio.create_task(fr.files.resume(sent.id, lambda progress: begun.set()))
        await begun.wait()
        await fr.office.erase_case(sent.thread, "ordered")
        await fetching
        assert (await fr.files.progress(sent.id)).state == "gone"
        assert [path for path in shelved(world, FR) if not path.name.startswith(".")] == []


async def test_a_case_that_is_erased_while_its_files_go_out_sends_no_more_of_them_and_keeps_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.files._moving._NOTE_EVERY_S", 0.0)
    async with world.open(JP) as jp:
        sent = await sent_with(jp, source(world, size=6 * MIB))
        begun = asyncio.Event()
        sending = asyncio.create_task(jp.files.resume(sent.id, lambda progress: begun.set()))
        await begun.wait()
        await jp.office.erase_case(sent.thread, "ordered")
        await sending
        assert (await jp.files.progress(sent.id)).state == "gone"
        assert [path for path in shelved(world, JP) if not path.name.startswith(".")] == []
        asked = len(world.files.requests)
        assert await jp.files.turn() is None
        assert (await jp.files.resume(sent.id)).state == "gone"
        assert len(world.files.requests) == asked


async def test_who_sealed_opened_and_cancelled_files_is_in_the_processing_log(world: World) -> None:
    out = world.path / "out"
    out.mkdir()
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world, size=100))
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        await fr.files.get(sent.id, out)
        await jp.files.cancel(sent.id)
        acts = [[record.act for _, record in await desk.office.records()] for desk in (jp, fr)]
    assert {"files.seal", "files.cancel"} <= {*acts[0]}
    assert "files.get" in acts[1]


async def test_a_message_that_is_sent_anew_gets_sealed_files_of_its_own(world: World) -> None:
    path = source(world, size=2000)
    async with world.open(JP) as jp:
        sent = await sent_with(jp, path)
        whole = json.loads((await jp.messages.show(sent.id)).content)
        again = {name: whole[name] for name in request() if name in whole} | {"attachments": whole["attachments"]}
        anew = await jp.messages.send(again)
        named = [(await jp.messages.peek(one.id)).attachments[0] for one in (sent, anew)]
        assert named[0].sha256 == named[1].sha256
        assert named[0].sealed.name != named[1].sealed.name
        assert named[0].sealed.key != named[1].sealed.key


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
async def test_a_disk_that_takes_nothing_holds_a_fetch_up_and_leaves_no_opened_file(
    world: World, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    out = world.path / "out"
    out.mkdir()

    def full(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world, size=2 * MIB))
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        with monkeypatch.context() as patched:
            patched.setattr("exchange.files._arriving.os.pwrite", full)
            held_up = await fr.files.resume(sent.id)
        assert (held_up.state, held_up.error) == ("held_up", "storage-full")
        assert (await fr.files.resume(sent.id)).state == "done"
        with monkeypatch.context() as patched:
            patched.setattr("exchange.files.opening.os.fsync", full)
            with pytest.raises(StorageFullError):
                await fr.files.get(sent.id, out)
        assert os.listdir(out) == []
        assert len(await fr.files.get(sent.id, out)) == 1


def told(share: FilesShareAt) -> str:
    return share_text(share, share.at or NOW)


async def test_tracking_shows_the_share_at_each_hop_as_its_node_says(world: World) -> None:
    path = source(world)
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, path)
        await jp.files.resume(sent.id)
        total = (await jp.files.progress(sent.id)).total_bytes
        world.files.beyond = (
            FilesAt("fr", "jp", total * 62 // 100, 0, world.clock(), 1 << 20),
            FilesAt(str(FR), "fr"),
        )
        tracked = await jp.files.tracking(sent.id)
        assert tracked is not None
        assert tracked.not_asked is None
        own, at_fr, desk = tracked.shares
        assert (own.party, own.percent, told(own)) == ("jp", 100, "all files")
        assert (at_fr.party, at_fr.behind, at_fr.percent) == ("fr", "jp", 61)
        assert told(at_fr) == "61 %, 1.0 MB a second, 1 s left; it goes on by itself"
        assert told(desk) == "not known"
        (listed,) = await jp.files.listed(ask=True)
        assert listed.shares == tracked.shares
        assert files_object(listed)["shares"][1]["percent"] == 61
        (known,) = await jp.files.listed()
        assert known.shares == (), "who does not ask is told of this desk alone"
        await fr.messages.sync()
        await fr.files.resume(sent.id)
        await jp.messages.sync()
        world.files.requests.clear()
        done = await jp.files.tracking(sent.id)
        assert done is not None
        assert done.shares == ()
        assert world.files.requests == [], "what is proved is not asked for"


async def test_a_node_that_is_away_or_hangs_neither_delays_nor_fails_tracking(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.files._beyond._PATIENCE_S", 0.01)
    path = source(world, size=1000)
    async with world.open(JP) as jp:
        sent = await sent_with(jp, path)
        queued = await jp.files.tracking(sent.id, ask=False)
        assert queued is not None
        assert queued.shares == ()
        await jp.files.resume(sent.id)
        world.files.refuse = UnavailableError("away")
        tracked = await jp.files.tracking(sent.id)
        assert tracked is not None
        assert (tracked.shares, tracked.not_asked) == ((), "unavailable")
        world.files.refuse = None

        async def hang(*_: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(jp._works.link, "ask", hang)
        tracked = await jp.files.tracking(sent.id)
        assert tracked is not None
        assert (tracked.shares, tracked.not_asked) == ((), "unavailable")


def test_an_old_share_is_said_to_be_not_known_since_then() -> None:
    share = FilesShareAt("fr", "jp", 62, 100, 62, 0, NOW, 5, 7.6, None)
    assert "not known since" in share_text(share, NOW + timedelta(minutes=5))
    assert "62 %" in share_text(share, NOW + timedelta(minutes=5))
    ends = [ended_text(code) for code in ("cancelled", "forgotten", "gone-before", "expired-unfetched", "deleted", "x")]
    assert len(set(ends)) == len(ends)
    assert [end for end in ends if "sender" in end] == [ended_text("cancelled")]


async def test_a_recipient_sees_how_much_its_node_has_and_tells_it_how_much_the_desk_has(world: World) -> None:
    path = source(world)
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, path)
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        world.files.hidden = {(0, 0), (0, 1)}
        (listed,) = await fr.files.listed(sent.id, ask=True)
        (share,) = listed.shares
        assert (share.party, share.behind) == ("fr", None)
        assert share.bytes == share.of - 2 * MIB
        await fr.files.resume(sent.id)
        assert world.files.told[-1] == FilesShare(share.bytes, 0)
        world.files.hidden = set()
        done = await fr.files.resume(sent.id)
        assert done.state == "done"
        tracked = await fr.files.tracking(sent.id)
        assert tracked is not None
        assert tracked.shares == ()


@pytest.mark.parametrize(
    ("refusal", "shown", "due"),
    [
        (FileCancelledError("the sender took these files back"), "cancelled by the sender", False),
        (FileGoneError("these files were let go here: their time passed"), "given up", True),
    ],
)
async def test_a_recipient_is_told_whether_the_sender_cancelled_or_the_files_are_gone(
    world: World, refusal: ComityError, shown: str, due: bool
) -> None:
    path = source(world)
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, path)
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        world.files.refuse = refusal
        (listed,) = await fr.files.listed(sent.id, ask=True)
        assert listed.shares[0].end == refusal.code
        after = await fr.files.resume(sent.id)
        assert (after.state, after.error) == ("failed", refusal.code)
        assert how_far(after).startswith(shown)
        items = [item.what for item in await fr.cases.agenda()]
        assert ("files" in items) == due


async def not_taken(jp: Any, message: Any) -> list[tuple[str, tuple[str, ...]]]:
    """What the sender learns of desks that could not take its files, and that it has something to do."""
    await jp.messages.sync()
    tracked = await jp.files.tracking(message, ask=False)
    assert tracked is not None
    due = [item.thread for item in await jp.cases.agenda() if item.what == "files_not_taken"]
    assert (tracked.transfer.thread in due) == bool(tracked.not_taken)
    for one in tracking_object(await jp.messages.track(message), tracked)["files"]["not_taken"]:
        assert all(one["cause"])
        assert all(one["next"])
    return [(one.recipient, one.reasons) for one in tracked.not_taken]


async def test_a_sender_learns_that_a_disk_stays_full_and_no_more_when_the_files_were_taken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world, size=2 * MIB))
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        with monkeypatch.context() as full:
            full.setattr("exchange.files.shelf.RESERVE_BYTES", 1 << 60)
            await fr.files.resume(sent.id)
            assert await not_taken(jp, sent.id) == [], "once may be a moment"
            for _ in range(3):
                held_up = await fr.files.resume(sent.id)
            assert (held_up.state, held_up.error) == ("held_up", "storage-full")
        assert await not_taken(jp, sent.id) == [(str(FR), ("storage-full",))]
        stated = [raw for raw in world.nodes["fr"].stated if "FileHandoverFailure" in raw]
        assert len(stated) == 1
        assert (await fr.files.resume(sent.id)).state == "done"
        assert await not_taken(jp, sent.id) == []


async def test_a_sender_learns_that_its_files_were_erased_before_they_were_taken(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        taken, left = [await sent_with(jp, source(world, f"{number}.bin", 2000)) for number in range(2)]
        await fr.messages.sync()
        for sent in (taken, left):
            await jp.files.resume(sent.id)
        await fr.files.resume(taken.id)
        for sent in (taken, left):
            await fr.office.erase_case(sent.thread, "ordered")
        await fr.messages.sync()
        assert await not_taken(jp, taken.id) == []
        assert await not_taken(jp, left.id) == [(str(FR), ("erased",))]


@pytest.mark.parametrize("act", ["get", "verify"])
async def test_a_sender_learns_that_its_file_is_not_the_one_that_its_message_states_however_that_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    out = world.path / "out"
    out.mkdir()
    honest, lie = FileBook.with_keys, hashlib.sha256(b"another file").hexdigest()

    def lying(self: FileBook, draft: Any) -> dict[str, Any]:
        said = honest(self, draft)
        return {**said, "attachments": [{**one, "sha256": lie} for one in said["attachments"]]}

    async with world.open(JP) as jp, world.open(FR) as fr:
        with monkeypatch.context() as patched:
            patched.setattr(FileBook, "with_keys", lying)
            sent = await sent_with(jp, source(world, size=2000))
        await jp.files.resume(sent.id)
        await fr.messages.sync()
        await fr.files.resume(sent.id)
        if act == "get":
            with pytest.raises(FileHashMismatchError):
                await fr.files.get(sent.id, out)
        else:
            assert [one.code for one in await fr.files.verify(sent.id)] == ["file-hash-mismatch"]
            (listed,) = await fr.files.listed(sent.id)
            assert [row.state for row in listed.files] == [FileState.QUARANTINED]
        assert await not_taken(jp, sent.id) == [(str(FR), ("file-hash-mismatch",))]


def test_every_reason_of_a_desk_has_its_cause_and_its_next_step_and_unknown_ones_are_no_promise() -> None:
    reasons = ["storage-full", "file-by-hash-only", "erased", "file-hash-mismatch", "file-key-mismatch", "made-up"]
    assert all(not_taken_text(code) and after_not_taken(code) for code in reasons)
    assert after_not_taken("made-up") == "call the office"

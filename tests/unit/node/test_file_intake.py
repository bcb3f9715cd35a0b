"""Files come to a node: announced first, no byte more than that, durable before it is said, from one party alone."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from node.files.folder import FolderStore
from node.files.inspection import files_in_transit
from node.files.store import SegmentObject
from node.operations.inspection import open_inspection
from node.settings import NodeHome
from node.store.operations import AcceptTransfer
from protocol.errors import (
    ComityError,
    ExpiredError,
    FileAlteredError,
    FileGoneError,
    FileNotReservedError,
    FileNotSupportedError,
    FileQuotaError,
    FileSetMismatchError,
    FileUnknownError,
    NotFoundError,
    StorageFullError,
)
from protocol.files.file_list import FileList, encode_list
from protocol.files.logged import LARGE_FILE_BYTES, whole_set
from protocol.files.sealed_file import Segment
from protocol.http.files import FilesAnnounced, FilesWanted, SegmentSent, SegmentsWanted
from tests.conformance.store import NOW, OSAKA, PARIS, TOKYO
from tests.worlds.file_node import SENDER, FileNode, Files, file_node
from tests.worlds.parcels import MIB, sealed_sample


class SmallStore(FolderStore):
    """A folder on a disk with so much room, which breaks off when told to."""

    def __init__(self, path: Path, room: int) -> None:
        super().__init__(path)
        self.left = room
        self.broken: ComityError | None = None

    async def room(self) -> int | None:
        return self.left

    async def put(self, message: bytes, segments: Sequence[SegmentObject]) -> None:
        if self.broken is not None:
            raise self.broken
        await super().put(message, segments)
        self.left -= sum(segment.size_bytes for segment in segments)


async def code_of(refused: object) -> str:
    try:
        await refused  # type: ignore[misc]
    except ComityError as problem:
        return problem.code
    return ""


async def test_nothing_is_kept_of_what_was_not_announced(tmp_path: Path) -> None:
    files, other = Files.of(1000), Files.of(2000)
    async with file_node(tmp_path) as node:
        with pytest.raises(FileUnknownError):
            await node.announce(files)  # its message was never accepted
        await node.accept(files)
        with pytest.raises(FileNotReservedError):
            await node.bring(files, files.segments)
        with pytest.raises(FileSetMismatchError):
            await node.intake.announce(FilesAnnounced(files.digest, other.announced.file_list), SENDER)
        await node.announce(files)
        beyond = Segment(1, (), bytes(10))
        for sent in (SegmentSent(0, beyond), SegmentSent(7, files.segments[0, 0])):
            (verdict,) = await node.intake.take(files.digest, [sent], SENDER)
            assert isinstance(verdict, FileUnknownError)
        assert await node.store.held(files.digest) == {}


async def test_a_segment_of_another_file_or_place_or_with_a_changed_bit_is_refused_alone(tmp_path: Path) -> None:
    files, other = Files.of(3 * MIB), Files.of(3 * MIB, seed=9)
    good, neighbour = files.segments[0, 0], files.segments[0, 1]
    changed = bytearray(good.data)
    changed[500] ^= 1
    wrong = [
        other.segments[0, 0],
        replace(neighbour, index=0),
        replace(good, data=bytes(changed)),
        replace(good, path=good.path[:-1]),
        replace(good, path=(*good.path, bytes(32))),
        replace(good, data=good.data[:-1]),
        replace(good, data=bytes(good.data) + b"\0"),
    ]
    async with file_node(tmp_path) as node:
        await node.accept(files)
        await node.announce(files)
        sent = [*(SegmentSent(0, one) for one in wrong), SegmentSent(0, neighbour)]
        *refused, taken = await node.intake.take(files.digest, sent, SENDER)
        assert [type(one) for one in refused] == [FileAlteredError] * len(wrong)
        assert taken is None
        assert await node.store.held(files.digest) == {files.list.names[0]: [1]}


async def test_files_come_from_the_party_that_brought_the_message_alone(tmp_path: Path) -> None:
    files = Files.of(1000)
    async with file_node(tmp_path) as node:
        await node.perform(AcceptTransfer(files.message, "fr", (TOKYO,), NOW))
        for stranger in (SENDER, str(OSAKA), "gh"):
            asked = [
                node.announce(files, stranger),
                node.bring(files, files.segments, stranger),
                node.intake.cancel(files.digest, stranger),
            ]
            assert [await code_of(one) for one in asked] == ["file-unknown"] * 3
        await node.announce(files, "fr")
        assert await code_of(node.bring(files, files.segments, "gh")) == "file-unknown"
        assert await node.bring(files, files.segments, "fr") == [None]
        assert await node.names() == ["FileRelayAcceptance", "FileConsignment"]


async def test_files_go_to_those_who_are_to_get_them_from_here_and_a_digest_seen_in_a_log_opens_nothing(
    tmp_path: Path,
) -> None:
    files, never = Files.of(1000), Files.of(500)
    wanted = FilesWanted(files.digest, (SegmentsWanted(0, 0, 5),))
    async with file_node(tmp_path) as node:
        await node.accept(files, local=(OSAKA,), partners=("fr",))
        await node.accept(never)
        await node.bring_all(files)
        for party in (str(OSAKA), "fr"):
            held = await node.serving.fetch(wanted, party)
            assert [(one.file, one.segment) for one in held.segments] == [(0, files.segments[0, 0])]
            assert held.held == (((0, 1),),)
        answers = []
        for party, digest in (
            (SENDER, files.digest),
            ("gh", files.digest),
            (str(PARIS), files.digest),
            ("fr", bytes(32)),
        ):
            with pytest.raises(NotFoundError) as refused:
                await node.serving.fetch(FilesWanted(digest, wanted.wanted), party)
            answers.append((refused.value.code, refused.value.detail))
        assert len(set(answers)) == 1, "a message that is known and one that is not are told alike"
        assert await code_of(node.serving.fetch(FilesWanted(never.digest), "fr")) == "file-not-here"


async def test_room_is_reserved_before_the_first_byte_and_counted_once_for_all_senders(tmp_path: Path) -> None:
    one, two, three = Files.of(2 * MIB), Files.of(2 * MIB, seed=3), Files.of(1000)
    store = SmallStore(tmp_path / "files", 5 * MIB)
    async with file_node(tmp_path, store, reserve_bytes=MIB) as node:
        for files in (one, two, three):
            await node.accept(files)
        taken = await asyncio.gather(*(code_of(node.announce(files)) for files in (one, two)))
        assert sorted(taken) == ["", "storage-full"], "two at once do not get the same room"
        assert await code_of(node.announce(three)) == "", "a smaller one still finds room"
        first = one if taken[0] == "" else two
        await node.bring(first, first.segments)
        assert await code_of(node.announce(first)) == "", "a repeat needs no room"
        assert await node.store.messages() == [first.digest]


async def test_room_of_a_sender_that_brings_nothing_is_given_to_others(tmp_path: Path) -> None:
    idle, other = Files.of(3 * MIB), Files.of(3 * MIB, seed=3)
    store = SmallStore(tmp_path / "files", 5 * MIB)
    async with file_node(tmp_path, store, reserved_h=2) as node:
        for files in (idle, other):
            await node.accept(files)
        await node.announce(idle)
        assert await code_of(node.announce(other)) == "storage-full"
        node.clock.pass_(hours=3)
        await node.announce(other)
        assert await code_of(node.bring(idle, list(idle.segments)[:1])) == "storage-full", "it is told so, and clearly"
        assert await code_of(node.announce(idle)) == "storage-full"
        store.left += 2 * MIB
        assert await node.bring(idle, list(idle.segments)[:1]) == [None], "it may come as soon as there is room again"
        assert node.holdings.expected_bytes > 5 * MIB, "and then its room is reserved again"


async def test_quota_of_files_that_do_not_come_is_given_back_and_kept_by_those_that_do(tmp_path: Path) -> None:
    idle, moving, other = (Files.of(3 * MIB, seed=seed) for seed in (0, 3, 6))
    sizes = [files.list.file_set.total_bytes for files in (idle, moving, other)]
    async with file_node(tmp_path, reserved_h=2, desk_quota_bytes=sum(sizes) - 1) as node:
        for files in (idle, moving, other):
            await node.accept(files)
        await node.announce(idle)
        await node.announce(moving)
        for index in range(2):
            assert await code_of(node.announce(other)) == "file-quota"
            node.clock.pass_(hours=1)
            assert await node.bring(moving, [(0, index)]) == [None], "it goes on, and keeps what it reserved"
        await node.announce(other)
        assert await code_of(node.announce(idle)) == "file-quota"
        assert await code_of(node.bring(idle, [(0, 0)])) == "file-quota"
        await node.intake.cancel(other.digest, SENDER)
        assert await node.missing(idle) == set(idle.segments), "reserved again, from its beginning"
        assert await code_of(node.announce(other)) == "file-cancelled"


async def test_two_that_resume_at_once_do_not_both_get_the_last_quota(tmp_path: Path) -> None:
    first, second = Files.of(3 * MIB), Files.of(3 * MIB, seed=3)
    total = first.list.file_set.total_bytes
    async with file_node(tmp_path, reserved_h=2, desk_quota_bytes=total) as node:
        await node.accept(first)
        await node.announce(first)
        node.clock.pass_(hours=3)
        await node.accept(second)
        await node.announce(second)
        node.clock.pass_(hours=3)
        both = await asyncio.gather(*(code_of(node.announce(files)) for files in (first, second)))
        assert sorted(both) == ["", "file-quota"]


async def test_what_lies_here_counts_although_the_rest_of_it_does_not_come(tmp_path: Path) -> None:
    idle, other = Files.of(3 * MIB), Files.of(3 * MIB, seed=3)
    total = idle.list.file_set.total_bytes
    async with file_node(tmp_path, reserved_h=2, desk_quota_bytes=total + MIB - 1) as node:
        for files in (idle, other):
            await node.accept(files)
        await node.announce(idle)
        await node.bring(idle, [(0, 0)])
        node.clock.pass_(hours=3)
        assert await code_of(node.announce(other)) == "file-quota"


async def test_a_restart_gives_a_reservation_no_more_time_and_takes_none_from_files_that_come(tmp_path: Path) -> None:
    idle, moving = Files.of(3 * MIB), Files.of(3 * MIB, seed=3)
    async with file_node(tmp_path, reserved_h=4) as node:
        for files in (idle, moving):
            await node.accept(files)
            await node.announce(files)
        node.clock.pass_(hours=3)
        await node.bring(moving, [(0, 0)])
        await node.housekeeping.look(node.clock())
        now = node.clock.now
    again = FileNode(tmp_path, reserved_h=4)
    again.clock.now = now + timedelta(hours=2)
    await again.open()
    try:
        assert [again.holdings.lapsed(files.digest) for files in (idle, moving)] == [True, False]
        assert again.holdings.unclaimed_bytes(SENDER) == idle.list.file_set.total_bytes
    finally:
        await again.close()


async def test_the_operator_sees_of_which_files_no_room_is_reserved_any_more(tmp_path: Path) -> None:
    idle, whole, unannounced = Files.of(3 * MIB), Files.of(MIB, seed=3), Files.of(MIB, seed=4)
    async with file_node(tmp_path, reserved_h=4) as node:
        for files in (idle, whole, unannounced):
            await node.accept(files)
        for files in (idle, whole):
            await node.announce(files)
        await node.bring(whole, whole.segments)
        begun = node.clock()
        async with open_inspection(tmp_path / "node.db") as inspection:
            found = await files_in_transit(inspection, node.context.node.settings, NodeHome(tmp_path))
    told = {one.digest: [one.lapsed(begun + timedelta(hours=hours)) for hours in (3, 5)] for one in found}
    assert told[idle.digest.hex()] == [False, True]
    assert told[whole.digest.hex()] == told[unannounced.digest.hex()] == [False, False]


async def test_room_that_nobody_fills_is_not_kept_longer_because_the_node_looks_at_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle, other = Files.of(3 * MIB), Files.of(3 * MIB, seed=3)
    store = SmallStore(tmp_path / "files", 5 * MIB)
    monkeypatch.setattr("node.files.holdings.MAX_IDLE", 0)  # as with many messages: none stays in memory
    async with file_node(tmp_path, store, reserved_h=2) as node:
        for files in (idle, other):
            await node.accept(files)
        await node.announce(idle)
        for hours in (1, 2):
            node.clock.pass_(hours=hours)
            gc.collect()
            await node.housekeeping.look(node.clock())
        await node.announce(other)


async def test_a_disk_that_is_full_or_read_only_midway_takes_nothing_and_is_tried_again(tmp_path: Path) -> None:
    files = Files.of(2 * MIB)
    places = list(files.segments)
    store = SmallStore(tmp_path / "files", 50 * MIB)
    async with file_node(tmp_path, store) as node:
        await node.accept(files)
        await node.announce(files)
        await node.bring(files, places[:1])
        store.broken = StorageFullError("full")
        with pytest.raises(StorageFullError):
            await node.bring(files, places)
        assert await node.missing(files) == set(places[1:])
        store.broken = None
        assert await node.bring(files, places) == [None] * len(places)
        assert await node.names() == ["FileAcceptance"]


async def test_a_sender_has_so_much_in_transit_and_no_more_and_gets_it_back_when_they_end(tmp_path: Path) -> None:
    one, two = Files.of(MIB), Files.of(MIB, seed=3)
    async with file_node(tmp_path, desk_quota_bytes=2 * MIB, max_set_bytes=2 * MIB) as node:
        for files in (one, two):
            await node.accept(files)
        await node.announce(one)
        with pytest.raises(FileQuotaError):
            await node.announce(two)
        large = Files.of(3 * MIB)
        await node.accept(large)
        with pytest.raises(FileNotSupportedError):
            await node.announce(large)
        assert await node.intake.cancel(one.digest, SENDER) == 1
        await node.announce(two)


async def test_files_end_with_their_message_and_come_no_more(tmp_path: Path) -> None:
    files, late = Files.of(MIB), Files.of(1000)
    async with file_node(tmp_path) as node:
        await node.accept(files)
        await node.accept(late)
        await node.announce(files)
        await node.bring(files, list(files.segments)[:1])
        node.clock.pass_(days=31)
        with pytest.raises(ExpiredError):
            await node.bring(files, files.segments)
        with pytest.raises(ExpiredError):
            await node.announce(late)
        await node.housekeeping.look(node.clock())
        assert [(event.name.value, event.reasons) for event in await node.events()] == [
            ("FileExpiry", ("never-complete",)),
            ("FileExpiry", ("never-complete",)),
        ]
        assert await node.store.messages() == []
        with pytest.raises(FileGoneError):
            await node.announce(files)


async def test_what_is_said_and_kept_of_a_cancelled_message(tmp_path: Path) -> None:
    files = Files.of(2 * MIB, 1000)
    async with file_node(tmp_path) as node:
        await node.accept(files, local=(OSAKA,))
        await node.announce(files)
        small = [place for place in files.segments if files.list.files[place[0]].segments == 1]
        await node.bring(files, small)
        assert await node.intake.cancel(files.digest, SENDER) == 2
        assert await node.intake.cancel(files.digest, SENDER) == 0
        (event,) = await node.events()
        assert (event.name.value, event.reasons) == ("FileExpiry", ("cancelled",))
        assert event.files is not None
        assert event.files.count == 1
        assert await node.store.messages() == []
        for asked in (
            node.announce(files),
            node.bring(files, files.segments),
            node.serving.fetch(FilesWanted(files.digest), str(OSAKA)),
        ):
            assert await code_of(asked) == "file-cancelled"


async def test_a_put_that_ends_after_the_files_were_let_go_leaves_nothing(tmp_path: Path) -> None:
    files = Files.of(2 * MIB)
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(FolderStore):
        async def put(self, message: bytes, segments: Sequence[SegmentObject]) -> None:
            begun.set()
            await go_on.wait()
            await super().put(message, segments)

    async with file_node(tmp_path, Slow(tmp_path / "files")) as node:
        await node.accept(files)
        await node.announce(files)
        bringing = asyncio.create_task(node.bring(files, files.segments))
        await begun.wait()
        await node.intake.cancel(files.digest, SENDER)
        go_on.set()
        with pytest.raises(FileGoneError):
            await bringing
        assert await node.store.messages() == []
        assert await node.names() == ["FileExpiry"]


async def test_a_large_file_is_told_of_at_once_and_the_set_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.files.holdings.LARGE_FILE_BYTES", 2 * MIB)
    assert LARGE_FILE_BYTES == 64 * MIB
    files = Files.of(2 * MIB, 1000)
    large = next(number for number, file in enumerate(files.list.files) if file.segments > 1)
    async with file_node(tmp_path) as node:
        await node.accept(files, local=(OSAKA,), partners=())
        await node.announce(files)
        await node.bring(files, [place for place in files.segments if place[0] == large])
        await node.bring(files, files.segments)
        told = [(event.name.value, event.files.name if event.files else b"") for event in await node.events()]
        name = files.list.names[large]
        assert told == [
            ("FileAcceptance", name),
            ("FileConsignment", name),
            ("FileAcceptance", None),
            ("FileConsignment", None),
        ]
        assert (await node.events())[-1].files == whole_set(files.list)


async def test_a_set_that_was_whole_before_a_kill_is_logged_after_it_and_once(tmp_path: Path) -> None:
    files = Files.of(2 * MIB)
    async with file_node(tmp_path) as node:
        await node.accept(files)
        await node.announce(files)
        node.intake.settle = lambda holding: asyncio.sleep(0)  # type: ignore[method-assign]
        await node.bring(files, files.segments)  # killed before it was logged
        assert await node.names() == []
    for _ in range(2):
        async with file_node(tmp_path) as node:
            assert await node.missing(files) == set()
            assert await node.names() == ["FileAcceptance"]


async def test_a_start_lets_go_what_no_message_has_and_finds_what_each_has(tmp_path: Path) -> None:
    files, ended = Files.of(2 * MIB), Files.of(1000)
    place = (0, 1)
    async with file_node(tmp_path) as node:
        for one in (files, ended):
            await node.accept(one)
            await node.announce(one)
        await node.bring(files, [place])
        await node.intake.cancel(ended.digest, SENDER)
        await node.store.put(ended.digest, [SegmentObject(ended.list.names[0], 0, b"left behind")])
        await node.store.put(bytes(32), [SegmentObject(bytes(32), 0, b"of nobody")])
    async with file_node(tmp_path) as node:
        assert await node.store.messages() == [files.digest]
        assert await node.missing(files) == set(files.segments) - {place}


async def test_a_segment_that_the_disk_lost_is_missing_again(tmp_path: Path) -> None:
    files = Files.of(2 * MIB)
    async with file_node(tmp_path) as node:
        await node.accept(files)
        await node.bring_all(files)
        await node.store.drop(files.digest, files.list.names[0], 1)
        held = await node.serving.fetch(FilesWanted(files.digest, (SegmentsWanted(0, 0, 9),)), "fr")
        assert [one.segment.index for one in held.segments] == [0, 2]
        assert await node.missing(files) == {(0, 1)}
        assert "file-segment-lost" in node.log.getvalue()
        assert await node.bring(files, [(0, 1)]) == [None]


async def test_memory_of_idle_files_is_bounded_and_what_left_it_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.files.holdings.MAX_IDLE", 2)
    several = [Files.of(600 + size) for size in range(6)]
    async with file_node(tmp_path) as node:
        for files in several:
            await node.accept(files)
            await node.bring_all(files)
        assert len(node.holdings._known) <= 3
        for files in several:
            assert await node.missing(files) == set()


async def test_a_list_of_a_thousand_files_is_taken_and_one_more_is_none(tmp_path: Path) -> None:
    sample = sealed_sample(10)
    roots = [bytes([number >> 8, number & 255]) * 16 for number in range(1000)]
    made = FileList.of(replace(sample.file, root=root) for root in roots)
    files = Files.of(10)
    files.message, files.list = replace(files.message, file_set=made.file_set), made
    async with file_node(tmp_path) as node:
        await node.accept(files)
        told = await node.intake.announce(FilesAnnounced(files.digest, encode_list(made)), SENDER)
        assert len(told) == 1000
        assert set(told) == {((0, 1),)}


@pytest.mark.parametrize("harm", ["bit", "cut", "path", "count", "index", "message"])
@pytest.mark.parametrize("party", ["fr", str(PARIS)])
async def test_a_segment_that_the_disk_altered_is_found_when_it_is_asked_for_again_and_may_be_brought_again(
    tmp_path: Path, harm: str, party: str
) -> None:
    files, others = Files.of(3 * MIB), Files.of(3 * MIB, seed=7)
    wanted = FilesWanted(files.digest, (SegmentsWanted(0, 0, 9),))
    async with file_node(tmp_path) as node:
        for each in (files, others):
            await node.accept(each, local=(PARIS,) if "@" in party else (), partners=() if "@" in party else ("fr",))
            await node.bring_all(each)
        node.holdings.at_hand.clear()
        folder, name = tmp_path / "files", files.list.names[0].hex()
        kept = folder / files.digest.hex() / f"{name}.1.long"
        whole = kept.read_bytes()
        match harm:
            case "bit":
                kept.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
            case "cut":
                kept.write_bytes(whole[1:])
            case "path":
                kept.write_bytes(whole[:MIB] + bytes([whole[MIB] ^ 1]) + whole[MIB + 1 :])
            case "count":
                kept.write_bytes(whole[:-1] + bytes([whole[-1] ^ 32]))
            case "index":
                kept.write_bytes(kept.with_name(f"{name}.0.long").read_bytes())
            case _:
                (other,) = (folder / others.digest.hex()).glob("*.1.long")
                kept.write_bytes(other.read_bytes())
        first = await node.serving.fetch(wanted, party)
        again = await node.serving.fetch(wanted, party)
        assert {one.segment.index for one in first.segments} >= {0, 2}
        assert [one.segment.index for one in again.segments] == [0, 2, 3]
        assert {(0, 1)} == await node.missing(files)
        assert "file-segment-lost" in node.log.getvalue()
        assert await node.bring(files, [(0, 1)]) == [None]
        assert len((await node.serving.fetch(wanted, party)).segments) == 4
        assert await node.missing(others) == set()

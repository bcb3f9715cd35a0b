"""Files go on to the next node: as they come, in turn, again after a break, past one that is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from keys.transport.client import StreamedBody
from keys.transport.segments import KEPT_BYTES, SegmentBuffers
from node.files import delivery as module
from node.files.delivery import FileDelivery
from node.files.fetching import FileFetcher
from node.files.pace import Pace
from node.files.store import Buffer
from node.settings import DeliverySettings
from node.store.file_operations import RecordFilesTaken
from node.store.file_reads import HopState
from protocol.errors import UnavailableError
from protocol.files.logged import whole_set
from protocol.http.files import FilesAnnounced, Ranges, SegmentSent
from tests.conformance.store import PARIS
from tests.worlds.file_node import SENDER, FileNode, Files, file_node
from tests.worlds.parcels import MIB
from tests.worlds.patience import until


@pytest.fixture(autouse=True)
def _anyone_may_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.files.delivery.may_pass_on", lambda hop, sender, directory, at: True)


@asynccontextmanager
async def two(path: Path, **at_fr: object) -> AsyncIterator[tuple[FileNode, FileNode]]:
    """The node jp, and fr whose files come from it."""
    for name in ("jp", "fr"):
        (path / name).mkdir(parents=True)
    async with file_node(path / "jp") as jp, file_node(path / "fr", name="fr", **at_fr) as fr:
        jp.partners.nodes["fr"] = fr
        fr.partners.nodes["jp"] = jp
        yield jp, fr


@asynccontextmanager
async def delivering(node: FileNode) -> AsyncIterator[None]:
    task = asyncio.create_task(FileDelivery(node.context).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def sent_on(jp: FileNode, fr: FileNode, files: Files) -> None:
    """The message is at both nodes, and its files were announced at the first."""
    await jp.accept(files)
    await fr.accept_from(files, "jp", PARIS)
    await jp.announce(files)
    await jp.gone_on(files)


def here(node: FileNode, files: Files) -> int:
    folder = node.store._path / files.digest.hex()  # type: ignore[attr-defined]
    return sum(not path.name.startswith(".") for path in folder.iterdir()) if folder.exists() else 0


def whole(node: FileNode) -> float:
    """Of how many messages the files became whole, as the node counts."""
    return node.metrics.files_whole._value.get()


async def test_each_segment_goes_on_as_soon_as_it_is_here_and_once(tmp_path: Path) -> None:
    files = Files.of(6 * MIB)
    places = list(files.segments)
    async with two(tmp_path) as (jp, fr):
        await sent_on(jp, fr, files)
        async with delivering(jp):
            for count, place in enumerate(places, 1):
                await jp.bring(files, [place])
                await until(lambda count=count: here(fr, files) == count)  # type: ignore[misc]
            await until(lambda: whole(fr) == 1)
        assert sum(count for _, count in jp.partners.said) == len(places)
        assert await fr.names() == ["FileRelayAcceptance", "FileConsignment"]


async def test_a_small_file_does_not_wait_for_a_large_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_BYTES", MIB)
    large, small = Files.of(20 * MIB), Files.of(1000)
    async with two(tmp_path) as (jp, fr):
        for files in (large, small):
            await sent_on(jp, fr, files)
            await jp.bring(files, files.segments)
        async with delivering(jp):
            await until(lambda: here(fr, large) == len(large.segments))
        order = [message for message, _ in jp.partners.said]
        assert order.index(small.digest.hex()) <= 4
        assert len(order) > 10


async def test_files_that_the_partner_has_no_room_for_do_not_hold_up_others(tmp_path: Path) -> None:
    refused = [Files.of(3 * MIB, seed=number) for number in range(10)]
    small = Files.of(1000)
    async with two(tmp_path, partner_quota_bytes=2 * MIB) as (jp, fr):
        for files in (*refused, small):
            await sent_on(jp, fr, files)
            await jp.bring(files, files.segments)
        async with delivering(jp):
            await until(lambda: here(fr, small) == 1)
        assert all(here(fr, files) == 0 for files in refused)
        assert {message for message, _ in jp.partners.said} == {small.digest.hex()}


async def test_a_partner_that_was_away_gets_what_it_lacks_and_not_what_it_has(tmp_path: Path) -> None:
    files = Files.of(6 * MIB)
    places = list(files.segments)
    async with two(tmp_path) as (jp, fr):
        await sent_on(jp, fr, files)
        await jp.bring(files, places)
        await fr.announce(files, "jp")
        await fr.bring(files, places[:4], "jp")
        jp.partners.problem = UnavailableError("it is away")
        async with delivering(jp):
            await until(lambda: "files-delayed" in jp.log.getvalue())
            jp.partners.problem = None
            await until(lambda: here(fr, files) == len(places))
            await until(lambda: "files-resumed" in jp.log.getvalue())
        assert sum(count for _, count in jp.partners.said) == len(places) - 4


async def test_a_segment_that_broke_on_the_way_is_sent_again_and_one_that_broke_here_is_let_go(tmp_path: Path) -> None:
    files = Files.of(2 * MIB)
    async with two(tmp_path) as (jp, fr):
        await sent_on(jp, fr, files)
        await jp.bring(files, files.segments)
        jp.partners.altering = True
        async with delivering(jp):
            await until(lambda: here(fr, files) == len(files.segments))
        assert await jp.missing(files) == set()

    files = Files.of(2 * MIB, seed=4)
    async with two(tmp_path / "again") as (jp, fr):
        await sent_on(jp, fr, files)
        await jp.bring(files, files.segments)
        jp.holdings.at_hand.clear()
        (stored,) = (tmp_path / "again" / "jp" / "files" / files.digest.hex()).glob("*.1*")
        content = bytearray(stored.read_bytes())
        content[-1] ^= 1
        stored.write_bytes(content)
        async with delivering(jp):
            await until(lambda: "file-segment-lost" in jp.log.getvalue())
            assert await jp.missing(files) == {(0, 1)}
            await jp.bring(files, [(0, 1)])
            await until(lambda: here(fr, files) == len(files.segments))


class Endless:
    """Partners that lack everything and take it slowly; how many requests with segments were under way at most."""

    def __init__(self) -> None:
        self.now, self.most, self.partners = 0, 0, set[str]()

    def can_reach(self, partner: str) -> bool:
        return True

    def get(self, partner: str) -> Endless:
        self.partners.add(partner)
        return self

    async def announce_files(self, announced: FilesAnnounced, files: int) -> tuple[Ranges, ...]:
        return (((0, 100),),) * files

    async def send_segments(self, message: bytes, body: StreamedBody, count: int, extra_s: float) -> list[None]:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        return [None] * count


async def test_segments_in_memory_are_bounded_for_all_partners_together(tmp_path: Path) -> None:
    names = ("fr", "gh", "de", "it")
    files = Files.of(9 * MIB)
    async with file_node(tmp_path) as jp:
        await jp.accept(files, partners=names)
        await jp.bring_all(files)
        for name in names:
            await jp.gone_on(files, name)
        partners = Endless()
        node = replace(jp.context.node, partners=partners)  # type: ignore[arg-type]
        context = replace(jp.context, node=node, in_memory=asyncio.Semaphore(2))
        task = asyncio.create_task(FileDelivery(context).run())
        await until(lambda: partners.partners == set(names) and partners.most == 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert partners.most == 2


async def test_a_partner_that_refuses_for_ever_is_not_sent_the_same_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.settings.DeliverySettings.pause_s", lambda self, doublings: 3_600.0)
    lied, other = Files.of(1000), Files.of(2000)
    async with two(tmp_path) as (jp, fr):
        for files in (lied, other):
            await sent_on(jp, fr, files)
        await jp.bring(lied, lied.segments)
        jp.partners.altering = True
        async with delivering(jp):
            await until(lambda: not jp.partners.altering)
            await jp.bring(other, other.segments)
            await until(lambda: here(fr, other) == 1)
        assert [message for message, _ in jp.partners.said] == [lied.digest.hex(), other.digest.hex()]
        assert await jp.missing(lied) == set(), "its own copy is whole, and stays"


async def test_a_partner_that_acknowledges_all_and_then_has_nothing_is_sent_it_again_the_later_the_more_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, pauses = Files.of(3 * MIB), list[int]()

    def pause_s(self: object, doublings: int) -> float:
        pauses.append(doublings)
        return 0.0 if len(pauses) < 3 else 3_600.0

    async def forgets(digest: bytes, segments: Sequence[object], caller: str) -> list[None]:
        return [None] * len(segments)

    monkeypatch.setattr(DeliverySettings, "pause_s", pause_s)
    async with two(tmp_path) as (jp, fr):
        await sent_on(jp, fr, files)
        await jp.bring(files, files.segments)
        fr.intake.take = forgets  # type: ignore[assignment, method-assign]
        async with delivering(jp):
            await until(lambda: len(pauses) == 3)
        assert pauses == [1, 2, 3]
        assert sum(count for _, count in jp.partners.said) == 3 * len(files.segments)


async def test_a_store_that_cannot_be_read_here_is_not_laid_at_the_partners_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Files.of(1000)
    async with two(tmp_path) as (jp, fr):
        await sent_on(jp, fr, files)
        await jp.bring(files, files.segments)
        get = jp.store.get_some

        async def fails(message: bytes, segments: Sequence[tuple[bytes, int]]) -> Sequence[bytes | None]:
            raise UnavailableError("the disk")

        monkeypatch.setattr(jp.store, "get_some", fails)
        async with delivering(jp):
            await until(lambda: "files-not-read" in jp.log.getvalue())
            monkeypatch.setattr(jp.store, "get_some", get)
            await until(lambda: here(fr, files) == 1)
        assert "files-delayed" not in jp.log.getvalue()


async def test_each_request_to_a_partner_has_one_segment_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffers = SegmentBuffers(KEPT_BYTES)
    monkeypatch.setattr("node.files.folder.BUFFERS", buffers)
    monkeypatch.setattr("node.files._outgoing.BUFFERS", buffers)
    files = Files.of(9 * MIB)
    async with two(tmp_path) as (jp, fr):
        await sent_on(jp, fr, files)
        await jp.bring(files, files.segments)
        jp.holdings.at_hand.clear()
        async with delivering(jp):
            await until(lambda: here(fr, files) == len(files.segments))
        at_once = jp.context.node.settings.files.requests_at_once
    assert 0 < buffers.most_bytes <= at_once * (MIB + 16 * 1024)
    assert buffers.lent_bytes == 0, "what was sent was given back"


def brought(files: Files, buffers: SegmentBuffers) -> list[SegmentSent]:
    """All segments of a message, in memory of the pool, as a body brings them."""
    sent = []
    for (number, _), segment in files.segments.items():
        data = memoryview(segment.data)
        memory = buffers.take_for(len(data))
        memory[:] = data
        sent.append(SegmentSent(number, replace(segment, data=memory)))
    return sent


async def test_a_segment_that_just_came_goes_on_without_being_read_and_its_memory_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffers = SegmentBuffers(KEPT_BYTES)
    for one in ("_at_hand", "_outgoing", "intake", "folder"):
        monkeypatch.setattr(f"node.files.{one}.BUFFERS", buffers)
    files, read = Files.of(3 * MIB), list[object]()
    async with two(tmp_path) as (jp, fr):
        await sent_on(jp, fr, files)
        get = jp.store.get_some

        async def counted(message: bytes, segments: Sequence[tuple[bytes, int]]) -> Sequence[Buffer | None]:
            read.extend(segments)
            return await get(message, segments)

        monkeypatch.setattr(jp.store, "get_some", counted)
        async with jp.intake.taking(files.digest, SENDER) as taking:
            await taking.add(brought(files, buffers))
            assert await taking.answers() == [None] * len(files.segments)
        long = {place for place, segment in files.segments.items() if len(memoryview(segment.data)) >= MIB}
        assert long, "the file has long segments"
        assert buffers.lent_bytes == len(long) * (MIB + 16 * 1024), "what waits to go on is kept, and nothing else"
        async with delivering(jp):
            await until(lambda: here(fr, files) == len(files.segments))
        assert len(read) == len(files.segments) - len(long)
    assert buffers.lent_bytes == 0


async def test_segments_of_files_that_were_let_go_are_in_nobodys_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffers = SegmentBuffers(KEPT_BYTES)
    for one in ("_at_hand", "intake"):
        monkeypatch.setattr(f"node.files.{one}.BUFFERS", buffers)
    files = Files.of(2 * MIB)
    async with file_node(tmp_path) as jp:
        await jp.accept(files)
        await jp.announce(files)
        async with jp.intake.taking(files.digest, SENDER) as taking:
            await taking.add(brought(files, buffers))
            await taking.answers()
        assert buffers.lent_bytes
        await jp.intake.cancel(files.digest, SENDER)
        assert buffers.lent_bytes == 0


async def test_cancelled_files_are_let_go_at_the_next_node_too(tmp_path: Path) -> None:
    files = Files.of(2 * MIB)
    async with two(tmp_path) as (jp, fr):
        await sent_on(jp, fr, files)
        await jp.bring(files, list(files.segments)[:1])
        async with delivering(jp):
            await until(lambda: here(fr, files) == 1)
            await jp.intake.cancel(files.digest, SENDER)
            await until(lambda: here(fr, files) == 0)
            while await jp.database.reads.file_partners():  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)
        assert [event.reasons for event in await fr.events()] == [("cancelled",)]


async def test_nothing_is_sent_once_the_partners_log_has_all(tmp_path: Path) -> None:
    files = Files.of(2 * MIB)
    async with two(tmp_path) as (jp, fr):
        await sent_on(jp, fr, files)
        await jp.bring(files, files.segments)
        message = files.message
        await jp.perform(RecordFilesTaken(message.message_id, files.digest, "fr", whole_set(files.list), jp.clock()))
        assert await jp.database.reads.file_partners() == []
        async with delivering(jp):
            await asyncio.sleep(0)
        assert jp.partners.said == []


async def test_a_node_without_an_address_fetches_what_it_lacks_and_learns_that_files_were_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.files.fetching.relay_to_ask", lambda directory, node: "jp")
    monkeypatch.setattr("node.files.fetching._LOOK_S", 0.01)
    files, back = Files.of(5 * MIB, 100), Files.of(3 * MIB, seed=7)
    async with two(tmp_path) as (jp, fr):
        for one in (files, back):
            await sent_on(jp, fr, one)
        await jp.bring(files, list(files.segments)[:2])
        await jp.bring(back, list(back.segments)[:1])
        fetching = asyncio.create_task(FileFetcher(fr.context, fr.intake).run())
        try:
            await until(lambda: here(fr, files) == 2 and here(fr, back) == 1)
            await jp.bring(files, files.segments)
            await jp.intake.cancel(back.digest, SENDER)
            await until(lambda: whole(fr) == 1 and here(fr, back) == 0)
            while len(await fr.events()) < 3:  # noqa: ASYNC110 - what is logged right after it was let go
                await asyncio.sleep(0.01)
            assert await jp.database.reads.file_partners() == ["fr"], "it waits for the other files' proof alone"
            stored = await jp.database.reads.file_set(back.digest)
            assert stored is not None
            assert stored.state_of("fr") is HopState.GETS_NONE
        finally:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)
        told = {(event.digest, event.name.value, event.reasons) for event in await fr.events()}
        assert told == {
            (files.digest, "FileRelayAcceptance", ()),
            (files.digest, "FileConsignment", ()),
            (back.digest, "FileExpiry", ("cancelled",)),
        }


async def test_a_node_that_has_no_room_for_what_it_fetches_says_so_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.files.fetching.relay_to_ask", lambda directory, node: "jp")
    monkeypatch.setattr("node.files.fetching._LOOK_S", 0.01)
    files, small = Files.of(3 * MIB), Files.of(1000)
    async with two(tmp_path, partner_quota_bytes=MIB) as (jp, fr):
        for one in (files, small):
            await sent_on(jp, fr, one)
            await jp.bring(one, one.segments)
        fetching = asyncio.create_task(FileFetcher(fr.context, fr.intake).run())
        try:
            await until(lambda: here(fr, small) == 1)
            await until(lambda: "files-not-taken" in fr.log.getvalue())
        finally:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)
        assert "files-delayed" not in fr.log.getvalue()
        assert here(fr, files) == 0


def test_files_go_to_each_partner_at_its_pace_and_no_slower_after_a_rest() -> None:
    now = [100.0]
    pace = Pace(1000, lambda: now[0])
    assert [pace.delay_s("fr", 500) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert pace.delay_s("gh", 500) == 0.0
    now[0] += 100
    assert pace.delay_s("fr", 1000) == 0.0
    assert Pace(None).delay_s("fr", 1 << 50) == 0.0

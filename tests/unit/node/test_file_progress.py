"""How far files are beyond a node: told to who brought them, by each node's own word, and how they ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from node.files._progress import FileProgress
from node.files._speed import Speed
from node.files.fetching import FileFetcher
from node.store.operations import AcceptSubmission, AcceptTransfer
from protocol.address import Address
from protocol.errors import ComityError, FileCancelledError, FileGoneError, FileUnknownError, UnavailableError
from protocol.files.logged import CANCELLED, FORGOTTEN, GONE_BEFORE
from protocol.http.file_progress import MAX_WAIT_MS, FilesAt, ProgressAsked
from protocol.http.files import FilesShare, FilesWanted
from tests.conformance.store import NOW, OSAKA, PARIS, TOKYO
from tests.worlds.file_node import SENDER, FileNode, Files, file_node
from tests.worlds.parcels import MIB

ACCRA = Address.parse("24-7@gh")
WAIT_MS = MAX_WAIT_MS


@asynccontextmanager
async def three(path: Path) -> AsyncIterator[tuple[FileNode, FileNode, FileNode]]:
    """jp, fr behind it, gh behind that: each can be reached by all."""
    for name in ("jp", "fr", "gh"):
        (path / name).mkdir(parents=True)
    async with (
        file_node(path / "jp") as jp,
        file_node(path / "fr", name="fr") as fr,
        file_node(path / "gh", name="gh") as gh,
    ):
        nodes = {"jp": jp, "fr": fr, "gh": gh}
        for name, node in nodes.items():
            node.partners.nodes.update({other: nodes[other] for other in nodes if other != name})
        yield jp, fr, gh


async def handed_on(jp: FileNode, fr: FileNode, gh: FileNode, files: Files) -> None:
    """The message went over fr to gh, and its files were announced everywhere."""
    await jp.perform(AcceptSubmission(files.message, (), {"fr": (ACCRA,)}, NOW))
    await fr.accept_from(files, "jp", onward={"gh": (ACCRA,)})
    await gh.accept_from(files, "fr", ACCRA)
    for node, before in ((jp, SENDER), (fr, "jp"), (gh, "fr")):
        await node.announce(files, before)


async def told(node: FileNode, files: Files, caller: str = SENDER, wait_ms: int = WAIT_MS) -> dict[str, FilesAt]:
    return {row.party: row for row in await node.serving.progress(ProgressAsked(files.digest, wait_ms), caller)}


async def test_the_submitter_learns_how_much_every_node_on_the_way_has(tmp_path: Path) -> None:
    files = Files.of(4 * MIB, 100)
    total = files.list.file_set.total_bytes
    async with three(tmp_path) as (jp, fr, gh):
        await handed_on(jp, fr, gh, files)
        await jp.bring(files, files.segments)
        small = next(number for number, file in enumerate(files.list.files) if file.segments == 1)
        large = 1 - small
        await fr.bring(files, [(large, 0), (large, 1), (small, 0)], "jp")
        await gh.bring(files, [(large, 1)], "fr")
        rows = await told(jp, files)
        assert [(row.party, row.behind, row.files) for row in rows.values()] == [
            ("jp", None, 2),
            ("fr", "jp", 1),
            ("gh", "fr", 0),
            ("24-7@gh", "gh", None),
        ]
        assert rows["jp"].size_bytes == total
        assert rows["fr"].size_bytes == 2 * MIB + files.list.files[small].length
        assert rows["gh"].size_bytes == MIB
        assert all(rows[node].at == NOW for node in ("jp", "fr", "gh"))


async def test_nobody_but_who_brought_them_learns_what_is_here_and_who_is_to_get_them_only_how_they_ended(
    tmp_path: Path,
) -> None:
    files = Files.of(2 * MIB)
    async with three(tmp_path) as (jp, fr, gh):
        await handed_on(jp, fr, gh, files)
        await fr.bring(files, files.segments, "jp")
        for stranger in (SENDER, str(PARIS), str(OSAKA), "de"):
            with pytest.raises(FileUnknownError):
                await told(fr, files, stranger)
        with pytest.raises(FileUnknownError):
            await told(fr, Files.of(100), "jp")
        assert await told(fr, files, "gh") == {"fr": FilesAt("fr", at=NOW)}
        await fr.intake.cancel(files.digest, "jp")
        assert await told(fr, files, "gh") == {"fr": FilesAt("fr", at=NOW, end=CANCELLED)}


async def test_of_a_node_that_does_not_answer_its_last_word_is_told_with_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.files._progress._FRESH_S", 0.0)
    files = Files.of(4 * MIB)
    async with three(tmp_path) as (jp, fr, gh):
        await handed_on(jp, fr, gh, files)
        jp.partners.problem = UnavailableError("away")
        rows = await told(jp, files)
        assert rows["fr"] == FilesAt("fr", "jp"), "nothing was ever known of it"
        assert "gh" not in rows
        jp.partners.problem = None
        await fr.bring(files, list(files.segments)[:2], "jp")
        await told(jp, files)
        for node in (jp, fr, gh):
            node.clock.pass_(minutes=7)
        jp.partners.problem = UnavailableError("away")
        rows = await told(jp, files)
        assert (rows["fr"].size_bytes, rows["fr"].at) == (2 * MIB, NOW)
        assert rows["gh"].at == NOW
        assert rows["jp"].at == NOW + timedelta(minutes=7)


async def test_a_node_that_never_answers_is_not_waited_for_longer_than_the_caller_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Files.of(2 * MIB)
    async with three(tmp_path) as (jp, fr, gh):
        await handed_on(jp, fr, gh, files)

        async def hang(asked: ProgressAsked) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(jp.partners, "file_progress", hang)
        rows = await told(jp, files, wait_ms=610)
        assert rows["fr"] == FilesAt("fr", "jp")
        assert await told(jp, files, wait_ms=0) == rows, "and without time nobody is asked"


async def test_however_many_ask_a_partner_is_asked_once_in_some_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, asked = Files.of(2 * MIB), list[ProgressAsked]()
    async with three(tmp_path) as (jp, fr, gh):
        await handed_on(jp, fr, gh, files)
        ask = jp.partners.file_progress

        async def count(one: ProgressAsked) -> tuple[FilesAt, ...]:
            asked.append(one)
            await asyncio.sleep(0)
            return await ask(one)

        monkeypatch.setattr(jp.partners, "file_progress", count)
        answers = await asyncio.gather(*(told(jp, files, wait_ms=MAX_WAIT_MS) for _ in range(9)))
        assert len(asked) == 1
        assert all(answer == answers[0] for answer in answers)
        assert 0 < asked[0].wait_ms < MAX_WAIT_MS, "the next node has less time, or nobody would hear it"


async def test_a_partner_cannot_say_more_than_there_is_nor_speak_for_others_nor_of_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.files._progress._FRESH_S", 0.0)
    files = Files.of(2 * MIB)
    total = files.list.file_set.total_bytes
    said: list[tuple[FilesAt, ...]] = []

    async def lie(asked: ProgressAsked) -> tuple[FilesAt, ...]:
        return said[-1]

    async with three(tmp_path) as (jp, fr, gh):
        await handed_on(jp, fr, gh, files)
        monkeypatch.setattr(jp.partners, "file_progress", lie)
        late = NOW + timedelta(days=3)
        said.append(
            (FilesAt("fr", None, 1 << 50, 900, late), FilesAt("jp", "fr", 0), FilesAt("gh", "fr", 1 << 50, 9, late))
        )
        rows = await told(jp, files)
        assert rows["fr"] == FilesAt("fr", "jp", total, 1, NOW)
        assert rows["gh"] == FilesAt("gh", "fr", total, 1, NOW)
        assert rows["jp"].behind is None
        said.append((FilesAt("gh", None, 5),))
        assert (await told(jp, files))["fr"] == rows["fr"], "who answers for another is not heard"


async def test_a_party_that_nobody_can_ask_says_itself_how_much_it_has(tmp_path: Path) -> None:
    files = Files.of(3 * MIB)
    async with file_node(tmp_path) as node:
        await node.perform(AcceptTransfer(files.message, "fr", (OSAKA,), NOW, {"gh": (ACCRA,)}))
        await node.announce(files, "fr")
        await node.bring(files, files.segments, "fr")
        for party, share in ((str(OSAKA), FilesShare(2 * MIB, 0)), ("gh", FilesShare(MIB, 0))):
            for at, size in enumerate((0, share.size_bytes)):
                node.clock.now = NOW + timedelta(seconds=4 * at)
                await node.serving.fetch(FilesWanted(files.digest, (), FilesShare(size, 0)), party)
        with pytest.raises(ComityError):
            await node.serving.fetch(FilesWanted(files.digest, (), FilesShare(MIB, 0)), str(TOKYO))
        rows = await told(node, files, "fr")
        assert set(rows) == {"jp", str(OSAKA), "gh"}
        assert (rows[str(OSAKA)].size_bytes, rows[str(OSAKA)].rate) == (2 * MIB, MIB // 2)
        assert (rows["gh"].size_bytes, rows["gh"].rate) == (MIB, MIB // 4)
        assert rows["gh"].at == NOW + timedelta(seconds=4)


async def test_how_fast_files_come_is_told_with_them(tmp_path: Path) -> None:
    files = Files.of(4 * MIB)
    async with file_node(tmp_path) as node:
        await node.accept(files)
        await node.announce(files)
        assert (await told(node, files))["jp"].rate is None
        for index in range(3):
            await node.bring(files, [(0, index)])
            node.clock.pass_(seconds=2)
        assert (await told(node, files))["jp"].rate == 2 * MIB // 6
        node.clock.pass_(hours=1)
        assert (await told(node, files))["jp"].rate == 0, "nothing comes any more"


def test_a_clock_that_is_set_back_makes_no_speed_negative_or_endless() -> None:
    speed = Speed()
    for seconds, size in ((0, 0), (10, 100), (5, 200), (5, 300)):
        speed.note(NOW + timedelta(seconds=seconds), size)
        rate = speed.rate(NOW + timedelta(seconds=seconds))
        assert rate is None or 0 <= rate <= 100


@pytest.mark.parametrize(
    ("ends_at_relay", "ends_at_origin", "expected", "shown"),
    [
        ("cancelled", "cancelled", CANCELLED, FileCancelledError),
        ("forgotten", None, GONE_BEFORE, FileGoneError),
        ("cancelled", None, GONE_BEFORE, FileGoneError),  # a relay says so, and their sender did not
        ("forgotten", "cancelled", CANCELLED, FileCancelledError),
        ("cancelled", "away", CANCELLED, FileCancelledError),
        ("forgotten", "away", GONE_BEFORE, FileGoneError),
        ("expired", None, GONE_BEFORE, FileGoneError),
    ],
)
async def test_files_that_a_relay_does_not_keep_are_cancelled_only_where_their_sender_took_them_back(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ends_at_relay: str,
    ends_at_origin: str | None,
    expected: str,
    shown: type[ComityError],
) -> None:
    monkeypatch.setattr("node.files.fetching.relay_to_ask", lambda directory, node: "fr")
    files = Files.of(2 * MIB)
    async with three(tmp_path) as (jp, fr, gh):
        await handed_on(jp, fr, gh, files)
        if ends_at_relay == "cancelled":
            await fr.intake.cancel(files.digest, "jp")
        elif ends_at_relay == "forgotten":
            await fr.intake.forget(files.digest)
        else:
            fr.clock.pass_(days=40)
            await fr.housekeeping.look(fr.clock())
        if ends_at_origin == "cancelled":
            await jp.intake.cancel(files.digest, SENDER)
        elif ends_at_origin == "away":
            del gh.partners.nodes["jp"]
        await gh.bring(files, [(0, 0)], "fr")
        await FileFetcher(gh.context, gh.intake)._round()
        (ended,) = await gh.events()
        assert (ended.name.value, ended.reasons) == ("FileExpiry", (expected,))
        assert await gh.store.messages() == []
        with pytest.raises(FileGoneError) as refused:
            await gh.serving.fetch(FilesWanted(files.digest), str(ACCRA))
        assert type(refused.value) is shown


async def test_what_an_operator_lets_go_is_nowhere_said_to_be_cancelled_by_the_sender(tmp_path: Path) -> None:
    files = Files.of(MIB)
    async with three(tmp_path) as (jp, fr, gh):
        await handed_on(jp, fr, gh, files)
        await fr.intake.forget(files.digest)
        (ended,) = await fr.events()
        assert ended.reasons == (FORGOTTEN,)
        stored = await fr.database.reads.file_set(files.digest)
        assert stored is not None
        assert stored.end_reason == FORGOTTEN
        assert await fr.database.reads.file_partners() == ["gh"]
        await gh.intake.cancel(files.digest, "fr", FORGOTTEN)
        assert [event.reasons for event in await gh.events()] == [(FORGOTTEN,)]
        await jp.intake.cancel(files.digest, SENDER, FORGOTTEN)
        assert [event.reasons for event in await jp.events()] == [(CANCELLED,)], "a desk takes its own files back"


async def test_what_is_remembered_of_others_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.files._progress._MOST_KNOWN", 2)
    monkeypatch.setattr("node.files._shares._MOST", 2)
    async with three(tmp_path) as (jp, fr, gh):
        progress = FileProgress(jp.context)
        for seed in range(4):
            files = Files.of(100, seed=seed)
            await handed_on(jp, fr, gh, files)
            await progress.tell(ProgressAsked(files.digest, WAIT_MS), SENDER)
            jp.context.shares.note(files.digest, "fr", FilesShare(seed, 0), NOW)
        assert len(progress._heard) == 2
        assert len(jp.context.shares._told) == 2

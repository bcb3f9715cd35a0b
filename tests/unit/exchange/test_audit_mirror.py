"""Mirroring goes on where it was broken off, and what a node serves cannot spoil what was mirrored."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exchange.audit.mirror import TileFolderSource, mirror
from exchange.audit.verify import LogMirror, verify_mirror
from keys.local.tile_folder import LOCK, read_whole, written_alone
from protocol.errors import FolderBusyError, LogForkError, LogUnavailableError, ProofInvalidError, UnavailableError
from protocol.event import Event, EventName, encode_event
from protocol.log.layout import decode_bundle, encode_bundle, entries_path
from tests.unit.exchange.test_audit import LOGS, NOBODY, NOW, event, write

VERIFIER = LOGS["jp"].verifier


class Counting:
    """A source that notes what is read, and is gone after ``limit`` reads."""

    def __init__(self, folder: Path, limit: int = 1_000) -> None:
        self._source = TileFolderSource(folder)
        self._limit = limit
        self.paths: list[str] = []

    async def read(self, path: str) -> bytes:
        if len(self.paths) >= self._limit:
            raise UnavailableError("the node went away")
        self.paths.append(path)
        return await self._source.read(path)


def submissions(count: int) -> list[Event]:
    return [event(EventName.SubmissionAcceptance, number) for number in range(count)]


def replace_entry(folder: Path, bundle: int, width: int, position: int) -> None:
    """Put another event into a served bundle."""
    path = folder / entries_path(bundle, width)
    entries = list(decode_bundle(path.read_bytes()))
    entries[position] = encode_event(event(EventName.SubmissionAcceptance, 9_999))
    path.write_bytes(encode_bundle(entries))


async def test_a_mirror_that_was_broken_off_does_not_fetch_its_bundles_again(tmp_path: Path) -> None:
    served = write(tmp_path / "served", "jp", submissions(1_000))
    with pytest.raises(UnavailableError):
        await mirror(Counting(served, limit=4), tmp_path / "mirror", VERIFIER)
    again = Counting(served)
    done = await mirror(again, tmp_path / "mirror", VERIFIER)
    assert done.new_entries == 1_000
    assert not {entries_path(0, 256), entries_path(1, 256)} & set(again.paths)
    assert verify_mirror(LogMirror(tmp_path / "mirror", "jp", VERIFIER), NOBODY).ok


@pytest.mark.parametrize("left_behind", [b"", b"nonsense", encode_bundle([b"x"] * 256)])
async def test_a_wrong_bundle_that_a_broken_off_run_left_is_fetched_anew(tmp_path: Path, left_behind: bytes) -> None:
    served = write(tmp_path / "served", "jp", submissions(600))
    path = tmp_path / "mirror" / entries_path(1, 256)
    path.parent.mkdir(parents=True)
    path.write_bytes(left_behind)
    await mirror(TileFolderSource(served), tmp_path / "mirror", VERIFIER)
    assert verify_mirror(LogMirror(tmp_path / "mirror", "jp", VERIFIER), NOBODY).ok


async def test_a_served_bundle_cannot_replace_entries_that_are_mirrored(tmp_path: Path) -> None:
    await mirror(TileFolderSource(write(tmp_path / "served", "jp", submissions(300))), tmp_path / "mirror", VERIFIER)
    served = write(tmp_path / "served", "jp", submissions(600))
    replace_entry(served, 1, 256, 7)  # entry 263, which the mirror has; the tiles and the head are honest
    with pytest.raises(ProofInvalidError):
        await mirror(TileFolderSource(served), tmp_path / "mirror", VERIFIER)
    assert verify_mirror(LogMirror(tmp_path / "mirror", "jp", VERIFIER), NOBODY).checkpoint.size == 300


async def test_wrong_entries_under_an_honest_head_are_no_proof_of_a_fork(tmp_path: Path) -> None:
    await mirror(TileFolderSource(write(tmp_path / "served", "jp", submissions(300))), tmp_path / "mirror", VERIFIER)
    served = write(tmp_path / "served", "jp", submissions(600))
    replace_entry(served, 2, 88, 0)
    with pytest.raises(ProofInvalidError):
        await mirror(TileFolderSource(served), tmp_path / "mirror", VERIFIER)
    assert not (tmp_path / "mirror" / "checkpoint.conflict").exists()


@pytest.mark.parametrize("changed", [0, 270, 299])
async def test_a_longer_history_that_changes_a_mirrored_entry_is_proved_a_fork(tmp_path: Path, changed: int) -> None:
    history = submissions(300)
    await mirror(TileFolderSource(write(tmp_path / "served", "jp", history)), tmp_path / "mirror", VERIFIER)
    first = (tmp_path / "mirror" / "checkpoint").read_bytes()
    other = [*history, *submissions(600)[300:]]
    other[changed] = event(EventName.SubmissionAcceptance, 9_999)
    served = write(tmp_path / "served", "jp", other)
    with pytest.raises(LogForkError):
        await mirror(TileFolderSource(served), tmp_path / "mirror", VERIFIER)
    assert (tmp_path / "mirror" / "checkpoint").read_bytes() == first
    assert (tmp_path / "mirror" / "checkpoint.conflict").read_bytes() == (served / "checkpoint").read_bytes()


async def test_a_tile_that_does_not_hold_the_hashes_of_its_entries_is_refused(tmp_path: Path) -> None:
    served = write(tmp_path / "served", "jp", submissions(300))
    tile = served / "tile/0/000"
    tile.write_bytes(bytes(32) + tile.read_bytes()[32:])
    with pytest.raises(ProofInvalidError):
        await mirror(TileFolderSource(served), tmp_path / "mirror", VERIFIER)
    with pytest.raises(LogUnavailableError):
        verify_mirror(LogMirror(tmp_path / "mirror", "jp", VERIFIER), NOBODY)


async def test_progress_tells_how_many_entries_are_new(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    await mirror(
        TileFolderSource(write(tmp_path / "served", "jp", submissions(300))),
        tmp_path / "mirror",
        VERIFIER,
        lambda done, total: told.append((done, total)),
    )
    assert told == [(256, 300), (300, 300)]


async def test_every_head_that_the_log_signed_is_kept_also_one_that_contradicts(tmp_path: Path) -> None:
    folder, heads = tmp_path / "mirror", set()
    grown = [*submissions(10), *(replace(item, at=NOW + timedelta(hours=2)) for item in submissions(20)[10:])]
    for number, count in enumerate((10, 10, 20)):  # a tree that is signed anew, and one that grew
        at = NOW + timedelta(hours=number)
        served = write(tmp_path / "served", "jp", grown[:count], signed_at=at)
        heads.add((served / "checkpoint").read_bytes())
        await mirror(TileFolderSource(served), folder, VERIFIER)
    lying = write(tmp_path / "lying", "jp", submissions(30)[1:], signed_at=NOW + timedelta(hours=4))
    heads.add((lying / "checkpoint").read_bytes())
    for _ in range(2):
        with pytest.raises(LogForkError):
            await mirror(TileFolderSource(lying), folder, VERIFIER)
    assert {path.read_bytes() for path in (folder / "heads").iterdir()} == heads
    log = verify_mirror(LogMirror(folder, "jp", VERIFIER), NOBODY)
    assert len(log.checkpoints) == 3
    assert [finding.code for finding in log.findings] == ["log-fork"]


async def test_a_smaller_head_that_was_signed_later_is_found_in_what_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "mirror"
    await mirror(TileFolderSource(write(tmp_path / "served", "jp", submissions(20))), folder, VERIFIER)
    smaller = write(tmp_path / "smaller", "jp", submissions(10), signed_at=NOW + timedelta(hours=1))
    (folder / "heads/10-0123456789abcdef").write_bytes((smaller / "checkpoint").read_bytes())
    log = verify_mirror(LogMirror(folder, "jp", VERIFIER), NOBODY)
    assert [finding.code for finding in log.findings] == ["log-went-back"]
    (folder / "heads/garbage").write_bytes(b"nothing")
    codes = [finding.code for finding in verify_mirror(LogMirror(folder, "jp", VERIFIER), NOBODY).findings]
    assert sorted(codes) == ["extra-file", "log-went-back"]


class Meanwhile(Counting):
    """A source during whose answers somebody else does something."""

    def __init__(self, folder: Path, act: Callable[[], Awaitable[None]]) -> None:
        super().__init__(folder)
        self._act = act

    async def read(self, path: str) -> bytes:
        await self._act()
        return await super().read(path)


async def test_two_programs_never_mirror_into_one_folder_and_none_judges_what_is_being_written(tmp_path: Path) -> None:
    folder, second = tmp_path / "mirror", Counting(write(tmp_path / "served", "jp", submissions(300)))
    refused: list[str] = []

    async def meanwhile() -> None:
        with pytest.raises(FolderBusyError) as busy:
            await mirror(second, folder, VERIFIER)
        refused.append(busy.value.code)
        if (folder / "checkpoint").exists():
            with pytest.raises(FolderBusyError):
                verify_mirror(LogMirror(folder, "jp", VERIFIER), NOBODY)

    for count in (300, 700):
        served = write(tmp_path / f"served-{count}", "jp", submissions(count))
        assert (await mirror(Meanwhile(served, meanwhile), folder, VERIFIER)).checkpoint.size == count
        assert verify_mirror(LogMirror(folder, "jp", VERIFIER), NOBODY).ok
    assert set(refused) == {"folder-busy"}
    assert second.paths == []  # refused before the node was asked for anything


async def test_a_mirror_is_not_written_while_it_is_verified_and_any_number_verify(tmp_path: Path) -> None:
    folder, served = tmp_path / "mirror", write(tmp_path / "served", "jp", submissions(300))
    await mirror(TileFolderSource(served), folder, VERIFIER)
    with read_whole(folder):
        assert verify_mirror(LogMirror(folder, "jp", VERIFIER), NOBODY).ok
        with pytest.raises(FolderBusyError):
            await mirror(TileFolderSource(served), folder, VERIFIER)
    await mirror(TileFolderSource(served), folder, VERIFIER)


async def test_the_lock_is_no_place_to_hide_something_and_reading_leaves_none(tmp_path: Path) -> None:
    folder = write(tmp_path / "served", "jp", submissions(3))
    assert verify_mirror(LogMirror(folder, "jp", VERIFIER), NOBODY).ok
    assert not (folder / LOCK).exists()
    with written_alone(folder):
        pass
    assert verify_mirror(LogMirror(folder, "jp", VERIFIER), NOBODY).ok
    (folder / LOCK).write_bytes(b"something")
    assert [finding.code for finding in verify_mirror(LogMirror(folder, "jp", VERIFIER), NOBODY).findings] == [
        "extra-file"
    ]

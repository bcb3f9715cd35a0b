"""Evidence files carried by hand between two nodes, in any order, over broken trips, on disks of strangers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from keys.directory import carried_signatures
from keys.local.carried import folder as module
from keys.local.carried.folder import BLOCK, CarriedFolder
from node.files.carried import carrier as carrying
from node.files.carried.carrier import CarriedPlace, CarriedStep, FileCarrier
from node.files.carried.hands import read_hands
from node.relay.offline import OfflineExchange
from protocol.bundle import FilesHad, parse_hand, parse_part, write_hand
from protocol.bundle_sizes import MAX_PART_BYTES
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.errors import (
    BundleAlteredError,
    ComityError,
    MalformedError,
    NotFoundError,
    StorageFullError,
    UsageError,
)
from protocol.files.file_list import encode_list
from protocol.http.files import FilesWanted, Ranges, SegmentSent
from tests.conformance.store import NOW, PARIS
from tests.worlds.file_node import SENDER, FileNode, Files, file_node
from tests.worlds.parcels import MIB

SIGNER = Ed25519Signer(bytes(31) + b"1")
VERIFIER = Ed25519Verifier(SIGNER.public_key)
ANOTHER = Ed25519Verifier(Ed25519Signer(bytes(31) + b"2").public_key)


@pytest.fixture(autouse=True)
def _anyone_may_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "may_pass_on", lambda hop, sender, directory, at: True)
    for using in (carrying, carried_signatures):
        monkeypatch.setattr(using, "carried_key", lambda *_: VERIFIER)


class Carrying:
    """Two nodes and a folder between them: what fr told that it has, and an export and import in steps."""

    def __init__(self, path: Path, jp: FileNode, fr: FileNode) -> None:
        self.jp, self.fr, self.folder = jp, fr, path / "disk"
        self.told: dict[bytes, tuple[Ranges, ...]] = {}
        self.path = path
        self.out, self.back = self._carrier(jp), self._carrier(fr)

    def _carrier(self, node: FileNode) -> FileCarrier:
        async def told(to: str) -> dict[bytes, tuple[Ranges, ...]]:
            return self.told

        hands = self.path / f"hands-{node.context.node.name}"
        return FileCarrier(node.context, node.intake, SIGNER, hands, told)

    async def export(self, begin: str = "") -> CarriedStep:
        return await self.out.write("fr", str(self.folder), begin)

    async def take(self, begin: str = "") -> CarriedStep:
        return await self.back.take(str(self.folder), begin)

    async def export_all(self) -> CarriedStep:
        return await through(self.export)

    async def take_all(self) -> CarriedStep:
        return await through(self.take)

    async def tell(self, files: Files) -> None:
        """fr's next bundle says what it has."""
        holding = await self.fr.holdings.find(files.digest)
        if holding is not None:
            self.told[files.digest] = tuple(holding.marks.present_ranges())


async def through(step: Callable[[str], Any]) -> CarriedStep:
    """All steps, added up."""
    total, begin = CarriedStep(), ""
    while True:
        done: CarriedStep = await step(begin)
        total.messages += done.messages
        total.segments += done.segments
        total.size_bytes += done.size_bytes
        total.refused += done.refused
        if done.next is None:
            return total
        begin = done.next


@asynccontextmanager
async def carrying_between(path: Path, **at_fr: Any) -> AsyncIterator[Carrying]:
    for name in ("jp", "fr"):
        (path / name).mkdir(parents=True)
    async with file_node(path / "jp") as jp, file_node(path / "fr", name="fr", **at_fr) as fr:
        yield Carrying(path, jp, fr)


async def ready(made: Carrying, files: Files, *, arrived: bool = True) -> None:
    """The message is at both nodes; its files are whole at the first."""
    directory: Any = SimpleNamespace(nodes=dict, has_node=lambda _: False, require_active=lambda *_: None)
    made.jp.directory.current = made.fr.directory.current = directory
    await made.jp.accept(files)
    await made.jp.bring_all(files)
    if arrived:
        await made.fr.accept_from(files, "jp", PARIS)


def packs(made: Carrying) -> list[Path]:
    return sorted(path for path in made.folder.rglob("*-*") if path.is_file())


async def test_what_is_carried_is_whole_logged_once_and_shown_with_its_hands(tmp_path: Path) -> None:
    files = Files.of(5 * MIB, 1000, 0)
    async with carrying_between(tmp_path) as made:
        await ready(made, files)
        written = await made.export_all()
        assert (written.messages, written.segments) == (1, len(files.segments))
        taken = await made.take_all()
        assert (taken.segments, taken.refused) == (len(files.segments), [])
        assert await made.fr.names() == ["FileRelayAcceptance", "FileConsignment"]
        assert (await made.take_all()).segments == 0
        assert (await made.export_all()).segments == 0
        assert await made.fr.names() == ["FileRelayAcceptance", "FileConsignment"]
        (out,) = read_hands(tmp_path / "hands-jp", files.digest)
        (back,) = read_hands(tmp_path / "hands-fr", files.digest)
        assert (out.act, out.sender, out.recipient) == ("exported", "jp", "fr")
        assert (back.act, back.sender, back.recipient) == ("imported", "jp", "fr")
        assert back.exported_at == out.at
        (raw,) = await made.fr.context.hands.of(files.digest)
        hand = parse_hand(raw)
        assert (hand.sender, hand.recipient, hand.digest) == ("jp", "fr", files.digest)
        assert out.segments == back.segments == len(files.segments)


@pytest.mark.parametrize("seed", range(3))
async def test_any_packs_carried_in_any_order_over_several_trips_end_whole_and_logged_once(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "STEP_BYTES", 2 * MIB)
    monkeypatch.setattr(carrying, "MAX_DATA_BYTES", MIB)
    random = Random(seed)
    files = Files.of(6 * MIB, 2 * MIB, 1000, seed=seed)
    async with carrying_between(tmp_path) as made:
        await ready(made, files)
        for trip in range(12):
            written = await made.export_all()
            for pack in packs(made):
                if random.random() < 0.5:
                    pack.unlink()
                elif random.random() < 0.2:
                    pack.write_bytes(pack.read_bytes()[: random.randrange(200)])
                elif random.random() < 0.2:
                    pack.write_bytes(random.randbytes(pack.stat().st_size))
            await made.take_all()
            await made.tell(files)
            if random.random() < 0.5:  # another disk
                made.folder.rename(tmp_path / f"disk-{trip}")
            missing = await made.fr.intake.announce(files.announced, "jp")
            if not any(missing):
                break
        else:
            written = await made.export_all()
            await made.take_all()
        assert written.segments <= len(files.segments)
        assert await made.fr.names() == ["FileRelayAcceptance", "FileConsignment"]


async def test_an_export_takes_only_what_is_missing_there_and_not_on_the_disk(tmp_path: Path) -> None:
    files = Files.of(5 * MIB)
    places = sorted(files.segments)
    async with carrying_between(tmp_path) as made:
        await ready(made, files)
        await made.fr.announce(files, "jp")
        await made.fr.bring(files, places[:2], "jp")
        await made.tell(files)
        assert (await made.export_all()).segments == len(places) - 2
        assert (await made.export_all()).segments == 0
        packs(made)[0].unlink()
        assert (await made.export_all()).segments > 0
        await made.take_all()
        assert await made.fr.names() == ["FileRelayAcceptance", "FileConsignment"]


async def test_files_that_come_before_their_message_wait_for_it_on_the_disk(tmp_path: Path) -> None:
    files = Files.of(1000)
    async with carrying_between(tmp_path) as made:
        await ready(made, files, arrived=False)
        await made.export_all()
        assert (await made.take_all()).refused == [(files.digest.hex(), "file-unknown")]
        await made.fr.accept_from(files, "jp", PARIS)
        assert (await made.take_all()).segments == 1


async def test_files_that_the_node_has_no_room_for_do_not_hold_up_others(tmp_path: Path) -> None:
    large, small = Files.of(3 * MIB), Files.of(1000, seed=7)
    async with carrying_between(tmp_path, partner_quota_bytes=2 * MIB) as made:
        for files in (large, small):
            await ready(made, files)
        await made.export_all()
        taken = await made.take_all()
        assert taken.refused == [(large.digest.hex(), "file-quota")]
        assert taken.segments == 1


HOSTILE = ["a link to a folder", "a link to a file", "a pipe", "endless", "of another file", "another list", "no list"]


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_folder_brings_nothing_in_and_the_rest_of_it_is_taken(tmp_path: Path, kind: str) -> None:
    files, other = Files.of(2 * MIB), Files.of(3 * MIB, seed=9)
    async with carrying_between(tmp_path) as made:
        for each in (files, other):
            await ready(made, each)
        await made.export_all()
        secret = tmp_path / "secret"
        secret.write_bytes(b"nothing of this is read")
        home = made.folder / files.digest.hex()
        (pack,) = [path for path in packs(made) if files.digest.hex() in str(path)]
        if kind == "a link to a folder":
            (home / "0").rename(tmp_path / "elsewhere")
            (home / "0").symlink_to(tmp_path / "elsewhere")
        elif kind == "a link to a file":
            pack.unlink()
            pack.symlink_to(secret)
        elif kind == "a pipe":
            pack.unlink()
            os.mkfifo(pack)
        elif kind == "endless":
            os.truncate(pack, 1 << 40)
        elif kind == "of another file":
            (foreign,) = [path for path in packs(made) if other.digest.hex() in str(path)]
            pack.write_bytes(foreign.read_bytes())
        elif kind == "another list":
            (home / "list.cbor").write_bytes(encode_list(other.list))
        else:
            (home / "list.cbor").unlink()
        taken = await made.take_all()
        codes = {code for digest, code in taken.refused if digest == files.digest.hex()}
        assert codes <= {"file-altered", "bundle-altered", "file-set-mismatch", "bundle-truncated"}
        assert len(codes) == 1
        assert {digest for digest, _ in taken.refused} == {files.digest.hex()}
        assert taken.segments == len(other.segments)
        assert secret.read_bytes() == b"nothing of this is read"


async def test_an_export_writes_through_no_link(tmp_path: Path) -> None:
    files = Files.of(1000)
    async with carrying_between(tmp_path) as made:
        await ready(made, files)
        made.folder.mkdir()
        (tmp_path / "elsewhere").mkdir()
        (made.folder / files.digest.hex()).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(BundleAlteredError):
            await made.export_all()
        assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_a_folder_with_more_names_than_an_export_writes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_NAMES", 3)
    for number in range(4):
        (tmp_path / f"{number:064x}").mkdir()
    with pytest.raises(BundleAlteredError):
        CarriedFolder(tmp_path).messages()


@pytest.mark.parametrize("begin", ["x", "00.0.0", "0" * 64 + ".99999.0", "0" * 64 + ".0.-1"])
async def test_a_step_begins_only_where_one_ended(begin: str) -> None:
    with pytest.raises(MalformedError):
        CarriedPlace.parse(begin)
    place = CarriedPlace(bytes(32), 3, BLOCK)
    assert CarriedPlace.parse(str(place)) == place


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files.of(2 * MIB)
    carried = CarriedFolder(tmp_path)
    carried.begin(files.digest, encode_list(files.list), b"hand")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "write", full)
    own = [SegmentSent(0, segment) for _, segment in sorted(files.segments.items())]
    with pytest.raises(StorageFullError):
        carried.write_packs(files.digest, 0, [own])
    assert [
        path for path in tmp_path.rglob("*") if path.is_file() and path.name not in ("list.cbor", "hand.cose")
    ] == []


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        CarriedFolder(tmp_path / "none").messages()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ComityError):
        CarriedFolder(tmp_path / "file").messages()


async def test_what_a_killed_export_left_is_taken_away_and_the_rest_goes_on(tmp_path: Path) -> None:
    files = Files.of(2 * MIB)
    async with carrying_between(tmp_path) as made:
        await ready(made, files)
        left = made.folder / files.digest.hex() / "0" / "0"
        left.mkdir(parents=True)
        (left / ".0011223344556677").write_bytes(b"half of a pack")
        await made.export_all()
        assert [path.name for path in left.iterdir() if path.name.startswith(".")] == []
        assert (await made.take_all()).segments == len(files.segments)


async def test_a_hand_that_somebody_else_signed_is_told_as_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Files.of(1000)
    async with carrying_between(tmp_path) as made:
        await ready(made, files)
        await made.export_all()
        for using in (carrying, carried_signatures):
            monkeypatch.setattr(using, "carried_key", lambda *_: ANOTHER)
        made.fr.clock.now += timedelta(seconds=1)
        assert (await made.take_all()).segments == 1
        (hand,) = read_hands(tmp_path / "hands-fr", files.digest)
        assert (hand.act, hand.sender) == ("imported", None)
        assert await made.fr.context.hands.of(files.digest) == ()


async def test_by_whose_hands_files_came_goes_on_with_them_by_disk_by_request_and_is_given_to_nobody_else(
    tmp_path: Path,
) -> None:
    files = Files.of(1000)
    async with carrying_between(tmp_path) as made:
        await ready(made, files)
        before = write_hand(files.digest, "24-7@gh", "gh", NOW - timedelta(hours=2), SIGNER)
        after = write_hand(files.digest, "gh", "jp", NOW - timedelta(hours=1), SIGNER)
        foreign = write_hand(bytes(32), "gh", "jp", NOW, SIGNER)
        announced = replace(files.announced, hands=(after, foreign, b"junk", before))
        await made.jp.intake.announce(announced, SENDER)  # as a node before it passes them on
        assert await made.jp.context.hands.of(files.digest) == (before, after)
        await made.export_all()
        await made.take_all()
        *earlier, last = await made.fr.context.hands.of(files.digest)
        assert earlier == [before, after]
        assert (parse_hand(last).sender, parse_hand(last).recipient) == ("jp", "fr")
        state = await made.fr.serving.fetch(FilesWanted(files.digest), str(PARIS))
        assert state.hands == (before, after, last)
        with pytest.raises(NotFoundError):
            await made.fr.serving.fetch(FilesWanted(files.digest), "24-7@jp")
        (made.folder / files.digest.hex() / "hands.cbor").write_bytes(b"damaged")
        assert CarriedFolder(made.folder).hands(files.digest) == (last,)
        await made.fr.housekeeping.begin()
        assert len(await made.fr.context.hands.of(files.digest)) == 3
        made.fr.context.hands.sweep(set())
        assert await made.fr.context.hands.of(files.digest) == ()


async def test_an_import_that_is_broken_off_keeps_what_it_took_and_goes_on(tmp_path: Path) -> None:
    files = Files.of(5 * MIB, 6 * MIB)
    async with carrying_between(tmp_path) as made:
        await ready(made, files)
        await made.export_all()
        first = made.fr.intake.take
        calls = 0

        async def breaking(*given: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise StorageFullError("no room")
            return await first(*given)

        made.fr.intake.take = breaking  # type: ignore[method-assign]
        with pytest.raises(StorageFullError):
            await made.take()
        again = await made.take_all()
        assert 0 < again.segments < len(files.segments)
        assert await made.fr.names() == ["FileRelayAcceptance", "FileConsignment"]
        (hand,) = read_hands(tmp_path / "hands-fr", files.digest)
        assert hand.segments == len(files.segments)


WRITER = """
import sys
from pathlib import Path
from keys.local.carried.folder import CarriedFolder
from protocol.files.sealed_file import Segment
from protocol.http.files import SegmentSent
folder = CarriedFolder(Path(sys.argv[1]))
for index in range(4000):
    folder.write_packs(bytes(32), 0, [[SegmentSent(0, Segment(index, (), bytes(1 << 20)))]])
    print(index, flush=True)
"""


@pytest.mark.outside
def test_an_export_killed_at_any_moment_leaves_whole_packs_and_nothing_that_looks_like_one(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        written = [int(writer.stdout.readline()) for _ in range(5)]
        writer.kill()
    folder = CarriedFolder(tmp_path)
    found = folder.packs(bytes(32), 0, 0)
    assert {pack.first for pack in found} >= set(written)
    for pack in found:
        (sent,) = folder.read_pack(bytes(32), 0, pack)
        assert (sent.segment.index, len(sent.segment.data)) == (pack.first, MIB)
    folder.tidy(bytes(32), 0, 0)
    assert len(list((tmp_path / bytes(32).hex() / "0" / "0").iterdir())) == len(found)


async def test_only_a_node_whose_card_takes_files_is_told_which_segments_are_here(tmp_path: Path) -> None:
    files = Files.of(5 * MIB)
    places = sorted(files.segments)
    async with carrying_between(tmp_path) as made:
        await ready(made, files)
        await made.fr.announce(files, "jp")
        await made.fr.bring(files, places[1:3], "jp")
        told = {}
        for card in (None, "a card of files"):
            directory: Any = made.fr.directory
            directory.current.node = lambda _, card=card: SimpleNamespace(files=card)
            directory.files = no_files
            context: Any = SimpleNamespace(node=made.fr.context.node)
            exchange = OfflineExchange(context, SIGNER, tmp_path / "bundles", made.fr.holdings)
            (part,) = await exchange.export("jp", MAX_PART_BYTES)
            told[card] = parse_part(part, "jp").contents.files
        assert told == {None: (), "a card of files": (FilesHad(files.digest, (((1, 2),),)),)}


async def no_files() -> dict[str, bytes]:
    return {}


async def test_files_come_also_where_it_cannot_be_kept_who_carried_them(tmp_path: Path) -> None:
    files = Files.of(1000)
    async with carrying_between(tmp_path) as made:
        await ready(made, files)
        (tmp_path / "fr" / "hands").write_bytes(b"a file in the place of the folder")
        await made.export_all()
        assert (await made.take_all()).segments == 1
        assert await made.fr.names() == ["FileRelayAcceptance", "FileConsignment"]
        assert await made.fr.context.hands.of(files.digest) == ()

"""Custody at two desks: every step is shown with what shows it, and a file leaves only as the one that was signed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import bagit
import pytest

from exchange.cli.evidence.custody import custody_lines
from exchange.content.verdicts import ScanFinding, ScanResult, ScanVerdict
from exchange.custody.chain import FileState, Shown
from exchange.custody.export import ExportWish
from exchange.evidence.bag_reader import read_bag, verify_bag
from exchange.evidence.bag_writer import write_bag
from exchange.files.given import attaching
from exchange.files.sealing import WantedFile
from keys.directory.metadata.extract import trusted_root_in
from protocol.errors import (
    FileByHashOnlyError,
    FileHashMismatchError,
    FileInfectedError,
    FileNotHereError,
    NotFoundError,
)
from tests.worlds.desks import FR, JP, NOW, World, in_thread, request

COURT = ExportWish(to="The court of Paris", purpose="case_work")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def source(world: World, name: str = "server.img", size: int = 2_000_000) -> Path:
    path = world.path / name
    path.write_bytes(bytes(range(256)) * (size // 256 + 1))
    return path


async def sent_with(desk: Any, *paths: Path, **changes: Any) -> Any:
    with attaching([WantedFile(path) for path in paths]):
        sent = await desk.messages.send(request(**changes))
    await desk.files.resume(sent.id)
    return sent


async def fetched(desk: Any, message: Any) -> None:
    await desk.messages.sync()
    assert (await desk.files.resume(message)).state == "done"


async def test_the_chain_goes_from_the_officers_disk_to_the_court(world: World) -> None:
    path, out = source(world), world.path / "out"
    out.mkdir()
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, path)
        (before,) = await jp.custody.chains(sent.id)
        assert before.file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert "not-handed-over" in before.gaps
        await fr.messages.sync()
        assert [one.file.state for one in await fr.custody.chains(sent.id)] == [FileState.LISTED]
        await fetched(fr, sent.id)
        await fr.files.get(sent.id, out)
        await fr.custody.export(sent.id, world.path / "bag", COURT)
        await fr.messages.sync()
        await jp.messages.sync()

        (there,) = await fr.custody.chains(sent.id, ["server.img"])
        (here,) = await jp.custody.chains(sent.id, [before.file.sha256[:12]])
        assert there.file.state is FileState.OPENED
        assert there.gaps == ()
        assert [step.at for step in there.steps] == sorted(step.at for step in there.steps)
        told = {step.what: step for step in there.steps}
        assert told["message"].shown is Shown.SIGNED
        assert told["files.get"].shown is told["files.export"].shown is Shown.RECORDED
        assert "The court of Paris" in told["files.export"].detail
        proved = {step.what for step in here.steps if step.shown is Shown.PROVED}
        assert {"SubmissionAcceptance", "ContentHandover", "FileHandover", "FileAccessTracking"} <= proved
        assert any(step.what == "files.seal" and step.shown is Shown.RECORDED for step in here.steps)
        assert await fr.custody.messages_with("server.img") == [sent.id]
        assert await fr.custody.messages_with(before.file.sha256) == [sent.id]
        with pytest.raises(NotFoundError):
            await fr.custody.chains(sent.id, ["another.img"])
        for text in custody_lines(there):
            assert len(text) <= 80


async def test_an_export_is_a_bag_with_custody_and_evidence_that_verify(world: World) -> None:
    path = source(world)
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, path, source(world, "order.pdf", 10))
        await fetched(fr, sent.id)
        made = await fr.custody.export(sent.id, world.path / "bag", ExportWish(**{**COURT_FIELDS, "disclose": True}))
        records = [record for _, record in await fr.office.records(lambda record: record.act == "files.export")]
    bag = world.path / "bag"
    bagit.Bag(str(bag)).validate()
    assert {one.original for one in made.files} == {"server.img", "order.pdf"}
    assert {record.file.hex() for record in records if record.file} == {one.sha256 for one in made.files}
    custody = json.loads((bag / "custody" / "custody.json").read_text())
    assert {one["file"]["original"] for one in custody["custody"]} == {"server.img", "order.pdf"}
    assert "server.img" in (bag / "custody" / "custody.txt").read_text()
    document = json.loads((bag / "custody" / "case.jsonld").read_text())
    kinds = {one["@type"] for one in document["uco-core:object"]}
    assert {"uco-observable:File", "case-investigation:InvestigativeAction"} <= kinds
    # The evidence of the message beside the files: each is the one that the message names.
    read = read_bag((bag / "custody" / "evidence.zip").read_bytes())
    root = world.ceremony.repository.root_bytes(1)
    trusted = trusted_root_in(read.directory, hashlib.sha256(root).hexdigest())
    report = verify_bag(read, trusted, NOW, beside=sorted((bag / "data").iterdir()))
    files = [check for check in report.checks if check.name.startswith("file")]
    assert [check.ok for check in files] == [True, True, True], files
    assert report.ok


COURT_FIELDS: dict[str, Any] = {"to": "The court of Paris", "purpose": "case_work"}


async def test_nothing_leaves_before_it_is_here(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world))
        await fr.messages.sync()
        with pytest.raises(FileNotHereError):
            await fr.custody.export(sent.id, world.path / "bag", COURT)
    assert not (world.path / "bag").exists()


async def test_an_infected_file_is_neither_opened_nor_exported(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from exchange.content.scanning import Scanning

    out = world.path / "out"
    out.mkdir()

    def infected(self: Scanning, path: Path) -> ScanResult:
        return ScanResult(ScanFinding(ScanVerdict.INFECTED, "test", None, "Own"), path.stat().st_size)

    def block(self: Scanning, result: ScanResult) -> None:
        raise FileInfectedError("test found Own")

    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world))
        await fetched(fr, sent.id)
        monkeypatch.setattr(Scanning, "scan", infected)
        monkeypatch.setattr(Scanning, "require", block)
        with pytest.raises(FileInfectedError):
            await fr.files.get(sent.id, out)
        with pytest.raises(FileInfectedError):
            await fr.custody.export(sent.id, world.path / "bag", COURT)
    assert not list(out.iterdir())
    assert not (world.path / "bag").exists()
    assert not [path for path in world.path.rglob("server.img") if path.parent != world.path]


async def test_a_file_that_its_sender_did_not_sign_is_kept_apart_and_proved(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender's program states the hash of another file than it sealed."""
    from exchange.files.book import FileBook

    path, out = source(world), world.path / "out"
    out.mkdir()
    lie = hashlib.sha256(b"another file").hexdigest()
    honest = FileBook.with_keys

    def lying(self: FileBook, draft: Any) -> dict[str, Any]:
        told = honest(self, draft)
        return {**told, "attachments": [{**one, "sha256": lie} for one in told["attachments"]]}

    async with world.open(JP) as jp, world.open(FR) as fr:
        monkeypatch.setattr(FileBook, "with_keys", lying)
        sent = await sent_with(jp, path)
        monkeypatch.setattr(FileBook, "with_keys", honest)
        await fetched(fr, sent.id)
        with pytest.raises(FileHashMismatchError):
            await fr.files.get(sent.id, out)
        assert not list(out.iterdir())
        (custody,) = await fr.custody.chains(sent.id)
        assert custody.file.state is FileState.QUARANTINED
        assert "files.quarantine" in {step.what for step in custody.steps}
        with pytest.raises(FileHashMismatchError, match="kept apart"):
            await fr.files.get(sent.id, out)
        with pytest.raises(FileHashMismatchError, match="kept apart"):
            await fr.custody.export(sent.id, world.path / "bag", COURT)
        contents = await fr.evidence.gather(sent.id, disclose=True, whole_files=True, **COURT_FIELDS)
    read = read_bag(write_bag(contents))
    root = world.ceremony.repository.root_bytes(1)
    report = verify_bag(read, trusted_root_in(read.directory, hashlib.sha256(root).hexdigest()), NOW)
    (failed,) = [check for check in report.checks if check.ok is False]
    assert failed.name.startswith("file ")
    assert (failed.detail or "").startswith("THE SENDER SEALED SOMETHING ELSE")


async def test_a_sealed_file_that_this_disk_damaged_accuses_nobody(world: World) -> None:
    out = world.path / "out"
    out.mkdir()
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world))
        await fetched(fr, sent.id)
        (sealed,) = [
            one for one in (world.home(FR) / "files").rglob("*") if one.is_file() and one.stat().st_size > 10**6
        ]
        damaged = bytearray(sealed.read_bytes())
        damaged[-1] ^= 1
        sealed.chmod(0o600)
        sealed.write_bytes(damaged)
        with pytest.raises(Exception, match="damaged"):
            await fr.files.get(sent.id, out)
        (custody,) = await fr.custody.chains(sent.id)
        assert custody.file.state is not FileState.QUARANTINED


async def test_what_is_exchanged_by_hash_only_is_neither_sent_nor_opened(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from exchange.files.book import FileBook

    out = world.path / "out"
    out.mkdir()
    labelled = {
        "name": "1.jpg",
        "size_bytes": 3,
        "media_type": "image/jpeg",
        "sha256": "ab" * 32,
        "label": "by_hash_only",
    }
    honest = FileBook.with_keys

    def with_label(self: FileBook, draft: Any) -> dict[str, Any]:
        told = honest(self, draft)
        return {**told, "attachments": [{**one, "label": "by_hash_only"} for one in told["attachments"]]}

    async with world.open(JP) as jp, world.open(FR) as fr:
        monkeypatch.setattr(FileBook, "with_keys", with_label)
        with pytest.raises(FileByHashOnlyError):
            await sent_with(jp, source(world))
        monkeypatch.setattr(FileBook, "with_keys", honest)
        by_hash = await jp.messages.send(request(attachments=[labelled]))
        await fr.messages.sync()
        states = await fr.custody.states(by_hash.id)
        assert states == {"1.jpg": FileState.BY_HASH}

        # A partner that sends it all the same: it is not opened here.
        sent = await sent_with(jp, source(world, "other.img"))
        await fetched(fr, sent.id)
        stored = await in_thread(fr, lambda: fr._works.context.store.messages.get(sent.id))
        message = fr._works.context.parsed.of(stored)
        marked = message.model_copy(
            update={
                "attachments": tuple(one.model_copy(update={"label": "by_hash_only"}) for one in message.attachments)
            }
        )
        monkeypatch.setattr(fr._works.context.parsed, "of", lambda _: marked)
        with pytest.raises(FileByHashOnlyError):
            await fr.files.get(sent.id, out)
    assert not list(out.iterdir())

"""Custody at two desks: every step is shown with what shows it, and a file leaves only as the one that was signed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import bagit
import pytest

from exchange.cli.evidence.custody import custody_lines
from exchange.content.verdicts import ScanFinding, ScanResult, ScanVerdict
from exchange.custody.chain import FileState, Shown
from exchange.custody.export import ExportWish
from exchange.evidence.bag_reader import read_bag, verify_bag
from exchange.evidence.bag_writer import write_bag
from exchange.files.given import attaching
from exchange.files.opening import FileOpening
from exchange.files.sealing import WantedFile
from exchange.office.officers import Login
from exchange.settings import EvidenceFilesSettings
from keys.directory.metadata.extract import trusted_root_in
from protocol.errors import (
    FileAlteredError,
    FileByHashOnlyError,
    FileHashMismatchError,
    FileInfectedError,
    FileNotHereError,
    HashOnlyNeverError,
    KeystoreLockedError,
    NotFoundError,
    OfficerRoleError,
)
from protocol.files.sealed_file import SealedFile
from tests.unit.exchange.test_officers import KIM, LEE, own_key, staffed
from tests.worlds.altered import one_bit_off
from tests.worlds.desks import FR, JP, NOW, ROOT, World, request
from tests.worlds.evidence import standalone

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


async def test_custody_says_what_a_file_was_called_whose_name_was_changed_and_for_what_it_was_given(
    world: World,
) -> None:
    async with world.open(JP) as jp:
        hostile, decomposed = "scan\u202egpj.exe", "re\u0301sume\u0301.txt"
        sent = await sent_with(jp, source(world, hostile, 300), source(world, decomposed, 300))
        await jp.custody.export(sent.id, world.path / "bag", COURT)
        changed, plain = await jp.custody.chains(sent.id)
        assert changed.file.original == "scan_gpj.exe"
        told = {step.what: step.detail for step in changed.steps}
        assert told["files.seal"] == r"this desk changed its name; the file was called scan\u{202e}gpj.exe"
        assert "Work on the case" in told["files.export"], "in words, not by its code"
        assert not any("was called" in step.detail for step in plain.steps)
        assert "was called" in "".join(custody_lines(changed))


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

    def block(self: Scanning, result: ScanResult, name: str = "") -> None:
        raise FileInfectedError(f"{name}: test found Own")

    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world))
        await fetched(fr, sent.id)
        monkeypatch.setattr(Scanning, "scan", infected)
        monkeypatch.setattr(Scanning, "require", block)
        with pytest.raises(FileInfectedError, match=r"server\.img"):
            await fr.files.get(sent.id, out)
        with pytest.raises(FileInfectedError, match=r"server\.img"):
            await fr.custody.export(sent.id, world.path / "bag", COURT)
        acts = [record.act for _, record in await fr.office.records(lambda record: record.act.startswith("files."))]
        assert "files.scan.infected" in acts
    assert not list(out.iterdir())
    assert not (world.path / "bag").exists()
    assert not [path for path in world.path.rglob("server.img") if path.parent != world.path]


@pytest.mark.outside
async def test_a_file_that_its_sender_did_not_sign_is_kept_apart_and_proved(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
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
    code, said = standalone(made_by(world), write_bag(contents), tmp_path)
    assert code == 1
    (told,) = [text for _, holds, text in said["checks"] if holds is False]
    assert told.startswith("THE SENDER SEALED ANOTHER FILE than the message states")


@pytest.mark.outside
async def test_the_program_without_comity_verifies_files_in_the_bag_and_beside_it(world: World, tmp_path: Path) -> None:
    path, out = source(world), world.path / "out"
    out.mkdir()
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, path)
        await fetched(fr, sent.id)
        (opened,) = await fr.files.get(sent.id, out)
        await fr.messages.sync()
        whole = await fr.evidence.gather(sent.id, disclose=True, whole_files=True, **COURT_FIELDS)
        reference = await fr.evidence.gather(sent.id, disclose=True, **COURT_FIELDS)
    for contents, more, verdict in (
        (whole, (), True),
        (reference, (), None),
        (reference, ("--files", str(opened.path)), True),
        (reference, ("--files", str(next((world.home(FR) / "files").glob("in/*")))), True),
    ):
        code, said = standalone(made_by(world), write_bag(contents), tmp_path, *more)
        (line,) = [row for row in said["checks"] if row[0].startswith("file ")]
        assert line[1] is verdict, line
        assert [name for name, holds, _ in said["checks"] if holds is False] == []
        assert code == (0 if verdict else 3), said["unchecked"]


def made_by(world: World) -> Any:
    return SimpleNamespace(fingerprint=hashlib.sha256(world.ceremony.repository.root_bytes(1)).hexdigest())


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


async def test_a_damaged_file_that_another_act_mends_while_it_is_opened_accuses_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = world.path / "out"
    out.mkdir()
    judged = FileOpening.is_as_named
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world))
        await fetched(fr, sent.id)
        (sealed,) = [
            one for one in (world.home(FR) / "files").rglob("*") if one.is_file() and one.stat().st_size > 10**6
        ]
        whole = sealed.read_bytes()
        sealed.chmod(0o600)
        sealed.write_bytes(one_bit_off(whole))

        def mended(self: FileOpening, file: SealedFile, place: str) -> bool:
            sealed.write_bytes(whole)
            return judged(self, file, place)

        monkeypatch.setattr(FileOpening, "is_as_named", mended)
        with pytest.raises(FileAlteredError, match="damaged"):
            await fr.files.get(sent.id, out)
        (custody,) = await fr.custody.chains(sent.id)
        assert custody.file.state is not FileState.QUARANTINED
        (opened,) = await fr.files.get(sent.id, out)
        await jp.messages.sync()
        assert "FileHandoverFailure" not in {hop.event for hop in (await jp.files.tracking(sent.id)).hops}
    assert opened.path.read_bytes() == source(world).read_bytes()


LABELLED = {
    "name": "explicit name.jpg",
    "size_bytes": 3,
    "media_type": "image/jpeg",
    "sha256": "ab" * 32,
    "label": "by_hash_only",
}


@contextmanager
def labelling(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is attached gets the label."""
    from exchange.files.book import FileBook

    honest = FileBook.with_keys

    def with_label(self: FileBook, draft: Any) -> dict[str, Any]:
        told = honest(self, draft)
        return {**told, "attachments": [{**one, "label": "by_hash_only"} for one in told["attachments"]]}

    with patch.context() as inside:
        inside.setattr(FileBook, "with_keys", with_label)
        yield


async def test_what_is_exchanged_by_hash_only_is_neither_sent_fetched_opened_nor_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from exchange.files.book import FileBook
    from exchange.office import hash_only
    from exchange.text.rendering import read_message

    out = world.path / "out"
    out.mkdir()
    assert isinstance(FileBook, type)
    async with world.open(JP) as jp, world.open(FR) as fr:
        with labelling(monkeypatch), pytest.raises(FileByHashOnlyError):
            await sent_with(jp, source(world))
        by_hash = await jp.messages.send(request(attachments=[LABELLED]))
        await fr.messages.sync()
        shown = await fr.messages.show(by_hash.id)
        assert shown.files == {"explicit name.jpg": FileState.BY_HASH}
        told = "\n".join(line.text or "" for line in read_message(shown.message))
        assert "explicit" not in told
        assert "ab" * 32 in told
        assert await fr.custody.messages_with("ab" * 32) == [by_hash.id]
        (custody,) = await fr.custody.chains(by_hash.id)
        assert not any("explicit" in text for text in custody_lines(custody))

        # A partner whose program sends it all the same: it does not come here.
        with labelling(monkeypatch), monkeypatch.context() as lax:
            lax.setattr(hash_only.HashOnly, "check_outgoing", lambda *_: None)
            sent = await sent_with(jp, source(world, "other.img"))
        await fr.messages.sync()
        assert ((await fr.files.resume(sent.id)).state, (await fr.files.progress(sent.id)).error) == (
            "failed",
            "file-by-hash-only",
        )
        await jp.messages.sync()
        tracked = await jp.files.tracking(sent.id, ask=False)
        assert tracked is not None
        assert [one.reasons for one in tracked.not_taken] == [("file-by-hash-only",)], "and its sender learns it"
        with pytest.raises(FileByHashOnlyError):
            await fr.files.get(sent.id, out)
        with pytest.raises(FileByHashOnlyError):
            await fr.custody.export(sent.id, world.path / "bag", COURT)
    assert not list(out.iterdir())
    assert not [
        path for path in (world.home(FR) / "files").rglob("*") if path.is_file() and path.stat().st_size > 10**6
    ]


async def test_a_file_that_the_case_knows_by_hash_only_is_not_sent_by_who_leaves_the_label_out(world: World) -> None:
    path = source(world)
    known = {**LABELLED, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "size_bytes": path.stat().st_size}
    async with world.open(JP) as jp, world.open(FR) as fr:
        asked = await jp.messages.send(request(attachments=[known]))
        await fr.messages.sync()
        handling = request()["handling"]
        question = await fr.messages.send(
            example("clarification.ask", to=["24-7@jp"], thread=asked.id, handling=handling)
        )
        await jp.messages.sync()
        reply = example("clarification.reply", to=["24-7@fr"], thread=asked.id, handling=handling, to_what=question.id)
        with attaching([WantedFile(path)]), pytest.raises(FileByHashOnlyError):
            await jp.messages.send(reply)


def example(kind: str, *, thread: UUID, to_what: UUID | None = None, **changes: Any) -> dict[str, Any]:
    """The example of a type in a thread."""
    found: dict[str, Any] = json.loads((ROOT / f"examples/messages/{kind}.json").read_text())
    return {**found, "thread": str(thread), "in_reply_to": str(to_what or thread), **changes}


async def test_two_officers_let_one_file_go_with_a_reason_that_is_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await staffed(world)
    path = source(world)
    digest = hashlib.sha256(path.read_bytes()).digest()
    async with world.open(JP, LEE) as jp:
        await own_key(world, jp, "lee")
    async with world.open(JP, KIM) as jp:
        await jp.office.confirm_officer("lee")
    async with world.open(JP, KIM) as jp:
        with pytest.raises(HashOnlyNeverError) as refused:
            await jp.custody.allow(digest, "For the expert of the court.", LEE)
        assert 'hash_only = "two_officers"' in refused.value.advice, "and that is the way to an exception"
        with labelling(monkeypatch), pytest.raises(FileByHashOnlyError, match="no exception"):
            await sent_with(jp, path)
    world.change_settings(JP, files=EvidenceFilesSettings(hash_only="two_officers"))
    async with world.open(JP, KIM) as jp:
        for second, refusal in ((KIM, OfficerRoleError), (Login("lee", b"wrong"), KeystoreLockedError)):
            with pytest.raises(refusal):
                await jp.custody.allow(digest, "For the expert of the court.", second)
        with labelling(monkeypatch), pytest.raises(FileByHashOnlyError, match="comity files allow"):
            await sent_with(jp, path)
        decided = await jp.custody.allow(digest, "For the expert of the court.", LEE)
        assert decided.reason == "For the expert of the court."
        (record,) = [one for _, one in await jp.office.records(lambda record: record.act == "files.allow")]
        assert (record.file, record.reason) == (digest, decided.reason)
        assert record.subject is not None
        assert record.subject.id == "lee"
        with labelling(monkeypatch):
            sent = await sent_with(jp, path)
        assert (await jp.files.progress(sent.id)).state == "done"
        with labelling(monkeypatch), pytest.raises(FileByHashOnlyError):
            await sent_with(jp, source(world, "another.img", 300))
    # What two officers of one office decided binds no other office.
    async with world.open(FR) as fr:
        await fr.messages.sync()
        assert (await fr.files.resume(sent.id)).error == "file-by-hash-only"


async def test_a_letter_names_each_file_with_its_state_and_a_copy_its_custody(world: World) -> None:
    from exchange.letters.composing import Parties, Printing, compose_letter

    out = world.path / "out"
    out.mkdir()
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world))
        await fetched(fr, sent.id)
        await fr.files.get(sent.id, out)
        letter, copy = await fr.evidence.printed(sent.id), await fr.evidence.printed(sent.id, **COURT_FIELDS)
    parties = Parties(sender=JP, recipient=FR, nodes=frozenset({"jp", "fr"}))
    told = compose_letter([letter], parties, Printing(language="en", as_of=NOW))
    texts = [(line.label, line.text) for line in told.messages[0].lines]
    assert ("State", "opened here") in texts
    assert any(text == "server.img" for _, text in texts)
    assert not any(label.startswith("Custody of") for label, _ in texts)
    printed = compose_letter([copy], parties, Printing(language="en", as_of=NOW, disclosed_to="The court", by="x"))
    lines = [(line.label, line.text) for line in printed.messages[0].lines]
    assert any(label == "Custody of the file server.img" for label, _ in lines)
    assert any("Opened, and a copy made" in (text or "") for _, text in lines)


async def test_a_copy_from_which_a_file_was_removed_keeps_nothing_of_its_custody(world: World) -> None:
    from exchange.letters.composing import Parties, Printing, compose_letter, texts_of
    from exchange.letters.redaction import Redaction

    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await sent_with(jp, source(world))
        await fetched(fr, sent.id)
        copy = await fr.evidence.printed(sent.id, **COURT_FIELDS)
    parties = Parties(sender=JP, recipient=FR, nodes=frozenset({"jp", "fr"}))
    removed = [Redaction.of_field("attachments.0=third party")]
    printing = Printing(language="en", as_of=NOW, disclosed_to="The court", by="x", redactions=removed)
    told = "\n".join(texts_of(compose_letter([copy], parties, printing)))
    assert "server.img" not in told
    assert hashlib.sha256((world.path / "server.img").read_bytes()).hexdigest() not in told


async def test_a_file_that_a_scanner_refuses_keeps_no_other_from_being_opened(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from exchange.content.scanning import Scanning

    out = world.path / "out"
    out.mkdir()
    names = ("a.img", "b.img", "c.img")

    def scan(self: Scanning, path: Path) -> ScanResult:
        bad = path.read_bytes() == b"b.img"
        return ScanResult(ScanFinding(ScanVerdict.INFECTED if bad else ScanVerdict.CLEAN, "test", None, "Own"), 5)

    def require(self: Scanning, result: ScanResult, name: str = "") -> None:
        if result.verdict is ScanVerdict.INFECTED:
            raise FileInfectedError(f"{name}: test found Own")

    async with world.open(JP) as jp, world.open(FR) as fr:
        for name in names:
            (world.path / name).write_bytes(name.encode())
        sent = await sent_with(jp, *(world.path / name for name in names))
        await fetched(fr, sent.id)
        monkeypatch.setattr(Scanning, "scan", scan)
        monkeypatch.setattr(Scanning, "require", require)
        with pytest.raises(FileInfectedError, match=r"b\.img: test found Own; others were opened: 2"):
            await fr.files.get(sent.id, out)
        assert sorted(path.name for path in out.iterdir()) == ["a.img", "c.img"]
        (listed,) = await fr.files.listed(sent.id)
        assert {row.name: row.opened for row in listed.files} == {"a.img": True, "b.img": False, "c.img": True}

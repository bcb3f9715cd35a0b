"""The processing log: every operation leaves one, in a log that cannot be altered or cut off unseen."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.desk.desk import Desk
from exchange.office.case_notes import EntryKind
from exchange.office.officers import Login
from exchange.office.processing_log import open_head, verify_export
from exchange.settings import OfficeSettings
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms
from protocol.errors import (
    CheckpointInvalidError,
    ComityError,
    DatabaseDamagedError,
    JustificationError,
    LogForkError,
    ProofInvalidError,
    UsageError,
)
from protocol.log.frontier import Frontier
from protocol.log.layout import entries_path
from protocol.log.merkle import leaf_hash
from protocol.processing_log import MAX_ROLES, Operation, ProcessingRecord, RecordedOfficer
from tests.worlds.desks import FR, JP, PASSPHRASE, World, in_thread, request
from tests.worlds.naive_tree import root

TEXT = st.text(st.characters().filter(str.isprintable), min_size=1, max_size=50)
RECORDS = st.builds(
    ProcessingRecord,
    operation=st.sampled_from(Operation),
    at=st.integers(0, 7_000_000_000_000).map(from_ms),
    officer=TEXT,
    act=TEXT,
    salt=st.binary(min_size=16, max_size=16),
    purpose=st.none() | TEXT,
    reason=st.none() | TEXT,
    message=st.none() | st.uuids(),
    digest=st.none() | st.binary(min_size=32, max_size=32),
    thread=st.none() | st.uuids(),
    recipients=st.lists(TEXT, max_size=4).map(tuple),
    ground=st.none() | TEXT,
    count=st.none() | st.integers(0, 1 << 40),
    key=st.none() | st.binary(min_size=16, max_size=16),
    subject=st.none()
    | st.builds(
        RecordedOfficer,
        TEXT,
        st.binary(min_size=16, max_size=16),
        st.sets(TEXT, max_size=MAX_ROLES).map(sorted).map(tuple),
    ),
    file=st.none() | st.binary(min_size=32, max_size=32),
)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


async def records_of(desk: Desk) -> list[ProcessingRecord]:
    return [record for _, record in await desk.office.records()]


async def asked(jp: Desk, fr: Desk) -> UUID:
    sent = await jp.messages.send(request())
    await fr.messages.sync()
    return sent.id


def key_of(world: World, desk: Desk) -> list[bytes]:
    return [entry.public for entry in world.cards[desk.address].signing_keys]


# --- The entry ------------------------------------------------------------------------------------------------------


@pytest.mark.long
@given(RECORDS)
def test_a_record_comes_back_from_its_bytes(record: ProcessingRecord) -> None:
    assert ProcessingRecord.from_bytes(record.to_bytes()) == record


@given(st.binary(max_size=200))
def test_bytes_that_are_no_record_are_refused(entry: bytes) -> None:
    with pytest.raises(ComityError):
        ProcessingRecord.from_bytes(entry)


@pytest.mark.long
@given(RECORDS, st.data())
def test_a_record_with_a_field_of_another_type_is_refused(record: ProcessingRecord, data: st.DataObject) -> None:
    fields = cbor.decode(record.to_bytes())
    field = data.draw(st.sampled_from(sorted(fields)))
    fields[field] = data.draw(st.sampled_from([True, {1: 2}, -1, "", b"x", []]))
    with pytest.raises(ComityError):
        ProcessingRecord.from_bytes(cbor.encode(fields))


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=70))
def test_the_frontier_has_the_root_of_the_whole_tree(leaves: list[bytes]) -> None:
    frontier = Frontier()
    for leaf in leaves:
        frontier = frontier.append(leaf_hash(leaf))
    assert frontier.root() == root(leaves)


# --- What is recorded -----------------------------------------------------------------------------------------------


async def test_sending_receiving_showing_searching_and_exporting_are_recorded(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await asked(jp, fr)
        await fr.messages.show(sent)
        await fr.cases.search("Roubaix")
        await fr.evidence.gather(sent, disclose=True)
        await fr.cases.add_note((await fr.messages.row(sent)).thread, EntryKind.NOTE, "Called.")
        assert [(r.operation, r.act) for r in await records_of(jp)] == [("disclosure", "send")]
        at_fr = await records_of(fr)
        assert [(r.operation, r.act) for r in at_fr] == [
            ("collection", "receive"),
            ("consultation", "show"),
            ("consultation", "search"),
            ("consultation", "bag.prepare"),
            ("alteration", "case.note"),
        ]
        shown = at_fr[1]
        assert (shown.message, shown.officer, shown.purpose) == (sent, "Claire Martin", "case_work")
        (given,) = await records_of(jp)
        assert given.recipients == (str(FR),)


async def test_records_hold_nothing_of_what_was_read_or_searched_for(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await asked(jp, fr)
        content = (await fr.messages.show(sent)).content
        await fr.cases.search("Roubaix")
        records = fr._works.context.store.records
        entries = b"".join([entry for _, _, entry in await in_thread(fr, lambda: list(records.entries()))])
        facts = json.loads(content)
        for text in (facts["own_reference"], "Roubaix", facts["targets"][0]["identifier"]["address"]):
            assert text.encode() not in entries


async def test_where_the_office_wants_a_reason_nothing_opens_without_one(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await asked(jp, fr)
    world.change_settings(FR, office=OfficeSettings(justification="required"))
    async with world.open(FR) as fr:
        with pytest.raises(JustificationError):
            await fr.messages.show(sent)
        assert (await fr.messages.row(sent)).opened_at is None
        with pytest.raises(JustificationError):
            await fr.evidence.gather(sent, disclose=True)
        before = await records_of(fr)
    assert [r.act for r in before] == ["receive"]
    login = Login(purpose="supervision", reason="Yearly check")
    async with world.open(FR, login) as fr:
        await fr.messages.show(sent)
        last = (await records_of(fr))[-1]
    assert (last.purpose, last.reason) == ("supervision", "Yearly check")


async def test_a_purpose_that_is_not_of_the_list_is_refused(world: World) -> None:
    with pytest.raises(UsageError):
        async with world.open(FR, Login(purpose="curiosity")):
            pass


# --- The log of them ------------------------------------------------------------------------------------------------


async def filled(world: World, fr: Desk, jp: Desk, *, shows: int = 5) -> None:
    sent = await asked(jp, fr)
    for _ in range(shows):
        await fr.messages.show(sent)


@pytest.mark.long
async def test_an_export_verifies_and_extends_the_head_seen_before(world: World, tmp_path: Path) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        await filled(world, fr, jp)
        seen = await fr.office.sign_records_head()
        await filled(world, fr, jp, shows=300)
        folder = tmp_path / "export"
        count = await fr.office.export_records(folder)
        verified = verify_export(folder, FR, key_of(world, fr), seen)
        assert verified.checkpoint.size == count == len(verified.records) > 256
        assert list(verified.records) == await records_of(fr)


async def test_an_altered_missing_or_foreign_export_is_refused(world: World, tmp_path: Path) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        await filled(world, fr, jp)
        keys, folder = key_of(world, fr), tmp_path / "export"
        note = await fr.office.sign_records_head()
        count = await fr.office.export_records(folder)
        bundle = folder / entries_path(0, count)
        content = bundle.read_bytes()
        bundle.write_bytes(content.replace(b"show", b"shew", 1))
        with pytest.raises(ProofInvalidError):
            verify_export(folder, FR, keys)
        bundle.unlink()
        with pytest.raises(ComityError):
            verify_export(folder, FR, keys)
        with pytest.raises(CheckpointInvalidError):
            open_head(note, JP, keys)
        with pytest.raises(CheckpointInvalidError):
            open_head(note, FR, [os.urandom(32)])
        with pytest.raises(CheckpointInvalidError):
            open_head(note.replace(b"\n7\n", b"\n6\n").replace(b"\n6\n", b"\n5\n", 1), FR, keys)


async def test_records_that_were_cut_off_or_written_anew_are_found_out(world: World, tmp_path: Path) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        await filled(world, fr, jp)
        signed = await fr.office.sign_records_head()
        assert await fr.office.check_records(signed) is not None
        await in_thread(fr, fr._works.context.store.database.execute, "DELETE FROM record WHERE seq = 3")
        with pytest.raises(DatabaseDamagedError):
            await fr.office.check_records(signed)
        await in_thread(fr, fr._works.context.store.database.execute, "DELETE FROM record")
        row = fr._works.context.store.database.cipher.blind(b"state", b"record-frontier")
        await in_thread(fr, fr._works.context.store.database.execute, "DELETE FROM state WHERE id = ?", (row,))
        with pytest.raises(LogForkError):
            await fr.office.check_records(signed)
        await fr.office.export_records(tmp_path / "cut")
        with pytest.raises(LogForkError):
            verify_export(tmp_path / "cut", FR, key_of(world, fr), signed)


async def test_the_signed_head_is_kept_beside_the_database_when_the_desk_closes(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        await filled(world, fr, jp)
        keys = key_of(world, fr)
    head = open_head((world.home(FR) / "records.checkpoint").read_bytes(), FR, keys)
    assert head.size == 6


async def _two_desks(world: World) -> UUID:
    async with world.open(JP) as jp, world.open(FR) as fr:
        return await asked(jp, fr)


@pytest.mark.long
def test_the_commands_list_check_export_and_verify(world: World, tmp_path: Path) -> None:
    sent = asyncio.run(_two_desks(world))
    secret = tmp_path / "secret"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)

    def comity(*arguments: str) -> dict[str, object]:
        ran = CliRunner().invoke(
            app,
            [*arguments, "--home", str(world.home(FR)), "--json"],
            env={"COMITY_PASSPHRASE_FILE": str(secret)},
        )
        assert ran.exit_code == 0, ran.output
        return dict(json.loads(ran.stdout))

    given = ("--to", "The court", "--purpose", "supervision")
    out = str(tmp_path / "evidence.zip")
    comity("--because", "Case 12", "evidence", "bag", str(sent), "--disclose", "--offline", "--out", out, *given)
    (listed,) = comity("records", "list", "--operation", "disclosure")["records"]  # type: ignore[misc]
    assert (listed["reason"], listed["message"]) == ("Case 12", str(sent))
    assert (listed["recipients"], listed["purpose"]) == (["The court"], "supervision")
    assert comity("records", "check") == {"records": 3, "signed": 3}
    assert str(comity("records", "head")["checkpoint"]).startswith("comity-records/24-7@fr\n3\n")
    assert comity("records", "export", str(tmp_path / "out"))["records"] == 3
    verified = comity("records", "verify", str(tmp_path / "out"), "24-7@fr", "--list")
    assert [row["act"] for row in verified["list"]] == ["receive", "bag.prepare", "bag"]  # type: ignore[attr-defined]

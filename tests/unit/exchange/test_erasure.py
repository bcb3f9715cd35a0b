"""Erased content is gone for good, by its key; what proves that it was sent stays and still verifies."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.desk.desk import NOBODY, Desk
from exchange.office.case_notes import EntryKind
from exchange.office.officers import Login, Role, new_officer_key
from exchange.settings import RetentionSettings
from exchange.store._content_keys import ContentKeys
from keys.secrets.keystore import FAST
from protocol.errors import (
    DatabaseDamagedError,
    ErasedError,
    ErasureError,
    NotFoundError,
    OfficerRoleError,
    UsageError,
)
from protocol.processing_log import Operation, ProcessingRecord
from tests.worlds.desks import FR, JP, PASSPHRASE, World, in_thread, request


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


async def ended(jp: Desk, fr: Desk) -> tuple[UUID, UUID]:
    """A case that fr was asked in and that is over: its thread, and the request's id."""
    sent = await jp.messages.send(request())
    await fr.messages.sync()
    await fr.messages.show(sent.id)
    await jp.messages.send(await jp.replies.draft(sent.id, "withdrawal", reason="The suspect was found otherwise."))
    await fr.messages.sync()
    return sent.thread, sent.id


def database(world: World) -> bytes:
    home = world.home(FR)
    return b"".join((home / name).read_bytes() for name in ("desk.sqlite", "desk.sqlite-wal") if (home / name).exists())


async def test_erased_content_does_not_open_and_its_proofs_still_verify(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        thread, message = await ended(jp, fr)
        receipts = await fr.messages.receipts(message)
        assert (await fr.office.erase_case(thread, "retention")).messages == 2
        for refused in (
            fr.messages.show(message),
            fr.evidence.gather(message, disclose=True),
            fr.messages.peek(message),
            fr.cases.case(thread),
        ):
            with pytest.raises(ErasedError):
                await refused
        assert (await fr.cases.search("Roubaix")).messages == ()
        assert await fr.cases.agenda() == []
        row = await fr.messages.row(message)
        assert (row.id, row.sender, row.own_reference) == (message, JP, None)
        assert (await fr.messages.track(message)).state == "erased"
        report = await fr.evidence.verify(message)
        assert await fr.messages.receipts(message) == receipts
        assert report.ok
        assert all(check.inclusion.ok for check in report.receipts)
        assert [(check.name, check.ok) for check in report.checks] == [("content", None)]
    async with world.open(FR) as fr:
        with pytest.raises(ErasedError):
            await fr.messages.show(message)


async def test_neither_the_erased_bytes_nor_a_copy_from_before_can_be_opened_again(
    world: World, tmp_path: Path
) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        thread, message = await ended(jp, fr)
        body = await in_thread(fr, _body, fr, message)
        assert body in database(world)
    copy = tmp_path / "backup.sqlite"
    shutil.copy(world.home(FR) / "desk.sqlite", copy)
    async with world.open(FR) as fr:
        await fr.office.erase_case(thread, "retention")
        assert body not in database(world)
    # The copy of the database comes back; the keys do not.
    shutil.copy(copy, world.home(FR) / "desk.sqlite")
    async with world.open(FR) as fr:
        with pytest.raises(ErasedError):
            await fr.messages.show(message)


async def test_a_power_cut_between_the_erasure_and_its_key_is_made_good_at_the_next_start(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        thread, message = await ended(jp, fr)
    copy = tmp_path / "backup.sqlite"
    shutil.copy(world.home(FR) / "desk.sqlite", copy)
    async with world.open(FR) as fr:
        with monkeypatch.context() as cut:
            cut.setattr("exchange.store._content_keys.ContentKeys.destroy", lambda *_: None)
            cut.setattr("exchange.store._content.ContentSeal._note_destroyed", lambda *_: None)
            await fr.office.erase_case(thread, "retention")
    async with world.open(FR):
        pass
    shutil.copy(copy, world.home(FR) / "desk.sqlite")
    async with world.open(FR) as fr:
        with pytest.raises(ErasedError):
            await fr.messages.show(message)


def _body(desk: Desk, message: UUID) -> Any:
    store = desk._works.context.store
    ((body,),) = store.database.all("SELECT body FROM message WHERE id = ?", (store._names.message(message),))
    return body[40:104]  # within one page


async def test_the_record_of_an_erasure_holds_nothing_of_what_was_erased(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        thread, message = await ended(jp, fr)
        await fr.cases.add_note(thread, EntryKind.NOTE, "Mr Dupont called.")
        await fr.office.erase_case(thread, "ordered")
        records = fr._works.context.store.records
        entries = [entry for _, _, entry in await in_thread(fr, lambda: list(records.entries()))]
        erased = [r for r in map(ProcessingRecord.from_bytes, entries) if r.operation is Operation.ERASURE]
        assert [(r.message == message, r.ground, r.thread) for r in erased] == [
            (True, "ordered", thread),
            (False, "ordered", thread),
            (True, "ordered", thread),  # of the notes
        ]
        for text in (b"Roubaix", b"203.0.113.77", b"Dupont", request()["own_reference"].encode()):
            assert all(text not in entry for entry in entries)
        assert (await fr.cases.notes(thread)).entries == ()


async def test_an_open_case_is_erased_only_when_somebody_else_decided_it(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await fr.messages.sync()
        for ground in ("retention", "released"):
            with pytest.raises(ErasureError):
                await fr.office.erase_case(sent.thread, ground)
        with pytest.raises(UsageError):
            await fr.office.erase_case(sent.thread, "because")
        with pytest.raises(NotFoundError):
            await fr.office.erase_case(UUID(int=7), "ordered")
        await fr.messages.show(sent.id)
        assert (await fr.office.erase_case(sent.thread, "ordered")).messages == 1
        with pytest.raises(ErasureError):
            await fr.office.erase_case(sent.thread, "ordered")


async def test_what_still_waits_to_be_sent_is_not_erased(world: World) -> None:
    async with world.open(JP) as jp:
        world.nodes["jp"].down = True
        sent = await jp.messages.send(request())
        with pytest.raises(ErasureError):
            await jp.office.erase_case(sent.thread, "ordered")
        world.nodes["jp"].down = False
        await jp.messages.sync()
        assert (await jp.office.erase_case(sent.thread, "ordered")).messages == 1


async def test_a_message_that_comes_later_in_an_erased_case_is_taken_and_shown(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await fr.messages.sync()
        await fr.office.erase_case(sent.thread, "misdirected")
        await jp.messages.send(await jp.replies.draft(sent.id, "status.query"))
        (received,) = (await fr.messages.sync()).received
        assert (await fr.messages.show(received.id)).message.type == "status.query"
        assert [row.id for row in await fr.cases.thread(sent.thread)] == [sent.id, received.id]


async def test_a_replayed_envelope_of_an_erased_message_is_not_taken_again(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        thread, message = await ended(jp, fr)
        await fr.office.erase_case(thread, "retention")
        box = world.nodes["fr"].box(FR)
        box.put(box.entries[0].envelope, ())
        result = await fr.messages.sync()
        assert (result.received, result.quarantined, result.duplicates) == ((), (), 1)
        with pytest.raises(ErasedError):
            await fr.messages.show(message)


async def test_only_an_administrator_erases(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        thread, _ = await ended(jp, fr)
    for officer, role in (("boss", Role.ADMINISTRATOR), ("kim", Role.RELEASER)):
        key = new_officer_key(world.home(FR) / "officers", officer, officer.encode(), FAST, world.clock())
        async with world.open(FR, Login("boss", b"boss") if officer != "boss" else NOBODY) as fr:
            await fr.office.add_officer(officer, officer, "Inspector", frozenset({role}), key)
    async with world.open(FR, Login("kim", b"kim")) as fr:
        with pytest.raises(OfficerRoleError):
            await fr.office.erase_case(thread, "ordered")


# --- Retention ------------------------------------------------------------------------------------------------------


async def test_retention_erases_cases_that_ended_long_ago_and_no_others(world: World) -> None:
    world.change_settings(FR, retention=RetentionSettings(cases_days=365, refused_days=30))
    async with world.open(JP) as jp, world.open(FR) as fr:
        old, _ = await ended(jp, fr)
        open_case = (await jp.messages.send(request())).thread
        await fr.messages.sync()
        world.clock.advance(days=300)
        assert await fr.office.erasable_cases() == []
        world.clock.advance(days=70)
        (due,) = await fr.office.erasable_cases()
        assert (due.thread, due.messages, due.state) == (old, 2, "closed")
        await fr.office.erase_case(due.thread, "retention")
        assert await fr.office.erasable_cases() == []
        assert (await fr.cases.case(open_case)).opening is not None


async def test_refused_messages_are_erased_after_their_time_and_stay_refused(world: World) -> None:
    world.change_settings(FR, retention=RetentionSettings(refused_days=30))
    async with world.open(FR) as fr:
        world.nodes["fr"].box(FR).put(b"not an envelope", ())
        await fr.messages.sync()
        (held,) = await fr.messages.quarantine()
        assert (await fr.office.erase_refused()).messages == 0
        world.clock.advance(days=31)
        assert (await fr.office.erase_refused()).messages == 1
        assert await fr.messages.quarantined_envelope(held.digest) == b""
        assert [row.code for row in await fr.messages.quarantine()] == ["erased"]
        world.nodes["fr"].box(FR).put(b"not an envelope", ())
        assert (await fr.messages.sync()).quarantined == ()


# --- The file of keys -----------------------------------------------------------------------------------------------


def test_secrets_are_made_before_they_are_used_and_destroyed_for_good(tmp_path: Path) -> None:
    keys = ContentKeys(tmp_path / "keys.bin")
    keys.provide(0)
    first, second = keys.secret(0), keys.secret(1)
    assert first != second
    keys.destroy([0])
    with pytest.raises(ErasedError):
        keys.secret(0)
    keys.close()
    assert first not in (tmp_path / "keys.bin").read_bytes()
    again = ContentKeys(tmp_path / "keys.bin")
    assert again.secret(1) == second
    again.provide(4096)
    assert len(again.secret(4096)) == 32
    with pytest.raises(DatabaseDamagedError):
        again.provide(10_000)
    with pytest.raises(DatabaseDamagedError):
        again.secret(10_000)
    again.close()


async def test_a_desk_whose_key_file_is_an_old_copy_says_so_and_takes_nothing(world: World) -> None:
    async with world.open(JP) as jp:
        await jp.messages.send(request())
    (world.home(JP) / "content-keys.bin").write_bytes(b"")
    async with world.open(JP) as jp:
        with pytest.raises(DatabaseDamagedError):
            await jp.messages.send(request())


async def _ended(world: World) -> UUID:
    async with world.open(JP) as jp, world.open(FR) as fr:
        return (await ended(jp, fr))[1]


@pytest.mark.long
def test_the_commands_list_what_is_due_and_erase(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world.change_settings(FR, retention=RetentionSettings(cases_days=1))
    message = str(asyncio.run(_ended(world)))
    secret = tmp_path / "secret"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    world.clock.advance(hours=25)

    def comity(*arguments: str) -> tuple[int, Any]:
        options = ["--home", str(world.home(FR)), "--json"]
        ran = CliRunner().invoke(app, [*arguments, *options], env={"COMITY_PASSPHRASE_FILE": str(secret)})
        return ran.exit_code, json.loads(ran.stdout)

    code, listed = comity("erase", "due", "--dry-run")
    assert (code, [case["messages"] for case in listed["due"]], listed["erased"]) == (0, [2], [])
    assert comity("show", message)[0] == 0
    world.clock.advance(hours=1)
    code, erased = comity("erase", "due")
    assert (code, [case["messages"] for case in erased["erased"]]) == (0, [2])
    code, refused = comity("show", message)
    assert (code, refused["error"]["type"]) == (1, "urn:comity:error:erased")
    assert (
        comity("erase", "case", message, "--ground", "ordered")[1]["error"]["type"]
        == "urn:comity:error:erasure-refused"
    )

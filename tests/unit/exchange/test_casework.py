"""An office's own notes are kept, sealed, only added to, and never sent."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.office.case_notes import MAX_TEXT, CaseEntry, Casework, EntryKind
from protocol.errors import NotFoundError, UsageError
from tests.worlds.desks import FR, JP, NOW, PASSPHRASE, World, request


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_the_last_entry_of_a_kind_counts_and_a_wait_ends_by_itself() -> None:
    def entry(kind: EntryKind, text: str = "", hours: int | None = None) -> CaseEntry:
        return CaseEntry(kind, NOW, "Kim", text, None if hours is None else NOW + timedelta(hours=hours))

    work = Casework(
        (entry(EntryKind.ASSIGNED, "Kim"), entry(EntryKind.ASSIGNED, "Park"), entry(EntryKind.WAITING, "", 2))
    )
    assert work.assigned_to == "Park"
    assert work.waiting_until(NOW) == NOW + timedelta(hours=2)
    assert work.waiting_until(NOW + timedelta(hours=2)) is None
    ended = Casework((*work.entries, entry(EntryKind.ASSIGNED), entry(EntryKind.WAITING)))
    assert (ended.assigned_to, ended.waiting_until(NOW)) == (None, None)
    assert [CaseEntry.from_bytes(item.to_bytes()) for item in ended.entries] == list(ended.entries)


async def test_entries_survive_a_restart_in_their_order_and_do_not_reach_the_other_side(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await jp.cases.add_note(sent.thread, EntryKind.NOTE, "Xylophone.\nSecond line.")
        await jp.cases.add_note(sent.thread, EntryKind.ASSIGNED, "Suzuki Ren", by="Kim")
        await fr.messages.sync()
        assert (await fr.cases.notes(sent.thread)).entries == ()
    async with world.open(JP) as jp:
        entries = (await jp.cases.notes(sent.thread)).entries
        assert [(entry.kind, entry.text) for entry in entries] == [
            (EntryKind.NOTE, "Xylophone.\nSecond line."),
            (EntryKind.ASSIGNED, "Suzuki Ren"),
        ]
    for file in world.home(JP).glob("desk.sqlite*"):
        assert b"Xylophone" not in file.read_bytes()


async def test_notes_about_an_unknown_case_or_with_bad_text_are_refused(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request())
        with pytest.raises(NotFoundError):
            await jp.cases.add_note(uuid4(), EntryKind.NOTE, "x")
        for text in ("x" * (MAX_TEXT + 1), "a\u202eb", "a\x1bb"):
            with pytest.raises(UsageError):
                await jp.cases.add_note(sent.thread, EntryKind.NOTE, text)
        assert (await jp.cases.notes(sent.thread)).entries == ()


async def _case(world: World) -> str:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await fr.messages.sync()
        await jp.messages.sync()
        return str(sent.id)


@pytest.mark.long
def test_the_commands_show_a_case_whole_with_what_was_noted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, sent = world.path / "passphrase", asyncio.run(_case(world))
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)

    def comity(*arguments: str, as_json: bool = True) -> tuple[int, Any]:
        options = ["--home", str(world.home(JP)), *(["--json"] if as_json else [])]
        ran = CliRunner().invoke(app, ["case", *arguments, *options], env={"COMITY_PASSPHRASE_FILE": str(secret)})
        return ran.exit_code, json.loads(ran.stdout) if as_json else ran.stdout

    assert comity("note", sent, "Called Paris.")[0] == 0
    assert comity("assign", sent, "Suzuki Ren", "--by", "Sato Yui")[0] == 0
    assert comity("wait", sent, "2126-12-01T09:00:00+09:00", "--for", "the translation")[0] == 0
    code, shown = comity("show", sent)
    assert (code, shown["assigned_to"], shown["state"]) == (0, "Suzuki Ren", "delivered")
    assert shown["waiting_until"].startswith("2126-12-01")
    assert [entry["text"] for entry in shown["notes"]] == ["Called Paris.", "Suzuki Ren", "the translation"]
    assert [item["what"] for item in shown["deadlines"]] == ["acknowledgement"]
    assert "Called Paris." in comity("show", sent, as_json=False)[1]
    for wrong in (
        ["note", sent, "  "],
        ["wait", sent, "tomorrow"],
        ["wait", sent, "2026-12-01T09:00:00"],
        ["wait", sent, "2020-01-01T00:00:00Z"],
    ):
        assert comity(*wrong)[0] == 2
    assert comity("note", "ffff", "x")[0] == 1
    code, said = comity("assign", sent, "", as_json=False)
    assert (code, "nobody" in said) == (0, True)
    assert comity("show", sent)[1]["assigned_to"] is None
    assert "nobody" in comity("show", sent, as_json=False)[1]
    code, said = comity("wait", sent, as_json=False)
    assert (code, "no longer" in said) == (0, True)

"""What is left of a case after its erasure, and cases that ended by the clock alone: nothing, and none."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from exchange.desk.desk import Desk
from exchange.office.case_notes import EntryKind
from exchange.office.officers import Login, Role, new_officer_key
from exchange.settings import OfficeSettings, RetentionSettings
from keys.secrets.keystore import FAST
from protocol.address import Address
from protocol.errors import ErasedError, ErasureError
from tests.worlds.desks import FR, JP, ROOT, World, in_thread, request
from tests.worlds.samples import AUTHORISATION

GH = Address.parse("24-7@gh")
SECRET = "Grunewaldstrasse"
BOSS = Login("boss", b"boss")
DAYS = 60


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch, "gh")


def example(name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((ROOT / f"examples/messages/{name}.json").read_text())
    return fields


async def one_officer(world: World) -> None:
    key = new_officer_key(world.home(FR) / "officers", "boss", b"boss", FAST, world.clock())
    async with world.open(FR) as fr:
        await fr.office.add_officer("boss", "Boss", "Head", frozenset(Role), key)
        key = new_officer_key(world.home(FR) / "officers", "lee", b"lee", FAST, world.clock())
    async with world.open(FR, BOSS) as fr:
        await fr.office.add_officer("lee", "Lee", "Inspector", frozenset(Role), key)
    world.change_settings(FR, office=OfficeSettings(four_eyes=("all",)))


def everything(world: World) -> bytes:
    home = world.home(FR)
    return b"".join((home / name).read_bytes() for name in ("desk.sqlite", "desk.sqlite-wal") if (home / name).exists())


# --- All of it ------------------------------------------------------------------------------------------------------


async def test_erasing_a_case_reaches_drafts_notes_hand_overs_and_all_words_however_they_were_indexed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await one_officer(world)
    async with world.open(JP) as jp, world.open(FR, BOSS) as fr:
        sent = await jp.messages.send(request(facts=f"They met at {SECRET} 12."))
        await fr.messages.sync()
        assert len((await fr.cases.search(SECRET)).messages) == 1
        case = sent.thread
        reply = await fr.replies.draft(sent.id, "clarification.ask", pauses_clock=False)
        question = {**reply, "questions": [{"question": "q1", "text": f"Which number of {SECRET}?"}]}
        waiting, returned = await fr.messages.send(question), await fr.messages.send(question)
        await fr.office.return_draft(str(returned.id), f"Ask about {SECRET} too.")
        await fr.cases.add_note(case, EntryKind.NOTE, f"Called about {SECRET}.")
        await fr.cases.add_note(case, EntryKind.ASSIGNED, "boss")
        await fr.office.hand_over("lee", f"Somebody waits in {SECRET}.")
        other = await jp.messages.send(request(facts="Another case."))
        await fr.messages.sync()
        about = await fr.replies.draft(other.id, "clarification.ask", pauses_clock=False)
        kept = await fr.messages.send({**about, "questions": question["questions"]})
        assert len((await fr.cases.search("Another")).messages) == 1
    shutil.copy(world.home(FR) / "desk.sqlite", tmp_path / "backup.sqlite")

    # A later program breaks words in another way: what an earlier one indexed goes all the same.
    monkeypatch.setattr("exchange.cases.search.words_in", lambda message: frozenset())
    async with world.open(FR, BOSS) as fr:
        erased = await fr.office.erase_case(case, "ordered")
        assert (erased.messages, erased.notes, erased.drafts) == (1, 3, 2)
        assert [proposal.id for proposal in await fr.office.proposals()] == [kept.id]
        for proposal in (waiting, returned):
            left = await fr.office.proposal(str(proposal.id))
            assert (dict(left.draft), left.remark) == ({}, None)
        assert (await fr.cases.notes(case)).entries == ()
        assert [handover.note for handover in (await fr.office.duty()).handovers] == [""]
        words = await in_thread(fr, fr._works.context.store.database.all, "SELECT count(DISTINCT seq) FROM word")
        assert words == [(1,)]
        # What the office writes later about the case is erased as well.
        await fr.cases.add_note(case, EntryKind.NOTE, f"Called again about {SECRET}.")
        assert (await fr.office.erase_case(case, "ordered")).notes == 1
        with pytest.raises(ErasureError):
            await fr.office.erase_case(case, "ordered")
    # An old copy of the database comes back, with the key file as it is.
    shutil.copy(tmp_path / "backup.sqlite", world.home(FR) / "desk.sqlite")
    async with world.open(FR, BOSS) as fr:
        for reading in (fr.cases.notes(case), fr.office.proposals(), fr.messages.show(sent.id)):
            with pytest.raises(ErasedError):
                await reading


async def test_what_was_offered_and_not_given_is_erased_with_its_case(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        fields = {name: value for name, value in example("information.spontaneous").items() if name != "commitment"}
        offer = await fr.messages.offer(
            {**fields, "stage": "disclosure", "authorisation": AUTHORISATION, "facts": f"They live in {SECRET}."}
        )
        await jp.messages.sync()
        with pytest.raises(ErasureError):
            await fr.office.erase_case(offer.thread, "retention")
        assert (await fr.office.erase_case(offer.thread, "ordered")).drafts == 1
        rows = await in_thread(fr, fr._works.context.store.database.all, "SELECT count(*) FROM withheld")
        assert rows == [(0,)]


async def test_an_erasure_names_the_other_cases_that_hold_a_copy(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request(handling={"tlp": "GREEN"}, passing_on={"countries": ["GH"]}))
        await fr.messages.sync()
        passed = await fr.messages.forward(sent.id, [GH], "This concerns you.")
        assert (await fr.office.erase_case(sent.thread, "ordered")).elsewhere == (passed.thread,)


# --- By the clock ---------------------------------------------------------------------------------------------------


async def preserved(world: World, jp: Desk, fr: Desk) -> Any:
    """A request whose targets are preserved for 60 days; with the answer."""
    sent = await jp.messages.send(request())
    await fr.messages.sync()
    ends = (world.clock() + timedelta(days=DAYS)).isoformat()
    target = {"result": "preserved", "preserved_at": world.clock().isoformat(), "expires_at": ends}
    names = [target["target"] for target in request()["targets"]]
    await fr.replies.answer(sent.id, [{**target, "target": name} for name in names])
    await jp.messages.sync()
    return sent


async def lapsed(world: World, jp: Desk, fr: Desk) -> UUID:
    return UUID(str((await preserved(world, jp, fr)).thread))


async def closed_after_lapse(world: World, jp: Desk, fr: Desk) -> UUID:
    sent = await preserved(world, jp, fr)
    world.clock.advance(days=DAYS + 1)
    await jp.messages.send(await jp.replies.draft(sent.id, "closure", reason="answered"))
    await fr.messages.sync()
    return UUID(str(sent.thread))


async def expired_unanswered(world: World, jp: Desk, fr: Desk) -> UUID:
    wanted = (world.clock() + timedelta(days=20)).isoformat()
    sent = await jp.messages.send(
        {**example("assistance.request"), "wanted_by": wanted, "wanted_by_reason": "The trial begins."}
    )
    await fr.messages.sync()
    return UUID(str(sent.thread))


async def told(world: World, jp: Desk, fr: Desk) -> UUID:
    sent = await jp.messages.send({**example("contact.test"), "to": [str(FR)]})
    await fr.messages.sync()
    return UUID(str(sent.thread))


@pytest.mark.parametrize("ending", [lapsed, closed_after_lapse, expired_unanswered, told])
async def test_a_case_that_ended_by_the_clock_or_asks_for_nothing_is_erased_when_its_time_is_over(
    world: World, ending: Any
) -> None:
    for address in (JP, FR):
        world.change_settings(address, retention=RetentionSettings(cases_days=365))
    async with world.open(JP) as jp, world.open(FR) as fr:
        case = await ending(world, jp, fr)
        for desk in (jp, fr):
            assert await desk.office.erasable_cases() == []
        world.clock.advance(days=366)
        for desk in (jp, fr):
            assert [due.thread for due in await desk.office.erasable_cases()] == [case]
            assert (await desk.office.erase_case(case, "retention")).messages > 0


async def test_a_preservation_that_a_request_followed_in_time_and_an_open_request_are_kept_whatever_the_clock_says(
    world: World,
) -> None:
    for address in (JP, FR):
        world.change_settings(address, retention=RetentionSettings(cases_days=365))
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await preserved(world, jp, fr)
        fields = {
            name: value
            for name, value in example("preservation.follow-up").items()
            if name not in {"type", "to", "thread", "in_reply_to", "officer", "own_reference", "peer_reference"}
        }
        names = [target["target"] for target in request()["targets"]]
        given = {**fields, "targets": names, "previous_request": None, "issued_at": world.clock().isoformat()}
        given = {name: value for name, value in given.items() if value is not None and name != "submitted_at"}
        filed = await jp.messages.send(await jp.replies.draft(sent.id, "preservation.follow-up", **given))
        await fr.messages.sync()
        ministry = {"organisation": "Ministry of Justice", "role": "central_authority"}
        confirmed = {"authority": ministry, "file_number": "26-1", "received_at": world.clock()}
        await fr.replies.confirm_follow_up(filed.id, **confirmed)
        await jp.messages.sync()
        undated = {name: value for name, value in example("assistance.request").items() if "wanted_by" not in name}
        asked = await jp.messages.send(undated)
        await fr.messages.sync()
        world.clock.advance(days=3650)
        for desk in (jp, fr):
            assert await desk.office.erasable_cases() == []
            for case in (sent.thread, asked.thread):
                with pytest.raises(ErasureError):
                    await desk.office.erase_case(case, "retention")

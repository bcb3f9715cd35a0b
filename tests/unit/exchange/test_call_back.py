"""Nothing is disclosed in an emergency before the asking office was called on the directory's number."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from exchange.cases.calls import CallEntry, CallKind
from exchange.cli.cases.calls import entry_text
from exchange.cli.main import app
from exchange.desk.desk import Desk
from exchange.office.officers import Login
from exchange.settings import OfficeSettings
from exchange.views import Lane, SendStatus
from protocol.address import Address
from protocol.errors import (
    CallBackNeededError,
    ComityError,
    ForbiddenError,
    KeystoreLockedError,
    NothingOpenError,
    OfficerNeededError,
    OfficerRoleError,
    SuspectedForgeryError,
    UsageError,
)
from protocol.processing_log import ProcessingRecord, RecordedCall
from tests.unit.exchange.test_officers import BOSS, KIM, LEE, own_key, staffed
from tests.worlds.desks import FR, JP, PASSPHRASE, ROOT, World, in_thread, request, without_rules

NUMBER, DEPUTYS, FORGED = "+33 1 40 97 80 00", "+33 1 23 45 67 89", "+442079460958"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path, monkeypatch)
    card = made.cards[FR].model_copy(
        update={"phones": (NUMBER,), "escalation_contact": DEPUTYS, "updated_at": made.clock()}
    )
    made.publish(card)
    return made


def example(name: str, **changes: Any) -> dict[str, Any]:
    return {**json.loads((ROOT / f"examples/messages/{name}.json").read_text("utf-8")), **changes}


async def emergency(world: World, **fields: Any) -> UUID:
    """An emergency of fr that is at jp."""
    times = {"needed_by": world.clock() + timedelta(minutes=30), "supplement_by": world.clock() + timedelta(days=3)}
    call_back = {"name": "Marc Petit", "telephone": FORGED}
    draft = example("emergency.request", to=[str(JP)], **times, call_back=call_back) | fields
    async with world.open(FR) as fr:
        sent = await fr.messages.send(draft)
    async with world.open(JP) as jp:
        await jp.messages.sync()
    return sent.id


async def disclosure(jp: Desk, asked: UUID) -> dict[str, Any]:
    """A draft that gives what was asked for."""
    said = example("answer")
    items = [{**item, "targets": ["t1"]} for item in said["items"]]
    fields = {"completeness": "partial", "items": items, "attachments": said["attachments"], "remaining": ["t1"]}
    more = {"authorisation": said["authorisation"]} if "authorisation" in said else {}
    later = {"next_update_by": jp._works.context.clock() + timedelta(hours=1)}
    return await jp.replies.draft(asked, "answer", **fields | later | more)


async def records(desk: Desk) -> list[ProcessingRecord]:
    table = desk._works.context.store.records
    return await in_thread(desk, lambda: [ProcessingRecord.from_bytes(entry) for _, _, entry in table.entries()])


# --- The number -----------------------------------------------------------------------------------------------------


async def test_the_number_to_call_is_the_directorys_and_that_of_the_message_is_named_as_one_not_to_call(
    world: World,
) -> None:
    asked = await emergency(world)
    async with world.open(JP) as jp:
        sheet = await jp.cases.call_sheet(asked)
        assert sheet.reach is not None
        assert sheet.reach.numbers == (NUMBER, DEPUTYS)
        assert [one.number for one in sheet.written if one.where.startswith("call_back")] == [FORGED]
        assert all(one.differs for one in sheet.written if one.where.startswith("call_back"))
        assert sheet.required


async def test_the_number_is_that_of_the_directory_when_the_message_came_whatever_is_published_later(
    world: World,
) -> None:
    asked = await emergency(world)
    async with world.open(JP) as jp:
        then = jp.directory.version
    world.clock.advance(hours=2)
    world.publish(world.cards[FR].model_copy(update={"phones": (FORGED,), "updated_at": world.clock()}))
    async with world.open(JP) as jp:
        await jp.refresh_directory()
        sheet = await jp.cases.call_sheet(asked)
        assert jp.directory.version > then
        assert sheet.recorded is not None
        assert (sheet.recorded.phones, sheet.recorded.version) == ((NUMBER,), then)
        assert sheet.changed
        with pytest.raises(UsageError, match="no such number"):
            await jp.cases.record_call(asked, "verified", number=FORGED, spoke_to="Marc Petit")


# --- Before anything is disclosed -----------------------------------------------------------------------------------


async def test_a_correction_discloses_no_more_than_the_message_could(world: World) -> None:
    asked = await emergency(world)
    async with world.open(JP) as jp:
        data = await disclosure(jp, asked)
        ground = {"code": "not_available", "text": "Not yet."}
        left_out = {"completeness": "partial", "not_answered": [{"target": "t1", "ground": ground}]}
        later = {name: data[name] for name in ("next_update_by", "remaining")}
        none = await jp.messages.send(await jp.replies.draft(asked, "answer", **left_out, **later))
        given = {name: data[name] for name in ("attachments", "authorisation")}
        given["items"] = [{**item, "conditions": []} for item in data["items"]]
        with pytest.raises(CallBackNeededError):
            await jp.replies.correct(none.id, {**given, "not_answered": None}, reason="Found.")
        with pytest.raises(CallBackNeededError):
            await jp.replies.correct(none.id, {"text": "It is Jean Martin.", "not_answered": None}, reason="Found.")


async def test_nothing_is_disclosed_before_the_office_verified_the_caller_and_then_it_is(world: World) -> None:
    asked = await emergency(world)
    async with world.open(JP) as jp:
        draft = await disclosure(jp, asked)
        (item,) = [item for item in await jp.cases.agenda() if item.what == "call_back"]
        assert (item.lane, item.level, item.next) == (Lane.EMERGENCIES, "call", f"comity call show {str(asked)[-8:]}")
        for way in (jp.messages.send(draft), jp.messages.send_many([draft])):
            with pytest.raises(CallBackNeededError):
                await way
        await jp.cases.record_call(asked, "nobody_answered")
        with pytest.raises(CallBackNeededError):
            await jp.messages.send(draft)
        entry = await jp.cases.record_call(asked, "verified", number="+33140978000", spoke_to="Marc Petit")
        assert (entry.number, entry.version) == (NUMBER, jp.directory.version)
        assert (await jp.messages.send(draft)).status is SendStatus.SUBMITTED
        assert [item for item in await jp.cases.agenda() if item.what == "call_back"] == []
        calls = [record for record in await records(jp) if record.act.startswith("call.")]
        assert [(record.act, record.call) for record in calls] == [
            ("call.nobody_answered", RecordedCall("nobody_answered", NUMBER, entry.version)),
            ("call.verified", RecordedCall("verified", NUMBER, entry.version)),
        ]
        assert all(b"Petit" not in record.to_bytes() for record in calls)


async def test_what_discloses_nothing_needs_no_call(world: World) -> None:
    asked = await emergency(world)
    async with world.open(JP) as jp:
        acknowledged = await jp.replies.acknowledge(asked, will_answer="yes", form="message", eta=jp_in(world, hours=1))
        assert acknowledged.status is SendStatus.SUBMITTED


def jp_in(world: World, **spans: float) -> datetime:
    return world.clock() + timedelta(**spans)


async def test_an_office_may_leave_the_call_to_its_officers(world: World) -> None:
    asked = await emergency(world)
    world.change_settings(JP, office=OfficeSettings(emergency_call_back="optional"))
    async with world.open(JP) as jp:
        assert (await jp.messages.send(await disclosure(jp, asked))).status is SendStatus.SUBMITTED


async def test_a_request_that_is_no_emergency_needs_no_call(world: World) -> None:
    async with world.open(FR) as fr, world.open(JP) as jp:
        asked = await fr.messages.send(request(to=[str(JP)], urgency="urgent", urgency_reason="Soon overwritten."))
        await jp.messages.sync()
        assert not (await jp.cases.call_sheet(asked.id)).required
        assert [item for item in await jp.cases.agenda() if item.what == "call_back"] == []


# --- A forgery ------------------------------------------------------------------------------------------------------


async def test_a_desk_that_registered_no_officers_says_so_where_two_are_needed(world: World) -> None:
    asked = await emergency(world)
    async with world.open(JP) as jp:
        with pytest.raises(OfficerNeededError, match="registered none"):
            await jp.cases.break_glass(asked, "A child is in danger.", LEE)


async def test_a_request_that_is_not_theirs_is_marked_wherever_it_is_shown_and_nothing_goes_out(world: World) -> None:
    await staffed(world)
    asked = await emergency(world)
    async with world.open(JP, KIM) as jp:
        await jp.cases.record_call(asked, "not_theirs", spoke_to="Marc Petit")
        draft = await disclosure(jp, asked)
        with pytest.raises(SuspectedForgeryError):
            await jp.messages.send(draft)
        with pytest.raises(ForbiddenError):
            await jp.cases.break_glass(asked, "A child is in danger.", LEE)
        assert [row.suspected for row in await jp.messages.inbox()] == [True]
        assert any(note.startswith("SUSPECTED FORGERY") for note in (await jp.messages.show(asked)).notes)
        assert {item.suspected for item in await jp.cases.agenda()} == {True}
        assert {item.next for item in await jp.cases.agenda() if item.ours} == {"comity new incident"}
        assert [row.suspected for row in (await jp.cases.listing()).cases] == [True]
        # A mistake is mended by a new call, and both stay on record.
        await jp.cases.record_call(asked, "verified", spoke_to="Marc Petit")
        assert (await jp.messages.send(draft)).status is SendStatus.SUBMITTED
        assert len((await jp.cases.calls(asked)).entries) == 2


# --- Break-glass ----------------------------------------------------------------------------------------------------


async def test_two_officers_let_one_disclosure_go_without_a_call_and_a_third_reviews_it(world: World) -> None:
    await staffed(world)
    async with world.open(JP, LEE) as jp:
        await own_key(world, jp, "lee")
    async with world.open(JP, KIM) as jp:
        await jp.office.confirm_officer("lee")
    asked = await emergency(world)
    async with world.open(JP, KIM) as jp:
        await jp.cases.record_call(asked, "nobody_answered")
        await jp.cases.break_glass(asked, "A child is in danger now.", LEE)
        draft = await disclosure(jp, asked)
        given = await jp.messages.send(draft)
        assert given.status is SendStatus.SUBMITTED
        async with world.open(FR) as fr:  # the asking office is told, too
            await fr.messages.sync()
            assert (await fr.messages.show(given.id)).message.model_dump()["without_call_back"] is True
        with pytest.raises(CallBackNeededError):
            await jp.messages.send(await disclosure(jp, asked))  # the glass was broken for one
        (item,) = [item for item in await jp.cases.agenda() if item.what == "glass_review"]
        assert (item.lane, item.level, item.due) == (Lane.OURS, "review", world.clock() + timedelta(hours=24))
        broken = next(record for record in await records(jp) if record.act == "call.break-glass")
        assert (broken.officer, broken.subject and broken.subject.id) == ("Kim (kim)", "lee")
        assert b"child" not in broken.to_bytes()
        with pytest.raises(OfficerRoleError):
            await jp.cases.review_glass(asked)
    async with world.open(JP, LEE) as jp:
        with pytest.raises(OfficerRoleError):
            await jp.cases.review_glass(asked)
    async with world.open(JP, BOSS) as jp:
        await jp.cases.review_glass(asked, "Right in the circumstances.")
        kinds = [entry.kind for entry in (await jp.cases.calls(asked)).entries]
        assert kinds == [CallKind.CALL, CallKind.BREAK_GLASS, CallKind.GLASS_USED, CallKind.REVIEW]
        assert [item for item in await jp.cases.agenda() if item.what == "glass_review"] == []
        with pytest.raises(NothingOpenError):
            await jp.cases.review_glass(asked)


@pytest.mark.parametrize(
    ("second", "refusal"),
    [
        (KIM, OfficerRoleError),  # the same officer
        (Login("lee", b"wrong"), KeystoreLockedError),
        (Login(None), OfficerNeededError),
        (Login("han", b"han's own"), OfficerRoleError),  # who only reads
    ],
    ids=["the-same", "wrong-passphrase", "nobody", "a-reader"],
)
async def test_the_second_officer_is_another_person_who_proves_to_be_there(
    world: World, second: Login, refusal: type[ComityError]
) -> None:
    await staffed(world)
    asked = await emergency(world)
    async with world.open(JP, KIM) as jp:
        with pytest.raises(refusal):
            await jp.cases.break_glass(asked, "A child is in danger now.", second)
        with pytest.raises(CallBackNeededError):
            await jp.messages.send(await disclosure(jp, asked))


async def test_one_person_with_two_ids_does_not_break_the_glass_alone(world: World) -> None:
    await staffed(world)
    asked = await emergency(world)
    # boss registered lee, who never made a key of their own: both ids count as one person.
    async with world.open(JP, LEE) as jp:
        with pytest.raises(OfficerRoleError, match="count as one"):
            await jp.cases.break_glass(asked, "A child is in danger now.", BOSS)


async def test_the_glass_is_broken_for_emergencies_alone(world: World) -> None:
    await staffed(world)
    async with world.open(FR) as fr:
        sent = await fr.messages.send(request(to=[str(JP)], urgency="routine", urgency_reason=None))
    async with world.open(JP, KIM) as jp:
        await jp.messages.sync()
        with pytest.raises(ForbiddenError):
            await jp.cases.break_glass(sent.id, "We are in a hurry.", LEE)


# --- Ways around the call ---------------------------------------------------------------------------------------------


async def test_a_file_discloses_whatever_message_it_is_attached_to(world: World) -> None:
    asked = await emergency(world)
    async with world.open(JP) as jp:
        files = (await disclosure(jp, asked))["attachments"]
        draft = await jp.replies.draft(
            asked, "status.report", state="in_execution", next_update_by=jp_in(world, hours=1), attachments=files
        )
        with pytest.raises(CallBackNeededError):
            await jp.messages.send(draft)


async def corrected(world: World, asked: UUID, **changes: Any) -> None:
    async with world.open(FR) as fr:
        await fr.replies.correct(asked, changes, reason="It was another account.")
    async with world.open(JP) as jp:
        await jp.messages.sync()


async def test_a_call_does_not_cover_what_the_request_was_corrected_to_afterwards(world: World) -> None:
    asked = await emergency(world)
    async with world.open(JP) as jp:
        await jp.cases.record_call(asked, "verified", spoke_to="Marc Petit")
    await corrected(world, asked, own_reference="FR-OTHER-1")
    async with world.open(JP) as jp:
        assert [item.what for item in await jp.cases.agenda() if item.what == "call_back"] == ["call_back"]
        draft = await disclosure(jp, asked)
        with pytest.raises(CallBackNeededError):
            await jp.messages.send(draft)
        assert not (await jp.cases.call_sheet(asked)).calls.verified
        await jp.cases.record_call(asked, "verified", spoke_to="Marc Petit")
        assert (await jp.messages.send(draft)).status is SendStatus.SUBMITTED


async def test_the_glass_that_was_broken_for_a_request_is_whole_again_for_its_correction(world: World) -> None:
    await staffed(world)
    asked = await emergency(world)
    async with world.open(JP, KIM) as jp:
        await jp.cases.break_glass(asked, "A child is in danger now.", LEE)
    await corrected(world, asked, own_reference="FR-OTHER-1")
    async with world.open(JP, KIM) as jp:
        with pytest.raises(CallBackNeededError):
            await jp.messages.send(await disclosure(jp, asked))


async def test_a_call_to_another_office_that_writes_into_the_case_verifies_nothing(world: World) -> None:
    court = Address.parse("court@fr")
    world.enrol(court)
    world.publish(world.cards[court].model_copy(update={"phones": (DEPUTYS,), "updated_at": world.clock()}))
    asked = await emergency(world)
    draft = {"type": "note", "thread": str(asked), "in_reply_to": str(asked), "to": [str(JP)], "text": "Call us."}
    draft |= {"language": "en", "handling": {"tlp": "AMBER+STRICT", "pap": "AMBER"}, "asks": False}
    draft |= {"officer": {"name": "Marc Petit", "role": "Clerk"}}
    async with world.open(court) as there:
        with without_rules(there), pytest.MonkeyPatch.context() as patched:
            patched.setattr("exchange.messaging.outbox.check_next_step", lambda *_, **__: None)
            patched.setattr("exchange.messaging.outbox.check_composed", lambda *_, **__: (), raising=False)
            patched.setattr("exchange.messaging.checks.check_composed", lambda *_, **__: ())
            written = await there.messages.send(draft)
    async with world.open(JP) as jp:
        await jp.messages.sync()
        with pytest.raises(UsageError, match=str(FR)):
            await jp.cases.record_call(written.id, "verified", spoke_to="Marc Petit")
        with pytest.raises(CallBackNeededError):
            await jp.messages.send(await disclosure(jp, asked))


async def test_a_request_that_is_corrected_to_an_emergency_needs_the_call_too(world: World) -> None:
    async with world.open(FR) as fr:
        asked = (await fr.messages.send(request(to=[str(JP)]))).id
    await corrected(world, asked, urgency="emergency", urgency_reason="A child is in danger.")
    async with world.open(JP) as jp:
        assert (await jp.cases.call_sheet(asked)).required


async def test_an_emergency_that_another_office_passed_on_needs_a_call_to_who_asks(world: World) -> None:
    court = Address.parse("court@jp")
    world.enrol(court)
    asked = await emergency(world)
    async with world.open(JP) as jp:
        await jp.cases.record_call(asked, "verified", spoke_to="Marc Petit")
        await jp.referrals.pass_on(asked, [court], "The court of Tokyo is competent.")
    async with world.open(court) as there:
        await there.messages.sync()
        (passed,) = await there.messages.inbox()
        sheet = await there.cases.call_sheet(passed.id)
        assert (sheet.required, sheet.contact) == (True, FR)
        with pytest.raises(CallBackNeededError):
            await there.messages.send(await disclosure(there, passed.id))


# --- The commands ---------------------------------------------------------------------------------------------------


async def test_a_call_about_ones_own_request_is_told_in_the_words_of_who_asks_and_marks_nobody(world: World) -> None:
    world.publish(world.cards[JP].model_copy(update={"phones": (NUMBER,), "updated_at": world.clock()}))
    asked = await emergency(world)
    async with world.open(FR) as fr:
        said = []
        for outcome in ("verified", "not_theirs"):
            await fr.cases.call_sheet(asked)
            entry = await fr.cases.record_call(asked, outcome, spoke_to="Suzuki Ren")
            assert CallEntry.from_bytes(entry.to_bytes()) == replace(entry, upto=0)
            said.append(entry_text(entry))
            calls = await fr.cases.calls(asked)
            assert (calls.verified, calls.suspected) == (False, False)
        assert "has our message" in said[0]
        assert "not with it" in said[1]
        assert not (await fr.messages.row(asked)).suspected
    async with world.open(JP) as jp:
        await jp.cases.call_sheet(asked)
        entry = await jp.cases.record_call(asked, "verified", spoke_to="Marc Petit")
        assert "the request is theirs" in entry_text(entry)
        assert (await jp.cases.calls(asked)).verified


def comity(world: World, *arguments: str) -> tuple[int, str]:
    secret = world.path / "passphrase"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    given = {"COMITY_PASSPHRASE_FILE": str(secret)}
    ran = CliRunner().invoke(app, [*arguments, "--home", str(world.home(JP))], env=given)
    return ran.exit_code, ran.output


async def test_the_commands_say_whom_to_call_and_what_not_to_call(world: World) -> None:
    asked = str(await emergency(world))
    code, out = await asyncio.to_thread(comity, world, "call", "show", asked)
    assert code == 0
    assert NUMBER in out
    assert f"{FORGED} DIFFERS, do not call it" in out
    assert max(map(len, out.splitlines())) <= 100
    code, out = await asyncio.to_thread(
        comity, world, "call", "record", asked, "--not-theirs", "--spoke-to", "M. Petit"
    )
    assert (code, "SUSPECTED FORGERY" in out) == (0, True)
    code, out = await asyncio.to_thread(comity, world, "call", "show", asked, "--json")
    told = json.loads(out)
    assert (told["suspected"], told["call"]["phones"], told["recorded"]) == (True, [NUMBER], True)
    for shown in (("inbox", "--offline"), ("case", "show", asked), ("case", "list"), ("show", asked), ("agenda",)):
        code, out = await asyncio.to_thread(comity, world, *shown)
        assert (code, "SUSPECTED FORGERY" in " ".join(out.split())) == (0, True), (shown, out)
    code, _ = await asyncio.to_thread(comity, world, "call", "record", asked, "--verified", "--not-theirs")
    assert code != 0

"""What came by another way than Comity is kept apart, marked as not proved, until a proved message confirms it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.audit.period import Period
from exchange.desk.desk import Desk
from exchange.report import Suppression
from exchange.store.rows import UnprovedEntry
from exchange.views import Lane
from protocol.errors import (
    AlreadyRegisteredError,
    ErasureError,
    NotFoundError,
    NothingOpenError,
    OtherKindOfIdError,
    UsageError,
)
from tests.unit.exchange.test_sending_commands import typed
from tests.worlds.desks import FR, JP, World, in_thread, request

NUMBER = "+33 1 40 97 80 00"
REFERENCE = "NPA-CY-2026-004417"
SECRET = "The kidnapper wrote from 203.0.113.77."


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path, monkeypatch)
    made.publish(made.cards[JP].model_copy(update={"phones": (NUMBER,), "updated_at": made.clock()}))
    return made


async def registered(fr: Desk, **more: Any) -> UnprovedEntry:
    given = {"reference": REFERENCE, "urgency": "urgent", **more}
    return await fr.cases.register("interpol", "preservation.request", JP, "NCB Tokyo", SECRET, **given)


async def test_it_is_due_to_be_called_about_and_confirmed_and_marked_everywhere(world: World) -> None:
    async with world.open(FR) as fr:
        entry = await registered(fr)
        items = {item.what: item for item in await fr.cases.agenda()}
        assert items.keys() == {"call_back", "confirmation"}
        assert {item.proved for item in items.values()} == {False}
        assert (items["call_back"].lane, items["confirmation"].lane) == (Lane.OURS, Lane.THEIRS)
        assert items["confirmation"].due == world.clock() + timedelta(days=3)
        (row,) = (await fr.cases.listing()).cases
        assert (row.proved, row.state, row.peer_reference, row.thread) == (False, "not_proved", REFERENCE, entry.id)
        with pytest.raises(UsageError, match="no such number"):
            await fr.cases.call_about(entry.id, "verified", number="+442079460958", spoke_to="Suzuki Ren")
        called = await fr.cases.call_about(entry.id, "verified", spoke_to="Suzuki Ren")
        assert (called.outcome, called.calls[0].number) == ("verified", NUMBER)
        assert {item.what for item in await fr.cases.agenda()} == {"confirmation"}  # it is still not proved


async def test_an_emergency_by_telephone_comes_first_too(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        await jp.messages.send(request(own_reference="OTHER"))
        await fr.messages.sync()
        needed = world.clock() + timedelta(minutes=30)
        entry = await registered(fr, urgency="emergency", needed_by=needed)
        first = (await fr.cases.agenda())[0]
        assert (first.thread, first.lane, first.harm_at) == (entry.id, Lane.EMERGENCIES, needed)
        assert ((await fr.cases.listing()).cases)[0].thread == entry.id


async def test_the_proved_message_confirms_it_when_it_comes_and_another_offices_does_not(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        entry = await registered(fr)
        other = await registered(fr, reference="NPA-OTHER")
        sent = await jp.messages.send(request(own_reference=REFERENCE))
        await fr.messages.sync()
        entries = {one.id: one for one in await fr.cases.registered()}
        assert (entries[entry.id].thread, entries[other.id].thread) == (sent.thread, None)
        assert {item.thread for item in await fr.cases.agenda() if not item.proved} == {other.id}
        with pytest.raises(NothingOpenError):
            await fr.cases.link_registered(entry.id, sent.id)
        linked = await fr.cases.link_registered(other.id, sent.id)
        assert linked.thread == sent.thread


async def test_what_another_nation_or_this_desk_itself_said_confirms_nothing(world: World) -> None:
    async with world.open(FR) as fr:
        entry = await registered(fr)
        own = await fr.messages.send(request(to=[str(JP)], own_reference=REFERENCE))
        with pytest.raises(UsageError, match="jp"):
            await fr.cases.link_registered(entry.id, own.id)
        assert [one.thread for one in await fr.cases.registered()] == [None]


async def test_it_never_enters_messages_searches_figures_or_evidence(world: World) -> None:
    async with world.open(FR) as fr:
        before = await fr.cases.figures(Period(None, None), Suppression(0))
        entry = await registered(fr)
        assert await fr.messages.inbox() == []
        assert (await fr.cases.search("kidnapper")).messages == ()
        assert await fr.cases.figures(Period(None, None), Suppression(0)) == before
        for look in (fr.messages.show, fr.messages.track, fr.evidence.verify, fr.cases.case):
            with pytest.raises(NotFoundError):
                await look(entry.id)


async def test_it_is_sealed_and_is_erased_for_good(world: World) -> None:
    async with world.open(FR) as fr:
        entry = await registered(fr)
        with pytest.raises(ErasureError):
            await fr.cases.erase_registered(entry.id)
        await fr.cases.drop_registered(entry.id, "Taken back by telephone.")
        await fr.cases.erase_registered(entry.id)
        assert await fr.cases.registered() == []
        assert await fr.cases.agenda() == []
        assert (await fr.cases.listing()).cases == []
        store = fr._works.context.store
        records = await in_thread(fr, lambda: [one for _, _, one in store.records.entries()])
        assert [b"unproved." in one for one in records].count(True) == 3
        assert not any(b"kidnapper" in one for one in records)
    for file in world.home(FR).glob("desk.sqlite*"):
        assert SECRET.encode() not in file.read_bytes()


async def test_what_cannot_be_is_refused(world: World) -> None:
    async with world.open(FR) as fr:
        for channel, kind in (("pigeon", "preservation.request"), ("comity", "preservation.request"), ("mail", "poem")):
            with pytest.raises(UsageError):
                await fr.cases.register(channel, kind, JP, "NCB Tokyo", "Text.")


async def test_the_same_letter_is_not_registered_twice_unless_that_is_said(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        first = await registered(fr)
        short = str(first.id)[-8:]
        for again in ({}, {"reference": REFERENCE.lower()}, {"reference": None}):
            with pytest.raises(AlreadyRegisteredError, match=f"comity unproved show {short}"):
                await registered(fr, **again)
        with pytest.raises(AlreadyRegisteredError):
            await fr.cases.register("mail", "preservation.request", JP, "An assistant", "Copy.", reference=REFERENCE)
        assert len(await fr.cases.registered()) == 1
        second = await registered(fr, again=True)
        await registered(fr, reference="ANOTHER")  # the same words about another matter
        # A letter that was dropped keeps nobody from registering it.
        await fr.cases.drop_registered(first.id, "Taken back.")
        await fr.cases.drop_registered(second.id, "Twice.")
        await registered(fr)
        # After its proved message, a letter tells nothing new.
        sent = await jp.messages.send(request(own_reference="NPA-9"))
        await fr.messages.sync()
        with pytest.raises(AlreadyRegisteredError, match=f"comity case show {str(sent.thread)[-8:]}"):
            await registered(fr, reference="NPA-9")
        # However its letters and blanks are written, as among letters.
        with pytest.raises(AlreadyRegisteredError, match="comity case show"):
            await registered(fr, reference=" npa-9 ")
        await registered(fr, reference="NPA-9", again=True)


async def test_a_case_that_was_registered_before_it_was_proved_leads_to_that(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        entry = await registered(fr)
        sent = await jp.messages.send(request(own_reference=REFERENCE))
        await fr.messages.sync()
        other = await jp.messages.send(request(own_reference="OTHER"))
        await fr.messages.sync()
        assert [one.id for one in await fr.cases.registered_before(sent.thread)] == [entry.id]
        assert await fr.cases.registered_before(other.thread) == []
        with pytest.raises(OtherKindOfIdError, match=f"comity case show {str(sent.thread)[-8:]}"):
            await fr.messages.resolve(str(entry.id)[-8:])
    code, said = await asyncio.to_thread(typed, world, FR, "case", "show", str(sent.id))
    assert code == 0
    assert f"comity unproved show {str(entry.id)[-8:]}" in " ".join(said.split())
    code, said = await asyncio.to_thread(typed, world, FR, "case", "show", str(sent.id), "--json")
    assert [one["id"] for one in json.loads(said)["unproved"]] == [str(entry.id)]


async def test_an_id_of_another_kind_leads_to_the_command_that_is_about_it(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        entry = await registered(fr)
        sent = await jp.messages.send(request(own_reference="OTHER"))
        await fr.messages.sync()
        for part in (str(entry.id), str(entry.id)[-8:], str(entry.id)[:8].upper()):
            with pytest.raises(OtherKindOfIdError, match=f"comity unproved show {str(entry.id)[-8:]}"):
                await fr.messages.resolve(part)
            assert await fr.cases.resolve_registered(part) == entry.id
        with pytest.raises(OtherKindOfIdError, match=f"comity show {str(sent.id)[-8:]}"):
            await fr.cases.resolve_registered(str(sent.id)[-8:])
        for wrong in ("0000aaaa", "ffffffffffff"):
            with pytest.raises(NotFoundError):
                await fr.messages.resolve(wrong)
            with pytest.raises(NotFoundError):
                await fr.cases.resolve_registered(wrong)
    short = str(entry.id)[-8:]
    for words in (
        ("case", "show", short),
        ("case", "assign", short, "Kim"),
        ("case", "close", short, "--reason", "answered"),
        ("show", short),
        ("track", short),
        ("acknowledge", short, "--will-answer", "yes", "--eta", "2026-11-24T09:00:00Z"),
    ):
        code, said = await asyncio.to_thread(typed, world, FR, *words)
        assert (code, f"comity unproved show {short}" in " ".join(said.split())) == (1, True), (words, said)

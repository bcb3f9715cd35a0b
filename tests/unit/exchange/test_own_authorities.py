"""A case that waits for one of our own authorities says so, since when, and until when."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from exchange.views import Lane
from protocol.errors import NothingOpenError, UsageError
from tests.worlds.desks import FR, JP, World, request

ROUTINE = {"urgency": "routine", "urgency_reason": None}
JUDGE = "Investigating judge, Paris"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


async def test_an_own_authority_is_due_since_the_first_word_of_it_until_it_is_done(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request(**ROUTINE))
        await fr.messages.sync()
        since = world.clock()
        with pytest.raises(UsageError):
            await fr.cases.await_authority(sent.thread, " ")
        with pytest.raises(UsageError, match="passed already"):
            await fr.cases.await_authority(sent.thread, JUDGE, until=world.clock())
        with pytest.raises(NothingOpenError):
            await fr.cases.end_authority(sent.thread)
        await fr.cases.await_authority(sent.thread, JUDGE, until=since + timedelta(days=2))
        world.clock.advance(days=1)
        await fr.cases.await_authority(sent.thread, JUDGE, until=since + timedelta(days=3))
        (item,) = [item for item in await fr.cases.agenda() if item.lane is Lane.OWN_AUTHORITIES]
        assert (item.target, item.since, item.due) == (JUDGE, since, since + timedelta(days=3))
        assert item.next == f"comity case authority {str(sent.thread)[-8:]} --done"
        world.clock.advance(days=3)
        (item,) = [item for item in await fr.cases.agenda() if item.lane is Lane.OWN_AUTHORITIES]
        assert (item.level, item.late) == ("target_passed", False)
        await fr.cases.end_authority(sent.thread)
        assert [item for item in await fr.cases.agenda() if item.lane is Lane.OWN_AUTHORITIES] == []


async def test_the_asking_office_learns_how_long_it_takes_and_not_who_decides(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request(**ROUTINE))
        await fr.messages.sync()
        until = world.clock() + timedelta(days=2)
        await fr.cases.await_authority(sent.thread, JUDGE, until=until)
        await fr.cases.report_authority(sent.id, "An authority of ours decides first.", until)
        await jp.messages.sync()
        (row,) = await jp.messages.inbox()
        shown = await jp.messages.show(row.id)
        assert shown.message.model_dump()["delay"]["expected_until"] == until
        assert JUDGE.encode() not in shown.content
        own = [item.target for item in await fr.cases.agenda() if item.lane is Lane.OWN_AUTHORITIES]
        assert own == [JUDGE]


async def test_the_list_of_cases_says_who_works_on_each_and_what_is_due_next(world: World) -> None:
    from exchange.cases.listing import CaseFilter
    from exchange.office.case_notes import EntryKind

    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request(**ROUTINE))
        world.clock.advance(seconds=1)
        other = await jp.messages.send(request(**ROUTINE, own_reference="NPA-2"))
        await fr.messages.sync()
        await fr.cases.add_note(sent.thread, EntryKind.ASSIGNED, "Martin")
        rows = {row.thread: row for row in (await fr.cases.listing()).cases}
        assert (rows[sent.thread].owner, rows[other.thread].owner) == ("Martin", None)
        row = rows[sent.thread]
        assert (row.nation, row.ours, row.peer_reference) == ("jp", False, request()["own_reference"])
        assert (row.state, row.due_what, row.offence is None) == ("delivered", "acknowledgement", False)
        for wanted, found in (
            (CaseFilter(owner="Martin"), [sent.thread]),
            (CaseFilter(owner=""), [other.thread]),
            (CaseFilter(text="npa-2"), [other.thread]),
            (CaseFilter(nation="gh"), []),
            (CaseFilter(ours=True), []),
            (CaseFilter(state="closed"), []),
            (CaseFilter(due_before=world.clock()), []),
        ):
            assert [one.thread for one in (await fr.cases.listing(wanted)).cases] == found
        mine = (await jp.cases.listing(CaseFilter(ours=True))).cases
        assert [one.own_reference for one in mine] == ["NPA-2", request()["own_reference"]]

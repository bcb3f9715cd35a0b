"""What is due is derived beside those who look: nobody waits for it, nothing is shown older than what an officer did
last, and what was derived is derived once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from exchange.cases._derived import ThreadDerivation
from exchange.cases.agenda import AGENDA, KeptAgenda
from exchange.desk.desk import OpenedDesk
from exchange.office.case_notes import EntryKind
from exchange.office.officers import Acting, Login
from exchange.settings import RetentionSettings
from exchange.store._unproved import UnprovedTable
from exchange.store.desk_store import DeskStore
from exchange.views import AgendaItem
from protocol.encoding.instants import to_ms
from protocol.errors import ErasureError
from tests.worlds.desks import FR, JP, World, in_thread, request
from tests.worlds.web_desk import OFFICER, OFFICER_PASSPHRASE, Pages, add_officer, with_officers

CASES = 9


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A look derives one thread that nobody changed here, and more than two are worth a word."""
    monkeypatch.setattr("exchange.cases.agenda._OTHERS_AT_A_LOOK", 1)
    monkeypatch.setattr("exchange.web.frame._LATELY", 2)
    return World(tmp_path, monkeypatch)


def forget(store: DeskStore) -> None:
    """As after an upgrade that shows more of a case: nothing is derived."""
    with store.database.transaction():
        store.database.execute("DELETE FROM agenda")
        store.database.execute("DELETE FROM standing")
        store.database.execute(
            "INSERT INTO agenda_stale (thread, mark) SELECT DISTINCT thread, randomblob(8) FROM message WHERE true"
            " ON CONFLICT DO UPDATE SET mark = excluded.mark"
        )
    store.agenda._changed.clear()


async def received(world: World, count: int = CASES) -> list[UUID]:
    """Cases that came to the desk of jp; their threads."""
    async with world.open(FR) as fr, world.open(JP) as jp:
        sent = [await fr.messages.send(request(to=[str(JP)], own_reference=f"CASE-{n}")) for n in range(count)]
        await jp.messages.sync()
        await in_thread(jp, forget, jp._works.context.store)
    return [one.thread for one in sent]


@pytest.fixture
async def pages(world: World) -> AsyncIterator[tuple[Pages, list[UUID]]]:
    threads = await received(world)
    async with with_officers(world, JP) as made:
        yield made, threads


def opened(pages: Pages) -> OpenedDesk:
    assert pages.service.opened is not None
    return pages.service.opened


async def left(desk: OpenedDesk) -> int:
    return await desk.context.in_thread(desk.context.store.agenda.stale_count)


# --- Pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.outside
async def test_a_page_derives_a_few_cases_and_says_how_many_are_left(pages: tuple[Pages, list[UUID]]) -> None:
    made, _ = pages
    async with made.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        board = await visitor.get("/")
        assert f"Cases that are still being counted anew: {CASES}." in board.text
        before = await left(opened(made))
        assert CASES - 4 <= before < CASES
        assert (await visitor.get("/cases")).status == 200
        assert before - 3 <= await left(opened(made)) < before


@pytest.mark.outside
async def test_what_an_officer_did_is_on_the_next_page_however_much_is_not_derived(
    pages: tuple[Pages, list[UUID]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.cases.agenda._OTHERS_AT_A_LOOK", 0)
    made, threads = pages
    async with made.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        for thread in Random(17).sample(threads, 3):
            await in_desk(made, forget)
            form = f"/cases/{thread}/do/assign"
            page = await visitor.get(form)
            assert page.status == 200
            await visitor.send(page, form, officer=OFFICER)
            listed = await visitor.get(f"/cases?owner={OFFICER}")
            assert str(thread) in listed.text


async def in_desk(pages: Pages, act: Callable[[DeskStore], object]) -> None:
    context = opened(pages).context
    await context.in_thread(lambda: act(context.store))


# --- Beside -----------------------------------------------------------------------------------------------------------


async def test_what_was_derived_stays_when_it_is_interrupted_and_at_a_start_nothing_is_derived_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await received(world)
    derived: list[bytes] = []
    really = ThreadDerivation.of
    monkeypatch.setattr(ThreadDerivation, "of", lambda self, row: (derived.append(row), really(self, row))[1])
    monkeypatch.setattr("exchange.desk.desk._DERIVED_AT_ONCE", 2)
    async with world.open(JP) as jp:
        beside = OpenedDesk(jp._works.context, jp._works.link)
        steps = beside.derive_all()
        await anext(steps)
        await steps.aclose()
        assert await left(beside) == CASES - 2
    async with world.open(JP) as jp:
        beside = OpenedDesk(jp._works.context, jp._works.link)
        assert [took >= 0 async for took in beside.derive_all()] == [True] * 4
        assert await left(beside) == 0
    assert len(set(derived)) == len(derived) == CASES
    async with world.open(JP) as jp:
        assert [took async for took in OpenedDesk(jp._works.context, jp._works.link).derive_all()] == []
        assert len(await jp.cases.agenda()) >= CASES
    assert len(derived) == CASES


async def test_who_waits_gets_all_and_others_use_the_desk_meanwhile(world: World) -> None:
    await received(world)
    async with world.open(JP) as jp:
        assert len({item.thread for item in await jp.cases.agenda()}) == CASES
        await in_thread(jp, forget, jp._works.context.store)
        beside = OpenedDesk(jp._works.context, jp._works.link).desk(Acting("pages"), waits=False)
        assert len((await beside.cases.listing()).cases) <= CASES
        assert len((await jp.cases.listing()).cases) == CASES


# --- What is decided by it --------------------------------------------------------------------------------------------


async def test_no_case_in_which_something_is_to_come_is_erased_because_it_is_not_derived(world: World) -> None:
    (thread,) = await received(world, 1)
    world.change_settings(JP, retention=RetentionSettings(cases_days=1))
    async with world.open(JP) as jp:
        beside = OpenedDesk(jp._works.context, jp._works.link).desk(Acting("pages"), waits=False)
        assert await beside.office.erasable_cases() == []
        with pytest.raises(ErasureError):
            await beside.office.erase_case(thread, "retention")


@pytest.mark.outside
async def test_a_hand_over_has_all_cases_of_the_officer_also_those_that_are_not_derived(world: World) -> None:
    threads = await received(world)
    async with with_officers(world, JP) as made:
        await add_officer(made, "lee", b"another bicycle")
        desk = await made.service.desk(Login(OFFICER, OFFICER_PASSPHRASE), waits=False)
        mine = sorted(Random(7).sample(threads, 4))
        for thread in mine:
            await desk.cases.add_note(thread, EntryKind.ASSIGNED, OFFICER)
        await in_desk(made, forget)
        assert sorted((await desk.office.hand_over("lee", "All of these.")).cases) == mine


# --- The same as if all were looked at --------------------------------------------------------------------------------


async def test_each_level_is_told_once_and_only_what_changed_is_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await received(world)
    async with world.open(JP) as jp:
        looked: list[int] = []
        really = KeptAgenda.to_tell

        def to_tell(self: KeptAgenda, channel: str, most: int | None) -> list[bytes]:
            found = really(self, channel, most)
            looked.append(len(found))
            return found

        monkeypatch.setattr(KeptAgenda, "to_tell", to_tell)
        told: set[bytes] = set()
        for _ in range(40):
            world.clock.advance(hours=9)
            due = {item for item in await jp.cases.agenda() if item.level is not None}
            notices = await jp.cases.notices("test")
            assert not told & {notice.name for notice in notices}
            told |= {notice.name for notice in notices}
            await jp.cases.note_given(notices)
            assert await jp.cases.notices("test") == []
            assert {notice.item for notice in notices} <= due
            assert len(told) >= len({(item.thread, item.what, item.target) for item in due})
        assert await jp.cases.notices("test") == []
        assert looked[-1] == 0
        assert await jp.events.record_due() == len(await jp.cases.agenda()) - sum(
            item.level is None for item in await jp.cases.agenda()
        )
        assert await jp.events.record_due() == 0


async def test_what_is_due_between_two_moments_is_what_the_agenda_has_there(world: World) -> None:
    random = Random(3)
    async with world.open(FR) as fr, world.open(JP) as jp:
        for number in range(12):
            urgency = random.choice(["routine", "urgent", "emergency"])
            sent = await fr.messages.send(request(to=[str(JP)], urgency=urgency, own_reference=f"CASE-{number}"))
            world.clock.advance(hours=random.randint(1, 40))
            await jp.messages.sync()
            if random.random() < 0.5:
                soon = world.clock() + timedelta(hours=1)
                await jp.replies.acknowledge(sent.id, will_answer="yes", form="message", eta=soon)
            begins = world.clock() + timedelta(hours=random.randint(-60, 60))
            ends = begins + timedelta(hours=random.randint(1, 900))
            await jp.cases.agenda_page()
            items = [item for item in await jp.cases.agenda() if item.due is not None]
            found = await jp.cases.due_between(begins, ends, most=1_000)
            inside = [item for item in items if begins <= due_of(item) < ends]
            assert sorted(map(key, found.items)) == sorted(map(key, inside))
            assert list(found.times) == sorted(to_ms(due_of(item)) for item in inside)
            assert found.before == sum(due_of(item) < begins for item in items)
        kept: KeptAgenda = jp._works.context.derived[AGENDA]
        assert kept._dues == sorted(kept._dues)


def due_of(item: AgendaItem) -> datetime:
    assert item.due is not None
    return item.due


def key(item: AgendaItem) -> tuple[str, ...]:
    return str(item.due), str(item.thread), item.what, str(item.target)


# --- What it costs ----------------------------------------------------------------------------------------------------


async def test_cases_are_derived_without_opening_what_came_by_another_way_and_still_confirm_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = "interpol", "preservation.request", FR, "An office elsewhere"
    async with world.open(JP) as jp:
        for number in range(3):
            await jp.cases.register(*given, f"Letter {number}", reference=f"LETTER-{number}")
    opened_all: list[int] = []
    really = UnprovedTable.all
    monkeypatch.setattr(UnprovedTable, "all", lambda self: (opened_all.append(1), really(self))[1])
    async with world.open(FR) as fr, world.open(JP) as jp, world.open(JP) as other:
        for number in range(CASES):
            await fr.messages.send(request(to=[str(JP)], own_reference=f"CASE-{number}"))
        await jp.messages.sync()
        await jp.cases.agenda()
        assert len(opened_all) <= 2  # whatever the number of cases
        # Another program registers what the next message proves.
        entry = await other.cases.register(*given, "One letter more", reference="CASE-NEXT")
        sent = await fr.messages.send(request(to=[str(JP)], own_reference="CASE-NEXT"))
        await jp.messages.sync()
        await jp.cases.agenda()
        assert (await jp.cases.registered_entry(entry.id))[0].thread == sent.thread


async def test_a_search_goes_through_no_message_to_learn_that_none_is_closed(world: World) -> None:
    await received(world)
    async with world.open(JP) as jp:
        await jp.cases.search("CASE-1")
        store = jp._works.context.store
        steps: list[int] = []

        def closed() -> int:
            steps.clear()
            connection = store.database._connection
            connection.set_progress_handler(lambda: steps.append(1), 1)
            try:
                assert store.search.closed() == []
            finally:
                connection.set_progress_handler(None, 1)
            return len(steps)

        assert await in_thread(jp, closed) < 3 * CASES  # a look at each message takes some steps of SQLite's program


async def test_no_more_cases_about_a_target_are_opened_than_are_shown(world: World) -> None:
    await received(world)
    async with world.open(JP) as jp:
        await jp.cases.search("CASE-1", everything=True)
        targets = request()["targets"][:1]
        everyone = await jp.cases.duplicates_of_targets(targets)
        newest = await jp.cases.duplicates_of_targets(targets, most=2)
        assert len(everyone) == CASES
        assert newest == everyone[:2]

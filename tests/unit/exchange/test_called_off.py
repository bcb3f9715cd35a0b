"""What waits on this desk is said to wait there, wherever a state is shown; it is called off in silence until then."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from exchange.acts.cases import CaseParts, case_object
from exchange.cases.listing import CaseFilter
from exchange.desk.desk import Desk
from exchange.files.given import attaching
from exchange.files.sealing import WantedFile
from exchange.settings import SiblingSettings
from exchange.text.labels import state_label, state_until
from exchange.views import CaseRow, SendStatus
from protocol.address import Address
from protocol.errors import (
    AlreadySentError,
    ForbiddenError,
    InvalidMessageError,
    NoEffectError,
    NotFoundError,
    NothingOpenError,
    UsageError,
)
from tests.unit.exchange.test_sending_commands import typed
from tests.worlds.desks import FR, JP, World, in_thread, request

GH = Address.parse("24-7@gh")
AFTER = SiblingSettings().routine_s


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    # Whatever is drawn, both wait: the least of the instants is not now.
    monkeypatch.setattr("exchange.messaging.drafting.fanning.secrets.randbelow", lambda most: most - 1)
    return World(tmp_path, monkeypatch, "gh")


def to_both(**changes: Any) -> dict[str, Any]:
    return request(to=[str(FR), str(GH)], urgency="routine", urgency_reason=None, **changes)


async def waiting(jp: Desk) -> tuple[UUID, list[UUID]]:
    """What is asked of two nations, and waits; the cases of those that do."""
    sent = await jp.messages.send(to_both())
    view = await jp.parents.view(sent.id)
    return sent.id, [child.thread for child in view.children if child.status is SendStatus.SCHEDULED]


async def states(desk: Desk, thread: UUID) -> set[str]:
    """The state of a case, of its targets, and of its message, everywhere that it is shown."""
    listed: dict[UUID, CaseRow] = {row.thread: row for row in (await desk.cases.listing()).cases}
    tracked = await desk.messages.track(thread)
    shown = case_object(await CaseParts.of(desk, thread))
    found = await desk.cases.search(str((await desk.messages.row(thread)).own_reference))
    statuses = {str(row.status) for row in (*found.messages, *await desk.messages.inbox(sent=True)) if row.id == thread}
    parent = await desk.parents.of(thread)
    children = [] if parent is None else (await desk.parents.view(parent)).children
    return {
        listed[thread].state,
        tracked.state,
        shown["state"],
        *(row.state for row in (*tracked.targets, *shown["targets"])),
        *(child.state for child in children if child.thread == thread),
    } | (statuses - {"submitted"})


async def due(desk: Desk, thread: UUID) -> list[str]:
    return [item.what for item in await desk.cases.agenda() if item.thread == thread]


async def test_what_waits_for_its_instant_is_nowhere_said_to_be_with_the_node(world: World) -> None:
    async with world.open(JP) as jp:
        _, threads = await waiting(jp)
        assert len(threads) == 2
        thread = threads[0]
        assert await states(jp, thread) == {"scheduled"}
        goes_at = (await jp.messages.row(thread)).sent_at
        assert "until" in state_until("scheduled", goes_at)
        assert state_until("scheduled", None) == state_label("scheduled")
        assert [row.thread for row in (await jp.cases.listing(CaseFilter(state="submitted"))).cases] == []
        assert {row.thread for row in (await jp.cases.listing(CaseFilter(state="scheduled"))).cases} == set(threads)
        assert await due(jp, thread) == [], "nobody owes anything of what nobody has"
        assert (await jp.messages.track(thread)).clocks.deadlines == ()
        for words in (("track",), ("case", "show")):
            code, said = await asyncio.to_thread(typed, world, JP, *words, str(thread), "--no-sync")
            assert (code, "Waits on this desk until" in said, "Submitted" in said) == (0, True, False), said
        world.nodes["jp"].down = True
        world.clock.advance(seconds=AFTER + 1)
        with pytest.raises(Exception, match="down"):
            await jp.messages.sync()
        assert await states(jp, thread) == {"queued"}
        world.nodes["jp"].down = False
        await jp.messages.sync()
        assert "scheduled" not in await states(jp, thread)
        assert "queued" not in await states(jp, thread)


async def test_what_the_node_does_not_have_or_refused_is_not_said_to_be_submitted(world: World) -> None:
    async with world.open(JP) as jp:
        world.nodes["jp"].down = True
        queued = await jp.messages.send(request())
        assert await states(jp, queued.id) == {"queued"}
        world.nodes["jp"].down = False
        world.nodes["jp"].refuse = ForbiddenError("no")
        await jp.messages.sync()
        assert await states(jp, queued.id) == {"not_sent", "refused"}


async def test_a_message_is_called_off_before_it_left_and_nobody_learns_of_it(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        parent, (first, second) = await waiting(jp)
        row = await jp.messages.call_off(first, "The account was found closed.")
        assert (row.id, row.status) == (first, SendStatus.CALLED_OFF)
        assert await states(jp, first) == {"called_off"}
        assert await states(jp, second) == {"scheduled"}
        assert await due(jp, first) == []
        (record,) = [one for _, one in await jp.office.records(lambda record: record.act == "send.call_off")]
        assert (record.message, record.reason) == (first, "The account was found closed.")
        with pytest.raises(NothingOpenError):
            await jp.messages.call_off(first)
        world.clock.advance(seconds=AFTER + 1)
        await jp.messages.sync()
        got = [*(await fr.messages.sync()).received, *(await gh.messages.sync()).received]
        assert [one.id for one in got] == [second]
        assert await jp.messages.queued() == 0
        with pytest.raises(AlreadySentError) as refused:
            await jp.messages.call_off(second)
        assert "withdrawal" in refused.value.advice
        assert "retract" in refused.value.advice
        # Nothing is said any more where nobody has anything.
        with pytest.raises((NoEffectError, InvalidMessageError)):
            await jp.messages.send(await jp.replies.draft(first, "status.query", question="How does it stand?"))
        said = await jp.parents.say(parent, "withdrawal", {"reason": "It is over."}, at_once=True)
        assert [one.thread for one in said] == [second]
        await jp.office.erase_case(first, "ordered")
    async with world.open(JP) as jp:
        assert {(await jp.messages.track(second)).state} == {"closed"}


async def test_a_reply_that_was_called_off_counts_for_nothing_in_its_case(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        sent = await jp.messages.send(to_both(), at_once=True)
        for desk in (fr, gh):
            await desk.messages.sync()
        await jp.messages.sync()
        before = {child.thread: child.state for child in (await jp.parents.view(sent.id)).children}
        said = await jp.parents.say(sent.id, "withdrawal", {"reason": "It is over."})
        assert {one.status for one in said} == {SendStatus.SCHEDULED}
        assert {child.state for child in (await jp.parents.view(sent.id)).children} != set(before.values())
        for one in said:
            await jp.messages.call_off(one.id)
        assert {child.thread: child.state for child in (await jp.parents.view(sent.id)).children} == before
        again = await jp.parents.say(sent.id, "withdrawal", {"reason": "Now it is."}, at_once=True)
        assert {one.status for one in again} == {SendStatus.SUBMITTED}


async def test_only_what_waits_for_its_instant_is_called_off(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        world.nodes["jp"].down = True
        queued = await jp.messages.send(request())
        with pytest.raises(AlreadySentError, match="may have it"):
            await jp.messages.call_off(queued.id)
        world.nodes["jp"].down = False
        await jp.messages.sync()
        (came,) = (await fr.messages.sync()).received
        with pytest.raises(ForbiddenError):
            await fr.messages.call_off(came.id)
        with pytest.raises(NotFoundError):
            await fr.messages.call_off(UUID(int=5))
        _, (thread, _) = await waiting(jp)
        with pytest.raises(UsageError):
            await jp.messages.call_off(thread, "two\nlines")
        assert await states(jp, thread) == {"scheduled"}


async def test_two_that_act_at_once_call_off_or_send_and_never_both(world: World) -> None:
    async with world.open(JP) as jp, world.open(JP) as other, world.open(FR) as fr, world.open(GH) as gh:
        _, threads = await waiting(jp)
        world.clock.advance(seconds=AFTER + 1)
        outcomes = await asyncio.gather(
            other.messages.sync(), *(jp.messages.call_off(thread) for thread in threads), return_exceptions=True
        )
        got = {one.id for desk in (fr, gh) for one in (await desk.messages.sync()).received}
        off = {row.id for row in outcomes[1:] if not isinstance(row, BaseException)}
        assert all(isinstance(one, AlreadySentError) for one in outcomes[1:] if isinstance(one, BaseException))
        assert got | off == set(threads)
        assert not got & off


async def test_files_of_a_message_that_is_called_off_go_nowhere(world: World) -> None:
    (world.path / "a.bin").write_bytes(bytes(2000))
    async with world.open(JP) as jp:
        with attaching([WantedFile(world.path / "a.bin")]):
            sent = await jp.messages.send(to_both())
        child = (await jp.parents.view(sent.id)).children[0].thread
        await jp.messages.call_off(child)
        assert (await jp.files.progress(child)).state == "cancelled"
        world.clock.advance(seconds=AFTER + 1)
        await jp.messages.sync()
        await jp.files.turn()
        digest = (await in_thread(jp, jp._works.context.store.messages.head, child)).head.digest
        assert digest not in world.files.held


async def test_all_that_waits_of_what_is_asked_of_several_nations_is_called_off_by_one_command(world: World) -> None:
    async with world.open(JP) as jp:
        parent, threads = await waiting(jp)
    code, said = await asyncio.to_thread(typed, world, JP, "call-off", str(parent), "--nation", "gh", "--json")
    assert code == 0, said
    shown = {child["nation"]: child["state"] for child in json.loads(said)["children"]}
    assert shown == {"fr": "scheduled", "gh": "called_off"}
    world.clock.advance(seconds=AFTER + 1)
    async with world.open(JP) as jp:
        await jp.messages.sync()
    code, said = await asyncio.to_thread(typed, world, JP, "call-off", str(parent))
    assert (code, "already-sent" in said or "has taken it" in said) == (1, True), said
    code, said = await asyncio.to_thread(typed, world, JP, "call-off", str(threads[0]), "--nation", "gh")
    assert code == 2, said

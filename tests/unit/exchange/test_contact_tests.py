"""A test of a contact point measures what logs state, and says plainly who does not answer."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from exchange.cases.contact_tests import Answering
from exchange.desk.desk import Desk
from exchange.text.due import measured_text
from protocol.address import Address
from protocol.errors import ForbiddenError
from protocol.messages.types.contact import ContactTest
from tests.worlds.desks import FR, JP, World, request


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


async def standing(desk: Desk, contact: Address = FR) -> Answering:
    return (await desk.cases.contact_standings([contact]))[0].standing


async def test_the_times_of_handover_and_reply_are_those_of_the_logs(world: World) -> None:
    async with world.open(JP) as tokyo, world.open(FR) as paris:
        assert await standing(tokyo) is Answering.UNTESTED
        (test,) = await tokyo.cases.test_contacts([FR])
        assert test.error is None
        assert await standing(tokyo) is Answering.WAITING
        world.clock.advance(seconds=4)
        await paris.messages.sync()
        world.clock.advance(seconds=60)
        (asked,) = await paris.cases.unanswered_contact_tests()
        assert asked.type == ContactTest.TYPE
        await paris.messages.show(asked.id)
        await paris.replies.answer_contact_test(asked.id, remark="Everything works.")
        assert await paris.cases.unanswered_contact_tests() == []
        world.clock.advance(hours=2)  # when the reply is fetched is of no matter
        await tokyo.messages.sync()
        (entry,) = await tokyo.cases.contact_standings([FR])

    assert entry.standing is Answering.REPLIES
    assert entry.latest is not None
    assert entry.latest == entry.replied
    assert (entry.latest.handover_s, entry.latest.reply_s) == (4, 64)
    assert entry.latest.opened_at is not None


async def test_who_does_not_reply_in_time_is_silent_and_a_later_reply_is_late(world: World) -> None:
    async with world.open(JP) as tokyo, world.open(FR) as paris:
        await tokyo.cases.test_contacts([FR])
        world.clock.advance(hours=24)
        assert await standing(tokyo) is Answering.WAITING
        world.clock.advance(seconds=1)
        assert await standing(tokyo) is Answering.SILENT
        await paris.messages.sync()
        (asked,) = await paris.cases.unanswered_contact_tests()
        await paris.replies.answer_contact_test(asked.id)
        await tokyo.messages.sync()
        assert await standing(tokyo) is Answering.LATE


async def test_an_old_reply_says_nothing_any_more_and_a_new_test_left_alone_is_silence(world: World) -> None:
    async with world.open(JP) as tokyo, world.open(FR) as paris:
        await tokyo.cases.test_contacts([FR])
        await paris.messages.sync()
        (asked,) = await paris.cases.unanswered_contact_tests()
        await paris.replies.answer_contact_test(asked.id)
        await tokyo.messages.sync()
        world.clock.advance(days=35, seconds=-60)
        assert await standing(tokyo) is Answering.REPLIES
        world.clock.advance(days=1)
        assert await standing(tokyo) is Answering.STALE
        await tokyo.cases.test_contacts([FR])
        world.clock.advance(hours=25)
        (entry,) = await tokyo.cases.contact_standings([FR])
    assert entry.standing is Answering.SILENT
    assert entry.replied is not None
    assert entry.replied != entry.latest


async def test_the_results_are_there_after_a_restart_of_the_desk(world: World) -> None:
    async with world.open(JP) as tokyo:
        await tokyo.cases.test_contacts([FR])
    async with world.open(JP) as tokyo:
        assert await standing(tokyo) is Answering.WAITING


async def test_one_who_cannot_be_sent_to_does_not_keep_others_from_being_tested(world: World) -> None:
    nobody = Address.parse("nobody@fr")
    async with world.open(JP) as tokyo:
        told = {
            test.contact: (test.sent is not None, test.error) for test in await tokyo.cases.test_contacts([nobody, FR])
        }
    assert told == {nobody: (False, "unknown-contact-point"), FR: (True, None)}


async def test_a_test_waits_in_the_outbox_while_the_node_is_away(world: World) -> None:
    async with world.open(JP) as tokyo, world.open(FR) as paris:
        world.nodes["jp"].down = True
        await tokyo.cases.test_contacts([FR])
        world.nodes["jp"].down = False
        await tokyo.messages.sync()
        await paris.messages.sync()
        assert len(await paris.cases.unanswered_contact_tests()) == 1


async def test_a_test_is_found_however_many_messages_came_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.cases.contact_tests._READ_AT_ONCE", 2)
    async with world.open(JP) as tokyo, world.open(FR) as paris:
        await tokyo.cases.test_contacts([FR])
        for number in range(5):
            await tokyo.messages.send(request(own_reference=f"JP {number}"))
        await paris.messages.sync()
        assert len(await paris.cases.unanswered_contact_tests()) == 1
        world.clock.advance(days=31)
        assert await paris.cases.unanswered_contact_tests() == []


async def test_only_a_received_test_is_replied_to(world: World) -> None:
    async with world.open(JP) as tokyo, world.open(FR) as paris:
        (test,) = await tokyo.cases.test_contacts([FR])
        asked = await tokyo.messages.send(request())
        await paris.messages.sync()
        assert test.sent is not None
        with pytest.raises(ForbiddenError):
            await tokyo.replies.answer_contact_test(test.sent.id)
        with pytest.raises(ForbiddenError):
            await paris.replies.answer_contact_test(asked.id)


def test_spans_are_told_in_the_unit_that_fits() -> None:
    assert [
        measured_text(seconds) for seconds in (None, 0.04, 119, 600, timedelta(hours=5, minutes=3).total_seconds())
    ] == [
        "-",
        "0.0 s",
        "119.0 s",
        "10 min",
        "5 h 3 min",
    ]

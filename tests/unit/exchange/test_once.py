"""One act under one key is done once: see exchange/messaging/once.py."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.desk.desk import Desk
from exchange.messaging.once import check_key, under_key
from exchange.messaging.outbox import Outbox
from exchange.office.draft_ids import canonical
from exchange.store._content import ContentSeal
from exchange.store.database import SealedDatabase
from exchange.store.desk_store import DeskStore
from exchange.views import SendStatus
from protocol.errors import ErasedError, IdempotencyKeyUsedError, NoEffectError, NothingOpenError, UsageError
from tests.hostile.test_offers import accepted, information
from tests.unit.exchange.test_officers import EVERYTHING, KIM, LEE, staffed
from tests.worlds.desks import FR, JP, NOW, Client, World, request


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


async def sent_ids(desk: Desk) -> list[UUID]:
    return [row.id for row in await desk.messages.inbox(sent=True)]


ACKNOWLEDGED = {"form": "message", "eta": NOW + timedelta(days=1)}


async def test_the_same_draft_under_the_same_key_is_sent_once_and_has_the_same_outcome(world: World) -> None:
    async with world.open(JP) as jp:
        with under_key("k1"):
            first = await jp.messages.send(request())
            again = await jp.messages.send(request())
        assert (again.id, again.thread, again.digest, again.status) == (
            first.id,
            first.thread,
            first.digest,
            "submitted",
        )
        assert await sent_ids(jp) == [first.id]
    async with world.open(JP) as later:
        with under_key("k1"):
            assert (await later.messages.send(request())).id == first.id


async def test_another_draft_under_a_used_key_is_refused_and_nothing_is_sent(world: World) -> None:
    async with world.open(JP) as jp:
        with under_key("k1"):
            await jp.messages.send(request())
            with pytest.raises(IdempotencyKeyUsedError):
                await jp.messages.send(request(own_reference="another"))
            with pytest.raises(IdempotencyKeyUsedError):
                await jp.messages.send_many([request(), request()])
            with pytest.raises(IdempotencyKeyUsedError):
                await jp.messages.propose(request())
        assert len(await sent_ids(jp)) == 1


async def test_without_a_key_two_contact_tests_of_one_wording_are_both_sent(world: World) -> None:
    async with world.open(JP) as jp:
        for _ in range(2):
            await jp.cases.test_contacts([FR])
        assert len(await sent_ids(jp)) == 2


async def test_the_id_of_a_draft_is_its_key_and_no_part_of_the_message(world: World) -> None:
    draft = request(draft_id=str(uuid4()).upper())
    async with world.open(JP) as jp, world.open(FR) as fr:
        first = await jp.messages.send(draft)
        assert (await jp.messages.send({**draft, "draft_id": draft["draft_id"].lower()})).id == first.id
        with pytest.raises(IdempotencyKeyUsedError):
            await jp.messages.send({**draft, "own_reference": "a copy that was changed"})
        with under_key("given"):  # a key that is given counts
            assert (await jp.messages.send(draft)).id != first.id
        await fr.messages.sync()
        assert b"draft_id" not in (await fr.messages.show(first.id)).content
        with pytest.raises(UsageError):
            await jp.messages.send(request(draft_id="r1"))


async def test_several_messages_under_one_key_are_the_same_ones_again(world: World) -> None:
    draft_id = str(uuid4())
    drafts = [request(draft_id=draft_id, own_reference=str(number)) for number in range(5)]
    async with world.open(JP) as jp:
        first = await jp.messages.send_many(drafts)
        assert [one.id for one in await jp.messages.send_many(drafts)] == [one.id for one in first]
        assert len(await sent_ids(jp)) == 5
        with pytest.raises(UsageError):
            await jp.messages.send_many([request(draft_id=str(uuid4())), request(draft_id=str(uuid4()))])


async def test_a_message_that_waited_is_submitted_when_it_is_asked_for_again(world: World) -> None:
    world.nodes["jp"].down = True
    async with world.open(JP) as jp:
        with under_key("k"):
            first = await jp.messages.send(request())
            assert first.status is SendStatus.QUEUED
            assert (await jp.messages.send(request())).status is SendStatus.QUEUED
            world.nodes["jp"].down = False
            again = await jp.messages.send(request())
        assert (again.id, again.status) == (first.id, SendStatus.SUBMITTED)
        assert again.receipts
        assert await jp.messages.queued() == 0


async def test_every_reply_under_a_key_is_sent_once_also_where_nothing_is_open_any_more(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await fr.messages.sync()
        for key, word in (("one", "yes"), ("one", "yes"), ("two", "unknown")):
            with under_key(key):
                await fr.replies.acknowledge(sent.id, will_answer=word, **ACKNOWLEDGED)
        with under_key("again"), pytest.raises(NoEffectError):
            await fr.replies.acknowledge(sent.id, will_answer="unknown", **ACKNOWLEDGED)
        assert len(await sent_ids(fr)) == 2
        with under_key("one"), pytest.raises(IdempotencyKeyUsedError):
            await fr.replies.acknowledge(sent.id, will_answer="no", **ACKNOWLEDGED)
        with under_key("three"):
            refused = [{"target": "t1", "result": "not_held"}]
            answers = [await fr.replies.answer(sent.id, refused) for _ in range(2)]  # a second one no rule allows
        assert answers[0].id == answers[1].id


async def test_the_same_key_of_another_officer_is_another_key(world: World) -> None:
    await staffed(world)
    async with world.open(JP, KIM) as kim, world.open(JP, LEE) as lee:
        with under_key("k"):
            mine, theirs = await kim.messages.send(request()), await lee.messages.send(request())
    assert mine.id != theirs.id


async def test_a_message_erased_leaves_a_key_that_sends_nothing(world: World) -> None:
    async with world.open(JP) as jp:
        with under_key("k"):
            sent = await jp.messages.send(request())
            await jp.office.erase_case(sent.thread, "data_subject")
            with pytest.raises(ErasedError):
                await jp.messages.send(request())
        assert len(await sent_ids(jp)) == 1


async def test_two_programs_that_send_under_one_key_at_once_send_one_message_each_part_once(world: World) -> None:
    drafts = [request(own_reference=str(number)) for number in range(6)]
    async with world.open(JP) as one, world.open(JP) as two:
        with under_key("k"), patch("exchange.messaging.outbox.MAX_ENVELOPES", 2):
            results = await asyncio.gather(*(desk.messages.send_many(drafts) for desk in (one, two, one)))
        ids = [[sent.id for sent in result] for result in results]
        assert ids[0] == ids[1] == ids[2]
        assert sorted(await sent_ids(one)) == sorted(ids[0])


class KilledError(BaseException):
    """The program is killed here."""


class Kill:
    """Counts the boundaries before and after each step of a sending; the program is killed at number ``at``."""

    STEPS = (
        (DeskStore, "add_sent"),
        (DeskStore, "record_submission"),
        (Outbox, "seal"),
        (Outbox, "compose"),
        (ContentSeal, "seal"),
        (SealedDatabase, "tidy"),
    )

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.at, self.passed = at, 0
        for owner, name in self.STEPS:
            monkeypatch.setattr(owner, name, self._around(getattr(owner, name)))
        monkeypatch.setattr(Client, "submit", self._around_async(Client.submit))

    def _boundary(self) -> None:
        self.passed += 1
        if self.passed > self.at:
            raise KilledError

    def _around(self, step: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(step)
        def run(*args: Any, **kwargs: Any) -> Any:
            self._boundary()
            result = step(*args, **kwargs)
            self._boundary()
            return result

        return run

    def _around_async(self, step: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(step)
        async def run(*args: Any, **kwargs: Any) -> Any:
            self._boundary()
            result = await step(*args, **kwargs)
            self._boundary()
            return result

        return run


async def test_whatever_step_a_program_is_killed_at_the_same_key_sends_each_part_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is split into three parts, which are sealed in two transactions."""
    world, at, killed = World(tmp_path, monkeypatch), 0, True
    draft_id = uuid4()
    while killed:
        parts = [request(own_reference=f"{at}-{part}", draft_id=str(draft_id)) for part in range(3)]
        async with world.open(JP) as jp:
            saved = await jp.messages.save_draft(request(own_reference=str(at)), draft_id=draft_id)
        with monkeypatch.context() as patched:
            patched.setattr("exchange.messaging.outbox.MAX_ENVELOPES", 2)
            kill = Kill(patched, at)
            with contextlib.suppress(KilledError):
                async with world.open(JP) as jp:
                    await jp.messages.send_many(parts)
            killed = kill.passed > at
        async with world.open(JP) as jp, world.open(FR) as fr:
            sent = await jp.messages.send_many(parts)
            assert [one.id for one in await jp.messages.send_many(parts)] == [one.id for one in sent]
            await jp.messages.sync()
            with pytest.raises(NothingOpenError):
                await jp.messages.save_draft(request(), draft_id=saved.id)
            await fr.messages.sync()
            received = [row.id for row in await fr.messages.inbox() if (row.own_reference or "").startswith(f"{at}-")]
            assert sorted(received) == sorted(one.id for one in sent)
        at, draft_id = at + 1, uuid4()
    assert at > 15


async def test_two_officers_who_send_one_saved_draft_send_it_once(world: World) -> None:
    await staffed(world)
    async with world.open(JP, KIM) as kim, world.open(JP, LEE) as lee:
        saved = await kim.messages.save_draft(request())
        draft = await lee.messages.export_draft(str(saved.id))
        done = await asyncio.gather(kim.messages.send(draft), lee.messages.send(draft), return_exceptions=True)
        assert sorted(type(one).__name__ for one in done) == ["NothingOpenError", "SentMessage"]
        assert len(await sent_ids(kim)) == 1


async def test_a_draft_under_a_key_is_proposed_once_and_released_once(world: World) -> None:
    await staffed(world)
    world.change_settings(JP, office=EVERYTHING)
    async with world.open(JP, KIM) as kim, world.open(JP, LEE) as lee:
        draft = {**request(), "draft_id": str(uuid4())}
        first, again = await kim.messages.send(draft), await kim.messages.send(draft)
        assert (first.id, first.status) == (again.id, again.status) == (UUID(draft["draft_id"]), SendStatus.PROPOSED)
        assert [one.id for one in await kim.office.proposals()] == [first.id]
        with under_key("release"):
            released = await lee.office.release(str(first.id))
            assert (await lee.office.release(str(first.id))).id == released.id
        with pytest.raises(NothingOpenError, match=str(released.id)):
            await lee.office.release(str(first.id))
        assert await sent_ids(lee) == [released.id]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=6), JSON, max_size=5), st.dictionaries(st.text(max_size=6), JSON, max_size=5))
@settings(max_examples=150, deadline=None)
def test_drafts_have_one_form_exactly_when_they_say_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    turned = dict(reversed(list(one.items())))
    assert canonical(one) == canonical(turned)
    assert (canonical(one) == canonical(other)) == (_typed(one) == _typed(other))


def _typed(value: Any) -> Any:
    """A value in which true is not 1."""
    if isinstance(value, dict):
        return {name: _typed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return (type(value).__name__, value)


@pytest.mark.parametrize("key", ["", "a b", "é", "a\n", "x" * 129])
def test_a_key_that_no_header_carries_is_refused(key: str) -> None:
    with pytest.raises(UsageError):
        check_key(key)


async def test_a_request_to_several_nations_and_what_is_said_in_all_of_them_is_sent_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch, "gh")
    draft = request(to=["24-7@fr", "24-7@gh"], draft_id=str(uuid4()))
    async with world.open(JP) as jp:
        first, again = [await jp.messages.send(draft, at_once=True) for _ in range(2)]
        assert (first.id, [one.id for one in first.children]) == (again.id, [one.id for one in again.children])
        assert len(first.children) == 2
        with under_key("say"):
            said = [await jp.parents.say(first.id, "withdrawal", {"reason": "Closed."}, at_once=True) for _ in range(2)]
        assert [one.id for one in said[0]] == [one.id for one in said[1]]
        assert len(await sent_ids(jp)) == 4
        # A draft that is a file has its own key, as it has where it is sent.
        asks = {"question": "How does it stand?", "draft_id": str(uuid4())}
        said = [await jp.parents.say(first.id, "status.query", asks) for _ in range(2)]
        assert [(one.id, one.goes_at) for one in said[0]] == [(one.id, one.goes_at) for one in said[1]]
        assert None not in {one.goes_at for one in said[0]}
        assert len(await sent_ids(jp)) == 6
        with pytest.raises(IdempotencyKeyUsedError):
            await jp.parents.say(first.id, "status.query", asks, nations=["fr"])


async def test_an_offer_and_what_it_gives_are_each_sent_once_under_a_key_and_are_different_acts(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        draft = {**information(), "draft_id": str(uuid4())}
        offer = await fr.messages.offer(draft)
        assert (await fr.messages.offer(draft)).id == offer.id
        with pytest.raises(IdempotencyKeyUsedError):  # offered is not sent
            await fr.messages.send(draft)
        await accepted(jp, fr, offer)
        with under_key("give"):
            given_once = [await fr.messages.give(offer.id) for _ in range(2)]
        assert given_once[0].id == given_once[1].id
        assert sorted(await sent_ids(fr)) == sorted([offer.id, given_once[0].id])

"""What was given under conditions opens when they are accepted, and counts as opened only then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exchange.desk.desk import Desk
from protocol.errors import ConditionsOpenError, NothingOpenError
from protocol.event import EventName, decode_event
from tests.worlds.desks import FR, JP, ROOT, World, without_rules
from tests.worlds.samples import AUTHORISATION

CONFIDENTIAL = {"condition": "c1", "kind": "confidential", "text": "To be kept confidential."}
LIMITED = {"condition": "c2", "kind": "use_limited", "text": "To be used in the investigation named only."}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def example(name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((ROOT / f"examples/messages/{name}.json").read_text())
    return fields


async def answered(jp: Desk, fr: Desk, *conditions: dict[str, str]) -> Any:
    """An answer of fr to a request of jp, under these conditions and not offered first, as jp received it."""
    asked = {**example("assistance.request"), "wanted_by": None, "wanted_by_reason": None}
    sent = await jp.messages.send({name: value for name, value in asked.items() if value is not None})
    await fr.messages.sync()
    given = example("answer")
    item = {
        **given["items"][0],
        "conditions": list(conditions),
        "targets": [],
        "attachment": None,
        "available_at": "By post.",
    }
    item = {name: value for name, value in item.items() if value is not None}
    draft = await fr.replies.draft(sent.id, "answer", completeness="final", items=[item], authorisation=AUTHORISATION)
    with without_rules(fr):
        await fr.messages.send(draft)
    (received,) = (await jp.messages.sync()).received
    return received


def opened(world: World) -> int:
    names = [decode_event(leaf).name for leaf in world.nodes["jp"].log.leaves]
    return names.count(EventName.ContentAccessTracking)


async def test_conditional_content_opens_when_its_conditions_are_accepted(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        answer = await answered(jp, fr, CONFIDENTIAL, LIMITED)
        with pytest.raises(ConditionsOpenError, match=r"c1 \(confidential\): To be kept.*c2 \(use_limited\)"):
            await jp.messages.show(answer.id)
        assert [row.opened_at for row in await jp.messages.inbox()] == [None]
        await jp.messages.sync()
        assert opened(world) == 0

        await jp.replies.accept_conditions(answer.id)
        assert (await jp.messages.show(answer.id)).message.type == "answer"
        await jp.messages.sync()
        assert opened(world) == 1
        await fr.messages.sync()
        assert [row.type for row in await fr.messages.inbox(limit=1)] == ["condition.accept"]
        with pytest.raises(NothingOpenError):
            await jp.replies.accept_conditions(answer.id)


async def test_content_whose_conditions_are_not_accepted_is_not_given_out_either(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        answer = await answered(jp, fr, CONFIDENTIAL)
        prove = jp.evidence
        for give_out in (prove.disclose, lambda message: prove.gather(message, disclose=True)):
            with pytest.raises(ConditionsOpenError):
                await give_out(answer.id)
        assert (await jp.evidence.gather(answer.id, disclose=False)).disclosure is None

        await jp.replies.accept_conditions(answer.id)
        assert (await jp.evidence.disclose(answer.id)).message_id == answer.id


async def test_accepting_one_of_two_conditions_opens_nothing(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        answer = await answered(jp, fr, CONFIDENTIAL, LIMITED)
        await jp.messages.send(await jp.replies.draft(answer.id, "condition.accept", conditions=["c1"]))
        with pytest.raises(ConditionsOpenError, match=r"^it was given .* here: c2"):
            await jp.messages.show(answer.id)


async def test_conditions_that_were_agreed_before_need_not_be_accepted_again(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        asked = {**example("assistance.request")}
        asked.pop("wanted_by", None)
        asked.pop("wanted_by_reason", None)
        sent = await jp.messages.send(asked)
        await fr.messages.sync()
        offer = await fr.messages.send(await fr.replies.draft(sent.id, "condition.propose", conditions=[CONFIDENTIAL]))
        await jp.messages.sync()
        await jp.messages.send(await jp.replies.draft(offer.id, "condition.accept", conditions=["c1"]))
        await fr.messages.sync()
        item = {**example("answer")["items"][0], "conditions": [{**CONFIDENTIAL, "condition": "x9"}], "targets": []}
        item.pop("attachment")
        item["available_at"] = "By post."
        await fr.messages.send(
            await fr.replies.draft(sent.id, "answer", completeness="final", items=[item], authorisation=AUTHORISATION)
        )
        (received,) = (await jp.messages.sync()).received
        assert (await jp.messages.show(received.id)).message.type == "answer"


async def test_the_sender_opens_what_it_gave_and_content_without_conditions_opens_at_once(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        answer = await answered(jp, fr, CONFIDENTIAL)
        assert (await fr.messages.show(answer.id)).message.type == "answer"
        free = await answered(jp, fr)
        assert (await jp.messages.show(free.id)).message.type == "answer"


async def test_the_other_sides_acceptance_is_not_the_readers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        answer = await answered(jp, fr, CONFIDENTIAL)
        monkeypatch.setattr(
            "protocol.lifecycle.beside.out_of_place", lambda *_given: None
        )  # a desk that sends anything
        await fr.messages.send(await fr.replies.draft(answer.id, "condition.accept", conditions=["c1"]))
        await jp.messages.sync()
        with pytest.raises(ConditionsOpenError):
            await jp.messages.show(answer.id)


async def test_what_an_offer_asks_is_accepted_like_what_content_was_given_under(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        offer = await fr.messages.send({**example("information.spontaneous"), "conditions": [CONFIDENTIAL, LIMITED]})
        await jp.messages.sync()
        assert (await jp.messages.show(offer.id)).message.type == "information.spontaneous"
        await jp.replies.accept_conditions(offer.id)
        await fr.messages.sync()
        assert str((await fr.cases.case(offer.thread)).state_at(world.clock())) == "conditions_agreed"
        with pytest.raises(NothingOpenError):
            await jp.replies.accept_conditions(offer.id)

"""Content under conditions: it is nowhere before they are accepted, and what comes then is what was offered."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from exchange.audit.period import Period
from exchange.desk.desk import Desk
from exchange.office.officers import Login, Role, new_officer_key
from exchange.report import Suppression
from exchange.settings import OfficeSettings
from exchange.views import SendStatus
from keys.secrets.keystore import FAST
from protocol.errors import (
    CommitmentMismatchError,
    ConditionsOpenError,
    InvalidMessageError,
    NothingOpenError,
    OfferNeededError,
    OfficerRoleError,
    UsageError,
)
from protocol.messages.types.offer import NOT_COMMITTED, SALT_BYTES, check_commitment, commitment_to
from tests.worlds.desks import FR, JP, ROOT, World, in_thread, without_rules
from tests.worlds.samples import AUTHORISATION

CONFIDENTIAL = {"condition": "c1", "kind": "confidential", "text": "To be kept confidential."}
LIMITED = {"condition": "c2", "kind": "use_limited", "text": "For the investigation named only."}
SECRET = "Grunewaldstrasse"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def example(name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((ROOT / f"examples/messages/{name}.json").read_text())
    return {name: value for name, value in fields.items() if name not in {"wanted_by", "wanted_by_reason"}}


async def asked(jp: Desk, fr: Desk, kind: str = "assistance.request") -> Any:
    sent = await jp.messages.send(example(kind))
    await fr.messages.sync()
    return sent


async def answer(fr: Desk, request: Any, *conditions: dict[str, str], **changes: Any) -> dict[str, Any]:
    """The draft of a final answer under these conditions, whose item speaks of a street."""
    item = {
        **{key: value for key, value in example("answer")["items"][0].items() if key != "attachment"},
        **{"conditions": list(conditions), "targets": [], "available_at": "By post.", "description": f"{SECRET} 12"},
    }
    return {
        **await fr.replies.draft(request.id, "answer", completeness="final", items=[item], authorisation=AUTHORISATION),
        **changes,
    }


def information(**changes: Any) -> dict[str, Any]:
    """The draft of information under conditions."""
    fields = {name: value for name, value in example("information.spontaneous").items() if name != "commitment"}
    return {
        **fields,
        "stage": "disclosure",
        "authorisation": AUTHORISATION,
        "facts": f"The servers stand in {SECRET}.",
        **changes,
    }


async def accepted(jp: Desk, fr: Desk, offer: Any) -> None:
    await jp.messages.sync()
    await jp.replies.accept_conditions(offer.id)
    await fr.messages.sync()


# --- Before the acceptance ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["answer", "information"])
async def test_what_is_under_conditions_is_at_the_other_desk_only_when_they_are_accepted(
    world: World, kind: str
) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        draft = information() if kind == "information" else await answer(fr, await asked(jp, fr), CONFIDENTIAL, LIMITED)
        for early in (fr.messages.send(draft), fr.messages.send_many([draft])):
            with pytest.raises((OfferNeededError, InvalidMessageError)):
                await early
        offer = await fr.messages.offer(draft)
        with pytest.raises(OfferNeededError, match=str(JP)):
            await fr.messages.give(offer.id)
        (received,) = (await jp.messages.sync()).received
        shown = await jp.messages.show(received.id)
        assert {condition.condition for condition in shown.message.conditions} == {"c1", "c2"}
        assert SECRET.encode() not in shown.content
        await jp.replies.accept_conditions(offer.id)
        await fr.messages.sync()
        given = await fr.messages.give(offer.id)
        await jp.messages.sync()
        assert SECRET.encode() in (await jp.messages.show(given.id)).content
        assert [str((await desk.cases.case(offer.thread)).state_at(world.clock())) for desk in (jp, fr)] == [
            "answered"
        ] * 2
        with pytest.raises(NothingOpenError):
            await fr.messages.give(offer.id)


async def test_what_came_without_an_offer_is_not_found_peeked_or_counted_and_moves_no_state(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        request = await asked(jp, fr)
        with without_rules(fr):
            given = await fr.messages.send(await answer(fr, request, CONFIDENTIAL))
        await jp.messages.sync()

        async def seen(desk: Desk) -> tuple[int, str, int]:
            figures = await desk.cases.figures(Period(None, None), Suppression())
            answered = sum(volume.type == "answer" for volume in figures.volumes)
            answered += sum(time.what == "answer" for time in figures.times)
            state = str((await desk.cases.case(request.thread)).state_at(world.clock()))
            return len((await desk.cases.search(SECRET)).messages), state, answered

        before = await seen(jp)
        assert before[:2] == (0, "delivered")
        assert (await jp.messages.track(request.id)).state == "delivered"
        assert str((await fr.cases.case(request.thread)).state_at(world.clock())) == "delivered"
        for reading in (
            jp.messages.show(given.id),
            jp.messages.peek(given.id),
            jp.evidence.gather(given.id, disclose=True),
        ):
            with pytest.raises(ConditionsOpenError):
                await reading
        await jp.replies.accept_conditions(given.id)
        await fr.messages.sync()
        after = await seen(jp)
        assert after[:2] == (1, "answered")
        assert (before[2], bool(after[2])) == (0, True)
        assert str((await fr.cases.case(request.thread)).state_at(world.clock())) == "answered"
    async with world.open(JP) as jp:
        assert len((await jp.cases.search(SECRET)).messages) == 1


async def test_in_an_emergency_content_comes_and_opens_at_once(world: World) -> None:
    world.publish(world.cards[JP].model_copy(update={"phones": ("+81350000247",), "updated_at": world.clock()}))
    async with world.open(JP) as jp, world.open(FR) as fr:
        request = await asked(jp, fr, "emergency.request")
        await fr.cases.record_call(request.id, "verified", spoke_to="Sato Yui")
        draft = await answer(fr, request, CONFIDENTIAL)
        with pytest.raises(UsageError):
            await fr.messages.offer(draft)
        given = await fr.messages.send(draft)
        urgent = information(urgency="emergency", urgency_reason="An attack is under way.")
        told = await fr.messages.send(urgent)
        await jp.messages.sync()
        for message in (given, told):
            assert SECRET.encode() in (await jp.messages.show(message.id)).content
        assert len((await jp.cases.search(SECRET)).messages) == 2
        assert str((await jp.cases.case(request.thread)).state_at(world.clock())) == "supplement_due"


# --- The commitment -------------------------------------------------------------------------------------------------


async def test_other_content_than_was_offered_is_neither_sent_nor_taken(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        offer = await fr.messages.offer(information())
        await accepted(jp, fr, offer)
        draft = await in_thread(fr, fr._works.offers.opening_draft, offer.id)
        opening = draft["offer"]
        changes = [
            {"facts": "The servers stand elsewhere."},
            {"conditions": [CONFIDENTIAL]},
            {"subject": "Another subject"},
            {"evidential_status": "evidence"},
            {"handling": {**draft["handling"], "tlp": "GREEN"}},
            {"countries": ["FR"]},
            {"offer": {**opening, "salt": "00" * 32}},
            {"offer": None},
        ]
        drafts = [{key: value for key, value in {**draft, **change}.items() if value is not None} for change in changes]
        for altered in drafts:
            with pytest.raises(CommitmentMismatchError):
                await fr.messages.send(altered)
        with without_rules(fr):
            for altered in drafts:
                await fr.messages.send(altered)
                result = await jp.messages.sync()
                assert (result.received, [row.code for row in result.quarantined]) == ((), ["commitment-mismatch"])
            await fr.messages.give(offer.id)
        assert [row.type for row in (await jp.messages.sync()).received] == ["information.spontaneous"]


async def test_an_answer_accepted_on_a_commitment_is_not_given_past_it(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        request = await asked(jp, fr)
        offer = await fr.messages.offer(await answer(fr, request, CONFIDENTIAL))
        await accepted(jp, fr, offer)
        other = await answer(fr, request, CONFIDENTIAL, text="Something else.")
        with pytest.raises(CommitmentMismatchError):
            await fr.messages.send(other)
        with without_rules(fr):
            await fr.messages.send(other)
        assert [row.code for row in (await jp.messages.sync()).quarantined] == ["commitment-mismatch"]
        await fr.messages.give(offer.id)
        await jp.messages.sync()
        assert len((await jp.cases.search(SECRET)).messages) == 1


def test_a_commitment_binds_every_member_that_is_known_before_it_is_sent() -> None:
    content = json.loads((ROOT / "examples/messages/answer.json").read_text())
    salt = bytes(range(SALT_BYTES))
    commitment = commitment_to(json.dumps(content).encode(), salt)
    reordered = json.dumps(dict(reversed(content.items())), indent=3, ensure_ascii=False).encode()
    check_commitment(reordered, salt, commitment)
    for name in content:
        changed = json.dumps({**content, name: "changed"}).encode()
        if name in NOT_COMMITTED:
            check_commitment(changed, salt, commitment)
        else:
            with pytest.raises(CommitmentMismatchError):
                check_commitment(changed, salt, commitment)
    for place in range(SALT_BYTES):
        other = bytes(byte ^ (index == place) for index, byte in enumerate(salt))
        with pytest.raises(CommitmentMismatchError):
            check_commitment(json.dumps(content).encode(), other, commitment)


# --- Once, and by two -----------------------------------------------------------------------------------------------


async def test_what_was_offered_is_given_once_also_by_two_at_once(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        offer = await fr.messages.offer(information())
        await accepted(jp, fr, offer)
        done = await asyncio.gather(fr.messages.give(offer.id), fr.messages.give(offer.id), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in done) == ["NothingOpenError", "SentMessage"]
        assert len((await jp.messages.sync()).received) == 1


async def with_two_officers(world: World, *four_eyes: str) -> dict[str, Login]:
    """The logins of two officers of FR who are two persons, where these types want a second pair of eyes."""
    logins = {name: Login(name, name.encode()) for name in ("boss", "kim")}
    roles = frozenset(Role)
    for officer in logins:
        key = new_officer_key(world.home(FR) / "officers", officer, officer.encode(), FAST, world.clock())
        async with world.open(FR, *([logins["boss"]] if officer != "boss" else [])) as fr:
            await fr.office.add_officer(officer, officer, "Inspector", roles, key)
    async with world.open(FR, logins["kim"]) as fr:
        key = new_officer_key(world.home(FR) / "officers", "kim", b"kim", FAST, world.clock(), waiting=True)
        await fr.office.change_own_key(key)
    world.change_settings(FR, office=OfficeSettings(four_eyes=four_eyes))
    return logins


@pytest.mark.parametrize("offered_as", ["condition.propose", "answer"])
async def test_an_offer_is_for_the_second_pair_of_eyes_of_what_it_gives_and_of_what_it_is_sent_as(
    world: World, offered_as: str
) -> None:
    logins = await with_two_officers(world, offered_as)
    async with world.open(JP) as jp:
        async with world.open(FR, logins["kim"]) as fr:
            request = await asked(jp, fr)
            proposed = await fr.messages.offer(await answer(fr, request, CONFIDENTIAL))
            assert proposed.status is SendStatus.PROPOSED
            with pytest.raises(OfficerRoleError):
                await fr.office.release(str(proposed.id))
        async with world.open(FR, logins["boss"]) as fr:
            offer = await fr.office.release(str(proposed.id))
            assert (await fr.messages.row(offer.id)).type == "condition.propose"


async def test_with_a_second_pair_of_eyes_an_offer_and_its_opening_are_both_released(world: World) -> None:
    logins = await with_two_officers(world, "all")
    async with world.open(FR, logins["kim"]) as fr:
        proposed = await fr.messages.offer(information())
        assert proposed.status is SendStatus.PROPOSED
    async with world.open(JP) as jp:
        async with world.open(FR, logins["boss"]) as fr:
            offer = await fr.office.release(str(proposed.id))
            assert (await fr.messages.row(offer.id)).type == "information.spontaneous"
            await accepted(jp, fr, offer)
            opening = await fr.messages.give(offer.id)
            assert opening.status is SendStatus.PROPOSED
        async with world.open(FR, logins["kim"]) as fr:
            given = await fr.office.release(str(opening.id))
        await jp.messages.sync()
        assert SECRET.encode() in (await jp.messages.show(given.id)).content

"""The central authority of a nation in a case of its contact point: heard by role, at every desk alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.address import Address
from tests.unit.exchange.test_agenda import asked, brief, outcome
from tests.worlds.desks import FR, JP, World

MINISTRY = Address.parse("central@fr")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


@pytest.mark.parametrize("named", [True, False])
async def test_a_desk_confirms_for_its_nations_contact_point_only_as_central_authority(
    world: World, named: bool
) -> None:
    card = world.enrol(MINISTRY, publish=False)
    world.publish(card.model_copy(update={"central_authority": True if named else None}))
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(MINISTRY) as ministry:
        sent = await asked(jp, fr, handling={"tlp": "AMBER"})
        await fr.replies.answer(sent, [outcome("t1", world.clock(), 90)])
        await jp.messages.sync()
        world.clock.advance(hours=1)
        await jp.messages.send(
            await jp.replies.draft(
                sent,
                "preservation.follow-up",
                targets=["t1"],
                follow_up_kind="mutual_assistance",
                reference="MLA-2026-7",
                authority={"organisation": "Ministry of Justice"},
                issued_at=world.clock(),
            )
        )
        (followed,) = (await fr.messages.sync()).received
        draft = {
            **await fr.replies.draft(
                followed.id,
                "follow-up.confirmed",
                targets=["t1"],
                authority={"organisation": "Ministère de la Justice"},
                file_number="BEPI-2026-1187",
                received_at=world.clock(),
            ),
            "to": [str(JP), str(FR)],
        }
        # How the request came to the ministry is its own State's affair: its desk has no part of the thread.
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("exchange.messaging.outbox.check_next_step", lambda *_, **__: None)
            await ministry.messages.send(draft)
        for desk in (jp, fr):
            await desk.messages.sync()
            due = [what for what, *_ in brief(await desk.cases.agenda())]
            assert ("expiry" in due, "confirm_follow_up" in due) == (not named, not named)

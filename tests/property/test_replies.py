"""A reply of any type has of the asker's message what belongs to the case, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from exchange.desk.desk import Desk
from protocol.errors import HandlingError
from protocol.messages.handling_rules import weaker_than_case
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.base import Handling, Reply
from tests.worlds.desks import FR, JP, World, request

REPLIES = sorted(name for name, model in MESSAGE_TYPES.items() if issubclass(model, Reply))
# What the asker says for itself, in words that stand nowhere else.
MARKED = {
    "own_reference": "ASKERS-REFERENCE",
    "urgency": "urgent",
    "urgency_reason": "ASKERS-REASON",
    "language": "ja",
    "officer": {"name": "ASKERS-OFFICER", "role": "ASKERS-ROLE"},
    "handling": {
        "tlp": "RED",
        "pap": "AMBER",
        "codes": ["H1", "H2", "H3"],
        "text": "Only us.",
        "use_conditions": ["ASKERS-CONDITION"],
        "grade": {"source": "A", "information": "1"},
    },
}
ASKERS = ("ASKERS-REASON", "ASKERS-OFFICER", "ASKERS-ROLE", "ASKERS-CONDITION", '"grade"', '"ja"', "H1")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


async def asked(jp: Desk, fr: Desk, **changes: Any) -> UUID:
    sent = await jp.messages.send(request(**{**MARKED, **changes}))
    await fr.messages.sync()
    return sent.id


async def test_a_reply_of_any_type_has_its_own_language_labels_reason_and_references(world: World) -> None:
    world.change_settings(FR, language="fr")
    assert len(REPLIES) > 25
    async with world.open(JP) as jp, world.open(FR) as fr:
        message = await asked(jp, fr)
        labels = _labels(MARKED["handling"])
        for own in (None, "FR-77"):
            if own is not None:  # once this desk gave a reference, all its replies have it
                fields = {"state": "under_review", "own_reference": own, "next_update_by": _soon(world)}
                await fr.messages.send(await fr.replies.draft(message, "status.report", **fields))
            for reply_type in REPLIES:
                draft = await fr.replies.draft(message, reply_type)
                written = json.dumps(draft, default=str)
                assert [word for word in ASKERS if word in written] == [], reply_type
                assert (draft["to"], draft["language"]) == ([str(JP)], "fr")
                assert draft["peer_reference"] == "ASKERS-REFERENCE"
                assert draft.get("own_reference") == own
                assert weaker_than_case(_labels(draft["handling"]), labels) == ()
                assert draft["urgency_reason"]
                other = await fr.replies.draft(message, reply_type, language="de")
                assert other["language"] == "de"


async def test_the_asker_goes_on_under_its_own_reference_and_that_of_the_other_side(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        message = await asked(jp, fr)
        fields = {"state": "under_review", "own_reference": "FR-77", "next_update_by": _soon(world)}
        await fr.messages.send(await fr.replies.draft(message, "status.report", **fields))
        (got,) = (await jp.messages.sync()).received
        for about in (message, got.id):
            draft = await jp.replies.draft(about, "status.query")
            assert (draft["own_reference"], draft["peer_reference"]) == ("ASKERS-REFERENCE", "FR-77")
            assert draft["to"] == [str(FR)]


@pytest.mark.parametrize(
    "weaker",
    [
        {"tlp": "AMBER"},
        {"pap": "GREEN"},
        {"pap": None},
        {"codes": ["H2"]},
        {"codes": ["H3"]},
        {"text": "Anybody."},
    ],
)
async def test_no_way_in_sends_a_reply_that_is_weaker_than_its_case(world: World, weaker: dict[str, Any]) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        message = await asked(jp, fr)
        draft = await fr.replies.draft(message, "status.report", state="under_review", next_update_by=_soon(world))
        handling = {name: value for name, value in {**draft["handling"], **weaker}.items() if value is not None}
        with pytest.raises(HandlingError, match="not weaker"):
            await fr.messages.send({**draft, "handling": handling})
        with pytest.raises(HandlingError, match="not weaker"):
            await fr.messages.propose({**draft, "handling": handling})
        assert (await fr.messages.send(draft)).status == "submitted"


def _soon(world: World) -> str:
    return world.clock.now.replace(hour=23).isoformat()


def _labels(fields: object) -> Handling:
    return Handling.model_validate_json(json.dumps(fields))

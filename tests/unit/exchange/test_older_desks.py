"""Between desks of different versions: the nation's signed card decides what is written, and nothing else."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from exchange.desk.keys import is_behind, refreshed
from keys.directory.cards import ContactPointCard, make_contact_point_card
from protocol.errors import ComityError, OlderReaderError
from protocol.messages.corrections import own_fields
from protocol.messages.versions import versions_read
from tests.worlds.desks import FR, JP, NOW, World, request

WINDOW = {"begins_at": "2026-10-01T00:00:00Z", "ends_at": "2026-10-02T00:00:00Z"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def newer(**changes: Any) -> dict[str, Any]:
    """A request that says what version 1 cannot."""
    draft = {**request(), **changes}
    return {**draft, "targets": [{**draft["targets"][0], "further_windows": [WINDOW]}, *draft["targets"][1:]]}


def with_reads(card: ContactPointCard, reads: dict[str, tuple[int, ...]] | None, **more: Any) -> ContactPointCard:
    fields = {name: getattr(card, name) for name in type(card).model_fields}
    return make_contact_point_card(**{**fields, "reads": reads, "updated_at": NOW, **more})


async def test_an_older_desk_is_sent_what_it_reads_and_the_sender_is_told_what_it_cannot_be_told(world: World) -> None:
    world.publish(with_reads(world.cards[FR], None))
    async with world.open(JP) as jp, world.open(FR) as fr:
        await jp.refresh_directory()
        with pytest.raises(OlderReaderError) as raised:
            await jp.messages.send(newer())
        assert [field for field, _, _ in raised.value.problems] == ["targets.0.further_windows"]
        assert str(FR) in raised.value.detail
        assert await jp.messages.queued() == 0
        # Knowingly left out, it goes, in the version that the card names.
        sent = await jp.messages.send(newer(leave_out=["further_windows"]))
        assert [one.field for one in sent.cautions if one.code == "left_out"] == ["targets.0.further_windows"]
        await fr.messages.sync()
        shown = await fr.messages.read(sent.id)
        assert shown.message.schema_version == 1
        assert shown.message.targets[0].further_windows is None  # type: ignore[attr-defined]


async def test_an_upgraded_desks_next_card_makes_others_write_the_newest_version(world: World) -> None:
    world.publish(with_reads(world.cards[FR], None))
    assert is_behind(with_reads(world.cards[FR], None))
    card = refreshed(world.cards[FR], NOW, accepted_languages=["fr", "en"], performs={"preservation": "carries_out"})
    assert card.reads == versions_read()
    assert not is_behind(card)
    # What was declared before stays, and other limbs are added to it.
    again = refreshed(card, NOW, performs={"evidence": "facilitates"})
    assert (again.accepted_languages, len(again.performs or {})) == (("fr", "en"), 2)
    world.publish(again)
    async with world.open(JP) as jp, world.open(FR) as fr:
        await jp.refresh_directory()
        sent = await jp.messages.send(newer())
        await fr.messages.sync()
        shown = await fr.messages.read(sent.id)
        assert shown.message.schema_version == 3
        assert shown.message.targets[0].further_windows  # type: ignore[attr-defined]


async def test_a_recipient_whose_card_is_not_known_yet_is_written_to_by_its_card_all_the_same(world: World) -> None:
    async with world.open(JP) as jp:
        await jp.refresh_directory()
        gh = world.enrol(FR.__class__("late", "fr"), publish=False)
        world.publish(with_reads(gh, None))
        # The desk finds the card while it seals, and composes anew for what the card says.
        with pytest.raises(OlderReaderError):
            await jp.messages.send(newer(to=[str(gh.address)]))
        assert await jp.messages.queued() == 0


async def test_a_card_that_its_nation_did_not_sign_makes_nobody_write_an_older_version(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve = world._serve
    world.cards[FR] = with_reads(world.cards[FR], versions_read(), competences=("preservation",))
    whole, cut = b'"preservation.request":[1,2,3]', b'"preservation.request":[1]    '
    served: list[bool] = []

    def lying(path: str) -> bytes:
        """As a node in the middle would: the card of a younger desk is given out as that of an older one."""
        given = serve(path)
        served.append(whole in given)
        return given.replace(whole, cut)

    world.publish(world.cards[FR])
    monkeypatch.setattr("exchange.link.directory.DeskDirectory._get", staticmethod(lying))
    async with world.open(JP) as jp, world.open(FR) as fr:
        with suppress(ComityError):
            await jp.refresh_directory(everything=True)
        assert any(served)
        with suppress(ComityError):
            await jp.messages.send(newer())
        monkeypatch.setattr("exchange.link.directory.DeskDirectory._get", staticmethod(serve))
        await jp.refresh_directory(everything=True)
        await jp.messages.send(newer())
        await fr.messages.sync()
        received = [await fr.messages.read(row.id) for row in await fr.messages.inbox()]
        assert {shown.message.schema_version for shown in received} == {3}


async def test_what_a_message_claims_of_its_sender_changes_nothing_about_what_is_written_to_it(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        await jp.refresh_directory()
        old = await fr.messages.send({**request(), "to": [str(JP)], "schema_version": 1})
        await jp.messages.sync()
        assert json.loads((await jp.messages.read(old.id)).content)["schema_version"] == 1
        sent = await jp.messages.send(newer())
        await fr.messages.sync()
        assert (await fr.messages.read(sent.id)).message.schema_version == 3


async def test_a_request_in_another_language_or_for_what_the_office_cannot_do_is_cautioned_and_sent(
    world: World,
) -> None:
    async with world.open(JP) as jp:
        await jp.refresh_directory(everything=True)
        for accepted, performs, cautioned in (
            (("fr",), {"preservation": "carries_out"}, {"language_not_accepted"}),
            (("en-GB", "fr"), {"preservation": "cannot"}, {"language_not_accepted", "cannot_be_done"}),
            (("en", "fr"), {"evidence": "cannot"}, set()),
            (None, None, set()),
        ):
            declared = with_reads(world.cards[FR], versions_read(), accepted_languages=accepted, performs=performs)
            world.publish(declared)
            await jp.refresh_directory(everything=True)
            said = await jp.cases.cautions_of_draft(request())
            assert {one.code for one in said if one.codes == "caution"} == cautioned
            sent = await jp.messages.send(request())
            assert {one.code for one in sent.cautions if one.codes == "caution"} == cautioned


async def test_a_correction_is_written_in_a_version_that_the_other_desk_reads(world: World) -> None:
    # A desk that reads corrections, and preservation requests in their first version alone.
    reads = {**versions_read(), "preservation.request": (1,)}
    world.publish(with_reads(world.cards[FR], reads))
    async with world.open(JP) as jp, world.open(FR) as fr:
        await jp.refresh_directory(everything=True)
        sent = await jp.messages.send(request())
        own = own_fields((await jp.messages.read(sent.id)).message)
        assert own.pop("schema_version") == 1
        correction = {
            **{name: request()[name] for name in ("to", "language", "handling", "officer", "legal_basis")},
            **{"type": "correction", "thread": str(sent.id), "in_reply_to": str(sent.id), "corrects": str(sent.id)},
            "reason": "The facts were incomplete.",
            "message": {**own, "facts": "More is known now."},
        }
        newer_inside = {**correction, "message": {**correction["message"], "schema_version": 2}}
        with pytest.raises(OlderReaderError) as raised:
            await jp.messages.send(newer_inside)
        assert [field for field, _, _ in raised.value.problems] == ["message.schema_version"]
        mended = await jp.messages.send(correction)
        await fr.messages.sync()
        (content,) = (row.message for row in [await fr.messages.read(mended.id)])
        assert content.message["facts"] == "More is known now."  # type: ignore[attr-defined]

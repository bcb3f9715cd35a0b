"""A request that came to the wrong office: passed on, pointed elsewhere, and what counts of it where."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.desk.desk import Desk
from protocol.address import Address
from protocol.errors import HandlingError, UsageError
from tests.unit.exchange.test_handling import consented
from tests.worlds.desks import FR, JP, PASSPHRASE, World, in_thread, request, without_rules

GH, COURT = Address.parse("24-7@gh"), Address.parse("parquet@fr")
LETS_GO = {"passing_on": {"countries": ["GH"]}}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch, "gh")


async def received(jp: Desk, fr: Desk, **changes: Any) -> UUID:
    sent = await jp.messages.send(request(**changes))
    await fr.messages.sync()
    return sent.id


def preserved(world: World) -> list[dict[str, Any]]:
    now = world.clock()
    times = {"preserved_at": now.isoformat(), "expires_at": (now + timedelta(days=90)).isoformat()}
    return [{"target": "t1", "result": "preserved", **times}]


async def types_of(desk: Desk) -> list[str]:
    return [row.type for row in (await desk.messages.sync()).received]


async def test_within_the_state_a_request_is_passed_on_and_its_maker_is_told_by_the_program(world: World) -> None:
    world.enrol(COURT)
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(COURT) as court:
        asked = await received(jp, fr)  # under AMBER+STRICT: 27.9 refers it all the same
        sent = await fr.referrals.pass_on(asked, [COURT], "The court of Lyon is competent.")
        assert sent.status == "submitted"
        assert sorted(await types_of(jp)) == ["forward", "misdirected"]
        assert await types_of(court) == ["forward"]
        (told,) = [row for row in await jp.messages.inbox() if row.type == "misdirected"]
        word = (await jp.messages.show(told.id)).message
        (passed,) = [row for row in await jp.messages.inbox() if row.type == "forward"]
        assert (word.forwarded, word.forwarded_at) == (True, passed.sent_at)  # type: ignore[attr-defined]
        assert word.right_authority.address == str(COURT)  # type: ignore[attr-defined]
        assert str((await jp.cases.case(asked)).state) == "delivered"  # it stays with France, and its clocks run on
        answer = await court.replies.draft(passed.id, "preservation.answer", targets=preserved(world))
        assert (answer["to"], answer["in_reply_to"], answer["thread"]) == ([str(JP)], str(asked), str(asked))
        await court.messages.send(answer)
        await jp.messages.sync()
        case = await jp.cases.case(asked)
        assert (case.targets[0].state, case.out_of_order) == ("preserved", ())


async def test_labels_that_a_correction_made_stricter_hold_for_what_was_corrected(world: World) -> None:
    world.enrol(COURT)
    async with world.open(JP) as jp, world.open(FR) as fr:
        asked = await received(jp, fr)
        stricter = {"handling": {**request()["handling"], "tlp": "RED"}}
        await jp.replies.correct(asked, stricter, reason="A source would be in danger.")
        await fr.messages.sync()
        with pytest.raises(HandlingError):
            await fr.referrals.pass_on(asked, [COURT], "The court of Lyon is competent.")
        answer = await fr.replies.draft(asked, "preservation.answer", targets=preserved(world))
        assert answer["handling"]["tlp"] == "RED"
        with pytest.raises(HandlingError):
            await fr.messages.send({**answer, "handling": request()["handling"]})
        assert (await fr.messages.send(answer)).status == "submitted"


@pytest.mark.parametrize("how", ["in the request", "by reply"])
async def test_a_third_state_answers_a_request_that_was_passed_on_with_consent(world: World, how: str) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        asked = await received(jp, fr, **(LETS_GO if how == "in the request" else {}))
        if how == "by reply":
            with pytest.raises(HandlingError):
                await fr.referrals.pass_on(asked, [GH], "The servers stand in Accra.")
            assert await types_of(jp) == []  # nothing was said of what was not done
            await consented(jp, fr, asked, "granted")
        await fr.referrals.pass_on(asked, [GH], "The servers stand in Accra.")
        await jp.messages.sync()
        await gh.messages.sync()
        (passed,) = await gh.messages.inbox()
        case = await gh.cases.case(asked)
        assert (case.opening.by, case.opening.requested) == (str(JP), (str(GH),))  # type: ignore[union-attr]
        assert [target.name for target in case.targets] == ["t1", "t2"]
        assert case.delivered_at is not None
        assert {item.what for item in await gh.cases.agenda() if item.thread == asked and item.ours} >= {
            "acknowledgement"
        }
        later = world.clock() + timedelta(days=1)
        await gh.replies.acknowledge(passed.id, will_answer="yes", form="message", next_update_by=later)
        await gh.replies.answer(passed.id, preserved(world))
        await jp.messages.sync()
        cases = await jp.cases.by_nation(asked)
        assert set(cases) == {"fr", "gh"}
        assert cases["gh"].targets[0].state == "preserved"
        assert str(cases["fr"].targets[0].state) == "refused"
        assert all(case.out_of_order == () for case in cases.values())
        tracked = await jp.messages.track(asked)
        assert {(row.nation, row.target, row.state) for row in tracked.targets} >= {("gh", "t1", "preserved")}


async def test_a_third_desk_that_nobody_may_name_is_kept_and_out_of_order(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        asked = await received(jp, fr)
        await gh.messages.sync()
        draft = {"type": "preservation.answer", "thread": str(asked), "in_reply_to": str(asked), "to": [str(JP)]}
        draft |= {"language": "en", "handling": {"tlp": "AMBER+STRICT", "pap": "AMBER"}, "targets": preserved(world)}
        draft |= {"officer": {"name": "Ama", "role": "Duty officer"}}
        with pytest.MonkeyPatch.context() as patched, without_rules(gh):
            patched.setattr("exchange.messaging.outbox.check_next_step", lambda *_, **__: None)
            sent = await gh.messages.send(draft)
        await jp.messages.sync()
        case = await jp.cases.case(asked)
        assert [(entry.fact.message_id, entry.reason.code) for entry in case.out_of_order] == [(sent.id, "no_party")]
        assert sent.id in {row.id for row in await jp.messages.inbox()}
        with without_rules(fr):  # the forwarder keeps to no rule, and its signed forward names the desk
            passed = await fr.referrals.pass_on(asked, [GH], "Not asked for.")
        assert [row.code for row in (await gh.messages.sync()).quarantined] == ["handling"]
        assert [row.code for row in (await jp.messages.sync()).quarantined] == ["handling"]
        assert passed.error is None
        assert set(await jp.cases.by_nation(asked)) == {"fr"}


async def test_no_draft_claims_that_a_request_was_passed_on(world: World) -> None:
    world.enrol(COURT)
    async with world.open(JP) as jp, world.open(FR) as fr:
        asked = await received(jp, fr, **LETS_GO)
        right = {"organisation": "Court", "country": "FR", "address": str(COURT)}
        fields = {"right_authority": right, "forwarded": True, "reason": "Theirs."}
        said = {**fields, "forwarded_at": world.clock().isoformat()}
        with pytest.raises(HandlingError, match="did not pass"):
            await fr.messages.send(await fr.replies.draft(asked, "misdirected", **said))
        with pytest.raises(HandlingError, match="did not pass"):
            await fr.messages.propose(await fr.replies.draft(asked, "misdirected", **said))
        await fr.referrals.pass_on(asked, [GH], "The servers stand in Accra.")
        with pytest.raises(HandlingError, match="did not pass"):  # it was passed on to somebody else
            await fr.messages.send(await fr.replies.draft(asked, "misdirected", **said))
        assert len(await fr.messages.inbox(sent=True)) == 2


async def test_forward_and_word_are_kept_together_or_not_at_all(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        asked = await received(jp, fr, **LETS_GO)
        insert, store = fr._works.context.store.outbox.insert, fr._works.context.store

        def torn(rows: Any) -> None:
            insert(rows)
            assert len(rows) == 2
            raise RuntimeError("the power went")

        with monkeypatch.context() as patched:
            patched.setattr(store.outbox, "insert", torn)
            with pytest.raises(RuntimeError):
                await fr.referrals.pass_on(asked, [GH], "Theirs.")
        assert await fr.messages.inbox(sent=True) == []
        world.nodes["fr"].down = True
        assert (await fr.referrals.pass_on(asked, [GH], "Theirs.")).status == "queued"
    world.nodes["fr"].down = False
    async with world.open(FR) as fr:
        assert len((await fr.messages.sync()).submitted) == 2


async def test_pointing_to_another_state_sends_nothing_there(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        asked = await received(jp, fr)
        await fr.referrals.point_to(
            asked,
            "24/7 contact point of Ghana",
            "GH",
            "The servers stand in Accra.",
            address=GH,
            contact="+233 30 200 0000",
            law="Budapest Convention, a Party since 2019",
        )
        assert await types_of(gh) == []
        assert await types_of(jp) == ["misdirected"]
        (told,) = await jp.messages.inbox()
        right = (await jp.messages.show(told.id)).message.right_authority  # type: ignore[attr-defined]
        assert (right.address, right.law) == (str(GH), "Budapest Convention, a Party since 2019")
        case = await jp.cases.case(asked)
        assert {(target.state, target.refusal_ground) for target in case.targets} == {  # type: ignore[union-attr]
            ("refused", "not_competent_authority")
        }


async def test_only_a_request_to_this_desk_is_passed_on_and_to_desks_of_one_state(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        asked = await received(jp, fr, **LETS_GO)
        for recipients in ([GH, COURT], [JP], [FR], []):
            with pytest.raises(UsageError):
                await fr.referrals.pass_on(asked, recipients, "Theirs.")
        with pytest.raises(UsageError):
            await jp.referrals.pass_on(asked, [GH], "Theirs.")
        assert await in_thread(fr, fr._works.context.store.outbox.count) == 0


def test_the_commands_pass_on_and_point_elsewhere(world: World, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)

    def comity(*arguments: str) -> tuple[int, dict[str, Any]]:
        options = ["--home", str(world.home(FR)), "--json"]
        ran = CliRunner().invoke(app, [*arguments, *options], env={"COMITY_PASSPHRASE_FILE": str(secret)})
        return ran.exit_code, json.loads(ran.stdout)

    async def ask() -> tuple[str, str, str]:
        async with world.open(JP) as jp, world.open(FR) as fr:
            return str(await received(jp, fr)), str(await received(jp, fr)), str(await received(jp, fr, **LETS_GO))

    world.enrol(COURT)
    inside, elsewhere, outside = asyncio.run(ask())
    why = ("--reason", "They are competent.")
    assert comity("pass-on", inside, "--to", str(COURT), *why)[1]["status"] == "submitted"
    code, refused = comity("pass-on", elsewhere, "--to", str(GH), *why)
    assert (code, refused["error"]["type"]) == (1, "urn:comity:error:handling")
    assert comity("pass-on", outside, "--to", str(GH), "--reference", "GH-1", *why)[1]["status"] == "submitted"
    pointed = comity("point-to", elsewhere, "--country", "GH", "--office", "CERT-GH", "--law", "Budapest Art. 25", *why)
    assert pointed[1]["status"] == "submitted"

    async def told() -> list[tuple[bool, str]]:
        async with world.open(JP) as jp:
            rows = [row for row in (await jp.messages.sync()).received if row.type == "misdirected"]
            words = [(await jp.messages.show(row.id)).message for row in rows]
            return sorted((word.forwarded, word.right_authority.country) for word in words)  # type: ignore[attr-defined]

    assert asyncio.run(told()) == [(False, "GH"), (True, "FR"), (True, "GH")]

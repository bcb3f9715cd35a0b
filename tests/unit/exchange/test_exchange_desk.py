"""The desk's main flow: what is sent arrives, is proved, and makes the same case on both sides."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from exchange.desk.desk import Desk
from exchange.desk.watch import LogContradicted, LogStale, compare_log, watch
from exchange.evidence.bag_reader import read_bag, verify_bag
from exchange.evidence.bag_writer import write_bag
from exchange.views import SendStatus
from keys.directory.cards import Hosting
from protocol.address import Address
from protocol.envelope import parse_envelope
from protocol.errors import (
    CommitmentMismatchError,
    ForbiddenError,
    InvalidMessageError,
    NotFoundError,
    RateLimitedError,
    RouteError,
    TransitionError,
    UnavailableError,
    UnknownContactPointError,
)
from protocol.event import EventName, decode_event
from protocol.misbehaviour.proof import MisbehaviourKind, decode_proof
from protocol.misbehaviour.verify import verify_proof
from protocol.routing import Priority
from tests.worlds.desks import FR, JP, NOW, World, in_thread, request
from tests.worlds.patience import WITHIN_S


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def events_of(world: World, node: str) -> list[EventName]:
    return [decode_event(leaf).name for leaf in world.nodes[node].log.leaves]


def answer(**changes: Any) -> dict[str, Any]:
    until = (NOW + timedelta(days=90)).isoformat()
    return {"target": "t1", "result": "preserved", "preserved_at": NOW.isoformat(), "expires_at": until, **changes}


async def acknowledge(desk: Desk, message_id: UUID) -> Any:
    return await desk.replies.acknowledge(message_id, will_answer="yes", form="message", eta=NOW + timedelta(hours=2))


async def test_both_desks_make_the_same_case_of_a_preservation(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        (received,) = (await fr.messages.sync()).received
        await fr.messages.show(received.id)
        await acknowledge(fr, sent.id)
        await fr.replies.answer(sent.id, [answer()], own_reference="PHAROS-1")
        await jp.messages.sync()
        await fr.messages.sync()

        cases = [await desk.cases.case(sent.thread) for desk in (jp, fr)]
        tracking = await jp.messages.track(sent.id)

    assert cases[0] == cases[1]
    assert cases[0].out_of_order == ()
    assert [row.state for row in tracking.targets] == ["preserved", "acknowledged"]
    assert tracking.state == "partly_answered"
    assert tracking.recipients[0].reached == "ContentAccessTracking"
    assert tracking.clocks.expires_at == NOW + timedelta(days=90)
    assert tracking.clocks.acknowledgement_due == NOW + timedelta(hours=8)


async def test_the_routing_header_says_how_urgent_it_is_and_no_more(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request())
        raw = (await in_thread(jp, jp._works.context.store.messages.get, sent.id)).envelope

    routing = parse_envelope(raw).routing
    assert (routing.priority, routing.ack_by) == (Priority.URGENT, NOW + timedelta(hours=8))
    assert routing.expires == NOW + timedelta(days=3)
    assert b"NPA" not in raw
    assert b"preservation" not in raw


async def test_opening_is_stated_once(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await fr.messages.sync()
        shown = [await fr.messages.show(sent.id) for _ in range(3)]
        await fr.messages.sync()

    assert events_of(world, "fr").count(EventName.ContentAccessTracking) == 1
    assert shown[0].row.opened_at == NOW
    assert shown[0].message.id == sent.id


async def test_reading_ones_own_message_states_nothing(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request())
        shown = await jp.messages.show(sent.id)
        await jp.messages.sync()

    assert shown.row.opened_at is None
    assert EventName.ContentAccessTracking not in events_of(world, "jp")


async def test_an_invalid_draft_is_refused_with_every_problem_and_nothing_is_kept(world: World) -> None:
    bad = request(facts="", necessity="")
    async with world.open(JP) as jp:
        with pytest.raises(InvalidMessageError) as refused:
            await jp.messages.send_many([request(), bad])

        assert {where for where, _, _ in refused.value.problems} == {"1.facts", "1.necessity"}
        assert await jp.messages.inbox(sent=True) == []
        assert "submit" not in world.nodes["jp"].calls


@pytest.mark.parametrize(("changes", "where"), [({"from": "24-7@fr"}, "from"), ({"to": ["24-7@fr", "24-7@jp"]}, "to")])
async def test_a_desk_does_not_send_as_another_nor_to_itself(world: World, changes: dict[str, Any], where: str) -> None:
    async with world.open(JP) as jp:
        with pytest.raises(InvalidMessageError) as refused:
            await jp.messages.send(request(**changes))

    assert [problem[0] for problem in refused.value.problems] == [where]


async def test_an_unknown_recipient_is_refused_before_anything_is_kept(world: World) -> None:
    async with world.open(JP) as jp:
        with pytest.raises(UnknownContactPointError):
            await jp.messages.send(request(to=["nobody@fr"]))

        assert await jp.messages.inbox(sent=True) == []


async def test_a_recipient_enrolled_a_moment_ago_is_found_by_one_refresh(world: World) -> None:
    async with world.open(JP) as jp:
        await jp.messages.sync()
        world.enrol(Address.parse("second@fr"))

        sent = await jp.messages.send(request(to=["second@fr"]))

    assert sent.status is SendStatus.SUBMITTED


async def test_what_cannot_be_submitted_is_queued_and_sent_later(world: World) -> None:
    world.nodes["jp"].down = True
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request())
        assert (sent.status, sent.error) == (SendStatus.QUEUED, "unavailable")
        assert await jp.messages.queued() == 1
        with pytest.raises(UnavailableError):
            await jp.messages.sync()
    world.nodes["jp"].down = False
    async with world.open(JP) as jp:
        result = await jp.messages.sync()

        assert result.submitted == (sent.id,)
        assert (await jp.messages.inbox(sent=True))[0].status is SendStatus.SUBMITTED


async def test_a_temporary_refusal_keeps_a_message_queued_and_a_lasting_one_does_not(world: World) -> None:
    node = world.nodes["jp"]
    async with world.open(JP) as jp:
        node.refuse = RateLimitedError()
        sent = await jp.messages.send(request())
        assert (sent.status, sent.error) == (SendStatus.QUEUED, "rate-limited")
        node.refuse = RouteError("nobody there")
        result = await jp.messages.sync()

        assert result.refused == (sent.id,)
        assert (await jp.messages.inbox(sent=True))[0].status is SendStatus.REFUSED
        assert await jp.messages.queued() == 0


@pytest.mark.long
async def test_many_messages_are_sent_in_batches_and_each_gets_its_own_outcome(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send_many([request(own_reference=f"R-{number}") for number in range(150)])
        result = await fr.messages.sync()

    assert {message.status for message in sent} == {SendStatus.SUBMITTED}
    assert world.nodes["jp"].calls.count("submit") == 3
    assert sorted(row.own_reference or "" for row in result.received) == sorted(f"R-{n}" for n in range(150))
    assert {row.id for row in result.received} == {message.id for message in sent}
    assert result.statements == 150


async def test_a_step_that_no_rule_allows_is_refused_before_it_is_sent(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await fr.messages.sync()
        await fr.replies.answer(sent.id, [answer(result="not_held", preserved_at=None, expires_at=None)])
        with pytest.raises(TransitionError):
            await fr.replies.answer(sent.id, [answer()])
        with pytest.raises(ForbiddenError):
            await acknowledge(jp, sent.id)
        with pytest.raises(NotFoundError):
            await acknowledge(fr, UUID(int=7))

        assert len(await fr.messages.inbox(sent=True)) == 1


async def test_ids_made_in_one_millisecond_are_in_the_order_of_sending(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send_many([request() for _ in range(5)]) + [await jp.messages.send(request())]

    ids = [message.id for message in sent]
    assert ids == sorted(ids)


async def test_the_report_of_a_message_covers_its_bytes_and_the_logs(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await fr.messages.sync()
        await jp.messages.sync()
        for desk in (jp, fr):
            report = await desk.evidence.verify(sent.id)
            assert report.ok
            assert report.complete
            assert {check.name for check in report.checks} == {"whole", "signature", "dated", "commitment", "content"}
            assert len(report.receipts) >= 3


async def test_a_log_that_cannot_be_asked_leaves_the_report_incomplete_but_not_failed(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request())
        await jp.messages.sync()
        world.nodes["fr"].down = True
        report = await jp.evidence.verify(sent.id)

    assert report.ok
    assert not report.complete


async def test_a_log_that_was_rolled_back_is_found_out(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await fr.messages.sync()
        await jp.messages.sync()
        log = world.nodes["fr"].log
        world.nodes["fr"].log = type(log)(log.signer, world.clock)
        report = await jp.evidence.verify(sent.id)

    assert not report.ok
    failed = [check.consistency for check in report.receipts if check.consistency.ok is False]
    assert {check.error for check in failed} == {"log-fork"}
    assert not (world.home(JP) / "misbehaviour").exists()  # empty, and signed no later: only seen, not proved


async def test_a_log_that_lied_is_proved_to_others_by_the_desk_that_verifies(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await fr.messages.sync()
        await jp.messages.sync()
        honest = world.nodes["fr"].log
        lying = world.nodes["fr"].log = type(honest)(honest.signer, world.clock)
        world.clock.advance(seconds=2)
        lying.add(*reversed([decode_event(leaf) for leaf in honest.leaves]))
        lying.add(decode_event(honest.leaves[0]))
        report = await jp.evidence.verify(sent.id)

    assert not report.ok
    told = {
        check.consistency.detail.rpartition("proof: ")[2] for check in report.receipts if check.consistency.ok is False
    }
    written = list((world.home(JP) / "misbehaviour").iterdir())
    assert told <= {str(path) for path in written}
    proofs = [decode_proof(path.read_bytes()) for path in written]
    verifier = world.directory.log_verifier("fr")
    assert {verify_proof(proof, verifier).kind for proof in proofs} <= {
        MisbehaviourKind.REWRITTEN,
        MisbehaviourKind.DROPPED,
    }


async def test_a_desk_finds_that_its_own_nodes_log_was_cut(world: World) -> None:
    async with world.open(JP) as jp:
        await jp.messages.send(request())
        assert (await jp.evidence.check_own_log()).ok
        honest = world.nodes["jp"].log
        world.nodes["jp"].log = type(honest)(honest.signer, world.clock)
        world.clock.advance(seconds=2)
        check = await jp.evidence.check_own_log()
        assert (check.ok, check.error) == (False, "log-fork")
        (path,) = (world.home(JP) / "misbehaviour").glob("*-shrunk-*.proof")
        assert str(path) in check.detail
        world.nodes["jp"].down = True
        assert (await jp.evidence.check_own_log()).ok is None


async def test_a_log_that_shows_what_it_signed_long_before_says_nothing_to_a_desk(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request())
        node = world.nodes["jp"]
        old = node.log.checkpoint()
        node.log.checkpoint = lambda: old
        world.clock.advance(minutes=11)
        check = await jp.evidence.check_own_log()
        assert (check.ok, check.error) == (None, "checkpoint-stale")
        report = await jp.evidence.verify(sent.id)
        assert {receipt.consistency.error for receipt in report.receipts} >= {"checkpoint-stale"}


async def test_a_watch_tells_once_that_the_log_of_its_node_shows_no_state_of_now(world: World) -> None:
    async with world.open(JP) as jp:
        await jp.messages.send(request())
        assert await compare_log(jp) is None
        old = world.nodes["jp"].log.checkpoint()
        world.nodes["jp"].log.checkpoint = lambda: old
        world.clock.advance(minutes=11)
        watching = watch(jp, [], world.clock, turn_s=0.01)
        assert isinstance(await anext(watching), LogStale)
        world.clock.advance(minutes=11)
        assert not isinstance(await anext(watching), LogStale)


async def test_a_watch_tells_once_that_the_log_of_its_node_contradicted_itself(world: World) -> None:
    async with world.open(JP) as jp:
        await jp.messages.send(request())
        assert await compare_log(jp) is None
        world.nodes["jp"].log = type(world.nodes["jp"].log)(world.nodes["jp"].log.signer, world.clock)
        world.clock.advance(seconds=2)
        watching = watch(jp, [], world.clock, turn_s=0.01)
        assert isinstance(await anext(watching), LogContradicted)
        world.clock.advance(hours=2)
        assert not isinstance(await anext(watching), LogContradicted)
        await watching.aclose()


async def test_evidence_is_verified_by_who_has_only_the_directory(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await fr.messages.sync()
        await jp.messages.sync()
        bundle = write_bag(await fr.evidence.gather(sent.id, disclose=True))

    report = verify_bag(read_bag(bundle), world.ceremony.repository.root_bytes(1), NOW)

    assert report.ok
    assert report.id == sent.id


async def test_evidence_with_other_content_fails(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request())
        evidence = await jp.evidence.gather(sent.id, disclose=True)
    opened = evidence.disclosure
    assert opened is not None
    other = replace(opened, content=opened.content.replace(b"Roubaix", b"Rouen.."))
    forged = write_bag(replace(evidence, disclosure=other))

    report = verify_bag(read_bag(forged), world.ceremony.repository.root_bytes(1), NOW)

    assert not report.ok
    assert {check.error for check in report.checks if check.ok is False} == {CommitmentMismatchError.code}


async def test_an_id_is_found_by_its_end(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request())

        assert await jp.messages.resolve(str(sent.id)[-8:]) == sent.id
        assert await jp.messages.resolve(str(sent.id)) == sent.id
        with pytest.raises(NotFoundError, match="no message here has an id that begins or ends with 'ffffffff0'"):
            await jp.messages.resolve("ffffffff0")


async def test_an_id_is_found_and_told_from_others_however_old_its_message_is(world: World) -> None:
    async with world.open(JP) as jp:
        old, new = [(await jp.messages.send(request())).id for _ in range(2)]
        assert await jp.messages.resolve(str(old)[-8:]) == old
        both = str(old)[:6]  # the time of both
        assert str(new).startswith(both)
        with pytest.raises(NotFoundError, match=r"several messages fit .* \(2\)"):
            await jp.messages.resolve(both)


@pytest.mark.parametrize(
    ("typed", "told"), [("zzz", "at least four characters"), ("", "at least four"), ("zzzz", "^no ")]
)
async def test_an_id_that_fits_nothing_is_never_said_to_fit_too_many(world: World, typed: str, told: str) -> None:
    async with world.open(JP) as jp:
        with pytest.raises(NotFoundError, match=told):
            await jp.messages.resolve(typed)
        with pytest.raises(NotFoundError, match=told):
            await jp.messages.saved_draft(typed)


async def test_waiting_ends_when_the_condition_holds(world: World) -> None:
    async def arrived(desk: Desk) -> bool:
        return bool(await desk.messages.inbox())

    async with world.open(JP) as jp, world.open(FR) as fr:
        await jp.messages.send(request())
        await fr.wait_for(arrived, timeout_s=WITHIN_S)

        assert len(await fr.messages.inbox()) == 1


async def test_a_listener_yields_what_arrives_and_states_it(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        async with asyncio.timeout(WITHIN_S):
            async for result in fr.messages.listen():
                assert [row.id for row in result.received] == [sent.id]
                break
        await fr.messages.sync()

    assert EventName.ContentHandover in events_of(world, "fr")


async def test_a_directory_that_cannot_be_refreshed_does_not_stop_the_desk(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forged(path: str) -> bytes:
        return b"{}"

    async with world.open(JP) as jp:
        await jp.messages.send(request())
    monkeypatch.setattr("exchange.link.directory.DeskDirectory._get", lambda self, path: forged(path))
    async with world.open(JP) as jp:
        await jp.messages.sync()
        sent = await jp.messages.send(request())

    assert sent.status is SendStatus.SUBMITTED


async def test_a_desk_that_moves_to_another_host_reads_the_new_mailbox_from_its_beginning(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        await fr.messages.send(request(to=[str(JP)]))
        await fr.messages.send(request(to=[str(JP)]))
        assert len((await jp.messages.sync()).received) == 2
        host = Hosting(node="fr", since=NOW + timedelta(minutes=1))
        world.publish(world.cards[JP].model_copy(update={"hosting": (host,), "updated_at": world.clock()}))
        await jp.refresh_directory()
        await fr.refresh_directory()
        world.clock.advance(minutes=2)

        sent = await fr.messages.send(request(to=[str(JP)]))
        envelope = parse_envelope((await in_thread(fr, fr._works.context.store.messages.get, sent.id)).envelope)
        world.nodes["fr"].consign(envelope, JP, world.nodes["fr"])
        result = await jp.messages.sync()

        assert [row.id for row in result.received] == [sent.id]
        assert result.cursor == 1
        assert [row.error for row in await jp.messages.receipts(sent.id) if row.node == "fr"] == [None] * 3

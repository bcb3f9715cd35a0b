"""What a node does when requests or partners are wrong, hostile, slow or broken off: it refuses, and goes on."""

from __future__ import annotations

import asyncio
import os
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from keys.directory.cards import CardStatus, Function
from keys.members.federation import with_status
from keys.members.identity import generate_desk_keys
from keys.transport.tls import client_context, server_context
from node.monitor.monitor import Checked
from protocol.address import Address
from protocol.crypto.signing import Ed25519Signer
from protocol.directory_seen import decode_entry
from protocol.encoding import cbor
from protocol.event import Event, EventName
from protocol.http.signature import SignedBody, sign_request
from protocol.log.checkpoint import Checkpoint, SoftLogSigner, sign_checkpoint
from protocol.receipt import receipts_to_value
from tests.worlds.nodes import World, answers
from tests.worlds.patience import WITHIN_S

LIMITS = {"failures_burst": 100_000}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp", "fr")
    yield world
    await world.close()


@pytest.fixture
async def jp(world: World) -> World:
    """The world with the node jp running, which bears with many failures."""
    await world.start("jp", limits=LIMITS)
    return world


async def _works(world: World) -> None:
    """The node still serves its desk."""
    tokyo = world.desks["24-7@jp"]
    (answer,) = await world.submit(tokyo, world.seal(tokyo, [tokyo]))
    assert answer.code is None


async def _raw(world: World, *parts: bytes, finish: bool = False) -> bytes:
    """What the node answers to raw bytes until it closes; ``finish`` closes our side after sending."""
    tls = client_context([world.node_keys["jp"].tls.certificate])
    reader, writer = await asyncio.open_connection("127.0.0.1", world.ports["jp"], ssl=tls)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        if finish:
            return b""
        async with asyncio.timeout(WITHIN_S):
            return await reader.read()
    finally:
        writer.close()


def _signed_head(world: World, body: bytes) -> bytes:
    """The head of a request to submit ``body``, rightly signed."""
    desk = world.desks["24-7@jp"]
    url = world.url("jp") + "/v1/submit"
    headers = sign_request(
        "POST",
        url,
        SignedBody(body, "application/cbor"),
        str(desk.address),
        desk.signer(),
        world.clock(),
        os.urandom(16),
    )
    lines = ["POST /v1/submit HTTP/1.1", f"Host: 127.0.0.1:{world.ports['jp']}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


# --- Requests that are wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"not cbor",
        cbor.encode([]),
        cbor.encode({1: 2}),
        cbor.encode(["text"]),
        cbor.encode([b"x"] * 65),
        b"\x9f\x41x\xff",
        b"\x81" * 10_000,
        cbor.encode([b"x"]) + b"trailing",
    ],
)
async def test_a_body_that_is_no_batch_is_refused_with_a_problem(jp: World, body: bytes) -> None:
    desk = jp.desks["24-7@jp"]
    reply = await jp.call("jp", "POST", "/v1/submit", body, holder=str(desk.address), signer=desk.signer())
    assert reply.status in {400, 413}
    assert reply.headers["Content-Type"].startswith("application/problem+json")
    assert reply.code in {"malformed", "non-canonical", "too-large"}
    await _works(jp)


async def test_random_bodies_never_meet_a_defect(jp: World) -> None:
    desk, generator = jp.desks["24-7@jp"], random.Random(5)
    whole = jp.seal(desk, [desk]).raw
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(generator.randint(1, 4)):
            damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
        reply = await jp.desk_call(desk, "POST", "/v1/submit", [bytes(damaged), generator.randbytes(40)])
        assert all(answer.code not in {None, "internal"} for answer in answers(reply))
    assert "internal" not in jp.logs["jp"].getvalue()


async def test_an_oversized_body_is_refused_by_its_announced_length_before_it_is_read(jp: World) -> None:
    head = _signed_head(jp, b"x").replace(b"Content-Length: 1\r\n", b"Content-Length: 99999999\r\n")
    assert b" 413 " in (await _raw(jp, head)).split(b"\r\n")[0]
    await _works(jp)


async def test_an_oversized_chunked_body_is_cut_off(jp: World) -> None:
    head = _signed_head(jp, b"x").replace(b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n")
    chunk = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    assert b" 413 " in (await _raw(jp, head, *[chunk] * 5)).split(b"\r\n")[0]
    await _works(jp)


async def test_half_a_body_times_out(jp: World) -> None:
    body = cbor.encode([bytes(1000)])
    with jp.in_a_hurry("jp", body_timeout_s=0.3):
        answer = await _raw(jp, _signed_head(jp, body), body[:100])
    assert b" 408 " in answer.split(b"\r\n")[0]
    assert b"body-timeout" in answer
    await _works(jp)


async def test_a_body_that_breaks_off_is_nothing(jp: World) -> None:
    body = cbor.encode([jp.seal(jp.desks["24-7@jp"], [jp.desks["24-7@fr"]]).raw])
    await _raw(jp, _signed_head(jp, body), body[:-10], finish=True)
    await _works(jp)
    assert "internal" not in jp.logs["jp"].getvalue()


async def test_headers_that_never_end_and_a_connection_that_says_nothing_are_cut_off(world: World) -> None:
    await world.start("jp", limits={"idle_timeout_s": 2})
    slow = _raw(world, b"POST /v1/submit HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    assert await asyncio.gather(slow, _raw(world)) == [b"", b""]
    await _works(world)


async def test_bytes_that_are_not_http_are_refused(jp: World) -> None:
    assert b" 400 " in (await _raw(jp, b"\x16\x03\x01 nonsense\r\n\r\n")).split(b"\r\n")[0]
    await _works(jp)


@pytest.mark.parametrize(
    "extra",
    [{"Content-Encoding": "gzip"}, {"Upgrade": "websocket", "Connection": "Upgrade"}, {"Content-Encoding": "identity"}],
)
async def test_compression_and_change_of_protocol_are_refused(jp: World, extra: dict[str, str]) -> None:
    desk = jp.desks["24-7@jp"]
    reply = await jp.desk_call(desk, "POST", "/v1/submit", [b"x"], extra=extra)
    assert (reply.status, reply.code) == (400, "malformed")


async def test_another_content_type_is_refused(jp: World) -> None:
    desk = jp.desks["24-7@jp"]
    reply = await jp.desk_call(desk, "POST", "/v1/submit", [b"x"], extra={"Content-Type": "application/json"})
    assert (reply.status, reply.code) == (400, "malformed")


async def test_a_get_with_a_body_is_refused(jp: World) -> None:
    desk = jp.desks["24-7@jp"]
    assert (await jp.desk_call(desk, "GET", "/v1/mailbox", [b"x"])).status == 400


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "after=1&after=2", "limit=1000", "wait=31", "after=" + "9" * 30]
)
async def test_query_parameters_out_of_their_range_are_refused(jp: World, query: str) -> None:
    desk = jp.desks["24-7@jp"]
    assert (await jp.desk_call(desk, "GET", f"/v1/mailbox?{query}")).status == 400


async def test_unknown_paths_and_methods_are_problems_too(jp: World) -> None:
    desk = jp.desks["24-7@jp"]
    lost = await jp.desk_call(desk, "GET", "/v2/nothing")
    wrong = await jp.desk_call(desk, "DELETE", "/v1/mailbox")
    climbing = await jp.desk_call(desk, "GET", "/directory/metadata/..%2F..%2Fkeystore.cbor")
    assert (lost.status, lost.code) == (404, "not-found")
    assert (wrong.status, wrong.code) == (405, "method-not-allowed")
    assert climbing.status == 404


# --- Callers that are not who they say ---------------------------------------------------------------------------


async def test_an_unsigned_request_is_refused(jp: World) -> None:
    desk = jp.desks["24-7@jp"]
    reply = await jp.desk_call(desk, "GET", "/v1/mailbox", headers={})
    assert (reply.status, reply.code) == (401, "unauthenticated")


async def test_a_request_counts_once(jp: World) -> None:
    desk, nonce, now = jp.desks["24-7@jp"], bytes(16), jp.clock()
    first = await jp.desk_call(desk, "GET", "/v1/mailbox", nonce=nonce, now=now)
    again = await jp.desk_call(desk, "GET", "/v1/mailbox", nonce=nonce, now=now)
    assert first.status == 200
    assert (again.status, again.code) == (409, "replayed")


async def test_a_restart_does_not_forget_which_requests_were_made(jp: World) -> None:
    desk, nonce, now = jp.desks["24-7@jp"], bytes(16), jp.clock()
    assert (await jp.desk_call(desk, "GET", "/v1/mailbox", nonce=nonce, now=now)).status == 200
    await jp.stop("jp")
    await jp.start("jp")
    assert (await jp.desk_call(desk, "GET", "/v1/mailbox", nonce=nonce, now=now)).code == "replayed"


@pytest.mark.parametrize("minutes", [-2, 2])
async def test_a_signature_from_another_time_is_refused(jp: World, minutes: int) -> None:
    desk = jp.desks["24-7@jp"]
    reply = await jp.desk_call(desk, "GET", "/v1/mailbox", now=jp.clock() + timedelta(minutes=minutes))
    assert (reply.status, reply.code) == (401, "clock-skew")


async def test_a_request_signed_for_another_server_is_refused_here(jp: World) -> None:
    desk = jp.desks["24-7@jp"]
    other = "https://fr.example/v1/mailbox"
    misled = await jp.desk_call(desk, "GET", "/v1/mailbox", sign_url=other)
    carried = await jp.desk_call(desk, "GET", "/v1/mailbox", sign_url=other, extra={"Host": "fr.example"})
    assert misled.status in {401, 403}
    assert (carried.status, carried.code) == (401, "unauthenticated")


async def test_a_key_that_the_directory_does_not_list_is_refused(jp: World) -> None:
    desk = jp.desks["24-7@jp"]
    reply = await jp.call("jp", "GET", "/v1/mailbox", holder=str(desk.address), signer=generate_desk_keys().signer())
    nobody = await jp.call("jp", "GET", "/v1/mailbox", holder="nobody@jp", signer=desk.signer())
    assert (reply.status, reply.code) == (403, "unknown-key")
    assert (nobody.status, nobody.code) == (404, "unknown-contact-point")


async def test_a_desk_enrolled_a_moment_ago_is_known_at_its_first_request(jp: World) -> None:
    osaka = jp.add_desk("osaka@jp")
    assert (await jp.desk_call(osaka, "GET", "/v1/mailbox")).status == 200


async def test_a_revoked_card_is_refused_after_the_refresh(jp: World) -> None:
    desk = jp.desks["24-7@jp"]
    jp.publish("jp", with_status(desk.card, CardStatus.REVOKED, jp.clock()))
    await jp.nodes["jp"].context.directory.refresh()
    reply = await jp.desk_call(desk, "GET", "/v1/mailbox")
    assert (reply.status, reply.code) == (403, "revoked")


async def test_each_call_is_for_those_it_is_made_for(jp: World) -> None:
    tokyo, paris = jp.desks["24-7@jp"], jp.desks["24-7@fr"]
    auditor = jp.add_desk("audit@jp", (Function.AUDIT,))
    foreign = {"holder": str(paris.address), "signer": paris.signer()}
    refused = [
        await jp.desk_call(tokyo, "POST", "/v1/transfer", [b"x"]),
        await jp.desk_call(tokyo, "POST", "/v1/receipts", [[], []]),
        await jp.desk_call(tokyo, "GET", "/log/tile/entries/000"),
        await jp.node_call("fr", "jp", "POST", "/v1/submit", [b"x"]),
        await jp.node_call("fr", "jp", "GET", "/v1/mailbox"),
        await jp.node_call("fr", "jp", "GET", "/log/tile/entries/000"),
        await jp.node_call("jp", "jp", "POST", "/v1/transfer", [b"x"]),
        await jp.call("jp", "GET", "/v1/mailbox", **foreign),
        await jp.desk_call(auditor, "GET", "/v1/mailbox"),
        await jp.desk_call(auditor, "POST", "/v1/submit", [b"x"]),
    ]
    assert [(reply.status, reply.code) for reply in refused] == [(403, "forbidden")] * len(refused)
    assert (await jp.call("jp", "GET", "/log/checkpoint", **foreign)).status == 200
    await _works(jp)
    assert (await jp.desk_call(auditor, "GET", "/log/tile/entries/000.p/2")).status == 200


async def test_a_caller_over_its_rate_is_told_to_wait(world: World) -> None:
    await world.start("jp", limits={"desk_requests_per_s": 0.001, "desk_burst": 2})
    desk = world.desks["24-7@jp"]
    replies = [await world.desk_call(desk, "GET", "/v1/mailbox") for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]


async def test_an_address_whose_requests_keep_failing_is_not_verified_any_more(world: World) -> None:
    await world.start("jp", limits={"failures_per_s": 0.001, "failures_burst": 2})
    desk = world.desks["24-7@jp"]
    replies = [await world.desk_call(desk, "GET", "/v1/mailbox", headers={}) for _ in range(3)]
    assert [reply.status for reply in replies] == [401, 401, 429]


# --- Envelopes that are wrong --------------------------------------------------------------------------------------


async def test_a_bad_envelope_is_refused_alone(jp: World) -> None:
    tokyo, paris = jp.desks["24-7@jp"], jp.desks["24-7@fr"]
    good = jp.seal(tokyo, [paris])
    others = jp.seal(paris, [tokyo])
    forged = jp.seal(tokyo, [paris], signer=Ed25519Signer(bytes(32)))
    expired = jp.seal(tokyo, [paris], created=jp.clock() - timedelta(days=2))
    early = jp.seal(tokyo, [paris], created=jp.clock() + timedelta(hours=1))
    batch = [good, others, forged, expired, early, good]
    got = await jp.submit(tokyo, *batch)
    assert [answer.code for answer in got] == [
        None,
        "sender-mismatch",
        "unknown-key",
        "expired",
        "not-yet-valid",
        None,
    ]
    assert got[0].receipts == got[5].receipts


async def test_an_envelope_to_nobody_is_refused_and_the_refusal_is_logged(jp: World) -> None:
    tokyo = jp.desks["24-7@jp"]
    ghost = jp.add_desk("ghost@jp")
    ghost.address = Address.parse("nobody@jp")
    before = await jp.nodes["jp"].context.store.reads.log_size()
    (answer,) = await jp.submit(tokyo, jp.seal(tokyo, [ghost]))
    assert answer.code == "unknown-contact-point"
    store = jp.nodes["jp"].context.store
    logged = [decode_entry(await store.reads.leaf(index)) for index in range(before, await store.reads.log_size())]
    assert [entry.name for entry in logged if isinstance(entry, Event)] == [EventName.SubmissionRejection]


async def test_the_same_id_with_other_content_is_refused(jp: World) -> None:
    from protocol.crypto.hpke import SealingKey
    from protocol.envelope import parse_envelope, seal

    tokyo = jp.desks["24-7@jp"]
    first = jp.seal(tokyo, [tokyo])
    key = SealingKey(tokyo.keys.opener().public_key)
    other = parse_envelope(seal(b"other", first.routing, tokyo.signer(), {tokyo.address: key}, os.urandom))
    (accepted,) = await jp.submit(tokyo, first)
    (refused,) = await jp.submit(tokyo, other)
    assert (accepted.code, refused.code) == (None, "id-conflict")


async def test_a_node_may_not_hand_over_what_is_not_of_its_own_desks(jp: World) -> None:
    tokyo, paris = jp.desks["24-7@jp"], jp.desks["24-7@fr"]
    own = jp.seal(paris, [tokyo])
    stolen = jp.seal(tokyo, [tokyo])
    elsewhere = jp.seal(paris, [paris])
    reply = await jp.node_call("fr", "jp", "POST", "/v1/transfer", [own.raw, stolen.raw, elsewhere.raw])
    assert [answer.code for answer in answers(reply)] == [None, "not-on-route", "not-on-route"]


async def test_a_statement_about_a_message_of_another_desk_is_refused(jp: World) -> None:
    tokyo, osaka = jp.desks["24-7@jp"], jp.add_desk("osaka@jp")
    envelope = jp.seal(tokyo, [osaka])
    await jp.submit(tokyo, envelope)
    (answer,) = await jp.state(tokyo, EventName.ContentHandover, envelope)
    assert answer.code == "not-found"


async def test_receipts_of_the_called_nodes_own_log_are_refused(jp: World) -> None:
    tokyo = jp.desks["24-7@jp"]
    (answer,) = await jp.submit(tokyo, jp.seal(tokyo, [tokyo]))
    reply = await jp.node_call("fr", "jp", "POST", "/v1/receipts", receipts_to_value(answer.receipts))
    assert all(b"forbidden" in verdict.encode() for verdict in reply.cbor())


# --- Partners that are wrong ---------------------------------------------------------------------------------------

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class FakePartner:
    """Shows the partner's certificate and does whatever ``behaviour`` says with each connection."""

    world: World
    behaviour: Behaviour
    server: asyncio.Server | None = None
    requests: int = 0
    held: list[asyncio.StreamWriter] = field(default_factory=list)

    async def __aenter__(self) -> FakePartner:
        identity = self.world.node_keys["fr"].tls
        tls: ssl.SSLContext = server_context(identity.certificate, identity.key_pem)
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.world.ports["fr"], ssl=tls)
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.held.append(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"/v1/transfer" in head.split(b"\r\n")[0]:
                self.requests += 1
            await self.behaviour(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def __aexit__(self, *_: object) -> None:
        assert self.server is not None
        self.server.close()
        for writer in self.held:
            writer.transport.abort()


def _answering(body: bytes, status: str = "200 OK", length: int | None = None, head: str = "") -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = len(body) if length is None else length
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{head}Connection: close\r\n\r\n".encode() + body)

    return behave


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff not http at all\r\n\r\n")


BAD_ANSWERS = {
    "garbage": _answering(b"\xff\x00garbage"),
    "not http": _rude,
    "empty": _answering(b""),
    "another shape": _answering(cbor.encode({1: [], 2: [[], []]})),
    "no receipts": _answering(cbor.encode({1: [{1: []}], 2: [[], []]})),
    "numbers out of range": _answering(cbor.encode({1: [{1: [7]}], 2: [[], []]})),
    "half a body": _answering(b"\xa2\x01", length=5000),
    "compressed": _answering(b"\x1f\x8b", head="Content-Encoding: gzip\r\n"),
    "server error": _answering(b"<html>sorry</html>", status="500 Internal Server Error"),
    "redirect": _answering(b"", status="302 Found", head="Location: https://127.0.0.1:1/\r\n"),
    "unknown problem": _answering(cbor.encode({1: [{2: '{"type":"urn:comity:error:from-the-future"}'}], 2: [[], []]})),
    "problem that is none": _answering(cbor.encode({1: [{2: "["}], 2: [[], []]})),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
async def test_a_partner_that_answers_nonsense_loses_nothing(jp: World, name: str) -> None:
    tokyo, paris = jp.desks["24-7@jp"], jp.desks["24-7@fr"]
    envelope = jp.seal(tokyo, [paris])
    async with FakePartner(jp, BAD_ANSWERS[name]) as partner:
        await jp.submit(tokyo, envelope)
        await jp.until(lambda: partner.requests >= 2)
    await jp.start("fr")
    proved = await jp.events(tokyo, 3)
    assert {receipt.event.name for receipt in proved} == {EventName.RelayAcceptance, EventName.ContentConsignment}
    assert [entry.envelope for entry in (await jp.mailbox(paris))[0]] == [envelope.raw]


async def test_receipts_about_another_message_do_not_count(jp: World) -> None:
    tokyo, paris = jp.desks["24-7@jp"], jp.desks["24-7@fr"]
    await jp.start("fr")
    earlier = jp.seal(tokyo, [paris])
    reply = await jp.node_call("jp", "fr", "POST", "/v1/transfer", [earlier.raw])
    true_answer = reply.body
    assert answers(reply)[0].code is None
    await jp.stop("fr")
    async with FakePartner(jp, _answering(true_answer)) as partner:
        await jp.submit(tokyo, jp.seal(tokyo, [paris]))
        await jp.until(lambda: partner.requests >= 2)
    assert all(entry.envelope is not None for entry in (await jp.mailbox(tokyo))[0])


async def test_a_partner_that_is_down_gets_its_messages_when_it_is_back(jp: World) -> None:
    tokyo, paris = jp.desks["24-7@jp"], jp.desks["24-7@fr"]
    sent = [jp.seal(tokyo, [paris]) for _ in range(3)]
    await jp.submit(tokyo, *sent)
    await jp.start("fr")
    assert len(await jp.events(tokyo, 9)) == 9
    assert {entry.envelope for entry in (await jp.mailbox(paris))[0]} == {envelope.raw for envelope in sent}


async def test_a_partner_that_hangs_delays_no_other(world: World) -> None:
    world.add_nation("br")
    rio = world.add_desk("24-7@br")
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    await world.start("jp", delivery={"timeout_s": 600, "first_backoff_s": 60, "cosign_s": 3600})
    await world.start("br")
    async with FakePartner(world, _silent) as partner:
        await world.submit(tokyo, world.seal(tokyo, [paris]))
        await world.until(lambda: partner.requests == 1)
        other = world.seal(tokyo, [rio])
        await world.submit(tokyo, other)
        entries, _ = await world.arrived(rio, other)
        assert len(entries) == 1
        assert len(await world.events(tokyo, 3)) == 3
        assert partner.requests == 1
        await world.stop("jp")


async def test_a_message_that_expires_undelivered_is_reported_to_its_sender(world: World) -> None:
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    await world.start("jp", housekeeping_s=0.02)
    await world.submit(tokyo, world.seal(tokyo, [paris], lifetime=timedelta(hours=1)))
    world.clock.shift = timedelta(hours=2)
    (failure,) = await world.events(tokyo, 1)
    assert (failure.event.name, failure.event.reasons) == (EventName.RelayFailure, ("expired",))


async def test_a_final_refusal_of_the_partner_reaches_the_sender(jp: World) -> None:
    tokyo, paris = jp.desks["24-7@jp"], jp.desks["24-7@fr"]
    problem = '{"type":"urn:comity:error:signature-invalid","status":403}'
    async with FakePartner(jp, _answering(cbor.encode({1: [{2: problem}], 2: [[], []]}))):
        await jp.submit(tokyo, jp.seal(tokyo, [paris]))
        (refused,) = await jp.events(tokyo, 1)
    assert (refused.event.name, refused.event.reasons) == (EventName.RelayRejection, ("signature-invalid",))


def _log_of(world: World, nation: str) -> SoftLogSigner:
    keys = world.node_keys[nation]
    return SoftLogSigner(f"test-federation/{nation}", keys.log_ed25519_seed, keys.log_mldsa_seed)


async def test_a_partner_whose_log_contradicts_itself_is_not_trusted_any_more(jp: World) -> None:
    tokyo, paris = jp.desks["24-7@jp"], jp.desks["24-7@fr"]
    await jp.start("fr")
    await jp.submit(tokyo, jp.seal(tokyo, [paris]))
    await jp.events(tokyo, 3)
    monitor = jp.nodes["jp"].relay.monitor
    other_history = sign_checkpoint(Checkpoint("test-federation/fr", 1, bytes(32)), _log_of(jp, "fr"), jp.clock())
    monitor._state.proved["fr"] = other_history

    assert await monitor.check("fr") is Checked.CONTRADICTED

    assert monitor.distrusted == ("fr",)
    await jp.submit(tokyo, jp.seal(tokyo, [paris]))
    reply = await jp.node_call("fr", "jp", "POST", "/v1/receipts", [[], []])
    assert reply.status == 413
    await jp.until(lambda: '"log-fork"' in jp.logs["jp"].getvalue())
    await jp.stop("jp")
    await jp.start("jp")
    assert jp.nodes["jp"].relay.monitor.distrusted == ("fr",)


async def test_a_log_that_grows_is_proved_and_remembered(jp: World) -> None:
    tokyo, paris = jp.desks["24-7@jp"], jp.desks["24-7@fr"]
    await jp.start("fr")
    witness = jp.nodes["jp"].relay.monitor
    assert await witness.check("fr") is Checked.PROVED
    for _ in range(3):
        await jp.submit(tokyo, jp.seal(tokyo, [paris]))
        await jp.events(tokyo, 3)
        assert await witness.check("fr") is Checked.PROVED
    assert witness.distrusted == ()


# --- Stopping -----------------------------------------------------------------------------------------------------


async def test_stopping_answers_those_who_wait(jp: World) -> None:
    tokyo = jp.desks["24-7@jp"]
    poll = asyncio.create_task(jp.mailbox(tokyo, wait=30))
    await jp.until(lambda: jp.nodes["jp"].http.polls.of["24-7@jp"] == 1)
    await jp.stop("jp")
    assert await poll == ([], 0)


async def test_an_event_stream_tells_that_something_came_and_nothing_else(jp: World) -> None:
    tokyo = jp.desks["24-7@jp"]
    url = jp.url("jp") + "/v1/mailbox/events?after=0"
    headers = sign_request("GET", url, None, str(tokyo.address), tokyo.signer(), jp.clock(), os.urandom(16))
    async with jp.session("jp").get(url, headers=headers) as stream:
        assert await stream.content.readuntil(b"\n\n") == b": comity\n\n"
        await jp.submit(tokyo, jp.seal(tokyo, [tokyo]))
        event = await stream.content.readuntil(b"\n\n")
    _, head = await jp.mailbox(tokyo)
    assert event == f"event: mailbox\ndata: {head}\n\n".encode()


async def test_nothing_of_a_message_or_its_parties_is_in_the_logs(jp: World) -> None:
    tokyo, paris = jp.desks["24-7@jp"], jp.desks["24-7@fr"]
    await jp.start("fr")
    envelope = jp.seal(tokyo, [paris], b"a name that nobody may read")
    await jp.submit(tokyo, envelope)
    await jp.events(tokyo, 3)
    text = jp.logs["jp"].getvalue() + jp.logs["fr"].getvalue()
    assert text
    for secret in ("24-7@", str(envelope.routing.id), envelope.digest.hex(), "nobody may read"):
        assert secret not in text

"""What a desk refuses to open, and what it keeps and states of what it refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from exchange.desk.desk import Desk
from exchange.views import SyncResult
from keys.members.identity import KEY_LIFETIME
from protocol.address import Address
from protocol.crypto import cose
from protocol.crypto.hpke import HybridOpener, SealingKey
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding.ids import new_message_id
from protocol.encoding.keyid import ED25519
from protocol.envelope import ENVELOPE_CONTEXT, SEALED_TYPE, parse_envelope, seal
from protocol.event import EventName, decode_event
from protocol.messages.parse import complete_message, message_to_bytes
from protocol.routing import Priority, Routing
from tests.worlds.altered import one_bit_off
from tests.worlds.desks import FR, JP, NOW, World, in_thread, request


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def content_of(message_id: UUID, **changes: Any) -> bytes:
    message = complete_message(request(), message_id=message_id, sender=str(JP), sent_at=NOW)
    fields = {**json.loads(message_to_bytes(message)), **changes}
    return json.dumps(fields).encode()


def fresh_id() -> UUID:
    return new_message_id(NOW, os.urandom(10))


def craft(
    world: World,
    message_id: UUID,
    content: bytes | None = None,
    *,
    recipient: Address = FR,
    key: SealingKey | None = None,
    expires_in: timedelta = timedelta(days=1),
) -> bytes:
    """An envelope that jp's desk signed, with what a careless or hostile desk could put into it."""
    routing = Routing(message_id, JP, (recipient,), NOW, NOW + expires_in, Priority.URGENT, None, bytes(32))
    keys = {recipient: key or world.directory.sealing_key(FR, NOW)}
    return seal(content or content_of(message_id), routing, world.keystore(JP).signer(), keys, os.urandom)


def deliver(world: World, raw: bytes) -> None:
    world.nodes["fr"].box(FR).put(raw, [])


async def delivered(world: World, raw: bytes) -> SyncResult:
    deliver(world, raw)
    async with world.open(FR) as fr:
        return await fr.messages.sync()


async def refusal_code(world: World, raw: bytes) -> str:
    """The code under which the message is kept; checks what must hold of any refused one."""
    before = len(world.nodes["fr"].log.leaves)
    deliver(world, raw)
    async with world.open(FR) as fr:
        result = await fr.messages.sync()
        assert result.received == ()
        assert await fr.messages.inbox() == []
        (row,) = await fr.messages.quarantine()
        assert await fr.messages.quarantined_envelope(row.digest) == raw
    (stated,) = [decode_event(leaf) for leaf in world.nodes["fr"].log.leaves[before:]]
    assert (stated.name, stated.reasons) == (EventName.ContentHandoverFailure, (row.code,))
    return row.code


async def test_a_good_message_is_accepted_and_its_handover_is_stated(world: World) -> None:
    result = await delivered(world, craft(world, fresh_id()))

    assert len(result.received) == 1
    assert result.quarantined == ()
    names = [decode_event(leaf).name for leaf in world.nodes["fr"].log.leaves]
    assert names == [EventName.ContentHandover]


async def test_recipient_refuses_envelope_sealed_to_a_key_it_does_not_hold(world: World) -> None:
    stranger = SealingKey(HybridOpener(os.urandom(32)).public_key)

    assert await refusal_code(world, craft(world, fresh_id(), key=stranger)) == "not-a-recipient"


async def test_recipient_refuses_envelope_addressed_to_another(world: World) -> None:
    other = Address.parse("other@fr")

    assert await refusal_code(world, craft(world, fresh_id(), recipient=other)) == "not-a-recipient"


async def test_recipient_refuses_envelope_resigned_by_another_sender(world: World) -> None:
    envelope = parse_envelope(craft(world, fresh_id()))
    resigned = cose.sign1(envelope.signed.payload, SEALED_TYPE, ENVELOPE_CONTEXT, Ed25519Signer(b"\x66" * 32))

    assert await refusal_code(world, resigned) == "unknown-key"


async def test_recipient_refuses_envelope_resigned_by_another_key_of_the_same_sender(world: World) -> None:
    second = Ed25519Signer(b"\x67" * 32)
    card = world.cards[JP]
    entry = type(card.signing_keys[0]).of(ED25519, second.public_key, NOW - timedelta(days=1), NOW + KEY_LIFETIME)
    world.publish(card.model_copy(update={"signing_keys": (*card.signing_keys, entry)}))
    envelope = parse_envelope(craft(world, fresh_id()))
    resigned = cose.sign1(envelope.signed.payload, SEALED_TYPE, ENVELOPE_CONTEXT, second)

    assert await refusal_code(world, resigned) == "open-failed"


async def test_recipient_refuses_envelope_under_the_routing_header_of_another_message(world: World) -> None:
    envelope, other = (parse_envelope(craft(world, fresh_id())) for _ in range(2))
    protected = cose.encrypted_protected(envelope.sealed.iv, other.sealed.routing)
    swapped = replace(envelope.sealed, protected=protected, routing=other.sealed.routing)
    raw = cose.sign1(cose.encode_encrypted(swapped), SEALED_TYPE, ENVELOPE_CONTEXT, world.keystore(JP).signer())

    assert await refusal_code(world, raw) == "open-failed"


async def test_recipient_refuses_altered_ciphertext_that_its_sender_signed(world: World) -> None:
    envelope = parse_envelope(craft(world, fresh_id()))
    ciphertext = bytes([envelope.sealed.ciphertext[0] ^ 1]) + envelope.sealed.ciphertext[1:]
    altered = replace(envelope.sealed, ciphertext=ciphertext)
    raw = cose.sign1(cose.encode_encrypted(altered), SEALED_TYPE, ENVELOPE_CONTEXT, world.keystore(JP).signer())

    assert await refusal_code(world, raw) == "open-failed"


async def test_recipient_refuses_envelope_altered_on_the_way(world: World) -> None:
    raw = craft(world, fresh_id())

    assert await refusal_code(world, one_bit_off(raw)) == "signature-invalid"


async def test_recipient_refuses_content_that_was_not_committed_to(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("protocol.envelope.commitment_of", lambda salt, content: b"\x05" * 32)
        raw = craft(world, fresh_id())

    assert await refusal_code(world, raw) == "commitment-mismatch"


async def test_recipient_refuses_an_expired_message(world: World) -> None:
    raw = craft(world, fresh_id(), expires_in=timedelta(hours=1))
    world.clock.advance(hours=1)

    assert await refusal_code(world, raw) == "expired"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"from": "24-7@de"}, "sender-mismatch"),
        ({"id": "01936f5e-0000-7000-8000-000000000000"}, "routing-mismatch"),
        ({"to": ["24-7@fr", "24-7@de"]}, "routing-mismatch"),
        ({"facts": None}, "invalid-message"),
    ],
)
async def test_recipient_refuses_content_that_is_not_the_routing_headers(
    world: World, changes: dict[str, Any], code: str
) -> None:
    message_id = fresh_id()

    assert await refusal_code(world, craft(world, message_id, content_of(message_id, **changes))) == code


async def test_recipient_refuses_another_message_of_an_id_it_has(world: World) -> None:
    message_id = fresh_id()
    await delivered(world, craft(world, message_id))
    result = await delivered(world, craft(world, message_id))

    assert [row.code for row in result.quarantined] == ["id-conflict"]
    async with world.open(FR) as fr:
        assert [row.id for row in await fr.messages.inbox()] == [message_id]


@pytest.mark.parametrize("same_page", [True, False])
async def test_a_replayed_envelope_is_taken_once(world: World, same_page: bool) -> None:
    raw = craft(world, fresh_id())
    results = []
    if same_page:
        deliver(world, raw)
    else:
        results.append(await delivered(world, raw))
    results.append(await delivered(world, raw))

    assert sum(len(result.received) for result in results) == 1
    assert sum(result.duplicates for result in results) == 1
    assert sum(len(result.quarantined) for result in results) == 0


async def test_a_replayed_refused_envelope_is_kept_once(world: World) -> None:
    raw = craft(world, fresh_id(), recipient=Address.parse("other@fr"))
    await delivered(world, raw)
    result = await delivered(world, raw)

    assert (result.quarantined, result.duplicates) == ((), 1)


async def test_bytes_that_are_no_envelope_are_kept_and_do_not_stop_the_rest(world: World) -> None:
    deliver(world, b"\xa0 not an envelope")
    result = await delivered(world, craft(world, fresh_id()))

    assert [row.code for row in result.quarantined] == ["malformed"]
    assert result.quarantined[0].claimed_id is None
    assert len(result.received) == 1


async def test_a_message_of_a_key_newer_than_the_directory_is_accepted_after_one_refresh(world: World) -> None:
    new = Ed25519Signer(b"\x68" * 32)
    card = world.cards[JP]
    entry = type(card.signing_keys[0]).of(ED25519, new.public_key, NOW - timedelta(days=1), NOW + KEY_LIFETIME)
    message_id = fresh_id()
    routing = Routing(message_id, JP, (FR,), NOW, NOW + timedelta(days=1), Priority.URGENT, None, bytes(32))
    raw = seal(content_of(message_id), routing, new, {FR: world.directory.sealing_key(FR, NOW)}, os.urandom)
    async with world.open(FR) as fr:
        await fr.messages.sync()
        version = fr.directory.version
        world.publish(card.model_copy(update={"signing_keys": (*card.signing_keys, entry)}))
        deliver(world, raw)

        result = await fr.messages.sync()

        assert fr.directory.version > version
    assert [row.id for row in result.received] == [message_id]


async def test_a_message_logged_before_its_key_was_revoked_is_accepted_afterwards(world: World) -> None:
    envelope = parse_envelope(craft(world, fresh_id()))
    world.nodes["fr"].consign(envelope, FR, world.nodes["fr"])
    world.clock.advance(hours=1)
    card = world.cards[JP]
    revoked = card.signing_keys[0].model_copy(update={"revoked_at": NOW + timedelta(minutes=30)})
    world.publish(card.model_copy(update={"signing_keys": (revoked,)}))
    async with world.open(FR) as fr:
        await fr.refresh_directory()
        result = await fr.messages.sync()

    assert len(result.received) == 1


async def test_a_message_signed_with_a_revoked_key_is_refused(world: World) -> None:
    card = world.cards[JP]
    revoked = card.signing_keys[0].model_copy(update={"revoked_at": NOW - timedelta(seconds=1)})
    raw = craft(world, fresh_id())
    world.publish(card.model_copy(update={"signing_keys": (revoked,)}))
    deliver(world, raw)
    async with world.open(FR) as fr:
        await fr.refresh_directory()
        result = await fr.messages.sync()

    assert [row.code for row in result.quarantined] == ["revoked"]


Tamper = Callable[[Any], Any]


async def first_receipt(desk: Desk, message_id: UUID) -> Any:
    return (await desk.messages.receipts(message_id))[0]


async def test_a_receipt_that_does_not_verify_is_kept_and_never_counted(world: World) -> None:
    def alter(receipt: Any) -> Any:
        return replace(receipt, leaf=one_bit_off(receipt.leaf))

    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await jp.messages.sync()
        world.nodes["fr"].tamper = alter
        await fr.messages.sync()
        result = await jp.messages.sync()
        tracking = await jp.messages.track(sent.id)

    assert result.unverified_receipts == 1
    assert tracking.recipients[0].reached == "ContentConsignment"
    assert tracking.case.delivered_at is None


async def test_a_submission_whose_receipt_does_not_verify_stays_queued_until_one_does(world: World) -> None:
    node = world.nodes["jp"]
    node.tamper = lambda receipt: replace(receipt, index=receipt.index + 1)
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request())
        assert (str(sent.status), sent.error) == ("queued", "proof-invalid")
        node.tamper = lambda receipt: receipt
        result = await jp.messages.sync()

        assert result.submitted == (sent.id,)
        assert [row.event for row in await jp.messages.receipts(sent.id)].count("SubmissionAcceptance") == 1


async def test_a_receipt_of_another_message_does_not_count(world: World) -> None:
    async with world.open(JP) as jp:
        first = await jp.messages.send(request())
        kept = world.nodes["jp"].submitted[first.digest][0]
        world.nodes["jp"].tamper = lambda _: kept

        second = await jp.messages.send(request())

    assert (str(second.status), second.error) == ("queued", "proof-invalid")


async def test_only_the_recipients_node_can_say_that_a_message_was_consigned(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request())
        envelope = parse_envelope((await in_thread(jp, jp._works.context.store.messages.get, sent.id)).envelope)
        node = world.nodes["jp"]
        forged = node.log.add(node.event(EventName.ContentConsignment, envelope, recipient=FR))
        node.box(JP).put(None, forged)
        await jp.messages.sync()

        (row,) = [row for row in await jp.messages.receipts(sent.id) if row.node == "jp" and "Consignment" in row.event]

    assert (row.verified, row.error) == (False, "forbidden")

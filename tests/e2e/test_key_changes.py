"""Keys change hands between real processes: messages go on, old receipts still prove, old keys are of no use."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.settings import Home
from exchange.views import SendStatus
from keys.directory.cards import NodeCard, parse_node_card
from keys.members.federation import publish_cards, with_revoked_key
from keys.members.identity import tls_identity
from keys.secrets.keystore import Keystore, Purpose
from keys.transport.tls import client_context, server_context
from protocol.address import Address
from protocol.errors import CheckpointInvalidError, ComityError, DemoStepError
from protocol.log.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from tests.worlds.patience import WITHIN_S
from tests.worlds.processes import PASSPHRASE, World, desk, proved, request_draft, sync, world

ALL_STEPS = {
    ("SubmissionAcceptance", "jp"),
    ("RelayAcceptance", "jp"),
    ("RelayAcceptance", "fr"),
    ("ContentConsignment", "fr"),
    ("ContentHandover", "fr"),
}


async def deliver(made: World, jp: Any, fr: Any) -> Any:
    """A message from jp to fr, until the sender has the proof of its handover."""
    sent = await jp.messages.send(request_draft())
    async with asyncio.timeout(WITHIN_S):
        while not {(row.event, row.node) for row in await jp.messages.receipts(sent.id) if row.verified} >= ALL_STEPS:
            await sync(made, fr, wait=1)
            await sync(made, jp, wait=1)
    return sent.id


def publish(made: World, node: str) -> NodeCard:
    """What the nation does with the card that the node gave it."""
    card = parse_node_card((made.federation.node_home(node) / "card.json").read_bytes())
    federation = made.federation
    publish_cards(federation.ceremony, [card], federation.nations[node], federation.registry, datetime.now(UTC))
    return card


async def rotate(made: World, *step: str) -> Any:
    home = str(made.federation.node_home("jp"))
    return await made.typed.node("rotate", step[0], home, *step[1:])


async def until_published(made: World, *step: str) -> Any:
    """Repeat a step until the node has the directory that it needs."""
    done = None
    async with asyncio.timeout(WITHIN_S):
        while done is None:
            try:
                done = await rotate(made, *step)
            except DemoStepError as problem:
                if "does not list" not in problem.detail:
                    raise
    return done


def keystore(made: World) -> Keystore:
    return Keystore.open(made.federation.node_home("jp") / "keystore.cbor", PASSPHRASE)


async def test_a_node_changes_all_its_keys_while_messages_flow(tmp_path: Path) -> None:
    async with world(tmp_path) as made, desk(made, "jp") as jp, desk(made, "fr") as fr:
        before = await deliver(made, jp, fr)
        old = keystore(made)
        old_log = old.log_signer("comity-demo/jp")

        await rotate(made, "begin")
        with pytest.raises(DemoStepError, match="does not list the new tls key yet"):
            await rotate(made, "switch")
        with pytest.raises(DemoStepError, match="switch to them first"):
            await rotate(made, "finish")
        assert len(publish(made, "jp").tls_certificates) == 2
        switched = await until_published(made, "switch")
        assert switched == {"switched": ["tls", "signing", "log", "witness"]}
        with pytest.raises(DemoStepError, match="no new keys were begun"):
            await rotate(made, "switch")
        with pytest.raises(DemoStepError, match="restart it first"):
            await rotate(made, "finish")

        # The desk of jp missed all this: it still knows only the old certificate.
        await made.nodes.pop("jp").stop()
        await made.start("jp")
        during = await deliver(made, jp, fr)
        assert proved(await jp.messages.receipts(during)) >= ALL_STEPS

        await rotate(made, "finish")
        card = publish(made, "jp")
        assert len(card.tls_certificates) == 1
        assert card.previous_logs[0].final_size is not None
        async with asyncio.timeout(WITHIN_S):
            while (await jp.refresh_directory()).node("jp").previous_logs[0].final_size is None:
                await sync(made, jp, wait=1)
        after = await deliver(made, jp, fr)
        for message in (before, during, after):
            report = await jp.evidence.verify(message)
            assert report.ok, report
            assert report.complete
        assert await rotate(made, "finish") == {"card": None}

        directory = jp.directory
        verifier = directory.log_verifier("jp")
        final = card.previous_logs[0].final
        assert final is not None
        # What a thief of the old keys can do now.
        larger = Checkpoint(final.origin, final.size + 1, bytes(32))
        other = Checkpoint(final.origin, final.size, bytes(32))
        for forged in (larger, other):
            with pytest.raises(CheckpointInvalidError, match="replaced by then"):
                open_checkpoint(sign_checkpoint(forged, old_log, datetime.now(UTC)), verifier)
        stolen = old.signer(Purpose.HTTP)
        (entry,) = [key for key in card.signing_keys if key.public == stolen.public_key]
        assert not entry.is_valid(datetime.now(UTC))
        assert not await shakes_hands(old, directory.tls_certificates("jp"))
        assert await shakes_hands(keystore(made), directory.tls_certificates("jp"))
        for name in (Purpose.HTTP, Purpose.LOG_ED25519, Purpose.LOG_ML_DSA_44, Purpose.TLS):
            assert keystore(made).entry(name).secret != old.entry(name).secret


async def shakes_hands(server: Keystore, pinned: list[bytes]) -> bool:
    """Whether a partner who knows the card connects to a server that has the keys of ``server``."""
    identity = tls_identity(server)

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    listening = await asyncio.start_server(
        close, "127.0.0.1", 0, ssl=server_context(identity.certificate, identity.key_pem)
    )
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context(pinned))
        except ssl.SSLCertVerificationError:
            return False
        writer.close()
        return True


async def test_a_desk_changes_its_keys_by_its_officers_commands(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        home = made.root / "desk-fr"

        async def comity(*arguments: str, codes: tuple[int, ...] = (0,)) -> Any:
            return await made.typed.comity(home, *arguments, codes=codes)

        async def published(wanted: set[tuple[str, str]]) -> None:
            """The nation signs the card; wait until the desk sees keys in all of these states and in no other."""
            made.federation.enrol(Home(home).enrolment, datetime.now(UTC))
            async with asyncio.timeout(WITHIN_S):
                seen: set[tuple[str, str]] = set()
                while seen != wanted:
                    seen = {(row["purpose"], row["state"]) for row in (await comity("keys", "status"))["keys"]}

        await comity("keys", "plan", "--count", "2", "--days", "30")
        await published({("sign", "valid"), ("seal", "valid"), ("seal", "future")})
        await comity("keys", "renew-signing")
        refused = await comity("keys", "switch-signing", codes=(1,))
        assert refused["error"]["type"] == "urn:comity:error:rotation"
        await published({("sign", "valid"), ("seal", "valid"), ("seal", "future")})
        await comity("keys", "switch-signing")
        await published({("sign", "valid"), ("sign", "ended"), ("seal", "valid"), ("seal", "future")})

        async with desk(made, "jp") as jp, desk(made, "fr") as fr:
            await jp.refresh_directory()
            await fr.refresh_directory()
            assert await deliver(made, jp, fr)
            # What the new signing key signs is accepted by node and partner.
            (row,) = await fr.messages.inbox()
            await fr.replies.acknowledge(
                row.id, will_answer="yes", form="message", eta=datetime.now(UTC) + timedelta(hours=4)
            )
            async with asyncio.timeout(WITHIN_S):
                while not await jp.messages.inbox():
                    await sync(made, fr, wait=1)
                    await sync(made, jp, wait=1)
        assert await comity("keys", "retire") == {"destroyed": []}
        kid = next(row["kid"] for row in (await comity("keys", "status"))["keys"] if row["state"] == "future")
        refused = await comity("keys", "retire", "--kid", kid, codes=(1,))
        assert refused["error"]["type"] == "urn:comity:error:rotation"


async def test_a_stolen_desk_key_is_of_no_use_once_it_is_revoked(tmp_path: Path) -> None:
    async with world(tmp_path) as made, desk(made, "fr") as fr:
        async with desk(made, "jp") as jp:
            before = await deliver(made, jp, fr)
            address, kid = str(jp.address), jp.directory.contact_point(jp.address).signing_keys[0].kid
        federation = made.federation
        revoked = with_revoked_key(fr.directory.contact_point(Address.parse(address)), kid, datetime.now(UTC))
        publish_cards(federation.ceremony, [revoked], federation.nations["jp"], federation.registry, datetime.now(UTC))
        async with asyncio.timeout(WITHIN_S):
            while (await fr.refresh_directory()).contact_point(revoked.address).signing_keys[0].revoked_at is None:
                await sync(made, fr, wait=1)
        async with desk(made, "jp") as thief:
            refusals = set()
            async with asyncio.timeout(WITHIN_S):
                while "revoked" not in refusals:
                    try:
                        await thief.messages.sync()
                    except ComityError as problem:
                        refusals.add(problem.code)
            sent = await thief.messages.send(request_draft())
            assert sent.status is not SendStatus.SUBMITTED
        await sync(made, fr, wait=1)
        assert [row.id for row in await fr.messages.inbox()] == [before]
        # What was signed before it was stolen is judged by the card of then.
        assert (await fr.evidence.verify(before)).ok

"""Desks and nodes over real TLS on loopback, each node with its database and its log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.desk.desk import Desk
from exchange.desk.enrolment import NewDesk, create_desk
from exchange.settings import Home
from exchange.views import SendStatus
from keys.local.files import write_file
from keys.members.bootstrap import BootstrapFile
from keys.secrets.keystore import FAST, Keystore
from node.server import Node
from node.settings import NodeHome, NodeSettings
from protocol.address import Address
from tests.worlds.desks import OFFICER, request
from tests.worlds.patience import WITHIN_S
from tests.worlds.processes import NodeHomes, make_homes

PASSPHRASE = b"correct horse"
PROVED_IN_ONE_LEG = {
    ("SubmissionAcceptance", "jp"),
    ("RelayAcceptance", "jp"),
    ("RelayAcceptance", "fr"),
    ("ContentConsignment", "fr"),
    ("ContentHandover", "fr"),
}


class Federation:
    """Two nations with a running node each, and the desk ``24-7`` of each."""

    def __init__(self, root: Path) -> None:
        passphrase_file = root / "passphrase"
        write_file(passphrase_file, PASSPHRASE, mode=0o600)
        self.made: NodeHomes = make_homes(root, PASSPHRASE, passphrase_file)
        self.nodes: dict[str, Node] = {}
        for node in ("jp", "fr"):
            self.enrol(Address("24-7", node))

    def home(self, address: Address) -> Path:
        return self.made.root / f"desk-{address.contact_point}-{address.node}"

    def enrol(self, address: Address) -> None:
        create_desk(
            self.home(address),
            NewDesk(address, office="office", agency="agency", officer=OFFICER),
            PASSPHRASE,
            BootstrapFile.from_bytes(self.made.bootstrap(address.node).read_bytes()),
            datetime.now(UTC),
            derivation=FAST,
        )
        self.made.enrol(Home(self.home(address)).enrolment, datetime.now(UTC))

    async def start(self, name: str) -> None:
        home = NodeHome(self.made.node_home(name))
        keystore = Keystore.open(home.keystore, PASSPHRASE)
        self.nodes[name] = Node(home, NodeSettings.load(home.settings), keystore)
        await self.nodes[name].start()

    async def stop(self, name: str) -> None:
        await self.nodes.pop(name).stop()

    def desk(self, text: str) -> Any:
        return Desk.open(self.home(Address.parse(text)), PASSPHRASE)


@asynccontextmanager
async def running(root: Path) -> AsyncIterator[Federation]:
    federation = Federation(root)
    try:
        for name in ("jp", "fr"):
            await federation.start(name)
        yield federation
    finally:
        for name in tuple(federation.nodes):
            await federation.stop(name)


@pytest.fixture
async def federation(tmp_path: Path) -> AsyncIterator[Federation]:
    async with running(tmp_path) as made:
        yield made


async def proved(desk: Desk, message_id: Any) -> set[tuple[str, str]]:
    rows = await desk.messages.receipts(message_id)
    assert all(row.verified for row in rows), [row.error for row in rows]
    return {(row.event, row.node) for row in rows}


async def test_a_request_is_delivered_proved_and_answered_across_two_nodes(federation: Federation) -> None:
    async with federation.desk("24-7@jp") as jp, federation.desk("24-7@fr") as fr:
        sent = await jp.messages.send(request())
        assert (sent.status, sent.error) == (SendStatus.SUBMITTED, None)
        await fr.wait_for(lambda desk: has_message(desk, sent.id))
        await jp.wait_for(lambda desk: reached(desk, sent.id, PROVED_IN_ONE_LEG))

        await fr.messages.show(sent.id)
        until = datetime.now(UTC) + timedelta(days=90)
        acknowledged = await fr.replies.acknowledge(sent.id, will_answer="yes", form="message", eta=until)
        preserved = {"target": "t1", "result": "preserved", "preserved_at": acknowledged_at(), "expires_at": until}
        answered = await fr.replies.answer(sent.id, [preserved])
        await jp.wait_for(lambda desk: has_message(desk, answered.id))
        await fr.wait_for(lambda desk: reached(desk, answered.id, {("ContentHandover", "jp")}))
        await jp.wait_for(lambda desk: reached(desk, sent.id, {("ContentAccessTracking", "fr")}))

        tracking = await jp.messages.track(sent.id)
        report = await jp.evidence.verify(sent.id)
        cases = [await desk.cases.case(sent.thread) for desk in (jp, fr)]

    assert acknowledged.status is SendStatus.SUBMITTED
    assert [row.state for row in tracking.targets] == ["preserved", "acknowledged"]
    assert report.ok
    assert report.complete, report
    assert cases[0] == cases[1]


async def test_an_unreachable_node_delays_a_message_and_loses_nothing(federation: Federation) -> None:
    async with federation.desk("24-7@jp") as jp:
        await jp.messages.send(request())  # to have fr's cards
        await federation.stop("jp")
        sent = await jp.messages.send(request())
        assert (sent.status, sent.error) == (SendStatus.QUEUED, "unavailable")
        await federation.start("jp")

        assert (await jp.messages.sync()).submitted == (sent.id,)


async def test_a_batch_of_messages_is_delivered_each_once(federation: Federation) -> None:
    async with federation.desk("24-7@jp") as jp, federation.desk("24-7@fr") as fr:
        sent = await jp.messages.send_many([request(own_reference=f"R-{number}") for number in range(100)])
        assert {message.status for message in sent} == {SendStatus.SUBMITTED}
        received = 0
        async with asyncio.timeout(WITHIN_S):
            while received < 100:
                received += len((await fr.messages.sync(wait=5)).received)

        assert {row.id for row in await fr.messages.inbox(limit=200)} == {message.id for message in sent}
        assert await fr.messages.quarantine() == []


async def test_a_desk_of_the_same_node_is_reached_without_a_partner(federation: Federation) -> None:
    federation.enrol(Address.parse("night@jp"))
    await federation.nodes["jp"].context.directory.refresh()
    async with federation.desk("24-7@jp") as day, federation.desk("night@jp") as night:
        sent = await day.messages.send(request(to=["night@jp"]))
        await night.wait_for(lambda desk: has_message(desk, sent.id))
        await day.wait_for(lambda desk: reached(desk, sent.id, {("ContentHandover", "jp")}))


def acknowledged_at() -> str:
    return datetime.now(UTC).isoformat()


async def has_message(desk: Desk, message_id: Any) -> bool:
    return message_id in {row.id for row in await desk.messages.inbox()}


async def reached(desk: Desk, message_id: Any, wanted: set[tuple[str, str]]) -> bool:
    return wanted <= await proved(desk, message_id)

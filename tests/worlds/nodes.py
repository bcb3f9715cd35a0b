"""A small federation on this machine for tests: real directory, real nodes with TLS on loopback, plain desks."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from exchange.demo._ports import free_port, is_free
from keys.ceremony.ceremony import Ceremony
from keys.directory.cards import Card, ContactPointCard, Function, Hosting
from keys.directory.metadata.tuf_key import DirectorySigner
from keys.directory.view import Directory
from keys.members.federation import bootstrap_file_of
from keys.members.identity import DeskKeys, NodeKeys, generate_desk_keys
from keys.secrets.keystore import Keystore
from keys.transport.tls import client_context
from node.log.clock import boot_seconds
from node.operations.logging import make_log
from node.server import Node
from node.settings import NodeHome, NodeSettings
from protocol.address import Address
from protocol.crypto.hpke import SealingKey
from protocol.crypto.signing import Signer
from protocol.encoding import cbor
from protocol.encoding.ids import new_message_id
from protocol.envelope import Envelope, parse_envelope, seal
from protocol.event import EventName
from protocol.files.file_list import FileSet
from protocol.http.signature import NONCE_BYTES, SignedBody, sign_request
from protocol.receipt import Receipt, ReceiptVerifier, VerifiedReceipt, receipts_from_value
from protocol.routing import Priority, Routing
from protocol.statement import DeskStatement, sign_statement
from tests.worlds.federation import Federation, make_node_home, signers
from tests.worlds.moulds import copied
from tests.worlds.patience import WITHIN_S, until

FEDERATION = "Test federation"
FOLDER = "federation"
# Partners are asked to cosign where a test says so.
DELIVERY = {"first_backoff_s": 0.02, "max_backoff_s": 0.2, "timeout_s": WITHIN_S, "cosign_s": 3600}


class Clock:
    """The system's clock, shifted as a test wants."""

    def __init__(self) -> None:
        self.shift = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.shift

    def elapsed(self) -> float:
        """Seconds on a clock that nobody sets: what a test shifts has really passed."""
        return boot_seconds() + self.shift.total_seconds()


@dataclass
class Desk:
    """A contact point: its keys, its card, and signed requests to its node."""

    address: Address
    keys: DeskKeys
    card: ContactPointCard
    url: str
    certificate: bytes
    host: str = ""
    session: aiohttp.ClientSession | None = None

    def signer(self) -> Signer:
        return self.keys.signer()


class Forger:
    """Signs with another key under the id of an honest one."""

    def __init__(self, honest: Signer) -> None:
        self.public_key, self.kid = honest.public_key, honest.kid
        self._own = generate_desk_keys().signer()

    def sign(self, message: bytes) -> bytes:
        """A signature that does not verify."""
        return self._own.sign(message)


@dataclass
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def code(self) -> str:
        """The problem's code."""
        return str(json.loads(self.body)["type"]).removeprefix("urn:comity:error:")

    def cbor(self) -> Any:
        assert self.status == 200, self.body
        return cbor.decode(self.body)


@dataclass(frozen=True, slots=True)
class Nation:
    """What a nation begins with: its node, without an address if not ``reachable``, and its contact points by name."""

    name: str
    desks: tuple[str, ...] = ("24-7",)
    auditors: tuple[str, ...] = ()
    relay: str | None = None
    reachable: bool = True


@dataclass
class World:
    """Federation ``Test federation``; nations are added, nodes started and stopped, by the tests."""

    path: Path
    clock: Clock = field(default_factory=Clock)
    federation: Federation | None = None
    node_keys: dict[str, NodeKeys] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    logs: dict[str, StringIO] = field(default_factory=dict)
    desks: dict[str, Desk] = field(default_factory=dict)
    sessions: list[aiohttp.ClientSession] = field(default_factory=list)
    directory: Directory | None = None
    clocks: dict[str, Clock] = field(default_factory=dict)  # of nodes whose clock is set: no time passes by it
    kinds: dict[str, type[Node]] = field(default_factory=dict)  # nodes that are not honest

    @classmethod
    def of(cls, path: Path, *nations: str | Nation) -> World:
        """A federation of these nations in ``path``, a copy of one that was founded once; by name: with the desk 24-7.

        Ports are those of the first: its nodes are stopped by now.
        """
        members = [Nation(nation) if isinstance(nation, str) else nation for nation in nations]
        founded = copied(path, _found, *members, usable=lambda made: all(is_free(port) for port in made.ports.values()))
        assert founded.federation is not None
        return cls(
            path,
            federation=founded.federation.copied(path / FOLDER),
            node_keys=dict(founded.node_keys),
            ports=dict(founded.ports),
            desks={address: replace(desk) for address, desk in founded.desks.items()},
            directory=founded.directory,
        )

    @property
    def folder(self) -> Path:
        return self.path / FOLDER

    @property
    def holders(self) -> list[DirectorySigner]:
        return self.founded().holders

    @property
    def registry(self) -> list[DirectorySigner]:
        return self.founded().registry

    @property
    def nations(self) -> dict[str, list[DirectorySigner]]:
        return self.founded().nations

    def founded(self) -> Federation:
        if self.federation is None:
            holders = signers("JP", "FR")
            self.federation = Federation.found(self.folder, self.clock(), name=FEDERATION, holders=holders)
        return self.federation

    def found(self) -> Ceremony:
        return self.founded().ceremony

    def add_nation(
        self, name: str, *, port: int | None = None, relay: str | None = None, reachable: bool = True
    ) -> None:
        """Keys, home folder and published card of a node; without an address if not ``reachable``."""
        federation, now = self.founded(), self.clock()
        self.ports[name] = port or self.free_port()
        urls = [self.url(name)] if reachable else []
        self.node_keys[name], card = federation.admit_node(
            name, signers(f"{name} authority"), now, urls=urls, relay=relay
        )
        self.directory = federation.directory
        make_node_home(self.home(name).path, b"test", self.node_keys[name], card, now)

    def free_port(self) -> int:
        """A port that nobody uses, nor will a node of this world."""
        while (port := free_port()) in self.ports.values():
            continue
        return port

    def url(self, name: str) -> str:
        return f"https://127.0.0.1:{self.ports[name]}"

    def home(self, name: str) -> NodeHome:
        return NodeHome(self.path / name)

    def add_desk(self, address: str, functions: tuple[Function, ...] = (Function.EXCHANGE,), **fields: Any) -> Desk:
        """Keys and published card of a contact point; ``fields`` are further ones of the card."""
        return self._enrol(Address.parse(address), "", functions=functions, **fields)

    def add_hosted(self, address: str, host: str) -> Desk:
        """A nation without a node: its contact point's card names the node that hosts it."""
        now, where = self.clock(), Address.parse(address)
        self.founded().admit(where.node, signers(f"{where.node} authority"), now)
        return self._enrol(where, host, hosting=(Hosting(node=host, since=now),))

    def _enrol(self, address: Address, host: str, **fields: Any) -> Desk:
        federation, node = self.founded(), host or address.node
        keys, card = federation.enrol(address, self.clock(), **fields)
        self.directory = federation.directory
        desk = Desk(address, keys, card, self.url(node), self.node_keys[node].tls.certificate, host)
        self.desks[str(address)] = desk
        return desk

    def publish(self, nation: str, *cards: Card) -> None:
        self.directory = self.founded().publish(self.clock(), *cards)

    async def start(self, name: str, *, folder: bool = True, **settings: Any) -> Node:
        """Start a node; with ``folder`` it takes the directory from the ceremony's folder, else from the first node."""
        home = self.home(name)
        values: dict[str, Any] = {
            "node": name,
            "listen": f"127.0.0.1:{self.ports[name]}",
            "admin": "127.0.0.1:0",
            "allow_networks": ["127.0.0.0/8"],
            "directory": {"folder": self.folder} if folder else {},
            "log": {"boot_folder": self.path},
            "delivery": DELIVERY,
        }
        assert self.directory is not None
        bundle = bootstrap_file_of(self.directory, self.found().repository, next(iter(self.nations)))
        home.bootstrap.write_bytes(bundle.to_bytes())
        keystore = Keystore.open(home.keystore, b"test")
        stream = self.logs.setdefault(name, StringIO())
        node = self.kinds.get(name, Node)(
            home,
            NodeSettings.of(values | settings),
            keystore,
            clock=self.clocks.get(name, self.clock),
            elapsed=boot_seconds if name in self.clocks else self.clock.elapsed,
            log=make_log(name, "debug", stream),
        )
        await node.start()
        self.nodes[name] = node
        return node

    @contextmanager
    def in_a_hurry(self, name: str, **limits: float) -> Iterator[None]:
        """For the length of the block a node waits for bodies no longer than these limits say. Outside of it a machine
        that is busy is not taken for a caller who is slow.
        """
        with pytest.MonkeyPatch.context() as patched:
            for limit, value in limits.items():
                patched.setitem(self.nodes[name].context.settings.limits.__dict__, limit, value)
            yield

    async def stop(self, name: str) -> None:
        await self.nodes.pop(name).stop()

    async def close(self) -> None:
        for session in self.sessions:
            await session.close()
        for name in list(self.nodes):
            await self.stop(name)

    # --- What desks do -------------------------------------------------------------------------------------------

    def session(self, node: str) -> aiohttp.ClientSession:
        tls = client_context([self.node_keys[node].tls.certificate])
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls), auto_decompress=False)
        self.sessions.append(session)
        return session

    async def call(
        self,
        node: str,
        method: str,
        target: str,
        body: bytes | None = None,
        *,
        holder: str,
        signer: Signer,
        sign_url: str | None = None,
        now: datetime | None = None,
        nonce: bytes | None = None,
        extra: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body_type: str = "application/cbor",
    ) -> Reply:
        """A signed request to a node; ``headers`` replaces the signature altogether."""
        url = self.url(node) + target
        if headers is None:
            headers = sign_request(
                method,
                sign_url or url,
                None if body is None else SignedBody(body, body_type),
                holder,
                signer,
                now or self.clock(),
                nonce or os.urandom(NONCE_BYTES),
            )
        async with self.session(node).request(
            method, URL(url, encoded=True), data=body, headers={**headers, **(extra or {})}
        ) as response:
            return Reply(response.status, await response.read(), dict(response.headers))

    async def desk_call(self, desk: Desk, method: str, target: str, value: Any = None, **more: Any) -> Reply:
        body = None if value is None else cbor.encode(value)
        return await self.call(
            desk.host or desk.address.node,
            method,
            target,
            body,
            holder=str(desk.address),
            signer=desk.signer(),
            **more,
        )

    async def node_call(
        self, caller: str, node: str, method: str, target: str, value: Any = None, **more: Any
    ) -> Reply:
        body = None if value is None else cbor.encode(value)
        signer = self.node_keys[caller].signer()
        return await self.call(node, method, target, body, holder=caller, signer=signer, **more)

    def seal(
        self,
        sender: Desk,
        recipients: list[Desk],
        content: bytes = b'{"type":"test"}',
        *,
        created: datetime | None = None,
        lifetime: timedelta = timedelta(days=1),
        signer: Signer | None = None,
        priority: Priority = Priority.URGENT,
        file_set: FileSet | None = None,
    ) -> Envelope:
        created = created or self.clock()
        addresses = tuple(sorted(desk.address for desk in recipients))
        routing = Routing(
            new_message_id(created, os.urandom(10)),
            sender.address,
            addresses,
            created,
            created + lifetime,
            priority,
            None,
            bytes(32),
            file_set,
        )
        keys = {desk.address: _sealing_key(desk) for desk in recipients}
        return parse_envelope(seal(content, routing, signer or sender.signer(), keys, os.urandom))

    async def submit(self, desk: Desk, *envelopes: Envelope) -> list[Answer]:
        reply = await self.desk_call(desk, "POST", "/v1/submit", [envelope.raw for envelope in envelopes])
        return answers(reply)

    async def mailbox(self, desk: Desk, after: int = 0, wait: int = 0) -> tuple[list[Entry], int]:
        reply = await self.desk_call(desk, "GET", f"/v1/mailbox?after={after}&limit=64&wait={wait}")
        value = reply.cbor()
        receipts = receipts_from_value(value[2])
        return [Entry(seq, raw, [receipts[n] for n in numbers]) for seq, raw, numbers in value[1]], value[3]

    async def arrived(self, desk: Desk, *envelopes: Envelope) -> tuple[list[Entry], int]:
        """A mailbox as soon as these messages are in it, whatever came before them; without any: as soon as it has one
        entry.
        """
        wanted = {envelope.raw for envelope in envelopes}
        async with asyncio.timeout(WITHIN_S):
            entries, head = await self.mailbox(desk, wait=5)
            while not entries or not wanted <= {entry.envelope for entry in entries}:
                more, head = await self.mailbox(desk, head, wait=5)
                entries += more
        return entries, head

    async def state(self, desk: Desk, event: EventName, envelope: Envelope) -> list[Answer]:
        said = DeskStatement(event, envelope.routing.id, envelope.digest, desk.address, self.clock())
        reply = await self.desk_call(desk, "POST", "/v1/statements", [sign_statement(said, desk.signer())])
        return answers(reply)

    async def events(self, desk: Desk, count: int, about: Envelope | None = None) -> list[VerifiedReceipt]:
        """The desk's verified receipts, once there are ``count`` of them: all, or those about one message."""
        async with asyncio.timeout(WITHIN_S):
            after, found = 0, list[VerifiedReceipt]()
            while len(found) < count:
                entries, _ = await self.mailbox(desk, after, wait=5)
                for entry in entries:
                    after = entry.seq
                    if entry.envelope is None:
                        found += [self.verify(receipt) for receipt in entry.receipts]
                if about is not None:
                    found = [receipt for receipt in found if receipt.event.message_id == about.routing.id]
        return found

    def verify(self, receipt: Receipt) -> VerifiedReceipt:
        nodes = list(self.nodes.values())
        directory = nodes[0].context.directory.current if nodes else self.directory
        assert directory is not None
        return ReceiptVerifier(directory.log_verifier).verify(receipt)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop run until something holds; for what has no event to wait for."""
        await until(condition)


@dataclass
class Entry:
    """A mailbox entry."""

    seq: int
    envelope: bytes | None
    receipts: list[Receipt]


@dataclass
class Answer:
    """The answer for one item."""

    receipts: list[Receipt]
    code: str | None


def _found(path: Path, *nations: Nation) -> World:
    made = World(path)
    for nation in nations:
        made.add_nation(nation.name, relay=nation.relay, reachable=nation.reachable)
    for nation in nations:
        for desk in nation.desks:
            made.add_desk(f"{desk}@{nation.name}")
        for auditor in nation.auditors:
            made.add_desk(f"{auditor}@{nation.name}", (Function.AUDIT,))
    return made


def answers(reply: Reply) -> list[Answer]:
    """The answers of a batch."""
    value = reply.cbor()
    receipts = receipts_from_value(value[2])
    return [
        Answer([receipts[n] for n in row[1]], None)
        if 1 in row
        else Answer([], str(json.loads(row[2])["type"]).removeprefix("urn:comity:error:"))
        for row in value[1]
    ]


def _sealing_key(desk: Desk) -> SealingKey:
    return SealingKey(desk.keys.opener().public_key)

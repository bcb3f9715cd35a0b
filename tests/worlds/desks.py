"""Two nations with real keys, directory, logs and envelopes, whose nodes are in this process instead of behind HTTPS.

The nodes here verify what they are given and answer as the protocol says; what a test wants to go wrong it says in
``Node.tamper`` or puts into a mailbox itself.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest

from exchange.desk.desk import NOBODY, Desk
from exchange.desk.enrolment import NewDesk, create_desk
from exchange.office.officers import Login
from exchange.settings import DeskSettings, Home, OfficerSettings
from keys.ceremony.ceremony import Ceremony
from keys.directory.cards import ContactPointCard
from keys.directory.metadata.tuf_key import DirectorySigner
from keys.directory.view import Directory
from keys.members.bootstrap import BootstrapFile
from keys.members.federation import bootstrap_file_of
from keys.members.identity import NodeKeys
from keys.secrets.keystore import FAST, Keystore
from keys.transport.client import Server, StreamedBody
from keys.transport.segments import Took, nobody_takes
from keys.transport.signing import Requester
from protocol.address import Address
from protocol.envelope import Envelope, parse_envelope, verify_envelope
from protocol.errors import ComityError, LogUnavailableError, QuorumNotMetError, UnavailableError
from protocol.event import Event, EventName, LeafReference, encode_event
from protocol.files.file_list import FileSet
from protocol.http.file_progress import FilesAt, ProgressAsked
from protocol.http.files import FilesAnnounced, FilesHeld, FilesWanted, Ranges, decode_segments
from protocol.http.wire import EnvelopeAnswer, MailboxEntry, MailboxPage
from protocol.log.checkpoint import Checkpoint, SoftLogSigner, sign_checkpoint
from protocol.log.layout import TileName, parse_tile_path
from protocol.log.merkle import leaf_hash
from protocol.log.proof import TlogProof
from protocol.log.tiles import TileTree
from protocol.receipt import Receipt
from protocol.statement import parse_statement, verify_statement
from tests.worlds.federation import Federation, signers
from tests.worlds.files_at_nodes import FilesAtNodes
from tests.worlds.moulds import copied

P = ParamSpec("P")
T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
JP, FR = Address.parse("24-7@jp"), Address.parse("24-7@fr")
PASSPHRASE = b"correct horse"
OFFICER = OfficerSettings(name="Claire Martin", role="Duty officer", telephone="+33140000247")
REQUEST: dict[str, Any] = json.loads((ROOT / "examples/preservation-request.json").read_text("utf-8"))


def request(**changes: Any) -> dict[str, Any]:
    """A valid draft of a preservation request from jp to fr."""
    return {**copy.deepcopy(REQUEST), **changes}


READER = Login(purpose="case_work", recipient="The court")


@contextmanager
def without_rules(desk: Desk) -> Iterator[None]:
    """A desk whose program keeps to no rule of conditions or passing on when it composes."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(desk._works.passing_on, "check_outgoing", lambda composed: None)
        patched.setattr(desk._works.passing_on, "require", lambda *_: None)
        yield


async def in_thread(desk: Desk, look: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What ``look`` finds inside of a desk, in the thread where that may be looked at."""
    return await desk._works.context.in_thread(lambda: look(*args, **kwargs))


class Clock:
    """A clock that stands until it is told."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **spans: float) -> None:
        self.now += timedelta(**spans)


class Log:
    """One node's log in memory."""

    def __init__(self, signer: SoftLogSigner, clock: Clock) -> None:
        self.signer = signer
        self._clock = clock
        self.leaves: list[bytes] = []
        self._tiles: dict[tuple[int, int], bytes] = {}
        self.tree = TileTree(0, lambda level, index: self._tiles[level, index])

    def add(self, *events: Event) -> list[Receipt]:
        first = self.tree.size
        leaves = [encode_event(event) for event in events]
        for leaf in leaves:
            self.tree.append(leaf_hash(leaf))
        self.leaves += leaves
        for level, index, content in self.tree.take_changed_tiles():
            self._tiles[level, index] = content
        note = self.checkpoint()
        return [
            Receipt(leaf, first + n, tuple(self.tree.inclusion_path(first + n)), note) for n, leaf in enumerate(leaves)
        ]

    def tile(self, name: TileName) -> bytes:
        found = self._tiles.get((name.level or 0, name.index), b"")
        if len(found) < name.width * 32:
            raise LogUnavailableError("this tile is not so wide")
        return found[: name.width * 32]

    def checkpoint(self) -> bytes:
        return sign_checkpoint(
            Checkpoint(self.signer.origin, self.tree.size, self.tree.root()), self.signer, self._clock()
        )


@dataclass
class Box:
    """The mailbox of one desk."""

    entries: list[MailboxEntry] = field(default_factory=list)

    def put(self, envelope: bytes | None, receipts: Sequence[Receipt]) -> None:
        self.entries.append(MailboxEntry(len(self.entries) + 1, envelope, tuple(receipts)))


class Node:
    """One nation's node. ``down`` makes it unreachable; ``tamper`` sees every receipt before it is given out."""

    def __init__(self, world: World, name: str, signer: SoftLogSigner) -> None:
        self.world = world
        self.name = name
        self.log = Log(signer, world.clock)
        self.boxes: dict[Address, Box] = {}
        self.down = False
        self.lose_answers = 0
        self.refuse: ComityError | None = None
        self.tamper: Callable[[Receipt], Receipt] = lambda receipt: receipt
        self.submitted: dict[bytes, tuple[Receipt, ...]] = {}
        self.stated: dict[tuple[bytes, str, str], tuple[Receipt, ...]] = {}
        self.calls: list[str] = []

    def event(self, name: EventName, envelope: Envelope, **more: Any) -> Event:
        salt = self.world.salt()
        return Event(name, self.world.clock(), envelope.routing.id, envelope.digest, salt, **more)

    def box(self, desk: Address) -> Box:
        return self.boxes.setdefault(desk, Box())

    def reach(self, call: str) -> None:
        self.calls.append(call)
        if self.down:
            raise UnavailableError("the node is down")

    def answer_lost(self) -> None:
        if self.lose_answers:
            self.lose_answers -= 1
            raise UnavailableError("the connection broke before the answer")

    def accept(self, raw: bytes) -> tuple[Receipt, ...]:
        envelope = parse_envelope(raw)
        if envelope.digest not in self.submitted:
            sender = str(envelope.routing.sender)
            verify_envelope(envelope, self.world.directory.signing_key(sender, envelope.kid, self.world.clock()))
            self.submitted[envelope.digest] = tuple(self.log.add(self.event(EventName.SubmissionAcceptance, envelope)))
            for recipient in envelope.routing.recipients:
                self.world.nodes[recipient.node].consign(envelope, recipient, self)
        return tuple(self.tamper(receipt) for receipt in self.submitted[envelope.digest])

    def consign(self, envelope: Envelope, recipient: Address, origin: Node) -> None:
        relay, consigned = self.log.add(
            self.event(EventName.RelayAcceptance, envelope, peer=origin.name),
            self.event(EventName.ContentConsignment, envelope, recipient=recipient),
        )
        self.box(recipient).put(envelope.raw, [self.tamper(relay), self.tamper(consigned)])
        if origin is not self:
            reference = LeafReference(self.log.signer.origin, relay.index, leaf_hash(relay.leaf))
            own = origin.log.add(origin.event(EventName.RelayAcceptance, envelope, peer=self.name, reference=reference))
            origin.box(envelope.routing.sender).put(None, [self.tamper(relay), self.tamper(consigned), *own])

    def state(self, raw: bytes) -> tuple[Receipt, ...]:
        signed = parse_statement(raw)
        said = signed.statement
        about = b"" if said.files is None else said.files.root
        key = (said.digest + about, str(said.recipient), said.event.value)
        if key not in self.stated:
            verifier = self.world.directory.signing_key(str(said.recipient), signed.kid, self.world.clock())
            verify_statement(signed, verifier)
            receipts = self.log.add(
                Event(
                    said.event,
                    self.world.clock(),
                    said.message_id,
                    said.digest,
                    self.world.salt(),
                    recipient=said.recipient,
                    reasons=said.reasons,
                    statement=raw,
                    files=said.files,
                )
            )
            self.stated[key] = tuple(receipts)
            sender = self.world.senders.get(said.digest)
            if sender is not None:
                self.world.nodes[sender.node].box(sender).put(None, [self.tamper(r) for r in receipts])
        return tuple(self.tamper(receipt) for receipt in self.stated[key])


class Client:
    """Stands where the desk's HTTP client stands."""

    def __init__(self, node: Node, server: Server, holder: Address) -> None:
        self.node = node
        self.server = server
        self._holder = holder

    async def close(self) -> None:
        pass

    async def submit(self, envelopes: Sequence[bytes]) -> list[EnvelopeAnswer]:
        self.node.reach("submit")
        assert 1 <= len(envelopes) <= 64
        answers = []
        for raw in envelopes:
            self.node.world.senders[parse_envelope(raw).digest] = self._holder
            self.node.world.file_sets[parse_envelope(raw).digest] = parse_envelope(raw).routing.file_set
            if self.node.refuse is not None:
                answers.append(EnvelopeAnswer((), self.node.refuse))
                continue
            try:
                answers.append(EnvelopeAnswer(self.node.accept(raw)))
            except ComityError as problem:
                answers.append(EnvelopeAnswer((), problem))
        self.node.answer_lost()
        return answers

    async def state(self, statements: Sequence[bytes]) -> list[EnvelopeAnswer]:
        self.node.reach("state")
        answers = [EnvelopeAnswer(self.node.state(raw)) for raw in statements]
        self.node.answer_lost()
        return answers

    async def mailbox(self, after: int, limit: int = 64, wait_s: float = 0) -> MailboxPage:
        self.node.reach("mailbox")
        entries = self.node.box(self._holder).entries
        return MailboxPage(tuple(entry for entry in entries if entry.sequence > after)[:limit], len(entries))

    async def open_files(self, announced: FilesAnnounced, files: int) -> tuple[Ranges, ...]:
        self.node.reach("open-files")
        missing = self.node.world.files.open(announced, self.node.world.file_sets[announced.digest])
        assert len(missing) == files
        return missing

    async def put_segments(self, digest: bytes, body: StreamedBody, count: int) -> list[ComityError | None]:
        self.node.reach("put-segments")
        sent = decode_segments(b"".join([bytes(part) async for part in body.parts()]))
        assert len(sent) == count
        return self.node.world.files.put(digest, sent)

    async def fetch_files(self, wanted: FilesWanted, took: Took = nobody_takes) -> FilesHeld:
        self.node.reach("fetch-files")
        held = self.node.world.files.fetch(wanted)
        await took(held.segments)
        return replace(held, segments=())

    async def file_progress(self, asked: ProgressAsked) -> tuple[FilesAt, ...]:
        self.node.reach("file-progress")
        return self.node.world.files.progress(asked.digest, self.node.name, self.node.world.clock())

    async def cancel_files(self, digest: bytes) -> int:
        self.node.reach("cancel-files")
        return self.node.world.files.cancel(digest)

    async def checkpoint(self) -> bytes:
        self.node.reach("checkpoint")
        return self.node.log.checkpoint()

    async def cosigned_proof(self, index: int) -> TlogProof:
        self.node.reach("cosigned-proof")
        raise QuorumNotMetError

    async def consistency(self, old_size: int, new_size: int) -> list[bytes]:
        self.node.reach("consistency")
        return self.node.log.tree.consistency_path(old_size, new_size)

    async def get(self, path: str) -> bytes:
        self.node.reach("tile")
        return self.node.log.tile(parse_tile_path(path.removeprefix("/log/")))


@dataclass(frozen=True, slots=True)
class Founded:
    """What was made with a federation of desks, beside the files."""

    federation: Federation
    directory: Directory
    node_keys: Mapping[str, NodeKeys]
    cards: Mapping[Address, ContactPointCard]


def _found(path: Path, *nations: str) -> Founded:
    """A federation in ``path``, each nation with a node's card and the desk ``24-7``, which knows its own nation."""
    made = NOW - timedelta(minutes=1)
    federation = Federation.found(path / "published", made, holders=signers("root"))
    node_keys = {name: federation.admit_node(name, signers(name), made)[0] for name in nations}
    assert federation.directory is not None
    directory = federation.directory
    cards: dict[Address, ContactPointCard] = {}
    for address in (Address("24-7", name) for name in nations):
        bundle = bootstrap_file_of(directory, federation.repository, address.node)
        cards[address] = _create_desk(home_of(path, address), address, bundle, NOW)
        directory = federation.publish(NOW, cards[address])
    for address in cards:
        federation.read(home_of(path, address) / "directory", NOW, (address.node,))
    return Founded(federation, directory, node_keys, cards)


def _create_desk(home: Path, address: Address, bundle: BootstrapFile, now: datetime) -> ContactPointCard:
    return create_desk(
        home,
        NewDesk(address, office=str(address), agency="Police", officer=OFFICER),
        PASSPHRASE,
        bundle,
        now - timedelta(seconds=30),
        derivation=FAST,
    )


def home_of(path: Path, address: Address) -> Path:
    """Where a world in ``path`` has the home of a desk."""
    return path / f"{address.contact_point}-{address.node}"


class World:
    """The federation of jp, fr and more nations, each with the desk ``24-7``: a copy of one that was founded once."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
        self.path = path
        self.clock = Clock()
        self.senders: dict[bytes, Address] = {}
        self.file_sets: dict[bytes, FileSet | None] = {}
        self.files = FilesAtNodes()
        self.directory_reads = 0
        self._salts = 0
        founded = copied(path, _found, "jp", "fr", *more)
        self.federation = founded.federation.copied(path / "published")
        self.directory = founded.directory
        self.node_keys = dict(founded.node_keys)
        self.cards = dict(founded.cards)
        self.nodes: dict[str, Node] = {}
        for name, keys in self.node_keys.items():
            self.certificates = self.directory.node(name).tls_certificates
            signer = SoftLogSigner(self.directory.origin(name), keys.log_ed25519_seed, keys.log_mldsa_seed)
            self.nodes[name] = Node(self, name, signer)
        monkeypatch.setattr("exchange.link.directory.DeskDirectory._get", self._serve)
        monkeypatch.setattr("exchange.link.client.NodeClient", self._connect)
        monkeypatch.setattr(
            "exchange.desk.desk.utc_now", self.clock
        )  # for commands: this directory expires after 3 days

    @property
    def ceremony(self) -> Ceremony:
        return self.federation.ceremony

    def salt(self) -> bytes:
        self._salts += 1
        return self._salts.to_bytes(16, "big")

    def home(self, address: Address) -> Path:
        return home_of(self.path, address)

    def enrol(self, address: Address, *, publish: bool = True) -> ContactPointCard:
        """Make a desk and publish its card."""
        bundle = bootstrap_file_of(self.directory, self.federation.repository, address.node)
        card = self.cards[address] = _create_desk(self.home(address), address, bundle, self.clock())
        if publish:
            self.publish(card)
        return card

    def nation_signer(self, node: str) -> DirectorySigner:
        return self.federation.nations[node][0]

    def registry_signer(self) -> DirectorySigner:
        return self.federation.registry[0]

    def publish(self, card: ContactPointCard) -> None:
        """Publish a changed card."""
        self.directory = self.federation.publish(self.clock(), card)

    def change_root(self) -> None:
        """Hand the root over to another holder, signed by both."""
        old, self.federation.holders = self.federation.holders, signers("new root")
        self.ceremony.rotate_root([holder.public_key for holder in self.federation.holders], 1, self.clock())
        for role, holders in (("root", (*old, *self.federation.holders)), ("targets", self.federation.holders)):
            for holder in holders:
                self.ceremony.sign(role, holder)
        self.directory = self.ceremony.release(self.clock(), self.federation.registry)

    def populate(self, address: Address) -> None:
        """Give a desk the directory as it is now, of its own nation."""
        self.federation.read(self.home(address) / "directory", self.clock(), (address.node,))

    def keystore(self, address: Address) -> Keystore:
        return Keystore.open(self.home(address) / "keystore.cbor", PASSPHRASE)

    def open(self, address: Address, login: Login = NOBODY) -> Any:
        """The desk of ``address``; what is given out of it is given to a court, unless the login says otherwise."""
        given = replace(login, recipient=login.recipient or READER.recipient, purpose=login.purpose or READER.purpose)
        return Desk.open(self.home(address), PASSPHRASE, clock=self.clock, login=given)

    def change_settings(self, address: Address, **changes: Any) -> None:
        """Change settings of a desk."""
        file = Home(self.home(address)).settings
        DeskSettings.load(file).model_copy(update=changes).save(file)

    def _serve(self, path: str) -> bytes:
        self.directory_reads += 1
        return self.ceremony.repository.read(path.removeprefix("/directory/"))

    def _connect(self, server: Server, requester: Requester, **_: Any) -> Client:
        return Client(self.nodes[server.node], server, Address.parse(requester.holder))

"""Evidence bags made from raw values and signed with real keys, so that each can break exactly one rule.

One world (three nations, their cards, logs, witnesses and desks) is signed once; a case is values that are encoded and
signed anew. Both verifiers get the same files and the same directory.
"""

from __future__ import annotations

import json
from argparse import Namespace
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from copy import copy, deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import new as new_hash
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest

from exchange.evidence._bag_readme import readme
from exchange.evidence.bag_reader import BagReport, BagTrust, bag_in, judge_bag
from exchange.evidence.bag_writer import BAGIT, DIRECTORY, bag_info, verifier, vkeys_file, vkeys_of
from exchange.verifiers import verify_bag as program
from exchange.verifiers.verify_bag import is_stated
from exchange.views import Check
from keys.directory.cards import ContactPointCard, NodeCard
from keys.directory.metadata.extract import read_extract
from keys.directory.view import Directory
from protocol.address import Address
from protocol.bag_statement import BAG_CONTEXT, BAG_TYPE
from protocol.crypto import cose
from protocol.crypto.signing import Ed25519Signer, Signer
from protocol.encoding import cbor
from protocol.encoding.ids import new_message_id
from protocol.encoding.instants import to_ms
from protocol.envelope import COMMITMENT_DOMAIN, ENVELOPE_CONTEXT, SEALED_TYPE
from protocol.errors import ComityError
from protocol.log.checkpoint import Checkpoint, SoftLogSigner, sign_checkpoint
from protocol.log.merkle import leaf_hash
from protocol.log.proof import encode_tlog_proof
from protocol.log.tiles import TileTree
from protocol.log.witness import SoftWitnessSigner, cosign, with_lines
from protocol.statement import STATEMENT_CONTEXT, STATEMENT_TYPE
from tests.worlds.desks import NOW, World, in_thread, request

NODES = ("jp", "fr", "de")
CARRIED = Check("directory", True)
OFFICER = Ed25519Signer(bytes(range(32)))
Value = dict[int, Any]


@dataclass
class Head:
    """A signed head of a log: how many leaves, when, and which witnesses cosigned it when."""

    size: int
    at: datetime
    cosigned: dict[str, datetime] = field(default_factory=dict)


@dataclass
class Book:
    """What a node logged: events as raw values, other leaves as bytes, and the heads that it signed."""

    leaves: list[Value | bytes] = field(default_factory=list)
    heads: list[Head] = field(default_factory=list)


@dataclass
class Case:
    """A bag before it is encoded. ``receipts`` are (node, index, number of the head)."""

    routing: Value
    inside: dict[str, Any]
    salt: bytes
    books: dict[str, Book]
    receipts: list[tuple[str, int, int]]
    maker: str
    made_at: datetime
    now: datetime
    disclosed: bool = True
    officer: str | None = None
    signs: bool = False  # an officer inside
    statement: Value = field(default_factory=dict)  # members of the maker's statement that are said otherwise
    envelope: Callable[[dict[str, Any]], None] = lambda _: None
    content: Callable[[bytes], bytes] = lambda content: content
    note: Callable[[bytes], bytes] = lambda note: note
    proof: Callable[[bytes], bytes] = lambda proof: proof
    payload: Callable[[dict[str, bytes]], None] = lambda _: None
    tags: Callable[[dict[str, bytes]], None] = lambda _: None
    folder: Callable[[str], str] = lambda folder: folder
    stated_by: str | None = None  # whose key signs the statements of desks, if not their own
    signed_by: str | None = None  # whose key signs the envelope
    made_by: str | None = None  # whose key signs the maker's statement

    @property
    def sender(self) -> str:
        return str(self.routing[3])

    @property
    def recipients(self) -> list[str]:
        return list(self.routing[4])


@dataclass
class Verdict:
    """What one verifier says: what failed and what was not checked, by the name of the check; None: no file of ours."""

    failed: list[str] | None
    unchecked: list[str]
    grade: str
    sentence: str

    @property
    def ok(self) -> bool:
        return self.failed == []


class Court:
    """The signed world, and both verifiers."""

    def __init__(self, path: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            world = World(path, patch, "de")
            desks = {f"24-7@{node}": world.keystore(Address("24-7", node)).signer() for node in NODES}
            self.sealed = _sealed_by(world, path, patch)
            files = _extract(world)
        self.signers: dict[str, Signer] = desks
        self.root = world.ceremony.repository.root_bytes(1)
        self.files = {DIRECTORY + name: content for name, content in files.items()}
        self.directory: Directory = read_extract(files, self.root).directory
        self.cards = program.Directory(self.files, sha256(self.root).hexdigest())
        keys = world.node_keys
        self.logs = {
            node: SoftLogSigner(world.directory.origin(node), keys[node].log_ed25519_seed, keys[node].log_mldsa_seed)
            for node in NODES
        }
        self.witnesses = {
            node: SoftWitnessSigner(
                f"test/witness/{node}", keys[node].witness_ed25519_seed, keys[node].witness_mldsa_seed
            )
            for node in NODES
        }
        self.world = world
        self._signed: Any = None

    def with_cards(self, change: Callable[[Any], Any]) -> tuple[Directory, Any]:
        """The directory as Comity and as the program read it, with every card changed by ``change`` (JSON).

        No signature is looked at here: that a card is its nation's is another rule.
        """
        cards = copy(self.cards)
        cards.cards = {holder: change(deepcopy(card)) for holder, card in self.cards.cards.items()}
        nodes = [NodeCard.model_validate(card) for holder, card in cards.cards.items() if "@" not in holder]
        points = [ContactPointCard.model_validate(card) for holder, card in cards.cards.items() if "@" in holder]
        return Directory(1, self.directory.expires_at, nodes, points), cards

    # --- Making ---

    def files_of(self, case: Case) -> tuple[str, dict[str, bytes]]:
        """The folder's name and the files of a case."""
        content = self._content(case)
        raw = self._envelope(case, content)
        digest, message = sha256(raw).digest(), UUID(bytes=case.routing[2])
        payload = {"data/envelope.cose": raw, **self.files}
        if case.disclosed:
            payload |= {"data/content.json": content, "data/salt.bin": case.salt}
        key = (digest, id(case.note), case.stated_by)
        if self._signed is None or self._signed[0] != key or self._signed[1] is not case.books:
            self._signed = (key, case.books, self._logs(case, digest))  # variants of a case share their logs
        notes, trees, leaves = self._signed[2]
        listed, sizes = [], dict[str, int]()
        for number, (node, index, head) in enumerate(case.receipts, 1):
            size, leaf, origin = case.books[node].heads[head].size, leaves[node][index], self.logs[node[:2]].origin
            path = trees[node].inclusion_path(index, size)
            payload[f"data/receipts/{number:04}.entry"] = leaf
            payload[f"data/receipts/{number:04}.tlog-proof"] = case.proof(
                encode_tlog_proof(index, path, notes[node][head])
            )
            listed.append([origin, index, leaf_hash(leaf)])
            sizes[origin] = max(sizes.get(origin, 0), size)
        vkeys = vkeys_of(sizes, self.directory)
        payload |= {f"data/logs/{node}.vkeys": vkeys_file(keys) for node, keys in vkeys.items()}
        case.payload(payload)
        files = {
            **payload,
            "bagit.txt": BAGIT,
            "bag-info.txt": bag_info(message, payload),
            "README.txt": readme(message, disclosed=case.disclosed).encode(),
            "verify_bag.py": verifier(),
            "manifest-sha256.txt": manifest(payload),
        }
        case.tags(files)
        if "statement.cose" not in files:
            files["statement.cose"] = self._statement(case, files, digest, listed, sizes)
        tags = {name: content for name, content in files.items() if name[:5] != "data/" and name[:3] != "tag"}
        files.setdefault("tagmanifest-sha256.txt", manifest(tags))
        return case.folder(f"comity-evidence-{message}"), files

    def _content(self, case: Case) -> bytes:
        inside = case.inside
        if case.signs:
            key = urlsafe_b64encode(OFFICER.public_key).rstrip(b"=").decode()
            inside = {**inside, "officer": {"name": "Kim", "key": key, "signature": "A" * 86}}
        content = json.dumps(inside, ensure_ascii=False).encode()
        if case.signs:
            signature = OFFICER.sign(b"comity/v1/officer\0" + content)
            content = content.replace(b"A" * 86, urlsafe_b64encode(signature).rstrip(b"="))
        return case.content(content)

    def _envelope(self, case: Case, content: bytes) -> bytes:
        protected, unprotected, ciphertext, recipients = self.sealed
        header = cbor.decode(protected)
        routing = {9: sha256(COMMITMENT_DOMAIN + case.salt + content).digest(), **case.routing}
        count = len(routing[4]) if type(routing[4]) is list else 1
        inner, encapsulated, wrapped = recipients[0]
        kid = cbor.decode(inner)
        rows = [[cbor.encode({**kid, 4: bytes([number]) * 16}), dict(encapsulated), wrapped] for number in range(count)]
        parts: dict[str, Any] = {
            "routing": routing,
            "header": header,
            "unprotected": dict(unprotected),
            "ciphertext": ciphertext,
            "recipients": rows,
            "type": SEALED_TYPE,
            "context": ENVELOPE_CONTEXT,
            "raw": lambda raw: raw,
        }
        case.envelope(parts)
        parts["header"][-70001] = parts.get("encoded") or cbor.encode(parts["routing"])
        sealed = [cbor.encode(parts["header"]), parts["unprotected"], parts["ciphertext"], parts["recipients"]]
        signer = self.signers[case.signed_by or case.sender]
        raw = cose.sign1(cbor.encode_tagged(96, sealed), parts["type"], parts["context"], signer)
        return bytes(parts["raw"](raw))

    def _logs(
        self, case: Case, digest: bytes
    ) -> tuple[dict[str, list[bytes]], dict[str, TileTree], dict[str, list[bytes]]]:
        notes, trees, leaves = dict[str, list[bytes]](), dict[str, TileTree](), dict[str, list[bytes]]()
        for node, book in case.books.items():
            leaves[node] = [self._leaf(case, leaf, digest) for leaf in book.leaves]
            tiles: dict[tuple[int, int], bytes] = {}
            trees[node] = tree = TileTree(0, lambda level, index, tiles=tiles: tiles[level, index])  # type: ignore[misc]
            for leaf in leaves[node]:
                tree.append(leaf_hash(leaf))
            tiles.update({(level, index): hashes for level, index, hashes in tree.take_changed_tiles()})
            notes[node] = []
            for head in book.heads:
                log = self.logs[node[:2]]  # "jp2" is another history of the log of jp
                checkpoint = Checkpoint(log.origin, head.size, tree.root(head.size))
                note = sign_checkpoint(checkpoint, log, head.at)
                lines = [
                    line for one, at in head.cosigned.items() for line in cosign(checkpoint, self.witnesses[one], at)
                ]
                notes[node].append(case.note(with_lines(note, lines)))
        return notes, trees, leaves

    def _leaf(self, case: Case, leaf: Value | bytes, digest: bytes) -> bytes:
        if isinstance(leaf, bytes):
            return leaf
        event = {1: 1, 4: case.routing[2], 5: digest, 9: bytes(16), **leaf}
        if isinstance(event.get(10), dict):
            said = {1: 1, 4: case.routing[2], 5: digest, **event[10]}
            type_, context = said.pop("type", STATEMENT_TYPE), said.pop("context", STATEMENT_CONTEXT)
            signer = self.signers[case.stated_by or str(said[6])]
            event[10] = cose.sign1(cbor.encode(said), type_, context, signer)
        return cbor.encode({key: value for key, value in event.items() if value is not None})

    def _statement(
        self, case: Case, files: Mapping[str, bytes], digest: bytes, listed: list[Any], sizes: dict[str, int]
    ) -> bytes:
        value = {
            1: 1,
            2: case.routing[2],
            3: digest,
            4: case.maker,
            5: to_ms(case.made_at),
            6: {name: sha256(content).digest() for name, content in files.items() if is_stated(name)},
            7: listed,
            8: sizes,
            9: 0,
            10: case.officer,
        }
        for key, said in case.statement.items():
            value[key] = said(value[key]) if callable(said) else said
        value = {key: said for key, said in value.items() if said is not None}
        return cose.sign1(cbor.encode(value), BAG_TYPE, BAG_CONTEXT, self.signers[case.made_by or case.maker])

    # --- Judging ---

    def comity(
        self, folder: str, files: Mapping[str, bytes], now: datetime, directory: Directory | None = None
    ) -> Verdict:
        """What Comity's own code says."""
        if "data/envelope.cose" not in files:
            return Verdict(None, [], "none", "")
        try:
            trust = BagTrust(directory or self.directory, directory or self.directory, CARRIED)
            report = judge_bag(bag_in(folder, files), trust, now).report
        except ComityError as problem:
            return Verdict([problem.code], [], "none", "")
        return of_report(report)

    def standalone(self, folder: str, files: Mapping[str, bytes], now: datetime, cards: Any = None) -> Verdict:
        """What the program says that runs without Comity."""
        lines: list[program.Line] = []
        args = Namespace(root_sha256=sha256(self.root).hexdigest(), now=now, directory=cards or self.cards)
        try:
            bag = program.Bag(folder, files, args)
        except program.FailedError:
            return Verdict(None, [], "none", "")
        bag.verify(lines)
        failed = [name for name, holds, _ in lines if holds is False]
        unchecked = [name for name, holds, _ in lines if holds is None]
        return Verdict(failed, unchecked, bag.dating.get("grade", "none"), bag.sentence)

    def both(self, case: Case, cards: tuple[Directory, Any] = (None, None)) -> tuple[Verdict, Verdict]:  # type: ignore[assignment]
        """The verdicts of both, by the cards of the world or by others."""
        folder, files = self.files_of(case)
        return self.comity(folder, files, case.now, cards[0]), self.standalone(folder, files, case.now, cards[1])


def of_report(report: BagReport) -> Verdict:
    """A report of Comity's as a verdict."""
    failed = [check.name for check in report.checks if check.ok is False]
    failed += ["receipt" for _, check in report.receipts if not check.ok]
    return Verdict(failed, list(report.unchecked), report.dating.grade.value, report.sentence)


def manifest(files: Mapping[str, bytes], kind: str = "sha256") -> bytes:
    """A manifest of BagIt."""
    return "".join(
        f"{new_hash(kind, files[name], usedforsecurity=False).hexdigest()}  {name}\n" for name in sorted(files)
    ).encode()


# --- Honest cases ---


def honest(random: Random) -> Case:
    """A message that went its way, as three honest nodes and desks log it; some of its receipts."""
    created = NOW + timedelta(minutes=1, milliseconds=random.randrange(86_400_000))
    sender, *others = random.sample(NODES, random.choice((2, 2, 3)))
    to = sorted(f"24-7@{node}" for node in others)
    expires = created + timedelta(hours=random.randrange(1, 8_000))
    id_ = new_message_id(created, random.randbytes(10))
    routing: Value = {
        1: 1,
        2: id_.bytes,
        3: f"24-7@{sender}",
        4: to,
        5: to_ms(created),
        6: to_ms(expires),
        7: random.randrange(3),
    }
    if random.random() < 0.3:
        routing[8] = to_ms(created + (expires - created) * random.uniform(0.1, 1))
    inside = {"id": str(id_), "from": f"24-7@{sender}", "to": random.sample(to, len(to)), "text": _words(random)}
    books = {node: Book([random.randbytes(40) for _ in range(random.randrange(4))]) for node in (sender, *others)}
    clock = created + timedelta(milliseconds=random.randrange(-290_000, 600_000))
    shown: list[tuple[str, int]] = []

    def log(node: str, **event: Any) -> None:
        nonlocal clock
        clock += timedelta(milliseconds=random.randrange(60_000))
        value = {int(key[1:]): said for key, said in event.items()} | {3: to_ms(clock), 9: random.randbytes(16)}
        shown.append((node, len(books[node].leaves)))
        books[node].leaves.append(value)
        if random.random() < 0.3:
            _sign(random, books[node], node, clock)

    log(sender, _2="SubmissionAcceptance")
    for node in others:
        who = f"24-7@{node}"
        log(node, _2="RelayAcceptance", _7=sender)
        log(node, _2="ContentConsignment", _6=who)
        if random.random() < 0.5:
            log(sender, _2="RelayAcceptance", _7=node, _11=[f"test/{node}", 3, random.randbytes(32)])
        fate = random.randrange(5)
        if fate == 0:
            reasons = [random.choice(("expired", "signature-invalid"))]
            log(
                node,
                _2="ContentHandoverFailure",
                _6=who,
                _8=reasons,
                _10=_said("ContentHandoverFailure", who, clock, reasons),
            )
        elif fate == 1 and expires - clock < timedelta(days=60):
            clock = max(clock, expires)
            log(node, _2="ContentConsignmentFailure", _6=who, _8=["expired-unclaimed"])
        elif fate > 1:
            log(node, _2="ContentHandover", _6=who, _10=_said("ContentHandover", who, clock))
            if fate > 2:
                log(node, _2="ContentAccessTracking", _6=who, _10=_said("ContentAccessTracking", who, clock))
    for node, book in books.items():
        if not book.heads or book.heads[-1].size < len(book.leaves):
            _sign(random, book, node, clock)
    kept = random.sample(shown, random.randrange(len(shown) + 1))
    receipts = [(node, index, _any_head(random, books[node], index)) for node, index in kept]
    made_at = clock + timedelta(seconds=random.randrange(100_000))
    return Case(
        routing,
        inside,
        random.randbytes(32),
        books,
        receipts,
        random.choice([f"24-7@{sender}", *to]),
        made_at,
        made_at + timedelta(days=random.randrange(3_000)),
        disclosed=random.random() < 0.7,
        officer=random.choice((None, "Ito Aoi", "Amélie")),
        signs=random.random() < 0.3,
    )


def variant(random: Random, case: Case) -> Case:
    """The same message in another bag: other receipts of it, another maker, opened or not."""
    shown = [
        (node, index)
        for node, book in case.books.items()
        for index, leaf in enumerate(book.leaves)
        if type(leaf) is dict
    ]
    kept = random.sample(shown, random.randrange(min(len(shown), 2) + 1))
    return replace(
        case,
        receipts=[(node, index, _any_head(random, case.books[node], index)) for node, index in kept],
        maker=random.choice([case.sender, *case.recipients]),
        made_at=case.made_at + timedelta(seconds=random.randrange(9_000)),
        disclosed=random.random() < 0.7,
        officer=random.choice((None, "Ito Aoi", "Amélie")),
        statement={
            9: random.randrange(4),
            8: lambda sizes: {log: size + random.randrange(9) for log, size in sizes.items()},
        },
    )


def full(random: Random, *, recipients: int = 1) -> Case:
    """An honest case with an acceptance in it, its content opened, and every entry of it shown."""
    while True:
        case = honest(random)
        names = {leaf[2] for book in case.books.values() for leaf in book.leaves if isinstance(leaf, dict)}
        if len(case.recipients) == recipients and {"ContentHandover", "ContentAccessTracking"} <= names:
            receipts = [
                (node, index, 0)
                for node, book in case.books.items()
                for index, leaf in enumerate(book.leaves)
                if type(leaf) is dict
            ]
            for book in case.books.values():
                book.heads = book.heads[-1:]
                book.heads[0].cosigned = {}
            return replace(case, receipts=receipts, disclosed=True)


def light(case: Case) -> Case:
    """The same message with its first acceptance alone."""
    node, index, _ = events(case, "SubmissionAcceptance")[0]
    return replace(case, books={node: case.books[node]}, receipts=[(node, index, 0)])


def events(case: Case, name: str) -> list[tuple[str, int, Value]]:
    """Where the events of that name stand: node, index, raw value."""
    return [
        (node, index, leaf)
        for node, book in case.books.items()
        for index, leaf in enumerate(book.leaves)
        if isinstance(leaf, dict) and leaf[2] == name
    ]


def _said(event: str, who: str, at: datetime, reasons: list[str] | None = None) -> dict[Any, Any]:
    return {2: event, 3: to_ms(at), 6: who, **({7: reasons} if reasons else {})}


def _sign(random: Random, book: Book, node: str, at: datetime) -> None:
    cosigned = {}
    if random.random() < 0.3:
        others = [other for other in NODES if other != node]
        for other in random.sample(others, random.randrange(1, 3)):
            cosigned[other] = at + timedelta(seconds=random.randrange(1, 200_000))
    if not book.heads or book.heads[-1].size < len(book.leaves):
        book.heads.append(Head(len(book.leaves), at + timedelta(seconds=1), cosigned))


def _any_head(random: Random, book: Book, index: int) -> int:
    return random.choice([number for number, head in enumerate(book.heads) if head.size > index])


def _words(random: Random) -> str:
    return "".join(random.choice('abc déß漢字🙂 \\"\n/') for _ in range(random.randrange(60)))


def _sealed_by(world: World, path: Path, patch: pytest.MonkeyPatch) -> list[Any]:
    """The sealed part of a real message, whose routing header is exchanged in each case."""
    import asyncio

    async def send() -> bytes:
        async with world.open(Address("24-7", "jp")) as desk:
            sent = await desk.messages.send(request())
            return bytes((await in_thread(desk, desk._works.context.store.messages.get, sent.id)).envelope)

    signed = cbor.decode_tagged(18, asyncio.run(send()))
    return list(cbor.decode_tagged(96, signed[2]))


def _extract(world: World) -> dict[str, bytes]:
    import asyncio

    async def read() -> dict[str, bytes]:
        async with world.open(Address("24-7", "jp")) as desk:
            await desk.refresh_directory(everything=True)
            found: dict[str, bytes] = await desk._works.link.with_trust(lambda trust: trust.extract(NODES))
            return found

    return asyncio.run(read())

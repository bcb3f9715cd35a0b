"""The parts of a node that carry files, without its listeners: a real database, a real log, a real folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from keys.transport.client import StreamedBody
from keys.transport.segments import Took, nobody_takes
from node.context import NodeContext
from node.files.carried.hands import SignedHands
from node.files.context import FilesContext
from node.files.folder import FolderStore
from node.files.holdings import Holdings
from node.files.housekeeping import FileHousekeeping
from node.files.intake import FileIntake
from node.files.pace import Pace
from node.files.serving import FileServing
from node.files.store import FileStore
from node.log.checkpoint_file import CheckpointFile, KeptCheckpoint
from node.log.sequencer import Sequencer
from node.operations.disk import Disk
from node.operations.history import History
from node.operations.logging import make_log
from node.operations.metrics import Metrics
from node.settings import NodeSettings
from node.store.operations import AcceptTransfer, Incoming, Operation, RecordRelayed
from node.store.reads import OutboundKind, Portion
from node.store.sqlite.store import SqliteStore
from protocol.address import Address
from protocol.errors import ComityError
from protocol.event import Event, EventName, decode_event
from protocol.files.file_list import FileList, encode_list
from protocol.files.sealed_file import Segment
from protocol.http import file_progress, wire
from protocol.http import files as bodies
from protocol.http.files import FilesAnnounced, FilesHeld, FilesTakenBack, FilesWanted, Ranges, SegmentSent
from tests.conformance.store import JP, NOW, PARIS, TOKYO, ForeignLog, incoming, reference, submission
from tests.worlds.parcels import sealed_sample

SENDER = str(TOKYO)
QUICK = {"first_backoff_s": 0.01, "max_backoff_s": 0.05}


class SetClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **time: float) -> None:
        self.now += timedelta(**time)


@dataclass
class Files:
    """An accepted message with files, and all of their segments by file's number and index."""

    message: Incoming
    list: FileList
    segments: dict[tuple[int, int], Segment]

    @classmethod
    def of(cls, *sizes: int, seed: int = 0, **message: Any) -> Files:
        """A message of Tokyo's desk with files of these sizes."""
        samples = {one.file.name: one for one in (sealed_sample(size, seed + at) for at, size in enumerate(sizes))}
        files = FileList.of(one.file for one in samples.values())
        made = incoming(TOKYO, (PARIS,), **message)
        segments = {
            (number, segment.index): segment
            for number, name in enumerate(files.names)
            for segment in samples[name].segments
        }
        return cls(replace(made, file_set=files.file_set), files, segments)

    @property
    def digest(self) -> bytes:
        return self.message.digest

    @property
    def announced(self) -> FilesAnnounced:
        return FilesAnnounced(self.digest, encode_list(self.list))

    def sent(self, places: Iterable[tuple[int, int]]) -> list[SegmentSent]:
        return [SegmentSent(number, self.segments[number, index]) for number, index in places]


class InProcess:
    """The partners of a node: other such nodes in this process. What is said to them is encoded as on a wire."""

    def __init__(self, own: str) -> None:
        self.own = own
        self.nodes: dict[str, FileNode] = {}
        self.said: list[tuple[str, int]] = []  # of each request with segments: the message in hexadecimal, how many
        self.problem: ComityError | None = None  # why no partner can be reached
        self.altering = False  # a bit changes on the way

    def can_reach(self, partner: str) -> bool:
        return partner in self.nodes

    def get(self, partner: str) -> InProcess:
        if self.problem is not None:
            raise self.problem
        (self.node,) = [node for name, node in self.nodes.items() if name == partner]
        return self

    async def announce_files(self, announced: FilesAnnounced, files: int) -> tuple[Ranges, ...]:
        decoded = bodies.decode_open(bodies.encode_open(announced))
        missing = await self.node.intake.announce(decoded, self.own)
        return bodies.decode_missing(bodies.encode_missing(missing), files, self.own)

    async def send_segments(
        self, message: bytes, body: StreamedBody, count: int, extra_s: float
    ) -> list[ComityError | None]:
        if self.problem is not None:
            raise self.problem
        self.said.append((message.hex(), count))
        whole = b"".join([bytes(part) async for part in body.parts()])
        assert len(whole) == body.length
        sent = bodies.decode_segments(whole)
        if self.altering:
            self.altering = False
            changed = bytes(len(sent[0].segment.data))
            sent[0] = replace(sent[0], segment=replace(sent[0].segment, data=changed))
        verdicts = await self.node.intake.take(message, sent, self.own)
        return wire.decode_verdicts(wire.encode_verdicts(verdicts), count, self.own)

    async def fetch_files(self, wanted: FilesWanted, extra_s: float, took: Took = nobody_takes) -> FilesHeld:
        held = await self.node.serving.fetch(bodies.decode_fetch(bodies.encode_fetch(wanted)), self.own)
        came = bodies.decode_held(bodies.encode_held(held), self.own)
        await took(came.segments)
        return replace(came, segments=())

    async def cancel_files(self, taken_back: FilesTakenBack) -> int:
        decoded = bodies.decode_cancel(bodies.encode_cancel(taken_back))
        return await self.node.intake.cancel(decoded.digest, self.own, decoded.reason)

    async def file_progress(self, asked: file_progress.ProgressAsked) -> tuple[file_progress.FilesAt, ...]:
        decoded = file_progress.decode_asked(file_progress.encode_asked(asked))
        rows = await self.node.serving.progress(decoded, self.own)
        return file_progress.decode_progress(file_progress.encode_progress(rows), self.own)


class FileNode:
    """One such node: what a message is accepted by, and how its files come, go and end."""

    def __init__(self, path: Path, store: FileStore | None = None, *, name: str = "jp", **files: Any) -> None:
        self.clock = SetClock()
        self.metrics, self.log = Metrics(), StringIO()
        log = make_log(name, "debug", self.log)
        disk = Disk(self.metrics, log)
        settings = NodeSettings.of({"node": name, "delivery": QUICK, "files": {"reserve_bytes": 0, **files}})
        self.database = SqliteStore(path / "node.db", JP.origin)
        self.sequencer = Sequencer(self.database, JP, KeptCheckpoint(CheckpointFile(path / "last")), self.clock)
        self.partners, self.foreign = InProcess(name), ForeignLog()
        trusting = cast(Any, SimpleNamespace(require_trusted=lambda partner: None))
        serving = lambda address, at: address.node  # noqa: E731 - one expression each
        no_nation = lambda node: False  # noqa: E731 - one expression each
        self.directory = SimpleNamespace(current=SimpleNamespace(has_node=no_nation, serving_node=serving))
        node = NodeContext(
            name,
            settings,
            self.clock,
            self.database,
            self.sequencer,
            cast(Any, self.directory),
            cast(Any, self.partners),
            self.metrics,
            log,
            disk,
            History(None, self.clock),
        )
        self.store = store or FolderStore(path / "files", report=disk)
        self.holdings = Holdings(node, self.store)
        hands = SignedHands(path / "hands", node)
        self.context = FilesContext(node, self.store, self.holdings, trusting, Pace(None), hands)
        self.intake, self.serving = FileIntake(self.context), FileServing(self.context)
        self.housekeeping = FileHousekeeping(self.context, self.intake)

    async def open(self) -> None:
        await self.sequencer.start()
        await self.store.open()
        await self.housekeeping.begin()

    async def close(self) -> None:
        await self.sequencer.stop()
        await self.store.close()

    async def accept_from(self, files: Files, peer: str, *local: Address, onward: Mapping[str, Any] = {}) -> None:
        """A node handed the message over."""
        await self.perform(AcceptTransfer(files.message, peer, local, NOW, onward))

    async def gone_on(self, files: Files, partner: str = "fr") -> None:
        """The message left the queue for the partner, which took it."""
        due = await self.database.reads.due_outbound(partner, OutboundKind.ENVELOPE, NOW, Portion(99, 1 << 30))
        (queued,) = [row for row in due if row.digest == files.digest]
        receipts = self.foreign.receipts(files.message, EventName.RelayAcceptance, EventName.ContentConsignment)
        await self.perform(RecordRelayed(queued.outbound_id, receipts, reference(receipts[0]), NOW))

    async def accept(self, files: Files, *, local: Sequence[Any] = (), partners: Sequence[str] = ("fr",)) -> None:
        """A desk here submitted the message."""
        await self.sequencer.perform(submission(files.message, local=tuple(local), partners=partners))

    async def perform(self, operation: Operation) -> None:
        await self.sequencer.perform(operation)

    async def announce(self, files: Files, caller: str = SENDER) -> list[Ranges]:
        return await self.intake.announce(files.announced, caller)

    async def missing(self, files: Files) -> set[tuple[int, int]]:
        """The places that the node says are missing."""
        told = await self.announce(files)
        return {
            (number, first + at) for number, runs in enumerate(told) for first, count in runs for at in range(count)
        }

    async def bring(
        self, files: Files, places: Iterable[tuple[int, int]], caller: str = SENDER
    ) -> list[ComityError | None]:
        return await self.intake.take(files.digest, files.sent(places), caller)

    async def bring_all(self, files: Files) -> None:
        await self.announce(files)
        assert set(await self.bring(files, files.segments)) == {None}

    async def events(self) -> list[Event]:
        """What the log says of files, in order."""
        size = await self.database.reads.log_size()
        told = [decode_event(await self.database.reads.leaf(index)) for index in range(size)]
        return [event for event in told if event.name.of_files]

    async def names(self) -> list[str]:
        return [event.name.value for event in await self.events()]


@asynccontextmanager
async def file_node(path: Path, store: FileStore | None = None, **files: Any) -> AsyncIterator[FileNode]:
    """A node that runs for the length of the block; ``files`` are its settings of files."""
    node = FileNode(path, store, **files)
    await node.open()
    try:
        yield node
    finally:
        await node.close()

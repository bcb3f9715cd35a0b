"""Messages with sealed files, and what desks and nodes say about these over HTTP."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any

from node.server import Node
from protocol.envelope import Envelope
from protocol.event import EventName
from protocol.files.file_list import FileList, encode_list
from protocol.files.logged import LoggedFiles, whole_set
from protocol.files.sealed_file import SealedFile, Segment, SegmentTree, segment_hash
from protocol.files.sealing import FileSealer
from protocol.http import file_progress, wire
from protocol.http import files as bodies
from protocol.http.file_progress import FilesAt, ProgressAsked
from protocol.http.files import FilesAnnounced, FilesHeld, FilesWanted, Ranges, SegmentSent, SegmentsWanted
from protocol.receipt import VerifiedReceipt
from protocol.statement import DeskStatement, sign_statement
from tests.worlds.nodes import Answer, Desk, Reply, World, answers
from tests.worlds.patience import WITHIN_S

MIB = 1 << 20


@dataclass(frozen=True)
class SealedSample:
    """A sealed file with all of its segments."""

    file: SealedFile
    segments: tuple[Segment, ...]


@cache
def sealed_sample(size_bytes: int, seed: int = 0) -> SealedSample:
    """A file of so many random bytes, sealed; the same for the same arguments."""
    chosen = random.Random((size_bytes << 8) + seed)
    sealer, tree, data = FileSealer(chosen.randbytes(32), chosen.randbytes(24)), SegmentTree(), []
    pieces = [chosen.randbytes(min(MIB, size_bytes - at)) for at in range(0, size_bytes, MIB)]
    for part in [*(part for piece in pieces for part in sealer.update(piece)), *sealer.finish()]:
        tree.append(segment_hash(part))
        data.append(bytes(part))
    segments = tuple(Segment(index, tree.path(index), part) for index, part in enumerate(data))
    return SealedSample(sealer.sealed_file(tree.root), segments)


@dataclass
class Parcel:
    """A message with files. Segments are named by their file's number and their index."""

    envelope: Envelope
    files: FileList
    segments: dict[tuple[int, int], Segment]

    @classmethod
    def of(cls, world: World, sender: Desk, recipients: list[Desk], *sizes: int, **sealing: Any) -> Parcel:
        """A message whose files have these sizes."""
        samples = {sample.file.name: sample for sample in (sealed_sample(size, at) for at, size in enumerate(sizes))}
        files = FileList.of(sample.file for sample in samples.values())
        envelope = world.seal(sender, recipients, file_set=files.file_set, **sealing)
        segments = {
            (number, segment.index): segment
            for number, name in enumerate(files.names)
            for segment in samples[name].segments
        }
        return cls(envelope, files, segments)

    @property
    def digest(self) -> bytes:
        return self.envelope.digest

    @property
    def announcement(self) -> bytes:
        return bodies.encode_open(FilesAnnounced(self.digest, encode_list(self.files)))

    def body(self, places: Iterable[tuple[int, int]]) -> bytes:
        return bodies.encode_segments([SegmentSent(number, self.segments[number, index]) for number, index in places])

    @property
    def target(self) -> str:
        return f"/v1/files/segments?message={self.digest.hex()}"

    @property
    def content(self) -> dict[bytes, str]:
        """The SHA-256 of each file's ciphertext, by name."""
        return {
            name: sha256(
                b"".join(self.segments[number, index].data for index in range(self.files.files[number].segments))
            ).hexdigest()
            for number, name in enumerate(self.files.names)
        }

    def whole(self) -> LoggedFiles:
        return whole_set(self.files)


async def call(world: World, desk: Desk, target: str, body: bytes) -> Reply:
    """A desk's request about files, its body as it is."""
    node = desk.host or desk.address.node
    return await world.call(node, "POST", target, body, holder=str(desk.address), signer=desk.signer())


async def node_call(world: World, caller: str, node: str, target: str, body: bytes) -> Reply:
    """A node's request about files, its body as it is."""
    return await world.call(node, "POST", target, body, holder=caller, signer=world.node_keys[caller].signer())


async def announce(world: World, desk: Desk, parcel: Parcel) -> tuple[Ranges, ...]:
    """Announce the files; what is missing."""
    reply = await call(world, desk, "/v1/files/open", parcel.announcement)
    assert reply.status == 200, reply.body
    return bodies.decode_missing(reply.body, len(parcel.files.files), "it")


async def progress(world: World, desk: Desk, parcel: Parcel) -> dict[str, FilesAt]:
    """How far the files are at each party, as the desk's node tells."""
    asked = file_progress.encode_asked(ProgressAsked(parcel.digest, file_progress.MAX_WAIT_MS))
    reply = await call(world, desk, "/v1/files/progress", asked)
    assert reply.status == 200, reply.body
    return {row.party: row for row in file_progress.decode_progress(reply.body, "it")}


async def send(world: World, desk: Desk, parcel: Parcel, places: Sequence[tuple[int, int]]) -> list[str | None]:
    """Send these segments, a request for each MiB or so; the code of each that was refused."""
    codes: list[str | None] = []
    batch: list[tuple[int, int]] = []
    for place in [*places, None]:
        if batch and (place is None or sum(len(parcel.segments[one].data) for one in batch) >= MIB):
            reply = await call(world, desk, parcel.target, parcel.body(batch))
            assert reply.status == 200, reply.body
            codes += [
                None if verdict is None else verdict.code
                for verdict in wire.decode_verdicts(reply.body, len(batch), "it")
            ]
            batch = []
        if place is not None:
            batch.append(place)
    return codes


async def fetch(world: World, desk: Desk, parcel: Parcel, *wanted: SegmentsWanted) -> FilesHeld:
    """What the desk's node hands out."""
    reply = await call(world, desk, "/v1/files/fetch", bodies.encode_fetch(FilesWanted(parcel.digest, wanted)))
    assert reply.status == 200, reply.body
    return bodies.decode_held(reply.body, "it")


async def fetch_all(world: World, desk: Desk, parcel: Parcel) -> dict[bytes, str]:
    """The SHA-256 of every file as the desk gets it, segment by segment, by name."""
    found = {}
    for number, file in enumerate(parcel.files.files):
        hash_, index = sha256(), 0
        while index < file.segments:
            held = await fetch(world, desk, parcel, SegmentsWanted(number, index, 4))
            assert held.segments
            for sent in held.segments:
                assert (sent.file, sent.segment.index) == (number, index)
                hash_.update(sent.segment.data)
                index += 1
        found[file.name] = hash_.hexdigest()
    return found


async def state_files(
    world: World, desk: Desk, event: EventName, parcel: Parcel, files: LoggedFiles | None = None
) -> list[Answer]:
    """What the desk states of the message's files: of all of them, if no others are given."""
    routing, said = parcel.envelope.routing, files or parcel.whole()
    reasons = ("file-altered",) if event.negative else ()
    statement = DeskStatement(event, routing.id, parcel.digest, desk.address, world.clock(), reasons, said)
    return answers(await world.desk_call(desk, "POST", "/v1/statements", [sign_statement(statement, desk.signer())]))


async def file_events(world: World, desk: Desk, count: int) -> list[VerifiedReceipt]:
    """The desk's verified receipts about files, once there are ``count`` of them."""
    async with asyncio.timeout(WITHIN_S):
        after, found = 0, list[VerifiedReceipt]()
        while len(found) < count:
            entries, _ = await world.mailbox(desk, after, wait=5)
            for entry in entries:
                after = entry.seq
                proved = [world.verify(receipt) for receipt in entry.receipts]
                found += [one for one in proved if one.event.name.of_files]
    return found


def where(receipts: Iterable[VerifiedReceipt]) -> list[tuple[str, str, str, str]]:
    """Of each: whose log, which event, at which desk, from which node; sorted."""
    return sorted(
        (one.origin.rpartition("/")[2], one.event.name.value, str(one.event.recipient or ""), one.event.peer or "")
        for one in receipts
    )


async def held_here(node: Node, parcel: Parcel, count: int | None = None) -> None:
    """Return when the node keeps so many segments of the parcel: all, if no number is given."""
    async with asyncio.timeout(WITHIN_S):
        while sum(map(len, (await node.evidence.store.held(parcel.digest)).values())) < (count or len(parcel.segments)):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)

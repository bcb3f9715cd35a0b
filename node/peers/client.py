"""What a node says to a partner, over the one signed client, and the clients of all partners."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from urllib.parse import quote, urlencode

from keys.directory.metadata.repository import MAX_FILE_BYTES
from keys.directory.view import Directory
from keys.members.bootstrap import BootstrapFile
from keys.transport.client import HttpRequest, Reach, Server, SignedClient, StreamedBody
from keys.transport.segments import Took, fetch_held, nobody_takes
from keys.transport.signing import Requester
from protocol.errors import (
    ComityError,
    DirectoryUnavailableError,
    MalformedError,
    OldSizeError,
    PeerFailedError,
    TooLargeError,
    UnknownNodeError,
)
from protocol.http import file_progress, wire
from protocol.http import files as file_bodies
from protocol.http.add_checkpoint import MAX_ANSWER_BYTES as MAX_COSIGNATURES_BYTES
from protocol.http.add_checkpoint import SIZE_TYPE, decode_cosignatures, decode_old_size, encode_add_checkpoint
from protocol.http.problem import MAX_PROBLEM_BYTES
from protocol.http.signature import SignedBody
from protocol.log.layout import TILE_BYTES
from protocol.log.note import MAX_NOTE_BYTES, NoteSignature
from protocol.misbehaviour.proof import MAX_PROOF_BYTES
from protocol.receipt import Receipt, decode_receipts, encode_receipts

MAX_CONNECTIONS = 16  # to one partner
_DIRECTORY_TIMEOUT_S = 20.0
_NOTE = "text/plain"


class PartnerClient:
    """One partner. Every method raises as :class:`keys.transport.client.SignedClient` does, and the typed error that
    the partner refuses with. ``is_first`` says that this node began with it."""

    def __init__(self, server: Server, requester: Requester, reach: Reach, *, is_first: bool = False) -> None:
        self.server = server
        self._client = SignedClient(server, requester, reach)
        self._is_first = is_first

    @property
    def node(self) -> str:
        """The partner's name."""
        return self.server.node

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def transfer(self, envelopes: Sequence[bytes]) -> list[wire.EnvelopeAnswer]:
        """Hand over envelopes; one answer each, its receipts not verified."""
        body = await self._post("/v1/transfer", wire.encode_items(envelopes), wire.MAX_ANSWER_BYTES)
        return wire.decode_answers(body, len(envelopes), self._source)

    async def receipts(self, receipts: Sequence[Receipt]) -> list[ComityError | None]:
        """Hand over receipts about messages that were submitted there; None for each that stands."""
        body = await self._post("/v1/receipts", encode_receipts(receipts), wire.MAX_BATCH_BYTES)
        return wire.decode_verdicts(body, len(receipts), self._source)

    async def pull(self, taken: wire.Taken, wait_s: int) -> wire.Waiting:
        """Say what was taken and fetch what waits, at most ``wait_s`` seconds later; nothing of it is verified."""
        body = wire.encode_taken(taken)
        answer = await self._post(f"/v1/pull?wait={wait_s}", body, wire.MAX_ANSWER_BYTES, wait_s)
        return wire.decode_waiting(answer, self._source)

    async def checkpoint(self) -> bytes:
        """The newest checkpoint of the partner's log, not verified."""
        return await self._get("/log/checkpoint", MAX_NOTE_BYTES)

    async def consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """The proof that the partner's log of ``new_size`` extends that of ``old_size``, not verified."""
        query = urlencode({"from": old_size, "to": new_size})
        return wire.decode_hashes(await self._get(f"/log/consistency?{query}", 16 * 1024), self._source)

    async def add_checkpoint(self, old_size: int, path: Sequence[bytes], note: bytes) -> tuple[NoteSignature, ...]:
        """Have the partner cosign a checkpoint of this node's log; its lines, not verified.

        Raises :class:`OldSizeError` when the last tree that it cosigned has another size than ``old_size``.
        """
        body = SignedBody(encode_add_checkpoint(old_size, path, note), _NOTE)
        answer = await self._client.ask(HttpRequest("/witness/add-checkpoint", MAX_COSIGNATURES_BYTES, body))
        if answer.status != 200 and answer.content_type == SIZE_TYPE:
            raise self._old_size(answer.body)
        lines = answer.content(self._source)
        try:
            return decode_cosignatures(lines)
        except (MalformedError, TooLargeError) as problem:
            raise PeerFailedError(f"{self._source} answered with something that is not signature lines") from problem

    async def tile(self, path: str) -> bytes:
        """A tile of the partner's log by its path below the log's prefix, not verified."""
        return await self._get(f"/log/{path}", TILE_BYTES)

    async def heads(self) -> wire.Heads:
        """What the partner saw of all logs, and which of them it holds proof against; nothing of it is verified."""
        return wire.decode_heads(await self._get("/v1/heads", wire.MAX_BATCH_BYTES), self._source)

    async def head(self, origin: str) -> tuple[bytes, ...]:
        """The checkpoints that the partner knows of a log's newest tree: the first, and the latest if it is another.

        Not verified. Raises ``NotFoundError``.
        """
        answer = await self._get(f"/v1/head?{urlencode({'origin': origin})}", wire.MAX_HEAD_BYTES)
        return wire.decode_head(answer, self._source)

    async def proof(self, digest: bytes) -> bytes:
        """A proof of misbehaviour that the partner holds, not verified."""
        return await self._get(f"/v1/misbehaviour/{digest.hex()}", MAX_PROOF_BYTES)

    async def offer(self, proof: bytes) -> None:
        """Hand over a proof of misbehaviour; the partner verifies it itself."""
        await self._post("/v1/misbehaviour", proof, MAX_PROBLEM_BYTES)

    async def own_receipts(self, first: int) -> list[Receipt]:
        """Receipts of this node's own log that the partner keeps, of entries from ``first`` on, not verified."""
        query = urlencode({"from": first})
        body = await self._get(f"/witness/receipts?{query}", wire.MAX_BATCH_BYTES)
        return decode_receipts(body)

    async def directory_file(self, name: str) -> bytes:
        """A file of the directory that the partner serves; raises ``NotFoundError`` when it has none of that name."""
        request = HttpRequest(f"/directory/{quote(name)}", MAX_FILE_BYTES)
        return await self._client.call_for_proof(request, began_here=self._is_first)

    async def announce_files(self, announced: file_bodies.FilesAnnounced, files: int) -> tuple[file_bodies.Ranges, ...]:
        """Announce the files of a message that the partner took; the segments that it lacks of each."""
        body = await self._post("/v1/files/open", file_bodies.encode_open(announced), file_bodies.MAX_MISSING_BYTES)
        return file_bodies.decode_missing(body, files, self._source)

    async def send_segments(
        self, message: bytes, body: StreamedBody, count: int, extra_s: float
    ) -> list[ComityError | None]:
        """Send ``count`` segments of announced files; None for each that the partner keeps now."""
        target = f"/v1/files/segments?message={message.hex()}"
        answer = await self._client.call(HttpRequest(target, wire.MAX_BATCH_BYTES, body, extra_s))
        return wire.decode_verdicts(answer, count, self._source)

    async def fetch_files(
        self, wanted: file_bodies.FilesWanted, extra_s: float, took: Took = nobody_takes
    ) -> file_bodies.FilesHeld:
        """What of files waits there for this node; ``took`` gets the wanted segments as they come, not verified."""
        body = SignedBody(file_bodies.encode_fetch(wanted), wire.CONTENT_TYPE)
        return await fetch_held(
            self._client, HttpRequest("/v1/files/fetch", file_bodies.MAX_HELD_BYTES, body, extra_s), took
        )

    async def file_progress(self, asked: file_progress.ProgressAsked) -> tuple[file_progress.FilesAt, ...]:
        """How far the files of a message are there and beyond, by the partner's word."""
        body = file_progress.encode_asked(asked)
        answer = await self._post("/v1/files/progress", body, file_progress.MAX_ROWS_BYTES)
        return file_progress.decode_progress(answer, self._source)

    async def cancel_files(self, taken_back: file_bodies.FilesTakenBack) -> int:
        """Take back the files of a message; how many the partner let go."""
        body = await self._post("/v1/files/cancel", file_bodies.encode_cancel(taken_back), file_bodies.MAX_CANCEL_BYTES)
        return file_bodies.decode_cancelled(body, self._source)

    # --- Inside ---

    @property
    def _source(self) -> str:
        return self.server.title

    async def _get(self, target: str, max_bytes: int) -> bytes:
        return await self._client.call(HttpRequest(target, max_bytes))

    async def _post(self, target: str, content: bytes, max_bytes: int, extra_s: float = 0) -> bytes:
        body = SignedBody(content, wire.CONTENT_TYPE)
        return await self._client.call(HttpRequest(target, max_bytes, body, extra_s))

    def _old_size(self, body: bytes) -> OldSizeError:
        try:
            size = decode_old_size(body)
        except MalformedError as problem:
            raise PeerFailedError(f"{self._source} answered with something that is not a size") from problem
        return OldSizeError(f"the last tree that {self.node} cosigned has {size} entries", size)


class Partners:
    """The clients of all partners, made when first needed and remade when a card's address or certificate changes."""

    def __init__(
        self,
        requester: Requester,
        directory: Callable[[], Directory | None],
        bundle: BootstrapFile | None,
        reach: Reach,
    ) -> None:
        self._requester = requester
        self._directory = directory
        self._bundle = bundle
        self._reach = reach
        self._clients: dict[str, PartnerClient] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def get(self, node: str) -> PartnerClient:
        """The client of ``node``; raises :class:`UnknownNodeError` if it has no address, ``MalformedError``."""
        server = self._where(node)
        client = self._clients.get(node)
        if client is not None and client.server == server:
            return client
        is_first = self._bundle is not None and self._bundle.node == node
        fresh = PartnerClient(server, self._requester, self._reach, is_first=is_first)
        self._clients[node] = fresh
        if client is not None:
            task = asyncio.create_task(client.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        return fresh

    def can_reach(self, node: str) -> bool:
        """Whether the node has an address; one without is waited for."""
        try:
            self._where(node)
        except UnknownNodeError:
            return False
        return True

    def _where(self, node: str) -> Server:
        directory = self._directory()
        if directory is not None and directory.has_node(node):
            return Server(node, directory.url(node), tuple(directory.tls_certificates(node)))
        if self._bundle is not None and self._bundle.node == node:
            return Server(node, self._bundle.url, tuple(self._bundle.tls_certificates))
        raise UnknownNodeError(f"the directory has no node {node}")

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*self._closing, *(client.close() for client in self._clients.values()))
        self._clients.clear()


class PartnerSource:
    """A partner as a source of directory files. ``fetch`` is called from a thread other than the event loop's."""

    def __init__(self, node: str, partners: Partners, loop: asyncio.AbstractEventLoop) -> None:
        self.name = node
        self._partners = partners
        self._loop = loop

    def fetch(self, name: str) -> bytes:
        """See :class:`node.peers.directory.Source`."""
        waiting = asyncio.run_coroutine_threadsafe(self._fetch(name), self._loop)
        try:
            return waiting.result(_DIRECTORY_TIMEOUT_S)
        except TimeoutError as problem:
            waiting.cancel()
            raise DirectoryUnavailableError(f"{self.name} did not answer in time") from problem

    async def _fetch(self, name: str) -> bytes:
        try:
            client = self._partners.get(self.name)
        except UnknownNodeError as problem:
            raise DirectoryUnavailableError(f"where {self.name} is reached is not known here yet") from problem
        return await client.directory_file(name)

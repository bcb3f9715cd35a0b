"""A partner node as a client sees it: one connection pool, its certificate pinned, every request signed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from keys.directory.metadata.repository import MAX_FILE_BYTES
from keys.directory.view import Directory
from keys.members.bootstrap import BootstrapFile
from keys.transport.networks import Network, guarded_sockets, is_refusal
from keys.transport.signing import signing
from keys.transport.tls import any_server_context, client_context
from protocol.crypto.signing import Signer
from protocol.errors import (
    CertificateUnknownError,
    ComityError,
    DirectoryUnavailableError,
    MalformedError,
    NetworkNotAllowedError,
    OldSizeError,
    PeerFailedError,
    TooLargeError,
    UnavailableError,
    UnknownNodeError,
)
from protocol.http import wire
from protocol.http.add_checkpoint import MAX_ANSWER_BYTES as MAX_COSIGNATURES_BYTES
from protocol.http.add_checkpoint import SIZE_TYPE, decode_cosignatures, decode_old_size, encode_add_checkpoint
from protocol.http.problem import MAX_PROBLEM_BYTES, problem_of
from protocol.log.layout import TILE_BYTES
from protocol.log.note import MAX_NOTE_BYTES, NoteSignature
from protocol.misbehaviour.proof import MAX_PROOF_BYTES
from protocol.receipt import Receipt, decode_receipts, encode_receipts

_CONNECT_TIMEOUT_S = 10.0
_KEEP_ALIVE_S = 20.0  # shorter than a server's idle time-out, so that it is never the server who closes first
_DIRECTORY_TIMEOUT_S = 20.0
_NOTE = "text/plain"

Heard = Callable[[str, str | None], None]
"""Told of each answer over a pinned connection: the node, and what its ``Date`` field says."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a node is to its partners: its name and the key that signs its requests."""

    node: str
    signer: Signer
    clock: Callable[[], datetime]


class PartnerClient:
    """One partner. Every method raises :class:`UnavailableError` when it cannot be reached in time,
    :class:`PeerFailedError` when its answer is none, and the typed error that it refuses with."""

    def __init__(
        self,
        node: str,
        url: str,
        certificates: Sequence[bytes],
        identity: Identity,
        timeout_s: float,
        heard: Heard = lambda node, date: None,
        allowed: Sequence[Network] = (),
        *,
        is_first: bool = False,
    ) -> None:
        self._heard = heard
        self._is_first = is_first
        self.node = node
        self.url = url.rstrip("/")
        self.certificates = tuple(certificates)
        self._identity = identity
        self._timeout_s = timeout_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=client_context(certificates),
                limit=16,
                keepalive_timeout=_KEEP_ALIVE_S,
                socket_factory=guarded_sockets(allowed),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "comity-node"},
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def transfer(self, envelopes: Sequence[bytes]) -> list[wire.EnvelopeAnswer]:
        """Hand over envelopes; one answer each, its receipts not verified."""
        body = await self._call("POST", "/v1/transfer", wire.encode_items(envelopes), wire.MAX_ANSWER_BYTES)
        return wire.decode_answers(body, len(envelopes), self.node)

    async def receipts(self, receipts: Sequence[Receipt]) -> list[ComityError | None]:
        """Hand over receipts about messages that were submitted there; None for each that stands."""
        body = await self._call("POST", "/v1/receipts", encode_receipts(receipts), wire.MAX_BATCH_BYTES)
        return wire.decode_verdicts(body, len(receipts), self.node)

    async def pull(self, taken: wire.Taken, wait_s: int) -> wire.Waiting:
        """Say what was taken and fetch what waits, at most ``wait_s`` seconds later; nothing of it is verified."""
        body = wire.encode_taken(taken)
        answer = await self._call("POST", f"/v1/pull?wait={wait_s}", body, wire.MAX_ANSWER_BYTES, wait_s)
        return wire.decode_waiting(answer, self.node)

    async def checkpoint(self) -> bytes:
        """The newest checkpoint of the partner's log, not verified."""
        return await self._call("GET", "/log/checkpoint", None, MAX_NOTE_BYTES)

    async def consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """The proof that the partner's log of ``new_size`` extends that of ``old_size``, not verified."""
        query = urlencode({"from": old_size, "to": new_size})
        return wire.decode_hashes(await self._call("GET", f"/log/consistency?{query}", None, 16 * 1024), self.node)

    async def add_checkpoint(self, old_size: int, path: Sequence[bytes], note: bytes) -> tuple[NoteSignature, ...]:
        """Have the partner cosign a checkpoint of this node's log; its lines, not verified.

        Raises :class:`OldSizeError` when the last tree that it cosigned has another size than ``old_size``.
        """
        request = encode_add_checkpoint(old_size, path, note)
        body = await self._call("POST", "/witness/add-checkpoint", request, MAX_COSIGNATURES_BYTES, body_type=_NOTE)
        try:
            return decode_cosignatures(body)
        except (MalformedError, TooLargeError) as problem:
            raise PeerFailedError(f"{self.node} answered with something that is not signature lines") from problem

    async def tile(self, path: str) -> bytes:
        """A tile of the partner's log by its path below the log's prefix, not verified."""
        return await self._call("GET", f"/log/{path}", None, TILE_BYTES)

    async def heads(self) -> wire.Heads:
        """What the partner saw of all logs, and which of them it holds proof against; nothing of it is verified."""
        return wire.decode_heads(await self._call("GET", "/v1/heads", None, wire.MAX_BATCH_BYTES), self.node)

    async def head(self, origin: str) -> bytes:
        """The newest checkpoint that the partner saw of a log, not verified."""
        return await self._call("GET", f"/v1/heads/note?{urlencode({'origin': origin})}", None, MAX_NOTE_BYTES)

    async def proof(self, digest: bytes) -> bytes:
        """A proof of misbehaviour that the partner holds, not verified."""
        return await self._call("GET", f"/v1/misbehaviour/{digest.hex()}", None, MAX_PROOF_BYTES)

    async def offer(self, proof: bytes) -> None:
        """Hand over a proof of misbehaviour; the partner verifies it itself."""
        await self._call("POST", "/v1/misbehaviour", proof, MAX_PROBLEM_BYTES)

    async def seen_checkpoint(self, origin: str) -> bytes:
        """The newest checkpoint of the log ``origin`` that the partner saw, not verified; raises ``NotFoundError``."""
        return await self._call("GET", f"/witness/checkpoint?{urlencode({'origin': origin})}", None, MAX_NOTE_BYTES)

    async def own_receipts(self, first: int) -> list[Receipt]:
        """Receipts of this node's own log that the partner keeps, of entries from ``first`` on, not verified."""
        query = urlencode({"from": first})
        body = await self._call("GET", f"/witness/receipts?{query}", None, wire.MAX_BATCH_BYTES)
        return decode_receipts(body)

    async def directory_file(self, name: str) -> bytes:
        """A file of the directory that the partner serves; raises ``NotFoundError`` when it has none of that name."""
        target = f"/directory/{name}"
        try:
            return await self._call("GET", target, None, MAX_FILE_BYTES)
        except CertificateUnknownError:
            # The directory proves itself, and it may be what names the new certificate. Any address would do for that:
            # so only the node that this one began with, whose address its operator took over by hand, is asked so.
            if not self._is_first:
                raise
            return await self._call("GET", target, None, MAX_FILE_BYTES, tls=any_server_context())

    async def _call(
        self,
        method: str,
        target: str,
        body: bytes | None,
        max_bytes: int,
        extra_s: float = 0,
        *,
        tls: ssl.SSLContext | bool = True,
        body_type: str = wire.CONTENT_TYPE,
    ) -> bytes:
        url = self.url + target
        try:
            parsed = URL(url, encoded=True)
            parsed.port  # noqa: B018 - only reading it tells whether it is one
        except ValueError as cause:
            raise MalformedError(f"the card of {self.node} names an address that is none") from cause
        who = self._identity
        sign = signing(method, url, body, None if body is None else body_type, who.node, who.signer, who.clock)
        timeout = aiohttp.ClientTimeout(
            total=self._timeout_s + extra_s, connect=min(_CONNECT_TIMEOUT_S, self._timeout_s)
        )
        try:
            async with self._session.request(
                method,
                parsed,
                data=body,
                middlewares=(sign,),
                timeout=timeout,
                allow_redirects=False,
                ssl=tls,
            ) as response:
                if tls is True:
                    self._heard(self.node, response.headers.get("Date"))
                if response.status == 200:
                    return await self._read(response, max_bytes)
                problem = await self._read(response, MAX_PROBLEM_BYTES)
                answered = response.content_type
        except TimeoutError as cause:
            raise UnavailableError(f"{self.node} did not answer in time") from cause
        except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as cause:
            raise PeerFailedError(f"{self.node} broke its answer off ({type(cause).__name__})") from cause
        except aiohttp.ClientConnectorCertificateError as cause:
            raise CertificateUnknownError(f"{self.node} shows a certificate that is not on its card") from cause
        except (aiohttp.ClientError, OSError) as cause:
            if is_refusal(cause):
                text = f"{self.node} is reached at {URL(self.url).host}, in no network that is allowed"
                raise NetworkNotAllowedError(text) from cause
            raise UnavailableError(f"{self.node} cannot be reached ({type(cause).__name__})") from cause
        if answered == SIZE_TYPE:
            raise self._old_size(problem)
        raise problem_of(problem, self.node)

    def _old_size(self, body: bytes) -> OldSizeError:
        try:
            size = decode_old_size(body)
        except MalformedError as problem:
            raise PeerFailedError(f"{self.node} answered with something that is not a size") from problem
        return OldSizeError(f"the last tree that {self.node} cosigned has {size} entries", size)

    async def _read(self, response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise PeerFailedError(f"{self.node} answered with a compressed body")
        parts = bytearray()
        async for part in response.content.iter_any():
            parts += part
            if len(parts) > max_bytes:
                raise PeerFailedError(f"{self.node} answered with more than {max_bytes} bytes")
        return bytes(parts)


class Partners:
    """The clients of all partners, made when first needed and remade when a card's address or certificate changes."""

    def __init__(
        self,
        identity: Identity,
        directory: Callable[[], Directory | None],
        bundle: BootstrapFile | None,
        timeout_s: float,
        heard: Heard = lambda node, date: None,
        allowed: Sequence[Network] = (),
    ) -> None:
        self._heard = heard
        self._allowed = tuple(allowed)
        self._identity = identity
        self._directory = directory
        self._bundle = bundle
        self._timeout_s = timeout_s
        self._clients: dict[str, PartnerClient] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def get(self, node: str) -> PartnerClient:
        """The client of ``node``; raises :class:`UnknownNodeError` if it has no address, ``MalformedError``."""
        url, certificates = self._where(node)
        client = self._clients.get(node)
        if client is not None and (client.url, client.certificates) == (url.rstrip("/"), tuple(certificates)):
            return client
        fresh = PartnerClient(
            node,
            url,
            certificates,
            self._identity,
            self._timeout_s,
            self._heard,
            self._allowed,
            is_first=self._bundle is not None and self._bundle.node == node,
        )
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

    def _where(self, node: str) -> tuple[str, Sequence[bytes]]:
        directory = self._directory()
        if directory is not None and node in directory.nodes():
            return directory.url(node), directory.tls_certificates(node)
        if self._bundle is not None and self._bundle.node == node:
            return self._bundle.url, self._bundle.tls_certificates
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

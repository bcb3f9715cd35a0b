"""A node's HTTP interface, as a desk and an auditor use it.

The server is known by its certificate from the directory; every request is signed with the desk's key (RFC 9421).
Answers are parsed and limited here; nothing in them is trusted until it is verified by who asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp

from keys.transport.signing import signing
from keys.transport.tls import client_context
from keys.transport.urls import read_url
from protocol.address import Address
from protocol.crypto.signing import Signer
from protocol.encoding import cbor
from protocol.errors import (
    CertificateUnknownError,
    MalformedError,
    PeerFailedError,
    TooLargeError,
    UnavailableError,
)
from protocol.http.problem import problem_of
from protocol.http.wire import (
    CONTENT_TYPE,
    MAX_ANSWER_BYTES,
    MAX_ENVELOPES,
    EnvelopeAnswer,
    MailboxPage,
    decode_answers,
    decode_hashes,
    decode_mailbox,
)
from protocol.log.proof import TlogProof, decode_tlog_proof

MAX_ENTRIES = 128
MAX_SUBMIT_BYTES = 2 * 1024 * 1024
MAX_WAIT_S = 30
MAX_LOG_BYTES = 1024 * 1024
_CONNECT_TIMEOUT_S = 10
_KEEP_ALIVE_S = 20  # shorter than a node's idle time-out, so that it is seldom the node who closes first


class NodeClient:
    """One node. Every method raises :class:`UnavailableError` when it cannot be reached, :class:`PeerFailedError`
    when its answer is not one, and the typed error that it refuses with."""

    def __init__(
        self,
        node: str,
        base_url: str,
        certificates: Sequence[bytes],
        holder: Address,
        signer: Signer,
        clock: Callable[[], datetime],
        *,
        timeout_s: float = 30,
    ) -> None:
        self.node = node
        self._source = f"the node {node}"
        self.base_url = base_url.rstrip("/")
        self.certificates = tuple(certificates)
        self._holder = str(holder)
        self._signer = signer
        self._clock = clock
        self._timeout_s = timeout_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=client_context(certificates), limit=8, keepalive_timeout=_KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "comity"},
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    # --- Messages ---

    async def submit(self, envelopes: Sequence[bytes]) -> list[EnvelopeAnswer]:
        """Hand over 1 to 64 envelopes; one answer each, in order. Idempotent."""
        body = await self._post("/v1/submit", list(envelopes))
        return decode_answers(body, len(envelopes), self._source)

    async def state(self, statements: Sequence[bytes]) -> list[EnvelopeAnswer]:
        """Hand over 1 to 256 signed statements; one answer each, in order. Idempotent."""
        body = await self._post("/v1/statements", list(statements))
        return decode_answers(body, len(statements), self._source)

    async def mailbox(self, after: int, limit: int = MAX_ENVELOPES, wait_s: float = 0) -> MailboxPage:
        """The entries after ``after``; the node waits up to ``wait_s`` for one to come."""
        wait = max(0, min(MAX_WAIT_S, int(wait_s)))
        query = {"after": after, "limit": limit, "wait": wait}
        body = await self.get("/v1/mailbox", query, max_bytes=MAX_ANSWER_BYTES, extra_s=wait)
        return decode_mailbox(body, after, self._source)

    # --- Log ---

    async def checkpoint(self) -> bytes:
        """The log's present checkpoint, not verified."""
        return await self.get("/log/checkpoint", max_bytes=MAX_LOG_BYTES)

    async def cosigned_proof(self, index: int) -> TlogProof:
        """The proof of an entry under the newest checkpoint that enough witnesses cosigned, not verified.

        Raises :class:`QuorumNotMetError` when there is none, ``LogUnavailableError`` when it does not reach the entry.
        """
        body = await self.get(f"/log/cosigned/proof/{index}", max_bytes=MAX_LOG_BYTES)
        try:
            return decode_tlog_proof(body)
        except (MalformedError, TooLargeError) as problem:
            raise self._garbage("something that is not a proof") from problem

    async def consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """The consistency proof between two sizes, not verified."""
        body = await self.get("/log/consistency", {"from": old_size, "to": new_size}, max_bytes=MAX_LOG_BYTES)
        return decode_hashes(body, self._source)

    async def get(
        self,
        path: str,
        query: Mapping[str, int | str] | None = None,
        *,
        max_bytes: int = MAX_LOG_BYTES,
        extra_s: float = 0,
    ) -> bytes:
        """The body of any resource of the node, at most ``max_bytes``."""
        url = self.base_url + quote(path) + (f"?{urlencode(query)}" if query else "")
        return await self._request("GET", url, None, max_bytes, extra_s)

    # --- Inside ---

    async def _post(self, path: str, value: Any) -> bytes:
        return await self._request("POST", self.base_url + path, cbor.encode(value), MAX_ANSWER_BYTES, 0)

    async def _request(self, method: str, url: str, body: bytes | None, max_bytes: int, extra_s: float) -> bytes:
        try:
            parsed = read_url(url)
        except ValueError as cause:
            raise MalformedError(f"the address of the node {self.node} is none") from cause
        content_type = None if body is None else CONTENT_TYPE
        sign = signing(method, url, body, content_type, self._holder, self._signer, self._clock)
        timeout = aiohttp.ClientTimeout(total=self._timeout_s + extra_s, connect=_CONNECT_TIMEOUT_S)
        try:
            async with self._session.request(
                method, parsed, data=body, middlewares=(sign,), timeout=timeout, allow_redirects=False
            ) as response:
                if response.status == 200:
                    return await self._read(response, max_bytes)
                problem = await self._read(response, MAX_LOG_BYTES)
        except TimeoutError as problem_:
            raise UnavailableError(f"the node {self.node} did not answer in time") from problem_
        except aiohttp.ClientConnectorCertificateError as problem_:
            raise CertificateUnknownError(
                f"the node {self.node} shows a certificate that is not on its card"
            ) from problem_
        except (aiohttp.ClientError, OSError) as problem_:
            raise UnavailableError(f"the node {self.node} cannot be reached ({type(problem_).__name__})") from problem_
        raise problem_of(problem, self._source)

    async def _read(self, response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise self._garbage("a compressed body")
        parts = bytearray()
        async for part in response.content.iter_any():
            parts += part
            if len(parts) > max_bytes:
                raise self._garbage("more than was asked for")
        return bytes(parts)

    def _garbage(self, what: str) -> PeerFailedError:
        return PeerFailedError(f"{self._source} answered with {what}")

"""The one client with which a member's programs ask a node: pinned TLS, signed requests, bounded answers.

The rules stand here and nowhere else:

1. The server shows one of the certificates that it is known by (:mod:`keys.transport.tls`). Only a file that proves
   itself may come over another one, and only from the node that this program began with.
2. Each request is signed anew whenever it is sent (:mod:`keys.transport.signing`).
3. An answer is counted while it is read, and no more is taken than was asked for. It is not compressed.
4. No redirect is followed, no cookie kept, no proxy or password of the environment used.
5. A refusal becomes its typed error. An answer that is none of this protocol is the node's failure.

Nothing that a node answers is trusted here: the caller verifies it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from keys.starting import load_http
from keys.transport.networks import Network, guarded_sockets, is_refusal
from keys.transport.signing import Requester, signed_headers, signing
from keys.transport.tls import any_server_context, client_context
from protocol.encoding.phrase import phrase
from protocol.errors import (
    CertificateUnknownError,
    ComityError,
    MalformedError,
    NetworkNotAllowedError,
    PeerFailedError,
    UnavailableError,
)
from protocol.http.problem import MAX_PROBLEM_BYTES, problem_of
from protocol.http.signature import ProvenBody, SignedBody

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

    from keys.transport.long_bodies import LongAnswer, LongConnections


T = TypeVar("T")
Buffer = bytes | bytearray | memoryview

_CONNECT_TIMEOUT_S = 10.0
_KEEP_ALIVE_S = 20.0  # shorter than a server's idle time-out, so that it is seldom the server who closes first
# So long a server that showed an unknown certificate is not asked over the known ones for what proves itself.
_UNKNOWN_FOR_S = 60.0

_OWN_FIELDS = {"Accept-Encoding": "identity", "User-Agent": "comity"}

Heard = Callable[[str, str | None], None]
"""Told of each answer over a pinned connection: the node, and what its ``Date`` field says."""


@dataclass(frozen=True, slots=True)
class Server:
    """A node as its card or a bootstrap file names it: its base URL, and the DER certificates that it may show."""

    node: str
    url: str
    certificates: tuple[bytes, ...]

    @property
    def title(self) -> str:
        """How errors name it."""
        return f"the node {self.node}"


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a client goes: seconds until it gives up, connections at once, and networks that it may connect to.

    ``networks`` are allowed beside the public one; None: anywhere. ``heard`` is told of answers. ``lean`` is for a
    program that asks little and ends: short requests go as long ones do, and the HTTP library, which takes longer to
    load than the requests take, is not loaded unless a node answers in a form that only the library reads.
    """

    timeout_s: float = 30
    connections: int = 8
    networks: Sequence[Network] | None = None
    heard: Heard = lambda node, date: None
    lean: bool = False


@dataclass(frozen=True, slots=True)
class StreamedBody:
    """A body of ``length`` bytes whose parts prove themselves: they are made, with ``parts``, while they are sent."""

    length: int
    content_type: str
    parts: Callable[[], AsyncIterator[Buffer]]


class Sink(Protocol):
    """Where a long answer goes."""

    def place(self) -> memoryview | None:
        """Where its next bytes are to be; None where :meth:`feed` is to be given them."""

    async def feed(self, part: Buffer) -> None:
        """More of it, which nobody changes any more; raises what is wrong with it."""

    def note(self, part: memoryview) -> None:
        """These bytes are there, the next of its :meth:`place`; from any thread."""

    async def filled(self) -> None:
        """All of the last :meth:`place` was filled; raises what is wrong with it."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. ``target`` is path and query, percent-encoded; ``body`` is None for GET.

    ``max_bytes`` bounds the answer; ``extra_s`` is how much longer than usual the node may take.
    """

    target: str
    max_bytes: int
    body: SignedBody | StreamedBody | None = None
    extra_s: float = 0

    @property
    def method(self) -> str:
        """GET without a body, POST with one."""
        return "GET" if self.body is None else "POST"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a node answered: 200 with the content, or a refusal."""

    status: int
    content_type: str
    body: bytes

    def content(self, source: str) -> bytes:
        """The body of a 200; raises the typed error that ``source`` refused with, or :class:`PeerFailedError`."""
        if self.status != 200:
            raise problem_of(self.body, source)
        return self.body


class SignedClient:
    """One node, with its connections. Belongs to the event loop in which it was made.

    Every method raises :class:`UnavailableError` when the node cannot be reached in time, with
    :class:`CertificateUnknownError` and :class:`NetworkNotAllowedError` among its kinds, :class:`PeerFailedError` when
    its answer is none, and :class:`MalformedError` when its address is none.
    """

    def __init__(self, server: Server, requester: Requester, reach: Reach = Reach()) -> None:
        self.server = server
        self._requester = requester
        self._reach = reach
        self._unknown_until = float("-inf")  # monotonic
        self._any_server: ssl.SSLContext | None = None
        self._pins = client_context(server.certificates)
        self._make = None if reach.networks is None else guarded_sockets(reach.networks)
        self._long: LongConnections | None = None
        self._other_form = False  # it answers in a form that only the library reads
        self._library: aiohttp.ClientSession | None = None
        if not reach.lean:
            load_http()

    async def close(self) -> None:
        """Close the connections."""
        if self._long is not None:
            self._long.close()
        if self._library is not None:
            await self._library.close()

    async def call(self, request: HttpRequest) -> bytes:
        """The content of the node's answer; raises the typed error that it refuses with."""
        return (await self.ask(request)).content(self.server.title)

    async def ask(self, request: HttpRequest) -> HttpAnswer:
        """The node's answer, whatever its status."""
        return await self._asked(request, None)

    async def call_into(self, request: HttpRequest, sink: Sink) -> None:
        """As :meth:`call`, where ``sink`` is given the content as it comes; raises what it raises."""
        (await self._asked(request, sink)).content(self.server.title)

    async def call_for_proof(self, request: HttpRequest, *, began_here: bool) -> bytes:
        """As :meth:`call`, for a file that proves itself, such as one of the directory.

        That file may be what names the node's new certificate, so it is taken over an unknown certificate too. Any
        address would do for that: hence only from the node that this program began with (``began_here``), whose
        address somebody took over by hand.
        """
        if not began_here:
            return await self.call(request)
        if time.monotonic() >= self._unknown_until:
            try:
                return await self.call(request)
            except CertificateUnknownError:
                self._unknown_until = time.monotonic() + _UNKNOWN_FOR_S
        if self._any_server is None:
            self._any_server = any_server_context()
        return (await self._send(request, self._any_server)).content(self.server.title)

    # --- Inside ---

    def _url(self, target: str) -> tuple[str, URL]:
        """The absolute URL as it is signed and as it is sent."""
        from keys.transport.urls import read_url  # its library takes long to load, and many commands ask no node

        url = self.server.url.rstrip("/") + target
        try:
            parsed = read_url(url)
        except ValueError as cause:
            raise MalformedError(f"the address of {self.server.title} is none") from cause
        if parsed.scheme != "https" or not parsed.host:
            raise MalformedError(f"the address of {self.server.title} is not an https URL")
        return url, parsed

    def _session(self) -> aiohttp.ClientSession:
        """The library's connections, made when they are first asked for."""
        if self._library is None:
            load_http()
            import aiohttp

            self._library = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self._pins,
                    limit=self._reach.connections,
                    keepalive_timeout=_KEEP_ALIVE_S,
                    socket_factory=self._make,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                headers=_OWN_FIELDS,
            )
        return self._library

    async def _asked(self, request: HttpRequest, sink: Sink | None) -> HttpAnswer:
        """The answer; what is long goes and comes in threads, unless the node answers in a form of its own."""
        without = self._reach.lean or sink is not None or isinstance(request.body, StreamedBody)
        if without and not self._other_form:
            from keys.transport.long_bodies import OtherFormError  # only who moves files, or asks little, needs it

            try:
                return await self._send_long(request, sink)
            except (OtherFormError, NotImplementedError):  # an event loop that watches no sockets raises the second
                self._other_form = True
        return await self._send(request, None, sink)

    async def _send_long(self, request: HttpRequest, sink: Sink | None) -> HttpAnswer:
        """As :meth:`_send`, over connections that threads read and write. Raises :class:`OtherFormError` too."""
        from keys.transport.long_bodies import LongConnections, Origin

        url, parsed = self._url(request.target)
        if self._long is None:
            origin = Origin(parsed.host or "", parsed.port or 443, self._pins, self._make)
            self._long = LongConnections(origin, self._reach.connections, _KEEP_ALIVE_S)

        def head() -> bytes:
            own = {"Host": parsed.host_port_subcomponent or "", "Accept": "*/*", **_OWN_FIELDS}
            own |= _length(request.body) or {"Content-Length": str(len(_content(request.body)))}
            own |= signed_headers(request.method, url, _signed(request.body), self._requester)
            lines = (f"{name}: {value}\r\n" for name, value in own.items())
            return f"{request.method} {parsed.raw_path_qs} HTTP/1.1\r\n{''.join(lines)}\r\n".encode("ascii")

        connect_s = min(_CONNECT_TIMEOUT_S, self._reach.timeout_s)
        with self._failures(parsed):
            async with asyncio.timeout(self._reach.timeout_s + request.extra_s):
                async with self._long.asked(head, lambda: _parts(request.body), connect_s) as answer:
                    self._reach.heard(self.server.node, answer.fields.get("date"))
                    kind = answer.fields.get("content-type", "").partition(";")[0].strip().lower()
                    if answer.status == 200 and sink is not None:
                        await self._pour(answer, request.max_bytes, sink)
                        return HttpAnswer(answer.status, kind, b"")
                    most = request.max_bytes if answer.status == 200 else MAX_PROBLEM_BYTES
                    return HttpAnswer(answer.status, kind, await self._whole(answer, most))

    async def _pour(self, answer: LongAnswer, max_bytes: int, sink: Sink) -> None:
        self._require_plain(answer.fields.get("content-encoding"))
        self._require_fit(answer.body.left, max_bytes)
        most = _HEAD_BYTES
        try:
            while answer.body.left:
                place = sink.place()
                if place is None or len(place) > answer.body.left:
                    await sink.feed(await answer.body.piece(most))
                    most = _PIECE_BYTES
                else:
                    await answer.body.fill(place, sink.note)
                    await sink.filled()
        except ConnectionError as cause:
            raise PeerFailedError(f"{self.server.title} broke its answer off") from cause

    async def _whole(self, answer: LongAnswer, max_bytes: int) -> bytes:
        parts = list[bytes]()
        self._require_plain(answer.fields.get("content-encoding"))
        self._require_fit(answer.body.left, max_bytes)
        try:
            while answer.body.left:
                parts.append(await answer.body.some(_PIECE_BYTES))
        except ConnectionError as cause:
            raise PeerFailedError(f"{self.server.title} broke its answer off") from cause
        return b"".join(parts)

    async def _send(self, request: HttpRequest, tls: ssl.SSLContext | None, sink: Sink | None = None) -> HttpAnswer:
        """The answer over the pinned certificates, or over ``tls`` where that is given; its content into ``sink``."""
        url, parsed = self._url(request.target)
        with self._failures(parsed), self._library_failures(parsed):
            async with self._session().request(
                request.method,
                parsed,
                data=_data(request.body),
                headers=_length(request.body),
                middlewares=(signing(request.method, url, _signed(request.body), self._requester),),
                timeout=self._timeout(request),
                allow_redirects=False,
                ssl=True if tls is None else tls,
            ) as response:
                if tls is None:
                    self._reach.heard(self.server.node, response.headers.get("Date"))
                if response.status == 200 and sink is not None:
                    await self._give(response, request.max_bytes, sink.feed)
                    return HttpAnswer(response.status, response.content_type, b"")
                body = await self._read(response, request.max_bytes if response.status == 200 else MAX_PROBLEM_BYTES)
                return HttpAnswer(response.status, response.content_type, body)

    def _timeout(self, request: HttpRequest) -> aiohttp.ClientTimeout:
        import aiohttp

        total_s = self._reach.timeout_s + request.extra_s
        return aiohttp.ClientTimeout(total=total_s, connect=min(_CONNECT_TIMEOUT_S, self._reach.timeout_s))

    @contextmanager
    def _failures(self, parsed: URL) -> Iterator[None]:
        """What goes wrong on the way becomes its typed error."""
        title = self.server.title
        try:
            yield
        except TimeoutError as cause:
            raise UnavailableError(phrase("the node {node} did not answer in time", node=self.server.node)) from cause
        except ssl.SSLCertVerificationError as cause:
            raise CertificateUnknownError(f"{title} shows a certificate that is not on its card") from cause
        except OSError as cause:
            raise self._unreached(parsed, cause) from cause

    @contextmanager
    def _library_failures(self, parsed: URL) -> Iterator[None]:
        """So does what the library alone raises; its errors that are the system's too are left to :meth:`_failures`."""
        import aiohttp

        try:
            yield
        except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as cause:
            raise PeerFailedError(f"{self.server.title} broke its answer off ({type(cause).__name__})") from cause
        except aiohttp.ClientError as cause:
            if isinstance(cause, OSError):
                raise
            raise self._unreached(parsed, cause) from cause

    def _unreached(self, parsed: URL, cause: Exception) -> ComityError:
        if is_refusal(cause):
            text = f"{self.server.title} is reached at {parsed.host}, in no network that is allowed"
            return NetworkNotAllowedError(text)
        return UnavailableError(
            phrase("the node {node} cannot be reached ({why})", node=self.server.node, why=_why(cause))
        )

    def _require_plain(self, encoding: str | None) -> None:
        if (encoding or "identity") != "identity":
            raise PeerFailedError(f"{self.server.title} answered with a compressed body")

    def _require_fit(self, size: int, max_bytes: int) -> None:
        if size > max_bytes:
            raise PeerFailedError(f"{self.server.title} answered with more than {max_bytes} bytes")

    async def _read(self, response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
        parts = list[bytes]()

        async def keep(part: bytes) -> None:
            parts.append(part)

        await self._give(response, max_bytes, keep)
        return b"".join(parts)

    async def _give(
        self, response: aiohttp.ClientResponse, max_bytes: int, take: Callable[[bytes], Awaitable[None]]
    ) -> None:
        self._require_plain(response.headers.get("Content-Encoding"))
        came = 0
        async for part in response.content.iter_any():
            came += len(part)
            self._require_fit(came, max_bytes)
            await take(part)


# The reasons that a system gives most often, for translation.
_SAID = {
    errno.ECONNREFUSED: phrase("Connection refused"),
    errno.ECONNRESET: phrase("Connection reset by peer"),
    errno.ENETUNREACH: phrase("Network is unreachable"),
    errno.EHOSTUNREACH: phrase("No route to host"),
    errno.ETIMEDOUT: phrase("Connection timed out"),
}


def _why(cause: BaseException) -> str:
    """What the system said, such as ``Connection refused``; the library's kind of error where it said nothing."""
    seen: BaseException | None = cause
    while seen is not None:
        system = getattr(seen, "os_error", seen)
        if isinstance(system, socket.gaierror):
            return phrase("its name is not known")
        if isinstance(system, OSError) and system.errno is not None and system.errno in errno.errorcode:
            return _SAID.get(system.errno, os.strerror(system.errno))
        seen = seen.__cause__
    return type(cause).__name__


# A larger body goes in pieces: each is encrypted by itself, and other requests have their turn in between.
_PIECE_BYTES = 256 * 1024
# The heads of segments, and of all of them, are read in parts of so many.
_HEAD_BYTES = 4096


def _signed(body: SignedBody | StreamedBody | None) -> SignedBody | ProvenBody | None:
    return ProvenBody(body.content_type) if isinstance(body, StreamedBody) else body


def _data(body: SignedBody | StreamedBody | None) -> bytes | AsyncIterator[Buffer] | None:
    if isinstance(body, StreamedBody):
        return body.parts()
    if body is None or len(body.content) <= _PIECE_BYTES:
        return None if body is None else body.content
    return _pieces(body.content)


def _content(body: SignedBody | StreamedBody | None) -> bytes:
    return body.content if isinstance(body, SignedBody) else b""


async def _parts(body: SignedBody | StreamedBody | None) -> AsyncGenerator[Buffer]:
    if isinstance(body, StreamedBody):
        async for part in body.parts():
            yield part
    elif content := _content(body):
        yield content


def _length(body: SignedBody | StreamedBody | None) -> dict[str, str]:
    """What pieces do not say by themselves."""
    if isinstance(body, StreamedBody):
        return {"Content-Length": str(body.length)}
    return {} if body is None or len(body.content) <= _PIECE_BYTES else {"Content-Length": str(len(body.content))}


async def _pieces(content: bytes) -> AsyncIterator[memoryview]:
    whole = memoryview(content)
    for at in range(0, len(whole), _PIECE_BYTES):
        yield whole[at : at + _PIECE_BYTES]


class BlockingClient:
    """The same client for a thread without an event loop, such as the one of the directory's library.

    It keeps a loop of its own, which runs while a call waits: so no other loop can keep it waiting, and ending this
    thread never waits for another loop. One thread at a time; connections stay open between calls.
    """

    def __init__(self, server: Server, requester: Requester, reach: Reach = Reach()) -> None:
        self.server = server
        self._requester = requester
        self._reach = reach
        self._runner = asyncio.Runner()
        self._client: SignedClient | None = None

    def run(self, ask: Callable[[SignedClient], Awaitable[T]]) -> T:
        """What ``ask`` makes of the client; raises what it raises."""
        answers: list[T] = []

        async def asked() -> None:
            # Not returned: the standard library writes out in full what a task returned, twice a call in the main
            # thread, where it puts the handler of Ctrl-C back (CPython 3.11, ``signal.signal`` over ``Runner.run``).
            answers.append(await self._asked(ask))

        self._runner.run(asked())
        return answers[0]

    def close(self) -> None:
        """Close the connections and the loop."""
        try:
            if self._client is not None:
                self._runner.run(self._client.close())
        finally:
            self._runner.close()

    async def _asked(self, ask: Callable[[SignedClient], Awaitable[T]]) -> T:
        if self._client is None:
            self._client = SignedClient(self.server, self._requester, self._reach)
        return await ask(self._client)

"""Who makes a request: an RFC 9421 signature by a key of the directory, fresh, for this server, seen once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from keys.directory.cards import Function, NodeCard
from keys.directory.view import Directory
from node.http.nonces import NonceJournal
from node.peers.directory import DirectoryService
from protocol.address import Address
from protocol.crypto.signing import Ed25519Verifier
from protocol.errors import (
    ForbiddenError,
    UnauthenticatedError,
    UnavailableError,
    UnknownContactPointError,
    UnknownKeyError,
    UnknownNodeError,
)
from protocol.http.signature import AuthenticatedRequest, KeyRef, verify_head

_SINGLE = ("signature", "signature-input", "content-type", "content-digest")
_UNKNOWN = (UnknownKeyError, UnknownContactPointError, UnknownNodeError)
# Requests that wait for news of the directory: of all who are not known here yet, and of one network of them.
MAX_NEWCOMERS = 16
MAX_NEWCOMERS_PER_NETWORK = 4


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed the request, with an active card. Exactly one of ``desk`` and ``peer`` is set.

    ``served_by`` is the node that keeps the desk's mailbox now. :mod:`node.log.entry_access` says what an auditor may
    see.
    """

    holder: str
    desk: Address | None
    peer: str | None
    functions: tuple[Function, ...] = ()
    served_by: str | None = None


@dataclass(frozen=True, slots=True)
class SignedCall:
    """What of a request is known before its body is read. ``headers`` are the fields as they came, repeats included;
    ``network`` is where it came from."""

    method: str
    authority: str
    target: str
    headers: Iterable[tuple[str, str]]
    has_body: bool
    network: str


class Authorities:
    """The forms ``host[:port]`` under which this node is reached: by its card, its settings, and where it listens."""

    def __init__(self, node: str, configured: Iterable[str]) -> None:
        self._node = node
        self._configured = frozenset(configured)
        self._bound: frozenset[str] = frozenset()
        self._on_card: frozenset[str] = frozenset()
        self.names: frozenset[str] = frozenset()

    def add_bound(self, address: str) -> None:
        """The node listens there too."""
        self._bound |= {address}
        self._make()

    def note(self, directory: Directory) -> None:
        """The directory is this one now."""
        node = self._node
        urls = directory.node(node).urls if directory.has_node(node) else ()
        self._on_card = frozenset(url.removeprefix("https://") for url in urls)
        self._make()

    def _make(self) -> None:
        names = {name.lower() for name in self._bound | self._configured | self._on_card}
        self.names = frozenset(names | {name.removesuffix(":443") for name in names})


class Authenticator:
    """Verifies requests to one node. ``authorities`` are the ``host[:port]`` forms under which this node is reached:
    a request that was signed for another server must not count here."""

    def __init__(
        self,
        node: str,
        directory: DirectoryService,
        nonces: NonceJournal,
        authorities: Callable[[], frozenset[str]],
        clock: Callable[[], datetime],
    ) -> None:
        self._node = node
        self._directory = directory
        self._nonces = nonces
        self._authorities = authorities
        self._clock = clock
        self._newcomers: Counter[str] = Counter()

    async def authenticate(self, call: SignedCall) -> tuple[Caller, AuthenticatedRequest]:
        """The caller, by the request's head alone; raises what is wrong with it (401, 403, 409, 503).

        A caller that is known here never waits for anybody else. The body is still to be judged by ``require_body``.
        """
        headers = single_fields(call.headers)
        if "signature-input" not in headers or "signature" not in headers:
            raise UnauthenticatedError("the request is not signed")
        if call.authority.lower() not in self._authorities():
            raise UnauthenticatedError("the request was made for another server than this node")
        url = f"https://{call.authority}{call.target}"

        def verified() -> AuthenticatedRequest:
            return verify_head(call.method, url, headers, self._clock(), self._key, has_body=call.has_body)

        try:
            request = verified()
        except _UNKNOWN:
            with self._newcomer(call.network):
                request = await self._directory.with_fresh(verified)
        caller = self._caller(request.key_ref.holder)
        self._nonces.check(request, self._clock())
        return caller, request

    @contextmanager
    def _newcomer(self, network: str) -> Iterator[None]:
        """A place to wait for the directory; raises :class:`UnavailableError` when none is left."""
        waiting = self._newcomers
        if waiting.total() >= MAX_NEWCOMERS or waiting[network] >= MAX_NEWCOMERS_PER_NETWORK:
            raise UnavailableError("too many callers whom this node does not know wait for news of the directory")
        waiting[network] += 1
        try:
            yield
        finally:
            waiting[network] -= 1
            if not waiting[network]:
                del waiting[network]

    def _key(self, key: KeyRef) -> Ed25519Verifier:
        return self._directory.current.signing_key(key.holder, key.kid, self._clock())

    def _caller(self, holder: str) -> Caller:
        now = self._clock()
        card = self._directory.current.require_active(holder, now)
        if isinstance(card, NodeCard):
            return Caller(holder, None, card.node)
        return Caller(holder, card.address, None, card.functions, card.served_by(now))


def single_fields(headers: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """The fields that a signature needs, by lower-case name; raises :class:`UnauthenticatedError` if repeated."""
    fields: dict[str, str] = {}
    for given, value in headers:
        name = given.lower()
        if name not in _SINGLE:
            continue
        if name in fields:
            raise UnauthenticatedError(f"the request has more than one {name} field")
        fields[name] = value
    return fields


def require_desk(own_node: str, caller: Caller) -> Address:
    """The caller as a desk that this node serves and that exchanges messages; raises :class:`ForbiddenError`."""
    if caller.desk is None or caller.served_by != own_node:
        raise ForbiddenError(f"this is for contact points that {own_node} serves")
    if Function.EXCHANGE not in caller.functions:
        raise ForbiddenError(f"{caller.desk} does not exchange messages")
    return caller.desk


def require_partner(own_node: str, caller: Caller) -> str:
    """The caller as another node; raises :class:`ForbiddenError`."""
    if caller.peer is None or caller.peer == own_node:
        raise ForbiddenError("this is for partner nodes")
    return caller.peer

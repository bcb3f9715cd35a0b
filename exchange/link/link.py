"""A desk's way to the nodes: their clients, and the directory that says who and where they are.

The directory is fetched anew when that is due, when a node shows a certificate that is not on its card, and when
somebody was looked up whose nation was not read yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from exchange.context.desk_context import DeskContext
from exchange.context.worker import InThread
from exchange.link.directory import DeskDirectory
from keys.directory.view import Directory
from keys.transport.signing import Requester
from protocol.crypto.signing import Signer
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import (
    CertificateUnknownError,
    ComityError,
    DirectoryUnavailableError,
    DirectoryUntrustedError,
    UnavailableError,
    UnknownNodeError,
)

if TYPE_CHECKING:
    from exchange.link.client import NodeClient

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NodeStanding:
    """Whether the own node answers: when it did last, and since when it does not (None: it does, or was not asked)."""

    reached_at: datetime | None = None
    failing_since: datetime | None = None


_REFRESHED = b"refreshed"


class NodeLink:
    """The clients and the directory of one desk. Event loop only. ``lean``: as the clients have it."""

    def __init__(
        self, context: DeskContext, trust: DeskDirectory, directory_thread: InThread, *, lean: bool = False
    ) -> None:
        self._lean = lean
        self._address = context.address
        self._settings = context.settings
        self._signer = context.signer
        self._store = context.store
        self._clock = context.clock
        self._thread = context.in_thread
        self._background = context.background
        self._desk_directory = trust
        self._directory_thread = directory_thread
        self._clients: dict[str, NodeClient] = {}
        self._signs_with: Signer | None = None  # the key of all clients
        self._refreshing = asyncio.Lock()
        self.standing = NodeStanding()

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.close()

    # --- The directory ---

    @property
    def directory(self) -> Directory:
        """The last verified directory."""
        return self._desk_directory.current

    @property
    def own_node(self) -> str:
        """The node that serves this desk now, by the directory."""
        return self._desk_directory.own_node

    async def with_trust(self, work: Callable[[DeskDirectory], T]) -> T:
        """What ``work`` makes of the directory's files, in the thread that keeps them."""
        return await self._directory_thread(lambda: work(self._desk_directory))

    async def refresh(self, *, everything: bool = False) -> Directory:
        """Fetch and verify the directory, ``everything`` of it or the nations in use; raises what kept it from that."""
        async with self._refreshing:
            directory = await self._directory_thread(lambda: self._desk_directory.refresh(everything=everything))
        refreshed = to_ms(self._clock()).to_bytes(8, "big")
        await self._thread(lambda: self._store.state.set(_REFRESHED, refreshed))
        return directory

    async def refresh_if_due(self) -> None:
        """Refresh when the settings say so; raises what keeps the node from being asked at all.

        Another program of this desk may have done it: then what that one verified is loaded.
        """
        if self._desk_directory.changed():
            async with self._refreshing:
                with suppress(DirectoryUntrustedError):  # the present one stays in use
                    await self._directory_thread(self._desk_directory.load)
        stored = await self._thread(lambda: self._store.state.get(_REFRESHED))
        due = timedelta(seconds=self._settings.directory_refresh_s)
        if stored is None or self._clock() - from_ms(int.from_bytes(stored, "big")) >= due:
            await self._try_refresh()

    async def take(self, files: Mapping[str, bytes]) -> bool:
        """Verify and keep directory files that a bundle brought; False when they are refused."""
        try:
            async with self._refreshing:
                await self._directory_thread(lambda: self._desk_directory.install(files))
        except (DirectoryUntrustedError, DirectoryUnavailableError):
            return False
        return True

    async def load_unread(self) -> None:
        """Read the nations whose files are here and were not read, if there are any."""
        if self.directory.unread:
            async with self._refreshing:
                await self._directory_thread(self._desk_directory.load_everything)

    async def _try_refresh(self) -> bool:
        """Refresh the directory; False, with the present one still in use, when it cannot be had or trusted.

        An unreachable node is raised by whatever asks it next.
        """
        try:
            await self.refresh()
        except DirectoryUntrustedError:
            return False
        except ComityError as problem:
            if problem.retryable:
                raise
            return False
        return True

    async def renewed(self, directory: Directory) -> bool:
        """Refresh; True when there is another directory than ``directory`` now. Raises as :meth:`refresh_if_due`."""
        return await self._try_refresh() and self.directory is not directory

    async def widened(self) -> bool:
        """Read the nations that were looked up and not read; True when there were any."""
        return self._desk_directory.lacks and await self.renewed(self.directory)

    # --- Judgements by it ---

    async def judged(self, judge: Callable[[Directory], T]) -> T:
        """What ``judge`` makes of a directory in which nothing that it looks up is unread."""
        while True:
            try:
                result = judge(self.directory)
            except UnknownNodeError:
                if not await self.widened():
                    raise
            else:
                if not await self.widened():
                    return result

    async def settled(self, judge: Callable[[bool], T | None]) -> T:
        """What ``judge(final)`` says in the desk's thread when no newer or wider directory could change it.

        It says None when one could, and then stores nothing. Asked for the ``final`` verdict, it always gives one.
        """
        final = False
        while True:
            directory = self.directory
            verdict = await self._thread(partial(judge, final))
            if verdict is not None:
                return verdict
            final = not await self.renewed(directory)

    # --- The nodes ---

    async def ask(self, ask: Callable[[NodeClient], Awaitable[T]]) -> T:
        """Ask the own node; once more, with a new directory, when it shows a certificate that is not on its card."""
        try:
            answer = await self._ask(ask)
        except UnavailableError:
            self.standing = replace(self.standing, failing_since=self.standing.failing_since or self._clock())
            raise
        self.standing = NodeStanding(self._clock())
        return answer

    async def _ask(self, ask: Callable[[NodeClient], Awaitable[T]]) -> T:
        try:
            return await ask(self.client(self.own_node))
        except CertificateUnknownError:
            if not await self._try_refresh():
                raise
            return await ask(self.client(self.own_node))

    def client(self, node: str) -> NodeClient:
        """The client of a node; raises :class:`UnknownNodeError`; :class:`UnavailableError` for a desk by bundles."""
        if self._settings.transport == "file":
            raise UnavailableError("this desk reaches its node by bundles only")
        route = self._desk_directory.route(node)
        if self._signs_with is not self._signer.now:
            self._signs_with = self._signer.now
            for outdated in self._clients.values():
                self._background.start(outdated.close())
            self._clients.clear()
        client = self._clients.get(node)
        if client is None or client.server != route:
            if client is not None:
                self._background.start(client.close())
            from exchange.link.client import NodeClient

            requester = Requester(str(self._address), self._signs_with, self._clock)
            client = self._clients[node] = NodeClient(
                route, requester, timeout_s=self._settings.request_timeout_s, lean=self._lean
            )
        return client

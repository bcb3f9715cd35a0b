"""The directory of a running node: load it, refresh it from a folder or from other nodes, serve what was verified.

Refreshing is blocking work of the TUF client: it runs in a thread. A refresh that fails leaves the directory in use.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from keys.directory.client import DirectoryClient
from keys.directory.mirror import mirror
from keys.directory.repository import MetadataRepository
from keys.directory.view import Directory
from node.disk_errors import Report, unreported
from node.logging import Log
from node.metrics import Metrics
from protocol.errors import (
    ComityError,
    DirectoryUnavailableError,
    NotFoundError,
    NotOnRouteError,
    UnavailableError,
    UnknownContactPointError,
    UnknownKeyError,
    UnknownNodeError,
)

# Whoever names an unknown key makes us ask for news: not more often than this.
MIN_INTERVAL_S = 2.0

T = TypeVar("T")


class Source(Protocol):
    """Where directory files come from. ``fetch`` is called from a thread."""

    @property
    def name(self) -> str:
        """For the log."""

    def fetch(self, name: str) -> bytes:
        """The file; raises ``NotFoundError`` when the source has none of that name, else any typed error."""


class FolderSource:
    """A folder that a ceremony publishes into, or that was carried here."""

    def __init__(self, path: Path) -> None:
        self.name = "folder"
        self.fetch = MetadataRepository(path).read


class FilesSource:
    """Directory files that came together, in a bundle."""

    def __init__(self, name: str, files: Mapping[str, bytes]) -> None:
        self.name = name
        self._files = files

    def fetch(self, name: str) -> bytes:
        """See :class:`Source`."""
        try:
            return self._files[name]
        except KeyError:
            raise NotFoundError(f"the bundle has no directory file {name}") from None


class DirectoryService:
    """The verified directory and its refreshing. Event loop only, but for the thread inside a refresh.

    ``sources(directory or None)`` names the sources to try, in order.
    """

    def __init__(
        self,
        folder: Path,
        trusted_root: bytes | None,
        served: MetadataRepository,
        sources: Callable[[Directory | None], Sequence[Source]],
        clock: Callable[[], datetime],
        metrics: Metrics,
        log: Log,
        *,
        report: Report = unreported,
    ) -> None:
        self._folder = folder
        self._report = report
        self.served = served
        self._source: Source | None = None
        self._client = DirectoryClient(folder, trusted_root, self._fetch)
        self._sources = sources
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._directory: Directory | None = None
        self._refreshing: asyncio.Task[bool] | None = None
        self._last_began = -MIN_INTERVAL_S
        self._fresh_as_of = float("-inf")
        self.listeners: list[Callable[[Directory], None]] = []

    @property
    def current(self) -> Directory:
        """The last verified directory; raises :class:`DirectoryUnavailableError` before there is one."""
        if self._directory is None:
            raise DirectoryUnavailableError("this node has no directory yet")
        return self._directory

    async def start(self) -> None:
        """Load what was verified last, also if it expired; else fetch. Raises when neither gives a directory."""
        try:
            self._take(await asyncio.to_thread(self._client.load, self._clock(), allow_expired=True))
        except DirectoryUnavailableError:
            if not await self.refresh():
                raise DirectoryUnavailableError("no source has a directory that verifies") from None
        else:
            await self.refresh()

    def close(self) -> None:
        """Let the folder go."""
        self._client.close()

    async def run(self, interval_s: float) -> None:
        """Refresh for ever, every ``interval_s`` seconds; quickly again while the directory is missing."""
        while True:
            await asyncio.sleep(interval_s)
            await self.refresh()

    async def refresh(self) -> bool:
        """Refresh now, or join the refresh under way; True if one source gave a directory that verifies."""
        if self._refreshing is None:
            self._begin(self._sources(self._directory))
        return await self._joined()

    async def refresh_from(self, source: Source) -> bool:
        """Refresh from this source alone; True if it gave a directory that verifies."""
        while self._refreshing is not None:
            await self._joined()
        self._begin((source,))
        return await self._joined()

    async def files(self) -> dict[str, bytes]:
        """Every file of the verified directory by its published name; raises :class:`DirectoryUnavailableError`."""
        while self._refreshing is not None:
            await self._joined()
        try:
            return await asyncio.to_thread(self._client.files)
        except OSError as problem:
            raise DirectoryUnavailableError("the verified directory cannot be read") from problem

    def _begin(self, sources: Sequence[Source]) -> None:
        self._refreshing = asyncio.create_task(self._refresh(sources), name="directory-refresh")
        self._refreshing.add_done_callback(self._finished)

    async def _joined(self) -> bool:
        return self._refreshing is not None and await asyncio.shield(self._refreshing)

    async def with_fresh(self, look_up: Callable[[], T], since: float | None = None) -> T:
        """``look_up()``; if it meets something unknown, once more after a refresh.

        A refresh that began after ``since`` (``time.monotonic()``, now if None) is fresh enough. Refreshes are at least
        :data:`MIN_INTERVAL_S` apart: who comes in between waits for the next one. When no source could be asked, what
        is unknown may only be unknown here: :class:`UnavailableError`, to be retried.
        """
        since = time.monotonic() if since is None else since
        try:
            return look_up()
        except (UnknownKeyError, UnknownContactPointError, UnknownNodeError, NotOnRouteError) as problem:
            if self._fresh_as_of < since and not await self._refresh_since(since):
                if isinstance(problem, UnknownKeyError):
                    raise
                raise UnavailableError(f"{problem.detail}, but the directory here may be an old one") from problem
        return look_up()

    # --- Inside ---

    def _finished(self, task: asyncio.Task[bool]) -> None:
        self._refreshing = None

    async def _refresh_since(self, since: float) -> bool:
        if self._refreshing is not None:
            await asyncio.shield(self._refreshing)
            if self._fresh_as_of >= since:
                return True
        if self._last_began >= since:
            return self._fresh_as_of >= since  # it was tried since then: once for all that came together
        wait_s = self._last_began + MIN_INTERVAL_S - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        if self._fresh_as_of >= since:
            return True
        return await self.refresh()

    def _fetch(self, name: str) -> bytes:
        if self._source is None:
            raise DirectoryUnavailableError("there is no source of the directory")
        return self._source.fetch(name)

    async def _refresh(self, sources: Sequence[Source]) -> bool:
        began = self._last_began = time.monotonic()
        for source in sources:
            self._source = source
            try:
                directory = await asyncio.to_thread(mirror, self._client, self.served, self._clock())
            except (ComityError, OSError) as problem:
                code = problem.code if isinstance(problem, ComityError) else type(problem).__name__
                self._log.warning("directory-source-failed", source=source.name, code=code)
                continue
            self._fresh_as_of = began
            self._take(directory)
            return True
        self._metrics.directory_refresh_failures.inc()
        return False

    def _take(self, directory: Directory) -> None:
        if directory is self._directory:
            return
        self._directory = directory
        self._metrics.directory_version.set(directory.version)
        self._metrics.directory_expires.set(directory.expires_at.timestamp())
        self._metrics.directory_nations_left_out.set(len(directory.problems))
        self._log.info("directory", version=directory.version, count=len(directory.nodes()))
        for listener in self.listeners:
            listener(directory)

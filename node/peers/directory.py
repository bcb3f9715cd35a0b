"""The directory of a running node: load it, refresh it from a folder or from other nodes, serve what was verified.

Several sources are asked for their timestamp at once, and the newest that verifies is taken
(:mod:`keys.directory.metadata.offers`): one source that is old but valid cannot keep the others' news from this node.
The log, the metrics and ``/health`` name the sources that disagree.

Refreshing is blocking work of the TUF client: it runs in a thread. A refresh that fails leaves the directory in use.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from keys.directory.metadata.client import DirectoryClient
from keys.directory.metadata.mirror import mirror
from keys.directory.metadata.offers import Disagreement, Offer, disagreement, newest_first
from keys.directory.metadata.repository import TIMESTAMP_NAME, MetadataRepository
from keys.directory.view import Directory
from node.operations.logging import Log
from node.operations.metrics import Metrics
from node.store.disk_errors import Report, unreported
from protocol.errors import (
    ComityError,
    DirectoryUnavailableError,
    NotAdmittedError,
    NotFoundError,
    NotOnRouteError,
    UnavailableError,
    UnknownContactPointError,
    UnknownKeyError,
    UnknownNodeError,
)

# Once one source answered, the others get so long; a source that is silent delays nobody.
GRACE_S = 2.0
# After so long every source should have what this node has.
BEHIND_AFTER_S = 900.0
_THREADS = 8
# A caller that names an unknown key makes us ask for news: not more often than this.
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


def own_disk(problem: BaseException) -> bool:
    """Whether this node's own disk refused, and not the source."""
    return isinstance(problem, OSError) or isinstance(problem.__cause__, OSError)


def _code(problem: BaseException) -> str:
    return problem.code if isinstance(problem, ComityError) else type(problem).__name__


@dataclass(frozen=True, slots=True)
class DirectoryHome:
    """Where a node keeps the directory: what it verified, the root it trusted first, and what it serves of it."""

    folder: Path
    trusted_root: bytes | None
    served: MetadataRepository


class DirectoryService:
    """The verified directory and its refreshing. Event loop only, but for the thread inside a refresh.

    ``sources(directory or None)`` names the sources to ask, the preferred ones first.
    """

    def __init__(
        self,
        home: DirectoryHome,
        sources: Callable[[Directory | None], Sequence[Source]],
        clock: Callable[[], datetime],
        metrics: Metrics,
        log: Log,
        *,
        report: Report = unreported,
    ) -> None:
        self._folder = home.folder
        self._report = report
        self.served = home.served
        self._source: Source | None = None
        self._client = DirectoryClient(home.folder, home.trusted_root, self._fetch, unused=self._archive_unused)
        self._sources = sources
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._directory: Directory | None = None
        # Threads of its own: sources that do not answer must keep nothing else waiting.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="directory")
        self._asking: dict[str, asyncio.Future[Offer]] = {}
        self._refusals: dict[str, ComityError] = {}  # by source: why it gave no timestamp
        self._taken_at = 0.0  # monotonic: since when the present version is known here
        self._disagreeing: dict[str, Disagreement] = {}
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
                raise self._why_none() from None
        else:
            await self.refresh()

    def close(self) -> None:
        """Let the folder go."""
        self._client.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def disagreeing(self) -> dict[str, Disagreement]:
        """The sources that disagree with the verified directory, and how."""
        return dict(self._disagreeing)

    async def run(self, interval_s: float) -> None:
        """Refresh for ever, every ``interval_s`` seconds; quickly again while the directory is missing."""
        while True:
            await asyncio.sleep(interval_s)
            await self.refresh()

    async def refresh(self) -> bool:
        """Refresh now, or join the refresh under way; True if one source gave a directory that verifies."""
        return await asyncio.shield(self._under_way or self._begin(self._sources(self._directory)))

    async def refresh_from(self, source: Source) -> bool:
        """Refresh from this source alone; True if it gave a directory that verifies."""
        while (refresh := self._under_way) is not None:
            await asyncio.shield(refresh)
        return await asyncio.shield(self._begin((source,)))

    async def files(self) -> dict[str, bytes]:
        """Every file of the verified directory by its published name; raises :class:`DirectoryUnavailableError`."""
        while (refresh := self._under_way) is not None:
            await asyncio.shield(refresh)
        try:
            return await asyncio.to_thread(self._client.files)
        except OSError as problem:
            raise DirectoryUnavailableError("the verified directory cannot be read") from problem

    @property
    def _under_way(self) -> asyncio.Task[bool] | None:
        """The refresh that runs, asked of the task itself.

        A callback of its end runs one turn of the loop after the end. Waiting in a loop until such a callback ran never
        ends, and stops the whole node: waiting for a task that is over gives no turn to anyone.
        """
        return None if self._refreshing is None or self._refreshing.done() else self._refreshing

    def _begin(self, sources: Sequence[Source]) -> asyncio.Task[bool]:
        self._refreshing = asyncio.create_task(self._refresh(sources), name="directory-refresh")
        return self._refreshing

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

    async def _refresh_since(self, since: float) -> bool:
        if (refresh := self._under_way) is not None:
            await asyncio.shield(refresh)
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

    def _archive_unused(self, nation: str) -> None:
        """A source's archive of a nation is not what was signed; its files are fetched one by one."""
        source = self._source.name if self._source is not None else None
        self._log.warning("directory-archive-unused", source=source, partner=nation)

    async def _refresh(self, sources: Sequence[Source]) -> bool:
        began = self._last_began = time.monotonic()
        by_name = {source.name: source for source in sources}
        offers = newest_first(await self._offers(list(by_name.values())))
        taken = False
        for offer in offers:
            current = self._directory
            if taken and current is not None and offer.version <= current.version:
                break
            problem = await self._refresh_from(by_name[offer.name])
            if problem is None:
                taken = True
                self._fresh_as_of = began
            elif own_disk(problem):
                break  # another source would not help
            else:
                self._log.warning("directory-source-failed", source=offer.name, code=_code(problem))
        self._compare(offers)
        if not taken:
            self._metrics.directory_refresh_failures.inc()
        return taken

    async def _refresh_from(self, source: Source) -> ComityError | OSError | None:
        """Verify and install what the source has; the problem, if there is one."""
        self._source = source
        work = functools.partial(mirror, self._client, self.served, self._clock())
        try:
            directory = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (ComityError, OSError) as problem:
            if own_disk(problem):
                self._report(self._folder, problem, "writing")
            return problem
        self._report(self._folder, None, "writing")
        self._take(directory)
        return None

    async def _offers(self, sources: Sequence[Source]) -> list[Offer]:
        """What the sources claim to have, as far as they say so in time."""
        loop = asyncio.get_running_loop()
        for source in sources:
            if source.name not in self._asking:
                asked = loop.run_in_executor(self._threads, self._offer, source)
                asked.add_done_callback(functools.partial(self._answered, source.name))
                self._asking[source.name] = asked
        waiting = {self._asking[source.name] for source in sources}
        answered: set[asyncio.Future[Offer]] = set()
        while waiting and not any(done.result().signed is not None for done in answered):
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            answered |= done
        if waiting:
            answered |= (await asyncio.wait(waiting, timeout=GRACE_S))[0]
        by_name = {offer.name: offer for offer in (done.result() for done in answered)}
        return [by_name[source.name] for source in sources if source.name in by_name]

    def _answered(self, name: str, _: asyncio.Future[Offer]) -> None:
        self._asking.pop(name, None)

    def _offer(self, source: Source) -> Offer:
        """What the source claims; runs in a thread."""
        try:
            offer = Offer.of(source.name, source.fetch(TIMESTAMP_NAME))
        except (ComityError, OSError) as problem:
            error = problem if isinstance(problem, ComityError) else DirectoryUnavailableError(str(problem))
            if self._refusals.get(source.name) is None or self._refusals[source.name].code != error.code:
                self._log.warning("directory-source-failed", source=source.name, code=error.code)
            self._refusals[source.name] = error
            return Offer(source.name)
        self._refusals.pop(source.name, None)
        return offer

    def _why_none(self) -> ComityError:
        """Why there is no directory at all."""
        unknown = (UnknownKeyError, UnknownNodeError, UnknownContactPointError)
        for problem in self._refusals.values():
            if isinstance(problem, unknown):
                # The only key and holder in such a request are this node's own.
                return NotAdmittedError("the directory of the first node does not have this node yet")
        if self._refusals:
            name, problem = next(iter(self._refusals.items()))
            return DirectoryUnavailableError(f"no source has a directory that verifies; {name}: {problem.detail}")
        return DirectoryUnavailableError("no source has a directory that verifies")

    def _compare(self, offers: Sequence[Offer]) -> None:
        """Name the sources that disagree with what is verified; each once, until it agrees again."""
        current = self._directory
        if current is None:
            return
        settled = time.monotonic() - self._taken_at > BEHIND_AFTER_S
        for offer in offers:
            how = disagreement(offer, current.version, current.digest, settled=settled)
            before = self._disagreeing.pop(offer.name, None)
            if before is not None and before is not how:
                self._metrics.directory_disagreement.labels(offer.name, before.value).set(0)
            if how is not None:
                self._disagreeing[offer.name] = how
                self._metrics.directory_disagreement.labels(offer.name, how.value).set(1)
                if how is not before:
                    self._log.error("directory-source-disagrees", source=offer.name, code=how.value)

    def _take(self, directory: Directory) -> None:
        if directory is self._directory:
            return
        if self._directory is None or directory.version != self._directory.version:
            self._taken_at = time.monotonic()
        self._directory = directory
        self._metrics.directory_version.set(directory.version)
        self._metrics.directory_expires.set(directory.expires_at.timestamp())
        self._metrics.directory_nations_left_out.set(len(directory.problems))
        self._log.info("directory", version=directory.version, count=len(directory.nodes()))
        for listener in self.listeners:
            listener(directory)

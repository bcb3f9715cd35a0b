"""A running node: its parts wired together, its two listeners, its background tasks, and how it stops."""

from __future__ import annotations

import asyncio
import errno
import ssl
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from keys.directory.metadata.repository import MetadataRepository
from keys.directory.view import Directory
from keys.members.bootstrap import BootstrapFile
from keys.members.identity import tls_identity
from keys.secrets.keystore import Keystore, Purpose
from keys.transport.tls import server_context
from node.http.admin import build_admin
from node.http.app import build_app
from node.http.authentication import Authenticator
from node.http.connections import Connections
from node.http.context import Context
from node.http.control import build_control, listen_control
from node.http.descriptors import raise_limit
from node.http.listener import Listener
from node.http.nonces import NonceJournal
from node.http.refusals import SERVER
from node.http.sockets import listening_sockets
from node.log import retention as log_retention
from node.log.clock import ClockWatch, boot_seconds
from node.log.files import LogFiles
from node.log.marks import LogMarks
from node.log.sequencer import Sequencer, utc_now
from node.monitor.gossip import Gossip
from node.monitor.monitor import Monitor
from node.monitor.proof_files import ProofFiles
from node.operations.disk import Disk
from node.operations.expiry_watch import ExpiryWatch
from node.operations.limits import Room, TokenBuckets
from node.operations.logging import Log, make_log, quiet_libraries
from node.operations.metrics import Metrics
from node.peers.client import Identity, Partners, PartnerSource
from node.peers.directory import DirectoryService, FolderSource, Source
from node.recovery.confirmation import LogConfirmation, askable
from node.relay import expiry
from node.relay.delivery import Delivery
from node.relay.intake import Intake
from node.relay.offline import OfflineExchange
from node.relay.outcomes import Outcomes, PartnerReceiptJudge
from node.relay.pull import Puller
from node.settings import NodeHome, NodeSettings, split_host_port
from node.store.interface import Failed, RecordDirectory
from node.store.sqlite.store import SqliteStore
from node.witness.cosignatures import Cosignatures
from node.witness.gateway import WitnessGateway
from node.witness.witness import Witness
from protocol.errors import ComityError, DirectoryUnavailableError, SettingsError, UnavailableError
from protocol.http.problem import is_final

Work = Callable[[], Coroutine[Any, Any, None]]

_MAX_SOURCES = 6
_LOG_AGAIN_S = 5.0
# So long a background task rests after an error that passes, before it begins again: twice as long each time, up to the
# second.
_AGAIN_S = 1.0
_MOST_REST_S = 30.0
_ADMIN_CONNECTIONS = 32
_TOO_MANY_BYTES = "too many bytes from this caller; send less, or later"
_TOO_MANY_FAILED = "too many requests that failed from this network; slow down"


class Node:
    """One node. ``open`` returns when its parts are ready, ``start`` when it also serves, ``stop`` when everything
    accepted is written and closed.

    While no partner has confirmed how far the log went (:mod:`node.recovery.confirmation`), it signs nothing, and
    serves only the directory and what it saw of others' logs. ``failed`` is set when a background task ended although
    it should not; ``failure`` says why, when that is known.
    """

    def __init__(
        self,
        home: NodeHome,
        settings: NodeSettings,
        keystore: Keystore,
        *,
        clock: Callable[[], datetime] = utc_now,
        elapsed: Callable[[], float] = boot_seconds,
        log: Log | None = None,
        without_witnesses: bool = False,
    ) -> None:
        self._home = home
        self._settings = settings
        self._keystore = keystore
        self._clock = clock
        self._elapsed = elapsed
        self.log = log or make_log(settings.node, settings.log_level)
        self.metrics = Metrics()
        self.disk = Disk(self.metrics, self.log)
        self.url = ""
        self.admin_url = ""
        self.failed = asyncio.Event()
        self.failure: ComityError | None = None
        self._without_witnesses = without_witnesses
        self._descriptors = raise_limit()
        self._directory_changed = asyncio.Event()
        self._bound: frozenset[str] = frozenset()
        self._authorities: frozenset[str] = frozenset()
        self._tasks: list[asyncio.Task[None]] = []
        self._stack = AsyncExitStack()
        self.files: LogFiles
        self.context: Context
        self.bundles: OfflineExchange
        self._partners: Partners
        self._confirmation: LogConfirmation

    async def start(self) -> None:
        """Open everything, then listen; what was opened is closed again if a later step fails. Raises typed errors."""
        await self.open()
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def open(self) -> None:
        """:meth:`open_unsigned`, then let the log sign if nothing speaks against it. Raises typed errors."""
        await self.open_unsigned()
        try:
            await self._confirmation.begin(ask=self._asks_witnesses())
        except BaseException:
            await self.stop()
            raise

    async def open_unsigned(self) -> None:
        """Open the parts, without listening or asking anybody but the directory's sources; nothing can be signed yet.

        Raises typed errors.
        """
        quiet_libraries()
        self._home.require_private()
        LogMarks(self._home.path).require_here()
        try:
            await self._open()
        except BaseException:
            await self.stop()
            raise

    def _asks_witnesses(self) -> bool:
        settings = self._settings
        if settings.offline or not settings.log.ask_witnesses_at_start:
            return False
        if self._without_witnesses:
            self.log.warning("started-without-witnesses")
        return not self._without_witnesses

    async def _open(self) -> None:
        settings, home = self._settings, self._home
        identity = Identity(settings.node, self._keystore.signer(Purpose.HTTP), self._clock)
        self.files = LogFiles.of(home, settings, self._keystore)
        self.clock_watch = ClockWatch(self._clock, self._elapsed, self.files.memory, self.metrics, self.log)
        sequencer, store = await self._open_log()
        directory = self._open_directory()
        partners = Partners(
            identity,
            lambda: self._directory_or_none(directory),
            self._bundle(),
            settings.delivery.timeout_s,
            self.clock_watch.heard,
            settings.allow_networks,
        )
        self._stack.push_async_callback(partners.close)
        self._partners = partners
        directory.listeners.append(self._note_authorities)
        directory.listeners.append(lambda _: self._directory_changed.set())
        await directory.start()
        monitor = Monitor(
            settings.node,
            home.monitor,
            lambda: directory.current,
            partners,
            store,
            sequencer,
            self._clock,
            self.metrics,
            self.log,
            ProofFiles(home.misbehaviour, self.disk),
            report=self.disk,
        )
        exchange = Gossip(settings.node, lambda: directory.current, partners, store, monitor, self.metrics, self.log)
        judge = PartnerReceiptJudge(lambda: directory.current, monitor)
        outcomes = Outcomes(
            settings.node, sequencer, judge, monitor, settings.delivery, self._clock, self.metrics, self.log
        )
        self._confirmation = LogConfirmation(sequencer, self.files, partners, self.askable, self.log, self.clock_watch)
        self.context = self._make_context(store, sequencer, directory, judge, outcomes, monitor, partners, exchange)
        self.bundles = OfflineExchange(self.context.relaying, identity.signer, home.bundles)

    async def _start(self) -> None:
        settings, directory, sequencer = self._settings, self.context.directory, self.context.sequencer
        self._stack.push_async_callback(self._stop_tasks)
        tls = tls_identity(self._keystore)
        await self._listen(server_context(tls.certificate, tls.key_pem))
        self._spawn("directory", lambda: directory.run(settings.directory.refresh_s))
        self._spawn("expiry-watch", self.context.expiry_watch.run)
        self._spawn("disk-watch", lambda: self._watch_disk(sequencer))
        if sequencer.held is None:
            self._work()
        else:
            again = self._again("assurance", self._confirmation.run, _of_the_system)
            asking = asyncio.create_task(again, name="assurance")
            asking.add_done_callback(self._assured)
            self._tasks.append(asking)
        self.log.info("started", version=directory.current.version)

    def _work(self) -> None:
        """Begin what a node does of itself, now that its log may be signed."""
        settings, context = self._settings, self.context
        store, sequencer = context.store, context.sequencer
        asked = self.askable if self._asks_witnesses() else list[str]
        self._spawn("clock-watch", lambda: self.clock_watch.run(asked, self._confirmation.ask_time))
        self._spawn("directory-log", lambda: self._log_directory(sequencer, context.directory))
        if not settings.offline:
            delivery = Delivery(
                store,
                sequencer,
                self._partners,
                context.outcomes,
                context.monitor,
                settings.delivery,
                self._clock,
                self.metrics,
                self.log,
            )
            self._spawn("delivery", delivery.run)
            self._spawn("pull", Puller(context.relaying, self._partners, settings.delivery).run)
            self._spawn("monitor", lambda: context.monitor.run(settings.delivery.monitor_s))
            self._spawn("cosignatures", lambda: context.gateway.run(settings.delivery.cosign_s))
            self._spawn("proof-exchange", lambda: context.gossip.run(settings.delivery.monitor_s))
        retention = timedelta(days=settings.retention_days)
        self._spawn(
            "housekeeping",
            lambda: expiry.run(
                store, sequencer, self._clock, settings.housekeeping_s, retention, self.metrics, self.log
            ),
        )
        if settings.log.retention_days is not None:
            kept = timedelta(days=settings.log.retention_days)
            self._spawn("log-retention", lambda: log_retention.run(store, sequencer, self._clock, kept, self.log))

    def _assured(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        problem = task.exception()
        if problem is None:
            self.log.info("log-confirmed")
            self._work()
        elif isinstance(problem, ComityError):
            self.log.error("log-refused", code=problem.code)
            self.failure = problem
            self.failed.set()
        else:
            self._ended(task)

    async def require_clock(self, partners: Sequence[str]) -> None:
        """Return if the clock may be believed, asking ``partners`` if that is needed; raises why it is not."""
        problem = await self.clock_watch.settle(partners, self._confirmation.ask_time)
        if problem is not None:
            raise problem

    @property
    def partners(self) -> Partners:
        """The clients of the partners."""
        return self._partners

    async def stop(self) -> None:
        """Stop taking requests, finish the open ones within the time-out, write what is pending, close. Idempotent."""
        await self._stack.aclose()
        self._stack = AsyncExitStack()

    # --- Parts -----------------------------------------------------------------------------------------------------

    async def _open_log(self) -> tuple[Sequencer, SqliteStore]:
        files = self.files
        store = files.store(self.disk)
        sequencer = Sequencer(
            store,
            files.signer,
            files.checkpoint,
            self._clock,
            memory=files.memory,
            report=self.disk,
            problem_with=self.clock_watch.problem_with,
        )
        await sequencer.open()
        self._stack.push_async_callback(sequencer.stop)
        return sequencer, store

    def askable(self) -> list[str]:
        """The partners that can be asked."""
        bundle = self._bundle()
        first = bundle.node if bundle is not None else None
        return askable(self._directory_or_none(self.context.directory), self._settings.node, first)

    def _open_directory(self) -> DirectoryService:
        bundle = self._bundle()
        service = DirectoryService(
            self._home.directory,
            bundle.root if bundle is not None else None,
            MetadataRepository(self._home.served),
            self._sources,
            self._clock,
            self.metrics,
            self.log,
            report=self.disk,
        )
        self._stack.callback(service.close)
        return service

    def _bundle(self) -> BootstrapFile | None:
        try:
            return BootstrapFile.from_bytes(self._home.bootstrap.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise SettingsError(f"cannot read {self._home.bootstrap}: {problem.strerror}") from problem

    def _sources(self, directory: Directory | None) -> Sequence[Source]:
        """The folder, the configured nodes, the first node, then the other partners, each once, some at most."""
        settings = self._settings.directory
        sources: list[Source] = []
        if settings.folder is not None:
            sources.append(FolderSource(self._home.path / settings.folder))
        bundle = self._bundle()
        if self._settings.offline:
            return sources
        first = [bundle.node] if bundle is not None else []
        own = self._settings.node
        relay = directory.node(own).relay if directory is not None and own in directory.nodes() else None
        if relay is not None:
            first.insert(0, relay)
        others = [node for node in directory.nodes() if directory.node(node).urls] if directory is not None else []
        loop = asyncio.get_running_loop()
        for node in dict.fromkeys([*settings.upstream, *first, *others]):
            if node != self._settings.node and len(sources) < _MAX_SOURCES:
                sources.append(PartnerSource(node, self._partners, loop))
        return sources

    @staticmethod
    def _directory_or_none(directory: DirectoryService) -> Directory | None:
        try:
            return directory.current
        except DirectoryUnavailableError:
            return None

    def _make_context(
        self,
        store: SqliteStore,
        sequencer: Sequencer,
        directory: DirectoryService,
        judge: PartnerReceiptJudge,
        outcomes: Outcomes,
        monitor: Monitor,
        partners: Partners,
        exchange: Gossip,
    ) -> Context:
        settings = self._settings
        cosignatures = Cosignatures(self._home.cosigned)
        gateway = WitnessGateway(
            self.files.signer.origin,
            cosignatures,
            lambda: directory.current,
            partners,
            store,
            settings.delivery,
            self._clock,
            self.metrics,
            self.log,
            report=self.disk,
        )
        witness = Witness(
            settings.node,
            self._keystore.witness_signer(),
            lambda: directory.current,
            store,
            sequencer,
            monitor,
            self._clock,
            self.metrics,
        )
        nonces = NonceJournal(self._home.nonces, self._clock(), self.disk)
        self._stack.callback(nonces.close)
        limits = settings.limits
        watch = ExpiryWatch(settings.node, lambda: directory.current, self._clock, self.metrics, self.log)
        return Context(
            node=settings.node,
            clock=self._clock,
            limits=limits,
            store=store,
            sequencer=sequencer,
            directory=directory,
            authenticator=Authenticator(settings.node, directory, nonces, lambda: self._authorities, self._clock),
            intake=Intake(settings.node, directory, sequencer, self._clock),
            judge=judge,
            outcomes=outcomes,
            monitor=monitor,
            witness=witness,
            cosignatures=cosignatures,
            gateway=gateway,
            gossip=exchange,
            expiry_watch=watch,
            disk=self.disk,
            clock_watch=self.clock_watch,
            desk_buckets=TokenBuckets(limits.desk_requests_per_s, limits.desk_burst),
            partner_buckets=TokenBuckets(limits.partner_requests_per_s, limits.partner_burst),
            desk_byte_buckets=TokenBuckets(limits.desk_bytes_per_s, limits.desk_bytes_burst, detail=_TOO_MANY_BYTES),
            partner_byte_buckets=TokenBuckets(
                limits.partner_bytes_per_s, limits.partner_bytes_burst, detail=_TOO_MANY_BYTES
            ),
            failure_buckets=TokenBuckets(limits.failures_per_s, limits.failures_burst, detail=_TOO_MANY_FAILED),
            requests=Room(limits.requests_at_once, limits.requests_per_key, "requests"),
            bodies=Room(limits.body_bytes_at_once, limits.body_bytes_per_key, "bytes of bodies"),
            connections=self._public_connections(),
            metrics=self.metrics,
            log=self.log,
        )

    # --- Listeners -------------------------------------------------------------------------------------------------

    async def _listen(self, tls: ssl.SSLContext) -> None:
        settings = self._settings
        for where in settings.listeners:
            host, port = await self._serve(build_app(self.context), where, tls)
            shown = f"[{host}]" if ":" in host else host
            self.url = self.url or f"https://{shown}:{port}"
            self._bound |= {f"{shown}:{port}"}
        self._note_authorities(self.context.directory.current)
        control = web.AppRunner(build_control(self.bundles, self.context), access_log=None, handle_signals=False)
        await control.setup()
        self._stack.push_async_callback(control.cleanup)
        await listen_control(control, self._home.path / settings.control)
        if settings.admin:
            host, port = await self._serve(build_admin(self.context), settings.admin, None)
            self.admin_url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._stack.callback(self.context.end_polls)

    async def _serve(self, app: web.Application, where: str, tls: ssl.SSLContext | None) -> tuple[str, int]:
        """Serve ``app`` there, to strangers if with ``tls``; the address and port that it listens on."""
        limits = self._settings.limits
        handler: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": limits.idle_timeout_s,
            "max_line_size": 4096,
            "max_field_size": 8192,
            "max_headers": 32,
            "lingering_time": 2.0,
            "auto_decompress": False,
        }
        app.on_response_prepare.append(self._date)
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=self._settings.stop_timeout_s, **handler)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        host, port = split_host_port(where)
        sockets = await asyncio.to_thread(listening_sockets, host, port, where)
        public = tls is not None
        own = Connections(_ADMIN_CONNECTIONS, _ADMIN_CONNECTIONS, _ADMIN_CONNECTIONS)
        listener = Listener(
            sockets,
            _required(runner.server),
            handler,
            self.context.connections if public else own,
            self._descriptors,
            self.log,
            tls=tls,
            handshake_timeout_s=limits.handshake_timeout_s,
            unknown_timeout_s=limits.idle_timeout_s if public else None,
        )
        self._stack.push_async_callback(listener.close)
        bound = sockets[0].getsockname()
        return str(bound[0]), int(bound[1])

    def _public_connections(self) -> Connections:
        """Of the descriptors at most a quarter is for connections on which nobody has authenticated."""
        limits = self._settings.limits
        unknown = max(2, min(limits.unknown_connections, self._descriptors.limit // 4))
        return Connections(
            unknown, max(1, min(limits.unknown_connections_per_network, unknown // 2)), limits.connections_per_key
        )

    async def _date(self, request: web.Request, response: web.StreamResponse) -> None:
        """Say this node's own time with every answer, with which partners compare theirs, and no versions."""
        response.headers["Server"] = SERVER
        response.headers["Date"] = format_datetime(self._clock(), usegmt=True)

    def _note_authorities(self, directory: Directory) -> None:
        """The forms under which this node is reached: by its card, its settings, and where it listens."""
        names = set(self._bound) | set(self._settings.authorities)
        node = self._settings.node
        if node in directory.nodes():
            names |= {url.removeprefix("https://") for url in directory.node(node).urls}
        names = {name.lower() for name in names}
        short = {name.removesuffix(":443") for name in names}
        self._authorities = frozenset(names | short)

    async def _watch_disk(self, sequencer: Sequencer) -> None:
        """Watch every folder that the node writes into, and its database's file."""
        files = (self.files.database, self.files.checkpoint.path, self._home.nonces / "nonces", self._home.settings)
        await self.disk.run((file.parent for file in files), sequencer.require_store)

    async def _log_directory(self, sequencer: Sequencer, directory: DirectoryService) -> None:
        """Log which directory the node works with, whenever it is another one."""
        while True:
            self._directory_changed.clear()
            current = directory.current
            operation = RecordDirectory(current.version, current.digest, self._clock())
            outcome = await sequencer.submit(operation)
            if isinstance(outcome, Failed):
                await asyncio.sleep(_LOG_AGAIN_S)
            else:
                await self._directory_changed.wait()

    # --- Background ------------------------------------------------------------------------------------------------

    def _spawn(self, name: str, work: Work) -> None:
        task = asyncio.create_task(self._again(name, work, _passing), name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    async def _again(self, name: str, work: Work, passes: Callable[[BaseException], str | None]) -> None:
        """Do the work; from the start again whenever it ends by an error that passes. Rests longer while it goes on."""
        rest_s = _AGAIN_S
        while True:
            began = time.monotonic()
            try:
                return await work()
            except Exception as problem:
                code = passes(problem)
                if code is None:
                    raise
            self.log.error("task-interrupted", source=name, code=code)
            self.metrics.tasks_interrupted.labels(name).inc()
            if time.monotonic() - began > _MOST_REST_S:
                rest_s = _AGAIN_S
            await asyncio.sleep(rest_s)
            rest_s = min(2 * rest_s, _MOST_REST_S)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        problem = task.exception()
        self.metrics.internal_errors.inc()
        self.log.error("task-ended", source=task.get_name(), error_type=type(problem).__name__)
        self.failed.set()

    async def _stop_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()


def _of_the_system(problem: BaseException) -> str | None:
    """The code of an error of the operating system (of a group of nothing else: of the first), None of any other."""
    if isinstance(problem, BaseExceptionGroup):
        codes = [_of_the_system(one) for one in problem.exceptions]
        return None if None in codes else codes[0]
    if isinstance(problem, OSError):
        return errno.errorcode.get(problem.errno or 0, type(problem).__name__)
    return None


def _passing(problem: BaseException) -> str | None:
    """The same, also of a typed error that passes, such as a database that cannot be read now."""
    if isinstance(problem, BaseExceptionGroup):
        codes = [_passing(one) for one in problem.exceptions]
        return None if None in codes else codes[0]
    if isinstance(problem, ComityError) and type(problem) is not ComityError:
        return None if is_final(problem) else problem.code
    return _of_the_system(problem)


def _required(server: web.Server | None) -> web.Server:
    if server is None:
        raise UnavailableError("the listener was not set up")
    return server

"""A running node: its parts wired together, what it does of itself, and how it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

from aiohttp import web

from keys.directory.metadata.repository import MetadataRepository
from keys.directory.view import Directory
from keys.members.identity import tls_identity
from keys.pages.serving import quiet_libraries
from keys.secrets.keystore import Keystore, Purpose
from keys.transport.client import Reach
from keys.transport.signing import Requester
from keys.transport.tls import server_context
from node.console.app import build_admin
from node.console.control import route_control
from node.console.site import Console, make_console
from node.console.status import NodeWatch
from node.context import NodeContext
from node.files.carried.carrier import FileCarrier
from node.files.carried.hands import SignedHands
from node.files.context import FilesContext
from node.files.delivery import FileDelivery
from node.files.fetching import FileFetcher
from node.files.folder import FolderStore
from node.files.holdings import Holdings
from node.files.housekeeping import FileHousekeeping
from node.files.intake import FileIntake
from node.files.pace import Pace
from node.files.s3 import ObjectStore
from node.files.serving import FileServing
from node.files.store import FileStore
from node.http.app import build_app
from node.http.authentication import Authenticator, Authorities
from node.http.context import HttpContext
from node.http.control import build_control
from node.http.descriptors import raise_limit
from node.http.nonces import NonceJournal
from node.http.serving import Listeners, public_connections
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
from node.operations.history import History
from node.operations.limits import Allowances
from node.operations.logging import Log, make_log
from node.operations.metrics import Metrics
from node.operations.tasks import Tasks, Work
from node.peers.client import MAX_CONNECTIONS, Partners
from node.peers.directory import DirectoryHome, DirectoryService
from node.peers.sources import DirectorySources, bootstrap_of
from node.recovery.confirmation import LogConfirmation, askable
from node.relay import expiry
from node.relay.context import RelayContext
from node.relay.delivery import Delivery
from node.relay.intake import Intake
from node.relay.offline import OfflineExchange
from node.relay.outcomes import Outcomes, PartnerReceiptJudge
from node.relay.pull import Puller
from node.settings import NodeHome, NodeSettings
from node.store.interface import Store
from node.store.operations import Failed, RecordDirectory
from node.witness.cosignatures import Cosignatures
from node.witness.gateway import WitnessGateway
from node.witness.witness import Witness
from protocol.errors import ComityError, DirectoryUnavailableError, UnavailableError

_LOG_AGAIN_S = 5.0


class Node:
    """One node. ``open`` returns when its parts are ready, ``start`` when it also serves, ``stop`` when everything
    accepted is written and closed.

    While no partner has confirmed how far the log went (:mod:`node.recovery.confirmation`), it signs nothing, and
    serves only the directory and what it saw of others' logs. ``failed`` is set when a background task ended although
    it should not; ``failure`` says why, when that is known.
    """

    context: NodeContext
    relay: RelayContext
    http: HttpContext
    evidence: FilesContext
    files: LogFiles
    bundles: OfflineExchange
    carrier: FileCarrier
    listeners: Listeners
    console: Console
    clock_watch: ClockWatch
    _confirmation: LogConfirmation

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
        self.history = History(home.history, clock)
        self.failed = asyncio.Event()
        self.failure: ComityError | None = None
        self.tasks = Tasks(self.metrics, self.log, self.failed)
        self._without_witnesses = without_witnesses
        self._descriptors = raise_limit()
        self._authorities = Authorities(settings.node, settings.authorities)
        self._directory_changed = asyncio.Event()
        self._stack = AsyncExitStack()

    # --- Life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open everything, then listen; what was opened is closed again if a later step fails. Raises typed errors."""
        await self.open()
        await self._or_stop(self._start)

    async def open(self) -> None:
        """:meth:`open_unsigned`, then let the log sign if nothing speaks against it. Raises typed errors."""
        await self.open_unsigned()
        await self._or_stop(lambda: self._confirmation.begin(ask=self._asks_witnesses()))

    async def open_unsigned(self) -> None:
        """Open the parts, without listening or asking anybody but the directory's sources; nothing can be signed yet.

        Raises typed errors.
        """
        quiet_libraries()
        self._home.require_private()
        self._stack.push_async_callback(self.history.save, self.disk)
        LogMarks(self._home.path).require_here()
        await self._or_stop(self._open)

    async def look_at_files(self) -> None:
        """Count the files that are here, as a running node does by itself: then files can be taken."""
        await FileHousekeeping(self.evidence, self.http.files).begin()

    async def stop(self) -> None:
        """Stop taking requests, finish the open ones within the time-out, write what is pending, close. Idempotent."""
        await self._stack.aclose()
        self._stack = AsyncExitStack()

    async def _or_stop(self, step: Work) -> None:
        try:
            await step()
        except BaseException:
            await self.stop()
            raise

    # --- Wiring -------------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        """Each part from the parts below it."""
        self.files = LogFiles.of(self._home, self._settings, self._keystore)
        self.clock_watch = ClockWatch(self._clock, self._elapsed, self.files.memory, self.metrics, self.log)
        node = self.context = await self._open_context()
        proofs = ProofFiles(self._home.misbehaviour, self.disk)
        monitor = Monitor(node, self._home.monitor, proofs)
        judge = PartnerReceiptJudge(node.directory, monitor)
        intake = Intake(node.name, node.directory, node.sequencer, node.clock)
        self.relay = RelayContext(node, intake, judge, Outcomes(node, judge, monitor), monitor)
        self.evidence = await self._open_files(node, monitor)
        self.http = self._answering(self.relay, self.evidence)
        signer = self._keystore.signer(Purpose.HTTP)
        self.bundles = OfflineExchange(self.relay, signer, self._home.bundles, self.evidence.holdings)
        self.carrier = FileCarrier(self.evidence, self.http.files, signer, self._home.hands, self.bundles.files_told)
        self.listeners = Listeners(self.http, self._descriptors)
        self._confirmation = LogConfirmation(
            node.sequencer, self.files, node.partners, self.askable, self.log, self.clock_watch
        )

    async def _open_context(self) -> NodeContext:
        settings = self._settings
        sequencer, store = await self._open_log()
        directory = self._open_directory()
        partners = Partners(
            Requester(settings.node, self._keystore.signer(Purpose.HTTP), self._clock),
            lambda: _directory_or_none(directory),
            bootstrap_of(self._home),
            Reach(settings.delivery.timeout_s, MAX_CONNECTIONS, settings.allow_networks, self._heard),
        )
        self._stack.push_async_callback(partners.close)
        context = NodeContext(
            settings.node,
            settings,
            self._clock,
            store,
            sequencer,
            directory,
            partners,
            self.metrics,
            self.log,
            self.disk,
            self.history,
        )
        self.context = context  # the directory's sources are asked through its partners
        directory.listeners.append(self._authorities.note)
        directory.listeners.append(lambda _: self._directory_changed.set())
        await directory.start()
        return context

    async def _open_log(self) -> tuple[Sequencer, Store]:
        files = self.files
        store = files.store(self.disk)
        sequencer = Sequencer(
            store, files.signer, files.kept(self.disk), self._clock, problem_with=self.clock_watch.problem_with
        )
        await sequencer.open()
        self._stack.push_async_callback(sequencer.stop)
        return sequencer, store

    def _open_directory(self) -> DirectoryService:
        bootstrap = bootstrap_of(self._home)
        root = bootstrap.root if bootstrap is not None else None
        service = DirectoryService(
            DirectoryHome(self._home.directory, root, MetadataRepository(self._home.served)),
            DirectorySources(self._home, self._settings, lambda: self.context.partners),
            self._clock,
            self.metrics,
            self.log,
            report=self.disk,
        )
        self._stack.callback(service.close)
        return service

    async def _open_files(self, node: NodeContext, monitor: Monitor) -> FilesContext:
        settings, home = self._settings.files, self._home.path
        store: FileStore
        if settings.store == "s3" and settings.s3 is not None:
            store = ObjectStore(settings.s3, home, report=self.disk)
        else:
            store = FolderStore(home / settings.folder, report=self.disk)
        self._stack.push_async_callback(store.close)
        try:
            await store.open()
        except UnavailableError as problem:  # it is tried again; messages do not wait for the disk of files
            self.log.error("files-unavailable", code=problem.code)
        pace, hands = Pace(settings.partner_bytes_per_s), SignedHands(self._home.hands, node)
        return FilesContext(node, store, Holdings(node, store), monitor, pace, hands)

    def _answering(self, relay: RelayContext, files: FilesContext) -> HttpContext:
        """What answers requests."""
        node = relay.node
        directory, limits = node.directory, node.settings.limits
        nonces = NonceJournal(self._home.nonces, node.clock(), node.disk)
        self._stack.callback(nonces.close)
        cosignatures = Cosignatures(self._home.cosigned)
        return HttpContext(
            relay=relay,
            authenticator=Authenticator(node.name, directory, nonces, lambda: self._authorities.names, node.clock),
            witness=Witness(node, self._keystore.witness_signer(), relay.monitor),
            cosignatures=cosignatures,
            gateway=WitnessGateway(node, self.files.signer.origin, cosignatures),
            gossip=Gossip(node, relay.monitor),
            expiry_watch=ExpiryWatch(node.name, lambda: directory.current, node.clock, node.metrics, node.log),
            clock_watch=self.clock_watch,
            allowances=Allowances.of(limits, node.settings.files),
            connections=public_connections(limits, self._descriptors),
            files=FileIntake(files),
            file_serving=FileServing(files),
        )

    # --- Running ------------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        self._stack.push_async_callback(self.tasks.stop)
        tls = tls_identity(self._keystore)
        self._stack.push_async_callback(self.listeners.close)
        context = server_context(tls.certificate, tls.key_pem)
        await self.listeners.open(self._public_app, context, self._authorities.add_bound)
        console = self.console = make_console(NodeWatch(self.http, self._home))
        await self.listeners.open_admin(build_admin(console), console.bound)
        control = build_control(self.bundles, self.carrier, self.http)
        route_control(control, console)
        await self.listeners.open_control(control, self._home.path / self._settings.control)
        directory, sequencer = self.context.directory, self.context.sequencer
        self.tasks.spawn("directory", lambda: directory.run(self._settings.directory.refresh_s))
        self.tasks.spawn("expiry-watch", self.http.expiry_watch.run)
        self.tasks.spawn("disk-watch", self._watch_disk)
        self.tasks.spawn("history", lambda: self.history.run(self.disk))
        if sequencer.held is None:
            self._work()
        else:
            self.tasks.spawn_once("assurance", self._confirmation.run, self._assured)
        self.log.info("started", version=directory.current.version)

    def _public_app(self) -> web.Application:
        return build_app(self.http)

    def _work(self) -> None:
        """Begin what a node does of itself, now that its log may be signed."""
        for name, work in self._jobs().items():
            self.tasks.spawn(name, work)

    def _jobs(self) -> Mapping[str, Work]:
        node, relay, http, every = self.context, self.relay, self.http, self._settings.delivery
        asked = self.askable if self._asks_witnesses() else list[str]
        jobs: dict[str, Work] = {
            "clock-watch": lambda: self.clock_watch.run(asked, self._confirmation.ask_time),
            "directory-log": self._log_directory,
            "housekeeping": lambda: expiry.run(node),
            "files": FileHousekeeping(self.evidence, http.files).run,
        }
        if not self._settings.offline:
            jobs |= {
                "delivery": Delivery(relay).run,
                "pull": Puller(relay).run,
                "files-delivery": FileDelivery(self.evidence).run,
                "files-fetching": FileFetcher(self.evidence, http.files).run,
                "witness": lambda: relay.monitor.run(every.monitor_s),
                "cosignatures": lambda: http.gateway.run(every.cosign_s),
                "proof-exchange": lambda: http.gossip.run(every.monitor_s),
            }
        days = self._settings.log.retention_days
        if days is not None:
            kept = timedelta(days=days)
            jobs["log-retention"] = lambda: log_retention.run(node.store, node.sequencer, node.clock, kept, node.log)
        return jobs

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
            self.tasks.ended(task)

    def _heard(self, partner: str, date: str | None) -> None:
        """A partner answered, over its pinned connection, with this ``Date`` field."""
        self.history.answered(partner)
        self.clock_watch.heard(partner, date)

    async def _watch_disk(self) -> None:
        """Watch every folder that the node writes into, and its database's file."""
        files = (self.files.database, self.files.checkpoint.path, self._home.nonces / "nonces", self._home.settings)
        folders = [file.parent for file in files]
        of_files = self._home.path / self._settings.files.folder if self._settings.files.store == "folder" else None
        await self.disk.run(folders, self.context.sequencer.require_store, of_files)

    async def _log_directory(self) -> None:
        """Log which directory the node works with, whenever it is another one."""
        while True:
            self._directory_changed.clear()
            current = self.context.directory.current
            operation = RecordDirectory(current.version, current.digest, self._clock())
            outcome = await self.context.sequencer.submit(operation)
            if isinstance(outcome, Failed):
                await asyncio.sleep(_LOG_AGAIN_S)
            else:
                await self._directory_changed.wait()

    # --- Where it is, and its partners --------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Of the first public listener, empty without one."""
        return self.listeners.url

    @property
    def admin_url(self) -> str:
        """Of the operator's listener, empty without one."""
        return self.listeners.admin_url

    async def require_clock(self, partners: Sequence[str]) -> None:
        """Return if the clock may be believed, asking ``partners`` if that is needed; raises why it is not."""
        problem = await self.clock_watch.settle(partners, self._confirmation.ask_time)
        if problem is not None:
            raise problem

    def askable(self) -> list[str]:
        """The partners that can be asked."""
        bootstrap = bootstrap_of(self._home)
        first = bootstrap.node if bootstrap is not None else None
        return askable(_directory_or_none(self.context.directory), self._settings.node, first)

    def _asks_witnesses(self) -> bool:
        settings = self._settings
        if settings.offline or not settings.log.ask_witnesses_at_start:
            return False
        if self._without_witnesses:
            self.log.warning("started-without-witnesses")
        return not self._without_witnesses


def _directory_or_none(directory: DirectoryService) -> Directory | None:
    try:
        return directory.current
    except DirectoryUnavailableError:
        return None

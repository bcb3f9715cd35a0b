"""Nodes that lie: real ones, with real keys, TLS and databases, whose logs do what an honest node's cannot."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import web

from keys.secrets.keystore import Purpose
from node.http.api.endpoint import Endpoint
from node.http.app import ENDPOINTS, _gate, _problems
from node.http.authentication import Caller
from node.http.context import CONTEXT, HttpContext
from node.log._volatile_checkpoint import VolatileCheckpoint
from node.log.checkpoint_file import CheckpointFile, KeptCheckpoint
from node.log.sequencer import Sequencer
from node.operations.tasks import Work
from node.relay.intake import Intake
from node.server import Node
from node.store.disk_errors import unreported
from node.store.interface import Store
from node.store.operations import Applied, Operation, SignCheckpoint
from node.store.sqlite._reads import DEFAULT_READERS, SqliteReads
from node.store.sqlite.store import SqliteStore
from protocol.log.checkpoint import Checkpoint, LogSigner, SoftLogSigner, parse_checkpoint, sign_checkpoint
from protocol.log.merkle import leaf_hash
from protocol.log.tiles import TileTree
from tests.worlds.nodes import World


class MisdatingStore(SqliteStore):
    """Logs events at another time than the node's clock says; its checkpoints say the true one."""

    shift: ClassVar[timedelta]

    def apply(self, batch: Sequence[Operation], sign: SignCheckpoint) -> Applied:
        """See :class:`~node.store.interface.Store`."""
        moved = [self._moved(operation) for operation in batch]
        return super().apply(moved, lambda checkpoint, at: sign(checkpoint, at - self.shift))

    def _moved(self, operation: Any) -> Any:
        return replace(operation, at=operation.at + self.shift) if hasattr(operation, "at") else operation


class BackDatingStore(MisdatingStore):
    """Two hours early."""

    shift = timedelta(hours=-2)


class PostDatingStore(MisdatingStore):
    """Two hours late."""

    shift = timedelta(hours=2)


class StaleReads(SqliteReads):
    """Shows everybody who asks the log as it was when it began to lie."""

    frozen: tuple[int, bytes] | None = None

    async def checkpoint(self) -> bytes:
        """See :meth:`node.store.reads.Reads.checkpoint`."""
        return self.frozen[1] if self.frozen is not None else await super().checkpoint()

    async def freeze(self) -> None:
        """Begin to lie."""
        self.frozen = (await self.log_size(), await super().checkpoint())


class RenewingStaleReads(StaleReads):
    """The same, but signs the old tree anew, as a log must that is asked."""

    signer: LogSigner
    clock: Callable[[], datetime]

    async def checkpoint(self) -> bytes:
        """See :meth:`node.store.reads.Reads.checkpoint`."""
        shown = await super().checkpoint()
        return sign_checkpoint(parse_checkpoint(shown), self.signer, self.clock()) if self.frozen else shown


class StaleStore(SqliteStore):
    """Gives receipts as it should; of what it shows see :class:`StaleReads`."""

    reads: StaleReads
    reads_class: ClassVar[type[StaleReads]] = StaleReads

    def __init__(self, path: Path, origin: str) -> None:
        super().__init__(path, origin)
        self.reads = self.reads_class(path, self._recent, DEFAULT_READERS, unreported)


class RenewingStaleStore(StaleStore):
    """See :class:`RenewingStaleReads`."""

    reads_class = RenewingStaleReads


class UnwitnessedNode(Node):
    """Has nobody cosign its log: a liar is not keen on witnesses."""

    def _jobs(self) -> Mapping[str, Work]:
        return {name: work for name, work in super()._jobs().items() if name != "cosignatures"}


class HostileNode(UnwitnessedNode):
    """A node whose store lies."""

    store_class: ClassVar[type[SqliteStore]]

    async def _open_log(self) -> tuple[Sequencer, Store]:
        files = self.files
        store = self.store_class(files.database, files.signer.origin)
        sequencer = Sequencer(store, files.signer, files.kept(), self._clock)
        await sequencer.open()
        self._stack.push_async_callback(sequencer.stop)
        return sequencer, store


class BackDatingNode(HostileNode):
    """See :class:`BackDatingStore`."""

    store_class = BackDatingStore


class PostDatingNode(HostileNode):
    """See :class:`PostDatingStore`."""

    store_class = PostDatingStore


class StaleNode(HostileNode):
    """See :class:`StaleStore`."""

    store_class = StaleStore


class RenewingStaleNode(HostileNode):
    """See :class:`RenewingStaleStore`."""

    store_class = RenewingStaleStore

    async def _open_log(self) -> tuple[Sequencer, Store]:
        sequencer, store = await super()._open_log()
        assert isinstance(store.reads, RenewingStaleReads)
        store.reads.signer, store.reads.clock = self.files.signer, self._clock
        return sequencer, store


class TwoFacedNode(UnwitnessedNode):
    """Keeps a second log under the same origin and keys, and shows it to the partners ``deceived`` and nobody else."""

    deceived: ClassVar[frozenset[str]] = frozenset({"jp"})

    async def _open(self) -> None:
        await super()._open()
        origin = self._keystore.entry(Purpose.LOG_ED25519).metadata["origin"]
        store = SqliteStore(self._home.path / "second.sqlite", origin)
        file = CheckpointFile(self._home.path / "second-checkpoint")
        sequencer = Sequencer(store, self._keystore.log_signer(origin), KeptCheckpoint(file), self._clock)
        await sequencer.start()
        self._stack.push_async_callback(sequencer.stop)
        intake = Intake(self._settings.node, self.context.directory, sequencer, self._clock)
        node = replace(self.context, store=store, sequencer=sequencer)
        self.second = replace(self.http, relay=replace(self.relay, node=node, intake=intake))

    def _public_app(self) -> web.Application:
        app = web.Application(middlewares=[_problems])
        app[CONTEXT] = self.http
        for endpoint in ENDPOINTS:
            two_faced = replace(endpoint, handler=self._choosing(endpoint))
            app.router.add_route(endpoint.method, endpoint.path, _gate(self.http, two_faced))
        return app

    def _choosing(self, endpoint: Endpoint) -> Any:
        async def handler(
            context: HttpContext, caller: Caller, request: web.Request, body: bytes
        ) -> web.StreamResponse:
            shown = self.second if caller.peer in self.deceived else context
            return await endpoint.handler(shown, caller, request, body)

        return handler


def rewrite_log(world: World, node: str, change: Callable[[list[bytes]], list[bytes]], at: datetime) -> None:
    """Change the log of a node that is stopped, in every place where it lies, and sign it again at ``at``."""
    keys, home = world.node_keys[node], world.home(node).path
    signer = SoftLogSigner(f"test-federation/{node}", keys.log_ed25519_seed, keys.log_mldsa_seed)
    with closing(sqlite3.connect(home / "node.sqlite")) as database, database:
        rows = database.execute(
            "SELECT leaf, name, message, recipient, rejection, nations FROM event ORDER BY idx"
        ).fetchall()
        by_leaf = {row[0]: row[1:] for row in rows}
        leaves = change([row[0] for row in rows])
        for table in ("event", "tile", "checkpoint"):
            database.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own
        tree = TileTree(0, lambda level, index: b"")
        for index, leaf in enumerate(leaves):
            tree.append(leaf_hash(leaf))
            columns = by_leaf.get(leaf, ("RelayAcceptance", None, None, None, None))
            database.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)", (index, leaf, *columns))
        database.executemany("INSERT INTO tile VALUES (?, ?, ?)", tree.take_changed_tiles())
        for table, column in (
            ("payload", "message"),
            ("mailbox", "message"),
            ("outbound", "message"),
            ("message", "id"),
        ):
            database.execute(f"DELETE FROM {table} WHERE {column} >= ?", (len(leaves),))  # noqa: S608 - as above
        note = sign_checkpoint(Checkpoint(signer.origin, tree.size, tree.root()), signer, at)
        database.execute("INSERT INTO checkpoint VALUES (?, ?, ?)", (tree.size, tree.root(), note))
    (home / "log-checkpoint").write_bytes(note)
    VolatileCheckpoint(world.path, home).write(note)

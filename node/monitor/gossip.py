"""Comparing notes with partners: which checkpoints they saw of every log, and which lies they hold proof of.

A node that shows two partners two logs is consistent towards each. So the partners tell each other, once an interval,
the newest size and root that they saw of every log. The node asks for a tree that is not the beginning of the log as it
is shown here, with its signatures; that becomes a proof. Proofs are offered to whoever has none against that log, and
fetched from who has; each node verifies them itself. Nobody believes a partner's word here.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any

from node.context import NodeContext
from node.monitor._proof_search import extends
from node.monitor.heads import known_heads
from node.monitor.monitor import Checked, Monitor
from node.peers.client import PartnerClient
from protocol.address import node_of
from protocol.errors import ComityError, LogUnavailableError, ProofInvalidError
from protocol.http.wire import Heads
from protocol.log.checkpoint import Checkpoint, parse_checkpoint, verify_checkpoint
from protocol.log.remote import Fetch, RemoteTree
from protocol.misbehaviour.proof import shows_entry
from protocol.misbehaviour.verify import own_lines

_REMEMBERED = 4096

_Seen = tuple[str, int, bytes]


class Gossip:
    """One node's part in it. Never raises for what partners do."""

    def __init__(self, node: NodeContext, monitor: Monitor) -> None:
        self._node = node
        self._monitor = monitor
        # Sizes that were compared and found right, and proofs that were judged: neither needs to be looked at again.
        self._agreed: OrderedDict[_Seen, None] = OrderedDict()
        self._judged: OrderedDict[bytes, None] = OrderedDict()
        # By partner and origin: what it saw that is larger than what is proved here.
        self._ahead: dict[str, dict[str, _Seen]] = {}
        # By accused: the tree under the checkpoint that is proved, as far as it was fetched.
        self._trees: dict[str, tuple[Checkpoint, RemoteTree]] = {}

    async def heads(self) -> Heads:
        """What this node tells partners."""
        known = await known_heads(self._node.store.reads, self._monitor)
        seen = [(head.tree.origin, head.tree.size, head.tree.root) for head in known]
        shared = [kept for kept in self._monitor.proofs.open() if not shows_entry(kept.proof)]
        return Heads(tuple(seen), tuple((kept.proof.origin, kept.digest) for kept in shared))

    async def run(self, interval_s: float) -> None:
        """Exchange with all partners, ``interval_s`` seconds after the slowest answered or timed out."""
        while True:
            await asyncio.sleep(interval_s)
            await self.round()

    async def round(self) -> None:
        """One exchange with each partner that can be reached."""
        nodes = [
            node
            for node in self._node.directory.current.nodes()
            if node != self._node.name and self._node.partners.can_reach(node)
        ]
        await asyncio.gather(*(self.exchange(node) for node in nodes))

    async def exchange(self, partner: str) -> bool:
        """Compare with one partner; True if it answered."""
        try:
            client = self._node.partners.get(partner)
            theirs = await client.heads()
            await self._compare_all(client, theirs)
            await self._fetch(client, theirs)
            await self._offer(client, theirs)
        except ComityError as problem:
            self._node.metrics.monitor_failures.labels(partner, problem.code).inc()
            self._node.log.info("exchange-not-completed", partner=partner, code=problem.code)
            return False
        return True

    # --- Proofs ---

    async def _fetch(self, client: PartnerClient, theirs: Heads) -> None:
        for origin, digest in theirs.proofs:
            if digest in self._judged or self._monitor.proofs.open_of(origin):
                continue
            written = await client.proof(digest)
            try:
                self._monitor.misbehaviour.take(written)
            except ComityError as problem:
                self._node.log.warning("proof-refused", partner=client.node, code=problem.code)
            _remember(self._judged, digest)

    async def _offer(self, client: PartnerClient, theirs: Heads) -> None:
        known = {origin for origin, _ in theirs.proofs}
        for kept in self._monitor.proofs.open():
            about = kept.proof.origin
            if about in known or client.node == node_of(about) or shows_entry(kept.proof):
                continue
            known.add(about)
            await client.offer(kept.written)

    # --- Heads ---

    async def _compare_all(self, client: PartnerClient, theirs: Heads) -> None:
        """Compare what the partner saw. A size beyond the log as it is known here waits for the next exchange."""
        before = self._ahead.pop(client.node, {})
        ahead: dict[str, _Seen] = {}
        for seen in (*before.values(), *theirs.seen):
            try:
                if not await self._is_fine(client, seen) and (seen[0] in before or not self._is_ahead(seen)):
                    await self._confront(client, seen[0])
                elif self._is_ahead(seen):
                    ahead[seen[0]] = seen
            except ComityError as problem:
                self._node.log.info("comparison-not-completed", partner=client.node, code=problem.code)
        self._ahead[client.node] = ahead

    async def _is_fine(self, client: PartnerClient, seen: _Seen) -> bool:
        """Whether the log as it is proved here begins with that tree, or it is not for this node to ask."""
        origin, size, root = seen
        if seen in self._agreed or self._monitor.proofs.open_of(origin):
            return True
        accused = self._node.directory.current.node_of_origin(origin)
        note = self._monitor.proved(origin)
        if accused in (self._node.name, client.node) or note is None:
            return True
        if not await self._agrees(accused, note, size, root):
            return False
        _remember(self._agreed, seen)
        return True

    def _is_ahead(self, seen: _Seen) -> bool:
        note = self._monitor.proved_note(node_of(seen[0]))
        return note is not None and seen[1] > parse_checkpoint(note).size

    async def _agrees(self, accused: str, note: bytes, size: int, root: bytes) -> bool:
        """Whether the log under ``note`` begins with that tree; False also when the log does not show it."""
        head = parse_checkpoint(note)
        if size > head.size:
            return False
        known = self._trees.get(accused)
        if known is None or known[0] != head:
            known = self._trees[accused] = (head, RemoteTree(head.size))
        try:
            return await extends(head, size, root, known[1], self._fetch_of(accused))
        except (ProofInvalidError, LogUnavailableError):
            return False

    def _fetch_of(self, accused: str) -> Fetch:
        return self._node.partners.get(accused).tile

    async def _confront(self, client: PartnerClient, origin: str) -> None:
        """Compare the signed checkpoint that the partner saw with the log as it shows itself here afterwards."""
        accused = self._node.directory.current.node_of_origin(origin)
        verifier = self._node.directory.current.log_verifier(origin)
        # The one that was signed first: what contradicts it may have been signed since.
        theirs = verify_checkpoint(own_lines((await client.head(origin))[0], verifier), verifier)
        checked = await self._monitor.check(accused)
        answered = checked in {Checked.PROVED, Checked.STALE}
        note = self._monitor.proved(origin)
        if note is None:
            return
        if answered and await self._agrees(accused, note, theirs.checkpoint.size, theirs.checkpoint.root):
            return
        # Where the log cannot be reached, only what the two checkpoints show by themselves counts against it.
        if self._monitor.misbehaviour.by_checkpoint(accused, theirs, note) or not answered:
            return
        # It signed for the partner what it does not show here. The next check asks it for what would prove that.
        self._monitor.alarm(accused, theirs.note, note)
        await self._monitor.check(accused)


def _remember(known: OrderedDict[Any, None], what: Any) -> None:
    known[what] = None
    while len(known) > _REMEMBERED:
        known.popitem(last=False)

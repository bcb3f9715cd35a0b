"""Cosigning the partners' checkpoints: this node as a witness (C2SP tlog-witness).

A cosignature says that this is the largest tree of the log that this node ever cosigned, and that it extends all that
were cosigned before. So the tree is recorded, durably and after its size was compared once more by the one writer,
before the cosignature leaves. After a crash between the two, the log asks again: it is told the size that was
recorded, and gets a cosignature of the same tree.
"""

from __future__ import annotations

from hashlib import sha256

from node.context import NodeContext
from node.monitor.monitor import Monitor
from node.store.operations import RecordCosigned
from node.store.reads import PeerCheckpoint
from protocol.errors import (
    CheckpointInvalidError,
    ForbiddenError,
    LogUnavailableError,
    MalformedError,
    NotFoundError,
    OldSizeError,
    ProofInvalidError,
    SignatureInvalidError,
)
from protocol.http.add_checkpoint import AddCheckpoint
from protocol.log.checkpoint import VerifiedCheckpoint, parse_checkpoint, verify_checkpoint
from protocol.log.merkle import EMPTY_ROOT, verify_consistency
from protocol.log.note import NoteSignature
from protocol.log.witness import WitnessSigner, cosign, with_lines, without_cosignatures


class Witness:
    """The witness of one node. ``signer`` is None for a node that has no witness keys."""

    def __init__(self, node: NodeContext, signer: WitnessSigner | None, monitor: Monitor) -> None:
        self._node = node
        self._signer = signer
        self._monitor = monitor

    async def add(self, request: AddCheckpoint) -> tuple[NoteSignature, ...]:
        """Cosign the checkpoint of ``request``; returns when that is recorded.

        Raises, in the order of tlog-witness: ``CheckpointInvalidError`` (422, not of a checkpoint's form),
        ``NotFoundError`` or ``UnknownNodeError`` (404, a log that is not witnessed here), ``SignatureInvalidError``,
        ``RevokedError`` or ``ForbiddenError`` (403), ``MalformedError`` (400, smaller than the old size),
        :class:`OldSizeError` (409) and ``ProofInvalidError`` (422); and what the store raises.
        """
        claimed = parse_checkpoint(request.checkpoint)
        signer, node = self._signer, self._log_of(claimed.origin)
        if signer is None:
            raise NotFoundError("this node is no witness")
        verified = self._verified(request.checkpoint, node)
        checkpoint = verified.checkpoint
        if not request.old_size <= checkpoint.size:
            raise MalformedError("the checkpoint is of a smaller tree than the old size, or beyond every size")
        last = await self._node.store.reads.cosigned(checkpoint.origin)
        await self._monitor.require_consistent(node, verified)
        await self._require_extends(node, request, verified, last)
        now = self._node.clock()
        self._node.sequencer.require_clock(now)
        lines = cosign(checkpoint, signer, now)
        note = with_lines(without_cosignatures(verified), lines)
        operation = RecordCosigned(checkpoint.origin, request.old_size, checkpoint.size, checkpoint.root, note)
        await self._node.sequencer.perform(operation)
        self._node.metrics.cosigned.labels(node).inc()
        return lines

    async def newest(self, origin_hash: str) -> bytes:
        """The last checkpoint cosigned of the log whose origin has that SHA-256; :class:`LogUnavailableError`."""
        directory = self._node.directory.current
        for node in directory.nodes():
            for origin in {log.origin for log in directory.node(node).logs()}:
                if sha256(origin.encode()).hexdigest() == origin_hash:
                    cosigned = await self._node.store.reads.cosigned(origin)
                    if cosigned is not None:
                        return cosigned.note
        raise LogUnavailableError("no checkpoint of this log was cosigned here")

    # --- Inside ---

    def _log_of(self, origin: str) -> str:
        """The node whose log it is; raises :class:`NotFoundError` for this node's own, ``UnknownNodeError``."""
        node = self._node.directory.current.node_of_origin(origin)
        if node == self._node.name:
            raise NotFoundError("a node is no witness of its own log")
        return node

    def _verified(self, note: bytes, node: str) -> VerifiedCheckpoint:
        directory = self._node.directory.current
        directory.require_active(node, self._node.clock())
        if node in self._monitor.distrusted:
            raise ForbiddenError(f"the log of {node} contradicted itself; it is not cosigned any more")
        try:
            return verify_checkpoint(note, directory.log_verifier(parse_checkpoint(note).origin))
        except CheckpointInvalidError as problem:
            raise SignatureInvalidError(problem.detail) from problem

    async def _require_extends(
        self, node: str, request: AddCheckpoint, verified: VerifiedCheckpoint, last: PeerCheckpoint | None
    ) -> None:
        checkpoint = verified.checkpoint
        size, root = (last.size, last.root) if last is not None else (0, EMPTY_ROOT)
        if request.old_size != size:
            raise OldSizeError(f"the last tree that was cosigned here has {size} entries", size)
        try:
            verify_consistency(size, root, checkpoint.size, checkpoint.root, request.path)
        except ProofInvalidError:
            await self._monitor.suspect(node, verified)
            raise

"""Taking receipts that a partner brings: each proved here, kept for the sender's desk or sent on towards it.

A receipt may be of any node's log: relays pass on what the nodes behind them proved. The node that brings it adds
nothing to it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from node.relay.context import RelayContext
from node.store.file_operations import RecordFilesTaken
from node.store.operations import Failed, Operation, StoreForeignReceipts
from protocol.errors import ComityError, ForbiddenError, LogForkError
from protocol.event import EventName
from protocol.receipt import Receipt, VerifiedReceipt

# Verifying a receipt takes some 0.1 ms: after so many others get their turn.
_TURN = 32


async def take_receipts(context: RelayContext, peer: str, receipts: Sequence[Receipt]) -> list[ComityError | None]:
    """None for each receipt that stands (also if it did before), else its refusal."""
    since = time.monotonic()
    verdicts: list[ComityError | None] = [None] * len(receipts)
    by_log: dict[str, list[tuple[int, VerifiedReceipt]]] = {}
    for position, receipt in enumerate(receipts):
        if position % _TURN == _TURN - 1:
            await asyncio.sleep(0)
        try:
            proved = await context.node.directory.with_fresh(partial(context.judge.prove, receipt), since)
            node = context.judge.node_of(proved)
            if node == context.node.name:
                raise ForbiddenError("receipts of this node's own log are not brought from outside")
            await _require_place(context, proved)
            by_log.setdefault(node, []).append((position, proved))
        except ComityError as problem:
            verdicts[position] = problem
    # Log by log: a contradiction in one must not cost the others theirs, and is that log's alone.
    logs = list(by_log.items())
    now = context.node.clock()
    operations: list[Operation] = [
        StoreForeignReceipts(peer, tuple(receipt for _, receipt in found), now) for _, found in logs
    ]
    # In the same batch: what a node has by its own log, it need not be sent any more.
    told = (_files_taken(context, receipt, node, now) for node, found in logs for _, receipt in found)
    taken = [operation for operation in told if operation is not None]
    outcomes = await context.node.sequencer.submit_many([*operations, *taken])
    for (node, found), outcome in zip(logs, outcomes[: len(logs)], strict=True):
        if isinstance(outcome, Failed):
            refusal = outcome.error
            if isinstance(refusal, LogForkError):
                context.monitor.contradicted(node, refusal, *{receipt.receipt.checkpoint for _, receipt in found})
                refusal = LogForkError(refusal.detail)
            for position, _ in found:
                verdicts[position] = refusal
            continue
        for at, refusal in outcome.refused:
            verdicts[found[at][0]] = refusal
    return verdicts


def _files_taken(context: RelayContext, receipt: VerifiedReceipt, node: str, now: datetime) -> RecordFilesTaken | None:
    """That ``node`` has all files of a message from this node, if the receipt proves it."""
    event = receipt.event
    if event.files is None or event.files.name is not None:
        return None
    if event.name is not EventName.FileRelayAcceptance or event.peer != context.node.name:
        return None
    return RecordFilesTaken(event.message_id, event.digest, node, event.files, now)


async def _require_place(context: RelayContext, proved: VerifiedReceipt) -> None:
    """Return if the log may hold the event, as far as this node knows the message; raises what forbids it.

    One about a message that is not known here is refused when it is recorded.
    """
    if context.judge.needs_origin(proved):
        event = proved.event
        made = await context.node.store.reads.message_origin(event.message_id, event.digest)
        if made is not None:
            context.judge.require_place(proved, made.sender, made.created)

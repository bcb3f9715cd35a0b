"""The SQLite store against a model of a few lines, over random histories with failing batches and restarts."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from node.store.operations import Done, FoundLog, Operation
from node.store.sqlite.store import SqliteStore
from protocol.event import EventName
from protocol.log.checkpoint import Checkpoint, open_checkpoint
from protocol.log.merkle import verify_consistency
from protocol.receipt import Receipt
from tests.conformance.store import JP, NOW, ORIGIN, OSAKA, TOKYO, apply, incoming, sign, stated, transfer, verified

MESSAGES = [incoming(raw=bytes([number]) * 50) for number in range(4)]
DESKS = (TOKYO, OSAKA)

Action = tuple[str, int, int]  # kind, message, desk (or the recipients as bits)
Step = tuple[str, list[Action]]

actions: st.SearchStrategy[Action] = st.one_of(
    st.tuples(st.just("transfer"), st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.just("handover"), st.integers(0, 3), st.integers(0, 1)),
    st.tuples(st.just("opened"), st.integers(0, 3), st.integers(0, 1)),
)
steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("batch"), st.lists(actions, min_size=1, max_size=6)),
    st.tuples(st.just("fail"), st.lists(actions, min_size=1, max_size=6)),
    st.tuples(st.just("restart"), st.lists(actions, max_size=0)),
)


@dataclass
class Model:
    """Who was consigned what, who has it, and the receipt of every logged fact."""

    consigned: set[tuple[int, int]] = field(default_factory=set)
    handed: set[tuple[int, int]] = field(default_factory=set)
    receipts: dict[tuple[str, int, int], Receipt] = field(default_factory=dict)


def operation(kind: str, message: int, which: int) -> Operation:
    if kind == "transfer":
        return transfer_to(message, which)
    event = EventName.ContentHandover if kind == "handover" else EventName.ContentAccessTracking
    return stated(MESSAGES[message], event, DESKS[which])


def transfer_to(message: int, bits: int) -> Operation:
    recipients = tuple(desk for at, desk in enumerate(DESKS) if bits >> at & 1)
    return transfer(MESSAGES[message], *(recipients or DESKS))


def remember(model: Model, key: tuple[str, int, int], receipt: Receipt) -> None:
    assert model.receipts.setdefault(key, receipt) == receipt, "a fact has one receipt"


def expect(model: Model, kind: str, message: int, which: int, outcome: object) -> None:
    if kind == "transfer":
        assert isinstance(outcome, Done)
        desks = [at for at in range(2) if (which or 3) >> at & 1]
        remember(model, ("accepted", message, 0), outcome.receipts[0])
        for desk, receipt in zip(desks, outcome.receipts[1:], strict=True):
            remember(model, ("consigned", message, desk), receipt)
            model.consigned.add((message, desk))
    elif (message, which) in model.consigned:
        assert isinstance(outcome, Done)
        remember(model, (kind, message, which), outcome.receipts[0])
        if kind == "handover":
            model.handed.add((message, which))
    else:
        assert not isinstance(outcome, Done)


def broken(checkpoint: Checkpoint, at: datetime) -> bytes:
    raise RuntimeError("the signer is gone")


def fail(store: SqliteStore, operations: list[Operation]) -> None:
    """A batch that ends in an error, unless it logs nothing and so signs nothing."""
    try:
        store.apply(operations, broken)
    except RuntimeError:
        return
    store.release()


async def live(path: Path, history: list[Step]) -> None:
    store, model = SqliteStore(path / "node.db", ORIGIN), Model()
    await store.open()
    apply(store, FoundLog(NOW))
    before = open_checkpoint(await store.reads.checkpoint(), JP.verifier)
    for step, batch in history:
        if step == "restart":
            await store.close()
            store = SqliteStore(path / "node.db", ORIGIN)
            await store.open()
            store.release()
        elif step == "fail":
            fail(store, [operation(*action) for action in batch])
        else:
            outcomes = store.apply([operation(*action) for action in batch], sign).outcomes
            store.release()
            for action, outcome in zip(batch, outcomes, strict=True):
                expect(model, *action, outcome)
        for at, desk in enumerate(DESKS):
            waiting = [entry.envelope for entry in await store.reads.mailbox(desk, 0, 100, 1 << 20)]
            wanted = [MESSAGES[m].raw for m, d in model.consigned - model.handed if d == at]
            assert sorted(waiting, key=lambda raw: raw or b"") == sorted(wanted)
        assert (await store.reads.stats()).payload_count == len({m for m, _ in model.consigned - model.handed})
        now = open_checkpoint(await store.reads.checkpoint(), JP.verifier)
        assert now.size == len(model.receipts)
        verify_consistency(
            before.size, before.root, now.size, now.root, await store.reads.consistency_path(before.size)
        )
        before = now
    for receipt in model.receipts.values():
        assert verified(receipt).receipt == await store.reads.receipt(receipt.index)
    await store.close()


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=8))
def test_store_does_what_the_model_says(history: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder), history))

"""Playing scenarios, each to the states that its desks compute.

A scenario ends well when every desk of a case computes the state that the scenario names, nothing was out of order, and
every receipt of every message was verified by the desk that got it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from exchange.cases.threads import target_rows
from exchange.demo._cast import ARRIVES_WITHIN_S, CaseWanted, Cast, Scenario
from exchange.demo._scenarios import SCENARIOS
from exchange.demo._stage import PASSPHRASE, Stage
from exchange.desk.desk import Desk
from exchange.i18n import _, labelled
from exchange.text.labels import state_label

_PROVED = {"SubmissionAcceptance", "RelayAcceptance", "ContentConsignment", "ContentHandover"}


async def play(stage: Stage, names: Sequence[str]) -> dict[str, Any]:
    """Play scenarios one after the other; the result object of ``comity demo --scenario``."""
    results = {}
    async with _desks(stage) as desks:
        for name in names:
            scenario = SCENARIOS[name]
            stage.tell("\n" + labelled(name, _(scenario.title)))
            cast = Cast(stage, desks, [])
            played = await scenario.play(cast)
            results[name] = await _outcome(cast, scenario, played if isinstance(played, tuple) else (played,))
    return {"scenarios": results, "ok": all(result["ok"] for result in results.values())}


@asynccontextmanager
async def _desks(stage: Stage) -> AsyncIterator[dict[str, Desk]]:
    async with AsyncExitStack() as stack:
        yield {node: await stack.enter_async_context(Desk.open(stage.desk(node), PASSPHRASE)) for node in stage.nations}


async def _outcome(cast: Cast, scenario: Scenario, threads: Sequence[UUID]) -> dict[str, Any]:
    """What the desks compute of each case, and what is proved of each message to the desk that sent it."""
    receipts = [await _receipts(by, sent.id) for by, sent in cast.said]
    pairs = list(zip(threads, scenario.cases, strict=True))
    cases = [await _case(cast, thread, wanted) for thread, wanted in pairs]
    verified = all(row["verified"] for rows in receipts for row in rows)
    complete = all({row["event"] for row in rows} >= _PROVED for rows in receipts)
    ok = all(case["ok"] for case in cases) and verified and complete
    told = _("all desks: {state}; receipts: {receipts}; as it must be: {ok}")
    states = ", ".join(state_label(wanted.state) for _thread, wanted in pairs)
    yes = _("yes") if ok else _("no")
    cast.stage.tell("   " + told.format(state=states, receipts=sum(map(len, receipts)), ok=yes))
    return {
        "cases": cases,
        "messages": [sent.id for _by, sent in cast.said],
        "receipts": sum(map(len, receipts)),
        "ok": ok,
    }


async def _case(cast: Cast, thread: UUID, wanted: CaseWanted) -> dict[str, Any]:
    at = datetime.now(UTC)
    sides = {}
    for node in wanted.nodes:
        case = await cast.desks[node].cases.case(thread)
        sides[str(cast.desks[node].address)] = {
            "state": str(case.state_at(at)),
            "targets": {row.target: row.state for row in target_rows(case, at)},
            "out_of_order": [str(entry.reason) for entry in case.out_of_order],
        }
    expected = {"state": wanted.state, "targets": dict(wanted.targets), "out_of_order": []}
    return {"thread": thread, "sides": sides, "ok": all(side == expected for side in sides.values())}


async def _receipts(desk: Desk, message_id: UUID) -> list[dict[str, Any]]:
    async def proved(desk: Desk) -> bool:
        return {row.event for row in await desk.messages.receipts(message_id) if row.verified} >= _PROVED

    await desk.wait_for(proved, ARRIVES_WITHIN_S)
    return [{"event": row.event, "verified": row.verified} for row in await desk.messages.receipts(message_id)]

"""The operator's listener on loopback: health and metrics. Plain HTTP, no identities, no message data."""

from __future__ import annotations

from aiohttp import web

from node.http.context import CONTEXT, HttpContext
from node.operations.metrics import CONTENT_TYPE
from node.store.reads import StoreStats
from protocol.address import node_of
from protocol.errors import ComityError, NotAdmittedError


def build_admin(context: HttpContext) -> web.Application:
    """The application of the admin listener."""
    app = web.Application(client_max_size=1024)
    app[CONTEXT] = context
    app.router.add_get("/health", _health)
    app.router.add_get("/metrics", _metrics)
    return app


async def _health(request: web.Request) -> web.Response:
    """200 ``ok``, 200 ``attention`` (works, but the operator should look), or 503 ``failing`` (takes nothing)."""
    context = request.app[CONTEXT]
    failing = [problem.code] if (problem := context.node.sequencer.problem) is not None else []
    if (misdated := context.node.sequencer.clock_problem) is not None and misdated.code not in failing:
        failing.append(misdated.code)
    failing += context.node.disk.problems
    if context.polls.stopping:
        failing.append("stopping")
    attention = [f"clock-differs:{partner}" for partner in context.clock_watch.differing()]
    attention += [f"partner-log-distrusted:{partner}" for partner in context.relay.monitor.distrusted]
    if (unsigned := context.node.sequencer.renewal_problem) is not None:
        attention.append(f"checkpoint-not-renewed:{unsigned.code}")
    attention += [f"log-behind-witness:{partner}" for partner in sorted(context.gateway.ahead)]
    attention += sorted({f"proved-to-lie:{node_of(kept.proof.origin)}" for kept in context.relay.monitor.proofs.open()})
    try:
        directory = context.node.directory.current
        if directory.is_stale(context.node.clock()):
            attention.append("directory-expired")
        version = directory.version
        attention += context.expiry_watch.urgent()
        attention += [f"directory-source-{how}:{name}" for name, how in context.node.directory.disagreeing.items()]
        if context.node.name not in directory.nodes():
            attention.append(NotAdmittedError.code)
        attention += [f"nation-left-out:{node}" for node in directory.problems]
    except ComityError as missing:
        failing.append(missing.code)
        version = 0
    status = "failing" if failing else "attention" if attention else "ok"
    return web.json_response(
        {
            "status": status,
            "node": context.node.name,
            "problems": failing + attention,
            "log_size": await context.node.store.reads.log_size(),
            "directory_version": version,
        },
        status=503 if failing else 200,
    )


async def _metrics(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    stats: StoreStats | None
    try:
        stats = await context.node.store.reads.stats()
    except ComityError:
        stats = None
    halted = (context.node.sequencer.problem or context.node.sequencer.clock_problem) is not None
    body = context.node.metrics.render(stats, context.node.sequencer.pending, halted)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

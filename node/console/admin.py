"""The operator's listener on loopback: health and metrics for programs, without identities; the console for a person.

Plain HTTP. ``/health`` and ``/metrics`` hold no message data and no secrets: any program of this machine may read them.
"""

from __future__ import annotations

from aiohttp import web

from node.console.attention import Kind, attentions, backups_wanted, partners_away
from node.console.status import NodeWatch
from node.operations.metrics import CONTENT_TYPE
from node.recovery.backup_record import BackupRecord
from node.store.reads import StoreStats
from protocol.errors import ComityError

HEALTH, METRICS = "/health", "/metrics"


def route_figures(app: web.Application, watch: NodeWatch) -> None:
    """Serve health and metrics in ``app``."""

    async def health(request: web.Request) -> web.Response:
        return await _health(watch)

    async def metrics(request: web.Request) -> web.Response:
        return await _metrics(watch)

    app.router.add_get(HEALTH, health)
    app.router.add_get(METRICS, metrics)


async def _health(watch: NodeWatch) -> web.Response:
    """200 ``ok``, 200 ``attention`` (works, but the operator should look), or 503 ``failing`` (takes nothing)."""
    context = watch.context
    stats, now = await watch.stats(), context.node.clock()
    found = attentions(context, stats, await watch.backups())
    away = partners_away(context, stats) if stats is not None else []
    failing = any(one.failing for one in found)
    status = "failing" if failing else "attention" if found else "ok"
    try:
        version = context.node.directory.current.version
    except ComityError:
        version = 0
    return web.json_response(
        {
            "status": status,
            "node": context.node.name,
            "problems": [one.code for one in found],
            "away": [one.node for one in away if not one.needs(now)],
            "log_size": await context.node.store.reads.log_size(),
            "directory_version": version,
        },
        status=503 if failing else 200,
    )


async def _metrics(watch: NodeWatch) -> web.Response:
    context = watch.context
    stats = await watch.stats()
    _set_gauges(watch, stats, await watch.backups())
    halted = (context.node.sequencer.problem or context.node.sequencer.clock_problem) is not None
    body = context.node.metrics.render(stats, context.node.sequencer.pending, halted)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})


def _set_gauges(watch: NodeWatch, stats: StoreStats | None, backups: BackupRecord) -> None:
    """What is looked at when somebody asks."""
    context, metrics = watch.context, watch.context.node.metrics
    found = attentions(context, stats, backups)
    metrics.not_renewed.set(any(one.kind is Kind.NOT_RENEWED for one in found))
    metrics.not_admitted.set(any(one.kind in {Kind.NOT_ADMITTED, Kind.NO_DIRECTORY} for one in found))
    metrics.too_few_witnesses.set(any(one.kind is Kind.TOO_FEW_WITNESSES for one in found))
    metrics.behind_witness.clear()
    for partner in context.gateway.ahead:
        metrics.behind_witness.labels(partner).set(1)
    now = context.node.clock()
    for gauge in (metrics.failing_seconds, metrics.needs_operator, metrics.emergencies, metrics.backup_needed):
        gauge.clear()
    for one in partners_away(context, stats) if stats is not None else ():
        if one.waits:
            metrics.failing_seconds.labels(one.node).set((now - one.since).total_seconds())
            metrics.needs_operator.labels(one.node, one.because(now)).set(one.needs(now))
    for partner, count in (stats.emergencies if stats is not None else {}).items():
        metrics.emergencies.labels(partner).set(count)
    for kind in backups_wanted(backups, now):
        metrics.backup_needed.labels(str(kind)).set(1)
    for what, act in (("made", backups.made), ("checked", backups.checked), ("drilled", backups.drilled)):
        metrics.backup_at.labels(what).set(0 if act is None else act.at.timestamp())
    metrics.first_start.set(context.node.history.first_start.timestamp())

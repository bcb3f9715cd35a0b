"""What commands ask of the running node's console, through the control socket that only its system user may open."""

from __future__ import annotations

from aiohttp import web

from keys.local.translation import speaking
from keys.pages.languages import offered
from node.console.acts import WayTest
from node.console.phrases import operator_advice
from node.console.site import Console
from node.console.status import status_values
from protocol.encoding.instants import to_text

CODE = "/console/code"
STATUS = "/status"
RETRY = "/partners/retry"
TEST_WAY = "/partners/test-way"
REFRESH = "/directory/refresh"
_SOURCE = "command"


def route_control(app: web.Application, console: Console) -> None:
    """Add the console's questions to the control socket's application."""

    async def code(request: web.Request) -> web.Response:
        address = console.require_served()
        console.watch.context.node.log.info("console-code-made", source=_SOURCE)
        return web.json_response(
            {"address": address, "code": console.codes.make(), "minutes": int(console.codes.good_s // 60)}
        )

    async def status(request: web.Request) -> web.Response:
        wanted = request.query.get("language", "en")
        with speaking(wanted if wanted in offered() else "en"):
            return web.json_response(_plain(status_values(await console.watch.status())))

    async def retry(request: web.Request) -> web.Response:
        partner = request.query.get("partner", "")
        return web.json_response({"partner": partner, "waiting": await console.acts.retry(partner, _SOURCE)})

    async def test_way(request: web.Request) -> web.Response:
        return web.json_response(way_values(await console.acts.test_way(request.query.get("partner", ""), _SOURCE)))

    async def refresh(request: web.Request) -> web.Response:
        return web.json_response({"refreshed": await console.acts.refresh_directory(_SOURCE)})

    app.router.add_post(CODE, code)
    app.router.add_post(STATUS, status)
    app.router.add_post(RETRY, retry)
    app.router.add_post(TEST_WAY, test_way)
    app.router.add_post(REFRESH, refresh)


def way_values(test: WayTest) -> dict[str, object]:
    """How a test went, for a program."""
    return {
        "partner": test.node,
        "ok": test.ok,
        "address": test.address,
        "took_ms": test.took_ms,
        "log_size": test.size,
        "clock_ahead_s": test.offset_s,
        "error": None if test.problem is None else test.problem.code,
        "detail": "" if test.problem is None else test.problem.detail,
        "advice": "" if test.problem is None else operator_advice(test.problem.code),
    }


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float | str) else to_text(value)  # type: ignore[arg-type]

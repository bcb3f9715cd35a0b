"""The operator's way into a running node: a socket in its home folder that only its own user may open.

It carries bundles and files in and out, erases log entries, lets files in transit go, and does what
:mod:`node.console.control` adds. A user that can open the socket can also read the keystore file.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

from aiohttp import web

from keys.local.files import PRIVATE_MODE
from node.files.carried.carrier import FileCarrier
from node.http.api.endpoint import MAX_NUMBER, digest_of
from node.http.context import HttpContext
from node.log.retention import erase_part
from node.relay.offline import OfflineExchange
from protocol.bundle_sizes import DEFAULT_PART_BYTES, MAX_PART_BYTES
from protocol.encoding import cbor
from protocol.errors import ComityError, MalformedError, SettingsError
from protocol.http import wire
from protocol.http.problem import PROBLEM_TYPE, problem_text

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

EXPORT = "/bundle/export"
IMPORT = "/bundle/import"
ERASE = "/log/erase"
FORGET_FILES = "/files/forget"
EXPORT_FILES = "/files/export"
IMPORT_FILES = "/files/import"
# Of a socket's path, by the kernel's interface.
_MAX_PATH_BYTES = 107
MAX_DAYS = 36_600


def build_control(bundles: OfflineExchange, carrier: FileCarrier, context: HttpContext) -> web.Application:
    """The application behind the socket."""

    async def export(request: web.Request) -> web.Response:
        size = request.query.get("max_part_bytes", str(DEFAULT_PART_BYTES))
        if not size.isascii() or not size.isdigit():
            raise MalformedError("the size of a part is a number of bytes")
        parts = await bundles.export(request.query.get("to", ""), int(size))
        return web.Response(body=cbor.encode(parts), content_type=wire.CONTENT_TYPE)

    async def take(request: web.Request) -> web.Response:
        imported = await bundles.take(await request.read())
        return web.json_response(imported.values())

    async def erase(request: web.Request) -> web.Response:
        days, first = (request.query.get(name, "") for name in ("days", "first"))
        if not all(text.isascii() and text.isdigit() and len(text) <= 19 for text in (days, first)):
            raise MalformedError("days and first are numbers")
        if int(days) > MAX_DAYS or int(first) > MAX_NUMBER:
            raise MalformedError("days or first is larger than any of a log")
        before = context.node.clock() - timedelta(days=int(days))
        part = await erase_part(context.node.store, context.node.sequencer, before, int(first))
        return web.json_response(asdict(part))

    async def forget_files(request: web.Request) -> web.Response:
        return web.json_response({"forgotten": await context.files.forget(digest_of(request))})

    async def export_files(request: web.Request) -> web.Response:
        to, folder, begin = (request.query.get(name, "") for name in ("to", "folder", "begin"))
        return web.json_response((await carrier.write(to, folder, begin)).values())

    async def import_files(request: web.Request) -> web.Response:
        folder, begin = (request.query.get(name, "") for name in ("folder", "begin"))
        return web.json_response((await carrier.take(folder, begin)).values())

    app = web.Application(middlewares=[_typed_refusals], client_max_size=MAX_PART_BYTES + 1)
    app.router.add_post(EXPORT, export)
    app.router.add_post(IMPORT, take)
    app.router.add_post(ERASE, erase)
    app.router.add_post(FORGET_FILES, forget_files)
    app.router.add_post(EXPORT_FILES, export_files)
    app.router.add_post(IMPORT_FILES, import_files)
    return app


@web.middleware
async def _typed_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ComityError as problem:
        return web.Response(
            status=problem.http_status,
            body=problem_text(problem).encode(),
            content_type=PROBLEM_TYPE,
        )


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """A form of the socket's ``path`` that is short enough for the kernel, as long as the block lasts."""
    if len(os.fsencode(path)) <= _MAX_PATH_BYTES:
        yield os.fspath(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


async def listen_control(runner: web.AppRunner, path: Path) -> None:
    """Listen on the socket ``path``, in place of one that an earlier process left; raises :class:`SettingsError`.

    The caller holds the node's database, so no other process of this node can be using the socket.
    """
    try:
        await asyncio.to_thread(path.unlink, missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Before it has a name: so there is no moment at which others may open it.
        os.fchmod(listening.fileno(), PRIVATE_MODE)
        with socket_address(path) as address:
            listening.bind(address)
        await web.SockSite(runner, listening).start()
    except OSError as problem:
        raise SettingsError(f"the control socket {path} cannot be made: {problem.strerror}") from problem

"""``comity audit serve``: the auditor's view of mirrors, in a browser on this machine."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._options import DEFAULT_HOME, HomeOption, JsonOption, PassphraseOption, run, with_desk
from exchange.cli.audit.mirrors import (
    AnewOption,
    JobsOption,
    MirrorsArgument,
    WitnessedOption,
    mirror_of,
    plan_of,
    verified_all,
    witnesses_of,
)
from exchange.cli.output import line, print_json_line
from exchange.i18n import _
from keys.local.terminal import INTERRUPTED
from protocol.errors import ComityError

if TYPE_CHECKING:
    from exchange.audit_pages.logs import SeenLog
    from exchange.audit_pages.site import AuditSite
    from exchange.desk.desk import Desk


def serve(
    mirrors: MirrorsArgument,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help=_("The port on this machine; 0 takes a free one."))
    ] = 0,
    require_witnessed: WitnessedOption = False,
    jobs: JobsOption = 1,
    anew: AnewOption = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the view until it is ended."""

    async def work(desk: Desk) -> int | None:
        from exchange.audit.period import ALWAYS
        from exchange.audit_pages.logs import AuditedLogs, SeenLog, seen_files
        from exchange.audit_pages.server import audit_site
        from keys.pages.serving import quiet_libraries

        async def verify(*, anew: bool = False) -> tuple[SeenLog, ...]:
            plan = plan_of(desk, home, ALWAYS, jobs, anew=anew)
            # Looked at before they are read: somebody may alter them meanwhile.
            files = [seen_files(mirror_of(home, text)[1]) for text in mirrors]
            logs = await verified_all(desk, home, mirrors, plan, require_witnessed=require_witnessed, as_json=True)
            at = datetime.now(UTC)
            return tuple(
                [SeenLog(log, await witnesses_of(desk, log), at, seen) for log, seen in zip(logs, files, strict=True)]
            )

        logs = AuditedLogs(await verify(anew=anew), verify)
        quiet_libraries()
        zone = None
        with suppress(ComityError):
            zone = desk.directory.contact_point(desk.address).time_zone
        async with audit_site(desk.address, logs, lambda: datetime.now(UTC), port, zone) as site:
            interrupted = await _until_ended(site, as_json=as_json)
        return INTERRUPTED if interrupted else None

    run(with_desk(home, passphrase_file, work), as_json=as_json)


async def _until_ended(site: AuditSite, *, as_json: bool) -> bool:
    """Whether Ctrl-C ended it."""
    import asyncio  # the help does without

    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    received: list[int] = []

    def end(number: int) -> None:
        received.append(number)
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, number)
    _say(site, as_json=as_json)
    typing = sys.stdin.isatty()
    if typing:
        loop.add_reader(sys.stdin, lambda: _another(site))
    try:
        await ended.wait()
    finally:
        if typing:
            loop.remove_reader(sys.stdin)
    if not as_json:
        line(_("The view has ended."))
    return signal.SIGINT in received


def _say(site: AuditSite, *, as_json: bool) -> None:
    code = site.codes.make()
    if as_json:
        print_json_line({"event": "serving", "address": site.origin, "code": code, "good_s": site.codes.good_s})
        return
    line(_("The auditor's view, in a browser on this machine: {address}").format(address=site.origin))
    _say_code(code)
    line(_("Enter prints another code; Ctrl-C ends the view."))


def _say_code(code: str) -> None:
    line(_("Code to type there, good once and for ten minutes: {code}").format(code=code))


def _another(site: AuditSite) -> None:
    with suppress(OSError):
        if sys.stdin.readline():
            _say_code(site.codes.make())

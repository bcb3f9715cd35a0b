"""``comity desk``: the desk as a service; ``comity login``, ``logout``, ``sessions``: who is signed in at it."""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import time
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli._acting import given_login
from exchange.cli._options import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    PassphraseOption,
    open_desk_here,
    read_passphrase,
    run,
)
from exchange.cli.output import line, print_json, print_json_line, safe, table, told
from exchange.cli.setup import programs
from exchange.i18n import _, labelled
from exchange.service.run_folder import PAGES_FILE, PAGES_NOTE, is_owned, note_of_owner, owned
from exchange.service.served import Served, served_desk
from keys.local.terminal import INTERRUPTED, NOTHING
from protocol.encoding.phrase import phrase
from protocol.errors import OfficerNeededError, PagesNotServedError, ServiceBusyError, SessionError

if TYPE_CHECKING:
    from exchange.desk.watch import Seen
    from exchange.service.run_folder import RunNote

app = typer.Typer(no_args_is_help=True)
_ENDS_WITHIN_S = 60.0
_LOOK_AGAIN_S = 0.05
# Loaded by commands when they run: whole rooms, and single modules.
_ROOMS_LOADED = (
    "exchange.cases",
    "exchange.cli",
    "exchange.desk",
    "exchange.files",
    "exchange.link",
    "exchange.messaging",
    "exchange.office",
    "exchange.text",
)
_LOADED = (
    "_strptime",
    "aiohttp",
    "cryptography.hazmat.backends.openssl.backend",
    "exchange.cli._app",
    "exchange.evidence.bag_writer",
    "exchange.evidence.timestamps",
    "exchange.store.migrations",
    "importlib.readers",
    "importlib.resources.readers",
    "keys.directory.legal_profile",
    "protocol.lifecycle.case",
    "protocol.lifecycle.deadlines",
    "protocol.lifecycle.projection",
    "protocol.lifecycle.warnings",
    "protocol.messages.cautions",
    "protocol.messages.officer_signature",
    "protocol.messages.parse",
    "protocol.messages.passing_on",
    "protocol.messages.versions",
    "rich.console",
    "rich.progress",
    "rich.table",
    "tuf.api.serialization.json",
    "yaml",
)


@app.command(
    "run",
    help=_(
        "Run the desk: it keeps watch and runs everybody's commands until it is ended.\n\n"
        "Example: comity desk run --home /srv/desk"
    ),
)
def run_desk(
    run_folder: Annotated[
        Path | None, typer.Option("--run-folder", help=_("The folder of the sockets: this user's alone, a short path."))
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the desk."""
    from exchange.service.service import DeskService
    from exchange.settings import DeskSettings, Home
    from keys.secrets.keystore import Keystore

    folder = home.expanduser().resolve()
    kept = DeskSettings.load(Home(folder).settings).service.run_folder
    wanted = run_folder.expanduser() if run_folder is not None else Path(kept) if kept else None
    DeskService.begin()
    with owned(folder, wanted, os.environ) as note:
        keystore = Keystore.open(Home(folder).keystore, read_passphrase(passphrase_file))
        _load_commands()
        service = DeskService.prepare(folder, keystore, _run_command)
        service.on_seen.append(lambda seen: _say_seen(seen, as_json=as_json))

        async def work() -> int | None:
            import asyncio

            received: list[int] = []

            def end(number: int) -> None:
                received.append(number)
                service.end()

            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, end, number)
            from exchange.service.api.server import local_api
            from exchange.web.server import web_pages

            def api(running: DeskService) -> AbstractAsyncContextManager[object]:
                return local_api(running, note.api_socket)

            pages: list[str] = []
            await service.run(
                note,
                [api, partial(web_pages, opened=pages, folder=note.folder)],
                ready=lambda: _say_it_runs(note, folder, pages, as_json=as_json),
            )
            if not as_json:
                line(_("The desk has ended."))
            return INTERRUPTED if signal.SIGINT in received else None

        run(work, as_json=as_json)


@app.command("status", help=_("Say whether the desk runs.\n\nExample: comity desk status"))
def status(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Say whether it runs; 5 where it does not."""
    folder = home.expanduser()
    note = note_of_owner(folder)
    if as_json:
        found = {"pid": note.pid, "run_folder": note.folder, "pages": _pages(note)} if note else {}
        print_json({"running": note is not None, **found})
    elif note is None:
        line(_("The desk does not run: each command opens the home itself."))
    else:
        text = _("The desk runs: process {pid}, sockets in {folder}")
        line(text.format(pid=note.pid, folder=safe(note.folder)))
        pages = _pages(note)
        if pages is not None:
            line(_("Its pages, in a browser: {address}").format(address=safe(pages)))
    raise typer.Exit(0 if note else NOTHING)


@app.command(
    "open",
    help=_(
        "Open the desk's pages in a browser: their address is a new one at each start.\n\n"
        "--print only prints the address.\n\nExample: comity desk open"
    ),
)
def open_pages(
    print_only: Annotated[
        bool, typer.Option("--print", help=_("Print the address, and open nothing; show it to nobody."))
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Open them by a file of this user alone: the arguments of a browser are read by every user of the machine."""

    async def work() -> None:
        folder = home.expanduser()
        note = note_of_owner(folder)
        if note is None:
            raise PagesNotServedError(phrase("the desk does not run: start it with comity desk run"))
        address, file = _pages(note), Path(note.folder, PAGES_FILE)
        if address is None or not file.is_file():
            raise PagesNotServedError(_why_no_pages(folder))
        opened = not print_only and _opens_in_a_browser(file)
        if as_json:
            print_json({"address": address, "file": str(file), "opened": opened})
        elif opened:
            line(_("The pages open in the browser. Signing in there may need a code: comity web code"))
        else:
            if not print_only:
                line(_("No browser can be opened here. Open this address in one on this machine:"))
            line(safe(address))

    run(work, as_json=as_json)


@app.command("stop", help=_("End the desk, when the commands that run have ended.\n\nExample: comity desk stop"))
def stop(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """End it in order; 5 where it does not run."""
    folder = home.expanduser()
    note = note_of_owner(folder)
    if note is None:
        if as_json:
            print_json({"ended": False})
        else:
            line(_("The desk does not run."))
        raise typer.Exit(NOTHING)
    pid = _owner(note)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + _ENDS_WITHIN_S
    while is_owned(folder):
        if time.monotonic() >= until:
            raise ServiceBusyError(phrase("process {pid} runs commands that do not end", pid=pid))
        time.sleep(_LOOK_AGAIN_S)
    if as_json:
        print_json({"ended": True})
    else:
        line(_("The desk has ended."))


@app.command(
    "unit",
    help=_(
        "Print the systemd unit by which the desk runs from the start of the machine on.\n\n"
        "Example: comity desk unit --home /srv/desk > /etc/systemd/system/comity-desk.service"
    ),
)
def unit(
    user: Annotated[str, typer.Option("--user", help=_("The system's user whose desk it is."))] = "comity-desk",
    credential: Annotated[
        Path, typer.Option("--credential", help=_("The file with the desk's passphrase, which root alone can read."))
    ] = Path("/etc/comity/desk-passphrase"),
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Print the unit."""
    from exchange.service.unit import unit_text

    text = unit_text(Path(sys.argv[0]).resolve(), home.expanduser().resolve(), user, credential)
    if as_json:
        print_json({"unit": text})
    else:
        line(text)


app.command(
    "api",
    help=_(
        "Write the description of the local API, an OpenAPI document.\n\nExample: comity desk api --out desk-api.json"
    ),
)(programs.write_api)
app.command(
    "events",
    help=_(
        "Follow what happens at the running desk, one line each; --after goes on where you stopped.\n\n"
        "Example: comity desk events --json --after 117"
    ),
)(programs.events)
app.command(
    "webhook-secret",
    help=_(
        "Print the secret by which each webhook knows that a notice is this desk's.\n\n"
        "Example: comity desk webhook-secret"
    ),
)(programs.webhook_secret)


def login(
    home: HomeOption = DEFAULT_HOME, passphrase_file: PassphraseOption = None, as_json: JsonOption = False
) -> None:
    """Sign in: asks the passphrase once, for all commands from this terminal."""

    async def work() -> None:
        officer = given_login().officer
        served = _served(home)
        if officer is None:
            raise OfficerNeededError(phrase("it was not said who signs in"))
        async with open_desk_here(home, passphrase_file, signing_in=True):
            found = served.signed_in(officer)
        if found is None:
            raise SessionError(phrase("the first process of this terminal session has ended"))
        if as_json:
            print_json({"officer": found.officer})
        else:
            line(_("Signed in: {officer}").format(officer=found.officer))

    run(work, as_json=as_json)


def logout(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Sign out of this terminal."""

    async def work() -> int | None:
        gone = _served(home).ask("end", officer=given_login().officer)
        if as_json:
            print_json({"officers": gone})
        for officer in () if as_json else gone:
            line(_("Signed out: {officer}").format(officer=safe(officer)))
        if not gone and not as_json:
            line(_("Nobody is signed in here."))
        return None if gone else NOTHING

    run(work, as_json=as_json)


def sessions(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Who is signed in at the running desk."""

    async def work() -> int | None:
        found: list[dict[str, Any]] = _served(home).ask("sessions")
        if as_json:
            print_json({"sessions": found})
        elif found:
            heads = [_("Officer"), _("Here"), _("Minutes idle"), _("Terminal session")]
            table(_("Signed in"), heads, [_session_row(one) for one in found])
        else:
            line(_("Nobody is signed in."))
        return None if found else NOTHING

    run(work, as_json=as_json)


# --- Inside ---


def _session_row(one: dict[str, Any]) -> tuple[object, ...]:
    return (safe(one["officer"]), _("yes") if one["here"] else _("no"), one["idle_s"] // 60, one["leader"])


def _served(home: Path) -> Served:
    served = served_desk(home)
    if served is None:
        raise SessionError(phrase("the desk does not run: without it nobody is signed in, and each command asks"))
    return served


def _run_command() -> None:
    # By its name: a command in another language loads its modules anew.
    import_module("exchange.cli._app").run_here()


def _load_commands() -> None:
    """Load what commands run, once, before the process that they are made from."""
    from exchange.cli._commands import ROWS

    rooms = [(name, import_module(name)) for name in _ROOMS_LOADED]
    found = (module.name for name, room in rooms for module in walk_packages(room.__path__, f"{name}."))
    for name in (*_LOADED, *found):
        import_module(name)
    for row in ROWS:
        if row.name != "demo":
            row.target()


def _owner(note: RunNote) -> int:
    """The process that listens, as the system says; else the one that wrote the note."""
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(note.command_socket)
        size = struct.calcsize("3i")
        return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0])
    return note.pid


def _pages(note: RunNote) -> str | None:
    """Where the pages of the running desk are; None where it serves none."""
    with suppress(OSError, UnicodeDecodeError):
        return Path(note.folder, PAGES_NOTE).read_text("ascii")[:300]
    return None


def _why_no_pages(home: Path) -> str:
    """Why a desk that runs has no pages: its settings say so, or it has only just begun."""
    from exchange.settings import DeskSettings, Home

    if DeskSettings.load(Home(home).settings).web.enabled:
        return phrase("the desk begins just now, and its pages are not there yet: try it again in some seconds")
    return phrase("the settings of this desk say that it serves no pages")


def _opens_in_a_browser(file: Path) -> bool:
    """Whether a browser took the file. Without a display none is begun, not even one that would run in the terminal."""
    import webbrowser

    if not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")):
        return False
    try:
        return webbrowser.open(file.resolve().as_uri())
    except (webbrowser.Error, OSError):
        return False


def _say_it_runs(note: RunNote, home: Path, pages: list[str], *, as_json: bool) -> None:
    if as_json:
        told = {"event": "running", "pid": note.pid, "home": str(home), "run_folder": note.folder, "pages": pages}
        print_json_line(told)
    else:
        text = _("The desk {home} runs: process {pid}, sockets in {folder}")
        line(text.format(home=safe(str(home)), pid=note.pid, folder=safe(note.folder)))
        for one in pages:
            line(_("Its pages, in a browser: {address}").format(address=one))


def _say_seen(seen: Seen, *, as_json: bool) -> None:
    """For the machine's log: that something came or went wrong, never what."""
    from exchange.desk.watch import Interrupted, LogContradicted, LogStale, TryFailed
    from exchange.views import SyncResult

    if isinstance(seen, SyncResult):
        counts = {"received": len(seen.received), "receipts": seen.receipts}
        if as_json:
            print_json_line({"event": "arrived", **counts})
        else:
            line(_("Messages that arrived: {received}; receipts: {receipts}").format(**counts))
    elif isinstance(seen, Interrupted | TryFailed):
        if as_json:
            print_json_line({"event": "interrupted", "error": seen.error.code})
        else:
            line(labelled(_("The watch cannot see everything now, and tries again"), safe(_(seen.error.detail))))
    elif isinstance(seen, LogContradicted | LogStale):
        if as_json:
            print_json_line({"event": "log", "detail": seen.detail})
        else:
            line(labelled(_("The log of this desk's node"), told(seen.detail)))

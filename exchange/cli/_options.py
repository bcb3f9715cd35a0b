"""Options that commands share, and how a command runs."""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from exchange.cli._acting import given_login
from exchange.i18n import _
from keys.local.terminal import INTERRUPTED, ask, refuse
from protocol.errors import ComityError, MalformedError, RecipientNeededError, UsageError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from exchange.desk.desk import Desk
    from exchange.office.officers import Login
    from keys.secrets.keystore import Keystore

T = TypeVar("T")

CleanOption = Annotated[
    bool,
    typer.Option("--clean", help=_("Take marks that cannot be seen out of identifiers, and say which were removed.")),
]

JsonOption = Annotated[bool, typer.Option("--json", help=_("Print one JSON object."))]
HomeOption = Annotated[
    Path, typer.Option("--home", envvar="COMITY_HOME", help=_("The desk's home folder."), show_default=True)
]
PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        envvar="COMITY_PASSPHRASE_FILE",
        help=_("A file (mode 0600) whose first line is the keystore's passphrase; else it is asked for."),
    ),
]
NewPassphraseOption = Annotated[
    Path | None,
    typer.Option("--new-passphrase-file", help=_("A file with the new passphrase; else it is asked for.")),
]
QuickDerivationOption = Annotated[
    bool, typer.Option("--quick-derivation", help=_("Cheaper passphrase derivation: for demonstrations only."))
]
WaitOption = Annotated[float, typer.Option("--wait", min=0, max=30, help=_("Seconds to wait for something new."))]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000)]
RemarkOption = Annotated[str | None, typer.Option("--remark", help=_("A remark for the sender."))]
FromOption = Annotated[str | None, typer.Option("--from", help=_("From this date and time on (with time zone)."))]
ToOption = Annotated[str | None, typer.Option("--to", help=_("Before this date and time (with time zone)."))]
CountryOption = Annotated[str | None, typer.Option(help=_("Only of this country, such as FR."))]
OutOrPrintOption = Annotated[Path | None, typer.Option("--out", help=_("The file to write; else standard output."))]
DraftArgument = Annotated[Path, typer.Argument(help=_("The draft."))]
PreservationDraftArgument = Annotated[Path, typer.Argument(help=_("The draft of a preservation.request."))]
NodeArgument = Annotated[str, typer.Argument(help=_("The node."))]
# Commands that need one and commands that do not take the same option.
TSA = typer.Option("--tsa", help=_("URL of a timestamp authority (RFC 3161); repeat it."))
TSA_ROOTS = typer.Option("--tsa-roots", help=_("PEM file of the timestamp authorities' root certificates."))
REPLACED_OUT = typer.Option("--out", help=_("The file to write; it is replaced if it exists."))
TsaRootsOption = Annotated[Path | None, TSA_ROOTS]
DisclosureOption = Annotated[
    Path | None, typer.Option("--disclosure", help=_("A disclosure, for a bag without content."))
]
IdArgument = Annotated[str, typer.Argument(help=_("The message's id, or its first or last characters."))]
TargetsOption = Annotated[
    list[str] | None, typer.Option("--target", help=_("The target it is about, such as t1; repeat it."))
]
SHORT_ID = 8  # the end of an id: its beginning is a time, alike in neighbours
# Wanted by most commands once the desk is open: loaded while the key is derived, and only as long as that takes.
_MEANWHILE = ("aiohttp", "protocol.messages.parse", "protocol.lifecycle.case")
DEFAULT_HOME = Path("~/.comity")
# As people write an instant: with a space for the T, and to the minute.
_AS_TYPED = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:[\d.]+)?(?=[Zz+-])", re.ASCII)


def read_login() -> Login:
    """Who acts, the officer's passphrase read or asked for. :class:`UsageError`, :class:`KeystoreError`."""
    from exchange.office.officers import Login

    given = given_login()
    if given.officer is None:
        return Login(purpose=given.purpose, reason=given.reason)
    read = read_officer_passphrase(given.passphrase_file, given.officer, "--officer-passphrase-file")
    return Login(given.officer, read, given.purpose, given.reason)


def read_passphrase(path: Path | None, *, new: bool = False) -> bytes:
    """The passphrase; for a ``new`` keystore it is asked twice. :class:`UsageError`, :class:`KeystoreError`."""
    from keys.local.passphrase import ask_passphrase, read_passphrase_file

    if path is not None:
        return read_passphrase_file(path)
    return ask_passphrase(_("Passphrase: "), _("Again: ") if new else None)


def read_officer_passphrase(path: Path | None, officer: str, option: str, *, new: bool = False) -> bytes:
    """As :func:`read_passphrase`, for an officer's own key; ``option`` is that which names the file."""
    from keys.local.passphrase import ask_passphrase, read_passphrase_file

    if path is not None:
        return read_passphrase_file(path)
    prompt = _("Passphrase of {officer}: ").format(officer=officer)
    return ask_passphrase(prompt, _("Again: ") if new else None, option)


def instant(text: str | None) -> datetime | None:
    """The instant that a person wrote, with its offset; seconds may be left out. Raises :class:`UsageError`."""
    if text is None:
        return None
    from protocol.encoding.instants import parse_instant

    try:
        return parse_instant(_AS_TYPED.sub(lambda found: f"{found[1]}T{found[2]}{found[3] or ':00'}", text, count=1))
    except MalformedError as problem:
        raise UsageError(problem.detail) from None


def run(work: Callable[[], Coroutine[Any, Any, int | None]], *, as_json: bool) -> None:
    """Run a command to its exit code; a typed error is shown, whatever else is a defect and shown without values."""
    import asyncio

    try:
        code = asyncio.run(work())
    except ComityError as error:
        code = refuse(error, as_json=as_json)
    except KeyboardInterrupt:
        code = INTERRUPTED
    raise typer.Exit(code or 0)


async def until_signalled(work: Coroutine[Any, Any, None]) -> int | None:
    """Do ``work`` until it ends, or until SIGINT or SIGTERM ends it in order; the exit code."""
    import asyncio
    import signal

    ending = (signal.SIGINT, signal.SIGTERM)
    loop, working, received = asyncio.get_running_loop(), asyncio.ensure_future(work), list[int]()

    before = {number: signal.getsignal(number) for number in ending}

    def end(number: int) -> None:
        if not received:
            working.cancel()
            # Some send one request as two signals. A later one ends also what does not end in order.
            loop.call_later(1, leave_to_others)
        received.append(number)

    def leave_to_others() -> None:
        for number in ending:
            if loop.remove_signal_handler(number):
                signal.signal(number, before[number])

    for number in ending:
        loop.add_signal_handler(number, end, number)
    try:
        await working
    except asyncio.CancelledError:
        if not received:
            raise
        return 128 + received[0]
    finally:
        leave_to_others()
    return None


RecipientOption = Annotated[
    str | None, typer.Option("--to", help=_("Who gets it: a court, a person, or a contact point's address."))
]
PurposeOption = Annotated[
    str | None, typer.Option("--purpose", help=_("What for, a code of the list record_purpose, such as proceedings."))
]


def read_handing(to: str | None, purpose: str | None) -> tuple[str, str]:
    """To whom something is given and what for; asked of the person at the terminal where it was not said.

    Raises :class:`RecipientNeededError` when nobody can be asked.
    """
    given = (to, purpose or given_login().purpose)
    if not all(given) and not sys.stdin.isatty():
        raise RecipientNeededError("it was not said who gets it, or what for")
    questions = (_("Who gets it?"), _("What for (a code of the list record_purpose)?"))
    asked = [value or ask(question, err=True) for value, question in zip(given, questions, strict=True)]
    return asked[0], asked[1]


def with_desk(
    home: Path, passphrase_file: Path | None, work: Callable[[Desk], Coroutine[Any, Any, int | None]]
) -> Callable[[], Coroutine[Any, Any, int | None]]:
    """``work`` on the opened desk."""

    async def opened() -> int | None:
        secret, folder = read_passphrase(passphrase_file), home.expanduser()
        keystore = _begin_to_open(folder, secret)
        from exchange.desk.desk import Desk, utc_now

        for module in _MEANWHILE:
            if keystore.done():
                break
            import_module(module)
        async with Desk.open(folder, secret, clock=utc_now, login=read_login(), keystore=_awaited(keystore)) as desk:
            return await work(desk)

    return opened


def _begin_to_open(home: Path, passphrase: bytes) -> Future[Keystore]:
    """Derive the key of the desk's keystore on another core, while what a desk is made of is imported on this one."""
    from concurrent.futures import ThreadPoolExecutor

    from keys.secrets.keystore import FILE_NAME, Keystore

    worker = ThreadPoolExecutor(max_workers=1)
    opening = worker.submit(Keystore.open, home / FILE_NAME, passphrase)
    worker.shutdown(wait=False)
    return opening


def _awaited(opening: Future[T]) -> Awaitable[T]:
    """What is awaited of it: where the settings are refused first, nobody asks what came of it."""
    import asyncio

    awaited = asyncio.wrap_future(opening)
    awaited.add_done_callback(lambda done: done.cancelled() or done.exception())
    return awaited

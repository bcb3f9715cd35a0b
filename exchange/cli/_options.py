"""Options that commands share, and how a command runs."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import typer

from exchange.cli._acting import GivenLogin, given_key, given_login
from exchange.cli._attaching import with_files
from exchange.i18n import _
from exchange.service.served import a_served_desk, served_desk
from keys.local.terminal import ask, interrupted, is_ending, refuse
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, MalformedError, RecipientNeededError, UsageError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from exchange.desk.desk import Desk
    from exchange.office.officers import Acting, Login
    from exchange.service.served import Served, SignedIn
    from keys.secrets.keystore import Keystore

T = TypeVar("T")

Given = TypeVar("Given", bound="str | list[str] | None")


def code_in(name: str) -> Callable[[Given], Given]:
    """A callback for an option whose value is a code of the list ``name``: words for it are understood too.

    The command itself refuses what is neither, where a refusal is shown as every other is.
    """

    def read(value: Given) -> Given:
        if not value:
            return value
        from exchange.text.code_words import find_code

        if isinstance(value, list):
            return cast("Given", [find_code(name, one) or one for one in value])
        return cast("Given", find_code(name, str(value)) or value)

    return read


def required_code(name: str, value: str | None) -> str | None:
    """The code of a list; raises :class:`UsageError` for what is none, with the allowed values and the likely one."""
    from exchange.text.code_words import code_of

    return code_of(name, value) if value else None


CleanOption = Annotated[
    bool,
    typer.Option("--clean", help=_("Take marks that cannot be seen out of identifiers, and say which were removed.")),
]

LanguageOption = Annotated[
    str | None,
    typer.Option("--language", help=_("The language of your text (a code such as fr), if not that of the settings.")),
]
AtOnceOption = Annotated[
    bool,
    typer.Option(
        "--at-once",
        help=_("To several nations: send now. Who compares the times then sees that the messages belong together."),
    ),
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
SecondOfficerOption = Annotated[str, typer.Option("--second-officer", help=_("The id of another officer, in person."))]
SecondPassphraseOption = Annotated[
    Path | None,
    typer.Option("--second-passphrase-file", help=_("The second officer's passphrase in a file; else it is asked.")),
]
WaitOption = Annotated[float, typer.Option("--wait", min=0, max=30, help=_("Seconds to wait for something new."))]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=100_000, help=_("How many at most."))]
RemarkOption = Annotated[str | None, typer.Option("--remark", help=_("A remark for the sender."))]
FromOption = Annotated[str | None, typer.Option("--from", help=_("From this date and time on (with time zone)."))]
ToOption = Annotated[str | None, typer.Option("--to", help=_("Before this date and time (with time zone)."))]
CountryOption = Annotated[
    str | None, typer.Option(callback=code_in("country"), help=_("Only of this country, such as FR or France."))
]
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
OfflineProofsOption = Annotated[
    bool, typer.Option("--offline", help=_("Do not ask the logs for proofs that witnesses cosigned."))
]
EvidenceFilesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--files",
        help=_("An evidence file that lies beside the bag, sealed or opened, or a folder; repeat it."),
    ),
]
IdArgument = Annotated[str, typer.Argument(help=_("The message's id, or its first or last characters."))]
TargetsOption = Annotated[
    list[str] | None, typer.Option("--target", help=_("The target it is about, such as t1; repeat it."))
]
SHORT_ID = 8  # the end of an id: its beginning is a time, alike in neighbours
# Loaded while the key is derived, and only as long as that takes: first that with which every desk opens, then that
# with which most commands read messages, in steps of some milliseconds. Any other command waits for one step at most.
_MEANWHILE = (
    "tuf.api.serialization.json",
    "_strptime",
    "importlib.resources.readers",
    "cryptography.hazmat.backends.openssl.backend",
    "exchange.text.zones",
    "keys.transport.long_bodies",
    "protocol.messages.schema.base",
    "protocol.messages.schema.identifiers",
    "protocol.messages.schema.parts",
    "protocol.messages.schema.use",
    "protocol.messages.schema.circumstances",
    "protocol.messages.types.answer",
    "protocol.messages.types.emergency",
    "protocol.messages.types.information",
    "protocol.messages.types.preservation",
    "protocol.messages.types.preservation_course",
    "protocol.messages.parse",
    "protocol.lifecycle.facts",
    "protocol.lifecycle.case",
)
DEFAULT_HOME = Path("~/.comity")
# As people write an instant: with a space for the T, and to the minute.
_AS_TYPED = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:[\d.]+)?(?=[Zz+-])", re.ASCII)


def read_login() -> Login:
    """Who acts, the officer's passphrase read or asked for. :class:`UsageError`, :class:`KeystoreError`."""
    from exchange.office.officers import Login

    given, served = given_login(), a_served_desk()
    file = given.passphrase_file
    if served is not None and (given.officer is None or file is None):
        found = served.signed_in(given.officer)
        if found is not None:
            return _signed_in(found, given)
    if given.officer is None:
        return Login(purpose=_purpose(given), reason=given.reason)
    read = read_officer_passphrase(file, given.officer, "--officer-passphrase-file")
    if served is not None:
        found = served.signed_in(given.officer, read)
        if found is not None:
            return _signed_in(found, given)
    return Login(given.officer, read, _purpose(given), given.reason)


def _signed_in(found: SignedIn, given: GivenLogin) -> Login:
    from exchange.office.officers import Login
    from protocol.crypto.signing import Ed25519Signer

    return Login(found.officer, None, _purpose(given), given.reason, None, Ed25519Signer(found.seed))


def _purpose(given: GivenLogin) -> str | None:
    """The code of the purpose that was given, perhaps in words; raises :class:`UsageError`."""
    from exchange.text.code_words import code_of

    return code_of("record_purpose", given.purpose) if given.purpose else given.purpose


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
    return None if text is None else given_instant(text)


def given_instant(text: str) -> datetime:
    """As :func:`instant`, where one must be given."""
    from protocol.encoding.instants import parse_instant

    try:
        return parse_instant(_AS_TYPED.sub(lambda found: f"{found[1]}T{found[2]}{found[3] or ':00'}", text, count=1))
    except MalformedError as problem:
        raise UsageError(problem.detail) from None


def run(work: Callable[[], Coroutine[Any, Any, int | None]], *, as_json: bool) -> None:
    """Run a command to its exit code; a typed error is shown, whatever else is a defect and shown without values."""
    from exchange.cli._interrupts import run_interruptible

    try:
        code = run_interruptible(work)
    except ComityError as error:
        code = interrupted() if is_ending() else refuse(error, as_json=as_json)
    except KeyboardInterrupt:
        code = interrupted()
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
    str | None,
    typer.Option(
        "--purpose",
        callback=code_in("record_purpose"),
        help=_("What for, a code of the list record_purpose, such as proceedings."),
    ),
]


def read_handing(to: str | None, purpose: str | None) -> tuple[str, str]:
    """To whom something is given and what for; asked of the person at the terminal where it was not said.

    Raises :class:`RecipientNeededError` when nobody can be asked.
    """
    given = (to, purpose or _purpose(given_login()))
    if not all(given) and not sys.stdin.isatty():
        raise RecipientNeededError(phrase("it was not said who gets it, or what for"))
    questions = (_("Who gets it?"), _("What for (a code of the list record_purpose)?"))
    asked = [value or ask(question, err=True) for value, question in zip(given, questions, strict=True)]
    return asked[0], asked[1]


def with_desk(
    home: Path, passphrase_file: Path | None, work: Callable[[Desk], Coroutine[Any, Any, int | None]]
) -> Callable[[], Coroutine[Any, Any, int | None]]:
    """``work`` on the opened desk."""

    async def opened() -> int | None:
        from exchange.messaging.once import under_key

        async with open_desk_here(home, passphrase_file) as desk:
            with under_key(given_key()):
                async with with_files(desk, served=served_desk(home) is not None) as codes:
                    code = await work(desk)
                return code or next(iter(codes), None)

    return opened


@asynccontextmanager
async def open_desk_here(
    home: Path, passphrase_file: Path | None, *, carried: Mapping[str, bytes] | None = None, signing_in: bool = False
) -> AsyncIterator[Desk]:
    """The desk, opened for who acts: with the keys that a running desk has unlocked, else with its passphrase.

    An officer who typed a passphrase stays signed in at a running desk; ``signing_in``: also by a file.
    """
    served, folder = served_desk(home), home.expanduser()
    keystore = None if served is None else _unlocked(served)
    secret = b"" if keystore is not None else read_passphrase(passphrase_file)
    awaited = _opening(folder, secret) if keystore is None else _done(keystore)
    from exchange.desk.desk import open_desk, utc_now

    login, derived = read_login(), None if served is None else served.derived
    opening = open_desk(
        folder, secret, clock=utc_now, carried=carried, keystore=awaited, derived=derived, lean=served is None
    )
    async with opening as opened:
        acting = await opened.acting(login)
        if served is not None and login.passphrase is not None:
            typed = given_login().passphrase_file is None
            _stay_signed_in(served, acting, login.passphrase, stays=typed or signing_in)
        desk = opened.desk(acting)
        _show_times_of(desk)
        yield desk


def _show_times_of(desk: Desk) -> None:
    """Show times in the zone of the office, as long as the environment names no other."""
    from exchange.text.zones import show_times_of

    zone = None
    with suppress(ComityError):
        zone = desk.directory.contact_point(desk.address).time_zone
    show_times_of(zone)


def _opening(folder: Path, secret: bytes) -> Awaitable[Keystore]:
    """The keystore that is being opened, while what a desk is made of is imported."""
    opening = _begin_to_open(folder, secret)
    import_module("exchange.desk.desk")
    for module in _MEANWHILE:
        if opening.done():
            break
        import_module(module)
    return _awaited(opening)


def _unlocked(served: Served) -> Keystore | None:
    """The keystore that a running desk unlocked; None when its passphrase is another one by now."""
    from protocol.errors import KeystoreLockedError

    try:
        served.keystore.reload()
    except KeystoreLockedError:
        return None
    return served.keystore


async def _done(keystore: Keystore) -> Keystore:
    return keystore


def _stay_signed_in(served: Served, acting: Acting, passphrase: bytes, *, stays: bool) -> None:
    """Keep the officer, whose passphrase was right, signed in where the command was typed."""
    from protocol.crypto.signing import Ed25519Signer
    from protocol.errors import SessionError

    if acting.officer is not None and isinstance(acting.signer, Ed25519Signer):
        with suppress(SessionError):  # the passphrase is asked again, as it is without a running desk
            served.sign_in(acting.officer.id, acting.signer.seed(), passphrase, stays=stays)


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

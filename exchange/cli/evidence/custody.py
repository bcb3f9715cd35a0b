"""``comity files custody | export | scan | allow``: who had a file, and how it leaves the desk."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._attaching import file_progress, require_whole
from exchange.cli._options import (
    DEFAULT_HOME,
    SHORT_ID,
    HomeOption,
    IdArgument,
    JsonOption,
    OfflineProofsOption,
    PassphraseOption,
    PurposeOption,
    RecipientOption,
    SecondOfficerOption,
    SecondPassphraseOption,
    read_handing,
    read_officer_passphrase,
    run,
    with_desk,
)
from exchange.cli.evidence.files import NamesOption, app
from exchange.cli.output import line, print_json, safe
from exchange.i18n import _
from keys.local.terminal import UNCHECKED, UNVERIFIED
from protocol.encoding.phrase import phrase
from protocol.errors import FileCopyAlteredError, NotFoundError

if TYPE_CHECKING:
    from uuid import UUID

    from exchange.content.verdicts import ScanResult
    from exchange.custody.chain import Custody
    from exchange.desk.desk import Desk

WIDTH = 80
WhatArgument = Annotated[
    str, typer.Argument(help=_("A file on this machine, its name in a message, or the beginning of its SHA-256."))
]
FileArgument = Annotated[Path, typer.Argument(help=_("The file."))]
MessageOption = Annotated[str | None, typer.Option("--message", help=_("Only in this message."))]
BagOption = Annotated[Path, typer.Option("--out", help=_("The folder of the bag; it must not be there yet."))]
DiscloseOption = Annotated[
    bool, typer.Option("--disclose", help=_("Put the content of the message into the bag too, in the clear."))
]


@app.command(
    "custody",
    help=_(
        "Show the custody of a file: who added it, each hop that is proved, who opened and exported it, and what is"
        " missing.\n\nExample: comity files custody server.img --message 7f3a"
    ),
)
def custody(
    what: WhatArgument,
    message: MessageOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show custody."""

    async def work(desk: Desk) -> None:
        only = None if message is None else await desk.messages.resolve(message)
        copy = Path(what) if Path(what).is_file() else None
        wanted = what if copy is None else _hash_of(copy)
        try:
            found = await _chains(desk, only, wanted)
        except NotFoundError:
            if copy is not None:
                await _require_unaltered(desk, copy, wanted)
            raise
        if as_json:
            print_json({"files": found})
            return
        for one in found:
            for text in custody_lines(one):
                line(text)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


async def _chains(desk: Desk, only: UUID | None, wanted: str) -> list[Custody]:
    messages = [only] if only is not None else await desk.custody.messages_with(wanted)
    if not messages:
        raise NotFoundError(phrase("no message here names that file"))
    return [one for each in messages for one in await desk.custody.chains(each, [wanted])]


async def _require_unaltered(desk: Desk, copy: Path, hashed: str) -> None:
    """Return if the file on this machine is no copy, by its name, of one that a message names.

    Raises :class:`FileCopyAlteredError`: the chain of a file is not that of a copy which is not the file any more.
    """
    for message in await desk.custody.messages_with(copy.name):
        for custody in await desk.custody.chains(message, [copy.name]):
            raise FileCopyAlteredError(
                phrase(
                    "{path} is not the file that message {message} names so: its SHA-256 is {found}, and the message"
                    " names {named}. The custody of the file itself: comity files custody {named}",
                    path=str(copy),
                    message=str(message)[-SHORT_ID:],
                    found=hashed,
                    named=custody.file.sha256,
                )
            )


def custody_lines(custody: Custody) -> Iterator[str]:
    """The custody of one file for a person, no line longer than a terminal of 80 columns; texts of others escaped."""
    from exchange.custody.reading import gap_text, more_text, shown_name, shown_text, state_text, step_text
    from exchange.text.sizes import bytes_text

    file = custody.file
    yield safe(shown_name(custody))
    about = [
        (_("Message"), str(file.message)),
        (_("Size"), f"{bytes_text(file.size_bytes)} ({file.size_bytes})"),
        (_("State"), state_text(file.state)),
    ]
    for kind, value in (*about, *((kind.upper(), value) for kind, value in file.hashes.items())):
        yield from _wrapped(f"{kind}: ", value)
    for said in custody.provider:
        parts = [said.name, said.country, said.reference, said.hash, said.certificate]
        yield from _wrapped(f"{_('Provider')}: ", safe(", ".join(filter(None, parts)) or "-"))
    for step in custody.steps:
        yield from _wrapped("  ", f"{safe(step.at)} {shown_text(step.shown)}: {safe(step_text(step))}, {safe(step.by)}")
        if more := more_text(step):
            yield from _wrapped("    ", safe(more))
    for gap in custody.gaps:
        yield from _wrapped(f"{_('NOT SHOWN')}: ", gap_text(gap))


def _wrapped(indent: str, text: str) -> list[str]:
    hanging = " " * min(len(indent), 4)
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=hanging, break_on_hyphens=False)


def _hash_of(path: Path) -> str:
    """The SHA-256 of a file on this machine, which is not opened otherwise; raises as
    :func:`require_whole`."""
    from exchange.custody.bagit import pieces_of

    require_whole(path)
    hashed = sha256()
    for piece in pieces_of(path):
        hashed.update(piece)
    return hashed.hexdigest()


@app.command(
    "export",
    help=_(
        "Write files of a message as a bag (BagIt) of any size, with their custody, as CASE/UCO too, and with the"
        " message's evidence; it is recorded. Given again, it goes on where it stopped.\n\n"
        "Example: comity files export 7f3a --out bag --to 'The court of Tokyo' --purpose proceedings"
    ),
)
def export(
    message: IdArgument,
    out: BagOption,
    names: NamesOption = None,
    to: RecipientOption = None,
    purpose: PurposeOption = None,
    disclose: DiscloseOption = False,
    offline: OfflineProofsOption = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export files."""

    async def work(desk: Desk) -> None:
        from exchange.custody.export import ExportWish

        who, what_for = read_handing(to, purpose)
        wish = ExportWish(who, what_for, tuple(names or ()), disclose, not offline)
        found = await desk.messages.resolve(message)
        with file_progress(as_json=as_json) as told:
            made = await desk.custody.export(found, out, wish, told)
        if as_json:
            print_json(made)
            return
        for one in made.files:
            scan = made.scans.get(one.path.rpartition("/")[2])
            line(f"{safe(str(out / one.path))}: {one.size_bytes}, SHA-256 {one.sha256}")
            if scan is not None and scan.finding.reason != "off":
                line(f"  {scan_text(scan)}")
        text = _("{folder}: whole; files: {count}; their custody goes on with entry {entry} of the processing log")
        line(text.format(folder=safe(str(out)), count=len(made.files), entry=made.records[0]))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    "scan",
    help=_(
        "Give a file to the office's scanners, which see it in the clear: clean, infected, or not scanned.\n\n"
        "Example: comity files scan case-4711/server.img"
    ),
)
def scan(
    file: FileArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Scan a file."""

    async def work(desk: Desk) -> int | None:
        require_whole(file)
        result = await desk.custody.scan(file)
        if as_json:
            from exchange.acts.evidence import scan_object

            print_json(scan_object(result))
        else:
            line(f"{safe(str(file))}: {scan_text(result)}")
        return {"clean": None, "infected": UNVERIFIED}.get(result.verdict, UNCHECKED)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def scan_text(result: ScanResult) -> str:
    """What the scanners say of a file, in words."""
    found = result.finding
    reasons = {
        "too-large": _("it is longer than what the settings give to a scanner"),
        "scanner-limit": _("the scanner looked at a part of it alone"),
        "preview-only": _("the scanner looked at its beginning alone"),
        "unreachable": _("the scanner cannot be reached"),
        "timeout": _("the scanner did not answer in time"),
        "protocol": _("the scanner's answer is none"),
        "modified": _("the scanner gave another file back"),
        "blind": _("the scanner does not find the trial file that every scanner knows"),
        "file-changed": _("the file changed meanwhile"),
        "off": _("no scanner is set"),
    }
    match result.verdict:
        case "clean":
            return _("clean, says {scanner}").format(scanner=safe(found.scanner))
        case "infected":
            text = _("INFECTED: {scanner} found {signature}")
            return text.format(scanner=safe(found.scanner), signature=safe(found.signature))
    return _("not scanned: {why}").format(why=reasons.get(found.reason or "", safe(found.reason)))


@app.command(
    "allow",
    help=_(
        "Let one file go that is exchanged by its hash alone: two officers, a reason; it is recorded. The settings must"
        " want it (hash_only = two_officers).\n\n"
        "Example: comity files allow 9f2c... 'For the expert of the court.' --second-officer tanaka"
    ),
)
def allow(
    sha256_: Annotated[str, typer.Argument(metavar="SHA256", help=_("The file's SHA-256, 64 hexadecimal digits."))],
    reason: Annotated[str, typer.Argument(help=_("Why this file itself is needed."))],
    second_officer: SecondOfficerOption,
    second_passphrase_file: SecondPassphraseOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Allow a file."""

    async def work(desk: Desk) -> None:
        from exchange.acts.evidence import allow_file

        secret = read_officer_passphrase(second_passphrase_file, second_officer, "--second-passphrase-file")
        decided = await allow_file(desk, sha256_, reason, second_officer, secret)
        if as_json:
            print_json(decided)
        else:
            text = _("{by} and {second} let this file go: {reason}")
            line(text.format(by=safe(decided.by), second=safe(decided.second), reason=safe(decided.reason)))

    run(with_desk(home, passphrase_file, work), as_json=as_json)

"""``comity report``, and what it shares with ``comity audit report``: figures as a file for people, or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    FromOption,
    HomeOption,
    JsonOption,
    PassphraseOption,
    ToOption,
    run,
    with_desk,
)
from exchange.cli.audit.mirrors import period_of
from exchange.cli.messages.files import write_out
from exchange.cli.messages.syncing import SyncOption, synced
from exchange.cli.output import line, print_json, progress
from exchange.i18n import _, labelled
from keys.local.passphrase import read_passphrase_file
from keys.local.translation import language as environment_language
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError

if TYPE_CHECKING:
    from pyhanko.sign.signers import SimpleSigner

    from exchange.desk.desk import Desk
    from exchange.report.audit_figures import AuditFigures
    from exchange.report.document import Document
    from exchange.report.language import Reader
    from exchange.report.office_figures import OfficeFigures

OutOption = Annotated[Path | None, typer.Option("--out", help=_("The file to write: its name ends in .pdf or .html."))]
LanguageOption = Annotated[
    str | None, typer.Option("--language", help=_("The language of the report, such as fr; else that of your texts."))
]
SuppressOption = Annotated[
    int,
    typer.Option(
        "--suppress-below", min=0, help=_("For publication: leave out every group that is smaller than this number.")
    ),
]
SignOption = Annotated[
    Path | None,
    typer.Option("--sign-with", help=_("Sign the PDF with this key and certificate: a PKCS#12 (.p12) or PEM file.")),
]
SignPassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--sign-passphrase-file", help=_("A file (mode 0600) whose first line is the passphrase of the signing key.")
    ),
]


@dataclass(frozen=True, slots=True)
class WantedReport:
    """What a person wants of a report: the file, if any, in which language, and signed by whom."""

    out: Path | None
    reader: Reader
    identity: SimpleSigner | None


def report(
    out: OutOption = None,
    since: FromOption = None,
    until: ToOption = None,
    language: LanguageOption = None,
    suppress_below: SuppressOption = 0,
    sign_with: SignOption = None,
    sign_passphrase_file: SignPassphraseOption = None,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write an office's report."""

    async def work() -> int | None:
        period = period_of(since, until)
        wanted = wanted_of(out, language, sign_with, sign_passphrase_file, as_json=as_json)

        async def of_desk(desk: Desk) -> None:
            from exchange.report import Suppression
            from exchange.report.office_document import office_document

            reached = await synced(desk, sync=sync)
            if not as_json:
                reached.say()
            with progress(_("cases"), as_json=as_json) as moved:
                figures = await desk.cases.figures(period, Suppression(suppress_below), moved)
            known = reached.members()
            await deliver(
                wanted, figures, lambda: office_document(figures, wanted.reader), as_json=as_json, known=known
            )

        return await with_desk(home, passphrase_file, of_desk)()

    run(work, as_json=as_json)


def wanted_of(
    out: Path | None, language: str | None, sign_with: Path | None, passphrase_file: Path | None, *, as_json: bool
) -> WantedReport:
    """What is wanted, checked before any work is done; raises :class:`UsageError`, :class:`SigningIdentityError`."""
    from exchange.report.language import Reader

    if out is None and not as_json:
        raise UsageError(_("name the file to write with --out, or ask for --json"))
    if out is not None and out.suffix.lower() not in {".pdf", ".html"}:
        raise UsageError(_("the file's name ends in .pdf or .html"))
    if out is not None and not out.parent.is_dir():
        raise UsageError(phrase("there is no folder {parent}", parent=out.parent))
    if sign_with is not None and (out is None or out.suffix.lower() != ".pdf"):
        raise UsageError(_("only a .pdf can be signed"))
    if passphrase_file is not None and sign_with is None:
        raise UsageError(_("name the signing key with --sign-with"))
    identity = None
    if sign_with is not None:
        from exchange.report.sign import read_identity

        passphrase = read_passphrase_file(passphrase_file) if passphrase_file is not None else None
        identity = read_identity(sign_with, passphrase, datetime.now(UTC))
    return WantedReport(out, Reader(language or environment_language()), identity)


async def deliver(
    wanted: WantedReport,
    figures: AuditFigures | OfficeFigures,
    document: Callable[[], Document],
    *,
    as_json: bool,
    known: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """Write the file, if one is wanted, and say what was done; for programs, also as of when it is ``known``.

    Raises :class:`UsageError` for a file that cannot be written, :class:`FontsMissingError`.
    """
    if wanted.out is not None:
        write_out(wanted.out, await _rendered(wanted.out, document(), wanted.identity))
    if as_json:
        print_json({"out": wanted.out, "signed": wanted.identity is not None, "figures": figures, **known})
    else:
        line(labelled(_("Written"), wanted.out))


async def _rendered(out: Path, document: Document, identity: SimpleSigner | None) -> bytes:
    if out.suffix.lower() == ".html":
        from exchange.report.html import render_html

        return render_html(document)
    from exchange.report.pdf import render_pdf

    pdf = render_pdf(document)
    if identity is None:
        return pdf
    from exchange.report.sign import sign_pdf

    return await sign_pdf(pdf, identity)

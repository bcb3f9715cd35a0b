"""An auditor's commands: mirror logs, verify them, trace a message, compare two nations' stories."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.progress import Progress

from exchange.cli.options import DEFAULT_HOME, HomeOption, JsonOption, PassphraseOption, run, with_desk
from exchange.cli.output import EXIT_UNVERIFIED, err, line, print_json, table
from exchange.cli.report import (
    FromOption,
    LanguageOption,
    OutOption,
    SignOption,
    SignPassphraseOption,
    SuppressOption,
    ToOption,
    deliver,
    period_of,
    wanted_of,
)
from exchange.i18n import _
from protocol.errors import UsageError

if TYPE_CHECKING:
    from exchange.audit import Finding, VerifiedLog
    from exchange.desk import Desk

app = typer.Typer(no_args_is_help=True, help=_("Mirror and verify nodes' logs, without seeing any content."))

MirrorsArgument = Annotated[
    list[str], typer.Argument(help=_("Mirrors as NODE=FOLDER, such as kr=mirrors/kr fr=mirrors/fr."))
]


@app.command(help=_("Mirror a node's log and verify it.\n\nExample: comity audit mirror kr --into mirrors/kr"))
def mirror(
    node: Annotated[str, typer.Argument(help=_("The node."))],
    into: Annotated[Path, typer.Option("--into", help=_("The mirror's folder; it is continued if it exists."))],
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Mirror a log."""

    async def work(desk: Desk) -> int | None:
        from exchange.audit import NodeSource
        from exchange.audit import mirror as mirror_log

        await desk.refresh_directory()
        verifier = await desk.judged(lambda directory: directory.log_verifier(node))
        into.mkdir(parents=True, exist_ok=True)
        with Progress(console=err, transient=True, disable=as_json) as shown:
            task = shown.add_task(_("entries"), total=None)
            done = await mirror_log(
                NodeSource(desk.node_client(node)),
                into,
                verifier,
                lambda completed, total: shown.update(task, completed=completed, total=total),
            )
        log = await _verified(desk, node, into, as_json=as_json)
        if as_json:
            print_json({**_log_object(log), "new_entries": done.new_entries})
        else:
            line(f"{log.origin}: {log.checkpoint.size} ({done.new_entries} {_('new')})")
            _print_findings(log.findings)
        return None if log.ok else EXIT_UNVERIFIED

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(help=_("Verify mirrors from their entries up.\n\nExample: comity audit verify kr=mirrors/kr"))
def verify(
    mirrors: MirrorsArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify mirrors."""

    async def work(desk: Desk) -> int | None:
        logs = await _verified_all(desk, mirrors, as_json=as_json)
        if as_json:
            print_json({"logs": {log.node: _log_object(log) for log in logs}, "ok": all(log.ok for log in logs)})
        else:
            for log in logs:
                line(f"{log.origin}: {log.checkpoint.size}")
                _print_findings(log.findings)
        return None if all(log.ok for log in logs) else EXIT_UNVERIFIED

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(help=_("Show a message's way through the logs.\n\nExample: comity audit trace ID kr=m/kr fr=m/fr"))
def trace(
    message_id: Annotated[str, typer.Argument(help=_("The message's whole id."))],
    mirrors: MirrorsArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Trace a message."""

    async def work(desk: Desk) -> int | None:
        from exchange.audit import trace as trace_message

        try:
            wanted = UUID(message_id)
        except ValueError:
            raise UsageError(_("give the message's whole id")) from None
        rows = trace_message(wanted, await _verified_all(desk, mirrors, as_json=as_json))
        if as_json:
            print_json({"id": wanted, "events": rows})
            return None
        table(
            f"{_('Message')} {wanted}",
            [_("At"), _("Log of"), _("Entry"), _("Event"), _("Recipient"), _("Peer"), _("Reasons")],
            [
                (row.at, row.node, row.index, row.event, row.recipient, row.peer, ", ".join(row.reasons) or None)
                for row in rows
            ],
        )
        return None

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(help=_("Prove that two logs tell the same story.\n\nExample: comity audit compare kr=m/kr fr=m/fr"))
def compare(
    mirrors: MirrorsArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two logs."""

    async def work(desk: Desk) -> int | None:
        from exchange.audit import compare as compare_logs
        from exchange.audit.views import rollbacks, split_views

        logs = await _verified_all(desk, mirrors, as_json=as_json)
        if len(logs) != 2:
            raise UsageError(_("give two mirrors to compare"))
        result = compare_logs(*logs)
        views = [finding for log in logs for finding in rollbacks(log.origin, log.views)] + split_views(logs)
        findings = (*logs[0].findings, *logs[1].findings, *views, *result.findings)
        if as_json:
            print_json({"matched": result.matched, "findings": findings, "ok": not findings})
        else:
            line(f"{_('Hand-overs that both logs tell alike')}: {result.matched}")
            _print_findings(findings)
        return EXIT_UNVERIFIED if findings else None

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    help=_(
        "Write a report of verified logs in numbers: messages, times, events, findings, the logs' health."
        "\n\nExample: comity audit report kr=mirrors/kr fr=mirrors/fr --out report.pdf"
    )
)
def report(
    mirrors: MirrorsArgument,
    out: OutOption = None,
    since: FromOption = None,
    until: ToOption = None,
    language: LanguageOption = None,
    suppress_below: SuppressOption = 0,
    sign_with: SignOption = None,
    sign_passphrase_file: SignPassphraseOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a report of logs."""

    async def work() -> int | None:
        period = period_of(since, until)
        wanted = wanted_of(out, language, sign_with, sign_passphrase_file, as_json=as_json)

        async def of_desk(desk: Desk) -> int | None:
            from exchange.report import Suppression, audit_figures
            from exchange.report.audit_document import audit_document
            from exchange.report.audit_figures import stands_at
            from exchange.report.sources import audited

            if len({text.partition("=")[0] for text in mirrors}) != len(mirrors):
                raise UsageError(_("name each node once"))
            logs = await _verified_all(desk, mirrors, as_json=as_json)
            read = [audited(log, await _signed_at(desk, log, mirrors)) for log in logs]
            figures = audit_figures(read, period, stands_at(read, period), Suppression(suppress_below))
            await deliver(wanted, figures, lambda: audit_document(figures, wanted.reader), as_json=as_json)
            return None if all(log.ok for log in logs) else EXIT_UNVERIFIED

        return await with_desk(home, passphrase_file, of_desk)()

    run(work, as_json=as_json)


async def _signed_at(desk: Desk, log: VerifiedLog, mirrors: list[str]) -> datetime | None:
    """When the checkpoint of a verified mirror was signed, by the log's own word."""
    from exchange.audit.mirror import CHECKPOINT, read_resource
    from protocol.log import verify_checkpoint

    folder = next(Path(text.partition("=")[2]) for text in mirrors if text.partition("=")[0] == log.node)
    note = read_resource(folder, CHECKPOINT)
    return await desk.judged(lambda directory: verify_checkpoint(note, directory.log_verifier(log.node)).signed_at)


async def _verified_all(desk: Desk, mirrors: list[str], *, as_json: bool) -> list[VerifiedLog]:
    logs = []
    for text in mirrors:
        node, equals, folder = text.partition("=")
        if not equals or not folder:
            raise UsageError(_("write a mirror as NODE=FOLDER"))
        logs.append(await _verified(desk, node, Path(folder), as_json=as_json))
    return logs


async def _verified(desk: Desk, node: str, folder: Path, *, as_json: bool) -> VerifiedLog:
    from exchange.audit import verify_mirror

    with Progress(console=err, transient=True, disable=as_json) as shown:
        task = shown.add_task(_("verified"), total=None)
        return await desk.judged(
            lambda directory: verify_mirror(
                folder,
                node,
                directory.log_verifier(node),
                directory,
                lambda completed, total: shown.update(task, completed=completed, total=total),
            )
        )


def _log_object(log: VerifiedLog) -> dict[str, object]:
    return {
        "node": log.node,
        "origin": log.origin,
        "size": log.checkpoint.size,
        "root": log.checkpoint.root,
        "verified": log.ok,
        "findings": log.findings,
    }


def _print_findings(findings: tuple[Finding, ...]) -> None:
    if not findings:
        line(_("No findings."))
        return
    table(
        _("Findings"),
        [_("Log"), _("Entry"), _("Code"), _("What")],
        [(finding.origin, finding.index, finding.code, finding.text) for finding in findings],
    )

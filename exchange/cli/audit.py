"""An auditor's commands: mirror logs, verify them, trace a message, compare two nations' stories."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.progress import Progress

from exchange.cli.options import DEFAULT_HOME, HomeOption, JsonOption, PassphraseOption, run, with_desk
from exchange.cli.output import EXIT_UNVERIFIED, err, line, print_json, table
from exchange.i18n import _
from protocol.errors import UsageError

if TYPE_CHECKING:
    from exchange.audit import Finding, VerifiedLog, Witnessed
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
        seen = await _witnessed(desk, log)
        if as_json:
            print_json({**_log_object(log, seen), "new_entries": done.new_entries})
        else:
            line(f"{log.origin}: {log.checkpoint.size} ({done.new_entries} {_('new')})")
            _print_witnessed(seen)
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
        seen = [await _witnessed(desk, log) for log in logs]
        pairs = list(zip(logs, seen, strict=True))
        if as_json:
            print_json({"logs": {log.node: _log_object(log, by) for log, by in pairs}, "ok": all(x.ok for x in logs)})
        else:
            for log, by in pairs:
                line(f"{log.origin}: {log.checkpoint.size}")
                _print_witnessed(by)
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
    help=_("Write whose cosignatures a node's log needs, as a C2SP tlog-policy.\n\nExample: comity audit policy kr")
)
def policy(
    node: Annotated[str, typer.Argument(help=_("The node."))],
    out: Annotated[Path | None, typer.Option("--out", help=_("The file to write; else standard output."))] = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a log's policy."""

    async def work(desk: Desk) -> None:
        from keys.directory.witnesses import policy_file
        from keys.files import write_file

        at = datetime.now(UTC)
        await desk.refresh_directory()
        written = await desk.judged(lambda directory: policy_file(directory, directory.origin(node), at))
        text = written.decode()
        if out is not None:
            try:
                write_file(out, written)
            except OSError as problem:
                raise UsageError(f"cannot write {out}: {problem.strerror}") from problem
        if as_json:
            print_json({"node": node, "file": None if out is None else str(out), "policy": text})
        else:
            print(out if out is not None else text, end="\n" if out is not None else "")

    run(with_desk(home, passphrase_file, work), as_json=as_json)


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


async def _witnessed(desk: Desk, log: VerifiedLog) -> Witnessed:
    from exchange.audit import witnessed

    at = datetime.now(UTC)
    return await desk.judged(lambda directory: witnessed(log, directory, at))


def _log_object(log: VerifiedLog, seen: Witnessed) -> dict[str, object]:
    return {
        "node": log.node,
        "origin": log.origin,
        "size": log.checkpoint.size,
        "root": log.checkpoint.root,
        "verified": log.ok,
        "findings": log.findings,
        "witnessed": {
            "size": seen.size,
            "cosigned": seen.quorum.cosigned,
            "witnesses": seen.quorum.witnesses,
            "required": seen.quorum.required,
            "met": seen.quorum.met,
        },
    }


def _print_witnessed(seen: Witnessed) -> None:
    quorum = seen.quorum
    if not quorum.required:
        line(_("Witnesses: none are required."))
        return
    text = _("Witnessed up to {size}") if quorum.met else _("NOT WITNESSED by enough, {size}")
    who = ", ".join(quorum.cosigned) or "-"
    line(f"{text.format(size=seen.size)}: {who} ({len(quorum.cosigned)}/{len(quorum.witnesses)})")


def _print_findings(findings: tuple[Finding, ...]) -> None:
    if not findings:
        line(_("No findings."))
        return
    table(
        _("Findings"),
        [_("Log"), _("Entry"), _("Code"), _("What")],
        [(finding.origin, finding.index, finding.code, finding.text) for finding in findings],
    )

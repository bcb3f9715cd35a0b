"""An auditor's commands: mirror logs, verify them, trace a message, reconcile two nations' stories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    FromOption,
    HomeOption,
    JsonOption,
    NodeArgument,
    OutOrPrintOption,
    PassphraseOption,
    ToOption,
    run,
    with_desk,
)
from exchange.cli.audit._reconcile import reconcile
from exchange.cli.audit.mirrors import (
    AnewOption,
    JobsOption,
    MirrorsArgument,
    WitnessedOption,
    demanded,
    log_object,
    mirror_of,
    partial_object,
    period_of,
    plan_of,
    print_findings,
    print_log,
    print_partial,
    print_proofs,
    print_verdict,
    print_witnessed,
    verdict_of,
    verified,
    verified_all,
    witnesses_of,
)
from exchange.cli.audit.serve import serve
from exchange.cli.messages.files import write_out
from exchange.cli.office.report import (
    LanguageOption,
    OutOption,
    SignOption,
    SignPassphraseOption,
    SuppressOption,
    deliver,
    wanted_of,
)
from exchange.cli.output import line, print_json, progress, table
from exchange.i18n import _, labelled
from keys.local.given_files import FileKind, require_file, require_folder
from keys.local.terminal import NOTHING, UNCHECKED, UNVERIFIED, refuse
from protocol.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from exchange.audit.envelopes import CheckedEnvelopes
    from exchange.audit.trace import TraceRow
    from exchange.audit.verify import VerifiedLog
    from exchange.desk.desk import Desk
    from keys.directory.view import Directory
    from protocol.address import Address

app = typer.Typer(no_args_is_help=True)


@app.command(help=_("Mirror a node's log and verify it.\n\nExample: comity audit mirror jp --into mirrors/jp"))
def mirror(
    node: NodeArgument,
    into: Annotated[
        Path | None,
        typer.Option("--into", help=_("The mirror's folder, continued if it exists; else mirrors/NODE in the home.")),
    ] = None,
    require_witnessed: WitnessedOption = False,
    jobs: JobsOption = 1,
    anew: AnewOption = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Mirror a log."""

    async def work(desk: Desk) -> int | None:
        from exchange.audit.mirror import NodeSource
        from exchange.audit.mirror import mirror as mirror_log
        from exchange.audit.period import ALWAYS
        from keys.local.tile_folder import PLAIN, SCOPED

        folder = into if into is not None else mirror_of(home, node)[1]
        require_folder(folder, FileKind.MIRROR)
        await desk.refresh_directory()
        verifier = await desk.judged(lambda directory: directory.log_verifier(node))
        whole = await desk.judged(lambda directory: _sees_all(directory, node, desk.address))
        folder.mkdir(parents=True, exist_ok=True)
        asked_at = datetime.now(UTC)
        with progress(_("entries"), as_json=as_json, counted=True) as moved:
            done = await mirror_log(
                NodeSource(desk.node_client(node)),
                folder,
                verifier,
                moved,
                form=PLAIN if whole else SCOPED,
            )
        log = await verified(desk, node, folder, plan_of(desk, home, ALWAYS, jobs, anew=anew), as_json=as_json)
        log = log.shown_at(asked_at)
        log = await demanded(desk, log, ALWAYS) if require_witnessed else log
        seen = await witnesses_of(desk, log)
        verdict = verdict_of([log], [seen], ALWAYS)
        if as_json:
            from exchange.audit.verdict import verdict_values

            said = {"new_entries": done.new_entries, "verdict": verdict_values(verdict)}
            print_json({**log_object(log, seen), **said})
        else:
            print_log(log, done.new_entries)
            print_witnessed(seen)
            if log.findings:
                print_findings(log.findings)
            print_verdict(verdict)
        return None if log.ok else UNVERIFIED

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(help=_("Verify mirrors from their entries up.\n\nExample: comity audit verify jp fr=mirrors/fr"))
def verify(
    mirrors: MirrorsArgument,
    since: FromOption = None,
    until: ToOption = None,
    envelopes: Annotated[
        list[Path] | None,
        typer.Option("--envelopes", help=_("A bundle whose envelopes' senders are verified too; may be repeated.")),
    ] = None,
    require_witnessed: WitnessedOption = False,
    jobs: JobsOption = 1,
    anew: AnewOption = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify mirrors."""

    async def work(desk: Desk) -> int | None:
        period = period_of(since, until)
        for file in envelopes or ():  # told before hours of work
            require_file(file, FileKind.TRANSFER)
        plan = plan_of(desk, home, period, jobs, anew=anew)
        logs = await verified_all(desk, home, mirrors, plan, require_witnessed=require_witnessed, as_json=as_json)
        checked = [await _checked(desk, log, envelopes or []) for log in logs]
        seen = [await witnesses_of(desk, log) for log in logs]
        ok = all(log.ok for log in logs) and not any(check.findings for check in checked)
        verdict = verdict_of(logs, seen, period, [len(check.findings) for check in checked])
        if as_json:
            from exchange.audit.verdict import verdict_values

            objects = {
                log.node: {**log_object(log, by), "envelopes": check}
                for log, check, by in zip(logs, checked, seen, strict=True)
            }
            print_json({"logs": objects, "ok": ok, "verdict": verdict_values(verdict)})
        else:
            for log, check, by in zip(logs, checked, seen, strict=True):
                print_log(log)
                print_witnessed(by)
                if envelopes:
                    line(labelled(_("Envelopes of this log that were verified"), check.logged))
                if log.findings or check.findings:
                    print_findings((*log.findings, *check.findings))
            print_verdict(verdict)
        return None if ok else UNVERIFIED

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(help=_("Show a message's way through the logs.\n\nExample: comity audit trace ID jp fr=mirrors/fr"))
def trace(
    message_id: Annotated[str, typer.Argument(help=_("The message's whole id."))],
    mirrors: MirrorsArgument,
    proofs: Annotated[
        Path | None,
        typer.Option("--proofs", help=_("Write these entries, and their cryptographic proofs, to this folder.")),
    ] = None,
    require_witnessed: WitnessedOption = False,
    jobs: JobsOption = 1,
    anew: AnewOption = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Trace a message."""

    async def work(desk: Desk) -> int | None:
        from exchange.audit import write_proofs
        from exchange.audit.period import ALWAYS
        from exchange.audit.trace import sides_missing
        from exchange.audit.trace import trace as trace_message

        try:
            wanted = UUID(message_id)
        except ValueError:
            raise UsageError(_("give the message's whole id")) from None
        plan = plan_of(desk, home, ALWAYS, jobs, anew=anew)
        logs = await verified_all(desk, home, mirrors, plan, require_witnessed=require_witnessed, as_json=as_json)
        rows = trace_message(wanted, logs)
        if not rows:
            refuse(NotFoundError(_not_traced(wanted, logs)), as_json=as_json)
            return UNCHECKED if any(log.partial for log in logs) else NOTHING
        written = write_proofs(proofs, rows, {log.node: log for log in logs}) if proofs is not None else 0
        if as_json:
            findings = [finding for log in logs for finding in log.findings]
            print_json(
                {
                    "id": wanted,
                    "events": rows,
                    "proofs": written,
                    "partial": partial_object(logs),
                    "sides_missing": sides_missing(rows, logs),
                    "findings": findings,
                }
            )
            return None if not findings else UNVERIFIED
        print_partial(logs)
        table(
            _("Message {message}").format(message=wanted),
            [
                *(_("At"), _("Log of"), _("Entry"), _("Event"), _("Meaning"), _("Recipient"), _("Peer"), _("Reasons")),
                _("Files"),
            ],
            [_trace_cells(row) for row in rows],
        )
        if missing := sides_missing(rows, logs):
            text = _("The logs of these nodes are not here, so their side is not known: {nodes}")
            line(text.format(nodes=", ".join(missing)))
        if proofs is not None:
            print_proofs(written, proofs)
        for log in logs:
            if not log.ok:
                print_findings(log.findings)
        return None if all(log.ok for log in logs) else UNVERIFIED

    run(with_desk(home, passphrase_file, work), as_json=as_json)


app.command(
    "reconcile",
    help=_(
        "Match every message that two logs mention, and prove what does not match.\n\n"
        "Example: comity audit reconcile jp fr --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z --proofs proofs"
    ),
)(reconcile)


app.command(
    "serve",
    help=_(
        "Show verified mirrors in a browser on this machine: entries, messages, findings, proofs, reports.\n\n"
        "Example: comity audit serve jp fr=mirrors/fr"
    ),
)(serve)


@app.command(
    help=_(
        "Write a report of verified logs in numbers: messages, times, events, findings, the logs' health."
        "\n\nExample: comity audit report jp=mirrors/jp fr=mirrors/fr --out report.pdf"
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
    require_witnessed: WitnessedOption = False,
    jobs: JobsOption = 1,
    anew: AnewOption = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a report of logs."""

    async def work() -> int | None:
        period = period_of(since, until)
        wanted = wanted_of(out, language, sign_with, sign_passphrase_file, as_json=as_json)

        async def of_desk(desk: Desk) -> int | None:
            from exchange.audit.period import ALWAYS
            from exchange.report import Suppression
            from exchange.report.audit_document import audit_document
            from exchange.report.audit_figures import audit_figures, stands_at
            from exchange.report.language import Reader
            from exchange.report.sources import audited
            from exchange.text.zones import shown_zone

            plan = plan_of(desk, home, ALWAYS, jobs, anew=anew)
            logs = await verified_all(desk, home, mirrors, plan, require_witnessed=require_witnessed, as_json=as_json)
            read = [audited(log, (await witnesses_of(desk, log)).missing) for log in logs]
            figures = audit_figures(read, period, stands_at(read, period), Suppression(suppress_below))
            # A report to publish is in no reader's zone.
            reader = wanted.reader if suppress_below else Reader(wanted.reader.language, shown_zone())
            await deliver(wanted, figures, lambda: audit_document(figures, reader), as_json=as_json)
            if not as_json:
                print_partial(logs)
            return None if all(log.ok for log in logs) else UNVERIFIED

        return await with_desk(home, passphrase_file, of_desk)()

    run(work, as_json=as_json)


@app.command(
    help=_("Write whose cosignatures a node's log needs, as a C2SP tlog-policy.\n\nExample: comity audit policy jp")
)
def policy(
    node: NodeArgument,
    out: OutOrPrintOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a log's policy."""

    async def work(desk: Desk) -> None:
        from keys.directory.witnesses import policy_file

        at = datetime.now(UTC)
        await desk.refresh_directory()
        written = await desk.judged(lambda directory: policy_file(directory, directory.origin(node), at))
        text = written.decode()
        if out is not None:
            write_out(out, written)
        if as_json:
            print_json({"node": node, "file": None if out is None else str(out), "policy": text})
        else:
            print(out if out is not None else text, end="\n" if out is not None else "")

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _sees_all(directory: Directory, node: str, auditor: Address) -> bool:
    """Whether this auditor may see every entry of the node's log; raises :class:`ForbiddenError` when it sees none."""
    from keys.directory.audit_rights import audit_right

    return audit_right(directory.node(node), directory.contact_point(auditor)).everything


def _trace_cells(row: TraceRow) -> tuple[object, ...]:
    from exchange.audit.words import event_text, reason_text
    from exchange.text.zones import in_both_zones

    reasons = "; ".join(f"{reason_text(code)} [{code}]" for code in row.reasons)
    return (
        *(in_both_zones(row.at, seconds=True), row.node, row.index, row.event, event_text(row.event)),
        *(row.recipient, row.peer, reasons or None, row.files.words if row.files else None),
    )


def _not_traced(message_id: UUID, logs: Sequence[VerifiedLog]) -> str:
    text = _("no entry that can be read here mentions {message}; withheld: {count}")
    return text.format(message=message_id, count=sum(log.withheld for log in logs))


async def _checked(desk: Desk, log: VerifiedLog, bundles: Sequence[Path]) -> CheckedEnvelopes:
    from exchange.audit.envelopes import check_envelopes, envelopes_of
    from keys.local.bundle_files import read_parts

    def envelopes() -> Iterator[bytes]:
        for file in bundles:
            for part, _bytes in read_parts([file], None):
                yield from envelopes_of(part)

    return await desk.judged(lambda directory: check_envelopes(log, envelopes(), directory))

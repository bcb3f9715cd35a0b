"""``comity audit reconcile``: two nations' logs, matched message by message, offline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
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
from exchange.cli.audit.mirrors import (
    AnewOption,
    JobsOption,
    MirrorsArgument,
    WitnessedOption,
    partial_object,
    period_of,
    plan_of,
    print_findings,
    print_log,
    print_proofs,
    verified_all,
)
from exchange.cli.output import line, print_json, table
from exchange.i18n import _, labelled, ngettext
from exchange.text.objects import plain
from keys.local.terminal import UNCHECKED, UNVERIFIED
from protocol.errors import UsageError

if TYPE_CHECKING:
    from exchange.audit.reconcile import ReconciledRow, Reconciliation
    from exchange.audit.verify import VerifiedLog
    from exchange.desk.desk import Desk


def reconcile(
    mirrors: MirrorsArgument,
    since: FromOption = None,
    until: ToOption = None,
    late_after: Annotated[
        float | None,
        typer.Option("--late-after", min=0, help=_("Seconds after which a message is late; else the logs say.")),
    ] = None,
    proofs: Annotated[
        Path | None,
        typer.Option(
            "--proofs", help=_("Write the entries of what is listed, and their cryptographic proofs, to this folder.")
        ),
    ] = None,
    require_witnessed: WitnessedOption = False,
    jobs: JobsOption = 1,
    anew: AnewOption = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reconcile two logs."""

    async def work(desk: Desk) -> int | None:
        from exchange.audit import write_proofs
        from exchange.audit.reconcile import reconcile as reconcile_logs

        if len(mirrors) != 2:
            raise UsageError(_("give two mirrors to reconcile"))
        period = period_of(since, until)
        plan = plan_of(desk, home, period, jobs, anew=anew)
        first, second = await verified_all(
            desk, home, mirrors, plan, require_witnessed=require_witnessed, as_json=as_json
        )
        result = reconcile_logs(first, second, period, late_after_s=late_after)
        written = 0
        if proofs is not None:
            cited = (entry for row in result.rows for entry in row.entries)
            written = write_proofs(proofs, cited, {log.node: log for log in (first, second)})
        if as_json:
            print_json(_object(result, (first, second), proved=proofs is not None))
        else:
            _print(result, (first, second))
            if proofs is not None:
                print_proofs(written, proofs)
        if not result.ok:
            return UNVERIFIED
        return UNCHECKED if result.unchecked else None

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _object(result: Reconciliation, logs: tuple[VerifiedLog, VerifiedLog], *, proved: bool) -> dict[str, object]:
    shown: dict[str, object] = plain(result)
    shown["rows"] = [_row_object(row, proved=proved) for row in result.rows]
    shown["partial"] = partial_object(logs)
    return {**shown, "unexplained": result.unexplained, "unchecked": result.unchecked, "ok": result.ok}


def _row_object(row: ReconciledRow, *, proved: bool) -> Mapping[str, object]:
    from exchange.audit import proof_name

    shown: dict[str, object] = plain(row)
    if proved:
        shown["proofs"] = [proof_name(entry) for entry in row.entries]
    return shown


def _print(result: Reconciliation, logs: tuple[VerifiedLog, VerifiedLog]) -> None:
    from exchange.audit.words import status_text

    for log in logs:
        print_log(log)
    line(labelled(_("Messages that either log mentions"), result.messages))
    line(labelled(_("Of these, not between the two nodes"), result.elsewhere))
    line(labelled(_("Late means more seconds than"), f"{result.late_after_s:g}"))
    counts = [(status, count) for status, count in result.counts.items() if count]
    if counts:
        table(
            _("Hand-overs"),
            [_("Outcome"), _("Meaning"), _("How many")],
            [(status, status_text(status), count) for status, count in counts],
        )
    if result.rows:
        table(
            _("What did not simply match"),
            [_("Outcome"), _("Meaning"), _("Message"), _("From"), _("To"), _("Entries"), _("What")],
            [
                (
                    row.status,
                    status_text(row.status),
                    row.message_id,
                    row.sender,
                    row.receiver,
                    " ".join(f"{entry.node}:{entry.index}" for entry in row.entries),
                    row.text,
                )
                for row in result.rows
            ],
        )
    if result.more_rows:
        text = ngettext(
            "{count} more row is not shown; choose a shorter period.",
            "{count} more rows are not shown; choose a shorter period.",
            result.more_rows,
        )
        line(text.format(count=result.more_rows))
    print_findings(result.findings)
    line(labelled(_("Unexplained"), result.unexplained))
    if result.unchecked:
        text = _("NOT CHECKED, because the counterpart is withheld or newer than the other mirror: {count}")
        line(text.format(count=result.unchecked))

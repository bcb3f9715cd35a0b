"""What the auditor's commands share: naming mirrors and periods, verifying with a progress bar, showing findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._options import instant
from exchange.cli.output import line, progress, safe, table
from exchange.i18n import _
from keys.local.given_files import FileKind, require_folder
from protocol.address import parse_node
from protocol.errors import UsageError

if TYPE_CHECKING:
    from exchange.audit import Finding, Keeper
    from exchange.audit.period import Period
    from exchange.audit.verdict import LogsVerdict
    from exchange.audit.verify import VerifiedLog, VerifyPlan
    from exchange.audit.witnessing import Witnessed
    from exchange.desk.desk import Desk
    from keys.directory.view import Directory

MirrorsArgument = Annotated[
    list[str],
    typer.Argument(help=_("Mirrors, as NODE (in the home's folder mirrors) or as NODE=FOLDER.")),
]
JobsOption = Annotated[
    int, typer.Option("--jobs", min=1, max=64, help=_("Processes that read entries at the same time."))
]
AnewOption = Annotated[
    bool,
    typer.Option("--from-the-beginning", help=_("Verify every entry again, and not only what is new since last time.")),
]
WitnessedOption = Annotated[
    bool,
    typer.Option("--require-witnessed", help=_("Report a finding if not enough partners cosigned what is looked at.")),
]


def mirror_of(home: Path, text: str) -> tuple[str, Path]:
    """The node and folder that a person named; raises :class:`UsageError`, :class:`InvalidAddressError`."""
    from exchange.settings import Home

    node, equals, folder = text.partition("=")
    if equals and not folder:
        raise UsageError(_("write a mirror as NODE or as NODE=FOLDER"))
    parse_node(node)
    if folder:
        require_folder(Path(folder), FileKind.MIRROR)
    return node, Path(folder) if folder else Home(home.expanduser()).mirrors / node


def keeper_of(desk: Desk, home: Path) -> Keeper:
    """Where this desk keeps what it verified of logs."""
    from exchange.audit import Keeper
    from exchange.settings import Home

    return Keeper(Home(home.expanduser()).mirrors / ".verified", desk.audit_key())


def period_of(since: str | None, until: str | None) -> Period:
    """The period that a person named; raises :class:`UsageError`."""
    from exchange.audit.period import Period

    return Period(instant(since), instant(until))


def plan_of(desk: Desk, home: Path, period: Period, jobs: int, *, anew: bool) -> VerifyPlan:
    """How this desk verifies logs: on from what it verified before, or ``anew``."""
    from exchange.audit.verify import VerifyPlan

    return VerifyPlan(period, jobs, keeper_of(desk, home), anew)


async def verified(desk: Desk, node: str, folder: Path, plan: VerifyPlan, *, as_json: bool) -> VerifiedLog:
    """The mirror of ``node``, verified; raises as :func:`exchange.audit.verify_mirror` does."""
    from exchange.audit.verify import LogMirror, verify_mirror

    plans = [plan]  # by a wider directory it goes on from what it has just found

    def work(directory: Directory, moved: Callable[[int, int], None]) -> VerifiedLog:
        mirror = LogMirror(folder, node, directory.log_verifier(node))
        return verify_mirror(
            mirror,
            directory,
            plans.pop() if plans else replace(plan, anew=False),
            moved,
        )

    with progress(_("verified"), as_json=as_json, counted=True) as moved:
        return await desk.judged(lambda directory: work(directory, moved))


async def verified_all(
    desk: Desk, home: Path, mirrors: Sequence[str], plan: VerifyPlan, *, require_witnessed: bool, as_json: bool
) -> list[VerifiedLog]:
    """All mirrors that a person named, verified; with a finding for each that is not witnessed, if it must be."""
    named = [mirror_of(home, text) for text in mirrors]
    if len({node for node, _folder in named}) != len(named):
        raise UsageError(_("name each node only once"))
    logs = [await verified(desk, node, folder, plan, as_json=as_json) for node, folder in named]
    return [await demanded(desk, log, plan.period) for log in logs] if require_witnessed else logs


async def demanded(desk: Desk, log: VerifiedLog, period: Period) -> VerifiedLog:
    """The log, with a finding when not enough partners cosigned what it says of the period."""
    from exchange.audit.witnessing import demand_witnessed

    return demand_witnessed(log, await witnesses_of(desk, log), period)


async def witnesses_of(desk: Desk, log: VerifiedLog) -> Witnessed:
    """How far the partners cosigned a log."""
    from exchange.audit.witnessing import witnessed

    at = datetime.now(UTC)
    return await desk.judged(lambda directory: witnessed(log, directory, at))


def log_object(log: VerifiedLog, seen: Witnessed) -> dict[str, object]:
    """A verified log for a program."""
    return {
        "node": log.node,
        "origin": log.origin,
        "size": log.checkpoint.size,
        "root": log.checkpoint.root,
        "signed_at": log.head.signed_at,
        "partial": log.partial,
        "withheld": log.withheld,
        "unread": log.unread,
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


def print_log(log: VerifiedLog, new_entries: int | None = None) -> None:
    """A verified log for a person, and how much of it is new."""
    text = _("{log}; entries: {size}") if new_entries is None else _("{log}; entries: {size}; new ones: {new}")
    line(text.format(log=safe(log.origin), size=log.checkpoint.size, new=new_entries))
    print_partial([log])


def verdict_of(
    logs: Sequence[VerifiedLog], seen: Sequence[Witnessed], period: Period, more_findings: Sequence[int] = ()
) -> LogsVerdict:
    """How far these logs are verified; ``more_findings`` are those of the envelopes of each."""
    from exchange.audit.verdict import LogStand, LogsVerdict

    more = more_findings or [0] * len(logs)
    stands = [LogStand.of(log, by, more_findings=count) for log, by, count in zip(logs, seen, more, strict=True)]
    return LogsVerdict(tuple(stands), datetime.now(UTC), period)


def print_verdict(verdict: LogsVerdict) -> None:
    """How far logs are verified, for a person: in a sentence, and why no more can be said."""
    from exchange.audit.verdict import Limit, Teller, headline, reasons

    teller = Teller.spoken()
    line(headline(verdict, teller))
    for text in reasons(verdict, teller, {Limit.PARTIAL}):  # the line PARTIAL says it with its numbers
        line(f"  {text}")


def partial_object(logs: Sequence[VerifiedLog]) -> dict[str, dict[str, int]]:
    """For a program: of which nodes' logs not everything is known here, and how many entries are not."""
    return {log.node: {"withheld": log.withheld, "unread": log.unread} for log in logs if log.partial}


def print_partial(logs: Sequence[VerifiedLog]) -> None:
    """For a person: of which logs not everything is known here."""
    for log in logs:
        if log.withheld:
            text = _(
                "PARTIAL, {node}: entries withheld: {count} of {size}. Their hashes are verified; what they"
                " say is not known here."
            )
            line(text.format(node=log.node, count=log.withheld, size=log.checkpoint.size))
        if log.unread:
            text = _("PARTIAL, {node}: entries that are missing, altered or cannot be read: {count} of {size}.")
            line(text.format(node=log.node, count=log.unread, size=log.checkpoint.size))


def print_proofs(count: int, folder: Path) -> None:
    """How many entries with their proofs were written, for a person."""
    line(_("Entries with their cryptographic proofs in {folder}: {count}").format(folder=folder, count=count))


def print_witnessed(seen: Witnessed) -> None:
    """How far a log is witnessed, for a person."""
    quorum = seen.quorum
    if not quorum.required:
        line(_("Witnesses: none are required."))
        return
    text = (
        _("Witnessed up to entry {size} by: {names} ({count}/{all})")
        if quorum.met
        else _("NOT WITNESSED by enough, up to entry {size}. By: {names} ({count}/{all})")
    )
    names, count = ", ".join(quorum.cosigned) or "-", len(quorum.cosigned)
    line(text.format(size=seen.size, names=names, count=count, all=len(quorum.witnesses)))


def print_findings(findings: Sequence[Finding]) -> None:
    """Findings for a person, one line each."""
    from exchange.audit.words import finding_text

    if not findings:
        line(_("No findings."))
        return
    table(
        _("Findings"),
        [_("Log"), _("Entry"), _("Code"), _("Meaning"), _("What")],
        [
            (finding.origin, finding.index, finding.code, finding_text(finding.code), finding.text)
            for finding in findings
        ],
    )

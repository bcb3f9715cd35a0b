"""An auditor's figures as a document."""

from __future__ import annotations

from exchange.audit.verdict import Limit, LogStand, LogsVerdict, Teller, headline, reasons
from exchange.report._wording import Wording
from exchange.report.audit_figures import AuditFigures
from exchange.report.document import Column, Document, Fact, Section, Table, TextKind
from exchange.report.language import Reader, printable


def audit_document(figures: AuditFigures, reader: Reader) -> Document:
    """The report on some logs, in the reader's language."""
    _ = reader.text
    words = Wording(reader, figures)
    findings = sum(log.findings for log in figures.logs)
    verdict, teller = _verdict(figures), Teller(reader.text, reader.instant, reader.span)
    first = (
        Fact(_("Logs of"), ", ".join(log.node for log in figures.logs)),
        Fact(_("Result"), headline(verdict, teller)),
        *(Fact(_("Limit"), text) for text in reasons(verdict, teller, {Limit.PARTIAL})),
        *_partial(figures, words),
        Fact(_("Messages"), words.count(figures.messages)),
        Fact(_("Findings"), reader.number(findings)),
    )
    return words.document(
        _("Report on the logs of the network"),
        first,
        (
            _messages(figures, words),
            _times(figures, words),
            _findings(figures, words),
            _health(figures, words),
            _events(figures, words),
            _reasons(figures, words),
        ),
    )


# --- Inside ---


def _verdict(figures: AuditFigures) -> LogsVerdict:
    """How far the logs were verified, as of the report's date; all of each was judged."""
    stands = [
        LogStand(
            log.node, log.size, log.withheld + log.unread, log.findings, log.signed_at, bool(log.missing_cosignatures)
        )
        for log in figures.logs
    ]
    return LogsVerdict(tuple(stands), figures.as_of)


def _partial(figures: AuditFigures, words: Wording) -> tuple[Fact, ...]:
    """What the reader must know first: of which logs not everything was seen."""
    _ = words.reader.text
    unseen = [
        f"{log.node}: {words.reader.number(log.withheld + log.unread)} / {words.count(log.size)}"
        for log in figures.logs
        if log.withheld or log.unread
    ]
    return (Fact(_("PARTIAL: entries that could not be seen"), ", ".join(unseen)),) if unseen else ()


def _messages(figures: AuditFigures, words: Wording) -> Section:
    _ = words.reader.text
    return Section(
        _("Messages"),
        charts=words.months(_("Messages by month"), ((row.month, row.messages) for row in figures.deliveries)),
        tables=(
            Table(
                _("Messages by nation and month"),
                (
                    Column(_("Sender"), TextKind.CODE),
                    Column(_("Recipient"), TextKind.CODE),
                    Column(_("Month")),
                    Column(_("Messages"), TextKind.NUMBER),
                ),
                tuple(
                    (row.sender or "–", row.recipient, words.reader.month(row.month), words.count(row.messages))
                    for row in figures.deliveries
                ),
                words.empty(_("No messages.")),
            ),
        ),
        notes=(
            _("Each message counts once for each desk that could fetch it. The sender is the node that it came from.")
            if figures.suppressed_below
            else _(
                "Each message counts once for each desk that could fetch it. If the log of the recipient's"
                " node was not read, delivery to that node counts."
            ),
        ),
    )


def _times(figures: AuditFigures, words: Wording) -> Section:
    _ = words.reader.text
    return Section(
        _("Times"),
        tables=(
            Table(
                _("Times from submission to the event"),
                (
                    Column(_("Sender"), TextKind.CODE),
                    Column(_("Recipient"), TextKind.CODE),
                    Column(_("Event")),
                    *words.spread_columns(_("Messages")),
                ),
                tuple(
                    (
                        row.sender,
                        row.recipient,
                        words.reader.code("receipt_event", row.step),
                        *words.spread(row.spread),
                    )
                    for row in figures.times
                ),
                words.empty(_("Nothing could be measured.")),
            ),
        ),
        notes=(
            _(
                "Only messages submitted in the period, with both logs read. Time = difference between the two"
                " logs. The median and the 90 % value are real measured times."
            ),
            *words.backwards(row.spread for row in figures.times),
        ),
    )


def _findings(figures: AuditFigures, words: Wording) -> Section:
    _ = words.reader.text
    return Section(
        _("Findings"),
        tables=(
            Table(
                _("Findings by code"),
                (
                    Column(_("Log of"), TextKind.CODE),
                    Column(_("Code"), TextKind.CODE),
                    Column(_("Findings"), TextKind.NUMBER),
                ),
                tuple((row.node, printable(row.code), words.reader.number(row.count)) for row in figures.findings),
                _("No findings."),
            ),
        ),
        notes=(
            _(
                "For the complete logs, not only the period. Entries with a finding are not counted in"
                " messages and times."
            ),
        ),
    )


def _health(figures: AuditFigures, words: Wording) -> Section:
    _ = words.reader.text
    looked_at = any(log.missing_cosignatures is not None for log in figures.logs)
    columns = (
        Column(_("Log of"), TextKind.CODE),
        Column(_("Entries"), TextKind.NUMBER),
        *((Column(_("Withheld"), TextKind.NUMBER), Column(_("Unread"), TextKind.NUMBER)) if figures.partial else ()),
        Column(_("Events in the period"), TextKind.NUMBER),
        Column(_("Checkpoint signed")),
        Column(_("Age of the checkpoint"), TextKind.NUMBER),
        *((Column(_("Missing cosignatures"), TextKind.NUMBER),) if looked_at else ()),
    )
    rows = []
    for log in figures.logs:
        missing = "–" if log.missing_cosignatures is None else words.reader.number(log.missing_cosignatures)
        rows.append(
            (
                log.node,
                words.count(log.size),
                *((words.reader.number(log.withheld), words.reader.number(log.unread)) if figures.partial else ()),
                words.count(log.grown),
                "–" if log.signed_at is None else words.reader.instant(log.signed_at),
                "–" if log.behind_ms is None else words.reader.span(log.behind_ms),
                *((missing,) if looked_at else ()),
            )
        )
    return Section(
        _("Health of the logs"),
        tables=(Table(_("Logs, as their mirrors stand"), columns, tuple(rows), _("No logs.")),),
        notes=(
            _("Each log was verified from its entries up to the root that its node signed."),
            *(
                (
                    _(
                        "This report is partial: of the entries that could not be seen only the hashes were"
                        " verified, and every count may be too small."
                    ),
                )
                if figures.partial
                else ()
            ),
        ),
    )


def _events(figures: AuditFigures, words: Wording) -> Section:
    _ = words.reader.text
    return Section(
        _("Events"),
        tables=(
            Table(
                _("Events by log"),
                (Column(_("Log of"), TextKind.CODE), Column(_("Event")), Column(_("Count"), TextKind.NUMBER)),
                tuple(
                    (row.node, words.reader.code("receipt_event", row.event), words.count(row.count))
                    for row in figures.events
                ),
                words.empty(_("No events.")),
            ),
        ),
    )


def _reasons(figures: AuditFigures, words: Wording) -> Section:
    _ = words.reader.text
    return Section(
        _("What did not happen"),
        tables=(
            Table(
                _("Refusals and failures by reason"),
                (Column(_("Event")), Column(_("Reason"), TextKind.CODE), Column(_("Count"), TextKind.NUMBER)),
                tuple(
                    (
                        words.reader.code("receipt_event", row.event),
                        printable(row.reason) or _("all others"),
                        words.count(row.count),
                    )
                    for row in figures.reasons
                ),
                words.empty(_("Nothing was refused, and nothing failed.")),
            ),
        ),
    )

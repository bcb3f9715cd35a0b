"""An office's figures as a document."""

from __future__ import annotations

from exchange.report._wording import Wording
from exchange.report.document import Column, Document, Fact, Section, Table, TextKind
from exchange.report.language import Reader, isolated, printable
from exchange.report.office_figures import ANSWER, OfficeFigures
from exchange.text.labels import list_of_state


def office_document(figures: OfficeFigures, reader: Reader) -> Document:
    """The report of one office, in the reader's language."""
    _ = reader.text
    words = Wording(reader, figures)
    first = [
        Fact(_("Office"), figures.office, TextKind.CODE),
        Fact(_("Messages received"), words.count(figures.received)),
        Fact(_("Messages sent"), words.count(figures.sent)),
    ]
    if figures.erased_cases != 0:
        first.append(Fact(_("Cases that were erased, and count as messages only"), words.count(figures.erased_cases)))
    return words.document(
        _("Report of the contact point"),
        first,
        (
            _messages(figures, words),
            _times(figures, words),
            _deadlines(figures, words),
            _lapses(figures, words),
            _refusals(figures, words),
            _cases(figures, words),
            _refused_messages(figures, words),
        ),
    )


# --- Inside ---


def _kind(words: Wording, kind: str) -> str:
    return words.reader.code("message_type", kind)


def _messages(figures: OfficeFigures, words: Wording) -> Section:
    _ = words.reader.text
    directions = {"received": _("Received"), "sent": _("Sent")}
    return Section(
        _("Messages"),
        charts=words.months(_("Messages by month"), ((row.month, row.messages) for row in figures.volumes)),
        tables=(
            Table(
                _("Messages by month and type"),
                (
                    Column(_("Month")),
                    Column(_("Direction")),
                    Column(_("Type")),
                    Column(_("Messages"), TextKind.NUMBER),
                ),
                tuple(
                    (
                        words.reader.month(row.month),
                        directions[row.direction],
                        _kind(words, row.type),
                        words.count(row.messages),
                    )
                    for row in figures.volumes
                ),
                words.empty(_("No messages.")),
            ),
        ),
    )


def _times(figures: OfficeFigures, words: Wording) -> Section:
    _ = words.reader.text
    return Section(
        _("Acknowledgements and answers"),
        tables=(
            Table(
                _("Times from proved receipt of the request"),
                (
                    Column(_("What")),
                    Column(_("Given by")),
                    Column(_("Request")),
                    *words.spread_columns(_("Requests")),
                ),
                tuple(
                    (
                        _("Last answer") if row.what == ANSWER else _("Acknowledgement"),
                        words.who(ours=not row.ours),
                        _kind(words, row.kind),
                        *words.spread(row.spread),
                    )
                    for row in figures.times
                ),
                words.empty(_("Nothing could be measured.")),
            ),
        ),
        notes=(
            _(
                "Counts requests acknowledged or answered in the period. An answer without earlier"
                " acknowledgement counts as both."
            ),
            *words.backwards(row.spread for row in figures.times),
        ),
    )


def _deadlines(figures: OfficeFigures, words: Wording) -> Section:
    _ = words.reader.text
    names = {
        "acknowledgement": _("Acknowledgement"),
        "decision": _("Decision"),
        "answer": _("Answer"),
        "next_update": _("Update that was promised"),
        "supplement": _("Supplement"),
        "explanation": _("Explanation of what was out of order"),
        "needed_by": _("Answer while it is of use"),
        "extension": _("Decision on an extension"),
        "confirm_follow_up": _("Confirmation that the request that followed arrived"),
        "authorisation": _("Authorisation by an own authority"),
        "renewal": _("Renewal of confidentiality"),
        "clarification": _("Answer to questions"),
        "status": _("Status report"),
        "risk": _("Decision on a risk"),
        "conditions": _("Answer to conditions"),
        "disclosure": _("Information that was offered"),
        "consent": _("Decision on consent"),
        "use": _("Report on use"),
        "consultation": _("Answer to a consultation"),
        "consultation_outcome": _("Outcome of a consultation"),
        "redirect": _("Sending on of a request that came to the wrong authority"),
        "data_protection": _("Data protection notice"),
    }
    headings = (_("In time"), _("Late"), _("Running"), _("Paused"), _("Overdue"), _("Target passed"))
    return Section(
        _("Deadlines"),
        tables=(
            Table(
                _("What became of deadlines"),
                (Column(_("What")), Column(_("Owed by")), *words.numbers(*headings)),
                tuple(
                    (
                        names.get(row.what) or isolated(row.what),
                        words.who(ours=row.ours),
                        *map(words.count, (row.in_time, row.late, row.running, row.standing, row.overdue, row.passed)),
                    )
                    for row in figures.deadlines
                ),
                words.empty(_("There was no deadline.")),
            ),
        ),
        notes=(_("In time and late: what was done in the period. The others are as of the date of this report."),),
    )


def _lapses(figures: OfficeFigures, words: Wording) -> Section:
    _ = words.reader.text
    headings = (
        _("Extended"),
        _("Followed up"),
        _("Released"),
        _("Lapses prevented"),
        _("Lapsed"),
        _("Close to expiry"),
    )
    note = _(
        "Prevented: extended, followed up or released in the last {span} before expiry. Lapsed: none of these"
        " was done before expiry."
    )
    return Section(
        _("Preservations about to expire"),
        tables=(
            Table(
                _("Lapses prevented, and lapses"),
                (Column(_("Asked for by")), *words.numbers(*headings)),
                tuple(
                    (
                        words.who(ours=row.ours),
                        *map(
                            words.count,
                            (row.extended, row.followed_up, row.released, row.prevented, row.lapsed, row.near),
                        ),
                    )
                    for row in figures.lapses
                ),
                words.empty(_("No preservation was about to expire.")),
            ),
        ),
        notes=(note.format(span=words.reader.span(figures.warning_ms)),),
    )


def _refusals(figures: OfficeFigures, words: Wording) -> Section:
    _ = words.reader.text
    return Section(
        _("Refusals"),
        tables=(
            Table(
                _("Refusals by ground"),
                (Column(_("Refused by")), Column(_("Ground")), Column(_("Targets"), TextKind.NUMBER)),
                tuple(
                    (
                        words.who(ours=row.ours),
                        words.reader.code("refusal_ground", row.ground),
                        words.count(row.count),
                    )
                    for row in figures.refusals
                ),
                words.empty(_("Nothing was refused.")),
            ),
        ),
    )


def _cases(figures: OfficeFigures, words: Wording) -> Section:
    _ = words.reader.text
    return Section(
        _("Cases"),
        tables=(
            Table(
                _("Cases by state"),
                (
                    Column(_("Opened by")),
                    Column(_("Kind")),
                    Column(_("State")),
                    Column(_("Cases"), TextKind.NUMBER),
                ),
                tuple(
                    (
                        words.who(ours=row.ours),
                        _kind(words, row.kind),
                        words.reader.code(list_of_state(row.state), row.state),
                        words.count(row.count),
                    )
                    for row in figures.states
                ),
                words.empty(_("No cases.")),
            ),
        ),
        notes=(_("All cases, whenever they were opened, as of the date of this report."),),
    )


def _refused_messages(figures: OfficeFigures, words: Wording) -> Section:
    _ = words.reader.text
    return Section(
        _("Messages refused on arrival"),
        tables=(
            Table(
                _("Refused messages by code"),
                (Column(_("Code"), TextKind.CODE), Column(_("Messages"), TextKind.NUMBER)),
                tuple((printable(row.code), words.count(row.count)) for row in figures.quarantined),
                words.empty(_("No message was refused on arrival.")),
            ),
        ),
        notes=(_("They failed a check of signature, address, time or content, and nobody opened them."),),
    )

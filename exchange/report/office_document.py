"""An office's figures as a document."""

from __future__ import annotations

from collections import Counter

from exchange.report._wording import Wording
from exchange.report.document import Bar, Cell, Chart, Column, Document, Fact, Grid, Section, Table, TextKind
from exchange.report.language import Reader, isolated, printable
from exchange.report.office_figures import ANSWER, OfficeFigures
from exchange.text.labels import list_of_state

# So many nations and months are drawn; the tables have all.
_NATIONS = 15
_MONTHS = 12


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
            *(() if figures.suppressed_below else (_pairs(figures, words), _funnel(figures, words))),
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


def _pairs(figures: OfficeFigures, words: Wording) -> Section:
    """Messages with each nation, by month: the nations with most of them as a grid, all of them as a table."""
    _ = words.reader.text
    months = sorted({row.month for row in figures.pairs})[-_MONTHS:]
    totals: Counter[str] = Counter()
    by_cell: Counter[tuple[str, str]] = Counter()
    for row in figures.pairs:
        totals[row.nation] += row.sent + row.received
        by_cell[row.nation, row.month] += row.sent + row.received
    most = max(by_cell.values(), default=1) or 1
    first = [nation for nation, _count in totals.most_common(_NATIONS)]

    def cell(nation: str, month: str) -> Cell:
        number = by_cell[nation, month]
        return Cell(words.reader.number(number), number / most)

    grid = Grid(
        _("Messages with the nations that have most, by month"),
        tuple(words.reader.month(month) for month in months),
        tuple((words.nation(nation), tuple(cell(nation, month) for month in months)) for nation in first),
    )
    table = Table(
        _("Messages by nation and month"),
        (Column(_("Nation")), Column(_("Month")), *words.numbers(_("Sent"), _("Received"))),
        tuple(
            (
                words.nation(row.nation),
                words.reader.month(row.month),
                words.reader.number(row.sent),
                words.reader.number(row.received),
            )
            for row in figures.pairs
        ),
        words.empty(_("No messages.")),
    )
    return Section(
        _("Nations"),
        tables=(table,),
        notes=(_("For this office alone: a report for publication says nothing of pairs of nations."),),
        grids=(grid,) if first else (),
    )


def _funnel(figures: OfficeFigures, words: Wording) -> Section:
    _ = words.reader.text
    names = {
        "submitted": _("Submitted"),
        "received": _("With their desk"),
        "opened": _("Opened by an officer"),
        "acknowledged": _("Acknowledged"),
        "answered": _("Answered for all targets"),
    }
    all_of_them = figures.funnel[0].requests if figures.funnel else 0
    numbers = [(names[row.step], row.requests) for row in figures.funnel]
    return Section(
        _("How far our requests got"),
        charts=words.bars(_("Requests that this office made in the period"), numbers, all_of_them),
        tables=(
            Table(
                _("Requests by how far they got"),
                (Column(_("Step")), *words.numbers(_("Requests"), _("Of all"))),
                tuple(
                    (name, words.reader.number(number), f"{100 * number // all_of_them} %") for name, number in numbers
                ),
                words.empty(_("This office made no request in the period.")),
            ),
        ),
        notes=(_("By proofs where there are any; a later step counts as each earlier one."),),
    )


def _reply_chart(figures: OfficeFigures, words: Wording) -> tuple[Chart, ...]:
    """Median and 90 % of acknowledgements by urgency, beside the target."""
    _ = words.reader.text
    rows = [row for row in figures.replies if row.spread.count]
    if not rows:
        return ()
    longest = max(*(row.spread.p90_ms or 0 for row in rows), *(row.target_ms for row in rows), 1)
    bars = []
    for row in rows:
        who = words.who(ours=not row.ours)
        urgency, target = words.reader.short_code("urgency", row.urgency), words.reader.span(row.target_ms)
        for share, text, outlined in (
            (row.spread.median_ms, _("{who}, {urgency}: median (target {target})"), False),
            (row.spread.p90_ms, _("{who}, {urgency}: 90 % within (target {target})"), True),
        ):
            label = text.format(who=who, urgency=urgency, target=target)
            value = share or 0
            bars.append(Bar(label, words.reader.span(value), value / longest, outlined, row.target_ms / longest))
    return (Chart(_("Time from proved receipt to the acknowledgement; the dashed line is the target"), tuple(bars)),)


def _times(figures: OfficeFigures, words: Wording) -> Section:
    _ = words.reader.text
    replies = tuple(
        (
            words.who(ours=not row.ours),
            words.reader.code("urgency", row.urgency),
            words.reader.span(row.target_ms),
            *words.spread(row.spread),
        )
        for row in figures.replies
    )
    by_urgency = Table(
        _("Acknowledgements by urgency"),
        (
            Column(_("Given by")),
            Column(_("Urgency")),
            *words.numbers(_("Target")),
            *words.spread_columns(_("Requests")),
        ),
        replies,
        words.empty(_("Nothing could be measured.")),
    )
    return Section(
        _("Acknowledgements and answers"),
        charts=_reply_chart(figures, words),
        tables=(
            *((by_urgency,) if replies else ()),
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
        charts=words.bars(_("Lapses prevented, and lapses"), _lapse_numbers(figures, words)),
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


def _lapse_numbers(figures: OfficeFigures, words: Wording) -> list[tuple[str, int]]:
    """Nothing where a number was left out: then the table alone says so."""
    _ = words.reader.text
    texts = {"prevented": _("{who} asked: lapses prevented"), "lapsed": _("{who} asked: lapsed")}
    found = [
        (texts[name].format(who=words.who(ours=row.ours)), getattr(row, name))
        for row in figures.lapses
        for name in ("prevented", "lapsed")
    ]
    return [] if any(number is None for _text, number in found) else found


def _refusals(figures: OfficeFigures, words: Wording) -> Section:
    _ = words.reader.text
    counted = [
        (f"{words.reader.code('refusal_ground', row.ground)} ({words.who(ours=row.ours)})", row.count)
        for row in figures.refusals
    ]
    known = [] if any(count is None for _text, count in counted) else [(text, count or 0) for text, count in counted]
    return Section(
        _("Refusals"),
        charts=words.bars(_("Refusals by ground"), known),
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

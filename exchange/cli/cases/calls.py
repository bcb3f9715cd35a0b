"""``comity call``: whom to call about a message, what came of it, and what goes without a call."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    SHORT_ID,
    HomeOption,
    IdArgument,
    JsonOption,
    PassphraseOption,
    SecondOfficerOption,
    SecondPassphraseOption,
    read_officer_passphrase,
    run,
    with_desk,
)
from exchange.cli.messages.syncing import SyncOption, synced
from exchange.cli.output import line, print_json, safe
from exchange.i18n import _, labelled
from exchange.text.labels import code_label
from protocol.errors import UsageError

if TYPE_CHECKING:
    from exchange.cases.calls import CallAbout, CallEntry, CallSheet, PhoneCard
    from exchange.desk.desk import Desk

app = typer.Typer(no_args_is_help=True)
SpokeToOption = Annotated[str | None, typer.Option("--spoke-to", help=_("Who answered the call."))]
NumberOption = Annotated[
    str | None, typer.Option("--number", help=_("The number that was called; it is one of the directory's."))
]
RemarkOption = Annotated[str, typer.Option("--remark", help=_("A remark for this office."))]


@app.command(
    help=_(
        "Show whom to call about a message: the directory's number, never the message's.\n\n"
        "Example: comity call show 7f3a"
    )
)
def show(
    message_id: IdArgument,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show whom to call."""

    async def work(desk: Desk) -> None:
        from exchange.acts.calls import sheet_object

        reached = await synced(desk, sync=sync)
        sheet = await desk.cases.call_sheet(await desk.messages.resolve(message_id))
        if as_json:
            print_json({**sheet_object(sheet), **reached.members()})
            return
        reached.say()
        print_sheet(sheet)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    help=_(
        "Record what came of a call on a number of the directory.\n\n"
        "Example: comity call record 7f3a --spoke-to 'Suzuki Ren' --verified"
    )
)
def record(
    message_id: IdArgument,
    verified: Annotated[
        bool,
        typer.Option("--verified", help=_("They said that it is theirs; of a message of ours: that they have it.")),
    ] = False,
    nobody: Annotated[bool, typer.Option("--nobody-answered", help=_("Nobody answered."))] = False,
    not_theirs: Annotated[
        bool,
        typer.Option(
            "--not-theirs",
            help=_("They said that it is not theirs; of a message of ours: that it is not there."),
        ),
    ] = False,
    spoke_to: SpokeToOption = None,
    number: NumberOption = None,
    remark: RemarkOption = "",
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record a call."""

    async def work(desk: Desk) -> None:
        said = {"verified": verified, "nobody_answered": nobody, "not_theirs": not_theirs}
        given = [outcome for outcome, yes in said.items() if yes]
        if len(given) != 1:
            raise UsageError(_("give one of --verified, --nobody-answered and --not-theirs"))
        message = await desk.messages.resolve(message_id)
        entry = await desk.cases.record_call(message, given[0], number=number, spoke_to=spoke_to, remark=remark)
        _report(entry, as_json=as_json)
        if not_theirs and entry.about != "own" and not as_json:
            line(warning_of_forgery())

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    "break-glass",
    help=_(
        "Let one disclosure go though nobody could be reached: two officers, a reason; it is reviewed afterwards.\n\n"
        "Example: comity call break-glass 7f3a 'A child is in danger now.' --second-officer tanaka"
    ),
)
def break_glass(
    message_id: IdArgument,
    reason: Annotated[str, typer.Argument(help=_("Why it cannot wait."))],
    second_officer: SecondOfficerOption,
    second_passphrase_file: SecondPassphraseOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Break the glass."""

    async def work(desk: Desk) -> None:
        from exchange.acts.calls import break_glass as broken

        message = await desk.messages.resolve(message_id)
        secret = read_officer_passphrase(second_passphrase_file, second_officer, "--second-passphrase-file")
        _report(await broken(desk, message, reason, second_officer, secret), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    help=_(
        "Say that another officer looked at what went without a call.\n\nExample: comity call review 7f3a --remark OK"
    )
)
def review(
    message_id: IdArgument,
    remark: RemarkOption = "",
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Review what went without a call."""

    async def work(desk: Desk) -> None:
        _report(await desk.cases.review_glass(await desk.messages.resolve(message_id), remark), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def print_sheet(sheet: CallSheet) -> None:
    """Whom to call, for a person."""
    if sheet.calls.suspected:
        line(warning_of_forgery())
    reach = sheet.reach
    if reach is None:
        line(_("The directory has no number of {contact}.").format(contact=sheet.contact))
    else:
        line(
            _("Call {contact}: {office}, {agency}").format(
                contact=sheet.contact, office=safe(reach.office), agency=safe(reach.agency)
            )
        )
        for text in reach_lines(reach):
            line(f"  {text}")
        if sheet.received and sheet.recorded is None:
            line(_("  By the directory of now: what it said when the message came was not kept."))
    if sheet.changed and sheet.now is not None:
        numbers = ", ".join(safe(number) for number in sheet.now.numbers) or "-"
        line(_("CARE: the directory has other numbers since: {numbers}").format(numbers=numbers))
    for written in sheet.written:
        text = (
            _("In the message, {field}: {telephone} DIFFERS, do not call it")
            if written.differs
            else _("In the message, {field}: {telephone} is the directory's")
        )
        line(text.format(field=written.where, telephone=safe(written.number)))
    if sheet.required and sheet.calls.outcome is None:
        line(_("This office calls back before it discloses anything in an emergency."))
    for entry in sheet.calls.entries:
        line(entry_text(entry))


def reach_lines(reach: PhoneCard) -> list[str]:
    """How an office is called, a line each."""
    lines = [labelled(_("number"), ", ".join(safe(phone) for phone in reach.phones) or "-"), _hours_text(reach)]
    if reach.deputy is not None:
        phones = ", ".join(safe(phone) for phone in reach.deputy_phones) or "-"
        lines.append(labelled(_("deputy"), f"{reach.deputy} {safe(reach.deputy_office)} {phones}"))
    if reach.fallback is not None:
        lines.append(labelled(_("fallback"), safe(reach.fallback)))
    text = _("directory version {version}; the card is of {at}")
    lines.append(text.format(version=reach.version or "-", at=f"{reach.updated_at:%Y-%m-%d}"))
    return lines


def warning_of_forgery() -> str:
    """What is said wherever such a case is shown."""
    return _(
        "WARNING: SUSPECTED FORGERY. The office that is named said that this is not theirs. Disclose nothing."
        " Tell the network: comity new incident"
    )


def outcome_text(outcome: str, about: CallAbout) -> str:
    """What came of a call, in the words of the side that called."""
    from exchange.cases.calls import CallAbout

    words = {
        (CallAbout.MESSAGE, "verified"): _("The office confirmed that the message is theirs"),
        (CallAbout.MESSAGE, "not_theirs"): _("The office said that the message is not theirs"),
        (CallAbout.OWN, "verified"): _("The office confirmed that it has our message"),
        (CallAbout.OWN, "not_theirs"): _("The office said that our message is not with it, or not for it"),
    }
    return words.get((about, outcome)) or code_label("call_outcome", outcome)


def entry_text(entry: CallEntry) -> str:
    """One entry in a line."""
    at, by = f"{entry.at:%Y-%m-%d %H:%MZ}", safe(entry.by)
    if entry.outcome is not None:
        text = _("{at} {by} called {number}: {outcome}")
        told = text.format(at=at, by=by, number=safe(entry.number), outcome=outcome_text(entry.outcome, entry.about))
        return f"{told} ({safe(entry.spoke_to)})" if entry.spoke_to is not None else told
    texts = {
        "break_glass": _("{at} {by} and {second} broke the glass: {reason}"),
        "glass_used": _("{at} {by} disclosed without a call: {message}"),
        "review": _("{at} {by} reviewed what was disclosed without a call: {reason}"),
    }
    return texts[entry.kind].format(
        at=at, by=by, second=safe(entry.second), reason=safe(entry.text), message=str(entry.message)[-SHORT_ID:]
    )


# --- Inside ---


def _report(entry: CallEntry, *, as_json: bool) -> None:
    if as_json:
        print_json(entry)
    else:
        line(entry_text(entry))


def _hours_text(reach: PhoneCard) -> str:
    """The hours of the card, and the opening of now or next in both zones."""
    from keys.directory.duty_hours import on_duty, opening_at, zone_of

    if isinstance(reach.hours, str):
        return labelled(_("hours"), "24/7")
    now = datetime.now(UTC)
    days = "; ".join(f"{','.join(day.value for day in one.days)} {one.opens}-{one.closes}" for one in reach.hours)
    told = labelled(_("hours"), f"{days} {reach.time_zone}")
    opening, zone = opening_at(reach, now), zone_of(reach)
    if opening is None or zone is None:
        return told
    text = _("open until {there} there, {here} here") if on_duty(reach, now) else _("opens {there} there, {here} here")
    moment = opening[1] if on_duty(reach, now) else opening[0]
    there, here = moment.astimezone(zone), moment.astimezone()
    return f"{told} ({text.format(there=f'{there:%a %H:%M}', here=f'{here:%a %H:%M}')})"

"""``comity duty``: who is on duty, and handing over at the end of a shift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._options import DEFAULT_HOME, HomeOption, JsonOption, PassphraseOption, instant, run, with_desk
from exchange.cli.office.officers import OfficerArgument
from exchange.cli.output import line, print_json, safe, table
from exchange.i18n import _, labelled
from protocol.errors import UsageError

if TYPE_CHECKING:
    from exchange.acts.office import HandoversShown
    from exchange.desk.desk import Desk

app = typer.Typer(no_args_is_help=True)
_SHORT = 8


@app.command("show", help=_("Show who is on duty, and when nobody is.\n\nExample: comity duty show"))
def show(
    home: HomeOption = DEFAULT_HOME, passphrase_file: PassphraseOption = None, as_json: JsonOption = False
) -> None:
    """Show the rota."""

    async def work(desk: Desk) -> None:
        view = await desk.office.duty()
        if as_json:
            print_json(view)
            return
        line(labelled(_("On duty now"), ", ".join(view.now) or _("nobody")))
        table(
            _("Shifts"),
            [_("Id"), _("Officer"), _("Begins"), _("Ends")],
            [(str(shift.id)[:_SHORT], shift.officer, shift.begins, shift.ends) for shift in view.shifts],
        )
        for gap in view.gaps:
            line(_("Nobody is on duty from {begins} to {ends}").format(begins=safe(gap.begins), ends=safe(gap.ends)))
        for handover in view.handovers:
            line(_("{taker} has not taken over from {giver} yet").format(taker=handover.taker, giver=handover.giver))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    "add",
    help=_(
        "Put an officer on duty.\n\n"
        "Example: comity duty add kim --from 2026-11-23T20:00:00+09:00 --to 2026-11-24T08:00:00+09:00"
    ),
)
def add(
    officer: OfficerArgument,
    begins: Annotated[str, typer.Option("--from", help=_("When the shift begins (date and time with time zone)."))],
    ends: Annotated[str, typer.Option("--to", help=_("When the shift ends (date and time with time zone)."))],
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a shift."""

    async def work(desk: Desk) -> None:
        first, last = instant(begins), instant(ends)
        if first is None or last is None:
            raise UsageError(_("give the beginning and the end of the shift"))
        shift = await desk.office.add_shift(officer, first, last)
        if as_json:
            print_json(shift)
        else:
            line(f"{shift.id}: {shift.officer}, {safe(shift.begins)}, {safe(shift.ends)}")

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("remove", help=_("Take a shift off the rota.\n\nExample: comity duty remove 7f3a9c01"))
def remove(
    shift: Annotated[str, typer.Argument(help=_("The shift's id, or its first characters."))],
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a shift."""

    async def work(desk: Desk) -> None:
        removed = await desk.office.remove_shift(shift)
        if as_json:
            print_json(removed)
        else:
            line(f"{removed.id}: {removed.officer}, {safe(removed.begins)}, {safe(removed.ends)}")

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    "hand-over",
    help=_("Hand your cases over.\n\nExample: comity duty hand-over lee --note 'Paris calls back at 6.'"),
)
def hand_over(
    officer: OfficerArgument,
    note: Annotated[str, typer.Option("--note", help=_("What the next officer should know."))] = "",
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hand over."""

    async def work(desk: Desk) -> None:
        from exchange.acts.office import hand_over as handed_over

        _print(await handed_over(desk, officer, note=note), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("take-over", help=_("Take over what was handed to you.\n\nExample: comity duty take-over"))
def take_over(
    home: HomeOption = DEFAULT_HOME, passphrase_file: PassphraseOption = None, as_json: JsonOption = False
) -> None:
    """Take over."""

    async def work(desk: Desk) -> None:
        from exchange.acts.office import take_over as taken_over

        _print(await taken_over(desk), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _print(shown: HandoversShown, *, as_json: bool) -> None:
    if as_json:
        print_json(shown)
        return
    for handover in shown["handovers"]:
        line(f"{handover.giver} → {handover.taker}, {safe(handover.at)}")
        if handover.note:
            line(safe(handover.note))
        table(_("Cases"), [_("Case")], [(case,) for case in handover.cases])

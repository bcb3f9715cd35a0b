"""``comity erase``: destroying content when it is no longer to be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    HomeOption,
    IdArgument,
    JsonOption,
    PassphraseOption,
    code_in,
    run,
    with_desk,
)
from exchange.cli.messages.syncing import SyncOption, synced
from exchange.cli.output import line, print_json, progress, table
from exchange.i18n import _, ngettext
from exchange.text.objects import plain

if TYPE_CHECKING:
    from exchange.desk.desk import Desk

app = typer.Typer(no_args_is_help=True)


@app.command("case", help=_("Erase one case.\n\nExample: comity erase case 7f3a --ground ordered"))
def case(
    message_id: IdArgument,
    ground: Annotated[
        str,
        typer.Option(
            "--ground", callback=code_in("erasure_ground"), help=_("Reason: a code of the list erasure_ground.")
        ),
    ],
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase one case."""

    async def work(desk: Desk) -> None:
        reached = await synced(desk, sync=sync)  # what arrived in it meanwhile goes with it, or keeps it
        if not as_json:
            reached.say()
        thread = (await desk.messages.row(await desk.messages.resolve(message_id))).thread
        erased = await desk.office.erase_case(thread, ground)
        if as_json:
            print_json({**plain(erased), **reached.members()})
        else:
            line(_erased(erased.messages))
            if erased.notes or erased.drafts:
                said = _("Erased with it: notes: {notes}; drafts and offers: {drafts}.")
                line(said.format(notes=erased.notes, drafts=erased.drafts))
            if erased.elsewhere:
                cases = ", ".join(str(case) for case in erased.elsewhere)
                line(_("A message of it was passed on in other cases, which stay: {cases}").format(cases=cases))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("due", help=_("Erase what is kept longer than the settings say.\n\nExample: comity erase due --dry-run"))
def due(
    dry_run: Annotated[bool, typer.Option("--dry-run", help=_("Only list the cases; erase nothing."))] = False,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase what is due."""

    async def work(desk: Desk) -> None:
        from exchange.acts.office import erase_due

        reached = await synced(desk, sync=sync)
        if not as_json:
            reached.say()
        with progress(_("erased"), as_json=as_json) as moved:
            done = await erase_due(desk, dry_run=dry_run, progress=moved)
        if as_json:
            print_json({**done, **reached.members()})
            return
        cases, erased = done["due"], done["erased"]
        table(
            _("Kept longer than the settings say"),
            [_("Case"), _("Messages"), _("Last at"), _("State")],
            [(one.thread, one.messages, one.last_at, one.state) for one in cases],
        )
        if not dry_run:
            line(_erased(sum(one.messages for one in erased)))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _erased(count: int) -> str:
    return ngettext("{count} message erased.", "{count} messages erased.", count).format(count=count)

"""``comity case list``: every case of the office with both references, nation, state, owner and what is due next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    SHORT_ID,
    FromOption,
    HomeOption,
    JsonOption,
    LimitOption,
    PassphraseOption,
    ToOption,
    code_in,
    instant,
    run,
    with_desk,
)
from exchange.cli.messages.syncing import SyncOption, synced
from exchange.cli.output import line, print_json, table
from exchange.i18n import _, ngettext
from exchange.text.labels import code_label, deadline_label, marked, state_until
from protocol.encoding.phrase import phrase

if TYPE_CHECKING:
    from exchange.desk.desk import Desk
    from exchange.views import CaseRow

_HEADINGS = (
    phrase("Case"),
    phrase("Our reference"),
    phrase("Their reference"),
    phrase("With"),
    phrase("Offence"),
    phrase("State"),
    phrase("Owner"),
    phrase("Due next"),
    phrase("What"),
)


def case_list(
    words: Annotated[str | None, typer.Argument(help=_("Part of a reference, or of the offence."))] = None,
    nation: Annotated[
        str | None,
        typer.Option("--with", callback=code_in("country"), help=_("Only with this nation.")),
    ] = None,
    owner: Annotated[str | None, typer.Option("--owner", help=_("Only those that this officer works on."))] = None,
    ours: Annotated[
        bool | None, typer.Option("--ours/--theirs", help=_("Only what this desk asked for, or what it was asked."))
    ] = None,
    offence: Annotated[str | None, typer.Option("--offence", help=_("Part of what the offence is called."))] = None,
    reference: Annotated[str | None, typer.Option("--reference", help=_("Part of either office's reference."))] = None,
    label: Annotated[
        str | None, typer.Option("--label", help=_("Only under this label, such as TLP:AMBER, PAP:RED or H1."))
    ] = None,
    since: FromOption = None,
    until: ToOption = None,
    limit: LimitOption = 50,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List cases."""

    async def work(desk: Desk) -> None:
        from exchange.acts.cases import list_cases

        reached = await synced(desk, sync=sync)
        shown = await list_cases(
            desk,
            nation=nation,
            owner=owner,
            ours=ours,
            text=words,
            offence=offence,
            reference=reference,
            label=label,
            since=instant(since),
            until=instant(until),
            limit=limit,
        )
        if as_json:
            print_json({**shown, **reached.members()})
            return
        found, more = shown["cases"], shown["more"]
        reached.say()
        if not found:
            line(_("There is no such case."))
            return
        table(
            _("Cases"),
            [_(heading) for heading in _HEADINGS],
            [_cells(row) for row in found],
        )
        if more:
            text = ngettext("{count} more case: give --limit.", "{count} more cases: give --limit.", more)
            line(text.format(count=more))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _cells(row: CaseRow) -> tuple[object, ...]:
    return (
        str(row.thread)[-SHORT_ID:],
        row.own_reference,
        row.peer_reference,
        code_label("country", row.nation.upper()) if len(row.nation) == 2 else row.nation,
        row.offence,
        marked(state_until(row.state, row.opened_at), suspected=row.suspected, proved=row.proved),
        row.owner,
        row.due,
        deadline_label(row.due_what) if row.due_what else None,
    )

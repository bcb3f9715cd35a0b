"""``comity settings``: the desk's own block, which is filled in where a draft leaves it out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli._options import DEFAULT_HOME, HomeOption, JsonOption, run
from exchange.cli.output import line, print_json, table
from exchange.i18n import _

app = typer.Typer(no_args_is_help=True)


@app.command(
    help=_(
        "Show what the settings fill in where a draft leaves it out, and whether the forms take it.\n\n"
        "Example: comity settings show"
    )
)
def show(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show the desk's own block."""

    async def work() -> None:
        from exchange.acts.own_block import problems, rows_of, settings_object
        from exchange.settings import DeskSettings, Home

        settings = DeskSettings.load(Home(home.expanduser()).settings)
        if as_json:
            print_json(settings_object(settings))
            return
        rows, wrong = rows_of(settings), problems(settings)
        table(_("Filled in by the desk"), [_("Setting"), _("Value")], rows)
        if wrong:
            table(
                _("To correct or add"), [_("Setting"), _("Rule"), _("Meaning")], [(f, _(r), _(t)) for f, r, t in wrong]
            )

    run(work, as_json=as_json)


@app.command(
    "set",
    help=_(
        "Set one of them; without a value it is taken out.\n\n"
        "Example: comity settings set authority.telephone +81350000247"
    ),
)
def set_(
    name: Annotated[
        str, typer.Argument(help=_("language, or a name in officer, authority or confirmation_contact, after a dot."))
    ],
    value: Annotated[str | None, typer.Argument(help=_("Its value; nothing takes it out."))] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Set a part of the desk's own block."""

    async def work() -> None:
        from exchange.acts.own_block import change_setting
        from exchange.settings import Home

        changed = change_setting(Home(home.expanduser()).settings, name, value)
        if as_json:
            print_json(changed)
        else:
            line(_("Set. A desk that runs as a service takes it up when it is started again."))

    run(work, as_json=as_json)


def own_block(home: Path) -> dict[str, Any]:
    """What the settings of a home fill in; nothing where there is no home yet."""
    from exchange.messaging.drafting.own_block import own_fields
    from exchange.settings import DeskSettings, Home

    path = Home(home.expanduser()).settings
    return own_fields(DeskSettings.load(path), None) if path.exists() else {}

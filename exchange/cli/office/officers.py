"""``comity officer``: the officers of a desk, their roles and their keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    NewPassphraseOption,
    PassphraseOption,
    QuickDerivationOption,
    code_in,
    read_officer_passphrase,
    run,
    with_desk,
)
from exchange.cli.output import line, print_json, safe, table
from exchange.i18n import _

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exchange.desk.desk import Desk
    from exchange.office.officers import DeskOfficer

app = typer.Typer(no_args_is_help=True)
OfficerArgument = Annotated[str, typer.Argument(help=_("The officer's id, such as kim."))]
RolesOption = Annotated[
    list[str],
    typer.Option(
        "--role", callback=code_in("officer_role"), help=_("reader, drafter, releaser or administrator; repeat it.")
    ),
]


@app.command(
    "add",
    help=_(
        "Register an officer and make the officer's key; the first is an administrator.\n\n"
        "Example: comity officer add kim --name 'Tanaka Kenta' --job-title Inspector --role drafter --role releaser"
    ),
)
def add(
    officer: OfficerArgument,
    name: Annotated[str, typer.Option("--name", help=_("The officer's name, as messages show it."))],
    job_title: Annotated[str, typer.Option("--job-title", help=_("The officer's function, as messages show it."))],
    roles: RolesOption,
    new_passphrase_file: NewPassphraseOption = None,
    quick: QuickDerivationOption = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register an officer."""

    async def work(desk: Desk) -> None:
        from exchange.acts.office import add_officer
        from exchange.office.officers import parse_roles
        from exchange.settings import Home
        from keys.secrets.keystore import FAST, STANDARD

        folder, _wanted = Home(home.expanduser()).officers, parse_roles(roles)
        secret = read_officer_passphrase(new_passphrase_file, officer, "--new-passphrase-file", new=True)
        derivation = FAST if quick else STANDARD
        added = await add_officer(desk, folder, officer, name, job_title, roles, secret, derivation=derivation)
        _print([added], as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("list", help=_("List the officers, those who left too.\n\nExample: comity officer list"))
def list_(
    home: HomeOption = DEFAULT_HOME, passphrase_file: PassphraseOption = None, as_json: JsonOption = False
) -> None:
    """List officers."""

    async def work(desk: Desk) -> None:
        _print(await desk.office.officers(), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("roles", help=_("Give an officer other roles.\n\nExample: comity officer roles kim --role reader"))
def roles_(
    officer: OfficerArgument,
    roles: RolesOption,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change roles."""

    async def work(desk: Desk) -> None:
        from exchange.office.officers import parse_roles

        _print([await desk.office.change_roles(officer, parse_roles(roles))], as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("leave", help=_("An officer leaves; the key counts no more.\n\nExample: comity officer leave kim"))
def leave(
    officer: OfficerArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """An officer leaves."""

    async def work(desk: Desk) -> None:
        _print([await desk.office.withdraw_officer(officer)], as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("passphrase", help=_("Change an officer's passphrase.\n\nExample: comity officer passphrase kim"))
def passphrase(
    officer: OfficerArgument,
    old_passphrase_file: Annotated[
        Path | None, typer.Option("--old-passphrase-file", help=_("A file with the present passphrase."))
    ] = None,
    new_passphrase_file: NewPassphraseOption = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Change a passphrase."""

    async def work() -> None:
        from exchange.office.officers import check_officer_id, key_file
        from exchange.settings import Home
        from keys.secrets.keystore import Keystore

        file = key_file(Home(home.expanduser()).officers, check_officer_id(officer))
        old = read_officer_passphrase(old_passphrase_file, officer, "--old-passphrase-file")
        keystore = Keystore.open(file, old)
        secret = read_officer_passphrase(new_passphrase_file, officer, "--new-passphrase-file", new=True)
        keystore.change_passphrase(secret)
        keystore.save()
        if as_json:
            print_json({"officer": officer, "changed": True})
        else:
            line(_("The passphrase is changed."))

    run(work, as_json=as_json)


@app.command(
    "key",
    help=_(
        "Make a new key of your own, under a passphrase that only you know.\n\n"
        "The person who registered you made your first key. From now on it counts no more.\n\n"
        "Example: comity officer key"
    ),
)
def key(
    new_passphrase_file: NewPassphraseOption = None,
    quick: QuickDerivationOption = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new key of one's own."""

    async def work(desk: Desk) -> None:
        from exchange.acts.office import make_own_key
        from exchange.settings import Home
        from keys.secrets.keystore import FAST, STANDARD
        from protocol.errors import OfficerNeededError

        acting = desk.office.acting.officer
        if acting is None:
            raise OfficerNeededError
        folder = Home(home.expanduser()).officers
        secret = read_officer_passphrase(new_passphrase_file, acting.id, "--new-passphrase-file", new=True)
        changed = await make_own_key(desk, folder, secret, derivation=FAST if quick else STANDARD)
        _print([changed], as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    "confirm",
    help=_(
        "Confirm that an officer is another person than who registered the id, and holds its key.\n\n"
        "Do it in the officer's presence, after the officer made a new key.\n\n"
        "Example: comity officer confirm kim"
    ),
)
def confirm(
    officer: OfficerArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Confirm an officer."""

    async def work(desk: Desk) -> None:
        _print([await desk.office.confirm_officer(officer)], as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    "bind",
    help=_(
        "Bind an officer's account at the agency's identity provider, which then says who signs in.\n\n"
        "The account is what the claim of the settings says of its holder ([web.oidc], claim).\n\n"
        "Example: comity officer bind kim --account 8f3c21d0"
    ),
)
def bind(
    officer: OfficerArgument,
    account: Annotated[str, typer.Option("--account", help=_("What the agency's claim says of the officer."))],
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bind an account."""

    async def work(desk: Desk) -> None:
        bound = await desk.office.bind_officer(officer, account)
        if as_json:
            _print([bound], as_json=True)
        else:
            line(_("Bound: the agency says who {officer} is.").format(officer=bound.id))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    "unbind",
    help=_(
        "Take the agency's account from an officer; the sessions that it began end.\n\n"
        "Example: comity officer unbind kim"
    ),
)
def unbind(
    officer: OfficerArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Unbind an account."""

    async def work(desk: Desk) -> None:
        free = await desk.office.unbind_officer(officer)
        if as_json:
            _print([free], as_json=True)
        else:
            line(_("Unbound: the agency says of nobody that it is {officer}.").format(officer=free.id))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _print(officers: Sequence[DeskOfficer], *, as_json: bool) -> None:
    if as_json:
        from exchange.acts.office import officers_object

        print_json(officers_object(officers))
        return
    table(
        _("Officers"),
        [_("Id"), _("Name"), _("Function"), _("Roles"), _("Since"), _("Until"), _("Confirmed by")],
        [
            (
                o.id,
                safe(o.name),
                safe(o.job_title),
                ", ".join(sorted(o.roles)),
                o.registered_at,
                o.withdrawn_at,
                o.confirmed_by,
            )
            for o in officers
        ],
    )

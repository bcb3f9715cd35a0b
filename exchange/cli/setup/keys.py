"""``comity keys``: which keys the desk has, new ones ahead of time, and old ones gone for good."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._options import DEFAULT_HOME, HomeOption, JsonOption, PassphraseOption, read_passphrase, run
from exchange.cli.output import line, print_json, table
from exchange.cli.setup._declaring import (
    AcceptsOption,
    CannotOption,
    CarriesOutOption,
    FacilitatesOption,
    performances,
)
from exchange.i18n import _
from protocol.errors import UsageError

if TYPE_CHECKING:
    from keys.directory.cards import ContactPointCard
    from keys.secrets.keystore import Keystore

app = typer.Typer(no_args_is_help=True)

Work = Callable[["Keystore", "ContactPointCard", datetime], Awaitable[None]]


@app.command(help=_("Show every key and where it stands.\n\nExample: comity keys status"))
def status(
    home: HomeOption = DEFAULT_HOME, passphrase_file: PassphraseOption = None, as_json: JsonOption = False
) -> None:
    """Show keys."""

    async def work(keystore: Keystore, card: ContactPointCard, now: datetime) -> None:
        from exchange.desk.keys import is_behind, key_rows

        rows = key_rows(keystore, card, now)
        if as_json:
            print_json({"keys": rows, "card_is_behind": is_behind(card)})
            return
        words = {
            "unpublished": _("not published"),
            "future": _("published, not valid yet"),
            "valid": _("valid"),
            "ended": _("ended"),
        }
        table(
            _("Keys"),
            [_("Key id"), _("For"), _("State"), _("Valid from"), _("Ends"), _("Held here")],
            [
                (
                    row.kid.hex(),
                    _("signing") if row.purpose == "sign" else _("sealing"),
                    words[row.state.value],
                    row.valid_from,
                    row.ends,
                    _("yes") if row.private else _("no"),
                )
                for row in rows
            ],
        )
        if is_behind(card):
            line(
                _("The published card does not say all that this desk reads: run comity keys card, and have it signed.")
            )

    _with_keys(home, passphrase_file, work, as_json=as_json)


@app.command(help=_("Make sealing keys for the time to come.\n\nExample: comity keys plan --count 4 --days 90"))
def plan(
    count: Annotated[int, typer.Option("--count", min=1, max=12, help=_("How many keys."))] = 4,
    days: Annotated[int, typer.Option("--days", min=1, max=730, help=_("How many days each key is in use."))] = 90,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Plan keys."""

    async def work(keystore: Keystore, card: ContactPointCard, now: datetime) -> None:
        from exchange.desk.keys import plan

        _give_card(home, plan(keystore, card, count, timedelta(days=days), now), as_json=as_json)

    _with_keys(home, passphrase_file, work, as_json=as_json)


@app.command(
    help=_("Destroy private sealing keys whose time is over.\n\nExample: comity keys retire --after-days 30"),
)
def retire(
    after_days: Annotated[
        int, typer.Option("--after-days", min=0, max=400, help=_("How long after a key's end: messages may be late."))
    ] = 30,
    kid: Annotated[
        str | None, typer.Option("--kid", help=_("Destroy this ended or revoked key now, late messages or not."))
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Retire keys."""

    async def work(keystore: Keystore, card: ContactPointCard, now: datetime) -> None:
        from exchange.desk.keys import retire

        try:
            named = None if kid is None else bytes.fromhex(kid)
        except ValueError as problem:
            raise UsageError(_("a key id is written in hexadecimal")) from problem
        gone = retire(keystore, card, timedelta(days=after_days), now, named)
        if as_json:
            print_json({"destroyed": gone})
            return
        for key in gone:
            line(_("destroyed: {kid}").format(kid=key.hex()))
        if not gone:
            line(_("No key is to be destroyed yet."))

    _with_keys(home, passphrase_file, work, as_json=as_json)


@app.command("renew-signing", help=_("Make the next signing key.\n\nExample: comity keys renew-signing"))
def renew_signing(
    home: HomeOption = DEFAULT_HOME, passphrase_file: PassphraseOption = None, as_json: JsonOption = False
) -> None:
    """Begin a new signing key."""

    async def work(keystore: Keystore, card: ContactPointCard, now: datetime) -> None:
        from exchange.desk.keys import begin_signing

        _give_card(home, begin_signing(keystore, card, now), as_json=as_json)

    _with_keys(home, passphrase_file, work, as_json=as_json)


@app.command(
    "switch-signing", help=_("Sign with the next key, once it is published.\n\nExample: comity keys switch-signing")
)
def switch_signing(
    home: HomeOption = DEFAULT_HOME, passphrase_file: PassphraseOption = None, as_json: JsonOption = False
) -> None:
    """Switch to the new signing key."""

    async def work(keystore: Keystore, card: ContactPointCard, now: datetime) -> None:
        from exchange.desk.keys import switch_signing

        _give_card(home, switch_signing(keystore, card, now), as_json=as_json)

    _with_keys(home, passphrase_file, work, as_json=as_json)


@app.command(
    "card",
    help=_(
        "Write the desk's card anew: with the message types and versions that this program reads, which is needed after"
        " each upgrade, and what the office declares.\n\n"
        "Example: comity keys card --accepts en --accepts fr --carries-out preservation --facilitates evidence"
    ),
)
def card(
    accepts: AcceptsOption = None,
    carries_out: CarriesOutOption = None,
    facilitates: FacilitatesOption = None,
    cannot: CannotOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the card."""

    async def work(keystore: Keystore, card: ContactPointCard, now: datetime) -> None:
        from exchange.desk.keys import refreshed

        performs = performances(carries_out, facilitates, cannot)
        _give_card(home, refreshed(card, now, accepted_languages=accepts or (), performs=performs), as_json=as_json)

    _with_keys(home, passphrase_file, work, as_json=as_json)


def _with_keys(home: Path, passphrase_file: Path | None, work: Work, *, as_json: bool) -> None:
    """Run ``work`` with the keystore and the published card, the directory as new as it can be had."""

    async def opened() -> None:
        from exchange.desk.desk import Desk, utc_now
        from exchange.settings import Home
        from keys.secrets.keystore import Keystore

        folder, passphrase = home.expanduser(), read_passphrase(passphrase_file)
        async with Desk.open(folder, passphrase, clock=utc_now) as desk:
            await desk.refresh_directory()
            card = desk.directory.contact_point(desk.address)
        keystore = Keystore.open(Home(folder).keystore, passphrase)
        await work(keystore, card, utc_now().replace(microsecond=0))

    run(opened, as_json=as_json)


def _give_card(home: Path, card: ContactPointCard, *, as_json: bool) -> None:
    from exchange.settings import Home
    from keys.directory.cards import card_to_bytes
    from keys.local.files import write_file

    path = Home(home.expanduser()).enrolment
    write_file(path, card_to_bytes(card))
    if as_json:
        print_json({"card": str(path), "address": card.address})
    else:
        line(_("Give this file to your national authority, who signs it into the directory:"))
        line(str(path))

"""``comity web``: the desk's pages as an administrator and an officer see them from the terminal."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import typer

from exchange.cli._options import DEFAULT_HOME, HomeOption, JsonOption, PassphraseOption, open_desk_here, run
from exchange.cli.output import line, print_json, safe, table
from exchange.i18n import _
from exchange.service.served import Served, served_desk
from keys.local.terminal import NOTHING
from protocol.encoding.phrase import phrase
from protocol.errors import OfficerNeededError, SessionError

app = typer.Typer(no_args_is_help=True)


@app.command(
    "code",
    help=_(
        "Make a one-time code by which you sign in in a browser: good once, for ten minutes.\n\n"
        "Example: comity web code --officer kim"
    ),
)
def code(
    home: HomeOption = DEFAULT_HOME, passphrase_file: PassphraseOption = None, as_json: JsonOption = False
) -> None:
    """Make a code; it is typed, and no link holds it."""

    async def work() -> None:
        served = _served(home)
        async with open_desk_here(home, passphrase_file) as desk:
            acting = desk.office.acting
            if acting.has_officers and acting.officer is None:
                raise OfficerNeededError
            officer = acting.officer.id if acting.officer is not None else None
            seed = acting.signer.seed() if acting.signer is not None and hasattr(acting.signer, "seed") else b""
            if officer is not None and not seed:
                raise SessionError(phrase("that officer's key is not in a file: sign in with a passkey"))
        made: dict[str, Any] = served.ask("web-code", officer=officer, seed=base64.b64encode(seed).decode())
        if as_json:
            print_json({"officer": officer, **made})
            return
        line(_("Open in a browser: {address}").format(address=safe(made["address"])))
        if officer is not None:
            line(_("Officer: {officer}").format(officer=safe(officer)))
        line(_("One-time code: {code}").format(code=made["code"]))
        line(_("It is good once, for ten minutes. Type it; send it to nobody."))

    run(work, as_json=as_json)


@app.command(
    "sessions",
    help=_(
        "Who is signed in in a browser; --end ends one by its name, or all of an officer.\n\n"
        "Example: comity web sessions --end 3f9a1c22b0d4"
    ),
)
def sessions(
    end: str | None = typer.Option(None, "--end", help=_("The session's name, or an officer: all of that officer.")),
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """List the sessions of browsers; end some."""

    async def work() -> int | None:
        found: list[dict[str, Any]] = _served(home).ask("web-sessions", end=end)
        if as_json:
            print_json({"sessions": found})
        elif found:
            heads = [_("Session"), _("Officer"), _("Minutes idle"), _("Locked"), _("Browser")]
            table(_("Ended") if end else _("Signed in in a browser"), heads, [_row(one) for one in found])
        else:
            line(_("There is no such session."))
        return None if found else NOTHING

    run(work, as_json=as_json)


@app.command(
    "agency",
    help=_(
        "What to register at the agency's identity provider, and whether it answers ([web.oidc] of the settings).\n\n"
        "Example: comity web agency"
    ),
)
def agency(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show how the agency is asked, and ask it what it is and which keys it has."""

    async def work() -> None:
        from exchange.settings import DeskSettings, Home
        from exchange.web.agency.provider import AgencyProvider

        known: dict[str, Any] = _served(home).ask("web-agency")
        if not as_json:
            line(_("Issuer: {issuer}").format(issuer=safe(known["issuer"])))
            line(_("Client: {client}").format(client=safe(known["client_id"])))
            line(_("Redirect address to register: {address}").format(address=safe(known["redirect_uri"])))
            line(_("Claim that names an officer: {claim}").format(claim=safe(known["claim"])))
            if known["last_refusal"] is not None:
                last = known["last_refusal"]
                said = _("Refused last: {at}, {why} ({code})")
                line(said.format(at=last["at"], why=safe(last["why"]), code=last["code"]))
        oidc = DeskSettings.load(Home(home.expanduser()).settings).web.oidc
        if oidc is None:
            raise SessionError(phrase("the settings changed since the desk began: begin it again"))
        keys = await AgencyProvider(oidc).keys(None)
        if as_json:
            print_json({**known, "keys": len(keys)})
        else:
            line(_("It answers. Keys that can sign: {n}").format(n=len(keys)))

    run(work, as_json=as_json)


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    locked = _("yes") if one["locked"] else _("no")
    return one["session"], safe(one["officer"] or "–"), one["idle_s"] // 60, locked, safe(one["browser"])


def _served(home: Path) -> Served:
    served = served_desk(home)
    if served is None:
        raise SessionError(phrase("the desk does not run: comity desk run serves its pages"))
    return served

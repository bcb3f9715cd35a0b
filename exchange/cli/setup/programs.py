"""``comity desk api``, ``events``, ``webhook-secret``: what other programs of the agency need of a desk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli._acting import given_login
from exchange.cli._options import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    OutOrPrintOption,
    PassphraseOption,
    run,
    until_signalled,
    with_desk,
)
from exchange.cli.output import line, print_json, print_json_line, safe
from exchange.i18n import _
from exchange.service.run_folder import note_of_owner
from protocol.encoding.phrase import phrase
from protocol.errors import UnavailableError
from protocol.errors import registry as error_classes

if TYPE_CHECKING:
    from exchange.desk.desk import Desk


def write_api(out: OutOrPrintOption = None, as_json: JsonOption = False) -> None:
    """Write the OpenAPI document."""

    async def work() -> None:
        from exchange.cli.messages.files import write_out
        from exchange.service.api.openapi import document

        text = json.dumps(document(), ensure_ascii=True, indent=2) + "\n"
        if out is None:
            print(text, end="")
            return
        write_out(out, text.encode())
        if as_json:
            print_json({"file": str(out)})
        else:
            line(str(out))

    run(work, as_json=as_json)


def events(
    after: Annotated[
        int | None, typer.Option("--after", min=0, help=_("The number of the last event that you saw."))
    ] = None,
    once: Annotated[bool, typer.Option("--once", help=_("End when all that happened is told."))] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Follow events."""

    async def follow() -> None:
        import aiohttp

        folder = home.expanduser()
        note = note_of_owner(folder)
        if note is None:
            raise UnavailableError(phrase("the desk does not run: start it with comity desk run"))
        asked = {"once": "true"} if once else {}
        asked |= {"after": str(after)} if after is not None else {}
        headers = {"Comity-Officer": officer} if (officer := given_login().officer) is not None else {}
        try:
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.UnixConnector(note.api_socket), timeout=aiohttp.ClientTimeout(total=None)
                ) as session,
                session.get("http://desk/v1/events", params=asked, headers=headers) as answer,
            ):
                if answer.status != 200:
                    said = json.loads(await answer.read())
                    raise error_classes()[said["code"]](said["detail"])
                async for written in answer.content:
                    _say(written, as_json=as_json)
        except (aiohttp.ClientError, OSError) as problem:
            raise UnavailableError(phrase("the desk has ended ({error})", error=type(problem).__name__)) from None

    run(lambda: until_signalled(follow()), as_json=as_json)


def _say(written: bytes, *, as_json: bool) -> None:
    """A line of the stream: only those with data say something."""
    name, _colon, data = written.decode("utf-8", "replace").rstrip("\n").partition(": ")
    if name != "data":
        return
    said: dict[str, Any] = json.loads(data)
    if "code" in said and "sequence" not in said:
        raise error_classes()[said["code"]]
    if as_json:
        print_json_line(said if "event" in said else {"event": "gap", **said})
        return
    if "event" not in said:
        line(_("Not kept any more: events up to number {number}.").format(number=safe(said["to"])))
        return
    about = said.get("message") or said.get("thread") or ""
    more = [str(value) for name, value in said.items() if name not in {"sequence", "event", "at", "message", "thread"}]
    line(f"{said['sequence']} {safe(said['at'])} {safe(said['event'])} {safe(about)} {safe(' '.join(more))}".rstrip())


def webhook_secret(
    home: HomeOption = DEFAULT_HOME, passphrase_file: PassphraseOption = None, as_json: JsonOption = False
) -> None:
    """Print secrets."""

    async def work(desk: Desk) -> None:
        found = await desk.webhooks.secrets()
        if as_json:
            print_json({"webhooks": [{"url": url, "secret": secret} for url, secret in found.items()]})
            return
        for url, secret in found.items():
            line(f"{safe(url)}: {secret}")
        if not found:
            line(_("The settings name no webhook."))

    run(with_desk(home, passphrase_file, work), as_json=as_json)

"""``comity-node status``, ``console``, ``retry``, ``test-way``: how the running node is, and what is done about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from keys.local.terminal import OK, UNAVAILABLE
from keys.local.translation import language
from node.cli._output import AsJson, edge, show
from node.cli._running import ask_running, is_running
from node.cli._setup import Home
from node.i18n import _
from protocol.errors import UnavailableError

console = typer.Typer(no_args_is_help=True)
PartnerArgument = Annotated[str, typer.Argument(help=_("The partner's node, such as fr."))]
_MOST_PARTNERS = 20


def status(home: Home, as_json: AsJson = False) -> None:
    """Say how the running node is: what needs you and what to do, partners, log, disks, backups. 4 when it is failing.

    The console shows the same in the same words. Example: comity-node status jp
    """
    with edge(as_json):
        from node.console.control import STATUS

        values = _asked(home, STATUS, {"language": language()})
        show(as_json, values, lambda: "\n".join(_told(values)))
    raise typer.Exit(UNAVAILABLE if values["status"] == "failing" else OK)


@console.command("code")
def code(home: Home, as_json: AsJson = False) -> None:
    """Make a code that opens the console once, and show where the console is. The node must run.

    Example: comity-node console code jp
    """
    with edge(as_json):
        from node.console.control import CODE

        values = _asked(home, CODE, {})
        lines = [
            _("Open {address} in a browser on this machine, and type the code:").format(address=values["address"]),
            f"  {values['code']}",
            _("It is good once. Minutes: {minutes}.").format(minutes=values["minutes"]),
        ]
        show(as_json, values, lambda: "\n".join(lines))


def retry(home: Home, partner: PartnerArgument, as_json: AsJson = False) -> None:
    """Try now what waits for a partner, instead of at the end of the pause. The node must run.

    Example: comity-node retry jp fr
    """
    with edge(as_json):
        from node.console.control import RETRY

        values = _asked(home, RETRY, {"partner": partner})
        text = _("Tried now. Rows that wait for {partner}: {count}")
        show(as_json, values, lambda: text.format(partner=partner, count=values["waiting"]))


def way(home: Home, partner: PartnerArgument, as_json: AsJson = False) -> None:
    """Ask a partner for its log's newest checkpoint and verify it: address, certificate, signature, log, clock.

    The node must run. 4 when the way is not open. Example: comity-node test-way jp fr
    """
    with edge(as_json):
        from node.console.control import TEST_WAY

        values = _asked(home, TEST_WAY, {"partner": partner})
        show(as_json, values, lambda: "\n".join(_tested(values)))
    raise typer.Exit(OK if values["ok"] else UNAVAILABLE)


def refresh_directory(home: Home, as_json: AsJson = False) -> None:
    """Fetch the directory now instead of at the next turn. The node must run. 4 when no source gave one that verifies.

    Example: comity-node refresh-directory jp
    """
    with edge(as_json):
        from node.console.control import REFRESH

        values = _asked(home, REFRESH, {})
        done = _("The directory was fetched, and verifies.")
        not_done = _("No source gave a directory that verifies. The one in use stays.")
        show(as_json, values, lambda: done if values["refreshed"] else not_done)
    raise typer.Exit(OK if values["refreshed"] else UNAVAILABLE)


def _asked(home: Path, route: str, query: dict[str, str]) -> dict[str, Any]:
    import asyncio

    from node.settings import NodeHome, NodeSettings

    socket = home / NodeSettings.load(NodeHome(home).settings).control

    async def ask() -> bytes:
        if not await is_running(socket):
            raise UnavailableError(_("the node is not running"))
        return await ask_running(socket, route, b"", query)

    values: dict[str, Any] = json.loads(asyncio.run(ask()))
    return values


def _told(values: dict[str, Any]) -> list[str]:
    lines = [values["headline"]]
    for one in values["needs_you"]:
        lines += ["", f"* {one['title']} ({one['code']})", f"  {one['text']}", f"  {one['do']}"]
        lines += [f"  {one['command']}"] if one["command"] else []
    for one in values["away"]:
        lines += ["", f"- {one['title']}", f"  {one['text']}", f"  {one['do']}"]
    log, partners = values["log"], values["partners"]
    well = sum(one["well"] for one in partners)
    if values["unread"] is not None:
        lines += ["", _("The database cannot be read now: partners, what waits for them, and files are not shown.")]
        lines += [f"  {_(values['unread']['detail'])}"]
        return lines
    lines += ["", _("Partners: {well} of {all} well").format(well=well, all=len(partners))]
    waiting = [one for one in partners if not one["well"] or one["messages"] or one["files"]]
    lines += [f"  {_waiting(one)}" for one in waiting[:_MOST_PARTNERS]]
    if len(waiting) > _MOST_PARTNERS:
        lines.append("  " + _("More partners: {count}").format(count=len(waiting) - _MOST_PARTNERS))
    lines += [
        _("Entries of the log: {size}; cosigned by {cosigned} of {witnesses}").format(
            size=log["size"], cosigned=len(log["cosigned_by"]), witnesses=log["witnesses"]
        ),
        _("Refused today: {count}").format(count=values["refused_today"]),
        _("Backup: {at}").format(at=values["backup_at"] or _("none is known here")),
    ]
    return lines


def _waiting(one: dict[str, Any]) -> str:
    text = _("{partner}; waiting messages: {messages}, receipts: {receipts}, with files: {files}; last error: {error}")
    return text.format(
        partner=one["node"],
        messages=one["messages"],
        receipts=one["receipts"],
        files=one["files"],
        error=one["error"] or _("none"),
    )


def _tested(values: dict[str, Any]) -> list[str]:
    if values["ok"]:
        text = _("The way to {partner} is open: {address} answered in {count} ms, and its log verifies up to {size}.")
        return [
            text.format(
                partner=values["partner"], address=values["address"], count=values["took_ms"], size=values["log_size"]
            )
        ]
    return [
        _("The way to {partner} is not open: {error}").format(partner=values["partner"], error=_(values["detail"])),
        values["advice"],
    ]

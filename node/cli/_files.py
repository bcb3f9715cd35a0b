"""``comity-node files``: evidence files in transit, and letting some go."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli._inspection import plain
from node.cli._loglife import Yes
from node.cli._output import AsJson, edge, show
from node.cli._running import ask_running, is_running
from node.cli._setup import Home
from node.i18n import _
from protocol.encoding.instants import to_text
from protocol.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from node.files.inspection import FilesInTransit

files = typer.Typer(no_args_is_help=True)


@files.command("list")
def list_files(home: Home, as_json: AsJson = False) -> None:
    """Show whose files are in transit here, how much is here, who waits, and where no room is reserved any more.

    The node may be running.

    Example: comity-node files list jp
    """
    with edge(as_json):
        found, now = _found(home, ""), datetime.now(UTC)
        show(
            as_json,
            {"files": [plain(asdict(one)) | {"reservation_lapsed": one.lapsed(now)} for one in found]},
            lambda: "\n".join(_told(one, now) for one in found) or _("No files are in transit here."),
        )


@files.command()
def forget(
    home: Home,
    message_id: Annotated[str, typer.Argument(help=_("The message whose files go: its id, or a part of it."))],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Let the files of a message go; its sender gets a receipt of it, the next nodes are told. The node must run.

    Example: comity-node files forget jp 7f3a --yes
    """
    import asyncio

    with edge(as_json):
        from node.http.control import FORGET_FILES
        from node.settings import NodeHome, NodeSettings

        found = _found(home, message_id)
        if len(found) > 1:
            raise UsageError(_("several messages are so: give more of the id"))
        if not yes:
            raise UsageError(_("files that are let go must be sent again: add --yes"))
        socket = home / NodeSettings.load(NodeHome(home).settings).control

        async def ask() -> bytes:
            if not await is_running(socket):
                raise UnavailableError(_("the node is not running"))
            return await ask_running(socket, FORGET_FILES, b"", {"message": found[0].digest})

        count = json.loads(asyncio.run(ask()))["forgotten"]
        show(as_json, {"forgotten": count}, lambda: _("Files let go: {count}").format(count=count))


def _found(home: Path, wanted: str) -> list[FilesInTransit]:
    import asyncio

    from node.files.inspection import files_in_transit
    from node.operations.inspection import open_inspection
    from node.settings import NodeHome, NodeSettings

    settings = NodeSettings.load(NodeHome(home).settings)

    async def look() -> list[FilesInTransit]:
        async with open_inspection(home / settings.database) as inspection:
            return await files_in_transit(inspection, settings, NodeHome(home), wanted)

    return asyncio.run(look())


def _told(one: FilesInTransit, now: datetime) -> str:
    if one.segments is None:
        here = _("not announced yet")
    elif one.segments_here is None:
        here = _("whole") if one.whole_at is not None else _("not whole")
    else:
        here = f"{100 * one.segments_here // one.segments} %"
    told = _("{id}: files: {count}, bytes: {size}, here: {here}; from {payer}; waits: {waiting}; expires {at}").format(
        id=one.message_id,
        count=one.files,
        size=one.size_bytes,
        here=here,
        payer=one.payer,
        waiting=", ".join(one.waiting) or _("nobody"),
        at=to_text(one.expires_at),
    )
    if one.reserved_until is None or not one.lapsed(now):
        return told
    lapsed = _("nothing comes: its room is no longer reserved, since {at}")
    return f"{told}; {lapsed.format(at=to_text(one.reserved_until))}"

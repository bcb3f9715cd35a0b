"""The pages of the console: each gathers the node's status anew, and shows a part of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from node.console.site import ConsoleCall, ConsolePage
from node.console.status import NodeStatus
from node.files.inspection import FilesInTransit, files_in_transit
from node.operations.inspection import Trace
from protocol.address import node_of
from protocol.errors import ComityError, FormError, NotFoundError, UsageError

# On the first page; the others are one step away.
_FEW_PARTNERS = 12
_FEW_AWAY = 6
_SOURCE = "console"
_DIGEST_CHARS = 64


async def now(call: ConsoleCall) -> web.StreamResponse:
    """Is it well, and if not what to do."""
    status = await call.site.watch.status()
    return call.page("now.html", status=status, shown=status.partners[:_FEW_PARTNERS], few=_FEW_AWAY, **_of(status))


async def partners(call: ConsoleCall) -> web.StreamResponse:
    """All partners."""
    status = await call.site.watch.status()
    wanted = call.query("find").casefold()
    rows = [row for row in status.partners if wanted in row.name.casefold() or wanted in row.node.casefold()]
    return call.page("partners.html", status=status, shown=rows, find=call.query("find"), **_of(status))


async def partner(call: ConsoleCall) -> web.StreamResponse:
    """One partner, and what can be done about it."""
    return await _partner(call)


async def _partner(call: ConsoleCall, problem: ComityError | None = None) -> web.Response:
    status = await call.site.watch.status()
    row = next((one for one in status.partners if one.node == call.part("node")), None)
    if row is None:
        raise status.unread or NotFoundError("the directory has no other node of that name")
    values: dict[str, Any] = {
        "status": status,
        "row": row,
        "test": call.site.acts.last_test(row.node),
        "refusals": [one for one in status.refusals if one.peer == row.node],
        "can_retry": bool(row.address),
        **_of(status),
    }
    if problem is not None:
        return call.refused("partner.html", problem, **values)
    return call.page("partner.html", **values)


async def retry(call: ConsoleCall) -> web.StreamResponse:
    """Try now what waits for a partner."""
    try:
        await call.site.acts.retry(call.part("node"), _SOURCE)
    except UsageError as problem:
        return await _partner(call, problem)
    return call.go(f"/partners/{call.part('node')}?done=retried")


async def test_way(call: ConsoleCall) -> web.StreamResponse:
    """Test the way to a partner."""
    try:
        made = await call.site.acts.test_way(call.part("node"), _SOURCE)
    except UsageError as problem:
        return await _partner(call, problem)
    return call.go(f"/partners/{call.part('node')}?done={'tested' if made.ok else 'not-open'}")


async def messages(call: ConsoleCall) -> web.StreamResponse:
    """Every hop and receipt that this node knows of a message, by its id or a part of it."""
    wanted = call.query("id")
    if not wanted:
        return call.page("messages.html", wanted="", found=())
    try:
        async with call.site.watch.inspection() as inspection:
            found = await inspection.trace(wanted)
    except (NotFoundError, UsageError) as problem:
        return call.refused("messages.html", problem, wanted=wanted, found=())
    moment = call.site.watch.context.node.clock()
    return call.page("messages.html", wanted=wanted, found=[FoundMessage(one, one.where(moment)) for one in found])


@dataclass(frozen=True, slots=True)
class FoundMessage:
    """A message, and the word for where it is."""

    trace: Trace
    where: str

    def receipts(self) -> list[tuple[str, Any]]:
        """What other logs prove of it, each with the node whose log it is."""
        return [(node_of(one.origin), one) for one in self.trace.receipts]


async def files(call: ConsoleCall) -> web.StreamResponse:
    """Evidence files in transit."""
    status = await call.site.watch.status()
    return call.page("files.html", status=status, **_of(status))


async def forget_form(call: ConsoleCall) -> web.StreamResponse:
    """Ask whether the files of a message shall go."""
    return call.page("forget.html", one=await _files_of(call))


async def forget(call: ConsoleCall) -> web.StreamResponse:
    """Let the files of a message go."""
    await call.site.acts.forget_files(bytes.fromhex((await _files_of(call)).digest), _SOURCE)
    return call.go("/files?done=forgotten")


async def _files_of(call: ConsoleCall) -> FilesInTransit:
    digest = call.part("digest")
    if len(digest) != _DIGEST_CHARS or not set(digest) <= set("0123456789abcdef"):
        raise FormError
    watch = call.site.watch
    async with watch.inspection() as inspection:
        found = await files_in_transit(inspection, watch.context.node.settings, watch.home)
    one = next((one for one in found if one.digest == digest), None)
    if one is None:
        raise NotFoundError("this node keeps no files of such a message")
    return one


async def log(call: ConsoleCall) -> web.StreamResponse:
    """This node's log, who cosigns it, and what is proved of others."""
    status = await call.site.watch.status()
    return call.page("log.html", status=status, **_of(status))


async def directory(call: ConsoleCall) -> web.StreamResponse:
    """Keys, certificates and roles that end, and the directory."""
    status = await call.site.watch.status()
    return call.page("directory.html", status=status, **_of(status))


async def refresh_directory(call: ConsoleCall) -> web.StreamResponse:
    """Fetch the directory now."""
    done = await call.site.acts.refresh_directory(_SOURCE)
    return call.go(f"/directory?done={'refreshed' if done else 'not-refreshed'}")


async def refusals(call: ConsoleCall) -> web.StreamResponse:
    """Who was refused what."""
    status = await call.site.watch.status()
    return call.page("refusals.html", status=status, shown=status.refusals[:500], **_of(status))


async def backups(call: ConsoleCall) -> web.StreamResponse:
    """Backups: the last, whether it was checked, whether one was tried out."""
    status = await call.site.watch.status()
    home = call.site.watch.home_typed
    commands = {
        "make": f"comity-node backup {home} /backup/NAME",
        "check": f"comity-node backup-check {home} /backup/NAME",
        "drill": f"comity-node backup-check {home} /backup/NAME --drill",
    }
    return call.page("backups.html", status=status, commands=commands, **_of(status))


async def machine(call: ConsoleCall) -> web.StreamResponse:
    """Disks, memory, clock."""
    status = await call.site.watch.status()
    return call.page("machine.html", status=status, **_of(status))


def _of(status: NodeStatus) -> dict[str, Any]:
    """What several pages need: partners by code."""
    return {
        "titles": {row.node: row.title for row in status.partners},
        "rows": {row.node: row for row in status.partners},
    }


PAGES = (
    ConsolePage("GET", "/", now),
    ConsolePage("GET", "/partners", partners),
    ConsolePage("GET", "/partners/{node}", partner),
    ConsolePage("POST", "/partners/{node}/retry", retry),
    ConsolePage("POST", "/partners/{node}/test-way", test_way),
    ConsolePage("GET", "/messages", messages),
    ConsolePage("GET", "/files", files),
    ConsolePage("GET", "/files/{digest}/forget", forget_form),
    ConsolePage("POST", "/files/{digest}/forget", forget),
    ConsolePage("GET", "/log", log),
    ConsolePage("GET", "/directory", directory),
    ConsolePage("POST", "/directory/refresh", refresh_directory),
    ConsolePage("GET", "/refusals", refusals),
    ConsolePage("GET", "/backups", backups),
    ConsolePage("GET", "/machine", machine),
)

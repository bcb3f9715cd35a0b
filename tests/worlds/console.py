"""A node's console in this process: its operator, who types a code, with a browser that has no script; and one that
has a great deal to show.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from unittest.mock import patch
from uuid import UUID

import aiohttp

from node.console.pages import PAGES
from node.console.partner_rows import PartnerLog, PartnerRow
from node.files.inspection import FilesInTransit
from node.operations.history import PartnerPast
from node.server import Node
from protocol.errors import PeerFailedError
from tests.worlds.nodes import World
from tests.worlds.web_desk import Visitor


@asynccontextmanager
async def stranger(node: Node, language: str = "en") -> AsyncIterator[Visitor]:
    """Somebody with a browser who knows the console's name, and has no code."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        yield Visitor(session, node.console.address, language)


@asynccontextmanager
async def operator(node: Node, language: str = "en") -> AsyncIterator[Visitor]:
    """The node's operator, signed in."""
    async with stranger(node, language) as made:
        await made.send(await made.get("/sign-in"), "/sign-in", code=node.console.codes.make())
        yield made


# --- With much to show ------------------------------------------------------------------------------------------------

LONG = "The Federated States of a Very Long Name that Nobody Shortens, with Islands and Dependencies"
UNBROKEN = "Rechtsschutzversicherungsgesellschaftsangestelltenverband" * 2
ARABIC = "الجمهورية ذات الاسم الطويل جداً"


@asynccontextmanager
async def full_console(folder: Path, rows: int) -> AsyncIterator[tuple[Node, list[str]]]:
    """A node with so many partners and files, some of them in trouble of each kind; the addresses of its pages."""
    world = World.of(folder, "jp", "fr", "gh")
    here, there = world.desks["24-7@jp"], world.desks["24-7@fr"]
    try:
        jp = await world.start("jp")
        envelope = world.seal(here, [there], b'{"type":"test"}')
        await world.submit(here, envelope)
        now = world.clock()
        jp.history.failed("fr", PeerFailedError(f"{UNBROKEN} is down"))
        for number in range(min(rows, 60)):
            jp.history.refused(f"n{number}", "submit", "unauthenticated", 190)
        jp.relay.monitor.alarm("gh", await jp.context.store.reads.checkpoint())
        transit = [_files(now, number) for number in range(rows)]

        async def found(*_: object, **__: object) -> list[FilesInTransit]:
            return transit

        paths = [page.path.format(node="fr", digest=transit[0].digest) for page in PAGES if page.method == "GET"]
        more = ["/partners/gh", f"/messages?id={envelope.routing.id}", "/messages?id=zz", "/no/such/page"]
        with (
            patch("node.console.status.partner_rows", return_value=many_partners(now, rows)),
            patch("node.console.status.files_in_transit", found),
            patch("node.console.pages.files_in_transit", found),
        ):
            yield jp, [*paths, *more]
    finally:
        await world.close()


def many_partners(now: datetime, rows: int = 13) -> tuple[PartnerRow, ...]:
    """Partners with the longest names, some of them in trouble of each kind."""
    trouble = PartnerPast(
        answered_at=now, silent_since=now, failing_since=now - timedelta(hours=4), failed_at=now,
        code="peer-failed", detail=f"<b>an error of the partner</b> {UNBROKEN} " * 6,
        cosigned_at=now - timedelta(days=2),
    )  # fmt: skip
    made = [
        PartnerRow(
            "fr", LONG, "https://node.fr:8443", phones=("+33 1 40 97 84 47",), envelopes=14, receipts=200, file_sets=3,
            waiting_since=now - timedelta(hours=4), expires_at=now + timedelta(hours=20), next_at=now, attempts=99,
            past=trouble, log=PartnerLog(18_201, now - timedelta(hours=3)), witnesses=True, clock_offset_s=4_000.0,
            bytes_per_s=41_000_000, resumes=2,
        ),
        PartnerRow("gh", ARABIC, distrusted=True, relay="fr", log=PartnerLog(7, None)),
    ]  # fmt: skip
    well = PartnerPast(answered_at=now, taken_at=now)
    made += [
        PartnerRow(
            f"n{number}", f"{LONG} {UNBROKEN} {number}", "https://node.example", past=well, log=PartnerLog(number, now)
        )
        for number in range(rows)
    ]
    return tuple(made)


def _files(now: datetime, number: int) -> FilesInTransit:
    return FilesInTransit(
        message_id=UUID(int=number), digest=f"{number:064x}", payer=f"{'contact-point-' * 2}{number}@fr", files=3,
        size_bytes=10**15, segments=10**9, segments_here=number, whole_at=now if number % 2 else None,
        expires_at=now + timedelta(days=number), waiting=tuple(f"n{one}" for one in range(8)), hands=(),
    )  # fmt: skip

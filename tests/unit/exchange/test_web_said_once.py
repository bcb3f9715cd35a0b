"""A page says each thing once, and nothing beside it that speaks against it."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pytest

from exchange.office.officers import Login
from tests.hostile.test_four_eyes import login, office_of_two
from tests.worlds.desks import FR, JP, World, request
from tests.worlds.web_desk import web_serving

pytestmark = pytest.mark.outside

NOBODY_HOLDS_IT = "Nobody is named who may hold the data"


def of_nobody(count: int) -> dict[str, Any]:
    """A request of so many targets, of which nobody knows who holds the data."""
    bare = {name: value for name, value in request()["targets"][0].items() if name not in {"custodian", "location"}}
    named = [{"kind": "domain", "domain": f"x{one}.example.com"} for one in range(count)]
    return request(targets=[{**bare, "target": f"t{n}", "identifier": one} for n, one in enumerate(named, 1)])


async def test_what_many_targets_lack_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, monkeypatch)
    await office_of_two(world)
    async with web_serving(world, JP) as pages, pages.visitor() as visitor:
        await visitor.sign_in("boss", "boss")
        desk = await pages.service.desk(login("kim"))
        kept = await desk.messages.save_draft(of_nobody(5))
        check = await visitor.get(f"/drafts/{kept.id}/check")
        # The page of the draft names the targets: said of the whole beside that, it would be said twice.
        assert (check.status, check.text.count(NOBODY_HOLDS_IT)) == (200, 0)
        assert check.text.count("nothing says who holds the data of") == 1
        await visitor.fill(check, f"/drafts/{kept.id}/send")
        waiting = await visitor.get(f"/release/{kept.id}")
        assert (waiting.status, waiting.text.count(NOBODY_HOLDS_IT)) == (200, 1)


async def test_the_case_as_a_whole_owes_what_no_target_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, monkeypatch)
    async with world.open(FR) as fr, web_serving(world, JP) as pages, pages.visitor() as visitor:
        await visitor.sign_in()
        sent = await fr.messages.send({**of_nobody(3), "to": [str(JP)]})
        await (await pages.service.desk(Login())).messages.sync()
        page = html.unescape((await visitor.get(f"/cases/{sent.id}")).text)
        assert "In the case as a whole" in page
        table = page.partition("Where each target stands")[2].partition("</table>")[0]
        assert "nobody" not in table
        assert table.count("see below: the case as a whole") == 3
        message = await visitor.get(f"/messages/{sent.id}")
        assert message.text.count(NOBODY_HOLDS_IT) <= 1

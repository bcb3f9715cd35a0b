"""Lists of a desk's pages: cases and views, search, messages, drafts, and what came by other ways."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.office.officers import Login
from tests.worlds.desks import JP, World, request
from tests.worlds.web_desk import Pages, web_serving

pytestmark = pytest.mark.outside


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


@pytest.fixture
async def jp(world: World) -> AsyncIterator[Pages]:
    async with web_serving(world, JP) as made:
        yield made


async def test_cases_are_found_by_what_is_looked_for_and_a_view_keeps_it(jp: Pages) -> None:
    desk = await jp.service.desk(Login())
    await desk.messages.send(request())
    async with jp.visitor() as visitor:
        await visitor.sign_in()
        shown = await visitor.get("/cases")
        assert shown.status == 200, shown.text
        assert "/cases/" in shown.text
        assert "No case fits" in (await visitor.get("/cases?nation=gh")).text
        assert (await visitor.get("/cases?state=nonsense")).status == 400
        found = await visitor.get("/cases?nation=fr&label=TLP%3AAMBER")
        kept = await visitor.send(found, "/cases/views", name="France")
        assert "The view is kept." in kept.text

"""A new message through the pages, by a browser without script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.worlds.desks import JP, World
from tests.worlds.web_desk import Pages, web_serving

pytestmark = pytest.mark.outside


@pytest.fixture
async def jp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pages]:
    async with web_serving(World(tmp_path, monkeypatch), JP) as made:
        yield made


async def test_smoke(jp: Pages) -> None:
    async with jp.visitor() as v:
        await v.sign_in()
        new = await v.get("/new")
        assert new.status == 200
        page = await v.send(new, "/new", kind="preservation.request")
        Path("/tmp/p.html").write_text(page.text)
        assert (page.status, page.path.endswith("/nation")) == (200, True), page.text
        for name in ("what", "targets", "files", "check"):
            got = await v.get(page.path.replace("nation", name))
            Path(f"/tmp/{name}.html").write_text(got.text)
            assert got.status == 200, got.text

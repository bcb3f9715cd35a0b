"""Signing in at a desk's pages."""

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


async def test_who_gives_the_passphrase_comes_to_the_board_and_who_does_not_is_refused(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        assert (await visitor.get("/")).path == "/sign-in"
        assert (await visitor.sign_in(passphrase="wrong")).status == 403
        board = await visitor.sign_in()
        assert (board.path, board.status) == ("/", 200)
        assert "What needs somebody now" in board.text
        out = await visitor.send(board, "/sign-out")
        assert out.path == "/sign-in"
        assert (await visitor.get("/")).path == "/sign-in"

"""Pages on a disk that is really full: each refusal says so with a stable code, nothing that was accepted is lost, and
it goes on by itself when there is room."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from exchange.settings import AuthoritySettings
from node.operations import disk as disk_module
from node.recovery.backup_record import BackupAct, BackupRecord
from tests.faults.small_disk import mounted_disk
from tests.unit.exchange.test_web_request import desk_of, fill, multipart, sent_by, whole
from tests.worlds.console import operator
from tests.worlds.desks import JP, World, home_of
from tests.worlds.nodes import World as Nodes
from tests.worlds.web_desk import Shown, web_serving

pytestmark = pytest.mark.outside


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """The desk's home."""
    with mounted_disk(home_of(tmp_path, JP), "16m") as folder:
        yield folder


def fill_up(disk: Path) -> Path:
    ballast = disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return ballast


def told(page: Shown) -> tuple[int, str]:
    """The status of a page, and the code of the refusal on it."""
    found = re.search(r"<code>([a-z-]+)</code>", page.text.partition('role="alert"')[2])
    return page.status, found[1] if found else ""


FULL = (507, "storage-full")
WELL = (200, "")


async def test_a_desks_pages_say_that_its_disk_is_full_lose_nothing_and_go_on_when_there_is_room(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch)
    world.change_settings(JP, authority=AuthoritySettings(telephone="+81350000247"))
    async with web_serving(world, JP) as pages, pages.visitor() as visitor:
        await visitor.sign_in()
        path = await whole(visitor)
        what = await visitor.get(f"{path}/what")
        check, files = await visitor.get(f"{path}/check"), await visitor.get(f"{path}/files")
        upload = multipart(files, f"{path}/files", ("x.bin", b"x" * 100_000))
        ballast = fill_up(disk)

        # Reading what is recorded as read is refused: there would be no record. Lists, and signing in, go on.
        for where in ("/", "/cases", "/drafts", "/directory", "/messages", "/settings"):
            assert told(await visitor.get(where)) == WELL, where
        async with pages.visitor() as other:
            assert told(await other.sign_in()) == WELL
        assert told(await visitor.get(f"{path}/check")) == FULL
        typed = "Somebody typed this at three in the morning."
        saved = await fill(visitor, what, facts=typed)
        assert told(saved) == FULL
        assert typed in saved.text  # what was typed is not lost with it
        assert told(await visitor.fill(await visitor.get("/new"), "/new", kind="note")) == FULL
        assert told(await visitor.post(f"{path}/files", upload)) == FULL
        assert told(await visitor.fill(check, f"{path}/send")) == FULL

        ballast.unlink()
        assert await sent_by(await desk_of(pages)) == []
        assert "x.bin" not in (await visitor.get(f"{path}/files")).text
        assert told(await fill(visitor, what, facts=typed)) == WELL
        check = await visitor.get(f"{path}/check")
        sent = await visitor.fill(check, f"{path}/send")
        assert (told(sent), sent.path) == (WELL, f"{path}/sent")
        await visitor.fill(check, f"{path}/send")
        assert len(await sent_by(await desk_of(pages))) == 1  # the refused one and the repeat sent nothing
        fill_up(disk)
    # A desk that ends on a full disk ends as any other.


async def test_a_nodes_console_says_what_is_wrong_while_its_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_module, "PROBE_S", 0.02)
    world = Nodes.of(tmp_path, "jp")
    act = BackupAct(world.clock(), "/backup/jp", 0)
    BackupRecord(act, act, act).save(world.home("jp").backups)
    with mounted_disk(tmp_path / "small", "8m") as small:
        jp = await world.start("jp", database=small / "node.sqlite")
        try:
            sender = world.desks["24-7@jp"]
            envelope = world.seal(sender, [sender])
            (kept,) = await world.submit(sender, envelope)
            assert kept.code is None
            ballast = fill_up(small)
            async with operator(jp) as visitor, aiohttp.ClientSession() as session:
                while not jp.disk.problems:  # it is looked for by itself
                    await visitor.get("/")
                for page in ("/", "/machine"):
                    shown = await visitor.get(page)
                    assert shown.status == 200
                    assert "A file of this node cannot be used" in shown.text
                    assert "The system says: ENOSPC." in shown.text
                assert "Not serving. Things that stop this node:" in (await visitor.get("/")).text
                assert (await visitor.get(f"/messages?id={envelope.routing.id}")).status == 200
                async with session.get(f"{jp.admin_url}/health") as answer:
                    assert answer.status == 503
                ballast.unlink()
                while jp.disk.problems:
                    await visitor.get("/")
                assert "Serving. Nothing needs you." in (await visitor.get("/")).text
            (again,) = await world.submit(sender, world.seal(sender, [sender]))
            assert again.code is None
        finally:
            await world.close()

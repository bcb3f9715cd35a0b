"""A file from an officer's disk to another's, over real desks and real nodes, which are killed meanwhile."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from exchange.desk.desk import Desk
from exchange.files.sealing import WantedFile
from exchange.store.files import TransferState
from tests.worlds.processes import World, desk, proved, request_draft, sync, world

pytestmark = pytest.mark.outside

SIZE = 5 * 1024 * 1024 + 17
EXPECTED = {
    ("FileAcceptance", "jp"),
    ("FileRelayAcceptance", "fr"),
    ("FileConsignment", "fr"),
    ("FileHandover", "fr"),
}


async def moved(made: World, at: Desk) -> None:
    """Synchronise and move what is due, until nothing is."""
    await sync(made, at, 0.2)
    await at.files.turn()


async def test_a_file_reaches_the_other_officer_whole_although_both_nodes_are_killed_and_each_hop_is_proved(
    tmp_path: Path,
) -> None:
    image = tmp_path / "image.raw"
    image.write_bytes(Random(16).randbytes(SIZE))
    async with world(tmp_path) as made, desk(made, "jp") as tokyo, desk(made, "fr") as paris:
        draft = await tokyo.files.attach(request_draft(), [WantedFile(image)])
        sent = await tokyo.messages.send(draft)
        async with asyncio.timeout(120):
            await moved(made, tokyo)
            await made.restart("jp")
            while (await tokyo.files.progress(sent.id)).state is not TransferState.DONE:
                await moved(made, tokyo)
            await made.restart("fr")
            while not await paris.files.listed():
                await moved(made, paris)
            while (await paris.files.progress(sent.id)).state is not TransferState.DONE:
                await moved(made, paris)
            while not proved(await tokyo.messages.receipts(sent.id)) >= EXPECTED:
                await moved(made, paris)
                await moved(made, tokyo)
        await paris.messages.read(sent.id)
        (got,) = await paris.files.get(sent.id, tmp_path)
        assert sha256(got.path.read_bytes()).digest() == sha256(image.read_bytes()).digest()
        report = await tokyo.evidence.verify(sent.id)
        assert report.ok

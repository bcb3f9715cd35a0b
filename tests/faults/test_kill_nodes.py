"""Nodes killed with SIGKILL at every stage of the job: nothing acknowledged is lost, nothing is handed over twice."""

import asyncio
from pathlib import Path
from uuid import UUID

import pytest

from exchange.desk.desk import Desk
from node.log.checkpoint_file import CheckpointFile
from protocol.log.checkpoint import parse_checkpoint
from tests.worlds.patience import LONG_S
from tests.worlds.processes import World, desk, proved, request_draft, sync, world

DELIVERED = {
    ("SubmissionAcceptance", "jp"),
    ("RelayAcceptance", "jp"),
    ("RelayAcceptance", "fr"),
    ("ContentConsignment", "fr"),
    ("ContentHandover", "fr"),
}


async def receive(made: World, paris: Desk, count: int) -> list[str]:
    """The ids that arrive, until there are ``count``; more would be a double handover."""
    ids: list[str] = []
    async with asyncio.timeout(LONG_S):
        while len(ids) < count:
            result = await sync(made, paris)
            if result is not None:
                assert not result.quarantined
                ids += [str(row.id) for row in result.received]
    return ids


async def prove(made: World, tokyo: Desk, message_id: UUID, expected: set[tuple[str, str]]) -> None:
    async with asyncio.timeout(LONG_S):
        while not expected <= proved(await tokyo.messages.receipts(message_id)):
            await sync(made, tokyo)


def head(made: World, node: str) -> int:
    note = CheckpointFile(made.federation.node_home(node) / "log-checkpoint").read()
    return parse_checkpoint(note or b"").size


@pytest.mark.parametrize("stage", ["submitted", "relayed", "fetched", "stated"])
@pytest.mark.parametrize("victim", ["jp", "fr"])
async def test_a_node_killed_at_this_stage_loses_nothing_and_repeats_nothing(
    tmp_path: Path, stage: str, victim: str
) -> None:
    async with world(tmp_path) as made, desk(made, "jp") as tokyo, desk(made, "fr") as paris:
        if stage == "submitted":
            await made.kill("fr")
        sent = await tokyo.messages.send(request_draft())
        assert sent.status == "submitted"
        if stage == "submitted":
            if victim == "jp":
                await made.restart("jp")
            await made.start("fr")
        if stage == "relayed":
            await prove(made, tokyo, sent.id, {("RelayAcceptance", "fr")})
            before = head(made, victim)
            await made.restart(victim)
            assert head(made, victim) >= before
        received = await receive(made, paris, 1)
        assert received == [str(sent.id)]
        if stage == "fetched":
            await made.restart(victim)
        if stage == "stated":
            await prove(made, tokyo, sent.id, {("ContentHandover", "fr")})
            await made.restart(victim)
        await prove(made, tokyo, sent.id, DELIVERED)
        again = await sync(made, paris, 0)
        assert again is None or not again.received
        report = await tokyo.evidence.verify(sent.id)
        assert report.ok, report

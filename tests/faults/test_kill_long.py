"""The campaign of ``make kill-long``, briefly; and that it finds what it is there to find."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from protocol.event import EventName
from protocol.log.checkpoint import Checkpoint
from protocol.log.frontier import Frontier
from protocol.log.merkle import leaf_hash
from tests.faults.kill_long import Campaign, judge_log, run

pytestmark = pytest.mark.outside
ORIGIN = "comity.example/log/jp"
LEAVES = (b"first", b"second", b"third")


@pytest.mark.long
async def test_nodes_and_desks_harmed_at_random_under_load_lose_double_and_fork_nothing(tmp_path: Path) -> None:
    assert "0 lost, 0 doubled" in await run(tmp_path, 6, 7)


def state(size: int, leaves: tuple[bytes, ...] = LEAVES) -> Checkpoint:
    return Checkpoint(ORIGIN, size, Frontier().extended(map(leaf_hash, leaves[:size])).root())


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    """One whose node jp logged three entries and stands still."""
    with closing(sqlite3.connect(tmp_path / "node.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE event (idx INTEGER, leaf BLOB, name TEXT, message INTEGER, recipient TEXT)")
        for number, leaf in enumerate(LEAVES):
            row = (number, leaf, EventName.ContentHandover.value, number, "24-7@jp")
            connection.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?)", row)
    made: Any = SimpleNamespace(federation=SimpleNamespace(node_home=lambda node: tmp_path))
    found = Campaign(made, tmp_path, random.Random(1))
    found.seen["jp"] = [state(1), state(3)]
    return found


def test_states_that_the_log_went_through_are_counted_once(campaign: Campaign) -> None:
    assert judge_log(campaign, "jp", [state(3), state(2)]) == 3


@pytest.mark.parametrize(
    ("seen", "shown"),
    [
        ([state(1), state(2, (b"first", b"other"))], []),
        ([state(3)], [state(2, (b"other", b"second"))]),
        ([state(3)], [state(4, (*LEAVES, b"lost"))]),
        ([state(3), state(2)], []),
        ([], []),
    ],
    ids=["another leaf", "shown to a desk alone", "a state that was lost", "went back", "nothing was collected"],
)
def test_a_fork_a_loss_and_a_way_back_are_found(
    campaign: Campaign, seen: list[Checkpoint], shown: list[Checkpoint]
) -> None:
    campaign.seen["jp"] = seen
    with pytest.raises(SystemExit):
        judge_log(campaign, "jp", shown)


def test_a_message_that_was_handed_over_twice_is_found(campaign: Campaign) -> None:
    with closing(sqlite3.connect(campaign.folder / "node.sqlite")) as connection, connection:
        connection.execute("UPDATE event SET message = 1")
    with pytest.raises(SystemExit, match="twice"):
        judge_log(campaign, "jp", [])

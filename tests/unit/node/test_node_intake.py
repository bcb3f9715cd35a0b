"""Which refused envelopes a node logs: all that a known sender signed, and of others so many for each caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, cast

import pytest

from node.relay.intake import UNSIGNED_BURST, Intake
from node.store.operations import Done, RecordRejection
from protocol.event import EventName
from tests.worlds.nodes import Forger, World

HOUR = timedelta(hours=1)
BURST = int(UNSIGNED_BURST)


class Present:
    """The directory as it is, which has no news."""

    def __init__(self, world: World) -> None:
        self.current = world.directory

    async def with_fresh(self, act: Callable[[], Any], _since: float) -> Any:
        return act()


class Written:
    """Says that all is written."""

    def __init__(self) -> None:
        self.operations: list[Any] = []

    async def submit_many(self, operations: Sequence[Any]) -> list[Done]:
        self.operations += operations
        return [Done() for _ in operations]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("intake"))
    for nation in ("jp", "fr"):
        world.add_nation(nation)
        world.add_desk(f"24-7@{nation}")
    return world


@pytest.mark.outside
async def test_refusals_of_what_a_known_sender_signed_are_all_logged_and_of_others_a_burst_for_each_caller(
    world: World,
):
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    written = Written()
    intake = Intake("jp", cast(Any, Present(world)), cast(Any, written), world.clock)
    forger = Forger(paris.signer())
    forged = [world.seal(paris, [tokyo], signer=forger).raw for _ in range(BURST + 3)]
    late = [world.seal(paris, [tokyo], lifetime=HOUR, created=world.clock() - 2 * HOUR).raw for _ in range(3)]

    async def logged(take: Awaitable[Any]) -> list[tuple[EventName, str | None, str]]:
        written.operations.clear()
        await take
        rejections = [cast(RecordRejection, operation) for operation in written.operations]
        return [(rejection.event, rejection.peer, rejection.reasons[0]) for rejection in rejections]

    found = await logged(intake.transfer(forged, "fr"))
    assert found == [(EventName.RelayRejection, "fr", "signature-invalid")] * BURST
    assert await logged(intake.transfer(forged[-3:], "fr")) == []
    assert await logged(intake.transfer(late, "fr")) == [(EventName.RelayRejection, "fr", "expired")] * 3
    # Another caller has a burst of its own.
    assert (
        await logged(intake.transfer(forged[:2], "us")) == [(EventName.RelayRejection, "us", "signature-invalid")] * 2
    )
    # What another desk sent is refused for the sender that it names, before its signature is looked at.
    found = await logged(intake.submit(forged[:2], tokyo.address))
    assert found == [(EventName.SubmissionRejection, None, "sender-mismatch")] * 2

"""A queue to a partner that was away for long does not wait out its pause once the partner calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.settings import DeliverySettings
from tests.worlds.nodes import World
from tests.worlds.patience import WITHIN_S


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp", "fr")
    yield world
    await world.close()


async def test_what_waits_for_a_partner_is_handed_over_as_soon_as_it_calls(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeliverySettings, "pause_s", lambda _, doublings: 0.01 if doublings < 3 else 3000.0)
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    # Its own checks of logs find nothing out: only what the partner asks tells that it is there.
    delivery = {
        "first_backoff_s": 0.01,
        "max_backoff_s": 3000,
        "timeout_s": WITHIN_S,
        "cosign_s": 3600,
        "monitor_s": 3600,
    }
    await world.start("jp", delivery=delivery)
    await world.submit(tokyo, world.seal(tokyo, [paris]))
    await world.until(lambda: world.logs["jp"].getvalue().count("delivery-failed") >= 4)
    await world.start("fr")
    await world.arrived(paris)

"""What one peer sends again and again fills neither the log, which is kept for ever, nor memory, nor the disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from keys.directory.metadata.tuf_key import DirectorySigner
from keys.members.federation import publish_cards
from node.relay.intake import UNSIGNED_BURST
from protocol.log.merkle import MAX_PROVED, InclusionVerifier, node_hash
from tests.worlds.nodes import Forger, World, answers

SECOND = timedelta(seconds=1)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp", "fr")
    await world.start("jp")
    yield world
    await world.close()


async def test_refusals_of_what_no_known_sender_signed_do_not_fill_the_log(world: World) -> None:
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    store = world.nodes["jp"].context.store
    stranger = Forger(paris.signer())
    before = await store.reads.log_size()
    for _ in range(4):
        forged = [world.seal(paris, [tokyo], signer=stranger).raw for _ in range(32)]
        refused = answers(await world.node_call("fr", "jp", "POST", "/v1/transfer", forged))
        assert {answer.code for answer in refused} == {"signature-invalid"}
        others = [world.seal(paris, [tokyo]).raw for _ in range(16)]
        refused = answers(await world.desk_call(tokyo, "POST", "/v1/submit", others))
        assert {answer.code for answer in refused} == {"sender-mismatch"}
    # The node itself logs which directory it works with.
    assert 2 * UNSIGNED_BURST <= await store.reads.log_size() - before <= 2 * UNSIGNED_BURST + 1
    # What a known sender signed is logged, as before.
    size = await store.reads.log_size()
    late = world.seal(tokyo, [paris], lifetime=SECOND, created=world.clock() - 10 * SECOND)
    (answer,) = await world.submit(tokyo, late)
    assert answer.code == "expired"
    assert await store.reads.log_size() == size + 1


def test_the_memory_of_verified_paths_does_not_grow_with_the_leaves_that_are_shown() -> None:
    height = 13  # 8,192 leaves, whose paths have 16,383 nodes
    levels = [[sha256(number.to_bytes(4, "big")).digest() for number in range(1 << height)]]
    while len(levels[-1]) > 1:
        level = levels[-1]
        levels.append([node_hash(level[at], level[at + 1]) for at in range(0, len(level), 2)])
    verifier = InclusionVerifier(1 << height, levels[-1][0])
    for index in range(1 << height):
        path = [levels[up][(index >> up) ^ 1] for up in range(height)]
        verifier.verify(levels[0][index], index, path)
        assert len(verifier._proved) <= MAX_PROVED


async def test_files_of_directories_before_do_not_pile_up(world: World) -> None:
    node = world.nodes["jp"]
    served = world.home("jp").served

    def files() -> set[str]:
        return {path.relative_to(served).as_posix() for path in served.rglob("*.json")}

    published: list[int] = []
    registry: list[DirectorySigner] = world.registry
    for _ in range(6):
        card = world.desks["24-7@jp"].card
        world.directory = publish_cards(world.found(), [card], world.nations["jp"], registry, world.clock())
        assert await node.context.directory.refresh()
        published.append(len(files()))
        current = await node.context.directory.files()
        assert set(current) <= files()
    assert published[-1] == published[-2] == published[-3]
    await world.stop("jp")
    (served / "metadata" / "1.snapshot.json").write_bytes(b"{}")
    node = await world.start("jp")
    world.directory = publish_cards(
        world.found(), [world.desks["24-7@jp"].card], world.nations["jp"], registry, world.clock()
    )
    assert await node.context.directory.refresh()
    assert not (served / "metadata" / "1.snapshot.json").exists()
    roots = [name for name in files() if name.endswith(".root.json")]
    assert roots  # every root stays: clients follow them one by one

"""An attacker who holds what two nations were asked does not learn which of it belongs together.

The office writes many requests in the same words at the same time, each to France and Ghana. The attacker has both
desks and both nodes: all that is opened, all routing headers, sizes, receipts and positions in the log. Every pair of a
message to France and one to Ghana is scored by everything that can be compared. Were a score higher for siblings than
for strangers more often than by chance, it would stand out here.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from exchange.desk.desk import Desk
from exchange.settings import SiblingSettings
from protocol.address import Address
from protocol.envelope import parse_envelope
from protocol.event import EventName, decode_event
from tests.worlds.desks import FR, JP, World, in_thread, request

GH = Address.parse("24-7@gh")
DRAFTS = 60
# Of the share of pairs that a score puts in the right order, one half is chance. Its deviation with so many siblings is
# 1 / sqrt(12 * DRAFTS); five of them are not seen in a hundred scores.
MOST_FROM_CHANCE = 5 / (12 * DRAFTS) ** 0.5


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch, "gh")


async def seen(world: World, desk: Desk, message: UUID) -> dict[str, Any]:
    """All that one side has of a message: opened, on the wire, and in the log."""
    store = desk._works.context.store
    stored = await in_thread(desk, store.messages.get, message)
    routing = parse_envelope(stored.envelope).routing
    fields = dict(_flat(json.loads(stored.content)))
    del fields["to.0"]  # what the pair is made by
    fields |= {
        "wire.created": routing.created,
        "wire.lifetime": (routing.expires - routing.created).total_seconds(),
        "wire.ack_by": (routing.ack_by - routing.created).total_seconds() if routing.ack_by else 0,
        "wire.priority": int(routing.priority),
        "wire.size": len(stored.envelope),
        "wire.commitment": routing.commitment,
        "opened.size": len(stored.content),
        "opened.salt": stored.salt,
        "id.time": message.int >> 80,
        "id.counter": (message.int >> 64) & 0xFFF,
        "id.random": message.int & (2**62 - 1),
    }
    # Where the sender's node logged that it took the message: a receipt of it shows that to the other side.
    for index, leaf in enumerate(world.nodes["jp"].log.leaves):
        event = decode_event(leaf)
        if event.digest == stored.head.digest and event.name is EventName.SubmissionAcceptance:
            late = (event.at - routing.created).total_seconds()
            fields |= {"log.index": index, "log.at": event.at, "log.late": late}
    return fields


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _flat(part, f"{path}{name}.")
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _flat(part, f"{path}{number}.")
    else:
        yield path.rstrip("."), value


def scores(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """How alike two messages are, by everything that can be compared."""
    for name in one.keys() & other.keys():
        a, b = one[name], other[name]
        yield f"{name}: the same", float(a == b)
        if isinstance(a, datetime):
            a, b = a.timestamp(), b.timestamp()
        if isinstance(a, int | float):
            yield f"{name}: near", -abs(a - b)
            yield f"{name}: after", float(a > b)
        if isinstance(a, int):
            yield f"{name}: bits", -float((a ^ b).bit_count())
        if isinstance(a, bytes):
            yield f"{name}: bits", -float((int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_count())
        if isinstance(a, str):
            yield f"{name}: signs in place", float(sum(x == y for x, y in zip(a, b, strict=False)))
            yield f"{name}: signs shared", float(len(set(a) & set(b)))
    yield "the names of fields", float(one.keys() == other.keys())


def share_in_order(siblings: list[float], strangers: list[float]) -> float:
    """How often a sibling's score is above a stranger's; a tie is half of one."""
    ranked = sorted(strangers)
    above = sum(bisect_left(ranked, score) + bisect_right(ranked, score) for score in siblings)
    return above / (2 * len(siblings) * len(strangers))


async def test_siblings_are_told_from_strangers_no_better_than_by_chance(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        draft = request(to=[str(FR), str(GH)])
        sent = [await jp.messages.send(draft) for _ in range(DRAFTS)]
        outbox = jp._works.context.store.outbox
        while (at := await in_thread(jp, outbox.held_until)) is not None:  # a desk that runs sends each at its instant
            world.clock.now = max(at, world.clock())
            await jp.messages.sync()
        for desk in (fr, gh):
            await desk.messages.sync()
        families = [(await jp.parents.view(one.id)).children for one in sent]
        at_fr = [await seen(world, fr, children[0].thread) for children in families]
        at_gh = [await seen(world, gh, children[1].thread) for children in families]
    told = told_apart(at_fr, at_gh)
    assert len(told) > 150
    assert {"wire.created: near", "log.index: near", "own_reference: signs in place", "id.counter: bits"} <= {*told}
    assert {name: share for name, share in told.items() if abs(share - 0.5) > MOST_FROM_CHANCE} == {}
    # The same eyes see a family that shows itself.
    betrayed = [{**other, "own_reference": one["own_reference"]} for one, other in zip(at_fr, at_gh, strict=True)]
    assert told_apart(at_fr, betrayed)["own_reference: the same"] > 0.9


def told_apart(at_fr: list[dict[str, Any]], at_gh: list[dict[str, Any]]) -> dict[str, float]:
    """For each score, how often it puts siblings (those at one place of both lists) above strangers."""
    of_siblings: dict[str, list[float]] = {}
    of_strangers: dict[str, list[float]] = {}
    for (i, one), (j, other) in product(enumerate(at_fr), enumerate(at_gh)):
        for name, score in scores(one, other):
            (of_siblings if i == j else of_strangers).setdefault(name, []).append(score)
    return {name: share_in_order(of_siblings[name], of_strangers[name]) for name in of_siblings}


async def test_what_is_said_to_all_later_shows_no_family_either(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        sent = [await jp.messages.send(request(to=[str(FR), str(GH)]), at_once=True) for _ in range(20)]
        for desk in (fr, gh):
            await desk.messages.sync()
        said = [await jp.parents.say(one.id, "withdrawal", {"reason": "It is over."}) for one in sent]
        pairs = [[(await jp.messages.row(word.id)).sent_at for word in words] for words in said]
        gaps = [abs((a - b).total_seconds()) for a, b in pairs]
        strangers = [
            abs((one[0] - other[1]).total_seconds()) for one, other in product(pairs, pairs) if one is not other
        ]
        assert 1 < max(gaps) <= SiblingSettings().routine_s
        assert abs(share_in_order(gaps, strangers) - 0.5) < 5 / (12 * len(gaps)) ** 0.5

"""A list that is cut says so; what is kept from look to look is what a first look finds."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock
from uuid import UUID

import cbor2
import pytest

from exchange.cases._derived import _with_index
from exchange.cases.agenda import Agenda, AgendaFilter, KeptAgenda
from exchange.cases.listing import CaseFilter, Listing, derived_since, last_of, read_ahead, seqs_of, take_derived
from exchange.store.agenda import DerivedRow
from exchange.views import AgendaItem, CaseRow, Lane
from protocol.encoding import cbor
from protocol.encoding.instants import to_ms
from tests.unit.exchange.test_sending_commands import typed
from tests.worlds.desks import FR, JP, NOW, World, request
from tests.worlds.patience import WITHIN_S

_AT = to_ms(NOW)
_HOUR = 3_600_000


# --- What is kept, and what a first look finds ---


@dataclass
class _Table:
    """Stands where the desk's store stands: what was derived, by table."""

    rows: dict[str, dict[bytes, DerivedRow]] = field(default_factory=lambda: {"agenda": {}, "standing": {}})
    seq: int = 0

    @property
    def agenda(self) -> _Table:
        return self

    def since(self, table: str, seq: int, limit: int = -1) -> list[DerivedRow]:
        found = sorted(row for row in self.rows[table].values() if row.seq > seq)
        return found if limit < 0 else found[:limit]

    def stale(self, _limit: int) -> dict[bytes, bytes]:
        return {}

    def stale_count(self) -> int:
        return 0

    def names_of_threads(self, threads: Sequence[UUID]) -> set[bytes]:
        return {thread.bytes * 2 for thread in threads}

    def put(self, chance: random.Random, number: int) -> None:
        """Derive one thread anew: what is due in it, and how its cases stand; or nothing of it any more."""
        thread = UUID(int=number + 1)
        for table in ("agenda", "standing"):
            self.seq += 1
            made: Callable[[random.Random, UUID], bytes] = {"agenda": _due, "standing": _standing}[table]
            value = made(chance, thread) if chance.random() < 0.9 else b""
            self.rows[table][thread.bytes * 2] = DerivedRow(self.seq, thread.bytes * 2, value)


def _due(chance: random.Random, thread: UUID) -> bytes:
    harm = chance.choice([None, _AT + chance.randrange(-100, 100) * _HOUR])
    head = [thread.bytes, "assistance.request", "urgent", None, None, False, harm]
    items = []
    for number in range(chance.randrange(1, 4)):
        lane = chance.choice([0, 1, 2, 2, 2, 3, 4])
        due = chance.choice([None, _AT + chance.randrange(-50, 50) * _HOUR])
        times = sorted(_AT + chance.randrange(-50, 50) * _HOUR for _ in range(chance.randrange(3)))
        appears = chance.choice([None, _AT + chance.randrange(-50, 50) * _HOUR])
        ours = lane == 1 or (lane != 2 and chance.random() < 0.5)
        levels = ["7d", "2d", "overdue"][: len(times)]
        whose = ["answer", appears, lane, ours, ["24-7@fr"], f"t{number}", due]
        items.append([*whose, "law", "Art. 29", None, None, "comity", times, levels, {}])
    return _with_index([[head, items]])


def _standing(chance: random.Random, thread: UUID) -> bytes:
    harm = chance.choice([None, None, _AT + chance.randrange(-9, 9) * _HOUR])
    parts = [
        [thread.bytes, "assistance.request", "urgent", chance.random() < 0.5, [chance.choice(["24-7@fr", "24-7@gh"])],
         f"REF-{chance.randrange(9)}", None, "fraud", _AT - chance.randrange(100) * _HOUR, chance.choice([None, "Kim"]),
         [0], [chance.choice(["submitted", "answered", "closed"])], harm, False, True]
        for _ in range(chance.randrange(1, 3))
    ]  # fmt: skip
    return cbor.encode(parts)


def _as_shown(items: Sequence[AgendaItem]) -> list[tuple[Any, ...]]:
    return [(item.lane, item.thread, item.target, item.due, item.level, item.harm_at) for item in items]


@pytest.mark.parametrize("seed", range(6))
def test_what_is_kept_from_look_to_look_is_what_a_first_look_finds(seed: int) -> None:
    chance, table, now = random.Random(seed), _Table(), NOW
    store: Any = table
    kept = KeptAgenda()
    for step in range(40):
        for _ in range(chance.choice([0, 1, 2, 200])):
            table.put(chance, chance.randrange(120))
        now += timedelta(minutes=chance.choice([0, 20, 180]) if step != 20 else -600)
        first = KeptAgenda()
        everything = first.now(store, now)
        assert _as_shown(kept.now(store, now)) == _as_shown(everything), step
        assert _as_shown(kept.now(store, now, 2)) == _as_shown(
            [item for lane in Lane for item in [one for one in everything if one.lane is lane][:2]]
        )
        assert _as_shown(kept.emergencies(store, now, 5)) == _as_shown(
            [one for one in everything if one.lane is Lane.EMERGENCIES][:5]
        )


@pytest.mark.parametrize("seed", range(3))
def test_a_page_of_the_agenda_is_the_beginning_of_each_lane_and_names_the_lanes_that_are_cut(seed: int) -> None:
    chance, table = random.Random(seed), _Table()
    store: Any = table
    for number in range(80):
        table.put(chance, number)
    shown = KeptAgenda()
    everything = shown.now(store, NOW)
    for ours in (False, True):
        for pressing in (False, True):
            for lane in (None, *Lane):
                wanted = AgendaFilter(ours, pressing, lane)
                page, items, more = shown.page(store, NOW, wanted, 3), list[AgendaItem](), list[Lane]()
                for one in Lane:
                    found = [
                        item
                        for item in everything
                        if item.lane is one
                        and lane in {None, one}
                        and (item.ours or not ours)
                        and (item.level is not None or not pressing)
                    ]
                    items += found[:3]
                    more += [one] if len(found) > 3 else []
                assert (_as_shown(page.items), [*page.more]) == (_as_shown(items), more), wanted


def _listing(table: _Table, derived: dict[str, Any]) -> tuple[Listing, Agenda]:
    context = MagicMock(store=table, clock=lambda: NOW, derived=derived)
    agenda = Agenda(context, lambda *_: None)  # type: ignore[arg-type, return-value]
    return Listing(context, agenda), agenda


@pytest.mark.parametrize("seed", range(4))
def test_a_list_of_cases_is_the_same_for_who_looks_first_and_who_looked_before(seed: int) -> None:
    chance, table, derived = random.Random(seed), _Table(), dict[str, Any]()
    kept, _ = _listing(table, derived)
    filters = (CaseFilter(), CaseFilter(nation="gh"), CaseFilter(ours=True), CaseFilter(due_before=NOW))
    for _ in range(12):
        for _ in range(chance.choice([0, 1, 3, 200])):
            table.put(chance, chance.randrange(120))
        for wanted in filters:
            everything = _listing(table, {})[0].cases(NOW, wanted)
            assert (kept.cases(NOW, wanted), everything.more) == (everything, 0)
            page = kept.cases(NOW, wanted, 5)
            assert (page.cases, page.more) == (everything.cases[:5], max(0, len(everything.cases) - 5))
            assert everything.cases == sorted(everything.cases, key=_by_time)
        cases = kept.cases(NOW, CaseFilter()).cases
        some = {row.thread for row in cases[::7]}
        assert {*kept.of_threads(NOW, some)} == some


def _by_time(row: CaseRow) -> tuple[bool, float, float]:
    pressing = row.harm_at is not None and row.due is not None and row.state == "submitted"
    left = (row.harm_at - NOW).total_seconds() if row.harm_at is not None and pressing else 0.0
    return not pressing, left if left >= 0 else 1e12 - left, -row.opened_at.timestamp()


@pytest.mark.parametrize("seed", range(3))
def test_the_process_that_commands_are_made_from_learns_all_that_was_derived_since(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.cases.listing._TAUGHT_AT_ONCE", 7)
    chance, table = random.Random(seed), _Table()
    store: Any = table
    for number in range(40):
        table.put(chance, number)
    kept = read_ahead(store, NOW)
    taught = seqs_of(kept)
    for step in range(12):
        for _ in range(chance.choice([0, 2, 30])):
            table.put(chance, chance.randrange(60))
        now = NOW + timedelta(hours=step)
        while any(news := derived_since(store, taught)):
            # As it goes from one process to the other.
            take_derived(kept, cbor2.loads(cbor2.dumps(news)), now)
            taught = last_of(news, taught)
        assert seqs_of(kept) == taught
        nothing: Any = MagicMock()  # it reads nothing of the database
        nothing.agenda.since.return_value = []
        first = read_ahead(store, now)
        assert _as_shown(kept["agenda"].now(nothing, now)) == _as_shown(first["agenda"].now(store, now))
        assert kept["standing"].newest == first["standing"].newest
        assert kept["standing"].emergencies == first["standing"].emergencies


_TAUGHT = """
import asyncio, os
from exchange.service._warm import WarmProcess
known = [b"nothing"]
def run(descriptors):
    with os.fdopen(descriptors[0], "wb") as out:
        out.write(known[0])
    os._exit(0)
def learn(content):
    known[0] = content
async def taught():
    warm = WarmProcess.start(run, learn)
    for content in (None, b"x" * 3_000_000, b"new"):
        if content is not None:
            await warm.teach(content)
        reading, writing = os.pipe()
        await warm.make(1, [writing] * 5)
        os.close(writing)
        with os.fdopen(reading, "rb") as said:
            assert said.read() == (content or b"nothing")
    warm.close()
asyncio.run(taught())
print("learned")
"""


@pytest.mark.outside
def test_a_copy_knows_what_the_process_that_it_is_made_from_was_taught() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _TAUGHT], capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    assert (done.stdout, done.stderr) == ("learned\n", "")


# --- What a person and a program are told ---


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


async def test_every_list_that_is_cut_says_so_and_how_to_see_the_rest(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        for number in range(3):
            await jp.messages.send(request(own_reference=f"JP {number}"))
        await fr.messages.sync()

    async def comity(*words: str) -> str:
        code, said = await asyncio.to_thread(typed, world, FR, *words)
        assert code == 0, said
        return said

    for words, told in (
        (("inbox",), "There are older ones: give --limit."),
        (("inbox", "--unread"), "Only the newest messages were looked at (2): give --limit."),
        (("case", "list"), "1 more case: give --limit."),
        (("agenda",), "There are more: give --limit, or --lane."),
        (("search", "example"), "More messages fit: give --limit, or more words."),
    ):
        everything = (*words, "--all") if words[0] == "search" else words
        assert told in await comity(*everything, "--limit", "2"), words
        assert json.loads(await comity(*everything, "--limit", "2", "--json"))["more"], words
        assert told not in await comity(*everything, "--limit", "3"), words
        assert not json.loads(await comity(*everything, "--limit", "3", "--json"))["more"], words

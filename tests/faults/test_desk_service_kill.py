"""Eight programs of three officers give commands to one running desk that is killed under them: nothing is lost, and
nothing is doubled, by what the other side has in its mailbox.

``make desk-service-long`` does it for a minute, with five kills. Real processes, two real nodes.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition

import pytest

from exchange.desk.desk import Desk
from tests.worlds.processes import PASSPHRASE, request_draft
from tests.worlds.served import OFFICERS, Ran, ServedDesk, served_world

SECONDS = float(os.environ.get("COMITY_SERVICE_SECONDS", "0"))
TURNS = 2  # of each program, without COMITY_SERVICE_SECONDS
KILLS = 5 if SECONDS else 1
PROGRAMS = 8
SEED = int(os.environ.get("COMITY_DESK_SEED", "1"))
DONE = {0, 7}  # sent, or kept and sent later
UNKNOWN = {4}  # the service ended meanwhile, or other programs were in the way for too long


@dataclass(slots=True)
class Load:
    """What the programs do, and what became of it: for each message what it was called and every way it ended."""

    desk: ServedDesk
    folder: Path
    until: float
    sent: dict[str, list[Ran]] = field(default_factory=dict)
    read: list[Ran] = field(default_factory=list)
    slowest_s: float = 0
    done: Condition = field(default_factory=Condition)

    def program(self, number: int) -> None:
        """One program: more than 30 of 100 of its commands write."""
        chance, turn = random.Random(SEED * 100 + number), 0
        by = self.desk.by(OFFICERS[number % len(OFFICERS)])
        while time.monotonic() < self.until if SECONDS else turn < TURNS:
            turn += 1
            if chance.random() < 0.5 or turn == 1:
                self._send(f"p{number}-t{turn}", by)
            else:
                words = chance.choice([["inbox", "--sent"], ["agenda", "--no-sync"], ["search", "Roubaix"], ["inbox"]])
                self.read.append(self._run(*words, "--json", *by))

    def _send(self, name: str, by: list[str]) -> None:
        draft = self.folder / f"{name}.json"
        draft.write_text(json.dumps({**request_draft(), "own_reference": name}))
        ended = self.sent.setdefault(name, [])
        for _attempt in range(4):
            ended.append(self._run("send", str(draft), "--json", "--idempotency-key", f"load-{name}", *by))
            if ended[-1].code not in UNKNOWN:
                break

    def _run(self, *arguments: str) -> Ran:
        began = time.monotonic()
        ran = self.desk.run(*arguments, COMITY_PASSPHRASE_FILE=str(self.desk.passphrase))
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        with self.done:
            self.done.notify_all()
        return ran

    def kill(self, times: int) -> None:
        """Kill the service so often, spread over the load, and start it again each time."""
        began = time.monotonic()
        for number in range(times):
            with self.done:
                if SECONDS:
                    self.done.wait_for(
                        lambda: False, max(0, began + SECONDS * (number + 1) / (times + 1) - time.monotonic())
                    )
                else:
                    self.done.wait(20)
            self.desk.kill()
            self.desk.start()


@pytest.mark.outside
async def test_programs_of_several_officers_on_a_desk_that_is_killed_lose_and_double_nothing(tmp_path: Path) -> None:
    with served_world(tmp_path, "jp", "fr") as desk:
        desk.add_officers()
        desk.start()
        load = Load(desk, tmp_path, time.monotonic() + SECONDS)
        with ThreadPoolExecutor(PROGRAMS + 1) as programs:
            running = [programs.submit(load.program, number) for number in range(PROGRAMS)]
            killing = programs.submit(load.kill, KILLS)
            for one in (*running, killing):
                one.result()
        assert desk.run("desk", "status").code == 0
        assert desk.stop() == 0

        # Every command ended as one: with what it was to do, or saying that it is not known.
        endings = Counter(ran.code for ended in (*load.sent.values(), load.read) for ran in ended)
        assert set(endings) <= DONE | UNKNOWN | {5}, [
            ran for ended in (*load.sent.values(), load.read) for ran in ended if ran.code not in DONE | UNKNOWN
        ]
        assert sum(map(len, load.sent.values())) * 10 >= 3 * sum(endings.values())
        told = {ran.json["id"]: name for name, ended in load.sent.items() for ran in ended if ran.code in DONE}
        assert sorted(told.values()) == sorted(name for name, ended in load.sent.items() if ended[-1].code in DONE)

        async with Desk.open(desk.home, PASSPHRASE) as ours, Desk.open(tmp_path / "desk-fr", PASSPHRASE) as theirs:
            while await ours.messages.queued():
                await ours.messages.sync(1)
            received = await theirs.messages.inbox(limit=1000)
            while len(received) < len(told) or (await theirs.messages.sync(0)).received:
                await theirs.messages.sync(1)
                received = await theirs.messages.inbox(limit=1000)
            assert await theirs.messages.quarantine() == []
            signed = (desk.home / "records.checkpoint").read_bytes()
            assert await ours.office.check_records(signed) is not None
        references = Counter(row.own_reference for row in received)
        assert set(references.values()) == {1}, "nothing is doubled"
        assert {str(row.id) for row in received} >= set(told), "nothing is lost"
        assert set(references) <= set(load.sent)
        print(
            f"{sum(endings.values())} commands, {len(load.sent)} messages, {KILLS} kills; exit codes {dict(endings)};"
            f" {len(received)} messages at the other side, each once; the slowest command took {load.slowest_s:.1f} s"
        )

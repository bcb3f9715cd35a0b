"""Eight programs work on one desk beside a watch and are killed as they work: nothing is refused, lost or doubled.

Real processes, a real node. ``make desk-long`` does the same for longer.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from exchange.cases.threads import proved_events
from exchange.desk.desk import Desk
from protocol.event import EventName
from tests.worlds.desks import in_thread
from tests.worlds.patience import WITHIN_S
from tests.worlds.processes import World, desk, request_draft, world
from tests.worlds.samples import AUTHORISATION

PROGRAMS = 8
ROUNDS = int(os.environ.get("COMITY_DESK_ROUNDS", "1"))
SEED = int(os.environ.get("COMITY_DESK_SEED", "1"))
KILLED = -9
EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "messages"


def example(name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))
    return {key: value for key, value in fields.items() if value is not None}


async def give_under_conditions(made: World, count: int) -> list[str]:
    """fr offers so many answers to requests of jp under a condition; the offers wait in the mailbox of jp."""
    asked = {**example("assistance.request"), "wanted_by": None, "wanted_by_reason": None}
    draft = {key: value for key, value in asked.items() if value is not None}
    condition = {"condition": "c1", "kind": "confidential", "text": "To be kept confidential."}
    item = {**example("answer")["items"][0], "conditions": [condition], "targets": [], "available_at": "By post."}
    item.pop("attachment", None)
    async with desk(made, "jp") as jp, desk(made, "fr") as fr:
        sent = await jp.messages.send_many([draft for _ in range(count)])
        while len(await fr.messages.inbox(limit=1000)) < count:
            await fr.messages.sync(2)
        given = [
            await fr.replies.draft(m.id, "answer", completeness="final", items=[item], authorisation=AUTHORISATION)
            for m in sent
        ]
        return [str((await fr.messages.offer(answer)).id) for answer in given]


async def run_programs(made: World, folder: Path, given: list[str]) -> list[dict[str, Any]]:
    """What the programs did; a watch runs beside them until they are done."""
    home = str(made.root / "desk-jp")
    template = folder / "request.json"
    template.write_text(json.dumps(request_draft()))
    programs = []
    for number in range(PROGRAMS):
        mine = given[number::PROGRAMS]
        turns = [
            turn
            for answer in mine
            for turn in (
                ("send", ["send", str(template), "--home", home]),
                ("list", ["inbox", "--limit", "1000", "--home", home]),
                ("accept", ["accept-conditions", answer, "--home", home]),
                ("show", ["show", answer, "--home", home]),
            )
        ]
        programs.append(turns)
    (folder / "plan.json").write_text(
        json.dumps({"programs": programs, "seed": SEED, "kill": 0.3, "kill_within_s": 0.6})
    )
    variables = {**os.environ, "COMITY_PASSPHRASE_FILE": str(made.root / "passphrase")}
    watch = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "exchange.cli.main", "watch", "--json", "--home", home,
        stdout=PIPE, stderr=PIPE, env=variables,
    )  # fmt: skip
    watching = asyncio.create_task(watch.communicate())
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.desk_programs", str(folder), env=variables
    )
    assert await running.wait() == 0
    assert watch.returncode is None, (await watching)[1].decode()
    watch.terminate()
    assert (await watching)[1] == b""
    journals = [(folder / f"journal-{number}").read_text("utf-8") for number in range(PROGRAMS)]
    return [json.loads(line) for journal in journals for line in journal.splitlines()]


async def caught_up(made: World) -> tuple[list[Any], Counter[str]]:
    """What fr received of jp, and for jp which events are proved of what it received, when all has arrived."""
    async with desk(made, "jp") as jp, desk(made, "fr") as fr:
        while await jp.messages.queued() or await in_thread(jp, jp._works.context.store.statements.count):
            await jp.messages.sync(1)
        sent = {row.id for row in await jp.messages.inbox(sent=True, limit=1000)}
        with suppress(TimeoutError):
            async with asyncio.timeout(WITHIN_S):
                while not sent <= {row.id for row in await fr.messages.inbox(limit=1000)}:
                    await fr.messages.sync(2)
        received = await fr.messages.inbox(limit=1000)
        assert sent == {row.id for row in received}
        assert await fr.messages.quarantine() == []
        return received, await opened(jp)


async def opened(jp: Desk) -> Counter[str]:
    """How often the node of jp logged that each message was opened."""
    counts: Counter[str] = Counter()
    for row in await jp.messages.inbox(limit=1000):
        head = (await in_thread(jp, jp._works.context.store.messages.head, row.id)).head
        events = await in_thread(jp, proved_events, jp._works.context.store, head)
        counts[str(row.id)] = sum(event.name is EventName.ContentAccessTracking for event in events)
    return counts


async def test_eight_programs_that_are_killed_as_they_work_refuse_lose_and_double_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    async with world(tmp_path) as made:
        given = await give_under_conditions(made, PROGRAMS * ROUNDS)
        done = await run_programs(made, folder, given)
        received, openings = await caught_up(made)

        assert any(entry["code"] == KILLED for entry in done)
        # Nothing refused: what was not killed was done. (What a killed program had accepted is not open any more.)
        wrong = [
            entry
            for entry in done
            if entry["code"] not in {0, KILLED}
            and not (entry["name"] == "accept" and entry["attempt"] and "nothing-open" in entry["out"])
        ]
        assert wrong == []
        # Nothing lost, nothing doubled: each message that a program was told of arrived, and each once.
        told = [json.loads(entry["out"])["id"] for entry in done if entry["name"] == "send" and not entry["code"]]
        assert len(told) == len(set(told)) == PROGRAMS * ROUNDS
        requests = Counter(row.own_reference for row in received if row.type == "preservation.request")
        assert set(told) <= {str(row.id) for row in received}
        assert set(requests.values()) == {1}
        # Each condition was accepted once, and each offer came, opened and was said to be opened once.
        accepted = Counter(str(row.in_reply_to) for row in received if row.type == "condition.accept")
        assert accepted == Counter(given)
        assert openings == Counter(given)
        async with desk(made, "jp") as jp:
            head = (made.root / "desk-jp" / "records.checkpoint").read_bytes()
            assert await jp.office.check_records(head) is not None
            assert await jp.messages.quarantine() == []

"""Eight officers' programs on one desk: each runs its commands in processes of their own, and some of those are killed.

A command is a forked process that runs what ``comity`` runs. What each printed stands in the journal, one JSON object a
line. A command that was killed is given again, as a person would.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exchange.cli.main import app
from exchange.desk import desk as _desk  # noqa: F401 - imported once, before anything is forked

_KILLED = -signal.SIGKILL


def command(arguments: Sequence[str], out: Path, kill_after_s: float | None) -> int:
    """Run ``comity`` with these arguments, its output in ``out``; the exit code, or minus the signal."""
    child = os.fork()
    if not child:
        file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, 1)
        os.dup2(file, 2)
        try:
            app([*arguments, "--json"])
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code if isinstance(end.code, int) else 1)
        os._exit(70)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def program(plan: dict[str, Any], number: int, folder: Path, chance: random.Random) -> None:
    """All that one officer's program does, in turn."""
    with (folder / f"journal-{number}").open("a", encoding="utf-8") as journal:
        for turn, (name, arguments) in enumerate(plan["programs"][number]):
            for attempt in range(2):
                killing = attempt == 0 and chance.random() < plan["kill"]
                out = folder / f"out-{number}"
                given = list(arguments)
                if name == "send":  # each attempt is a message of its own
                    given[1] = str(_draft(folder, Path(given[1]), f"p{number}-t{turn}-a{attempt}"))
                code = command(given, out, chance.uniform(0, plan["kill_within_s"]) if killing else None)
                said = {"program": number, "name": name, "given": given, "code": code, "out": out.read_text("utf-8")}
                journal.write(json.dumps({**said, "attempt": attempt}) + "\n")
                if code != _KILLED:
                    break


def _draft(folder: Path, template: Path, reference: str) -> Path:
    draft = folder / f"{reference}.json"
    draft.write_text(json.dumps({**json.loads(template.read_text("utf-8")), "own_reference": reference}))
    return draft


def main() -> None:
    """Run all programs of the plan at the same time."""
    folder = Path(sys.argv[1])
    plan = json.loads((folder / "plan.json").read_text("utf-8"))
    children = []
    for number in range(len(plan["programs"])):
        child = os.fork()
        if not child:
            program(plan, number, folder, random.Random(plan["seed"] * 100 + number))
            os._exit(0)
        children.append(child)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))


if __name__ == "__main__":
    main()

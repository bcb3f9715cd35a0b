"""Notes when the stages of a message begin and end, in the program that is named: for benchmarks/latency.py.

    PYTHONPATH=. python -m benchmarks.traced TRACE-FILE MODULE [ARGUMENTS]

Nothing of it is in the programs themselves: functions are wrapped before the program runs. Times are nanoseconds of
the machine's monotonic clock, which all processes share. The notes are written when the program ends.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import inspect
import json
import os
import runpy
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Label = Callable[..., str | None]
"""The stage that a call is, by its arguments; None for a call of no interest."""

COUNTING = "BENCHMARK_COUNTS"
"""Set for processes that count, too: a note takes longer than some of what is counted."""

noted: list[tuple[int, str]] = []


def note(what: str) -> None:
    """Note that this happens now."""
    noted.append((time.monotonic_ns(), what))


def save(path: Path) -> None:
    """Write what was noted."""
    path.write_text(json.dumps(noted), "utf-8")


def found(place: str) -> tuple[Any, str, Callable[..., Any]]:
    """What ``package.module:Class.function`` is: its holder, its last name, and itself."""
    module, _, name = place.partition(":")
    holder: Any = importlib.import_module(module)
    *outer, last = name.split(".")
    for part in outer:
        holder = getattr(holder, part)
    return holder, last, getattr(holder, last)


def wrap(place: str, label: str | Label) -> None:
    """Note the beginning (``stage>``) and the end (``stage<``) of each call of ``package.module:Class.function``."""
    holder, last, function = found(place)

    def stage_of(arguments: tuple[Any, ...]) -> str | None:
        return label if isinstance(label, str) else label(*arguments)

    @functools.wraps(function)
    async def waited(*arguments: Any, **named: Any) -> Any:
        stage = stage_of(arguments)
        if stage is None:
            return await function(*arguments, **named)
        note(f"{stage}>")
        try:
            return await function(*arguments, **named)
        finally:
            note(f"{stage}<")

    @functools.wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        stage = stage_of(arguments)
        if stage is None:
            return function(*arguments, **named)
        note(f"{stage}>")
        try:
            return function(*arguments, **named)
        finally:
            note(f"{stage}<")

    setattr(holder, last, waited if inspect.iscoroutinefunction(function) else called)


def _accepting(stage: str) -> Label:
    """``stage`` where a message is among the operations."""

    def label(owner: Any, operations: Any, *_: Any) -> str | None:
        return stage if any(type(one).__name__.startswith("Accept") for one in operations) else None

    return label


STAGES_OF_A_NODE: Mapping[str, str | Label] = {
    "node.http.app:_authenticate": lambda context, endpoint, request: f"{endpoint.name} head",
    "node.relay.intake:Intake._take": "check",
    "node.log.sequencer:Sequencer._enqueue": _accepting("accept"),
    "node.log.sequencer:Sequencer._apply": _accepting("write"),
    "node.store.sqlite.store:SqliteStore.apply": _accepting("commit"),
    "node.log.sequencer:sign_checkpoint": "sign",
    "node.relay.delivery:PartnerQueue._begin": "due",
    "node.peers.client:PartnerClient.transfer": "transfer",
    "node.http.api.mailbox:_fitting": "page",
}
STAGES_OF_A_DESK: Mapping[str, str | Label] = {
    "exchange.link.client:NodeClient.submit": "submit",
    "exchange.link.client:NodeClient.mailbox": "mailbox",
    "exchange.messaging.sync:NodeSync._compose": "compose",
    "exchange.messaging.outbox:Outbox.seal": "seal",
    "exchange.messaging.sync:NodeSync._take": "take",
    "exchange.messaging.inbox:Inbox.take": "take in thread",
    "exchange.desk.messages:DeskMessages.show": "show",
}


COUNTED: Mapping[str, str] = {
    "os:fsync": "files flushed",
    "os:fdatasync": "files flushed",
    "concurrent.futures:ThreadPoolExecutor.submit": "calls in another thread",
    "keys.transport.client:SignedClient._send": "HTTP requests",
    "protocol.crypto.signing:Ed25519Signer.sign": "Ed25519 made",
    "protocol.crypto.signing:Ed25519Verifier.verify": "Ed25519 verified",
    "protocol.crypto.mldsa:MLDSA44Signer.sign": "ML-DSA-44 made",
    "protocol.crypto.mldsa:MLDSA44Verifier.verify": "ML-DSA-44 verified",
}
STATEMENTS, COMMITS = "SQL statements", "commits"


def wrap_all(stages: Mapping[str, str | Label]) -> None:
    """Note each of these stages from now on."""
    for place, label in stages.items():
        wrap(place, label)


def count_all() -> None:
    """Note each call of :data:`COUNTED`, each SQL statement and each commit that writes: as ``#`` and what it is.

    The notes have no effect on each other, and no load on the machine changes their number.
    """
    for place, what in COUNTED.items():
        _count(place, f"#{what}")
    connect = sqlite3.connect

    def connected(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **named)
        connection.set_trace_callback(_noted_statement)
        return connection

    setattr(sqlite3, "connect", connected)  # noqa: B010 - its type has many forms


def _noted_statement(text: str) -> None:
    note(f"#{COMMITS if text.lstrip()[:6].upper() == 'COMMIT' else STATEMENTS}")


def _count(place: str, what: str) -> None:
    holder, last, function = found(place)

    @functools.wraps(function)
    def counted(*arguments: Any, **named: Any) -> Any:
        note(what)
        return function(*arguments, **named)

    setattr(holder, last, counted)


def main() -> None:
    """Run the module that the arguments name."""
    path, module = Path(sys.argv[1]), sys.argv[2]
    sys.argv = [module, *sys.argv[3:]]
    wrap_all(STAGES_OF_A_NODE)
    if os.environ.get(COUNTING):
        count_all()
    atexit.register(save, path)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

"""What a desk with a long past costs: inbox, case, search, start and memory, beside the floor of the same work.

    python -m benchmarks.desk [--messages 100000] [--cases 20000] [--json]

The database is filled directly with sealed rows as the desk itself makes them: real messages, each case with a request
and replies, one case with 50. The floor, in the same run: decrypting and reading as many rows as each figure needs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from pkgutil import resolve_name
from uuid import UUID

import cbor2

from benchmarks._figures import Report, add_json_option, peak_mb
from benchmarks._served import measure_service
from benchmarks.floor import request
from exchange.desk.desk import Desk
from exchange.settings import Home
from exchange.store.cipher import RowCipher
from exchange.store.desk_store import DeskStore
from exchange.store.rows import Head, RecipientDelivery, StoredMessage, StoredReceipt
from exchange.views import Direction
from keys.secrets.keystore import Keystore, Purpose
from protocol.address import Address
from protocol.encoding.ids import new_message_id
from protocol.event import Event, EventName, encode_event
from protocol.messages.parse import ComposedMessage, compose_message
from protocol.messages.types.reply import reply_draft
from protocol.receipt import Receipt
from tests.worlds.desks import FR, JP, PASSPHRASE, World

LARGE = 50
PAGE = 1_000
REPORT = Report("desk")
_OFFICER = {"name": "Camille Martin", "role": "Duty officer"}


class _Patch:
    """What the tests' world wants of pytest's monkeypatch, for good."""

    def setattr(self, target: str, value: object) -> None:
        owner, _, name = target.rpartition(".")
        setattr(resolve_name(owner), name, value)


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--cases", type=int, default=20_000)
    add_json_option(parser)
    given = parser.parse_args()
    with REPORT.shown(given.json), tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), _Patch())  # type: ignore[arg-type]
        home = world.home(JP)
        large = fill(home, given.messages, given.cases)
        asyncio.run(measure(world, large))
        measure_service(REPORT, home, PASSPHRASE)
        size = sum(file.stat().st_size for file in home.glob("desk.sqlite*"))
        REPORT.slopes["disk bytes a message, desk database"] = size / given.messages
        REPORT.slopes["memory MB, desk with this past"] = peak_mb()
        print(f"database {size / 1e6:.0f} MB, most memory {peak_mb():.0f} MB")


def fill(home: Path, messages: int, cases: int) -> UUID:
    """Fill the desk's database; the thread of the case with 50 messages."""
    keystore = Keystore.open(Home(home).keystore, PASSPHRASE)
    store = DeskStore(
        Home(home).database,
        RowCipher(keystore.secret(Purpose.DATABASE, Purpose.DATABASE), keystore.secret(Purpose.INDEX, Purpose.INDEX)),
    )
    per_case, at = max(1, (messages - LARGE) // cases), datetime(2026, 1, 1, tzinfo=UTC)
    batch: list[StoredMessage] = []
    done, large = 0, UUID(int=0)
    while done < messages:
        count = LARGE if done == 0 else min(per_case, messages - done)
        thread = _case(count, at, done)
        large = thread[0].head.thread if done == 0 else large
        batch += thread
        done += count
        at += timedelta(minutes=5)
        if len(batch) >= PAGE or done >= messages:
            store.take(RecipientDelivery(batch, [], [], [_handover(one.head) for one in batch], 0))
            _progress("filled", done, messages)
            batch = []
    store.close()
    return large


def _handover(head: Head) -> StoredReceipt:
    """The receipt that this desk has the message: the clocks of a request begin with it."""
    event = Event(
        EventName.ContentHandover, head.stored_at, head.id, head.digest, bytes(16), recipient=JP, statement=bytes(64)
    )
    return StoredReceipt(head.digest, Receipt(encode_event(event), 0, (), b"a checkpoint"), None)


def _case(count: int, at: datetime, number: int) -> list[StoredMessage]:
    opening = _composed({**request(), "own_reference": f"REF-{number}", "to": [str(JP)]}, FR, at)
    found = [_stored(opening, FR, at)]
    for step in range(1, count):
        at += timedelta(minutes=1)
        draft = reply_draft(opening.message, "status.query", by=str(FR), officer=_OFFICER, question=f"Step {step}?")
        found.append(_stored(_composed(draft, FR, at), FR, at))
    return found


def _composed(draft: dict[str, object], sender: Address, at: datetime) -> ComposedMessage:
    return compose_message(draft, message_id=new_message_id(at, os.urandom(10)), sender=str(sender), sent_at=at)


def _stored(composed: ComposedMessage, sender: Address, at: datetime) -> StoredMessage:
    message, envelope = composed.message, os.urandom(len(composed.content))
    head = Head(
        id=message.id,
        thread=message.thread,
        in_reply_to=message.in_reply_to,
        direction=Direction.RECEIVED,
        type=message.type,
        urgency=message.urgency,
        sender=sender,
        recipients=(JP,),
        own_reference=message.own_reference,
        sent_at=at,
        stored_at=at,
        expires_at=at + timedelta(days=3),
        digest=sha256(envelope).digest(),
    )
    return StoredMessage(head, envelope, composed.content, bytes(16))


async def measure(world: World, large: UUID) -> None:
    """Print each figure with its floor and goal."""
    began = time.perf_counter()
    async with world.open(JP) as desk:
        REPORT.add("desk: start", (time.perf_counter() - began) * 1000, "ms")
        print(f"start {(time.perf_counter() - began) * 1000:.0f} ms (goal 2,000)")
        floor = await _read_floor(desk, 100)
        await _figure("open the inbox (100 rows)", lambda: desk.messages.inbox(limit=100), 100, floor)
        await _figure("open a case of 50", lambda: desk.cases.case(large), 100, await _read_floor(desk, LARGE))
        some = str((await desk.messages.inbox(limit=1))[0].id)[-8:]
        await _figure("find a message by 8 characters of its id", lambda: desk.messages.resolve(some), 100, floor)
        began = time.perf_counter()
        await desk.cases.search(
            "nothing-has-this-word", progress=lambda done, total: _progress("indexed", done, total), everything=True
        )
        print(f"first search, which indexes everything: {time.perf_counter() - began:.1f} s, once")
        for query in ("REF-50", "Step 3?", "Step mailbox", "nothing-has-this-word"):
            await _figure(f"search {query!r}", partial(desk.cases.search, query), 300, floor / 2)
        began = time.perf_counter()
        items = await desk.cases.agenda()
        print(f"first agenda, which derives every case: {time.perf_counter() - began:.1f} s, once ({len(items)} items)")
        rows = len(items) or 1
        await _figure("agenda", desk.cases.agenda, 100, await _agenda_floor(rows))
        await _figure("list of 100 cases", lambda: desk.cases.listing(limit=100), 300, await _agenda_floor(rows))
    async with world.open(JP) as desk:
        began = time.perf_counter()
        await desk.cases.agenda(most=50)
        took = (time.perf_counter() - began) * 1000
        REPORT.add("desk: agenda of a program that just began, 50 a lane", took, "ms", await _agenda_floor(rows) * 1000)
        print(f"agenda of a program that just began: {took:.1f} ms, {rows} items")


async def _figure(name: str, work: Callable[[], Awaitable[object]], goal_ms: int, floor_s: float) -> None:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        await work()
        times.append(time.perf_counter() - began)
    first, best = times[0] * 1000, min(times) * 1000
    REPORT.add(f"desk: {name}", best, "ms", floor_s * 1000)
    print(f"{name:34}{first:9.1f} ms first {best:9.1f} ms then (goal {goal_ms}); floor {floor_s * 1000:.2f} ms")


async def _agenda_floor(rows: int) -> float:
    """Seconds to decrypt and decode so many derived rows, and nothing else: what a program does once."""
    cipher = RowCipher(bytes(32), bytes(32))
    sealed = cipher.seal(b"x", b"y", cbor2.dumps([["24-7@fr", 1_766_000_000_000, "practice of the network"]] * 6))
    began = time.perf_counter()
    for _ in range(rows):
        cbor2.loads(cipher.open(b"x", b"y", sealed))
    return time.perf_counter() - began


async def _read_floor(desk: Desk, rows: int) -> float:
    """Seconds to decrypt so many values of 2 KB and nothing else."""
    cipher = RowCipher(bytes(32), bytes(32))
    sealed = [cipher.seal(b"x", b"y", os.urandom(2_000)) for _ in range(rows)]
    began = time.perf_counter()
    for value in sealed:
        cipher.open(b"x", b"y", value)
    return time.perf_counter() - began


def _progress(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty() or done == total:
        print(f"\r{what}: {done} of {total}", end="" if done < total else "\n", file=sys.stderr)


if __name__ == "__main__":
    main()

"""The floor: what the parts of one leg cost by themselves, on this machine, in this run.

A leg is one sealed message of 2 KB from a desk through two nodes with the destination's receipt. Nothing can be cheaper
than the sum of its parts, so the ratio of measured to floor says how much the system adds. Parts of the bare leg: seal
and sign once, verify four times (two nodes, the recipient, a receipt's share), open once, encode and decode, hash
leaves and nodes, four durable rows in group commit, three HTTP exchanges.

A message that a desk takes has more: it is checked field by field by both desks, and the recipient's desk signs that it
has it, which its node, the sender's node and the sender's desk verify. Those are the parts of the handover.

    python -m benchmarks.floor [--batch 64] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from benchmarks._figures import Report, add_json_option
from keys.transport.tls import client_context, make_certificate, server_context
from protocol.address import Address
from protocol.crypto.hpke import HybridOpener, SealingKey
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.encoding.ids import new_message_id
from protocol.envelope import open_envelope, parse_envelope, seal, verify_envelope
from protocol.event import EventName
from protocol.messages.parse import compose_message, parse_message
from protocol.routing import Priority, Routing
from protocol.statement import DeskStatement, parse_statement, sign_statement, verify_statement

RECIPIENT = Address.parse("24-7@fr")
CONTENT_BYTES = 2048
ROWS_PER_LEG = 4
HOPS_PER_LEG = 3
VERIFICATIONS_PER_LEG = 4
HASHES_PER_LEG = 60


def cpu_us(work: Callable[[], object], rounds: int) -> float:
    """CPU microseconds of one call, averaged over ``rounds``."""
    work()
    started = time.process_time()
    for _ in range(rounds):
        work()
    return (time.process_time() - started) / rounds * 1e6


def crypto_floor(rounds: int = 400) -> dict[str, float]:
    """CPU microseconds of each cryptographic and codec part of one leg."""
    now = datetime.now(UTC)
    sender, recipient = Address.parse("24-7@jp"), RECIPIENT
    signer, opener = Ed25519Signer(os.urandom(32)), HybridOpener(os.urandom(32))
    verifier, key = Ed25519Verifier(signer.public_key), SealingKey(opener.public_key)
    routing = Routing(
        new_message_id(now, os.urandom(10)),
        sender,
        (recipient,),
        now,
        now + timedelta(days=7),
        Priority.URGENT,
        None,
        bytes(32),
    )
    content = os.urandom(CONTENT_BYTES)

    def sealed() -> bytes:
        return seal(content, routing, signer, {recipient: key}, os.urandom)

    raw = sealed()
    envelope = parse_envelope(raw)
    verified = verify_envelope(envelope, verifier)
    node = bytes(64)
    return {
        "seal and sign": cpu_us(sealed, rounds),
        "parse ×3": 3 * cpu_us(lambda: parse_envelope(raw), rounds),
        "verify ×4": VERIFICATIONS_PER_LEG * cpu_us(lambda: verify_envelope(envelope, verifier), rounds),
        "open": cpu_us(lambda: open_envelope(verified, recipient, {opener.kid: opener}, now), rounds),
        "hashes": HASHES_PER_LEG * cpu_us(lambda: sha256(node).digest(), rounds * 10),
    }


def rows_floor(batch: int = 64, batches: int = 100) -> float:
    """CPU microseconds of the four durable rows of one leg, ``batch`` rows to a commit."""
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder) / "floor.sqlite", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, body BLOB) STRICT")
        body = os.urandom(CONTENT_BYTES + 700)
        started = time.process_time()
        for _ in range(batches):
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO row (body) VALUES (?)", [(body,)] * batch)
            database.execute("COMMIT")
        elapsed = time.process_time() - started
        database.close()
    return elapsed / (batch * batches) * 1e6 * ROWS_PER_LEG


async def _http_floor(messages_per_request: int, rounds: int) -> float:
    identity = make_certificate("floor", ["127.0.0.1"], datetime.now(UTC))

    async def take(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    app = web.Application(client_max_size=8 * 1024 * 1024)
    app.router.add_post("/", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(identity.certificate, identity.key_pem))
    await site.start()
    host, port = runner.addresses[0][:2]
    body = os.urandom((CONTENT_BYTES + 700) * messages_per_request)
    connector = aiohttp.TCPConnector(ssl=client_context([identity.certificate]))
    async with aiohttp.ClientSession(connector=connector) as session:
        await (await session.post(f"https://{host}:{port}/", data=body)).read()
        started = time.process_time()
        for _ in range(rounds):
            await (await session.post(f"https://{host}:{port}/", data=body)).read()
        elapsed = time.process_time() - started
    await runner.cleanup()
    return elapsed / (rounds * messages_per_request) * 1e6 * HOPS_PER_LEG


def http_floor(messages_per_request: int, rounds: int = 200) -> float:
    """CPU microseconds of the three TLS exchanges of one leg, both sides, without any work at the server."""
    return asyncio.run(_http_floor(messages_per_request, rounds))


def leg_floor(messages_per_request: int) -> dict[str, float]:
    """CPU microseconds of every part of one leg, and their sum under ``total``."""
    parts = crypto_floor()
    parts["four durable rows"] = rows_floor()
    parts[f"three HTTP hops of {messages_per_request}"] = http_floor(messages_per_request)
    parts["total"] = sum(parts.values())
    return parts


def handover_floor(rounds: int = 400) -> dict[str, float]:
    """CPU microseconds of what a leg has beyond the bare one, and their sum under ``total``."""
    now = datetime.now(UTC)
    signer = Ed25519Signer(os.urandom(32))
    verifier = Ed25519Verifier(signer.public_key)
    stated = DeskStatement(EventName.ContentHandover, new_message_id(now, os.urandom(10)), bytes(32), RECIPIENT, now)
    signed = parse_statement(sign_statement(stated, signer))
    draft = request()
    content = compose_message(draft).content
    parts = {
        "write the message": cpu_us(lambda: compose_message(draft), rounds),
        "read the message": cpu_us(lambda: parse_message(content), rounds),
        "sign the statement": cpu_us(lambda: sign_statement(stated, signer), rounds),
        "verify the statement ×3": 3 * cpu_us(lambda: verify_statement(signed, verifier), rounds),
    }
    parts["total"] = sum(parts.values())
    return parts


def request() -> dict[str, Any]:
    """The example request with one target: about 2 KB of content."""
    draft: dict[str, Any] = json.loads(Path("examples/preservation-request.json").read_text("utf-8"))
    draft["targets"] = draft["targets"][:1]
    for name in ("investigating_authority", "prosecuting_authority", "attachments"):
        draft.pop(name, None)
    return draft


def main() -> None:
    """Print each part, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64, help="messages in a request")
    add_json_option(parser)
    given = parser.parse_args()
    report = Report("floor")
    with report.shown(given.json):
        bare, handover = leg_floor(given.batch), handover_floor()
        for name, us in [*bare.items(), *handover.items()]:
            print(f"{name}: {us:.0f} µs")
        report.add("floor of a bare leg", bare["total"], "µs CPU")
        report.add("floor of message and handover", handover["total"], "µs CPU")


if __name__ == "__main__":
    main()

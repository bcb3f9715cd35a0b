"""A number that no database holds is refused by name, wherever it comes in; it never becomes a defect."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from protocol.address import Address
from protocol.bundle import _entry
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding import cbor
from protocol.errors import ComityError, FileLengthMismatchError, MalformedError, PeerFailedError, TooLargeError
from protocol.event import LeafReference
from protocol.files.file_list import FileSet
from protocol.files.logged import LoggedFiles
from protocol.files.sealed_file import SealedFile
from protocol.http import files, wire
from protocol.http.add_checkpoint import _size
from protocol.log._cosignature import from_timestamp
from protocol.log.checkpoint import Checkpoint
from protocol.log.proof import decode_tlog_proof
from protocol.receipt import receipts_from_value, receipts_to_value
from tests.worlds.nodes import Nation, World

NUMBERS = ((1 << 63), (1 << 63) + 1, (1 << 64) - 1)
NOTE = b"log\n1\n" + b"A" * 43 + b"=\n\n"
EMPTY = receipts_to_value([])


def mailbox(number: int) -> Any:
    return wire.decode_mailbox(wire.encode_mailbox([(number, None, ())], 0), 0, "the node jp").entries[0]


INPUTS: dict[str, Callable[[int], Any]] = {
    "a tree's size": lambda number: Checkpoint("log", number, bytes(32)),
    "a receipt's index": lambda number: receipts_from_value([[NOTE], [[b"leaf", number, b"", 0]]]),
    "a reference's index": lambda number: LeafReference("log", number, bytes(32)),
    "a tlog-proof's index": lambda number: decode_tlog_proof(
        f"c2sp.org/tlog-proof@v1\nindex {number}\n\n".encode() + NOTE
    ),
    "an old size": lambda number: _size(str(number)),
    "a row of a queue": lambda number: wire.decode_waiting(cbor.encode({1: [[number, b"x"]], 2: [], 3: EMPTY}), "fr"),
    "a row that was taken": lambda number: wire.decode_taken(
        cbor.encode({1: [], 2: [[number, [None]]], 3: EMPTY}), "fr"
    ),
    "a head's size": lambda number: wire.decode_heads(cbor.encode({1: [["log", number, bytes(32)]], 2: []}), "fr"),
    "a mailbox's sequence": mailbox,
    "a bundle's sequence": lambda number: _entry([number, None, []], []),
    "a time of signing": from_timestamp,
    "a segment's index": lambda number: files.decode_segments(cbor.encode([[0, number, b"", b"x"]])),
    "a file's number": lambda number: files.decode_segments(cbor.encode([[number, 0, b"", b"x"]])),
    "a wanted segment": lambda number: files.decode_fetch(cbor.encode({1: bytes(32), 2: [[0, number, 1]]})),
    "wanted segments": lambda number: files.decode_fetch(cbor.encode({1: bytes(32), 2: [[0, 0, number]]})),
    "a range": lambda number: files.decode_missing(cbor.encode({1: [[[number, 1]]]}), 1, "fr"),
    "a count of files": lambda number: FileSet(bytes(32), number, number),
    "a count of files in an event": lambda number: LoggedFiles(bytes(32), None, number, bytes(32)),
    "the length of a file": lambda number: SealedFile(1, 1 << 20, number, bytes(32)),
}


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", INPUTS)
def test_it_is_refused_where_it_is_decoded(name: str, number: int) -> None:
    with pytest.raises((MalformedError, TooLargeError, PeerFailedError, FileLengthMismatchError)):
        INPUTS[name](number)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp", Nation("fr", desks=()))
    await world.start("jp")
    yield world
    await world.close()


async def test_a_node_meets_no_defect_whatever_number_is_asked_for(world: World) -> None:
    tokyo = world.desks["24-7@jp"]
    for number in (*NUMBERS, (1 << 63) - 1, 10**19, 10**40):
        for target in (
            f"/v1/mailbox?after={number}",
            f"/v1/mailbox?limit={number}",
            f"/log/consistency?from={number}&to={number}",
            f"/log/proof/{number}",
            f"/log/cosigned/proof/{number}",
            f"/log/tile/0/{number}",
            f"/witness/receipts?from={number}",
        ):
            reply = await world.desk_call(tokyo, "GET", target)
            assert reply.status < 500, (target, reply.body)
            partner = await world.node_call("fr", "jp", "GET", target)
            assert partner.status < 500, (target, partner.body)
    for number in NUMBERS:
        taken = {1: [], 2: [[number, [None]]], 3: EMPTY}
        reply = await world.node_call("fr", "jp", "POST", "/v1/pull", taken)
        assert (reply.status, reply.code) == (400, "malformed")
        receipts = [[NOTE], [[b"leaf", number, b"", 0]]]
        reply = await world.node_call("fr", "jp", "POST", "/v1/receipts", receipts)
        assert (reply.status, reply.code) == (400, "malformed")
    assert world.nodes["jp"].metrics.internal_errors._value.get() == 0
    assert not [line for line in world.logs["jp"].getvalue().splitlines() if json.loads(line)["event"] == "internal"]


async def test_a_reader_of_the_store_refuses_what_its_integers_do_not_hold(world: World) -> None:
    store = world.nodes["jp"].context.store
    with pytest.raises(MalformedError):
        await store.reads.mailbox(Address.parse("24-7@jp"), 1 << 63, 1, 1)
    with pytest.raises(ComityError):
        await store.reads.outbound_items("fr", [1 << 64])


def test_signers_and_clients_are_what_they_were() -> None:
    assert mailbox((1 << 63) - 1).sequence == (1 << 63) - 1
    assert Checkpoint("log", (1 << 63) - 1, bytes(32)).size == (1 << 63) - 1
    assert Ed25519Signer(bytes(32)).kid
    assert from_timestamp(int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()))

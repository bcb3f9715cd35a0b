"""Nobody is out of reach: five nodes in processes of their own, one behind NAT, one nation hosted, one cut off."""

import asyncio
from collections import Counter
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from exchange.custody.chain import Shown
from exchange.desk.desk import Desk
from exchange.files.sealing import WantedFile
from exchange.store.files import TransferState
from keys.directory.routes import node_path
from protocol.errors import UnavailableError
from tests.e2e.reach import NATIONS, Reach, desks, draft, reach, serving
from tests.worlds.patience import LONG_S

EXPECTED_OF_FILES = {
    ("FileAcceptance", "jp"),
    ("FileRelayAcceptance", "de"),
    ("FileRelayAcceptance", "ki"),
    ("FileConsignment", "ki"),
    ("FileHandover", "ki"),
}


async def exchange(made: Reach, opened: dict[str, Desk]) -> Counter[tuple[str, str]]:
    """Everyone looks once; who got which message from whom."""
    got: Counter[tuple[str, str]] = Counter()
    before = {nation: {row.id for row in await desk.messages.inbox(limit=1000)} for nation, desk in opened.items()}
    for nation, desk in opened.items():
        if nation == "la":
            await made.carry_desk("la", desk)
            continue
        try:
            await desk.messages.sync(0)
        except UnavailableError:
            continue
    if "ki" in made.nodes and "de" in made.nodes:
        await made.carry("ki", "de")
        await made.carry("de", "ki")
    for nation, desk in opened.items():
        for row in await desk.messages.inbox(limit=1000):
            if row.id not in before[nation]:
                got[row.sender.node, nation] += 1
    return got


def expected(opened: dict[str, Desk], sender: str, recipient: str) -> set[tuple[str, str]]:
    """(event, node) of every step on the way, by the directory."""
    path = node_path(opened["jp"].directory, serving(sender), serving(recipient))
    last = path[-1]
    steps = {("SubmissionAcceptance", path[0]), ("ContentConsignment", last), ("ContentHandover", last)}
    return steps | ({("RelayAcceptance", node) for node in path} if len(path) > 1 else set())


async def proved(desk: Desk, message_id: UUID) -> set[tuple[str, str]]:
    """(event, node) of the receipts that the desk itself verified; none may have failed."""
    receipts = await desk.messages.receipts(message_id)
    assert [receipt.error for receipt in receipts if not receipt.verified] == []
    return {(receipt.event, receipt.node) for receipt in receipts}


async def everything_arrives_once_and_proved(
    made: Reach, opened: dict[str, Desk], sent: dict[tuple[str, str], UUID], arrived: Counter[tuple[str, str]]
) -> None:
    """``sent`` are the messages by sender and recipient, ``arrived`` what was seen to arrive before."""
    pairs = missing = list(sent)
    async with asyncio.timeout(LONG_S):
        while missing:
            arrived += await exchange(made, opened)
            proofs = {pair: await proved(opened[pair[0]], sent[pair]) for pair in missing}
            missing = [pair for pair in missing if not expected(opened, *pair) <= proofs[pair]]
    assert arrived == Counter(dict.fromkeys(pairs, 1))


async def test_a_message_between_every_two_nations_arrives_exactly_once_with_verified_receipts(tmp_path: Path) -> None:
    async with reach(tmp_path) as made, desks(made) as opened:
        assert made.nodes["la"].ready["url"] == ""
        await opened["jp"].refresh_directory(everything=True)
        assert expected(opened, "la", "ki") >= {("RelayAcceptance", node) for node in ("la", "fr", "de", "ki")}
        sent: dict[tuple[str, str], UUID] = {}
        for sender, desk in opened.items():
            others = [nation for nation in NATIONS if nation != sender]
            for recipient, message in zip(
                others, await desk.messages.send_many([draft(n) for n in others]), strict=True
            ):
                sent[sender, recipient] = message.id
        await everything_arrives_once_and_proved(made, opened, sent, Counter())


@pytest.mark.parametrize("victim", ["fr", "de"])
async def test_a_relay_killed_mid_way_loses_nothing_and_repeats_nothing(tmp_path: Path, victim: str) -> None:
    pairs = [("jp", "la"), ("la", "ki"), ("ki", "jp"), ("va", "la")]
    async with reach(tmp_path) as made, desks(made) as opened:
        sent = {
            (sender, recipient): (await opened[sender].messages.send(draft(recipient))).id
            for sender, recipient in pairs
        }
        await made.kill(victim)
        await made.start(victim)
        arrived = await exchange(made, opened)
        await made.kill(victim)
        await made.start(victim)
        await everything_arrives_once_and_proved(made, opened, sent, arrived)


async def a_file_goes_from_and_to_a_desk_by_hand(made: Reach, opened: dict[str, Desk], file: Path) -> None:
    """la's desk reaches its node by bundles alone: a file from it to fr, and one from fr to it."""
    la, fr = opened["la"], opened["fr"]
    out = await la.messages.send(await la.files.attach(draft("fr"), [WantedFile(file)]))
    back = await fr.messages.send(await fr.files.attach(draft("la"), [WantedFile(file)]))
    done: set[TransferState] = set()
    async with asyncio.timeout(LONG_S):
        while done != {TransferState.DONE}:
            await made.carry_desk_files("la", la)
            await fr.messages.sync(0)
            await fr.files.turn()
            steps = {step for sent, desk in ((out, la), (back, fr)) for step in await proved(desk, sent.id)}
            if steps >= {("FileHandover", "fr"), ("FileHandover", "la"), ("FileAcceptance", "la")}:
                await made.carry_desk_files("la", la)
                done = {(await la.files.progress(message.id)).state for message in (out, back)}
    # A disk goes again where it left before all was there: each time by the same hands.
    assert set(await carried(la, out.id)) == {("24-7@la", "la")}  # the sender's own hand
    assert set(await carried(fr, out.id)) == {("24-7@la", "la")}  # it came on with the files, over the network
    assert set(await carried(la, back.id)) == {("la", "24-7@la")}
    assert await carried(fr, back.id) == []


async def carried(desk: Desk, message_id: UUID) -> list[tuple[str, str]]:
    """Who handed a disk with the message's file to whom, as the file's custody shows it."""
    (chain,) = await desk.custody.chains(message_id)
    steps = [step for step in chain.steps if step.what == "carried"]
    assert {step.shown for step in steps} <= {Shown.SIGNED}
    return [(step.by, step.detail.removeprefix("to ").partition(",")[0]) for step in steps]


async def test_a_file_reaches_a_nation_without_network_on_a_carried_disk_whole_and_proved(tmp_path: Path) -> None:
    async with reach(tmp_path) as made, desks(made) as opened:
        jp, ki = opened["jp"], opened["ki"]
        image = tmp_path / "image.raw"
        image.write_bytes(Random(16).randbytes(3 * 1024 * 1024 + 17))
        sent = await jp.messages.send(await jp.files.attach(draft("ki"), [WantedFile(image)]))
        steps: set[tuple[str, str]] = set()
        async with asyncio.timeout(LONG_S):
            while not steps >= EXPECTED_OF_FILES:
                await jp.messages.sync(0)
                await jp.files.turn()
                await made.carry_files("de", "ki")
                await ki.messages.sync(0)
                await ki.files.turn()
                await made.carry_files("ki", "de")
                steps = {step for step in await proved(jp, sent.id) if step[0].startswith("File")}
        assert (await ki.files.progress(sent.id)).state is TransferState.DONE
        await ki.messages.read(sent.id)
        (tmp_path / "got").mkdir()
        (got,) = await ki.files.get(sent.id, tmp_path / "got")
        assert got.path.read_bytes() == image.read_bytes()
        assert (await carried(ki, sent.id))[0] == ("de", "ki")
        assert set(await carried(ki, sent.id)) == {("de", "ki")}
        answer = tmp_path / "answer.raw"
        answer.write_bytes(Random(17).randbytes(2 * 1024 * 1024 + 5))
        await a_file_goes_from_and_to_a_desk_by_hand(made, opened, answer)
        (shown,) = (await made.typed.node("files", "list", str(made.home("ki"))))["files"]
        assert {(hand["act"], hand["sender"], hand["recipient"]) for hand in shown["hands"]} == {
            ("imported", "de", "ki")
        }
        await made.kill("ki")  # the commands take a stopped node's place
        again = await made.carry_files("de", "ki")
        assert again["carried"]["segments"] == 0
        assert {code for _, code in again["carried"]["refused"]} <= {"file-gone"}

"""A desk that reaches its node by files alone: the same proofs, and every way in which a file can be wrong."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app as desk_app
from exchange.desk.desk import Desk
from exchange.desk.enrolment import NewDesk, create_desk
from exchange.settings import OfficerSettings
from keys.local.bundle_files import read_parts, write_parts
from keys.members.federation import bootstrap_file_of
from keys.secrets.keystore import FAST
from node.cli.main import app as node_app
from protocol.address import Address
from protocol.bundle import BundlePart, Contents, parse_part, write_bundle
from protocol.bundle_sizes import DEFAULT_PART_BYTES, MIN_PART_BYTES
from protocol.encoding.instants import truncate
from protocol.errors import (
    BundleAlteredError,
    BundleElsewhereError,
    BundleGapError,
    DirectoryUnavailableError,
    ForbiddenError,
    MalformedError,
    ReplayedError,
    UnavailableError,
)
from tests.worlds.nodes import Nation, World
from tests.worlds.processes import request_draft

ADDRESS = "24-7@jp"
PASSPHRASE = b"test"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """jp with a desk by file and a desk beside it, fr with a node."""
    world = World.of(tmp_path, Nation("jp", desks=()), Nation("fr", desks=()))
    for address, transport in ((ADDRESS, "file"), ("osaka@jp", "https")):
        assert world.directory is not None
        card = create_desk(
            world.path / address,
            NewDesk(
                Address.parse(address),
                office="Office",
                agency="Police",
                officer=OfficerSettings(name="Kim", role="Duty officer", telephone="+8222222222"),
                transport=transport,  # type: ignore[arg-type]
            ),
            PASSPHRASE,
            bootstrap_file_of(world.directory, world.found().repository, "jp"),
            world.clock(),
            derivation=FAST,
        )
        world.publish("jp", card)
    await world.start("jp")
    yield world
    await world.close()


async def from_node(world: World, to: str = ADDRESS, size: int = DEFAULT_PART_BYTES) -> list[BundlePart]:
    return [parse_part(part, to) for part in await world.nodes["jp"].bundles.export(to, size)]


def opened(world: World, address: str = ADDRESS, carried: Any = None) -> Any:
    return Desk.open(world.path / address, PASSPHRASE, clock=world.clock, carried=carried)


async def carry(world: World, desk: Desk) -> None:
    """There and back once."""
    for part in await desk.messages.export_bundle():
        await world.nodes["jp"].bundles.take(part)
    for part in await from_node(world):
        await desk.messages.import_bundle(part)


def draft(to: str) -> dict[str, Any]:
    return {**request_draft(), "to": [to]}


async def test_a_desk_without_a_directory_needs_one_from_a_bundle(world: World) -> None:
    with pytest.raises((DirectoryUnavailableError, UnavailableError)):
        async with opened(world):
            pass
    (part,) = await from_node(world)
    async with opened(world, carried=part.contents.directory) as desk:
        assert desk.directory.version == part_version(world)


def part_version(world: World) -> int:
    return world.nodes["jp"].context.directory.current.version


async def test_messages_go_both_ways_by_files_with_every_receipt_verified(world: World) -> None:
    (first,) = await from_node(world)
    async with opened(world, carried=first.contents.directory) as desk, opened(world, "osaka@jp") as osaka:
        sent = await desk.messages.send(draft("osaka@jp"))
        assert str(sent.status) == "queued"
        await carry(world, desk)
        assert {row.event for row in await desk.messages.receipts(sent.id)} == {
            "SubmissionAcceptance",
            "ContentConsignment",
        }
        # What the node had when it wrote the bundle is here; nothing later is known.
        known = await desk.messages.fetched_at()
        assert known is not None
        assert known <= world.clock()
        await osaka.messages.sync()
        answer = await osaka.messages.send(draft(ADDRESS))
        await carry(world, desk)
        assert [row.id for row in await desk.messages.inbox()] == [answer.id]
        receipts = await desk.messages.receipts(sent.id)
        assert all(row.verified for row in receipts)
        assert {"SubmissionAcceptance", "ContentHandover"} <= {row.event for row in receipts}
        await carry(world, desk)  # brings the desk's own statement to the node
        await osaka.messages.sync()
        assert {row.event for row in await osaka.messages.receipts(answer.id) if row.verified} >= {"ContentHandover"}


async def test_a_desk_by_file_opens_no_connection(world: World) -> None:
    (part,) = await from_node(world)
    async with opened(world, carried=part.contents.directory) as desk:
        with pytest.raises(UnavailableError, match="bundles only"):
            await desk.messages.sync()
        with pytest.raises(UnavailableError, match="bundles only"):
            desk.node_client("fr")


async def test_a_bundle_again_of_another_or_altered_is_refused_and_changes_nothing(world: World) -> None:
    (part,) = await from_node(world)
    async with opened(world, carried=part.contents.directory) as desk, opened(world, "osaka@jp") as osaka:
        message = await osaka.messages.send(draft(ADDRESS))
        raw = (await world.nodes["jp"].bundles.export(ADDRESS, DEFAULT_PART_BYTES))[0]
        altered = bytearray(raw)
        altered[-10] ^= 1
        with pytest.raises(BundleAlteredError):
            await desk.messages.import_bundle(parse_part(bytes(altered), ADDRESS))
        with pytest.raises(BundleElsewhereError):
            parse_part(raw, "osaka@jp")
        await desk.messages.import_bundle(parse_part(raw, ADDRESS))
        with pytest.raises(ReplayedError):
            await desk.messages.import_bundle(parse_part(raw, ADDRESS))
        assert [row.id for row in await desk.messages.inbox()] == [message.id]


async def test_a_bundle_of_a_node_that_does_not_serve_the_desk_is_refused(world: World) -> None:
    (part,) = await from_node(world)
    async with opened(world, carried=part.contents.directory) as desk:
        now, signer = truncate(world.clock()), world.node_keys["fr"].signer()
        (foreign,) = write_bundle("fr", ADDRESS, now, Contents(after=0), signer, DEFAULT_PART_BYTES)
        with pytest.raises(ForbiddenError):
            await desk.messages.import_bundle(parse_part(foreign, ADDRESS))
        (odd,) = write_bundle(
            "jp", ADDRESS, now, Contents(envelopes=(b"x",)), world.node_keys["jp"].signer(), DEFAULT_PART_BYTES
        )
        with pytest.raises(MalformedError):
            await desk.messages.import_bundle(parse_part(odd, ADDRESS))


async def test_a_part_that_would_pass_over_messages_is_refused_until_the_one_before_it_is_there(world: World) -> None:
    (part,) = await from_node(world)
    async with opened(world, carried=part.contents.directory) as desk, opened(world, "osaka@jp") as osaka:
        target = {**draft(ADDRESS)["targets"][0], "description": "x" * 2_000}
        targets = [{**target, "target": f"t{n}"} for n in range(250)]
        sent = await osaka.messages.send_many([{**draft(ADDRESS), "targets": targets}] * 5)
        parts = await from_node(world, size=MIN_PART_BYTES)
        assert len(parts) > 1
        with pytest.raises(BundleGapError):
            await desk.messages.import_bundle(parts[-1])
        for one in parts:
            assert await desk.messages.fetched_at() is None  # a part knows a part
            await desk.messages.import_bundle(one)
        assert await desk.messages.fetched_at() == parts[-1].created
        assert {row.id for row in await desk.messages.inbox(limit=1000)} == {message.id for message in sent}


async def test_the_commands_write_and_take_bundles_and_refuse_with_code_and_exit_code(world: World) -> None:
    desk_home, node_home = str(world.path / ADDRESS), str(world.home("jp").path)
    passphrase = world.path / "passphrase"
    passphrase.write_text("test\n")
    passphrase.chmod(0o600)
    settings = f'node = "jp"\nlisten = "127.0.0.1:{world.ports["jp"]}"\nallow_networks = ["127.0.0.0/8"]\n'
    world.home("jp").settings.write_text(settings)
    secret = ["--passphrase-file", str(passphrase)]

    async def run(app: Any, *arguments: str, code: int = 0) -> Any:
        result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--json", *secret])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    stick = world.path / "stick"
    down = await run(node_app, "bundle", "export", node_home, str(stick), "--to", ADDRESS)
    assert down["files"] == [str(stick)]
    taken = await run(desk_app, "bundle", "import", str(stick), "--home", desk_home)
    assert taken["parts"][0]["directory"] is True
    again = await run(desk_app, "bundle", "import", str(stick), "--home", desk_home, code=1)
    assert again["error"]["type"].endswith(":replayed")
    exists = await run(node_app, "bundle", "export", node_home, str(stick), "--to", ADDRESS, code=2)
    assert exists["error"]["code"] == "usage"
    up = world.path / "up"
    await run(desk_app, "bundle", "export", str(up), "--home", desk_home)
    imported = await run(node_app, "bundle", "import", node_home, str(up))
    assert imported["ok"] is True
    replayed = await run(node_app, "bundle", "import", node_home, str(up), code=1)
    assert replayed["error"]["code"] == "replayed"
    elsewhere = await run(node_app, "bundle", "import", node_home, str(stick), code=1)
    assert elsewhere["error"]["code"] == "bundle-for-another"
    up.write_bytes(up.read_bytes()[:-5])
    truncated = await run(node_app, "bundle", "import", node_home, str(up), code=1)
    assert truncated["error"]["code"] == "bundle-truncated"
    unknown = await run(node_app, "bundle", "export", node_home, str(world.path / "x"), "--to", "zz", code=1)
    assert unknown["error"]["code"] == "unknown-node"
    # The same with the node stopped: the command works in its place.
    await world.stop("jp")
    fresh = world.path / "fresh"
    await run(desk_app, "bundle", "export", str(fresh), "--home", desk_home)
    stopped = await run(node_app, "bundle", "import", node_home, str(fresh))
    assert stopped["parts"][0]["sender"] == ADDRESS


async def test_part_files_of_a_desk_are_read_for_that_desk_alone(world: World) -> None:
    parts = await world.nodes["jp"].bundles.export(ADDRESS, DEFAULT_PART_BYTES)
    paths = write_parts(world.path / "for-desk", parts)
    with pytest.raises(BundleElsewhereError):
        read_parts(paths, "osaka@jp")

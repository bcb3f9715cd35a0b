"""An operator sees whose files are in transit and how far they are, and lets some go."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from node.cli.main import app
from tests.worlds import parcels
from tests.worlds.nodes import World
from tests.worlds.parcels import MIB, Parcel


async def ask(*arguments: str, expect: int = 0, as_json: bool = True) -> Any:
    """What the command says, run here in a thread."""
    options = ["--json"] if as_json else []
    ran = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *options])
    assert ran.exit_code == expect, ran.output
    return json.loads(ran.stdout or ran.stderr) if as_json else ran.output


async def test_files_in_transit_are_listed_and_let_go_and_the_sender_learns_it(tmp_path: Path) -> None:
    world = World.of(tmp_path, "jp", "fr")
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    home = str(world.home("jp").path)
    world.home("jp").settings.write_text('node = "jp"\n')
    await world.start("jp", files={"reserve_bytes": 0})
    try:
        assert await ask("files", "list", home) == {"files": []}
        parcel, other = (Parcel.of(world, tokyo, [paris], size) for size in (3 * MIB, 1000))
        await world.submit(tokyo, parcel.envelope, other.envelope)
        await parcels.announce(world, tokyo, parcel)
        await parcels.send(world, tokyo, parcel, [(0, 0), (0, 2)])

        first, second = (await ask("files", "list", home))["files"]
        assert first["message_id"] == str(parcel.envelope.routing.id)
        assert (first["segments_here"], first["segments"], first["files"]) == (2, len(parcel.segments), 1)
        assert (first["payer"], first["waiting"], first["whole_at"]) == ("24-7@jp", ["fr"], None)
        assert second["segments"] is None
        told = await ask("files", "list", home, as_json=False)
        assert "50 %" in told
        assert "not announced yet" in told

        wanted = str(parcel.envelope.routing.id)
        assert (await ask("files", "forget", home, wanted, expect=2))["error"]["code"] == "usage"
        assert (await ask("files", "forget", home, "ffffffff", "--yes", expect=1))["error"]["code"] == "not-found"
        assert await ask("files", "forget", home, wanted, "--yes") == {"forgotten": 1}
        assert [one["message_id"] for one in (await ask("files", "list", home))["files"]] == [
            str(other.envelope.routing.id)
        ]
        (proved,) = await parcels.file_events(world, tokyo, 1)
        assert (proved.event.name.value, proved.event.reasons) == ("FileExpiry", ("forgotten",))
        assert await world.nodes["jp"].evidence.store.messages() == []
        await world.stop("jp")
        refused = await ask("files", "forget", home, str(other.envelope.routing.id), "--yes", expect=4)
        assert refused["error"]["code"] == "unavailable"
        assert len((await ask("files", "list", home))["files"]) == 1, "the node need not run"
    finally:
        await world.close()

"""A node's log through backups, losses, restores and moves: it never forks, and its operator is told what to do."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import closing, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from exchange.audit.mirror import mirror
from exchange.audit.verify import LogMirror, verify_mirror
from keys.directory.cards import card_to_bytes, parse_node_card
from keys.local.files import write_file
from keys.local.terminal import REFUSED, UNVERIFIED
from node.cli.main import app
from node.monitor.monitor import Checked
from node.relay.expiry import purge
from protocol.envelope import Envelope
from protocol.errors import LogMovedError, LogRolledBackError
from protocol.event import EventName
from protocol.http.problem import problem_of
from protocol.http.wire import decode_head
from protocol.log.checkpoint import claimed_time, open_checkpoint, parse_checkpoint
from protocol.log.layout import decode_bundle
from protocol.log.scoped import Withheld, decode_scoped_bundle, item_hash
from tests.worlds.nodes import Desk, Nation, World
from tests.worlds.patience import WITHIN_S

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROOT = Path(__file__).parents[2]


class Operator:
    """Runs ``comity-node`` as an operator would, in processes of their own where one is to be killed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.passphrase = world.path / "passphrase"
        self.passphrase.touch(mode=0o600)
        self.passphrase.write_text("test\n")

    @property
    def environment(self) -> dict[str, str]:
        return {
            "COMITY_NODE_PASSPHRASE_FILE": str(self.passphrase),
            "COMITY_NODE_LOG__BOOT_FOLDER": str(self.world.path),
        }

    def __call__(self, *arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, [*arguments, "--json"], env=self.environment)
        assert result.exit_code == code, result.output
        return json.loads(result.stdout.splitlines()[-1])

    async def do(self, *arguments: str, code: int = 0) -> Any:
        return await asyncio.to_thread(self, *arguments, code=code)

    def text(self, *arguments: str) -> str:
        return CliRunner().invoke(app, arguments, env=self.environment).output

    def process(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "node.cli.main", *arguments, "--json"]
        environment = {**os.environ, **self.environment}
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    async def run_refused(self) -> Any:
        """The error with which ``run`` ends, because the log does not verify."""
        process = self.process("run", self.home())
        said, _ = await asyncio.to_thread(process.communicate, timeout=WITHIN_S)
        assert process.returncode == UNVERIFIED
        return json.loads(said)["error"]

    def home(self, node: str = "jp") -> str:
        return str(self.world.home(node).path)


def write_settings(world: World, node: str) -> None:
    assert world.directory is not None
    world.home(node).card.write_bytes(card_to_bytes(world.directory.node(node)))
    world.home(node).settings.write_text(
        f'node = "{node}"\nlisten = "127.0.0.1:{world.ports[node]}"\nadmin = ""\n'
        'allow_networks = ["127.0.0.0/8"]\n'
        f'[directory]\nfolder = "{world.folder}"\n[delivery]\nfirst_backoff_s = 0.02\nmax_backoff_s = 0.2\n'
    )


async def make_world(path: Path) -> World:
    made = World.of(path, Nation("jp", auditors=("audit",)), "fr")
    for node in ("jp", "fr"):
        write_settings(made, node)
    for node in ("jp", "fr"):
        await made.start(node)
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def federation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Two nodes that the tests here share; each test finds them running, with a log that grew."""
    made = await make_world(tmp_path_factory.mktemp("federation"))
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="module")
async def world(federation: World) -> AsyncIterator[World]:
    yield federation
    kept = federation.path / "kept"
    if kept.exists() and "jp" not in federation.nodes:  # what a test did to the home of jp is undone
        shutil.rmtree(federation.home("jp").path)
        kept.rename(federation.home("jp").path)
    shutil.rmtree(kept, ignore_errors=True)
    for node in ("jp", "fr"):
        if node not in federation.nodes:
            await federation.start(node)
    await federation.until(lambda: all(node.context.sequencer.held is None for node in federation.nodes.values()))


@pytest.fixture(autouse=True)
def _ask_soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.recovery.confirmation.ASK_AGAIN_S", 0.05)


def keep_home(world: World) -> None:
    """Remember the home of jp, whose node is stopped: it is put back after the test."""
    shutil.copytree(
        world.home("jp").path, world.path / "kept", ignore=lambda _, names: [n for n in names if n.endswith(".sock")]
    )


@pytest_asyncio.fixture(loop_scope="module")
async def later(tmp_path: Path) -> AsyncIterator[World]:
    """A federation of its own, whose clock the test moves."""
    made = await make_world(tmp_path)
    yield made
    await made.close()


@pytest.fixture
def operator(federation: World) -> Operator:
    return Operator(federation)


async def exchange(world: World, count: int = 1) -> None:
    """Messages from jp to fr and back, each handed over: jp's log grows, and fr holds receipts of it."""
    for _ in range(count):
        for sender, recipient in (("24-7@jp", "24-7@fr"), ("24-7@fr", "24-7@jp")):
            await deliver(world, world.desks[sender], world.desks[recipient])


async def arrive(world: World, sender: Desk, recipient: Desk, lifetime: timedelta = timedelta(days=1)) -> Envelope:
    """A message that lies in its recipient's mailbox."""
    envelope = world.seal(sender, [recipient], lifetime=lifetime)
    assert (await world.submit(sender, envelope))[0].code is None
    async with asyncio.timeout(WITHIN_S):
        while True:
            entries, _ = await world.mailbox(recipient, wait=5)
            if any(entry.envelope == envelope.raw for entry in entries):
                return envelope


async def deliver(world: World, sender: Desk, recipient: Desk) -> None:
    envelope = await arrive(world, sender, recipient)
    assert (await world.state(recipient, EventName.ContentHandover, envelope))[0].code is None


async def size(world: World, node: str = "jp") -> int:
    return await world.nodes[node].context.store.reads.log_size()


async def known_to(world: World, partner: str, node: str = "jp") -> None:
    """Let ``partner`` see the newest checkpoint of ``node``'s log."""
    assert await world.nodes[partner].relay.monitor.check(node) is Checked.PROVED


def replace_home(world: World, source: Path) -> None:
    """The home of jp is lost; ``source`` takes its place, the keystore is put back from elsewhere."""
    keep_home(world)
    home = world.home("jp").path
    keystore = (home / "keystore.cbor").read_bytes()
    shutil.rmtree(home)
    source.rename(home)
    if not (home / "keystore.cbor").exists():
        write_file(home / "keystore.cbor", keystore, mode=0o600)


def forget_boot(world: World) -> None:
    """What a restart of the machine does to its memory."""
    for path in world.path.glob("comity-*"):
        path.unlink()


# --- Starting ------------------------------------------------------------------------------------------------


async def test_restarted_node_starts_at_once_although_its_partner_is_down(world: World) -> None:
    await exchange(world)
    await world.stop("fr")
    await world.stop("jp")

    node = await world.start("jp")

    assert node.context.sequencer.held is None


async def test_node_of_a_restarted_machine_signs_nothing_until_a_partner_answers(world: World) -> None:
    await exchange(world)
    await world.stop("fr")
    await world.stop("jp")
    forget_boot(world)

    node = await world.start("jp")

    held = world.seal(world.desks["24-7@jp"], [world.desks["24-7@fr"]])
    reply = await world.desk_call(world.desks["24-7@jp"], "POST", "/v1/submit", [held.raw])
    assert (reply.status, reply.code) == (503, "log-unconfirmed")
    assert (await world.node_call("fr", "jp", "GET", "/log/checkpoint")).code == "log-unconfirmed"
    await world.start("fr")
    await world.until(lambda: node.context.sequencer.held is None)
    await exchange(world)


async def test_two_nodes_restarted_together_confirm_each_other(world: World) -> None:
    await exchange(world)
    await world.stop("fr")
    await world.stop("jp")
    forget_boot(world)

    await world.start("jp")
    await world.start("fr")

    await world.until(lambda: all(node.context.sequencer.held is None for node in world.nodes.values()))
    await exchange(world)


async def test_operator_may_start_a_node_that_can_ask_nobody(world: World, operator: Operator) -> None:
    await world.stop("fr")
    await world.stop("jp")
    forget_boot(world)

    with operator.process("run", operator.home(), "--without-witnesses") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        ready = await asyncio.to_thread(process.stdout.readline)
        assert json.loads(ready)["event"] == "ready"
        process.send_signal(signal.SIGTERM)
        said = await asyncio.to_thread(process.stderr.read)
    assert b"started-without-witnesses" in said
    assert b"log-unconfirmed" not in said


async def test_old_database_with_its_old_checkpoint_file_is_caught_by_a_partner(
    world: World, operator: Operator
) -> None:
    await exchange(world)
    await world.stop("jp")
    home = world.home("jp").path
    copies = {name: (home / name).read_bytes() for name in ("node.sqlite", "log-checkpoint")}
    await world.start("jp")
    await exchange(world)
    await known_to(world, "fr")
    signed = await size(world)
    await world.stop("jp")
    keep_home(world)
    for name, content in copies.items():
        (home / name).write_bytes(content)
    forget_boot(world)

    with pytest.raises(LogRolledBackError, match=f"the log had {signed} entries"):
        await world.start("jp")

    refused = await operator.run_refused()
    assert refused["code"] == "log-rolled-back"
    assert "log reconcile" in refused["title"]


async def test_memory_of_this_boot_alone_shows_that_both_files_are_old(world: World) -> None:
    await world.stop("jp")
    home = world.home("jp").path
    copies = {name: (home / name).read_bytes() for name in ("node.sqlite", "log-checkpoint")}
    await world.start("jp")
    await exchange(world)
    await world.stop("jp")
    await world.stop("fr")
    keep_home(world)
    for name, content in copies.items():
        (home / name).write_bytes(content)

    with pytest.raises(LogRolledBackError):
        await world.start("jp")


async def test_home_that_lost_its_database_founds_no_second_log(world: World) -> None:
    await exchange(world)
    await known_to(world, "fr")
    await world.stop("jp")
    keep_home(world)
    home = world.home("jp").path
    for path in home.glob("node.sqlite*"):
        path.unlink()
    (home / "log-checkpoint").unlink()
    forget_boot(world)

    with pytest.raises(LogRolledBackError):
        await world.start("jp")


async def test_partner_shows_what_it_saw_to_partners_only(world: World) -> None:
    await exchange(world)
    await known_to(world, "fr")
    origin = world.nodes["fr"].context.directory.current.origin("jp")
    verifier = world.nodes["fr"].context.directory.current.log_verifier("jp")

    reply = await world.node_call("jp", "fr", "GET", f"/v1/head?origin={origin}")
    notes = decode_head(reply.body, "fr")
    assert {open_checkpoint(note, verifier).size for note in notes} == {await size(world)}
    unknown = await world.node_call("jp", "fr", "GET", "/v1/head?origin=other/jp")
    assert unknown.code == "not-found"
    for target in ("/v1/head", f"/v1/head?origin={origin}&origin={origin}"):
        assert (await world.node_call("jp", "fr", "GET", target)).code == "malformed"
    desk = await world.desk_call(world.desks["24-7@fr"], "GET", f"/v1/head?origin={origin}")
    assert desk.code == "forbidden"
    assert (await world.desk_call(world.desks["24-7@fr"], "GET", "/witness/receipts?from=0")).code == "forbidden"


# --- Backup and restore --------------------------------------------------------------------------------------


async def test_restored_backup_signs_nothing_and_says_why_and_how(
    world: World, operator: Operator, tmp_path: Path
) -> None:
    await exchange(world)
    backup = tmp_path / "monday"
    made = await operator.do("backup", operator.home(), str(backup))
    assert made["size"] == await size(world)
    await exchange(world)
    await known_to(world, "fr")
    signed = await size(world)
    await world.stop("jp")
    await operator.do("restore", str(backup), "--into", str(tmp_path / "new"))
    replace_home(world, tmp_path / "new")
    forget_boot(world)

    with pytest.raises(LogRolledBackError, match="restored from a backup"):
        await world.start("jp")

    report = await operator.do("log", "reconcile", operator.home(), code=UNVERIFIED)
    assert (report["size"], report["missing"]) == (made["size"], signed - made["size"])
    assert report["known"]["fr"] == signed
    assert report["held"]["fr"]
    told = await asyncio.to_thread(operator.text, "log", "reconcile", operator.home())
    for part in ("Missing", "fr holds receipts of entries", "restore", "import-entries", "found-anew"):
        assert part in told
    # What the partners know is not forgotten when they are gone.
    await world.stop("fr")
    known = parse_checkpoint((world.home("jp").path / "log-checkpoint").read_bytes())
    assert known.size == signed


async def test_newer_backup_is_a_way_out_and_desks_miss_nothing(
    world: World, operator: Operator, tmp_path: Path
) -> None:
    await exchange(world)
    backup = tmp_path / "newest"
    await operator.do("backup", operator.home(), str(backup), "--with-keystore")
    _, before = await world.mailbox(world.desks["24-7@jp"])
    signed = await size(world)
    await world.stop("jp")
    await operator.do("restore", str(backup), "--into", str(tmp_path / "new"))
    replace_home(world, tmp_path / "new")
    forget_boot(world)

    report = await operator.do("log", "reconcile", operator.home())

    assert report["ok"]
    await world.start("jp")
    assert await size(world) >= signed
    tokyo = world.desks["24-7@jp"]
    await deliver(world, world.desks["24-7@fr"], tokyo)
    _, after = await world.mailbox(tokyo)
    assert after > before + 1_000_000  # numbers that the lost days may have used are not given again
    await known_to(world, "fr")


async def mirrored(operator: Operator, tmp_path: Path) -> Path:
    tiles = tmp_path / "tiles"
    await operator.do("log", "export-tiles", operator.home(), str(tiles))
    return tiles


def size_of_queue(world: World) -> int:
    """How many envelopes wait for fr at jp."""
    with closing(sqlite3.connect(world.home("jp").path / "node.sqlite", timeout=WITHIN_S)) as database:
        (count,) = database.execute("SELECT count(*) FROM outbound WHERE kind = 0").fetchone()
    return int(count)


async def test_mirror_brings_lost_entries_back_and_the_log_goes_on_without_a_fork(
    world: World, operator: Operator, tmp_path: Path
) -> None:
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    open_before = await arrive(world, paris, tokyo)
    await world.stop("fr")
    queued_before = world.seal(tokyo, [paris])
    await world.submit(tokyo, queued_before)
    backup = tmp_path / "old"
    await operator.do("backup", operator.home(), str(backup))
    await world.start("fr")
    await world.until(lambda: size_of_queue(world) == 0)
    await world.state(tokyo, EventName.ContentHandover, open_before)
    lost = await arrive(world, paris, tokyo)
    await exchange(world)
    await world.stop("fr")
    tiles = await mirrored(operator, tmp_path)
    head = parse_checkpoint((tiles / "checkpoint").read_bytes())
    await world.stop("jp")
    await world.start("fr", log={"ask_witnesses_at_start": False, "boot_folder": world.path})
    await operator.do("restore", str(backup), "--into", str(tmp_path / "new"))
    replace_home(world, tmp_path / "new")
    forget_boot(world)

    done = await operator.do("log", "import-entries", operator.home(), str(tiles))
    report = await operator.do("log", "reconcile", operator.home())

    assert done["size"] == head.size
    assert done["unfinished"] == [str(lost.routing.id)]
    assert report["ok"]
    await world.start("jp")
    await known_to(world, "fr")
    entries, _ = await world.mailbox(tokyo)
    assert [entry.envelope for entry in entries if entry.envelope] == []  # it was handed over in the lost time
    assert size_of_queue(world) == 0  # and the other one delivered
    again = await world.state(tokyo, EventName.ContentHandover, open_before)
    assert again[0].receipts[0].index < head.size
    await exchange(world)


async def test_the_time_at_which_a_tree_was_signed_anew_outlives_a_backup_and_its_restore(
    later: World, tmp_path: Path
) -> None:
    operator, fr = Operator(later), later.nodes["fr"].relay.monitor
    await exchange(later)
    later.clock.shift = timedelta(minutes=4)
    await known_to(later, "fr")
    again = fr.proved_note("jp")
    assert again is not None
    assert again != await later.nodes["jp"].context.store.reads.checkpoint()
    await operator.do("backup", operator.home(), str(tmp_path / "backup"), "--with-keystore")
    await later.stop("jp")
    later.clock.shift = timedelta(0)  # as on a machine whose clock is behind

    await operator.do("restore", str(tmp_path / "backup"), "--into", str(tmp_path / "new"))
    replace_home(later, tmp_path / "new")
    assert (await operator.do("log", "reconcile", operator.home()))["ok"]
    await later.start("jp")

    shown = await AuditorSource(later).read("checkpoint")
    assert claimed_time(shown) == claimed_time(again)
    await exchange(later)
    assert claimed_time(await AuditorSource(later).read("checkpoint")) == claimed_time(again)
    assert fr.distrusted == ()


async def test_altered_mirror_brings_nothing_back(world: World, operator: Operator, tmp_path: Path) -> None:
    backup = tmp_path / "old"
    await operator.do("backup", operator.home(), str(backup))
    await exchange(world)
    tiles = await mirrored(operator, tmp_path)
    await world.stop("jp")
    await operator.do("restore", str(backup), "--into", str(tmp_path / "new"))
    replace_home(world, tmp_path / "new")
    bundle = next(tiles.glob("tile/entries/*.p/*"))
    content = bytearray(bundle.read_bytes())
    content[-1] ^= 1
    bundle.write_bytes(content)

    refused = await operator.do("log", "import-entries", operator.home(), str(tiles), code=UNVERIFIED)

    assert refused["error"]["code"] == "proof-invalid"
    with sqlite3.connect(world.home("jp").path / "node.sqlite") as database:
        (entries,) = database.execute("SELECT count(*) FROM event").fetchone()
    database.close()
    assert entries == json.loads((backup / "manifest.json").read_text())["size"]


async def test_log_that_is_lost_for_good_is_closed_and_another_is_founded(
    world: World, operator: Operator, tmp_path: Path
) -> None:
    backup = tmp_path / "old"
    await operator.do("backup", operator.home(), str(backup))
    await exchange(world)
    await known_to(world, "fr")
    signed = await size(world)
    refused = await operator.do("log", "found-anew", operator.home(), "--yes", code=REFUSED)
    assert refused["error"]["code"] == "new-log"  # nothing is lost yet
    await world.stop("jp")
    await operator.do("restore", str(backup), "--into", str(tmp_path / "new"))
    replace_home(world, tmp_path / "new")
    await operator.do("log", "reconcile", operator.home(), code=UNVERIFIED)

    founded = await operator.do("log", "found-anew", operator.home(), "--yes")
    again = await operator.do("log", "found-anew", operator.home(), "--yes")

    assert founded == again
    card = parse_node_card(world.home("jp").card.read_bytes())
    assert (card.log.origin, card.previous_logs[0].final_size) == ("test-federation.2/jp", signed)
    world.publish("jp", card)
    await world.nodes["fr"].context.directory.refresh()
    await world.start("jp")
    assert world.nodes["jp"].context.sequencer.held is None
    await exchange(world)
    await known_to(world, "fr")


def kill_when(process: subprocess.Popen[bytes], reached: Callable[[], bool]) -> None:
    while process.poll() is None and not reached():
        pass
    process.kill()
    process.communicate()


async def test_reconciling_killed_at_any_step_is_repeated_and_the_log_goes_on(
    world: World, operator: Operator, tmp_path: Path
) -> None:
    backup = tmp_path / "newest"
    await operator.do("backup", operator.home(), str(backup), "--with-keystore")
    signed = await size(world)
    await world.stop("jp")
    await operator.do("restore", str(backup), "--into", str(tmp_path / "new"))
    replace_home(world, tmp_path / "new")
    home = world.home("jp").path
    file, written = home / "log-checkpoint", (home / "log-checkpoint").stat().st_ino

    for reached in ((home / "node.sqlite-wal").exists, lambda: file.stat().st_ino != written):
        process = operator.process("log", "reconcile", operator.home())
        await asyncio.to_thread(kill_when, process, reached)
        with pytest.raises(LogRolledBackError) if (home / "log-restored").exists() else nullcontext():
            await world.start("jp")
            await world.stop("jp")

    await operator.do("log", "reconcile", operator.home())
    await world.start("jp")
    assert await size(world) >= signed
    await exchange(world)
    await known_to(world, "fr")


# --- Moving --------------------------------------------------------------------------------------------------


async def test_moved_log_goes_on_elsewhere_and_never_here(world: World, operator: Operator, tmp_path: Path) -> None:
    await exchange(world)
    running = await operator.do("backup", operator.home(), str(tmp_path / "x"), "--final", code=REFUSED)
    assert running["error"]["code"] == "store-in-use"
    signed = await size(world)
    await world.stop("jp")
    backup, home = tmp_path / "final", world.home("jp").path
    await operator.do("backup", operator.home(), str(backup), "--final", "--with-keystore")

    with pytest.raises(LogMovedError):
        await world.start("jp")
    assert (await operator.run_refused())["code"] == "log-moved"
    assert (await operator.do("log", "reconcile", operator.home(), code=UNVERIFIED))["error"]["code"] == "log-moved"

    home.rename(tmp_path / "old-machine")
    await operator.do("restore", str(backup), "--into", str(home))
    forget_boot(world)
    assert (await operator.do("log", "reconcile", operator.home()))["size"] == signed
    await world.start("jp")
    await exchange(world)
    await known_to(world, "fr")


# --- Retention -----------------------------------------------------------------------------------------------


async def test_erased_entries_keep_every_proof_and_leave_no_trace_of_who_wrote(later: World, tmp_path: Path) -> None:
    operator = Operator(later)
    await exchange(later, 2)
    open_message = await arrive(later, later.desks["24-7@fr"], later.desks["24-7@jp"], timedelta(days=20))
    auditor = later.desks["audit@jp"]
    before = await size(later)
    kept = await later.desk_call(auditor, "GET", f"/log/tile/entries/000.p/{before}")
    assert kept.status == 200
    later.clock.shift = timedelta(days=10)
    await purge_all(later)

    erased = await operator.do("log", "erase", operator.home(), "--older-than", "5", "--yes")

    assert 0 < erased["erased"] < before
    plain = await later.desk_call(auditor, "GET", f"/log/tile/entries/000.p/{before}")
    assert (plain.status, plain.code) == (410, "entries-erased")
    scoped = await later.desk_call(auditor, "GET", f"/log/scoped/000.p/{before}")
    assert scoped.status == 200
    entries, items = decode_bundle(kept.body), decode_scoped_bundle(scoped.body)
    assert [item_hash(entry) for entry in entries] == [item_hash(item) for item in items]
    gone = [entry for entry, item in zip(entries, items, strict=True) if isinstance(item, Withheld)]
    assert len(gone) == erased["erased"]
    alive = [entry for entry in entries if open_message.routing.id.bytes in entry]
    assert alive
    assert not set(gone) & set(alive)
    # The desk still gets its message, with receipts of entries that are older than the rest.
    assert any(entry.envelope == open_message.raw for entry in (await later.mailbox(later.desks["24-7@jp"]))[0])
    tiles = tmp_path / "tiles"
    done = await operator.do("log", "export-tiles", operator.home(), str(tiles))
    assert done["withheld"] == erased["erased"]
    assert (await operator.do("log", "verify-tiles", operator.home(), str(tiles)))["withheld"] == erased["erased"]
    await later.stop("jp")
    database = (later.home("jp").path / "node.sqlite").read_bytes()
    assert not [entry for entry in gone if entry in database]
    assert [entry for entry in alive if entry in database] == alive
    await later.start("jp")
    await known_to(later, "fr")


class AuditorSource:
    """The log of jp as its auditor reads it."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def read(self, path: str) -> bytes:
        reply = await self._world.desk_call(self._world.desks["audit@jp"], "GET", f"/log/{path}")
        if reply.status != 200:
            raise problem_of(reply.body, "jp")
        return reply.body


async def test_new_mirror_counts_what_was_erased_and_an_old_one_keeps_it(later: World, tmp_path: Path) -> None:
    assert later.directory is not None
    directory, source, operator = later.directory, AuditorSource(later), Operator(later)
    verifier = directory.log_verifier("jp")
    await exchange(later, 2)
    await mirror(source, tmp_path / "old", verifier)
    later.clock.shift = timedelta(days=10)
    await purge_all(later)
    erased = await operator.do("log", "erase", operator.home(), "--older-than", "5", "--yes")
    await exchange(later)

    for folder, withheld in (("old", 0), ("new", erased["erased"])):
        await mirror(source, tmp_path / folder, verifier)
        log = verify_mirror(LogMirror(tmp_path / folder, "jp", verifier), directory)
        assert (log.withheld, log.findings) == (withheld, ())


async def purge_all(later: World) -> None:
    for node in later.nodes.values():
        await purge(node.context.sequencer, later.clock())


async def test_repeat_of_an_envelope_whose_entries_were_erased_is_refused_as_expired(later: World) -> None:
    operator = Operator(later)
    tokyo, paris = later.desks["24-7@jp"], later.desks["24-7@fr"]
    envelope = await arrive(later, tokyo, paris)
    await later.state(paris, EventName.ContentHandover, envelope)
    await later.events(tokyo, 3)
    later.clock.shift = timedelta(days=10)
    await purge_all(later)
    assert (await operator.do("log", "erase", operator.home(), "--older-than", "5", "--yes"))["erased"]

    assert (await later.submit(tokyo, envelope))[0].code == "expired"

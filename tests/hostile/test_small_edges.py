"""The edges of a node: its ports, its listeners, its home, what it says to garbage, and what its numbers count."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from exchange.link.client import NodeClient
from keys.local.terminal import OK, REFUSED, UNAVAILABLE, USAGE
from keys.transport.client import Reach, Server
from keys.transport.signing import Requester
from keys.transport.tls import client_context
from node.cli.main import app
from node.peers.client import PartnerClient
from node.settings import NodeSettings
from protocol.errors import HomeNotPrivateError, MalformedError, SettingsError
from protocol.event import EventName
from tests.worlds.nodes import World
from tests.worlds.patience import WITHIN_S


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp")
    yield world
    await world.close()


# --- Ports ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["listen", "admin", "authorities"])
@pytest.mark.parametrize("port", [65_536, 99_999])
def test_a_port_that_is_none_is_refused_and_not_cut(name: str, port: int) -> None:
    where = f"127.0.0.1:{port}"
    with pytest.raises(SettingsError, match=r"65535"):
        NodeSettings.of({"node": "jp", name: [where] if name == "authorities" else where})
    assert NodeSettings.of({"node": "jp", "listen": "127.0.0.1:65535"}).listeners == ("127.0.0.1:65535",)


def test_init_takes_no_port_that_is_none(tmp_path: Path) -> None:
    common = ["--node", "jp", "--name", "x", "--federation", "Test", "--json"]
    for options in (["--url", "https://a.example:99999"], ["--url", "https://a.example", "--listen", "0.0.0.0:99999"]):
        done = CliRunner().invoke(app, ["init", str(tmp_path / "jp"), *common, *options])
        assert done.exit_code in {USAGE, REFUSED}, done.output
        assert not (tmp_path / "jp").exists()


async def test_a_card_whose_address_is_none_is_refused_by_name(world: World) -> None:
    keys = world.node_keys["jp"]
    server = Server("jp", "https://127.0.0.1:99999", (keys.tls.certificate,))
    client = PartnerClient(server, Requester("fr", keys.signer(), world.clock), Reach(WITHIN_S, networks=()))
    with pytest.raises(MalformedError):
        await client.checkpoint()
    await client.close()
    desk = NodeClient(server, Requester("24-7@jp", keys.signer(), world.clock))
    with pytest.raises(MalformedError):
        await desk.checkpoint()
    await desk.close()


# --- Listeners ------------------------------------------------------------------------------------------------------


async def said(world: World, host: str, port: int, request: bytes) -> bytes:
    tls = client_context([world.node_keys["jp"].tls.certificate])
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    writer.write(request)
    try:
        async with asyncio.timeout(WITHIN_S):
            return await reader.read()
    except (ConnectionError, ssl.SSLError):
        return b""
    finally:
        writer.close()


async def test_one_listener_is_for_both_families_and_there_may_be_several(world: World) -> None:
    other = world.free_port()
    both, single = f"[::]:{world.ports['jp']}", f"127.0.0.1:{other}"
    await world.start("jp", listen=[both, single])
    request = b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for host, port in (("127.0.0.1", world.ports["jp"]), ("::1", world.ports["jp"]), ("127.0.0.1", other)):
        assert (await said(world, host, port, request)).startswith(b"HTTP/1.1 4")
    tokyo = world.desks["24-7@jp"]
    (answer,) = await world.submit(tokyo, world.seal(tokyo, [tokyo]))
    assert answer.code is None


GARBAGE = (
    b"\x16\x03\x01 secret-in-the-request\r\n\r\n",
    b"GET /secret-in-the-request HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nsecret-in-the-request\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: secret-in-the-request\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nsecret-in-the-request\r\n",
    b"GET /" + b"secret-in-the-request" * 1000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"secret-in-the-request" * 1000 + b"\r\n\r\n",
)


async def test_a_refusal_of_garbage_repeats_nothing_of_it_and_names_no_version(world: World) -> None:
    await world.start("jp", listen=f"127.0.0.1:{world.ports['jp']}")
    answered = 0
    for request in GARBAGE:
        answer = await said(world, "127.0.0.1", world.ports["jp"], request)
        assert b"secret-in-the-request" not in answer, request
        assert b"aiohttp" not in answer.lower(), request
        assert b"python" not in answer.lower(), request
        if answer:
            head, _, body = answer.partition(b"\r\n\r\n")
            assert b"application/problem+json" in head
            assert json.loads(body)["type"].startswith("urn:comity:error:")
            answered += 1
    assert answered >= 5
    for target in ("/health", "/metrics", "/nowhere"):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(world.nodes["jp"].admin_url.rpartition(":")[2]))
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        assert b"aiohttp" not in answer.lower()


# --- The home -------------------------------------------------------------------------------------------------------


async def test_a_home_that_others_may_look_into_does_not_start(world: World) -> None:
    for mode in (0o755, 0o750, 0o701, 0o770):
        world.home("jp").path.chmod(mode)
        with pytest.raises(HomeNotPrivateError, match=f"{mode:04o}"):
            await world.start("jp")
    world.home("jp").path.chmod(0o700)
    await world.start("jp")


# --- Health through a proxy, metrics, publishing --------------------------------------------------------------------


@contextmanager
def proxy():  # type: ignore[no-untyped-def]
    """A proxy that counts what comes to it."""

    class Counting(BaseHTTPRequestHandler):
        seen: ClassVar[list[str]] = []

        def do_GET(self) -> None:
            self.seen.append(self.path)
            self.send_error(502)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Counting)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", Counting.seen
    finally:
        server.shutdown()
        server.server_close()


async def test_health_asks_the_node_and_no_proxy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    jp = await world.start("jp")
    with proxy() as (url, seen):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
            monkeypatch.setenv(name, url)
        monkeypatch.delenv("no_proxy", raising=False)
        done = await asyncio.to_thread(
            CliRunner().invoke, app, ["health", str(world.home("jp").path), "--url", jp.admin_url, "--json"]
        )
        assert (done.exit_code, seen) == (OK, []), done.output
        assert json.loads(done.stdout)["node"] == "jp"
    await world.stop("jp")
    done = await asyncio.to_thread(
        CliRunner().invoke, app, ["health", str(world.home("jp").path), "--url", jp.admin_url, "--json"]
    )
    assert done.exit_code == UNAVAILABLE


async def test_the_health_of_a_home_is_never_that_of_another_homes_node(world: World, tmp_path: Path) -> None:
    jp = await world.start("jp")
    copied = tmp_path / "copied"
    copied.mkdir(mode=0o700)
    admin = jp.admin_url.removeprefix("http://")
    (copied / "node.toml").write_text(f'node = "jp"\nadmin = "{admin}"\n', "utf-8")
    (copied / "node.toml").chmod(0o600)
    done = await asyncio.to_thread(CliRunner().invoke, app, ["health", str(copied), "--json"])
    assert done.exit_code == UNAVAILABLE
    assert "does not run" in json.loads(done.stdout)["error"]["detail"]


async def test_open_mailboxes_count_messages_that_a_desk_has_not_taken_and_go_back_to_none(world: World) -> None:
    jp = await world.start("jp")
    tokyo = world.desks["24-7@jp"]
    envelopes = [world.seal(tokyo, [tokyo]) for _ in range(3)]
    await world.submit(tokyo, *envelopes)
    assert (await jp.context.store.reads.stats()).mailbox_open == 3
    for envelope in envelopes:
        await world.state(tokyo, EventName.ContentHandover, envelope)
    assert (await jp.context.store.reads.stats()).mailbox_open == 0


def test_publishing_that_lacks_signatures_is_no_success(tmp_path: Path) -> None:
    run, folder, passphrase = CliRunner(), str(tmp_path / "directory"), tmp_path / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text("test\n")
    given = ["--passphrase-file", str(passphrase), "--json"]
    for name, holders in (("root", ["JP", "FR"]), ("registry", ["registry"])):
        options = [word for holder in holders for word in ("--holder", holder)]
        made = run.invoke(app, ["keys", "create", str(tmp_path / f"{name}.cbor"), *options, "--demonstration", *given])
        assert made.exit_code == OK, made.output
        for key in json.loads(made.stdout)["keys"]:
            (tmp_path / f"{key['holder']}.json").write_text(json.dumps(key))
    founding = ["federation", "create", folder, "--name", "Test", "--threshold", "2"]
    holders = [word for name in ("JP", "FR") for word in ("--holder", str(tmp_path / f"{name}.json"))]
    made = run.invoke(app, [*founding, *holders, "--registry", str(tmp_path / "registry.json"), "--json"])
    assert made.exit_code == OK, made.output
    publishing = ["federation", "publish", folder, "--keys", str(tmp_path / "registry.cbor"), "--registry", "registry"]
    done = run.invoke(app, [*publishing, *given])
    assert done.exit_code == REFUSED, done.output
    assert json.loads(done.stdout)["published"] is False

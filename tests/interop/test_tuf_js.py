"""An independent TUF client reads our directory: tuf-js, with nothing of ours but the files and the trusted root.

It knows no key of two parts, so it reads a federation that was founded without ML-DSA-44; one with it is read by a
program of our own in :mod:`tests.interop.test_hybrid_node`.
"""

from __future__ import annotations

import functools
import re
import shutil
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from keys.ceremony.ceremony import Ceremony
from keys.directory.cards import card_to_bytes
from keys.directory.metadata.repository import TARGETS, card_path
from keys.directory.metadata.tuf_key import DirectorySigner
from keys.members.federation import (
    refresh_federation,
)
from keys.members.identity import generate_directory_key
from protocol.address import Address
from tests.interop.node_program import NodeRefusedError, run_node
from tests.worlds.federation import Federation

NOW = datetime.now(UTC) - timedelta(hours=1)


def signers(*holders: str) -> list[DirectorySigner]:
    return [generate_directory_key(holder).signer().classical() for holder in holders]


@dataclass
class Network:
    """A federation of two nations, whose root holders changed once, and its cards by path."""

    ceremony: Ceremony
    holders: list[DirectorySigner]
    registry: list[DirectorySigner]
    folder: Path
    cards: dict[str, bytes]


def found(path: Path, now: datetime) -> Network:
    holders, registry = signers("AR", "BR", "CL"), signers("registry")
    federation = Federation.found(path, now, holders=holders, threshold=2, registry=registry, classical=True)
    ceremony = federation.ceremony
    network = Network(ceremony, holders, registry, path, {})
    for node in ("jp", "fr"):
        _, card = federation.admit_node(node, signers(f"{node} justice", f"{node} interior"), now)
        _, desk = federation.enrol(Address("24-7", node), now, office="Büro", agency="경찰청", languages=("ko", "en"))
        network.cards |= {card_path(item.holder): card_to_bytes(item) for item in (card, desk)}
    new = [*holders[1:], *signers("ZA")]
    ceremony.rotate_root([holder.public_key for holder in new], 2, now)
    for holder in new[:2]:
        for role in ("root", TARGETS):
            ceremony.sign(role, holder)
    ceremony.release(now, registry)
    return network


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder over HTTP on loopback: TUF needs no trust in who serves it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def read(network: Network, client: Path, *targets: str) -> dict[str, bytes | None]:
    """What tuf-js makes of the directory; its own folder starts with the first root."""
    metadata = client / "metadata"
    if not metadata.exists():
        metadata.mkdir(parents=True)
        (metadata / "root.json").write_bytes(network.ceremony.repository.root_bytes(1))
    with served(network.folder) as url:
        answer = run_node("directory.mjs", url=url, folder=str(client), targets=list(targets))
    return {path: None if content is None else b64decode(content) for path, content in answer["targets"].items()}


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return found(tmp_path / "directory", NOW)


def test_tuf_js_reads_every_card_through_a_changed_root(network: Network, tmp_path: Path) -> None:
    assert len(network.ceremony.repository.root_versions()) == 2
    assert read(network, tmp_path / "client", *network.cards) == network.cards
    assert read(network, tmp_path / "client", "jp/contact-nobody.json") == {"jp/contact-nobody.json": None}


@pytest.mark.parametrize(
    "pattern", ["*.root.json", "*.targets.json", "*.nation-jp.json", "*.snapshot.json", "timestamp.json"]
)
def test_tuf_js_refuses_any_altered_metadata(network: Network, tmp_path: Path, pattern: str) -> None:
    newest = max((network.folder / "metadata").glob(pattern), key=lambda path: path.stat().st_mtime_ns)
    content = newest.read_bytes()
    altered = re.sub(rb'("expires":\s*")2', rb"\g<1>3", content)  # a thousand years later
    assert altered != content
    newest.write_bytes(altered)
    with pytest.raises(NodeRefusedError):
        read(network, tmp_path / "client", *network.cards)


def test_tuf_js_refuses_an_altered_card(network: Network, tmp_path: Path) -> None:
    (card,) = (network.folder / "targets" / "jp").glob("*.node.json")
    card.write_bytes(card.read_bytes().replace(b'"name":"jp"', b'"name":"fr"'))
    with pytest.raises(NodeRefusedError, match="hash"):
        read(network, tmp_path / "client", "jp/node.json")


def test_tuf_js_refuses_an_older_directory(network: Network, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(network.folder, old)
    refresh_federation(network.ceremony, network.registry, NOW + timedelta(minutes=1))
    assert read(network, tmp_path / "client", *network.cards) == network.cards
    network.folder = old
    with pytest.raises(NodeRefusedError, match="version"):
        read(network, tmp_path / "client", *network.cards)


def test_tuf_js_refuses_an_expired_directory(tmp_path: Path) -> None:
    network = found(tmp_path / "directory", NOW - timedelta(days=10))
    with pytest.raises(NodeRefusedError, match="xpired"):
        read(network, tmp_path / "client", *network.cards)

"""What the directory costs a desk, beside the floor of its parts.

    python -m benchmarks.directory [--nations 195] [--contact-points 50] [--json]

A federation of that size is made with real keys and signatures, and served over TLS on loopback. Figures: first refresh
(time, bytes) of a new client that reads its own nation and three others, and of one that reads everything; refresh
without news; refresh after one nation changed a card; look-ups; memory. Floor, in the same run: fetching the same
files, hashing them, parsing their JSON, verifying two signatures per role.
"""

from __future__ import annotations

import argparse
import functools
import json
import resource
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import urllib3

from benchmarks._figures import Report, add_json_option
from keys.ceremony.ceremony import Ceremony
from keys.directory.cards import ContactPointCard
from keys.directory.metadata.client import DirectoryClient
from keys.directory.metadata.repository import TARGETS
from keys.directory.metadata.tuf_key import DirectorySigner
from keys.members.federation import contact_point_card, found_federation, log_origin, node_card, publish_cards
from keys.members.identity import generate_desk_keys, generate_directory_key, generate_node_keys
from keys.transport.tls import client_context, make_certificate, to_pem
from protocol.address import Address
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.errors import NotFoundError, UnknownNodeError

NOW = datetime.now(UTC) - timedelta(hours=1)
REPORT = Report("directory")


class Federation:
    """All keys of a federation of ``nations`` with ``desks`` contact points each, and its published folder."""

    def __init__(self, folder: Path, nations: int, desks: int) -> None:
        holders = [generate_directory_key(f"holder {n}").signer() for n in range(3)]
        self.registry = [generate_directory_key("registry").signer()]
        self.folder = folder
        self.ceremony: Ceremony = found_federation(folder, "Benchmark", holders, 2, self.registry, NOW)
        self.nations: dict[str, list[DirectorySigner]] = {}
        self.cards: dict[str, ContactPointCard] = {}
        names = [f"n{number:03}" for number in range(nations)]
        for name in names:
            signers = [generate_directory_key(f"{name} {office}").signer() for office in ("justice", "interior")]
            self.nations[name] = signers
            self.ceremony.admit_nation(name, [signer.public_key for signer in signers], 2, NOW)
        for holder in holders:
            self.ceremony.sign(TARGETS, holder)
        for done, name in enumerate(names, 1):
            self._stage(name, desks)
            _progress("cards", done, nations)
        self.ceremony.release(NOW, self.registry)

    def _stage(self, name: str, desks: int) -> None:
        keys = generate_node_keys(name, ["127.0.0.1"], NOW)
        origin = log_origin("Benchmark", name)
        node = node_card(name, keys, origin, NOW, name=name, urls=["https://127.0.0.1:1"], country="XX")
        cards = [
            contact_point_card(
                Address(f"desk-{number}", name), generate_desk_keys(), NOW, office=f"Office {number}", agency="Police"
            )
            for number in range(desks)
        ]
        self.cards[name] = cards[0]
        self.ceremony.stage_cards(name, [node, *cards], NOW)
        for signer in self.nations[name]:
            self.ceremony.sign(f"nation-{name}", signer)

    def change(self, name: str) -> None:
        """One nation publishes one changed card."""
        at = self.cards[name].updated_at + timedelta(seconds=1)
        changed = self.cards[name].model_copy(update={"office": f"Office of {at:%H:%M:%S}", "updated_at": at})
        self.cards[name] = changed
        publish_cards(self.ceremony, [changed], self.nations[name], self.registry, NOW + timedelta(minutes=1))


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, format: str, *args: object) -> None:
        pass


class Fetcher:
    """Fetches over one TLS connection and counts."""

    def __init__(self, port: int, certificate: bytes) -> None:
        context = client_context([certificate])
        self._pool = urllib3.HTTPSConnectionPool("127.0.0.1", port, ssl_context=context, assert_hostname=False)
        self.files: dict[str, bytes] = {}
        self.requests = 0

    def __call__(self, name: str) -> bytes:
        self.requests += 1
        response = self._pool.request("GET", f"/{name}", retries=False)
        if response.status != 200:
            raise NotFoundError(name)
        self.files[name] = response.data
        return response.data

    def take(self) -> tuple[int, int]:
        """Requests and bytes since the last call."""
        taken = self.requests, sum(map(len, self.files.values()))
        self.files, self.requests = {}, 0
        return taken

    def close(self) -> None:
        self._pool.close()


@contextmanager
def served(folder: Path) -> Iterator[Fetcher]:
    """The folder over TLS 1.3 on loopback."""
    identity = make_certificate("benchmark", ["127.0.0.1"], NOW)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    with tempfile.NamedTemporaryFile() as pem:
        pem.write(to_pem(identity.certificate) + identity.key_pem)
        pem.flush()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(pem.name)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    fetcher = Fetcher(server.server_address[1], identity.certificate)
    try:
        yield fetcher
    finally:
        fetcher.close()
        server.shutdown()
        thread.join()
        server.server_close()


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def floor(files: dict[str, bytes], fetch: Fetcher) -> dict[str, float]:
    """Seconds of the parts that no client can do without, for the same files."""
    signer = Ed25519Signer(bytes(32))
    verifier = Ed25519Verifier(signer.public_key)
    metadata = [content for name, content in files.items() if name.startswith("metadata/")]
    signed = [(content, signer.sign(content)) for content in metadata for _ in range(2)]

    def verify() -> None:
        for content, signature in signed:
            verifier.verify(content, signature)

    return {
        "fetch": timed(lambda: [fetch(name) for name in files]),
        "hash": timed(lambda: [sha256(content).digest() for content in files.values()]),
        "parse": timed(lambda: [json.loads(content) for content in files.values()]),
        "verify": timed(verify),
    }


def first_requests(client: DirectoryClient, now: datetime) -> None:
    """What a new desk does: read its own nation, then those of the three contact points that it writes to."""
    directory = client.refresh(now)
    for nation in ("n001", "n002", "n003"):
        with suppress(UnknownNodeError):
            directory.sealing_key(Address("desk-0", nation), now)
    directory = client.refresh(now)
    for nation in ("n001", "n002", "n003"):
        directory.sealing_key(Address("desk-0", nation), now)


def memory_mb() -> float:
    """The most memory this process had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(name: str, seconds: float, counted: tuple[int, int], parts: dict[str, float] | None = None) -> None:
    requests, size = counted
    least_ms = None if parts is None else sum(parts.values()) * 1000
    REPORT.add(f"directory: {name}", seconds * 1000, "ms", least_ms)
    text = f"{name:34}{seconds * 1000:10.1f} ms{requests:8} requests{size / 1e6:9.2f} MB"
    if parts is not None:
        least = sum(parts.values())
        told = ", ".join(f"{part} {value * 1000:.1f}" for part, value in parts.items())
        REPORT.add(f"directory: {name}, requests", requests, "requests")
        text += f"   floor {least * 1000:.1f} ms ({told}): {least / seconds:.0%}"
    print(text)


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nations", type=int, default=195)
    parser.add_argument("--contact-points", type=int, default=50)
    add_json_option(parser)
    given = parser.parse_args()
    with REPORT.shown(given.json), tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        federation = Federation(path / "published", given.nations, given.contact_points)
        before = memory_mb()
        print(f"{given.nations} nations with {given.contact_points} contact points each")
        with served(path / "published") as fetch:
            root = federation.ceremony.repository.root_bytes(1)
            now = NOW + timedelta(minutes=2)
            with DirectoryClient(path / "lazy", root, fetch, nations=("n000",)) as client:
                seconds = timed(lambda: first_requests(client, now))
                files = dict(fetch.files)
                counted = fetch.take()
                parts = floor(files, fetch)
                fetch.take()
                report("first refresh, 4 nations", seconds, counted, parts)
                warm = min(timed(lambda: client.refresh(now)) for _ in range(10))
                requests, size = fetch.take()
                report("refresh without news, 4 nations", warm, (requests // 10, size))
            with DirectoryClient(path / "lazy", None, fetch, nations=("n000",)) as client:
                report("start from the own folder, 4 nations", timed(lambda: client.load(now)), fetch.take())
            lazy = memory_mb()
            with DirectoryClient(path / "client", root, fetch) as client:
                seconds = timed(lambda: client.refresh(now))
                files = dict(fetch.files)
                counted = fetch.take()
                parts = floor(files, fetch)
                fetch.take()
                report("first refresh, everything", seconds, counted, parts)
                warm = min(timed(lambda: client.refresh(now)) for _ in range(10))
                requests, size = fetch.take()
                report("refresh without news", warm, (requests // 10, size))
                federation.change("n001")
                report("refresh after one card changed", timed(lambda: client.refresh(now)), fetch.take())
                directory = client.current
                assert directory is not None
                addresses = [card.address for card in directory.contact_points()]
                began = time.perf_counter()
                for address in addresses:
                    directory.contact_point(address)
                each = (time.perf_counter() - began) / len(addresses)
                began = time.perf_counter()
                for address in addresses:
                    directory.sealing_key(address, now)
                key = (time.perf_counter() - began) / len(addresses)
                began = time.perf_counter()
                for address in addresses:
                    directory.sealing_key(address, now)
                again = (time.perf_counter() - began) / len(addresses)
                print(
                    f"look-up of a card {each * 1e6:.1f} µs, of a sealing key {key * 1e6:.1f} µs at first, "
                    f"{again * 1e6:.1f} µs then"
                )
            with DirectoryClient(path / "client", None, fetch) as client:
                report("start from the own folder", timed(lambda: client.load(now)), fetch.take())
        REPORT.add("directory: memory with everything read", memory_mb(), "MB")
        print(
            f"memory: {before:.0f} MB with the federation's keys, {lazy:.0f} MB with 4 nations read, "
            f"at most {memory_mb():.0f} MB with two directories"
        )


def _progress(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty() or done == total:
        print(f"\r{what}: {done} of {total}", end="" if done < total else "\n", file=sys.stderr)


if __name__ == "__main__":
    main()

"""What the directory costs a desk, beside the floor of its parts.

    python -m benchmarks.directory [--nations 195] [--contact-points 50] [--json]

A federation of that size is made with real keys and signatures, and served over TLS on loopback. A process of its own
reads it with the desk's client: pinned TLS, signed requests. Figures: first refresh of a client that reads its own
nation and three others, and of one that reads everything; refresh without news; refresh after one nation changed a
card; start from the own folder; the same of several programs that share a folder; look-ups; memory.

Floor, in the same run: fetching the same files over a bare connection, hashing them, parsing the JSON of the files in
them, verifying two hybrid signatures per role, and examining the Ed25519 keys on the cards.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import multiprocessing
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path

import urllib3

from benchmarks._figures import Report, add_json_option, peak_mb
from keys.ceremony.ceremony import Ceremony
from keys.directory.cards import ContactPointCard
from keys.directory.metadata.client import DirectoryClient
from keys.directory.metadata.repository import MAX_FILE_BYTES, TARGETS, MetadataRepository, archive_node
from keys.directory.metadata.shared_client import SharedDirectoryClient
from keys.directory.metadata.tuf_key import DirectorySigner
from keys.members.federation import contact_point_card, found_federation, log_origin, node_card, publish_cards
from keys.members.identity import generate_desk_keys, generate_directory_key, generate_node_keys
from keys.transport.client import BlockingClient, HttpRequest, Reach, Server
from keys.transport.signing import Requester
from keys.transport.tls import client_context, make_certificate, to_pem
from protocol.address import Address
from protocol.crypto.mldsa import MLDSA44Signer, MLDSA44Verifier
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier, check_ed25519_public_key
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


@contextmanager
def served(folder: Path) -> Iterator[Server]:
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
    try:
        yield Server("n000", f"https://127.0.0.1:{server.server_address[1]}", (identity.certificate,))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Fetcher:
    """Fetches as a desk does, and counts."""

    def __init__(self, server: Server) -> None:
        requester = Requester("desk-0@n000", Ed25519Signer(bytes(32)), lambda: datetime.now(UTC))
        self._client = BlockingClient(server, requester, Reach(30, 1))
        self.sizes: dict[str, int] = {}
        self.requests = 0

    def __call__(self, name: str) -> bytes:
        self.requests += 1
        answer = self._client.run(lambda client: client.ask(HttpRequest(f"/{name}", MAX_FILE_BYTES)))
        if answer.status != 200:
            raise NotFoundError(name)
        self.sizes[name] = len(answer.body)
        return answer.body

    def take(self) -> tuple[list[str], int, int]:
        """The files, the requests and the bytes since the last call."""
        taken = list(self.sizes), self.requests, sum(self.sizes.values())
        self.sizes, self.requests = {}, 0
        return taken

    def close(self) -> None:
        self._client.close()


def bare(server: Server, names: list[str]) -> None:
    """The same files over one bare connection."""
    context = client_context(server.certificates)
    url = urllib3.util.parse_url(server.url)
    with urllib3.HTTPSConnectionPool(url.host or "", url.port, ssl_context=context, assert_hostname=False) as pool:
        for name in names:
            pool.request("GET", f"/{name}", retries=False)


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def floor(server: Server, names: list[str], published: Path) -> dict[str, float]:
    """Seconds of the parts that no client can do without, for the same files."""
    repository = MetadataRepository(published)
    files = [repository.read(name) for name in names]
    singles: list[bytes] = []
    roles = 0
    keys: list[bytes] = []
    for name, content in zip(names, files, strict=True):
        node = archive_node(name)
        if node is None:
            singles.append(content)
            roles += name.startswith("metadata/")
            continue
        roles += 1
        singles.append(repository.role_bytes(f"nation-{node}") or b"")
        for card in repository.cards(node):
            singles.append(card.model_dump_json(by_alias=True, exclude_none=True).encode())
            keys += [entry.public for entry in card.signing_keys]
    signer, pq = Ed25519Signer(bytes(32)), MLDSA44Signer(bytes(32))
    classical, post_quantum = Ed25519Verifier(signer.public_key), MLDSA44Verifier(pq.public_key)
    message = bytes(17_000)
    first, second = signer.sign(message), pq.sign(message)

    def verify() -> None:
        for _ in range(2 * roles):
            classical.verify(message, first)
            post_quantum.verify(message, second)

    def examine() -> None:
        for key in keys:
            check_ed25519_public_key(key)

    return {
        "fetch": timed(lambda: bare(server, names)),
        "hash": timed(lambda: [sha256(content).digest() for content in singles]),
        "parse": timed(lambda: [json.loads(content) for content in singles]),
        "verify": timed(verify),
        "keys": timed(examine),
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


@dataclass(frozen=True)
class Measured:
    """One figure: seconds by the clock and of the processor, what was fetched, the most memory so far."""

    name: str
    wall_s: float
    cpu_s: float
    names: list[str]
    requests: int
    size: int
    memory_mb: float


class Measuring:
    """The process that reads. It tells its parent each figure, and asks it to change a card."""

    def __init__(self, pipe: Connection, server: Server, folder: Path, root: bytes) -> None:
        self._pipe = pipe
        self._folder = folder
        self._root = root
        self._fetch = Fetcher(server)
        self._now = NOW + timedelta(minutes=2)

    def run(self, repeat: int) -> None:
        """Everything, in turn."""
        self._pipe.send(f"memory with nothing read: {peak_mb():.0f} MB")
        with closing(self._fetch):
            self._some()
            self._all(repeat)
            self._shared()
        self._pipe.send(None)

    def _some(self) -> None:
        folder = self._folder / "some"
        with self._client(folder, nations=("n000",)) as client:
            self._tell("first refresh, 4 nations", lambda: first_requests(client, self._now))
            self._tell("without news, 4 nations", lambda: client.refresh(self._now))
        with self._client(folder, nations=("n000",)) as client:
            self._tell("start from the own folder, 4 nations", lambda: client.load(self._now))

    def _all(self, repeat: int) -> None:
        for number in range(repeat):
            with self._client(self._folder / f"all-{number}") as client:
                self._tell("first refresh, all nations", lambda: client.refresh(self._now))
        with self._client(self._folder / "all-0") as client:
            client.load(self._now)
            self._tell("without news, all nations", lambda: client.refresh(self._now))
            for _ in range(repeat):
                self._change()
                self._tell("one card changed, all nations", lambda: client.refresh(self._now))
        with self._client(self._folder / "all-0") as client:
            self._tell("start from the own folder, all nations", lambda: client.load(self._now))

    def _shared(self) -> None:
        client = SharedDirectoryClient(self._folder / "shared", self._root, self._fetch)
        self._tell("first refresh, all, shared folder", lambda: client.refresh(self._now))
        self._change()
        self._tell("one card changed, all, shared folder", lambda: client.refresh(self._now))
        self._look_ups(client)  # last: it loads every key

    def _client(self, folder: Path, nations: tuple[str, ...] | None = None) -> DirectoryClient:
        return DirectoryClient(folder, self._root, self._fetch, nations=nations)

    def _change(self) -> None:
        self._pipe.send("change")
        self._pipe.recv()

    def _tell(self, name: str, work: Callable[[], object]) -> None:
        self._fetch.take()
        gc.collect()  # what the measurement before left
        cpu = time.process_time()
        wall = timed(work)
        self._pipe.send(Measured(name, wall, time.process_time() - cpu, *self._fetch.take(), peak_mb()))
        self._pipe.recv()  # the parent may measure the floor meanwhile

    def _look_ups(self, client: DirectoryClient) -> None:
        directory = client.current
        assert directory is not None
        addresses = [card.address for card in directory.contact_points()]
        each = timed(lambda: [directory.contact_point(address) for address in addresses]) / len(addresses)
        key = timed(lambda: [directory.sealing_key(address, self._now) for address in addresses]) / len(addresses)
        again = timed(lambda: [directory.sealing_key(address, self._now) for address in addresses]) / len(addresses)
        told = f"look-up of a card {each * 1e6:.1f} µs, of a sealing key {key * 1e6:.1f} µs at first"
        self._pipe.send(f"{told}, {again * 1e6:.1f} µs then")


def measure(pipe: Connection, server: Server, folder: Path, root: bytes, repeat: int) -> None:
    """The reading process."""
    Measuring(pipe, server, folder, root).run(repeat)


def report(figures: list[Measured], parts: dict[str, float] | None) -> None:
    """One line: the median of what was measured several times, and the floor in this run."""
    wall, cpu = (statistics.median(getattr(each, key) for each in figures) for key in ("wall_s", "cpu_s"))
    last = figures[-1]
    REPORT.add(f"directory: {last.name}", wall * 1000, "ms", None if parts is None else sum(parts.values()) * 1000)
    if parts is not None:
        REPORT.add(f"directory: {last.name}, requests", last.requests, "requests")
        REPORT.add(f"directory: {last.name}, memory", last.memory_mb, "MB")
    text = f"{last.name:38}{wall * 1000:9.1f} ms (CPU {cpu * 1000:7.1f}){last.requests:6} requests"
    text += f"{last.size / 1e6:8.2f} MB  peak {last.memory_mb:.0f} MB"
    if parts is not None:
        least = sum(parts.values())
        told = ", ".join(f"{part} {value * 1000:.0f}" for part, value in parts.items())
        text += f"   floor {least * 1000:.0f} ms ({told}): {least / wall:.0%}"
    print(text, flush=True)


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nations", type=int, default=195)
    parser.add_argument("--contact-points", type=int, default=50)
    parser.add_argument("--repeat", type=int, default=5, help="how often the first reading and the change are measured")
    add_json_option(parser)
    given = parser.parse_args()
    with REPORT.shown(given.json), tempfile.TemporaryDirectory() as folder:
        published = Path(folder) / "published"
        federation = Federation(published, given.nations, given.contact_points)
        print(f"{given.nations} nations with {given.contact_points} contact points each")
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        with served(published) as server:
            root = federation.ceremony.repository.root_bytes(1)
            arguments = (theirs, server, Path(folder), root, given.repeat)
            child = multiprocessing.get_context("spawn").Process(target=measure, args=arguments)
            child.start()
            follow(ours, federation, server, published)
            child.join()


def follow(pipe: Connection, federation: Federation, server: Server, published: Path) -> None:
    """Print what the reading process tells, and change a card when it asks."""
    figures: list[Measured] = []

    def print_figures() -> None:
        if figures:
            nations = sum(archive_node(name) is not None for name in figures[-1].names)
            report(figures, floor(server, figures[-1].names, published) if nations > 1 else None)
            figures.clear()

    while (told := pipe.recv()) is not None:
        if isinstance(told, Measured):
            if figures and figures[-1].name != told.name:
                print_figures()
            figures.append(told)
            pipe.send(None)
            continue
        if told == "change":
            federation.change("n001")
            pipe.send(None)
        else:
            print_figures()
            print(told, flush=True)
    print_figures()


def _progress(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty() or done == total:
        print(f"\r{what}: {done} of {total}", end="" if done < total else "\n", file=sys.stderr)


if __name__ == "__main__":
    main()

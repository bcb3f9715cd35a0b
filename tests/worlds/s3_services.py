"""Services that speak S3, for tests: moto's, in a thread of this process, and a proxy before one that misbehaves."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from exchange.demo._ports import free_port
from node.settings import S3Settings

KEY_ID, SECRET = "AKIAEXAMPLE", "secret-of-the-example"


MOTO = Path(__file__).resolve().parents[2] / ".cache" / "interop" / "moto" / "bin" / "python"
"""moto in a virtual environment of its own (tests/interop/install-peers): its library for AWS would slow every test."""


@contextmanager
def moto_service() -> Iterator[str]:
    """The address of a running service without any bucket; skips the test where moto is not there."""
    if not MOTO.exists():
        pytest.skip("moto is not there: tests/interop/install-peers makes its environment")
    port = free_port()
    command = [str(MOTO), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(port, server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def make_bucket(service: str, name: str) -> None:
    """Make a bucket at moto's service, which asks nobody who they are."""
    urllib.request.urlopen(urllib.request.Request(f"{service}/{name}", method="PUT")).close()  # noqa: S310


def bucket_settings(endpoint: str, bucket: str, home: Path, **other: object) -> S3Settings:
    """The settings of a node that keeps its files there; writes the credentials into ``home``."""
    (home / "s3-credentials").write_text(f"{KEY_ID}\n{SECRET}\n")
    values = {"endpoint": endpoint, "bucket": bucket, "credentials_file": "s3-credentials", **other}
    return S3Settings.model_validate(values)


@contextmanager
def troubled(service: str, troubles: Sequence[int | str]) -> Iterator[str]:
    """The address of a proxy before ``service``: its first answers are these, then it passes requests on.

    A number is a status; ``cut`` is an answer that promises more bytes than it brings, ``drip`` one that comes a byte
    in a while, ``hang`` none at all, and ``drop`` a connection that is closed while the request is sent.
    """
    left = list(troubles)
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            trouble = left.pop(0) if left else None
            length = int(self.headers.get("Content-Length", 0))
            if trouble == "drop":
                self.rfile.read(length // 2)
                self.close_connection = True
                return
            body = self.rfile.read(length)
            if trouble == "hang":
                ended.wait()
                self.close_connection = True
                return
            if isinstance(trouble, int):
                self.send_response(trouble)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            upstream = HTTPConnection(service.removeprefix("http://"))
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            upstream.request(self.command, self.path, body or None, headers)
            told = upstream.getresponse()
            content = told.read()
            self.send_response(told.status)
            for name, value in told.getheaders():
                if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if trouble == "drip":
                self.drip(content)
                return
            self.wfile.write(content[: len(content) // 2] if trouble == "cut" else content)
            # Behind an answer that is whole the connection stays, as its reader goes on with it.
            self.close_connection = trouble == "cut" and bool(content)

        def drip(self, content: bytes) -> None:
            """A byte in a while, until nobody reads any more."""
            self.close_connection = True
            with suppress(OSError):
                for at in range(len(content)):
                    self.wfile.write(content[at : at + 1])
                    if ended.wait(0.02):
                        return

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815 - named by the library

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


SWIFT = Path(__file__).resolve().parents[2] / ".cache" / "interop" / "swift" / "root"
"""OpenStack Swift out of Debian's packages, unpacked and not installed (tests/interop/install-peers)."""

_KINDS = ("account", "container", "object", "proxy")
_USER, _SWIFT_KEY = "comity:tester", "secret-of-swift"
_SERVER = Path(__file__).resolve().parents[1] / "interop" / "swift_server.py"


@contextmanager
def swift_service(folder: Path) -> Iterator[str]:
    """The address of a Swift with its middleware for S3: one replica on one device, and a memcached beside it."""
    ports = {kind: free_port() for kind in (*_KINDS, "memcached")}
    (folder / "devices" / "one").mkdir(parents=True)
    _write_swift(folder, ports)
    libraries = ":".join(str(path) for path in sorted(SWIFT.glob("usr/lib/*-linux-gnu")))
    modules = str(SWIFT / "usr/lib/python3/dist-packages")
    environment = {**os.environ, "PYTHONPATH": modules, "LD_LIBRARY_PATH": libraries}
    cache = [str(SWIFT / "usr/bin/memcached"), "-l", "127.0.0.1", "-p", str(ports["memcached"]), "-u", _whoami()]
    swift = ["/usr/bin/python3", str(_SERVER), str(folder), *(str(ports[kind]) for kind in _KINDS)]
    with ExitStack() as running:
        log = running.enter_context((folder / "log").open("wb"))
        for command in (cache, swift):
            server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, cwd=folder)
            running.enter_context(server)
            running.callback(server.kill)
        assert server.stdout is not None
        assert server.stdout.readline() == b"serves\n", (folder / "log").read_text("utf-8", "replace")[-2000:]
        yield f"http://127.0.0.1:{ports['proxy']}"


def swift_settings(endpoint: str, bucket: str, home: Path) -> S3Settings:
    """The settings of a node that keeps its files there."""
    settings = bucket_settings(endpoint, bucket, home)
    (home / "s3-credentials").write_text(f"{_USER}\n{_SWIFT_KEY}\n")
    return settings


def make_swift_bucket(endpoint: str, name: str) -> None:
    """Make a container, by Swift's own interface."""
    who = {"X-Auth-User": _USER, "X-Auth-Key": _SWIFT_KEY}
    asked = urllib.request.Request(f"{endpoint}/auth/v1.0", headers=who)  # noqa: S310 - a service of this machine
    with urllib.request.urlopen(asked) as answer:  # noqa: S310
        url, token = answer.headers["X-Storage-Url"], answer.headers["X-Auth-Token"]
    made = urllib.request.Request(f"{url}/{name}", method="PUT", headers={"X-Auth-Token": token})  # noqa: S310
    urllib.request.urlopen(made).close()  # noqa: S310


def _write_swift(folder: Path, ports: dict[str, int]) -> None:
    (folder / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = s\nswift_hash_path_prefix = p\n"
        "[storage-policy:0]\nname = one\ndefault = yes\n"
    )
    common = (
        f"bind_ip = 127.0.0.1\nworkers = 0\nuser = {_whoami()}\nswift_dir = {folder}\ndevices = {folder}/devices\n"
        "mount_check = false\nlog_level = WARNING\n"
    )
    for kind in _KINDS[:3]:
        (folder / f"{kind}.conf").write_text(
            f"[DEFAULT]\n{common}bind_port = {ports[kind]}\n[pipeline:main]\npipeline = {kind}-server\n"
            f"[app:{kind}-server]\nuse = egg:swift#{kind}\n"
        )
    filters = {
        "catch_errors": "",
        "cache": f"memcache_servers = 127.0.0.1:{ports['memcached']}\n",
        "s3api": "location = us-east-1\ns3_acl = false\n",
        "tempauth": f"user_{_USER.replace(':', '_')} = {_SWIFT_KEY} .admin\n",
    }
    kinds = {"cache": "memcache"}
    (folder / "proxy.conf").write_text(
        f"[DEFAULT]\n{common}bind_port = {ports['proxy']}\n[pipeline:main]\n"
        f"pipeline = {' '.join(filters)} proxy-server\n[app:proxy-server]\nuse = egg:swift#proxy\n"
        "account_autocreate = true\n"
        + "".join(f"[filter:{name}]\nuse = egg:swift#{kinds.get(name, name)}\n{more}" for name, more in filters.items())
    )


def _whoami() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    while True:  # as long as it runs, it may still begin to listen
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert server.poll() is None, "the service ended"
            time.sleep(0.02)
        else:
            return

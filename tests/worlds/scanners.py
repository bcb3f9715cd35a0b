"""Scanners for tests: servers that answer as they are told, a strict ICAP server, and the real ones from Debian."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.worlds.patience import WITHIN_S

SIGNATURE = b"COMITY-TEST-SIGNATURE-THIS-IS-NO-MALWARE"
SIGNATURE_NAME = "Comity.Test.Signature"
ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".cache" / "interop" / "scanners"
Served = Callable[[socket.socket], None]


@contextmanager
def served(listener: socket.socket, answer: Served) -> Iterator[None]:
    """Answer every connection with ``answer``, each in a thread, until the block ends."""
    listener.listen(8)
    ended = threading.Event()
    threads: list[threading.Thread] = []
    held: list[socket.socket] = []

    def one(connected: socket.socket) -> None:
        with connected, suppress(OSError, EOFError):
            answer(connected)

    def accept() -> None:
        while not ended.is_set():
            try:
                connected, _ = listener.accept()
            except OSError:
                return
            held.append(connected)
            threads.append(threading.Thread(target=one, args=(connected,), daemon=True))
            threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield
    finally:
        ended.set()
        for each in (listener, *held):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in (accepting, *threads):
            thread.join(WITHIN_S)


def unix_listener(path: Path) -> socket.socket:
    """A listening Unix socket; the path must be short."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    return listener


def tcp_listener() -> tuple[socket.socket, int]:
    """A listener on loopback, and its port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener, listener.getsockname()[1]


# --- clamd --------------------------------------------------------------------------------------------------------


def clamd_that(
    answers: Callable[[bytes], bytes], *, version: bytes = b"ClamAV 1.4.6/1/Test\0", limit: int = 2**30
) -> Served:
    """A daemon that reads the stream as clamd does and says ``answers(file)``."""

    def answer(connected: socket.socket) -> None:
        reader = connected.makefile("rb")
        command = _until(reader, b"\0")
        if command == b"zVERSION":
            connected.sendall(version)
            return
        assert command == b"zINSTREAM"
        content = b""
        while length := int.from_bytes(_exactly(reader, 4), "big"):
            content += _exactly(reader, length)
            if len(content) > limit:
                connected.sendall(b"INSTREAM size limit exceeded. ERROR\0")
                return
        connected.sendall(answers(content))

    return answer


def finds_the_trial(content: bytes) -> bytes:
    """An honest daemon whose one signature is the trial file, or this repository's own."""
    from exchange.content.scanning import TRIAL

    if content == TRIAL:
        return b"stream: Eicar-Test-Signature FOUND\0"
    return b"stream: Own FOUND\0" if SIGNATURE in content else b"stream: OK\0"


def _until(reader: object, mark: bytes) -> bytes:
    found = b""
    while not found.endswith(mark):
        found += _exactly(reader, 1)
    return found[: -len(mark)]


def _exactly(reader: object, count: int) -> bytes:
    found: bytes = reader.read(count)  # type: ignore[attr-defined]
    if len(found) != count:
        raise EOFError
    return found


# --- ICAP ---------------------------------------------------------------------------------------------------------


class IcapServer:
    """A strict server of RFC 3507: it fails on whatever the RFC forbids, and answers by ``judge(file)``.

    ``judge`` gives the bytes of an answer. ``preview`` is offered; ``continues``: whether the rest is asked for.
    """

    def __init__(
        self,
        judge: Callable[[bytes], bytes],
        *,
        methods: str = "RESPMOD",
        preview: int | None = 16,
        continues: bool = True,
    ) -> None:
        self.judge = judge
        self.methods = methods
        self.preview = preview
        self.continues = continues
        self.seen: list[str] = []

    def __call__(self, connected: socket.socket) -> None:
        """Answer one connection."""
        reader = connected.makefile("rb")
        request, headers = self._head(reader)
        method, url, version = request.split(" ")
        assert version == "ICAP/1.0"
        assert url.startswith(("icap://", "icaps://"))
        assert headers["host"]
        self.seen.append(method)
        if method == "OPTIONS":
            assert headers["encapsulated"] == "null-body=0"
            offer = f"Preview: {self.preview}\r\n" if self.preview is not None else ""
            connected.sendall(
                f"ICAP/1.0 200 OK\r\nMethods: {self.methods}\r\nService: Strict test\r\nISTag: x\r\n"
                f"Allow: 204\r\n{offer}"
                "Encapsulated: null-body=0\r\n\r\n".encode()
            )
            return
        assert headers["allow"] == "204"
        connected.sendall(self.judge(self._body(reader, connected, headers)))

    def _body(self, reader: object, connected: socket.socket, headers: dict[str, str]) -> bytes:
        places = [one.strip().partition("=")[::2] for one in headers["encapsulated"].split(",")]
        at = [int(place) for _, place in places]
        assert at == sorted(at)
        assert places[-1][0] in {"res-body", "req-body"}
        heads = _exactly(reader, at[-1])
        assert heads.endswith(b"\r\n\r\n")
        assert b"Content-Length: " in heads
        if self.preview is None:
            assert "preview" not in headers
            return self._chunks(reader)[0]
        assert int(headers["preview"]) == self.preview
        content, ended = self._chunks(reader)
        assert len(content) <= self.preview
        if ended or not self.continues:
            return content
        connected.sendall(b"ICAP/1.0 100 Continue\r\n\r\n")
        return content + self._chunks(reader)[0]

    @staticmethod
    def _head(reader: object) -> tuple[str, dict[str, str]]:
        lines = _until(reader, b"\r\n\r\n").decode("ascii").split("\r\n")
        return lines[0], {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}

    @staticmethod
    def _chunks(reader: object) -> tuple[bytes, bool]:
        content = b""
        while True:
            size, _, extension = _until(reader, b"\r\n").decode("ascii").partition(";")
            piece = _exactly(reader, int(size, 16))
            assert _exactly(reader, 2) == b"\r\n"
            if not piece:
                return content, extension.strip() == "ieof"
            content += piece


NO_MODIFICATIONS = b"ICAP/1.0 204 No Modifications\r\nISTag: x\r\nEncapsulated: null-body=0\r\n\r\n"


def icap_found(name: str) -> bytes:
    """The answer of a server that found something."""
    page = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\n"
    return (
        (
            f"ICAP/1.0 200 OK\r\nISTag: x\r\nX-Infection-Found: Type=0; Resolution=2; Threat={name};\r\n"
            f"X-Violations-Found: 1\r\n\t-\r\n\t{name}\r\n"
            f"Encapsulated: res-hdr=0, res-body={len(page)}\r\n\r\n"
        ).encode()
        + page
        + b"3\r\nNo!\r\n0\r\n\r\n"
    )


def icap_gives_back(content: bytes, status: int = 200) -> bytes:
    """The answer of a server that gives a body back."""
    head = f"HTTP/1.1 {status} X\r\nX-Infection-Found: Threat=Spoofed;\r\n\r\n".encode()
    body = f"{len(content):x}\r\n".encode() + content + b"\r\n" if content else b""
    start = f"ICAP/1.0 200 OK\r\nISTag: x\r\nEncapsulated: res-hdr=0, res-body={len(head)}\r\n\r\n".encode()
    return start + head + body + b"0\r\n\r\n"


# --- The real ones ------------------------------------------------------------------------------------------------


def debian(program: str) -> Path | None:
    """A program of the unpacked Debian packages, if tests/interop/install-peers could get them."""
    return next(
        (path for path in (PEERS / "usr" / "sbin" / program, PEERS / "usr" / "bin" / program) if path.exists()), None
    )


@contextmanager
def running(command: list[str], ready: Callable[[], bool]) -> Iterator[None]:
    """A program of those packages, from when it is ready to the end of the block."""
    libraries = PEERS / "usr" / "lib" / "x86_64-linux-gnu"
    more = f"{libraries}:{PEERS / 'lib' / 'x86_64-linux-gnu'}"
    process = subprocess.Popen(
        command,
        env={**os.environ, "LD_LIBRARY_PATH": more},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + WITHIN_S
        while not ready():
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            assert time.monotonic() < until, f"{command[0]} is not ready"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(WITHIN_S)


def connects(family: socket.AddressFamily, where: str | tuple[str, int]) -> bool:
    """Whether somebody listens there."""
    with socket.socket(family) as trial, suppress(OSError):
        trial.connect(where)
        return True
    return False

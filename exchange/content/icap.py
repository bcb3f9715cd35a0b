"""A file given to a scanner by ICAP (RFC 3507): a response, or a request, that the scanner lets pass or changes.

``204 No Modifications`` counts as clean when every byte was sent before. A server that says so after the preview looked
at the beginning alone. A ``200`` that gives back exactly what was sent counts the same. A server that found something
says so in its own headers; what stands in the file, or in the page that it gives back, is not looked at.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

from exchange.content._stream import CHUNK_BYTES, AnsweredEarlyError, Conversation, Hashed, ScannerFailedError
from exchange.content.verdicts import ScanFinding, ScanVerdict

DEFAULT_PORT = 1344
_MAX_HEAD_BYTES = 16_384
_MAX_CHUNK_LINE = 64
_MAX_PREVIEW_BYTES = 65_536
_INFECTED_HEADERS = ("x-infection-found", "x-virus-id", "x-violations-found")
_THREAT = re.compile(r"Threat=([^;]*)")
_STATUS = re.compile(rb"ICAP/1\.0 (\d{3})(?: .*)?")
_FOLD = re.compile(rb"\r\n[ \t]+")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LAST_CHUNK, _LAST_OF_PREVIEW = b"0\r\n\r\n", b"0; ieof\r\n\r\n"


@dataclass(frozen=True, slots=True)
class _Head:
    """The head of an answer: status, and headers by name in lower-case letters."""

    status: int
    headers: Mapping[str, str]


class Icap:
    """The service of one ICAP server, as ``icap://host:port/service``, or ``icaps://`` by TLS.

    ``authority`` is a PEM file that vouches for its certificate, in the place of the system's authorities.
    """

    def __init__(self, url: str, wait_s: float, authority: str | None = None) -> None:
        parts = urlsplit(url)
        self._url = url
        self._host = parts.hostname or ""
        self._port = parts.port or DEFAULT_PORT
        self._tls = parts.scheme == "icaps"
        self._wait_s = wait_s
        self._authority = authority

    def scan(self, content: Hashed) -> ScanFinding:
        """What the server says of a file; never raises for anything that the server does."""
        scanner = f"icap {self._host}:{self._port}"
        try:
            offer = self._options()
            scanner = _ascii(offer.headers.get("service", scanner))
            return self._ask(content, offer, scanner)
        except ScannerFailedError as problem:
            return ScanFinding(ScanVerdict.NOT_SCANNED, scanner, str(problem))

    def _options(self) -> _Head:
        with self._connected() as connected:
            talk = Conversation(connected, self._wait_s, 0)
            talk.send(self._head("OPTIONS", ["Encapsulated: null-body=0"]))
            head = _read_head(talk)
        if head.status != 200:
            raise ScannerFailedError("unreachable" if head.status == 404 else "protocol")
        return head

    def _ask(self, content: Hashed, offer: _Head, scanner: str) -> ScanFinding:
        methods = {one.strip().upper() for one in offer.headers.get("methods", "RESPMOD").split(",")}
        as_response = "RESPMOD" in methods or "REQMOD" not in methods
        preview = _preview_of(offer)
        encapsulated, parts = _parts(content.size, as_response=as_response)
        more = [f"Encapsulated: {encapsulated}", "Allow: 204"]
        more += [f"Preview: {preview}"] if preview is not None else []
        with self._connected() as connected:
            talk = Conversation(connected, self._wait_s, content.size)
            talk.send(self._head("RESPMOD" if as_response else "REQMOD", more) + parts)
            if preview is not None:
                for piece in content.pieces(preview):
                    talk.send(_chunk(piece))
                talk.send(_LAST_OF_PREVIEW if content.is_whole else _LAST_CHUNK)
                head = _read_head(talk)
                if head.status != 100 or content.is_whole:
                    return _judge(talk, head, content, scanner)
            try:
                for piece in content.pieces():
                    talk.send(_chunk(piece))
                talk.send(_LAST_CHUNK)
            except AnsweredEarlyError:
                # It may let the file pass, and has not seen all of it.
                return _judge(talk, _read_head(talk), content, scanner, early=True)
            return _judge(talk, _read_head(talk), content, scanner)

    def _head(self, method: str, more: list[str]) -> bytes:
        lines = [f"{method} {self._url} ICAP/1.0", f"Host: {self._host}:{self._port}", "User-Agent: Comity"]
        return "\r\n".join([*lines, "Connection: close", *more, "", ""]).encode("ascii")

    def _connected(self) -> socket.socket:
        try:
            connected = socket.create_connection((self._host, self._port), self._wait_s)
        except OSError:
            raise ScannerFailedError("unreachable") from None
        if not self._tls:
            return connected
        try:
            trusted = ssl.create_default_context(cafile=self._authority)
            trusted.minimum_version = ssl.TLSVersion.TLSv1_2
            return trusted.wrap_socket(connected, server_hostname=self._host)
        except OSError:
            connected.close()
            raise ScannerFailedError("unreachable") from None


def _judge(talk: Conversation, head: _Head, content: Hashed, scanner: str, *, early: bool = False) -> ScanFinding:
    """The verdict in an answer; ``early``: it began before everything was sent."""
    found = next((head.headers[name] for name in _INFECTED_HEADERS if name in head.headers), None)
    if found is not None and head.status == 200:
        threat = _THREAT.search(found)
        return ScanFinding(ScanVerdict.INFECTED, scanner, None, _ascii(threat[1] if threat else found))
    reason = None
    if head.status not in {200, 204}:
        reason = "protocol"
    elif early:
        reason = "scanner-limit"
    elif not content.is_whole:
        reason = "preview-only"
    elif head.status == 200 and not _gives_back(talk, head, content):
        reason = "modified"
    return ScanFinding(ScanVerdict.NOT_SCANNED if reason else ScanVerdict.CLEAN, scanner, reason)


def _gives_back(talk: Conversation, head: _Head, content: Hashed) -> bool:
    """Whether the body of the answer is exactly the file that was sent."""
    places = dict(one.strip().partition("=")[::2] for one in head.headers.get("encapsulated", "").split(","))
    body = next((place for name, place in places.items() if name in {"res-body", "req-body"}), "")
    if not body.isdecimal() or len(body) > 6 or not _is_success(_skip(talk, int(body))):
        return False
    given, hashed = 0, sha256()
    for piece in _chunks(talk):
        given += len(piece)
        if given > content.size:
            return False
        hashed.update(piece)
    return given == content.size and hashed.digest() == content.digest()


def _is_success(heads: bytes) -> bool:
    """Whether the HTTP heads before the body are of a response that is a file, or of the request as it was."""
    statuses = re.findall(rb"^HTTP/1\.[01] (\d{3})", heads, re.MULTILINE)
    return all(status == b"200" for status in statuses)


def _skip(talk: Conversation, count: int) -> bytes:
    if count > _MAX_HEAD_BYTES:
        raise ScannerFailedError("protocol")
    read = b""
    while len(read) < count:
        read += talk.read(count - len(read))
    return read


def _chunks(talk: Conversation) -> Iterator[bytes]:
    while True:
        line = talk.read_until(b"\r\n", _MAX_CHUNK_LINE).partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", line):
            raise ScannerFailedError("protocol")
        left = int(line, 16)
        if left == 0:
            return
        while left:
            piece = talk.read(min(left, CHUNK_BYTES))
            left -= len(piece)
            yield piece
        if talk.read_until(b"\r\n", 2):
            raise ScannerFailedError("protocol")


def _read_head(talk: Conversation) -> _Head:
    # Servers still fold long headers, X-Violations-Found among them (RFC 3507 §4.3.1, RFC 2616 §2.2).
    lines = _FOLD.sub(b" ", talk.read_until(b"\r\n\r\n", _MAX_HEAD_BYTES)).split(b"\r\n")
    status = _STATUS.fullmatch(lines[0])
    if status is None:
        raise ScannerFailedError("protocol")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(name):
            raise ScannerFailedError("protocol")
        headers.setdefault(name.decode("ascii").lower(), value.strip().decode("ascii", "replace"))
    return _Head(int(status[1]), headers)


def _preview_of(offer: _Head) -> int | None:
    text = offer.headers.get("preview", "")
    return min(int(text), _MAX_PREVIEW_BYTES) if text.isdecimal() and len(text) < 10 else None


def _parts(size: int, *, as_response: bool) -> tuple[str, bytes]:
    """The header Encapsulated and the HTTP heads: of a file without name, so that its name says nothing outside."""
    about = f"Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
    if not as_response:
        request = f"POST http://comity.invalid/file HTTP/1.1\r\nHost: comity.invalid\r\n{about}"
        return f"req-hdr=0, req-body={len(request)}", request.encode()
    request = "GET http://comity.invalid/file HTTP/1.1\r\nHost: comity.invalid\r\n\r\n"
    response = f"HTTP/1.1 200 OK\r\n{about}"
    places = f"req-hdr=0, res-hdr={len(request)}, res-body={len(request) + len(response)}"
    return places, (request + response).encode()


def _chunk(piece: bytes) -> bytes:
    return f"{len(piece):x}\r\n".encode() + piece + b"\r\n"


def _ascii(text: str) -> str:
    """What the server says, as one line of printable ASCII."""
    shown = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text.strip())
    return shown[:200] or "?"

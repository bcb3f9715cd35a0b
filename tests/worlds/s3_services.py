"""Services that speak S3, for tests: moto's, in a thread of this process, and a proxy before one that misbehaves."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from node.settings import S3Settings

KEY_ID, SECRET = "AKIAEXAMPLE", "secret-of-the-example"


@contextmanager
def moto_service() -> Iterator[str]:
    """The address of a running service without any bucket."""
    from moto.server import ThreadedMotoServer

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()


def bucket_settings(endpoint: str, bucket: str, home: Path, **other: object) -> S3Settings:
    """The settings of a node that keeps its files there; writes the credentials into ``home``."""
    (home / "s3-credentials").write_text(f"{KEY_ID}\n{SECRET}\n")
    values = {"endpoint": endpoint, "bucket": bucket, "credentials_file": "s3-credentials", **other}
    return S3Settings.model_validate(values)


@contextmanager
def troubled(service: str, troubles: Sequence[int | str]) -> Iterator[str]:
    """The address of a proxy before ``service``: its first answers are these, then it passes requests on.

    A number is a status; ``cut`` is an answer that promises more bytes than it brings.
    """
    left = list(troubles)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            trouble = left.pop(0) if left else None
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
            self.wfile.write(content[: len(content) // 2] if trouble == "cut" else content)
            self.close_connection = trouble == "cut"

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815 - named by the library

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

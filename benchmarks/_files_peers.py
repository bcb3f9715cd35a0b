"""What moving and sealing files is compared with: others' programs, and the least that the same copies cost.

nginx and age come from Debian where they are not installed: fetched and unpacked, so that nothing of the machine
changes (:mod:`benchmarks.peers`). curl and openssl are there on every Debian.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from benchmarks.peers._peer import NotInstalledError, debian_folder, free_port, wait_for
from keys.local.files import make_durable

MIB = 1 << 20
PACKAGES = ("age", "nginx")
COPIES = 3
"""A file is written durably three times on its way: at its sender's node, at the next one, at the recipient's desk."""
CURL = "curl + nginx"


@cache
def program(name: str) -> str:
    """Where a program is; raises :class:`NotInstalledError`."""
    if (found := shutil.which(name)) is not None:
        return found
    folder = debian_folder("files", PACKAGES)
    for place in ("usr/bin", "usr/sbin"):
        if (folder / place / name).exists():
            return str(folder / place / name)
    raise NotInstalledError(f"there is no {name}")


def sealers(source: Path) -> dict[str, list[str]]:
    """By their name, commands that encrypt a file; raises :class:`NotInstalledError`."""
    out, keys = str(source.with_suffix(".out")), source.with_suffix(".age-key")
    key = ["-K", "00" * 32, "-iv", "00" * 16]
    if not keys.exists():
        subprocess.run([program("age-keygen"), "-o", str(keys)], check=True, capture_output=True)
    public = subprocess.run([program("age-keygen"), "-y", str(keys)], check=True, capture_output=True, text=True).stdout
    return {
        "openssl enc -aes-256-ctr": [program("openssl"), "enc", "-aes-256-ctr", *key, "-in", str(source), "-out", out],
        "age": [program("age"), "-r", public.strip(), "-o", out, str(source)],
    }


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def copying(folder: Path, sources: Sequence[Path]) -> float:
    """Seconds of three durable copies of files at the same time."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        return seconds(lambda: _at_once(lambda number: _copy(sources, Path(place) / str(number))))


def putting(folder: Path, sources: Sequence[Path]) -> float:
    """Seconds of three uploads of files at the same time, by curl to nginx over TLS, synced.

    Raises :class:`NotInstalledError`.
    """
    with tempfile.TemporaryDirectory(dir=folder) as place, _nginx(Path(place)) as port:
        return seconds(lambda: _at_once(lambda number: _put(Path(place), sources, port, number)))


def _at_once(work: Callable[[int], None]) -> None:
    failed = list[BaseException]()

    def one(number: int) -> None:
        try:
            work(number)
        except BaseException as problem:  # noqa: BLE001 - raised where the work was asked for
            failed.append(problem)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(COPIES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def _copy(sources: Sequence[Path], target: Path) -> None:
    target.mkdir()
    for source in sources:
        with source.open("rb") as read, (target / source.name).open("wb") as write:
            shutil.copyfileobj(read, write, MIB)
    make_durable([target / source.name for source in sources])


def _put(place: Path, sources: Sequence[Path], port: int, number: int) -> None:
    """One curl for all files, over one connection."""
    config = place / f"curl-{number}"
    lines = (f'upload-file = "{path}"\nurl = "https://127.0.0.1:{port}/{number}/{path.name}"\n' for path in sources)
    config.write_text("".join(f'{line}output = "/dev/null"\n' for line in lines))
    subprocess.run([program("curl"), "-ksSf", "--config", str(config)], check=True)
    make_durable([place / "www" / str(number) / source.name for source in sources])


@contextmanager
def _nginx(place: Path) -> Iterator[int]:
    """An nginx on loopback that takes PUT over TLS, into ``www``; its port."""
    port, server = free_port(), program("nginx")
    for name in ("temp", *(f"www/{number}" for number in range(COPIES))):
        (place / name).mkdir(parents=True)
    made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-keyout", str(place / "key.pem"), "-out", str(place / "cert.pem")]
    subprocess.run([program("openssl"), *made, *names], check=True, capture_output=True)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {place}/temp/{kind};\n" for kind in kinds)
    (place / "nginx.conf").write_text(
        f"daemon off; pid {place}/pid; error_log {place}/error.log; worker_processes 2;\n"
        + ("user root;\n" if os.geteuid() == 0 else "")  # it gives up root's rights, unless it is told not to
        + "events { worker_connections 64; }\n"
        f"http {{ access_log off; client_max_body_size 0; keepalive_requests 100000; client_body_buffer_size 1m;\n"
        f"{temporary}server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {place}/cert.pem;\n"
        f"ssl_certificate_key {place}/key.pem; location / {{ root {place}/www; dav_methods PUT; }} }} }}\n"
    )
    process = subprocess.Popen([server, "-p", str(place), "-c", str(place / "nginx.conf")], stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait()

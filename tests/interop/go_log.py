"""Runs the Go verifiers in ``go/``: over a log that lies in a directory as it is served, and over proofs in files.

The Go side uses golang.org/x/mod/sumdb from Debian's source packages and none of our code. A missing tool is a reason
to skip on a developer's machine, and a failure where ``CI`` is set.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from protocol.log.layout import TILE_WIDTH, encode_bundle, entries_path, tile_path, tile_width
from protocol.log.tiles import TileTree

PACKAGES = ("golang-go", "golang-golang-x-mod-dev")
GOPATH = Path("/usr/share/gocode")
SOURCES = Path(__file__).parent / "go"


class GoRefusedError(Exception):
    """The Go verifier refused the log or proof; the text says why."""


@dataclass(frozen=True, slots=True)
class GoReport:
    """What the Go verifier read and proved. ``cosigned``: when, by the witness's name."""

    origin: str
    size: int
    root: bytes
    tiles: int
    ignored_signatures: int
    cosigned: dict[str, datetime]
    inclusion: dict[int, list[bytes]]
    consistency: dict[int, list[bytes]]


@dataclass(frozen=True, slots=True)
class GoProof:
    """What a tlog-proof proves to Go: that the entry beside it stands at ``index`` under the checkpoint."""

    origin: str
    size: int
    root: bytes
    index: int
    ignored_signatures: int


def verify_log_with_go(directory: Path, vkey: str, witnesses: Iterable[str] = ()) -> GoReport:
    """Verify the log in ``directory`` (checkpoint, tile/...) under its Ed25519 verifier key.

    ``witnesses`` are the verifier keys (type 0x04) of those whose cosignatures are verified too.

    Raises :class:`GoRefusedError`. Skips the calling test when Go cannot be had, or fails it when ``CI`` is set.
    """
    report = json.loads(_run("verifylog", str(directory), vkey, *witnesses))
    return GoReport(
        origin=report["origin"],
        size=report["size"],
        root=b64decode(report["root"]),
        tiles=report["tiles"],
        ignored_signatures=report["ignored_signatures"],
        cosigned={name: datetime.fromtimestamp(seconds, UTC) for name, seconds in report["cosigned"].items()},
        inclusion=_hashes(report["inclusion"]),
        consistency=_hashes(report["consistency"]),
    )


def verify_proofs_with_go(vkeys: Path, proofs: Iterable[Path]) -> list[GoProof]:
    """Verify tlog-proofs, each with its entry beside it, under the Ed25519 key in the first line of ``vkeys``.

    Raises and skips as :func:`verify_log_with_go`.
    """
    lines = [json.loads(line) for line in _run("verifyproof", str(vkeys), *map(str, proofs)).splitlines()]
    return [GoProof(**{**line, "root": b64decode(line["root"])}) for line in lines]


def write_log(
    directory: Path, checkpoint: bytes, tree: TileTree, tiles: dict[tuple[int, int], bytes], entries: list[bytes]
) -> None:
    """Write a log the way a node serves it: ``tiles`` by (level, index) as the tree handed them out."""
    files = {"checkpoint": checkpoint}
    for (level, index), hashes in tiles.items():
        width = tile_width(level, index, tree.size)
        files[tile_path(level, index, width)] = hashes[: 32 * width]
    for start in range(0, len(entries), TILE_WIDTH):
        bundle = entries[start : start + TILE_WIDTH]
        files[entries_path(start // TILE_WIDTH, len(bundle))] = encode_bundle(bundle)
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _hashes(proofs: dict[str, list[str]]) -> dict[int, list[bytes]]:
    return {int(number): [b64decode(hash_) for hash_ in proof] for number, proof in proofs.items()}


def _run(program: str, *arguments: str) -> str:
    finished = subprocess.run(
        [str(_program(program)), *arguments], capture_output=True, text=True, check=False, timeout=300
    )
    if finished.returncode:
        raise GoRefusedError(finished.stderr.strip())
    return finished.stdout


@cache
def _program(name: str) -> Path:
    """The built verifier, once per test process."""
    go = _go()
    program = Path(mkdtemp(prefix="comity-go-")) / name
    environment = os.environ | {"GO111MODULE": "off", "GOPATH": str(GOPATH), "GOFLAGS": ""}
    environment.setdefault("GOCACHE", str(program.parent / "cache"))
    subprocess.run([go, "build", "-o", str(program), "."], cwd=SOURCES / name, env=environment, check=True, timeout=600)
    return program


def _go() -> str:
    if not _installed() and _is_root() and shutil.which("apt-get"):
        _run_apt(["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES])
    if not _installed():
        _unavailable(f"Go and golang.org/x/mod are not installed (as root: apt-get install {' '.join(PACKAGES)})")
    return shutil.which("go") or "go"


def _run_apt(*commands: Iterable[str]) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in commands:
        subprocess.run(["apt-get", *command], env=environment, check=False, timeout=600, capture_output=True)


def _installed() -> bool:
    return shutil.which("go") is not None and (GOPATH / "src/golang.org/x/mod/sumdb/tlog").is_dir()


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _unavailable(reason: str) -> None:
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(reason)
    pytest.skip(reason)

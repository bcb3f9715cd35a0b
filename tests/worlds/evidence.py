"""Evidence bags of a real exchange between two desks, made once for a module's tests, and ways to alter them."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from exchange.evidence.bag_reader import BagReport, read_bag, verify_bag
from exchange.evidence.bag_writer import MANIFEST, TAG_MANIFEST, EvidenceContents, write_bag
from exchange.evidence.disclosure import Disclosure
from keys.directory.metadata.extract import trusted_root_in
from tests.worlds.desks import FR, JP, NOW, World, request
from tests.worlds.patience import WITHIN_S

PROGRAM = Path(__file__).resolve().parents[2] / "exchange/verifiers/verify_bag.py"


@dataclass
class Made:
    """What an exchange left: the contents of the bag with and without the message's content, and the trust."""

    world: World
    disclosed: EvidenceContents
    closed: EvidenceContents
    disclosure: Disclosure
    root: bytes

    @property
    def fingerprint(self) -> str:
        return sha256(self.root).hexdigest()


@contextmanager
def exchanged(path: Path) -> Iterator[Made]:
    """A request that was delivered, handed over, opened and acknowledged."""
    with pytest.MonkeyPatch.context() as patch:
        world = World(path, patch)
        yield asyncio.run(_exchange(world))


async def _exchange(world: World) -> Made:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await fr.messages.sync()
        await fr.messages.show(sent.id)
        await fr.messages.sync()
        await jp.messages.sync()
        return Made(
            world,
            await jp.evidence.gather(sent.id, disclose=True),
            await jp.evidence.gather(sent.id, disclose=False),
            await jp.evidence.disclose(sent.id),
            world.ceremony.repository.root_bytes(1),
        )


def files_of(bag: bytes) -> dict[str, bytes]:
    """The files by name in the ZIP, the folder included."""
    with zipfile.ZipFile(io.BytesIO(bag)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def zipped(files: dict[str, bytes], change: Callable[[zipfile.ZipInfo], None] = lambda _: None) -> bytes:
    """A ZIP of files, each entry changed by ``change``."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o100644 << 16
            change(info)
            archive.writestr(info, content)
    return written.getvalue()


def listed_anew(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same files with manifests that fit them: what somebody does who alters a bag knowingly."""
    folder = next(iter(files)).partition("/")[0]
    inside = {name.partition("/")[2]: content for name, content in files.items()}
    payload = {name: content for name, content in inside.items() if name.startswith("data/")}
    inside[MANIFEST] = _manifest(payload)
    tags = {name: content for name, content in inside.items() if name not in payload and name != TAG_MANIFEST}
    inside[TAG_MANIFEST] = _manifest(tags)
    return {f"{folder}/{name}": content for name, content in inside.items()}


def _manifest(files: dict[str, bytes]) -> bytes:
    return "".join(f"{sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items())).encode()


def bag_of(contents: EvidenceContents, tokens: tuple[bytes, ...] = ()) -> bytes:
    """The bag's file."""
    return write_bag(contents, tokens)


def comity(made: Made, bag: bytes, **more: Any) -> BagReport:
    """What Comity's own code says."""
    read = read_bag(bag)
    return verify_bag(read, trusted_root_in(read.directory, made.fingerprint), NOW, **more)


def standalone(made: Made, bag: bytes, path: Path, *args: str) -> tuple[int, dict[str, Any]]:
    """What the program says that runs without Comity: exit code and JSON. It runs isolated, outside of the checkout."""
    file = path / "evidence.zip"
    file.write_bytes(bag)
    command = [sys.executable, "-I", str(PROGRAM), str(file), "--root-sha256", made.fingerprint, "--json", *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=path, timeout=WITHIN_S)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)

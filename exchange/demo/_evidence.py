"""A case in which data are handed over as files: attached, moved, opened, and proved from disk to disk."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from exchange.cli.output import safe
from exchange.demo._cast import ARRIVES_WITHIN_S, CaseWanted, Cast, Play, Scenario, free_answer_of
from exchange.desk.desk import Desk
from exchange.files.given import attaching
from exchange.files.sealing import WantedFile
from exchange.i18n import _
from exchange.text.sizes import bytes_text
from protocol.errors import DemoStepError

_SIZES = {"server-image.dd": 5_000_000, "court-order.pdf": 40_000}
_PROVED = {"FileAcceptance", "FileRelayAcceptance", "FileConsignment", "FileHandover", "FileAccessTracking"}

# No provider stands behind what the demonstration makes up.
_OF_PROVIDERS = {"no-certificate", "no-provider"}


async def _handed_over(cast: Cast) -> UUID:
    """Paris answers with an authorisation and two files; Tokyo opens them, and both can say who had them when."""
    tokyo, paris = cast.tokyo, cast.paris
    undated = {"wanted_by": None, "wanted_by_reason": None}
    request = await cast.open_case(tokyo, "messages/assistance.request.json", **undated)
    await cast.acknowledge(paris, request)
    folder = cast.stage.root / "evidence"
    paths = [_written(folder / "paris" / name, size) for name, size in _SIZES.items()]
    draft = await cast.draft(paris, request, "answer", _fields(paths))
    with attaching([WantedFile(path, ("md5",)) for path in paths]):
        sent = await paris.messages.send(draft)
    answer = await cast.noted(paris, sent, "answer")
    await _moved(paris, answer)
    told = _("Paris sealed files for this answer alone: {count}, {size}; all are with the node")
    total = (await paris.files.progress(answer)).total_bytes
    cast.stage.tell("   " + told.format(count=len(paths), size=bytes_text(total)))
    await _moved(tokyo, answer)
    opened = await tokyo.files.get(answer, _made(folder / "tokyo"))
    if {_hash(one.path) for one in opened} != {_hash(path) for path in paths}:
        raise DemoStepError("a file is not the one that Paris sent")
    for one in opened:
        cast.stage.tell("   " + _("Tokyo opened {name}: {hash}").format(name=safe(one.path.name), hash=_hash(one.path)))
    await tokyo.messages.sync()
    await _proved(paris, answer)
    for custody in await paris.custody.chains(answer, list(_SIZES)):
        if set(custody.gaps) - _OF_PROVIDERS:
            raise DemoStepError(f"the custody of {custody.file.original} has gaps: {custody.gaps}")
        text = _("custody of {name}, from the disk in Paris to the one in Tokyo; steps: {count}")
        cast.stage.tell("   " + text.format(name=safe(custody.file.original), count=len(custody.steps)))
    return request


def _fields(paths: Sequence[Path]) -> dict[str, Any]:
    """An answer with one item, which names its files."""
    image, *others = paths
    fields = free_answer_of()
    (item,) = fields["items"]
    named = {"attachment": image.name, "files": [path.name for path in others], "size_bytes": image.stat().st_size}
    hashed = {"hash": {"algorithm": "sha256", "value": _hash(image)}}
    return {**fields, "items": [{**item, **named, **hashed}], "attachments": None}


async def _moved(desk: Desk, message: UUID) -> None:
    """Move the files of a message until they are where they go."""
    async with asyncio.timeout(ARRIVES_WITHIN_S):
        while True:
            if not (await desk.files.resume(message)).open:
                return
            await asyncio.sleep(0.1)


async def _proved(desk: Desk, message: UUID) -> None:
    async def proved(desk: Desk) -> bool:
        return {row.event for row in await desk.messages.receipts(message) if row.verified} >= _PROVED

    await desk.wait_for(proved, ARRIVES_WITHIN_S)


def _written(path: Path, size: int) -> Path:
    _made(path.parent)
    path.write_bytes(os.urandom(size))
    return path


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _hash(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def _scenario(title: str, play: Play, state: str, targets: Mapping[str, str]) -> Scenario:
    return Scenario(title, play, (CaseWanted(state, targets),))


HANDED_OVER: Mapping[str, Scenario] = {
    "evidence-handed-over": _scenario(
        "data are handed over as files, and each hand-over is proved", _handed_over, "answered", {"t1": "answered"}
    ),
}

"""Resources of evidence files. Paths are on the desk's machine, read and written as the desk's user.

Sealing and opening may take longer than a request: they go on, and whoever asks again with the same gets the result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from exchange.files.given import attaching
from exchange.files.sealing import MORE_HASHES, WantedFile
from exchange.files.shown import FileRow, OpenedFile, ProvedFileHop, VerifiedFile
from exchange.service.api._messages import Draft
from exchange.service.api._objects import SENT
from exchange.service.api.declared import Body, Call, Declared, NoBody
from exchange.text.objects import files_object, sent_object, transfer_object
from protocol.errors import UsageError

_MESSAGE_FILES = "/v1/messages/{message}/files"
_MOVED_WITHIN_S = 5.0
# Work that lasts longer than its request, by who asked for it and with which values.
_going_on: dict[tuple[Any, ...], asyncio.Task[Any]] = {}

AbsolutePath = Annotated[str, Field(pattern="^/", max_length=4_000)]
TRANSFER = {
    "message": UUID,
    "thread": UUID,
    "direction": str,
    "state": str,
    "files": int,
    "bytes": int,
    "files_moved": int,
    "bytes_moved": int,
    "rate": int,
    "at": datetime,
    "error": str | None,
    "why": str | None,
}
LISTED = {**TRANSFER, "listed": [FileRow]}


class SealingBody(Body):
    """A draft with a ``draft_id``, and the files that it gets: paths, and hashes beside SHA-256 (sha512, sha1, md5)."""

    draft: Draft
    paths: Annotated[list[AbsolutePath], Field(min_length=1, max_length=1_000)]
    hashes: Annotated[list[Annotated[str, Field(max_length=16)]], Field(max_length=3)] = Field(default_factory=list)


class SupplementBody(Body):
    """The files that follow a message of this desk, and some words with them."""

    paths: Annotated[list[AbsolutePath], Field(min_length=1, max_length=1_000)]
    hashes: Annotated[list[Annotated[str, Field(max_length=16)]], Field(max_length=3)] = Field(default_factory=list)
    text: Annotated[str, Field(max_length=10_000)] | None = None


class OpeningBody(Body):
    """A folder that is there, and which files are opened into it: all, if none is named."""

    folder: AbsolutePath
    names: Annotated[list[Annotated[str, Field(max_length=300)]], Field(max_length=1_000)] = Field(default_factory=list)


async def _list(call: Call) -> Any:
    return {"messages": [files_object(one) for one in await (await call.acting()).files.listed()]}


async def _of_message(call: Call) -> Any:
    (found,) = await (await call.acting()).files.listed(await call.message())
    tracked = await (await call.acting()).files.tracking(found.message)
    return {**files_object(found), "hops": list(tracked.hops) if tracked is not None else []}


async def _seal(call: Call) -> Any:
    desk, body = await call.acting(), call.body
    draft = body.draft.get("draft_id")
    if draft is None:
        raise UsageError("save the draft first: its files are sealed for its draft_id")
    wanted = _wanted(body.paths, body.hashes)
    key = ("seal", str(desk.address), str(draft), tuple(wanted))
    return {"draft": dict(await _long(key, lambda: desk.files.attach(body.draft, wanted)))}


async def _supplement(call: Call) -> Any:
    desk, body = await call.acting(), call.body
    message = await call.message()
    with attaching(_wanted(body.paths, body.hashes)):
        return sent_object(await desk.replies.supplement(message, text=body.text))


async def _resume(call: Call) -> Any:
    desk, message = await call.acting(), await call.message()
    key = ("resume", str(desk.address), message)
    with suppress(TimeoutError):
        async with asyncio.timeout(_MOVED_WITHIN_S):
            await _long(key, lambda: desk.files.resume(message))
    return transfer_object(await desk.files.progress(message))


async def _cancel(call: Call) -> Any:
    return {"let_go": await (await call.acting()).files.cancel(await call.message())}


async def _verify(call: Call) -> Any:
    desk, message = await call.acting(), await call.message()
    found = await _long(("verify", str(desk.address), message), lambda: desk.files.verify(message))
    return {"ok": all(one.ok for one in found), "files": found}


async def _open(call: Call) -> Any:
    desk, body = await call.acting(), call.body
    message, folder = await call.message(), Path(body.folder)
    if not await asyncio.to_thread(folder.is_dir):
        raise UsageError("the folder is not there")
    key = ("open", str(desk.address), message, body.folder, tuple(body.names))
    opened: list[OpenedFile] = await _long(key, lambda: desk.files.get(message, folder, names=body.names))
    return {"files": [{"path": str(one.path), "name": one.attachment["name"]} for one in opened]}


def _wanted(paths: list[str], hashes: list[str]) -> list[WantedFile]:
    unknown = [name for name in hashes if name not in MORE_HASHES]
    if unknown:
        raise UsageError(f"hashes are some of {', '.join(MORE_HASHES)}")
    return [WantedFile(Path(path), tuple(hashes)) for path in paths]


async def _long(key: tuple[Any, ...], begin: Callable[[], Awaitable[Any]]) -> Any:
    """What ``begin`` gives. It goes on when its request ends before; who asks for the same again waits for the same."""
    task = _going_on.get(key)
    if task is None or task.done():
        task = _going_on[key] = asyncio.ensure_future(begin())

        def forget(ended: asyncio.Task[Any]) -> None:
            if _going_on.get(key) is ended:
                del _going_on[key]
            if not ended.cancelled():
                ended.exception()  # it may be that nobody waits any more

        task.add_done_callback(forget)
    return await asyncio.shield(task)


ENDPOINTS = (
    Declared(
        "GET",
        "/v1/files",
        "Messages with files, and how far they are.",
        _list,
        {"messages": [LISTED]},
        commands=("files list",),
    ),
    Declared(
        "GET",
        _MESSAGE_FILES,
        "The files of a message, how far they are, and at which hops they are proved.",
        _of_message,
        {**LISTED, "hops": [ProvedFileHop]},
    ),
    Declared(
        "POST",
        "/v1/files/sealed",
        "Seal files for a draft; the draft that names them, without their keys. Ask again where it takes long.",
        _seal,
        {"draft": dict[str, Any]},
        SealingBody,
    ),
    Declared(
        "POST",
        f"{_MESSAGE_FILES}/supplement",
        "Send files after a message of this desk that could not wait for them.",
        _supplement,
        SENT,
        SupplementBody,
        keyed=True,
        commands=("files supplement",),
    ),
    Declared(
        "POST",
        f"{_MESSAGE_FILES}/resume",
        "Move the files of a message now, also those that were given up or taken back.",
        _resume,
        TRANSFER,
        NoBody,
        commands=("files resume",),
    ),
    Declared(
        "POST",
        f"{_MESSAGE_FILES}/cancel",
        "Take back what was not handed over, or fetch nothing more.",
        _cancel,
        {"let_go": int | None},
        NoBody,
        commands=("files cancel",),
    ),
    Declared(
        "POST",
        f"{_MESSAGE_FILES}/verification",
        "Compare the sealed files that are here with their names, keys and hashes.",
        _verify,
        {"ok": bool, "files": [VerifiedFile]},
        NoBody,
        commands=("files verify",),
    ),
    Declared(
        "POST",
        f"{_MESSAGE_FILES}/opened",
        "Open files into a folder of this machine. Ask again where it takes long.",
        _open,
        {"files": [{"path": str, "name": str}]},
        OpeningBody,
        commands=("files get",),
    ),
)

"""The files of a message: how far they are, their custody, opening one, and exporting them with their custody."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from exchange.acts.evidence import cancel_files, move_files
from exchange.custody.chain import Custody
from exchange.custody.export import ExportWish
from exchange.custody.reading import gap_text, shown_name, shown_text, step_text
from exchange.desk.desk import Desk
from exchange.text.sizes import bytes_text, duration_text
from exchange.web.calls import PageCall
from exchange.web.case.beside import files_shown
from exchange.web.case.messages import kept_as, row_of, short
from exchange.web.forms.fields import code_options
from keys.local.translation import _
from keys.pages.headers import protect
from protocol.errors import ComityError, FormError

_TEMPLATE = "case/files.html"
_CHUNK_BYTES = 256 * 1024


async def show(call: PageCall) -> web.StreamResponse:
    """The files and their custody."""
    desk = await call.desk()
    return call.page(_TEMPLATE, **await _values(call, desk))


async def move(call: PageCall) -> web.StreamResponse:
    """Move the files now."""
    return await _act(call, move_files, "moved")


async def cancel(call: PageCall) -> web.StreamResponse:
    """Take the files back, or fetch none any more."""
    return await _act(call, cancel_files, "recorded")


async def _act(call: PageCall, run: Any, done: str) -> web.StreamResponse:
    desk = await call.desk()
    row = await row_of(desk, call)
    try:
        await run(desk, row.id)
    except ComityError as problem:
        return call.refused(_TEMPLATE, problem, **await _values(call, desk))
    return call.go(f"/messages/{row.id}/files?done=case-{done}")


async def open_one(call: PageCall) -> web.StreamResponse:
    """One file, opened: scanned, recorded, and kept by the browser under its own name, never shown by it."""
    desk = await call.desk()
    row = await row_of(desk, call)
    name = call.text("name")
    if not name:
        raise FormError
    try:
        async with _folder(desk) as folder:
            (opened,) = await desk.files.get(row.id, folder, names=[name])
            return await _give(call, opened.path, opened.path.name)
    except ComityError as problem:
        return call.refused(_TEMPLATE, problem, **await _values(call, desk))


async def export(call: PageCall) -> web.StreamResponse:
    """The files as a bag with their custody and evidence, in one archive."""
    desk = await call.desk()
    row = await row_of(desk, call)
    wish = ExportWish(
        call.text("to") or None,
        call.text("purpose") or None,
        tuple(call.texts("names")),
        call.text("disclose") == "yes",
    )
    try:
        async with _folder(desk) as folder:
            await desk.custody.export(row.id, folder / "bag", wish)
            archive = folder / "bag.zip"
            await asyncio.to_thread(_pack, folder / "bag", archive)
            return await _give(call, archive, f"files-{short(row.id)}.zip")
    except ComityError as problem:
        return call.refused(_TEMPLATE, problem, **await _values(call, desk))


async def _values(call: PageCall, desk: Desk) -> dict[str, Any]:
    row = await row_of(desk, call)
    found = await desk.files.of_messages([row.id])
    custody: list[Custody] = []
    why = ""
    try:
        custody = await desk.custody.chains(row.id)
    except ComityError as problem:
        why = _(problem.detail)
    transfer = found[0].transfer if found else None
    left = ""
    if transfer is not None and transfer.rate and transfer.bytes_moved < transfer.total_bytes:
        seconds = (transfer.total_bytes - transfer.bytes_moved) / transfer.rate
        text = _("{rate} a second, {span} left; it resumes by itself")
        left = text.format(rate=bytes_text(transfer.rate), span=duration_text(seconds))
    return {
        "row": row,
        "files": files_shown(found),
        "transfer": transfer,
        "left": left,
        "custody": custody,
        "why": why,
        "shown_name": shown_name,
        "shown_text": shown_text,
        "step_text": step_text,
        "gap_text": gap_text,
        "purposes": code_options("record_purpose", empty=True),
    }


@asynccontextmanager
async def _folder(desk: Desk) -> AsyncIterator[Path]:
    """A private folder inside the desk's home, which is gone behind the block with all that is in it."""
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="page-", dir=desk.home.database.parent))
    try:
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _give(call: PageCall, path: Path, name: str) -> web.StreamResponse:
    """The file, piece by piece, as something to keep: no browser shows it, whatever it says that it is."""
    safe = "".join(one if one.isascii() and (one.isalnum() or one in "._-") else "_" for one in name) or "file"
    response = web.StreamResponse(headers={"Content-Disposition": kept_as(safe)})
    response.content_type = "application/octet-stream"
    file = await asyncio.to_thread(path.open, "rb")
    with file:
        response.content_length = os.fstat(file.fileno()).st_size
        protect(response)
        await response.prepare(call.request)
        while piece := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            await response.write(piece)
    await response.write_eof()
    return response


def _pack(folder: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as made:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                made.write(path, Path("bag") / path.relative_to(folder))

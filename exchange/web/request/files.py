"""Files of a draft: streamed out of the browser into a sealed file, or by a path of this machine.

The plaintext of an upload lies nowhere: each piece is sealed as it comes, and an upload that breaks off leaves nothing.
Memory does not grow with the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp import BodyPartReader, web

from exchange.acts.evidence import allow_file
from exchange.custody.chain import was_called
from exchange.desk.desk import Desk
from exchange.files.book import appended
from exchange.files.sealing import MORE_HASHES, StoppedError, UploadedFile, WantedFile
from exchange.office.draft_ids import DRAFT_ID
from exchange.office.release import KeptDraft
from exchange.text.sizes import bytes_text
from exchange.web.calls import Page, PageCall, read_from
from exchange.web.request.drafts import OpenDraft, attach, kept_draft, open_draft, opened
from exchange.web.request.steps import frame
from exchange.web.signin.sessions import WebSessions
from exchange.wizard.sections import takes_files
from keys.local.translation import _
from keys.pages.form_tokens import NAME as TOKEN
from keys.pages.form_tokens import check_token
from protocol.encoding.phrase import phrase
from protocol.errors import (
    ComityError,
    ForbiddenError,
    FormError,
    NotFoundError,
    PageForgedError,
    StorageFullError,
    TooLargeError,
    UnavailableError,
    UsageError,
)

_TEMPLATE = "request/files.html"
LABEL = "by_hash_only"
PIECE_BYTES = 1 << 20
# Between two pieces; a person's line may be slow, but something comes.
PIECE_WITHIN_S = 60.0
UPLOADS_AT_ONCE = 4
MOST_FILES = 100
_TOKEN_BYTES = 200
_FIELD_BYTES = 1_000
# So much of a refused upload is read and thrown away, so that the browser shows the refusal.
_DRAINED_BYTES = 64 << 20
_MIB = 1 << 20
_uploading: WeakKeyDictionary[WebSessions, int] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file of a draft as its page shows it; ``goes``: the file itself follows the message. ``renamed`` says that its
    name was changed, and what it was called.
    """

    name: str
    size: str
    media_type: str
    sha256: str
    hashes: tuple[tuple[str, str], ...]
    by_hash_only: bool
    goes: bool
    renamed: str = ""


async def show(call: PageCall) -> web.StreamResponse:
    """The files of a draft."""
    draft = await _with_files(call)
    if draft is None:
        return call.go(f"/drafts/{call.part('draft')}/sent")
    return await _shown(call, draft)


async def upload(call: PageCall) -> web.StreamResponse:
    """Take files out of a browser, each sealed as it comes."""
    session = call.signed_in()
    request = call.request
    draft = await _with_files(call)
    if draft is None:
        return call.go(f"/drafts/{call.part('draft')}/sent")
    sessions = call.site.sessions
    if _uploading.get(sessions, 0) >= UPLOADS_AT_ONCE:
        raise UnavailableError(_("other files are being taken just now: try it again when they are here"))
    if request.content_type != "multipart/form-data" or request.content_length is None:
        raise FormError
    _uploading[sessions] = _uploading.get(sessions, 0) + 1
    try:
        reader = await request.multipart()
        token = await _next(reader)
        if not isinstance(token, BodyPartReader) or token.name != TOKEN:
            raise FormError
        check_token(session.form_key, request.path, await _short(token, _TOKEN_BYTES))
        await _require_room(draft.desk, request.content_length)
        await _taken(draft.desk, draft, reader, request.content_length)
    except (ValueError, AssertionError):
        raise FormError from None
    except TimeoutError:
        raise UnavailableError(phrase("the file stopped coming")) from None
    except StoppedError:
        raise ConnectionResetError from None
    except ComityError as problem:
        if isinstance(problem, PageForgedError | FormError):
            raise
        await _drain(request)
        return await _shown(call, await _again(call), problem)
    finally:
        _uploading[sessions] -= 1
    return call.go(f"{draft.path}/files#files")


async def by_path(call: PageCall) -> web.StreamResponse:
    """Attach a file of this machine, as ``--attach`` does."""
    draft = await _with_files(call)
    if draft is None:
        return call.go(f"/drafts/{call.part('draft')}/sent")
    text, hashes = call.text("path"), tuple(one for one in MORE_HASHES if call.text(one))
    try:
        if call.site.secure:
            raise ForbiddenError(_("files are attached by path only where the browser is on the desk's own machine"))
        if not text:
            raise UsageError(_("write the path of the file")).at("path")
        own = {**_bare(draft.kept), DRAFT_ID: str(draft.id)}
        with read_from("path"):
            whole = await draft.desk.files.attach(own, [WantedFile(_path(text), hashes)])
        made = list(whole["attachments"])[-1:]
        label = bool(call.text("by_hash_only"))
        await attach(draft.desk, draft.id, lambda now: dict(appended(now, [_labelled(one, label) for one in made])))
    except ComityError as problem:
        return await _shown(call, draft, problem)
    return call.go(f"{draft.path}/files#files")


async def change(call: PageCall) -> web.StreamResponse:
    """Take a file out of the draft, or let only its hash go."""
    draft = await _with_files(call)
    if draft is None:
        return call.go(f"/drafts/{call.part('draft')}/sent")
    name, act = call.form.get("name", ""), call.text("do")
    if act not in ("remove", "hash", "both"):
        raise FormError
    try:
        if act == "both":
            await _allow(call, draft, name)
        await attach(draft.desk, draft.id, lambda now: _changed(now, name, act))
    except ComityError as problem:
        return await _shown(call, draft, problem)
    return call.go(f"{draft.path}/files#files")


async def _with_files(call: PageCall) -> OpenDraft | None:
    """The draft; raises :class:`NotFoundError` for one of a kind that no files follow."""
    draft = await open_draft(call)
    if draft is not None and not takes_files(draft.kept.type):
        raise NotFoundError(_("no files go with messages of this kind"))
    return draft


# --- Showing ---


async def _shown(call: PageCall, draft: OpenDraft, problem: ComityError | None = None) -> web.Response:
    room = await draft.desk.files.room()
    limit = _limit(draft.desk)
    attachments = draft.form.wizard.draft.get("attachments") or ()
    called = await draft.desk.files.called(draft.form.wizard.draft)
    values: dict[str, Any] = {
        **await frame(draft, "files"),
        "files": [_file(one, called) for one in attachments if isinstance(one, Mapping)],
        "room": bytes_text(min(room, limit) if limit is not None else room),
        "hashes": MORE_HASHES,
        "local": not call.site.secure,
        "two_officers": draft.desk.settings.files.hash_only == "two_officers",
    }
    if problem is not None:
        return call.refused(_TEMPLATE, problem, **values)
    return call.page(_TEMPLATE, **values)


def _file(attachment: Mapping[str, Any], called: Mapping[str, str]) -> AttachedFile:
    return AttachedFile(
        name=str(attachment.get("name")),
        size=bytes_text(int(attachment.get("size_bytes") or 0)),
        media_type=str(attachment.get("media_type")),
        sha256=str(attachment.get("sha256")),
        hashes=tuple((one, str(attachment[one])) for one in MORE_HASHES if attachment.get(one)),
        by_hash_only=attachment.get("label") == LABEL,
        goes="sealed" in attachment,
        renamed=was_called(called[name]) if (name := str(attachment.get("name"))) in called else "",
    )


async def _again(call: PageCall) -> OpenDraft:
    """The draft as it is now, also where files of the same form were taken before one was refused."""
    return await opened(call, await kept_draft(call))


# --- Taking what comes ---


async def _taken(desk: Desk, draft: OpenDraft, reader: Any, most_bytes: int) -> None:
    hashes: list[str] = []
    by_hash_only = False
    for _part in range(MOST_FILES + len(MORE_HASHES) + 2):
        part = await _next(reader)
        if part is None:
            return
        if not isinstance(part, BodyPartReader):
            raise FormError
        if part.filename is None:
            value = await _short(part, _FIELD_BYTES)
            if part.name in MORE_HASHES and value:
                hashes.append(part.name)
            by_hash_only = by_hash_only or (part.name == LABEL and bool(value))
        elif part.filename:
            await _sealed(desk, draft, part, most_bytes, tuple(hashes), by_hash_only=by_hash_only)
        else:
            async with asyncio.timeout(PIECE_WITHIN_S):
                await part.release()
    raise TooLargeError(_("a form brings no more files at once than {most}").format(most=MOST_FILES))


async def _sealed(
    desk: Desk, draft: OpenDraft, part: BodyPartReader, most_bytes: int, hashes: tuple[str, ...], *, by_hash_only: bool
) -> None:
    own = {**_bare(draft.kept), DRAFT_ID: str(draft.id)}
    arriving = UploadedFile(part.filename or "", _pieces(part, asyncio.get_running_loop()), most_bytes, hashes)
    made = await desk.files.take_arriving(own, arriving)
    await attach(desk, draft.id, lambda now: dict(appended(now, [_labelled(made, by_hash_only)])))


def _pieces(part: BodyPartReader, loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
    """The pieces of a file as they come, for the thread that seals them: it waits, and the loop does not."""

    async def following() -> bytes:
        try:
            async with asyncio.timeout(PIECE_WITHIN_S):
                return await part.read_chunk(PIECE_BYTES)
        except TimeoutError:
            raise UnavailableError(phrase("the file stopped coming")) from None

    while True:
        try:
            piece = asyncio.run_coroutine_threadsafe(following(), loop).result()
        except (ConnectionError, asyncio.CancelledError, web.RequestPayloadError):
            raise StoppedError from None
        if piece:
            yield piece
        elif part.at_eof():
            return


async def _next(reader: Any) -> Any:
    """The next part; raises :class:`TimeoutError` for one that does not begin: it keeps a place from others."""
    async with asyncio.timeout(PIECE_WITHIN_S):
        return await reader.next()


async def _short(part: BodyPartReader, most: int) -> str:
    """The text of a short field; raises :class:`FormError`."""
    found = bytearray()
    async with asyncio.timeout(PIECE_WITHIN_S):
        while piece := await part.read_chunk(most + 1):
            found += piece
            if len(found) > most:
                raise FormError
    return found.decode("utf-8", "replace")


async def _require_room(desk: Desk, wanted: int) -> None:
    """Return if so many bytes may be taken; raises :class:`TooLargeError`, :class:`StorageFullError`."""
    limit = _limit(desk)
    if limit is not None and wanted > limit + _MIB:
        raise TooLargeError(_("this desk takes files of no more than {size}").format(size=bytes_text(limit)))
    room = await desk.files.room()
    if wanted > room:
        raise StorageFullError(_("the disk of the desk has room for {size}").format(size=bytes_text(room)))


async def _drain(request: web.Request) -> None:
    """Read what still comes of a refused form, so much at most, and throw it away."""
    left = _DRAINED_BYTES
    try:
        async with asyncio.timeout(PIECE_WITHIN_S):
            while left > 0 and (piece := await request.content.read(PIECE_BYTES)):
                left -= len(piece)
    except (TimeoutError, ConnectionError, web.RequestPayloadError):
        return


def _limit(desk: Desk) -> int | None:
    most = desk.settings.web.upload_up_to_mb
    return most * 1_000_000 if most is not None else None


# --- Changing ---


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _bare(kept: KeptDraft) -> dict[str, Any]:
    return dict(kept.draft)


def _labelled(attachment: Mapping[str, Any], by_hash_only: bool) -> dict[str, Any]:
    """The attachment as a draft has it: of what goes by its hash alone, no file is named."""
    if not by_hash_only:
        return dict(attachment)
    return {**{name: value for name, value in attachment.items() if name != "sealed"}, "label": LABEL}


def _changed(draft: dict[str, Any], name: str, act: str) -> dict[str, Any]:
    attachments = []
    for one in draft.get("attachments") or ():
        if one.get("name") != name:
            attachments.append(one)
        elif act == "hash":
            attachments.append(_labelled(one, True))
        elif act == "both":
            attachments.append({**one, "label": LABEL})
    draft.pop("attachments", None)
    return {**draft, **({"attachments": attachments} if attachments else {})}


async def _allow(call: PageCall, draft: OpenDraft, name: str) -> None:
    """Two officers decide that a file goes though it is exchanged by its hash alone; raises as :func:`allow_file`."""
    found = [one for one in draft.kept.draft.get("attachments") or () if one.get("name") == name]
    if not found:
        raise UsageError(_("the draft has no such file any more"))
    second, secret = call.text("second"), call.form.get("passphrase", "").encode()
    await allow_file(draft.desk, str(found[0]["sha256"]), call.text("reason"), second, secret)


PAGES = (
    Page("GET", "/drafts/{draft}/files", show),
    Page("POST", "/drafts/{draft}/files", upload, streams=True),
    Page("POST", "/drafts/{draft}/files/path", by_path),
    Page("POST", "/drafts/{draft}/files/change", change),
)

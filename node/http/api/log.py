"""``GET /log/…``: the node's transparency log (C2SP tlog-tiles), its proofs, and for auditors its entries."""

from __future__ import annotations

from aiohttp import web

from node.http.api.endpoint import Endpoint, cbor_response, number
from node.http.authentication import Caller
from node.http.context import HttpContext
from node.log.entry_access import right_of, seen_by
from protocol.encoding import cbor
from protocol.errors import EntriesErasedError, ForbiddenError, LogUnavailableError, MalformedError
from protocol.log.checkpoint import parse_checkpoint
from protocol.log.layout import TILE_WIDTH, TileName, encode_bundle, parse_tile_path
from protocol.log.merkle import HASH_BYTES
from protocol.log.proof import encode_tlog_proof
from protocol.log.scoped import SCOPED_TYPE, BundleItem, Withheld, encode_scoped_bundle, parse_scoped_path

_BYTES = "application/octet-stream"


async def checkpoint(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """The newest checkpoint, a signed note of these minutes, with the cosignatures that there are of it."""
    return _text(context.cosignatures.on(await context.node.sequencer.newest()))


async def cosigned_checkpoint(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """The newest checkpoint that enough witnesses cosigned, with their lines."""
    return _text(context.cosignatures.require_kept())


async def tile(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """A tile of hashes, or for auditors who may see every entry a bundle of them."""
    name = parse_tile_path(request.match_info["tile"])
    if name.level is None:
        if not right_of(caller.desk, context.node.directory.current, context.node.name).everything:
            raise ForbiddenError("this auditor may not see every entry of this log; it reads scoped bundles")
        items = await _items(context, name)
        entries = [item for item in items if not isinstance(item, Withheld)]
        if len(entries) < len(items):
            raise EntriesErasedError(f"{len(items) - len(entries)} entries of this bundle were erased")
        return web.Response(body=encode_bundle(entries), content_type=_BYTES)
    hashes = await context.node.store.reads.tile(name.level, name.index)
    _require(name, len(hashes) // HASH_BYTES)
    return web.Response(body=hashes[: name.width * HASH_BYTES], content_type=_BYTES)


async def scoped(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """For auditors: a bundle in which what was erased, or what they may not see, is its leaf hash."""
    right = right_of(caller.desk, context.node.directory.current, context.node.name)
    name = parse_scoped_path(request.match_info["bundle"])
    items = await _items(context, name)
    nations = await context.node.store.reads.entry_nations(name.index)
    shown = seen_by(right, items, nations[: name.width])
    return web.Response(body=encode_scoped_bundle(shown), content_type=SCOPED_TYPE)


async def _items(context: HttpContext, name: TileName) -> list[BundleItem]:
    items = await context.node.store.reads.entries(name.index)
    _require(name, len(items))
    return items[: name.width]


def _require(name: TileName, width: int) -> None:
    if name.width > width:
        kind = "full" if name.width == TILE_WIDTH else "so wide"
        raise LogUnavailableError(f"this tile is not {kind} yet: it has {width} of {name.width}")


async def proof(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """The proof that entry ``index`` is under the newest checkpoint, as C2SP tlog-proof."""
    note = await context.node.store.reads.checkpoint()
    size = parse_checkpoint(note).size
    if number(request, "size", size) != size:
        raise LogUnavailableError(f"only the newest checkpoint, of size {size}, is at hand")
    return await _proof(context, request, context.cosignatures.on(note))


async def cosigned_proof(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """The same under the newest checkpoint that enough witnesses cosigned."""
    return await _proof(context, request, context.cosignatures.require_kept())


async def _proof(context: HttpContext, request: web.Request, note: bytes) -> web.Response:
    text = request.match_info["index"]
    if len(text) > 19:
        raise MalformedError("the index is too large")
    index, size = int(text), parse_checkpoint(note).size
    if index >= size:
        raise LogUnavailableError(f"this checkpoint is of {size} entries")
    return _text(encode_tlog_proof(index, await context.node.store.reads.inclusion_path(index, size), note))


def _text(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="text/plain", charset="utf-8")


async def consistency(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """The proof that the log of size ``to`` extends that of size ``from``: an array of hashes."""
    old, new = number(request, "from"), number(request, "to")
    if not 1 <= old <= new:
        raise MalformedError("a consistency proof goes from a size of at least 1 to one that is not smaller")
    if new > await context.node.store.reads.log_size():
        raise LogUnavailableError("the log is not that large")
    return cbor_response(cbor.encode(await context.node.store.reads.consistency_path(old, new)))


ENDPOINTS = (
    Endpoint("GET", "/log/checkpoint", "log-checkpoint", checkpoint),
    Endpoint("GET", "/log/cosigned/checkpoint", "log-cosigned-checkpoint", cosigned_checkpoint),
    Endpoint("GET", "/log/cosigned/proof/{index:[0-9]+}", "log-cosigned-proof", cosigned_proof),
    Endpoint("GET", "/log/consistency", "log-consistency", consistency),
    Endpoint("GET", "/log/proof/{index:[0-9]+}", "log-proof", proof),
    Endpoint("GET", "/log/{tile:tile/.{1,100}}", "log-tile", tile),
    Endpoint("GET", "/log/{bundle:scoped/.{1,100}}", "log-scoped", scoped),
)

"""Stylesheet and scripts, each under a path that names its hash, so that a browser keeps it and never has a stale one.

Files that others wrote are vendored beside ours and listed in ``static/vendored.sha256``: one that differs is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from aiohttp import web

from protocol.errors import AssetAlteredError

FOLDER = Path(__file__).parent / "static"
_VENDORED = "vendored.sha256"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HASH_CHARS = 16
_PATH = "/assets/"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: its ``content``, media type, and the path under which it is served."""

    path: str
    media_type: str
    content: bytes


class Assets:
    """The assets of a program, in memory."""

    def __init__(self, folder: Path = FOLDER) -> None:
        listed = _listed(folder)
        self._named: dict[str, Asset] = {}
        for file in sorted(folder.iterdir()):
            if file.suffix in _TYPES:
                self._named[file.name] = _asset(file, listed.get(file.name))
        self._served = {asset.path: asset for asset in self._named.values()}

    def path(self, name: str) -> str:
        """The path of the asset ``name``; raises :class:`KeyError`."""
        return self._named[name].path

    async def serve(self, request: web.Request) -> web.Response:
        """Answer a request for an asset."""
        asset = self._served.get(request.path)
        if asset is None:
            raise web.HTTPNotFound
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        return web.Response(body=asset.content, content_type=asset.media_type, charset="utf-8", headers=headers)

    def route(self, app: web.Application) -> None:
        """Serve the assets in ``app``."""
        app.router.add_get(_PATH + "{name}", self.serve, allow_head=False)


def _asset(file: Path, expected: str | None) -> Asset:
    content = file.read_bytes()
    found = sha256(content).hexdigest()
    if expected is not None and found != expected:
        raise AssetAlteredError(f"{file.name} is not the file that was vendored")
    path = f"{_PATH}{file.stem}.{found[:_HASH_CHARS]}{file.suffix}"
    return Asset(path, _TYPES[file.suffix], content)


def _listed(folder: Path) -> Mapping[str, str]:
    lines = (folder / _VENDORED).read_text("ascii").splitlines() if (folder / _VENDORED).exists() else []
    return {name: digest for digest, name in (line.split() for line in lines)}

"""Pages of this room: with the words that its templates use, and what whoever acts may do."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from exchange.desk.desk import Desk
from exchange.office.officers import Acting
from exchange.web.calls import PageCall
from exchange.web.lists._words import WORDS
from protocol.errors import ComityError


def show(call: PageCall, template: str, desk: Desk, **values: Any) -> web.Response:
    """A page of this room."""
    return call.page(template, **_common(desk.office.acting), **values)


def refuse(call: PageCall, template: str, desk: Desk, problem: ComityError, **values: Any) -> web.Response:
    """The same page again, with why something was refused."""
    return call.refused(template, problem, **_common(desk.office.acting), **values)


def _common(acting: Acting) -> dict[str, Any]:
    return {"say": WORDS, "acting": acting, "roles": _roles(acting)}


def _roles(acting: Acting) -> frozenset[str]:
    """What whoever acts may do; the one person of a desk without officers may do all."""
    if acting.officer is None:
        return frozenset() if acting.has_officers else frozenset({"reader", "drafter", "releaser", "administrator"})
    return frozenset(role.value for role in acting.officer.roles)


def download(content: bytes, name: str, media_type: str) -> web.Response:
    """A file that the browser saves under ``name``, which is one of ours."""
    headers = {"Content-Disposition": f'attachment;filename="{name}"'}
    return web.Response(body=content, content_type=media_type, headers=headers)

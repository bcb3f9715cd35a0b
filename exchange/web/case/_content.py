"""What a message says, in lines: on its own page, and beside the form of an act that judges it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from aiohttp import web

from exchange.custody.reading import with_states
from exchange.desk.desk import Desk
from exchange.letters.fingerprint import fingerprint_of
from exchange.text.labels import code_label, target_ranges
from exchange.text.rendering import ReadLine, read_message
from exchange.views import Direction, InboxRow, ShownMessage
from exchange.web.calls import PageCall
from keys.local.translation import _
from keys.pages.headers import protect
from protocol.errors import ComityError
from protocol.lifecycle.folding import StandingState

# Of more targets than that the others are on pages of their own.
_PARTS_AT_ONCE = 50
_OF_TARGETS = frozenset({"targets", "remaining"})
# Said at the head of the page.
_IN_THE_HEAD = frozenset({"id", "thread", "from", "to", "sent_at", "in_reply_to", "type"})
# Of such a message its reader reads another one too.
_CHANGED = frozenset({StandingState.CORRECTED, StandingState.RETRACTED})


async def read_beside(desk: Desk, row: InboxRow) -> Mapping[str, Any]:
    """What a received message says, for who acts on it; where it cannot be read, why, and nothing else."""
    from protocol.messages.schema.base import Message

    try:
        read = read_lines(await desk.messages.read(row.id))
    except ComityError as problem:
        return {"shown": None, "not_read": _(problem.detail)}
    # The message's own fields come before those that every message has: labels, references, who signed.
    parts = sorted(read["parts_read"], key=lambda part: part[0].path[0] in Message.model_fields)
    return {**read, "parts_read": parts, "not_read": ""}


async def gone_out(call: PageCall, desk: Desk, response: web.Response, row: InboxRow) -> web.StreamResponse:
    """Send a page that shows a message: its sender learns that it was opened when the page has gone out."""
    if row.direction is Direction.SENT or "prefetch" in call.request.headers.get("Sec-Purpose", ""):
        return response
    protect(response)
    await response.prepare(call.request)
    await response.write_eof()
    await desk.messages.opened(row.id)
    return response


def read_lines(shown: ShownMessage, start: int = 0) -> dict[str, Any]:
    """What a message says; of a list with very many parts those from ``start`` on, and how many there are."""
    lines = [
        _in_ranges(line)
        for line in with_states(read_message(shown.message, shown.original), shown)
        if line.path[0] not in _IN_THE_HEAD
    ]
    lines, many = _cut(lines, start)
    grouped = [list(part) for _name, part in groupby(lines, key=lambda line: line.path[0])]
    standing = shown.standing
    return {
        "shown": shown,
        "changed_by": standing.by if standing is not None and standing.state in _CHANGED else None,
        "parts_read": grouped,
        "many": many,
        "many_from": start,
        "many_shown": _PARTS_AT_ONCE,
        "notes": shown.notes,
        "cautions": list(dict.fromkeys(code_label(one.codes, one.code) for one in shown.cautions)),
        "readers": shown.readers,
        "fingerprint": fingerprint_of(shown.digest),
        "language_of": lambda tag: code_label("language", tag),
    }


def _cut(lines: Sequence[ReadLine], start: int) -> tuple[list[ReadLine], int]:
    """The lines without the parts of the targets before ``start`` and behind those of one page; how many there are."""
    places = {int(line.path[1]) for line in lines if _is_of_a_target(line)}
    if len(places) <= _PARTS_AT_ONCE:
        return list(lines), 0
    kept = range(start, start + _PARTS_AT_ONCE)
    return [line for line in lines if not _is_of_a_target(line) or int(line.path[1]) in kept], len(places)


def _is_of_a_target(line: ReadLine) -> bool:
    return line.path[0] == "targets" and len(line.path) > 1 and line.path[1].isdigit()


def _in_ranges(line: ReadLine) -> ReadLine:
    """A list of the names of targets, as it is read: all of them, those that count on as ranges."""
    if line.path[-1] not in _OF_TARGETS or line.text is None:
        return line
    return replace(line, text=target_ranges(line.text.split(", ")))

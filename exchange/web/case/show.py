"""The page of a case: where it stands, what happened, who is called, what the law says, and what may be done now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from aiohttp import web

from exchange.acts.cases import CaseParts
from exchange.cases.threads import shared_state
from exchange.desk.desk import Desk
from exchange.text.due import unopened_lines
from exchange.text.labels import code_label, decision_label, entry_label, nation_label, short_label, state_until
from exchange.views import CaseRow
from exchange.web.calls import PageCall
from exchange.web.case._targets import identifiers_of
from exchange.web.case._timeline import SHOWN, happenings
from exchange.web.case.acting import acts_of
from exchange.web.case.beside import files_shown, law_said, other_zones, people
from exchange.web.case.standing import due_lines, is_ours, target_table
from keys.local.translation import _
from protocol.address import Address
from protocol.errors import ComityError, NotFoundError
from protocol.messages.handling_rules import Objection

TEMPLATE = "case/case.html"


async def thread_of(desk: Desk, text: str) -> UUID:
    """The thread that an id stands for: its own, that of a message in it, or a part of it; :class:`NotFoundError`."""
    try:
        return (await desk.messages.row(await desk.messages.resolve(text))).thread
    except NotFoundError:
        try:
            thread = UUID(text)
        except ValueError:
            thread = None
        # A request that was passed on opens a thread here without ever having been sent here.
        if thread is None or not await desk.cases.thread(thread):
            raise
        return thread


async def show(call: PageCall) -> web.StreamResponse:
    """One case, or the page of all that was asked of several nations."""
    desk, text = await call.desk(), call.part("thread")
    try:
        thread = await thread_of(desk, text)
    except ComityError:
        parent = await desk.parents.resolve(text)
        if parent is None:
            raise
        return call.go(f"/parents/{parent}")
    if str(thread) != text:
        return call.go(f"/cases/{thread}")
    return call.page(TEMPLATE, **await case_values(call, desk, thread))


@dataclass(frozen=True, slots=True)
class OpeningShown:
    """What the request says that its case page shows: identifiers by target; ``why`` where it cannot be shown."""

    about: Mapping[str, tuple[str, str]]
    why: str = ""


async def case_values(call: PageCall, desk: Desk, thread: UUID) -> dict[str, Any]:
    """All that the page of a case shows."""
    now, own = call.now, desk.address
    parts = replace(await CaseParts.of(desk, thread), now=now)
    row = (await desk.cases.of_threads([thread])).get(thread)
    every = call.query("all") == "1"
    shown = parts.rows if every else parts.rows[-SHOWN:]
    tracked = await desk.cases.tracked(one.id for one in shown)
    opening = await _opening(desk, parts)
    peers = _peers(parts, own)
    cards = await desk.cases.phone_cards(set(peers))
    files = await desk.files.of_messages([one.id for one in parts.rows])
    cases = list(parts.cases.values())
    # Without looking at all drafts where none waits: the frame counted them some seconds ago.
    waits = call.query("done") == "case-proposed" or (call.facts is not None and call.facts.to_release)
    due = [line for case in cases for line in due_lines(case, parts.due, str(own), now)]
    return {
        "thread": thread,
        "row": row,
        "title": _title(parts, row, own),
        "badges": _badges(parts, row),
        "state": state_until(
            shared_state(parts.cases, now, parts.unsent), parts.rows[0].sent_at if parts.rows else None
        ),
        "table": target_table(
            parts, str(own), now, opening.about, find=call.query("find"), start=number_of(call.query("from"))
        ),
        "find": call.query("find"),
        "all": "1" if every else "",
        "not_shown": opening.why,
        "due": [line for line in due if not line.target],
        "unopened": [item for item in await desk.cases.due_in(thread) if item.unopened is not None],
        "unopened_lines": unopened_lines,
        "drafts": await desk.office.waiting_in(thread, [one.id for one in parts.rows]) if waits else [],
        "code_label": code_label,
        "decision_label": decision_label,
        "acts": acts_of(
            parts,
            str(own),
            now,
            due,
            await _objections(desk, parts),
            call_first=await _must_call(desk, parts, row),
            acting=desk.office.acting,
        ),
        "happenings": happenings(parts, own, tracked),
        "earlier": len(parts.rows) - len(shown),
        "zones": other_zones(cards.values(), now),
        "people": people([cards[peer] for peer in peers if peer in cards], now),
        "law": law_said(desk, cases, now),
        "files": files_shown(files),
        "notes": [(entry, entry_label(entry.kind)) for entry in reversed(parts.noted.entries)],
        "owner": parts.noted.assigned_to,
        "waiting": parts.noted.waiting_until(now),
        "calls": parts.calls,
        "before": parts.before,
        "parent": await desk.parents.of(thread),
        "call_label": lambda code: code_label("call_outcome", code),
        "nation_label": nation_label,
    }


def number_of(text: str) -> int:
    """A place in a list, of an address; the first where it says none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0


async def _opening(desk: Desk, parts: CaseParts) -> OpeningShown:
    """The identifiers of the targets, read from the request: that it was looked at is in the records."""
    first = next((row for row in parts.rows if row.id == parts.thread), None)
    if first is None:
        return OpeningShown({})
    try:
        return OpeningShown(await identifiers_of(desk, first.id))
    except ComityError as problem:
        return OpeningShown({}, _(problem.detail))


async def _must_call(desk: Desk, parts: CaseParts, row: CaseRow | None) -> bool:
    """Whether the office that asks in an emergency is still to be called back."""
    if row is None or row.urgency != "emergency" or row.ours or parts.calls.verified:
        return False
    sheet = (await desk.cases.call_sheets([parts.thread])).get(parts.thread)
    return sheet is not None and sheet.required


async def _objections(desk: Desk, parts: CaseParts) -> tuple[Objection, ...]:
    first = next((row for row in parts.rows if row.id == parts.thread), None)
    if first is None:
        return ()
    try:
        return await desk.messages.kept_from_all(first.id)
    except ComityError:
        return ()


def _peers(parts: CaseParts, own: Address) -> list[Address]:
    found = dict.fromkeys(one for row in parts.rows for one in (row.sender, *row.recipients) if one != own)
    return list(found)


def _title(parts: CaseParts, row: CaseRow | None, own: Address) -> str:
    if not parts.rows:
        return _("Case")
    first = parts.rows[0]
    what = code_label("message_type", row.type if row is not None else first.type)
    ours = any(is_ours(case, str(own)) for case in parts.cases.values())
    nations = ", ".join(dict.fromkeys(nation_label(one.node) for one in _peers(parts, own)))
    text = _("{what} to {nation}") if ours else _("{what} from {nation}")
    return text.format(what=what, nation=nations)


def _badges(parts: CaseParts, row: CaseRow | None) -> list[tuple[str, str]]:
    """(text, tone) of what is said beside the title."""
    found = []
    if parts.calls.suspected:
        found.append((_("SUSPECTED FORGERY"), "harm"))
    if row is None:
        return found
    if not row.proved:
        found.append((_("NOT PROVED"), "harm"))
    if row.urgency != "routine":
        found.append((short_label("urgency", row.urgency), "harm" if row.urgency == "emergency" else "soon"))
    if row.offence:
        found.append((row.offence, ""))
    return found

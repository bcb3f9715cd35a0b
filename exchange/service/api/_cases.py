"""Resources of cases and of what is due."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from exchange.cases.agenda import AgendaFilter
from exchange.cases.legal_comparison import clocks_of
from exchange.cases.listing import CaseFilter
from exchange.cases.threads import rows_of, shared_state
from exchange.desk.desk import utc_now
from exchange.office.case_notes import CaseEntry
from exchange.service.api.declared import KNOWN, LIMIT, MAX_LISTED, Call, Declared, Parameter, known_as_of
from exchange.views import AgendaItem, CaseRow, InboxRow, Lane, TargetRow
from protocol.lifecycle.deadlines import Deadline, deadlines


async def _list(call: Call) -> Any:
    wanted = CaseFilter(
        nation=call.text("nation"), state=call.text("state"), owner=call.text("owner"), text=call.text("text")
    )
    desk = await call.acting()
    page = await desk.cases.listing(wanted, limit=call.number("limit", 100, MAX_LISTED))
    return {"cases": page.cases, "more": page.more, **await known_as_of(desk)}


async def _show(call: Call) -> Any:
    desk, now = await call.acting(), utc_now()
    thread = (await desk.messages.row(await call.message())).thread
    cases, noted = await desk.cases.by_nation(thread), await desk.cases.notes(thread)
    out_of_order = [entry for case in cases.values() for entry in case.out_of_order]
    return {
        "thread": thread,
        "state": shared_state(cases, now),
        "nations": {nation: str(case.state_at(now)) for nation, case in cases.items() if nation},
        "assigned_to": noted.assigned_to,
        "waiting_until": noted.waiting_until(now),
        "targets": rows_of(cases, now),
        "deadlines": [one for case in cases.values() for one in deadlines(case, clocks_of(desk.directory, case))],
        "out_of_order": [
            {
                "message": entry.fact.message_id,
                "target": entry.target,
                "reason": str(entry.reason),
                "rule": entry.reason.code,
            }
            for entry in out_of_order
        ],
        "without_effect": await desk.cases.without_effect(thread),
        "messages": await desk.cases.thread(thread),
        "notes": noted.entries,
        **await known_as_of(desk),
    }


async def _agenda(call: Call) -> Any:
    desk = await call.acting()
    wanted = AgendaFilter(ours=call.flag("ours"), pressing=call.flag("pressing"))
    page = await desk.cases.agenda_page(wanted, limit=call.number("limit", 100, MAX_LISTED))
    return {"items": page.items, "more": page.more, **await known_as_of(desk)}


ENDPOINTS = (
    Declared(
        "GET",
        "/v1/cases",
        "The cases of the desk.",
        _list,
        {"cases": [CaseRow], "more": int, **KNOWN},
        query=(
            Parameter("nation", "Only with this nation, such as fr."),
            Parameter("state", "Only in this state."),
            Parameter("owner", "Only those on which this officer works; empty: nobody."),
            Parameter("text", "Only with these words in a reference or the offence."),
            LIMIT,
        ),
    ),
    Declared(
        "GET",
        "/v1/cases/{message}",
        "The case of a message: its id, or a part of it.",
        _show,
        {
            "thread": UUID,
            "state": str,
            "nations": dict[str, str],
            "assigned_to": str | None,
            "waiting_until": Any,
            "targets": [TargetRow],
            "deadlines": [Deadline],
            "out_of_order": [{"message": UUID, "target": str | None, "reason": str, "rule": str}],
            "without_effect": [{"message": UUID, "rule": str, "reason": str, "counts": bool}],
            "messages": [InboxRow],
            "notes": [CaseEntry],
            **KNOWN,
        },
    ),
    Declared(
        "GET",
        "/v1/agenda",
        "What is due in all cases, the earliest first.",
        _agenda,
        {"items": [AgendaItem], "more": [Lane], **KNOWN},
        query=(
            Parameter("ours", "Only what this desk must do.", "boolean"),
            Parameter("pressing", "Only what is near or overdue.", "boolean"),
            Parameter("limit", "How many of each lane at most.", "integer", MAX_LISTED),
        ),
    ),
)

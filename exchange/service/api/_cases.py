"""Resources of cases and of what is due: notes, calls, several nations, and what came by other ways."""

from __future__ import annotations

from dataclasses import fields

from exchange.acts import calls, cases
from exchange.desk.cases import DeskCases
from exchange.service.api._derived import act
from exchange.service.api.shapes import hints_of
from exchange.views import AgendaItem, Lane

_CASE, _MESSAGE, _ENTRY = "/v1/cases/{message}", "/v1/messages/{message}", "/v1/unproved/{entry}"
_OUTCOME = {"outcome": "A code of the list call_outcome."}
# An item, with whom to call where that belongs to it.
_ITEM = {
    **{one.name: hints_of(AgendaItem)[one.name] for one in fields(AgendaItem)},
    "call?": [cases.NumberToCall],
}

ENDPOINTS = (
    act(
        "GET",
        "/v1/cases",
        "The cases of the desk, emergencies first, then the newest.",
        cases.list_cases,
        "case list",
        known=True,
    ),
    act("GET", _CASE, "The case of a message: its id, or a part of it.", cases.show_case, "case show", known=True),
    act("POST", f"{_CASE}/notes", "Note something; it never leaves the desk.", cases.note_case, "case note"),
    act("POST", f"{_CASE}/assignment", "Say who works on a case.", cases.assign_case, "case assign"),
    act(
        "POST",
        f"{_CASE}/waiting",
        "Say until when a case waits.",
        cases.let_case_wait,
        "case wait",
        texts={"reason": "What it waits for.", "until": "Until when; left out: it waits no longer."},
    ),
    act(
        "POST",
        f"{_CASE}/authority",
        "Note that one of our own authorities must decide first.",
        cases.await_authority,
        "case authority",
        texts={"until": "When it should decide."},
    ),
    act(
        "POST",
        f"{_CASE}/authority/done",
        "Note that the authority has decided, or is waited for no more.",
        cases.end_authority,
        "case authority",
    ),
    act(
        "POST",
        f"{_MESSAGE}/authority-report",
        "Tell the asking office that an authority of ours must decide first.",
        DeskCases.report_authority,
        "case authority",
    ),
    act(
        "POST",
        f"{_CASE}/closure",
        "Close a case; what lapses or is still owed is refused, unless it is agreed to.",
        cases.close_case,
        "case close",
        keyed=True,
        texts={"reason": "A code of the list closure_reason.", "text": "The reason in words."},
        known=True,
    ),
    act("GET", "/v1/parents", "What was asked of several nations.", cases.list_parents, "case parents", known=True),
    act(
        "GET",
        "/v1/parents/{parent}",
        "How the case with each nation stands.",
        cases.show_parent,
        "case show",
        known=True,
    ),
    act(
        "POST",
        "/v1/parents/{parent}/call-off",
        "Call off what is asked of several nations and still waits here; nobody learns of it.",
        cases.call_off_parent,
        "call-off",
    ),
    act(
        "POST",
        "/v1/parents/{parent}/messages",
        "Say the same in the case with each nation, at different times, so that none learns of the others.",
        cases.say_to_all,
        "case say",
    ),
    act(
        "GET",
        "/v1/agenda",
        "What is due in all cases, the earliest first.",
        cases.agenda,
        "agenda",
        answer={"items": [_ITEM], "more": [Lane]},
        texts={"ours": "Only what this desk must do."},
        known=True,
    ),
    act("GET", f"{_MESSAGE}/call", "Whom to call about a message.", calls.call_sheet, "call show", known=True),
    act(
        "POST",
        f"{_MESSAGE}/calls",
        "Record what came of a call on a number of the directory.",
        DeskCases.record_call,
        "call record",
        texts={**_OUTCOME, "remark": "A remark for this office."},
    ),
    act(
        "POST",
        f"{_MESSAGE}/break-glass",
        "Let one disclosure go though nobody could be reached: two officers, a reason.",
        calls.break_glass,
        "call break-glass",
        texts={"reason": "Why it cannot wait."},
    ),
    act(
        "POST",
        f"{_MESSAGE}/break-glass/review",
        "Say that another officer looked at what went without a call.",
        DeskCases.review_glass,
        "call review",
    ),
    act(
        "POST",
        "/v1/unproved",
        "Register what came by Interpol, mail or telephone: marked as not proved until it is confirmed.",
        calls.register,
        "register",
        texts={"text": "What was asked or said, in words.", "reference": "The reference that it names."},
    ),
    act("GET", "/v1/unproved", "What was registered.", calls.list_unproved, "unproved list"),
    act("GET", _ENTRY, "One of them, and whom to call about it.", calls.show_unproved, "unproved show"),
    act(
        "POST",
        f"{_ENTRY}/calls",
        "Record a call about one.",
        DeskCases.call_about,
        "unproved call",
        texts=_OUTCOME,
    ),
    act(
        "POST",
        f"{_ENTRY}/link",
        "Say which message proves it.",
        DeskCases.link_registered,
        "unproved link",
        texts={"message_id": "The message's id, or a part of it."},
    ),
    act(
        "POST",
        f"{_ENTRY}/drop",
        "Say why no proved message is waited for.",
        DeskCases.drop_registered,
        "unproved drop",
    ),
    act("DELETE", _ENTRY, "Erase one that was confirmed or dropped.", calls.erase_unproved, "unproved erase"),
)

"""The processing log: who consulted, changed, gave out or erased what, and why; its verification and its export."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from exchange.acts.office import check_records, export_records, records_object, sign_records_head
from exchange.desk.desk import Desk
from exchange.office.officers import check_line, check_purpose
from exchange.web.calls import Page, PageCall
from exchange.web.lists._query import PER_PAGE, day_of, end_of, given, link, number_of, uuid_of
from exchange.web.lists._showing import download, refuse, show
from keys.local.translation import _
from protocol.codes import load_codes
from protocol.errors import ComityError, UsageError
from protocol.processing_log import ProcessingRecord

_TEMPLATE = "lists/records.html"
_NAMES = ("operation", "officer", "act", "case", "since", "until")
_LAST = 1 << 40


async def list_records(call: PageCall) -> web.StreamResponse:
    """The records that fit, the newest first."""
    return await _listed(call, await call.desk())


async def _listed(
    call: PageCall, desk: Desk, problem: ComityError | None = None, *, checked: Any = None
) -> web.Response:
    wanted = given(call, *_NAMES)
    values: dict[str, Any] = {"wanted": wanted, "records": [], "older": "", "size": 0, "checked": checked}
    values["operations"] = [one.code for one in load_codes("record_operation").entries]
    try:
        before = number_of(call, "before", _LAST, _LAST)
        page = await desk.office.records_page(_fits(call), limit=PER_PAGE, before=None if before == _LAST else before)
        values |= {
            "records": records_object(page.records),
            "older": link("/records", {**wanted, "before": page.before}) if page.before else "",
            "size": page.size,
            "later": before != _LAST,
            "calls": {index: record.call for index, record in page.records if record.call is not None},
        }
    except ComityError as refused:
        problem = problem or refused
    values.setdefault("later", False)
    values.setdefault("calls", {})
    if problem is not None:
        return refuse(call, _TEMPLATE, desk, problem, **values)
    return show(call, _TEMPLATE, desk, **values)


def _fits(call: PageCall) -> Any:
    """Whether a record is looked for; raises :class:`UsageError`."""
    since, until = day_of(call, "since"), end_of(call, "until")
    operation, officer, act = (call.query(name).strip() for name in ("operation", "officer", "act"))
    case = uuid_of(call.query("case").strip()) if call.query("case").strip() else None
    if operation and operation not in load_codes("record_operation"):
        raise UsageError(_("there is no such operation")).at("operation")

    def fits(record: ProcessingRecord) -> bool:
        return (
            (since is None or record.at >= since)
            and (until is None or record.at < until)
            and (not operation or record.operation == operation)
            and (not officer or officer.casefold() in record.officer.casefold())
            and (not act or act.casefold() in record.act.casefold())
            and (case is None or case in {record.thread, record.message})
        )

    return fits


async def check(call: PageCall) -> web.StreamResponse:
    """Verify all records from their bytes, against the head that was signed last."""
    desk = await call.desk()
    try:
        return await _listed(call, desk, checked=await check_records(desk))
    except ComityError as problem:
        return await _listed(call, desk, problem)


async def sign_head(call: PageCall) -> web.StreamResponse:
    """The signed head, to be kept elsewhere."""
    desk = await call.desk()
    found = await sign_records_head(desk)
    return download(found["checkpoint"].encode(), "records-head.txt", "text/plain")


async def export(call: PageCall) -> web.StreamResponse:
    """All records for the supervisor."""
    return download(await export_records(await call.desk()), "records.zip", "application/zip")


# --- Why personal data are looked at ---


async def ask_reason(call: PageCall) -> web.StreamResponse:
    """The form in which an officer says why."""
    return _reason(call, await call.desk())


def _reason(call: PageCall, desk: Desk, problem: ComityError | None = None) -> web.Response:
    session = call.signed_in()
    values = {
        "back_to": call.text("back") or call.query("back") or "/",
        "purposes": [one.code for one in load_codes("record_purpose").entries],
        "purpose": call.text("purpose") or session.purpose,
        "reason": call.text("reason") or session.reason or "",
    }
    if problem is not None:
        return refuse(call, "lists/reason.html", desk, problem, **values)
    return show(call, "lists/reason.html", desk, **values)


async def keep_reason(call: PageCall) -> web.StreamResponse:
    """Keep why, for what is looked at from now on: until another is said, or the session is locked or ends."""
    desk, session = await call.desk(), call.signed_in()
    try:
        purpose, reason = check_purpose(call.text("purpose")), check_line(call.text("reason"), "a reason", "reason")
    except ComityError as problem:
        return _reason(call, desk, problem)
    session.purpose, session.reason = purpose, reason
    return call.go(call.text("back") or "/")


PAGES = (
    Page("GET", "/reason", ask_reason),
    Page("POST", "/reason", keep_reason),
    Page("GET", "/records", list_records),
    Page("POST", "/records/check", check),
    Page("POST", "/records/head", sign_head),
    Page("POST", "/records/export", export),
)

"""The pages of the auditor's view: logs, entries, messages, findings, reconciliation, proofs and reports."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from itertools import combinations
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web

from exchange.audit import proof_name
from exchange.audit.period import ALWAYS, Period
from exchange.audit.reconcile import Cited, reconcile
from exchange.audit.trace import TraceRow, sides_missing
from exchange.audit.verdict import Limit, Teller, headline, reasons
from exchange.audit.verify import VerifiedLog
from exchange.audit.words import event_text
from exchange.audit_pages.logs import AuditedLogs, entries, read
from exchange.audit_pages.report import report_html, report_pdf
from exchange.audit_pages.site import AuditCall, AuditPage
from keys.local.translation import _
from protocol.encoding.instants import parse_instant
from protocol.errors import (
    ComityError,
    LogUnavailableError,
    MalformedError,
    MirrorChangedError,
    NotFoundError,
    UsageError,
)
from protocol.event import Event, EventName

SHOWN = 500
# A file of proofs holds those of no more entries.
_MAX_PROOFS = 5_000
_MAX_DIGITS = 15


async def overview(call: AuditCall) -> web.StreamResponse:
    """All logs: what was verified, what is not known here, what is wrong."""
    return call.page("logs.html", **_verdict(call))


async def verify_again(call: AuditCall) -> web.StreamResponse:
    """Verify all mirrors again."""
    try:
        await call.site.logs.verify_again()
    except ComityError as problem:
        return call.refused("logs.html", problem, **_verdict(call))
    return call.go("/?done=verified")


async def browse(call: AuditCall) -> web.StreamResponse:
    """Entries of a log, in its order."""
    seen = call.site.logs.of(call.part("node"))
    kinds = [name.value for name in EventName]
    event = call.query("event") or None
    if event is not None and event not in kinds:
        raise UsageError(_("there is no event of that name"))
    first = _number(call.query("from") or "0")
    size = seen.log.tree.size
    if first and first >= size:
        raise NotFoundError(_("the log has no entry of that number; entries: {size}").format(size=size))
    choices = [("", _("all")), *((kind, f"{event_text(kind)} ({kind})") for kind in kinds)]
    page = entries(seen.log, first, event)
    return call.page("entries.html", seen=seen, page_of=page, first=first, event=event or "", choices=choices)


async def entry(call: AuditCall) -> web.StreamResponse:
    """One entry: what it says, and its proof."""
    seen = call.site.logs.of(call.part("node"))
    index = _index(call, seen.log.tree.size)
    said = read(seen.log, index)
    findings = [one for one in seen.log.findings if one.index == index]
    values: dict[str, Any] = {
        "seen": seen,
        "index": index,
        "said": said,
        "is_event": isinstance(said, Event),
        "findings": findings,
    }
    return call.page("entry.html", **values)


async def proof(call: AuditCall) -> web.StreamResponse:
    """The C2SP tlog-proof of an entry, or the entry itself, as a file."""
    log = call.site.logs.of(call.part("node")).log
    index = _index(call, log.tree.size)
    if call.part("what") == "proof":
        return call.file(f"{log.node}-{index}.tlog-proof", log.proof(index), "text/plain")
    return call.file(f"{log.node}-{index}.entry", log.entry(index), "application/cbor")


async def message(call: AuditCall) -> web.StreamResponse:
    """A message's way through all logs."""
    typed = call.query("id")
    if not typed:
        return call.page("message.html", rows=None, typed="")
    try:
        wanted = UUID(typed)
    except ValueError:
        return call.refused("message.html", UsageError(_("give the message's whole id")), rows=None, typed=typed)
    rows = call.site.logs.trace(wanted)
    unseen = sides_missing(rows, [one.log for one in call.site.logs.seen])
    return call.page("message.html", rows=rows, unseen=unseen, typed=str(wanted))


async def message_proofs(call: AuditCall) -> web.StreamResponse:
    """The entries of a message with their proofs, as one ZIP."""
    try:
        wanted = UUID(call.query("id"))
    except ValueError:
        raise UsageError(_("give the message's whole id")) from None
    rows = call.site.logs.trace(wanted)
    if not rows:
        raise NotFoundError(_("no entry that can be read here mentions this message"))
    return call.file(f"{wanted}-proofs.zip", _zip(call.site.logs, rows), "application/zip")


async def findings(call: AuditCall) -> web.StreamResponse:
    """All findings, log by log."""
    found = [
        (one.log.node, [(each, one.log.node) for each in one.log.findings], one.log.partial)
        for one in call.site.logs.seen
    ]
    return call.page("findings.html", found=found, most=SHOWN)


async def compare(call: AuditCall) -> web.StreamResponse:
    """Two logs, matched message by message."""
    nodes = [one.log.node for one in call.site.logs.seen]
    pairs = [(f"{first}:{second}", f"{first}, {second}") for first, second in combinations(nodes, 2)]
    asked = {name: call.query(name) for name in ("pair", "since", "until")}
    values: dict[str, Any] = {
        **asked,
        "pairs": pairs,
        "most": SHOWN,
        "onward": urlencode(asked),
    }
    if not asked["pair"]:
        return call.page("reconcile.html", result=None, **values)
    try:
        first, second = _pair(call)
        result = reconcile(first, second, _period(call))
    except ComityError as problem:
        return call.refused("reconcile.html", problem, result=None, **values)
    return call.page("reconcile.html", result=result, **values)


async def compare_proofs(call: AuditCall) -> web.StreamResponse:
    """The entries that a reconciliation rests on, with their proofs, as one ZIP."""
    first, second = _pair(call)
    result = reconcile(first, second, _period(call))
    cited = [one for row in result.rows for one in row.entries]
    if len(cited) > _MAX_PROOFS:
        raise UsageError(_("too many entries for one file; choose a shorter period"))
    return call.file(f"{first.node}-{second.node}-proofs.zip", _zip(call.site.logs, cited), "application/zip")


async def report(call: AuditCall) -> web.StreamResponse:
    """The report in numbers, to look at or to keep; none of a mirror that is not as it was verified."""
    for seen in call.site.logs.seen:
        if seen.stand().changed:
            raise seen.log.changed()
    made = report_pdf if call.part("form") == "pdf" else report_html
    media_type = "application/pdf" if call.part("form") == "pdf" else "text/html"
    content = await made(call.site.logs.seen, _period(call))
    return call.file(f"report.{call.part('form')}", content, media_type)


def _verdict(call: AuditCall) -> dict[str, Any]:
    """How far the logs are verified, for the front page: what is partial stands on every page already."""
    verdict, teller = call.site.logs.verdict(call.site.clock()), Teller.spoken()
    return {"headline": headline(verdict, teller), "reasons": reasons(verdict, teller, {Limit.PARTIAL})}


def _number(text: str) -> int:
    """A number of an entry; raises :class:`UsageError`."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise UsageError(_("the number of an entry has only digits"))
    return int(text)


def _index(call: AuditCall, size: int) -> int:
    index = _number(call.part("index"))
    if index >= size:
        raise NotFoundError(_("the log has no entry of that number; entries: {size}").format(size=size))
    return index


def _pair(call: AuditCall) -> tuple[VerifiedLog, VerifiedLog]:
    first, _colon, second = call.query("pair").partition(":")
    if first == second:
        raise UsageError(_("give two mirrors to reconcile"))
    return call.site.logs.of(first).log, call.site.logs.of(second).log


def _period(call: AuditCall) -> Period:
    since, until = (call.query(name) for name in ("since", "until"))
    if not since and not until:
        return ALWAYS
    try:
        return Period(parse_instant(since) if since else None, parse_instant(until) if until else None)
    except MalformedError as problem:
        raise UsageError(problem.detail) from None  # a person typed it: it is no data of the protocol


def _zip(logs: AuditedLogs, cited: Iterable[Cited | TraceRow]) -> bytes:
    """Each entry once, with its proof; where the mirror has only the hash of one, its proof alone."""
    written = io.BytesIO()
    wanted = {(one.node, one.index): one for one in cited}
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for (node, index), one in sorted(wanted.items()):
            log = logs.of(node).log
            archive.writestr(proof_name(one), log.proof(index))
            try:
                archive.writestr(f"{node}-{index}.entry", log.entry(index))
            except MirrorChangedError:
                raise
            except LogUnavailableError:
                archive.writestr(f"{node}-{index}.withheld.txt", "This mirror holds the hash of this entry alone.\n")
    return written.getvalue()


PAGES = (
    AuditPage("GET", "/", overview),
    AuditPage("POST", "/verify", verify_again),
    AuditPage("GET", "/logs/{node}", browse),
    AuditPage("GET", "/logs/{node}/{index}", entry),
    AuditPage("GET", "/logs/{node}/{index}/{what:proof|entry}", proof),
    AuditPage("GET", "/message", message),
    AuditPage("GET", "/message/proofs", message_proofs),
    AuditPage("GET", "/findings", findings),
    AuditPage("GET", "/reconcile", compare),
    AuditPage("GET", "/reconcile/proofs", compare_proofs),
    AuditPage("GET", "/report.{form:pdf|html}", report),
)

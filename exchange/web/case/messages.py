"""One message: as it is read, what proves it, and what is given out of it (letter, evidence)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from aiohttp import web

from exchange.acts.cases import CaseParts
from exchange.acts.evidence import LetterWishes, compose, give_bag, note_letter, require_copy
from exchange.desk.desk import Desk
from exchange.text.labels import code_label, how_far_label, nation_label
from exchange.views import Check, Direction, InboxRow, ShownMessage, VerificationReport
from exchange.web.calls import PageCall
from exchange.web.case._content import gone_out, read_lines
from exchange.web.case.acting import OfferedAct
from exchange.web.case.on_message import MessageActs, OfMessage, acts_on
from exchange.web.case.show import number_of
from exchange.web.forms.fields import code_options
from keys.local.translation import _
from protocol.errors import ComityError, ConditionsOpenError, StillUnderWayError
from protocol.lifecycle.folding import StandingState
from protocol.messages.types.consent import conditions_of

_READ, _PROOFS, _LETTER = "case/message.html", "case/proofs.html", "case/letter.html"


async def row_of(desk: Desk, call: PageCall) -> InboxRow:
    """The message that the path names; raises :class:`NotFoundError`."""
    return await desk.messages.row(await desk.messages.resolve(call.part("message")))


async def show(call: PageCall) -> web.StreamResponse:
    """The message, as an officer reads it. Its sender learns that it was opened when this page has gone out."""
    desk = await call.desk()
    row = await row_of(desk, call)
    if str(row.id) != call.part("message"):
        return call.go(f"/messages/{row.id}")
    try:
        shown = await desk.messages.read(row.id)
    except ComityError as problem:
        ways = []
        if isinstance(problem, ConditionsOpenError):
            ways = [
                OfferedAct(_("Accept the conditions"), f"/messages/{row.id}/do/accept-conditions", "primary"),
                OfferedAct(_("Decline them"), f"/messages/{row.id}/reply/condition.decline", "danger"),
            ]
        return call.refused(_READ, problem, **_head(row), far=(), parts_read=[], shown=None, acts=MessageActs(ways, ()))
    far = (await desk.cases.how_far([row.id]))[row.id]
    response = call.page(
        _READ,
        **_head(row),
        **read_lines(shown, number_of(call.query("from"))),
        far=far,
        how_far_label=how_far_label,
        acts=await _acts(call, desk, shown),
    )
    return await gone_out(call, desk, response, row)


def _head(row: InboxRow) -> dict[str, Any]:
    ours = row.direction is Direction.SENT
    nations = ", ".join(dict.fromkeys(nation_label(one.node) for one in (row.recipients if ours else (row.sender,))))
    what = code_label("message_type", row.type)
    text = _("{what} to {nation}") if ours else _("{what} from {nation}")
    return {"row": row, "title": text.format(what=what, nation=nations), "what": what, "ours": ours}


async def _acts(call: PageCall, desk: Desk, shown: ShownMessage) -> MessageActs:
    row = shown.row
    parts = await CaseParts.of(desk, row.thread)
    standing = shown.standing
    about = OfMessage(
        row,
        objections=await desk.messages.kept_from_all(row.id),
        under_conditions=any(conditions_of(shown.message)),
        taken_back=standing is not None and standing.state is StandingState.RETRACTED,
        not_anew=await _not_anew(desk, row),
    )
    return acts_on(about, parts, str(desk.address), call.now, desk.office.acting)


async def _not_anew(desk: Desk, row: InboxRow) -> str | None:
    """Why a message of this desk is not sent anew; empty where it may be."""
    if row.direction is not Direction.SENT:
        return None
    try:
        await desk.cases.resend_draft(row.id)
    except StillUnderWayError as problem:
        return problem.detail
    return ""


# --- Proofs ---


async def proofs(call: PageCall) -> web.StreamResponse:
    """What proves the message, judged again from the stored bytes."""
    return await _proofs(call, online=False)


async def ask_logs(call: PageCall) -> web.StreamResponse:
    """The same, with the logs asked as they are now."""
    return await _proofs(call, online=True)


async def _proofs(call: PageCall, *, online: bool, refusal: ComityError | None = None) -> web.Response:
    desk = await call.desk()
    row = await row_of(desk, call)
    try:
        report = await desk.evidence.verify(row.id, online=online)
    except ComityError as problem:
        return call.refused(_PROOFS, refusal or problem, **_head(row), report=None)
    values = {**_head(row), **_report(report), "online": online}
    values["purposes"] = code_options("record_purpose", empty=False)
    return call.refused(_PROOFS, refusal, **values) if refusal is not None else call.page(_PROOFS, **values)


def _report(report: VerificationReport) -> dict[str, Any]:
    return {
        "report": report,
        "digest": report.digest.hex(),
        "checks": [(_check_text(one.name), *_verdict(one)) for one in report.checks],
        "receipts": [
            {
                "event": code_label("receipt_event", one.receipt.event),
                "row": one.receipt,
                "checks": [
                    (_check_text(check.name), *_verdict(check))
                    for check in (one.inclusion, one.consistency, one.witnesses)
                ],
            }
            for one in report.receipts
        ],
    }


def _verdict(check: Check) -> tuple[str, str, str]:
    """(what it came to, its tone, why)."""
    if check.ok:
        return _("holds"), "good", ""
    why = _(check.detail) if check.detail else check.error or ""
    return (_("not checked"), "soon", why) if check.ok is None else (_("FAILS"), "harm", why)


def _check_text(name: str) -> str:
    return {
        "whole": _("The receipts fit together"),
        "signature": _("The sender's signature"),
        "dated": _("When it was signed"),
        "commitment": _("The sender committed to this content"),
        "content": _("The content names the same message"),
        "officer": _("The officer's own signature"),
        "inclusion": _("It stands in the log"),
        "consistency": _("The log still begins as it did"),
        "witnesses": _("Witnesses signed that log"),
    }.get(name, name)


async def evidence(call: PageCall) -> web.StreamResponse:
    """An evidence bag, given out: to whom and what for is recorded."""
    desk = await call.desk()
    row = await row_of(desk, call)
    disclose = call.text("disclose") == "yes"
    try:
        bag = await give_bag(desk, row.id, call.text("to"), call.text("purpose"), disclose=disclose)
    except ComityError as problem:
        return await _proofs(call, online=False, refusal=problem)
    return download(bag, f"evidence-{short(row.id)}.zip", "application/zip")


def short(message: UUID) -> str:
    """The end of an id, for a file's name."""
    return str(message)[-8:]


def kept_as(name: str) -> str:
    """What tells a browser to keep a file under ``name``, which is ours or made harmless, and not to show it."""
    return "; ".join(("attachment", f'filename="{name}"'))


def download(content: bytes, name: str, media_type: str) -> web.Response:
    """A file that the browser keeps and never shows; ``name`` is ours."""
    headers = {"Content-Disposition": kept_as(name)}
    return web.Response(body=content, content_type=media_type, headers=headers)


# --- Letters ---


async def letter_form(call: PageCall) -> web.StreamResponse:
    """The form of a letter."""
    desk = await call.desk()
    return call.page(_LETTER, **_head(await row_of(desk, call)), **_letter_choices(call))


def _letter_choices(call: PageCall) -> Mapping[str, Any]:
    return {"purposes": code_options("record_purpose", empty=True), "typed": call.form}


async def letter(call: PageCall) -> web.StreamResponse:
    """The message, or its case, as a formal letter; that it was given is recorded."""
    desk = await call.desk()
    row = await row_of(desk, call)
    copy = call.text("copy") == "yes"
    wishes = LetterWishes(
        case=call.text("case") == "yes",
        language=call.text("language") or "ours",
        disclosure=copy,
        fields=_lines(call.text("redact")) if copy else (),
        words=_lines(call.text("redact_words")) if copy else (),
        to=call.text("to") or None if copy else None,
        purpose=call.text("purpose") or None if copy else None,
    )
    try:
        require_copy(wishes)
        made = await compose(desk, row.id, wishes)
        await note_letter(desk, made)
    except ComityError as problem:
        return call.refused(_LETTER, problem, **_head(row), **_letter_choices(call))
    return download(made.content, f"letter-{short(row.id)}.pdf", "application/pdf")


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]

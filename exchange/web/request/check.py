"""The last page of a draft: all that keeps it from being sent, all that is worth a look, and the act itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from exchange.acts.calls import phone_card_object
from exchange.acts.drafting import takers_of
from exchange.acts.sending import may_be_passed_on, parts_written, send_in_parts
from exchange.cases.calls import PhoneCard
from exchange.text.labels import code_label, how_far_label, status_label
from exchange.views import SendStatus
from exchange.web.calls import Page, PageCall
from exchange.web.request.beside import as_they_read, both_laws, hints_shown, nation_at, nations_of
from exchange.web.request.drafts import OpenDraft, kept_draft, open_draft, opened, revision_of
from exchange.web.request.steps import frame, same_cases
from exchange.wizard.flow import without_custodian
from exchange.wizard.sections import page_with
from keys.local.translation import _
from protocol.address import Address
from protocol.errors import ComityError, DraftChangedError, InvalidMessageError
from protocol.messages.schema.problems import Problem
from protocol.messages.types.consent import waits_for_acceptance

_CHECK = "request/check.html"
_SENT = "request/sent.html"


@dataclass(frozen=True, slots=True)
class Hindrance:
    """One thing that keeps a draft from being sent, the article that asks, and where it is mended."""

    text: str
    rule: str
    question: str
    href: str


async def check(call: PageCall) -> web.StreamResponse:
    """Everything at once, before it is sent."""
    draft = await open_draft(call)
    if draft is None:
        return call.go(f"/drafts/{call.part('draft')}/sent")
    if draft.answer_path:
        return call.go(draft.answer_path)
    return await _checked(call, draft)


async def send(call: PageCall) -> web.StreamResponse:
    """Send what was looked at, or keep it for another officer to release. A draft is sent once."""
    draft = await open_draft(call)
    if draft is None:
        return call.go(f"/drafts/{call.part('draft')}/sent")
    if draft.kept.revision != revision_of(call):
        return await _checked(call, draft, DraftChangedError(_("the draft was saved again since you looked at it")))
    if await asyncio.to_thread(_problems, draft):
        return await _checked(call, draft)
    try:
        await send_in_parts(draft.desk, draft.to_send())
    except ComityError as problem:
        return await _checked(call, draft, problem)
    return call.go(f"{draft.path}/sent")


async def sent(call: PageCall) -> web.StreamResponse:
    """What became of a draft, and whom to call about it."""
    kept = await kept_draft(call)
    if kept.is_written:
        return call.go(f"/drafts/{kept.id}")
    desk = await call.desk()
    try:
        found = await desk.messages.sent_as(str(kept.id))
    except ComityError:
        found = []
    rows = [one for outcome in found for one in (outcome.children or (outcome,))]
    shown, calls = [], []
    far = await desk.cases.how_far(row.id for row in rows if row.status is not SendStatus.PROPOSED)
    for row in rows:
        to = (await desk.messages.row(row.id)).recipients if row.status is not SendStatus.PROPOSED else ()
        how = how_far_label(far[row.id]) if row.id in far else status_label(row.status)
        shown.append((row, how, ", ".join(dict.fromkeys(nation_at(desk, one, call.now) for one in to))))
        calls += [_phone(desk, address) for address in to]
    return call.page(
        _SENT,
        state=kept.state,
        outcomes=found,
        rows=shown,
        calls=[one for one in calls if one is not None],
        kind=code_label("message_type", kept.type),
        emergency=kept.type == "emergency.request",
    )


async def drop(call: PageCall) -> web.StreamResponse:
    """Throw a draft away."""
    desk = await call.desk()
    kept = await kept_draft(call)
    try:
        await desk.office.drop_draft(str(kept.id))
    except ComityError as problem:
        if not kept.is_written:
            raise
        return await _checked(call, await opened(call, kept), problem)
    return call.go("/drafts?done=draft-dropped")


# --- Inside ---


async def _checked(call: PageCall, draft: OpenDraft, problem: ComityError | None = None) -> web.Response:
    refusals, cautions, parts_count = await asyncio.to_thread(_judged, draft, problem)
    whole = await draft.desk.messages.signed_by(draft.form.wizard.message_draft())
    values: dict[str, Any] = {
        **await frame(draft, "check"),
        "refusals": refusals,
        "cautions": cautions,
        "same": await same_cases(draft),
        "not_searched": await draft.desk.cases.not_searched(),
        "laws": await both_laws(draft),
        "theirs": await asyncio.to_thread(as_they_read, draft, whole),
        "nations": nations_of(draft),
        "waits": False,
        "hints": [],
        "again": [],
        "too_long": False,
        "unable": _unable(draft),
        "offers": waits_for_acceptance(draft.form.wizard.message_draft()),
        "parts_count": parts_count,
    }
    if not refusals:
        try:
            values |= await _looked_at(draft)
        except ComityError as refused:
            problem = problem or refused
            values["refusals"] = await asyncio.to_thread(_refusals, draft, problem)
    if problem is not None:
        return call.refused(_CHECK, problem, **values)
    return call.page(_CHECK, **values)


def _judged(draft: OpenDraft, problem: ComityError | None) -> tuple[list[Hindrance], list[str], int]:
    """What keeps a draft from being sent, what would be useful in it, and as how many messages it goes."""
    cautions = [_(one) for one in draft.form.wizard.cautions()]
    return _refusals(draft, problem), cautions, len(parts_written(draft.form.wizard.message_draft()))


async def _looked_at(draft: OpenDraft) -> dict[str, Any]:
    """What is worth a look in a draft that lacks nothing."""
    wizard, desk = draft.form.wizard, draft.desk
    whole = wizard.draft_as_given()
    fit = (await asyncio.to_thread(wizard.room)).fit
    whole = {**whole, "targets": whole["targets"][:fit]} if whole.get("targets") else whole
    # The wizard says of the same targets which they are.
    told = {"no_custodian"} if without_custodian(wizard.message_draft()) else set()
    cautions = [one for one in await desk.cases.cautions_of_draft(whole) if one.code not in told]
    return {
        "hints": hints_shown(draft, await desk.cases.compare_laws(whole)),
        "again": list(dict.fromkeys(code_label(one.codes, one.code) for one in cautions)),
        "waits": await desk.messages.needs_release(wizard.message_draft()),
        "too_long": not await asyncio.to_thread(may_be_passed_on, whole),
    }


def _problems(draft: OpenDraft) -> list[Problem]:
    """What keeps a draft from being sent, perhaps as several messages that hold its targets."""
    found = draft.form.problems()
    if found and len(parts_written(draft.form.wizard.message_draft())) > 1:
        own = draft.form.wizard.problems()
        return [one for one in found if one not in own]
    return found


def _refusals(draft: OpenDraft, problem: ComityError | None) -> list[Hindrance]:
    found = _problems(draft)
    if isinstance(problem, InvalidMessageError):
        found += [one for one in problem.problems if one not in found]
    return [_refusal(draft, one) for one in dict.fromkeys(found)]


def _refusal(draft: OpenDraft, problem: tuple[str, str, str]) -> Hindrance:
    field, rule, text = problem
    wizard = draft.form.wizard
    if draft.is_files_alone:
        return Hindrance(_(text), _(rule), "", f"{draft.path}/files")
    step = wizard.step_named(field) or wizard.step_of(problem)
    page = page_with(wizard, step) if step is not None else draft.pages[-1].name
    anchor = "targets" if field == "lines" or field.startswith("targets") else ""
    if step is not None and not anchor and not step.name.startswith("each."):
        from exchange.web.request.fields import field_of

        anchor = field_of(draft.form, step, (), {}).id
    href = f"{draft.path}/{page}?missing=1#{anchor or 'targets'}"
    asks = _(rule) if rule and _(rule) not in _(text) else ""
    question = _(step.prompt) if step is not None and step.prompt != text else ""
    return Hindrance(_(text), asks, question, href)


def _unable(draft: OpenDraft) -> list[tuple[str, str]]:
    """Whom it cannot go to though it names them, and why."""
    to = {str(one) for one in draft.form.wizard.draft.get("to") or ()}
    takers = takers_of(draft.desk, draft.kept.type, draft.now)
    return [(one.partner.address, _(one.why_not)) for one in takers if one.why_not and one.partner.address in to]


def _phone(desk: Any, address: Address) -> Any:
    try:
        return phone_card_object(PhoneCard.of(desk.directory, address))
    except ComityError:
        return None


PAGES = (
    Page("GET", "/drafts/{draft}/check", check),
    Page("POST", "/drafts/{draft}/send", send),
    Page("GET", "/drafts/{draft}/sent", sent),
    Page("POST", "/drafts/{draft}/drop", drop),
)

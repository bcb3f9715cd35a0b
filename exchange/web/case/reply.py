"""Writing a reply of any type by its own fields, and correcting what this desk sent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from exchange.cases.legal_comparison import profile_at_hand
from exchange.desk.desk import Desk
from exchange.messaging.once import under_key
from exchange.text.labels import code_label, field_label, with_rule
from exchange.views import Direction
from exchange.web.calls import PageCall
from exchange.web.case._targets import with_identifiers
from exchange.web.case.do import ActPlace, done_code, judged_in, judging, place_on_case, place_on_message
from exchange.web.case.words import ANSWERS, reply_text
from exchange.web.forms.fields import PageField, PageGroup, PageRows, Typed, choice_of, once_of, typed_in
from exchange.web.forms.model_form import ModelForm, Problems, merged, names_targets
from exchange.wizard.legal_replies import TargetChoice, reply_standings, target_choice
from keys.local.translation import _, labelled
from protocol.encoding.phrase import phrase
from protocol.errors import (
    ComityError,
    ForbiddenError,
    InvalidMessageError,
    NotFoundError,
    NothingOpenError,
    UsageError,
)
from protocol.lifecycle.preservation import PreservationCase
from protocol.messages.corrections import own_fields
from protocol.messages.handling_rules import REQUESTS
from protocol.messages.parse import check_outgoing
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.types.correcting import Correction

TEMPLATE, CORRECT = "case/reply.html", "case/correct.html"
# Types that are replies in name alone: they have an act, or a page of their own.
_ELSEWHERE = frozenset(
    {
        *("correction", "retract", "forward", "misdirected", "note", "consent.request", "consent.reply", "closure"),
        *("consultation.open", "consultation.close", "follow-up.confirmed", "data-protection.notice", "out-of-order"),
        *("contact.test", "contact.test-reply", "acknowledgement", "condition.accept"),
    }
)
# In a correction, the problems of the message that it corrects stand under this.
_CORRECTED = "message."
# The network's own period, where the law of the other side names none.
_DAYS = 90


def reply_model(kind: str) -> type[BaseModel]:
    """The model of a type that is written by its fields; raises :class:`NotFoundError`."""
    model = MESSAGE_TYPES.get(kind)
    if model is None or kind in _ELSEWHERE or "in_reply_to" not in model.model_fields:
        raise NotFoundError(phrase("there is no such page"))
    return model


async def show_on_case(call: PageCall) -> web.StreamResponse:
    """The form of a reply in a case."""
    desk, kind = await call.desk(), call.part("type")
    reply_model(kind)
    place = await place_on_case(desk, call.part("thread"), f"reply/{kind}", ANSWERS.get(kind, ()))
    return await _form(call, desk, kind, place)


async def send_on_case(call: PageCall) -> web.StreamResponse:
    """Send a reply in a case."""
    desk, kind = await call.desk(), call.part("type")
    reply_model(kind)
    place = await place_on_case(desk, call.part("thread"), f"reply/{kind}", ANSWERS.get(kind, ()))
    return await _send(call, desk, kind, place)


async def show_on_message(call: PageCall) -> web.StreamResponse:
    """The form of a reply to one message."""
    desk, kind = await call.desk(), call.part("type")
    reply_model(kind)
    return await _form(call, desk, kind, await place_on_message(desk, call.part("message"), f"reply/{kind}"))


async def send_on_message(call: PageCall) -> web.StreamResponse:
    """Send a reply to one message."""
    desk, kind = await call.desk(), call.part("type")
    reply_model(kind)
    return await _send(call, desk, kind, await place_on_message(desk, call.part("message"), f"reply/{kind}"))


async def _form(call: PageCall, desk: Desk, kind: str, place: ActPlace) -> web.StreamResponse:
    form = await _form_of(call, desk, kind, place)
    values = await _presets(call, desk, kind, place)
    shown = form.shown(values)
    if place.subject is None:
        return call.refused(TEMPLATE, NothingOpenError(), **_values(call, kind, place, shown))
    judged = place.theirs if kind in ANSWERS else None
    return await judging(call, desk, TEMPLATE, judged, **_values(call, kind, place, shown))


async def _form_of(call: PageCall, desk: Desk, kind: str, place: ActPlace) -> ModelForm:
    about = place.subject.id if place.subject is not None else None
    model = reply_model(kind)
    choice = await choice_of(desk, place.thread, kind, call.now, about)
    if names_targets(model):
        choice = await with_identifiers(desk, place.thread, choice)
    return ModelForm(model, choice)


async def _send(call: PageCall, desk: Desk, kind: str, place: ActPlace) -> web.StreamResponse:
    form, typed = await _form_of(call, desk, kind, place), typed_in(call, desk.address)
    if place.subject is None:
        return call.refused(TEMPLATE, NothingOpenError(), **_values(call, kind, place, form.shown({}, typed)))
    fields = form.read(typed)
    if call.text("_add"):
        return call.page(TEMPLATE, **_values(call, kind, place, form.shown({}, typed)))
    try:
        draft = await desk.replies.draft(place.subject.id, kind, **fields)
        await asyncio.to_thread(refuse_problems, await desk.messages.filled(draft), typed)
        with under_key(call.text("once") or None):
            sent = await desk.messages.send(draft)
    except ComityError as problem:
        group, rest = marked(form, typed, problem)
        values = _values(call, kind, place, group)
        read = await judged_in(desk, place, ANSWERS.get(kind, ()))
        return call.refused(TEMPLATE, problem, **{**values, "rest": rest, "read": read})
    return call.go(f"{place.back}?done={done_code(sent)}")


def refuse_problems(draft: Mapping[str, Any], typed: Typed) -> None:
    """Return if a draft can be sent as it was typed; raises :class:`InvalidMessageError` with all that it lacks."""
    problems = tuple(check_outgoing(draft))
    if problems or typed.errors:
        raise InvalidMessageError(_("Look at what is marked, and send it again."), problems)


def marked(form: ModelForm, typed: Typed, problem: ComityError) -> tuple[PageGroup, list[str]]:
    """The form with the problems beside their fields, and those that no field of it has."""
    problems: Problems = {}
    if isinstance(problem, InvalidMessageError):
        problems = {name.removeprefix(_CORRECTED): (text, rule) for name, rule, text in problem.problems}
    group = form.shown({}, typed, problems)
    names = {f"f.{name}" for name in problems} - set(names_in(group))
    rest = [_of_a_part(name[2:], *problems[name[2:]]) for name in sorted(names)]
    return group, rest


def _of_a_part(name: str, text: str, rule: str) -> str:
    """A problem of something that is no single field: by the name of its last part."""
    told = with_rule(text, rule)
    named = [part for part in name.split(".") if not part.isdigit()]
    return labelled(field_label(named[-1]), told) if named else told


def names_in(part: PageField | PageGroup | PageRows) -> list[str]:
    """The names of a part of a form and of all that is in it."""
    if isinstance(part, PageField):
        return [part.name]
    inner: Sequence[Any] = part.rows if isinstance(part, PageRows) else [*part.fields, *part.more]
    return [part.name, *(name for one in inner for name in names_in(one))]


def _values(call: PageCall, kind: str, place: ActPlace, group: PageGroup) -> dict[str, Any]:
    subject = place.subject
    return {
        "kind": kind,
        "title": reply_text(kind) or code_label("message_type", kind),
        "type_label": code_label("message_type", kind),
        "place": place,
        "group": group,
        "once": once_of(call),
        "what": code_label("message_type", subject.type) if subject is not None else "",
        "rest": [],
        "read": None,
    }


async def _presets(call: PageCall, desk: Desk, kind: str, place: ActPlace) -> dict[str, Any]:
    """What a form begins with: the targets for which the reply is legal, and the period that the law of the other
    side names.
    """
    try:
        cases = await desk.cases.by_nation(place.thread)
    except ComityError:
        return {}
    found: dict[str, Any] = {}
    own = str(desk.address)
    for case in list(cases.values())[:1]:
        ours = case.opening is not None and case.opening.by == own
        standing = next((one for one in reply_standings(case, ours=ours, now=call.now) if one.type == kind), None)
        if "targets" in MESSAGE_TYPES[kind].model_fields and standing is not None:
            about = place.subject.id if place.subject is not None else None
            found["targets"] = list(target_choice([case], kind, own=own, now=call.now, about=about).possible)
        if kind == "preservation.extend" and isinstance(case, PreservationCase) and case.opening is not None:
            node = case.opening.requested[0].partition("@")[2] if case.opening.requested else ""
            known = profile_at_hand(desk.directory, node)
            rule = known.profile.preservation_under(case.opening.instrument or "") if known is not None else None
            days = (rule.extension_days or rule.minimum_days) if rule is not None else _DAYS
            begins = case.expires_at or call.now
            found["until"] = begins + timedelta(days=days)
    if "previous_reference" in MESSAGE_TYPES[kind].model_fields and place.subject is not None:
        found["previous_reference"] = place.subject.own_reference or ""
    return found


# --- Correcting ---


async def show_correction(call: PageCall) -> web.StreamResponse:
    """The form of a correction: the message as it stands, to be changed."""
    desk = await call.desk()
    place = await place_on_message(desk, call.part("message"), "correct")
    form, content = await _correctable(desk, place)
    return call.page(CORRECT, **_values(call, "correction", place, form.shown(content)), reason="")


async def correct(call: PageCall) -> web.StreamResponse:
    """Send a correction: what differs from the message as it stands."""
    desk = await call.desk()
    place = await place_on_message(desk, call.part("message"), "correct")
    form, content = await _correctable(desk, place)
    typed = typed_in(call, desk.address)
    fields = form.read(typed)
    values = {**_values(call, "correction", place, form.shown({}, typed)), "reason": call.text("reason")}
    if call.text("_add"):
        return call.page(CORRECT, **values)
    before = form.read(replace(typed, texts=form.flat(content), errors={}))
    changes = {
        name: merged(content.get(name), before.get(name), value)
        for name, value in fields.items()
        if before.get(name) != value
    }
    changes |= dict.fromkeys(before.keys() - fields.keys())
    try:
        if not call.text("reason"):
            raise UsageError(_("Fill in this field.")).at("reason")
        if typed.errors:
            raise InvalidMessageError(_("Look at what is marked, and send it again."))
        if not changes:
            raise InvalidMessageError(_("Nothing was changed: there is nothing to correct."))
        with under_key(call.text("once") or None):
            sent = await desk.replies.correct(place.message.id, changes, reason=call.text("reason"))
    except ComityError as problem:
        group, rest = marked(form, typed, problem)
        return call.refused(CORRECT, problem, **{**values, "group": group, "rest": rest})
    return call.go(f"{place.back}?done={done_code(sent)}")


async def _correctable(desk: Desk, place: ActPlace) -> tuple[ModelForm, dict[str, Any]]:
    """The form of a message of this desk, and what it says; raises :class:`ForbiddenError` as correcting does."""
    row = place.subject
    if row is None or row.direction is not Direction.SENT:
        raise ForbiddenError(phrase("only the sender of a message corrects it or takes it back"))
    shown = await desk.messages.read(row.id)
    message = shown.message
    if isinstance(message, Correction):
        kind, content = shown.original.type if shown.original is not None else row.type, dict(message.message)
    else:
        kind, content = message.type, own_fields(message)
    # The corrected version is judged in the place of the first one: what was open then can be named.
    choice = await choice_of(desk, place.thread, kind, row.sent_at, row.in_reply_to, before=row.id)
    if kind in REQUESTS:
        choice = TargetChoice()  # a request names its own targets
    return ModelForm(MESSAGE_TYPES[kind], choice), content

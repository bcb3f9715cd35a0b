"""All that was asked of several nations: the case with each, and saying the same in all of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from aiohttp import web

from exchange.acts.cases import find_parent
from exchange.desk.desk import Desk
from exchange.messaging.once import under_key
from exchange.text.labels import nation_label
from exchange.web.calls import PageCall
from exchange.web.case.do import done_code
from exchange.web.case.words import SAID_TO_ALL, reply_text
from exchange.web.forms.fields import once_of, typed_in
from exchange.web.forms.model_form import ModelForm
from exchange.wizard.legal_replies import TargetChoice
from keys.local.translation import _
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, NotFoundError, UsageError
from protocol.messages.registry import MESSAGE_TYPES

_SAY = "case/say.html"


async def show(call: PageCall) -> web.StreamResponse:
    """The form of what is said to all, or to some."""
    desk, kind = await call.desk(), _kind_of(call)
    parent = await find_parent(desk, call.part("thread"))
    return call.page(
        _SAY, **await _values(call, desk, parent, kind), group=ModelForm(MESSAGE_TYPES[kind], TargetChoice()).shown({})
    )


async def say(call: PageCall) -> web.StreamResponse:
    """Say it: a message in the case with each, at instants of their own, so that none learns of the others."""
    desk, kind = await call.desk(), _kind_of(call)
    parent = await find_parent(desk, call.part("thread"))
    form, typed = ModelForm(MESSAGE_TYPES[kind], TargetChoice()), typed_in(call, desk.address)
    fields, nations = form.read(typed), typed.several("nations")
    try:
        if typed.errors or not nations:
            raise UsageError(_("Choose the nations, and look at what is marked."))
        with under_key(call.text("once") or None):
            sent = await desk.parents.say(parent, kind, fields, nations=nations)
    except ComityError as problem:
        values = await _values(call, desk, parent, kind)
        return call.refused(_SAY, problem, **{**values, "group": form.shown({}, typed), "chosen": nations})
    return call.go(f"/cases/{parent}?done={done_code(sent[-1])}")


def _kind_of(call: PageCall) -> str:
    kind = call.part("type")
    if kind not in SAID_TO_ALL:
        raise NotFoundError(phrase("there is no such page"))
    return kind


async def _values(call: PageCall, desk: Desk, parent: UUID, kind: str) -> dict[str, Any]:
    view = await desk.parents.view(parent)
    nations = [child.nation for child in view.children]
    return {
        "title": reply_text(kind),
        "path_to": f"/cases/{parent}/say/{kind}",
        "back_to": f"/cases/{parent}",
        "nations": [(nation, nation_label(nation)) for nation in nations],
        "chosen": nations,
        "once": once_of(call),
    }

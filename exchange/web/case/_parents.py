"""All that was asked of several nations: saying the same in the case with each, and keeping back what has not left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from aiohttp import web

from exchange.acts.cases import find_parent
from exchange.cases.parents import ParentView
from exchange.desk.desk import Desk
from exchange.messaging.once import under_key
from exchange.text.labels import code_label, deadline_label, how_far_label, nation_label, state_label
from exchange.views import SendStatus
from exchange.web.calls import PageCall
from exchange.web.case.do import done_code
from exchange.web.case.reply import marked
from exchange.web.case.words import SAID_TO_ALL, reply_text
from exchange.web.forms.acts import ACTS
from exchange.web.forms.fields import once_of, typed_in, with_typed
from exchange.web.forms.model_form import ModelForm
from exchange.web.forms.signature_form import SignatureForm
from exchange.wizard.legal_replies import TargetChoice
from keys.local.translation import _
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, NotFoundError, NothingOpenError, UsageError
from protocol.messages.registry import MESSAGE_TYPES

_SAY = "case/say.html"
_KEEP_BACK = ACTS["call-off"]


async def show(call: PageCall) -> web.StreamResponse:
    """How the case with each nation stands."""
    desk = await call.desk()
    view = await desk.parents.view(await find_parent(desk, call.part("parent")))
    far = await desk.cases.how_far(child.thread for child in view.children)
    nations = {child.nation: nation_label(child.nation) for child in view.children}
    return call.page(
        "case/parent.html",
        view=view,
        title=_("{what} to {nation}").format(
            what=code_label("message_type", view.type), nation=", ".join(nations.values())
        ),
        state=state_label(view.state),
        state_label=state_label,
        nations=nations,
        far={thread: how_far_label(found) for thread, found in far.items()},
        deadline_label=deadline_label,
        said=[(kind, reply_text(kind)) for kind in SAID_TO_ALL],
        waiting=_waiting(view),
    )


async def show_say(call: PageCall) -> web.StreamResponse:
    """The form of what is said to all, or to some."""
    desk, kind = await call.desk(), _kind_of(call)
    parent = await find_parent(desk, call.part("parent"))
    return call.page(
        _SAY, **await _values(call, desk, parent, kind), group=ModelForm(MESSAGE_TYPES[kind], TargetChoice()).shown({})
    )


async def say(call: PageCall) -> web.StreamResponse:
    """Say it: a message in the case with each, at instants of their own, so that none learns of the others."""
    desk, kind = await call.desk(), _kind_of(call)
    parent = await find_parent(desk, call.part("parent"))
    form, typed = ModelForm(MESSAGE_TYPES[kind], TargetChoice()), typed_in(call, desk.address)
    fields, nations = form.read(typed), typed.several("nations")
    try:
        _require_some(nations)
        if typed.errors:
            raise UsageError(_("Look at what is marked, and send it again."))
        with under_key(call.text("once") or None):
            sent = await desk.parents.say(parent, kind, fields, nations=nations)
    except ComityError as problem:
        values = await _values(call, desk, parent, kind)
        group, rest = marked(form, typed, problem)
        return call.refused(_SAY, problem, **{**values, "group": group, "rest": rest, "chosen": nations})
    return call.go(f"/parents/{parent}?done={done_code(sent[-1])}")


async def show_keep_back(call: PageCall) -> web.StreamResponse:
    """The form by which nothing goes to some nations that has not gone yet."""
    desk = await call.desk()
    parent = await find_parent(desk, call.part("parent"))
    values = await _keeping(call, desk, parent)
    if not values["nations"]:
        return call.refused(_SAY, NothingOpenError(), **values)
    return call.page(_SAY, **values)


async def keep_back(call: PageCall) -> web.StreamResponse:
    """Keep it back."""
    desk = await call.desk()
    parent = await find_parent(desk, call.part("parent"))
    typed = typed_in(call, desk.address)
    nations = typed.several("nations")
    try:
        _require_some(nations)
        view = await desk.parents.call_off(parent, typed.one("reason").strip() or None, nations=nations)
        left = [
            nation_label(child.nation)
            for child in view.children
            if child.nation in nations and child.status is not SendStatus.CALLED_OFF
        ]
        if left:
            text = _("It left before, to: {nations}. To the others that you chose it does not go.")
            raise UsageError(text.format(nations=", ".join(left)))
    except ComityError as problem:
        values = await _keeping(call, desk, parent)
        fields = with_typed(values["fields"], typed)
        return call.refused(_SAY, problem, **{**values, "fields": fields, "chosen": nations})
    return call.go(f"/parents/{parent}?done=case-{_KEEP_BACK.done}")


def _require_some(nations: Sequence[str]) -> None:
    """Return where a nation is chosen; raises :class:`UsageError`."""
    if not nations:
        raise UsageError(_("Choose the nations.")).at("nations")


def _waiting(view: ParentView) -> list[str]:
    """The nations to which nothing went yet."""
    return [child.nation for child in view.children if child.status is SendStatus.SCHEDULED]


def _kind_of(call: PageCall) -> str:
    kind = call.part("type")
    if kind not in SAID_TO_ALL:
        raise NotFoundError(phrase("there is no such page"))
    return kind


async def _values(call: PageCall, desk: Desk, parent: UUID, kind: str) -> dict[str, Any]:
    view = await desk.parents.view(parent)
    return {
        **_form(call, f"/parents/{parent}", f"say/{kind}", [child.nation for child in view.children]),
        "title": reply_text(kind),
        "about": _(
            "A message goes in the case with each nation, at an instant of its own, so that none learns of the others."
        ),
        "button": _("Send to each of them"),
        "danger": False,
        "fields": (),
        "rest": [],
    }


async def _keeping(call: PageCall, desk: Desk, parent: UUID) -> dict[str, Any]:
    return {
        **_form(call, f"/parents/{parent}", "keep-back", _waiting(await desk.parents.view(parent))),
        "title": _(_KEEP_BACK.title),
        "about": _(_KEEP_BACK.about),
        "button": _(_KEEP_BACK.button),
        "danger": True,
        "group": None,
        "fields": SignatureForm(_KEEP_BACK).fields(),
        "rest": [],
    }


def _form(call: PageCall, parent: str, page: str, nations: Sequence[str]) -> dict[str, Any]:
    """What each form about several nations has: where it goes, and the nations, all chosen at first."""
    return {
        "path_to": f"{parent}/{page}",
        "back_to": parent,
        "nations": [(nation, nation_label(nation)) for nation in nations],
        "chosen": nations,
        "once": once_of(call),
    }

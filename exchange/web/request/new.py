"""``/new``: what is to be written, and to whom; a draft is begun, and nothing is sent."""

from __future__ import annotations

from uuid import UUID, uuid4, uuid5

from aiohttp import web

from exchange.acts.drafting import situation_of, takers_of
from exchange.text.labels import code_label
from exchange.text.zones import shown_zone
from exchange.web.calls import Page, PageCall
from exchange.web.request.drafts import know_everybody
from exchange.wizard.flow import WIZARD_TYPES, Wizard
from exchange.wizard.forms import TypedForm
from exchange.wizard.sections import WizardSection, pages_of, steps_in
from keys.local.translation import _
from protocol.errors import ComityError, FormError, NothingOpenError

_TEMPLATE = "request/new.html"
_MOST_NAMED = 20


async def show(call: PageCall) -> web.StreamResponse:
    """The kinds of message that begin a case; ``?to=`` names whom it is for."""
    await call.desk()
    return call.page(_TEMPLATE, kinds=_kinds(), once=str(uuid4()), to=_wanted(call.query("to")))


async def begin(call: PageCall) -> web.StreamResponse:
    """Begin a draft of a kind. Sent again, the form leads to the draft that it made."""
    desk = await call.desk()
    kind, to = call.text("kind"), _wanted(call.text("to"))
    if kind not in WIZARD_TYPES:
        raise FormError
    try:
        # Of the form and the kind: who goes back and chooses another kind has another draft.
        draft = uuid5(UUID(call.text("once")), kind)
    except ValueError:
        raise FormError from None
    if not any(not one.why_not for one in takers_of(desk, kind, call.now)):
        await know_everybody(desk)  # a desk that is new has dealt with nobody yet
    wizard = Wizard.begin(kind, await situation_of(desk, kind, shown_zone(), call.now))
    form = TypedForm(wizard, {})
    usable = [one.partner.address for one in takers_of(desk, kind, call.now) if not one.why_not]
    if to:  # contact points, or nations by the names of their nodes
        form = form.filled({"to": ", ".join(one for one in usable if {one, one.partition("@")[2]} & set(to))})
    for step in steps_in(wizard, (WizardSection.NATION,)):
        if step.name != "to" and (text := step.proposed(form.wizard.draft, wizard.situation)):
            form = form.filled({step.name: text})
    try:
        await desk.messages.save_draft(form.to_draft(), draft_id=draft, revision=0)
    except NothingOpenError:
        return call.go(f"/drafts/{draft}/sent")
    except ComityError as problem:
        if problem.code != "draft-changed":
            return call.refused(_TEMPLATE, problem, kinds=_kinds(), once=str(uuid4()), to=to)
    return call.go(f"/drafts/{draft}/{pages_of(kind)[0].name}")


def _wanted(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()][:_MOST_NAMED]


def _kinds() -> list[tuple[str, str, str]]:
    """Each kind with its name and what it is for."""
    said = {
        "preservation.request": _("Data are to be kept as they are until a treaty request follows."),
        "emergency.request": _("A life or somebody's safety is in danger, and data are needed now."),
        "assistance.request": _("Data are to be disclosed, or something else is to be done."),
        "information.spontaneous": _("You know something that helps the other State."),
        "contact.test": _("Does somebody answer there?"),
        "note": _("A word about the service: a number, a holiday, a meeting."),
        "incident": _("Something happened to what another State gave you."),
    }
    return [(one, code_label("message_type", one), said.get(one, "")) for one in WIZARD_TYPES]


PAGES = (Page("GET", "/new", show), Page("POST", "/new", begin))

"""Answering a request: a preservation for all its targets at once, and data with their authorisation and files.

The grid begins with what the law of this nation presets. An answer that gives data is a draft, so that files of any
size can be attached to it; its authorisation stands first.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from aiohttp import web

from exchange.cases.legal_comparison import profile_at_hand
from exchange.cases.threads import targets_of_case
from exchange.desk.desk import Desk
from exchange.messaging.once import under_key
from exchange.office.draft_ids import DRAFT_ID
from exchange.text.labels import reason_label, state_label, target_ranges, target_state_label, with_rule
from exchange.web.calls import PageCall
from exchange.web.case._targets import identifiers_of
from exchange.web.case.do import ActPlace, done_code, place_on_case
from exchange.web.case.reply import names_in, refuse_problems
from exchange.web.forms.fields import (
    PageField,
    PageGroup,
    Typed,
    barred_lines,
    code_options,
    instant_hint,
    instant_value,
    once_of,
    typed_in,
)
from exchange.web.forms.model_form import ModelForm
from exchange.wizard.answers import named_targets
from exchange.wizard.legal_replies import ReplyStanding, TargetChoice, reply_standings, target_choice
from keys.local.translation import _
from protocol.encoding.instants import to_text
from protocol.errors import ComityError, InvalidMessageError, NothingOpenError, UsageError
from protocol.lifecycle.case import AnyCase
from protocol.lifecycle.possible import state_met
from protocol.lifecycle.preservation import PreservationCase
from protocol.messages.schema.base import Reply
from protocol.messages.types.answer import Answer, AnswerItem

GRID, DATA = "case/answer.html", "case/data.html"
_DAYS = 60
_PRESERVED = frozenset({"preserved", "partly_preserved"})
_OF_ITEMS = frozenset({"items"})
_OF_THE_FILE = frozenset({"item", "hash", "size_bytes", "attachment", "files", "certificate", "available_at"})
# Of more targets than that none has a row of its own: lines say of which targets they are.
_MOST_ROWS = 40
_MOST_LINES = 40
_CELLS = ("result", "preserved_at", "expires_at", "provider_reference", "scope", "ground", "text")


@dataclass(frozen=True, slots=True)
class GridRow:
    """One target of the grid, with its cells; ``why`` where nothing can be said of it now."""

    name: str
    kind: str
    value: str
    state: str
    cells: Sequence[PageField] = ()
    why: str = ""


async def show(call: PageCall) -> web.StreamResponse:
    """The form that fits the case: the grid of a preservation, or the answer that gives data."""
    desk = await call.desk()
    place, case = await _asked(call, desk)
    if _gives_data(call, case):
        return await _show_data(call, desk, place, case)
    return call.page(GRID, **await _grid(call, desk, place, case, None))


async def send(call: PageCall) -> web.StreamResponse:
    """Send the answer."""
    desk = await call.desk()
    place, case = await _asked(call, desk)
    if _gives_data(call, case):
        return await _send_data(call, desk, place, case)
    typed = typed_in(call, desk.address)
    lines = _in_lines(case)
    if call.text("_add"):
        return call.page(GRID, **await _grid(call, desk, place, case, typed))
    if call.text("_fill"):
        return call.page(GRID, **await _grid(call, desk, place, case, _filled(typed)))
    targets: list[dict[str, Any]] = []
    try:
        targets = await _of_lines(call, desk, place, case, typed) if lines else _targets(typed)
        if typed.errors:
            raise UsageError(_("Look at what is marked, and send it again."))
        if not targets:
            raise UsageError(_("Say the result of one target at least. The others stay open."))
        with under_key(call.text("once") or None):
            said = [{name: value for name, value in one.items() if name != _LINE} for one in targets]
            sent = await desk.replies.answer(_subject(place), said, own_reference=call.text("own_reference") or None)
    except ComityError as problem:
        named = [str(one.get(_LINE) or one.get("target", "")) for one in targets]
        rest = _beside_cells(problem, named, typed)
        values = await _grid(call, desk, place, case, typed)
        return call.refused(GRID, problem, **{**values, "rest": rest})
    return call.go(f"{place.back}?done={done_code(sent)}")


async def _asked(call: PageCall, desk: Desk) -> tuple[ActPlace, AnyCase]:
    """What is answered: the request, or the last extension that was asked for; raises :class:`NothingOpenError`."""
    place = await place_on_case(desk, call.part("thread"), "answer")
    cases = await desk.cases.by_nation(place.thread)
    case = next(iter(cases.values()))
    if case.opening is None or case.opening.by == str(desk.address) or place.subject is None:
        raise NothingOpenError(_("this desk asked itself: the other side answers"))
    wanted = any(getattr(target, "wanted_until", None) is not None for target in targets_of_case(case))
    if wanted:
        extension = await place_on_case(desk, call.part("thread"), "answer", ("preservation.extend",))
        place = extension if extension.subject is not None else place
    return place, case


def _gives_data(call: PageCall, case: AnyCase) -> bool:
    return not isinstance(case, PreservationCase) or call.query("as", call.text("as")) == "answer"


def _subject(place: ActPlace) -> UUID:
    if place.subject is None:
        raise NothingOpenError
    return place.subject.id


# --- The grid of a preservation ---


async def _grid(call: PageCall, desk: Desk, place: ActPlace, case: AnyCase, typed: Typed | None) -> dict[str, Any]:
    return await asyncio.to_thread(_grid_values, call, desk, place, case, typed, await _identifiers(desk, place))


def _grid_values(
    call: PageCall,
    desk: Desk,
    place: ActPlace,
    case: AnyCase,
    typed: Typed | None,
    about: Mapping[str, tuple[str, str]],
) -> dict[str, Any]:
    choice = target_choice(
        [case],
        "preservation.answer",
        own=str(desk.address),
        now=call.now,
        about=place.subject.id if place.subject is not None else None,
    )
    days, source = _period(desk, case)
    lines = _in_lines(case)
    return {
        "place": place,
        "lines": _lines(call, typed, max(days, _least(case))) if lines else [],
        "many": [_listed(call, case, target, about.get(target.name, ("", "")), choice) for target in case.targets]
        if lines
        else [],
        "barred": barred_lines(choice) if lines else (),
        "rows": [
            _row(call, case, target, about.get(target.name, ("", "")), choice, max(days, _least(case)), typed)
            for target in (() if lines else targets_of_case(case))
        ],
        "results": code_options("preservation_result", empty=True),
        "days": max(days, _least(case)),
        "source": source,
        "hint": instant_hint(),
        "once": once_of(call),
        "reference": call.text("own_reference"),
        "followed_up": any(getattr(target, "follow_ups", ()) for target in targets_of_case(case)),
        "rest": [],
    }


def _row(
    call: PageCall,
    case: AnyCase,
    target: Any,
    about: tuple[str, str],
    choice: TargetChoice,
    days: int,
    typed: Typed | None,
) -> GridRow:
    at = str(state_met(case, target, call.now))
    state = target_state_label(at, getattr(target, "partly", False))
    reason = choice.barred.get(target.name)
    if reason is not None:
        return GridRow(
            target.name, *about, state, why=_("nothing can be said of it now: {why}").format(why=reason_label(reason))
        )
    if typed is not None:
        said = {cell: typed.one(f"{target.name}.{cell}") for cell in _CELLS}
        errors = {cell: typed.errors.get(f"{target.name}.{cell}", "") for cell in _CELLS}
    else:
        until = target.wanted_until or call.now + timedelta(days=days)
        said = {"preserved_at": instant_value(target.preserved_at or call.now), "expires_at": instant_value(until)}
        errors = {}
    return GridRow(target.name, *about, state, _cells(target.name, said, errors))


_LINE = "_line"


def _in_lines(case: AnyCase) -> bool:
    """Whether there are too many targets for a row each."""
    return len(targets_of_case(case)) > _MOST_ROWS


def _listed(call: PageCall, case: AnyCase, target: Any, about: tuple[str, str], choice: TargetChoice) -> GridRow:
    """One of many targets, to be looked up."""
    state = target_state_label(str(state_met(case, target, call.now)), getattr(target, "partly", False))
    reason = choice.barred.get(target.name)
    return GridRow(target.name, *about, state, why=reason_label(reason) if reason is not None else "")


def _line_numbers(typed: Typed) -> list[int]:
    """The lines of a form, in order; a button asks for one more."""
    found = sorted({int(name[1 : name.index(".")]) for name in typed.texts if _OF_A_LINE.fullmatch(name)})
    return found[:_MOST_LINES]


def _lines(call: PageCall, typed: Typed | None, days: int) -> list[Sequence[PageField]]:
    """Lines that each say one result of several targets, as they were typed; two at first."""
    begun = {"preserved_at": instant_value(call.now), "expires_at": instant_value(call.now + timedelta(days=days))}
    numbers = _line_numbers(typed) if typed is not None else [0, 1]
    if typed is not None and call.text("_add") and len(numbers) < _MOST_LINES:
        numbers.append(max(numbers, default=-1) + 1)
    made: list[Sequence[PageField]] = []
    for number in numbers:
        name = f"l{number}"
        kept = typed is not None and f"{name}.result" in typed.texts
        said = {cell: typed.one(f"{name}.{cell}") for cell in _CELLS} if typed is not None and kept else begun
        errors = {cell: typed.errors.get(f"{name}.{cell}", "") for cell in _CELLS} if typed is not None else {}
        which = PageField(
            name=f"{name}.targets",
            label=_("Of which targets"),
            kind="ranges",
            values=(typed.one(f"{name}.targets") if typed is not None else "",),
            hint=_("Names, ranges as t1-t46, or identifiers, one a line. Empty: all that no other line names."),
            required=True,
            error=typed.errors.get(f"{name}.targets", "") if typed is not None else "",
        )
        made.append((which, *_cells(name, said, errors)))
    return made


async def _of_lines(call: PageCall, desk: Desk, place: ActPlace, case: AnyCase, typed: Typed) -> list[dict[str, Any]]:
    """What the lines say, of each target that they name; the errors are among those of ``typed``."""
    about = await _identifiers(desk, place)
    choice = target_choice([case], "preservation.answer", own=str(desk.address), now=call.now)
    known = {target.name: about.get(target.name, ("", ""))[1] for target in targets_of_case(case)}
    # Forty lines may name a thousand targets each.
    return await asyncio.to_thread(_said_in_lines, typed, choice, known)


def _said_in_lines(typed: Typed, choice: TargetChoice, known: Mapping[str, str]) -> list[dict[str, Any]]:
    line_of: dict[str, str] = {}
    rest = ""
    for number in _line_numbers(typed):
        line = f"l{number}"
        if not typed.one(f"{line}.result"):
            continue
        text = typed.one(f"{line}.targets")
        if not text and rest:
            typed.errors[f"{line}.targets"] = _("Another line is about all others already: name these.")
        if not text:
            rest = rest or line
            continue
        named, unknown = named_targets(text, known)
        twice = [name for name in named if name in line_of]
        if unknown:
            told = _("The case has no such target: {targets}").format(targets=", ".join(unknown[:5]))
            typed.errors[f"{line}.targets"] = told
        elif twice:
            told = _("Another line names these too: {targets}").format(targets=target_ranges(twice))
            typed.errors[f"{line}.targets"] = told
        line_of |= dict.fromkeys(named, line)
    if rest:
        line_of |= {name: rest for name in choice.possible if name not in line_of}
    said = {line: _said_of(typed, line) for line in dict.fromkeys(line_of.values())}
    return [{"target": name, **said[line_of[name]], _LINE: line_of[name]} for name in known if name in line_of]


_OF_A_LINE = re.compile(r"l[0-9]{1,3}\.result")


def _cells(name: str, said: Mapping[str, str], errors: Mapping[str, str]) -> list[PageField]:
    def cell(part: str, label: str, kind: str, rule: str = "", codes: str = "") -> PageField:
        return PageField(
            name=f"{name}.{part}",
            label=label,
            kind=kind,
            values=(said.get(part, ""),),
            rule=rule,
            options=code_options(codes, empty=True) if codes else (),
            required=True,  # of the result that is chosen; what is needed with which is said beside it
            error=errors.get(part, ""),
        )

    return [
        cell("result", _("Result"), "code", "Art. 29.3", "preservation_result"),
        cell("preserved_at", _("Preserved at"), "instant", "Art. 29.7"),
        cell("expires_at", _("Kept until"), "instant", "Art. 29.7"),
        cell("provider_reference", _("The provider's reference"), "line"),
        cell("scope", _("Kept and not kept, where it is a part"), "line", "Art. 29.3"),
        cell("ground", _("Ground, where it is refused"), "code", "Art. 29.5", "refusal_ground"),
        cell("text", _("The reasons that are owed"), "line", "Art. 27.7"),
    ]


def _standing(case: AnyCase, kind: str, call: PageCall) -> ReplyStanding | None:
    return next((one for one in reply_standings(case, ours=False, now=call.now) if one.type == kind), None)


def _least(case: AnyCase) -> int:
    return case.opening.minimum_days if case.opening is not None else 0


def _period(desk: Desk, case: AnyCase) -> tuple[int, str]:
    """For how many days the law of this nation keeps data at first, and what says so."""
    known = profile_at_hand(desk.directory, desk.address.node)
    instrument = case.opening.instrument if case.opening is not None else None
    rule = known.profile.preservation_under(instrument or "") if known is not None else None
    return (rule.minimum_days, rule.source) if rule is not None else (_DAYS, "")


async def _identifiers(desk: Desk, place: ActPlace) -> dict[str, tuple[str, str]]:
    try:
        return await identifiers_of(desk, place.thread)
    except ComityError:
        return {}


def _filled(typed: Typed) -> Typed:
    """The grid with the result for all put into every row that has none yet."""
    result = typed.one("all.result")
    texts = dict(typed.texts)
    for name in list(texts):
        if name.endswith(".result") and name != "all.result" and not typed.one(name):
            texts[name] = (result,)
    return Typed(texts, typed.situation)


def _targets(typed: Typed) -> list[dict[str, Any]]:
    """What the grid says of each target; those without a result are left out."""
    named = [one.removesuffix(".result") for one in typed.texts if one.endswith(".result")]
    return [
        {"target": name, **_said_of(typed, name)} for name in named if name != "all" and typed.one(f"{name}.result")
    ]


def _said_of(typed: Typed, name: str) -> dict[str, Any]:
    """What the cells of a row or line say."""
    result = typed.one(f"{name}.result")
    said: dict[str, Any] = {"result": result}
    if result in _PRESERVED:
        said |= {cell: typed.instant(f"{name}.{cell}") for cell in ("preserved_at", "expires_at")}
        said["provider_reference"] = typed.one(f"{name}.provider_reference")
        said["scope"] = typed.one(f"{name}.scope")
    if result == "refused":
        said["ground"] = {"code": typed.one(f"{name}.ground"), "text": typed.one(f"{name}.text")}
    return {key: value for key, value in said.items() if value not in (None, "")}


_CELL_OF = {"ground.code": "ground", "ground.text": "text"}


def _beside_cells(problem: ComityError, targets: list[str], typed: Typed) -> list[str]:
    """Put the problems beside the cells of the grid that they are about; the rest of them."""
    if not isinstance(problem, InvalidMessageError):
        return []
    rest = []
    for name, rule, text in problem.problems:
        parts = name.split(".")
        place = int(parts[1]) if len(parts) > 2 and parts[0] == "targets" and parts[1].isdigit() else -1
        cell = _CELL_OF.get(".".join(parts[2:]), parts[2] if len(parts) > 2 else "")
        told = with_rule(text, rule)
        if 0 <= place < len(targets) and cell in _CELLS:
            typed.errors.setdefault(f"{targets[place]}.{cell}", told)
        else:
            rest.append(told)
    return rest


# --- An answer that gives data ---


async def _draft_of(call: PageCall, desk: Desk, place: ActPlace) -> tuple[dict[str, Any], str]:
    """The saved draft that is gone on with, and why it came back; else a new one. Raises :class:`NotFoundError`, and
    :class:`NothingOpenError` for one whose content is gone.
    """
    named = call.query("draft") or call.text("draft")
    if not named:
        return await desk.replies.draft(_subject(place), Answer.TYPE, completeness="final"), ""
    kept = await desk.messages.saved_draft(named)
    if not kept.draft:
        raise NothingOpenError(kept.why_closed)
    return {DRAFT_ID: str(kept.id), **kept.draft}, kept.remark or ""


async def _show_data(call: PageCall, desk: Desk, place: ActPlace, case: AnyCase) -> web.Response:
    draft, remark = await _draft_of(call, desk, place)
    return call.page(DATA, **_data(call, desk, place, case, draft, None), returned=remark)


def _data(
    call: PageCall, desk: Desk, place: ActPlace, case: AnyCase, draft: Mapping[str, Any], typed: Typed | None
) -> dict[str, Any]:
    choice = _choice(call, desk, case)
    said = {"authorisation": {"basis": case.opening.instrument if case.opening else None}, **draft}
    head = _head_form(choice).shown(said, typed)
    first = [one for one in (*head.fields, *head.more) if one.name == "f.authorisation"]
    text = [one for one in (*head.fields, *head.more) if one.name == "f.text"]
    apart = {"f.authorisation", "f.text"}
    wanted = [one for one in head.fields if one.name not in apart]
    head = PageGroup("f", "", [*text, *wanted], [one for one in head.more if one.name not in apart])
    items: list[tuple[Mapping[str, Any], PageGroup]] = []
    for number, attachment in enumerate(draft.get("attachments") or ()):
        item = next((one for one in draft.get("items") or () if one.get("attachment") == attachment["name"]), None)
        values = item if item is not None else _new_item(call, desk, choice.possible)
        items.append((attachment, _item_form(choice, number).shown(values, typed)))
    standing = _standing(case, Answer.TYPE, call)
    return {
        "place": place,
        "head": head,
        "authorisation": first,
        "items": items,
        "draft": str(draft.get(DRAFT_ID, "")),
        "once": once_of(call),
        "as_answer": isinstance(case, PreservationCase),
        "illegal": standing is not None and not standing.legal,
        "state": state_label(standing.state) if standing is not None else "",
        "rest": [],
    }


def _choice(call: PageCall, desk: Desk, case: AnyCase) -> TargetChoice:
    """Of which targets something can be given now."""
    return target_choice([case], Answer.TYPE, own=str(desk.address), now=call.now)


def _head_form(choice: TargetChoice) -> ModelForm:
    return ModelForm(Answer, choice, _OF_ITEMS)


def _item_form(choice: TargetChoice, number: int) -> ModelForm:
    return ModelForm(AnswerItem, choice, _OF_THE_FILE, f"i{number}")


def _new_item(call: PageCall, desk: Desk, names: Sequence[str]) -> dict[str, Any]:
    try:
        organisation = desk.directory.contact_point(desk.address).agency
    except ComityError:
        organisation = str(desk.address)
    step = {"action": "received", "at": to_text(call.now), "organisation": organisation}
    return {"targets": list(names), "onward_use": "as_labelled", "custody": [step]}


async def _send_data(call: PageCall, desk: Desk, place: ActPlace, case: AnyCase) -> web.StreamResponse:
    typed = typed_in(call, desk.address)
    before, remark = await _draft_of(call, desk, place)
    draft = _said(before, _choice(call, desk, case), typed)
    if call.text("_add"):
        return call.page(DATA, **_data(call, desk, place, case, draft, typed), returned=remark)
    try:
        if call.text("_to") == "files":
            kept = await desk.messages.save_draft(draft)
            return call.go(f"/drafts/{kept.id}/files")
        if call.text("_to") == "save":
            kept = await desk.messages.save_draft(draft)
            return call.go(f"{place.path}?draft={kept.id}{'&as=answer' if isinstance(case, PreservationCase) else ''}")
        draft = _given(draft)
        await asyncio.to_thread(refuse_problems, await desk.messages.filled(draft), typed)
        # In an emergency nothing waits for an acceptance.
        conditions = any(item.get("conditions") for item in draft.get("items", ()))
        under_conditions = conditions and draft.get("urgency") != "emergency"
        with under_key(None if draft.get(DRAFT_ID) else call.text("once") or None):
            sent = await (desk.messages.offer(draft) if under_conditions else desk.messages.send(draft))
    except ComityError as problem:
        told = _by_form_names(problem)
        typed.errors |= told
        values = _data(call, desk, place, case, draft, typed)
        groups = [values["head"], *values["authorisation"], *(group for _attachment, group in values["items"])]
        shown = {name for group in groups for name in names_in(group)}
        rest = [text for name, text in told.items() if name not in shown]
        return call.refused(DATA, problem, **{**values, "rest": rest, "returned": remark})
    return call.go(f"{place.back}?done={done_code(sent)}")


def _said(before: Mapping[str, Any], choice: TargetChoice, typed: Typed) -> dict[str, Any]:
    """The draft with what the form says: its own fields, and an item for each of its files."""
    fields = _head_form(choice).read(typed)
    of_form = {name for name in Answer.model_fields if name not in {"items", *_kept_of(before)}}
    draft = {name: value for name, value in before.items() if name not in of_form}
    items = []
    for number, attachment in enumerate(before.get("attachments") or ()):
        read = _item_form(choice, number).read(typed)
        items.append(
            {
                "item": f"i{number + 1}",
                **read,
                "attachment": attachment["name"],
                "hash": {"algorithm": "sha256", "value": attachment["sha256"]},
                "size_bytes": attachment["size_bytes"],
            }
        )
    return {**draft, **fields, **({"items": items} if items else {})}


def _given(draft: Mapping[str, Any]) -> dict[str, Any]:
    """The draft as it is sent. An authorisation of nothing would suggest that something was given; while the draft is
    written it stays, since the files come after it.
    """
    return dict(draft) if draft.get("items") else {name: draft[name] for name in draft if name != "authorisation"}


def _kept_of(before: Mapping[str, Any]) -> set[str]:
    """What the desk itself put into the draft: addresses, thread, labels, references."""
    return {name for name in before if name in Reply.model_fields or name in {"type", DRAFT_ID}}


def _by_form_names(problem: ComityError) -> dict[str, str]:
    """The problems of a draft by the fields of the form that show it."""
    found = problem.problems if isinstance(problem, InvalidMessageError) else ()
    return {_form_name(name): with_rule(text, rule) for name, rule, text in found}


def _form_name(name: str) -> str:
    """The field of the form that shows a field of the draft."""
    first, _dot, rest = name.partition(".")
    if first == "items" and rest[:1].isdigit():
        number, _dot, field = rest.partition(".")
        return f"i{number}.{field}"
    return f"f.{name}"

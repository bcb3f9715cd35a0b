"""The questions of a draft as fields of a form: what each holds, from what it is chosen, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from exchange.acts.drafting import Taker
from exchange.text.labels import code_label, field_label, with_rule
from exchange.web.request.drafts import OTHER
from exchange.wizard.forms import TypedForm
from exchange.wizard.question import AnswerKind, AnswerProblem, WizardStep
from exchange.wizard.sections import WizardSection, proposed_window, steps_in
from keys.local.translation import _, labelled
from protocol.codes import load_codes

_RADIOS = 6
_TICKED = 20
_EACH = "each."
# How the wizard names a question that it makes of what the type still lacks.
_OF_A_FIELD = "field "


@dataclass(frozen=True, slots=True)
class Choice:
    """One value that a field may have; ``why_not``: it cannot now, and why."""

    value: str
    label: str
    chosen: bool = False
    detail: str = ""
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class FormField:
    """One field. ``shape``: line, text, number, choice, list, choices, yes-no. ``rest``: the text beside the boxes of a
    list that takes other words too. ``rule`` asks for it; ``problem`` is what is wrong with what was typed.
    """

    name: str
    label: str
    shape: str
    value: str = ""
    hint: str = ""
    rule: str = ""
    optional: bool = False
    choices: tuple[Choice, ...] = ()
    rest: str | None = None
    rest_label: str = ""
    problem: str = ""

    @property
    def id(self) -> str:
        """Its name as an id in the page."""
        return "f-" + re.sub(r"[^A-Za-z0-9_-]", "-", self.name)

    @property
    def other(self) -> str:
        """The name of the field for other words."""
        return self.name + OTHER


def fields_in(
    form: TypedForm, sections: Sequence[WizardSection], takers: Sequence[Taker] = (), *, missing: bool = False
) -> list[FormField]:
    """The fields of these sections but for those of targets; ``missing``: say of each that is empty that it is."""
    lacking = _lacking(form) if missing else {}
    return [
        field_of(form, step, takers, lacking)
        for step in steps_in(form.wizard, sections)
        if not step.name.startswith(_EACH) and step.answered is not AnswerKind.PASTE and step.name != "more_targets"
    ]


def fields_for_all(form: TypedForm) -> list[FormField]:
    """The fields that fill in every target that lacks them."""
    steps = steps_in(form.wizard, (WizardSection.TARGETS,))
    return [
        field_of(form, step, (), {}) for step in steps if step.name.startswith(_EACH) and step.name != "more_targets"
    ]


def fields_of_target(form: TypedForm, target: Mapping[str, Any]) -> list[FormField]:
    """The fields of one target."""
    name = str(target.get("target"))
    found = []
    for step in steps_in(form.wizard, (WizardSection.TARGETS,)):
        if step.name.startswith(_EACH) and step.name != "more_targets":
            value = form.shown_of(step, target)
            problem = form.problem_of(step, name)
            found.append(_made(step, f"{name}.{step.name.removeprefix(_EACH)}", value, (), problem))
    return found


def field_of(
    form: TypedForm, step: WizardStep, takers: Sequence[Taker], lacking: Mapping[str, AnswerProblem]
) -> FormField:
    """One question as a field."""
    value = form.shown(step)
    if not value and step.name == "each.time_window":
        # Proposed where it can be for all: what nobody typed is not wrong of any.
        proposed = {
            proposed_window(one) for one in form.wizard.draft.get("targets") or () if not one.get("time_window")
        }
        value = proposed.pop() if len(proposed) == 1 and not step.is_done(form.wizard.draft) else ""
    problem = form.problem(step) or lacking.get(step.name)
    draft, situation = form.wizard.draft, form.wizard.situation
    made = _made(step, step.name, value, takers, problem)
    barred, told = step.barred(draft, situation), step.told(draft, situation)
    return replace(
        made,
        hint=_(told) if told else made.hint,
        choices=tuple(one for one in made.choices if one.chosen or one.value not in barred),
    )


# --- Inside ---


def _lacking(form: TypedForm) -> dict[str, AnswerProblem]:
    """What the type says of questions that have no answer, by their names."""
    found: dict[str, AnswerProblem] = {}
    for problem in form.wizard.problems():
        step = form.wizard.step_of(problem)
        if step is not None:
            found.setdefault(step.name, AnswerProblem(problem[2], problem[1]))
    return found


def _made(step: WizardStep, name: str, value: str, takers: Sequence[Taker], problem: AnswerProblem | None) -> FormField:
    shape, choices, rest = _shape(step, value, takers)
    hint = "" if choices and step.answered is AnswerKind.CODES else _(step.help) if step.help else ""
    if step.name.startswith(_OF_A_FIELD) and not problem:
        text = _(step.prompt)
        hint = text[:1].upper() + text[1:]
    return FormField(
        name=name,
        label=_label(step),
        shape=shape,
        value=value,
        hint="" if step.name == "to" and takers else hint,
        # Of a rule that is no article the officer has nothing: it is a name of this program's.
        rule=_(step.rule) if any(map(str.isdigit, step.rule or "")) else "",
        optional=step.optional,
        choices=choices,
        rest=rest,
        rest_label=_rest_label(step.name),
        problem=with_rule(problem.text, problem.rule) if problem else "",
    )


def _shape(step: WizardStep, value: str, takers: Sequence[Taker]) -> tuple[str, tuple[Choice, ...], str | None]:
    if step.name == "to" and takers:
        return "choices", *_nations(value, takers)
    if step.answered is AnswerKind.YES_NO:
        chosen = (value or "").strip()
        return "yes-no", tuple(Choice(one, _(one), chosen == one) for one in ("yes", "no")), None
    if step.answered is AnswerKind.CODE and step.codes:
        return _of_code(step.codes, value)
    if step.answered is AnswerKind.CODES and step.codes:
        return "choices", *_of_codes(step.codes, value, others=step.name == "offences")
    shape = {AnswerKind.TEXT: "text", AnswerKind.NUMBER: "number"}.get(step.answered, "line")
    return shape, (), None


def _of_code(codes: str, value: str) -> tuple[str, tuple[Choice, ...], str | None]:
    entries = load_codes(codes).entries
    known = {entry.code for entry in entries}
    choices = tuple(Choice(one.code, code_label(codes, one.code), one.code == value) for one in entries)
    if value and value not in known:
        choices = (*choices, Choice(value, value, chosen=True))
    return ("choice" if len(entries) <= _RADIOS else "list"), choices, None


def _of_codes(codes: str, value: str, *, others: bool) -> tuple[tuple[Choice, ...], str | None]:
    entries = load_codes(codes).entries[:_TICKED]
    given = [one.strip() for one in re.split(r"[;,]" if not others else ";", value) if one.strip()]
    choices = tuple(Choice(one.code, code_label(codes, one.code), one.code in given) for one in entries)
    rest = [one for one in given if one not in {entry.code for entry in entries}]
    if others:
        return choices, "; ".join(rest)
    return choices, ", ".join(rest) if rest else None


def _nations(value: str, takers: Sequence[Taker]) -> tuple[tuple[Choice, ...], str | None]:
    given = [one.strip() for one in value.split(",") if one.strip()]
    choices = []
    for taker in takers:
        partner = taker.partner
        nation = code_label("country", partner.country) if partner.country else partner.address.partition("@")[2]
        detail = f"{partner.office} · {partner.address}"
        choices.append(
            Choice(partner.address, nation, partner.address in given, detail, _(taker.why_not) if taker.why_not else "")
        )
    choices.sort(key=lambda one: (bool(one.why_not), one.label))
    known = {one.value for one in choices}
    return tuple(choices), ", ".join(one for one in given if one not in known)


def _label(step: WizardStep) -> str:
    """The question, without how it is typed where it is chosen here."""
    match step.name:
        case "to":
            return _("Which nations?")
        case "offences":
            return _("Which offences?")
        case name if name.startswith(_OF_A_FIELD):
            return _of_a_field(name.removeprefix(_OF_A_FIELD))
        case _:
            return _(step.prompt)


def _of_a_field(field: str) -> str:
    """The name of a field that no question of the type is about, behind that of what it is a part of."""
    parts = [field_label(part) for part in field.split(".") if not part.isdigit()]
    return reduce(lambda inner, outer: labelled(outer, inner), reversed(parts))


def _rest_label(name: str) -> str:
    if name == "offences":
        return _("Other offences, by name; several with ;")
    return _("Another contact point, or nation") if name == "to" else _("Other")

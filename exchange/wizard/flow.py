"""The course of a wizard: which question is next, what an answer makes of the draft, and what is still wrong.

::

    wizard = Wizard.begin("preservation.request", situation)
    while (step := wizard.current()) is not None:
        try:
            wizard = wizard.answer(step, text)
        except AnswerProblem as problem:
            ...                           # show it, ask again
    wizard.problems()                     # empty: it can be sent

A wizard is a value: going back is keeping an older one. The draft alone says what was asked, so that a saved draft is
gone on with where it stands. After the questions of its type it asks for whatever the type still lacks, by the rule
that asks for it: no type is without a wizard, and none forgets what its model wants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from uuid import UUID

from exchange.messaging.drafting.drafts import empty_field
from exchange.messaging.drafting.splitting import REQUEST as SPLIT
from exchange.messaging.drafting.splitting import TargetRoom, target_room
from exchange.office.draft_ids import READ_OTHERWISE
from exchange.text.draft_codes import with_codes
from exchange.text.labels import target_ranges
from exchange.wizard import answers as read
from exchange.wizard._bases import BASIS
from exchange.wizard._bases import why_not as why_no_basis
from exchange.wizard._replies import ANSWER, REPLIES, answer_steps
from exchange.wizard._requests import FIXED, REPORTED, REQUESTS, reported
from exchange.wizard._targets import EACH, MoreTargets, added_targets, targets_of
from exchange.wizard.paste import Pasted
from exchange.wizard.question import (
    AS_TYPED,
    AnswerKind,
    AnswerProblem,
    Draft,
    Partner,
    Situation,
    WizardStep,
    value_at,
    with_fields,
)
from keys.local.translation import languages
from protocol.encoding.phrase import phrase
from protocol.messages.parse import check_outgoing, json_schema
from protocol.messages.schema.problems import Problem
from protocol.messages.types.consent import waits_for_acceptance

WIZARD_TYPES = tuple(REQUESTS)
_TARGETS, _MORE = "targets", "more_targets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wizard:
    """A draft on its way. ``skipped`` are the optional questions that got an empty answer; ``more``: the officer has
    more targets to paste.
    """

    draft: Draft
    situation: Situation
    skipped: frozenset[str] = frozenset()
    more: bool = False
    # A wizard is a value: what is wrong with its draft, and what it asks, is found out once.
    _found: dict[str, Any] = field(init=False, default_factory=dict, compare=False, repr=False)

    @classmethod
    def begin(cls, message_type: str, situation: Situation, draft: Draft | None = None) -> Wizard:
        """A wizard for a new message of this type, or for one of which ``draft`` is written.

        The facts that the desk itself knows, or that are fixed for the type, are filled in and not asked.
        """
        begun: dict[str, Any] = {"type": message_type, **FIXED.get(message_type, {})}
        wanted = _fields_of(message_type)
        begun |= {name: value for name, value in situation.own.items() if name in wanted}
        if message_type == ANSWER:
            begun["targets"] = [{"target": name} for name in situation.case_targets]
        return cls(draft={**begun, **(draft or {})}, situation=situation)

    @property
    def message_type(self) -> str:
        """The type of the message."""
        return str(self.draft.get("type"))

    def steps(self) -> tuple[WizardStep, ...]:
        """The questions of this type that the draft as it stands needs."""
        of_type = self._of_type()
        if self.message_type == ANSWER:
            of_type = answer_steps(tuple(str(one.get("target")) for one in targets_of(self.draft)))
        return tuple(step for step in of_type if step.needed(self.draft, self.situation))

    def all_steps(self) -> tuple[WizardStep, ...]:
        """The questions of :meth:`steps`, those that have an answer which the draft needs no more, and those that are
        made of what the type still lacks: for whoever shows them all at once.
        """
        if "steps" not in self._found:
            self._found["steps"] = self._all_steps()
        steps: tuple[WizardStep, ...] = self._found["steps"]
        return steps

    def _all_steps(self) -> tuple[WizardStep, ...]:
        of_type = self._of_type()
        asked = [one for one in of_type if one.needed(self.draft, self.situation) or self._has(one)]
        known = {name for step in of_type for name in step.fields}
        lacking = (self._for(problem) for problem in self.problems() if not _is_of(problem[0], known))
        return (*asked, *(step for step in lacking if step is not None))

    def _of_type(self) -> tuple[WizardStep, ...]:
        return REQUESTS.get(self.message_type) or REPLIES.get(self.message_type) or ()

    def step_named(self, name: str) -> WizardStep | None:
        """The question of that name, whether the draft needs it or not; None for no such."""
        return _of_name(self._of_type(), name) or _of_name(self.all_steps(), name)

    def step_of(self, problem: Problem) -> WizardStep | None:
        """The question whose answer would mend a problem; None where none would."""
        steps = self.all_steps()
        exact = next((step for step in steps if self._is_wrong(step, problem)), None)
        top = problem[0].partition(".")[0]
        return exact or next((step for step in steps if top in {name.partition(".")[0] for name in step.fields}), None)

    def current(self) -> WizardStep | None:
        """The next question; None when there is none, and the draft can be looked at as a whole."""
        for step in self.steps():
            if step.name == _TARGETS and self.more:
                return step
            if step.name not in self.skipped and not step.is_done(self.draft):
                return step
        # Targets that are too many are not asked for anew: an answer would stand in the place of them all.
        open_ = [one for one in self.problems() if one[0] != _TARGETS or not targets_of(self.draft)]
        lacking = (self._for(problem) for problem in open_)
        return next((step for step in lacking if step is not None and step.name not in self.skipped), None)

    def answer(self, step: WizardStep, text: str) -> Wizard:
        """The wizard with this answer; raises :class:`AnswerProblem` for one that does not do."""
        given = text.strip() or step.proposed(self.draft, self.situation)
        if not given:
            if step.optional:
                return replace(self, skipped=self.skipped | {step.name})
            raise self._missing(step)
        try:
            fields = step.read(given, self.draft, self.situation)
        except MoreTargets:
            return replace(self, more=True, skipped=self.skipped - _GROUP)
        if not fields:
            return replace(self, skipped=self.skipped | {step.name})
        # Codes are typed in words also where a question is made of what the type lacks.
        return self._checked(step, with_codes(with_fields(self.draft, fields)))

    def answer_for(self, target: str, step: WizardStep, text: str) -> Wizard:
        """The wizard with this answer for one target alone; an empty one takes it out. Raises as :meth:`answer`."""
        name = step.name.removeprefix(EACH)
        targets = list(self.draft.get(_TARGETS) or ())
        called = (at for at, one in enumerate(targets) if isinstance(one, dict) and one.get("target") == target)
        place = next(called, None)
        if place is None:
            raise AnswerProblem(phrase("the draft has no such target any more"))
        # The draft with this target alone: with thousands of others, what is said of one costs no more.
        bare = {key: value for key, value in targets[place].items() if key != name}
        alone: dict[str, Any] = {**self.draft, _TARGETS: [bare]}
        if text.strip():
            alone = with_codes(with_fields(alone, step.read(text.strip(), alone, self.situation)))
            self._require_right(alone, name)
        (targets[place],) = alone[_TARGETS]
        return replace(self, draft={**self.draft, _TARGETS: targets})

    def _require_right(self, alone: Draft, name: str) -> None:
        """Raise :class:`AnswerProblem` for what is wrong with a field of the one target of a draft."""
        alone = {key: value for key, value in alone.items() if key not in PRIVATE}
        inside = f"targets.0.{name}"
        for where, rule, told in check_outgoing(_as_given(alone)):
            if where == inside or where.startswith(f"{inside}."):
                raise AnswerProblem(told, rule)

    def without_target(self, target: str) -> Wizard:
        """The wizard without one target."""
        left = [one for one in targets_of(self.draft) if one.get("target") != target]
        return replace(self, draft=with_fields(self.draft, {_TARGETS: left}))

    def pasted(self, step: WizardStep, found: tuple[Pasted, ...]) -> Wizard:
        """The wizard with the targets of a paste; raises :class:`AnswerProblem` when there is none, or too many."""
        if not found:
            if step.optional:
                return replace(self, skipped=self.skipped | {step.name})
            raise AnswerProblem(phrase("no line was understood: nothing is taken"), step.rule)
        added = reported(found) if step.name == REPORTED else added_targets(self.draft, found)
        # Before what each is read for: the draft as a whole is refused anyway.
        changed = replace(self, draft={**self.draft, **added})
        changed.require_room(step)
        changed = changed._checked(step, changed.draft)
        return changed if step.name == REPORTED else replace(changed, more=False)

    def room(self) -> TargetRoom:
        """How many of its targets one message holds."""
        return target_room(self.message_draft())

    def require_room(self, step: WizardStep) -> None:
        """Raise :class:`AnswerProblem` for more targets than one message holds, where they do not go as several."""
        if self.message_type != SPLIT and not (room := self.room()).is_enough:
            raise AnswerProblem(room.told, step.rule)

    def without(self, step: WizardStep) -> Wizard:
        """The wizard in which this question is asked again."""
        names = {step.name} if step.name != _TARGETS else _GROUP
        draft = self.draft
        if step.name.startswith(EACH):
            gone = step.name.removeprefix(EACH)
            targets = [{name: value for name, value in one.items() if name != gone} for one in targets_of(draft)]
            draft = with_fields(draft, {"targets": targets})
        else:
            draft = with_fields(draft, dict.fromkeys(step.fields))
        return replace(self, draft=draft, skipped=self.skipped - names)

    def problems(self) -> list[Problem]:
        """What is missing or wrong in the draft as a whole, by the rules that ask for it."""
        if "problems" not in self._found:
            self._found["problems"] = self._problems()
        return list(self._found["problems"])

    def _problems(self) -> list[Problem]:
        return [*self._problems_of_type(), *self._problems_of_law()]

    def _problems_of_law(self) -> list[Problem]:
        problem = why_no_basis(self.draft, self.situation)
        return [(BASIS.name, "legal basis", problem)] if problem else []

    def _problems_of_type(self) -> list[Problem]:
        draft = self.draft_as_given()
        found = check_outgoing(draft)
        inner = [one for one in found if self._is_object(one[0])]
        if not inner:
            return found
        # A part that is missing as a whole is asked for by the fields that it must have.
        filled = with_fields(draft, {field: _empty(self.message_type, field) for field, _, _ in inner})
        return check_outgoing(filled) or found

    def message_draft(self) -> dict[str, Any]:
        """The draft as it is sent."""
        return {name: value for name, value in self.draft.items() if name not in PRIVATE}

    def draft_as_given(self) -> dict[str, Any]:
        """The draft as it will be when what it says is given: under conditions that is in reply to their acceptance."""
        return _as_given(self.message_draft())

    def cautions(self) -> list[str]:
        """What would be useful and is not there: said, and never in the way."""
        return list(_cautions(self.draft, self.situation))

    def read_in(self) -> str:
        """The first language of the recipients that there are texts in; English where there is none."""
        there = {*languages(), "en"}
        for address in self.draft.get("to") or ():
            partner = self.situation.partner(str(address))
            for one in partner.languages if partner is not None else ():
                if (first := one.partition("-")[0]) in there:
                    return first
        return "en"

    # --- Inside ---

    def _has(self, step: WizardStep) -> bool:
        """Whether the draft says what a question asks for, though it is not needed."""
        if step.name.startswith(EACH) or step.name == _TARGETS:
            return False
        return value_at(self.draft, step.fields[0]) not in (None, "", [], {})

    def _checked(self, step: WizardStep, draft: Draft) -> Wizard:
        changed = replace(self, draft=draft, skipped=self.skipped - {step.name})
        of_step = [one for one in check_outgoing(changed.draft_as_given()) if changed._is_wrong(step, one)]
        if of_step:
            _field, rule, text = of_step[0]
            raise AnswerProblem(text, rule)
        return changed

    def _is_wrong(self, step: WizardStep, problem: Problem) -> bool:
        """Whether a problem is of what this step filled in, and not of what a later one asks for."""
        field = problem[0]
        if step.name in (_TARGETS, REPORTED):
            return ".identifier" in field
        if step.fields == (REPORTED,):
            return field.endswith(".relation")
        if step.fields == (_TARGETS,):
            inside = f"{field}.".split(".", 2)
            return inside[0] == _TARGETS and len(inside) > 2 and inside[2].startswith(step.name.removeprefix(EACH))
        return any(field == one or field.startswith(f"{one}.") for one in step.fields)

    def _missing(self, step: WizardStep) -> AnswerProblem:
        """What the type says of the field that was left empty."""
        of_step = [one for one in self.problems() if self._is_wrong(step, one)]
        if of_step:
            _field, rule, text = of_step[0]
            return AnswerProblem(text, rule)
        return AnswerProblem(phrase("fill in this field"), step.rule)

    def _is_object(self, field: str) -> bool:
        return isinstance(_empty(self.message_type, field), dict) and value_at(self.draft, field) is None

    def _for(self, problem: Problem) -> WizardStep | None:
        """A question for what the type still lacks."""
        field, rule, text = problem
        if field == "type" or field.partition(".")[0] not in _fields_of(self.message_type):
            return None
        value = _empty(self.message_type, field)
        kind, reader = _kind_of(field, value, text)
        return WizardStep(
            name=f"field {field}",
            fields=(field,),
            prompt=text,
            rule=rule,
            answered=kind,
            read=reader,
            done=lambda draft: False,
        )


def _as_given(draft: Draft) -> dict[str, Any]:
    return {**draft, "in_reply_to": str(UUID(int=0))} if waits_for_acceptance(draft) else dict(draft)


def all_questions() -> Iterator[WizardStep]:
    """Every question of every message type; one that several types ask comes several times."""
    for steps in (*REQUESTS.values(), *REPLIES.values()):
        yield from steps


def _empty(message_type: str, field: str) -> Any:
    """What an empty draft has in a field; nobody changes it. It is the same in each part of a list."""
    return _empty_in_each(message_type, ".".join("0" if part.isdigit() else part for part in field.split(".")))


@lru_cache(maxsize=4_096)
def _empty_in_each(message_type: str, field: str) -> Any:
    return empty_field(message_type, field)


@lru_cache(maxsize=64)
def _fields_of(message_type: str) -> frozenset[str]:
    return frozenset(json_schema(message_type).get("properties", {}))


_SHORTEST_DAYS = 60
# Kept by the wizard itself in a draft beside the message.
PRIVATE = frozenset({"draft_id", "revision", AS_TYPED, READ_OTHERWISE})
_EACH = tuple(f"{EACH}{name}" for name in ("data_categories", "time_window", "relation", "custodian", "held_there"))
_GROUP = frozenset({_TARGETS, _MORE, *_EACH})


def _of_name(steps: Sequence[WizardStep], name: str) -> WizardStep | None:
    return next((step for step in steps if step.name == name), None)


def _is_of(field: str, known: frozenset[str] | set[str]) -> bool:
    """Whether a question of the type asks for this field, or for what it stands in."""
    parts = field.split(".")
    return any(".".join(parts[:count]) in known for count in range(1, len(parts) + 1))


def _kind_of(field: str, value: Any, text: str) -> tuple[AnswerKind, Any]:
    """How a field is answered that no step of the type is about, by what an empty draft has there."""
    if isinstance(value, bool):
        return AnswerKind.YES_NO, read.yes_no(field)
    if isinstance(value, int):
        return AnswerKind.NUMBER, read.number(field)
    if isinstance(value, list):
        return AnswerKind.LINE, lambda text, _draft, _situation: {field: read.parts_of(text)}
    if field.endswith(".date"):
        return AnswerKind.LINE, read.day(field)
    if field.endswith(("_at", "_by", "until")) or ("time" in text and "date" in text):
        return AnswerKind.INSTANT, read.instant(field)
    return AnswerKind.LINE, read.line(field)


def without_custodian(draft: Draft) -> list[str]:
    """The targets of which a draft that asks for the custodian says neither who holds the data nor where they lie."""
    if f"{EACH}custodian" not in {step.name for step in REQUESTS.get(str(draft.get("type")), ())}:
        return []
    return [str(one.get("target")) for one in targets_of(draft) if not one.get("custodian") and not one.get("location")]


def _cautions(draft: Draft, situation: Situation) -> Iterator[str]:
    without = without_custodian(draft)
    if without:
        yield phrase(
            "nothing says who holds the data of {targets}: the other side must find out first (Art. 29.2 (d))",
            targets=target_ranges(without),
        )
    language = str(draft.get("language") or "")
    for address in draft.get("to") or ():
        partner = situation.partner(str(address))
        if partner is not None and language and partner.languages and not _speaks(partner, language):
            yield phrase(
                "{office} works in {languages}, and these texts are in {language}",
                office=partner.address,
                languages=", ".join(partner.languages),
                language=language,
            )
    days = draft.get("period_wanted_days")
    if isinstance(days, int) and days < _SHORTEST_DAYS:
        yield phrase("a preservation is for at least 60 days under the Convention (Art. 29.7)")


def _speaks(partner: Partner, language: str) -> bool:
    first = language.partition("-")[0]
    return any(own.partition("-")[0] == first for own in partner.languages)

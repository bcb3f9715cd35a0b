"""The form of an act, read off its signature: which fields, of which kind; and the values that it is called with."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, get_args, get_origin
from uuid import UUID

from pydantic import ValidationError

from exchange.service.api.signatures import MESSAGES, SECRETS, Taking, taking_of, without_none
from exchange.text.labels import with_rule
from exchange.web.forms.acts import LABELS, CaseAct
from exchange.web.forms.fields import PageField, Typed, barred_lines, code_options, instant_hint, named_in, names_field
from exchange.wizard.answers import chosen_code
from exchange.wizard.legal_replies import TargetChoice
from exchange.wizard.question import AnswerProblem
from keys.local.translation import _
from protocol.address import Address
from protocol.errors import ComityError, InvalidMessageError

NO_TARGETS = TargetChoice()
_LONG = frozenset({"text", "reason", "question", "remark", "because", "purpose", "law", "contact"})
# Under this name no page keeps what was typed, nor shows it again.
_SECRET = "passphrase"  # noqa: S105 - the name of a field
_FIXED = frozenset({"thread", "entry", *MESSAGES})


class SignatureForm:
    """The form of one act. ``choice`` are the case's targets: those that it can name, and the others."""

    def __init__(self, act: CaseAct, choice: TargetChoice = NO_TARGETS) -> None:
        self._act = act
        self._choice = choice
        names = inspect.signature(act.run).parameters
        self._fixed = [name for name in names if name in _FIXED and name not in act.only]
        self.taking: Taking = taking_of(act.run, self._fixed)
        wanted = act.only if act.only or act.fixed else self.taking.given
        self._asked = [name for name in self.taking.given if name in wanted and name not in act.fixed]

    def fields(self, values: Mapping[str, str] | None = None) -> list[PageField]:
        """The fields, with what is proposed in ``values``."""
        given = values or {}
        return [self._field(name, given.get(name, "")) for name in self._asked]

    def _field(self, name: str, value: str) -> PageField:
        kind, codes = self._kind(name), self._act.codes.get(name)
        label, hint = self._act.labels.get(name) or LABELS[name]
        parameter = inspect.signature(self._act.run).parameters[name]
        required = parameter.default is inspect.Parameter.empty
        options: list[tuple[str, str]] = []
        if codes is not None:
            options = code_options(codes, empty=True)
        elif kind == "names":
            options = [(one, one) for one in self._choice.possible]
        default = parameter.default if isinstance(parameter.default, str) else ""
        shown = value or default
        if kind == "check":
            shown = "yes" if parameter.default is True else ""
        made = PageField(
            name=self._name_of(name),
            label=_(label),
            kind=kind,
            values=(shown,) if shown else (),
            hint=instant_hint() if kind == "instant" and not hint else _(hint) if hint else "",
            options=options,
            required=required,
            barred=barred_lines(self._choice) if kind == "names" else (),
        )
        return names_field(made, self._choice) if kind == "names" else made

    def _kind(self, name: str) -> str:
        hint = without_none(self.taking.hints[name])
        if name in SECRETS:
            return "secret"
        if name in self._act.codes:
            return "code"
        if hint is bool:
            return "check"
        if hint is datetime:
            return "instant"
        if hint is Address:
            return "address"
        if isinstance(get_origin(hint), type) and issubclass(get_origin(hint), Sequence):
            if get_args(hint)[0] is Address:
                return "addresses"
            return "names" if name == "targets" else "lines"
        return "text" if name in _LONG and name not in {"reason"} else "line" if name not in _LONG else "text"

    def read(self, typed: Typed) -> Any:
        """The body of the act; None with the errors of ``typed`` where it cannot be one."""
        values: dict[str, Any] = dict(self._act.fixed)
        for name in self._asked:
            value = self._value(name, typed)
            if value not in (None, "", []):
                values[name] = value
            elif self._is_required(name) and name not in typed.errors:
                typed.errors[name] = _("Fill in this field.")
        if typed.errors or self.taking.model is None:
            return None
        try:
            return self.taking.model.model_validate(values)
        except ValidationError as problem:
            for one in problem.errors(include_input=False, include_url=False):
                typed.errors[str(one["loc"][0])] = one["msg"]
            return None

    def _is_required(self, name: str) -> bool:
        return inspect.signature(self._act.run).parameters[name].default is inspect.Parameter.empty

    def _value(self, name: str, typed: Typed) -> Any:
        match self._kind(name):
            case "check":
                return typed.one(name) == "yes"
            case "instant":
                return typed.instant(name)
            case "address":
                found = typed.addresses(name)
                return str(found[0]) if found else None
            case "addresses":
                return [str(one) for one in typed.addresses(name)]
            case "names":
                return named_in(typed, name, self._choice)
            case "lines":
                return [line.strip() for line in typed.one(name).splitlines() if line.strip()]
            case "code":
                return self._code(name, typed)
            case "text":
                return typed.one(name).replace("\r\n", "\n")
            case "secret":
                return typed.one(_SECRET)
        return typed.one(name)

    def _code(self, name: str, typed: Typed) -> str | None:
        text = typed.one(name)
        try:
            return chosen_code(self._act.codes[name], text) if text else None
        except AnswerProblem as problem:
            typed.errors[name] = _(problem.text)
            return None

    def beside(self, problem: ComityError) -> tuple[dict[str, str], list[str]]:
        """What a refusal says of fields, by the names that they have in the form; and what belongs to none of them."""
        if problem.field in self._asked:
            return {self._name_of(problem.field): _(problem.detail)}, []
        found: dict[str, str] = {}
        rest: list[str] = []
        for name, rule, text in problem.problems if isinstance(problem, InvalidMessageError) else ():
            told = with_rule(text, rule)
            field = self._field_of(name)
            if field is None:
                rest.append(told)
            else:
                found.setdefault(self._name_of(field), told)
        return found, rest

    def _field_of(self, name: str) -> str | None:
        """The field of the form that the message has under ``name``, such as items.0.valid_until."""
        said = (self._act.in_message.get(part, part) for part in name.split("."))
        return next((part for part in said if part in self._asked), None)

    def _name_of(self, field: str) -> str:
        return _SECRET if self._kind(field) == "secret" else field

    def named(self, thread: UUID, subject: UUID | None) -> dict[str, Any]:
        """The values of the parameters that the place of the act says."""
        return {name: thread if name == "thread" else subject for name in self._fixed}

"""The form of a message type, made of its model: every field of every reply, with the article that asks for it.

Fields that the type always wants, or may want by what else is said, stand in view; the rest is folded away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, StringConstraints
from pydantic.fields import FieldInfo

from exchange.text.labels import field_label, short_label, with_rule
from exchange.text.zones import in_zone, shown_zone
from exchange.web.forms.fields import (
    PageField,
    PageGroup,
    PageRows,
    Typed,
    barred_lines,
    code_options,
    instant_hint,
    is_short,
    named_in,
    names_field,
)
from exchange.wizard.answers import chosen_code
from exchange.wizard.legal_replies import TargetChoice
from exchange.wizard.question import AnswerProblem
from keys.local.translation import _
from protocol.encoding.instants import parse_instant
from protocol.errors import ComityError
from protocol.messages.schema.authorisation import Day
from protocol.messages.schema.base import Reply
from protocol.messages.schema.fields import CodeOf, Legal

PREFIX = "f"
# Said of a field that has nothing of its own to say.
_ORDINARY = Legal("").missing
# By this a text is a day in the schema.
_DAY = get_args(Day)[-1]
_DEEPEST = 3
_MOST_ROWS = 200
_OF_THE_DESK = frozenset(
    {*(info.alias or name for name, info in Reply.model_fields.items()), "type", "offer", "without_call_back"}
)
_OF_TARGETS = frozenset({"targets", "remaining"})


Problems = Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a field holds. ``name`` as of :class:`PageField`, or part, parts; ``models`` are those of a part that is one
    of several kinds, by its kind. ``day``: a line that is a day, in any layout of dates.
    """

    name: str
    codes: str | None = None
    model: type[BaseModel] | None = None
    options: tuple[str, ...] = ()
    models: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    day: bool = False


class ModelForm:
    """The form of one message type. ``choice`` are the case's targets: those that it can name, and the others."""

    def __init__(
        self,
        model: type[BaseModel],
        choice: TargetChoice,
        leave_out: frozenset[str] = frozenset(),
        prefix: str = PREFIX,
    ) -> None:
        self._model = model
        self._choice, self._targets = choice, choice.possible
        self._late = frozenset(choice.barred)
        self._has_targets = bool(choice.possible or choice.barred)
        self._barred = barred_lines(choice)
        self._left_out = _OF_THE_DESK | leave_out
        self._prefix = prefix
        self._errors: dict[str, str] = {}

    def shown(
        self,
        values: Mapping[str, Any],
        typed: Typed | None = None,
        problems: Mapping[str, tuple[str, str]] | None = None,
    ) -> PageGroup:
        """The form with these values, or with what was typed; ``problems`` are (text, rule) by dotted names."""
        given = typed.texts if typed is not None else _flat(values, self._prefix)
        self._errors = dict(typed.errors) if typed is not None else {}
        for name, (text, rule) in (problems or {}).items():
            self._errors.setdefault(f"{self._prefix}.{name}", with_rule(text, rule))
        return self._group(self._model, self._prefix, "", given, 0)

    def read(self, typed: Typed) -> dict[str, Any]:
        """The fields of a draft that the form says; what is wrong with them is among the errors of ``typed``."""
        return self._read_group(self._model, self._prefix, typed, 0)

    def flat(self, values: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
        """Values of a draft as a form of them would bring them."""
        return _flat(values, self._prefix)

    # --- Showing ---

    def _group(self, model: type[BaseModel], path: str, label: str, given: Mapping[str, Any], depth: int) -> PageGroup:
        wanted: list[PageField | PageGroup | PageRows] = []
        more: list[PageField | PageGroup | PageRows] = []
        for name, info in self._fields(model, depth):
            made = self._one(info, name, f"{path}.{name}", given, depth)
            if made is None:
                continue
            has = any(key.startswith(f"{path}.{name}") and any(given[key]) for key in given)
            # Several parts of which none is there yet are seldom wanted, though the type checks that they may be.
            at_hand = info.is_required() or has or (info.validate_default and not isinstance(made, PageRows))
            (wanted if at_hand else more).append(made)
        return PageGroup(path, label, wanted, more, self._errors.get(path, ""))

    def _one(
        self, info: FieldInfo, name: str, path: str, given: Mapping[str, Any], depth: int
    ) -> PageField | PageGroup | PageRows | None:
        kind = self._kind_of(info, name)
        if kind is None or (kind.model is not None and depth >= _DEEPEST):
            return None
        label = field_label(name)
        if kind.models:
            return self._of_kinds(kind, path, label, given, depth)
        if kind.model is not None and kind.name == "part":
            return self._group(kind.model, path, label, given, depth + 1)
        if kind.model is not None:
            places = _places(path, given) or ([0] if info.is_required() or info.validate_default else [])
            if _added(given) == path:
                places.append(max(places, default=-1) + 1)
            rows = [
                self._group(kind.model, f"{path}.{place}", f"{label} {number}", given, depth + 1)
                for number, place in enumerate(places[:_MOST_ROWS], 1)
            ]
            return PageRows(path, label, rows, self._errors.get(path, ""))
        legal = next((one for one in info.metadata if isinstance(one, Legal)), None)
        required = info.is_required()
        made = PageField(
            name=path,
            label=label,
            kind=kind.name,
            values=tuple(given.get(path, ())),
            # Where it is missing, that is said beside it in the same words.
            hint=self._hint(kind, legal, filled=any(given.get(path, ())) or bool(self._errors.get(path))),
            rule=legal.rule if legal is not None and any(map(str.isdigit, legal.rule)) else "",
            options=self._options(kind, given.get(path, ())),
            required=required,
            error=self._errors.get(path, ""),
            barred=self._barred if kind.name == "names" or name == "target" else (),
        )
        return names_field(made, self._choice) if kind.name == "names" else made

    def _of_kinds(self, kind: _Kind, path: str, label: str, given: Mapping[str, Any], depth: int) -> PageGroup:
        """A part that is one of several kinds: which one, and its fields once that is known."""
        chosen = next(iter(given.get(f"{path}.kind", ())), "")
        options = [("", "–"), *((one, short_label("identifier_type", one)) for one in kind.models)]
        which = PageField(f"{path}.kind", field_label("kind"), "code", (chosen,), options=options, required=True)
        if chosen not in kind.models:
            return PageGroup(path, label, [which], error=self._errors.get(path, ""))
        inner = self._group(kind.models[chosen], path, label, given, depth + 1)
        return PageGroup(path, label, [which, *inner.fields], inner.more, inner.error)

    def _hint(self, kind: _Kind, legal: Legal | None, *, filled: bool) -> str:
        """What is expected in a field. Under one that is filled, advice to fill it in would read as a refusal."""
        if kind.name == "instant":
            return instant_hint()
        if kind.name == "lines":
            return _("One a line.")
        text = _(legal.missing) if legal is not None and legal.missing != _ORDINARY and not filled else ""
        return text[:1].upper() + text[1:]

    def _options(self, kind: _Kind, given: Sequence[str]) -> list[tuple[str, str]]:
        if kind.name == "names":
            # A target that was chosen and is barred meanwhile stays in view: the act refuses it, and says why.
            late = [(name, _("{target} (not now)").format(target=name)) for name in given if name in self._late]
            return [*((name, name) for name in self._targets), *late]
        if kind.codes is not None:
            return code_options(kind.codes, empty=kind.name == "code")
        return [("", "–"), *((one, one) for one in kind.options)] if kind.options else []

    # --- Reading ---

    def _read_group(self, model: type[BaseModel], path: str, typed: Typed, depth: int) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for name, info in self._fields(model, depth):
            kind = self._kind_of(info, name)
            if kind is None or (kind.model is not None and depth >= _DEEPEST):
                continue
            value = self._read_one(kind, f"{path}.{name}", typed, depth)
            if value not in (None, "", [], {}):
                said[name] = value
        return said

    def _read_one(self, kind: _Kind, path: str, typed: Typed, depth: int) -> Any:
        if kind.models:
            chosen = typed.one(f"{path}.kind")
            if chosen not in kind.models:
                return None
            return {"kind": chosen, **self._read_group(kind.models[chosen], path, typed, depth + 1)}
        if kind.model is not None and kind.name == "part":
            return self._read_group(kind.model, path, typed, depth + 1)
        if kind.model is not None:
            rows = [
                self._read_group(kind.model, f"{path}.{place}", typed, depth + 1)
                for place in _places(path, typed.texts)[:_MOST_ROWS]
            ]
            return [row for row in rows if row]
        match kind.name:
            case "instant":
                return typed.instant(path)
            case "number":
                return typed.number(path)
            case "yes":
                return {"yes": True, "no": False}.get(typed.one(path))
            case "codes":
                return [one for text in typed.several(path) if (one := _code(kind, text, path, typed))]
            case "names":
                return named_in(typed, path, self._choice)
            case "lines":
                return [line.strip() for line in typed.one(path).splitlines() if line.strip()]
            case "code":
                text = typed.one(path)
                return _code(kind, text, path, typed) if text else None
            case "text":
                return typed.one(path).replace("\r\n", "\n")
        return typed.day(path) if kind.day else typed.one(path)

    # --- Models ---

    def _fields(self, model: type[BaseModel], depth: int) -> list[tuple[str, FieldInfo]]:
        return [
            (info.alias or name, info)
            for name, info in model.model_fields.items()
            if depth or (info.alias or name) not in self._left_out
        ]

    def _kind_of(self, info: FieldInfo, name: str) -> _Kind | None:
        kind = _kind(info.annotation, tuple(info.metadata))
        if kind is not None and kind.name == "lines" and name in _OF_TARGETS and self._has_targets:
            return _Kind("names")
        if kind is not None and kind.name == "line" and name == "target" and self._has_targets:
            return _Kind("code", options=tuple(self._targets))
        return kind


def _kind(annotation: Any, metadata: tuple[Any, ...]) -> _Kind | None:
    """What an annotation holds; None for what a form cannot ask for."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0], (*metadata, *arguments[1:]))
    if origin in (Union, UnionType):
        rest = [one for one in arguments if one is not NoneType]
        return _kind(rest[0], metadata) if len(rest) == 1 else _of_several(rest)
    if origin is tuple:
        inner = _kind(arguments[0], ())
        several = {"part": "parts", "code": "codes", "line": "lines", "text": "lines"}
        if inner is None or inner.name not in several:
            return None
        return _Kind(several[inner.name], inner.codes, inner.model)
    codes = next((one.name for one in metadata if isinstance(one, CodeOf)), None)
    if codes is not None:
        return _Kind("code", codes)
    if origin is Literal:
        options = tuple(one for one in arguments if isinstance(one, str))
        if arguments == (True,):
            return _Kind("yes")
        return _Kind("code", options=options) if len(options) > 1 else None
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _Kind("part", model=annotation)
    limits = [one.max_length for one in metadata if isinstance(one, StringConstraints)]
    plain = {bool: "yes", int: "number", datetime: "instant"}
    if annotation in plain:
        return _Kind(plain[annotation])
    if _DAY in metadata:
        return _Kind("line", day=True)
    if annotation is str:
        return _Kind("line" if is_short(next((one for one in limits if one), 200)) else "text")
    return None


def _of_several(models: Sequence[Any]) -> _Kind | None:
    """A part that says by its field ``kind`` which of several it is."""
    found: dict[str, type[BaseModel]] = {}
    for one in models:
        model = get_args(one)[0] if get_origin(one) is Annotated else one
        if not (isinstance(model, type) and issubclass(model, BaseModel) and "kind" in model.model_fields):
            return None
        found |= dict.fromkeys(get_args(model.model_fields["kind"].annotation), model)
    return _Kind("union", models=found)


def names_targets(model: type[BaseModel]) -> bool:
    """Whether a form of the model asks for targets of the case, each by a box."""
    return any((info.alias or name) in _OF_TARGETS for name, info in model.model_fields.items())


def merged(original: Any, before: Any, now: Any) -> Any:
    """``original`` with what a form changed from ``before`` to ``now``: what it cannot ask for stays as it was."""
    if isinstance(original, Mapping) and isinstance(now, Mapping):
        was = before if isinstance(before, Mapping) else {}
        kept = {name: value for name, value in original.items() if name in now or name not in was}
        return {**kept, **{name: merged(kept.get(name), was.get(name), value) for name, value in now.items()}}
    if _are_parts(original) and _are_parts(now) and len(original) == len(now):
        rows = before if _are_parts(before) and len(before) == len(now) else [None] * len(now)
        return [merged(*three) for three in zip(original, rows, now, strict=True)]
    return original if before == now and original is not None else now


def _are_parts(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _code(kind: _Kind, text: str, path: str, typed: Typed) -> str | None:
    if kind.codes is None:
        return text
    try:
        return chosen_code(kind.codes, text)
    except AnswerProblem as problem:
        typed.errors[path] = _(problem.text)
        return None


def _places(path: str, given: Mapping[str, Any]) -> list[int]:
    """The numbers of the rows of a list that were given, in order."""
    pattern = re.compile(re.escape(path) + r"\.([0-9]{1,4})\.")
    return sorted({int(found[1]) for name in given if (found := pattern.match(name))})


def _added(given: Mapping[str, Any]) -> str:
    """The list of which one more row is wanted."""
    found = given.get("_add") or ("",)
    return str(found[0])


def _flat(value: Any, path: str) -> dict[str, tuple[str, ...]]:
    """The values of a draft by the names of the fields that show them."""
    found: dict[str, tuple[str, ...]] = {}
    if isinstance(value, Mapping):
        for name, inner in value.items():
            found |= _flat(inner, f"{path}.{name}")
    elif isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value):
        for number, inner in enumerate(value):
            found |= _flat(inner, f"{path}.{number}")
    elif isinstance(value, list | tuple):
        found[path] = tuple(map(str, value))
    elif isinstance(value, bool):
        found[path] = ("yes" if value else "no",)
    elif isinstance(value, datetime):
        found[path] = (in_zone(value, shown_zone()),)
    elif value is not None:
        found[path] = (_in_own_zone(str(value)),)
    return found


def _in_own_zone(text: str) -> str:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}T[0-9:.]+(Z|[+-]\d{2}:\d{2})", text):
        return text
    try:
        return in_zone(parse_instant(text), shown_zone(), seconds=True)
    except ComityError:
        return text

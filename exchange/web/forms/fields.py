"""Fields of forms as values: what a field asks for, what was typed, what is wrong with it; and reading them back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from exchange.desk.desk import Desk
from exchange.text.labels import listed_label, reason_label, target_ranges, targets_text
from exchange.text.zones import in_zone, shown_zone
from exchange.web.calls import PageCall
from exchange.wizard.answers import day_of, instant_of, named_targets
from exchange.wizard.legal_replies import TargetChoice, target_choice
from exchange.wizard.question import AnswerProblem, Situation
from keys.local.translation import _, language
from protocol.address import Address
from protocol.codes import load_codes
from protocol.encoding.instants import parse_instant
from protocol.errors import ComityError, InvalidAddressError

ONCE = "once"
# Of longer lists a code is typed, in words or as itself.
_MOST_OPTIONS = 120
_SHORT_CHARS = 400
# Of more targets than that none has a box of its own: they are named, as ranges or by what is pasted.
MOST_BOXES = 40


@dataclass(frozen=True, slots=True)
class PageField:
    """One field. ``kind`` is line, text, code, codes, instant, yes, check, number, address, addresses, lines, names,
    secret or fixed; ``values`` what was typed; ``options`` are (value, text). ``rule`` is the article that asks for it.
    ``barred`` are (targets, why) of those that cannot be chosen now; ``about`` is what names a target.
    """

    name: str
    label: str
    kind: str
    values: Sequence[str] = ()
    hint: str = ""
    rule: str = ""
    options: Sequence[tuple[str, str]] = ()
    required: bool = False
    error: str = ""
    barred: Sequence[tuple[str, str]] = ()
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def value(self) -> str:
        """What was typed, of a field with one value."""
        return self.values[0] if self.values else ""


@dataclass(frozen=True, slots=True)
class PageGroup:
    """Fields that belong together, under one heading; ``more`` are those that are seldom wanted, ``error`` is what is
    wrong with all of it.
    """

    name: str
    label: str
    fields: Sequence[PageField | PageGroup | PageRows]
    more: Sequence[PageField | PageGroup | PageRows] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class PageRows:
    """The same fields several times; ``name`` is what a button says that wants one more, ``error`` as of a group."""

    name: str
    label: str
    rows: Sequence[PageGroup]
    error: str = ""


@dataclass(slots=True)
class Typed:
    """What a form brought: texts by the names of fields, and what is wrong with them."""

    texts: Mapping[str, Sequence[str]]
    situation: Situation
    errors: dict[str, str] = field(default_factory=dict)

    def one(self, name: str) -> str:
        """The first text of a field, without blanks around it."""
        found = self.texts.get(name) or ("",)
        return found[0].strip()

    def several(self, name: str) -> list[str]:
        """All texts of a field that are not empty."""
        return [text.strip() for text in self.texts.get(name, ()) if text.strip()]

    def instant(self, name: str) -> str | None:
        """An instant in RFC 3339, in the officer's zone where it names none; None where nothing was typed."""
        text = self.one(name)
        if not text:
            return None
        try:
            return parse_instant(text).isoformat() if "T" in text else instant_of(text, self.situation)
        except AnswerProblem as problem:
            self.errors[name] = _(problem.text)
        except ComityError as problem:
            self.errors[name] = _(problem.detail)
        return None

    def day(self, name: str) -> str:
        """A day as 2026-11-23; what is none stays as it was typed."""
        text = self.one(name)
        return day_of(text, self.situation) if text else ""

    def number(self, name: str) -> int | None:
        """A whole number."""
        text = self.one(name)
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            self.errors[name] = _("Write a whole number, such as 90.")
            return None
        return int(text)

    def addresses(self, name: str) -> list[Address]:
        """Contact points, one a line or parted by commas."""
        found = []
        for part in self.one(name).replace(",", "\n").split():
            try:
                found.append(Address.parse(part))
            except InvalidAddressError:
                self.errors[name] = _("Write the address as contact point and node, such as 24-7@fr.")
        return found


def named_in(typed: Typed, field: str, choice: TargetChoice) -> list[str]:
    """The targets that a field chose: ticked one by one, or named in it where there are many."""
    if len(choice.possible) <= MOST_BOXES:
        return typed.several(field)
    known = dict.fromkeys((*choice.possible, *choice.barred), "")
    found, unknown = named_targets("\n".join(typed.several(field)), known)
    if unknown:
        typed.errors[field] = _("The case has no such target: {targets}").format(targets=", ".join(unknown[:5]))
    return found


def names_field(field: PageField, choice: TargetChoice) -> PageField:
    """A choice of targets as it is shown: a box for each, beside what it names, or one field for many."""
    if len(choice.possible) <= MOST_BOXES:
        return replace(field, about=choice.about)
    text = "\n".join(field.values)
    named, unknown = named_targets(text, dict.fromkeys(choice.possible, ""))
    hint = _("Names or ranges, such as {example}.").format(example=target_ranges(choice.possible[:3]))
    shown = text if unknown else target_ranges(named)
    return replace(field, kind="ranges", options=(), values=(shown,), hint=f"{field.hint} {hint}".strip())


def typed_in(call: PageCall, own: Address) -> Typed:
    """What the form of a call brought."""
    texts: dict[str, list[str]] = {}
    for name in call.form:
        texts[name] = call.texts(name)
    return Typed(texts, situation_of(call, own))


def situation_of(call: PageCall, own: Address) -> Situation:
    """What reading an answer needs to know."""
    return Situation(address=str(own), now=call.now, zone=shown_zone(), language=language())


def instant_value(at: Any) -> str:
    """An instant as a form shows it: in the officer's zone, with its offset."""
    return in_zone(at, shown_zone())


def instant_hint() -> str:
    """How a date and time is typed."""
    return _("In your own time zone, such as 2026-12-01 09:00, or +8h or +3d from now.")


def code_options(codes: str, *, empty: bool) -> list[tuple[str, str]]:
    """The codes of a list with their labels; none of a list that is too long to choose from."""
    entries = load_codes(codes).entries
    if len(entries) > _MOST_OPTIONS:
        return []
    shown = [(entry.code, listed_label(codes, entry)) for entry in entries]
    return [("", "–"), *shown] if empty else shown


def is_short(most_chars: int | None) -> bool:
    """Whether a text fits into one line."""
    return most_chars is not None and most_chars <= _SHORT_CHARS


def once_of(call: PageCall) -> str:
    """The value that lets a form send once: made with it, and kept while it is corrected."""
    return call.text(ONCE) or uuid4().hex


def with_typed(fields: Iterable[PageField], typed: Typed) -> list[PageField]:
    """The fields with what was typed into them, and what is wrong with it. A secret is never shown again."""
    return [
        replace(
            one,
            values=() if one.kind == "secret" else tuple(typed.texts.get(one.name, ())),
            error=typed.errors.get(one.name, ""),
        )
        for one in fields
    ]


async def choice_of(
    desk: Desk, thread: UUID, kind: str, now: datetime, about: UUID | None = None, *, before: UUID | None = None
) -> TargetChoice:
    """The targets of a case of which a message of the type ``kind`` can be written now, in reply to ``about``.

    With ``before``: in the place of that message, as it is corrected.
    """
    try:
        cases = await desk.cases.by_nation(thread, before=before)
    except ComityError:
        return TargetChoice()
    return target_choice(cases.values(), kind, own=str(desk.address), now=now, about=about)


def barred_lines(choice: TargetChoice) -> tuple[tuple[str, str], ...]:
    """(targets, why) of those of which nothing can be said now, those with one reason together."""
    grouped: dict[str, list[str]] = {}
    for name, reason in choice.barred.items():
        grouped.setdefault(reason_label(reason), []).append(name)
    return tuple((targets_text(names), reason) for reason, names in grouped.items())

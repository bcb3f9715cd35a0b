"""One question of a wizard: what it asks, how an answer is read, and which fields of the draft the answer fills.

A step is a value. The part that draws it decides how: a line at a terminal, a field of a page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Any

from protocol.errors import ComityError

Draft = Mapping[str, Any]
# Values by the dotted names of their fields; None takes a field out.
Fields = Mapping[str, Any]


AS_TYPED = "as_typed"
"""The name under which a draft keeps what was typed and not understood, beside the message."""


class AnswerKind(StrEnum):
    """How a person answers."""

    LINE = "line"
    TEXT = "text"  # several lines
    CODE = "code"
    CODES = "codes"
    YES_NO = "yes-no"
    INSTANT = "instant"
    NUMBER = "number"
    PASTE = "paste"


class AnswerProblem(Exception):  # noqa: N818 - shown to a person as what is wrong with an answer
    """Why an answer is not taken, in words for the officer; ``rule`` is what asks for it, where one does."""

    def __init__(self, text: str, rule: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.rule = rule

    @classmethod
    def of(cls, error: ComityError) -> AnswerProblem:
        """The problem that a typed error tells."""
        return cls(error.detail)


class NoContactKnown(AnswerProblem):
    """The directory at hand has no contact point of a country; that of all nations may."""


@dataclass(frozen=True, slots=True)
class Partner:
    """A contact point that a message may go to."""

    address: str
    country: str | None
    office: str
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownBasis:
    """What is known of an instrument with a nation. ``standing``: a code of the list ``basis_standing``.

    ``why_not`` is why nothing can rest on it, with the other ways; empty where nothing speaks against it.
    """

    standing: str
    why_not: str = ""


def _nothing_known(_address: str) -> Mapping[str, KnownBasis]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is known before anything is asked. ``own`` are the fields that the desk's settings and card fill in.

    ``zone`` is the officer's, for times that are typed here; ``language`` that of the officer's texts. ``case_targets``
    are the names of the targets of the case that a reply belongs to and can name now; ``barred_targets`` are the
    others, with the reason. ``bases_with`` tells of each instrument (code of the list ``legal_basis``) what is known of
    it between this nation and that of a contact point, by its address.
    """

    address: str
    now: datetime
    zone: tzinfo
    language: str
    partners: Sequence[Partner] = ()
    own: Mapping[str, Any] = field(default_factory=dict)
    case_targets: Sequence[str] = ()
    barred_targets: Mapping[str, str] = field(default_factory=dict)
    bases_with: Callable[[str], Mapping[str, KnownBasis]] = _nothing_known

    def partner(self, address: str) -> Partner | None:
        """The contact point of that address, where it is known."""
        return next((one for one in self.partners if one.address == address), None)


Reader = Callable[[str, Draft, Situation], Fields]


def _always(_draft: Draft, _situation: Situation) -> bool:
    return True


def _nothing(_draft: Draft, _situation: Situation) -> str:
    return ""


def _none(_draft: Draft, _situation: Situation) -> frozenset[str]:
    return frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class WizardStep:
    """One question. ``fields`` are those that it fills, the first of which says whether it is answered.

    ``proposed`` is what an empty answer stands for. ``optional``: an empty answer is one. ``rule`` is the article that
    asks for it. ``codes`` is the list whose values are offered, but for those ``barred`` here. ``told`` is what to know
    before answering; empty for nothing.
    """

    name: str
    fields: tuple[str, ...]
    prompt: str
    answered: AnswerKind
    read: Reader
    help: str = ""
    rule: str = ""
    codes: str | None = None
    optional: bool = False
    needed: Callable[[Draft, Situation], bool] = _always
    proposed: Callable[[Draft, Situation], str] = _nothing
    barred: Callable[[Draft, Situation], frozenset[str]] = _none
    told: Callable[[Draft, Situation], str] = _nothing
    done: Callable[[Draft], bool] | None = None

    def is_done(self, draft: Draft) -> bool:
        """Whether the draft has what this step asks for."""
        return self.done(draft) if self.done is not None else value_at(draft, self.fields[0]) not in (None, "", [], {})


def value_at(draft: Any, field_name: str) -> Any:
    """The value of a dotted field; None where there is none."""
    value = draft
    for part in field_name.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list | tuple) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def with_fields(draft: Draft, fields: Fields) -> dict[str, Any]:
    """A copy of ``draft`` with these fields; None takes one out."""
    changed: Any = _copied(draft)
    for name, value in fields.items():
        *way, last = name.split(".")
        holder = changed
        for place, part in enumerate(way):
            following = [*way, last][place + 1]
            holder = _entered(holder, part, following)
        if isinstance(holder, list):
            _put(holder, int(last), value)
        elif value is None:
            holder.pop(last, None)
        else:
            holder[last] = value
    return dict(changed)


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copied(part) for name, part in value.items()}
    return [_copied(part) for part in value] if isinstance(value, list | tuple) else value


def _entered(holder: Any, part: str, following: str) -> Any:
    empty: Any = [] if following.isdigit() else {}
    if isinstance(holder, list):
        if int(part) == len(holder):
            holder.append(empty)
        return holder[int(part)]
    if not isinstance(holder.get(part), dict | list):
        holder[part] = empty
    return holder[part]


def _put(holder: list[Any], place: int, value: Any) -> None:
    if value is None:
        del holder[place : place + 1]
    elif place < len(holder):
        holder[place] = value
    else:
        holder.append(value)

"""The questions of a type on pages: which stand together, and how an answer that a draft has is written again.

A terminal asks one question after the other; a page asks several, and shows what was answered before. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from exchange.text.zones import in_zone
from exchange.wizard._requests import EMERGENCY, INCIDENT, NOTE, REQUESTS, TEST
from exchange.wizard._targets import EACH, targets_of
from exchange.wizard.flow import Wizard
from exchange.wizard.question import AnswerKind, Draft, Situation, WizardStep, value_at
from protocol.encoding.instants import parse_instant
from protocol.errors import ComityError
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.base import Attachment
from protocol.messages.schema.since import Since


class WizardSection(StrEnum):
    """What questions are about, in the order in which they are asked."""

    NATION = "nation"
    WHAT = "what"
    TARGETS = "targets"


@dataclass(frozen=True, slots=True)
class WizardPage:
    """One page: its name in an address, and the sections on it."""

    name: str
    sections: tuple[WizardSection, ...]


_ALL = tuple(WizardSection)
_USUAL = tuple(WizardPage(one.value, (one,)) for one in _ALL)
# One page for somebody in a hurry, or where little is asked.
_AT_ONCE: Mapping[str, tuple[WizardPage, ...]] = MappingProxyType(
    {
        EMERGENCY: (WizardPage("emergency", _ALL),),
        TEST: (WizardPage("message", (WizardSection.NATION, WizardSection.WHAT)),),
        NOTE: (WizardPage("message", (WizardSection.NATION, WizardSection.WHAT)),),
        INCIDENT: (WizardPage("message", (WizardSection.NATION, WizardSection.WHAT)),),
    }
)
_NATION = frozenset({"to", "legal_basis.instrument", "legal_basis.articles", "own_reference"})
_ABOUT_TARGETS = frozenset({"earlier", "more_targets"})
_MINUTES = "60"


def pages_of(message_type: str) -> tuple[WizardPage, ...]:
    """The pages of a type, in order."""
    return _AT_ONCE.get(message_type) or (_USUAL if message_type in REQUESTS else (WizardPage("message", _ALL),))


def takes_files(message_type: str) -> bool:
    """Whether files may follow a message of this type: whether its newest version has sealed attachments."""
    since = next(one.version for one in Attachment.model_fields["sealed"].metadata if isinstance(one, Since))
    model = MESSAGE_TYPES.get(message_type)
    return model is not None and since <= model.SCHEMA_VERSION


def section_of(step: WizardStep) -> WizardSection:
    """In which section a question stands."""
    if step.name in _NATION:
        return WizardSection.NATION
    is_of_targets = step.answered is AnswerKind.PASTE or step.name.startswith((EACH, "identifiers."))
    return WizardSection.TARGETS if is_of_targets or step.name in _ABOUT_TARGETS else WizardSection.WHAT


def steps_in(wizard: Wizard, sections: Sequence[WizardSection]) -> tuple[WizardStep, ...]:
    """The questions of these sections that the draft as it stands needs, or has an answer to."""
    return tuple(step for step in wizard.all_steps() if section_of(step) in sections)


def page_with(wizard: Wizard, step: WizardStep) -> str:
    """The name of the page that a question stands on."""
    section = section_of(step)
    return next(page.name for page in pages_of(wizard.message_type) if section in page.sections)


def text_of(step: WizardStep, draft: Draft, situation: Situation) -> str:
    """What a draft answers to a question, as a person writes it; empty where it does not answer it.

    Read again by the question it gives the same fields.
    """
    special = _SPECIAL.get(step.name)
    if special is not None:
        return special(draft)
    if step.name.startswith(EACH):
        return ""
    return _written(value_at(draft, step.fields[0]), situation)


def text_of_target(step: WizardStep, target: Mapping[str, Any], situation: Situation) -> str:
    """As :func:`text_of`, of one target."""
    name = step.name.removeprefix(EACH)
    value = target.get(name)
    if name == "time_window" and isinstance(value, Mapping):
        return " to ".join(_instant(value.get(end), situation) for end in ("begins_at", "ends_at") if value.get(end))
    if name == "custodian" and isinstance(value, Mapping):
        return ", ".join(str(value[part]) for part in ("name", "country", "service") if value.get(part))
    return _written(value, situation)


def proposed_window(target: Mapping[str, Any]) -> str:
    """Minutes around the target's own time, where it has one; else nothing."""
    return _MINUTES if value_at(target, "identifier.instant") else ""


# --- Inside ---


def _written(value: Any, situation: Situation) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    if isinstance(value, str | int):
        return _instant(value, situation)
    return ""


def _instant(value: Any, situation: Situation) -> str:
    """An instant in the officer's zone, with its offset; any other text as it is."""
    text = str(value)
    if len(text) < 17 or text[4:5] != "-" or text[10:11] not in ("T", "t"):
        return text
    try:
        at = parse_instant(text)
    except (ComityError, ValueError):
        return text
    return in_zone(at, situation.zone, seconds=bool(at.second)).replace("Z", " UTC")


def _offences(draft: Draft) -> str:
    found = [one for one in draft.get("offences") or () if isinstance(one, Mapping)]
    by_number = [one for one in found if one.get("list") == "budapest"]
    others = [one for one in found if one.get("list") != "budapest"]
    named = [*(one.get("code") for one in by_number), *(one.get("title") or one.get("code") for one in others)]
    return "; ".join(str(one) for one in named if one)


def _earlier(draft: Draft) -> str:
    earlier = draft.get("earlier_preservations")
    first = earlier[0] if isinstance(earlier, list) and earlier else None
    return str(draft.get("previous_reference") or (first or {}).get("reference") or "")


def _persons(draft: Draft) -> str:
    found = [one for one in draft.get("persons") or () if isinstance(one, Mapping)]
    return f"{found[0].get('description', '')}: {found[0].get('link', '')}" if found else ""


def _conditions(draft: Draft) -> str:
    found = [one for one in draft.get("conditions") or () if isinstance(one, Mapping)]
    return "\n".join(f"{one.get('kind', 'other')}: {one.get('text', '')}" for one in found)


def _items(draft: Draft) -> str:
    found = [one for one in draft.get("items") or () if isinstance(one, Mapping)]
    return "\n".join(f"{one.get('message', '')}: {one.get('item', '')}" for one in found)


def _reported_relation(draft: Draft) -> str:
    found = [str(one.get("relation") or "") for one in draft.get("identifiers") or () if isinstance(one, Mapping)]
    return found[0] if found and len(set(found)) == 1 else ""


def _nothing(_draft: Draft) -> str:
    return ""


_SPECIAL: Mapping[str, Callable[[Draft], str]] = MappingProxyType(
    {
        "offences": _offences,
        "earlier": _earlier,
        "persons": _persons,
        "conditions": _conditions,
        "items": _items,
        "identifiers.relation": _reported_relation,
        "targets": _nothing,
        "identifiers": _nothing,
        "more_targets": _nothing,
    }
)


def has_targets(draft: Draft) -> bool:
    """Whether a draft has targets."""
    return bool(targets_of(draft))

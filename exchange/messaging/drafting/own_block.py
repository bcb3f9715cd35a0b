"""The desk's own block of a form: authority, confirmation contact and language, filled in where a draft leaves it out.

It comes from the settings, and what they do not say from the desk's own card. A draft always wins: of an object that
names the same authority or person, only the members that are missing are filled in; one that names another stays as it
is, so that nobody's number ends up beside somebody else's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from keys.local.isolates import bare
from keys.local.translation import translator
from protocol.encoding.phrase import phrase
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.parts import Authority

if TYPE_CHECKING:
    from exchange.settings import DeskSettings
    from keys.directory.cards import ContactPointCard

# The member that names somebody, by the field of a message.
_NAMED_BY = {"authority": "organisation", "confirmation_contact": "name", "call_back": "name", "officer": "name"}
_NUMBERS = ("telephone", "mobile", "email")
_OWN = ("authority", "confirmation_contact", "call_back", "language", "officer")


def own_fields(settings: DeskSettings, card: ContactPointCard | None, country: str | None = None) -> dict[str, Any]:
    """The desk's own block; ``country`` is that of its nation, where the card does not say one."""
    said = settings.authority.model_dump(exclude_none=True) if settings.authority else {}
    authority = {**_of_card(card, country, settings.language), **said} if card is not None else said
    officer = settings.officer
    if officer is not None and authority:
        if settings.authority is None or settings.authority.person_in_charge is None:
            authority["person_in_charge"] = officer.name
        if not any(name in authority for name in _NUMBERS):
            authority |= {name: value for name in _NUMBERS if (value := getattr(officer, name, None)) is not None}
    found: dict[str, Any] = {"authority": authority} if authority else {}
    contact = _contact(settings, authority)
    if contact:
        found |= {"confirmation_contact": contact, "call_back": contact}
    found["language"] = settings.language
    if officer is not None:
        found["officer"] = {"name": officer.name, "role": officer.role}
    return found


def filled(draft: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """``draft`` with what its type asks for and it leaves out, as far as ``own`` has it."""
    given = dict(draft)
    for name, required in _own_of(str(draft.get("type"))).items():
        value = own.get(name)
        if value is None:
            continue
        said = given.get(name)
        if _is_blank(said):
            if name != "call_back" or required:
                given[name] = value
        elif isinstance(value, dict | Mapping) and _names_same(said, value, _NAMED_BY.get(name, "name")):
            given[name] = {**value, **{key: one for key, one in given[name].items() if not _is_blank(one)}}
    return given


@cache
def _own_of(message_type: str) -> Mapping[str, bool]:
    """Which fields of a type are of the desk's own block, and whether each must be there."""
    model = MESSAGE_TYPES.get(message_type)
    fields = model.model_fields if model is not None else {}
    # The authority of some types is another one: that which received a request, say.
    return {
        name: fields[name].is_required()
        for name in _OWN
        if name in fields and not (name == "authority" and fields[name].annotation is not Authority)
    }


def _of_card(card: ContactPointCard, country: str | None, written_in: str) -> dict[str, Any]:
    hours = phrase("24 hours, 7 days") if card.hours == "24/7" else phrase("as on the card in the directory")
    found: dict[str, Any] = {
        "organisation": card.agency,
        "office": card.office,
        "person_in_charge": card.office,
        "office_hours": bare(translator(written_in.replace("-", "_")).gettext(hours)),  # as the texts of the message
        "time_zone": card.time_zone,
    }
    if card.phones:
        found["telephone"] = "+" + "".join(digit for digit in card.phones[0] if digit.isdigit())
    if card.country or country:
        found["country"] = card.country or country
    return found


def _contact(settings: DeskSettings, authority: Mapping[str, Any]) -> dict[str, Any]:
    """Who confirms: the person of the settings, else the officer, reached by the authority's numbers at least."""
    if settings.confirmation_contact is not None:
        found = settings.confirmation_contact.model_dump(exclude_none=True)
    elif settings.officer is not None:
        officer = settings.officer
        found = {"name": officer.name, "job_title": officer.role}
        found |= {name: value for name in _NUMBERS if (value := getattr(officer, name, None)) is not None}
    else:
        return {}
    if not any(name in found for name in _NUMBERS):
        found |= {name: authority[name] for name in _NUMBERS if name in authority}
    return found


def _names_same(given: Any, own: Mapping[str, Any], name: str) -> bool:
    return isinstance(given, dict | Mapping) and (_is_blank(who := given.get(name)) or who == own.get(name))


def _is_blank(value: Any) -> bool:
    """Whether nothing was written: an empty form is as good as none."""
    if value is None or type(value) is str:
        return not value
    if isinstance(value, dict | Mapping):
        return all(map(_is_blank, value.values()))
    return value in ("", [], ())

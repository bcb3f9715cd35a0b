"""The desk's own block in its settings, as programs get it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NotRequired, TypedDict

from pydantic import BaseModel, ValidationError

from exchange.desk.desk import Desk
from exchange.i18n import _
from exchange.messaging.drafting.own_block import filled, own_fields
from exchange.office.officers import READERS, Role
from exchange.settings import AuthoritySettings, ConfirmationSettings, DeskSettings, OfficerSettings
from protocol.errors import InvalidMessageError, SettingsError, UsageError
from protocol.messages.parse import check_outgoing

_SECTIONS = ("officer", "authority", "confirmation_contact")


class SettingProblem(TypedDict):
    """What a form would refuse of a setting; the rule that says so."""

    field: str
    rule: str
    text: str


class SettingsShown(TypedDict):
    """The block, by the names of the settings, and what is to be corrected or added in it."""

    settings: dict[str, str]
    problems: NotRequired[list[SettingProblem]]


async def show_settings(desk: Desk) -> SettingsShown:
    """The block as it lies on the disk; raises as :meth:`DeskSettings.load`."""
    desk.office.acting.require(*READERS, Role.ADMINISTRATOR)
    return settings_object(DeskSettings.load(desk.home.settings))


async def set_setting(desk: Desk, name: str, *, value: str | None = None) -> SettingsShown:
    """As :func:`change_setting`, by an administrator. A running desk takes it up when it is started again."""
    desk.office.acting.require(Role.ADMINISTRATOR)
    return change_setting(desk.home.settings, name, value)


def settings_object(settings: DeskSettings) -> SettingsShown:
    """The block as programs get it."""
    wrong: list[SettingProblem] = [
        {"field": field, "rule": rule, "text": text} for field, rule, text in problems(settings)
    ]
    return {"settings": dict(rows_of(settings)), "problems": wrong}


def change_setting(path: Path, name: str, value: str | None) -> SettingsShown:
    """Set one of them; None takes it out. Raises :class:`UsageError`, :class:`SettingsError`,
    :class:`InvalidMessageError` for a value that the forms do not take.
    """
    changed = _changed(DeskSettings.load(path), name, value)
    wrong = [problem for problem in problems(changed) if problem[0] == name]
    if wrong and value is not None:
        raise InvalidMessageError(_("the forms do not take this value"), tuple(wrong))
    changed.save(path)
    return {"settings": dict(rows_of(changed))}


def rows_of(settings: Any) -> list[tuple[str, str]]:
    """Each setting of the block and its value."""
    rows = [("language", settings.language)]
    for section in _SECTIONS:
        part = getattr(settings, section)
        values = part.model_dump(exclude_none=True) if part is not None else {}
        rows += [(f"{section}.{name}", value) for name, value in values.items()]
    return rows


def _changed(settings: Any, name: str, value: str | None) -> Any:
    """The settings with one value changed. Raises :class:`UsageError`, :class:`SettingsError`."""
    fields = settings.model_dump(exclude_none=True)
    section, dot, part = name.partition(".")
    if not (dot and section in _SECTIONS) and name != "language":
        raise UsageError(
            _("there is no such setting; known: language and {sections}").format(sections=", ".join(_SECTIONS))
        )
    place = fields if name == "language" else fields.setdefault(section, {})
    key = part or name
    if value is None:
        place.pop(key, None)
    else:
        place[key] = value
    if section in _SECTIONS and not fields[section]:
        del fields[section]
    try:
        return type(settings).model_validate(fields)
    except ValidationError as problem:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in problem.errors(include_input=False))
        raise SettingsError(wrong) from None


def problems(settings: Any) -> list[tuple[str, str, str]]:
    """What a form would refuse of the desk's own block, by the names of the settings."""
    own = own_fields(settings, None)
    draft = filled({"type": "preservation.request"}, own)
    return [
        (field, rule, text)
        for field, rule, text in check_outgoing(draft)
        if field.partition(".")[0] in own and field in _settable() and not _comes_from_card(settings, field)
    ]


def _comes_from_card(settings: Any, field: str) -> bool:
    """Whether the desk's card says it where the settings do not."""
    section, _dot, name = field.partition(".")
    part = getattr(settings, section, None)
    given = getattr(part, name, None) if part is not None else None
    return section == "authority" and given is None


def _settable() -> set[str]:
    sections: dict[str, type[BaseModel]] = {
        "officer": OfficerSettings,
        "authority": AuthoritySettings,
        "confirmation_contact": ConfirmationSettings,
    }
    return {"language", *(f"{name}.{field}" for name, model in sections.items() for field in model.model_fields)}

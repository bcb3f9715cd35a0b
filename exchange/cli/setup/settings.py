"""``comity settings``: the desk's own block, which is filled in where a draft leaves it out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli._options import DEFAULT_HOME, HomeOption, JsonOption, run
from exchange.cli.output import line, print_json, table
from exchange.i18n import _
from protocol.errors import InvalidMessageError, UsageError

app = typer.Typer(no_args_is_help=True)

_SECTIONS = ("officer", "authority", "confirmation_contact")


@app.command(
    help=_(
        "Show what the settings fill in where a draft leaves it out, and whether the forms take it.\n\n"
        "Example: comity settings show"
    )
)
def show(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show the desk's own block."""

    async def work() -> None:
        from exchange.settings import DeskSettings, Home

        settings = DeskSettings.load(Home(home.expanduser()).settings)
        rows = list(_rows(settings))
        wrong = _problems(settings)
        if as_json:
            problems = [{"field": field, "rule": rule, "text": text} for field, rule, text in wrong]
            print_json({"settings": dict(rows), "problems": problems})
            return
        table(_("Filled in by the desk"), [_("Setting"), _("Value")], rows)
        if wrong:
            table(
                _("To correct or add"), [_("Setting"), _("Rule"), _("Meaning")], [(f, _(r), _(t)) for f, r, t in wrong]
            )

    run(work, as_json=as_json)


@app.command(
    "set",
    help=_(
        "Set one of them; without a value it is taken out.\n\n"
        "Example: comity settings set authority.telephone +81350000247"
    ),
)
def set_(
    name: Annotated[
        str, typer.Argument(help=_("language, or a name in officer, authority or confirmation_contact, after a dot."))
    ],
    value: Annotated[str | None, typer.Argument(help=_("Its value; nothing takes it out."))] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Set a part of the desk's own block."""

    async def work() -> None:
        from exchange.settings import DeskSettings, Home

        path = Home(home.expanduser()).settings
        settings = DeskSettings.load(path)
        changed = _changed(settings, name, value)
        wrong = [problem for problem in _problems(changed) if problem[0] == name]
        if wrong and value is not None:
            raise InvalidMessageError(_("the forms do not take this value"), tuple(wrong))
        changed.save(path)
        if as_json:
            print_json({"settings": dict(_rows(changed))})
        else:
            line(_("Set. A desk that runs as a service takes it up when it is started again."))

    run(work, as_json=as_json)


def own_block(home: Path) -> dict[str, Any]:
    """What the settings of a home fill in; nothing where there is no home yet."""
    from exchange.messaging.drafting.own_block import own_fields
    from exchange.settings import DeskSettings, Home

    path = Home(home.expanduser()).settings
    return own_fields(DeskSettings.load(path), None) if path.exists() else {}


def _rows(settings: Any) -> list[tuple[str, str]]:
    rows = [("language", settings.language)]
    for section in _SECTIONS:
        part = getattr(settings, section)
        values = part.model_dump(exclude_none=True) if part is not None else {}
        rows += [(f"{section}.{name}", value) for name, value in values.items()]
    return rows


def _changed(settings: Any, name: str, value: str | None) -> Any:
    """The settings with one value changed. Raises :class:`UsageError`, :class:`SettingsError`."""
    from pydantic import ValidationError

    from protocol.errors import SettingsError

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


def _problems(settings: Any) -> list[tuple[str, str, str]]:
    """What a form would refuse of the desk's own block, by the names of the settings."""
    from exchange.messaging.drafting.own_block import filled, own_fields
    from protocol.messages.parse import check_outgoing

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
    from pydantic import BaseModel

    from exchange.settings import AuthoritySettings, ConfirmationSettings, OfficerSettings

    sections: dict[str, type[BaseModel]] = {
        "officer": OfficerSettings,
        "authority": AuthoritySettings,
        "confirmation_contact": ConfirmationSettings,
    }
    return {"language", *(f"{name}.{field}" for name, model in sections.items() for field in model.model_fields)}

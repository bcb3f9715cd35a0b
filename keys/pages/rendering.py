"""Templates to HTML: everything is escaped, a value that is not there is refused, and all texts go through gettext.

In a template ``_("...")`` is a text, ``ngettext`` one with a number, ``{{ value | plain }}`` a value that others wrote,
with what cannot be seen made visible. Values are put into texts by ``_("...").format(...)``, and escaped after that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from keys.local.isolates import shown
from keys.local.printing import printable_line, printable_text
from keys.local.translation import _, is_right_to_left, language, ngettext, pgettext

FOLDER = Path(__file__).parent / "templates"


def environment(*folders: Path) -> Environment:
    """The templates of ``folders``, with the common ones beneath."""
    made = Environment(
        loader=ChoiceLoader([FileSystemLoader(folder) for folder in (*folders, FOLDER)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals.update(
        {"_": _, "ngettext": ngettext, "pgettext": pgettext, "language": language, "is_right_to_left": is_right_to_left}
    )
    made.filters.update({"plain": _plain, "prose": _prose})
    return made


def rendered(templates: Environment, name: str, values: dict[str, Any]) -> str:
    """The page ``name`` with its values, in the language that is spoken now."""
    return shown(templates.get_template(name).render(values))


def _plain(value: object) -> str:
    return printable_line(str(value))


def _prose(value: object) -> Markup:
    """Several lines as paragraphs."""
    lines = printable_text(str(value)).split("\n")
    return Markup("<br>").join(escape(line) for line in lines)

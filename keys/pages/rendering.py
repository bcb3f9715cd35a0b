"""Templates to HTML: everything is escaped, a value that is not there is refused, and all texts go through gettext.

In a template ``_("...")`` is a text, ``ngettext`` one with a number, ``{{ value | plain }}`` a value that others wrote,
with what cannot be seen made visible. Values are put into texts by ``_("...").format(...)``, and escaped after that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from keys.local.isolates import shown
from keys.local.printing import printable_line, printable_text
from keys.local.translation import _, is_right_to_left, language, ngettext, pgettext
from keys.pages.languages import name_of
from protocol.errors import ComityError, FormError

# An instant in words, in the reader's own zone, or in a named one.
Zoned = Callable[[datetime, str | None], str]
# The links behind a refusal: (path, text).
Ways = Callable[[ComityError], Sequence[tuple[str, str]]]

# A day, perhaps with a time to the minute or finer, perhaps with the offset, as they are written in lines.
_DATE = re.compile(
    r"((?<![0-9])[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?: ?(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?)?)"
)
_WHOLE = Markup('<span class="date">{}</span>')
FOLDER = Path(__file__).parent / "templates"


def in_utc(at: datetime, _zone: str | None = None) -> str:
    """An instant to the minute, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%MZ}"


def no_ways(_problem: ComityError) -> Sequence[tuple[str, str]]:
    """No page leads on from a refusal."""
    return ()


def environment(*folders: Path, zoned: Zoned = in_utc, ways: Ways = no_ways) -> Environment:
    """The templates of ``folders``, with the common ones beneath.

    ``zoned`` tells instants; ``ways`` are the links behind a refusal.
    """
    made = Environment(
        loader=ChoiceLoader([FileSystemLoader(folder) for folder in (*folders, FOLDER)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals.update(
        {
            "_": _,
            "ngettext": ngettext,
            "pgettext": pgettext,
            "language": language,
            "language_name": name_of,
            "is_right_to_left": is_right_to_left,
            "zoned": zoned,
            "ways": ways,
        }
    )
    made.filters.update(
        {"plain": _plain, "prose": _prose, "own_path": own_path, "iso": _iso, "utc": in_utc, "dated": _dated}
    )
    return made


def rendered(templates: Environment, name: str, values: dict[str, Any]) -> str:
    """The page ``name`` with its values, in the language that is spoken now."""
    return shown(templates.get_template(name).render(values))


def own_path(value: object) -> str:
    """A path of these pages, for a link or a form; raises :class:`FormError` for any other address.

    A browser takes ``//host`` and ``/\\host`` for another site.
    """
    path = str(value)
    if path[:1] not in {"/", "?", "#"} or path[1:2] in {"/", "\\"} or not path.isprintable():
        raise FormError("a page names an address that is not its own")
    return path


def _iso(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _plain(value: object) -> str:
    # A page shows a tab as a blank, and obeys nothing in it.
    return printable_line(str(value).replace("\t", " "))


def _dated(value: object) -> Markup:
    """One line in which no date or instant is cut in two: a half of one reads as another. A browser breaks a line after
    each hyphen, and from right to left the parts would then stand in another order.
    """
    parts = _DATE.split(_plain(value))
    return Markup("").join(_WHOLE.format(part) if place % 2 else escape(part) for place, part in enumerate(parts))


def _prose(value: object) -> Markup:
    """Several lines as paragraphs."""
    lines = printable_text(str(value)).split("\n")
    return Markup("<br>").join(escape(line) for line in lines)

"""A reader's language: texts, numbers, times and spans, without looking at the environment."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from babel import Locale
from babel.dates import format_date, format_skeleton, format_time, get_datetime_format
from babel.numbers import format_decimal

from exchange.text.zones import in_zone
from keys.local.translation import in_language, label_context
from protocol.codes import load_codes
from protocol.codes.likely import names_of
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError

_SECOND_MS = 1000
_CODE_CHARS = 64
_UNITS_S = (86_400, 3_600, 60, 1)  # day, hour, minute, second


class Reader:
    """Writes for readers of one language, in ``zone`` and UTC; raises :class:`UsageError` for a language that there is
    no catalogue of."""

    def __init__(self, language: str, zone: tzinfo = UTC) -> None:
        catalogue = in_language(language)
        if catalogue is None:
            raise UsageError(phrase("there are no texts in the language {language}", language=language))
        self.language = language
        self._zone = zone
        self._catalogue = catalogue
        self._locale = Locale.parse(language.partition("@")[0], sep="_")

    @property
    def tag(self) -> str:
        """The language as HTML and PDF name it (BCP 47)."""
        return self.language.partition("@")[0].replace("_", "-")

    @property
    def direction(self) -> str:
        """``ltr`` or ``rtl``."""
        return str(self._locale.text_direction)

    def text(self, text: str) -> str:
        """A text of the program."""
        return self._catalogue.gettext(text)

    def code(self, name: str, code: str) -> str:
        """The label of a code in the published list ``name``; the code itself, isolated, where the list lacks it."""
        codes = load_codes(name)
        if code not in codes:
            return isolated(code)
        return self._catalogue.pgettext(label_context(name, code), codes.label(code))

    def short_code(self, name: str, code: str) -> str:
        """As :meth:`code`, without what a label says in explanation."""
        return next(reversed(list(names_of(self.code(name, code)))), code)

    def country(self, code: str) -> str | None:
        """A country's name; None for what is no code of the list country."""
        codes = load_codes("country")
        if code not in codes:
            return None
        return self._locale.territories.get(code, codes.label(code)) if self.tag != "en" else codes.label(code)

    def number(self, number: int) -> str:
        """A whole number."""
        return format_decimal(number, locale=self._locale)

    def instant(self, at: datetime) -> str:
        """An instant to the second, in the reader's own zone with its offset, and in UTC beside it."""
        utc = self._in_utc(at)
        own = in_zone(at, self._zone, seconds=True)
        # Isolated: digits and signs would be put in another order among words that run the other way.
        return utc if own.endswith("Z") else f"\N{LEFT-TO-RIGHT ISOLATE}{own}\N{POP DIRECTIONAL ISOLATE} ({utc})"

    def _in_utc(self, at: datetime) -> str:
        utc = at.astimezone(UTC)
        date = format_date(utc.date(), "long", locale=self._locale)
        time = format_time(utc, "medium", tzinfo=UTC, locale=self._locale)
        # CLDR names the zone in some languages otherwise (French: TU); here it has one name in all.
        pattern = str(get_datetime_format("long", locale=self._locale)).replace("'", "")
        return pattern.replace("{0}", f"{time}\N{NO-BREAK SPACE}UTC").replace("{1}", date)

    def month(self, month: str) -> str:
        """A month such as ``2026-11``."""
        first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
        return format_skeleton("yMMM", first, tzinfo=UTC, locale=self._locale)

    def span(self, ms: int) -> str:
        """A span of time in its two largest units, rounded down; below a minute in seconds with a decimal."""
        _ = self.text
        if ms < 60 * _SECOND_MS:
            return self._measure(_("{number} s"), ms // 100 / 10)
        units = (_("{number} d"), _("{number} h"), _("{number} min"), _("{number} s"))
        seconds = ms // _SECOND_MS
        first = next(number for number, size in enumerate(_UNITS_S) if seconds >= size)
        whole, rest = divmod(seconds, _UNITS_S[first])
        parts = [self._measure(units[first], whole)]
        if rest >= _UNITS_S[first + 1]:
            parts.append(self._measure(units[first + 1], rest // _UNITS_S[first + 1]))
        return "\N{NO-BREAK SPACE}".join(parts)

    def _measure(self, pattern: str, number: float) -> str:
        shown = pattern.format(number=format_decimal(number, locale=self._locale))
        return shown.replace(" ", "\N{NO-BREAK SPACE}")


def printable(code: str) -> str:
    """A code from outside in plain ASCII, cut where it is long: anything else becomes an escape (``\\u202e``)."""
    shown = "".join(c if " " <= c <= "~" and c != "\\" else c.encode("unicode_escape").decode("ascii") for c in code)
    return shown if len(shown) <= _CODE_CHARS else f"{shown[:_CODE_CHARS]}..."


def isolated(code: str) -> str:
    """A code that stands among words: from left to right, whichever way those run (UAX #9)."""
    return f"\N{LEFT-TO-RIGHT ISOLATE}{printable(code)}\N{POP DIRECTIONAL ISOLATE}"

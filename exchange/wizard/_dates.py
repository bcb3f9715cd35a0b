"""Dates and times as officers of six languages write them, put into the layout that :class:`Times` reads.

Names of months are those of CLDR in the reader's language and in English; of Arabic also those of the Levant and the
Maghreb. A date of three numbers with full stops has the day first: no language writes the month first that way. Of one
with slashes or hyphens nobody knows unless one of the numbers is above twelve; it is asked for again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from exchange.text.typed import in_ascii, plain_word
from keys.local.translation import language

_ARABIC = ("ar", "ar_LB", "ar_MA", "ar_DZ", "ar_TN")
_HALVES = {"am": "AM", "pm": "PM", "a.m.": "AM", "p.m.": "PM", "ص": "AM", "م": "PM", "صباحا": "AM", "مساء": "PM"}
_UNITS: Mapping[str, str] = MappingProxyType(
    {
        word: unit
        for unit, words in {
            "minutes": "m min mins minute minutes minuto minutos мин минута минуты минут 分 分钟 دقيقة دقائق",
            "hours": "h hr hour hours heure heures hora horas ч час часа часов 小时 时 ساعة ساعات",
            "days": "d day days j jour jours dia dias д день дня дней 天 日 يوم يوما ايام",
            "weeks": "w week weeks sem semaine semaines semana semanas нед неделя недели недель 周 星期 اسبوع اسابيع",
        }.items()
        for word in words.split()
    }
)
_SPAN = re.compile(r"\+\s*(\d{1,4})\s*([^\W\d_]{1,10})\.?")
_CHINESE_DAY = re.compile(r"(\d{4})\s*年\s*(\d{1,2})\s*月\s*(\d{1,2})\s*[日号]?")
_CHINESE_CLOCK = re.compile(r"(上午|下午|凌晨|早上|中午|晚上)?\s*(\d{1,2})\s*[点时:]\s*(?:(\d{1,2})\s*分?)?")
_AFTER_NOON = frozenset({"下午", "晚上"})
_NAMED_DAY = re.compile(
    r"(?:[^\W\d_]{2,12}\.?,?\s+)?(\d{1,2})(?:er|re|st|nd|rd|th|º|ª|°|\.)?[-/\s]+(?:de\s+|of\s+)?"
    r"([^\W\d_]{3,12}(?:\s[^\W\d_]{3,12})?)\.?,?[-/\s]+(?:de\s+|del\s+)?(\d{4})(?:\s*г(?:\.|ода)?|\s*م(?=\s|$))?"
)
_NAMED_MONTH = re.compile(r"([^\W\d_]{3,12})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})")
_POINTS = re.compile(r"(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})(?:\s*г(?:\.|ода)?)?")
_YEAR_LAST = re.compile(r"(\d{1,2})([-/])(\d{1,2})\2(\d{4})")
_HOURS = re.compile(r"(?<![\d:])(\d{1,2})\s*[hHч]\s*(\d{2})?(?!\w)")
_BETWEEN = re.compile(r"\s+(?:à|a\s+las?|a\s+la|в|at|um|الساعة|على)\s+|\s*,\s*", re.IGNORECASE)
_DAY = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}")
_CLOCK_ALONE = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?")


def span_of(text: str) -> tuple[str, int] | None:
    """The unit and number of ``+8h``, ``+3 jours``, ``+３天``; None for anything else."""
    found = _SPAN.fullmatch(in_ascii(text).strip())
    if found is None:
        return None
    unit = _UNITS.get(plain_word(found[2]))
    return (unit, int(found[1])) if unit is not None else None


def layout_of(text: str) -> str:
    """``text`` with its date as ``2026-12-01`` where it is understood, and midnight behind a date alone."""
    written = " ".join(in_ascii(text).split()).strip(" ,;.")
    written = _CHINESE_DAY.sub(r"\1-\2-\3 ", written).strip()
    written = _CHINESE_CLOCK.sub(_clock, written) if re.search("[点时上下凌早中晚]", written) else written
    written = with_named_day(written)
    if found := _POINTS.search(written):
        written = _put(written, found, f"{found[3]}-{found[2]}-{found[1]}")
    elif (found := _YEAR_LAST.search(written)) and (known := _day_and_month(int(found[1]), int(found[3]))):
        written = _put(written, found, f"{found[4]}-{known[1]}-{known[0]}")
    written = _HOURS.sub(lambda hour: f"{hour[1]}:{hour[2] or '00'}", _BETWEEN.sub(" ", written))
    written = " ".join(_HALVES.get(plain_word(word), word) for word in written.split())
    return f"{written} 00:00" if _DAY.fullmatch(written) else written


def with_named_day(text: str) -> str:
    """``text`` with its first date that names a month, or is in Chinese, as ``2026-12-01``; the rest as it stands."""
    if found := _CHINESE_DAY.search(text):
        return _put(text, found, f"{found[1]}-{found[2]}-{found[3]}")
    for pattern, month, day in ((_NAMED_DAY, 2, 1), (_NAMED_MONTH, 1, 2)):
        for found in pattern.finditer(text):
            if number := months().get(plain_word(found[month])):
                return _put(text, found, f"{found[3]}-{number}-{found[day]}")
    return text


@lru_cache(maxsize=8)
def _months_in(own: str) -> Mapping[str, int]:
    from babel import Locale, UnknownLocaleError

    found: dict[str, int] = {}
    for name in ("en", own, *(_ARABIC if own == "ar" else ())):
        try:
            calendar = Locale.parse(name, sep="_").months
        except (UnknownLocaleError, ValueError):
            continue
        for form in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for number, word in calendar[form][width].items():
                    found.setdefault(plain_word(word), number)
    return MappingProxyType(found)


def months() -> Mapping[str, int]:
    """Names of months, folded, in the reader's language and in English, with their numbers."""
    return _months_in(language().partition("@")[0])


def is_in_two_orders(text: str) -> bool:
    """Whether day and month of a date can be told apart in no way."""
    found = _YEAR_LAST.search(in_ascii(text))
    return found is not None and _day_and_month(int(found[1]), int(found[3])) is None


def _day_and_month(one: int, two: int) -> tuple[int, int] | None:
    """Which of two numbers is the day; None where both may be."""
    if one == two and 1 <= one <= 12:
        return one, two
    if one > 12 >= two:
        return one, two
    return (two, one) if two > 12 >= one else None


def _clock(found: re.Match[str]) -> str:
    hour = int(found[2])
    hour = hour + 12 if found[1] in _AFTER_NOON and hour < 12 else hour
    return f" {hour}:{int(found[3] or 0):02}"


def _put(text: str, found: re.Match[str], day: str) -> str:
    year, month, date = day.split("-")
    before, behind = text[: found.start()], text[found.end() :]
    return f"{before} {year}-{int(month):02}-{int(date):02} {behind}".strip()

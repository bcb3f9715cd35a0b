"""What the templates of this room say values with: instants, spans, codes and marks, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from babel import Locale
from babel.dates import format_date, format_skeleton

from exchange.text.due import instant_text, kind_label, lane_label, measured_text, span_text
from exchange.text.labels import code_label, deadline_label, decision_label, how_far_label, state_label, with_rule
from exchange.text.zones import in_zone, shown_zone
from keys.directory.cards import ContactPointCard
from keys.directory.duty_hours import zone_of
from keys.local.translation import _, language
from protocol.encoding.instants import to_text


def nation_label(node: str) -> str:
    """A nation by the name of its node: the country's name, else the node's."""
    return _nation_in(language(), node)


@lru_cache(maxsize=4_096)
def _nation_in(_language: str, node: str) -> str:
    """Pages name up to two hundred nations: each is looked up once in a language."""
    return code_label("country", node.upper())


def nations_label(nodes: str) -> str:
    """Several nations of a case, which stand in one text."""
    return ", ".join(nation_label(node.strip()) for node in nodes.split(","))


def left_text(due: datetime, now: datetime) -> str:
    """How much time is left, or since when it is over."""
    span = span_text(abs(due - now))
    return _("{span} left").format(span=span) if due > now else _("since {span}").format(span=span)


def pressing(due: datetime | None, now: datetime, *, late: bool = True) -> str:
    """The class of a time: late, soon (two days), or calm. ``late``: who missed it would be so, as by no target."""
    if due is None:
        return ""
    if due <= now:
        return "late" if late else "soon"
    return "soon" if (due - now).total_seconds() < 2 * 86_400 else "calm"


def there_text(at: datetime, card: ContactPointCard) -> str | None:
    """An instant in the zone of an office, with its name; None where this machine does not know the zone."""
    zone = zone_of(card)
    if zone is None:
        return None
    return _("{time} {zone}").format(time=in_zone(at, zone), zone=card.time_zone)


def clock_text(at: datetime) -> str:
    """The time of day in the own zone."""
    return f"{at.astimezone(shown_zone()):%H:%M}"


def month_text(day: date) -> str:
    """A month with its year."""
    return str(format_skeleton("yMMMM", day, locale=_locale()))


def weekday_text(day: date) -> str:
    """A day of the week, short."""
    return str(format_date(day, "EEE", locale=_locale()))


def _locale() -> Locale:
    return Locale.parse(language().partition("@")[0], sep="_")


WORDS: Mapping[str, Any] = MappingProxyType(
    {
        "instant": instant_text,
        "utc": to_text,
        "span": span_text,
        "measured": measured_text,
        "left": left_text,
        "pressing": pressing,
        "code": code_label,
        "decides": decision_label,
        "state": state_label,
        "far": how_far_label,
        "with_rule": with_rule,
        "what": deadline_label,
        "kind": kind_label,
        "lane": lane_label,
        "nation": nation_label,
        "nations": nations_label,
        "there": there_text,
        "clock": clock_text,
        "month": month_text,
        "weekday": weekday_text,
    }
)

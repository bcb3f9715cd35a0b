"""The officer's own time zone: that of the environment (TZ), else that of the office's card."""

from __future__ import annotations

import os
from contextvars import ContextVar
from datetime import UTC, datetime, tzinfo

_of_card: ContextVar[str | None] = ContextVar("of_card", default=None)
_chosen: ContextVar[str] = ContextVar("chosen", default="")


def show_times_of(card_zone: str | None, chosen: str = "") -> None:
    """Show times in the officer's own zone from now on: the ``chosen`` one, else that of the environment, else that of
    the office's card.
    """
    _of_card.set(card_zone)
    _chosen.set(chosen)


def shown_zone() -> tzinfo:
    """The zone in which times are shown here."""
    return own_zone(_of_card.get())


def own_zone(card_zone: str | None = None) -> tzinfo:
    """The zone in which an officer here reads and types times; UTC where nothing says one that is known."""
    from zoneinfo import ZoneInfo  # a command that shows no time does without

    for name in (_chosen.get(), os.environ.get("TZ", "").removeprefix(":"), card_zone or ""):
        try:
            if name:
                return ZoneInfo(name)
        except (ValueError, OSError, KeyError):  # no name of a zone, such as JST-9
            continue
    return UTC


def in_zone(at: datetime, zone: tzinfo, *, seconds: bool = False) -> str:
    """An instant as a person reads it: in their zone, with its offset from UTC (Z: none) in one piece with it."""
    local = at.astimezone(zone)
    offset = local.strftime("%z")
    shown = "Z" if offset in ("+0000", "") else f"{offset[:3]}:{offset[3:5]}"
    return f"{local:%Y-%m-%d %H:%M:%S}{shown}" if seconds else f"{local:%Y-%m-%d %H:%M}{shown}"


def in_both_zones(at: datetime, *, seconds: bool = False) -> str:
    """An instant in the reader's own zone, with UTC beside it where that is another one."""
    own, utc = in_zone(at, shown_zone(), seconds=seconds), in_zone(at, UTC, seconds=seconds)
    return own if own == utc else f"{own} ({utc})"

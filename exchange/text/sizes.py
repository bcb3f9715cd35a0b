"""Sizes and spans of time for people, short: 1.4 GB, 3 min."""

from __future__ import annotations

from datetime import datetime, timedelta

from exchange.i18n import _
from exchange.text.zones import in_zone, shown_zone
from exchange.views import FilesShareAt

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_STEP = 1000
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def bytes_text(size: int) -> str:
    """A size in bytes, in the decimal unit that makes it a number below 1000."""
    value, unit = float(size), 0
    while value >= _STEP - 0.5 and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    return f"{size} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def duration_text(seconds: float) -> str:
    """A span of time in its largest unit, and the next one below it."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


_OLD = timedelta(seconds=60)
"""A share that is older than this is not known any more."""


def share_text(share: FilesShareAt, now: datetime) -> str:
    """How much of a message's files a node or a desk has, by its own word; where that is old, since when."""
    if share.end is not None:
        return ended_text(share.end)
    if share.percent is None:
        return _("not known")
    if share.percent == 100:
        return _("all files")
    if share.at is not None and now - share.at > _OLD:
        text = _("{share} %, not known since {at}; it goes on by itself")
        return text.format(share=share.percent, at=in_zone(share.at, shown_zone()))
    if share.rate and share.left_s is not None:
        text = _("{share} %, {rate} a second, {left} left; it goes on by itself")
        return text.format(share=share.percent, rate=bytes_text(share.rate), left=duration_text(share.left_s))
    return _("{share} %; it goes on by itself").format(share=share.percent)


def not_taken_text(code: str) -> str:
    """Why a desk could not take files, by the reason that it stated."""
    match code:
        case "file-altered" | "file-key-mismatch" | "file-length-mismatch":
            return _("what was sealed is not what the message says of it")
        case "file-hash-mismatch":
            return _("it opens to another file than the one whose hash the message states")
        case "storage-full":
            return _("its disk is full")
        case "file-by-hash-only":
            return _("its office takes such material by its hash only")
        case "erased":
            return _("its office erased the message before it had the files")
        case _:
            return code


def after_not_taken(code: str) -> str:
    """What the sender does when a desk could not take files."""
    match code:
        case "storage-full":
            return _("nothing: they go on by themselves when it has room; call the office if that is urgent")
        case "file-by-hash-only":
            return _("agree with the office on another way, and name it in a message")
        case "erased":
            return _("ask the office whether it still needs them; if so, send them in a new message")
        case "file-altered" | "file-key-mismatch" | "file-length-mismatch" | "file-hash-mismatch":
            return _("seal the file anew from its source, and send it again (comity files supplement)")
        case _:
            return _("call the office")


def ended_text(code: str) -> str:
    """Why files are not kept at a node any more, by the code of its event or its refusal."""
    match code:
        case "cancelled" | "file-cancelled":
            return _("cancelled by the sender")
        case "forgotten":
            return _("let go by the operator there")
        case "gone-before":
            return _("let go: the node before it does not keep them any more")
        case "expired-unfetched":
            return _("let go: all were there, and their time passed before they were fetched")
        case "never-complete":
            return _("let go: their time passed before all were there")
        case "deleted":
            return _("handed over, and let go after that")
        case _:
            return _("not kept there any more ({code})").format(code=code)

"""Short words of the console: spans, sizes, instants, and what codes of errors, events and keys mean to an operator."""

from __future__ import annotations

from datetime import datetime

from keys.local.translation import label_context, pgettext
from node.i18n import _
from protocol.codes import load_codes
from protocol.errors import registry

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def span(seconds: float) -> str:
    """A time that passed or is left, in its two largest units."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return _("{seconds} s").format(seconds=whole)
    if whole < _HOUR:
        return _("{minutes} min").format(minutes=whole // _MINUTE)
    if whole < 2 * _DAY:
        return _("{hours} h {minutes} min").format(hours=whole // _HOUR, minutes=whole % _HOUR // _MINUTE)
    return _("{days} d").format(days=whole // _DAY)


def size_text(size_bytes: int) -> str:
    """So many bytes, with the unit that suits."""
    amount, unit = float(size_bytes), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if amount >= 10 or unit == "B" else f"{amount:.1f} {unit}"


def time_text(at: datetime, now: datetime) -> str:
    """An instant in UTC; the day only where it is another one."""
    return f"{at:%H:%M UTC}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M UTC}"


def error_text(code: str, detail: str = "") -> str:
    """An error in words: what happened, if that is known, else what its code means."""
    if detail:
        return _(detail)
    kind = registry().get(code)
    return _(kind().detail) if kind is not None else code


def advice_text(code: str) -> str:
    """What to do about an error of this code; empty for one that is not known here."""
    kind = registry().get(code)
    return _(kind.advice) if kind is not None else ""


def operator_advice(code: str) -> str:
    """What the operator of this node does about an error that a partner, or the way to it, gave."""
    texts = {
        "unavailable": _("Test the way. If nothing answers, telephone its operator: does the node run?"),
        "certificate-unknown": _("Fetch the directory. If it stays so, telephone its operator."),
        "network-not-allowed": _("If its address is right, name the network in the setting allow_networks."),
        "unauthenticated": _("Its operator looks at its directory and its clock: it does not know this node's key."),
        "clock-skew": _("Compare both clocks, and set the wrong one (NTP)."),
        "log-fork": _("Its log contradicted itself. The guide says how to settle it, in section 9."),
        "rate-limited": _("It asks this node to send less. It goes on by itself."),
        "storage-full": _("Its disk is full. Telephone its operator."),
        "file-quota": _("It has no room for these files now. They go on by themselves."),
        "not-on-route": _("A node on the way has an older directory: telephone its operator."),
    }
    return texts.get(code) or _("Test the way. If it stays so, telephone its operator.")


def refusal_advice(code: str, *, known: bool) -> str:
    """What the operator does about refusals of this code that this node gave; ``known``: to a member."""
    if not known:
        return _("Nothing: it got nothing. If it comes often, look at who reaches this machine.")
    texts = {
        "clock-skew": _("Compare both clocks, and set the wrong one (NTP)."),
        "unauthenticated": _("Telephone its operator: its keys are not those of the directory."),
        "rate-limited": _("Nothing, if it is seldom. If its traffic is right, raise the limits in the settings."),
        "storage-full": _("Free space on this node's disk; it goes on by itself."),
        "file-quota": _("Its files in transit here are too many. They go on by themselves when others have left."),
        "forbidden": _("It asked for what its card does not allow. If it should, its nation changes the card."),
        "log-fork": _("Its log contradicted itself. The guide says how to settle it, in section 9."),
    }
    return texts.get(code) or _("Nothing, if it is seldom. If it goes on, telephone its operator.")


def event_text(code: str) -> str:
    """What happened, by the name of an event of a log."""
    codes = load_codes("receipt_event")
    return pgettext(label_context("receipt_event", code), codes.label(code)) if code in codes else code


def what_text(what: str, subject: str) -> str:
    """A thing that can end, in words; ``what`` is as :class:`keys.directory.metadata.expiry.Expiry` names it."""
    texts = {
        "signing-key": _("The signing key of {subject}"),
        "sealing-key": _("The key of {subject} that opens messages"),
        "tls-certificate": _("The TLS certificate of {subject}"),
    }
    return texts.get(what, _("The role {role} of the directory")).format(subject=subject, role=what)

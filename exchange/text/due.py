"""What is due, in words of few columns: when, of whom, by what kind of date, and what is done next."""

from __future__ import annotations

from datetime import datetime, timedelta

from exchange.text.labels import code_label, deadline_label
from exchange.text.zones import in_zone, shown_zone
from exchange.views import AgendaItem, Lane
from keys.local.printing import printable_line
from keys.local.translation import _

_INDENT = "  "


def lane_label(lane: Lane) -> str:
    """The heading of a lane."""
    return {
        Lane.EMERGENCIES: _("Emergencies"),
        Lane.OURS: _("Ours to do"),
        Lane.THEIRS: _("Theirs to do"),
        Lane.NOT_DELIVERED: _("Not delivered"),
        Lane.OWN_AUTHORITIES: _("Our own authorities"),
    }[lane]


def kind_label(item: AgendaItem) -> str:
    """Whose date it is. An expiry was declared by the side that keeps the data; the other side owes what is next."""
    theirs = item.ours if item.what in {"expiry", "handover"} else not item.ours
    if item.kind == "promised":
        return _("promised by them") if theirs else _("promised by us")
    if item.kind == "declared":
        return _("declared by them") if theirs else _("declared by us")
    if item.kind == "law":
        return _("law between us")
    return _("our own target") if item.ours else _("a target, nobody is bound")


def due_text(item: AgendaItem, now: datetime) -> str:
    """When it is due; nobody is late by an own target: that has passed."""
    if item.due is None:
        return _("paused")
    at, span = instant_text(item.due), span_text(abs(item.due - now))
    if not item.overdue:
        return _("not later than {at} (in {span})").format(at=at, span=span)
    if item.delivery is not None and not item.late:
        return _("expired unfetched {at} ({span} ago)").format(at=at, span=span)
    if item.late:
        return _("LATE since {at} ({span})").format(at=at, span=span)
    return _("target passed {at} ({span} ago)").format(at=at, span=span)


def harm_text(item: AgendaItem, now: datetime) -> str:
    """How much time is left in an emergency."""
    if item.harm_at is None:
        return ""
    span = span_text(abs(item.harm_at - now))
    if item.needed_by is None:
        text = (
            _("no time was named; the network's clock: {span} left")
            if item.harm_at > now
            else _("no time was named; the network's clock passed {span} ago")
        )
        return text.format(span=span)
    text = _("NEEDED BY {at}: {span} left") if item.harm_at > now else _("NEEDED BY {at}: passed {span} ago")
    return text.format(at=instant_text(item.needed_by), span=span)


def item_lines(item: AgendaItem, now: datetime, call: str | None = None) -> list[str]:
    """An item in a few short lines: ids short, dates whole, the command last. ``call`` is the number to call."""
    marks = [_("SUSPECTED FORGERY")] if item.suspected else []
    marks += [] if item.proved else [_("NOT PROVED")]
    head = " ".join((f"{str(item.thread)[-8:]}", *(f"[{mark}]" for mark in marks), deadline_label(item.what)))
    lines = [f"{head}: {printable_line(item.target)}" if item.target else head]
    if item.lane is Lane.EMERGENCIES:
        lines.append(_INDENT + harm_text(item, now))
    lines.append(_INDENT + due_text(item, now))
    lines.append(_INDENT + ", ".join((_("owed by {who}").format(who=item.owes), kind_label(item))))
    if item.since is not None and (item.due is None or item.lane is Lane.OWN_AUTHORITIES):
        lines.append(_INDENT + _("since {at}").format(at=instant_text(item.since)))
    if item.delivery is not None:
        lines += [_INDENT + text for text in delivery_lines(item)]
    lines += [_INDENT + text for text in unopened_lines(item)]
    if item.reference is not None:
        lines.append(_INDENT + printable_line(item.reference))
    if call is not None:
        lines.append(_INDENT + _("call {number}").format(number=call))
    lines.append(_INDENT + "> " + item.next)
    return lines


def delivery_lines(item: AgendaItem) -> list[str]:
    """What is known of a message that did not arrive."""
    delivery = item.delivery
    if delivery is None:
        return []
    peers = ", ".join(map(str, item.peers))
    state = {
        "queued": _("{type} to {peers} waits at this desk"),
        "refused": _("{type} to {peers} was refused by our node"),
        "failed": _("{type} to {peers} failed on its way"),
        "under_way": _("{type} to {peers} is not fetched yet"),
    }[delivery.state].format(type=delivery.type, peers=peers)
    lines = [f"{state} ({', '.join(delivery.reasons)})" if delivery.reasons else state]
    if delivery.hangs == "expiry" and delivery.hangs_at is not None:
        lines.append(_("THE PRESERVATION LAPSES {at} if it does not arrive").format(at=instant_text(delivery.hangs_at)))
    return lines


def unopened_lines(item: AgendaItem) -> list[str]:
    """What is known of a message that the other desk has and nobody opened."""
    found = item.unopened
    if found is None:
        return []
    peers, at = ", ".join(map(str, item.peers)), instant_text(found.since)
    lines = [code_label("message_type", found.type)] if item.what == "unopened" else []
    lines.append(_("with the desk of {peers} since {at}, not opened").format(peers=peers, at=at))
    if found.others:
        lines.append(_("Further messages of this case that wait there: {n}").format(n=found.others))
    return lines


def instant_text(at: datetime) -> str:
    """An instant in the officer's zone, to the minute, with its offset: never broken."""
    return in_zone(at, shown_zone())


def span_text(span: timedelta) -> str:
    """A span in its two largest units, such as ``2 d 4 h``."""
    minutes = int(span.total_seconds()) // 60
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return _("{days} d {hours} h").format(days=days, hours=hours)
    return (
        _("{hours} h {minutes} min").format(hours=hours, minutes=minutes) if hours else _("{n} min").format(n=minutes)
    )


def measured_text(seconds: float | None) -> str:
    """A measured span for a person: seconds, then minutes, then hours and minutes."""
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"

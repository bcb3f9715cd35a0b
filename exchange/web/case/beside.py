"""What stands beside a case: whom to call, what the law of both sides says, and its files with how far they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from exchange.cases.calls import PhoneCard
from exchange.cases.law.checks import basis_of
from exchange.cases.legal_comparison import profile_at_hand
from exchange.desk.desk import Desk
from exchange.files.shown import MessageFiles
from exchange.text.labels import code_label, nation_label
from exchange.text.sizes import bytes_text
from exchange.text.zones import shown_zone
from exchange.views import Direction
from keys.directory.duty_hours import on_duty, opening_at
from keys.local.translation import _
from protocol.address import Address
from protocol.lifecycle.case import AnyCase


@dataclass(frozen=True, slots=True)
class Person:
    """An office to call: its numbers, its clock, and whether it is on duty. ``opens`` is when it opens next."""

    address: Address
    nation: str
    office: str
    phones: Sequence[str]
    clock: str
    zone: str
    duty: bool | None
    opens: datetime | None


@dataclass(frozen=True, slots=True)
class LawSaid:
    """One thing that the law between the two says, its source, and whether that is verified."""

    text: str
    source: str
    verified: bool


@dataclass(frozen=True, slots=True)
class FileShown:
    """One file of a message, with its number there."""

    message: object
    number: int
    name: str
    size: str
    sha256: str
    state: str
    tone: str
    here: bool
    done: int
    whole: int


def other_zones(cards: Iterable[PhoneCard], now: datetime) -> dict[str, str]:
    """The zones of these offices by their nodes, where their clocks show another time than the reader's."""
    own, found = now.astimezone(shown_zone()).utcoffset(), {}
    for card in cards:
        with suppress(ValueError, OSError, KeyError):  # a zone that this machine does not know is not told
            if now.astimezone(ZoneInfo(card.time_zone)).utcoffset() != own:
                found[card.address.node] = card.time_zone
    return found


def people(cards: Sequence[PhoneCard], now: datetime) -> list[Person]:
    """The offices of these cards."""
    return [_person(card, now) for card in cards]


def _person(card: PhoneCard, now: datetime) -> Person:
    try:
        clock = now.astimezone(ZoneInfo(card.time_zone)).strftime("%H:%M")
    except (ValueError, OSError, KeyError):
        clock = ""
    duty = on_duty(card, now)
    opening = opening_at(card, now) if duty is False else None
    nation = nation_label(card.address.node)
    return Person(
        card.address, nation, card.office, card.phones, clock, card.time_zone, duty, opening[0] if opening else None
    )


def law_said(desk: Desk, cases: Sequence[AnyCase], now: datetime) -> list[LawSaid]:
    """What the law says between the two sides of a case."""
    found: list[LawSaid] = []
    for case in cases:
        opening = case.opening
        if opening is None:
            continue
        asker = Address.parse(opening.by).node
        for node in dict.fromkeys(Address.parse(one).node for one in opening.requested):
            found += _between(desk, asker, node, opening.instrument, now)
    return list(dict.fromkeys(found))


def _between(desk: Desk, asker: str, node: str, instrument: str | None, now: datetime) -> list[LawSaid]:
    found: list[LawSaid] = []
    nations = {"asker": nation_label(asker), "node": nation_label(node)}
    if instrument is not None:
        basis = basis_of(desk.directory, instrument, asker, node, now.date())
        text = _("{instrument}, between {asker} and {node}: {standing}.").format(
            instrument=code_label("legal_basis", instrument),
            standing=code_label("basis_standing", basis.standing),
            **nations,
        )
        sources = "; ".join(dict.fromkeys(said.source for said in basis.statements))
        found.append(LawSaid(text, sources, basis.verified))
    known = profile_at_hand(desk.directory, node)
    if known is None:
        found.append(LawSaid(_("Nothing is known of the law of {node}.").format(**nations), "", verified=False))
        return found
    rule = known.profile.preservation_under(instrument or "")
    if rule is not None:
        text = _("{node} keeps data for this many days at least: {days}.").format(days=rule.minimum_days, **nations)
        found.append(LawSaid(text, rule.source, known.signed and rule.confidence == "verified"))
        if rule.extension_days is not None:
            text = _("An extension adds this many days: {days}.").format(days=rule.extension_days)
            found.append(LawSaid(text, rule.source, known.signed and rule.confidence == "verified"))
    return found


def files_shown(found: Sequence[MessageFiles]) -> list[FileShown]:
    """The files of a case."""
    return [
        FileShown(
            message=one.message,
            number=row.number,
            name=row.name,
            size=bytes_text(row.size_bytes),
            sha256=row.sha256,
            state=_file_state(row.state, sent=one.direction is Direction.SENT),
            tone={"quarantined": "harm", "opened": "good", "received": "good"}.get(row.state, ""),
            here=row.here,
            done=one.transfer.bytes_moved,
            whole=max(one.transfer.total_bytes, 1),
        )
        for one in found
        for row in one.files
    ]


def _file_state(state: str, *, sent: bool) -> str:
    if sent and state == "received":
        return _("goes with the message")  # it lies here because this office sent it: nobody gave it to us
    return {
        "by hash only": _("by hash only: no file follows"),
        "listed": _("listed, not all of it here"),
        "received": _("received, hash holds"),
        "opened": _("opened, hash holds"),
        "quarantined": _("kept apart: not what was signed"),
        "gone": _("its key is destroyed"),
    }[state]

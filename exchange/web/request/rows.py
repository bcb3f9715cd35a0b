"""The targets of a draft as a table, and the lines of a paste that give none yet, each with what would mend it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from exchange.messaging.drafting.splitting import REQUEST
from exchange.text.labels import code_label, field_label
from exchange.text.zones import in_zone, shown_zone
from exchange.web.request.fields import FormField, fields_of_target
from exchange.wizard.forms import TypedForm, left_lines
from exchange.wizard.paste import Ask
from exchange.wizard.question import value_at
from keys.local.translation import _, labelled
from protocol.encoding.instants import parse_instant
from protocol.errors import ComityError

ROWS = 50
_NOT_SHOWN = frozenset({"kind", "instant", "precision", "as_typed"})
_PROTOCOLS = ("tcp", "udp")


@dataclass(frozen=True, slots=True)
class BothTimes:
    """An instant in the officer's zone and in UTC: as text, whole, to the last figure that was written."""

    own: str
    utc: str
    at: datetime

    @classmethod
    def of(cls, text: object) -> BothTimes | None:
        """Of an instant in RFC 3339; None for what is none."""
        try:
            at = parse_instant(str(text))
        except (ComityError, ValueError):
            return None
        figures = _figures(str(text))
        own, utc = (in_zone(at, zone, seconds=True) for zone in (shown_zone(), UTC))
        return cls(_with(own, figures), _with(utc, figures), at)


@dataclass(frozen=True, slots=True)
class TargetShown:
    """One target: what it is in words, its own time and window, the data wanted, what it lacks, and its fields."""

    name: str
    kind: str
    named: str
    at: BothTimes | None
    begins: BothTimes | None
    ends: BothTimes | None
    wanted: tuple[str, ...]
    holder: str
    lacks: tuple[tuple[str, str], ...]
    fields: tuple[FormField, ...]
    open: bool

    @property
    def is_holder_known(self) -> bool:
        """Whether somebody is named who holds the data."""
        return bool(self.holder)


@dataclass(frozen=True, slots=True)
class LeftLine:
    """A line that gives no target: ``answers`` are what may be said for it (value, label); ``free``: other words do."""

    line: int
    text: str
    why: str
    ask: str
    answers: tuple[tuple[str, str], ...]
    free: str


def targets_shown(form: TypedForm, begin: int = 0) -> list[TargetShown]:
    """The targets from ``begin`` on, no more than :data:`ROWS`."""
    targets = [one for one in form.wizard.draft.get("targets") or () if isinstance(one, Mapping)]
    lacking = _lacking(form)
    rows = enumerate(targets[begin : begin + ROWS], begin)
    return [_target(form, place, target, lacking.get(place, ())) for place, target in rows]


def lines_shown(form: TypedForm) -> list[LeftLine]:
    """The lines that give no target yet, the first :data:`ROWS`."""
    return [_line(one.line, one.text, _(one.why), one.asks) for one in left_lines(form)[:ROWS]]


def asked_for_all(form: TypedForm) -> list[LeftLine]:
    """What may be said once for several lines that lack the same."""
    left = left_lines(form)
    several = [ask for ask in Ask if sum(one.asks is ask for one in left) > 1]
    return [_line(0, "", "", ask) for ask in several]


def reported_shown(form: TypedForm, begin: int = 0) -> list[tuple[str, str, BothTimes | None]]:
    """The identifiers that information reports, from ``begin`` on, no more than :data:`ROWS`: kind, words, and when
    seen.
    """
    found = [one for one in form.wizard.draft.get("identifiers") or () if isinstance(one, Mapping)]
    return [
        (*_identifier(one), BothTimes.of(value_at(one, "identifier.instant") or one.get("seen_at")))
        for one in found[begin : begin + ROWS]
    ]


def too_many_told(form: TypedForm) -> str:
    """That one message does not hold all targets of a draft, and what becomes of them; empty where it does."""
    room = form.wizard.room()
    if room.is_enough:
        return ""
    if form.wizard.message_type != REQUEST:
        return _(room.told)
    return _(
        "One message holds the first {fit} of these targets, and they are {count}: the request goes as several"
        " messages, unless you split the list over several requests."
    ).format(fit=room.fit, count=room.count)


# --- Inside ---


def _target(form: TypedForm, place: int, target: Mapping[str, Any], lacks: tuple[tuple[str, str], ...]) -> TargetShown:
    kind, named = _identifier(target)
    window = target.get("time_window")
    window = window if isinstance(window, Mapping) else {}
    custodian = target.get("custodian")
    holder = str(custodian.get("name") or "") if isinstance(custodian, Mapping) else ""
    location = target.get("location")
    holder = holder or (str(location.get("place") or location) if isinstance(location, Mapping) else "")
    fields = tuple(fields_of_target(form, target))
    return TargetShown(
        name=str(target.get("target") or place + 1),
        kind=kind,
        named=named,
        at=BothTimes.of(value_at(target, "identifier.instant")),
        begins=BothTimes.of(window.get("begins_at")),
        ends=BothTimes.of(window.get("ends_at")),
        wanted=tuple(code_label("data_category", str(one)) for one in target.get("data_categories") or ()),
        holder=holder,
        lacks=lacks,
        fields=fields,
        open=any(one.problem for one in fields),
    )


def _identifier(target: Mapping[str, Any]) -> tuple[str, str]:
    identifier = target.get("identifier")
    if not isinstance(identifier, Mapping):
        return _("no identifier"), ""
    kind = str(identifier.get("kind") or "")
    address, port = identifier.get("address"), identifier.get("port")
    if kind in ("ipv4", "ipv6"):
        named = f"[{address}]:{port}" if port and kind == "ipv6" else f"{address}:{port}" if port else f"{address}"
        rest = [str(identifier[one]) for one in ("protocol", "destination_address") if identifier.get(one)]
        return code_label("identifier_type", kind), " ".join((named, *rest))
    values = [
        str(value) for name, value in identifier.items() if name not in _NOT_SHOWN and not isinstance(value, dict)
    ]
    return code_label("identifier_type", kind), ", ".join(values)


def _lacking(form: TypedForm) -> dict[int, tuple[tuple[str, str], ...]]:
    """What each target lacks, by its place: the text and the rule."""
    found: dict[int, list[tuple[str, str]]] = {}
    draft = form.wizard.draft
    for field, rule, text in form.wizard.problems():
        top, _dot, rest = field.partition(".")
        place, _dot, inside = rest.partition(".")
        if top == "targets" and place.isdigit():
            name = inside.partition(".")[0]
            missing = name and value_at(draft, f"targets.{place}.{name}") in (None, "", [], {})
            said = labelled(_("missing"), field_label(name)) if missing else _(text)
            told = (said, _(rule) if rule and _(rule) not in said else "")
            if told not in found.setdefault(int(place), []):
                found[int(place)].append(told)
    return {place: tuple(told) for place, told in found.items()}


def _line(line: int, text: str, why: str, ask: Ask | None) -> LeftLine:
    answers: tuple[tuple[str, str], ...] = ()
    free = ""
    match ask:
        case Ask.ZONE:
            own = str(getattr(shown_zone(), "key", "") or "")
            answers = (("UTC", _("UTC")), *(((own, _city(own)),) if own and own != "UTC" else ()))
            free = _("Another zone, such as Europe/Paris or +01:00")
        case Ask.DATES:
            answers = (("dmy", _("The day comes first")), ("mdy", _("The month comes first")))
        case Ask.YEAR:
            free = _("The year, such as 2026")
        case Ask.PROTOCOL:
            answers = tuple((one, code_label("transport_protocol", one)) for one in _PROTOCOLS)
            free = _("Another protocol")
        case Ask.SERVICE:
            free = _("The service, such as telegram")
        case Ask.CHAIN:
            free = _("The blockchain, such as ethereum")
        case None:
            pass
    return LeftLine(line, text, why, ask.value if ask else "", answers, free)


def question_of(line: LeftLine) -> str:
    """What is asked of a line, in words."""
    return {
        "zone": _("In which zone is this time?"),
        "dates": _("Which number is the day?"),
        "year": _("Of which year is it?"),
        "protocol": _("Which transport protocol?"),
        "service": _("At which service is this account?"),
        "chain": _("On which blockchain is it?"),
    }.get(line.ask, "")


def question_for_all(line: LeftLine) -> str:
    """As :func:`question_of`, of all lines that lack it."""
    return labelled(_("For all lines that do not say it"), question_of(line))


def _city(zone: str) -> str:
    return zone.rpartition("/")[2].replace("_", " ")


def _figures(text: str) -> str:
    """The figures behind the second, as they were written."""
    behind = text.partition(".")[2]
    figures = ""
    for one in behind:
        if not one.isdigit():
            break
        figures += one
    return figures


def _with(text: str, figures: str) -> str:
    return f"{text[:19]}.{figures}{text[19:]}" if figures else text

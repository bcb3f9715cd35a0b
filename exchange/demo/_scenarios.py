"""Cases that contact points meet, played by their desks over running nodes.

Every message is a shipped example fitted into the thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from exchange.cli.output import safe
from exchange.demo._cast import (
    DAY,
    CaseWanted,
    Cast,
    Play,
    Scenario,
    answer_of,
    authorised,
    example_fields,
    name_of,
    now,
    text,
)
from exchange.demo._evidence import HANDED_OVER
from exchange.demo._three_nations import CASES_OF_THREE
from exchange.demo._turns import TURNS
from exchange.desk.desk import Desk
from exchange.i18n import _
from protocol.errors import DemoStepError
from protocol.lifecycle.warnings import OVERDUE

_ASSISTANCE = "messages/assistance.request.json"
_UNDATED = {"wanted_by": None, "wanted_by_reason": None}


async def _produced(cast: Cast) -> UUID:
    tokyo, paris = cast.tokyo, cast.paris
    request = await cast.open_case(tokyo, "preservation-request.json")
    await cast.acknowledge(paris, request)
    answer, expiry = await cast.preserve(paris, request, {"t1": 60, "t2": 60})
    until = expiry + 90 * DAY
    extension = await cast.reply(
        tokyo, answer, "preservation.extend", targets=["t1", "t2"], until=text(until), **_LATER
    )
    extended = [
        {"target": name, "result": "preserved", "preserved_at": text(now()), "expires_at": text(until)}
        for name in ("t1", "t2")
    ]
    await cast.reply(paris, extension, "preservation.answer", targets=extended)
    follow_up = await cast.reply(tokyo, request, "preservation.follow-up", targets=["t1", "t2"], **_submitted())
    await cast.reply(
        paris,
        follow_up,
        "follow-up.confirmed",
        targets=["t1", "t2"],
        authority={"organisation": "Ministère de la Justice"},
        file_number="BEPI-2026-1187",
        received_at=text(now()),
    )
    await cast.answer_under_conditions(paris, follow_up, **answer_of("t1", "t2"))
    return request


async def _refused_in_part(cast: Cast) -> UUID:
    request = await cast.open_case(cast.tokyo, "preservation-request.json")
    at = now()
    await cast.reply(
        cast.paris,
        request,
        "preservation.answer",
        targets=[
            {
                "target": "t1",
                "result": "preserved",
                "preserved_at": text(at),
                "expires_at": text(at + 60 * DAY),
            },
            {
                "target": "t2",
                "result": "refused",
                "ground": {"code": "essential_interests", "text": "The mailbox belongs to a ministry."},
            },
        ],
    )
    return request


async def _risk(cast: Cast) -> UUID:
    request = await cast.open_case(cast.tokyo, "preservation-request.json")
    risk = await cast.reply(cast.paris, request, "preservation.risk", targets=["t1", "t2"])
    await cast.reply(cast.tokyo, risk, "preservation.risk-reply", targets=["t1", "t2"])
    await cast.preserve(cast.paris, request, {"t1": 60, "t2": 60})
    return request


async def _lapse_prevented(cast: Cast) -> UUID:
    """Both agendas are looked at for each of the coming days; the last warning before the lapse is acted on."""
    tokyo, paris = cast.tokyo, cast.paris
    request = await cast.open_case(tokyo, "preservation-request.json")
    answer, expiry = await cast.preserve(paris, request, {"t1": 60, "t2": 60})
    for desk in (tokyo, paris):
        warned = await _levels(desk, request, expiry)
        told = _("{desk} would be told: {levels}")
        cast.stage.tell("   " + told.format(desk=name_of(desk), levels=", ".join(warned)))
        if warned != ["21d", "7d", "2d", OVERDUE]:
            raise DemoStepError(f"{desk.address} would be told {warned}")
    until = expiry + 90 * DAY
    extension = await cast.reply(
        tokyo, answer, "preservation.extend", targets=["t1", "t2"], until=text(until), **_LATER
    )
    extended = [
        {"target": name, "result": "preserved", "preserved_at": text(now()), "expires_at": text(until)}
        for name in ("t1", "t2")
    ]
    await cast.reply(paris, extension, "preservation.answer", targets=extended)
    for desk in (tokyo, paris):
        if await _levels(desk, request, expiry):
            raise DemoStepError(f"{desk.address} would still be told of the old expiry")
    return request


async def _levels(desk: Desk, thread: UUID, expiry: datetime) -> list[str]:
    """The levels that the expiry goes through, day by day, from now to the day after it."""
    seen: dict[str, None] = {}
    day = now()
    while day <= expiry + DAY:
        for item in await desk.cases.agenda(day):
            if item.thread == thread and item.what == "expiry" and item.due == expiry and item.level is not None:
                seen[item.level] = None
        day += DAY
    return list(seen)


async def _emergency(cast: Cast) -> UUID:
    due = text(now() + 5 * DAY)
    request = await cast.open_case(cast.tokyo, "messages/emergency.request.json", needed_by=None, supplement_by=due)
    shown = await cast.paris.messages.show(request)
    call_back = shown.message.model_dump(mode="json")["call_back"]
    called = await cast.paris.cases.record_call(request, "verified", spoke_to=call_back["name"])
    told = _("Paris calls {person} back, on the number that the directory has: {number}")
    cast.stage.tell("   " + told.format(person=call_back["name"], number=called.number))
    await cast.acknowledge(cast.paris, request)
    await cast.reply(cast.paris, request, "answer", **answer_of("t1"))
    await cast.reply(cast.tokyo, request, "emergency.supplement", targets=["t1"])
    return request


async def _assistance(cast: Cast) -> UUID:
    request = await cast.open_case(
        cast.tokyo, "messages/assistance.request.json", wanted_by=None, wanted_by_reason=None
    )
    await cast.acknowledge(cast.paris, request)
    await cast.answer_under_conditions(cast.paris, request, **answer_of())
    # The other cases of this reference keep their data: that is said, and meant.
    await cast.reply(cast.tokyo, request, "closure", reason="answered", text=None, lapse=True)
    return request


async def _clarification(cast: Cast) -> UUID:
    # Between these two no law sets a clock for assistance; the network's target for emergencies pauses as any does.
    due = text(now() + 5 * DAY)
    request = await cast.open_case(cast.tokyo, "messages/emergency.request.json", needed_by=None, supplement_by=due)
    question = await cast.reply(cast.paris, request, "clarification.ask", pauses_clock=True, questions=[_QUESTION])
    for desk in (cast.tokyo, cast.paris):
        items = [item for item in await desk.cases.agenda() if item.thread == request and item.what == "answer"]
        if [item.due for item in items] != [None]:
            raise DemoStepError(f"the clock of the answer does not stand still at {desk.address}")
    cast.stage.tell("   " + _("the clock of the answer stands still on both sides"))
    await cast.reply(cast.tokyo, question, "clarification.reply")
    items = [item for item in await cast.paris.cases.agenda() if item.thread == request and item.what == "answer"]
    cast.stage.tell("   " + _("the answer is due not later than {due}").format(due=safe(items[0].due)))
    return request


async def _misdirected(cast: Cast) -> UUID:
    request = await cast.open_case(
        cast.tokyo, "messages/assistance.request.json", wanted_by=None, wanted_by_reason=None
    )
    await cast.reply(cast.paris, request, "misdirected", forwarded=False, forwarded_at=None)
    return request


async def _information(cast: Cast) -> UUID:
    example_offer = example_fields("messages/information.spontaneous.json")
    draft = {name: value for name, value in example_offer.items() if name != "commitment"}
    given = {**draft, **authorised(), "stage": "disclosure", "facts": _FACTS}
    return await cast.give_under_conditions(cast.paris, given)


async def _withdrawn(cast: Cast) -> UUID:
    request = await cast.open_case(cast.tokyo, "preservation-request.json")
    await cast.acknowledge(cast.paris, request)
    await cast.reply(cast.tokyo, request, "withdrawal", targets=None)
    return request


def _submitted() -> dict[str, Any]:
    return {"issued_at": text(now()), "submitted_at": None}


_FACTS = "The group rents servers in Osaka; the list of addresses was found on one of them."
_QUESTION = {"question": "q1", "text": "Is the time that of the firewall or of the server?"}
_LATER = {"follow_up_expected_at": None, "previous_reference": "NPA-CY-2026-004417"}
_BOTH = ("t1", "t2")


def between_two(title: str, play: Play, state: str, targets: Mapping[str, str]) -> Scenario:
    """A case between Tokyo and Paris."""
    return Scenario(title, play, (CaseWanted(state, targets),))


SCENARIOS: Mapping[str, Scenario] = {
    "produced": between_two(
        "preservation extended, followed up, and produced", _produced, "closed", dict.fromkeys(_BOTH, "produced")
    ),
    "refused-in-part": between_two(
        "preservation refused in part", _refused_in_part, "partly_preserved", {"t1": "preserved", "t2": "refused"}
    ),
    "risk": between_two("a risk is put to the requester first", _risk, "preserved", dict.fromkeys(_BOTH, "preserved")),
    "lapse-prevented": between_two(
        "a lapse prevented by warnings", _lapse_prevented, "preserved", dict.fromkeys(_BOTH, "extended")
    ),
    "emergency": between_two("emergency, call-back and supplement", _emergency, "closed", {"t1": "closed"}),
    "assistance": between_two("assistance under conditions", _assistance, "closed", {"t1": "closed"}),
    "clarification": between_two(
        "a clarification pauses the clock", _clarification, "under_review", {"t1": "under_review"}
    ),
    "misdirected": between_two("misdirected, and where it belongs", _misdirected, "refused", {"t1": "refused"}),
    "information": between_two("spontaneous information under conditions", _information, "answered", {}),
    "withdrawn": between_two("a request is withdrawn", _withdrawn, "closed", dict.fromkeys(_BOTH, "withdrawn")),
    **TURNS,
    **HANDED_OVER,
    **CASES_OF_THREE,
}

"""Cases that contact points meet, played by two desks over two running nodes, each to the state that both compute.

Every message is a shipped example fitted into the thread. A scenario ends well when both desks compute the state that
it names, nothing was out of order, and every receipt of every message was verified by the desk that got it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from exchange.cases.threads import target_rows
from exchange.cli.output import safe
from exchange.demo._stage import PASSPHRASE, Stage, example
from exchange.desk.desk import Desk
from exchange.i18n import _, labelled
from exchange.text.labels import state_label
from exchange.views import SentMessage
from protocol.errors import DemoStepError
from protocol.lifecycle.warnings import OVERDUE

_DAY = timedelta(days=1)
_ASSISTANCE = "messages/assistance.request.json"
_UNDATED = {"wanted_by": None, "wanted_by_reason": None}
_ARRIVES_WITHIN_S = 60
_PROVED = {"SubmissionAcceptance", "RelayAcceptance", "ContentConsignment", "ContentHandover"}
# The draft of a reply brings these with it, or the desk fills them in.
_NOT_OF_AN_EXAMPLE = {
    "type",
    "to",
    "thread",
    "in_reply_to",
    "officer",
    "own_reference",
    "peer_reference",
    "previous_request",
    "answer_by",
}


@dataclass(frozen=True, slots=True)
class Cast:
    """The two desks of a scenario, and what they said."""

    stage: Stage
    tokyo: Desk
    paris: Desk
    said: list[tuple[Desk, SentMessage]]

    async def open_case(self, by: Desk, name: str, **changes: Any) -> UUID:
        """Send the example ``name`` as a message that opens a thread; its id."""
        draft = {**_example(name), **changes}
        draft.pop("thread", None)
        draft.pop("in_reply_to", None)
        return await self._say(by, draft)

    async def reply(self, by: Desk, about: UUID, reply_type: str, **changes: Any) -> UUID:
        """Send the example of ``reply_type`` as a reply to ``about``; None as a change leaves a field out."""
        return await self._say(by, await self._draft(by, about, reply_type, changes))

    async def _draft(self, by: Desk, about: UUID, reply_type: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        fields = {
            key: value
            for key, value in _example(f"messages/{reply_type}.json").items()
            if key not in _NOT_OF_AN_EXAMPLE
        }
        given = {key: value for key, value in {**fields, **changes}.items() if value is not None}
        return await by.replies.draft(about, reply_type, **given)

    async def answer_under_conditions(self, by: Desk, about: UUID, **changes: Any) -> None:
        """Offer the example answer, have its conditions accepted, and give it."""
        await self.give_under_conditions(by, await self._draft(by, about, "answer", changes))

    async def give_under_conditions(self, by: Desk, draft: Mapping[str, Any]) -> UUID:
        """Offer what ``draft`` gives, have its conditions accepted by the other, and give it; the offer's id."""
        other = self.paris if by is self.tokyo else self.tokyo
        offer = await self._sent(by, await by.messages.offer(draft), "offer")
        await self.reply(other, offer, "condition.accept", targets=None)
        await self._sent(by, await by.messages.give(offer), str(draft["type"]))
        return offer

    async def acknowledge(self, by: Desk, about: UUID) -> UUID:
        """Acknowledge a request, with a time for the answer."""
        eta = datetime.now(UTC) + timedelta(hours=6)
        return await self._say(
            by, await by.replies.acknowledgement_draft(about, will_answer="yes", form="message", eta=eta)
        )

    async def preserve(self, by: Desk, about: UUID, days: Mapping[str, int]) -> tuple[UUID, datetime]:
        """Answer that targets are preserved for so many days; the answer's id and the earliest expiry."""
        now = _now()
        targets = [
            {"target": name, "result": "preserved", "preserved_at": _text(now), "expires_at": _text(now + span * _DAY)}
            for name, span in days.items()
        ]
        answer = await self._say(by, await by.replies.draft(about, "preservation.answer", targets=targets))
        return answer, now + min(days.values()) * _DAY

    async def _say(self, by: Desk, draft: Mapping[str, Any]) -> UUID:
        return await self._sent(by, await by.messages.send(draft), str(draft["type"]))

    async def _sent(self, by: Desk, sent: SentMessage, what: str) -> UUID:
        self.said.append((by, sent))
        other = self.paris if by is self.tokyo else self.tokyo

        async def arrived(desk: Desk) -> bool:
            return any(row.id == sent.id for row in await desk.messages.inbox())

        await other.wait_for(arrived, _ARRIVES_WITHIN_S)
        await by.messages.sync()
        self.stage.tell(f"   {_name(by)}: {what} {sent.id}")
        return sent.id


Play = Callable[[Cast], Awaitable[UUID]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is played, and the state that both desks must compute of it: of the case, and of its targets."""

    title: str
    play: Play
    state: str
    targets: Mapping[str, str]


async def play(stage: Stage, names: Sequence[str]) -> dict[str, Any]:
    """Play scenarios one after the other; the result object of ``comity demo --scenario``."""
    results = {}
    async with _desks(stage) as (tokyo, paris):
        for name in names:
            scenario = SCENARIOS[name]
            stage.tell("\n" + labelled(name, _(scenario.title)))
            cast = Cast(stage, tokyo, paris, [])
            results[name] = await _outcome(cast, scenario, await scenario.play(cast))
    return {"scenarios": results, "ok": all(result["ok"] for result in results.values())}


# --- The cases ---


async def _produced(cast: Cast) -> UUID:
    tokyo, paris = cast.tokyo, cast.paris
    request = await cast.open_case(tokyo, "preservation-request.json")
    await cast.acknowledge(paris, request)
    answer, expiry = await cast.preserve(paris, request, {"t1": 60, "t2": 60})
    until = expiry + 90 * _DAY
    extension = await cast.reply(
        tokyo, answer, "preservation.extend", targets=["t1", "t2"], until=_text(until), **_LATER
    )
    extended = [
        {"target": name, "result": "preserved", "preserved_at": _text(_now()), "expires_at": _text(until)}
        for name in ("t1", "t2")
    ]
    await cast.reply(paris, extension, "preservation.answer", targets=extended)
    follow_up = await cast.reply(tokyo, request, "preservation.follow-up", targets=["t1", "t2"], **_submitted())
    await cast.acknowledge(paris, follow_up)
    await cast.answer_under_conditions(paris, follow_up, **_answer_of("t1", "t2"))
    return request


async def _refused_in_part(cast: Cast) -> UUID:
    request = await cast.open_case(cast.tokyo, "preservation-request.json")
    now = _now()
    await cast.reply(
        cast.paris,
        request,
        "preservation.answer",
        targets=[
            {
                "target": "t1",
                "result": "preserved",
                "preserved_at": _text(now),
                "expires_at": _text(now + 60 * _DAY),
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
        text = _("{desk} would be told: {levels}")
        cast.stage.tell("   " + text.format(desk=_name(desk), levels=", ".join(warned)))
        if warned != ["21d", "7d", "2d", OVERDUE]:
            raise DemoStepError(f"{desk.address} would be told {warned}")
    until = expiry + 90 * _DAY
    extension = await cast.reply(
        tokyo, answer, "preservation.extend", targets=["t1", "t2"], until=_text(until), **_LATER
    )
    extended = [
        {"target": name, "result": "preserved", "preserved_at": _text(_now()), "expires_at": _text(until)}
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
    day = _now()
    while day <= expiry + _DAY:
        for item in await desk.cases.agenda(day):
            if item.thread == thread and item.what == "expiry" and item.due == expiry and item.level is not None:
                seen[item.level] = None
        day += _DAY
    return list(seen)


async def _emergency(cast: Cast) -> UUID:
    due = _text(_now() + 5 * _DAY)
    request = await cast.open_case(cast.tokyo, "messages/emergency.request.json", needed_by=None, supplement_by=due)
    shown = await cast.paris.messages.show(request)
    call_back = shown.message.model_dump(mode="json")["call_back"]
    text = _("Paris calls {person} back, on a number that Paris found out by itself")
    cast.stage.tell("   " + text.format(person=call_back["name"]))
    await cast.acknowledge(cast.paris, request)
    await cast.reply(cast.paris, request, "answer", **_answer_of("t1"))
    await cast.reply(cast.tokyo, request, "emergency.supplement", targets=["t1"])
    return request


async def _assistance(cast: Cast) -> UUID:
    request = await cast.open_case(
        cast.tokyo, "messages/assistance.request.json", wanted_by=None, wanted_by_reason=None
    )
    await cast.acknowledge(cast.paris, request)
    await cast.answer_under_conditions(cast.paris, request, **_answer_of())
    await cast.reply(cast.tokyo, request, "closure", reason="answered", text=None)
    return request


async def _clarification(cast: Cast) -> UUID:
    request = await cast.open_case(
        cast.tokyo,
        _ASSISTANCE,
        **_UNDATED,
        legal_basis={"instrument": "eu_police_exchange"},
    )
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
    await cast.reply(cast.paris, request, "misdirected", forwarded_at=_text(_now()))
    return request


async def _information(cast: Cast) -> UUID:
    example_offer = _example("messages/information.spontaneous.json")
    draft = {name: value for name, value in example_offer.items() if name != "commitment"}
    return await cast.give_under_conditions(
        cast.paris, {**draft, **_authorised(), "stage": "disclosure", "facts": _FACTS}
    )


async def _withdrawn(cast: Cast) -> UUID:
    request = await cast.open_case(cast.tokyo, "preservation-request.json")
    await cast.acknowledge(cast.paris, request)
    await cast.reply(cast.tokyo, request, "withdrawal", targets=None)
    return request


_FACTS = "The group rents servers in Osaka; the list of addresses was found on one of them."
_QUESTION = {"question": "q1", "text": "Is the time that of the firewall or of the server?"}
_LATER = {"follow_up_expected_at": None, "previous_reference": "NPA-CY-2026-004417"}
_BOTH = ("t1", "t2")
SCENARIOS: Mapping[str, Scenario] = {
    "produced": Scenario(
        "preservation extended, followed up, and produced", _produced, "closed", dict.fromkeys(_BOTH, "produced")
    ),
    "refused-in-part": Scenario(
        "preservation refused in part", _refused_in_part, "partly_preserved", {"t1": "preserved", "t2": "refused"}
    ),
    "risk": Scenario("a risk is put to the requester first", _risk, "preserved", dict.fromkeys(_BOTH, "preserved")),
    "lapse-prevented": Scenario(
        "a lapse prevented by warnings", _lapse_prevented, "preserved", dict.fromkeys(_BOTH, "extended")
    ),
    "emergency": Scenario("emergency, call-back and supplement", _emergency, "closed", {"t1": "closed"}),
    "assistance": Scenario("assistance under conditions", _assistance, "closed", {"t1": "closed"}),
    "clarification": Scenario(
        "a clarification pauses the clock", _clarification, "under_review", {"t1": "under_review"}
    ),
    "misdirected": Scenario("misdirected and passed on", _misdirected, "forwarded", {"t1": "forwarded"}),
    "information": Scenario("spontaneous information under conditions", _information, "answered", {}),
    "withdrawn": Scenario("a request is withdrawn", _withdrawn, "closed", dict.fromkeys(_BOTH, "withdrawn")),
}


# --- Inside ---


@asynccontextmanager
async def _desks(stage: Stage) -> AsyncIterator[tuple[Desk, Desk]]:
    async with Desk.open(stage.tokyo, PASSPHRASE) as tokyo, Desk.open(stage.paris, PASSPHRASE) as paris:
        yield tokyo, paris


async def _outcome(cast: Cast, scenario: Scenario, thread: UUID) -> dict[str, Any]:
    """What both desks compute, and what is proved of each message to the desk that sent it."""
    receipts = [await _receipts(by, sent.id) for by, sent in cast.said]
    now = datetime.now(UTC)
    sides = {}
    for desk in (cast.tokyo, cast.paris):
        case = await desk.cases.case(thread)
        sides[str(desk.address)] = {
            "state": str(case.state_at(now)),
            "targets": {row.target: row.state for row in target_rows(case, now)},
            "out_of_order": [str(entry.reason) for entry in case.out_of_order],
        }
    wanted = {"state": scenario.state, "targets": dict(scenario.targets), "out_of_order": []}
    verified = all(row["verified"] for rows in receipts for row in rows)
    complete = all({row["event"] for row in rows} >= _PROVED for rows in receipts)
    ok = all(side == wanted for side in sides.values()) and verified and complete
    text = _("both desks: {state}; receipts: {receipts}; as it must be: {ok}")
    yes = _("yes") if ok else _("no")
    cast.stage.tell("   " + text.format(state=state_label(scenario.state), receipts=sum(map(len, receipts)), ok=yes))
    return {
        "thread": thread,
        "messages": [sent.id for _by, sent in cast.said],
        "sides": sides,
        "receipts": sum(map(len, receipts)),
        "ok": ok,
    }


async def _receipts(desk: Desk, message_id: UUID) -> list[dict[str, Any]]:
    async def proved(desk: Desk) -> bool:
        return {row.event for row in await desk.messages.receipts(message_id) if row.verified} >= _PROVED

    await desk.wait_for(proved, _ARRIVES_WITHIN_S)
    return [{"event": row.event, "verified": row.verified} for row in await desk.messages.receipts(message_id)]


def _answer_of(*targets: str) -> dict[str, Any]:
    """The fields of a final answer with one item for these targets."""
    fields = _example("messages/answer.json")
    item = {**fields["items"][0], "targets": list(targets)}
    custody = [{**step, "at": _text(_now())} for step in item["custody"]]
    return {
        "completeness": "final",
        "items": [{**item, "custody": custody}],
        **_authorised(),
        "remaining": None,
        "next_update_by": None,
        "not_answered": None,
    }


def _authorised() -> dict[str, Any]:
    """The authorisation of a disclosure, given today."""
    return {"authorisation": {**_example("messages/answer.json")["authorisation"], "date": _text(_now())[:10]}}


def _submitted() -> dict[str, Any]:
    return {"issued_at": _text(_now()), "submitted_at": None}


def _example(name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(example(name).read_text("utf-8"))
    return fields


def _name(desk: Desk) -> str:
    return {"jp": "Tokyo", "fr": "Paris"}[desk.address.node]


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _text(instant: datetime) -> str:
    return instant.isoformat()

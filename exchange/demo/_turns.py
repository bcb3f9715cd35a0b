"""Cases between two nations that take a turn: nobody answers, a node is down, somebody was wrong, a half is granted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from exchange.cases.threads import target_rows
from exchange.cli.output import safe
from exchange.demo._cast import (
    ARRIVES_WITHIN_S,
    DAY,
    CaseWanted,
    Cast,
    Play,
    Scenario,
    answer_of,
    example_fields,
    free_answer_of,
    name_of,
    now,
    text,
)
from exchange.desk.desk import Desk
from exchange.i18n import _
from exchange.text.labels import code_label, deadline_label
from exchange.views import AgendaItem, Lane, SendStatus
from protocol.errors import CallBackNeededError, DemoStepError

_HOUR = timedelta(hours=1)
_PRESERVATION = "preservation-request.json"
_EMERGENCY = "messages/emergency.request.json"
_ASSISTANCE = "messages/assistance.request.json"
_UNDATED = {"wanted_by": None, "wanted_by_reason": None}
_BOTH = ("t1", "t2")


async def _called_back(cast: Cast) -> UUID:
    """Half an hour is left; nothing is disclosed before the caller was called back on the directory's number."""
    request = await _thirty_minutes(cast)
    await _refused_without_call(cast, request)
    called = await cast.paris.cases.record_call(request, "verified", spoke_to="Suzuki Ren")
    told = _("Paris calls {person} back, on the number that the directory has: {number}")
    cast.stage.tell("   " + told.format(person="Suzuki Ren", number=called.number))
    await cast.acknowledge(cast.paris, request)
    await cast.reply(cast.paris, request, "answer", **answer_of("t1"))
    return request


async def _nobody_answers(cast: Cast) -> UUID:
    """A call that nobody answered is on record, and opens nothing."""
    request = await _thirty_minutes(cast)
    called = await cast.paris.cases.record_call(request, "nobody_answered")
    told = _("Paris calls {number}, and nobody answers: that is on record")
    cast.stage.tell("   " + told.format(number=called.number))
    await _refused_without_call(cast, request)
    await cast.acknowledge(cast.paris, request)
    return request


async def _thirty_minutes(cast: Cast) -> UUID:
    changes = {"needed_by": text(now() + _HOUR / 2), "supplement_by": text(now() + 5 * DAY)}
    request = await cast.open_case(cast.tokyo, _EMERGENCY, **changes)
    await cast.paris.messages.show(request)
    first = (await cast.paris.cases.agenda())[0]
    if (first.thread, first.lane) != (request, Lane.EMERGENCIES):
        raise DemoStepError("the emergency does not stand first in the agenda of Paris")
    told = _("first in the agenda of {desk}: {what}, of use until {needed_by}")
    what = code_label("message_type", first.type)
    cast.stage.tell("   " + told.format(desk="Paris", what=what, needed_by=safe(first.needed_by)))
    return request


async def _refused_without_call(cast: Cast, request: UUID) -> None:
    draft = await cast.draft(cast.paris, request, "answer", answer_of("t1"))
    try:
        await cast.paris.messages.send(draft)
    except CallBackNeededError as refusal:
        cast.stage.tell("   " + _("not disclosed yet: {why}").format(why=safe(_(refusal.detail))))
        return
    raise DemoStepError("the data were disclosed before anybody was called")


async def _silent(cast: Cast) -> UUID:
    """The other desk has the request, and says nothing: its acknowledgement is due, then overdue, on both sides."""
    request = await cast.open_case(cast.tokyo, _PRESERVATION)
    for desk in (cast.tokyo, cast.paris):
        item = await _item(desk, request, "acknowledgement", now() + 3 * DAY)
        if not item.overdue or item.ours is not (desk is cast.paris):
            raise DemoStepError(f"the silence is not seen at {desk.address}")
    sheet = await cast.tokyo.cases.call_sheet(request)
    told = _("after three days without an acknowledgement Tokyo is told to call {number}")
    cast.stage.tell("   " + told.format(number=safe(", ".join(sheet.reach.phones) if sheet.reach else None)))
    return request


async def _own_node_down(cast: Cast) -> UUID:
    """A message that only waits is said to wait, stands in the agenda, and goes when the node is back."""
    draft = cast.opening(_PRESERVATION)
    await cast.tokyo.cases.compare_laws(draft)  # so that Tokyo has the keys of Paris
    await cast.stage.stop_node("jp")
    sent = await cast.tokyo.messages.send(draft)
    if sent.status is not SendStatus.QUEUED:
        raise DemoStepError("Tokyo does not say that its request waits")
    waiting = [item for item in await cast.tokyo.cases.agenda(now() + DAY) if item.lane is Lane.NOT_DELIVERED]
    if sent.id not in {item.delivery.message for item in waiting if item.delivery is not None}:
        raise DemoStepError("the request that waits is not in the agenda of Tokyo")
    cast.stage.tell("   " + _("the own node is down: the request waits, and the agenda says so"))
    await cast.stage.start_node("jp")
    await cast.tokyo.messages.sync()
    await cast.noted(cast.tokyo, sent, "preservation.request")
    return sent.id


async def _corrected(cast: Cast) -> UUID:
    """An expiry that was written wrong is corrected; the answer as it was stays, and the case has the right one."""
    request = await cast.open_case(cast.tokyo, _PRESERVATION)
    answer, expiry = await cast.preserve(cast.paris, request, dict.fromkeys(_BOTH, 60))
    targets = (await cast.paris.messages.peek(answer)).model_dump(mode="json", by_alias=True)["targets"]
    right = expiry + 30 * DAY
    changes = {"targets": [{**target, "expires_at": text(right)} for target in targets]}
    said = await cast.paris.replies.correct(answer, changes, reason="The clerk wrote 60 days for 90.")
    correction = await cast.noted(cast.paris, said, "correction")
    for desk in (cast.tokyo, cast.paris):
        due = {item.due for item in await desk.cases.agenda() if item.thread == request and item.what == "expiry"}
        if due != {right}:
            raise DemoStepError(f"the corrected expiry does not count at {desk.address}")
    at = await cast.tokyo.replies.notify_data_protection(correction, action="rectified", at=now())
    await cast.noted(cast.tokyo, at, "data-protection.notice")
    return request


async def _granted_in_half(cast: Cast) -> UUID:
    """The extension is asked the day before the expiry, and granted for one of two targets."""
    request = await cast.open_case(cast.tokyo, _PRESERVATION)
    answer, expiry = await cast.preserve(cast.paris, request, dict.fromkeys(_BOTH, 60))
    last_day = await _item(cast.tokyo, request, "expiry", expiry - DAY)
    told = _("the day before, {desk} is told: {what}, {target}, not later than {due}")
    values = {"desk": "Tokyo", "what": deadline_label(last_day.what), "target": last_day.target}
    cast.stage.tell("   " + told.format(**values, due=safe(last_day.due)))
    until = expiry + 60 * DAY
    wanted = {"targets": list(_BOTH), "until": text(until), "follow_up_expected_at": None}
    reference = {"previous_reference": "NPA-CY-2026-004417"}
    extension = await cast.reply(cast.tokyo, answer, "preservation.extend", **wanted, **reference)
    granted = {"result": "preserved", "preserved_at": text(now()), "expires_at": text(until)}
    await cast.reply(
        cast.paris, extension, "preservation.answer", targets=[{"target": "t1", **granted}, {"target": "t2", **_NO}]
    )
    return request


_NO = {"result": "refused", "ground": {"code": "essential_interests", "text": "The mailbox belongs to a ministry."}}


async def _follow_up_confirmed_or_not(cast: Cast) -> UUID:
    """The expiry stands until the requested side confirms the request that followed; for the other target it runs."""
    request = await cast.open_case(cast.tokyo, _PRESERVATION)
    _answer, expiry = await cast.preserve(cast.paris, request, dict.fromkeys(_BOTH, 60))
    filed = {"issued_at": text(now()), "submitted_at": None}
    follow_up = await cast.reply(cast.tokyo, request, "preservation.follow-up", targets=list(_BOTH), **filed)
    said = await cast.paris.replies.confirm_follow_up(
        follow_up,
        targets=["t1"],
        authority={"organisation": "Ministère de la Justice", "role": "central_authority"},
        file_number="26-04417",
        received_at=now(),
    )
    await cast.noted(cast.paris, said, "follow-up.confirmed")
    for desk in (cast.tokyo, cast.paris):
        rows = target_rows(await desk.cases.case(request), expiry + DAY)
        after = {row.target: row.state for row in rows}
        if after != {"t1": "followed_up", "t2": "lapsed"}:
            raise DemoStepError(f"after the expiry {desk.address} has {after}")
    cast.stage.tell("   " + _("without a confirmation the second target would lapse on {day}").format(day=safe(expiry)))
    return request


async def _clarified_in_time(cast: Cast) -> UUID:
    """The question names a time; it stands on the side that owes the reply, and the reply takes it away."""
    request = await cast.open_case(cast.tokyo, _ASSISTANCE, **_UNDATED)
    by = now() + 2 * DAY
    question = await cast.reply(
        cast.paris, request, "clarification.ask", pauses_clock=False, questions=[_QUESTION], answer_by=text(by)
    )
    for desk in (cast.tokyo, cast.paris):
        item = await _item(desk, request, "clarification", now())
        if item.due != by or item.ours is not (desk is cast.tokyo):
            raise DemoStepError(f"the time of the question is not due as it must be at {desk.address}")
    cast.stage.tell("   " + _("Tokyo owes the reply until {due}").format(due=safe(by)))
    await cast.reply(cast.tokyo, question, "clarification.reply")
    return request


_QUESTION = {"question": "q1", "text": "Is the time that of the firewall or of the server?"}


async def _consulted(cast: Cast) -> UUID:
    """Before it refuses, Paris asks; Tokyo is content with a part, and gets it."""
    request = await cast.open_case(cast.tokyo, _ASSISTANCE, **_UNDATED)
    question = {"intends": "refuse", "question": "Would the subscriber data alone be enough?"}
    opened = await cast.reply(cast.paris, request, "consultation.open", **question, answer_by=text(now() + DAY))
    said = {"outcome": "in_part", "text": "The subscriber data are enough."}
    await cast.reply(cast.tokyo, opened, "consultation.close", **said)
    await cast.reply(cast.paris, request, "answer", **free_answer_of())
    return request


async def _several_windows(cast: Cast) -> UUID:
    """One account, two nights: one target has several windows, and both stand in what Paris reads."""
    fields = example_fields(_PRESERVATION)
    targets = [dict(target) for target in fields["targets"]]
    day = now() - 10 * DAY
    nights = [
        {"begins_at": text(day + night * DAY), "ends_at": text(day + night * DAY + 6 * _HOUR)} for night in (0, 3)
    ]
    for target in targets:
        identifier = dict(target.get("identifier", {}))
        if identifier.get("kind") == "account":
            target |= {"time_window": nights[0], "further_windows": nights[1:]}
    request = await cast.open_case(cast.tokyo, _PRESERVATION, targets=targets)
    await cast.preserve(cast.paris, request, dict.fromkeys(_BOTH, 60))
    return request


async def _item(desk: Desk, thread: UUID, what: str, at: datetime) -> AgendaItem:
    """The first item of this name in the agenda of a case, once it is there; raises :class:`DemoStepError`."""
    found: list[AgendaItem] = []

    async def is_due(desk: Desk) -> bool:
        found[:] = [item for item in await desk.cases.agenda(at) if item.thread == thread and item.what == what]
        return bool(found)

    try:
        await desk.wait_for(is_due, ARRIVES_WITHIN_S)
    except TimeoutError:
        raise DemoStepError(f"{what} is not due at {name_of(desk)}") from None
    return found[0]


def turn(title: str, play: Play, state: str, targets: Mapping[str, str]) -> Scenario:
    """A case between Tokyo and Paris that takes a turn."""
    return Scenario(title, play, (CaseWanted(state, targets),))


TURNS: Mapping[str, Scenario] = {
    "emergency-called-back": turn(
        "half an hour is left, and the caller is called back", _called_back, "supplement_due", {"t1": "supplement_due"}
    ),
    "emergency-nobody-answers": turn(
        "half an hour is left, and nobody answers the call", _nobody_answers, "acknowledged", {"t1": "acknowledged"}
    ),
    "silent": turn("the other desk is silent", _silent, "delivered", dict.fromkeys(_BOTH, "delivered")),
    "own-node-down": turn("the own node is down", _own_node_down, "delivered", dict.fromkeys(_BOTH, "delivered")),
    "corrected": turn("an answer is corrected", _corrected, "preserved", dict.fromkeys(_BOTH, "preserved")),
    "granted-in-half": turn(
        "an extension is granted in half", _granted_in_half, "preserved", {"t1": "extended", "t2": "preserved"}
    ),
    "follow-up-confirmed": turn(
        "a follow-up is confirmed for one target, and not for the other",
        _follow_up_confirmed_or_not,
        "followed_up",
        dict.fromkeys(_BOTH, "followed_up"),
    ),
    "clarified-in-time": turn(
        "a question names the time for its reply", _clarified_in_time, "under_review", {"t1": "under_review"}
    ),
    "consulted": turn("the two consult before one refuses", _consulted, "answered", {"t1": "answered"}),
    "several-windows": turn(
        "one target has several windows", _several_windows, "preserved", dict.fromkeys(_BOTH, "preserved")
    ),
}

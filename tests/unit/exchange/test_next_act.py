"""The first act that a case's page offers is the one that is due next, over the whole course of a case."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from exchange.acts.cases import CaseParts
from exchange.cases.calls import Calls
from exchange.office.case_notes import Casework
from exchange.office.officers import Login
from exchange.views import Direction, InboxRow, SendStatus
from exchange.web.case.acting import CaseActs, acts_of
from exchange.web.case.standing import due_lines
from protocol.address import Address
from protocol.lifecycle.deadlines import deadlines
from protocol.lifecycle.preservation import PreservationCase, state_at
from protocol.lifecycle.preservation_rules import TERMINAL
from protocol.messages.schema.base import Message
from tests.worlds.desks import FR, JP, World, request
from tests.worlds.threads import DAY, HOUR, PARIS, T0, TOKYO, Thread, preserved, text
from tests.worlds.web_desk import web_serving

_SIDES = {"asks": TOKYO, "asked": PARIS}
END = T0 + 61 * DAY


def row(message: Message, own: str) -> InboxRow:
    sent = message.sender == own
    return InboxRow(
        id=message.id,
        thread=UUID(int=1),
        in_reply_to=None,
        direction=Direction.SENT if sent else Direction.RECEIVED,
        type=message.type,
        urgency="routine",
        sender=Address.parse(message.sender),
        recipients=tuple(Address.parse(one) for one in message.to),
        own_reference=None,
        sent_at=message.sent_at,
        stored_at=message.sent_at,
        expires_at=message.sent_at + DAY,
        opened_at=message.sent_at,
        status=SendStatus.SUBMITTED if sent else None,
        sequence=1,
    )


def acts(thread: Thread, own: str, now: datetime) -> CaseActs:
    case = thread.case
    due = list(deadlines(case))
    rows = [row(entry.message, own) for entry in thread.entries]
    parts = CaseParts(UUID(int=1), now, {"": case}, rows, Casework(()), due, Calls(()), [], [])
    return acts_of(parts, own, now, due_lines(case, due, own, now), ())


def primary(thread: Thread, side: str, now: datetime) -> str:
    """The page of the act that is offered first; empty where none is."""
    found = [one for one in acts(thread, _SIDES[side], now).now if one.kind == "primary"]
    assert len(found) <= 1
    return found[0].path.removeprefix(f"/cases/{UUID(int=1)}/") if found else ""


def asked() -> Thread:
    thread = Thread()
    thread.delivered(thread.opening, T0 + timedelta(minutes=1))
    return thread


def acknowledged() -> Thread:
    thread = asked()
    thread.add("acknowledgement", PARIS, received_at=text(T0), eta=text(T0 + DAY))
    return thread


def answered() -> Thread:
    thread = acknowledged()
    thread.add("preservation.answer", PARIS, targets=[preserved("t1", END), preserved("t2", END)])
    return thread


def extension_asked() -> Thread:
    thread = answered()
    thread.add("preservation.extend", TOKYO, targets=["t1", "t2"], until=text(END + 30 * DAY))
    return thread


def questioned() -> Thread:
    thread = acknowledged()
    thread.add("clarification.ask", PARIS)
    return thread


def withdrawn() -> Thread:
    thread = acknowledged()
    thread.add("withdrawal", TOKYO, targets=["t1", "t2"])
    return thread


@pytest.mark.parametrize(
    ("course", "after", "asks", "does"),
    [
        (Thread, timedelta(minutes=1), "", "do/acknowledge"),
        (asked, timedelta(minutes=2), "", "do/acknowledge"),
        (acknowledged, 2 * HOUR, "", "answer"),
        (questioned, 3 * HOUR, "reply/clarification.reply", "answer"),
        (answered, 3 * HOUR, "reply/preservation.extend", ""),
        (extension_asked, 4 * HOUR, "reply/preservation.extend", "answer"),
        (answered, 62 * DAY, "", ""),
        (acknowledged, 2 * DAY, "", "reply/status.report"),
        (withdrawn, 3 * HOUR, "", ""),
    ],
)
def test_what_is_due_next_is_offered_first(
    course: Callable[[], Thread], after: timedelta, asks: str, does: str
) -> None:
    thread = course()
    assert (primary(thread, "asks", T0 + after), primary(thread, "asked", T0 + after)) == (asks, does)


@pytest.mark.parametrize("course", [acknowledged, questioned, answered, extension_asked, withdrawn])
@pytest.mark.parametrize("side", sorted(_SIDES))
def test_an_act_that_was_done_says_so(course: Callable[[], Thread], side: str) -> None:
    thread = course()
    own = _SIDES[side]
    sent = {entry.message.type: entry.message.sent_at for entry in thread.entries if entry.message.sender == own}
    for one in acts(thread, own, T0 + 5 * HOUR).now:
        if one.path.endswith("/do/acknowledge"):
            assert one.done_at == sent.get("acknowledgement")
            assert (one.kind == "primary") is (one.done_at is None)
        elif one.path.endswith("/answer"):
            assert one.done_at == sent.get("preservation.answer")


def has_ended(thread: Thread, now: datetime) -> bool:
    assert isinstance(thread.case, PreservationCase)
    return all(state_at(target, now) in TERMINAL for target in thread.case.targets)


@pytest.mark.parametrize("course", [Thread, asked, acknowledged, questioned, answered, extension_asked, withdrawn])
@pytest.mark.parametrize("side", sorted(_SIDES))
@pytest.mark.parametrize("after", [timedelta(hours=5), timedelta(days=62)])
def test_the_way_to_an_act_that_cannot_be_done_is_open(
    course: Callable[[], Thread], side: str, after: timedelta
) -> None:
    thread = course()
    found = acts(thread, _SIDES[side], T0 + after)
    offered = {one.path for one in found.now}
    for one in found.not_now:
        assert bool(one.way) is bool(one.path)
        if one.path == "/new":
            assert has_ended(thread, T0 + after), one
        elif one.path:
            assert one.path in offered


@pytest.mark.outside
async def test_the_board_and_the_case_offer_the_same_act_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, monkeypatch)
    async with world.open(FR) as fr:
        asked = (await fr.messages.send(request(to=[str(JP)]))).id
    async with web_serving(world, JP) as pages, pages.visitor() as visitor:
        jp = await pages.service.desk(Login())
        await jp.messages.sync()
        await visitor.sign_in()
        for expected in ("do/acknowledge", "answer"):
            for path in ("/", f"/cases/{asked}"):
                main = (await visitor.get(path)).text.partition("<main")[2]
                first = re.findall(r'class="button primary" href="([^"]+)"', main)
                assert first[:1] == [f"/cases/{asked}/{expected}"], path
            if expected == "do/acknowledge":
                eta = world.clock() + timedelta(hours=5)
                await jp.replies.acknowledge(asked, will_answer="yes", form="message", eta=eta)

"""Nothing that the service takes is unnamed: the pages of a case against composing, in every state of its course."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from exchange.acts.cases import CaseParts
from exchange.cases.calls import Calls
from exchange.cases.threads import refused_step
from exchange.office.case_notes import Casework
from exchange.office.officers import Acting, DeskOfficer, Role
from exchange.views import Direction, InboxRow, SendStatus
from exchange.web.case.acting import ANYBODY, acts_of
from exchange.web.case.on_message import OfMessage, acts_on
from exchange.web.case.standing import due_lines
from exchange.web.case.words import PAGES
from protocol.address import Address
from protocol.errors import ComityError
from protocol.lifecycle.deadlines import deadlines
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.base import Message, Reply
from protocol.messages.types.consent import conditions_of
from tests.property.test_possible import PATHS, Act, _messages, _said
from tests.worlds.threads import DAY, PARIS, T0, TOKYO, Thread, text

_LATE = timedelta(days=500)
_TERMS = {"conditions": [{"condition": "c1", "kind": "confidential", "text": "To be kept confidential."}]}
# Words beside the course of a case, in a case of information, and after its end.
COURSES: dict[str, tuple[str, tuple[Act, ...]]] = {
    **PATHS,
    "information told, asked about, acknowledged, closed": (
        "information.spontaneous",
        (
            _said("clarification.ask", PARIS, targets=None, pauses_clock=False),
            _said("acknowledgement", PARIS, received_at=text(T0)),
            _said("condition.accept", PARIS, targets=None, conditions=["c1"]),
            _said("closure", TOKYO),
        ),
    ),
    "consulted by who asked, asked for consent and for use": (
        "assistance.request",
        (
            _said("consultation.open", TOKYO, targets=None),
            _said("consultation.open", PARIS, targets=None),
            _said("consent.request", PARIS),
            _said("clarification.ask", TOKYO, targets=None, pauses_clock=False),
            _said("use.query", PARIS),
        ),
    ),
}
SAID = sorted(kind for kind, model in MESSAGE_TYPES.items() if issubclass(model, Reply) or kind in {"note"})
# What a page of a case does not say of itself, and why.
ELSEWHERE = {
    "correction": "on the page of the message that is corrected: it repeats all that the message said",
    "retract": "on the page of the message that is taken back",
    "contact.test-reply": "replies to tests are on the page of tests",
    "files": "on the page of the answer that they follow",
}

# What nobody says again when it is over: offered only as long as the service takes it.
ONCE = {"closure", "acknowledgement"}


def _rows(thread: Thread, own: str) -> Iterator[InboxRow]:
    for number, entry in enumerate(thread.entries, 1):
        said: Message = entry.message
        sent = said.sender == own
        yield InboxRow(
            id=said.id,
            thread=said.thread,
            in_reply_to=said.in_reply_to,
            direction=Direction.SENT if sent else Direction.RECEIVED,
            type=said.type,
            urgency=said.urgency,
            sender=Address.parse(said.sender),
            recipients=tuple(map(Address.parse, said.to)),
            own_reference=said.own_reference,
            sent_at=said.sent_at,
            stored_at=said.sent_at,
            expires_at=said.sent_at + 30 * DAY,
            opened_at=None,
            status=SendStatus.SUBMITTED if sent else None,
            sequence=number,
        )


def _parts(thread: Thread, own: str, now: datetime) -> CaseParts:
    cases = {"": thread.case}
    due = [item for case in cases.values() for item in deadlines(case)]
    return CaseParts(UUID(int=1), now, cases, list(_rows(thread, own)), Casework(), due, Calls(), [], [])


def _named(thread: Thread, own: str, now: datetime, acting: Acting = ANYBODY) -> tuple[set[str], set[str]]:
    """The pages that the case and its messages lead to, and those that they name as not possible now."""
    parts = _parts(thread, own, now)
    due = [line for case in parts.cases.values() for line in due_lines(case, parts.due, own, now)]
    acts = acts_of(parts, own, now, due, (), acting=acting)
    offered = {one.path for group in (acts.now, acts.beside, acts.office) for one in group}
    barred = {one.act for one in acts.not_now}
    for row, entry in zip(parts.rows, thread.entries, strict=True):
        about = OfMessage(row, under_conditions=any(conditions_of(entry.message)), not_anew="it arrived")
        found = acts_on(about, parts, own, now, acting)
        offered |= {one.path for one in found.now}
        barred |= {one.act for one in found.not_now}
    return offered, barred


def _page(kind: str) -> str:
    return PAGES.get(kind, f"reply/{kind}")


def _leads_to(kind: str, paths: set[str]) -> bool:
    return any(path.endswith(f"/{_page(kind)}") for path in paths)


def _is_taken(thread: Thread, kind: str, by: str, now: datetime) -> bool:
    """Whether the desk of ``by`` composes such a message now: about any message of the thread and any target."""
    targets = [target.name or "t1" for target in thread.case.targets]
    # The opening, and the last words of each side.
    about = {one.message.sender: one.message for one in thread.entries}
    for fields in _fields(kind, targets, now, urgent=thread.opening.urgency == "emergency"):
        for one in {thread.opening.id: thread.opening, **{said.id: said for said in about.values()}}.values():
            try:
                message = thread.add(kind, by, reply_to=one, sent_at=now, **fields)
            except ComityError:
                continue
            thread.entries.pop()
            if refused_step(thread.entries, message) is None:
                return True
    return False


def _fields(kind: str, targets: list[str], now: datetime, *, urgent: bool) -> Iterator[Mapping[str, Any]]:
    if kind == "confidentiality.renew":
        yield {"targets": None, "until": text(now + 4000 * DAY)}
        return
    if kind == "status.report":
        yield {"state": "under_review", "eta": None, "next_update_by": text(now + DAY), "targets": None}
        return
    if kind == "note" and urgent:
        return  # it has the urgency of its case, and no emergency has notes
    for target in targets:
        for fields in _messages(kind, target, now):
            yield {**fields, "targets": None} if fields == {"targets": [target]} else fields
            yield fields


@pytest.mark.long
@pytest.mark.parametrize("course", COURSES)
def test_all_that_the_service_takes_in_a_case_is_offered_or_named_on_its_pages_in_every_state_and_on_both_sides(
    course: str,
) -> None:
    opening, acts = COURSES[course]
    thread, wrong, tried = Thread(opening), [], 0
    for step in range(len(acts) + 1):
        if step:
            acts[step - 1](thread)
        last = thread.entries[-1].message.sent_at
        for now in (last + timedelta(minutes=1), last + _LATE)[: 2 if step == len(acts) else 1]:
            for own in (TOKYO, PARIS):
                offered, barred = _named(thread, own, now)
                for kind in SAID:
                    taken = kind not in ELSEWHERE and _is_taken(thread, kind, own, now)
                    if not taken and kind in ONCE and _leads_to(kind, offered):
                        wrong.append((step, now == last + _LATE, own, kind, "offered, and refused"))
                    if not taken:
                        continue
                    tried += 1
                    if not _leads_to(kind, offered):
                        named = "named as impossible" if _leads_to(kind, barred) else "not named"
                        wrong.append((step, now == last + _LATE, own, kind, named))
    assert wrong == [], "\n".join(map(str, wrong))
    assert tried > 20


def test_an_officer_who_may_not_send_is_told_so_at_each_act_that_sends() -> None:
    reader = DeskOfficer("han", "Han", "Inspector", frozenset({Role.READER}), b"", T0, "han")
    for opening in ("preservation.request", "information.spontaneous", "emergency.request"):
        thread, now = Thread(opening), T0 + timedelta(minutes=1)
        for own in (TOKYO, PARIS):
            all_, _barred = _named(thread, own, now)
            offered, barred = _named(thread, own, now, Acting("Han", officer=reader, has_officers=True))
            sends = {path for path in all_ if not path.endswith(("/call", "/note", "/assign", "/wait", "authority"))}
            assert all_ - offered >= sends - {"/erasure"}
            assert all_ - offered <= barred

"""What happened in a case, the newest first: who said what, to what effect, and how far it is proved to have come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from exchange.acts.cases import CaseParts
from exchange.cases.delivery import failed
from exchange.text.labels import (
    code_label,
    fact_label,
    nation_label,
    reason_label,
    status_label,
    step_label,
    targets_text,
)
from exchange.views import Direction, InboxRow, RecipientTracking
from keys.local.translation import _
from protocol.address import Address
from protocol.event import EventName
from protocol.lifecycle.facts import CaseFact, Preserved

SHOWN = 20
# That it was sent and handed over stands in the chain of each message, with its proof.
_SAID_BY_THE_CHAIN = frozenset({"submitted", "delivered"})
_STEPS = (
    EventName.SubmissionAcceptance,
    EventName.RelayAcceptance,
    EventName.ContentConsignment,
    EventName.ContentHandover,
    EventName.ContentAccessTracking,
)


@dataclass(frozen=True, slots=True)
class Mark:
    """One link of a chain: ``state`` is proved, waiting or failed."""

    text: str
    state: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """How far a message came to one recipient."""

    to: str
    marks: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class Happening:
    """One message: ``facts`` are what it did, ``warnings`` what is wrong with it."""

    id: UUID
    at: datetime
    node: str
    ours: bool
    who: str
    what: str
    facts: Sequence[str]
    warnings: Sequence[str]
    chains: Sequence[Chain]
    unread: bool
    status: str


def happenings(parts: CaseParts, own: Address, tracked: Mapping[UUID, Sequence[RecipientTracking]]) -> list[Happening]:
    """The messages that were ``tracked``, the newest first."""
    facts, warnings = _facts(parts), _warnings(parts)
    rows = [row for row in reversed(parts.rows) if row.id in tracked]
    return [_happening(row, own, tracked[row.id], facts.get(row.id, []), warnings.get(row.id, [])) for row in rows]


def _happening(
    row: InboxRow,
    own: Address,
    tracked: Sequence[RecipientTracking],
    facts: Sequence[str],
    warnings: Sequence[str],
) -> Happening:
    ours = row.direction is Direction.SENT
    other = row.recipients[0] if ours else row.sender
    kind = code_label("message_type", row.type)
    if ours:
        others = ", ".join(dict.fromkeys(nation_label(one.node) for one in row.recipients))
        who = _("We to {nation}").format(nation=others)
    else:
        who = nation_label(row.sender.node)
    wanted = tracked if ours else [one for one in tracked if one.recipient == own]
    return Happening(
        id=row.id,
        at=row.sent_at,
        node=other.node,
        ours=ours,
        who=who,
        what=kind,
        facts=facts,
        warnings=warnings,
        chains=[_chain(one, ours=ours, several=len(wanted) > 1) for one in wanted],
        unread=not ours and row.opened_at is None,
        status=status_label(row.status) if row.status is not None and row.status != "submitted" else "",
    )


def _chain(tracked: RecipientTracking, *, ours: bool, several: bool) -> Chain:
    marks = [_mark(step, tracked) for step in _STEPS]
    last = max((place for place, mark in enumerate(marks) if mark.state == "proved"), default=-1)
    # Each step before a proved one happened: its own proof is with the other side.
    marks = [mark for place, mark in enumerate(marks) if mark.state == "proved" or place > last]
    proved = last + 1 - (len(_STEPS) - len(marks))
    marks = marks[: proved + 1]
    failure = failed(tracked)
    if failure is not None:
        at = max(row.at for row in tracked.receipts if row.verified and row.event == failure)
        marks = [*marks[:proved], Mark(step_label(failure), "failed", at)]
    if any(not row.verified for row in tracked.receipts):
        marks.append(Mark(_("a receipt does not hold: open the proofs"), "failed"))
    return Chain(nation_label(tracked.recipient.node) if several and ours else "", marks)


def _mark(step: EventName, tracked: RecipientTracking) -> Mark:
    found = [row for row in tracked.receipts if row.verified and row.event == step.value]
    there = tracked.recipient.node
    # Of several relays on the way the last counts: that of the recipient's own node.
    row = next((one for one in found if there in {one.node, one.peer}), found[-1] if found else None)
    if row is None:
        return Mark(step_label(step, there), "waiting")
    return Mark(step_label(step, there if there in {row.node, row.peer} else row.node), "proved", row.at)


def _did(fact: CaseFact) -> str:
    """What a fact did; a preservation in part is named as one."""
    if isinstance(fact, Preserved) and fact.partly:
        return code_label("preservation_result", "partly_preserved")
    return fact_label(type(fact))


def _facts(parts: CaseParts) -> dict[UUID, list[str]]:
    """What each message did: the fact, and the targets that it did it to."""
    grouped: dict[UUID, dict[str, list[str]]] = {}
    for case in parts.cases.values():
        for step in case.history:
            if step.fact.NAME in _SAID_BY_THE_CHAIN:
                continue
            names = grouped.setdefault(step.fact.message_id, {}).setdefault(_did(step.fact), [])
            if step.target and step.target not in names:
                names.append(step.target)
    return {
        message: [
            _("{what}: {targets}").format(what=what, targets=targets_text(names)) if names else what
            for what, names in said.items()
        ]
        for message, said in grouped.items()
    }


def _warnings(parts: CaseParts) -> dict[UUID, list[str]]:
    """What is wrong with messages: out of order, without effect, corrected, taken back."""
    found: dict[UUID, list[str]] = {}
    for case in parts.cases.values():
        for entry in case.out_of_order:
            text = _("changed nothing: {why}").format(why=reason_label(entry.reason))
            found.setdefault(entry.fact.message_id, []).append(text)
        for message, standing in case.standings.items():
            told = {
                "corrected": _("corrected by a later message"),
                "retracted": _("taken back"),
                "awaiting_original": _("corrects a message that has not arrived"),
                "not_taken": _("the correction was not taken"),
            }.get(standing.state.value)
            if told is not None:
                found.setdefault(message, []).append(told)
    for one in parts.idle:
        text = _("counts all the same: {why}") if one["counts"] else _("no effect: {why}")
        found.setdefault(one["message"], []).append(text.format(why=_(one["reason"])))
    return {message: list(dict.fromkeys(texts)) for message, texts in found.items()}

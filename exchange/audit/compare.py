"""Two logs side by side: what one node says it handed over, the other must say it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from exchange.audit.verify import Finding, LoggedEvent, VerifiedLog
from protocol.address import Address
from protocol.event import EventName


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One event of a message in one node's log."""

    node: str
    index: int
    event: str
    at: datetime
    recipient: Address | None
    peer: str | None
    reasons: tuple[str, ...]
    reference: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """``matched`` hand-overs stand in both logs; ``findings`` say what does not."""

    matched: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether both logs tell the same story."""
        return not self.findings


def trace(message_id: UUID, logs: Sequence[VerifiedLog]) -> list[TraceRow]:
    """Every event of a message in the given logs, by time."""
    rows = [
        TraceRow(
            log.node,
            logged.index,
            logged.event.name.value,
            logged.event.at,
            logged.event.recipient,
            logged.event.peer,
            logged.event.reasons,
            None if logged.event.reference is None else (logged.event.reference.origin, logged.event.reference.index),
        )
        for log in logs
        for logged in log.events
        if logged.event.message_id == message_id
    ]
    return sorted(rows, key=lambda row: (row.at, row.node, row.index))


def compare(first: VerifiedLog, second: VerifiedLog) -> Comparison:
    """Match the hand-overs between two nodes in both directions.

    Logs that were mirrored while messages were on their way differ in two ways that mirroring again resolves: a
    hand-over that only the receiver has logged is the finding ``not-referenced``, and one that the sender refers to but
    the receiver's mirror does not reach is ``beyond-mirror``. Everything else is a ``contradiction``.
    """
    matched_one, findings_one = _one_way(first, second)
    matched_two, findings_two = _one_way(second, first)
    return Comparison(matched_one + matched_two, (*findings_one, *findings_two))


def _one_way(sender: VerifiedLog, receiver: VerifiedLog) -> tuple[int, list[Finding]]:
    findings: list[Finding] = []
    taken = {
        logged.index: logged
        for logged in receiver.events
        if logged.event.name is EventName.RelayAcceptance
        and logged.event.peer == sender.node
        and logged.event.reference is None
        and logged.event.recipient is None  # custody for one recipient goes with the acceptance of the message
    }
    matched: set[int] = set()
    for logged in sender.events:
        event = logged.event
        if event.name is not EventName.RelayAcceptance or event.peer != receiver.node or event.reference is None:
            continue
        problem = _mismatch(logged, receiver, taken)
        if problem is None:
            matched.add(event.reference.index)
        elif event.reference.origin == receiver.origin and event.reference.index >= receiver.checkpoint.size:
            text = f"refers to entry {event.reference.index} of {receiver.node}, which its mirror does not reach yet"
            findings.append(Finding(sender.origin, logged.index, "beyond-mirror", text))
        else:
            findings.append(Finding(sender.origin, logged.index, "contradiction", problem))
    for index in sorted(set(taken) - matched):
        text = f"{receiver.node} took this message from {sender.node}, whose log does not refer to it"
        findings.append(Finding(receiver.origin, index, "not-referenced", text))
    return len(matched), findings


def _mismatch(logged: LoggedEvent, receiver: VerifiedLog, taken: dict[int, LoggedEvent]) -> str | None:
    event = logged.event
    reference = event.reference
    if reference is None or reference.origin != receiver.origin:
        return f"the entry refers to another log than that of {receiver.node}"
    other = taken.get(reference.index)
    if other is None:
        return f"entry {reference.index} of {receiver.node} is not an acceptance of this node's message"
    if other.leaf_hash != reference.leaf_hash:
        return f"entry {reference.index} of {receiver.node} is not the one that was receipted"
    if (other.event.message_id, other.event.digest) != (event.message_id, event.digest):
        return f"entry {reference.index} of {receiver.node} is about another message"
    return None

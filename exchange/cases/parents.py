"""What was asked of several nations, as the office that asked sees it: one parent, and how the case with each stands.

Only what an officer of this desk looks at is made here. Nothing that leaves the desk is: evidence, what is passed on,
what is printed and what is exported are of one child and know no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from exchange.cases.threads import rows_of, send_status, shared_state, thread_messages, unsent_state
from exchange.context.parsed import Parsed
from exchange.store.desk_store import DeskStore
from exchange.store.rows import Parent
from exchange.text.words import Query
from exchange.views import FoundParent, InboxRow, SendStatus, SentMessage, TargetRow
from protocol.address import Address
from protocol.encoding.phrase import phrase
from protocol.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from protocol.lifecycle.deadlines import Deadline

# The least far first.
_PROGRESS = (
    SendStatus.CALLED_OFF,
    SendStatus.REFUSED,
    SendStatus.PROPOSED,
    SendStatus.QUEUED,
    SendStatus.SCHEDULED,
    SendStatus.SUBMITTED,
)
_SHORTEST = 4


@dataclass(frozen=True, slots=True)
class ChildView:
    """The case with one nation: how far its message got (``status``), its state, its targets, what is due next."""

    nation: str
    thread: UUID
    own_reference: str | None
    sent_at: datetime
    status: SendStatus
    error: str | None
    state: str
    targets: tuple[TargetRow, ...]
    due: Deadline | None


@dataclass(frozen=True, slots=True)
class ParentView:
    """A parent with the case of each nation; ``state`` is the one that all are in, or by_nation."""

    id: UUID
    type: str
    own_reference: str | None
    made_at: datetime
    state: str
    children: tuple[ChildView, ...]


def grouped(store: DeskStore, sent: Sequence[SentMessage]) -> list[SentMessage]:
    """The outcomes of messages with one in place of all children of a parent, which stand in a row."""
    found: list[SentMessage] = []
    children = store.parents.with_parent(one.thread for one in sent if one.id == one.thread)
    for one in sent:
        parent = store.parents.of(one.thread) if one.id == one.thread and one.thread in children else None
        if parent is None:
            found.append(one)
            continue
        (child,) = (child for child in parent.children if child.thread == one.thread)
        found.append(replace(one, nation=child.nation, goes_at=child.sent_at))
        threads = [child.thread for child in parent.children]
        family = found[-len(threads) :]
        if [member.thread for member in family] == threads:  # else it is one that was sent anew
            found[-len(threads) :] = [_parent_of(parent, tuple(family))]
    return found


def _parent_of(parent: Parent, children: tuple[SentMessage, ...]) -> SentMessage:
    least = min(children, key=lambda child: _PROGRESS.index(child.status))
    return SentMessage(
        parent.id,
        parent.id,
        b"",
        least.status,
        error=least.error,
        reason=least.reason,
        cautions=tuple(dict.fromkeys(caution for child in children for caution in child.cautions)),
        children=children,
    )


def parent_view(store: DeskStore, parsed: Parsed, own: Address, parent: Parent, now: datetime) -> ParentView:
    """How the cases of a parent stand at ``now``."""
    children = tuple(_child_view(store, parsed, own, parent, number, now) for number in range(len(parent.children)))
    states = {child.state for child in children}
    state = states.pop() if len(states) == 1 else "by_nation"
    return ParentView(parent.id, parent.type, parent.own_reference, parent.made_at, state, children)


def _child_view(
    store: DeskStore, parsed: Parsed, own: Address, parent: Parent, number: int, now: datetime
) -> ChildView:
    from protocol.lifecycle.deadlines import deadlines
    from protocol.lifecycle.projection import own_cases

    child = parent.children[number]
    head = store.messages.head(child.thread).head
    refusal = store.refusals.of(head.id)
    cases = own_cases(thread_messages(store, parsed, child.thread), str(own))
    unsent = unsent_state(store, child.thread)
    due = [item for case in cases.values() for item in deadlines(case) if item.due is not None and unsent is None]
    return ChildView(
        nation=child.nation,
        thread=child.thread,
        own_reference=child.own_reference,
        sent_at=child.sent_at,
        status=send_status(store, head.id),
        error=refusal.code if refusal is not None else None,
        state=shared_state(cases, now, unsent),
        targets=tuple(rows_of(cases, now, unsent)),
        due=min(due, key=lambda item: item.due or now, default=None),
    )


def resolved_parent(store: DeskStore, text: str) -> Parent | None:
    """The parent that ``text`` stands for: its id, or the beginning or end of it, or its reference.

    None for something else; raises :class:`UsageError` where several parents fit.
    """
    wanted = text.strip().lower().replace("-", "")
    if len(wanted) < _SHORTEST:
        return None
    found = [
        parent
        for parent in store.parents.all()
        if parent.id.hex.startswith(wanted) or parent.id.hex.endswith(wanted) or parent.own_reference == text.strip()
    ]
    if len(found) > 1:
        raise UsageError(
            phrase(
                "{text} is ambiguous: it fits {names}", text=text, names=", ".join(str(parent.id) for parent in found)
            )
        )
    return found[0] if found else None


def parent_with(store: DeskStore, parent_id: UUID) -> Parent:
    """The parent of this id; raises :class:`NotFoundError`."""
    parent = store.parents.get(parent_id)
    if parent is None:
        raise NotFoundError(phrase("this desk has no parent {parent}", parent=parent_id))
    return parent


def parents_found(store: DeskStore, query: str, rows: Sequence[InboxRow]) -> tuple[FoundParent, ...]:
    """The parents whose reference fits a search, or to which a message belongs that it found; the newest first."""
    asked, threads = Query.of(query), {row.thread for row in rows}
    found = [
        parent
        for parent in store.parents.all()
        if any(child.thread in threads for child in parent.children)
        or (parent.own_reference is not None and asked.is_held_by([parent.own_reference]))
    ]
    return tuple(
        FoundParent(parent.id, parent.type, parent.own_reference, tuple(child.nation for child in parent.children))
        for parent in sorted(found, key=lambda parent: parent.made_at, reverse=True)
    )

"""Before a case is closed: what lapses then or later because nobody looks any more, and what is still owed in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import cbor2

from exchange.cases.threads import thread_messages, thread_messages_of
from exchange.context.parsed import Parsed
from exchange.store.desk_store import DeskStore
from exchange.text.due import instant_text
from exchange.text.labels import deadline_label, target_ranges
from keys.local.printing import printable_line
from keys.local.translation import _, labelled
from protocol.errors import ClosingLosesError

if TYPE_CHECKING:
    from protocol.lifecycle.case import AnyCase
    from protocol.messages.schema.base import Message


LAPSE = "lapse"
"""The name in a draft of a closure under which stands that what lapses may; it never leaves the desk."""

# A closed case may still have these on the agenda, and nobody loses by it.
_LOST_BY_NOBODY = frozenset({"expiry", "renewal", "explanation", "redirect"})


@dataclass(frozen=True, slots=True)
class Loss:
    """What closing loses: a target that ``lapses`` at ``at``, or what (``owed``) one side still has to do by then.

    ``thread`` is another one than that which is closed where a case of the same own reference keeps data for it.
    """

    kind: str
    thread: UUID
    name: str
    at: datetime | None
    ours: bool

    def __str__(self) -> str:
        """For a person, behind the case by the end of its id."""
        return labelled(str(self.thread)[-8:], self.said())

    def said(self) -> str:
        """For a person who looks at the case: the time in their zone."""
        at = instant_text(self.at) if self.at is not None else "-"
        if self.kind == "lapses":
            text = _("preserved until {at}, and lapses: {target}")
            return text.format(target=printable_line(self.name), at=at)
        text = _("we still owe: {what} ({at})") if self.ours else _("they still owe: {what} ({at})")
        return text.format(what=deadline_label(self.name), at=at)


def losses(store: DeskStore, parsed: Parsed, message: Message, own: str, now: datetime) -> tuple[Loss, ...]:
    """What is lost when ``message`` closes its case; nothing for a message of another type.

    Preservations of other cases that this office knows by the same own reference count too: data are kept for a case.
    """
    if message.type != "closure":
        return ()
    from protocol.lifecycle.projection import own_cases

    entries = thread_messages(store, parsed, message.thread)
    cases = list(own_cases(entries, own).values())
    found = [loss for case in cases for loss in (*_lapsing(case, own, now), *_owed(case, own))]
    named = {entry.message.own_reference for entry in entries if entry.message.sender == own} - {None}
    for row in _kept_for({str(name) for name in named}, message.thread, store):
        others = own_cases(thread_messages_of(store, parsed, row), own).values()
        found += [loss for case in others for loss in _lapsing(case, own, now)]
    return tuple(found)


def require_nothing_lost(lost: Sequence[Loss]) -> None:
    """Return if closing loses nothing; raises :class:`ClosingLosesError`, which names all that would be lost."""
    if lost:
        raise ClosingLosesError("; ".join(map(str, together(lost))))


def together(lost: Iterable[Loss]) -> list[Loss]:
    """The same, targets that lapse at one instant in one line."""
    grouped: dict[Loss, list[str]] = {}
    for loss in lost:
        grouped.setdefault(replace(loss, name="" if loss.kind == "lapses" else loss.name), []).append(loss.name)
    return [replace(one, name=target_ranges(names)) if one.kind == "lapses" else one for one, names in grouped.items()]


def _lapsing(case: AnyCase, own: str, now: datetime) -> Iterator[Loss]:
    from protocol.lifecycle.preservation import PreservationCase, state_at
    from protocol.lifecycle.preservation_rules import LIVING

    if not isinstance(case, PreservationCase) or case.opening is None:
        return
    for target in case.targets:
        if state_at(target, now) in LIVING:
            yield Loss("lapses", case.opening.thread, target.name, target.expires_at, case.opening.by == own)


def _owed(case: AnyCase, own: str) -> Iterator[Loss]:
    from protocol.lifecycle.deadlines import deadlines
    from protocol.lifecycle.rules import Side

    if case.opening is None:
        return
    side = Side.REQUESTER if case.opening.by == own else Side.REQUESTED
    for deadline in deadlines(case):
        if deadline.what not in _LOST_BY_NOBODY:
            yield Loss("owed", case.opening.thread, deadline.what, deadline.due, deadline.side is side)


def _kept_for(references: set[str], but: UUID, store: DeskStore) -> Iterator[bytes]:
    """The blinded ids of the threads in which this office asked for preservation under one of its references."""
    for derived in store.agenda.since("standing", 0) if references else ():
        for part in cbor2.loads(derived.value) if derived.value else ():
            thread, type_, _, ours, _, own_reference = part[:6]
            if type_ == "preservation.request" and ours and own_reference in references and thread != but.bytes:
                yield derived.thread
                break

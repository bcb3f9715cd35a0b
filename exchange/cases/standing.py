"""How stored messages stand in their thread: corrected, or taken back, perhaps before anybody here opened them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from exchange.cases.threads import thread_messages
from exchange.context.parsed import Parsed
from exchange.store.desk_store import DeskStore
from exchange.store.rows import Head, StoredMessage
from exchange.views import Direction
from protocol.encoding.phrase import phrase

if TYPE_CHECKING:
    from protocol.lifecycle.folding import MessageStanding
    from protocol.lifecycle.without_effect import NoEffect

_ACTS = frozenset({"correction", "retract"})


def standing_of(store: DeskStore, parsed: Parsed, head: Head) -> MessageStanding | None:
    """How a message stands; None where nothing in its thread corrects or takes back anything."""
    rows = store.messages.thread(head.thread)
    if not any(row.message.head.type in _ACTS for row in rows):
        return None
    from protocol.lifecycle.corrections import standing

    return standing(thread_messages(store, parsed, head.thread), head.id)


def notes_on(found: MessageStanding | None) -> tuple[str, ...]:
    """What a reader must be told of a message that was corrected or taken back: the one place that says it.

    As phrases, for the language of whoever reads them.
    """
    if found is None:
        return ()
    from protocol.lifecycle.folding import StandingState

    return {
        StandingState.CORRECTED: (phrase("its sender corrected this message: read {message}", message=found.by),),
        StandingState.RETRACTED: (phrase("its sender took this message back: read {message}", message=found.by),),
        StandingState.AWAITING_ORIGINAL: (phrase("the message that this is about has not arrived yet"),),
        StandingState.NOT_TAKEN: (phrase("this changed nothing in the case: it is out of order"),),
    }.get(found.state, ())


def notes_of(store: DeskStore, parsed: Parsed, head: Head, found: MessageStanding | None) -> tuple[str, ...]:
    """:func:`notes_on` how a message stands, and that it does nothing in its case, with the reason."""
    said = notes_on(found)
    if said and head.type in _ACTS:
        return said  # of a correction or retraction it says that already
    return (*said, *map(_effect_note, without_effect_in(store, parsed, head.thread, only=head.id)))


def without_effect_in(
    store: DeskStore, parsed: Parsed, thread: UUID, only: UUID | None = None
) -> list[tuple[UUID, NoEffect, bool]]:
    """The messages of a thread that do nothing in it, each with the reason; ``only`` that one is looked at.

    True: it answers what was taken back, and counts all the same, as the two crossed.
    """
    from protocol.lifecycle.without_effect import REPEATED, before, counts_all_the_same, without_effect

    entries = thread_messages(store, parsed, thread)
    found = []
    for message in (entry.message for entry in entries if entry.message.type not in REPEATED):
        if only is not None and message.id != only:
            continue
        none = without_effect(before(entries, message), message)
        if none is not None:
            found.append((message.id, none, counts_all_the_same(entries, message)))
    return found


def _effect_note(found: tuple[UUID, NoEffect, bool]) -> str:
    _message, none, counts = found
    if counts:
        return phrase("it crossed with another message, and counts all the same: {reason}", reason=str(none))
    return phrase("this has no effect: {reason}", reason=str(none))


def withheld_by(store: DeskStore, parsed: Parsed, stored: StoredMessage) -> UUID | None:
    """The retraction for which a received message is not shown: nobody here had opened it. None: it may be shown.

    A correction has the content of what it corrects: it is withheld with a message that was taken back after it.
    """
    head = stored.head
    if stored.erased or head.direction is not Direction.RECEIVED or head.type == "retract":
        return None
    if store.messages.head(head.id).opened_at is not None:
        return None
    found = standing_of(store, parsed, head) if head.type != "correction" else _corrected(store, parsed, head)
    if found is None:
        return None
    from protocol.lifecycle.folding import StandingState

    return found.by if found.state is StandingState.RETRACTED else None


def _corrected(store: DeskStore, parsed: Parsed, head: Head) -> MessageStanding | None:
    """How the message stands that a correction corrects; None where the correction is not read here."""
    from protocol.lifecycle.corrections import standing
    from protocol.messages.types.correcting import Correction

    entries = thread_messages(store, parsed, head.thread)
    for message in (entry.message for entry in entries):
        if isinstance(message, Correction) and message.id == head.id:
            return standing(entries, message.corrects)
    return None

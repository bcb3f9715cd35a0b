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

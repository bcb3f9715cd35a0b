"""Whether a message would do anything in its case: what is void, done already, or no longer possible.

The tables say in which state a fact is allowed. Many messages move no state (an acknowledgement of something else than
the request, the end of a consultation, a second retraction), and some may be said in any state, as they may cross with
one of the other side. Of these the rules below say when one does nothing. A desk does not send such a message; one that
comes is kept, and shown as having no effect.

Rules, each a code of the list ``no_effect``:
1. Nobody answers, gives or takes back again a message that was taken back.
2. The same words again, with nothing of the other side since, say nothing. To ask again is a reminder, to report again
   an update, and both are legitimate: :data:`REPEATED`.
3. One question has one answer: :data:`ANSWERED_ONCE`; one that is wrong is corrected.
4. A consultation is closed by who opened it, as long as it is open, or as the answer of who was asked; a case by each
   side once.
5. A correction changes something; a renewal of silence ends later than the one before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from protocol.codes import load_codes
from protocol.encoding.phrase import phrase
from protocol.lifecycle import facts as f
from protocol.lifecycle.possible import SaidNow, nothing_left
from protocol.lifecycle.projection import cases_of, opening_in
from protocol.lifecycle.thread import ThreadMessage, facts_of
from protocol.messages.corrections import as_corrected, original_of
from protocol.messages.schema.base import Message, UnknownMessage
from protocol.messages.schema.conditions import ConditionAccept
from protocol.messages.types.acknowledgement import Acknowledgement
from protocol.messages.types.confidentiality import ConfidentialityRenew
from protocol.messages.types.consent import conditions_of, conditions_to_accept
from protocol.messages.types.consent import opening_in as offer_opened_by
from protocol.messages.types.consultation import ConsultationClose, ConsultationOpen
from protocol.messages.types.correcting import Correction, Retract
from protocol.messages.types.ending import Closure
from protocol.messages.types.preservation_course import TrafficPartialDisclosure

# Legitimate in the same words again, or without an answer to: questions and proposals (a reminder), reports (that
# nothing has changed yet is news), and what carries a content of its own.
REPEATED = frozenset(
    {
        "preservation.request",
        "assistance.request",
        "emergency.request",
        "information.spontaneous",
        "preservation.risk",
        "clarification.ask",
        "status.query",
        "status.report",
        "consultation.open",
        "condition.propose",
        "use.query",
        "consent.request",
        "contact.test",
        "incident",
        "forward",
        "note",
    }
)
# One answer to one message, and no second one in other words.
ANSWERED_ONCE = frozenset({"contact.test-reply", "out-of-order", "preservation.risk-reply", "follow-up.confirmed"})
# Said to a message that was taken back all the same: they are about that, or about what was done with it.
SAID_OF_TAKEN_BACK = frozenset(
    {
        "correction",
        "retract",
        "note",
        "data-protection.notice",
        "out-of-order",
        "closure",
        "use.query",
        "use.report",
        "incident",
        "forward",
    }
)
# They answer what the other side said, and move nothing where they answer an own message. Those that move something are
# judged by the tables.
_OF_THE_OTHER_SIDE = frozenset(
    {"acknowledgement", "consent.reply", "contact.test-reply", "data-protection.notice", "out-of-order", "use.report"}
)
# Two messages of the same words may differ in these.
_OF_ONE_SENDING = frozenset(
    {"id", "sent_at", "officer", "schema_version", "received_at", "at", "own_reference", "peer_reference", "language"}
)
_CONSULTS = frozenset({"consultation", "consultation_outcome"})
_ANSWERS_CONSULTATION = frozenset({"consultation"})


@dataclass(frozen=True, slots=True)
class NoEffect:
    """Why a message does nothing: a code of the list ``no_effect``, and the message because of which."""

    code: str
    by: UUID | None = None

    def __str__(self) -> str:
        """In English, as a phrase or label that the edges put into the reader's language."""
        label = load_codes("no_effect").label(self.code)
        return label if self.by is None else phrase("{rule} (message {message})", rule=label, message=self.by)


def without_effect(before: Iterable[ThreadMessage], message: Message) -> NoEffect | None:
    """Why ``message`` does nothing in a thread that said ``before`` until then; None where it does something.

    Of a message that opens its thread, or of an unknown type, nothing is known.
    """
    if message.thread == message.id or isinstance(message, UnknownMessage):
        return None
    entries = tuple(entry for entry in before if entry.message.id != message.id)
    thread = _Thread(entries, {entry.message.id: entry.message for entry in entries})
    return next((found for rule in _RULES if (found := rule(thread, message)) is not None), None)


def before(thread: Iterable[ThreadMessage], message: Message) -> tuple[ThreadMessage, ...]:
    """The entries of a thread that were said before ``message``, by the senders' times."""
    return tuple(
        entry
        for entry in thread
        if (entry.message.sent_at, entry.message.id) < (message.sent_at, message.id)
        or entry.message.id in {message.thread, message.in_reply_to}
    )


def counts_all_the_same(thread: Iterable[ThreadMessage], message: Message) -> bool:
    """Whether a message moves its case although it answers what was taken back: both crossed, and it was said."""
    if not any(fact.MOVES and not isinstance(fact, f.Acknowledged) for fact in facts_of(message)):
        return False
    return any(step.fact.message_id == message.id for case in cases_of(thread).values() for step in case.history)


# --- The rules ---


@dataclass(frozen=True, slots=True)
class _Thread:
    entries: tuple[ThreadMessage, ...]
    messages: Mapping[UUID, Message]

    def taken_back(self) -> Mapping[UUID, UUID]:
        """What was taken back by its sender, with the retraction."""
        found: dict[UUID, UUID] = {}
        for act in sorted(self.messages.values(), key=lambda one: (one.sent_at, one.id)):
            if isinstance(act, Retract):
                original = self.messages.get(act.retracts)
                if original is not None and original.sender == act.sender and not isinstance(original, Retract):
                    found.setdefault(original.id, act.id)
        return found

    def standing(self) -> list[Message]:
        """The messages that were not taken back, as they read now, in the order of sending."""
        gone = self.taken_back()
        now = as_corrected(self.messages.values())
        return sorted((one for one in now if one.id not in gone), key=lambda one: (one.sent_at, one.id))


def _of_what_was_taken_back(thread: _Thread, message: Message) -> NoEffect | None:
    gone = thread.taken_back()
    if isinstance(message, Retract):
        return NoEffect("taken_back_before", gone[message.retracts]) if message.retracts in gone else None
    offered = offer_opened_by(message)
    if offered is not None and offered.message in gone:
        return NoEffect("gives_taken_back", gone[offered.message])
    by = gone.get(message.in_reply_to) if message.in_reply_to is not None else None
    return NoEffect("answers_taken_back", by) if by is not None and message.type not in SAID_OF_TAKEN_BACK else None


def _of_a_side(thread: _Thread, message: Message) -> NoEffect | None:
    """Acts of one side that no table knows, as they move nothing."""
    opening = opening_in(thread.messages.values())
    if opening is None:
        return None
    asks = message.sender == opening.sender
    if isinstance(message, ConfidentialityRenew) and not asks:
        return NoEffect("requester_only")
    return NoEffect("requested_only") if isinstance(message, TrafficPartialDisclosure) and asks else None


def _of_an_own_message(thread: _Thread, message: Message) -> NoEffect | None:
    about = thread.messages.get(message.in_reply_to) if message.in_reply_to is not None else None
    if about is None or message.type not in _OF_THE_OTHER_SIDE or about.sender != message.sender:
        return None
    return NoEffect("own_message", about.id)


def _of_an_answer(thread: _Thread, message: Message) -> NoEffect | None:
    if message.type not in ANSWERED_ONCE:
        return None
    targets = set(getattr(message, "targets", ()))
    for said in thread.standing():
        same = said.type == message.type and said.sender == message.sender and said.in_reply_to == message.in_reply_to
        if same and targets <= set(getattr(said, "targets", ())):
            return NoEffect("answered_before", said.id)
    return None


def _of_conditions(thread: _Thread, message: Message) -> NoEffect | None:
    if not isinstance(message, ConditionAccept):
        return None
    about = thread.messages.get(message.in_reply_to)
    if about is None or not any(conditions_of(about)):
        return None
    left = {one.condition for one in conditions_to_accept(about, thread.messages.values(), message.sender)}
    return None if left & set(message.conditions) else NoEffect("accepted_before", about.id)


def _of_a_consultation(thread: _Thread, message: Message) -> NoEffect | None:
    if not isinstance(message, ConsultationClose):
        return None
    opened_by = {one.id: one.sender for one in thread.messages.values() if isinstance(one, ConsultationOpen)}
    owed = [item for case in cases_of(thread.entries).values() for item in case.owed]
    for item in owed:
        # The side that consults closes it as long as it is open; the other may answer with what it would come to.
        ends = _CONSULTS if opened_by.get(item.message) == message.sender else _ANSWERS_CONSULTATION
        if item.message in opened_by and item.what in ends:
            return None
    return NoEffect("no_consultation")


def _of_a_closure(thread: _Thread, message: Message) -> NoEffect | None:
    if not isinstance(message, Closure):
        return None
    earlier = [one for one in thread.standing() if isinstance(one, Closure) and one.sender == message.sender]
    if not earlier:
        return None
    for case in cases_of((*thread.entries, ThreadMessage(message))).values():
        closed: set[str] = set()
        for step in case.history:
            if isinstance(step.fact, f.Closed) and step.fact.by == message.sender:
                if step.fact.message_id == message.id and step.target not in closed:
                    return None  # something was left to be closed
                closed.add(step.target)
    return NoEffect("closed_before", earlier[-1].id)


def _of_an_acknowledgement(thread: _Thread, message: Message) -> NoEffect | None:
    """Of the request: what acknowledges another message is a word beside the course."""
    if not isinstance(message, Acknowledgement) or message.in_reply_to != message.thread:
        return None
    now = SaidNow(message.sender, message.sent_at)
    found = (nothing_left(case, message.type, now) for case in cases_of(thread.entries).values())
    code = next((one for one in found if one is not None), None)
    earlier = [one for one in thread.standing() if isinstance(one, Acknowledgement) and one.sender == message.sender]
    return NoEffect(code, earlier[-1].id) if code is not None and earlier else None


def _of_silence(thread: _Thread, message: Message) -> NoEffect | None:
    if not isinstance(message, ConfidentialityRenew):
        return None
    for said in thread.standing():
        until = said.until if isinstance(said, ConfidentialityRenew) else getattr(said, "do_not_notify_until", None)
        if said.sender == message.sender and until is not None and until >= message.until:
            return NoEffect("silent_longer", said.id)
    return None


def _of_a_correction(thread: _Thread, message: Message) -> NoEffect | None:
    if not isinstance(message, Correction):
        return None
    original = original_of(message, thread.messages)
    if original is None or original.id in thread.taken_back():
        return None
    was = {one.id: one for one in as_corrected(thread.messages.values())}[original.id]
    now = {one.id: one for one in as_corrected((*thread.messages.values(), message))}[original.id]
    return NoEffect("changes_nothing", original.id) if _content(was) == _content(now) else None


def _of_the_same_words(thread: _Thread, message: Message) -> NoEffect | None:
    if message.type in REPEATED or isinstance(message, Correction | Retract):
        return None
    for said in reversed(thread.standing()):
        if said.sender != message.sender:
            return None
        if said.type == message.type and _words(said) == _words(message):
            return NoEffect("said_before", said.id)
    return None


def _words(message: Message) -> dict[str, Any]:
    return {name: value for name, value in _content(message).items() if name not in _OF_ONE_SENDING}


def _content(message: Message) -> dict[str, Any]:
    return message.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"officer"})


_RULES = (
    _of_what_was_taken_back,
    _of_a_side,
    _of_an_own_message,
    _of_an_answer,
    _of_conditions,
    _of_a_consultation,
    _of_a_closure,
    _of_an_acknowledgement,
    _of_silence,
    _of_a_correction,
    _of_the_same_words,
)

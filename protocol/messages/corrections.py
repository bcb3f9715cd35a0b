"""A correction read as a message of the type that it corrects.

Rules; what breaks one changes nothing, and is kept and shown:
1. The same sender, in the same thread, to nobody who does not have the original.
2. The corrected content is a valid message of the original's type, in a version that the reader can read. Id, sender,
   recipients, thread and time stay the original's; the officer is the correction's, who answers for these words.
3. A correction of a correction corrects the original. The parts that bind others stay: the commitment of an offer, the
   conditions that content is given under; and it names no sealed file but those that followed the original. A message
   that was passed on, and consent, are not corrected but sent anew.
4. The labels around the correction are not weaker than those inside: it holds the whole of the message.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from protocol.encoding.instants import as_written
from protocol.errors import InvalidMessageError
from protocol.messages.attached import sealed_attachments
from protocol.messages.handling_rules import weakened
from protocol.messages.parse import compose_message, parse_message
from protocol.messages.schema.base import Message, UnknownMessage
from protocol.messages.schema.kinds import is_correction, is_retraction
from protocol.messages.types.consent import content_conditions

if TYPE_CHECKING:
    from protocol.messages.types.correcting import Correction, Retract

NOT_CORRECTED = frozenset(
    {"correction", "retract", "forward", "contact.test", "contact.test-reply", "out-of-order", "consent.reply"}
)
# Members that bind a message to another one: a correction repeats them as they were.
_BOUND = ("commitment", "offer")
_RULE = "correction"


# Of one sender in one thread. Each costs two folds, and who corrects more often writes a new message.
MOST_ACTS = 50


def acts_of(messages: Iterable[Message]) -> tuple[list[Correction | Retract], list[Correction | Retract]]:
    """The corrections and retractions that count, by (time of sending, id), and those that are too many."""
    acts = sorted(
        (message for message in messages if is_correction(message) or is_retraction(message)),
        key=lambda act: (act.sent_at, act.id),
    )
    taken: Counter[str] = Counter()
    counted: list[Correction | Retract] = []
    too_many: list[Correction | Retract] = []
    for act in acts:
        taken[act.sender] += 1
        (counted if taken[act.sender] <= MOST_ACTS else too_many).append(act)
    return counted, too_many


def original_of(message: Correction | Retract, messages: Mapping[UUID, Message]) -> Message | None:
    """The message that is corrected or taken back in the end; None where ``messages`` do not hold it yet.

    A retraction of a correction takes back the correction, so that the original stands again.
    """
    if is_retraction(message):
        return messages.get(message.retracts)
    seen = {message.id}
    found = messages.get(message.corrects)
    while is_correction(found) and found.sender == message.sender and found.id not in seen:
        seen.add(found.id)
        found = messages.get(found.corrects)
    return None if is_correction(found) else found


def corrected(original: Message, correction: Correction) -> Message:
    """``original`` as it should have been; raises :class:`InvalidMessageError` for a correction that breaks a rule."""
    _check(original, correction)
    try:
        message = parse_message(_written(_merged(original, correction)))
    except InvalidMessageError as error:
        raise _inside(error) from None
    if isinstance(message, UnknownMessage) and not isinstance(original, UnknownMessage):
        # Else what was said before would be gone here, and nothing would stand in its place.
        raise _problem("message.schema_version", "this program does not read that version: what was said before stands")
    _check_bound(original, message)
    _check_labels(correction, message)
    return message


def as_corrected(messages: Iterable[Message]) -> list[Message]:
    """The messages as they read now: each with the content of its last correction that stands."""
    known = {message.id: message for message in messages}
    acts, _too_many = acts_of(known.values())
    taken_back = {(one.retracts, one.sender) for one in acts if is_retraction(one)}
    now = dict(known)
    for act in acts:
        if is_retraction(act) or (act.id, act.sender) in taken_back:
            continue
        original = original_of(act, known)
        if original is None:
            continue
        try:
            now[original.id] = corrected(original, act)
        except InvalidMessageError:
            continue  # it changes nothing
    return list(now.values())


def versions_of(message: Message, thread: Iterable[Message]) -> list[Message]:
    """The message and, under its id, what each correction in its thread makes of it, the last one last.

    The labels of all of them bind a reader: a correction may make them stricter, and is never a way to weaker ones.
    """
    known = {other.id: other for other in (*thread, message)}
    acts, _too_many = acts_of(known.values())
    taken_back = {(one.retracts, one.sender) for one in acts if is_retraction(one)}
    found = [message]
    for act in acts:
        if is_retraction(act) or (act.id, act.sender) in taken_back or original_of(act, known) is not message:
            continue
        try:
            found.append(corrected(message, act))
        except InvalidMessageError:
            continue  # it changes nothing
    return found


def check_correction(original: Message, correction: Correction) -> None:
    """As :func:`corrected`, for one that is to be sent: what a desk would not send, it does not send this way."""
    _check(original, correction)
    if isinstance(original, UnknownMessage):
        raise _problem("corrects", "this program does not know the type of that message: update it to correct it")
    try:
        message = compose_message(_merged(original, correction)).message
    except InvalidMessageError as error:
        raise _inside(error) from None
    _check_bound(original, message)
    _check_labels(correction, message)


def check_retraction(original: Message, retraction: Retract) -> None:
    """Return if the retraction takes back a message of its own sender; raises :class:`InvalidMessageError`."""
    _check_sender(original, retraction, "retracts")
    if is_retraction(original):
        raise _problem("retracts", "a retraction is not taken back: send the message again")


def own_fields(message: Message) -> dict[str, Any]:
    """The fields of a message that a correction of it states: all but those that stay as they were."""
    from protocol.messages.types.correcting import KEPT_FIELDS

    written = message.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {name: value for name, value in written.items() if name not in KEPT_FIELDS}


def _check(original: Message, correction: Correction) -> None:
    _check_sender(original, correction, "corrects")
    if original.type in NOT_CORRECTED:
        raise _problem("corrects", "a message of this type is not corrected: send another one")


def _check_sender(original: Message, message: Message, field: str) -> None:
    if original.sender != message.sender:
        raise _problem(field, "only the sender of a message corrects it or takes it back")
    if original.thread != message.thread:
        raise _problem(field, "this message is in another case")
    if not set(message.to) <= set(original.to):
        raise _problem("to", "send it only to those who have the message that it is about")


def _check_bound(original: Message, message: Message) -> None:
    for name in _BOUND:
        if getattr(original, name, None) != getattr(message, name, None):
            raise _problem(f"message.{name}", "repeat this field as it was: the other side relies on it")
    if not set(sealed_attachments(message)) <= set(sealed_attachments(original)):
        raise _problem("message.attachments", "no other files follow than did: send them in a message of their own")
    if _terms(original) != _terms(message):
        raise _problem("message", "a correction changes no conditions: propose others, and answer again")


def _terms(message: Message) -> set[tuple[str, str]]:
    return {(condition.kind, condition.text) for condition in content_conditions(message)}


def _check_labels(correction: Correction, message: Message) -> None:
    weaker = weakened(correction.handling, message.handling)
    if weaker:
        raise _problem("handling", "the labels of the correction are weaker than those of the message in it")


def _merged(original: Message, correction: Correction) -> dict[str, Any]:
    kept: dict[str, Any] = {
        "type": original.type,
        "id": str(original.id),
        "thread": str(original.thread),
        "from": original.sender,
        "to": list(original.to),
        "sent_at": as_written(original.sent_at),
        "officer": {"name": correction.officer.name, "role": correction.officer.role},
    }
    if original.in_reply_to is not None:
        kept["in_reply_to"] = str(original.in_reply_to)
    # Those who read the original read its version: another one is written only where the correction states it.
    return {"schema_version": original.schema_version, **correction.message, **kept}


def _written(fields: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise _problem("message", "the corrected message holds something that JSON cannot carry") from None


def _inside(error: InvalidMessageError) -> InvalidMessageError:
    """The problems of what is inside the correction, by their place in it."""
    problems = tuple((f"message.{where}", rule, text) for where, rule, text in error.problems)
    return InvalidMessageError(error.detail, problems)


def _problem(where: str, text: str) -> InvalidMessageError:
    return InvalidMessageError("the correction changes nothing", ((where, _RULE, text),))

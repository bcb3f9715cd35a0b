"""What a desk that gets a passed-on message checks, whoever made it and however it came.

Rules; the first that fails is the error:
1. Original and consents are what their envelopes commit to, and what is said of them is what stands in them. Files that
   go on with the forward are files of the original: it repeats their names and keys, and adds none.
2. The labels around the original are not weaker than its own.
3. Each recipient may have it: what the original's labels and conditions forbid is lifted by consent that is carried
   with it, given by who set them, to who passes it on, for this recipient.

Signatures need the directory: :func:`originals_of` and :func:`consents_of` name what is to be verified.
"""

from __future__ import annotations

from collections.abc import Iterator

from protocol.address import Address
from protocol.errors import FileSetMismatchError, HandlingError, RoutingMismatchError
from protocol.messages.attached import check_file_set, sealed_attachments
from protocol.messages.handling_rules import Action, objections, read_original, weakened
from protocol.messages.schema.base import Message
from protocol.messages.types.forward import CarriedConsent, Forward, Original, original_envelope


def check_passed_on(forward: Forward) -> None:
    """Return if all recipients may have what is passed on to them, as far as the message itself shows.

    Raises :class:`HandlingError`, :class:`MalformedError`, :class:`InvalidMessageError`,
    :class:`RoutingMismatchError`, :class:`CommitmentMismatchError` or :class:`FileSetMismatchError`.
    """
    inner = checked_original(forward.original)
    check_labels(forward, inner)
    _check_files(forward, inner)
    consents = [checked_original(original) for carried in forward.consents for original in _both(carried)]
    holder = Address.parse(forward.sender)
    for text in forward.to:
        recipient = Address.parse(text)
        found = objections(inner, Action.FORWARD, holder, recipient, consents, forward.sent_at)
        if found:
            codes = ", ".join(dict.fromkeys(objection.code for objection in found))
            raise HandlingError(f"the original's labels or conditions keep it from {recipient}: {codes}")
    if isinstance(inner, Forward):
        check_passed_on(inner)


def check_labels(forward: Forward, inner: Message) -> None:
    """Return if the labels around ``inner`` are not weaker than its own; raises :class:`HandlingError`."""
    weaker = weakened(forward.handling, inner.handling)
    if weaker:
        raise HandlingError(f"the labels are weaker than those of the original: {', '.join(weaker)}")


def checked_original(original: Original) -> Message:
    """The message that was passed on, with all but its sender's signature checked; raises what does not hold."""
    envelope = original_envelope(original)
    message = read_original(original)
    said = (original.message, original.type, original.originator, original.sent_at)
    if said != (message.id, message.type, message.sender, message.sent_at):
        raise RoutingMismatchError("what is said of the original is not what stands in it")
    if set(message.to) != {str(recipient) for recipient in envelope.routing.recipients}:
        raise RoutingMismatchError("the recipients inside the original are not those in its routing header")
    check_file_set(message, envelope.routing.file_set)
    return message


def _check_files(forward: Forward, inner: Message) -> None:
    """Whoever passes a file on passes on the one that came: who proved what of it stays true."""
    if not set(sealed_attachments(forward)) <= set(sealed_attachments(inner)):
        raise FileSetMismatchError("a file goes on with this message that is not one of the message that is passed on")


def originals_of(forward: Forward) -> Iterator[Original]:
    """What is passed on, and what had been passed on before within it, outermost first."""
    yield forward.original
    inner = read_original(forward.original)
    if isinstance(inner, Forward):
        yield from originals_of(inner)


def consents_of(forward: Forward) -> Iterator[Original]:
    """The requests and replies of all consent that is carried: each is to be verified with its sender's key."""
    for carried in forward.consents:
        yield from _both(carried)
    inner = read_original(forward.original)
    if isinstance(inner, Forward):
        yield from consents_of(inner)


def _both(carried: CarriedConsent) -> tuple[Original, Original]:
    return carried.request, carried.reply

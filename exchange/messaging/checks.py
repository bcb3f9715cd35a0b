"""What a desk checks of a message beyond its type, in the one place where every message is composed.

Corrections and retractions by their original, notes by their case, times by what they can be. The desk refuses words
that would harm the other side, with each field, and warns of the rest. The same checks say what is implausible in what
came.

Blocking; runs in the desk's thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from uuid import UUID

from exchange.cases.legal_comparison import profile_at_hand
from exchange.context.parsed import Parsed
from exchange.store.desk_store import DeskStore
from exchange.views import Caution
from keys.directory.cards import Limb, Performance
from keys.directory.view import Directory
from protocol.address import Address
from protocol.codes import load_codes
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, InvalidMessageError, NotFoundError
from protocol.lifecycle.profiles import minimum_days
from protocol.messages.attached import check_supplement
from protocol.messages.cautions import form_cautions
from protocol.messages.corrections import as_corrected, check_correction, check_retraction, original_of
from protocol.messages.law.grounds import wrong_grounds
from protocol.messages.notes import check_note
from protocol.messages.plausibility import implausibilities
from protocol.messages.schema.base import Message
from protocol.messages.schema.kinds import (
    is_answer,
    is_assistance_request,
    is_correction,
    is_emergency_request,
    is_files,
    is_note,
    is_preservation_request,
    is_retraction,
)
from protocol.messages.versions import Reads, require_readable

_RULE = "plausibility"


def readers_of(to: object, directory: Directory) -> dict[str, Reads | None]:
    """What the recipients' desks read, by their addresses, as the cards say that their nations signed.

    A recipient that the directory does not have is left out here: sealing says so, after it was asked for.
    """
    readers: dict[str, Reads | None] = {}
    for text in to if isinstance(to, list | tuple) else ():
        try:
            readers[text] = directory.contact_point(Address.parse(text)).reads
        except (ComityError, TypeError, AttributeError):
            continue
    return readers


def check_composed(store: DeskStore, parsed: Parsed, message: Message, directory: Directory) -> tuple[Caution, ...]:
    """What to look at again in a composed message that may be sent as far as its thread and its times go.

    Raises :class:`InvalidMessageError` with every field that is amiss.
    """
    thread = _thread(store, parsed, message)
    _check_acts(message, thread, readers_of(message.to, directory))
    found = tuple(cautions(message, thread, directory))
    problems = [(one.field, _RULE, _text_of(one)) for one in found if one.refused]
    if problems:
        raise InvalidMessageError(phrase("what the message says cannot be"), tuple(problems))
    return found


def _text_of(caution: Caution) -> str:
    label = load_codes(caution.codes).label(caution.code)
    return phrase("{what}; valid here: {valid}", what=label, valid=caution.valid) if caution.valid else label


def cautions_of(store: DeskStore, parsed: Parsed, message: Message, directory: Directory) -> tuple[Caution, ...]:
    """What to look at again in a message of this desk's, sent or received."""
    return tuple(cautions(message, _thread(store, parsed, message), directory))


# Which limb of Art. 35.1 a kind of assistance is.
_LIMBS: Mapping[str, Limb] = MappingProxyType(
    {
        "technical_advice": Limb.TECHNICAL_ADVICE,
        "training": Limb.TECHNICAL_ADVICE,
        "legal_information": Limb.LEGAL_INFORMATION,
        "locate": Limb.LOCATING_SUSPECTS,
        "identify": Limb.LOCATING_SUSPECTS,
    }
)


def cautions_of_cards(message: Message, directory: Directory) -> Iterator[Caution]:
    """What the recipients' cards declare that speaks against a request: its language, and what the office cannot do.

    They are declarations: the request is sent all the same.
    """
    for recipient in message.to if message.thread == message.id else ():
        try:
            card = directory.contact_point(Address.parse(recipient))
        except ComityError:
            continue  # sealing says what is wrong with it
        if card.accepted_languages and not any(_speaks(one, message.language) for one in card.accepted_languages):
            yield Caution("caution", "language_not_accepted", "language")
        limbs = set(_limbs_of(message))
        if limbs and all((card.performs or {}).get(limb) is Performance.CANNOT for limb in limbs):
            yield Caution("caution", "cannot_be_done", "to")


def _speaks(accepted: str, language: str) -> bool:
    accepted, language = accepted.lower(), language.lower()
    return language == accepted or language.startswith(f"{accepted}-")


def _limbs_of(message: Message) -> Iterator[Limb]:
    if is_preservation_request(message):
        yield Limb.PRESERVATION
    elif is_emergency_request(message):
        yield Limb.EVIDENCE
    elif is_assistance_request(message):
        yield from (_LIMBS.get(kind, Limb.EVIDENCE) for kind in message.kinds)


def cautions(message: Message, thread: Sequence[Message], directory: Directory) -> Iterator[Caution]:
    """What to look at again in a message as it was said, given its thread and what nations say of their law."""
    as_it_reads = as_corrected(thread)
    for found in implausibilities(message, message.sent_at, thread, _minimum_days(message, as_it_reads)):
        yield Caution("implausibility", found.code, found.field, found.refused)
    for field, code in form_cautions(message):
        yield Caution("caution", code, field)
    if is_answer(message) and "H1" in message.handling.codes:
        for number, item in enumerate(message.items):
            if item.evidential_status == "evidence":
                yield Caution("caution", "evidence_under_h1", f"items.{number}.evidential_status")
    yield from _of_unauthorised_words(message, as_it_reads)
    for wrong in wrong_grounds(message, as_it_reads, _reserved(message, as_it_reads, directory)):
        yield Caution("caution", wrong.code, wrong.field, wrong.refused, ", ".join(wrong.valid))


def _of_unauthorised_words(message: Message, thread: Sequence[Message]) -> Iterator[Caution]:
    """Words that answer a request for data, without an item and so without an authorisation."""
    if not is_answer(message) or message.text is None or message.items:
        return
    opening = next((other for other in thread if other.id == message.thread), None)
    wanted = getattr(opening, "targets", None)
    if wanted and not message.not_answered:
        yield Caution("caution", "words_without_authorisation", "text")


def _reserved(message: Message, thread: Sequence[Message], directory: Directory) -> bool | None:
    """Whether the nation of the sender made the reservation of Art. 29.4; None where no profile says."""
    opening = next((other for other in thread if other.id == message.thread), None)
    known = profile_at_hand(directory, Address.parse(message.sender).node)
    if known is None or opening is None or opening.legal_basis is None:
        return None
    rule = known.profile.preservation_under(opening.legal_basis.instrument)
    return rule.reserved if rule is not None else None


def _check_acts(message: Message, thread: Sequence[Message], readers: Mapping[str, Reads | None]) -> None:
    if is_note(message):
        check_note(message, thread)
    if is_files(message):
        check_supplement(message, thread)
    if not (is_correction(message) or is_retraction(message)):
        return
    original = original_of(message, {other.id: other for other in thread})
    if original is None:
        named: UUID = message.corrects if is_correction(message) else message.retracts
        raise NotFoundError(phrase("the case has no message {message}", message=named))
    if is_correction(message):
        check_correction(original, message)
        stated = message.message.get("schema_version", original.schema_version)
        require_readable(original.type, stated, readers, "message.schema_version")
    else:
        check_retraction(original, message)


def _minimum_days(message: Message, thread: Sequence[Message]) -> int:
    """The least period under the basis of the request that a message is, or answers."""
    opening = next((other for other in thread if other.id == message.thread), message)
    basis = opening.legal_basis
    return minimum_days(basis.instrument) if basis is not None else 0


def _thread(store: DeskStore, parsed: Parsed, message: Message) -> list[Message]:
    if message.thread == message.id:
        return []
    rows = store.messages.thread(message.thread)
    return [parsed.of(stored) for _, stored, _ in rows if not stored.erased and stored.head.id != message.id]

"""What is allowed, and will probably hinder the other side: said before sending, never a refusal."""

from __future__ import annotations

from collections.abc import Iterator

from protocol.messages.schema.base import Message
from protocol.messages.schema.identifiers import SERVER
from protocol.messages.schema.parts import WantedData
from protocol.messages.types.answer import Answer
from protocol.messages.types.assistance import AssistanceRequest
from protocol.messages.types.emergency import EmergencyRequest, EmergencySupplement
from protocol.messages.types.information import InformationSpontaneous
from protocol.messages.types.preservation import PreservationRequest, Target
from protocol.messages.types.preservation_course import TrafficPartialDisclosure

FOR_ITS_SENDER = frozenset({"no_custodian", "person_without_class", "words_without_authorisation"})
"""Codes of the list caution that tell who writes a message to change it: a reader of it can change nothing."""

_Request = PreservationRequest | AssistanceRequest | EmergencyRequest


def form_cautions(message: Message) -> tuple[tuple[str, str], ...]:
    """What the sender may want to add: (field path, code of the list caution)."""
    return (*_custodians(message), *_servers(message), *_persons(message), *_authorisation(message))


def _custodians(message: Message) -> Iterator[tuple[str, str]]:
    """Art. 29.2 (d) asks for *available* information: finding who holds the data is often the question."""
    if not isinstance(message, PreservationRequest):
        return
    for number, target in enumerate(message.targets):
        if target.custodian is None and target.location is None:
            yield f"targets.{number}.location", "no_custodian"


def _servers(message: Message) -> Iterator[tuple[str, str]]:
    if not isinstance(message, _Request):
        return
    targets: tuple[Target | WantedData, ...] = message.targets
    for number, target in enumerate(targets):
        if getattr(target.identifier, "role", None) == SERVER and "subscriber" in target.data_categories:
            yield f"targets.{number}.identifier.role", "subscriber_of_server"


def _authorisation(message: Message) -> Iterator[tuple[str, str]]:
    """Version 1 has no place for it; what an older desk discloses says nothing of who allowed it."""
    if isinstance(message, Answer):
        discloses = bool(message.items)
    elif isinstance(message, TrafficPartialDisclosure):
        discloses = any(disclosure.withheld is None for disclosure in message.disclosures)
    elif isinstance(message, InformationSpontaneous):
        discloses = message.stage == "disclosure"
    else:
        return
    if discloses and message.authorisation is None:
        yield "authorisation", "no_authorisation"


def _persons(message: Message) -> Iterator[tuple[str, str]]:
    """Directive (EU) 2016/680 Art. 6."""
    if not isinstance(message, _Request | EmergencySupplement | InformationSpontaneous):
        return
    for number, person in enumerate(message.persons or ()):
        if person.person_class is None:
            yield f"persons.{number}.person_class", "person_without_class"

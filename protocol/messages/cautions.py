"""What is allowed, and will probably hinder the other side: said before sending, never a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from protocol.messages.schema.base import Message
from protocol.messages.schema.identifiers import SERVER
from protocol.messages.schema.kinds import (
    is_answer,
    is_emergency_supplement,
    is_information,
    is_partial_disclosure,
    is_preservation_request,
    is_request,
)

if TYPE_CHECKING:
    from protocol.messages.schema.parts import WantedData
    from protocol.messages.types.preservation import Target

FOR_ITS_SENDER = frozenset({"no_custodian", "person_without_class", "words_without_authorisation"})
"""Codes of the list caution that tell who writes a message to change it: a reader of it can change nothing."""


def form_cautions(message: Message) -> tuple[tuple[str, str], ...]:
    """What the sender may want to add: (field path, code of the list caution)."""
    return (*_custodians(message), *_servers(message), *_persons(message), *_authorisation(message))


def _custodians(message: Message) -> Iterator[tuple[str, str]]:
    """Art. 29.2 (d) asks for *available* information: finding who holds the data is often the question."""
    if not is_preservation_request(message):
        return
    for number, target in enumerate(message.targets):
        if target.custodian is None and target.location is None:
            yield f"targets.{number}.location", "no_custodian"


def _servers(message: Message) -> Iterator[tuple[str, str]]:
    if not is_request(message):
        return
    targets: tuple[Target | WantedData, ...] = message.targets
    for number, target in enumerate(targets):
        if getattr(target.identifier, "role", None) == SERVER and "subscriber" in target.data_categories:
            yield f"targets.{number}.identifier.role", "subscriber_of_server"


def _authorisation(message: Message) -> Iterator[tuple[str, str]]:
    """Version 1 has no place for it; what an older desk discloses says nothing of who allowed it."""
    if is_answer(message):
        discloses = bool(message.items)
    elif is_partial_disclosure(message):
        discloses = any(disclosure.withheld is None for disclosure in message.disclosures)
    elif is_information(message):
        discloses = message.stage == "disclosure"
    else:
        return
    if discloses and message.authorisation is None:
        yield "authorisation", "no_authorisation"


def _persons(message: Message) -> Iterator[tuple[str, str]]:
    """Directive (EU) 2016/680 Art. 6."""
    if not (is_request(message) or is_emergency_supplement(message) or is_information(message)):
        return
    for number, person in enumerate(message.persons or ()):
        if person.person_class is None:
            yield f"persons.{number}.person_class", "person_without_class"

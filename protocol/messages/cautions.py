"""What is allowed, and will probably hinder the other side: said before sending, never a refusal."""

from __future__ import annotations

from collections.abc import Iterator

from protocol.messages.schema.base import Message
from protocol.messages.schema.identifiers import SERVER
from protocol.messages.schema.parts import WantedData
from protocol.messages.schema.problems import Problem
from protocol.messages.types.assistance import AssistanceRequest
from protocol.messages.types.emergency import EmergencyRequest, EmergencySupplement
from protocol.messages.types.information import InformationSpontaneous
from protocol.messages.types.preservation import PreservationRequest, Target

_Request = PreservationRequest | AssistanceRequest | EmergencyRequest


def cautions_of(message: Message) -> tuple[Problem, ...]:
    """What the sender may want to add, as (field path, rule by its legal name, text): Art. 29.2's letters first."""
    return (*_custodians(message), *_servers(message), *_persons(message))


def _custodians(message: Message) -> Iterator[Problem]:
    if not isinstance(message, PreservationRequest):
        return
    for number, target in enumerate(message.targets):
        if target.custodian is None and target.location is None:
            yield (
                f"targets.{number}.location",
                "Art. 29.2 (d)",
                "nobody is named who may hold the data: add the custodian or the location if you know it; finding it"
                " comes first on the other side",
            )


def _servers(message: Message) -> Iterator[Problem]:
    if not isinstance(message, _Request):
        return
    targets: tuple[Target | WantedData, ...] = message.targets
    for number, target in enumerate(targets):
        if getattr(target.identifier, "role", None) == SERVER and "subscriber" in target.data_categories:
            yield (
                f"targets.{number}.identifier.role",
                "RFC 6302",
                "the subscriber of a server's address is the customer to whom the server is let, not who used it",
            )


def _persons(message: Message) -> Iterator[Problem]:
    if not isinstance(message, _Request | EmergencySupplement | InformationSpontaneous):
        return
    for number, person in enumerate(message.persons or ()):
        if person.person_class is None:
            yield (
                f"persons.{number}.person_class",
                "Directive (EU) 2016/680 Art. 6",
                "state whether the person is a suspect, a victim, a witness or another, as far as it is known",
            )

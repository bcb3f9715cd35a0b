"""The published code lists."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from pydantic import BaseModel

from exchange.office.officers import Role
from protocol.codes import list_names, load_codes
from protocol.errors import NotFoundError
from protocol.lifecycle.assistance_rules import AssistanceState
from protocol.lifecycle.conversation import ConversationState
from protocol.lifecycle.preservation import RequestState
from protocol.lifecycle.preservation_rules import State
from protocol.messages.handling_rules import Action
from protocol.messages.registry import MESSAGE_TYPES
from protocol.processing_log import Operation


@pytest.mark.parametrize("name", list_names())
def test_list_has_version_source_confidence_and_distinct_codes(name: str) -> None:
    codes = load_codes(name)
    assert codes.name == name
    assert codes.version
    assert codes.source
    assert {codes.confidence, *(entry.confidence for entry in codes.entries)} <= {
        "verified",
        "second-hand",
        "unverified",
    }
    assert len({entry.code for entry in codes.entries}) == len(codes.entries) > 0
    assert all(entry.label.strip() for entry in codes.entries)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_+./-]{0,79}", entry.code) for entry in codes.entries)


def test_countries_and_languages_are_complete() -> None:
    beside = {"XK", "EU", "UN"}
    assert beside < {entry.code for entry in load_codes("country").entries}
    assert len(load_codes("country").entries) == 249 + len(beside)
    assert len(load_codes("language").entries) == 183
    assert {"KR", "FR", "GH", "US"} <= {entry.code for entry in load_codes("country").entries}
    assert {"ar", "zh", "en", "fr", "ru", "es"} <= {entry.code for entry in load_codes("language").entries}


def test_labels_of_the_traffic_light_protocol_are_upper_case_and_five() -> None:
    assert [entry.code for entry in load_codes("tlp").entries] == ["RED", "AMBER+STRICT", "AMBER", "GREEN", "CLEAR"]


def test_what_is_from_memory_is_marked_unverified() -> None:
    assert load_codes("offence_un").confidence == "unverified"
    assert load_codes("offence_iccs")["09031"].confidence == "verified"
    assert load_codes("offence_iccs")["09033"].confidence == "unverified"


def test_unknown_list_and_unknown_code_are_typed_refusals() -> None:
    with pytest.raises(NotFoundError):
        load_codes("../errors")
    with pytest.raises(NotFoundError):
        load_codes("tlp")["BLUE"]


def test_label_of_a_code_from_a_newer_list_is_the_code() -> None:
    assert load_codes("urgency").label("tomorrow") == "tomorrow"
    assert load_codes("urgency").label("routine") == "Routine"


def field_names(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[str]:
    """The names of all fields of a model and its parts, as messages write them."""
    if model in seen:
        return set()
    seen.add(model)
    names: set[str] = set()
    for name, field in model.model_fields.items():
        names.add(field.alias or name)
        names |= parts_of(field.annotation, seen)
    return names


def parts_of(annotation: object, seen: set[type[BaseModel]]) -> set[str]:
    """The field names of the models in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return field_names(annotation, seen)
    return {name for inner in get_args(annotation) for name in parts_of(inner, seen)}


def test_every_message_type_and_every_field_has_a_label() -> None:
    seen: set[type[BaseModel]] = set()
    names = {name for model in MESSAGE_TYPES.values() for name in field_names(model, seen)}
    assert {entry.code for entry in load_codes("field").entries} == names
    assert {entry.code for entry in load_codes("message_type").entries} == set(MESSAGE_TYPES)


def test_every_state_has_a_label() -> None:
    states = {state.value for kind in (AssistanceState, ConversationState, RequestState, State) for state in kind}
    labelled = {entry.code for name in ("case_state", "derived_state") for entry in load_codes(name).entries}
    assert states <= labelled


def test_the_roles_operations_actions_of_the_program_are_those_of_the_lists() -> None:
    for name, kind in (("officer_role", Role), ("record_operation", Operation)):
        assert {entry.code for entry in load_codes(name).entries} == {member.value for member in kind}
    assert {member.value for member in Action} <= {entry.code for entry in load_codes("handling_action").entries}

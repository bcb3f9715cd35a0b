"""The published code lists."""

from __future__ import annotations

import re

import pytest

from protocol.codes import list_names, load_codes
from protocol.errors import NotFoundError


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
    assert len(load_codes("country").entries) == 249
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

"""Every rule of a processing record: an entry in canonical form that breaks one is refused, and its edge is read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from protocol.encoding import cbor
from protocol.errors import ComityError, MalformedError, UnsupportedVersionError
from protocol.processing_log import MAX_RECIPIENTS, MAX_ROLES, MAX_TEXT, Operation, ProcessingRecord, RecordedOfficer

RECORD = ProcessingRecord(
    operation=Operation.DISCLOSURE,
    at=datetime(2026, 11, 23, 3, 0, tzinfo=UTC),
    officer="sato",
    act="send",
    salt=bytes(16),
    purpose="investigation",
    reason="the case",
    message=UUID(int=1),
    digest=bytes(32),
    thread=UUID(int=2),
    recipients=("24-7@fr",),
    ground="expired",
    count=1,
    key=bytes(16),
    subject=RecordedOfficer("mori", bytes(16), ("approver", "officer")),
    file=bytes(32),
)
FIELDS = cbor.decode(RECORD.to_bytes())
ABSENT = object()
OFFICER = FIELDS[16]
MANY_ROLES = [f"r{number:02}" for number in range(MAX_ROLES + 1)]


def changed(changes: Mapping[int, Any]) -> bytes:
    return cbor.encode({key: value for key, value in (FIELDS | changes).items() if value is not ABSENT})


def officer(place: int, value: Any) -> dict[int, Any]:
    return {16: [*OFFICER[:place], value, *OFFICER[place + 1 :]]}


TEXTS = (4, 5, 7, 8, 13)
SIZES = {6: 16, 9: 16, 10: 32, 11: 16, 15: 16, 17: 32}
RULES: dict[str, tuple[dict[int, Any], type[ComityError]]] = {
    "version 2": ({1: 2}, UnsupportedVersionError),
    "version true": ({1: True}, UnsupportedVersionError),
    "another operation": ({2: "forgetting"}, MalformedError),
    "time below 0": ({3: -1}, MalformedError),
    "time true": ({3: True}, MalformedError),
    "no recipient": ({12: []}, MalformedError),
    "65 recipients": ({12: ["24-7@fr"] * (MAX_RECIPIENTS + 1)}, MalformedError),
    "a recipient that is a number": ({12: ["24-7@fr", 1]}, MalformedError),
    "a recipient without a name": ({12: ["24-7@fr", ""]}, MalformedError),
    "a count below 0": ({14: -1}, MalformedError),
    "a count of true": ({14: True}, MalformedError),
    "an officer of two": ({16: OFFICER[:2]}, MalformedError),
    "an officer of four": ({16: [*OFFICER, ""]}, MalformedError),
    "an officer without an id": (officer(0, ""), MalformedError),
    "an officer by number": (officer(0, 1), MalformedError),
    "an officer with a short key id": (officer(1, bytes(15)), MalformedError),
    "an officer whose key id is a text": (officer(1, "x" * 16), MalformedError),
    "roles as a text": (officer(2, "officer"), MalformedError),
    "17 roles": (officer(2, MANY_ROLES), MalformedError),
    "a role that is a number": (officer(2, [1]), MalformedError),
    "a role without a name": (officer(2, [""]), MalformedError),
    "roles out of order": (officer(2, ["officer", "approver"]), MalformedError),
    "a role twice": (officer(2, ["officer", "officer"]), MalformedError),
    "one field more": ({18: 1}, MalformedError),
    **{f"no field {key}": ({key: ABSENT}, MalformedError) for key in range(1, 7)},
    **{f"text {key} empty": ({key: ""}, MalformedError) for key in TEXTS},
    **{f"text {key} too long": ({key: "x" * (MAX_TEXT + 1)}, MalformedError) for key in TEXTS},
    **{f"text {key} as bytes": ({key: b"x"}, MalformedError) for key in (2, *TEXTS)},
    **{f"field {key} shorter": ({key: bytes(size - 1)}, MalformedError) for key, size in SIZES.items()},
    **{f"field {key} longer": ({key: bytes(size + 1)}, MalformedError) for key, size in SIZES.items()},
    **{f"field {key} as text": ({key: "x" * size}, MalformedError) for key, size in SIZES.items()},
    **{f"field {key} null": ({key: None}, MalformedError) for key in range(2, 18)},
}


@pytest.mark.parametrize(("changes", "error"), RULES.values(), ids=RULES)
def test_each_rule_of_a_processing_record_refuses_by_itself(changes: dict[int, Any], error: type[ComityError]) -> None:
    with pytest.raises(ComityError) as refusal:
        ProcessingRecord.from_bytes(changed(changes))
    assert refusal.type is error


@pytest.mark.parametrize(
    "changes",
    [
        {},
        dict.fromkeys(range(7, 18), ABSENT),
        *({key: "x"} for key in TEXTS),
        *({key: "x" * MAX_TEXT} for key in TEXTS),
        {12: ["24-7@fr"] * MAX_RECIPIENTS},
        {14: 0},
        officer(2, []),
        officer(2, MANY_ROLES[:MAX_ROLES]),
    ],
)
def test_a_processing_record_at_the_edge_of_its_rules_is_read(changes: dict[int, Any]) -> None:
    entry = changed(changes)
    assert ProcessingRecord.from_bytes(entry).to_bytes() == entry


@pytest.mark.parametrize("value", [[1], 1, "text", None])
def test_an_entry_that_is_no_map_is_refused_with_a_typed_error(value: Any) -> None:
    with pytest.raises(MalformedError):
        ProcessingRecord.from_bytes(cbor.encode(value))

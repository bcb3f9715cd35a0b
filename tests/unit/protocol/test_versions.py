"""Schema versions: old and new desks, and what is said between them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from protocol.codes import load_codes
from protocol.errors import InvalidMessageError, OlderReaderError
from protocol.messages.cautions import form_cautions
from protocol.messages.parse import ComposedMessage, check_outgoing, compose_message, parse_message
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.base import Attachment, Message, UnknownMessage
from protocol.messages.schema.fields import CodeOf
from protocol.messages.schema.since import Since
from protocol.messages.versions import FOUNDING_TYPES, Reads, compose_for, newer_fields, newest_for, versions_read
from tests.unit.protocol.test_messages_examples import EXAMPLES

VERSION_1 = json.loads((Path(__file__).parent / "version_1.json").read_text("utf-8"))
WINDOW = {"begins_at": "2026-10-01T00:00:00Z", "ends_at": "2026-10-02T00:00:00Z"}


def draft_of(name: str, **changes: Any) -> dict[str, Any]:
    return copy.deepcopy({**EXAMPLES[name], **changes})


def newest_request() -> dict[str, Any]:
    """A request that uses version 2 in a field of its own, a field of a part, and something left out."""
    draft = draft_of("preservation.request", also_sent_to=[{"recipient": "interpol"}])
    draft["targets"][1]["further_windows"] = [WINDOW]
    del draft["targets"][1]["custodian"]
    return draft


def fields_of(model: type[BaseModel], path: str = "", seen: tuple[type[BaseModel], ...] = ()) -> Iterator[str]:
    """Every field that version 1 has, by its path in the models."""
    if model in seen:
        return
    for name, field in model.model_fields.items():
        if any(isinstance(entry, Since) for entry in field.metadata):
            continue
        place = f"{path}{field.alias or name}"
        yield place
        for nested in models_in(field.annotation):
            kind = (
                "|" + get_args(nested.model_fields["kind"].annotation)[0]
                if "kind" in nested.model_fields
                and get_args(nested.model_fields["kind"].annotation)
                and "identifier" in place
                else ""
            )
            yield from fields_of(nested, f"{place}{kind}.", (*seen, model))


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def annotations_of(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[object]:
    """Everything that annotates a field of a model or of its parts."""
    if model in seen:
        return
    seen.add(model)
    for field in model.model_fields.values():
        yield from field.metadata
        yield from inside(field.annotation, seen)


def inside(annotation: object, seen: set[type[BaseModel]]) -> Iterator[object]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from annotations_of(annotation, seen)
    elif not isinstance(annotation, type):
        yield annotation
    for inner in get_args(annotation):
        yield from inside(inner, seen)


# The types whose files may follow them.
WITH_FILES = frozenset(
    {
        *("preservation.request", "preservation.answer", "preservation.follow-up", "traffic.partial-disclosure"),
        *("assistance.request", "emergency.request", "emergency.supplement", "information.spontaneous"),
        *("clarification.reply", "answer", "files", "forward"),
    }
)


def newest_in(model: type[Message], but_for: set[type[BaseModel]]) -> int:
    found = 1
    for entry in annotations_of(model, but_for):
        if isinstance(entry, Since):
            found = max(found, entry.version)
        elif isinstance(entry, CodeOf):
            found = max(found, *(code.since for code in load_codes(entry.name).entries))
    return found


# --- What the models and lists must keep -------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FOUNDING_TYPES))
def test_a_field_that_version_1_lacks_says_since_when_it_exists(name: str) -> None:
    assert sorted(set(fields_of(MESSAGE_TYPES[name]))) == VERSION_1["fields"][name]


def test_a_code_that_version_1_lacks_says_since_when_it_exists() -> None:
    used = {
        entry.name
        for model in MESSAGE_TYPES.values()
        for entry in annotations_of(model, set())
        if isinstance(entry, CodeOf)
    }
    for name in used & VERSION_1["codes"].keys():
        assert sorted(code.code for code in load_codes(name).entries if code.since == 1) == VERSION_1["codes"][name], (
            name
        )


@pytest.mark.parametrize("name", sorted(MESSAGE_TYPES))
def test_the_version_of_a_type_is_that_of_its_newest_field_or_code(name: str) -> None:
    # All types have attachments. Those that have files which follow say so by the version, and the others have none.
    wanted = 3 if name in WITH_FILES else newest_in(MESSAGE_TYPES[name], {Attachment})
    assert wanted == MESSAGE_TYPES[name].SCHEMA_VERSION
    assert (MESSAGE_TYPES[name].SCHEMA_VERSION < 3) is (name not in WITH_FILES)


def test_a_newer_field_is_never_written_into_an_older_version() -> None:
    # A list that is empty by default would be written, and the older desk would refuse it.
    for model in MESSAGE_TYPES.values():
        for part in {model, *parts_of(model, set())}:
            for field in part.model_fields.values():
                if any(isinstance(entry, Since) for entry in field.metadata):
                    assert field.default is None


def parts_of(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    for field in model.model_fields.values():
        for part in models_in(field.annotation):
            if part not in seen:
                seen.add(part)
                yield part
                yield from parts_of(part, seen)


# --- Reading -----------------------------------------------------------------------------------------------------


def test_a_message_of_version_1_with_a_field_of_version_2_is_refused() -> None:
    content = compose_message(newest_request(), sender="24-7@jp").content
    older = {**json.loads(content), "schema_version": 1}
    with pytest.raises(InvalidMessageError) as raised:
        parse_message(json.dumps(older).encode())
    assert {field for field, _, _ in raised.value.problems} == {
        "also_sent_to",
        "targets.1.further_windows",
        "targets.1.location",
    }
    # Without the version it is of the first one, as it was before there was another.
    del older["schema_version"]
    with pytest.raises(InvalidMessageError):
        parse_message(json.dumps(older).encode())


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_each_type_is_written_and_read_in_each_version_that_can_say_it(name: str) -> None:
    for version in versions_read()[name]:
        draft = draft_of(name, schema_version=version)
        if check_outgoing(draft):
            assert version < MESSAGE_TYPES[name].SCHEMA_VERSION
            continue
        content = compose_message(draft, sender="24-7@jp").content
        read = parse_message(content)
        assert (type(read), read.schema_version) == (MESSAGE_TYPES[name], version)


# --- Writing for the recipients' desks ---------------------------------------------------------------------------


def older_desk_reads(content: bytes, reads: Reads | None) -> bool:
    """A desk that knows what its card says, and forbids all else: the naive reader of these tests."""
    fields = json.loads(content)
    known = dict.fromkeys(FOUNDING_TYPES, (1,)) if reads is None else reads
    if fields["schema_version"] not in known.get(fields["type"], ()):
        return False
    message = parse_message(content)
    return not isinstance(message, UnknownMessage) and not list(newer_fields(message, fields["schema_version"]))


def attempt(
    draft: dict[str, Any], readers: Mapping[str, Reads | None]
) -> tuple[ComposedMessage | None, OlderReaderError | None]:
    try:
        return compose_for(draft, readers, sender="24-7@jp"), None
    except OlderReaderError as error:
        return None, error


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@pytest.mark.parametrize("other", [None, {"preservation.request": (1, 2)}, "all"])
def test_old_and_new_desks_understand_each_other_or_the_sender_is_told(name: str, other: Any) -> None:
    reads: Reads | None = versions_read() if other == "all" else other
    composed, refusal = attempt(draft_of(name), {"24-7@fr": reads})
    if composed is None:
        assert reads is None or name not in reads
        assert refusal is not None
        assert refusal.problems
        assert "24-7@fr" in refusal.detail
        return
    assert older_desk_reads(composed.content, reads)
    assert composed.message.schema_version == newest_for(name, MESSAGE_TYPES[name].SCHEMA_VERSION, reads)


_READS = st.none() | st.dictionaries(
    st.sampled_from(["preservation.request", "assistance.request", "contact.test"]),
    st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True).map(lambda found: tuple(sorted(found))),
)


@given(
    readers=st.dictionaries(st.sampled_from(["24-7@fr", "24-7@gh", "24-7@zz"]), _READS, min_size=1),
    draft=st.sampled_from([newest_request(), draft_of("preservation.request"), draft_of("contact.test")]),
    leave_out=st.lists(st.sampled_from(["further_windows", "also_sent_to", "targets.1.further_windows", "all"])),
)
def test_what_is_composed_for_cards_is_read_by_every_desk_that_reads_what_its_card_says(
    readers: Mapping[str, Reads | None], draft: dict[str, Any], leave_out: list[str]
) -> None:
    composed, refusal = attempt({**draft, "leave_out": leave_out}, readers)
    if composed is None:
        assert refusal is not None
        assert all(name in readers for name in refusal.detail.partition(": ")[2].split(", "))
        return
    assert all(older_desk_reads(composed.content, reads) for reads in readers.values())
    # The newest that all read: no higher one is common to all.
    for higher in range(composed.message.schema_version + 1, MESSAGE_TYPES[draft["type"]].SCHEMA_VERSION + 1):
        assert not all(newest_for(draft["type"], higher, reads) == higher for reads in readers.values())


def test_the_sender_is_told_each_field_and_each_desk_that_cannot_be_told() -> None:
    with pytest.raises(OlderReaderError) as raised:
        compose_for(newest_request(), {"24-7@fr": None, "24-7@gh": versions_read()}, sender="24-7@jp")
    assert [(field, rule) for field, rule, _ in raised.value.problems] == [
        ("targets.1.further_windows", "Art. 29.2 (c)"),
        ("also_sent_to", "T-CY(2018)10 items 9, 10"),
    ]
    assert raised.value.detail == "older desks that cannot be told all of this: 24-7@fr"
    assert raised.value.code == "older-reader"


def test_a_field_is_left_out_for_an_older_desk_only_when_the_draft_names_it() -> None:
    readers: dict[str, Reads | None] = {"24-7@fr": None}
    named = {**newest_request(), "leave_out": ["further_windows", "also_sent_to"]}
    # A version 1 desk refuses a target without custodian and location, and nothing can be left out against that.
    with pytest.raises(OlderReaderError) as raised:
        compose_for(named, readers, sender="24-7@jp")
    assert [field for field, _, _ in raised.value.problems] == ["targets.1.location"]
    named["targets"][1]["location"] = "Roubaix"
    message = compose_for(named, readers, sender="24-7@jp").message
    assert message.schema_version == 1
    assert not list(newer_fields(message, 1))
    # To a desk that reads all of it, nothing is left out.
    whole = compose_for(named, {"24-7@fr": versions_read()}, sender="24-7@jp").message
    assert {field.name for field in newer_fields(whole, 1)} == {"targets.1.further_windows", "also_sent_to"}


def test_what_the_fields_beside_say_too_is_left_out_by_itself() -> None:
    draft = draft_of("preservation.request")
    draft["targets"][0]["identifier"] = {"kind": "ip_range", "cidr": "198.51.100.0/24"}
    message = compose_for(draft, {"24-7@fr": None}, sender="24-7@jp").message
    identifier = message.targets[0].identifier  # type: ignore[attr-defined]
    assert (identifier.first, identifier.last, identifier.cidr) == ("198.51.100.0", "198.51.100.255", None)


def test_a_type_that_a_desk_does_not_read_is_not_sent_to_it() -> None:
    with pytest.raises(OlderReaderError) as raised:
        compose_for(draft_of("incident"), {"24-7@fr": {"preservation.request": (1,)}}, sender="24-7@jp")
    assert [field for field, _, _ in raised.value.problems] == ["type"]


def test_a_draft_may_ask_for_an_older_version_and_for_no_other() -> None:
    readers: dict[str, Reads | None] = {"24-7@fr": versions_read()}
    draft = draft_of("preservation.request", schema_version=1)
    assert compose_for(draft, readers, sender="24-7@jp").message.schema_version == 1
    for wrong in (0, 4, "1", None, True):
        with pytest.raises(InvalidMessageError) as raised:
            compose_for({**draft, "schema_version": wrong}, readers, sender="24-7@jp")
        assert raised.value.code == "invalid-message"


def test_a_code_that_came_later_is_not_written_for_an_older_desk() -> None:
    draft = draft_of("preservation.follow-up", channel="e_codex")
    assert check_outgoing(draft) == []
    assert [field for field, _, _ in check_outgoing({**draft, "schema_version": 1})] == ["channel"]
    with pytest.raises(OlderReaderError) as raised:
        compose_for(draft, {"24-7@fr": None}, sender="24-7@jp")
    assert [field for field, _, _ in raised.value.problems] == ["channel"]


def test_the_specification_names_the_types_that_a_card_without_versions_does_not_read() -> None:
    text = " ".join((Path(__file__).resolve().parents[3] / "docs/protocol.md").read_text("utf-8").split())
    listed = text.partition("but for ")[2].partition(". A type")[0]
    assert set(re.findall("`([a-z.-]+)`", listed)) == set(MESSAGE_TYPES) - FOUNDING_TYPES


def test_an_older_version_is_no_way_around_what_the_newest_asks() -> None:
    # A desk that writes version 1 on purpose still says who allowed the disclosure, and why an order goes this way.
    answer = draft_of("answer", schema_version=1)
    del answer["authorisation"]
    order = draft_of("assistance.request", schema_version=1, legal_basis={"instrument": "eu_e_evidence"})
    for draft, field in ((answer, "authorisation"), (order, "order")):
        for reads in (None, versions_read()):
            with pytest.raises(InvalidMessageError) as raised:
                compose_for(draft, {"24-7@fr": reads}, sender="24-7@gh")
            assert [name for name, _, _ in raised.value.problems] == [field]


def test_a_disclosure_that_names_no_authorisation_is_read_and_cautioned() -> None:
    for name in ("answer", "traffic.partial-disclosure"):
        older = draft_of(name, schema_version=1)
        del older["authorisation"]
        message = parse_message(compose_message(older, sender="24-7@fr").content)
        assert ("authorisation", "no_authorisation") in form_cautions(message)
        assert form_cautions(compose_message(draft_of(name)).message) == ()

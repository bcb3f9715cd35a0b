"""Events: one encoding, and no event whose parts do not belong together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.address import Address
from protocol.encoding import cbor
from protocol.encoding.ids import new_message_id
from protocol.encoding.instants import from_ms
from protocol.errors import ComityError, MalformedError, NonCanonicalError, TooLargeError, UnsupportedVersionError
from protocol.event import (
    DESK_EVENTS,
    MAX_INDEX,
    MAX_ORIGIN_BYTES,
    MAX_REASON_CHARS,
    MAX_REASONS,
    MAX_STATEMENT_BYTES,
    Event,
    EventName,
    LeafReference,
    decode_event,
    encode_event,
)
from protocol.files.file_list import MAX_FILES
from protocol.files.logged import LoggedFiles
from protocol.log.merkle import EMPTY_ROOT

AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
ID = new_message_id(AT, b"\x07" * 10)
REFERENCE = LeafReference("node.example/log/fr", 41, b"\x05" * 32)

PLAIN = Event(EventName.RelayAcceptance, AT, ID, b"\x01" * 32, b"\x02" * 16, peer="jp")
FAILED = Event(
    EventName.ContentHandoverFailure,
    AT,
    ID,
    b"\x01" * 32,
    b"\x02" * 16,
    recipient=Address.parse("24-7@fr"),
    reasons=("open-failed",),
    statement=b"signed",
)


_hashes = st.binary(min_size=32, max_size=32)
logged_files = st.builds(LoggedFiles, _hashes, st.none(), st.integers(1, MAX_FILES), _hashes) | st.builds(
    LoggedFiles, _hashes, _hashes, st.just(1), _hashes
)


@st.composite
def events(draw: st.DrawFn) -> Event:
    name = draw(st.sampled_from(EventName))
    desk = name in DESK_EVENTS
    peer = draw(st.none() | st.sampled_from(["jp", "europol"]))
    addresses = st.sampled_from([Address.parse("24-7@fr"), Address.parse("cyber-desk@jp")])
    reasons = draw(st.lists(st.text(min_size=1, max_size=64), min_size=1, max_size=8)) if name.negative else []
    references = st.builds(
        LeafReference,
        st.text(min_size=1, max_size=60),
        st.integers(0, MAX_INDEX),
        st.binary(min_size=32, max_size=32),
    )
    return Event(
        name=name,
        at=from_ms(draw(st.integers(0, 4_102_444_800_000))),
        message_id=new_message_id(AT, draw(st.binary(min_size=10, max_size=10))),
        digest=draw(st.binary(min_size=32, max_size=32)),
        salt=draw(st.binary(min_size=16, max_size=16)),
        recipient=draw(addresses if desk else st.none() | addresses),
        peer=peer,
        reasons=tuple(reasons),
        statement=draw(st.binary(min_size=1, max_size=2048)) if desk else None,
        reference=draw(st.none() | references) if peer else None,
        files=draw(logged_files) if name.of_files else None,
    )


@given(events())
def test_event_round_trip(event: Event) -> None:
    assert decode_event(encode_event(event)) == event


def test_only_files_that_were_let_go_may_have_been_none() -> None:
    none, some = (LoggedFiles(bytes(32), None, count, root) for count, root in ((0, EMPTY_ROOT), (1, bytes(32))))
    expired = Event(EventName.FileExpiry, AT, ID, bytes(32), bytes(16), reasons=("never-complete",), files=none)
    assert decode_event(encode_event(expired)) == expired
    for name in (EventName.FileAcceptance, EventName.FileDeletion, EventName.FileConsignment):
        assert Event(name, AT, ID, bytes(32), bytes(16), files=some)
        with pytest.raises(MalformedError):
            Event(name, AT, ID, bytes(32), bytes(16), files=none)


@pytest.mark.parametrize("name", EventName)
def test_an_event_says_of_files_what_it_is_about_and_no_other_does(name: EventName) -> None:
    files = LoggedFiles(bytes(32), None, 1, bytes(32))
    right = {True: files, False: None}
    more: dict[str, Any] = {"reasons": ("x",)} if name.negative else {}
    if name in DESK_EVENTS:
        more |= {"recipient": Address.parse("24-7@fr"), "statement": b"signed"}
    assert Event(name, AT, ID, bytes(32), bytes(16), files=right[name.of_files], **more)
    with pytest.raises(MalformedError):
        Event(name, AT, ID, bytes(32), bytes(16), files=right[not name.of_files], **more)


def test_fields_have_the_keys_of_the_specification() -> None:
    value = cbor.decode(encode_event(replace(PLAIN, reference=REFERENCE)))

    assert value == {
        1: 1,
        2: "RelayAcceptance",
        3: 1795402800000,
        4: ID.bytes,
        5: b"\x01" * 32,
        7: "jp",
        9: b"\x02" * 16,
        11: ["node.example/log/fr", 41, b"\x05" * 32],
    }


def test_event_names_and_uris_are_those_of_etsi() -> None:
    assert len([name for name in EventName if not name.of_files]) == 12
    assert all(name.name == name.value for name in EventName)
    assert EventName.ContentHandover.uri == "http://uri.etsi.org/19522/Event/ContentHandover"
    assert EventName.FileHandover.uri == "urn:comity:event:FileHandover"
    assert {name for name in EventName if name.negative} == {
        name for name in EventName if name.endswith(("Failure", "Rejection", "Expiry"))
    }


@given(events(), st.data())
def test_an_altered_byte_never_gives_the_same_event(event: Event, data: st.DataObject) -> None:
    encoded = bytearray(encode_event(event))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    try:
        altered = decode_event(bytes(encoded))
    except ComityError:
        return
    assert altered != event


@given(st.binary(max_size=200))
def test_any_bytes_give_an_event_or_a_typed_error(data: bytes) -> None:
    try:
        decode_event(data)
    except ComityError:
        return


@pytest.mark.parametrize(
    "changes",
    [
        {"reasons": ("late",)},
        {"name": EventName.RelayFailure},
        {"statement": b"signed", "recipient": Address.parse("24-7@fr")},
        {"name": EventName.ContentHandover, "recipient": Address.parse("24-7@fr")},
        {"name": EventName.ContentHandover, "statement": b"signed"},
        {"name": EventName.RelayFailure, "reasons": ("x",) * 9},
        {"name": EventName.RelayFailure, "reasons": ("",)},
        {"name": EventName.RelayFailure, "reasons": ("x" * 65,)},
        {"name": EventName.RelayFailure, "reasons": ("\ud800",)},
        {"peer": None, "reference": REFERENCE},
        {"peer": "JP"},
        {"digest": b"\x01" * 31},
        {"salt": b""},
        {"message_id": UUID(int=4)},
    ],
)
def test_parts_that_do_not_belong_together_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedError):
        replace(PLAIN, **changes)


@pytest.mark.parametrize(
    "changes",
    [{"statement": None}, {"statement": b""}, {"statement": b"x" * 2049}, {"recipient": None}, {"reasons": ()}],
)
def test_desk_failure_without_its_parts_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedError):
        replace(FAILED, **changes)


@pytest.mark.parametrize(
    ("origin", "index", "hash_"),
    [("", 0, b"0" * 32), ("\ud800", 0, b"0" * 32), ("x" * 256, 0, b"0" * 32), ("a", -1, b"0" * 32), ("a", 0, b"0")],
)
def test_impossible_reference_is_refused(origin: str, index: int, hash_: bytes) -> None:
    with pytest.raises(MalformedError):
        LeafReference(origin, index, hash_)


def wire(changes: dict[int, object]) -> bytes:
    value = cbor.decode(encode_event(PLAIN)) | changes
    return cbor2.dumps({key: item for key, item in value.items() if item is not ...}, canonical=True)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({1: 2}, UnsupportedVersionError),
        ({1: True}, UnsupportedVersionError),
        ({1: ...}, UnsupportedVersionError),
        ({2: "Invented"}, MalformedError),
        ({2: 7}, MalformedError),
        ({2: ...}, MalformedError),
        ({3: -1}, MalformedError),
        ({3: "now"}, MalformedError),
        ({4: b"short"}, MalformedError),
        ({5: "text"}, MalformedError),
        ({6: "nobody"}, MalformedError),
        ({6: 1}, MalformedError),
        ({7: b"jp"}, MalformedError),
        ({8: []}, MalformedError),
        ({8: [1]}, MalformedError),
        ({9: b""}, MalformedError),
        ({10: "signed"}, MalformedError),
        ({11: ["a", 1]}, MalformedError),
        ({11: [1, 1, b"0" * 32]}, MalformedError),
        ({11: ["a", True, b"0" * 32]}, MalformedError),
        ({12: 0}, MalformedError),
        ({5: b"\x01" * 9000}, TooLargeError),
    ],
)
def test_wrong_fields_are_refused_by_type(changes: dict[int, object], error: type[ComityError]) -> None:
    with pytest.raises(error):
        decode_event(wire(changes))


def test_another_encoding_of_the_same_event_is_refused() -> None:
    encoded = encode_event(PLAIN)
    longer = encoded.replace(b"\x01\x01", b"\x01\x18\x01", 1)  # version 1 in two bytes

    with pytest.raises(NonCanonicalError):
        decode_event(longer)
    with pytest.raises(MalformedError):
        decode_event(encoded + b"\x00")
    with pytest.raises(MalformedError):
        decode_event(b"\x80")


FULL = replace(
    FAILED,
    peer="jp",
    reasons=("x" * MAX_REASON_CHARS,) * MAX_REASONS,
    statement=bytes(MAX_STATEMENT_BYTES),
    reference=LeafReference("o" * MAX_ORIGIN_BYTES, MAX_INDEX, bytes(32)),
)


def test_an_event_with_every_field_at_its_limit_is_read_as_it_was_written() -> None:
    for event in (FULL, replace(FULL, reference=LeafReference("o", 0, bytes(32)))):
        assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize(
    "changes",
    [
        {2: 1},
        {2: ["ContentHandoverFailure"]},
        {5: "x" * 32},
        {9: "x" * 16},
        {7: b"jp"},
        {8: "late"},
        {8: {0: "late"}},
        {8: ["late"] * (MAX_REASONS + 1)},
        {8: ["x" * (MAX_REASON_CHARS + 1)]},
        {8: [b"late"]},
        {10: "signed"},
        {10: bytes(MAX_STATEMENT_BYTES + 1)},
        {11: {0: "o", 1: 0, 2: bytes(32)}},
        {11: ["o" * (MAX_ORIGIN_BYTES + 1), 0, bytes(32)]},
        {11: ["o", MAX_INDEX + 1, bytes(32)]},
        {11: ["o", 0, "x" * 32]},
        {11: ["o", 0, bytes(32), 0]},
    ],
)
def test_each_field_of_another_kind_or_size_is_refused(changes: dict[int, object]) -> None:
    value = cbor.decode(encode_event(FULL))
    with pytest.raises(MalformedError):
        decode_event(cbor.encode(value | changes))


@pytest.mark.parametrize("field", [6, 7, 8, 10, 11])
def test_a_field_that_an_event_does_not_have_is_left_out_and_never_null(field: int) -> None:
    assert decode_event(wire({7: ...})) == replace(PLAIN, peer=None)
    with pytest.raises(MalformedError):
        decode_event(wire({field: None}))


def test_an_event_is_made_of_a_statement_in_bytes_only() -> None:
    with pytest.raises(MalformedError):
        replace(FAILED, statement="signed")

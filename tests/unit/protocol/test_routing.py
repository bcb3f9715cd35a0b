"""The routing header: canonical, complete, and within its own rules."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.address import Address
from protocol.encoding import cbor
from protocol.encoding.ids import new_message_id, parse_message_id
from protocol.encoding.instants import from_ms, to_ms, to_text
from protocol.errors import ComityError, InvalidAddressError, MalformedError, UnsupportedVersionError
from protocol.routing import MAX_RECIPIENTS, Priority, Routing, decode_routing, encode_routing

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
ROUTING = Routing(
    new_message_id(NOW, bytes(10)),
    Address.parse("24-7@jp"),
    (Address.parse("24-7@fr"),),
    NOW,
    NOW + timedelta(days=1),
    Priority.ROUTINE,
    None,
    bytes(32),
)

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)
nodes = st.from_regex(r"[a-z][a-z0-9-]{0,30}[a-z0-9]", fullmatch=True)
addresses = st.builds(Address, names, nodes)
milliseconds = st.integers(0, 4_102_444_800_000)


@st.composite
def routings(draw: st.DrawFn) -> Routing:
    created = draw(milliseconds)
    lifetime = draw(st.integers(1, 366 * 86_400_000))
    recipients = draw(st.sets(addresses, min_size=1, max_size=5))
    ack_after = draw(st.none() | st.integers(1, lifetime))
    return Routing(
        new_message_id(from_ms(created), draw(st.binary(min_size=10, max_size=10))),
        draw(addresses),
        tuple(sorted(recipients)),
        from_ms(created),
        from_ms(created + lifetime),
        draw(st.sampled_from(Priority)),
        None if ack_after is None else from_ms(created + ack_after),
        draw(st.binary(min_size=32, max_size=32)),
    )


@pytest.mark.long
@given(routings())
def test_every_routing_header_survives_encoding_and_decoding(routing: Routing) -> None:
    assert decode_routing(encode_routing(routing)) == routing


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_with_a_typed_error(data: bytes) -> None:
    with pytest.raises(ComityError):
        decode_routing(data)


@pytest.mark.parametrize(
    "broken",
    [
        replace(ROUTING, recipients=()),
        replace(ROUTING, recipients=ROUTING.recipients * 2),
        replace(ROUTING, recipients=(Address.parse("b@fr"), Address.parse("a@fr"))),
        replace(ROUTING, recipients=tuple(sorted(Address("a", f"n{i}") for i in range(MAX_RECIPIENTS + 1)))),
        replace(ROUTING, expires=NOW),
        replace(ROUTING, expires=NOW + timedelta(days=367)),
        replace(ROUTING, ack_by=NOW),
        replace(ROUTING, ack_by=NOW + timedelta(days=2)),
        replace(ROUTING, commitment=bytes(31)),
        replace(ROUTING, id=UUID("12345678-1234-4234-8234-123456789abc")),
        replace(ROUTING, created=NOW.replace(tzinfo=None)),
    ],
)
def test_a_header_that_breaks_a_rule_cannot_be_made(broken: Routing) -> None:
    with pytest.raises((MalformedError, TypeError)):
        encode_routing(broken)


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        (1, 3, UnsupportedVersionError),
        (1, True, UnsupportedVersionError),
        (1, 2, MalformedError),  # which has files
        (2, bytes(16), MalformedError),
        (3, "24-7", InvalidAddressError),
        (4, "24-7@fr", MalformedError),
        (5, -1, MalformedError),
        (5, True, MalformedError),
        (7, 3, MalformedError),
        (7, True, MalformedError),
        (10, 0, MalformedError),
        (10, [bytes(32), 1, 1024], MalformedError),  # version 1 has none
    ],
)
def test_a_received_header_that_breaks_a_rule_is_refused(key: int, value: object, error: type[ComityError]) -> None:
    header = cbor.decode(encode_routing(ROUTING))
    header[key] = value
    with pytest.raises(error):
        decode_routing(cbor.encode(header))


@pytest.mark.parametrize(
    "text",
    ["", "24-7", "@jp", "24-7@", "24-7@k", "24-7@JP", "24-7@jp\n", "а@jp", "24-7@jp@fr", "-a@jp", "a-@jp", "a b@jp"],
)
def test_what_is_not_an_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidAddressError):
        Address.parse(text)


@given(addresses)
def test_every_address_survives_its_text(address: Address) -> None:
    assert Address.parse(str(address)) == address


@given(milliseconds, st.binary(min_size=10, max_size=10))
def test_message_ids_are_version_7_and_sort_by_time(ms: int, random: bytes) -> None:
    message_id = new_message_id(from_ms(ms), random)
    assert parse_message_id(message_id.bytes) == message_id
    assert message_id < new_message_id(from_ms(ms + 1), bytes(10))


@given(milliseconds)
def test_instants_survive_the_wire(ms: int) -> None:
    assert to_ms(from_ms(ms)) == ms


def test_an_instant_without_offset_is_refused_and_text_shows_its_zone() -> None:
    with pytest.raises(MalformedError):
        to_ms(datetime(2026, 1, 1))  # noqa: DTZ001 - a naive time is what is tested
    assert to_text(NOW) == "2026-11-23T03:00:00.000Z"

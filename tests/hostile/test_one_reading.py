"""Values that two readers could take for two things are refused where they come in, and none is a crash."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from keys.directory.cards import CardStatus, NodeCard
from keys.directory.metadata.standing import Sanction, Standing, sanctioned
from keys.members.federation import node_card
from keys.members.identity import generate_node_keys
from protocol.address import Address
from protocol.encoding import cbor
from protocol.encoding.ids import new_message_id
from protocol.encoding.instants import from_ms
from protocol.errors import InvalidMessageError, MalformedError, UnsupportedVersionError
from protocol.messages.parse import compose_message, parse_message
from protocol.misbehaviour.verify import is_late
from protocol.routing import Priority, Routing, decode_routing, encode_routing
from tests.worlds.desks import NOW, request

ID = new_message_id(NOW, bytes(range(10)))
ROUTING = Routing(
    ID, Address("24-7", "jp"), (Address("24-7", "fr"),), NOW, NOW + timedelta(days=1), Priority(0), None, bytes(32)
)


def test_true_is_no_version_of_a_routing_header() -> None:
    value = cbor.decode(encode_routing(ROUTING))

    with pytest.raises(UnsupportedVersionError):
        decode_routing(cbor.encode({**value, 1: True}))


@pytest.mark.parametrize("last_ms", [253_402_300_799_998, 253_402_300_000_000])
def test_a_time_at_the_end_of_time_is_refused_or_read_and_is_no_crash(last_ms: int) -> None:
    value = cbor.decode(encode_routing(ROUTING))

    assert decode_routing(cbor.encode({**value, 5: last_ms, 6: last_ms + 1})).created == from_ms(last_ms)
    with pytest.raises(MalformedError):
        decode_routing(cbor.encode({**value, 6: last_ms}))
    assert not is_late(NOW, from_ms(last_ms))


@pytest.mark.parametrize(
    "other",
    [str.upper, lambda text: f"urn:uuid:{text}", lambda text: f"{{{text}}}", lambda text: text.replace("-", "")],
)
@pytest.mark.parametrize("field", ["id", "thread"])
def test_a_desk_takes_a_message_id_in_its_one_form_only(field: str, other: Callable[[str], str]) -> None:
    composed = compose_message(request(), message_id=ID, sender="24-7@jp", sent_at=NOW)
    inside = json.loads(composed.content)

    assert parse_message(composed.content).id == ID
    with pytest.raises(InvalidMessageError):
        parse_message(json.dumps({**inside, field: other(inside[field])}).encode())


@pytest.mark.parametrize("status", [CardStatus.REVOKED, CardStatus.SUSPENDED])
def test_a_nation_cannot_put_its_own_end_after_the_one_that_the_root_holders_signed(status: CardStatus) -> None:
    keys = generate_node_keys("jp", ["127.0.0.1"], NOW)
    card = node_card("jp", keys, "test/jp", NOW, name="jp", urls=["https://x.example"])
    later = card.model_copy(update={"status": status, "status_since": NOW + timedelta(days=400)})
    for standing in Standing:
        (judged,) = sanctioned([("jp", later)], {"jp": Sanction(standing, NOW)})
        assert isinstance(judged, NodeCard)
        assert (judged.status is CardStatus.ACTIVE, judged.status_since) == (False, NOW)

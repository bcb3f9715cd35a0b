from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import wire
from node.wire import Answer
from protocol import cbor
from protocol.errors import (
    ExpiredError,
    IdConflictError,
    MalformedError,
    PeerFailedError,
    TooLargeError,
)
from protocol.receipt import Receipt

receipts = st.builds(
    Receipt,
    leaf=st.binary(min_size=1, max_size=50),
    index=st.integers(0, 2**63),
    path=st.lists(st.binary(min_size=32, max_size=32), max_size=3).map(tuple),
    checkpoint=st.binary(min_size=1, max_size=20),
)
an_answer = st.one_of(
    st.builds(Answer, receipts=st.lists(receipts, max_size=3).map(tuple)),
    st.sampled_from([Answer(refusal=ExpiredError()), Answer(refusal=IdConflictError("of kr"))]),
)


@given(st.lists(an_answer, min_size=1, max_size=5))
def test_answers_come_back_as_they_were(given_answers: list[Answer]) -> None:
    got = wire.decode_answers(wire.encode_answers(given_answers), len(given_answers), "fr")
    assert [answer.receipts for answer in got] == [answer.receipts for answer in given_answers]
    for one, other in zip(got, given_answers, strict=True):
        assert type(one.refusal) is type(other.refusal)


@given(
    st.one_of(
        st.binary(max_size=60), st.recursive(st.integers(0, 5) | st.binary(max_size=4), st.lists).map(cbor.encode)
    )
)
def test_whatever_a_partner_answers_is_an_answer_or_a_failed_partner(body: bytes) -> None:
    with suppress(PeerFailedError):
        wire.decode_answers(body, 1, "fr")
    with suppress(PeerFailedError):
        wire.decode_verdicts(body, 1, "fr")
    with suppress(PeerFailedError):
        wire.decode_hashes(body, "fr")


def test_an_answer_for_another_number_of_items_is_none() -> None:
    body = wire.encode_answers([Answer(), Answer()])
    with pytest.raises(PeerFailedError):
        wire.decode_answers(body, 1, "fr")


@pytest.mark.parametrize("value", [[], [b"x"] * 65])
def test_a_batch_has_its_limits(value: list[bytes]) -> None:
    with pytest.raises(TooLargeError):
        wire.decode_items(cbor.encode(value), 64, 1000)


@pytest.mark.parametrize("value", [{}, [1], ["x"], [[b"x"]], b"x"])
def test_a_batch_is_byte_strings(value: object) -> None:
    with pytest.raises(MalformedError):
        wire.decode_items(cbor.encode(value), 64, 1000)

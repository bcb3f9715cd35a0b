from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.encoding import cbor
from protocol.errors import (
    ComityError,
    ExpiredError,
    ForbiddenError,
    IdConflictError,
    MalformedError,
    PeerFailedError,
    TooLargeError,
    UnavailableError,
)
from protocol.http import wire
from protocol.http.wire import EnvelopeAnswer
from protocol.receipt import Receipt

receipts = st.builds(
    Receipt,
    leaf=st.binary(min_size=1, max_size=50),
    index=st.integers(0, 2**63 - 1),
    path=st.lists(st.binary(min_size=32, max_size=32), max_size=3).map(tuple),
    checkpoint=st.binary(min_size=1, max_size=20),
)
an_answer = st.one_of(
    st.builds(EnvelopeAnswer, receipts=st.lists(receipts, max_size=3).map(tuple)),
    st.sampled_from([EnvelopeAnswer(refusal=ExpiredError()), EnvelopeAnswer(refusal=IdConflictError("of jp"))]),
)


@given(st.lists(an_answer, min_size=1, max_size=5))
def test_answers_come_back_as_they_were(given_answers: list[EnvelopeAnswer]) -> None:
    got = wire.decode_answers(wire.encode_answers(given_answers), len(given_answers), "fr")
    assert [answer.receipts for answer in got] == [answer.receipts for answer in given_answers]
    for one, other in zip(got, given_answers, strict=True):
        assert type(one.refusal) is type(other.refusal)


@pytest.mark.long
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
    with suppress(PeerFailedError):
        wire.decode_head(body, "fr")


@pytest.mark.parametrize("value", [[], [b"a", b"b", b"c"], [1], ["a"], {1: b"a"}, b"a", None])
def test_a_head_is_one_or_two_notes(value: object) -> None:
    with pytest.raises(PeerFailedError):
        wire.decode_head(cbor.encode(value), "fr")
    assert wire.decode_head(wire.encode_head([b"first", b"latest"]), "fr") == (b"first", b"latest")


def test_an_answer_for_another_number_of_items_is_none() -> None:
    body = wire.encode_answers([EnvelopeAnswer(), EnvelopeAnswer()])
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


RECEIPTS = st.lists(receipts, max_size=3).map(tuple)
NUMBERS = st.integers(1, 1 << 40)
REFUSALS = st.sampled_from([ForbiddenError("no"), UnavailableError("later")])


@given(
    st.lists(st.tuples(NUMBERS, st.binary(max_size=60)), max_size=4).map(tuple),
    st.lists(st.tuples(NUMBERS, RECEIPTS), max_size=4).map(tuple),
)
def test_what_waits_is_read_as_it_was_written(
    envelopes: tuple[tuple[int, bytes], ...], groups: tuple[tuple[int, tuple[Receipt, ...]], ...]
) -> None:
    waiting = wire.Waiting(envelopes, groups)
    assert wire.decode_waiting(wire.encode_waiting(waiting), "de") == waiting


@given(
    st.lists(st.tuples(NUMBERS, RECEIPTS | REFUSALS), max_size=4),
    st.lists(st.tuples(NUMBERS, st.lists(st.none() | REFUSALS, max_size=3)), max_size=4),
)
def test_what_was_taken_is_read_as_it_was_written(
    answers: list[tuple[int, Any]], verdicts: list[tuple[int, list[ComityError | None]]]
) -> None:
    said = tuple(
        (n, wire.EnvelopeAnswer(refusal=item) if isinstance(item, ComityError) else wire.EnvelopeAnswer(item))
        for n, item in answers
    )
    taken = wire.decode_taken(wire.encode_taken(wire.Taken(said, tuple((n, tuple(v)) for n, v in verdicts))), "la")
    assert [(n, answer.receipts, code(answer.refusal)) for n, answer in taken.answers] == [
        (n, answer.receipts, code(answer.refusal)) for n, answer in said
    ]
    read = [(n, list(map(code, own))) for n, own in taken.verdicts]
    assert read == [(n, list(map(code, own))) for n, own in verdicts]


def code(error: ComityError | None) -> str | None:
    return None if error is None else error.code


@pytest.mark.parametrize(
    "value",
    [
        [],
        {1: [], 2: []},
        {1: [[1]], 2: [], 3: [[], []]},
        {1: [], 2: [[1, [0]]], 3: [[], []]},
        {1: [["1", b""]], 2: [], 3: [[], []]},
    ],
)
def test_what_is_no_answer_to_a_pull_is_the_relays_failure(value: object) -> None:
    with pytest.raises(PeerFailedError):
        wire.decode_waiting(cbor.encode(value), "de")
    with pytest.raises(MalformedError):
        wire.decode_taken(cbor.encode({1: [[1, {3: 1}]], 2: [], 3: [[], []]}), "la")


def test_more_than_a_pull_may_carry_is_refused() -> None:
    many = cbor.encode({1: [[n, {1: []}] for n in range(wire.MAX_ENVELOPES + 1)], 2: [], 3: [[], []]})
    with pytest.raises(TooLargeError):
        wire.decode_taken(many, "la")

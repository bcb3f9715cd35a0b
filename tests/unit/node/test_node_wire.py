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


# --- Every bound, and every kind of value, of each body ---------------------------------------------------------------

RECEIPT = Receipt(b"leaf", 7, (bytes(32),), b"checkpoint")
NO_RECEIPTS: list[Any] = [[], []]
ONE_RECEIPT = cbor.decode(wire.encode_mailbox([(1, None, [RECEIPT])], 1))[2]
HIGHEST = wire.MAX_SIZE
TREE = bytes(32)


def test_a_batch_of_the_least_and_the_most_items_and_bytes_is_taken() -> None:
    for items in ([b"x"], [b"x"] * 64):
        body = wire.encode_items(items)
        assert wire.decode_items(body, 64, len(body)) == items
        with pytest.raises(TooLargeError):
            wire.decode_items(body, 64, len(body) - 1)


@pytest.mark.parametrize(
    "value",
    [
        [1],
        b"x",
        {1: [{1: []}]},
        {1: [{1: []}], 2: NO_RECEIPTS, 3: 1},
        {1: {1: []}, 2: NO_RECEIPTS},
        {1: 5, 2: NO_RECEIPTS},
        {1: [], 2: NO_RECEIPTS},
        {1: [{1: []}, {1: []}], 2: NO_RECEIPTS},
        {1: [[1, []]], 2: NO_RECEIPTS},
        {1: [1], 2: NO_RECEIPTS},
        {1: [{}], 2: NO_RECEIPTS},
        {1: [{1: [], 2: "x"}], 2: NO_RECEIPTS},
        {1: [{3: []}], 2: NO_RECEIPTS},
        {1: [{2: 1}], 2: NO_RECEIPTS},
        {1: [{2: None}], 2: NO_RECEIPTS},
        {1: [{1: [1]}], 2: ONE_RECEIPT},
        {1: [{1: [-1]}], 2: ONE_RECEIPT},
        {1: [{1: [True]}], 2: ONE_RECEIPT},
        {1: [{1: [0] * (wire.MAX_ANSWER_RECEIPTS + 1)}], 2: ONE_RECEIPT},
        {1: [{1: []}], 2: []},
    ],
)
def test_an_answer_of_any_other_shape_is_a_failed_partner(value: object) -> None:
    with pytest.raises(PeerFailedError):
        wire.decode_answers(cbor.encode(value), 1, "fr")


def test_an_answer_names_as_many_receipts_as_an_envelope_can_have() -> None:
    # Beside a refusal, so that the general reader counts too.
    refused = {2: cbor.decode(wire.encode_answers([EnvelopeAnswer(refusal=ExpiredError())]))[1][0][2]}
    most = {1: [0] * wire.MAX_ANSWER_RECEIPTS}
    read = wire.decode_answers(cbor.encode({1: [most, refused], 2: ONE_RECEIPT}), 2, "fr")
    assert [len(answer.receipts) for answer in read] == [wire.MAX_ANSWER_RECEIPTS, 0]


def test_what_is_longer_than_an_answer_may_be_is_a_failed_partner(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = wire.encode_answers([EnvelopeAnswer((RECEIPT,))])
    page = wire.encode_mailbox([(1, None, [RECEIPT])], 1)
    monkeypatch.setattr(wire, "MAX_ANSWER_BYTES", max(len(answers), len(page)))
    assert wire.decode_answers(answers, 1, "fr") == [EnvelopeAnswer((RECEIPT,))]
    monkeypatch.setattr(wire, "MAX_ANSWER_BYTES", min(len(answers), len(page)) - 1)
    with pytest.raises(PeerFailedError):
        wire.decode_answers(answers, 1, "fr")
    with pytest.raises(PeerFailedError):
        wire.decode_mailbox(page, 0, "fr")


@pytest.mark.parametrize("value", [{}, b"x", [], [None, None], [1], [b"x"], [[None]], [False]])
def test_verdicts_are_as_many_as_were_asked_for_each_null_or_a_problem(value: object) -> None:
    with pytest.raises(PeerFailedError):
        wire.decode_verdicts(cbor.encode(value), 1, "fr")
    body = wire.encode_verdicts([None, ForbiddenError("no")])
    assert [code(verdict) for verdict in wire.decode_verdicts(body, 2, "fr")] == [None, "forbidden"]


def page(rows: object, head: object = 9, receipts: object = NO_RECEIPTS) -> bytes:
    return cbor.encode({1: rows, 2: receipts, 3: head})


@pytest.mark.parametrize(
    "body",
    [
        cbor.encode([1, 2, 3]),
        cbor.encode(5),
        cbor.encode({1: [], 2: NO_RECEIPTS}),
        cbor.encode({1: [], 2: NO_RECEIPTS, 3: 1, 4: 1}),
        page({}),
        page([], head=b"9"),
        page([], head=-1),
        page([], head=True),
        page([], head=HIGHEST + 1),
        page([], receipts=[]),
        page([1]),
        page([{1: 6}]),
        page([[6, b"x"]]),
        page([[6, b"x", [], []]]),
        page([[6, "x", []]]),
        page([[6, 1, []]]),
        page([["6", b"x", []]]),
        page([[-6, b"x", []]]),
        page([[HIGHEST + 1, b"x", []]]),
        page([[5, b"x", []]]),
        page([[6, b"x", []], [6, b"y", []]]),
        page([[7, b"x", []], [6, b"y", []]]),
        page([[6, b"x", [0]]]),
        page([[6, b"x", b""]]),
    ],
)
def test_a_page_of_any_other_shape_or_order_is_a_failed_node(body: bytes) -> None:
    with pytest.raises(PeerFailedError):
        wire.decode_mailbox(body, 5, "fr")


@pytest.mark.parametrize("envelope", [b"x", None])
def test_a_page_has_numbers_up_to_the_highest(envelope: bytes | None) -> None:
    read = wire.decode_mailbox(page([[6, envelope, []], [HIGHEST, None, []]], head=HIGHEST), 5, "fr")
    assert [(entry.sequence, entry.envelope) for entry in read.entries] == [(6, envelope), (HIGHEST, None)]
    assert read.head == HIGHEST
    assert wire.decode_mailbox(page([], head=0), 0, "fr") == wire.MailboxPage((), 0)


def test_something_waits_when_an_envelope_or_a_receipt_does() -> None:
    assert not wire.Waiting()
    assert wire.Waiting(envelopes=((1, b"x"),))
    assert wire.Waiting(receipts=((1, (RECEIPT,)),))


def three(first: object, second: object, receipts: object = NO_RECEIPTS) -> bytes:
    return cbor.encode({1: first, 2: second, 3: receipts})


@pytest.mark.parametrize(
    "body",
    [
        cbor.encode([1, 2, 3]),
        cbor.encode(5),
        cbor.encode({1: [], 2: []}),
        cbor.encode({1: [], 2: [], 3: NO_RECEIPTS, 4: 1}),
        three({}, []),
        three([], {}),
        three([], [], receipts=[]),
        three([1], []),
        three([{1: b"x"}], []),
        three([[1]], []),
        three([[1, b"x", 1]], []),
        three([[True, b"x"]], []),
        three([[-1, b"x"]], []),
        three([[HIGHEST + 1, b"x"]], []),
        three([[1, "x"]], []),
        three([], [[1, b""]]),
        three([], [[1, [0]]]),
        three([[n, b"x"] for n in range(wire.MAX_ENVELOPES + 1)], []),
        three([], [[n, []] for n in range(wire.MAX_RECEIPTS + 1)]),
    ],
)
def test_what_waits_in_any_other_shape_is_the_relays_failure(body: bytes) -> None:
    with pytest.raises(PeerFailedError):
        wire.decode_waiting(body, "fr")


def test_as_much_waits_as_may_travel_together() -> None:
    read = wire.decode_waiting(
        three(
            [[n, b"x"] for n in (*range(wire.MAX_ENVELOPES - 1), HIGHEST)],
            [[n, []] for n in (*range(wire.MAX_RECEIPTS - 1), HIGHEST)],
        ),
        "fr",
    )
    assert (len(read.envelopes), len(read.receipts)) == (wire.MAX_ENVELOPES, wire.MAX_RECEIPTS)
    assert (read.envelopes[0][0], read.envelopes[-1][0], read.receipts[-1][0]) == (0, HIGHEST, HIGHEST)


@pytest.mark.parametrize(
    "body",
    [
        three([[1, []]], []),
        three([[1, {}]], []),
        three([[1, {1: [], 2: "x"}]], []),
        three([[1, {2: 1}]], []),
        three([[1, {1: [0]}]], []),
        three([], [[1, [1]]]),
        three([], [[1, [b"x"]]]),
    ],
)
def test_what_was_taken_in_any_other_shape_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        wire.decode_taken(body, "fr")


def test_a_body_judges_so_many_receipts_and_names_so_many_in_one_answer() -> None:
    half = [None] * (wire.MAX_VERDICTS // 2)
    assert sum(len(own) for _, own in wire.decode_taken(three([], [[1, half], [2, half]]), "fr").verdicts) == 4_096
    with pytest.raises(TooLargeError):
        wire.decode_taken(three([], [[1, half], [2, [*half, None]]]), "fr")
    most = [0] * wire.MAX_ANSWER_RECEIPTS
    assert wire.decode_taken(three([[1, {1: most}]], [], ONE_RECEIPT), "fr").answers[0][1].receipts[0] == RECEIPT
    with pytest.raises(TooLargeError):
        wire.decode_taken(three([[1, {1: [*most, 0]}]], [], ONE_RECEIPT), "fr")


SEEN, PROOF = ["log", 3, TREE], ["log", TREE]


@pytest.mark.parametrize(
    "value",
    [
        [1, 2],
        {1: []},
        {1: [], 2: [], 3: []},
        {1: {}, 2: []},
        {1: [], 2: {}},
        {1: [1], 2: []},
        {1: [{1: 1}], 2: []},
        {1: [["log", 3]], 2: []},
        {1: [["log", 3, TREE, 1]], 2: []},
        {1: [[b"log", 3, TREE]], 2: []},
        {1: [["log", True, TREE]], 2: []},
        {1: [["log", 3, "tree"]], 2: []},
        {1: [["log", 3, TREE[1:]]], 2: []},
        {1: [["log", -1, TREE]], 2: []},
        {1: [["log", HIGHEST + 1, TREE]], 2: []},
        {1: [], 2: [SEEN]},
        {1: [], 2: [["log", TREE[1:]]]},
    ],
)
def test_what_a_partner_saw_in_any_other_shape_is_a_failed_partner(value: object) -> None:
    with pytest.raises(PeerFailedError):
        wire.decode_heads(cbor.encode(value), "fr")


def test_what_a_partner_saw_is_of_trees_from_none_to_the_highest() -> None:
    seen = (("log", 0, TREE), ("other", HIGHEST, TREE))
    heads = wire.Heads(seen, (("log", TREE),))
    assert wire.decode_heads(wire.encode_heads(heads), "fr") == heads


def test_a_head_may_be_one_note() -> None:
    assert wire.decode_head(wire.encode_head([b"only"]), "fr") == (b"only",)


@pytest.mark.parametrize("value", [{}, b"x", [1], [b"short"], [TREE, TREE + b"x"], [TREE, "x"]])
def test_a_proof_is_whole_hashes(value: object) -> None:
    with pytest.raises(PeerFailedError):
        wire.decode_hashes(cbor.encode(value), "fr")
    assert wire.decode_hashes(cbor.encode([TREE, TREE]), "fr") == [TREE, TREE]

"""Readers of a fixed shape: they find nothing that the general reader refuses, and give what it gives."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import event, receipt, routing, statement
from protocol.address import Address
from protocol.crypto import cose
from protocol.crypto.hpke import HybridOpener, SealingKey
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding import cbor, exact
from protocol.encoding.ids import new_message_id
from protocol.encoding.instants import MAX_MS, from_ms
from protocol.envelope import MAX_ENVELOPE_BYTES, SEALED_TYPE, parse_envelope, seal
from protocol.errors import ComityError
from protocol.event import MAX_EVENT_BYTES, Event, EventName, LeafReference, decode_event, encode_event
from protocol.files.file_list import FileSet
from protocol.files.logged import LoggedFiles
from protocol.files.sealed_file import Segment
from protocol.http import files, wire
from protocol.log.merkle import MAX_PATH_HASHES, MAX_SIZE
from protocol.log.note import MAX_NOTE_BYTES
from protocol.receipt import MAX_CHECKPOINTS, MAX_RECEIPTS, Receipt, decode_receipts, encode_receipts
from protocol.routing import Priority, Routing, decode_routing, encode_routing
from protocol.statement import DeskStatement, parse_statement, sign_statement

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
TOKYO, PARIS, ROME = (Address.parse(text) for text in ("24-7@jp", "24-7@fr", "24-7@it"))
ID = new_message_id(NOW, bytes(range(10)))
SIGNER, OPENER, SECOND = Ed25519Signer(bytes(32)), HybridOpener(bytes([1]) * 32), HybridOpener(bytes([2]) * 32)
ROUTING = Routing(ID, TOKYO, (PARIS,), NOW, NOW + timedelta(days=7), Priority.URGENT, None, bytes(32))
ENVELOPE = seal(b"content", ROUTING, SIGNER, {PARIS: SealingKey(OPENER.public_key)}, os.urandom)
TO_TWO = seal(
    os.urandom(70_000),
    replace(ROUTING, recipients=(PARIS, ROME)),
    SIGNER,
    {PARIS: SealingKey(OPENER.public_key), ROME: SealingKey(SECOND.public_key)},
    os.urandom,
)
STATED = DeskStatement(EventName.ContentHandover, ID, bytes(range(32)), PARIS, NOW)
STATEMENT = sign_statement(STATED, SIGNER)
RELAYED = Event(EventName.RelayAcceptance, NOW, ID, bytes(32), bytes(16), peer="fr")
EVENTS = [
    RELAYED,
    replace(RELAYED, reference=LeafReference("fr.example/log", 5, bytes(32))),
    replace(RELAYED, reference=LeafReference("fr.example/log", 70_000, bytes(32))),
    Event(EventName.SubmissionAcceptance, NOW, ID, bytes(32), bytes(16)),
    Event(EventName.ContentConsignment, NOW, ID, bytes(32), bytes(16), recipient=PARIS),
    Event(EventName.ContentHandover, NOW, ID, bytes(32), bytes(16), recipient=PARIS, statement=STATEMENT),
    Event(EventName.FileConsignment, NOW, ID, bytes(32), bytes(16), files=LoggedFiles(bytes(32), None, 7, bytes(32))),
    Event(EventName.RelayRejection, NOW, ID, bytes(32), bytes(16), peer="fr", reasons=("expired", "no-such-desk")),
]

RARE = (b"no-such-desk", b"FileConsignment")  # such events are read by the general reader

Reader = Callable[[bytes], object]


def encrypted(data: bytes) -> object:
    return cose.parse_encrypted(data, max_bytes=MAX_ENVELOPE_BYTES)


def signed(data: bytes) -> object:
    return cose.parse_sign1(data, SEALED_TYPE, max_bytes=MAX_ENVELOPE_BYTES)


def items(data: bytes) -> object:
    return wire.decode_items(data, 64, wire.MAX_BATCH_BYTES)


READERS: list[tuple[Reader, list[bytes]]] = [
    (signed, [ENVELOPE, TO_TWO]),
    (encrypted, [parse_envelope(ENVELOPE).signed.payload, parse_envelope(TO_TWO).signed.payload]),
    (
        decode_routing,
        [
            encode_routing(ROUTING),
            encode_routing(replace(ROUTING, ack_by=NOW + timedelta(hours=1), recipients=(PARIS, ROME))),
            encode_routing(replace(ROUTING, file_set=FileSet(bytes(32), 1, 584))),
            encode_routing(
                replace(ROUTING, ack_by=NOW + timedelta(hours=1), file_set=FileSet(bytes(32), 999, 1 << 40))
            ),
        ],
    ),
    (decode_event, [encode_event(one) for one in EVENTS]),
    (parse_statement.__wrapped__, [STATEMENT]),
    (items, [wire.encode_items([b"", b"a" * 24, b"b" * 300, b"c" * 70_000]), wire.encode_items([b"d"] * 30)]),
]
RECEIPTS = [
    Receipt(
        encode_event(one), index, tuple(bytes([hash_]) * 32 for hash_ in range(index % 5)), b"note %d" % (index // 3)
    )
    for index, one in enumerate(EVENTS * 4)
]
ANSWERS = [wire.EnvelopeAnswer(tuple(RECEIPTS[at : at + 3])) for at in range(0, len(RECEIPTS), 3)]
PAGE = [(5, None, RECEIPTS[:4]), (70_000, ENVELOPE, RECEIPTS[4:]), (70_001, b"", [])]


def page(data: bytes) -> object:
    return wire.decode_mailbox(data, 4, "fr")


def answers(data: bytes) -> object:
    return wire.decode_answers(data, len(ANSWERS), "fr")


READERS += [
    (decode_receipts, [encode_receipts(RECEIPTS[:2]), encode_receipts(RECEIPTS)]),
    (page, [wire.encode_mailbox(PAGE, 80_000), wire.encode_mailbox([], 3)]),
    (answers, [wire.encode_answers(ANSWERS)]),
]
SENT = [
    files.SegmentSent(number, Segment(index, (bytes(32),) * index, bytes([index]) * size))
    for number, index, size in ((0, 0, 1), (1, 3, 30), (999, 2, 70_000))
]
HELD = files.FilesHeld(bytes(100), (((0, 3), (70_000, 1)), (), ((5, 1),)), tuple(SENT))


def held(data: bytes) -> object:
    return files.decode_held(data, "fr")


READERS += [
    (files.decode_segments, [files.encode_segments(SENT), files.encode_segments(SENT[:1])]),
    (held, [files.encode_held(HELD), files.encode_held(replace(HELD, segments=()))]),
]
EXAMPLES = [(reader, one) for reader, examples in READERS for one in examples]


@contextmanager
def general_readers() -> Iterator[None]:
    """As if no reader of a fixed shape ever found what it looks for."""

    def find_nothing(*_: object) -> object:
        raise exact.InexactError

    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            (cose, "_exact_sign1"),
            (cose, "_exact_encrypted"),
            (routing, "_exact_routing"),
            (event, "_exact_event"),
            (statement, "_exact_statement"),
            (wire, "_exact_items"),
            (wire, "_exact_mailbox"),
            (wire, "_exact_answers"),
            (receipt, "_exact_whole"),
            (files, "_exact_segments"),
            (files, "_exact_held"),
        ):
            patch.setattr(module, name, find_nothing)
        yield


def outcome(reader: Reader, data: bytes) -> object:
    """The value, or the kind of the error and what it says."""
    try:
        return reader(data)
    except ComityError as problem:
        return type(problem), problem.detail


def assert_read_alike(reader: Reader, data: bytes) -> None:
    found = outcome(reader, data)
    with general_readers():
        assert outcome(reader, data) == found


@pytest.mark.parametrize(("reader", "example"), EXAMPLES)
def test_what_both_readers_find_is_the_same(reader: Reader, example: bytes) -> None:
    assert_read_alike(reader, example)


@given(st.sampled_from(EXAMPLES), st.data())
def test_no_altered_bytes_are_read_that_the_general_reader_refuses(
    example: tuple[Reader, bytes], data: st.DataObject
) -> None:
    reader, encoded = example
    altered = bytearray(encoded)
    for _ in range(data.draw(st.integers(1, 3))):
        # Most of a large object is one string: what is of interest stands near its beginning and its end.
        end = len(altered)
        at = data.draw(st.integers(0, min(200, end)) | st.integers(max(0, end - 200), end) | st.integers(0, end))
        taken = data.draw(st.integers(0, 3))
        altered[at : at + taken] = data.draw(st.binary(max_size=4) | st.sampled_from(LENGTHS))
    assert_read_alike(reader, bytes(altered))


# Heads of strings, arrays and integers in other forms than the shortest, and of other kinds.
LENGTHS = [
    bytes.fromhex(head) for head in ("5810", "590010", "5a00000010", "5b0000000000000010", "5f", "9f", "bf", "ff")
]
LENGTHS += [
    bytes.fromhex(head) for head in ("f4", "f5", "f6", "f7", "c0", "d9d9f7", "1801", "190001", "20", "7818", "9801")
]


@pytest.mark.parametrize(("reader", "example"), EXAMPLES)
def test_one_byte_of_another_value_is_judged_alike_wherever_it_stands(reader: Reader, example: bytes) -> None:
    places = range(len(example)) if len(example) < 400 else (*range(120), *range(len(example) - 120, len(example)))
    for at in places:
        for change in (1, 0x20, 0x80):
            assert_read_alike(reader, example[:at] + bytes((example[at] ^ change,)) + example[at + 1 :])


@pytest.mark.parametrize(("reader", "example"), EXAMPLES)
def test_cut_and_lengthened_bytes_are_judged_alike(reader: Reader, example: bytes) -> None:
    cuts = range(len(example)) if len(example) < 400 else (*range(120), *range(len(example) - 120, len(example)))
    for end in cuts:
        assert_read_alike(reader, example[:end])
    assert_read_alike(reader, example + b"\0")


@pytest.mark.parametrize(
    ("reader", "example"), [(r, e) for r, e in EXAMPLES if r is not decode_event or not any(rare in e for rare in RARE)]
)
def test_what_is_well_formed_needs_no_general_reader(
    reader: Reader, example: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader(example)  # headers that repeat are read once

    def fail(*_: object, **__: object) -> object:
        raise AssertionError("read twice")

    monkeypatch.setattr(cbor, "decode", fail)
    reader(example)


@given(st.integers(0, 2**64 - 1) | st.integers(0, 70_000))
def test_an_integer_is_written_and_read_in_its_one_form(value: int) -> None:
    written = exact.put_unsigned(value)
    assert written == cbor.encode(value)
    assert exact.unsigned(written, 0) == (value, len(written))


@given(st.binary(max_size=300) | st.sampled_from([bytes(255), bytes(256), bytes(65_535), bytes(65_536)]))
def test_a_string_is_written_and_read_in_its_one_form(value: bytes) -> None:
    written = exact.put_bytes(value)
    assert written == cbor.encode(value)
    assert exact.byte_string(written, 0) == (value, len(written))


@pytest.mark.parametrize("head", ["1800", "1817", "190000", "1900ff", "1a0000ffff", "1b00000000ffffffff", "1c", "1f"])
def test_an_integer_in_another_form_is_not_found(head: str) -> None:
    with pytest.raises(exact.NOT_EXACT):
        exact.unsigned(bytes.fromhex(head), 0)


@pytest.mark.parametrize("numbers", [[3, 4], [0, 0], [1]])
def test_a_receipt_under_no_checkpoint_or_a_checkpoint_without_a_receipt_is_not_found(numbers: list[int]) -> None:
    rows = [[b"leaf", 1, bytes(32), number] for number in numbers]
    assert_read_alike(decode_receipts, cbor.encode([[b"one", b"two"], rows]))


@pytest.mark.parametrize("after", [3, 4, 5, 70_001, 2**63])
def test_entries_that_were_read_before_are_judged_alike(after: int) -> None:
    assert_read_alike(lambda data: wire.decode_mailbox(data, after, "fr"), wire.encode_mailbox(PAGE, 80_000))


@pytest.mark.parametrize("count", [0, 1, 2**20])
def test_another_number_of_answers_is_judged_alike(count: int) -> None:
    assert_read_alike(lambda data: wire.decode_answers(data, count, "fr"), wire.encode_answers(ANSWERS))


def test_more_than_may_travel_together_is_judged_alike() -> None:
    many = [wire.EnvelopeAnswer(tuple(RECEIPTS[:1]) * (wire.MAX_ANSWER_RECEIPTS + 1))]
    assert_read_alike(lambda data: wire.decode_answers(data, 1, "fr"), wire.encode_answers(many))
    for at, limit in ((0, MAX_PATH_HASHES * 32), (1, MAX_EVENT_BYTES), (2, MAX_NOTE_BYTES)):
        for size in (limit, limit + 32):
            path, leaf, note = (size if at == which else 32 for which in range(3))
            body = cbor.encode([[bytes(note)], [[bytes(leaf), 1, bytes(path), 0]]])
            assert_read_alike(decode_receipts, body)
    for count in (3_999, 4_000, MAX_RECEIPTS, MAX_RECEIPTS + 1):
        assert_read_alike(decode_receipts, cbor.encode([[b"note"], [[b"", 0, b"", 0]] * count]))
    for count in (MAX_CHECKPOINTS, MAX_CHECKPOINTS + 1):
        notes, rows = [b"%d" % number for number in range(count)], [[b"", 0, b"", number] for number in range(count)]
        assert_read_alike(decode_receipts, cbor.encode([notes, rows]))
    # With one more there are too many items in a body.
    for extra in (4, 5):
        body = {1: [{1: [0] * extra}], 2: [[b"note"], [[b"", 0, b"", 0]] * 3_997]}
        assert_read_alike(lambda data: wire.decode_answers(data, 1, "fr"), cbor.encode(body))
    for count in (3_329, 3_330, 3_331, 3_332):
        assert_read_alike(page, wire.encode_mailbox([(50, None, [Receipt(b"", 0, (), b"note")] * count)], 50))
    for items in (64, 65):
        assert_read_alike(globals()["items"], wire.encode_items([b"x"] * items))


@given(
    st.recursive(st.binary(max_size=8) | st.integers(0, 2**40) | st.none(), lambda inner: st.lists(inner, max_size=4))
)
def test_what_has_its_order_is_encoded_as_what_is_put_in_order(value: object) -> None:
    assert cbor.encode_ordered({1: value, 2: [value], 3: None}) == cbor.encode({3: None, 2: [value], 1: value})


EDGES = [23, 24, 255, 256, 65_535, 65_536]


@pytest.mark.parametrize("value", [0, *EDGES, 2**32 - 1, 2**32, 2**63, 2**64 - 1])
def test_an_integer_at_the_edge_of_a_form_is_in_the_shorter_one(value: int) -> None:
    assert exact.put_unsigned(value) == cbor.encode(value)
    assert exact.unsigned(cbor.encode(value), 0) == (value, len(cbor.encode(value)))


@pytest.mark.parametrize("size", [0, *EDGES])
def test_a_string_at_the_edge_of_a_form_is_in_the_shorter_one(size: int) -> None:
    assert exact.put_bytes(bytes(size)) == cbor.encode(bytes(size))
    assert exact.byte_string(cbor.encode(bytes(size)), 0) == (bytes(size), len(cbor.encode(bytes(size))))
    assert exact.text(cbor.encode("a" * size), 0) == (b"a" * size, len(cbor.encode("a" * size)))
    assert exact.put_text("a" * size) == cbor.encode("a" * size)


@pytest.mark.parametrize(("size", "width"), [(23, 1), (255, 2), (65_535, 4), (0, 1), (24, 2), (256, 4), (1, 8)])
def test_a_string_in_a_longer_form_is_not_found(size: int, width: int) -> None:
    for kind, read in ((0x40, exact.byte_string), (0x60, exact.text), (0x80, exact.count)):
        longer = bytes([kind + 23 + width.bit_length()]) + size.to_bytes(width, "big") + bytes(size)
        with pytest.raises(exact.NOT_EXACT):
            read(longer, 0)


def test_an_instant_is_found_from_the_first_that_takes_eight_bytes_to_the_last_that_there_is() -> None:
    for ms in (1 << 32, MAX_MS):
        assert exact.milliseconds(ms.to_bytes(8, "big"), 0) == ms
    for ms in ((1 << 32) - 1, MAX_MS + 1, 0):
        with pytest.raises(exact.NOT_EXACT):
            exact.milliseconds(ms.to_bytes(8, "big"), 0)


def test_an_array_of_integers_has_as_many_as_there_is_room_for_and_no_more() -> None:
    assert exact.unsigneds(cbor.encode([1, 24, 300]), 0, 3) == ([1, 24, 300], 7)
    with pytest.raises(exact.NOT_EXACT):
        exact.unsigneds(cbor.encode([1, 24, 300]), 0, 2)


def test_a_statement_or_a_header_with_more_behind_its_end_is_judged_alike() -> None:
    for payload in (parse_statement(STATEMENT).signed.payload + b"\0", parse_statement(STATEMENT).signed.payload[:-1]):
        signed_anew = cose.sign1(payload, statement.STATEMENT_TYPE, statement.STATEMENT_CONTEXT, SIGNER)
        assert_read_alike(parse_statement.__wrapped__, signed_anew)
        with pytest.raises(ComityError):
            parse_statement.__wrapped__(signed_anew)


@pytest.mark.parametrize("count", [0, 23, 24, 32, 33])
def test_any_number_of_recipients_is_judged_alike(count: int) -> None:
    recipients = [f"d{number:02}@fr" for number in range(count)]
    header = cbor.decode(encode_routing(ROUTING)) | {4: recipients}
    assert_read_alike(decode_routing, cbor.encode(header))


def test_receipts_at_each_limit_need_no_general_reader() -> None:
    rows = [[b"", MAX_SIZE, bytes(32) * MAX_PATH_HASHES, number] for number in range(MAX_CHECKPOINTS)]
    notes = [b"%d" % number for number in range(MAX_CHECKPOINTS)]
    body = cbor.encode([notes, rows])
    assert receipt.exact_receipts(body, 0, cbor.MAX_ITEMS)[1] == len(body)
    for rows in ([[bytes(MAX_EVENT_BYTES), 0, b"", 0]], [[b"", 0, b"", 0]] * 5):
        body = cbor.encode([[bytes(MAX_NOTE_BYTES)], rows])
        assert receipt.exact_receipts(body, 0, 4 + 5 * len(rows))[1] == len(body)
    assert_read_alike(decode_receipts, cbor.encode([[b"note"], [[b"", MAX_SIZE + 1, b"", 0]]]))


def test_every_byte_around_a_sealed_key_is_judged_alike() -> None:
    payload = parse_envelope(TO_TWO).signed.payload
    for opener in (OPENER, SECOND):
        header = cose.recipient_protected(opener.kid)
        start = payload.index(header)
        for at in (*range(start - 3, start), *range(start + len(header), start + len(header) + 5)):
            for change in (1, 2, 0x20, 0x80):
                altered = payload[:at] + bytes((payload[at] ^ change,)) + payload[at + 1 :]
                assert_read_alike(encrypted, altered)
                with pytest.raises(ComityError):
                    encrypted(altered)


@pytest.mark.parametrize("size", [8_000, 8_160, 9_000])
def test_a_header_of_any_size_is_judged_alike(size: int) -> None:
    sealed = cose.Encrypted(cose.encrypted_protected(bytes(12), bytes(size)), bytes(12), bytes(size), b"", ())
    assert_read_alike(encrypted, cose.encode_encrypted(sealed))


@pytest.mark.parametrize("head", [0, 2**63 - 1, 2**63])
def test_the_highest_number_of_a_mailbox_is_judged_alike(head: int) -> None:
    assert_read_alike(page, wire.encode_mailbox(PAGE, head))
    assert_read_alike(page, wire.encode_mailbox([(head, None, [])], head))


@pytest.mark.parametrize("raw", [ENVELOPE, TO_TWO])
def test_what_is_sealed_part_by_part_is_what_the_general_encoder_writes(raw: bytes) -> None:
    """An envelope, its headers, and what its ciphers authenticate: one shape, whoever writes it."""
    envelope = parse_envelope(raw)
    payload, sealed = envelope.signed.payload, envelope.sealed
    assert cbor.encode_tagged(cose.TAG_ENCRYPT, cbor.decode_tagged(cose.TAG_ENCRYPT, payload)) == payload
    headers = {1: 3, 2: [cose.HEADER_ROUTING], 5: sealed.iv, cose.HEADER_ROUTING: sealed.routing}
    assert sealed.protected == cbor.encode(headers)
    assert cose.content_aad(sealed.protected, b"context") == cbor.encode(["Encrypt", sealed.protected, b"context"])
    expected = cbor.encode(["HPKE Recipient", cose.ALG_A256GCM, sealed.protected, b"extra"])
    assert cose.recipient_info(sealed.protected, b"extra") == expected


@given(at=st.integers(0, MAX_MS), event=st.sampled_from([EventName.ContentHandover, EventName.ContentAccessTracking]))
def test_a_statement_is_written_as_the_general_encoder_writes_it(at: int, event: EventName) -> None:
    """Also one of 1970, whose instant takes fewer bytes."""
    stated = replace(STATED, event=event, at=from_ms(at))
    value = {1: 1, 2: event.value, 3: at, 4: ID.bytes, 5: STATED.digest, 6: str(PARIS)}
    signed = cose.parse_sign1(sign_statement(stated, SIGNER), statement.STATEMENT_TYPE, max_bytes=2048)
    assert signed.payload == cbor.encode(value)

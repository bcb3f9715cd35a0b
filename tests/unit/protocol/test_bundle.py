"""Bundles: one form for the same contents, every part for itself, nothing taken of a file that is not as written."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.local.bundle_files import read_parts, write_parts
from protocol import bundle
from protocol.bundle import (
    BUNDLE_CONTEXT,
    BUNDLE_TYPE,
    MAGIC,
    BundleAnswer,
    BundleVerdict,
    Contents,
    FilesHad,
    parse_part,
    verify_part,
    write_bundle,
)
from protocol.bundle_sizes import DEFAULT_PART_BYTES, MIN_PART_BYTES
from protocol.crypto.cose import sign1
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.encoding import cbor
from protocol.errors import (
    BundleAlteredError,
    BundleElsewhereError,
    BundleTruncatedError,
    ComityError,
    MalformedError,
    TooLargeError,
    UnsupportedVersionError,
    UsageError,
)
from protocol.http.wire import MailboxEntry
from protocol.receipt import Receipt
from tests.vectors import make_bundle_vectors as maker

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
SIGNER = Ed25519Signer(bytes([3]) * 32)
VERIFIER = Ed25519Verifier(SIGNER.public_key)
DEEP = settings(max_examples=40, deadline=None)

digests = st.binary(min_size=32, max_size=32)
receipts = st.builds(
    Receipt,
    leaf=st.binary(min_size=1, max_size=60),
    index=st.integers(0, 1 << 40),
    path=st.lists(digests, max_size=3).map(tuple),
    checkpoint=st.sampled_from([b"note one", b"note two", b"note three"]),
)
some_receipts = st.lists(receipts, max_size=4).map(tuple)
blobs = st.lists(st.binary(max_size=200), max_size=5).map(tuple)
some_ranges = st.lists(st.sampled_from([(), ((0, 3),), ((1, 1), (3, 9))]), min_size=1).map(tuple)
contents = st.builds(
    Contents,
    directory=st.dictionaries(st.text("abc./", min_size=1, max_size=9), st.binary(max_size=99), max_size=3),
    answers=st.lists(
        st.one_of(
            st.builds(BundleAnswer, digests, some_receipts),
            st.builds(BundleAnswer, digests, st.just(()), st.text("{}:abc", min_size=1)),
        ),
        max_size=4,
    ).map(tuple),
    verdicts=st.lists(st.builds(BundleVerdict, digests, st.none() | st.text("abc")), max_size=4).map(tuple),
    passed_on=some_receipts,
    envelopes=blobs,
    statements=blobs,
    mailbox=st.lists(
        st.builds(MailboxEntry, st.integers(1, 1 << 40), st.none() | st.binary(max_size=99), some_receipts), max_size=4
    ).map(tuple),
    after=st.none() | st.integers(0, 1 << 40),
    files=st.lists(
        st.builds(FilesHad, digests, some_ranges),
        max_size=3,
    ).map(tuple),
)


def written(what: Contents, to: str = "fr", max_part_bytes: int = DEFAULT_PART_BYTES) -> list[bytes]:
    return write_bundle("jp", to, NOW, what, SIGNER, max_part_bytes)


def one(what: Contents) -> bytes:
    (part,) = written(what)
    return part


EXAMPLE = one(Contents(envelopes=(b"an envelope",), directory={"metadata/timestamp.json": b"{}"}))


@DEEP
@given(contents)
def test_what_is_read_is_what_was_written(what: Contents) -> None:
    part = parse_part(one(what), "fr")
    assert verify_part(part, VERIFIER) == what
    assert (part.sender, part.recipient, part.created, part.number, part.count) == ("jp", "fr", NOW, 1, 1)


@DEEP
@given(contents)
def test_the_same_contents_and_time_give_the_same_bytes(what: Contents) -> None:
    assert written(what) == written(what)


@DEEP
@given(st.integers(0, len(EXAMPLE) - 1), st.integers(1, 255))
def test_any_altered_byte_is_refused_with_a_reason(position: int, change: int) -> None:
    altered = bytearray(EXAMPLE)
    altered[position] ^= change
    with pytest.raises(ComityError) as refusal:
        verify_part(parse_part(bytes(altered), "fr"), VERIFIER)
    expected = {
        "bundle-altered",
        "bundle-truncated",  # the length was altered
        "bundle-for-another",
        "malformed",  # the first line was altered
        "unsupported-version",
    }
    assert refusal.value.code in expected


@DEEP
@given(st.integers(1, len(EXAMPLE) - 1))
def test_a_file_that_ends_early_is_refused_as_truncated(length: int) -> None:
    with pytest.raises(BundleTruncatedError):
        parse_part(EXAMPLE[:length], "fr")


def test_a_file_with_something_behind_its_end_is_refused_as_altered() -> None:
    with pytest.raises(BundleAlteredError):
        parse_part(EXAMPLE + b"\n", "fr")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 something else", b"comity-bundle/2\n" + bytes(8)])
def test_a_file_that_is_no_bundle_is_refused_as_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_part(data, "fr")


def test_a_bundle_for_another_is_refused_and_says_for_whom_it_is() -> None:
    with pytest.raises(BundleElsewhereError, match="for fr, not for de"):
        parse_part(EXAMPLE, "de")


def test_a_bundle_signed_by_another_key_is_refused_as_altered() -> None:
    stranger = Ed25519Signer(bytes([4]) * 32)
    (part,) = write_bundle("jp", "fr", NOW, Contents(envelopes=(b"x",)), stranger, DEFAULT_PART_BYTES)
    parsed = parse_part(part, "fr")
    with pytest.raises(BundleAlteredError):
        verify_part(parsed, VERIFIER)
    forged = replace(parsed, signed=replace(parsed.signed, kid=VERIFIER.kid))
    with pytest.raises(BundleAlteredError):
        verify_part(forged, VERIFIER)


def test_a_later_version_is_refused_as_such() -> None:
    signed = sign1(cbor.encode({1: 2}), BUNDLE_TYPE, BUNDLE_CONTEXT, SIGNER)
    with pytest.raises(UnsupportedVersionError):
        parse_part(MAGIC + len(signed).to_bytes(8, "big") + signed, "fr")


@pytest.mark.parametrize(
    "section", [{2: []}, {2: ["text"]}, {5: [[0, None, []]]}, {3: [0]}, {10: 1}, {8: -1}, {6: [[b"", 1]]}]
)
def test_sections_of_another_shape_are_refused(section: object) -> None:
    payload = cbor.encode({1: 1, 2: "jp", 3: "fr", 4: 0, 5: bytes(16), 6: 1, 7: 1, 8: section})
    signed = sign1(payload, BUNDLE_TYPE, BUNDLE_CONTEXT, SIGNER)
    with pytest.raises(BundleAlteredError):
        parse_part(MAGIC + len(signed).to_bytes(8, "big") + signed, "fr")


def test_what_does_not_fit_goes_into_further_parts_each_within_the_limit() -> None:
    what = Contents(
        directory={"metadata/timestamp.json": b"t" * 1000},
        envelopes=tuple(bytes([n]) * 800_000 for n in range(7)),
        mailbox=tuple(MailboxEntry(10 + n, bytes([n]) * 400_000, ()) for n in range(7)),
        after=4,
    )
    parts = written(what, max_part_bytes=MIN_PART_BYTES)
    assert len(parts) > 2
    assert all(len(part) <= MIN_PART_BYTES for part in parts)
    read = [parse_part(part, "fr") for part in parts]
    assert [(part.number, part.count) for part in read] == [(n, len(parts)) for n in range(1, len(parts) + 1)]
    assert len({part.bundle_id for part in read}) == 1
    assert tuple(raw for part in read for raw in part.contents.envelopes) == what.envelopes
    assert [bool(part.contents.directory) for part in read] == [True] + [False] * (len(parts) - 1)
    after = 4
    for part in read:
        assert part.contents.after == after
        after = part.contents.mailbox[-1].sequence if part.contents.mailbox else after
    assert after == 16


def test_an_item_larger_than_a_part_travels_alone() -> None:
    what = Contents(envelopes=(b"small", b"L" * 2 * MIN_PART_BYTES, b"small too"))
    read = [parse_part(part, "fr").contents.envelopes for part in written(what, max_part_bytes=MIN_PART_BYTES)]
    assert read == [(raw,) for raw in what.envelopes]


def test_a_part_size_out_of_range_is_refused() -> None:
    with pytest.raises(TooLargeError):
        written(Contents(), max_part_bytes=MIN_PART_BYTES - 1)


def test_part_files_are_read_in_their_order_and_never_overwritten(tmp_path: Path) -> None:
    what = Contents(envelopes=tuple(bytes([n]) * 800_000 for n in range(7)))
    parts = written(what, max_part_bytes=MIN_PART_BYTES)
    paths = write_parts(tmp_path / "for-fr", parts)
    assert [path.name for path in paths] == ["for-fr", *(f"for-fr.{n}" for n in range(2, len(parts) + 1))]
    assert [data for _part, data in read_parts(paths[::-1], "fr")] == parts
    with pytest.raises(UsageError):
        write_parts(tmp_path / "for-fr", parts)
    with pytest.raises(UsageError):
        read_parts([tmp_path / "not there"], "fr")


def test_the_published_vectors_are_what_the_code_writes_and_reads() -> None:
    published = json.loads((Path(maker.__file__).with_name("bundle.json")).read_text("utf-8"))
    assert published == maker.vectors()
    verifier = Ed25519Verifier(Ed25519Signer(bytes.fromhex(published["signing_seed"])).public_key)
    for vector in published["parts"]:
        part = parse_part(bytes.fromhex(vector["part"]), vector["to"])
        assert verify_part(part, verifier) == maker.CASES[vector["name"]][2]


# --- At the limits ---


def test_the_sizes_of_parts_that_may_be_asked_for_are_taken_to_their_edges() -> None:
    for size in (MIN_PART_BYTES, bundle.MAX_PART_BYTES):
        assert len(written(Contents(statements=(b"x",)), max_part_bytes=size)) == 1


def test_two_items_that_fill_a_part_exactly_stand_in_one() -> None:
    # 1,024 bytes are for heads and signature, 8 for each item's length.
    half = (MIN_PART_BYTES - 1024) // 2 - 8
    for more, parts in ((0, 1), (1, 2)):
        items = (bytes(half), bytes(half + more))
        assert len(written(Contents(envelopes=items), max_part_bytes=MIN_PART_BYTES)) == parts


def test_a_part_has_a_number_of_rows_and_receipts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "_PART_ROWS", 2)
    rows = [len(parse_part(part, "fr").contents.statements) for part in written(Contents(statements=(b"x",) * 5))]
    assert rows == [2, 2, 1]
    monkeypatch.setattr(bundle, "_PART_ROWS", 100)
    monkeypatch.setattr(bundle, "_PART_RECEIPTS", 2)
    held = Receipt(b"leaf", 0, (), b"note")
    parts = written(Contents(passed_on=(held,) * 5))
    assert [len(parse_part(part, "fr").contents.passed_on) for part in parts] == [2, 2, 1]


def test_long_problems_count_for_the_size_of_a_part() -> None:
    problems = tuple(bytes([number]) * 32 for number in range(12))
    for what in (
        Contents(answers=tuple(BundleAnswer(key, (), "x" * 400_000) for key in problems)),
        Contents(verdicts=tuple(BundleVerdict(key, "x" * 400_000) for key in problems)),
    ):
        parts = written(what, max_part_bytes=MIN_PART_BYTES)
        assert len(parts) == 3
        assert all(len(part) <= MIN_PART_BYTES for part in parts)


def test_a_bundle_has_no_more_parts_and_a_part_no_more_bytes_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    many = Contents(envelopes=(bytes(MIN_PART_BYTES),) * 3)
    parts = written(many, max_part_bytes=MIN_PART_BYTES)
    assert len(parts) == 3
    monkeypatch.setattr(bundle, "MAX_PARTS", 3)
    assert written(many, max_part_bytes=MIN_PART_BYTES) == parts
    monkeypatch.setattr(bundle, "MAX_PARTS", 2)
    with pytest.raises(TooLargeError, match="parts"):
        written(many, max_part_bytes=MIN_PART_BYTES)
    monkeypatch.undo()
    longest = max(map(len, parts))
    monkeypatch.setattr(bundle, "MAX_PART_BYTES", longest)
    assert written(many, max_part_bytes=MIN_PART_BYTES) == parts
    assert [parse_part(part, None).number for part in parts] == [1, 2, 3]
    monkeypatch.setattr(bundle, "MAX_PART_BYTES", longest - 1)
    with pytest.raises(TooLargeError, match="would have more"):
        written(many, max_part_bytes=MIN_PART_BYTES)
    with pytest.raises(TooLargeError, match="at most"):
        parse_part(max(parts, key=len), None)


def test_a_part_that_says_that_nothing_follows_is_altered_and_not_cut_off() -> None:
    with pytest.raises(BundleAlteredError):
        parse_part(MAGIC + bytes(8), None)


def test_a_part_is_read_by_anyone_when_no_reader_is_named_and_may_have_every_section() -> None:
    held = (Receipt(b"leaf", 0, (), b"note"),)
    key = bytes(32)
    whole = Contents(
        {"1.root.json": b"x"},
        (BundleAnswer(key, held),),
        (BundleVerdict(key),),
        held,
        (b"e",),
        (b"s",),
        (MailboxEntry((1 << 63) - 1, b"m", held),),
        0,
    )
    assert parse_part(one(whole), None).contents == whole


SECTIONS: dict[str, dict[int, object]] = {
    "a directory as a list of names": {1: ["1.root.json"]},
    "envelopes as bytes": {2: b"x"},
    "statements as a text": {4: "x"},
    "statements as a number": {4: 1},
    "a verdict that is a number": {7: [1]},
    "answers as a map": {6: {1: 1}},
    "a mailbox sequence of 2^63": {5: [[1 << 63, b"m", []]]},
    "a mailbox row that is a map": {5: [{0: 1, 1: b"m", 2: []}]},
    "a receipt by a text": {3: ["0"]},
    "a receipt by false": {3: [False], 9: [[b"note"], [[b"leaf", 0, b"", 0]]]},
}


@pytest.mark.parametrize("sections", SECTIONS.values(), ids=SECTIONS)
def test_a_section_of_another_kind_is_refused_as_altered(sections: dict[int, object]) -> None:
    part = one(Contents(statements=(b"x",)))
    value = cbor.decode(parse_part(part, None).signed.payload)
    for payload in (cbor.encode({**value, 8: sections}), cbor.encode([1])):
        signed = sign1(payload, BUNDLE_TYPE, BUNDLE_CONTEXT, SIGNER)
        with pytest.raises(BundleAlteredError):
            parse_part(MAGIC + len(signed).to_bytes(8, "big") + signed, None)

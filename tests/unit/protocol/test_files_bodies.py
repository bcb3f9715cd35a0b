"""The bodies that carry files: each comes back as it went, and what breaks a rule is refused."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.bundle_sizes import MAX_HAND_BYTES, MAX_HANDS
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms
from protocol.errors import ComityError, MalformedError, PeerFailedError, TooLargeError
from protocol.files.file_list import MAX_FILES, MAX_LIST_BYTES
from protocol.files.logged import BEFORE_THEIR_TIME
from protocol.files.sealed_file import MAX_FILE_BYTES, Segment
from protocol.http import file_progress, files
from protocol.http.file_progress import FilesAt, ProgressAsked
from protocol.http.files import (
    FilesAnnounced,
    FilesHeld,
    FilesShare,
    FilesTakenBack,
    FilesWanted,
    SegmentSent,
    SegmentsWanted,
)

DIGEST = bytes(range(32))
hashes = st.binary(min_size=32, max_size=32)
segments = st.builds(
    SegmentSent,
    st.integers(0, MAX_FILES - 1),
    st.builds(
        Segment,
        st.integers(0, 300) | st.integers(0, files.MAX_INDEX),
        st.lists(hashes, max_size=3).map(tuple),
        st.binary(min_size=1, max_size=80),
    ),
)
hands = st.lists(st.binary(min_size=1, max_size=9), max_size=MAX_HANDS).map(tuple)
ranges = st.sets(st.integers(0, 60), max_size=30).map(lambda indexes: files.ranges_of(sorted(indexes)))


@given(st.binary(max_size=100), hands)
def test_an_announcement_comes_back(file_list: bytes, carried: tuple[bytes, ...]) -> None:
    announced = FilesAnnounced(DIGEST, file_list, carried)
    assert files.decode_open(files.encode_open(announced)) == announced


@given(st.lists(ranges, min_size=1, max_size=5))
def test_what_is_missing_comes_back(missing: list[files.Ranges]) -> None:
    encoded = files.encode_missing(missing)
    assert files.decode_missing(encoded, len(missing), "jp") == tuple(missing)
    for other in (len(missing) - 1, len(missing) + 1):
        with pytest.raises(PeerFailedError):
            files.decode_missing(encoded, other, "jp")


@given(st.lists(segments, min_size=1, max_size=4))
def test_segments_come_back_in_their_order(sent: list[SegmentSent]) -> None:
    encoded = files.encode_segments(sent)
    assert files.decode_segments(encoded) == sent
    rows = [[one.file, one.segment.index, b"".join(one.segment.path), one.segment.data] for one in sent]
    assert encoded == cbor.encode(rows)


@given(st.binary(max_size=50), st.lists(ranges, min_size=1, max_size=3), st.lists(segments, max_size=3), hands)
def test_what_is_held_comes_back(
    listed: bytes, held: list[files.Ranges], sent: list[SegmentSent], carried: tuple[bytes, ...]
) -> None:
    whole = FilesHeld(listed, tuple(held), tuple(sent), carried)
    assert files.decode_held(files.encode_held(whole), "jp") == whole


@given(st.lists(st.builds(SegmentsWanted, st.integers(0, 999), st.integers(0, 9_999), st.integers(1, 999)), max_size=4))
def test_what_is_wanted_comes_back(wanted: list[SegmentsWanted]) -> None:
    for has in (None, FilesShare(0, 0), FilesShare(MAX_FILE_BYTES, MAX_FILES)):
        whole = FilesWanted(DIGEST, tuple(wanted), has)
        assert files.decode_fetch(files.encode_fetch(whole)) == whole


@pytest.mark.parametrize("count", [0, 1, MAX_FILES])
def test_what_is_let_go_comes_back(count: int) -> None:
    for reason in BEFORE_THEIR_TIME:
        taken_back = FilesTakenBack(DIGEST, reason)
        assert files.decode_cancel(files.encode_cancel(taken_back)) == taken_back
    assert files.encode_cancel(FilesTakenBack(DIGEST)) == cbor.encode({1: DIGEST})
    assert files.decode_cancelled(files.encode_cancelled(count), "jp") == count


@given(
    st.lists(
        st.builds(
            FilesAt,
            st.sampled_from(["gh", "24-7@gh", "24-7@fr"]),
            st.just("fr"),
            st.none() | st.integers(0, MAX_FILE_BYTES),
            st.none() | st.integers(0, MAX_FILES),
            st.none() | st.integers(0, 1 << 40).map(from_ms),
            st.none() | st.integers(0, MAX_FILE_BYTES),
            st.sampled_from([None, "cancelled", "deleted"]),
        ),
        max_size=3,
        unique_by=lambda row: row.party,
    ),
    st.integers(0, file_progress.MAX_WAIT_MS),
)
def test_how_far_files_are_comes_back(behind: list[FilesAt], wait_ms: int) -> None:
    asked = ProgressAsked(DIGEST, wait_ms)
    assert file_progress.decode_asked(file_progress.encode_asked(asked)) == asked
    rows = (FilesAt("fr"), *behind)
    assert file_progress.decode_progress(file_progress.encode_progress(rows), "fr") == rows


@given(st.sets(st.integers(0, 200)))
def test_runs_say_exactly_the_segments_that_they_were_made_of(indexes: set[int]) -> None:
    runs = files.ranges_of(sorted(indexes))
    assert {index for first, count in runs for index in range(first, first + count)} == indexes
    assert all(first + count < later for (first, count), (later, _) in pairwise(runs))


def test_as_many_ranges_as_a_body_carries_are_said_and_the_first_come_first() -> None:
    many = files.ranges_of(range(0, 2 * files.MAX_RANGES, 2))
    assert files.limited([((0, 1),), many, many]) == [((0, 1),), many[:-1], ()]
    encoded = files.encode_missing([many, many])
    assert len(encoded) <= files.MAX_MISSING_BYTES
    assert files.decode_missing(encoded, 2, "jp") == (many, ())
    largest = [((files.MAX_INDEX - 2 * number, 1),) for number in range(MAX_FILES)]
    assert files.decode_missing(files.encode_missing(largest), MAX_FILES, "jp") == tuple(largest)


def sent_of(count: int, size: int, hashes_each: int = 0) -> list[SegmentSent]:
    path = (bytes(32),) * hashes_each
    return [SegmentSent(0, Segment(number, path, bytes(size))) for number in range(count)]


def test_a_body_carries_one_of_the_largest_segments_or_many_small_ones_and_no_more() -> None:
    for fits in (sent_of(1, files.MAX_DATA_BYTES, 33), sent_of(files.MAX_SEGMENTS, 10, 64)):
        assert files.decode_segments(files.encode_segments(fits)) == fits
        held = FilesHeld(bytes(MAX_LIST_BYTES), (((0, 1),),) * MAX_FILES, tuple(fits))
        assert files.decode_held(files.encode_held(held), "jp") == held
    for wrong in (sent_of(2, files.MAX_DATA_BYTES // 2 + 1), sent_of(files.MAX_SEGMENTS + 1, 1)):
        with pytest.raises(TooLargeError):
            files.encode_segments(wrong)
        with pytest.raises(TooLargeError):
            files.encode_held(FilesHeld(b"", ((),), tuple(wrong)))
        rows = [[one.file, one.segment.index, b"", bytes(one.segment.data)] for one in wrong]
        with pytest.raises(TooLargeError):
            files.decode_segments(cbor.encode(rows))
        with pytest.raises(PeerFailedError):
            files.decode_held(cbor.encode({1: b"", 2: [[]], 3: rows}), "jp")


def test_as_much_as_may_be_asked_for_may_be_asked_for() -> None:
    whole = FilesWanted(DIGEST, (SegmentsWanted(999, 70_000, 70_000),) * files.MAX_WANTED)
    assert files.decode_fetch(files.encode_fetch(whole)) == whole
    announced = FilesAnnounced(DIGEST, bytes(MAX_LIST_BYTES))
    assert files.decode_open(files.encode_open(announced)) == announced


ROW = [0, 0, bytes(32), b"data"]
FR = ["fr", None, 1_000, 2, 1_700_000_000_000, 5, None]
Decoder = Callable[[bytes], Any]
REQUESTS: dict[str, tuple[Decoder, Any]] = {
    "announcement without list": (files.decode_open, {1: DIGEST}),
    "announcement of a short digest": (files.decode_open, {1: DIGEST[1:], 2: b""}),
    "announcement of a text": (files.decode_open, {1: DIGEST, 2: "list"}),
    "announcement as array of its keys": (files.decode_open, [1, 2]),
    "announcement of a text as long": (files.decode_open, {1: "x" * 32, 2: b""}),
    "announcement with more": (files.decode_open, {1: DIGEST, 2: b"", 3: 0}),
    "announcement with even more": (files.decode_open, {1: DIGEST, 2: b"", 3: [b"hand"], 4: 0}),
    "announcement by no hand": (files.decode_open, {1: DIGEST, 2: b"", 3: []}),
    "announcement by too many hands": (files.decode_open, {1: DIGEST, 2: b"", 3: [b"hand"] * (MAX_HANDS + 1)}),
    "announcement by an empty hand": (files.decode_open, {1: DIGEST, 2: b"", 3: [b""]}),
    "announcement by a hand of text": (files.decode_open, {1: DIGEST, 2: b"", 3: ["hand"]}),
    "announcement by too long a hand": (files.decode_open, {1: DIGEST, 2: b"", 3: [bytes(MAX_HAND_BYTES + 1)]}),
    "announcement as array": (files.decode_open, [DIGEST, b""]),
    "announcement of too long a list": (files.decode_open, {1: DIGEST, 2: bytes(MAX_LIST_BYTES + 1)}),
    "no segment": (files.decode_segments, []),
    "segments as map": (files.decode_segments, {1: ROW}),
    "segment without data": (files.decode_segments, [ROW[:3]]),
    "segment with more": (files.decode_segments, [[*ROW, 0]]),
    "segment as map": (files.decode_segments, [dict(enumerate(ROW))]),
    "segment of no bytes": (files.decode_segments, [[*ROW[:3], b""]]),
    "segment of text": (files.decode_segments, [[*ROW[:3], "data"]]),
    "segment of a negative file": (files.decode_segments, [[-1, *ROW[1:]]]),
    "segment of a file too many": (files.decode_segments, [[MAX_FILES, *ROW[1:]]]),
    "segment of file true": (files.decode_segments, [[True, *ROW[1:]]]),
    "segment at a place that no file has": (files.decode_segments, [[0, files.MAX_INDEX + 1, *ROW[2:]]]),
    "segment at place null": (files.decode_segments, [[0, None, *ROW[2:]]]),
    "segment with a cut path": (files.decode_segments, [[0, 0, bytes(31), b"data"]]),
    "segment with a path of hashes": (files.decode_segments, [[0, 0, [bytes(32)], b"data"]]),
    "segment with an endless path": (files.decode_segments, [[0, 0, bytes(65 * 32), b"data"]]),
    "fetch of nothing": (files.decode_fetch, {1: DIGEST}),
    "fetch as array": (files.decode_fetch, [DIGEST, []]),
    "fetch of a map": (files.decode_fetch, {1: DIGEST, 2: {}}),
    "fetch of a long digest": (files.decode_fetch, {1: DIGEST + b"\0", 2: []}),
    "fetch of no segment": (files.decode_fetch, {1: DIGEST, 2: [[0, 0, 0]]}),
    "fetch of a negative segment": (files.decode_fetch, {1: DIGEST, 2: [[0, -1, 1]]}),
    "fetch beyond every file": (files.decode_fetch, {1: DIGEST, 2: [[0, files.MAX_INDEX, 2]]}),
    "fetch of a file too many": (files.decode_fetch, {1: DIGEST, 2: [[MAX_FILES, 0, 1]]}),
    "fetch of half a row": (files.decode_fetch, {1: DIGEST, 2: [[0, 0]]}),
    "fetch of a row as map": (files.decode_fetch, {1: DIGEST, 2: [{0: 0, 1: 0, 2: 1}]}),
    "fetch of file true": (files.decode_fetch, {1: DIGEST, 2: [[True, 0, 1]]}),
    "fetch of an empty row": (files.decode_fetch, {1: DIGEST, 2: [[]]}),
    "fetch of a longer row": (files.decode_fetch, {1: DIGEST, 2: [[0, 0, 1, 1]]}),
    "fetch of true": (files.decode_fetch, {1: DIGEST, 2: [[0, 0, True]]}),
    "fetch of too much": (files.decode_fetch, {1: DIGEST, 2: [[0, 0, 1]] * (files.MAX_WANTED + 1)}),
    "letting go of a short digest": (files.decode_cancel, {1: DIGEST[1:]}),
    "letting go of more": (files.decode_cancel, {1: DIGEST, 2: 0}),
    "letting go for a reason of its time": (files.decode_cancel, {1: DIGEST, 2: "expired-unfetched"}),
    "letting go for the reason that is not said": (files.decode_cancel, {1: DIGEST, 2: "cancelled"}),
    "fetch with a negative share": (files.decode_fetch, {1: DIGEST, 2: [], 3: [-1, 0]}),
    "fetch with more files than there are": (files.decode_fetch, {1: DIGEST, 2: [], 3: [1, MAX_FILES + 1]}),
    "fetch with half a share": (files.decode_fetch, {1: DIGEST, 2: [], 3: [1]}),
    "fetch with a share of truth values": (files.decode_fetch, {1: DIGEST, 2: [], 3: [True, False]}),
    "asking how far with a short digest": (file_progress.decode_asked, {1: DIGEST[1:], 2: 0}),
    "asking how far for ever": (file_progress.decode_asked, {1: DIGEST, 2: file_progress.MAX_WAIT_MS + 1}),
    "asking how far for a negative time": (file_progress.decode_asked, {1: DIGEST, 2: -1}),
    "asking how far without a time": (file_progress.decode_asked, {1: DIGEST}),
    "letting go as array of its key": (files.decode_cancel, [1]),
    "letting go as text": (files.decode_cancel, {1: "message"}),
}


@pytest.mark.parametrize(("decode", "value"), REQUESTS.values(), ids=REQUESTS)
def test_a_request_that_breaks_a_rule_is_refused(decode: Decoder, value: Any) -> None:
    with pytest.raises((MalformedError, TooLargeError)):
        decode(cbor.encode(value))


def missing(body: bytes) -> Any:
    return files.decode_missing(body, 1, "jp")


def held(body: bytes) -> Any:
    return files.decode_held(body, "jp")


def progress(body: bytes) -> Any:
    return file_progress.decode_progress(body, "jp")


def cancelled(body: bytes) -> Any:
    return files.decode_cancelled(body, "jp")


WRONG_RANGES: list[Any] = [
    *([[[0, 0]]], [[[-1, 1]]], [[[0]]], [[[0, 1, 2]]], [[[0, True]]], [[["0", 1]]], [[{}]], [{}], {}, [], None),
    [[{0: 1, 1: 1}]],
    *([[[5, 1], [0, 1]]], [[[0, 2], [1, 1]]], [[[0, 2], [2, 1]]], [[[0, 1], [0, 1]]]),
    *([[[files.MAX_INDEX, 2]]], [[[2 * n, 1] for n in range(files.MAX_RANGES + 1)]]),
]


@pytest.mark.parametrize("wrong", WRONG_RANGES)
def test_ranges_that_are_not_in_their_one_form_are_no_answer(wrong: Any) -> None:
    for body, decode in (({1: wrong}, missing), ({1: b"", 2: wrong, 3: []}, held)):
        with pytest.raises(PeerFailedError):
            decode(cbor.encode(body))


@pytest.mark.parametrize(
    ("decode", "value"),
    [
        (missing, {1: [[]], 2: 0}),
        (missing, [[[]]]),
        (held, {1: b"", 2: [[]]}),
        (held, {1: "", 2: [[]], 3: []}),
        (held, {1: bytes(MAX_LIST_BYTES + 1), 2: [[]], 3: []}),
        (held, {1: b"", 2: [[]], 3: [ROW[:3]]}),
        (held, {1: b"", 2: [[]] * (MAX_FILES + 1), 3: []}),
        (held, [b"", [[]], []]),
        (held, {1: b"", 2: [[]], 3: [], 4: []}),
        (held, {1: b"", 2: [[]], 3: [], 4: [b""]}),
        (held, {1: b"", 2: [[]], 3: [], 4: [b"hand"], 5: 0}),
        (cancelled, {1: -1}),
        (cancelled, {1: MAX_FILES + 1}),
        (cancelled, {1: True}),
        (cancelled, {}),
        (cancelled, 3),
        (progress, {1: []}),
        (progress, [["fr", None, 0, 0, 0, None, None]]),
        (progress, {1: [FR[:6]]}),
        (progress, {1: [["F R", *FR[1:]]]}),
        (progress, {1: [["24-7@@fr", *FR[1:]]]}),
        (progress, {1: [["fr", "jp", *FR[2:]]]}),
        (progress, {1: [FR, FR]}),
        (progress, {1: [FR, ["gh", None, *FR[2:]]]}),
        (progress, {1: [FR, ["gh", "de", *FR[2:]], ["de", "fr", *FR[2:]]]}),
        (progress, {1: [["fr", None, -1, *FR[3:]]]}),
        (progress, {1: [["fr", None, True, *FR[3:]]]}),
        (progress, {1: [["fr", None, 1, MAX_FILES + 1, *FR[4:]]]}),
        (progress, {1: [[*FR[:4], 1 << 60, None, None]]}),
        (progress, {1: [[*FR[:6], "\x1b[2J"]]}),
        (progress, {1: [[*FR[:6], "x" * 50]]}),
        (progress, {1: [FR, *([f"n{number}", "fr", *FR[2:]] for number in range(file_progress.MAX_ROWS))]}),
    ],
)
def test_an_answer_that_breaks_a_rule_is_the_partners_failure(decode: Decoder, value: Any) -> None:
    with pytest.raises(PeerFailedError):
        decode(cbor.encode(value))


@pytest.mark.parametrize(
    "decode",
    [
        *(
            files.decode_open,
            files.decode_segments,
            files.decode_fetch,
            files.decode_cancel,
            file_progress.decode_asked,
        ),
        *(missing, held, cancelled, progress),
    ],
)
@given(data=st.binary(max_size=120))
def test_arbitrary_bytes_are_refused_with_a_typed_error(decode: Decoder, data: bytes) -> None:
    with pytest.raises(ComityError):
        decode(data)


def test_a_body_larger_than_its_limit_is_refused_unread() -> None:
    for decode, limit in (
        (files.decode_open, files.MAX_OPEN_BYTES),
        (files.decode_segments, files.MAX_SEGMENTS_BYTES),
        (files.decode_fetch, files.MAX_FETCH_BYTES),
        (files.decode_cancel, files.MAX_CANCEL_BYTES),
        (file_progress.decode_asked, file_progress.MAX_ASKED_BYTES),
    ):
        with pytest.raises(TooLargeError):
            decode(bytes(limit + 1))
    for decode, limit in (
        (missing, files.MAX_MISSING_BYTES),
        (held, files.MAX_HELD_BYTES),
        (progress, file_progress.MAX_ROWS_BYTES),
    ):
        with pytest.raises(PeerFailedError):
            decode(bytes(limit + 1))
